//! libmdbx, through `mdbx.h`.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use mdbx_sys::*;
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::{null_mut, NonNull};

/// Address space for the map: more than any data set needs.
const MAP: isize = 64 << 30;

/// An open environment.
pub struct Mdbx {
    env: *mut MDBX_env,
    dbi: MDBX_dbi,
}

// SAFETY: mdbx.h: any thread may use an environment.
unsafe impl Sync for Mdbx {}

/// A thread's access: nothing of its own.
pub struct MdbxSession<'a>(&'a Mdbx);

/// A read transaction, with a cursor once one was needed.
pub struct MdbxRead<'a> {
    txn: *mut MDBX_txn,
    cursor: *mut MDBX_cursor,
    dbi: MDBX_dbi,
    env: PhantomData<&'a Mdbx>,
}

/// A write transaction, with a cursor once one was needed.
pub struct MdbxWrite<'a> {
    txn: *mut MDBX_txn,
    cursor: *mut MDBX_cursor,
    dbi: MDBX_dbi,
    env: PhantomData<&'a Mdbx>,
}

#[cold]
fn failed(code: i32) -> ! {
    // SAFETY: answers a C string for every number.
    let message = unsafe { CStr::from_ptr(mdbx_strerror(code)) };
    panic!("libmdbx: {code}: {}", message.to_string_lossy());
}

#[inline]
fn ok(code: i32) {
    if code != MDBX_SUCCESS {
        failed(code);
    }
}

/// True: found.
#[inline]
fn found(code: i32) -> bool {
    if code == MDBX_SUCCESS {
        return true;
    }
    if code != MDBX_NOTFOUND {
        failed(code);
    }
    false
}

#[inline]
fn val(bytes: &[u8]) -> MDBX_val {
    MDBX_val {
        iov_len: bytes.len(),
        iov_base: bytes.as_ptr().cast_mut().cast(),
    }
}

const NONE: MDBX_val = MDBX_val {
    iov_len: 0,
    iov_base: null_mut(),
};

/// Bytes the library returned.
///
/// # Safety
/// Filled by the library, and valid as long as `'a`.
#[inline]
unsafe fn bytes<'a>(val: &MDBX_val) -> &'a [u8] {
    let data = NonNull::new(val.iov_base.cast::<u8>()).unwrap_or(NonNull::dangling());
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(data.as_ptr(), val.iov_len) }
}

fn begin(env: *mut MDBX_env, flags: MDBX_txn_flags) -> *mut MDBX_txn {
    let mut txn = null_mut();
    // SAFETY: an open environment, an output to be filled.
    ok(unsafe { mdbx_txn_begin_ex(env, null_mut(), flags, &mut txn, null_mut()) });
    txn
}

/// A lookup in a transaction of either kind.
#[inline]
fn get<T>(txn: *mut MDBX_txn, dbi: MDBX_dbi, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let (key, mut value) = (val(key), NONE);
    // SAFETY: a transaction, a key, a value to be filled.
    let code = unsafe { mdbx_get(txn, dbi, &key, &mut value) };
    // SAFETY: just filled; valid until the transaction ends or writes.
    see(found(code).then(|| unsafe { bytes(&value) }))
}

/// Tells the library to keep its notes to itself: they would be among the results.
pub fn quiet() {
    // SAFETY: a level, no flags to change, no function.
    unsafe { mdbx_setup_debug(MDBX_LOG_FATAL, MDBX_DBG_DONTCHANGE, None) };
}

impl Store for Mdbx {
    const NAME: &'static str = "mdbx";
    const SETTINGS: &'static str = "default flags (MDBX_NORDAHEAD where data exceed memory), default geometry but for \
        the upper bound; durable: the default; lazy: MDBX_TXN_NOSYNC";
    type Session<'a> = MdbxSession<'a>;

    fn version() -> String {
        // SAFETY: a static struct of the library.
        let version = unsafe { &mdbx_version };
        format!("libmdbx {}.{}.{}", version.major, version.minor, version.patch)
    }

    fn open(dir: &Path, settings: &Settings) -> Mdbx {
        let path = CString::new(dir.join("data.mdbx").as_os_str().as_encoded_bytes()).expect("a path");
        let (mut env, mut dbi) = (null_mut(), 0);
        let flags = MDBX_NOSUBDIR | if settings.limited { MDBX_NORDAHEAD } else { 0 };
        // SAFETY: the calls in the order that mdbx.h asks for, with outputs to be filled.
        unsafe {
            ok(mdbx_env_create(&mut env));
            ok(mdbx_env_set_geometry(env, -1, -1, MAP, -1, -1, -1));
            ok(mdbx_env_open(env, path.as_ptr(), flags, 0o644));
            let txn = begin(env, MDBX_TXN_READWRITE);
            ok(mdbx_dbi_open(txn, std::ptr::null(), MDBX_DB_DEFAULTS, &mut dbi));
            ok(mdbx_txn_commit_ex(txn, null_mut()));
        }
        Mdbx { env, dbi }
    }

    fn session(&self) -> MdbxSession<'_> {
        MdbxSession(self)
    }
}

impl MdbxSession<'_> {
    #[inline]
    fn begin(&self) -> MdbxRead<'_> {
        MdbxRead {
            txn: begin(self.0.env, MDBX_TXN_RDONLY),
            cursor: null_mut(),
            dbi: self.0.dbi,
            env: PhantomData,
        }
    }
}

impl Session for MdbxSession<'_> {
    type Read<'a>
        = MdbxRead<'a>
    where
        Self: 'a;
    type Write<'a>
        = MdbxWrite<'a>
    where
        Self: 'a;

    #[inline]
    fn read<T>(&mut self, work: impl FnOnce(&mut MdbxRead<'_>) -> T) -> T {
        work(&mut self.begin())
    }

    #[inline]
    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut MdbxWrite<'_>) -> T) -> T {
        let flags = if durable { MDBX_TXN_READWRITE } else { MDBX_TXN_NOSYNC };
        let txn = begin(self.0.env, flags);
        let mut write = MdbxWrite {
            txn,
            cursor: null_mut(),
            dbi: self.0.dbi,
            env: PhantomData,
        };
        let done = work(&mut write);
        write.commit();
        done
    }

    fn renewed<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>, see: &mut impl FnMut(Option<&[u8]>)) {
        let read = self.begin();
        for key in keys {
            // SAFETY: a read transaction.
            unsafe {
                ok(mdbx_txn_reset(read.txn));
                ok(mdbx_txn_renew(read.txn));
            }
            get(read.txn, read.dbi, key, &mut *see);
        }
    }
}

impl Drop for Mdbx {
    fn drop(&mut self) {
        // SAFETY: an open environment; its transactions borrow it and are gone.
        unsafe { mdbx_env_close_ex(self.env, false) };
    }
}

impl Drop for MdbxRead<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a cursor of this transaction, then the transaction.
        unsafe {
            if !self.cursor.is_null() {
                mdbx_cursor_close(self.cursor);
            }
            mdbx_txn_abort_ex(self.txn, null_mut());
        }
    }
}

impl Drop for MdbxWrite<'_> {
    fn drop(&mut self) {
        if !self.txn.is_null() {
            self.close_cursor();
            // SAFETY: a transaction that was not committed.
            unsafe { mdbx_txn_abort_ex(self.txn, null_mut()) };
        }
    }
}

impl MdbxRead<'_> {
    fn cursor(&mut self) -> *mut MDBX_cursor {
        if self.cursor.is_null() {
            // SAFETY: a transaction, an output to be filled.
            ok(unsafe { mdbx_cursor_open(self.txn, self.dbi, &mut self.cursor) });
        }
        self.cursor
    }

    #[inline]
    fn walk(&mut self, mut key: MDBX_val, ops: (u32, u32), n: usize, mut see: impl FnMut(&[u8], &MDBX_val) -> bool) {
        let cursor = self.cursor();
        let mut value = NONE;
        let (mut op, next) = ops;
        for _ in 0..n {
            // SAFETY: a cursor, a key to read or fill, a value to fill.
            if !found(unsafe { mdbx_cursor_get(cursor, &mut key, &mut value, op) }) {
                break;
            }
            // SAFETY: just filled; valid until the transaction ends.
            if !see(unsafe { bytes(&key) }, &value) {
                break;
            }
            op = next;
        }
    }
}

impl Read for MdbxRead<'_> {
    #[inline]
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        get(self.txn, self.dbi, key, see)
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let ops = if way.backward {
            (MDBX_LAST, MDBX_PREV)
        } else {
            (MDBX_FIRST, MDBX_NEXT)
        };
        self.walk(NONE, ops, usize::MAX, |key, value| {
            // SAFETY: just filled; valid until the transaction ends.
            see(key, if way.keys_only { &[] } else { unsafe { bytes(value) } });
            true
        });
    }

    fn scan_many(&mut self, see: &mut impl FnMut(&[u8], &[u8])) {
        let cursor = self.cursor();
        let (mut items, mut op) = ([NONE; 512], MDBX_FIRST);
        loop {
            let mut count = 0;
            // SAFETY: a cursor, as much room as said.
            let code = unsafe { mdbx_cursor_get_batch(cursor, &mut count, items.as_mut_ptr(), items.len(), op) };
            if code != MDBX_RESULT_TRUE && code != MDBX_ENODATA && !found(code) {
                break;
            }
            for entry in items[..count].chunks_exact(2) {
                // SAFETY: just filled; valid until the transaction ends.
                unsafe { see(bytes(&entry[0]), bytes(&entry[1])) };
            }
            if code != MDBX_SUCCESS {
                break;
            }
            op = MDBX_NEXT;
        }
    }

    #[inline]
    fn seek(&mut self, from: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        self.walk(val(from), (MDBX_SET_RANGE, MDBX_NEXT), n, |key, value| {
            // SAFETY: just filled; valid until the transaction ends.
            see(key, unsafe { bytes(value) });
            true
        });
    }

    fn length(&mut self) -> u64 {
        // SAFETY: numbers only; a transaction, a struct to be filled, its size.
        let stat = unsafe {
            let mut stat: MDBX_stat = std::mem::zeroed();
            ok(mdbx_dbi_stat(self.txn, self.dbi, &mut stat, size_of::<MDBX_stat>()));
            stat
        };
        stat.ms_entries
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        self.walk(val(from), (MDBX_SET_RANGE, MDBX_NEXT), usize::MAX, |key, _| {
            entries += u64::from(key < to);
            key < to
        });
        entries
    }
}

impl MdbxWrite<'_> {
    #[inline]
    fn store(&mut self, key: &[u8], value: &[u8], flags: MDBX_put_flags) {
        let (key, mut value) = (val(key), val(value));
        // SAFETY: a transaction, a key, a value.
        ok(unsafe { mdbx_put(self.txn, self.dbi, &key, &mut value, flags) });
    }

    fn cursor(&mut self) -> *mut MDBX_cursor {
        if self.cursor.is_null() {
            // SAFETY: a transaction, an output to be filled.
            ok(unsafe { mdbx_cursor_open(self.txn, self.dbi, &mut self.cursor) });
        }
        self.cursor
    }

    fn close_cursor(&mut self) {
        let cursor = std::mem::replace(&mut self.cursor, null_mut());
        if !cursor.is_null() {
            // SAFETY: a cursor of this transaction, which is open.
            unsafe { mdbx_cursor_close(cursor) };
        }
    }

    fn commit(&mut self) {
        self.close_cursor();
        let txn = std::mem::replace(&mut self.txn, null_mut());
        // SAFETY: a transaction, ended whatever is answered.
        ok(unsafe { mdbx_txn_commit_ex(txn, null_mut()) });
    }
}

impl Write for MdbxWrite<'_> {
    #[inline]
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        get(self.txn, self.dbi, key, see)
    }

    #[inline]
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, 0);
    }

    #[inline]
    fn append(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, MDBX_APPEND);
    }

    #[inline]
    fn delete(&mut self, key: &[u8]) {
        let key = val(key);
        // SAFETY: a transaction, a key; no data is named.
        found(unsafe { mdbx_del(self.txn, self.dbi, &key, null_mut()) });
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        let (mut removed, mut cursors) = (0, [null_mut(); 2]);
        // SAFETY: a transaction, outputs to be filled, cursors that are closed.
        unsafe {
            let place = |cursor: &mut *mut MDBX_cursor, bytes| {
                let (mut key, mut value) = (val(bytes), NONE);
                ok(mdbx_cursor_open(self.txn, self.dbi, cursor));
                let there = found(mdbx_cursor_get(*cursor, &mut key, &mut value, MDBX_SET_RANGE));
                there || !found(mdbx_cursor_get(*cursor, &mut key, &mut value, MDBX_LAST))
            };
            let [first, last] = &mut cursors;
            place(first, from);
            let within = place(last, to);
            ok(mdbx_cursor_delete_range(*first, *last, !within, &mut removed));
            cursors.into_iter().for_each(|cursor| mdbx_cursor_close(cursor));
        }
    }

    #[inline]
    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        let (cursor, op) = (self.cursor(), if last { MDBX_LAST } else { MDBX_FIRST });
        let (mut key, mut value) = (NONE, NONE);
        // SAFETY: a cursor, outputs to be filled, valid until the deletion.
        unsafe {
            if found(mdbx_cursor_get(cursor, &mut key, &mut value, op)) {
                see(bytes(&key), bytes(&value));
                ok(mdbx_cursor_del(cursor, 0));
            }
        }
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let cursor = self.cursor();
        let (mut key, mut value) = (range.map_or(NONE, |(from, _)| val(from)), NONE);
        let mut op = if range.is_some() { MDBX_SET_RANGE } else { MDBX_FIRST };
        // SAFETY: a cursor, outputs to be filled, valid until the deletion, after which MDBX_NEXT answers the entry
        // that took its place.
        unsafe {
            while found(mdbx_cursor_get(cursor, &mut key, &mut value, op)) {
                if range.is_some_and(|(_, to)| bytes(&key) >= to) {
                    break;
                }
                if !keep(bytes(&key), bytes(&value)) {
                    ok(mdbx_cursor_del(cursor, 0));
                }
                op = MDBX_NEXT;
            }
        }
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let (cursor, mut key, mut value, mut op) = (self.cursor(), val(from), NONE, MDBX_SET_RANGE);
        // SAFETY: a cursor, outputs to be filled, valid until the put.
        unsafe {
            for _ in 0..n {
                if !found(mdbx_cursor_get(cursor, &mut key, &mut value, op)) {
                    break;
                }
                value = val(other(bytes(&key), bytes(&value)));
                ok(mdbx_cursor_put(cursor, &key, &mut value, MDBX_CURRENT));
                op = MDBX_NEXT;
            }
        }
    }
}
