//! Writers for values that are written in parts.

use super::write::WriteTxn;
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::leaf::Stored;
use crate::page::PIECE;
use crate::tree::write::edits::Op;
use crate::tree::write::values::ChainWriter;
use crate::txn::{Edit, PutMode, UnfinishedValue};

/// A writer for a value that is written in parts, so that the whole value need never be in memory. Its entry appears
/// with [`ValueWriter::finish`]. If a value is not finished, its pages are given back when the transaction ends.
///
/// # Examples
///
/// ```
/// use kv::{Db, Options, PutMode, Reader, TableId, WriteOptions};
///
/// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// let mut value = txn.writer(TableId::MAIN, b"big", 3_000_000, PutMode::Set)?;
/// for _ in 0..3 {
///     value.write(&mut txn, &vec![7; 1_000_000])?;
/// }
/// value.finish(&mut txn)?;
/// let mut part = [0; 10];
/// assert_eq!(txn.read_value(TableId::MAIN, b"big", 2_999_995, &mut part)?, Some(5));
/// # Ok::<(), kv::Error>(())
/// ```
#[derive(Debug)]
pub struct ValueWriter {
    number: u64,
}

impl WriteTxn {
    /// Begins a value that is written in parts. `size_hint` says how long the value will be, or is 0 if nobody knows.
    /// If the hint is right, the value is contiguous in the file. Whether `mode` allows the put is checked now, and
    /// again at the end.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn writer(&mut self, table: TableId, key: &[u8], size_hint: u64, mode: PutMode) -> Result<ValueWriter> {
        let at = self.open_to_write(table)?;
        self.pages.note_addition();
        self.draft.check_mode(at, key, mode, &mut self.pages)?;
        let key = Error::or_copy(key, "the key of a value in parts").map_err(|e| self.draft.fail(e))?;
        let number = self.unfinished.add(UnfinishedValue {
            table,
            key,
            mode,
            chain: ChainWriter::new(self.draft.page_size()),
            piece: Vec::new(),
            expected: size_hint,
        });
        Ok(ValueWriter { number })
    }
}

impl ValueWriter {
    /// Appends bytes to the value.
    ///
    /// # Errors
    /// `BadHandle`: the value belongs to another transaction; `TooBig`; `Io`, `NoSpace`, `NoMemory`, `Limit`,
    /// `Corrupt`: the transaction has failed; `TxnFailed`: it had failed before.
    pub fn write(&mut self, txn: &mut WriteTxn, bytes: &[u8]) -> Result<()> {
        txn.ready()?;
        let mut value = self.detach(txn)?;
        let appended = append(&mut value, txn, bytes);
        txn.unfinished.put_back(self.number, value);
        appended.map_err(|e| txn.draft.fail(e))
    }

    /// Ends the value and puts its entry.
    ///
    /// # Errors
    /// `BadHandle`: the value belongs to another transaction; those of [`WriteTxn::put`].
    pub fn finish(self, txn: &mut WriteTxn) -> Result<()> {
        txn.ready()?;
        let mut value = self.detach(txn)?;
        let at = match txn.open_to_write(value.table) {
            Ok(at) => at,
            Err(e) => {
                value.chain.cancel(&mut txn.pages);
                return Err(e);
            }
        };
        if value.chain.is_empty() && txn.draft.is_inline(&value.key, value.piece.len()) {
            return txn.put(value.table, &value.key, &value.piece, value.mode);
        }
        if let Err(e) = txn.draft.check_mode(at, &value.key, value.mode, &mut txn.pages) {
            value.chain.cancel(&mut txn.pages);
            return Err(e);
        }
        txn.draft.mark_changed();
        let mut written = Ok(());
        if !value.piece.is_empty() {
            written = value.write_piece(&mut txn.pages);
        }
        let finished = written.and_then(|()| value.chain.finish(&mut txn.pages));
        let chain = finished.map_err(|e| txn.draft.fail(e))?;
        let edit = Edit {
            key: &value.key,
            op: Op::Put(Stored::Chain(&chain)),
            is_greatest: false,
        };
        txn.draft.push(at, edit, &mut txn.pages)
    }

    /// Gives up the value, and gives its pages back.
    pub fn cancel(self, txn: &mut WriteTxn) {
        if let Ok(value) = self.detach(txn) {
            value.chain.cancel(&mut txn.pages);
        }
    }

    fn detach(&self, txn: &mut WriteTxn) -> Result<UnfinishedValue> {
        txn.unfinished.take(self.number).ok_or(Error::BadHandle(
            "a value writer of another transaction, or one that was begun behind a savepoint to which this one has \
                 gone back",
        ))
    }
}

/// Collects bytes, and writes each piece that is full.
fn append(value: &mut UnfinishedValue, txn: &mut WriteTxn, bytes: &[u8]) -> Result<()> {
    let mut left = bytes;
    while !left.is_empty() {
        let n = left.len().min(PIECE as usize - value.piece.len());
        let room = value.piece.try_reserve(n);
        room.map_err(|_| Error::NoMemory("a part of a value"))?;
        value.piece.extend_from_slice(&left[..n]);
        left = &left[n..];
        if value.piece.len() as u64 == PIECE {
            txn.draft.mark_changed();
            value.write_piece(&mut txn.pages)?;
        }
    }
    Ok(())
}
