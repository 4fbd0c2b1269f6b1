//! What `apply` does to a leaf: a few edits in place, more by merging ([`super::merge`]).

use super::append::Copied;
use super::apply::{check_level, Apply, Held, Piece, Reply};
use super::edits::Op;
use super::fences::Fences;
use super::merge::{Share, FEW, PART};
use super::sorted::Sorted;
use super::values::{is_long, release_value};
use crate::error::{Error, Result};
use crate::page::header::{self, CHECK_PREFIX};
use crate::page::layout::leaf::ENTRY;
use crate::page::layout::record::LENGTHS;
use crate::page::leaf::Leaf;
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
}
