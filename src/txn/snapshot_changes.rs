//! What a draft knows of snapshots, if it changes their list.

use crate::error::{Error, Result};
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

impl SnapshotChanges {
    /// Returns a copy.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn try_clone(&self) -> Result<SnapshotChanges> {
        let mut new = Vec::new();
        Error::or_room(&mut new, self.new.len(), "the names of new snapshots")?;
        for name in &self.new {
            new.push(Error::or_copy(name, "the name of a new snapshot")?);
        }
        Ok(SnapshotChanges {
            recorded: self.recorded.as_ref().map(RecordedCommits::copy).transpose()?,
            new,
            guid: self.guid,
        })
    }
}
