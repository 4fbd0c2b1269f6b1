//! Sets of pages as runs, which are found by address (to join neighbours) and by size (best fit).

use super::page_map::PageMap;
use crate::ids::{PageNo, Run};
use crate::util::bytes::to_usize;
use std::collections::BTreeSet;

/// Runs of fewer pages are found by size in maps of their own, because nearly all runs are so short.
const SHORT: usize = 16;

/// A set of pages, as disjoint runs that never touch.
#[derive(Debug, Default, Clone)]
pub(in crate::pager) struct RunSet {
    /// The number of pages of each run, by its first page.
    by_page: PageMap<u64>,
    /// The first pages of the runs of 0, 1, 2 ... pages. A set that never had a short run has no maps.
    short: Vec<PageMap<()>>,
    /// The longer runs, as their number of pages and their first page.
    long: BTreeSet<(u64, PageNo)>,
    total: u64,
    /// Whether runs are missing in one of the maps. It is kept here, because commits ask often.
    incomplete: bool,
}

fn run((first, pages): (PageNo, u64)) -> Run {
    Run { first, pages }
}

impl RunSet {
    /// Returns whether runs are missing, because there was no memory when they were put in.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Returns the number of pages in the set.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Returns every run, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.by_page.iter().map(run)
    }

    /// Adds pages. Those that are in the set already stay.
    pub fn insert(&mut self, new: Run) {
        if new.pages == 0 {
            return;
        }
        let (mut first, mut end) = (new.first, new.end());
        // Every run that overlaps or touches the new one becomes a part of it.
        while let Some(other) = self.by_page.before(end + 1).map(run) {
            if other.end() < first {
                break;
            }
            self.take_out(other);
            (first, end) = (first.min(other.first), end.max(other.end()));
        }
        self.put_in(Run::new(first, end - first));
    }

    /// Removes pages. They need not be in the set.
    pub fn remove(&mut self, old: Run) {
        let end = old.end();
        while let Some(other) = self.by_page.before(end).map(run) {
            if other.end() <= old.first {
                break;
            }
            self.take_out(other);
            if other.end() > end {
                self.put_in(Run::new(end, other.end() - end));
            }
            if other.first < old.first {
                self.put_in(Run::new(other.first, old.first - other.first));
                break;
            }
        }
    }

    /// Returns whether all of these pages are in the set.
    pub fn contains(&self, pages: Run) -> bool {
        let around = self.by_page.before(pages.first + 1).map(run);
        around.is_some_and(|run| pages.checked_end().is_some_and(|end| end <= run.end()))
    }

    /// Returns the run that holds `page`.
    pub fn run_of(&self, page: PageNo) -> Option<Run> {
        self.by_page.before(page + 1).map(run).filter(|run| page < run.end())
    }

    /// Returns the smallest run of at least `want` pages.
    pub fn best_fit(&self, want: u64) -> Option<Run> {
        let from = want.min(SHORT as u64) as usize;
        let mut short = self.short.iter().enumerate().skip(from);
        let found = short.find_map(|(pages, runs)| Some(Run::new(runs.from(PageNo::default())?.0, pages as u64)));
        let mut long = self.long.range((want, PageNo::default())..);
        found.or_else(|| long.next().map(|&(pages, first)| Run { first, pages }))
    }

    /// Returns the last run.
    pub fn last(&self) -> Option<Run> {
        self.by_page.before(PageNo::END).map(run)
    }

    /// Returns the longest run.
    pub fn largest(&self) -> Option<Run> {
        let long = self.long.last().map(|&(pages, first)| Run { first, pages });
        let mut short = self.short.iter().enumerate().rev();
        long.or_else(|| short.find_map(|(pages, runs)| Some(Run::new(runs.before(PageNo::END)?.0, pages as u64))))
    }

    /// Returns a run of which at least `want` pages lie before `end`: the smallest of those that have so many, if it is
    /// among the `looks` smallest of all that have.
    pub fn best_fit_before(&self, want: u64, end: PageNo, looks: usize) -> Option<Run> {
        let fits = |first: &PageNo| first.checked_add(want).is_some_and(|needed| needed <= end);
        let from = want.min(SHORT as u64) as usize;
        let mut short = self.short.iter().enumerate().skip(from);
        let found = short.find_map(|(pages, runs)| {
            let (first, ()) = runs.from(PageNo::default())?;
            fits(&first).then_some(Run::new(first, pages as u64))
        });
        let mut long = self.long.range((want, PageNo::default())..).take(looks);
        found.or_else(|| {
            let found = long.find(|(_, first)| fits(first));
            found.map(|&(pages, first)| Run { first, pages })
        })
    }

    /// Returns what lies before `end` of the longest run there, if it is one of the `looks` longest of all. If it is
    /// not, returns some run before `end`.
    pub fn largest_before(&self, end: PageNo, looks: usize) -> Option<Run> {
        let before = |run: Run| {
            let pages = end.checked_sub(run.first).filter(|pages| *pages > 0)?;
            Some(Run::new(run.first, run.pages.min(pages)))
        };
        let long = self.long.iter().rev().take(looks);
        let long = long.filter_map(|&(pages, first)| before(Run { first, pages }));
        let short = self.short.iter().enumerate().rev();
        let short = short.filter_map(|(pages, runs)| before(Run::new(runs.from(PageNo::default())?.0, pages as u64)));
        // One run at most goes on behind the end, and may be short before it.
        let largest = long.chain(short).take(2).max_by_key(|run| run.pages);
        largest.or_else(|| self.by_page.from(PageNo::default()).map(run).and_then(before))
    }

    /// Returns how many pages of the set lie before `end`, counted up to `most` or a little more.
    pub fn total_before(&self, end: PageNo, most: u64) -> u64 {
        let mut total = 0;
        for run in self.by_page.range(PageNo::default()..end).map(run) {
            total += run.pages.min(end - run.first);
            if total >= most {
                break;
            }
        }
        total
    }

    fn put_in(&mut self, run: Run) {
        self.by_page.insert(run.first, run.pages);
        if run.pages >= SHORT as u64 {
            self.long.insert((run.pages, run.first));
        } else {
            if self.short.is_empty() && self.short.try_reserve_exact(SHORT).is_ok() {
                self.short.resize_with(SHORT, PageMap::default);
            }
            match self.short.get_mut(to_usize(run.pages)) {
                Some(runs) => {
                    runs.insert(run.first, ());
                    self.incomplete |= runs.is_incomplete();
                }
                None => self.incomplete = true,
            }
        }
        self.incomplete |= self.by_page.is_incomplete();
        self.total += run.pages;
    }

    fn take_out(&mut self, run: Run) {
        self.by_page.remove(run.first);
        if run.pages >= SHORT as u64 {
            self.long.remove(&(run.pages, run.first));
        } else if let Some(runs) = self.short.get_mut(to_usize(run.pages)) {
            runs.remove(run.first);
        }
        self.total -= run.pages;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::Random;

    #[test]
    fn runs_follow_a_plain_set() {
        let mut random = Random::new(5);
        let (mut runs, mut model) = (RunSet::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let (page, pages) = (random.below(200), random.below(12) + 1);
            let run = Run::new(PageNo::new(page), pages);
            if random.one_in(2) {
                runs.insert(run);
                model.extend(page..page + pages);
            } else {
                runs.remove(run);
                model.retain(|p| !(page..page + pages).contains(p));
            }
            assert_eq!(runs.total(), model.len() as u64);
            assert_eq!(runs.contains(run), (page..page + pages).all(|p| model.contains(&p)));
            let all: Vec<Run> = runs.iter().collect();
            let pages = all.iter().flat_map(|run| run.first.get()..run.end().get());
            assert!(pages.eq(model.iter().copied()));
            assert!(
                all.windows(2).all(|w| w[0].end() < w[1].first),
                "runs that touch are one"
            );
            let want = random.below(9) + 1;
            let best = all.iter().map(|run| run.pages).filter(|pages| *pages >= want).min();
            assert_eq!(runs.best_fit(want).map(|run| run.pages), best);
            assert_eq!(
                runs.largest().map(|run| run.pages),
                all.iter().map(|run| run.pages).max()
            );
            let end = PageNo::new(random.below(220));
            let before = |run: &Run| end.checked_sub(run.first).unwrap_or(0).min(run.pages);
            let best = all.iter().filter(|run| before(run) >= want).map(|run| run.pages).min();
            assert_eq!(runs.best_fit_before(want, end, usize::MAX).map(|run| run.pages), best);
            let total: u64 = all.iter().map(before).sum();
            assert_eq!(runs.total_before(end, u64::MAX), total);
            assert!(runs.total_before(end, want) >= want.min(total));
            let most = all.iter().map(before).max().filter(|pages| *pages > 0);
            let found = runs.largest_before(end, usize::MAX).map(|run| run.pages);
            assert_eq!(found, most);
            assert_eq!(runs.largest_before(end, 0).is_some(), most.is_some());
        }
    }
}
