//! The trees and tables of a draft: the root with everything that was flushed, the edits that were not, and what the
//! catalogue will say about the table.

use super::write_set::WriteSet;
use crate::catalogue::TableRecord;
use crate::ids::TableId;
use crate::page::Root;

/// A tree that a draft changes.
#[derive(Default)]
pub struct DraftTree {
    /// The number of its table, for page headers and errors.
    pub table: TableId,
    /// The root, with everything that was flushed so far.
    pub root: Root,
    /// The edits that are not flushed yet.
    pub edits: WriteSet,
    /// The number of bytes that the log had when it was last counted into the budget.
    pub(super) counted: usize,
}

impl DraftTree {
    /// Creates the tree of `table` with the root that it has in the snapshot.
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
    /// The root in the snapshot.
    original: Root,
    /// Its name, which is empty for a table without one.
    pub name: Vec<u8>,
    /// The note that the user attached to it.
    pub note: Vec<u8>,
    /// Whether the catalogue of the snapshot has a record of it.
    existed: bool,
    /// Whether its record changes even if its root does not.
    pub record_changed: bool,
    /// Whether it was dropped.
    pub dropped: bool,
    /// Whether the edit that came last, if it is not flushed yet, has the greatest key of the table. An append is then
    /// compared with that key.
    pub(super) last_is_greatest: bool,
}

impl DraftTable {
    /// Creates a table from its record in the snapshot's catalogue. The default table, and the list of names in a
    /// database that never had a named table, have no record there; the caller makes one up for them.
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

    /// Creates a table that is new in this transaction.
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

    /// Returns whether the catalogue has to be changed for it.
    pub(super) fn is_changed(&self) -> bool {
        match self.dropped {
            true => self.existed,
            false => self.record_changed || self.tree.root != self.original,
        }
    }

    /// Returns the record that the catalogue gets.
    pub(super) fn record(&self) -> TableRecord {
        TableRecord {
            root: self.tree.root,
            name: self.name.clone(),
            note: self.note.clone(),
        }
    }
}
