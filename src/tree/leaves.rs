//! What `apply` does to leaves: a few edits in place, more by merging and cutting anew.

use super::append::{Copied, ROOM};
use super::apply::{check_level, prefix_len, Apply, Fences, Held, Piece, Reply};
use super::arena::Arena;
use super::edits::{Op, Sorted, RECORDS_AHEAD};
use super::values::{is_long, release_rest, release_value, write_rest, LongKey};
use crate::error::{Error, Result};
use crate::page::header::{self, CHECK_PREFIX, HEADER};
use crate::page::leaf::{Leaf, RECORD, SLOT};
use crate::page::leaf_build::{build_leaf, dense_bytes, entries_of, leaf_size, Entry};
use crate::page::suffix::{key_inline_max, Suffix};
use crate::page::{leaf_edit, Place, Ptr, Source};
use crate::util::hash::fingerprint;
use crate::util::short::Short;
use std::cell::Cell;

/// Up to this many edits of a leaf are done one by one in place (flat between 6 and 40; 2 costs 9 %).
const FEW: usize = 8;
/// More edits than this for one leaf are merged in parts, so that what is being merged stays in the cache.
const PART: usize = 2048;
/// A leaf that becomes this many pages places all but its edges at once, when pages are being placed.
const EARLY: usize = 8;

impl<'a, S: Source<'a> + Copy, P: Place> Apply<'a, '_, S, P> {
    /// Applies `edits[from..to]` to the leaf at `ptr`.
    pub(super) fn leaf(
        &mut self,
        ptr: Ptr,
        edits: &Sorted<'_>,
        (from, to): (usize, usize),
        fences: &Fences,
    ) -> Result<Reply> {
        let mut page = self.hold(&ptr)?;
        check_level(&page, &ptr, 1)?;
        let mut from = from;
        if to - from <= FEW {
            while from < to && self.edit_in_place(&ptr, &mut page, edits.key(from), edits.op(from))? {
                from += 1;
            }
            if from == to {
                return self.finish_leaf(ptr, page);
            }
        }
        let append = self.is_append(&ptr, &page, edits.key(from), fences)?;
        if append && edits.is_plain(page.len()) {
            if let Some(held) = self.whole_entries(&ptr, &page)? {
                return self.append(ptr, page, &held, edits, (from, to), fences);
            }
        }
        if to - from > PART {
            return self.merge_parts(ptr, page, edits, (from, to), fences);
        }
        self.merge(ptr, page, edits, (from, to), fences, append)
    }

    /// Whether the edits from `key` on lie behind every entry of the tree.
    fn is_append(&self, ptr: &Ptr, page: &Held<'a>, key: &[u8], fences: &Fences) -> Result<bool> {
        if fences.high.is_some() {
            return Ok(false);
        }
        let leaf = Leaf::new(page).map_err(|d| d.at(ptr.page))?;
        Ok(leaf.position(key, ptr.page, &self.source)? == Err(leaf.len()))
    }

    /// The first edit behind every entry of the leaf.
    fn behind(&self, ptr: &Ptr, page: &Held<'a>, edits: &Sorted<'_>, (from, to): (usize, usize)) -> Result<usize> {
        let leaf = Leaf::new(page).map_err(|d| d.at(ptr.page))?;
        let (mut low, mut high) = (from, to);
        while low < high {
            let middle = low + (high - low) / 2;
            if leaf.position(edits.key(middle), ptr.page, &self.source)? == Err(leaf.len()) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// Merges many edits with a leaf, some at a time: the last page that one part gives takes the next part.
    fn merge_parts(
        &mut self,
        ptr: Ptr,
        page: Held<'a>,
        edits: &Sorted<'_>,
        (from, to): (usize, usize),
        fences: &Fences,
    ) -> Result<Reply> {
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut ptr, mut page, mut from) = (ptr, page, from);
        let mut low = Vec::new();
        let mut behind = self.behind(&ptr, &page, edits, (from, to))?;
        loop {
            let end = if to - from > PART + PART / 2 { from + PART } else { to };
            // What the leaf held goes into the first part, whole: later parts only add behind it, so no page they leave
            // can miss an edit, and none can vanish.
            let end = end.max(std::mem::replace(&mut behind, 0));
            let part = Fences {
                low: if pieces.is_empty() {
                    fences.low.clone()
                } else {
                    Short::of(&low)
                },
                high: fences.high.clone(),
            };
            // Pages before the last one are full: what comes next goes behind them.
            let fill = end < to || self.is_append(&ptr, &page, edits.key(from), fences)?;
            match self.merge(ptr, page, edits, (from, end), &part, fill)? {
                Reply::One { ptr, small } => pieces.push(Piece {
                    separator: low,
                    ptr,
                    small,
                }),
                Reply::Many(mut more) => {
                    if let Some(first) = more.first_mut() {
                        first.separator = low;
                    }
                    pieces.append(&mut more);
                }
            }
            if end == to {
                break;
            }
            from = end;
            (low, ptr, page) = match pieces.pop() {
                Some(last) => {
                    let page = self.hold(&last.ptr)?;
                    (last.separator, last.ptr, page)
                }
                None => {
                    // Deletes only, and nothing left: begin anew with an empty leaf.
                    let mut empty = self.arena.memory();
                    header::begin(&mut empty, header::LEAF, 1, self.table, &[]);
                    (Vec::new(), Ptr::default(), Held::Own(empty))
                }
            };
        }
        if let [only] = pieces.as_slice() {
            let (ptr, small) = (only.ptr, only.small);
            return Ok(Reply::One { ptr, small });
        }
        Ok(Reply::Many(pieces))
    }

    /// Does one edit in place if it can be; false: the page is as it was.
    fn edit_in_place(&mut self, ptr: &Ptr, page: &mut Held<'a>, key: &[u8], op: Op<'_>) -> Result<bool> {
        let size = page.len();
        if is_long(key, size) || header::flags(page) & CHECK_PREFIX != 0 {
            return Ok(false);
        }
        let leaf = Leaf::new(page).map_err(|d| d.at(ptr.page))?;
        let position = leaf.position(key, ptr.page, &self.source)?;
        let suffix = Suffix::of(key.get(header::prefix_len(page)..).unwrap_or(&[]));
        match (op, position) {
            (Op::Delete, Err(_)) => {}
            (Op::Delete, Ok(i)) => {
                let old = leaf.value(i).map_err(|d| d.at(ptr.page))?;
                release_value(&old, ptr.page, size, self.place)?;
                leaf_edit::remove(self.own(ptr, page), i);
            }
            (Op::Put(value), Err(i)) => {
                self.note_long(&value);
                let need = SLOT + RECORD + suffix.tail.len() + value.bytes().len();
                if !leaf.is_dense() && leaf.used() + need > size {
                    return Ok(false);
                }
                return Ok(leaf_edit::insert(
                    self.own(ptr, page),
                    i,
                    &suffix,
                    fingerprint(key),
                    &value,
                ));
            }
            (Op::Put(value), Ok(i)) => {
                self.note_long(&value);
                let old = leaf.value(i).map_err(|d| d.at(ptr.page))?;
                let same = old.is_chain() == value.is_chain() && old.bytes().len() == value.bytes().len();
                if !same && leaf.is_dense() {
                    return Ok(false);
                }
                if !same && leaf.used() + value.bytes().len() > size + old.bytes().len() {
                    return Ok(false);
                }
                release_value(&old, ptr.page, size, self.place)?;
                let own = self.own(ptr, page);
                if !leaf_edit::overwrite(own, i, &value) {
                    leaf_edit::remove(own, i);
                    if !leaf_edit::insert(own, i, &suffix, fingerprint(key), &value) {
                        // Room was checked above, so this is a page that lies about itself.
                        return Err(Error::corrupt(ptr.page, "leaf has less room than it says"));
                    }
                }
            }
        }
        Ok(true)
    }

    fn note_long(&mut self, value: &crate::page::leaf::Stored<'_>) {
        self.has_long |= value.is_chain();
    }

    /// Ends work on a leaf edited in place.
    fn finish_leaf(&mut self, mut ptr: Ptr, page: Held<'a>) -> Result<Reply> {
        let leaf = Leaf::new(&page).map_err(|d| d.at(ptr.page))?;
        if leaf.is_empty() {
            self.discard(&ptr, page);
            return Ok(Reply::Many(Vec::new()));
        }
        let small = leaf.used() < page.len() / 4 && matches!(page, Held::Own(_));
        ptr.entries = leaf.len() as u64;
        self.put_back(&mut ptr, page);
        Ok(Reply::One { ptr, small })
    }

    /// Builds the leaves of a tree that had none.
    pub(super) fn fill_empty(&mut self, edits: &Sorted<'_>, fences: &Fences) -> Result<Reply> {
        let mut empty = self.arena.memory();
        header::begin(&mut empty, header::LEAF, 1, self.table, &[]);
        let (ptr, page, range) = (Ptr::default(), Held::Own(empty), (0, edits.len()));
        if edits.is_plain(page.len()) {
            return self.append(ptr, page, &Copied::default(), edits, range, fences);
        }
        if edits.len() > PART {
            return self.merge_parts(ptr, page, edits, range, fences);
        }
        self.merge(ptr, page, edits, range, fences, true)
    }

    /// Merges `edits[from..to]` with the entries of a leaf and builds as many leaves as it takes.
    fn merge(
        &mut self,
        ptr: Ptr,
        page: Held<'a>,
        edits: &Sorted<'_>,
        (from, to): (usize, usize),
        fences: &Fences,
        append: bool,
    ) -> Result<Reply> {
        let size = page.len();
        let leaf = Leaf::new(&page).map_err(|d| d.at(ptr.page))?;
        let damaged = |d: header::Damage| d.at(ptr.page);
        let source = self.source;
        // All suffixes are counted from the shorter of the page's prefix and the one its bounds give now.
        let base = header::prefix_len(&page).min(fences.prefix_len());
        let prefix = &leaf.prefix()[..base];
        let lead = &leaf.prefix()[base..];
        let dense = dense_bytes(&leaf);
        let long_keys = self.write_long_keys(&leaf, ptr.page, edits, (from, to), base)?;
        let mut next_long = long_keys.iter();
        let mut merged = room_for(leaf.len() + to - from)?;
        let mut done = 0;
        (from..to.min(from + RECORDS_AHEAD)).for_each(|i| edits.prefetch(i));
        for i in from..to {
            edits.prefetch(i + RECORDS_AHEAD);
            let key = edits.key(i);
            let position = if done == leaf.len() {
                Err(done)
            } else {
                leaf.position(key, ptr.page, &source)?
            };
            let (Ok(at) | Err(at)) = position;
            if at > done {
                entries_of(&leaf, done..at, &dense, lead, &mut merged).map_err(damaged)?;
                done = at;
            }
            let mut old_suffix = None;
            if position.is_ok() {
                if at < done {
                    return Err(Error::corrupt(ptr.page, "keys out of order"));
                }
                let old = leaf.value(at).map_err(damaged)?;
                release_value(&old, ptr.page, size, self.place)?;
                if !leaf.is_dense() {
                    old_suffix = Some(leaf.slotted_suffix(at).map_err(damaged)?);
                }
                done = at + 1;
            }
            match edits.op(i) {
                Op::Delete => {
                    if let Some(suffix) = old_suffix {
                        release_rest(&suffix, ptr.page, size, self.place)?;
                    }
                }
                Op::Put(value) => {
                    self.note_long(&value);
                    let suffix = match old_suffix {
                        Some(old) if old.long => Suffix { lead, ..old },
                        _ if is_long(key, size) => {
                            self.has_long = true;
                            next_long.next().ok_or(Error::Invalid("long key not written"))?.suffix()
                        }
                        _ => Suffix::of(key.get(base..).unwrap_or(&[])),
                    };
                    merged.push(Entry {
                        suffix,
                        fingerprint: fingerprint(key),
                        value,
                    });
                    continue;
                }
            }
        }
        entries_of(&leaf, done..leaf.len(), &dense, lead, &mut merged).map_err(damaged)?;
        check_prefix(ptr.page, prefix, fences)?;
        let reply = self.pack_leaves(&merged, prefix, fences, append);
        drop(merged);
        self.discard(&ptr, page);
        reply
    }

    /// Writes the rests of the long keys that the edits bring in new, in order.
    fn write_long_keys(
        &mut self,
        leaf: &Leaf<'_>,
        number: u64,
        edits: &Sorted<'_>,
        (from, to): (usize, usize),
        base: usize,
    ) -> Result<Vec<LongKey>> {
        let size = leaf.bytes().len();
        let mut written = Vec::new();
        if edits.longest_key() <= key_inline_max(size) {
            return Ok(written);
        }
        for i in from..to {
            let key = edits.key(i);
            let new = is_long(key, size)
                && matches!(edits.op(i), Op::Put(_))
                && leaf.position(key, number, &self.source)?.is_err();
            if new {
                written.push(write_rest(key, base, size, self.place)?);
            }
        }
        Ok(written)
    }

    /// Removes the keys `from <= key < to` from the leaf at `ptr`.
    pub(super) fn leaf_range(
        &mut self,
        ptr: Ptr,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
        fences: &Fences,
    ) -> Result<Reply> {
        let page = self.hold(&ptr)?;
        check_level(&page, &ptr, 1)?;
        let mut ptr = ptr;
        let (source, size) = (self.source, page.len());
        let damaged = |d: header::Damage| d.at(ptr.page);
        let leaf = Leaf::new(&page).map_err(damaged)?;
        let bound = |key: &[u8]| leaf.position(key, ptr.page, &source).map(|p| p.unwrap_or_else(|at| at));
        let first = from.map_or(Ok(0), bound)?;
        let end = to.map_or(Ok(leaf.len()), bound)?;
        if first >= end {
            self.put_back(&mut ptr, page);
            return Ok(Reply::One { ptr, small: false });
        }
        for i in first..end {
            if !leaf.is_dense() {
                release_rest(&leaf.slotted_suffix(i).map_err(damaged)?, ptr.page, size, self.place)?;
            }
            release_value(&leaf.value(i).map_err(damaged)?, ptr.page, size, self.place)?;
        }
        let base = header::prefix_len(&page).min(fences.prefix_len());
        let (prefix, lead) = (&leaf.prefix()[..base], &leaf.prefix()[base..]);
        let dense = dense_bytes(&leaf);
        let mut kept = Vec::with_capacity(leaf.len());
        entries_of(&leaf, 0..first, &dense, lead, &mut kept).map_err(damaged)?;
        entries_of(&leaf, end..leaf.len(), &dense, lead, &mut kept).map_err(damaged)?;
        check_prefix(ptr.page, prefix, fences)?;
        let reply = self.pack_leaves(&kept, prefix, fences, false);
        drop(kept);
        self.discard(&ptr, page);
        reply
    }

    /// Joins two neighbouring leaves into one page with the bounds `fences` if they fit with a little room to spare.
    pub(super) fn join_leaves(&mut self, a: Ptr, b: Ptr, fences: &Fences) -> Result<Option<Ptr>> {
        let (left, right) = self.peek(&a, &b)?;
        let limit = left.len() / 16 * 15;
        let used = |page, ptr: &Ptr| Leaf::new(page).map(|leaf| leaf.used()).map_err(|d| d.at(ptr.page));
        if used(left, &a)? + used(right, &b)? - HEADER > limit {
            return Ok(None);
        }
        let (table, mut memory) = (self.table, self.arena.memory());
        let (left, right) = self.peek(&a, &b)?;
        let (x, y) = (
            Leaf::new(left).map_err(|d| d.at(a.page))?,
            Leaf::new(right).map_err(|d| d.at(b.page))?,
        );
        let plen = fences.prefix_len();
        let base = header::prefix_len(left).min(header::prefix_len(right)).min(plen);
        let (dense_x, dense_y) = (dense_bytes(&x), dense_bytes(&y));
        let mut joined = Vec::with_capacity(x.len() + y.len());
        entries_of(&x, 0..x.len(), &dense_x, &x.prefix()[base..], &mut joined).map_err(|d| d.at(a.page))?;
        entries_of(&y, 0..y.len(), &dense_y, &y.prefix()[base..], &mut joined).map_err(|d| d.at(b.page))?;
        if leaf_size(&joined, plen - base, plen) > limit {
            self.arena.recycle((memory, true));
            return Ok(None);
        }
        build_leaf(&mut memory, table, &fences.low[..plen], &joined, plen - base);
        let entries = joined.len() as u64;
        self.abandon(&a);
        self.abandon(&b);
        Ok(Some(Arena::ptr(self.arena.insert(memory), entries)))
    }

    /// Cuts `entries`, counted from `base`, into as many leaves as it takes. With `append`, the pages are filled to the
    /// brim: more will come behind them, not between.
    fn pack_leaves(&mut self, entries: &[Entry<'_>], base: &[u8], fences: &Fences, append: bool) -> Result<Reply> {
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
                let ptr = &mut pieces[n - 2].ptr;
                *ptr = self.emitter.emit(ptr.page, ptr.entries, self.arena, self.place)?;
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

/// The suffixes of new leaves are counted from the old one's prefix: a page that lies about it must not get that far.
fn check_prefix(page: u64, prefix: &[u8], fences: &Fences) -> Result<()> {
    match fences.low.starts_with(prefix) {
        true => Ok(()),
        false => Err(Error::corrupt(page, "a leaf's prefix is not that of its bounds")),
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
fn room_for<T>(entries: usize) -> Result<Vec<T>> {
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
    fn separator<'s, S: Source<'s>>(&self, at: usize, source: &S) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        self.write_separator(at, source, &mut out)?;
        Ok(out)
    }

    /// Puts that key into `out`, which is empty.
    fn write_separator<'s, S: Source<'s>>(&self, at: usize, source: &S, out: &mut Vec<u8>) -> Result<()> {
        if at > 0 && at < self.entries.len() {
            let (a, b) = (&self.entries[at - 1].suffix, &self.entries[at].suffix);
            out.reserve(self.base.len() + b.inline_len());
            let len = self.base.len() + a.common(b, source)? + 1;
            out.extend_from_slice(self.base);
            if len <= out.len() + b.inline_len() {
                b.write_to(out);
            } else {
                b.write_whole(source, out, u64::MAX)?;
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
    fn fits<'s, S: Source<'s>>(&self, from: usize, low: &[u8], to: usize, source: &S) -> Result<bool> {
        let mut high = self.scratch.take();
        high.clear();
        self.write_separator(to, source, &mut high)?;
        let plen = self.prefix_len(from, low, to, &high).max(self.base.len());
        self.scratch.set(high);
        let drop = plen - self.base.len();
        let n = to - from;
        if let Some((len, value)) = self.uniform {
            let width = len.saturating_sub(drop);
            let each = if n > 1 && (1..=8).contains(&width) {
                width.next_power_of_two() + value
            } else {
                SLOT + RECORD + width.saturating_sub(4) + value
            };
            return Ok(HEADER + plen + n * each <= self.size);
        }
        Ok(leaf_size(&self.entries[from..to], drop, plen) <= self.size)
    }

    /// End of the page that begins at `from`.
    fn next<'s, S: Source<'s>>(&self, from: usize, low: &[u8], append: bool, source: &S) -> Result<usize> {
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
    fn fill<'s, S: Source<'s>>(&self, from: usize, low: &[u8], source: &S) -> Result<usize> {
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
