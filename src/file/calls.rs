//! System calls whose offsets have 64 bits on every machine, and the limits of this process.
//!
//! The ordinary calls of C take offsets of 32 bits on many 32-bit machines. A lock at 2^61 would then lie at 0, where
//! a process with 64 bits would never look for it, and a write behind 2 GiB would overwrite the head of the file.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

#[cfg(any(target_os = "linux", target_os = "android"))]
type Flock = libc::flock64;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
type Flock = libc::flock;

/// What there is to know about a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// `F_RDLCK`, `F_WRLCK` or `F_UNLCK`.
    pub kind: libc::c_int,
    /// The process that has it, or -1 if it belongs to an open file description.
    pub pid: i32,
}

/// Calls `fcntl` for a lock on the byte at `offset`. Returns what the system has made of the structure.
pub(super) fn lock(file: BorrowedFd<'_>, command: libc::c_int, kind: libc::c_int, offset: i64) -> io::Result<Found> {
    // SAFETY: `flock` may be all zeros; every field that matters is set below.
    let mut lock: Flock = unsafe { std::mem::zeroed() };
    let short = |n: libc::c_int| libc::c_short::try_from(n).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    lock.l_type = short(kind)?;
    lock.l_whence = short(libc::SEEK_SET)?;
    lock.l_start = offset;
    lock.l_len = 1;
    again(|| {
        // SAFETY: The descriptor is open, and `lock` is a complete structure of the kind that the call takes.
        match unsafe { control(file, command, &mut lock) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    })?;
    Ok(Found {
        kind: lock.l_type.into(),
        pid: lock.l_pid,
    })
}

/// Makes a call until no signal interrupts it. File systems in user space, and those of a network, can be interrupted
/// in any call.
pub(super) fn again<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Calls `fcntl` with a lock whose offset has 64 bits. In these environments the ordinary call takes another
/// structure.
///
/// # Safety
/// `lock` must be complete.
#[cfg(all(
    target_os = "linux",
    target_env = "gnu",
    any(
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "powerpc",
        target_arch = "sparc",
        target_arch = "mips"
    )
))]
unsafe fn control(file: BorrowedFd<'_>, command: libc::c_int, lock: &mut Flock) -> libc::c_long {
    let lock: *mut Flock = lock;
    // SAFETY: The descriptor is open, and the caller ensures the rest.
    unsafe { libc::syscall(libc::SYS_fcntl64, file.as_raw_fd(), command, lock) }
}

/// Calls `fcntl` with a lock, whose offset has 64 bits here.
///
/// # Safety
/// `lock` must be complete.
#[cfg(not(all(
    target_os = "linux",
    target_env = "gnu",
    any(
        target_arch = "x86",
        target_arch = "arm",
        target_arch = "powerpc",
        target_arch = "sparc",
        target_arch = "mips"
    )
)))]
unsafe fn control(file: BorrowedFd<'_>, command: libc::c_int, lock: &mut Flock) -> libc::c_int {
    let lock: *mut Flock = lock;
    // SAFETY: The descriptor is open, and the caller ensures the rest.
    unsafe { libc::fcntl(file.as_raw_fd(), command, lock) }
}

fn offset(at: u64) -> io::Result<i64> {
    i64::try_from(at).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

/// Writes slices, one behind the other, from offset `at`. Returns how many bytes were written.
pub(super) fn write_slices(file: &File, at: u64, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
    let (at, count) = (
        offset(at)?,
        libc::c_int::try_from(slices.len()).unwrap_or(libc::c_int::MAX),
    );
    // SAFETY: `IoSlice` has the layout of `iovec`, and the slices outlive the call.
    let written = unsafe {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let written = libc::pwritev64(file.as_raw_fd(), slices.as_ptr().cast(), count, at);
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let written = libc::pwritev(file.as_raw_fd(), slices.as_ptr().cast(), count, at);
        written
    };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

/// Tells the system what will be done with a range of the file. No failure of this matters.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn advise(file: &File, at: u64, len: u64, advice: libc::c_int) {
    if let (Ok(at), Ok(len)) = (offset(at), offset(len)) {
        // SAFETY: This is advice about an open descriptor.
        unsafe { libc::posix_fadvise64(file.as_raw_fd(), at, len, advice) };
    }
}

/// Allocates the first `bytes` bytes of the file on disk.
pub(super) fn allocate(file: &File, bytes: u64) -> io::Result<()> {
    let bytes = offset(bytes)?;
    again(|| {
        // SAFETY: The descriptor is open.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let error = unsafe { libc::posix_fallocate64(file.as_raw_fd(), 0, bytes) };
        // SAFETY: The descriptor is open.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let error = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes) };
        match error {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    })
}

/// Gives the room of a part of the file back to the file system. The part then reads as zeros.
///
/// # Errors
/// `Unsupported`: this system or this file system cannot do that.
pub(super) fn punch(file: &File, at: u64, len: u64) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let (at, len) = (offset(at)?, offset(len)?);
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        again(|| {
            // SAFETY: The descriptor is open.
            match unsafe { libc::fallocate64(file.as_raw_fd(), mode, at, len) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        })
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (file, at, len);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Returns the number of the kind of file system that a file is on, if the system tells.
pub(super) fn file_system(file: &File) -> Option<u64> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut facts = std::mem::MaybeUninit::<libc::statfs64>::uninit();
        // SAFETY: The descriptor is open, and the call fills the structure if it succeeds.
        match unsafe { libc::fstatfs64(file.as_raw_fd(), facts.as_mut_ptr()) } {
            // The number has 32 bits, whatever type has room for it.
            // SAFETY: The call has succeeded.
            0 => Some(unsafe { facts.assume_init() }.f_type as u64 & u64::from(u32::MAX)),
            _ => None,
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = file;
        None
    }
}

/// A limit that the system sets to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The length of files.
    FileSize,
    /// All addresses.
    Addresses,
    /// Private memory that can be written.
    Data,
    /// Memory that is locked.
    Locked,
}

/// Returns the limit in bytes, or `None` if there is none.
pub(super) fn limit(limit: Limit) -> Option<u64> {
    let kind = match limit {
        Limit::FileSize => libc::RLIMIT_FSIZE,
        Limit::Addresses => libc::RLIMIT_AS,
        Limit::Data => libc::RLIMIT_DATA,
        Limit::Locked => libc::RLIMIT_MEMLOCK,
    };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let (current, none) = {
        let mut found = libc::rlimit64 {
            rlim_cur: libc::RLIM64_INFINITY,
            rlim_max: libc::RLIM64_INFINITY,
        };
        // SAFETY: `found` is a complete structure that the call fills. If it fails, there is no limit.
        unsafe { libc::getrlimit64(kind, &mut found) };
        (found.rlim_cur, libc::RLIM64_INFINITY)
    };
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let (current, none) = {
        let mut found = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: `found` is a complete structure that the call fills. If it fails, there is no limit.
        unsafe { libc::getrlimit(kind, &mut found) };
        (found.rlim_cur, libc::RLIM_INFINITY)
    };
    (current != none).then_some(current)
}

/// Returns how long files of this process may be.
pub(super) fn longest_file() -> u64 {
    limit(Limit::FileSize).unwrap_or(u64::MAX)
}

/// Fails if a file of this process must not reach to `end`. To write beyond the limit brings a signal that ends most
/// processes, so nothing is written there at all.
pub(super) fn may_extend_to(end: u64) -> io::Result<()> {
    is_within(longest_file(), end)
}

/// Fails as the system does if a file that may have `longest` bytes is to reach to `end`.
pub(super) fn is_within(longest: u64, end: u64) -> io::Result<()> {
    match end > longest {
        true => Err(io::Error::from_raw_os_error(libc::EFBIG)),
        false => Ok(()),
    }
}

/// Asks a file system that copies what is written to write this empty file in place, so that a store into its mapping
/// needs no space on the disk. Other file systems do that anyway and refuse.
pub(super) fn write_in_place(file: &File) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        const NO_COPY: libc::c_int = 0x0080_0000;
        let mut flags: libc::c_int = 0;
        // SAFETY: The descriptor is open. Whatever type their numbers name, both calls take an `int`.
        unsafe {
            if libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &mut flags) == 0 {
                flags |= NO_COPY;
                libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &flags);
            }
        }
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = file;
}
