//! Chapter "maintenance": saving what is left of a damaged database.

use crate::border::arg::{self, Growing};
use crate::border::error::{guard, AboutPath};
use crate::border::flags::{known, KV_JOB_OVERWRITE};
use crate::border::process;
use crate::border::status::kv_status;
use crate::handle::objects::orphan_all;
use crate::handle::token::Token;
use crate::maintenance::{kv_fault_fn, kv_job_options, required_path, run, tell_fault};
use kv_engine::Fault;
use std::ffi::{c_char, c_void};

/// What kv_salvage() counted; start from KV_SALVAGE_REPORT_INIT.
///
/// @ingroup kv_maintenance
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_salvage_report {
    /// sizeof(kv_salvage_report), set by KV_SALVAGE_REPORT_INIT.
    pub struct_size: u32,
    /// The meta slots that are missing or cannot be read, as in kv_db_stat.lost_slots; 0 = none. If there is one, a
    /// commit that is newer than `commit` may be lost with it, and what was saved may be complete and not the newest.
    pub lost_slots: u32,
    /// Number of the commit that was saved; 0 = not known, because no slot of the file can be read.
    pub commit: u64,
    /// Number of tables that were saved, KV_MAIN included.
    pub tables: u64,
    /// Number of entries that were saved, including the uncertain ones.
    pub entries: u64,
    /// How many of them were found without a pointer that leads there. They may be older than what was lost, or deleted
    /// since.
    pub uncertain: u64,
    /// Number of entries that were lost, as far as it is known.
    pub lost_entries: u64,
    /// Pages in use that could not be read or differ from their checksum.
    pub damaged_pages: u64,
    /// Number of subtrees that could not be reached.
    pub lost_subtrees: u64,
    /// Leaf pages that look right and were not used, because nothing tells whether they are the newest.
    pub ambiguous_pages: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_salvage_report {}

/// Saves what can be read of a damaged database into a new one, and tells what is lost.
///
/// The damaged file is only read; it need not be possible to open it as a database, nor to lock it. Its newest readable
/// commit is read, and damage is stepped over, and so are sectors that the disk does not give, because the file is not
/// mapped for this (see 11 at the head). Only where that leaves gaps, the whole file is searched for leaf pages to
/// which nothing leads. They are used if they can be told from older versions, and their entries are counted as
/// uncertain. Values that differ from their checksum are never saved. Tables keep their numbers; one whose name is lost
/// is called "lost-" and its number.
///
/// @param damaged   The damaged file.
/// @param target    The new file, which appears when it is whole and durable. Its permissions are as kv_backup() says.
/// @param options   KV_JOB_OVERWRITE, progress; NULL = all defaults.
/// @param on_fault  Called for what is lost or doubtful: page, table, and in words how many entries and which keys.
///                  What is below a page that cannot be used is told when that is met, and again at the end, with what
///                  was found of it elsewhere and what is lost. May be NULL.
/// @param ctx       Handed to on_fault.
/// @param report    Filled after KV_OK; start from KV_SALVAGE_REPORT_INIT. May be NULL.
/// @return KV_OK: look at the report; KV_NO_FILE, KV_ACCESS; KV_NOT_A_DATABASE (nothing in it looks like one, or the
///         target is a device, a pipe, a directory, the NAME-shm of a database or the like), KV_TOO_NEW, KV_TOO_OLD;
///         KV_EXISTS (the target, without KV_JOB_OVERWRITE); KV_CANCELLED; KV_NO_SPACE, KV_IO, KV_NO_MEMORY;
///         KV_NO_LOCKS; KV_INVALID.
/// @ingroup kv_maintenance
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_salvage(
    damaged: *const c_char,
    target: *const c_char,
    options: *const kv_job_options,
    on_fault: kv_fault_fn,
    ctx: *mut c_void,
    report: *mut kv_salvage_report,
) -> kv_status {
    guard(c"kv_salvage", AboutPath(damaged), || {
        process::prepare(orphan_all)?;
        // SAFETY: pointers of the caller, as described above.
        let (given, damaged, target) = unsafe {
            (
                arg::options(options)?,
                required_path(damaged, "damaged")?,
                required_path(target, "target")?,
            )
        };
        known(given.flags, KV_JOB_OVERWRITE)?;
        let overwrite = given.flags & KV_JOB_OVERWRITE != 0;
        let counted = run(&given, Token::NONE, |job| {
            // SAFETY: the caller's function, called as its type says.
            let mut tell =
                |fault: &Fault| on_fault.is_none_or(|tell| unsafe { tell_fault(tell, ctx, Token::NONE, fault) } == 0);
            Ok(kv_engine::salvage(damaged, target, overwrite, job, &mut tell)?)
        })?;
        if report.is_null() {
            return Ok(());
        }
        let filled = kv_salvage_report {
            struct_size: 0,
            lost_slots: counted.lost_slots,
            commit: counted.id.get(),
            tables: counted.tables,
            entries: counted.entries,
            uncertain: counted.uncertain,
            lost_entries: counted.lost_entries,
            damaged_pages: counted.damaged_pages,
            lost_subtrees: counted.lost_subtrees,
            ambiguous_pages: counted.ambiguous_pages,
        };
        // SAFETY: a struct of at least the size it states.
        unsafe { arg::report(report, filled) }
    })
}
