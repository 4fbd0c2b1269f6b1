//! Reading ahead: what scans, values and lookups announce, and how much of it is used then.

mod common;

use common::cold::Cold;
use kv::file::sim::SimDisk;
use kv::file::Storage;
use kv::{BackupOptions, Cursor, Db, Job, Options, PutMode, Range, Reader, SnapshotOptions, TableId, WriteOptions};
use std::ops::Bound;
use std::sync::Arc;

/// The most bytes of one request.
const REQUEST: u64 = 1 << 20;
/// The most leaves that were announced and not entered yet, and the branches above them.
const WINDOW: u64 = (8 << 20) / 4096 + 64;
const ENTRIES: u64 = 200_000;

/// Entries of 200 bytes, 18 in a leaf, in the order of their keys or in another with several commits.
fn filled(disk: Arc<dyn Storage>, sorted: bool) -> Db {
    let db = Db::open_storage(disk, &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..ENTRIES {
        // An odd number has no factor in common with 200,000 unless it ends with 5.
        let key = if sorted { i } else { i * 77_777 % ENTRIES };
        txn.put(TableId::MAIN, &key.to_be_bytes(), &[7; 200], PutMode::Set)
            .expect("put");
        if !sorted && i % 20_000 == 0 {
            txn.commit().expect("commit");
            txn = db.begin_write(WriteOptions::default()).expect("begin");
        }
    }
    txn.commit().expect("commit");
    db
}

/// Reads so many entries from an end on, and returns how many there were.
fn scanned(db: &Db, reverse: bool, most: u64) -> u64 {
    let range = Range {
        reverse,
        ..Range::default()
    };
    let mut read = &db.begin_read().expect("read");
    let mut cursor = Cursor::new(&mut read, TableId::MAIN, &range).expect("cursor");
    (0..most).take_while(|_| cursor.next(&mut read).expect("next")).count() as u64
}

fn tree_pages(db: &Db) -> u64 {
    let stat = (&db.begin_read().expect("read"))
        .table_stat(TableId::MAIN)
        .expect("stat");
    stat.branch_pages + stat.leaf_pages
}

/// Pages that were announced and that were used since the last figures.
fn since(db: &Db, before: (u64, u64)) -> (u64, u64) {
    let stat = db.stat();
    (stat.announced_pages - before.0, stat.announced_pages_used - before.1)
}

fn figures(db: &Db) -> (u64, u64) {
    since(db, (0, 0))
}

#[test]
fn a_scan_announces_nearly_all_that_it_reads_once_and_uses_it() {
    for (reverse, sorted) in [(false, true), (true, true), (false, false), (true, false)] {
        let cold = Arc::new(Cold::new());
        let db = filled(cold.clone(), sorted);
        let hint = format!("sorted: {sorted}, reverse: {reverse}");
        // The second scan reads what was read before, which is announced again if it is not in memory.
        for _ in 0..2 {
            let before = figures(&db);
            cold.wanted();
            assert_eq!(scanned(&db, reverse, u64::MAX), ENTRIES);
            let (announced, used) = since(&db, before);
            assert_eq!(announced, used, "{hint}");
            let pages = tree_pages(&db);
            assert!(
                announced <= pages && announced > pages - 10,
                "{hint}: {announced} of {pages}"
            );
            let wanted = cold.wanted();
            assert!(wanted.iter().all(|(_, len)| *len <= REQUEST), "{hint}");
            if sorted {
                let bytes: u64 = wanted.iter().map(|(_, len)| len).sum();
                assert!(
                    bytes < pages * 4096 * 11 / 10,
                    "{hint}: {bytes} bytes for {pages} pages"
                );
                let large = wanted.iter().map(|(_, len)| len).filter(|len| **len >= REQUEST / 2);
                assert!(large.sum::<u64>() > bytes / 4 * 3, "{hint}: {wanted:?}");
            }
        }
    }
}

#[test]
fn a_scan_that_stops_early_has_used_less_than_it_announced() {
    let db = filled(Arc::new(Cold::new()), true);
    let before = figures(&db);
    assert_eq!(scanned(&db, false, 100_000), 100_000);
    let (announced, used) = since(&db, before);
    assert!(used > 5_000 && announced > used, "{used} of {announced}");
    assert!(announced - used <= WINDOW, "{used} of {announced}");
    // Who reads four leaves gets few more.
    let before = figures(&db);
    assert_eq!(scanned(&db, true, 70), 70);
    let (announced, used) = since(&db, before);
    assert!(
        used >= 2 && announced > used && announced <= 30,
        "{used} of {announced}"
    );
}

#[test]
fn what_was_announced_counts_as_used_whoever_reads_it() {
    let db = filled(Arc::new(Cold::new()), true);
    assert_eq!(scanned(&db, false, 100_000), 100_000);
    let before = figures(&db);
    let read = db.begin_read().expect("read");
    for _ in 0..2 {
        let found = read.get(TableId::MAIN, &100_100u64.to_be_bytes()).expect("get");
        assert_eq!(found, Some(&[7; 200][..]));
        assert_eq!(since(&db, before), (0, 1));
    }
}

#[test]
fn changed_ranges_announce_only_branches_within_their_limits() {
    let db = filled(Arc::new(Cold::new()), true);
    let mark = SnapshotOptions {
        mark: true,
        ..SnapshotOptions::default()
    };
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.snapshot_create(b"mark", &mark).expect("mark");
    txn.commit().expect("commit");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for key in (0..ENTRIES).step_by(10) {
        txn.put(TableId::MAIN, &key.to_be_bytes(), &[8; 200], PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    let announced = |range: &Range<'_>| {
        let before = figures(&db);
        let mut read = &db.begin_read().expect("read");
        let told = read.snapshot_ranges(b"mark", TableId::MAIN, range, &mut |_| true);
        told.expect("ranges");
        since(&db, before).0
    };
    let tenth = (ENTRIES / 10).to_be_bytes();
    let first = announced(&Range {
        to: Bound::Excluded(&tenth),
        ..Range::default()
    });
    let all = announced(&Range::default());
    assert!(first > 0 && first * 5 < all, "{first} of {all}");
}

#[test]
fn lookups_and_steps_in_a_leaf_announce_nothing() {
    let cold = Arc::new(Cold::new());
    let db = filled(cold.clone(), false);
    let read = db.begin_read().expect("read");
    for i in (0..ENTRIES).step_by(97) {
        assert!(read.get(TableId::MAIN, &i.to_be_bytes()).expect("get").is_some());
    }
    assert_eq!(scanned(&db, false, 10), 10);
    assert_eq!(figures(&db), (0, 0));
    assert!(cold.wanted().is_empty());
}

#[test]
fn who_turns_at_a_leafs_end_again_and_again_announces_little() {
    let cold = Arc::new(Cold::new());
    let db = filled(cold.clone(), true);
    let mut read = &db.begin_read().expect("read");
    let mut cursor = Cursor::new(&mut read, TableId::MAIN, &Range::default()).expect("cursor");
    for _ in 0..100_000 {
        assert!(cursor.next(&mut read).expect("next"));
    }
    let before = figures(&db);
    cold.wanted();
    for _ in 0..100 {
        for _ in 0..40 {
            assert!(cursor.prev(&mut read).expect("prev"));
        }
        for _ in 0..40 {
            assert!(cursor.next(&mut read).expect("next"));
        }
    }
    assert!(since(&db, before).0 < 5_000);
    let bytes: u64 = cold.wanted().iter().map(|(_, len)| len).sum();
    assert!(bytes < 64 << 20, "{bytes}");
}

#[test]
fn what_is_in_memory_is_not_announced() {
    let db = filled(Arc::new(SimDisk::new(1).expect("disk")), false);
    assert_eq!(scanned(&db, false, u64::MAX), ENTRIES);
    assert_eq!(figures(&db), (0, 0));
}

#[test]
fn checks_and_backups_ask_for_pages_that_are_not_counted() {
    let cold = Arc::new(Cold::new());
    let db = filled(cold.clone(), false);
    let read = db.begin_read().expect("read");
    db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    let asked: u64 = cold.wanted().iter().map(|(_, len)| len).sum();
    assert!(asked >= (tree_pages(&db) - 2) * 4096, "{asked}");
    cold.wanted();
    let before = figures(&db);
    let image = BackupOptions {
        compact: false,
        overwrite: false,
    };
    read.backup_to(image, &Job::silent(), &mut |_| Ok(())).expect("backup");
    assert!(cold.wanted().iter().map(|(_, len)| len).sum::<u64>() > 32 << 20);
    assert_eq!(since(&db, before), (0, 0));
}

#[test]
fn a_long_value_is_counted_with_all_its_pages() {
    let db = Db::open_storage(Arc::new(Cold::new()), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.put(TableId::MAIN, b"k", &vec![9; 40 * 4096], PutMode::Set)
        .expect("put");
    txn.commit().expect("commit");
    let read = db.begin_read().expect("read");
    read.get(TableId::MAIN, b"k").expect("get").expect("a value");
    let (announced, used) = figures(&db);
    assert!(announced == used && (40..=42).contains(&used), "{used} of {announced}");
}
