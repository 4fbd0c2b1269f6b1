//! History without being asked, and thinning: the snapshots that commits record by themselves and those that stay, with
//! a clock that the tests set. What stays is compared with what a slower and simpler way says.

mod common;

use common::child::{how, role, Child};
use common::env_number;
use common::tmp::TempDir;
use kv::file::sim::{Cut, SimDisk};
use kv::file::Storage;
use kv::pager::set_clock;
use kv::{
    CompactOptions, Db, Durability, Error, Job, Options, PutMode, ReadAt, ReadTxn, Reader, Retention, SnapshotOptions,
    TableId, WriteOptions, WriteTxn,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
/// A Monday, 2026-11-30.
const MONDAY: u64 = 20_787 * DAY;

/// The clock is that of the process, so one test uses it at a time.
struct Clock(#[allow(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

impl Clock {
    fn at(seconds: u64) -> Clock {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        set_clock(seconds * SECOND);
        Clock(turn)
    }

    fn set(&self, seconds: u64) {
        set_clock(seconds * SECOND);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        set_clock(0);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

fn open(path: &Path) -> Db {
    let options = Options {
        memory: path.as_os_str().is_empty(),
        durability: Durability::Lazy,
        ..Options::default()
    };
    Db::open(path, &options).expect("open")
}

fn change(db: &Db, f: impl FnOnce(&mut WriteTxn)) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    f(&mut txn);
    txn.commit().expect("commit");
}

fn put(db: &Db, value: u64) {
    change(db, |txn| {
        txn.put(TableId::MAIN, b"key", &value.to_le_bytes(), PutMode::Set)
            .expect("put");
    });
}

/// The keys of the list that are names.
fn named() -> kv::Range<'static> {
    kv::Range {
        from: Bound::Included(b"\x01"),
        ..kv::Range::default()
    }
}

/// The names of all snapshots, and their times in seconds.
fn snapshots(db: &Db) -> BTreeMap<String, u64> {
    let txn = db.begin_read().expect("read");
    let mut reader = &txn;
    let mut cursor = kv::Cursor::new(&mut reader, TableId::SNAPSHOTS, &named()).expect("cursor");
    let mut all = BTreeMap::new();
    while cursor.next(&mut reader).expect("next") {
        let name = cursor.key().to_vec();
        let info = (&mut &txn).snapshot(&name).expect("a snapshot");
        let name = String::from_utf8(name).expect("text");
        assert_eq!(info.automatic, name.starts_with("auto/"), "{name}");
        all.insert(name, info.time / SECOND);
    }
    all
}

fn check(db: &Db) -> kv::CheckReport {
    let mut faults = Vec::new();
    let report = db.check(true, &mut |fault| {
        faults.push(format!("{fault:?}"));
        true
    });
    assert!(faults.is_empty(), "{faults:#?}");
    report.expect("check")
}

/// What stays of these times, in seconds, by the definition: for each count, the parts that have a snapshot, and of the
/// last of these the newest.
fn stay(times: &BTreeSet<u64>, retention: &Retention) -> BTreeSet<u64> {
    // Years and months as a calendar counts them, day by day.
    let month = |seconds: u64| {
        let (mut days, mut year, mut month) = (seconds / DAY, 1970, 0);
        loop {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if leap { 29 } else { 28 };
            let long = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize];
            if days < long {
                return year * 100 + month;
            }
            days -= long;
            (year, month) = if month == 11 { (year + 1, 0) } else { (year, month + 1) };
        }
    };
    // A Monday is day 4 of 1970.
    let week = |seconds: u64| (seconds / DAY + 3) / 7;
    let rules: [(u32, &dyn Fn(u64) -> u64); 5] = [
        (retention.last, &|seconds| seconds),
        (retention.hourly, &|seconds| seconds / HOUR),
        (retention.daily, &|seconds| seconds / DAY),
        (retention.weekly, &week),
        (retention.monthly, &month),
    ];
    let mut all = BTreeSet::new();
    for (count, part) in rules {
        let mut newest = BTreeMap::new();
        for time in times {
            newest.insert(part(*time), *time);
        }
        all.extend(newest.into_values().rev().take(count as usize));
    }
    all
}

#[test]
fn thinning_keeps_what_the_definition_says() {
    let clock = Clock::at(MONDAY);
    for seed in 1..40 {
        let mut random = Random(seed * 0x9E37_79B9);
        let db = open("".as_ref());
        let spread = [2 * HOUR, 3 * DAY, 40 * DAY, 900 * DAY][seed as usize % 4];
        let mut times = BTreeSet::new();
        while times.len() < 60 {
            times.insert(MONDAY + random.below(spread));
        }
        let kept = random.below(60) as usize;
        for (at, time) in times.iter().enumerate() {
            clock.set(*time);
            change(&db, |txn| {
                txn.put(TableId::MAIN, b"key", &time.to_le_bytes(), PutMode::Set)
                    .expect("put");
                let options = SnapshotOptions {
                    keep: at == kept,
                    ..SnapshotOptions::default()
                };
                txn.snapshot_create(format!("row/{time}").as_bytes(), &options)
                    .expect("create");
                if at == 0 {
                    txn.snapshot_create(b"other", &SnapshotOptions::default())
                        .expect("create");
                }
            });
        }
        let mut count = |most| random.below(most) as u32;
        let retention = Retention {
            interval: 0,
            last: count(3),
            hourly: count(20),
            daily: count(9),
            weekly: count(6),
            monthly: 1 + count(9),
            ..Retention::default()
        };
        let mut expected = stay(&times, &retention);
        expected.insert(*times.iter().nth(kept).expect("one"));
        change(&db, |txn| {
            let dropped = txn.snapshot_thin(b"row/", &retention).expect("thin");
            assert_eq!(dropped as usize, 60 - expected.len(), "seed {seed}: {retention:?}");
            let again = txn.snapshot_thin(b"row/", &retention).expect("thin");
            assert_eq!(again, 0, "what stays stays");
        });
        let mut left = snapshots(&db);
        assert!(left.remove("other").is_some());
        assert_eq!(
            left.into_values().collect::<BTreeSet<_>>(),
            expected,
            "seed {seed}: {retention:?}"
        );
        assert_eq!(check(&db).snapshots as usize, expected.len() + 1);
    }
    let db = open("".as_ref());
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let nothing = Retention {
        interval: 9,
        ..Retention::default()
    };
    assert!(matches!(txn.snapshot_thin(b"", &nothing), Err(Error::Invalid(_))));
    assert!(matches!(txn.set_history(Some(&nothing)), Err(Error::Invalid(_))));
    let never = Retention {
        last: 1,
        ..Retention::default()
    };
    assert!(matches!(txn.set_history(Some(&never)), Err(Error::Invalid(_))));
}

const POLICY: Retention = Retention {
    interval: 600,
    last: 0,
    hourly: 3,
    daily: 2,
    weekly: 0,
    monthly: 0,
    yield_after: 0,
    yield_pages: 0,
};

fn set(db: &Db, policy: Option<&Retention>) {
    change(db, |txn| txn.set_history(policy).expect("set"));
}

#[test]
fn commits_record_snapshots_and_drop_those_that_do_not_stay() {
    let clock = Clock::at(MONDAY);
    let dir = TempDir::new("history");
    let path = dir.file("a.kv");
    let mut db = open(&path);
    put(&db, 0);
    assert!(snapshots(&db).is_empty(), "there is no policy");
    set(&db, Some(&POLICY));
    assert_eq!(
        (&mut &db.begin_read().expect("read")).history().expect("policy"),
        Some(POLICY)
    );
    let mut model: BTreeSet<u64> = [MONDAY].into();
    let mut random = Random(99);
    let (mut now, mut user) = (MONDAY, BTreeSet::new());
    assert_eq!(snapshots(&db).keys().collect::<Vec<_>>(), ["auto/2026-11-30T00:00:00Z"]);
    for round in 0..600 {
        now += random.below(900);
        clock.set(now);
        if random.below(60) == 0 {
            // Another process reads the policy from the file.
            drop(db);
            db = open(&path);
        }
        if random.below(50) == 0 {
            let newest = *model.last().expect("one");
            let name = format!("mine/{round}");
            let old = snapshots(&db)
                .into_iter()
                .find(|(_, time)| *time == newest)
                .expect("one")
                .0;
            change(&db, |txn| {
                txn.snapshot_rename(old.as_bytes(), name.as_bytes()).expect("rename")
            });
            model.remove(&newest);
            user.insert(name);
        } else {
            put(&db, round);
        }
        // The newest by commits, which are in the order of time here.
        if model.last().is_none_or(|newest| now - newest >= 600) {
            model.insert(now);
            model = stay(&model, &POLICY);
        }
        let mut found = snapshots(&db);
        found.retain(|name, _| !user.contains(name));
        assert_eq!(found.into_values().collect::<BTreeSet<_>>(), model, "round {round}");
    }
    assert!(user.len() > 3 && model.len() > 3);
    assert_eq!(check(&db).snapshots as usize, user.len() + model.len());
    set(&db, None);
    clock.set(now + DAY);
    put(&db, 1);
    assert_eq!(
        snapshots(&db).len(),
        user.len() + model.len(),
        "they stay without a policy"
    );
    assert_eq!((&mut &db.begin_read().expect("read")).history().expect("policy"), None);
}

#[test]
fn a_clock_that_is_set_back_drops_nothing_and_records_once() {
    let clock = Clock::at(MONDAY);
    let db = open("".as_ref());
    let policy = Retention { last: 2, ..POLICY };
    set(&db, Some(&policy));
    // The clock is a year ahead for a while.
    for hour in 0..5 {
        clock.set(MONDAY + 365 * DAY + hour * HOUR);
        put(&db, hour);
    }
    let ahead = snapshots(&db);
    assert_eq!(ahead.len(), 4, "three hours, one day before: {ahead:?}");
    for minute in 0..60 {
        clock.set(MONDAY + DAY + minute * 60);
        put(&db, minute);
        put(&db, minute + 100);
    }
    let found = snapshots(&db);
    assert!(ahead.keys().all(|name| found.contains_key(name)), "nothing is dropped");
    assert_eq!(found.len(), ahead.len() + 6, "one for every ten minutes");
    // Back by less than the interval: as if it stood.
    clock.set(MONDAY + DAY + 45 * 60);
    put(&db, 7);
    assert_eq!(snapshots(&db).len(), found.len());
    // A name that somebody else has is not taken.
    let all = |db: &Db| {
        let txn = db.begin_read().expect("read");
        (&mut &txn).count(TableId::SNAPSHOTS, &named()).expect("count")
    };
    let taken = MONDAY + DAY + 2 * HOUR;
    clock.set(taken - 600);
    put(&db, 8);
    clock.set(taken - 1);
    change(&db, |txn| {
        let name = b"auto/2026-12-01T02:00:00Z";
        txn.snapshot_create(name, &SnapshotOptions::default()).expect("create");
        assert!(!txn.snapshot(name).expect("info").automatic);
    });
    let before = all(&db);
    clock.set(taken);
    put(&db, 9);
    assert_eq!(all(&db), before);
    clock.set(taken + 1);
    put(&db, 10);
    assert_eq!(all(&db), before + 1);
}

#[test]
fn a_kept_automatic_snapshot_stays_and_a_dropped_one_counts_no_more() {
    let clock = Clock::at(MONDAY);
    let db = open("".as_ref());
    let policy = Retention {
        last: 1,
        hourly: 0,
        daily: 0,
        ..POLICY
    };
    set(&db, Some(&policy));
    change(&db, |txn| {
        txn.snapshot_keep(b"auto/2026-11-30T00:00:00Z", true).expect("keep");
    });
    clock.set(MONDAY + 600);
    put(&db, 1);
    clock.set(MONDAY + 1200);
    put(&db, 2);
    let names: Vec<String> = snapshots(&db).into_keys().collect();
    assert_eq!(names, ["auto/2026-11-30T00:00:00Z", "auto/2026-11-30T00:20:00Z"]);
    // The newest is the first again, which is older than the interval.
    clock.set(MONDAY + 1201);
    change(&db, |txn| txn.snapshot_drop(names[1].as_bytes()).expect("drop"));
    let names: Vec<String> = snapshots(&db).into_keys().collect();
    assert_eq!(names, ["auto/2026-11-30T00:00:00Z", "auto/2026-11-30T00:20:01Z"]);
    // A transaction that changes nothing makes no commit, and so no snapshot.
    clock.set(MONDAY + DAY);
    let txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.commit().expect("commit");
    assert_eq!(snapshots(&db).len(), 2);
}

/// The times at which there are snapshots, each of which must show the value that was written at its time.
fn shown(db: &Db) -> BTreeSet<u64> {
    let mut times = BTreeSet::new();
    for (name, time) in snapshots(db) {
        let txn = db.begin_read_at(ReadAt::Snapshot(name.as_bytes())).expect("read");
        assert_eq!(value(&txn), Some(time), "{name}");
        times.insert(time);
    }
    times
}

fn value(txn: &ReadTxn) -> Option<u64> {
    let value = txn.get(TableId::MAIN, b"key").expect("get");
    value.map(|value| u64::from_le_bytes(value.try_into().expect("8 bytes")))
}

/// Each commit writes its time. After a crash, the value says which commit was found, and with it there are just the
/// snapshots that commits up to it had recorded and not dropped.
#[test]
fn a_crash_leaves_the_history_of_the_commit_that_it_leaves() {
    let clock = Clock::at(MONDAY);
    let policy = Retention {
        interval: 40,
        last: 2,
        hourly: 3,
        daily: 2,
        ..Retention::default()
    };
    let (mut crashes, mut most) = (0, 0);
    for seed in 1..=env_number("KV_HISTORY_SEEDS", 12) {
        let mut random = Random(seed * 0x9E37_79B9);
        let mut disk = Arc::new(SimDisk::new(seed).expect("disk"));
        let options = Options {
            durability: if seed % 2 == 0 {
                Durability::Lazy
            } else {
                Durability::Full
            },
            ..Options::default()
        };
        let db = Db::open_storage(disk.clone(), &options).expect("create");
        let mut now = MONDAY;
        clock.set(now);
        change(&db, |txn| {
            txn.put(TableId::MAIN, b"key", &now.to_le_bytes(), PutMode::Set)
                .expect("put");
            txn.set_history(Some(&policy)).expect("set");
        });
        db.sync().expect("sync");
        drop(db);
        disk.sync().expect("sync");
        let mut models = BTreeMap::from([(now, BTreeSet::from([now]))]);
        for round in 0..40 {
            disk.crash_after(1 + random.below(90));
            if let Ok(db) = Db::open_storage(disk.clone(), &options) {
                let found = value(&db.begin_read().expect("read")).expect("a value");
                let mut model = models
                    .get(&found)
                    .unwrap_or_else(|| panic!("{found} was never written"))
                    .clone();
                assert_eq!(shown(&db), model, "seed {seed}, round {round}, {found}");
                while !disk.crashed() {
                    let most_seconds = [20, 900][random.below(2) as usize];
                    now += 1 + random.below(most_seconds);
                    clock.set(now);
                    if now - model.last().expect("one") >= 40 {
                        model.insert(now);
                        model = stay(&model, &policy);
                    }
                    models.insert(now, model.clone());
                    most = most.max(model.len());
                    let written = db.begin_write(WriteOptions::default()).and_then(|mut txn| {
                        txn.put(TableId::MAIN, b"key", &now.to_le_bytes(), PutMode::Set)?;
                        txn.commit()
                    });
                    assert!(written.is_ok() || disk.crashed(), "{written:?}");
                }
            }
            assert!(disk.crashed());
            crashes += 1;
            let cut = [Cut::AllLost, Cut::AllKept, Cut::Writes, Cut::Sectors][random.below(4) as usize];
            let alone = Arc::get_mut(&mut disk).expect("the database is closed");
            alone.power_cut(random.below(u64::MAX), cut);
        }
        disk.crash_after(u64::MAX);
        let db = Db::open_storage(disk.clone(), &options).expect("open");
        assert_eq!(check(&db).snapshots as usize, shown(&db).len());
    }
    assert!(crashes > 400 && most > 4, "{crashes} crashes, {most} snapshots");
}

/// What the other process does: it commits at the times that it is told, and at the end takes the policy away or not.
fn other_process(task: &str) {
    let mut words = task.split(' ');
    let db = open(words.next().expect("a path").as_ref());
    for time in words {
        match time.parse::<u64>() {
            Ok(seconds) => {
                set_clock(seconds * SECOND);
                put(&db, seconds);
            }
            Err(_) => set(&db, None),
        }
    }
}

#[test]
fn two_processes_follow_one_policy() {
    if let Some((task, wire)) = role() {
        other_process(&task);
        return wire.tell(b'd', 0, 0, 0);
    }
    let clock = Clock::at(MONDAY);
    let dir = TempDir::new("history");
    let path = dir.file("shared.kv");
    let db = open(&path);
    let other = |what: &str| {
        let task = format!("{} {what}", path.display());
        let mut child = Child::start("two_processes_follow_one_policy", &task, &[]);
        let status = child.wait(Duration::from_secs(60));
        assert!(status.success(), "{what}: {}", how(status));
    };
    let times = |db: &Db| {
        snapshots(db)
            .into_values()
            .map(|time| time - MONDAY)
            .collect::<Vec<_>>()
    };
    put(&db, 0);
    // The policy is that of the file: the other process has not set it.
    set(&db, Some(&POLICY));
    other(&format!("{} {}", MONDAY + 599, MONDAY + 700));
    assert_eq!(times(&db), [700], "one for each hour");
    // And what the other one has recorded counts here.
    clock.set(MONDAY + 1299);
    put(&db, 1);
    assert_eq!(times(&db), [700]);
    clock.set(MONDAY + HOUR);
    put(&db, 2);
    assert_eq!(times(&db), [700, HOUR]);
    other(&format!("{} {} off", MONDAY + HOUR + 599, MONDAY + 2 * HOUR));
    assert_eq!(times(&db), [700, HOUR, 2 * HOUR]);
    clock.set(MONDAY + DAY);
    put(&db, 3);
    assert_eq!(times(&db).len(), 3, "the other one has taken the policy away");
    assert_eq!(check(&db).snapshots, 3);
}

/// Another snapshot of the same commit may be one to keep, with a note.
#[test]
fn an_automatic_snapshot_takes_nothing_over_from_another_of_its_commit() {
    let clock = Clock::at(MONDAY);
    let db = open("".as_ref());
    let policy = Retention {
        interval: 60,
        last: 2,
        ..Retention::default()
    };
    change(&db, |txn| txn.set_history(Some(&policy)).expect("policy"));
    clock.set(MONDAY + HOUR);
    change(&db, |txn| {
        let options = SnapshotOptions {
            keep: true,
            note: b"a note",
            ..SnapshotOptions::default()
        };
        txn.snapshot_create(b"release", &options).expect("create");
    });
    let newest = snapshots(&db)
        .into_keys()
        .filter(|name| name.starts_with("auto/"))
        .max();
    let txn = db.begin_read().expect("read");
    let info = (&mut &txn)
        .snapshot(newest.expect("an automatic one").as_bytes())
        .expect("a snapshot");
    assert!(info.automatic && !info.keep && info.note.is_empty(), "{info:?}");
}

/// What only moves pages or gives some back is none of the history.
#[test]
fn giving_space_back_records_no_snapshot() {
    let clock = Clock::at(MONDAY);
    let db = open("".as_ref());
    let policy = Retention {
        interval: 60,
        last: 9,
        ..Retention::default()
    };
    change(&db, |txn| txn.set_history(Some(&policy)).expect("policy"));
    put(&db, 1);
    let before = snapshots(&db);
    clock.set(MONDAY + HOUR);
    db.compact(&CompactOptions::default(), &Job::silent()).expect("compact");
    db.reclaim().expect("reclaim");
    assert_eq!(snapshots(&db), before);
    put(&db, 2);
    assert_eq!(snapshots(&db).len(), before.len() + 1);
}
