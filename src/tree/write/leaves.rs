//! What `apply` does to a leaf.
//!
//! | edits                                   | way                                                   |
//! |-----------------------------------------|-------------------------------------------------------|
//! | a few, and room for them                | one by one in place (here)                            |
//! | behind every entry of the tree, plain   | the log is cut into leaves as it is (`append`)        |
//! | any others                              | edits and entries are merged and cut anew (`merge`)   |
//! | thousands                               | they are merged some at a time (here)                 |
//!
//! Whatever the way, each key of a leaf lies within its fences and begins with its prefix, and the leaf's pointer
//! counts its entries.

use super::append::CopiedEntries;
use super::apply::{has_lost_much, is_nearly_empty, Apply, Fill, NewPage, Reply};
use super::edits::Op;
use super::fences::{self, Fences};
use super::merge::{LeafEdits, EDITS_IN_PLACE, PART};
use super::node::{Node, NodeBytes};
use super::sorted::EditSlice;
use super::values::{is_long_key, release_value};
use crate::error::{Error, Result};
use crate::page::header::{self, CHECK_PREFIX};
use crate::page::layout::leaf::ENTRY;
use crate::page::layout::record::LENGTHS;
use crate::page::suffix::Suffix;
use crate::page::{leaf_edit, PageSink, PageSource, Ptr};
use crate::util::hash::fingerprint;

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Applies `edits`, all of them within `fences`, to the leaf at `ptr`.
    pub(super) fn leaf(&mut self, ptr: Ptr, edits: EditSlice<'_>, fences: &Fences) -> Result<Reply> {
        // What edits at positions have taken from the leaf counts like what these edits take.
        let before = ptr.page.as_private().map_or(0, |page| self.arena.used_before(page));
        let mut node = self.open(ptr, 1)?;
        let mut edits = edits;
        if edits.len() <= EDITS_IN_PLACE {
            let before = before.max(node.leaf()?.used());
            // Edits are done in place up to the first that cannot be, and only the others are merged.
            while !edits.is_empty() && self.edit_in_place(&mut node, edits.key(0), edits.op(0))? {
                (_, edits) = edits.split_at(1);
            }
            if edits.is_empty() {
                return self.finish_leaf(node, before);
            }
        }
        let behind_all = self.is_behind_all(&node, edits.key(0), fences)?;
        if behind_all && edits.is_plain(node.size()) {
            if let Some(copied) = self.copy_entries(&node)? {
                return self.append(node, &copied, edits, fences);
            }
        }
        if edits.len() > PART {
            return self.merge_parts(node, edits, fences);
        }
        let fill = if behind_all { Fill::Full } else { Fill::WithRoom };
        self.merge(LeafEdits { node, edits }, fences, fill)
    }

    /// Returns whether `key`, which belongs to this leaf, lies behind every entry of the tree.
    fn is_behind_all(&self, node: &Node<'a>, key: &[u8], fences: &Fences) -> Result<bool> {
        if !fences.is_open() {
            return Ok(false);
        }
        let leaf = node.leaf()?;
        Ok(leaf.position(key, &self.source)? == Err(leaf.len()))
    }

    /// Returns how many of the edits do not lie behind every entry of the leaf.
    fn count_among(&self, node: &Node<'a>, edits: EditSlice<'_>) -> Result<usize> {
        let leaf = node.leaf()?;
        let (mut low, mut high) = (0, edits.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if leaf.position(edits.key(middle), &self.source)? == Err(leaf.len()) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// Merges many edits with a leaf, part by part. The last page that one part gives takes the next part.
    fn merge_parts(&mut self, node: Node<'a>, edits: EditSlice<'_>, fences: &Fences) -> Result<Reply> {
        let mut new_pages: Vec<NewPage> = Vec::new();
        let (mut node, mut low) = (node, Vec::new());
        // The first part has all edits that lie among the entries of the leaf. Later parts only add behind them, so no
        // page that a part leaves behind has edits to come, and none can vanish.
        let mut at_least = self.count_among(&node, edits)?;
        let mut rest = edits;
        loop {
            // A last part of less than half the usual length goes with the one before.
            let usual = if rest.len() > PART + PART / 2 { PART } else { rest.len() };
            let (part, others) = rest.split_at(usual.max(std::mem::take(&mut at_least)));
            let part_fences = Fences {
                low: match new_pages.is_empty() {
                    true => fences::copy(&fences.low)?,
                    false => fences::copy(&low)?,
                },
                high: fences.high.as_deref().map(fences::copy).transpose()?,
            };
            // All pages but the last are filled if more edits come, because those go behind them.
            let fill = match !others.is_empty() || self.is_behind_all(&node, part.key(0), fences)? {
                true => Fill::Full,
                false => Fill::WithRoom,
            };
            match self.merge(LeafEdits { node, edits: part }, &part_fences, fill)? {
                Reply::One { ptr, underfull } => new_pages.push(NewPage {
                    separator: low,
                    ptr,
                    underfull,
                }),
                Reply::Many(mut more) => {
                    if let Some(first) = more.first_mut() {
                        first.separator = low;
                    }
                    new_pages.append(&mut more);
                }
            }
            if others.is_empty() {
                return Ok(Reply::of(new_pages));
            }
            rest = others;
            self.arena.prepare()?;
            (low, node) = match new_pages.pop() {
                Some(last) => (last.separator, self.open(last.ptr, 1)?),
                // The part left no entry, so the next one begins with an empty leaf.
                None => (Vec::new(), self.empty_leaf()),
            };
        }
    }

    /// Returns a private leaf without entries, which no pointer leads to.
    fn empty_leaf(&mut self) -> Node<'a> {
        let mut memory = self.arena.memory();
        header::begin(&mut memory, header::LEAF, 1, self.table, &[]);
        Node {
            ptr: Ptr::default(),
            bytes: NodeBytes::Private(memory),
        }
    }

    /// Does one edit in place if possible. If not, returns false, and the page has the same entries as before.
    fn edit_in_place(&mut self, node: &mut Node<'a>, key: &[u8], op: Op<'_>) -> Result<bool> {
        // In a page whose fences grew, the key may lack the prefix: a rebuild puts that right.
        if header::flags(&node.bytes) & CHECK_PREFIX != 0 {
            return Ok(false);
        }
        let position = node.leaf()?.position(key, &self.source)?;
        self.edit_entry(node, position, key, op)
    }

    /// Does one edit in place if possible, where the place of `key` in the leaf is known: the entry that has it (`Ok`)
    /// or the one before which it belongs (`Err`). If not, returns false, and the page has the same entries as before.
    pub(super) fn edit_entry(
        &mut self,
        node: &mut Node<'a>,
        position: std::result::Result<usize, usize>,
        key: &[u8],
        op: Op<'_>,
    ) -> Result<bool> {
        let (at, size) = (node.ptr.page, node.size());
        // A long key needs pages of its own. A new key may lack the prefix of a page whose fences grew.
        let lacks_prefix = position.is_err() && header::flags(&node.bytes) & CHECK_PREFIX != 0;
        if is_long_key(key, size) || lacks_prefix && matches!(op, Op::Put(_)) {
            return Ok(false);
        }
        let leaf = node.leaf()?;
        let suffix = Suffix::of(key.get(header::prefix_len(&node.bytes)..).unwrap_or(&[]));
        match (op, position) {
            // There is nothing to delete, so the page need not even be copied.
            (Op::Delete, Err(_)) => {}
            (Op::Delete, Ok(i)) => {
                let old = leaf.value(i)?;
                release_value(&old, at, size, self.sink)?;
                leaf_edit::remove(self.make_private(node), i);
            }
            (Op::Put(value), Err(i)) => {
                self.note_long(&value);
                let need = ENTRY + LENGTHS + suffix.remainder.len() + value.bytes().len();
                if !leaf.is_dense() && leaf.used() + need > size {
                    return Ok(false);
                }
                let page = self.make_private(node);
                return Ok(leaf_edit::insert(page, i, &suffix, fingerprint(key), &value));
            }
            (Op::Put(value), Ok(i)) => {
                self.note_long(&value);
                let old = leaf.value(i)?;
                let same = old.is_chain() == value.is_chain() && old.bytes().len() == value.bytes().len();
                if !same && leaf.is_dense() {
                    return Ok(false);
                }
                if !same && leaf.used() + value.bytes().len() > size + old.bytes().len() {
                    return Ok(false);
                }
                // From here on the edit succeeds, so the old value's pages are given back only once.
                release_value(&old, at, size, self.sink)?;
                let page = self.make_private(node);
                if !leaf_edit::overwrite(page, i, &value) {
                    leaf_edit::remove(page, i);
                    if !leaf_edit::insert(page, i, &suffix, fingerprint(key), &value) {
                        // Room was checked above, so the page lies about itself.
                        return Err(Error::corrupt(at, "leaf has less room than it says"));
                    }
                }
            }
        }
        Ok(true)
    }

    /// Takes note of a value that lies outside its leaf, so that from now on leaves are read before they are dropped.
    pub(super) fn note_long(&mut self, value: &crate::page::leaf::Stored<'_>) {
        self.has_long |= value.is_chain();
    }

    /// Ends work on a leaf that was edited in place, and that used `before` bytes before.
    fn finish_leaf(&mut self, mut node: Node<'a>, before: usize) -> Result<Reply> {
        let leaf = node.leaf()?;
        let (entries, used) = (leaf.len() as u64, leaf.used());
        if entries == 0 {
            self.discard(node);
            return Ok(Reply::none());
        }
        // A page that was small before and did not change is left alone: joining it would change its neighbour as well.
        // If it is not smaller than before, its neighbours were found to be too full, or become smaller themselves.
        let size = node.size();
        let underfull = node.is_private() && (has_lost_much(before, used, size) || is_nearly_empty(used, size));
        node.ptr.entries = entries;
        let ptr = self.close(node);
        Ok(Reply::One { ptr, underfull })
    }

    /// Builds the leaves of a tree that had none.
    pub(super) fn fill_empty(&mut self, edits: EditSlice<'_>, fences: &Fences) -> Result<Reply> {
        self.arena.prepare()?;
        let node = self.empty_leaf();
        if edits.is_plain(node.size()) {
            return self.append(node, &CopiedEntries::default(), edits, fences);
        }
        if edits.len() > PART {
            return self.merge_parts(node, edits, fences);
        }
        self.merge(LeafEdits { node, edits }, fences, Fill::Full)
    }
}
