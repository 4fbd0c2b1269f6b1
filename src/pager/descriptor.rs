//! What readers need to know of a commit, and what else processes tell each other of it.

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

/// What processes tell each other of a commit that readers do not need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::pager) struct Origin {
    /// The commit that was durable when this one was made (I-2).
    pub base: CommitId,
    /// The time of the commit, in nanoseconds since 1970.
    pub time: u64,
}
