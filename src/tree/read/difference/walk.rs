//! How far a difference has come in one of its two trees.
//!
//! A walk comes to *units*: a subtree that is still unread, or one entry of a leaf. It leaves a subtree behind as a
//! whole, or descends into it. Moves change numbers only and cannot fail. All reading is done before a move, so that
//! after an error the walk is where it was, and meets the same damage again.

use crate::error::{Error, Result};
use crate::page::branch::Branch;
use crate::page::key::{KeyBuf, LeafShape};
use crate::page::leaf::{Leaf, Stored};
use crate::page::{PageSource, Ptr, Root};
use crate::tree::read::descent::{branch, check_height, leaf};
use crate::tree::read::limits::Limits;
use crate::tree::read::path::Step;
use std::ops::Bound;

/// What a walk has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Unit {
    /// The child that the last branch of the path was left for, whose pointer is not read yet.
    Child,
    /// The subtree behind this pointer.
    Subtree(Ptr),
    /// Entry `index` of the leaf.
    Entry,
    /// No further unit.
    #[default]
    End,
}

/// The bounds of a subtree: its keys are not less than `low`, and less than `high` if there is that bound. They may be
/// wider than those of the branches above, and the empty `low` is below all keys.
#[derive(Debug, Clone, Default)]
struct Fences {
    low: Vec<u8>,
    high: Vec<u8>,
    has_high: bool,
}

/// A walk through one tree, in one direction.
#[derive(Debug, Clone, Default)]
pub(super) struct Walk {
    back: bool,
    height: u8,
    unit: Unit,
    /// The branches from the root down, and the child that was taken in each of them.
    path: Vec<Step>,
    /// Whether the unit may hold keys before the near limit, so that the way down has to search for it.
    is_at_limit: bool,
    leaf: Ptr,
    len: usize,
    index: usize,
    /// The entry at which the walk entered the leaf.
    first: usize,
    key: KeyBuf,
    has_key: bool,
    /// The shape of the leaf, if `key` begins with the leaf's prefix.
    shape: Option<LeafShape>,
    /// The bounds of the subtree that the walk has come to, once they were needed.
    fences: Fences,
    has_fences: bool,
}

impl Walk {
    /// Goes to the first unit of a tree, in descending order if `back`.
    ///
    /// # Errors
    /// `Corrupt`: no tree has this root.
    pub fn begin(&mut self, root: &Root, limits: &Limits, back: bool) -> Result<()> {
        check_height(root)?;
        self.path.clear();
        let near = if back { &limits.upper } else { &limits.lower };
        (self.back, self.height) = (back, root.height);
        (self.has_key, self.shape, self.has_fences) = (false, None, false);
        self.is_at_limit = *near != Bound::Unbounded;
        self.unit = match root.height {
            0 => Unit::End,
            _ => Unit::Subtree(root.ptr),
        };
        Ok(())
    }

    /// Reads what the unit is: the pointer to a subtree, or the key of an entry. A key behind the far limit ends the
    /// walk.
    ///
    /// # Errors
    /// `Corrupt`, as in all functions that read; `NoMemory`.
    #[inline]
    pub fn load<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, limits: &Limits) -> Result<()> {
        match self.unit {
            Unit::Entry if !self.has_key => self.load_key(source, limits),
            Unit::Child => self.load_child(source),
            _ => Ok(()),
        }
    }

    fn load_child<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S) -> Result<()> {
        let Some(step) = self.path.last() else {
            self.unit = Unit::End;
            return Ok(());
        };
        let parent = branch(source, &step.ptr, self.level() + 1)?;
        self.unit = Unit::Subtree(child_of(&parent, step)?);
        Ok(())
    }

    #[inline]
    fn load_key<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, limits: &Limits) -> Result<()> {
        // Nearly all keys lie in a leaf that was looked at before, and are not long.
        let page = self.shape.zip(source.peek(&self.leaf));
        let loaded = page.and_then(|(shape, page)| shape.entry(page, self.index, &mut self.key));
        if loaded.is_none() {
            self.load_any_key(source)?;
        }
        self.has_key = true;
        let is_outside = match self.back {
            true => limits.is_before(&self.key),
            false => limits.is_behind(&self.key),
        };
        if is_outside {
            self.unit = Unit::End;
        }
        Ok(())
    }

    /// Loads a key however it is stored, through all checks.
    #[inline(never)]
    fn load_any_key<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S) -> Result<()> {
        let leaf = self.leaf(source)?;
        let shape = LeafShape::of(&leaf, &mut self.key)?;
        // If the key cannot be read, the buffer no longer begins with the prefix.
        self.shape = None;
        if shape.entry(leaf.bytes(), self.index, &mut self.key).is_none() {
            leaf.entry(self.index, source, &mut self.key)?;
        }
        self.shape = Some(shape);
        Ok(())
    }

    fn leaf<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<Leaf<'s>> {
        let leaf = leaf(source, &self.leaf)?;
        match self.index < leaf.len() {
            true => Ok(leaf),
            false => Err(Error::corrupt(self.leaf.page, "leaf changed under a difference")),
        }
    }

    /// Returns whether there is no further unit.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.unit == Unit::End
    }

    /// Returns whether the unit is an entry.
    #[inline]
    pub fn is_on_entry(&self) -> bool {
        self.unit == Unit::Entry
    }

    /// Returns the pointer to the page of which the unit is the beginning: a subtree, or a leaf with its first entry.
    #[inline]
    pub fn page_ahead(&self) -> Option<&Ptr> {
        match &self.unit {
            Unit::Subtree(ptr) => Some(ptr),
            Unit::Entry if self.index == self.first => Some(&self.leaf),
            _ => None,
        }
    }

    /// Returns the level of the subtree that the walk has come to, or 0 on an entry.
    #[inline]
    pub fn level(&self) -> u8 {
        match self.unit {
            Unit::Entry | Unit::End => 0,
            _ => self.height - self.path.len() as u8,
        }
    }

    /// Returns the key of the entry, which was loaded.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.key.as_slice()
    }

    /// Returns the value of the entry.
    #[inline]
    pub fn value<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<Stored<'s>> {
        let page = self.shape.zip(source.peek(&self.leaf));
        match page.and_then(|(shape, page)| shape.value(page, self.index)) {
            Some(value) => Ok(Stored::Inline(value)),
            None => self.leaf(source)?.value(self.index),
        }
    }

    /// Learns the bounds of the subtree that the walk has come to. If they lie behind the far limit, the walk ends.
    pub fn load_fences<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, limits: &Limits) -> Result<()> {
        if !matches!(self.unit, Unit::Subtree(_)) || self.has_fences {
            return Ok(());
        }
        let mut fences = std::mem::take(&mut self.fences);
        let learned = self.learn_fences(source, &mut fences);
        self.fences = fences;
        learned?;
        self.has_fences = true;
        let is_outside = match (self.back, &limits.lower) {
            (false, _) => limits.is_behind(&self.fences.low),
            (true, Bound::Unbounded) => false,
            (true, Bound::Included(low) | Bound::Excluded(low)) => {
                self.fences.has_high && self.fences.high.as_slice() <= low.as_slice()
            }
        };
        if is_outside {
            self.unit = Unit::End;
        }
        Ok(())
    }

    fn learn_fences<'s, S: PageSource<'s> + ?Sized>(&self, source: &S, fences: &mut Fences) -> Result<()> {
        fences.low.clear();
        fences.has_high = false;
        let levels = || self.path.iter().zip((2..=self.height).rev()).rev();
        // The bounds of a page at the edge of its parent are those of the parent.
        if let Some((step, level)) = levels().find(|(step, _)| step.index > 0) {
            let branch = branch(source, &step.ptr, level)?;
            let separator = branch.separator(step.index)?;
            // Of a long separator, the part in the page serves: what is greater than the whole is greater than a part.
            fences.low.extend_from_slice(branch.prefix());
            separator.write_to(&mut fences.low);
        }
        for (step, level) in levels().filter(|(step, _)| step.index + 1 < step.len) {
            let branch = branch(source, &step.ptr, level)?;
            let separator = branch.separator(step.index + 1)?;
            // A part of a long separator is too low for an upper bound, but that of a branch above will do.
            if !separator.long {
                fences.high.clear();
                fences.high.extend_from_slice(branch.prefix());
                separator.write_to(&mut fences.high);
                fences.has_high = true;
                break;
            }
        }
        Ok(())
    }

    /// Returns whether all keys of this unit are less than those of `other`. Both units were loaded, with their bounds.
    pub fn is_below(&self, other: &Walk) -> bool {
        let least = match other.unit {
            Unit::Entry => other.key(),
            _ => other.fences.low.as_slice(),
        };
        match self.unit {
            Unit::Entry => self.key() < least,
            _ => self.fences.has_high && self.fences.high.as_slice() <= least,
        }
    }

    /// Returns the number of entries of the unit if all of them lie within the limits, as the bounds of the subtree
    /// tell, which were loaded. The walk goes forward.
    pub fn entries_inside(&self, limits: &Limits) -> Option<u64> {
        let Unit::Subtree(ptr) = self.unit else {
            return None;
        };
        let is_below_upper = match &limits.upper {
            Bound::Unbounded => true,
            Bound::Included(upper) | Bound::Excluded(upper) => self.fences.has_high && self.fences.high <= *upper,
        };
        (!self.is_at_limit && is_below_upper).then_some(ptr.entries)
    }

    /// Descends into the subtree: to its first child, or to the first entry of a leaf.
    ///
    /// # Errors
    /// `Corrupt`, `NoMemory`: the walk has not moved.
    pub fn descend<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, limits: &Limits) -> Result<()> {
        let Unit::Subtree(ptr) = self.unit else {
            return Ok(());
        };
        let near = if self.back { &limits.upper } else { &limits.lower };
        match self.level() {
            1 => self.enter_leaf(ptr, &leaf(source, &ptr)?, near, source),
            level => self.enter_branch(ptr, &branch(source, &ptr, level)?, near, source),
        }
    }

    fn enter_branch<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        ptr: Ptr,
        branch: &Branch<'s>,
        near: &Bound<Vec<u8>>,
        source: &S,
    ) -> Result<()> {
        let len = branch.len();
        let index = match near {
            Bound::Included(key) | Bound::Excluded(key) if self.is_at_limit => branch.find(key, source)?,
            _ if self.back => len - 1,
            _ => 0,
        };
        self.path.push(Step { ptr, index, len });
        self.unit = Unit::Child;
        self.has_fences = false;
        Ok(())
    }

    fn enter_leaf<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        ptr: Ptr,
        leaf: &Leaf<'s>,
        near: &Bound<Vec<u8>>,
        source: &S,
    ) -> Result<()> {
        // One step that skips many empty leaves would take very long.
        if leaf.is_empty() && !self.path.is_empty() {
            return Err(Error::corrupt(ptr.page, "empty leaf"));
        }
        let mut ahead = 0..leaf.len();
        if self.is_at_limit {
            let cut = entries_before(near, self.back, leaf, source)?;
            match self.back {
                true => ahead.end = cut,
                false => ahead.start = cut,
            }
        }
        if ahead.is_empty() {
            self.leave_page();
            return Ok(());
        }
        (self.leaf, self.len) = (ptr, leaf.len());
        self.index = if self.back { ahead.end - 1 } else { ahead.start };
        (self.first, self.unit) = (self.index, Unit::Entry);
        (self.has_key, self.shape, self.is_at_limit) = (false, None, false);
        Ok(())
    }

    /// Goes on to what follows the entry.
    #[inline]
    pub fn step(&mut self) {
        self.has_key = false;
        if self.back && self.index > 0 {
            self.index -= 1;
        } else if !self.back && self.index + 1 < self.len {
            self.index += 1;
        } else {
            self.leave_page();
        }
    }

    /// Goes on to what follows the subtree, or the leaf in which the walk is.
    pub fn leave_page(&mut self) {
        (self.is_at_limit, self.has_key, self.has_fences) = (false, false, false);
        while let Some(step) = self.path.last_mut() {
            let next = match self.back {
                true => step.index.checked_sub(1),
                false => Some(step.index + 1).filter(|next| *next < step.len),
            };
            if let Some(next) = next {
                step.index = next;
                self.unit = Unit::Child;
                return;
            }
            self.path.pop();
        }
        self.unit = Unit::End;
    }

    /// Returns the branch into which the walk has just descended, and the children in it that are ahead.
    pub fn branch_ahead<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Option<BranchAhead<'s>> {
        let step = self.path.last().filter(|_| self.unit == Unit::Child)?;
        let branch = branch(source, &step.ptr, self.level() + 1).ok()?;
        let children = match self.back {
            true => 0..step.index + 1,
            false => step.index..branch.len(),
        };
        Some(BranchAhead { branch, children })
    }
}

/// A branch, and those of its children to which the walk will come.
pub(super) struct BranchAhead<'s> {
    pub branch: Branch<'s>,
    pub children: std::ops::Range<usize>,
}

/// Returns the child that was taken in the branch.
fn child_of(branch: &Branch<'_>, step: &Step) -> Result<Ptr> {
    match step.index < branch.len() {
        true => Ok(branch.ptr(step.index)),
        false => Err(Error::corrupt(step.ptr.page, "branch changed under a difference")),
    }
}

/// Returns how many entries of the leaf lie before a lower limit, or within an upper one.
fn entries_before<'s, S: PageSource<'s> + ?Sized>(
    limit: &Bound<Vec<u8>>,
    is_upper: bool,
    leaf: &Leaf<'s>,
    source: &S,
) -> Result<usize> {
    let (key, counts_equal) = match limit {
        Bound::Unbounded => return Ok(if is_upper { leaf.len() } else { 0 }),
        Bound::Included(key) => (key, is_upper),
        Bound::Excluded(key) => (key, !is_upper),
    };
    // The limit may lie far from this leaf and lack its prefix, which a search in the leaf takes for granted.
    let prefix = leaf.prefix();
    if !key.starts_with(prefix) {
        return Ok(if key.as_slice() < prefix { 0 } else { leaf.len() });
    }
    Ok(match leaf.position(key, source)? {
        Ok(i) if counts_equal => i + 1,
        Ok(i) | Err(i) => i,
    })
}
