//! Chapter "maintenance": giving space back while a database is in use.

use crate::border::arg::{self, Growing};
use crate::border::error::guard;
use crate::border::status::{kv_status, Failure, Outcome};
use crate::border::types::kv_db;
use crate::handle::about::about;
use crate::handle::in_use::DbUse;
use crate::handle::token::Token;
use crate::maintenance::{kv_job_options, kv_progress_fn, run};
use crate::txn::not_waiting_for_itself;
use kv_engine::{CommitId, CompactOptions};
use std::ffi::c_void;

/// How kv_compact() gives space back; start from KV_COMPACT_OPTIONS_INIT.
///
/// @ingroup kv_maintenance
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_compact_options {
    /// sizeof(kv_compact_options), set by KV_COMPACT_OPTIONS_INIT.
    pub struct_size: u32,
    /// 1 = pages stay where they are, and only what is free at the end of the file already is cut off; 0 = what lives
    /// at the end moves to free pages before it first.
    pub stay: u32,
    /// 1 = the room of free runs of 1 MiB and more that stay inside the file is given back to the file system, too. The
    /// file is as long as without, and takes less of the disk; writing there again costs a little more. 0 = it is not.
    pub punch: u32,
    /// 0.
    pub reserved: u32,
    /// Called with the progress: pages that are done, of those that are to be moved. No write lock is held meanwhile.
    /// NULL = nobody is told.
    pub progress: kv_progress_fn,
    /// Handed to progress.
    pub ctx: *mut c_void,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers and pointers alike.
unsafe impl Growing for kv_compact_options {}

/// What kv_compact() did, and what was in its way; start from KV_COMPACT_REPORT_INIT.
///
/// @ingroup kv_maintenance
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_compact_report {
    /// sizeof(kv_compact_report), set by KV_COMPACT_REPORT_INIT.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Pages of the newest commit before.
    pub pages_before: u64,
    /// Pages of the newest commit afterwards. The file is longer if held_commit is in the way, and may be if others
    /// made it shorter at the same time, again and again: another call cuts it then.
    pub pages_after: u64,
    /// Pages that were moved.
    pub moved_pages: u64,
    /// Bytes by which this process made the file shorter.
    pub cut_bytes: u64,
    /// Bytes of room inside the file that the file system got back. What had no room before does not count, but for a
    /// database in memory, of which each call counts all that is free.
    pub punched_bytes: u64,
    /// Dead pages that readers still see, or that wait for a sync, as far as is known. They stay where they are.
    pub pending_pages: u64,
    /// Dead pages that snapshots keep. They stay where they are.
    pub parked_pages: u64,
    /// The commit of a reader that must end before the file can become as small as it might, as in
    /// kv_reader_info.commit; 0 = no reader is in the way. Readers of older snapshots can be, however late they began.
    pub held_commit: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_compact_report {}

/// Returns what a member says that is 0 or 1.
fn chosen(value: u32, invalid: &'static str) -> Outcome<bool> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Failure::invalid(invalid)),
    }
}

/// Makes the file smaller while it is in use: moves what lives at its end to free pages before it, and cuts the file
/// where its newest commit ends then. (A compact copy in another file is what kv_backup() makes with KV_JOB_COMPACT.)
///
/// Others go on reading and writing, in all processes. The call first gives back what dropped snapshots have left
/// (kv_reclaim()). It makes commits that change nothing and are durable when it returns; other write transactions have
/// their turns between them. A step with the write lock takes some 0.1 ms, and longer where it moves a long value,
/// which it does as a whole. Beside others who write without a pause, one call may stop early; another one goes on.
///
/// What readers and snapshots see stays where it is: the report tells how many pages that are. So do tables that only a
/// newer version can change, and long values for which no free run is long enough. The file is not cut below a reader
/// that sees a commit from before the pages moved: one that began before, or one of an older snapshot, however late it
/// began. held_commit names its commit then, and a later call does the rest when that reader has ended (kv_reader_at()
/// tells whose it is).
///
/// What is written is what lives at the end of the file, and a twentieth more: about 0.7 MB for each MB that is given
/// back where two thirds of the file live, and 0.1 to 0.2 MB where little does. Nothing moves if the file would not
/// become shorter by a 64th of it. Where the disk has no room for what would move, what is free at the end is cut off
/// all the same. Without this call, a commit that finds an eighth of the file (1 MiB at least) free at its end cuts
/// that off by itself, but moves nothing.
///
/// A write transaction that `progress` begins must have ended when it returns, because this call would wait for it.
///
/// @param options  stay, punch, progress; NULL = all defaults.
/// @param report   Filled after KV_OK; start from KV_COMPACT_REPORT_INIT. May be NULL.
/// @return KV_OK: look at the report; KV_INVALID (stay or punch is neither 0 nor 1, the reserved field is not 0,
///         struct_size); KV_CANCELLED (progress, or as kv_txn_begin()), KV_BUSY, KV_DEADLOCK (as kv_txn_begin());
///         KV_READ_ONLY; KV_NO_SPACE (nothing could be given back), KV_IO, KV_CORRUPT, KV_NO_LOCKS, KV_NO_MEMORY,
///         KV_LIMIT, KV_IN_DOUBT, KV_POISONED (the content is the same after each failure, and what was given back
///         before stays so); KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_maintenance
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_compact(
    db: *mut kv_db,
    options: *const kv_compact_options,
    report: *mut kv_compact_report,
) -> kv_status {
    guard(c"kv_compact", about(db), || {
        // SAFETY: NULL or a struct of at least the size it states.
        let given = unsafe { arg::options(options)? };
        let out = match report.is_null() {
            true => None,
            // SAFETY: a struct of at least the size it states.
            false => Some(unsafe { arg::report_out(report)? }),
        };
        if given.reserved != 0 {
            return Err(Failure::invalid(
                "compact: the reserved field is not zero (start from KV_COMPACT_OPTIONS_INIT)",
            ));
        }
        let how = CompactOptions {
            stay: chosen(
                given.stay,
                "compact: `stay` is neither 0 nor 1; give 1 so that no page moves, otherwise 0",
            )?,
            punch: chosen(
                given.punch,
                "compact: `punch` is neither 0 nor 1; give 1 to have the room of free runs given back, otherwise 0",
            )?,
        };
        let job = kv_job_options {
            struct_size: 0,
            flags: 0,
            progress: given.progress,
            ctx: given.ctx,
        };
        let db = DbUse::of(db)?;
        let database = db.get()?;
        not_waiting_for_itself(database)?;
        let done = run(&job, Token::NONE, |job| Ok(database.db.compact(&how, job)?))?;
        if let Some(out) = out {
            out.set(kv_compact_report {
                struct_size: 0,
                reserved: 0,
                pages_before: done.pages_before,
                pages_after: done.pages_after,
                moved_pages: done.moved_pages,
                cut_bytes: done.cut_bytes,
                punched_bytes: done.punched_bytes,
                pending_pages: done.pending_pages,
                parked_pages: done.parked_pages,
                held_commit: done.held.map_or(0, CommitId::get),
            });
        }
        Ok(())
    })
}
