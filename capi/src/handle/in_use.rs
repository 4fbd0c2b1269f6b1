//! From a handle to the engine's object, for the time of one call.

use crate::border::status::{Failure, Outcome, KV_READ_ONLY};
use crate::border::types::{kv_cursor, kv_db, kv_diff, kv_txn, kv_writer};
use crate::handle::about::of_parameter;
use crate::handle::objects::{
    CursorHandle, DbHandle, DiffHandle, DiffParent, Exclusive, Object, ReadHandle, Shared, Slot, WriteHandle,
    WriterHandle, HANDLES,
};
use crate::handle::token::{Kind, Token};
use kv_engine::Error;
use kv_engine::{Difference, ReadTxn, Reader, WriteTxn};

/// A database in use by this call.
pub(crate) struct DbUse(Shared);

impl DbUse {
    /// Takes the database into use.
    pub(crate) fn of(handle: *const kv_db) -> Outcome<DbUse> {
        HANDLES.share_counted(Token::of(handle), Kind::Db).map(DbUse)
    }

    /// Returns what stands behind the handle.
    pub(crate) fn get(&self) -> Outcome<&DbHandle> {
        self.0.object().db()
    }

    /// Returns what stands behind the handle, for a call that only tells figures: the engine does not look then whether
    /// this is a child that was made past the handlers of `fork()`, in which no handle is marked.
    pub(crate) fn for_figures(&self) -> Outcome<&DbHandle> {
        let db = self.get()?;
        db.db.check_fork()?;
        Ok(db)
    }
}

/// A transaction in use by this call.
pub(crate) enum TxnUse {
    Read(ReadUse),
    Write(WriteUse),
}

impl TxnUse {
    /// Takes a transaction of either kind into use.
    #[inline(always)]
    pub(crate) fn of(handle: *const kv_txn) -> Outcome<TxnUse> {
        match HANDLES.share(Token::of(handle), Kind::Read) {
            Ok(shared) => Ok(TxnUse::Read(ReadUse(shared))),
            Err(failure) => TxnUse::of_write(handle, failure),
        }
    }

    /// Does as [`TxnUse::of`] for a call that takes long: others who use a transaction that reads do not wait.
    pub(crate) fn of_long(handle: *const kv_txn) -> Outcome<TxnUse> {
        match HANDLES.share_long(Token::of(handle), Kind::Read) {
            Ok(shared) => Ok(TxnUse::Read(ReadUse(shared))),
            Err(failure) => TxnUse::of_write(handle, failure),
        }
    }

    #[inline(never)]
    fn of_write(handle: *const kv_txn, failure: Failure) -> Outcome<TxnUse> {
        if HANDLES.is(Token::of(handle), Kind::Write) {
            return WriteUse::of(handle).map(TxnUse::Write);
        }
        Err(failure)
    }

    /// Runs a call of the engine that reads, on either kind of transaction.
    #[inline]
    pub(crate) fn read<T>(&mut self, verb: impl FnOnce(&mut dyn Reader) -> Result<T, Error>) -> Outcome<T> {
        match self {
            TxnUse::Read(read) => {
                let mut txn: &ReadTxn = &read.get()?.txn;
                Ok(verb(&mut txn)?)
            }
            TxnUse::Write(write) => write.get()?.work(|txn| verb(txn)),
        }
    }

    /// Returns its slot, for children that are to be published.
    pub(crate) fn slot(&self) -> &'static Slot {
        match self {
            TxnUse::Read(read) => read.0.slot,
            TxnUse::Write(write) => write.0.slot,
        }
    }

    /// Returns the transaction for a call that compares it with another.
    fn state(&mut self) -> Outcome<TxnState<'_>> {
        Ok(match self {
            TxnUse::Read(read) => TxnState::Read(&read.get()?.txn),
            TxnUse::Write(write) => TxnState::Write(write.get()?),
        })
    }
}

/// A read transaction in use by this call, maybe beside others.
pub(crate) struct ReadUse(Shared);

impl ReadUse {
    /// Takes the transaction into use if it reads and no other call uses it; `None` says nothing about why.
    #[inline(always)]
    pub(crate) fn uncontended(handle: *const kv_txn) -> Option<ReadUse> {
        HANDLES.share_uncontended(Token::of(handle), Kind::Read).map(ReadUse)
    }

    /// Takes the transaction into use for a call that takes long: others who use it do not wait. One that writes is
    /// refused.
    pub(crate) fn of_long(handle: *const kv_txn) -> Outcome<ReadUse> {
        HANDLES
            .share_long(Token::of(handle), Kind::Read)
            .map(ReadUse)
            .or_else(|failure| {
                TxnUse::of_write(handle, failure)?;
                Err(Failure::invalid(
                    "this is a write transaction; begin one with KV_READ for this",
                ))
            })
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> Outcome<&ReadHandle> {
        self.0.object().read()
    }

    /// Returns the handle of the database that it belongs to.
    pub(crate) fn db(&self) -> *const kv_db {
        self.0.slot.parent().handle()
    }
}

/// A write transaction in use by this call, alone.
pub(crate) struct WriteUse(Exclusive);

impl WriteUse {
    /// Takes the transaction into use if it writes; one that reads answers `KV_READ_ONLY`.
    #[inline(always)]
    pub(crate) fn of(handle: *const kv_txn) -> Outcome<WriteUse> {
        match HANDLES.lock(Token::of(handle), Kind::Write) {
            Ok(locked) => Ok(WriteUse(locked)),
            Err(failure) => Err(not_writing(handle, failure)),
        }
    }

    /// Does as [`WriteUse::of`] if no other call uses the transaction; `None` says nothing about why.
    #[inline(always)]
    fn uncontended(handle: *const kv_txn) -> Option<WriteUse> {
        HANDLES.lock_uncontended(Token::of(handle), Kind::Write).map(WriteUse)
    }

    #[inline(always)]
    pub(crate) fn get(&mut self) -> Outcome<&mut WriteHandle> {
        self.0.object().write()
    }

    /// Returns what lies in the slot, to be put elsewhere.
    pub(crate) fn object(&mut self) -> &mut Object {
        self.0.object()
    }

    pub(crate) fn slot(&self) -> &'static Slot {
        self.0.slot
    }
}

/// Tells why a transaction cannot be written to: `failure`, unless it reads.
#[cold]
fn not_writing(handle: *const kv_txn, failure: Failure) -> Failure {
    match HANDLES.is(Token::of(handle), Kind::Read) {
        true => Failure::here(KV_READ_ONLY, "this is a read transaction; begin one with KV_WRITE"),
        false => failure,
    }
}

/// Runs a call of the engine that writes, on a write transaction.
#[inline]
pub(crate) fn write<T>(handle: *mut kv_txn, verb: impl FnOnce(&mut WriteTxn) -> Result<T, Error>) -> Outcome<T> {
    WriteUse::of(handle)?.get()?.work(verb)
}

/// Does as [`write`] with bytes of the caller, which may be bytes that the transaction has returned.
#[inline(always)]
pub(crate) fn write_bytes<T, const N: usize>(
    handle: *mut kv_txn,
    given: [&[u8]; N],
    verb: impl FnOnce(&mut WriteTxn, [&[u8]; N]) -> Result<T, Error>,
) -> Outcome<T> {
    WriteUse::of(handle)?.get()?.work_with(given, verb)
}

/// A cursor in use by this call, with its transaction.
pub(crate) struct CursorUse(Exclusive);

/// The transaction that a cursor's call works on.
pub(crate) enum CursorTxn<'a> {
    Read(&'a ReadHandle),
    Write(WriteUse),
}

impl CursorUse {
    /// Takes the cursor into use; `KV_BUSY` if another call uses it.
    #[inline(always)]
    pub(crate) fn of(handle: *mut kv_cursor) -> Outcome<CursorUse> {
        HANDLES.lock(Token::of(handle), Kind::Cursor).map(CursorUse)
    }

    /// Does as [`CursorUse::of`] if no other call uses the cursor; `None` says nothing about why.
    #[inline(always)]
    pub(crate) fn uncontended(handle: *mut kv_cursor) -> Option<CursorUse> {
        HANDLES.lock_uncontended(Token::of(handle), Kind::Cursor).map(CursorUse)
    }

    /// Returns the cursor and its transaction, if that reads.
    #[inline(always)]
    pub(crate) fn reading(&mut self) -> Option<(&mut CursorHandle, &ReadTxn)> {
        let cursor = self.0.object().cursor().ok()?;
        if cursor.of_write {
            return None;
        }
        // SAFETY: this call has locked a child of that slot, registered there until it is closed.
        let read = unsafe { cursor.parent.of_locked_child() }.read().ok()?;
        Some((cursor, &read.txn))
    }

    /// Returns the cursor and its transaction, if that writes and no other call uses it; `None` says nothing about why.
    #[inline(always)]
    pub(crate) fn writing(&mut self) -> Option<(&mut CursorHandle, WriteUse)> {
        let parent = self.0.slot.parent();
        let cursor = self.0.object().cursor().ok()?;
        if !cursor.of_write {
            return None;
        }
        WriteUse::uncontended(parent.handle()).map(|write| (cursor, write))
    }

    /// Returns the cursor and the transaction that it belongs to.
    #[inline]
    pub(crate) fn parts(&mut self) -> Outcome<(&mut CursorHandle, CursorTxn<'_>)> {
        let parent = self.0.slot.parent();
        let cursor = self.0.object().cursor()?;
        let txn = if cursor.of_write {
            CursorTxn::Write(WriteUse::of(parent.handle())?)
        } else {
            // SAFETY: this call has locked a child of that slot, registered there until it is closed.
            CursorTxn::Read(unsafe { cursor.parent.of_locked_child() }.read()?)
        };
        Ok((cursor, txn))
    }

    /// Returns the cursor and its transaction, for a write.
    pub(crate) fn for_write(&mut self) -> Outcome<(&mut CursorHandle, WriteUse)> {
        match self.parts()? {
            (cursor, CursorTxn::Write(write)) => Ok((cursor, write)),
            _ => Err(Failure::here(
                KV_READ_ONLY,
                "this is a cursor of a read transaction; begin one with KV_WRITE",
            )),
        }
    }
}

/// Two transactions in use by this call, whose states it compares.
pub(crate) struct TwoTxns {
    before: TxnUse,
    after: TxnUse,
    tokens: [Token; 2],
}

impl TwoTxns {
    /// Takes both transactions into use. They may be one, if it reads. Nobody who uses one that reads waits for this
    /// call, so two calls that take the same two in different orders do not wait for each other.
    pub(crate) fn of(before: *const kv_txn, after: *const kv_txn) -> Outcome<TwoTxns> {
        let first = TxnUse::of_long(before).map_err(|failure| of_parameter(failure, "before"))?;
        if matches!(first, TxnUse::Write(_)) && std::ptr::eq(before, after) {
            return Err(Failure::invalid(
                "before and after: they are one write transaction; give a read transaction of an earlier commit as before",
            ));
        }
        Ok(TwoTxns {
            before: first,
            after: TxnUse::of_long(after).map_err(|failure| of_parameter(failure, "after"))?,
            tokens: [before, after].map(Token::of),
        })
    }

    /// Runs a call of the engine that reads both.
    pub(crate) fn read<T>(
        &mut self,
        verb: impl FnOnce(&mut dyn Reader, &mut dyn Reader) -> Result<T, Error>,
    ) -> Outcome<T> {
        read_two(self.before.state()?, self.after.state()?, verb)
    }

    /// Returns what stands behind the handle of a difference of these two.
    pub(crate) fn diff(&self, difference: Difference) -> DiffHandle {
        let parent = |usage: &TxnUse, token| DiffParent {
            token,
            slot: usage.slot(),
            writes: matches!(usage, TxnUse::Write(_)),
        };
        DiffHandle {
            difference,
            before: parent(&self.before, self.tokens[0]),
            after: parent(&self.after, self.tokens[1]),
        }
    }
}

/// One of two transactions whose states a call compares.
enum TxnState<'a> {
    Read(&'a ReadTxn),
    Write(&'a mut WriteHandle),
}

/// Runs a call of the engine that reads two transactions.
fn read_two<T>(
    before: TxnState<'_>,
    after: TxnState<'_>,
    verb: impl FnOnce(&mut dyn Reader, &mut dyn Reader) -> Result<T, Error>,
) -> Outcome<T> {
    match (before, after) {
        (TxnState::Read(mut before), TxnState::Read(mut after)) => Ok(verb(&mut before, &mut after)?),
        (TxnState::Read(mut before), TxnState::Write(after)) => after.work(|after| verb(&mut before, after)),
        (TxnState::Write(before), TxnState::Read(mut after)) => before.work(|before| verb(before, &mut after)),
        (TxnState::Write(_), TxnState::Write(_)) => Err(Failure::invalid(
            "before and after: both are write transactions, so they are of different databases; give two of one database, \
             of which one reads",
        )),
    }
}

/// A difference in use by this call, with its transactions.
pub(crate) struct DiffUse(Exclusive);

impl DiffUse {
    /// Takes the difference into use; `KV_BUSY` if another call uses it.
    pub(crate) fn of(handle: *mut kv_diff) -> Outcome<DiffUse> {
        HANDLES.lock(Token::of(handle), Kind::Diff).map(DiffUse)
    }

    /// Runs a call of the engine on the difference and its transactions; `KV_BUSY` if another call uses one that
    /// writes.
    pub(crate) fn work<T>(
        &mut self,
        verb: impl FnOnce(&mut Difference, &mut dyn Reader, &mut dyn Reader) -> Result<T, Error>,
    ) -> Outcome<T> {
        let DiffHandle {
            difference,
            before,
            after,
        } = self.0.object().diff()?;
        let (mut of_before, mut of_after) = (writing_parent(before)?, writing_parent(after)?);
        let before = parent_state(before, &mut of_before)?;
        let after = parent_state(after, &mut of_after)?;
        read_two(before, after, |before, after| verb(difference, before, after))
    }
}

/// Takes the transaction of a difference into use, if it writes.
fn writing_parent(parent: &DiffParent) -> Outcome<Option<WriteUse>> {
    match parent.writes {
        true => WriteUse::of(parent.token.handle()).map(Some),
        false => Ok(None),
    }
}

/// Returns the transaction of a difference that this call has locked.
fn parent_state<'a>(parent: &DiffParent, writing: &'a mut Option<WriteUse>) -> Outcome<TxnState<'a>> {
    match writing {
        Some(write) => Ok(TxnState::Write(write.get()?)),
        // SAFETY: this call has locked a child of that slot, registered there until it is closed.
        None => Ok(TxnState::Read(&unsafe { parent.slot.of_locked_child() }.read()?.txn)),
    }
}

/// A writer in use by this call, with its transaction.
pub(crate) struct WriterUse {
    writer: Exclusive,
    txn: WriteUse,
}

impl WriterUse {
    /// Takes the writer and its transaction into use; `KV_BUSY` if another call uses either.
    pub(crate) fn of(handle: *mut kv_writer) -> Outcome<WriterUse> {
        let writer = HANDLES.lock(Token::of(handle), Kind::Writer)?;
        let txn = WriteUse::of(writer.slot.parent().handle())?;
        Ok(WriterUse { writer, txn })
    }

    /// Returns the writer and its transaction.
    pub(crate) fn parts(&mut self) -> Outcome<(&mut WriterHandle, &mut WriteHandle)> {
        Ok((self.writer.object().writer()?, self.txn.get()?))
    }
}
