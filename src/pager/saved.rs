//! What a writer must know to undo what it has done since a savepoint.

use super::space::PageRuns;
use crate::ids::Run;

/// What a writer has done since a savepoint.
#[derive(Debug, Default)]
pub(super) struct Savepoint {
    /// The pages that were taken since and not given back.
    pub taken: PageRuns,
    /// Pages that were taken before and that the transaction does not need any more.
    pub released: Vec<Run>,
    /// How many extents of earlier commits had been released before.
    pub freed: usize,
    /// Whether there was no memory for one of them.
    pub freed_incomplete: bool,
}
