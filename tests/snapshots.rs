//! Named snapshots against a model: what each of them shows, that every page of the file has exactly one use, and that
//! everything is given back when they are dropped.

mod common;

use common::env_number;
use common::in_memory::{self, change, check};
use common::rng::Rng;
use common::tmp::TempDir;
use kv::{
    CommitId, Db, Error, Options, PutMode, ReadAt, ReadTxn, Reader, SnapshotOptions, TableId, WriteOptions, WriteTxn,
};
use std::collections::BTreeMap;

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn content(mut txn: &ReadTxn) -> Content {
    let mut cursor = kv::Cursor::new(&mut txn, TableId::MAIN, &kv::Range::default()).expect("cursor");
    let mut all = Content::new();
    while cursor.next(&mut txn).expect("next") {
        let key = cursor.key().to_vec();
        all.insert(key, cursor.value(&mut txn).expect("value").to_vec());
    }
    all
}

/// A state that is held somehow, with what it must show.
struct Held {
    commit: CommitId,
    content: Content,
}

#[test]
fn snapshots_show_what_was_and_give_everything_back() {
    for seed in 0..env_number("KV_SNAPSHOT_SEEDS", 8) {
        histories(seed + 1);
    }
}

fn histories(seed: u64) {
    let mut random = Rng::new(seed);
    let db = in_memory::open();
    let mut now = Content::new();
    let mut names: BTreeMap<Vec<u8>, Held> = BTreeMap::new();
    let mut readers: Vec<(ReadTxn, Content)> = Vec::new();
    for round in 0..env_number("KV_SNAPSHOT_ROUNDS", 400) {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let edits = if random.one_in(8) { 800 } else { random.below(40) };
        for _ in 0..edits {
            let key = format!("{:05}", random.below(3000)).into_bytes();
            if random.one_in(3) {
                txn.delete(TableId::MAIN, &key).expect("delete");
                now.remove(&key);
            } else {
                let long = if random.one_in(50) { 9000 } else { 200 };
                let value = vec![random.below(251) as u8; random.below(long) as usize];
                txn.put(TableId::MAIN, &key, &value, PutMode::Set).expect("put");
                now.insert(key, value);
            }
        }
        let mut new = Vec::new();
        if random.one_in(4) {
            let name = format!("own {}", random.below(30)).into_bytes();
            let options = SnapshotOptions {
                replace: true,
                ..SnapshotOptions::default()
            };
            txn.snapshot_create(&name, &options).expect("create");
            new.push(name);
        }
        if random.one_in(6) && !readers.is_empty() {
            let (reader, content) = &readers[random.below(readers.len() as u64) as usize];
            let name = format!("old {round}").into_bytes();
            txn.snapshot_create_of(&name, reader, &SnapshotOptions::default())
                .expect("create");
            let held = Held {
                commit: reader.id(),
                content: content.clone(),
            };
            names.insert(name, held);
        }
        if random.one_in(4) && !names.is_empty() {
            let name = names
                .keys()
                .nth(random.below(names.len() as u64) as usize)
                .expect("a name")
                .clone();
            if !new.contains(&name) {
                txn.snapshot_drop(&name).expect("drop");
                names.remove(&name);
            }
        }
        let id = txn.commit().expect("commit");
        for name in new {
            names.insert(
                name,
                Held {
                    commit: id,
                    content: now.clone(),
                },
            );
        }
        if random.one_in(3) {
            readers.push((db.begin_read().expect("read"), now.clone()));
        }
        if !readers.is_empty() && (readers.len() > 4 || random.one_in(4)) {
            let (reader, expected) = readers.swap_remove(random.below(readers.len() as u64) as usize);
            assert_eq!(content(&reader), expected, "a reader of commit {}", reader.id());
        }
        if random.one_in(20) {
            db.sync().expect("sync");
        }
        if random.one_in(60) {
            db.reclaim().expect("reclaim");
        }
        if round % 16 == 0 {
            for (name, held) in &names {
                let reader = db.begin_read_at(ReadAt::Snapshot(name)).expect("a snapshot");
                assert_eq!(reader.id(), held.commit);
                assert_eq!(content(&reader), held.content, "{name:?} of commit {}", held.commit);
            }
            check(&db);
        }
    }
    readers.clear();
    for name in names.keys() {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.snapshot_drop(name).expect("drop");
        txn.commit().expect("commit");
    }
    db.reclaim().expect("reclaim");
    let report = check(&db);
    assert_eq!((report.parked_pages, report.snapshots), (0, 0));
    assert!(matches!(
        db.begin_read_at(ReadAt::Snapshot(b"old 1")),
        Err(Error::NotFound)
    ));
    assert_eq!(content(&db.begin_read().expect("read")), now);
    let list = db.begin_read().expect("read");
    assert_eq!(
        (&list).count(TableId::SNAPSHOTS, &kv::Range::default()).expect("count"),
        0
    );
}

fn put(txn: &mut WriteTxn, value: &[u8]) {
    txn.put(TableId::MAIN, b"key", value, PutMode::Set).expect("put");
}

#[test]
fn what_a_reader_saw_stays_held_until_it_is_recorded() {
    let db = in_memory::open();
    let first = change(&db, |txn| put(txn, b"1"));
    let reader = db.begin_read().expect("read");
    change(&db, |txn| put(txn, b"2"));
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.snapshot_create_of(b"old", &reader, &SnapshotOptions::default())
        .expect("create");
    drop(reader);
    assert_eq!(db.held(), [first]);
    txn.commit().expect("commit");
    assert_eq!(db.held(), []);
    let reader = db.begin_read_at(ReadAt::Snapshot(b"old")).expect("read");
    assert_eq!(
        (reader.id(), reader.get(TableId::MAIN, b"key").expect("get")),
        (first, Some(&b"1"[..]))
    );
    // What did not become a snapshot is not held either.
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.snapshot_create_of(b"never", &reader, &SnapshotOptions::default())
        .expect("create");
    drop((txn, reader));
    assert_eq!(db.held(), []);
}

#[test]
fn names_are_taken_given_up_and_kept() {
    let db = in_memory::open();
    let replace = SnapshotOptions {
        replace: true,
        note: b"a note",
        ..SnapshotOptions::default()
    };
    let one = change(&db, |txn| {
        put(txn, b"1");
        txn.snapshot_create(b"a", &replace).expect("create");
        txn.snapshot_create(b"b", &SnapshotOptions::default()).expect("create");
        let taken = txn.snapshot_create(b"a", &SnapshotOptions::default());
        assert!(matches!(taken, Err(Error::Exists(_))), "{taken:?}");
    });
    let info = |name: &[u8]| (&mut &db.begin_read().expect("read")).snapshot(name);
    let (a, b) = (info(b"a").expect("a"), info(b"b").expect("b"));
    assert_eq!((a.commit, &a.note[..], a.keep), (one, &b"a note"[..], false));
    assert_eq!(
        (a.guid, a.commit, a.time),
        (b.guid, b.commit, b.time),
        "one state has one GUID"
    );
    assert!(a.used_pages > 4 && a.used_pages <= a.file_pages && a.time > 1 << 60);
    let two = change(&db, |txn| {
        put(txn, b"2");
        txn.snapshot_rename(b"a", b"c").expect("rename");
        txn.snapshot_keep(b"b", true).expect("keep");
        assert!(matches!(txn.snapshot_drop(b"b"), Err(Error::Invalid(_))));
        assert!(matches!(txn.snapshot_create(b"b", &replace), Err(Error::Invalid(_))));
        assert!(matches!(txn.snapshot_rename(b"c", b"b"), Err(Error::Invalid(_))));
        assert!(matches!(txn.snapshot_drop(b"a"), Err(Error::NotFound)));
        assert!(matches!(txn.snapshot_create(b"", &replace), Err(Error::Invalid(_))));
        assert!(matches!(
            txn.snapshot_create(&[b'x'; 513], &replace),
            Err(Error::TooBig { .. })
        ));
        assert!(matches!(
            txn.put(TableId::SNAPSHOTS, b"x", b"", PutMode::Set),
            Err(Error::ReadOnly(_))
        ));
        txn.snapshot_create(b"new", &SnapshotOptions::default())
            .expect("create");
        txn.snapshot_rename(b"new", b"newer").expect("rename");
    });
    assert!(matches!(info(b"a"), Err(Error::NotFound)));
    assert_eq!(
        (info(b"c").expect("c").guid, info(b"newer").expect("newer").commit),
        (a.guid, two)
    );
    assert!(info(b"b").expect("b").keep);
    let sees = |at| {
        let txn = db.begin_read_at(at)?;
        let value = txn.get(TableId::MAIN, b"key")?.map(<[u8]>::to_vec);
        Ok::<_, Error>((txn.id(), value))
    };
    let (first, second) = ((one, Some(b"1".to_vec())), (two, Some(b"2".to_vec())));
    assert_eq!(sees(ReadAt::Snapshot(b"c")).expect("c"), first);
    assert_eq!(sees(ReadAt::Snapshot(b"newer")).expect("newer"), second);
    // By commit and by time: the newest that is not newer.
    let three = change(&db, |txn| put(txn, b"3"));
    assert_eq!(sees(ReadAt::Commit(one)).expect("one"), first);
    assert_eq!(sees(ReadAt::Commit(three)).expect("three").0, three);
    let four = change(&db, |txn| put(txn, b"4"));
    assert_eq!(
        sees(ReadAt::Commit(three)).expect("the last snapshot before it"),
        second
    );
    assert!(matches!(sees(ReadAt::Commit(CommitId::new(1))), Err(Error::NotFound)));
    assert_eq!(sees(ReadAt::Time(a.time)).expect("a time"), first);
    assert_eq!(sees(ReadAt::Time(u64::MAX)).expect("now").0, four);
    assert!(matches!(sees(ReadAt::Time(a.time - 1)), Err(Error::NotFound)));
    change(&db, |txn| {
        txn.snapshot_keep(b"b", false).expect("keep");
        txn.snapshot_drop(b"b").expect("drop");
    });
    assert!(matches!(sees(ReadAt::Snapshot(b"b")), Err(Error::NotFound)));
    assert_eq!(sees(ReadAt::Snapshot(b"c")).expect("c"), first, "its other name");
    // A reader of a snapshot sees no list of them, and goes on to the newest state like any other.
    let mut reader = db.begin_read_at(ReadAt::Snapshot(b"c")).expect("c");
    assert!(matches!(
        (&reader).count(TableId::SNAPSHOTS, &kv::Range::default()),
        Err(Error::NoTable(_))
    ));
    reader.refresh().expect("refresh");
    assert_eq!(reader.get(TableId::MAIN, b"key").expect("get"), Some(&b"4"[..]));
    assert!((&reader).count(TableId::SNAPSHOTS, &kv::Range::default()).is_ok());
    check(&db);
}

#[test]
fn snapshots_are_there_after_closing_and_in_files_that_are_only_read() {
    let dir = TempDir::new("snapshots");
    let path = dir.file("a.kv");
    let open = |read_only| {
        let options = Options {
            read_only,
            ..Options::default()
        };
        Db::open(&path, &options).expect("open")
    };
    let db = open(false);
    change(&db, |txn| {
        put(txn, b"1");
        txn.snapshot_create(b"s", &SnapshotOptions::default()).expect("create");
    });
    for n in 0..60u8 {
        change(&db, |txn| put(txn, &[n; 900]));
    }
    drop(db);
    for read_only in [true, false] {
        let db = open(read_only);
        let old = db.begin_read_at(ReadAt::Snapshot(b"s")).expect("read");
        assert_eq!(old.get(TableId::MAIN, b"key").expect("get"), Some(&b"1"[..]));
        assert_eq!(check(&db).snapshots, 1);
    }
    let db = open(false);
    change(&db, |txn| txn.snapshot_drop(b"s").expect("drop"));
    db.reclaim().expect("reclaim");
    assert_eq!((check(&db).parked_pages, db.stat().parked_pages), (0, 0));
    drop(db);
    let slot = std::fs::read(&path).expect("read");
    assert_eq!(
        slot[16], 0,
        "a database without snapshots uses nothing that older versions do not know"
    );
}

#[test]
fn what_a_drop_frees_is_told_before() {
    let db = in_memory::open();
    let mut random = Rng::new(77);
    let mut names: Vec<Vec<u8>> = Vec::new();
    for round in 0..60u32 {
        change(&db, |txn| {
            for _ in 0..300 {
                let key = random.below(4000).to_be_bytes();
                txn.put(TableId::MAIN, &key, &[round as u8; 150], PutMode::Set)
                    .expect("put");
            }
            let name = format!("{round:03}").into_bytes();
            txn.snapshot_create(&name, &SnapshotOptions::default()).expect("create");
            names.push(name);
        });
    }
    let of_all = |names: &[Vec<u8>]| match names {
        [] => 0,
        [first, .., last] => db.snapshot_cost(first, last).expect("cost"),
        [one] => db.snapshot_cost(one, one).expect("cost"),
    };
    let mut all = of_all(&names);
    while !names.is_empty() {
        let first = random.below(names.len() as u64) as usize;
        let last = (first + random.below(4) as usize).min(names.len() - 1);
        let cost = db.snapshot_cost(&names[last], &names[first]).expect("cost");
        change(&db, |txn| {
            for name in names.drain(first..=last) {
                txn.snapshot_drop(&name).expect("drop");
            }
        });
        db.reclaim().expect("reclaim");
        let left = of_all(&names);
        assert_eq!(cost, all - left);
        // What died last is not parked yet.
        let stat = db.stat();
        assert!(
            (stat.parked_pages..=stat.parked_pages + stat.pending_pages).contains(&left),
            "{left}: {stat:?}"
        );
        all = left;
    }
    assert!(matches!(db.snapshot_cost(b"000", b"001"), Err(Error::NotFound)));
}

#[test]
fn figures_tell_what_snapshots_keep() {
    let db = in_memory::open();
    let fill = |txn: &mut WriteTxn, byte: u8, entries: u32| {
        for n in 0..entries {
            txn.put(TableId::MAIN, &n.to_be_bytes(), &[byte; 100], PutMode::Set)
                .expect("put");
        }
    };
    for (byte, entries) in [(1, 100), (2, 3200), (3, 12_800)] {
        change(&db, |txn| {
            fill(txn, byte, entries);
            txn.snapshot_create(&[byte], &SnapshotOptions::default())
                .expect("create");
        });
        let info = (&mut &db.begin_read().expect("read"))
            .snapshot(&[byte])
            .expect("a snapshot");
        let after = db.stat();
        assert!(
            info.file_pages <= after.pages && info.file_pages + 8 >= after.pages,
            "{byte}: {} of {after:?}",
            info.file_pages
        );
    }
    for byte in 4..8 {
        change(&db, |txn| fill(txn, byte, 12_800));
        db.sync().expect("sync");
    }
    change(&db, |_| {});
    let kept = db.snapshot_cost(&[1], &[3]).expect("cost");
    let stat = db.stat();
    assert!(kept > 300 && stat.parked_pages >= kept, "{kept}: {stat:?}");
    change(&db, |txn| {
        (1..4).for_each(|name| txn.snapshot_drop(&[name]).expect("drop"))
    });
    assert_eq!(db.reclaim().expect("reclaim"), stat.parked_pages);
    assert_eq!(db.stat().parked_pages, 0);
    // One that reads a snapshot is told where the list is.
    change(&db, |txn| {
        txn.snapshot_create(b"s", &SnapshotOptions::default()).expect("create")
    });
    let old = db.begin_read().expect("read");
    change(&db, |txn| put(txn, b"x"));
    drop(old);
    let old = db.begin_read_at(ReadAt::Snapshot(b"s")).expect("read");
    let error = (&mut &old).snapshot(b"s").expect_err("no list").to_string();
    assert!(error.contains("newest state"), "{error}");
}

#[test]
fn the_time_of_a_snapshot_is_that_of_its_commit() {
    let db = in_memory::open();
    change(&db, |txn| {
        put(txn, b"1");
        txn.snapshot_create(b"early", &SnapshotOptions::default())
            .expect("create");
    });
    let pause = std::time::Duration::from_millis(3);
    let mut between = 0;
    change(&db, |txn| {
        txn.snapshot_create(b"late", &SnapshotOptions::default())
            .expect("create");
        std::thread::sleep(pause);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        between = now.expect("a time").as_nanos() as u64;
        std::thread::sleep(pause);
        put(txn, b"2");
    });
    change(&db, |txn| put(txn, b"3"));
    let then = db.begin_read_at(ReadAt::Time(between)).expect("read");
    assert_eq!(then.get(TableId::MAIN, b"key").expect("get"), Some(&b"1"[..]));
}

#[test]
fn a_reader_of_the_newest_state_by_its_name_sees_the_list_once_it_is_refreshed() {
    let db = in_memory::open();
    change(&db, |txn| {
        txn.snapshot_create(b"s", &SnapshotOptions::default()).expect("create")
    });
    let mut reader = db.begin_read_at(ReadAt::Snapshot(b"s")).expect("read");
    assert!((&mut &reader).snapshot(b"s").is_err());
    reader.refresh().expect("refresh");
    assert_eq!((&mut &reader).snapshot(b"s").expect("a snapshot").commit, reader.id());
}
