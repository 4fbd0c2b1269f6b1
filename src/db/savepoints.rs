//! Savepoints of a write transaction, and transactions nested in it, which are savepoints with an end.

use super::saved::{ListedSavepoint, Savepoint};
use super::write::WriteTxn;
use crate::error::{Error, Result};
use std::ops::{Deref, DerefMut};

/// A transaction within a write transaction: what it writes becomes part of the outer transaction when it is committed,
/// and is undone when it is dropped. Begun by [`WriteTxn::nest`]; it is used as the [`WriteTxn`] in which it is nested,
/// and others may be nested in it.
///
/// If it fails, by a full disk for instance, the outer transaction goes on without it.
///
/// # Examples
///
/// ```
/// use kv::{Db, Options, PutMode, Reader, TableId, WriteOptions};
///
/// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// txn.put(TableId::MAIN, b"apple", b"red", PutMode::Set)?;
/// let mut nested = txn.nest()?;
/// nested.put(TableId::MAIN, b"apple", b"green", PutMode::Set)?;
/// drop(nested);
/// assert_eq!(txn.get(TableId::MAIN, b"apple")?, Some(&b"red"[..]));
/// let mut nested = txn.nest()?;
/// nested.put(TableId::MAIN, b"pear", b"green", PutMode::Set)?;
/// nested.commit()?;
/// assert_eq!(txn.get(TableId::MAIN, b"pear")?, Some(&b"green"[..]));
/// txn.commit()?;
/// # Ok::<(), kv::Error>(())
/// ```
#[derive(Debug)]
pub struct NestedTxn<'t> {
    txn: &'t mut WriteTxn,
    /// Where it began, unless it has ended.
    begun: Option<Savepoint>,
}

impl WriteTxn {
    /// Makes a savepoint of the transaction as it is, to which [`WriteTxn::savepoint_rollback`] goes back. There may be
    /// any number of savepoints. They are gone when the transaction is committed.
    ///
    /// A savepoint applies the edits that were collected, as counting does, and its cost grows with the number of
    /// tables that the transaction has used. If many pages were changed before it, it writes them to the file. What is
    /// changed after a savepoint takes a copy of the pages concerned, once for each savepoint. Pages that a savepoint
    /// needs stay in memory.
    ///
    /// # Errors
    /// `Invalid`: a value is being written in parts ([`WriteTxn::writer`]); those of [`WriteTxn::put`].
    pub fn savepoint_create(&mut self) -> Result<Savepoint> {
        self.save(false)
    }

    /// Goes back to a savepoint: everything that was written since is undone, and later savepoints are gone. The
    /// savepoint itself stays. Values that were being written in parts are given up.
    ///
    /// A transaction that has failed since is usable again, unless it was poisoned.
    ///
    /// # Errors
    /// `Invalid`: the transaction has no such savepoint, or it was made outside of the nested transaction in which it
    /// is used; `NoMemory`; `TxnFailed`: the transaction was poisoned; `Forked`: it is that of the parent process.
    /// Nothing was undone then.
    pub fn savepoint_rollback(&mut self, savepoint: Savepoint) -> Result<()> {
        self.pages.pager().check_fork()?;
        let at = self.find_savepoint(savepoint)?;
        self.draft.go_back(at as u32 + 1, &mut self.pages)?;
        self.restore(at);
        self.savepoints.truncate(at + 1);
        Ok(())
    }

    /// Forgets a savepoint and all later ones. What was written since stays written, and the memory that they took is
    /// free.
    ///
    /// # Errors
    /// `Invalid` as [`WriteTxn::savepoint_rollback`]; `TxnFailed`: the transaction has failed, and can only go back or
    /// be dropped.
    pub fn savepoint_release(&mut self, savepoint: Savepoint) -> Result<()> {
        self.ready()?;
        let at = self.find_savepoint(savepoint)?;
        self.forget_savepoints(at);
        Ok(())
    }

    /// Begins a transaction within this one. It costs what a savepoint does.
    ///
    /// # Errors
    /// Those of [`WriteTxn::savepoint_create`].
    pub fn nest(&mut self) -> Result<NestedTxn<'_>> {
        let begun = Some(self.begin_nested()?);
        Ok(NestedTxn { txn: self, begun })
    }

    /// Begins a nested transaction that [`WriteTxn::end_nested`] ends.
    ///
    /// # Errors
    /// Those of [`WriteTxn::savepoint_create`].
    #[doc(hidden)]
    pub fn begin_nested(&mut self) -> Result<Savepoint> {
        self.save(true)
    }

    /// Ends a nested transaction, and all that are nested in it: commits what they wrote into this transaction, or
    /// undoes it.
    ///
    /// # Errors
    /// `TxnFailed`: something has failed, and what was written since is undone although it was to be committed; as
    /// [`WriteTxn::savepoint_rollback`].
    #[doc(hidden)]
    pub fn end_nested(&mut self, begun: Savepoint, commit: bool) -> Result<()> {
        self.pages.pager().check_fork()?;
        let nested = |listed: &ListedSavepoint| listed.nested && listed.savepoint == begun;
        let at = self.savepoints.iter().rposition(nested).ok_or(NO_SAVEPOINT)?;
        if !commit {
            return self.undo_since(at);
        }
        match self.ready() {
            Ok(()) => {
                self.forget_savepoints(at);
                Ok(())
            }
            Err(error) => self.undo_since(at).and(Err(error)),
        }
    }

    fn save(&mut self, nested: bool) -> Result<Savepoint> {
        self.ready()?;
        if !self.unfinished.is_empty() {
            return Err(Error::Invalid(
                "a value is being written in parts; finish it or give it up before a savepoint or a nested transaction",
            ));
        }
        Error::or_room(&mut self.savepoints, 1, "a savepoint")?;
        self.draft.save(&mut self.pages)?;
        let savepoint = Savepoint::new();
        self.savepoints.push(ListedSavepoint {
            savepoint,
            nested,
            held: self.held.len(),
            folds: self.folds,
            same: self.same,
        });
        Ok(savepoint)
    }

    /// Returns where a savepoint is on the list, if the innermost transaction has it.
    fn find_savepoint(&self, savepoint: Savepoint) -> Result<usize> {
        let own = self.savepoints.iter().enumerate().rev();
        let mut own = own.take_while(|(_, listed)| !listed.nested);
        let found = own.find(|(_, listed)| listed.savepoint == savepoint);
        found.map(|(at, _)| at).ok_or(NO_SAVEPOINT)
    }

    /// Undoes everything since the savepoint at this place of the list, and takes it off.
    fn undo_since(&mut self, at: usize) -> Result<()> {
        self.draft.undo_since(at as u32 + 1, &mut self.pages)?;
        self.restore(at);
        self.savepoints.truncate(at);
        Ok(())
    }

    /// Makes what the draft does not keep what it was at the savepoint at this place of the list.
    fn restore(&mut self, at: usize) {
        self.reserved = None;
        self.unfinished.forget();
        let saved = self.savepoints[at];
        self.held.truncate(saved.held);
        (self.folds, self.same) = (saved.folds, saved.same);
    }

    /// Takes the savepoint at this place of the list off, and later ones.
    fn forget_savepoints(&mut self, at: usize) {
        self.savepoints.truncate(at);
        self.draft.forget_savepoint(at as u32 + 1, &mut self.pages);
    }
}

const NO_SAVEPOINT: Error = Error::Invalid(
    "the transaction has no such savepoint: it was released, it is later than one gone back to, or it was made outside of \
     this nested transaction",
);

impl NestedTxn<'_> {
    /// Ends the nested transaction, and makes what it wrote part of the outer one.
    ///
    /// # Errors
    /// `TxnFailed`: an earlier error has made it unusable. What it wrote is undone then, and the outer transaction goes
    /// on.
    pub fn commit(mut self) -> Result<()> {
        self.end(true)
    }

    /// Ends the nested transaction, and undoes what it wrote, as dropping it does.
    ///
    /// # Errors
    /// `TxnFailed`: the transaction was poisoned; `Forked`: it is that of the parent process.
    pub fn abort(mut self) -> Result<()> {
        self.end(false)
    }

    fn end(&mut self, commit: bool) -> Result<()> {
        match self.begun.take() {
            Some(begun) => self.txn.end_nested(begun, commit),
            None => Ok(()),
        }
    }
}

impl Drop for NestedTxn<'_> {
    fn drop(&mut self) {
        // If that fails, so do the next calls of the outer transaction.
        let _ = self.end(false);
    }
}

impl Deref for NestedTxn<'_> {
    type Target = WriteTxn;

    fn deref(&self) -> &WriteTxn {
        self.txn
    }
}

impl DerefMut for NestedTxn<'_> {
    fn deref_mut(&mut self) -> &mut WriteTxn {
        self.txn
    }
}
