//! Branch pages: separators and pointers.
//!
//! ```text
//! heads u32[n] | pages u48[n] | checksums u32[n] | births u48[n] | entries u48[n] | offsets u16[n]
//!   | HEAD2 only: second heads u32[n], run prefix u8[n]  | free | separator records | prefix
//!
//! offset   0-4: the separator has that many bytes behind the prefix, all in its head
//!          else: record {u16 inline suffix length, bit 15: long; tail; description of a long separator's rest}
//! ```
//!
//! Child `i` holds the keys `k` with `separator(i) <= k < separator(i + 1)`; `separator(0)` is empty and below
//! everything. A search touches heads, one page number and one checksum. Separators are cut to the shortest that
//! separates. Where many first heads tie (URLs), HEAD2 pages carry a second level: within a run of equal heads, the
//! bytes all separators of the run share behind the head are counted in `run prefix`, and the 4 bytes after those are
//! the second heads.

use super::header::{self, Damage, BRANCH, CHECK_PREFIX, HEAD2, HEADER};
use super::kernel::{plain, Kernel};
use super::layout::branch::{
    ARRAYS, BIRTHS, CHECKSUMS, CHILD, CHILD_WITH_HEAD2, ENTRIES, HEADS, OFFSETS, PAGES, RUN_PREFIXES, SECOND_HEADS,
};
use super::layout::record::{self, separator, separator::LENGTH};
use super::layout::{open_gap, HEAD_BYTES};
use super::search::{count_less_with, head, head_at};
use super::suffix::Suffix;
use super::{PageSource, Ptr, PAGE_MIN};
use crate::error::Result;
use crate::ids::{CommitId, PageRef, TableId};
use crate::util::bytes::{order, put_u16};
use std::cmp::Ordering;

/// Runs of equal heads this long make a page HEAD2: shorter ones cost less than the arrays.
const RUN_MIN: usize = 4;

/// A branch, seen through checks.
#[derive(Clone, Copy)]
pub struct Branch<'a> {
    page: &'a [u8],
    n: usize,
}

impl<'a> Branch<'a> {
    /// Views `page` as a branch after checking that its arrays lie inside it.
    #[inline(always)]
    pub fn new(page: &'a [u8]) -> std::result::Result<Branch<'a>, Damage> {
        // Said once, this spares every access to the header its own check.
        if page.len() < PAGE_MIN {
            return Err(Damage("not a page"));
        }
        let n = header::count(page);
        let child = child_bytes(page);
        let room = page.len() - header::prefix_len(page);
        if header::kind(page) != BRANCH || n == 0 || HEADER + child * n + header::heap(page) > room {
            return Err(Damage("not a branch"));
        }
        Ok(Branch { page, n })
    }

    /// Children.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Never: a branch has children.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The page.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.page
    }

    /// The prefix all keys share.
    #[inline(always)]
    pub fn prefix(&self) -> &'a [u8] {
        header::prefix(self.page)
    }

    /// Pointer to child `i`.
    #[inline(always)]
    pub fn ptr(&self, i: usize) -> Ptr {
        Ptr {
            birth: CommitId::new(BIRTHS.get(self.page, self.n, i)),
            entries: self.entries(i),
            ..self.target(i)
        }
    }

    /// Pointer to child `i` without birth and entries: all that reading the child takes.
    #[inline(always)]
    pub fn target(&self, i: usize) -> Ptr {
        Ptr {
            page: self.child(i),
            checksum: CHECKSUMS.get(self.page, self.n, i),
            ..Ptr::default()
        }
    }

    /// Where child `i` is.
    #[inline(always)]
    pub fn child(&self, i: usize) -> PageRef {
        PageRef::from_bits(PAGES.get(self.page, self.n, i))
    }

    /// Entries below child `i`.
    #[inline(always)]
    pub fn entries(&self, i: usize) -> u64 {
        ENTRIES.get(self.page, self.n, i)
    }

    /// Separator `i` behind the prefix (of child 0: empty).
    #[inline(always)]
    pub fn separator(&self, i: usize) -> std::result::Result<Suffix<'a>, Damage> {
        let at = OFFSETS.get(self.page, self.n, i) as usize;
        let head = head_at(self.page, i);
        if at <= HEAD_BYTES {
            return Ok(Suffix {
                lead: &[],
                head,
                len: at,
                tail: &[],
                long: false,
            });
        }
        const BAD: Damage = Damage("separator outside its page");
        let (len, long) = separator::read(self.page, at).ok_or(BAD)?;
        let tail = at + LENGTH;
        Ok(Suffix {
            lead: &[],
            head,
            len,
            tail: self.page.get(tail..tail + record::tail(len, long)).ok_or(BAD)?,
            long,
        })
    }

    /// The child that holds `key`.
    #[inline(always)]
    pub fn find<'s, S: PageSource<'s> + ?Sized>(&self, key: &[u8], number: PageRef, source: &S) -> Result<usize> {
        self.find_with(plain(), key, number, source)
    }

    /// As [`Branch::find`], with the best kernel at hand.
    #[inline(always)]
    pub fn find_with<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        key: &[u8],
        number: PageRef,
        source: &S,
    ) -> Result<usize> {
        let plen = header::prefix_len(self.page);
        if header::flags(self.page) & CHECK_PREFIX != 0 && !key.starts_with(self.prefix()) {
            return Ok(if key < self.prefix() { 0 } else { self.n - 1 });
        }
        let suffix = key.get(plen..).unwrap_or(&[]);
        let h = head(suffix);
        let lo = count_less_with(kernel, self.page, self.n, h);
        if lo == self.n || head_at(self.page, lo) != h {
            return Ok(lo.saturating_sub(1));
        }
        self.find_in_run(kernel, lo, h, suffix, number, source)
    }

    /// How far `key`, which belongs into child `i`, lies between the separators around it, in 1/65536. `None` where their
    /// heads do not tell.
    #[inline(always)]
    pub fn fraction(&self, i: usize, key: &[u8]) -> Option<u32> {
        if i == 0 || i + 1 >= self.n {
            return None;
        }
        let h = head(key.get(header::prefix_len(self.page)..).unwrap_or(&[]));
        let (low, high) = (head_at(self.page, i), head_at(self.page, i + 1));
        if h < low || h >= high {
            return None;
        }
        Some(((u64::from(h - low) << 16) / u64::from(high - low)) as u32)
    }

    /// Among the separators from `lo` on whose head is `h`: the last that is `<= suffix`, or the child before `lo`.
    #[inline(always)]
    pub fn find_in_run<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        lo: usize,
        h: u32,
        suffix: &[u8],
        number: PageRef,
        source: &S,
    ) -> Result<usize> {
        let mut lo = lo;
        let mut hi = if h == u32::MAX {
            self.n
        } else {
            count_less_with(kernel, self.page, self.n, h + 1)
        };
        if hi.saturating_sub(lo) > 2 && header::flags(self.page) & HEAD2 != 0 {
            // The first separator of the run may be shorter than the others: compare it by itself.
            let skip = self.separator(lo).map_err(|d| d.at(number))?;
            if skip.cmp_tail(suffix, source)? == Ordering::Greater {
                return Ok(lo.saturating_sub(1));
            }
            lo += 1;
            (lo, hi) = self.narrow(lo, hi, suffix).map_err(|d| d.at(number))?;
        }
        while lo < hi {
            let mid = lo + (hi - lo) / 2;
            let separator = self.separator(mid).map_err(|d| d.at(number))?;
            if separator.cmp_tail(suffix, source)? == Ordering::Greater {
                hi = mid;
            } else {
                lo = mid + 1;
            }
        }
        Ok(lo.saturating_sub(1))
    }

    /// Narrows `[lo, hi)`, separators of one run, to those whose order against `suffix` the second heads leave open.
    #[inline]
    fn narrow(&self, lo: usize, hi: usize, suffix: &[u8]) -> std::result::Result<(usize, usize), Damage> {
        let shared = RUN_PREFIXES.get(self.page, self.n, lo) as usize;
        let run = self.separator(lo)?;
        let common = run
            .tail
            .get(..shared)
            .ok_or(Damage("run prefix beyond its separator"))?;
        let tail = suffix.get(HEAD_BYTES..).unwrap_or(&[]);
        let own = &tail[..shared.min(tail.len())];
        match order(own, common) {
            Ordering::Less => return Ok((lo, lo)),
            Ordering::Greater => return Ok((hi, hi)),
            Ordering::Equal => {}
        }
        let h = head(&tail[shared..]);
        let second = |i: usize| SECOND_HEADS.get(self.page, self.n, i);
        let (mut from, mut len) = (lo, hi - lo);
        while len > 0 {
            let half = len / 2;
            let mid = from + half;
            if second(mid) < h {
                from = mid + 1;
                len -= half + 1;
            } else {
                len = half;
            }
        }
        let mut to = from;
        while to < hi && second(to) == h {
            to += 1;
        }
        Ok((from, to))
    }

    /// Appends separator `i` (prefix, inline suffix, rest of a long one) to `out`.
    pub fn write_separator<'s, S: PageSource<'s> + ?Sized>(
        &self,
        i: usize,
        number: PageRef,
        source: &S,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.extend_from_slice(self.prefix());
        self.separator(i)
            .map_err(|d| d.at(number))?
            .write_whole(source, out, number.into())
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        let child = child_bytes(self.page);
        let heap = header::heap(self.page).saturating_sub(header::garbage(self.page));
        HEADER + child * self.n + heap + header::prefix_len(self.page)
    }
}

/// Bytes a child takes in the arrays of this branch.
#[inline(always)]
fn child_bytes(page: &[u8]) -> usize {
    match header::flags(page) & HEAD2 {
        0 => CHILD,
        _ => CHILD_WITH_HEAD2,
    }
}

/// A child on its way into a branch; the separator is relative to a prefix all children of one build share.
#[derive(Debug, Clone, Copy)]
pub struct Child<'a> {
    /// Separator behind the common prefix; of the first child of a branch it is not stored.
    pub separator: Suffix<'a>,
    /// The child.
    pub ptr: Ptr,
}

impl Child<'_> {
    /// Bytes the child takes, the second-level arrays included.
    #[inline(always)]
    pub fn size(&self, drop: usize) -> usize {
        CHILD_WITH_HEAD2 + record_size(&self.separator, drop)
    }
}

fn record_size(separator: &Suffix<'_>, drop: usize) -> usize {
    let tail = separator.tail_bytes(drop);
    if tail == 0 {
        0
    } else {
        LENGTH + tail
    }
}

/// Bytes a branch of these children takes at most.
pub fn branch_size(children: &[Child<'_>], drop: usize, prefix: usize) -> usize {
    let separators: usize = children.iter().skip(1).map(|c| c.size(drop)).sum();
    HEADER + prefix + CHILD_WITH_HEAD2 + separators
}

/// Writes a branch of `children` (which fit: see [`branch_size`]). `prefix` ends with the `drop` bytes the separators
/// begin with; the first child's separator is ignored.
pub fn build_branch(page: &mut [u8], level: u8, table: TableId, prefix: &[u8], children: &[Child<'_>], drop: usize) {
    header::begin(page, BRANCH, level, table, prefix);
    let n = children.len();
    let mut scratch = Vec::new();
    let (mut run, mut longest) = (0, 0);
    for (i, c) in children.iter().enumerate() {
        scratch.clear();
        if i > 0 {
            c.separator.write_to(&mut scratch);
        }
        let h = head(scratch.get(drop..).unwrap_or(&[]));
        HEADS.set(page, n, i, h);
        run = if i > 0 && head_at(page, i - 1) == h { run + 1 } else { 1 };
        longest = longest.max(run);
    }
    // A long separator goes on outside the page: its second head would lie.
    let second = longest >= RUN_MIN && !children.iter().skip(1).any(|c| c.separator.long);
    header::set_flags(page, if second { HEAD2 } else { 0 });
    let mut at = page.len() - prefix.len();
    let end = at;
    for (i, c) in children.iter().enumerate() {
        set_ptr(page, n, i, &c.ptr);
        let mut offset = 0;
        if i > 0 {
            scratch.clear();
            c.separator.write_to(&mut scratch);
            let inline = scratch.get(drop..).unwrap_or(&[]);
            if inline.len() <= HEAD_BYTES && !c.separator.long {
                offset = inline.len();
            } else {
                let rest = &c.separator.tail[c.separator.inline_tail().len()..];
                let tail = inline.get(HEAD_BYTES..).unwrap_or(&[]);
                at -= LENGTH + tail.len() + rest.len();
                offset = at;
                put_u16(page, at, record::flagged(inline.len(), c.separator.long));
                let from = at + LENGTH;
                page[from..from + tail.len()].copy_from_slice(tail);
                page[from + tail.len()..from + tail.len() + rest.len()].copy_from_slice(rest);
            }
        }
        OFFSETS.set(page, n, i, offset as u16);
    }
    header::set_count(page, n);
    header::set_heap(page, end - at);
    // The memory was another page's before: its bytes must not get into the file.
    page[OFFSETS.at(n, n)..at].fill(0);
    if second {
        write_second_heads(page, n);
    }
}

/// Fills the second-level arrays from the first level and the records.
fn write_second_heads(page: &mut [u8], n: usize) {
    page[SECOND_HEADS.at(n, 0)..RUN_PREFIXES.at(n, n)].fill(0);
    let mut from = 0;
    while from < n {
        let h = head_at(page, from);
        let to = (from + 1..n).find(|i| head_at(page, *i) != h).unwrap_or(n);
        // The run's first separator stays out (see `find_in_run`): a search compares it by itself.
        if to - from > 2 {
            let copy = page.to_vec();
            let Ok(branch) = Branch::new(&copy) else {
                return;
            };
            let tail = |i: usize| branch.separator(i).map(|s| s.inline_tail()).unwrap_or(&[]);
            let shared = crate::util::bytes::common_prefix(tail(from + 1), tail(to - 1)).min(255);
            for i in from + 1..to {
                let t = tail(i);
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

/// Inserts a child at `i` (at least 1) of a private branch if there is room and no second level to keep; false: the
/// page is as before.
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
        // A run begins to grow: let a rebuild decide about the second level.
        return false;
    }
    let offset = if size == 0 {
        separator.len
    } else {
        let at = room - header::heap(page) - size;
        put_u16(page, at, record::flagged(separator.len, separator.long));
        page[at + LENGTH..at + size].copy_from_slice(separator.tail);
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

/// The children of `branch`; the first separator is empty.
pub fn children_of<'a>(branch: &Branch<'a>, out: &mut Vec<Child<'a>>) -> std::result::Result<(), Damage> {
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
            build_branch(&mut page, 2, TableId::MAIN, b"", &children, 0);
            let branch = Branch::new(&page).unwrap();
            assert!(branch.used() <= branch_size(&children, 0, 0));
            for k in &keys {
                let want = chosen.iter().rposition(|s| s <= k).unwrap();
                assert_eq!(branch.find(k, HERE, &Nothing).unwrap(), want, "{k:?} of {chosen:?}");
                let longer = [k, &b"\x07\x07"[..]].concat();
                let want = chosen.iter().rposition(|s| *s <= longer).unwrap();
                assert_eq!(branch.find(&longer, HERE, &Nothing).unwrap(), want, "{longer:?}");
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
        build_branch(&mut page, 2, TableId::new(7), b"", &[child(0), child(30)], 0);
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
        let branch = Branch::new(&page).unwrap();
        for (at, i) in have.iter().enumerate() {
            assert_eq!(branch.ptr(at), child(*i).ptr);
            let mut out = Vec::new();
            branch.write_separator(at, HERE, &Nothing, &mut out).unwrap();
            assert_eq!(&out, if at == 0 { &[][..] } else { &keys[*i] });
        }
    }
}
