//! Bytes as text in one line. What can be seen stays as it is; what would break a line, move the cursor or not be seen at
//! all is an escape, `\n`, `\r`, `\t` or `\xHH`. A backslash is doubled. `input::bytes` reads all of it.

use std::fmt::{self, Display, Formatter, Write};

/// The most bytes of a name or a key that a message shows.
const MOST: usize = 80;

struct Escaped<'a>(&'a [u8]);

/// Shows bytes as text with escapes.
pub fn escaped(bytes: &[u8]) -> impl Display + '_ {
    Escaped(bytes)
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                character(f, c)?;
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

fn character(f: &mut Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        ' '..='~' => f.write_char(c),
        _ if can_be_seen(c) => f.write_char(c),
        _ => {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).as_bytes();
            bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
        }
    }
}

/// Returns whether a character can be seen. The standard library escapes all others.
fn can_be_seen(c: char) -> bool {
    c.escape_debug().len() == 1
}

struct Hex<'a>(&'a [u8]);

/// Shows bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> impl Display + '_ {
    Hex(bytes)
}

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Shows a name or a key between quotation marks, as messages do. Of long ones the beginning is shown.
pub struct Quoted<'a>(pub &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Quoted(bytes) = *self;
        match bytes.get(..MOST) {
            Some(begin) if bytes.len() > MOST => {
                write!(f, "\"{}...\" ({} bytes)", Escaped(begin), bytes.len())
            }
            _ => write!(f, "\"{}\"", Escaped(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_bytes_are_escaped_and_text_stays() {
        let shown = escaped(b"K\xc3\xb6ln \x1b[31m\n\t\\\xff\0").to_string();
        assert_eq!(shown, r"Köln \x1b[31m\n\t\\\xff\x00");
        assert_eq!(escaped("\u{202e}".as_bytes()).to_string(), r"\xe2\x80\xae");
        assert_eq!(hex(b"\0\xff").to_string(), "00ff");
        assert_eq!(Quoted(b"a").to_string(), "\"a\"");
        let long = Quoted(&[b'k'; 100]).to_string();
        assert_eq!(long, format!("\"{}...\" (100 bytes)", "k".repeat(80)));
    }
}
