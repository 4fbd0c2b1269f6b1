//! Merging many edits with the entries of leaves, which are then cut into pages anew.
//!
//! Leaves that lie side by side and are each about to be rebuilt are merged together: what one of them has too much goes
//! into its neighbours' pages. Alone, each of them would be split in two, and a tree into which as many entries are put as
//! it has, at random, would be left with pages two thirds full.

use super::apply::{check_level, Apply, Held, Reply};
use super::edits::Op;
use super::fences::Fences;
use super::groups::{Group, Groups};
use super::leaf_cut::room_for;
use super::sorted::{Sorted, RECORDS_AHEAD};
use super::values::{is_long, release_rest, release_value, write_rest, LongKey};
use crate::error::{Error, Result};
use crate::ids::PageRef;
use crate::page::branch::Branch;
use crate::page::header;
use crate::page::layout::leaf::ENTRY;
use crate::page::layout::record::LENGTHS;
use crate::page::leaf::Leaf;
use crate::page::leaf_build::{dense_bytes, entries_of, Entry};
use crate::page::suffix::{key_inline_max, Suffix};
use crate::page::{PageSink, PageSource, Ptr};
use crate::util::hash::fingerprint;

/// Up to this many edits of a leaf are done one by one in place (flat between 6 and 40; 2 costs 9 %).
pub(super) const FEW: usize = 8;
/// More edits than this for one leaf are merged in parts, so that what is being merged stays in the cache.
pub(super) const PART: usize = 2048;
/// So many bytes of leaves are merged together: they stay in the cache, and what is lost at the end, half a page, is little.
const BESIDE: usize = 128 << 10;
/// So many leaves are, however large.
const BESIDE_MIN: usize = 4;

/// A leaf, and the edits `from..to` for it.
pub(super) struct Share<'a> {
    pub ptr: Ptr,
    pub page: Held<'a>,
    pub from: usize,
    pub to: usize,
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Merges a leaf with its edits, and builds as many leaves as it takes.
    pub(super) fn merge(
        &mut self,
        share: Share<'a>,
        edits: &Sorted<'_>,
        fences: &Fences,
        append: bool,
    ) -> Result<Reply> {
        let shares = [share];
        let reply = self.merge_all(&shares, edits, fences, append)?;
        let [share] = shares;
        self.discard(&share.ptr, share.page);
        Ok(reply)
    }

    /// Whether a leaf is to be merged with those beside it: what is put into it is much, or more than it has room for.
    pub(super) fn is_too_much(&mut self, ptr: &Ptr, group: &Group, edits: &Sorted<'_>) -> Result<bool> {
        if group.len() > PART || !self.brings_in(ptr, group, edits)? {
            return Ok(false);
        }
        let leaf = Leaf::new(self.look(ptr)?).map_err(|d| d.at(ptr.page))?;
        let (size, used, prefix) = (leaf.bytes().len(), leaf.used(), leaf.prefix().len());
        let more = (group.from..group.to.min(group.from + FEW)).map(|i| match edits.op(i) {
            Op::Put(value) => ENTRY + LENGTHS + edits.key(i).len().saturating_sub(prefix) + value.bytes().len(),
            Op::Delete => 0,
        });
        Ok(group.len() > FEW || used + more.sum::<usize>() > size)
    }

    /// Whether the edits are such as add entries, rather than replace or delete some: the first tells for all. (The last
    /// leaf of the tree is left alone: it may be appended to.)
    fn brings_in(&mut self, ptr: &Ptr, group: &Group, edits: &Sorted<'_>) -> Result<bool> {
        if group.fences.high.is_none() || !matches!(edits.op(group.from), Op::Put(_)) {
            return Ok(false);
        }
        self.settle(ptr)?;
        let leaf = Leaf::new(self.look(ptr)?).map_err(|d| d.at(ptr.page))?;
        Ok(leaf.position(edits.key(group.from), ptr.page, &self.source)?.is_err())
    }

    /// The next leaf to be merged with these: it lies beside them, and will change, too.
    pub(super) fn next_beside(
        &mut self,
        leaves: &[(Ptr, Group)],
        groups: &mut Groups,
        branch: &Branch<'_>,
        edits: &Sorted<'_>,
    ) -> Result<Option<(Ptr, Group)>> {
        let (Some((_, first)), Some((_, last)), Some(next)) = (leaves.first(), leaves.last(), groups.peek()) else {
            return Ok(None);
        };
        let most = BESIDE_MIN.max(BESIDE / self.source.page_size());
        if leaves.len() >= most || next.to - first.from > PART || !next.follows(last) {
            return Ok(None);
        }
        let ptr = branch.ptr(next.child);
        Ok(match self.brings_in(&ptr, next, edits)? {
            true => groups.next().map(|group| (ptr, group)),
            false => None,
        })
    }

    /// Merges leaves that lie side by side with their edits.
    pub(super) fn merge_beside(&mut self, leaves: Vec<(Ptr, Group)>, edits: &Sorted<'_>) -> Result<Reply> {
        let mut bounds = Fences::whole();
        let mut shares = Vec::with_capacity(leaves.len());
        for (ptr, group) in leaves {
            let page = self.hold(&ptr)?;
            check_level(&page, &ptr, 1)?;
            let (from, to) = (group.from, group.to);
            if shares.is_empty() {
                bounds.low = group.fences.low;
            }
            bounds.high = group.fences.high;
            shares.push(Share { ptr, page, from, to });
        }
        let reply = self.merge_all(&shares, edits, &bounds, false)?;
        for share in shares {
            self.discard(&share.ptr, share.page);
        }
        Ok(reply)
    }

    fn merge_all(&mut self, shares: &[Share<'a>], edits: &Sorted<'_>, fences: &Fences, append: bool) -> Result<Reply> {
        // All suffixes are counted from the shortest of the pages' prefixes and the one their bounds give now.
        let shortest = shares.iter().map(|share| header::prefix_len(&share.page)).min();
        let base = shortest.unwrap_or(0).min(fences.prefix_len());
        let mut leaves = Vec::with_capacity(shares.len());
        let mut entries = 0;
        for share in shares {
            let leaf = Leaf::new(&share.page).map_err(|d| d.at(share.ptr.page))?;
            let long = self.write_long_keys(&leaf, share, edits, base)?;
            entries += leaf.len() + share.to - share.from;
            leaves.push((share, leaf, dense_bytes(&leaf), long));
        }
        let mut merged = room_for(entries)?;
        for (share, leaf, dense, long) in &leaves {
            check_prefix(share.ptr.page, &leaf.prefix()[..base], fences)?;
            self.merge_one(share, leaf, dense, long, edits, base, &mut merged)?;
        }
        let prefix = leaves.first().map_or(&[][..], |(_, leaf, ..)| &leaf.prefix()[..base]);
        self.pack_leaves(&merged, prefix, fences, append)
    }

    /// Adds a leaf's entries, as its edits leave them, to `merged`.
    #[allow(clippy::too_many_arguments)]
    fn merge_one<'e>(
        &mut self,
        share: &Share<'a>,
        leaf: &Leaf<'e>,
        dense: &'e [u8],
        long: &'e [LongKey],
        edits: &'e Sorted<'_>,
        base: usize,
        merged: &mut Vec<Entry<'e>>,
    ) -> Result<()> {
        let (ptr, source, size) = (&share.ptr, self.source, share.page.len());
        let damaged = |d: header::Damage| d.at(ptr.page);
        let lead = &leaf.prefix()[base..];
        let mut next_long = long.iter();
        let mut done = 0;
        let (from, to) = (share.from, share.to);
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
                entries_of(leaf, done..at, dense, lead, merged).map_err(damaged)?;
                done = at;
            }
            let mut old_suffix = None;
            if position.is_ok() {
                if at < done {
                    return Err(Error::corrupt(ptr.page, "keys out of order"));
                }
                let old = leaf.value(at).map_err(damaged)?;
                release_value(&old, ptr.page, size, self.sink)?;
                if !leaf.is_dense() {
                    old_suffix = Some(leaf.slotted_suffix(at).map_err(damaged)?);
                }
                done = at + 1;
            }
            match edits.op(i) {
                Op::Delete => {
                    if let Some(suffix) = old_suffix {
                        release_rest(&suffix, ptr.page, size, self.sink)?;
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
                }
            }
        }
        entries_of(leaf, done..leaf.len(), dense, lead, merged).map_err(damaged)
    }

    /// Writes the rests of the long keys that the edits bring in new, in order.
    fn write_long_keys(
        &mut self,
        leaf: &Leaf<'_>,
        share: &Share<'a>,
        edits: &Sorted<'_>,
        base: usize,
    ) -> Result<Vec<LongKey>> {
        let size = leaf.bytes().len();
        let mut written = Vec::new();
        if edits.longest_key() <= key_inline_max(size) {
            return Ok(written);
        }
        for i in share.from..share.to {
            let key = edits.key(i);
            let new = is_long(key, size)
                && matches!(edits.op(i), Op::Put(_))
                && leaf.position(key, share.ptr.page, &self.source)?.is_err();
            if new {
                written.push(write_rest(key, base, size, self.sink)?);
            }
        }
        Ok(written)
    }
}

/// The suffixes of new leaves are counted from the old one's prefix: a page that lies about it must not get that far.
pub(super) fn check_prefix(page: PageRef, prefix: &[u8], fences: &Fences) -> Result<()> {
    match fences.low.starts_with(prefix) {
        true => Ok(()),
        false => Err(Error::corrupt(page, "a leaf's prefix is not that of its bounds")),
    }
}
