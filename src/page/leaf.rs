//! Leaf pages: entries in key order.
//!
//! Slotted leaf (kind 1), arrays from byte 24 on, so that header, heads and fingerprints arrive with one burst:
//!
//! ```text
//! heads u32[n] | fingerprints u8[n] | offsets u16[n] | free | records | prefix
//!
//! record   u16 inline suffix length, bit 15: long key     (the first 4 bytes are in the head, not repeated)
//!          u16 value bytes, bit 15: the value is a chain description (`chain`)
//!          tail: inline suffix bytes behind the head, then the description of a long key's rest
//!          value
//! ```
//!
//! Dense leaf (kind 2): all keys have the same suffix width (1-8 bytes), all values the same width, none is long:
//!
//! ```text
//! suffixes as little-endian integers u8/u16/u32/u64[n] (left-aligned big-endian bytes) | values
//! ```
//!
//! Every access checks its bounds: a damaged page gives [`Damage`], wrong answers at worst, never a read outside.

use super::header::{self, Damage, CHECK_PREFIX, DENSE, LEAF};
use super::hint::leaf::LeafHints;
use super::kernel::{plain, Kernel};
use super::layout::leaf::{FINGERPRINTS, OFFSETS};
use super::layout::record::{Lengths, LENGTHS};
use super::layout::{DenseShape, HEAD_BYTES};
use super::search::{count_less_with, head, head_at};
use super::suffix::Suffix;
use super::{PageSource, PAGE_MIN};
use crate::error::Result;
use crate::ids::PageRef;
use crate::util::bytes::{get_u16, get_u32, get_u64, same};
use crate::util::prefetch::prefetch;
use std::cmp::Ordering;

/// A value as a leaf stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored<'a> {
    /// The bytes.
    Inline(&'a [u8]),
    /// Description of a chain: see [`super::chain`].
    Chain(&'a [u8]),
}

impl<'a> Stored<'a> {
    /// The bytes in the page, whichever they are.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Stored::Inline(b) | Stored::Chain(b) => b,
        }
    }

    /// Whether the value is outside the page.
    pub fn is_chain(&self) -> bool {
        matches!(self, Stored::Chain(_))
    }
}

/// A leaf, seen through checks.
#[derive(Clone, Copy)]
pub struct Leaf<'a> {
    page: &'a [u8],
    n: usize,
    /// Zeros in a slotted leaf.
    dense: DenseShape,
}

impl<'a> Leaf<'a> {
    /// Views `page` as a leaf after checking that its arrays lie inside it.
    #[inline(always)]
    pub fn new(page: &'a [u8]) -> std::result::Result<Leaf<'a>, Damage> {
        // Said once, this spares every access to the header its own check.
        if page.len() < PAGE_MIN {
            return Err(Damage("not a page"));
        }
        let n = header::count(page);
        let kind = header::kind(page);
        let room = page.len() - header::prefix_len(page);
        if kind == LEAF {
            if OFFSETS.at(n, n) + header::heap(page) > room {
                return Err(Damage("leaf arrays beyond the page"));
            }
            return Ok(Leaf {
                page,
                n,
                dense: DenseShape::default(),
            });
        }
        let dense = header::dense_shape(page);
        if kind != DENSE || !matches!(dense.element, 1 | 2 | 4 | 8) || dense.suffix == 0 || dense.suffix > dense.element
        {
            return Err(Damage("not a leaf"));
        }
        if dense.end(n) > room {
            return Err(Damage("dense leaf beyond the page"));
        }
        Ok(Leaf { page, n, dense })
    }

    /// Entries.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Whether this is a dense leaf.
    #[inline(always)]
    pub fn is_dense(&self) -> bool {
        self.dense.element != 0
    }

    /// What the entries of a dense leaf have in common; zeros of a slotted one.
    pub fn shape(&self) -> DenseShape {
        self.dense
    }

    /// The prefix all keys share.
    #[inline(always)]
    pub fn prefix(&self) -> &'a [u8] {
        header::prefix(self.page)
    }

    /// The page.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.page
    }

    /// Bytes in use: header, arrays, records, prefix.
    pub fn used(&self) -> usize {
        let prefix = header::prefix_len(self.page);
        if self.is_dense() {
            self.dense.end(self.n) + prefix
        } else {
            OFFSETS.at(self.n, self.n) + prefix + (header::heap(self.page).saturating_sub(header::garbage(self.page)))
        }
    }

    /// Where record `i` begins (slotted leaves only), and what it begins with.
    #[inline(always)]
    pub fn record(&self, i: usize) -> std::result::Result<(usize, Lengths), Damage> {
        let at = OFFSETS.get(self.page, self.n, i) as usize;
        match Lengths::read(self.page, at) {
            Some(lengths) => Ok((at, lengths)),
            None => Err(Damage("record outside its page")),
        }
    }

    #[inline(always)]
    pub(super) fn dense_suffix(&self, i: usize) -> u64 {
        let at = self.dense.suffix_at(i);
        let b = self.page;
        match self.dense.element {
            1 => (b[at] as u64) << 56,
            2 => (get_u16(b, at) as u64) << 48,
            4 => (get_u32(b, at) as u64) << 32,
            _ => get_u64(b, at),
        }
    }

    /// Fingerprint `i` (slotted leaves only).
    #[inline(always)]
    pub fn fingerprint(&self, i: usize) -> u8 {
        FINGERPRINTS.get(self.page, self.n, i)
    }

    /// Key `i` behind the prefix, with its fingerprint left out. Dense leaves need `scratch` to hold the bytes.
    #[inline(always)]
    pub fn suffix<'b>(&self, i: usize, scratch: &'b mut [u8; 8]) -> std::result::Result<Suffix<'b>, Damage>
    where
        'a: 'b,
    {
        if self.is_dense() {
            *scratch = self.dense_suffix(i).to_be_bytes();
            return Ok(Suffix::of(&scratch[..self.dense.suffix]));
        }
        self.slotted_suffix(i)
    }

    /// Key `i` of a slotted leaf behind the prefix.
    #[inline(always)]
    pub fn slotted_suffix(&self, i: usize) -> std::result::Result<Suffix<'a>, Damage> {
        let (at, lengths) = self.record(i)?;
        let tail = at + LENGTHS;
        match self.page.get(tail..tail + lengths.tail()) {
            Some(tail) => Ok(Suffix {
                lead: &[],
                head: head_at(self.page, i),
                len: lengths.key(),
                tail,
                long: lengths.key_is_long(),
            }),
            None => Err(Damage("key outside its page")),
        }
    }

    /// Value `i`.
    #[inline(always)]
    pub fn value(&self, i: usize) -> std::result::Result<Stored<'a>, Damage> {
        if self.is_dense() {
            let at = self.dense.value_at(self.n, i);
            return Ok(Stored::Inline(&self.page[at..at + self.dense.value]));
        }
        let (at, lengths) = self.record(i)?;
        let from = at + LENGTHS + lengths.tail();
        match self.page.get(from..from + lengths.value()) {
            Some(b) if !lengths.value_is_chain() => Ok(Stored::Inline(b)),
            Some(b) => Ok(Stored::Chain(b)),
            None => Err(Damage("value outside its page")),
        }
    }

    /// Appends key `i` (prefix and inline suffix, and the rest of a long key) to `out`. `number` is the page's number,
    /// for errors.
    #[inline]
    pub fn key<'s, S: PageSource<'s> + ?Sized>(
        &self,
        i: usize,
        number: PageRef,
        source: &S,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        out.extend_from_slice(self.prefix());
        if self.is_dense() {
            out.extend_from_slice(&self.dense_suffix(i).to_be_bytes()[..self.dense.suffix]);
            return Ok(());
        }
        self.slotted_suffix(i)
            .map_err(|d| d.at(number))?
            .write_whole(source, out, number.into())
    }

    /// Where `key` is: its position if present. `fingerprint` is the key's.
    #[inline(always)]
    pub fn find<'s, S: PageSource<'s> + ?Sized>(
        &self,
        key: &[u8],
        fingerprint: u8,
        number: PageRef,
        source: &S,
    ) -> Result<Option<usize>> {
        self.find_with(plain(), key, fingerprint, number, source)
    }

    /// As [`Leaf::find`], with the best kernel at hand.
    #[inline(always)]
    pub fn find_with<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        key: &[u8],
        fingerprint: u8,
        number: PageRef,
        source: &S,
    ) -> Result<Option<usize>> {
        let plen = header::prefix_len(self.page);
        if header::flags(self.page) & CHECK_PREFIX != 0 && !key.starts_with(self.prefix()) {
            return Ok(None);
        }
        let suffix = key.get(plen..).unwrap_or(&[]);
        if self.is_dense() {
            return Ok(self.find_dense(kernel, suffix).ok());
        }
        let from = count_less_with(kernel, self.page, self.n, head(suffix));
        self.first_that_holds(kernel, from, suffix, fingerprint, number, source)
    }

    /// First step of finding one of many keys: asks memory for what the second will look at. The first `near` bytes of
    /// the page were asked for before.
    #[inline(always)]
    pub fn approach(&self, near: usize) {
        if self.is_dense() {
            let last = self.dense.suffix_at(self.n.saturating_sub(1));
            prefetch(self.page.get(last..).unwrap_or(&[]), 1);
            return;
        }
        let mut at = near;
        while at < OFFSETS.at(self.n, self.n) {
            prefetch(self.page.get(at..).unwrap_or(&[]), 1);
            at += 64;
        }
    }

    /// Second step: where the third begins to look, if the key may be there; asks memory for what that will look at.
    #[inline(always)]
    pub fn aim<K: Kernel>(&self, kernel: K, key: &[u8], fingerprint: u8) -> Option<usize> {
        if header::flags(self.page) & CHECK_PREFIX != 0 && !key.starts_with(self.prefix()) {
            return None;
        }
        let suffix = key.get(header::prefix_len(self.page)..).unwrap_or(&[]);
        if self.is_dense() {
            let i = self.expected(left_aligned(suffix));
            let (key, value) = (
                self.dense.suffix_at(i.saturating_sub(8)),
                self.dense.value_at(self.n, i),
            );
            prefetch(self.page.get(key..).unwrap_or(&[]), 2);
            prefetch(self.page.get(value..).unwrap_or(&[]), 1);
            return Some(i);
        }
        let i = self.candidate(
            kernel,
            count_less_with(kernel, self.page, self.n, head(suffix)),
            suffix,
            fingerprint,
        )?;
        let record = self.record(i).map_or(0, |(at, _)| at);
        prefetch(self.page.get(record..).unwrap_or(&[]), 2);
        Some(i)
    }

    /// Third step: what [`Leaf::find`] answers, beginning at the entry that [`Leaf::aim`] found.
    #[inline(always)]
    pub fn strike<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        aimed: usize,
        key: &[u8],
        fingerprint: u8,
        number: PageRef,
        source: &S,
    ) -> Result<Option<usize>> {
        let suffix = key.get(header::prefix_len(self.page)..).unwrap_or(&[]);
        if self.is_dense() {
            // Where it is expected it is, if numbers have no gaps.
            if suffix.len() == self.dense.suffix && aimed < self.n && self.dense_suffix(aimed) == left_aligned(suffix) {
                return Ok(Some(aimed));
            }
            return Ok(self.find_dense(kernel, suffix).ok());
        }
        self.first_that_holds(kernel, aimed, suffix, fingerprint, number, source)
    }

    /// The first entry from `from` on, whose heads before are less than that of `suffix`, that holds the searched key.
    #[inline(always)]
    pub fn first_that_holds<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        mut from: usize,
        suffix: &[u8],
        fingerprint: u8,
        number: PageRef,
        source: &S,
    ) -> Result<Option<usize>> {
        while let Some(i) = self.candidate(kernel, from, suffix, fingerprint) {
            if self.holds(i, suffix, number, source)? {
                return Ok(Some(i));
            }
            from = i + 1;
        }
        Ok(None)
    }

    /// The first entry from `from` on whose head and fingerprint are those of the searched key.
    #[inline(always)]
    pub(super) fn candidate<K: Kernel>(&self, kernel: K, from: usize, suffix: &[u8], fingerprint: u8) -> Option<usize> {
        let h = head(suffix);
        if from >= self.n || head_at(self.page, from) != h {
            return None;
        }
        if self.fingerprint(from) == fingerprint {
            return Some(from);
        }
        // Heads tie: all fingerprints are compared at once, and only where they agree are the heads looked at.
        let mut at = from + 1;
        if at >= self.n || head_at(self.page, at) != h {
            return None;
        }
        while at < self.n {
            let prints = &self.page[FINGERPRINTS.at(self.n, at)..];
            let equal = match prints.first_chunk() {
                Some(prints) => kernel.equal_8(prints, fingerprint),
                None => {
                    return (at..self.n).find(|i| self.fingerprint(*i) == fingerprint && head_at(self.page, *i) == h)
                }
            };
            if equal != 0 {
                let i = at + equal.trailing_zeros() as usize;
                return (i < self.n && head_at(self.page, i) == h).then_some(i);
            }
            at += 32;
        }
        None
    }

    /// Whether the key of entry `i`, whose head is that of `suffix`, is the searched one.
    #[inline(always)]
    fn holds<'s, S: PageSource<'s> + ?Sized>(
        &self,
        i: usize,
        suffix: &[u8],
        number: PageRef,
        source: &S,
    ) -> Result<bool> {
        let stored = self.slotted_suffix(i).map_err(|d| d.at(number))?;
        if stored.long {
            return Ok(stored.cmp_tail(suffix, source)? == Ordering::Equal);
        }
        Ok(stored.len == suffix.len() && same(stored.tail, suffix.get(HEAD_BYTES..).unwrap_or(&[])))
    }

    /// Position of `key`: `Ok` if present, `Err` with where it would stand.
    #[inline]
    pub fn position<'s, S: PageSource<'s> + ?Sized>(
        &self,
        key: &[u8],
        number: PageRef,
        source: &S,
    ) -> Result<std::result::Result<usize, usize>> {
        self.position_with(plain(), key, number, source)
    }

    /// As [`Leaf::position`], with the best kernel at hand.
    #[inline(always)]
    pub fn position_with<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        key: &[u8],
        number: PageRef,
        source: &S,
    ) -> Result<std::result::Result<usize, usize>> {
        let plen = header::prefix_len(self.page);
        if header::flags(self.page) & CHECK_PREFIX != 0 && !key.starts_with(self.prefix()) {
            return Ok(Err(if key < self.prefix() { 0 } else { self.n }));
        }
        let suffix = key.get(plen..).unwrap_or(&[]);
        if self.is_dense() {
            return Ok(self.find_dense(kernel, suffix));
        }
        let h = head(suffix);
        let (mut lo, mut hi) = (count_less_with(kernel, self.page, self.n, h), self.n);
        if h < u32::MAX {
            hi = if lo < self.n && head_at(self.page, lo) != h {
                lo
            } else {
                count_less_with(kernel, self.page, self.n, h + 1)
            };
        }
        while lo < hi {
            let mid = lo + (hi - lo) / 2;
            let stored = self.slotted_suffix(mid).map_err(|d| d.at(number))?;
            match stored.cmp_tail(suffix, source)? {
                Ordering::Less => lo = mid + 1,
                Ordering::Greater => hi = mid,
                Ordering::Equal => return Ok(Ok(mid)),
            }
        }
        Ok(Err(lo))
    }

    /// Where `suffix` is in a dense leaf: `Ok` if present, `Err` with where it would stand.
    #[inline(always)]
    pub fn find_dense<K: Kernel>(&self, kernel: K, suffix: &[u8]) -> std::result::Result<usize, usize> {
        let x = left_aligned(suffix);
        if suffix.len() == self.dense.suffix {
            let i = self.dense_less(kernel, x);
            return if i < self.n && self.dense_suffix(i) == x {
                Ok(i)
            } else {
                Err(i)
            };
        }
        if suffix.len() < self.dense.suffix {
            return Err(self.dense_less(kernel, x));
        }
        // Longer than the stored ones: behind the one that equals its beginning.
        let cut = match self.dense.suffix {
            DenseShape::SUFFIX_MAX => x,
            width => x & !(u64::MAX >> (8 * width)),
        };
        let i = self.dense_less(kernel, cut);
        Err(i + (i < self.n && self.dense_suffix(i) == cut) as usize)
    }

    /// Suffixes less than `x` (left-aligned).
    #[inline(always)]
    fn dense_less<K: Kernel>(&self, kernel: K, x: u64) -> usize {
        // Elements less than x = elements less than x >> shift, rounded up.
        let shift = 64 - 8 * self.dense.element as u32;
        let low = if shift == 0 { 0 } else { x & ((1 << shift) - 1) };
        let t = (x >> shift) + (low != 0) as u64;
        let at = |i| self.dense.suffix_at(i);
        match self.dense.element {
            1 => self.halve(0, self.n, |i| (self.page[at(i)] as u64) < t),
            // (Rounding up may leave the element's range: then all are less.)
            2 if t > u64::from(u16::MAX) => self.n,
            2 => self.less_in::<32>(
                t,
                |i| get_u16(self.page, at(i)) as u64,
                |i| Some(kernel.less_16(self.page.get(at(i)..)?.first_chunk()?, t as u16)),
            ),
            4 if t > u64::from(u32::MAX) => self.n,
            4 => self.less_in::<32>(
                t,
                |i| get_u32(self.page, at(i)) as u64,
                |i| Some(kernel.less_32(self.page.get(at(i)..)?.first_chunk()?, t as u32)),
            ),
            _ => self.less_in::<16>(
                t,
                |i| get_u64(self.page, at(i)),
                |i| Some(kernel.less_64(self.page.get(at(i)..)?.first_chunk()?, t)),
            ),
        }
    }

    /// Where interpolation expects the suffix `x` (left-aligned) of a dense leaf.
    #[inline(always)]
    fn expected(&self, x: u64) -> usize {
        if self.n < 2 {
            return 0;
        }
        let (first, last) = (self.dense_suffix(0), self.dense_suffix(self.n - 1));
        if x <= first {
            0
        } else if x >= last {
            self.n - 1
        } else {
            self.interpolate(x, first, last)
        }
    }

    /// Where interpolation between the first and the last element expects `t`, which lies between them.
    #[inline(always)]
    fn interpolate(&self, t: u64, first: u64, last: u64) -> usize {
        // Both differences lose the same number of bits, so that the product fits.
        let lose = 16u32.saturating_sub((last - first).leading_zeros());
        let (way, all) = ((t - first) >> lose, ((last - first) >> lose).max(1));
        (way * (self.n as u64 - 1) / all) as usize
    }

    /// Elements less than `t`: a window of `W` elements where they should be if they are spread evenly, else halving.
    #[inline(always)]
    fn less_in<const W: usize>(
        &self,
        t: u64,
        get: impl Fn(usize) -> u64,
        window: impl Fn(usize) -> Option<u32>,
    ) -> usize {
        let n = self.n;
        if n < W {
            return self.halve(0, n, |i| get(i) < t);
        }
        let (first, last) = (get(0), get(n - 1));
        if t <= first {
            return 0;
        }
        if t > last {
            return n;
        }
        let at = self.interpolate(t, first, last).saturating_sub(W / 2).min(n - W);
        let all = u32::MAX >> (32 - W);
        let Some(less) = window(at) else { return 0 };
        if less == all {
            return self.halve(at + W, n - at - W, |i| get(i) < t);
        }
        if less == 0 {
            return self.halve(0, at, |i| get(i) < t);
        }
        at + (!less).trailing_zeros() as usize
    }

    /// The first of the `len` positions from `base` on for which `less` does not hold, by halving without branches.
    #[inline(always)]
    fn halve(&self, mut base: usize, mut len: usize, less: impl Fn(usize) -> bool) -> usize {
        while len > 1 {
            let half = len / 2;
            base = if less(base + half - 1) { base + half } else { base };
            len -= half;
        }
        base + (len == 1 && less(base)) as usize
    }
}

/// The first 8 bytes as a big-endian integer, zero padded.
#[inline(always)]
pub fn left_aligned(suffix: &[u8]) -> u64 {
    if let Some(eight) = suffix.first_chunk() {
        return u64::from_be_bytes(*eight);
    }
    let n = suffix.len();
    match n {
        4.. => {
            // Two halves that overlap: the bytes they share are equal.
            let high = u64::from(get_u32(suffix, 0).swap_bytes()) << 32;
            let low = u64::from(get_u32(suffix, n - 4).swap_bytes()) << (64 - 8 * n);
            high | low
        }
        _ => suffix
            .iter()
            .enumerate()
            .fold(0, |x, (i, b)| x | u64::from(*b) << (56 - 8 * i)),
    }
}

impl LeafHints {
    /// Takes note of what a leaf is like.
    #[inline(always)]
    pub fn learn(&self, leaf: &Leaf<'_>) {
        if leaf.is_dense() {
            self.learn_dense(leaf.shape(), leaf.len());
        } else {
            self.learn_slotted(leaf.len());
        }
    }
}
