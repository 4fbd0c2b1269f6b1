//! libkv, through `kv.h`.

use crate::abi::{
    kv_entry, kv_options, kv_slice, library, Handle, Library, KV_APPEND, KV_DURABILITY_FULL, KV_READ, KV_WRITE,
};
use crate::driver::{Read, Store, Write};
use std::ffi::{CStr, CString};
use std::path::Path;
use std::ptr::{null, null_mut};

const MAIN: u64 = 0;
const NOTFOUND: i32 = -1;
const SEEK_GE: u32 = 1;
/// Entries per call of `kv_cursor_next_many`.
const MANY: usize = 256;

/// An open database.
pub struct Kv {
    lib: &'static Library,
    db: Handle,
}

/// A read transaction with a cursor.
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

impl Store for Kv {
    const NAME: &'static str = "libkv";
    type Read<'a> = KvRead;
    type Write<'a> = KvWrite;

    fn create(dir: &Path) -> Kv {
        let lib = library();
        let path = CString::new(dir.join("data.kv").as_os_str().as_encoded_bytes()).expect("a path");
        let options = kv_options {
            struct_size: size_of::<kv_options>() as u32,
            flags: 0,
            page_size: 0,
            durability: KV_DURABILITY_FULL,
            verify: 0,
            reserved: 0,
            wait_ms: 0,
            write_memory: 0,
        };
        let mut db = null_mut();
        // SAFETY: a C string, options, and a handle to be filled.
        ok(lib, unsafe { (lib.kv_open)(path.as_ptr(), &options, &mut db) });
        Kv { lib, db }
    }

    fn version() -> String {
        // SAFETY: a static C string.
        unsafe { CStr::from_ptr((library().kv_version)()) }
            .to_string_lossy()
            .into_owned()
    }

    fn read(&self) -> KvRead {
        let (lib, mut txn, mut cursor) = (self.lib, null_mut(), null_mut());
        // SAFETY: an open database, handles to be filled.
        unsafe {
            ok(lib, (lib.kv_txn_begin)(self.db, KV_READ, null(), &mut txn));
            ok(lib, (lib.kv_cursor_open)(txn, MAIN, null(), &mut cursor));
        }
        KvRead { lib, txn, cursor }
    }

    fn write(&self) -> KvWrite {
        let (lib, mut txn) = (self.lib, null_mut());
        // SAFETY: an open database, a handle to be filled.
        ok(lib, unsafe { (lib.kv_txn_begin)(self.db, KV_WRITE, null(), &mut txn) });
        KvWrite { lib, txn }
    }
}

impl Drop for Kv {
    fn drop(&mut self) {
        // SAFETY: an open database.
        ok(self.lib, unsafe { (self.lib.kv_close)(self.db) });
    }
}

impl Drop for KvRead {
    fn drop(&mut self) {
        // SAFETY: handles of the library, in the order of their making.
        unsafe {
            (self.lib.kv_cursor_close)(self.cursor);
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

impl Read for KvRead {
    #[inline]
    fn get(&mut self, key: &[u8]) -> Option<&[u8]> {
        let mut value = kv_slice::NONE;
        // SAFETY: a transaction, a key, a slice to be filled.
        let status = unsafe { (self.lib.kv_get)(self.txn, MAIN, key.as_ptr().cast(), key.len(), &mut value) };
        // SAFETY: just filled; valid until the transaction ends.
        found(self.lib, status).then(|| unsafe { bytes(&value) })
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

    fn scan(&mut self, see: &mut impl FnMut(&[u8], &[u8])) {
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        // SAFETY: a cursor, slices to be filled.
        let mut status = unsafe { (self.lib.kv_cursor_first)(self.cursor, &mut key, &mut value) };
        while found(self.lib, status) {
            // SAFETY: just filled; valid until the next call.
            unsafe { see(bytes(&key), bytes(&value)) };
            // SAFETY: as above.
            status = unsafe { (self.lib.kv_cursor_next)(self.cursor, &mut key, &mut value) };
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
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        // SAFETY: a cursor, a key, slices to be filled.
        let mut status = unsafe {
            (self.lib.kv_cursor_seek)(
                self.cursor,
                from.as_ptr().cast(),
                from.len(),
                SEEK_GE,
                &mut key,
                &mut value,
            )
        };
        for i in 0..n {
            if !found(self.lib, status) {
                break;
            }
            // SAFETY: just filled; valid until the next call.
            unsafe { see(bytes(&key), bytes(&value)) };
            if i + 1 < n {
                // SAFETY: as above.
                status = unsafe { (self.lib.kv_cursor_next)(self.cursor, &mut key, &mut value) };
            }
        }
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
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, 0);
    }

    #[inline]
    fn append(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, KV_APPEND);
    }

    #[inline]
    fn delete(&mut self, key: &[u8]) -> bool {
        // SAFETY: a transaction, a key.
        let status = unsafe { (self.lib.kv_delete)(self.txn, MAIN, key.as_ptr().cast(), key.len(), 0) };
        found(self.lib, status)
    }

    fn commit(self) {
        // SAFETY: a transaction; released whatever is answered, and aborting it again does nothing.
        ok(self.lib, unsafe { (self.lib.kv_txn_commit)(self.txn, null_mut()) });
    }
}
