//! Small readings of a whole tree that are built on [`Position`]: the entries from a key on, and the last key.

use super::limits::Limits;
use super::path::Position;
use crate::error::Result;
use crate::page::leaf::Stored;
use crate::page::{PageSource, Ptr, Root};

/// Calls `f` with each entry from `from` on, in order, until it returns false.
pub fn scan<'s, S: PageSource<'s>>(
    source: &S,
    root: &Root,
    from: &[u8],
    mut f: impl FnMut(&[u8], Stored<'s>) -> Result<bool>,
) -> Result<()> {
    let mut position = Position::new();
    position.seek(source, root, from)?;
    go_on(source, position, |_, key, value| f(key, value))
}

/// Calls `f` with each entry in order, and with the pointer to its leaf, until it returns false.
pub fn scan_leaves<'s, S: PageSource<'s>>(
    source: &S,
    root: &Root,
    f: impl FnMut(&Ptr, &[u8], Stored<'s>) -> Result<bool>,
) -> Result<()> {
    let mut position = Position::new();
    // A search by key does not look at all that a pointer says.
    position.go_to_first(source, root)?;
    go_on(source, position, f)
}

fn go_on<'s, S: PageSource<'s>>(
    source: &S,
    mut position: Position,
    mut f: impl FnMut(&Ptr, &[u8], Stored<'s>) -> Result<bool>,
) -> Result<()> {
    let mut key = Vec::new();
    while position.is_valid() {
        key.clear();
        position.key(source, &mut key)?;
        if !f(position.leaf_ptr(), &key, position.value(source)?)? {
            break;
        }
        position.next(source)?;
    }
    Ok(())
}

/// One end of a range of keys.
#[derive(Debug, Clone, Copy)]
pub struct RangeEnd<'l> {
    /// The range.
    pub limits: &'l Limits,
    /// Whether it is the end with the greatest key.
    pub last: bool,
}

/// An entry at one end of a range, and the memory with which it is found.
#[derive(Default)]
pub struct TreeEnd {
    /// Where the entry is.
    pub position: Position,
    /// Its key.
    pub key: Vec<u8>,
}

impl TreeEnd {
    /// Goes to the entry at an end of a range, and returns its value. Returns `None` if the range has none.
    ///
    /// # Errors
    /// `Corrupt`, `NoMemory`.
    pub fn go<'s, S: PageSource<'s>>(
        &mut self,
        source: &S,
        root: &Root,
        range: RangeEnd<'_>,
    ) -> Result<Option<Stored<'s>>> {
        let RangeEnd { limits, last } = range;
        let found = match last {
            false => self.position.go_to_lower(source, root, &limits.lower)?,
            true => self.position.go_to_upper(source, root, &limits.upper)?,
        };
        if !found {
            return Ok(None);
        }
        self.key.clear();
        self.position.key(source, &mut self.key)?;
        let outside = match last {
            false => limits.is_behind(&self.key),
            true => limits.is_before(&self.key),
        };
        match outside {
            true => Ok(None),
            false => self.position.value(source).map(Some),
        }
    }
}

/// Returns the greatest key, or `None` if the tree is empty.
pub fn last_key<'s, S: PageSource<'s>>(source: &S, root: &Root) -> Result<Option<Vec<u8>>> {
    let mut position = Position::new();
    if !position.go_to_last(source, root)? {
        return Ok(None);
    }
    let mut key = Vec::new();
    position.key(source, &mut key)?;
    Ok(Some(key))
}
