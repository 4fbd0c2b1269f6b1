//! Faults under the whole engine: every call of a workload fails, once or from then on, and every page is damaged under
//! every operation. Then the transaction is committed **anyway**: whatever failed half-way must have made that
//! impossible. After closing and opening nothing acknowledged is lost, and every page is accounted for.

mod common;
mod crashes;
mod engine;

use common::small_disk::SmallDisk;
use engine::{account, compare, compare_snapshots, step, Model, Step, Stop, STEPS};
use kv::file::sim::{Cut, Fault, Random, SimDisk};
use kv::file::Storage;
use kv::Error;
use kv::{CommitId, Cursor, Db, Durability, Options, PutMode, Range, ReadTxn, TableId, WriteOptions};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Transactions of a workload: some 700 calls.
const TRANSACTIONS: u64 = 190;

fn text(stop: Stop) -> String {
    match stop {
        Stop::Error(error) => error.to_string(),
        Stop::Wrong(what) => what,
    }
}

/// A workload under a fault: what it knows.
struct Sweep<D> {
    disk: Arc<D>,
    tried: BTreeMap<CommitId, Arc<Model>>,
    unknown: Option<(CommitId, Arc<Model>)>,
    tip: (CommitId, Arc<Model>),
    promised: CommitId,
    /// Steps that a fault ended.
    ended: Vec<Step>,
    /// Whether the fault is that of a full disk.
    is_full: bool,
}

impl<D: Storage + 'static> Sweep<D> {
    fn new(disk: D) -> Sweep<D> {
        let disk = Arc::new(disk);
        drop(Db::open_storage(disk.clone(), &Options::default()).expect("create"));
        disk.sync().expect("sync");
        let empty = Arc::new(Model::default());
        let first = CommitId::new(1);
        Sweep {
            disk,
            tried: BTreeMap::from([(first, empty.clone())]),
            unknown: None,
            tip: (first, empty),
            promised: first,
            ended: Vec::new(),
            is_full: false,
        }
    }

    /// Opens, works, closes.
    fn work(&mut self, seed: u64) -> Result<(), String> {
        let Ok(db) = Db::open_storage(self.disk.clone(), &Options::default()) else {
            return Ok(());
        };
        let mut random = Random::new(seed);
        for n in 0..TRANSACTIONS {
            let poisoned = self.is_poisoned(&db);
            let lazy = n % 3 == 1;
            let answer = self.transaction(&db, n, lazy, &mut random)?;
            match answer {
                None => {}
                Some((_, Ok(_))) if poisoned => return Err("a poisoned database accepted a commit".into()),
                Some((model, Ok(id))) => {
                    if !lazy && id > self.tip.0 {
                        self.promised = id;
                    }
                    self.tried.insert(id, model.clone());
                    self.tip = (id, model);
                }
                Some((model, Err(Error::InDoubt(_)))) => {
                    if !self.is_poisoned(&db) {
                        return Err("in doubt and not poisoned".into());
                    }
                    self.unknown = Some((self.tip.0, model));
                }
                Some((_, Err(Error::Poisoned))) if self.is_poisoned(&db) => {}
                // On a full disk, a transaction that begins syncs to get room, and that fails here as well.
                Some(_) if !self.is_full && self.is_poisoned(&db) => {
                    return Err("poisoned by an error that says otherwise".into())
                }
                // Undone.
                Some(_) => {}
            }
            if self.is_poisoned(&db) {
                // Nothing more can come of it.
                return Ok(());
            }
            if n % 16 == 0 {
                compare(&db.begin_read().map_err(|e| e.to_string())?, &self.tip.1)?;
                account(&db)?;
            }
        }
        self.unknown = Some(self.tip.clone());
        Ok(())
    }

    fn is_poisoned(&self, db: &Db) -> bool {
        let options = WriteOptions {
            wait: Some(kv::Wait::Try),
            ..WriteOptions::default()
        };
        matches!(db.begin_write(options), Err(Error::Poisoned))
    }

    /// One transaction; `None`: it was refused or aborted. A commit after a step that failed must be refused.
    #[allow(clippy::type_complexity)]
    fn transaction(
        &mut self,
        db: &Db,
        n: u64,
        lazy: bool,
        random: &mut Random,
    ) -> Result<Option<(Arc<Model>, kv::Result<CommitId>)>, String> {
        let options = WriteOptions {
            durability: Some(if lazy { Durability::Lazy } else { Durability::Full }),
            write_memory: (n % 2 == 0).then_some(1),
            ..WriteOptions::default()
        };
        let mut txn = match db.begin_write(options) {
            Ok(txn) => txn,
            Err(Error::Poisoned | Error::Io { .. } | Error::NoSpace { .. }) => return Ok(None),
            Err(error) => return Err(format!("begin: {error}")),
        };
        let mut model = Model::clone(&self.tip.1);
        let mut spoiled = false;
        for what in [STEPS[n as usize % STEPS.len()], Step::Put, Step::LongPut] {
            match step(&mut txn, &mut model, random, what) {
                Ok(()) => {}
                Err(Stop::Wrong(what)) => return Err(what),
                Err(Stop::Error(error)) => {
                    // A call after the failed one says so.
                    if !spoiled {
                        self.ended.push(what);
                    } else if !matches!(error, Error::TxnFailed(_)) {
                        return Err(format!("{what:?} after a failed call answered: {error}"));
                    }
                    spoiled = true;
                }
            }
        }
        model.take_snapshots();
        match (spoiled, txn.commit()) {
            (true, Err(Error::TxnFailed(_))) => Ok(None),
            (true, answer) => Err(format!("committing after a failed call answered {answer:?}")),
            (false, answer) => Ok(Some((Arc::new(model), answer))),
        }
    }

    fn check(&self) -> Result<CommitId, String> {
        let db = Db::open_storage(self.disk.clone(), &Options::default()).map_err(|e| format!("open again: {e}"))?;
        let id = db.recovery().id;
        if id < self.promised {
            return Err(format!("commit {} was acknowledged, {id} is there", self.promised));
        }
        let model = match (self.tried.get(&id), &self.unknown) {
            (Some(model), _) => model,
            (None, Some((above, model))) if id > *above => model,
            _ => return Err(format!("commit {id} was never made")),
        };
        compare(&db.begin_read().map_err(|e| e.to_string())?, model)?;
        compare_snapshots(&db, model)?;
        account(&db)?;
        Ok(id)
    }
}

/// Runs the workload with call `n` failing; whether it was reached, and the step it ended.
fn sweep(seed: u64, n: u64, fault: Fault, for_ever: bool) -> Result<(bool, Vec<Step>), String> {
    let mut sweep = Sweep::new(SimDisk::new(seed).expect("disk"));
    sweep.is_full = fault == Fault::NoSpace;
    let calls = sweep.disk.counts().2;
    sweep.disk.fail_after(n, fault, for_ever);
    sweep.work(seed)?;
    let reached = sweep.disk.counts().2 >= calls + n;
    sweep.disk.heal();
    sweep.check()?;
    // The same after a power cut on top.
    let disk = Arc::get_mut(&mut sweep.disk).expect("the database is closed");
    disk.power_cut(seed ^ n, Cut::Sectors);
    sweep.check()?;
    Ok((reached, sweep.ended))
}

#[test]
fn every_call_under_the_whole_engine_fails() {
    every_call(false);
}

#[test]
fn every_call_under_the_whole_engine_fails_for_ever() {
    every_call(true);
}

fn every_call(for_ever: bool) {
    let seeds = crashes::setting("KV_FAULT_SEEDS").unwrap_or(1);
    let (mut runs, mut most, mut ended) = (0, 0, BTreeMap::<String, u64>::new());
    let ways = [Fault::Io, Fault::NoSpace, Fault::Short, Fault::Interrupted];
    for (seed, fault) in (1..=seeds).flat_map(|seed| ways.map(move |way| (seed, way))) {
        for n in 1.. {
            match sweep(seed, n, fault, for_ever) {
                Ok((true, steps)) => {
                    (runs, most) = (runs + 1, most.max(n));
                    let names = steps.iter().map(|step| format!("{step:?}"));
                    names.for_each(|name| *ended.entry(name).or_default() += 1);
                }
                Ok((false, _)) => break,
                Err(what) => panic!("seed {seed}, call {n}, {fault:?}, for ever {for_ever}: {what}"),
            }
        }
    }
    println!(
        "fault: {runs} passed, 0 failed ({most} calls of a workload, for ever {for_ever}, failed steps: {ended:?})"
    );
    assert!(most >= 600, "the workload makes only {most} calls");
    for step in ["LongPut", "Put", "Stream", "Reserve"] {
        assert!(ended.contains_key(step), "no fault ended a {step}");
    }
}

#[test]
fn a_disk_of_any_size_is_full_under_the_whole_engine() {
    let (mut full, mut short) = (0, 0);
    for size in 0..60u64 {
        // The first is hardly larger than an empty database, and the last holds the whole workload.
        let disk = SmallDisk::new(size, 200 + size * 30);
        let mut sweep = Sweep::new(disk);
        let done = sweep.work(size).and_then(|()| {
            full += u64::from(!sweep.ended.is_empty());
            short += sweep.disk.short_writes();
            sweep.check()?;
            // With more room, the same workload goes on from there, and nothing of it is refused.
            sweep.disk.grow(100_000);
            sweep.ended.clear();
            sweep.promised = sweep.promised.max(sweep.tip.0);
            sweep.work(size + 1000)?;
            sweep.check()
        });
        done.unwrap_or_else(|what| panic!("size {size}: {what}"));
        assert_eq!(sweep.ended, [], "size {size}: there is room");
    }
    println!("fault: 60 passed, 0 failed ({full} sizes were full, {short} writes stopped short)");
    assert!(
        full > 20 && short > 20,
        "{full} sizes were full, {short} writes stopped short"
    );
}

#[test]
fn every_page_is_damaged_under_every_operation() {
    // A database with every kind of page.
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let db = Db::open_storage(disk.clone(), &Options::default()).expect("create");
    let (mut random, mut base) = (Random::new(5), Model::default());
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..250 {
        for what in [
            Step::LongPut,
            Step::Create,
            Step::Snapshot,
            Step::MiddlePut,
            Step::MiddlePut,
        ] {
            if what == Step::MiddlePut || random.one_in(20) {
                let done = step(&mut txn, &mut base, &mut random, what);
                done.map_err(text).expect("a step");
            }
        }
    }
    base.take_snapshots();
    txn.commit().expect("commit");
    drop(db);
    let good = disk.image();
    let (mut refused, mut untouched) = (0, 0);
    for page in 4..good.len() / 4096 {
        for what in STEPS {
            let at = page * 4096 + 40 + random.below(3000) as usize;
            let mut image = good.clone();
            image[at] ^= 0x10;
            let disk = Arc::new(SimDisk::with_image(image, 1).expect("disk"));
            let mut model = base.clone();
            let failed = {
                let db = Db::open_storage(disk.clone(), &Options::default()).expect("open");
                let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
                let failed = (0..5).any(|_| step(&mut txn, &mut model, &mut random, what).is_err());
                model.take_snapshots();
                match txn.commit() {
                    // Whichever call meets damage, a read included, ends the transaction.
                    Ok(_) if failed => panic!("page {page}, {what:?}: committed after an error"),
                    Ok(_) => untouched += 1,
                    Err(Error::TxnFailed(_) | Error::Corrupt(_)) => {
                        refused += 1;
                        model = base.clone();
                    }
                    Err(error) => panic!("page {page}, {what:?}: {error}"),
                }
                failed
            };
            // The damage is mended, unless the page was written since: what was committed must be whole, and what the
            // model says.
            let mut image = disk.image();
            image[at] ^= 0x10;
            let bytes = page * 4096..page * 4096 + 4096;
            if image[bytes.clone()] != good[bytes] {
                image[at] ^= 0x10;
            }
            let disk = Arc::new(SimDisk::with_image(image, 1).expect("disk"));
            let db = Db::open_storage(disk, &Options::default()).expect("open again");
            compare(&db.begin_read().expect("read"), &model)
                .and_then(|()| compare_snapshots(&db, &model))
                .and_then(|()| account(&db))
                .unwrap_or_else(|e| panic!("page {page}, {what:?}, failed {failed}: {e}"));
        }
    }
    let runs = refused + untouched;
    println!("fault: {runs} passed, 0 failed (damage: {refused} commits refused)");
    assert!(refused > 100 && untouched > 100);
}

#[test]
fn a_cursor_does_not_step_over_damage() {
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let db = Db::open_storage(disk.clone(), &Options::default()).expect("create");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in 0..1000u32 {
        txn.put(TableId::MAIN, &n.to_be_bytes(), &[7; 200], PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    drop(db);
    let good = disk.image();
    let mut met = 0;
    for page in 4..good.len() as u64 / 4096 {
        for reverse in [false, true] {
            let disk = Arc::new(SimDisk::with_image(good.clone(), 1).expect("disk"));
            disk.write_at(page * 4096 + 100, b"damage").expect("write");
            let db = Db::open_storage(disk, &Options::default()).expect("open");
            let read = db.begin_read().expect("read");
            let (mut reader, mut errors, mut passed) = (&read, 0, 0u32);
            let range = Range {
                reverse,
                ..Range::default()
            };
            let Ok(mut cursor) = Cursor::new(&mut reader, TableId::MAIN, &range) else {
                continue;
            };
            while errors < 5 {
                match cursor.next(&mut reader) {
                    Ok(true) => {
                        let n = if reverse { 999 - passed } else { passed };
                        assert_eq!(cursor.key(), n.to_be_bytes(), "page {page}: entries were left out");
                        passed += 1;
                    }
                    Ok(false) => break,
                    Err(_) => errors += 1,
                }
            }
            assert!(
                errors == 5 || passed == 1000,
                "page {page}: {passed} entries, {errors} errors, then the end"
            );
            met += u64::from(errors > 0);
        }
    }
    assert!(met > 100, "{met}");
}

#[test]
fn a_file_that_cannot_grow_fails_the_transaction() {
    // The simulated disk reserves 256 MiB: first a value, then a flush of long keys meets the end.
    for long_keys in [true, false] {
        let disk = Arc::new(SimDisk::new(1).expect("disk"));
        let db = Db::open_storage(disk.clone(), &Options::default()).expect("create");
        let fill = vec![7; (1 << 20) - 4096];
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for n in 0..if long_keys { 255u32 } else { 250 } {
            txn.put(TableId::MAIN, &n.to_be_bytes(), &fill, PutMode::Set)
                .expect("put");
        }
        txn.commit().expect("commit");
        let options = WriteOptions {
            write_memory: Some(300_000),
            ..WriteOptions::default()
        };
        let mut txn = db.begin_write(options).expect("begin");
        let met = (0..100_000u32).find_map(|n| {
            let key = [&n.to_be_bytes()[..], &[9; 5000]].concat();
            let (key, value) = if long_keys {
                (&key[..], &b"v"[..])
            } else {
                (&key[..4], &fill[..])
            };
            let key = [b"x", key].concat();
            txn.put(TableId::MAIN, &key, value, PutMode::Set).err()
        });
        assert!(matches!(met, Some(Error::Outgrown { .. })), "{met:?}");
        let answer = txn.commit();
        assert!(
            matches!(answer, Err(Error::TxnFailed(_))),
            "long keys {long_keys}: {answer:?}"
        );
        account(&db).expect("whole");
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.delete(TableId::MAIN, &3u32.to_be_bytes()).expect("delete");
        txn.commit().expect("usable");
        account(&db).expect("whole");
    }
}

#[test]
fn a_reader_that_cannot_move_to_the_newest_commit_goes_on_with_its_own() {
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let db = Db::open_storage(disk.clone(), &Options::default()).expect("create");
    let put = |value: &[u8], durability| -> kv::Result<TableId> {
        let options = WriteOptions {
            durability: Some(durability),
            ..WriteOptions::default()
        };
        let mut txn = db.begin_write(options)?;
        let table = txn.table_create(b"named", false)?;
        for table in [TableId::MAIN, table] {
            txn.put(table, b"key", value, PutMode::Set)?;
        }
        txn.commit().map(|_| table)
    };
    let named = put(b"old", Durability::Full).expect("commit");
    let mut read = db.begin_read().expect("read");
    let both = |read: &ReadTxn| {
        [TableId::MAIN, named].map(|table| read.get(table, b"key").expect("get").expect("an entry").to_vec())
    };
    assert_eq!(both(&read), [b"old", b"old"]);
    let at = read.id();
    put(b"new", Durability::Lazy).expect("visible, not durable");
    disk.fail_after(0, Fault::Io, true);
    assert!(matches!(db.sync(), Err(Error::InDoubt(_))));
    disk.heal();
    // What is not durable may not be read any more, so that commit is none to move to.
    assert!(matches!(read.refresh(), Err(Error::Poisoned)));
    assert_eq!((read.id(), both(&read)), (at, [b"old".to_vec(), b"old".to_vec()]));
}
