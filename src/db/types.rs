//! Plain values that calls take and return: ranges of keys, seeks, statistics of tables, places of values, and what is
//! recorded of snapshots.

use crate::catalogue::snapshot::{check_name, SnapshotRecord};
use crate::error::Result;
use crate::ids::CommitId;
use crate::tree::read::limits::Limits;
use std::ops::Bound;
use std::path::PathBuf;

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
    /// The lower bound.
    pub from: Bound<&'a [u8]>,
    /// The upper bound.
    pub to: Bound<&'a [u8]>,
    /// The bytes with which keys must begin, or `None` if they may begin with anything.
    pub prefix: Option<&'a [u8]>,
    /// Whether a cursor goes down: its first entry is then the one with the greatest key, and the next one has the next
    /// smaller key.
    pub reverse: bool,
}

impl Range<'_> {
    /// Returns the bounds with the prefix folded into them.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(crate) fn limits(&self) -> Result<Limits> {
        Limits::new(self.from, self.to, self.prefix)
    }

    /// Returns whether every key is within the range.
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

/// The shape and size of a table in one snapshot.
#[derive(Debug, Clone, Copy, Default)]
pub struct TableStat {
    /// The number of entries.
    pub entries: u64,
    /// The number of levels of its tree.
    pub height: u8,
    /// The number of branch pages.
    pub branch_pages: u64,
    /// The number of leaf pages.
    pub leaf_pages: u64,
    /// The number of pages with long values and the rests of long keys.
    pub overflow_pages: u64,
    /// The number of bytes used in the tree pages (of `(branch_pages + leaf_pages) * page_size`).
    pub used_bytes: u64,
}

/// Which database this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The absolute path under which it was opened. It is empty for a database in memory.
    pub path: PathBuf,
    /// The UUID of the file. A copy made by a backup has one of its own.
    pub uuid: [u8; 16],
    /// The version of the file format.
    pub format_version: u32,
}

/// One level of a table's tree.
#[derive(Debug, Clone, Copy, Default)]
pub struct LevelStat {
    /// The number of pages.
    pub pages: u64,
    /// The number of children or entries in these pages.
    pub items: u64,
    /// The number of bytes used in these pages.
    pub used_bytes: u64,
}

/// The length of a value and where it lies.
#[derive(Debug, Clone, Default)]
pub struct ValueInfo {
    /// The length of the value in bytes.
    pub len: u64,
    /// The ranges of the file in which its bytes lie, in order. The list is empty if the value lies in its leaf.
    pub extents: Vec<FileRange>,
}

/// A range of keys in which something may have changed: `low <= key < high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangedRange<'t> {
    /// The least key of the range. The empty key is the least of all.
    pub low: &'t [u8],
    /// The least key behind the range, or `None` if every key from `low` on is within it.
    pub high: Option<&'t [u8]>,
}

/// Contiguous bytes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileRange {
    /// The offset in the file of the first byte.
    pub offset: u64,
    /// The number of bytes.
    pub len: u64,
}

/// A contiguous piece of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValuePiece<'t> {
    /// The offset in the file at which the piece begins, or `None` if it lies in its leaf.
    pub file_offset: Option<u64>,
    /// The bytes of the piece.
    pub bytes: &'t [u8],
}

/// The entry that a seek looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seek {
    /// The entry with exactly this key.
    Eq,
    /// The entry with this key or, if there is none, the next greater one.
    Ge,
    /// The entry with the next greater key.
    Gt,
    /// The entry with this key or, if there is none, the next smaller one.
    Le,
    /// The entry with the next smaller key.
    Lt,
}

/// What is recorded of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// The commit whose state it is.
    pub commit: CommitId,
    /// The time of that commit, in nanoseconds since 1970 (UTC).
    pub time: u64,
    /// What tells this state from every other, also in copies of the file. Two snapshots of one commit have the same.
    pub guid: [u8; 16],
    /// The pages of the file at that commit.
    pub file_pages: u64,
    /// The pages that were in use at that commit; 0: not known, because the snapshot was made of what an old reader
    /// saw.
    pub used_pages: u64,
    /// Whether it cannot be dropped.
    pub keep: bool,
    /// Whether a commit has recorded it by itself, as the policy of the file says, which may have it dropped.
    pub automatic: bool,
    /// Whether it is a mark, of whose state nothing is kept. Its pages are 0.
    pub mark: bool,
    /// Whether it becomes a mark when the policy of the file says so.
    pub yields: bool,
    /// The note that was attached to it.
    pub note: Vec<u8>,
}

impl From<SnapshotRecord> for SnapshotInfo {
    fn from(record: SnapshotRecord) -> SnapshotInfo {
        SnapshotInfo {
            commit: record.commit,
            time: record.time,
            guid: record.guid,
            file_pages: record.file_pages,
            used_pages: record.used_pages,
            keep: record.keep,
            automatic: record.automatic,
            mark: record.mark,
            yields: record.yields,
            note: record.note,
        }
    }
}

impl SnapshotInfo {
    /// Refuses what can be the name of no snapshot.
    pub(super) fn check_name(name: &[u8]) -> Result<()> {
        check_name(name)
    }

    /// Parses what the list of snapshots has under a name.
    pub(super) fn decode(stored: &[u8]) -> Result<SnapshotInfo> {
        SnapshotRecord::decode(stored).map(SnapshotInfo::from)
    }
}
