//! Locks on the bytes of a data file by which processes exclude each other, taken as somebody else would take them.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Where the bytes begin that are locked: that of all who have the database open.
pub const ALIVE: i64 = 1 << 61;
/// The right to sync.
pub const SYNC: i64 = ALIVE + 3;

/// Whether others may have the same lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Shared,
    Exclusive,
}

/// Opens the file and locks a byte of it. Who takes a shared lock may not write the file. The lock ends with what is
/// returned.
pub fn locked(path: &Path, byte: i64, mode: Mode) -> File {
    let writes = mode == Mode::Exclusive;
    let file = File::options().read(true).write(writes).open(path).expect("open");
    // SAFETY: zeros are a lock; the fields that matter are set below.
    let mut lock: libc::flock64 = unsafe { std::mem::zeroed() };
    lock.l_type = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    } as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = byte;
    lock.l_len = 1;
    let answer = control(&file, &lock);
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
    file
}

/// Asks for the lock. The library's `fcntl` takes offsets of 32 bits where addresses have as many.
#[cfg(target_pointer_width = "32")]
fn control(file: &File, lock: &libc::flock64) -> i64 {
    // SAFETY: a live descriptor and a complete lock.
    i64::from(unsafe { libc::syscall(libc::SYS_fcntl64, file.as_raw_fd(), libc::F_OFD_SETLK, lock) })
}

#[cfg(not(target_pointer_width = "32"))]
fn control(file: &File, lock: &libc::flock64) -> i64 {
    // SAFETY: a live descriptor and a complete lock.
    i64::from(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, lock) })
}
