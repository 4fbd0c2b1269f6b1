//! Every way a call can fail.
//!
//! Ordinary answers that a caller expects ("no such key") are `Option`s in the engine; they are listed here too because
//! a few calls must say *which* answer it was, and because `capi` maps this enum one to one onto `kv_status`.

use crate::ids::{PageNo, TableId};
use std::borrow::Cow;
use std::io;

/// Result of every fallible engine call.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way a call can fail. The C status each maps to is in `capi/src/status.rs`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No entry with this key (or no snapshot of this name).
    #[error("not found")]
    NotFound,
    /// The key or name exists already.
    #[error("exists already")]
    Exists,
    /// The table number or name is not in this snapshot: dropped, never created, or of another database.
    #[error("no such table: {0}; open it again by name")]
    NoTable(String),
    /// The wait ended before the lock was free.
    #[error("busy: {0}")]
    Busy(&'static str),
    /// The caller's buffer is too small.
    #[error("buffer too small: {needed} bytes are needed")]
    TooSmall {
        /// Bytes the caller must offer.
        needed: u64,
    },
    /// Append of a key that is not behind the last one.
    #[error("append out of order: the key is not greater than the last key of the table")]
    Order,
    /// A callback or `kv_interrupt` asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// An argument that no state of the database could make right.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// A handle that is closed, ended, or of another kind.
    #[error("bad handle: {0}")]
    BadHandle(&'static str),
    /// A write through a read transaction, a read-only database or a read-only table.
    #[error("read only: {0}")]
    ReadOnly(&'static str),
    /// An earlier failure left this transaction unusable; abort it.
    #[error("the transaction failed earlier ({0}); abort it and begin another")]
    TxnFailed(String),
    /// Key, value or name beyond its limit.
    #[error("too big: {what} of {size} bytes, at most {limit} are possible")]
    TooBig {
        /// What was too big.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The process was forked since the database was opened; the child must open it for itself.
    #[error("forked: this database was opened by the parent process; open it again in the child")]
    Forked,
    /// Not possible in this build, for this file or in this state.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
    /// The operating system answered an error.
    #[error("{op}: {source}")]
    Io {
        /// What was being done.
        op: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Disk full, quota or file size limit; the database is as before the transaction.
    #[error("no space: {op}: {source}; free space and repeat the transaction")]
    NoSpace {
        /// What was being done.
        op: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Memory could not be allocated.
    #[error("out of memory: {0}")]
    NoMemory(&'static str),
    /// Permission denied.
    #[error("no access: {0}")]
    Access(String),
    /// The file does not exist.
    #[error("no such file: {0}")]
    NoFile(String),
    /// The file system gives no locks.
    #[error("locks are not available: {0}")]
    NoLocks(String),
    /// A limit of this build or process was met.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// A sync failed earlier; what was not durable then is unknown. Close and open again.
    #[error("poisoned: an earlier sync failed; close every handle of this database and open it again")]
    Poisoned,
    /// The commit may or may not be durable: its sync or meta write failed.
    #[error("in doubt: the commit may or may not survive ({0}); close and open again to learn which")]
    InDoubt(String),
    /// Bytes on disk are not what was written.
    #[error("{0}")]
    Corrupt(Box<Corruption>),
    /// The file is something else.
    #[error("not a kv database: {0}")]
    NotADatabase(String),
    /// The file needs a newer version of this library.
    #[error("made by a newer version: {0}; use a newer libkv")]
    TooNew(String),
    /// The file is of a format that this library has ceased to read, or never did.
    #[error("made by an older version: {0}; read it with an older libkv")]
    TooOld(String),
    /// A panic was caught; a bug. The transaction is dead, the file untouched.
    #[error("internal error: {0}")]
    Panic(String),
}

/// Where damage was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// The page; `None` when no single page of the file is to blame.
    pub page: Option<PageNo>,
    /// The table whose tree led there; `None` when that is not known.
    pub table: Option<TableId>,
    /// What is wrong.
    pub what: Cow<'static, str>,
}

impl std::fmt::Display for Corruption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "corrupt: {}", self.what)?;
        if let Some(page) = self.page {
            write!(f, " at page {page}")?;
        }
        if let Some(table) = self.table {
            write!(f, " in table {table}")?;
        }
        write!(
            f,
            "; run kv_check, restore from a backup or save what is left with kv_salvage"
        )
    }
}

impl Error {
    /// Damage at a page (`None`: at no page in particular); the table is not known yet.
    #[cold]
    #[doc(hidden)]
    pub fn corrupt(page: impl Into<Option<PageNo>>, what: impl Into<Cow<'static, str>>) -> Error {
        Error::Corrupt(Box::new(Corruption {
            page: page.into(),
            table: None,
            what: what.into(),
        }))
    }

    /// Names the table in a corruption error that lacks one; other errors pass unchanged.
    #[cold]
    #[doc(hidden)]
    pub fn in_table(mut self, table: TableId) -> Error {
        if let Error::Corrupt(c) = &mut self {
            c.table.get_or_insert(table);
        }
        self
    }

    /// Maps an operating-system error: out-of-space kinds become [`Error::NoSpace`], out of memory [`Error::NoMemory`].
    #[cold]
    pub fn io(op: &'static str, source: io::Error) -> Error {
        match source.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => Error::NoSpace { op, source },
            Some(libc::ENOMEM) => Error::NoMemory(op),
            _ => Error::Io { op, source },
        }
    }

    /// Whether this failure, met while writing, leaves the transaction unusable (the others are answers or usage errors).
    pub fn spoils(&self) -> bool {
        matches!(
            self,
            Error::Io { .. }
                | Error::NoSpace { .. }
                | Error::NoMemory(_)
                | Error::Limit(_)
                | Error::Corrupt(_)
                | Error::Poisoned
                | Error::InDoubt(_)
                | Error::Panic(_)
        )
    }
}
