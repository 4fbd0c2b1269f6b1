//! Text for C, written into a room of fixed size.
//!
//! Messages are kept by each thread. They own no memory: keeping a String in thread-local storage would need memory to
//! have it dropped when the thread ends, and the C library ends the process where there is none.

use std::ffi::CStr;
use std::fmt::{self, Write};

/// What stands at the end of a text that had to be cut.
const CUT: &[u8] = b"...";

/// A text of at most `N` - 1 bytes. What is longer is cut; NULs are left out, because they would end it.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// Makes an empty text.
    pub(crate) const fn new() -> Text<N> {
        Text { bytes: [0; N], len: 0 }
    }

    /// Writes something that can be shown, in place of what was there.
    pub(crate) fn set(&mut self, shown: &dyn fmt::Display) {
        self.clear();
        // An error means that the text is full, and then it was cut.
        let _ = write!(self, "{shown}");
    }

    /// Adds something behind the text that is there.
    pub(crate) fn add(&mut self, shown: fmt::Arguments<'_>) {
        // An error means that the text is full, and then it was cut.
        let _ = self.write_fmt(shown);
    }

    /// Forgets the text.
    pub(crate) fn clear(&mut self) {
        self.len = 0;
        self.bytes[0] = 0;
    }

    /// Returns whether nothing was written.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the text for C. It lies where this lies.
    pub(crate) fn as_c(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }

    /// Returns the text. It is UTF-8, since it is written and cut in whole characters.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }

    /// Ends the text with the mark that something is missing, behind a whole character.
    fn cut(&mut self) {
        let most = N - 1 - CUT.len();
        let mut end = self.len.min(most);
        while end > 0 && self.bytes[end] & 0xC0 == 0x80 {
            end -= 1;
        }
        self.bytes[end..end + CUT.len()].copy_from_slice(CUT);
        self.len = end + CUT.len();
        self.bytes[self.len] = 0;
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.split('\0') {
            let room = N - 1 - self.len;
            let some = part.len().min(room);
            self.bytes[self.len..self.len + some].copy_from_slice(&part.as_bytes()[..some]);
            self.len += some;
            if some < part.len() {
                self.cut();
                return Err(fmt::Error);
            }
        }
        self.bytes[self.len] = 0;
        Ok(())
    }
}
