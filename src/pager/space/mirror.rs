//! The dead extents that a writer knows of, by their first pages.

use super::dead::Dead;
use super::page_map::PageMap;
use crate::ids::{CommitId, PageNo, Run};
use crate::page::Extent;
use std::ops::Range;

/// What is kept of a dead extent under its first page. The page is not kept a second time: blocks of a [`PageMap`] hold
/// a thousand values and are allocated in one piece, and one that is not made cannot be answered by an error.
#[derive(Debug, Clone, Copy, Default)]
struct Value {
    /// The number of pages, which no zone has more than 2^16 of, and [`OWN`].
    pages: u64,
    birth: CommitId,
    death: CommitId,
}

/// The bit of `Value::pages` that is `Extent::own`.
const OWN: u64 = 1 << 63;

impl Value {
    fn at(self, first: PageNo) -> Dead {
        Dead {
            extent: Extent {
                own: self.pages & OWN != 0,
                ..Extent::new(Run::new(first, self.pages & !OWN), self.birth)
            },
            death: self.death,
        }
    }
}

/// A map of dead extents.
#[derive(Debug, Default)]
pub(super) struct Mirror(PageMap<Value>);

impl Mirror {
    /// Returns whether extents are missing, because there was no memory when they were put in.
    pub fn is_incomplete(&self) -> bool {
        self.0.is_incomplete()
    }

    /// Returns the number of extents.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the extent that begins at `first`.
    pub fn get(&self, first: PageNo) -> Option<Dead> {
        self.0.get(first).map(|value| value.at(first))
    }

    /// Puts an extent in, in place of one that begins at the same page.
    pub fn insert(&mut self, dead: Dead) {
        let value = Value {
            pages: dead.extent.run.pages | if dead.extent.own { OWN } else { 0 },
            birth: dead.extent.birth,
            death: dead.death,
        };
        self.0.insert(dead.extent.run.first, value);
    }

    /// Removes the extent that begins at `first`.
    pub fn remove(&mut self, first: PageNo) {
        self.0.remove(first);
    }

    /// Returns the last extent that begins before `end`.
    pub fn before(&self, end: PageNo) -> Option<(PageNo, Dead)> {
        self.0.before(end).map(|(first, value)| (first, value.at(first)))
    }

    /// Returns the extents that begin in `range`, in ascending order.
    pub fn range(&self, range: Range<PageNo>) -> impl Iterator<Item = (PageNo, Dead)> + '_ {
        let found = self.0.range(range);
        found.map(|(first, value)| (first, value.at(first)))
    }
}
