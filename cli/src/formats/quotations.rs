//! Quotations of CSV on their way to the parser. The parser takes whatever it gets: a quotation that does not end has
//! the rest of the input as its field, and what stands behind a quotation joins it. Either makes entries that nobody
//! wrote, so it is found here and told as an error of the stream.

use crate::input::lines::{has_room, LONG};
use std::io::{self, Read};

/// A stream of CSV whose quotations are looked at.
pub struct Quotations<R> {
    from: R,
    at: At,
    /// The number of the current line.
    line: u64,
    /// Bytes before the current row, and of it.
    before: usize,
    row: usize,
    /// What is wrong behind the bytes that were handed on.
    wrong: Option<Wrong>,
}

/// Where the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// At the beginning of a field.
    Begin,
    /// In a field without quotation marks.
    Plain,
    /// In a quotation that began in this line.
    Quoted(u64),
    /// Behind a quotation mark in a quotation. It ends the quotation unless a second one follows.
    Behind(u64),
}

/// What is wrong, and the line that shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// The quotation that begins in the line does not end.
    Endless(u64),
    /// A quotation ends in the line, and neither a comma nor a line end follows.
    Behind(u64),
    /// There is no memory for the row to which the line belongs, of which so many bytes were read.
    TooLong(u64, usize),
}

const MARK: &[u8] = b"\xef\xbb\xbf";

impl<R: Read> Quotations<R> {
    /// Begins with the first field.
    pub fn new(from: R) -> Quotations<R> {
        Quotations {
            from,
            at: At::Begin,
            line: 1,
            before: 0,
            row: 0,
            wrong: None,
        }
    }

    /// Returns what is wrong. Reading has failed then.
    pub fn wrong(&self) -> Option<Wrong> {
        self.wrong
    }

    fn step(&mut self, byte: u8) -> Result<(), Wrong> {
        let line = self.line;
        self.line += u64::from(byte == b'\n');
        self.row += 1;
        self.at = match (self.at, byte) {
            // The parser passes over a byte order mark.
            (At::Begin, _) if self.before == 0 && MARK.get(self.row - 1) == Some(&byte) => At::Begin,
            (At::Begin, b'"') => At::Quoted(line),
            (At::Quoted(begin), b'"') => At::Behind(begin),
            (At::Quoted(_), _) => self.at,
            (At::Behind(begin), b'"') => At::Quoted(begin),
            (_, b',') => At::Begin,
            (_, b'\n' | b'\r') => {
                self.before = self.before.saturating_add(self.row);
                self.row = 0;
                At::Begin
            }
            (At::Behind(_), _) => return Err(Wrong::Behind(line)),
            _ => At::Plain,
        };
        // The parser keeps a row in memory, and cannot say that there is none.
        match self.row >= LONG && self.row.is_power_of_two() && !has_room(2 * self.row) {
            true => Err(Wrong::TooLong(line, self.row)),
            false => Ok(()),
        }
    }
}

impl<R: Read> Read for Quotations<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.wrong.is_none() {
            let read = self.from.read(buffer)?;
            let wrong = (0..read).find_map(|at| self.step(buffer[at]).err().map(|wrong| (at, wrong)));
            let (good, wrong) = match (wrong, self.at) {
                (Some((at, wrong)), _) => (at, Some(wrong)),
                (None, At::Quoted(begin)) if read == 0 && !buffer.is_empty() => (0, Some(Wrong::Endless(begin))),
                _ => (read, None),
            };
            self.wrong = wrong;
            if good > 0 || wrong.is_none() {
                return Ok(good);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed on of the text, which comes in parts of this size, and what is wrong with it.
    fn read(text: &str, part: usize) -> (String, Option<Wrong>) {
        let mut stream = Quotations::new(text.as_bytes());
        let (mut out, mut buffer) = (Vec::new(), vec![0; part]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => out.extend_from_slice(&buffer[..n]),
                Err(_) => break,
            }
        }
        (String::from_utf8(out).expect("UTF-8"), stream.wrong())
    }

    #[test]
    fn quotations_that_end_are_handed_on() {
        for part in 1..20 {
            for text in [
                "",
                "key,value\na,b\n",
                "\"a\",\"b\"",
                "\"a\"\"\",\"\"\r\n\"\n\",\"\"\"\"\n",
                "a\"b,c\"\n",
                "\u{feff}\"a\",\"b,\"\n",
                "\u{feff}\",\",b\n",
            ] {
                assert_eq!(read(text, part), (text.to_string(), None), "{text:?} by {part}");
            }
        }
    }

    #[test]
    fn what_stands_before_a_fault_is_handed_on() {
        for part in 1..20 {
            let endless = "a,b\n\"c\nd\",\"e\nf,g\n";
            assert_eq!(read(endless, part), (endless.to_string(), Some(Wrong::Endless(3))));
            assert_eq!(
                read("a,b\n\"c\" ,d\n", part),
                ("a,b\n\"c\"".to_string(), Some(Wrong::Behind(2)))
            );
        }
    }
}
