//! Where slots lie: a table of chunks that are never freed, and its lists of free slots.

use crate::border::status::{Failure, Outcome, KV_LIMIT};
use crate::handle::token::{first_generation, state, Kind, Token, SLOTS};
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many slots are made together.
const CHUNK: usize = 128;
/// How many counters a slot has, and how many lists of free slots there are: enough that threads rarely meet at one.
const STRIPES: usize = 8;

/// The slots of all handles, which hold objects of type `T`. A free slot holds `T::default()`.
pub(crate) struct Table<T: 'static> {
    chunks: [AtomicPtr<Slot<T>>; SLOTS / CHUNK],
    free: [FreeList; STRIPES],
}

/// One slot of the table.
#[repr(align(64))]
pub(crate) struct Slot<T> {
    pub(super) state: AtomicU64,
    pub(super) object: UnsafeCell<T>,
    /// Token of the database (of a transaction) or of the transaction (of a cursor or writer; the later one of a
    /// difference).
    parent: AtomicUsize,
    /// The thread that used it last (write transactions and cursors only).
    thread: AtomicUsize,
    /// How many uses in a row that thread has made by compare-and-swap.
    pub(super) uses: AtomicU32,
    /// The only thread that may own the slot's handles, see `owned`; 0: there is none yet.
    pub(super) owner: AtomicUsize,
    /// 1 while a call of the owner has the object; only the owner writes it.
    pub(super) inside: AtomicU64,
    /// Index among the parent's children, guarded by the lock of the parent's `children`. A difference has two parents:
    /// this is its index among the children of one of them, and a hint only.
    pub(super) index_in_parent: AtomicU32,
    /// The cursors and writers of a transaction.
    children: Mutex<Children>,
    /// How many children there are: most transactions end without, and need not take the lock.
    pub(super) child_count: AtomicU32,
    counters: AtomicPtr<Counters>,
    next_free: AtomicU32,
}

// SAFETY: `object` is reached only through the guards in `slots`: by one call alone (`Exclusive`, `Closing`: BUSY is
// set and no use is counted, or the owner is inside), which needs T: Send; or by several through `Shared` and
// `Slot::of_locked_child`. The kinds that are shared so hold objects that are Sync, which `objects` asserts.
unsafe impl<T: Send> Sync for Slot<T> {}

/// The children of a transaction.
#[derive(Default)]
pub(crate) struct Children {
    pub(crate) tokens: Vec<Token>,
    /// Whether the parent is being closed and has taken the list.
    pub(crate) closing: bool,
}

/// Counters of the calls that share an object; a thread counts at one of them.
struct Counters([Counter; STRIPES]);

/// One counter, with a cache line to itself.
#[repr(align(64))]
struct Counter(AtomicU32);

/// Head of a list of free slots: tag (32 bits) | slot + 1. The tag changes with every step, so that a head that was
/// taken and put back meanwhile is noticed.
#[repr(align(64))]
struct FreeList(AtomicU64);

/// Tells which counter and which list this thread uses, by where its stack lies. Thread-local storage would cost more
/// in a library.
#[inline(always)]
fn stripe() -> usize {
    let here = 0u8;
    let megabyte = (&raw const here as usize) >> 20;
    // Stacks lie at regular distances: the odd constant spreads them, and the bits above its first ones are mixed best.
    (megabyte.wrapping_mul(0x9E37_79B1) >> 13) % STRIPES
}

impl<T> Slot<T> {
    fn new(index: usize, object: T) -> Slot<T> {
        Slot {
            state: AtomicU64::new(state(first_generation(), Kind::Free)),
            object: UnsafeCell::new(object),
            parent: AtomicUsize::new(0),
            thread: AtomicUsize::new(0),
            uses: AtomicU32::new(0),
            owner: AtomicUsize::new(0),
            inside: AtomicU64::new(0),
            index_in_parent: AtomicU32::new(0),
            children: Mutex::default(),
            child_count: AtomicU32::new(0),
            counters: AtomicPtr::new(std::ptr::null_mut()),
            // The chain goes through the chunk: the slot behind this one, and numbers in it count from 1.
            next_free: AtomicU32::new(index as u32 + 2),
        }
    }

    /// Returns the token of the database or transaction that this belongs to.
    #[inline(always)]
    pub(crate) fn parent(&self) -> Token {
        Token::from_bits(self.parent.load(Relaxed))
    }

    pub(super) fn set_parent(&self, parent: Token) {
        self.parent.store(parent.bits(), Relaxed);
    }

    /// Returns the thread that used the transaction last, as `pthread_self` numbers it; 0 if none did.
    pub(crate) fn thread(&self) -> usize {
        self.thread.load(Relaxed)
    }

    #[inline(always)]
    pub(crate) fn set_thread(&self, thread: usize) {
        self.thread.store(thread, Relaxed);
        self.uses.store(0, Relaxed);
    }

    /// Returns the list of children, locked.
    pub(super) fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the counters if there are none yet. They stay for the slot's later objects.
    pub(super) fn prepare_counters(&self) {
        let _ = self.counters();
    }

    /// Returns the counter at which this thread counts its use of the object.
    #[inline(always)]
    pub(super) fn counter(&self) -> &'static AtomicU32 {
        &self.counters().0[stripe()].0
    }

    /// Tells whether no use is counted. It is called after the state was changed, and sees that change and the
    /// counters in one order with those who count: see `share_counted`.
    pub(super) fn idle(&self) -> bool {
        self.counters().0.iter().all(|counter| counter.0.load(SeqCst) == 0)
    }

    #[inline(always)]
    fn counters(&self) -> &'static Counters {
        let counters = self.counters.load(Acquire);
        if counters.is_null() {
            return self.make_counters();
        }
        // SAFETY: made by Box::into_raw, published once, never freed.
        unsafe { &*counters }
    }

    #[cold]
    fn make_counters(&self) -> &'static Counters {
        let new = Box::into_raw(Box::new(Counters([const { Counter(AtomicU32::new(0)) }; STRIPES])));
        let counters = match self
            .counters
            .compare_exchange(std::ptr::null_mut(), new, AcqRel, Acquire)
        {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: `new` came from Box::into_raw above and was not published.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: made by Box::into_raw, published once, never freed.
        unsafe { &*counters }
    }
}

impl<T: Default> Table<T> {
    /// Makes a table without any slot; chunks come when they are needed.
    pub(crate) const fn new() -> Table<T> {
        Table {
            chunks: [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS / CHUNK],
            free: [const { FreeList(AtomicU64::new(0)) }; STRIPES],
        }
    }

    /// Returns the slot with this index, if its chunk exists.
    #[inline(always)]
    pub(super) fn slot(&self, index: usize) -> Option<&'static Slot<T>> {
        let chunk = self.chunks.get(index / CHUNK)?.load(Acquire);
        if chunk.is_null() {
            return None;
        }
        // SAFETY: a chunk, once stored, is an array of CHUNK initialised slots that lives for ever.
        Some(unsafe { &*chunk.add(index % CHUNK) })
    }

    /// Returns every slot there is, free ones included, with its index.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, &'static Slot<T>)> + '_ {
        (0..SLOTS).map_while(|index| self.slot(index).map(|slot| (index, slot)))
    }

    /// Takes a slot from a list of free ones, this thread's first.
    pub(super) fn take_free(&self) -> Outcome<(usize, &'static Slot<T>)> {
        let mine = stripe();
        for i in 0..STRIPES {
            let list = &self.free[(mine + i) % STRIPES].0;
            let mut head = list.load(Acquire);
            while head as u32 != 0 {
                let index = (head as u32 - 1) as usize;
                let Some(slot) = self.slot(index) else { break };
                let next = slot.next_free.load(Relaxed);
                let new = ((head >> 32) + 1) << 32 | u64::from(next);
                match list.compare_exchange_weak(head, new, AcqRel, Acquire) {
                    Ok(_) => return Ok((index, slot)),
                    Err(seen) => head = seen,
                }
            }
        }
        self.grow()
    }

    /// Adds the chain of slots `first ..= last` (linked already but for its end) to this thread's list of free ones.
    pub(super) fn push_free(&self, first: usize, last: &Slot<T>) {
        let list = &self.free[stripe()].0;
        let mut head = list.load(Relaxed);
        loop {
            last.next_free.store(head as u32, Relaxed);
            let new = ((head >> 32) + 1) << 32 | (first as u64 + 1);
            match list.compare_exchange_weak(head, new, AcqRel, Relaxed) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Makes a chunk: its first slot is answered, the others become free.
    #[cold]
    fn grow(&self) -> Outcome<(usize, &'static Slot<T>)> {
        for (number, stored) in self.chunks.iter().enumerate() {
            if !stored.load(Acquire).is_null() {
                continue;
            }
            let first = number * CHUNK;
            let mut slots: Vec<Slot<T>> = Vec::new();
            if slots.try_reserve_exact(CHUNK).is_err() {
                return Err(Failure::Engine(kv_engine::Error::NoMemory("a chunk of handles")));
            }
            slots.extend((first..first + CHUNK).map(|index| Slot::new(index, T::default())));
            let chunk = slots.leak();
            match stored.compare_exchange(std::ptr::null_mut(), chunk.as_mut_ptr(), AcqRel, Relaxed) {
                Ok(_) => {
                    let chunk: &'static [Slot<T>] = chunk;
                    self.push_free(first + 1, &chunk[CHUNK - 1]);
                    return Ok((first, &chunk[0]));
                }
                Err(_) => {
                    // Another thread was faster. Its chunk has room for this call, too.
                    // SAFETY: leaked just above with exactly this length, and not published.
                    drop(unsafe { Box::from_raw(std::ptr::from_mut(chunk)) });
                    return self.take_free();
                }
            }
        }
        Err(Failure::here(KV_LIMIT, "too many open handles; close some"))
    }
}
