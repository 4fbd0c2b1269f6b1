//! The arrays behind a page's header, whose bounds are checked once.
//!
//! An access to an array has to be inside the page whatever the page says. A bounds check at every access is a third of
//! a lookup's instructions. Here the bounds are checked once per page, and an access only compares its index with the
//! number of elements.

#![allow(unsafe_code)]

use super::kernel::Kernel;
use super::layout::{Array, HEADER, HEADS};
use super::PAGE_MIN;
use crate::ids::U48_MAX;
use std::ops::Range;

/// The number of elements that are compared at once.
const WINDOW: usize = 32;

/// A page with room for `EACH` bytes for each of its elements behind the header. The type promises no more than that.
#[derive(Clone, Copy)]
pub struct PageArrays<'a, const EACH: usize> {
    page: &'a [u8],
    n: usize,
}

impl<'a, const EACH: usize> PageArrays<'a, EACH> {
    /// Returns the arrays of `n` elements, or `None` if they do not lie inside `page`.
    #[inline(always)]
    pub fn new(page: &'a [u8], n: u16) -> Option<PageArrays<'a, EACH>> {
        let n = usize::from(n);
        if page.len() < PAGE_MIN || HEADER + EACH * n > page.len() {
            return None;
        }
        Some(PageArrays { page, n })
    }

    /// Returns the number of elements.
    #[inline(always)]
    pub fn count(&self) -> usize {
        self.n
    }

    /// Returns `BYTES` bytes from where element `i` of `array` begins.
    #[inline(always)]
    fn element<const BEFORE: usize, const WIDTH: usize, const BYTES: usize>(
        &self,
        array: Array<BEFORE, WIDTH>,
        i: usize,
    ) -> [u8; BYTES] {
        const { assert!(WIDTH <= BYTES && BEFORE + BYTES <= EACH) }
        assert!(i < self.n, "an element beyond its array");
        // SAFETY: i < n, so the read ends at most (BEFORE + WIDTH) * n + BYTES - WIDTH bytes behind the header, which
        // is no more than EACH * n since n > 0; and that much lies inside the page, as `new` has checked.
        unsafe {
            let at = self.page.as_ptr().add(array.at(self.n, i));
            at.cast::<[u8; BYTES]>().read()
        }
    }

    /// Returns byte `i` of an array.
    #[inline(always)]
    pub fn byte<const BEFORE: usize>(&self, array: Array<BEFORE, 1>, i: usize) -> u8 {
        self.element::<BEFORE, 1, 1>(array, i)[0]
    }

    /// Returns number `i` of an array of 16-bit numbers.
    #[inline(always)]
    pub fn u16<const BEFORE: usize>(&self, array: Array<BEFORE, 2>, i: usize) -> u16 {
        u16::from_le_bytes(self.element::<BEFORE, 2, 2>(array, i))
    }

    /// Returns number `i` of an array of 32-bit numbers.
    #[inline(always)]
    pub fn u32<const BEFORE: usize>(&self, array: Array<BEFORE, 4>, i: usize) -> u32 {
        u32::from_le_bytes(self.element::<BEFORE, 4, 4>(array, i))
    }

    /// Returns number `i` of an array of 64-bit numbers.
    #[inline(always)]
    pub fn u64<const BEFORE: usize>(&self, array: Array<BEFORE, 8>, i: usize) -> u64 {
        u64::from_le_bytes(self.element::<BEFORE, 8, 8>(array, i))
    }

    /// Returns number `i` of an array of 48-bit numbers that is not the last array.
    #[inline(always)]
    pub fn u48<const BEFORE: usize>(&self, array: Array<BEFORE, 6>, i: usize) -> u64 {
        u64::from_le_bytes(self.element::<BEFORE, 6, 8>(array, i)) & U48_MAX
    }

    /// Returns the bytes of the elements `range` of an array, for a look at many of them.
    #[inline]
    pub fn bytes<const BEFORE: usize, const WIDTH: usize>(
        &self,
        array: Array<BEFORE, WIDTH>,
        range: Range<usize>,
    ) -> &'a [u8] {
        const { assert!(BEFORE + WIDTH <= EACH) }
        let to = range.end.min(self.n);
        &self.page[array.at(self.n, range.start.min(to))..array.at(self.n, to)]
    }

    /// Returns head `i`. The heads are the first array.
    #[inline(always)]
    pub fn head(&self, i: usize) -> u32 {
        self.u32(HEADS, i)
    }

    /// Returns the number of heads that are less than `h`. These compares are most of a lookup.
    #[inline(always)]
    pub fn count_less<K: Kernel>(&self, kernel: K, h: u32) -> usize {
        self.first_not_less(kernel, HEADS, 0..self.n, h)
    }

    /// Returns the first of the elements `range` of a sorted array of 32-bit numbers that is not less than `h`.
    #[inline(always)]
    pub fn first_not_less<const BEFORE: usize, K: Kernel>(
        &self,
        kernel: K,
        array: Array<BEFORE, 4>,
        range: Range<usize>,
        h: u32,
    ) -> usize {
        let to = range.end.min(self.n);
        let from = range.start.min(to);
        let (mut base, mut len) = (from, to - from);
        // Only large pages have so many elements.
        while len > 8 * WINDOW {
            let half = len / 2;
            if self.u32(array, base + half - 1) < h {
                base += half;
            }
            len -= half;
        }
        // Each window whose last element is less than `h` lies before the window that is wanted, so their number is a
        // sum of compares. Halving further would be a jump that no processor can foresee, because the compiler sees
        // through arithmetic that avoids it.
        let end = base + len;
        // SAFETY: `base..base + len` was `from..to`, which ends at n or before, and halving leaves a part of it.
        unsafe { std::hint::assert_unchecked(end <= self.n) };
        let mut last = base + WINDOW - 1;
        let mut before = 0;
        while last < end {
            before += usize::from(self.u32(array, last) < h);
            last += WINDOW;
        }
        base += WINDOW * before;
        // The window may begin before what is left and end behind it. What lies outside is not counted.
        let at = base.min(to.saturating_sub(WINDOW));
        const { assert!(BEFORE + 4 <= EACH && HEADER + (BEFORE + 4) * WINDOW <= PAGE_MIN) }
        // SAFETY: the window ends inside the page. With fewer than WINDOW elements it begins with the first, and page
        // and header leave room for a whole one behind that many, as just asserted. Otherwise at <= n - WINDOW, so it
        // ends in the array, which lies inside the page with all arrays of EACH bytes per element, as `new` has
        // checked.
        let window = unsafe {
            let start = self.page.as_ptr().add(array.at(self.n, at));
            &*start.cast::<[u8; 4 * WINDOW]>()
        };
        let not_less = !kernel.less_32(window, h) & u32::MAX.checked_shl(from.saturating_sub(at) as u32).unwrap_or(0);
        at + (not_less.trailing_zeros() as usize).min(to - at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::kernel::{best, Work};
    use crate::page::layout::{branch, leaf};
    use crate::util::bytes::get_u48;

    struct Count<'a>(&'a [u8], u16, u32);

    impl Work for Count<'_> {
        type Out = Option<usize>;
        #[inline(always)]
        fn run<K: Kernel>(self, kernel: K) -> Option<usize> {
            Some(PageArrays::<4>::new(self.0, self.1)?.count_less(kernel, self.2))
        }
    }

    #[test]
    fn counts_like_a_filter() {
        let mut x = 7u64;
        for n in 0..=1018u16 {
            let mut heads: Vec<u32> = (0..n)
                .map(|_| {
                    x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                    (x >> 40) as u32 % 64 * 0x0400_0001
                })
                .collect();
            heads.sort_unstable();
            let mut page = vec![0xA5u8; 4096];
            for (i, h) in heads.iter().enumerate() {
                HEADS.set(&mut page, n.into(), i, *h);
            }
            for h in heads
                .iter()
                .step_by(7)
                .flat_map(|h| [h.wrapping_sub(1), *h, h.wrapping_add(1)])
            {
                let right = heads.partition_point(|head| *head < h);
                assert_eq!(best(Count(&page, n, h)), Some(right), "{n} {h}");
            }
            let right = heads.partition_point(|head| *head < u32::MAX);
            assert_eq!(best(Count(&page, n, u32::MAX)), Some(right));
        }
        assert_eq!(best(Count(&[0; 4096], 1019, 0)), None, "beyond the page");
        assert_eq!(best(Count(&[0; 4095], 0, 0)), None, "not a page");
    }

    #[test]
    fn reads_what_lies_there() {
        let page: Vec<u8> = (0..4096u32).map(|i| (i * 7 / 8) as u8).collect();
        let arrays = PageArrays::<{ branch::CHILD }>::new(&page, 145).expect("inside");
        assert!(PageArrays::<{ branch::CHILD }>::new(&page, 146).is_none());
        for i in 0..145 {
            assert_eq!(arrays.u48(branch::PAGES, i), get_u48(&page, branch::PAGES.at(145, i)));
            assert_eq!(arrays.u32(branch::CHECKSUMS, i), branch::CHECKSUMS.get(&page, 145, i));
            assert_eq!(arrays.u16(branch::OFFSETS, i), branch::OFFSETS.get(&page, 145, i));
        }
    }

    #[test]
    #[should_panic(expected = "an element beyond its array")]
    fn refuses_elements_beyond() {
        let page = vec![0; 4096];
        if let Some(arrays) = PageArrays::<{ leaf::ENTRY }>::new(&page, 21) {
            arrays.byte(leaf::FINGERPRINTS, 21);
        }
    }
}
