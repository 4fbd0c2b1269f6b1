//! Chapter "cursors": counting. All of it in time that grows with the height of the tree, not with the entries.

use crate::border::arg::{self, out};
use crate::border::error::guard_in_memory;
use crate::border::status::kv_status;
use crate::border::types::{self, kv_cursor, kv_range, kv_table, kv_txn};
use crate::handle::about::about;
use crate::handle::in_use::{CursorTxn, CursorUse, TxnUse};
use kv_engine::TableId;
use std::ffi::c_void;

/// Counts the entries of the cursor's range, without moving the cursor.
///
/// @param count  Receives the number of entries.
/// @return KV_OK; KV_INVALID (count is NULL); otherwise as kv_cursor_first(); never KV_NOTFOUND.
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_count(cursor: *mut kv_cursor, count: *mut u64) -> kv_status {
    guard_in_memory(c"kv_cursor_count", about(cursor), || {
        // SAFETY: NULL or writable.
        let count = unsafe { out(count, "count")? };
        let mut usage = CursorUse::of(cursor)?;
        let (handle, txn) = usage.parts()?;
        count.set(match txn {
            CursorTxn::Read(read) => handle.cursor.count(&mut &read.txn)?,
            CursorTxn::Write(mut write) => write.get()?.work(|txn| handle.cursor.count(txn))?,
        });
        Ok(())
    })
}

/// Counts the entries of the range before the current one, in the cursor's direction; kv_cursor_nth() with this number
/// returns to the current entry. If the cursor stands on no entry, those before the place where it stands are counted.
///
/// @param rank  Receives the number of entries.
/// @return KV_OK; KV_INVALID (rank is NULL); otherwise as kv_cursor_first(); never KV_NOTFOUND.
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_rank(cursor: *mut kv_cursor, rank: *mut u64) -> kv_status {
    guard_in_memory(c"kv_cursor_rank", about(cursor), || {
        // SAFETY: NULL or writable.
        let rank = unsafe { out(rank, "rank")? };
        let mut usage = CursorUse::of(cursor)?;
        let (handle, txn) = usage.parts()?;
        rank.set(match txn {
            CursorTxn::Read(read) => handle.cursor.rank(&mut &read.txn)?,
            CursorTxn::Write(mut write) => write.get()?.work(|txn| handle.cursor.rank(txn))?,
        });
        Ok(())
    })
}

/// Counts the entries of a range, in time that grows only with the height of the tree.
///
/// @param range  NULL = the whole table.
/// @param count  Receives the number of entries.
/// @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (a bound); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED;
///         KV_CORRUPT; KV_IO, KV_NO_SPACE, KV_LIMIT (in a write transaction: what it has collected is applied first,
///         and may be written).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_count(
    txn: *const kv_txn,
    table: kv_table,
    range: *const kv_range,
    count: *mut u64,
) -> kv_status {
    guard_in_memory(c"kv_count", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (range, count) = unsafe { (types::range(range)?, out(count, "count")?) };
        count.set(TxnUse::of(txn)?.read(|txn| txn.count(TableId::new(table), &range))?);
        Ok(())
    })
}

/// Counts the entries whose keys are less than `key`, which need not exist.
///
/// @param rank  Receives the number of entries.
/// @return As kv_count(); KV_TOO_BIG (key).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_rank(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    rank: *mut u64,
) -> kv_status {
    guard_in_memory(c"kv_rank", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, rank) = unsafe { (arg::key(key, klen)?, out(rank, "rank")?) };
        rank.set(TxnUse::of(txn)?.read(|txn| txn.rank(TableId::new(table), key))?);
        Ok(())
    })
}
