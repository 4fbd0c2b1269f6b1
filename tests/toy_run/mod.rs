//! One toy database taken through crashes: opened, checked, worked on until the disk says so, crashed, again.

use crate::crashes::Counts;
use crate::toy::{account, commit, empty, read, Attempt, Model};
use kv::file::sim::{Cut, Random, SimDisk};
use kv::file::Storage;
use kv::ids::CommitId;
use kv::page::meta::{Meta, Slot, SLOTS, SLOT_BYTES};
use kv::page::META_BYTES;
use kv::pager::{Durability, Pager, PagerOptions, Snapshot, Verify};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A database under test: its disk, what was tried, what was promised.
pub struct Run {
    random: Random,
    disk: Arc<SimDisk>,
    tried: BTreeMap<CommitId, Model>,
    promised: CommitId,
    pub counts: Counts,
    /// Whether what runs is recovery, and how many recoveries in a row were crashed.
    recovering: bool,
    depth: u64,
    /// The highest id in any slot when it was opened: never to be used again (I-4).
    highest: CommitId,
    lie: bool,
}

fn options() -> PagerOptions {
    PagerOptions {
        page_size: 4096,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    }
}

/// Runs one database through `rounds` crashes. `lie`: its disk does not sync.
pub fn run(seed: u64, rounds: u64, lie: bool) -> (Run, Result<(), String>) {
    let mut run = Run::new(seed, lie);
    crate::toy::FOLD_ONE_IN.set([1, 8, 200][seed as usize % 3]);
    crate::toy::VARIETY.set([0, 0, 2, 3][seed as usize % 4]);
    while run.counts.points < rounds {
        // Often inside recovery or the first commit, sometimes far later.
        let at = match run.random.below(4) {
            0 => 1 + run.random.below(3),
            1 | 2 => 1 + run.random.below(12),
            _ => 1 + run.random.below(60),
        };
        if let Err(what) = run.round(at) {
            return (run, Err(what));
        }
    }
    (run, Ok(()))
}

impl Run {
    /// An empty database.
    pub fn new(seed: u64, lie: bool) -> Run {
        let disk = Arc::new(SimDisk::new(seed).expect("disk"));
        let (pager, recovery) = Pager::open(disk.clone(), &options()).expect("create");
        drop(pager);
        disk.sync().expect("sync");
        Run {
            random: Random::new(seed),
            disk,
            tried: BTreeMap::from([(recovery.id, empty())]),
            promised: recovery.id,
            counts: Counts::default(),
            recovering: false,
            depth: 0,
            highest: CommitId::NONE,
            lie,
        }
    }

    /// Opens, checks what is found, works until the crash (the n-th write or sync), crashes.
    pub fn round(&mut self, crash_at: u64) -> Result<(), String> {
        self.highest = highest_id(&self.disk)?;
        self.disk.lie_about_sync(self.lie);
        self.disk.crash_after(crash_at);
        self.recovering = true;
        match Pager::open(self.disk.clone(), &options()) {
            Ok((pager, recovery)) => {
                self.counts.discarded += u64::from(recovery.discarded);
                self.recovering = false;
                self.check(&pager, recovery.id)?;
                self.work(&pager)?;
            }
            Err(_) if self.disk.crashed() => {}
            Err(error) => return Err(format!("open: {error}")),
        }
        self.crash();
        Ok(())
    }

    fn check(&mut self, pager: &Arc<Pager>, id: CommitId) -> Result<(), String> {
        if id < self.promised {
            return Err(format!("commit {} was acknowledged, {id} was found", self.promised));
        }
        let found = read(pager.view_all(), &pager.newest())?;
        match self.tried.get(&id) {
            Some(model) if *model == found => {}
            Some(_) => return Err(format!("commit {id} has other content than it was given")),
            None => return Err(format!("commit {id} was never made, or was discarded before")),
        }
        // What recovery accepted is durable: it synced before it looked.
        self.promised = id;
        self.tried.retain(|other, _| *other == id);
        if self.random.one_in(8) {
            account(pager)?;
            self.counts.other += 8 * u64::from(!pager.accounting().map_err(|e| e.to_string())?.spilled.is_empty());
        }
        Ok(())
    }

    fn work(&mut self, pager: &Arc<Pager>) -> Result<(), String> {
        let mut held: Vec<(Snapshot, Model)> = Vec::new();
        while !self.disk.crashed() {
            match self.random.below(10) {
                0 if !held.is_empty() => {
                    let (snapshot, model) = held.swap_remove(self.random.below(held.len() as u64) as usize);
                    if read(snapshot.view(), snapshot.desc())? != model {
                        return Err(format!("a reader of commit {} saw a change", snapshot.desc().id));
                    }
                }
                1 if held.len() < 4 => {
                    let snapshot = pager.begin_read().map_err(|e| e.to_string())?;
                    let model = read(snapshot.view(), snapshot.desc())?;
                    if model != self.tried[&snapshot.desc().id] {
                        return Err(format!("a reader saw another commit {}", snapshot.desc().id));
                    }
                    held.push((snapshot, model));
                }
                2 => self.sync(pager)?,
                kind => self.commit(pager, if kind < 6 { Durability::Lazy } else { Durability::Full })?,
            }
        }
        Ok(())
    }

    /// Syncs, half of the time with commits that are made while the sync is under way.
    fn sync(&mut self, pager: &Arc<Pager>) -> Result<(), String> {
        let newest = pager.newest().id;
        let made = Arc::new(Mutex::new(Vec::new()));
        if self.random.one_in(2) {
            let (pager, made, seed) = (pager.clone(), made.clone(), self.random.next_u64());
            self.disk.during_sync(move || {
                let mut random = Random::new(seed);
                for _ in 0..1 + random.below(4) {
                    let done = commit(&pager, &mut random, Durability::Lazy, 5);
                    made.lock().expect("lock").push(done);
                }
            });
        }
        let synced = pager.sync().is_ok();
        self.disk.nothing_meanwhile();
        for done in std::mem::take(&mut *made.lock().expect("lock")) {
            self.note(done, Durability::Lazy)?;
        }
        if synced {
            self.promised = newest;
        }
        Ok(())
    }

    fn commit(&mut self, pager: &Arc<Pager>, durability: Durability) -> Result<(), String> {
        let exposed = Arc::new(AtomicBool::new(false));
        if durability == Durability::Full && self.random.one_in(4) {
            // Until the sync has ended nobody may see the commit it is for (I-7).
            let (pager, exposed, newest) = (pager.clone(), exposed.clone(), pager.newest().id);
            self.disk
                .during_sync(move || exposed.store(pager.newest().id > newest, SeqCst));
        }
        let synced = Arc::new(AtomicU64::new(0));
        if self.random.one_in(6) {
            // A sync that begins and ends after the slot was chosen and before it is written.
            let (pager, synced, newest) = (pager.clone(), synced.clone(), pager.newest().id);
            self.disk.before_write(META_BYTES, move || {
                if pager.sync().is_ok() {
                    synced.store(newest.get(), SeqCst);
                }
            });
        }
        let changes = if self.random.one_in(30) { 40 } else { 5 };
        let done = commit(pager, &mut self.random, durability, changes);
        self.disk.nothing_meanwhile();
        self.promised = self.promised.max(CommitId::new(synced.load(SeqCst)));
        if exposed.load(SeqCst) {
            return Err("a full commit was visible before it was durable".into());
        }
        self.note(done, durability)?;
        if self.random.one_in(50) && !self.disk.crashed() {
            account(pager)?;
        }
        Ok(())
    }

    /// Remembers what was tried and promised.
    fn note(&mut self, done: kv::Result<Option<Attempt>>, durability: Durability) -> Result<(), String> {
        let attempt = match done {
            Ok(Some(attempt)) => attempt,
            Ok(None) => return Ok(()),
            Err(_) if self.disk.crashed() => {
                // While a rejected slot was erased.
                self.recovering = true;
                return Ok(());
            }
            Err(error) => return Err(format!("lock_write: {error}")),
        };
        if attempt.id <= self.highest {
            return Err(format!("id {} was used again, {} was seen", attempt.id, self.highest));
        }
        self.tried.insert(attempt.id, attempt.model);
        match attempt.answer {
            Ok(id) if id != attempt.id => return Err("a commit got another id than it was told".into()),
            Ok(id) if durability == Durability::Full => self.promised = id,
            Ok(_) => {}
            Err(_) if self.disk.crashed() => {}
            Err(error) => return Err(format!("commit: {error}")),
        }
        Ok(())
    }

    fn crash(&mut self) {
        let seed = self.random.next_u64();
        let disk = Arc::get_mut(&mut self.disk).expect("the pager is closed");
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
    }
}

/// The highest commit id in any slot that can be read.
fn highest_id(disk: &SimDisk) -> Result<CommitId, String> {
    let mut highest = CommitId::NONE;
    for slot in 0..SLOTS {
        let mut bytes = [0; SLOT_BYTES];
        disk.read_at((slot * SLOT_BYTES) as u64, &mut bytes)
            .map_err(|e| e.to_string())?;
        if let Ok(Slot::Valid(meta)) = Meta::decode(&bytes) {
            let meta: &Meta = &meta;
            highest = highest.max(meta.id);
        }
    }
    Ok(highest)
}
