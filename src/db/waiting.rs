//! Waiting for commits to become durable or visible, and knowing who holds old ones.

use super::{Db, ReaderInfo, Wait};
use crate::error::{Error, Result};
use crate::ids::CommitId;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// Shortest and longest nap between two looks at what other processes committed.
const NAPS: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(10));

impl Db {
    /// Waits until commit `id` is durable, syncing if nobody else does. `Wait::Try` only looks; with any other the call
    /// takes as long as the sync.
    ///
    /// # Errors
    /// `Busy` (not durable yet), `Invalid` (no such commit), `InDoubt`, `Poisoned`.
    pub fn wait_durable(&self, id: CommitId, wait: Wait) -> Result<()> {
        self.handle.pager.wait_durable(id, wait)
    }

    /// Waits until a commit newer than `after` is visible, whoever makes it; its number, or that of a later one.
    ///
    /// # Errors
    /// `Busy` (time over), `Cancelled` ([`Db::interrupt`]), `Poisoned`.
    pub fn wait_commit(&self, after: CommitId, wait: Wait) -> Result<CommitId> {
        let handle = &*self.handle;
        let deadline = match wait {
            Wait::For(time) => Instant::now().checked_add(time),
            Wait::Try | Wait::Forever => None,
        };
        if handle.waiting.fetch_add(1, SeqCst) == 0 {
            handle.cancel.store(false, SeqCst);
        }
        let mut nap = NAPS.0;
        let answer = loop {
            let newest = handle.pager.newest().id;
            if newest > after {
                break Ok(newest);
            }
            if handle.cancel.load(SeqCst) {
                break Err(Error::Cancelled);
            }
            if handle.pager.is_poisoned() {
                break Err(Error::Poisoned);
            }
            if wait == Wait::Try || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break Err(Error::Busy("no newer commit yet"));
            }
            std::thread::sleep(nap);
            nap = (nap * 2).min(NAPS.1);
        };
        handle.waiting.fetch_sub(1, SeqCst);
        answer
    }

    /// Every reader of the database, of all processes, the oldest snapshot first.
    pub fn readers(&self) -> Vec<ReaderInfo> {
        self.handle.pager.readers()
    }
}
