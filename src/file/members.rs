//! A process as one of those that have the same file open.
//!
//! Beside the data file lies a file of shared memory, `NAME-shm`. It says which commits are newest and who reads
//! what, and it is never needed to understand the data file. So nothing is lost when it is lost: the first process
//! that opens the database makes it anew, and the last one that closes the database removes it.
//!
//! An opener tries to lock `ALIVE` exclusively. If that succeeds, nobody else is there: the opener prepares new
//! memory without a name, recovers, gives the memory its name, and makes its lock on `ALIVE` shared. If it fails, the
//! opener locks `ALIVE` shared and maps the memory that it finds by name. That memory is the right one if some member
//! holds the lock of the *era* that is written in it. Eras are random numbers, so memory that was left over, restored
//! or put there by hand proves nothing. The memory also names its own inode, so a copy that was made of it while it
//! was in use proves nothing either.
//!
//! Two kinds of openers have no shared memory. Where the `-shm` file cannot be made (no permission in the directory,
//! no space), the first opener is *alone*: it keeps `ALIVE` exclusively, and others are refused. An opener that may
//! only read the data file is an *observer*. It cannot exclude anybody, so it is refused while there are members, and
//! members are refused while there are observers.

use super::fork;
use super::lock::{self, Byte, Mode};
use super::map::Atomics;
use super::names;
use super::peers::{Peers, HEADER, PROCESSES};
use super::sleepers::{Marks, Sleepers};
use super::Identity;
use crate::error::{Error, Result};
use crate::ids::{CommitId, ProcessIndex};
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The first word of the memory: a name and the version of the layout.
const MAGIC: u64 = u64::from_le_bytes(*b"kv-shm\x02\0");
const MAGIC_MASK: u64 = 0x0000_FFFF_FFFF_FFFF;
/// The indices of words in the header: the era, the data file's device and inode, the number of words.
const ERA: usize = 1;
const DEVICE: usize = 2;
const INODE: usize = 3;
const LENGTH: usize = 4;
/// The device and inode of the memory's own file, in which a copy of the file differs.
const OWN_DEVICE: usize = 5;
const OWN_INODE: usize = 6;
/// The signal for those who sleep until the right to write may be free, and their number.
const WRITE_SIGNAL: usize = 16;
const WRITE_SLEEPERS: usize = 17;
/// The same for the right to sync. Those who write do not touch this cache line.
const SYNC_SIGNAL: usize = 24;
const SYNC_SLEEPERS: usize = 25;

/// How long an opener waits for another one that is recovering or leaving.
const PATIENCE: Duration = Duration::from_secs(10);

/// What this opener is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Member(ProcessIndex),
    Alone,
    Observer,
}

/// A process that has the file open.
#[derive(Debug)]
pub struct Member {
    file: Arc<File>,
    memory: Arc<Atomics<AtomicU64>>,
    role: Role,
    first: bool,
    /// The memory that was prepared and gets its name when others are admitted.
    prepared: Option<Prepared>,
    admitted: AtomicBool,
    /// The name of the memory. Its `identity` says which file that is.
    name: PathBuf,
    identity: Option<Identity>,
    forks: u32,
}

/// Memory that nobody else can see yet.
#[derive(Debug)]
enum Prepared {
    /// A file without a name, which is gone if this process is killed before the file has one.
    Unnamed(File),
    /// A file under a temporary name, where the file system cannot make files without one.
    Named(PathBuf),
}

fn identity(facts: &std::fs::Metadata) -> Identity {
    Identity {
        device: facts.dev(),
        inode: facts.ino(),
    }
}

/// Returns the name of the memory beside `path`.
fn name_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    PathBuf::from(name)
}

impl Member {
    /// Joins those who have `file` open. `path` is where it was found, `writable` says whether its descriptor can be
    /// written to, and `words` is the number of words of shared memory.
    ///
    /// # Errors
    /// `Busy` (see the module), `Access`, `NoLocks`, `NoMemory`, `Limit` (too many processes), `Io`.
    pub fn join(file: Arc<File>, path: &Path, writable: bool, words: usize) -> Result<Member> {
        let facts = file.metadata().map_err(|e| Error::io("look at the file", e))?;
        // All processes must use the same name, whatever symbolic link led here.
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let door = Door {
            file,
            name: name_beside(&real),
            of: identity(&facts),
            facts,
            words,
        };
        let (end, mut pause) = (Instant::now() + PATIENCE, Duration::from_micros(200));
        loop {
            let refusal = match if writable { door.enter() } else { door.observe() }? {
                Ok(member) => return Ok(member),
                Err(refusal) => refusal,
            };
            if Instant::now() >= end {
                return Err(Error::Busy(refusal));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.memory.all()[at]
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Returns those who wait for the right to write.
    fn writers(&self) -> Sleepers<'_> {
        Sleepers::new(self.word(WRITE_SIGNAL), self.word(WRITE_SLEEPERS))
    }

    /// Returns those who wait for a sync or for the right to make one.
    fn syncers(&self) -> Sleepers<'_> {
        Sleepers::new(self.word(SYNC_SIGNAL), self.word(SYNC_SLEEPERS))
    }

    fn try_lock(&self, byte: Byte) -> Result<bool> {
        match self.role {
            Role::Member(_) => lock::try_lock(self.fd(), byte, Mode::Exclusive),
            Role::Alone | Role::Observer => Ok(true),
        }
    }

    /// Returns whether another process has the lock. If the system does not tell, the answer is yes.
    fn is_taken(&self, byte: Byte) -> bool {
        lock::is_locked(self.fd(), byte).unwrap_or(true)
    }
}

/// What an opener knows before it is a member.
struct Door {
    file: Arc<File>,
    name: PathBuf,
    of: Identity,
    facts: std::fs::Metadata,
    words: usize,
}

type Entry = std::result::Result<Member, &'static str>;

impl Door {
    fn member(&self, memory: Atomics<AtomicU64>, role: Role, first: bool) -> Member {
        Member {
            file: self.file.clone(),
            memory: Arc::new(memory),
            role,
            first,
            prepared: None,
            admitted: AtomicBool::new(false),
            name: self.name.clone(),
            identity: None,
            forks: fork::count(),
        }
    }

    /// Enters as an observer, or returns the reason why that is refused.
    fn observe(&self) -> Result<Entry> {
        let fd = self.file.as_fd();
        if !lock::try_lock(fd, Byte::Observe, Mode::Shared)? || lock::is_locked(fd, Byte::Alive)? {
            lock::unlock(fd, Byte::Observe);
            return Ok(Err(
                "a process that may write has this database open; to read beside it, write permission is needed",
            ));
        }
        let memory = Atomics::new(self.words as u64)?;
        Ok(Ok(self.member(memory, Role::Observer, true)))
    }

    /// Enters as a member, or alone if the memory cannot be made. Returns the reason if that is refused.
    fn enter(&self) -> Result<Entry> {
        let fd = self.file.as_fd();
        if lock::try_lock(fd, Byte::Alive, Mode::Exclusive)? {
            if lock::is_locked(fd, Byte::Observe)? {
                lock::unlock(fd, Byte::Alive);
                return Ok(Err(
                    "a process without permission to write reads this database; it must close it first",
                ));
            }
            return self.be_first().map(Ok);
        }
        if !lock::try_lock(fd, Byte::Alive, Mode::Shared)? {
            return Ok(Err(
                "another process has this database open alone (it could not make the -shm file beside it), or is \
                 recovering it",
            ));
        }
        let joined = self.join_era();
        if !matches!(joined, Ok(Ok(_))) {
            lock::unlock(fd, Byte::Alive);
        }
        joined
    }

    fn be_first(&self) -> Result<Member> {
        match self.prepare() {
            Ok(member) => Ok(member),
            Err(Error::Access(_) | Error::NoSpace { .. } | Error::NoFile(_)) => {
                let memory = Atomics::new(self.words as u64)?;
                Ok(self.member(memory, Role::Alone, true))
            }
            Err(error) => {
                lock::unlock(self.file.as_fd(), Byte::Alive);
                Err(error)
            }
        }
    }

    /// Prepares new memory. It is allocated on disk, because a store into a hole would kill the process if the disk
    /// is full.
    fn prepare(&self) -> Result<Member> {
        let directory = match self.name.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let (shm, named) = match names::unnamed(directory) {
            Some(shm) => (shm, None),
            None => self.temporary().map(|(shm, name)| (shm, Some(name)))?,
        };
        let filled = self.fill(&shm);
        if let (true, Some(temporary)) = (filled.is_err(), &named) {
            let _ = std::fs::remove_file(temporary);
        }
        let (memory, index) = filled?;
        let facts = shm.metadata().map_err(|e| Error::io("look at the -shm file", e))?;
        let mut member = self.member(memory, Role::Member(index), true);
        member.prepared = Some(named.map_or(Prepared::Unnamed(shm), Prepared::Named));
        member.identity = Some(identity(&facts));
        Ok(member)
    }

    /// Creates a file under a temporary name.
    fn temporary(&self) -> Result<(File, PathBuf)> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let mut temporary = self.name.clone().into_os_string();
        temporary.push(format!(".{}-{}", std::process::id(), COUNTER.fetch_add(1, Relaxed)));
        let temporary = PathBuf::from(temporary);
        // A process that had this number may have died here and left its file over.
        let _ = std::fs::remove_file(&temporary);
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&temporary);
        let shm = names::above_standard(made.map_err(|e| names::at_path("create", &temporary, e))?)?;
        Ok((shm, temporary))
    }

    fn fill(&self, shm: &File) -> Result<(Atomics<AtomicU64>, ProcessIndex)> {
        let io = |e| Error::io("make the -shm file", e);
        // Those who may open the database may open this file, and nobody else may.
        let mine = shm.metadata().map_err(io)?;
        if (mine.uid(), mine.gid()) != (self.facts.uid(), self.facts.gid()) {
            // Only root can change the owner. For anybody else this fails, and the file stays their own.
            let _ = std::os::unix::fs::fchown(shm, Some(self.facts.uid()), Some(self.facts.gid()));
        }
        let mode = std::fs::Permissions::from_mode(self.facts.mode() & 0o666);
        shm.set_permissions(mode).map_err(io)?;
        names::allocate(shm, self.words as u64 * 8)?;
        let memory = Atomics::<AtomicU64>::of_file(shm.as_fd(), self.words as u64)?;
        let own = identity(&mine);
        let era = std::hash::RandomState::new().build_hasher().finish() | 1;
        let head = [
            (ERA, era),
            (DEVICE, self.of.device),
            (INODE, self.of.inode),
            (LENGTH, self.words as u64),
            (OWN_DEVICE, own.device),
            (OWN_INODE, own.inode),
            (0, MAGIC),
        ];
        head.iter()
            .for_each(|(at, value)| memory.all()[*at].store(*value, SeqCst));
        let index = self.take_index(era)?;
        Ok((memory, index))
    }

    /// Locks the era, and an index that is free, which it returns.
    fn take_index(&self, era: u64) -> Result<ProcessIndex> {
        let fd = self.file.as_fd();
        lock::try_lock(fd, Byte::Era(era), Mode::Shared)?;
        for index in (0..PROCESSES as u16).map(ProcessIndex::new) {
            if lock::try_lock(fd, Byte::Process(index), Mode::Exclusive)? {
                return Ok(index);
            }
        }
        lock::unlock(fd, Byte::Era(era));
        Err(Error::Limit("1024 processes have this database open"))
    }

    fn join_era(&self) -> Result<Entry> {
        const LOST: &str = "the -shm file beside the open database was removed or replaced, or the database is open \
                            under another name (a hard link); close it everywhere";
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&self.name);
        let shm = match opened {
            Ok(shm) => shm,
            Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                return Err(names::at_path("open", &self.name, error))
            }
            Err(_) => return Ok(Err(LOST)),
        };
        let facts = shm.metadata().map_err(|e| Error::io("look at the -shm file", e))?;
        if !facts.is_file() || facts.len() < HEADER as u64 * 8 {
            return Ok(Err(LOST));
        }
        let memory = Atomics::<AtomicU64>::of_file(shm.as_fd(), facts.len() / 8)?;
        let word = |at: usize| memory.all()[at].load(SeqCst);
        if word(0) & MAGIC_MASK != MAGIC & MAGIC_MASK || (word(DEVICE), word(INODE)) != (self.of.device, self.of.inode)
        {
            return Ok(Err(LOST));
        }
        let own = identity(&facts);
        if (word(OWN_DEVICE), word(OWN_INODE)) != (own.device, own.inode) {
            return Ok(Err(LOST));
        }
        if !lock::is_locked(self.file.as_fd(), Byte::Era(word(ERA)))? {
            return Ok(Err(LOST));
        }
        if word(0) != MAGIC || word(LENGTH) != self.words as u64 || facts.len() != self.words as u64 * 8 {
            return Ok(Err("a process with another version of libkv has this database open"));
        }
        let index = self.take_index(word(ERA))?;
        let mut member = self.member(memory, Role::Member(index), false);
        member.identity = Some(identity(&facts));
        Ok(Ok(member))
    }
}

impl Peers for Member {
    fn memory(&self) -> Arc<Atomics<AtomicU64>> {
        self.memory.clone()
    }

    fn first(&self) -> bool {
        self.first
    }

    fn admit(&self) -> Result<()> {
        let Some(prepared) = &self.prepared else {
            return Ok(());
        };
        let io = |e: io::Error| Error::io("give the -shm file its name", e);
        match prepared {
            Prepared::Named(temporary) => std::fs::rename(temporary, &self.name).map_err(io)?,
            // Nobody looks for the name while `ALIVE` is locked exclusively.
            Prepared::Unnamed(shm) => names::link_over(shm, &self.name).map_err(io)?,
        }
        self.admitted.store(true, SeqCst);
        lock::try_lock(self.fd(), Byte::Alive, Mode::Shared).map(|_| ())
    }

    fn index(&self) -> ProcessIndex {
        match self.role {
            Role::Member(index) => index,
            Role::Alone | Role::Observer => ProcessIndex::new(0),
        }
    }

    fn try_lock_write(&self) -> Result<bool> {
        self.try_lock(Byte::Write)
    }

    fn wait_write(&self, most: Duration, look: &mut dyn FnMut() -> bool) {
        let is_taken = &mut || look() && self.is_taken(Byte::Write);
        self.writers().sleep(Marks::ANY, most, is_taken);
    }

    fn unlock_write(&self) {
        if let Role::Member(_) = self.role {
            lock::unlock(self.fd(), Byte::Write);
            self.writers().wake_one();
        }
    }

    fn stop_waiting_to_write(&self) {
        self.writers().pass_on();
    }

    fn wake(&self) {
        self.writers().wake_all();
    }

    fn try_lock_sync(&self) -> Result<bool> {
        self.try_lock(Byte::Sync)
    }

    fn wait_sync(&self, id: CommitId, most: Duration, look: &mut dyn FnMut() -> bool) {
        let is_taken = &mut || look() && self.is_taken(Byte::Sync);
        self.syncers().sleep(Marks::of(id), most, is_taken);
    }

    fn unlock_sync(&self, durable: &Range<CommitId>) {
        if let Role::Member(_) = self.role {
            lock::unlock(self.fd(), Byte::Sync);
            self.syncers().wake_next_and(durable);
        }
    }

    fn reap(&self, index: ProcessIndex, clear: &mut dyn FnMut()) -> Result<()> {
        if self.role == Role::Member(index) || !matches!(self.role, Role::Member(_)) {
            return Ok(());
        }
        if lock::try_lock(self.fd(), Byte::Process(index), Mode::Exclusive)? {
            clear();
            lock::unlock(self.fd(), Byte::Process(index));
        }
        Ok(())
    }

    fn is_last(&self) -> bool {
        match self.role {
            Role::Member(_) => {
                fork::count() == self.forks && lock::try_lock(self.fd(), Byte::Alive, Mode::Exclusive).unwrap_or(false)
            }
            Role::Alone | Role::Observer => true,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if fork::count() != self.forks {
            return;
        }
        if let (Some(prepared), false) = (&self.prepared, self.admitted.load(SeqCst)) {
            if let Prepared::Named(temporary) = prepared {
                let _ = std::fs::remove_file(temporary);
            }
        } else if matches!(self.role, Role::Member(_)) && self.is_last() {
            let there = std::fs::symlink_metadata(&self.name).map(|facts| identity(&facts)).ok();
            if there == self.identity {
                let _ = std::fs::remove_file(&self.name);
            }
        }
        // The next opener must not wait for descriptors that a child may still have.
        lock::unlock(self.fd(), Byte::Alive);
    }
}
