//! What can go wrong.

use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The result of a call that reads a file.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a file, or the rest of it, was not read. Each message names the file and says what to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system could not open or read the file.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// This is not a file of LMDB.
    NotLmdb {
        /// The file.
        path: PathBuf,
        /// What shows it.
        why: String,
    },
    /// LMDB wrote the file, in a form that this reader does not know.
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not known.
        what: String,
    },
    /// The file contradicts itself.
    Damaged {
        /// The file.
        path: PathBuf,
        /// The page that shows it.
        page: u64,
        /// What is wrong with it.
        what: String,
    },
    /// A database has another number of entries than its record says. All that were found have been returned.
    Count {
        /// The file.
        path: PathBuf,
        /// The number that the record says.
        recorded: u64,
        /// The number that was found.
        found: u64,
    },
    /// Somebody has committed to the file since it was opened, so what was read may be mixed from several commits.
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The file has no database of this name.
    NoDatabase {
        /// The file.
        path: PathBuf,
        /// The name.
        name: Vec<u8>,
    },
    /// There is no memory for a value.
    NoMemory {
        /// The file.
        path: PathBuf,
        /// The bytes that the value has.
        bytes: u64,
    },
}

impl Error {
    /// The file that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Error::Io { path, .. }
            | Error::NotLmdb { path, .. }
            | Error::Unsupported { path, .. }
            | Error::Damaged { path, .. }
            | Error::Count { path, .. }
            | Error::Changed { path }
            | Error::NoDatabase { path, .. }
            | Error::NoMemory { path, .. } => path,
        }
    }
}

impl Error {
    /// What happened, to be shown without the file and without advice. The name of a database is shown with escapes.
    pub fn what(&self) -> impl fmt::Display + '_ {
        What(self)
    }

    /// What to do next.
    pub fn advice(&self) -> &'static str {
        match self {
            Error::Io { .. } => "name a folder with data.mdb or a file, and check its permissions",
            Error::NotLmdb { .. } => "name a folder with data.mdb or the file itself",
            Error::Unsupported { .. } => "export it with the program that wrote it, or with its mdb_dump",
            Error::Damaged { .. } => "restore the file from a copy",
            Error::Count { .. } => "compare with mdb_stat",
            Error::Changed { .. } => "stop it, or read a copy made by mdb_copy",
            Error::NoDatabase { .. } => "choose one that the file has",
            Error::NoMemory { .. } => "read the file where there is more",
        }
    }
}

/// What happened.
struct What<'e>(&'e Error);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Io { source, .. } => write!(f, "cannot be read: {source}"),
            Error::NotLmdb { why, .. } => write!(f, "this is not a file of LMDB: {why}"),
            Error::Unsupported { what, .. } => f.write_str(what),
            Error::Damaged { page, what, .. } => write!(f, "page {page} is damaged: {what}"),
            Error::Count { recorded, found, .. } => {
                write!(f, "{found} entries were found where the file says {recorded}")
            }
            Error::Changed { .. } => f.write_str("a program committed to the file while it was read"),
            Error::NoDatabase { name, .. } => write!(f, "there is no database \"{}\"", name.escape_ascii()),
            Error::NoMemory { bytes, .. } => write!(f, "there is no memory for a value of {bytes} bytes"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path().as_os_str().as_bytes().escape_ascii();
        write!(f, "{path}: {}; {}", self.what(), self.advice())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
