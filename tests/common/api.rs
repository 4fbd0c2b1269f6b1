//! One suite, two doors: the Rust API (`kv::db`) and the C ABI (`libkv.so`) behind the same trait, so that the model
//! and the basic tests cannot drift apart. Results are owned copies: what is tested here is what calls answer; how long
//! slices live is the subject of tests of each API's own.

use super::capi;
use kv::Error;
use kv::{
    same, CommitId, Cursor, Db, Difference, Durability, Options, PutMode, Range, ReadTxn, Reader, Savepoint, Seek,
    TableId, WriteOptions, WriteTxn,
};
use std::any::Any;
use std::ops::Bound;
use std::path::Path;

mod snapshots;
mod writes;

pub use snapshots::{DeadPages, Flags, KeyRange, Recorded, SnapshotBase, SnapshotReads, SnapshotWrites};

/// Numbers of `kv_status`, which errors of both doors are compared by.
pub mod status {
    pub const NOTFOUND: i32 = -1;
    pub const EXISTS: i32 = -2;
    pub const NO_TABLE: i32 = -3;
    pub const BUSY: i32 = -5;
    pub const ORDER: i32 = -8;
    pub const INVALID: i32 = -20;
    pub const READ_ONLY: i32 = -22;
    pub const CHILD_OPEN: i32 = -23;
    pub const TOO_BIG: i32 = -25;
}

/// A call that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fail {
    /// Number of the status.
    pub status: i32,
    /// What the library said.
    pub message: String,
}

/// What a call answers.
pub type Outcome<T> = Result<T, Fail>;
/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// The door a test goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `kv::db`.
    Rust,
    /// `kv_*` of the shared library.
    C,
}

/// How a test opens a database.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// 0: the default.
    pub page_size: u32,
    /// In memory, no file.
    pub memory: bool,
    /// Fail if there is no file.
    pub existing: bool,
    /// Bytes a write transaction collects; 0: the default.
    pub write_memory: usize,
    /// Commits need not be durable.
    pub lazy: bool,
}

/// Owned bounds of a range.
#[derive(Clone, PartialEq, Eq)]
pub struct Span {
    pub from: Bound<Vec<u8>>,
    pub to: Bound<Vec<u8>>,
    pub prefix: Option<Vec<u8>>,
    pub reverse: bool,
}

impl Span {
    /// Everything.
    pub fn all() -> Span {
        Span {
            from: Bound::Unbounded,
            to: Bound::Unbounded,
            prefix: None,
            reverse: false,
        }
    }

    /// Whether neither a bound nor a prefix is given.
    pub fn is_unbounded(&self) -> bool {
        self.from == Bound::Unbounded && self.to == Bound::Unbounded && self.prefix.is_none()
    }

    /// The range as the Rust API wants it.
    pub fn range(&self) -> Range<'_> {
        Range {
            from: self.from.as_ref().map(Vec::as_slice),
            to: self.to.as_ref().map(Vec::as_slice),
            prefix: self.prefix.as_deref(),
            reverse: self.reverse,
        }
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bound = |b: &Bound<Vec<u8>>| match b {
            Bound::Included(k) => format!("={}", show(k)),
            Bound::Excluded(k) => format!("~{}", show(k)),
            Bound::Unbounded => String::new(),
        };
        write!(f, "[{} .. {}", bound(&self.from), bound(&self.to))?;
        if let Some(p) = &self.prefix {
            write!(f, " prefix {}", show(p))?;
        }
        write!(f, "{}]", if self.reverse { " reverse" } else { "" })
    }
}

/// Bytes in short: printable, and never megabytes of it.
pub fn show(bytes: &[u8]) -> String {
    let head = bytes[..bytes.len().min(64)].escape_ascii();
    if bytes.len() <= 64 {
        format!("\"{head}\"")
    } else {
        let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
        });
        format!("\"{head}\"...({} B, hash {sum:08x})", bytes.len())
    }
}

/// A movement of a cursor.
#[derive(Debug, Clone, PartialEq)]
pub enum Move {
    First,
    Last,
    Next,
    Prev,
    Get,
    Seek(Vec<u8>, Seek),
    Nth(u64),
    /// Nearest rank, 0 to 100.
    Percentile(f64),
}

/// What a check found.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    pub tables: u64,
    pub entries: u64,
    pub pages: u64,
    pub dead_pages: u64,
    /// Named ones that are no marks.
    pub snapshots: u64,
    pub faults: u64,
    /// The first faults in words.
    pub what: Vec<String>,
}

/// An open database.
pub trait Base: SnapshotBase {
    fn begin_read(&self) -> Outcome<Box<dyn Snapshot>>;
    fn begin_write(&self) -> Outcome<Box<dyn Writes>>;
    fn sync(&self) -> Outcome<()>;
    /// Pages of the file.
    fn pages(&self) -> Outcome<u64>;
    /// Walks everything, with page accounting.
    fn check(&self) -> Outcome<Checked>;
    fn close(self: Box<Self>) -> Outcome<()>;
}

/// What every transaction can do.
pub trait Reads: SnapshotReads {
    fn id(&mut self) -> Outcome<CommitId>;
    fn table(&mut self, name: &[u8]) -> Outcome<TableId>;
    fn get(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>>;
    fn contains(&mut self, table: TableId, key: &[u8]) -> Outcome<bool>;
    fn get_many(&mut self, table: TableId, keys: &[&[u8]]) -> Outcome<Vec<Option<Vec<u8>>>>;
    fn value_len(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<u64>>;
    /// Up to `len` bytes from `offset` on.
    fn read_value(&mut self, table: TableId, key: &[u8], offset: u64, len: usize) -> Outcome<Option<Vec<u8>>>;
    fn count(&mut self, table: TableId, span: &Span) -> Outcome<u64>;
    fn rank(&mut self, table: TableId, key: &[u8]) -> Outcome<u64>;
    fn note(&mut self, table: TableId) -> Outcome<Vec<u8>>;
    /// Entries as the table's statistics say.
    fn entries(&mut self, table: TableId) -> Outcome<u64>;
    /// The first `limit` entries of a range, by the fastest way the door has.
    fn scan(&mut self, table: TableId, span: &Span, limit: usize) -> Outcome<Vec<Entry>>;
    /// A cursor; the answer names it until it is closed or the transaction ends.
    fn cursor_open(&mut self, table: TableId, span: &Span) -> Outcome<usize>;
    fn cursor_close(&mut self, cursor: usize);
    /// Moves; the entry it stands on then, read anew.
    fn cursor_move(&mut self, cursor: usize, how: &Move) -> Outcome<Option<Entry>>;
    fn cursor_count(&mut self, cursor: usize) -> Outcome<u64>;
    fn cursor_rank(&mut self, cursor: usize) -> Outcome<u64>;
}

/// A key that differs between two snapshots, with its values before and after.
pub type Change = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

/// A read transaction.
pub trait Snapshot: Reads {
    fn refresh(&mut self) -> Outcome<()>;
    /// Records what it sees under a name, in a commit of its own.
    fn snapshot_create(&mut self, name: &[u8], flags: Flags, note: &[u8]) -> Outcome<()>;
    /// What has changed since another snapshot, which came through the same door.
    fn changes_since(&mut self, before: &mut dyn Snapshot, table: TableId, span: &Span) -> Outcome<Vec<Change>>;
    /// How many keys were added, removed and changed.
    fn count_changes_since(&mut self, before: &mut dyn Snapshot, table: TableId, span: &Span) -> Outcome<[u64; 3]>;
    fn is_same_as(&mut self, before: &mut dyn Snapshot, table: Option<TableId>) -> Outcome<bool>;
    /// The transaction itself, for the door that knows its type.
    fn as_any(&mut self) -> &mut dyn Any;
}

/// A write transaction; dropping it undoes everything.
pub trait Writes: Reads + SnapshotWrites {
    fn put(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<()>;
    fn insert(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Outcome<Option<Vec<u8>>>;
    fn replace(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<Option<Vec<u8>>>;
    /// Reserves and fills `filled.0` bytes of `value`; the rest stays as the library gave it (zeros).
    fn reserve(&mut self, table: TableId, key: &[u8], value: &[u8], filled: usize, mode: PutMode) -> Outcome<()>;
    fn delete(&mut self, table: TableId, key: &[u8]) -> Outcome<bool>;
    fn delete_blind(&mut self, table: TableId, key: &[u8]) -> Outcome<()>;
    fn take(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>>;
    fn take_first(&mut self, table: TableId, span: &Span) -> Outcome<Option<Entry>>;
    fn delete_range(&mut self, table: TableId, span: &Span) -> Outcome<u64>;
    fn table_create(&mut self, name: &[u8], new: bool) -> Outcome<TableId>;
    fn table_rename(&mut self, table: TableId, name: &[u8]) -> Outcome<()>;
    fn table_clear(&mut self, table: TableId) -> Outcome<()>;
    fn table_drop(&mut self, table: TableId) -> Outcome<()>;
    fn table_set_note(&mut self, table: TableId, note: &[u8]) -> Outcome<()>;
    /// Writes a value in parts; `between` is put into the same table halfway; without `finish` it is given up.
    fn stream(&mut self, table: TableId, key: &[u8], stream: &Stream<'_>) -> Outcome<()>;
    fn cursor_put(&mut self, cursor: usize, value: &[u8]) -> Outcome<()>;
    fn cursor_delete(&mut self, cursor: usize) -> Outcome<()>;
    fn savepoint_create(&mut self) -> Outcome<u64>;
    fn savepoint_rollback(&mut self, savepoint: u64) -> Outcome<()>;
    fn savepoint_release(&mut self, savepoint: u64) -> Outcome<()>;
    /// Begins a nested transaction, which this is from now on. Cursors that are open wait for its end.
    fn nest(&mut self) -> Outcome<()>;
    /// Ends the nested transaction; this is the outer one again.
    fn end_nested(&mut self, commit: bool) -> Outcome<()>;
    fn commit(self: Box<Self>) -> Outcome<CommitId>;
}

/// A value written in parts.
pub struct Stream<'a> {
    pub parts: &'a [&'a [u8]],
    pub hint: u64,
    pub between: Option<(&'a [u8], &'a [u8])>,
    pub finish: bool,
}

/// Opens a database through a door.
pub fn open(door: Door, path: &Path, setup: &Setup) -> Outcome<Box<dyn Base>> {
    match door {
        Door::Rust => Ok(Box::new(RustBase {
            db: Db::open(path, &options(setup)).map_err(fail)?,
        })),
        Door::C => capi::open(path, setup),
    }
}

/// Options of the Rust API for a setup.
pub fn options(setup: &Setup) -> Options {
    Options {
        page_size: setup.page_size,
        memory: setup.memory,
        existing: setup.existing,
        write_memory: setup.write_memory,
        durability: if setup.lazy { Durability::Lazy } else { Durability::Full },
        ..Options::default()
    }
}

/// The status the C interface gives this error (stated twice on purpose: here and in `capi`).
#[allow(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
pub fn fail(error: Error) -> Fail {
    let status = match &error {
        Error::NotFound => status::NOTFOUND,
        Error::Exists(_) | Error::FileExists(_) => status::EXISTS,
        Error::NoTable(_) => status::NO_TABLE,
        Error::Busy(_) => status::BUSY,
        Error::Order(_) => status::ORDER,
        Error::Cancelled => -9,
        Error::Invalid(_) => status::INVALID,
        Error::BadHandle(_) => -21,
        Error::ReadOnly(_) => status::READ_ONLY,
        Error::TxnFailed(_) => -24,
        Error::TooBig { .. } => status::TOO_BIG,
        Error::Unsupported(_) => -29,
        Error::Io { .. } => -40,
        Error::NoSpace { .. } => -41,
        Error::NoMemory(_) | Error::NoMemoryFor(_) => -42,
        Error::Access(_) => -43,
        Error::NoFile(_) => -44,
        Error::NoLocks(_) => -45,
        Error::Limit(_) | Error::Outgrown { .. } => -46,
        Error::Poisoned => -47,
        Error::InDoubt(_) => -48,
        Error::Corrupt(_) => -60,
        Error::NotADatabase(_) => -61,
        Error::TooNew(_) => -62,
        Error::Forked => -28,
        Error::TooOld(_) => -63,
        Error::Panic(_) => -90,
    };
    Fail {
        status,
        message: error.to_string(),
    }
}

struct RustBase {
    db: Db,
}

struct RustRead {
    txn: ReadTxn,
    cursors: Vec<Option<Cursor>>,
    db: Db,
}

struct RustWrite {
    txn: WriteTxn,
    nested: Vec<Savepoint>,
    cursors: Vec<Option<Cursor>>,
}

impl Base for RustBase {
    fn begin_read(&self) -> Outcome<Box<dyn Snapshot>> {
        Ok(Box::new(RustRead {
            txn: self.db.begin_read().map_err(fail)?,
            cursors: Vec::new(),
            db: self.db.clone(),
        }))
    }
    fn begin_write(&self) -> Outcome<Box<dyn Writes>> {
        Ok(Box::new(RustWrite {
            txn: self.db.begin_write(WriteOptions::default()).map_err(fail)?,
            nested: Vec::new(),
            cursors: Vec::new(),
        }))
    }
    fn sync(&self) -> Outcome<()> {
        self.db.sync().map_err(fail)
    }
    fn pages(&self) -> Outcome<u64> {
        Ok(self.db.stat().pages)
    }
    fn check(&self) -> Outcome<Checked> {
        let mut what = Vec::new();
        let report = self
            .db
            .check(true, &mut |fault| {
                what.push(format!("page {:?} table {:?}: {}", fault.page, fault.table, fault.what));
                what.len() < 20
            })
            .map_err(fail)?;
        Ok(Checked {
            tables: report.tables,
            entries: report.entries,
            pages: report.pages,
            dead_pages: report.dead_pages,
            snapshots: report.snapshots,
            faults: report.faults,
            what,
        })
    }
    fn close(self: Box<Self>) -> Outcome<()> {
        self.db.sync().map_err(fail)
    }
}

/// Moves a cursor of the Rust API and reads the entry it then stands on.
fn move_cursor<R: Reader + ?Sized>(cursor: &mut Cursor, txn: &mut R, how: &Move) -> Outcome<Option<Entry>> {
    let found = match how {
        Move::First => cursor.first(txn),
        Move::Last => cursor.last(txn),
        Move::Next => cursor.next(txn),
        Move::Prev => cursor.prev(txn),
        Move::Get => cursor.get(txn),
        Move::Seek(key, how) => cursor.seek(txn, key, *how),
        Move::Nth(n) => cursor.nth(txn, *n),
        Move::Percentile(percent) => cursor.percentile(txn, *percent),
    };
    if !found.map_err(fail)? {
        return Ok(None);
    }
    let key = cursor.key().to_vec();
    let value = cursor.value(txn).map_err(fail)?.to_vec();
    Ok(Some((key, value)))
}

/// A cursor that must be open.
fn slot<T>(cursors: &mut [Option<T>], cursor: usize) -> &mut T {
    cursors[cursor].as_mut().expect("the test uses a cursor it closed")
}

macro_rules! reads {
    ($door:ty, $s:ident => $reader:expr) => {
        impl Reads for $door {
            fn id(&mut $s) -> Outcome<CommitId> {
                Ok(Reader::id($reader))
            }
            fn table(&mut $s, name: &[u8]) -> Outcome<TableId> {
                Reader::table($reader, name).map_err(fail)
            }
            fn get(&mut $s, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
                Ok(Reader::get($reader, table, key).map_err(fail)?.map(<[u8]>::to_vec))
            }
            fn contains(&mut $s, table: TableId, key: &[u8]) -> Outcome<bool> {
                Reader::contains($reader, table, key).map_err(fail)
            }
            fn get_many(&mut $s, table: TableId, keys: &[&[u8]]) -> Outcome<Vec<Option<Vec<u8>>>> {
                let reader = $reader;
                let mut out = Vec::new();
                Reader::get_many(reader, table, keys, &mut out).map_err(fail)?;
                Ok(out.into_iter().map(|value| value.map(<[u8]>::to_vec)).collect())
            }
            fn value_len(&mut $s, table: TableId, key: &[u8]) -> Outcome<Option<u64>> {
                Ok(Reader::value_info($reader, table, key).map_err(fail)?.map(|info| info.len))
            }
            fn read_value(&mut $s, table: TableId, key: &[u8], offset: u64, len: usize) -> Outcome<Option<Vec<u8>>> {
                let mut out = vec![0; len];
                let got = Reader::read_value($reader, table, key, offset, &mut out).map_err(fail)?;
                Ok(got.map(|n| {
                    out.truncate(n);
                    out
                }))
            }
            fn count(&mut $s, table: TableId, span: &Span) -> Outcome<u64> {
                Reader::count($reader, table, &span.range()).map_err(fail)
            }
            fn rank(&mut $s, table: TableId, key: &[u8]) -> Outcome<u64> {
                Reader::rank($reader, table, key).map_err(fail)
            }
            fn note(&mut $s, table: TableId) -> Outcome<Vec<u8>> {
                Reader::table_note($reader, table).map_err(fail)
            }
            fn entries(&mut $s, table: TableId) -> Outcome<u64> {
                Ok(Reader::table_stat($reader, table).map_err(fail)?.entries)
            }
            fn scan(&mut $s, table: TableId, span: &Span, limit: usize) -> Outcome<Vec<Entry>> {
                let reader = $reader;
                let mut cursor = Cursor::new(reader, table, &span.range()).map_err(fail)?;
                let mut out = Vec::new();
                while out.len() < limit {
                    match move_cursor(&mut cursor, reader, &Move::Next)? {
                        Some(entry) => out.push(entry),
                        None => break,
                    }
                }
                Ok(out)
            }
            fn cursor_open(&mut $s, table: TableId, span: &Span) -> Outcome<usize> {
                let cursor = Cursor::new($reader, table, &span.range()).map_err(fail)?;
                $s.cursors.push(Some(cursor));
                Ok($s.cursors.len() - 1)
            }
            fn cursor_close(&mut $s, cursor: usize) {
                $s.cursors[cursor] = None;
            }
            fn cursor_move(&mut $s, cursor: usize, how: &Move) -> Outcome<Option<Entry>> {
                move_cursor(slot(&mut $s.cursors, cursor), $reader, how)
            }
            fn cursor_count(&mut $s, cursor: usize) -> Outcome<u64> {
                slot(&mut $s.cursors, cursor).count($reader).map_err(fail)
            }
            fn cursor_rank(&mut $s, cursor: usize) -> Outcome<u64> {
                slot(&mut $s.cursors, cursor).rank($reader).map_err(fail)
            }
        }
    };
}

reads!(RustRead, self => &mut &self.txn);
reads!(RustWrite, self => &mut self.txn);

impl RustRead {
    fn before(before: &mut dyn Snapshot) -> &ReadTxn {
        &before.as_any().downcast_ref::<RustRead>().expect("of this door").txn
    }
}

impl Snapshot for RustRead {
    fn refresh(&mut self) -> Outcome<()> {
        self.txn.refresh().map_err(fail)
    }
    fn snapshot_create(&mut self, name: &[u8], flags: Flags, note: &[u8]) -> Outcome<()> {
        self.record(name, flags, note).map_err(fail)
    }
    fn changes_since(&mut self, before: &mut dyn Snapshot, table: TableId, span: &Span) -> Outcome<Vec<Change>> {
        let (before, after) = (&mut RustRead::before(before), &mut &self.txn);
        let mut difference = Difference::new(before, after, table, &span.range()).map_err(fail)?;
        let copy = |value: Option<&[u8]>| value.map(<[u8]>::to_vec);
        let mut changes = Vec::new();
        let mut take = |change: &kv::Change<'_>| {
            changes.push((change.key.to_vec(), copy(change.before), copy(change.after)));
            true
        };
        difference.next_many(before, after, u64::MAX, &mut take).map_err(fail)?;
        Ok(changes)
    }
    fn count_changes_since(&mut self, before: &mut dyn Snapshot, table: TableId, span: &Span) -> Outcome<[u64; 3]> {
        let before = &mut RustRead::before(before);
        let counts = Difference::count(before, &mut &self.txn, table, &span.range()).map_err(fail)?;
        Ok([counts.added, counts.removed, counts.changed])
    }
    fn is_same_as(&mut self, before: &mut dyn Snapshot, table: Option<TableId>) -> Outcome<bool> {
        same(&mut RustRead::before(before), &mut &self.txn, table).map_err(fail)
    }
    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
