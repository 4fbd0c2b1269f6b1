//! The policy of a file as docs/format.md has it, written by the bytes: what is none is damage that a check finds, and
//! what a later version may have written is left alone.

mod common;

use common::image::repair;
use common::tmp::TempDir;
use kv::{Db, Error, Options, PutMode, Reader, Retention, TableId, WriteOptions, WriteTxn};
use std::path::Path;

const POLICY: Retention = Retention {
    interval: 0x0302_0100,
    last: 7,
    hourly: 0x0706_0504,
    daily: 0x0b0a_0908,
    weekly: 0,
    monthly: 1,
    yield_after: 0x1312_1110,
    yield_pages: 0x1b1a_1918_1716_1514,
};
/// What the list has under its key.
const STORED: [u8; 40] = [
    1, 0, 0, 0, 0, 1, 2, 3, 7, 0, 0, 0, 4, 5, 6, 7, 8, 9, 10, 11, 0, 0, 0, 0, 1, 0, 0, 0, 16, 17, 18, 19, 20, 21, 22,
    23, 24, 25, 26, 27,
];

fn change(db: &Db, f: impl FnOnce(&mut WriteTxn)) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    f(&mut txn);
    txn.commit().expect("commit");
}

/// A closed file with the policy, in which some of the bytes of the policy are others.
fn file(path: &Path, others: &[(usize, u8)]) {
    let _ = std::fs::remove_file(path);
    let db = Db::open(path, &Options::default()).expect("open");
    change(&db, |txn| {
        txn.put(TableId::MAIN, b"key", b"value", PutMode::Set).expect("put");
        txn.set_history(Some(&POLICY)).expect("set");
    });
    drop(db);
    let mut image = std::fs::read(path).expect("read");
    let found: Vec<usize> = (0..image.len() - STORED.len())
        .filter(|at| image[*at..*at + STORED.len()] == STORED)
        .collect();
    assert_eq!(found.len(), 1, "the policy is as the text says, once");
    for (at, byte) in others {
        image[found[0] + at] = *byte;
    }
    repair(&mut image);
    std::fs::write(path, image).expect("write");
}

fn faults(db: &Db) -> Vec<String> {
    let mut faults = Vec::new();
    let checked = db.check(true, &mut |fault| {
        faults.push(fault.what.clone());
        true
    });
    checked.expect("check");
    faults
}

fn snapshots(db: &Db) -> u64 {
    let mut faults = faults(db);
    assert!(faults.is_empty(), "{:?}", faults.pop());
    db.check(true, &mut |_| true).expect("check").snapshots
}

#[test]
fn what_is_no_policy_is_damage() {
    let dir = TempDir::new("policy");
    let path = dir.file("a.kv");
    file(&path, &[]);
    let db = Db::open(&path, &Options::default()).expect("open");
    assert_eq!(snapshots(&db), 1);
    assert_eq!(
        (&mut &db.begin_read().expect("read")).history().expect("policy"),
        Some(POLICY)
    );
    drop(db);
    // No version, what is 0, no interval, and nothing that stays.
    let interval: Vec<(usize, u8)> = (4..8).map(|at| (at, 0)).collect();
    let counts: Vec<(usize, u8)> = (8..28).map(|at| (at, 0)).collect();
    for others in [&[(0, 0)][..], &[(2, 1)], &interval, &counts] {
        file(&path, others);
        let db = Db::open(&path, &Options::default()).expect("open");
        let found = faults(&db);
        assert!(
            found.iter().any(|fault| fault.contains("policy")),
            "{others:?}: {found:?}"
        );
        let read = (&mut &db.begin_read().expect("read")).history();
        assert!(matches!(read, Err(Error::Corrupt(_))), "{read:?}");
    }
}

#[test]
fn a_policy_of_a_later_version_is_left_alone() {
    let dir = TempDir::new("policy");
    let path = dir.file("a.kv");
    file(&path, &[(0, 2), (2, 9), (4, 1), (5, 0), (6, 0), (7, 0)]);
    let db = Db::open(&path, &Options::default()).expect("open");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    change(&db, |txn| {
        txn.put(TableId::MAIN, b"key", b"other", PutMode::Set).expect("put")
    });
    assert_eq!(
        snapshots(&db),
        1,
        "a second has passed, but who knows what the policy is"
    );
    let read = (&mut &db.begin_read().expect("read")).history();
    assert!(matches!(read, Err(Error::TooNew(_))), "{read:?}");
    // Another one can be set in its place.
    change(&db, |txn| txn.set_history(Some(&POLICY)).expect("set"));
    assert_eq!(
        (&mut &db.begin_read().expect("read")).history().expect("policy"),
        Some(POLICY)
    );
}
