//! Searching a leaf: where a key is or would be, and what is stored under it.
//!
//! A search compares heads first, fingerprints where heads tie, and whole keys last. Where bytes lie in a leaf is said
//! in `leaf.rs`.

use super::arrays::PageArrays;
use super::header::{self, Top, CHECK_PREFIX, DENSE, LEAF};
use super::interpolate::{halve, interpolate, left_aligned, less_in, where_expected};
use super::kernel::{best, plain, Kernel, Quietly, Work};
use super::layout::dense::{SUFFIXES_16, SUFFIXES_32, SUFFIXES_64};
use super::layout::leaf::{ENTRY, FINGERPRINTS, OFFSETS};
use super::layout::DenseShape;
use super::leaf::Leaf;
use super::record::{remainder, Record};
use super::search::{head_at, Key, Sought};
use super::PageSource;
use crate::error::Result;
use crate::ids::PageRef;
use crate::util::bytes::{get_u16, get_u32, get_u64, same};
use crate::util::prefetch::prefetch;
use std::cmp::Ordering;
use std::marker::PhantomData;

impl<'a> Leaf<'a> {
    /// Returns whether `key` does not begin with the prefix, as all keys in this leaf do.
    #[inline(always)]
    fn excludes(&self, key: &[u8]) -> bool {
        self.top.has(CHECK_PREFIX) && !key.starts_with(self.prefix())
    }

    /// Returns what this leaf is searched for when `key` is looked up.
    #[inline(always)]
    fn sought<'k>(&self, key: Key<'k>) -> Sought<'k> {
        Sought {
            suffix: self.top.suffix(key.bytes),
            head: self.top.head(key.bytes),
            fingerprint: key.fingerprint,
        }
    }

    /// Returns the position of `key`, or `None` if it is not there.
    ///
    /// # Errors
    /// `Corrupt` if the search meets a record outside the page or a long key that cannot be read.
    #[inline(always)]
    pub fn find<'s, S: PageSource<'s> + ?Sized>(&self, key: Key<'_>, source: &S) -> Result<Option<usize>> {
        self.find_with(plain(), key, source)
    }

    /// Does what [`Leaf::find`] does, with the best kernel at hand.
    #[inline(always)]
    pub fn find_with<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        key: Key<'_>,
        source: &S,
    ) -> Result<Option<usize>> {
        if self.excludes(key.bytes) {
            return Ok(None);
        }
        let sought = self.sought(key);
        if self.is_dense() {
            return Ok(self.find_dense(kernel, sought.suffix).ok());
        }
        Ok(self.find_record(kernel, &sought, source)?.map(|(i, _)| i))
    }

    #[inline(always)]
    fn tied<'b, 's, S: ?Sized>(&self, from: usize, sought: Sought<'b>, source: &'b S) -> Tied<'b, 's, S>
    where
        'a: 'b,
    {
        Tied {
            leaf: *self,
            from,
            sought,
            source,
            pages: PhantomData,
        }
    }

    /// Returns the entry of a slotted leaf that holds the searched key, and its record.
    #[inline(always)]
    fn find_record<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        sought: &Sought<'_>,
        source: &S,
    ) -> Result<Option<(usize, Record<'a>)>> {
        let arrays = self.arrays()?;
        let Some(i) = by_head(kernel, &arrays, sought.head) else {
            return Ok(None);
        };
        if arrays.byte(FINGERPRINTS, i) == sought.fingerprint {
            let record = self.record(i)?;
            if self.holds(i, &record, sought, source)? {
                return Ok(Some((i, record)));
            }
        }
        if !tie(&arrays, i, sought.head) {
            return Ok(None);
        }
        let found = best(self.tied(i + 1, *sought, source));
        match found? {
            Some(i) => Ok(Some((i, self.record(i)?))),
            None => Ok(None),
        }
    }

    /// Returns what a lookup of `key` in the page finds where it cannot fail: the page is a leaf, all keys that come to
    /// it begin with its prefix, what is looked at lies where it should, and neither the key found nor its value is
    /// long. The outer `None` says nothing about why. Without `VALUE` only the key's presence matters, and the bytes
    /// that are returned are empty.
    #[inline(always)]
    pub fn plain_lookup<'s, K: Kernel, S: PageSource<'s> + ?Sized, const VALUE: bool>(
        kernel: K,
        page: &'a [u8],
        key: Key<'_>,
        source: &S,
    ) -> Option<Option<&'a [u8]>> {
        let top = Top::of(page)?;
        if !top.is_plain_leaf(LEAF) {
            // Numbers in dense leaves have a call of their own, because they need other registers. Its answer is taken
            // apart here, so that the answer of this function need not pass through memory.
            let suffix = top.suffix(key.bytes);
            let found = best(DenseLookup { page, top, suffix })?;
            return Some(found);
        }
        let arrays = PageArrays::<ENTRY>::new(page, top.count())?;
        let (suffix, head) = (top.suffix(key.bytes), top.head(key.bytes));
        let Some(mut i) = by_head(kernel, &arrays, head) else {
            return Some(None);
        };
        if arrays.byte(FINGERPRINTS, i) != key.fingerprint {
            if !tie(&arrays, i, head) {
                return Some(None);
            }
            let leaf = Leaf {
                page,
                top,
                dense: DenseShape::default(),
                at: PageRef::UNKNOWN,
            };
            match best(Quietly(leaf.tied(i + 1, leaf.sought(key), source)))? {
                Some(found) if found < arrays.count() => i = found,
                Some(_) => return None,
                None => return Some(None),
            }
        }
        // Another key with this head and this fingerprint is rare. It makes this `None`, and the search is done again.
        let value = Record::whole_value_of(page, arrays.u16(OFFSETS, i).into(), suffix)?;
        Some(Some(if VALUE { value } else { &[] }))
    }

    /// Prefetches what the second step looks at, as the first of three steps that find one of many keys. The first
    /// `near` bytes of the page were prefetched before.
    #[inline(always)]
    pub fn prefetch_arrays(&self, near: usize) {
        if self.is_dense() {
            let last = self.dense.suffix_at(self.len().saturating_sub(1));
            prefetch(self.page.get(last..).unwrap_or(&[]), 1);
            return;
        }
        let mut at = near;
        while at < OFFSETS.at(self.len(), self.len()) {
            prefetch(self.page.get(at..).unwrap_or(&[]), 1);
            at += 64;
        }
    }

    /// Returns where the third step begins to look if the key may be there, and prefetches what that step will look at.
    /// This is the second step.
    ///
    /// # Errors
    /// `Corrupt` if the arrays lie beyond the page.
    #[inline(always)]
    pub fn candidate<K: Kernel>(&self, kernel: K, key: Key<'_>) -> Result<Option<usize>> {
        if self.excludes(key.bytes) {
            return Ok(None);
        }
        let sought = self.sought(key);
        if self.is_dense() {
            let i = self.expected(left_aligned(sought.suffix));
            let (key, value) = (
                self.dense.suffix_at(i.saturating_sub(8)),
                self.dense.value_at(self.len(), i),
            );
            prefetch(self.page.get(key..).unwrap_or(&[]), 2);
            prefetch(self.page.get(value..).unwrap_or(&[]), 1);
            return Ok(Some(i));
        }
        let from = self.arrays()?.count_less(kernel, sought.head);
        let candidate = self.alike(kernel, from, &sought);
        if let Some(i) = candidate {
            let record = OFFSETS.get(self.page, self.len(), i).into();
            prefetch(self.page.get(record..).unwrap_or(&[]), 2);
        }
        Ok(candidate)
    }

    /// Returns what [`Leaf::find`] returns, beginning at the entry that [`Leaf::candidate`] found. This is the third
    /// step.
    ///
    /// # Errors
    /// `Corrupt` if the search meets a record outside the page or a long key that cannot be read.
    #[inline(always)]
    pub fn find_from<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        candidate: usize,
        key: Key<'_>,
        source: &S,
    ) -> Result<Option<usize>> {
        let sought = self.sought(key);
        if self.is_dense() {
            // If numbers have no gaps, the key is where it is expected.
            let x = left_aligned(sought.suffix);
            if sought.suffix.len() == self.dense.suffix && candidate < self.len() && self.dense_suffix(candidate) == x {
                return Ok(Some(candidate));
            }
            return Ok(self.find_dense(kernel, sought.suffix).ok());
        }
        self.first_that_holds(kernel, candidate, &sought, source)
    }

    /// Returns the first entry from `from` on that holds the searched key. All heads before `from` are less than the
    /// searched one, or were looked at.
    #[inline(always)]
    fn first_that_holds<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        mut from: usize,
        sought: &Sought<'_>,
        source: &S,
    ) -> Result<Option<usize>> {
        while let Some(i) = self.alike(kernel, from, sought) {
            if self.holds(i, &self.record(i)?, sought, source)? {
                return Ok(Some(i));
            }
            from = i + 1;
        }
        Ok(None)
    }

    /// Returns the first entry from `from` on whose head and fingerprint are those of the searched key.
    #[inline(always)]
    fn alike<K: Kernel>(&self, kernel: K, from: usize, sought: &Sought<'_>) -> Option<usize> {
        let (n, h, fingerprint) = (self.len(), sought.head, sought.fingerprint);
        if from >= n || head_at(self.page, from) != h {
            return None;
        }
        if self.fingerprint(from) == fingerprint {
            return Some(from);
        }
        // Heads tie, so all fingerprints are compared at once, and heads are compared only where fingerprints agree.
        let mut at = from + 1;
        if at >= n || head_at(self.page, at) != h {
            return None;
        }
        while at < n {
            let fingerprints = &self.page[FINGERPRINTS.at(n, at)..];
            let equal = match fingerprints.first_chunk() {
                Some(fingerprints) => kernel.equal_8(fingerprints, fingerprint),
                None => return (at..n).find(|i| self.fingerprint(*i) == fingerprint && head_at(self.page, *i) == h),
            };
            if equal != 0 {
                let i = at + equal.trailing_zeros() as usize;
                return (i < n && head_at(self.page, i) == h).then_some(i);
            }
            at += 32;
        }
        None
    }

    /// Returns whether the key of entry `i`, whose head is the searched one, is the searched key.
    #[inline(always)]
    fn holds<'s, S: PageSource<'s> + ?Sized>(
        &self,
        i: usize,
        record: &Record<'_>,
        sought: &Sought<'_>,
        source: &S,
    ) -> Result<bool> {
        if record.lengths.key_is_long() {
            return Ok(self.slotted_suffix(i)?.cmp_remainder(sought.suffix, source)? == Ordering::Equal);
        }
        // Keys of one length that agree behind the head agree in it, too, because what is shorter than a head is padded
        // alike.
        Ok(record.lengths.key() == sought.suffix.len() && same(record.remainder, remainder(sought.suffix)))
    }

    /// Returns the position of `key`: `Ok` if it is present, and `Err` with where it would stand if not.
    ///
    /// # Errors
    /// `Corrupt` if the search meets a record outside the page or a long key that cannot be read.
    #[inline]
    pub fn position<'s, S: PageSource<'s> + ?Sized>(
        &self,
        key: &[u8],
        source: &S,
    ) -> Result<std::result::Result<usize, usize>> {
        self.position_with(plain(), key, source)
    }

    /// Does what [`Leaf::position`] does, with the best kernel at hand.
    #[inline(always)]
    pub fn position_with<'s, K: Kernel, S: PageSource<'s> + ?Sized>(
        &self,
        kernel: K,
        key: &[u8],
        source: &S,
    ) -> Result<std::result::Result<usize, usize>> {
        if self.excludes(key) {
            return Ok(Err(if key < self.prefix() { 0 } else { self.len() }));
        }
        let (suffix, h) = (self.top.suffix(key), self.top.head(key));
        if self.is_dense() {
            return Ok(self.find_dense(kernel, suffix));
        }
        let arrays = self.arrays()?;
        let (mut lo, mut hi) = (arrays.count_less(kernel, h), arrays.count());
        if h < u32::MAX {
            hi = if lo < hi && arrays.head(lo) != h {
                lo
            } else {
                arrays.count_less(kernel, h + 1)
            };
        }
        while lo < hi {
            let mid = lo + (hi - lo) / 2;
            match self.slotted_suffix(mid)?.cmp_remainder(suffix, source)? {
                Ordering::Less => lo = mid + 1,
                Ordering::Greater => hi = mid,
                Ordering::Equal => return Ok(Ok(mid)),
            }
        }
        Ok(Err(lo))
    }

    /// Returns the position of `suffix` in a dense leaf: `Ok` if it is present, and `Err` with where it would stand if
    /// not.
    #[inline(always)]
    fn find_dense<K: Kernel>(&self, kernel: K, suffix: &[u8]) -> std::result::Result<usize, usize> {
        let x = left_aligned(suffix);
        if suffix.len() == self.dense.suffix {
            let i = self.dense_less(kernel, x);
            return if i < self.len() && self.dense_suffix(i) == x {
                Ok(i)
            } else {
                Err(i)
            };
        }
        if suffix.len() < self.dense.suffix {
            return Err(self.dense_less(kernel, x));
        }
        // The suffix is longer than the stored ones, so it stands behind the one that equals its beginning.
        let cut = match self.dense.suffix {
            DenseShape::SUFFIX_MAX => x,
            width => x & !(u64::MAX >> (8 * width)),
        };
        let i = self.dense_less(kernel, cut);
        Err(i + (i < self.len() && self.dense_suffix(i) == cut) as usize)
    }

    /// Returns the number of suffixes that are less than `x` (left-aligned).
    #[inline(always)]
    fn dense_less<K: Kernel>(&self, kernel: K, x: u64) -> usize {
        // The elements less than x are those less than x >> shift, rounded up.
        let shift = 64 - 8 * self.dense.element as u32;
        let low = if shift == 0 { 0 } else { x & ((1 << shift) - 1) };
        let t = (x >> shift) + (low != 0) as u64;
        let (n, at) = (self.len(), |i| self.dense.suffix_at(i));
        match self.dense.element {
            1 => halve(0, n, |i| (self.page[at(i)] as u64) < t),
            // Rounding up may leave the element's range. Then all elements are less.
            2 if t > u64::from(u16::MAX) => n,
            2 => less_in::<32>(
                n,
                t,
                |i| get_u16(self.page, at(i)) as u64,
                |i| Some(kernel.less_16(self.page.get(at(i)..)?.first_chunk()?, t as u16)),
            ),
            4 if t > u64::from(u32::MAX) => n,
            4 => less_in::<32>(
                n,
                t,
                |i| get_u32(self.page, at(i)) as u64,
                |i| Some(kernel.less_32(self.page.get(at(i)..)?.first_chunk()?, t as u32)),
            ),
            _ => less_in::<16>(
                n,
                t,
                |i| get_u64(self.page, at(i)),
                |i| Some(kernel.less_64(self.page.get(at(i)..)?.first_chunk()?, t)),
            ),
        }
    }

    /// Returns where interpolation expects the suffix `x` (left-aligned) of a dense leaf.
    #[inline(always)]
    fn expected(&self, x: u64) -> usize {
        let Some(end) = self.len().checked_sub(1) else {
            return 0;
        };
        let (first, last) = (self.dense_suffix(0), self.dense_suffix(end));
        if x <= first {
            0
        } else if x >= last {
            end
        } else {
            interpolate(end, x, first, last)
        }
    }
}

/// Returns the first entry of a slotted leaf with this head.
#[inline(always)]
fn by_head<K: Kernel>(kernel: K, arrays: &PageArrays<'_, ENTRY>, head: u32) -> Option<usize> {
    let i = arrays.count_less(kernel, head);
    (i < arrays.count() && arrays.head(i) == head).then_some(i)
}

/// Returns whether the entry behind entry `i` has this head, too.
#[inline(always)]
fn tie(arrays: &PageArrays<'_, ENTRY>, i: usize, head: u32) -> bool {
    i + 1 < arrays.count() && arrays.head(i + 1) == head
}

/// The search among entries of a slotted leaf whose heads tie, from `from` on. It is a call, so that what it needs does
/// not crowd the registers of all other searches.
struct Tied<'b, 's, S: ?Sized> {
    leaf: Leaf<'b>,
    from: usize,
    sought: Sought<'b>,
    source: &'b S,
    pages: PhantomData<&'s [u8]>,
}

impl<'s, S: PageSource<'s> + ?Sized> Work for Tied<'_, 's, S> {
    type Out = Result<Option<usize>>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Out {
        self.leaf.first_that_holds(kernel, self.from, &self.sought, self.source)
    }
}

/// The plain lookup in a dense leaf.
struct DenseLookup<'b, 's> {
    page: &'s [u8],
    top: Top,
    suffix: &'b [u8],
}

impl<'s> Work for DenseLookup<'_, 's> {
    type Out = Option<Option<&'s [u8]>>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Out {
        if !self.top.is_plain_leaf(DENSE) {
            return None;
        }
        if let Some(value) = self.as_expected() {
            return Some(Some(value));
        }
        let leaf = Leaf::of(self.page, PageRef::UNKNOWN).ok()?;
        match leaf.find_dense(kernel, self.suffix) {
            Ok(i) => Some(Some(leaf.value(i).ok()?.bytes())),
            Err(_) => Some(None),
        }
    }
}

impl<'s> DenseLookup<'_, 's> {
    /// Returns the value if the key is just where interpolation expects it, as numbers without gaps are.
    #[inline(always)]
    fn as_expected(&self) -> Option<&'s [u8]> {
        let shape = header::dense_shape(self.page);
        if self.suffix.len() != shape.suffix || shape.suffix > shape.element {
            return None;
        }
        let (x, count) = (left_aligned(self.suffix), self.top.count());
        let i = match shape.element {
            2 => {
                let suffixes = PageArrays::<2>::new(self.page, count)?;
                where_expected(suffixes.count(), x >> 48, |i| suffixes.u16(SUFFIXES_16, i).into())?
            }
            4 => {
                let suffixes = PageArrays::<4>::new(self.page, count)?;
                where_expected(suffixes.count(), x >> 32, |i| suffixes.u32(SUFFIXES_32, i).into())?
            }
            8 => {
                let suffixes = PageArrays::<8>::new(self.page, count)?;
                where_expected(suffixes.count(), x, |i| suffixes.u64(SUFFIXES_64, i))?
            }
            _ => return None,
        };
        let from = shape.value_at(count.into(), i);
        self.page.get(from..from + shape.value)
    }
}
