//! Giving space back while others use the database.

mod common;
mod compaction;

use common::tmp::TempDir;
use compaction::{bytes, change, compact, database, drop_table, fill, has_all, is_whole, key, options, PAGE};
use kv::file::sim::Random;
use kv::WriteOptions;
use kv::{CompactOptions, Db, Durability, Job, Options, PutMode, Range, ReadAt, Reader, SnapshotOptions, TableId};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

#[test]
fn the_free_end_of_the_file_is_given_back_on_request() {
    let (_dir, path, db) = database();
    let kept = fill(&db, b"kept", 5_000);
    fill(&db, b"other", 20_000);
    let before = bytes(&path);
    drop_table(&db, b"other");
    let report = compact(&db);
    let after = bytes(&path);
    assert_eq!((report.held, report.cut_bytes), (None, before - after));
    assert_eq!(
        (report.pages_before, report.pages_after * PAGE),
        (db.stat().pages.max(report.pages_before), after)
    );
    assert!(after < before / 3, "{before} -> {after}");
    is_whole(&db);
    // It grows again, and what was there before is not taken for what is there now.
    let again = fill(&db, b"again", 20_000);
    is_whole(&db);
    let mut txn = db.begin_read().expect("read");
    has_all(&mut txn, kept, 5_000);
    has_all(&mut txn, again, 20_000);
}

#[test]
fn the_file_is_not_cut_under_a_reader_that_may_reach_further() {
    let (_dir, path, db) = database();
    let kept = fill(&db, b"kept", 5_000);
    fill(&db, b"other", 20_000);
    drop_table(&db, b"other");
    // It sees nothing of the table, but it may reach as far as the file does.
    db.sync().expect("sync");
    let mut reader = db.begin_read().expect("read");
    let before = bytes(&path);
    let report = compact(&db);
    assert_eq!((report.held, report.cut_bytes), (Some(reader.id()), 0));
    assert_eq!(bytes(&path), before);
    assert!(report.pages_after < report.pages_before / 3, "{report:?}");
    has_all(&mut reader, kept, 5_000);
    drop(reader);
    let report = compact(&db);
    assert_eq!(report.held, None);
    assert!(bytes(&path) < before / 3);
    is_whole(&db);
}

#[test]
fn a_reader_that_sees_the_last_page_is_named() {
    let (_dir, _, db) = database();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let table = txn.table_create(b"other", false).expect("table");
    for n in 0..20_000 {
        txn.put(table, &key(n), &[n as u8; 200], PutMode::Set).expect("put");
    }
    txn.commit().expect("commit");
    // The pages of this commit lie behind all of these, and the reader sees them.
    drop_table(&db, b"other");
    let reader = db.begin_read().expect("read");
    let report = compact(&db);
    assert_eq!(report.held, Some(reader.id()), "{report:?}");
    assert!(report.pending_pages > 0 && report.pages_after > 1_000, "{report:?}");
    drop(reader);
    let report = compact(&db);
    assert!(report.held.is_none() && report.pages_after < 100, "{report:?}");
    is_whole(&db);
}

#[test]
fn a_reader_of_what_lies_elsewhere_is_not_named() {
    let (_dir, _, db) = database();
    let front = fill(&db, b"front", 2_000);
    fill(&db, b"behind", 20_000);
    compact(&db);
    let reader = db.begin_read().expect("read");
    change(&db, |txn| txn.put(front, &key(7), &[0; 200], PutMode::Set).map(drop));
    let report = compact(&db);
    assert!(report.pending_pages > 0, "{report:?}");
    assert_eq!(report.held, None, "{report:?}");
    drop(reader);
}

#[test]
fn a_large_free_end_is_given_back_without_being_asked() {
    let (_dir, path, db) = database();
    let kept = fill(&db, b"kept", 5_000);
    fill(&db, b"other", 120_000);
    drop_table(&db, b"other");
    let before = db.stat().pages;
    let mut small = 0;
    for n in 0..2_000u32 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(kept, &key(n % 5_000), &[n as u8; 200], PutMode::Set)
            .expect("put");
        txn.commit().expect("commit");
        small += u32::from(db.stat().pages < before / 2);
        if small == 60 {
            break;
        }
    }
    // Each writer has cut off one piece, as long as the end was an eighth and 2 MiB too far away.
    let needed = db.stat().pages * PAGE;
    let most = needed + needed / 8 + (2 << 20);
    assert!(bytes(&path) <= most, "{} of {most}", bytes(&path));
    is_whole(&db);
}

#[test]
fn the_room_of_free_runs_is_given_back_and_used_again() {
    let (_dir, _, db) = database();
    fill(&db, b"first", 20_000);
    let kept = fill(&db, b"kept", 5_000);
    drop_table(&db, b"first");
    let punch = CompactOptions {
        stay: true,
        punch: true,
    };
    let report = db.compact(&punch, &Job::silent()).expect("compact");
    assert!(report.punched_bytes > 1 << 20, "{report:?}");
    is_whole(&db);
    let again = fill(&db, b"again", 20_000);
    is_whole(&db);
    let mut txn = db.begin_read().expect("read");
    has_all(&mut txn, kept, 5_000);
    has_all(&mut txn, again, 20_000);
}

#[test]
fn a_database_in_memory_gives_memory_back() {
    let options = Options {
        memory: true,
        ..options()
    };
    let db = Db::open("".as_ref(), &options).expect("open");
    let kept = fill(&db, b"kept", 5_000);
    fill(&db, b"other", 20_000);
    drop_table(&db, b"other");
    let report = db
        .compact(
            &CompactOptions {
                punch: true,
                ..CompactOptions::default()
            },
            &Job::silent(),
        )
        .expect("compact");
    assert!(report.pages_after < report.pages_before / 3, "{report:?}");
    let again = fill(&db, b"again", 20_000);
    let mut txn = db.begin_read().expect("read");
    has_all(&mut txn, kept, 5_000);
    has_all(&mut txn, again, 20_000);
    is_whole(&db);
}

#[test]
fn what_a_snapshot_sees_is_not_moved_in_vain() {
    let (_dir, _, db) = database();
    fill(&db, b"large", 20_000);
    let small = fill(&db, b"small", 5_000);
    drop_table(&db, b"large");
    change(&db, |txn| txn.snapshot_create(b"now", &SnapshotOptions::default()));
    let report = compact(&db);
    assert!(report.moved_pages < 16 && report.parked_pages < 32, "{report:?}");
    is_whole(&db);
    change(&db, |txn| txn.snapshot_drop(b"now"));
    let report = compact(&db);
    assert!(report.moved_pages > 100 && report.pages_after < 500, "{report:?}");
    has_all(&mut db.begin_read().expect("read"), small, 5_000);
    is_whole(&db);
}

/// Returns how many bytes this process has handed to the system to be written.
fn written() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").expect("figures of this process");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: "));
    line.and_then(|bytes| bytes.parse().ok()).expect("a number")
}

#[test]
fn what_is_left_of_a_thinned_table_moves_together() {
    let (_dir, path, db) = database();
    let count = 60_000;
    let table = fill(&db, b"table", count);
    // Nine of ten go, in a random order.
    let mut left: Vec<u32> = (0..count).collect();
    let mut random = Random::new(7);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..count / 10 * 9 {
        let n = left.swap_remove(random.below(left.len() as u64) as usize);
        assert!(txn.delete(table, &key(n)).expect("delete"));
    }
    txn.commit().expect("commit");
    db.sync().expect("sync");
    let (before, written_before) = (bytes(&path), written());
    let report = compact(&db);
    let (after, wrote) = (bytes(&path), written() - written_before);
    let living = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    let living = (living.tree_pages + living.overflow_pages) * PAGE;
    println!("compact: {before} bytes -> {after}, of which {living} live; {wrote} written; {report:?}");
    assert!(after * 10 <= living * 12, "{after} bytes of which {living} live");
    assert!(wrote <= before - after, "{wrote} bytes were written");
    let txn = db.begin_read().expect("read");
    let mut txn = &txn;
    let entries = txn.count(table, &Range::default()).expect("count");
    assert_eq!(entries, left.len() as u64);
    for n in left {
        assert_eq!(txn.get(table, &key(n)).expect("get"), Some(&[n as u8; 200][..]));
    }
    drop(db);
    is_whole(&Db::open(&path, &options()).expect("open again"));
}

#[test]
fn large_pages_leave_no_more_free_than_small_ones() {
    let dir = TempDir::new("compact");
    let path = dir.file("a.kv");
    let large = Options {
        page_size: 65536,
        ..options()
    };
    let db = Db::open(&path, &large).expect("open");
    let count = 60_000;
    let table = fill(&db, b"table", count);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in (0..count).filter(|n| n / 600 % 2 == 0) {
        assert!(txn.delete(table, &key(n)).expect("delete"));
    }
    txn.commit().expect("commit");
    let report = compact(&db);
    let found = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    let lives = found.tree_pages + found.overflow_pages;
    assert!(
        report.pages_after <= lives * 11 / 10 + 40,
        "{lives} pages live: {report:?}"
    );
}

/// However much of the file is free, and wherever: what is left is not much longer than what lives in it.
#[test]
fn a_file_of_which_any_part_is_free_becomes_short() {
    for (free, living, at_front) in [(20_000, 60_000, true), (60_000, 60_000, true), (60_000, 60_000, false)] {
        let dir = TempDir::new("compact");
        let path = dir.file("a.kv");
        let db = Db::open(&path, &options()).expect("open");
        let mut table = fill(&db, b"table", if at_front { free } else { free + living });
        if at_front {
            let other = fill(&db, b"other", living);
            drop_table(&db, b"table");
            table = other;
        } else {
            let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
            for n in (0..free + living).filter(|n| n / 40 % 2 == 0) {
                assert!(txn.delete(table, &key(n)).expect("delete"));
            }
            txn.commit().expect("commit");
        }
        let report = compact(&db);
        let found = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
        let lives = found.tree_pages + found.overflow_pages;
        println!("compact: {free} beside {living}: {lives} pages live, {report:?}");
        assert!(
            report.pages_after <= lives * 11 / 10 + 160,
            "{lives} pages live: {report:?}"
        );
        let txn = db.begin_read().expect("read");
        let entries = (&txn).count(table, &Range::default()).expect("count");
        assert_eq!(entries, u64::from(living));
    }
}

#[test]
fn what_snapshots_keep_is_told() {
    let (_dir, _, db) = database();
    let table = fill(&db, b"table", 20_000);
    change(&db, |txn| txn.snapshot_create(b"all", &SnapshotOptions::default()));
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.delete_range(table, &Range::default()).expect("delete");
    txn.commit().expect("commit");
    let report = compact(&db);
    assert!(report.parked_pages > 1_000, "{report:?}");
    let mut seen = db.begin_read_at(ReadAt::Snapshot(b"all")).expect("read");
    has_all(&mut seen, table, 20_000);
    drop(seen);
    is_whole(&db);
    change(&db, |txn| txn.snapshot_drop(b"all"));
    let report = compact(&db);
    assert!(report.parked_pages == 0 && report.pages_after < 200, "{report:?}");
    is_whole(&db);
}

/// Changes an entry in a lazy commit of its own.
fn put_lazily(db: &Db, table: TableId, n: u32) {
    let lazy = WriteOptions {
        durability: Some(Durability::Lazy),
        ..WriteOptions::default()
    };
    let mut txn = db.begin_write(lazy).expect("begin");
    txn.put(table, &key(n), &[n as u8; 180], PutMode::Set).expect("put");
    txn.commit().expect("commit");
}

#[test]
fn others_read_and_write_meanwhile() {
    let (_dir, path, db) = database();
    let count = 30_000;
    let table = fill(&db, b"table", count);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in (0..count).filter(|n| n % 10 > 0) {
        assert!(txn.delete(table, &key(n)).expect("delete"));
    }
    txn.commit().expect("commit");
    let before = bytes(&path);
    let done = AtomicBool::new(false);
    let (report, commits) = std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let mut commits = 0;
            while !done.load(SeqCst) {
                put_lazily(&db, table, commits % (count / 10) * 10);
                commits += 1;
            }
            commits
        });
        let reader = threads.spawn(|| {
            while !done.load(SeqCst) {
                let txn = db.begin_read().expect("read");
                let mut reader = &txn;
                assert_eq!(
                    reader.count(table, &Range::default()).expect("count"),
                    u64::from(count / 10)
                );
                for n in (0..count).step_by(10) {
                    let value = reader.get(table, &key(n)).expect("get").expect("an entry");
                    assert!(value.iter().all(|byte| *byte == value[0]), "{n}");
                }
            }
        });
        let report = compact(&db);
        done.store(true, SeqCst);
        reader.join().expect("reader");
        (report, writer.join().expect("writer"))
    });
    println!(
        "compact: {before} bytes -> {}, {commits} commits meanwhile, {report:?}",
        bytes(&path)
    );
    is_whole(&db);
    let report = compact(&db);
    assert!(report.held.is_none() && bytes(&path) * 3 < before, "{report:?}");
    is_whole(&db);
}

#[test]
fn the_file_becomes_short_beside_one_who_writes_without_a_pause() {
    let (_dir, path, db) = database();
    let count = 200_000;
    let table = fill(&db, b"table", count);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in (0..count).filter(|n| n % 10 > 2) {
        assert!(txn.delete(table, &key(n)).expect("delete"));
    }
    txn.commit().expect("commit");
    let before = bytes(&path);
    let done = AtomicBool::new(false);
    let report = std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            for n in (0..).take_while(|_| !done.load(SeqCst)) {
                put_lazily(&db, table, n * 7919 % count / 10 * 10);
            }
        });
        // One call is enough where the two get turns as they come, but the machine may give one of them none for long.
        let reports = (0..6).map(|_| compact(&db));
        let last = reports.take_while(|_| bytes(&path) >= before * 3 / 4).last();
        done.store(true, SeqCst);
        writer.join().expect("writer");
        last
    });
    assert!(bytes(&path) < before * 3 / 4, "{before}: {report:?}");
    is_whole(&db);
}

#[test]
fn records_at_the_end_of_the_file_do_not_keep_it() {
    let (_dir, path, db) = database();
    let count = 30_000;
    let table = fill(&db, b"table", count);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in (0..count).filter(|n| n % 10 > 0) {
        assert!(txn.delete(table, &key(n)).expect("delete"));
    }
    txn.commit().expect("commit");
    compact(&db);
    let most = bytes(&path) * 5 / 4;
    // Readers see all that dies, so the file grows. What the commits say of their pages goes to an extent of its own
    // now and then: in one of these rounds with the last commit, so that it is the last thing in the file.
    for commits in 180..210 {
        let mut seen = Vec::new();
        for n in 0..commits {
            seen.push(db.begin_read().expect("read"));
            put_lazily(&db, table, n * 7919 % count / 10 * 10);
        }
        drop(seen);
        let report = compact(&db);
        assert!(report.held.is_none() && bytes(&path) < most, "{commits}: {report:?}");
    }
    is_whole(&db);
}

#[test]
fn a_snapshot_knows_how_long_the_file_is_that_its_own_commit_makes_shorter() {
    let dir = TempDir::new("compact");
    let db = Db::open(&dir.file("a.kv"), &options()).expect("open");
    let kept = fill(&db, b"kept", 5_000);
    fill(&db, b"other", 40_000);
    drop_table(&db, b"other");
    let (before, snapshot) = (
        db.stat().pages,
        SnapshotOptions {
            replace: true,
            ..SnapshotOptions::default()
        },
    );
    for n in 0..2_000 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(kept, &key(n), &[n as u8; 200], PutMode::Set).expect("put");
        txn.snapshot_create(b"now", &snapshot).expect("snapshot");
        txn.commit().expect("commit");
        let (pages, recorded) = (db.stat().pages, (&mut &db.begin_read().expect("read")).snapshot(b"now"));
        let recorded = recorded.expect("the snapshot");
        assert!(
            recorded.file_pages <= pages,
            "{} of {pages} in commit {n}",
            recorded.file_pages
        );
        assert!(
            recorded.file_pages + 64 >= pages,
            "{} of {pages} in commit {n}",
            recorded.file_pages
        );
        assert!(
            recorded.used_pages <= recorded.file_pages && recorded.used_pages > 250,
            "{recorded:?}"
        );
        if pages < before / 2 {
            return is_whole(&db);
        }
    }
    panic!("no commit has made the file shorter");
}

#[test]
fn very_many_tables_without_pages_are_passed_over() {
    let (_dir, _, db) = database();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    // A step passes over 65,536 of them.
    for n in 0..70_000 {
        txn.table_create(format!("table {n}").as_bytes(), false).expect("table");
    }
    txn.commit().expect("commit");
    let other = fill(&db, b"other", 20_000);
    let kept = fill(&db, b"kept", 5_000);
    change(&db, |txn| txn.delete_range(other, &Range::default()).map(drop));
    let begun = Instant::now();
    let mut go_on = |_, _| begun.elapsed() < Duration::from_secs(60);
    let report = db
        .compact(&CompactOptions::default(), &Job::new(&mut go_on))
        .expect("an end");
    assert!(report.pages_after < report.pages_before, "{report:?}");
    has_all(&mut db.begin_read().expect("read"), kept, 5_000);
    is_whole(&db);
}
