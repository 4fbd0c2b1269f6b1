//! Bytes that a file or a pipe has as hexadecimal digits. They are read in parts, so that they may be more than memory
//! holds. Blanks and line ends may come behind the last one.

use super::bytes::{from_hex, NOT_HEX};
use super::parts::fill;
use std::io::{self, Read};

/// A stream of the bytes that the digits of another one stand for.
pub struct Digits<R> {
    from: R,
    part: Vec<u8>,
    /// Whether blanks were read, which no digits may follow.
    is_over: bool,
}

impl<R: Read> Digits<R> {
    /// Reads digits from this.
    pub fn new(from: R) -> Digits<R> {
        Digits {
            from,
            part: Vec::new(),
            is_over: false,
        }
    }
}

impl<R: Read> Read for Digits<R> {
    /// Reads bytes. What is no digit is an error of the kind `InvalidData`.
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            self.part.resize(2 * out.len(), 0);
            let filled = fill(&mut self.from, &mut self.part)?;
            let digits = self.part[..filled].trim_ascii_end();
            let bytes = match self.is_over && !digits.is_empty() {
                true => Err(NOT_HEX.to_string()),
                false => from_hex(digits),
            };
            let bytes = bytes.map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
            // More blanks may come in the next part.
            self.is_over |= digits.len() < filled;
            out[..bytes.len()].copy_from_slice(&bytes);
            if !bytes.is_empty() || filled == 0 {
                return Ok(bytes.len());
            }
        }
    }
}
