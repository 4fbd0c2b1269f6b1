//! The C door of the suite: the trait of `api` over the functions of `kv.h`, called as a C program calls them.
#![allow(unsafe_code)]

use super::abi::*;
use super::api::{status, Base, Checked, Entry, Fail, Move, Outcome, Reads, Setup, Snapshot, Span, Stream, Writes};
use kv::{CommitId, PutMode, Seek, TableId};
use std::ffi::{c_void, CStr, CString};
use std::mem::size_of;
use std::ops::Bound;
use std::path::Path;
use std::ptr::{null, null_mut};

/// Calls a function of the library; a status that is not KV_OK becomes a [`Fail`].
macro_rules! call {
    ($name:ident($($arg:expr),* $(,)?)) => {
        // SAFETY: handles are the library's, pointers are of living Rust objects; see each call.
        answer(unsafe { (library().$name)($($arg),*) })
    };
}

fn answer(status: i32) -> Outcome<()> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: never NULL, and valid until the next call on this thread.
    let message = unsafe { CStr::from_ptr((library().kv_error_message)()) };
    Err(Fail {
        status,
        message: message.to_string_lossy().into_owned(),
    })
}

/// NOTFOUND is an answer and not an error here.
fn found<T>(outcome: Outcome<T>) -> Outcome<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(fail) if fail.status == status::NOTFOUND => Ok(None),
        Err(fail) => Err(fail),
    }
}

fn at(bytes: &[u8]) -> *const c_void {
    bytes.as_ptr().cast()
}

fn flags(mode: PutMode) -> u32 {
    match mode {
        PutMode::Set => 0,
        PutMode::NoOverwrite => KV_NO_OVERWRITE,
        PutMode::NoInsert => KV_NO_INSERT,
        PutMode::Append => KV_APPEND,
    }
}

/// The range of a span; points into it.
fn range(span: &Span) -> kv_range {
    let mut out = kv_range {
        flags: if span.reverse { KV_RANGE_REVERSE } else { 0 },
        reserved: 0,
        from: kv_slice::NONE,
        to: kv_slice::NONE,
        prefix: kv_slice::NONE,
    };
    match &span.from {
        Bound::Included(key) => (out.flags, out.from) = (out.flags | KV_RANGE_FROM, kv_slice::of(key)),
        Bound::Excluded(key) => (out.flags, out.from) = (out.flags | KV_RANGE_AFTER, kv_slice::of(key)),
        Bound::Unbounded => {}
    }
    match &span.to {
        Bound::Included(key) => (out.flags, out.to) = (out.flags | KV_RANGE_THROUGH, kv_slice::of(key)),
        Bound::Excluded(key) => (out.flags, out.to) = (out.flags | KV_RANGE_BEFORE, kv_slice::of(key)),
        Bound::Unbounded => {}
    }
    if let Some(prefix) = &span.prefix {
        (out.flags, out.prefix) = (out.flags | KV_RANGE_PREFIX, kv_slice::of(prefix));
    }
    out
}

/// Opens a database through the C interface.
pub fn open(path: &Path, setup: &Setup) -> Outcome<Box<dyn Base>> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without zero bytes");
    let mut flags = 0;
    if setup.memory {
        flags |= KV_OPEN_MEMORY;
    }
    if setup.existing {
        flags |= KV_OPEN_EXISTING;
    }
    let options = kv_options {
        struct_size: size_of::<kv_options>() as u32,
        flags,
        page_size: setup.page_size,
        durability: if setup.lazy {
            KV_DURABILITY_LAZY
        } else {
            KV_DURABILITY_FULL
        },
        verify: 0,
        reserved: 0,
        wait_ms: 0,
        write_memory: setup.write_memory as u64,
    };
    let mut db = null_mut();
    let opened = call!(kv_open(path.as_ptr(), &options, &mut db));
    assert_eq!(opened.is_err(), db.is_null(), "a handle is given exactly on success");
    opened?;
    Ok(Box::new(CBase { db }))
}

struct CBase {
    db: Handle,
}

struct CTxn {
    txn: Handle,
    cursors: Vec<Option<Handle>>,
    scans: usize,
}

impl CBase {
    fn begin(&self, kind: u32) -> Outcome<CTxn> {
        let mut txn = null_mut();
        call!(kv_txn_begin(self.db, kind, null(), &mut txn))?;
        Ok(CTxn {
            txn,
            cursors: Vec::new(),
            scans: 0,
        })
    }
}

unsafe extern "C" fn collect(what: *mut c_void, fault: *const kv_fault) -> i32 {
    // SAFETY: `check` hands a Vec over, and the library a fault with a C string.
    let (what, fault) = unsafe { (&mut *what.cast::<Vec<String>>(), &*fault) };
    if what.len() < 20 {
        // SAFETY: as above.
        let message = unsafe { CStr::from_ptr(fault.message) }.to_string_lossy();
        what.push(format!("page {} table {}: {message}", fault.page, fault.table));
    }
    0
}

impl Base for CBase {
    fn begin_read(&self) -> Outcome<Box<dyn Snapshot>> {
        Ok(Box::new(self.begin(KV_READ)?))
    }
    fn begin_write(&self) -> Outcome<Box<dyn Writes>> {
        Ok(Box::new(self.begin(KV_WRITE)?))
    }
    fn sync(&self) -> Outcome<()> {
        call!(kv_sync(self.db))
    }
    fn pages(&self) -> Outcome<u64> {
        let mut stat = kv_db_stat {
            struct_size: size_of::<kv_db_stat>() as u32,
            ..kv_db_stat::default()
        };
        call!(kv_stat_db(self.db, &mut stat))?;
        Ok(stat.pages)
    }
    fn check(&self) -> Outcome<Checked> {
        let mut what: Vec<String> = Vec::new();
        let mut report = kv_check_report {
            struct_size: size_of::<kv_check_report>() as u32,
            ..kv_check_report::default()
        };
        let job = kv_job_options {
            struct_size: size_of::<kv_job_options>() as u32,
            flags: KV_JOB_CHECK_SPACE,
            progress: None,
            ctx: std::ptr::null_mut(),
        };
        let context: *mut Vec<String> = &mut what;
        let mut txn = std::ptr::null_mut();
        call!(kv_txn_begin(self.db, KV_READ, std::ptr::null(), &mut txn))?;
        let checked = call!(kv_check(txn, &job, Some(collect), context.cast(), &mut report));
        call!(kv_txn_commit(txn, std::ptr::null_mut()))?;
        match checked {
            Err(fail) if report.faults == 0 => return Err(fail),
            Ok(()) => assert_eq!(report.faults, 0, "KV_OK in spite of faults"),
            Err(_) => {}
        }
        Ok(Checked {
            tables: report.tables,
            entries: report.entries,
            pages: report.pages,
            dead_pages: report.dead_pages,
            faults: report.faults,
            what,
        })
    }
    fn close(mut self: Box<Self>) -> Outcome<()> {
        let db = std::mem::replace(&mut self.db, null_mut());
        call!(kv_close(db))
    }
}

impl Drop for CBase {
    fn drop(&mut self) {
        // SAFETY: a handle of the library, or NULL after `close`.
        unsafe { (library().kv_close)(self.db) };
    }
}

impl Drop for CTxn {
    fn drop(&mut self) {
        // Every order of release is allowed: take turns.
        let library = library();
        let close = |cursors: &[Option<Handle>]| {
            for cursor in cursors.iter().flatten() {
                // SAFETY: a handle of the library, possibly closed with its transaction.
                unsafe { (library.kv_cursor_close)(*cursor) };
            }
        };
        let (early, late) = self.cursors.split_at(self.cursors.len() / 2);
        close(early);
        // SAFETY: a handle of the library, possibly ended by a commit.
        unsafe { (library.kv_txn_abort)(self.txn) };
        close(late);
    }
}

/// A batch with room, and the memory behind it.
struct Room {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Room {
    fn batch(&mut self, limit: usize) -> kv_batch {
        kv_batch {
            struct_size: size_of::<kv_batch>() as u32,
            flags: 0,
            bytes: self.bytes.as_mut_ptr().cast(),
            bytes_size: self.bytes.len(),
            ends: self.ends.as_mut_ptr(),
            ends_size: self.ends.len(),
            kinds: null_mut(),
            limit,
            count: 0,
            used: 0,
            needed: 0,
            at_end: 0,
            skip: 0,
        }
    }

    fn entries(&self, batch: &kv_batch) -> Vec<Entry> {
        let string = |i: usize| {
            let start = if i == 0 { 0 } else { self.ends[i - 1] as usize };
            self.bytes[start..self.ends[i] as usize].to_vec()
        };
        (0..batch.count).map(|i| (string(2 * i), string(2 * i + 1))).collect()
    }
}

impl CTxn {
    fn cursor(&self, cursor: usize) -> Handle {
        self.cursors[cursor].expect("the test uses a cursor it closed")
    }

    /// Up to `limit` entries packed: by kv_scan, or from a cursor on.
    fn packed(&self, table: TableId, span: &Span, cursor: Option<Handle>, limit: usize) -> Outcome<Vec<Entry>> {
        let mut room = Room {
            bytes: vec![0; 256],
            ends: vec![0; 2 * limit],
        };
        let mut out = Vec::new();
        loop {
            let mut batch = room.batch(limit - out.len());
            let filled = match cursor {
                Some(cursor) => call!(kv_cursor_fill(cursor, &mut batch)),
                None => call!(kv_scan(self.txn, table.get(), &range(span), &mut batch)),
            };
            match filled {
                Ok(()) => {}
                Err(fail) if fail.status == -7 => {
                    assert!(batch.needed > room.bytes.len(), "TOO_SMALL though the entry fits");
                    room.bytes.resize(batch.needed, 0);
                    continue;
                }
                // A batch that begins at the end is empty, or the end is said as such.
                Err(fail) if fail.status == status::NOTFOUND => return Ok(out),
                Err(fail) => return Err(fail),
            }
            let entries = room.entries(&batch);
            assert!(entries.len() <= limit - out.len(), "more entries than asked for");
            if cursor.is_some() {
                out.extend(entries);
            } else {
                out = entries;
            }
            if batch.at_end == 1 || out.len() == limit {
                return Ok(out);
            }
            if cursor.is_none() {
                let more = room.bytes.len() * 4;
                room.bytes.resize(more, 0);
                out.clear();
            } else {
                assert!(
                    batch.count > 0,
                    "a batch without an entry, without an end, without an error"
                );
            }
        }
    }
}

impl Reads for CTxn {
    fn id(&mut self) -> Outcome<CommitId> {
        let mut id = 0;
        call!(kv_txn_id(self.txn, &mut id))?;
        Ok(CommitId::new(id))
    }
    fn table(&mut self, name: &[u8]) -> Outcome<TableId> {
        let mut table = u64::MAX;
        call!(kv_table_open(self.txn, at(name), name.len(), &mut table))?;
        Ok(TableId::new(table))
    }
    fn get(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut value = kv_slice::NONE;
        Ok(
            found(call!(kv_get(self.txn, table.get(), at(key), key.len(), &mut value)))?.map(|()| {
                let value = value.copy();
                value.expect("the data of a found value is never NULL")
            }),
        )
    }
    fn contains(&mut self, table: TableId, key: &[u8]) -> Outcome<bool> {
        Ok(found(call!(kv_get(self.txn, table.get(), at(key), key.len(), null_mut())))?.is_some())
    }
    fn get_many(&mut self, table: TableId, keys: &[&[u8]]) -> Outcome<Vec<Option<Vec<u8>>>> {
        let keys: Vec<kv_slice> = keys.iter().map(|key| kv_slice::of(key)).collect();
        let mut values = vec![kv_slice::NONE; keys.len()];
        let mut count = 0;
        call!(kv_get_many(
            self.txn,
            table.get(),
            keys.as_ptr(),
            keys.len(),
            values.as_mut_ptr(),
            &mut count
        ))?;
        let values: Vec<_> = values.iter().map(kv_slice::copy).collect();
        assert_eq!(count, values.iter().flatten().count(), "kv_get_many counts wrongly");
        Ok(values)
    }
    fn value_len(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<u64>> {
        let mut info = kv_value_stat {
            struct_size: size_of::<kv_value_stat>() as u32,
            ..kv_value_stat::default()
        };
        let asked = call!(kv_stat_value(self.txn, table.get(), at(key), key.len(), &mut info));
        Ok(found(asked)?.map(|()| info.len))
    }
    fn read_value(&mut self, table: TableId, key: &[u8], offset: u64, len: usize) -> Outcome<Option<Vec<u8>>> {
        let mut out = vec![0xee; len];
        let mut got = usize::MAX;
        let read = call!(kv_value_read(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            offset,
            out.as_mut_ptr().cast(),
            len,
            &mut got
        ));
        Ok(found(read)?.map(|()| {
            out.truncate(got);
            out
        }))
    }
    fn count(&mut self, table: TableId, span: &Span) -> Outcome<u64> {
        let mut count = u64::MAX;
        call!(kv_count(self.txn, table.get(), &range(span), &mut count))?;
        Ok(count)
    }
    fn rank(&mut self, table: TableId, key: &[u8]) -> Outcome<u64> {
        let mut rank = u64::MAX;
        call!(kv_rank(self.txn, table.get(), at(key), key.len(), &mut rank))?;
        Ok(rank)
    }
    fn note(&mut self, table: TableId) -> Outcome<Vec<u8>> {
        let mut note = kv_slice::NONE;
        call!(kv_table_note(self.txn, table.get(), &mut note))?;
        Ok(note.copy().unwrap_or_default())
    }
    fn entries(&mut self, table: TableId) -> Outcome<u64> {
        let mut stat = kv_table_stat {
            struct_size: size_of::<kv_table_stat>() as u32,
            ..kv_table_stat::default()
        };
        call!(kv_stat_table(self.txn, table.get(), 0, &mut stat))?;
        Ok(stat.entries)
    }
    fn scan(&mut self, table: TableId, span: &Span, limit: usize) -> Outcome<Vec<Entry>> {
        self.scans += 1;
        if limit == 0 {
            return Ok(Vec::new());
        }
        if self.scans % 3 == 0 {
            return self.packed(table, span, None, limit);
        }
        let mut cursor = null_mut();
        call!(kv_cursor_open(self.txn, table.get(), &range(span), &mut cursor))?;
        let out = if self.scans % 3 == 1 {
            self.packed(table, span, Some(cursor), limit)
        } else {
            let absent = kv_entry {
                key: kv_slice::NONE,
                value: kv_slice::NONE,
            };
            let mut entries = vec![absent; limit];
            let mut got = 0;
            let asked = call!(kv_cursor_next_many(cursor, entries.as_mut_ptr(), limit, &mut got));
            found(asked).map(|_| {
                let copy = |slice: &kv_slice| slice.copy().expect("entries have no NULL data");
                let entries = entries[..got].iter();
                entries.map(|entry| (copy(&entry.key), copy(&entry.value))).collect()
            })
        };
        // SAFETY: the cursor opened above.
        unsafe { (library().kv_cursor_close)(cursor) };
        out
    }
    fn cursor_open(&mut self, table: TableId, span: &Span) -> Outcome<usize> {
        let mut cursor = null_mut();
        call!(kv_cursor_open(self.txn, table.get(), &range(span), &mut cursor))?;
        self.cursors.push(Some(cursor));
        Ok(self.cursors.len() - 1)
    }
    fn cursor_close(&mut self, cursor: usize) {
        let handle = self.cursors[cursor].take().expect("the test closes a cursor twice");
        // SAFETY: a cursor of this transaction.
        unsafe { (library().kv_cursor_close)(handle) };
    }
    fn cursor_move(&mut self, cursor: usize, how: &Move) -> Outcome<Option<Entry>> {
        let cursor = self.cursor(cursor);
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        let (k, v): (*mut kv_slice, *mut kv_slice) = (&mut key, &mut value);
        let moved = match how {
            Move::First => call!(kv_cursor_first(cursor, k, v)),
            Move::Last => call!(kv_cursor_last(cursor, k, v)),
            Move::Next => call!(kv_cursor_next(cursor, k, v)),
            Move::Prev => call!(kv_cursor_prev(cursor, k, v)),
            Move::Get => call!(kv_cursor_get(cursor, k, v)),
            Move::Seek(key, how) => {
                let how = match how {
                    Seek::Eq => KV_SEEK_EQ,
                    Seek::Ge => KV_SEEK_GE,
                    Seek::Gt => KV_SEEK_GT,
                    Seek::Le => KV_SEEK_LE,
                    Seek::Lt => KV_SEEK_LT,
                };
                call!(kv_cursor_seek(cursor, at(key), key.len(), how, k, v))
            }
            Move::Nth(n) => call!(kv_cursor_nth(cursor, *n, k, v)),
            Move::Percentile(percent) => call!(kv_cursor_percentile(cursor, *percent, k, v)),
        };
        Ok(found(moved)?.map(|()| {
            let entry = key.copy().zip(value.copy());
            entry.expect("key and value of an entry are never NULL")
        }))
    }
    fn cursor_count(&mut self, cursor: usize) -> Outcome<u64> {
        let mut count = u64::MAX;
        call!(kv_cursor_count(self.cursor(cursor), &mut count))?;
        Ok(count)
    }
    fn cursor_rank(&mut self, cursor: usize) -> Outcome<u64> {
        let mut rank = u64::MAX;
        call!(kv_cursor_rank(self.cursor(cursor), &mut rank))?;
        Ok(rank)
    }
}

impl Snapshot for CTxn {
    fn refresh(&mut self) -> Outcome<()> {
        call!(kv_txn_refresh(self.txn))
    }
}

impl Writes for CTxn {
    fn put(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<()> {
        call!(kv_put(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            at(value),
            value.len(),
            flags(mode)
        ))
    }
    fn insert(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut existing = kv_slice::NONE;
        let inserted = call!(kv_insert(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            at(value),
            value.len(),
            &mut existing
        ));
        match inserted {
            Ok(()) => Ok(None),
            Err(fail) if fail.status == status::EXISTS => {
                Ok(Some(existing.copy().expect("KV_EXISTS fills the existing value")))
            }
            Err(fail) => Err(fail),
        }
    }
    fn replace(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<Option<Vec<u8>>> {
        let mut old = kv_slice::NONE;
        call!(kv_replace(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            at(value),
            value.len(),
            flags(mode),
            &mut old
        ))?;
        Ok(old.copy())
    }
    fn reserve(&mut self, table: TableId, key: &[u8], value: &[u8], filled: usize, mode: PutMode) -> Outcome<()> {
        let mut data = null_mut();
        call!(kv_reserve(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            value.len(),
            flags(mode),
            &mut data
        ))?;
        assert!(!data.is_null());
        // SAFETY: the library reserved this many bytes, ours until the next call.
        let room = unsafe { std::slice::from_raw_parts_mut(data.cast::<u8>(), value.len()) };
        assert!(room.iter().all(|b| *b == 0), "reserved bytes are not zero");
        room[..filled].copy_from_slice(&value[..filled]);
        Ok(())
    }
    fn delete(&mut self, table: TableId, key: &[u8]) -> Outcome<bool> {
        Ok(found(call!(kv_delete(self.txn, table.get(), at(key), key.len(), 0)))?.is_some())
    }
    fn delete_blind(&mut self, table: TableId, key: &[u8]) -> Outcome<()> {
        call!(kv_delete(self.txn, table.get(), at(key), key.len(), KV_BLIND))
    }
    fn take(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut value = kv_slice::NONE;
        let taken = call!(kv_take(self.txn, table.get(), at(key), key.len(), &mut value));
        Ok(found(taken)?.map(|()| value.copy().expect("the data of a found value is never NULL")))
    }
    fn take_first(&mut self, table: TableId, span: &Span) -> Outcome<Option<Entry>> {
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        let taken = call!(kv_take_first(self.txn, table.get(), &range(span), &mut key, &mut value));
        Ok(found(taken)?.map(|()| key.copy().zip(value.copy()).expect("a taken entry is never NULL")))
    }
    fn delete_range(&mut self, table: TableId, span: &Span) -> Outcome<u64> {
        let mut deleted = u64::MAX;
        let done = call!(kv_delete_range(self.txn, table.get(), &range(span), &mut deleted));
        if span.is_unbounded() {
            // The C interface refuses this on purpose: a forgotten bound must not erase a table.
            assert_eq!(done.map_err(|fail| fail.status), Err(status::INVALID));
            let count = self.count(table, span)?;
            return self.table_clear(table).map(|()| count);
        }
        done?;
        Ok(deleted)
    }
    fn table_create(&mut self, name: &[u8], new: bool) -> Outcome<TableId> {
        let options = kv_table_options {
            struct_size: size_of::<kv_table_options>() as u32,
            flags: if new { KV_TABLE_NEW } else { 0 },
        };
        let options = if new { &raw const options } else { null() };
        let mut table = u64::MAX;
        call!(kv_table_create(self.txn, at(name), name.len(), options, &mut table))?;
        Ok(TableId::new(table))
    }
    fn table_rename(&mut self, table: TableId, name: &[u8]) -> Outcome<()> {
        call!(kv_table_rename(self.txn, table.get(), at(name), name.len()))
    }
    fn table_clear(&mut self, table: TableId) -> Outcome<()> {
        call!(kv_table_clear(self.txn, table.get()))
    }
    fn table_drop(&mut self, table: TableId) -> Outcome<()> {
        call!(kv_table_drop(self.txn, table.get()))
    }
    fn table_set_note(&mut self, table: TableId, note: &[u8]) -> Outcome<()> {
        call!(kv_table_set_note(self.txn, table.get(), at(note), note.len()))
    }
    fn stream(&mut self, table: TableId, key: &[u8], stream: &Stream<'_>) -> Outcome<()> {
        let mut writer = null_mut();
        call!(kv_writer_open(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            stream.hint,
            0,
            &mut writer
        ))?;
        for (i, part) in stream.parts.iter().enumerate() {
            if i == stream.parts.len() / 2 {
                if let Some((key, value)) = stream.between {
                    self.put(table, key, value, PutMode::Set)?;
                }
            }
            call!(kv_writer_write(writer, at(part), part.len()))?;
        }
        let finished = if stream.finish {
            call!(kv_writer_finish(writer))
        } else {
            Ok(())
        };
        // SAFETY: a writer of the library; closing a finished one does nothing.
        unsafe { (library().kv_writer_close)(writer) };
        finished
    }
    fn cursor_put(&mut self, cursor: usize, value: &[u8]) -> Outcome<()> {
        call!(kv_cursor_put(self.cursor(cursor), at(value), value.len()))
    }
    fn cursor_delete(&mut self, cursor: usize) -> Outcome<()> {
        call!(kv_cursor_delete(self.cursor(cursor)))
    }
    fn commit(self: Box<Self>) -> Outcome<CommitId> {
        let mut id = 0;
        call!(kv_txn_commit(self.txn, &mut id))?;
        Ok(CommitId::new(id))
    }
}
