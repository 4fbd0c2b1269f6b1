//! The difference of two states of a database: which keys were added, removed and changed.

use super::cursor::Cursor;
use super::reader::Reader;
use super::types::Range;
use crate::catalogue;
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::leaf::Stored;
use crate::page::Root;
use crate::tree::read::cursor::TreeView;
pub use crate::tree::read::difference::{ChangeCounts, ChangeKind};
use crate::tree::read::difference::{Side, SideError, TreeDifference, TreePair};
use crate::txn::{Pages, TreeRef};

/// The [`TreeRef::version`] of the empty tree that stands for a table which a transaction does not have.
const NO_TREE: u64 = u64::MAX;

/// One change between two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'t> {
    /// What has happened to the key.
    pub kind: ChangeKind,
    /// The key.
    pub key: &'t [u8],
    /// The value before, or `None` if the key was added.
    pub before: Option<&'t [u8]>,
    /// The value after, or `None` if the key was removed.
    pub after: Option<&'t [u8]>,
}

/// The difference of a table in two states, which two transactions see: the keys that were added, removed and changed
/// within a range, in order.
///
/// Only pages that differ are read, so the time depends on how much was changed and not on how large the table is. A
/// key whose value was written again as it was is no change.
///
/// A table is found by its number. One that only one of the two states has is wholly added or removed, and a table that
/// was dropped and created again under its name has another number: ask for the number of the name in each state
/// ([`Reader::table`]), and for the difference of each of the two numbers. The difference of [`TableId::NAMES`] tells
/// which tables were created, dropped and renamed. The list of snapshots is part of no earlier state, so beside one,
/// all of [`TableId::SNAPSHOTS`] is added.
///
/// Like a [`Cursor`], a difference is bound to no transaction: each call is given the two with which it was made. The
/// states may come in any order of time, and one of them may be that of a write transaction, with what it has written.
/// If a transaction moves to another state between two calls, because it is refreshed or writes, the difference goes on
/// behind the last key that it gave, in the new state.
///
/// # Examples
///
/// ```
/// use kv::{ChangeKind, Db, Difference, Options, PutMode, Range, TableId, WriteOptions};
///
/// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
/// let before = db.begin_read()?;
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// txn.put(TableId::MAIN, b"apple", b"red", PutMode::Set)?;
/// txn.commit()?;
/// let after = db.begin_read()?;
///
/// let mut difference = Difference::new(&mut &before, &mut &after, TableId::MAIN, &Range::default())?;
/// let mut changes = Vec::new();
/// while let Some(change) = difference.next_and_read(&mut &before, &mut &after, |change| {
///     (change.kind, change.key.to_vec(), change.after.map(<[u8]>::to_vec))
/// })? {
///     changes.push(change);
/// }
/// assert_eq!(changes, [(ChangeKind::Added, b"apple".to_vec(), Some(b"red".to_vec()))]);
///
/// let counts = Difference::count(&mut &before, &mut &after, TableId::MAIN, &Range::default())?;
/// assert_eq!((counts.added, counts.removed, counts.changed), (1, 0, 0));
/// assert!(!kv::same(&mut &before, &mut &after, None)?);
/// # Ok::<(), kv::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Difference {
    table: TableId,
    walks: TreeDifference,
}

impl Difference {
    /// Returns the difference of a table within a range.
    ///
    /// # Errors
    /// `NoTable`: neither transaction has the table. `Invalid`: they are of different databases. This and every other
    /// call may return `Corrupt`, `Io` or `NoMemory`, and in a write transaction that has failed `TxnFailed`.
    pub fn new<B, A>(before: &mut B, after: &mut A, table: TableId, range: &Range<'_>) -> Result<Difference>
    where
        B: Reader + ?Sized,
        A: Reader + ?Sized,
    {
        trees_of(before, after, table)?;
        let walks = TreeDifference::new(range.limits()?, range.reverse);
        Ok(Difference { table, walks })
    }

    /// Counts the changes within a range. What only one of the states has is counted without being read, except at the
    /// edges of it.
    ///
    /// # Errors
    /// Those of [`Difference::new`].
    pub fn count<B, A>(before: &mut B, after: &mut A, table: TableId, range: &Range<'_>) -> Result<ChangeCounts>
    where
        B: Reader + ?Sized,
        A: Reader + ?Sized,
    {
        let limits = range.limits()?;
        let (before, after, was, is) = trees_of(before, after, table)?;
        let counts = TreeDifference::count(limits, &pair(&was, &is));
        counts.map_err(|e| failed_on(e, (before, after), table))
    }

    /// Returns the table whose difference this is.
    pub fn table(&self) -> TableId {
        self.table
    }

    /// Goes to the next change. Returns what it is, or `None` if there is no further one.
    ///
    /// # Errors
    /// After an error, the next call goes to the same change, and meets the same damage.
    pub fn next<B, A>(&mut self, before: &mut B, after: &mut A) -> Result<Option<ChangeKind>>
    where
        B: Reader + ?Sized,
        A: Reader + ?Sized,
    {
        let (before, after, was, is) = trees_of(before, after, self.table)?;
        let next = self.walks.next(&pair(&was, &is));
        next.map_err(|e| failed_on(e, (before, after), self.table))
    }

    /// Returns what the change is to which the last call went, or `None` if there was no further one.
    pub fn kind(&self) -> Option<ChangeKind> {
        self.walks.found()
    }

    /// Returns the key of the change to which the last call went, and the empty key if there was no further one.
    pub fn key(&self) -> &[u8] {
        self.walks.key()
    }

    /// Makes the next call go to the present change once more, for callers that had no room for it.
    pub fn give_again(&mut self) {
        self.walks.give_again();
    }

    /// Goes to the next change, and returns what `read` makes of it, or `None` if there is no further one. The values
    /// live as long as those of [`Reader::get`], and the key until the next call.
    ///
    /// # Errors
    /// After an error, also if a value cannot be read, the next call goes to the same change.
    pub fn next_and_read<'t, B, A, T>(
        &mut self,
        before: &'t mut B,
        after: &'t mut A,
        read: impl FnOnce(&Change<'_>) -> T,
    ) -> Result<Option<T>>
    where
        B: Reader + ?Sized,
        A: Reader + ?Sized,
    {
        let (before, after, was, is) = trees_of(before, after, self.table)?;
        let t = pair(&was, &is);
        let next = self.walks.next(&t);
        let Some(kind) = next.map_err(|e| failed_on(e, (before, after), self.table))? else {
            return Ok(None);
        };
        let values = self.walks.values(&t);
        let values = values.map_err(|e| failed_on(e, (before, after), self.table));
        let values = values.and_then(|(was, is)| {
            let was = was.map(|stored| resolve(before, stored, self.table)).transpose()?;
            let is = is.map(|stored| resolve(after, stored, self.table)).transpose()?;
            Ok((was, is))
        });
        match values {
            Ok((before, after)) => Ok(Some(read(&Change {
                kind,
                key: self.walks.key(),
                before,
                after,
            }))),
            Err(error) => {
                self.walks.give_again();
                Err(error)
            }
        }
    }

    /// Goes to the next changes, at most `limit` of them, and gives each to `take`. If `take` returns false, the next
    /// call gives that change again. Returns how many changes were taken. If these are fewer than `limit` although
    /// `take` never returned false, there is no further one.
    ///
    /// # Errors
    /// Those of [`Difference::next_and_read`]. The changes before were given to `take`.
    pub fn next_many<B, A>(
        &mut self,
        before: &mut B,
        after: &mut A,
        limit: u64,
        take: &mut impl FnMut(&Change<'_>) -> bool,
    ) -> Result<u64>
    where
        B: Reader + ?Sized,
        A: Reader + ?Sized,
    {
        let mut taken = 0;
        while taken < limit {
            match self.next_and_read(before, after, |change| take(change))? {
                None => break,
                Some(true) => taken += 1,
                Some(false) => {
                    self.walks.give_again();
                    break;
                }
            }
        }
        Ok(taken)
    }
}

/// Returns whether two states are known to be the same: those of a table, or of all tables. This compares the roots of
/// trees and reads no entry. `true` means that no entry differs; `false` means that pages differ, and entries most
/// likely do. If one of the two is a write transaction, its tables are compared one by one.
///
/// # Errors
/// `NoTable`: neither transaction has the table. `Invalid`: they are of different databases. Others as in every call of
/// a [`Reader`].
pub fn same<B, A>(before: &mut B, after: &mut A, table: Option<TableId>) -> Result<bool>
where
    B: Reader + ?Sized,
    A: Reader + ?Sized,
{
    if let Some(table) = table {
        return same_table(before, after, table);
    }
    check_database(before, after)?;
    if let (Some(before), Some(after)) = (before.committed_roots(), after.committed_roots()) {
        return Ok((before.main, before.catalogue) == (after.main, after.catalogue));
    }
    if !same_table(before, after, TableId::MAIN)? || !same_table(before, after, TableId::NAMES)? {
        return Ok(false);
    }
    // Both have the same tables.
    let mut names = Cursor::new(before, TableId::NAMES, &Range::default())?;
    while names.next(before)? {
        let table = catalogue::decode_number(names.value(before)?)?;
        if !same_table(before, after, table)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_table<B, A>(before: &mut B, after: &mut A, table: TableId) -> Result<bool>
where
    B: Reader + ?Sized,
    A: Reader + ?Sized,
{
    let (_, _, was, is) = trees_of(before, after, table)?;
    Ok(was.root == is.root && (was.version == NO_TREE) == (is.version == NO_TREE))
}

/// What is said of a read transaction whose state a write transaction is to use, if it is of another database.
pub const OTHER_DATABASE: &str = "the read transaction is of another database";

/// Two transactions with the trees of a table in them.
pub(super) type BothTrees<'t, B, A> = (&'t B, &'t A, TreeRef<'t>, TreeRef<'t>);

/// Returns the trees of a table in both transactions, with everything that these wrote. For a table that only one of
/// them has, the other has an empty tree.
pub(super) fn trees_of<'t, B, A>(before: &'t mut B, after: &'t mut A, table: TableId) -> Result<BothTrees<'t, B, A>>
where
    B: Reader + ?Sized,
    A: Reader + ?Sized,
{
    check_database(before, after)?;
    flush(before, table)?;
    flush(after, table)?;
    let (before, after): (&'t B, &'t A) = (before, after);
    let (was, is) = match (before.tree_now(table), after.tree_now(table)) {
        (Ok(was), Ok(is)) => (was, is),
        (Ok(was), Err(Error::NoTable(_))) => (was, no_tree(after)),
        (Err(Error::NoTable(_)), Ok(is)) => (no_tree(before), is),
        // The list of snapshots has an answer of its own.
        (Err(Error::NoTable(_)), Err(Error::NoTable(_))) if table != TableId::SNAPSHOTS => {
            return Err(catalogue::no_table_in_either(table));
        }
        (Ok(_) | Err(Error::NoTable(_)), Err(error)) | (Err(error), _) => return Err(error),
    };
    Ok((before, after, was, is))
}

fn check_database<B, A>(before: &B, after: &A) -> Result<()>
where
    B: Reader + ?Sized,
    A: Reader + ?Sized,
{
    match before.pages().view.uuid() == after.pages().view.uuid() {
        true => Ok(()),
        false => Err(Error::Invalid(
            "before and after: they are transactions of different databases",
        )),
    }
}

/// Applies what the transaction wrote to the tree of `table`, if it has the table.
fn flush<R: Reader + ?Sized>(txn: &mut R, table: TableId) -> Result<()> {
    match txn.flush(table) {
        Err(Error::NoTable(_)) => Ok(()),
        other => other,
    }
}

fn no_tree<R: Reader + ?Sized>(txn: &R) -> TreeRef<'_> {
    TreeRef {
        source: txn.pages(),
        root: Root::default(),
        version: NO_TREE,
    }
}

/// Returns the trees in the form in which a difference of trees takes them.
pub(super) fn pair<'t, 'a>(was: &'t TreeRef<'a>, is: &'t TreeRef<'a>) -> TreePair<'t, Pages<'a>> {
    let [before, after] = [was, is].map(|tree| TreeView {
        source: &tree.source,
        root: &tree.root,
        version: tree.version,
    });
    TreePair { before, after }
}

/// Returns the bytes of a stored value.
fn resolve<'t, R: Reader + ?Sized>(txn: &'t R, stored: Stored<'t>, table: TableId) -> Result<&'t [u8]> {
    match stored {
        Stored::Inline(bytes) => Ok(bytes),
        chain => txn.resolve(chain).map_err(|e| txn.failed(table, e)),
    }
}

/// Names the table in an error, in the transaction in whose tree it occurred.
#[cold]
pub(super) fn failed_on<B, A>(error: SideError, (before, after): (&B, &A), table: TableId) -> Error
where
    B: Reader + ?Sized,
    A: Reader + ?Sized,
{
    match error.side {
        Side::Before => before.failed(table, error.error),
        Side::After => after.failed(table, error.error),
    }
}
