//! How many pages are dead, as the last writer of this process left it.
//!
//! The numbers belong to one commit. Who reads them takes no lock, so it compares a version before and after: the
//! version is odd while a writer changes them. Only the holder of the write lock does that, or who opens the file.

use crate::ids::CommitId;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// The numbers of dead pages of one commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DeadPages {
    /// The commit.
    pub commit: CommitId,
    /// The pages that nobody needs.
    pub free: u64,
    /// The pages that are still needed by a reader or an undurable commit.
    pub pending: u64,
    /// The pages that named snapshots keep.
    pub parked: u64,
}

/// The numbers that the last writer left.
#[derive(Debug, Default)]
pub(super) struct NotedDeadPages {
    version: AtomicU64,
    commit: AtomicU64,
    free: AtomicU64,
    pending: AtomicU64,
    parked: AtomicU64,
}

impl NotedDeadPages {
    /// Notes the numbers of a commit. No other thread notes any meanwhile.
    pub fn note(&self, dead: DeadPages) {
        self.version.fetch_add(1, SeqCst);
        self.commit.store(dead.commit.get(), SeqCst);
        self.free.store(dead.free, SeqCst);
        self.pending.store(dead.pending, SeqCst);
        self.parked.store(dead.parked, SeqCst);
        self.version.fetch_add(1, SeqCst);
    }

    /// Reads the numbers, and whatever `beside` reads at the same time: again if they change meanwhile. If they change
    /// each time, they are said to be of no commit.
    pub fn read<T: PartialEq>(&self, beside: impl Fn() -> T) -> (DeadPages, T) {
        let mut dead = DeadPages::default();
        let mut before = (self.version.load(SeqCst), beside());
        for _ in 0..LOOKS {
            dead = DeadPages {
                commit: CommitId::new(self.commit.load(SeqCst)),
                free: self.free.load(SeqCst),
                pending: self.pending.load(SeqCst),
                parked: self.parked.load(SeqCst),
            };
            let after = (self.version.load(SeqCst), beside());
            if after == before && after.0 % 2 == 0 {
                return (dead, after.1);
            }
            before = after;
        }
        dead.commit = CommitId::NONE;
        (dead, before.1)
    }
}

/// How often the numbers are read, at most.
const LOOKS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn the_numbers_are_of_one_commit() {
        let (noted, visible, done) = (NotedDeadPages::default(), AtomicU64::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 1..200_000 {
                    visible.store(n, SeqCst);
                    let commit = CommitId::new(n);
                    noted.note(DeadPages {
                        commit,
                        free: n,
                        pending: n,
                        parked: n,
                    });
                }
                done.store(true, SeqCst);
            });
            while !done.load(SeqCst) {
                let (dead, visible) = noted.read(|| visible.load(SeqCst));
                if dead.commit != CommitId::NONE {
                    assert_eq!((dead.free, dead.pending), (dead.commit.get(), dead.commit.get()));
                    assert!(dead.commit.get() <= visible, "of a commit that was not visible yet");
                }
            }
        });
        let (dead, visible) = noted.read(|| visible.load(SeqCst));
        assert_eq!(dead.commit.get(), visible);
    }
}
