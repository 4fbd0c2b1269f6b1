//! The claims of readers, which say what commit each of them sees.
//!
//! A reader stores the visible commit in a free word and then checks whether that commit is still the visible one
//! (I-6). From then on no page to which the commit refers is reused (I-3), whichever process the writer is in.

use super::layout::{at, reader_word, READERS};
use super::words::{Shared, Words};
use crate::error::{Error, Result};
use crate::file::peers::PROCESSES;
use crate::ids::{CommitId, ProcessIndex, U48_MAX};
use crate::pager::descriptor::Descriptor;
use crate::util::atomic::AtomicU64;
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::Release, Ordering::SeqCst};

/// The lower bits of a reader's word are the commit id, which takes 48 of them, and above those is the process.
const PROCESS_SHIFT: u32 = U48_MAX.count_ones();

/// The number of a reader slot. Each reader has one for as long as it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderSlot(u32);

impl ReaderSlot {
    #[inline(always)]
    fn new(number: usize) -> ReaderSlot {
        debug_assert!(number < READERS, "a reader slot is one of those that there are");
        ReaderSlot(number as u32)
    }

    #[inline(always)]
    fn get(self) -> usize {
        self.0 as usize
    }
}

/// What a reader's word says. The word is zero if it belongs to no reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Claim {
    id: CommitId,
    process: ProcessIndex,
}

impl Claim {
    #[inline(always)]
    fn to_word(self) -> u64 {
        self.id.get() | u64::from(self.process.get()) << PROCESS_SHIFT
    }

    fn from_word(word: u64) -> Claim {
        Claim {
            id: CommitId::new(word & U48_MAX),
            process: ProcessIndex::new((word >> PROCESS_SHIFT) as u16),
        }
    }
}

/// A registered reader, as everybody can see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderClaim {
    /// The index of the reader's process.
    pub process: ProcessIndex,
    /// The system's number of that process.
    pub pid: u32,
    /// The commit that the reader sees.
    pub id: CommitId,
    /// The milliseconds since the reader began or was moved to that commit.
    pub age_ms: u64,
}

impl<'a> Words<'a> {
    /// Returns the claim of the reader with this slot, which is 0 if the slot is free.
    #[inline(always)]
    fn claim(self, slot: ReaderSlot) -> &'a AtomicU64 {
        self.word(at::CLAIMS + reader_word(slot.get()))
    }

    /// Returns the time at which the reader with this slot began.
    #[inline(always)]
    fn claim_time(self, slot: ReaderSlot) -> &'a AtomicU64 {
        self.word(at::CLAIM_TIMES + reader_word(slot.get()))
    }

    /// Returns the number of slots up to the last one ever used. Nobody needs to look at later slots.
    #[inline(always)]
    fn readers_used(self) -> &'a AtomicU64 {
        self.word(at::READERS_USED)
    }
}

impl Shared {
    /// Returns the system's number of the process with this index.
    pub(super) fn process_number(&self, process: ProcessIndex) -> &AtomicU64 {
        self.word(at::PROCESS_NUMBERS + usize::from(process.get()) % PROCESSES)
    }

    /// Registers a reader, writes what it sees into `desc`, and returns its slot. (The descriptor is written in
    /// place, so that it is not moved through every call up to where it stays.)
    #[inline]
    pub fn register_in(&self, desc: &mut Descriptor) -> Result<ReaderSlot> {
        thread_local! {
            static HINT: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let words = self.words();
        let start = match HINT.get() {
            hint if hint < READERS => hint,
            _ => first_hint() % (words.readers_used().load(SeqCst) as usize).clamp(16, READERS),
        };
        for step in 0..READERS {
            let index = (start + step) % READERS;
            let slot = ReaderSlot::new(index);
            let word = words.claim(slot);
            if word.load(SeqCst) != 0 {
                continue;
            }
            // Writers must already look at this slot when it is claimed.
            if index as u64 >= words.readers_used().load(SeqCst) {
                words.readers_used().fetch_max(index as u64 + 1, SeqCst);
            }
            let id = words.visible().get();
            if word.compare_exchange(0, self.claim(id), SeqCst, SeqCst).is_ok() {
                HINT.set(index);
                self.confirm(slot, id, desc);
                return Ok(slot);
            }
        }
        Err(self.no_slot())
    }

    /// Returns the answer if every slot is taken: it says who could end some of the readers.
    #[cold]
    #[inline(never)]
    fn no_slot(&self) -> Error {
        let mut counts = vec![0u32; PROCESSES];
        for (_, claim) in self.claims() {
            counts[usize::from(claim.process.get()) % PROCESSES] += 1;
        }
        let all: u32 = counts.iter().sum();
        let of = |index: &u16| counts[usize::from(*index)];
        let most = (0..PROCESSES as u16).max_by_key(of).unwrap_or(0);
        let (count, most) = (of(&most), ProcessIndex::new(most));
        let who = match self.process_number(most).load(SeqCst) {
            _ if most == self.process => "this process".to_string(),
            0 => "another process".to_string(),
            pid => format!("process {pid}"),
        };
        let what = format!(
            "{all} read transactions are open in all processes together, and there can be {READERS}; {who} has {count} of \
             them, so end some there"
        );
        Error::Limit(what.into())
    }

    /// Returns what a reader of this process that sees commit `id` writes into its word.
    #[inline(always)]
    fn claim(&self, id: CommitId) -> u64 {
        let process = self.process;
        Claim { id, process }.to_word()
    }

    /// Makes the claim of `slot` on commit `id` count, or claims the newest visible commit instead (I-6).
    #[inline]
    fn confirm(&self, slot: ReaderSlot, mut id: CommitId, desc: &mut Descriptor) {
        let words = self.words();
        let word = words.claim(slot);
        words.claim_time(slot).store(milliseconds(), Relaxed);
        loop {
            let found = words.read_descriptor(id, desc);
            let now = words.visible().get();
            if found.is_some() && now == id {
                return;
            }
            id = now;
            word.store(self.claim(id), SeqCst);
        }
    }

    /// Does what [`Shared::register_in`] does, but returns the descriptor.
    #[cfg(test)]
    pub fn register(&self) -> Result<(ReaderSlot, Descriptor)> {
        let mut desc = Descriptor::default();
        self.register_in(&mut desc).map(|slot| (slot, desc))
    }

    /// Returns whether a registered reader that sees commit `id` sees the newest visible one. If so, its time begins
    /// anew.
    #[inline]
    pub fn is_newest(&self, slot: ReaderSlot, id: CommitId) -> bool {
        let words = self.words();
        let newest = words.visible().get() == id;
        if newest {
            words.claim_time(slot).store(milliseconds(), Relaxed);
        }
        newest
    }

    /// Moves a registered reader to the newest visible commit.
    pub fn move_reader(&self, slot: ReaderSlot) -> Descriptor {
        let mut desc = Descriptor::default();
        let id = self.visible().get();
        self.words().claim(slot).store(self.claim(id), SeqCst);
        self.confirm(slot, id, &mut desc);
        desc
    }

    /// Makes a registered reader hold an earlier commit. Returns whether `newest` was the newest visible commit after
    /// that: what its list of snapshots says was then still so (I-22).
    pub fn claim_older(&self, slot: ReaderSlot, id: CommitId, newest: CommitId) -> bool {
        self.words().claim(slot).store(self.claim(id), SeqCst);
        self.words().visible().get() == newest
    }

    /// Returns the milliseconds since a registered reader began or was moved.
    pub fn age_ms(&self, slot: ReaderSlot) -> u64 {
        milliseconds().saturating_sub(self.words().claim_time(slot).load(Relaxed))
    }

    /// Ends a registration.
    #[inline]
    pub fn unregister(&self, slot: ReaderSlot) {
        self.words().claim(slot).store(0, Release);
    }

    /// Returns the slots in use, and what their words say.
    fn claims(&self) -> impl Iterator<Item = (ReaderSlot, Claim)> + '_ {
        let words = self.words();
        let used = (words.readers_used().load(SeqCst) as usize).min(READERS);
        let claims = (0..used)
            .map(ReaderSlot::new)
            .map(move |slot| (slot, words.claim(slot).load(SeqCst)));
        let claims = claims.filter(|(_, word)| *word != 0);
        claims.map(|(slot, word)| (slot, Claim::from_word(word)))
    }

    /// Returns the commits that readers of all processes hold, in ascending order, once per reader.
    pub fn held(&self) -> Vec<CommitId> {
        let mut held: Vec<CommitId> = self.claims().map(|(_, claim)| claim.id).collect();
        held.sort_unstable();
        held
    }

    /// Returns every reader, by slot.
    pub fn readers(&self) -> Vec<ReaderClaim> {
        let now = milliseconds();
        let claims = self.claims().map(|(slot, Claim { id, process })| ReaderClaim {
            process,
            pid: self.process_number(process).load(SeqCst) as u32,
            id,
            age_ms: now.saturating_sub(self.words().claim_time(slot).load(Relaxed)),
        });
        claims.collect()
    }

    /// Returns the other processes that have readers or, if `before` is given, readers of commits before that one.
    pub fn other_processes(&self, before: Option<CommitId>) -> Vec<ProcessIndex> {
        let old = self
            .claims()
            .filter(|(_, claim)| before.is_none_or(|before| claim.id < before));
        let mut processes: Vec<ProcessIndex> = old.map(|(_, claim)| claim.process).collect();
        processes.sort_unstable();
        processes.dedup();
        processes.retain(|process| *process != self.process);
        processes
    }

    /// Ends the readers that a dead process left registered.
    pub fn end_readers(&self, process: ProcessIndex) {
        let left: Vec<(ReaderSlot, Claim)> = self.claims().filter(|(_, claim)| claim.process == process).collect();
        for (slot, claim) in left {
            // The exchange fails if the word has changed meanwhile, so that a claim of another process is left alone.
            let word = self.words().claim(slot);
            let _ = word.compare_exchange(claim.to_word(), 0, SeqCst, SeqCst);
        }
        self.process_number(process).store(0, SeqCst);
    }
}

/// Returns the milliseconds of a clock that all processes share. Its resolution is the system's tick, and it is
/// cheap.
fn milliseconds() -> u64 {
    crate::file::clock::coarse_ms()
}

/// Returns where a thread looks for its first slot. Threads start at different slots, so that they do not meet in one
/// cache line.
fn first_hint() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, SeqCst)
}
