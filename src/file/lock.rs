//! Locks on single bytes of the data file, far behind any data, by which processes exclude each other.
//!
//! | byte          | how it is locked | by |
//! |---------------|------------------|----|
//! | `ALIVE`       | shared while open; exclusive while the first recovers, the last leaves or one is alone | members |
//! | `OBSERVE`     | shared while open | observers, who can only read the file |
//! | `WRITE`       | exclusive, from the start of a write transaction until its commit is published | the writer |
//! | `SYNC`        | exclusive during a sync | the process that syncs |
//! | `PROCESS` + i | exclusive while open | the member with index i; it is dead if somebody else can lock this |
//! | `ERA` + e     | shared while open | members whose shared memory is of era e |
//!
//! A lock belongs to the *open file description*. Unlike a classic POSIX lock, it does not vanish when the process
//! closes another descriptor of the same file, and it ends with the process in whatever way that ends. The locks are
//! on the data file itself, so no deleted or replaced file beside it can let two writers in.

use super::calls;
use super::holder::Holder;
use super::Identity;
use crate::error::{Detail, Error, Result};
use crate::ids::ProcessIndex;
use std::io;
use std::os::fd::BorrowedFd;

/// A byte that can be locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Byte {
    /// Somebody has the database open.
    Alive,
    /// Somebody reads the database without being a member.
    Observe,
    /// Somebody has the right to write.
    Write,
    /// Somebody is syncing.
    Sync,
    /// The member with this index is alive.
    Process(ProcessIndex),
    /// Members use the shared memory of this era.
    Era(u64),
}

/// The mode of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Others may have the same lock.
    Shared,
    /// Nobody else may have a lock.
    Exclusive,
}

impl Byte {
    fn offset(self) -> i64 {
        const BASE: i64 = 1 << 61;
        match self {
            Byte::Alive => BASE,
            Byte::Observe => BASE + 1,
            Byte::Write => BASE + 2,
            Byte::Sync => BASE + 3,
            Byte::Process(index) => BASE + 0x1_0000 + i64::from(index.get()),
            Byte::Era(era) => BASE + (1 << 48) + (era & 0xFFFF_FFFF_FFFF) as i64,
        }
    }
}

/// Locks the byte, or changes the mode of the lock that this description already has, at once and without releasing
/// it between. Returns `false` if somebody else's lock is in the way.
///
/// # Errors
/// `NoLocks`: the file system has no locks.
pub fn try_lock(file: BorrowedFd<'_>, byte: Byte, mode: Mode) -> Result<bool> {
    match calls::lock(file, libc::F_OFD_SETLK, kind(mode), byte.offset()) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(error) => Err(no_locks(error)),
    }
}

/// Releases the byte. This cannot fail for a byte that is locked.
pub fn unlock(file: BorrowedFd<'_>, byte: Byte) {
    // The kernel refuses only if it lacks memory to split a lock, and a lock of a single byte is never split.
    let _ = calls::lock(file, libc::F_OFD_SETLK, libc::F_UNLCK, byte.offset());
}

/// Returns whether another description has any lock on the byte.
///
/// # Errors
/// `NoLocks`: the file system has no locks.
pub fn is_locked(file: BorrowedFd<'_>, byte: Byte) -> Result<bool> {
    let found = calls::lock(file, libc::F_OFD_GETLK, libc::F_WRLCK, byte.offset()).map_err(no_locks)?;
    Ok(found.kind != libc::F_UNLCK)
}

/// Returns another process that has a lock on the byte of this file, if the system tells which. This is slow.
pub(super) fn holder(file: BorrowedFd<'_>, of: Identity, byte: Byte) -> Option<Holder> {
    match calls::lock(file, libc::F_OFD_GETLK, libc::F_WRLCK, byte.offset()) {
        Ok(found) if found.kind == libc::F_UNLCK => None,
        Ok(found) if found.pid > 0 => u32::try_from(found.pid).ok().map(Holder::told),
        _ => Holder::find(of, byte.offset()),
    }
}

fn kind(mode: Mode) -> libc::c_int {
    match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    }
}

fn no_locks(error: io::Error) -> Error {
    Error::NoLocks(Detail::system("", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn locks_belong_to_the_description() {
        let path = std::env::temp_dir().join(format!("kv-lock-{}", std::process::id()));
        let open = || {
            File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path)
                .expect("open")
        };
        let (one, two) = (open(), open());
        let lock = |file: &File, byte, mode| try_lock(file.as_fd(), byte, mode).expect("lock");
        assert!(lock(&one, Byte::Alive, Mode::Exclusive));
        assert!(!lock(&two, Byte::Alive, Mode::Shared));
        assert!(lock(&two, Byte::Write, Mode::Exclusive), "other bytes are free");
        // Closing a third description of the file releases no lock.
        drop(open());
        assert!(is_locked(two.as_fd(), Byte::Alive).expect("look"));
        assert!(
            !is_locked(one.as_fd(), Byte::Alive).expect("look"),
            "one's own does not count"
        );
        assert!(lock(&one, Byte::Alive, Mode::Shared), "exclusive to shared");
        assert!(lock(&two, Byte::Alive, Mode::Shared));
        assert!(!lock(&one, Byte::Alive, Mode::Exclusive));
        unlock(two.as_fd(), Byte::Alive);
        assert!(lock(&one, Byte::Alive, Mode::Exclusive));
        assert!(!lock(&two, Byte::Alive, Mode::Exclusive));
        drop(one);
        assert!(lock(&two, Byte::Alive, Mode::Exclusive), "the holder is gone");
        std::fs::remove_file(&path).expect("remove");
    }
}
