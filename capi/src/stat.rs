//! Chapter "statistics": figures of databases, tables and transactions.

use crate::border::arg::{self, Growing};
use crate::border::error::guard;
use crate::border::flags::{KV_READ, KV_WRITE};
use crate::border::status::{kv_status, not_found};
use crate::border::types::{kv_db, kv_table, kv_txn};
use crate::handle::about::about;
use crate::handle::in_use::{DbUse, TxnUse};
use crate::handle::stale_readers::{kv_reader_info, reader_info};

use kv_engine::TableId;
use std::ffi::c_char;

/// Figures of a database, filled by kv_stat_db(); start from KV_DB_STAT_INIT.
///
/// @ingroup kv_statistics
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_db_stat {
    /// sizeof(kv_db_stat), set by KV_DB_STAT_INIT.
    pub struct_size: u32,
    /// Bytes of a page.
    pub page_size: u32,
    /// Pages of the file at the newest visible commit; times page_size, its bytes.
    pub pages: u64,
    /// Pages that nobody needs, as far as it is known without reading all bookkeeping: none right after opening.
    pub free_pages: u64,
    /// Pages that died but are still needed by a reader or until the next sync, as far as it is known.
    pub pending_pages: u64,
    /// Number of the newest visible commit.
    pub visible: u64,
    /// Number of the newest durable commit.
    pub durable: u64,
    /// Number of the oldest commit that a reader sees; `visible` if there is no reader.
    pub oldest: u64,
    /// Number of readers, in all processes.
    pub readers: u32,
    /// Number of incomplete commits that were discarded when this handle opened the file after a crash.
    pub discarded: u32,
    /// Number of the commit that opening this handle found, which was the newest complete one then. If `discarded` is
    /// not 0, it is the one that was fallen back to.
    pub opened_commit: u64,
    /// Nanoseconds that opening this handle took, recovery included.
    pub opening_ns: u64,
    /// 1 if the database had been closed properly when this handle opened it, or if others had it open. 0 if the last
    /// process was killed or the power failed, or if it is not known, because a meta slot is lost (below). It stays 0
    /// for later handles until a commit is made and the database is closed.
    pub closed_properly: u32,
    /// The meta slots that were missing or could not be read when this handle opened the file, with a bit for each of
    /// the four (1 = the first); 0 = none. Each slot is a place at the head of the file that leads to a commit. One
    /// that a crash tore is among them; its commit was not finished. Any other was damaged. If it was that of the
    /// newest commit, and the database was not closed after that (which makes a second one), this commit is lost, and
    /// the one before it was opened: so whoever finds a lost slot looks for what is missing. A slot of zeros is told
    /// where another slot shows that it was written; otherwise it looks as if it never was. The next commits write a
    /// lost slot anew.
    pub lost_slots: u32,
    /// Id of the process that has the write transaction open at this moment, as that process sees it; 0 if none has.
    pub writer: u32,
    /// 1 if `free_pages`, `pending_pages` and `parked_pages` are of the newest visible commit. 0 if they are not,
    /// because another process has committed since this one last wrote, or had the database open already when this one
    /// opened it.
    pub dead_pages_known: u32,
    /// Milliseconds since the process `writer` began the write transaction.
    pub writer_ms: u64,
    /// Pages that died but that snapshots still have, besides those of `pending_pages`, as far as it is known: those
    /// that are put aside for snapshots in the file, and others that this process has met when it wrote. One that it
    /// has not met yet is among `pending_pages`.
    pub parked_pages: u64,
    /// Pages that scans, differences and readers of long values announced since this process opened the file: the
    /// system was told to read them ahead, because they did not seem to be in memory. One that is announced again after
    /// it was read counts again. Checks and backups are not counted, which read all that they announce.
    pub announced_pages: u64,
    /// Those of `announced_pages` that were read afterwards, by whatever call of this process. If they are much fewer,
    /// scans end soon after they began.
    pub announced_pages_used: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_db_stat {}

/// Tells figures of a database and its readers.
///
/// @param stat  Receives the figures; start from KV_DB_STAT_INIT.
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_INVALID (struct_size).
/// @ingroup kv_statistics
#[no_mangle]
pub unsafe extern "C" fn kv_stat_db(db: *mut kv_db, stat: *mut kv_db_stat) -> kv_status {
    guard(c"kv_stat_db", about(db), || {
        let db = DbUse::of(db)?;
        let db = &db.for_figures()?.db;
        let (figures, writer) = (db.stat(), db.writer());
        let filled = kv_db_stat {
            struct_size: 0,
            page_size: figures.page_size,
            pages: figures.pages,
            free_pages: figures.free_pages,
            pending_pages: figures.pending_pages,
            visible: figures.visible.get(),
            durable: figures.durable.get(),
            oldest: figures.oldest.get(),
            readers: figures.readers,
            discarded: db.recovery().discarded,
            opened_commit: db.recovery().id.get(),
            opening_ns: u64::try_from(db.opening_time().as_nanos()).unwrap_or(u64::MAX),
            closed_properly: db.recovery().closed_properly.into(),
            lost_slots: db.recovery().lost_slots,
            writer: writer.map_or(0, |writer| writer.pid),
            dead_pages_known: figures.dead_pages_known.into(),
            writer_ms: writer.map_or(0, |writer| writer.age_ms),
            parked_pages: figures.parked_pages,
            announced_pages: figures.announced_pages,
            announced_pages_used: figures.announced_pages_used,
        };
        // SAFETY: NULL or a struct of at least the size it states.
        unsafe { arg::report(stat, filled) }
    })
}

/// Which database a handle stands for, filled by kv_db_identity(); start from KV_IDENTITY_INIT.
///
/// @ingroup kv_statistics
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_identity {
    /// sizeof(kv_identity), set by KV_IDENTITY_INIT.
    pub struct_size: u32,
    /// Version of the file format.
    pub format_version: u32,
    /// UUID of the database. A copy made by kv_backup() has one of its own.
    pub uuid: [u8; 16],
    /// Absolute path under which this handle opened the file, valid until kv_close(); "" for a database in memory.
    pub path: *const c_char,
}
// SAFETY: repr(C), struct_size first; zero is a value of integers and pointers alike.
unsafe impl Growing for kv_identity {}

/// Tells which database a handle stands for.
///
/// @param identity  Receives the identity; start from KV_IDENTITY_INIT.
/// @return KV_OK; KV_BAD_HANDLE, KV_FORKED; KV_INVALID (struct_size).
/// @ingroup kv_statistics
#[no_mangle]
pub unsafe extern "C" fn kv_db_identity(db: *mut kv_db, identity: *mut kv_identity) -> kv_status {
    guard(c"kv_db_identity", about(db), || {
        let db = DbUse::of(db)?;
        let db = db.for_figures()?;
        let known = db.db.identity();
        let filled = kv_identity {
            struct_size: 0,
            format_version: known.format_version,
            uuid: known.uuid,
            path: db.path.as_ptr(),
        };
        // SAFETY: NULL or a struct of at least the size it states.
        unsafe { arg::report(identity, filled) }
    })
}

/// Tells one of the readers of a database: the read transactions and the buffers of kv_get_buf() that keep commits, in
/// all processes, the one with the oldest commit first.
///
/// Readers come and go meanwhile, so a loop over the indexes gives a picture and not an inventory. A process that died
/// has no readers.
///
/// @param index  0 = the first.
/// @param info   Receives the reader; start from KV_READER_INFO_INIT.
/// @return KV_OK; KV_NOTFOUND (there are not so many); KV_INVALID (struct_size); KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_statistics
#[no_mangle]
pub unsafe extern "C" fn kv_reader_at(db: *mut kv_db, index: u32, info: *mut kv_reader_info) -> kv_status {
    guard(c"kv_reader_at", about(db), || {
        let db = DbUse::of(db)?;
        let readers = db.for_figures()?.db.readers();
        let reader = readers.get(index as usize).ok_or_else(not_found)?;
        // SAFETY: NULL or a struct of at least the size it states.
        unsafe { arg::report(info, reader_info(reader)) }
    })
}

/// Figures of a table, filled by kv_stat_table(); start from KV_TABLE_STAT_INIT.
///
/// @ingroup kv_statistics
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_table_stat {
    /// sizeof(kv_table_stat), set by KV_TABLE_STAT_INIT.
    pub struct_size: u32,
    /// Levels of the table's tree; 0 = the table is empty.
    pub height: u32,
    /// Number of entries of the table.
    pub entries: u64,
    /// Branch pages of the table, or of the level.
    pub branch_pages: u64,
    /// Leaf pages of the table, or of the level.
    pub leaf_pages: u64,
    /// Pages of long values and keys of the table; 0 for a level.
    pub overflow_pages: u64,
    /// Number of children or entries in the pages of the level; 0 for the whole table.
    pub items: u64,
    /// Bytes that are used in these branch and leaf pages.
    pub used_bytes: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_table_stat {}

/// Tells figures of a table, or of one level of its tree. It reads every page of the tree, but not the long values; to
/// count the entries alone, kv_count() is much faster.
///
/// @param level  0 = the whole table; 1 = its leaves, and so on up to `height` = its root.
/// @param stat   Receives the figures; start from KV_TABLE_STAT_INIT.
/// @return KV_OK; KV_NOTFOUND (no such level); KV_NO_TABLE; KV_INVALID; KV_BAD_HANDLE, KV_FORKED, KV_BUSY;
///         KV_TXN_FAILED; KV_CORRUPT, KV_IO, KV_NO_SPACE, KV_LIMIT.
/// @ingroup kv_statistics
#[no_mangle]
pub unsafe extern "C" fn kv_stat_table(
    txn: *const kv_txn,
    table: kv_table,
    level: u32,
    stat: *mut kv_table_stat,
) -> kv_status {
    guard(c"kv_stat_table", about(txn), || {
        let mut usage = TxnUse::of(txn)?;
        let whole = usage.read(|txn| txn.table_stat(TableId::new(table)))?;
        let mut filled = kv_table_stat {
            struct_size: 0,
            height: u32::from(whole.height),
            entries: whole.entries,
            branch_pages: whole.branch_pages,
            leaf_pages: whole.leaf_pages,
            overflow_pages: whole.overflow_pages,
            items: 0,
            used_bytes: whole.used_bytes,
        };
        if level != 0 {
            let level = u8::try_from(level)
                .ok()
                .filter(|level| *level <= whole.height)
                .ok_or_else(not_found)?;
            let one = usage.read(|txn| txn.level_stat(TableId::new(table), level))?;
            filled.branch_pages = if level == 1 { 0 } else { one.pages };
            filled.leaf_pages = if level == 1 { one.pages } else { 0 };
            filled.overflow_pages = 0;
            filled.items = one.items;
            filled.used_bytes = one.used_bytes;
        }
        // SAFETY: NULL or a struct of at least the size it states.
        unsafe { arg::report(stat, filled) }
    })
}

/// Figures of a transaction, filled by kv_stat_txn(); start from KV_TXN_STAT_INIT.
///
/// @ingroup kv_statistics
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_txn_stat {
    /// sizeof(kv_txn_stat), set by KV_TXN_STAT_INIT.
    pub struct_size: u32,
    /// KV_READ or KV_WRITE.
    pub kind: u32,
    /// Number of the commit that it reads; of a write transaction, the one that it builds upon.
    pub commit: u64,
    /// Number of edits that are collected and not applied yet.
    pub edits: u64,
    /// Bytes of these edits.
    pub edit_bytes: u64,
    /// Pages that it has made so far.
    pub private_pages: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_txn_stat {}

/// Tells figures of a transaction.
///
/// @param stat  Receives the figures; start from KV_TXN_STAT_INIT.
/// @return KV_OK; KV_INVALID; KV_BAD_HANDLE, KV_FORKED, KV_BUSY; KV_TXN_FAILED.
/// @ingroup kv_statistics
#[no_mangle]
pub unsafe extern "C" fn kv_stat_txn(txn: *const kv_txn, stat: *mut kv_txn_stat) -> kv_status {
    guard(c"kv_stat_txn", about(txn), || {
        let mut usage = TxnUse::of(txn)?;
        let id = usage.read(|txn| Ok(txn.id()))?;
        let (kind, collected) = match &mut usage {
            TxnUse::Read(_) => (KV_READ, kv_engine::WriteStat::default()),
            TxnUse::Write(write) => (KV_WRITE, write.get()?.work(|txn| Ok(txn.stat()))?),
        };
        let filled = kv_txn_stat {
            struct_size: 0,
            kind,
            commit: id.get(),
            edits: collected.edits,
            edit_bytes: collected.bytes,
            private_pages: collected.private_pages,
        };
        // SAFETY: NULL or a struct of at least the size it states.
        unsafe { arg::report(stat, filled) }
    })
}
