//! Who syncs: one thread of the process at a time, for all that wait.
//!
//! After a sync, the thread that made it gives the turn to the first waiter whose commit came too late for it, and
//! only then wakes those whose commits are durable, so that the disk is at work again while they wake up. Each waiter
//! waits for a word of its own, and no lock is passed from one to the next. Nothing here asks the standard library
//! which thread this is: a thread that ends may still commit in a destructor, when its thread-local storage is gone.

use crate::ids::CommitId;
use crate::util::lock::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Instant;

/// Why a waiter is woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// It has got the turn.
    Yours,
    /// Its commit is durable, or a sync failed, so it must look.
    Look,
}

/// The last wait of a thread of this process for the right to sync, which was in vain.
#[derive(Debug, Clone, Copy)]
pub(in crate::pager) struct WaitInVain {
    /// What was durable all the while.
    pub durable: CommitId,
    pub since: Instant,
    pub until: Instant,
}

/// The sync turn of a process, and those who wait for it.
#[derive(Debug, Default)]
pub(in crate::pager) struct SyncTurns(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    taken: bool,
    waiting: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    id: CommitId,
    word: Arc<Word>,
}

/// What one waiter waits for.
#[derive(Debug, Default)]
struct Word {
    woken: Mutex<Option<Wake>>,
    changed: Condvar,
}

impl Word {
    fn wake(&self, why: Wake) {
        *self.woken.lock() = Some(why);
        self.changed.notify_one();
    }

    fn wait(&self) -> Wake {
        let mut woken = self.woken.lock();
        loop {
            match *woken {
                Some(why) => return why,
                None => woken = self.changed.wait(woken),
            }
        }
    }
}

/// The sync turn. Dropping it passes it on.
#[derive(Debug)]
pub(in crate::pager) struct SyncTurn<'a> {
    turns: &'a SyncTurns,
    /// Waiters for commits up to this one need not wait longer. Unless it is set, all waiters are woken to look for
    /// themselves.
    pub covered: CommitId,
}

impl SyncTurns {
    /// Waits for the turn. Returns `None` if another thread's turn made commit `id` durable or failed, so that the
    /// caller must look.
    pub fn take(&self, id: CommitId) -> Option<SyncTurn<'_>> {
        let turn = || SyncTurn {
            turns: self,
            covered: CommitId::MAX,
        };
        let word = {
            let mut queue = self.0.lock();
            if !queue.taken {
                queue.taken = true;
                return Some(turn());
            }
            let word = Arc::<Word>::default();
            let waiter = word.clone();
            queue.waiting.push(Waiter { id, word: waiter });
            word
        };
        match word.wait() {
            Wake::Yours => Some(turn()),
            Wake::Look => None,
        }
    }
}

impl Drop for SyncTurn<'_> {
    fn drop(&mut self) {
        let mut queue = self.turns.0.lock();
        let waiting = std::mem::take(&mut queue.waiting);
        let (covered, mut late): (Vec<Waiter>, Vec<Waiter>) = waiting.into_iter().partition(|w| w.id <= self.covered);
        queue.taken = !late.is_empty();
        let next = (!late.is_empty()).then(|| late.remove(0));
        queue.waiting = late;
        drop(queue);
        next.iter().for_each(|w| w.word.wake(Wake::Yours));
        covered.iter().for_each(|w| w.word.wake(Wake::Look));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use std::thread;

    #[test]
    fn everybody_is_served_by_few_turns() {
        let (turns, made, durable, taken) = <(SyncTurns, AtomicU64, AtomicU64, AtomicU64)>::default();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let id = made.fetch_add(1, SeqCst) + 1;
                        while durable.load(SeqCst) < id {
                            let Some(mut turn) = turns.take(CommitId::new(id)) else {
                                continue;
                            };
                            if durable.load(SeqCst) >= id {
                                turn.covered = CommitId::new(durable.load(SeqCst));
                                break;
                            }
                            let tip = made.load(SeqCst);
                            thread::yield_now();
                            taken.fetch_add(1, SeqCst);
                            assert!(durable.swap(tip, SeqCst) < tip, "two had the turn");
                            turn.covered = CommitId::new(tip);
                        }
                    }
                });
            }
        });
        assert_eq!(durable.load(SeqCst), 4000);
        assert!(taken.load(SeqCst) <= 4000);
        assert!(!turns.0.lock().taken);
    }

    #[test]
    fn a_failed_turn_wakes_all() {
        let turns = SyncTurns::default();
        let turn = turns.take(CommitId::new(1));
        thread::scope(|scope| {
            for id in 2..6 {
                let turns = &turns;
                scope.spawn(move || assert!(turns.take(CommitId::new(id)).is_none()));
            }
            while turns.0.lock().waiting.len() < 4 {
                thread::yield_now();
            }
            drop(turn);
        });
        assert!(!turns.0.lock().taken);
    }
}
