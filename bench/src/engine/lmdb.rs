//! LMDB, through `lmdb.h`. Default flags: a commit is durable when it returns.

use crate::driver::{Read, Session, Settings, Store, Taken, Tells, Way, Write};
use lmdb_master_sys::{
    mdb_cursor_close, mdb_cursor_del, mdb_cursor_get, mdb_cursor_open, mdb_cursor_put, mdb_dbi_open, mdb_del,
    mdb_env_close, mdb_env_create, mdb_env_info, mdb_env_open, mdb_env_set_flags, mdb_env_set_mapsize, mdb_get,
    mdb_put, mdb_stat, mdb_strerror, mdb_txn_abort, mdb_txn_begin, mdb_txn_commit, mdb_txn_renew, mdb_txn_reset,
    mdb_version, MDB_cursor, MDB_dbi, MDB_env, MDB_envinfo, MDB_stat, MDB_txn, MDB_val, MDB_APPEND, MDB_CURRENT,
    MDB_FIRST, MDB_LAST, MDB_NEXT, MDB_NORDAHEAD, MDB_NOSUBDIR, MDB_NOSYNC, MDB_NOTFOUND, MDB_PREV, MDB_RDONLY,
    MDB_SET_RANGE, MDB_SUCCESS,
};
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::{null_mut, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};

/// Address space for the map: more than any data set needs.
const MAP: usize = 64 << 30;

/// An open environment.
pub struct Lmdb {
    env: *mut MDB_env,
    dbi: MDB_dbi,
    /// Whether commits are durable now: a flag of the environment, not of a transaction.
    durable: AtomicBool,
}

// SAFETY: lmdb.h: any thread may use an environment.
unsafe impl Sync for Lmdb {}

/// A thread's access: nothing of its own.
pub struct LmdbSession<'a>(&'a Lmdb);

/// A read transaction, with a cursor once one was needed.
pub struct LmdbRead<'a> {
    txn: *mut MDB_txn,
    cursor: *mut MDB_cursor,
    dbi: MDB_dbi,
    env: PhantomData<&'a Lmdb>,
}

/// A write transaction, with a cursor once one was needed.
pub struct LmdbWrite<'a> {
    txn: *mut MDB_txn,
    cursor: *mut MDB_cursor,
    dbi: MDB_dbi,
    env: PhantomData<&'a Lmdb>,
}

#[cold]
fn failed(code: i32) -> ! {
    // SAFETY: answers a C string for every number.
    let message = unsafe { CStr::from_ptr(mdb_strerror(code)) };
    panic!("LMDB: {code}: {}", message.to_string_lossy());
}

#[inline]
fn ok(code: i32) {
    if code != MDB_SUCCESS {
        failed(code);
    }
}

/// True: found.
#[inline]
fn found(code: i32) -> bool {
    if code == MDB_SUCCESS {
        return true;
    }
    if code != MDB_NOTFOUND {
        failed(code);
    }
    false
}

#[inline]
fn val(bytes: &[u8]) -> MDB_val {
    MDB_val {
        mv_size: bytes.len(),
        mv_data: bytes.as_ptr().cast_mut().cast(),
    }
}

const NONE: MDB_val = MDB_val {
    mv_size: 0,
    mv_data: null_mut(),
};

/// Bytes the library returned.
///
/// # Safety
/// Filled by the library, and valid as long as `'a`.
#[inline]
unsafe fn bytes<'a>(val: &MDB_val) -> &'a [u8] {
    let data = NonNull::new(val.mv_data.cast::<u8>()).unwrap_or(NonNull::dangling());
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(data.as_ptr(), val.mv_size) }
}

/// A lookup in a transaction of either kind.
#[inline]
fn get<T>(txn: *mut MDB_txn, dbi: MDB_dbi, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let (mut key, mut value) = (val(key), NONE);
    // SAFETY: a transaction, a key, a value to be filled.
    let code = unsafe { mdb_get(txn, dbi, &mut key, &mut value) };
    // SAFETY: just filled; valid until the transaction ends or writes.
    see(found(code).then(|| unsafe { bytes(&value) }))
}

impl Store for Lmdb {
    const NAME: &'static str = "lmdb";
    const SETTINGS: &'static str = "default flags (MDB_NORDAHEAD where data exceed memory), mdb_env_set_mapsize, -O2 \
        -DNDEBUG; durable: the default; lazy: MDB_NOSYNC, which does not promise a whole database after a power cut";
    type Session<'a> = LmdbSession<'a>;

    fn version() -> String {
        // SAFETY: answers a static C string.
        unsafe { CStr::from_ptr(mdb_version(null_mut(), null_mut(), null_mut())) }
            .to_string_lossy()
            .into_owned()
    }

    fn open(dir: &Path, settings: &Settings) -> Lmdb {
        let path = CString::new(dir.join("data.mdb").as_os_str().as_encoded_bytes()).expect("a path");
        let (mut env, mut txn, mut dbi) = (null_mut(), null_mut(), 0);
        let flags = MDB_NOSUBDIR | if settings.limited { MDB_NORDAHEAD } else { 0 };
        // SAFETY: the calls in the order that lmdb.h asks for, with outputs to be filled.
        unsafe {
            ok(mdb_env_create(&mut env));
            ok(mdb_env_set_mapsize(env, MAP));
            ok(mdb_env_open(env, path.as_ptr(), flags, 0o644));
            ok(mdb_txn_begin(env, null_mut(), 0, &mut txn));
            ok(mdb_dbi_open(txn, std::ptr::null(), 0, &mut dbi));
            ok(mdb_txn_commit(txn));
        }
        Lmdb {
            env,
            dbi,
            durable: AtomicBool::new(true),
        }
    }

    fn session(&self) -> LmdbSession<'_> {
        LmdbSession(self)
    }
}

impl LmdbSession<'_> {
    #[inline]
    fn begin(&self) -> LmdbRead<'_> {
        let mut txn = null_mut();
        // SAFETY: an open environment, an output to be filled.
        ok(unsafe { mdb_txn_begin(self.0.env, null_mut(), MDB_RDONLY, &mut txn) });
        LmdbRead {
            txn,
            cursor: null_mut(),
            dbi: self.0.dbi,
            env: PhantomData,
        }
    }
}

impl Session for LmdbSession<'_> {
    type Read<'a>
        = LmdbRead<'a>
    where
        Self: 'a;
    type Write<'a>
        = LmdbWrite<'a>
    where
        Self: 'a;

    #[inline]
    fn read<T>(&mut self, work: impl FnOnce(&mut LmdbRead<'_>) -> T) -> T {
        work(&mut self.begin())
    }

    #[inline]
    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut LmdbWrite<'_>) -> T) -> T {
        let mut txn = null_mut();
        // SAFETY: an open environment, an output to be filled.
        ok(unsafe { mdb_txn_begin(self.0.env, null_mut(), 0, &mut txn) });
        if self.0.durable.swap(durable, Ordering::Relaxed) != durable {
            // SAFETY: an open environment; nobody else writes while this transaction is open.
            ok(unsafe { mdb_env_set_flags(self.0.env, MDB_NOSYNC, i32::from(!durable)) });
        }
        let mut write = LmdbWrite {
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
                mdb_txn_reset(read.txn);
                ok(mdb_txn_renew(read.txn));
            }
            get(read.txn, read.dbi, key, &mut *see);
        }
    }
}

impl Tells for Lmdb {
    fn taken(&self) -> Taken {
        let mut info = std::mem::MaybeUninit::<MDB_envinfo>::zeroed();
        let (mut pages, mut size) = (2, 0);
        let session = self.session();
        let read = session.begin();
        // SAFETY: an open environment and a read transaction, outputs to be filled. Database 0 is that of free pages.
        let last = unsafe {
            ok(mdb_env_info(self.env, info.as_mut_ptr()));
            for dbi in [0, self.dbi] {
                let mut stat = std::mem::MaybeUninit::<MDB_stat>::zeroed();
                ok(mdb_stat(read.txn, dbi, stat.as_mut_ptr()));
                let stat = stat.assume_init();
                pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
                size = u64::from(stat.ms_psize);
            }
            info.assume_init().me_last_pgno
        };
        Taken {
            in_use: pages as u64 * size,
            file: (last as u64 + 1) * size,
        }
    }
}

impl Drop for Lmdb {
    fn drop(&mut self) {
        // SAFETY: an open environment; its transactions borrow it and are gone.
        unsafe { mdb_env_close(self.env) };
    }
}

impl Drop for LmdbRead<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: a cursor of this transaction, then the transaction.
        unsafe {
            if !self.cursor.is_null() {
                mdb_cursor_close(self.cursor);
            }
            mdb_txn_abort(self.txn);
        }
    }
}

impl Drop for LmdbWrite<'_> {
    fn drop(&mut self) {
        if !self.txn.is_null() {
            self.close_cursor();
            // SAFETY: a transaction that was not committed.
            unsafe { mdb_txn_abort(self.txn) };
        }
    }
}

impl LmdbRead<'_> {
    #[inline]
    fn walk(&mut self, mut key: MDB_val, ops: (u32, u32), n: usize, mut see: impl FnMut(&[u8], &MDB_val) -> bool) {
        if self.cursor.is_null() {
            // SAFETY: a transaction, an output to be filled.
            ok(unsafe { mdb_cursor_open(self.txn, self.dbi, &mut self.cursor) });
        }
        let mut value = NONE;
        let (mut op, next) = ops;
        for _ in 0..n {
            // SAFETY: a cursor, a key to read or fill, a value to fill.
            if !found(unsafe { mdb_cursor_get(self.cursor, &mut key, &mut value, op) }) {
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

impl Read for LmdbRead<'_> {
    #[inline]
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        get(self.txn, self.dbi, key, see)
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let ops = if way.backward {
            (MDB_LAST, MDB_PREV)
        } else {
            (MDB_FIRST, MDB_NEXT)
        };
        self.walk(NONE, ops, usize::MAX, |key, value| {
            // SAFETY: just filled; valid until the transaction ends.
            see(key, if way.keys_only { &[] } else { unsafe { bytes(value) } });
            true
        });
    }

    #[inline]
    fn seek(&mut self, from: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        self.walk(val(from), (MDB_SET_RANGE, MDB_NEXT), n, |key, value| {
            // SAFETY: just filled; valid until the transaction ends.
            see(key, unsafe { bytes(value) });
            true
        });
    }

    fn length(&mut self) -> u64 {
        let mut stat = MDB_stat {
            ms_psize: 0,
            ms_depth: 0,
            ms_branch_pages: 0,
            ms_leaf_pages: 0,
            ms_overflow_pages: 0,
            ms_entries: 0,
        };
        // SAFETY: a transaction, a struct to be filled.
        ok(unsafe { mdb_stat(self.txn, self.dbi, &mut stat) });
        stat.ms_entries as u64
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        self.walk(val(from), (MDB_SET_RANGE, MDB_NEXT), usize::MAX, |key, _| {
            entries += u64::from(key < to);
            key < to
        });
        entries
    }
}

impl LmdbWrite<'_> {
    #[inline]
    fn store(&mut self, key: &[u8], value: &[u8], flags: u32) {
        let (mut key, mut value) = (val(key), val(value));
        // SAFETY: a transaction, a key, a value.
        ok(unsafe { mdb_put(self.txn, self.dbi, &mut key, &mut value, flags) });
    }

    fn cursor(&mut self) -> *mut MDB_cursor {
        if self.cursor.is_null() {
            // SAFETY: a transaction, an output to be filled.
            ok(unsafe { mdb_cursor_open(self.txn, self.dbi, &mut self.cursor) });
        }
        self.cursor
    }

    fn close_cursor(&mut self) {
        let cursor = std::mem::replace(&mut self.cursor, null_mut());
        if !cursor.is_null() {
            // SAFETY: a cursor of this transaction, which is open.
            unsafe { mdb_cursor_close(cursor) };
        }
    }

    fn commit(&mut self) {
        self.close_cursor();
        let txn = std::mem::replace(&mut self.txn, null_mut());
        // SAFETY: a transaction, ended whatever is answered.
        ok(unsafe { mdb_txn_commit(txn) });
    }
}

impl Write for LmdbWrite<'_> {
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
        self.store(key, value, MDB_APPEND);
    }

    #[inline]
    fn delete(&mut self, key: &[u8]) {
        let mut key = val(key);
        // SAFETY: a transaction, a key; no data is named.
        found(unsafe { mdb_del(self.txn, self.dbi, &mut key, null_mut()) });
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        let (mut key, mut value, mut cursor) = (val(from), NONE, null_mut());
        // SAFETY: a transaction, outputs to be filled; a key is valid until the deletion, and after one MDB_NEXT
        // answers the entry that took its place.
        unsafe {
            ok(mdb_cursor_open(self.txn, self.dbi, &mut cursor));
            let mut op = MDB_SET_RANGE;
            while found(mdb_cursor_get(cursor, &mut key, &mut value, op)) && bytes(&key) < to {
                ok(mdb_cursor_del(cursor, 0));
                op = MDB_NEXT;
            }
            mdb_cursor_close(cursor);
        }
    }

    #[inline]
    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        let (cursor, op) = (self.cursor(), if last { MDB_LAST } else { MDB_FIRST });
        let (mut key, mut value) = (NONE, NONE);
        // SAFETY: a cursor, outputs to be filled, valid until the deletion.
        unsafe {
            if found(mdb_cursor_get(cursor, &mut key, &mut value, op)) {
                see(bytes(&key), bytes(&value));
                ok(mdb_cursor_del(cursor, 0));
            }
        }
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let cursor = self.cursor();
        let (mut key, mut value) = (range.map_or(NONE, |(from, _)| val(from)), NONE);
        let mut op = if range.is_some() { MDB_SET_RANGE } else { MDB_FIRST };
        // SAFETY: a cursor, outputs to be filled, valid until the deletion, after which MDB_NEXT answers the entry that
        // took its place.
        unsafe {
            while found(mdb_cursor_get(cursor, &mut key, &mut value, op)) {
                if range.is_some_and(|(_, to)| bytes(&key) >= to) {
                    break;
                }
                if !keep(bytes(&key), bytes(&value)) {
                    ok(mdb_cursor_del(cursor, 0));
                }
                op = MDB_NEXT;
            }
        }
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let (cursor, mut key, mut value, mut op) = (self.cursor(), val(from), NONE, MDB_SET_RANGE);
        // SAFETY: a cursor, outputs to be filled, valid until the put.
        unsafe {
            for _ in 0..n {
                if !found(mdb_cursor_get(cursor, &mut key, &mut value, op)) {
                    break;
                }
                value = val(other(bytes(&key), bytes(&value)));
                ok(mdb_cursor_put(cursor, &mut key, &mut value, MDB_CURRENT));
                op = MDB_NEXT;
            }
        }
    }
}
