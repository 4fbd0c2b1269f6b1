//! What a writer knows of the newest commit, and what it derives from that.

use super::commit::{CommitRecord, SlotRecords, SpaceChange};
use super::descriptor::Descriptor;
use super::recorded::KnownSnapshots;
use super::space::Space;
use crate::error::Result;
use crate::ids::{CommitId, Run};
use crate::page::meta::SLOT_BYTES;

/// What the writer knows. It stays with the pager while nobody writes. All of it is as of the commit `tip`; if that
/// is [`CommitId::NONE`], nothing is known yet.
#[derive(Debug, Default)]
pub(super) struct WriteState {
    /// The dead pages.
    pub space: Space,
    /// The descriptor of the commit.
    pub tip: Descriptor,
    /// The records in the slot of the commit.
    pub records: SlotRecords,
    /// The newest commit whose changes of dead space the space tree holds.
    pub folded: CommitId,
    /// The records list the changes of dead space of all commits above this one.
    pub listed: CommitId,
    /// The newest commit of another process that is known.
    pub foreign: CommitId,
    /// The number of dead pages at the commit, in its space tree and its records.
    pub dead: u64,
    /// The number of parked pages at the commit: dead, and kept in its space tree for named snapshots.
    pub parked: u64,
    /// The named snapshots at the commit.
    pub snapshots: KnownSnapshots,
    /// The number of changes that the next fold would carry from the records to the space tree.
    pub changes: usize,
    /// The commits that are not known to be durable, in ascending order.
    pub unsynced: Vec<Unsynced>,
    /// Memory for the bytes of a slot.
    pub slot_bytes: Option<Box<[u8; SLOT_BYTES]>>,
}

/// What a writer has got from its pager, and gives back when it ends. It is there all the time until then.
#[derive(Debug)]
pub(super) struct StateGuard(Option<Box<WriteState>>);

impl StateGuard {
    /// Returns a guard of this state.
    pub fn of(state: Box<WriteState>) -> StateGuard {
        StateGuard(Some(state))
    }

    /// Gives the state back, which the writer must not use any more.
    pub fn give_back(&mut self) -> Option<Box<WriteState>> {
        self.0.take()
    }
}

impl std::ops::Deref for StateGuard {
    type Target = WriteState;

    #[inline(always)]
    fn deref(&self) -> &WriteState {
        self.0.as_deref().expect("the state is there until the writer ends")
    }
}

impl std::ops::DerefMut for StateGuard {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut WriteState {
        self.0.as_deref_mut().expect("the state is there until the writer ends")
    }
}

/// A commit that is not known to be durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsynced {
    pub id: CommitId,
    /// The number of bytes that the commit wrote and that wait for a sync.
    pub bytes: u64,
}

/// What [`Pager::accounting`](super::Pager::accounting) returns.
#[derive(Debug, Clone, Default)]
pub struct Accounting {
    /// The commit this describes.
    pub desc: Descriptor,
    /// The changes to the content of the space tree that the records still hold, in order.
    pub changes: Vec<SpaceChange>,
    /// The pages that hold spilled records.
    pub spilled: Vec<Run>,
    /// The number of dead pages that the commit counts.
    pub dead: u64,
    /// The number of parked pages that it counts.
    pub parked: u64,
}

impl WriteState {
    /// Returns whether something is missing here, because there was no memory for it.
    pub fn is_incomplete(&self) -> bool {
        self.space.is_incomplete()
    }

    /// Returns how many changes a fold would carry from these records to the space tree.
    pub fn count_changes(records: &SlotRecords, folded: CommitId) -> usize {
        records.above(folded).map(CommitRecord::changes).sum()
    }

    /// Returns what the accounting check needs of this commit.
    pub fn accounting(&self) -> Result<Accounting> {
        let spilled = self.records.spilled.iter().map(|s| s.spill.extent.run);
        Ok(Accounting {
            desc: self.tip,
            changes: self.records.changes(self.folded)?,
            spilled: spilled.collect(),
            dead: self.dead,
            parked: self.parked,
        })
    }
}
