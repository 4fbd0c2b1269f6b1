//! Those who have the same database open: the memory they share, and how they exclude each other.
//!
//! The pager knows its peers through [`Peers`] only. [`Alone`] is the one that has none: a database in memory, or a file
//! that nobody else may open. [`super::members::Member`] is a process among others.

use super::map::Atomics;
use crate::error::Result;
use std::sync::atomic::AtomicU64;
use std::sync::Arc;
use std::time::Duration;

/// Words at the head of the shared memory that are not the pager's.
pub const HEADER: usize = 64;
/// Members there can be: each has an index below.
pub const PROCESSES: usize = 1024;

/// Those who share a database, as one of them sees it. Exclusion is between processes: threads of one exclude each other
/// before they ask here.
pub trait Peers: Send + Sync {
    /// The shared words; all zero behind [`HEADER`] when `first`. The same memory as long as this lives.
    fn memory(&self) -> Arc<Atomics<AtomicU64>>;

    /// Whether this one opened first: it recovers, fills the memory and admits the others.
    fn first(&self) -> bool;

    /// Lets others in; the memory is filled.
    ///
    /// # Errors
    /// `NoLocks`, `Io`, `NoSpace`, `Access`.
    fn admit(&self) -> Result<()>;

    /// This one's index.
    fn index(&self) -> u16;

    /// Takes the right to write; false: another process has it.
    ///
    /// # Errors
    /// `NoLocks`.
    fn try_lock_write(&self) -> Result<bool>;

    /// Waits until the right to write may be free, or about `most`; `look` is asked once after it is known that somebody
    /// else has it, and false makes it return at once.
    fn wait_write(&self, most: Duration, look: &mut dyn FnMut() -> bool);

    /// Gives the right to write to whoever asks next.
    fn unlock_write(&self);

    /// Makes waiters of all processes look again.
    fn wake(&self);

    /// Takes the right to sync, waiting for it.
    ///
    /// # Errors
    /// `NoLocks`.
    fn lock_sync(&self) -> Result<()>;

    /// Gives the right to sync back.
    fn unlock_sync(&self);

    /// Runs `clear` if the member `index` is dead, while nobody can take its index.
    ///
    /// # Errors
    /// `NoLocks`.
    fn reap(&self, index: u16, clear: &mut dyn FnMut()) -> Result<()>;

    /// Whether nobody else has it open; if so, nobody can open it until this one is gone.
    fn is_last(&self) -> bool;
}

/// No peers.
#[derive(Debug)]
pub struct Alone(Arc<Atomics<AtomicU64>>);

impl Alone {
    /// With so many words.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn new(words: usize) -> Result<Alone> {
        Ok(Alone(Arc::new(Atomics::new(words as u64)?)))
    }
}

impl Peers for Alone {
    fn memory(&self) -> Arc<Atomics<AtomicU64>> {
        self.0.clone()
    }

    fn first(&self) -> bool {
        true
    }

    fn admit(&self) -> Result<()> {
        Ok(())
    }

    fn index(&self) -> u16 {
        0
    }

    fn try_lock_write(&self) -> Result<bool> {
        Ok(true)
    }

    fn wait_write(&self, _: Duration, _: &mut dyn FnMut() -> bool) {}

    fn unlock_write(&self) {}

    fn wake(&self) {}

    fn lock_sync(&self) -> Result<()> {
        Ok(())
    }

    fn unlock_sync(&self) {}

    fn reap(&self, _: u16, _: &mut dyn FnMut()) -> Result<()> {
        Ok(())
    }

    fn is_last(&self) -> bool {
        true
    }
}
