//! Trees and tables as a draft has them: the root with everything that was flushed, the edits that were not, and what
//! the catalogue will say.

use super::write_set::WriteSet;
use crate::catalogue::TableRecord;
use crate::ids::TableId;
use crate::page::Root;

/// One tree that a draft changes.
#[derive(Default)]
pub struct DraftTree {
    /// Number of its table, for page headers and errors.
    pub table: TableId,
    /// Root with everything flushed so far.
    pub root: Root,
    /// Edits that are not flushed yet.
    pub edits: WriteSet,
    /// Bytes of the log when it was last counted into the budget.
    pub(super) counted: usize,
}

impl DraftTree {
    /// The tree of `table` as the snapshot has it.
    pub fn new(table: TableId, root: Root) -> DraftTree {
        DraftTree {
            table,
            root,
            ..DraftTree::default()
        }
    }
}

/// A table that a draft has opened.
pub struct DraftTable {
    /// Its tree.
    pub tree: DraftTree,
    /// Root at the snapshot.
    original: Root,
    /// Its name; empty for a table without one.
    pub name: Vec<u8>,
    /// The user's note.
    pub note: Vec<u8>,
    /// The catalogue has a record of it at the snapshot.
    existed: bool,
    /// Its record changes even if its root does not.
    pub record_changed: bool,
    /// It was dropped.
    pub dropped: bool,
    /// The edit that came last, if it is not flushed yet, has the greatest key of the table: what an append is compared
    /// with.
    pub(super) last_is_greatest: bool,
}

impl DraftTable {
    /// A table as the snapshot's catalogue has it. (The default table, and the list of names of a database that never had
    /// a named table, have no record: theirs is made up.)
    pub(super) fn stored(table: TableId, record: TableRecord, existed: bool) -> DraftTable {
        DraftTable {
            tree: DraftTree::new(table, record.root),
            original: record.root,
            name: record.name,
            note: record.note,
            existed,
            record_changed: false,
            dropped: false,
            last_is_greatest: false,
        }
    }

    /// A table that the transaction creates.
    pub fn created(table: TableId, name: &[u8], note: &[u8]) -> DraftTable {
        let record = TableRecord {
            root: Root::default(),
            name: name.to_vec(),
            note: note.to_vec(),
        };
        DraftTable {
            record_changed: true,
            ..DraftTable::stored(table, record, false)
        }
    }

    /// Whether the catalogue has to be told of it.
    pub(super) fn is_changed(&self) -> bool {
        match self.dropped {
            true => self.existed,
            false => self.record_changed || self.tree.root != self.original,
        }
    }

    /// What the catalogue is to say of it.
    pub(super) fn record(&self) -> TableRecord {
        TableRecord {
            root: self.tree.root,
            name: self.name.clone(),
            note: self.note.clone(),
        }
    }
}
