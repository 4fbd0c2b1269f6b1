//! What readers need to know of a commit.

use crate::ids::CommitId;
use crate::page::Roots;

/// The id, length and roots of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The id of the commit.
    pub id: CommitId,
    /// The pages that the file has at this commit.
    pub pages: u64,
    /// The roots of the commit's trees.
    pub roots: Roots,
}
