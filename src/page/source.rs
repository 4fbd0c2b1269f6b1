//! The two traits through which trees reach pages: whoever reads a tree gets its pages from a [`PageSource`], and whoever
//! changes one gives them to a [`PageSink`]. So this room and `tree` know neither the pager nor files.

use super::hint::branch::BranchHints;
use super::hint::leaf::LeafHints;
use super::hint::Prefetch;
use super::{Extent, Ptr};
use crate::error::Result;
use crate::ids::{CommitId, PageNo, Run};

/// Where pages are read from: the map through one snapshot's eyes, a write transaction, or a `HashMap` in a test. The
/// bytes live for `'a`, longer than the source itself, which is a cheap copy of a reference.
pub trait PageSource<'a>: Prefetch {
    /// The page behind `ptr`: exactly `page_size` bytes, its checksum verified at least once since it was written.
    ///
    /// # Errors
    /// `Corrupt` when the number is out of range or the checksum differs.
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]>;

    /// As [`PageSource::page`], if that needs nothing but a look; `None` says nothing about why. For the innermost steps: an
    /// answer without errors leaves the source in registers.
    #[inline(always)]
    fn peek(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        self.page(ptr).ok()
    }

    /// The page behind `ptr`, which [`PageSource::peek`] has answered since the source's snapshot was taken. Its checksum is not
    /// compared again.
    #[inline(always)]
    fn again(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        self.peek(ptr)
    }

    /// Says that these runs will be read. If they do not seem to be in memory, the system is told to read all of them at once, and
    /// what lies between near ones.
    fn will_read(&self, runs: &mut dyn Iterator<Item = Run>) {
        let _ = runs;
    }

    /// What leaves are like, where lookups through this source take note of it.
    #[inline(always)]
    fn leaf_hints(&self) -> Option<&'a LeafHints> {
        None
    }

    /// Where the leaves of branches begin, where lookups through this source take note of it.
    #[inline(always)]
    fn branch_hints(&self) -> BranchHints<'a> {
        BranchHints::default()
    }

    /// `len` bytes from the start of `page` on, as one piece whose CRC-32C must be `checksum` (verified at least once).
    ///
    /// # Errors
    /// `Corrupt` when the range leaves the file or the checksum differs.
    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'a [u8]>;

    /// `len` bytes from the start of `page` on, bounds checked only: for a whole extent whose pieces were verified.
    ///
    /// # Errors
    /// `Corrupt` when the range leaves the file.
    fn raw(&self, page: PageNo, len: u64) -> Result<&'a [u8]>;
}

/// How long pages are expected to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Until an entry in them changes.
    UntilEdited,
    /// Until the next commit or so, all pages of a run together: a run in one piece leaves one hole for the next.
    UntilNextCommit,
}

/// Where a write transaction gets pages and gives them back. All of it is undone by not committing.
pub trait PageSink {
    /// The id this transaction's commit will have: the birth of every page placed through it.
    fn birth(&self) -> CommitId;

    /// Allocates one run of 1 to `want` contiguous pages (the longest sensible one: callers ask again for the rest).
    ///
    /// # Errors
    /// `NoSpace`, `Limit`.
    fn take(&mut self, want: u64, lifetime: Lifetime) -> Result<Run>;

    /// Allocates exactly `pages` contiguous pages, growing the file if no hole fits.
    ///
    /// # Errors
    /// `NoSpace`, `Limit`.
    fn take_exact(&mut self, pages: u64) -> Result<Run>;

    /// Writes whole tree pages one after the other from `page` on, into pages taken before; `sums[i]` is the CRC-32C of
    /// `parts[i]` (kept for the commit record, so that nothing is summed twice). They can be read through a [`PageSource`]
    /// of this transaction afterwards.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    fn write_pages(&mut self, page: PageNo, parts: &[&[u8]], sums: &[u32]) -> Result<()>;

    /// Writes one piece (at most [`PIECE`] bytes, payload without a header) from the start of `page` on, and zeros to
    /// the end of its last page; `checksum` is the CRC-32C of `bytes`.
    ///
    /// # Errors
    /// `NoSpace`, `Io`.
    fn write_piece(&mut self, page: PageNo, bytes: &[u8], checksum: u32) -> Result<()>;

    /// Tells that this transaction no longer refers to the pages. Those it took itself (their birth is its own) can be
    /// taken again at once, others when no reader and no recoverable commit needs them.
    fn release(&mut self, extent: Extent);
}
