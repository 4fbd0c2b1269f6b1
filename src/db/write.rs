//! The write transaction consists of a draft and of the write lock with which it will be committed. This module has its
//! beginning, its end and its reading; `entries`, `tables` and `value_writer` have its other calls by subject.

use super::reader::{Reader, Trees};
use super::saved::ListedSavepoint;
use crate::catalogue;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, TableId};
use crate::page::leaf::Stored;
use crate::pager::{Durability, PageWriter, Shrink, Snapshot};
use crate::tree::read::cursor::TreeCursor;
use crate::txn::{
    know_all_space, CommitMode, Draft, Entry, Pages, RelocateFrom, Relocated, TableIndex, TakenEntry, TreeRef,
    UnfinishedValues, WriteStat,
};

/// The write transaction, which begins with [`Db::begin_write`](super::Db::begin_write). There is one at a time in all
/// processes.
///
/// A write transaction sees the newest commit and everything that it has written itself, and nobody else sees any of
/// its writes before [`WriteTxn::commit`]. Dropping it without a commit undoes everything. It is `Send`: it may move
/// between threads.
///
/// Slices that it returns are valid until its next write, which the borrow checker enforces.
///
/// After `Io`, `NoSpace`, `NoMemory`, `Limit` or `Corrupt` the transaction has failed: every further call returns
/// `TxnFailed`, and the transaction can only go back to a savepoint or be dropped.
///
/// # Examples
///
/// ```
/// use kv::{Db, Options, PutMode, Reader, TableId, WriteOptions};
///
/// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// txn.put(TableId::MAIN, b"apple", b"red", PutMode::Set)?;
/// let fruit = txn.table_create(b"fruit", false)?;
/// txn.put(fruit, b"pear", b"green", PutMode::NoOverwrite)?;
/// assert_eq!(txn.get(fruit, b"pear")?, Some(&b"green"[..]));
/// assert!(txn.delete(TableId::MAIN, b"apple")?);
/// txn.commit()?;
/// # Ok::<(), kv::Error>(())
/// ```
pub struct WriteTxn {
    pub(super) draft: Draft,
    /// The write lock, with which pages are taken and written.
    pub(super) pages: PageWriter,
    durability: Durability,
    /// The entry that `reserve` has returned, and whose value the caller may still be filling.
    pub(super) reserved: Option<Reserved>,
    /// The entry that [`WriteTxn::take_first`] took last.
    pub(super) taken: TakenEntry,
    pub(super) unfinished: UnfinishedValues,
    /// The savepoints, as many as the draft has.
    pub(super) savepoints: Vec<ListedSavepoint>,
    /// Readers of commits of which snapshots are recorded. They stay until the snapshots hold these commits (I-21).
    pub(super) held: Vec<Snapshot>,
    /// Whether the commit gives back what dropped snapshots have left.
    pub(super) folds: bool,
    /// Whether the transaction changes nothing but where things lie.
    pub(super) same: bool,
}

/// An entry whose value the caller fills in place.
pub(super) struct Reserved {
    pub at: TableIndex,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    /// Whether the entry is appended, so that its key is greater than every other of the table.
    pub is_greatest: bool,
}

impl std::fmt::Debug for WriteTxn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteTxn")
            .field("base", &self.draft.base().id)
            .field("stat", &self.draft.stat())
            .finish_non_exhaustive()
    }
}

impl WriteTxn {
    pub(super) fn new(pages: PageWriter, budget: usize, durability: Durability) -> WriteTxn {
        WriteTxn {
            draft: Draft::new(pages.pager().clone(), pages.tip(), budget),
            pages,
            durability,
            reserved: None,
            taken: TakenEntry::default(),
            unfinished: UnfinishedValues::default(),
            savepoints: Vec::new(),
            held: Vec::new(),
            folds: false,
            same: false,
        }
    }

    /// Must be called at the start of every call: it refuses a failed transaction, and puts the entry that was
    /// reserved.
    #[inline(always)]
    pub(super) fn ready(&mut self) -> Result<()> {
        if self.draft.is_failed() || self.reserved.is_some() {
            return self.make_ready();
        }
        Ok(())
    }

    #[cold]
    fn make_ready(&mut self) -> Result<()> {
        self.draft.check_usable()?;
        if let Some(reserved) = self.reserved.take() {
            let entry = Entry {
                key: &reserved.key,
                value: &reserved.value,
                is_greatest: reserved.is_greatest,
            };
            self.draft.put(reserved.at, entry, &mut self.pages)?;
            // The value that the caller has filled may be what this call is given.
            self.draft.pin();
            self.draft.pin_copy(reserved.value.into_boxed_slice());
        }
        Ok(())
    }

    /// Checks whether the transaction can go on.
    ///
    /// # Errors
    /// `TxnFailed`: an earlier error has made the transaction unusable.
    #[inline(always)]
    pub fn check_usable(&self) -> Result<()> {
        self.draft.check_usable()
    }

    /// Returns whether there are bytes at all for which [`WriteTxn::may_free`] can say yes.
    #[doc(hidden)]
    #[inline(always)]
    pub fn has_returned(&self) -> bool {
        self.reserved.is_some() || self.draft.has_pinned()
    }

    /// Returns whether a write of this transaction may free these bytes, or change them, before it ends. Whoever was
    /// given them as a plain pointer, which the borrow checker does not watch, must copy them for a call that writes.
    #[doc(hidden)]
    #[inline(always)]
    pub fn may_free(&self, bytes: &[u8]) -> bool {
        let reserved = self.reserved.as_ref();
        let reserved = reserved.is_some_and(|r| r.value.as_ptr_range().contains(&bytes.as_ptr()));
        reserved || self.draft.may_free(bytes)
    }

    /// Begins several writes of which all may use bytes that the transaction has returned before: these stay valid
    /// until [`WriteTxn::release_pinned`].
    #[doc(hidden)]
    pub fn hold_pinned(&mut self) {
        self.draft.hold_pinned();
    }

    /// Ends what [`WriteTxn::hold_pinned`] has begun.
    #[doc(hidden)]
    pub fn release_pinned(&mut self) {
        self.draft.release_pinned();
    }

    /// Makes the transaction unusable. This is for callers who catch panics, because nobody knows what a panic has left
    /// half-done.
    pub fn poison(&mut self) {
        self.draft.poison();
    }

    /// Opens a table that the user may change.
    #[inline(always)]
    pub(super) fn open_to_write(&mut self, table: TableId) -> Result<TableIndex> {
        self.ready()?;
        if table == TableId::SNAPSHOTS {
            return Err(Error::ReadOnly(
                "the list of snapshots changes by making, renaming and dropping them (kv_snapshot_create and the like)",
            ));
        }
        if table == TableId::NAMES {
            return Err(Error::ReadOnly(
                "the list of tables changes by creating, renaming and dropping them (kv_table_create and the like)",
            ));
        }
        let at = self.draft.open(table)?;
        self.draft.check_changeable(at)?;
        Ok(at)
    }

    /// Returns the table if its tree says all about it, and nothing needs to be done before it is read.
    #[inline(always)]
    pub(super) fn at_hand(&self, table: TableId) -> Option<TableIndex> {
        match self.reserved {
            None => self.draft.at_hand(table),
            Some(_) => None,
        }
    }

    /// Returns the table if it is at hand, may be changed, and the cursor stands on an entry of its tree as it is now.
    #[inline(always)]
    pub(super) fn at_hand_of(&self, table: TableId, cursor: &TreeCursor) -> Option<TableIndex> {
        let at = self.at_hand(table)?;
        (self.draft.is_known_to_be_changeable(at) && cursor.stands(self.draft.version())).then_some(at)
    }

    /// Returns the pages that the transaction sees, for an answer that is pinned, and the version of its trees.
    #[inline(always)]
    pub(super) fn pages_to_return(&mut self) -> (Pages<'_>, u64) {
        self.draft.pin();
        (self.draft.pages(), self.draft.version())
    }

    /// Moves about `budget` pages of the newest commit that lie at or behind the page `frontier` to free pages before
    /// it, from where `at` says on. From now on, the transaction takes pages only there, as long as any are free.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `NoSpace`, `NoMemory`: the transaction has failed.
    #[doc(hidden)]
    pub fn relocate(&mut self, frontier: PageNo, at: &mut RelocateFrom, budget: u64) -> Result<Relocated> {
        self.ready()?;
        self.same = true;
        self.draft.relocate(frontier, at, budget, &mut self.pages)
    }

    /// Returns how many values are being written in parts.
    #[doc(hidden)]
    pub fn begun_values(&self) -> usize {
        self.unfinished.len()
    }

    /// Returns the commit on which the transaction builds.
    #[doc(hidden)]
    pub fn base(&self) -> CommitId {
        self.draft.base().id
    }

    /// Returns what the transaction keeps in memory.
    pub fn stat(&self) -> WriteStat {
        self.draft.stat()
    }

    /// Commits the transaction and returns the id of the commit. A transaction that changed nothing makes no commit,
    /// and the id of the commit that it builds on is returned.
    ///
    /// If the commit is full ([`Durability::Full`]), the call returns when it is durable; if it is lazy, when it is
    /// visible to others.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Corrupt`, `Limit`, `NoMemory`: nothing was committed, and the database is as before.
    /// `TxnFailed`: an earlier error had made the transaction unusable. `InDoubt`: the commit may or may not survive;
    /// `Poisoned`: a sync failed. After either of these two, every handle of the database must be closed. `Forked`: the
    /// transaction is that of the parent process.
    pub fn commit(self) -> Result<CommitId> {
        self.finish(true)
    }

    /// Commits without waiting, and returns the id to give to [`Db::wait_durable`](super::Db::wait_durable). A full
    /// commit is visible to nobody before it is durable; a lazy one is visible at once, as always.
    ///
    /// # Errors
    /// Those of [`WriteTxn::commit`].
    pub fn commit_async(self) -> Result<CommitId> {
        self.finish(false)
    }

    /// Makes this transaction one that leaves out the free pages at the end of the file, or lets records come free that
    /// lie there. Returns whether there is anything of that kind.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `NoMemory`: what is free cannot be known.
    pub(crate) fn leave_out_end(&mut self) -> Result<bool> {
        know_all_space(&mut self.pages)?;
        if self.pages.free_at_end() == 0 && !self.pages.has_records_at_end() {
            return Ok(false);
        }
        self.pages.set_shrink(Shrink::Always);
        self.draft.fold_only(&mut self.pages)?;
        (self.folds, self.same) = (true, true);
        Ok(true)
    }

    /// Returns how many pages the file has at the commit on which this transaction builds.
    pub(crate) fn file_pages(&self) -> u64 {
        self.draft.base().pages
    }

    /// Returns where the file could end if what lives behind that was moved, but not before `least`, with `spare` free
    /// pages left.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `NoMemory`: what is free cannot be known.
    pub(crate) fn possible_end(&mut self, least: PageNo, spare: u64) -> Result<PageNo> {
        know_all_space(&mut self.pages)?;
        self.pages.possible_end(least, spare)
    }

    fn finish(mut self, wait: bool) -> Result<CommitId> {
        // This comes before anything is read: what a child finds in its parent's pages would look like damage.
        self.pages.pager().check_fork()?;
        self.ready()?;
        if self.savepoints.iter().any(|listed| listed.nested) {
            return Err(Error::Invalid(
                "a nested transaction was neither committed nor undone, so the transaction was aborted",
            ));
        }
        let mode = CommitMode {
            durability: self.durability,
            wait,
            folds: self.folds,
            same: self.same,
        };
        let committed = self.draft.commit(self.pages, self.unfinished, mode);
        drop(self.held);
        committed
    }
}

impl Trees for WriteTxn {
    fn flush(&mut self, table: TableId) -> Result<()> {
        self.ready()?;
        let at = self.draft.open(table)?;
        self.draft.flush(at, &mut self.pages)?;
        self.draft.pin();
        Ok(())
    }

    fn tree_now(&self, table: TableId) -> Result<TreeRef<'_>> {
        self.draft.tree_now(table)
    }

    fn stored(&mut self, table: TableId, key: &[u8]) -> Result<Option<Stored<'_>>> {
        self.ready()?;
        let at = self.draft.open(table)?;
        let pending = self.draft.pending(at, key)?;
        self.draft.stored(at, pending, key)
    }

    fn resolve<'a>(&'a self, stored: Stored<'a>) -> Result<&'a [u8]> {
        self.draft.resolve(stored)
    }

    fn pages(&self) -> Pages<'_> {
        self.draft.pages()
    }

    fn failed(&self, table: TableId, error: Error) -> Error {
        self.draft.fail(error.in_table(table))
    }
}

impl Reader for WriteTxn {
    fn id(&self) -> CommitId {
        self.draft.base().id
    }

    fn table(&mut self, name: &[u8]) -> Result<TableId> {
        match Reader::get(self, TableId::NAMES, name)? {
            Some(number) => catalogue::decode_number(number).map_err(|e| self.draft.fail(e)),
            None => Err(catalogue::unknown_name(name)),
        }
    }

    fn table_name(&mut self, table: TableId) -> Result<Vec<u8>> {
        self.ready()?;
        let at = self.draft.open(table)?;
        Ok(self.draft.table(at).name.clone())
    }

    fn table_note(&mut self, table: TableId) -> Result<Vec<u8>> {
        self.ready()?;
        let at = match table {
            TableId::MAIN => self.draft.read_main_record()?,
            table => self.draft.open(table)?,
        };
        Ok(self.draft.table(at).note.clone())
    }

    fn get(&mut self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>> {
        self.ready()?;
        let at = self.draft.open(table)?;
        let pending = self.draft.pending(at, key)?;
        self.draft.pin();
        self.draft.value(at, pending, key)
    }
}
