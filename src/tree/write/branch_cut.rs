//! Cutting a list of children into branches.

use super::apply::{Apply, Piece};
use super::arena::Arena;
use super::fences::{prefix_len, Fences};
use super::values::release_rest;
use crate::error::Result;
use crate::ids::U48_MAX;
use crate::page::branch::{branch_size, build_branch, Child};
use crate::page::header::HEADER;
use crate::page::layout::branch::CHILD;
use crate::page::{PageSink, PageSource};

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Cuts `children`, counted from `base`, into as many branches as it takes. The separators at the cuts move up.
    pub(super) fn pack_branches(
        &mut self,
        children: &[Child<'_>],
        base: &[u8],
        fences: &Fences,
        level: u8,
        append: bool,
    ) -> Result<Vec<Piece>> {
        let size = self.source.page_size();
        let mut sums = Vec::with_capacity(children.len() + 1);
        let mut sum = 0;
        sums.push(0);
        for c in children {
            sum += c.size(0);
            sums.push(sum);
        }
        let room = size - HEADER - base.len();
        let pages = sum.div_ceil(room).max(1);
        let target = if append { room } else { room.min(sum.div_ceil(pages)) };
        let mut pieces = Vec::with_capacity(pages);
        let (mut from, mut low) = (0, Vec::new());
        while from < children.len() {
            let mut to = children.len();
            if !self.branch_fits(children, base, from, &low, to, fences)? {
                to = from + sums[from..].partition_point(|s| s - sums[from] <= target);
                to = to.clamp(from + 1, children.len());
                while to > from + 1 && !self.branch_fits(children, base, from, &low, to, fences)? {
                    to -= 1;
                }
            }
            let high = self.cut_at(children, base, to)?;
            let plen = branch_prefix(from, &low, to == children.len(), &high, fences).max(base.len());
            let start: &[u8] = if from == 0 { &fences.low } else { &low };
            let mut memory = self.arena.memory();
            let group = &children[from..to];
            build_branch(&mut memory, level, self.table, &start[..plen], group, plen - base.len());
            if from > 0 {
                // Its bytes moved up into `low`; the parent writes them anew.
                release_rest(&children[from].separator, None, size, self.sink)?;
            }
            let small = branch_size(group, plen - base.len(), plen) < size / 4;
            let entries = group
                .iter()
                .fold(0u64, |n, c| n.saturating_add(c.ptr.entries))
                .min(U48_MAX);
            let ptr = Arena::ptr(self.arena.insert(memory), entries);
            let separator = low;
            pieces.push(Piece { separator, ptr, small });
            (from, low) = (to, high);
        }
        Ok(pieces)
    }

    fn branch_fits(
        &self,
        children: &[Child<'_>],
        base: &[u8],
        from: usize,
        low: &[u8],
        to: usize,
        fences: &Fences,
    ) -> Result<bool> {
        // Even the arrays alone would not fit: no need to look closer.
        if (to - from) * CHILD > self.source.page_size() {
            return Ok(false);
        }
        let high = self.cut_at(children, base, to)?;
        let plen = branch_prefix(from, low, to == children.len(), &high, fences).max(base.len());
        Ok(branch_size(&children[from..to], plen - base.len(), plen) <= self.source.page_size())
    }

    /// The separator at `at`, whole; empty behind the last.
    fn cut_at(&self, children: &[Child<'_>], base: &[u8], at: usize) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        if let Some(c) = children.get(at) {
            out.extend_from_slice(base);
            c.separator.write_whole(&self.source, &mut out, None)?;
        }
        Ok(out)
    }
}

fn branch_prefix(from: usize, low: &[u8], last: bool, high: &[u8], fences: &Fences) -> usize {
    let low = if from == 0 { &fences.low } else { low };
    match &fences.high {
        _ if !last => prefix_len(low, high),
        Some(high) => prefix_len(low, high),
        None => 0,
    }
}
