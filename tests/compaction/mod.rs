//! What the tests of compaction share: databases to be filled, changed, compacted and checked.

#![allow(dead_code)]

use crate::common::tmp::TempDir;
use kv::{CompactOptions, CompactReport, Db, Job, Options, PutMode, ReadTxn, Reader, TableId, WriteOptions, WriteTxn};
use std::path::{Path, PathBuf};

/// The bytes of a page of most of these databases.
pub const PAGE: u64 = 4096;

/// Returns the options of most of these databases.
pub fn options() -> Options {
    Options::default()
}

/// Opens a new database in a folder of its own.
pub fn database() -> (TempDir, PathBuf, Db) {
    let dir = TempDir::new("compact");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &options()).expect("open");
    (dir, path, db)
}

/// Returns the key of an entry.
pub fn key(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

/// Puts `count` entries of some 200 bytes into a table, 1,000 a commit.
pub fn fill(db: &Db, table: &[u8], count: u32) -> TableId {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let table = txn.table_create(table, false).expect("table");
    txn.commit().expect("commit");
    for from in (0..count).step_by(1000) {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for n in from..count.min(from + 1000) {
            txn.put(table, &key(n), &[n as u8; 200], PutMode::Set).expect("put");
        }
        txn.commit().expect("commit");
    }
    table
}

/// Makes a change in a transaction of its own.
pub fn change(db: &Db, body: impl FnOnce(&mut WriteTxn) -> kv::Result<()>) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    body(&mut txn).expect("the change");
    txn.commit().expect("commit");
}

/// Drops a table in a transaction of its own.
pub fn drop_table(db: &Db, name: &[u8]) {
    change(db, |txn| {
        let table = txn.table(name)?;
        txn.table_drop(table)
    });
}

/// Compacts the file with the default options.
pub fn compact(db: &Db) -> CompactReport {
    db.compact(&CompactOptions::default(), &Job::silent()).expect("compact")
}

/// Checks the database, with accounting.
pub fn is_whole(db: &Db) {
    let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    assert_eq!(report.faults, 0);
}

/// Returns how long a file is.
pub fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).expect("metadata").len()
}

/// Checks that a table has what [`fill`] puts.
pub fn has_all(txn: &mut ReadTxn, table: TableId, count: u32) {
    for n in 0..count {
        assert_eq!(txn.get(table, &key(n)).expect("get"), Some(&[n as u8; 200][..]), "{n}");
    }
}
