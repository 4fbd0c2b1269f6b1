//! The write lock, which one writer in all processes has: waiting for it, and learning what others have committed
//! since.
//!
//! The threads of a process wait for the writer's state, which is absent from the pager while one of them writes.
//! Whoever has the state takes the lock that excludes other processes. The state is as of the commit that it names.
//! If that is not the newest any more, the records of the newest slot tell what happened since. That slot can be read
//! because only a writer changes slots, and never the newest commit's (I-1). If another process has folded records
//! into the space tree meanwhile, what is known of dead space is dropped and loaded anew.
//!
//! The lock is not bound to a thread.

use super::commit::SlotRecords;
use super::core::Pager;
use super::dead_pages::DeadPages;
use super::descriptor::Descriptor;
use super::options::Wait;
use super::space::{Horizon, Space};
use super::write_state::{Accounting, Unsynced, WriteState};
use crate::error::{Error, Result};
use crate::file::peers::Writer;
use crate::ids::CommitId;
use crate::page::meta::{Meta, Slot, META_PAGE, SLOT_BYTES};
use crate::util::seeded::{self, Bug};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a waiter checks whether the process it waits for died without a word.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How often a waiter checks whether another process poisoned the database, which does not wake those who wait here.
const LOOK_FOR_POISON: Duration = Duration::from_millis(500);

/// How often it is looked whether those who were woken have the lock.
const LOOK_FOR_TURN: Duration = Duration::from_micros(50);

/// How long a writer waits, and what may end its wait earlier.
struct WaitLimits<'a> {
    wait: Wait,
    deadline: Option<Instant>,
    cancel: &'a AtomicBool,
}

impl WaitLimits<'_> {
    /// Returns what is left of the wait for `writer`.
    fn left(&self, writer: impl Fn() -> String) -> Result<Duration> {
        match (self.wait, self.deadline) {
            (Wait::Try, _) => Err(Error::Busy(
                format!("{}; repeat the call later, or wait for it", writer()).into(),
            )),
            (_, Some(deadline)) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Error::Busy(
                        format!("{}; the wait ended: wait for longer, or end that one", writer()).into(),
                    ));
                }
                Ok(left)
            }
            _ => Ok(Duration::MAX),
        }
    }
}

impl Pager {
    /// Takes the writer's state, and with it the write lock. The caller must give the state to
    /// [`Pager::release_write_lock`] in the end.
    pub(super) fn acquire_write_lock(&self, wait: Wait, cancel: &AtomicBool) -> Result<Box<WriteState>> {
        self.check_fork()?;
        let limits = WaitLimits {
            wait,
            deadline: match wait {
                Wait::For(time) => Instant::now().checked_add(time),
                Wait::Try | Wait::Forever => None,
            },
            cancel,
        };
        let state = self.lock_among_threads(&limits)?;
        match self.lock_among_processes(&limits) {
            Ok(()) => Ok(state),
            Err(error) => {
                *self.write_state.lock() = Some(state);
                self.write_state_returned.notify_one();
                Err(error)
            }
        }
    }

    /// Waits for other threads of this process, and takes the state.
    fn lock_among_threads(&self, limits: &WaitLimits<'_>) -> Result<Box<WriteState>> {
        let mut state = self.write_state.lock();
        loop {
            if limits.cancel.load(SeqCst) {
                // A wake-up meant for a writer must not be lost with a waiter that leaves.
                self.write_state_returned.notify_one();
                return Err(Error::Cancelled);
            }
            if self.is_poisoned() {
                return Err(Error::Poisoned);
            }
            if let Some(state) = state.take() {
                return Ok(state);
            }
            // The thread of this process that is first may wait itself.
            let writer = || match self.peers.others_write() {
                true => self.writing(&self.peers.writer(false)),
                false => self.writing("another transaction of this process"),
            };
            let most = limits.left(writer)?.min(LOOK_FOR_POISON);
            self.write_waiters.fetch_add(1, SeqCst);
            state = self.write_state_returned.wait_for(state, most);
            self.write_waiters.fetch_sub(1, SeqCst);
        }
    }

    /// Says in a message that `who` writes, and for how long.
    fn writing(&self, who: &str) -> String {
        match self.peers.last_writer().map(|writer| writer.age_ms) {
            None => format!("{who} is writing"),
            Some(ms @ ..10_000) => format!("{who} is writing, for {ms} ms now"),
            Some(ms) => format!("{who} is writing, for {} s now", ms / 1000),
        }
    }

    /// Returns whether anybody may wait for the write lock, in whatever process: one who was killed while it waited
    /// counts as well.
    pub(super) fn may_be_wanted(&self) -> bool {
        self.write_waiters.load(SeqCst) > 0 || self.peers.others_may_wait_to_write()
    }

    /// Returns how often this process has released the write lock while somebody waited for it, in whatever process.
    /// Those who were killed while they waited do not count.
    pub fn times_passed_on(&self) -> u64 {
        self.passed_on.load(SeqCst)
    }

    /// Waits until somebody else has the write lock, or has had it, for at most `most`. Whoever was woken for it needs
    /// its time to come, and would find the lock taken again by who releases it and takes it without a pause.
    pub fn await_turn(&self, most: Duration) {
        let (tip, end) = (self.shared.tip().get(), Instant::now() + most);
        while self.writer().is_none() && self.shared.tip().get() == tip && Instant::now() < end {
            std::thread::sleep(LOOK_FOR_TURN);
        }
    }

    /// Returns who has the write transaction, in whatever process. It may end at the same moment.
    pub fn writer(&self) -> Option<Writer> {
        if self.peers.others_write() {
            return self.peers.last_writer();
        }
        let here = self.write_state.lock().is_none();
        let this = std::process::id();
        let unknown = Writer { pid: this, age_ms: 0 };
        here.then(|| {
            self.peers
                .last_writer()
                .filter(|writer| writer.pid == this)
                .unwrap_or(unknown)
        })
    }

    /// Takes the lock that excludes other processes.
    fn lock_among_processes(&self, limits: &WaitLimits<'_>) -> Result<()> {
        let mut slept = false;
        if let Err(error) = self.wait_among_processes(limits, &mut slept) {
            if slept {
                // A wake-up meant for a writer must not be lost with a waiter that leaves.
                self.peers.stop_waiting_to_write();
            }
            return Err(error);
        }
        // A sync may have failed while this writer waited.
        if self.is_poisoned() {
            self.peers.unlock_write();
            return Err(Error::Poisoned);
        }
        Ok(())
    }

    /// Waits for other processes. A process that dies frees its lock without waking anybody, so the waiter looks
    /// again. `slept` tells whether it waited at all.
    fn wait_among_processes(&self, limits: &WaitLimits<'_>, slept: &mut bool) -> Result<()> {
        while !self.peers.try_lock_write()? {
            let most = limits
                .left(|| self.writing(&self.peers.writer(limits.wait != Wait::Try)))?
                .min(LOOK_AGAIN);
            if limits.cancel.load(SeqCst) {
                return Err(Error::Cancelled);
            }
            if self.is_poisoned() {
                return Err(Error::Poisoned);
            }
            self.peers
                .wait_write(most, &mut || !limits.cancel.load(SeqCst) && !self.is_poisoned());
            *slept = true;
        }
        Ok(())
    }

    /// Puts the writer's state back, and lets the next writer in. A state that is incomplete is forgotten, so that the
    /// next writer loads what it needs.
    pub(super) fn release_write_lock(&self, mut state: Box<WriteState>) {
        if state.is_incomplete() {
            *state = WriteState::default();
        }
        let (free, named) = (state.space.free_pages(), state.space.named_pages());
        let pending = state.space.known_pages().saturating_sub(free + named);
        self.dead_pages.note(DeadPages {
            commit: state.tip.id,
            free,
            pending,
            parked: state.parked + named,
        });
        if self.peers.unlock_write() || self.write_waiters.load(SeqCst) > 0 {
            self.passed_on.fetch_add(1, SeqCst);
        }
        *self.write_state.lock() = Some(state);
        self.write_state_returned.notify_one();
    }

    /// Wakes everyone who waits in `acquire_write_lock`, so that they look at their `cancel`.
    pub fn wake_waiters(&self) {
        {
            // The mutex is locked, so that a waiter between its look and its wait does not miss the wake-up.
            let _state = self.write_state.lock();
            self.write_state_returned.notify_all();
        }
        self.peers.wake();
    }

    /// Moves to the pool what became reusable. The durable commit is read before the readers (I-3). The readers of
    /// dead processes are ended first if they hold anything back.
    pub(super) fn refresh(&self, state: &mut WriteState) {
        let horizon = self.horizon(state);
        state.space.refresh(horizon);
    }

    /// Returns what the reuse rule (I-3) depends on, as of now.
    fn horizon(&self, state: &mut WriteState) -> Horizon {
        self.reap(Some(self.shared.visible().get()));
        let durable = self.shared.durable().get().id;
        let base = self.shared.dur_base().get();
        let early = |bug: Bug, right: CommitId, wrong: CommitId| if seeded::on(bug) { wrong } else { right };
        let durable = early(Bug::ReuseUndurable, durable, state.tip.id);
        let base = early(Bug::ReuseUndurable, early(Bug::ReuseEarly, base, durable), durable);
        let readers = match seeded::on(Bug::ReuseHeld) {
            true => Vec::new(),
            false => self.shared.held(),
        };
        let snapshots = match seeded::on(Bug::ReuseSnapshots) {
            true => Some(Arc::default()),
            false => state.snapshots.held(durable),
        };
        Horizon {
            durable,
            base,
            readers,
            snapshots,
        }
    }

    /// Loads what a writer knows, before anybody else can write.
    pub(super) fn load_write_state(&self) -> Result<()> {
        let mut state = Box::<WriteState>::default();
        self.catch_up(&mut state)?;
        complete(&state)?;
        // Nobody else has the database open.
        state.foreign = CommitId::NONE;
        self.dead_pages.note(DeadPages {
            commit: state.tip.id,
            free: 0,
            pending: state.space.known_pages(),
            parked: state.parked,
        });
        *self.write_state.lock() = Some(state);
        Ok(())
    }

    /// Brings `state` up to the newest commit. The caller has the write lock, or nobody can write yet.
    ///
    /// 1. If no other process has committed since, do nothing.
    /// 2. Read the newest slot, from the cache: only a writer changes slots, and never the newest commit's (I-1).
    ///    Records that are known already are not read again.
    /// 3. Follow the records of the commits made since, one by one, if the slot has the changes of all of them.
    /// 4. Otherwise drop what is known of dead space, which is then loaded anew by zone.
    /// 5. Take the rest of the state from the slot.
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
        // A writer that was killed before its commit was published may have raised the word further than the newest
        // slot goes, which lists all changes that are not folded.
        let listed = self.shared.listed().get().max(state.listed).min(meta.folded);
        let records = SlotRecords::read_after(&state.records, &meta, listed, |at, into| {
            self.storage.read_cached(at, into)
        })
        .map_err(|reason| reason.into_error("the newest commit's records are damaged"))?;
        let desc = Descriptor::of(&meta);
        self.ensure_mapped(&desc)?;
        let is_known = state.tip.id != CommitId::NONE && state.tip.id >= listed;
        // What other writers took had become reusable by then, so it must be in the pool here as well, and it stays
        // reusable: one look at the readers is enough for all records. If another process has changed the list of
        // snapshots, nothing more goes into the pool before that is read, and what it took is often not there.
        state.snapshots.follow(&meta.roots.snapshots);
        let now = self.horizon(state);
        // Which extents a fold has parked is only in the tree. Here they would still be dead, and free for use as soon
        // as nobody sees them.
        let parks = meta.folded != state.folded && (meta.parked > 0 || state.parked > 0);
        // What a commit has left out of the file is nowhere listed.
        let shrunk = self.shared.shrunk().get() > state.tip.id;
        let followed = is_known
            && !parks
            && !shrunk
            && records.above(state.tip.id).all(|record| {
                state.space.refresh(now.clone());
                state.space.follow(record)
            });
        if meta.folded != state.folded {
            state.space.tree_changed();
        }
        if !followed {
            state.space = Space::open(meta.pages, meta.dead, records.above(meta.folded));
        }
        let durable = self.shared.durable().get().id;
        // What other processes have committed waits for a sync as well.
        let unsynced = records.above(durable).map(|record| Unsynced {
            id: record.id,
            bytes: record.written_pages() * self.page_size as u64,
        });
        state.unsynced = unsynced.collect();
        state.changes = WriteState::count_changes(&records, meta.folded);
        state.listed = listed;
        state.foreign = tip.id;
        state.records = records;
        state.tip = desc;
        state.folded = meta.folded;
        state.dead = meta.dead;
        state.parked = meta.parked;
        Ok(())
    }

    /// Returns what the accounting check needs: the newest commit, what its records add to its space tree and take
    /// from it, and the pages that its spilled records occupy.
    ///
    /// # Errors
    /// `Busy`: somebody writes. `Poisoned`, `Forked`, `Corrupt`, `Io`.
    pub fn accounting(&self) -> Result<Accounting> {
        let mut state = self.acquire_write_lock(Wait::Try, &AtomicBool::new(false))?;
        let caught_up = self.catch_up(&mut state);
        let answer = caught_up
            .and_then(|()| complete(&state))
            .and_then(|()| state.accounting());
        self.release_write_lock(state);
        answer
    }
}

/// Refuses to work with a state in which something is missing.
///
/// # Errors
/// `NoMemory`.
pub(super) fn complete(state: &WriteState) -> Result<()> {
    match state.is_incomplete() {
        true => Err(Error::NoMemory("what is known of free pages")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::pager::{open_memory, Durability, PagerOptions, Wait};
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::time::{Duration, Instant};

    #[test]
    fn who_was_woken_has_the_lock_before_it_is_taken_again() {
        let options = PagerOptions {
            page_size: 4096,
            ..PagerOptions::default()
        };
        let pager = open_memory(&options).expect("a pager in memory").0;
        let lock = || {
            pager
                .lock_write(Wait::Forever, &AtomicBool::new(false))
                .expect("the lock")
        };
        for _ in 0..20 {
            let (first, has_it) = (lock(), AtomicBool::new(false));
            std::thread::scope(|threads| {
                threads.spawn(|| {
                    let pages = lock();
                    has_it.store(true, SeqCst);
                    let roots = pages.tip().roots;
                    pages.commit(roots, Durability::Lazy).expect("a commit");
                });
                while pager.write_waiters.load(SeqCst) == 0 {
                    std::thread::yield_now();
                }
                drop(first);
                pager.await_turn(Duration::from_secs(60));
                drop(lock());
                assert!(has_it.load(SeqCst));
            });
        }
        // Where nobody comes, it does not wait for long.
        let begun = Instant::now();
        pager.await_turn(Duration::from_millis(1));
        assert!(begun.elapsed() >= Duration::from_millis(1));
    }

    #[test]
    fn the_lock_is_passed_on_only_to_those_who_wait() {
        let options = PagerOptions {
            page_size: 4096,
            ..PagerOptions::default()
        };
        let pager = open_memory(&options).expect("a pager in memory").0;
        let lock = |wait| pager.lock_write(wait, &AtomicBool::new(false)).expect("the lock");
        drop(lock(Wait::Try));
        assert_eq!(pager.times_passed_on(), 0);
        let first = lock(Wait::Try);
        std::thread::scope(|threads| {
            threads.spawn(|| drop(lock(Wait::Forever)));
            while pager.write_waiters.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            drop(first);
        });
        assert_eq!(pager.times_passed_on(), 1);
    }
}
