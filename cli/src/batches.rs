//! Writing in one transaction or in several, each of which takes so many entries.

use crate::database::Database;
use crate::exit::{About, Outcome};
use crate::session::Work;
use kv_engine::WriteTxn;
use std::num::NonZeroU64;

/// The transactions of a command that writes much.
pub struct Batches<'d> {
    pub database: &'d Database,
    /// The transaction; there is none between two batches.
    txn: Option<Work>,
    /// How many entries a transaction takes; all of them if `None`.
    most: Option<NonZeroU64>,
    entries: u64,
}

impl<'d> Batches<'d> {
    pub fn new(database: &'d Database, most: Option<NonZeroU64>) -> Batches<'d> {
        Batches {
            database,
            txn: None,
            most,
            entries: 0,
        }
    }

    /// Returns the transaction, and begins it if there is none.
    pub fn txn(&mut self) -> Outcome<&mut WriteTxn> {
        if self.txn.is_none() {
            self.txn = Some(self.database.write()?);
        }
        Ok(self.txn.as_mut().expect("it was just begun"))
    }

    /// Counts an entry that was put, and commits if it is the last one of its batch.
    pub fn count_entry(&mut self) -> Outcome<()> {
        self.entries += 1;
        match self.most.is_some_and(|most| self.entries >= most.get()) {
            true => self.commit(),
            false => Ok(()),
        }
    }

    pub fn commit(&mut self) -> Outcome<()> {
        self.entries = 0;
        match self.txn.take() {
            Some(txn) => txn.commit().about(&self.database.path).map(drop),
            None => Ok(()),
        }
    }
}
