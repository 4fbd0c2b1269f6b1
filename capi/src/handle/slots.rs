//! Handles as checked tokens.
//!
//! The pointer a C program holds is no address but {1, generation, slot}. Slots live in chunks that are never freed, so
//! looking at a stale one is always safe, and its generation tells that it is stale. The top bit is set, which no user
//! address has: a foreign pointer is refused too.
//!
//! ```text
//! token   1 | generation (43 bits) | slot (20 bits)                       (32-bit machines: 1 | 19 | 12)
//! state   generation | kind (4 bits) | -, FORKED, SHARED, BUSY            one word of the slot
//! ```
//!
//! States of a slot, and who changes them:
//!
//! | from        | to                | by                                                              |
//! |-------------|-------------------|-----------------------------------------------------------------|
//! | FREE        | kind              | `publish`                                                       |
//! | kind        | kind + BUSY       | `hold`, `pin`: one compare-and-swap; back by a plain store        |
//! | kind + BUSY | kind + SHARED     | a second thread met a `pin`: from now on pins are counted         |
//! | kind        | CLOSING + BUSY    | `close`, which then waits for the pins counted                   |
//! | CLOSING     | FREE, next number | the `Closing` guard's drop; or the zombie kind by `Closing::retire` |
//! | any         | + FORKED          | `orphan_all` in the child after fork                             |
//!
//! A call in flight holds or pins its slot, so a close on another thread waits for it: misuse is refused, never
//! undefined. The unshared pin costs one compare-and-swap and one store (2 ns); the shared one two additions to one of
//! eight counters picked by the thread's stack address, so that threads which share a reader do not share a cache line.

pub(crate) use crate::handle::chunks::Slot;

use crate::border::status::{Failure, Outcome, KV_BAD_HANDLE, KV_BUSY, KV_FORKED};
use crate::handle::chunks::{all, push_free, slot_at, stripe, take_free, SLOTS, SLOT_BITS};
use crate::handle::objects::Object;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};

const TOP: usize = 1 << (usize::BITS - 1);
const GENERATIONS: u64 = (1u64 << (usize::BITS - 1 - SLOT_BITS)) - 1;

const BUSY: u64 = 1;
const SHARED: u64 = 2;
const FORKED: u64 = 4;
const KIND_SHIFT: u32 = 4;
pub(super) const GEN_SHIFT: u32 = 8;

/// What a slot holds; the numbers are bits of a [`Kinds`] set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Free = 0,
    Db = 1,
    Read = 2,
    Write = 3,
    Cursor = 4,
    Writer = 5,
    Buf = 6,
    /// A read transaction whose database was closed: only its bytes live on.
    RetiredRead = 7,
    /// A cursor of such a transaction.
    RetiredCursor = 8,
    Closing = 9,
}

/// A set of kinds.
#[derive(Clone, Copy)]
pub(crate) struct Kinds(u16);

impl Kinds {
    pub(crate) const fn of(kinds: &[Kind]) -> Kinds {
        let (mut set, mut i) = (0, 0);
        while i < kinds.len() {
            set |= 1 << kinds[i] as u8;
            i += 1;
        }
        Kinds(set)
    }
    fn has(self, state: u64) -> bool {
        self.0 >> ((state >> KIND_SHIFT) & 15) & 1 != 0
    }
}

/// Children of a transaction: tokens of its cursors and writers.
#[derive(Default)]
pub(crate) struct Children {
    pub(crate) tokens: Vec<usize>,
    /// The parent is being closed and has taken the list.
    pub(crate) closing: bool,
}

#[inline(always)]
fn lookup(token: usize) -> Option<(&'static Slot, u64)> {
    if token & TOP == 0 {
        return None;
    }
    let generation = ((token & !TOP) >> SLOT_BITS) as u64;
    Some((slot_at(token & (SLOTS - 1))?, generation))
}

fn token_of(index: usize, state: u64) -> usize {
    TOP | ((state >> GEN_SHIFT) as usize) << SLOT_BITS | index
}

#[cold]
fn refuse(state: Option<u64>) -> Failure {
    match state {
        Some(state) if state & FORKED != 0 => Failure::here(
            KV_FORKED,
            "this handle was opened before fork(); open the database again in the child",
        ),
        _ => Failure::here(KV_BAD_HANDLE, "the handle is NULL, closed, foreign or of another kind"),
    }
}

#[cold]
fn busy() -> Failure {
    Failure::here(
        KV_BUSY,
        "the handle is in use by another thread, or by the call whose callback this is",
    )
}

/// Waits a little longer each time.
#[derive(Default)]
pub(crate) struct Patience(u32);

impl Patience {
    pub(crate) fn wait(&mut self) {
        self.0 += 1;
        match self.0 {
            0..=64 => std::hint::spin_loop(),
            65..=256 => std::thread::yield_now(),
            _ => std::thread::sleep(std::time::Duration::from_micros(100)),
        }
    }
}

/// Exclusive use of a slot's object for one call.
pub(crate) struct Held {
    pub(crate) slot: &'static Slot,
    back: u64,
}

impl Held {
    #[inline(always)]
    pub(crate) fn object(&mut self) -> &mut Object {
        // SAFETY: BUSY was set by this guard and is held until its drop; nobody else reaches the object meanwhile.
        unsafe { &mut *self.slot.object.get() }
    }
}

impl Drop for Held {
    #[inline(always)]
    fn drop(&mut self) {
        self.slot.state.store(self.back, Release);
    }
}

/// Shared use of a slot's object for one call.
pub(crate) struct Pinned {
    pub(crate) slot: &'static Slot,
    stripe: Option<&'static AtomicU32>,
    back: u64,
}

impl Pinned {
    #[inline(always)]
    pub(crate) fn object(&self) -> &Object {
        // SAFETY: while pinned nobody gets exclusive use: `close` and `hold` wait for BUSY or for the pins counted.
        unsafe { &*self.slot.object.get() }
    }
}

impl Drop for Pinned {
    #[inline(always)]
    fn drop(&mut self) {
        match self.stripe {
            None => self.slot.state.store(self.back, Release),
            Some(stripe) => {
                stripe.fetch_sub(1, Release);
            }
        }
    }
}

/// Pins the object behind a token for shared use. Waits while another call has it for itself.
#[inline(always)]
pub(crate) fn pin(token: usize, kind: Kind) -> Outcome<Pinned> {
    let Some((slot, generation)) = lookup(token) else {
        return Err(refuse(None));
    };
    let want = generation << GEN_SHIFT | (kind as u64) << KIND_SHIFT;
    if slot.state.compare_exchange(want, want | BUSY, Acquire, Relaxed).is_ok() {
        return Ok(Pinned {
            slot,
            stripe: None,
            back: want,
        });
    }
    pin_slow(slot, want, false)
}

/// As [`pin`], for a call that takes long: others who use the object do not wait for it.
pub(crate) fn pin_long(token: usize, kind: Kind) -> Outcome<Pinned> {
    let Some((slot, generation)) = lookup(token) else {
        return Err(refuse(None));
    };
    pin_slow(slot, generation << GEN_SHIFT | (kind as u64) << KIND_SHIFT, true)
}

/// As [`pin`], if no other call uses the object; `None` says nothing about why.
#[inline(always)]
pub(crate) fn pin_alone(token: usize, kind: Kind) -> Option<Pinned> {
    let (slot, generation) = lookup(token)?;
    let want = generation << GEN_SHIFT | (kind as u64) << KIND_SHIFT;
    slot.state
        .compare_exchange(want, want | BUSY, Acquire, Relaxed)
        .ok()
        .map(|_| Pinned {
            slot,
            stripe: None,
            back: want,
        })
}

/// Pins a database, which is counted from the beginning.
#[inline(always)]
pub(crate) fn pin_db(token: usize) -> Outcome<Pinned> {
    let Some((slot, generation)) = lookup(token) else {
        return Err(refuse(None));
    };
    let want = generation << GEN_SHIFT | (Kind::Db as u64) << KIND_SHIFT;
    if slot.state.load(Acquire) == want | SHARED {
        if let Some(pinned) = pin_shared(slot, want) {
            return Ok(pinned);
        }
    }
    pin_slow(slot, want, false)
}

/// Counts a pin of a shared slot, unless that closes.
#[inline(always)]
fn pin_shared(slot: &'static Slot, want: u64) -> Option<Pinned> {
    let counter = &slot.counters().0[stripe()].0;
    counter.fetch_add(1, SeqCst);
    // The closer sets its state first and looks at the counters then; here it is the other way round: one of the two sees
    // the other.
    if slot.state.load(SeqCst) == want | SHARED {
        return Some(Pinned {
            slot,
            stripe: Some(counter),
            back: want,
        });
    }
    counter.fetch_sub(1, Release);
    None
}

#[inline(never)]
fn pin_slow(slot: &'static Slot, want: u64, long: bool) -> Outcome<Pinned> {
    let mut patience = Patience::default();
    loop {
        let state = slot.state.load(Acquire);
        if state & !(BUSY | SHARED) != want {
            return Err(refuse((state & !(BUSY | SHARED | FORKED) == want).then_some(state)));
        }
        if state & SHARED != 0 {
            if let Some(pinned) = pin_shared(slot, want) {
                return Ok(pinned);
            }
            patience.wait();
        } else if state & BUSY == 0 && !long {
            if slot.state.compare_exchange(want, want | BUSY, Acquire, Relaxed).is_ok() {
                return Ok(Pinned {
                    slot,
                    stripe: None,
                    back: want,
                });
            }
        } else {
            // Two threads share this handle, or will: as soon as another call ends, count instead of taking turns. The
            // counters are made before the state says that they are there.
            let _ = slot.counters();
            let mut turn = Patience::default();
            while slot.state.load(Relaxed) == want | BUSY {
                turn.wait();
            }
            let _ = slot.state.compare_exchange(want, want | SHARED, AcqRel, Relaxed);
        }
    }
}

/// Takes the object behind a token for exclusive use; `KV_BUSY` if another call uses it.
#[inline(always)]
pub(crate) fn hold(token: usize, kind: Kind) -> Outcome<Held> {
    let Some((slot, generation)) = lookup(token) else {
        return Err(refuse(None));
    };
    let want = generation << GEN_SHIFT | (kind as u64) << KIND_SHIFT;
    match slot.state.compare_exchange(want, want | BUSY, Acquire, Relaxed) {
        Ok(_) => Ok(Held { slot, back: want }),
        Err(state) => hold_slow(slot, want, state),
    }
}

/// As [`hold`], if no other call uses the object; `None` says nothing about why.
#[inline(always)]
pub(crate) fn hold_alone(token: usize, kind: Kind) -> Option<Held> {
    let (slot, generation) = lookup(token)?;
    let want = generation << GEN_SHIFT | (kind as u64) << KIND_SHIFT;
    slot.state
        .compare_exchange(want, want | BUSY, Acquire, Relaxed)
        .ok()
        .map(|_| Held { slot, back: want })
}

#[inline(never)]
fn hold_slow(slot: &'static Slot, want: u64, state: u64) -> Outcome<Held> {
    if state & !(BUSY | SHARED) != want {
        return Err(refuse((state & !(BUSY | SHARED | FORKED) == want).then_some(state)));
    }
    if state == want | SHARED
        && slot
            .state
            .compare_exchange(want | SHARED, want | SHARED | BUSY, SeqCst, Relaxed)
            .is_ok()
    {
        let held = Held {
            slot,
            back: want | SHARED,
        };
        if slot.idle() {
            return Ok(held);
        }
    }
    Err(busy())
}

/// As [`hold`], but waits for the other call to end.
pub(crate) fn hold_waiting(token: usize, kind: Kind) -> Outcome<Held> {
    let mut patience = Patience::default();
    loop {
        match hold(token, kind) {
            Err(failure) if failure.status() == KV_BUSY => patience.wait(),
            other => return other,
        }
    }
}

/// A slot on its way out: no call uses it, none will. Dropping frees it.
pub(crate) struct Closing {
    pub(crate) slot: &'static Slot,
    index: usize,
    generation: u64,
}

impl Closing {
    pub(crate) fn object(&mut self) -> &mut Object {
        // SAFETY: `close` has made this the only user of the object.
        unsafe { &mut *self.slot.object.get() }
    }

    /// Keeps the object alive under another kind, with the same token.
    pub(crate) fn retire(self, kind: Kind) {
        let this = std::mem::ManuallyDrop::new(self);
        this.slot
            .state
            .store(this.generation << GEN_SHIFT | (kind as u64) << KIND_SHIFT, Release);
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        *self.object() = Object::Empty;
        self.slot.parent.store(0, Relaxed);
        let next = match (self.generation + 1) & GENERATIONS {
            0 => 1,
            next => next,
        };
        self.slot.state.store(next << GEN_SHIFT, Release);
        push_free(self.index, self.slot);
    }
}

/// Takes a slot out of use: later calls answer `KV_BAD_HANDLE`, calls in flight are waited for.
pub(crate) fn close(token: usize, kinds: Kinds) -> Outcome<Closing> {
    let Some((slot, generation)) = lookup(token) else {
        return Err(refuse(None));
    };
    let closing = generation << GEN_SHIFT | (Kind::Closing as u64) << KIND_SHIFT | BUSY;
    let mut patience = Patience::default();
    loop {
        let state = slot.state.load(Acquire);
        if state >> GEN_SHIFT != generation || !kinds.has(state) {
            return Err(refuse(None));
        }
        if state & FORKED != 0 {
            return Err(refuse(Some(state)));
        }
        if state & BUSY == 0 && slot.state.compare_exchange(state, closing, SeqCst, Relaxed).is_ok() {
            while state & SHARED != 0 && !slot.idle() {
                patience.wait();
            }
            return Ok(Closing {
                slot,
                index: token & (SLOTS - 1),
                generation,
            });
        }
        patience.wait();
    }
}

/// As [`close`], but runs `nudge` while calls in flight are waited for (a database interrupts its waiters).
pub(crate) fn close_nudging(token: usize, kind: Kind, nudge: impl Fn(&Object)) -> Outcome<Closing> {
    let Some((slot, generation)) = lookup(token) else {
        return Err(refuse(None));
    };
    let want = generation << GEN_SHIFT | (kind as u64) << KIND_SHIFT | SHARED;
    let closing = generation << GEN_SHIFT | (Kind::Closing as u64) << KIND_SHIFT | BUSY;
    if slot.state.compare_exchange(want, closing, SeqCst, Relaxed).is_err() {
        return Err(refuse(Some(slot.state.load(Relaxed))));
    }
    let mut patience = Patience::default();
    while !slot.idle() {
        // SAFETY: the state says CLOSING, set by this thread: nobody has exclusive use, calls in flight share.
        nudge(unsafe { &*slot.object.get() });
        patience.wait();
    }
    Ok(Closing {
        slot,
        index: token & (SLOTS - 1),
        generation,
    })
}

impl Slot {
    /// The object of a transaction, for a cursor of it that the caller holds.
    ///
    /// # Safety
    /// The caller holds a child of this slot (BUSY) that is registered in `children`: closing and refreshing the parent
    /// wait for that child first, so nobody has exclusive use meanwhile.
    pub(crate) unsafe fn shared(&self) -> &Object {
        // SAFETY: see above.
        unsafe { &*self.object.get() }
    }
}

/// The slot of a token that is, or was, live.
pub(crate) fn find(token: usize) -> Option<&'static Slot> {
    lookup(token).map(|(slot, _)| slot)
}

/// Which kind of live handle a token is.
pub(crate) fn kind_is(token: usize, kind: Kind) -> bool {
    lookup(token).is_some_and(|(slot, generation)| {
        let state = slot.state.load(Relaxed);
        state >> GEN_SHIFT == generation && Kinds::of(&[kind]).has(state)
    })
}

/// A slot that awaits its object.
pub(crate) struct Vacant(&'static Slot);

impl Vacant {
    /// Puts the object where it stays.
    #[inline(always)]
    pub(crate) fn fill(self, object: Object) -> Filled {
        // SAFETY: the slot was taken from a free list: the call that has this owns it until its state is stored. What is
        // there now is Empty and needs no drop.
        unsafe { self.0.object.get().write(object) }
        Filled(())
    }
}

/// Proof that an object was put into a slot.
pub(crate) struct Filled(());

/// Gives an object a handle. `make` puts it where it stays: a read transaction is a large thing to move.
#[inline(always)]
pub(crate) fn publish(
    kind: Kind,
    parent: usize,
    make: impl FnOnce(Vacant) -> Outcome<Filled>,
) -> Outcome<(usize, &'static Slot)> {
    let (index, slot) = take_free()?;
    if let Err(failure) = make(Vacant(slot)) {
        push_free(index, slot);
        return Err(failure);
    }
    slot.parent.store(parent, Relaxed);
    slot.thread.store(0, Relaxed);
    // Databases are shared by nature, and kv_interrupt may pin one from a signal handler: it must never wait.
    let flags = if kind == Kind::Db {
        let _ = slot.counters();
        SHARED
    } else {
        0
    };
    let state = (slot.state.load(Relaxed) >> GEN_SHIFT) << GEN_SHIFT | (kind as u64) << KIND_SHIFT | flags;
    slot.state.store(state, Release);
    Ok((token_of(index, state), slot))
}

/// Tokens of the live slots of `kinds` that `wanted` accepts.
pub(crate) fn search(kinds: Kinds, wanted: impl Fn(&Slot) -> bool) -> Vec<usize> {
    let mut found = Vec::new();
    for (index, slot) in all() {
        let state = slot.state.load(Acquire);
        if kinds.has(state) && wanted(slot) {
            found.push(token_of(index, state));
        }
    }
    found
}

/// Marks every handle as one of the parent process.
pub(crate) extern "C" fn orphan_all() {
    for (_, slot) in all() {
        if (slot.state.load(Relaxed) >> KIND_SHIFT) & 15 != Kind::Free as u64 {
            slot.state.fetch_or(FORKED, Relaxed);
        }
    }
}
