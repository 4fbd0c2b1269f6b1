//! Where one edit is to be made, and what became of it.

use super::edits::Op;
use crate::tree::read::path::Position;

/// An edit of one key.
#[derive(Clone, Copy)]
pub struct KeyEdit<'e> {
    /// The key.
    pub key: &'e [u8],
    /// What the edit does to it.
    pub op: Op<'e>,
}

/// Where an edit is to be made.
pub struct Spot<'p> {
    /// A position in the tree as it is now.
    pub position: &'p mut Position,
    /// What is known of it.
    pub known: Known,
}

/// What is known of a position at which an edit is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It leads to the entry of the key.
    Entry,
    /// It leads to where the key, which has no entry, belongs: before that entry, in the same leaf.
    Gap,
    /// Nothing: it is only memory for the search.
    Nothing,
}

/// What is as right after an edit as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Valid {
    /// Nothing is sure: pages may have moved.
    Nothing,
    /// No page has moved, but an entry has come or gone.
    Paths,
    /// No page has moved, and no entry has come or gone, so that all positions are as right as before.
    Positions,
}

/// What became of an edit at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// It was made, and the position leads to the entry, or to the gap that it has left.
    Here(Valid),
    /// It was made, but its leaf is gone or has become two, so the position leads nowhere.
    LeafGone,
    /// It was not made: `apply` has to make it.
    Refused(Valid),
}

impl Edited {
    /// Returns what is as right as before.
    pub fn still_valid(self) -> Valid {
        match self {
            Edited::Here(kept) | Edited::Refused(kept) => kept,
            Edited::LeafGone => Valid::Nothing,
        }
    }
}
