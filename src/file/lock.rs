//! The lock on the data file that tells processes apart.
//!
//! One byte far behind any data is locked for as long as the file is open: shared by readers, exclusive by whoever may
//! write. In this version one process at a time opens a database for writing. The lock belongs to the *open file
//! description*: unlike classic POSIX locks it does not vanish when the process closes another descriptor of the same
//! file, and it ends with the process however that ends. It lies on the data file itself, so no deleted or replaced
//! lock file can let two writers in.
//!
//! A child between fork and exec still has the parent's descriptions, and with them their locks. A process that starts
//! children while it closes and opens databases would find its own lock taken for a moment, so a refusal is believed
//! only after a few tries.

#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Offset of the byte that says "open".
const ALIVE: i64 = 1 << 62;
/// Longest pause between two tries; all of them take twice as long.
const PAUSE_MAX: Duration = Duration::from_millis(32);

/// Locks `file` for as long as its description is open; waits for a moment only.
///
/// # Errors
/// `Busy` when another process (or another open of this one) has it, `NoLocks` when the file system has no locks.
pub fn lock_alive(file: BorrowedFd<'_>, exclusive: bool) -> Result<()> {
    let mut pause = Duration::from_millis(1);
    loop {
        let error = match try_lock(file, exclusive) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        match error.raw_os_error() {
            Some(libc::EINTR) => {}
            Some(libc::EAGAIN | libc::EACCES) if pause <= PAUSE_MAX => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            Some(libc::EAGAIN | libc::EACCES) if exclusive => {
                return Err(Error::Busy(
                    "another process has this database open; close it there (one process at a time may write)",
                ))
            }
            Some(libc::EAGAIN | libc::EACCES) => {
                return Err(Error::Busy(
                    "another process has this database open for writing; close it there, then open it read-only",
                ))
            }
            _ => {
                return Err(Error::NoLocks(format!(
                    "{error}; put the database on a file system with locks"
                )))
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn try_lock(file: BorrowedFd<'_>, exclusive: bool) -> io::Result<()> {
    // SAFETY: all zeros is a valid `flock`; every field that matters is set below.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = if exclusive { libc::F_WRLCK } else { libc::F_RDLCK } as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = ALIVE as libc::off_t;
    lock.l_len = 1;
    // SAFETY: a live descriptor and a pointer to a complete structure.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn try_lock(file: BorrowedFd<'_>, exclusive: bool) -> io::Result<()> {
    let _ = ALIVE;
    let how = if exclusive { libc::LOCK_EX } else { libc::LOCK_SH } | libc::LOCK_NB;
    // SAFETY: a live descriptor; this lock belongs to the open file description too.
    match unsafe { libc::flock(file.as_raw_fd(), how) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
