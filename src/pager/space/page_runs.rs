//! The pages that a transaction takes: a set of runs that are found by address only.
//!
//! Each commit fills and empties one. A few runs are one small piece of memory here, whereas a [`super::RunSet`], which
//! also finds runs by size, would have many.

use crate::ids::{PageNo, Run};
use crate::util::memory;
use std::collections::BTreeMap;

/// A set of pages, as disjoint runs that never touch.
#[derive(Debug, Default)]
pub(in crate::pager) struct PageRuns {
    /// The number of pages of each run, by its first page.
    runs: BTreeMap<PageNo, u64>,
    /// Whether runs are missing, because there was no memory when they were put in.
    incomplete: bool,
}

impl PageRuns {
    /// Returns whether runs are missing, because there was no memory when they were put in.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Says whether runs are missing, when the set is what it was before.
    pub fn set_incomplete(&mut self, incomplete: bool) {
        self.incomplete = incomplete;
    }

    /// Returns every run, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Run> + '_ {
        self.runs.iter().map(|(&first, &pages)| Run { first, pages })
    }

    /// Returns the last run.
    pub fn last(&self) -> Option<Run> {
        self.before(PageNo::END)
    }

    /// Returns whether all of these pages are in the set.
    pub fn contains(&self, pages: Run) -> bool {
        let around = self.before(pages.first + 1);
        around.is_some_and(|run| pages.checked_end().is_some_and(|end| end <= run.end()))
    }

    /// Adds pages. Those that are in the set already stay.
    pub fn insert(&mut self, new: Run) {
        if new.pages == 0 {
            return;
        }
        let (mut first, mut end) = (new.first, new.end());
        // Every run that overlaps or touches the new one becomes a part of it.
        while let Some(other) = self.before(end + 1).filter(|other| other.end() >= first) {
            self.runs.remove(&other.first);
            (first, end) = (first.min(other.first), end.max(other.end()));
        }
        self.put_in(first, end);
    }

    /// Removes pages. They need not be in the set.
    pub fn remove(&mut self, old: Run) {
        if old.pages == 0 {
            return;
        }
        let end = old.end();
        while let Some(other) = self.before(end).filter(|other| other.end() > old.first) {
            self.runs.remove(&other.first);
            self.put_in(end, other.end());
            self.put_in(other.first, old.first);
        }
    }

    /// Returns the last run that begins before `end`.
    fn before(&self, end: PageNo) -> Option<Run> {
        let before = self.runs.range(..end).next_back();
        before.map(|(&first, &pages)| Run { first, pages })
    }

    /// Puts the pages from `first` to before `end` in, if there are any. They touch no other.
    fn put_in(&mut self, first: PageNo, end: PageNo) {
        if first < end {
            self.incomplete |= memory::is_short();
            self.runs.insert(first, end - first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::Random;
    use std::collections::BTreeSet;

    #[test]
    fn runs_follow_a_plain_set() {
        let mut random = Random::new(6);
        let (mut runs, mut model) = (PageRuns::default(), BTreeSet::new());
        for _ in 0..20_000 {
            let (page, pages) = (random.below(200), random.below(13));
            let run = Run::new(PageNo::new(page), pages);
            match random.one_in(2) {
                true => {
                    runs.insert(run);
                    model.extend(page..page + pages);
                }
                false => {
                    runs.remove(run);
                    model.retain(|p| !(page..page + pages).contains(p));
                }
            }
            let all: Vec<Run> = runs.iter().collect();
            let listed = all.iter().flat_map(|run| run.first.get()..run.end().get());
            assert!(listed.eq(model.iter().copied()));
            assert!(
                all.windows(2).all(|w| w[0].end() < w[1].first),
                "runs that touch are one"
            );
            assert_eq!(runs.last(), all.last().copied());
            let is_inside = pages > 0 && (page..page + pages).all(|p| model.contains(&p));
            assert!(pages == 0 || runs.contains(run) == is_inside);
        }
    }
}
