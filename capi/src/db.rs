//! Chapter "database": open, close, sync, and the calls that are a transaction of their own.

use crate::border::arg::{self, handle_out, maybe, Growing};
use crate::border::error::{guard, guard_end, guard_open, AboutPath};
use crate::border::flags::{
    known, no_choice, KV_BLIND, KV_OPEN_EXISTING, KV_OPEN_MEMORY, KV_OPEN_NEW, KV_OPEN_READ_ONLY, KV_VERIFY_ALWAYS,
    KV_VERIFY_DEFAULT, KV_VERIFY_NEVER, KV_VERIFY_ONCE,
};
use crate::border::process;
use crate::border::status::{kv_status, not_found, Failure, Outcome, KV_BUSY};
use crate::border::types::{durability, kv_db, kv_table, put_mode};
use crate::handle::about::about;
use crate::handle::end::{abort_writers, end_transactions};
use crate::handle::in_use::DbUse;
use crate::handle::objects::{orphan_all, DbHandle, Object, HANDLES};
use crate::handle::stale_readers::{kv_reader_fn, StaleReaders};
use crate::handle::token::{Kind, Token};
use kv_engine::{Db, Options, TableId, Uncancelled, Verify, WriteOptions};
use std::ffi::{c_char, c_void, CString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How to open a database; start from KV_OPTIONS_INIT.
///
/// @ingroup kv_database
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_options {
    /// sizeof(kv_options), set by KV_OPTIONS_INIT.
    pub struct_size: u32,
    /// KV_OPEN_... flags; 0 = open the file, and create it if it does not exist.
    pub flags: u32,
    /// Bytes of a page of a new file: 4096, 8192, 16384, 32768 or 65536; 0 = 4096. Ignored for a file that exists.
    pub page_size: u32,
    /// KV_DURABILITY_...: of transactions that do not choose their own; 0 = KV_DURABILITY_FULL.
    pub durability: u32,
    /// KV_VERIFY_...: when pages are verified; 0 = KV_VERIFY_ONCE.
    pub verify: u32,
    /// Zero.
    pub reserved: u32,
    /// Milliseconds that kv_txn_begin() waits for another write transaction to end; 0 or less = for ever. Not to wait
    /// at all is KV_TXN_NOWAIT.
    ///
    /// It also bounds how long kv_open(), commits and syncs wait for a process that holds a lock and does nothing with
    /// it, because it is stopped for example: see the table of waits at the head. For commits and syncs, the handle
    /// that opened the file first in its process decides.
    pub wait_ms: i64,
    /// Bytes of edits that a write transaction collects before it applies them to its pages; 0 = a 32nd of the memory
    /// that the machine has, or that its control group leaves the process, but at least 16 MiB and at most 512 MiB.
    pub write_memory: u64,
    /// Called for readers that hold back space for long; NULL = none.
    pub stale_reader: kv_reader_fn,
    /// Handed to stale_reader as ctx.
    pub stale_reader_ctx: *mut c_void,
    /// Age in milliseconds from which a reader of an old commit is reported; 0 = 60,000.
    pub stale_reader_ms: u64,
}
// SAFETY: repr(C), struct_size first; integers, and pointers for which zero is NULL.
unsafe impl Growing for kv_options {}

fn engine_options(given: &kv_options) -> Outcome<Options> {
    known(
        given.flags,
        KV_OPEN_EXISTING | KV_OPEN_NEW | KV_OPEN_READ_ONLY | KV_OPEN_MEMORY,
    )?;
    let has = |flag| given.flags & flag != 0;
    if has(KV_OPEN_NEW) && (has(KV_OPEN_EXISTING) || has(KV_OPEN_READ_ONLY)) {
        return Err(Failure::invalid(
            "open: KV_OPEN_NEW excludes KV_OPEN_EXISTING and KV_OPEN_READ_ONLY",
        ));
    }
    if has(KV_OPEN_MEMORY) && (has(KV_OPEN_EXISTING) || has(KV_OPEN_READ_ONLY)) {
        return Err(Failure::invalid(
            "open: KV_OPEN_MEMORY excludes KV_OPEN_EXISTING and KV_OPEN_READ_ONLY: such a database is always new",
        ));
    }
    if given.reserved != 0 {
        return Err(Failure::invalid(
            "open: the reserved field is not zero (start from KV_OPTIONS_INIT)",
        ));
    }
    Ok(Options {
        page_size: given.page_size,
        existing: has(KV_OPEN_EXISTING) || has(KV_OPEN_READ_ONLY),
        new: has(KV_OPEN_NEW),
        read_only: has(KV_OPEN_READ_ONLY),
        memory: has(KV_OPEN_MEMORY),
        verify: match given.verify {
            KV_VERIFY_DEFAULT | KV_VERIFY_ONCE => Verify::Once,
            KV_VERIFY_ALWAYS => Verify::Always,
            KV_VERIFY_NEVER => Verify::Never,
            other => {
                let choices = [KV_VERIFY_ONCE, KV_VERIFY_ALWAYS, KV_VERIFY_NEVER];
                return Err(no_choice("verify", other, &choices));
            }
        },
        durability: durability(given.durability)?.unwrap_or_default(),
        wait: (given.wait_ms > 0).then(|| Duration::from_millis(given.wait_ms.unsigned_abs())),
        write_memory: usize::try_from(given.write_memory)
            .map_err(|_| Failure::invalid("open: `write_memory` is beyond the address space"))?,
    })
}

/// A number for the file behind a path, equal for every handle on it; memory databases get one each.
fn file_number(path: &Path, memory: bool) -> u64 {
    static MEMORY: AtomicU64 = AtomicU64::new(0);
    match std::fs::metadata(path) {
        Ok(meta) if !memory => meta.dev().rotate_left(40) ^ meta.ino(),
        _ => u64::MAX - MEMORY.fetch_add(1, Relaxed),
    }
}

/// Opens a database, and creates it if it does not exist (unless KV_OPEN_EXISTING or KV_OPEN_READ_ONLY is set).
///
/// Any number of threads and up to 1024 processes may have it open at once. A process may open the same file several
/// times. While a file is open, a file NAME-shm lies beside it, with which nothing is lost. After a crash, nothing is
/// repaired by guessing: the newest complete commit is found.
///
/// A new file gets the permissions that the process's umask leaves of 0666. NAME-shm gets the group and the permissions
/// of the database and is never a link. All who open a database must trust those who may write it.
///
/// A handle stands for the file and not for its name. A file that is renamed or removed while it is open is used on,
/// and what is written to a removed one is gone with the last handle. kv_backup() still copies it. Another file may
/// take the name, and is another database. While a renamed file is open, other processes that open it by its new name
/// get KV_BUSY, because NAME-shm does not lie there. Do not write into an open file by other means, do not cut it, and
/// do not replace its contents; to restore a copy, close the file everywhere first.
///
/// An empty file becomes a database, as if it did not exist. With KV_OPEN_EXISTING or KV_OPEN_READ_ONLY it is refused,
/// because it may be a database that was cut. A link that leads nowhere is followed, except with KV_OPEN_NEW. Messages
/// name the file, and the process or the limit that stands in the way.
///
/// @param path     Name of the file, in the encoding of the file system. NULL only with KV_OPEN_MEMORY.
/// @param options  NULL = all defaults. Copied.
/// @param db       Receives the handle, which kv_close() releases.
/// @return KV_OK; KV_NO_FILE, KV_EXISTS (see the flags); KV_BUSY (another process has the database alone, because
///         NAME-shm could not be made, or reads it without permission to write, or is of another version; or the file
///         is mounted by itself); KV_POISONED (a sync failed, and not every process has closed the database since);
///         KV_ACCESS; KV_NOT_A_DATABASE, KV_TOO_NEW, KV_TOO_OLD, KV_CORRUPT (what is in the file); KV_NO_LOCKS (a
///         network file system without locks); KV_IO, KV_NO_SPACE, KV_NO_MEMORY; KV_LIMIT (too many handles);
///         KV_INVALID (options).
/// @ingroup kv_database
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_open(path: *const c_char, options: *const kv_options, db: *mut *mut kv_db) -> kv_status {
    // SAFETY: NULL or writable, as described above.
    let handle = unsafe { maybe(db) };
    guard_open(c"kv_open", AboutPath(path), handle, || {
        // SAFETY: pointers of the caller, as described above.
        let (db, given) = unsafe { (handle_out(db, "db")?, arg::options(options)?) };
        process::prepare(orphan_all)?;
        let options = engine_options(&given)?;
        // SAFETY: NULL or a C string, as described above.
        let path = match unsafe { arg::path(path) } {
            Some(path) => path,
            None if options.memory => Path::new(""),
            None => {
                return Err(Failure::invalid(
                    "open: the path is NULL (only KV_OPEN_MEMORY needs none)",
                ))
            }
        };
        let (token, _) = HANDLES.publish(Kind::Db, Token::NONE, |vacant| {
            let db = Db::open(path, &options)?;
            // The path came from a C string, and the working directory has no NUL in its name.
            let path_of = CString::new(db.identity().path.into_os_string().into_vec()).unwrap_or_default();
            Ok(vacant.fill(Object::Db(Box::new(DbHandle {
                db,
                path: path_of,
                read_only: options.read_only,
                file: file_number(path, options.memory),
                stale_readers: StaleReaders::new(given.stale_reader, given.stale_reader_ctx, given.stale_reader_ms),
            }))))
        })?;
        db.set(token.handle());
        Ok(())
    })
}

/// Closes a database. Lazy commits become durable here, so look at the status.
///
/// Its write transactions are aborted. Its read transactions return KV_BAD_HANDLE from now on, but bytes that they
/// returned stay valid until kv_txn_abort() releases them. Calls of other threads on the handle are waited for, and
/// those that wait for something return KV_CANCELLED.
///
/// A read transaction that is not released, or a buffer of kv_get_buf() that keeps a snapshot, keeps the file open
/// until it is released or the process ends: the descriptor, NAME-shm and the snapshot stay, and the pages of the
/// snapshot are not reused. Nothing is lost by that, but the file then counts as not closed properly
/// (kv_db_stat.closed_properly).
///
/// @param db  Released whatever is returned, except after KV_BUSY. NULL returns KV_OK.
/// @return KV_OK; KV_BAD_HANDLE; KV_FORKED; KV_BUSY (called in a callback of the library: nothing was done);
///         KV_IN_DOUBT, KV_POISONED, KV_NO_LOCKS (lazy commits did not become durable).
/// @ingroup kv_database
#[no_mangle]
pub unsafe extern "C" fn kv_close(db: *mut kv_db) -> kv_status {
    guard_end(c"kv_close", about(db), || {
        if db.is_null() {
            return Ok(());
        }
        if process::in_callback() {
            return Err(Failure::here(
                KV_BUSY,
                "a callback cannot close a database; return from it first",
            ));
        }
        let token = Token::of(db);
        let mut closing = HANDLES.close_nudging(token, Kind::Db, |object| {
            if let Object::Db(database) = object {
                database.db.interrupt();
            }
            abort_writers(token);
        })?;
        end_transactions(token);
        match closing.object() {
            Object::Db(database) if !database.read_only => {
                let synced = database.db.sync();
                synced.map_err(|error| Failure::OfFile(Box::new((database.path.clone(), error.into()))))
            }
            _ => Ok(()),
        }
    })
}

/// Ends every wait through this handle for a write transaction to end or for a newer commit. Calls that wait so, such
/// as kv_txn_begin(), kv_db_put() and kv_wait_commit(), return KV_CANCELLED. A handle that is not open is ignored.
///
/// Any thread may call this function, but not a signal handler, because it takes a lock to wake those who wait. To
/// interrupt only some waits, let those be made through a second handle of the database.
///
/// @ingroup kv_database
#[no_mangle]
pub unsafe extern "C" fn kv_interrupt(db: *mut kv_db) {
    // Not guarded as the others are: it answers nothing, so it leaves the thread's message alone.
    let _uncancelled = Uncancelled::new();
    let _ = std::panic::catch_unwind(|| {
        if let Ok(db) = DbUse::of(db) {
            if let Ok(db) = db.get() {
                db.db.interrupt();
            }
        }
    });
}

/// Makes every commit durable that was made before the call, by any process.
///
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_IN_DOUBT, KV_POISONED (a sync failed); KV_NO_LOCKS.
/// @ingroup kv_database
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_sync(db: *mut kv_db) -> kv_status {
    guard(c"kv_sync", about(db), || Ok(DbUse::of(db)?.get()?.db.sync()?))
}

/// Tells the newest commits, whichever process made them.
///
/// @param visible  Receives the number of the newest visible commit; may be NULL.
/// @param durable  Receives the number of the newest durable commit; may be NULL.
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_database
#[no_mangle]
pub unsafe extern "C" fn kv_newest_commit(db: *mut kv_db, visible: *mut u64, durable: *mut u64) -> kv_status {
    guard(c"kv_newest_commit", about(db), || {
        // SAFETY: pointers of the caller, NULL or writable.
        let (visible, durable) = unsafe { (maybe(visible), maybe(durable)) };
        let stat = DbUse::of(db)?.for_figures()?.db.stat();
        if let Some(visible) = visible {
            visible.set(stat.visible.get());
        }
        if let Some(durable) = durable {
            durable.set(stat.durable.get());
        }
        Ok(())
    })
}

/// Copies one value into a buffer of the caller, in a read transaction of its own.
///
/// @param buffer  Receives the value; may be NULL if size is 0.
/// @param size    Bytes of the buffer.
/// @param len     Receives the length of the value in bytes, also after KV_TOO_SMALL; may be NULL.
/// @return KV_OK; KV_NOTFOUND; KV_TOO_SMALL (nothing was copied); KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (key);
///         KV_BAD_HANDLE, KV_FORKED; KV_CORRUPT, KV_IO; KV_LIMIT (too many readers); KV_POISONED.
/// @ingroup kv_database
#[no_mangle]
pub unsafe extern "C" fn kv_db_get(
    db: *mut kv_db,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    buffer: *mut c_void,
    size: usize,
    len: *mut usize,
) -> kv_status {
    guard(c"kv_db_get", about(db), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, mut buffer, len) = unsafe { (arg::key(key, klen)?, arg::buffer(buffer, size)?, maybe(len)) };
        let db = DbUse::of(db)?;
        let txn = db.get()?.db.begin_read()?;
        let value = txn.get(TableId::new(table), key)?.ok_or_else(not_found)?;
        if let Some(len) = len {
            len.set(value.len());
        }
        if value.len() > size {
            return Err(Failure::too_small(value.len(), size));
        }
        buffer.put(0, value)
    })
}

/// Puts one entry, in a write transaction of its own, which is committed.
///
/// @param flags  0 or one of KV_NO_OVERWRITE, KV_NO_INSERT, KV_APPEND.
/// @return KV_OK; what kv_put(), kv_txn_begin() with KV_WRITE and kv_txn_commit() return; never KV_CHILD_OPEN,
///         KV_TXN_FAILED.
/// @ingroup kv_database
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_db_put(
    db: *mut kv_db,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *const c_void,
    vlen: usize,
    flags: u32,
) -> kv_status {
    guard(c"kv_db_put", about(db), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, value) = unsafe { (arg::key(key, klen)?, arg::value(value, vlen)?) };
        let mode = put_mode(flags)?;
        let db = DbUse::of(db)?;
        let mut txn = crate::txn::begin_write(db.get()?, WriteOptions::default())?;
        txn.put(TableId::new(table), key, value, mode)?;
        txn.commit()?;
        Ok(())
    })
}

/// Deletes one entry, in a write transaction of its own, which is committed.
///
/// @param flags  0 or KV_BLIND.
/// @return KV_OK; KV_NOTFOUND (nothing was written); what kv_delete(), kv_txn_begin() with KV_WRITE and kv_txn_commit()
///         return; never KV_CHILD_OPEN, KV_TXN_FAILED.
/// @ingroup kv_database
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_db_delete(
    db: *mut kv_db,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    flags: u32,
) -> kv_status {
    guard(c"kv_db_delete", about(db), || {
        // SAFETY: pointers of the caller, as described above.
        let key = unsafe { arg::key(key, klen)? };
        known(flags, KV_BLIND)?;
        let db = DbUse::of(db)?;
        let mut txn = crate::txn::begin_write(db.get()?, WriteOptions::default())?;
        if flags & KV_BLIND != 0 {
            txn.delete_blind(TableId::new(table), key)?;
        } else if !txn.delete(TableId::new(table), key)? {
            return Err(Failure::NOTFOUND);
        }
        txn.commit()?;
        Ok(())
    })
}
