//! Chapter "maintenance": proving that a database is sound, and copying it.

use crate::border::arg::{self, Given, Growing};
use crate::border::error::guard;
use crate::border::flags::{known, KV_JOB_CHECK_SPACE, KV_JOB_COMPACT, KV_JOB_OVERWRITE};
use crate::border::process;
use crate::border::signals::NoWriteSignals;
use crate::border::status::{kv_status, Failure, Outcome, KV_CANCELLED, KV_CORRUPT, KV_INVALID};
use crate::border::types::{kv_db, kv_txn, table_in_question, KV_NONE};
use crate::handle::about::about;
use crate::handle::in_use::{DbUse, ReadUse};
use crate::handle::token::Token;
use crate::txn::not_waiting_for_itself;
use kv_engine::{plural, table_called, BackupOptions, Db, Fault, FaultKind, Job, PageNo, ReadTxn, Uncancelled};
use std::ffi::{c_char, c_int, c_void, CString};
use std::io;
use std::path::Path;

/// Called with the progress of a long job, at most every 100 ms and once at the end: how many pages are done, of at
/// most how many. Returns 0 to go on; anything else ends the job with KV_CANCELLED.
///
/// @ingroup kv_maintenance
pub type kv_progress_fn = Option<unsafe extern "C-unwind" fn(ctx: *mut c_void, done: u64, total: u64) -> i32>;

/// How to do a long job; start from KV_JOB_OPTIONS_INIT.
///
/// @ingroup kv_maintenance
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_job_options {
    /// sizeof(kv_job_options), set by KV_JOB_OPTIONS_INIT.
    pub struct_size: u32,
    /// KV_JOB_... flags; 0 = none.
    pub flags: u32,
    /// Called with the progress; NULL = nobody is told.
    pub progress: kv_progress_fn,
    /// Handed to progress.
    pub ctx: *mut c_void,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers and pointers alike.
unsafe impl Growing for kv_job_options {}

/// kv_fault.kind: bytes are not those that were written, or cannot be read. @ingroup kv_maintenance
pub const KV_FAULT_UNREADABLE: u32 = 80;
/// kv_fault.kind: bytes can be read, and what they say contradicts the format or other parts of the file.
/// @ingroup kv_maintenance
pub const KV_FAULT_CONTRADICTION: u32 = 81;

/// A fault that kv_check() or kv_salvage() found, valid during the callback.
///
/// @ingroup kv_maintenance
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_fault {
    /// sizeof(kv_fault), as the library has it.
    pub struct_size: u32,
    /// KV_CORRUPT; `kind` says more.
    pub status: kv_status,
    /// Number of the page, or KV_NONE.
    pub page: u64,
    /// Number of the table, or KV_NONE.
    pub table: u64,
    /// What is wrong, in words.
    pub message: *const c_char,
    /// KV_FAULT_...: what kind of fault it is. Later versions may have more kinds.
    pub kind: u32,
    /// 0.
    pub reserved: u32,
}

/// Called for each fault that kv_check() or kv_salvage() finds. Returns 0 to go on; anything else ends the job with
/// KV_CANCELLED.
///
/// @ingroup kv_maintenance
pub type kv_fault_fn = Option<unsafe extern "C-unwind" fn(ctx: *mut c_void, fault: *const kv_fault) -> i32>;

/// What kv_check() counted; start from KV_CHECK_REPORT_INIT.
///
/// @ingroup kv_maintenance
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_check_report {
    /// sizeof(kv_check_report), set by KV_CHECK_REPORT_INIT.
    pub struct_size: u32,
    /// The meta slots that are missing or cannot be read, as in kv_db_stat.lost_slots. They are no fault, because
    /// another slot leads to the commit that was checked. But if kv_db_stat.closed_properly is 0 as well, a newer
    /// commit may be lost with them.
    pub lost_slots: u32,
    /// Number of the commit that was checked.
    pub commit: u64,
    /// Number of tables, KV_MAIN included.
    pub tables: u64,
    /// Number of entries of all tables.
    pub entries: u64,
    /// Pages of the file.
    pub pages: u64,
    /// Pages of trees.
    pub tree_pages: u64,
    /// Pages of long values and keys.
    pub overflow_pages: u64,
    /// Pages that nobody needs now, or that nobody will need soon, and those that snapshots keep but that are not put
    /// aside for them yet.
    pub dead_pages: u64,
    /// Number of faults that were found.
    pub faults: u64,
    /// With KV_JOB_CHECK_SPACE: pages of which it is not known whether they are in use, because the pages that would
    /// lead to them are damaged. They are no faults of their own.
    pub unaccounted_pages: u64,
    /// With KV_JOB_CHECK_SPACE: pages that are put aside for snapshots, which alone have them; not among the dead ones.
    pub parked_pages: u64,
    /// With KV_JOB_CHECK_SPACE: number of the snapshots, all of which were checked.
    pub snapshots: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_check_report {}

/// Runs a job that tells its progress as the caller wants. `in_use` is the transaction that it reads.
pub(crate) fn run<T>(given: &kv_job_options, in_use: Token, body: impl FnOnce(&Job<'_>) -> Outcome<T>) -> Outcome<T> {
    let Some(progress) = given.progress else {
        return body(&Job::silent());
    };
    let ctx = given.ctx;
    // SAFETY: the caller's function, called as its type says.
    let mut tell =
        |done: u64, total: u64| process::call_back(in_use.bits(), || unsafe { progress(ctx, done, total) }) == 0;
    body(&Job::new(&mut tell))
}

/// A path that must be given.
///
/// # Safety
/// As [`arg::path`].
pub(crate) unsafe fn required_path<'a>(pointer: *const c_char, name: &str) -> Outcome<&'a Path> {
    // SAFETY: passed on.
    unsafe { arg::path(pointer) }
        .ok_or_else(|| Failure::Here(KV_INVALID, format!("`{name}` is NULL; give the name of a file").into()))
}

/// What a check reads.
#[derive(Clone, Copy)]
enum Checked<'t> {
    /// What a transaction sees.
    Snapshot(&'t ReadTxn),
    /// The newest commit.
    Newest(&'t Db),
}

/// Reads everything that a snapshot reaches and verifies it: checksums, order of keys, counts, shapes of trees. Others
/// read and write meanwhile.
///
/// @param txn       A read transaction.
/// @param options   KV_JOB_CHECK_SPACE, progress; NULL = all defaults.
/// @param on_fault  Called for each fault; may be NULL.
/// @param ctx       Handed to on_fault.
/// @param report    Filled after KV_OK and KV_CORRUPT; start from KV_CHECK_REPORT_INIT. May be NULL.
/// @return KV_OK: no fault was found; KV_CORRUPT: faults were found; KV_CANCELLED; with KV_JOB_CHECK_SPACE: KV_BUSY
///         (the wait_ms of the database ended before the write transaction; or, also before wait_ms is over, each of
///         1,000 commits was replaced by another one before it could be looked at), KV_DEADLOCK (this thread has a
///         write transaction open), KV_TOO_NEW (a newer version uses pages of the file for what this one does not
///         know); KV_IO, KV_NO_MEMORY, KV_LIMIT, KV_POISONED; KV_INVALID (a write transaction); KV_BAD_HANDLE,
///         KV_FORKED.
/// @ingroup kv_maintenance
#[no_mangle]
pub unsafe extern "C" fn kv_check(
    txn: *const kv_txn,
    options: *const kv_job_options,
    on_fault: kv_fault_fn,
    ctx: *mut c_void,
    report: *mut kv_check_report,
) -> kv_status {
    guard(c"kv_check", about(txn), || {
        // SAFETY: NULL or a struct of at least the size it states.
        let given = unsafe { arg::options(options)? };
        known(given.flags, KV_JOB_CHECK_SPACE)?;
        let snapshot = ReadUse::of_long(txn)?;
        // In use until the end: who closes the database then knows that a call waits, and ends the writer it waits for.
        let db = match given.flags & KV_JOB_CHECK_SPACE {
            0 => None,
            _ => Some(DbUse::of(snapshot.db())?),
        };
        let checked = match &db {
            None => Checked::Snapshot(&snapshot.get()?.txn),
            Some(db) => {
                not_waiting_for_itself(db.get()?)?;
                Checked::Newest(&db.get()?.db)
            }
        };
        // SAFETY: pointers of the caller, as described above.
        unsafe { check((checked, Token::of(txn)), &given, on_fault, ctx, report) }
    })
}

/// Does as kv_check() with the newest visible commit, in a read transaction of its own.
///
/// @return As kv_check() and kv_txn_begin() with KV_READ.
/// @ingroup kv_maintenance
#[no_mangle]
pub unsafe extern "C" fn kv_db_check(
    db: *mut kv_db,
    options: *const kv_job_options,
    on_fault: kv_fault_fn,
    ctx: *mut c_void,
    report: *mut kv_check_report,
) -> kv_status {
    guard(c"kv_db_check", about(db), || {
        // SAFETY: NULL or a struct of at least the size it states.
        let given = unsafe { arg::options(options)? };
        known(given.flags, KV_JOB_CHECK_SPACE)?;
        let db = DbUse::of(db)?;
        let db = db.get()?;
        if given.flags & KV_JOB_CHECK_SPACE != 0 {
            not_waiting_for_itself(db)?;
        }
        // SAFETY: pointers of the caller, as described above.
        unsafe { check((Checked::Newest(&db.db), Token::NONE), &given, on_fault, ctx, report) }
    })
}

/// Checks what there is to check, and fills the caller's report. The caller's transaction, if it gave one, is in use
/// meanwhile.
///
/// # Safety
/// `on_fault` keeps to the contract of [`kv_fault_fn`]; `report` is NULL or a struct of at least the size it states.
unsafe fn check(
    (checked, token): (Checked<'_>, Token),
    given: &kv_job_options,
    on_fault: kv_fault_fn,
    ctx: *mut c_void,
    report: *mut kv_check_report,
) -> Outcome {
    let mut stopped = false;
    let counted = run(given, token, |job| {
        let mut tell = |fault: &Fault| {
            // SAFETY: the caller's function, called as its type says.
            stopped |= on_fault.is_some_and(|tell| unsafe { tell_fault(tell, ctx, token, fault) } != 0);
            !stopped
        };
        let space = given.flags & KV_JOB_CHECK_SPACE != 0;
        Ok(match checked {
            Checked::Snapshot(txn) => txn.check(space, job, &mut tell)?,
            Checked::Newest(db) => db.check_reporting(space, job, &mut tell)?,
        })
    });
    if stopped {
        return Err(Failure::here(
            KV_CANCELLED,
            "cancelled: `on_fault` asked to stop; nothing was changed",
        ));
    }
    let counted = counted?;
    if !report.is_null() {
        let filled = kv_check_report {
            struct_size: 0,
            lost_slots: counted.lost_slots,
            commit: counted.id.get(),
            tables: counted.tables,
            entries: counted.entries,
            pages: counted.pages,
            tree_pages: counted.tree_pages,
            overflow_pages: counted.overflow_pages,
            dead_pages: counted.dead_pages,
            faults: counted.faults,
            unaccounted_pages: counted.unaccounted_pages,
            parked_pages: counted.parked_pages,
            snapshots: counted.snapshots,
        };
        // SAFETY: a struct of at least the size it states.
        unsafe { arg::report(report, filled)? };
    }
    if counted.faults != 0 {
        let hidden = match counted.unaccounted_pages {
            0 => String::new(),
            pages => format!(
                ", and {pages} {} could not be accounted for, because what leads there is damaged",
                plural(pages, "page", "pages")
            ),
        };
        let message = format!(
            "corrupt: faults were found: {} (`on_fault` is told each){hidden}; restore a backup, or save what is left with \
             kv_salvage",
            counted.faults
        );
        return Err(Failure::Here(KV_CORRUPT, message.into()));
    }
    Ok(())
}

fn backup_options(given: &kv_job_options) -> BackupOptions {
    BackupOptions {
        compact: given.flags & KV_JOB_COMPACT != 0,
        overwrite: given.flags & KV_JOB_OVERWRITE != 0,
    }
}

/// Copies a snapshot into a new file, which is a database like any other, while others read and write. Every page is
/// compared with its checksum on the way. The file appears under its name when it is whole and durable; after a
/// failure there is no new file. The copy gets the permissions of the file that it replaces, or else those of the
/// database as far as the umask leaves them.
///
/// What is copied is the open file, whatever its path names by now. The copy has the same tables under the same
/// numbers, but it is a database of its own and has another UUID. To restore it, put the copy where the database was,
/// while nobody has either of them open.
///
/// @param txn      A read transaction.
/// @param path     The new file, in a directory that exists.
/// @param options  KV_JOB_COMPACT, KV_JOB_OVERWRITE, progress; NULL = all defaults.
/// @return KV_OK; KV_EXISTS (without KV_JOB_OVERWRITE); KV_CORRUPT: a page is damaged, kv_error_detail() tells which;
///         KV_CANCELLED; KV_NO_FILE (the directory), KV_ACCESS, KV_NO_SPACE, KV_IO, KV_NO_LOCKS, KV_NO_MEMORY;
///         KV_NOT_A_DATABASE (the path is that of a device, a pipe, a directory, the NAME-shm of a database or the
///         like); KV_INVALID (a write transaction; the path is that of the database itself); KV_BUSY (a write
///         transaction in use by another thread); KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_maintenance
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_backup(
    txn: *const kv_txn,
    path: *const c_char,
    options: *const kv_job_options,
) -> kv_status {
    guard(c"kv_backup", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (given, path) = unsafe { (arg::options(options)?, required_path(path, "path")?) };
        known(given.flags, KV_JOB_COMPACT | KV_JOB_OVERWRITE)?;
        let snapshot = ReadUse::of_long(txn)?;
        run(&given, Token::of(txn), |job| {
            Ok(snapshot.get()?.txn.backup(path, backup_options(&given), job)?)
        })
    })
}

/// Does as kv_backup() with the newest visible commit, in a read transaction of its own.
///
/// @return As kv_backup() and kv_txn_begin() with KV_READ; never KV_BUSY.
/// @ingroup kv_maintenance
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_db_backup(
    db: *mut kv_db,
    path: *const c_char,
    options: *const kv_job_options,
) -> kv_status {
    guard(c"kv_db_backup", about(db), || {
        // SAFETY: pointers of the caller, as described above.
        let (given, path) = unsafe { (arg::options(options)?, required_path(path, "path")?) };
        known(given.flags, KV_JOB_COMPACT | KV_JOB_OVERWRITE)?;
        let db = DbUse::of(db)?;
        let txn = db.get()?.db.begin_read()?;
        run(&given, Token::NONE, |job| {
            Ok(txn.backup(path, backup_options(&given), job)?)
        })
    })
}

/// Takes the next bytes of a stream, all of them. Returns 0, or an errno, which ends the job with KV_IO (or
/// KV_NO_SPACE).
///
/// @ingroup kv_maintenance
pub type kv_write_fn = Option<unsafe extern "C-unwind" fn(ctx: *mut c_void, data: *const c_void, len: usize) -> i32>;

/// Does as kv_backup(), but hands the copy to a function, from its first byte to its last: for pipes, sockets,
/// compressors.
///
/// The bytes in a file are the database, and whoever writes them there must also make them durable. What the snapshot
/// does not use comes as zeros. With KV_JOB_COMPACT the copy is made in a temporary file first, which nobody but its
/// owner may read, in the directory that TMPDIR names (/tmp without it).
///
/// @param txn      A read transaction.
/// @param write    Takes the bytes; kv_fd_write() writes them to a file descriptor.
/// @param ctx      Handed to write.
/// @param options  KV_JOB_COMPACT, progress; NULL = all defaults.
/// @return As kv_backup(); KV_IO, KV_NO_SPACE with the errno that write returned; never KV_EXISTS, KV_NOT_A_DATABASE.
/// @ingroup kv_maintenance
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_backup_stream(
    txn: *const kv_txn,
    write: kv_write_fn,
    ctx: *mut c_void,
    options: *const kv_job_options,
) -> kv_status {
    guard(c"kv_backup_stream", about(txn), || {
        // SAFETY: NULL or a struct of at least the size it states.
        let given = unsafe { arg::options(options)? };
        known(given.flags, KV_JOB_COMPACT)?;
        let write = write.ok_or_else(|| {
            Failure::invalid("backup: `write` is NULL; give a function that takes the bytes, such as kv_fd_write")
        })?;
        let snapshot = ReadUse::of_long(txn)?;
        let mut put = |bytes: &[u8]| {
            // SAFETY: the caller's function, called as its type says.
            match process::call_back(Token::of(txn).bits(), || unsafe {
                write(ctx, bytes.as_ptr().cast(), bytes.len())
            }) {
                0 => Ok(()),
                errno => Err(kv_engine::Error::io(
                    "the stream's function",
                    io::Error::from_raw_os_error(errno),
                )),
            }
        };
        run(&given, Token::of(txn), |job| {
            Ok(snapshot.get()?.txn.backup_to(backup_options(&given), job, &mut put)?)
        })
    })
}

/// Writes bytes to a file descriptor, all of them: a kv_write_fn whose ctx is an `int *` to the descriptor.
///
/// @return 0, or an errno, which is EAGAIN if the descriptor does not block and takes no more.
/// @ingroup kv_maintenance
#[no_mangle]
pub unsafe extern "C" fn kv_fd_write(ctx: *mut c_void, data: *const c_void, len: usize) -> i32 {
    // SAFETY: NULL or an int; NULL or `len` readable bytes, as described above.
    let given = unsafe {
        (
            arg::input(ctx.cast::<c_int>(), "the descriptor is NULL"),
            arg::bytes(data, len, Given::BUFFER),
        )
    };
    let (Ok(fd), Ok(bytes)) = given else {
        return libc::EINVAL;
    };
    // No call ends the process, and no thread ends inside a call.
    let _uncancelled = Uncancelled::new();
    let _no_signals = NoWriteSignals::new();
    let mut done = 0;
    while done < len {
        let left = &bytes[done..];
        // SAFETY: the slice is readable.
        let n = unsafe { libc::write(fd, left.as_ptr().cast(), left.len()) };
        match usize::try_from(n) {
            Ok(0) => return libc::EIO,
            Ok(n) => done += n,
            Err(_) => match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => {}
                errno => return errno.unwrap_or(libc::EIO),
            },
        }
    }
    0
}

/// Calls the caller's function with a fault.
///
/// # Safety
/// `tell` keeps to the contract of [`kv_fault_fn`].
pub(crate) unsafe fn tell_fault(
    tell: unsafe extern "C-unwind" fn(*mut c_void, *const kv_fault) -> i32,
    ctx: *mut c_void,
    in_use: Token,
    fault: &Fault,
) -> i32 {
    // A tree that has no number to be used is named in words.
    let mut text = match fault.table.filter(|table| table.is_internal()) {
        Some(table) => format!("{}, in {}", fault.what, table_called(table, b"")),
        None => fault.what.clone(),
    }
    .into_bytes();
    text.retain(|byte| *byte != 0);
    let text = CString::new(text).unwrap_or_default();
    let fault = kv_fault {
        struct_size: size_of::<kv_fault>() as u32,
        status: KV_CORRUPT,
        page: fault.page.map_or(KV_NONE, PageNo::get),
        table: table_in_question(fault.table),
        message: text.as_ptr(),
        kind: match fault.kind {
            FaultKind::Unreadable => KV_FAULT_UNREADABLE,
            FaultKind::Contradiction => KV_FAULT_CONTRADICTION,
        },
        reserved: 0,
    };
    // SAFETY: passed on.
    process::call_back(in_use.bits(), || unsafe { tell(ctx, &fault) })
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C-unwind" fn kind(_ctx: *mut c_void, fault: *const kv_fault) -> i32 {
        // SAFETY: a fault, as the type of the function says.
        unsafe { (*fault).kind as i32 }
    }

    #[test]
    fn each_kind_of_fault_has_its_number() {
        for (of, number) in [(FaultKind::Unreadable, 80), (FaultKind::Contradiction, 81)] {
            let (page, table, what) = (None, None, String::new());
            let fault = Fault {
                page,
                table,
                kind: of,
                what,
            };
            // SAFETY: the function keeps to its type.
            let told = unsafe { tell_fault(kind, std::ptr::null_mut(), Token::from_bits(0), &fault) };
            assert_eq!(told, number);
        }
    }
}
