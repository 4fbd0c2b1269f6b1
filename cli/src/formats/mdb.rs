//! The text format of LMDB's `mdb_dump`, which `mdb_load` reads (and, with other heads, Berkeley DB's `db_dump`).
//!
//! ```text
//! VERSION=3
//! format=bytevalue          or format=print
//! database=NAME             not for the main table
//! type=btree
//! mapsize=1073741824        for mdb_load, which would take too little otherwise
//! HEADER=END
//!  6b6579                   a blank, then the key
//!  76616c7565               a blank, then its value
//! DATA=END
//! ```
//!
//! In `print`, bytes that can be seen are themselves, and others are a backslash and two hexadecimal digits: `\0a`. A
//! backslash is such a byte here. Newer versions of `mdb_dump` double it, which is read as well. Older ones (0.9.24)
//! write it as it is, so that what they write of a backslash cannot be told from an escape; `bytevalue` has no such
//! trap.

use super::lmdb_record;
use super::sink::{Sink, TableName, TableWriter};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::bytes::from_hex;
use crate::input::lines::Lines;
use crate::input::names;
use crate::output::stream::Out;
use crate::output::text::{hex, Quoted};

/// How bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Hexadecimal digits.
    ByteValue,
    /// Text where it can be seen.
    Print,
}

/// Writes tables.
pub struct Writer<'o> {
    /// Where they go.
    pub out: &'o mut Out,
    /// How bytes are written.
    pub style: Style,
    /// How many bytes of address space `mdb_load` is told to take.
    pub map_size: u64,
    /// What is worth a remark, and was not told yet.
    remark: Option<String>,
    has_remarked: bool,
}

/// The most bytes that LMDB takes for a key, as it is usually built.
const MOST: usize = 511;

impl<'o> Writer<'o> {
    /// Begins to write.
    pub fn new(out: &'o mut Out, style: Style, map_size: u64) -> Writer<'o> {
        Writer {
            out,
            style,
            map_size,
            remark: None,
            has_remarked: false,
        }
    }
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Outcome<()> {
        self.out.bytes(b" ")?;
        match self.style {
            Style::ByteValue => self.out.text(hex(bytes))?,
            Style::Print => self.out.bytes(&to_print(bytes))?,
        }
        self.out.bytes(b"\n")
    }
}

impl TableWriter for Writer<'_> {
    fn check(&self, name: TableName<'_>) -> Outcome<()> {
        match name {
            Some(name) if name.contains(&b'\n') || name.contains(&0) => Err(Failure::new(
                Exit::Refused,
                format!(
                    "the name of the table {} cannot be written in this format; dump it with --format json",
                    Quoted(name)
                ),
            )),
            _ => Ok(()),
        }
    }

    fn remark(&mut self) -> Option<String> {
        self.remark.take()
    }

    fn begin(&mut self, name: TableName<'_>) -> Outcome<()> {
        let format = match self.style {
            Style::ByteValue => "bytevalue",
            Style::Print => "print",
        };
        self.out.text(format_args!("VERSION=3\nformat={format}\n"))?;
        if let Some(name) = name {
            self.out.bytes(b"database=")?;
            self.out.bytes(name)?;
            self.out.bytes(b"\n")?;
        }
        let map_size = self.map_size;
        self.out
            .text(format_args!("type=btree\nmapsize={map_size}\nHEADER=END\n"))
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        if !(1..=MOST).contains(&key.len()) && !self.has_remarked {
            self.has_remarked = true;
            self.remark = Some(format!(
                "mdb_load does not take all keys: the key {} is {}; kv load takes them",
                Quoted(key),
                match key.is_empty() {
                    true => "empty".to_string(),
                    false => format!("longer than {MOST} bytes"),
                }
            ));
        }
        self.bytes(key)?;
        self.bytes(value)
    }

    fn end(&mut self) -> Outcome<()> {
        self.out.bytes(b"DATA=END\n")
    }
}

fn to_print(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b' '..=b'~' if *byte != b'\\' => out.push(*byte),
            _ => out.extend_from_slice(format!("\\{byte:02x}").as_bytes()),
        }
    }
    out
}

fn from_print(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, behind)) = rest.split_first() {
        rest = match (byte, behind) {
            (b'\\', [b'\\', behind @ ..]) => {
                out.push(b'\\');
                behind
            }
            (b'\\', _) => {
                let digits = behind.get(..2).and_then(|digits| from_hex(digits).ok());
                out.extend(digits.ok_or("a backslash is followed by neither a backslash nor two hexadecimal digits")?);
                &behind[2..]
            }
            _ => {
                out.push(*byte);
                behind
            }
        };
    }
    Ok(out)
}

/// What the head of a table says.
struct Head {
    style: Style,
    has_several_values: bool,
    /// The table; `None` is the main one.
    name: Option<Vec<u8>>,
}

/// Reads all tables.
pub fn read(lines: &mut Lines, sink: &mut dyn Sink) -> Outcome<()> {
    let (mut is_empty, mut has_warned) = (true, false);
    while let Some(head) = read_head(lines, sink)? {
        is_empty = false;
        while let Some(key) = read_bytes(lines, head.style, "a key, which begins with a blank, or DATA=END")? {
            let Some(value) = read_bytes(lines, head.style, "a value, which begins with a blank")? else {
                return Err(lines.wrong("DATA=END comes where the value of the last key should be"));
            };
            if head.name.is_none() && !has_warned && lmdb_record::is_one(&value) {
                has_warned = true;
                sink.remark(&format!(
                    "line {}: this looks like LMDB's own record of its database {}, and not like data: mdb_dump \
                     without -a leaves out what named databases have; kv import-lmdb reads all of them",
                    lines.number,
                    Quoted(&key)
                ));
            }
            if !head.has_several_values {
                sink.entry(&key, &value)?;
            } else if !sink.entry_once(&key, &value)? {
                return Err(lines.wrong(format_args!(
                    "the key {} has several values (duplicates=1), of which this database keeps only one; put them \
                     under different keys",
                    Quoted(&key)
                )));
            }
            sink.progress(lines.bytes)?;
        }
    }
    match is_empty {
        true => Err(lines.empty("what mdb_dump writes begins with VERSION=3")),
        false => Ok(()),
    }
}

/// Reads the head of the next table, or `None` at the end of the input.
fn read_head(lines: &mut Lines, sink: &mut dyn Sink) -> Outcome<Option<Head>> {
    let mut head = Head {
        style: Style::ByteValue,
        has_several_values: false,
        name: None,
    };
    let Some(mut line) = first_line(lines)? else {
        return Ok(None);
    };
    while line != b"HEADER=END" {
        match head.read(&line) {
            Ok(None) => {}
            Ok(Some(remark)) => sink.remark(&format!("line {}: {remark}", lines.number)),
            Err(what) => return Err(lines.wrong(what)),
        }
        line = match lines.next()? {
            Some(line) => line.to_vec(),
            None => return Err(lines.wrong("the input ends within a head, before HEADER=END")),
        };
    }
    sink.table(head.name.as_deref())?;
    Ok(Some(head))
}

/// Returns the first line of a head, or `None` at the end of the input. Empty lines between tables do no harm.
fn first_line(lines: &mut Lines) -> Outcome<Option<Vec<u8>>> {
    while let Some(line) = lines.next()? {
        if !line.is_empty() {
            return Ok(Some(line.to_vec()));
        }
    }
    Ok(None)
}

impl Head {
    /// Takes over a line, and returns what is worth a remark.
    ///
    /// # Errors
    /// What is wrong with it.
    fn read(&mut self, line: &[u8]) -> Result<Option<String>, String> {
        let at = line.iter().position(|byte| *byte == b'=');
        let at = at.ok_or("a line of a head has the form NAME=VALUE")?;
        let (word, value) = (&line[..at], &line[at + 1..]);
        match (word, value) {
            (b"VERSION", b"1" | b"2" | b"3") | (b"type", b"btree") => {}
            (b"VERSION", other) => return Err(format!("version {} is not known", Quoted(other))),
            (b"type", other) => return Err(format!("a table of type {}; only btree can be loaded", Quoted(other))),
            (b"format", b"bytevalue") => self.style = Style::ByteValue,
            (b"format", b"print") => self.style = Style::Print,
            (b"format", other) => return Err(format!("format {}; there are bytevalue and print", Quoted(other))),
            (b"database" | b"subdatabase", _) => {
                names::check(value)?;
                // mdb_load takes the last one without a word. No program writes two, so a part of the text is missing.
                if let Some(name) = &self.name {
                    let name = Quoted(name);
                    return Err(format!(
                        "the head names a table already: {name}; see whether what writes it has failed"
                    ));
                }
                self.name = Some(value.to_vec());
            }
            (b"duplicates" | b"dupsort" | b"dupfixed" | b"integerdup" | b"reversedup", value) => {
                self.has_several_values |= value == b"1";
            }
            (b"integerkey" | b"reversekey", b"1") => {
                let word = Quoted(word);
                return Ok(Some(format!(
                    "{word} is set; keys are loaded as they are, and ordered as bytes"
                )));
            }
            (b"integerkey" | b"reversekey" | b"mapsize" | b"mapaddr" | b"maxreaders" | b"db_pagesize", _) => {}
            _ => return Ok(Some(format!("{} is not known and is left out", Quoted(word)))),
        }
        Ok(None)
    }
}

/// Reads a line with a key or a value, or `None` for `DATA=END`.
fn read_bytes(lines: &mut Lines, style: Style, expected: &str) -> Outcome<Option<Vec<u8>>> {
    let line = lines.next()?;
    let bytes = match line {
        None => Err("the input ends before DATA=END".to_string()),
        Some(b"DATA=END") => return Ok(None),
        Some([b' ', text @ ..]) if style == Style::ByteValue => from_hex(text),
        Some([b' ', text @ ..]) => from_print(text),
        Some(_) => Err(format!("this should be {expected}")),
    };
    bytes.map(Some).map_err(|what| lines.wrong(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_bytes_are_read_back() {
        let every: Vec<u8> = (0..=255).collect();
        assert_eq!(from_print(&to_print(&every)).as_ref(), Ok(&every));
        assert_eq!(to_print(b"a \\\n\xff"), b"a \\5c\\0a\\ff");
        assert_eq!(from_print(b"a \\\\\\0a\\ff").as_deref(), Ok(&b"a \\\n\xff"[..]));
        for wrong in [&b"\\"[..], b"\\0", b"\\zz"] {
            assert!(from_print(wrong).is_err());
        }
    }
}
