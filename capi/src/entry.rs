//! Chapter "entries": get, put, delete.

use crate::border::arg::{self, maybe, out, Given, Out};
use crate::border::error::{guard_fast, guard_in_memory};
use crate::border::flags::{known, KV_BLIND};
use crate::border::status::{kv_status, not_found, Failure, Outcome, KV_EXISTS};
use crate::border::types::{self, kv_range, kv_slice, kv_table, kv_txn, put_mode};
use crate::handle::about::about;
use crate::handle::in_use::{self, ReadUse, TxnUse};
use kv_engine::{PutMode, Reader, TableId};
use std::ffi::c_void;
use std::ops::Bound;

/// Reads the value of a key in place, without a copy.
///
/// @param value  Receives the value, valid until the transaction ends or is refreshed, and in a write transaction only
///               until its next write. NULL only asks whether the key exists, and never reads a long value.
/// @return KV_OK; KV_NOTFOUND; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (key); KV_BAD_HANDLE, KV_FORKED; KV_BUSY (a write
///         transaction in use by another thread); KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_MEMORY.
/// @ingroup kv_entries
#[no_mangle]
pub unsafe extern "C" fn kv_get(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *mut kv_slice,
) -> kv_status {
    guard_fast(c"kv_get", about(txn), move || {
        // SAFETY: pointers of the caller, as described above.
        let (key, value) = unsafe { (arg::key(key, klen)?, maybe(value)) };
        if let (Some(value), Some(read)) = (&value, ReadUse::uncontended(txn)) {
            let found = read.get()?.txn.get(TableId::new(table), key)?;
            value.set(kv_slice::of(found.ok_or_else(not_found)?));
            return Ok(());
        }
        get_otherwise(txn, table, key, value)
    })
}

/// The lookup in a write transaction, in a read transaction that other threads use, or for presence only. It is not
/// inlined, because its many errors would burden the common case.
#[inline(never)]
fn get_otherwise(txn: *const kv_txn, table: kv_table, key: &[u8], value: Option<Out<kv_slice>>) -> Outcome {
    let mut txn = TxnUse::of(txn)?;
    let Some(value) = value else {
        let there = txn.read(|txn| txn.contains(TableId::new(table), key))?;
        return if there { Ok(()) } else { Err(Failure::NOTFOUND) };
    };
    let found = match &mut txn {
        TxnUse::Read(read) => read.get()?.txn.get(TableId::new(table), key)?.map(kv_slice::of),
        TxnUse::Write(write) => write
            .get()?
            .work(|txn| Ok(Reader::get(txn, TableId::new(table), key)?.map(kv_slice::of)))?,
    };
    value.set(found.ok_or_else(not_found)?);
    Ok(())
}

/// Copies the value of a key into a buffer of the caller.
///
/// @param buffer  Receives the value; may be NULL if size is 0.
/// @param size    Bytes of the buffer.
/// @param len     Receives the length of the value in bytes, also after KV_TOO_SMALL; may be NULL.
/// @return As kv_get(); KV_TOO_SMALL (nothing was copied).
/// @ingroup kv_entries
#[no_mangle]
pub unsafe extern "C" fn kv_get_copy(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    buffer: *mut c_void,
    size: usize,
    len: *mut usize,
) -> kv_status {
    guard_in_memory(c"kv_get_copy", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, mut buffer, len) = unsafe { (arg::key(key, klen)?, arg::buffer(buffer, size)?, maybe(len)) };
        let needed = TxnUse::of(txn)?.read(|txn| {
            Ok(match txn.get(TableId::new(table), key)? {
                None => None,
                Some(value) if value.len() > size => Some((value.len(), Err(Failure::too_small(value.len(), size)))),
                Some(value) => Some((value.len(), buffer.put(0, value))),
            })
        })?;
        let (length, copied) = needed.ok_or_else(not_found)?;
        if let Some(len) = len {
            len.set(length);
        }
        copied
    })
}

/// Puts an entry: inserts it, or replaces the value if the key exists.
///
/// @param flags  0, or one of KV_NO_OVERWRITE, KV_NO_INSERT, KV_APPEND.
/// @return KV_OK; KV_EXISTS, KV_NOTFOUND, KV_ORDER (as the flags say; nothing was written); KV_NO_TABLE; KV_READ_ONLY
///         (a read transaction, or KV_TABLES); KV_UNSUPPORTED (a newer version made the table); KV_TOO_BIG; KV_INVALID;
///         KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED; KV_NO_SPACE, KV_IO, KV_CORRUPT, KV_NO_MEMORY, KV_LIMIT
///         (the file cannot grow further; these can spoil the transaction).
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_put(
    txn: *mut kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *const c_void,
    vlen: usize,
    flags: u32,
) -> kv_status {
    guard_in_memory(c"kv_put", about(txn), move || {
        // SAFETY: pointers of the caller, as described above.
        let (key, value) = unsafe { (arg::key(key, klen)?, arg::value(value, vlen)?) };
        let mode = put_mode(flags)?;
        in_use::write_bytes(txn, [key, value], |txn, [key, value]| {
            txn.put(TableId::new(table), key, value, mode)
        })
    })
}

/// Puts an entry if its key does not exist; otherwise returns KV_EXISTS and hands out the value that is there.
///
/// @param existing  Receives the value that is there after KV_EXISTS, valid until the next write or the end of the
///                  transaction; may be NULL.
/// @return As kv_put() with KV_NO_OVERWRITE.
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_insert(
    txn: *mut kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *const c_void,
    vlen: usize,
    existing: *mut kv_slice,
) -> kv_status {
    guard_in_memory(c"kv_insert", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, value, existing) = unsafe { (arg::key(key, klen)?, arg::value(value, vlen)?, maybe(existing)) };
        let Some(existing) = existing else {
            return in_use::write_bytes(txn, [key, value], |txn, [key, value]| {
                txn.put(TableId::new(table), key, value, PutMode::NoOverwrite)
            });
        };
        match in_use::write_bytes(txn, [key, value], |txn, [key, value]| {
            Ok(txn.insert(TableId::new(table), key, value)?.map(kv_slice::of))
        })? {
            None => Ok(()),
            Some(present) => {
                existing.set(present);
                Err(Failure::here(
                    KV_EXISTS,
                    "the key exists already; its value was answered, kv_put replaces it",
                ))
            }
        }
    })
}

/// Puts an entry and hands out the value that it replaces.
///
/// @param flags  As for kv_put().
/// @param old    Receives the former value, valid until the next write or the end of the transaction; its data is NULL
///               if there was none.
/// @return As kv_put().
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_replace(
    txn: *mut kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *const c_void,
    vlen: usize,
    flags: u32,
    old: *mut kv_slice,
) -> kv_status {
    guard_in_memory(c"kv_replace", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, value, old) = unsafe { (arg::key(key, klen)?, arg::value(value, vlen)?, out(old, "old")?) };
        let mode = put_mode(flags)?;
        old.set(in_use::write_bytes(txn, [key, value], |txn, [key, value]| {
            Ok(kv_slice::of_option(txn.replace(
                TableId::new(table),
                key,
                value,
                mode,
            )?))
        })?);
        Ok(())
    })
}

/// Puts an entry whose value is `vlen` zero bytes, and tells where they lie, so that the caller can fill them before
/// the next call on this transaction. That saves a copy of a value that is computed anyway.
///
/// @param vlen   Bytes of the value.
/// @param flags  As for kv_put().
/// @param data   Receives the address of vlen writable bytes, never NULL; valid until the next call on this
///               transaction.
/// @return As kv_put().
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_reserve(
    txn: *mut kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    vlen: usize,
    flags: u32,
    data: *mut *mut c_void,
) -> kv_status {
    guard_in_memory(c"kv_reserve", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, data) = unsafe { (arg::key(key, klen)?, out(data, "data")?) };
        Given::VALUE.check_len(vlen)?;
        let mode = put_mode(flags)?;
        let reserved = in_use::write_bytes(txn, [key], |txn, [key]| {
            Ok(txn.reserve(TableId::new(table), key, vlen, mode)?.as_mut_ptr())
        })?;
        data.set(reserved.cast());
        Ok(())
    })
}

/// Deletes an entry.
///
/// @param flags  0, or KV_BLIND.
/// @return KV_OK; KV_NOTFOUND (without KV_BLIND); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_delete(
    txn: *mut kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    flags: u32,
) -> kv_status {
    guard_in_memory(c"kv_delete", about(txn), move || {
        // SAFETY: pointers of the caller, as described above.
        let key = unsafe { arg::key(key, klen)? };
        known(flags, KV_BLIND)?;
        if flags & KV_BLIND != 0 {
            return in_use::write_bytes(txn, [key], |txn, [key]| txn.delete_blind(TableId::new(table), key));
        }
        match in_use::write_bytes(txn, [key], |txn, [key]| txn.delete(TableId::new(table), key))? {
            true => Ok(()),
            false => Err(Failure::NOTFOUND),
        }
    })
}

/// Deletes an entry and hands out its value.
///
/// @param value  Receives the value, valid until the next write or the end of the transaction.
/// @return KV_OK; KV_NOTFOUND; otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_take(
    txn: *mut kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *mut kv_slice,
) -> kv_status {
    guard_in_memory(c"kv_take", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, value) = unsafe { (arg::key(key, klen)?, out(value, "value")?) };
        let taken = in_use::write_bytes(txn, [key], |txn, [key]| {
            Ok(txn.take(TableId::new(table), key)?.map(kv_slice::of))
        })?;
        value.set(taken.ok_or_else(not_found)?);
        Ok(())
    })
}

/// Deletes the first entry of a range (with KV_RANGE_REVERSE, the one with the greatest key) and hands it out: the step
/// of a queue.
///
/// @param range  NULL = the whole table.
/// @param key    Receives the key, valid until the next write or the end of the transaction; may be NULL.
/// @param value  Receives the value, valid as long as the key; may be NULL.
/// @return KV_OK; KV_NOTFOUND (the range is empty); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_take_first(
    txn: *mut kv_txn,
    table: kv_table,
    range: *const kv_range,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    guard_in_memory(c"kv_take_first", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (range, key, value) = unsafe { (types::range(range)?, maybe(key), maybe(value)) };
        let taken = in_use::write(txn, |txn| {
            Ok(txn
                .take_first(TableId::new(table), &range)?
                .map(|(key, value)| (kv_slice::of(key), kv_slice::of(value))))
        })?;
        let (taken_key, taken_value) = taken.ok_or_else(not_found)?;
        if let Some(key) = key {
            key.set(taken_key);
        }
        if let Some(value) = value {
            value.set(taken_value);
        }
        Ok(())
    })
}

/// Deletes every entry of a range. The time grows with the number of pages in the range, and not with the number or the
/// sizes of its entries; leaf pages that lie wholly within it are read only if the table has long keys or values.
///
/// @param range    With at least one bound or a prefix. For a whole table there is kv_table_clear().
/// @param deleted  Receives the number of entries that were deleted; may be NULL.
/// @return KV_OK (also if the range was empty); KV_INVALID (a range without a bound); otherwise as kv_put(); never
///         KV_NOTFOUND, KV_EXISTS, KV_ORDER.
/// @ingroup kv_entries
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_delete_range(
    txn: *mut kv_txn,
    table: kv_table,
    range: *const kv_range,
    deleted: *mut u64,
) -> kv_status {
    guard_in_memory(c"kv_delete_range", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (range, deleted) = unsafe { (types::range(range)?, maybe(deleted)) };
        if matches!(
            (range.from, range.to, range.prefix),
            (Bound::Unbounded, Bound::Unbounded, None)
        ) {
            return Err(Failure::invalid(
                "delete_range: the range has no bound; use kv_table_clear for the whole table",
            ));
        }
        let count = in_use::write(txn, |txn| txn.delete_range(TableId::new(table), &range))?;
        if let Some(deleted) = deleted {
            deleted.set(count);
        }
        Ok(())
    })
}
