//! Chapter "retained values": bytes with a count of references.

use crate::border::arg::{self, handle_out, maybe, out};
use crate::border::error::{guard, guard_open, guard_void};
use crate::border::status::{kv_status, not_found, Failure};
use crate::border::types::{kv_buf, kv_slice, kv_table, kv_txn};
use crate::handle::about::about;
use crate::handle::in_use::TxnUse;
use crate::handle::objects::{BufBytes, BufHandle, Object, HANDLES};
use crate::handle::token::{Kind, Kinds, Token};
use kv_engine::TableId;
use std::ffi::c_void;
use std::sync::{Arc, PoisonError};

/// Values up to this many bytes are copied: cheaper than keeping a snapshot for them.
const COPIED_MAX: usize = 64 << 10;

/// Reads a value that outlives its transaction, and even kv_close(), until its buffer is released.
///
/// A value of at most 64 KiB is copied, and so is every value of a write transaction. A longer one of a read
/// transaction is not copied: its buffer keeps the snapshot, as an open read transaction would, so do not keep it for
/// ever.
///
/// @param value   Receives the value, valid until the last reference to the buffer is released.
/// @param buffer  Receives the handle, with one reference, which kv_buf_release() takes.
/// @return As kv_get(); KV_LIMIT.
/// @ingroup kv_retained
#[no_mangle]
pub unsafe extern "C" fn kv_get_buf(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *mut kv_slice,
    buffer: *mut *mut kv_buf,
) -> kv_status {
    // SAFETY: NULL or writable, as described above.
    let handle = unsafe { maybe(buffer) };
    guard_open(c"kv_get_buf", about(txn), handle, || {
        // SAFETY: pointers of the caller, as described above.
        let (buffer, key, value) = unsafe {
            (
                handle_out(buffer, "buffer")?,
                arg::key(key, klen)?,
                out(value, "value")?,
            )
        };
        let mut usage = TxnUse::of(txn)?;
        let kept = match &usage {
            TxnUse::Read(read) => {
                let read = read.get()?;
                let found = read.txn.get(TableId::new(table), key)?.ok_or_else(not_found)?;
                (found.len() > COPIED_MAX).then(|| {
                    let mut extras = read.extras.lock().unwrap_or_else(PoisonError::into_inner);
                    let snapshot = Arc::clone(extras.kept.get_or_insert_default());
                    (kv_slice::of(found), BufBytes::Snapshot(snapshot))
                })
            }
            TxnUse::Write(_) => None,
        };
        let (slice, bytes) = match kept {
            Some(kept) => kept,
            None => {
                let copy: Box<[u8]> = usage
                    .read(|txn| Ok(txn.get(TableId::new(table), key)?.map(Box::from)))?
                    .ok_or_else(not_found)?;
                (kv_slice::of(&copy), BufBytes::Copied(copy))
            }
        };
        let object = Object::Buf(BufHandle { references: 1, bytes });
        let (token, _) = HANDLES.publish(Kind::Buf, Token::NONE, |vacant| Ok(vacant.fill(object)))?;
        value.set(slice);
        buffer.set(token.handle());
        Ok(())
    })
}

/// Adds a reference to a buffer: one more kv_buf_release() is needed.
///
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_LIMIT (2^32 - 1 references).
/// @ingroup kv_retained
#[no_mangle]
pub unsafe extern "C" fn kv_buf_retain(buffer: *mut kv_buf) -> kv_status {
    guard(c"kv_buf_retain", about(buffer), || {
        let mut locked = HANDLES.lock_waiting(Token::of(buffer), Kind::Buf)?;
        let buf = locked.object().buf()?;
        let more = buf.references.checked_add(1);
        buf.references = more.ok_or_else(|| {
            let what = "this kv_buf has as many references as can be counted; release some";
            Failure::Engine(kv_engine::Error::Limit(what.into()))
        })?;
        Ok(())
    })
}

/// Takes a reference from a buffer. With the last one, the buffer is released and its bytes are no longer valid. A
/// buffer that is NULL or released already is ignored.
///
/// @ingroup kv_retained
#[no_mangle]
pub unsafe extern "C" fn kv_buf_release(buffer: *mut kv_buf) {
    if !buffer.is_null() {
        guard_void(c"kv_buf_release", about(buffer), || {
            let token = Token::of(buffer);
            let mut locked = HANDLES.lock_waiting(token, Kind::Buf)?;
            let buf = locked.object().buf()?;
            // It is 0 already if another thread closes the buffer at this moment: a program that releases more often
            // than it retains.
            buf.references = buf.references.saturating_sub(1);
            let last = buf.references == 0;
            drop(locked);
            if last {
                drop(HANDLES.close(token, Kinds::of(&[Kind::Buf]))?);
            }
            Ok(())
        });
    }
}
