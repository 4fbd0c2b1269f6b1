//! A process as one of those that have the same file open.
//!
//! Beside the data file lies a file of shared memory, `NAME-shm`. It says which commits are newest and who reads
//! what, and it is never needed to understand the data file. So nothing is lost when it is lost: the first process
//! that opens the database makes it anew, and the last one that closes the database removes it.

use super::lock::{self, Byte, Mode};
use super::map::Atomics;
use super::peers::{Activity, Peers, Syncer, Writer, WRITE_SLEEPERS};
use super::sleepers::{Sleepers, WakeBits};
use super::{calls, fork, names, Identity};
use crate::error::Result;
use crate::ids::{CommitId, ProcessIndex};
use crate::util::lock::Mutex;
use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// The indices of further words in the header: the era, the number of words.
pub(super) const ERA: usize = 1;
pub(super) const LENGTH: usize = 4;
/// The device and inode of the memory's own file, in which a copy of the file differs.
pub(super) const OWN_DEVICE: usize = 5;
pub(super) const OWN_INODE: usize = 6;
/// The signal for those who sleep until the right to write may be free.
const WRITE_SIGNAL: usize = 16;
/// Which process took the right to write last, and when, for messages.
const WRITER: usize = 20;
/// The same for the right to sync. Those who write do not touch this cache line.
const SYNC_SIGNAL: usize = 24;
const SYNC_SLEEPERS: usize = 25;
const SYNCER: usize = 26;

/// What this opener is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Member(ProcessIndex),
    Alone,
    Observer,
}

/// A process that has the file open.
#[derive(Debug)]
pub struct Member {
    pub(super) file: Arc<File>,
    pub(super) memory: Arc<Atomics<AtomicU64>>,
    pub(super) role: Role,
    pub(super) first: bool,
    /// The memory that was prepared and gets its name when others are admitted.
    pub(super) prepared: Mutex<Option<Prepared>>,
    /// The name of the memory. Its `identity` says which file that is.
    pub(super) name: PathBuf,
    pub(super) identity: Option<Identity>,
    /// The data file.
    pub(super) of: Identity,
    pub(super) forks: u32,
    /// The number of this process, which is a system call to ask for.
    pub(super) pid: u32,
}

/// Memory that nobody else can see yet.
#[derive(Debug)]
pub(super) enum Prepared {
    /// A file without a name, which is gone if this process is killed before the file has one.
    Unnamed(File),
    /// A file under a temporary name, where the file system cannot make files without one.
    Named(PathBuf),
}

pub(super) fn identity(facts: &std::fs::Metadata) -> Identity {
    Identity {
        device: facts.dev(),
        inode: facts.ino(),
    }
}

impl Member {
    /// Returns whether this process is the one that joined, and not a child of it, which must leave alone what it
    /// inherited.
    fn is_here(&self) -> bool {
        fork::count() == self.forks
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

    /// Locks the byte exclusively if it is free, and notes which process did that.
    fn take(&self, byte: Byte, note: usize) -> Result<bool> {
        let free = match self.role {
            Role::Member(_) => lock::try_lock(self.fd(), byte, Mode::Exclusive)?,
            Role::Alone | Role::Observer => true,
        };
        if free {
            self.word(note).store(Writer::note(self.pid), Relaxed);
        }
        Ok(free)
    }

    /// Returns whether another process has the lock. If the system does not tell, the answer is yes.
    fn is_taken(&self, byte: Byte) -> bool {
        lock::is_locked(self.fd(), byte).unwrap_or(true)
    }

    /// Describes the process that a word names. The number may be that of another container, and the process may be
    /// gone, so no more is said of it.
    fn noted(&self, word: usize) -> String {
        match Writer::pid_of(self.word(word).load(Relaxed)) {
            0 => "another process".to_string(),
            pid => format!("another process (the last one known is {pid})"),
        }
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
        let mut prepared = self.prepared.lock();
        let Some(unnamed) = &*prepared else {
            return Ok(());
        };
        let named = match unnamed {
            Prepared::Named(temporary) => calls::again(|| std::fs::rename(temporary, &self.name)),
            // Nobody looks for the name while `ALIVE` is locked exclusively.
            Prepared::Unnamed(shm) => names::link_over(shm, &self.name),
        };
        match named.map_err(|e| names::at_path("name", &self.name, e)) {
            Ok(()) => {}
            // Something that is not ours has the name. So this process keeps the database for itself.
            Err(error) if names::cannot_be_there(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        *prepared = None;
        lock::try_lock(self.fd(), Byte::Alive, Mode::Shared).map(|_| ())
    }

    fn index(&self) -> ProcessIndex {
        match self.role {
            Role::Member(index) => index,
            Role::Alone | Role::Observer => ProcessIndex::new(0),
        }
    }

    fn try_lock_write(&self) -> Result<bool> {
        self.take(Byte::Write, WRITER)
    }

    fn wait_write(&self, most: Duration, look: &mut dyn FnMut() -> bool) {
        let is_taken = &mut || look() && self.is_taken(Byte::Write);
        self.writers().sleep(WakeBits::ANY, most, is_taken);
    }

    fn unlock_write(&self) -> bool {
        let is_member = matches!(self.role, Role::Member(_)) && self.is_here();
        if is_member {
            lock::unlock(self.fd(), Byte::Write);
        }
        is_member && self.writers().wake_one()
    }

    fn stop_waiting_to_write(&self) {
        self.writers().pass_on();
    }

    fn wake(&self) {
        self.writers().wake_all();
    }

    fn last_writer(&self) -> Option<Writer> {
        Writer::of_note(self.word(WRITER).load(Relaxed))
    }

    fn others_write(&self) -> bool {
        matches!(self.role, Role::Member(_)) && lock::is_locked(self.fd(), Byte::Write).unwrap_or(false)
    }

    fn writer(&self, look: bool) -> String {
        let found = if look {
            lock::holder(self.fd(), self.of, Byte::Write)
        } else {
            None
        };
        found.map_or_else(|| self.noted(WRITER), |process| process.to_string())
    }

    fn try_lock_sync(&self) -> Result<bool> {
        self.take(Byte::Sync, SYNCER)
    }

    fn wait_sync(&self, id: CommitId, most: Duration, look: &mut dyn FnMut() -> bool) {
        let is_taken = &mut || look() && self.is_taken(Byte::Sync);
        self.syncers().sleep(WakeBits::of(id), most, is_taken);
    }

    fn stop_waiting_to_sync(&self) {
        self.syncers().pass_on();
    }

    fn unlock_sync(&self, durable: &Range<CommitId>) {
        if let (Role::Member(_), true) = (self.role, self.is_here()) {
            lock::unlock(self.fd(), Byte::Sync);
            self.syncers().wake_next_and(durable);
        }
    }

    fn syncer(&self, begun: bool) -> Syncer {
        let noted = Writer::pid_of(self.word(SYNCER).load(SeqCst));
        match lock::holder(self.fd(), self.of, Byte::Sync) {
            Some(process) => Syncer {
                // The process has noted the number that it has where it lives.
                does: match process.stopped || u64::from(process.inner) != noted {
                    true => Activity::Nothing,
                    false => Activity::Syncs,
                },
                name: process.to_string(),
            },
            None => Syncer {
                name: self.noted(SYNCER),
                does: if begun { Activity::Syncs } else { Activity::Unknown },
            },
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
                self.is_here() && lock::try_lock(self.fd(), Byte::Alive, Mode::Exclusive).unwrap_or(false)
            }
            Role::Alone | Role::Observer => true,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if !self.is_here() {
            return;
        }
        if let Some(unnamed) = self.prepared.get_mut().take() {
            if let Prepared::Named(temporary) = unnamed {
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
