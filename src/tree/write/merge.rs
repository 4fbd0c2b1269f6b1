//! Merging many edits with the entries of leaves, which are then cut into pages anew.
//!
//! Leaves that lie side by side and are each about to be rebuilt are merged together, so that what does not fit one of
//! them goes into its neighbours' pages. If each were merged alone, it would be split in two: a tree whose entries are
//! doubled at random would be left with pages two thirds full.
//!
//! The entries of several pages meet in one list, so their suffixes are all counted from one *common* prefix: the
//! shortest of the pages' prefixes and of the one that their fences give now. It is a prefix of every key within the
//! fences.

use super::apply::{Apply, Fill, OpenBranch, Reply};
use super::edits::Op;
use super::fences::Fences;
use super::groups::{Group, Groups};
use super::leaf_cut::room_for;
use super::node::{leaf_in, Node};
use super::sorted::{EditSlice, RECORDS_AHEAD};
use super::values::{is_long_key, release_rest, release_value, write_rest, LongKey};
use crate::error::{Error, Result};
use crate::ids::PageRef;
use crate::page::header;
use crate::page::layout::leaf::ENTRY;
use crate::page::layout::record::LENGTHS;
use crate::page::leaf::Leaf;
use crate::page::leaf_build::{dense_bytes, entries_of, Entry};
use crate::page::suffix::{leaf_key_max, Suffix};
use crate::page::{PageSink, PageSource, Ptr};
use crate::util::hash::fingerprint;

/// Up to this many edits of a leaf are done one by one in place. (All limits from 6 to 40 are equally fast; 2 costs 9
/// %.)
pub(super) const EDITS_IN_PLACE: usize = 8;
/// If there are more edits than this for one leaf, they are merged in parts, so that what is merged stays in the cache.
pub(super) const PART: usize = 2048;
/// The most bytes of leaves that are merged together. They stay in the cache, and the half page that is lost at their
/// end on average is little.
const TOGETHER: usize = 128 << 10;
/// At least this many leaves may be merged together, however large they are.
const TOGETHER_MIN: usize = 4;

/// A leaf, and the edits for it.
pub(super) struct LeafEdits<'a, 'e> {
    pub node: Node<'a>,
    pub edits: EditSlice<'e>,
}

/// A leaf that is being merged with its edits.
struct MergeInput<'e> {
    ptr: Ptr,
    leaf: Leaf<'e>,
    /// The suffixes of a dense leaf as bytes, see [`dense_bytes`].
    dense: Vec<u8>,
    edits: EditSlice<'e>,
    /// The long keys among the edits that the leaf does not have yet, in order. Their rests have been written.
    long: Vec<LongKey>,
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Merges a leaf with its edits, and builds as many leaves as it takes.
    pub(super) fn merge(&mut self, input: LeafEdits<'a, '_>, fences: &Fences, fill: Fill) -> Result<Reply> {
        let inputs = [input];
        let reply = self.merge_all(&inputs, fences, fill)?;
        let [input] = inputs;
        self.discard(input.node);
        Ok(reply)
    }

    /// Returns whether a leaf is to be merged with its neighbours, because more edits come than are done in place, or
    /// more bytes than it has room for.
    pub(super) fn is_too_much(&mut self, ptr: &Ptr, group: &Group<'_>) -> Result<bool> {
        let edits = group.edits;
        if edits.len() > PART || !self.brings_in(ptr, group)? {
            return Ok(false);
        }
        let leaf = leaf_in(self.bytes(ptr)?, ptr)?;
        let (size, used, prefix) = (leaf.bytes().len(), leaf.used(), leaf.prefix().len());
        let more = (0..edits.len().min(EDITS_IN_PLACE)).map(|i| match edits.op(i) {
            Op::Put(value) => ENTRY + LENGTHS + edits.key(i).len().saturating_sub(prefix) + value.bytes().len(),
            Op::Delete => 0,
        });
        Ok(edits.len() > EDITS_IN_PLACE || used + more.sum::<usize>() > size)
    }

    /// Returns whether the edits add entries rather than replace or delete some, as far as the first of them tells.
    /// (Returns false for the last leaf of the tree, which may be appended to.)
    fn brings_in(&mut self, ptr: &Ptr, group: &Group<'_>) -> Result<bool> {
        if group.fences.is_open() || !matches!(group.edits.op(0), Op::Put(_)) {
            return Ok(false);
        }
        self.make_readable(ptr)?;
        let leaf = leaf_in(self.bytes(ptr)?, ptr)?;
        Ok(leaf.position(group.edits.key(0), &self.source)?.is_err())
    }

    /// Merges the leaf `first` of a branch with its edits, together with the leaves behind it as long as those lie
    /// beside each other and get new entries, too.
    pub(super) fn merge_neighbours(
        &mut self,
        branch: &mut OpenBranch<'a>,
        groups: &mut Groups<'_>,
        first: (Ptr, Group<'_>),
    ) -> Result<()> {
        let most = TOGETHER_MIN.max(TOGETHER / self.source.page_size());
        let mut edits_in_all = first.1.edits.len();
        let mut leaves = vec![first];
        loop {
            groups.refill(&branch.node, branch.level, &self.source)?;
            let (Some((_, last)), Some(next)) = (leaves.last(), groups.peek()) else {
                break;
            };
            edits_in_all += next.edits.len();
            if leaves.len() >= most || edits_in_all > PART || !next.follows(last) {
                break;
            }
            let ptr = branch.node.branch()?.ptr(next.child);
            if !self.brings_in(&ptr, next)? {
                break;
            }
            leaves.extend(groups.next().map(|group| (ptr, group)));
        }

        let mut replaced = Vec::with_capacity(leaves.len());
        let mut inputs = Vec::with_capacity(leaves.len());
        let mut fences = Fences::whole();
        for (ptr, group) in leaves {
            if inputs.is_empty() {
                fences.low = group.fences.low;
            }
            fences.high = group.fences.high;
            replaced.push((group.child, ptr));
            inputs.push(LeafEdits {
                node: self.open(ptr, 1)?,
                edits: group.edits,
            });
        }
        let reply = self.merge_all(&inputs, &fences, Fill::WithRoom)?;
        for input in inputs {
            self.discard(input.node);
        }
        // The first child gives the reply, into which the others have vanished.
        let mut reply = Some(reply);
        for (at, ptr) in replaced {
            self.take_in(branch, at, ptr, reply.take().unwrap_or_else(Reply::none))?;
        }
        Ok(())
    }

    /// Merges leaves that lie side by side between `fences` with their edits, and builds as many leaves as it takes.
    fn merge_all(&mut self, inputs: &[LeafEdits<'a, '_>], fences: &Fences, fill: Fill) -> Result<Reply> {
        let shortest = inputs.iter().map(|input| header::prefix_len(&input.node.bytes)).min();
        let common = shortest.unwrap_or(0).min(fences.prefix_len());
        let mut leaves = Vec::with_capacity(inputs.len());
        let mut most = 0;
        for LeafEdits { node, edits } in inputs {
            let leaf = node.leaf()?;
            check_prefix(node.ptr.page, &leaf.prefix()[..common], fences)?;
            most += leaf.len() + edits.len();
            leaves.push(MergeInput {
                ptr: node.ptr,
                leaf,
                dense: dense_bytes(&leaf),
                edits: *edits,
                long: self.write_long_keys(node, *edits, common)?,
            });
        }
        let mut merged = room_for(most)?;
        for input in &leaves {
            self.merge_one(input, common, &mut merged)?;
        }
        let prefix = leaves.first().map_or(&[][..], |first| &first.leaf.prefix()[..common]);
        self.pack_leaves(&merged, prefix, fences, fill)
    }

    /// Adds a leaf's entries, as its edits leave them, to `merged`.
    fn merge_one<'e>(&mut self, input: &'e MergeInput<'e>, common: usize, merged: &mut Vec<Entry<'e>>) -> Result<()> {
        let MergeInput { leaf, dense, edits, .. } = input;
        let (page, source, size) = (input.ptr.page, self.source, leaf.bytes().len());
        let lead = &leaf.prefix()[common..];
        let mut next_long = input.long.iter();
        // The entries before this one are merged.
        let mut done = 0;
        (0..edits.len().min(RECORDS_AHEAD)).for_each(|i| edits.prefetch(i));
        for i in 0..edits.len() {
            edits.prefetch(i + RECORDS_AHEAD);
            let key = edits.key(i);
            let position = match done == leaf.len() {
                true => Err(done),
                false => leaf.position(key, &source)?,
            };
            let (Ok(at) | Err(at)) = position;
            if at > done {
                entries_of(leaf, done..at, dense, lead, merged)?;
                done = at;
            }
            let mut old_suffix = None;
            if position.is_ok() {
                if at < done {
                    return Err(Error::corrupt(page, "keys out of order"));
                }
                let old = leaf.value(at)?;
                release_value(&old, page, size, self.sink)?;
                if !leaf.is_dense() {
                    old_suffix = Some(leaf.slotted_suffix(at)?);
                }
                done = at + 1;
            }
            match edits.op(i) {
                Op::Delete => {
                    if let Some(suffix) = old_suffix {
                        release_rest(&suffix, page, size, self.sink)?;
                    }
                }
                Op::Put(value) => {
                    self.note_long(&value);
                    let suffix = match old_suffix {
                        // The key is the same, so the rest of it that lies outside the page stays.
                        Some(old) if old.long => Suffix { lead, ..old },
                        _ if is_long_key(key, size) => {
                            self.has_long = true;
                            next_long
                                .next()
                                .ok_or_else(|| Error::Panic("a long key was not written".into()))?
                                .suffix()
                        }
                        _ => Suffix::of(key.get(common..).unwrap_or(&[])),
                    };
                    merged.push(Entry {
                        suffix,
                        fingerprint: fingerprint(key),
                        value,
                    });
                }
            }
        }
        entries_of(leaf, done..leaf.len(), dense, lead, merged)
    }

    /// Writes the rests of the long keys that the edits put and the leaf does not have, in order.
    fn write_long_keys(&mut self, node: &Node<'a>, edits: EditSlice<'_>, common: usize) -> Result<Vec<LongKey>> {
        let size = node.size();
        let mut written = Vec::new();
        if edits.longest_key() <= leaf_key_max(size) {
            return Ok(written);
        }
        let leaf = node.leaf()?;
        for i in 0..edits.len() {
            let key = edits.key(i);
            let new = is_long_key(key, size)
                && matches!(edits.op(i), Op::Put(_))
                && leaf.position(key, &self.source)?.is_err();
            if new {
                written.push(write_rest(key, common, size, self.sink)?);
            }
        }
        Ok(written)
    }
}

/// Checks that `prefix`, which is or begins a leaf's prefix, fits the leaf's fences. The suffixes of new leaves are
/// counted from it, so a page that lies about its prefix is refused here.
pub(super) fn check_prefix(page: PageRef, prefix: &[u8], fences: &Fences) -> Result<()> {
    match fences.low.starts_with(prefix) {
        true => Ok(()),
        false => Err(Error::corrupt(page, "a leaf's prefix is not that of its bounds")),
    }
}
