//! Descriptors and names of files: creation without a name, naming without replacing, and errors that name the file.

#![allow(unsafe_code)]

use super::{calls, lock, Identity};
use crate::error::{Detail, Error, Result};
use crate::util::bytes::to_usize;
use crate::util::shown::ShownPath;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

fn text(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Gives a file its final name unless that name exists. There are three ways to do this, of which some file systems
/// lack one or two.
pub(super) fn name_it(from: &Path, to: &Path) -> Result<()> {
    let done = rename_to_new(from, to).or_else(|error| match is_missing(&error) {
        true => link_to_new(from, to),
        false => Err(error),
    });
    let done = done.or_else(|error| match is_missing(&error) {
        true => claim_and_rename(from, to),
        false => Err(error),
    });
    done.map_err(|e| at_path("create", to, e))
}

/// Returns whether the file system lacks a call, or a rule of the process forbids it.
fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(says_missing)
}

fn says_missing(errno: i32) -> bool {
    matches!(
        errno,
        libc::ENOSYS | libc::EINVAL | libc::EPERM | libc::EOPNOTSUPP | libc::EMLINK | libc::ENOTTY
    )
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let (old, new) = (text(from)?, text(to)?);
        let (here, flags) = (libc::AT_FDCWD, libc::RENAME_NOREPLACE);
        let rename = || {
            // SAFETY: Both strings end in a zero and outlive the call.
            match unsafe { libc::syscall(libc::SYS_renameat2, here, old.as_ptr(), here, new.as_ptr(), flags) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        };
        calls::again(rename)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}

/// A hard link refuses an existing name everywhere.
fn link_to_new(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::hard_link(from, to)?;
    std::fs::remove_file(from)
}

/// Creates an empty file under the name, which refuses an existing one, and replaces it. Who opens the empty file
/// meanwhile would make a database of it; the lock keeps him waiting, and then he finds another file under the name.
fn claim_and_rename(from: &Path, to: &Path) -> io::Result<()> {
    let claim = OpenOptions::new().read(true).write(true).create_new(true).open(to)?;
    let locked = lock::try_lock(claim.as_fd(), lock::Byte::Alive, lock::Mode::Exclusive);
    if matches!(locked, Ok(false)) {
        // Somebody was faster and makes a database of the empty file.
        return Err(io::Error::from_raw_os_error(libc::EEXIST));
    }
    std::fs::rename(from, to).inspect_err(|_| {
        let _ = std::fs::remove_file(to);
    })
}

/// Allocates `bytes` bytes of a new file on disk, so that storing into its mapping cannot fail.
pub(super) fn allocate(file: &File, bytes: u64) -> Result<()> {
    let allocated = calls::may_extend_to(bytes).and_then(|()| match calls::allocate(file, bytes) {
        Err(error) if is_missing(&error) => write_zeros(file, bytes),
        done => done,
    });
    allocated.map_err(|e| Error::io("allocate", e))
}

fn write_zeros(file: &File, bytes: u64) -> io::Result<()> {
    let mut at = 0;
    while at < bytes {
        let part = to_usize(bytes - at).min(super::ZEROS.len());
        file.write_all_at(&super::ZEROS[..part], at)?;
        at += part as u64;
    }
    Ok(())
}

/// Returns how long the names of files may be where `file` is.
pub(super) fn longest_name(file: BorrowedFd<'_>) -> usize {
    // SAFETY: The descriptor is open.
    let most = unsafe { libc::fpathconf(file.as_raw_fd(), libc::_PC_NAME_MAX) };
    usize::try_from(most).unwrap_or(255)
}

/// Returns a new file in `directory` that has no name, or `None` if such a file cannot be made or could not be named
/// later.
pub(super) fn unnamed(directory: &Path) -> Option<File> {
    let made = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_TMPFILE)
        .open(directory);
    let file = above_standard(made.ok()?).ok()?;
    let can_be_named = std::fs::symlink_metadata(by_descriptor(&file)).is_ok() && links_are_allowed();
    can_be_named.then_some(file)
}

/// Returns whether the process may make hard links at all. A filter of system calls refuses them before it looks at
/// the names, of which these are none.
fn links_are_allowed() -> bool {
    let none = c"";
    // SAFETY: Both strings end in a zero and outlive the call.
    unsafe { libc::linkat(libc::AT_FDCWD, none.as_ptr(), libc::AT_FDCWD, none.as_ptr(), 0) };
    io::Error::last_os_error().raw_os_error() == Some(libc::ENOENT)
}

/// Returns the real path of a file that was opened as `path`, whatever symbolic link led there: all processes must find
/// the same names beside it. The system is asked for the path of the descriptor, because a relative path may lead
/// elsewhere by now, if another thread has changed the working directory.
pub(super) fn real_path(file: &File, identity: Identity, path: &Path) -> PathBuf {
    let is_it = |facts: &std::fs::Metadata| (facts.dev(), facts.ino()) == (identity.device, identity.inode);
    let leads_there = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|facts| is_it(&facts));
    let opened = std::fs::read_link(by_descriptor(file)).ok().filter(leads_there);
    opened.unwrap_or_else(|| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
}

pub(super) fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Gives a file that [`unnamed`] made the name `name`, and removes the file that has this name.
pub(super) fn link_over(file: &File, name: &Path) -> io::Result<()> {
    match calls::again(|| std::fs::remove_file(name)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let (from, to) = (text(by_descriptor(file).as_ref())?, text(name)?);
    let follow = libc::AT_SYMLINK_FOLLOW;
    let link = || {
        // SAFETY: Both strings end in a zero and outlive the call.
        match unsafe { libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), follow) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    calls::again(link)
}

/// Moves a file whose descriptor is 0, 1 or 2 to a higher descriptor.
pub(super) fn above_standard(file: File) -> Result<File> {
    if file.as_raw_fd() > 2 {
        return Ok(file);
    }
    // SAFETY: The descriptor is open; the call duplicates it to the lowest free one from 3 on.
    let fd = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) };
    if fd < 0 {
        return Err(Error::io("duplicate the descriptor", io::Error::last_os_error()));
    }
    // SAFETY: The descriptor is new, and nobody else owns it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Returns whether an error says that a file cannot be where it was to be made or named, and could not be a moment
/// later either: there is no permission, no space, no such directory, something foreign has the name, or the file
/// system lacks a call. Errors of the moment are none of these: no descriptors, no memory, a disk that fails.
pub(super) fn cannot_be_there(error: &Error) -> bool {
    match error {
        Error::Access(_) | Error::NoFile(_) | Error::FileExists(_) | Error::NotADatabase(_) | Error::NoSpace(_) => true,
        Error::Io(_) => {
            let foreign = [
                libc::EACCES,
                libc::EBUSY,
                libc::ENOTEMPTY,
                libc::EXDEV,
                libc::ENAMETOOLONG,
                libc::ENODEV,
            ];
            let errno = error.raw_os_error();
            errno.is_some_and(|errno| says_missing(errno) || foreign.contains(&errno))
        }
        _ => false,
    }
}

/// Says that the directory of a file is not there, if that is so. A long name is left out: the message has it already.
fn missing_directory(path: &Path) -> String {
    let full = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let missing = full.parent().filter(|directory| !directory.exists());
    match missing.map(|directory| directory.as_os_str().as_bytes()) {
        None => String::new(),
        Some(name) if name.len() > 200 => "its directory is not there".into(),
        Some(name) => format!("its directory {} is not there", ShownPath(name)),
    }
}

/// Makes an error of `error` that names the file.
pub(super) fn at_path(op: &'static str, path: &Path, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT) => Error::NoFile(Detail::of_file(missing_directory(path), path, Some(error))),
        Some(libc::ELOOP) => Error::NoFile(Detail::of_file(
            "the link leads in a circle, or through too many others",
            path,
            Some(error),
        )),
        Some(libc::ENOTDIR) => Error::NoFile(Detail::of_file("", path, Some(error))),
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => Error::Access(Detail::of_file("", path, Some(error))),
        Some(libc::EEXIST) => Error::FileExists(Detail::of_file("", path, Some(error))),
        Some(libc::EISDIR) => Error::NotADatabase(Detail::of_file("", path, Some(error))),
        _ => Error::io(op, error).of_file(path),
    }
}
