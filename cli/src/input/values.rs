//! Values from the command line, from a file (`@FILE`) or from standard input (`-`). Those of files and pipes may be
//! larger than memory, and are put in parts.

use crate::database::Database;
use crate::exit::{input_name, Failure, Outcome};
use crate::input::bytes::{from_hex, Syntax};
use crate::interrupt::Wakeful;
use kv_engine::{PutMode, TableId, WriteTxn};
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
            Value::Input => from_stream(txn, at, syntax, &mut Wakeful::stdin()?, (Path::new("-"), 0)),
            Value::File(path, file) => {
                // A hint is enough: a file may change while it is read, and pipes have no length.
                let len = file.metadata().map_or(0, |facts| facts.len());
                from_stream(txn, at, syntax, &mut Wakeful::new(file), (&path, len))
            }
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

/// Puts what a stream has, in parts.
fn from_stream(
    txn: &mut WriteTxn,
    at: &Target<'_>,
    syntax: Syntax,
    from: &mut dyn Read,
    name_and_hint: (&Path, u64),
) -> Outcome<()> {
    let (name, hint) = name_and_hint;
    if syntax == Syntax::Hex {
        let mut digits = Vec::new();
        from.read_to_end(&mut digits)
            .map_err(|e| Failure::input(name, "read", &e))?;
        let digits = digits.trim_ascii_end();
        let bytes = from_hex(digits).map_err(|what| Failure::usage(format!("{}: {what}", input_name(name))))?;
        return at.answer(txn.put(at.table, at.key, &bytes, at.mode));
    }
    let mut part = vec![0; PART];
    let mut filled = fill(from, &mut part, name)?;
    if filled < PART {
        return at.answer(txn.put(at.table, at.key, &part[..filled], at.mode));
    }
    let mut writer = at.answer(txn.writer(at.table, at.key, hint, at.mode))?;
    while filled > 0 {
        at.answer(writer.write(txn, &part[..filled]))?;
        filled = fill(from, &mut part, name)?;
    }
    at.answer(writer.finish(txn))
}

/// Reads until the buffer is full or the stream ends. Returns how many bytes were read.
fn fill(from: &mut dyn Read, buffer: &mut [u8], name: &Path) -> Outcome<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Failure::input(name, "read", &e)),
        }
    }
    Ok(filled)
}
