//! Chapter "snapshots": which ranges of keys have changed since.

use crate::border::arg::{self, Given};
use crate::border::error::guard;
use crate::border::flags::{KV_RANGE_BEFORE, KV_RANGE_FROM};
use crate::border::process;
use crate::border::status::{kv_status, Failure, KV_CANCELLED, KV_NOTFOUND};
use crate::border::types::{self, kv_range, kv_slice, kv_table, kv_txn};
use crate::handle::about::about;
use crate::handle::in_use::TxnUse;
use crate::handle::token::Token;
use crate::txn::no_snapshot;
use kv_engine::{ChangedRange, TableId};
use std::ffi::c_void;

/// Called by kv_snapshot_ranges() for each range in which something may have changed. The range has KV_RANGE_FROM, but
/// not if it begins with the least key of all, and KV_RANGE_BEFORE, but not if it goes on to the end of the table, and
/// nothing else; it can be handed to kv_cursor_open() and kv_delete_range(), and is valid until the function returns.
/// Returns 0 to go on; anything else ends the call with KV_CANCELLED.
///
/// @ingroup kv_snapshots
pub type kv_range_fn = Option<unsafe extern "C-unwind" fn(ctx: *mut c_void, range: *const kv_range) -> i32>;

/// Tells in which ranges of keys of a table something may have changed since a snapshot or a mark, in ascending order.
/// Outside of them all keys and values are what they were; no two of the ranges touch. So whoever has the former state
/// gets the present one by deleting what he has in each range, and putting what the transaction has there.
///
/// Nothing of the former state is needed, so a mark will do, which keeps nothing. Only branches are read that were
/// written since, and no entry. The ranges are as wide as the pages in which something has changed: some ten entries to
/// some hundred. kv_compact() counts as a change of what it moves. Where the former state is kept, kv_diff_open() tells
/// the single keys.
///
/// A table that is empty now, or was created since, is one range. One that was dropped since is in no transaction: the
/// ranges of KV_TABLES tell between which names tables may have come, gone or been renamed.
///
/// In a read transaction, the function may use it, but not end it. In a write transaction, its own writes count, and
/// the function cannot use it (KV_BUSY).
///
/// @param txn    A transaction, which does not itself read a snapshot.
/// @param name   The name of the snapshot or mark.
/// @param len    Bytes of the name.
/// @param range  NULL = the whole table. What is outside of it is not told of; its direction does not matter.
/// @param tell   Gets the ranges.
/// @param ctx    Handed to tell.
/// @return KV_OK; KV_NOTFOUND (no snapshot has the name); KV_NO_TABLE (also if the transaction reads a snapshot);
///         KV_CANCELLED (tell); KV_INVALID (also if tell is NULL); KV_TOO_BIG (name, a bound); KV_BAD_HANDLE,
///         KV_FORKED, KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY, KV_LIMIT.
/// @ingroup kv_snapshots
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_snapshot_ranges(
    txn: *const kv_txn,
    name: *const c_void,
    len: usize,
    table: kv_table,
    range: *const kv_range,
    tell: kv_range_fn,
    ctx: *mut c_void,
) -> kv_status {
    guard(c"kv_snapshot_ranges", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (name, range) = unsafe { (arg::bytes(name, len, Given::NAME)?, types::range(range)?) };
        let tell = tell.ok_or_else(|| {
            Failure::invalid("ranges: `tell` is NULL; give a function that takes the ranges of changed keys")
        })?;
        let (mut usage, token) = (TxnUse::of_long(txn)?, Token::of(txn));
        let mut is_stopped = false;
        let mut give = |changed: &ChangedRange<'_>| {
            let given = range_of(changed);
            // SAFETY: the caller's function, called as its type says.
            is_stopped = process::call_back(token.bits(), || unsafe { tell(ctx, &given) }) != 0;
            !is_stopped
        };
        let told = usage.read(|txn| txn.snapshot_ranges(name, TableId::new(table), &range, &mut give));
        match told {
            Err(Failure::Plain(KV_NOTFOUND)) => Err(no_snapshot(name)),
            Ok(()) if is_stopped => Err(Failure::here(
                KV_CANCELLED,
                "cancelled: `tell` asked to stop; nothing was changed",
            )),
            other => other,
        }
    })
}

/// Returns a range as callers know it.
fn range_of(changed: &ChangedRange<'_>) -> kv_range {
    let none = kv_slice {
        data: std::ptr::null(),
        len: 0,
    };
    let mut range = kv_range {
        flags: 0,
        reserved: 0,
        from: none,
        to: none,
        prefix: none,
    };
    if !changed.low.is_empty() {
        range.flags |= KV_RANGE_FROM;
        range.from = kv_slice::of(changed.low);
    }
    if let Some(high) = changed.high {
        range.flags |= KV_RANGE_BEFORE;
        range.to = kv_slice::of(high);
    }
    range
}
