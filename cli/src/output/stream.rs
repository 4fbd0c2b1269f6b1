//! Standard output. What is written is collected, so that a scan does not make a system call for each entry, and an
//! error is reported, but for a pipe whose reader has gone.

use super::pager::Paged;
use crate::closed::is_stdout_closed;
use crate::exit::{Exit, Failure, Interruption, Outcome};
use crate::interrupt::{self, Wakeful};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether long output on a terminal goes through a pager.
static PAGES: AtomicBool = AtomicBool::new(false);

/// From now on, long output on a terminal goes through a pager.
pub fn page() {
    PAGES.store(true, Relaxed);
}

/// Where output goes.
enum Target {
    /// Standard output as it is.
    Plain(Wakeful),
    /// A terminal with a pager.
    Paged(Paged),
    /// There is none.
    Closed,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // In a shell, Ctrl-C does not end the process. Output that is written without a look at it ends here.
        if interrupt::was_interrupted() {
            return Err(io::Error::other(Interruption));
        }
        match self {
            Target::Plain(file) => file.write(bytes),
            Target::Paged(paged) => paged.write(bytes),
            Target::Closed => Err(rustix::io::Errno::BADF.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Target::Plain(file) => file.flush(),
            Target::Paged(paged) => paged.flush(),
            Target::Closed => Ok(()),
        }
    }
}

/// Standard output, or a file in its place.
pub struct Out {
    to: BufWriter<Target>,
    /// Whether somebody looks at it while it is written.
    is_terminal: bool,
}

/// Returns how a command ends whose work does not end with its output: by what the work found (`exit`), even if the
/// reader of a pipe has gone (`kv check db | head`). Other failures to write are reported.
pub fn ended(written: Outcome<()>, exit: Exit) -> Outcome {
    match written {
        Err(failure) if failure.exit() != Exit::Done => Err(failure),
        _ => Ok(exit),
    }
}

impl Out {
    /// Opens standard output.
    pub fn open() -> Outcome<Out> {
        let stdout = io::stdout();
        let copy = stdout.as_fd().try_clone_to_owned().map_err(|e| Failure::output(&e))?;
        let is_terminal = stdout.is_terminal();
        let rows = terminal_size::terminal_size_of(&stdout).map(|(_, rows)| usize::from(rows.0));
        let target = match rows.filter(|rows| is_terminal && *rows > 1 && PAGES.load(Relaxed)) {
            // A row is left for the prompt.
            Some(rows) => Target::Paged(Paged::new(File::from(copy), rows - 1)),
            None if is_stdout_closed() => Target::Closed,
            None => Target::Plain(Wakeful::new(File::from(copy))),
        };
        Ok(Out {
            to: BufWriter::with_capacity(1 << 16, target),
            is_terminal,
        })
    }

    /// Returns whether standard output is a terminal.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.to.write_all(bytes).map_err(|e| Failure::output(&e))
    }

    /// Writes what is formatted.
    pub fn text(&mut self, text: impl std::fmt::Display) -> Outcome<()> {
        write!(self.to, "{text}").map_err(|e| Failure::output(&e))
    }

    /// Writes what is formatted, and ends the line.
    pub fn line(&mut self, text: impl std::fmt::Display) -> Outcome<()> {
        writeln!(self.to, "{text}").map_err(|e| Failure::output(&e))
    }

    /// Writes out what was collected. A command that has written ends with this, because only then errors are known.
    pub fn finish(&mut self) -> Outcome<()> {
        self.to.flush().map_err(|e| Failure::output(&e))
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
