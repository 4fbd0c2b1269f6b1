//! Cutting a sorted sequence of entries into leaves.
//!
//! A page's prefix is what its fences share, and its fences are the separators at its two cuts. So how much a page
//! takes depends on where it ends: sizes are first computed under the prefix that is common to all entries, and each
//! cut is then checked with the prefix that it gives.

use super::append::with_room;
use super::apply::{is_underfull, Apply, Fill, NewPage, Reply};
use super::arena::Arena;
use super::fences::{Cut, Fences};
use crate::error::{Error, Result};
use crate::page::header::HEADER;
use crate::page::layout::leaf::ENTRY;
use crate::page::layout::record::LENGTHS;
use crate::page::layout::{DenseShape, HEAD_BYTES};
use crate::page::leaf_build::{build_leaf, leaf_size, Entry};
use crate::page::suffix::NewPrefix;
use crate::page::{PageSink, PageSource};
use std::cell::Cell;

/// A leaf that becomes this many pages places all but its edges at once, when pages are being placed.
const EARLY: usize = 8;

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Cuts `entries`, whose suffixes are counted from the prefix `common`, into as many leaves as it takes.
    pub(super) fn pack_leaves(
        &mut self,
        entries: &[Entry<'_>],
        common: &[u8],
        fences: &Fences,
        fill: Fill,
    ) -> Result<Reply> {
        if entries.is_empty() {
            return Ok(Reply::none());
        }
        let size = self.source.page_size();
        let plen = fences.prefix_len();
        debug_assert!(
            plen >= common.len(),
            "all keys within the fences begin with the common prefix"
        );
        // More entries than a page has bytes never fit it, so their size need not be computed.
        if entries.len() <= size && leaf_size(entries, plen - common.len(), plen) <= size {
            self.arena.prepare()?;
            let NewPage { ptr, underfull, .. } =
                self.build_new_page(entries, common.len(), &fences.low[..plen], Vec::new());
            return Ok(Reply::One { ptr, underfull });
        }
        let cutter = LeafCutter::new(entries, common, fences, size)?;
        let early = cutter.total() > EARLY * size;
        let mut new_pages: Vec<NewPage> = Vec::new();
        let mut start = Cut::default();
        while start.at < entries.len() {
            let at = cutter.next(&start, fill, &self.source)?;
            let separator = cutter.separator(at, &self.source)?;
            let end = Cut { at, separator };
            let plen = fences.prefix_between(&start, &end, entries.len());
            let prefix = fences.prefix_from(&start, plen).to_vec();
            self.arena.prepare()?;
            Error::or_room(&mut new_pages, 1, "pages of a transaction")?;
            new_pages.push(self.build_new_page(&entries[start.at..at], common.len(), &prefix, start.separator));
            if early {
                self.emit_last_but_one(&mut new_pages)?;
            }
            start = end;
        }
        debug_assert_eq!(
            new_pages.iter().map(|new_page| new_page.ptr.entries).sum::<u64>(),
            entries.len() as u64,
            "each entry is in one leaf"
        );
        Ok(Reply::Many(new_pages))
    }

    /// Builds one leaf. The first `common` bytes of its prefix are already missing from the suffixes of the entries.
    pub(super) fn build_new_page(
        &mut self,
        entries: &[Entry<'_>],
        common: usize,
        prefix: &[u8],
        separator: Vec<u8>,
    ) -> NewPage {
        let mut memory = self.arena.memory();
        let prefix = NewPrefix::of(prefix, common);
        build_leaf(&mut memory, self.table, prefix, entries);
        let size = leaf_size(entries, prefix.drop, prefix.bytes.len());
        let underfull = is_underfull(size, memory.len());
        let ptr = Arena::ptr(self.arena.insert(memory), entries.len() as u64);
        NewPage {
            separator,
            ptr,
            underfull,
        }
    }
}

/// Returns an empty list with room for `entries` entries. These may be all of a transaction's, so memory may be
/// lacking.
pub(super) fn room_for<T>(entries: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    let room = list.try_reserve_exact(entries);
    room.map_err(|_| Error::NoMemory("entries on their way into a leaf"))?;
    Ok(list)
}

/// Where to cut a sorted sequence of entries into pages.
struct LeafCutter<'e> {
    entries: &'e [Entry<'e>],
    common: &'e [u8],
    fences: &'e Fences,
    size: usize,
    /// The running sums of the sizes, as if no page had a longer prefix than `common`.
    sums: Vec<usize>,
    /// What the entries have in common if they all agree: then they may form dense leaves.
    uniform: Option<Uniform>,
    /// Memory for a separator that is only looked at.
    scratch: Cell<Vec<u8>>,
}

/// The bytes of each suffix and of each value, where all entries agree.
struct Uniform {
    suffix: usize,
    value: usize,
}

impl<'e> LeafCutter<'e> {
    fn new(entries: &'e [Entry<'e>], common: &'e [u8], fences: &'e Fences, size: usize) -> Result<LeafCutter<'e>> {
        let mut sums = room_for(entries.len() + 1)?;
        let mut sum = 0;
        sums.push(0);
        let first = &entries[0];
        let (suffix, value) = (first.suffix.inline_len(), first.value.bytes().len());
        let mut uniform = true;
        for e in entries {
            sum += e.size(0);
            sums.push(sum);
            uniform &= e.suffix.inline_len() == suffix
                && !e.suffix.long
                && !e.value.is_chain()
                && e.value.bytes().len() == value;
        }
        Ok(LeafCutter {
            entries,
            common,
            fences,
            size,
            sums,
            uniform: uniform.then_some(Uniform { suffix, value }),
            scratch: Cell::default(),
        })
    }

    fn total(&self) -> usize {
        self.sums[self.entries.len()]
    }

    /// Returns the shortest key that separates entry `at` from the one before. It is empty at the two ends.
    fn separator<'s, S: PageSource<'s>>(&self, at: usize, source: &S) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write_separator(at, source, &mut out)?;
        Ok(out)
    }

    /// Writes the shortest key that separates entry `at` from the one before into `out`, which must be empty.
    fn write_separator<'s, S: PageSource<'s>>(&self, at: usize, source: &S, out: &mut Vec<u8>) -> Result<()> {
        if at > 0 && at < self.entries.len() {
            let (a, b) = (&self.entries[at - 1].suffix, &self.entries[at].suffix);
            out.reserve(self.common.len() + b.inline_len());
            let len = self.common.len() + a.common(b, source)? + 1;
            out.extend_from_slice(self.common);
            if len <= out.len() + b.inline_len() {
                b.write_to(out);
            } else {
                // These are two long keys that differ only in bytes outside the page.
                b.write_whole(source, out, None)?;
            }
            out.truncate(len);
        }
        Ok(())
    }

    /// Returns whether the entries from `start` to `to` fit one page.
    fn fits<'s, S: PageSource<'s>>(&self, start: &Cut, to: usize, source: &S) -> Result<bool> {
        let mut separator = self.scratch.take();
        separator.clear();
        self.write_separator(to, source, &mut separator)?;
        let end = Cut { at: to, separator };
        let plen = self.fences.prefix_between(start, &end, self.entries.len());
        let plen = plen.max(self.common.len());
        self.scratch.set(end.separator);
        let drop = plen - self.common.len();
        let n = to - start.at;
        if let Some(uniform) = &self.uniform {
            // This is what `leaf_size` computes, without a look at each entry.
            let width = uniform.suffix.saturating_sub(drop);
            let each = match DenseShape::worth_it(width, uniform.value) {
                Some(shape) if n > 1 => shape.entry(),
                _ => ENTRY + LENGTHS + width.saturating_sub(HEAD_BYTES) + uniform.value,
            };
            return Ok(HEADER + plen + n * each <= self.size);
        }
        Ok(leaf_size(&self.entries[start.at..to], drop, plen) <= self.size)
    }

    /// Returns the end of the page that begins at `start`.
    fn next<'s, S: PageSource<'s>>(&self, start: &Cut, fill: Fill, source: &S) -> Result<usize> {
        let (n, from) = (self.entries.len(), start.at);
        let full = self.most(start, source)?;
        if full == n || fill == Fill::Full {
            return Ok(full);
        }
        // The last two pages share what is left evenly, cut where the separator is shortest.
        let half = self.sums[from] + (self.sums[n] - self.sums[from]) / 2;
        let middle = self.sums.partition_point(|s| *s < half).clamp(from + 1, n - 1);
        if middle >= full {
            // More than two pages are left.
            return Ok(from + with_room(full - from));
        }
        let window = (n - from) / 16;
        let mut shortest = usize::MAX;
        let mut cut = middle;
        for at in middle.saturating_sub(window).max(from + 1)..=(middle + window).min(n - 1).min(full) {
            let shared = self.entries[at - 1].suffix.common(&self.entries[at].suffix, source)?;
            if shared < shortest {
                (shortest, cut) = (shared, at);
            }
        }
        let second = Cut {
            at: cut,
            separator: self.separator(cut, source)?,
        };
        let both_fit = self.fits(start, cut, source)? && self.fits(&second, n, source)?;
        Ok(if both_fit { cut } else { full })
    }

    /// Returns the end of the page from `start` on that takes the most entries: one at least.
    fn most<'s, S: PageSource<'s>>(&self, start: &Cut, source: &S) -> Result<usize> {
        let (n, from) = (self.entries.len(), start.at);
        let room = self.size - HEADER - self.common.len();
        let fitting = self.sums[from..].partition_point(|s| s - self.sums[from] <= room) - 1;
        let mut to = (from + fitting).clamp(from + 1, n);
        while to > from + 1 && !self.fits(start, to, source)? {
            to -= 1;
        }
        // The page's own prefix makes entries smaller than assumed, and a dense page takes many more.
        let mut step = match self.uniform {
            Some(_) => to - from,
            None => 1 + (to - from) / 16,
        };
        while step > 0 && to < n {
            let more = (to + step).min(n);
            if self.fits(start, more, source)? {
                to = more;
            } else {
                step /= 2;
            }
        }
        Ok(to)
    }
}
