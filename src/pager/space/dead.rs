//! A dead extent, the entry of the space tree.

use crate::ids::CommitId;
use crate::page::Extent;

/// A dead extent: pages that died and may be reused by and by. What the space tree holds, keyed by first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dead {
    /// The pages, which never cross a zone border, and the commit that wrote them.
    pub extent: Extent,
    /// Commit from which on they are not referenced.
    pub death: CommitId,
}

/// Pages of a zone: the unit in which a writer loads dead extents.
pub const ZONE_PAGES: u64 = 1 << 16;
