//! `kv del`: deleting entries, ranges and tables.

use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{About, Exit, Failure, Outcome};
use crate::input::args::{HexArg, RangeArgs, TableArg};
use crate::output::text::counted;
use clap::Args;
use kv_engine::TableId;
use std::ffi::OsString;
use std::path::PathBuf;

/// Deletes entries, in one transaction.
///
/// If a key is not there, the others are deleted nevertheless, and the exit status is 1.
#[derive(Debug, Args)]
pub struct Del {
    /// The database.
    file: PathBuf,
    /// The keys.
    #[arg(conflicts_with_all = ["prefix", "from", "to", "all", "drop"])]
    keys: Vec<OsString>,
    #[command(flatten)]
    range: RangeArgs,
    /// Deletes every entry of the table.
    #[arg(long, conflicts_with_all = ["prefix", "from", "to", "drop"])]
    all: bool,
    /// Removes the table with all its entries.
    #[arg(long, requires = "table", conflicts_with_all = ["prefix", "from", "to"])]
    drop: bool,
    #[command(flatten)]
    table: TableArg,
    #[command(flatten)]
    hex: HexArg,
    /// Does not wait until the commit is durable.
    #[arg(long)]
    lazy: bool,
}

impl Del {
    /// Deletes.
    pub fn run(self, context: &Context) -> Outcome {
        let syntax = self.hex.syntax();
        let name = self.table.name()?;
        let keys: Vec<Vec<u8>> = self.keys.iter().map(|key| syntax.read(key)).collect::<Outcome<_>>()?;
        let range = self.range.read(syntax)?;
        let deletes_range = !self.range.is_whole() || self.all;
        if keys.is_empty() && !deletes_range && !self.drop {
            return Err(Failure::usage(
                "nothing to delete is named; give keys, --prefix, --from, --to, --all or --drop",
            ));
        }
        // A script whose variable is empty does not mean all entries.
        if !self.range.is_whole() && range.is_everything() {
            return Err(Failure::usage(
                "the bound is empty, so that every entry would be deleted; give a key, or --all if that is meant",
            ));
        }
        let access = WriteAccess {
            lazy: self.lazy,
            ..WriteAccess::default()
        };
        // A file that is missing has nothing to delete, so there is no advice to create it.
        if !self.file.exists() {
            Database::to_read(&self.file, context)?;
        }
        let database = Database::to_write(&self.file, context, access)?;
        let mut txn = database.write()?;
        let table = match database.table(&mut *txn, name.as_deref()) {
            Ok(table) => table,
            Err(failure) => {
                txn.put_back();
                return Err(failure);
            }
        };
        let mut exit = Exit::Done;
        if self.drop && table != TableId::MAIN {
            txn.table_drop(table).about(&self.file)?;
        } else if deletes_range {
            let deleted = txn.delete_range(table, &range.range(false)).about(&self.file)?;
            context.say(format_args!(
                "{} deleted",
                counted(deleted, "entry was", "entries were")
            ));
        }
        for key in keys {
            if !txn.delete(table, &key).about(&self.file)? {
                database.no_key(name.as_deref(), &key).tell();
                exit = Exit::NotFound;
            }
        }
        txn.commit().about(&self.file)?;
        Ok(exit)
    }
}
