//! A dead extent, the entry of the space tree.

use crate::ids::CommitId;
use crate::page::Extent;

/// Pages that died and may be reused in time. The space tree holds these entries, keyed by their first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dead {
    /// The pages, which never cross a border of a zone, and the commit that wrote them.
    pub extent: Extent,
    /// The first commit that does not refer to the pages any more.
    pub death: CommitId,
}
