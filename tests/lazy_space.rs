//! The space that lazy commits take: what they take and do not use is free at once, and what waits for a sync is a
//! share of what lives in the file, or 2 MiB.

mod common;

use common::rng::{mix, Rng};
use common::tmp::TempDir;
use kv::{Db, Durability, Options, PutMode, ReadTxn, Reader, TableId, WriteOptions};

/// The order of the keys that are put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Sorted,
    Random,
}

fn open(dir: &TempDir, name: &str, durability: Durability) -> Db {
    let options = Options {
        durability,
        ..Options::default()
    };
    Db::open(&dir.file(name), &options).expect("open")
}

fn pages_of(read: &ReadTxn) -> u64 {
    let stat = (&mut &*read).table_stat(TableId::MAIN).expect("stat");
    stat.leaf_pages + stat.branch_pages + stat.overflow_pages
}

/// Puts so many entries in commits of `each`, and returns the pages of the file and those that live in it.
fn fill(db: &Db, order: Order, commits: u64, each: u64) -> (u64, u64) {
    let mut rng = Rng::new(each);
    let mut next = 0;
    for _ in 0..commits {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for _ in 0..each {
            let key = match order {
                Order::Sorted => next,
                Order::Random => mix(rng.below(commits * each)),
            };
            next += 1;
            txn.put(TableId::MAIN, &key.to_be_bytes(), b"value", PutMode::Set)
                .expect("put");
        }
        txn.commit().expect("commit");
    }
    let pages = db.stat().pages;
    let live = pages_of(&db.begin_read().expect("read"));
    let report = db.check(true, &mut |fault| panic!("{fault:?}"));
    report.expect("check");
    (pages, live)
}

/// The pages that lazy commits which wait for two syncs may keep from being reused.
const WAITING: u64 = 512;

#[test]
fn a_lazy_file_is_not_much_larger_than_a_full_one() {
    let dir = TempDir::new("lazy-space");
    for order in [Order::Sorted, Order::Random] {
        for each in [50, 100, 128, 129, 150, 200, 300, 1000] {
            let [(full, _), (lazy, live)] = [Durability::Full, Durability::Lazy].map(|durability| {
                let name = format!("{order:?}-{each}-{durability:?}.kv");
                fill(&open(&dir, &name, durability), order, 200, each)
            });
            let most = 2 * full + WAITING;
            println!("{order:?}, {each} puts a commit: {live} pages live in {full} (full) and {lazy} (lazy)");
            assert!(
                lazy <= most,
                "{order:?}, {each} puts a commit: {lazy} pages, {full} if full"
            );
        }
    }
}

#[test]
fn a_reader_beside_lazy_commits_keeps_what_it_sees_and_no_more() {
    let dir = TempDir::new("lazy-reader");
    for entries in [1000, 5000, 20_000] {
        for each in [1, 10, 100, 200] {
            let db = open(&dir, &format!("{entries}-{each}.kv"), Durability::Lazy);
            let mut rng = Rng::new(each);
            let commit = |number: u64, keys: &mut dyn Iterator<Item = u64>| {
                let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
                for key in keys {
                    let value = [number as u8; 150];
                    txn.put(TableId::MAIN, &mix(key).to_be_bytes(), &value, PutMode::Set)
                        .expect("put");
                }
                txn.commit().expect("commit");
            };
            commit(0, &mut (0..entries));
            let read = db.begin_read().expect("read");
            let seen = pages_of(&read);
            for number in 1..=2000 {
                commit(number, &mut (0..each).map(|_| rng.below(entries)));
            }
            let (pages, live) = (db.stat().pages, pages_of(&db.begin_read().expect("read")));
            // A sync comes when more than a quarter of the file waits, so the commit that is one too many counts
            // twice, too.
            let most = (live + seen) * 16 / 10 + WAITING + 2 * live.min(each);
            println!("{entries} entries, {each} puts a commit: {pages} pages, {live} live and {seen} seen");
            assert!(
                pages <= most,
                "{entries}, {each}: {pages} pages, {live} live and {seen} seen"
            );
            let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
            assert_eq!(report.entries, entries);
            drop(read);
        }
    }
}
