//! What each command does, one file each. A new command is a file here, its `mod` line, and its line in the list
//! below; its options are a struct that derives `clap::Args`, whose documentation becomes the help and the man page.
//!
//! | file          | subject                                                |
//! |---------------|--------------------------------------------------------|
//! | `get`         | values by their keys                                   |
//! | `put`         | putting entries                                        |
//! | `del`         | deleting entries, ranges and tables                    |
//! | `scan`        | entries of a range                                     |
//! | `count`       | how many entries a range has                           |
//! | `rank`        | how many entries come before a key, and the n-th entry |
//! | `tables`      | which tables there are                                 |
//! | `snapshot`    | states of a database that have a name                  |
//! | `diff`        | what was added, removed and changed between two states |
//! | `ranges`      | what of that is known since a mark                     |
//! | `revert`      | going back to an earlier state                         |
//! | `history`     | snapshots that commits record by themselves            |
//! | `stat`        | figures of the file or of a table                      |
//! | `map`         | a picture of what the pages are used for               |
//! | `report`      | a page of HTML about a database                        |
//! | `readers`     | which processes read and write                         |
//! | `check`       | proving that a file is whole                           |
//! | `compact`     | making a file smaller while others use it              |
//! | `salvage`     | saving what a damaged file has                         |
//! | `backup`      | copying a database in use                              |
//! | `restore`     | restoring a database from a backup                     |
//! | `dump`        | writing tables as text                                 |
//! | `load`        | reading tables from text                               |
//! | `import_lmdb` | creating tables from the databases of an LMDB file     |
//! | `bench`       | quick figures of this disk and this data               |
//! | `shell`       | commands on one file, line by line                     |
//! | `completions` | what shells need to complete commands                  |
//! | `man`         | man pages                                              |

mod backup;
mod bench;
mod check;
mod compact;
mod completions;
mod count;
mod del;
mod diff;
mod dump;
mod get;
mod history;
mod import_lmdb;
mod load;
mod man;
mod map;
mod put;
mod ranges;
mod rank;
mod readers;
mod report;
mod restore;
mod revert;
mod salvage;
mod scan;
mod shell;
mod snapshot;
mod stat;
mod tables;

use crate::context::Context;
use crate::exit::Outcome;
use clap::Subcommand;

/// Declares the commands: the name of each, and the struct with its options, which has a method `run`.
macro_rules! commands {
    ($($(#[$attribute:meta])* $name:ident($options:ty),)*) => {
        /// What to do.
        #[derive(Debug, Subcommand)]
        #[allow(clippy::large_enum_variant, reason = "there is one, and it is used once")]
        pub enum Command {
            $($(#[$attribute])* #[allow(missing_docs, reason = "the struct has the help")] $name($options),)*
        }

        impl Command {
            /// Does it.
            pub fn run(self, context: &Context) -> Outcome {
                match self {
                    $(Command::$name(options) => options.run(context),)*
                }
            }
        }
    };
}

// In the order of the help.
commands! {
    Get(get::Get),
    Put(put::Put),
    Del(del::Del),
    Scan(scan::Scan),
    Count(count::Count),
    Rank(rank::Rank),
    Tables(tables::Tables),
    Snapshot(snapshot::Snapshot),
    Diff(diff::Diff),
    Revert(revert::Revert),
    History(history::History),
    Stat(stat::Stat),
    Map(map::Map),
    Report(report::Report),
    Readers(readers::Readers),
    Check(check::Check),
    Compact(compact::Compact),
    Salvage(salvage::Salvage),
    Backup(backup::Backup),
    Restore(restore::Restore),
    Dump(dump::Dump),
    Load(load::Load),
    ImportLmdb(import_lmdb::ImportLmdb),
    Bench(bench::Bench),
    Shell(shell::Shell),
    Completions(completions::Completions),
    #[command(hide = true)]
    Man(man::Man),
}
