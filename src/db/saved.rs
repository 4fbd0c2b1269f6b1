//! The savepoints that a write transaction has.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A state of a write transaction to which it can go back, made by
/// [`WriteTxn::savepoint_create`](super::WriteTxn::savepoint_create).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Savepoint(u64);

impl Savepoint {
    /// Returns a savepoint that no transaction of this process had before.
    pub(super) fn new() -> Savepoint {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Savepoint(NEXT.fetch_add(1, Relaxed))
    }

    /// Returns its number, which is not 0.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the savepoint with this number.
    pub const fn from_number(number: u64) -> Savepoint {
        Savepoint(number)
    }
}

/// A savepoint on the list of a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListedSavepoint {
    pub savepoint: Savepoint,
    /// Whether it is the beginning of a nested transaction, which alone may end it.
    pub nested: bool,
    /// How many readers of recorded commits the transaction held.
    pub held: usize,
    /// Whether the commit gave back what dropped snapshots have left, and whether nothing changed but where things lie.
    pub folds: bool,
    pub same: bool,
}
