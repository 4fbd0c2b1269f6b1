//! What a fold writes into the space tree.

use super::dead::{Parked, SpaceEdit};

/// What a fold writes into the space tree.
#[derive(Debug, Default)]
pub struct Fold {
    /// Changes of the part that is keyed by pages, in ascending order.
    pub edits: Vec<SpaceEdit>,
    /// What is parked, in ascending order of its keys.
    pub parked: Vec<Parked>,
    /// What was parked and is so no more.
    pub reaped: Vec<Parked>,
}

impl Fold {
    /// Returns the number of pages that are parked.
    pub fn parked_pages(&self) -> u64 {
        pages(&self.parked)
    }

    /// Returns the number of pages that were parked and are so no more.
    pub fn reaped_pages(&self) -> u64 {
        pages(&self.reaped)
    }
}

fn pages(parked: &[Parked]) -> u64 {
    parked.iter().map(|parked| parked.extent.run.pages).sum()
}
