//! Plain values that calls take and answer: ranges, modes, statistics.

use crate::tree::read::limits::Limits;
use std::ops::Bound;

/// A range of keys. The bounds and the prefix combine: an entry must meet all of them. The default is every key.
///
/// # Examples
///
/// ```
/// use kv::Range;
/// use std::ops::Bound;
///
/// let users = Range { prefix: Some(b"user:"), ..Range::default() };
/// let before_m = Range { to: Bound::Excluded(b"m"), reverse: true, ..Range::default() };
/// # let _ = (users, before_m);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// Lower bound.
    pub from: Bound<&'a [u8]>,
    /// Upper bound.
    pub to: Bound<&'a [u8]>,
    /// What keys begin with; `None`: with anything.
    pub prefix: Option<&'a [u8]>,
    /// For cursors: the first entry is the one with the greatest key, and the next one goes down.
    pub reverse: bool,
}

impl Range<'_> {
    /// The bounds with the prefix folded into them.
    pub(crate) fn limits(&self) -> Limits {
        Limits::new(self.from, self.to, self.prefix)
    }

    /// Whether every key is within.
    pub(crate) fn is_whole(&self) -> bool {
        (self.from, self.to, self.prefix) == (Bound::Unbounded, Bound::Unbounded, None)
    }
}

impl Default for Range<'_> {
    fn default() -> Self {
        Range {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            prefix: None,
            reverse: false,
        }
    }
}

/// Shape and size of a table at one snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableStat {
    /// Entries.
    pub entries: u64,
    /// Levels.
    pub height: u8,
    /// Branch pages.
    pub branch_pages: u64,
    /// Leaf pages.
    pub leaf_pages: u64,
    /// Pages of long values and keys.
    pub chain_pages: u64,
    /// Bytes used in the tree pages (of `(branch_pages + leaf_pages) * page_size`).
    pub used_bytes: u64,
}

/// One level of a table's tree.
#[derive(Debug, Clone, Copy, Default)]
pub struct LevelStat {
    /// Pages.
    pub pages: u64,
    /// Children or entries in them.
    pub slots: u64,
    /// Bytes used in them.
    pub used_bytes: u64,
}

/// Length and place of a value.
#[derive(Debug, Clone, Default)]
pub struct ValueInfo {
    /// Bytes of the value.
    pub len: u64,
    /// Where its bytes lie in the file, in order; empty if the value is inside its leaf.
    pub extents: Vec<FileRange>,
}

/// Contiguous bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRange {
    /// Byte of the file at which they begin.
    pub offset: u64,
    /// How many there are.
    pub len: u64,
}

/// A contiguous piece of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValuePiece<'t> {
    /// Byte of the file at which it begins; `None` if it has no place of its own there.
    pub file_offset: Option<u64>,
    /// Its bytes.
    pub bytes: &'t [u8],
}

/// Where a seek lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// Exactly the key.
    Eq,
    /// The key or the next greater.
    Ge,
    /// The next greater.
    Gt,
    /// The key or the next less.
    Le,
    /// The next less.
    Lt,
}
