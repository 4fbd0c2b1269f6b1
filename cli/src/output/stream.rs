//! Standard output. What is written is collected, so that a scan does not make a system call for each entry, and an error
//! is told, but for a pipe whose reader has gone.

use crate::exit::{Failure, Outcome};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

/// Standard output, or a file in its place.
pub struct Out {
    to: BufWriter<File>,
    /// Whether somebody looks at it while it is written.
    is_terminal: bool,
}

impl Out {
    /// Opens standard output.
    pub fn open() -> Outcome<Out> {
        let stdout = io::stdout();
        let copy = stdout.as_fd().try_clone_to_owned().map_err(|e| Failure::output(&e))?;
        Ok(Out {
            to: BufWriter::with_capacity(1 << 16, File::from(copy)),
            is_terminal: stdout.is_terminal(),
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
