//! Readers on other threads see whole commits and nothing else, while a writer commits as fast as it can.

mod common;

use common::env_number;
use common::rng::Rng;
use common::tmp::TempDir;
use kv::{CommitId, Cursor, Db, Durability, Options, PutMode, Range, ReadTxn, Reader, TableId, WriteOptions};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

const ACCOUNTS: u64 = 2000;
const EACH: u64 = 1000;

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
}

/// Sum of all accounts, by a scan.
fn sum(read: &ReadTxn) -> u64 {
    let txn = &mut &*read;
    let mut cursor = Cursor::new(txn, TableId::MAIN, &Range::default()).expect("cursor");
    let (mut sum, mut last) = (0, Vec::new());
    while cursor.next(txn).expect("next") {
        assert!(cursor.key() > last.as_slice(), "keys out of order");
        last = cursor.key().to_vec();
        sum += number(&cursor.value(txn).expect("value")[..8]);
    }
    sum
}

/// Money moves between accounts; values change their length so that leaves split and join.
fn transfer(db: &Db, rng: &mut Rng) -> CommitId {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..rng.range(1, 40) {
        let (from, to) = (rng.below(ACCOUNTS), rng.below(ACCOUNTS));
        let amount = rng.below(20);
        for (account, plus, minus) in [(from, 0, amount), (to, amount, 0)] {
            let key = account.to_be_bytes();
            let balance = txn
                .get(TableId::MAIN, &key)
                .expect("get")
                .map_or(0, |value| number(&value[..8]));
            // Whoever has too little gets a debt that wraps: sums wrap, too.
            let mut value = balance.wrapping_add(plus).wrapping_sub(minus).to_le_bytes().to_vec();
            value.resize(8 + rng.index(300), 0);
            txn.put(TableId::MAIN, &key, &value, PutMode::Set).expect("put");
        }
    }
    if rng.percent(20) {
        drop(txn);
        return CommitId::NONE;
    }
    txn.commit().expect("commit")
}

fn run(options: &Options, commits: u64) {
    let dir = TempDir::new("isolation");
    let db = Db::open(&dir.file("bank.kv"), options).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for account in 0..ACCOUNTS {
        txn.put(TableId::MAIN, &account.to_be_bytes(), &EACH.to_le_bytes(), PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    let (done, sums) = (AtomicBool::new(false), AtomicU64::new(0));
    let seed = env_number("KV_SEED", 1);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (db, done, sums) = (&db, &done, &sums);
            scope.spawn(move || {
                let mut newest = CommitId::NONE;
                let mut held = db.begin_read().expect("read");
                while !done.load(SeqCst) {
                    let read = db.begin_read().expect("read");
                    let id = read.id();
                    assert!(
                        id >= newest,
                        "KV_SEED={seed}: reader {reader} went back from commit {newest} to {id}"
                    );
                    newest = id;
                    let total = sum(&read);
                    assert_eq!(total, ACCOUNTS * EACH, "KV_SEED={seed}: reader {reader} at commit {id}");
                    // What was seen once is seen again, however old.
                    assert_eq!(sum(&held), ACCOUNTS * EACH, "KV_SEED={seed}: held at {}", held.id());
                    if sums.fetch_add(1, SeqCst) % 7 == 0 {
                        held = read;
                    }
                }
            });
        }
        let mut rng = Rng::new(seed);
        let mut last = CommitId::NONE;
        for _ in 0..commits {
            let id = transfer(&db, &mut rng);
            assert!(
                id == CommitId::NONE || id > last,
                "KV_SEED={seed}: commit {id} after {last}"
            );
            last = last.max(id);
        }
        // Readers that never came to read would prove nothing.
        while sums.load(SeqCst) < 20 {
            transfer(&db, &mut rng);
        }
        done.store(true, SeqCst);
    });
    let report = db
        .check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    assert_eq!(report.entries, ACCOUNTS);
}

#[test]
fn readers_see_whole_commits_of_a_lazy_file() {
    let options = Options {
        durability: Durability::Lazy,
        ..Options::default()
    };
    run(&options, 1000);
}

#[test]
fn readers_see_whole_commits_of_a_durable_file() {
    let options = Options {
        write_memory: 4096,
        ..Options::default()
    };
    run(&options, 400);
}

#[test]
fn readers_see_whole_commits_in_memory() {
    let options = Options {
        memory: true,
        page_size: 16384,
        ..Options::default()
    };
    run(&options, 1000);
}

#[test]
fn one_read_transaction_serves_many_threads() {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    let db = Db::open(std::path::Path::new(""), &options).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..20_000u64 {
        txn.put(TableId::MAIN, &i.to_be_bytes(), &i.to_le_bytes(), PutMode::Set)
            .expect("put");
    }
    txn.put(TableId::MAIN, b"long", &vec![3; 3_000_000], PutMode::Set)
        .expect("put");
    txn.commit().expect("commit");
    let read = db.begin_read().expect("read");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let read = &read;
            scope.spawn(move || {
                let mut rng = Rng::new(thread);
                for _ in 0..20_000 {
                    let i = rng.below(20_000);
                    assert_eq!(
                        read.get(TableId::MAIN, &i.to_be_bytes()).expect("get"),
                        Some(&i.to_le_bytes()[..])
                    );
                }
                let long = read.get(TableId::MAIN, b"long").expect("get").expect("present");
                assert!(long.len() == 3_000_000 && long.iter().all(|b| *b == 3));
            });
        }
    });
}

#[test]
fn writers_of_many_threads_take_turns() {
    let dir = TempDir::new("turns");
    let db = Db::open(&dir.file("count.kv"), &Options::default()).expect("open");
    let (threads, each) = (8u64, 60u64);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..each {
                    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
                    let count = txn.get(TableId::MAIN, b"count").expect("get").map_or(0, number);
                    txn.put(TableId::MAIN, b"count", &(count + 1).to_le_bytes(), PutMode::Set)
                        .expect("put");
                    txn.commit().expect("commit");
                }
            });
        }
    });
    let read = db.begin_read().expect("read");
    let count = read.get(TableId::MAIN, b"count").expect("get").map(number);
    assert_eq!(count, Some(threads * each), "an update was lost");
}
