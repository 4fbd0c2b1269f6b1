//! Branch pages: separators and pointers.
//!
//! ```text
//! heads u32[n] | pages u48[n] | checksums u32[n] | births u48[n] | entries u48[n] | offsets u16[n]
//!   | HEAD2 only: second heads u32[n], run prefix u8[n]  | free | separator records | prefix
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
    ARRAYS, BIRTHS, CHECKSUMS, CHILD, CHILD_WITH_HEAD2, ENTRIES, HEADS, OFFSETS, PAGES, RUN_PREFIXES, SECOND_HEADS,
};
use super::layout::header::LEVEL;
use super::layout::record::{self, separator, separator::LENGTH};
use super::layout::{open_gap, HEAD_BYTES};
use super::search::{head, head_at};
use super::suffix::{NewPrefix, Suffix};
use super::{PageSource, Ptr};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageRef, TableId};
use crate::util::bytes::{order, put_u16, same};
use std::cmp::Ordering;
use std::marker::PhantomData;
use std::ops::Range;

/// The length from which on a run of equal heads makes a page HEAD2. Shorter runs cost less than the arrays.
const RUN_MIN: usize = 4;
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
        if HEADER + child_bytes(page) * branch.len() + header::heap(page) > room {
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
        record.ok_or_else(|| Damage("separator outside its page").at(self.at))
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
        HEADER + child_bytes(self.page) * self.len() + heap + header::prefix_len(self.page)
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

/// A child on its way into a branch. The separator is relative to a prefix that all children of one build share.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    /// The separator behind the common prefix. That of the first child of a branch is not stored.
    pub separator: Suffix<'a>,
    /// The pointer to the child.
    pub ptr: Ptr,
}

impl Child<'_> {
    /// Returns the number of bytes that the child takes, the second-level arrays included.
    #[inline(always)]
    pub fn size(&self, drop: usize) -> usize {
        CHILD_WITH_HEAD2 + record_size(&self.separator, drop)
    }
}

fn record_size(separator: &Suffix<'_>, drop: usize) -> usize {
    let remainder = separator.remainder_bytes(drop);
    if remainder == 0 {
        0
    } else {
        LENGTH + remainder
    }
}

/// Returns the number of bytes that a branch of these children takes at most.
pub fn branch_size(children: &[Child<'_>], drop: usize, prefix: usize) -> usize {
    let separators: usize = children.iter().skip(1).map(|c| c.size(drop)).sum();
    HEADER + prefix + CHILD_WITH_HEAD2 + separators
}

/// Writes a branch of `children` into `page`. They must fit (see [`branch_size`]), and the first child's separator is
/// ignored.
pub fn build_branch(page: &mut [u8], level: u8, table: TableId, prefix: NewPrefix<'_>, children: &[Child<'_>]) {
    header::begin(page, BRANCH, level, table, prefix.bytes);
    let n = children.len();
    let mut scratch = Vec::new();
    let (mut run, mut longest) = (0, 0);
    let end = page.len() - prefix.bytes.len();
    let mut at = end;
    for (i, child) in children.iter().enumerate() {
        let separator = match i {
            0 => Suffix::of(&[]),
            _ => child.separator.behind_prefix(prefix.drop, &mut scratch),
        };
        let size = record_size(&separator, 0);
        at -= size;
        // A separator that is all in its head has no record, and its length stands in place of an offset.
        let offset = if size == 0 { separator.len } else { at };
        if size > 0 {
            write_record(page, at, &separator);
        }
        HEADS.set(page, n, i, separator.head);
        OFFSETS.set(page, n, i, offset as u16);
        set_ptr(page, n, i, &child.ptr);
        run = if i > 0 && head_at(page, i - 1) == separator.head {
            run + 1
        } else {
            1
        };
        longest = longest.max(run);
    }
    header::set_count(page, n);
    header::set_heap(page, end - at);
    // The memory was another page's before: its bytes must not get into the file.
    page[OFFSETS.at(n, n)..at].fill(0);
    // A long separator goes on outside the page, so its second head would be wrong.
    if longest >= RUN_MIN && !children.iter().skip(1).any(|child| child.separator.long) {
        header::set_flags(page, HEAD2);
        write_second_heads(page, n);
    }
}

/// Writes the record of a separator at `at`: its length, and what is not in its head. The separator has no lead.
#[inline(always)]
fn write_record(page: &mut [u8], at: usize, separator: &Suffix<'_>) {
    put_u16(page, at, record::flagged(separator.len, separator.long));
    let from = at + LENGTH;
    page[from..from + separator.remainder.len()].copy_from_slice(separator.remainder);
}

/// Fills the second-level arrays from the first level and the records.
fn write_second_heads(page: &mut [u8], n: usize) {
    page[SECOND_HEADS.at(n, 0)..RUN_PREFIXES.at(n, n)].fill(0);
    let mut from = 0;
    while from < n {
        let h = head_at(page, from);
        let to = (from + 1..n).find(|i| head_at(page, *i) != h).unwrap_or(n);
        // The run's first separator has no second head, because a search compares it by itself (see `Tied`).
        if to - from > 2 {
            let copy = page.to_vec();
            let Ok(branch) = Branch::new(&copy, PageRef::UNKNOWN) else {
                return;
            };
            let remainder = |i: usize| branch.separator(i).map(|s| s.inline_remainder()).unwrap_or(&[]);
            let shared = crate::util::bytes::common_prefix(remainder(from + 1), remainder(to - 1)).min(255);
            for i in from + 1..to {
                let t = remainder(i);
                SECOND_HEADS.set(page, n, i, head(&t[shared.min(t.len())..]));
                RUN_PREFIXES.set(page, n, i, shared as u8);
            }
        }
        from = to;
    }
}

/// Sets pointer `i` of a branch of `n` children.
#[inline(always)]
fn set_ptr(page: &mut [u8], n: usize, i: usize, ptr: &Ptr) {
    PAGES.set(page, n, i, ptr.page.to_bits());
    CHECKSUMS.set(page, n, i, ptr.checksum);
    BIRTHS.set(page, n, i, ptr.birth.get());
    ENTRIES.set(page, n, i, ptr.entries);
}

/// Replaces pointer `i` of a private branch.
#[inline(always)]
pub fn replace_ptr(page: &mut [u8], i: usize, ptr: &Ptr) {
    let n = header::count(page);
    set_ptr(page, n, i, ptr);
}

/// Inserts a child at `i` (at least 1) of a private branch if there is room and no second level to keep. Returns false
/// if not; the page is unchanged then.
pub fn insert(page: &mut [u8], i: usize, separator: &Suffix<'_>, ptr: &Ptr) -> bool {
    let n = header::count(page);
    let room = page.len() - header::prefix_len(page);
    let size = record_size(separator, 0);
    if header::flags(page) & HEAD2 != 0 || HEADER + CHILD * (n + 1) + header::heap(page) + size > room {
        return false;
    }
    if [i - 1, i]
        .iter()
        .any(|x| *x > 0 && *x < n && head_at(page, *x) == separator.head)
    {
        // A run begins to grow. A rebuild decides about the second level.
        return false;
    }
    let offset = if size == 0 {
        separator.len
    } else {
        let at = room - header::heap(page) - size;
        write_record(page, at, separator);
        let heap = header::heap(page) + size;
        header::set_heap(page, heap);
        at
    };
    open_gap(page, &ARRAYS, n, i);
    HEADS.set(page, n + 1, i, separator.head);
    OFFSETS.set(page, n + 1, i, offset as u16);
    header::set_count(page, n + 1);
    set_ptr(page, n + 1, i, ptr);
    true
}

/// Appends the children of `branch` to `out`. The first separator is empty.
pub fn children_of<'a>(branch: &Branch<'a>, out: &mut Vec<Child<'a>>) -> Result<()> {
    for i in 0..branch.len() {
        out.push(Child {
            separator: branch.separator(i)?,
            ptr: branch.ptr(i),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PageNo;
    use crate::page::meta_pages;
    use crate::page::Prefetch;

    const HERE: PageRef = PageRef::placed(PageNo::new(1));

    struct Nothing;
    impl Prefetch for Nothing {
        fn page_size(&self) -> usize {
            4096
        }
    }

    impl PageSource<'static> for Nothing {
        fn page(&self, _: &Ptr) -> Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }

        fn piece(&self, _: PageNo, _: usize, _: u32) -> Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }

        fn raw(&self, _: PageNo, _: u64) -> Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }
    }

    fn separators() -> Vec<Vec<u8>> {
        let mut keys: Vec<Vec<u8>> = vec![vec![]];
        for a in [
            &b"aaaa"[..],
            b"aaaaxyz",
            b"b",
            b"bb\0\0",
            b"bb",
            b"zzzz.com/cat/",
            b"zzzz.com/dog/1",
        ] {
            for b in [&b""[..], b"\0", b"1", b"12345678", b"\xFF"] {
                keys.push([a, b].concat());
            }
        }
        keys.sort();
        keys.dedup();
        keys
    }

    #[test]
    fn finds_the_last_separator_not_greater() {
        assert_eq!(meta_pages(4096), 4);
        let keys = separators();
        for step in 1..5 {
            let mut chosen: Vec<_> = keys.iter().step_by(step).cloned().collect();
            chosen[0].clear();
            let ptr = |i: usize| Ptr {
                page: PageNo::new(i as u64).into(),
                ..Ptr::default()
            };
            let children: Vec<_> = chosen
                .iter()
                .enumerate()
                .map(|(i, k)| Child {
                    separator: Suffix::of(k),
                    ptr: ptr(i),
                })
                .collect();
            let mut page = vec![0; 4096];
            build_branch(&mut page, 2, TableId::MAIN, NewPrefix::of(b"", 0), &children);
            let branch = Branch::new(&page, HERE).unwrap();
            assert!(branch.used() <= branch_size(&children, 0, 0));
            for k in &keys {
                let want = chosen.iter().rposition(|s| s <= k).unwrap();
                assert_eq!(branch.find(k, &Nothing).unwrap(), want, "{k:?} of {chosen:?}");
                let longer = [k, &b"\x07\x07"[..]].concat();
                let want = chosen.iter().rposition(|s| *s <= longer).unwrap();
                assert_eq!(branch.find(&longer, &Nothing).unwrap(), want, "{longer:?}");
            }
        }
    }

    #[test]
    fn inserting_equals_building() {
        let keys: Vec<Vec<u8>> = (0..60u32)
            .map(|i| [&i.to_be_bytes()[2..], &vec![b'x'; i as usize % 7]].concat())
            .collect();
        let mut page = vec![0; 4096];
        let child = |i: usize| Child {
            separator: Suffix::of(&keys[i]),
            ptr: Ptr {
                page: PageNo::new(i as u64).into(),
                birth: CommitId::new(2 * i as u64),
                entries: 3 * i as u64,
                checksum: i as u32,
            },
        };
        build_branch(
            &mut page,
            2,
            TableId::new(7),
            NewPrefix::of(b"", 0),
            &[child(0), child(30)],
        );
        let mut have = vec![0, 30];
        for step in 0..59usize {
            let i = (step * 37) % 59 + 1;
            if have.contains(&i) {
                continue;
            }
            let at = have.partition_point(|x| *x < i);
            assert!(insert(&mut page, at, &child(i).separator, &child(i).ptr));
            have.insert(at, i);
        }
        let branch = Branch::new(&page, HERE).unwrap();
        for (at, i) in have.iter().enumerate() {
            assert_eq!(branch.ptr(at), child(*i).ptr);
            let mut out = Vec::new();
            branch.write_separator(at, &Nothing, &mut out).unwrap();
            assert_eq!(&out, if at == 0 { &[][..] } else { &keys[*i] });
        }
    }
}
