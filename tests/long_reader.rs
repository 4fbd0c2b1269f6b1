//! One reader held while the table is overwritten many times over: the file keeps what the reader sees and what is
//! current, not everything in between, and stops growing when the reader ends.

mod common;

use common::env_number;
use common::rng::{mix, Rng};
use common::tmp::TempDir;
use kv::{Db, Options, PutMode, ReadTxn, Reader, TableId, WriteOptions};

const ENTRIES: u64 = 100_000;
/// Overwrites while the reader is held.
const OVERWRITES: u64 = 2_000_000;

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
fn overwrite(db: &Db, rng: &mut Rng, entries: u64, version: u64) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..entries {
        let i = rng.below(ENTRIES);
        txn.put(TableId::MAIN, &key(i), &value(i, version), PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
}

fn sees_the_load(read: &ReadTxn) {
    for i in (0..ENTRIES).step_by(7) {
        let found = read.get(TableId::MAIN, &key(i)).expect("get");
        assert_eq!(found, Some(&value(i, 0)[..]), "the reader's entry {i} changed");
    }
}

#[test]
fn a_long_reader_does_not_bloat_the_file() {
    hold_over(500);
}

/// Each commit replaces nine pages of ten.
#[test]
fn nor_when_every_commit_replaces_nearly_every_page() {
    hold_over(10_000);
}

/// Holds a reader over a million overwrites, so many to a commit.
fn hold_over(entries: u64) {
    let commits = OVERWRITES / entries;
    let seed = env_number("KV_SEED", 1);
    let dir = TempDir::new("long-reader");
    let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..ENTRIES {
        txn.put(TableId::MAIN, &key(i), &value(i, 0), PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    let read = db.begin_read().expect("read");
    let stat = (&read).table_stat(TableId::MAIN).expect("stat");
    let live = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
    let report = db
        .check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    assert_eq!(report.entries, ENTRIES);

    let mut rng = Rng::new(seed);
    for version in 1..=commits {
        overwrite(&db, &mut rng, entries, version);
    }
    sees_the_load(&read);
    // What is current may have become less dense than at load: it is measured again.
    let now = db.begin_read().expect("read");
    let stat = (&now).table_stat(TableId::MAIN).expect("stat");
    let current = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
    drop(now);
    let pages = db.stat().pages;
    let limit = (live + current) * 16 / 10;
    assert!(
        pages <= limit,
        "KV_SEED={seed}: {pages} pages for {current} current and {live} held ones; at most {limit} are promised"
    );
    let report = db
        .check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    assert_eq!(report.entries, ENTRIES);

    drop(read);
    for version in 0..20 {
        overwrite(&db, &mut rng, entries, commits + version);
    }
    let settled = db.stat().pages;
    for version in 0..60 {
        overwrite(&db, &mut rng, entries, 2 * commits + version);
    }
    let end = db.stat().pages;
    assert!(
        end <= settled + settled / 100,
        "KV_SEED={seed}: the file still grows: {settled} -> {end} pages"
    );
    assert!(
        end <= limit,
        "KV_SEED={seed}: {end} pages after the reader ended, {limit} while it was held"
    );
    let report = db
        .check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    assert_eq!(report.entries, ENTRIES);
}
