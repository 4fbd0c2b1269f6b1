//! Damaged and hostile files: whatever the bytes, opening, reading, scanning, writing and checking end with an error or
//! with correct data, without a panic, an endless loop or runaway memory. Half of the files have their checksums
//! repaired as an attacker would; of those the content may be anything, but the library must stay calm.
//!
//! `KV_HOSTILE` is the number of files (default 5,000), `KV_FROM` the first of them, `KV_SEED` another sequence.

mod common;

use common::image::{page_size, repair, repair_slots};
use common::rng::Rng;
use common::tmp::TempDir;
use common::{env_number, gen};
use kv::pager::fold_often;
use kv::{CompactOptions, Cursor, Db, Difference, Job, Options, PutMode, Range, ReadAt, ReadTxn, Reader, Seek};
use kv::{Error, Result, SnapshotOptions, TableId, WriteOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// Longest a single file may take.
const SECONDS: u64 = 60;
/// Most memory the process may have resident.
const MEMORY: u64 = 1 << 30;
/// Most entries a scan may give: a file of some hundred pages cannot hold more.
const ENTRIES: usize = 1 << 20;

/// A good database: its bytes, and every value each key ever had (an older commit is correct data, too).
struct Base {
    image: Vec<u8>,
    /// `None`: at times there was no such key.
    history: BTreeMap<Vec<u8>, BTreeSet<Option<Vec<u8>>>>,
}

/// The name of the snapshot that a commit of the base makes of itself.
fn name(commit: u64) -> String {
    format!("snapshot {commit}")
}

/// Builds a database of several commits, tables, long keys and long values, with snapshots of which some were dropped.
fn base(page_size: u32, seed: u64) -> Base {
    // What snapshots see is parked at once.
    fold_often(true);
    let dir = TempDir::new("hostile-base");
    let path = dir.file("base.kv");
    let options = Options {
        page_size,
        ..Options::default()
    };
    let mut rng = Rng::new(seed);
    let mut keys = gen::Gen::new(seed, gen::Shape::Mixed, gen::Sizes::Any, 300, page_size as usize);
    let mut now: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut history: BTreeMap<Vec<u8>, BTreeSet<Option<Vec<u8>>>> = BTreeMap::new();
    let db = Db::open(&path, &options).expect("create");
    for commit in 0..6u64 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for _ in 0..120 {
            let mut key = keys.key();
            key.truncate(5000);
            let mut value = keys.value().0.to_vec();
            value.truncate(40_000);
            if rng.one_in(4) {
                txn.delete(TableId::MAIN, &key).expect("delete");
                now.remove(&key);
            } else {
                txn.put(TableId::MAIN, &key, &value, PutMode::Set).expect("put");
                now.insert(key.clone(), value);
            }
            history.entry(key).or_default();
        }
        let table = txn
            .table_create(format!("table {}", commit % 3).as_bytes(), false)
            .expect("create");
        for i in 0..200u64 {
            txn.put(table, &i.to_be_bytes(), &commit.to_le_bytes(), PutMode::Set)
                .expect("put");
        }
        let options = SnapshotOptions {
            mark: commit == 1,
            ..SnapshotOptions::default()
        };
        txn.snapshot_create(name(commit).as_bytes(), &options).expect("create");
        // What these alone had is still looked for.
        match commit {
            4 => txn.snapshot_drop(name(2).as_bytes()).expect("drop"),
            5 => txn.snapshot_drop(name(3).as_bytes()).expect("drop"),
            _ => {}
        }
        txn.commit().expect("commit");
        for (key, values) in &mut history {
            values.insert(now.get(key).cloned());
        }
    }
    // A key that came late was absent before.
    for values in history.values_mut() {
        values.insert(None);
    }
    drop(db);
    Base {
        image: std::fs::read(&path).expect("read"),
        history,
    }
}

/// What was done to a file.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trust {
    /// Checksums are as damaged as the rest: data must be right or refused.
    Checksums,
    /// Checksums fit: data may be anything.
    Nothing,
}

/// Damages an image; says how.
fn damage(image: &mut Vec<u8>, rng: &mut Rng) -> (String, Trust) {
    let page = page_size(image).expect("a good image states its page size");
    let pages = image.len() / page;
    let mut what = String::new();
    for _ in 0..rng.range(1, 4) {
        // Half of the damage where it matters most: headers of pages and meta slots.
        let at = match rng.below(4) {
            0 => rng.index(4) * 4096 + rng.index(300),
            1 => (rng.index(pages) * page + rng.index(64)).min(image.len() - 1),
            _ => rng.index(image.len()),
        };
        match rng.below(8) {
            0 => {
                let len = rng.index(image.len());
                image.truncate(len.max(1));
                what += &format!("cut to {len}; ");
                break;
            }
            1 => {
                let more = rng.range(1, 3 * page);
                image.extend(rng.bytes(more));
                what += &format!("{more} more bytes; ");
            }
            2 => {
                let (a, b) = (rng.index(pages) * page, rng.index(pages) * page);
                if image.len() >= a.max(b) + page {
                    let (low, high) = (a.min(b), a.max(b));
                    if low + page <= high {
                        let (front, back) = image.split_at_mut(high);
                        front[low..low + page].swap_with_slice(&mut back[..page]);
                    }
                    what += &format!("swapped {a:#x} and {b:#x}; ");
                }
            }
            3 => {
                let (a, b) = (rng.index(pages) * page, rng.index(pages) * page);
                if image.len() >= a.max(b) + page {
                    image.copy_within(a..a + page, b);
                    what += &format!("copied {a:#x} to {b:#x}; ");
                }
            }
            4 => {
                let len = rng.range(1, 64).min(image.len() - at);
                rng.fill(&mut image[at..at + len]);
                what += &format!("{len} random bytes at {at:#x}; ");
            }
            5 => {
                let extreme = [0, 1, 0x7f, 0x80, 0xff][rng.index(5)];
                let len = rng.range(1, 8).min(image.len() - at);
                image[at..at + len].fill(extreme);
                what += &format!("{len} x {extreme:#x} at {at:#x}; ");
            }
            _ => {
                image[at] ^= 1 << rng.below(8);
                what += &format!("a bit at {at:#x}; ");
            }
        }
    }
    let trust = match rng.below(4) {
        0 => {
            repair_slots(image);
            what += "slots repaired";
            Trust::Nothing
        }
        1 => {
            repair(image);
            what += "repaired";
            Trust::Nothing
        }
        _ => Trust::Checksums,
    };
    (what, trust)
}

/// A value that was read must be one that the key had.
fn judge(base: &Base, trust: Trust, key: &[u8], value: Option<&[u8]>) {
    if trust == Trust::Nothing {
        return;
    }
    let known = base
        .history
        .get(key)
        .is_some_and(|values| values.contains(&value.map(<[u8]>::to_vec)));
    let absent = value.is_none() && !base.history.contains_key(key);
    assert!(
        known || absent,
        "key {} has a value it never had",
        common::api::show(key)
    );
}

/// Everything one can do with a database; errors end a step, nothing else may.
fn exercise(path: &Path, base: &Base, trust: Trust, rng: &mut Rng) -> Result<()> {
    let db = Db::open(path, &Options::default())?;
    let read = db.begin_read()?;
    for key in base.history.keys() {
        if let Ok(value) = read.get(TableId::MAIN, key) {
            judge(base, trust, key, value);
        }
        let mut part = [0; 100];
        calm((&read).read_value(TableId::MAIN, key, rng.below(1000), &mut part));
        calm((&read).value_info(TableId::MAIN, key));
    }
    calm(scan(&read, TableId::MAIN, false, |key, value| {
        judge(base, trust, key, Some(value))
    }));
    calm(scan(&read, TableId::MAIN, true, |key, value| {
        judge(base, trust, key, Some(value))
    }));
    for name in 0..3 {
        if let Ok(table) = (&read).table(format!("table {name}").as_bytes()) {
            calm(scan(&read, table, false, |_, _| ()));
            calm((&read).table_stat(table));
            calm((&read).count(table, &Range::default()));
        }
    }
    calm(counts(&read, base));
    calm(db.check(true, &mut |_| true));
    drop(read);
    calm(change(&db, base, rng));
    calm(db.check(false, &mut |_| true));
    for commit in 0..6 {
        let (name, next) = (name(commit), name(commit + 1));
        let (name, next) = (name.as_bytes(), next.as_bytes());
        calm(look_at_snapshot(&db, name));
        calm(db.snapshot_cost(name, next));
        calm(change_snapshot(&db, name, rng));
    }
    calm(db.reclaim());
    calm(db.compact(&CompactOptions::default(), &Job::silent()));
    let read = db.begin_read()?;
    calm(scan(&read, TableId::MAIN, false, |_, _| ()));
    Ok(())
}

/// Asserts that what a damaged file brings about is not taken for a fault of the library.
fn calm<T>(result: Result<T>) {
    if let Err(Error::Panic(what)) = result {
        panic!("a damaged file is taken for a fault of the library: {what}");
    }
}

/// Reads a snapshot, and what has changed since.
fn look_at_snapshot(db: &Db, name: &[u8]) -> Result<()> {
    let now = db.begin_read()?;
    (&now).snapshot(name)?;
    calm((&now).snapshot_ranges(name, TableId::MAIN, &Range::default(), &mut |_| true));
    let then = db.begin_read_at(ReadAt::Snapshot(name))?;
    calm(scan(&then, TableId::MAIN, false, |_, _| ()));
    calm(Difference::count(
        &mut &then,
        &mut &now,
        TableId::MAIN,
        &Range::default(),
    ));
    Ok(())
}

/// Goes back to a snapshot, makes a mark of it, drops it or gives it another name.
fn change_snapshot(db: &Db, name: &[u8], rng: &mut Rng) -> Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    match rng.below(4) {
        0 => txn.revert(&db.begin_read_at(ReadAt::Snapshot(name))?, None).map(drop)?,
        1 => txn.snapshot_release(name)?,
        2 => txn.snapshot_rename(name, b"another")?,
        _ => txn.snapshot_drop(name)?,
    }
    txn.commit().map(drop)
}

fn scan(read: &ReadTxn, table: TableId, reverse: bool, mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
    let range = Range {
        reverse,
        ..Range::default()
    };
    let txn = &mut &*read;
    let mut cursor = Cursor::new(txn, table, &range)?;
    let mut entries = 0;
    while cursor.next(txn)? {
        let key = cursor.key().to_vec();
        let value = cursor.value(txn)?;
        see(&key, value);
        entries += 1;
        assert!(entries < ENTRIES, "a scan gives more entries than the file can hold");
    }
    Ok(())
}

fn counts(read: &ReadTxn, base: &Base) -> Result<()> {
    let txn = &mut &*read;
    let mut cursor = Cursor::new(txn, TableId::MAIN, &Range::default())?;
    for key in base.history.keys().step_by(17) {
        let from = Range {
            from: Bound::Included(key),
            ..Range::default()
        };
        let n = txn.count(TableId::MAIN, &from)?;
        txn.rank(TableId::MAIN, key)?;
        cursor.nth(txn, n / 2)?;
        cursor.seek(txn, key, Seek::Le)?;
        cursor.prev(txn)?;
    }
    Ok(())
}

/// Writes to the damaged database; a commit may succeed or not.
fn change(db: &Db, base: &Base, rng: &mut Rng) -> Result<()> {
    for _ in 0..3 {
        let mut txn = db.begin_write(WriteOptions::default())?;
        for key in base.history.keys() {
            match rng.below(5) {
                0 => drop(txn.delete(TableId::MAIN, key)?),
                1 => txn.put(TableId::MAIN, key, &rng.bytes(30), PutMode::Set)?,
                _ => {}
            }
        }
        let long = rng.bytes(20_000);
        txn.put(TableId::MAIN, b"long", &long, PutMode::Set)?;
        let table = txn.table_create(b"table 1", false)?;
        txn.table_clear(table)?;
        txn.take_first(TableId::MAIN, &Range::default())?;
        txn.commit()?;
    }
    Ok(())
}

fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|n| n.parse().ok());
    pages.unwrap_or(0u64) * 4096
}

/// Ends the process when a file takes too long or too much: a hang cannot be told by the thread that hangs.
struct Watchdog {
    beats: Arc<AtomicU64>,
    done: Arc<AtomicBool>,
}

impl Watchdog {
    fn start(seed: u64) -> Watchdog {
        let dog = Watchdog {
            beats: Arc::default(),
            done: Arc::default(),
        };
        let (beats, done) = (dog.beats.clone(), dog.done.clone());
        std::thread::spawn(move || {
            let (mut last, mut ticks) = (0, 0);
            while !done.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(100));
                let now = beats.load(SeqCst);
                ticks = if now == last { ticks + 1 } else { 0 };
                last = now;
                let memory = resident();
                if ticks > SECONDS * 10 || memory > MEMORY {
                    eprintln!("KV_SEED={seed} file {now}: hangs, or {} MiB are resident", memory >> 20);
                    std::process::abort();
                }
            }
        });
        dog
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.done.store(true, SeqCst);
    }
}

#[test]
fn hostile_files_give_errors_or_correct_data() {
    let (seed, files) = (env_number("KV_SEED", 1), env_number("KV_HOSTILE", 5_000));
    let bases = [base(4096, seed), base(16384, seed + 1), base(65536, seed + 2)];
    let dir = TempDir::new("hostile");
    let dog = Watchdog::start(seed);
    let mut failed = Vec::new();
    for file in env_number("KV_FROM", 0)..files {
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003) + file);
        let base = &bases[[0, 0, 0, 1, 2][rng.index(5)]];
        let mut image = base.image.clone();
        let (what, trust) = damage(&mut image, &mut rng);
        let path = dir.file(&format!("{}.kv", file % 8));
        std::fs::write(&path, &image).expect("write");
        let calm = catch_unwind(AssertUnwindSafe(|| exercise(&path, base, trust, &mut rng)));
        if calm.is_err() {
            // The panic's own message was printed just above this.
            eprintln!("KV_SEED={seed} file {file}: {what}; {trust:?}");
            failed.push(file);
        }
        std::fs::remove_file(&path).expect("remove");
        dog.beats.store(file + 1, SeqCst);
        assert!(failed.len() < 20, "files that panicked: {failed:?}");
    }
    assert!(failed.is_empty(), "files that panicked: {failed:?}");
}

#[test]
fn a_repaired_undamaged_file_is_the_same_file() {
    for page_size in [4096, 8192, 32768] {
        let base = base(page_size, 7);
        let mut image = base.image.clone();
        repair(&mut image);
        let first = image.iter().zip(&base.image).position(|(a, b)| a != b);
        assert_eq!(first, None, "the test's idea of the format differs from the engine's");
    }
}

#[test]
fn damage_behind_repaired_checksums_is_reached() {
    // Every value's bytes changed, checksums repaired: reads must answer the changed bytes, which proves that `repair`
    // lets damage through to the code behind the checksums.
    let dir = TempDir::new("hostile-reach");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..2000u32 {
        let long = vec![b'A'; if i == 7 { 100_000 } else { 40 }];
        txn.put(TableId::MAIN, format!("key {i}").as_bytes(), &long, PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    // Only of the newest commit could damage be taken for a torn write: make it an old one.
    for i in 0..3u8 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(TableId::MAIN, b"zz", &[i], PutMode::Set).expect("put");
        txn.commit().expect("commit");
    }
    drop(db);
    let mut image = std::fs::read(&path).expect("read");
    for i in 16384..image.len() - 8 {
        if image[i..i + 8] == *b"AAAAAAAA" {
            image[i..i + 8].copy_from_slice(b"BBBBBBBB");
        }
    }
    std::fs::write(&path, &image).expect("write");
    let damaged =
        Db::open(&path, &Options::default()).and_then(|db| db.begin_read()?.get(TableId::MAIN, b"key 5").map(|_| ()));
    assert!(damaged.is_err(), "the checksums do not notice");
    repair(&mut image);
    std::fs::write(&path, &image).expect("write");
    let db = Db::open(&path, &Options::default()).expect("open a repaired file");
    let read = db.begin_read().expect("read");
    for key in [&b"key 5"[..], b"key 7", b"key 1999"] {
        let value = read.get(TableId::MAIN, key).expect("get").expect("present");
        assert!(
            value.starts_with(b"BBBBBBBB"),
            "{} is unchanged",
            common::api::show(key)
        );
    }
}

/// A damaged leaf keeps nobody from changing those beside it, however few entries are left there.
#[test]
fn what_lies_beside_damage_can_be_changed() -> Result<()> {
    let dir = TempDir::new("beside");
    let path = dir.file("a.kv");
    let value = |n: u32| format!("the value of key {n:04} ").repeat(12).into_bytes();
    let db = Db::open(&path, &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    for n in 0..60u32 {
        txn.put(TableId::MAIN, &n.to_be_bytes(), &value(n), PutMode::Set)?;
    }
    txn.commit()?;
    drop(db);
    let mut image = std::fs::read(&path).expect("read");
    let middle = value(30);
    let at = image.windows(middle.len()).position(|bytes| bytes == middle);
    image[at.expect("the value is in the file")] ^= 1;
    std::fs::write(&path, &image).expect("write");

    let db = Db::open(&path, &Options::default())?;
    let read = db.begin_read()?;
    let is_damaged = |n: u32| matches!(read.get(TableId::MAIN, &n.to_be_bytes()), Err(Error::Corrupt(_)));
    let sound: Vec<u32> = (0..60).filter(|n| !is_damaged(*n)).collect();
    assert!(!sound.contains(&30) && sound.contains(&0) && sound.contains(&59));
    // A leaf that vanishes leaves its interval to a neighbour, which must be read; so some entries stay.
    for n in sound.into_iter().filter(|n| n % 5 != 0) {
        let mut txn = db.begin_write(WriteOptions::default())?;
        assert!(txn.delete(TableId::MAIN, &n.to_be_bytes())?);
        txn.commit()?;
    }
    Ok(())
}
