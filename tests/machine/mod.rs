//! Processes that share a simulated disk and the memory beside it. A process that is killed stops in the middle of a
//! call to its storage and never goes on; its locks are free at once, what it wrote into shared memory stays.

#![allow(dead_code)]

pub mod world;

use kv::file::map::Atomics;
use kv::file::peers::Peers;
use kv::file::sim::{Fault, SimDisk};
use kv::file::{Identity, Mapped, Storage};
use kv::ids::{CommitId, ProcessIndex};
use kv::{Error, Result};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A computer: its disk, its shared memory, who lives.
pub struct Machine {
    pub disk: Arc<SimDisk>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    memory: Option<Arc<Atomics<AtomicU64>>>,
    alive: BTreeSet<u16>,
    /// Who has the right to write, to sync.
    rights: [Option<u16>; 2],
}

const WRITE: usize = 0;
const SYNC: usize = 1;

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Before the call does anything.
    Before,
    /// Half of a write is done.
    Half,
    /// The call is done, and its answer is not seen.
    After,
    /// The call fails, and the answer is not seen.
    Error,
}

/// A process that has the database open, or is about to.
pub struct Process {
    machine: Arc<Machine>,
    index: u16,
    /// Calls until its end; below 0: none is planned.
    left: AtomicI64,
    death: Mutex<Death>,
    dead: Mutex<bool>,
    /// Whether the system refuses it the right to sync, as a file system does that has run out of locks.
    pub lacks_locks: AtomicBool,
}

impl Machine {
    pub fn new(disk: Arc<SimDisk>) -> Arc<Machine> {
        Arc::new(Machine {
            disk,
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// A new process. It has the smallest index that is free, as on a real system.
    pub fn process(self: &Arc<Machine>) -> Arc<Process> {
        let mut state = self.lock();
        let index = (0..).find(|i| !state.alive.contains(i)).expect("an index");
        state.alive.insert(index);
        Arc::new(Process {
            machine: self.clone(),
            index,
            left: AtomicI64::new(-1),
            death: Mutex::new(Death::Before),
            dead: Mutex::new(false),
            lacks_locks: AtomicBool::new(false),
        })
    }

    /// Whether somebody has the right to write.
    pub fn is_written(&self) -> bool {
        self.lock().rights[WRITE].is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("lock")
    }
}

impl Process {
    /// Plans its end, at the n-th call from now on (from 0).
    pub fn dies_after(&self, calls: i64, death: Death) {
        *self.death.lock().expect("lock") = death;
        self.left.store(calls, SeqCst);
    }

    /// Forgets that plan.
    pub fn lives_on(&self) {
        self.left.store(-1, SeqCst);
    }

    pub fn is_dead(&self) -> bool {
        *self.dead.lock().expect("lock")
    }

    /// Ends it while it does nothing: by a kill, or because it has closed the database.
    pub fn end(&self) {
        let mut state = self.machine.lock();
        state.alive.remove(&self.index);
        for right in &mut state.rights {
            right.take_if(|index| *index == self.index);
        }
        *self.dead.lock().expect("lock") = true;
        self.machine.changed.notify_all();
    }

    /// Does something in this process; `None`: it did not live to see the end of it.
    pub fn act<T: Send + 'static>(self: &Arc<Self>, what: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let answer = Arc::new(Mutex::new(None));
        let (to, process) = (answer.clone(), self.clone());
        let thread = std::thread::Builder::new().stack_size(512 << 10).spawn(move || {
            let done = what();
            // Whoever waits looks under this lock.
            let _state = process.machine.lock();
            *to.lock().expect("lock") = Some(done);
            process.machine.changed.notify_all();
        });
        let thread = thread.expect("a thread");
        let mut state = self.machine.lock();
        loop {
            if let Some(answer) = answer.lock().expect("lock").take() {
                return Some(answer);
            }
            if self.is_dead() {
                return None;
            }
            assert!(!thread.is_finished(), "an action panicked");
            let waited = self.machine.changed.wait_timeout(state, Duration::from_millis(50));
            state = waited.expect("lock").0;
        }
    }

    fn call(&self, half: impl FnOnce(), whole: impl FnOnce() -> Result<()>) -> Result<()> {
        if self.left.load(SeqCst) < 0 || self.left.fetch_sub(1, SeqCst) > 0 {
            return whole();
        }
        let death = *self.death.lock().expect("lock");
        match death {
            Death::Before => {}
            Death::Half => half(),
            Death::After => drop(whole()),
            Death::Error => {
                self.machine.disk.fail_after(1, Fault::Io, false);
                drop(whole());
                self.machine.disk.heal();
            }
        }
        self.end();
        loop {
            std::thread::park();
        }
    }
}

/// The disk as a process sees it.
pub struct Disk(pub Arc<Process>);

impl Storage for Disk {
    fn len(&self) -> Result<u64> {
        self.0.machine.disk.len()
    }
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.0.machine.disk.read_at(at, into)
    }
    fn read_cached(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.0.machine.disk.read_cached(at, into)
    }
    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
        let disk = &self.0.machine.disk;
        let half = || {
            let bytes = parts.concat();
            let _ = disk.write_at(at, &bytes[..bytes.len() / 2]);
        };
        self.0.call(half, || disk.writev_at(at, parts))
    }
    fn sync(&self) -> Result<()> {
        self.0.call(|| {}, || self.0.machine.disk.sync())
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.0.call(|| {}, || self.0.machine.disk.set_len(len))
    }
    fn memory(&self) -> Mapped {
        self.0.machine.disk.memory()
    }
    fn identity(&self) -> Option<Identity> {
        None
    }
    fn read_only(&self) -> bool {
        false
    }
    fn peers(&self, words: usize, _: Duration) -> Result<Arc<dyn Peers>> {
        let mut state = self.0.machine.lock();
        let first = state.alive.len() == 1;
        if first {
            state.memory = Some(Arc::new(Atomics::new(words as u64)?));
        }
        Ok(Arc::new(Occupant {
            process: self.0.clone(),
            memory: state.memory.clone().expect("the first one made it"),
            first,
        }))
    }
}

/// A process among others.
struct Occupant {
    process: Arc<Process>,
    memory: Arc<Atomics<AtomicU64>>,
    first: bool,
}

impl Occupant {
    fn take(&self, right: usize) -> bool {
        let mut state = self.process.machine.lock();
        let free = state.rights[right].is_none();
        if free {
            state.rights[right] = Some(self.process.index);
        }
        free
    }

    fn give_back(&self, right: usize) {
        self.process.machine.lock().rights[right] = None;
    }
}

impl Peers for Occupant {
    fn memory(&self) -> Arc<Atomics<AtomicU64>> {
        self.memory.clone()
    }
    fn first(&self) -> bool {
        self.first
    }
    fn admit(&self) -> Result<()> {
        Ok(())
    }
    fn index(&self) -> ProcessIndex {
        ProcessIndex::new(self.process.index)
    }
    fn try_lock_write(&self) -> Result<bool> {
        Ok(self.take(WRITE))
    }
    fn wait_write(&self, _: Duration, _: &mut dyn FnMut() -> bool) {
        panic!("the right to write is taken although nobody writes");
    }
    fn unlock_write(&self) -> bool {
        self.give_back(WRITE);
        false
    }
    fn stop_waiting_to_write(&self) {
        panic!("somebody waited for the right to write although nobody writes");
    }
    fn wake(&self) {}
    fn try_lock_sync(&self) -> Result<bool> {
        if self.process.lacks_locks.load(SeqCst) {
            return Err(Error::NoLocks("as planned".into()));
        }
        assert!(self.take(SYNC), "the right to sync is taken although nobody syncs");
        Ok(true)
    }
    fn wait_sync(&self, _: CommitId, _: Duration, _: &mut dyn FnMut() -> bool) {
        panic!("the right to sync is taken although nobody syncs");
    }
    fn unlock_sync(&self, _: &Range<CommitId>) {
        self.give_back(SYNC);
    }
    fn reap(&self, index: ProcessIndex, clear: &mut dyn FnMut()) -> Result<()> {
        if !self.process.machine.lock().alive.contains(&index.get()) {
            clear();
        }
        Ok(())
    }
    fn is_last(&self) -> bool {
        self.process.machine.lock().alive.len() == 1
    }
}
