//! This module defines every way in which a call can fail.
//!
//! The engine returns an ordinary answer that a caller expects ("no such key") as an `Option`. Such answers are listed
//! here as well, because a few calls must say *which* answer it was, and because `capi` maps this enum one to one onto
//! `kv_status`.

use crate::ids::{PageNo, TableId};
use crate::util::memory;
use std::borrow::Cow;
use std::io;
use std::path::Path;

/// The result of every engine call that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a call can fail. `capi/src/border/status.rs` has the C status of each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no entry with this key.
    #[error("not found")]
    NotFound,
    /// The key or the name exists already.
    #[error("exists already")]
    Exists,
    /// The file exists already.
    #[error("the file exists already: {0}")]
    FileExists(String),
    /// The snapshot has no table of this number or name: it was dropped, was never created, or belongs to another
    /// database.
    #[error("no such table: {0}")]
    NoTable(String),
    /// The wait ended before what was waited for came about: a free lock, a newer commit, a durable one.
    #[error("busy: {0}")]
    Busy(Cow<'static, str>),
    /// The caller's buffer is too small.
    #[error("buffer too small: {needed} bytes are needed")]
    TooSmall {
        /// The number of bytes that the caller must offer.
        needed: u64,
    },
    /// A key that was to be appended is not greater than the last key of the table.
    #[error("append out of order: the key is not greater than the last key of the table")]
    Order,
    /// A callback, `Db::interrupt` or `kv_interrupt` asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The argument is wrong in every state of the database.
    #[error("invalid argument: {0}")]
    Invalid(&'static str),
    /// The handle is closed, has ended, or is of another kind.
    #[error("bad handle: {0}")]
    BadHandle(&'static str),
    /// A write was tried through a read transaction, a read-only database or a read-only table.
    #[error("read only: {0}")]
    ReadOnly(&'static str),
    /// An earlier failure left this transaction unusable; abort it.
    #[error("the transaction failed earlier ({0}); abort it and begin another")]
    TxnFailed(String),
    /// A key, value, name or note is longer than its limit.
    #[error("too big: {what} of {size} bytes, at most {limit} are possible")]
    TooBig {
        /// What is too big.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The process was forked since the database was opened; the child must open it for itself.
    #[error("forked: this database was opened by the parent process; open it again in the child")]
    Forked,
    /// The call is not possible in this build, for this file or in this state.
    #[error("unsupported: {0}")]
    Unsupported(&'static str),
    /// The operating system reported an error.
    #[error("{op}: {source}")]
    Io {
        /// What was being done, and to which file where that is known.
        op: Cow<'static, str>,
        /// What the system said.
        source: io::Error,
    },
    /// The disk is full, or a quota or the limit of file sizes is reached. The database is as it was before the
    /// transaction.
    #[error("no space: {op}: {source}; {} and repeat the transaction", more_space(.source))]
    NoSpace {
        /// What was being done, and to which file where that is known.
        op: Cow<'static, str>,
        /// What the system said.
        source: io::Error,
    },
    /// The memory could not be allocated.
    #[error("out of memory: {0}")]
    NoMemory(&'static str),
    /// Memory or addresses could not be had, because of a limit that the message names.
    #[error("out of memory: {0}")]
    NoMemoryFor(String),
    /// The operating system denied access.
    #[error("no access: {0}")]
    Access(String),
    /// The file does not exist.
    #[error("no such file: {0}")]
    NoFile(String),
    /// The file system does not support locks.
    #[error("locks are not available: {0}")]
    NoLocks(String),
    /// A limit of the format, of this build or of this process was reached.
    #[error("limit reached: {0}")]
    Limit(&'static str),
    /// The file would outgrow the addresses that were reserved when it was opened.
    #[error(
        "limit reached: while it is open, this database can grow to {reserved} bytes, for which addresses were reserved \
         when it was opened; close it everywhere in this process and open it again"
    )]
    Outgrown {
        /// How many bytes can be mapped.
        reserved: u64,
    },
    /// A sync failed earlier, so it is unknown what became of commits that were not durable then. Close the database
    /// and open it again.
    #[error("poisoned: an earlier sync failed; close every handle of this database and open it again")]
    Poisoned,
    /// The commit may or may not be durable, because its sync or the write of its slot failed.
    #[error("in doubt: the commit may or may not survive ({0}); close and open again to learn which")]
    InDoubt(String),
    /// The bytes on disk are not those that were written.
    #[error("{0}")]
    Corrupt(Box<Corruption>),
    /// The file is not a database.
    #[error("not a kv database: {0}")]
    NotADatabase(String),
    /// The file needs a newer version of this library.
    #[error("made by a newer version: {0}; use a newer libkv")]
    TooNew(String),
    /// The file has a format that this library no longer reads, or never did.
    #[error("made by an older version: {0}; read it with an older libkv")]
    TooOld(String),
    /// A panic was caught, which means a bug in the library. The transaction cannot go on, and nothing of it was committed.
    #[error("internal error: {0}")]
    Panic(String),
}

/// Returns what makes room where there was none.
fn more_space(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EFBIG) => "raise the limit on the length of files (RLIMIT_FSIZE, `ulimit -f`)",
        Some(libc::EDQUOT) => "free space or raise the quota",
        _ => "free space",
    }
}

/// Where damage was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// The damaged page, or `None` if no single page of the file is to blame.
    pub page: Option<PageNo>,
    /// The table whose tree led to it, or `None` if that is not known.
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
        match self.table {
            Some(TableId::CATALOGUE) => f.write_str(" in the catalogue")?,
            Some(TableId::SPACE) => f.write_str(" in the tree of dead pages")?,
            Some(table) => write!(f, " in table {table}")?,
            None => {}
        }
        write!(
            f,
            "; run kv_check, restore from a backup or save what is left with kv_salvage"
        )
    }
}

impl Error {
    /// Returns an error about damage at `page`, or at no page in particular if it is `None`. The table is not known
    /// yet.
    #[cold]
    #[doc(hidden)]
    pub fn corrupt(page: impl Into<Option<PageNo>>, what: impl Into<Cow<'static, str>>) -> Error {
        Error::Corrupt(Box::new(Corruption {
            page: page.into(),
            table: None,
            what: what.into(),
        }))
    }

    /// Names the table in a corruption error that does not name one yet. Other errors pass unchanged.
    #[cold]
    #[doc(hidden)]
    pub fn in_table(mut self, table: TableId) -> Error {
        if let Error::Corrupt(c) = &mut self {
            c.table.get_or_insert(table);
        }
        self
    }

    /// Maps an error of the operating system: a lack of space becomes [`Error::NoSpace`], a lack of memory
    /// [`Error::NoMemory`], and any other error [`Error::Io`].
    #[cold]
    pub fn io(op: impl Into<Cow<'static, str>>, source: io::Error) -> Error {
        match (source.raw_os_error(), op.into()) {
            (Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG), op) => Error::NoSpace { op, source },
            (Some(libc::ENOMEM), Cow::Borrowed(op)) => Error::NoMemory(op),
            (Some(libc::ENOMEM), Cow::Owned(op)) => Error::NoMemoryFor(op),
            (_, op) => Error::Io { op, source },
        }
    }

    /// Puts the name of the file in front of what went wrong, where the error does not name it yet.
    #[cold]
    #[doc(hidden)]
    pub fn of_file(self, path: &Path) -> Error {
        let path = path.display().to_string();
        let named = |text: &str| match text.contains(&path) {
            true => text.to_string(),
            false => format!("{path}: {text}"),
        };
        match self {
            Error::Busy(what) => Error::Busy(named(&what).into()),
            Error::NoLocks(what) => Error::NoLocks(named(&what)),
            Error::NoFile(what) => Error::NoFile(named(&what)),
            Error::Access(what) => Error::Access(named(&what)),
            Error::NoMemory(what) => Error::NoMemoryFor(named(what)),
            Error::NoMemoryFor(what) => Error::NoMemoryFor(named(&what)),
            Error::NotADatabase(what) => Error::NotADatabase(named(&what)),
            Error::TooNew(what) => Error::TooNew(named(&what)),
            Error::TooOld(what) => Error::TooOld(named(&what)),
            Error::Io { op, source } => Error::Io {
                op: named(&op).into(),
                source,
            },
            Error::NoSpace { op, source } => Error::NoSpace {
                op: named(&op).into(),
                source,
            },
            Error::Corrupt(mut damage) => {
                damage.what = named(&damage.what).into();
                Error::Corrupt(damage)
            }
            other => other,
        }
    }

    /// Ends long work while memory is short, see [`set_memory_short`](crate::set_memory_short). Whatever goes on for long
    /// calls this between its steps.
    ///
    /// # Errors
    /// `NoMemory`, with `what` the memory is for.
    #[inline]
    #[doc(hidden)]
    pub fn if_memory_is_short(what: &'static str) -> Result<()> {
        match memory::is_short() {
            true => Err(Error::NoMemory(what)),
            false => Ok(()),
        }
    }

    /// Makes room for `more` entries in a list whose length grows with the user's data.
    ///
    /// # Errors
    /// `NoMemory`, with `what` the list is.
    #[inline]
    #[doc(hidden)]
    pub fn or_room<T>(list: &mut Vec<T>, more: usize, what: &'static str) -> Result<()> {
        list.try_reserve(more).map_err(|_| Error::NoMemory(what))
    }

    /// Returns a copy of bytes that may be as many as a key or a value has.
    ///
    /// # Errors
    /// `NoMemory`, with `what` the copy is for.
    #[inline]
    #[doc(hidden)]
    pub fn or_copy(bytes: &[u8], what: &'static str) -> Result<Vec<u8>> {
        let mut copy = Vec::new();
        copy.try_reserve_exact(bytes.len()).map_err(|_| Error::NoMemory(what))?;
        copy.extend_from_slice(bytes);
        Ok(copy)
    }

    /// Returns whether this error, if it occurs while writing, leaves the transaction unusable. Other errors are
    /// ordinary answers or mistakes in how the call was used.
    pub fn spoils(&self) -> bool {
        matches!(
            self,
            Error::Io { .. }
                | Error::NoSpace { .. }
                | Error::NoMemory(_)
                | Error::NoMemoryFor(_)
                | Error::Limit(_)
                | Error::Outgrown { .. }
                | Error::Corrupt(_)
                | Error::Poisoned
                | Error::InDoubt(_)
                | Error::Panic(_)
        )
    }
}
