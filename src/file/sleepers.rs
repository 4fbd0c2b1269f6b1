//! Sleeping, in shared memory, until a lock that another process has may be free.
//!
//! The locks are the system's, so that they end with their holder. What is here only saves asking for them again and
//! again. Whoever finds a lock taken is counted, reads the *signal*, looks once more, and sleeps until the signal
//! changes. Whoever has released the lock looks for the count afterwards, changes the signal and wakes one who sleeps:
//! only one can get the lock, and the others would be woken in vain. So a wake-up is lost in none of these cases:
//!
//! - The sleeper was counted after the count was looked at: then the lock was free when the sleeper looked.
//! - The signal changed after the sleeper had read it: then the system does not let it sleep.
//! - The one who is woken finds the lock taken by somebody who came meanwhile: that one wakes the next.
//! - The one who is woken gives up waiting: it wakes another in its place ([`Sleepers::pass_on`]).
//! - The one who is woken, or should wake another, is killed: nobody can help that, so nobody sleeps for long.
//!
//! A sync is waited for in two ways: by those whose commits it makes durable, who need nothing more and are all woken,
//! and by those whose commits came too late, one of whom makes the next. [`WakeBits`] tell them apart.

use super::futex;
use crate::ids::CommitId;
use crate::util::atomic::AtomicU64;
use std::ops::Range;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

/// What a sleeper waits for, as a set of 32 bits. Only those are woken who have a bit in common with the waker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WakeBits(u32);

impl WakeBits {
    /// All bits: the sleeper wants to be woken whatever happened, and the waker wakes whoever is there.
    pub const ANY: WakeBits = WakeBits(u32::MAX);

    /// Returns the bit of those who wait for this commit to become durable.
    pub fn of(id: CommitId) -> WakeBits {
        match id < CommitId::MAX {
            true => WakeBits(1 << (id.get() % 32)),
            false => WakeBits::ANY,
        }
    }

    /// Returns the bits of those who wait for these commits.
    fn of_all(ids: &Range<CommitId>) -> WakeBits {
        let count = ids.end.checked_sub(ids.start).unwrap_or(0);
        match count {
            0 => WakeBits(0),
            1..32 => WakeBits((u32::MAX >> (32 - count)).rotate_left((ids.start.get() % 32) as u32)),
            _ => WakeBits::ANY,
        }
    }

    /// Returns all other bits.
    fn others(self) -> WakeBits {
        WakeBits(!self.0)
    }
}

/// Those who sleep until a lock may be free, in all processes.
#[derive(Debug, Clone, Copy)]
pub struct Sleepers<'a> {
    signal: &'a AtomicU64,
    count: &'a AtomicU64,
}

impl<'a> Sleepers<'a> {
    /// Returns those who sleep for this signal and are counted here. Both words belong to nothing else.
    pub fn new(signal: &'a AtomicU64, count: &'a AtomicU64) -> Sleepers<'a> {
        Sleepers { signal, count }
    }

    /// Sleeps until somebody wakes one of `bits`, for at most `most`. `is_taken` looks once more whether there is
    /// anything to sleep for.
    pub fn sleep(self, bits: WakeBits, most: Duration, is_taken: &mut dyn FnMut() -> bool) {
        self.count.fetch_add(1, SeqCst);
        let seen = self.signal.load(SeqCst);
        if is_taken() {
            futex::wait(self.signal, seen, bits.0, most);
        }
        self.count.fetch_sub(1, SeqCst);
    }

    /// Wakes one, after the lock was released. Returns whether anybody slept. The system knows that; who is counted
    /// may have been killed while it slept.
    pub fn wake_one(self) -> bool {
        self.wake(WakeBits::ANY, WakeBits(0))
    }

    /// Wakes one in place of the caller, who was perhaps woken to take the lock and does not take it.
    pub fn pass_on(self) {
        self.wake_one();
    }

    /// Wakes everybody, to look for themselves.
    pub fn wake_all(self) {
        self.wake(WakeBits(0), WakeBits::ANY);
    }

    /// Wakes, after the lock was released, first one of those who wait for other commits than these, so that the lock
    /// is soon in use again, and then all who wait for these.
    pub fn wake_next_and(self, done: &Range<CommitId>) {
        let done = WakeBits::of_all(done);
        self.wake(done.others(), done);
    }

    /// Wakes these, and returns whether anybody was woken.
    fn wake(self, one: WakeBits, all: WakeBits) -> bool {
        // An exchange, unlike a load, cannot be done before the lock is free for all to see.
        if self.count.fetch_add(0, SeqCst) == 0 {
            return false;
        }
        self.signal.fetch_add(1, SeqCst);
        let one = futex::wake(self.signal, 1, one.0);
        futex::wake(self.signal, u32::MAX, all.0) || one
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    const LONG: Duration = Duration::from_secs(60);

    fn ids(start: u64, end: u64) -> Range<CommitId> {
        CommitId::new(start)..CommitId::new(end)
    }

    #[test]
    fn bits_tell_commits_apart() {
        for (range, inside) in [
            (ids(5, 9), 5..9),
            (ids(30, 40), 30..40),
            (ids(64, 95), 64..95),
            (ids(7, 7), 0..0),
        ] {
            let bits = WakeBits::of_all(&range);
            for id in range.start.get().saturating_sub(1)..range.end.get() + 1 {
                let of = WakeBits::of(CommitId::new(id));
                assert_eq!(bits.0 & of.0 != 0, inside.contains(&id), "{id} in {range:?}");
                assert_eq!(
                    bits.others().0 & of.0 != 0,
                    !inside.contains(&id),
                    "{id} out of {range:?}"
                );
            }
        }
        assert_eq!(WakeBits::of_all(&ids(3, 35)), WakeBits::ANY);
        assert_eq!(WakeBits::of(CommitId::MAX), WakeBits::ANY);
        assert_eq!(WakeBits::of_all(&ids(0, CommitId::MAX.get())), WakeBits::ANY);
    }

    #[test]
    fn those_are_woken_who_are_meant() {
        let (signal, count, awake) = <(AtomicU64, AtomicU64, AtomicU64)>::default();
        let sleepers = Sleepers::new(&signal, &count);
        let until = |what: &dyn Fn() -> bool| {
            let begun = Instant::now();
            while !what() {
                assert!(begun.elapsed() < LONG / 2, "nobody woke up");
                std::thread::yield_now();
            }
        };
        std::thread::scope(|scope| {
            for id in 1..=6 {
                let awake = &awake;
                scope.spawn(move || {
                    sleepers.sleep(WakeBits::of(CommitId::new(id)), LONG, &mut || true);
                    awake.fetch_or(1 << id, SeqCst);
                });
            }
            // All are counted before any sleeps, and a signal before that would not be slept through.
            until(&|| count.load(SeqCst) == 6);
            std::thread::sleep(Duration::from_millis(50));
            sleepers.wake_next_and(&ids(1, 4));
            until(&|| count.load(SeqCst) == 2);
            let woken = awake.load(SeqCst);
            until(&|| awake.load(SeqCst).count_ones() == 4);
            assert_eq!(awake.load(SeqCst) & 0b1110, 0b1110, "{woken:b}");
            assert!(sleepers.wake_one());
            until(&|| count.load(SeqCst) == 1);
            sleepers.wake_all();
        });
        assert_eq!((count.load(SeqCst), awake.load(SeqCst)), (0, 0b111_1110));
        // Nobody is woken where nobody sleeps, and whoever finds the lock free does not sleep.
        let before = signal.load(SeqCst);
        sleepers.wake_all();
        // Somebody who was killed while it slept stays counted, and is not taken for one who sleeps.
        count.store(1, SeqCst);
        assert!(!sleepers.wake_one());
        count.store(0, SeqCst);
        let before = before + 1;
        let looked = AtomicBool::new(false);
        sleepers.sleep(WakeBits::ANY, LONG, &mut || looked.swap(true, SeqCst));
        assert_eq!((signal.load(SeqCst), looked.load(SeqCst)), (before, true));
    }
}
