//! Cutting a sorted sequence of entries into leaves.

use super::append::ROOM;
use super::apply::{Apply, Piece, Reply};
use super::arena::Arena;
use super::fences::{prefix_len, Fences};
use crate::error::{Error, Result};
use crate::page::header::HEADER;
use crate::page::layout::leaf::ENTRY;
use crate::page::layout::record::LENGTHS;
use crate::page::layout::{DenseShape, HEAD_BYTES};
use crate::page::leaf_build::{build_leaf, leaf_size, Entry};
use crate::page::{PageSink, PageSource};
use std::cell::Cell;

/// A leaf that becomes this many pages places all but its edges at once, when pages are being placed.
const EARLY: usize = 8;

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Cuts `entries`, counted from `base`, into as many leaves as it takes. With `append`, the pages are filled to the
    /// brim: more will come behind them, not between.
    pub(super) fn pack_leaves(
        &mut self,
        entries: &[Entry<'_>],
        base: &[u8],
        fences: &Fences,
        append: bool,
    ) -> Result<Reply> {
        if entries.is_empty() {
            return Ok(Reply::Many(Vec::new()));
        }
        let size = self.source.page_size();
        let plen = fences.prefix_len();
        // A million entries are never one page: do not size them to find out.
        if entries.len() <= size && leaf_size(entries, plen - base.len(), plen) <= size {
            let piece = self.build_piece(entries, base.len(), &fences.low[..plen], Vec::new());
            let (ptr, small) = (piece.ptr, piece.small);
            return Ok(Reply::One { ptr, small });
        }
        let cutter = Cutter::new(entries, base, fences, size)?;
        let early = self.fused && cutter.total() > EARLY * size;
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut from, mut low) = (0, Vec::new());
        while from < entries.len() {
            let to = cutter.next(from, &low, append, &self.source)?;
            let high = cutter.separator(to, &self.source)?;
            let plen = cutter.prefix_len(from, &low, to, &high);
            let start: &[u8] = if from == 0 { &fences.low } else { &low };
            let prefix = start[..plen].to_vec();
            pieces.push(self.build_piece(&entries[from..to], base.len(), &prefix, low));
            let n = pieces.len();
            if early && n > 2 {
                // Not the first and not the last: those may be joined with neighbours.
                self.emit(&mut pieces[n - 2].ptr)?;
            }
            (from, low) = (to, high);
        }
        Ok(Reply::Many(pieces))
    }

    fn build_piece(&mut self, entries: &[Entry<'_>], base: usize, prefix: &[u8], separator: Vec<u8>) -> Piece {
        let mut memory = self.arena.memory();
        let drop = prefix.len() - base;
        build_leaf(&mut memory, self.table, prefix, entries, drop);
        let small = leaf_size(entries, drop, prefix.len()) < memory.len() / 4;
        let ptr = Arena::ptr(self.arena.insert(memory), entries.len() as u64);
        Piece { separator, ptr, small }
    }
}

/// Where to cut a sorted sequence of entries into pages.
struct Cutter<'e> {
    entries: &'e [Entry<'e>],
    base: &'e [u8],
    fences: &'e Fences,
    size: usize,
    /// Sizes added up, as if no page had a longer prefix than `base`.
    sums: Vec<usize>,
    /// (suffix bytes, value bytes) if all entries agree: they may form dense leaves.
    uniform: Option<(usize, usize)>,
    /// Memory for a separator that is only looked at.
    scratch: Cell<Vec<u8>>,
}

/// An empty list with room for as many entries as one leaf may be given at once: all of a transaction's.
pub(super) fn room_for<T>(entries: usize) -> Result<Vec<T>> {
    let mut list = Vec::new();
    let room = list.try_reserve_exact(entries);
    room.map_err(|_| Error::NoMemory("entries on their way into a leaf"))?;
    Ok(list)
}

impl<'e> Cutter<'e> {
    fn new(entries: &'e [Entry<'e>], base: &'e [u8], fences: &'e Fences, size: usize) -> Result<Cutter<'e>> {
        let mut sums = room_for(entries.len() + 1)?;
        let mut sum = 0;
        sums.push(0);
        let first = &entries[0];
        let (len, value) = (first.suffix.inline_len(), first.value.bytes().len());
        let mut uniform = true;
        for e in entries {
            sum += e.size(0);
            sums.push(sum);
            uniform &=
                e.suffix.inline_len() == len && !e.suffix.long && !e.value.is_chain() && e.value.bytes().len() == value;
        }
        Ok(Cutter {
            entries,
            base,
            fences,
            size,
            sums,
            uniform: uniform.then_some((len, value)),
            scratch: Cell::default(),
        })
    }

    fn total(&self) -> usize {
        self.sums[self.entries.len()]
    }

    /// The shortest key that separates entry `at` from the one before; empty at the ends.
    fn separator<'s, S: PageSource<'s>>(&self, at: usize, source: &S) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write_separator(at, source, &mut out)?;
        Ok(out)
    }

    /// Puts that key into `out`, which is empty.
    fn write_separator<'s, S: PageSource<'s>>(&self, at: usize, source: &S, out: &mut Vec<u8>) -> Result<()> {
        if at > 0 && at < self.entries.len() {
            let (a, b) = (&self.entries[at - 1].suffix, &self.entries[at].suffix);
            out.reserve(self.base.len() + b.inline_len());
            let len = self.base.len() + a.common(b, source)? + 1;
            out.extend_from_slice(self.base);
            if len <= out.len() + b.inline_len() {
                b.write_to(out);
            } else {
                b.write_whole(source, out, None)?;
            }
            out.truncate(len);
        }
        Ok(())
    }

    /// Length of the prefix of the page `from..to`, whose first key bound is `low` and last is `high`.
    fn prefix_len(&self, from: usize, low: &[u8], to: usize, high: &[u8]) -> usize {
        let low = if from == 0 { &self.fences.low } else { low };
        let high = if to < self.entries.len() {
            high
        } else {
            match &self.fences.high {
                Some(high) => high,
                None => return 0,
            }
        };
        prefix_len(low, high)
    }

    /// Whether `from..to` fits one page.
    fn fits<'s, S: PageSource<'s>>(&self, from: usize, low: &[u8], to: usize, source: &S) -> Result<bool> {
        let mut high = self.scratch.take();
        high.clear();
        self.write_separator(to, source, &mut high)?;
        let plen = self.prefix_len(from, low, to, &high).max(self.base.len());
        self.scratch.set(high);
        let drop = plen - self.base.len();
        let n = to - from;
        if let Some((len, value)) = self.uniform {
            let width = len.saturating_sub(drop);
            let each = match DenseShape::of(width, value) {
                Some(shape) if n > 1 => shape.entry(),
                _ => ENTRY + LENGTHS + width.saturating_sub(HEAD_BYTES) + value,
            };
            return Ok(HEADER + plen + n * each <= self.size);
        }
        Ok(leaf_size(&self.entries[from..to], drop, plen) <= self.size)
    }

    /// End of the page that begins at `from`.
    fn next<'s, S: PageSource<'s>>(&self, from: usize, low: &[u8], append: bool, source: &S) -> Result<usize> {
        let n = self.entries.len();
        let full = self.fill(from, low, source)?;
        if full == n || append {
            return Ok(full);
        }
        // The last two pages share what is left evenly, cut where the separator is shortest.
        let half = self.sums[from] + (self.sums[n] - self.sums[from]) / 2;
        let middle = self.sums.partition_point(|s| *s < half).clamp(from + 1, n - 1);
        if middle >= full {
            // Not to the brim: the next puts would split every page.
            let n = full - from;
            return Ok(from + n.saturating_sub((n / ROOM).max(1)).max(1));
        }
        let window = (n - from) / 16;
        let mut best = (usize::MAX, middle);
        for at in middle.saturating_sub(window).max(from + 1)..=(middle + window).min(n - 1).min(full) {
            let common = self.entries[at - 1].suffix.common(&self.entries[at].suffix, source)?;
            if common < best.0 {
                best = (common, at);
            }
        }
        let cut = best.1;
        let separator = self.separator(cut, source)?;
        if self.fits(from, low, cut, source)? && self.fits(cut, &separator, n, source)? {
            return Ok(cut);
        }
        Ok(full)
    }

    /// The most entries from `from` on that fit one page.
    fn fill<'s, S: PageSource<'s>>(&self, from: usize, low: &[u8], source: &S) -> Result<usize> {
        let n = self.entries.len();
        let room = self.size - HEADER - self.base.len();
        let fitting = self.sums[from..].partition_point(|s| s - self.sums[from] <= room) - 1;
        let mut to = (from + fitting).clamp(from + 1, n);
        while to > from + 1 && !self.fits(from, low, to, source)? {
            to -= 1;
        }
        let mut step = if self.uniform.is_some() {
            to - from
        } else {
            1 + (to - from) / 16
        };
        while step > 0 && to < n {
            let more = (to + step).min(n);
            if self.fits(from, low, more, source)? {
                to = more;
            } else {
                step /= 2;
            }
        }
        Ok(to)
    }
}
