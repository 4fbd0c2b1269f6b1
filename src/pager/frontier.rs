//! A transaction that takes pages only before a certain page, so that the end of the file can come free.
//!
//! The frontier is kept as long as pages are free before it. Whoever sets it counts them first
//! ([`PageWriter::free_before_frontier`]), and takes no more than there are. Should there be none nevertheless, pages
//! come from where they would come without a frontier: the commit is worth more than the end of the file.

use super::core::Pager;
use super::page_writer::PageWriter;
use crate::ids::{CommitId, PageNo, Run};
use std::sync::atomic::Ordering::SeqCst;

/// How many holes are looked at for one before the frontier, each time tree pages are taken. Behind it there may be
/// very many.
const HOLES_MAX: usize = 256;
/// Where no hole takes all tree pages that are wanted, the smallest is taken that has so many: longer ones are left to
/// long values, which need one that takes all of their pages.
const GOOD: [u64; 2] = [64, 16];

/// A wish of those who compact the file is forgotten after so many commits: each of their steps says it again, so
/// whoever had it was killed.
const COMMITS_KEPT: u64 = 1 << 16;
/// The bits of the word that are a page. The others are those of a commit, as many as there are.
const PAGE_BITS: u32 = 40;

/// Returns the word that has pages taken before `frontier`, said when `newest` was the newest commit.
fn word_of(frontier: PageNo, newest: CommitId) -> u64 {
    debug_assert!(frontier.get() >> PAGE_BITS == 0, "a page of the file");
    frontier.get() | newest.get() << PAGE_BITS
}

/// Returns the page before which pages are to be taken, unless that was said too long before `newest`.
fn frontier_of(word: u64, newest: CommitId) -> Option<PageNo> {
    let since = (newest.get() << PAGE_BITS).wrapping_sub(word >> PAGE_BITS << PAGE_BITS) >> PAGE_BITS;
    let page = word & ((1 << PAGE_BITS) - 1);
    (page > 0 && since <= COMMITS_KEPT).then_some(PageNo::new(page))
}

impl Pager {
    /// Has all who write take pages before this one, as long as any are free there: what lies behind it is being moved.
    /// Without a page, they take them anywhere again.
    pub fn set_frontier(&self, frontier: Option<PageNo>) {
        let newest = self.shared.tip().get().id;
        let word = frontier.map_or(0, |frontier| word_of(frontier, newest));
        self.shared.frontier().store(word, SeqCst);
    }
}

impl PageWriter {
    /// Takes pages where those who compact the file want them to be taken, if there are any. If nothing is free there,
    /// or many commits were made since, that wish is forgotten: whoever had it may have been killed, and who is there
    /// says it again.
    pub(super) fn follow_frontier(&mut self) {
        let word = self.pager.shared.frontier();
        let said = word.load(SeqCst);
        if said == 0 {
            return;
        }
        let pool = &self.state.space.pool;
        let frontier = frontier_of(said, self.state.tip.id).filter(|frontier| pool.total_before(*frontier, 1) > 0);
        match frontier {
            None => {
                let _ = word.compare_exchange(said, 0, SeqCst, SeqCst);
            }
            Some(frontier) => self.frontier = Some(frontier),
        }
    }

    /// Takes pages before `frontier` from now on, as long as any are free there.
    pub fn take_before(&mut self, frontier: PageNo) {
        self.frontier = Some(frontier);
    }

    /// Returns how many pages are known to be free before the frontier. Where they are more than `most`, and more than
    /// the longest run of them has, not all of them are counted.
    pub fn free_before_frontier(&self, most: u64) -> u64 {
        let (pool, frontier) = (&self.state.space.pool, self.frontier.unwrap_or(PageNo::END));
        let largest = pool.largest_before(frontier, usize::MAX).map_or(0, |run| run.pages);
        pool.total_before(frontier, most.saturating_add(largest))
    }

    /// Returns whether another zone may have free pages before the frontier, of which fewer than `wanted` are known.
    pub(super) fn may_know_more(&self, wanted: u64) -> bool {
        let space = &self.state.space;
        match self.frontier {
            None => space.pool.total() < wanted,
            Some(frontier) => space.is_unloaded_before(frontier) && space.pool.total_before(frontier, wanted) < wanted,
        }
    }

    /// Returns a hole before the frontier for up to `want` tree pages, if there is a frontier: the smallest one that
    /// takes all of them, or a good one, or the longest.
    pub(super) fn hole_before_frontier(&self, want: u64) -> Option<Run> {
        let (pool, frontier) = (&self.state.space.pool, self.frontier?);
        let mut lengths = std::iter::once(want).chain(GOOD).filter(|pages| *pages <= want);
        let good = lengths.find_map(|pages| pool.best_fit_before(pages, frontier, HOLES_MAX));
        let hole = good.or_else(|| pool.largest_before(frontier, HOLES_MAX))?;
        Some(Run::new(hole.first, hole.pages.min(want).min(frontier - hole.first)))
    }

    /// Returns a hole of so many pages before the frontier, if there is a frontier.
    pub(super) fn exact_hole_before_frontier(&self, pages: u64) -> Option<Run> {
        let hole = self
            .state
            .space
            .pool
            .best_fit_before(pages, self.frontier?, usize::MAX)?;
        Some(Run::new(hole.first, pages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pager::shrink::testing::{pager, writer};

    #[test]
    fn a_frontier_is_followed_for_so_many_commits() {
        let page = PageNo::new((1 << PAGE_BITS) - 1);
        for said in [1, 77, 1 << 24, (1 << 30) - 1] {
            let word = word_of(page, CommitId::new(said));
            for (since, expected) in [(0, Some(page)), (COMMITS_KEPT, Some(page)), (COMMITS_KEPT + 1, None)] {
                assert_eq!(
                    frontier_of(word, CommitId::new(said + since)),
                    expected,
                    "{said} {since}"
                );
            }
        }
        assert_eq!(frontier_of(0, CommitId::new(5)), None);
    }

    #[test]
    fn the_frontier_of_one_who_was_killed_is_forgotten() {
        let pager = pager();
        let newest = pager.shared.tip().get().id;
        let followed = |word: u64| {
            let mut writer = writer(&pager, &[(100, 50)]);
            pager.shared.frontier().store(word, SeqCst);
            writer.frontier = None;
            writer.follow_frontier();
            (writer.frontier, pager.shared.frontier().load(SeqCst))
        };
        let (page, long_ago) = (
            PageNo::new(120),
            CommitId::new(newest.get() + (1 << 24) - COMMITS_KEPT - 1),
        );
        let word = word_of(page, newest);
        assert_eq!(followed(word), (Some(page), word));
        assert_eq!(followed(word_of(page, long_ago)), (None, 0));
        // Nothing is free before it.
        assert_eq!(followed(word_of(PageNo::new(100), newest)), (None, 0));
    }
}
