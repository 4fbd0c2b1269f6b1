//! Models of waiting for another process, on the engine's `file/sleepers.rs`. The locks are the system's: they end with
//! their holder, and nobody is told. A wake-up that is lost is a deadlock here, because no sleep ends by itself unless
//! somebody was killed.
//!
//! | model       | threads                                         | what must hold                                       |
//! |-------------|-------------------------------------------------|------------------------------------------------------|
//! | [`writers`] | processes that write in turn, give up, are killed | whoever waits gets the lock; one at a time has it  |
//! | [`syncs`]   | processes that commit and wait for syncs, killed  | whoever waits sees its commit durable; one at a time |

use crate::file::futex;
use crate::file::sleepers::{Sleepers, WakeBits};
use crate::ids::CommitId;
use crate::util::atomic::AtomicU64;
use shuttle::rand::Rng;
use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// What is done wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Sleepers are looked for before the lock is released.
    WakeEarly,
    /// A waiter sleeps without looking once more.
    NoLook,
    /// A sync wakes one waiter, whichever it is.
    WakeAnyOne,
    /// A sync wakes those whose commits are durable, and nobody else.
    WakeDoneOnly,
}

const TIME: Duration = Duration::from_millis(20);

/// A lock of the system.
#[derive(Default)]
struct Lock(Mutex<Option<usize>>);

impl Lock {
    fn try_lock(&self, process: usize) -> bool {
        let mut holder = self.0.lock().expect("lock");
        let free = holder.is_none();
        if free {
            *holder = Some(process);
        }
        free
    }

    fn unlock(&self, process: usize) {
        let holder = self.0.lock().expect("lock").take();
        assert_eq!(holder, Some(process), "two had the lock");
    }

    fn is_taken(&self) -> bool {
        self.0.lock().expect("lock").is_some()
    }

    /// The process is killed: its lock ends, and later those who sleep look again.
    fn end(&self, process: usize) {
        self.0.lock().expect("lock").take_if(|holder| *holder == process);
        thread::yield_now();
        futex::end_of_time();
    }
}

/// Whether a process is killed here. Not where a fault is to be noticed: after a death nobody sleeps for long, and a
/// wake-up that is lost then does no harm.
fn dies(fault: Fault) -> bool {
    fault == Fault::None && one_in(12)
}

fn one_in(n: u32) -> bool {
    shuttle::rand::thread_rng().gen_range(0..n) == 0
}

#[derive(Default)]
struct World {
    lock: Lock,
    signal: AtomicU64,
    count: AtomicU64,
    tip: AtomicU64,
    durable: AtomicU64,
}

impl World {
    fn sleepers(&self) -> Sleepers<'_> {
        Sleepers::new(&self.signal, &self.count)
    }

    /// Does what `Pager::lock_among_processes` does. Returns whether this process has the lock.
    fn lock_write(&self, process: usize, fault: Fault) -> bool {
        if self.lock.try_lock(process) {
            return true;
        }
        loop {
            if one_in(6) {
                self.sleepers().pass_on();
                return false;
            }
            let is_taken = &mut || fault == Fault::NoLook || self.lock.is_taken();
            self.sleepers().sleep(WakeBits::ANY, TIME, is_taken);
            if dies(fault) {
                self.lock.end(process);
                return false;
            }
            if self.lock.try_lock(process) {
                return true;
            }
        }
    }

    fn unlock_write(&self, process: usize, fault: Fault) {
        if fault == Fault::WakeEarly {
            self.sleepers().wake_one();
        }
        self.lock.unlock(process);
        if dies(fault) {
            self.lock.end(process);
        } else if fault != Fault::WakeEarly {
            self.sleepers().wake_one();
        }
    }

    /// Does what `Pager::sync_for` does for a commit. Returns whether this process lived to see the end of it.
    fn sync(&self, process: usize, id: u64, fault: Fault) -> bool {
        let is_done = || self.durable.load(SeqCst) >= id;
        while !is_done() {
            if !self.lock.try_lock(process) {
                let is_taken = &mut || !is_done() && (fault == Fault::NoLook || self.lock.is_taken());
                self.sleepers().sleep(WakeBits::of(CommitId::new(id)), TIME, is_taken);
                if dies(fault) {
                    self.lock.end(process);
                    return false;
                }
                continue;
            }
            let (before, tip) = (self.durable.load(SeqCst), self.tip.load(SeqCst));
            let mut done = CommitId::NONE..CommitId::NONE;
            if !is_done() {
                thread::yield_now();
                if dies(fault) {
                    self.lock.end(process);
                    return false;
                }
                self.durable.fetch_max(tip, SeqCst);
                done = CommitId::new(before + 1)..CommitId::new(tip + 1);
            }
            self.lock.unlock(process);
            if dies(fault) {
                self.lock.end(process);
                return false;
            }
            match fault {
                Fault::WakeAnyOne => {
                    self.sleepers().wake_one();
                }
                Fault::WakeDoneOnly => self.wake_only(&done),
                _ => self.sleepers().wake_next_and(&done),
            }
        }
        true
    }

    /// Wakes those who wait for these commits and nobody else, which is wrong.
    fn wake_only(&self, ids: &Range<CommitId>) {
        self.signal.fetch_add(1, SeqCst);
        let ids = ids.start.get()..ids.end.get();
        let marks = ids.fold(0, |marks, id| marks | 1 << (id % 32));
        futex::wake(&self.signal, u32::MAX, marks);
    }
}

/// Runs so many processes to their end.
fn run(processes: usize, process: impl Fn(&World, usize) + Send + Sync + 'static) {
    let world = Arc::new(World::default());
    let process = Arc::new(process);
    let threads: Vec<_> = (0..processes)
        .map(|number| {
            let (world, process) = (world.clone(), process.clone());
            thread::spawn(move || process(&world, number))
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().expect("a process"));
    assert!(!world.lock.is_taken());
}

/// Processes that write in turn; some give up, some are killed.
pub fn writers(fault: Fault) {
    run(4, move |world, process| {
        for _ in 0..2 {
            if !world.lock_write(process, fault) {
                continue;
            }
            thread::yield_now();
            if dies(fault) {
                world.lock.end(process);
                return;
            }
            world.unlock_write(process, fault);
        }
    });
}

/// Processes that commit and wait until their commits are durable; some are killed.
pub fn syncs(fault: Fault) {
    run(4, move |world, process| {
        for _ in 0..2 {
            let id = world.tip.fetch_add(1, SeqCst) + 1;
            if !world.sync(process, id, fault) {
                return;
            }
            assert!(world.durable.load(SeqCst) >= id);
        }
    });
}
