//! A simulated disk for crash and fault tests. It is not for data that matters.
//!
//! It holds two images. The **cache** is what the process sees, through calls and through memory. The **disk** is
//! what a power cut leaves. A write changes the cache and is kept in a log; a sync applies the log to the disk.
//!
//! - [`SimDisk::crash`] cuts the power. It returns a *new* storage whose image is the disk plus a random part of the
//!   unsynced log, at sectors of 512 bytes. Any subset may arrive, so torn, lost and reordered writes all occur.
//!   Lengths are unsynced, too.
//! - [`SimDisk::kill`] kills the process, and the cache survives. It returns a new storage with both images and the
//!   log.
//! - [`SimDisk::power_cut`] and [`SimDisk::restart`] do the same in place, in time proportional to what was not
//!   synced.
//! - [`SimDisk::during_sync`] and [`SimDisk::before_write`] run something, as another thread would, while a sync is
//!   under way (the sync does not cover what is written then) or just before a write.
//! - [`SimDisk::crash_after`] makes the n-th write, change of length or sync from now *the crash*. It and all later
//!   calls fail; a write that crashes may be found on the disk in part.
//! - [`SimDisk::fail_after`] makes the n-th call from now fail, once or for ever. A failed sync marks what it did not
//!   write as clean, as Linux does: the next sync succeeds and proves nothing. [`Storage::read_at`] then sees the old
//!   bytes of the disk, while memory shows the new ones until [`SimDisk::evict`].
//! - [`SimDisk::lie_about_sync`] makes syncs succeed and do nothing, to test the tests.

#![allow(unsafe_code)]

use super::map::{Mapped, Reservation};
use super::{Identity, Storage};
use crate::error::{Error, Result};
use crate::util::lock::{Mutex, MutexGuard};
use std::io;

/// The unit in which a disk tears writes.
const SECTOR: usize = 512;
/// The number of bytes to which a simulated disk can grow.
const CAPACITY: u64 = 256 << 20;

/// What a power cut does to unsynced writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All of them are lost.
    AllLost,
    /// All of them arrive.
    AllKept,
    /// Each write arrives whole or not at all.
    Writes,
    /// Each write arrives whole, or not at all, or each of its sectors does or does not.
    Sectors,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An input/output error. A sync that fails so drops some data.
    Io,
    /// No space is left. Half of a write may have happened.
    NoSpace,
    /// A write stops half-way.
    Short,
    /// A signal interrupts the call.
    Interrupted,
}

/// What [`SimDisk::fail_after`] has planned: the fault, and how many calls are left until it strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Plan {
    fault: Fault,
    left: u64,
    for_ever: bool,
}

#[derive(Debug, Clone)]
enum DiskOp {
    Write { at: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Debug)]
struct State {
    len: u64,
    disk: Vec<u8>,
    log: Vec<DiskOp>,
    /// The number of log entries that were applied to the disk so far.
    carried: u64,
    writes: u64,
    syncs: u64,
    calls: u64,
    crash: Option<u64>,
    plan: Option<Plan>,
    dead: bool,
    lying: bool,
    /// A sync failed or the file shrank, so the cache can differ from the disk where nothing is dirty.
    diverged: bool,
    random: Random,
}

/// A function that runs while a sync is under way or before a write.
type Meanwhile = Box<dyn FnOnce() + Send>;

/// A simulated disk.
pub struct SimDisk {
    cache: Reservation,
    state: Mutex<State>,
    meanwhile: Mutex<Option<Meanwhile>>,
    before_write: Mutex<Option<(u64, Meanwhile)>>,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimDisk")
            .field("state", &*self.state.lock())
            .finish_non_exhaustive()
    }
}

/// A small random generator for tests. The same seed gives the same run.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Returns a generator that starts from `seed`.
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    /// Returns the next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number below `n`, or 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next_u64().checked_rem(n).unwrap_or(0)
    }

    /// Returns `true` once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

impl SimDisk {
    /// Returns an empty disk.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn new(seed: u64) -> Result<SimDisk> {
        SimDisk::with_image(Vec::new(), seed)
    }

    /// Returns a disk with this content, which is synced.
    ///
    /// # Errors
    /// `NoMemory`, `Limit`.
    pub fn with_image(image: Vec<u8>, seed: u64) -> Result<SimDisk> {
        SimDisk::make(&image.clone(), image, Vec::new(), seed)
    }

    fn make(cached: &[u8], disk: Vec<u8>, log: Vec<DiskOp>, seed: u64) -> Result<SimDisk> {
        if cached.len() as u64 > CAPACITY {
            return Err(Error::Limit("the simulated disk is full".into()));
        }
        let cache = Reservation::anonymous(CAPACITY)?;
        // SAFETY: The cache is new, and nobody reads it yet.
        unsafe { cache.write(0, cached) };
        let state = State {
            len: cached.len() as u64,
            disk,
            log,
            carried: 0,
            writes: 0,
            syncs: 0,
            calls: 0,
            crash: None,
            plan: None,
            dead: false,
            lying: false,
            diverged: false,
            random: Random::new(seed),
        };
        Ok(SimDisk {
            cache,
            state: Mutex::new(state),
            meanwhile: Mutex::new(None),
            before_write: Mutex::new(None),
        })
    }

    /// Makes the n-th write, change of length or sync from now the crash, where 1 is the next one.
    pub fn crash_after(&self, n: u64) {
        self.state.lock().crash = Some(n);
    }

    /// Returns whether the crash set by [`SimDisk::crash_after`] has happened, or the disk was replaced by a new one.
    pub fn crashed(&self) -> bool {
        self.state.lock().dead
    }

    /// Makes the n-th call from now fail, where 1 is the next one and reads count, and all calls after it if
    /// `for_ever`.
    pub fn fail_after(&self, n: u64, fault: Fault, for_ever: bool) {
        self.state.lock().plan = Some(Plan {
            fault,
            left: n,
            for_ever,
        });
    }

    /// Forgets a fault that has not struck yet or that strikes for ever.
    pub fn heal(&self) {
        self.state.lock().plan = None;
    }

    /// Makes every sync succeed without doing anything, if `lie`.
    pub fn lie_about_sync(&self, lie: bool) {
        self.state.lock().lying = lie;
    }

    /// Returns the numbers of writes, of syncs and of all calls so far.
    pub fn counts(&self) -> (u64, u64, u64) {
        let state = self.state.lock();
        (state.writes, state.syncs, state.calls)
    }

    /// Cuts the power, and returns what a machine finds that starts again. This storage fails from now on.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn crash(&self, seed: u64, cut: Cut) -> Result<SimDisk> {
        let mut state = self.state.lock();
        state.dead = true;
        let mut random = Random::new(seed);
        let image = cut_image(state.disk.clone(), &state, cut, &mut random);
        SimDisk::with_image(image, random.next_u64())
    }

    /// Does what [`SimDisk::crash`] does, but in place: this storage is what starts again. The cost depends on what
    /// was not synced and not on the size of the image.
    pub fn power_cut(&mut self, seed: u64, cut: Cut) {
        let state = self.state.get_mut();
        let mut random = Random::new(seed);
        let disk = std::mem::take(&mut state.disk);
        let image = cut_image(disk, state, cut, &mut random);
        // Clean bytes of the cache equal those of the disk. Dirty bytes are made equal, and all bytes if that is not
        // sure.
        let (old, new) = (state.len as usize, image.len());
        let all = DiskOp::Write {
            at: 0,
            bytes: vec![0; if state.diverged || new > old { new } else { 0 }],
        };
        for op in state.log.iter().chain([&all]) {
            let DiskOp::Write { at, bytes } = op else { continue };
            let from = (*at as usize).min(new);
            let to = (*at as usize + bytes.len()).min(new);
            // SAFETY: The bytes lie inside the capacity, and nobody else can hold the storage.
            unsafe { self.cache.write(from as u64, &image[from..to]) };
        }
        // SAFETY: The bytes lie inside the capacity, and nobody else can hold the storage.
        unsafe { self.cache.write(new as u64, &vec![0; old.saturating_sub(new)]) };
        state.disk = image;
        state.len = new as u64;
        state.diverged = false;
        state.log.clear();
        SimDisk::begin_again(state, random);
    }

    /// Does what [`SimDisk::kill`] does, but in place: this storage is what starts again.
    pub fn restart(&mut self) {
        let state = self.state.get_mut();
        let random = state.random.clone();
        SimDisk::begin_again(state, random);
    }

    fn begin_again(state: &mut State, random: Random) {
        (state.crash, state.plan, state.dead) = (None, None, false);
        state.random = random;
    }

    /// Runs `what` once, when the next sync has begun. That sync makes durable what was written before, and not what
    /// `what` writes. `what` must not wait for the sync to end.
    pub fn during_sync(&self, what: impl FnOnce() + Send + 'static) {
        *self.meanwhile.lock() = Some(Box::new(what));
    }

    /// Runs `what` once, before the next write that begins below the offset `end`.
    pub fn before_write(&self, end: u64, what: impl FnOnce() + Send + 'static) {
        *self.before_write.lock() = Some((end, Box::new(what)));
    }

    /// Forgets what was to run during a sync or before a write, if that never came.
    pub fn nothing_meanwhile(&self) {
        *self.meanwhile.lock() = None;
        *self.before_write.lock() = None;
    }

    /// Kills the process but not the machine. This storage fails from now on.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn kill(&self) -> Result<SimDisk> {
        let mut state = self.state.lock();
        state.dead = true;
        let cached = self.cached(state.len);
        let seed = state.random.next_u64();
        let new = SimDisk::make(&cached, state.disk.clone(), state.log.clone(), seed)?;
        new.state.lock().lying = state.lying;
        Ok(new)
    }

    /// Drops clean bytes from the cache, so that memory shows what the disk holds, with the unsynced writes over it.
    /// Nobody may hold references into the memory meanwhile.
    pub fn evict(&self) {
        let state = self.state.lock();
        let mut image = state.disk.clone();
        for op in &state.log {
            apply(&mut image, op);
        }
        image.resize(state.len as usize, 0);
        // SAFETY: The bytes lie inside the capacity, and the caller holds no references.
        unsafe { self.cache.write(0, &image) };
    }

    /// Returns the bytes that the process sees, for tests that damage them and start again with
    /// [`SimDisk::with_image`].
    pub fn image(&self) -> Vec<u8> {
        let state = self.state.lock();
        self.cached(state.len)
    }

    fn cached(&self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        // SAFETY: The bytes lie inside the capacity, and the locked state keeps writers away.
        unsafe { self.cache.read(0, &mut bytes) };
        bytes
    }

    /// Counts a read of `len` bytes at `at`, which may fail. The bytes must lie in the file.
    fn begin_read(&self, at: u64, len: usize) -> Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        if let Some(fault) = SimDisk::enter(&mut state, "read", false)? {
            return Err(failure("read", fault));
        }
        match at.checked_add(len as u64) {
            Some(end) if end <= state.len => Ok(state),
            _ => Err(Error::io("read", io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// Counts a call, and returns the fault that strikes it, if any.
    fn enter(state: &mut State, op: &'static str, changes: bool) -> Result<Option<Fault>> {
        if state.dead {
            return Err(Error::io(op, io::Error::other("the simulated power is off")));
        }
        state.calls += 1;
        if changes {
            if let Some(left) = &mut state.crash {
                *left -= 1;
                if *left == 0 {
                    state.dead = true;
                }
            }
        }
        match &mut state.plan {
            Some(plan) if plan.left > 1 => {
                plan.left -= 1;
                Ok(None)
            }
            Some(plan) => {
                let fault = plan.fault;
                if !plan.for_ever {
                    state.plan = None;
                }
                Ok(Some(fault))
            }
            None => Ok(None),
        }
    }

    /// Puts bytes into the cache and the log.
    fn put(&self, state: &mut State, at: u64, bytes: Vec<u8>) {
        // SAFETY: The caller checked the capacity, and the pager writes no bytes that a view was given (I-3).
        unsafe { self.cache.write(at, &bytes) };
        state.len = state.len.max(at + bytes.len() as u64);
        state.log.push(DiskOp::Write { at, bytes });
    }
}

fn failure(op: &'static str, fault: Fault) -> Error {
    let source = match fault {
        Fault::Io => io::Error::from_raw_os_error(libc::EIO),
        Fault::NoSpace => io::Error::from_raw_os_error(libc::ENOSPC),
        Fault::Short => io::ErrorKind::WriteZero.into(),
        Fault::Interrupted => io::Error::from_raw_os_error(libc::EINTR),
    };
    Error::io(op, source)
}

fn apply(image: &mut Vec<u8>, op: &DiskOp) {
    match op {
        DiskOp::Write { at, bytes } => put_part(image, *at as usize, bytes),
        DiskOp::Length(len) => image.resize(*len as usize, 0),
    }
}

fn put_part(image: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[at..end].copy_from_slice(bytes);
}

/// Returns the disk plus a random part of the log.
fn cut_image(mut image: Vec<u8>, state: &State, cut: Cut, random: &mut Random) -> Vec<u8> {
    let synced_len = image.len();
    // The odds go from "almost nothing arrived" to "almost everything arrived".
    let odds = [1, 8, 32, 56, 63][random.below(5) as usize];
    let arrives = |random: &mut Random| random.below(64) < odds;
    for op in &state.log {
        match (cut, op) {
            (Cut::AllLost, _) => {}
            (Cut::AllKept, _) => apply(&mut image, op),
            // Half of the writes are torn and the others are not, because whole slots over missing data are the
            // dangerous case.
            (Cut::Sectors, DiskOp::Write { at, bytes }) if random.one_in(2) => {
                let mut from = 0;
                while from < bytes.len() {
                    let offset = *at as usize + from;
                    let end = (from + SECTOR - offset % SECTOR).min(bytes.len());
                    if arrives(random) {
                        put_part(&mut image, offset, &bytes[from..end]);
                    }
                    from = end;
                }
            }
            (Cut::Writes | Cut::Sectors, _) => {
                if arrives(random) {
                    apply(&mut image, op);
                }
            }
        }
    }
    if cut == Cut::Sectors && random.one_in(3) {
        // The length is unsynced, too. It may have arrived before the data, or not at all, or in part.
        let (least, most) = (synced_len.min(state.len as usize), synced_len.max(state.len as usize));
        let len = match random.below(3) {
            0 => least,
            1 => most,
            _ => least + random.below((most - least) as u64 + 1) as usize,
        };
        image.resize(len, 0);
    }
    image
}

impl Storage for SimDisk {
    fn len(&self) -> Result<u64> {
        let mut state = self.state.lock();
        if let Some(fault) = SimDisk::enter(&mut state, "look at the file", false)? {
            return Err(failure("look at the file", fault));
        }
        Ok(state.len)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let state = self.begin_read(at, into.len())?;
        // The answer is what the disk holds, with the dirty bytes over it.
        into.fill(0);
        let from = (at as usize).min(state.disk.len());
        let have = &state.disk[from..state.disk.len().min(at as usize + into.len())];
        into[..have.len()].copy_from_slice(have);
        for op in &state.log {
            if let DiskOp::Write { at: start, bytes } = op {
                let low = at.max(*start);
                let high = (at + into.len() as u64).min(start + bytes.len() as u64);
                if low < high {
                    into[(low - at) as usize..(high - at) as usize]
                        .copy_from_slice(&bytes[(low - start) as usize..(high - start) as usize]);
                }
            }
        }
        if state.diverged {
            // Reading past the cache first drops what the cache has there.
            // SAFETY: The bytes lie below the length. Only recovery reads so, and nobody holds references to bytes
            // that this changes.
            unsafe { self.cache.write(at, into) };
        }
        Ok(())
    }

    fn read_cached(&self, at: u64, into: &mut [u8]) -> Result<()> {
        let _state = self.begin_read(at, into.len())?;
        // SAFETY: The bytes lie inside the file, which the reservation holds, and the lock keeps writers away.
        unsafe { self.cache.read(at, into) };
        Ok(())
    }

    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
        let before = self.before_write.lock().take_if(|(end, _)| at < *end);
        if let Some((_, what)) = before {
            what();
        }
        let mut state = self.state.lock();
        let fault = SimDisk::enter(&mut state, "write", true)?;
        state.writes += 1;
        let mut bytes = parts.concat();
        if at.checked_add(bytes.len() as u64).is_none_or(|end| end > CAPACITY) {
            return Err(Error::Limit("the simulated disk is full".into()));
        }
        if let Some(fault) = fault {
            if fault == Fault::Short || fault == Fault::NoSpace {
                bytes.truncate(bytes.len() / 2);
                self.put(&mut state, at, bytes);
            }
            return Err(failure("write", fault));
        }
        self.put(&mut state, at, bytes);
        if state.dead {
            return Err(Error::io("write", io::Error::other("the simulated power is off")));
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let state = self.state.lock();
        let covered = state.carried + state.log.len() as u64;
        drop(state);
        let meanwhile = self.meanwhile.lock().take();
        if let Some(what) = meanwhile {
            what();
        }
        let mut state = self.state.lock();
        let fault = SimDisk::enter(&mut state, "sync", true)?;
        state.syncs += 1;
        if state.dead {
            return Err(Error::io("sync", io::Error::other("the simulated power is off")));
        }
        match fault {
            Some(fault @ (Fault::Io | Fault::NoSpace)) => {
                // A part of the log is written, and all of it counts as clean.
                let mut random = state.random.clone();
                let cut = [Cut::AllLost, Cut::Writes, Cut::Sectors][random.below(3) as usize];
                let disk = std::mem::take(&mut state.disk);
                state.disk = cut_image(disk, &state, cut, &mut random);
                state.random = random;
                state.carried += state.log.len() as u64;
                state.log.clear();
                state.diverged = true;
                Err(failure("sync", fault))
            }
            Some(fault) => Err(failure("sync", fault)),
            None if state.lying => Ok(()),
            None => {
                let state = &mut *state;
                let covered = covered.saturating_sub(state.carried);
                state.carried += covered;
                for op in state.log.drain(..covered as usize) {
                    apply(&mut state.disk, &op);
                }
                Ok(())
            }
        }
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = self.state.lock();
        let fault = SimDisk::enter(&mut state, "set the file length", true)?;
        if let Some(fault) = fault {
            return Err(failure("set the file length", fault));
        }
        if len > CAPACITY {
            return Err(Error::Limit("the simulated disk is full".into()));
        }
        if len < state.len {
            let zeros = vec![0; (state.len - len) as usize];
            // SAFETY: The bytes lie inside the capacity, and no view reaches beyond the new length.
            unsafe { self.cache.write(len, &zeros) };
            state.diverged = true;
        }
        state.len = len;
        state.log.push(DiskOp::Length(len));
        Ok(())
    }

    fn memory(&self) -> Mapped {
        self.cache.mapped()
    }

    fn identity(&self) -> Option<Identity> {
        None
    }

    fn read_only(&self) -> bool {
        false
    }
}
