//! The writer's seat: one in all processes. Waiting for it, and knowing what others committed since one last had it.
//!
//! Threads of a process wait for the seat itself; who has it takes the lock that excludes other processes. What the
//! writer knows about space lies in the seat while nobody here writes, and is as of the commit it names: if that is not
//! the newest any more, the records of the newest slot tell what happened since. The slot can be read because only a
//! writer changes slots, and never the newest commit's (I-1). If another process folded records into the space tree
//! meanwhile, what is known is dropped and loaded anew.
//!
//! The seat is not bound to a thread.

use super::commit::{CommitRecord, SpaceChange, Tail};
use super::space::{Horizon, RunSet, Space};
use super::{Descriptor, Pager, Wait, META_PAGE};
use crate::error::{Error, Result};
use crate::ids::{CommitId, Run};
use crate::page::meta::{Meta, Slot, SLOT_BYTES};
use crate::util::seeded::{self, Bug};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// A waiter looks this often whether the one it waits for died without a word.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What the writer knows; it lies in the seat while nobody writes. All of it is as of the commit `tip` (none: nothing yet).
#[derive(Debug, Default)]
pub(super) struct WriteState {
    pub space: Space,
    pub tip: Descriptor,
    pub tail: Tail,
    pub folded: CommitId,
    pub dead: u64,
    /// Entries of the tail's records that a fold would carry to the space tree.
    pub changes: usize,
    /// Commits not known durable, and the bytes they wrote.
    pub unsynced: Vec<(CommitId, u64)>,
    /// Memory for the pages that a transaction takes.
    pub own: RunSet,
    /// Memory for a slot's bytes.
    pub slot: Option<Box<[u8; SLOT_BYTES]>>,
}

/// What [`Pager::accounting`] answers.
#[derive(Debug, Clone, Default)]
pub struct Accounting {
    /// The commit this describes.
    pub desc: Descriptor,
    /// Changes to the space tree's content that its records still hold, in order.
    pub changes: Vec<SpaceChange>,
    /// Pages that hold spilled records.
    pub spilled: Vec<Run>,
}

/// How long, and what may end it earlier.
struct Patience<'a> {
    wait: Wait,
    deadline: Option<Instant>,
    cancel: &'a AtomicBool,
}

impl Patience<'_> {
    /// What is left of the wait.
    fn left(&self) -> Result<Duration> {
        match (self.wait, self.deadline) {
            (Wait::Try, _) => Err(Error::Busy("another transaction is writing")),
            (_, Some(deadline)) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Error::Busy("another transaction is writing; the wait ended"));
                }
                Ok(left)
            }
            _ => Ok(Duration::MAX),
        }
    }
}

impl Pager {
    /// The state in the seat, with the right to write; whoever takes it must call [`Pager::leave_seat`].
    pub(super) fn take_seat(&self, wait: Wait, cancel: &AtomicBool) -> Result<Box<WriteState>> {
        self.check_fork()?;
        let patience = Patience {
            wait,
            deadline: match wait {
                Wait::For(time) => Instant::now().checked_add(time),
                Wait::Try | Wait::Forever => None,
            },
            cancel,
        };
        let state = self.take_seat_here(&patience)?;
        match self.exclude_others(&patience) {
            Ok(()) => Ok(state),
            Err(error) => {
                *self.seat.lock() = Some(state);
                self.seat_free.notify_one();
                Err(error)
            }
        }
    }

    /// Waits for the threads of this process.
    fn take_seat_here(&self, patience: &Patience<'_>) -> Result<Box<WriteState>> {
        let mut seat = self.seat.lock();
        loop {
            if patience.cancel.load(SeqCst) {
                // A wake-up meant for a writer must not be lost with the one who leaves.
                self.seat_free.notify_one();
                return Err(Error::Cancelled);
            }
            if self.is_poisoned() {
                return Err(Error::Poisoned);
            }
            if let Some(state) = seat.take() {
                return Ok(state);
            }
            // Other processes poison without a word to those who wait here.
            let most = patience.left()?.min(Duration::from_millis(500));
            self.seat_free.wait_for(&mut seat, most);
        }
    }

    /// Waits for other processes. One that dies frees its lock without telling.
    fn exclude_others(&self, patience: &Patience<'_>) -> Result<()> {
        while !self.peers.try_lock_write()? {
            let most = patience.left()?.min(LOOK_AGAIN);
            if patience.cancel.load(SeqCst) {
                return Err(Error::Cancelled);
            }
            if self.is_poisoned() {
                return Err(Error::Poisoned);
            }
            self.peers
                .wait_write(most, &mut || !patience.cancel.load(SeqCst) && !self.is_poisoned());
        }
        // A sync may have failed while we waited.
        if self.is_poisoned() {
            self.peers.unlock_write();
            return Err(Error::Poisoned);
        }
        Ok(())
    }

    /// Puts the writer's state back and lets the next one in.
    pub(super) fn leave_seat(&self, state: Box<WriteState>) {
        let free = state.space.pool.total();
        self.free_pages.store(free, SeqCst);
        self.pending_pages
            .store(state.space.known().saturating_sub(free), SeqCst);
        self.peers.unlock_write();
        *self.seat.lock() = Some(state);
        self.seat_free.notify_one();
    }

    /// Wakes everyone waiting in `lock_write` so that they look at their `cancel`.
    pub fn wake_waiters(&self) {
        {
            // Under the lock: whoever is between looking and waiting must not miss it.
            let _seat = self.seat.lock();
            self.seat_free.notify_all();
        }
        self.peers.wake();
    }

    /// Moves to the pool what became reusable. The durable point is read before the readers (I-3). Readers of dead
    /// processes are ended first if they hold anything back.
    pub(super) fn refresh(&self, state: &mut WriteState) {
        self.reap(Some(self.shared.visible().get()));
        let durable = self.shared.durable().get().id;
        let base = self.shared.dur_base().get();
        let early = |bug: Bug, right: CommitId, wrong: CommitId| if seeded::on(bug) { wrong } else { right };
        let durable = early(Bug::ReuseUndurable, durable, state.tip.id);
        let base = early(Bug::ReuseUndurable, early(Bug::ReuseEarly, base, durable), durable);
        let held = match seeded::on(Bug::ReuseHeld) {
            true => Vec::new(),
            false => self.shared.held(),
        };
        state.space.refresh(Horizon { durable, base, held });
    }

    /// Gives the seat its state; nobody writes yet.
    pub(super) fn load_seat(&self) -> Result<()> {
        let mut state = Box::<WriteState>::default();
        self.catch_up(&mut state)?;
        self.pending_pages.store(state.space.known(), SeqCst);
        *self.seat.lock() = Some(state);
        Ok(())
    }

    /// Brings `state` up to the newest commit. The right to write is held, or nobody can write.
    pub(super) fn catch_up(&self, state: &mut WriteState) -> Result<()> {
        let tip = self.shared.tip().get();
        if state.tip.id == tip.id {
            return Ok(());
        }
        let mut bytes = [0; SLOT_BYTES];
        self.storage.read_cached((tip.slot * SLOT_BYTES) as u64, &mut bytes)?;
        let meta = match Meta::decode(&bytes)? {
            Slot::Valid(meta) if meta.id == tip.id => *meta,
            _ => return Err(Error::corrupt(META_PAGE, "the newest meta slot is damaged")),
        };
        let tail = Tail::read(&meta, |at, into| self.storage.read_cached(at, into))?
            .map_err(|page| Error::corrupt(page, "the newest commit's records are damaged"))?;
        let desc = Descriptor::of(&meta);
        self.reach(&desc)?;
        let (before, known) = (
            state.tip.id,
            state.tip.id != CommitId::NONE && meta.folded == state.folded,
        );
        let caught_up = known
            && tail.records().filter(|r| r.id > before).all(|record| {
                self.refresh(state);
                state.space.follow(record)
            });
        let unfolded = || tail.records().filter(|r| r.id > meta.folded).map(|r| &**r);
        if !caught_up {
            state.space = Space::open(meta.pages, meta.dead, unfolded());
        }
        let durable = self.shared.durable().get().id;
        *state = WriteState {
            space: std::mem::take(&mut state.space),
            tip: desc,
            changes: unfolded().map(CommitRecord::changes).sum(),
            tail,
            folded: meta.folded,
            dead: meta.dead,
            unsynced: state.unsynced.drain(..).filter(|(id, _)| *id > durable).collect(),
            own: std::mem::take(&mut state.own),
            slot: state.slot.take(),
        };
        Ok(())
    }

    /// The newest commit, what its records add to its space tree and take from it, and the pages its spilled records occupy: what the accounting check needs. The answer belongs to the
    /// commit in `desc`.
    ///
    /// # Errors
    /// `Busy` while somebody writes; `Poisoned`, `Forked`; `Corrupt`, `Io`.
    pub fn accounting(&self) -> Result<Accounting> {
        let mut state = self.take_seat(Wait::Try, &AtomicBool::new(false))?;
        let caught_up = self.catch_up(&mut state);
        let answer = caught_up.map(|()| state.accounting());
        self.leave_seat(state);
        answer
    }
}

impl WriteState {
    fn accounting(&self) -> Accounting {
        let spilled = self.tail.spilled.iter().map(|s| s.spill.extent.run);
        Accounting {
            desc: self.tip,
            changes: self.tail.changes(self.folded),
            spilled: spilled.collect(),
        }
    }
}
