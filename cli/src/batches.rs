//! Writing in one transaction or in several, each of which takes so many entries.

use crate::database::Database;
use crate::exit::{About, Failure, Outcome};
use crate::interrupt;
use crate::session::{State, Work};
use kv_engine::{Error, Range, Reader, TableId, WriteTxn};
use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// The transactions of a command that writes much.
pub struct Batches<'d> {
    pub database: &'d Database,
    /// The transaction; there is none between two batches.
    txn: Option<Work>,
    /// How many entries a transaction takes; all of them if `None`.
    most: Option<NonZeroU64>,
    entries: u64,
    /// How many entries the tables had before this transaction put any, of those that it has put some into.
    before: BTreeMap<TableId, u64>,
    /// By how many entries the tables have grown in the transactions that have ended.
    pub added: u64,
    /// How many entries were committed.
    committed: u64,
    /// Whether a commit has failed in a way that leaves open whether it survives.
    is_in_doubt: bool,
}

impl<'d> Batches<'d> {
    pub fn new(database: &'d Database, most: Option<NonZeroU64>) -> Batches<'d> {
        Batches {
            database,
            txn: None,
            most,
            entries: 0,
            before: BTreeMap::new(),
            added: 0,
            committed: 0,
            is_in_doubt: false,
        }
    }

    /// Returns the transaction, and begins it if there is none.
    pub fn txn(&mut self) -> Outcome<&mut WriteTxn> {
        if self.txn.is_none() {
            self.txn = Some(self.database.write()?);
        }
        Ok(self.txn.as_mut().expect("it was just begun"))
    }

    /// Returns the transaction to put an entry into this table. By how many entries the table grows is added to
    /// [`Batches::added`].
    pub fn txn_to_put(&mut self, table: TableId) -> Outcome<&mut WriteTxn> {
        if !self.before.contains_key(&table) {
            let count = self.count(table)?;
            self.before.insert(table, count);
        }
        self.txn()
    }

    /// Returns how many entries a table has. The root of its tree says that.
    pub fn count(&mut self, table: TableId) -> Outcome<u64> {
        let path = &self.database.path;
        self.txn()?.count(table, &Range::default()).about(path)
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
        interrupt::check()?;
        for (table, before) in std::mem::take(&mut self.before) {
            self.added += self.count(table)?.saturating_sub(before);
        }
        let entries = std::mem::take(&mut self.entries);
        let Some(txn) = self.txn.take() else { return Ok(()) };
        let committed = txn.commit();
        self.is_in_doubt = matches!(committed, Err(Error::InDoubt(_)));
        committed.about(&self.database.path)?;
        // The transaction of a shell is not committed yet, and a failure undoes all of it.
        let session = self.database.session.as_ref();
        if session.is_none_or(|session| session.state() != State::Open) {
            self.committed += entries;
        }
        Ok(())
    }

    /// Adds to the failure that ends the command what stays of its entries. `done` is what was done with each.
    pub fn ended_by(&self, failure: Failure, done: &str) -> Failure {
        match self.committed {
            // The failure says that it is not known.
            0 if self.is_in_doubt => failure,
            0 => failure.advise(format_args!("nothing was {done}")),
            1 => failure.advise("1 entry before it was committed"),
            count => failure.advise(format_args!("{count} entries before it were committed")),
        }
    }
}
