//! Chapter "database": open, close, sync, and the calls that are a transaction of their own.

use crate::border::arg::{self, handle_out, maybe, Growing};
use crate::border::error::{guard, guard_end, guard_open, AboutPath};
use crate::border::flags::{
    known, no_choice, KV_BLIND, KV_OPEN_EXISTING, KV_OPEN_MEMORY, KV_OPEN_NEW, KV_OPEN_READ_ONLY, KV_VERIFY_ALWAYS,
    KV_VERIFY_DEFAULT, KV_VERIFY_NEVER, KV_VERIFY_ONCE,
};
use crate::border::process::{self, Uncancelled};
use crate::border::status::{kv_status, not_found, Failure, Outcome, KV_BUSY};
use crate::border::types::{durability, kv_db, kv_table, put_mode};
use crate::handle::about::about;
use crate::handle::end::{abort_writers, end_transactions};
use crate::handle::in_use::DbUse;
use crate::handle::objects::{orphan_all, DbHandle, Object, HANDLES};
use crate::handle::stale_readers::{kv_reader_fn, StaleReaders};
use crate::handle::token::{Kind, Token};
use kv_engine::{Db, Options, TableId, Verify, WriteOptions};
use std::ffi::{c_char, c_void, CString};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How to open a database; start from KV_OPTIONS_INIT. Zero is the default everywhere.
///
/// @ingroup kv_database
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_options {
    /// sizeof(kv_options), set by KV_OPTIONS_INIT.
    pub struct_size: u32,
    /// KV_OPEN_... flags.
    pub flags: u32,
    /// Bytes of a page of a new file: 4096 (default), 8192, 16384, 32768 or 65536. Of a present file: ignored.
    pub page_size: u32,
    /// KV_DURABILITY_...: of transactions that do not say otherwise.
    pub durability: u32,
    /// KV_VERIFY_...: when pages are verified.
    pub verify: u32,
    /// Zero.
    pub reserved: u32,
    /// Milliseconds that kv_txn_begin() waits for the write transaction of another: 0 or less = for ever. Other waits
    /// for processes that hold a lock and do nothing with it end after this time, too, and by themselves otherwise:
    /// kv_open() waits 10 s at most, and a commit 60 s for another process that should sync and is stopped. (The first
    /// handle of a file in a process decides about commits.)
    pub wait_ms: i64,
    /// Bytes of edits that a write transaction collects before it applies them; 0 = a 32nd of the
    /// memory (what the machine has, or what its control group leaves the process), 16 to 512 MiB.
    pub write_memory: u64,
    /// Is told of readers that hold back space for long; NULL = nobody is.
    pub stale_reader: kv_reader_fn,
    /// Handed to stale_reader.
    pub stale_reader_ctx: *mut c_void,
    /// Age in milliseconds from which a reader of an old commit is reported; 0 = a minute.
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
    if given.reserved != 0 {
        return Err(Failure::invalid(
            "open: the reserved field is not zero (start from KV_OPTIONS_INIT)",
        ));
    }
    Ok(Options {
        page_size: given.page_size,
        existing: has(KV_OPEN_EXISTING) || (has(KV_OPEN_READ_ONLY) && !has(KV_OPEN_MEMORY)),
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

/// Opens a database, and creates it if there is none (unless KV_OPEN_EXISTING or KV_OPEN_READ_ONLY).
///
/// Any number of processes may have it open at once. A process may open the same file several times; its handles then
/// share one environment. While a file is open, NAME-shm lies beside it, which holds nothing that would be missed.
/// A new file gets the permissions that the process's umask leaves of 0666; NAME-shm gets group and permissions of the
/// database, and is never a link. Who may write the database must be trusted by all who open it.
/// Opening after a crash repairs nothing by guessing: it finds the last complete commit.
/// An empty file becomes a database, as if it were not there; with KV_OPEN_EXISTING or KV_OPEN_READ_ONLY it is refused,
/// because a file that was cut may be empty. A link that leads nowhere is followed, except with KV_OPEN_NEW.
/// Messages name the file, and the process or the limit that stands in the way.
///
/// @param path     File name, in the encoding of the file system; NULL only with KV_OPEN_MEMORY.
/// @param options  NULL = all defaults. Copied.
/// @param db       Gets the handle, to be closed by kv_close(); NULL after a failure.
/// @return KV_OK; KV_NO_FILE, KV_EXISTS (see the flags); KV_BUSY (a process has it alone, since NAME-shm could not be
///         made, or reads it without permission to write, or is of another version; or the file is mounted by itself);
///         KV_POISONED (a sync failed, and not every process has closed it yet); KV_ACCESS; KV_NOT_A_DATABASE,
///         KV_TOO_NEW, KV_TOO_OLD, KV_CORRUPT (what is in the file); KV_NO_LOCKS (network file systems without locks);
///         KV_IO, KV_NO_SPACE, KV_NO_MEMORY; KV_LIMIT (too many handles); KV_INVALID (options).
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
/// Calls in flight on other threads are waited for; those that wait for the write transaction answer KV_CANCELLED. Write
/// transactions of this handle are aborted. Its read transactions answer KV_BAD_HANDLE from now on, but bytes they
/// returned stay valid until kv_txn_abort() releases them.
///
/// @param db  Released whatever is answered, except after KV_BUSY. NULL is KV_OK.
/// @return KV_OK; KV_BAD_HANDLE; KV_FORKED; KV_BUSY (called inside a callback of the library: nothing was done);
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

/// Ends every wait for the write transaction or for a newer commit (kv_wait_commit) through this handle; those calls
/// answer KV_CANCELLED. To interrupt only some of them, let those wait through a second handle of the database. This
/// function may be called on any thread, but not in a signal handler, because it takes a lock to wake those who wait. A
/// handle that is not open is ignored.
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

/// Makes every commit durable.
///
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_IN_DOUBT, KV_POISONED (a sync failed); KV_NO_LOCKS.
/// @ingroup kv_database
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_sync(db: *mut kv_db) -> kv_status {
    guard(c"kv_sync", about(db), || Ok(DbUse::of(db)?.get()?.db.sync()?))
}

/// Answers the newest commits, whoever made them.
///
/// @param visible  Gets the newest commit that a reader sees; may be NULL.
/// @param durable  Gets the newest commit that survives a power cut; may be NULL.
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_database
#[no_mangle]
pub unsafe extern "C" fn kv_newest_commit(db: *mut kv_db, visible: *mut u64, durable: *mut u64) -> kv_status {
    guard(c"kv_newest_commit", about(db), || {
        // SAFETY: pointers of the caller, NULL or writable.
        let (visible, durable) = unsafe { (maybe(visible), maybe(durable)) };
        let stat = DbUse::of(db)?.get()?.db.stat();
        if let Some(visible) = visible {
            visible.set(stat.visible.get());
        }
        if let Some(durable) = durable {
            durable.set(stat.durable.get());
        }
        Ok(())
    })
}

/// Reads one value in a transaction of its own, into a buffer of the caller.
///
/// @param buffer  Gets the value; may be NULL if size is 0.
/// @param size    Bytes of the buffer.
/// @param len     Gets the length of the value, also after KV_TOO_SMALL; may be NULL.
/// @return KV_OK; KV_NOTFOUND; KV_TOO_SMALL (nothing was copied); KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (key); KV_BAD_HANDLE,
///         KV_FORKED; KV_CORRUPT, KV_IO; KV_LIMIT (too many readers); KV_POISONED.
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

/// Puts one entry in a transaction of its own.
///
/// @param flags  0 or one of KV_NO_OVERWRITE, KV_NO_INSERT, KV_APPEND.
/// @return KV_OK; what kv_put(), kv_txn_begin() with KV_WRITE and kv_txn_commit() answer; never KV_CHILD_OPEN,
///         KV_TXN_FAILED.
/// @ingroup kv_database
#[no_mangle]
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

/// Deletes one entry in a transaction of its own.
///
/// @param flags  0 or KV_BLIND.
/// @return KV_OK; KV_NOTFOUND (nothing was written); what kv_delete(), kv_txn_begin() with KV_WRITE and kv_txn_commit()
///         answer; never KV_CHILD_OPEN, KV_TXN_FAILED.
/// @ingroup kv_database
#[no_mangle]
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
