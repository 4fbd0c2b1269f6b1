//! A page as bytes: the layouts, and the two traits through which trees reach pages.
//!
//! Nothing here reads or writes files, and nothing here trusts the bytes: every view checks its bounds itself, because
//! a page in the map may be damaged or hostile, and memory safety must not rest on a checksum tested earlier.
//!
//! | file       | subject                                                             |
//! |------------|---------------------------------------------------------------------|
//! | `layout`   | where each array, record and field lies                              |
//! | `header`   | the 24 bytes that all tree pages begin with                          |
//! | `search`   | counting heads: the first step in leaves and branches                |
//! | `arrays`   | the arrays of a page, checked once                                   |
//! | `kernel`   | vector compares, as the machine can                                  |
//! | `suffix`   | the part of a key that a page stores; long keys                      |
//! | `leaf`     | slotted and dense leaves: reading; `leaf_build`, `leaf_edit`: writing |
//! | `key`      | rebuilding keys from a leaf, fast                                    |
//! | `branch`   | separators and pointers                                              |
//! | `hint`     | asking memory for parts of pages before they are read                |
//! | `chain`    | the description of a long value or long key outside the page         |
//! | `roots`    | pointers and roots, and the only encoding of roots                   |
//! | `features` | bits for what later versions add to the format                       |
//! | `meta`     | the four slots at the head of the file                               |

pub mod arrays;
pub mod branch;
pub mod chain;
pub mod features;
pub mod header;
pub mod hint;
pub mod kernel;
pub mod key;
pub mod layout;
pub mod leaf;
pub mod leaf_build;
pub mod leaf_edit;
pub mod meta;
pub mod roots;
pub mod search;
pub mod suffix;

pub use roots::{Ptr, Root, Roots};

use crate::error::Result;
use crate::ids::{CommitId, PageNo, PageRef, Run};

/// Smallest page size in bytes, and the default.
pub const PAGE_MIN: usize = 4096;
/// Largest page size in bytes.
pub const PAGE_MAX: usize = 65536;
/// Bytes of the four meta slots at the head of the file.
pub const META_BYTES: u64 = 4 * 4096;
/// A long value is checksummed in pieces of this many bytes.
pub const PIECE: u64 = 1 << 20;
/// Longest key in bytes.
pub const KEY_MAX: usize = 2 << 20;
/// Pages that the meta slots occupy at this page size.
pub fn meta_pages(page_size: usize) -> u64 {
    META_BYTES.div_ceil(page_size as u64)
}

/// A run of contiguous pages holding one value, a part of one, or the rest of a long key. No header: payload from the
/// first byte, zeros behind the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Extent {
    /// Its pages.
    pub run: Run,
    /// Commit that wrote it.
    pub birth: CommitId,
}

/// Where pages are read from: the map through one snapshot's eyes, a write transaction, or a `HashMap` in a test. The
/// bytes live for `'a`, longer than the source itself, which is a cheap copy of a reference.
pub trait PageSource<'a> {
    /// Bytes of a page.
    fn page_size(&self) -> usize;

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

    /// The page behind `ptr`, which [`PageSource::peek`] has answered since the source's snapshot was taken: what it sums to is
    /// not asked again.
    #[inline(always)]
    fn again(&self, ptr: &Ptr) -> Option<&'a [u8]> {
        self.peek(ptr)
    }

    /// As [`PageSource::peek`], by what it needs of a pointer.
    #[inline(always)]
    fn peek_at(&self, page: PageRef, checksum: u32) -> Option<&'a [u8]> {
        self.peek(&Ptr {
            page,
            checksum,
            ..Ptr::default()
        })
    }

    /// Hints that the first `bytes` bytes of `page` will be read soon.
    #[inline(always)]
    fn prefetch(&self, page: PageRef, bytes: usize) {
        let _ = (page, bytes);
    }

    /// Hints that the `lines` cache lines from byte `from` of `page` on will be read soon.
    #[inline(always)]
    fn prefetch_at(&self, page: PageRef, from: usize, lines: usize) {
        let _ = (page, from, lines);
    }

    /// Says that these runs will be read. If they do not seem to be in memory, all are asked for at once, and
    /// so is what lies between near ones.
    fn will_read(&self, runs: &mut dyn Iterator<Item = Run>) {
        let _ = runs;
    }

    /// What leaves are like, where lookups through this source take note of it.
    #[inline(always)]
    fn leaf_hints(&self) -> Option<&'a hint::leaf::LeafHints> {
        None
    }

    /// Where leaves lie in a row, where lookups through this source take note of it.
    #[inline(always)]
    fn branch_hints(&self) -> hint::branch::BranchHints<'a> {
        hint::branch::BranchHints::default()
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
pub enum Life {
    /// Until an entry in them changes.
    Long,
    /// Until the next commit or so, all pages of a run together: a run in one piece leaves one hole for the next.
    Short,
}

/// Where a write transaction gets pages and gives them back. All of it is undone by not committing.
pub trait PageSink {
    /// The id this transaction's commit will have: the birth of every page placed through it.
    fn birth(&self) -> CommitId;

    /// Allocates one run of 1 to `want` contiguous pages (the longest sensible one: callers ask again for the rest).
    ///
    /// # Errors
    /// `NoSpace`, `Limit`.
    fn take(&mut self, want: u64, life: Life) -> Result<Run>;

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
