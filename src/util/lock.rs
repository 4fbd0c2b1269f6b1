//! Locks that a panic does not poison, and that need no memory of their own.
//!
//! Those of the standard library are words that the kernel knows how to wait for: waiting allocates nothing, and works
//! in a thread whose thread-local storage is gone already. A call must be possible where memory is short, and in the
//! destructors that run while a thread ends.

use std::sync::{PoisonError, TryLockError};
use std::time::Duration;

/// A right to what a [`Mutex`] protects.
pub type MutexGuard<'a, T> = std::sync::MutexGuard<'a, T>;

/// A lock. What it protects is whole after a panic as well: those who hold it restore it in destructors.
#[derive(Debug, Default)]
pub struct Mutex<T>(std::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Returns a lock that is free.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(std::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what the lock protects, which nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Wakes threads that wait for what a [`Mutex`] protects to change.
#[derive(Debug, Default)]
pub struct Condvar(std::sync::Condvar);

impl Condvar {
    /// Returns one for which nobody waits.
    pub const fn new() -> Condvar {
        Condvar(std::sync::Condvar::new())
    }

    /// Gives the lock back, waits to be woken, and takes the lock again.
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.0.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    /// Does as [`Condvar::wait`], for at most `most`.
    pub fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, most: Duration) -> MutexGuard<'a, T> {
        let waited = self.0.wait_timeout(guard, most);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes one of those who wait.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }
}
