//! A path through the tree to one entry: first, last, next, prev, seek.
//!
//! A position does not borrow the tree. Every call is given the source, which must be that of the tree in which the
//! path was found. Under another root the path has to be found again: a wrong one gives errors or wrong entries to who
//! reads, and an edit at it damages the tree. Whoever keeps a position therefore keeps the version of the tree with it.

use super::descent::{branch, check_height, leaf, Descent, LEAF_AHEAD};
use crate::error::{Error, Result};
use crate::ids::Run;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::leaf::{Leaf, Stored};
use crate::page::leaf_build::has_gap;
use crate::page::{PageSource, Ptr, Root};
use std::marker::PhantomData;
use std::ops::Bound;

/// One branch of a path, and the child that was taken in it.
#[derive(Debug, Clone, Copy)]
pub(in crate::tree) struct Step {
    pub ptr: Ptr,
    pub index: usize,
    pub len: usize,
}

/// A position in a tree: on an entry, or nowhere.
#[derive(Debug, Clone, Default)]
pub struct Position {
    /// The branches from the root down.
    pub(in crate::tree) path: Vec<Step>,
    pub(in crate::tree) leaf: Ptr,
    /// The entry of the leaf. If it is not less than `len`, the position is nowhere.
    pub(in crate::tree) index: usize,
    pub(in crate::tree) len: usize,
    /// The number of leaves that were entered from their neighbours since the last search. From 2 on this is a scan.
    run: u32,
    /// What `run` will be in the last leaf that is announced, on the side `way`.
    announced: u32,
    /// What `run` will be when more leaves are announced.
    announce_at: u32,
    way: Ahead,
}

/// The most bytes of a leaf that are prefetched ahead of a scan.
const SCAN_AHEAD: usize = 4096;
/// A scan that has read more leaves than this will read many more.
const LONG_SCAN: u32 = 64;
/// The most bytes of leaves that a scan has announced and not entered.
const WINDOW: usize = 8 << 20;
/// The number of branches above leaves that are announced together, at least.
const PARENTS: usize = 32;

/// On which side neighbours are expected to be read next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Ahead {
    #[default]
    Right,
    Left,
}

impl Ahead {
    /// Returns the number of the child `by` children from child `index` on, if that is not before the first one.
    #[inline(always)]
    fn nth(self, index: usize, by: usize) -> Option<usize> {
        match self {
            Ahead::Left => index.checked_sub(by),
            Ahead::Right => Some(index + by),
        }
    }
}

/// A descent to the leaf of a key that records the path in a position.
struct Seek<'a, 's, S: ?Sized> {
    position: &'a mut Position,
    descent: Descent<'a, 's, S>,
}

impl<'s, S: PageSource<'s> + ?Sized> Work for Seek<'_, 's, S> {
    type Out = Result<std::result::Result<usize, usize>>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Out {
        let Descent { source, key, .. } = self.descent;
        let path = &mut self.position.path;
        let (ptr, page) = self.descent.to_leaf::<K, false>(kernel, false, |passed| {
            path.push(Step {
                ptr: passed.ptr,
                index: passed.index,
                len: passed.len,
            });
            Ok(())
        })?;
        let leaf = Leaf::of(page, ptr.page)?;
        if let Some(hints) = source.leaf_hints() {
            hints.learn(page);
        }
        self.position.enter(ptr, &leaf)?;
        leaf.position_with(kernel, key, source)
    }
}

impl Position {
    /// Returns a position that is nowhere.
    pub fn new() -> Position {
        Position::default()
    }

    /// Returns whether the position is on an entry.
    #[inline(always)]
    pub fn is_valid(&self) -> bool {
        self.index < self.len
    }

    /// Returns the number of the entry in its leaf, and the number of entries in the leaf.
    #[inline(always)]
    pub fn in_leaf(&self) -> (usize, usize) {
        (self.index, self.len)
    }

    /// Moves to entry `index` of the same leaf, which must have it.
    #[inline(always)]
    pub fn set_index(&mut self, index: usize) {
        debug_assert!(index < self.len);
        self.index = index;
    }

    /// Leaves the entry: the position is nowhere then.
    #[inline]
    pub fn reset(&mut self) {
        self.path.clear();
        (self.index, self.len, self.run) = (0, 0, 0);
        (self.announced, self.announce_at) = (0, 0);
    }

    /// Returns whether no leaf of the tree lies behind this one.
    pub(in crate::tree) fn is_last_leaf(&self) -> bool {
        self.path.iter().all(|step| step.index + 1 == step.len)
    }

    /// Returns the pointer to the leaf.
    #[inline(always)]
    pub fn leaf_ptr(&self) -> &Ptr {
        &self.leaf
    }

    /// Returns whether the position has passed several leaves, so that [`Position::next_leaf`] prefetches whole leaves.
    #[inline(always)]
    pub(super) fn is_running(&self) -> bool {
        self.run > 1
    }

    /// Prefetches the beginning of the leaf before this one (if `back`) or behind it, if it has the same parent.
    #[inline(never)]
    pub(super) fn prefetch_neighbour<'s, S: PageSource<'s> + ?Sized>(&self, source: &S, back: bool) -> Result<()> {
        if let Some(step) = self.path.last() {
            let parent = branch(source, &step.ptr, 2)?;
            let other = if back {
                step.index.wrapping_sub(1)
            } else {
                step.index + 1
            };
            if other < parent.len() {
                source.prefetch(parent.child(other), LEAF_AHEAD);
            }
        }
        Ok(())
    }

    /// Runs `f`. If it fails, the position is nowhere.
    fn guard<T>(&mut self, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let result = f(self);
        if result.is_err() {
            self.reset();
        }
        result
    }

    /// Moves to the first or the last entry of its leaf, which has not moved but may have other entries than before.
    /// Returns the leaf, or `None`, and is nowhere, if it has no entry.
    ///
    /// # Errors
    /// `Corrupt`.
    #[inline]
    pub(super) fn go_to_end_of_leaf<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        last: bool,
    ) -> Result<Option<Leaf<'s>>> {
        self.guard(|p| {
            let ptr = p.leaf;
            let leaf = leaf(source, &ptr)?;
            p.enter(ptr, &leaf)?;
            p.index = if last { p.len.saturating_sub(1) } else { 0 };
            Ok(p.is_valid().then_some(leaf))
        })
    }

    /// Moves to the first entry that this lower bound allows. Returns false, and is nowhere, if there is none.
    ///
    /// # Errors
    /// `Corrupt`: a page that was read is damaged, as in every function of this file.
    pub fn go_to_lower<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        root: &Root,
        bound: &Bound<Vec<u8>>,
    ) -> Result<bool> {
        match bound {
            Bound::Unbounded => self.go_to_first(source, root),
            Bound::Included(key) => self.seek(source, root, key).map(|_| self.is_valid()),
            Bound::Excluded(key) => {
                let equal = self.seek(source, root, key)?;
                Ok(if equal { self.next(source)? } else { self.is_valid() })
            }
        }
    }

    /// Moves to the last entry that this upper bound allows. Returns false, and is nowhere, if there is none.
    pub fn go_to_upper<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        root: &Root,
        bound: &Bound<Vec<u8>>,
    ) -> Result<bool> {
        match bound {
            Bound::Unbounded => self.go_to_last(source, root),
            Bound::Included(key) => self.seek_before(source, root, key, true),
            Bound::Excluded(key) => self.seek_before(source, root, key, false),
        }
    }

    /// Moves to the first entry. Returns false if the tree is empty.
    ///
    /// # Errors
    /// `Corrupt`: a page that was read is damaged, as in every function of this file.
    pub fn go_to_first<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, root: &Root) -> Result<bool> {
        self.reset();
        check_height(root)?;
        if root.height == 0 {
            return Ok(false);
        }
        // A caller that begins at an end usually reads on.
        self.run = 1;
        self.guard(|p| p.down(source, root.ptr, root.height, Ahead::Right))
    }

    /// Moves to the last entry. Returns false if the tree is empty.
    pub fn go_to_last<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, root: &Root) -> Result<bool> {
        self.reset();
        check_height(root)?;
        if root.height == 0 {
            return Ok(false);
        }
        // A caller that begins at an end usually reads on.
        self.run = 1;
        self.guard(|p| p.down(source, root.ptr, root.height, Ahead::Left))
    }

    /// Moves to the first entry that is not less than `key`, or to nowhere if there is none. Returns whether it is
    /// equal.
    #[inline]
    pub fn seek<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, root: &Root, key: &[u8]) -> Result<bool> {
        self.guard(|p| match p.descend(source, root, key)? {
            Ok(i) => {
                p.index = i;
                Ok(true)
            }
            Err(i) => {
                p.index = i;
                if i == p.len {
                    p.next_leaf(source)?;
                }
                Ok(false)
            }
        })
    }

    /// Moves to the last entry that is less than `key`, or equal if `or_equal`. Returns false, and is nowhere, if there
    /// is none.
    #[inline]
    pub fn seek_before<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        root: &Root,
        key: &[u8],
        or_equal: bool,
    ) -> Result<bool> {
        self.guard(|p| {
            let i = match p.descend(source, root, key)? {
                Ok(i) if or_equal => i + 1,
                Ok(i) | Err(i) => i,
            };
            if i > 0 {
                p.index = i - 1;
                return Ok(true);
            }
            p.prev_leaf(source)
        })
    }

    /// Descends to the leaf of `key`. Returns where in the leaf the key is (`Ok`) or would be (`Err`). The caller says
    /// to which entry the position moves.
    #[inline]
    pub(in crate::tree) fn descend<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        source: &S,
        root: &Root,
        key: &[u8],
    ) -> Result<std::result::Result<usize, usize>> {
        self.reset();
        check_height(root)?;
        if root.height == 0 {
            return Ok(Err(0));
        }
        let pages = PhantomData;
        let descent = Descent {
            source,
            root,
            key,
            pages,
        };
        best(Seek {
            position: self,
            descent,
        })
    }

    /// Makes `leaf`, which is behind `ptr`, the leaf of the position.
    #[inline(always)]
    pub(super) fn enter(&mut self, ptr: Ptr, leaf: &Leaf<'_>) -> Result<()> {
        // An empty leaf has no entry to stand on, and one step that skips many of them would take very long.
        if leaf.is_empty() && !self.path.is_empty() {
            return Err(Error::corrupt(ptr.page, "empty leaf"));
        }
        self.leaf = ptr;
        self.len = leaf.len();
        Ok(())
    }

    /// Descends from the page behind `ptr` to the leaf at its left edge (if `ahead` is `Right`) or at its right edge.
    fn down<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, ptr: Ptr, height: u8, ahead: Ahead) -> Result<bool> {
        let mut ptr = ptr;
        for level in (2..=height).rev() {
            let branch = branch(source, &ptr, level)?;
            let index = if ahead == Ahead::Right { 0 } else { branch.len() - 1 };
            self.path.push(Step {
                ptr,
                index,
                len: branch.len(),
            });
            ptr = branch.ptr(index);
        }
        self.enter(ptr, &leaf(source, &ptr)?)?;
        self.index = if ahead == Ahead::Right {
            0
        } else {
            self.len.saturating_sub(1)
        };
        Ok(self.is_valid())
    }

    /// Moves to the next entry. Returns false, and is nowhere, if there is none.
    #[inline(always)]
    pub fn next<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S) -> Result<bool> {
        if self.index + 1 < self.len {
            self.index += 1;
            return Ok(true);
        }
        self.next_leaf(source)
    }

    /// Moves to the previous entry. Returns false, and is nowhere, if there is none.
    #[cfg(test)]
    pub fn prev<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S) -> Result<bool> {
        if self.index > 0 {
            self.index -= 1;
            return Ok(true);
        }
        self.prev_leaf(source)
    }

    /// Moves to the first entry of the next leaf. Returns false, and is nowhere, if there is none.
    #[inline(never)]
    pub fn next_leaf<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S) -> Result<bool> {
        self.sibling(source, Ahead::Right)
    }

    /// Moves to the last entry of the previous leaf. Returns false, and is nowhere, if there is none.
    #[inline(never)]
    pub fn prev_leaf<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S) -> Result<bool> {
        self.sibling(source, Ahead::Left)
    }

    #[inline(always)]
    fn sibling<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, way: Ahead) -> Result<bool> {
        let can = |s: &Step| match way {
            Ahead::Left => s.index > 0,
            Ahead::Right => s.index + 1 < s.len,
        };
        let height = self.path.len() as u8 + 1;
        while self.path.last().is_some_and(|s| !can(s)) {
            self.path.pop();
        }
        // The root has level `height`, and each further branch of the path is one level lower.
        let level = height - self.path.len().saturating_sub(1) as u8;
        let Some(step) = self.path.last_mut() else {
            self.reset();
            return Ok(false);
        };
        match way {
            Ahead::Left => step.index -= 1,
            Ahead::Right => step.index += 1,
        }
        let step = *step;
        self.run = self.run.saturating_add(1);
        let run = self.run;
        self.guard(|p| {
            let parent = branch(source, &step.ptr, level)?;
            if step.index >= parent.len() {
                return Err(Error::corrupt(step.ptr.page, "branch changed under a position"));
            }
            // The first step over a leaf's end may be the last. A caller that makes a second one is scanning.
            if level == 2 && run > 1 {
                let neighbour = |by: usize| way.nth(step.index, by).filter(|i| *i < parent.len());
                if run >= p.announce_at || p.way != way {
                    p.announce_leaves(source, way)?;
                }
                // The leaf after next is prefetched as a whole, because a scan reads all of it and memory is slow.
                // Leaves that are full and lie side by side need no prefetch: the processor reads on by itself, unless
                // there is a gap between a leaf's arrays and its records.
                let whole = source.page_size().min(SCAN_AHEAD);
                let gap = source.peek(&p.leaf).is_none_or(has_gap);
                let prefetch = |by: usize| {
                    if let (Some(before), Some(i)) = (neighbour(by - 1), neighbour(by)) {
                        let (before, page) = (parent.child(before), parent.child(i));
                        if gap || before.number().distance(page.number()) != 1 {
                            source.prefetch(page, whole);
                        }
                    }
                };
                prefetch(2);
                // The next leaf was prefetched one leaf ago, unless this is the first step in its parent.
                if neighbour(2).is_none() || step.index <= 1 || run == 2 {
                    prefetch(1);
                }
            }
            p.down(source, parent.ptr(step.index), level - 1, way)
        })
    }

    /// Announces the leaves that a scan will read, from the one that it is about to enter on: more and more as it goes
    /// on. A long scan goes on with the leaves of the next parents, so that the disk is never without work.
    #[cold]
    #[inline(never)]
    fn announce_leaves<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, way: Ahead) -> Result<()> {
        let Some((step, above)) = self.path.split_last() else {
            return Ok(());
        };
        if self.way != way {
            // Who turns begins anew, and may turn again.
            (self.way, self.run, self.announced) = (way, 2, 0);
        }
        let most = (WINDOW / source.page_size()).max(2);
        let window = (self.run as usize).saturating_mul(4).min(most);
        let known = self.announced.saturating_add(1).saturating_sub(self.run) as usize;
        let mut runs = Vec::with_capacity(window.saturating_sub(known));
        let mut parent = branch(source, &step.ptr, 2)?;
        let mut first = step.index;
        // The leaves that were passed, and the parents behind this one.
        let (mut passed, mut parents) = (0, 0);
        let is_cut = loop {
            let nth = |i: usize| way.nth(first, i).filter(|i| *i < parent.len());
            let leaves = (known.saturating_sub(passed)..window - passed).map_while(nth);
            runs.extend(leaves.map(|i| Run::new(parent.child(i).number(), 1)));
            passed += match way {
                Ahead::Left => first + 1,
                Ahead::Right => parent.len().saturating_sub(first),
            };
            let above = match above.last() {
                _ if passed >= window => break true,
                Some(above) if self.run > LONG_SCAN => above,
                _ => break false,
            };
            parents += 1;
            let grandparent = branch(source, &above.ptr, 3)?;
            let nth = |i: usize| way.nth(above.index, i).filter(|i| *i < grandparent.len());
            let Some(next) = nth(parents) else {
                break false;
            };
            // Nor does the scan wait for one parent after another.
            let is_first = parents == 1 && (known == 0 || window < most);
            if passed >= known && (is_first || next % PARENTS == 0) {
                let ahead = (parents..parents + 2 * PARENTS).map_while(nth);
                source.will_read(&mut ahead.map(|i| Run::new(grandparent.child(i).number(), 1)));
            }
            // If the scan gets to a damaged parent, it says so itself.
            parent = match branch(source, &grandparent.ptr(next), 2) {
                Ok(parent) => parent,
                Err(_) => break false,
            };
            first = match way {
                Ahead::Left => parent.len().saturating_sub(1),
                Ahead::Right => 0,
            };
        };
        source.will_read(&mut runs.into_iter());
        let reached = passed.min(window).max(known) as u32;
        self.announced = self.run.saturating_add(reached).saturating_sub(1);
        self.announce_at = match is_cut {
            true => self.announced.saturating_sub(window as u32 / 2),
            false => self.announced.saturating_add(1),
        };
        Ok(())
    }

    /// Returns the leaf that the position is in.
    #[inline(always)]
    pub fn leaf<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<Leaf<'s>> {
        let leaf = leaf(source, &self.leaf)?;
        if self.index >= leaf.len() || leaf.len() < self.len {
            return Err(Error::corrupt(self.leaf.page, "position outside its leaf"));
        }
        Ok(leaf)
    }

    /// Returns the key of the entry before the position, in its leaf.
    ///
    /// # Errors
    /// `Corrupt`: there is none.
    pub fn key_before<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<Vec<u8>> {
        let leaf = leaf(source, &self.leaf)?;
        let before = self.index.checked_sub(1).filter(|before| *before < leaf.len());
        let before = before.ok_or_else(|| Error::corrupt(self.leaf.page, "position outside its leaf"))?;
        let mut key = Vec::new();
        leaf.key(before, source, &mut key)?;
        Ok(key)
    }

    /// Appends the key of the entry to `out`.
    pub fn key<'s, S: PageSource<'s> + ?Sized>(&self, source: &S, out: &mut Vec<u8>) -> Result<()> {
        self.leaf(source)?.key(self.index, source, out)
    }

    /// Returns the value of the entry.
    #[inline(always)]
    pub fn value<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<Stored<'s>> {
        self.leaf(source)?.value(self.index)
    }
}
