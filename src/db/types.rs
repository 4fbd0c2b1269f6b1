//! Plain values that calls take and answer: ranges, modes, statistics.

use std::ops::Bound;

/// Bounds of a range of keys. `prefix` and the bounds combine: an entry must meet all.
#[derive(Debug, Clone, Copy)]
pub struct Range<'a> {
    /// Lower bound.
    pub from: Bound<&'a [u8]>,
    /// Upper bound.
    pub to: Bound<&'a [u8]>,
    /// Keys begin with this.
    pub prefix: Option<&'a [u8]>,
    /// Cursor only: first is the greatest, next goes down.
    pub reverse: bool,
}

impl Range<'_> {
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

/// How a put treats a present or missing entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PutMode {
    /// Insert or replace.
    #[default]
    Set,
    /// Only if absent, else `Exists`.
    NoOverwrite,
    /// Only if present, else `NotFound`.
    NoInsert,
    /// The key is greater than every key of the table, else `Order`.
    Append,
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

/// One level of a tree; 1 = leaves.
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
    /// Bytes.
    pub len: u64,
    /// (file offset, bytes) of each extent; empty if the value is inside its leaf.
    pub extents: Vec<(u64, u64)>,
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

/// What a write transaction holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteStat {
    /// Edits collected and not applied.
    pub edits: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Pages built in memory.
    pub private_pages: u64,
}
