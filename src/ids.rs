//! The numbers the engine speaks of, each with a type of its own: a page's, a commit's and a table's number are all
//! `u64` underneath, and none can be taken for another.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// Largest value of a 48-bit field of the format: births, entry counts, commit ids.
pub const U48_MAX: u64 = (1 << 48) - 1;

/// Number of a page in the file. Page `n` begins at byte `n * page size`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct PageNo(u64);

impl PageNo {
    /// Page numbers in the file are below this.
    pub const END: PageNo = PageNo(1 << 47);

    /// The page with this number.
    #[inline(always)]
    pub const fn new(number: u64) -> PageNo {
        PageNo(number)
    }

    /// The number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Where the page begins in the file, in bytes.
    #[inline(always)]
    pub const fn offset(self, page_size: usize) -> u64 {
        self.0 * page_size as u64
    }

    /// The page `pages` behind this one, if there is such a number.
    #[inline(always)]
    pub fn checked_add(self, pages: u64) -> Option<PageNo> {
        self.0.checked_add(pages).map(PageNo)
    }

    /// How many pages this one lies behind `start`; `None` if it lies before it.
    #[inline(always)]
    pub fn checked_sub(self, start: PageNo) -> Option<u64> {
        self.0.checked_sub(start.0)
    }

    /// Pages between the two, whichever comes first.
    #[inline(always)]
    pub fn distance(self, other: PageNo) -> u64 {
        self.0.abs_diff(other.0)
    }
}

impl Add<u64> for PageNo {
    type Output = PageNo;
    #[inline(always)]
    fn add(self, pages: u64) -> PageNo {
        PageNo(self.0 + pages)
    }
}

impl AddAssign<u64> for PageNo {
    #[inline(always)]
    fn add_assign(&mut self, pages: u64) {
        self.0 += pages;
    }
}

impl Sub for PageNo {
    type Output = u64;
    /// How many pages `self` lies behind `start`, which must not lie behind it.
    #[inline(always)]
    fn sub(self, start: PageNo) -> u64 {
        self.0 - start.0
    }
}

impl fmt::Display for PageNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PageNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a commit: counted from 1 up, never used twice in one file. Zero stands for "before any commit".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct CommitId(u64);

impl CommitId {
    /// Before any commit.
    pub const NONE: CommitId = CommitId(0);
    /// The largest number the format can hold.
    pub const MAX: CommitId = CommitId(U48_MAX);

    /// The commit with this number.
    #[inline(always)]
    pub const fn new(number: u64) -> CommitId {
        CommitId(number)
    }

    /// The number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The number after this one.
    #[inline(always)]
    pub const fn next(self) -> CommitId {
        CommitId(self.0 + 1)
    }

    /// How many numbers `earlier` lies before this one; `None` if it lies behind it.
    #[inline(always)]
    pub fn checked_sub(self, earlier: CommitId) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of a table. It names the table for as long as it exists, under whatever name, and is never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct TableId(u64);

impl TableId {
    /// The default table: needs no name, always exists.
    pub const MAIN: TableId = TableId(0);
    /// The read-only list of the named tables: name -> number (8 bytes, little-endian).
    pub const NAMES: TableId = TableId(1);
    /// Numbers below this are fixed.
    pub const FIRST_NAMED: TableId = TableId(3);
    /// What the pages of the catalogue's own tree carry in their headers.
    pub const CATALOGUE: TableId = TableId(u64::MAX - 1);
    /// What the pages of the space tree carry in their headers.
    pub const SPACE: TableId = TableId(u64::MAX);

    /// The table with this number.
    #[inline(always)]
    pub const fn new(number: u64) -> TableId {
        TableId(number)
    }

    /// The number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for TableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Pages of the file that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Run {
    /// The first page.
    pub first: PageNo,
    /// How many there are.
    pub pages: u64,
}

impl Run {
    /// `pages` pages from `first` on.
    #[inline(always)]
    pub const fn new(first: PageNo, pages: u64) -> Run {
        Run { first, pages }
    }

    /// The page behind the last one.
    #[inline(always)]
    pub fn end(self) -> PageNo {
        self.first + self.pages
    }

    /// As [`Run::end`], of a run whose numbers nobody has checked.
    #[inline(always)]
    pub fn checked_end(self) -> Option<PageNo> {
        self.first.checked_add(self.pages)
    }

    /// Whether `page` is one of them.
    #[inline(always)]
    pub fn contains(self, page: PageNo) -> bool {
        page.checked_sub(self.first).is_some_and(|at| at < self.pages)
    }

    /// Its pages, ascending.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = PageNo> {
        (0..self.pages).map(move |at| self.first + at)
    }
}

/// A page that only the write transaction which made it can see: it has a place in that transaction's memory and none in
/// the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct PrivatePage(u32);

impl PrivatePage {
    /// The page in this slot of the transaction's arena.
    #[inline(always)]
    pub const fn new(slot: u32) -> PrivatePage {
        PrivatePage(slot)
    }

    /// Its slot in the arena.
    #[inline(always)]
    pub const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// Where a tree page is: in the file, or private to a write transaction.
///
/// Branches hold their children's places in 48 bits each, in memory as in the file; this is such a field. No page number
/// of a file reaches the bit that tells the two kinds apart, and a private place is never written to a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct PageRef(u64);

impl PageRef {
    const PRIVATE: u64 = PageNo::END.0;

    /// Of a page that is looked at by itself, so that nobody knows where it is. No page is there.
    pub const UNKNOWN: PageRef = PageRef(U48_MAX);

    /// The page in the file.
    #[inline(always)]
    pub const fn placed(page: PageNo) -> PageRef {
        PageRef(page.0)
    }

    /// The private page.
    #[inline(always)]
    pub const fn private(page: PrivatePage) -> PageRef {
        PageRef(PageRef::PRIVATE | page.0 as u64)
    }

    /// The private page, if it is one.
    #[inline(always)]
    pub const fn as_private(self) -> Option<PrivatePage> {
        match self.is_private() {
            true => Some(PrivatePage(self.0 as u32)),
            false => None,
        }
    }

    /// Whether it is a private page.
    #[inline(always)]
    pub const fn is_private(self) -> bool {
        self.0 & PageRef::PRIVATE != 0
    }

    /// The page in the file. Of a private page: a number beyond every file's end, so that looking for it there fails as
    /// for any damaged pointer.
    #[inline(always)]
    pub const fn number(self) -> PageNo {
        PageNo(self.0)
    }

    /// The 48 bits that a branch holds.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// The place that these 48 bits of a branch mean. Any bits are allowed: pages may be damaged.
    #[inline(always)]
    pub const fn from_bits(bits: u64) -> PageRef {
        PageRef(bits)
    }
}

impl From<PageNo> for PageRef {
    #[inline(always)]
    fn from(page: PageNo) -> PageRef {
        PageRef::placed(page)
    }
}

/// For messages: a private page has no number that would tell anybody anything.
impl From<PageRef> for Option<PageNo> {
    fn from(page: PageRef) -> Option<PageNo> {
        (!page.is_private()).then_some(page.number())
    }
}

impl fmt::Debug for PageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_private() {
            Some(page) => write!(f, "private {}", page.0),
            None => self.0.fmt(f),
        }
    }
}
