//! A table as a write transaction has it.

use super::flush::TreeState;
use crate::ids::TableId;
use crate::page::Root;

/// A table this transaction has looked at.
pub(crate) struct Open {
    pub tree: TreeState,
    /// Root at the snapshot.
    pub original: Root,
    pub name: Vec<u8>,
    pub note: Vec<u8>,
    /// In the catalogue at the snapshot.
    pub existed: bool,
    /// Name or note changed.
    pub renamed: bool,
    pub dropped: bool,
    /// The edit that came last, if it is not applied yet, has the greatest key: what an append is compared with.
    pub appending: bool,
}

impl Open {
    pub fn new(table: TableId, root: Root, existed: bool) -> Open {
        Open {
            tree: TreeState::new(table, root),
            original: root,
            name: Vec::new(),
            note: Vec::new(),
            existed,
            renamed: false,
            dropped: false,
            appending: false,
        }
    }

    /// Whether the catalogue has to be told of it.
    pub fn is_changed(&self) -> bool {
        match self.dropped {
            true => self.existed,
            false => self.renamed || self.tree.root != self.original,
        }
    }

    /// The greatest key is not known any more.
    pub fn forget_last(&mut self) {
        self.appending = false;
    }
}
