//! Those who have the same database open: the memory they share, and how they exclude each other.
//!
//! The pager knows its peers through [`Peers`] only. [`Alone`] stands for having none: a database in memory, or a
//! file that nobody else may open. [`super::members::Member`] is a process among others.

use super::clock;
use super::map::Atomics;
use crate::error::Result;
use crate::ids::{CommitId, ProcessIndex};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// The first word of the memory: a name and the version of the layout. Version 3 has in the words of those who write
/// and sync since when they do so; version 4 has four roots in a descriptor; version 5 says when the file became
/// shorter; version 6 says since when pages are taken before a frontier.
pub(super) const MAGIC: u64 = u64::from_le_bytes(*b"kv-shm\x06\0");
/// The part of that word that is the name.
const NAME: u64 = 0x0000_FFFF_FFFF_FFFF;

/// What the memory is to those who take it for a database.
pub const MEMORY: &str =
    "it is the shared memory that lies beside a database while that is open; open the database, whose \
                          name is the same without \"-shm\" at its end";

/// Returns whether the file that begins with these bytes is shared memory, of whatever version.
pub fn is_memory(begin: &[u8]) -> bool {
    let word = begin.first_chunk().map(|word| u64::from_ne_bytes(*word));
    word.is_some_and(|word| word & NAME == MAGIC & NAME)
}

/// The index of the word that has the device of the data file.
pub const DEVICE: usize = 2;
/// The index of the word that has the inode of the data file.
pub const INODE: usize = 3;
/// The index of the word that counts those who sleep until the right to write may be free, with those who were killed.
pub(super) const WRITE_SLEEPERS: usize = 17;
/// The number of words at the head of the shared memory that are not the pager's.
pub const HEADER: usize = 64;
/// The number of members there can be. Each has an index below this.
pub const PROCESSES: usize = 1024;

/// What a process does that has the right to sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// It syncs, or is just about to.
    Syncs,
    /// No sync was begun, and the process cannot be seen.
    Unknown,
    /// It does not sync: it is stopped, or has taken the right without being one of the members.
    Nothing,
}

/// A process that has the right to sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syncer {
    /// Its number and name, where the system tells them.
    pub name: String,
    /// What it does.
    pub does: Activity,
}

/// A process that has the right to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// The system's number of the process, as it sees itself: one in another container may have the same.
    pub pid: u32,
    /// For how many milliseconds it has had the right.
    pub age_ms: u64,
}

impl Writer {
    /// How many bits of a note are the number of the process; the others are the time. Linux has no greater numbers.
    const PID_BITS: u32 = 24;

    /// Returns a note that the process `pid` has taken the right now.
    pub(super) fn note(pid: u32) -> u64 {
        clock::coarse_ms() << Writer::PID_BITS | Writer::pid_of(u64::from(pid))
    }

    /// Returns the number of the process in a note; 0 if nobody has noted anything.
    pub(super) fn pid_of(note: u64) -> u64 {
        note & ((1 << Writer::PID_BITS) - 1)
    }

    /// Reads a note.
    pub(super) fn of_note(note: u64) -> Option<Writer> {
        let pid = u32::try_from(Writer::pid_of(note)).ok()?;
        (pid != 0).then(|| Writer {
            pid,
            age_ms: clock::coarse_ms().saturating_sub(note >> Writer::PID_BITS),
        })
    }
}

/// Those who share a database, as one of them sees it. The locks exclude processes from each other; the threads of a
/// process exclude each other before they use them.
pub trait Peers: Send + Sync {
    /// Returns the shared words, which are all zero behind [`HEADER`] if [`Peers::first`]. The memory stays the same
    /// as long as this lives.
    fn memory(&self) -> Arc<Atomics<AtomicU64>>;

    /// Returns whether this one opened the database first. If so, it recovers, fills the memory and admits the
    /// others.
    fn first(&self) -> bool;

    /// Lets others in. The memory must be filled by then.
    ///
    /// # Errors
    /// `NoLocks`, `Io`, `NoSpace`, `Access`.
    fn admit(&self) -> Result<()>;

    /// Returns the index of this member.
    fn index(&self) -> ProcessIndex;

    /// Takes the right to write, or returns `false` if another process has it.
    ///
    /// # Errors
    /// `NoLocks`.
    fn try_lock_write(&self) -> Result<bool>;

    /// Waits until the right to write may be free, for about `most`. `look` is called once after this waiter is
    /// registered; if it returns `false`, this returns at once.
    fn wait_write(&self, most: Duration, look: &mut dyn FnMut() -> bool);

    /// Releases the right to write, for whoever asks next. One of those who wait for it is woken. Returns whether
    /// anybody of another process waited.
    fn unlock_write(&self) -> bool;

    /// Tells that a waiter for the right to write has given up. Another one is woken in its place, because it was
    /// perhaps woken itself.
    fn stop_waiting_to_write(&self);

    /// Makes the waiters of all processes look again.
    fn wake(&self);

    /// Returns the process that took the right to write last, as it noted itself.
    fn last_writer(&self) -> Option<Writer> {
        None
    }

    /// Returns whether anybody in another process may wait for the right to write. One that was killed while it waited
    /// counts as well.
    fn others_may_wait_to_write(&self) -> bool {
        self.memory().all()[WRITE_SLEEPERS].load(SeqCst) > 0
    }

    /// Returns whether another process has the right to write.
    fn others_write(&self) -> bool {
        false
    }

    /// Describes the process that has the right to write, for a message. To `look` for it is slow; otherwise this is
    /// what members have noted.
    fn writer(&self, look: bool) -> String {
        let _ = look;
        "another process".to_string()
    }

    /// Takes the right to sync, or returns `false` if another process has it.
    ///
    /// # Errors
    /// `NoLocks`.
    fn try_lock_sync(&self) -> Result<bool>;

    /// Waits until the right to sync may be free or a sync may have made commit `id` durable, for about `most`. `look`
    /// is called once after this waiter is registered; if it returns `false`, this returns at once.
    fn wait_sync(&self, id: CommitId, most: Duration, look: &mut dyn FnMut() -> bool);

    /// Tells that a waiter for the right to sync has given up. Another one is woken in its place.
    fn stop_waiting_to_sync(&self) {}

    /// Releases the right to sync. All who wait for the commits `durable`, and one of the others, are woken.
    fn unlock_sync(&self, durable: &Range<CommitId>);

    /// Describes the process that has the right to sync, and what it does with it. `begun` says whether some process
    /// has begun a sync and not ended it. This is slow.
    fn syncer(&self, begun: bool) -> Syncer {
        let _ = begun;
        Syncer {
            name: "another process".to_string(),
            does: Activity::Syncs,
        }
    }

    /// Runs `clear` if the member `index` is dead. Nobody can take this index meanwhile.
    ///
    /// # Errors
    /// `NoLocks`.
    fn reap(&self, index: ProcessIndex, clear: &mut dyn FnMut()) -> Result<()>;

    /// Returns whether nobody else has the database open. If so, nobody can open it until this one is gone.
    fn is_last(&self) -> bool;
}

/// A member without peers.
#[derive(Debug)]
pub struct Alone(Arc<Atomics<AtomicU64>>);

impl Alone {
    /// Returns a member with `words` words of memory.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn new(words: usize) -> Result<Alone> {
        Ok(Alone(Arc::new(Atomics::new(words as u64)?)))
    }
}

impl Peers for Alone {
    fn memory(&self) -> Arc<Atomics<AtomicU64>> {
        self.0.clone()
    }

    fn first(&self) -> bool {
        true
    }

    fn admit(&self) -> Result<()> {
        Ok(())
    }

    fn index(&self) -> ProcessIndex {
        ProcessIndex::new(0)
    }

    fn try_lock_write(&self) -> Result<bool> {
        Ok(true)
    }

    fn wait_write(&self, _: Duration, _: &mut dyn FnMut() -> bool) {}

    fn unlock_write(&self) -> bool {
        false
    }

    fn stop_waiting_to_write(&self) {}

    fn wake(&self) {}

    fn try_lock_sync(&self) -> Result<bool> {
        Ok(true)
    }

    fn wait_sync(&self, _: CommitId, _: Duration, _: &mut dyn FnMut() -> bool) {}

    fn unlock_sync(&self, _: &Range<CommitId>) {}

    fn reap(&self, _: ProcessIndex, _: &mut dyn FnMut()) -> Result<()> {
        Ok(())
    }

    fn is_last(&self) -> bool {
        true
    }
}
