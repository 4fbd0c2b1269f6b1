//! Chapter "cursors": walking through a table.

use crate::border::arg::{self, handle_out, maybe, Out};
use crate::border::error::{guard, guard_fast, guard_in_memory, guard_open, guard_void};
use crate::border::flags::{no_choice, KV_SEEK_EQ, KV_SEEK_GE, KV_SEEK_GT, KV_SEEK_LE, KV_SEEK_LT};
use crate::border::status::{kv_status, Failure, Outcome, KV_OK};
use crate::border::types::{self, kv_cursor, kv_range, kv_slice, kv_table, kv_txn};
use crate::handle::about::about;
use crate::handle::children::{close_child, publish_child};
use crate::handle::in_use::{CursorTxn, CursorUse, TxnUse};
use crate::handle::keys::Keys;
use crate::handle::objects::{copy, CursorHandle, Object};
use crate::handle::token::{Kind, Kinds, Token};
use kv_engine::Error;
use kv_engine::{Cursor, Reader, Seek, TableId};
use std::ffi::{c_void, CStr};

/// Where a cursor is to go.
#[derive(Clone, Copy)]
enum Target<'a> {
    First,
    Last,
    Next,
    Prev,
    Here,
    Seek(&'a [u8], Seek),
    Nth(u64),
    Percentile(f64),
    Random,
}

/// Opens a cursor before the first entry of a range.
///
/// A new cursor stands before the first entry, so that a loop with KV_EACH sees them all. After the end was reached
/// (KV_NOTFOUND) it stands after the last entry, and kv_cursor_prev() moves to that. After its entry was deleted it
/// stands between the neighbours: kv_cursor_get() returns KV_NOTFOUND, kv_cursor_next() moves to the successor and
/// kv_cursor_prev() to the predecessor. A cursor of a write transaction sees what the transaction writes.
///
/// After KV_CORRUPT, and after any other failure, the cursor stands where it stood before, and the next step meets the
/// same damage: no entry is left out unseen. (kv_cursor_next_many() and kv_cursor_fill() have then moved over entries
/// that they did not hand out. Go back to the last one that you have got by kv_cursor_seek(), and step from there.) In
/// a read transaction, this passes the damage, and tells how many entries lie in it:
///
///     kv_status past_damage(kv_cursor *cursor, uint64_t *lost, kv_slice *key, kv_slice *value)
///     {
///         uint64_t here;
///         kv_status status = kv_cursor_rank(cursor, &here);
///         *lost = 0;
///         if (status != KV_OK) return status;
///         if (kv_cursor_get(cursor, NULL, NULL) == KV_OK) here++;
///         while ((status = kv_cursor_nth(cursor, here + *lost, key, value)) == KV_CORRUPT) ++*lost;
///         return status;
///     }
///
/// @param range   NULL = the whole table, in ascending order. Copied, its direction included.
/// @param cursor  Receives the handle, which kv_cursor_close() releases, or the end of the transaction.
/// @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (a bound); KV_LIMIT; KV_BAD_HANDLE, KV_FORKED, KV_BUSY;
///         KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_NO_MEMORY.
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_open(
    txn: *const kv_txn,
    table: kv_table,
    range: *const kv_range,
    cursor: *mut *mut kv_cursor,
) -> kv_status {
    // SAFETY: NULL or writable, as described above.
    let handle = unsafe { maybe(cursor) };
    guard_open(c"kv_cursor_open", about(txn), handle, || {
        // SAFETY: pointers of the caller, as described above.
        let (cursor, range) = unsafe { (handle_out(cursor, "cursor")?, types::range(range)?) };
        let mut usage = TxnUse::of(txn)?;
        let opened = usage.read(|txn| Cursor::new(txn, TableId::new(table), &range))?;
        let object = Object::Cursor(Box::new(CursorHandle {
            cursor: opened,
            parent: usage.slot(),
            of_write: matches!(usage, TxnUse::Write(_)),
            keys: Keys::default(),
        }));
        let token = publish_child(Kind::Cursor, object, Token::of(txn), usage.slot())?;
        cursor.set(token.handle());
        Ok(())
    })
}

/// Closes a cursor. One that is NULL or closed, or whose transaction has ended, is ignored.
///
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_close(cursor: *mut kv_cursor) {
    if !cursor.is_null() {
        guard_void(c"kv_cursor_close", about(cursor), || {
            close_child(Token::of(cursor), Kinds::of(&[Kind::Cursor, Kind::RetiredCursor]))
        });
    }
}

/// Moves the cursor, and answers the entry that it has come to; `false`: there is none.
#[inline(always)]
fn move_to<R: Reader + ?Sized>(
    handle: &mut CursorHandle,
    txn: &mut R,
    target: Target<'_>,
    outputs: Outputs,
) -> Result<bool, Error> {
    let cursor = &mut handle.cursor;
    let go = |cursor: &mut Cursor, txn: &mut R| match target {
        Target::First => cursor.first(txn),
        Target::Last => cursor.last(txn),
        Target::Next => cursor.next(txn),
        Target::Prev => cursor.prev(txn),
        Target::Here => cursor.get(txn),
        Target::Seek(key, how) => cursor.seek(txn, key, how),
        Target::Nth(n) => cursor.nth(txn, n),
        Target::Percentile(percent) => cursor.percentile(txn, percent),
        Target::Random => cursor.random(txn),
    };
    // The value first: asking for it is a call on the cursor, and the key must be the last thing it answered.
    let found = match outputs.1 {
        Some(value) => match cursor.go_and_read(txn, go, kv_slice::of)? {
            Some(found) => {
                value.set(found);
                true
            }
            None => false,
        },
        None => go(cursor, txn)?,
    };
    if let (true, Some(key)) = (found, outputs.0) {
        key.set(kv_slice::of(cursor.key()));
    }
    Ok(found)
}

/// Where key and value go; what is not wanted is not touched.
type Outputs = (Option<Out<kv_slice>>, Option<Out<kv_slice>>);

#[inline(always)]
unsafe fn move_cursor(cursor: *mut kv_cursor, target: Target<'_>, key: *mut kv_slice, value: *mut kv_slice) -> Outcome {
    // SAFETY: NULL or writable, as the caller of the exported function promises.
    let outputs = unsafe { (maybe(key), maybe(value)) };
    let mut usage = CursorUse::of(cursor)?;
    let (handle, txn) = usage.parts()?;
    move_in(handle, txn, target, outputs)
}

/// Steps to the next entry, or the previous one. Nearly all steps stay inside a leaf: such a step needs no memory, and
/// in a read transaction it can neither fail nor panic, so that it is made without the guard.
#[inline(always)]
unsafe fn step(
    function: &'static CStr,
    cursor: *mut kv_cursor,
    back: bool,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    if let Some(mut usage) = CursorUse::uncontended(cursor) {
        if let Some((handle, txn)) = usage.reading() {
            if let Some(found) = handle.cursor.step_in_leaf(txn, back) {
                // SAFETY: NULL or writable, as the caller of the exported function promises.
                answer(handle, kv_slice::of(found), unsafe { (maybe(key), maybe(value)) });
                return KV_OK;
            }
        } else {
            // SAFETY: as above.
            let outputs = unsafe { (maybe(key), maybe(value)) };
            if let Some(status) = step_of_write(function, (cursor, usage), back, outputs) {
                return status;
            }
        }
    }
    // SAFETY: as above.
    unsafe { step_guarded(function, cursor, back, key, value) }
}

/// Takes the step inside a leaf in a write transaction. If it returns `None`, nothing has changed.
#[inline(never)]
fn step_of_write(
    function: &'static CStr,
    (cursor, mut usage): (*mut kv_cursor, CursorUse),
    back: bool,
    outputs: Outputs,
) -> Option<kv_status> {
    let mut stepped = false;
    let status = guard_fast(function, about(cursor), || {
        if let Some((handle, mut write)) = usage.writing() {
            let step = |txn| Ok(handle.cursor.step_in_leaf_of_write(txn, back).map(kv_slice::of));
            if let Some(found) = write.get()?.work(step)? {
                answer(handle, found, outputs);
                stepped = true;
            }
        }
        Ok(())
    });
    (stepped || status != KV_OK).then_some(status)
}

#[inline(never)]
unsafe fn step_guarded(
    function: &'static CStr,
    cursor: *mut kv_cursor,
    back: bool,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    let target = if back { Target::Prev } else { Target::Next };
    // SAFETY: as in `step`.
    guard_in_memory(function, about(cursor), move || {
        // SAFETY: NULL or writable, as the caller of the exported function promises.
        let outputs = unsafe { (maybe(key), maybe(value)) };
        let mut usage = CursorUse::of(cursor)?;
        let (handle, txn) = usage.parts()?;
        move_in(handle, txn, target, outputs)
    })
}

/// Answers the entry that the cursor stands on.
#[inline(always)]
fn answer(handle: &mut CursorHandle, found: kv_slice, (key, value): Outputs) {
    if let Some(value) = value {
        value.set(found);
    }
    if let Some(key) = key {
        key.set(kv_slice::of(handle.cursor.key()));
    }
}

/// Moves in a transaction of either kind. It is not inlined, so that its many errors are there once for all functions.
#[inline(never)]
fn move_in(handle: &mut CursorHandle, txn: CursorTxn<'_>, target: Target<'_>, outputs: Outputs) -> Outcome {
    let found = match txn {
        CursorTxn::Read(read) => move_to(handle, &mut &read.txn, target, outputs)?,
        CursorTxn::Write(mut write) => write.get()?.work(|txn| move_to(handle, txn, target, outputs))?,
    };
    if found {
        Ok(())
    } else {
        Err(Failure::NOTFOUND)
    }
}

/// Moves to the first entry of the range (with KV_RANGE_REVERSE, the one with the greatest key).
///
/// What is said of the outputs here is valid for every kv_cursor_... function that has them:
///
/// @param key    Receives the key, valid until the next call on this cursor; may be NULL.
/// @param value  Receives the value, valid until the transaction ends or is refreshed, and in a write transaction only
///               until its next write. May be NULL, which saves reading a long value.
/// @return KV_OK; KV_NOTFOUND (there is no entry); KV_BAD_HANDLE (also if the transaction has ended), KV_FORKED;
///         KV_BUSY (cursor or write transaction in use by another thread); KV_TXN_FAILED; KV_NO_TABLE (dropped
///         meanwhile); KV_CORRUPT; KV_IO, KV_NO_SPACE, KV_LIMIT (in a write transaction: what it has collected is
///         applied first, and may be written); KV_NO_MEMORY.
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_first(
    cursor: *mut kv_cursor,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    // SAFETY: outputs of the caller, NULL or writable.
    guard_in_memory(c"kv_cursor_first", about(cursor), || unsafe {
        move_cursor(cursor, Target::First, key, value)
    })
}

/// Moves to the last entry of the range, in the cursor's direction.
///
/// @return As kv_cursor_first().
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_last(cursor: *mut kv_cursor, key: *mut kv_slice, value: *mut kv_slice) -> kv_status {
    // SAFETY: outputs of the caller, NULL or writable.
    guard_in_memory(c"kv_cursor_last", about(cursor), || unsafe {
        move_cursor(cursor, Target::Last, key, value)
    })
}

/// Moves to the next entry of the range, in the cursor's direction; a new cursor moves to the first.
///
/// @return As kv_cursor_first(); KV_NOTFOUND (the end of the range).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_next(cursor: *mut kv_cursor, key: *mut kv_slice, value: *mut kv_slice) -> kv_status {
    // SAFETY: outputs of the caller, NULL or writable.
    unsafe { step(c"kv_cursor_next", cursor, false, key, value) }
}

/// Moves to the previous entry of the range, in the cursor's direction.
///
/// @return As kv_cursor_first(); KV_NOTFOUND (the beginning of the range).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_prev(cursor: *mut kv_cursor, key: *mut kv_slice, value: *mut kv_slice) -> kv_status {
    // SAFETY: outputs of the caller, NULL or writable.
    unsafe { step(c"kv_cursor_prev", cursor, true, key, value) }
}

/// Reads the current entry again, without moving the cursor.
///
/// @return As kv_cursor_first(); KV_NOTFOUND (the cursor stands on no entry: it is new, at an end, or its entry was
///         deleted).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_get(cursor: *mut kv_cursor, key: *mut kv_slice, value: *mut kv_slice) -> kv_status {
    // SAFETY: outputs of the caller, NULL or writable.
    guard_in_memory(c"kv_cursor_get", about(cursor), || unsafe {
        move_cursor(cursor, Target::Here, key, value)
    })
}

/// The caller's bytes, copied if they lie in the cursor's own key, which the call is about to rebuild.
fn apart<'b>(handle: &CursorHandle, bytes: &'b [u8], room: &'b mut Vec<u8>) -> Outcome<&'b [u8]> {
    match handle.cursor.overlaps_key(bytes) {
        true => copy(bytes, room),
        false => Ok(bytes),
    }
}

/// Moves to an entry by its key. If there is no such entry, the cursor stands where it would be.
///
/// @param seek_key  The key to look for, which may be one that this cursor returned.
/// @param klen      Bytes of seek_key.
/// @param how       KV_SEEK_...; greater and less are meant in the order of keys, also in a reverse range.
/// @return As kv_cursor_first(); KV_INVALID; KV_TOO_BIG (key).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_seek(
    cursor: *mut kv_cursor,
    seek_key: *const c_void,
    klen: usize,
    how: u32,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    guard_in_memory(c"kv_cursor_seek", about(cursor), || {
        let how = match how {
            KV_SEEK_EQ => Seek::Eq,
            KV_SEEK_GE => Seek::Ge,
            KV_SEEK_GT => Seek::Gt,
            KV_SEEK_LE => Seek::Le,
            KV_SEEK_LT => Seek::Lt,
            other => {
                let choices = [KV_SEEK_EQ, KV_SEEK_GE, KV_SEEK_GT, KV_SEEK_LE, KV_SEEK_LT];
                return Err(no_choice("how", other, &choices));
            }
        };
        // SAFETY: pointers of the caller, as described above.
        let (sought, outputs) = unsafe { (arg::key(seek_key, klen)?, (maybe(key), maybe(value))) };
        let mut usage = CursorUse::of(cursor)?;
        let (handle, txn) = usage.parts()?;
        let mut room = Vec::new();
        let sought = apart(handle, sought, &mut room)?;
        move_in(handle, txn, Target::Seek(sought, how), outputs)
    })
}

/// Replaces the value of the current entry.
///
/// @return KV_OK; KV_NOTFOUND (the cursor stands on no entry); otherwise as kv_put(); never KV_EXISTS, KV_ORDER.
/// @ingroup kv_cursors
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_cursor_put(cursor: *mut kv_cursor, value: *const c_void, vlen: usize) -> kv_status {
    guard_in_memory(c"kv_cursor_put", about(cursor), || {
        // SAFETY: bytes of the caller.
        let value = unsafe { arg::value(value, vlen)? };
        let mut usage = CursorUse::of(cursor)?;
        let (handle, mut write) = usage.for_write()?;
        let mut room = Vec::new();
        let value = apart(handle, value, &mut room)?;
        write
            .get()?
            .work_with([value], |txn, [value]| handle.cursor.put(txn, value))
    })
}

/// Deletes the current entry. The cursor then stands between its neighbours.
///
/// @return KV_OK; KV_NOTFOUND (the cursor stands on no entry); otherwise as kv_put(); never KV_EXISTS, KV_ORDER,
///         KV_INVALID, KV_TOO_BIG.
/// @ingroup kv_cursors
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_cursor_delete(cursor: *mut kv_cursor) -> kv_status {
    guard_in_memory(c"kv_cursor_delete", about(cursor), || {
        let mut usage = CursorUse::of(cursor)?;
        let (handle, mut write) = usage.for_write()?;
        write.get()?.work(|txn| handle.cursor.delete(txn))
    })
}

/// Moves to the n-th entry of the range, in time that grows only with the height of the tree.
///
/// @param n  0 = the first entry in the cursor's direction.
/// @return As kv_cursor_first(); KV_NOTFOUND (there are fewer entries).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_nth(
    cursor: *mut kv_cursor,
    n: u64,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    // SAFETY: outputs of the caller, NULL or writable.
    guard_in_memory(c"kv_cursor_nth", about(cursor), || unsafe {
        move_cursor(cursor, Target::Nth(n), key, value)
    })
}

/// Moves to the entry at a percentile of the range, by the nearest-rank method: 50 is the median, 0 the first entry,
/// 100 the last.
///
/// @param percent  0 to 100.
/// @return As kv_cursor_first(); KV_NOTFOUND (the range is empty); KV_INVALID (percent).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_percentile(
    cursor: *mut kv_cursor,
    percent: f64,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    guard_in_memory(c"kv_cursor_percentile", about(cursor), || {
        if !(0.0..=100.0).contains(&percent) {
            return Err(Failure::invalid(
                "percentile: it is not between 0 and 100; give the part of the entries that come before, in per cent",
            ));
        }
        // SAFETY: outputs of the caller, NULL or writable.
        unsafe { move_cursor(cursor, Target::Percentile(percent), key, value) }
    })
}

/// Moves to a random entry of the range, each of which is equally likely.
///
/// @return As kv_cursor_first(); KV_NOTFOUND (the range is empty).
/// @ingroup kv_cursors
#[no_mangle]
pub unsafe extern "C" fn kv_cursor_random(
    cursor: *mut kv_cursor,
    key: *mut kv_slice,
    value: *mut kv_slice,
) -> kv_status {
    // The first random number of a thread comes from the system, in a call in which it could be cancelled.
    // SAFETY: outputs of the caller, NULL or writable.
    guard(c"kv_cursor_random", about(cursor), || unsafe {
        move_cursor(cursor, Target::Random, key, value)
    })
}
