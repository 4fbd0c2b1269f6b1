//! Where the bytes of a file come from.

use std::fs::File;
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
pub(crate) fn open(path: &Path) -> Result<(File, PathBuf), (io::Error, PathBuf)> {
    let path = if path.is_dir() {
        path.join("data.mdb")
    } else {
        path.to_path_buf()
    };
    match File::open(&path) {
        Ok(file) => Ok((file, path)),
        Err(error) => Err((error, path)),
    }
}
