//! What a relocation has made of trees whose roots are no table's.

use crate::page::Root;

/// The roots that such trees have with their moved pages, until the commit goes on with them.
#[derive(Clone, Copy, Default)]
pub(super) struct RelocatedRoots {
    /// That of the catalogue.
    pub catalogue: Option<Root>,
    /// That of the space tree.
    pub space: Option<Root>,
}
