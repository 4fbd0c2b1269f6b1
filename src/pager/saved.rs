//! What a writer must know to undo what it has done since a savepoint.

use super::space::PageRuns;
use crate::ids::{PageNo, Run};

/// What a writer has done since a savepoint, and what it was like there.
#[derive(Debug, Default)]
pub(super) struct Undo {
    /// The pages that were taken since and not given back.
    pub taken: PageRuns,
    /// Pages that were taken before and that the transaction does not need any more.
    pub released: Vec<Run>,
    /// How many extents of earlier commits had been released before.
    pub freed: usize,
    /// Whether there was no memory for one of them.
    pub freed_incomplete: bool,
    /// Whether the list of pages taken was incomplete.
    pub taken_incomplete: bool,
    /// Whether the transaction added something to the database.
    pub adds: bool,
    /// The page before which pages were taken, if they were not taken anywhere.
    pub frontier: Option<PageNo>,
}
