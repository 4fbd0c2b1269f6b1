//! Lines of a file or of a pipe, with their numbers for messages and their bytes for progress.

use crate::exit::{input_name, Exit, Failure, Outcome};
use crate::interrupt::Wakeful;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// How many bytes are read at once of a line, and from how many bytes on there may be no memory for what is made of it.
const PART: usize = 1 << 16;
pub const LONG: usize = 1 << 20;

/// The byte order mark that some programs write before text.
pub const MARK: &[u8] = b"\xef\xbb\xbf";

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

    /// Returns the first bytes without taking them: so many behind blanks, or fewer if the input has no more. A pipe
    /// may bring them in parts.
    pub fn peek(&mut self, bytes: usize) -> Outcome<Vec<u8>> {
        let mut begin = Vec::new();
        while begin.trim_ascii_start().len() < bytes && begin.len() < LONG {
            let part = match self.from.fill_buf() {
                Ok([]) => break,
                Ok(part) => part,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Failure::input(&self.name, "read", &e)),
            };
            let taken = part.len();
            begin.extend_from_slice(part);
            self.from.consume(taken);
        }
        let rest = std::mem::replace(&mut self.from, Box::new(io::empty()));
        self.from = Box::new(io::Cursor::new(begin.clone()).chain(rest));
        Ok(begin)
    }

    /// Returns the next line without its end, or `None` behind the last.
    pub fn next(&mut self) -> Outcome<Option<&[u8]>> {
        match read_line(&mut self.from, &mut self.line) {
            Ok(0) => Ok(None),
            Ok(bytes) => {
                self.number += 1;
                self.bytes += bytes as u64;
                let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
                match self.number {
                    1 => Ok(Some(line.strip_prefix(MARK).unwrap_or(line))),
                    _ => Ok(Some(line)),
                }
            }
            Err(e) if e.kind() == io::ErrorKind::OutOfMemory => {
                Err(no_memory(&self.name, self.number + 1, self.line.len()))
            }
            Err(e) => Err(Failure::input(&self.name, "read", &e)),
        }
    }

    /// Returns the rest as a stream, for a parser that finds lines by itself, and the name for its messages.
    pub fn into_rest(self) -> (Box<dyn BufRead>, PathBuf) {
        (self.from, self.name)
    }

    /// Returns the failure for input that has nothing, where it should begin in a certain way.
    pub fn empty(&self, begin: &str) -> Failure {
        nothing(&self.name, begin)
    }

    /// Returns the failure for what is wrong in the line that was read last.
    pub fn wrong(&self, what: impl std::fmt::Display) -> Failure {
        wrong_line(&self.name, self.number, what)
    }
}

/// Reads the next line, with its end. Returns how many bytes it has: 0 at the end of the input. Input may have no line
/// end at all, so that there is no memory for it; the standard library would end the process then.
pub fn read_line(from: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    loop {
        if line.try_reserve(PART).is_err() || line.len() >= LONG && !has_room(line.len()) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        let mut part = from.take(PART as u64);
        if part.read_until(b'\n', line)? < PART || line.ends_with(b"\n") {
            return Ok(line.len());
        }
    }
}

/// Returns the failure for input that has nothing, where it should begin in a certain way.
pub fn nothing(name: &Path, begin: &str) -> Failure {
    let name = input_name(name);
    Failure::usage(format!(
        "{name}: the input is empty, and {begin}; see whether what writes it has failed"
    ))
}

/// Returns the failure for what is wrong in a line of the input.
pub fn wrong_line(name: &Path, number: u64, what: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, format!("{}: line {number}: {what}", input_name(name)))
}

/// Returns whether there is memory for the copies that are made of so many bytes of input: those of a parser, of a key
/// or value, and of a transaction.
pub fn has_room(bytes: usize) -> bool {
    let copies = bytes.saturating_mul(4);
    Vec::<u8>::new().try_reserve_exact(copies).is_ok()
}

/// Returns the failure for a line that is so long that there is no memory for it.
pub fn no_memory(name: &Path, number: u64, bytes: usize) -> Failure {
    Failure::new(
        Exit::System,
        format!(
            "{}: line {number}: there is no memory for a line of more than {bytes} bytes; see that it ends, or put its \
             value from a file (kv put)",
            input_name(name)
        ),
    )
}
