//! One toy database among processes that come and go: what each may see, and what is found by whoever opens it next.

use super::{Death, Disk, Machine, Process};
use crate::toy::{self, Model};
use kv::file::sim::{Cut, Random, SimDisk};
use kv::file::Storage;
use kv::ids::CommitId;
use kv::page::PageSink;
use kv::pager::{Durability, Pager, PagerOptions, Recovery, Snapshot, Verify, Wait};
use kv::Error;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

type Tried = Arc<Mutex<BTreeMap<CommitId, Model>>>;

/// A process that has the database open, and what its readers hold.
struct Member {
    process: Arc<Process>,
    pager: Arc<Pager>,
    snapshots: Vec<Snapshot>,
}

/// What a commit answered, if its process lived.
type Answer = Option<kv::Result<Option<toy::Attempt>>>;

/// What was done.
#[derive(Debug, Default)]
pub struct Counts {
    pub commits: u64,
    pub killed: u64,
    pub inside: u64,
    pub cuts: u64,
    pub poisoned: u64,
    pub unseen: u64,
}

/// Processes come and go.
struct World {
    random: Random,
    machine: Arc<Machine>,
    members: Vec<Member>,
    tried: Tried,
    /// Acknowledged as durable.
    promised: CommitId,
    /// Acknowledged: a kill of every process must not take it.
    visible: CommitId,
    /// A sync failed since somebody opened it alone: lazy commits may be gone, and `Poisoned` is an answer.
    failed: bool,
    counts: Counts,
}

fn options() -> PagerOptions {
    PagerOptions {
        page_size: 4096,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    }
}

/// Commits, or has a commit made durable by others (`wait` unset); what is tried is noted first: who tries may not
/// live to tell.
fn commit(
    pager: &Arc<Pager>,
    tried: &Tried,
    seed: u64,
    durability: Durability,
    wait: bool,
) -> kv::Result<Option<toy::Attempt>> {
    toy::FOLD_ONE_IN.set([1, 8, 60][seed as usize % 3]);
    // Much that waits for a sync would be synced by whoever commits next, which may be inside of a sync.
    let synced = wait && durability == Durability::Full;
    toy::LONG_ONE_IN.set(if synced { 4 } else { 0 });
    toy::commit_by(pager, &mut Random::new(seed), 5, &mut |writing, roots, model| {
        tried.lock().expect("lock").insert(writing.birth(), model.clone());
        match wait {
            true => writing.commit(roots, durability),
            false => writing.commit_async(roots, durability),
        }
    })
}

impl World {
    fn new(seed: u64) -> World {
        let disk = Arc::new(SimDisk::new(seed).expect("disk"));
        let (pager, recovery) = Pager::open(disk.clone(), &options()).expect("create");
        drop(pager);
        World {
            random: Random::new(seed),
            machine: Machine::new(disk),
            members: Vec::new(),
            tried: Arc::new(Mutex::new(BTreeMap::from([(recovery.id, toy::empty())]))),
            promised: recovery.id,
            visible: recovery.id,
            failed: false,
            counts: Counts::default(),
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let any = !self.members.is_empty();
        match self.random.below(20) {
            _ if !any => self.open()?,
            0 if self.members.len() < 5 => self.open()?,
            1 => self.kill(),
            2 => self.close()?,
            3 if self.random.one_in(4) => self.power_cut(),
            4 if self.random.one_in(4) => self.kill_all(),
            5 => self.sync(Some(Death::Error))?,
            6 if self.random.one_in(6) => self.fail_sync()?,
            7 | 8 => self.sync(None)?,
            9 | 10 => self.hold()?,
            11 | 12 => self.look()?,
            13 if self.random.one_in(5) => self.account()?,
            _ => self.commit()?,
        }
        self.readers_reach()
    }

    fn any(&mut self) -> usize {
        self.random.below(self.members.len() as u64) as usize
    }

    fn plan(&mut self, process: &Process, one_in: u64) {
        if self.random.one_in(one_in) {
            let death = [Death::Before, Death::Half, Death::After][self.random.below(3) as usize];
            process.dies_after(self.random.below(6) as i64, death);
        }
    }

    fn content(&self, pager: &Arc<Pager>, snapshot: &Snapshot) -> Result<(), String> {
        let id = snapshot.desc().id;
        let found = toy::read(pager.view_all(), snapshot.desc())?;
        match self.tried.lock().expect("lock").get(&id) {
            Some(model) if *model == found => Ok(()),
            Some(_) => Err(format!("commit {id} has other content than it was given")),
            None => Err(format!("commit {id} was never made")),
        }
    }

    fn open(&mut self) -> Result<(), String> {
        let process = self.machine.process();
        let alone = self.members.is_empty();
        self.plan(&process, 6);
        let disk = Disk(process.clone());
        let opened = process.act(move || Pager::open(Arc::new(disk), &options()));
        process.lives_on();
        let (pager, found): (Arc<Pager>, Recovery) = match opened {
            None => {
                self.counts.killed += 1;
                return Ok(());
            }
            Some(Err(Error::Poisoned)) if self.failed && !alone => {
                process.end();
                return self.close_all();
            }
            Some(Err(error)) => return Err(format!("open: {error}")),
            Some(Ok(opened)) => opened,
        };
        let least = if alone && self.failed {
            self.promised
        } else {
            self.promised.max(self.visible)
        };
        if found.id < least {
            return Err(format!("commit {least} was acknowledged, {} was found", found.id));
        }
        if alone {
            // What the cache showed and the disk lacks is seen no more.
            self.machine.disk.evict();
            (self.promised, self.visible, self.failed) = (found.id, found.id, false);
        }
        let snapshot = pager.begin_read().map_err(|e| e.to_string())?;
        self.content(&pager, &snapshot)?;
        drop(snapshot);
        self.members.push(Member {
            process,
            pager,
            snapshots: Vec::new(),
        });
        Ok(())
    }

    /// Leaves what a dead process had as it is.
    fn bury(&mut self, at: usize) {
        let member = self.members.swap_remove(at);
        std::mem::forget(member.snapshots);
        std::mem::forget(member.pager);
        self.counts.killed += 1;
    }

    fn bury_the_dead(&mut self) {
        while let Some(at) = self.members.iter().position(|m| m.process.is_dead()) {
            self.bury(at);
        }
        for member in &self.members {
            member.process.lives_on();
        }
    }

    fn kill(&mut self) {
        let at = self.any();
        self.members[at].process.end();
        self.bury(at);
    }

    fn kill_all(&mut self) {
        while !self.members.is_empty() {
            self.kill();
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let at = self.any();
        let Member {
            process,
            pager,
            snapshots,
        } = self.members.swap_remove(at);
        self.plan(&process, 4);
        let done = process.act(move || {
            drop(snapshots);
            drop(pager);
        });
        match done {
            Some(()) => process.end(),
            None => self.counts.killed += 1,
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), String> {
        self.counts.poisoned += 1;
        while !self.members.is_empty() {
            self.close()?;
        }
        Ok(())
    }

    fn power_cut(&mut self) {
        self.kill_all();
        let cut = [Cut::AllLost, Cut::Writes, Cut::Sectors][self.random.below(3) as usize];
        let disk = self.machine.disk.crash(self.random.next_u64(), cut).expect("crash");
        self.machine = Machine::new(Arc::new(disk));
        self.visible = self.promised;
        self.counts.cuts += 1;
    }

    fn hold(&mut self) -> Result<(), String> {
        let at = self.any();
        let member = &mut self.members[at];
        if member.snapshots.len() < 4 {
            match member.pager.begin_read() {
                Ok(snapshot) => member.snapshots.push(snapshot),
                Err(Error::Poisoned) if self.failed => return self.close_all(),
                Err(error) => return Err(format!("read: {error}")),
            }
            let member = &self.members[at];
            let snapshot = member.snapshots.last().expect("just pushed");
            if snapshot.desc().id < self.visible {
                return Err(format!(
                    "a reader sees {}, {} was acknowledged",
                    snapshot.desc().id,
                    self.visible
                ));
            }
            self.content(&member.pager, snapshot)?;
        }
        Ok(())
    }

    /// What is held is as it was.
    fn look(&mut self) -> Result<(), String> {
        let at = self.any();
        let member = &self.members[at];
        if member.pager.is_poisoned() {
            // What is not durable may be refused now; before that it was right.
            return self.close_all();
        }
        for snapshot in &member.snapshots {
            self.content(&member.pager, snapshot)
                .map_err(|what| format!("held by process {at}: {what}"))?;
        }
        let drops = self.random.below(3) as usize;
        self.reach(at)?;
        let snapshots = &mut self.members[at].snapshots;
        snapshots.truncate(snapshots.len().saturating_sub(drops));
        Ok(())
    }

    /// A writer cannot reach memory behind the end of the file, and the newest commit lies in it.
    fn reach(&self, at: usize) -> Result<(), String> {
        let (there, member) = (self.file_pages()?, &self.members[at]);
        let writing = member.pager.lock_write(Wait::Try, &Default::default());
        let all = writing.map_or(0, |writing| writing.view().limit().get());
        let newest = member.pager.newest().pages;
        match all.max(newest) <= there {
            true => Ok(()),
            false => Err(format!(
                "the file has {there} pages, a writer reaches {all}, the newest commit has {newest}"
            )),
        }
    }

    /// Neither can readers.
    fn readers_reach(&self) -> Result<(), String> {
        let there = self.file_pages()?;
        let held = self.members.iter().flat_map(|member| &member.snapshots);
        match held.map(|held| held.view().limit().get()).max() {
            Some(most) if most > there => Err(format!("the file has {there} pages, a reader reaches {most}")),
            _ => Ok(()),
        }
    }

    fn file_pages(&self) -> Result<u64, String> {
        let bytes = self.machine.disk.len().map_err(|e| e.to_string())?;
        Ok(bytes / 4096)
    }

    fn account(&mut self) -> Result<(), String> {
        let at = self.any();
        match toy::account(&self.members[at].pager) {
            Err(_) if self.failed => Ok(()),
            other => other,
        }
    }

    /// What others do while somebody syncs: commits whose durability nobody waits for, kills.
    fn meanwhile(&mut self, but: usize) -> Option<Arc<Mutex<Vec<Answer>>>> {
        let others: Vec<usize> = (0..self.members.len()).filter(|i| *i != but).collect();
        if others.is_empty() || !self.random.one_in(2) {
            return None;
        }
        let mut plans = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let at = others[self.random.below(others.len() as u64) as usize];
            let (process, pager) = (self.members[at].process.clone(), self.members[at].pager.clone());
            self.plan(&process, 5);
            plans.push((process, pager, self.random.next_u64()));
        }
        let (tried, answers) = (self.tried.clone(), Arc::new(Mutex::new(Vec::new())));
        let (to, machine) = (answers.clone(), self.machine.clone());
        self.machine.disk.during_sync(move || {
            for (process, pager, seed) in plans {
                // Some syncs are part of a write transaction.
                if process.is_dead() || machine.is_written() {
                    std::mem::forget(pager);
                    continue;
                }
                let tried = tried.clone();
                let done = process.act(move || {
                    let durability = [Durability::Lazy, Durability::Full][seed as usize % 2];
                    let done = commit(&pager, &tried, seed, durability, false);
                    // The last handle must not go here: closing would sync inside of the sync.
                    (done, pager)
                });
                to.lock().expect("lock").push(done.map(|(done, pager)| {
                    drop(pager);
                    done
                }));
            }
        });
        Some(answers)
    }

    /// Notes what was answered to a commit; without a durability nobody has waited for any.
    fn note(&mut self, answer: Answer, durability: Option<Durability>) -> Result<(), String> {
        let Some(answer) = answer else { return Ok(()) };
        let attempt = match answer {
            Ok(Some(attempt)) => attempt,
            Ok(None) => return Ok(()),
            Err(Error::Poisoned) if self.failed => return Ok(()),
            Err(error) => return Err(format!("the write lock: {error}")),
        };
        match attempt.answer {
            Ok(id) => {
                self.counts.commits += 1;
                if durability.is_some() {
                    self.visible = self.visible.max(id);
                }
                if durability == Some(Durability::Full) {
                    self.promised = self.promised.max(id);
                }
                Ok(())
            }
            Err(Error::Poisoned | Error::InDoubt(_)) if self.failed => Ok(()),
            Err(error) => Err(format!("commit: {error}")),
        }
    }

    fn note_all(&mut self, answers: Option<Arc<Mutex<Vec<Answer>>>>) -> Result<(), String> {
        self.machine.disk.nothing_meanwhile();
        let answers = answers.map(|a| std::mem::take(&mut *a.lock().expect("lock")));
        for answer in answers.unwrap_or_default() {
            self.counts.inside += 1;
            self.note(answer, None)?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), String> {
        let at = self.any();
        let durability = [Durability::Lazy, Durability::Full][self.random.below(2) as usize];
        let (process, pager) = (self.members[at].process.clone(), self.members[at].pager.clone());
        let inside = self.meanwhile(at);
        self.plan(&process, 4);
        let (tried, seed) = (self.tried.clone(), self.random.next_u64());
        let answer = process.act(move || commit(&pager, &tried, seed, durability, true));
        self.note_all(inside)?;
        self.note(answer, Some(durability))?;
        self.bury_the_dead();
        Ok(())
    }

    /// A sync, of which maybe nobody learns that it failed.
    fn sync(&mut self, unseen: Option<Death>) -> Result<(), String> {
        let at = self.any();
        let (process, pager) = (self.members[at].process.clone(), self.members[at].pager.clone());
        let newest = pager.newest().id;
        // The error must not be somebody else's.
        let inside = match unseen {
            None => self.meanwhile(at),
            Some(death) => {
                process.dies_after(0, death);
                None
            }
        };
        let answer = process.act(move || {
            let id = pager.newest().id;
            pager.wait_durable(id, Wait::Forever)
        });
        self.note_all(inside)?;
        match answer {
            Some(Ok(())) => self.promised = self.promised.max(newest),
            Some(Err(Error::Poisoned | Error::InDoubt(_))) if self.failed => {}
            Some(Err(error)) => return Err(format!("sync: {error}")),
            None if unseen.is_some() => {
                self.counts.unseen += 1;
                self.failed = true;
            }
            None => {}
        }
        self.bury_the_dead();
        Ok(())
    }

    /// A sync fails, and everybody is told.
    fn fail_sync(&mut self) -> Result<(), String> {
        let at = self.any();
        let (process, pager) = (self.members[at].process.clone(), self.members[at].pager.clone());
        let newest = pager.newest().id;
        if pager.stat().durable == newest {
            return Ok(());
        }
        self.machine.disk.fail_after(1, kv::file::sim::Fault::Io, false);
        let answer = process.act(move || pager.sync());
        self.machine.disk.heal();
        self.failed = true;
        if !matches!(answer, Some(Err(Error::InDoubt(_) | Error::Poisoned))) {
            return Err(format!("a failed sync was answered with {answer:?}"));
        }
        for member in &self.members {
            if !matches!(
                member.pager.lock_write(Wait::Try, &Default::default()),
                Err(Error::Poisoned)
            ) {
                return Err("another process may write after a failed sync".into());
            }
            match member.pager.begin_read() {
                Err(Error::Poisoned) => {}
                Ok(snapshot) if snapshot.desc().id <= member.pager.stat().durable => {}
                _ => return Err("another process reads what may not survive".into()),
            }
        }
        self.close_all()
    }
}

/// Takes one database through so many actions.
pub fn run(seed: u64, actions: u64) -> (Counts, Result<(), String>) {
    let mut world = World::new(seed);
    for action in 0..actions {
        if let Err(what) = world.step() {
            return (world.counts, Err(format!("action {action}: {what}")));
        }
    }
    let counts = std::mem::take(&mut world.counts);
    world.kill_all();
    (counts, Ok(()))
}
