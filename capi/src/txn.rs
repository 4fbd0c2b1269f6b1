//! Chapter "transactions".

use crate::border::arg::{self, handle_out, maybe, out, Given, Growing};
use crate::border::error::{guard_end, guard_in_memory, guard_open, guard_void};
use crate::border::flags::{known, no_choice, KV_READ, KV_TXN_NOWAIT, KV_WRITE};
use crate::border::status::{
    kv_status, Failure, Outcome, KV_BUSY, KV_CHILD_OPEN, KV_DEADLOCK, KV_INVALID, KV_NOTFOUND,
};
use crate::border::types::{durability, kv_db, kv_slice, kv_txn};
use crate::handle::about::{about, of_database};
use crate::handle::children::lock_children;
use crate::handle::end::{abort, end, Ended};
use crate::handle::in_use::{DbUse, TxnUse};
use crate::handle::nested::end_nested;
use crate::handle::objects::{DbHandle, Object, ReadHandle, WriteHandle, HANDLES};
use crate::handle::owned::this_thread;
use crate::handle::token::{Kind, Kinds, Token};
use kv_engine::{CommitId, Error, Quoted, ReadAt, ReadTxn, Wait, WriteOptions, WriteTxn};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How to begin a transaction; start from KV_TXN_OPTIONS_INIT. The last three are for read transactions, and at most
/// one of them can be given; the others change nothing about read transactions.
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
    /// With KV_READ, the name of a snapshot (kv_snapshot_create()): the transaction sees that state. {NULL, 0} = none.
    /// An empty name that is not NULL is KV_INVALID, since no snapshot has it, and so is that of a mark, whose state is
    /// not kept (kv_snapshot_ranges()).
    pub snapshot: kv_slice,
    /// With KV_READ, the number of a commit: the transaction sees the newest state that is no newer, of those that are
    /// kept: the newest of all, and those of snapshots. 0 = none.
    pub commit: u64,
    /// With KV_READ, a time in nanoseconds since 1970 (UTC): the transaction sees the newest state that is no later, of
    /// those that are kept. 0 = none.
    pub time: u64,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers and slices alike.
unsafe impl Growing for kv_txn_options {}

/// Returns what the options of a transaction ask for, if it is one that writes, and if it is one that reads.
///
/// # Safety
/// The pointer is to as many readable bytes as the first field says, and the slice spans readable bytes.
#[inline(never)]
unsafe fn choices<'a>(options: *const kv_txn_options) -> Outcome<(WriteOptions, Option<ReadAt<'a>>)> {
    // SAFETY: passed on.
    let given = unsafe { arg::options(options)? };
    // SAFETY: passed on.
    Ok((write_options(&given)?, unsafe { read_at(&given)? }))
}

/// Returns which earlier state a read transaction is to see; `None`: the newest.
///
/// # Safety
/// The slice spans readable bytes.
#[inline(always)]
unsafe fn read_at<'a>(given: &kv_txn_options) -> Outcome<Option<ReadAt<'a>>> {
    match given.snapshot.unused() && given.commit == 0 && given.time == 0 {
        true => Ok(None),
        // SAFETY: passed on.
        false => unsafe { read_at_earlier(given) },
    }
}

/// Returns which of the earlier states is meant.
///
/// # Safety
/// The slice spans readable bytes.
#[cold]
#[inline(never)]
unsafe fn read_at_earlier<'a>(given: &kv_txn_options) -> Outcome<Option<ReadAt<'a>>> {
    // SAFETY: passed on.
    let name = unsafe { given.snapshot.bytes(Given::SNAPSHOT)? };
    let mut states = [
        (!given.snapshot.unused()).then_some(ReadAt::Snapshot(name)),
        (given.commit != 0).then_some(ReadAt::Commit(CommitId::new(given.commit))),
        (given.time != 0).then_some(ReadAt::Time(given.time)),
    ]
    .into_iter()
    .flatten();
    match (states.next(), states.next()) {
        (at, None) => Ok(at),
        _ => Err(Failure::invalid(
            "begin: `snapshot`, `commit` and `time` exclude each other; give one of them",
        )),
    }
}

/// Begins a read transaction on an earlier state.
#[cold]
#[inline(never)]
fn begin_earlier(database: &DbHandle, at: ReadAt<'_>) -> Outcome<Box<ReadTxn>> {
    let begun = database.db.begin_read_at(at);
    begun.map(Box::new).map_err(|error| {
        // There is nothing before what is looked for, so the first of all that are kept comes next.
        let kept = database.db.kept_around(CommitId::NONE);
        not_kept(at, error, kept.ok().and_then(|(_, oldest)| oldest))
    })
}

/// Says that no snapshot has a name.
#[cold]
pub(crate) fn no_snapshot(name: &[u8]) -> Failure {
    let message = format!(
        "there is no snapshot {}; look at the names that KV_SNAPSHOTS has",
        Quoted(name)
    );
    Failure::Here(KV_NOTFOUND, message.into())
}

/// Says of which state nothing is kept, and which one is the oldest.
#[cold]
fn not_kept(at: ReadAt<'_>, failure: Error, oldest: Option<CommitId>) -> Failure {
    let what = match (failure, at) {
        (Error::NotFound, ReadAt::Snapshot(name)) => return no_snapshot(name),
        (Error::NotFound, ReadAt::Commit(id)) => format!("no state is kept that is as old as commit {id}"),
        (Error::NotFound, ReadAt::Time(_)) => "no state is kept that is as old as this time".to_string(),
        (Error::Invalid(what), ReadAt::Snapshot(_)) => {
            let message = format!("begin: `snapshot`: {what}; leave it out to read the newest state");
            return Failure::Here(KV_INVALID, message.into());
        }
        (other, _) => return other.into(),
    };
    let oldest = oldest.map_or(String::new(), |id| format!(" (the oldest that is kept is commit {id})"));
    let message = format!("{what}{oldest}; look at the snapshots that KV_SNAPSHOTS has");
    Failure::Here(KV_NOTFOUND, message.into())
}

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
            // One in which another is open has none of its own, and that one is among these.
            if locked.object().write().is_ok_and(|write| write.file == database.file) {
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
/// A read transaction sees the newest visible commit, or the earlier one that the options ask for, and goes on seeing
/// exactly that. A write transaction sees the newest commit and what it writes itself. It waits until no other write
/// transaction of the database is open, in any process. If the disk is full and few pages are free, beginning one first
/// makes pages free that only wait for a sync: it syncs, and makes and syncs a commit that changes nothing.
///
/// @param kind     KV_READ or KV_WRITE.
/// @param options  NULL = all defaults. Copied.
/// @param txn      Receives the handle, which kv_txn_commit(), kv_txn_commit_async() or kv_txn_abort() releases.
/// @return KV_OK; KV_BUSY (the time to wait is over); KV_CANCELLED (kv_interrupt, kv_close); KV_DEADLOCK (this thread
///         was the last to use the open write transaction, so it would wait for itself); KV_READ_ONLY; KV_LIMIT (too
///         many readers or handles); KV_POISONED; KV_IO, KV_NO_SPACE (it writes first if a crash left torn commits);
///         KV_NO_LOCKS; KV_NOTFOUND (no snapshot has the name, or none is as old as the commit or the time); KV_TOO_BIG
///         (the name), KV_CORRUPT (the list of snapshots); KV_INVALID; KV_BAD_HANDLE, KV_FORKED.
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
        let (options, at) = match options.is_null() {
            true => (WriteOptions::default(), None),
            // SAFETY: a struct of at least the size it states, with a slice that spans readable bytes.
            false => unsafe { choices(options)? },
        };
        let (token, slot) = match kind {
            KV_READ => HANDLES.publish(Kind::Read, Token::of(db), |vacant| {
                if let Some(at) = at {
                    return begin_earlier(database, at).map(|txn| vacant.fill(Object::Read(ReadHandle::new(*txn))));
                }
                let begun = database
                    .db
                    .begin_read_with(|txn| vacant.fill(Object::Read(ReadHandle::new(txn))));
                Ok(begun?)
            })?,
            KV_WRITE if at.is_some() => {
                return Err(Failure::invalid(
                    "begin: a write transaction builds on the newest state; `snapshot`, `commit` and `time` are for KV_READ",
                ))
            }
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

#[cold]
fn child_open() -> Failure {
    Failure::here(
        KV_CHILD_OPEN,
        "a writer or a nested transaction was open, so the transaction was aborted; end each of them first",
    )
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
                    let all_ended = match unfinished {
                        0 => Ok(()),
                        _ => Err(child_open()),
                    };
                    if let Some(outer) = write.outer() {
                        let base = write.base();
                        end_nested(write, outer, &closing, all_ended.is_ok())?;
                        return all_ended.map(|()| base);
                    }
                    write.usable()?;
                    all_ended?;
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
        guard_void(c"kv_txn_abort", about(txn), || abort(Token::of(txn)));
    }
}

/// Moves a read transaction to the newest visible commit, also one that sees an earlier state. Its cursors stay at
/// their keys. Bytes that it returned are no longer valid.
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
