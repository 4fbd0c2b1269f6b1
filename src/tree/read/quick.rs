//! The common lookup, short: every page verified before, no long key, nothing tied that a fingerprint does not tell apart.
//!
//! What is not common is not decided here: the answer is `Unknown`, and [`super::lookup`] looks again and says what is
//! wrong, if anything is. So nothing in here can fail, and most of what a lookup costs are its compares.

use crate::ids::PageRef;
use crate::page::arrays::PageArrays;
use crate::page::branch::Branch;
use crate::page::header::{self, BRANCH, CHECK_PREFIX, DENSE, HEAD2, LEAF};
use crate::page::hint::branch::BRANCH_AHEAD;
use crate::page::hint::leaf::LeafHints;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::layout::branch::{CHECKSUMS, CHILD, CHILD_WITH_HEAD2, OFFSETS, PAGES, RUN_PREFIXES, SECOND_HEADS};
use crate::page::layout::leaf::{self as leaf_layout, ENTRY, FINGERPRINTS};
use crate::page::layout::record::{separator, Lengths, LENGTHS};
use crate::page::layout::{dense, HEAD_BYTES};
use crate::page::leaf::{left_aligned, Leaf};
use crate::page::search::head;
use crate::page::{PageSource, Root, PAGE_MIN};
use crate::util::bytes::{get_u64, same};
use crate::util::hash::fingerprint;
use std::cmp::Ordering;
use std::marker::PhantomData;

/// What a quick lookup finds out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quick<'s> {
    /// The value, which lies in its leaf. (Of a lookup that only asks for presence: no bytes.)
    Value(&'s [u8]),
    /// The key is not there.
    Missing,
    /// [`super::lookup::get`] has to be asked.
    Unknown,
}

/// The value of `key`, if that is quickly found. Lookups through `source` take note in `guess` of what leaves are like.
#[inline(always)]
pub fn get<'s, S: PageSource<'s>>(source: &S, guess: &LeafHints, root: &Root, key: &[u8]) -> Quick<'s> {
    if root.height > 3 {
        return tall::<S, true>(source, guess, root, key);
    }
    best(Look::<S, true, false> {
        source,
        guess,
        root,
        key,
        pages: PhantomData,
    })
}

/// Whether `key` is there, if that is quickly found.
#[inline(always)]
pub fn contains<'s, S: PageSource<'s>>(source: &S, guess: &LeafHints, root: &Root, key: &[u8]) -> Quick<'s> {
    if root.height > 3 {
        return tall::<S, false>(source, guess, root, key);
    }
    best(Look::<S, false, false> {
        source,
        guess,
        root,
        key,
        pages: PhantomData,
    })
}

/// The lookup in a tree of more than three levels. Never inlined: the other would need its room on the stack.
#[inline(never)]
fn tall<'s, S: PageSource<'s>, const VALUE: bool>(source: &S, guess: &LeafHints, root: &Root, key: &[u8]) -> Quick<'s> {
    best(Look::<S, VALUE, true> {
        source,
        guess,
        root,
        key,
        pages: PhantomData,
    })
}

/// `TALL`: more is asked of memory before it is needed. In smaller trees the branches above leaves are in the caches, and
/// so is the page table.
struct Look<'a, 's, S, const VALUE: bool, const TALL: bool> {
    source: &'a S,
    guess: &'a LeafHints,
    root: &'a Root,
    key: &'a [u8],
    pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s>, const VALUE: bool, const TALL: bool> Work for Look<'_, 's, S, VALUE, TALL> {
    type Out = Quick<'s>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Quick<'s> {
        self.look(kernel).unwrap_or(Quick::Unknown)
    }
}

/// Kind, level, prefix length, flags and number of elements: the first bytes of a page, read at once.
#[derive(Clone, Copy)]
struct Top(u64);

impl Top {
    #[inline(always)]
    fn of(page: &[u8]) -> Option<Top> {
        if page.len() < PAGE_MIN {
            return None;
        }
        Some(Top(get_u64(page, 0)))
    }

    /// Whether it is a page of this kind and level whose prefix is the key's (if it might not be, that is asked the long
    /// way).
    #[inline(always)]
    fn is(self, kind: u8, level: u8) -> bool {
        self.kind() == Top::like(kind, level)
    }

    /// Kind, level and the flag that the prefix must be asked for.
    #[inline(always)]
    fn kind(self) -> u32 {
        self.0 as u32 & u32::from_le_bytes([0xFF, 0xFF, 0, CHECK_PREFIX])
    }

    /// [`Top::kind`] of a page of this kind and level without the flag.
    #[inline(always)]
    const fn like(kind: u8, level: u8) -> u32 {
        u32::from_le_bytes([kind, level, 0, 0])
    }

    /// The part of `key` behind the page's prefix.
    #[inline(always)]
    fn suffix(self, key: &[u8]) -> &[u8] {
        key.get((self.0 >> 16) as u8 as usize..).unwrap_or(&[])
    }

    /// The head of that part.
    #[inline(always)]
    fn head(self, key: &[u8]) -> u32 {
        let from = (self.0 >> 16) as u8 as usize;
        match key.get(from..from + HEAD_BYTES).and_then(|bytes| bytes.first_chunk()) {
            Some(bytes) => u32::from_be_bytes(*bytes),
            None => head(self.suffix(key)),
        }
    }

    #[inline(always)]
    fn has(self, flag: u8) -> bool {
        self.0 >> 24 & u64::from(flag) != 0
    }

    #[inline(always)]
    fn count(self) -> u16 {
        (self.0 >> 32) as u16
    }
}

/// Number of the child that `key` belongs into, as [`target`].
#[inline(always)]
pub(super) fn index<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
    kernel: K,
    source: &S,
    page: &'s [u8],
    level: u8,
    key: &[u8],
) -> Option<usize> {
    let top = Top::of(page)?;
    if !top.is(BRANCH, level) {
        return None;
    }
    child(kernel, source, page, top, key, top.head(key)).map(|(_, i)| i)
}

/// The child of a branch that a key belongs into.
#[derive(Clone, Copy)]
pub(super) struct Target<'s> {
    branch: PageArrays<'s, CHILD>,
    i: usize,
}

impl Target<'_> {
    /// Its page and its sum.
    #[inline(always)]
    pub fn child(&self) -> (PageRef, u32) {
        (
            PageRef::from_bits(self.branch.u48(PAGES, self.i)),
            self.branch.u32(CHECKSUMS, self.i),
        )
    }

    /// Asks memory for where these are, in the branch `page`.
    #[inline(always)]
    pub fn ask<'s, S: PageSource<'s> + ?Sized>(&self, source: &S, page: PageRef) {
        let n = self.branch.count();
        source.prefetch_at(page, PAGES.at(n, self.i), 1);
        source.prefetch_at(page, CHECKSUMS.at(n, self.i), 1);
    }
}

/// The child that `key` belongs into, if `page` is a branch of level `level` and it is quickly found.
#[inline(always)]
pub(super) fn target<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
    kernel: K,
    source: &S,
    page: &'s [u8],
    level: u8,
    key: &[u8],
) -> Option<Target<'s>> {
    let top = Top::of(page)?;
    if !top.is(BRANCH, level) {
        return None;
    }
    let (branch, i) = child(kernel, source, page, top, key, top.head(key))?;
    Some(Target { branch, i })
}

/// The child of a branch that `key`, whose head there is `h`, belongs into.
#[inline(always)]
fn child<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
    kernel: K,
    source: &S,
    page: &'s [u8],
    top: Top,
    key: &[u8],
    h: u32,
) -> Option<(PageArrays<'s, CHILD>, usize)> {
    let branch = PageArrays::<CHILD>::new(page, top.count())?;
    let lo = branch.count_less(kernel, h);
    let i = if lo < branch.count() && branch.head(lo) == h {
        best(Tied {
            source,
            page,
            lo,
            suffix: top.suffix(key),
            pages: PhantomData,
        })?
    } else {
        lo.saturating_sub(1)
    };
    (i < branch.count()).then_some((branch, i))
}

impl<'s, S: PageSource<'s>, const VALUE: bool, const TALL: bool> Look<'_, 's, S, VALUE, TALL> {
    #[inline(always)]
    fn look<K: Kernel>(self, kernel: K) -> Option<Quick<'s>> {
        let print = fingerprint(self.key);
        let (mut number, mut checksum) = (self.root.ptr.page, self.root.ptr.checksum);
        let level = self.root.height;
        if level == 0 {
            return Some(Quick::Missing);
        }
        // Height falls by one each time: a damaged tree has no endless path.
        let mut page = self.source.peek_at(number, checksum)?;
        let mut branch_is = Top::like(BRANCH, level);
        while branch_is > Top::like(BRANCH, 1) {
            let top = Top::of(page)?;
            if top.kind() != branch_is {
                return None;
            }
            let h = top.head(self.key);
            let (branch, i) = child(kernel, self.source, page, top, self.key, h)?;
            let above = number;
            number = PageRef::from_bits(branch.u48(PAGES, i));
            checksum = branch.u32(CHECKSUMS, i);
            if branch_is == Top::like(BRANCH, 2) {
                self.guess.ask(self.source, number, fraction(&branch, i, h));
                // Some of the lookups are enough to know it.
                if TALL && print % 8 == 0 {
                    self.source.branch_hints().learn(above, branch.count(), i, number);
                }
            } else if TALL && branch_is == Top::like(BRANCH, 3) {
                let fraction = fraction(&branch, i, h);
                self.source.branch_hints().ask(self.source, number, fraction);
            } else {
                self.source.prefetch(number, BRANCH_AHEAD);
            }
            branch_is -= Top::like(0, 1);
            page = self.source.peek_at(number, checksum)?;
        }
        let top = Top::of(page)?;
        if top.is(LEAF, 1) {
            let leaf = PageArrays::<ENTRY>::new(page, top.count())?;
            return self.slotted(kernel, page, leaf, top.head(self.key), top.suffix(self.key), print);
        }
        if !top.is(DENSE, 1) {
            return None;
        }
        best(Dense {
            guess: self.guess,
            page,
            suffix: top.suffix(self.key),
        })
    }

    #[inline(always)]
    fn slotted<K: Kernel>(
        &self,
        kernel: K,
        page: &'s [u8],
        leaf: PageArrays<'s, ENTRY>,
        h: u32,
        suffix: &[u8],
        print: u8,
    ) -> Option<Quick<'s>> {
        // Leaves of a tree are alike: some of the lookups are enough to know them.
        if print % 8 == 0 {
            self.guess.learn_slotted(leaf.count());
        }
        let mut i = leaf.count_less(kernel, h);
        if i >= leaf.count() || leaf.head(i) != h {
            return Some(Quick::Missing);
        }
        if leaf.byte(FINGERPRINTS, i) != print || (i + 1 < leaf.count() && leaf.head(i + 1) == h) {
            // Heads tie, or it is not there.
            match best(Run {
                source: self.source,
                page,
                from: i,
                suffix,
                print,
                pages: PhantomData,
            })? {
                None => return Some(Quick::Missing),
                Some(at) if at < leaf.count() => i = at,
                Some(_) => return None,
            }
        }
        let at = usize::from(leaf.u16(leaf_layout::OFFSETS, i));
        let lengths = Lengths::read(page, at)?;
        if lengths.key_is_long() || (VALUE && lengths.value_is_chain()) || lengths.key() != suffix.len() {
            return None;
        }
        // The first four bytes of the suffix are in the head.
        let behind = suffix.get(HEAD_BYTES..).unwrap_or(&[]);
        let value = if VALUE { lengths.value() } else { 0 };
        let from = at + LENGTHS;
        let record = page.get(from..from + behind.len() + value)?;
        let (tail, value) = record.split_at_checked(behind.len())?;
        same(tail, behind).then_some(Quick::Value(value))
    }
}

// What is looked at in some pages only is called and not inlined, so that it does not crowd the registers of all others.

/// Finds the child among separators whose heads tie from `lo` on.
struct Tied<'a, 's, S: ?Sized> {
    source: &'a S,
    page: &'s [u8],
    lo: usize,
    suffix: &'a [u8],
    pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s> + ?Sized> Work for Tied<'_, 's, S> {
    type Out = Option<usize>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Option<usize> {
        let h = head(self.suffix);
        self.by_second_heads(kernel, h).or_else(|| {
            let branch = Branch::new(self.page).ok()?;
            branch
                .find_in_run(kernel, self.lo, h, self.suffix, PageRef::default(), self.source)
                .ok()
        })
    }
}

impl<'s, S: PageSource<'s> + ?Sized> Tied<'_, 's, S> {
    /// What [`Branch::find_in_run`] answers where the second heads tell.
    #[inline(always)]
    fn by_second_heads<K: Kernel>(&self, kernel: K, h: u32) -> Option<usize> {
        let top = Top::of(self.page)?;
        if !top.has(HEAD2) {
            return None;
        }
        let arrays = PageArrays::<CHILD_WITH_HEAD2>::new(self.page, top.count())?;
        let (lo, n) = (self.lo, arrays.count());
        if lo >= n {
            return None;
        }
        let to = if arrays.head(n - 1) == h {
            n
        } else {
            arrays.count_less(kernel, h.checked_add(1)?)
        };
        let from = lo + 1;
        if from + 1 >= to {
            return None;
        }
        // The first of a run has no second head. That of the first child is empty, below every key.
        if lo > 0 {
            let first = Branch::new(self.page).ok()?.separator(lo).ok()?;
            if first.cmp_tail(self.suffix, self.source).ok()? == Ordering::Greater {
                return Some(lo - 1);
            }
        }
        // What all of them share behind the head is compared with one of them.
        let shared = usize::from(arrays.byte(RUN_PREFIXES, from));
        let tail = self.suffix.get(HEAD_BYTES..)?;
        if shared > 0 {
            let record = usize::from(arrays.u16(OFFSETS, from)) + separator::LENGTH;
            if record <= HEAD_BYTES + separator::LENGTH
                || !same(tail.get(..shared)?, self.page.get(record..record + shared)?)
            {
                return None;
            }
        }
        let second = head(&tail[shared..]);
        let i = arrays.first_not_less(kernel, SECOND_HEADS, from..to, second);
        if i < to && arrays.u32(SECOND_HEADS, i) == second {
            return None;
        }
        Some(i - 1)
    }
}

/// Looks the suffix up in a dense leaf.
struct Dense<'a, 's> {
    guess: &'a LeafHints,
    page: &'s [u8],
    suffix: &'a [u8],
}

impl<'s> Work for Dense<'_, 's> {
    type Out = Option<Quick<'s>>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Option<Quick<'s>> {
        if let Some(value) = self.exactly() {
            return Some(Quick::Value(value));
        }
        let leaf = Leaf::new(self.page).ok()?;
        match leaf.find_dense(kernel, self.suffix) {
            Err(_) => Some(Quick::Missing),
            Ok(i) => Some(Quick::Value(leaf.value(i).ok()?.bytes())),
        }
    }
}

impl<'s> Dense<'_, 's> {
    /// The value, if the key is exactly where it is expected, as numbers without gaps are.
    #[inline(always)]
    fn exactly(&self) -> Option<&'s [u8]> {
        let top = Top::of(self.page)?;
        let shape = header::dense_shape(self.page);
        let count = usize::from(top.count());
        self.guess.learn_dense(shape, count);
        if self.suffix.len() != shape.suffix || shape.suffix > shape.element {
            return None;
        }
        let x = left_aligned(self.suffix);
        let i = match shape.element {
            2 => {
                let keys = PageArrays::<{ dense::SUFFIXES_16.end() }>::new(self.page, top.count())?;
                expected(keys.count(), x >> 48, |i| u64::from(keys.u16(dense::SUFFIXES_16, i)))?
            }
            4 => {
                let keys = PageArrays::<{ dense::SUFFIXES_32.end() }>::new(self.page, top.count())?;
                expected(keys.count(), x >> 32, |i| u64::from(keys.u32(dense::SUFFIXES_32, i)))?
            }
            8 => {
                let keys = PageArrays::<{ dense::SUFFIXES_64.end() }>::new(self.page, top.count())?;
                expected(keys.count(), x, |i| keys.u64(dense::SUFFIXES_64, i))?
            }
            _ => return None,
        };
        let from = shape.value_at(count, i);
        self.page.get(from..from + shape.value)
    }
}

/// Where `x` is in a sorted array of `n` numbers, if it is where they would have it if they were evenly spread.
#[inline(always)]
fn expected(n: usize, x: u64, get: impl Fn(usize) -> u64) -> Option<usize> {
    let last = n.checked_sub(1)?;
    let (low, high) = (get(0), get(last));
    if x < low || x > high {
        return None;
    }
    let (way, all) = (x - low, high - low);
    // Without gaps no division is needed.
    let i = if all == last as u64 {
        way as usize
    } else {
        (way.checked_mul(last as u64)? / all.max(1)) as usize
    };
    (i <= last && get(i) == x).then_some(i)
}

/// Finds the entry of a slotted leaf from `from` on, where the heads tie.
struct Run<'a, 's, S> {
    source: &'a S,
    page: &'s [u8],
    from: usize,
    suffix: &'a [u8],
    print: u8,
    pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s>> Work for Run<'_, 's, S> {
    type Out = Option<Option<usize>>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Option<Option<usize>> {
        let leaf = Leaf::new(self.page).ok()?;
        leaf.first_that_holds(
            kernel,
            self.from,
            self.suffix,
            self.print,
            PageRef::default(),
            self.source,
        )
        .ok()
    }
}

/// As [`Branch::fraction`].
#[inline(always)]
fn fraction(branch: &PageArrays<'_, CHILD>, i: usize, h: u32) -> Option<u32> {
    if i == 0 || i + 1 >= branch.count() {
        return None;
    }
    let (low, high) = (branch.head(i), branch.head(i + 1));
    if h < low || h >= high {
        return None;
    }
    Some(((u64::from(h - low) << 16) / u64::from(high - low)) as u32)
}
