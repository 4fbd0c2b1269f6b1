//! The two traits through which trees reach pages: whoever reads a tree gets its pages from a [`PageSource`], and
//! whoever changes one gives them to a [`PageSink`]. So this room and `tree` know neither the pager nor files.

use super::hint::branch::BranchHints;
use super::hint::leaf::LeafHints;
use super::hint::Prefetch;
use super::{Extent, Ptr};
use crate::error::Result;
use crate::ids::{CommitId, PageNo, Run};

/// The source that pages are read from: the map through one snapshot's eyes, a write transaction, or a `HashMap` in a
/// test. The bytes live for `'a`, which is longer than the source itself, a cheap copy of a reference.
pub trait PageSource<'a>: Prefetch {
    /// Returns the page behind `ptr`. It has exactly `page_size` bytes, and its checksum was verified at least once
    /// since it was written.
    ///
    /// # Errors
    /// `Corrupt` if the number is out of range or the checksum differs.
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]>;

    /// Returns what [`PageSource::page`] returns, if that needs nothing but a look. `None` says nothing about why. This
    /// is for the innermost steps: an answer without errors leaves the source in registers.
    #[inline(always)]
    fn peek(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        self.page(ptr).ok()
    }

    /// Returns the page behind `ptr`, which [`PageSource::peek`] has returned since the source's snapshot was taken.
    /// Its checksum is not compared again.
    #[inline(always)]
    fn again(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        self.peek(ptr)
    }

    /// Says that these runs will be read. If they do not seem to be in memory, the system is told to read all of them
    /// at once, together with what lies between near ones, and it is counted how many of them are read afterwards.
    fn will_read(&self, runs: &mut dyn Iterator<Item = Run>) {
        let _ = runs;
    }

    /// Says the same of runs whose bytes the caller takes by [`PageSource::raw`]. They are not counted.
    fn will_copy(&self, runs: &mut dyn Iterator<Item = Run>) {
        let _ = runs;
    }

    /// Returns what is known of leaves, if lookups through this source take note of it.
    #[inline(always)]
    fn leaf_hints(&self) -> Option<&'a LeafHints> {
        None
    }

    /// Returns where the leaves of branches begin, if lookups through this source take note of it.
    #[inline(always)]
    fn branch_hints(&self) -> BranchHints<'a> {
        BranchHints::default()
    }

    /// Returns `len` bytes from the start of `page` on, as one piece whose CRC-32C must be `checksum`. It was verified
    /// at least once.
    ///
    /// # Errors
    /// `Corrupt` if the range leaves the file or the checksum differs.
    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'a [u8]>;

    /// Returns `len` bytes from the start of `page` on. Only their bounds are checked: this is for a whole extent whose
    /// pieces were verified.
    ///
    /// # Errors
    /// `Corrupt` if the range leaves the file.
    fn raw(&self, page: PageNo, len: u64) -> Result<&'a [u8]>;
}

/// How long pages are expected to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// The pages live until an entry in them changes.
    UntilEdited,
    /// The pages live until the next commit or so, all pages of a run together. A run in one piece leaves one hole for
    /// the next.
    UntilNextCommit,
}

/// The sink from which a write transaction gets pages and to which it gives them back. All of it is undone by not
/// committing.
pub trait PageSink {
    /// Returns the id that this transaction's commit will have, which is the birth of every page placed through the
    /// sink.
    fn birth(&self) -> CommitId;

    /// Allocates one run of 1 to `want` contiguous pages. It is the longest sensible one, and callers ask again for the
    /// rest.
    ///
    /// # Errors
    /// `NoSpace` if the disk is full; `Limit` if the file would outgrow the address range reserved for it.
    fn take(&mut self, want: u64, lifetime: Lifetime) -> Result<Run>;

    /// Allocates exactly `pages` contiguous pages, growing the file if no hole fits.
    ///
    /// # Errors
    /// `NoSpace` if the disk is full; `Limit` if the file would outgrow the address range reserved for it.
    fn take_exact(&mut self, pages: u64) -> Result<Run>;

    /// Allocates exactly `pages` contiguous pages of those that are free now, where this transaction is to write.
    /// Returns `None` if no such run is free: the file does not grow for it.
    ///
    /// # Errors
    /// `NoMemory`.
    fn take_hole(&mut self, pages: u64) -> Result<Option<Run>> {
        let _ = pages;
        Ok(None)
    }

    /// Writes whole tree pages one after the other from `page` on, into pages taken before. `sums[i]` is the CRC-32C of
    /// `parts[i]`, which is kept for the commit record, so that nothing is summed twice. Afterwards the pages can be
    /// read through a [`PageSource`] of this transaction.
    ///
    /// # Errors
    /// `NoSpace` if the disk is full; `Io` if the system fails.
    fn write_pages(&mut self, page: PageNo, parts: &[&[u8]], sums: &[u32]) -> Result<()>;

    /// Writes one piece (at most [`PIECE`] bytes of payload without a header) from the start of `page` on, and zeros to
    /// the end of its last page. `checksum` is the CRC-32C of `bytes`.
    ///
    /// # Errors
    /// `NoSpace` if the disk is full; `Io` if the system fails.
    fn write_piece(&mut self, page: PageNo, bytes: &[u8], checksum: u32) -> Result<()>;

    /// Says that this transaction no longer refers to the pages of `extent`. Pages that it took itself (their birth is
    /// its own) can be taken again at once, others when no reader and no recoverable commit needs them.
    fn release(&mut self, extent: Extent);
}
