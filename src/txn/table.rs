//! The trees and tables of a draft: the root with everything that was flushed, the edits that were not, and what the
//! catalogue will say about the table.

use super::write_set::WriteSet;
use crate::catalogue::{TableKind, TableRecord};
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::Root;

/// The index of a table among those that a draft has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableIndex(pub(super) usize);

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
    /// What kind of table it is.
    kind: TableKind,
    /// The note that the user attached to it.
    pub note: Vec<u8>,
    /// Whether the catalogue of the snapshot has a record of it.
    existed: bool,
    /// Whether its record changes even if its root does not.
    pub record_changed: bool,
    /// Whether it was dropped.
    pub dropped: bool,
    /// Whether the table is known to be one that this version may change.
    pub(super) is_changeable: bool,
    /// Whether the edit that came last, if it is not flushed yet, has the greatest key of the table. An append is then
    /// compared with that key.
    pub(super) last_is_greatest: bool,
    /// The greatest key of the tree, if `knows_greatest`. It is for appends to a table without edits that wait.
    greatest: Vec<u8>,
    knows_greatest: bool,
}

/// What a table of a draft was like when it had no edits that wait.
pub(super) struct TableState {
    root: Root,
    name: Vec<u8>,
    kind: TableKind,
    note: Vec<u8>,
    record_changed: bool,
    dropped: bool,
    is_changeable: bool,
}

const NAME: &str = "the name of a table";
const NOTE: &str = "the note of a table";

impl TableState {
    /// Returns a copy.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(super) fn try_clone(&self) -> Result<TableState> {
        Ok(TableState {
            name: Error::or_copy(&self.name, NAME)?,
            kind: self.kind.clone(),
            note: Error::or_copy(&self.note, NOTE)?,
            ..*self
        })
    }
}

impl DraftTable {
    /// Creates a table from its record in the snapshot's catalogue. The main table, and the list of names in a
    /// database that never had a named table, have no record there; the caller makes one up for them.
    pub(super) fn stored(table: TableId, record: TableRecord, existed: bool) -> DraftTable {
        DraftTable {
            tree: DraftTree::new(table, record.root),
            original: record.root,
            // The tree that a number below the named ones stands for is known to this version or it is not.
            is_changeable: record.kind.is_changeable() && (table <= TableId::NAMES || table >= TableId::FIRST_NAMED),
            name: record.name,
            kind: record.kind,
            note: record.note,
            existed,
            record_changed: false,
            dropped: false,
            last_is_greatest: false,
            greatest: Vec::new(),
            knows_greatest: false,
        }
    }

    /// Returns what the table is like. It has no edits that wait.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(super) fn state(&self) -> Result<TableState> {
        Ok(TableState {
            root: self.tree.root,
            name: Error::or_copy(&self.name, NAME)?,
            kind: self.kind.clone(),
            note: Error::or_copy(&self.note, NOTE)?,
            record_changed: self.record_changed,
            dropped: self.dropped,
            is_changeable: self.is_changeable,
        })
    }

    /// Makes the table what it was like. Its edits were forgotten.
    pub(super) fn restore(&mut self, state: TableState) {
        self.tree.root = state.root;
        (self.name, self.kind, self.note) = (state.name, state.kind, state.note);
        (self.record_changed, self.dropped) = (state.record_changed, state.dropped);
        self.is_changeable = state.is_changeable;
        self.last_is_greatest = false;
        self.forget_greatest();
    }

    /// Returns the greatest key of the tree, if it is known and no edits wait to be flushed.
    pub(super) fn greatest(&self) -> Option<&[u8]> {
        self.knows_greatest.then_some(self.greatest.as_slice())
    }

    /// Takes note of the greatest key of the tree, which has no edits that wait.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(super) fn note_greatest(&mut self, key: &[u8]) -> Result<()> {
        self.knows_greatest = false;
        self.greatest.clear();
        Error::or_room(&mut self.greatest, key.len(), "the greatest key of a table")?;
        self.greatest.extend_from_slice(key);
        self.knows_greatest = true;
        Ok(())
    }

    /// Takes note that the last edit that waits has the greatest key, if it is known to, and is about to be applied.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(super) fn note_last(&mut self) -> Result<()> {
        if !self.last_is_greatest {
            return Ok(());
        }
        self.greatest.clear();
        if let Some(last) = self.tree.edits.log().last_key() {
            Error::or_room(&mut self.greatest, last.len(), "the greatest key of a table")?;
            self.greatest.extend_from_slice(last);
            self.knows_greatest = true;
        }
        Ok(())
    }

    /// Takes note that another key may be the greatest now.
    #[inline(always)]
    pub(super) fn forget_greatest(&mut self) {
        self.knows_greatest = false;
    }

    /// Creates a table that is new in this transaction, with everything that `record` says but its root. The
    /// transaction may fill it, whatever kind of table it is.
    pub fn created(table: TableId, record: TableRecord) -> DraftTable {
        let record = TableRecord {
            root: Root::default(),
            ..record
        };
        DraftTable {
            record_changed: true,
            is_changeable: true,
            ..DraftTable::stored(table, record, false)
        }
    }

    /// Takes over what the catalogue says of the main table, whose record has no root and may be absent.
    pub(super) fn describe(&mut self, record: TableRecord) {
        self.is_changeable = record.kind.is_changeable();
        (self.kind, self.note) = (record.kind, record.note);
    }

    /// Gives the main table what another file says of it. The transaction may fill it, whatever kind of table it is.
    pub fn describe_anew(&mut self, record: TableRecord) {
        self.describe(record);
        (self.is_changeable, self.record_changed) = (true, true);
    }

    /// Returns whether the table is as `record` says, with the root `root` and without edits that wait.
    pub fn is_as(&self, record: &TableRecord, root: &Root) -> bool {
        self.tree.root == *root && self.tree.edits.is_empty() && self.is_described_as(record)
    }

    /// Returns whether all but the root is as `record` says.
    pub fn is_described_as(&self, record: &TableRecord) -> bool {
        (&self.name, &self.kind, &self.note) == (&record.name, &record.kind, &record.note)
    }

    /// Takes over name, kind and note of an earlier record of the table. The list of names is left as it is.
    pub fn describe_as(&mut self, record: TableRecord) {
        (self.name, self.kind, self.note) = (record.name, record.kind, record.note);
        self.record_changed = true;
    }

    /// Returns whether the catalogue has to be changed for it. The roots of the main table and of the list of snapshots
    /// are not in there.
    pub(super) fn is_changed(&self) -> bool {
        match self.dropped {
            _ if self.tree.table == TableId::SNAPSHOTS => false,
            true => self.existed,
            false if self.tree.table == TableId::MAIN => self.record_changed,
            false => self.record_changed || self.tree.root != self.original,
        }
    }

    /// Returns whether the tree is placed with those of the tables. That of the list of snapshots waits for their
    /// roots.
    pub(super) fn is_placed_first(&self) -> bool {
        !self.dropped && self.tree.table != TableId::SNAPSHOTS
    }

    /// Returns the record that the catalogue gets.
    pub(super) fn record(&self) -> TableRecord {
        TableRecord {
            root: match self.tree.table {
                TableId::MAIN => Root::default(),
                _ => self.tree.root,
            },
            name: self.name.clone(),
            kind: self.kind.clone(),
            note: self.note.clone(),
        }
    }
}
