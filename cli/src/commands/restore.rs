//! `kv restore`: making a database of a backup.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::interrupt::{self, Wakeful};
use crate::output::progress::{Progress, Unit};
use clap::Args;
use kv_engine::{BackupOptions, Job};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Makes a database of a backup, which is a file or comes from standard input (-).
///
/// Every page is verified on the way. The new file appears under its name when it is whole and durable; if the backup is
/// damaged, the exit status is 3 and nothing appears. A backup from standard input is written beside the target first,
/// so that for a while there must be room for it twice.
#[derive(Debug, Args)]
pub struct Restore {
    /// The backup, or - for standard input.
    backup: PathBuf,
    /// The new database.
    target: PathBuf,
    /// Replaces the target if it is there already. Programs that have it open go on with the old one.
    #[arg(long)]
    overwrite: bool,
}

impl Restore {
    /// Restores.
    pub fn run(self, context: &Context) -> Outcome {
        if self.backup != Path::new("-") {
            return self.copy(&self.backup, context);
        }
        if !self.overwrite && self.target.exists() {
            let path = shown(&self.target);
            let what = format!("{path}: the file exists already; give another name, or --overwrite");
            return Err(Failure::new(Exit::Refused, what));
        }
        interrupt::watch();
        let received = Received::new(&self.target)?;
        received.fill(context)?;
        self.copy(&received.path, context)
    }

    fn copy(&self, backup: &Path, context: &Context) -> Outcome {
        let database = Database::to_read(backup, context)?;
        let txn = database.read()?;
        let options = BackupOptions {
            compact: false,
            overwrite: self.overwrite,
        };
        let copied = {
            let mut progress = Progress::new(context, "restoring", Unit::Pages, Some(database.db.stat().pages));
            let mut tell = |done, total| progress.tell(done, total);
            txn.backup(&self.target, options, &Job::new(&mut tell))
        };
        copied.map_err(|error| database.fail(error))?;
        context.say(format_args!(
            "{}: commit {} was restored",
            shown(&self.target),
            txn.id()
        ));
        Ok(Exit::Done)
    }
}

/// A backup that came through a pipe, in a file beside the target. It is removed in the end.
struct Received {
    path: PathBuf,
}

impl Received {
    fn new(target: &Path) -> Outcome<Received> {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let path = folder.join(format!(".kv-restore-{}", std::process::id()));
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        made.map_err(|e| Failure::file(&path, "create", &e))?;
        Ok(Received { path })
    }

    fn fill(&self, context: &Context) -> Outcome<()> {
        let mut progress = Progress::new(context, "receiving", Unit::Bytes, None);
        let mut file = File::create(&self.path).map_err(|e| Failure::file(&self.path, "open", &e))?;
        let mut from = Wakeful::stdin().map_err(|e| Failure::file(Path::new("standard input"), "open", &e))?;
        let mut part = vec![0; 1 << 20];
        loop {
            interrupt::check()?;
            match from.read(&mut part) {
                // A pipe also ends because what fills it was interrupted.
                Ok(0) => return interrupt::check(),
                Ok(n) => {
                    file.write_all(&part[..n])
                        .map_err(|e| Failure::file(&self.path, "write", &e))?;
                    progress.more(n as u64)?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Failure::file(Path::new("standard input"), "read", &e)),
            }
        }
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        // A file that is left over wastes space but endangers nothing.
        let _ = std::fs::remove_file(&self.path);
    }
}
