//! The way by which one key is searched: from the root to the leaf that the key belongs into.
//!
//! Lookups, seeks of cursors and ranks of keys use [`Descent::to_leaf`]. Many lookups at once go down level by level
//! instead ([`super::get_many`]). Each step reads a page, finds the child of the key in it, and prefetches the parts of
//! the child that will be read. Every page is checked when it is viewed, and errors say which page was wrong. The
//! common case does not pay for that, because every other case is a call to a function that is not inlined.

use crate::error::{Error, Result};
use crate::ids::PageRef;
use crate::page::branch::{Branch, PlainChild};
use crate::page::header::{self, PlainTop, BRANCH, NOT_A_PAGE};
use crate::page::hint::branch::BRANCH_AHEAD;
use crate::page::kernel::Kernel;
use crate::page::leaf::Leaf;
use crate::page::roots::HEIGHT_MAX;
use crate::page::{PageSource, Ptr, Root, PAGE_MIN};
use std::marker::PhantomData;

/// The bytes of a leaf that are worth prefetching: header, heads and fingerprints, or the keys of a dense leaf.
pub(super) const LEAF_AHEAD: usize = 1024;

/// Refuses a root that no tree can have.
#[inline(always)]
pub(super) fn check_height(root: &Root) -> Result<()> {
    if root.height > HEIGHT_MAX {
        return Err(Error::corrupt(root.ptr.page, "tree too high"));
    }
    Ok(())
}

/// Returns the branch of level `level` behind `ptr`.
#[inline(always)]
pub(super) fn branch<'s, S: PageSource<'s> + ?Sized>(source: &S, ptr: &Ptr, level: u8) -> Result<Branch<'s>> {
    Branch::of(source.page(ptr)?, ptr.page, level)
}

/// Returns the leaf behind `ptr`.
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

/// A branch on the way, and the child that was taken in it.
pub(super) struct Passed<'s> {
    /// The pointer to the branch.
    pub ptr: Ptr,
    pub page: &'s [u8],
    pub level: u8,
    /// The number of the child that was taken, and the number of children.
    pub index: usize,
    pub len: usize,
}

impl<'s, S: PageSource<'s> + ?Sized> Descent<'_, 's, S> {
    /// Returns the pointer to the leaf of the key, and its page. `passed` is called with each branch on the way; its
    /// errors end the descent.
    ///
    /// With `TALL`, the branch hints prefetch the branch above the leaf and the way to the leaf, and record where the
    /// leaf lies if `learn` is true. In trees of few levels, these branches and the page table are in the caches
    /// anyway.
    ///
    /// # Errors
    /// `Corrupt`: a page on the way is damaged; and what `passed` returns.
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
        // The level falls by one each time, and every page must be of its level, so no path of a damaged tree is
        // endless.
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
                // Every page has at least this many bytes. Once this is compared here, the compiler knows it behind.
                page if page.len() >= PAGE_MIN => Ok(page),
                _ => Err(NOT_A_PAGE.at(at)),
            },
        }
    }

    /// Returns a page that was not verified before, or says what is wrong with it. What its header must not say is
    /// looked at here, so that later lookups need not.
    #[cold]
    #[inline(never)]
    fn page_through_checks(&self, at: PageRef, checksum: u32) -> Result<&'s [u8]> {
        let page = self.source.page(&pointer(at, checksum))?;
        if page.len() >= PAGE_MIN {
            header::check(page).map_err(|damage| damage.at(at))?;
        }
        Ok(page)
    }

    /// Prefetches what a search for the key will need of the child at `at`, which was found in a branch of level
    /// `branch`.
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

    /// Finds the child of the key in a page that is not a plain branch, through checks that say what is wrong. Returns
    /// the number of the child, the number of children, and the child's page and checksum.
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
