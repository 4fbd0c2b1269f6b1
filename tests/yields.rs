//! Snapshots that yield: by the policy of the file, commits make marks of those that are too old, and of the oldest
//! while all snapshots keep too much.

mod common;

use common::in_memory::{self, change, check, put_many, SNAPSHOT};
use kv::{Db, Error, PutMode, Reader, Retention, SnapshotOptions, TableId, WriteOptions};
use std::time::{Duration, Instant};

const YIELDS: SnapshotOptions<'_> = SnapshotOptions {
    yields: true,
    ..SNAPSHOT
};

fn is_mark(db: &Db, name: &[u8]) -> bool {
    let info = (&mut &db.begin_read().expect("read")).snapshot(name);
    info.expect("info").mark
}

/// Commits until nothing more gives way, so that what gave way is given back.
fn settle(db: &Db) {
    for round in 0..4 {
        put_many(db, 0..1, round);
        db.reclaim().expect("reclaim");
    }
}

#[test]
fn the_oldest_snapshots_give_way_while_too_much_is_kept() {
    let db = in_memory::open();
    put_many(&db, 0..40_000, 1);
    let limits = Retention {
        yield_pages: 600,
        ..Retention::default()
    };
    change(&db, |txn| txn.set_history(Some(&limits)).expect("policy"));
    assert_eq!(
        (&mut &db.begin_read().expect("read")).history().expect("policy"),
        Some(limits)
    );
    for (value, name) in (2..).zip([b"1".as_slice(), b"2", b"3", b"4"]) {
        // The second must not give way, though it may: it is to be kept.
        let options = SnapshotOptions {
            keep: name == b"2",
            ..YIELDS
        };
        change(&db, |txn| txn.snapshot_create(name, &options).expect("create"));
        put_many(&db, 0..10_000, value);
    }
    let marks = |db: &Db| [b"1".as_slice(), b"2", b"3", b"4"].map(|name| is_mark(db, name));
    settle(&db);
    let kept = db.stat().parked_pages;
    assert!(kept <= 600 + 100, "{kept} pages are kept");
    let [first, second, third, fourth] = marks(&db);
    assert!(first && !second && !fourth, "{first} {second} {third} {fourth}");
    assert!(
        db.snapshot_cost(b"4", b"4").expect("cost") > 200,
        "no more give way than must"
    );
    // Another limit, and none.
    let less = Retention {
        yield_pages: 1,
        ..limits
    };
    change(&db, |txn| txn.set_history(Some(&less)).expect("policy"));
    settle(&db);
    assert_eq!(marks(&db), [true, false, true, true]);
    change(&db, |txn| txn.snapshot_keep(b"2", false).expect("keep"));
    settle(&db);
    assert_eq!(marks(&db), [true; 4]);
    assert_eq!((db.stat().parked_pages, check(&db).snapshots), (0, 0));
}

#[test]
fn small_commits_keep_to_the_limit() {
    let db = in_memory::open();
    put_many(&db, 0..20_000, 1);
    let limits = Retention {
        yield_pages: 50,
        ..Retention::default()
    };
    change(&db, |txn| txn.set_history(Some(&limits)).expect("policy"));
    let mut most = 0;
    for n in 0..600u32 {
        change(&db, |txn| {
            for key in [n * 31 % 20_000, n * 7919 % 20_000] {
                txn.put(TableId::MAIN, &key.to_be_bytes(), &[n as u8; 100], PutMode::Set)
                    .expect("put");
            }
            if n % 20 == 0 {
                let name = format!("snapshot {n}");
                txn.snapshot_create(name.as_bytes(), &YIELDS).expect("create");
            }
        });
        if n % 20 == 0 {
            // Lazy commits by themselves are synced by the hundred.
            db.sync().expect("sync");
        }
        let stat = db.stat();
        most = most.max(stat.parked_pages);
    }
    // Between two snapshots, 40 leaves and the branches above them die.
    assert!(most <= 50 + 300, "snapshots kept {most} pages");
    assert!(db.stat().pages < 2_500, "{:?}", db.stat());
    check(&db);
}

#[test]
fn old_snapshots_give_way() {
    let db = in_memory::open();
    put_many(&db, 0..1000, 1);
    let limits = Retention {
        yield_after: 1,
        ..Retention::default()
    };
    let none = Retention {
        last: 1,
        ..Retention::default()
    };
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    assert!(matches!(txn.set_history(Some(&none)), Err(Error::Invalid(_))));
    assert!(matches!(
        txn.set_history(Some(&Retention::default())),
        Err(Error::Invalid(_))
    ));
    txn.set_history(Some(&limits)).expect("policy");
    txn.snapshot_create(b"old", &YIELDS).expect("create");
    txn.snapshot_create(b"other", &SNAPSHOT).expect("create");
    let began = Instant::now();
    txn.commit().expect("commit");
    put_many(&db, 0..1000, 2);
    let is_early = began.elapsed() < Duration::from_millis(900);
    assert!(!is_early || !is_mark(&db, b"old"));
    std::thread::sleep(Duration::from_millis(1100));
    change(&db, |txn| txn.snapshot_create(b"new", &YIELDS).expect("create"));
    assert_eq!(
        [b"old".as_slice(), b"other", b"new"].map(|name| is_mark(&db, name)),
        [true, false, false]
    );
    assert_eq!(check(&db).snapshots, 2);
    // Without a policy, nothing gives way.
    change(&db, |txn| txn.set_history(None).expect("policy"));
    std::thread::sleep(Duration::from_millis(1100));
    put_many(&db, 0..1, 3);
    assert!(!is_mark(&db, b"new"));
}
