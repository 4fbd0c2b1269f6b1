//! Chapter "values that outlive": bytes with a count of references.

use crate::border::arg::{bytes, handle_out, out};
use crate::border::error::{guard, guard_void};
use crate::border::status::{kv_status, Failure};
use crate::border::types::{kv_buf, kv_slice, kv_table, kv_txn};
use crate::handle::in_use::{reading, TxnUse};
use crate::handle::objects::{Buffered, Bytes, Object};
use crate::handle::slots::{self, Kind, Kinds};
use kv_engine::TableId;
use std::ffi::c_void;
use std::sync::{Arc, PoisonError};

/// Values up to this many bytes are copied: cheaper than keeping a snapshot for them.
const COPIED_MAX: usize = 64 << 10;

/// Reads a value that shall outlive its transaction, and even kv_close(): until its buffer is released.
///
/// Short values are copied. A long one of a read transaction is not: its buffer keeps the snapshot, as an open reader
/// would, so do not keep it for ever.
///
/// @param value   Gets the bytes, valid until the last reference to the buffer is released.
/// @param buffer  Gets the handle, with one reference, for kv_buf_release(); NULL after a failure.
/// @return As kv_get(); KV_LIMIT.
/// @ingroup kv_held
#[no_mangle]
pub unsafe extern "C" fn kv_get_held(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    value: *mut kv_slice,
    buffer: *mut *mut kv_buf,
) -> kv_status {
    guard(c"kv_get_held", || {
        // SAFETY: pointers of the caller, as described above.
        let (key, value, buffer) = unsafe { (bytes(key, klen)?, out(value)?, handle_out(buffer)?) };
        let mut usage = TxnUse::of(txn)?;
        let kept = match &usage {
            TxnUse::Read(pinned) => {
                let reading = reading(pinned.object())?;
                let found = reading.txn.get(TableId::new(table), key)?.ok_or(Failure::NOTFOUND)?;
                (found.len() > COPIED_MAX).then(|| {
                    let mut extras = reading.extras.lock().unwrap_or_else(PoisonError::into_inner);
                    (
                        kv_slice::of(found),
                        Bytes::Kept(Arc::clone(extras.keep.get_or_insert_default())),
                    )
                })
            }
            TxnUse::Write(_) => None,
        };
        let (slice, held) = match kept {
            Some(kept) => kept,
            None => {
                let copy: Box<[u8]> = usage
                    .read(|txn| Ok(txn.get(TableId::new(table), key)?.map(Box::from)))?
                    .ok_or(Failure::NOTFOUND)?;
                (kv_slice::of(&copy), Bytes::Copied(copy))
            }
        };
        let object = Object::Buf(Buffered {
            references: 1,
            bytes: held,
        });
        let (token, _) = slots::publish(Kind::Buf, 0, |vacant| Ok(vacant.fill(object)))?;
        value.set(slice);
        buffer.set(std::ptr::without_provenance_mut(token));
        Ok(())
    })
}

/// Adds a reference to a buffer: one more kv_buf_release() is needed.
///
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_LIMIT (2^32 - 1 references).
/// @ingroup kv_held
#[no_mangle]
pub unsafe extern "C" fn kv_buf_retain(buffer: *mut kv_buf) -> kv_status {
    guard(c"kv_buf_retain", || {
        let mut held = slots::hold_waiting(buffer.addr(), Kind::Buf)?;
        if let Object::Buf(buffered) = held.object() {
            let more = buffered.references.checked_add(1);
            buffered.references = more.ok_or(Failure::Engine(kv_engine::Error::Limit("references")))?;
        }
        Ok(())
    })
}

/// Takes a reference from a buffer; with the last one its bytes are no longer valid. NULL and released ones are ignored.
///
/// @ingroup kv_held
#[no_mangle]
pub unsafe extern "C" fn kv_buf_release(buffer: *mut kv_buf) {
    if !buffer.is_null() {
        guard_void(c"kv_buf_release", || {
            let last = match slots::hold_waiting(buffer.addr(), Kind::Buf)?.object() {
                Object::Buf(buffered) => {
                    // 0 while another thread closes it, which releases it more often than it was retained.
                    buffered.references = buffered.references.saturating_sub(1);
                    buffered.references == 0
                }
                _ => false,
            };
            if last {
                drop(slots::close(buffer.addr(), Kinds::of(&[Kind::Buf]))?);
            }
            Ok(())
        });
    }
}
