//! Sets of pages as runs, found by address (to merge neighbours) and by size (best fit).

use super::page_map::PageMap;
use std::collections::BTreeSet;

/// Runs of fewer pages are found by size in maps of their own: nearly all are so short.
const SHORT: usize = 16;

/// A set of pages: disjoint runs that never touch.
#[derive(Debug, Default, Clone)]
pub(in crate::pager) struct Ranges {
    /// Pages of each run.
    by_page: PageMap<u64>,
    short: [PageMap<()>; SHORT],
    /// (pages, first page) of longer ones.
    long: BTreeSet<(u64, u64)>,
    total: u64,
}

impl Ranges {
    /// Pages in the set.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Every run (page, pages), ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.by_page.range(0, u64::MAX)
    }

    /// Takes everything out.
    pub fn clear(&mut self) {
        self.by_page.clear();
        self.short.iter_mut().for_each(PageMap::clear);
        self.long.clear();
        self.total = 0;
    }

    /// Adds pages; those already in the set stay.
    pub fn insert(&mut self, page: u64, pages: u64) {
        if pages == 0 {
            return;
        }
        let (mut from, mut to) = (page, page + pages);
        // Every run that overlaps or touches becomes a part of it.
        while let Some((run, len)) = self.by_page.before(to + 1) {
            if run + len < from {
                break;
            }
            self.take_out(run, len);
            (from, to) = (from.min(run), to.max(run + len));
        }
        self.put_in(from, to - from);
    }

    /// Removes pages, whether they are in the set or not.
    pub fn remove(&mut self, page: u64, pages: u64) {
        let end = page + pages;
        while let Some((from, len)) = self.by_page.before(end) {
            if from + len <= page {
                break;
            }
            self.take_out(from, len);
            if from + len > end {
                self.put_in(end, from + len - end);
            }
            if from < page {
                self.put_in(from, page - from);
                break;
            }
        }
    }

    /// Whether all of these pages are in the set.
    pub fn contains(&self, page: u64, pages: u64) -> bool {
        let run = self.by_page.before(page + 1);
        run.is_some_and(|(from, len)| page.saturating_add(pages) <= from + len)
    }

    /// The run that holds `page`.
    pub fn run_of(&self, page: u64) -> Option<(u64, u64)> {
        self.by_page.before(page + 1).filter(|(from, len)| page < from + len)
    }

    /// The smallest run of at least `want` pages.
    pub fn best_fit(&self, want: u64) -> Option<(u64, u64)> {
        let from = want.min(SHORT as u64) as usize;
        let mut short = self.short.iter().enumerate().skip(from);
        let found = short.find_map(|(pages, runs)| Some((runs.from(0)?.0, pages as u64)));
        found.or_else(|| self.long.range((want, 0)..).next().map(|(pages, page)| (*page, *pages)))
    }

    /// The last run.
    pub fn last(&self) -> Option<(u64, u64)> {
        self.by_page.before(u64::MAX)
    }

    /// The longest run.
    pub fn largest(&self) -> Option<(u64, u64)> {
        let long = self.long.last().map(|(pages, page)| (*page, *pages));
        let mut short = self.short.iter().enumerate().rev();
        long.or_else(|| short.find_map(|(pages, runs)| Some((runs.before(u64::MAX)?.0, pages as u64))))
    }

    fn put_in(&mut self, page: u64, pages: u64) {
        self.by_page.insert(page, pages);
        match self.short.get_mut(pages as usize) {
            Some(runs) => runs.insert(page, ()),
            None => drop(self.long.insert((pages, page))),
        }
        self.total += pages;
    }

    fn take_out(&mut self, page: u64, pages: u64) {
        self.by_page.remove(page);
        match self.short.get_mut(pages as usize) {
            Some(runs) => runs.remove(page),
            None => drop(self.long.remove(&(pages, page))),
        }
        self.total -= pages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::Random;
    use std::collections::BTreeSet;

    #[test]
    fn runs_follow_a_plain_set() {
        let mut random = Random::new(5);
        let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let (page, pages) = (random.below(200), random.below(12) + 1);
            if random.one_in(2) {
                ranges.insert(page, pages);
                model.extend(page..page + pages);
            } else {
                ranges.remove(page, pages);
                model.retain(|p| !(page..page + pages).contains(p));
            }
            assert_eq!(ranges.total(), model.len() as u64);
            assert_eq!(
                ranges.contains(page, pages),
                (page..page + pages).all(|p| model.contains(&p))
            );
            let all: Vec<u64> = ranges.iter().flat_map(|(p, n)| p..p + n).collect();
            assert!(all.iter().eq(model.iter()));
            let runs: Vec<_> = ranges.iter().collect();
            assert!(
                runs.windows(2).all(|w| w[0].0 + w[0].1 < w[1].0),
                "runs that touch are one"
            );
            let want = random.below(9) + 1;
            let best = runs.iter().filter(|r| r.1 >= want).map(|r| r.1).min();
            assert_eq!(ranges.best_fit(want).map(|r| r.1), best);
            assert_eq!(ranges.largest().map(|r| r.1), runs.iter().map(|r| r.1).max());
        }
    }
}
