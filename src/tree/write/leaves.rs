//! What `apply` does to a leaf: a few edits in place, more by merging ([`super::merge`]).

use super::append::Copied;
use super::apply::{check_level, Apply, Held, Piece, Reply};
use super::arena::Arena;
use super::edits::{Op, Sorted};
use super::fences::Fences;
use super::merge::{check_prefix, Share, FEW, PART};
use super::values::{is_long, release_rest, release_value};
use crate::error::{Error, Result};
use crate::page::header::{self, CHECK_PREFIX, HEADER};
use crate::page::layout::leaf::ENTRY;
use crate::page::layout::record::LENGTHS;
use crate::page::leaf::Leaf;
use crate::page::leaf_build::{build_leaf, dense_bytes, entries_of, leaf_size};
use crate::page::suffix::Suffix;
use crate::page::{leaf_edit, PageSink, PageSource, Ptr};
use crate::util::hash::fingerprint;
use crate::util::short::Short;

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
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
        self.merge(Share { ptr, page, from, to }, edits, fences, append)
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
            let share = Share {
                ptr,
                page,
                from,
                to: end,
            };
            match self.merge(share, edits, &part, fill)? {
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
                release_value(&old, ptr.page, size, self.sink)?;
                leaf_edit::remove(self.own(ptr, page), i);
            }
            (Op::Put(value), Err(i)) => {
                self.note_long(&value);
                let need = ENTRY + LENGTHS + suffix.tail.len() + value.bytes().len();
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
                release_value(&old, ptr.page, size, self.sink)?;
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

    pub(super) fn note_long(&mut self, value: &crate::page::leaf::Stored<'_>) {
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
        let (from, to) = range;
        self.merge(Share { ptr, page, from, to }, edits, fences, true)
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
                release_rest(&leaf.slotted_suffix(i).map_err(damaged)?, ptr.page, size, self.sink)?;
            }
            release_value(&leaf.value(i).map_err(damaged)?, ptr.page, size, self.sink)?;
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
}
