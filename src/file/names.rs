//! Descriptors and names of files: creation without a name, naming without replacing, and errors that name the file.

#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Gives a file its final name unless that name exists.
pub(super) fn name_it(from: &Path, to: &Path) -> Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let text = |path: &Path| {
            std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::Invalid("the path contains a zero"))
        };
        let (old, new) = (text(from)?, text(to)?);
        // SAFETY: Both strings end in a zero and outlive the call.
        let answer = unsafe {
            libc::renameat2(
                libc::AT_FDCWD,
                old.as_ptr(),
                libc::AT_FDCWD,
                new.as_ptr(),
                libc::RENAME_NOREPLACE,
            )
        };
        if answer == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) {
            return Err(at_path("create", to, error));
        }
    }
    // Where the call is missing, a hard link is used, which refuses an existing name everywhere.
    std::fs::hard_link(from, to).map_err(|e| at_path("create", to, e))?;
    std::fs::remove_file(from).map_err(|e| at_path("create", from, e))
}

/// Allocates `bytes` bytes of the file on disk, so that storing into its mapping cannot fail.
pub(super) fn allocate(file: &File, bytes: u64) -> Result<()> {
    // SAFETY: The descriptor is open.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes as libc::off_t) } {
        0 => Ok(()),
        error => Err(Error::io("allocate", io::Error::from_raw_os_error(error))),
    }
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
    std::fs::symlink_metadata(by_descriptor(&file)).is_ok().then_some(file)
}

fn by_descriptor(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Gives a file that [`unnamed`] made the name `name`, and removes the file that has this name.
pub(super) fn link_over(file: &File, name: &Path) -> io::Result<()> {
    match std::fs::remove_file(name) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let text = |bytes: &[u8]| std::ffi::CString::new(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let (from, to) = (
        text(by_descriptor(file).as_bytes())?,
        text(name.as_os_str().as_bytes())?,
    );
    let follow = libc::AT_SYMLINK_FOLLOW;
    // SAFETY: Both strings end in a zero and outlive the call.
    match unsafe { libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), follow) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
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

/// Makes an error of `error` that names the file.
pub(super) fn at_path(op: &'static str, path: &Path, error: io::Error) -> Error {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Error::NoFile(path.display().to_string()),
        Some(libc::EACCES | libc::EPERM | libc::EROFS) => Error::Access(format!("{}: {error}", path.display())),
        Some(libc::EEXIST) => Error::Exists,
        Some(libc::EISDIR) => Error::NotADatabase(format!("{} is a directory", path.display())),
        _ => Error::io(op, error),
    }
}
