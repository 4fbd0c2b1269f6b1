//! A database in memory, and what tests of snapshots do with one again and again.

use kv::{CheckReport, CommitId, Db, Durability, Options, PutMode, SnapshotOptions, TableId, WriteOptions, WriteTxn};
use std::ops::Range;

/// A snapshot without any flag.
pub const SNAPSHOT: SnapshotOptions<'_> = SnapshotOptions {
    replace: false,
    keep: false,
    mark: false,
    yields: false,
    note: b"",
};

/// A database whose commits are lazy.
pub fn open() -> Db {
    open_with(0, 0)
}

/// The same with pages of this size, and a write transaction that collects so many bytes; 0: the default.
pub fn open_with(page_size: u32, write_memory: usize) -> Db {
    let options = Options {
        memory: true,
        durability: Durability::Lazy,
        page_size,
        write_memory,
        ..Options::default()
    };
    Db::open("".as_ref(), &options).expect("a database in memory")
}

/// Begins a write transaction, changes something, and commits.
pub fn change(db: &Db, change: impl FnOnce(&mut WriteTxn)) -> CommitId {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    change(&mut txn);
    txn.commit().expect("commit")
}

/// Gives all of these keys one value.
pub fn put_many(db: &Db, keys: Range<u32>, value: u8) {
    change(db, |txn| {
        for key in keys {
            txn.put(TableId::MAIN, &key.to_be_bytes(), &[value; 100], PutMode::Set)
                .expect("put");
        }
    });
}

/// Checks the file, with all accounting.
pub fn check(db: &Db) -> CheckReport {
    let mut faults = Vec::new();
    let report = db.check(true, &mut |fault| {
        faults.push(format!("{fault:?}"));
        faults.len() < 9
    });
    assert!(faults.is_empty(), "{faults:#?}");
    report.expect("check")
}
