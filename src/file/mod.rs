//! The seam through which the engine touches a file: bytes at offsets.
//!
//! | file     | subject                                                                             |
//! |----------|-------------------------------------------------------------------------------------|
//! | `posix`  | a regular file: reads past the cache, writes, sync                                    |
//! | `names`  | descriptors and names of files                                                        |
//! | `calls`  | system calls whose offsets have 64 bits everywhere, limits of this process            |
//! | `map`    | reserved address ranges: the mapped file, anonymous memory                            |
//! | `wish`   | how large such a range is, and which limit is in the way                              |
//! | `memory` | a database without a file                                                             |
//! | `fresh`  | a file that gets its name when it is whole                                            |
//! | `special` | what has the name of a file and cannot hold a database                                 |
//! | `raw`    | a file that is only looked at, damaged maybe                                           |
//! | `sim`    | a simulated disk that loses power, tears writes and fails on command (for tests)      |
//! | `peers`  | those who have the same database open: shared memory, the right to write and to sync    |
//! | `members` | a process among others: who is first, who joins, the file of shared memory            |
//! | `door`   | how an opener becomes a member                                                        |
//! | `beside` | the name of the file of shared memory, and what can be in its way                     |
//! | `lock`   | locks on bytes of the data file                                                       |
//! | `holder` | who holds a lock, for messages                                                        |
//! | `futex`  | waiting for a word in shared memory                                                   |
//! | `sleepers` | sleeping until a lock may be free: who is woken, and that no wake-up is lost         |
//! | `clock`  | a clock that processes share                                                           |
//! | `fork`   | what a child must not inherit                                                         |
//! | `uncancelled` | what keeps a thread from being cancelled inside a call                             |
//! | `machine` | how much memory there is                                                              |
//!
//! Writing goes through calls ([`Storage::writev_at`]) and reading through memory ([`Storage::memory`]): a page is
//! read where it lies. Only recovery reads through [`Storage::read_at`], because it must see the disk and not the
//! cache.

#![cfg_attr(not(test), deny(clippy::cast_possible_truncation))]

mod beside;
mod calls;
pub mod clock;
mod door;
pub mod fork;
pub mod fresh;
pub mod futex;
mod holder;
pub mod lock;
pub mod machine;
pub mod map;
pub mod members;
pub mod memory;
mod names;
pub mod peers;
pub mod posix;
pub mod raw;
#[allow(clippy::cast_possible_truncation)] // A simulated disk is small enough for any machine.
#[cfg(any(test, feature = "internals"))]
pub mod sim;
#[cfg(test)]
mod sim_test;
pub mod sleepers;
mod special;
pub mod uncancelled;
mod wish;

use crate::error::{Error, Result};
use crate::util::bytes::to_usize;
pub use map::Mapped;
use peers::{Alone, Peers};
use std::fs::Permissions;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The device and inode numbers, by which two paths to the same file are recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device number.
    pub device: u64,
    /// The inode number on that device.
    pub inode: u64,
}

/// One file. All calls may come from any thread. Concurrent writers must not overlap each other's ranges.
pub trait Storage: Send + Sync {
    /// Returns the length in bytes.
    ///
    /// # Errors
    /// `Io`.
    fn len(&self) -> Result<u64>;

    /// Returns whether the length is zero.
    ///
    /// # Errors
    /// `Io`.
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `into` from offset `at`, from the medium where possible and not from the cache. The result may contain
    /// writes that are not synced, but no writes that a failed sync has dropped. It is an error if the file has fewer
    /// bytes.
    ///
    /// # Errors
    /// `Io`.
    fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()>;

    /// Gives up what the cache holds of these ranges of bytes and begins to read all of them from the medium at once.
    /// Returns whether [`Storage::read_cached`] may then replace [`Storage::read_at`] for these ranges.
    fn read_anew(&self, ranges: &[Range<u64>]) -> bool {
        let _ = ranges;
        false
    }

    /// Fills `into` from offset `at` with what other processes see there; what they wrote may not be on the medium
    /// yet.
    ///
    /// # Errors
    /// `Io`.
    fn read_cached(&self, at: u64, into: &mut [u8]) -> Result<()> {
        self.read_at(at, into)
    }

    /// Writes all of `bytes` at offset `at`. The file grows as needed.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Limit`: any part of the bytes may have been written.
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.writev_at(at, &[bytes])
    }

    /// Writes all `parts`, one behind the other, from offset `at`.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Limit`: any part of the bytes may have been written.
    fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()>;

    /// Begins to write to the medium what was written so far and does not wait for it, so that a later sync has less
    /// to do.
    fn begin_sync(&self) {}

    /// Makes every write that ended before this call durable, and the length of the file as well.
    ///
    /// # Errors
    /// `Io`, `NoSpace`: it is unknown what is durable, and another call proves nothing.
    fn sync(&self) -> Result<()>;

    /// Sets the length in bytes.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Limit`.
    fn set_len(&self, len: u64) -> Result<()>;

    /// Returns whether the page of memory at offset `at` can be read without the medium, as far as that can be told.
    fn is_resident(&self, at: u64) -> bool {
        let _ = at;
        true
    }

    /// Tells the system that a range will soon be read through [`Storage::memory`].
    fn will_need(&self, at: u64, len: u64) {
        let _ = (at, len);
    }

    /// Writes zeros from `from` to `to`, where the file has no bytes or none that matter, and returns up to where it
    /// has written them: less than `to` if there is no more room. What is written there later changes no metadata of
    /// the file, so that a sync of it is cheap.
    ///
    /// # Errors
    /// `Io`, `NoMemory`: the file may have grown by any part of the range.
    fn fill(&self, from: u64, to: u64) -> Result<u64> {
        for at in (from..to).step_by(ZEROS.len()) {
            let bytes = ZEROS.len().min(to_usize(to - at));
            match self.write_at(at, &ZEROS[..bytes]) {
                Err(Error::NoSpace(_)) => return Ok(at),
                written => written?,
            }
        }
        Ok(to)
    }

    /// Gives the room of a range of bytes back to the file system, whose content does not matter: it is zeros
    /// afterwards, or as before if the file system cannot do that. The length stays. Returns how many bytes of room the
    /// file system got, as far as it tells, or `None` if it cannot do that.
    ///
    /// # Errors
    /// `Io`.
    fn punch(&self, at: u64, len: u64) -> Result<Option<u64>> {
        let _ = (at, len);
        Ok(None)
    }

    /// Looks once for limits that the process has, and goes by what it finds until [`Storage::forget_limits`]. Without
    /// this, each write looks for itself. Only the one who writes may call this.
    fn look_at_limits(&self) {}

    /// Lets each write look for limits again.
    fn forget_limits(&self) {}

    /// Returns the memory through which the file is read. It is valid as long as the storage lives. Bytes at and
    /// beyond the length must not be touched.
    fn memory(&self) -> Mapped;

    /// Returns device and inode, or `None` if the storage is not a file.
    fn identity(&self) -> Option<Identity>;

    /// Returns the permissions of the file, or `None` if the storage is not a file or does not tell.
    fn permissions(&self) -> Option<Permissions> {
        None
    }

    /// Returns whether writing is impossible.
    fn read_only(&self) -> bool;

    /// Joins those who have the same file open and share `words` words of memory with them. If one of them must go
    /// first, this waits for at most `patience`.
    ///
    /// # Errors
    /// `Busy`, `Access`, `NoLocks`, `NoMemory`, `Limit`, `Io` (see [`members`]).
    fn peers(&self, words: usize, patience: Duration) -> Result<Arc<dyn Peers>> {
        let _ = patience;
        Ok(Arc::new(Alone::new(words)?))
    }
}
