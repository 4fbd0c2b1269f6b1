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
//! | `readers`   | commit id and process of each reader, 0 when free; beside it, when it began                      |
//! | `processes` | what the system calls the process with each index                                               |
//!
//! All accesses are sequentially consistent: a claim (reader slot, `syncing`) counts only if its source is unchanged
//! when read again after it (I-6), which weaker orders do not give.

use super::Descriptor;
use crate::error::{Error, Result};
use crate::file::map::Atomics;
use crate::file::peers::{HEADER, PROCESSES};
use crate::ids::{CommitId, PageRef, U48_MAX};
use crate::page::{Ptr, Root, Roots};
use crate::util::atomic::AtomicU64;
use crate::util::seeded::{self, Bug};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;

/// Reader slots.
pub(super) const READERS: usize = 8192;
/// Slots that neighbours in memory are apart: readers that begin one after the other do not meet in a cache line.
const LINES: usize = READERS / 8;
/// Descriptors kept.
pub(super) const RING: u64 = 64;
const RING_WORDS: usize = 15;

/// Where things are, in words behind the header. What is written by different parties lies in different cache lines.
mod at {
    use super::{PROCESSES, READERS, RING, RING_WORDS};
    pub const VISIBLE: usize = 0;
    pub const NEXT_ID: usize = 8;
    pub const TIP: usize = 9;
    pub const FULL_TIP: usize = 10;
    pub const DURABLE: usize = 16;
    pub const DUR_BASE: usize = 17;
    pub const SYNCING: usize = 18;
    pub const INTENT: usize = 19;
    pub const POISON: usize = 24;
    pub const ERASE: usize = 25;
    /// Reader slots ever used: no need to look further.
    pub const USED: usize = 26;
    /// What never changes: page size, UUID (2), features (2).
    pub const CONSTANTS: usize = 32;
    pub const RING_AT: usize = 40;
    pub const PROCESSES_AT: usize = RING_AT + RING as usize * RING_WORDS;
    pub const READERS_AT: usize = (PROCESSES_AT + PROCESSES).next_multiple_of(8);
    pub const SINCE_AT: usize = READERS_AT + READERS;
    pub const END: usize = SINCE_AT + READERS;
}

/// Words of shared memory that a pager needs, its peers' header included.
pub(super) const WORDS: usize = HEADER + at::END;

/// A commit's id and the meta slot it is in, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CommitSlot {
    /// The commit; none if there is no such commit.
    pub id: CommitId,
    /// Slot, 0 to 3.
    pub slot: usize,
}

impl CommitSlot {
    fn word(self) -> u64 {
        self.id.get() << 2 | self.slot as u64
    }

    fn of(word: u64) -> CommitSlot {
        CommitSlot {
            id: CommitId::new(word >> 2),
            slot: (word & 3) as usize,
        }
    }
}

/// A word that holds a [`CommitSlot`].
#[derive(Clone, Copy)]
pub(super) struct CommitSlotWord<'a>(&'a AtomicU64);

impl CommitSlotWord<'_> {
    /// Reads it.
    pub fn get(self) -> CommitSlot {
        CommitSlot::of(self.0.load(SeqCst))
    }

    /// Sets it.
    pub fn set(self, seat: CommitSlot) {
        self.0.store(seat.word(), SeqCst);
    }
}

/// A word that holds a commit's id.
#[derive(Clone, Copy)]
pub(super) struct CommitWord<'a>(&'a AtomicU64);

impl CommitWord<'_> {
    /// Reads it.
    #[inline(always)]
    pub fn get(self) -> CommitId {
        CommitId::new(self.0.load(SeqCst))
    }

    /// Sets it.
    pub fn set(self, id: CommitId) {
        self.0.store(id.get(), SeqCst);
    }

    /// Raises it, unless it is that high already.
    pub fn raise(self, id: CommitId) {
        self.0.fetch_max(id.get(), SeqCst);
    }
}

/// What never changes while a database is open anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Constants {
    pub page_size: u32,
    pub uuid: [u8; 16],
    pub features: (u32, u32),
}

/// A registered reader, as everybody can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its slot.
    pub slot: u32,
    /// Index of its process.
    pub process: u16,
    /// The system's number of that process.
    pub pid: u32,
    /// Commit that it sees.
    pub id: CommitId,
    /// Milliseconds since it began (or was moved to that commit).
    pub age_ms: u64,
}

/// The shared words, and who we are among those who share them.
#[derive(Debug)]
pub(super) struct Shared {
    memory: Arc<Atomics<AtomicU64>>,
    /// Index of this process.
    me: u16,
}

fn words(root: &Root) -> [u64; 4] {
    let ptr = &root.ptr;
    let last = u64::from(ptr.checksum) | u64::from(root.height) << 32 | u64::from(root.has_long) << 40;
    [ptr.page.to_bits(), ptr.birth.get(), ptr.entries, last]
}

fn root(words: [u64; 4]) -> Root {
    Root {
        ptr: Ptr {
            page: PageRef::from_bits(words[0]),
            birth: CommitId::new(words[1]),
            entries: words[2],
            checksum: words[3] as u32,
        },
        height: (words[3] >> 32) as u8,
        has_long: words[3] >> 40 != 0,
    }
}

/// Milliseconds of a clock that all processes share; as coarse as the system's tick, and as cheap.
fn milliseconds() -> u64 {
    crate::file::clock::coarse_ms()
}

impl Shared {
    /// The words as this process, with the index `me`, sees them.
    pub fn new(memory: Arc<Atomics<AtomicU64>>, me: u16) -> Shared {
        let shared = Shared { memory, me };
        // A process that had this index died.
        shared.clear(me);
        shared
            .word(at::PROCESSES_AT + usize::from(me))
            .store(u64::from(std::process::id()), SeqCst);
        shared
    }

    /// The state after recovery accepted the commit at `seat`; `max_id` is the highest id seen in any slot.
    pub fn fill(
        &self,
        seat: CommitSlot,
        desc: &Descriptor,
        base: CommitId,
        max_id: CommitId,
        erase: &[usize],
        constants: &Constants,
    ) {
        self.next_id().set(max_id.next());
        self.visible().set(seat.id);
        self.dur_base().set(base);
        self.describe(desc, base);
        self.tip().set(seat);
        self.durable().set(seat);
        self.erase()
            .store(erase.iter().fold(0, |bits, slot| bits | 1 << slot), SeqCst);
        let half = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| constants.uuid[at + i]));
        let features = u64::from(constants.features.0) | u64::from(constants.features.1) << 32;
        let words = [u64::from(constants.page_size), half(0), half(8), features];
        (at::CONSTANTS..)
            .zip(words)
            .for_each(|(at, word)| self.word(at).store(word, SeqCst));
    }

    /// What the first opener found.
    pub fn constants(&self) -> Constants {
        let word = |at: usize| self.word(at::CONSTANTS + at).load(SeqCst);
        let uuid = [word(1).to_le_bytes(), word(2).to_le_bytes()].concat();
        Constants {
            page_size: word(0) as u32,
            uuid: std::array::from_fn(|i| uuid[i]),
            features: (word(3) as u32, (word(3) >> 32) as u32),
        }
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

    /// A sync or slot write failed.
    pub fn poison(&self) {
        self.word(at::POISON).store(1, SeqCst);
    }

    /// A sync begins; true: one before it never ended.
    pub fn begin_sync(&self) -> bool {
        self.word(at::INTENT).swap(1, SeqCst) != 0
    }

    /// The sync ended, and it is known how.
    pub fn end_sync(&self) {
        self.word(at::INTENT).store(0, SeqCst);
    }

    /// Claims the tip for a sync that begins now: a commit and its base. The claim counts only if the tip is unchanged
    /// after it (I-6).
    pub fn claim_tip(&self) -> (CommitSlot, CommitId) {
        loop {
            let tip = self.tip().get();
            self.syncing().set(tip);
            let base = self.base_of(tip.id);
            if self.tip().get() == tip {
                return (tip, base);
            }
        }
    }

    /// The claimed commit is durable. In this order: a writer that reads `durable` before `dur_base` sees a base that is
    /// too low at worst, and what is durable is visible.
    pub fn synced(&self, tip: CommitSlot, base: CommitId) {
        self.show(tip.id);
        if tip.id > self.durable().get().id {
            self.durable().set(tip);
            self.dur_base().set(base);
        }
        self.syncing().set(CommitSlot::default());
    }

    /// A slot for the next commit, and the commit that is its base. In this order (I-1): the commit that moves from
    /// `syncing` to `durable` meanwhile is excluded by the first.
    pub fn free_slot(&self, slots: usize) -> Option<(usize, CommitSlot)> {
        let syncing = self.syncing().get();
        let durable = self.durable().get();
        let taken = [
            (syncing, Bug::SlotOfSyncing),
            (durable, Bug::SlotOfDurable),
            (self.tip().get(), Bug::SlotOfTip),
        ];
        let is_free = |slot: usize| {
            let mut taken = taken.iter();
            taken.all(|(seat, bug)| seat.id == CommitId::NONE || seat.slot != slot || seeded::on(*bug))
        };
        let free = (0..slots).find(|slot| is_free(*slot));
        free.map(|slot| (slot, durable))
    }

    fn ring(&self, id: CommitId) -> &[AtomicU64] {
        let from = HEADER + at::RING_AT + (id.get() % RING) as usize * RING_WORDS;
        &self.memory.all()[from..from + RING_WORDS]
    }

    /// Puts a commit's descriptor into the ring, before `tip` names it.
    pub fn describe(&self, desc: &Descriptor, base: CommitId) {
        let entry = self.ring(desc.id);
        let [main, catalogue, space] = desc.roots.all().map(words);
        let all = [[desc.pages, base.get(), 0, 0], main, catalogue, space].concat();
        entry[0].store(0, SeqCst);
        let fields = all[..2].iter().chain(&all[4..]);
        entry[1..]
            .iter()
            .zip(fields)
            .for_each(|(to, from)| to.store(*from, SeqCst));
        entry[0].store(desc.id.get(), SeqCst);
    }

    /// The descriptor of commit `id` and its base, if the ring has it (it may be torn unless `id` is checked to be
    /// still visible afterwards).
    fn described(&self, id: CommitId) -> Option<(Descriptor, CommitId)> {
        let mut desc = Descriptor::default();
        self.describe_in(id, &mut desc).map(|base| (desc, base))
    }

    /// As [`Shared::described`], into `desc`, which is anything if the answer is none; the answer is its base.
    #[inline]
    fn describe_in(&self, id: CommitId, desc: &mut Descriptor) -> Option<CommitId> {
        let entry = self.ring(id);
        let word = |i: usize| entry[i].load(SeqCst);
        let (there, base) = (word(0), word(2));
        desc.id = id;
        desc.pages = word(1);
        desc.roots = Roots {
            main: root([word(3), word(4), word(5), word(6)]),
            catalogue: root([word(7), word(8), word(9), word(10)]),
            space: root([word(11), word(12), word(13), word(14)]),
        };
        (there == id.get()).then_some(CommitId::new(base))
    }

    /// The base of the tip named by the caller, which re-checks that it still is the tip.
    pub fn base_of(&self, id: CommitId) -> CommitId {
        self.described(id).map_or(CommitId::NONE, |(_, base)| base)
    }

    /// The newest visible commit.
    pub fn newest(&self) -> Descriptor {
        loop {
            let id = self.visible().get();
            let found = self.described(id);
            if let (Some((desc, _)), true) = (found, self.visible().get() == id) {
                return desc;
            }
        }
    }

    /// Raises `visible`.
    pub fn show(&self, id: CommitId) {
        self.visible().raise(id);
    }

    #[inline(always)]
    fn reader(&self, slot: usize) -> &AtomicU64 {
        self.word(at::READERS_AT + place_of(slot))
    }

    #[inline(always)]
    fn since(&self, slot: usize) -> &AtomicU64 {
        self.word(at::SINCE_AT + place_of(slot))
    }

    fn used(&self) -> &AtomicU64 {
        self.word(at::USED)
    }

    /// Registers a reader: its slot; `desc` becomes what it sees. (It is written in place, and not moved through every
    /// call up to where it stays.)
    #[inline]
    pub fn register_in(&self, desc: &mut Descriptor) -> Result<u32> {
        thread_local! {
            static HINT: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let hint = HINT.get();
        let used = (self.used().load(SeqCst) as usize).clamp(1, READERS);
        let start = if hint < READERS {
            hint
        } else {
            first_hint() % used.max(16)
        };
        for step in 0..READERS {
            let slot = (start + step) % READERS;
            let word = self.reader(slot);
            if word.load(SeqCst) != 0 {
                continue;
            }
            // A writer must look at this slot before it can be claimed.
            if slot as u64 >= self.used().load(SeqCst) {
                self.used().fetch_max(slot as u64 + 1, SeqCst);
            }
            let id = self.visible().get();
            if word.compare_exchange(0, self.claim(id), SeqCst, SeqCst).is_ok() {
                HINT.set(slot);
                self.settle(slot as u32, id, desc);
                return Ok(slot as u32);
            }
        }
        Err(Error::Limit("too many read transactions at once; end some"))
    }

    /// What a reader of this process that sees commit `id` writes into its slot.
    #[inline(always)]
    fn claim(&self, id: CommitId) -> u64 {
        id.get() | u64::from(self.me) << 48
    }

    /// Makes the claim of `slot` on commit `id` good, or claims the newest commit instead (I-6).
    #[inline]
    fn settle(&self, slot: u32, mut id: CommitId, desc: &mut Descriptor) {
        let word = self.reader(slot as usize);
        self.since(slot as usize).store(milliseconds(), Relaxed);
        loop {
            let found = self.describe_in(id, desc);
            let now = self.visible().get();
            if found.is_some() && now == id {
                return;
            }
            id = now;
            word.store(self.claim(id), SeqCst);
        }
    }

    /// As [`Shared::register_in`], with what it sees in the answer.
    #[cfg(test)]
    pub fn register(&self) -> Result<(u32, Descriptor)> {
        let mut desc = Descriptor::default();
        self.register_in(&mut desc).map(|slot| (slot, desc))
    }

    /// Whether a registered reader that sees commit `id` sees the newest one: then it was looked at again now.
    #[inline]
    pub fn is_newest(&self, slot: u32, id: CommitId) -> bool {
        let newest = self.visible().get() == id;
        if newest {
            self.since(slot as usize).store(milliseconds(), Relaxed);
        }
        newest
    }

    /// Moves a registered reader to the newest commit.
    pub fn move_reader(&self, slot: u32) -> Descriptor {
        let mut desc = Descriptor::default();
        let id = self.visible().get();
        self.reader(slot as usize).store(self.claim(id), SeqCst);
        self.settle(slot, id, &mut desc);
        desc
    }

    /// Ends a registration.
    #[inline]
    pub fn unregister(&self, slot: u32) {
        self.reader(slot as usize)
            .store(0, std::sync::atomic::Ordering::Release);
    }

    /// Slots in use, with their words.
    fn claims(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        let used = (self.used().load(SeqCst) as usize).min(READERS);
        let words = (0..used).map(|slot| (slot, self.reader(slot).load(SeqCst)));
        words.filter(|(_, word)| *word != 0)
    }

    /// Commits held by readers of all processes, ascending, once per reader.
    pub fn held(&self) -> Vec<CommitId> {
        let mut held: Vec<CommitId> = self.claims().map(|(_, word)| claimed(word)).collect();
        held.sort_unstable();
        held
    }

    /// Every reader, by slot.
    pub fn readers(&self) -> Vec<Held> {
        let now = milliseconds();
        let claims = self.claims().map(|(slot, word)| {
            let process = (word >> 48) as u16;
            let pid = self
                .word(at::PROCESSES_AT + usize::from(process) % PROCESSES)
                .load(SeqCst);
            Held {
                slot: slot as u32,
                process,
                pid: pid as u32,
                id: claimed(word),
                age_ms: now.saturating_sub(self.since(slot).load(Relaxed)),
            }
        });
        claims.collect()
    }

    /// Other processes that have readers, of commits before `before` if that is told.
    pub fn holders(&self, before: Option<CommitId>) -> Vec<u16> {
        let old = self
            .claims()
            .filter(|(_, word)| before.is_none_or(|id| claimed(*word) < id));
        let mut processes: Vec<u16> = old.map(|(_, word)| (word >> 48) as u16).collect();
        processes.sort_unstable();
        processes.dedup();
        processes.retain(|process| *process != self.me);
        processes
    }

    /// Ends what a dead process left registered.
    pub fn clear(&self, process: u16) {
        let left: Vec<(usize, u64)> = self
            .claims()
            .filter(|(_, word)| (word >> 48) as u16 == process)
            .collect();
        for (slot, word) in left {
            // Slots of other processes are left alone, whatever happened meanwhile.
            let _ = self.reader(slot).compare_exchange(word, 0, SeqCst, SeqCst);
        }
        self.word(at::PROCESSES_AT + usize::from(process) % PROCESSES)
            .store(0, SeqCst);
    }
}

/// Whether the descriptors of two commits have the same place in the ring.
pub(super) fn share_descriptor(a: CommitId, b: CommitId) -> bool {
    a.get() % RING == b.get() % RING
}

/// The commit that a reader's word claims.
fn claimed(word: u64) -> CommitId {
    CommitId::new(word & U48_MAX)
}

/// Where a reader's word lies among the readers' words: neighbours in order are a cache line apart.
#[inline(always)]
fn place_of(slot: usize) -> usize {
    slot % LINES * (READERS / LINES) + slot / LINES
}

/// Threads start at different slots, so that they do not meet in one cache line.
fn first_hint() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, SeqCst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_register_move_and_run_out() {
        let id = CommitId::new;
        let desc = |number| Descriptor {
            id: id(number),
            pages: number * 10,
            ..Descriptor::default()
        };
        let seat = CommitSlot { id: id(5), slot: 3 };
        let memory = Arc::new(Atomics::new(WORDS as u64).expect("memory"));
        let shared = Shared::new(memory.clone(), 0);
        let constants = Constants {
            page_size: 8192,
            uuid: std::array::from_fn(|i| i as u8),
            features: (3, 4),
        };
        shared.fill(seat, &desc(5), id(4), id(7), &[1, 3], &constants);
        assert_eq!((shared.tip().get(), shared.next_id().get()), (seat, id(8)));
        assert_eq!((shared.constants(), shared.erase().load(SeqCst)), (constants, 0b1010));
        let (slot, seen) = shared.register().expect("register");
        assert_eq!((seen, shared.base_of(id(5))), (desc(5), id(4)));
        shared.describe(&desc(8), id(5));
        shared.show(id(8));
        assert_eq!(shared.newest(), desc(8));
        let (other, _) = shared.register().expect("register");
        assert_eq!(shared.held(), [id(5), id(8)]);
        assert_eq!(shared.move_reader(slot), desc(8));
        shared.unregister(other);
        assert_eq!(shared.held(), [id(8)]);

        let neighbour = Shared::new(memory, 7);
        neighbour.register().expect("register");
        assert_eq!(shared.holders(Some(id(9))), [7]);
        assert!(shared.holders(Some(id(8))).is_empty() && neighbour.holders(None) == [0]);
        let seen: Vec<(u16, CommitId, u32)> = shared.readers().iter().map(|r| (r.process, r.id, r.pid)).collect();
        assert!(seen.contains(&(7, id(8), std::process::id())) && seen.len() == 2);
        shared.clear(7);
        assert_eq!(shared.readers().len(), 1, "only the dead one's");

        let all: Vec<u32> = std::iter::from_fn(|| shared.register().ok().map(|r| r.0)).collect();
        assert_eq!(all.len(), READERS - 1);
        assert!(matches!(shared.register(), Err(Error::Limit(_))));
        shared.unregister(all[77]);
        assert!(shared.register().is_ok());
    }
}
