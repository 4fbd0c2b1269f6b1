//! Where slots lie: chunks that are never freed, and the lists of free ones.

use super::slots::{Children, GEN_SHIFT};
use crate::border::status::{Failure, Outcome, KV_LIMIT};
use crate::handle::objects::Object;
use std::cell::UnsafeCell;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, SeqCst};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};
use std::sync::Mutex;

/// Bits of a token that number the slot.
pub(super) const SLOT_BITS: u32 = if usize::BITS == 64 { 20 } else { 12 };
/// Slots at most.
pub(super) const SLOTS: usize = 1 << SLOT_BITS;
/// Slots that are made together.
const CHUNK: usize = 128;

/// One counter, with a cache line to itself.
#[repr(align(64))]
pub(super) struct Stripe(pub(super) AtomicU32);

/// Counters of the pins of a shared slot.
pub(super) struct Stripes(pub(super) [Stripe; 8]);

/// One entry of the table.
#[repr(align(64))]
pub(crate) struct Slot {
    pub(super) state: AtomicU64,
    pub(super) object: UnsafeCell<Object>,
    /// Token of the database (of a transaction) or of the transaction (of a cursor or writer).
    pub(crate) parent: AtomicUsize,
    /// Index among the parent's children; guarded by the parent's `children`.
    pub(crate) place: AtomicU32,
    /// Thread that used it last (write transactions only).
    pub(crate) thread: AtomicUsize,
    pub(crate) children: Mutex<Children>,
    /// How many children there are: most transactions end without, and need not look.
    pub(crate) kids: AtomicU32,
    stripes: AtomicPtr<Stripes>,
    next_free: AtomicU32,
}

// SAFETY: `object` is reached only through the guards of the room above: exclusively by `Held` and `Closing` (BUSY is set, no pins),
// or shared by `Pinned` and `Slot::shared`; every Object is Send, and those that are pinned are Sync.
unsafe impl Sync for Slot {}

static CHUNKS: [AtomicPtr<Slot>; SLOTS / CHUNK] = [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS / CHUNK];

/// Heads of the free lists: tag (32 bits) | slot + 1. One per stripe, so that threads do not meet here.
static FREE: [FreeList; 8] = [const { FreeList(AtomicU64::new(0)) }; 8];

#[repr(align(64))]
struct FreeList(AtomicU64);

/// Which stripe this thread uses: by where its stack lies. No thread-local storage, which costs more in a library.
#[inline(always)]
pub(super) fn stripe() -> usize {
    let here = 0u8;
    let place = (&raw const here as usize) >> 20;
    (place.wrapping_mul(0x9E37_79B1) >> 13) & 7
}

#[inline(always)]
pub(super) fn slot_at(index: usize) -> Option<&'static Slot> {
    let chunk = CHUNKS.get(index / CHUNK)?.load(Acquire);
    if chunk.is_null() {
        return None;
    }
    // SAFETY: a chunk, once stored, is an array of CHUNK initialised slots that lives for ever.
    Some(unsafe { &*chunk.add(index % CHUNK) })
}

impl Slot {
    /// The counters of a shared slot, made on first need and kept for the slot's later owners.
    #[inline(always)]
    pub(super) fn counters(&self) -> &'static Stripes {
        let stripes = self.stripes.load(Acquire);
        if stripes.is_null() {
            return self.make_counters();
        }
        // SAFETY: made by Box::into_raw, published once, never freed.
        unsafe { &*stripes }
    }

    #[cold]
    fn make_counters(&self) -> &'static Stripes {
        let mut stripes = self.stripes.load(Acquire);
        if stripes.is_null() {
            let new = Box::into_raw(Box::new(Stripes([const { Stripe(AtomicU32::new(0)) }; 8])));
            match self
                .stripes
                .compare_exchange(std::ptr::null_mut(), new, AcqRel, Acquire)
            {
                Ok(_) => stripes = new,
                Err(other) => {
                    // SAFETY: `new` came from Box::into_raw above and was not published.
                    drop(unsafe { Box::from_raw(new) });
                    stripes = other;
                }
            }
        }
        // SAFETY: made by Box::into_raw, published once, never freed.
        unsafe { &*stripes }
    }

    /// No pin is counted. Asked after the state was changed, in one order with the pins' own steps: see `pin_slow`.
    pub(super) fn idle(&self) -> bool {
        self.counters().0.iter().all(|s| s.0.load(SeqCst) == 0)
    }
}

pub(super) fn all() -> impl Iterator<Item = (usize, &'static Slot)> {
    (0..SLOTS).map_while(|index| slot_at(index).map(|slot| (index, slot)))
}

pub(super) fn take_free() -> Outcome<(usize, &'static Slot)> {
    let mine = stripe();
    for i in 0..FREE.len() {
        let list = &FREE[(mine + i) % FREE.len()].0;
        let mut head = list.load(Acquire);
        while head as u32 != 0 {
            let index = (head as u32 - 1) as usize;
            let Some(slot) = slot_at(index) else { break };
            let next = slot.next_free.load(Relaxed);
            let new = ((head >> 32) + 1) << 32 | u64::from(next);
            match list.compare_exchange_weak(head, new, AcqRel, Acquire) {
                Ok(_) => return Ok((index, slot)),
                Err(seen) => head = seen,
            }
        }
    }
    grow()
}

/// Adds the chain of slots `first ..= last` (linked already but for its end) to this thread's free list.
pub(super) fn push_free(first: usize, last: &Slot) {
    let list = &FREE[stripe()].0;
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

/// A new chunk: its first slot is answered, the others become free.
#[cold]
fn grow() -> Outcome<(usize, &'static Slot)> {
    for (number, place) in CHUNKS.iter().enumerate() {
        if !place.load(Acquire).is_null() {
            continue;
        }
        let first = number * CHUNK;
        let mut slots: Vec<Slot> = Vec::new();
        if slots.try_reserve_exact(CHUNK).is_err() {
            return Err(Failure::Engine(kv_engine::Error::NoMemory("a chunk of handles")));
        }
        for index in first..first + CHUNK {
            slots.push(Slot {
                state: AtomicU64::new(1 << GEN_SHIFT),
                object: UnsafeCell::new(Object::Empty),
                parent: AtomicUsize::new(0),
                place: AtomicU32::new(0),
                thread: AtomicUsize::new(0),
                children: Mutex::default(),
                kids: AtomicU32::new(0),
                stripes: AtomicPtr::new(std::ptr::null_mut()),
                next_free: AtomicU32::new(index as u32 + 2),
            });
        }
        let chunk = slots.leak();
        match place.compare_exchange(std::ptr::null_mut(), chunk.as_mut_ptr(), AcqRel, Relaxed) {
            Ok(_) => {
                let slots_made: &'static [Slot] = chunk;
                push_free(first + 1, &slots_made[CHUNK - 1]);
                return Ok((first, &slots_made[0]));
            }
            Err(_) => {
                // SAFETY: leaked just above with exactly this length, and not published.
                drop(unsafe { Box::from_raw(std::ptr::from_mut(chunk)) });
                return take_free();
            }
        }
    }
    Err(Failure::here(KV_LIMIT, "too many open handles; close some"))
}
