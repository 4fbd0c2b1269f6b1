//! Faults: what checks and salvages report of a damaged file.

use crate::error::{Error, FaultKind};
use crate::ids::{PageNo, TableId};

/// A fault that a check or a salvage found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The damaged page, or `None` if no single page is to blame.
    pub page: Option<PageNo>,
    /// The table, or `None` if it is not known.
    pub table: Option<TableId>,
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// What is wrong.
    pub what: String,
}

impl Fault {
    /// Returns the fault that bytes contradict the format or other parts of the file.
    pub(super) fn contradiction(
        page: impl Into<Option<PageNo>>,
        table: impl Into<Option<TableId>>,
        what: impl Into<String>,
    ) -> Fault {
        Fault {
            page: page.into(),
            table: table.into(),
            kind: FaultKind::Contradiction,
            what: what.into(),
        }
    }

    /// Returns a fault of a page that was reached in a table.
    pub(super) fn at(page: PageNo, table: TableId, kind: FaultKind, what: &str) -> Fault {
        Fault {
            page: Some(page),
            table: Some(table),
            kind,
            what: what.to_string(),
        }
    }

    /// Returns what an error that was met in a table is as a fault.
    pub(super) fn of(error: &Error, table: TableId) -> Fault {
        let (page, what) = error.as_fault();
        Fault {
            page,
            table: Some(table),
            kind: error.fault_kind(),
            what,
        }
    }

    /// Returns what the fault is to a job that needs a whole file: an error.
    pub fn into_error(self) -> Error {
        let error = Error::corrupt(self.page, self.what).of_kind(self.kind);
        match self.table {
            Some(table) => error.in_table(table),
            None => error,
        }
    }
}
