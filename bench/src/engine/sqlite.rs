//! SQLite, through its C interface, from the library of the system.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use crate::engine::dynamic::functions;
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

type Object = *mut c_void;

functions! {
    &["libsqlite3.so.0", "libsqlite3.so"];
    fn sqlite3_libversion() -> *const c_char;
    fn sqlite3_open_v2(*const c_char, *mut Object, c_int, *const c_char) -> c_int;
    fn sqlite3_close(Object) -> c_int;
    fn sqlite3_errmsg(Object) -> *const c_char;
    fn sqlite3_exec(Object, *const c_char, *const c_void, *mut c_void, *mut *mut c_char) -> c_int;
    fn sqlite3_prepare_v3(Object, *const c_char, c_int, u32, *mut Object, *mut *const c_char) -> c_int;
    fn sqlite3_finalize(Object) -> c_int;
    fn sqlite3_bind_blob64(Object, c_int, *const c_void, u64, *const c_void) -> c_int;
    fn sqlite3_step(Object) -> c_int;
    fn sqlite3_reset(Object) -> c_int;
    fn sqlite3_column_blob(Object, c_int) -> *const c_void;
    fn sqlite3_column_bytes(Object, c_int) -> c_int;
    fn sqlite3_column_int64(Object, c_int) -> i64;
}

const OK: c_int = 0;
const ROW: c_int = 100;
const DONE: c_int = 101;
/// Read and write, create, and no mutex: each connection belongs to one thread.
const OPEN: c_int = 2 | 4 | 0x8000;
const PERSISTENT: u32 = 1;

/// Entries of a portion of a walk that changes them: a query that stands on a row may come by it again once it is
/// changed.
const PORTION: usize = 1000;

/// An open database: each thread opens a connection of its own.
pub struct Sqlite {
    path: PathBuf,
    cache: u64,
    /// Bytes of the file that are mapped.
    map: u64,
}

/// The statements, in the order of `TEXTS`.
#[derive(Clone, Copy)]
enum What {
    Begin,
    BeginWrite,
    Commit,
    Get,
    Put,
    Delete,
    DeleteRange,
    Scan,
    ScanKeys,
    ScanBack,
    ScanBackKeys,
    Seek,
    Length,
    Count,
    Range,
    Update,
    TakeFirst,
    TakeLast,
}

const TEXTS: [&CStr; 18] = [
    c"BEGIN",
    c"BEGIN IMMEDIATE",
    c"COMMIT",
    c"SELECT v FROM kv WHERE k = ?1",
    c"INSERT INTO kv (k, v) VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v",
    c"DELETE FROM kv WHERE k = ?1",
    c"DELETE FROM kv WHERE k >= ?1 AND k < ?2",
    c"SELECT k, v FROM kv ORDER BY k",
    c"SELECT k FROM kv ORDER BY k",
    c"SELECT k, v FROM kv ORDER BY k DESC",
    c"SELECT k FROM kv ORDER BY k DESC",
    c"SELECT k, v FROM kv WHERE k >= ?1 ORDER BY k",
    c"SELECT count(*) FROM kv",
    c"SELECT count(*) FROM kv WHERE k >= ?1 AND k < ?2",
    c"SELECT k, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k",
    c"UPDATE kv SET v = ?2 WHERE k = ?1",
    c"DELETE FROM kv WHERE k = (SELECT k FROM kv ORDER BY k LIMIT 1) RETURNING k, v",
    c"DELETE FROM kv WHERE k = (SELECT k FROM kv ORDER BY k DESC LIMIT 1) RETURNING k, v",
];

/// A connection with its prepared statements.
pub struct SqliteSession {
    db: Object,
    statements: [Object; TEXTS.len()],
    durable: bool,
}

/// A read transaction, of a connection.
pub struct SqliteRead<'a>(&'a mut SqliteSession);

/// A write transaction, of a connection.
pub struct SqliteWrite<'a>(&'a mut SqliteSession);

impl Store for Sqlite {
    const NAME: &'static str = "sqlite";
    const SETTINGS: &'static str = "journal_mode=WAL, a WITHOUT ROWID table (k BLOB PRIMARY KEY, v BLOB), prepared \
        statements, a connection per thread, cache_size and mmap_size with room for all data (no map where they exceed memory); \
        durable: synchronous=FULL; lazy: synchronous=NORMAL; the log is checkpointed and cut after each row that writes";
    type Session<'a> = SqliteSession;

    fn available() -> Result<(), String> {
        library().map(|_| ())
    }

    fn version() -> String {
        // SAFETY: a static C string.
        let version = unsafe { CStr::from_ptr((lib().sqlite3_libversion)()) };
        format!("SQLite {}", version.to_string_lossy())
    }

    fn open(dir: &Path, settings: &Settings) -> Sqlite {
        let store = Sqlite {
            path: dir.join("data.sqlite"),
            cache: settings.cache,
            map: if settings.limited { 0 } else { 2 * settings.cache },
        };
        let session = store.connect();
        session.exec("PRAGMA journal_mode=WAL");
        session.exec("CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
        store
    }

    fn session(&self) -> SqliteSession {
        let mut session = self.connect();
        session.prepare();
        session
    }

    fn finish_background_work(&self) {
        let session = self.connect();
        // Not waiting for readers.
        session.exec("PRAGMA busy_timeout=0");
        session.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

impl Sqlite {
    fn connect(&self) -> SqliteSession {
        let path = CString::new(self.path.as_os_str().as_encoded_bytes()).expect("a path");
        let mut db = null_mut();
        // SAFETY: a C string, a handle to be filled.
        let code = unsafe { (lib().sqlite3_open_v2)(path.as_ptr(), &mut db, OPEN, std::ptr::null()) };
        let session = SqliteSession {
            db,
            statements: [null_mut(); TEXTS.len()],
            durable: true,
        };
        session.ok(code);
        session.exec("PRAGMA busy_timeout=600000");
        session.exec("PRAGMA synchronous=FULL");
        session.exec(&format!("PRAGMA cache_size=-{}", self.cache >> 10));
        session.exec(&format!("PRAGMA mmap_size={}", self.map));
        session
    }
}

impl SqliteSession {
    fn ok(&self, code: c_int) {
        if ![OK, ROW, DONE].contains(&code) {
            // SAFETY: a connection; answers a C string.
            let message = unsafe { CStr::from_ptr((lib().sqlite3_errmsg)(self.db)) };
            panic!("SQLite: {code}: {}", message.to_string_lossy());
        }
    }

    fn exec(&self, sql: &str) {
        let text = CString::new(sql).expect("no zero bytes");
        // SAFETY: a connection, a C string.
        let code = unsafe { (lib().sqlite3_exec)(self.db, text.as_ptr(), std::ptr::null(), null_mut(), null_mut()) };
        self.ok(code);
    }

    fn prepare(&mut self) {
        for (at, text) in TEXTS.iter().enumerate() {
            // SAFETY: a connection, a C string, a statement to be filled.
            let code = unsafe {
                let statement = &mut self.statements[at];
                (lib().sqlite3_prepare_v3)(self.db, text.as_ptr(), -1, PERSISTENT, statement, null_mut())
            };
            self.ok(code);
        }
    }

    /// Runs a statement and calls `see` for its rows while it says so.
    fn run(&self, what: What, values: &[&[u8]], mut see: impl FnMut(Object) -> bool) {
        let (lib, statement) = (lib(), self.statements[what as usize]);
        for (at, value) in values.iter().enumerate() {
            // SAFETY: a statement and bytes that are there until it is reset (so that none are copied). Empty bytes
            // need an address, too.
            let code = unsafe {
                let data = value.as_ptr().cast();
                (lib.sqlite3_bind_blob64)(statement, at as c_int + 1, data, value.len() as u64, std::ptr::null())
            };
            self.ok(code);
        }
        loop {
            // SAFETY: a statement.
            let code = unsafe { (lib.sqlite3_step)(statement) };
            self.ok(code);
            if code != ROW || !see(statement) {
                break;
            }
        }
        // SAFETY: a statement.
        unsafe { (lib.sqlite3_reset)(statement) };
    }

    fn get<T>(&self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let (mut see, mut done) = (Some(see), None);
        self.run(What::Get, &[key], |row| {
            done = see.take().map(|see| see(Some(column(row, 0))));
            false
        });
        match (done, see) {
            (Some(done), _) => done,
            (None, Some(see)) => see(None),
            (None, None) => unreachable!("one of the two"),
        }
    }
}

/// A column of the row that a statement stands on; valid until the next step.
fn column<'a>(statement: Object, at: c_int) -> &'a [u8] {
    // SAFETY: a statement on a row; bytes as many as it says.
    unsafe {
        let data = (lib().sqlite3_column_blob)(statement, at);
        let len = (lib().sqlite3_column_bytes)(statement, at) as usize;
        if data.is_null() {
            return &[];
        }
        std::slice::from_raw_parts(data.cast(), len)
    }
}

impl Drop for SqliteSession {
    fn drop(&mut self) {
        // SAFETY: statements (NULL is ignored) and then their connection.
        unsafe {
            for statement in self.statements {
                (lib().sqlite3_finalize)(statement);
            }
            (lib().sqlite3_close)(self.db);
        }
    }
}

impl Session for SqliteSession {
    type Read<'a> = SqliteRead<'a>;
    type Write<'a> = SqliteWrite<'a>;

    fn read<T>(&mut self, work: impl FnOnce(&mut SqliteRead<'_>) -> T) -> T {
        self.run(What::Begin, &[], |_| true);
        let done = work(&mut SqliteRead(self));
        self.run(What::Commit, &[], |_| true);
        done
    }

    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut SqliteWrite<'_>) -> T) -> T {
        if durable != self.durable {
            self.exec(if durable {
                "PRAGMA synchronous=FULL"
            } else {
                "PRAGMA synchronous=NORMAL"
            });
            self.durable = durable;
        }
        self.run(What::BeginWrite, &[], |_| true);
        let done = work(&mut SqliteWrite(self));
        self.run(What::Commit, &[], |_| true);
        done
    }
}

impl Read for SqliteRead<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        self.0.get(key, see)
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let what = match (way.backward, way.keys_only) {
            (false, false) => What::Scan,
            (false, true) => What::ScanKeys,
            (true, false) => What::ScanBack,
            (true, true) => What::ScanBackKeys,
        };
        self.0.run(what, &[], |row| {
            see(column(row, 0), if way.keys_only { &[] } else { column(row, 1) });
            true
        });
    }

    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        let mut left = n;
        self.0.run(What::Seek, &[key], |row| {
            see(column(row, 0), column(row, 1));
            left -= 1;
            left > 0
        });
    }

    fn length(&mut self) -> u64 {
        let mut entries = 0;
        self.0.run(What::Length, &[], |row| {
            // SAFETY: a statement on a row with one number.
            entries = unsafe { (lib().sqlite3_column_int64)(row, 0) } as u64;
            true
        });
        entries
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        self.0.run(What::Count, &[from, to], |row| {
            // SAFETY: a statement on a row with one number.
            entries = unsafe { (lib().sqlite3_column_int64)(row, 0) } as u64;
            true
        });
        entries
    }
}

impl Write for SqliteWrite<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        self.0.get(key, see)
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.run(What::Put, &[key, value], |_| true);
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.run(What::Delete, &[key], |_| true);
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        self.0.run(What::DeleteRange, &[from, to], |_| true);
    }

    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        let mut see = Some(see);
        self.0
            .run(if last { What::TakeLast } else { What::TakeFirst }, &[], |row| {
                if let Some(see) = see.take() {
                    see(column(row, 0), column(row, 1));
                }
                true
            });
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let mut key = Vec::new();
        let step = |row| {
            if !keep(column(row, 0), column(row, 1)) {
                // The column is gone when its row is.
                key.clear();
                key.extend_from_slice(column(row, 0));
                self.0.run(What::Delete, &[&key], |_| true);
            }
            true
        };
        match range {
            None => self.0.run(What::Scan, &[], step),
            Some((from, to)) => self.0.run(What::Range, &[from, to], step),
        }
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let (mut from, mut left) = (from.to_vec(), n);
        while left > 0 {
            let mut changes = Vec::with_capacity(PORTION);
            let wanted = left.min(PORTION);
            self.0.run(What::Seek, &[&from], |row| {
                let (key, value) = (column(row, 0), column(row, 1));
                changes.push((key.to_vec(), other(key, value)));
                changes.len() < wanted
            });
            let Some((last, _)) = changes.last() else { break };
            // The least key behind it.
            from.clone_from(last);
            from.push(0);
            left -= changes.len();
            for (key, value) in changes {
                self.0.run(What::Update, &[&key, value], |_| true);
            }
        }
    }
}
