//! Chapter "long values": looking at a value, reading a part of it.

use crate::border::arg::{self, out, out_array, Growing};
use crate::border::error::{guard, PIECE_BYTES};
use crate::border::status::{kv_status, not_found, Failure};
use crate::border::types::{kv_table, kv_txn, KV_NONE};
use crate::handle::about::about;
use crate::handle::in_use::TxnUse;
use kv_engine::{TableId, ValuePiece};
use std::ffi::c_void;

/// What kv_stat_value() tells; start from KV_VALUE_STAT_INIT.
///
/// @ingroup kv_values
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_value_stat {
    /// sizeof(kv_value_stat), set by KV_VALUE_STAT_INIT.
    pub struct_size: u32,
    /// Pieces of the file it lies in; 0 = beside its key, or not written yet.
    pub extents: u32,
    /// Bytes of the value.
    pub len: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_value_stat {}

/// A contiguous piece of a value.
///
/// @ingroup kv_values
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_extent {
    /// Its bytes, valid as a value of kv_get().
    pub data: *const c_void,
    /// How many.
    pub len: usize,
    /// Where they lie in the file; KV_NONE if they have no place of their own there.
    pub file_offset: u64,
}
const _: () = assert!(size_of::<kv_extent>() == PIECE_BYTES, "messages count in elements");

/// Length and shape of a value, without touching the value.
///
/// @param stat  Its struct_size is set by the caller; the rest is filled.
/// @return As kv_get().
/// @ingroup kv_values
#[no_mangle]
pub unsafe extern "C" fn kv_stat_value(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    stat: *mut kv_value_stat,
) -> kv_status {
    guard(c"kv_stat_value", about(txn), || {
        // SAFETY: bytes of the caller.
        let key = unsafe { arg::key(key, klen)? };
        let found = TxnUse::of(txn)?
            .read(|txn| txn.value_info(TableId::new(table), key))?
            .ok_or_else(not_found)?;
        let extents = u32::try_from(found.extents.len()).unwrap_or(u32::MAX);
        // SAFETY: NULL or a struct of at least the size it states.
        unsafe {
            arg::report(
                stat,
                kv_value_stat {
                    struct_size: 0,
                    extents,
                    len: found.len,
                },
            )
        }
    })
}

/// Reads a part of a value into a buffer of the caller. Only that part is read from disk and verified, so a value much
/// larger than memory can be read piece by piece; no handle is needed for it.
///
/// @param offset  First byte wanted; at or behind the end nothing is read.
/// @param buffer  Gets the bytes.
/// @param size    Bytes wanted.
/// @param got     Gets how many were read: less than size at the end of the value.
/// @return As kv_get().
/// @ingroup kv_values
#[no_mangle]
pub unsafe extern "C" fn kv_value_read(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    offset: u64,
    buffer: *mut c_void,
    size: usize,
    got: *mut usize,
) -> kv_status {
    guard(c"kv_value_read", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, mut buffer, got) = unsafe { (arg::key(key, klen)?, arg::buffer(buffer, size)?, out(got, "got")?) };
        // Zeroing more than there is to read would cost more than the read.
        let mut usage = TxnUse::of(txn)?;
        if size > 4096 {
            let len = usage
                .read(|txn| txn.value_info(TableId::new(table), key))?
                .ok_or_else(not_found)?
                .len;
            buffer.len = size.min(usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX));
        }
        let read = usage.read(|txn| txn.read_value(TableId::new(table), key, offset, buffer.zeroed()))?;
        got.set(read.ok_or_else(not_found)?);
        Ok(())
    })
}

/// Where a value lies, as contiguous pieces: to hand it to writev, sendfile or a device without a copy. Answers from the
/// description of the value and does not touch a long value's bytes, so they are not verified either: kv_value_read()
/// and kv_get() do that.
///
/// @param extents  Gets the pieces, in order.
/// @param size     Room for how many.
/// @param n        Gets how many there are, also after KV_TOO_SMALL. An empty value has none.
/// @return As kv_get(); KV_TOO_SMALL (nothing else was written).
/// @ingroup kv_values
#[no_mangle]
pub unsafe extern "C" fn kv_value_extents(
    txn: *const kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    extents: *mut kv_extent,
    size: usize,
    n: *mut usize,
) -> kv_status {
    guard(c"kv_value_extents", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (key, mut extents, n) =
            unsafe { (arg::key(key, klen)?, out_array(extents, size, "extents")?, out(n, "n")?) };
        let pieces = TxnUse::of(txn)?.read(|txn| {
            let found = txn.value_pieces(TableId::new(table), key)?;
            let piece = |piece: ValuePiece<'_>| kv_extent {
                data: piece.bytes.as_ptr().cast(),
                len: piece.bytes.len(),
                file_offset: piece.file_offset.unwrap_or(KV_NONE),
            };
            Ok(found.map(|pieces| pieces.into_iter().map(piece).collect::<Vec<kv_extent>>()))
        })?;
        let pieces = pieces.ok_or_else(not_found)?;
        n.set(pieces.len());
        if pieces.len() > size {
            return Err(Failure::too_small(
                pieces.len() * size_of::<kv_extent>(),
                size * size_of::<kv_extent>(),
            ));
        }
        for (at, piece) in pieces.iter().enumerate() {
            extents.set(at, *piece);
        }
        Ok(())
    })
}
