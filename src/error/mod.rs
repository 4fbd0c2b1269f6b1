//! This module defines every way in which a call can fail.
//!
//! The engine returns an ordinary answer that a caller expects ("no such key") as an `Option`. Such answers are listed
//! here as well, because a few calls must say *which* answer it was, and because `capi` maps this enum one to one onto
//! `kv_status`.
//!
//! The text of an error has the form `PATH: what happened, and where; what to do next`. The path comes first if the
//! error knows its file: opening a file, copying into one and saving from one say which it was. What is done with an
//! open database does not repeat its path; the caller knows which database it used.
//!
//! | file     | subject                                                                        |
//! |----------|--------------------------------------------------------------------------------|
//! | `advice` | what texts tell to do next, so that it can be left out                         |
//! | `damage` | damage, missing tables, and what is in the way of a put: where they were found |
//! | `detail` | what was being done, with which file, and what the system said                 |

mod advice;
mod damage;
mod detail;

pub use damage::{table_called, Conflict, Corruption, FaultKind, MissingTable};
pub(crate) use damage::{DAMAGED_PAGE, DAMAGED_VALUE};
pub use detail::{Detail, Foreign};

use crate::ids::{PageNo, TableId};
use crate::util::memory;
use crate::util::shown::ShownPath;
use advice::{more_space, without_advice};
use damage::absolute;
use detail::Missing;
use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The result of every engine call that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Every way in which a call can fail. `capi/src/border/status.rs` has the C status of each.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no entry with this key.
    #[error("not found")]
    NotFound,
    /// The key or the name, which the text names, exists already.
    #[error("{0} exists already")]
    Exists(Box<Conflict>),
    /// The file exists already.
    #[error("{file}the file exists already", file = .0.prefix())]
    FileExists(Box<Detail>),
    /// The snapshot has no table of this number or name: it was dropped, was never created, or belongs to another
    /// database.
    #[error("no such table: {0}")]
    NoTable(Box<MissingTable>),
    /// The wait ended before what was waited for came about: a free lock, a newer commit, a durable one.
    #[error("{file}busy: {0}", file = .0.prefix())]
    Busy(Box<Detail>),
    /// A key that was to be appended is not greater than the last key of the table. The text names both.
    #[error("append out of order: {0}")]
    Order(Box<Conflict>),
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
    #[error("the transaction failed earlier ({}); abort it and begin another", without_advice(.0))]
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
    #[error("{file}{0}", file = .0.prefix())]
    Io(Box<Detail>),
    /// The disk is full, or a quota or the limit of file sizes is reached. The database is as it was before the
    /// transaction.
    #[error("{file}no space: {0}; {room} and repeat", file = .0.prefix(), room = more_space(.0.errno()))]
    NoSpace(Box<Detail>),
    /// The memory could not be allocated.
    #[error("out of memory: {0}")]
    NoMemory(&'static str),
    /// The system refused memory or addresses, because of a limit that the text names if it is known.
    #[error("{file}out of memory: {0}", file = .0.prefix())]
    NoMemoryFor(Box<Detail>),
    /// The operating system denied access.
    #[error("{file}no access: {0}", file = .0.prefix())]
    Access(Box<Detail>),
    /// The file does not exist.
    #[error("{file}no such file{why}", file = .0.prefix(), why = Missing(.0))]
    NoFile(Box<Detail>),
    /// The file system does not support locks.
    #[error("{file}locks are not available: {0}; put the database on a file system with locks", file = .0.prefix())]
    NoLocks(Box<Detail>),
    /// A limit of the format, of this build or of this process was reached.
    #[error("limit reached: {0}")]
    Limit(Cow<'static, str>),
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
    #[error("{file}in doubt: the commit may or may not survive ({0}); close and open again to learn which", file = .0.prefix())]
    InDoubt(Box<Detail>),
    /// The bytes on disk are not those that were written.
    #[error("{0}")]
    Corrupt(Box<Corruption>),
    /// The file is not a database.
    #[error("{file}not a kv database: {0}", file = .0.prefix())]
    NotADatabase(Box<Detail>),
    /// The file needs a newer version of this library.
    #[error("{file}made by a newer version: {0}; use a newer libkv", file = .0.prefix())]
    TooNew(Box<Detail>),
    /// The file has a format that this library no longer reads, or never did.
    #[error("{file}made by an older version: {0}; read it with an older libkv", file = .0.prefix())]
    TooOld(Box<Detail>),
    /// A panic was caught, which means a bug in the library. The transaction cannot go on, and nothing of it was
    /// committed.
    #[error("internal error: {0}")]
    Panic(String),
}

/// What happened, without advice, as [`Error::bare`] returns it.
#[derive(Debug, Clone, Copy)]
pub struct Bare<'a>(&'a Error);

impl Display for Bare<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::Corrupt(found) => found.damage().fmt(f),
            Error::NoSpace(detail) => write!(f, "{}no space: {detail}", detail.prefix()),
            Error::TxnFailed(why) => write!(f, "the transaction failed earlier ({})", without_advice(why)),
            other => other.fmt(f),
        }
    }
}

impl Detail {
    /// Returns what happened because of another error.
    #[cold]
    pub(crate) fn because(what: &str, error: Error) -> Box<Detail> {
        match error {
            Error::Io(cause) | Error::NoSpace(cause) => cause.after(what),
            Error::NoLocks(cause) => cause.after("locks are not available").after(what),
            other => format!("{what}: {other}").into(),
        }
    }
}

/// The errors that have circumstances, as a pattern.
macro_rules! with_detail {
    ($detail:ident) => {
        Error::FileExists($detail)
            | Error::Busy($detail)
            | Error::Io($detail)
            | Error::NoSpace($detail)
            | Error::NoMemoryFor($detail)
            | Error::Access($detail)
            | Error::NoFile($detail)
            | Error::NoLocks($detail)
            | Error::InDoubt($detail)
            | Error::NotADatabase($detail)
            | Error::TooNew($detail)
            | Error::TooOld($detail)
    };
}

impl Error {
    /// Returns the error for a table that was sought by its number, or by a name if `table` is `None`. `what` says
    /// which table it is, why it may be missing and what to do next.
    #[cold]
    pub(crate) fn no_table(table: Option<TableId>, what: String) -> Error {
        Error::NoTable(Box::new(MissingTable::new(table, what)))
    }

    /// Returns what happened, to be shown without advice: what to do next depends on the call.
    #[doc(hidden)]
    pub fn bare(&self) -> Bare<'_> {
        Bare(self)
    }

    /// Returns what makes room, if there was none.
    #[doc(hidden)]
    pub fn room(&self) -> Option<&'static str> {
        match self {
            Error::NoSpace(detail) => Some(more_space(detail.errno())),
            _ => None,
        }
    }

    /// Returns what a file is that is no database, as far as what to do next depends on it; `None` for every other
    /// error.
    #[doc(hidden)]
    pub fn foreign(&self) -> Option<Foreign> {
        match self {
            Error::NotADatabase(detail) => Some(detail.foreign),
            _ => None,
        }
    }

    /// Returns whether memory or addresses were refused.
    pub fn is_no_memory(&self) -> bool {
        matches!(self, Error::NoMemory(_) | Error::NoMemoryFor(_))
    }

    /// Returns an error about bytes at `page` that are not those that were written.
    #[cold]
    pub(crate) fn unreadable(page: impl Into<Option<PageNo>>, what: impl Into<Cow<'static, str>>) -> Error {
        Error::corrupt(page, what).of_kind(FaultKind::Unreadable)
    }

    /// Returns an error about damage at `page`, or at no page in particular if it is `None`: a contradiction, if
    /// nothing else is said. The table is not known yet.
    #[cold]
    #[doc(hidden)]
    pub fn corrupt(page: impl Into<Option<PageNo>>, what: impl Into<Cow<'static, str>>) -> Error {
        Error::Corrupt(Box::new(Corruption {
            page: page.into(),
            table: None,
            table_name: Box::default(),
            kind: FaultKind::Contradiction,
            what: what.into(),
            file: None,
        }))
    }

    /// Sets the kind of damage. Other errors pass unchanged.
    #[cold]
    pub(crate) fn of_kind(mut self, kind: FaultKind) -> Error {
        if let Error::Corrupt(c) = &mut self {
            c.kind = kind;
        }
        self
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

    /// Returns what a report of faults says of this error: the page, and what is wrong there. Advice is left out.
    pub(crate) fn as_fault(&self) -> (Option<PageNo>, String) {
        match self {
            Error::Corrupt(found) => (found.page, found.what.to_string()),
            other => (None, other.to_string()),
        }
    }

    /// Returns the kind of fault that this error is where it is met in reading a file.
    pub(crate) fn fault_kind(&self) -> FaultKind {
        match self {
            Error::Corrupt(found) => found.kind,
            _ => FaultKind::Unreadable,
        }
    }

    /// Returns the table in which damage was found, if its name is not known yet though it has one.
    #[doc(hidden)]
    pub fn unnamed_table(&self) -> Option<TableId> {
        match self {
            Error::Corrupt(c) if c.table_name.is_empty() => c.table,
            _ => None,
        }
    }

    /// Gives the table of a corruption error its name. Other errors pass unchanged.
    #[cold]
    #[doc(hidden)]
    pub fn in_table_called(mut self, name: &[u8]) -> Error {
        if let Error::Corrupt(c) = &mut self {
            c.table_name = name.into();
        }
        self
    }

    /// Maps an error of the operating system: a lack of space becomes [`Error::NoSpace`], a lack of memory
    /// [`Error::NoMemoryFor`], and any other error [`Error::Io`].
    #[cold]
    pub fn io(op: impl Into<Cow<'static, str>>, source: io::Error) -> Error {
        let errno = source.raw_os_error();
        let detail = Detail::system(op, source);
        match errno {
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => Error::NoSpace(detail),
            Some(libc::ENOMEM) => Error::NoMemoryFor(detail),
            _ => Error::Io(detail),
        }
    }

    /// Returns the circumstances, if the error has any.
    fn detail(&self) -> Option<&Detail> {
        match self {
            with_detail!(detail) => Some(detail),
            _ => None,
        }
    }

    fn detail_mut(&mut self) -> Option<&mut Detail> {
        match self {
            with_detail!(detail) => Some(detail),
            _ => None,
        }
    }

    /// Returns where the error keeps the name of its file, if it has room for one.
    fn file_mut(&mut self) -> Option<&mut Option<Box<Path>>> {
        match self {
            Error::Corrupt(damage) => Some(&mut damage.file),
            other => other.detail_mut().map(|detail| &mut detail.file),
        }
    }

    /// Notes that the file in question was reached through the link `path`, which is what the user knows.
    #[cold]
    pub(crate) fn through_link(mut self, path: &Path) -> Error {
        let path = absolute(path);
        if let Some(detail) = self.detail_mut() {
            if let Some(target) = detail.file.take().filter(|file| *file != path) {
                let target = ShownPath(target.as_os_str().as_bytes()).to_string();
                detail.file = Some(path);
                return self.explained(&format!("the link leads to {target}"));
            }
            detail.file = Some(path);
        }
        self
    }

    /// Returns the file in question, if the error knows it. Its text begins with this.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Error::Corrupt(damage) => damage.file.as_deref(),
            other => other.detail()?.file.as_deref(),
        }
    }

    /// Returns the number of the system's error (`errno`), if the error comes from a system call.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.detail()?.errno()
    }

    /// Notes that the error is about `path`, if it does not know its file yet. The path is made absolute, because a
    /// program may change its working directory before somebody reads the message.
    #[cold]
    #[doc(hidden)]
    pub fn of_file(mut self, path: &Path) -> Error {
        if let Error::NoMemory(what) = self {
            self = Error::NoMemoryFor(what.into());
        }
        if let Some(file @ None) = self.file_mut() {
            *file = Some(absolute(path));
        }
        self
    }

    /// Notes that the error is about `path`, although it occurred with `other`, a temporary file of which nobody has
    /// heard. Damage that does not name its file is not there: a new file has none.
    #[cold]
    #[doc(hidden)]
    pub fn of_file_instead(mut self, other: &Path, path: &Path) -> Error {
        let was_other = self.file().is_some_and(|file| absolute(file) == absolute(other));
        match self.file_mut() {
            Some(file) if was_other => *file = None,
            _ => {}
        }
        match (&self, was_other) {
            (Error::Corrupt(_), false) => self,
            _ => self.of_file(path),
        }
    }

    /// Says what the file in question is, before what is known already, if it is not plain from its name.
    #[cold]
    pub(crate) fn explained(mut self, what: &str) -> Error {
        if let Some(detail) = self.detail_mut() {
            detail.what = match detail.what.is_empty() {
                true => what.to_string().into(),
                false => format!("{what}: {}", detail.what).into(),
            };
        }
        self
    }

    /// Ends long work while memory is short, see [`set_memory_short`](crate::set_memory_short). Whatever goes on for
    /// long calls this between its steps.
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
            Error::Io(_)
                | Error::NoSpace(_)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn an_error_names_its_file_once_and_in_one_line() {
        // A short path, which is part of nearly any text.
        let error = Error::io("open a file", io::Error::from_raw_os_error(libc::EIO)).of_file(Path::new("/a"));
        assert_eq!(error.to_string(), "/a: open a file: Input/output error (os error 5)");
        assert_eq!(error.of_file(Path::new("/b")).file(), Some(Path::new("/a")));
        let path = Path::new(OsStr::from_bytes(b"/line\nbreak\xff"));
        let error = Error::NotADatabase("it is a cake".into()).of_file(path);
        assert_eq!(error.to_string(), r"/line\nbreak\xff: not a kv database: it is a cake");
        let temporary = Error::corrupt(None, "bad").of_file(Path::new("/x/.part-1"));
        assert_eq!(
            temporary
                .of_file_instead(Path::new("/x/.part-1"), Path::new("/x/y"))
                .file(),
            Some(Path::new("/x/y"))
        );
        let here = Error::corrupt(None, "bad").of_file(Path::new("a"));
        assert!(here
            .file()
            .is_some_and(|file| file.is_absolute() && file.ends_with("a")));
    }

    #[test]
    fn what_the_system_said_stays_known() {
        let refused = || io::Error::from_raw_os_error(libc::EACCES);
        let access = Error::Access(Detail::of_file("", Path::new("/a"), Some(refused())));
        assert_eq!(access.to_string(), "/a: no access: Permission denied (os error 13)");
        assert_eq!(access.raw_os_error(), Some(libc::EACCES));
        let doubt = Error::InDoubt(Detail::because("its sync failed", Error::io("sync", refused())));
        assert_eq!(doubt.raw_os_error(), Some(libc::EACCES));
        assert!(
            doubt.to_string().contains("(its sync failed: sync: Permission denied"),
            "{doubt}"
        );
        let memory = Error::io("map", io::Error::from_raw_os_error(libc::ENOMEM));
        assert!(matches!(memory, Error::NoMemoryFor(_)) && memory.raw_os_error() == Some(libc::ENOMEM));
    }

    #[test]
    fn the_reason_of_a_failed_transaction_is_told_without_its_advice() {
        let damage = Error::corrupt(PageNo::new(7), "bad; sum");
        let full = |errno| Error::io("write", io::Error::from_raw_os_error(errno));
        for why in [
            damage,
            full(libc::ENOSPC),
            full(libc::EDQUOT),
            full(libc::EFBIG),
            Error::Poisoned,
        ] {
            let failed = Error::TxnFailed(why.to_string()).to_string();
            let want = format!(
                "the transaction failed earlier ({}); abort it and begin another",
                why.bare()
            );
            assert_eq!(failed, want);
        }
        assert!(!full(libc::EDQUOT).bare().to_string().contains("quota;"));
        assert!(full(libc::EDQUOT)
            .to_string()
            .ends_with("; free space or raise the quota and repeat"));
    }

    #[test]
    fn damage_is_told_with_page_and_table() {
        let error = Error::corrupt(PageNo::new(7), "bad sum").in_table(TableId::new(300));
        assert_eq!(error.unnamed_table(), Some(TableId::new(300)));
        let error = error.in_table_called(b"us\ners");
        assert_eq!(
            error.to_string(),
            r#"corrupt: bad sum at page 7 in table "us\ners" (number 300); "#.to_string()
                + "restore a backup, or save what is left with kv_salvage"
        );
        assert_eq!(error.unnamed_table(), None);
    }
}
