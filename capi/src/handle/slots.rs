//! Handles as checked tokens: how a call gets at the object behind one.
//!
//! The pointer that a C program holds is no address but a [`Token`]. Slots live in chunks that are never freed, so
//! looking at a stale one is always safe, and its generation tells that it is stale.
//!
//! States of a slot, and who changes them:
//!
//! | from        | to                    | by                                                                    |
//! |-------------|-----------------------|-----------------------------------------------------------------------|
//! | FREE        | kind                  | `publish`                                                             |
//! | kind        | kind + BUSY           | `lock`, `share`: one compare-and-swap; back by a plain store          |
//! | kind + BUSY | kind + COUNTED        | a second thread met a `share`: from now on uses are counted           |
//! | kind + BUSY | kind + OWNED          | the thread that has locked it again and again: see `owned`            |
//! | + OWNED     | kind + BUSY           | a `lock` on another thread; back if the owner is inside               |
//! | kind        | CLOSING + BUSY        | `close`, which then waits for the uses counted, and for the owner     |
//! | kind        | RETIRING + BUSY       | `close_to_retire`, likewise; who would `close` it waits              |
//! | CLOSING     | FREE, next generation | the `Closing` guard's drop                                            |
//! | RETIRING    | the retired kind      | `Closing::retire`                                                     |
//! | any         | + FORKED              | `orphan_all` in the child after fork                                  |
//!
//! A call in flight locks or shares its slot, so a close on another thread waits for it: misuse is refused, never
//! undefined. A share that nobody else meets costs one compare-and-swap and one store (2 ns); a counted one two
//! additions to one of eight counters picked by the thread's stack address, so that threads which share a reader do
//! not share a cache line.

use crate::border::status::{Failure, Outcome, KV_BUSY, KV_FORKED};
use crate::handle::backoff::Backoff;
use crate::handle::chunks::{Slot, Table};
use crate::handle::owned::this_thread;
use crate::handle::token::{generation, next_generation, state, was_before};
use crate::handle::token::{Kind, Kinds, Token, BUSY, COUNTED, FORKED, OWNED};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Answers for a handle that is not one of the kind `wanted`. Why that is so is found out if somebody is told: a call
/// that takes handles of two kinds comes here with each of the second.
#[cold]
fn refuse(token: Token, wanted: Kind) -> Failure {
    Failure::Refused(token.bits(), wanted as u8)
}

/// Answers for a slot in a `state` that differs from `want` by more than that calls use it.
#[cold]
fn refuse_in(state: u64, token: Token, want: u64) -> Failure {
    match state & !(BUSY | COUNTED | OWNED | FORKED) == want & !COUNTED && state & FORKED != 0 {
        true => forked(),
        false => refuse(token, Kind::in_state(want)),
    }
}

/// Answers for a handle that only FORKED makes another than what was wanted.
#[cold]
fn forked() -> Failure {
    Failure::here(
        KV_FORKED,
        "this handle was opened before fork(); open the database again in the child",
    )
}

/// Answers for an object that is in use.
#[cold]
fn busy() -> Failure {
    Failure::here(
        KV_BUSY,
        "busy: the handle is in use by another thread, or by the call whose callback this is; use it when that call has returned",
    )
}

/// Use of an object by one call alone.
pub(crate) struct Exclusive<T: 'static> {
    pub(crate) slot: &'static Slot<T>,
    /// The word that says that the object is in use, and what the end of the use puts there.
    word: &'static AtomicU64,
    back: u64,
}

impl<T> Exclusive<T> {
    /// Takes a slot whose state is `want`, or one that this thread owns. The error is the state that it has.
    #[inline(always)]
    fn at_once(slot: &'static Slot<T>, kind: Kind, want: u64) -> Result<Exclusive<T>, u64> {
        // A use that is not wanted must not even be made: its drop would end that of another call.
        if kind.can_be_owned() && slot.enter_owned(want) {
            return Ok(Exclusive {
                slot,
                word: &slot.inside,
                back: 0,
            });
        }
        slot.state.compare_exchange(want, want | BUSY, Acquire, Relaxed)?;
        Ok(Exclusive {
            slot,
            word: &slot.state,
            back: if kind.can_be_owned() { slot.note_use(want) } else { want },
        })
    }

    /// Returns the object.
    #[inline(always)]
    pub(crate) fn object(&mut self) -> &mut T {
        // SAFETY: BUSY was set by this guard, or its thread owns the slot and is inside, and that stays until its drop;
        // nobody else reaches the object meanwhile.
        unsafe { &mut *self.slot.object.get() }
    }
}

impl<T> Drop for Exclusive<T> {
    #[inline(always)]
    fn drop(&mut self) {
        self.word.store(self.back, Release);
    }
}

/// Use of an object by one call, beside others.
pub(crate) struct Shared<T: 'static> {
    pub(crate) slot: &'static Slot<T>,
    /// Where the use is counted; `None`: BUSY is set instead.
    counter: Option<&'static AtomicU32>,
    /// The state that the end of the use puts back if BUSY is set.
    back: u64,
}

impl<T> Shared<T> {
    /// Returns the object.
    #[inline(always)]
    pub(crate) fn object(&self) -> &T {
        // SAFETY: meanwhile no call gets the object for itself: `close` and `lock` wait for BUSY and for the uses
        // counted.
        unsafe { &*self.slot.object.get() }
    }
}

impl<T> Drop for Shared<T> {
    #[inline(always)]
    fn drop(&mut self) {
        match self.counter {
            None => self.slot.state.store(self.back, Release),
            Some(counter) => {
                counter.fetch_sub(1, Release);
            }
        }
    }
}

/// Counts a use of an object whose uses are counted, unless that is being closed.
#[inline(always)]
fn share_counted<T>(slot: &'static Slot<T>, want: u64) -> Option<Shared<T>> {
    let counter = slot.counter();
    counter.fetch_add(1, SeqCst);
    // Who closes sets the state first and looks at the counters then; here it is the other way round: one of the two
    // sees the other.
    if slot.state.load(SeqCst) == want | COUNTED {
        return Some(Shared {
            slot,
            counter: Some(counter),
            back: want,
        });
    }
    counter.fetch_sub(1, Release);
    None
}

/// Shares an object that another call uses, or whose uses are counted. A `long` call never keeps others waiting.
#[inline(never)]
fn share_slow<T>(slot: &'static Slot<T>, token: Token, want: u64, long: bool) -> Outcome<Shared<T>> {
    let mut backoff = Backoff::default();
    loop {
        let state = slot.state.load(Acquire);
        if state & !(BUSY | COUNTED) != want {
            return Err(refuse_in(state, token, want));
        }
        if state & COUNTED != 0 {
            if let Some(shared) = share_counted(slot, want) {
                return Ok(shared);
            }
            backoff.wait();
        } else if state & BUSY == 0 && !long {
            if slot.state.compare_exchange(want, want | BUSY, Acquire, Relaxed).is_ok() {
                return Ok(Shared {
                    slot,
                    counter: None,
                    back: want,
                });
            }
        } else {
            // Two threads share this handle, or will: as soon as another call ends, count instead of taking turns. The
            // counters are made before the state says that they are there.
            slot.prepare_counters();
            let mut backoff = Backoff::default();
            while slot.state.load(Relaxed) == want | BUSY {
                backoff.wait();
            }
            let _ = slot.state.compare_exchange(want, want | COUNTED, AcqRel, Relaxed);
        }
    }
}

/// Locks an object whose slot was in another `state` than wanted; only one whose uses are counted, or that another
/// thread owns, can be free all the same.
#[inline(never)]
fn lock_slow<T>(slot: &'static Slot<T>, token: Token, want: u64, state: u64) -> Outcome<Exclusive<T>> {
    if state & !(BUSY | COUNTED | OWNED) != want {
        return Err(refuse_in(state, token, want));
    }
    if state == want | OWNED {
        return take_from_owner(slot, want).ok_or_else(busy);
    }
    if state == want | COUNTED
        && slot
            .state
            .compare_exchange(want | COUNTED, want | COUNTED | BUSY, SeqCst, Relaxed)
            .is_ok()
    {
        let locked = Exclusive {
            slot,
            word: &slot.state,
            back: want | COUNTED,
        };
        if slot.idle() {
            return Ok(locked);
        }
    }
    Err(busy())
}

/// Takes an object that has an owner, unless a call of that is inside.
fn take_from_owner<T>(slot: &'static Slot<T>, want: u64) -> Option<Exclusive<T>> {
    slot.state
        .compare_exchange(want | OWNED, want | BUSY, SeqCst, Relaxed)
        .ok()?;
    let mut locked = Exclusive {
        slot,
        word: &slot.state,
        back: want | OWNED,
    };
    slot.stop_owner();
    if slot.owner_is_inside() {
        return None;
    }
    slot.set_thread(this_thread());
    locked.back = want;
    Some(locked)
}

/// A slot on its way out: no call uses its object, and none will. Dropping it frees the slot.
pub(crate) struct Closing<T: Default + 'static> {
    pub(crate) slot: &'static Slot<T>,
    table: &'static Table<T>,
    index: usize,
    generation: u64,
}

impl<T: Default> Closing<T> {
    /// Returns the object.
    pub(crate) fn object(&mut self) -> &mut T {
        // SAFETY: `close` has made this the only user of the object.
        unsafe { &mut *self.slot.object.get() }
    }

    /// Keeps the object alive under another kind, with the same token.
    pub(crate) fn retire(self, kind: Kind) {
        let this = std::mem::ManuallyDrop::new(self);
        this.slot.state.store(state(this.generation, kind), Release);
    }
}

impl<T: Default> Drop for Closing<T> {
    fn drop(&mut self) {
        *self.object() = T::default();
        self.slot.set_parent(Token::NONE);
        self.slot
            .state
            .store(state(next_generation(self.generation), Kind::Free), Release);
        self.table.push_free(self.index, self.slot);
    }
}

impl<T> Slot<T> {
    /// Returns the object of a transaction, for a call that has locked a cursor of it.
    ///
    /// # Safety
    /// The caller has locked a child of this slot that is registered in its `children`: closing and refreshing the
    /// parent wait for that child first, so nobody has the object alone meanwhile.
    pub(crate) unsafe fn of_locked_child(&self) -> &T {
        // SAFETY: see above.
        unsafe { &*self.object.get() }
    }
}

/// A slot that awaits its object.
pub(crate) struct Vacant<T: 'static>(&'static Slot<T>);

impl<T> Vacant<T> {
    /// Puts the object where it stays.
    #[inline(always)]
    pub(crate) fn fill(self, object: T) -> Filled {
        // SAFETY: the slot was taken from a list of free ones: the call that has this owns it until its state is
        // stored. What is there now is a default, which needs no drop.
        unsafe { self.0.object.get().write(object) }
        Filled(())
    }
}

/// Proof that an object was put into a slot.
pub(crate) struct Filled(());

impl<T: Default> Table<T> {
    /// Returns the slot of a token with its index and the token's generation.
    #[inline(always)]
    fn named(&self, token: Token) -> Option<(usize, &'static Slot<T>, u64)> {
        let (index, generation) = token.parts()?;
        Some((index, self.slot(index)?, generation))
    }

    /// Returns the slot of a token, and the state it has if its object is of this kind and nobody uses it.
    #[inline(always)]
    fn wanted(&self, token: Token, kind: Kind) -> Option<(&'static Slot<T>, u64)> {
        let (_, slot, generation) = self.named(token)?;
        Some((slot, state(generation, kind)))
    }

    /// Shares the object behind a token. Waits while another call has it for itself.
    #[inline(always)]
    pub(crate) fn share(&self, token: Token, kind: Kind) -> Outcome<Shared<T>> {
        let Some((slot, want)) = self.wanted(token, kind) else {
            return Err(refuse(token, kind));
        };
        if slot.state.compare_exchange(want, want | BUSY, Acquire, Relaxed).is_ok() {
            return Ok(Shared {
                slot,
                counter: None,
                back: want,
            });
        }
        share_slow(slot, token, want, false)
    }

    /// Does as [`Table::share`], for a call that takes long: others who use the object do not wait for it.
    pub(crate) fn share_long(&self, token: Token, kind: Kind) -> Outcome<Shared<T>> {
        let Some((slot, want)) = self.wanted(token, kind) else {
            return Err(refuse(token, kind));
        };
        share_slow(slot, token, want, true)
    }

    /// Does as [`Table::share`] if no other call uses the object; `None` says nothing about why.
    #[inline(always)]
    pub(crate) fn share_uncontended(&self, token: Token, kind: Kind) -> Option<Shared<T>> {
        let (slot, want) = self.wanted(token, kind)?;
        slot.state
            .compare_exchange(want, want | BUSY, Acquire, Relaxed)
            .ok()
            .map(|_| Shared {
                slot,
                counter: None,
                back: want,
            })
    }

    /// Does as [`Table::share`] for an object whose uses are counted from the beginning.
    #[inline(always)]
    pub(crate) fn share_counted(&self, token: Token, kind: Kind) -> Outcome<Shared<T>> {
        let Some((slot, want)) = self.wanted(token, kind) else {
            return Err(refuse(token, kind));
        };
        if slot.state.load(Acquire) == want | COUNTED {
            if let Some(shared) = share_counted(slot, want) {
                return Ok(shared);
            }
        }
        share_slow(slot, token, want, false)
    }

    /// Takes the object behind a token for this call alone; `KV_BUSY` if another call uses it.
    #[inline(always)]
    pub(crate) fn lock(&self, token: Token, kind: Kind) -> Outcome<Exclusive<T>> {
        let Some((slot, want)) = self.wanted(token, kind) else {
            return Err(refuse(token, kind));
        };
        Exclusive::at_once(slot, kind, want).or_else(|state| lock_slow(slot, token, want, state))
    }

    /// Does as [`Table::lock`] if no other call uses the object; `None` says nothing about why.
    #[inline(always)]
    pub(crate) fn lock_uncontended(&self, token: Token, kind: Kind) -> Option<Exclusive<T>> {
        let (slot, want) = self.wanted(token, kind)?;
        Exclusive::at_once(slot, kind, want).ok()
    }

    /// Does as [`Table::lock`], but waits for the other call to end.
    pub(crate) fn lock_waiting(&self, token: Token, kind: Kind) -> Outcome<Exclusive<T>> {
        let mut backoff = Backoff::default();
        loop {
            match self.lock(token, kind) {
                Err(failure) if failure.status() == KV_BUSY => backoff.wait(),
                other => return other,
            }
        }
    }

    /// Takes a slot out of use: later calls answer `KV_BAD_HANDLE`, calls in flight are waited for.
    pub(crate) fn close(&'static self, token: Token, kinds: Kinds) -> Outcome<Closing<T>> {
        self.close_as(Kind::Closing, token, kinds)
    }

    /// Does as [`Table::close`] for what is then retired: another call that ends it waits for that, or nobody would end
    /// what was retired.
    pub(crate) fn close_to_retire(&'static self, token: Token, kind: Kind) -> Outcome<Closing<T>> {
        self.close_as(Kind::Retiring, token, Kinds::of(&[kind]))
    }

    fn close_as(&'static self, meanwhile: Kind, token: Token, kinds: Kinds) -> Outcome<Closing<T>> {
        let Some((index, slot, of_token)) = self.named(token) else {
            return Err(refuse(token, kinds.first()));
        };
        let closing = state(of_token, meanwhile) | BUSY;
        let mut backoff = Backoff::default();
        loop {
            let state = slot.state.load(Acquire);
            if generation(state) == of_token && Kind::in_state(state) == Kind::Retiring {
                backoff.wait();
                continue;
            }
            if generation(state) != of_token || !kinds.has(state) {
                return Err(refuse(token, kinds.first()));
            }
            if state & FORKED != 0 {
                return Err(forked());
            }
            // Others take CLOSING for a sign that no call is at work any more (but for shared ones, which are counted),
            // so an owner is waited for before.
            let owned = state & OWNED != 0;
            let next = if owned { state & !OWNED | BUSY } else { closing };
            if state & BUSY == 0 && slot.state.compare_exchange(state, next, SeqCst, Relaxed).is_ok() {
                if owned {
                    slot.stop_owner();
                    while slot.owner_is_inside() {
                        backoff.wait();
                    }
                    slot.state.store(closing, SeqCst);
                }
                while state & COUNTED != 0 && !slot.idle() {
                    backoff.wait();
                }
                return Ok(Closing {
                    slot,
                    table: self,
                    index,
                    generation: of_token,
                });
            }
            backoff.wait();
        }
    }

    /// Closes an object whose uses are counted from the beginning, and runs `nudge` while calls in flight are waited
    /// for (a database interrupts its waiters).
    pub(crate) fn close_nudging(&'static self, token: Token, kind: Kind, nudge: impl Fn(&T)) -> Outcome<Closing<T>> {
        let Some((index, slot, of_token)) = self.named(token) else {
            return Err(refuse(token, kind));
        };
        let want = state(of_token, kind) | COUNTED;
        let closing = state(of_token, Kind::Closing) | BUSY;
        if slot.state.compare_exchange(want, closing, SeqCst, Relaxed).is_err() {
            return Err(refuse_in(slot.state.load(Relaxed), token, want));
        }
        let mut backoff = Backoff::default();
        while !slot.idle() {
            // SAFETY: the state says CLOSING, set by this thread: nobody has the object alone, calls in flight share
            // it.
            nudge(unsafe { &*slot.object.get() });
            backoff.wait();
        }
        Ok(Closing {
            slot,
            table: self,
            index,
            generation: of_token,
        })
    }

    /// Returns the slot of a token that is, or was, live.
    pub(crate) fn find(&self, token: Token) -> Option<&'static Slot<T>> {
        self.named(token).map(|(_, slot, _)| slot)
    }

    /// Returns the kind of a token's object. The error tells whether the token was a handle once.
    pub(crate) fn kind_of(&self, token: Token) -> Result<Kind, bool> {
        let (_, slot, of_token) = self.named(token).ok_or(false)?;
        let state = slot.state.load(Acquire);
        match generation(state) == of_token && Kind::in_state(state) != Kind::Free {
            true => Ok(Kind::in_state(state)),
            // The slot has had every generation since the first.
            false => Err(was_before(of_token, generation(state))),
        }
    }

    /// Returns the token of the database that a handle belongs to; `NONE` if it belongs to none, or is none.
    #[inline]
    pub(crate) fn root(&self, token: Token) -> Token {
        let mut at = token;
        // A cursor has a transaction, and that a database.
        for _ in 0..3 {
            match self.named(at) {
                Some((_, slot, of_token)) if generation(slot.state.load(Relaxed)) == of_token => match slot.parent() {
                    Token::NONE => return at,
                    parent => at = parent,
                },
                _ => break,
            }
        }
        Token::NONE
    }

    /// Does as [`Table::share_counted`] if that can be done at once, without waiting for anybody.
    pub(crate) fn share_counted_at_once(&self, token: Token, kind: Kind) -> Option<Shared<T>> {
        let (slot, want) = self.wanted(token, kind)?;
        match slot.state.load(Acquire) == want | COUNTED {
            true => share_counted(slot, want),
            false => None,
        }
    }

    /// Returns the object behind a handle of the parent process, in a child, for looking at it.
    pub(crate) fn of_parent_process(&self, token: Token, kind: Kind) -> Option<&T> {
        let (slot, want) = self.wanted(token, kind)?;
        // SAFETY: in this state nobody had the object for itself when the process was forked, and nobody gets it
        // afterwards: every call refuses what is FORKED.
        (slot.state.load(Acquire) == want | COUNTED | FORKED).then(|| unsafe { &*slot.object.get() })
    }

    /// Tells whether a token is a live handle of this kind.
    pub(crate) fn is(&self, token: Token, kind: Kind) -> bool {
        self.named(token).is_some_and(|(_, slot, of_token)| {
            let state = slot.state.load(Relaxed);
            generation(state) == of_token && Kinds::of(&[kind]).has(state)
        })
    }

    /// Gives an object a handle. `make` puts it where it stays: a read transaction is a large thing to move.
    #[inline(always)]
    pub(crate) fn publish(
        &self,
        kind: Kind,
        parent: Token,
        make: impl FnOnce(Vacant<T>) -> Outcome<Filled>,
    ) -> Outcome<(Token, &'static Slot<T>)> {
        let (index, slot) = self.take_free()?;
        if let Err(failure) = make(Vacant(slot)) {
            self.push_free(index, slot);
            return Err(failure);
        }
        slot.set_parent(parent);
        slot.set_thread(0);
        // Databases are shared by nature, and kv_interrupt may share one at any moment: it must never wait for a call.
        let flags = if kind == Kind::Db {
            slot.prepare_counters();
            COUNTED
        } else {
            0
        };
        let free = slot.state.load(Relaxed);
        debug_assert!(
            Kinds::of(&[Kind::Free]).has(free),
            "only free slots are on a list of free ones"
        );
        let generation = generation(free);
        slot.state.store(state(generation, kind) | flags, Release);
        Ok((Token::new(index, generation), slot))
    }

    /// Finds the live slots of `kinds` that `wanted` accepts, and returns their tokens one by one, as they are then.
    pub(crate) fn search<'a>(
        &'a self,
        kinds: Kinds,
        wanted: impl Fn(&Slot<T>) -> bool + 'a,
    ) -> impl Iterator<Item = Token> + 'a {
        self.all().filter_map(move |(index, slot)| {
            let state = slot.state.load(Acquire);
            (kinds.has(state) && wanted(slot)).then(|| Token::new(index, generation(state)))
        })
    }

    /// Marks every handle as one of the parent process. It touches atomics only, as the child of a process with threads
    /// must.
    pub(crate) fn orphan_all(&self) {
        for (_, slot) in self.all() {
            if !Kinds::of(&[Kind::Free]).has(slot.state.load(Relaxed)) {
                slot.state.fetch_or(FORKED, Relaxed);
            }
        }
    }
}
