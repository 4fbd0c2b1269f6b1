//! Making commits durable, and what happens when that fails.
//!
//! One thread of all processes syncs at a time, for all whose commits are published by then. Those who commit during
//! the sync wait, and one of them then syncs for all of them ([`sync_turn`](super::sync_turn)). The write lock is
//! free during a sync.

use super::verify::is_on_disk;
use crate::error::{Error, Result};
use crate::file::peers::{Activity, Peers, Syncer};
use crate::ids::CommitId;
use crate::page::meta::META_PAGE;
use crate::pager::core::Pager;
use crate::pager::options::Wait;
use crate::pager::shared::SyncClaim;
use crate::util::seeded::{self, Bug};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// What a caller wants to be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    /// This commit, with whatever was published before the sync.
    Commit(CommitId),
    /// What was written so far, though it belongs to no commit yet. No sync that others make is known to cover it.
    Written,
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
        self.sync()
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
            return Err(Error::Invalid("no commit has this number yet"));
        }
        match wait {
            Wait::Try if self.is_poisoned() => Err(Error::Poisoned),
            Wait::Try => Err(Error::Busy("the commit is not durable yet".into())),
            _ => self.sync_to(id),
        }
    }

    /// Makes commit `id` durable, together with whatever was published meanwhile.
    ///
    /// # Errors
    /// `InDoubt`, `NoLocks`.
    pub(super) fn sync_to(&self, id: CommitId) -> Result<()> {
        self.sync_for(Goal::Commit(id))
    }

    /// Makes durable what was written so far, though it belongs to no commit yet, and with it every published commit.
    ///
    /// # Errors
    /// `InDoubt`, `NoLocks`.
    pub(super) fn sync_written(&self) -> Result<()> {
        self.sync_for(Goal::Written)
    }

    fn sync_for(&self, goal: Goal) -> Result<()> {
        let shared = &self.shared;
        let is_done = || matches!(goal, Goal::Commit(id) if shared.durable().get().id >= id);
        // A sync that others make never covers what belongs to no commit. Whoever needs that waits for a turn.
        let waits_for = match goal {
            Goal::Commit(id) => id,
            Goal::Written => CommitId::MAX,
        };
        while !is_done() {
            // 1. Wait for the turn among the threads of this process, or until another thread's sync is over; then
            //    look again.
            let Some(mut turn) = self.sync_turns.take(waits_for) else {
                continue;
            };
            // 2. Exclude other processes, and look again, because one of them may have synced meanwhile.
            let right = self.take_sync_right(&is_done)?;
            if right.is_none() || is_done() {
                turn.covered = shared.durable().get().id;
                break;
            }
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
                return Err(Error::InDoubt(format!("its sync failed: {error}")));
            }
            shared.end_sync();
            // 6. Publish that the claimed commit is durable: `visible`, `durable` and `dur_base`, in this order (I-5,
            //    I-7).
            shared.made_durable(claim);
            // 7. Dropping the turn passes it to the first thread whose commit came too late, and then wakes those
            //    that are covered.
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

/// The right to sync, which one thread in all processes has.
struct SyncRight<'a>(&'a dyn Peers);

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

impl Pager {
    /// Waits until this process has the right to sync, or until `is_done`, which returns `None`. A process that has
    /// the right and does nothing with it, because it is stopped or is no member, is not waited for without end.
    fn take_sync_right(&self, is_done: &dyn Fn() -> bool) -> Result<Option<SyncRight<'_>>> {
        let peers = &*self.peers;
        let idle = self.wait.unwrap_or(IDLE).clamp(IDLE_MIN, SYNCING);
        let (mut since, mut durable) = (Instant::now(), self.shared.durable().get().id);
        let mut look_at = since + idle;
        while !peers.try_lock_sync()? {
            if is_done() {
                return Ok(None);
            }
            if self.is_poisoned() {
                return Err(Error::InDoubt("another sync failed".into()));
            }
            let (now, newest) = (Instant::now(), self.shared.durable().get().id);
            if newest > durable {
                // Others sync, and it is only a matter of time.
                (durable, since, look_at) = (newest, now, now + idle);
            }
            if now >= look_at {
                let Syncer { name, does } = peers.syncer(self.shared.is_syncing());
                let limit = match does {
                    Activity::Nothing => idle,
                    Activity::Unknown => idle.max(UNKNOWN_MIN),
                    Activity::Syncs => SYNCING,
                };
                let waited = now - since;
                if waited >= limit {
                    let ms = waited.as_millis();
                    return Err(Error::InDoubt(format!(
                        "{name} had the right to sync for {ms} ms, and nothing was synced"
                    )));
                }
                look_at = now + IDLE_MIN;
            }
            peers.wait_sync(LOOK_AGAIN);
        }
        Ok(Some(SyncRight(peers)))
    }
}

impl Drop for SyncRight<'_> {
    fn drop(&mut self) {
        self.0.unlock_sync();
    }
}
