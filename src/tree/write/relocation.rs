//! What a relocation may still do, and what it has done.

use crate::ids::{CommitId, PageNo, PageRef};
use crate::page::{Extent, Ptr};

/// Why a walk stopped before the end of its tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It has moved or looked at as many pages as it may.
    Limit,
    /// Too few pages are free for another leaf and the branches above it.
    NoRoom,
}

/// The relocation of what lies at or behind a page of the file, in one transaction.
#[derive(Debug)]
pub struct Relocation {
    /// The first page that is to come free, and those behind it.
    pub frontier: PageNo,
    /// What was born by this commit stays where it is: a snapshot sees it, so its pages would not come free.
    pub kept: CommitId,
    /// How many more pages may be moved.
    pub moves: u64,
    /// How many more pages may be looked at.
    pub looks: u64,
    /// How many more pages are free before the frontier.
    pub room: u64,
    /// The number of pages that were moved.
    pub moved: u64,
    /// The number of pages of long values and long keys that lie behind the frontier still, because no run of free
    /// pages takes them.
    pub left: u64,
    /// Why the walk stopped before the end of the tree, if it did.
    pub stop: Option<Stop>,
    /// The number of levels of the tree.
    pub(super) height: u8,
    /// The key with which the next walk begins, if it is another one than that with which this one began.
    pub(super) next: Option<Vec<u8>>,
}

impl Relocation {
    /// Returns the relocation of what lies at or behind `frontier`. Nothing is allowed yet.
    pub fn new(frontier: PageNo) -> Relocation {
        Relocation {
            frontier,
            kept: CommitId::NONE,
            moves: 0,
            looks: 0,
            room: 0,
            moved: 0,
            left: 0,
            stop: None,
            height: 0,
            next: None,
        }
    }

    /// Returns whether a page is to be moved. A private one has no number yet, and gets one before the frontier.
    pub fn is_behind(&self, page: PageRef) -> bool {
        !page.is_private() && page.number() >= self.frontier
    }

    /// Returns whether this extent is to be moved.
    pub(super) fn is_extent_behind(&self, extent: &Extent) -> bool {
        extent.birth > self.kept && extent.run.checked_end().is_none_or(|end| end > self.frontier)
    }

    /// Returns whether nothing of this subtree can be moved: nothing in it is younger than its root.
    pub(super) fn is_kept(&self, ptr: &Ptr) -> bool {
        ptr.birth <= self.kept
    }

    /// Returns whether another page may be looked at. If not, says why.
    pub(super) fn may_look(&mut self) -> bool {
        if self.moves == 0 || self.looks == 0 {
            self.stop = Some(Stop::Limit);
        }
        self.stop.is_none()
    }

    /// Returns whether a page can be moved that is to be. If not, says why.
    pub(super) fn may_move(&mut self) -> bool {
        if !self.has_room_for(1) {
            self.stop = Some(Stop::NoRoom);
        }
        self.stop.is_none()
    }

    /// Returns whether so many pages can be moved, and each page above them be written anew.
    pub(super) fn has_room_for(&self, pages: u64) -> bool {
        self.room >= pages + u64::from(self.height)
    }

    /// Notes that a page was read.
    pub(super) fn note_look(&mut self) {
        self.looks = self.looks.saturating_sub(1);
    }

    /// Notes that pages which lay behind the frontier were given up.
    pub(super) fn note_moved(&mut self, pages: u64) {
        self.moved += pages;
        self.moves = self.moves.saturating_sub(pages);
    }

    /// Notes that pages were taken before the frontier, or will be when private ones are placed.
    pub fn note_taken(&mut self, pages: u64) {
        self.room = self.room.saturating_sub(pages);
    }
}
