//! Chapter "long values": looking at a value, reading a part of it.

use crate::border::arg::{self, out, out_array, Growing};
use crate::border::error::guard;
use crate::border::status::{kv_status, not_found, Failure};
use crate::border::types::{kv_extent, kv_table, kv_txn, KV_NONE};
use crate::handle::about::about;
use crate::handle::in_use::TxnUse;
use kv_engine::{TableId, ValuePiece};
use std::ffi::c_void;

/// Figures of a value, filled by kv_stat_value(); start from KV_VALUE_STAT_INIT.
///
/// @ingroup kv_values
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_value_stat {
    /// sizeof(kv_value_stat), set by KV_VALUE_STAT_INIT.
    pub struct_size: u32,
    /// Number of contiguous pieces of the file that hold it; 0 = it lies beside its key, or is not written yet.
    pub extents: u32,
    /// Length of the value in bytes.
    pub len: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_value_stat {}

/// Tells the length and the shape of a value, without reading the value.
///
/// @param stat  Receives the figures; start from KV_VALUE_STAT_INIT.
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

/// Copies a part of a value into a buffer of the caller. Only that part is read from disk and verified, so a value that
/// is much larger than memory can be read piece by piece.
///
/// @param offset  The first byte that is wanted. At or beyond the end of the value, nothing is read.
/// @param buffer  Receives the bytes.
/// @param size    Number of bytes that are wanted.
/// @param got     Receives how many bytes were read: less than size at the end of the value.
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

/// Tells where a value lies, as contiguous pieces, so that it can be handed to writev(), sendfile() or a device without
/// a copy. The bytes of a long value are not read, and so not verified either; kv_value_read() and kv_get() do that.
///
/// @param extents  Receives the pieces, in order.
/// @param size     Room in `extents`, in pieces.
/// @param n        Receives how many pieces there are, also after KV_TOO_SMALL; 0 for an empty value.
/// @return As kv_get(); KV_TOO_SMALL (nothing but n was written).
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
