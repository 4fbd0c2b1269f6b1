//! Chapter "batches": arrays of slices, for programs in C.

use crate::border::arg::{array, maybe, out, out_array, Given, Out, OutArray};
use crate::border::error::guard_in_memory;
use crate::border::flags::{known, no_choice, KV_BLIND, KV_OP_DELETE, KV_OP_PUT};
use crate::border::status::{kv_status, Failure, Outcome};
use crate::border::types::{kv_cursor, kv_entry, kv_slice, kv_table, kv_txn, put_mode};
use crate::handle::about::about;
use crate::handle::in_use::{self, CursorTxn, CursorUse, TxnUse};
use crate::handle::objects::{CursorHandle, WriteHandle};
use kv_engine::{Error, PutMode, Reader, TableId};

/// How many keys are looked up in one go.
const TOGETHER: usize = 64;

/// One operation of kv_write_batch().
///
/// @ingroup kv_batches
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_op {
    /// KV_OP_...
    pub op: u32,
    /// Flags of that operation.
    pub flags: u32,
    /// Number of the table.
    pub table: kv_table,
    /// The key.
    pub key: kv_slice,
    /// The value.
    pub value: kv_slice,
}

/// Reads the values of many keys at once. This is much faster than reading one after the other, because the next keys
/// are looked for while memory is waited for.
///
/// @param keys    n keys in any order.
/// @param n       Number of keys.
/// @param values  Receives n values in the order of the keys, valid as those of kv_get(); the data of one that does not
///                exist is NULL. After a failure, the first of them may have been written.
/// @param found   Receives how many of the keys exist; may be NULL.
/// @return KV_OK, also if none exists; KV_NO_SPACE, KV_LIMIT (in a write transaction, as kv_count); otherwise as
///         kv_get(); never KV_NOTFOUND.
/// @ingroup kv_batches
#[no_mangle]
pub unsafe extern "C" fn kv_get_many(
    txn: *const kv_txn,
    table: kv_table,
    keys: *const kv_slice,
    n: usize,
    values: *mut kv_slice,
    found: *mut usize,
) -> kv_status {
    guard_in_memory(c"kv_get_many", about(txn), || {
        // SAFETY: pointers of the caller, as described above; the keys span readable bytes.
        let (keys, mut values, found) =
            unsafe { (array(keys, n, "keys")?, out_array(values, n, "values")?, maybe(found)) };
        let (mut given, mut there) = (0, 0);
        let mut usage = TxnUse::of(txn)?;
        for some in keys.chunks(TOGETHER) {
            let mut sought: [&[u8]; TOGETHER] = [&[]; TOGETHER];
            for (sought, key) in sought.iter_mut().zip(some) {
                // SAFETY: the keys of the caller span readable bytes.
                *sought = unsafe { key.bytes(Given::KEY)? };
            }
            usage.read(|txn| {
                txn.get_each(TableId::new(table), &sought[..some.len()], &mut |value| {
                    values.set(given, kv_slice::of_option(value));
                    given += 1;
                    there += usize::from(value.is_some());
                })
            })?;
        }
        if let Some(found) = found {
            found.set(there);
        }
        Ok(())
    })
}

/// Puts the next entries into `entries`; returns how many.
fn next_many<R: Reader + ?Sized>(
    handle: &mut CursorHandle,
    txn: &mut R,
    entries: &mut OutArray<kv_entry>,
) -> Result<usize, Error> {
    let (cursor, keys) = (&mut handle.cursor, &mut handle.keys);
    keys.clear();
    let (mut got, mut lacking) = (0, false);
    cursor.read_many(txn, entries.len as u64, &mut |key, value| {
        let Some(key) = keys.keep(key) else {
            lacking = true;
            return false;
        };
        let value = kv_slice::of(value);
        entries.set(got, kv_entry { key, value });
        got += 1;
        true
    })?;
    match lacking && got == 0 {
        true => Err(Error::NoMemory("keys of a cursor")),
        false => Ok(got),
    }
}

/// Moves over the next entries and hands them out, up to n at a time. The cursor then stands on the last of them or,
/// if the range has fewer than n more, behind it, as after kv_cursor_next() has returned KV_NOTFOUND.
///
/// @param entries  Receives up to n entries. Their keys are valid until the next call on this cursor, and their values
///                 as those of kv_cursor_next(). After a failure, the first of them may have been written.
/// @param n        Room in `entries`, at least 1.
/// @param got      Receives how many entries there are: less than n at the end of the range.
/// @return KV_OK; KV_NOTFOUND (at the end; got is 0); KV_INVALID (n is 0); otherwise as kv_cursor_first().
/// @ingroup kv_batches
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_next_many(
    cursor: *mut kv_cursor,
    entries: *mut kv_entry,
    n: usize,
    got: *mut usize,
) -> kv_status {
    guard_in_memory(c"kv_cursor_next_many", about(cursor), || {
        // SAFETY: pointers of the caller, as described above.
        let (mut entries, got) = unsafe { (out_array(entries, n, "entries")?, out(got, "got")?) };
        if n == 0 {
            return Err(Failure::invalid("next_many: `n` is 0; give room for an entry"));
        }
        let mut usage = CursorUse::of(cursor)?;
        let (handle, txn) = usage.parts()?;
        let found = match txn {
            CursorTxn::Read(read) => next_many(handle, &mut &read.txn, &mut entries)?,
            CursorTxn::Write(mut write) => write.get()?.work(|txn| next_many(handle, txn, &mut entries))?,
        };
        got.set(found);
        if found == 0 {
            return Err(Failure::NOTFOUND);
        }
        Ok(())
    })
}

/// Carries out puts and deletes in any tables, in their order. It stops at the first that does not return KV_OK; those
/// before it stay done.
///
/// @param ops   n operations.
/// @param n     Number of operations.
/// @param done  Receives how many were carried out, also after a failure; may be NULL.
/// @return KV_OK; what kv_put() or kv_delete() returned for operation number `done`, counted from 0.
/// @ingroup kv_batches
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_write_batch(txn: *mut kv_txn, ops: *const kv_op, n: usize, done: *mut usize) -> kv_status {
    guard_in_memory(c"kv_write_batch", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (ops, done) = unsafe { (array(ops, n, "ops")?, maybe(done)) };
        if let Some(done) = &done {
            done.set(0);
        }
        let mut write = in_use::WriteUse::of(txn)?;
        // SAFETY: as above; the slices of an operation span readable bytes.
        write.get()?.batch(|write| unsafe { carry_out(write, ops, done) })
    })
}

/// Carries out operations, and counts them in `done`.
///
/// # Safety
/// The slices of the operations span readable bytes.
unsafe fn carry_out(write: &mut WriteHandle, ops: &[kv_op], done: Option<Out<usize>>) -> Outcome {
    for (at, op) in ops.iter().enumerate() {
        // SAFETY: the slices of an operation span readable bytes.
        let key = unsafe { op.key.bytes(Given::KEY)? };
        match op.op {
            KV_OP_PUT => {
                // SAFETY: as above.
                let value = unsafe { op.value.bytes(Given::VALUE)? };
                let mode: PutMode = put_mode(op.flags)?;
                write.work(|txn| txn.put(TableId::new(op.table), key, value, mode))?;
            }
            KV_OP_DELETE => {
                known(op.flags, KV_BLIND)?;
                let blind = op.flags & KV_BLIND != 0;
                let there = write.work(|txn| match blind {
                    true => txn.delete_blind(TableId::new(op.table), key).map(|()| true),
                    false => txn.delete(TableId::new(op.table), key),
                })?;
                if !there {
                    return Err(Failure::NOTFOUND);
                }
            }
            other => return Err(no_choice("kv_op.op", other, &[KV_OP_PUT, KV_OP_DELETE])),
        }
        if let Some(done) = &done {
            done.set(at + 1);
        }
    }
    Ok(())
}
