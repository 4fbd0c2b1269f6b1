//! What a salvage tells its caller.

use crate::ids::CommitId;

/// What a salvage counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// The commit whose trees were walked; [`CommitId::NONE`]: no slot could be read.
    pub id: CommitId,
    /// Tables saved, the default one included.
    pub tables: u64,
    /// Entries saved, the uncertain ones included.
    pub entries: u64,
    /// Entries that no pointer led to: found by looking at every page. They may be older than what was lost.
    pub uncertain: u64,
    /// Entries that were there and are not saved, as far as pointers told their number.
    pub lost_entries: u64,
    /// Pages in use whose checksum differs or that could not be read.
    pub damaged_pages: u64,
    /// Pointers that led to nothing.
    pub lost_subtrees: u64,
    /// Leaves that look right and were not used, because nothing tells whether they are the newest.
    pub ambiguous_pages: u64,
}
