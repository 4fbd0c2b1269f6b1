//! A transaction that takes pages only before a certain page, so that the end of the file can come free.
//!
//! The limit is kept as long as pages are free before it. Whoever sets it counts them first
//! ([`PageWriter::free_before_limit`]), and takes no more than there are. Should there be none nevertheless, pages come
//! from where they would come without a limit: the commit is worth more than the end of the file.

use super::core::Pager;
use super::page_writer::PageWriter;
use crate::ids::{PageNo, Run};
use std::sync::atomic::Ordering::SeqCst;

/// How many holes are looked at for one before the limit, each time tree pages are taken. Behind it there may be very
/// many.
const LOOKS: usize = 256;
/// Where no hole takes all tree pages that are wanted, the smallest is taken that has so many: longer ones are left to
/// long values, which need one that takes all of their pages.
const GOOD: [u64; 2] = [64, 16];

impl Pager {
    /// Has all who write take pages before this one, as long as any are free there: what lies behind it is being moved.
    /// Without a page, they take them anywhere again.
    pub fn set_frontier(&self, frontier: Option<PageNo>) {
        let word = frontier.map_or(0, PageNo::get);
        self.shared.frontier().store(word, SeqCst);
    }
}

impl PageWriter {
    /// Takes pages where those who compact the file want them to be taken, if there are any. If nothing is free there,
    /// that wish is forgotten: whoever had it may have been killed, and who is there says it again.
    pub(super) fn follow_frontier(&mut self) {
        let word = self.pager.shared.frontier();
        let frontier = word.load(SeqCst);
        if frontier == 0 {
            return;
        }
        let limit = PageNo::new(frontier);
        match self.state.space.pool.total_before(limit, 1) {
            0 => {
                let _ = word.compare_exchange(frontier, 0, SeqCst, SeqCst);
            }
            _ => self.limit = Some(limit),
        }
    }

    /// Takes pages before `limit` from now on, as long as any are free there.
    pub fn take_before(&mut self, limit: PageNo) {
        self.limit = Some(limit);
    }

    /// Returns how many pages are known to be free before the limit. Where they are more than `most`, and more than
    /// the longest run of them has, not all of them are counted.
    pub fn free_before_limit(&self, most: u64) -> u64 {
        let (pool, limit) = (&self.state.space.pool, self.limit.unwrap_or(PageNo::END));
        let largest = pool.largest_before(limit, usize::MAX).map_or(0, |run| run.pages);
        pool.total_before(limit, most.saturating_add(largest))
    }

    /// Returns whether another zone may have free pages before the limit, of which fewer than `wanted` are known.
    pub(super) fn may_know_more(&self, wanted: u64) -> bool {
        let space = &self.state.space;
        match self.limit {
            None => space.pool.total() < wanted,
            Some(limit) => space.is_unloaded_before(limit) && space.pool.total_before(limit, wanted) < wanted,
        }
    }

    /// Returns a hole before the limit for up to `want` tree pages, if there is a limit: the smallest one that takes
    /// all of them, or a good one, or the longest.
    pub(super) fn hole_before_limit(&self, want: u64) -> Option<Run> {
        let (pool, limit) = (&self.state.space.pool, self.limit?);
        let mut lengths = std::iter::once(want).chain(GOOD).filter(|pages| *pages <= want);
        let good = lengths.find_map(|pages| pool.best_fit_before(pages, limit, LOOKS));
        let hole = good.or_else(|| pool.largest_before(limit, LOOKS))?;
        Some(Run::new(hole.first, hole.pages.min(want).min(limit - hole.first)))
    }

    /// Returns a hole of so many pages before the limit, if there is a limit.
    pub(super) fn exact_hole_before_limit(&self, pages: u64) -> Option<Run> {
        let hole = self.state.space.pool.best_fit_before(pages, self.limit?, usize::MAX)?;
        Some(Run::new(hole.first, pages))
    }
}
