//! Edits where a tree cursor stands, the gap that a removed entry leaves, and the way out of it and of its leaf.
//!
//! A cursor that deletes what it comes to would have to find its place again with each step. So it keeps its position:
//! in the leaf that has lost the entry, the one behind it has now the same number.

use super::cursor::{CursorState, TreeCursor, TreeView};
use super::path::Position;
use crate::error::Result;
use crate::page::key::LeafShape;
use crate::page::leaf::Leaf;
use crate::page::PageSource;

impl TreeCursor {
    /// Takes note that the entry the cursor stood on was deleted.
    pub fn deleted(&mut self) {
        self.state = CursorState::InGap;
        self.forget();
    }

    /// Returns whether the cursor stands on an entry of this version of the tree.
    #[inline(always)]
    pub fn stands(&self, version: u64) -> bool {
        self.state == CursorState::OnEntry && self.is_fresh(version)
    }

    /// Steps out of a gap whose place is known to an entry of the same leaf and returns its value, if key and value are
    /// short. If it returns `None`, the cursor is still in the gap.
    #[inline]
    pub fn step_from_gap<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        version: u64,
        back: bool,
    ) -> Option<&'s [u8]> {
        let known = self.state == CursorState::InGap && self.knows_gap && self.is_fresh(version);
        let (behind, _) = self.position.in_leaf();
        let within = if back { behind > self.low } else { behind < self.high };
        if !(known && within) {
            return None;
        }
        let index = if back { behind - 1 } else { behind };
        let page = source.peek(self.position.leaf_ptr())?;
        let leaf = Leaf::of(page, self.position.leaf_ptr().page).ok()?;
        let shape = LeafShape::of(&leaf, &mut self.key).ok()?;
        let value = shape.entry(page, index, &mut self.key)?;
        self.position.set_index(index);
        self.shape = shape;
        (self.state, self.knows_gap) = (CursorState::OnEntry, false);
        Some(value)
    }

    /// Returns the position of the entry that the cursor stands on, for an edit there, and its key. The cursor must be
    /// fresh.
    #[inline]
    pub fn entry_position(&mut self) -> (&mut Position, &[u8]) {
        debug_assert!(
            self.fresh && self.state == CursorState::OnEntry,
            "the cursor stands on an entry"
        );
        (&mut self.position, self.key.as_slice())
    }

    /// Takes note that the tree has this version since an edit where the cursor stands. The position still leads to the
    /// entry or, if that was `removed`, to the one behind the gap.
    #[inline]
    pub fn edited(&mut self, version: u64, removed: bool) {
        (self.version, self.leaf_is_seen) = (version, false);
        if removed {
            self.high = self.high.saturating_sub(1);
            (self.state, self.knows_gap) = (CursorState::InGap, true);
        }
    }

    /// Moves to the entry behind a gap whose place is known. Returns false, and stands at the end, if there is none.
    pub(super) fn forward_from_gap<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        let (behind, len) = self.position.in_leaf();
        if behind < self.high {
            return self.leave_gap(t, behind).map(|()| true);
        }
        self.leave_leaf_forward(t, len)
    }

    /// Moves to the entry before a gap whose place is known. Returns false, and stands at the start, if there is none.
    pub(super) fn backward_from_gap<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        let (behind, _) = self.position.in_leaf();
        if behind > self.low {
            return self.leave_gap(t, behind - 1).map(|()| true);
        }
        self.leave_leaf_backward(t)
    }

    /// Moves to the first entry of the next leaf, or to the end if the limits end in this leaf of `len` entries.
    pub(super) fn leave_leaf_forward<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &TreeView<'_, S>,
        len: usize,
    ) -> Result<bool> {
        if self.high < len {
            self.park(CursorState::AfterLast);
            return Ok(false);
        }
        self.forget();
        self.position.next_leaf(t.source)?;
        self.arrive(t, CursorState::AfterLast)
    }

    /// Moves to the last entry of the leaf before, or to the start if the limits begin in this leaf.
    pub(super) fn leave_leaf_backward<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        if self.low > 0 {
            self.park(CursorState::BeforeFirst);
            return Ok(false);
        }
        self.forget();
        self.position.prev_leaf(t.source)?;
        self.arrive(t, CursorState::BeforeFirst)
    }

    /// Moves from a gap to entry `index` of its leaf, which has another number of entries than before. After an error
    /// the cursor finds the gap again by its key.
    fn leave_gap<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>, index: usize) -> Result<()> {
        self.position.set_index(index);
        let found = self.position.leaf(t.source).and_then(|leaf| {
            self.shape = LeafShape::of(&leaf, &mut self.key)?;
            self.load(t, &leaf)
        });
        match found {
            Ok(()) => (self.state, self.knows_gap) = (CursorState::OnEntry, false),
            Err(_) => self.forget(),
        }
        found
    }
}
