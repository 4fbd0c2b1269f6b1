//! The tree cursor: a position within limits that remembers the key it stands on.
//!
//! A tree cursor knows key order only; a caller that goes backwards calls `backward` for its next entry. The cursor
//! keeps its key, so that it finds the entry again after the tree has changed, which gives the tree another version. A
//! step within one leaf costs no search: the part of the leaf inside the limits is computed once, when the leaf is
//! entered.

use super::count::{self, Rank};
use super::limits::Limits;
use super::path::Position;
use crate::error::Result;
use crate::page::key::{KeyBuf, LeafShape};
use crate::page::leaf::{Leaf, Stored};
use crate::page::{PageSource, Root};
use std::ops::Bound;

/// The number of entries that are prefetched together when a cursor comes to a new leaf.
const SHORT_RUN: usize = 10;

/// A tree as one call sees it.
pub struct TreeView<'t, S: ?Sized> {
    /// The source of its pages.
    pub source: &'t S,
    /// Its root.
    pub root: &'t Root,
    /// A number that differs whenever the tree may have changed.
    pub version: u64,
}

/// Where a cursor stands, in key order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CursorState {
    /// Before the first entry.
    #[default]
    BeforeFirst,
    /// On the entry whose key it remembers.
    OnEntry,
    /// Where the entry of that key would be: it was deleted, or was never there.
    InGap,
    /// Behind the last entry.
    AfterLast,
}

/// A position within limits that remembers the key it stands on, as the head of this file explains.
#[derive(Debug, Clone, Default)]
pub struct TreeCursor {
    limits: Limits,
    pub(super) position: Position,
    pub(super) state: CursorState,
    pub(super) key: KeyBuf,
    pub(super) spare: KeyBuf,
    pub(super) version: u64,
    /// Whether the position belongs to `version`. If not, only the key counts.
    pub(super) fresh: bool,
    /// Whether the cursor is fresh, on an entry, and has seen the leaf through the source of its version, so that
    /// [`TreeCursor::step_to_short`] may go on without checking the page again.
    pub(super) leaf_is_seen: bool,
    /// The entries `low..high` of the leaf lie within the limits.
    pub(super) low: usize,
    pub(super) high: usize,
    /// The shape of the leaf, valid while the cursor is fresh and on an entry. `key` then begins with the leaf's
    /// prefix.
    pub(super) shape: LeafShape,
    /// Whether the position is right although the cursor is in a gap: entry `index` of the leaf, if it has so many, is
    /// the one behind the gap.
    pub(super) knows_gap: bool,
}

impl TreeCursor {
    /// Returns a cursor before the first entry of `limits`.
    pub fn new(limits: Limits) -> TreeCursor {
        TreeCursor {
            limits,
            ..TreeCursor::default()
        }
    }

    /// Returns where the cursor stands.
    #[cfg(test)]
    pub fn state(&self) -> CursorState {
        self.state
    }

    /// Returns the key that the cursor remembers.
    #[inline(always)]
    pub fn key(&self) -> &[u8] {
        self.key.as_slice()
    }

    /// Returns the key that the cursor remembers, with the room behind it.
    #[inline(always)]
    pub fn key_buf(&self) -> &KeyBuf {
        &self.key
    }

    /// Returns whether `bytes` lie where the cursor puts keys, so that the next step may overwrite them.
    pub fn overlaps_key(&self, bytes: &[u8]) -> bool {
        self.key.overlaps(bytes) || self.spare.overlaps(bytes)
    }

    /// Returns whether the position belongs to this version of the tree, so that no search is needed.
    #[inline(always)]
    pub fn is_fresh(&self, version: u64) -> bool {
        self.fresh && self.version == version
    }

    /// Gives up the position, so that only the key counts.
    #[inline(always)]
    pub(super) fn forget(&mut self) {
        (self.fresh, self.leaf_is_seen, self.knows_gap) = (false, false, false);
    }

    /// Moves before the first entry or behind the last, as `state` says.
    pub fn park(&mut self, state: CursorState) {
        self.state = state;
        self.forget();
    }

    /// Moves to the first entry within the limits. Returns false, and stands at the end, if there is none.
    pub fn first<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        self.forget();
        self.position.go_to_lower(t.source, t.root, &self.limits.lower)?;
        self.arrive(t, CursorState::AfterLast)
    }

    /// Moves to the last entry within the limits. Returns false, and stands at the start, if there is none.
    pub fn last<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        self.forget();
        self.position.go_to_upper(t.source, t.root, &self.limits.upper)?;
        self.arrive(t, CursorState::BeforeFirst)
    }

    /// Moves to the first entry that is greater than `key`, or equal if `or_equal`. Returns false, and stands at the
    /// end, if there is none.
    pub fn at_or_after<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &TreeView<'_, S>,
        key: &[u8],
        or_equal: bool,
    ) -> Result<bool> {
        if self.limits.is_before(key) {
            return self.first(t);
        }
        self.forget();
        if self.position.seek(t.source, t.root, key)? && !or_equal {
            self.position.next(t.source)?;
        }
        self.arrive(t, CursorState::AfterLast)
    }

    /// Moves to the last entry that is less than `key`, or equal if `or_equal`. Returns false, and stands at the start,
    /// if there is none.
    pub fn at_or_before<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &TreeView<'_, S>,
        key: &[u8],
        or_equal: bool,
    ) -> Result<bool> {
        if self.limits.is_behind(key) {
            return self.last(t);
        }
        self.forget();
        self.position.seek_before(t.source, t.root, key, or_equal)?;
        self.arrive(t, CursorState::BeforeFirst)
    }

    /// Moves to the entry of `key`. Returns false, and stands where the entry would be, if there is none within the
    /// limits.
    pub fn exactly<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>, key: &[u8]) -> Result<bool> {
        self.forget();
        if self.limits.contains(key)
            && self.position.seek(t.source, t.root, key)?
            && self.arrive(t, CursorState::InGap)?
        {
            return Ok(true);
        }
        self.key.set(key)?;
        self.forget();
        self.state = CursorState::InGap;
        (self.version, self.fresh) = (t.version, true);
        Ok(false)
    }

    /// Moves to the next entry in key order. Returns false, and stands at the end, if there is none.
    #[inline(always)]
    pub fn forward<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        if self.step_to_any(t.source, t.version, false).is_some() {
            return Ok(true);
        }
        self.forward_slow(t)
    }

    /// Makes one step within the leaf and returns the value there, if the key is short and the leaf was seen. After
    /// `None` the cursor stands where it stood, and [`TreeCursor::forward`] or [`TreeCursor::backward`] has to make the
    /// step.
    #[inline(always)]
    pub fn step_to_short<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        version: u64,
        back: bool,
    ) -> Option<&'s [u8]> {
        if !self.leaf_is_seen || self.version != version {
            return None;
        }
        let next = self.beside(back)?;
        let page = source.again(self.position.leaf_ptr())?;
        let value = self.shape.short_entry(page, next, &mut self.key)?;
        self.position.set_index(next);
        Some(value)
    }

    /// Does what [`TreeCursor::step_to_short`] does, but for keys of all lengths. The steps through the rest of the
    /// leaf are then made by this function, too.
    #[inline]
    pub fn step_to_any<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        version: u64,
        back: bool,
    ) -> Option<&'s [u8]> {
        if self.state != CursorState::OnEntry || !self.is_fresh(version) {
            return None;
        }
        let next = self.beside(back)?;
        let page = source.peek(self.position.leaf_ptr())?;
        let value = self.shape.entry(page, next, &mut self.key)?;
        self.position.set_index(next);
        self.leaf_is_seen = false;
        Some(value)
    }

    /// Returns the entry to which a step within the leaf leads, or `None` if it leads out of `low..high`.
    #[inline(always)]
    fn beside(&self, back: bool) -> Option<usize> {
        let (index, _) = self.position.in_leaf();
        if back {
            (index > self.low).then(|| index - 1)
        } else {
            (index + 1 < self.high).then_some(index + 1)
        }
    }

    #[inline(never)]
    fn forward_slow<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        match self.state {
            CursorState::BeforeFirst => self.first(t),
            CursorState::AfterLast => Ok(false),
            CursorState::OnEntry if self.is_fresh(t.version) => {
                let (index, _) = self.position.in_leaf();
                if index + 1 < self.high {
                    return self.stand_on(t, index + 1).map(|()| true);
                }
                self.leave_leaf_forward(t, self.position.in_leaf().1)
            }
            CursorState::InGap if self.knows_gap && self.is_fresh(t.version) => self.forward_from_gap(t),
            _ => self.search_own_key(|w, key| w.at_or_after(t, key, false)),
        }
    }

    /// Moves to the previous entry in key order. Returns false, and stands at the start, if there is none.
    #[inline(always)]
    pub fn backward<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        if self.step_to_any(t.source, t.version, true).is_some() {
            return Ok(true);
        }
        self.backward_slow(t)
    }

    #[inline(never)]
    fn backward_slow<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        match self.state {
            CursorState::BeforeFirst => Ok(false),
            CursorState::AfterLast => self.last(t),
            CursorState::OnEntry if self.is_fresh(t.version) => {
                let (index, _) = self.position.in_leaf();
                if index > self.low {
                    return self.stand_on(t, index - 1).map(|()| true);
                }
                self.leave_leaf_backward(t)
            }
            CursorState::InGap if self.knows_gap && self.is_fresh(t.version) => self.backward_from_gap(t),
            _ => self.search_own_key(|w, key| w.at_or_before(t, key, false)),
        }
    }

    /// Returns whether the cursor stands on an entry. It searches for its key again if the tree has changed.
    pub fn look<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>) -> Result<bool> {
        match self.state {
            CursorState::BeforeFirst | CursorState::AfterLast => Ok(false),
            state if self.is_fresh(t.version) => Ok(state == CursorState::OnEntry),
            _ => self.search_own_key(|w, key| w.exactly(t, key)),
        }
    }

    /// Returns the value of the entry that the cursor stands on, if the leaf was seen and holds it. `None` may have any
    /// reason.
    #[inline]
    pub fn value_in_leaf<'s, S: PageSource<'s> + ?Sized>(&self, source: &S, version: u64) -> Option<&'s [u8]> {
        if !self.leaf_is_seen || self.version != version {
            return None;
        }
        let (index, _) = self.position.in_leaf();
        self.shape.value(source.again(self.position.leaf_ptr())?, index)
    }

    /// Returns the value of the entry that the cursor stands on. The cursor must be fresh.
    #[inline(always)]
    pub fn value<'s, S: PageSource<'s> + ?Sized>(&self, t: &TreeView<'_, S>) -> Result<Stored<'s>> {
        self.position.value(t.source)
    }

    /// Runs `f`, a search for the remembered key, which the key of the entry found may replace. After an error the
    /// cursor stands where it stood.
    fn search_own_key(&mut self, f: impl FnOnce(&mut Self, &[u8]) -> Result<bool>) -> Result<bool> {
        let state = self.state;
        let own = std::mem::replace(&mut self.key, std::mem::take(&mut self.spare));
        let result = f(self, own.as_slice());
        if result.is_err() {
            self.spare = std::mem::replace(&mut self.key, own);
            self.forget();
            self.state = state;
        } else {
            self.spare = own;
        }
        result
    }

    /// Stands on the entry that the position has come to, if it lies within the limits, and otherwise at `otherwise`.
    /// Returns whether it stands on an entry.
    #[inline(never)]
    pub(super) fn arrive<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &TreeView<'_, S>,
        otherwise: CursorState,
    ) -> Result<bool> {
        if self.position.is_valid() {
            let leaf = self.position.leaf(t.source)?;
            let (index, len) = self.position.in_leaf();
            (self.low, self.high) = self.window(&leaf, len, t.source)?;
            if index >= self.low && index < self.high {
                self.shape = LeafShape::of(&leaf, &mut self.key)?;
                self.look_ahead(t, leaf.bytes(), otherwise == CursorState::BeforeFirst)?;
                self.load(t, &leaf)?;
                self.state = CursorState::OnEntry;
                (self.version, self.fresh) = (t.version, true);
                // A source that verifies every access refuses to peek, so no step skips its checks.
                self.leaf_is_seen = t.source.peek(self.position.leaf_ptr()).is_some();
                return Ok(true);
            }
        }
        self.park(otherwise);
        Ok(false)
    }

    /// Prefetches what a few steps from here will read. During a longer scan, the position prefetches whole leaves.
    #[inline]
    fn look_ahead<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &TreeView<'_, S>,
        page: &[u8],
        back: bool,
    ) -> Result<()> {
        if self.position.is_running() {
            return Ok(());
        }
        let (index, _) = self.position.in_leaf();
        let (from, to) = if back {
            (self.low.max((index + 1).saturating_sub(SHORT_RUN)), index + 1)
        } else {
            (index, self.high.min(index + SHORT_RUN))
        };
        self.shape.prefetch(page, from, to);
        if to - from < SHORT_RUN {
            self.position.prefetch_neighbour(t.source, back)?;
        }
        Ok(())
    }

    /// Returns `low` and `high`: the entries `low..high` of `leaf` lie within the limits.
    fn window<'s, S: PageSource<'s> + ?Sized>(
        &self,
        leaf: &Leaf<'_>,
        len: usize,
        source: &S,
    ) -> Result<(usize, usize)> {
        let at = |key: &[u8], behind: bool| -> Result<usize> {
            // A bound may lie far from this leaf and lack its prefix, which a search in the leaf takes for granted.
            let prefix = leaf.prefix();
            if !key.starts_with(prefix) {
                return Ok(if key < prefix { 0 } else { len });
            }
            Ok(match leaf.position(key, source)? {
                Ok(i) if behind => i + 1,
                Ok(i) | Err(i) => i,
            })
        };
        let low = match &self.limits.lower {
            Bound::Unbounded => 0,
            Bound::Included(key) => at(key, false)?,
            Bound::Excluded(key) => at(key, true)?,
        };
        let high = match &self.limits.upper {
            Bound::Unbounded => len,
            Bound::Included(key) => at(key, true)?,
            Bound::Excluded(key) => at(key, false)?,
        };
        Ok((low, high.min(len)))
    }

    /// Copies the key of the entry that the position is on. The shape of the leaf is known.
    #[inline]
    pub(super) fn load<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>, leaf: &Leaf<'s>) -> Result<()> {
        let (index, _) = self.position.in_leaf();
        if self.shape.entry(leaf.bytes(), index, &mut self.key).is_some() {
            return Ok(());
        }
        let loaded = leaf.entry(index, t.source, &mut self.key);
        if loaded.is_err() {
            self.forget();
        }
        loaded.map(drop)
    }

    /// Makes up to `limit` steps (backwards if `reverse`), and calls `take` with each entry it comes to. If `take`
    /// returns false, that step is undone and is the last. Returns the number of entries that were taken.
    #[inline(always)]
    pub fn take_many<'s, S, F>(&mut self, t: &TreeView<'_, S>, reverse: bool, limit: u64, take: &mut F) -> Result<u64>
    where
        S: PageSource<'s> + ?Sized,
        F: FnMut(&KeyBuf, Stored<'s>) -> bool,
    {
        let mut taken = 0;
        // Where an undone step leads back to depends on whether the entry that the cursor stands on is still there.
        self.look(t)?;
        while taken < limit {
            let before = self.state;
            let gap = (before == CursorState::InGap).then(|| self.key.copy()).transpose()?;
            if !(if reverse { self.backward(t)? } else { self.forward(t)? }) {
                break;
            }
            // The entries up to the end of the leaf need none of the checks of a single step. (The first entry is
            // decoded twice, so that `take` is called at one place only, where the compiler can inline it.)
            let leaf = self.position.leaf(t.source)?;
            let (page, shape) = (leaf.bytes(), self.shape);
            let (first, _) = self.position.in_leaf();
            let (mut index, mut next) = (first, first);
            loop {
                let value = match shape.short_entry(page, next, &mut self.key) {
                    Some(value) => Stored::Inline(value),
                    None => match self.any_entry(&leaf, next, t.source) {
                        Ok(value) => value,
                        Err(e) => {
                            self.stand_on(t, index)?;
                            return Err(e);
                        }
                    },
                };
                if !take(&self.key, value) {
                    if next == first {
                        self.step_back(t, reverse, before, gap)?;
                    } else {
                        self.stand_on(t, index)?;
                    }
                    return Ok(taken);
                }
                taken += 1;
                index = next;
                let more = if reverse {
                    index > self.low
                } else {
                    index + 1 < self.high
                };
                if taken >= limit || !more {
                    break;
                }
                next = if reverse { index - 1 } else { index + 1 };
            }
            self.stand_on(t, index)?;
        }
        Ok(taken)
    }

    /// Copies the key of entry `index` of `leaf`, however it is stored, and returns its value.
    #[inline(never)]
    fn any_entry<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        leaf: &Leaf<'s>,
        index: usize,
        source: &S,
    ) -> Result<Stored<'s>> {
        match self.shape.entry(leaf.bytes(), index, &mut self.key) {
            Some(value) => Ok(Stored::Inline(value)),
            None => leaf.entry(index, source, &mut self.key),
        }
    }

    /// Moves to entry `index` of the present leaf.
    #[inline(never)]
    fn stand_on<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>, index: usize) -> Result<()> {
        self.position.set_index(index);
        match self.position.leaf(t.source) {
            Ok(leaf) => self.load(t, &leaf),
            Err(e) => {
                self.forget();
                Err(e)
            }
        }
    }

    /// Undoes one step. `before` is the state before it, and `gap` the key, if that state was a gap.
    fn step_back<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &TreeView<'_, S>,
        reverse: bool,
        before: CursorState,
        gap: Option<KeyBuf>,
    ) -> Result<()> {
        match (before, gap) {
            (CursorState::InGap, Some(key)) => {
                self.key = key;
                self.state = CursorState::InGap;
                self.forget();
            }
            (CursorState::OnEntry, _) => {
                if reverse {
                    self.forward(t)?;
                } else {
                    self.backward(t)?;
                }
            }
            (state, _) => self.park(state),
        }
        Ok(())
    }

    /// Returns the number of entries within the limits.
    pub fn count<'s, S: PageSource<'s> + ?Sized>(&self, t: &TreeView<'_, S>) -> Result<u64> {
        count::count(t.source, t.root, &self.limits)
    }

    /// Returns the number of entries within the limits that lie before the cursor in key order, or behind it if
    /// `reverse`.
    pub fn rank<'s, S: PageSource<'s> + ?Sized>(&self, t: &TreeView<'_, S>, reverse: bool) -> Result<u64> {
        let within = count::ranks(t.source, t.root, &self.limits)?;
        let between = |before| Rank { before, found: false };
        let rank = match self.state {
            CursorState::BeforeFirst => between(within.start),
            CursorState::AfterLast => between(within.end),
            CursorState::OnEntry if self.is_fresh(t.version) => Rank {
                before: self.position.rank(t.source)?,
                found: true,
            },
            _ => count::rank_of(t.source, t.root, self.key.as_slice())?,
        };
        Ok(if reverse {
            within.end.saturating_sub(rank.through().max(within.start))
        } else {
            rank.before.min(within.end).saturating_sub(within.start)
        })
    }

    /// Moves to the entry that has `n` entries of the range before it, or behind it if `reverse`. If there is none,
    /// returns false and stands at the end, or at the start if `reverse`.
    pub fn nth<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreeView<'_, S>, reverse: bool, n: u64) -> Result<bool> {
        self.forget();
        let within = count::ranks(t.source, t.root, &self.limits)?;
        let otherwise = if reverse {
            CursorState::BeforeFirst
        } else {
            CursorState::AfterLast
        };
        if n >= within.end - within.start {
            self.park(otherwise);
            return Ok(false);
        }
        let rank = if reverse { within.end - 1 - n } else { within.start + n };
        self.position.go_to_rank(t.source, t.root, rank)?;
        self.arrive(t, otherwise)
    }
}
