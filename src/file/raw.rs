//! A file that is only read, and that may be damaged or lie on a dying disk.

use super::fork::{self, Watch};
use super::names::{above_standard, at_path};
use super::{lock, special, Identity};
use crate::error::{Error, Result};
use crate::util::bytes::to_usize;
use std::fs::{File, OpenOptions, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A file opened for reading through calls. An unreadable sector is an error here, whereas in a map it would be
/// SIGBUS.
#[derive(Debug)]
pub struct Raw {
    /// This is dropped before the file, or a child could lose another descriptor that has got the file's number.
    _watch: Watch,
    file: File,
    len: u64,
    identity: Identity,
    permissions: Permissions,
}

impl Raw {
    /// Opens a regular file. A shared lock keeps writers away if nobody has the file open. If somebody has it open,
    /// the file is read nevertheless.
    ///
    /// # Errors
    /// `NoFile`, `Access`, `NotADatabase` (not a regular file), `Io`, `NoMemory`.
    pub fn open(path: &Path) -> Result<Raw> {
        fork::enter()?;
        special::refuse_by_name(path)?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
        // A child would keep the lock.
        let (file, watch) = fork::watched(|| {
            let opened = options.open(path).map_err(|e| at_path("open", path, e));
            above_standard(opened?)
        })?;
        let facts = special::regular(&file, path)?;
        let _ = lock::try_lock(file.as_fd(), lock::Byte::Observe, lock::Mode::Shared);
        Ok(Raw {
            _watch: watch,
            len: facts.len(),
            identity: Identity {
                device: facts.dev(),
                inode: facts.ino(),
            },
            permissions: facts.permissions(),
            file,
        })
    }

    /// Returns how many bytes the file had when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the file had no bytes when it was opened.
    #[cfg(feature = "internals")]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the permissions of the file.
    pub fn permissions(&self) -> Permissions {
        self.permissions.clone()
    }

    /// Returns which file it is.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Reads `len` bytes from offset `at` on.
    ///
    /// # Errors
    /// `Io`: a read failed, or the file ends before; `NoMemory`.
    pub fn read(&self, at: u64, len: u64) -> Result<Box<[u8]>> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(Error::io("read", std::io::ErrorKind::UnexpectedEof.into()));
        }
        let mut bytes = Vec::new();
        Error::or_room(&mut bytes, to_usize(len), "a part of a damaged file")?;
        bytes.resize(to_usize(len), 0);
        let read = self.file.read_exact_at(&mut bytes, at);
        read.map_err(|e| Error::io("read", e))?;
        Ok(bytes.into_boxed_slice())
    }
}
