//! The words that every thread of every process looks at: atomics only, in the memory that peers share.
//!
//! | word        | meaning                                                                                        |
//! |-------------|------------------------------------------------------------------------------------------------|
//! | `next_id`   | id of the next commit; raised before a slot is written (I-4)                                     |
//! | `tip`       | newest commit: id and slot                                                                      |
//! | `visible`   | newest commit that readers see; never exposes an undurable full commit (I-7)                      |
//! | `durable`   | newest commit known durable: id and slot; rises after a sync begun after its slot was written (I-5) |
//! | `dur_base`  | `base` of the durable commit                                                                    |
//! | `syncing`   | the commit a sync under way will make durable: id and slot, or 0                                  |
//! | `full_tip`  | newest commit made with full durability                                                          |
//! | `poison`    | a sync or slot write failed (I-8)                                                                |
//! | `intent`    | a sync is under way; found set by the next one, its leader died                                  |
//! | `erase`     | slots (a bit each) that recovery rejected or found torn: erased before anything is written        |
//! | `ring`      | descriptors of the newest 64 commits: nobody reads slots while they may be written              |
//! | `readers`   | claim of each reader (commit and process), 0 when free; beside it, when it began                 |
//! | `processes` | what the system calls the process with each index                                               |
//!
//! All accesses are sequentially consistent: a claim (a reader's, or `syncing`) counts only if its source is unchanged
//! when read again after it (I-6), which weaker orders do not give.
//!
//! This file has the single words and what a sync and a writer do with them; [`ring`] has the descriptors, and
//! [`readers`] the claims of readers.

mod readers;
pub(super) mod ring;

use super::Descriptor;
use crate::file::map::Atomics;
use crate::file::peers::{HEADER, PROCESSES};
use crate::ids::CommitId;
use crate::page::features::Features;
use crate::util::atomic::AtomicU64;
use crate::util::seeded::{self, Bug};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// Where the words are, counted from the end of the peers' header. What is written by different parties lies in
/// different cache lines of 8 words.
mod at {
    use super::readers::READERS;
    use super::ring::{ENTRY_WORDS, RING};
    use super::{Constants, PROCESSES};

    /// Read by everybody, written by those who commit and sync.
    pub const VISIBLE: usize = 0;

    /// Written by those who commit.
    pub const NEXT_ID: usize = 8;
    pub const TIP: usize = 9;
    pub const FULL_TIP: usize = 10;

    /// Written by those who sync.
    pub const DURABLE: usize = 16;
    pub const DUR_BASE: usize = 17;
    pub const SYNCING: usize = 18;
    pub const INTENT: usize = 19;

    /// Written seldom.
    pub const POISON: usize = 24;
    pub const ERASE: usize = 25;
    pub const READERS_USED: usize = 26;

    /// Written once.
    pub const CONSTANTS: usize = 32;

    pub const RING_ENTRIES: usize = (CONSTANTS + Constants::WORDS).next_multiple_of(8);
    pub const PROCESS_NUMBERS: usize = RING_ENTRIES + RING as usize * ENTRY_WORDS;
    pub const CLAIMS: usize = (PROCESS_NUMBERS + PROCESSES).next_multiple_of(8);
    pub const CLAIM_TIMES: usize = CLAIMS + READERS;
    pub const END: usize = CLAIM_TIMES + READERS;
}

/// Words of shared memory that a pager needs, its peers' header included.
pub(super) const WORDS: usize = HEADER + at::END;

/// A commit's id and the meta slot it is in, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CommitSlot {
    /// The commit; [`CommitId::NONE`] if no slot is meant.
    pub id: CommitId,
    /// Its slot, 0 to 3.
    pub slot: usize,
}

/// A word that holds a [`CommitSlot`].
#[derive(Clone, Copy)]
pub(super) struct CommitSlotWord<'a>(&'a AtomicU64);

impl CommitSlotWord<'_> {
    /// Bits of the slot, below the id.
    const SLOT_BITS: u32 = 2;

    /// Reads the word.
    pub fn get(self) -> CommitSlot {
        let word = self.0.load(SeqCst);
        CommitSlot {
            id: CommitId::new(word >> Self::SLOT_BITS),
            slot: (word & ((1 << Self::SLOT_BITS) - 1)) as usize,
        }
    }

    /// Sets the word.
    pub fn set(self, CommitSlot { id, slot }: CommitSlot) {
        debug_assert!(slot < 1 << Self::SLOT_BITS, "there are four slots");
        self.0.store(id.get() << Self::SLOT_BITS | slot as u64, SeqCst);
    }
}

/// A word that holds a commit's id.
#[derive(Clone, Copy)]
pub(super) struct CommitWord<'a>(&'a AtomicU64);

impl CommitWord<'_> {
    /// Reads the word.
    #[inline(always)]
    pub fn get(self) -> CommitId {
        CommitId::new(self.0.load(SeqCst))
    }

    /// Sets the word.
    pub fn set(self, id: CommitId) {
        self.0.store(id.get(), SeqCst);
    }

    /// Raises the word, unless it is that high already.
    fn raise(self, id: CommitId) {
        self.0.fetch_max(id.get(), SeqCst);
    }
}

/// What never changes while a database is open anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Constants {
    pub page_size: u32,
    pub uuid: [u8; 16],
    pub features: Features,
}

impl Constants {
    const WORDS: usize = 4;

    fn to_words(self) -> [u64; Constants::WORDS] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let uuid = u128::from_le_bytes(self.uuid);
        let features = self.features;
        [
            pair(self.page_size, features.read),
            pair(features.write, features.ignorable),
            uuid as u64,
            (uuid >> 64) as u64,
        ]
    }

    fn from_words([size_and_read, write_and_ignorable, low, high]: [u64; Constants::WORDS]) -> Constants {
        Constants {
            page_size: size_and_read as u32,
            uuid: (u128::from(low) | u128::from(high) << 64).to_le_bytes(),
            features: Features {
                read: (size_and_read >> 32) as u32,
                write: write_and_ignorable as u32,
                ignorable: (write_and_ignorable >> 32) as u32,
            },
        }
    }
}

/// What the first opener tells all others.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    /// The commit that recovery accepted, which is durable and visible.
    pub tip: CommitSlot,
    /// What that commit is.
    pub desc: Descriptor,
    /// Its base.
    pub base: CommitId,
    /// The highest id seen in any slot: the next commit's is above it (I-4).
    pub max_id: CommitId,
    /// Slots to be erased before anything is written.
    pub erase: Vec<usize>,
    /// What never changes.
    pub constants: Constants,
}

/// A commit that a sync will make durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SyncClaim {
    /// The commit.
    pub tip: CommitSlot,
    /// Its base.
    pub base: CommitId,
}

/// A slot that the next commit may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FreeSlot {
    /// Its number.
    pub slot: usize,
    /// The commit that was durable when the slot was chosen: the next commit's base (I-2).
    pub base: CommitId,
}

/// The shared words, and who we are among those who share them.
#[derive(Debug)]
pub(super) struct Shared {
    memory: Arc<Atomics<AtomicU64>>,
    /// Index of this process.
    process: u16,
}

impl Shared {
    /// The words as the process with this index sees them.
    pub fn new(memory: Arc<Atomics<AtomicU64>>, process: u16) -> Shared {
        let shared = Shared { memory, process };
        // A process that had this index died.
        shared.end_readers(process);
        shared
            .process_number(process)
            .store(u64::from(std::process::id()), SeqCst);
        shared
    }

    /// Fills the words after recovery, before anybody else can see them.
    pub fn fill(&self, opening: &Opening) {
        let Opening { tip, base, .. } = *opening;
        self.next_id().set(opening.max_id.next());
        self.visible().set(tip.id);
        self.dur_base().set(base);
        self.put_descriptor(&opening.desc, base);
        self.tip().set(tip);
        self.durable().set(tip);
        let erase = opening.erase.iter().fold(0, |bits, slot| bits | 1 << slot);
        self.erase().store(erase, SeqCst);
        for (i, word) in opening.constants.to_words().into_iter().enumerate() {
            self.word(at::CONSTANTS + i).store(word, SeqCst);
        }
    }

    /// What the first opener found.
    pub fn constants(&self) -> Constants {
        Constants::from_words(std::array::from_fn(|i| self.word(at::CONSTANTS + i).load(SeqCst)))
    }

    #[inline(always)]
    fn word(&self, at: usize) -> &AtomicU64 {
        &self.memory.all()[HEADER + at]
    }

    /// Id of the next commit.
    pub fn next_id(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::NEXT_ID))
    }

    /// The newest commit.
    pub fn tip(&self) -> CommitSlotWord<'_> {
        CommitSlotWord(self.word(at::TIP))
    }

    /// The newest durable commit.
    pub fn durable(&self) -> CommitSlotWord<'_> {
        CommitSlotWord(self.word(at::DURABLE))
    }

    /// The commit being made durable.
    pub fn syncing(&self) -> CommitSlotWord<'_> {
        CommitSlotWord(self.word(at::SYNCING))
    }

    /// The newest visible commit.
    #[inline(always)]
    pub fn visible(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::VISIBLE))
    }

    /// Base of the durable commit.
    pub fn dur_base(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::DUR_BASE))
    }

    /// The newest commit that was to be durable.
    pub fn full_tip(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::FULL_TIP))
    }

    /// Slots to be erased, a bit each.
    pub fn erase(&self) -> &AtomicU64 {
        self.word(at::ERASE)
    }

    /// Whether a sync or slot write failed.
    #[inline(always)]
    pub fn is_poisoned(&self) -> bool {
        self.word(at::POISON).load(SeqCst) != 0
    }

    /// Tells everybody that a sync or slot write failed (I-8).
    pub fn poison(&self) {
        self.word(at::POISON).store(1, SeqCst);
    }

    /// Notes that a sync begins. True: one before it never ended, because its leader died.
    pub fn begin_sync(&self) -> bool {
        self.word(at::INTENT).swap(1, SeqCst) != 0
    }

    /// Notes that the sync ended, and that it is known how.
    pub fn end_sync(&self) {
        self.word(at::INTENT).store(0, SeqCst);
    }

    /// Claims the tip for a sync that begins now. The claim counts only if the tip is unchanged after it (I-6).
    pub fn claim_tip(&self) -> SyncClaim {
        loop {
            let tip = self.tip().get();
            self.syncing().set(tip);
            let base = self.base_of(tip.id);
            if self.tip().get() == tip {
                return SyncClaim { tip, base };
            }
        }
    }

    /// Publishes that the claimed commit is durable (I-5). In this order: a writer that reads `durable` before `dur_base`
    /// sees a base that is too low at worst, and what is durable is visible.
    pub fn made_durable(&self, SyncClaim { tip, base }: SyncClaim) {
        debug_assert!(base <= tip.id, "I-2: a base was durable before its commit");
        self.make_visible(tip.id);
        if tip.id > self.durable().get().id {
            self.durable().set(tip);
            self.dur_base().set(base);
        }
        self.syncing().set(CommitSlot::default());
    }

    /// A slot for the next commit. The words are read in this order (I-1): the commit that moves from `syncing` to
    /// `durable` meanwhile is excluded by the first.
    pub fn free_slot(&self, slots: usize) -> Option<FreeSlot> {
        let syncing = self.syncing().get();
        let durable = self.durable().get();
        let taken = [
            (syncing, Bug::SlotOfSyncing),
            (durable, Bug::SlotOfDurable),
            (self.tip().get(), Bug::SlotOfTip),
        ];
        let is_free = |slot: usize| {
            let mut taken = taken.iter();
            taken.all(|(other, bug)| other.id == CommitId::NONE || other.slot != slot || seeded::on(*bug))
        };
        let free = (0..slots).find(|slot| is_free(*slot));
        free.map(|slot| FreeSlot { slot, base: durable.id })
    }

    /// Shows a commit to readers, unless they see a newer one: `visible` only rises.
    pub fn make_visible(&self, id: CommitId) {
        self.visible().raise(id);
    }
}

#[cfg(test)]
mod tests {
    use super::readers::READERS;
    use super::*;
    use crate::error::Error;

    #[test]
    fn readers_register_move_and_run_out() {
        let id = CommitId::new;
        let desc = |number| Descriptor {
            id: id(number),
            pages: number * 10,
            ..Descriptor::default()
        };
        let tip = CommitSlot { id: id(5), slot: 3 };
        let memory = Arc::new(Atomics::new(WORDS as u64).expect("memory"));
        let shared = Shared::new(memory.clone(), 0);
        let constants = Constants {
            page_size: 8192,
            uuid: std::array::from_fn(|i| i as u8),
            features: Features {
                read: 2,
                write: 3,
                ignorable: 4,
            },
        };
        shared.fill(&Opening {
            tip,
            desc: desc(5),
            base: id(4),
            max_id: id(7),
            erase: vec![1, 3],
            constants,
        });
        assert_eq!((shared.tip().get(), shared.next_id().get()), (tip, id(8)));
        assert_eq!((shared.constants(), shared.erase().load(SeqCst)), (constants, 0b1010));
        let (slot, seen) = shared.register().expect("register");
        assert_eq!((seen, shared.base_of(id(5))), (desc(5), id(4)));
        shared.put_descriptor(&desc(8), id(5));
        shared.make_visible(id(8));
        assert_eq!(shared.newest(), desc(8));
        let (other, _) = shared.register().expect("register");
        assert_eq!(shared.held(), [id(5), id(8)]);
        assert_eq!(shared.move_reader(slot), desc(8));
        shared.unregister(other);
        assert_eq!(shared.held(), [id(8)]);

        let neighbour = Shared::new(memory, 7);
        neighbour.register().expect("register");
        assert_eq!(shared.other_processes(Some(id(9))), [7]);
        assert!(shared.other_processes(Some(id(8))).is_empty());
        assert_eq!(neighbour.other_processes(None), [0]);
        let seen: Vec<_> = shared.readers().iter().map(|r| (r.process, r.id, r.pid)).collect();
        assert!(seen.contains(&(7, id(8), std::process::id())) && seen.len() == 2);
        shared.end_readers(7);
        assert_eq!(shared.readers().len(), 1, "only the dead one's");

        let all: Vec<u32> = std::iter::from_fn(|| shared.register().ok().map(|r| r.0)).collect();
        assert_eq!(all.len(), READERS - 1);
        assert!(matches!(shared.register(), Err(Error::Limit(_))));
        shared.unregister(all[77]);
        assert!(shared.register().is_ok());
    }
}
