//! Making commits durable, and what happens when that fails.
//!
//! One thread of all processes syncs at a time, for all whose commits are published by then. Those who commit during
//! the sync wait, and one of them then syncs for all of them ([`sync_turn`](super::sync_turn)). The write lock is
//! free during a sync.

use super::sync_turn::WaitInVain;
use super::verify::is_on_disk;
use crate::error::{Detail, Error, Result};
use crate::file::peers::{Activity, Peers, Syncer};
use crate::ids::CommitId;
use crate::page::meta::META_PAGE;
use crate::pager::core::Pager;
use crate::pager::options::Wait;
use crate::pager::shared::SyncClaim;
use crate::util::seeded::{self, Bug};
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// How often a waiter checks whether the process that has the right died without a word.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long a process may have the right and be known not to sync, unless the database was opened with another wait.
const IDLE: Duration = Duration::from_secs(60);
/// The least such time. A process may be about to note that it has the right, or to sync, when the machine is busy.
const IDLE_MIN: Duration = Duration::from_secs(1);
/// The least such time for a process that cannot be seen.
const UNKNOWN_MIN: Duration = Duration::from_secs(10);
/// How long a process may have the right and sync. Even a slow disk that has much to write is done by then.
const SYNCING: Duration = Duration::from_secs(600);

/// What a caller wants to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// This commit, with whatever was published before the sync.
    Commit(CommitId),
    /// What was written so far, though it belongs to no commit yet. No sync that others make is known to cover it.
    Written,
}

/// How a caller waits for a process that has the right to sync and does not sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// As long as the options say.
    Usual,
    /// The same, but not at all if the last wait was in vain and nothing became durable since, which would show that
    /// somebody syncs again. Closing syncs in several places, and its caller is to wait once.
    Once,
}

impl Pager {
    /// Makes every published commit durable.
    ///
    /// # Errors
    /// `Poisoned`, `InDoubt`, `Forked`, `NoLocks`.
    pub fn sync(&self) -> Result<()> {
        self.check_fork()?;
        if self.is_poisoned() {
            return Err(Error::Poisoned);
        }
        self.sync_to(self.shared.tip().get().id)
    }

    /// Makes everything durable. It is called when the database's last handle goes, and does no harm at other times.
    ///
    /// # Errors
    /// `Poisoned`, `InDoubt`, `NoLocks`.
    pub fn close(&self) -> Result<()> {
        if self.read_only || self.is_poisoned() || self.check_fork().is_err() {
            return Ok(());
        }
        self.sync_leaving(self.shared.tip().get().id)
    }

    /// Makes commit `id` durable for somebody who closes the database, and who waits only once for a process that has
    /// the right to sync and does not sync.
    ///
    /// # Errors
    /// `InDoubt`, `NoLocks`.
    pub(super) fn sync_leaving(&self, id: CommitId) -> Result<()> {
        self.sync_for(Goal::Commit(id), Patience::Once)
    }

    /// Makes commit `id` durable if it is not yet, together with whatever was published meanwhile. With `Wait::Try`
    /// it only checks whether the commit is durable. Any other wait ends with the sync, however long that takes.
    ///
    /// # Errors
    /// `Busy`: with `Wait::Try`, the commit is not durable. `Invalid`: there is no such commit. `InDoubt`,
    /// `Poisoned`, `Forked`, `NoLocks`.
    pub fn wait_durable(&self, id: CommitId, wait: Wait) -> Result<()> {
        self.check_fork()?;
        if self.shared.durable().get().id >= id {
            return Ok(());
        }
        if id > self.shared.tip().get().id {
            return Err(Error::Invalid(
                "no commit has this number yet; give one that a commit returned",
            ));
        }
        match wait {
            Wait::Try if self.is_poisoned() => Err(Error::Poisoned),
            Wait::Try => Err(Error::Busy(
                "the commit is not durable yet; wait for it, or sync".into(),
            )),
            _ => self.sync_to(id),
        }
    }

    /// Makes commit `id` durable, together with whatever was published meanwhile.
    ///
    /// # Errors
    /// `InDoubt`, `NoLocks`.
    pub(super) fn sync_to(&self, id: CommitId) -> Result<()> {
        self.sync_for(Goal::Commit(id), Patience::Usual)
    }

    /// Makes commit `id` durable, which was just published. Whatever is in the way, the commit can survive.
    ///
    /// # Errors
    /// `InDoubt`.
    pub(super) fn sync_published(&self, id: CommitId) -> Result<()> {
        self.sync_to(id).map_err(|error| match error {
            Error::InDoubt(_) => error,
            other => Error::InDoubt(Detail::because("it could not be synced", other)),
        })
    }

    /// Makes durable what was written so far, though it belongs to no commit yet, and with it every published commit.
    ///
    /// # Errors
    /// `InDoubt`, `NoLocks`.
    pub(super) fn sync_written(&self) -> Result<()> {
        self.sync_for(Goal::Written, Patience::Usual)
    }

    fn sync_for(&self, goal: Goal, patience: Patience) -> Result<()> {
        let shared = &self.shared;
        let is_done = || matches!(goal, Goal::Commit(id) if shared.durable().get().id >= id);
        // A sync that others make never covers what belongs to no commit. Whoever needs that waits for a turn.
        let waits_for = match goal {
            Goal::Commit(id) => id,
            Goal::Written => CommitId::MAX,
        };
        let begun = Instant::now();
        while !is_done() {
            // 1. Wait for the turn among the threads of this process, or until another thread's sync is over; then
            //    look again.
            let Some(mut turn) = self.sync_turns.take(waits_for) else {
                continue;
            };
            // 2. Exclude other processes, and look again, because one of them may have synced meanwhile.
            let right = SyncRight::take(self, waits_for, SyncWait::new(self, patience, begun), &is_done)?;
            let Some(mut right) = right.filter(|_| !is_done()) else {
                turn.covered = shared.durable().get().id;
                break;
            };
            if self.is_poisoned() {
                return Err(Error::InDoubt("another sync failed".into()));
            }
            // 3. Claim the tip, so that its slot is not written while it is on its way to the disk (I-1, I-6). Later
            //    commits may or may not be covered by this sync, so they do not count (I-5).
            let claim = shared.claim_tip();
            // 4. Sync. Whoever dies in between leaves the intent set, and then the next one looks at the disk.
            let unfinished = shared.begin_sync();
            let synced = match seeded::on(Bug::SkipSync) {
                true => Ok(()),
                false => self.storage.sync().and_then(|()| match unfinished {
                    true => self.read_back(claim),
                    false => Ok(()),
                }),
            };
            // 5. The system reports a failure once and never again, so nothing that was not durable can be trusted
            //    (I-8).
            if let Err(error) = synced.or_else(|e| seeded::on(Bug::ForgetFailedSync).then_some(()).ok_or(e)) {
                self.poison();
                return Err(Error::InDoubt(Detail::because("its sync failed", error)));
            }
            shared.end_sync();
            let before = shared.durable().get().id;
            // 6. Publish that the claimed commit is durable: `visible`, `durable` and `dur_base`, in this order (I-5,
            //    I-7).
            shared.made_durable(claim);
            // 7. Dropping the right and the turn passes them to a process and to a thread whose commits came too late,
            //    and wakes all those that are covered.
            right.durable = before.next()..claim.tip.id.next();
            turn.covered = claim.tip.id;
            if goal == Goal::Written {
                break;
            }
        }
        Ok(())
    }

    /// Looks on the disk for the claimed commit, after a sync that never ended. Its leader died, and with it what the
    /// leader learned. The system does not report an error that only the leader saw to those who opened the file
    /// later.
    fn read_back(&self, claim: SyncClaim) -> Result<()> {
        if seeded::on(Bug::BelieveAfterDeath) || is_on_disk(&*self.storage, claim.tip)? {
            return Ok(());
        }
        Err(Error::corrupt(
            META_PAGE,
            "an earlier sync did not write what it should have",
        ))
    }

    /// Poisons the database. After a failed sync or slot write nothing unsynced can be trusted, and the cache may
    /// show what the disk lacks (I-8).
    pub(in crate::pager) fn poison(&self) {
        self.shared.poison();
        self.notice_poison();
        self.wake_waiters();
    }

    /// Forgets, once, which pages were verified, because pages that were not durable may come back from the disk as
    /// they were.
    pub(in crate::pager) fn notice_poison(&self) {
        if !self.poison_seen.swap(true, SeqCst) {
            self.tags.clear();
        }
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        // There is nobody left to report an error to, and what was acknowledged as durable is durable.
        let _ = self.close();
    }
}

/// The right to sync, which one thread in all processes has. Dropping it passes it on.
struct SyncRight<'a> {
    peers: &'a dyn Peers,
    /// The commits that this sync has made durable, whose waiters are all woken. One other waiter is always woken.
    durable: Range<CommitId>,
}

impl<'a> SyncRight<'a> {
    /// Waits for the right. Returns `None` if that is not necessary any more, because another process has made commit
    /// `id` durable. A process that has the right and does nothing with it, because it is stopped or is no member, is
    /// not waited for without end.
    fn take(
        pager: &'a Pager,
        id: CommitId,
        mut limit: SyncWait,
        is_done: &dyn Fn() -> bool,
    ) -> Result<Option<SyncRight<'a>>> {
        let peers = &*pager.peers;
        while !peers.try_lock_sync()? {
            if is_done() {
                return Ok(None);
            }
            if pager.is_poisoned() {
                return Err(Error::InDoubt("another sync failed".into()));
            }
            if let Err(error) = limit.check(pager) {
                // A wake-up meant for another must not be lost with a waiter that leaves.
                peers.stop_waiting_to_sync();
                let (durable, since, until) = (limit.durable, limit.since, Instant::now());
                *pager.sync_in_vain.lock() = Some(WaitInVain { durable, since, until });
                return Err(error);
            }
            peers.wait_sync(id, LOOK_AGAIN, &mut || !is_done() && !pager.is_poisoned());
            if is_done() {
                return Ok(None);
            }
        }
        *pager.sync_in_vain.lock() = None;
        let durable = CommitId::NONE..CommitId::NONE;
        Ok(Some(SyncRight { peers, durable }))
    }
}

/// How long the right to sync is waited for.
struct SyncWait {
    /// Whether nobody is waited for.
    no_wait: bool,
    /// How long a process that does not sync is waited for.
    idle: Duration,
    /// Since when nothing became durable, and what was durable then.
    since: Instant,
    durable: CommitId,
    /// When it is time to look at what the process does that has the right.
    look_at: Instant,
}

impl SyncWait {
    /// Returns the limits of a wait that has just come to the right to sync. It has `begun` before, with waiting for
    /// other threads of this process. If these waited in vain for the same right, they did so for this one as well:
    /// threads wait at the same time, and not one after the other.
    fn new(pager: &Pager, patience: Patience, begun: Instant) -> SyncWait {
        let durable = pager.shared.durable().get().id;
        let in_vain = pager.sync_in_vain.lock().filter(|last| last.durable == durable);
        let idle = pager.wait.unwrap_or(IDLE).clamp(IDLE_MIN, SYNCING);
        let no_wait = patience == Patience::Once && in_vain.is_some();
        let since = match in_vain {
            Some(last) if last.until > begun => last.since.max(begun),
            _ => Instant::now(),
        };
        SyncWait {
            no_wait,
            idle,
            since,
            durable,
            look_at: if no_wait { since } else { since + idle },
        }
    }

    /// Fails if the process that has the right was waited for long enough.
    ///
    /// # Errors
    /// `InDoubt`. Nothing is poisoned.
    fn check(&mut self, pager: &Pager) -> Result<()> {
        let (now, newest) = (Instant::now(), pager.shared.durable().get().id);
        if newest > self.durable {
            // Others sync, and it is only a matter of time.
            (self.durable, self.since, self.look_at) = (newest, now, now + self.idle);
            self.no_wait = false;
        }
        if now < self.look_at {
            return Ok(());
        }
        let Syncer { name, does } = pager.peers.syncer(pager.shared.is_syncing());
        let limit = match does {
            _ if self.no_wait => Duration::ZERO,
            Activity::Nothing => self.idle,
            Activity::Unknown => self.idle.max(UNKNOWN_MIN),
            Activity::Syncs => SYNCING,
        };
        let waited = now - self.since;
        if waited >= limit {
            let ms = waited.as_millis();
            return Err(Error::InDoubt(
                format!("{name} had the right to sync for {ms} ms, and nothing was synced").into(),
            ));
        }
        self.look_at = now + IDLE_MIN;
        Ok(())
    }
}

impl Drop for SyncRight<'_> {
    fn drop(&mut self) {
        self.peers.unlock_sync(&self.durable);
    }
}
