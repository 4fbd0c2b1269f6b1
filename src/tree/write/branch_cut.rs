//! Cutting a list of children into branches.
//!
//! As for leaves, a page's prefix and with it what it may take depends on where it ends. The separator at a cut moves
//! up into the parent: the page behind it needs none before its first child.

use super::apply::{is_half_empty, Apply, Fill, NewPage};
use super::arena::Arena;
use super::fences::{Cut, Fences};
use super::values::release_rest;
use crate::error::Result;
use crate::ids::U48_MAX;
use crate::page::branch_build::{branch_size, build_branch, Child};
use crate::page::header::HEADER;
use crate::page::layout::branch::CHILD;
use crate::page::suffix::NewPrefix;
use crate::page::{PageSink, PageSource};

/// A list of children, and where to cut it into pages.
pub(super) struct BranchCutter<'c> {
    pub children: &'c [Child<'c>],
    /// The prefix that all separators begin with, from behind which they are counted.
    pub common: &'c [u8],
    /// The fences of all the children together.
    pub fences: &'c Fences,
    /// The level of the branches to be built.
    pub level: u8,
    pub page_size: usize,
}

impl BranchCutter<'_> {
    /// Returns the cut before child `at`.
    fn cut<'s, S: PageSource<'s>>(&self, at: usize, source: &S) -> Result<Cut> {
        let mut separator = Vec::new();
        if let Some(child) = self.children.get(at) {
            separator.extend_from_slice(self.common);
            child.separator.write_whole(source, &mut separator, None)?;
        }
        Ok(Cut { at, separator })
    }

    /// Returns the length of the prefix of the page between two cuts.
    fn prefix_len(&self, start: &Cut, end: &Cut) -> usize {
        let plen = self.fences.prefix_between(start, end, self.children.len());
        plen.max(self.common.len())
    }

    /// Returns whether the children from `start` to `to` fit one page.
    fn fits<'s, S: PageSource<'s>>(&self, start: &Cut, to: usize, source: &S) -> Result<bool> {
        // If even the arrays alone do not fit, sizes need not be computed.
        if (to - start.at) * CHILD > self.page_size {
            return Ok(false);
        }
        let plen = self.prefix_len(start, &self.cut(to, source)?);
        let size = branch_size(&self.children[start.at..to], plen - self.common.len(), plen);
        Ok(size <= self.page_size)
    }
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Cuts the children into as many branches as it takes.
    pub(super) fn pack_branches(&mut self, cutter: &BranchCutter<'_>, fill: Fill) -> Result<Vec<NewPage>> {
        let BranchCutter {
            children,
            common,
            fences,
            level,
            page_size,
        } = *cutter;
        // The running sums of sizes, as if no page had a longer prefix than `common`.
        let mut sums = Vec::with_capacity(children.len() + 1);
        let mut sum = 0;
        sums.push(0);
        for child in children {
            sum += child.size(0);
            sums.push(sum);
        }
        let room = page_size - HEADER - common.len();
        let pages = sum.div_ceil(room).max(1);
        // All pages are filled alike, unless more children come behind the last.
        let target = match fill {
            Fill::Full => room,
            Fill::WithRoom => room.min(sum.div_ceil(pages)),
        };
        let mut new_pages = Vec::with_capacity(pages);
        let mut start = Cut::default();
        while start.at < children.len() {
            let from = start.at;
            let mut to = children.len();
            if !cutter.fits(&start, to, &self.source)? {
                to = from + sums[from..].partition_point(|s| s - sums[from] <= target);
                to = to.clamp(from + 1, children.len());
                while to > from + 1 && !cutter.fits(&start, to, &self.source)? {
                    to -= 1;
                }
            }
            let end = cutter.cut(to, &self.source)?;
            let plen = cutter.prefix_len(&start, &end);
            let group = &children[from..to];
            let mut memory = self.arena.memory();
            let prefix = NewPrefix::of(fences.prefix_from(&start, plen), common.len());
            build_branch(&mut memory, level, self.table, prefix, group);
            if from > 0 {
                // The separator has moved up with the cut, and the parent writes its rest anew.
                release_rest(&children[from].separator, None, page_size, self.sink)?;
            }
            let entries = group
                .iter()
                .fold(0u64, |sum, child| sum.saturating_add(child.ptr.entries))
                .min(U48_MAX);
            let underfull = is_half_empty(branch_size(group, prefix.drop, plen), page_size);
            new_pages.push(NewPage {
                separator: start.separator,
                ptr: Arena::ptr(self.arena.insert(memory), entries),
                underfull,
            });
            start = end;
        }
        Ok(new_pages)
    }
}
