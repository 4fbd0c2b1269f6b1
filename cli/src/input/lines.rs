//! Lines of a file or of a pipe, with their numbers for messages and their bytes for progress.

use crate::exit::{input_name, Exit, Failure, Outcome};
use crate::interrupt::Wakeful;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Input that is read line by line.
pub struct Lines {
    from: Box<dyn BufRead>,
    name: PathBuf,
    /// How many lines were read.
    pub number: u64,
    /// How many bytes were read.
    pub bytes: u64,
    /// How many bytes there are, if that is known.
    pub total: Option<u64>,
    line: Vec<u8>,
}

impl Lines {
    /// Opens a file, or standard input if the name is `-`.
    pub fn open(path: &Path) -> Outcome<Lines> {
        let (from, total) = match path == Path::new("-") {
            true => (Wakeful::stdin()?, None),
            false => {
                let file = File::open(path).map_err(|e| Failure::file(path, "open", &e))?;
                let facts = file.metadata().map_err(|e| Failure::file(path, "look at", &e))?;
                (Wakeful::new(file), facts.is_file().then_some(facts.len()))
            }
        };
        let from = Box::new(BufReader::with_capacity(1 << 16, from));
        Ok(Lines {
            from,
            name: path.to_path_buf(),
            number: 0,
            bytes: 0,
            total,
            line: Vec::new(),
        })
    }

    /// Returns the first bytes without taking them.
    pub fn peek(&mut self) -> Outcome<&[u8]> {
        let name = &self.name;
        self.from.fill_buf().map_err(|e| Failure::input(name, "read", &e))
    }

    /// Returns the next line without its end, or `None` behind the last.
    pub fn next(&mut self) -> Outcome<Option<&[u8]>> {
        self.line.clear();
        let read = self.from.read_until(b'\n', &mut self.line);
        match read.map_err(|e| Failure::input(&self.name, "read", &e))? {
            0 => Ok(None),
            n => {
                self.number += 1;
                self.bytes += n as u64;
                Ok(Some(self.line.strip_suffix(b"\n").unwrap_or(&self.line)))
            }
        }
    }

    /// Returns the rest as a stream, for a parser that finds lines by itself, and the name for its messages.
    pub fn into_rest(self) -> (Box<dyn BufRead>, PathBuf) {
        (self.from, self.name)
    }

    /// Returns the failure for what is wrong in the line that was read last.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Failure {
        wrong_line(&self.name, self.number, what)
    }
}

/// Returns the failure for what is wrong in a line of the input.
pub fn wrong_line(name: &Path, number: u64, what: impl std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("{}: line {number}: {what}; nothing more was loaded", input_name(name)),
    )
}
