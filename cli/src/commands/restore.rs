//! `kv restore`: restoring a database from a backup.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::input::args::OverwriteArgs;
use crate::inspect::holders;
use crate::interrupt::{self, Wakeful};
use crate::output::progress::{self, Progress, Unit};
use crate::temporary::Temporary;
use clap::Args;
use kv_engine::BackupOptions;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Restores a database from a backup, which is a file or comes from standard input (-).
///
/// Every page is verified on the way. The new file appears under its name when it is whole and durable; if the backup
/// is damaged, the exit status is 3 and nothing appears. A backup from standard input is written beside the target
/// first, so that for a while there must be room for it twice.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup, or - for standard input.
    backup: PathBuf,
    /// The new database.
    target: PathBuf,
    #[command(flatten)]
    replaces: OverwriteArgs,
}

impl Restore {
    /// Restores.
    pub fn run(self, context: &Context) -> Outcome {
        holders::check_target(&self.target, self.replaces, context)?;
        if self.backup != Path::new("-") {
            return self.copy(&self.backup, context);
        }
        if !self.replaces.overwrite && self.target.exists() {
            let path = shown(&self.target);
            let what = format!("{path}: the file exists already; give another name, or --overwrite");
            return Err(Failure::new(Exit::Refused, what));
        }
        interrupt::watch();
        // What came through a pipe lies beside the target until it is verified.
        // Where it replaces a file that others may not read, they may not read it meanwhile either. A new file gets no
        // more permissions than this one.
        let mode = if self.target.exists() { 0o600 } else { 0o666 };
        let (received, file) = Temporary::file(&self.target, "restore", mode)?;
        receive(file, &self.target, context)?;
        self.copy(received.path(), context)
            .map_err(|failure| failure.about_input(received.path()))
    }

    fn copy(&self, backup: &Path, context: &Context) -> Outcome {
        let database = Database::to_read(backup, context)?;
        let txn = database.read()?;
        let options = BackupOptions {
            compact: false,
            overwrite: self.replaces.overwrite,
        };
        let copied = progress::of_job(context, "restoring", database.db.stat().pages, |job| {
            txn.backup(&self.target, options, job)
        });
        copied.map_err(|error| database.fail(error))?;
        // A copy is a commit of its own, so its number would not be the one that the backup named.
        let bytes = std::fs::metadata(&self.target).map_or(0, |facts| facts.len());
        context.say(format_args!(
            "{}: the backup was restored, {bytes} bytes",
            shown(&self.target)
        ));
        Ok(Exit::Done)
    }
}

/// Writes what comes from standard input into a file. Messages are about `target`, for which that is done.
fn receive(mut file: File, target: &Path, context: &Context) -> Outcome<()> {
    let mut progress = Progress::new(context, "receiving", Unit::Bytes, None);
    let mut from = Wakeful::stdin()?;
    let mut part = vec![0; 1 << 20];
    loop {
        interrupt::check()?;
        match from.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                file.write_all(&part[..n])
                    .map_err(|e| Failure::file(target, "write", &e))?;
                progress.more(n as u64)?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failure::input(Path::new("-"), "read", &e)),
        }
    }
}
