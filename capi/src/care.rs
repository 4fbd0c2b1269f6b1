//! Chapter "care": proving that a database is sound.

use crate::arg::{self, Growing};
use crate::error::guard;
use crate::process;
use crate::reach::DbUse;
use crate::status::{kv_status, Failure, KV_CANCELLED, KV_CORRUPT};
use crate::txn::not_waiting_for_itself;
use crate::types::{known, kv_db};
use kv_engine::db::Fault;
use std::ffi::{c_char, c_void, CString};

/// kv_job_options.flags: also prove that every page of the file is exactly one of used, held, free or bookkeeping. Waits
/// for an open write transaction to end. @ingroup kv_care
pub const KV_JOB_ACCOUNT: u32 = 1;

/// How a long job is done; start from KV_JOB_OPTIONS_INIT.
///
/// @ingroup kv_care
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_job_options {
    /// sizeof(kv_job_options), set by KV_JOB_OPTIONS_INIT.
    pub struct_size: u32,
    /// KV_JOB_... flags.
    pub flags: u32,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_job_options {}

/// A fault that a check found; valid during the callback.
///
/// @ingroup kv_care
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_fault {
    /// sizeof(kv_fault).
    pub struct_size: u32,
    /// What kind of fault: KV_CORRUPT.
    pub status: kv_status,
    /// The page, or KV_NONE.
    pub page: u64,
    /// The table, or KV_NONE.
    pub table: u64,
    /// What is wrong, in words.
    pub message: *const c_char,
}

/// Is told each fault, on the thread that called kv_check(). Answers 0 to go on; anything else ends the check with
/// KV_CANCELLED. It must not close the database.
///
/// @ingroup kv_care
pub type kv_fault_fn = Option<unsafe extern "C" fn(ctx: *mut c_void, fault: *const kv_fault) -> i32>;

/// What kv_check() counted; start from KV_REPORT_INIT.
///
/// @ingroup kv_care
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_report {
    /// sizeof(kv_report), set by KV_REPORT_INIT.
    pub struct_size: u32,
    /// Zero.
    pub reserved: u32,
    /// The commit that was checked.
    pub commit: u64,
    /// Tables, KV_MAIN included.
    pub tables: u64,
    /// Entries of all tables.
    pub entries: u64,
    /// Pages of the file.
    pub pages: u64,
    /// Pages of trees.
    pub tree_pages: u64,
    /// Pages of long values and keys.
    pub long_pages: u64,
    /// Pages that nobody needs now, or soon.
    pub dead_pages: u64,
    /// Faults found.
    pub faults: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_report {}

/// Reads everything the newest commit reaches and verifies it: checksums, order of keys, counts, shapes of trees.
///
/// @param options   NULL = all defaults.
/// @param on_fault  Is told each fault; may be NULL.
/// @param ctx       Handed to on_fault.
/// @param report    Filled after KV_OK and KV_CORRUPT; may be NULL. Its struct_size is set by the caller.
/// @return KV_OK: no fault; KV_CORRUPT: faults were found; KV_CANCELLED; KV_BUSY (KV_JOB_ACCOUNT: commits come
///         too fast); KV_DEADLOCK (KV_JOB_ACCOUNT: this thread has a write transaction open); KV_IO, KV_NO_MEMORY, KV_LIMIT; KV_INVALID; KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_care
#[no_mangle]
pub unsafe extern "C" fn kv_check(
    db: *mut kv_db,
    options: *const kv_job_options,
    on_fault: kv_fault_fn,
    ctx: *mut c_void,
    report: *mut kv_report,
) -> kv_status {
    guard(c"kv_check", || {
        // SAFETY: NULL or a struct of at least the size it states.
        let given = unsafe { arg::options(options)? };
        known(given.flags, KV_JOB_ACCOUNT)?;
        let usage = DbUse::of(db)?;
        if given.flags & KV_JOB_ACCOUNT != 0 {
            not_waiting_for_itself(usage.get()?)?;
        }
        let mut stopped = false;
        let counted = usage.get()?.db.check(given.flags & KV_JOB_ACCOUNT != 0, &mut |fault| {
            // SAFETY: the caller's function, called as its type says.
            stopped |= on_fault.is_some_and(|tell| unsafe { hand_over(tell, ctx, fault) } != 0);
            !stopped
        });
        if stopped {
            return Err(Failure::here(KV_CANCELLED, "check: the callback asked to stop"));
        }
        let counted = counted?;
        if !report.is_null() {
            let filled = kv_report {
                struct_size: 0,
                reserved: 0,
                commit: counted.id,
                tables: counted.tables,
                entries: counted.entries,
                pages: counted.pages,
                tree_pages: counted.tree_pages,
                long_pages: counted.chain_pages,
                dead_pages: counted.dead_pages,
                faults: counted.faults,
            };
            // SAFETY: a struct of at least the size it states.
            unsafe { arg::report(report, filled)? };
        }
        if counted.faults != 0 {
            return Err(Failure::here(
                KV_CORRUPT,
                "check: faults were found; restore from a backup",
            ));
        }
        Ok(())
    })
}

/// Calls the caller's function with a fault.
///
/// # Safety
/// `tell` keeps to the contract of [`kv_fault_fn`].
unsafe fn hand_over(
    tell: unsafe extern "C" fn(*mut c_void, *const kv_fault) -> i32,
    ctx: *mut c_void,
    fault: &Fault,
) -> i32 {
    let mut text = fault.what.clone().into_bytes();
    text.retain(|byte| *byte != 0);
    let text = CString::new(text).unwrap_or_default();
    let fault = kv_fault {
        struct_size: size_of::<kv_fault>() as u32,
        status: KV_CORRUPT,
        page: fault.page,
        table: fault.table,
        message: text.as_ptr(),
    };
    // SAFETY: passed on.
    process::call_back(|| unsafe { tell(ctx, &fault) })
}
