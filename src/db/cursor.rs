//! A place in a table.

use super::{PutMode, Range, ReadTxn, Reader, Seek, WriteTxn};
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::key::KeyBuf;
use crate::page::leaf::Stored;
use crate::tree::read::cursor::{CursorState, TreeCursor, TreeView};
use crate::tree::read::limits::Limits;
use crate::txn::TreeRef;

/// A place in a table. Detached: each call is given the transaction it was opened in, so that a cursor of a write
/// transaction can live beside writes; after a write it finds its place again by key.
///
/// Position: before the first entry at first; behind the last after `next` answered false (then `prev` returns to the
/// last); between its neighbours after the entry was deleted (`get` false, `next` the successor, `prev` the
/// predecessor). In a reverse range first/next go down.
#[derive(Debug, Clone)]
pub struct Cursor {
    table: TableId,
    reverse: bool,
    walker: TreeCursor,
}

#[inline(always)]
fn seen<'t, 'a>(tree: &'t TreeRef<'a>) -> TreeView<'t, crate::txn::Pages<'a>> {
    TreeView {
        source: &tree.source,
        root: &tree.root,
        version: tree.version,
    }
}

impl Cursor {
    /// A cursor before the first entry of `range`.
    ///
    /// # Errors
    /// `NoTable`.
    pub fn new<R: Reader + ?Sized>(txn: &mut R, table: TableId, range: &Range<'_>) -> Result<Cursor> {
        txn.tree(table)?;
        let mut walker = TreeCursor::new(range.limits());
        if range.reverse {
            walker.park(CursorState::AfterLast);
        }
        Ok(Cursor {
            table,
            reverse: range.reverse,
            walker,
        })
    }

    /// The table it was opened on.
    pub fn table(&self) -> TableId {
        self.table
    }

    /// The limits it keeps within.
    pub fn limits(&self) -> &Limits {
        self.walker.limits()
    }

    /// Runs `f` on the tree as it is now; damage is told with the table's number.
    #[inline(always)]
    fn on<'a, R: Reader + ?Sized, T>(
        &mut self,
        txn: &'a mut R,
        f: impl FnOnce(&mut TreeCursor, &TreeView<'_, crate::txn::Pages<'a>>, bool) -> Result<T>,
    ) -> Result<T> {
        txn.flush(self.table)?;
        let txn: &'a R = txn;
        let tree = txn.tree_now(self.table)?;
        f(&mut self.walker, &seen(&tree), self.reverse).map_err(|e| txn.failed(self.table, e))
    }

    /// To the first entry; false: none.
    pub fn first<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.last(t) } else { w.first(t) })
    }

    /// To the last entry; false: none.
    pub fn last<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.first(t) } else { w.last(t) })
    }

    /// To the next entry; false: the end.
    #[inline]
    pub fn next<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.backward(t) } else { w.forward(t) })
    }

    /// To the previous entry; false: the beginning.
    #[inline]
    pub fn prev<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.forward(t) } else { w.backward(t) })
    }

    /// To an entry by key; false (and the cursor stands where the entry would be) if none. In a reverse range `Ge` and
    /// the like keep their meaning by key order.
    pub fn seek<R: Reader + ?Sized>(&mut self, txn: &mut R, key: &[u8], how: Seek) -> Result<bool> {
        self.on(txn, |w, t, _| match how {
            Seek::Eq => w.exactly(t, key),
            Seek::Ge => w.at_or_after(t, key, true),
            Seek::Gt => w.at_or_after(t, key, false),
            Seek::Le => w.at_or_before(t, key, true),
            Seek::Lt => w.at_or_before(t, key, false),
        })
    }

    /// Whether the cursor stands on an entry (looks again if the transaction wrote).
    pub fn get<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, _| w.look(t))
    }

    /// Key of the entry; valid after a call that answered true, until the next call on this cursor.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.walker.key()
    }

    /// Whether `bytes` lie where keys of this cursor are put, so that it would overwrite them.
    pub fn has_lent(&self, bytes: &[u8]) -> bool {
        self.walker.has_lent(bytes)
    }

    /// A step to the next entry (the previous one if `back`) that stays within the leaf and meets no long value, as nearly all
    /// steps do; answers the value come to. `None`: nothing has changed, and [`Cursor::next`] or [`Cursor::prev`] has to
    /// be called. It cannot fail.
    #[inline(always)]
    pub fn step_in_leaf<'a>(&mut self, txn: &'a ReadTxn, back: bool) -> Option<&'a [u8]> {
        let backward = self.reverse != back;
        match self.walker.step_to_short(&txn.source(), txn.version(), backward) {
            Some(value) => Some(value),
            None => self.step_in_leaf_to_any(txn, backward),
        }
    }

    /// That step, to an entry whose key may be of any length. It is not inlined: what it needs would crowd the registers of
    /// all other steps.
    #[inline(never)]
    fn step_in_leaf_to_any<'a>(&mut self, txn: &'a ReadTxn, backward: bool) -> Option<&'a [u8]> {
        self.walker.step_to_any(&txn.source(), txn.version(), backward)
    }

    /// As [`Cursor::value`], in a read transaction.
    ///
    /// # Errors
    /// As [`Cursor::value`].
    #[inline]
    pub fn value_in<'a>(&mut self, txn: &'a mut &ReadTxn) -> Result<&'a [u8]> {
        match self.walker.value_in_leaf(&txn.source(), txn.version()) {
            Some(value) => Ok(value),
            None => self.value(txn),
        }
    }

    /// Value of the entry; call only when standing on one.
    ///
    /// # Errors
    /// `NotFound` if not on an entry.
    #[inline]
    pub fn value<'a, R: Reader + ?Sized>(&mut self, txn: &'a mut R) -> Result<&'a [u8]> {
        txn.flush(self.table)?;
        let txn: &'a R = txn;
        let tree = txn.tree_now(self.table)?;
        let (walker, seen) = (&mut self.walker, seen(&tree));
        let stored = walker.look(&seen).and_then(|there| match there {
            true => walker.value(&seen).map(Some),
            false => Ok(None),
        });
        match stored.map_err(|e| txn.failed(self.table, e))? {
            Some(Stored::Inline(bytes)) => Ok(bytes),
            Some(chain) => txn.resolve(chain).map_err(|e| txn.failed(self.table, e)),
            None => Err(Error::NotFound),
        }
    }

    /// Replaces the value of the current entry.
    ///
    /// # Errors
    /// `NotFound` if not on an entry.
    pub fn put(&mut self, txn: &mut WriteTxn, value: &[u8]) -> Result<()> {
        if !self.get(txn)? {
            return Err(Error::NotFound);
        }
        txn.put(self.table, self.walker.key(), value, PutMode::Set)
    }

    /// Deletes the current entry; the cursor stays between its neighbours.
    ///
    /// # Errors
    /// `NotFound` if not on an entry.
    pub fn delete(&mut self, txn: &mut WriteTxn) -> Result<()> {
        if !self.get(txn)? {
            return Err(Error::NotFound);
        }
        txn.delete_blind(self.table, self.walker.key())?;
        self.walker.deleted();
        Ok(())
    }

    /// Entries of the cursor's range, O(log n).
    pub fn count<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<u64> {
        self.on(txn, |w, t, _| w.count(t))
    }

    /// Entries of the range before the current one (in the cursor's direction), O(log n). Between entries: before the
    /// place where the cursor stands.
    pub fn rank<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<u64> {
        self.on(txn, |w, t, reverse| w.rank(t, reverse))
    }

    /// To the n-th entry of the range (0 = first in the cursor's direction), O(log n); false: fewer.
    pub fn nth<R: Reader + ?Sized>(&mut self, txn: &mut R, n: u64) -> Result<bool> {
        self.on(txn, |w, t, reverse| w.nth(t, reverse, n))
    }

    /// Steps to up to `limit` next entries and gives each to `take`, values as stored (a chain is not read). When `take`
    /// answers false, the cursor stays before that entry, which the next call gives again. How many were taken; fewer
    /// than `limit` although `take` never refused: the end.
    #[inline(always)]
    pub fn next_many<'a, R: Reader + ?Sized>(
        &mut self,
        txn: &'a mut R,
        limit: u64,
        take: &mut impl FnMut(&KeyBuf, Stored<'a>) -> bool,
    ) -> Result<u64> {
        self.on(txn, |w, t, reverse| w.take_many(t, reverse, limit, take))
    }
}
