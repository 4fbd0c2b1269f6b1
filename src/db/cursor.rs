//! A cursor is a position in a table, from which one steps to others.

use super::read::ReadTxn;
use super::reader::Reader;
use super::types::{Range, Seek};
use super::write::WriteTxn;
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::key::KeyBuf;
use crate::page::leaf::Stored;
use crate::tree::read::cursor::{CursorState, TreeCursor, TreeView};
use crate::txn::{Pages, TableIndex, TreeRef};
use std::hash::{BuildHasher, Hasher, RandomState};

/// A position in a table, within a range of keys.
///
/// A cursor is bound to no transaction: each call is given the one in which the cursor was opened. So a cursor of a
/// write transaction can be used between writes; after a write it finds its position again by its key.
///
/// At first a cursor stands before the first entry. After [`Cursor::next`] returned false it stands behind the last
/// entry, to which [`Cursor::prev`] returns. After its entry was deleted it stands between the neighbours:
/// [`Cursor::get`] returns false, and `next` and `prev` go to the successor and the predecessor. In a reverse range,
/// "first" and "next" refer to descending order.
///
/// # Examples
///
/// ```
/// use kv::{Cursor, Db, Options, PutMode, Range, Seek, TableId, WriteOptions};
///
/// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// for key in ["user:1", "user:2", "zebra"] {
///     txn.put(TableId::MAIN, key.as_bytes(), b"x", PutMode::Set)?;
/// }
/// let users = Range { prefix: Some(b"user:"), ..Range::default() };
/// let mut cursor = Cursor::new(&mut txn, TableId::MAIN, &users)?;
/// let mut seen = Vec::new();
/// while cursor.next(&mut txn)? {
///     seen.push(cursor.key().to_vec());
/// }
/// assert_eq!(seen, [b"user:1", b"user:2"]);
/// assert!(cursor.seek(&mut txn, b"user:2", Seek::Ge)?);
/// cursor.delete(&mut txn)?;
/// assert_eq!(cursor.count(&mut txn)?, 1);
/// # Ok::<(), kv::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Cursor {
    table: TableId,
    reverse: bool,
    position: TreeCursor,
}

#[inline(always)]
fn tree_view<'t, 'a>(tree: &'t TreeRef<'a>) -> TreeView<'t, Pages<'a>> {
    TreeView {
        source: &tree.source,
        root: &tree.root,
        version: tree.version,
    }
}

impl Cursor {
    /// Creates a cursor before the first entry of `range`.
    ///
    /// # Errors
    /// `NoTable`: there is no such table. This and every other call of a cursor may return `Corrupt`, `Io` or
    /// `NoMemory`, and in a write transaction that has failed `TxnFailed`.
    pub fn new<R: Reader + ?Sized>(txn: &mut R, table: TableId, range: &Range<'_>) -> Result<Cursor> {
        txn.tree(table)?;
        let mut position = TreeCursor::new(range.limits()?);
        if range.reverse {
            position.park(CursorState::AfterLast);
        }
        Ok(Cursor {
            table,
            reverse: range.reverse,
            position,
        })
    }

    /// Returns the table on which the cursor was opened.
    pub fn table(&self) -> TableId {
        self.table
    }

    /// Runs `f` on the tree as it is now. An error names the table.
    #[inline(always)]
    fn on<'a, R: Reader + ?Sized, T>(
        &mut self,
        txn: &'a mut R,
        f: impl FnOnce(&mut TreeCursor, &TreeView<'_, Pages<'a>>, bool) -> Result<T>,
    ) -> Result<T> {
        txn.flush(self.table)?;
        let txn: &'a R = txn;
        let tree = txn.tree_now(self.table)?;
        f(&mut self.position, &tree_view(&tree), self.reverse).map_err(|e| txn.failed(self.table, e))
    }

    /// Goes to the first entry. Returns false if the range is empty.
    pub fn first<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.last(t) } else { w.first(t) })
    }

    /// Goes to the last entry. Returns false if the range is empty.
    pub fn last<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.first(t) } else { w.last(t) })
    }

    /// Goes to the next entry. Returns false if there is none.
    #[inline]
    pub fn next<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.backward(t) } else { w.forward(t) })
    }

    /// Goes to the previous entry. Returns false if there is none.
    #[inline]
    pub fn prev<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, reverse| if reverse { w.forward(t) } else { w.backward(t) })
    }

    /// Goes to the entry that `key` and `how` select. Returns false if there is none; the cursor then stands where the
    /// entry would be. `Ge` and the others refer to the order of keys, in a reverse range as well.
    pub fn seek<R: Reader + ?Sized>(&mut self, txn: &mut R, key: &[u8], how: Seek) -> Result<bool> {
        self.on(txn, |w, t, _| match how {
            Seek::Eq => w.exactly(t, key),
            Seek::Ge => w.at_or_after(t, key, true),
            Seek::Gt => w.at_or_after(t, key, false),
            Seek::Le => w.at_or_before(t, key, true),
            Seek::Lt => w.at_or_before(t, key, false),
        })
    }

    /// Returns whether the cursor stands on an entry. If the transaction has written since, the entry is looked up
    /// again.
    pub fn get<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        self.on(txn, |w, t, _| w.look(t))
    }

    /// Returns the key of the entry. It is valid after a call that returned true, until the next call on this cursor.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.position.key()
    }

    /// Returns whether `bytes` lie in the memory in which the cursor keeps its key, so that its next step would
    /// overwrite them.
    pub fn overlaps_key(&self, bytes: &[u8]) -> bool {
        self.position.overlaps_key(bytes)
    }

    /// Steps to the next entry (the previous one if `back`) and returns its value, if the step stays within the leaf
    /// and meets no long value, as nearly all steps do. If it returns `None`, nothing has changed, and [`Cursor::next`]
    /// or [`Cursor::prev`] must be called. It cannot fail.
    #[inline(always)]
    pub fn step_in_leaf<'a>(&mut self, txn: &'a ReadTxn, back: bool) -> Option<&'a [u8]> {
        let backward = self.reverse != back;
        match self.position.step_to_short(&txn.source(), txn.version(), backward) {
            Some(value) => Some(value),
            None => self.step_in_leaf_to_any(txn, backward),
        }
    }

    /// Takes the step of [`Cursor::step_in_leaf`] to an entry whose key may have any length. It is not inlined, because
    /// the registers that it needs would be taken from all other steps.
    #[inline(never)]
    fn step_in_leaf_to_any<'a>(&mut self, txn: &'a ReadTxn, backward: bool) -> Option<&'a [u8]> {
        self.position.step_to_any(&txn.source(), txn.version(), backward)
    }

    /// Does what [`Cursor::step_in_leaf`] does in a write transaction. It also steps out of the gap that a deletion
    /// has left.
    #[doc(hidden)]
    #[inline]
    pub fn step_in_leaf_of_write<'a>(&mut self, txn: &'a mut WriteTxn, back: bool) -> Option<&'a [u8]> {
        txn.at_hand(self.table)?;
        let backward = self.reverse != back;
        let (pages, version) = txn.pages_to_return();
        match self.position.step_to_any(&pages, version, backward) {
            Some(value) => Some(value),
            None => self.position.step_from_gap(&pages, version, backward),
        }
    }

    /// Returns the value of the entry.
    ///
    /// # Errors
    /// `NotFound`: the cursor stands on no entry.
    #[inline]
    pub fn value<'a, R: Reader + ?Sized>(&mut self, txn: &'a mut R) -> Result<&'a [u8]> {
        txn.flush(self.table)?;
        let txn: &'a R = txn;
        if let Some(value) = txn.value_in_leaf(&self.position) {
            return Ok(value);
        }
        let tree = txn.tree_now(self.table)?;
        let (position, view) = (&mut self.position, tree_view(&tree));
        let stored = position.look(&view).and_then(|there| match there {
            true => position.value(&view).map(Some),
            false => Ok(None),
        });
        match stored.map_err(|e| txn.failed(self.table, e))? {
            Some(Stored::Inline(bytes)) => Ok(bytes),
            Some(chain) => txn.resolve(chain).map_err(|e| txn.failed(self.table, e)),
            None => Err(Error::NotFound),
        }
    }

    /// Moves the cursor by `go` and returns what `read` makes of the value of the entry that it comes to, or `None` if
    /// there is none. If the value cannot be read, the cursor stands where it stood before, so that the next step
    /// meets it again.
    #[inline]
    pub fn go_and_read<R: Reader + ?Sized, T>(
        &mut self,
        txn: &mut R,
        go: impl FnOnce(&mut Cursor, &mut R) -> Result<bool>,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<Option<T>> {
        let standing = self.position.standing()?;
        if !go(self, txn)? {
            return Ok(None);
        }
        match self.value(txn) {
            Ok(value) => Ok(Some(read(value))),
            Err(error) => {
                self.position.return_to(standing);
                Err(error)
            }
        }
    }

    /// Replaces the value of the entry.
    ///
    /// # Errors
    /// `NotFound`: the cursor stands on no entry; those of [`WriteTxn::put`].
    pub fn put(&mut self, txn: &mut WriteTxn, value: &[u8]) -> Result<()> {
        let at = self.ready_to_edit(txn)?;
        txn.put_at(at, &mut self.position, value)
    }

    /// Returns the table, ready for an edit where the cursor stands.
    #[inline]
    fn ready_to_edit(&mut self, txn: &mut WriteTxn) -> Result<TableIndex> {
        if let Some(at) = txn.at_hand_of(self.table, &self.position) {
            return Ok(at);
        }
        if !self.get(txn)? {
            return Err(Error::NotFound);
        }
        txn.open_to_write(self.table)
    }

    /// Deletes the entry. The cursor then stands between its neighbours.
    ///
    /// # Errors
    /// `NotFound`: the cursor stands on no entry; those of [`WriteTxn::put`].
    pub fn delete(&mut self, txn: &mut WriteTxn) -> Result<()> {
        let at = self.ready_to_edit(txn)?;
        txn.delete_at(at, &mut self.position)
    }

    /// Returns how many entries the range has. This takes as many steps as the tree has levels.
    pub fn count<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<u64> {
        self.on(txn, |w, t, _| w.count(t))
    }

    /// Returns how many entries of the range come before the cursor, in its direction. This takes as many steps as the
    /// tree has levels.
    pub fn rank<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<u64> {
        self.on(txn, |w, t, reverse| w.rank(t, reverse))
    }

    /// Goes to the n-th entry of the range, in the cursor's direction and counted from 0. Returns false if there are
    /// fewer entries. This takes as many steps as the tree has levels.
    pub fn nth<R: Reader + ?Sized>(&mut self, txn: &mut R, n: u64) -> Result<bool> {
        self.on(txn, |w, t, reverse| w.nth(t, reverse, n))
    }

    /// Goes to the entry at a percentile of the range, in the cursor's direction and by the method of the nearest rank:
    /// the first entry that has at least `percent` of all at or before it. So 50 leads to the median, 0 to the first
    /// entry and 100 to the last. Returns false and leaves the cursor where it is if the range is empty. This takes as
    /// many steps as the tree has levels.
    ///
    /// # Errors
    /// `Invalid`: `percent` is not between 0 and 100.
    pub fn percentile<R: Reader + ?Sized>(&mut self, txn: &mut R, percent: f64) -> Result<bool> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(Error::Invalid(
                "percentile: it is not between 0 and 100; give the part of the entries that come before, in per cent",
            ));
        }
        match self.count(txn)? {
            0 => Ok(false),
            count => self.nth(txn, nearest_rank(percent, count)),
        }
    }

    /// Goes to a random entry of the range, where each entry is equally likely. Returns false and leaves the cursor
    /// where it is if the range is empty. This takes as many steps as the tree has levels.
    pub fn random<R: Reader + ?Sized>(&mut self, txn: &mut R) -> Result<bool> {
        match self.count(txn)? {
            0 => Ok(false),
            count => self.nth(txn, random_below(count)),
        }
    }

    /// Goes to the next entries, at most `limit` of them, and gives each to `take`: its key, and its value as it is
    /// stored (a long value is not read). If `take` returns false, the cursor stays before that entry, and the next
    /// call gives it again. Returns how many entries were taken. If these are fewer than `limit` although `take` never
    /// returned false, the end was reached.
    #[inline(always)]
    pub fn next_many<'a, R: Reader + ?Sized>(
        &mut self,
        txn: &'a mut R,
        limit: u64,
        take: &mut impl FnMut(&KeyBuf, Stored<'a>) -> bool,
    ) -> Result<u64> {
        self.on(txn, |w, t, reverse| w.take_many(t, reverse, limit, take))
    }

    /// Does what [`Cursor::next_many`] does, but reads long values, so that `take` is given each value whole. The
    /// values lie where those of [`Cursor::value`] lie and stay there as long.
    ///
    /// # Errors
    /// If a long value cannot be read, the cursor stands on its entry, and the entries before it were given to `take`.
    #[inline(always)]
    pub fn read_many<R: Reader + ?Sized>(
        &mut self,
        txn: &mut R,
        limit: u64,
        take: &mut impl FnMut(&KeyBuf, &[u8]) -> bool,
    ) -> Result<u64> {
        let mut taken = 0;
        while taken < limit {
            let (mut long, mut refused) = (false, false);
            taken += self.next_many(txn, limit - taken, &mut |key, value| {
                // A long value is outside its leaf, and reading it needs the transaction, which this walk has borrowed.
                long = value.is_chain();
                refused = !long && !take(key, value.bytes());
                !long && !refused
            })?;
            if refused || !(long && self.next(txn)?) {
                break;
            }
            let value = self.value(txn)?;
            if !take(self.position.key_buf(), value) {
                self.prev(txn)?;
                break;
            }
            taken += 1;
        }
        Ok(taken)
    }
}

/// Returns how many of `count` entries come before the first that has at least `percent` of all at or before it.
fn nearest_rank(percent: f64, count: u64) -> u64 {
    let rank = (percent / 100.0 * count as f64).ceil() as u64;
    rank.clamp(1, count) - 1
}

/// Returns a number below `count`, each equally likely. It comes from the random keys that the standard library has for
/// each thread.
fn random_below(count: u64) -> u64 {
    let number = RandomState::new().build_hasher().finish();
    ((u128::from(number) * u128::from(count)) >> 64) as u64
}
