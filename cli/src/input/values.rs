//! Values from the command line, from a file (`@FILE`) or from standard input (`-`). Those of files and pipes may be
//! larger than memory, and are put in parts.

use super::digits::Digits;
use super::parts::fill;
use crate::database::Database;
use crate::exit::{input_name, Exit, Failure, Outcome};
use crate::input::bytes::Syntax;
use crate::interrupt::Wakeful;
use kv_engine::{PutMode, TableId, WriteTxn, VALUE_MAX};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where a value comes from.
#[derive(Debug)]
pub enum Value {
    /// It was typed.
    Typed(Vec<u8>),
    /// It is what a file has. It is open already, so that a name that is wrong is reported before anything is done.
    File(PathBuf, File),
    /// It is what comes through standard input.
    Input,
}

/// How many bytes of a file are put at once.
const PART: usize = 1 << 20;

impl Value {
    /// Returns where the value of an argument comes from.
    pub fn of(typed: &OsStr, syntax: Syntax) -> Outcome<Value> {
        match typed.as_bytes() {
            b"-" => Ok(Value::Input),
            b"@" => Err(Failure::usage(
                "@ is followed by the name of a file that has the value; for the value @ itself, give '\\@'",
            )),
            [b'@', name @ ..] => {
                let path = PathBuf::from(OsStr::from_bytes(name));
                let file = File::open(&path).map_err(|e| {
                    let failure = Failure::file(&path, "open", &e);
                    failure.advise("@ names a file that has the value; for a value that begins with @, give '\\@...'")
                })?;
                Ok(Value::File(path, file))
            }
            _ => Ok(Value::Typed(syntax.read(typed)?)),
        }
    }

    /// Puts the value.
    pub fn put(self, txn: &mut WriteTxn, at: &Target<'_>, syntax: Syntax) -> Outcome<()> {
        match self {
            Value::Typed(bytes) => at.answer(txn.put(at.table, at.key, &bytes, at.mode)),
            Value::Input => Source::new(Path::new("-"), Wakeful::stdin()?, syntax).put(txn, at),
            Value::File(path, file) => Source::new(&path, Wakeful::new(file), syntax).put(txn, at),
        }
    }
}

/// Where a value goes.
pub struct Target<'a> {
    /// The database.
    pub database: &'a Database,
    /// The table.
    pub table: TableId,
    /// The key.
    pub key: &'a [u8],
    /// What is done with a key that is there already, or not yet.
    pub mode: PutMode,
}

impl Target<'_> {
    fn answer<T>(&self, result: kv_engine::Result<T>) -> Outcome<T> {
        result.map_err(|error| self.database.fail(error))
    }
}

/// A file or a pipe that has a value.
struct Source<'n> {
    name: &'n Path,
    from: Box<dyn Read>,
    /// How long the value is, or 0 if that is not known. This is a hint: a file may change while it is read.
    hint: u64,
    is_device: bool,
}

impl<'n> Source<'n> {
    fn new(name: &'n Path, file: Wakeful, syntax: Syntax) -> Source<'n> {
        let (len, is_device) = (file.len(), file.is_device());
        let (from, hint): (Box<dyn Read>, u64) = match syntax {
            Syntax::Text => (Box::new(file), len),
            Syntax::Hex => (Box::new(Digits::new(file)), len / 2),
        };
        Source {
            name,
            from,
            hint,
            is_device,
        }
    }

    /// Puts the value, in parts.
    fn put(mut self, txn: &mut WriteTxn, at: &Target<'_>) -> Outcome<()> {
        let name = input_name(self.name);
        // The engine would notice that behind all the bytes that can be put.
        if self.hint > VALUE_MAX {
            let long = self.hint;
            let what = format!("{name}: a value of {long} bytes is too long; it can have {VALUE_MAX} at most");
            return Err(Failure::new(Exit::Refused, what));
        }
        let mut part = vec![0; PART];
        let mut filled = self.fill(&mut part)?;
        if filled < PART {
            return at.answer(txn.put(at.table, at.key, &part[..filled], at.mode));
        }
        // /dev/zero would fill the disk.
        if self.is_device {
            let what = format!(
                "{name}: this is a device that may have no end; write as many bytes of it as you want into a pipe \
                 (head -c BYTES), and give -"
            );
            return Err(Failure::new(Exit::Refused, what));
        }
        let mut writer = at.answer(txn.writer(at.table, at.key, self.hint, at.mode))?;
        while filled > 0 {
            at.answer(writer.write(txn, &part[..filled]))?;
            filled = self.fill(&mut part)?;
        }
        at.answer(writer.finish(txn))
    }

    /// Reads until the buffer is full or the source ends. Returns how many bytes were read.
    fn fill(&mut self, buffer: &mut [u8]) -> Outcome<usize> {
        fill(&mut self.from, buffer).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => Failure::usage(format!("{}: {e}", input_name(self.name))),
            _ => Failure::input(self.name, "read", &e),
        })
    }
}
