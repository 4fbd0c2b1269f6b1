//! How the program ends: the codes, the messages, and which error of the engine leads to which.
//!
//! A message has one form, `kv: PATH: what happened; what to do next`.

use crate::closed::is_stdout_closed;
use kv_engine::{Error, Foreign, ShownPath, TableId};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// The codes with which the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Everything was done.
    Done = 0,
    /// There is no such key or table.
    NotFound = 1,
    /// The command line or the input is wrong.
    Usage = 2,
    /// The file is damaged.
    Damage = 3,
    /// Others have what was waited for.
    Busy = 4,
    /// The system reported an error or a limit.
    System = 5,
    /// The database or its file does not allow it.
    Refused = 6,
    /// The user interrupted the work.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub struct Failure {
    /// The code to end with.
    exit: Exit,
    /// What to say; nothing if it is empty.
    message: String,
}

/// What reading and writing fail with when the user has interrupted the work.
#[derive(Debug)]
pub struct Interruption;

impl std::error::Error for Interruption {}

impl Display for Interruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

/// What a command returns: how it ended, or why it ended early.
pub type Outcome<T = Exit> = Result<T, Failure>;

impl Failure {
    /// Returns a failure with its message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
        }
    }

    /// Returns a failure because of what was typed or read.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// Returns the end of work that the user has interrupted.
    pub fn interrupted() -> Failure {
        Failure::new(Exit::Interrupted, "interrupted")
    }

    /// Returns the end of a program whose reader has gone. That is no error: `kv scan | head` has what it wants.
    fn closed_pipe() -> Failure {
        Failure::new(Exit::Done, "")
    }

    /// Returns why something could not be written to standard output.
    pub fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::closed_pipe(),
            _ => Failure::whole_output(error),
        }
    }

    /// Returns why something could not be written to standard output that is of use as a whole only.
    pub fn whole_output(error: &io::Error) -> Failure {
        Failure::of_system("standard output", "write", error)
    }

    /// Returns why something could not be done with a file that is no database.
    pub fn file(path: &Path, doing: &str, error: &io::Error) -> Failure {
        Failure::of_system(shown(path), doing, error)
    }

    /// Returns why input could not be read, which is standard input if the path is `-`.
    pub fn input(path: &Path, doing: &str, error: &io::Error) -> Failure {
        Failure::of_system(input_name(path), doing, error)
    }

    /// Returns why the system did not do something.
    fn of_system(what: impl Display, doing: &str, error: &io::Error) -> Failure {
        if is_interruption(error) {
            return Failure::interrupted();
        }
        let reason = error.to_string();
        // The number is for programs, and the exit status is what they get.
        let reason = reason.split(" (os error").next().unwrap_or_default();
        let advice = match error.kind() {
            _ if Errno::from_io_error(error) == Some(Errno::BADF) => "see that it is not closed (>&-)",
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "check the name",
            io::ErrorKind::IsADirectory => "name a file",
            io::ErrorKind::AlreadyExists => "remove it, or give another name",
            io::ErrorKind::PermissionDenied => "check the permissions of the file and of its folder",
            io::ErrorKind::ReadOnlyFilesystem => "choose a place that can be written",
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room, and repeat",
            io::ErrorKind::BrokenPipe => "see that its reader reads it to its end",
            io::ErrorKind::FileTooLarge => "raise the limit on the length of files (ulimit -f)",
            _ => "look into the log of the system, and repeat",
        };
        Failure::new(Exit::System, format!("{what}: cannot {doing}: {reason}; {advice}"))
    }

    /// Returns what an error of the engine means for the database at `path`.
    pub fn of(path: &Path, error: Error) -> Failure {
        if let (Error::NotADatabase(_) | Error::NoFile(_), Some(database)) = (&error, database_beside(path)) {
            return Failure::bare(path, &error).advise(format_args!(
                "a file NAME-shm is memory that is there while NAME is open, and never the database; give {}",
                shown(database)
            ));
        }
        match &error {
            Error::Corrupt(_) => {
                Failure::bare(path, &error).advise("restore a backup (kv restore), or save what is left (kv salvage)")
            }
            Error::NotADatabase(_) if error.foreign() == Some(Foreign::Headless) => Failure::bare(path, &error).advise(
                "check the name of the file; if it was a database, its head is destroyed: save what is left (kv salvage)",
            ),
            Error::NotADatabase(_) => Failure::bare(path, &error).advise("check the name of the file"),
            Error::NoFile(_) => Failure::bare(path, &error).advise("check the name"),
            Error::Access(_) => {
                Failure::bare(path, &error).advise("check the permissions of the file and of its folder")
            }
            Error::FileExists(_) => Failure::bare(path, &error).advise("give another name, or --overwrite"),
            Error::NoTable(missing) if missing.table.is_some() => {
                // Commands find tables by name, so this number comes from the list of names.
                let table = missing.table.unwrap_or(TableId::MAIN);
                let what = format!("the list of names has table number {table}, of which the catalogue has no record");
                Failure::about(path, &error, what).advise(
                    "see what else is damaged (kv check), restore a backup (kv restore), or save what is left (kv salvage)",
                )
            }
            Error::Cancelled => Failure::new(Exit::Interrupted, format!("{}: interrupted", shown(path))),
            _ => Failure::about(path, &error, error.to_string()),
        }
    }

    /// Returns what an error of the engine means, without advice: what to do next depends on the command.
    pub fn bare(path: &Path, error: &Error) -> Failure {
        Failure::about(path, error, error.bare().to_string())
    }

    /// Returns a failure that names the file once.
    fn about(path: &Path, error: &Error, what: String) -> Failure {
        if error.file().is_none() {
            return Failure::new(exit_of(error), format!("{}: {what}", shown(path)));
        }
        // The engine names a file by its whole path. Messages name what was typed.
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        match what.strip_prefix(&format!("{}: ", shown(&whole))) {
            Some(what) => Failure::new(exit_of(error), format!("{}: {what}", shown(path))),
            None => Failure::new(exit_of(error), what),
        }
    }

    /// Shows what clap says of a command line: what is wrong with it, or the help that it asks for.
    pub fn command_line(error: &clap::Error) -> Outcome {
        let text = error.render().to_string();
        let written = match text.strip_prefix("error: ") {
            Some(wrong) => write!(io::stderr(), "kv: {wrong}"),
            None if is_stdout_closed() && !error.use_stderr() => Err(Errno::BADF.into()),
            None => error.print().and_then(|()| io::stdout().flush()),
        };
        match error.use_stderr() {
            // Nobody is left to be told if standard error cannot be written.
            true => Ok(Exit::Usage),
            false => written.map(|()| Exit::Done).map_err(|e| Failure::output(&e)),
        }
    }

    /// Says of standard input what a failure says of the temporary file that has it, which is gone when the user reads
    /// this. What the input lacks cannot be saved from that file either, so the advice is another one.
    pub fn about_input(mut self, file: &Path) -> Failure {
        let name = format!("{}: ", shown(Path::new(file.file_name().unwrap_or_default())));
        if let Some((_, what)) = self.message.split_once(&name) {
            self.message = match self.exit {
                Exit::Damage | Exit::Refused => {
                    let what = what.split("; ").next().unwrap_or(what);
                    format!("standard input: {what}; send the backup again, as a whole")
                }
                _ => format!("standard input: {what}"),
            };
        }
        self
    }

    /// Adds what to do next.
    pub fn advise(mut self, advice: impl Display) -> Failure {
        self.message = format!("{}; {advice}", self.message);
        self
    }

    /// Returns what is to be said.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the code.
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Says on standard error what happened, and returns the code.
    pub fn tell(self) -> ExitCode {
        if !self.message.is_empty() {
            // Nobody is left to be told if standard error is closed.
            let _ = writeln!(io::stderr(), "kv: {}", self.message);
        }
        self.exit.into()
    }
}

/// Returns whether reading or writing ended because the user wants that.
pub fn is_interruption(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Interruption>())
}

/// Returns the code for an error of the engine.
fn exit_of(error: &Error) -> Exit {
    match error {
        Error::NoTable(missing) if missing.table.is_some() => Exit::Damage,
        Error::NotFound | Error::NoTable(_) => Exit::NotFound,
        Error::Invalid(_) => Exit::Usage,
        Error::Corrupt(_) => Exit::Damage,
        Error::Busy(_) => Exit::Busy,
        Error::Cancelled => Exit::Interrupted,
        Error::Exists(_)
        | Error::FileExists(_)
        | Error::Order(_)
        | Error::ReadOnly(_)
        | Error::TooBig { .. }
        | Error::Unsupported(_)
        | Error::NotADatabase(_)
        | Error::TooNew(_)
        | Error::TooOld(_) => Exit::Refused,
        _ => Exit::System,
    }
}

/// Returns the database beside which this file is while it is open, if the name is that of such a file.
pub fn database_beside(path: &Path) -> Option<&Path> {
    let name = path.as_os_str().as_bytes().strip_suffix(b"-shm")?;
    (!name.is_empty() && !name.ends_with(b"/")).then(|| Path::new(OsStr::from_bytes(name)))
}

/// Returns a path as messages show it: in one line, and readable whatever bytes it has.
pub fn shown(path: &Path) -> impl Display + '_ {
    ShownPath(path.as_os_str().as_bytes())
}

/// Returns input as messages show it: the path, or standard input if that is `-`.
pub fn input_name(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".to_string(),
        false => shown(path).to_string(),
    }
}

/// Turns an error of the engine into a failure that names the file.
pub trait About<T> {
    /// Names the file in an error.
    fn about(self, path: &Path) -> Outcome<T>;
}

impl<T> About<T> for kv_engine::Result<T> {
    fn about(self, path: &Path) -> Outcome<T> {
        self.map_err(|error| Failure::of(path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kv_engine::{Db, Options, Range, Reader};

    #[test]
    fn a_number_without_a_table_is_damage() {
        let path = std::env::temp_dir().join(format!("kv-exit-{}", std::process::id()));
        let db = Db::open(&path, &Options::default()).expect("open");
        let txn = db.begin_read().expect("begin");
        let error = (&txn).count(TableId::new(77), &Range::default());
        let failure = Failure::of(Path::new("db"), error.expect_err("there is no such table"));
        assert_eq!(failure.exit(), Exit::Damage);
        assert!(
            failure.message.contains("77") && failure.message.contains("kv check"),
            "{failure:?}"
        );
        let failure = Failure::of(
            Path::new("db"),
            (&txn).table(b"none").expect_err("there is no such table"),
        );
        assert_eq!(failure.exit(), Exit::NotFound);
        drop((txn, db));
        std::fs::remove_file(&path).expect("a file");
    }
}
