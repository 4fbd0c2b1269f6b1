//! Berkeley DB, through `bdb.c` beside the sources, which the Makefile compiles where its header is.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use crate::engine::dynamic::functions;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::path::Path;
use std::ptr::{null, null_mut};

type Object = *mut c_void;
type Bytes = *const c_void;

functions! {
    &[concat!(env!("CARGO_MANIFEST_DIR"), "/target/libbench-bdb.so")];
    fn bench_bdb_version() -> *const c_char;
    fn bench_bdb_error(c_int) -> *const c_char;
    fn bench_bdb_open(*const c_char, u64, *mut Object) -> c_int;
    fn bench_bdb_checkpoint(Object) -> c_int;
    fn bench_bdb_close(Object) -> c_int;
    fn bench_bdb_session(Object) -> Object;
    fn bench_bdb_session_close(Object);
    fn bench_bdb_begin(Object, c_int) -> c_int;
    fn bench_bdb_end(Object, c_int) -> c_int;
    fn bench_bdb_get(Object, Bytes, usize, c_int, *mut Bytes, *mut usize) -> c_int;
    fn bench_bdb_put(Object, Bytes, usize, Bytes, usize) -> c_int;
    fn bench_bdb_delete(Object, Bytes, usize) -> c_int;
    fn bench_bdb_move(Object, c_int, c_int, Bytes, usize, *mut Bytes, *mut usize, *mut Bytes, *mut usize) -> c_int;
    fn bench_bdb_delete_here(Object) -> c_int;
    fn bench_bdb_put_here(Object, Bytes, usize) -> c_int;
}

const FIRST: c_int = 0;
const LAST: c_int = 1;
const NEXT: c_int = 2;
const PREVIOUS: c_int = 3;
const FROM: c_int = 4;

/// An open environment with its database.
pub struct Bdb(Object);

// SAFETY: opened with DB_THREAD.
unsafe impl Sync for Bdb {}

/// A thread's transaction.
pub struct BdbSession(Object);

/// A snapshot.
pub struct BdbRead(Object);

/// A write transaction.
pub struct BdbWrite(Object);

/// True: found.
fn found(code: c_int) -> bool {
    if code != 0 && code != 1 {
        // SAFETY: answers a C string for every number.
        let message = unsafe { CStr::from_ptr((lib().bench_bdb_error)(code)) };
        panic!("Berkeley DB: {code}: {}", message.to_string_lossy());
    }
    code == 0
}

/// Bytes in the room of a session.
///
/// # Safety
/// As long as was said, and valid as long as `'a`.
unsafe fn bytes<'a>(data: Bytes, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

fn get<T>(session: Object, key: &[u8], writes: bool, see: impl FnOnce(Option<&[u8]>) -> T) -> T {
    let (mut value, mut len) = (null(), 0);
    // SAFETY: a session in a transaction, a key, outputs to be filled.
    let code = unsafe {
        (lib().bench_bdb_get)(
            session,
            key.as_ptr().cast(),
            key.len(),
            c_int::from(writes),
            &mut value,
            &mut len,
        )
    };
    // SAFETY: just filled; valid until the next call.
    see(found(code).then(|| unsafe { bytes(value, len) }))
}

/// Entries from a place on while `see` says so.
fn walk(session: Object, how: c_int, from: &[u8], way: Way, mut see: impl FnMut(&[u8], &[u8]) -> bool) {
    let (mut key, mut klen, mut value, mut vlen) = (null(), 0, null(), 0);
    let mut how = how;
    loop {
        // SAFETY: a session in a transaction, a key, outputs to be filled.
        let code = unsafe {
            let keys = c_int::from(way.keys_only);
            (lib().bench_bdb_move)(
                session,
                how,
                keys,
                from.as_ptr().cast(),
                from.len(),
                &mut key,
                &mut klen,
                &mut value,
                &mut vlen,
            )
        };
        // SAFETY: just filled; valid until the next call.
        if !found(code) || !unsafe { see(bytes(key, klen), bytes(value, vlen)) } {
            break;
        }
        how = if way.backward { PREVIOUS } else { NEXT };
    }
}

impl Store for Bdb {
    const NAME: &'static str = "bdb";
    const SETTINGS: &'static str = "a transactional environment of the process (DB_PRIVATE, DB_THREAD), 4 KiB pages, \
        DB_MULTIVERSION with DB_TXN_SNAPSHOT for readers, a cache with room for all data and its older versions, a \
        checkpoint after each row that writes; durable: DB_TXN_SYNC; lazy: DB_TXN_WRITE_NOSYNC";
    type Session<'a> = BdbSession;

    fn available() -> Result<(), String> {
        library().map(|_| ())
    }

    fn version() -> String {
        // SAFETY: a static C string.
        unsafe { CStr::from_ptr((lib().bench_bdb_version)()) }
            .to_string_lossy()
            .into_owned()
    }

    fn open(dir: &Path, settings: &Settings) -> Bdb {
        let path = CString::new(dir.as_os_str().as_encoded_bytes()).expect("a path");
        let mut bdb = null_mut();
        let cache = if settings.limited {
            settings.cache
        } else {
            2 * settings.cache
        };
        // SAFETY: a C string, an output to be filled.
        found(unsafe { (lib().bench_bdb_open)(path.as_ptr(), cache, &mut bdb) });
        Bdb(bdb)
    }

    fn session(&self) -> BdbSession {
        // SAFETY: an open environment.
        BdbSession(unsafe { (lib().bench_bdb_session)(self.0) })
    }

    fn finish_background_work(&self) {
        // SAFETY: an open environment.
        found(unsafe { (lib().bench_bdb_checkpoint)(self.0) });
    }
}

impl Drop for Bdb {
    fn drop(&mut self) {
        // SAFETY: an open environment.
        found(unsafe { (lib().bench_bdb_close)(self.0) });
    }
}

impl Drop for BdbSession {
    fn drop(&mut self) {
        // SAFETY: a session that is in no transaction.
        unsafe { (lib().bench_bdb_session_close)(self.0) };
    }
}

impl BdbSession {
    fn begin(&self, writes: bool) {
        // SAFETY: a session that is in no transaction.
        found(unsafe { (lib().bench_bdb_begin)(self.0, c_int::from(writes)) });
    }

    fn end(&self, durable: bool) {
        // SAFETY: a session in a transaction.
        found(unsafe { (lib().bench_bdb_end)(self.0, c_int::from(durable)) });
    }
}

impl Session for BdbSession {
    type Read<'a> = BdbRead;
    type Write<'a> = BdbWrite;

    fn read<T>(&mut self, work: impl FnOnce(&mut BdbRead) -> T) -> T {
        self.begin(false);
        let done = work(&mut BdbRead(self.0));
        self.end(false);
        done
    }

    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut BdbWrite) -> T) -> T {
        self.begin(true);
        let done = work(&mut BdbWrite(self.0));
        self.end(durable);
        done
    }

    fn load_sorted<'k>(&mut self, entries: impl Iterator<Item = (&'k [u8], &'k [u8])>) {
        let mut entries = entries.peekable();
        while entries.peek().is_some() {
            self.begin(true);
            let mut write = BdbWrite(self.0);
            entries
                .by_ref()
                .take(PORTION)
                .for_each(|(key, value)| write.put(key, value));
            // A durable commit makes those before it durable, too.
            self.end(entries.peek().is_none());
        }
    }
}

/// Entries of a portion of a sorted load: every page that a transaction changes is a lock.
const PORTION: usize = 100_000;

impl Read for BdbRead {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        get(self.0, key, false, see)
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let how = if way.backward { LAST } else { FIRST };
        walk(self.0, how, &[], way, |key, value| {
            see(key, value);
            true
        });
    }

    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        let mut left = n;
        walk(self.0, FROM, key, Way::FORWARD, |key, value| {
            see(key, value);
            left -= 1;
            left > 0
        });
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        let way = Way {
            backward: false,
            keys_only: true,
        };
        walk(self.0, FROM, from, way, |key, _| {
            entries += u64::from(key < to);
            key < to
        });
        entries
    }
}

impl Write for BdbWrite {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        get(self.0, key, true, see)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        // SAFETY: a session in a transaction, a key, a value.
        found(unsafe {
            (lib().bench_bdb_put)(
                self.0,
                key.as_ptr().cast(),
                key.len(),
                value.as_ptr().cast(),
                value.len(),
            )
        });
    }

    fn delete(&mut self, key: &[u8]) {
        // SAFETY: a session in a transaction, a key.
        found(unsafe { (lib().bench_bdb_delete)(self.0, key.as_ptr().cast(), key.len()) });
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        let way = Way {
            backward: false,
            keys_only: true,
        };
        walk(self.0, FROM, from, way, |key, _| {
            // SAFETY: a session whose cursor stands on this entry.
            key < to && found(unsafe { (lib().bench_bdb_delete_here)(self.0) })
        });
    }

    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        let (session, mut see) = (self.0, Some(see));
        walk(
            session,
            if last { LAST } else { FIRST },
            &[],
            Way::FORWARD,
            |key, value| {
                if let Some(see) = see.take() {
                    see(key, value);
                }
                // SAFETY: a session whose cursor stands on this entry.
                found(unsafe { (lib().bench_bdb_delete_here)(session) });
                false
            },
        );
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let (how, from, to) = range.map_or((FIRST, &[][..], None), |(from, to)| (FROM, from, Some(to)));
        walk(self.0, how, from, Way::FORWARD, |key, value| {
            let within = to.is_none_or(|to| key < to);
            if within && !keep(key, value) {
                // SAFETY: a session whose cursor stands on this entry.
                found(unsafe { (lib().bench_bdb_delete_here)(self.0) });
            }
            within
        });
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let mut left = n;
        walk(self.0, FROM, from, Way::FORWARD, |key, value| {
            let value = other(key, value);
            // SAFETY: a session whose cursor stands on this entry, a value.
            found(unsafe { (lib().bench_bdb_put_here)(self.0, value.as_ptr().cast(), value.len()) });
            left -= 1;
            left > 0
        });
    }
}
