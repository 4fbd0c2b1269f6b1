//! Relocation: what lies at the end of a file in which most was deleted moves to free pages at its front, some hundreds
//! of pages with each commit, and nobody sees anything of it but in the numbers of pages.
//!
//! `KV_SEED` chooses other histories.

mod common;

use common::env_number;
use common::rng::Rng;
use common::tmp::TempDir;
use kv::tree::write::relocation::Stop;
use kv::txn::RelocateFrom;
use kv::{Db, Durability, Job, Options, PageNo, PageRun, PageUse, PutMode, Range, ReadAt, ReadTxn};
use kv::{SnapshotOptions, TableId, WriteOptions};
use std::collections::BTreeMap;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
/// The entries of each table.
type Model = BTreeMap<TableId, Map>;

const MAIN: TableId = TableId::MAIN;
/// How many pages move with a commit.
const BUDGET: u64 = 512;

fn key(rng: &mut Rng) -> Vec<u8> {
    match rng.below(40) {
        0 => {
            let mut key = vec![b'k'; [600, 4000, 9000][rng.index(3)]];
            let end = key.len();
            key[end - 2..].copy_from_slice(&rng.below(300).to_be_bytes()[6..]);
            key
        }
        1..=9 => rng.below(4000).to_be_bytes().to_vec(),
        _ => format!("a common beginning {:06}", rng.below(20_000)).into_bytes(),
    }
}

fn value(rng: &mut Rng, long: bool) -> Vec<u8> {
    let len = match rng.below(1000) {
        0 if long => (1 << 20) + rng.index(1 << 21),
        1..=50 if long => 3000 + rng.index(30_000),
        _ => rng.index(300),
    };
    vec![rng.below(256) as u8; len]
}

/// Commits some edits of the tables, most of them puts.
fn commit_edits(db: &Db, model: &mut Model, rng: &mut Rng, edits: usize) {
    let tables: Vec<TableId> = model.keys().copied().collect();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..edits {
        // The first tables get most, so that the others are small.
        let at = rng.index(tables.len()).min(rng.index(tables.len()));
        let (table, key) = (tables[at], key(rng));
        let map = model.get_mut(&table).expect("a table");
        match rng.percent(20) {
            true => {
                txn.delete(table, &key).expect("delete");
                map.remove(&key);
            }
            false => {
                let value = value(rng, at % 2 == 0);
                txn.put(table, &key, &value, PutMode::Set).expect("put");
                map.insert(key, value);
            }
        }
    }
    txn.commit().expect("commit");
}

/// Deletes nine entries of ten, in commits of their own.
fn delete_most(db: &Db, model: &mut Model, rng: &mut Rng) {
    for (table, map) in model.iter_mut() {
        let gone: Vec<Vec<u8>> = map.keys().filter(|_| rng.percent(90)).cloned().collect();
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for key in &gone {
            txn.delete(*table, key).expect("delete");
            map.remove(key);
        }
        txn.commit().expect("commit");
    }
}

/// Returns an open database with some tables, and what is in them.
fn aged(path: Option<&std::path::Path>, rng: &mut Rng) -> (Db, Model) {
    let options = Options {
        memory: path.is_none(),
        durability: Durability::Lazy,
        page_size: [4096, 4096, 16384][rng.index(3)],
        ..Options::default()
    };
    let db = Db::open(path.unwrap_or("".as_ref()), &options).expect("open");
    let mut model = Model::from([(MAIN, Map::new())]);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..30 {
        let table = txn
            .table_create(format!("table {i}").as_bytes(), true)
            .expect("a table");
        model.insert(table, Map::new());
    }
    txn.commit().expect("commit");
    for _ in 0..20 {
        let edits = 1 + rng.index(3000);
        commit_edits(&db, &mut model, rng, edits);
    }
    delete_most(&db, &mut model, rng);
    free_dead(&db);
    (db, model)
}

/// Makes what is dead free, as far as nobody keeps it: two syncs.
fn free_dead(db: &Db) {
    for _ in 0..2 {
        let options = WriteOptions {
            durability: Some(Durability::Full),
            ..WriteOptions::default()
        };
        let mut txn = db.begin_write(options).expect("begin");
        txn.put(MAIN, b"for a commit", b"", PutMode::Set).expect("put");
        txn.delete(MAIN, b"for a commit").expect("delete");
        txn.commit().expect("commit");
    }
}

fn compare(reader: &ReadTxn, model: &Model) {
    for (table, map) in model {
        let mut txn = reader;
        let mut cursor = kv::Cursor::new(&mut txn, *table, &Range::default()).expect("cursor");
        let mut expected = map.iter();
        while cursor.next(&mut txn).expect("next") {
            let (key, value) = expected.next().expect("no further entry");
            assert_eq!(cursor.key(), key, "{table}");
            assert_eq!(cursor.value(&mut txn).expect("value"), value, "{table}");
        }
        assert_eq!(expected.next(), None, "{table}");
    }
}

fn check(db: &Db) {
    let mut faults = Vec::new();
    let report = db.check(true, &mut |fault| {
        faults.push(format!("{fault:?}"));
        faults.len() < 9
    });
    assert!(faults.is_empty(), "{report:?}: {faults:#?}");
    report.expect("a check");
}

/// Returns the runs of pages that the newest commit uses, without the head of the file and spilled records, which are
/// written anew by the next commit.
fn living(db: &Db) -> Vec<PageRun> {
    let mut runs = Vec::new();
    let mut on_run = |run: PageRun| {
        let dead = matches!(run.usage, PageUse::Dead | PageUse::Parked | PageUse::Meta);
        let spilled = run.usage == PageUse::Own && run.table.is_none();
        if !dead && !spilled {
            runs.push(run);
        }
    };
    db.page_uses(&Job::silent(), &mut on_run, &mut |fault| panic!("{fault:?}"))
        .expect("uses");
    runs
}

/// Returns how many pages the runs have that end behind the frontier.
fn behind(runs: &[PageRun], frontier: PageNo) -> u64 {
    let ends_behind = runs.iter().filter(|run| run.first + run.pages > frontier);
    ends_behind.map(|run| run.pages).sum()
}

/// Returns whether the dead pages before the frontier could take one of the runs that end behind it, whole or at pieces
/// of a long value.
fn is_room_for_any(db: &Db, runs: &[PageRun], frontier: PageNo) -> bool {
    let piece = (1 << 20) / u64::from(db.stat().page_size);
    let (mut longest, mut pieces) = (0, 0);
    let mut on_run = |run: PageRun| {
        if run.usage == PageUse::Dead && run.first < frontier {
            let hole = run.pages.min(frontier.checked_sub(run.first).unwrap_or(0));
            longest = longest.max(hole);
            pieces += hole / piece;
        }
    };
    db.page_uses(&Job::silent(), &mut on_run, &mut |fault| panic!("{fault:?}"))
        .expect("uses");
    let mut left = runs.iter().filter(|run| run.first + run.pages > frontier);
    left.any(|run| longest >= run.pages || pieces >= run.pages.div_ceil(piece))
}

/// What all steps have done together.
#[derive(Debug, Default)]
struct Done {
    moved: u64,
    /// The pages of trees that were written for that.
    written: u64,
    /// The pages of long values and keys for which there was no hole in the last pass.
    left: u64,
    /// Whether a pass stopped for lack of free pages, and had nothing more to wait for.
    is_out_of_room: bool,
}

/// Moves what lies behind the frontier, until a pass finds nothing more.
fn relocate(db: &Db, frontier: PageNo, mut between: impl FnMut()) -> Done {
    let (mut done, mut at, mut in_vain) = (Done::default(), RelocateFrom::default(), 0);
    let pages = db.stat().pages;
    let mut passes = 0;
    loop {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let step = txn.relocate(frontier, &mut at, BUDGET).expect("relocate");
        done.written += txn.stat().private_pages;
        txn.commit().expect("commit");
        assert!(db.stat().pages <= pages, "the file grew");
        done.moved += step.moved;
        done.left += step.left;
        in_vain = if step.moved > 0 { 0 } else { in_vain + 1 };
        match step.stop {
            Some(Stop::Limit) => assert!(step.moved > 0 || in_vain < 50, "it goes on"),
            Some(Stop::NoRoom) if in_vain > 2 => {
                done.is_out_of_room = true;
                return done;
            }
            Some(Stop::NoRoom) => free_dead(db),
            None if step.moved == 0 && passes > 0 => return done,
            None => {
                free_dead(db);
                passes += 1;
                done.left = 0;
                assert!(passes < 20, "the passes find ever more: {done:?}");
            }
        }
        between();
    }
}

/// Returns a frontier before which there is so much more room than is in use.
fn frontier_for(runs: &[PageRun], percent: u64) -> PageNo {
    let pages: u64 = runs.iter().map(|run| run.pages).sum();
    PageNo::new(300 + pages * percent / 100)
}

#[test]
fn everything_of_an_aged_file_moves_to_its_front() {
    let (seeds, mut tried) = (env_number("KV_SEEDS", 6), 0);
    for seed in 0..seeds {
        let mut rng = Rng::new(env_number("KV_SEED", 1) * 1000 + seed);
        let folder = TempDir::new("relocate");
        let path = folder.file("db");
        let (mut db, model) = aged(rng.percent(50).then_some(&*path), &mut rng);
        if path.exists() && rng.percent(60) {
            // Whoever opens it learns from the space tree what is free.
            drop(db);
            let options = Options {
                durability: Durability::Lazy,
                ..Options::default()
            };
            db = Db::open(&path, &options).expect("open again");
        }
        let runs = living(&db);
        let frontier = frontier_for(&runs, 150);
        let before = behind(&runs, frontier);
        tried += u64::from(before > 100);
        let (read, pages) = (rng.percent(50).then(|| db.begin_read().expect("read")), db.stat().pages);
        let done = relocate(&db, frontier, || ());
        let runs = living(&db);
        assert!(!done.is_out_of_room, "seed {seed}: {done:?}");
        // A leaf at which a step stopped is looked at again, and what it leaves counts again.
        assert!(
            behind(&runs, frontier) <= done.left,
            "seed {seed}: {done:?} of {before} pages"
        );
        assert!(db.stat().pages <= pages, "seed {seed}");
        match read {
            Some(read) => compare(&read, &model),
            // No hole takes any of what is left.
            None => assert!(!is_room_for_any(&db, &runs, frontier), "seed {seed}: {done:?}"),
        }
        compare(&db.begin_read().expect("read"), &model);
        check(&db);
    }
    assert!(tried * 2 > seeds, "in few files there is something to move: {tried}");
}

/// What a snapshot has stays where it is; between it and the state with other pages is no difference.
#[test]
fn a_snapshot_keeps_its_pages_and_is_the_same() {
    for seed in 0..env_number("KV_SEEDS", 4) {
        let mut rng = Rng::new(env_number("KV_SEED", 1) * 1000 + 77 + seed);
        let (db, mut model) = aged(None, &mut rng);
        let mut snapshots = Vec::new();
        for i in 0..20 {
            let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
            let name = format!("snapshot {i}").into_bytes();
            txn.snapshot_create(&name, &SnapshotOptions::default()).expect("create");
            txn.commit().expect("commit");
            snapshots.push((name, model.clone()));
            commit_edits(&db, &mut model, &mut rng, 30);
        }
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.snapshot_create(b"last", &SnapshotOptions::default())
            .expect("create");
        txn.commit().expect("commit");
        free_dead(&db);
        let runs = living(&db);
        let frontier = frontier_for(&runs, 200);
        let before = behind(&runs, frontier);
        let done = relocate(&db, frontier, || ());
        // The newest snapshot sees all but the list of snapshots and that of dead pages.
        assert!(done.moved <= 32, "seed {seed}: {done:?} of {before}");
        check(&db);

        let (last, now) = (
            db.begin_read_at(ReadAt::Snapshot(b"last")).expect("the snapshot"),
            db.begin_read().expect("read"),
        );
        for table in model.keys() {
            let counts = kv::Difference::count(&mut &last, &mut &now, *table, &Range::default()).expect("counts");
            assert_eq!(counts, kv::ChangeCounts::default(), "seed {seed}");
        }
        compare(&now, &model);
        for (name, model) in &snapshots {
            compare(&db.begin_read_at(ReadAt::Snapshot(name)).expect("a snapshot"), model);
        }
        drop((last, now));
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for (name, _) in &snapshots {
            txn.snapshot_drop(name).expect("drop");
        }
        txn.snapshot_drop(b"last").expect("drop");
        txn.commit().expect("commit");
        db.reclaim().expect("reclaim");
        check(&db);
    }
}

/// Others write between the steps, and where they like.
#[test]
fn others_write_in_between() {
    let mut rng = Rng::new(env_number("KV_SEED", 1) * 1000 + 555);
    let (db, mut model) = aged(None, &mut rng);
    let frontier = frontier_for(&living(&db), 200);
    let mut at = RelocateFrom::default();
    for step in 0..200 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.relocate(frontier, &mut at, 40).expect("relocate");
        // What the transaction writes besides is applied to the moved trees.
        let (key, value) = (key(&mut rng), value(&mut rng, true));
        txn.put(MAIN, &key, &value, PutMode::Set).expect("put");
        model.get_mut(&MAIN).expect("the main table").insert(key, value);
        if step % 10 == 0 {
            // A second call in one transaction goes on where the first one stopped.
            txn.relocate(frontier, &mut at, 40).expect("relocate");
        }
        txn.commit().expect("commit");
        commit_edits(&db, &mut model, &mut rng, 20);
        if step % 20 == 0 {
            free_dead(&db);
            compare(&db.begin_read().expect("read"), &model);
            check(&db);
        }
    }
    compare(&db.begin_read().expect("read"), &model);
    check(&db);
}

/// A file without free pages does not grow for a relocation, which says that there is no room.
#[test]
fn a_full_file_does_not_grow() {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    let db = Db::open("".as_ref(), &options).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..20_000u64 {
        txn.put(MAIN, &i.to_be_bytes(), &[7; 200], PutMode::Append)
            .expect("put");
    }
    txn.commit().expect("commit");
    free_dead(&db);
    let pages = db.stat().pages;
    let done = relocate(&db, PageNo::new(pages / 2), || ());
    assert!(done.is_out_of_room, "{done:?}");
    check(&db);
}

/// In a file of which two thirds live, what moves costs little more than its pages: two to five pages more for each
/// hundred, and 0.7 MB for each MB at the end of the file that comes free.
#[test]
fn little_is_written_for_what_is_given_back() {
    let options = Options {
        memory: true,
        durability: Durability::Lazy,
        ..Options::default()
    };
    let db = Db::open("".as_ref(), &options).expect("open");
    let mut rng = Rng::new(5);
    let mut model = Model::from([(MAIN, Map::new())]);
    for round in 0..120u64 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for _ in 0..if round < 20 { 10_000 } else { 1000 } {
            let key = rng.below(200_000).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            let value = [rng.below(256) as u8; 150];
            txn.put(MAIN, &key, &value, PutMode::Set).expect("put");
            model
                .get_mut(&MAIN)
                .expect("the main table")
                .insert(key.to_vec(), value.to_vec());
        }
        txn.commit().expect("commit");
    }
    free_dead(&db);
    let (runs, pages) = (living(&db), db.stat().pages);
    let living_pages: u64 = runs.iter().map(|run| run.pages).sum();
    assert!(living_pages * 100 < pages * 80, "{living_pages} of {pages} pages live");
    let frontier = frontier_for(&runs, 103);
    let done = relocate(&db, frontier, || ());
    assert_eq!((done.left, behind(&living(&db), frontier)), (0, 0));
    let back = pages - frontier.get();
    assert!(done.written * 100 <= done.moved * 105, "{done:?}");
    assert!(done.written * 100 <= back * 80, "{done:?} for {back} pages");
    compare(&db.begin_read().expect("read"), &model);
    check(&db);
}
