//! Bytes as text in one line. What can be seen stays as it is; what would break a line, move the cursor or not be seen
//! at all is an escape, `\n`, `\r`, `\t` or `\xHH`. A backslash is doubled. `input::bytes` reads all of it.

use std::ffi::OsStr;
use std::fmt::{self, Display, Formatter};
use std::os::unix::ffi::OsStrExt;

/// The most bytes of a name or a key that a message shows.
const MOST: usize = 80;

/// Bytes as text with escapes.
struct Escaped<'a> {
    bytes: &'a [u8],
    /// Whether a backslash is doubled, so that the text stands for the bytes.
    doubles_backslash: bool,
}

/// Shows bytes as text with escapes.
pub fn escaped(bytes: &[u8]) -> impl Display + '_ {
    Escaped {
        bytes,
        doubles_backslash: true,
    }
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let needs_escape = |c| needs_escape(c) && (self.doubles_backslash || c != '\\');
        for chunk in self.bytes.utf8_chunks() {
            let text = chunk.valid();
            // Text that needs no escape is written at once.
            let mut written = 0;
            for (at, c) in text.char_indices().filter(|(_, c)| needs_escape(*c)) {
                f.write_str(&text[written..at])?;
                escape(f, c)?;
                written = at + c.len_utf8();
            }
            f.write_str(&text[written..])?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Returns whether a character has a meaning of its own here, or cannot be seen.
pub fn needs_escape(c: char) -> bool {
    match c {
        '\\' => true,
        ' '..='~' => false,
        // The standard library escapes all that cannot be seen.
        _ => c.escape_debug().len() != 1,
    }
}

fn escape(f: &mut Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\\' => f.write_str("\\\\"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        _ => {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).as_bytes();
            bytes.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))
        }
    }
}

struct EscapedValue<'a>(&'a [u8]);

/// Shows a value so that `kv put` takes what is shown for a value again: `@NAME` would be a file, and `-` standard
/// input.
pub fn escaped_value(bytes: &[u8]) -> impl Display + '_ {
    EscapedValue(bytes)
}

impl Display for EscapedValue<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if matches!(self.0, [b'@', ..] | b"-") {
            f.write_str("\\")?;
        }
        escaped(self.0).fmt(f)
    }
}

/// Returns a number of things with their name, as in "1 entry" and "2 entries".
pub fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How many bytes are turned into digits at once.
const PART: usize = 64;

struct Hex<'a>(&'a [u8]);

/// Shows bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> impl Display + '_ {
    Hex(bytes)
}

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 2 * PART];
        for part in self.0.chunks(PART) {
            for (digits, byte) in text.chunks_exact_mut(2).zip(part) {
                digits[0] = DIGITS[usize::from(byte >> 4)];
                digits[1] = DIGITS[usize::from(byte & 15)];
            }
            // Digits are ASCII.
            f.write_str(std::str::from_utf8(&text[..2 * part.len()]).unwrap_or_default())?;
        }
        Ok(())
    }
}

/// Shows a name or a key between quotation marks, as messages do. Of long ones the beginning is shown.
pub struct Quoted<'a>(pub &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Quoted(bytes) = *self;
        match bytes.get(..MOST) {
            Some(begin) if bytes.len() > MOST => {
                write!(f, "\"{}...\" ({} bytes)", escaped(begin), bytes.len())
            }
            _ => write!(f, "\"{}\"", escaped(bytes)),
        }
    }
}

/// Returns what messages call a table by its name, or the main table if it has none.
pub fn table_name(name: Option<&[u8]>) -> String {
    match name {
        Some(name) => format!("table {}", Quoted(name)),
        None => "the main table".to_string(),
    }
}

/// Shows what somebody typed between quotation marks, as messages do. Its escapes stay as they were typed.
pub struct Typed<'a>(pub &'a OsStr);

impl Display for Typed<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let typed = Escaped {
            bytes: self.0.as_bytes(),
            doubles_backslash: false,
        };
        write!(f, "\"{typed}\"")
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
        assert_eq!(hex(&[0x1a; 200]).to_string(), "1a".repeat(200));
        assert_eq!(Quoted(b"a").to_string(), "\"a\"");
        assert_eq!(Typed(OsStr::from_bytes(b"a\\q\n\xff")).to_string(), r#""a\q\n\xff""#);
        let long = Quoted(&[b'k'; 100]).to_string();
        assert_eq!(long, format!("\"{}...\" (100 bytes)", "k".repeat(80)));
    }
}
