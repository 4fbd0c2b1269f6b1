//! What a commit is to those who read it.

use crate::ids::CommitId;
use crate::page::Roots;

/// What a snapshot sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The commit.
    pub id: CommitId,
    /// Pages of the file then.
    pub pages: u64,
    /// Its trees.
    pub roots: Roots,
}
