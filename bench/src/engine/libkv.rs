//! libkv, through `kv.h`.

use crate::abi::{
    kv_db_stat, kv_entry, kv_range, kv_slice, library, Handle, Library, KV_APPEND, KV_DURABILITY_FULL,
    KV_DURABILITY_LAZY, KV_RANGE_BEFORE, KV_RANGE_FROM, KV_RANGE_REVERSE, KV_READ, KV_SEEK_GE, KV_WRITE,
};
use crate::driver::{Read, Session, Settings, Store, Taken, Tells, Way, Write};
use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::{addr_of, null, null_mut};

const MAIN: u64 = 0;
const NOTFOUND: i32 = -1;
/// Entries per call of `kv_cursor_next_many`.
const MANY: usize = 256;

/// `kv_txn_options` of `kv.h`.
#[repr(C)]
struct TxnOptions {
    struct_size: u32,
    flags: u32,
    durability: u32,
    reserved: u32,
    wait_ms: i64,
    memory: u64,
}

/// An open database.
pub struct Kv {
    lib: &'static Library,
    db: Handle,
}

// SAFETY: kv.h: any thread may use a kv_db.
unsafe impl Sync for Kv {}

/// A thread's access: nothing of its own.
pub struct KvSession<'a>(&'a Kv);

/// A read transaction, with a cursor once one was needed.
pub struct KvRead {
    lib: &'static Library,
    txn: Handle,
    cursor: Handle,
}

/// A write transaction.
pub struct KvWrite {
    lib: &'static Library,
    txn: Handle,
}

#[cold]
fn failed(lib: &Library, status: i32) -> ! {
    // SAFETY: never NULL, a C string.
    let message = unsafe { CStr::from_ptr((lib.kv_error_message)()) };
    panic!("libkv: status {status}: {}", message.to_string_lossy());
}

#[inline]
fn ok(lib: &Library, status: i32) {
    if status != 0 {
        failed(lib, status);
    }
}

/// True: found.
#[inline]
fn found(lib: &Library, status: i32) -> bool {
    match status {
        0 => true,
        NOTFOUND => false,
        _ => failed(lib, status),
    }
}

/// Bytes the library returned.
///
/// # Safety
/// Filled by the library, and valid as long as `'a`.
#[inline]
unsafe fn bytes<'a>(slice: &kv_slice) -> &'a [u8] {
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(slice.data.cast(), slice.len) }
}

/// A lookup in a transaction of either kind.
#[inline]
fn get<T>(lib: &Library, txn: Handle, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let mut value = kv_slice::NONE;
    // SAFETY: a transaction, a key, a slice to be filled.
    let status = unsafe { (lib.kv_get)(txn, MAIN, key.as_ptr().cast(), key.len(), &mut value) };
    // SAFETY: just filled; valid until the transaction ends or writes.
    see(found(lib, status).then(|| unsafe { bytes(&value) }))
}

fn range(from: &[u8], to: &[u8]) -> kv_range {
    kv_range {
        flags: KV_RANGE_FROM | KV_RANGE_BEFORE,
        reserved: 0,
        from: kv_slice::of(from),
        to: kv_slice::of(to),
        prefix: kv_slice::NONE,
    }
}

impl Store for Kv {
    const NAME: &'static str = "libkv";
    const SETTINGS: &'static str = "all defaults; durable: KV_DURABILITY_FULL; lazy: KV_DURABILITY_LAZY";
    type Session<'a> = KvSession<'a>;

    fn version() -> String {
        // SAFETY: a static C string.
        unsafe { CStr::from_ptr((library().kv_version)()) }
            .to_string_lossy()
            .into_owned()
    }

    fn open(dir: &Path, _: &Settings) -> Kv {
        let lib = library();
        let path = CString::new(dir.join("data.kv").as_os_str().as_encoded_bytes()).expect("a path");
        let mut db = null_mut();
        // SAFETY: a C string, default options, and a handle to be filled.
        ok(lib, unsafe { (lib.kv_open)(path.as_ptr(), null(), &mut db) });
        Kv { lib, db }
    }

    fn session(&self) -> KvSession<'_> {
        KvSession(self)
    }
}

impl KvSession<'_> {
    #[inline]
    fn begin(&self) -> KvRead {
        let (lib, mut txn) = (self.0.lib, null_mut());
        // SAFETY: an open database, a handle to be filled.
        ok(lib, unsafe { (lib.kv_txn_begin)(self.0.db, KV_READ, null(), &mut txn) });
        KvRead {
            lib,
            txn,
            cursor: null_mut(),
        }
    }
}

impl Session for KvSession<'_> {
    type Read<'a>
        = KvRead
    where
        Self: 'a;
    type Write<'a>
        = KvWrite
    where
        Self: 'a;

    #[inline]
    fn read<T>(&mut self, work: impl FnOnce(&mut KvRead) -> T) -> T {
        work(&mut self.begin())
    }

    #[inline]
    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut KvWrite) -> T) -> T {
        let (lib, mut txn) = (self.0.lib, null_mut());
        let options = TxnOptions {
            struct_size: size_of::<TxnOptions>() as u32,
            flags: 0,
            durability: if durable {
                KV_DURABILITY_FULL
            } else {
                KV_DURABILITY_LAZY
            },
            reserved: 0,
            wait_ms: 0,
            memory: 0,
        };
        // SAFETY: an open database, options, a handle to be filled.
        ok(lib, unsafe {
            (lib.kv_txn_begin)(self.0.db, KV_WRITE, addr_of!(options).cast(), &mut txn)
        });
        let mut write = KvWrite { lib, txn };
        let done = work(&mut write);
        // SAFETY: a transaction; released whatever is answered, and aborting it again does nothing.
        ok(lib, unsafe { (lib.kv_txn_commit)(txn, null_mut()) });
        done
    }

    fn renewed<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>, see: &mut impl FnMut(Option<&[u8]>)) {
        let read = self.begin();
        for key in keys {
            // SAFETY: a read transaction.
            ok(read.lib, unsafe { (read.lib.kv_txn_refresh)(read.txn) });
            get(read.lib, read.txn, key, &mut *see);
        }
    }
}

impl Tells for Kv {
    fn taken(&self) -> Taken {
        let mut stat = kv_db_stat {
            struct_size: size_of::<kv_db_stat>() as u32,
            ..kv_db_stat::default()
        };
        // SAFETY: an open database, a struct of this size to be filled.
        ok(self.lib, unsafe { (self.lib.kv_stat_db)(self.db, &mut stat) });
        let size = u64::from(stat.page_size);
        Taken {
            in_use: (stat.pages - stat.free_pages - stat.pending_pages) * size,
            file: stat.pages * size,
        }
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        // SAFETY: an open database.
        ok(self.lib, unsafe { (self.lib.kv_close)(self.db) });
    }
}

impl Drop for KvRead {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: handles of the library, in the order of their making; a cursor that is NULL is ignored.
        unsafe {
            if !self.cursor.is_null() {
                (self.lib.kv_cursor_close)(self.cursor);
            }
            (self.lib.kv_txn_abort)(self.txn);
        }
    }
}

impl Drop for KvWrite {
    fn drop(&mut self) {
        // SAFETY: a handle of the library; after a commit this does nothing.
        unsafe { (self.lib.kv_txn_abort)(self.txn) };
    }
}

impl KvRead {
    #[inline]
    fn cursor(&mut self) -> Handle {
        if self.cursor.is_null() {
            // SAFETY: a transaction, a handle to be filled.
            ok(self.lib, unsafe {
                (self.lib.kv_cursor_open)(self.txn, MAIN, null(), &mut self.cursor)
            });
        }
        self.cursor
    }
}

impl Read for KvRead {
    #[inline]
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        get(self.lib, self.txn, key, see)
    }

    fn get_many(&mut self, keys: &[&[u8]], see: &mut impl FnMut(Option<&[u8]>)) {
        let mut asked = [kv_slice::NONE; 16];
        let mut values = [kv_slice::NONE; 16];
        for keys in keys.chunks(16) {
            for (slice, key) in asked.iter_mut().zip(keys) {
                *slice = kv_slice::of(key);
            }
            // SAFETY: as many keys, and as much room for values, as said.
            let status = unsafe {
                (self.lib.kv_get_many)(
                    self.txn,
                    MAIN,
                    asked.as_ptr(),
                    keys.len(),
                    values.as_mut_ptr(),
                    null_mut(),
                )
            };
            ok(self.lib, status);
            for value in &values[..keys.len()] {
                // SAFETY: just filled, if it is not NULL.
                see((!value.data.is_null()).then(|| unsafe { bytes(value) }));
            }
        }
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let (lib, cursor) = (self.lib, self.cursor());
        let empty: &[u8] = &[];
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::of(empty));
        let wanted = if way.keys_only { null_mut() } else { &raw mut value };
        let (first, next) = if way.backward {
            (lib.kv_cursor_last, lib.kv_cursor_prev)
        } else {
            (lib.kv_cursor_first, lib.kv_cursor_next)
        };
        // SAFETY: a cursor, slices to be filled.
        let mut status = unsafe { first(cursor, &mut key, wanted) };
        while found(lib, status) {
            // SAFETY: just filled (or empty), valid until the next call; then as above.
            unsafe {
                see(bytes(&key), bytes(&value));
                status = next(cursor, &mut key, wanted);
            }
        }
    }

    fn scan_many(&mut self, see: &mut impl FnMut(&[u8], &[u8])) {
        let none = kv_entry {
            key: kv_slice::NONE,
            value: kv_slice::NONE,
        };
        let mut entries = [none; MANY];
        let mut cursor = null_mut();
        // SAFETY: a transaction, a handle to be filled.
        ok(self.lib, unsafe {
            (self.lib.kv_cursor_open)(self.txn, MAIN, null(), &mut cursor)
        });
        loop {
            let mut got = 0;
            // SAFETY: a cursor, as much room as said.
            let status = unsafe { (self.lib.kv_cursor_next_many)(cursor, entries.as_mut_ptr(), MANY, &mut got) };
            if !found(self.lib, status) {
                break;
            }
            for entry in &entries[..got] {
                // SAFETY: just filled; valid until the next call.
                unsafe { see(bytes(&entry.key), bytes(&entry.value)) };
            }
            if got < MANY {
                break;
            }
        }
        // SAFETY: opened above.
        unsafe { (self.lib.kv_cursor_close)(cursor) };
    }

    #[inline]
    fn seek(&mut self, from: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        let (lib, cursor) = (self.lib, self.cursor());
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        // SAFETY: a cursor, a key, slices to be filled.
        let mut status = unsafe {
            (lib.kv_cursor_seek)(
                cursor,
                from.as_ptr().cast(),
                from.len(),
                KV_SEEK_GE,
                &mut key,
                &mut value,
            )
        };
        for i in 0..n {
            if !found(lib, status) {
                break;
            }
            // SAFETY: just filled; valid until the next call.
            unsafe { see(bytes(&key), bytes(&value)) };
            if i + 1 < n {
                // SAFETY: as above.
                status = unsafe { (lib.kv_cursor_next)(cursor, &mut key, &mut value) };
            }
        }
    }

    fn length(&mut self) -> u64 {
        let mut entries = 0;
        // SAFETY: a transaction, a number to be filled.
        ok(self.lib, unsafe {
            (self.lib.kv_count)(self.txn, MAIN, null(), &mut entries)
        });
        entries
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        // SAFETY: a transaction, a range, a number to be filled.
        ok(self.lib, unsafe {
            (self.lib.kv_count)(self.txn, MAIN, &range(from, to), &mut entries)
        });
        entries
    }
}

impl KvWrite {
    #[inline]
    fn store(&mut self, key: &[u8], value: &[u8], flags: u32) {
        // SAFETY: a transaction, a key, a value.
        let status = unsafe {
            (self.lib.kv_put)(
                self.txn,
                MAIN,
                key.as_ptr().cast(),
                key.len(),
                value.as_ptr().cast(),
                value.len(),
                flags,
            )
        };
        ok(self.lib, status);
    }
}

impl Write for KvWrite {
    #[inline]
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        get(self.lib, self.txn, key, see)
    }

    #[inline]
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, 0);
    }

    #[inline]
    fn append(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, KV_APPEND);
    }

    #[inline]
    fn delete(&mut self, key: &[u8]) {
        // SAFETY: a transaction, a key.
        let status = unsafe { (self.lib.kv_delete)(self.txn, MAIN, key.as_ptr().cast(), key.len(), 0) };
        found(self.lib, status);
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        // SAFETY: a transaction, a range.
        ok(self.lib, unsafe {
            (self.lib.kv_delete_range)(self.txn, MAIN, &range(from, to), null_mut())
        });
    }

    #[inline]
    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        let everything = kv_range {
            flags: KV_RANGE_REVERSE,
            reserved: 0,
            from: kv_slice::NONE,
            to: kv_slice::NONE,
            prefix: kv_slice::NONE,
        };
        let range = if last { &raw const everything } else { null() };
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        // SAFETY: a transaction, a range or NULL, slices to be filled.
        if found(self.lib, unsafe {
            (self.lib.kv_take_first)(self.txn, MAIN, range, &mut key, &mut value)
        }) {
            // SAFETY: just filled; valid until the next write.
            unsafe { see(bytes(&key), bytes(&value)) };
        }
    }

    fn retain(&mut self, within: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let (lib, mut cursor) = (self.lib, null_mut());
        let within = within.map(|(from, to)| range(from, to));
        let within = within.as_ref().map_or(null(), |range| &raw const *range);
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        // SAFETY: a transaction, a range or NULL, outputs to be filled, valid until the next call; a cursor on the
        // entry that is deleted, closed at the end.
        unsafe {
            ok(lib, (lib.kv_cursor_open)(self.txn, MAIN, within, &mut cursor));
            while found(lib, (lib.kv_cursor_next)(cursor, &mut key, &mut value)) {
                if !keep(bytes(&key), bytes(&value)) {
                    ok(lib, (lib.kv_cursor_delete)(cursor));
                }
            }
            (lib.kv_cursor_close)(cursor);
        }
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let (lib, mut cursor) = (self.lib, null_mut());
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        // SAFETY: a transaction, outputs to be filled, valid until the next call; a cursor on the entry that is
        // changed, closed at the end.
        unsafe {
            ok(lib, (lib.kv_cursor_open)(self.txn, MAIN, null(), &mut cursor));
            let start = from.as_ptr().cast();
            let mut status = (lib.kv_cursor_seek)(cursor, start, from.len(), KV_SEEK_GE, &mut key, &mut value);
            for i in 1..=n {
                if !found(lib, status) {
                    break;
                }
                let value_now = other(bytes(&key), bytes(&value));
                ok(
                    lib,
                    (lib.kv_cursor_put)(cursor, value_now.as_ptr().cast(), value_now.len()),
                );
                if i < n {
                    status = (lib.kv_cursor_next)(cursor, &mut key, &mut value);
                }
            }
            (lib.kv_cursor_close)(cursor);
        }
    }
}
