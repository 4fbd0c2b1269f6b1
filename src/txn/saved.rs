//! What a draft keeps to go back to a savepoint.

use super::snapshot_changes::SnapshotChanges;
use super::table::{TableIndex, TableState};

/// What a draft was like.
pub(super) struct Savepoint {
    pub tables: Vec<TableState>,
    pub recent: TableIndex,
    pub snapshots: SnapshotChanges,
    pub changed: bool,
}
