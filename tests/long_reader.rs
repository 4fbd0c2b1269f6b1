//! One reader, or one named snapshot, held while the table is overwritten many times over: the file keeps what it sees
//! and what is current, not everything in between, and stops growing when it ends. Large and small databases, full and
//! lazy commits.

mod common;

use common::env_number;
use common::rng::{mix, Rng};
use common::tmp::TempDir;
use kv::{Db, Durability, Options, PutMode, ReadAt, ReadTxn, Reader, SnapshotOptions, TableId, WriteOptions};

/// What is held, by what, and over which commits.
#[derive(Debug, Clone, Copy)]
struct Case {
    /// Entries of the table.
    entries: u64,
    /// Overwrites while it is held.
    overwrites: u64,
    /// Those of one commit.
    each: u64,
    durability: Durability,
    /// Whether a snapshot holds it, and no reader.
    is_named: bool,
}

const LARGE: Case = Case {
    entries: 100_000,
    overwrites: 2_000_000,
    each: 500,
    durability: Durability::Full,
    is_named: false,
};
/// A table of some 300 pages.
const SMALL: Case = Case {
    entries: 4000,
    overwrites: 200_000,
    each: 50,
    ..LARGE
};
const NAME: &[u8] = b"held";
/// The pages that lazy commits which wait for two syncs may keep from being reused.
const WAITING: u64 = 512;

fn key(i: u64) -> [u8; 24] {
    let mut key = [0; 24];
    Rng::new(mix(i)).fill(&mut key);
    key
}

fn value(i: u64, version: u64) -> [u8; 150] {
    let mut value = [0; 150];
    Rng::new(mix(i) ^ version).fill(&mut value);
    value
}

/// Overwrites random entries in one transaction.
fn overwrite(db: &Db, rng: &mut Rng, case: &Case, version: u64) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..case.each {
        let i = rng.below(case.entries);
        txn.put(TableId::MAIN, &key(i), &value(i, version), PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
}

fn sees_the_load(read: &ReadTxn, entries: u64) {
    for i in (0..entries).step_by(7) {
        let found = read.get(TableId::MAIN, &key(i)).expect("get");
        assert_eq!(found, Some(&value(i, 0)[..]), "the reader's entry {i} changed");
    }
}

#[test]
fn a_long_reader_does_not_bloat_the_file() {
    hold(&LARGE);
}

/// Each commit replaces nine pages of ten.
#[test]
fn nor_when_every_commit_replaces_nearly_every_page() {
    hold(&Case { each: 10_000, ..LARGE });
}

#[test]
fn nor_does_a_named_snapshot() {
    let case = Case {
        overwrites: 500_000,
        is_named: true,
        ..LARGE
    };
    hold(&case);
    hold(&Case { each: 10_000, ..case });
}

#[test]
fn nor_with_lazy_commits() {
    for is_named in [false, true] {
        hold(&Case {
            overwrites: 500_000,
            durability: Durability::Lazy,
            is_named,
            ..LARGE
        });
    }
}

#[test]
fn nor_in_a_small_file() {
    for durability in [Durability::Full, Durability::Lazy] {
        for is_named in [false, true] {
            for each in [1, 50, 2000] {
                let overwrites = SMALL.overwrites.min(each * 4000);
                hold(&Case {
                    each,
                    overwrites,
                    durability,
                    is_named,
                    ..SMALL
                });
            }
        }
    }
}

/// Holds what was loaded over many overwrites, and measures the file.
fn hold(case: &Case) {
    let commits = case.overwrites / case.each;
    let seed = env_number("KV_SEED", 1);
    let dir = TempDir::new("long-reader");
    let options = Options {
        durability: case.durability,
        ..Options::default()
    };
    let db = Db::open(&dir.file("a.kv"), &options).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..case.entries {
        txn.put(TableId::MAIN, &key(i), &value(i, 0), PutMode::Set)
            .expect("put");
    }
    if case.is_named {
        txn.snapshot_create(NAME, &SnapshotOptions::default()).expect("create");
    }
    txn.commit().expect("commit");
    let read = db.begin_read().expect("read");
    let stat = (&read).table_stat(TableId::MAIN).expect("stat");
    let live = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
    let report = db
        .check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    assert_eq!(report.entries, case.entries);
    let held = (!case.is_named).then_some(read);

    let mut rng = Rng::new(seed);
    for version in 1..=commits {
        overwrite(&db, &mut rng, case, version);
    }
    match &held {
        Some(read) => sees_the_load(read, case.entries),
        None => {
            let read = db.begin_read_at(ReadAt::Snapshot(NAME)).expect("read");
            sees_the_load(&read, case.entries);
        }
    }
    // What is current may have become less dense than at load: it is measured again.
    let now = db.begin_read().expect("read");
    let stat = (&now).table_stat(TableId::MAIN).expect("stat");
    let current = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
    drop(now);
    let pages = db.stat().pages;
    let waiting = if case.durability == Durability::Lazy {
        WAITING
    } else {
        0
    };
    let limit = (live + current) * 16 / 10 + waiting;
    let (tenths, held_pages) = (10 * pages / (live + current), live);
    println!("{case:?}: {pages} pages, {current} current and {held_pages} held: {tenths} tenths");
    assert!(
        pages <= limit,
        "{case:?}, KV_SEED={seed}: {pages} pages for {current} current and {live} held ones; at most {limit} are promised"
    );
    let report = db
        .check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    assert_eq!(report.entries, case.entries);

    drop(held);
    if case.is_named {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.snapshot_drop(NAME).expect("drop");
        txn.commit().expect("commit");
    }
    for version in 0..20 {
        overwrite(&db, &mut rng, case, commits + version);
    }
    let settled = db.stat().pages;
    for version in 0..60 {
        overwrite(&db, &mut rng, case, 2 * commits + version);
    }
    let end = db.stat().pages;
    assert!(
        end <= settled + settled / 100 + waiting,
        "{case:?}, KV_SEED={seed}: the file still grows: {settled} -> {end} pages"
    );
    assert!(
        end <= limit,
        "{case:?}, KV_SEED={seed}: {end} pages after the reader ended, {limit} while it was held"
    );
    let report = db
        .check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    assert_eq!(report.entries, case.entries);
}
