//! Chapter "long values": writing a value in parts.

use crate::border::arg::{self, handle_out, maybe};
use crate::border::error::{guard, guard_end, guard_open, guard_void};
use crate::border::status::{kv_status, Failure};
use crate::border::types::{kv_table, kv_txn, kv_writer, put_mode};
use crate::handle::about::{about, about_database_of};
use crate::handle::children::{close_child, publish_child};
use crate::handle::in_use::{WriteUse, WriterUse};
use crate::handle::objects::{Object, WriterHandle};
use crate::handle::token::{Kind, Kinds, Token};
use kv_engine::TableId;
use std::ffi::c_void;

/// Begins a value that is written in parts, because its length is not known or because it is larger than memory.
///
/// The entry appears when kv_writer_finish() returns KV_OK; until then the transaction sees what was there before.
/// Other calls on the transaction may come between the parts.
///
/// @param size_hint  Expected length in bytes; 0 = unknown. A good guess lets the value lie in one piece.
/// @param flags      As for kv_put(). What they demand is checked here and again by kv_writer_finish().
/// @param writer     Receives the handle, which kv_writer_finish() or kv_writer_close() releases.
/// @return As kv_put(); KV_LIMIT.
/// @ingroup kv_values
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_writer_open(
    txn: *mut kv_txn,
    table: kv_table,
    key: *const c_void,
    klen: usize,
    size_hint: u64,
    flags: u32,
    writer: *mut *mut kv_writer,
) -> kv_status {
    // SAFETY: NULL or writable, as described above.
    let handle = unsafe { maybe(writer) };
    guard_open(c"kv_writer_open", about(txn), handle, || {
        // SAFETY: pointers of the caller, as described above.
        let (writer, key) = unsafe { (handle_out(writer, "writer")?, arg::key(key, klen)?) };
        let mode = put_mode(flags)?;
        let mut write = WriteUse::of(txn)?;
        let begun = write
            .get()?
            .work(|txn| txn.writer(TableId::new(table), key, size_hint, mode))?;
        let object = Object::Writer(Box::new(WriterHandle { writer: Some(begun) }));
        let token = publish_child(Kind::Writer, object, Token::of(txn), write.slot())?;
        writer.set(token.handle());
        Ok(())
    })
}

fn ended() -> Failure {
    Failure::invalid("writer: an earlier call on it failed; close it")
}

/// Appends bytes to the value.
///
/// @return KV_OK; KV_TOO_BIG; KV_INVALID; KV_BAD_HANDLE, KV_FORKED; KV_BUSY (writer or transaction in use by another
///         thread); KV_TXN_FAILED; KV_NO_SPACE, KV_IO, KV_NO_MEMORY, KV_LIMIT (the file cannot grow further; these can
///         spoil the transaction).
/// @ingroup kv_values
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_writer_write(writer: *mut kv_writer, data: *const c_void, len: usize) -> kv_status {
    guard(c"kv_writer_write", about(writer), || {
        // SAFETY: bytes of the caller.
        let data = unsafe { arg::value(data, len)? };
        let mut usage = WriterUse::of(writer)?;
        let (handle, write) = usage.parts()?;
        let current = handle.writer.as_mut().ok_or_else(ended)?;
        write.work(|txn| current.write(txn, data))
    })
}

/// Puts the entry with the value that was written.
///
/// @param writer  Released whatever is returned. After a failure, the value is given up.
/// @return KV_OK; KV_EXISTS, KV_NOTFOUND, KV_ORDER (as the flags say; nothing was put); KV_NO_TABLE (dropped
///         meanwhile); KV_CORRUPT; otherwise as kv_writer_write(); never KV_INVALID.
/// @ingroup kv_values
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_writer_finish(writer: *mut kv_writer) -> kv_status {
    guard_end(c"kv_writer_finish", about_database_of(writer), || {
        let finished = WriterUse::of(writer).and_then(|mut usage| {
            let (handle, write) = usage.parts()?;
            let current = handle.writer.take().ok_or_else(ended)?;
            write.work(|txn| current.finish(txn))
        });
        let closed = close_child(Token::of(writer), Kinds::of(&[Kind::Writer]));
        finished.and(closed)
    })
}

/// Gives up a value that was not finished. A writer that is NULL or finished, or whose transaction has ended, is
/// ignored.
///
/// @ingroup kv_values
#[no_mangle]
pub unsafe extern "C" fn kv_writer_close(writer: *mut kv_writer) {
    if !writer.is_null() {
        guard_void(c"kv_writer_close", about(writer), || {
            // Its pages go back at once if the transaction is free; else when that ends.
            if let Ok(mut usage) = WriterUse::of(writer) {
                let (handle, write) = usage.parts()?;
                if let Some(current) = handle.writer.take() {
                    let _ = write.work(|txn| {
                        current.cancel(txn);
                        Ok(())
                    });
                }
            }
            close_child(Token::of(writer), Kinds::of(&[Kind::Writer]))
        });
    }
}
