//! The ends of a tree and of ranges of its keys: the first and the last entry.

use super::limits::Limits;
use super::path::Position;
use crate::error::Result;
use crate::ids::TableId;
use crate::page::key::{KeyBuf, LeafShape};
use crate::page::leaf::Stored;
use crate::page::{PageSource, Root};
use std::ops::Bound;

/// One end of a range of keys.
#[derive(Debug, Clone, Copy)]
pub struct RangeEnd<'l> {
    /// The range.
    pub limits: &'l Limits,
    /// Whether it is the end with the greatest key.
    pub last: bool,
}

impl RangeEnd<'_> {
    /// Returns whether this is an end of the tree, too.
    fn is_open(&self) -> bool {
        match self.last {
            false => matches!(self.limits.lower, Bound::Unbounded),
            true => matches!(self.limits.upper, Bound::Unbounded),
        }
    }

    /// Returns whether `key`, which lies before this end or at it, lies behind the other end.
    fn has_passed(&self, key: &[u8]) -> bool {
        match self.last {
            false => self.limits.is_behind(key),
            true => self.limits.is_before(key),
        }
    }
}

/// What tells the paths of one tree as it is now from those of other trees and other times: the number of its table,
/// and a number that changes whenever a page of the tree may have moved.
pub type PathsVersion = (TableId, u64);

/// A position at one end of a tree that changes, which goes down the tree only if the path may have changed.
#[derive(Debug, Default)]
pub struct TreeEnd {
    /// The position. It leads to the end only directly after it went there.
    pub position: Position,
    /// The paths for which the position leads to the leaf at the end.
    known: Option<PathsVersion>,
}

impl TreeEnd {
    /// Goes to the entry at an end of a range, copies its key into `key`, and returns its value, or `None` if there is
    /// no such entry.
    ///
    /// # Errors
    /// `Corrupt`, `NoMemory`.
    #[inline]
    pub fn entry<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        tree: (&Root, PathsVersion),
        range: RangeEnd<'_>,
        key: &mut KeyBuf,
    ) -> Result<Option<Stored<'s>>> {
        let leaf = match range.is_open() && self.known == Some(tree.1) {
            true => self.position.go_to_end_of_leaf(source, range.last)?,
            false => match self.go(source, tree, range)? {
                true => Some(self.position.leaf(source)?),
                false => None,
            },
        };
        let Some(leaf) = leaf else {
            return Ok(None);
        };
        let (index, _) = self.position.in_leaf();
        let shape = LeafShape::of(&leaf, key)?;
        let value = match shape.entry(leaf.bytes(), index, key) {
            Some(value) => Stored::Inline(value),
            None => leaf.entry(index, source, key)?,
        };
        Ok((!range.has_passed(key)).then_some(value))
    }

    /// Goes to the entry at an end of a range, and returns whether there is one.
    fn go<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        tree: (&Root, PathsVersion),
        range: RangeEnd<'_>,
    ) -> Result<bool> {
        if range.is_open() {
            return self.go_to_end(source, tree, range.last);
        }
        self.known = None;
        match range.last {
            false => self.position.go_to_lower(source, tree.0, &range.limits.lower),
            true => self.position.go_to_upper(source, tree.0, &range.limits.upper),
        }
    }

    /// Goes behind the last entry, in its leaf, where a greater key belongs. Returns false if the tree is empty.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn go_behind_last<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        tree: (&Root, PathsVersion),
    ) -> Result<bool> {
        let found = self.go_to_end(source, tree, true)?;
        self.position.index = self.position.len;
        Ok(found)
    }

    #[inline]
    fn go_to_end<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        (root, paths): (&Root, PathsVersion),
        last: bool,
    ) -> Result<bool> {
        if self.known == Some(paths) {
            return Ok(self.position.go_to_end_of_leaf(source, last)?.is_some());
        }
        self.known = None;
        let found = match last {
            false => self.position.go_to_first(source, root)?,
            true => self.position.go_to_last(source, root)?,
        };
        self.known = found.then_some(paths);
        Ok(found)
    }

    /// Takes note that an edit was made at the position, which is as right under the paths of now as it was before. If
    /// it is not, `paths` is `None`.
    pub fn edited(&mut self, paths: Option<PathsVersion>) {
        self.known = self.known.and(paths);
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
