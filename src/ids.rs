//! This module gives each kind of number its own type. The numbers of pages, commits and tables are all `u64`
//! underneath, but none can be taken for another.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};

/// The largest value of a 48-bit field of the format, such as a birth, a count of entries or a commit id.
pub const U48_MAX: u64 = (1 << 48) - 1;

/// The number of a page in the file. Page `n` begins at byte `n * page size`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct PageNo(u64);

impl PageNo {
    /// All page numbers in a file are below this one.
    pub const END: PageNo = PageNo(1 << 40);

    /// Returns the page with this number.
    #[inline(always)]
    pub const fn new(number: u64) -> PageNo {
        PageNo(number)
    }

    /// Returns the number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the offset in the file, in bytes, at which the page begins.
    #[inline(always)]
    pub const fn offset(self, page_size: usize) -> u64 {
        self.0 * page_size as u64
    }

    /// Returns the page that is `pages` behind this one, or `None` if that number overflows.
    #[inline(always)]
    pub fn checked_add(self, pages: u64) -> Option<PageNo> {
        self.0.checked_add(pages).map(PageNo)
    }

    /// Returns how many pages this one lies behind `start`, or `None` if it lies before `start`.
    #[inline(always)]
    pub fn checked_sub(self, start: PageNo) -> Option<u64> {
        self.0.checked_sub(start.0)
    }

    /// Returns how many pages the two are apart, whichever comes first.
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
    /// Returns how many pages `self` lies behind `start`, which must not lie behind `self`.
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

/// The number of a commit. Commits are numbered from 1 up, and no number is used twice in one file (I-4). Zero stands
/// for "before any commit".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct CommitId(u64);

impl CommitId {
    /// The number that stands for "before any commit".
    pub const NONE: CommitId = CommitId(0);
    /// The largest number that the format can represent.
    pub const MAX: CommitId = CommitId(U48_MAX);

    /// Returns the commit with this number.
    #[inline(always)]
    pub const fn new(number: u64) -> CommitId {
        CommitId(number)
    }

    /// Returns the number.
    #[inline(always)]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the number after this one.
    #[inline(always)]
    pub const fn next(self) -> CommitId {
        CommitId(self.0 + 1)
    }

    /// Returns how many numbers `earlier` lies before this one, or `None` if it lies behind it.
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

/// The number of a table. It identifies the table for as long as the table exists, whatever its name is, and is never
/// used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct TableId(u64);

impl TableId {
    /// The main table, which needs no name and always exists.
    pub const MAIN: TableId = TableId(0);
    /// The list of the named tables, which is a read-only table: name -> number (8 bytes, little-endian).
    pub const NAMES: TableId = TableId(1);
    /// The list of the named snapshots, which is a read-only table. Its root is not in the catalogue.
    pub const SNAPSHOTS: TableId = TableId(2);
    /// The least number of a named table. All smaller numbers have a fixed meaning or get one in later versions.
    pub const FIRST_NAMED: TableId = TableId(256);
    /// The number that the pages of the catalogue's own tree carry in their headers.
    pub const CATALOGUE: TableId = TableId(u64::MAX - 1);
    /// The number that the pages of the space tree carry in their headers.
    pub const SPACE: TableId = TableId(u64::MAX);

    /// Returns whether this is the number of no table, but of a tree that only the library uses. The numbers of tables
    /// are below 2^53.
    #[doc(hidden)]
    pub const fn is_internal(self) -> bool {
        self.0 >= 1 << 53
    }

    /// Returns the table with this number.
    #[inline(always)]
    pub const fn new(number: u64) -> TableId {
        TableId(number)
    }

    /// Returns the number.
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

/// The index of a process among those that have the same database open. Another process may get it when this one is
/// gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct ProcessIndex(u16);

impl ProcessIndex {
    /// Returns the process with this index.
    #[inline(always)]
    pub const fn new(index: u16) -> ProcessIndex {
        ProcessIndex(index)
    }

    /// Returns the index.
    #[inline(always)]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl fmt::Debug for ProcessIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Pages of the file that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Run {
    /// The first page.
    pub first: PageNo,
    /// The number of pages.
    pub pages: u64,
}

impl Run {
    /// Returns the run of `pages` pages that begins at `first`.
    #[inline(always)]
    pub const fn new(first: PageNo, pages: u64) -> Run {
        Run { first, pages }
    }

    /// Returns the page behind the last one.
    #[inline(always)]
    pub fn end(self) -> PageNo {
        self.first + self.pages
    }

    /// Returns the page behind the last one of a run whose numbers nobody has checked, or `None` if they overflow.
    #[inline(always)]
    pub fn checked_end(self) -> Option<PageNo> {
        self.first.checked_add(self.pages)
    }

    /// Returns the pages of the run in ascending order.
    #[inline(always)]
    pub fn iter(self) -> impl Iterator<Item = PageNo> {
        (0..self.pages).map(move |at| self.first + at)
    }
}

/// A page that only the write transaction which built it can see. It has a slot in the arena of that transaction and no
/// number in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct PrivatePage(u32);

impl PrivatePage {
    /// Returns the page in this slot of the transaction's arena.
    #[inline(always)]
    pub const fn new(slot: u32) -> PrivatePage {
        PrivatePage(slot)
    }

    /// Returns the page's slot in the arena.
    #[inline(always)]
    pub const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// The location of a tree page, which is either in the file or private to a write transaction.
///
/// A branch stores the location of each child in a field of 48 bits, in memory and in the file; this type is such a
/// field. The bit that tells the two kinds apart is the highest one, which no page number of a file has, and the
/// location of a private page is never written to a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct PageRef(u64);

impl PageRef {
    const PRIVATE: u64 = 1 << 47;

    /// The location of a page that is looked at by itself, so that nobody knows where it is. No page has this location.
    pub const UNKNOWN: PageRef = PageRef(U48_MAX);

    /// Returns the location of a page in the file.
    #[inline(always)]
    pub const fn placed(page: PageNo) -> PageRef {
        PageRef(page.0)
    }

    /// Returns the location of a private page.
    #[inline(always)]
    pub const fn private(page: PrivatePage) -> PageRef {
        PageRef(PageRef::PRIVATE | page.0 as u64)
    }

    /// Returns the private page, or `None` if the page is in the file.
    #[inline(always)]
    pub const fn as_private(self) -> Option<PrivatePage> {
        match self.is_private() {
            true => Some(PrivatePage(PageRef::slot_of(self.0 & (PageRef::PRIVATE - 1)))),
            false => None,
        }
    }

    /// Returns the slot that these bits mean. The bits of a damaged pointer may be too many for one: then it is the
    /// last slot, which no arena reaches, and not one that their low half happens to name.
    #[inline(always)]
    const fn slot_of(bits: u64) -> u32 {
        match bits > u32::MAX as u64 {
            true => u32::MAX,
            false => bits as u32,
        }
    }

    /// Returns whether the page is private.
    #[inline(always)]
    pub const fn is_private(self) -> bool {
        self.0 & PageRef::PRIVATE != 0
    }

    /// Returns the number of the page in the file. For a private page the number lies beyond the end of every file, so
    /// looking for it there fails as it does for any damaged pointer.
    #[inline(always)]
    pub const fn number(self) -> PageNo {
        PageNo(self.0)
    }

    /// Returns the 48 bits that a branch stores.
    #[inline(always)]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the location that these 48 bits of a branch mean. All bits are allowed, because pages may be damaged.
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

/// Converts a location for use in messages. A private page becomes `None`, because it has no number that would mean
/// anything to a reader of the message.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that the types must hold, seeded: the ends of their ranges and others.
    fn numbers(end: u64) -> impl Iterator<Item = u64> {
        let mut x = 7u64;
        let others = (0..2000).map(move |_| {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            // All magnitudes are equally likely.
            (x >> 16) >> (x % 48)
        });
        [0, 1, 2, end / 2, end - 2, end - 1]
            .into_iter()
            .chain(others)
            .filter(move |n| *n < end)
    }

    #[test]
    fn a_place_is_either_in_the_file_or_private_and_survives_as_bits() {
        for n in numbers(PageNo::END.get()) {
            let page = PageNo::new(n);
            let placed = PageRef::placed(page);
            assert!(!placed.is_private() && placed.as_private().is_none());
            assert_eq!((placed.number(), Option::<PageNo>::from(placed)), (page, Some(page)));
            assert_eq!(PageRef::from_bits(placed.to_bits()), placed);
            assert!(placed.to_bits() <= U48_MAX, "{n}");
        }
        for n in numbers(1 << 32) {
            let page = PrivatePage::new(n as u32);
            let private = PageRef::private(page);
            assert_eq!((private.as_private(), page.slot()), (Some(page), n as usize));
            assert!(private.number() >= PageNo::END, "a private place leads into the file");
            assert_eq!(
                Option::<PageNo>::from(private),
                None,
                "it means nothing to anybody else"
            );
            assert_eq!(PageRef::from_bits(private.to_bits()), private);
            // A damaged pointer with more bits than a slot has is not taken for a slot that is in use.
            let damaged = PageRef::from_bits(private.to_bits() | 1 << 40);
            assert_eq!(damaged.as_private(), Some(PrivatePage::new(u32::MAX)));
            assert!(private.to_bits() <= U48_MAX, "{n}");
        }
        assert_eq!(Option::<PageNo>::from(PageRef::UNKNOWN), None);
    }

    #[test]
    fn pages_and_runs_count_alike() {
        for (n, pages) in numbers(PageNo::END.get()).zip(numbers(1 << 20)) {
            let (first, run) = (PageNo::new(n), Run::new(PageNo::new(n), pages));
            let end = run.end();
            assert_eq!(
                (end - first, end.checked_sub(first), run.checked_end()),
                (pages, Some(pages), Some(end))
            );
            assert_eq!((first.distance(end), end.distance(first)), (pages, pages));
            assert_eq!(first.checked_sub(end), (pages == 0).then_some(0));
            assert_eq!(run.iter().take(100).count() as u64, pages.min(100));
            assert!(run.iter().take(100).all(|page| page >= first && page < end));
            assert_eq!(first.offset(4096), 4096 * n);
        }
        assert_eq!(Run::new(PageNo::new(u64::MAX), 1).checked_end(), None);
    }

    #[test]
    fn commits_are_numbered_upwards() {
        for n in numbers(U48_MAX) {
            let commit = CommitId::new(n);
            assert!(commit.next() > commit && commit.next() <= CommitId::MAX);
            assert_eq!(commit.next().checked_sub(commit), Some(1));
            assert_eq!(commit.checked_sub(commit.next()), None);
        }
        assert!(CommitId::NONE < CommitId::new(1));
    }
}
