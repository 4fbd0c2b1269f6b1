//! `kv backup`: copying a database in use.

use crate::context::Context;
use crate::exit::{is_interruption, shown, Exit, Failure, Outcome};
use crate::input::args::{OverwriteArgs, StateArg};
use crate::inspect::{holders, states};
use crate::output::progress;
use crate::output::stream::Out;
use clap::Args;
use kv_engine::{BackupOptions, Error};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Copies the database as it is now, or as a snapshot has it, into a new file, or to standard output (-).
///
/// Others can read and write meanwhile. Every page is verified on the way, so a damaged database gives no backup (exit
/// status 3). The file appears under its name when it is whole and durable. A backup is a database: kv restore, or cp,
/// makes it one to work with. It is of one state and has no snapshots, which stay behind.
#[derive(Debug, Args)]
pub struct Backup {
    /// The database.
    file: PathBuf,
    /// The new file, or - for standard output.
    target: PathBuf,
    /// Puts all entries into new pages, so that the copy is as small as can be.
    #[arg(long)]
    compact: bool,
    #[command(flatten)]
    replaces: OverwriteArgs,
    #[command(flatten)]
    at: StateArg,
}

impl Backup {
    /// Copies.
    pub fn run(self, context: &Context) -> Outcome {
        let (database, txn) = states::open_own(&self.file, &self.at, context)?;
        let options = BackupOptions {
            compact: self.compact,
            overwrite: self.replaces.overwrite,
        };
        let to_stream = self.target == Path::new("-");
        if to_stream && io::stdout().is_terminal() {
            return Err(Failure::usage(
                "standard output is a terminal; send the backup into a file or a pipe",
            ));
        }
        if !to_stream {
            holders::check_target(&self.target, self.replaces, context)?;
        }
        let mut out = Out::open()?;
        let mut bytes = 0;
        let mut unwritten = None;
        let copied = progress::of_job(context, "copying", database.db.stat().pages, |job| {
            if !to_stream {
                return txn.backup(&self.target, options, job);
            }
            let mut failed = |error| {
                unwritten = Some(error);
                Error::Cancelled
            };
            txn.backup_to(options, job, &mut |part| {
                bytes += part.len() as u64;
                out.write_all(part).map_err(&mut failed)
            })?;
            out.flush().map_err(failed)
        });
        // A pipe that is closed early is an error here: the backup is not whole.
        if let Some(error) = unwritten.filter(|error| !is_interruption(error)) {
            return Err(Failure::whole_output(&error));
        }
        copied.map_err(|error| database.fail(error))?;
        if !to_stream {
            // The backup is made, whatever became of the file since.
            bytes = std::fs::metadata(&self.target).map_or(0, |facts| facts.len());
        }
        let commit = txn.id();
        context.say(format_args!(
            "{}: commit {commit} was copied, {bytes} bytes",
            shown(&self.file)
        ));
        Ok(Exit::Done)
    }
}
