//! Prefetching the parts of a leaf that a lookup will read, before the leaf is in the caches.
//!
//! A lookup waits for memory twice in a leaf: for the arrays it searches, and for the record or value they lead to. How
//! far the key lies between the separators around the leaf says about where the record will be, if keys are spread
//! evenly, as hashes and numbers are. Then both are prefetched at once. A wrong expectation costs some useless traffic,
//! no more than prefetching the longest arrays of any leaf, which is what is done while nothing is known.

use super::Prefetch;
use crate::ids::PageRef;
use crate::page::header;
use crate::page::layout::leaf::OFFSETS;
use crate::page::layout::DenseShape;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const LINE: usize = 64;
/// The most lines of the arrays that are prefetched.
const ARRAYS: usize = 16;
/// Lines of the arrays that are prefetched in any case, because a constant number needs no loop.
const FEW: usize = 4;
/// Lines around the expected value of a dense leaf, whose place follows from its number, and around the expected
/// record.
const DENSE_LINES: usize = 2;
const RECORD_LINES: usize = 16;
const DENSE: u32 = 1;

/// What the leaves of the last lookups were like: lines to where a dense one's values end << 16 | lines of the arrays
/// << 1 | dense. Zero means that nothing is known.
#[derive(Debug, Default)]
pub struct LeafHints(AtomicU32);

impl LeafHints {
    /// Returns hints that know what `other` knows.
    #[inline(always)]
    pub fn of(other: &LeafHints) -> LeafHints {
        LeafHints(AtomicU32::new(other.0.load(Relaxed)))
    }

    /// Hands on to `other` what these hints know, if that is news.
    #[inline(always)]
    pub fn tell(&self, other: &LeafHints) {
        let known = self.0.load(Relaxed);
        if known != other.0.load(Relaxed) {
            other.0.store(known, Relaxed);
        }
    }

    /// Prefetches what a lookup in the leaf `page` will need. `fraction` is how far its key lies between the separators
    /// around the leaf, as `PlainChild::fraction` tells.
    #[inline(always)]
    pub fn prefetch<S: Prefetch + ?Sized>(&self, source: &S, page: PageRef, fraction: Option<u32>) {
        let known = self.0.load(Relaxed);
        let lines = (known as u16 >> 1) as usize;
        let Some(fraction) = fraction.filter(|_| known != 0) else {
            return source.prefetch(page, ARRAYS * LINE);
        };
        source.prefetch_at(page, 0, FEW);
        if lines > FEW {
            source.prefetch_at(page, FEW * LINE, lines.min(ARRAYS) - FEW);
        }
        let (size, body) = (source.page_size(), lines * LINE);
        let end = if known & DENSE != 0 {
            (known >> 16) as usize * LINE
        } else {
            size
        };
        let way = (end.saturating_sub(body) * fraction as usize) >> 16;
        // Both lie in the order of their keys: values from behind the arrays on, records so that the last ends where
        // the page does. The window is moved rather than cut at the page's end, because a constant number of lines
        // needs no loop.
        let from = |middle: usize, window: usize| {
            let from = middle.saturating_sub(window * LINE / 2).max(body) & !(LINE - 1);
            from.min(size.saturating_sub(window * LINE))
        };
        if known & DENSE != 0 {
            source.prefetch_at(page, from(body + way, DENSE_LINES), DENSE_LINES);
        } else {
            source.prefetch_at(page, from(body + way, RECORD_LINES), RECORD_LINES);
        }
    }

    /// Takes note of what the leaf `page` is like, which may be damaged.
    #[inline(always)]
    pub fn learn(&self, page: &[u8]) {
        let n = header::count(page);
        if header::kind(page) == header::DENSE {
            self.learn_dense(header::dense_shape(page), n);
        } else {
            self.learn_slotted(n);
        }
    }

    /// Takes note of a slotted leaf of `n` entries.
    #[inline(always)]
    pub fn learn_slotted(&self, n: usize) {
        self.keep(OFFSETS.at(n, n).div_ceil(LINE) as u32, 0, 0);
    }

    /// Takes note of a dense leaf of `n` entries of this shape.
    #[inline(always)]
    pub fn learn_dense(&self, shape: DenseShape, n: usize) {
        let end = shape.end(n).div_ceil(LINE) as u32;
        self.keep(shape.suffix_at(n).div_ceil(LINE) as u32, end, DENSE);
    }

    #[inline(always)]
    fn keep(&self, lines: u32, end: u32, dense: u32) {
        let (now, known) = (end << 16 | lines << 1 | dense, self.0.load(Relaxed));
        // One line more or less is not worth a store that other threads on this transaction would wait for.
        let near = (now as u16).abs_diff(known as u16) <= 2 && (now >> 16).abs_diff(known >> 16) <= 1;
        if !near || (now ^ known) & DENSE != 0 {
            self.0.store(now, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PageNo, TableId};
    use crate::page::hint::recorder::Prefetches;
    use crate::page::leaf::{Leaf, Stored};
    use crate::page::leaf_build::{build_leaf, Entry};
    use crate::page::suffix::{NewPrefix, Suffix};
    use crate::util::hash::fingerprint;

    const LEAF: PageRef = PageRef::placed(PageNo::new(5));

    /// The lines of the leaf that were prefetched.
    fn lines(prefetches: &Prefetches) -> Vec<usize> {
        prefetches.take().iter().map(|(_, at)| at / LINE).collect()
    }

    #[test]
    fn what_one_transaction_learns_the_next_one_knows() {
        let (kept, first) = (LeafHints::default(), LeafHints::default());
        first.learn_slotted(20);
        first.tell(&kept);
        let (second, alone, with) = (LeafHints::of(&kept), Prefetches::default(), Prefetches::default());
        first.prefetch(&alone, LEAF, Some(30_000));
        second.prefetch(&with, LEAF, Some(30_000));
        assert_eq!(lines(&alone), lines(&with));
        assert_ne!(kept.0.load(Relaxed), 0, "nothing was told");
    }

    #[test]
    fn prefetches_the_arrays_and_around_the_value() {
        for (width, value) in [(12, 150), (8, 8)] {
            let keys: Vec<Vec<u8>> = (0..21u64)
                .map(|i| (i << 32).to_be_bytes().repeat(2)[..width].to_vec())
                .collect();
            let value = vec![7; value];
            let entry = |key| Entry {
                suffix: Suffix::of(key),
                fingerprint: fingerprint(key),
                value: Stored::Inline(&value),
            };
            let entries: Vec<Entry<'_>> = keys.iter().map(|key| entry(key)).collect();
            let mut page = vec![0; 4096];
            build_leaf(&mut page, TableId::MAIN, NewPrefix::of(b"", 0), &entries);
            let leaf = Leaf::new(&page, PageRef::UNKNOWN).expect("a leaf");
            let (hints, prefetches) = (LeafHints::default(), Prefetches::default());
            hints.prefetch(&prefetches, LEAF, Some(100));
            assert_eq!(
                lines(&prefetches),
                (0..ARRAYS).collect::<Vec<_>>(),
                "nothing is known yet"
            );
            hints.learn(&page);
            hints.prefetch(&prefetches, LEAF, None);
            assert_eq!(
                lines(&prefetches),
                (0..ARRAYS).collect::<Vec<_>>(),
                "nothing is known of the key"
            );
            for fraction in [0, 1, 20_000, 40_000, 65_535] {
                hints.prefetch(&prefetches, LEAF, Some(fraction));
                let lines = lines(&prefetches);
                assert!(lines.contains(&0) && lines.iter().all(|line| *line < 64), "{lines:?}");
            }
            if !leaf.is_dense() {
                // Records of a full leaf, evenly spread: the one in the middle begins in the middle of the page.
                hints.prefetch(&prefetches, LEAF, Some(1 << 15));
                let at = leaf.record(10).expect("a record").at;
                assert!(lines(&prefetches).contains(&(at / LINE)), "{at}");
            }
        }
    }
}
