//! Chapter "snapshots": those that commits record by themselves, and which of a row stay.

use crate::border::arg::{self, maybe, Given, Growing};
use crate::border::error::guard;
use crate::border::status::{kv_status, Failure, Outcome, KV_NOTFOUND};
use crate::border::types::kv_txn;
use crate::handle::about::about;
use crate::handle::in_use::{self, TxnUse};
use kv_engine::{Error, Retention};
use std::ffi::c_void;

/// Which snapshots of a row stay, for kv_history() and kv_snapshot_thin(); start from KV_RETENTION_INIT.
///
/// `last` keeps the newest ones. The other counts keep the newest of each of the last hours, days, weeks and months
/// that have one; those begin by UTC, and weeks with Monday. A snapshot stays if one of the counts keeps it. Hours and
/// days without a snapshot do not count, so that nothing goes because nobody has written for long.
///
/// @ingroup kv_snapshots
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_retention {
    /// sizeof(kv_retention), set by KV_RETENTION_INIT.
    pub struct_size: u32,
    /// For kv_history(): seconds from one snapshot to the next, at least 1; 0 = none are recorded, and the counts are
    /// 0, because only yield_after or yield_pages is wanted.
    pub interval: u32,
    /// How many of the newest stay; 0 = this count keeps none, as with those below.
    pub last: u32,
    /// Of how many hours the newest stays.
    pub hourly: u32,
    /// Of how many days the newest stays.
    pub daily: u32,
    /// Of how many weeks the newest stays.
    pub weekly: u32,
    /// Of how many months the newest stays.
    pub monthly: u32,
    /// For kv_history(): a snapshot with KV_SNAPSHOT_YIELD becomes a mark with the first commit for which its state is
    /// so many seconds old, and not the newest any more; 0 = never. A clock that runs ahead makes marks too early.
    pub yield_after: u32,
    /// For kv_history(): the pages that all snapshots may keep. While they keep more, those with KV_SNAPSHOT_YIELD
    /// become marks, the oldest first and the next when its pages were given back, to which commits see.
    /// 0 = any number.
    pub yield_pages: u64,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers.
unsafe impl Growing for kv_retention {}

impl From<&kv_retention> for Retention {
    fn from(given: &kv_retention) -> Retention {
        Retention {
            interval: given.interval,
            last: given.last,
            hourly: given.hourly,
            daily: given.daily,
            weekly: given.weekly,
            monthly: given.monthly,
            yield_after: given.yield_after,
            yield_pages: given.yield_pages,
        }
    }
}

/// Has commits record snapshots by themselves from now on, or no more.
///
/// The policy belongs to the file. From the commit of this transaction on, each commit of any process, when the newest
/// automatic snapshot is older than the interval, records one of what it commits, and drops those of the automatic ones
/// that do not stay, in the same commit. The name says when that was, as `auto/2026-11-30T12:00:00Z`. Snapshots that
/// programs have created, those that got another name, and those with KV_SNAPSHOT_KEEP are not dropped. While nobody
/// commits, nothing is recorded; a commit for which nothing is due costs what it did. A backup has no policy.
///
/// With yield_after or yield_pages, commits also make marks of snapshots with KV_SNAPSHOT_YIELD: of one that is too
/// old, and of the oldest when snapshots keep too much. So what was forgotten does not make the file grow without end.
///
/// While there is an automatic snapshot of a later time than now, because the clock was set back, none is dropped.
///
/// The call replaces the policy as a whole. If fewer stay than before, the others are dropped with the next one that is
/// recorded. Those with KV_SNAPSHOT_KEEP count among those that stay. Without a policy, the automatic ones are dropped
/// as others are, and kv_snapshot_thin() with the prefix `auto/` drops all but one.
///
/// A snapshot of the name that an automatic one would get is left alone, and none is recorded in that second. So
/// programs give names that do not begin with `auto/`.
///
/// @param policy  The interval and what stays; NULL = commits record none from now on, and those that are there stay.
/// @return KV_OK; KV_INVALID (an interval of which nothing stays; counts without an interval; nothing at all);
///         KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED, KV_BUSY;
///         KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (these can spoil the transaction).
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_history(txn: *mut kv_txn, policy: *const kv_retention) -> kv_status {
    guard(c"kv_history", about(txn), || {
        let policy = match policy.is_null() {
            true => None,
            // SAFETY: a struct of at least the size it states.
            false => Some(Retention::from(&unsafe { arg::options(policy)? })),
        };
        in_use::write_bytes(txn, [], |txn, []| txn.set_history(policy.as_ref()))
    })
}

/// Tells by which policy commits record snapshots by themselves.
///
/// @param policy  Receives the policy; start from KV_RETENTION_INIT.
/// @return KV_OK; KV_NOTFOUND (they record none); KV_NO_TABLE (the transaction itself reads a snapshot); KV_INVALID;
///         KV_TOO_NEW (a newer version has set the policy, and this one does not follow it); KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_CORRUPT, KV_IO; KV_TXN_FAILED.
/// @ingroup kv_snapshots
#[no_mangle]
pub unsafe extern "C" fn kv_stat_history(txn: *const kv_txn, policy: *mut kv_retention) -> kv_status {
    guard(c"kv_stat_history", about(txn), || {
        // SAFETY: NULL or a struct of at least the size it states.
        let report = unsafe { arg::report_out(policy)? };
        let mut usage = TxnUse::of(txn)?;
        let Some(found) = usage.read(|txn| txn.history())? else {
            let message = "the file has no policy, so commits record no snapshots by themselves; kv_history sets one";
            return Err(Failure::Here(KV_NOTFOUND, message.into()));
        };
        report.set(kv_retention {
            struct_size: 0,
            interval: found.interval,
            last: found.last,
            hourly: found.hourly,
            daily: found.daily,
            weekly: found.weekly,
            monthly: found.monthly,
            yield_after: found.yield_after,
            yield_pages: found.yield_pages,
        });
        Ok(())
    })
}

/// Drops the snapshots of a row that do not stay. Those with KV_SNAPSHOT_KEEP do, and count among those that stay.
/// Marks are left alone, and do not count.
///
/// The row is all that the prefix fits, whoever has made it. With prefix_len 0 that is every snapshot of the file:
/// those of other programs, those of kv_history(), and one in which a follower of changes has recorded how far it is.
///
/// @param prefix      What the names of the row begin with.
/// @param prefix_len  Bytes of it; 0 = all snapshots of the file.
/// @param retention   What stays; the interval does not count.
/// @param dropped     Receives how many snapshots were dropped; may be NULL.
/// @return KV_OK; KV_INVALID (also if nothing would stay); KV_TOO_BIG (prefix); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT (these can spoil the
///         transaction).
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_thin(
    txn: *mut kv_txn,
    prefix: *const c_void,
    prefix_len: usize,
    retention: *const kv_retention,
    dropped: *mut u64,
) -> kv_status {
    guard(c"kv_snapshot_thin", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (prefix, dropped) = unsafe { (arg::bytes(prefix, prefix_len, Given::NAME)?, maybe(dropped)) };
        let is_given = !retention.is_null();
        // SAFETY: NULL or a struct of at least the size it states. Nothing stays by NULL, which is refused.
        let retention = Retention::from(&unsafe { arg::options(retention)? });
        let thinned: Outcome<u64> =
            in_use::write_bytes(txn, [prefix], |txn, [prefix]| txn.snapshot_thin(prefix, &retention));
        let thinned = thinned.map_err(|failure| match failure {
            Failure::Engine(Error::Invalid(_)) if !is_given => Failure::invalid(
                "`retention` is NULL, so nothing would stay; give how many of the newest, hours, days, weeks or months",
            ),
            other => other,
        })?;
        if let Some(dropped) = dropped {
            dropped.set(thinned);
        }
        Ok(())
    })
}
