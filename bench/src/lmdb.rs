//! LMDB, through `lmdb.h`. Default flags: a commit is durable when it returns.

use crate::driver::{Read, Store, Write};
use lmdb_master_sys::{
    mdb_cursor_close, mdb_cursor_get, mdb_cursor_open, mdb_dbi_open, mdb_del, mdb_env_close, mdb_env_create,
    mdb_env_open, mdb_env_set_mapsize, mdb_get, mdb_put, mdb_strerror, mdb_txn_abort, mdb_txn_begin, mdb_txn_commit,
    mdb_version, MDB_cursor, MDB_dbi, MDB_env, MDB_txn, MDB_val, MDB_APPEND, MDB_FIRST, MDB_NEXT, MDB_NOSUBDIR,
    MDB_NOTFOUND, MDB_RDONLY, MDB_SET_RANGE, MDB_SUCCESS,
};
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::path::Path;
use std::ptr::{null_mut, NonNull};

/// Address space for the map: more than any data set needs.
const MAP: usize = 64 << 30;

/// An open environment.
pub struct Lmdb {
    env: *mut MDB_env,
    dbi: MDB_dbi,
}

/// A read transaction with a cursor.
pub struct LmdbRead<'a> {
    txn: *mut MDB_txn,
    cursor: *mut MDB_cursor,
    dbi: MDB_dbi,
    env: PhantomData<&'a Lmdb>,
}

/// A write transaction.
pub struct LmdbWrite<'a> {
    txn: *mut MDB_txn,
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

impl Store for Lmdb {
    const NAME: &'static str = "lmdb";
    type Read<'a> = LmdbRead<'a>;
    type Write<'a> = LmdbWrite<'a>;

    fn create(dir: &Path) -> Lmdb {
        let path = CString::new(dir.join("data.mdb").as_os_str().as_encoded_bytes()).expect("a path");
        let (mut env, mut txn, mut dbi) = (null_mut(), null_mut(), 0);
        // SAFETY: the calls in the order that lmdb.h asks for, with outputs to be filled.
        unsafe {
            ok(mdb_env_create(&mut env));
            ok(mdb_env_set_mapsize(env, MAP));
            ok(mdb_env_open(env, path.as_ptr(), MDB_NOSUBDIR, 0o644));
            ok(mdb_txn_begin(env, null_mut(), 0, &mut txn));
            ok(mdb_dbi_open(txn, std::ptr::null(), 0, &mut dbi));
            ok(mdb_txn_commit(txn));
        }
        Lmdb { env, dbi }
    }

    fn version() -> String {
        // SAFETY: answers a static C string.
        unsafe { CStr::from_ptr(mdb_version(null_mut(), null_mut(), null_mut())) }
            .to_string_lossy()
            .into_owned()
    }

    fn read(&self) -> LmdbRead<'_> {
        let (mut txn, mut cursor) = (null_mut(), null_mut());
        // SAFETY: an open environment, outputs to be filled.
        unsafe {
            ok(mdb_txn_begin(self.env, null_mut(), MDB_RDONLY, &mut txn));
            ok(mdb_cursor_open(txn, self.dbi, &mut cursor));
        }
        LmdbRead {
            txn,
            cursor,
            dbi: self.dbi,
            env: PhantomData,
        }
    }

    fn write(&self) -> LmdbWrite<'_> {
        let mut txn = null_mut();
        // SAFETY: an open environment, an output to be filled.
        ok(unsafe { mdb_txn_begin(self.env, null_mut(), 0, &mut txn) });
        LmdbWrite {
            txn,
            dbi: self.dbi,
            env: PhantomData,
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
    fn drop(&mut self) {
        // SAFETY: a cursor of this transaction, then the transaction.
        unsafe {
            mdb_cursor_close(self.cursor);
            mdb_txn_abort(self.txn);
        }
    }
}

impl Drop for LmdbWrite<'_> {
    fn drop(&mut self) {
        if !self.txn.is_null() {
            // SAFETY: a transaction that was not committed.
            unsafe { mdb_txn_abort(self.txn) };
        }
    }
}

impl LmdbRead<'_> {
    #[inline]
    fn walk(&mut self, mut key: MDB_val, first: u32, n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        let mut value = NONE;
        let mut op = first;
        for _ in 0..n {
            // SAFETY: a cursor, a key to read or fill, a value to fill.
            if !found(unsafe { mdb_cursor_get(self.cursor, &mut key, &mut value, op) }) {
                break;
            }
            // SAFETY: just filled; valid until the transaction ends.
            unsafe { see(bytes(&key), bytes(&value)) };
            op = MDB_NEXT;
        }
    }
}

impl Read for LmdbRead<'_> {
    #[inline]
    fn get(&mut self, key: &[u8]) -> Option<&[u8]> {
        let (mut key, mut value) = (val(key), NONE);
        // SAFETY: a transaction, a key, a value to be filled.
        let code = unsafe { mdb_get(self.txn, self.dbi, &mut key, &mut value) };
        // SAFETY: just filled; valid until the transaction ends.
        found(code).then(|| unsafe { bytes(&value) })
    }

    fn scan(&mut self, see: &mut impl FnMut(&[u8], &[u8])) {
        self.walk(NONE, MDB_FIRST, usize::MAX, see);
    }

    #[inline]
    fn seek(&mut self, from: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        self.walk(val(from), MDB_SET_RANGE, n, see);
    }
}

impl LmdbWrite<'_> {
    #[inline]
    fn store(&mut self, key: &[u8], value: &[u8], flags: u32) {
        let (mut key, mut value) = (val(key), val(value));
        // SAFETY: a transaction, a key, a value.
        ok(unsafe { mdb_put(self.txn, self.dbi, &mut key, &mut value, flags) });
    }
}

impl Write for LmdbWrite<'_> {
    #[inline]
    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, 0);
    }

    #[inline]
    fn append(&mut self, key: &[u8], value: &[u8]) {
        self.store(key, value, MDB_APPEND);
    }

    #[inline]
    fn delete(&mut self, key: &[u8]) -> bool {
        let mut key = val(key);
        // SAFETY: a transaction, a key; no data is named.
        found(unsafe { mdb_del(self.txn, self.dbi, &mut key, null_mut()) })
    }

    fn commit(mut self) {
        let txn = std::mem::replace(&mut self.txn, null_mut());
        // SAFETY: a transaction, ended whatever is answered.
        ok(unsafe { mdb_txn_commit(txn) });
    }
}
