//! Chapter "transactions".

use crate::border::arg::{self, handle_out, maybe, out, Growing};
use crate::border::error::{guard_end, guard_in_memory, guard_open, guard_void};
use crate::border::flags::{known, no_choice, KV_READ, KV_TXN_NOWAIT, KV_WRITE};
use crate::border::status::{kv_status, Failure, Outcome, KV_BUSY, KV_CHILD_OPEN, KV_DEADLOCK};
use crate::border::types::{durability, kv_db, kv_txn};
use crate::handle::about::{about, of_database};
use crate::handle::children::lock_children;
use crate::handle::end::{end, Ended};
use crate::handle::in_use::{this_thread, DbUse, TxnUse};
use crate::handle::objects::{DbHandle, Object, ReadHandle, WriteHandle, HANDLES};
use crate::handle::token::{Kind, Kinds, Token};
use kv_engine::Error;
use kv_engine::{CommitId, Wait, WriteOptions, WriteTxn};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How to begin a transaction; start from KV_TXN_OPTIONS_INIT. In this version, they change nothing about read
/// transactions.
///
/// @ingroup kv_transactions
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_txn_options {
    /// sizeof(kv_txn_options), set by KV_TXN_OPTIONS_INIT.
    pub struct_size: u32,
    /// KV_TXN_... flags; 0 = none.
    pub flags: u32,
    /// KV_DURABILITY_...: of the commit; 0 = as the database was opened.
    pub durability: u32,
    /// Zero.
    pub reserved: u32,
    /// Milliseconds to wait for another write transaction to end; 0 = as the database was opened, less than 0 = for
    /// ever. Not to wait at all is KV_TXN_NOWAIT.
    pub wait_ms: i64,
    /// Bytes of edits that are collected before they are applied; 0 = as the database was opened.
    pub write_memory: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_txn_options {}

fn write_options(given: &kv_txn_options) -> Outcome<WriteOptions> {
    known(given.flags, KV_TXN_NOWAIT)?;
    if given.reserved != 0 {
        return Err(Failure::invalid(
            "begin: the reserved field is not zero (start from KV_TXN_OPTIONS_INIT)",
        ));
    }
    let write_memory = usize::try_from(given.write_memory)
        .map_err(|_| Failure::invalid("begin: `write_memory` is beyond the address space"))?;
    Ok(WriteOptions {
        wait: match given.wait_ms {
            _ if given.flags & KV_TXN_NOWAIT != 0 => Some(Wait::Try),
            0 => None,
            1.. => Some(Wait::For(Duration::from_millis(given.wait_ms.unsigned_abs()))),
            _ => Some(Wait::Forever),
        },
        durability: durability(given.durability)?,
        write_memory: (write_memory != 0).then_some(write_memory),
    })
}

/// Begins a write transaction; a thread that would wait for itself is told so.
pub(crate) fn begin_write(database: &DbHandle, options: WriteOptions) -> Outcome<WriteTxn> {
    if let Some(stale_readers) = &database.stale_readers {
        stale_readers.look(&database.db);
    }
    let try_first = WriteOptions {
        wait: Some(Wait::Try),
        ..options
    };
    match database.db.begin_write(try_first) {
        Err(Error::Busy(_)) if options.wait != Some(Wait::Try) => {}
        answer => return Ok(answer?),
    }
    not_waiting_for_itself(database)?;
    Ok(database.db.begin_write(options)?)
}

/// `KV_DEADLOCK` if the open write transaction of this file was last used by this thread, which is about to wait for
/// it.
pub(crate) fn not_waiting_for_itself(database: &DbHandle) -> Outcome {
    let me = this_thread();
    let mine = HANDLES.search(Kinds::of(&[Kind::Write]), |slot| slot.thread() == me);
    for token in mine {
        // A slot used last by this thread is not in use by another: trying is enough.
        if let Ok(mut locked) = HANDLES.lock(token, Kind::Write) {
            if locked.object().write()?.file == database.file {
                return Err(Failure::here(
                    KV_DEADLOCK,
                    "this thread has a write transaction of this database open and would wait for itself; end that one first",
                ));
            }
        }
    }
    Ok(())
}

/// Begins a transaction.
///
/// A read transaction sees the newest visible commit, and goes on seeing exactly that. A write transaction sees the
/// newest commit and what it writes itself. It waits until no other write transaction of the database is open, in any
/// process. If the disk is full and few pages are free, beginning one first makes pages free that only wait for a sync:
/// it syncs, and makes and syncs a commit that changes nothing.
///
/// @param kind     KV_READ or KV_WRITE.
/// @param options  NULL = all defaults. Copied.
/// @param txn      Receives the handle, which kv_txn_commit(), kv_txn_commit_async() or kv_txn_abort() releases.
/// @return KV_OK; KV_BUSY (the time to wait is over); KV_CANCELLED (kv_interrupt, kv_close); KV_DEADLOCK (this thread
///         was the last to use the open write transaction, so it would wait for itself); KV_READ_ONLY; KV_LIMIT (too
///         many readers or handles); KV_POISONED; KV_IO, KV_NO_SPACE (it writes first if a crash left torn commits);
///         KV_NO_LOCKS; KV_INVALID; KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_transactions
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_txn_begin(
    db: *mut kv_db,
    kind: u32,
    options: *const kv_txn_options,
    txn: *mut *mut kv_txn,
) -> kv_status {
    // SAFETY: NULL or writable, as described above.
    let handle = unsafe { maybe(txn) };
    guard_open(c"kv_txn_begin", about(db), handle, || {
        // SAFETY: pointers of the caller, as described above.
        let txn = unsafe { handle_out(txn, "txn")? };
        let database = DbUse::of(db)?;
        let database = database.get()?;
        // SAFETY: NULL or a struct of at least the size it states.
        let options = unsafe { arg::options(options)? };
        let options = write_options(&options)?;
        let (token, slot) = match kind {
            KV_READ => HANDLES.publish(Kind::Read, Token::of(db), |vacant| {
                let begun = database
                    .db
                    .begin_read_with(|txn| vacant.fill(Object::Read(ReadHandle::new(txn))));
                Ok(begun?)
            })?,
            KV_WRITE => HANDLES.publish(Kind::Write, Token::of(db), |vacant| {
                let write = WriteHandle::new(begin_write(database, options)?, database.file);
                Ok(vacant.fill(Object::Write(Box::new(write))))
            })?,
            other => return Err(no_choice("kind", other, &[KV_READ, KV_WRITE])),
        };
        if kind == KV_WRITE {
            slot.set_thread(this_thread());
        }
        txn.set(token.handle());
        Ok(())
    })
}

/// Commits a transaction and ends it. It ends a read transaction as well, which has nothing to commit.
///
/// The cursors of the transaction are closed, and bytes that it returned are no longer valid. If a kv_writer of the
/// transaction is neither finished nor closed, nothing is committed.
///
/// @param txn        Released whatever is returned, except after KV_BUSY.
/// @param commit_id  Receives the number of the commit; of a transaction that changed nothing, the number of the one
///                   that it read. May be NULL.
/// @return KV_OK: the commit is visible, and durable if that is its durability; KV_CHILD_OPEN, KV_TXN_FAILED (the
///         transaction was aborted); KV_NO_SPACE, KV_IO, KV_CORRUPT, KV_NO_LOCKS, KV_NO_MEMORY, KV_LIMIT (the
///         transaction was aborted, and the database is as before); KV_IN_DOUBT (the commit may or may not survive),
///         KV_POISONED; KV_PANIC (nothing was committed); KV_BUSY (called in a callback of a call that reads the
///         transaction: nothing was done); KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_transactions
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_txn_commit(txn: *mut kv_txn, commit_id: *mut u64) -> kv_status {
    guard_end(c"kv_txn_commit", about(txn), || {
        // SAFETY: passed on.
        unsafe { commit(txn, commit_id, WriteTxn::commit) }
    })
}

/// Commits a transaction and ends it, without waiting until the commit is durable.
///
/// A commit with KV_DURABILITY_FULL is visible to nobody, not even to the one who made it, before it is durable. One
/// with KV_DURABILITY_LAZY is visible at once, unless one with KV_DURABILITY_FULL on which it builds is not durable
/// yet. No thread works behind the caller's back: the commit becomes durable by kv_wait_durable(), by a later full
/// commit, by kv_sync() or by kv_close(), so that one sync can serve many commits.
///
/// @param txn        Released whatever is returned, except after KV_BUSY.
/// @param commit_id  Receives the number of the commit, for kv_wait_durable(); may be NULL.
/// @return As kv_txn_commit().
/// @ingroup kv_transactions
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_txn_commit_async(txn: *mut kv_txn, commit_id: *mut u64) -> kv_status {
    guard_end(c"kv_txn_commit_async", about(txn), || {
        // SAFETY: passed on.
        unsafe { commit(txn, commit_id, WriteTxn::commit_async) }
    })
}

/// Ends a transaction, a write transaction by `finish`.
///
/// # Safety
/// `commit_id` is NULL or writable.
unsafe fn commit(
    txn: *mut kv_txn,
    commit_id: *mut u64,
    finish: fn(WriteTxn) -> kv_engine::Result<CommitId>,
) -> Outcome {
    // SAFETY: NULL or writable.
    let commit_id = unsafe { maybe(commit_id) };
    let token = Token::of(txn);
    let id = if HANDLES.is(token, Kind::Read) {
        let id = TxnUse::of(txn)?.read(|txn| Ok(txn.id()))?;
        end(token)?;
        id
    } else {
        match end(token)? {
            Ended::Write(mut write, unfinished, closing) => {
                let finish = || {
                    write.usable()?;
                    if unfinished != 0 {
                        return Err(Failure::here(
                            KV_CHILD_OPEN,
                            "a writer was neither finished nor closed, so the transaction was aborted; end each writer first",
                        ));
                    }
                    Ok(finish(write.into_txn())?)
                };
                // The handle leads nowhere afterwards, so the file is named here.
                let id = finish().map_err(|failure| of_database(failure, closing.slot.parent()))?;
                drop(closing);
                id
            }
            // A reader whose database was closed: its bytes are released, but there is nothing to answer.
            Ended::Read => {
                return Err(Failure::Engine(Error::BadHandle(
                    "the database of this reader is closed",
                )))
            }
        }
    };
    if let Some(commit_id) = commit_id {
        commit_id.set(id.get());
    }
    Ok(())
}

/// Ends a transaction and undoes what it wrote. Its cursors and writers are closed, and bytes that it returned are no
/// longer valid.
///
/// A handle that is NULL or ended already is ignored, so that one exit path serves success and failure. In a callback
/// of a call that reads the transaction, nothing is done, and kv_error_detail() tells KV_BUSY.
///
/// @ingroup kv_transactions
#[no_mangle]
pub unsafe extern "C" fn kv_txn_abort(txn: *mut kv_txn) {
    if !txn.is_null() {
        guard_void(c"kv_txn_abort", about(txn), || end(Token::of(txn)).map(drop));
    }
}

/// Moves a read transaction to the newest visible commit. Its cursors stay at their keys. Bytes that it returned are no
/// longer valid.
///
/// @return KV_OK; KV_BUSY (another call uses the transaction or a cursor of it, or buffers of kv_get_buf() still keep
///         this snapshot); KV_INVALID (a write transaction); KV_POISONED, KV_IO, KV_LIMIT (the transaction goes on with
///         its commit, or with one that was made during the call); KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_transactions
#[no_mangle]
pub unsafe extern "C" fn kv_txn_refresh(txn: *mut kv_txn) -> kv_status {
    guard_in_memory(c"kv_txn_refresh", about(txn), || {
        let token = Token::of(txn);
        let mut locked = HANDLES
            .lock(token, Kind::Read)
            .map_err(|failure| match HANDLES.is(token, Kind::Write) {
                true => Failure::invalid("refresh: a write transaction sees the newest commit already"),
                false => failure,
            })?;
        let _children = lock_children(locked.slot)?;
        let read = locked.object().read_mut()?;
        let extras = read.extras.get_mut().unwrap_or_else(PoisonError::into_inner);
        if extras.kept.as_ref().is_some_and(|kept| Arc::strong_count(kept) > 1) {
            return Err(Failure::here(
                KV_BUSY,
                "refresh: buffers hold values of this snapshot; release them first",
            ));
        }
        read.txn.refresh()?;
        extras.notes.clear();
        Ok(())
    })
}

/// Tells which commit a transaction reads; of a write transaction, the one that it builds upon.
///
/// @param id  Receives the number of the commit.
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_BUSY (a write transaction in use by another thread); KV_INVALID (id is
///         NULL); KV_TXN_FAILED.
/// @ingroup kv_transactions
#[no_mangle]
pub unsafe extern "C" fn kv_txn_id(txn: *const kv_txn, id: *mut u64) -> kv_status {
    guard_in_memory(c"kv_txn_id", about(txn), || {
        // SAFETY: NULL or writable.
        let id = unsafe { out(id, "id")? };
        id.set(TxnUse::of(txn)?.read(|txn| Ok(txn.id()))?.get());
        Ok(())
    })
}
