//! Named snapshots of a file that several processes share: some write and take snapshots, others read them, drop them
//! and give their pages back. Every state of the database has the same number in all of its entries, and the name of a
//! snapshot says which.

mod common;

use common::child::{how, role, Child};
use common::env_number;
use common::rng::Rng;
use common::tmp::TempDir;
use kv::{
    CompactOptions, Cursor, Db, Durability, Error, Job, Options, PutMode, Range, ReadAt, ReadTxn, Reader,
    SnapshotOptions, TableId, WriteOptions,
};
use std::ops::Bound;
use std::path::Path;
use std::time::{Duration, Instant};

const KEYS: u32 = 48;
const DONE: u8 = b'd';
const FAILED: u8 = b'f';

fn open(path: &Path) -> Db {
    let options = Options {
        durability: Durability::Lazy,
        wait: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    Db::open(path, &options).expect("open")
}

/// The number that all entries of a state have; an error says which have another.
fn number(txn: &ReadTxn) -> Result<u64, String> {
    let mut first = None;
    for key in 0..KEYS {
        let value = txn.get(TableId::MAIN, &key.to_be_bytes()).map_err(|e| e.to_string())?;
        let value = value.ok_or("an entry is missing")?;
        let number = u64::from_le_bytes(value[..8].try_into().expect("8 bytes"));
        if *first.get_or_insert(number) != number || value.iter().skip(8).any(|byte| *byte != number as u8) {
            return Err(format!("commit {}: {number} beside {first:?}", txn.id()));
        }
    }
    first.ok_or("no entries".into())
}

/// Writes the next number into all entries, and takes a snapshot now and then.
fn write(db: &Db, rng: &mut Rng) -> Result<(), Error> {
    let old = db.begin_read()?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let newest = Reader::get(&mut txn, TableId::MAIN, &0u32.to_be_bytes())?;
    let now = 1 + newest.map_or(0, |value| u64::from_le_bytes(value[..8].try_into().expect("8 bytes")));
    for key in 0..KEYS {
        let mut value = vec![now as u8; 700];
        value[..8].copy_from_slice(&now.to_le_bytes());
        txn.put(TableId::MAIN, &key.to_be_bytes(), &value, PutMode::Set)?;
    }
    let replace = SnapshotOptions {
        replace: true,
        ..SnapshotOptions::default()
    };
    if rng.percent(30) {
        txn.snapshot_create(format!("{now}").as_bytes(), &replace)?;
    }
    if rng.percent(10) {
        if let Ok(seen) = number(&old) {
            txn.snapshot_create_of(format!("{seen}").as_bytes(), &old, &replace)?;
        }
    }
    txn.commit()?;
    Ok(())
}

fn names(db: &Db) -> Result<Vec<Vec<u8>>, Error> {
    let txn = db.begin_read()?;
    let mut reader = &txn;
    let range = Range {
        from: Bound::Included(b"\x01"),
        ..Range::default()
    };
    let mut cursor = Cursor::new(&mut reader, TableId::SNAPSHOTS, &range)?;
    let mut names = Vec::new();
    while cursor.next(&mut reader)? {
        names.push(cursor.key().to_vec());
    }
    Ok(names)
}

/// Reads a snapshot or two, and drops one.
fn read(db: &Db, rng: &mut Rng, held: &mut Vec<(u64, ReadTxn)>) -> Result<(), String> {
    let fault = |e: Error| e.to_string();
    let names = names(db).map_err(fault)?;
    if names.is_empty() {
        return Ok(());
    }
    let name = &names[rng.below(names.len() as u64) as usize];
    let wanted: u64 = String::from_utf8_lossy(name).parse().expect("a number");
    match db.begin_read_at(ReadAt::Snapshot(name)) {
        // Another process has dropped it meanwhile.
        Err(Error::NotFound) => {}
        Err(error) => return Err(fault(error)),
        Ok(txn) => held.push((wanted, txn)),
    }
    if rng.percent(10) {
        // Then nobody may be left who is in the way of a cut.
        held.clear();
    }
    if held.len() > 3 {
        let (wanted, txn) = held.swap_remove(rng.below(held.len() as u64) as usize);
        match number(&txn)? {
            found if found == wanted => {}
            found => return Err(format!("snapshot {wanted} has {found}")),
        }
    }
    if names.len() > 6 || rng.percent(20) {
        let mut txn = db.begin_write(WriteOptions::default()).map_err(fault)?;
        // As many as keep up with those who make them.
        for name in names.iter().step_by(2).chain([name]) {
            match txn.snapshot_drop(name) {
                Ok(()) | Err(Error::NotFound) => {}
                Err(error) => return Err(fault(error)),
            }
        }
        txn.commit().map_err(fault)?;
    }
    if rng.percent(10) {
        db.reclaim().map_err(fault)?;
    }
    Ok(())
}

/// Makes the file larger, and smaller again.
fn compact(db: &Db, rng: &mut Rng, held: &mut Vec<(u64, ReadTxn)>) -> Result<(), String> {
    let fault = |e: Error| e.to_string();
    held.clear();
    let mut txn = db.begin_write(WriteOptions::default()).map_err(fault)?;
    let table = txn.table_create(b"bulk", false).map_err(fault)?;
    for key in 0..2_000u32 {
        txn.put(table, &key.to_be_bytes(), &[key as u8; 900], PutMode::Set)
            .map_err(fault)?;
    }
    txn.commit().map_err(fault)?;
    let mut txn = db.begin_write(WriteOptions::default()).map_err(fault)?;
    txn.table_clear(table).map_err(fault)?;
    txn.commit().map_err(fault)?;
    let options = CompactOptions {
        stay: rng.percent(30),
        punch: rng.percent(30),
    };
    db.compact(&options, &Job::silent()).map(|_| ()).map_err(fault)
}

fn child(task: &str, tell: impl Fn(u8), stopped: impl Fn() -> bool) {
    let (kind, path) = task.split_once(' ').expect("a task");
    let db = open(Path::new(path));
    let mut rng = Rng::new(u64::from(std::process::id()));
    let mut held = Vec::new();
    while !stopped() {
        let done = match kind {
            "write" => write(&db, &mut rng).map_err(|e| e.to_string()),
            "compact" => compact(&db, &mut rng, &mut held),
            _ => read(&db, &mut rng, &mut held),
        };
        if let Err(what) = done {
            eprintln!("{kind}: {what}");
            return tell(FAILED);
        }
    }
    tell(DONE);
}

#[test]
fn processes_share_snapshots() {
    if let Some((task, wire)) = role() {
        return child(&task, |kind| wire.tell(kind, 0, 0, 0), || wire.stopped());
    }
    let dir = TempDir::new("shared");
    let path = dir.file("a.kv");
    let db = open(&path);
    let start = |kind: &str| Child::start("processes_share_snapshots", &format!("{kind} {}", path.display()), &[]);
    let kinds = ["write", "write", "read", "read", "compact"];
    let mut children = kinds.map(start);
    let seconds = env_number("KV_SNAPSHOT_SECONDS", 4);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut checks, mut kills) = (0, 0);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(300));
        // Others commit all the time: a check that cannot catch a commit says so.
        match db.check(true, &mut |fault| panic!("{fault:?}")) {
            Ok(_) => checks += 1,
            Err(Error::Busy(_)) => {}
            Err(error) => panic!("check: {error}"),
        }
        // One is killed in the midst of whatever it does, and another one takes its place.
        let (killed, kind) = (kills % kinds.len(), kinds[kills % kinds.len()]);
        assert!(
            !children[killed].notes().iter().any(|note| note.kind == FAILED),
            "{kind}"
        );
        children[killed].kill();
        children[killed] = start(kind);
        kills += 1;
    }
    for child in &mut children {
        child.stop();
    }
    for mut child in children {
        let status = child.wait(Duration::from_secs(60));
        let notes = child.last_notes();
        assert!(notes.iter().any(|note| note.kind == DONE), "{}: {notes:?}", how(status));
    }
    let made = number(&db.begin_read().expect("read")).expect("a number");
    for name in names(&db).expect("names") {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.snapshot_drop(&name).expect("drop");
        txn.commit().expect("commit");
    }
    db.reclaim().expect("reclaim");
    let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    assert_eq!((report.parked_pages, report.snapshots), (0, 0));
    let report = db.compact(&CompactOptions::default(), &Job::silent()).expect("compact");
    assert!(report.pages_after < 300, "{report:?}");
    println!(
        "{made} commits, {checks} checks, {kills} kills, {} pages",
        report.pages_after
    );
    assert!(made > 20, "hardly anything was written");
}
