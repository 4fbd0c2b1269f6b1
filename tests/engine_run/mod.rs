//! One whole database taken through crashes: opened, checked, worked on until the disk says so, crashed, again.

use crate::crashes::Counts;
use crate::engine::earlier::{compare_earlier, cost};
use crate::engine::history::{change_history, compare_difference, revert};
use crate::engine::{
    account, any, compare, compare_list, compare_snapshots, snapshot_name, step, Model, Step, Stop, SNAPSHOTS,
};
use kv::file::sim::{Cut, Random, SimDisk};
use kv::file::Storage;
use kv::pager::set_clock;
use kv::util::date::{HOUR, SECOND};
use kv::{
    CommitId, CompactOptions, Db, Durability, Error, Job, Options, Range, ReadAt, ReadTxn, Reader, SnapshotOptions,
    TableId, WriteOptions,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Crashes that one database goes through.
const ROUNDS: u64 = 200;

/// When the first database begins, in seconds: 2026-11-30.
const BEGINNING: u64 = 1_796_000_000;

/// A commit that was tried: what it would hold, and the answer.
struct Attempt {
    model: Arc<Model>,
    /// What it would hold if it recorded no snapshot by itself, as one does not that changes nothing.
    plain: Arc<Model>,
    answer: kv::Result<CommitId>,
}

/// What a transaction finds: the database, readers, and the time, in seconds.
struct Scene<'a> {
    db: &'a Db,
    held: &'a [Reading],
    now: u64,
}

/// The newest commit, and what it holds.
type Tip = (CommitId, Arc<Model>);

/// A read transaction, and what it must show.
type Reading = (ReadTxn, Arc<Model>);

struct Run {
    random: Random,
    disk: Arc<SimDisk>,
    options: Options,
    /// By id; what has no id yet: the commit that was under way, or the one closing makes, above this id.
    tried: BTreeMap<CommitId, Arc<Model>>,
    unknown: Option<(CommitId, Arc<Model>)>,
    tip: Tip,
    promised: CommitId,
    counts: Counts,
    recovering: bool,
    depth: u64,
    bulk: bool,
    /// What the snapshots of a commit keep, if that was counted.
    cost: Option<(Tip, u64)>,
    /// The time, in seconds.
    now: u64,
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
            cost: None,
            now: BEGINNING,
        }
    }

    /// Lets time go by: seconds, sometimes hours, and sometimes somebody sets the clock back.
    fn pass_time(&mut self) {
        let most = match self.random.below(60) {
            0 => 5 * HOUR,
            1..5 => HOUR / 2,
            _ => 20,
        };
        let seconds = self.random.below(most);
        self.now = if self.random.one_in(100) {
            self.now - seconds
        } else {
            self.now + seconds
        };
        set_clock(self.now * SECOND);
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
        compare_snapshots(db, &model)?;
        self.counts.snapshots += (model.snapshots.len() + model.automatic.len()) as u64;
        self.counts.automatic += model.automatic.len() as u64;
        // What recovery accepted is durable: it synced before it looked.
        self.promised = id;
        self.tried = BTreeMap::from([(id, model.clone())]);
        self.tip = (id, model);
        self.unknown = None;
        // One of these, or none, after each crash.
        match self.random.below(5) {
            0 => compare_earlier(db, &self.tip.1, &mut self.random)?,
            1 => compare_difference(db, &self.tip.1, &mut self.random)?,
            2 => self.count_cost(db)?,
            _ => {}
        }
        if self.random.one_in(8) {
            account(db)?;
        }
        Ok(())
    }

    /// Counts what snapshots keep, which is the same as long as a commit is the newest, be there a crash or none.
    fn count_cost(&mut self, db: &Db) -> Result<(), String> {
        let (id, model) = self.tip.clone();
        let counted = cost(db, &model, &mut self.random)?;
        // The number of a commit that a crash has taken back may be given again.
        let is_same = |other: &Tip| other.0 == id && Arc::ptr_eq(&other.1, &model);
        match self.cost.as_ref().filter(|(tip, _)| is_same(tip)) {
            Some((_, before)) if *before != counted => {
                return Err(format!(
                    "snapshots of commit {id} keep {counted} pages, before it were {before}"
                ))
            }
            _ => self.cost = Some(((id, model), counted)),
        }
        Ok(())
    }

    fn work(&mut self, db: &Db) -> Result<(), String> {
        let mut held: Vec<Reading> = Vec::new();
        for _ in 0..1 + self.random.below(40) {
            if self.disk.crashed() {
                break;
            }
            match self.random.below(12) {
                0 if !held.is_empty() => {
                    let (txn, model) = held.swap_remove(self.random.below(held.len() as u64) as usize);
                    still_sees(&txn, &model).map_err(|what| format!("a held reader: {what}"))?;
                }
                1 if held.len() < 3 => {
                    let txn = db.begin_read().map_err(|e| e.to_string())?;
                    match self.tried.get(&txn.id()) {
                        Some(model) => held.push((txn, model.clone())),
                        None => return Err(format!("a reader saw the unknown commit {}", txn.id())),
                    }
                }
                1 => {
                    if let Some((name, state)) = self.tip.1.pick_snapshot(&mut self.random) {
                        let txn = db.begin_read_at(ReadAt::Snapshot(&snapshot_name(name)));
                        held[0] = (txn.map_err(|e| e.to_string())?, state);
                    }
                }
                2 => self.sync(db)?,
                3 if self.random.one_in(6) => account(db)?,
                3 if self.random.one_in(4) => self.count_cost(db)?,
                3 if self.random.one_in(4) => self.give_back(db)?,
                3 if self.random.one_in(2) => compare_difference(db, &self.tip.1, &mut self.random)?,
                3 => compare_snapshots(db, &self.tip.1)?,
                kind => {
                    let durability = if kind < 7 { Durability::Lazy } else { Durability::Full };
                    self.pass_time();
                    let (held, now) = (&held[..], self.now);
                    let scene = Scene { db, held, now };
                    let done = attempt(&scene, &mut self.random, &self.tip.1, durability, self.bulk);
                    self.note(done, durability)?;
                }
            }
        }
        match held.pop() {
            Some((txn, model)) if self.random.one_in(4) => still_sees(&txn, &model),
            _ => Ok(()),
        }
    }

    /// Syncs, half of the time with commits that are made while the sync is under way.
    fn sync(&mut self, db: &Db) -> Result<(), String> {
        let newest = self.tip.0;
        let made = Arc::new(Mutex::new(Vec::new()));
        if self.random.one_in(2) {
            let (db, made, seed, now) = (db.clone(), made.clone(), self.random.next_u64(), self.now);
            let mut tip = self.tip.clone();
            self.disk.during_sync(move || {
                let mut random = Random::new(seed);
                for _ in 0..1 + random.below(3) {
                    let (db, held) = (&db, &[][..]);
                    let done = attempt(&Scene { db, held, now }, &mut random, &tip.1, Durability::Lazy, false);
                    if let Ok(Some(Attempt {
                        model: new,
                        answer: Ok(id),
                        ..
                    })) = &done
                    {
                        // One that changed nothing has recorded nothing either.
                        if *id > tip.0 {
                            tip = (*id, new.clone());
                        }
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

    /// Gives back what dropped snapshots have left, and perhaps the end of the file, by commits with the same content.
    fn give_back(&mut self, db: &Db) -> Result<(), String> {
        let (before, model) = self.tip.clone();
        let options = CompactOptions {
            stay: self.random.one_in(3),
            punch: self.random.one_in(2),
        };
        let given_back = match self.random.one_in(3) {
            true => db.reclaim().map(|_| ()),
            false => db.compact(&options, &Job::silent()).map(|_| ()),
        };
        match given_back {
            Ok(()) => {
                let newest = db.stat().visible;
                let made = (before.get()..=newest.get()).map(|id| (CommitId::new(id), model.clone()));
                self.tried.extend(made);
                (self.tip.0, self.promised) = (newest, newest);
                Ok(())
            }
            Err(_) if self.disk.crashed() => {
                self.unknown = Some((before, model));
                Ok(())
            }
            Err(error) => Err(format!("giving back: {error}")),
        }
    }

    /// Remembers what was tried and promised.
    fn note(&mut self, done: Result<Option<Attempt>, Stop>, durability: Durability) -> Result<(), String> {
        match done {
            Ok(None) => {}
            Ok(Some(Attempt {
                plain, answer: Ok(id), ..
            })) if id == self.tip.0 => {
                // It is the commit it was built on, and makes that no more durable.
                if plain != self.tip.1 {
                    return Err("a transaction that changed something answered that it had not".into());
                }
            }
            Ok(Some(Attempt {
                model, answer: Ok(id), ..
            })) => {
                if durability == Durability::Full {
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

/// Whether a transaction that began some time ago sees what it must. One on a snapshot sees no list of snapshots.
fn still_sees(txn: &ReadTxn, model: &Model) -> Result<(), String> {
    compare(txn, model)?;
    let mut reader = txn;
    match reader.count(TableId::SNAPSHOTS, &Range::default()) {
        Err(Error::NoTable(_)) if model.snapshots.is_empty() && model.automatic.is_empty() => Ok(()),
        _ => compare_list(txn, model),
    }
}

/// A random transaction on top of `before`; `None`: it was aborted on purpose, or could not even begin.
fn attempt(
    Scene { db, held, now }: &Scene,
    random: &mut Random,
    before: &Arc<Model>,
    durability: Durability,
    bulk: bool,
) -> Result<Option<Attempt>, Stop> {
    let options = WriteOptions {
        durability: Some(durability),
        write_memory: [None, Some(1), Some(600)][random.below(3) as usize],
        ..WriteOptions::default()
    };
    let mut txn = db.begin_write(options)?;
    let mut model = Model::clone(before);
    if bulk && random.one_in(10) {
        step(&mut txn, &mut model, random, Step::Bulk)?;
    }
    let most = if random.one_in(10) { 30 } else { 5 };
    for _ in 0..1 + random.below(most) {
        let what = any(random);
        step(&mut txn, &mut model, random, what)?;
    }
    if random.one_in(6) {
        change_history(&mut txn, &mut model, random)?;
    }
    if random.one_in(12) {
        // One that this transaction has dropped is still there to others.
        if let Some((name, state)) = before.pick_snapshot(random) {
            let reader = db.begin_read_at(ReadAt::Snapshot(&snapshot_name(name)))?;
            revert(&mut txn, &mut model, random, (&reader, &state))?;
        }
    }
    if random.one_in(12) && !held.is_empty() {
        let (reader, state) = &held[random.below(held.len() as u64) as usize];
        let snapshot = random.below(SNAPSHOTS) as u8;
        let options = SnapshotOptions {
            replace: true,
            ..SnapshotOptions::default()
        };
        txn.snapshot_create_of(&snapshot_name(snapshot), reader, &options)?;
        model.new_snapshots.remove(&snapshot);
        model.marks.remove(&snapshot);
        model.snapshots.insert(snapshot, Arc::new(state.state()));
        if random.one_in(3) {
            revert(&mut txn, &mut model, random, (reader, state))?;
        }
    }
    if random.one_in(10) {
        return Ok(None);
    }
    model.take_snapshots();
    let plain = Arc::new(model.clone());
    model.follow_policy(*now);
    let answer = txn.commit();
    Ok(Some(Attempt {
        model: Arc::new(model),
        plain,
        answer,
    }))
}

/// Takes one database through its crashes. The clock of the process stands where this leaves it.
pub fn run(seed: u64) -> (Counts, Result<(), String>) {
    kv::pager::fold_often(seed % 2 == 0);
    set_clock(BEGINNING * SECOND);
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
