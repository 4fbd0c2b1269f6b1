//! Locks that a panic does not poison, and that need no memory of their own.
//!
//! Those of the standard library are words that the kernel knows how to wait for: waiting allocates nothing, and works
//! in a thread whose thread-local storage is gone already. A call must be possible where memory is short, and in the
//! destructors that run while a thread ends.
//!
//! The thread sanitizer does not see into the standard library, and would take what a lock protects for shared without
//! one. With `--cfg kv_thread_sanitizer` every lock therefore has a word of its own that orders its holders once more.

use order::{Order, Word};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

/// A right to what a [`Mutex`] protects.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    // Dropped first, while the lock is still held.
    order: Order<'a>,
    inner: std::sync::MutexGuard<'a, T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// A lock. What it protects is whole after a panic as well: those who hold it restore it in destructors.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    word: Word,
    inner: std::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// Returns a lock that is free.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex {
            word: Word::new(),
            inner: std::sync::Mutex::new(value),
        }
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard {
            order: self.word.follow(),
            inner,
        }
    }

    /// Returns what the lock protects, which nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let inner = match self.inner.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let order = self.word.follow();
        Some(MutexGuard { order, inner })
    }
}

/// Wakes threads that wait for what a [`Mutex`] protects to change. Who wakes one must have made the change with the
/// lock held.
#[derive(Debug, Default)]
pub struct Condvar {
    inner: std::sync::Condvar,
    /// How many wait. To wake is a system call even if nobody does, and most writers are alone. Threads are counted
    /// with the lock held, so whoever does not see the change yet is seen by the one who made it.
    waiting: AtomicUsize,
}

impl Condvar {
    /// Returns one for which nobody waits.
    pub const fn new() -> Condvar {
        Condvar {
            inner: std::sync::Condvar::new(),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Gives the lock back, waits to be woken, and takes the lock again.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let MutexGuard { order, inner } = guard;
        let word = order.end();
        self.waiting.fetch_add(1, Relaxed);
        let inner = self.inner.wait(inner).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Relaxed);
        let order = word.follow();
        MutexGuard { order, inner }
    }

    /// Does as [`Condvar::wait`], for at most `most`.
    pub fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, most: Duration) -> MutexGuard<'a, T> {
        let MutexGuard { order, inner } = guard;
        let word = order.end();
        self.waiting.fetch_add(1, Relaxed);
        let waited = self.inner.wait_timeout(inner, most);
        let inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        self.waiting.fetch_sub(1, Relaxed);
        let order = word.follow();
        MutexGuard { order, inner }
    }

    /// Wakes one of those who wait.
    pub fn notify_one(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.inner.notify_one();
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.inner.notify_all();
    }
}

#[cfg(not(kv_thread_sanitizer))]
mod order {
    /// Nothing: the lock orders its holders.
    #[derive(Debug, Default)]
    pub struct Word;

    /// The turn of one holder.
    #[derive(Debug)]
    pub struct Order<'a>(&'a Word);

    impl Word {
        pub const fn new() -> Word {
            Word
        }

        #[inline(always)]
        pub fn follow(&self) -> Order<'_> {
            Order(self)
        }
    }

    impl<'a> Order<'a> {
        #[inline(always)]
        pub fn end(self) -> &'a Word {
            self.0
        }
    }
}

#[cfg(kv_thread_sanitizer)]
mod order {
    use std::sync::atomic::{AtomicU32, Ordering};

    /// The word by which the sanitizer sees that one holder comes after the other.
    #[derive(Debug, Default)]
    pub struct Word(AtomicU32);

    /// The turn of one holder, which ends when this is dropped.
    #[derive(Debug)]
    pub struct Order<'a>(&'a Word);

    impl Word {
        pub const fn new() -> Word {
            Word(AtomicU32::new(0))
        }

        pub fn follow(&self) -> Order<'_> {
            self.0.load(Ordering::Acquire);
            Order(self)
        }
    }

    impl<'a> Order<'a> {
        pub fn end(self) -> &'a Word {
            self.0
        }
    }

    impl Drop for Order<'_> {
        fn drop(&mut self) {
            self.0 .0.fetch_add(1, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::SeqCst;
    use std::thread;

    #[test]
    fn who_waits_is_woken() {
        const TURNS: usize = 20_000;
        let (turn, changed) = (Mutex::new(0), Condvar::new());
        thread::scope(|scope| {
            for mine in 0..2 {
                let (turn, changed) = (&turn, &changed);
                scope.spawn(move || {
                    for i in 0..TURNS {
                        let mut now = turn.lock();
                        while *now % 2 != mine {
                            // Neither wait ends by itself in time.
                            now = match i % 2 {
                                0 => changed.wait(now),
                                _ => changed.wait_for(now, Duration::MAX),
                            };
                        }
                        *now += 1;
                        drop(now);
                        changed.notify_one();
                    }
                });
            }
        });
        assert_eq!((*turn.lock(), changed.waiting.load(SeqCst)), (2 * TURNS, 0));
    }
}
