//! The report that a salvage returns to its caller.

use crate::ids::CommitId;

/// The counts of a salvage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// The commit whose trees were walked, or [`CommitId::NONE`] if no slot could be read.
    pub id: CommitId,
    /// A bit for each of the four meta slots (1 for the first) that cannot be read, or that is missing, as in
    /// [`Recovery::lost_slots`](crate::Recovery). If there is one, a commit that is newer than `id` may be lost with
    /// it.
    pub lost_slots: u32,
    /// The number of tables that were saved, including the main one.
    pub tables: u64,
    /// The number of entries that were saved, including the uncertain ones.
    pub entries: u64,
    /// The number of saved entries that no pointer of the newest commit led to: they, or the record of their table,
    /// were found by looking at every page. They may be older than what was lost.
    pub uncertain: u64,
    /// The number of entries that were there and are not saved, as far as pointers give it: those that were found
    /// elsewhere do not count. If records of tables are lost, the number of their entries is not known and not counted.
    pub lost_entries: u64,
    /// The number of pages in use whose checksum differs or that could not be read.
    pub damaged_pages: u64,
    /// The number of pointers that led to nothing.
    pub lost_subtrees: u64,
    /// The number of leaves that look right but were not used, because nothing tells whether they are the newest.
    pub ambiguous_pages: u64,
}
