//! Chapter "tables".

use crate::border::arg::{self, out, Given, Growing};
use crate::border::error::guard;
use crate::border::flags::{known, KV_TABLE_NEW};
use crate::border::status::{kv_status, Outcome};
use crate::border::types::{kv_slice, kv_table, kv_txn};
use crate::handle::about::about;
use crate::handle::in_use::{self, TxnUse};
use crate::handle::objects::Notes;
use kv_engine::{Reader, TableId};
use std::ffi::c_void;
use std::sync::PoisonError;

/// The default table: it needs no name and always exists. @ingroup kv_tables
pub const KV_MAIN: kv_table = 0;
/// Read-only list of the named tables, name -> number (8 bytes, little-endian): read it as any table. @ingroup kv_tables
pub const KV_TABLES: kv_table = 1;

const _: () = assert!(KV_MAIN == TableId::MAIN.get() && KV_TABLES == TableId::NAMES.get());

/// How to create a table; start from KV_TABLE_OPTIONS_INIT.
///
/// @ingroup kv_tables
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_table_options {
    /// sizeof(kv_table_options), set by KV_TABLE_OPTIONS_INIT.
    pub struct_size: u32,
    /// KV_TABLE_... flags.
    pub flags: u32,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_table_options {}

/// Number of the table called `name`.
///
/// @param name   1 to 512 bytes of any kind, of which the first is not 0.
/// @param table  Gets the number.
/// @return KV_OK; KV_NO_TABLE; KV_INVALID; KV_TOO_BIG (name); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
///         KV_TXN_FAILED.
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_open(
    txn: *const kv_txn,
    name: *const c_void,
    len: usize,
    table: *mut kv_table,
) -> kv_status {
    guard(c"kv_table_open", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (name, table) = unsafe { (arg::bytes(name, len, Given::NAME)?, out(table, "table")?) };
        table.set(TxnUse::of(txn)?.read(|txn| txn.table(name))?.get());
        Ok(())
    })
}

/// Creates a table, or opens a present one (unless KV_TABLE_NEW). It exists for others once the transaction is committed.
///
/// @param name     1 to 512 bytes of any kind, of which the first is not 0.
/// @param options  NULL = all defaults. Copied.
/// @param table    Gets the number.
/// @return KV_OK; KV_EXISTS (with KV_TABLE_NEW); KV_INVALID; KV_TOO_BIG (name); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_MEMORY (these spoil the transaction).
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_create(
    txn: *mut kv_txn,
    name: *const c_void,
    len: usize,
    options: *const kv_table_options,
    table: *mut kv_table,
) -> kv_status {
    guard(c"kv_table_create", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let (name, given, table) = unsafe {
            (
                arg::bytes(name, len, Given::NAME)?,
                arg::options(options)?,
                out(table, "table")?,
            )
        };
        known(given.flags, KV_TABLE_NEW)?;
        let created = in_use::write_bytes(txn, [name], |txn, [name]| {
            txn.table_create(name, given.flags & KV_TABLE_NEW != 0)
        })?;
        table.set(created.get());
        Ok(())
    })
}

/// Gives a table another name; its number stays. A table that has this name already is dropped: replacing is atomic.
///
/// @return KV_OK; KV_NO_TABLE; KV_INVALID (KV_MAIN has no name to change); otherwise as kv_table_create();
///         never KV_EXISTS.
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_rename(
    txn: *mut kv_txn,
    table: kv_table,
    name: *const c_void,
    len: usize,
) -> kv_status {
    guard(c"kv_table_rename", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let name = unsafe { arg::bytes(name, len, Given::NAME)? };
        in_use::write_bytes(txn, [name], |txn, [name]| txn.table_rename(TableId::new(table), name))
    })
}

/// Removes every entry of a table, in time that does not depend on their sizes.
///
/// @return KV_OK; KV_NO_TABLE; KV_READ_ONLY; KV_UNSUPPORTED (a newer version made the table); KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO.
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_clear(txn: *mut kv_txn, table: kv_table) -> kv_status {
    guard(c"kv_table_clear", about(txn), || {
        in_use::write(txn, |txn| txn.table_clear(TableId::new(table)))
    })
}

/// Removes a table with all its entries. Its number is not given again.
///
/// @return As kv_table_clear(); KV_INVALID for KV_MAIN, KV_READ_ONLY for KV_TABLES.
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_drop(txn: *mut kv_txn, table: kv_table) -> kv_status {
    guard(c"kv_table_drop", about(txn), || {
        in_use::write(txn, |txn| txn.table_drop(TableId::new(table)))
    })
}

/// The name of a table. To list the tables, read KV_TABLES as any table: its keys are the names.
///
/// @param name  Gets the bytes, valid until the transaction ends; empty for KV_MAIN and KV_TABLES, which have no name.
/// @return KV_OK; KV_NO_TABLE; KV_INVALID (name is NULL); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
///         KV_TXN_FAILED.
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_name(txn: *const kv_txn, table: kv_table, name: *mut kv_slice) -> kv_status {
    guard(c"kv_table_name", about(txn), || {
        // SAFETY: NULL or writable.
        let name = unsafe { out(name, "name")? };
        name.set(kept(txn, table, |txn| txn.table_name(TableId::new(table)))?);
        Ok(())
    })
}

/// The note of a named table: bytes that the program attached to it (a schema, a version); empty at first.
///
/// @param note  Gets the bytes, valid until the transaction ends.
/// @return KV_OK; KV_NO_TABLE; KV_INVALID (note is NULL); KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_CORRUPT, KV_IO;
///         KV_TXN_FAILED.
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_note(txn: *const kv_txn, table: kv_table, note: *mut kv_slice) -> kv_status {
    guard(c"kv_table_note", about(txn), || {
        // SAFETY: NULL or writable.
        let note = unsafe { out(note, "note")? };
        note.set(kept(txn, table, |txn| txn.table_note(TableId::new(table)))?);
        Ok(())
    })
}

/// Asks for bytes about a table, and keeps them as long as the transaction lives.
fn kept(
    txn: *const kv_txn,
    table: kv_table,
    ask: impl FnOnce(&mut dyn Reader) -> kv_engine::Result<Vec<u8>>,
) -> Outcome<kv_slice> {
    Ok(match TxnUse::of(txn)? {
        TxnUse::Read(read) => {
            let read = read.get()?;
            let bytes = ask(&mut &read.txn)?;
            let mut extras = read.extras.lock().unwrap_or_else(PoisonError::into_inner);
            keep_note(&mut extras.notes, table, bytes)
        }
        TxnUse::Write(mut write) => {
            let write = write.get()?;
            let bytes = write.work(|txn| ask(txn))?;
            keep_note(&mut write.notes, table, bytes)
        }
    })
}

/// Keeps a name or a note as long as the transaction lives. A note that is read again unchanged is kept once.
fn keep_note(notes: &mut Notes, table: u64, bytes: Vec<u8>) -> kv_slice {
    if let Some((_, same)) = notes.iter().find(|(of, note)| *of == table && **note == *bytes) {
        return kv_slice::of(same);
    }
    let note = bytes.into_boxed_slice();
    let answer = kv_slice::of(&note);
    notes.push((table, note));
    answer
}

/// Attaches a note to a table, in place of the one it has; an empty one removes it.
///
/// @return KV_OK; KV_TOO_BIG; KV_INVALID (KV_MAIN has no note); otherwise as kv_table_clear().
/// @ingroup kv_tables
#[no_mangle]
pub unsafe extern "C" fn kv_table_set_note(
    txn: *mut kv_txn,
    table: kv_table,
    note: *const c_void,
    len: usize,
) -> kv_status {
    guard(c"kv_table_set_note", about(txn), || {
        // SAFETY: pointers of the caller, as described above.
        let note = unsafe { arg::bytes(note, len, Given::NOTE)? };
        in_use::write_bytes(txn, [note], |txn, [note]| txn.table_set_note(TableId::new(table), note))
    })
}
