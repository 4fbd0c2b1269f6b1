//! Marks: names of states of which nothing is kept but which ranges of keys have changed since. In random histories of
//! puts, deletes, removed ranges, tables that come and go, transactions taken back and pages that are moved, what lies
//! outside of the ranges is what it was, and who copies the ranges has what the table has.
//!
//! `KV_MARKS` is the number of histories (default 1000), and `KV_SEED` chooses others.

mod common;

use common::env_number;
use common::in_memory::{self, change, check, put_many};
use common::rng::Rng;
use common::tmp::TempDir;
use kv::{ChangedRange, CompactOptions, Db, Error, Job, Options, PutMode, Range, ReadAt};
use kv::{Reader, Retention, SnapshotOptions, TableId, Wait, WriteOptions, WriteTxn};
use std::collections::BTreeMap;
use std::ops::Bound;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// What a state has: the entries of each table.
type Model = BTreeMap<TableId, Map>;
/// A range as it was given: its bounds.
type Given = (Vec<u8>, Option<Vec<u8>>);

const MAIN: TableId = TableId::MAIN;
const NAMES: [&[u8]; 3] = [b"left", b"middle", b"right"];
const MARK: SnapshotOptions<'_> = SnapshotOptions {
    mark: true,
    replace: true,
    keep: false,
    yields: false,
    note: b"a note",
};
const SNAPSHOT: SnapshotOptions<'_> = SnapshotOptions { mark: false, ..MARK };

/// A history, and what it has come to.
struct History {
    rng: Rng,
    db: Db,
    now: Model,
    /// What each mark or snapshot is of.
    then: BTreeMap<Vec<u8>, Model>,
    /// No value is written twice.
    values: u64,
    /// Whether most keys are long, so that branches have few children and trees many levels.
    is_tall: bool,
    /// How many keys were outside of all ranges.
    outside: u64,
}

impl History {
    fn new(seed: u64) -> History {
        let mut rng = Rng::new(seed);
        let page_size = if rng.percent(80) { 4096 } else { 16384 };
        // With little memory, a transaction applies its edits to the trees again and again.
        let db = in_memory::open_with(page_size, if rng.percent(70) { 0 } else { 4096 });
        let is_tall = rng.percent(30);
        let now = Model::from([(MAIN, Map::new()), (TableId::NAMES, Map::new())]);
        History {
            rng,
            db,
            now,
            then: BTreeMap::new(),
            values: 0,
            is_tall,
            outside: 0,
        }
    }

    fn key(&mut self) -> Vec<u8> {
        let rng = &mut self.rng;
        match rng.below(10) {
            _ if self.is_tall => {
                let mut key = format!("{:04}", rng.below(400)).into_bytes();
                key.resize(300 + 100 * rng.index(4), b'.');
                if rng.percent(3) {
                    key.resize(6000, b'+');
                }
                key
            }
            0 => Vec::new(),
            1..=5 => format!("{:05}", rng.below(2000)).into_bytes(),
            6..=8 => (rng.below(500) * 7).to_be_bytes().to_vec(),
            _ => [b"many begin with this ".as_slice(), &rng.below(200).to_be_bytes()[6..]].concat(),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        self.values += 1;
        let mut value = self.values.to_be_bytes().to_vec();
        let len = match self.rng.below(200) {
            0 => 9000,
            1..=40 => 200,
            _ => 20,
        };
        value.resize(len, b'v');
        value
    }

    /// A key that is there, or a new one.
    fn some(&mut self, table: TableId) -> Vec<u8> {
        match self.now[&table].len() {
            0 => self.key(),
            n => {
                let at = self.rng.index(n);
                self.now[&table].keys().nth(at).expect("a key").clone()
            }
        }
    }

    /// Creates a table, or drops or renames one.
    fn change_tables(&mut self, txn: &mut WriteTxn) {
        let name = NAMES[self.rng.index(3)];
        let number = |table: TableId| table.get().to_le_bytes().to_vec();
        let Ok(table) = txn.table(name) else {
            let table = txn.table_create(name, true).expect("create");
            self.now.insert(table, Map::new());
            let names = self.now.get_mut(&TableId::NAMES).expect("names");
            names.insert(name.to_vec(), number(table));
            return;
        };
        let names = self.now.get_mut(&TableId::NAMES).expect("names");
        names.remove(name);
        if self.rng.percent(50) {
            txn.table_drop(table).expect("drop");
            self.now.remove(&table);
        } else {
            let other = NAMES.iter().find(|other| !names.contains_key(**other)).expect("a name");
            names.insert(other.to_vec(), number(table));
            txn.table_rename(table, other).expect("rename");
        }
    }

    /// Changes entries of a table.
    fn change_entries(&mut self, txn: &mut WriteTxn, table: TableId) {
        match self.rng.below(10) {
            0 | 1 => {
                let (a, b) = (self.some(table), self.some(table));
                let range = Range {
                    from: Bound::Included(a.as_slice().min(&b)),
                    to: Bound::Excluded(a.as_slice().max(&b)),
                    ..Range::default()
                };
                txn.delete_range(table, &range).expect("delete a range");
                let map = self.now.get_mut(&table).expect("a table");
                map.retain(|key, _| !std::ops::RangeBounds::contains(&(range.from, range.to), key.as_slice()));
            }
            2 if self.rng.percent(20) => {
                txn.table_clear(table).expect("clear");
                self.now.insert(table, Map::new());
            }
            2..=4 => {
                for _ in 0..self.rng.index(40) {
                    let key = self.some(table);
                    let removed = self.now.get_mut(&table).expect("a table").remove(&key);
                    assert_eq!(txn.delete(table, &key).expect("delete"), removed.is_some());
                }
            }
            _ => {
                let many = match self.now[&table].len() {
                    0..=50 => 400,
                    _ => 1 + self.rng.index(20),
                };
                for _ in 0..self.rng.index(many) {
                    let (key, value) = (self.key(), self.value());
                    txn.put(table, &key, &value, PutMode::Set).expect("put");
                    self.now.get_mut(&table).expect("a table").insert(key, value);
                }
            }
        }
    }

    /// A transaction that changes something, and may record what it commits.
    fn write(&mut self) {
        let mut txn = self.db.begin_write(WriteOptions::default()).expect("write");
        let name = vec![b'a' + self.rng.below(4) as u8];
        let is_early = self.rng.percent(50);
        let records = self.rng.percent(50).then(|| [MARK, SNAPSHOT][self.rng.index(2)]);
        if let Some(options) = records.as_ref().filter(|_| is_early) {
            txn.snapshot_create(&name, options).expect("create");
        }
        if self.rng.percent(15) {
            self.change_tables(&mut txn);
        }
        let tables: Vec<TableId> = self
            .now
            .keys()
            .copied()
            .filter(|table| *table != TableId::NAMES)
            .collect();
        for table in tables {
            for _ in 0..self.rng.index(3) {
                self.change_entries(&mut txn, table);
            }
        }
        if self.rng.percent(20) && (records.is_none() || !is_early) {
            self.compare(&mut txn);
        }
        if let Some(options) = records.as_ref().filter(|_| !is_early) {
            txn.snapshot_create(&name, options).expect("create");
        }
        txn.commit().expect("commit");
        if records.is_some() {
            self.then.insert(name, self.now.clone());
        }
    }

    /// Something else that may happen to the file.
    fn happen(&mut self) {
        let named: Vec<Vec<u8>> = self.then.keys().cloned().collect();
        let Some(name) = named.get(self.rng.index(named.len().max(1))) else {
            return;
        };
        match self.rng.below(6) {
            0 => {
                let compacted = self.db.compact(&CompactOptions::default(), &Job::silent());
                compacted.expect("compact");
            }
            1 => drop(change(&self.db, |txn| txn.snapshot_release(name).expect("release"))),
            2 => {
                // What a reader has seen for long.
                let seen = self.db.begin_read().expect("read");
                let model = self.now.clone();
                self.write();
                change(&self.db, |txn| {
                    let options = [MARK, SNAPSHOT][self.values as usize % 2];
                    txn.snapshot_create_of(name, &seen, &options).expect("create");
                });
                self.then.insert(name.clone(), model);
            }
            3 => {
                let to = vec![b'a' + self.rng.below(5) as u8];
                change(&self.db, |txn| txn.snapshot_rename(name, &to).expect("rename"));
                let model = self.then.remove(name).expect("a model");
                self.then.insert(to, model);
            }
            4 => {
                // Only what is kept can be gone back to.
                let Ok(from) = self.db.begin_read_at(ReadAt::Snapshot(name)) else {
                    return;
                };
                change(&self.db, |txn| {
                    txn.revert(&from, None).expect("revert");
                });
                self.now = self.then[name].clone();
            }
            _ => drop(self.db.reclaim().expect("reclaim")),
        }
    }

    /// Compares the ranges since each of the marks and snapshots with the models.
    fn compare<R: Reader>(&mut self, txn: &mut R) {
        for (name, was) in &self.then {
            for (table, is) in &self.now {
                let none = Map::new();
                let was = was.get(table).unwrap_or(&none);
                let (a, b) = (key_of(is, &mut self.rng), key_of(was, &mut self.rng));
                let part = Range {
                    from: [Bound::Unbounded, Bound::Included(&a[..]), Bound::Excluded(&a[..])][self.rng.index(3)],
                    to: [Bound::Unbounded, Bound::Included(&b[..]), Bound::Excluded(&b[..])][self.rng.index(3)],
                    prefix: self.rng.percent(20).then_some(&a[..a.len().min(2)]),
                    reverse: self.rng.percent(50),
                };
                for range in [Range::default(), part] {
                    let given = ranges(txn, name, *table, &range);
                    self.outside += compare_with_maps(&given, (was, is), &range);
                }
            }
        }
    }
}

fn key_of(map: &Map, rng: &mut Rng) -> Vec<u8> {
    let key = map.keys().nth(rng.index(map.len().max(1)));
    key.cloned().unwrap_or_else(|| b"nothing".to_vec())
}

fn ranges<R: Reader>(txn: &mut R, name: &[u8], table: TableId, range: &Range<'_>) -> Vec<Given> {
    let mut given = Vec::new();
    let told = txn.snapshot_ranges(name, table, range, &mut |ChangedRange { low, high }| {
        given.push((low.to_vec(), high.map(<[u8]>::to_vec)));
        true
    });
    told.expect("ranges");
    given
}

/// Returns whether a key lies in one of the ranges, which are in ascending order.
fn is_in_any(given: &[Given], key: &[u8]) -> bool {
    let behind = given.partition_point(|(low, _)| low.as_slice() <= key);
    let before = behind.checked_sub(1).map(|at| &given[at]);
    before.is_some_and(|(_, high)| high.as_ref().is_none_or(|high| key < high.as_slice()))
}

/// Checks ranges against what was and what is. Returns how many keys are outside of them.
fn compare_with_maps(given: &[Given], (was, is): (&Map, &Map), range: &Range<'_>) -> u64 {
    for ((low, high), next) in given.iter().zip(given.iter().skip(1).map(Some).chain([None])) {
        assert!(high.as_ref().is_none_or(|high| low < high), "an empty range");
        assert!(next.is_none_or(|(low, _)| high.as_ref().is_some_and(|high| high < low)));
    }
    let is_meant = |key: &[u8]| {
        std::ops::RangeBounds::contains(&(range.from, range.to), key)
            && range.prefix.is_none_or(|prefix| key.starts_with(prefix))
    };
    let mut outside = 0;
    let mut follower: Map = was.clone();
    for key in was.keys().chain(is.keys()) {
        let is_given = is_in_any(given, key);
        assert!(!is_given || is_meant(key), "what was not asked for");
        if is_meant(key) && !is_given {
            assert_eq!(was.get(key), is.get(key), "{key:?} has changed outside of {given:?}");
            outside += 1;
        }
    }
    follower.retain(|key, _| !is_in_any(given, key));
    let there = is.iter().filter(|(key, _)| is_in_any(given, key));
    follower.extend(there.map(|(key, value)| (key.clone(), value.clone())));
    let meant = |map: &Map| -> Map {
        let meant = map.iter().filter(|(key, _)| is_meant(key));
        meant.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    assert!(
        meant(&follower) == meant(is),
        "a follower of {given:?} has other entries"
    );
    outside
}

fn history(seed: u64) -> u64 {
    let mut history = History::new(seed);
    for _ in 0..history.rng.range(3, 8) {
        history.write();
        if history.rng.percent(30) {
            history.happen();
        }
        let reader = history.db.begin_read().expect("read");
        history.compare(&mut &reader);
    }
    if history.rng.percent(10) {
        check(&history.db);
    }
    history.outside
}

#[test]
fn outside_of_the_ranges_everything_is_what_it_was() {
    let (seed, many) = (env_number("KV_SEED", 1), env_number("KV_MARKS", 1000));
    let mut outside = 0;
    for n in 0..many {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        match std::panic::catch_unwind(|| history(seed)) {
            Ok(keys) => outside += keys,
            Err(panic) => {
                eprintln!("marks: history {seed} failed");
                std::panic::resume_unwind(panic);
            }
        }
    }
    assert!(
        outside > many * 100,
        "the ranges are everything: {outside} keys are outside"
    );
    println!("marks: 1 passed, 0 failed, 0 skipped ({many} histories)");
}

const LAST: Retention = Retention {
    interval: 0,
    last: 1,
    hourly: 0,
    daily: 0,
    weekly: 0,
    monthly: 0,
    yield_after: 0,
    yield_pages: 0,
};

#[test]
fn a_released_snapshot_keeps_its_name_and_no_page() {
    let dir = TempDir::new("marks");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("open");
    put_many(&db, 0..20_000, 1);
    let kept = SnapshotOptions { keep: true, ..SNAPSHOT };
    change(&db, |txn| txn.snapshot_create(b"s", &kept).expect("create"));
    let before = (&mut &db.begin_read().expect("read")).snapshot(b"s").expect("info");
    for round in 2..5 {
        put_many(&db, 0..10_000, round);
    }
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    assert!(
        matches!(txn.snapshot_release(b"s"), Err(Error::Invalid(_))),
        "it is kept"
    );
    assert!(matches!(txn.snapshot_release(b"none"), Err(Error::NotFound)));
    txn.snapshot_keep(b"s", false).expect("keep");
    txn.commit().expect("commit");
    assert!(db.snapshot_cost(b"s", b"s").expect("cost") > 200);
    assert_eq!(check(&db).snapshots, 1);

    let reader = db.begin_read_at(ReadAt::Snapshot(b"s")).expect("a snapshot");
    change(&db, |txn| txn.snapshot_release(b"s").expect("release"));
    let after = (&mut &db.begin_read().expect("read")).snapshot(b"s").expect("info");
    assert_eq!(
        (after.mark, after.keep, after.file_pages, after.used_pages),
        (true, false, 0, 0)
    );
    assert_eq!(
        (after.commit, after.time, after.guid, &after.note[..]),
        (before.commit, before.time, before.guid, &b"a note"[..])
    );
    assert_eq!(
        reader.get(MAIN, &[0; 4]).expect("get"),
        Some(&[1; 100][..]),
        "who reads it goes on"
    );
    drop(reader);
    db.reclaim().expect("reclaim");
    assert_eq!((db.stat().parked_pages, check(&db).snapshots), (0, 0));
    drop(db);

    let db = Db::open(&path, &Options::default()).expect("open again");
    let ranges_now = || ranges(&mut &db.begin_read().expect("read"), b"s", MAIN, &Range::default());
    let given = ranges_now();
    assert!(given.len() == 1 && given[0].0.is_empty(), "{given:?}");
    let end = given[0].1.as_ref().expect("an end").as_slice();
    assert!(
        end > &10_000u32.to_be_bytes()[..2] && end < 11_000u32.to_be_bytes().as_slice(),
        "{end:?}"
    );
    // What a mark is not for.
    let invalid = |answer: Result<(), Error>| matches!(answer, Err(Error::Invalid(_)));
    assert!(invalid(db.begin_read_at(ReadAt::Snapshot(b"s")).map(drop)));
    assert!(matches!(
        db.begin_read_at(ReadAt::Commit(after.commit)),
        Err(Error::NotFound)
    ));
    assert!(matches!(
        db.begin_read_at(ReadAt::Time(after.time)),
        Err(Error::NotFound)
    ));
    let newest = db.begin_read().expect("read").id();
    assert_eq!(db.kept_around(after.commit).expect("kept"), (None, Some(newest)));
    assert!(invalid(db.snapshot_cost(b"s", b"s").map(drop)));
    assert!(db.snapshot_costs(Wait::Try).expect("costs").is_empty());
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    assert!(invalid(txn.snapshot_keep(b"s", true)));
    for with in [
        SnapshotOptions { keep: true, ..MARK },
        SnapshotOptions { yields: true, ..MARK },
    ] {
        assert!(invalid(txn.snapshot_create(b"other", &with)));
    }
    txn.snapshot_release(b"s").expect("once more");
    txn.snapshot_create(b"other", &SNAPSHOT).expect("create");
    assert_eq!(txn.snapshot_thin(b"", &LAST).expect("thin"), 0, "a mark does not count");
    txn.snapshot_rename(b"s", b"t").expect("rename");
    txn.snapshot_rename(b"t", b"other").expect("rename");
    txn.commit().expect("commit");
    assert_eq!(
        (&mut &db.begin_read().expect("read")).snapshot(b"other").expect("info"),
        after
    );
    change(&db, |txn| txn.snapshot_create(b"other", &SNAPSHOT).expect("replace"));
    assert_eq!(check(&db).snapshots, 1);
    change(&db, |txn| {
        txn.snapshot_create(b"both", &MARK).expect("create");
        txn.snapshot_create(b"of", &SNAPSHOT).expect("create");
        txn.snapshot_create(b"one", &SNAPSHOT).expect("create");
        txn.snapshot_release(b"one").expect("release");
    });
    let infos = [b"both".as_slice(), b"of", b"one"].map(|name| {
        let info = (&mut &db.begin_read().expect("read")).snapshot(name);
        info.expect("info")
    });
    assert_eq!((infos[0].mark, infos[1].mark, infos[2].mark), (true, false, true));
    assert!(infos
        .iter()
        .all(|info| (info.commit, info.time, info.guid) == (infos[1].commit, infos[1].time, infos[1].guid)));
    change(&db, |txn| txn.snapshot_drop(b"both").expect("drop"));
    assert!(matches!(
        (&mut &db.begin_read().expect("read")).snapshot(b"both"),
        Err(Error::NotFound)
    ));
    assert_eq!(check(&db).snapshots, 2);
}

#[test]
fn a_callback_ends_it_and_earlier_states_have_no_list() {
    let db = in_memory::open_with(4096, 0);
    put_many(&db, 0..5000, 1);
    change(&db, |txn| {
        txn.snapshot_create(b"mark", &MARK).expect("create");
        txn.snapshot_create(b"kept", &SNAPSHOT).expect("create");
    });
    for key in [0, 1000, 3000] {
        put_many(&db, key..key + 1, 2);
    }
    let reader = db.begin_read().expect("read");
    assert_eq!(ranges(&mut &reader, b"mark", MAIN, &Range::default()).len(), 3);
    assert_eq!(ranges(&mut &reader, b"kept", MAIN, &Range::default()).len(), 3);
    let mut calls = 0;
    let told = (&mut &reader).snapshot_ranges(b"mark", MAIN, &Range::default(), &mut |_| {
        calls += 1;
        calls < 2
    });
    assert_eq!((told.expect("ranges"), calls), ((), 2));
    let earlier = db.begin_read_at(ReadAt::Snapshot(b"kept")).expect("read");
    let told = (&mut &earlier).snapshot_ranges(b"mark", MAIN, &Range::default(), &mut |_| true);
    assert!(matches!(told, Err(Error::NoTable(_))), "{told:?}");
    let told = (&mut &reader).snapshot_ranges(b"none", MAIN, &Range::default(), &mut |_| true);
    assert!(matches!(told, Err(Error::NotFound)), "{told:?}");
    let told = (&mut &reader).snapshot_ranges(b"mark", TableId::new(99), &Range::default(), &mut |_| true);
    assert!(matches!(told, Err(Error::NoTable(_))), "{told:?}");
    // What was cleared, and what was made since, is a range as a whole.
    change(&db, |txn| {
        txn.table_clear(MAIN).expect("clear");
        txn.table_create(b"new", true).expect("create");
    });
    let mut reader = &db.begin_read().expect("read");
    let new = reader.table(b"new").expect("table");
    for table in [MAIN, new] {
        assert_eq!(
            ranges(&mut reader, b"mark", table, &Range::default()),
            [(Vec::new(), None)]
        );
    }
}

/// kv.h: "All snapshots of one commit have the same." A mark is a snapshot whose state is not kept.
#[test]
fn a_mark_and_a_snapshot_of_one_commit_have_one_guid_and_one_time() {
    let db = in_memory::open();
    change(&db, |txn| txn.snapshot_create(b"mark", &MARK).expect("create"));
    let reader = db.begin_read().expect("read");
    change(&db, |txn| {
        let created = txn.snapshot_create_of(b"kept", &reader, &SNAPSHOT);
        created.expect("create");
    });
    let [mark, kept] = [b"mark", b"kept"].map(|name| {
        let info = (&mut &db.begin_read().expect("read")).snapshot(name);
        info.expect("info")
    });
    assert_eq!((mark.commit, mark.time, mark.guid), (kept.commit, kept.time, kept.guid));
}
