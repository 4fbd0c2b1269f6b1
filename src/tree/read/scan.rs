//! Small readings of a whole tree that are built on [`Position`]: the entries from a key on.

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
