//! Prefetching a branch above leaves, and the way to one of its leaves, before the branch is read.
//!
//! In a tree larger than the caches a lookup waits four times: for the heads of the branch above the leaf, for the
//! child's page number behind them, for the page table's entry of the leaf, and for the leaf. How far the key lies
//! between the separators around the branch says which child it will probably be, as it does in a leaf
//! ([`super::leaf`]). Where a tree was loaded or copied, its leaves lie one behind the other in the file, so the
//! child's number says where the leaf is. That is not exact enough to prefetch the leaf, but it is enough for the line
//! of the page table that its entry is in: such a line has the entries of eight neighbouring pages, and reading any of
//! them brings it.
//!
//! What is known of a branch is learnt from lookups that went through it, and is kept by its page number in a table
//! that never grows. An entry of the table may be that of another branch, or of an older one. Only hints rest on it.

use super::Prefetch;
use crate::ids::{PageNo, PageRef, U48_MAX};
use crate::page::layout::branch::{CHECKSUMS, PAGES};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The number of branches of which something can be known: those of some 70 million entries of 170 bytes.
pub const BRANCHES: usize = 1 << 15;
/// The number of bytes worth prefetching of a branch of which nothing is known: header, heads, the first page numbers.
pub const BRANCH_AHEAD: usize = 512;
const LINE: usize = 64;
/// Lines of page numbers and of checksums that are prefetched around the expected child. With 110 children the
/// expectation is off by 5 at most in two of three lookups. A page number has 6 bytes, a checksum 4.
const PAGE_LINES: usize = 3;
const CHECKSUM_LINES: usize = 2;
/// Pages whose page-table entries share a cache line.
const SHARED: u64 = 8;
/// The bit of an entry that says that two lookups agreed about where the leaves begin.
const CONFIRMED: u64 = 1 << 63;
/// A difference of so many pages counts as agreement: leaves that were changed lie elsewhere, and were not counted.
const NEAR: u64 = 4;

/// For each branch the page where its leaves begin, if they follow each other in the file; above 48 bits, its number of
/// children.
#[derive(Debug, Clone, Copy, Default)]
pub struct BranchHints<'a>(&'a [AtomicU64]);

impl<'a> BranchHints<'a> {
    /// Views `table` as hints. The table begins as [`BRANCHES`] zeros.
    #[inline(always)]
    pub fn new(table: &'a [AtomicU64]) -> BranchHints<'a> {
        BranchHints(table)
    }

    #[inline(always)]
    fn of(&self, branch: PageRef) -> Option<&'a AtomicU64> {
        self.0.get(branch.number().get() as usize % BRANCHES)
    }

    /// Prefetches what a lookup will need of `branch`, and of the way to the leaf below it. `fraction` is how far its
    /// key lies between the separators around the branch, as `PlainChild::fraction` tells.
    #[inline(always)]
    pub fn prefetch<S: Prefetch + ?Sized>(&self, source: &S, branch: PageRef, fraction: Option<u32>) {
        source.prefetch(branch, BRANCH_AHEAD);
        let known = self.of(branch).map_or(0, |entry| entry.load(Relaxed));
        let (Some(fraction), true) = (fraction, known != 0) else {
            return;
        };
        let n = (known >> 48) as usize & 0x7FFF;
        let i = (n * fraction as usize) >> 16;
        let around = |at: usize, lines: usize| at.saturating_sub(LINE * (lines - 1) / 2) & !(LINE - 1);
        source.prefetch_at(branch, around(PAGES.at(n, i), PAGE_LINES), PAGE_LINES);
        source.prefetch_at(branch, around(CHECKSUMS.at(n, i), CHECKSUM_LINES), CHECKSUM_LINES);
        if known & CONFIRMED != 0 {
            let leaf = (known & U48_MAX) + i as u64;
            for page in [leaf.saturating_sub(SHARED), leaf, leaf + SHARED] {
                source.prefetch_at(PageNo::new(page).into(), 0, 1);
            }
        }
    }

    /// Takes note that child `i` of the `n` of `branch` is the leaf `leaf`.
    #[inline(always)]
    pub fn learn(&self, branch: PageRef, n: usize, i: usize, leaf: PageRef) {
        let Some(entry) = self.of(branch) else { return };
        let known = entry.load(Relaxed);
        let first = leaf.number().get().saturating_sub(i as u64) & U48_MAX;
        let near = (known & U48_MAX).abs_diff(first) <= NEAR;
        let shape = (n as u64 & 0x7FFF) << 48;
        let now = match (near, known & CONFIRMED != 0) {
            (true, _) => known & U48_MAX | shape | CONFIRMED,
            // The lookups disagree, but this leaf may be the only one that lies elsewhere.
            (false, true) => known & U48_MAX | shape,
            (false, false) => first | shape,
        };
        if now != known {
            entry.store(now, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::hint::recorder::Prefetches;

    fn prefetched(hints: &BranchHints<'_>, branch: u64, fraction: Option<u32>) -> Vec<(u64, usize)> {
        let prefetches = Prefetches::default();
        hints.prefetch(&prefetches, PageNo::new(branch).into(), fraction);
        let lines = prefetches.take().into_iter();
        lines.map(|(page, at)| (page.number().get(), at)).collect()
    }

    fn learn(hints: &BranchHints<'_>, branch: u64, n: usize, i: usize, leaf: u64) {
        hints.learn(PageNo::new(branch).into(), n, i, PageNo::new(leaf).into());
    }

    fn leaves(lines: &[(u64, usize)], branch: u64) -> Vec<u64> {
        lines.iter().map(|line| line.0).filter(|page| *page != branch).collect()
    }

    #[test]
    fn a_branch_seen_twice_tells_where_its_leaves_are() {
        let table: Vec<AtomicU64> = (0..BRANCHES).map(|_| AtomicU64::new(0)).collect();
        let hints = BranchHints::new(&table);
        let blind = prefetched(&hints, 900, Some(1 << 15));
        assert_eq!(blind.len(), BRANCH_AHEAD / LINE, "nothing is known yet");
        learn(&hints, 900, 110, 20, 5020);
        let once = prefetched(&hints, 900, Some(1 << 15));
        assert!(leaves(&once, 900).is_empty(), "one leaf is no run of leaves");
        // Child 55: its page number and its sum.
        for at in [PAGES.at(110, 55), CHECKSUMS.at(110, 55)] {
            assert!(once.contains(&(900, at & !(LINE - 1))), "{at}: {once:?}");
        }
        learn(&hints, 900, 110, 70, 5071);
        assert_eq!(leaves(&prefetched(&hints, 900, Some(1 << 15)), 900), [5047, 5055, 5063]);
        assert_eq!(prefetched(&hints, 900, None), blind, "nothing is known of the key");
        assert_eq!(
            prefetched(&hints, 901, Some(1 << 15)).len(),
            blind.len(),
            "another branch"
        );
    }

    #[test]
    fn leaves_that_lie_about_are_not_prefetched() {
        let table: Vec<AtomicU64> = (0..BRANCHES).map(|_| AtomicU64::new(0)).collect();
        let hints = BranchHints::new(&table);
        for i in 0..100 {
            learn(&hints, 7, 110, i, 1000 + (i as u64 * 7919) % 5000);
            assert!(leaves(&prefetched(&hints, 7, Some(1000)), 7).is_empty(), "after {i}");
        }
        // One behind the other, but for some that were changed since.
        for i in 0..100 {
            learn(&hints, 7, 110, i, if i % 10 == 9 { 40_000 } else { 2000 + i as u64 });
        }
        learn(&hints, 7, 110, 0, 2000);
        assert_eq!(leaves(&prefetched(&hints, 7, Some(0)), 7), [1992, 2000, 2008]);
    }

    #[test]
    fn what_cannot_be_is_no_danger() {
        let table: Vec<AtomicU64> = (0..BRANCHES).map(|_| AtomicU64::new(u64::MAX)).collect();
        let hints = BranchHints::new(&table);
        prefetched(&hints, u64::MAX, Some(u32::from(u16::MAX)));
        learn(&hints, u64::MAX, usize::MAX, usize::MAX, u64::MAX);
        learn(&hints, 3, 0, 5, 1);
        prefetched(&hints, 3, Some(5));
        assert_eq!(
            prefetched(&BranchHints::new(&[]), 3, Some(5)).len(),
            BRANCH_AHEAD / LINE
        );
    }
}
