//! Where the bytes of a file come from.

use crate::error::{Error, Result};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes that can be read at any offset: a file, or memory.
pub trait Source {
    /// Returns the number of bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self) -> io::Result<u64>;

    /// Returns whether there are no bytes.
    ///
    /// # Errors
    /// Those of [`Source::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills the buffer with the bytes from an offset on.
    ///
    /// # Errors
    /// What the system says, and `UnexpectedEof` if there are fewer bytes.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Source for Vec<u8> {
    fn len(&self) -> io::Result<u64> {
        Ok(self.as_slice().len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let begin = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = begin.checked_add(buffer.len()).and_then(|end| self.get(begin..end));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Opens the data file of an environment: the file itself, or `data.mdb` in a folder. Returns it with its path.
///
/// # Errors
/// `Io`, and `NotLmdb` if it is no regular file: a pipe would be waited for, and devices have no length.
pub(crate) fn open(path: &Path) -> Result<(File, PathBuf)> {
    let path = if path.is_dir() {
        path.join("data.mdb")
    } else {
        path.to_path_buf()
    };
    // The first look keeps from opening what waits or acts when it is opened; the second one is at what was opened.
    let file = fs::metadata(&path).and_then(|facts| match facts.is_file() {
        true => File::open(&path).and_then(|file| Ok(file.metadata()?.is_file().then_some(file))),
        false => Ok(None),
    });
    match file {
        Ok(Some(file)) => Ok((file, path)),
        Ok(None) => Err(Error::NotLmdb {
            path,
            why: "it is no regular file".to_string(),
        }),
        Err(source) => Err(Error::Io { path, source }),
    }
}
