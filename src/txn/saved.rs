//! What a draft keeps to go back to a savepoint.

use super::relocated_roots::RelocatedRoots;
use super::snapshot_changes::SnapshotChanges;
use super::table::{TableIndex, TableState};
use crate::error::{Error, Result};

/// What a draft was like at a savepoint.
pub(super) struct SavedDraft {
    pub tables: Vec<TableState>,
    pub recent: TableIndex,
    pub snapshots: SnapshotChanges,
    pub changed: bool,
    pub relocated: RelocatedRoots,
}

impl SavedDraft {
    /// Returns a copy.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn try_clone(&self) -> Result<SavedDraft> {
        let mut tables = Vec::new();
        Error::or_room(&mut tables, self.tables.len(), "a savepoint")?;
        for table in &self.tables {
            tables.push(table.try_clone()?);
        }
        Ok(SavedDraft {
            tables,
            recent: self.recent,
            snapshots: self.snapshots.try_clone()?,
            changed: self.changed,
            relocated: self.relocated,
        })
    }
}
