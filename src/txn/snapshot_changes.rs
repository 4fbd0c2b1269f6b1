//! What a draft knows of snapshots, if it changes their list.

use crate::pager::RecordedCommits;

/// What a draft changes in the list of snapshots, besides its entries.
#[derive(Default)]
pub(super) struct SnapshotChanges {
    /// What the list will say, once something has changed in it.
    pub recorded: Option<RecordedCommits>,
    /// The names of snapshots and marks of what is about to be committed.
    pub new: Vec<Vec<u8>>,
    /// What they have to tell this state from others, once there is or was one of them.
    pub guid: Option<[u8; 16]>,
}
