//! Power cuts and kills of the whole engine on a simulated disk; each run goes on from the crashed image.
//!
//! Trees, tables, the catalogue, long values and keys, full and lazy commits, commits during syncs, aborts, held
//! readers, range deletes, transactions larger than their budget. After each crash: the commit found is one that was
//! tried, whole, and not older than the last one acknowledged as durable. `crash.rs` does it to the pager alone,
//! faster.

mod crashes;
mod engine;

use crashes::{in_processes, setting, Counts};
use engine::{account, any, compare, step, Model, Step, Stop};
use kv::file::sim::{Cut, Random, SimDisk};
use kv::file::Storage;
use kv::{CommitId, Db, Durability, Options, ReadTxn, WriteOptions};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Crashes when nothing else is asked for.
const POINTS: u64 = 200_000;
/// Crashes that one database goes through.
const ROUNDS: u64 = 200;

/// A commit that was tried: what it would hold, and the answer.
struct Attempt {
    model: Arc<Model>,
    answer: kv::Result<CommitId>,
}

struct Run {
    random: Random,
    disk: Arc<SimDisk>,
    options: Options,
    /// By id; what has no id yet: the commit that was under way, or the one closing makes, above this id.
    tried: BTreeMap<CommitId, Arc<Model>>,
    unknown: Option<(CommitId, Arc<Model>)>,
    tip: (CommitId, Arc<Model>),
    promised: CommitId,
    counts: Counts,
    recovering: bool,
    depth: u64,
    bulk: bool,
}

impl Run {
    fn new(seed: u64) -> Run {
        let disk = Arc::new(SimDisk::new(seed).expect("disk"));
        let options = Options {
            page_size: if seed % 8 == 3 { 8192 } else { 4096 },
            ..Options::default()
        };
        drop(Db::open_storage(disk.clone(), &options).expect("create"));
        disk.sync().expect("sync");
        let empty = Arc::new(Model::default());
        let first = CommitId::new(1);
        Run {
            random: Random::new(seed),
            disk,
            options,
            tried: BTreeMap::from([(first, empty.clone())]),
            unknown: None,
            tip: (first, empty),
            promised: first,
            counts: Counts::default(),
            recovering: false,
            depth: 0,
            bulk: seed % 32 == 7,
        }
    }

    fn round(&mut self, crash_at: u64) -> Result<(), String> {
        let closed = closed_with(&self.disk).map_err(|e| e.to_string())?;
        self.disk.crash_after(crash_at);
        self.recovering = true;
        match Db::open_storage(self.disk.clone(), &self.options) {
            Ok(db) => {
                self.recovering = false;
                self.counts.discarded += u64::from(db.recovery().discarded);
                let found = db.recovery().id;
                if closed.is_some_and(|id| id != found) {
                    return Err(format!(
                        "the newest slot says that the database was closed with it, {found} was found"
                    ));
                }
                self.check(&db)?;
                self.work(&db)?;
                // Closing commits the same once more.
                if !self.disk.crashed() {
                    self.unknown = Some(self.tip.clone());
                }
            }
            Err(_) if self.disk.crashed() => {}
            Err(error) => return Err(format!("open: {error}")),
        }
        self.crash();
        Ok(())
    }

    fn check(&mut self, db: &Db) -> Result<(), String> {
        let id = db.recovery().id;
        if id < self.promised {
            return Err(format!("commit {} was acknowledged, {id} was found", self.promised));
        }
        let model = match (self.tried.get(&id), &self.unknown) {
            (Some(model), _) => model.clone(),
            (None, Some((above, model))) if id > *above => model.clone(),
            _ => return Err(format!("commit {id} was never made, or was discarded before")),
        };
        compare(&db.begin_read().map_err(|e| e.to_string())?, &model)?;
        // What recovery accepted is durable: it synced before it looked.
        self.promised = id;
        self.tried = BTreeMap::from([(id, model.clone())]);
        self.tip = (id, model);
        self.unknown = None;
        if self.random.one_in(8) {
            account(db)?;
        }
        Ok(())
    }

    fn work(&mut self, db: &Db) -> Result<(), String> {
        let mut held: Vec<(ReadTxn, Arc<Model>)> = Vec::new();
        for _ in 0..1 + self.random.below(40) {
            if self.disk.crashed() {
                break;
            }
            match self.random.below(12) {
                0 if !held.is_empty() => {
                    let (txn, model) = held.swap_remove(self.random.below(held.len() as u64) as usize);
                    compare(&txn, &model).map_err(|what| format!("a held reader: {what}"))?;
                }
                1 if held.len() < 3 => {
                    let txn = db.begin_read().map_err(|e| e.to_string())?;
                    match self.tried.get(&txn.id()) {
                        Some(model) => held.push((txn, model.clone())),
                        None => return Err(format!("a reader saw the unknown commit {}", txn.id())),
                    }
                }
                2 => self.sync(db)?,
                3 if self.random.one_in(6) => account(db)?,
                kind => {
                    let durability = if kind < 7 { Durability::Lazy } else { Durability::Full };
                    let done = attempt(db, &mut self.random, &self.tip.1, durability, self.bulk);
                    self.note(done, durability)?;
                }
            }
        }
        match held.pop() {
            Some((txn, model)) if self.random.one_in(4) => compare(&txn, &model),
            _ => Ok(()),
        }
    }

    /// Syncs, half of the time with commits that are made while the sync is under way.
    fn sync(&mut self, db: &Db) -> Result<(), String> {
        let newest = self.tip.0;
        let made = Arc::new(Mutex::new(Vec::new()));
        if self.random.one_in(2) {
            let (db, made, seed) = (db.clone(), made.clone(), self.random.next_u64());
            let mut model = self.tip.1.clone();
            self.disk.during_sync(move || {
                let mut random = Random::new(seed);
                for _ in 0..1 + random.below(3) {
                    let done = attempt(&db, &mut random, &model, Durability::Lazy, false);
                    if let Ok(Some(Attempt {
                        model: new,
                        answer: Ok(_),
                    })) = &done
                    {
                        model = new.clone();
                    }
                    made.lock().expect("lock").push(done);
                }
            });
        }
        let synced = db.sync().is_ok();
        self.disk.nothing_meanwhile();
        for done in std::mem::take(&mut *made.lock().expect("lock")) {
            self.note(done, Durability::Lazy)?;
        }
        if synced {
            self.promised = newest;
        }
        Ok(())
    }

    /// Remembers what was tried and promised.
    fn note(&mut self, done: Result<Option<Attempt>, Stop>, durability: Durability) -> Result<(), String> {
        match done {
            Ok(None) => {}
            Ok(Some(Attempt { model, answer: Ok(id) })) => {
                if id == self.tip.0 && model != self.tip.1 {
                    return Err("a transaction that changed something answered that it had not".into());
                }
                // One that changed nothing is the commit it was built on, and makes that no more durable.
                if durability == Durability::Full && id > self.tip.0 {
                    self.promised = id;
                }
                self.tried.insert(id, model.clone());
                self.tip = (id, model);
            }
            Ok(Some(Attempt { model, .. })) if self.disk.crashed() => self.unknown = Some((self.tip.0, model)),
            Err(Stop::Error(_)) if self.disk.crashed() => {}
            Ok(Some(Attempt { answer: Err(error), .. })) | Err(Stop::Error(error)) => return Err(error.to_string()),
            Err(Stop::Wrong(what)) => return Err(what),
        }
        Ok(())
    }

    fn crash(&mut self) {
        let seed = self.random.next_u64();
        let disk = Arc::get_mut(&mut self.disk).expect("the database is closed");
        match self.random.below(12) {
            0 => disk.restart(),
            1 => disk.power_cut(seed, Cut::AllLost),
            2 => disk.power_cut(seed, Cut::AllKept),
            3 | 4 => disk.power_cut(seed, Cut::Writes),
            _ => disk.power_cut(seed, Cut::Sectors),
        }
        self.counts.points += 1;
        self.depth = if self.recovering { self.depth + 1 } else { 0 };
        self.counts.nested += u64::from(self.depth >= 1);
        self.counts.deep += u64::from(self.depth >= 2);
        self.counts.other += u64::from(self.unknown.is_some());
    }
}

/// The newest commit whose slot counts, if the slot says that the database was closed with it. Readers may then take
/// that commit without looking at its records, so all that these list must be on the disk.
fn closed_with(disk: &SimDisk) -> kv::Result<Option<CommitId>> {
    let mut newest = (0, false);
    for slot in 0..4 {
        let mut bytes = [0; 4096];
        disk.read_at(slot * 4096, &mut bytes)?;
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        if bytes[..8] == *b"\x89kvfile\n" && word(4092) == crc32c::crc32c(&bytes[..4092]) {
            let id = u64::from(word(48)) | u64::from(word(52)) << 32;
            newest = newest.max((id, word(152) & 1 != 0));
        }
    }
    Ok(newest.1.then_some(CommitId::new(newest.0)))
}

/// A random transaction on top of `model`; `None`: it was aborted on purpose, or could not even begin.
fn attempt(
    db: &Db,
    random: &mut Random,
    model: &Arc<Model>,
    durability: Durability,
    bulk: bool,
) -> Result<Option<Attempt>, Stop> {
    let options = WriteOptions {
        durability: Some(durability),
        write_memory: [None, Some(1), Some(600)][random.below(3) as usize],
        ..WriteOptions::default()
    };
    let mut txn = db.begin_write(options)?;
    let mut model = Model::clone(model);
    if bulk && random.one_in(10) {
        step(&mut txn, &mut model, random, Step::Bulk)?;
    }
    let most = if random.one_in(10) { 30 } else { 5 };
    for _ in 0..1 + random.below(most) {
        let what = any(random);
        step(&mut txn, &mut model, random, what)?;
    }
    if random.one_in(10) {
        return Ok(None);
    }
    let answer = txn.commit();
    Ok(Some(Attempt {
        model: Arc::new(model),
        answer,
    }))
}

fn run(seed: u64) -> (Counts, Result<(), String>) {
    let mut run = Run::new(seed);
    let rounds = if run.bulk { ROUNDS / 10 } else { ROUNDS };
    while run.counts.points < rounds {
        // Often inside recovery or the first commit, sometimes far later.
        let at = match run.random.below(4) {
            0 => 1 + run.random.below(3),
            1 | 2 => 1 + run.random.below(12),
            _ => 1 + run.random.below(60),
        };
        if let Err(what) = run.round(at) {
            return (run.counts, Err(what));
        }
    }
    (run.counts, Ok(()))
}

#[test]
fn the_whole_engine_loses_nothing_and_mixes_nothing() {
    // A fifth of the crashes asked for; `crash.rs` gets the others.
    let points = setting("KV_CRASH_POINTS").map_or(POINTS, |n| n / 5);
    let name = "the_whole_engine_loses_nothing_and_mixes_nothing";
    let Some(counts) = in_processes(name, "whole engine", points, run) else {
        return;
    };
    assert!(
        counts.nested > points / 10 && counts.deep > points / 100,
        "recovery was hardly ever crashed"
    );
    assert!(counts.discarded > points / 100, "the crashes tore hardly anything");
    assert!(counts.other > points / 10, "hardly ever was a commit under way");
}
