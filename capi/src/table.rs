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

/// The main table: it needs no name and always exists. @ingroup kv_tables
pub const KV_MAIN: kv_table = 0;
/// The read-only list of the named tables: name -> number (8 bytes, little-endian). It is read like any table.
/// @ingroup kv_tables
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
    /// KV_TABLE_... flags; 0 = open the table if it exists.
    pub flags: u32,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_table_options {}

/// Finds the number of the table that has a name. There is nothing to close.
///
/// @param name   1 to 512 bytes of any kind, the first of which is not 0.
/// @param len    Bytes of the name.
/// @param table  Receives the number.
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

/// Creates a table, or finds the one that has this name already (unless KV_TABLE_NEW is set). Others see the table when
/// the transaction is committed.
///
/// @param name     1 to 512 bytes of any kind, the first of which is not 0.
/// @param len      Bytes of the name.
/// @param options  NULL = all defaults. Copied.
/// @param table    Receives the number.
/// @return KV_OK; KV_EXISTS (with KV_TABLE_NEW); KV_INVALID; KV_TOO_BIG (name); KV_READ_ONLY; KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_MEMORY (these can spoil the transaction).
/// @ingroup kv_tables
#[no_mangle]
#[must_use]
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

/// Gives a table another name; its number stays. If another table has this name already, it is dropped, so that a table
/// can be replaced by another one in one step.
///
/// @param name  1 to 512 bytes of any kind, the first of which is not 0.
/// @param len   Bytes of the name.
/// @return KV_OK; KV_NO_TABLE; KV_INVALID (KV_MAIN has no name to change); otherwise as kv_table_create(); never
///         KV_EXISTS.
/// @ingroup kv_tables
#[no_mangle]
#[must_use]
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

/// Deletes every entry of a table. The time grows with the number of pages of its tree, and not with the sizes of its
/// values; leaf pages are read only if the table has long keys or values.
///
/// @return KV_OK; KV_NO_TABLE; KV_READ_ONLY; KV_UNSUPPORTED (a newer version made the table); KV_BAD_HANDLE, KV_FORKED,
///         KV_BUSY; KV_TXN_FAILED; KV_CORRUPT, KV_IO.
/// @ingroup kv_tables
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_table_clear(txn: *mut kv_txn, table: kv_table) -> kv_status {
    guard(c"kv_table_clear", about(txn), || {
        in_use::write(txn, |txn| txn.table_clear(TableId::new(table)))
    })
}

/// Drops a table with all its entries, which are deleted as by kv_table_clear(). The number of the table is not given
/// to another one.
///
/// @return As kv_table_clear(); KV_INVALID (KV_MAIN), KV_READ_ONLY (KV_TABLES).
/// @ingroup kv_tables
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_table_drop(txn: *mut kv_txn, table: kv_table) -> kv_status {
    guard(c"kv_table_drop", about(txn), || {
        in_use::write(txn, |txn| txn.table_drop(TableId::new(table)))
    })
}

/// Tells the name of a table. To list all tables, read KV_TABLES, whose keys are the names.
///
/// @param name  Receives the name, valid until the transaction ends or is refreshed, also after writes; empty for
///              KV_MAIN and KV_TABLES, which have none.
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

/// Tells the note of a table: bytes that the program attached to it, such as a schema or a version. It is empty at
/// first.
///
/// @param note  Receives the note, valid until the transaction ends or is refreshed, also after writes.
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

/// Attaches a note to a table, in place of the one that it has.
///
/// @param note  0 to 1024 bytes; an empty note is the same as none.
/// @param len   Bytes of the note.
/// @return KV_OK; KV_TOO_BIG; KV_INVALID (KV_MAIN has no note); otherwise as kv_table_clear().
/// @ingroup kv_tables
#[no_mangle]
#[must_use]
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
