//! Calls that wait for commits to become durable or visible, and that tell who holds old ones.

use super::database::Db;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::pager::{ReaderInfo, Wait, Writer};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// The shortest and the longest pause between two looks at what other processes have committed.
const NAPS: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));

impl Db {
    /// Waits until the commit `id` is durable, and syncs if nobody else does. With [`Wait::Try`] the call only looks
    /// whether it is durable; with any other value it takes as long as the sync.
    ///
    /// # Errors
    /// `Busy`: the commit is not durable yet; `Invalid`: there is no such commit; `InDoubt`, `Poisoned`: a sync failed;
    /// `Forked`.
    pub fn wait_durable(&self, id: CommitId, wait: Wait) -> Result<()> {
        self.handle.pager.wait_durable(id, wait)
    }

    /// Waits until a commit newer than `after` is visible, whoever makes it, and returns the id of the newest one.
    ///
    /// # Errors
    /// `Busy`: the wait ended first; `Cancelled`: [`Db::interrupt`] ended the wait; `Poisoned`: a sync failed;
    /// `Forked`.
    pub fn wait_commit(&self, after: CommitId, wait: Wait) -> Result<CommitId> {
        self.handle
            .cancellable(|cancel| self.look_for_commit(after, wait, cancel))
    }

    fn look_for_commit(&self, after: CommitId, wait: Wait, cancel: &AtomicBool) -> Result<CommitId> {
        let pager = &self.handle.pager;
        let deadline = match wait {
            Wait::For(time) => Instant::now().checked_add(time),
            Wait::Try | Wait::Forever => None,
        };
        pager.check_fork()?;
        let mut nap = NAPS.0;
        loop {
            let newest = pager.newest().id;
            if newest > after {
                return Ok(newest);
            }
            if cancel.load(SeqCst) {
                return Err(Error::Cancelled);
            }
            if pager.is_poisoned() {
                return Err(Error::Poisoned);
            }
            if wait == Wait::Try || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Error::Busy("no newer commit yet; repeat, or wait for longer".into()));
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(NAPS.1);
        }
    }

    /// Returns which process has the write transaction open, or `None` if none has. It asks the system at the moment of
    /// the call who has the lock, so what it returns may be out of date when the caller looks at it.
    pub fn writer(&self) -> Option<Writer> {
        self.handle.pager.writer()
    }

    /// Returns every reader of the database, in all processes. The one with the oldest snapshot comes first.
    pub fn readers(&self) -> Vec<ReaderInfo> {
        self.handle.pager.readers()
    }
}
