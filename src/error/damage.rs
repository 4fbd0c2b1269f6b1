//! Damage, missing tables, and what is in the way of a put: where they were found, and what messages call the places:
//! files and tables.

use super::advice::AFTER_DAMAGE;
use crate::ids::{PageNo, TableId};
use crate::util::shown::{Quoted, ShownPath};
use std::borrow::Cow;
use std::fmt::{self, Display, Formatter};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The beginning of a message about a file.
pub(super) struct Prefix<'a>(pub Option<&'a Path>);

impl Display for Prefix<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(path) => write!(f, "{}: ", ShownPath(path.as_os_str().as_bytes())),
            None => Ok(()),
        }
    }
}

/// What a page says of itself whose checksum does not match, in whatever call.
pub(crate) const DAMAGED_PAGE: &str = "the page is damaged: its checksum does not match";
/// The same of a long value, a part of one, or a long key.
pub(crate) const DAMAGED_VALUE: &str = "a long value or key is damaged: its checksum does not match";

/// What kind of damage was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Bytes are not those that were written, or cannot be read.
    Unreadable,
    /// Bytes can be read, and what they say contradicts the format or other parts of the file.
    Contradiction,
}

/// Where damage was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// The damaged page, or `None` if no single page of the file is to blame.
    pub page: Option<PageNo>,
    /// The table whose tree led to it, or `None` if that is not known.
    pub table: Option<TableId>,
    /// The name of that table; empty if it has none, or if it is not known.
    pub table_name: Box<[u8]>,
    /// What kind of damage it is.
    pub kind: FaultKind,
    /// What is wrong.
    pub what: Cow<'static, str>,
    pub(super) file: Option<Box<Path>>,
}

/// Where the damage is and what it is, without advice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Damage<'a>(&'a Corruption);

impl Display for Damage<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Damage(found) = self;
        write!(f, "{}corrupt: {}", Prefix(found.file.as_deref()), found.what)?;
        if let Some(page) = found.page {
            write!(f, " at page {page}")?;
        }
        match found.table {
            Some(table) => write!(f, " in {}", table_called(table, &found.table_name)),
            None => Ok(()),
        }
    }
}

impl Corruption {
    /// Returns where the damage is and what it is, to be shown without advice.
    pub(super) fn damage(&self) -> Damage<'_> {
        Damage(self)
    }
}

impl Display for Corruption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{AFTER_DAMAGE}", self.damage())
    }
}

/// Returns what messages call a table.
#[cold]
#[doc(hidden)]
pub fn table_called(table: TableId, name: &[u8]) -> impl Display + '_ {
    struct Called<'a>(TableId, &'a [u8]);
    impl Display for Called<'_> {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            match *self {
                Called(TableId::MAIN, _) => f.write_str("the main table"),
                Called(TableId::NAMES, _) => f.write_str("the list of tables"),
                Called(TableId::SNAPSHOTS, _) => f.write_str("the list of snapshots"),
                Called(TableId::CATALOGUE, _) => f.write_str("the catalogue"),
                Called(TableId::SPACE, _) => f.write_str("the tree of dead pages"),
                Called(table, []) => write!(f, "table {table}"),
                Called(table, name) => write!(f, "table {} (number {table})", Quoted(name)),
            }
        }
    }
    Called(table, name)
}

/// A table that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTable {
    /// Its number, if it was sought by that.
    pub table: Option<TableId>,
    what: String,
}

impl MissingTable {
    /// Returns a table that was sought by its number, or by a name if `table` is `None`. `what` says which table it
    /// is, why it may be missing and what to do next.
    pub(super) fn new(table: Option<TableId>, what: String) -> MissingTable {
        MissingTable { table, what }
    }
}

impl Display for MissingTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What a put or a new table met and was not to meet: a key or a name that is there, or a key that is not the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The table in which the key is, or which has the name.
    pub table: TableId,
    what: String,
}

impl Conflict {
    /// Returns what is in the way in `table`. `what` names it.
    #[cold]
    pub(crate) fn new(table: TableId, what: String) -> Box<Conflict> {
        Box::new(Conflict { table, what })
    }
}

impl Display for Conflict {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Returns a path that does not depend on the working directory.
pub(super) fn absolute(path: &Path) -> Box<Path> {
    match path.as_os_str().is_empty() {
        true => path.into(),
        false => std::path::absolute(path).map_or_else(|_| path.into(), Into::into),
    }
}
