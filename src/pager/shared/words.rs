//! The single words, and what those who commit and sync do with them.

use super::layout::{at, CONSTANT_WORDS, WORDS};
use crate::file::map::Atomics;
use crate::file::peers::HEADER;
use crate::ids::{CommitId, ProcessIndex};
use crate::page::features::Features;
use crate::pager::descriptor::{Descriptor, Origin};
use crate::util::atomic::AtomicU64;
use crate::util::seeded::{self, Bug};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// A commit's id and the meta slot it is in. Both fit into one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::pager) struct CommitSlot {
    /// The commit, or [`CommitId::NONE`] if no slot is meant.
    pub id: CommitId,
    /// The slot of the commit, 0 to 3.
    pub slot: usize,
}

/// A word that holds a [`CommitSlot`].
#[derive(Clone, Copy)]
pub(in crate::pager) struct CommitSlotWord<'a>(&'a AtomicU64);

impl CommitSlotWord<'_> {
    /// The number of bits of the slot, which lie below the id.
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
pub(in crate::pager) struct CommitWord<'a>(&'a AtomicU64);

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
pub(in crate::pager) struct Constants {
    pub page_size: u32,
    pub uuid: [u8; 16],
    pub timeline: u64,
    pub features: Features,
}

impl Constants {
    fn to_words(self) -> [u64; CONSTANT_WORDS] {
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let uuid = u128::from_le_bytes(self.uuid);
        let features = self.features;
        [
            pair(self.page_size, features.read),
            pair(features.write, features.ignorable),
            uuid as u64,
            (uuid >> 64) as u64,
            self.timeline,
            features.slot_flags.into(),
        ]
    }

    fn from_words(words: [u64; CONSTANT_WORDS]) -> Constants {
        let [size_and_read, write_and_ignorable, low, high, timeline, slot_flags] = words;
        Constants {
            page_size: size_and_read as u32,
            uuid: (u128::from(low) | u128::from(high) << 64).to_le_bytes(),
            timeline,
            features: Features {
                read: (size_and_read >> 32) as u32,
                write: write_and_ignorable as u32,
                ignorable: (write_and_ignorable >> 32) as u32,
                slot_flags: slot_flags as u32,
            },
        }
    }
}

/// What the first opener tells all others.
#[derive(Debug, Clone)]
pub(in crate::pager) struct Opening {
    /// The commit that recovery accepted, which is durable and visible.
    pub tip: CommitSlot,
    /// The descriptor of that commit.
    pub desc: Descriptor,
    /// The base and the time of that commit.
    pub origin: Origin,
    /// The newest commit whose changes the space tree of that commit holds.
    pub folded: CommitId,
    /// The highest id seen in any slot. The next commit's id is above it (I-4).
    pub max_id: CommitId,
    /// The slots to be erased before anything is written.
    pub erase: Vec<usize>,
    /// What never changes.
    pub constants: Constants,
    /// Whether the database was closed properly with this commit.
    pub closed: bool,
}

/// A commit that a sync will make durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pager) struct SyncClaim {
    /// The commit and its slot.
    pub tip: CommitSlot,
    /// The base of that commit.
    pub base: CommitId,
}

/// A slot that the next commit may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pager) struct FreeSlot {
    /// The number of the slot.
    pub slot: usize,
    /// The commit that was durable when the slot was chosen, which is the next commit's base (I-2).
    pub base: CommitId,
}

/// All the shared words. Code that needs several of them in a few instructions, as a reader that begins, finds them
/// once.
#[derive(Clone, Copy)]
pub(super) struct Words<'a>(&'a [AtomicU64; WORDS]);

impl<'a> Words<'a> {
    #[inline(always)]
    pub fn word(self, at: usize) -> &'a AtomicU64 {
        &self.0[HEADER + at]
    }

    /// Returns `count` words from `at` on.
    #[inline(always)]
    pub fn part(self, at: usize, count: usize) -> &'a [AtomicU64] {
        &self.0[HEADER + at..HEADER + at + count]
    }

    /// Returns the word of the newest visible commit.
    #[inline(always)]
    pub fn visible(self) -> CommitWord<'a> {
        CommitWord(self.word(at::VISIBLE))
    }
}

/// The shared words, together with the index of this process among those that share them.
#[derive(Debug)]
pub(in crate::pager) struct Shared {
    memory: Arc<Atomics<AtomicU64>>,
    /// The index of this process.
    pub(super) process: ProcessIndex,
}

impl Shared {
    /// Returns the words as the process with this index sees them.
    pub fn new(memory: Arc<Atomics<AtomicU64>>, process: ProcessIndex) -> Shared {
        let shared = Shared { memory, process };
        // If another process had this index before, it is dead, and its readers are still registered.
        shared.end_readers(process);
        let number = u64::from(std::process::id());
        shared.process_number(process).store(number, SeqCst);
        shared
    }

    /// Fills the words after recovery, before anybody else can see them.
    pub fn fill(&self, opening: &Opening) {
        let Opening { tip, origin, .. } = *opening;
        self.next_id().set(opening.max_id.next());
        self.visible().set(tip.id);
        self.dur_base().set(origin.base);
        self.listed().set(opening.folded);
        self.put_descriptor(&opening.desc, origin);
        self.tip().set(tip);
        self.durable().set(tip);
        if !opening.closed {
            // Which commit made the file shorter is not known. If it was this one, its base is of a longer file (I-30).
            self.shrunk().set(tip.id);
        }
        let erase = opening.erase.iter().fold(0, |bits, slot| bits | 1 << slot);
        self.erase().store(erase, SeqCst);
        for (i, word) in opening.constants.to_words().into_iter().enumerate() {
            self.word(at::CONSTANTS + i).store(word, SeqCst);
        }
    }

    /// Returns the constants, as the first opener found them.
    pub fn constants(&self) -> Constants {
        Constants::from_words(std::array::from_fn(|i| self.word(at::CONSTANTS + i).load(SeqCst)))
    }

    #[inline(always)]
    pub(super) fn words(&self) -> Words<'_> {
        let all = self.memory.all().try_into();
        Words(all.expect("as many words as the layout has"))
    }

    #[inline(always)]
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        self.words().word(at)
    }

    /// Returns the word of the next commit's id.
    pub fn next_id(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::NEXT_ID))
    }

    /// Returns the word of the newest commit.
    pub fn tip(&self) -> CommitSlotWord<'_> {
        CommitSlotWord(self.word(at::TIP))
    }

    /// Returns the word of the newest durable commit.
    pub fn durable(&self) -> CommitSlotWord<'_> {
        CommitSlotWord(self.word(at::DURABLE))
    }

    /// Returns the word of the commit that is being made durable.
    pub fn syncing(&self) -> CommitSlotWord<'_> {
        CommitSlotWord(self.word(at::SYNCING))
    }

    /// Returns the word of the newest visible commit.
    #[inline(always)]
    pub fn visible(&self) -> CommitWord<'_> {
        self.words().visible()
    }

    /// Returns the word of the durable commit's base.
    pub fn dur_base(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::DUR_BASE))
    }

    /// Returns the word of the newest commit that was made with full durability.
    pub fn full_tip(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::FULL_TIP))
    }

    /// Returns the word of the newest commit whose changes of dead space the newest slot may not list any more. A
    /// writer raises it before it writes its slot. If the writer dies then, the word is higher than need be, and
    /// others learn less from the slot than they could.
    pub fn listed(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::LISTED))
    }

    /// Returns the word of the newest commit that has fewer pages than the one before it. A writer raises it before it
    /// writes its slot. If the writer dies then, no commit has this id. After a crash, it is the commit that recovery
    /// found.
    pub fn shrunk(&self) -> CommitWord<'_> {
        CommitWord(self.word(at::SHRUNK))
    }

    /// Returns the word that counts how often the file was made shorter.
    pub fn cuts(&self) -> &AtomicU64 {
        self.word(at::CUTS)
    }

    /// Returns the word of the page before which writers take pages while somebody moves what lies behind it, and of
    /// the commit that was the newest then, or 0 (`pager/frontier.rs`). It is a wish: nothing depends on it, and it may
    /// be left behind by a process that was killed.
    pub fn frontier(&self) -> &AtomicU64 {
        self.word(at::FRONTIER)
    }

    /// Returns the word of the slots to be erased, with a bit for each.
    pub fn erase(&self) -> &AtomicU64 {
        self.word(at::ERASE)
    }

    /// Returns whether a sync or a slot write has failed.
    #[inline(always)]
    pub fn is_poisoned(&self) -> bool {
        self.word(at::POISON).load(SeqCst) != 0
    }

    /// Tells everybody that a sync or a slot write has failed (I-8).
    pub fn poison(&self) {
        self.word(at::POISON).store(1, SeqCst);
    }

    /// Notes that a sync begins. Returns `true` if the sync before it never ended, because its leader died.
    pub fn begin_sync(&self) -> bool {
        self.word(at::INTENT).swap(1, SeqCst) != 0
    }

    /// Returns whether a sync was begun and not ended, as far as is noted.
    pub fn is_syncing(&self) -> bool {
        self.word(at::INTENT).load(SeqCst) != 0
    }

    /// Notes that the sync has ended and that its outcome is known.
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

    /// Publishes that the claimed commit is durable (I-5). The order of the stores makes a writer that reads
    /// `durable` before `dur_base` see at worst a base that is too low, and makes what is durable visible.
    pub fn made_durable(&self, SyncClaim { tip, base }: SyncClaim) {
        debug_assert!(base <= tip.id, "I-2: a base was durable before its commit");
        self.make_visible(tip.id);
        if tip.id > self.durable().get().id {
            self.durable().set(tip);
            self.dur_base().set(base);
        }
        self.syncing().set(CommitSlot::default());
    }

    /// Returns a slot for the next commit. The words are read in this order (I-1), so that reading `syncing` excludes
    /// a commit that moves from `syncing` to `durable` meanwhile.
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

    /// Shows a commit to readers, unless they see a newer one already: `visible` only rises.
    pub fn make_visible(&self, id: CommitId) {
        self.visible().raise(id);
    }
}
