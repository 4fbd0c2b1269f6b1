//! The one way down: from the root to the leaf that a key belongs into.
//!
//! Lookups, cursors and ranks all come through [`Descent::to_leaf`]; only many lookups at once go level by level
//! ([`super::get_many`]), by the same steps. Each step reads a page, finds the child of the key in it, and tells memory which
//! parts of the child will be read. A page is checked when it is viewed, and errors say which page was wrong; what is common
//! costs no more for that, because every case that is not is a call out of the way.

use crate::error::{Error, Result};
use crate::ids::PageRef;
use crate::page::branch::{Branch, PlainChild};
use crate::page::header::{PlainTop, BRANCH, NOT_A_PAGE};
use crate::page::hint::branch::BRANCH_AHEAD;
use crate::page::kernel::Kernel;
use crate::page::leaf::Leaf;
use crate::page::roots::HEIGHT_MAX;
use crate::page::{PageSource, Ptr, Root, PAGE_MIN};
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

/// A branch on the way and the child taken in it.
pub(super) struct Passed<'s> {
    /// Where the branch is.
    pub ptr: Ptr,
    pub page: &'s [u8],
    pub level: u8,
    /// The child taken, and how many there are.
    pub index: usize,
    pub len: usize,
}

impl<'s, S: PageSource<'s> + ?Sized> Descent<'_, 's, S> {
    /// The page of the leaf of the key, and the pointer to it. `passed` is told of each branch on the way; its errors end the
    /// descent.
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
        mut passed: impl FnMut(Passed<'s>) -> Result<()>,
    ) -> Result<(Ptr, &'s [u8])> {
        debug_assert!(self.root.height > 0, "an empty tree has no leaf");
        let (mut at, mut checksum) = (self.root.ptr.page, self.root.ptr.checksum);
        let mut page = self.page(at, checksum)?;
        // The level falls by one each time, and every page must be of its level: a damaged tree has no endless path.
        let mut is = PlainTop::of(BRANCH, self.root.height);
        while is > PlainTop::of(BRANCH, 1) {
            let (branch, branch_page, branch_checksum) = (at, page, checksum);
            let (index, len);
            match PlainChild::find(kernel, page, is, self.key, self.source) {
                Some(child) => {
                    (at, checksum) = child.target();
                    (index, len) = (child.index, child.siblings());
                    self.prefetch::<TALL>(is, at, child);
                    if TALL && learn && is == PlainTop::of(BRANCH, 2) {
                        self.source.branch_hints().learn(branch, len, index, at);
                    }
                }
                None => (index, len, at, checksum) = self.unusual_child(page, branch, is.level())?,
            }
            passed(Passed {
                ptr: pointer(branch, branch_checksum),
                page: branch_page,
                level: is.level(),
                index,
                len,
            })?;
            is = is.below();
            page = self.page(at, checksum)?;
        }
        Ok((pointer(at, checksum), page))
    }

    #[inline(always)]
    fn page(&self, at: PageRef, checksum: u32) -> Result<&'s [u8]> {
        match self.source.peek(&pointer(at, checksum)) {
            Some(page) => Ok(page),
            None => match self.page_through_checks(at, checksum)? {
                // All pages have so many bytes. Said here, it is not compared again for each of them.
                page if page.len() >= PAGE_MIN => Ok(page),
                _ => Err(NOT_A_PAGE.at(at)),
            },
        }
    }

    /// A page that was not verified before, or whatever else is the matter with it.
    #[cold]
    #[inline(never)]
    fn page_through_checks(&self, at: PageRef, checksum: u32) -> Result<&'s [u8]> {
        self.source.page(&pointer(at, checksum))
    }

    /// Prefetches what a search for the key will need of the child at `at`, found in a branch of this level.
    #[inline(always)]
    fn prefetch<const TALL: bool>(&self, branch: PlainTop, at: PageRef, child: PlainChild<'s>) {
        if branch == PlainTop::of(BRANCH, 2) {
            match self.source.leaf_hints() {
                Some(hints) => hints.prefetch(self.source, at, child.fraction()),
                None => self.source.prefetch(at, LEAF_AHEAD),
            }
        } else if TALL && branch == PlainTop::of(BRANCH, 3) {
            self.source.branch_hints().prefetch(self.source, at, child.fraction());
        } else {
            self.source.prefetch(at, BRANCH_AHEAD);
        }
    }

    /// The child of the key in a page that is not a plain branch, found through checks that say what is wrong: its number, how
    /// many children there are, its page and its checksum.
    #[cold]
    #[inline(never)]
    fn unusual_child(&self, page: &'s [u8], at: PageRef, level: u8) -> Result<(usize, usize, PageRef, u32)> {
        let branch = Branch::of(page, at, level)?;
        let index = branch.find(self.key, self.source)?;
        let child = branch.target(index);
        Ok((index, branch.len(), child.page, child.checksum))
    }
}

#[inline(always)]
fn pointer(page: PageRef, checksum: u32) -> Ptr {
    Ptr {
        page,
        checksum,
        ..Ptr::default()
    }
}
