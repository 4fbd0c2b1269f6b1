//! Savepoints and nested transactions: what the model tests do not say by name. Those mix them with everything else
//! (`common/drive/savepoints.rs`), and crashes, faults and failing allocations come upon them in `engine/nested.rs`.

mod common;

use common::small_disk::SmallDisk;
use kv::{Cursor, Db, Error, Options, PutMode, Range, Reader, Savepoint, TableId, WriteOptions, WriteTxn};
use std::sync::Arc;

const MAIN: TableId = TableId::MAIN;

fn in_memory() -> Db {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    Db::open("".as_ref(), &options).expect("open")
}

fn put(txn: &mut WriteTxn, n: u64, value: &[u8]) {
    txn.put(MAIN, &n.to_be_bytes(), value, PutMode::Set).expect("put");
}

fn check(db: &Db) {
    let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    assert_eq!(report.faults, 0);
}

#[test]
fn a_transaction_goes_back_to_any_savepoint_and_again() {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    put(&mut txn, 0, b"before");
    let mut savepoints = Vec::new();
    for n in 1..=20 {
        savepoints.push(txn.savepoint_create().expect("savepoint"));
        put(&mut txn, n, b"value");
    }
    for at in [15, 15, 7, 3] {
        txn.savepoint_rollback(savepoints[at]).expect("rollback");
        assert_eq!(txn.count(MAIN, &Range::default()).expect("count"), at as u64 + 1);
        put(&mut txn, 99, b"again");
    }
    for gone in [15, 4, 19] {
        let refused = txn.savepoint_rollback(savepoints[gone]);
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    txn.savepoint_release(savepoints[1]).expect("release");
    assert!(matches!(txn.savepoint_release(savepoints[3]), Err(Error::Invalid(_))));
    txn.savepoint_rollback(savepoints[0]).expect("rollback");
    txn.commit().expect("commit");
    let read = db.begin_read().expect("read");
    assert_eq!((&mut &read).count(MAIN, &Range::default()).expect("count"), 1);
    check(&db);
}

#[test]
fn a_savepoint_is_that_of_one_transaction() {
    let (one, other) = (in_memory(), in_memory());
    let mut first = one.begin_write(WriteOptions::default()).expect("begin");
    let mut second = other.begin_write(WriteOptions::default()).expect("begin");
    let savepoint = first.savepoint_create().expect("savepoint");
    second.savepoint_create().expect("savepoint");
    for unknown in [savepoint, Savepoint::from_number(0), Savepoint::from_number(u64::MAX)] {
        assert!(matches!(second.savepoint_rollback(unknown), Err(Error::Invalid(_))));
    }
}

/// What is nested ends before what it is nested in, and has nothing to do with savepoints outside.
#[test]
fn a_hundred_transactions_are_nested() {
    fn nest(txn: &mut WriteTxn, depth: u64) {
        put(txn, depth, b"kept");
        let outside = txn.savepoint_create().expect("savepoint");
        if depth == 100 {
            return;
        }
        let mut nested = txn.nest().expect("nest");
        assert!(matches!(nested.savepoint_rollback(outside), Err(Error::Invalid(_))));
        nest(&mut nested, depth + 1);
        match depth % 10 {
            // All of 100 ends down to this one are undone with it.
            9 if depth < 30 => nested.abort().expect("abort"),
            _ => nested.commit().expect("commit"),
        }
    }
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    nest(&mut txn, 1);
    txn.commit().expect("commit");
    let read = db.begin_read().expect("read");
    assert_eq!((&mut &read).count(MAIN, &Range::default()).expect("count"), 9);
    check(&db);
}

#[test]
fn what_a_full_disk_ends_is_undone_and_the_outer_transaction_is_committed() {
    let disk = Arc::new(SmallDisk::new(1, 400));
    let db = Db::open_storage(disk, &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    put(&mut txn, 1, b"before");
    for _ in 0..3 {
        let mut nested = txn.nest().expect("nest");
        let mut failed = None;
        for n in 10..1000 {
            if let Err(error) = nested.put(MAIN, &u64::to_be_bytes(n), &[7; 50_000], PutMode::Set) {
                failed = Some(error);
                break;
            }
        }
        assert!(matches!(failed, Some(Error::NoSpace(_))), "{failed:?}");
        assert!(matches!(nested.commit(), Err(Error::TxnFailed(_))));
        put(&mut txn, 2, b"behind");
    }
    txn.commit().expect("commit");
    let read = db.begin_read().expect("read");
    assert_eq!((&mut &read).count(MAIN, &Range::default()).expect("count"), 2);
    check(&db);
}

/// A put that was undone has added nothing: on a full disk, what is left is for those who only delete.
#[test]
fn an_addition_that_was_undone_is_none_on_a_full_disk() {
    for goes_back in [true, false] {
        let disk = Arc::new(SmallDisk::new(1, 4000));
        let db = Db::open_storage(disk, &Options::default()).expect("open");
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        (0..400).for_each(|n| put(&mut txn, n, &[7; 1000]));
        txn.snapshot_create(b"all", &kv::SnapshotOptions::default())
            .expect("snapshot");
        txn.commit().expect("commit");
        // Until nothing more has room.
        for n in 1000.. {
            let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
            let more = txn.put(MAIN, &u64::to_be_bytes(n), &[7; 1000], PutMode::Set);
            if more.and_then(|()| txn.commit().map(drop)).is_err() {
                break;
            }
        }
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let savepoint = txn.savepoint_create().expect("savepoint");
        txn.put(MAIN, b"more", b"little", PutMode::Set)
            .expect("it waits for the commit");
        if goes_back {
            txn.savepoint_rollback(savepoint).expect("rollback");
        }
        // The leaves of these must be written anew, and the snapshot keeps them as they were.
        let deleted = (0..400)
            .step_by(13)
            .try_for_each(|n| txn.delete(MAIN, &u64::to_be_bytes(n)).map(drop));
        let committed = deleted.and_then(|()| txn.commit());
        assert_eq!(committed.is_ok(), goes_back, "{committed:?}");
        check(&db);
    }
}

/// Pages that were placed in the file before a savepoint are not written over, and those that were placed since are
/// taken again once they are undone.
#[test]
fn a_transaction_larger_than_memory_goes_back() {
    let disk = Arc::new(SmallDisk::new(1, 20_000));
    let db = Db::open_storage(disk, &Options::default()).expect("open");
    let little = WriteOptions {
        write_memory: Some(4096),
        ..WriteOptions::default()
    };
    let mut txn = db.begin_write(little).expect("begin");
    let (mut n, value) = (0, [1; 100]);
    let mut scatter = |txn: &mut WriteTxn, many: u64| {
        for _ in 0..many {
            n += 1;
            put(txn, (n * 0x9E37_79B9) % 100_003, &value);
        }
    };
    scatter(&mut txn, 20_000);
    let count = txn.count(MAIN, &Range::default()).expect("count");
    let savepoint = txn.savepoint_create().expect("savepoint");
    // If what is undone stayed taken, this would not fit on the disk.
    for _ in 0..20 {
        scatter(&mut txn, 10_000);
        txn.savepoint_rollback(savepoint).expect("rollback");
        assert_eq!(txn.count(MAIN, &Range::default()).expect("count"), count);
    }
    scatter(&mut txn, 1000);
    assert!(txn.stat().private_pages < 2000, "{:?}", txn.stat());
    txn.commit().expect("commit");
    check(&db);
}

/// An edit behind a savepoint copies the pages on its path and no others, whatever the transaction has written before.
#[test]
fn an_edit_behind_a_savepoint_copies_few_pages() {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in 0..20_000 {
        put(&mut txn, n, &[1; 100]);
    }
    let savepoint = txn.savepoint_create().expect("savepoint");
    let before = txn.stat().private_pages;
    for round in 0..50 {
        put(&mut txn, round * 7, b"other");
        txn.count(MAIN, &Range::default()).expect("count");
        let more = txn.stat().private_pages - before;
        assert!((1..=4).contains(&more), "{more} pages more for one edit");
        txn.savepoint_rollback(savepoint).expect("rollback");
        assert_eq!(txn.stat().private_pages, before);
    }
}

#[test]
fn a_value_in_parts_and_a_savepoint_exclude_each_other() {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let mut value = txn.writer(MAIN, b"long", 0, PutMode::Set).expect("writer");
    assert!(matches!(txn.savepoint_create(), Err(Error::Invalid(_))));
    assert!(matches!(txn.nest().map(drop), Err(Error::Invalid(_))));
    value.write(&mut txn, &[1; 3_000_000]).expect("write");
    value.finish(&mut txn).expect("finish");
    let savepoint = txn.savepoint_create().expect("savepoint");
    let mut value = txn.writer(MAIN, b"undone", 0, PutMode::Set).expect("writer");
    value.write(&mut txn, &[2; 3_000_000]).expect("write");
    txn.savepoint_rollback(savepoint).expect("rollback");
    assert!(matches!(value.write(&mut txn, b"more"), Err(Error::BadHandle(_))));
    txn.commit().expect("commit");
    check(&db);
}

#[test]
fn a_cursor_finds_its_place_in_what_was_gone_back_to() {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    (0..100).for_each(|n| put(&mut txn, 2 * n, b"even"));
    let savepoint = txn.savepoint_create().expect("savepoint");
    (0..100).for_each(|n| put(&mut txn, 2 * n + 1, b"odd"));
    let mut cursor = Cursor::new(&mut txn, MAIN, &Range::default()).expect("cursor");
    for _ in 0..52 {
        assert!(cursor.next(&mut txn).expect("next"));
    }
    assert_eq!(cursor.key(), 51_u64.to_be_bytes());
    txn.savepoint_rollback(savepoint).expect("rollback");
    assert!(cursor.next(&mut txn).expect("next"));
    assert_eq!(cursor.key(), 52_u64.to_be_bytes());
}

#[test]
fn a_transaction_with_a_forgotten_nested_one_is_not_committed() {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let mut nested = txn.nest().expect("nest");
    put(&mut nested, 1, b"neither committed nor undone");
    std::mem::forget(nested);
    assert!(matches!(txn.commit(), Err(Error::Invalid(_))));
    assert_eq!(
        db.begin_read()
            .expect("read")
            .get(MAIN, &1_u64.to_be_bytes())
            .expect("get"),
        None
    );
}

#[test]
fn readers_of_undone_snapshots_are_let_go() {
    let db = in_memory();
    let old = db.begin_read().expect("read");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..10_000 {
        let mut nested = txn.nest().expect("nest");
        let options = kv::SnapshotOptions::default();
        nested.snapshot_create_of(b"name", &old, &options).expect("snapshot");
    }
    txn.commit().expect("commit");
}

#[test]
fn a_poisoned_transaction_cannot_go_back() {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let savepoint = txn.savepoint_create().expect("savepoint");
    txn.poison();
    assert!(matches!(txn.savepoint_rollback(savepoint), Err(Error::TxnFailed(_))));
    assert!(matches!(txn.commit(), Err(Error::TxnFailed(_))));
}
