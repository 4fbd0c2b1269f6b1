//! The pages that a transaction sees: those of the snapshot come through the map, its own private ones from the arena.

use crate::error::{Error, Result};
use crate::ids::{PageNo, PageRef, PrivatePage, Run};
use crate::page::hint::branch::BranchHints;
use crate::page::hint::leaf::LeafHints;
use crate::page::{PageSource, Prefetch, Ptr, Root};
use crate::pager::View;
use crate::tree::write::arena::Arena;

/// The [`PageSource`] of a transaction. It is cheap to copy.
#[derive(Clone, Copy)]
pub struct Pages<'a> {
    /// The pages of the snapshot, and in a write transaction also those that it has placed.
    pub view: View<'a>,
    /// The private pages, in a write transaction.
    pub arena: Option<&'a Arena>,
    /// The leaf hints that lookups use and update.
    pub leaf_hints: &'a LeafHints,
}

impl<'a> Pages<'a> {
    #[cold]
    fn private(&self, page: PrivatePage) -> Result<&'a [u8]> {
        let found = self.arena.and_then(|arena| arena.get(page));
        found.ok_or_else(|| Error::corrupt(None, "private page number without a page"))
    }
}

impl Prefetch for Pages<'_> {
    #[inline(always)]
    fn page_size(&self) -> usize {
        self.view.page_size()
    }
    #[inline(always)]
    fn prefetch(&self, page: PageRef, bytes: usize) {
        // The number of a private page lies outside the view, which then asks memory for nothing.
        self.view.prefetch(page, bytes);
    }
    #[inline(always)]
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        self.view.prefetch_at(page, from, lines);
    }
}

impl<'a> PageSource<'a> for Pages<'a> {
    #[inline(always)]
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]> {
        // A read transaction has no arena. A private number in it comes from a damaged pointer, and the view refuses it
        // because it lies beyond the end of the file.
        match ptr.page.as_private() {
            Some(page) if self.arena.is_some() => self.private(page),
            _ => self.view.page(ptr),
        }
    }

    #[inline(always)]
    fn peek(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        match (self.arena, ptr.page.as_private()) {
            (Some(arena), Some(page)) => arena.get(page),
            _ => self.view.peek(ptr),
        }
    }

    #[inline(always)]
    fn again(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        match (self.arena, ptr.page.as_private()) {
            (Some(arena), Some(page)) => arena.get(page),
            _ => self.view.again(ptr),
        }
    }

    fn will_read(&self, runs: &mut dyn Iterator<Item = Run>) {
        self.view.will_read(runs);
    }

    fn will_copy(&self, runs: &mut dyn Iterator<Item = Run>) {
        self.view.will_copy(runs);
    }

    #[inline(always)]
    fn leaf_hints(&self) -> Option<&'a LeafHints> {
        Some(self.leaf_hints)
    }

    #[inline(always)]
    fn branch_hints(&self) -> BranchHints<'a> {
        self.view.branch_hints()
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'a [u8]> {
        self.view.piece(page, len, checksum)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'a [u8]> {
        self.view.raw(page, len)
    }
}

/// The [`PageSource`] of a single lookup in a read transaction. It refers to the view instead of containing it as
/// [`Pages`] does, because copying the view would cost more than the lookup gains.
#[derive(Clone, Copy)]
pub struct SnapshotSource<'a> {
    /// The pages of the snapshot.
    pub view: &'a View<'a>,
    /// The leaf hints that lookups use and update.
    pub leaf_hints: &'a LeafHints,
}

impl Prefetch for SnapshotSource<'_> {
    #[inline(always)]
    fn page_size(&self) -> usize {
        self.view.page_size()
    }
    #[inline(always)]
    fn prefetch(&self, page: PageRef, bytes: usize) {
        self.view.prefetch(page, bytes);
    }
    #[inline(always)]
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        self.view.prefetch_at(page, from, lines);
    }
}

impl<'a> PageSource<'a> for SnapshotSource<'a> {
    #[inline(always)]
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]> {
        self.view.page(ptr)
    }

    #[inline(always)]
    fn peek(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        self.view.peek(ptr)
    }

    #[inline(always)]
    fn again(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        self.view.again(ptr)
    }

    #[inline(always)]
    fn leaf_hints(&self) -> Option<&'a LeafHints> {
        Some(self.leaf_hints)
    }

    #[inline(always)]
    fn branch_hints(&self) -> BranchHints<'a> {
        self.view.branch_hints()
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'a [u8]> {
        self.view.piece(page, len, checksum)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'a [u8]> {
        self.view.raw(page, len)
    }
}

/// One tree as a transaction sees it now.
#[derive(Clone, Copy)]
pub struct TreeRef<'a> {
    /// The source of its pages.
    pub source: Pages<'a>,
    /// Its root.
    pub root: Root,
    /// A number that changes whenever the tree may have changed, so that a path found under another version must be
    /// found again. In a read transaction it is the id of the commit.
    pub version: u64,
}
