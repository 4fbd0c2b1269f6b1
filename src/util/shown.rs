//! Names, paths and keys as messages show them: readable on a terminal and in a log, whatever bytes they have.
//!
//! Text stays text. What would break a line, move the cursor or not be seen at all is shown as an escape: `\n`, `\t`,
//! `\r`, `\0`, `\u{202e}` for other characters that cannot be printed, `\xNN` for bytes that are no UTF-8. A backslash
//! is doubled, so that two different names never look the same.

use std::fmt::{self, Display, Formatter, Write};

/// The most bytes of a name or key that are shown between quotation marks.
const MOST: usize = 80;

/// Bytes to be shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(pub &'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| write_char(f, c))?;
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

fn write_char(f: &mut Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '\0' => f.write_str("\\0"),
        // Neither ends what it stands in.
        '\'' => f.write_char(c),
        ' '..='~' if c != '\\' && c != '"' => f.write_char(c),
        // Only what cannot be printed is changed by this, but for the two marks above.
        _ => write!(f, "{}", c.escape_debug()),
    }
}

/// Bytes to be shown between quotation marks. Of long ones the beginning is shown, and how many there are.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Quoted(bytes) = *self;
        if bytes.len() <= MOST {
            return write!(f, "\"{}\"", Shown(bytes));
        }
        // A character is not cut in two.
        let begins = |at: &usize| bytes[*at] & 0xC0 != 0x80;
        let end = (MOST - 3..=MOST).rev().find(begins).unwrap_or(MOST);
        write!(f, "\"{}...\" ({} bytes)", Shown(&bytes[..end]), bytes.len())
    }
}

/// Returns the words behind a number: `one` behind 1, and else `many`.
#[doc(hidden)]
pub fn plural(number: u64, one: &'static str, many: &'static str) -> &'static str {
    match number {
        1 => one,
        _ => many,
    }
}

/// A path to be shown. Of a very long one the middle is left out, so that it leaves room for what happened.
#[derive(Debug, Clone, Copy)]
pub struct ShownPath<'a>(pub &'a [u8]);

/// The most bytes of a path that are shown, and how many of them at its end.
const MOST_OF_PATH: usize = 400;
const END_OF_PATH: usize = 300;

impl Display for ShownPath<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ShownPath(path) = *self;
        if path.len() <= MOST_OF_PATH {
            return Shown(path).fmt(f);
        }
        let begin = &path[..MOST_OF_PATH - END_OF_PATH];
        write!(f, "{}...{}", Shown(begin), Shown(&path[path.len() - END_OF_PATH..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_kind_are_readable_and_told_apart() {
        let shown = |bytes: &[u8]| Shown(bytes).to_string();
        assert_eq!(shown(b"/var/lib/it's here/a b.kv"), "/var/lib/it's here/a b.kv");
        assert_eq!(shown("Köln/雪.kv".as_bytes()), "Köln/雪.kv");
        assert_eq!(shown(b"a\nb\tc\r\x1b[31m\0d\x7f"), r"a\nb\tc\r\u{1b}[31m\0d\u{7f}");
        assert_eq!(shown(b"a\\nb\""), r#"a\\nb\""#);
        assert_eq!(shown(b"\xff\xfea\xc3"), r"\xff\xfea\xc3");
        assert_eq!(
            shown("a\u{202e}b\u{200b}\u{2028}".as_bytes()),
            r"a\u{202e}b\u{200b}\u{2028}"
        );
        assert_eq!(Quoted(b"a\"b").to_string(), r#""a\"b""#);
    }

    #[test]
    fn long_bytes_are_cut_between_characters() {
        assert_eq!(Quoted(&[b'k'; 80]).to_string(), format!("\"{}\"", "k".repeat(80)));
        let cut = Quoted(&[b'k'; 2_000_000]).to_string();
        assert_eq!(cut, format!("\"{}...\" (2000000 bytes)", "k".repeat(80)));
        for before in 0..4 {
            let text = "k".repeat(before) + &"雪".repeat(50);
            let shown = Quoted(text.as_bytes()).to_string();
            assert!(!shown.contains("\\x"), "{shown}");
        }
    }
}
