//! Ranks, the n-th entry and counts of ranges, in as many steps as the tree has levels: every pointer says how many
//! entries are below it.

use super::descent::{branch, check_height, leaf, Descent};
use super::limits::Limits;
use super::path::{Position, Step};
use crate::error::{Error, Result};
use crate::ids::PageRef;
use crate::page::branch::Branch;
use crate::page::kernel::plain;
use crate::page::leaf::Leaf;
use crate::page::{PageSource, Root};
use std::marker::PhantomData;
use std::ops::{Bound, Range};

#[cold]
fn wrong_counts(page: PageRef) -> Error {
    Error::corrupt(page, "counts of entries disagree")
}

/// Adds the entries below the first `n` children to `sum`.
fn add_before(sum: u64, branch: &Branch<'_>, n: usize) -> Result<u64> {
    // A branch has fewer than 2^16 counts, each below 2^48, so only the sum over levels can exceed 64 bits.
    let mut before = 0u64;
    for i in 0..n {
        before += branch.entries(i);
    }
    sum.checked_add(before).ok_or_else(|| wrong_counts(branch.at()))
}

/// Where a key is among the entries of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rank {
    /// The number of entries with lesser keys.
    pub before: u64,
    /// Whether there is an entry with the key itself.
    pub found: bool,
}

impl Rank {
    /// Returns the number of entries with keys up to this one.
    pub fn through(self) -> u64 {
        self.before.saturating_add(u64::from(self.found))
    }
}

/// Returns where `key` is among the entries, or would be.
///
/// # Errors
/// `Corrupt`: a page on the way is damaged.
pub fn rank_of<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, key: &[u8]) -> Result<Rank> {
    check_height(root)?;
    if root.height == 0 {
        return Ok(Rank {
            before: 0,
            found: false,
        });
    }
    let (mut before, pages) = (0, PhantomData);
    let descent = Descent {
        source,
        root,
        key,
        pages,
    };
    let (ptr, page) = descent.to_leaf::<_, false>(plain(), false, |passed| {
        let branch = Branch::of(passed.page, passed.ptr.page, passed.level)?;
        before = add_before(before, &branch, passed.index)?;
        Ok(())
    })?;
    let leaf = Leaf::of(page, ptr.page)?;
    let (i, found) = match leaf.position(key, source)? {
        Ok(i) => (i, true),
        Err(i) => (i, false),
    };
    let before = before.checked_add(i as u64).ok_or_else(|| wrong_counts(leaf.at()))?;
    Ok(Rank { before, found })
}

/// Returns the number of entries with keys less than `key`.
///
/// # Errors
/// `Corrupt`: a page on the way is damaged.
pub fn rank<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, key: &[u8]) -> Result<u64> {
    Ok(rank_of(source, root, key)?.before)
}

/// Returns the ranks of the entries within limits: from that of the first one to that of the first behind them.
///
/// # Errors
/// `Corrupt`: a page on the way is damaged.
pub fn ranks<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, limits: &Limits) -> Result<Range<u64>> {
    let from = match &limits.lower {
        Bound::Unbounded => 0,
        Bound::Included(key) => rank(source, root, key)?,
        Bound::Excluded(key) => rank_of(source, root, key)?.through(),
    };
    let to = match &limits.upper {
        Bound::Unbounded if root.height == 0 => 0,
        Bound::Unbounded => root.ptr.entries,
        Bound::Excluded(key) => rank(source, root, key)?,
        Bound::Included(key) => rank_of(source, root, key)?.through(),
    };
    Ok(from..to.max(from))
}

/// Returns the number of entries in a range.
///
/// # Errors
/// `Corrupt`: a page on the way is damaged.
pub fn count<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, limits: &Limits) -> Result<u64> {
    let ranks = ranks(source, root, limits)?;
    Ok(ranks.end - ranks.start)
}

impl Position {
    /// Moves to the entry that has `n` entries before it. Returns false, and is nowhere, if there is none.
    ///
    /// # Errors
    /// `Corrupt`: a page on the way is damaged.
    pub fn go_to_rank<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, root: &Root, n: u64) -> Result<bool> {
        self.reset();
        check_height(root)?;
        if root.height == 0 || n >= root.ptr.entries {
            return Ok(false);
        }
        let result = self.descend_to_rank(source, root, n);
        if result.is_err() {
            self.reset();
        }
        result.map(|()| true)
    }

    fn descend_to_rank<'s, S: PageSource<'s> + ?Sized>(&mut self, source: &S, root: &Root, n: u64) -> Result<()> {
        let mut left = n;
        let mut ptr = root.ptr;
        for level in (2..=root.height).rev() {
            let branch = branch(source, &ptr, level)?;
            let mut index = 0;
            while left >= branch.entries(index) {
                left -= branch.entries(index);
                index += 1;
                if index == branch.len() {
                    return Err(wrong_counts(ptr.page));
                }
            }
            self.path.push(Step {
                ptr,
                index,
                len: branch.len(),
            });
            ptr = branch.ptr(index);
        }
        let leaf = leaf(source, &ptr)?;
        if left >= leaf.len() as u64 {
            return Err(wrong_counts(ptr.page));
        }
        self.leaf = ptr;
        self.len = leaf.len();
        self.index = left as usize;
        Ok(())
    }

    /// Returns the number of entries before the one that the position is on.
    ///
    /// # Errors
    /// `Corrupt`: a page on the way is damaged.
    pub fn rank<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<u64> {
        let mut rank = self.index as u64;
        for (step, level) in self.path.iter().zip((2..=self.path.len() as u8 + 1).rev()) {
            let branch = branch(source, &step.ptr, level)?;
            rank = add_before(rank, &branch, step.index.min(branch.len()))?;
        }
        Ok(rank)
    }
}
