//! Chapter "snapshots": states of the database that have a name.

use crate::border::arg::{self, maybe, Given, Growing};
use crate::border::error::guard;
use crate::border::flags::{known, KV_SNAPSHOT_KEEP, KV_SNAPSHOT_MARK, KV_SNAPSHOT_REPLACE, KV_SNAPSHOT_YIELD};
use crate::border::status::{kv_status, Failure, Outcome, KV_INVALID, KV_NOTFOUND};
use crate::border::types::{kv_db, kv_slice, kv_table, kv_txn};
use crate::handle::about::about;
use crate::handle::in_use::{self, DbUse, ReadUse, TxnUse};
use crate::handle::objects::HANDLES;
use crate::handle::token::{Kind, Token};
use crate::txn::{begin_write, no_snapshot, not_waiting_for_itself};
use kv_engine::{Db, Error, Quoted, ReadTxn, Reader, SnapshotInfo, SnapshotOptions, TableId, WriteOptions, WriteTxn};
use std::ffi::c_void;

/// The read-only list of the snapshots. It is read like any table: the keys are the names, and kv_stat_snapshot() tells
/// what a value says. Keys that begin with a byte 0 are the library's own, so a list of all names is that of
/// kv_range {KV_RANGE_FROM, from = "\1"}. Transactions that read a snapshot have no such table.
/// @ingroup kv_snapshots
pub const KV_SNAPSHOTS: kv_table = 2;

const _: () = assert!(KV_SNAPSHOTS == TableId::SNAPSHOTS.get());

/// How to create a snapshot; start from KV_SNAPSHOT_OPTIONS_INIT.
///
/// @ingroup kv_snapshots
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_snapshot_options {
    /// sizeof(kv_snapshot_options), set by KV_SNAPSHOT_OPTIONS_INIT.
    pub struct_size: u32,
    /// KV_SNAPSHOT_... flags; 0 = none.
    pub flags: u32,
    /// Bytes that the program attaches to the snapshot, at most 1024.
    pub note: kv_slice,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers and slices alike.
unsafe impl Growing for kv_snapshot_options {}

/// What is recorded of a snapshot, filled by kv_stat_snapshot(); start from KV_SNAPSHOT_STAT_INIT.
///
/// @ingroup kv_snapshots
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_snapshot_stat {
    /// sizeof(kv_snapshot_stat), set by KV_SNAPSHOT_STAT_INIT.
    pub struct_size: u32,
    /// KV_SNAPSHOT_KEEP, KV_SNAPSHOT_YIELD, KV_SNAPSHOT_MARK. Later versions may have more flags.
    pub flags: u32,
    /// Number of the commit whose state it is.
    pub commit: u64,
    /// When that commit was made, in nanoseconds since 1970 (UTC).
    pub time: u64,
    /// What tells this state from every other, also in copies of the file. All snapshots of one commit have the same.
    pub guid: [u8; 16],
    /// Pages of the file at that commit. 0 of a mark, and before the transaction is committed that has created the
    /// snapshot of itself.
    pub file_pages: u64,
    /// Pages in use at that commit; 0 as well if it is not known, because the snapshot is of what a reader saw.
    pub used_pages: u64,
    /// The bytes that were attached to it, valid as a value of kv_get().
    pub note: kv_slice,
    /// 1 = a commit has recorded it by itself (kv_history()).
    pub automatic: u32,
    /// 0.
    pub reserved: u32,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers and slices alike.
unsafe impl Growing for kv_snapshot_stat {}

/// Says which snapshot was not found. They are not looked for in loops, as entries are.
fn named<T>(name: &[u8], answer: Outcome<T>) -> Outcome<T> {
    answer.map_err(|failure| match failure {
        Failure::Plain(KV_NOTFOUND) => no_snapshot(name),
        other => other,
    })
}

/// Runs a call of the engine that drops or replaces a snapshot, whose name is the last of those given. It says which
/// one that is if it is to be kept.
fn dropping<const N: usize>(
    txn: *mut kv_txn,
    given: [&[u8]; N],
    verb: impl FnOnce(&mut WriteTxn, [&[u8]; N]) -> kv_engine::Result<()>,
) -> Outcome {
    let mut kept = None;
    let answer = in_use::write_bytes(txn, given, |txn, given| {
        let answer = verb(txn, given);
        if let (Err(Error::Invalid(_)), Some(name)) = (&answer, given.last()) {
            kept = to_be_kept(txn, name);
        }
        answer
    });
    kept.map_or(answer, Err)
}

/// Returns the refusal to drop a snapshot, if it is one that is to be kept.
fn to_be_kept(txn: &mut WriteTxn, name: &[u8]) -> Option<Failure> {
    let is_kept = txn.snapshot(name).is_ok_and(|info| info.keep);
    is_kept.then(|| {
        let message = format!(
            "the snapshot {} is to be kept; take that back (kv_snapshot_keep) before it is dropped or replaced",
            Quoted(name)
        );
        Failure::Here(KV_INVALID, message.into())
    })
}

/// Records a state of the database under a name: a named snapshot, which is what this chapter calls a snapshot. It is
/// kept until it is dropped, and can be read as long (kv_txn_options.snapshot).
///
/// Creating a snapshot costs as much as putting an entry, however large the database is, and readers and writers are as
/// fast as before. The file grows by what later commits replace, because the snapshot still has it. There can be ten
/// thousand snapshots and more. They belong to the file: a copy that kv_backup() makes has none.
///
/// In a write transaction, the snapshot is of what the transaction is about to commit, with all that it writes before
/// and after this call, and it exists from the commit on. Of a read transaction, it is what that sees. It is recorded
/// at once then, in a commit of its own: the call waits for the end of an open write transaction and is durable as the
/// database was opened.
///
/// So a snapshot of the state before a change is not made in the transaction that makes the change. Make it of a read
/// transaction, or in a write transaction of its own that is committed before the other one begins:
///
///     kv_txn_begin(db, KV_READ, NULL, &txn);
///     status = kv_snapshot_create(txn, KV_STR("before"), NULL);
///     kv_txn_abort(txn);
///
/// @param name     1 to 512 bytes of any kind, the first of which is not 0.
/// @param len      Bytes of the name.
/// @param options  KV_SNAPSHOT_REPLACE, KV_SNAPSHOT_KEEP, KV_SNAPSHOT_MARK, KV_SNAPSHOT_YIELD, a note; NULL = all
///                 defaults. Copied. A snapshot that moves on with KV_SNAPSHOT_REPLACE cannot have KV_SNAPSHOT_KEEP,
///                 which refuses that.
/// @return KV_OK; KV_EXISTS (without KV_SNAPSHOT_REPLACE); KV_INVALID (also with KV_SNAPSHOT_REPLACE, if the snapshot
///         that would be dropped has KV_SNAPSHOT_KEEP; KV_SNAPSHOT_MARK beside KV_SNAPSHOT_KEEP or KV_SNAPSHOT_YIELD);
///         KV_TOO_BIG (name, note); KV_BAD_HANDLE, KV_FORKED; KV_BUSY (also if the wait for a write transaction is
///         over); KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (in a write transaction, these
///         can spoil it); for a read transaction also KV_READ_ONLY, KV_DEADLOCK, KV_CANCELLED, KV_NO_LOCKS,
///         KV_POISONED, KV_IN_DOUBT, as kv_db_put().
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_create(
    txn: *mut kv_txn,
    name: *const c_void,
    len: usize,
    options: *const kv_snapshot_options,
) -> kv_status {
    guard(c"kv_snapshot_create", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (name, given) = unsafe { (arg::bytes(name, len, Given::NAME)?, arg::options(options)?) };
        known(
            given.flags,
            KV_SNAPSHOT_REPLACE | KV_SNAPSHOT_KEEP | KV_SNAPSHOT_MARK | KV_SNAPSHOT_YIELD,
        )?;
        if given.flags & KV_SNAPSHOT_MARK != 0 && given.flags & (KV_SNAPSHOT_KEEP | KV_SNAPSHOT_YIELD) != 0 {
            return Err(Failure::invalid(
                "flags: a mark keeps nothing; give KV_SNAPSHOT_MARK without KV_SNAPSHOT_KEEP and KV_SNAPSHOT_YIELD",
            ));
        }
        // SAFETY: the caller promises that the slice spans readable bytes.
        let note = unsafe { given.note.bytes(Given::NOTE)? };
        let options = SnapshotOptions {
            replace: given.flags & KV_SNAPSHOT_REPLACE != 0,
            keep: given.flags & KV_SNAPSHOT_KEEP != 0,
            mark: given.flags & KV_SNAPSHOT_MARK != 0,
            yields: given.flags & KV_SNAPSHOT_YIELD != 0,
            note,
        };
        if HANDLES.is(Token::of(txn), Kind::Read) {
            return create_of_reader(&ReadUse::of_long(txn)?, name, &options);
        }
        dropping(txn, [note, name], |txn, [note, name]| {
            txn.snapshot_create(name, &SnapshotOptions { note, ..options })
        })
    })
}

/// Records what a read transaction sees, in a transaction of its own.
fn create_of_reader(reader: &ReadUse, name: &[u8], options: &SnapshotOptions<'_>) -> Outcome {
    // In use until the end: who closes the database then knows that a call waits.
    let db = DbUse::of(reader.db())?;
    let seen: &ReadTxn = &reader.get()?.txn;
    let mut txn = begin_write(db.get()?, WriteOptions::default())?;
    if let Err(error) = txn.snapshot_create_of(name, seen, options) {
        let kept = matches!(error, Error::Invalid(_)).then(|| to_be_kept(&mut txn, name));
        return Err(kept.flatten().unwrap_or(error.into()));
    }
    txn.commit()?;
    Ok(())
}

/// Gives a snapshot another name. If another snapshot has this name already, it is dropped, so that the newest of a row
/// of snapshots can be moved to its name in one step. An automatic one (kv_history()) is like others from then on.
///
/// @param name    The name that the snapshot has.
/// @param len     Bytes of the name.
/// @param to      The name that it gets: 1 to 512 bytes of any kind, the first of which is not 0.
/// @param to_len  Bytes of the new name.
/// @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_INVALID (also if the snapshot that would be dropped has
///         KV_SNAPSHOT_KEEP); KV_TOO_BIG (name); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED;
///         KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (these can spoil the transaction).
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_rename(
    txn: *mut kv_txn,
    name: *const c_void,
    len: usize,
    to: *const c_void,
    to_len: usize,
) -> kv_status {
    guard(c"kv_snapshot_rename", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (name, to) = unsafe {
            (
                arg::bytes(name, len, Given::NAME)?,
                arg::bytes(to, to_len, Given::NAME)?,
            )
        };
        let renamed = dropping(txn, [name, to], |txn, [name, to]| txn.snapshot_rename(name, to));
        named(name, renamed)
    })
}

/// Drops a snapshot. Transactions that read it go on. What it alone had is given back by later commits, a part each, as
/// soon as the drop is durable and nobody reads it any more; kv_reclaim() does not wait for those.
///
/// @param name  The name of the snapshot.
/// @param len   Bytes of the name.
/// @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_INVALID (also if it has KV_SNAPSHOT_KEEP); otherwise as
///         kv_snapshot_rename().
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_drop(txn: *mut kv_txn, name: *const c_void, len: usize) -> kv_status {
    guard(c"kv_snapshot_drop", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let name = unsafe { arg::bytes(name, len, Given::NAME)? };
        named(name, dropping(txn, [name], |txn, [name]| txn.snapshot_drop(name)))
    })
}

/// Makes a mark of a snapshot: its name, commit, time, GUID and note stay, and what it alone had is given back as by
/// kv_snapshot_drop(). A mark cannot be read, and keeps nothing; kv_snapshot_ranges() tells which ranges of keys have
/// changed since. What is a mark already stays one.
///
/// @param name  The name of the snapshot.
/// @param len   Bytes of the name.
/// @return As kv_snapshot_drop().
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_release(txn: *mut kv_txn, name: *const c_void, len: usize) -> kv_status {
    guard(c"kv_snapshot_release", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let name = unsafe { arg::bytes(name, len, Given::NAME)? };
        named(name, dropping(txn, [name], |txn, [name]| txn.snapshot_release(name)))
    })
}

/// Says whether a snapshot has KV_SNAPSHOT_KEEP, so that dropping or replacing it is refused.
///
/// @param name  The name of the snapshot.
/// @param len   Bytes of the name.
/// @param keep  1 = it is to be kept; 0 = it can be dropped.
/// @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_INVALID (keep is neither 0 nor 1; a mark); otherwise as
///         kv_snapshot_rename().
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_keep(txn: *mut kv_txn, name: *const c_void, len: usize, keep: u32) -> kv_status {
    guard(c"kv_snapshot_keep", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let name = unsafe { arg::bytes(name, len, Given::NAME)? };
        if keep > 1 {
            return Err(Failure::invalid(
                "`keep` is neither 0 nor 1; give 1 to have the snapshot kept, 0 so that it can be dropped",
            ));
        }
        let mut is_mark = false;
        let told = in_use::write_bytes(txn, [name], |txn, [name]| {
            is_mark = txn.snapshot(name).is_ok_and(|info| info.mark);
            txn.snapshot_keep(name, keep == 1)
        });
        match (is_mark, told) {
            (true, Err(_)) => Err(only_a_mark(name)),
            (_, told) => named(name, told),
        }
    })
}

/// Tells what is recorded of a snapshot.
///
/// @param name  The name of the snapshot.
/// @param len   Bytes of the name.
/// @param stat  Receives what is recorded; start from KV_SNAPSHOT_STAT_INIT.
/// @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_NO_TABLE (the transaction itself reads a snapshot);
///         KV_INVALID; KV_TOO_BIG (name); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO; KV_TXN_FAILED.
/// @ingroup kv_snapshots
#[no_mangle]
pub unsafe extern "C" fn kv_stat_snapshot(
    txn: *const kv_txn,
    name: *const c_void,
    len: usize,
    stat: *mut kv_snapshot_stat,
) -> kv_status {
    guard(c"kv_stat_snapshot", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let name = unsafe { arg::bytes(name, len, Given::NAME)? };
        let mut usage = TxnUse::of(txn)?;
        let told = usage.read(|txn| Ok((txn.snapshot(name)?, kv_slice::of(txn.snapshot_note(name)?))));
        let (info, note) = named(name, told)?;
        let filled = kv_snapshot_stat {
            struct_size: 0,
            flags: flags_of(&info),
            commit: info.commit.get(),
            time: info.time,
            guid: info.guid,
            file_pages: info.file_pages,
            used_pages: info.used_pages,
            note,
            automatic: info.automatic.into(),
            reserved: 0,
        };
        // SAFETY: NULL or a struct of at least the size it states.
        unsafe { arg::report(stat, filled) }
    })
}

/// Returns the flags of a snapshot.
fn flags_of(info: &SnapshotInfo) -> u32 {
    let flags = [
        (info.keep, KV_SNAPSHOT_KEEP),
        (info.mark, KV_SNAPSHOT_MARK),
        (info.yields, KV_SNAPSHOT_YIELD),
    ];
    flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum()
}

/// Says that a call needs the state of a snapshot that is a mark.
fn only_a_mark(name: &[u8]) -> Failure {
    let message = format!(
        "the snapshot {} is a mark, of which nothing is kept; kv_snapshot_ranges tells what has changed since",
        Quoted(name)
    );
    Failure::Here(KV_INVALID, message.into())
}

/// Tells how many pages dropping snapshots would give back: those from one to another, with all that are of commits
/// between theirs. It counts what no other snapshot and not the newest commit has; readers may still read it. With the
/// same name twice, it is what one snapshot alone keeps. Snapshots of one commit count as one.
///
/// Only what is counted is read of what is kept for snapshots, so the figure does not cost more when there are more of
/// them. It is that of the newest commit, and takes a moment at which nobody writes, as kv_check() with
/// KV_JOB_CHECK_SPACE. So it belongs to the database and not to a transaction.
///
/// @param first      The name of a snapshot.
/// @param first_len  Bytes of the name.
/// @param last       The name of another one, or the same.
/// @param last_len   Bytes of that name.
/// @param pages      Receives the number of pages.
/// @return KV_OK; KV_NOTFOUND (no snapshot has one of the names); KV_INVALID (also a mark); KV_TOO_BIG (name);
///         KV_BUSY (as kv_check() with KV_JOB_CHECK_SPACE, so also before wait_ms is over), KV_CANCELLED, KV_DEADLOCK
///         (as kv_txn_begin()); KV_TOO_NEW; KV_CORRUPT, KV_IO, KV_NO_LOCKS, KV_NO_MEMORY, KV_LIMIT, KV_POISONED;
///         KV_READ_ONLY (somebody writes, for whom a database that was opened read-only cannot wait); KV_BAD_HANDLE,
///         KV_FORKED.
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_cost(
    db: *mut kv_db,
    first: *const c_void,
    first_len: usize,
    last: *const c_void,
    last_len: usize,
    pages: *mut u64,
) -> kv_status {
    guard(c"kv_snapshot_cost", about(db), || {
        // SAFETY: pointers of the caller, as described above.
        let (pages, first, last) = unsafe {
            (
                arg::out(pages, "pages")?,
                arg::bytes(first, first_len, Given::NAME)?,
                arg::bytes(last, last_len, Given::NAME)?,
            )
        };
        let db = DbUse::of(db)?;
        let database = db.get()?;
        not_waiting_for_itself(database)?;
        let cost = database.db.snapshot_cost(first, last);
        pages.set(cost.map_err(|error| match error {
            Error::NotFound => no_snapshot(missing(&database.db, first, last)),
            Error::Invalid(_) => match [first, last].into_iter().find(|name| is_mark(&database.db, name)) {
                Some(name) => only_a_mark(name),
                None => error.into(),
            },
            other => other.into(),
        })?);
        Ok(())
    })
}

/// Returns whether there is a mark with this name.
fn is_mark(db: &Db, name: &[u8]) -> bool {
    let info = db.begin_read().and_then(|txn| (&mut &txn).snapshot(name));
    info.is_ok_and(|info| info.mark)
}

/// Returns which of two names no snapshot has.
fn missing<'n>(db: &Db, first: &'n [u8], last: &'n [u8]) -> &'n [u8] {
    let has_first = db.begin_read().is_ok_and(|txn| (&mut &txn).snapshot(first).is_ok());
    if has_first {
        last
    } else {
        first
    }
}

/// Gives back what dropped snapshots alone had: the pages are free for new data afterwards, as far as nobody reads them
/// any more. Without this call, later commits do it, a part each. It makes commits that change nothing and are
/// durable; other write transactions have their turns between them.
///
/// @param freed  Receives how many pages no snapshot keeps any more; may be NULL. Readers may still see some of them,
///               and where others write meanwhile, the number is only about right.
/// @return KV_OK; KV_BUSY, KV_CANCELLED, KV_DEADLOCK (as kv_txn_begin()); KV_READ_ONLY; KV_NO_SPACE, KV_IO, KV_CORRUPT,
///         KV_NO_LOCKS, KV_NO_MEMORY, KV_LIMIT, KV_IN_DOUBT, KV_POISONED (what was given back before stays so);
///         KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_reclaim(db: *mut kv_db, freed: *mut u64) -> kv_status {
    guard(c"kv_reclaim", about(db), || {
        // SAFETY: NULL or writable.
        let freed = unsafe { maybe(freed) };
        let db = DbUse::of(db)?;
        let database = db.get()?;
        not_waiting_for_itself(database)?;
        let pages = database.db.reclaim()?;
        if let Some(freed) = freed {
            freed.set(pages);
        }
        Ok(())
    })
}
