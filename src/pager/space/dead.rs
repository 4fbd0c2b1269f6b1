//! Dead extents, the entries of the space tree, and edits of that tree.

use crate::ids::{CommitId, PageNo};
use crate::page::Extent;

/// Pages that died and may be reused in time. The space tree holds these entries, keyed by their first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dead {
    /// The pages, which never cross a border of a zone, and the commit that wrote them.
    pub extent: Extent,
    /// The first commit that does not refer to the pages any more.
    pub death: CommitId,
}

impl Dead {
    /// Returns whether any commit has referred to the pages. If not, they died in the commit that took them: it gave
    /// them back unused, and nobody can need them.
    pub(super) fn was_in_use(&self) -> bool {
        self.extent.birth != self.death
    }
}

/// A dead extent that is kept for named snapshots, under the newest of those that see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Parked {
    /// The commit of the newest snapshot that saw the extent when it was parked (I-23).
    pub holder: CommitId,
    /// The commit that parked it. What is parked at once lies together.
    pub fold: CommitId,
    /// The pages, and the commit that wrote them.
    pub extent: Extent,
    /// The first commit that did not refer to the pages any more.
    pub death: CommitId,
}

impl Parked {
    /// Returns the extent as it is when it is not parked.
    pub fn dead(&self) -> Dead {
        Dead {
            extent: self.extent,
            death: self.death,
        }
    }
}

/// A change that a fold makes to the space tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpaceEdit {
    /// The page that is the key of the changed entry.
    pub first: PageNo,
    /// The extent that begins there, or `None` if the entry is removed.
    pub dead: Option<Dead>,
}
