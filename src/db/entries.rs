//! The calls of a write transaction that put and delete entries.

use super::types::Range;
use super::write::{Reserved, WriteTxn};
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::KEY_MAX;
use crate::tree::read::cursor::TreeCursor;
use crate::tree::read::end::RangeEnd;
use crate::tree::read::limits::Limits;
use crate::tree::write::edits::Op;
use crate::tree::write::range::KeyRange;
use crate::txn::{Entry, PutMode, TableIndex};
use crate::util::seeded::{self, Bug};

impl WriteTxn {
    /// Puts an entry, as `mode` says. Keys may have up to 2 MiB, values up to 256 GiB.
    ///
    /// # Errors
    /// `Exists`, `NotFound`, `Order`: `mode` forbids the put, and nothing was changed; `TooBig`; `NoTable`;
    /// `ReadOnly`: the list of tables cannot be written; `Unsupported`: a newer version made the table, and it alone
    /// can change it; `Io`, `NoSpace`, `NoMemory`, `Limit`, `Corrupt`: the transaction has failed; `TxnFailed`: it had
    /// failed before.
    #[inline(always)]
    pub fn put(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Result<()> {
        if mode == PutMode::Append && !self.draft.is_failed() && self.reserved.is_none() {
            if let Some(at) = self.draft.continues_append(table, key) {
                if self.draft.is_inline(key, value.len()) {
                    let entry = Entry {
                        key,
                        value,
                        is_greatest: true,
                    };
                    return self.draft.put_inline(at, entry, &mut self.pages);
                }
            }
        }
        self.put_any(table, key, value, mode)
    }

    /// Puts an entry on the slow path, which every put takes that does not continue a series of appends.
    #[inline(never)]
    fn put_any(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Result<()> {
        let at = self.open_to_write(table)?;
        self.pages.note_addition();
        self.draft.check_mode(at, key, mode, &mut self.pages)?;
        assert!(!seeded::on(Bug::PanicInPut), "seeded");
        let entry = Entry {
            key,
            value,
            is_greatest: mode == PutMode::Append,
        };
        self.draft.put(at, entry, &mut self.pages)
    }

    /// Puts an entry if there is none with this key. Otherwise the call changes nothing and returns the value that is
    /// there.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn insert(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<Option<&[u8]>> {
        let at = self.open_to_write(table)?;
        let pending = self.draft.pending(at, key)?;
        if self.draft.stored(at, pending, key)?.is_none() {
            self.put(table, key, value, PutMode::Set)?;
            return Ok(None);
        }
        self.draft.pin();
        self.draft.value(at, pending, key)
    }

    /// Puts an entry, as `mode` says, and returns the value that it replaces.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn replace(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Result<Option<&[u8]>> {
        let at = self.open_to_write(table)?;
        let old = self.copy_of_value(at, key)?;
        self.put(table, key, value, mode)?;
        Ok(self.return_copy(old))
    }

    /// Returns a copy of a value that is about to be replaced or deleted.
    fn copy_of_value(&mut self, at: TableIndex, key: &[u8]) -> Result<Option<Box<[u8]>>> {
        let pending = self.draft.pending(at, key)?;
        let copied = self.draft.value(at, pending, key)?.map(copy).transpose();
        copied.map_err(|e| self.draft.fail(e))
    }

    /// Keeps a copy until the next write, and returns its bytes for the caller to look at.
    fn return_copy(&mut self, copy: Option<Box<[u8]>>) -> Option<&[u8]> {
        self.draft.pin();
        copy.map(|bytes| self.draft.pin_copy(bytes))
    }

    /// Puts an entry of `len` zero bytes and returns them, so that the caller can fill them before the next call on the
    /// transaction.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn reserve(&mut self, table: TableId, key: &[u8], len: usize, mode: PutMode) -> Result<&mut [u8]> {
        let at = self.open_to_write(table)?;
        self.pages.note_addition();
        self.draft.check_mode(at, key, mode, &mut self.pages)?;
        let key = Error::or_copy(key, "the key of a reserved value").map_err(|e| self.draft.fail(e))?;
        let mut zeros = Vec::new();
        let room = zeros.try_reserve_exact(len);
        room.map_err(|_| self.draft.fail(Error::NoMemory("a reserved value")))?;
        zeros.resize(len, 0);
        // The entry is put with the next call and not now, because an edit may be flushed at once and its log be given
        // up.
        let reserved = self.reserved.insert(Reserved {
            at,
            key,
            value: zeros,
            is_greatest: mode == PutMode::Append,
        });
        Ok(&mut reserved.value)
    }

    /// Deletes an entry, and returns whether there was one.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn delete(&mut self, table: TableId, key: &[u8]) -> Result<bool> {
        let at = self.open_to_write(table)?;
        if !self.draft.exists(at, key)? {
            return Ok(false);
        }
        self.draft.delete(at, key, &mut self.pages)?;
        Ok(true)
    }

    /// Deletes an entry if there is one, without finding out whether there is. This costs less than
    /// [`WriteTxn::delete`].
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn delete_blind(&mut self, table: TableId, key: &[u8]) -> Result<()> {
        let at = self.open_to_write(table)?;
        // No entry can have such a long key.
        if key.len() > KEY_MAX {
            return Ok(());
        }
        self.draft.delete(at, key, &mut self.pages)
    }

    /// Replaces the value of the entry on which a cursor of this transaction stands.
    pub(super) fn put_at(&mut self, at: TableIndex, cursor: &mut TreeCursor, value: &[u8]) -> Result<()> {
        self.pages.note_addition();
        self.draft.put_at(at, cursor, value, &mut self.pages)
    }

    /// Deletes the entry on which a cursor of this transaction stands.
    pub(super) fn delete_at(&mut self, at: TableIndex, cursor: &mut TreeCursor) -> Result<()> {
        self.draft.edit_at(at, cursor, Op::Delete, &mut self.pages)
    }

    /// Deletes an entry and returns its value, or `None` if there was none.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn take(&mut self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>> {
        let at = self.open_to_write(table)?;
        let Some(old) = self.copy_of_value(at, key)? else {
            return Ok(None);
        };
        self.delete_blind(table, key)?;
        Ok(self.return_copy(Some(old)))
    }

    /// Deletes the first entry of `range` (the last one if the range is reverse) and returns its key and value.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn take_first(&mut self, table: TableId, range: &Range<'_>) -> Result<Option<(&[u8], &[u8])>> {
        let at = self.open_to_write(table)?;
        self.draft.flush(at, &mut self.pages)?;
        let given;
        let limits = match range.is_whole() {
            true => &Limits::ALL,
            false => {
                given = range.limits().map_err(|e| self.draft.fail(e))?;
                &given
            }
        };
        let WriteTxn {
            draft, pages, taken, ..
        } = self;
        let last = range.reverse;
        let end = RangeEnd { limits, last };
        if !draft.take_end(at, end, taken, pages)? {
            return Ok(None);
        }
        draft.note_look();
        Ok(Some(taken.entry()))
    }

    /// Deletes every entry of `range` and returns how many there were. Pages that lie wholly within the range are
    /// dropped unread, so the time depends on how many pages of the tree are touched, and not on how many entries are
    /// deleted.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn delete_range(&mut self, table: TableId, range: &Range<'_>) -> Result<u64> {
        let at = self.open_to_write(table)?;
        let bounds = range.limits().and_then(Limits::half_open);
        let (from, to) = bounds.map_err(|e| self.draft.fail(e))?;
        // A range that ends before it begins has no entries.
        let none = |from: &Vec<u8>| to.as_ref().is_some_and(|to| to <= from);
        if from.as_ref().map_or(to.as_ref().is_some_and(|to| to.is_empty()), none) {
            return Ok(0);
        }
        let keys = KeyRange {
            from: from.as_deref(),
            to: to.as_deref(),
        };
        self.draft.remove_range(at, keys, &mut self.pages)
    }
}

/// Returns a copy of bytes, or `NoMemory` if they are too many.
fn copy(bytes: &[u8]) -> Result<Box<[u8]>> {
    Ok(Error::or_copy(bytes, "a copy of a value")?.into_boxed_slice())
}
