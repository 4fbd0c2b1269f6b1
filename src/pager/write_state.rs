//! What a writer knows of the newest commit, and what is derived from it.

use super::commit::{CommitRecord, SlotRecords, SpaceChange};
use super::descriptor::Descriptor;
use super::space::{RunSet, Space};
use crate::ids::{CommitId, Run};
use crate::page::meta::SLOT_BYTES;

/// What the writer knows. It stays with the pager while nobody writes, and all of it is as of the commit `tip`
/// ([`CommitId::NONE`]: nothing is known yet).
#[derive(Debug, Default)]
pub(super) struct WriteState {
    /// Dead pages.
    pub space: Space,
    /// The commit.
    pub tip: Descriptor,
    /// The records in its slot.
    pub records: SlotRecords,
    /// The newest commit whose changes of dead space its space tree holds.
    pub folded: CommitId,
    /// Its dead pages.
    pub dead: u64,
    /// Changes that the next fold would carry from the records to the space tree.
    pub changes: usize,
    /// Commits not known durable, and the bytes they wrote.
    pub unsynced: Vec<(CommitId, u64)>,
    /// Memory for the pages that a transaction takes.
    pub taken: RunSet,
    /// Memory for a slot's bytes.
    pub slot_bytes: Option<Box<[u8; SLOT_BYTES]>>,
}

/// What [`Pager::accounting`](super::Pager::accounting) returns.
#[derive(Debug, Clone, Default)]
pub struct Accounting {
    /// The commit this describes.
    pub desc: Descriptor,
    /// Changes to the content of its space tree that its records still hold, in order.
    pub changes: Vec<SpaceChange>,
    /// Pages that hold spilled records.
    pub spilled: Vec<Run>,
}

impl WriteState {
    /// How many changes a fold would carry from these records to the space tree.
    pub fn count_changes(records: &SlotRecords, folded: CommitId) -> usize {
        records.above(folded).map(CommitRecord::changes).sum()
    }

    /// What the accounting check needs of this commit.
    pub fn accounting(&self) -> Accounting {
        let spilled = self.records.spilled.iter().map(|s| s.spill.extent.run);
        Accounting {
            desc: self.tip,
            changes: self.records.changes(self.folded),
            spilled: spilled.collect(),
        }
    }
}
