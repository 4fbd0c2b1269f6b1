//! Asking memory for a branch above leaves and for one of its leaves, before the branch was read.
//!
//! In a tree larger than the caches a lookup waits three times: for the branch above the leaf (twice: for its heads, and
//! for the child's page number behind them), for the page table's entry of the leaf, and for the leaf. How far the key lies
//! between the separators around the branch says which child it will be, as it does in a leaf ([`super::guess`]). And where
//! trees were loaded or copied their leaves lie in a row, so that the child's number says about where in the file: not
//! exactly enough to ask for the leaf, but enough to ask for the line of the page table that its entry is in, since one such
//! line is that of eight pages side by side: whatever is read of any of them brings it.
//!
//! What is known of a branch is learnt from lookups that went through it, and kept by its page number in a table that never
//! grows. It may be that of another branch, or of an older one: only hints rest on it.

use super::Prefetch;
use crate::ids::{PageNo, PageRef, U48_MAX};
use crate::page::layout::branch::{CHECKSUMS, PAGES};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Branches of which something is known: those of some 70 million entries of 170 bytes.
pub const ROWS: usize = 1 << 15;
/// Bytes of a branch of which nothing is known that are worth asking for: header, heads, the first page numbers.
pub const BRANCH_AHEAD: usize = 512;
const LINE: usize = 64;
/// Lines of the page numbers and of the sums that are asked for around the place guessed: with 110 children the guess is
/// wrong by 5 at most in two of three lookups, and a page number has 6 bytes, a sum 4.
const NUMBER_LINES: usize = 3;
const SUM_LINES: usize = 2;
/// Pages whose page-table entries share a cache line.
const SHARED: u64 = 8;
/// Two lookups found the leaves at the same place.
const SURE: u64 = 1 << 63;
/// So many pages more or less are the same place: leaves that were changed lie elsewhere, and were not counted.
const NEAR: u64 = 4;

/// For each branch the page where its leaves begin, if they lie in a row; above 48 bits, its number of children.
#[derive(Debug, Clone, Copy, Default)]
pub struct BranchHints<'a>(&'a [AtomicU64]);

impl<'a> BranchHints<'a> {
    /// What `table` tells, which begins as [`ROWS`] zeros.
    #[inline(always)]
    pub fn new(table: &'a [AtomicU64]) -> BranchHints<'a> {
        BranchHints(table)
    }

    #[inline(always)]
    fn of(&self, branch: PageRef) -> Option<&'a AtomicU64> {
        self.0.get(branch.number().get() as usize % ROWS)
    }

    /// Asks memory for what a lookup will need of `branch`, and for what it needs to reach the leaf below it. `fraction`: how
    /// far its key lies between the separators around the branch, as `Branch::fraction` tells.
    #[inline(always)]
    pub fn ask<S: Prefetch + ?Sized>(&self, source: &S, branch: PageRef, fraction: Option<u32>) {
        source.prefetch(branch, BRANCH_AHEAD);
        let known = self.of(branch).map_or(0, |row| row.load(Relaxed));
        let (Some(fraction), true) = (fraction, known != 0) else {
            return;
        };
        let n = (known >> 48) as usize & 0x7FFF;
        let i = (n * fraction as usize) >> 16;
        let around = |at: usize, lines: usize| at.saturating_sub(LINE * (lines - 1) / 2) & !(LINE - 1);
        source.prefetch_at(branch, around(PAGES.at(n, i), NUMBER_LINES), NUMBER_LINES);
        source.prefetch_at(branch, around(CHECKSUMS.at(n, i), SUM_LINES), SUM_LINES);
        if known & SURE != 0 {
            let leaf = (known & U48_MAX) + i as u64;
            for page in [leaf.saturating_sub(SHARED), leaf, leaf + SHARED] {
                source.prefetch_at(PageNo::new(page).into(), 0, 1);
            }
        }
    }

    /// Takes note that child `i` of the `n` of `branch` is the leaf `leaf`.
    #[inline(always)]
    pub fn learn(&self, branch: PageRef, n: usize, i: usize, leaf: PageRef) {
        let Some(row) = self.of(branch) else { return };
        let known = row.load(Relaxed);
        let first = leaf.number().get().saturating_sub(i as u64) & U48_MAX;
        let near = (known & U48_MAX).abs_diff(first) <= NEAR;
        let shape = (n as u64 & 0x7FFF) << 48;
        let now = match (near, known & SURE != 0) {
            (true, _) => known & U48_MAX | shape | SURE,
            // One leaf elsewhere: it may be the only one.
            (false, true) => known & U48_MAX | shape,
            (false, false) => first | shape,
        };
        if now != known {
            row.store(now, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::hint::recorder::Asked;

    fn asked(rows: &BranchHints<'_>, branch: u64, fraction: Option<u32>) -> Vec<(u64, usize)> {
        let asked = Asked::default();
        rows.ask(&asked, PageNo::new(branch).into(), fraction);
        let asked = asked.take().into_iter();
        asked.map(|(page, at)| (page.number().get(), at)).collect()
    }

    fn learn(rows: &BranchHints<'_>, branch: u64, n: usize, i: usize, leaf: u64) {
        rows.learn(PageNo::new(branch).into(), n, i, PageNo::new(leaf).into());
    }

    fn leaves(asked: &[(u64, usize)], branch: u64) -> Vec<u64> {
        asked.iter().map(|a| a.0).filter(|page| *page != branch).collect()
    }

    #[test]
    fn a_branch_seen_twice_tells_where_its_leaves_are() {
        let table: Vec<AtomicU64> = (0..ROWS).map(|_| AtomicU64::new(0)).collect();
        let rows = BranchHints::new(&table);
        let blind = asked(&rows, 900, Some(1 << 15));
        assert_eq!(blind.len(), BRANCH_AHEAD / LINE, "nothing is known yet");
        learn(&rows, 900, 110, 20, 5020);
        let once = asked(&rows, 900, Some(1 << 15));
        assert!(leaves(&once, 900).is_empty(), "one leaf makes no row");
        // Child 55: its page number and its sum.
        for at in [PAGES.at(110, 55), CHECKSUMS.at(110, 55)] {
            assert!(once.contains(&(900, at & !(LINE - 1))), "{at}: {once:?}");
        }
        learn(&rows, 900, 110, 70, 5071);
        assert_eq!(leaves(&asked(&rows, 900, Some(1 << 15)), 900), [5047, 5055, 5063]);
        assert_eq!(asked(&rows, 900, None), blind, "nothing is known of the key");
        assert_eq!(asked(&rows, 901, Some(1 << 15)).len(), blind.len(), "another branch");
    }

    #[test]
    fn leaves_that_lie_about_are_not_asked_for() {
        let table: Vec<AtomicU64> = (0..ROWS).map(|_| AtomicU64::new(0)).collect();
        let rows = BranchHints::new(&table);
        for i in 0..100 {
            learn(&rows, 7, 110, i, 1000 + (i as u64 * 7919) % 5000);
            assert!(leaves(&asked(&rows, 7, Some(1000)), 7).is_empty(), "after {i}");
        }
        // In a row, but for some that were changed since.
        for i in 0..100 {
            learn(&rows, 7, 110, i, if i % 10 == 9 { 40_000 } else { 2000 + i as u64 });
        }
        learn(&rows, 7, 110, 0, 2000);
        assert_eq!(leaves(&asked(&rows, 7, Some(0)), 7), [1992, 2000, 2008]);
    }

    #[test]
    fn what_cannot_be_is_no_danger() {
        let table: Vec<AtomicU64> = (0..ROWS).map(|_| AtomicU64::new(u64::MAX)).collect();
        let rows = BranchHints::new(&table);
        asked(&rows, u64::MAX, Some(u32::from(u16::MAX)));
        learn(&rows, u64::MAX, usize::MAX, usize::MAX, u64::MAX);
        learn(&rows, 3, 0, 5, 1);
        asked(&rows, 3, Some(5));
        assert_eq!(asked(&BranchHints::new(&[]), 3, Some(5)).len(), BRANCH_AHEAD / LINE);
    }
}
