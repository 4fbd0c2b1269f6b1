//! The one way down: from the root to the leaf that a key belongs into.
//!
//! Lookups, cursors and ranks all come through [`Descent::to_leaf`]; only many lookups at once go level by level
//! ([`super::get_many`]), by the same steps. Each step reads a page, finds the child of the key in it, and tells memory which
//! parts of the child will be read. A page is checked when it is viewed, and errors say which page was wrong; what is common
//! costs no more for that, because every case that is not is a call out of the way.

use crate::error::{Error, Result};
use crate::page::branch::Branch;
use crate::page::hint::branch::BRANCH_AHEAD;
use crate::page::kernel::Kernel;
use crate::page::leaf::Leaf;
use crate::page::{PageSource, Ptr, Root};
use crate::tree::write::apply::HEIGHT_MAX;
use std::marker::PhantomData;

/// Bytes of a leaf worth asking for early: header, heads, fingerprints, or the keys of a dense leaf.
pub(super) const LEAF_AHEAD: usize = 1024;

/// Refuses roots that no tree can have.
#[inline(always)]
pub(super) fn check_height(root: &Root) -> Result<()> {
    if root.height > HEIGHT_MAX {
        return Err(Error::corrupt(root.ptr.page, "tree too high"));
    }
    Ok(())
}

/// The branch of level `level` behind `ptr`.
#[inline(always)]
pub(super) fn branch<'s, S: PageSource<'s> + ?Sized>(source: &S, ptr: &Ptr, level: u8) -> Result<Branch<'s>> {
    Branch::of(source.page(ptr)?, ptr.page, level)
}

/// The leaf behind `ptr`.
#[inline(always)]
pub(super) fn leaf<'s, S: PageSource<'s> + ?Sized>(source: &S, ptr: &Ptr) -> Result<Leaf<'s>> {
    Leaf::of(source.page(ptr)?, ptr.page)
}

/// A way down a tree that is not empty.
pub(super) struct Descent<'a, 's, S: ?Sized> {
    pub source: &'a S,
    pub root: &'a Root,
    pub key: &'a [u8],
    pub pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s> + ?Sized> Descent<'_, 's, S> {
    /// The leaf of the key. `passed` is told each branch on the way, the pointer to it, and the child that was taken; its
    /// errors end the descent.
    ///
    /// `TALL`: more is asked of memory before it is needed, and `learn` says whether to take note of where the leaf lies. In
    /// trees of few levels the branches above leaves are in the caches, and so is the page table.
    ///
    /// # Errors
    /// `Corrupt`.
    #[inline(always)]
    pub fn to_leaf<K: Kernel, const TALL: bool>(
        &self,
        kernel: K,
        learn: bool,
        mut passed: impl FnMut(&Ptr, &Branch<'s>, usize) -> Result<()>,
    ) -> Result<(Ptr, Leaf<'s>)> {
        debug_assert!(self.root.height > 0, "an empty tree has no leaf");
        let mut ptr = self.root.ptr;
        // The level falls by one each time, and every page must be of its level: a damaged tree has no endless path.
        for level in (2..=self.root.height).rev() {
            let branch = branch(self.source, &ptr, level)?;
            let i = branch.find_with(kernel, self.key, self.source)?;
            passed(&ptr, &branch, i)?;
            ptr = branch.target(i);
            match level {
                2 => {
                    self.prefetch_leaf(&branch, i);
                    if TALL && learn {
                        let hints = self.source.branch_hints();
                        hints.learn(branch.at(), branch.len(), i, ptr.page);
                    }
                }
                3 if TALL => {
                    let fraction = branch.fraction(i, self.key);
                    self.source.branch_hints().ask(self.source, ptr.page, fraction);
                }
                _ => self.source.prefetch(ptr.page, BRANCH_AHEAD),
            }
        }
        Ok((ptr, leaf(self.source, &ptr)?))
    }

    /// Asks memory for what a search for the key will need of leaf `i` below `branch`.
    #[inline(always)]
    fn prefetch_leaf(&self, branch: &Branch<'s>, i: usize) {
        match self.source.leaf_hints() {
            Some(hints) => hints.ask(self.source, branch.child(i), branch.fraction(i, self.key)),
            None => self.source.prefetch(branch.child(i), LEAF_AHEAD),
        }
    }
}
