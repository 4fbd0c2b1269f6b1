//! Keys and values as text. Bytes stand for themselves, and a backslash begins an escape: `\n`, `\r`, `\t`, `\0`,
//! `\xHH` for a byte, `\u{HHHH}` for a character, and `\\`, `\"`, `\@`, `\-` for what follows the backslash. What
//! `output::text` writes is read back as it was.

use crate::exit::{Failure, Outcome};
use crate::output::text::Typed;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// How keys and values are typed and shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// Text with escapes.
    Text,
    /// Hexadecimal digits.
    Hex,
}

impl Syntax {
    /// Returns the bytes that an argument stands for.
    pub fn read(self, typed: &OsStr) -> Outcome<Vec<u8>> {
        let bytes = match self {
            Syntax::Text => from_text(typed.as_bytes()),
            Syntax::Hex => from_hex(typed.as_bytes()),
        };
        bytes.map_err(|what| Failure::usage(format!("{}: {what}", Typed(typed))))
    }
}

/// Returns the bytes that text with escapes stands for, or what is wrong with it.
pub fn from_text(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&kind, behind)) = rest.split_first() else {
            return Err("it ends with a single backslash; write \\\\ for a backslash".to_string());
        };
        rest = behind;
        match kind {
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'0' => out.push(0),
            b'\\' | b'"' | b'\'' | b'@' | b'-' => out.push(kind),
            b'x' => {
                let digits = rest.get(..2).and_then(|digits| from_hex(digits).ok());
                let digits = digits.ok_or("\\x is not followed by two hexadecimal digits")?;
                out.extend(digits);
                rest = &rest[2..];
            }
            b'u' => {
                let (c, behind) =
                    character(rest).ok_or("\\u is not followed by a character's number, as in \\u{e9}")?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = behind;
            }
            other => {
                return Err(format!(
                    "there is no escape \\{}; write \\\\ for a backslash",
                    char::from(other).escape_default()
                ))
            }
        }
    }
    Ok(out)
}

/// Reads `{HHHH}`, and returns the character with this number and what is behind it.
fn character(text: &[u8]) -> Option<(char, &[u8])> {
    let end = text.iter().position(|byte| *byte == b'}')?;
    let digits = std::str::from_utf8(text[..end].strip_prefix(b"{")?).ok()?;
    let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    Some((c, &text[end + 1..]))
}

/// What is wrong with digits that stand for no bytes.
pub const NOT_HEX: &str = "these are not pairs of hexadecimal digits";

/// Returns the bytes that hexadecimal digits stand for, or what is wrong with them.
pub fn from_hex(digits: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes.ok_or_else(|| NOT_HEX.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::text;

    #[test]
    fn escapes_are_read() {
        let read = |typed: &str| from_text(typed.as_bytes());
        assert_eq!(
            read(r"a\n\r\t\0\xff\\\@\-\u{e9}"),
            Ok(b"a\n\r\t\0\xff\\@-\xc3\xa9".to_vec())
        );
        assert_eq!(read("").as_deref(), Ok(&b""[..]));
        for wrong in [r"\", r"a\q", r"\x1", r"\xg0", r"\u{}", r"\u{110000}", r"\u{e9", r"\ue9"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(from_hex(b"00fFa0"), Ok(vec![0, 255, 160]));
        for wrong in [&b"0"[..], b"0g", b"000"] {
            assert!(from_hex(wrong).is_err());
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        let every: Vec<u8> = (0..=255).collect();
        let odd = "é雪\u{202e}\u{200b}\u{1F600}\"'\\".as_bytes();
        for bytes in [&every[..], odd, b"", b"\\x41", b"plain"] {
            let shown = text::escaped(bytes).to_string();
            assert_eq!(from_text(shown.as_bytes()).as_deref(), Ok(bytes), "{shown}");
            assert_eq!(from_hex(text::hex(bytes).to_string().as_bytes()).as_deref(), Ok(bytes));
        }
    }
}
