//! Read access to pages, in place, verified on first touch.
//!
//! One 16-bit tag per page remembers that the page's bytes were compared with a checksum. The tag is the checksum
//! folded to 16 bits (0 and 1 become 2), and whoever writes a page clears its tag first. So a page costs one comparison
//! per access, and a CRC once. A page that the system was told to read ahead gets the tag [`ANNOUNCED`], which no
//! checksum has. So whoever reads it first compares it again, and counts it as used. The slice of tags ends where the
//! view ends, so that finding the tag checks the bounds of the page as well.

#![allow(unsafe_code)]

use super::core::Pager;
use super::options::Verify;
use crate::error::{Error, Result, DAMAGED_PAGE, DAMAGED_VALUE};
use crate::file::Mapped;
use crate::ids::{PageNo, PageRef, Run};
use crate::page::hint::branch::BranchHints;
use crate::page::{PageSource, Prefetch, Ptr, META_BYTES, PAGE_MIN};
use crate::util::bytes::to_usize;
use crate::util::crc32c;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;

/// A piece of more bytes is asked for even if it was verified before, or else its reader would wait for page after
/// page.
const MANY: usize = 64 << 10;
/// The number of runs that are looked for in memory, as a sample of all: one of so many, and at least so many.
const SAMPLES: (usize, usize) = (64, 4);
/// Pages of up to this many bytes are assumed to be in memory if the last ones looked for were, except one time in 64,
/// because asking the system costs as much as reading some of them.
const FEW: usize = 256 << 10;
/// A multiplier that spreads page numbers (the golden ratio).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// The largest gap, in pages, between two runs that are asked for together.
const NEAR: u64 = 16;
/// The most bytes that the system is asked for at once. It may read no more of what one request names than one request
/// to the disk can have.
const ASK: u64 = 1 << 20;
/// The tag of a page that was announced and not read since.
const ANNOUNCED: u16 = 1;

/// Returns whether this is the one time in 64, which the page number decides.
#[inline(always)]
fn is_looked_for(page: PageNo) -> bool {
    page.get().wrapping_mul(SPREAD) >> 58 == 0
}

/// Read access to the pages below a limit. It is cheap to copy.
#[derive(Clone, Copy)]
pub struct View<'a> {
    memory: Mapped,
    /// The tags of the pages from the first behind the meta pages up to the limit.
    tags: &'a [AtomicU16],
    first: PageNo,
    /// The binary logarithm of the page size, which is [`PAGE_MIN`] or more.
    shift: u32,
    /// Whether this is a writer's view. Pages that the writer places later lie beyond the limit of the view.
    growing: bool,
    pager: &'a Pager,
}

impl std::fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View")
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}

#[inline(always)]
fn fold(checksum: u32) -> u16 {
    ((checksum ^ checksum >> 16) as u16).max(ANNOUNCED + 1)
}

impl Pager {
    /// Returns read access to all pages that the file has now and to those by which it grows, as a writer needs it.
    #[inline]
    pub fn view_all(&self) -> View<'_> {
        View::all(self)
    }
}

/// What bytes are compared with on first touch.
struct Expected {
    page: PageNo,
    checksum: u32,
    /// What is said of the page if the bytes are others.
    damaged: &'static str,
}

impl<'a> View<'a> {
    /// Returns the UUID of the database whose pages these are.
    pub fn uuid(&self) -> [u8; 16] {
        self.pager.uuid()
    }

    /// Returns a view of the pages of a commit that has `pages` pages, and never beyond what the file is known to hold.
    #[inline]
    fn of_commit(pager: &'a Pager, pages: u64) -> View<'a> {
        View::new(pager, pages.min(pager.file_pages.load(SeqCst)), false)
    }

    /// Returns a view of all pages that the file is known to hold, which grows with the file.
    #[inline]
    fn all(pager: &'a Pager) -> View<'a> {
        View::new(pager, pager.file_pages.load(SeqCst), true)
    }

    /// Returns a view of the first `pages` pages, all of which the file holds. If `growing`, it grows with the file.
    #[inline]
    fn new(pager: &'a Pager, pages: u64, growing: bool) -> View<'a> {
        let all = pager.tags.all();
        let limit = pages.min(all.len() as u64);
        let shift = pager.page_size.trailing_zeros().max(PAGE_MIN.trailing_zeros());
        // This is what `first_page` computes, without a division, because a view is made for every lookup.
        let first = (META_BYTES + (1 << shift) - 1) >> shift;
        View {
            memory: pager.memory,
            tags: &all[first.min(limit) as usize..limit as usize],
            first: PageNo::new(first),
            shift,
            growing,
            pager,
        }
    }

    /// Returns a view that reaches as far as the file does now, if that is further and this is a writer's view.
    #[cold]
    #[inline(never)]
    fn wider(&self, page: PageNo) -> Result<View<'a>> {
        let wider = View::all(self.pager);
        if self.growing && wider.tags.len() > self.tags.len() {
            return Ok(wider);
        }
        Err(Error::corrupt(page, "a pointer leaves the file"))
    }

    #[cold]
    #[inline(never)]
    fn page_beyond(&self, ptr: &Ptr) -> Result<&'a [u8]> {
        self.wider(ptr.page.number())?.page(ptr)
    }

    /// Returns the index of a page's tag. It is beyond all tags if the page is not in the view.
    #[inline(always)]
    fn index(&self, page: PageNo) -> usize {
        to_usize(page.get().wrapping_sub(self.first.get()))
    }

    /// Returns the page behind the last one in the view.
    pub fn limit(&self) -> PageNo {
        self.first + self.tags.len() as u64
    }

    /// Compares bytes with their checksum, unless the options say never to. A child of the process that opened the
    /// database has no tags and gets here with each page. It holds no commit, so what it reads may be overwritten.
    #[cold]
    #[inline(never)]
    fn verify(&self, bytes: &[u8], expected: &Expected, tag: &AtomicU16) -> Result<()> {
        let &Expected {
            page,
            checksum,
            damaged,
        } = expected;
        self.pager.check_fork()?;
        self.count_used(page, bytes.len());
        if self.pager.verify != Verify::Never && crc32c(bytes) != checksum {
            if self.pager.is_poisoned() {
                return Err(Error::Poisoned);
            }
            return Err(Error::unreadable(page, damaged));
        }
        // A tag that is never set makes every access verify the page.
        if self.pager.verify != Verify::Always {
            tag.store(fold(checksum), Relaxed);
        }
        Ok(())
    }

    /// Counts the pages of a run that were announced, and are read now, as used. Their bytes are inside the view.
    fn count_used(&self, first: PageNo, len: usize) {
        let tags = &self.tags[self.index(first)..][..len.div_ceil(1 << self.shift)];
        let announced = tags.iter().filter(|tag| {
            tag.load(Relaxed) == ANNOUNCED && tag.compare_exchange(ANNOUNCED, 0, Relaxed, Relaxed).is_ok()
        });
        let used = announced.count() as u64;
        if used > 0 {
            self.pager.announced_pages_used.fetch_add(used, Relaxed);
        }
    }

    /// Notes that the system was told to read these runs, which lie inside the view.
    fn count_announced(&self, runs: &[Run]) {
        let tags = |run: &Run| &self.tags[self.index(run.first)..][..to_usize(run.pages)];
        let fresh = runs.iter().flat_map(tags);
        let fresh = fresh.filter(|tag| tag.swap(ANNOUNCED, Relaxed) != ANNOUNCED);
        let announced = fresh.count() as u64;
        if announced > 0 {
            self.pager.announced_pages.fetch_add(announced, Relaxed);
        }
    }

    /// Tells the system to read runs, if they do not seem to be in memory. Returns those that it was told to read.
    #[cold]
    fn ask(&self, runs: &mut dyn Iterator<Item = Run>) -> Vec<Run> {
        let (storage, end) = (&*self.pager.storage, self.limit());
        let inside = |run: &Run| run.first >= self.first && run.first < end && run.pages <= end - run.first;
        let few = runs.size_hint().1.is_some_and(|n| n <= FEW >> self.shift);
        let mut runs = runs.filter(inside).peekable();
        let Some(&first) = runs.peek() else {
            return Vec::new();
        };
        let trust = self.pager.resident.load(Relaxed);
        if trust && few && first.pages == 1 && !is_looked_for(first.first) {
            return Vec::new();
        }
        let mut runs: Vec<Run> = runs.collect();
        let some = (runs.len() / SAMPLES.0).max(SAMPLES.1).min(runs.len());
        let mut samples = (0..some).map(|i| runs[i * runs.len() / some]);
        let resident = samples.all(|run| storage.is_resident(self.offset(run.first)));
        if resident != trust {
            self.pager.resident.store(resident, Relaxed);
        }
        if resident {
            return Vec::new();
        }
        // Runs that are near each other in the file go in one request, wherever they are in key order.
        runs.sort_unstable();
        let ask = |run: Run| {
            let (from, to) = (self.offset(run.first), self.offset(run.end()));
            let mut at = from;
            while at < to {
                let len = ASK.min(to - at);
                storage.will_need(at, len);
                at += len;
            }
        };
        let mut open = runs[0];
        for &run in &runs[1..] {
            if run.first <= open.end() + NEAR {
                open.pages = open.pages.max(run.end() - open.first);
            } else {
                ask(open);
                open = run;
            }
        }
        ask(open);
        runs
    }

    /// Returns the bytes from the start of `page` on, if all of them are inside the view.
    #[inline(always)]
    fn bytes(&self, page: PageNo, len: u64) -> Option<&'a [u8]> {
        let pages = len.div_ceil(1 << self.shift).max(1);
        let at = self.index(page);
        if at >= self.tags.len() || pages > (self.tags.len() - at) as u64 {
            return None;
        }
        // SAFETY: The pages lie below the limit, and the file is known to reach that far, so the mapping is readable
        // there. They belong to a commit that this reader holds or to the transaction that reads them, so nobody
        // writes them (I-3). The view borrows the pager, which owns the mapping. A damaged pointer can name pages
        // that are being written, but no pointer found in a verified page does.
        Some(unsafe { std::slice::from_raw_parts(self.start(page), len as usize) })
    }

    /// Returns the address of the first byte of `page`.
    ///
    /// # Safety
    /// The page must lie inside the view.
    #[inline(always)]
    unsafe fn start(&self, page: PageNo) -> *const u8 {
        // SAFETY: The caller ensures that the page is inside the view, and so inside the mapping.
        unsafe { self.memory.base().add(self.offset(page) as usize).as_ptr() }
    }

    /// Returns where a page begins in the file, in bytes.
    #[inline(always)]
    fn offset(&self, page: PageNo) -> u64 {
        page.get() << self.shift
    }

    /// Returns the bytes of a page.
    #[inline(always)]
    fn size(&self) -> usize {
        let size = 1 << self.shift;
        // SAFETY: `new` makes no view with a smaller size. Saying so here saves a check of each page.
        unsafe { std::hint::assert_unchecked(size >= PAGE_MIN) };
        size
    }
}

/// A view together with the pager whose pages it shows.
#[derive(Debug)]
pub(super) struct OwnedView {
    view: View<'static>,
    pager: Arc<Pager>,
}

impl OwnedView {
    /// Returns a view of the pages of a commit, as [`View::of_commit`] does.
    #[inline]
    pub fn new(pager: Arc<Pager>, pages: u64) -> OwnedView {
        let view = View::of_commit(&pager, pages);
        // SAFETY: Only the lifetime changes. The view refers to the pager, which does not move and lives at least as
        // long as this, and `get` below returns it for no longer than this is borrowed.
        let view = unsafe { std::mem::transmute::<View<'_>, View<'static>>(view) };
        OwnedView { view, pager }
    }

    /// Makes the view show the pages of another commit, which has `pages` pages, from now on.
    #[inline]
    pub fn resize(&mut self, pages: u64) {
        let view = View::of_commit(&self.pager, pages);
        // SAFETY: Only the lifetime changes, and the view refers to the pager that this keeps alive, as in `new`.
        self.view = unsafe { std::mem::transmute::<View<'_>, View<'static>>(view) };
    }

    /// Returns the view.
    #[inline(always)]
    pub fn get(&self) -> &View<'_> {
        &self.view
    }

    /// Returns the pager.
    #[inline(always)]
    pub fn pager(&self) -> &Arc<Pager> {
        &self.pager
    }
}

impl Prefetch for View<'_> {
    #[inline(always)]
    fn page_size(&self) -> usize {
        self.size()
    }
    #[inline(always)]
    fn prefetch(&self, page: PageRef, bytes: usize) {
        #[cfg(target_arch = "x86_64")]
        if self.index(page.number()) < self.tags.len() {
            use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
            let mut at = 0;
            // No page is smaller than `PAGE_MIN`, and a constant bound lets the loop be unrolled.
            while at < bytes.min(PAGE_MIN) {
                // SAFETY: This is a hint, and the page is inside the view.
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(self.start(page.number()).add(at).cast());
                }
                at += 64;
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (page, bytes);
    }
    #[inline(always)]
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        #[cfg(target_arch = "x86_64")]
        if self.index(page.number()) < self.tags.len() {
            use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
            let start = self
                .memory
                .base()
                .as_ptr()
                .wrapping_add(self.offset(page.number()) as usize + from);
            for line in 0..lines {
                // SAFETY: This is a hint, which accesses no memory, whatever the address.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(64 * line).cast()) };
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (page, from, lines);
    }
}

impl<'a> PageSource<'a> for View<'a> {
    #[inline(always)]
    fn peek(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        let page = ptr.page.number();
        let tag = self.tags.get(self.index(page))?;
        if tag.load(Relaxed) != fold(ptr.checksum) {
            return None;
        }
        // SAFETY: `bytes` has the reasons, and finding the tag has checked the bounds of the page.
        Some(unsafe { std::slice::from_raw_parts(self.start(page), self.size()) })
    }

    #[inline(always)]
    fn again(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        let page = ptr.page.number();
        if self.index(page) >= self.tags.len() {
            return None;
        }
        // SAFETY: `bytes` has the reasons, and the bounds of the page were checked above.
        Some(unsafe { std::slice::from_raw_parts(self.start(page), self.size()) })
    }

    #[inline(always)]
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]> {
        let page = ptr.page.number();
        let Some(tag) = self.tags.get(self.index(page)) else {
            return self.page_beyond(ptr);
        };
        // SAFETY: `bytes` has the reasons, and finding the tag has checked the bounds of the page.
        let bytes = unsafe { std::slice::from_raw_parts(self.start(page), self.size()) };
        if tag.load(Relaxed) != fold(ptr.checksum) {
            let expected = Expected {
                page,
                checksum: ptr.checksum,
                damaged: DAMAGED_PAGE,
            };
            self.verify(bytes, &expected, tag)?;
        }
        Ok(bytes)
    }

    #[inline(always)]
    fn branch_hints(&self) -> BranchHints<'a> {
        BranchHints::new(self.pager.branch_hints.all())
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'a [u8]> {
        let Some(bytes) = self.bytes(page, len as u64) else {
            return self.wider(page)?.piece(page, len, checksum);
        };
        let tag = &self.tags[self.index(page)];
        // Asking the system about a small piece takes a third of the time that reading it takes.
        if tag.load(Relaxed) != fold(checksum) || len > MANY {
            self.will_read(&mut std::iter::once(Run::new(
                page,
                len.div_ceil(1 << self.shift) as u64,
            )));
        }
        if tag.load(Relaxed) != fold(checksum) {
            let expected = Expected {
                page,
                checksum,
                damaged: DAMAGED_VALUE,
            };
            self.verify(bytes, &expected, tag)?;
        }
        Ok(bytes)
    }

    fn will_read(&self, runs: &mut dyn Iterator<Item = Run>) {
        self.count_announced(&self.ask(runs));
    }

    fn will_copy(&self, runs: &mut dyn Iterator<Item = Run>) {
        self.ask(runs);
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'a [u8]> {
        match self.bytes(page, len) {
            Some(bytes) => Ok(bytes),
            None => self.wider(page)?.raw(page, len),
        }
    }
}
