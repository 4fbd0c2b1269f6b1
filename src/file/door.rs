//! How an opener becomes a member: as the first one, with new memory, or with the memory that it finds.
//!
//! An opener tries to lock `ALIVE` exclusively. If that succeeds, nobody else is there: the opener prepares new
//! memory without a name, recovers, gives the memory its name, and makes its lock on `ALIVE` shared. If it fails, the
//! opener locks `ALIVE` shared and maps the memory that it finds by name. That memory is the right one if some member
//! holds the lock of the *era* that is written in it. Eras are random numbers, so memory that was left over, restored
//! or put there by hand proves nothing. The memory also names its own inode, so a copy that was made of it while it
//! was in use proves nothing either.
//!
//! Two kinds of openers have no shared memory. Where the `-shm` file cannot be made (no permission in the directory,
//! no space, something foreign under its name), the first opener is *alone*: it keeps `ALIVE` exclusively, and others
//! are refused. That lock is on the data file itself, so no two processes are ever alone, nor one beside members,
//! whatever happens to the `-shm` file. But who is alone keeps all others out for as long as it lives. So an error of
//! the moment (no descriptors, no memory, a disk that fails) is an error of opening and no reason to be alone. An
//! opener that may only read the data file is an *observer*. It cannot exclude anybody, so it is refused while there
//! are members, and members are refused while there are observers.

use super::beside::{self, Refusal, Site};
use super::lock::{self, Byte, Mode};
use super::map::Atomics;
use super::members::{identity, Member, Prepared, Role, ERA, LENGTH, OWN_DEVICE, OWN_INODE};
use super::peers::{is_memory, DEVICE, HEADER, INODE, MAGIC, PROCESSES};
use super::{calls, fork, names, Identity};
use crate::error::{Detail, Error, Result};
use crate::ids::ProcessIndex;
use crate::util::lock::Mutex;
use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an opener brings along.
#[derive(Debug)]
pub struct Opener<'a> {
    /// The data file.
    pub file: Arc<File>,
    /// Where it was found.
    pub path: &'a Path,
    /// Whether its descriptor can be written to.
    pub writable: bool,
    /// The number of words of shared memory.
    pub words: usize,
}

/// Returns whether an error of opening the memory says that something else has its name, or nothing. (No permission
/// does not: waiting would not help.)
fn is_foreign(error: &std::io::Error) -> bool {
    let answers = [
        libc::ENOENT,
        libc::ENOTDIR,
        libc::ELOOP,
        libc::EISDIR,
        libc::ENXIO,
        libc::ENODEV,
        libc::EPERM,
        libc::EROFS,
        libc::ETXTBSY,
    ];
    error.raw_os_error().is_some_and(|errno| answers.contains(&errno))
}

impl Member {
    /// Joins those who have the file open. If one of them must go first, this waits for at most `patience`.
    ///
    /// # Errors
    /// `Busy` (see the module), `Access`, `NoLocks`, `NoMemory`, `Limit` (too many processes), `Io`.
    pub fn join(opener: &Opener<'_>, patience: Duration) -> Result<Member> {
        let facts = opener.file.metadata().map_err(|e| Error::io("look at the file", e))?;
        let path = names::real_path(&opener.file, identity(&facts), opener.path);
        let door = Door {
            file: opener.file.clone(),
            name: beside::name(&path, &*opener.file),
            path,
            of: identity(&facts),
            facts,
            words: opener.words,
        };
        let (end, mut pause) = (Instant::now() + patience, Duration::from_micros(200));
        loop {
            let entered = if opener.writable { door.enter() } else { door.observe() };
            let refusal = match entered? {
                Ok(member) => return Ok(member),
                Err(refusal) => refusal,
            };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Busy(Detail::of_file(
                    door.site().explain(refusal),
                    &door.path,
                    None,
                )));
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

/// What an opener knows before it is a member.
struct Door {
    file: Arc<File>,
    /// The real name of the data file, and that of the memory.
    path: PathBuf,
    name: PathBuf,
    of: Identity,
    facts: std::fs::Metadata,
    words: usize,
}

type Entry = std::result::Result<Member, Refusal>;

impl Door {
    fn member(&self, memory: Atomics<AtomicU64>, role: Role, first: bool) -> Member {
        Member {
            file: self.file.clone(),
            memory: Arc::new(memory),
            role,
            first,
            prepared: Mutex::new(None),
            name: self.name.clone(),
            identity: None,
            of: self.of,
            forks: fork::count(),
            pid: std::process::id(),
        }
    }

    fn site(&self) -> Site<'_> {
        Site {
            file: self.file.as_fd(),
            of: self.of,
            path: &self.path,
            name: &self.name,
        }
    }

    /// Enters as an observer, or returns the reason why that is refused.
    fn observe(&self) -> Result<Entry> {
        let fd = self.file.as_fd();
        if !lock::try_lock(fd, Byte::Observe, Mode::Shared)? || lock::is_locked(fd, Byte::Alive)? {
            lock::unlock(fd, Byte::Observe);
            return Ok(Err(Refusal::Members));
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
                return Ok(Err(Refusal::Observers));
            }
            return self.be_first().map(Ok);
        }
        if !lock::try_lock(fd, Byte::Alive, Mode::Shared)? {
            return Ok(Err(Refusal::Alone));
        }
        let joined = self.join_era();
        if !matches!(joined, Ok(Ok(_))) {
            lock::unlock(fd, Byte::Alive);
        }
        joined
    }

    fn be_first(&self) -> Result<Member> {
        let prepared = match self.prepare() {
            // On a full disk, there may be no room but that of the memory which a killed process has left.
            Err(Error::NoSpace(_)) if beside::remove_left_over(&self.name, self.of) => self.prepare(),
            prepared => prepared,
        };
        let member = match prepared {
            Err(error) if names::cannot_be_there(&error) => {
                Atomics::new(self.words as u64).map(|memory| self.member(memory, Role::Alone, true))
            }
            prepared => prepared,
        };
        member.inspect_err(|_| lock::unlock(self.file.as_fd(), Byte::Alive))
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
        member.prepared = Mutex::new(Some(named.map_or(Prepared::Unnamed(shm), Prepared::Named)));
        member.identity = Some(identity(&facts));
        Ok(member)
    }

    /// Creates a file under a temporary name.
    fn temporary(&self) -> Result<(File, PathBuf)> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let mut name = self.name.file_name().unwrap_or_default().to_owned();
        let unique = format!(".{}-{}", std::process::id(), COUNTER.fetch_add(1, Relaxed));
        if name.len() + unique.len() > names::longest_name(self.file.as_fd()) {
            name = format!(".kv-{:x}-{:x}", self.of.device, self.of.inode).into();
        }
        name.push(unique);
        let temporary = self.name.with_file_name(name);
        // A process that had this number may have died here and left its file over. No living one has it, because only
        // who has locked `ALIVE` exclusively makes such a file.
        let _ = std::fs::remove_file(&temporary);
        let made = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(&temporary);
        let shm = names::above_standard(made.map_err(|e| names::at_path("create", &self.name, e))?)?;
        Ok((shm, temporary))
    }

    fn fill(&self, shm: &File) -> Result<(Atomics<AtomicU64>, ProcessIndex)> {
        let io = |e| Error::io("make the -shm file", e);
        let mine = shm.metadata().map_err(io)?;
        self.hand_over(shm, &mine);
        // The file is empty still, as this needs.
        calls::write_in_place(shm);
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

    /// Lets those who may open the database open the memory, and nobody else.
    ///
    /// Only root can give a file away, and others can give it to a group of theirs, so each is tried by itself. A file
    /// system may have no owners and no modes; then it treats both files alike.
    fn hand_over(&self, shm: &File, mine: &std::fs::Metadata) {
        let fchown = |owner, group| std::os::unix::fs::fchown(shm, owner, group).is_ok();
        let (owner, group) = (self.facts.uid(), self.facts.gid());
        let has_group = mine.gid() == group || fchown(None, Some(group));
        if mine.uid() != owner {
            fchown(Some(owner), None);
        }
        let mode = match (self.facts.mode() & 0o666, has_group) {
            (mode, true) => mode,
            // Those of a foreign group get no more than everybody.
            (mode, false) => (mode & 0o606) | (mode & (mode & 0o006) << 3),
        };
        let _ = shm.set_permissions(std::fs::Permissions::from_mode(mode));
    }

    /// Locks the era, and an index that is free, which it returns.
    fn take_index(&self, era: u64) -> Result<ProcessIndex> {
        let fd = self.file.as_fd();
        lock::try_lock(fd, Byte::Era(era), Mode::Shared)?;
        let indices = (0..PROCESSES).filter_map(|index| u16::try_from(index).ok());
        for index in indices.map(ProcessIndex::new) {
            if lock::try_lock(fd, Byte::Process(index), Mode::Exclusive)? {
                return Ok(index);
            }
        }
        lock::unlock(fd, Byte::Era(era));
        Err(Error::Limit(
            "1024 processes have this database open; close it in some".into(),
        ))
    }

    fn join_era(&self) -> Result<Entry> {
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(&self.name);
        let shm = match opened {
            Ok(shm) => shm,
            Err(error) if is_foreign(&error) => return Ok(Err(Refusal::Lost)),
            Err(error) => return Err(names::at_path("open", &self.name, error)),
        };
        let facts = shm.metadata().map_err(|e| Error::io("look at the -shm file", e))?;
        if !facts.is_file() || facts.len() < HEADER as u64 * 8 {
            return Ok(Err(Refusal::Lost));
        }
        let memory = Atomics::<AtomicU64>::of_file(shm.as_fd(), facts.len() / 8)?;
        let word = |at: usize| memory.all()[at].load(SeqCst);
        if !is_memory(&word(0).to_ne_bytes()) || (word(DEVICE), word(INODE)) != (self.of.device, self.of.inode) {
            return Ok(Err(Refusal::Lost));
        }
        let own = identity(&facts);
        if (word(OWN_DEVICE), word(OWN_INODE)) != (own.device, own.inode) {
            return Ok(Err(Refusal::Lost));
        }
        if !lock::is_locked(self.file.as_fd(), Byte::Era(word(ERA)))? {
            return Ok(Err(Refusal::Lost));
        }
        if word(0) != MAGIC || word(LENGTH) != self.words as u64 || facts.len() != self.words as u64 * 8 {
            return Ok(Err(Refusal::OtherVersion));
        }
        let index = self.take_index(word(ERA))?;
        let mut member = self.member(memory, Role::Member(index), false);
        member.identity = Some(identity(&facts));
        Ok(Ok(member))
    }
}
