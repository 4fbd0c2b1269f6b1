//! Branch pages: separators and pointers.
//!
//! ```text
//! heads u32[n] | pages u48[n] | births u48[n] | entries u48[n] | offsets u16[n] | checksums u32[n]
//!   | HEAD2 only: second heads u32[n], run prefix u8[n] | extra bytes of later versions
//!   | free | separator records | prefix
//!
//! offset   0-4: the separator has that many bytes behind the prefix, all in its head
//!          else: record {u16 inline suffix length, bit 15: long; remainder; description of a long separator's rest}
//! ```
//!
//! Child `i` holds the keys `k` with `separator(i) <= k < separator(i + 1)`; `separator(0)` is empty and below
//! everything. A search touches heads, one page number and one checksum. Separators are cut to the shortest that
//! separates. Where many first heads tie (URLs), HEAD2 pages carry a second level: within a run of equal heads, the
//! bytes that all separators of the run share behind the head are counted in `run prefix`, and the 4 bytes after those
//! are the second heads.

use super::arrays::PageArrays;
use super::header::{self, Damage, PlainTop, Top, BRANCH, CHECK_PREFIX, HEAD2, HEADER, NOT_A_PAGE, WRONG_LEVEL};
use super::kernel::{best, plain, Kernel, Quietly, Work};
use super::layout::branch::{
    BIRTHS, CHECKSUMS, CHILD, CHILD_WITH_HEAD2, ENTRIES, OFFSETS, PAGES, RUN_PREFIXES, SECOND_HEADS,
};
use super::layout::header::LEVEL;
use super::layout::record::{self, separator, separator::LENGTH};
use super::layout::HEAD_BYTES;
use super::search::head;
use super::suffix::Suffix;
use super::{PageSource, Ptr};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageRef};
use crate::util::bytes::{order, same};
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::Range;

const NOT_A_BRANCH: Damage = Damage("not a branch");

/// A branch whose bounds were checked. It knows where it is, so that its errors can say so.
#[derive(Clone, Copy)]
pub struct Branch<'a> {
    page: &'a [u8],
    top: Top,
    arrays: PageArrays<'a, CHILD>,
    at: PageRef,
}

// A branch is never empty.
#[allow(clippy::len_without_is_empty)]
impl<'a> Branch<'a> {
    /// Views the page at `at` as a branch of `level`, to search in it and to read its pointers.
    ///
    /// # Errors
    /// `Corrupt` if it is something else, or if its arrays do not lie inside the page. The records are not checked here
    /// but when they are read.
    #[inline(always)]
    pub fn of(page: &'a [u8], at: PageRef, level: u8) -> Result<Branch<'a>> {
        let top = Top::of(page).ok_or_else(|| NOT_A_PAGE.at(at))?;
        if !top.is(BRANCH, level) {
            return Err(refuse(page, at));
        }
        header::check(page).map_err(|damage| damage.at(at))?;
        match PageArrays::new(page, top.count()) {
            Some(arrays) if arrays.count() > 0 => Ok(Branch { page, top, arrays, at }),
            _ => Err(NOT_A_BRANCH.at(at)),
        }
    }

    /// Views the page at `at` as a branch, to change it or to copy all of it. What its header says of records and
    /// prefix is checked, too.
    ///
    /// # Errors
    /// `Corrupt` if it is no branch, or if arrays, records and prefix do not fit into the page.
    #[inline]
    pub fn new(page: &'a [u8], at: PageRef) -> Result<Branch<'a>> {
        let branch = Branch::of(page, at, page.get(LEVEL).copied().unwrap_or(0))?;
        let room = page.len() - header::prefix_len(page);
        if HEADER + (child_bytes(page) + header::extra(page)) * branch.len() + header::heap(page) > room {
            return Err(NOT_A_BRANCH.at(at));
        }
        Ok(branch)
    }

    /// Returns the number of children.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.arrays.count()
    }

    /// Returns the bytes of the page.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.page
    }

    /// Returns where the page is.
    #[inline(always)]
    pub fn at(&self) -> PageRef {
        self.at
    }

    /// Returns the prefix that all keys share.
    #[inline(always)]
    pub fn prefix(&self) -> &'a [u8] {
        header::prefix(self.page)
    }

    /// Returns the pointer to child `i`.
    #[inline(always)]
    pub fn ptr(&self, i: usize) -> Ptr {
        Ptr {
            birth: CommitId::new(self.arrays.u48(BIRTHS, i)),
            entries: self.entries(i),
            ..self.target(i)
        }
    }

    /// Returns the pointer to child `i` without birth and entries, which is all that reading the child takes.
    #[inline(always)]
    pub fn target(&self, i: usize) -> Ptr {
        Ptr {
            page: self.child(i),
            checksum: self.arrays.u32(CHECKSUMS, i),
            ..Ptr::default()
        }
    }

    /// Returns where child `i` is.
    #[inline(always)]
    pub fn child(&self, i: usize) -> PageRef {
        PageRef::from_bits(self.arrays.u48(PAGES, i))
    }

    /// Returns the first of the children `range` that is private.
    #[inline]
    pub fn first_private(&self, range: Range<usize>) -> Option<usize> {
        let mut pages = self.arrays.bytes(PAGES, range.clone()).chunks_exact(6);
        // The highest bit says so.
        let at = pages.position(|page| page[5] & 0x80 != 0)?;
        Some(range.start + at)
    }

    /// Returns the number of entries below child `i`.
    #[inline(always)]
    pub fn entries(&self, i: usize) -> u64 {
        self.arrays.u48(ENTRIES, i)
    }

    /// Prefetches what the pointer to child `i` is read from.
    #[inline(always)]
    pub fn prefetch_target<'s, S: PageSource<'s> + ?Sized>(&self, i: usize, source: &S) {
        source.prefetch_at(self.at, PAGES.at(self.len(), i), 1);
        source.prefetch_at(self.at, CHECKSUMS.at(self.len(), i), 1);
    }

    /// Returns separator `i` behind the prefix. That of child 0 is empty.
    ///
    /// # Errors
    /// `Corrupt` if its record leaves the page.
    #[inline(always)]
    pub fn separator(&self, i: usize) -> Result<Suffix<'a>> {
        let head = self.arrays.head(i);
        let offset = usize::from(self.arrays.u16(OFFSETS, i));
        if offset <= HEAD_BYTES {
            return Ok(Suffix {
                lead: &[],
                head,
                len: offset,
                remainder: &[],
                long: false,
            });
        }
        let record = separator::read(self.page, offset).and_then(|(len, long)| {
            let from = offset + LENGTH;
            Some(Suffix {
                lead: &[],
                head,
                len,
                remainder: self.page.get(from..from + record::remainder(len, long))?,
                long,
            })
        });
        record.ok_or_else(|| Damage("separator outside its page, or of a later version").at(self.at))
    }

    /// Returns where the record of `separator`, which is separator `i`, begins and how many bytes it takes, or `None`
    /// if the separator has none because all of it is in its head.
    pub fn record_span(&self, i: usize, separator: &Suffix<'_>) -> Option<(usize, usize)> {
        let has_record = separator.len > HEAD_BYTES || separator.long;
        let at = OFFSETS.get(self.page, self.len(), i);
        has_record.then_some((at.into(), LENGTH + separator.remainder.len()))
    }

    /// Returns the child that holds `key`.
    ///
    /// # Errors
    /// `Corrupt` if a separator lies outside the page or the rest of a long one cannot be read.
    #[inline(always)]
    pub fn find<'s, S: PageSource<'s> + ?Sized>(&self, key: &[u8], source: &S) -> Result<usize> {
        self.find_with(plain(), key, source)
    }

    /// Does what [`Branch::find`] does, with the best kernel at hand.
    #[inline(always)]
    pub fn find_with<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        key: &[u8],
        source: &S,
    ) -> Result<usize> {
        if self.top.has(CHECK_PREFIX) && !key.starts_with(self.prefix()) {
            return Ok(if key < self.prefix() { 0 } else { self.len() - 1 });
        }
        match by_heads(kernel, &self.arrays, self.top.head(key)) {
            Ok(child) => Ok(child),
            Err(first) => best(self.tied(first, self.top.suffix(key), source)),
        }
    }

    #[inline(always)]
    fn tied<'b, 's, S: ?Sized>(&self, first: usize, suffix: &'b [u8], source: &'b S) -> Tied<'b, 's, S>
    where
        'a: 'b,
    {
        Tied {
            branch: *self,
            first,
            suffix,
            source,
            pages: PhantomData,
        }
    }

    /// Narrows `range`, which holds the separators of one run without the first of them, to those whose order against
    /// `suffix` the second heads leave open. Separators before the result are less, and those behind it are greater.
    #[inline(always)]
    fn narrow<K: Kernel>(&self, kernel: K, range: Range<usize>, suffix: &[u8]) -> Result<Range<usize>> {
        let arrays = PageArrays::<CHILD_WITH_HEAD2>::new(self.page, self.top.count())
            .ok_or_else(|| Damage("second heads beyond the page").at(self.at))?;
        let (from, to) = (range.start, range.end);
        // The bytes that all of them share behind the head are compared with one of them.
        let shared = usize::from(arrays.byte(RUN_PREFIXES, from));
        let common = self.separator(from)?.remainder.get(..shared);
        let common = common.ok_or_else(|| Damage("run prefix beyond its separator").at(self.at))?;
        let remainder = suffix.get(HEAD_BYTES..).unwrap_or(&[]);
        let own = &remainder[..shared.min(remainder.len())];
        if !same(own, common) {
            return Ok(match order(own, common) {
                Ordering::Less => from..from,
                _ => to..to,
            });
        }
        let second = head(&remainder[shared..]);
        let first = arrays.first_not_less(kernel, SECOND_HEADS, range, second);
        let tied = (first..to).take_while(|i| arrays.u32(SECOND_HEADS, *i) == second);
        Ok(first..first + tied.count())
    }

    /// Appends separator `i` (prefix, inline suffix, rest of a long one) to `out`.
    ///
    /// # Errors
    /// `Corrupt` if the separator lies outside the page or the rest of a long one cannot be read.
    pub fn write_separator<'s, S: PageSource<'s> + ?Sized>(
        &self,
        i: usize,
        source: &S,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.extend_from_slice(self.prefix());
        self.separator(i)?.write_whole(source, out, self.at.into())
    }

    /// Returns the number of bytes in use.
    pub fn used(&self) -> usize {
        let heap = header::heap(self.page).saturating_sub(header::garbage(self.page));
        let child = child_bytes(self.page) + header::extra(self.page);
        HEADER + child * self.len() + heap + header::prefix_len(self.page)
    }
}

/// Returns the child that a key with this head belongs into if heads tell, which is the last one whose separator is
/// less. `Err` has the first of the separators that have the key's own head; their remainders decide.
#[inline(always)]
fn by_heads<K: Kernel>(kernel: K, arrays: &PageArrays<'_, CHILD>, head: u32) -> std::result::Result<usize, usize> {
    let not_less = arrays.count_less(kernel, head);
    if not_less < arrays.count() && arrays.head(not_less) == head {
        return Err(not_less);
    }
    // Separator 0 is less than any key, whatever its head.
    Ok(not_less.saturating_sub(1))
}

/// The child that a key belongs into, in a branch where nothing is out of the ordinary.
#[derive(Clone, Copy)]
pub struct PlainChild<'a> {
    arrays: PageArrays<'a, CHILD>,
    /// The number of the child.
    pub index: usize,
    /// The key's head in the branch.
    head: u32,
}

impl<'a> PlainChild<'a> {
    /// Does what [`Branch::find_with`] does, where that cannot fail: the page is a branch of this level, all keys that
    /// come to it begin with its prefix, and if the remainders of separators decide, they lie where they should. `None`
    /// says nothing about why. An answer without errors leaves all that a descent needs in registers.
    #[inline(always)]
    pub fn find<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        kernel: K,
        page: &'a [u8],
        is: PlainTop,
        key: &[u8],
        source: &S,
    ) -> Option<PlainChild<'a>> {
        let top = Top::of(page)?;
        if !top.is_plain(is) {
            return None;
        }
        let arrays = PageArrays::new(page, top.count())?;
        let head = top.head(key);
        let index = match by_heads(kernel, &arrays, head) {
            Ok(child) => child,
            Err(first) => {
                let at = PageRef::UNKNOWN;
                let branch = Branch { page, top, arrays, at };
                best(Quietly(branch.tied(first, top.suffix(key), source)))?
            }
        };
        (index < arrays.count()).then_some(PlainChild { arrays, index, head })
    }

    /// Returns where the child is, and its checksum.
    #[inline(always)]
    pub fn target(&self) -> (PageRef, u32) {
        let page = PageRef::from_bits(self.arrays.u48(PAGES, self.index));
        (page, self.arrays.u32(CHECKSUMS, self.index))
    }

    /// Returns the number of children of the branch.
    #[inline(always)]
    pub fn siblings(&self) -> usize {
        self.arrays.count()
    }

    /// Returns how far the key lies between the separators around the child, in 1/65536, or `None` if their heads do
    /// not tell.
    #[inline(always)]
    pub fn fraction(&self) -> Option<u32> {
        if self.index == 0 || self.index + 1 >= self.siblings() {
            return None;
        }
        let (low, high) = (self.arrays.head(self.index), self.arrays.head(self.index + 1));
        if self.head < low || self.head >= high {
            return None;
        }
        Some(((u64::from(self.head - low) << 16) / u64::from(high - low)) as u32)
    }
}

/// Returns an error that says why the page at `at` is not the branch that its parent leads to.
#[cold]
#[inline(never)]
fn refuse(page: &[u8], at: PageRef) -> Error {
    match header::kind(page) {
        BRANCH => WRONG_LEVEL.at(at),
        _ => NOT_A_BRANCH.at(at),
    }
}

/// The search among the separators from `first` on, whose heads are that of `suffix`. It is a call, so that what it
/// needs does not crowd the registers of all other searches.
struct Tied<'b, 's, S: ?Sized> {
    branch: Branch<'b>,
    first: usize,
    suffix: &'b [u8],
    source: &'b S,
    pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s> + ?Sized> Work for Tied<'_, 's, S> {
    type Out = Result<usize>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Result<usize> {
        let Tied {
            branch, suffix, source, ..
        } = self;
        let (head, n) = (head(suffix), branch.len());
        let mut open = self.first..n;
        if branch.arrays.head(n - 1) != head {
            // The head is not the last one, so it is not the greatest there is.
            open.end = branch.arrays.count_less(kernel, head.saturating_add(1));
        }
        if open.len() > 2 && branch.top.has(HEAD2) {
            // The first separator of the run may be shorter than the others, so it is compared by itself. The separator
            // of child 0 is empty and below every key.
            let first = open.start;
            if first > 0 && branch.separator(first)?.cmp_remainder(suffix, source)? == Ordering::Greater {
                return Ok(first - 1);
            }
            open = branch.narrow(kernel, first + 1..open.end, suffix)?;
        }
        while !open.is_empty() {
            let middle = open.start + open.len() / 2;
            match branch.separator(middle)?.cmp_remainder(suffix, source)? {
                Ordering::Greater => open.end = middle,
                _ => open.start = middle + 1,
            }
        }
        Ok(open.start.saturating_sub(1))
    }
}

/// Returns the number of bytes that a child takes in the arrays of this branch.
#[inline(always)]
fn child_bytes(page: &[u8]) -> usize {
    match header::flags(page) & HEAD2 {
        0 => CHILD,
        _ => CHILD_WITH_HEAD2,
    }
}
