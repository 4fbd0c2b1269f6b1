//! Chapter "savepoints": going back within a write transaction, and transactions nested in it.

use crate::border::arg::{handle_out, maybe, out};
use crate::border::error::{guard, guard_end, guard_open};
use crate::border::status::{kv_status, Outcome};
use crate::border::types::kv_txn;
use crate::handle::about::about;
use crate::handle::in_use::{write, WriteUse};
use crate::handle::objects::{Object, HANDLES};
use crate::handle::owned::this_thread;
use crate::handle::token::{Kind, Token};
use kv_engine::{Savepoint, WriteTxn};

/// Makes a savepoint of a write transaction as it is, to which kv_savepoint_rollback() goes back.
///
/// There may be any number of savepoints. The end of the transaction ends them. A savepoint applies the edits that were
/// collected, as counting does, and its cost grows with the number of tables that the transaction has used. If many
/// pages were changed before it, it writes them to the file. What is changed afterwards takes a copy of each page
/// concerned, once for each savepoint, and these copies stay in memory, as do some 150 bytes for each of these tables.
/// Bytes that the transaction returned are no longer valid.
///
/// @param savepoint  Receives its number, which is not 0, and which no other savepoint of this process has.
/// @return KV_OK; KV_INVALID (a kv_writer of the transaction is open); KV_READ_ONLY (a read transaction); KV_CHILD_OPEN
///         (a nested transaction is open); KV_NO_MEMORY, KV_NO_SPACE, KV_IO, KV_CORRUPT, KV_LIMIT (the transaction has
///         failed); KV_TXN_FAILED; KV_BUSY, KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_savepoints
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_savepoint_create(txn: *mut kv_txn, savepoint: *mut u64) -> kv_status {
    guard(c"kv_savepoint_create", about(txn), || {
        // SAFETY: NULL or writable.
        let savepoint = unsafe { out(savepoint, "savepoint")? };
        savepoint.set(write(txn, WriteTxn::savepoint_create)?.get());
        Ok(())
    })
}

/// Goes back to a savepoint: everything that the transaction wrote since is undone, and later savepoints are gone. The
/// savepoint itself stays, and can be gone back to again.
///
/// A transaction that has failed since (KV_TXN_FAILED), by a full disk for instance, goes on; only after KV_PANIC it
/// cannot. Cursors stay at their keys. Bytes that the transaction returned are no longer valid. A kv_writer that was
/// opened since has nothing to write any more, and is closed by kv_writer_close() or with the transaction.
///
/// @param savepoint  From kv_savepoint_create().
/// @return KV_OK; KV_INVALID (the transaction has no such savepoint, or it was made outside this nested transaction);
///         KV_READ_ONLY, KV_CHILD_OPEN; KV_NO_MEMORY (nothing was undone; to abort needs none); KV_TXN_FAILED (after
///         KV_PANIC); KV_BUSY, KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_savepoints
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_savepoint_rollback(txn: *mut kv_txn, savepoint: u64) -> kv_status {
    guard_end(c"kv_savepoint_rollback", about(txn), || {
        WriteUse::of(txn)?
            .get()?
            .go_back(|txn| txn.savepoint_rollback(Savepoint::from_number(savepoint)))
    })
}

/// Forgets a savepoint and all later ones. What was written since stays written, and the memory that they took is free.
/// Bytes that the transaction returned are no longer valid.
///
/// @param savepoint  From kv_savepoint_create().
/// @return KV_OK; KV_INVALID, KV_READ_ONLY, KV_CHILD_OPEN as kv_savepoint_rollback(); KV_TXN_FAILED (the transaction
///         can only go back or be aborted); KV_BUSY, KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_savepoints
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_savepoint_release(txn: *mut kv_txn, savepoint: u64) -> kv_status {
    guard_end(c"kv_savepoint_release", about(txn), || {
        write(txn, |txn| txn.savepoint_release(Savepoint::from_number(savepoint)))
    })
}

/// Begins a transaction within a write transaction. kv_txn_commit() makes what it wrote part of the outer transaction,
/// and kv_txn_abort() undoes it; neither touches the file, and the commit of the outermost transaction is the one that
/// counts.
///
/// The nested transaction sees what the outer one has written, and is used like any write transaction; others may be
/// nested in it, to any depth. While it is open, the outer transaction and its cursors can only be ended and closed:
/// every other call on them is KV_CHILD_OPEN. To abort the outer transaction aborts the nested one, whose handle is
/// released; to commit it is KV_CHILD_OPEN, and aborts both. If the nested transaction fails, by a full disk for
/// instance, the outer one goes on without it; only where memory has run out, the commit of the outer one may answer
/// KV_NO_MEMORY as well. To nest one costs what kv_savepoint_create() does. The two may be used on different threads.
///
/// The commit of a nested transaction has no number: kv_txn_commit() tells the number of the commit on which the
/// outermost one builds.
///
/// @param outer   A write transaction, in which no kv_writer is open. Bytes that it returned are no longer valid.
/// @param nested  Receives the handle, which kv_txn_commit() or kv_txn_abort() releases.
/// @return KV_OK; what kv_savepoint_create() returns; KV_LIMIT (too many handles).
/// @ingroup kv_savepoints
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_txn_nest(outer: *mut kv_txn, nested: *mut *mut kv_txn) -> kv_status {
    // SAFETY: NULL or writable, as described above.
    let handle = unsafe { maybe(nested) };
    guard_open(c"kv_txn_nest", about(outer), handle, || {
        // SAFETY: a pointer of the caller, as described above.
        let nested = unsafe { handle_out(nested, "nested")? };
        nested.set(nest(outer)?.handle());
        Ok(())
    })
}

/// Begins a nested transaction, which takes the object of the outer one with it into its own slot.
fn nest(outer: *mut kv_txn) -> Outcome<Token> {
    let mut outside = WriteUse::of(outer)?;
    let (token, slot) = HANDLES.publish(Kind::Write, outside.slot().parent(), |vacant| {
        outside.get()?.begin_nested(Token::of(outer))?;
        Ok(vacant.fill(std::mem::take(outside.object())))
    })?;
    slot.set_thread(this_thread());
    *outside.object() = Object::Nesting(token);
    Ok(token)
}
