//! The state every thread looks at, in atomics only: a later version can put it into shared memory as it is.
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
//! | `ring`      | descriptors of the newest 64 commits: nobody reads slots while they may be written              |
//! | `readers`   | a commit id each, 0 when free                                                                   |
//!
//! All accesses are sequentially consistent: a claim (reader slot, `syncing`) counts only if its source is unchanged
//! when read again after it (I-6), which weaker orders do not give.

use super::Desc;
use crate::error::{Error, Result};
use crate::file::map::Atomics;
use crate::page::{Ptr, Root};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

/// Reader slots.
const READERS: usize = 8192;
/// Words from one reader slot to the next.
const STRIDE: usize = 8;
/// Descriptors kept.
pub(super) const RING: u64 = 64;
const RING_WORDS: usize = 11;

/// A commit's id and the meta slot it is in, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seat {
    /// Commit id; 0: none.
    pub id: u64,
    /// Slot, 0 to 3.
    pub slot: usize,
}

impl Seat {
    fn word(self) -> u64 {
        self.id << 2 | self.slot as u64
    }

    fn of(word: u64) -> Seat {
        Seat {
            id: word >> 2,
            slot: (word & 3) as usize,
        }
    }
}

/// A [`Seat`] that threads share.
#[derive(Debug, Default)]
pub(super) struct AtomicSeat(AtomicU64);

impl AtomicSeat {
    /// Reads it.
    pub fn get(&self) -> Seat {
        Seat::of(self.0.load(SeqCst))
    }

    /// Sets it.
    pub fn set(&self, seat: Seat) {
        self.0.store(seat.word(), SeqCst);
    }
}

/// The shared words.
#[derive(Debug)]
pub(super) struct Shared {
    pub next_id: AtomicU64,
    pub tip: AtomicSeat,
    pub durable: AtomicSeat,
    pub syncing: AtomicSeat,
    pub visible: AtomicU64,
    pub dur_base: AtomicU64,
    pub full_tip: AtomicU64,
    pub poison: AtomicBool,
    pub intent: AtomicBool,
    ring: Box<[[AtomicU64; RING_WORDS]]>,
    /// One word of each 64 bytes, so that threads do not meet in a cache line.
    readers: Atomics<AtomicU64>,
    /// Reader slots ever used: no need to look further.
    used: AtomicUsize,
}

fn words(root: &Root) -> [u64; 4] {
    let ptr = &root.ptr;
    let last = u64::from(ptr.checksum) | u64::from(root.height) << 32 | u64::from(root.has_long) << 40;
    [ptr.page, ptr.birth, ptr.entries, last]
}

fn root(words: [u64; 4]) -> Root {
    Root {
        ptr: Ptr {
            page: words[0],
            birth: words[1],
            entries: words[2],
            checksum: words[3] as u32,
        },
        height: (words[3] >> 32) as u8,
        has_long: words[3] >> 40 != 0,
    }
}

impl Shared {
    /// The state after recovery accepted the commit at `seat`; `max_id` is the highest id seen in any slot.
    pub fn new(seat: Seat, desc: &Desc, base: u64, max_id: u64) -> Result<Shared> {
        let shared = Shared {
            next_id: AtomicU64::new(max_id + 1),
            tip: AtomicSeat::default(),
            durable: AtomicSeat::default(),
            syncing: AtomicSeat::default(),
            visible: AtomicU64::new(seat.id),
            dur_base: AtomicU64::new(base),
            full_tip: AtomicU64::new(0),
            poison: AtomicBool::new(false),
            intent: AtomicBool::new(false),
            ring: (0..RING).map(|_| std::array::from_fn(|_| AtomicU64::new(0))).collect(),
            readers: Atomics::new((READERS * STRIDE) as u64)?,
            used: AtomicUsize::new(0),
        };
        shared.describe(desc, base);
        shared.tip.set(seat);
        shared.durable.set(seat);
        Ok(shared)
    }

    /// Puts a commit's descriptor into the ring, before `tip` names it.
    pub fn describe(&self, desc: &Desc, base: u64) {
        let entry = &self.ring[(desc.id % RING) as usize];
        let all = [[desc.pages, base, 0, 0], words(&desc.main), words(&desc.catalogue)].concat();
        entry[0].store(0, SeqCst);
        let fields = all[..2].iter().chain(&all[4..]);
        entry[1..]
            .iter()
            .zip(fields)
            .for_each(|(to, from)| to.store(*from, SeqCst));
        entry[0].store(desc.id, SeqCst);
    }

    /// The descriptor of commit `id` and its base, if the ring has it (it may be torn unless `id` is checked to be
    /// still visible afterwards).
    fn described(&self, id: u64) -> Option<(Desc, u64)> {
        let entry = &self.ring[(id % RING) as usize];
        let w: [u64; RING_WORDS] = std::array::from_fn(|i| entry[i].load(SeqCst));
        let desc = Desc {
            id,
            pages: w[1],
            main: root([w[3], w[4], w[5], w[6]]),
            catalogue: root([w[7], w[8], w[9], w[10]]),
        };
        (w[0] == id).then_some((desc, w[2]))
    }

    /// The base of the tip named by the caller, which re-checks that it still is the tip.
    pub fn base_of(&self, id: u64) -> u64 {
        self.described(id).map_or(0, |(_, base)| base)
    }

    /// The newest visible commit.
    pub fn newest(&self) -> Desc {
        loop {
            let id = self.visible.load(SeqCst);
            let found = self.described(id);
            if let (Some((desc, _)), true) = (found, self.visible.load(SeqCst) == id) {
                return desc;
            }
        }
    }

    /// Raises `visible`.
    pub fn show(&self, id: u64) {
        self.visible.fetch_max(id, SeqCst);
    }

    #[inline(always)]
    fn reader(&self, slot: usize) -> &AtomicU64 {
        &self.readers.all()[slot * STRIDE]
    }

    /// Registers a reader: its slot and what it sees.
    pub fn register(&self) -> Result<(u32, Desc)> {
        thread_local! {
            static HINT: Cell<usize> = const { Cell::new(usize::MAX) };
        }
        let hint = HINT.get();
        let used = self.used.load(SeqCst).max(1);
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
            if slot >= self.used.load(SeqCst) {
                self.used.fetch_max(slot + 1, SeqCst);
            }
            let id = self.visible.load(SeqCst);
            if word.compare_exchange(0, id, SeqCst, SeqCst).is_ok() {
                HINT.set(slot);
                return Ok((slot as u32, self.settle(slot as u32, id)));
            }
        }
        Err(Error::Limit("too many read transactions at once; end some"))
    }

    /// Makes the claim of `slot` on commit `id` good, or claims the newest commit instead (I-6).
    fn settle(&self, slot: u32, mut id: u64) -> Desc {
        let word = self.reader(slot as usize);
        loop {
            let found = self.described(id);
            let now = self.visible.load(SeqCst);
            match found {
                Some((desc, _)) if now == id => return desc,
                _ => {
                    id = now;
                    word.store(id, SeqCst);
                }
            }
        }
    }

    /// Moves a registered reader to the newest commit.
    pub fn move_reader(&self, slot: u32) -> Desc {
        let id = self.visible.load(SeqCst);
        self.reader(slot as usize).store(id, SeqCst);
        self.settle(slot, id)
    }

    /// Ends a registration.
    #[inline]
    pub fn unregister(&self, slot: u32) {
        self.reader(slot as usize)
            .store(0, std::sync::atomic::Ordering::Release);
    }

    /// Commits held by readers, ascending, once per reader.
    pub fn held(&self) -> Vec<u64> {
        let used = self.used.load(SeqCst);
        let ids = (0..used).map(|slot| self.reader(slot).load(SeqCst));
        let mut held: Vec<u64> = ids.filter(|id| *id != 0).collect();
        held.sort_unstable();
        held
    }
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
        let desc = |id| Desc {
            id,
            pages: id * 10,
            ..Desc::default()
        };
        let seat = Seat { id: 5, slot: 3 };
        let shared = Shared::new(seat, &desc(5), 4, 7).expect("shared");
        assert_eq!((shared.tip.get(), shared.next_id.load(SeqCst)), (seat, 8));
        let (slot, seen) = shared.register().expect("register");
        assert_eq!((seen, shared.base_of(5)), (desc(5), 4));
        shared.describe(&desc(8), 5);
        shared.show(8);
        assert_eq!(shared.newest(), desc(8));
        let (other, _) = shared.register().expect("register");
        assert_eq!(shared.held(), [5, 8]);
        assert_eq!(shared.move_reader(slot), desc(8));
        shared.unregister(other);
        assert_eq!(shared.held(), [8]);
        let all: Vec<u32> = std::iter::from_fn(|| shared.register().ok().map(|r| r.0)).collect();
        assert_eq!(all.len(), READERS - 1);
        assert!(matches!(shared.register(), Err(Error::Limit(_))));
        shared.unregister(all[77]);
        assert!(shared.register().is_ok());
    }
}
