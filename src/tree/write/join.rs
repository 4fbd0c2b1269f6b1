//! Joining a page that has much room with its neighbours below the same branch: two pages become one, or three leaves
//! become two.
//!
//! A page that changed is looked at if it is left with much room: a leaf that was built anew below five eighths of a page
//! ([`is_underfull`](super::apply::is_underfull)), any other page below half ([`is_half_empty`]). Two pages are joined
//! if there is room to spare in the page that they become, or if one of them is nearly empty. Where two leaves do not fit
//! one page, three of them share two if they hold no more than [`are_two_of_three`] allows. So a leaf below half whose
//! neighbours could be read stays so only between leaves that are full.
//!
//! *Not again and again.* A page of these is built with so much room that it takes many more entries before it is split,
//! and so full that it loses many before it is looked at again: each time costs three pages at most, and comes after a
//! change of an eighth of a page at least.
//!
//! Joining can shorten the prefix, since the fences of two pages together share less than those of each, and entries
//! grow by what it loses. A dense leaf may become a slotted one, whose entries take more. So sizes are computed under
//! the new prefix before the join is decided.

use super::apply::{are_two_of_three, is_half_empty, is_nearly_empty, Apply, Fill, NewPage, Reply};
use super::arena::Arena;
use super::branches::{BranchDraft, DraftChild, Separator};
use super::fences::Fences;
use super::leaf_cut::room_for;
use super::merge::check_prefix;
use super::node::{branch_in, leaf_in};
use super::values::{is_long_separator, release_rest, write_rest};
use crate::error::Result;
use crate::ids::U48_MAX;
use crate::page::branch_build::{branch_size, build_branch, children_of};
use crate::page::header::{self, HEADER};
use crate::page::leaf::Leaf;
use crate::page::leaf_build::{dense_bytes, entries_of, leaf_size, Entry};
use crate::page::suffix::{NewPrefix, Suffix};
use crate::page::{PageSink, PageSource, Ptr};
use std::ops::Range;

/// Two branches that lie side by side.
struct Neighbours {
    left: Ptr,
    right: Ptr,
    /// The fences of both together.
    fences: Fences,
    /// The most bytes that one page of both may use.
    limit: usize,
}

/// Returns the most bytes that the page may use which takes the place of two.
fn limit(less_used: usize, page_size: usize) -> usize {
    match is_nearly_empty(less_used, page_size) {
        true => page_size / 16 * 15,
        false => page_size / 16 * 13,
    }
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Joins the children of a branch that have much room with neighbours. Returns whether any was joined.
    pub(super) fn join_underfull(&mut self, draft: &mut BranchDraft<'_>) -> Result<bool> {
        let mut any = false;
        let mut i = 0;
        while i < draft.children.len() {
            if !draft.children[i].underfull {
                i += 1;
                continue;
            }
            let joined = match draft.level {
                2 => self.join_leaf(draft, i)?,
                _ => self.join_branch(draft, i)?,
            };
            match joined {
                // What was joined may still have much room, so it is looked at once more.
                Some(first) => i = first,
                None => i += 1,
            }
            any |= joined.is_some();
        }
        Ok(any)
    }

    /// Returns the bytes in use in a page, as far as joining is concerned: a leaf that was placed while its neighbours
    /// were built, and that waits to be written, counts as full. It nearly is, and need not be written early for a look.
    pub(super) fn used(&self, ptr: &Ptr) -> Result<usize> {
        if self.emitter.is_queued(ptr.page) {
            return Ok(self.source.page_size());
        }
        let page = self.bytes(ptr)?;
        Ok(match header::kind(page) {
            header::BRANCH => branch_in(page, ptr)?.used(),
            _ => leaf_in(page, ptr)?.used(),
        })
    }

    /// Joins leaf `i` of a branch with one neighbour, or with two so that one less is left. Returns the first leaf of
    /// what was joined.
    fn join_leaf(&mut self, draft: &mut BranchDraft<'_>, i: usize) -> Result<Option<usize>> {
        let (count, size) = (draft.children.len(), draft.page_size());
        let mut used = [0; 3];
        // The leaf and those before and behind it. Of leaves that are not there, nothing is used.
        for (k, used) in used.iter_mut().enumerate() {
            if let Some(child) = (i + k).checked_sub(1).and_then(|at| draft.children.get(at)) {
                let ptr = child.ptr;
                *used = self.used(&ptr)?;
            }
        }
        let [before, own, behind] = used;
        for (first, other) in [(Some(i), behind), (i.checked_sub(1), before)] {
            let limit = limit(own.min(other), size);
            let Some(first) = first.filter(|_| other > 0 && own + other - HEADER <= limit) else {
                continue;
            };
            if self.repack(draft, first..first + 2, limit)? {
                return Ok(Some(first));
            }
        }
        if count < 3 {
            return Ok(None);
        }
        // At an edge, the third leaf is the next but one.
        let first = i.saturating_sub(1).min(count - 3);
        let third = match i {
            0 => self.used(&draft.children[2].ptr)?,
            _ if i + 1 == count => self.used(&draft.children[count - 3].ptr)?,
            _ => 0,
        };
        let fits = are_two_of_three(used.iter().sum::<usize>() + third, size);
        Ok((fits && self.repack(draft, first..first + 3, size)?).then_some(first))
    }

    /// Builds one leaf less than there are from some leaves of a branch, if that works. If it is one leaf, it uses at
    /// most `limit` bytes. Returns false and changes nothing if it does not.
    fn repack(&mut self, draft: &mut BranchDraft<'_>, at: Range<usize>, limit: usize) -> Result<bool> {
        let fences = draft.fences_of(at.clone(), &self.source)?;
        let old: Vec<Ptr> = draft.children[at.clone()].iter().map(|child| child.ptr).collect();
        // Entries are borrowed of copies, because private pages are built meanwhile.
        let mut copies = Vec::with_capacity(old.len());
        for ptr in &old {
            self.make_readable(ptr)?;
            copies.push(self.bytes(ptr)?.to_vec());
        }
        let mut leaves = Vec::with_capacity(old.len());
        for (copy, ptr) in copies.iter().zip(&old) {
            leaves.push(leaf_in(copy, ptr)?);
        }
        let Some(new_pages) = self.pack_fewer(&leaves, &fences, limit)? else {
            return Ok(false);
        };
        old.iter().for_each(|ptr| self.release(ptr));
        let size = draft.page_size();
        for child in draft.children.drain(at.start + 1..at.end) {
            // Other separators stand between the new leaves.
            if let Separator::Old(separator) = child.separator {
                release_rest(&separator, draft.ptr.page, size, self.sink)?;
            }
        }
        let mut new_pages = new_pages.into_iter();
        if let Some(first) = new_pages.next() {
            let child = &mut draft.children[at.start];
            (child.ptr, child.underfull) = (first.ptr, first.underfull);
        }
        let behind = at.start + 1;
        let others = new_pages.map(|new| DraftChild::new(Separator::New(new.separator), new.ptr, new.underfull));
        draft.children.splice(behind..behind, others);
        Ok(true)
    }

    /// Builds fewer leaves from the entries of these, which lie side by side between `fences`. Returns `None` if they
    /// do not fit.
    fn pack_fewer(&mut self, leaves: &[Leaf<'_>], fences: &Fences, limit: usize) -> Result<Option<Vec<NewPage>>> {
        let plen = fences.prefix_len();
        let shortest = leaves.iter().map(|leaf| leaf.prefix().len()).min().unwrap_or(0);
        let common = shortest.min(plen);
        let dense: Vec<Vec<u8>> = leaves.iter().map(dense_bytes).collect();
        let mut entries: Vec<Entry<'_>> = room_for(leaves.iter().map(Leaf::len).sum())?;
        for (leaf, dense) in leaves.iter().zip(&dense) {
            check_prefix(leaf.at(), &leaf.prefix()[..common], fences)?;
            entries_of(leaf, 0..leaf.len(), dense, &leaf.prefix()[common..], &mut entries)?;
        }
        if leaves.len() == 2 && leaf_size(&entries, plen - common, plen) > limit {
            return Ok(None);
        }
        // None of the new leaves is placed before it is clear that all of them are wanted: a page that waits to be written
        // cannot be given back.
        let places_pages = std::mem::replace(&mut self.places_pages, false);
        let packed = self.pack_leaves(&entries, &fences.low[..common], fences, Fill::WithRoom);
        self.places_pages = places_pages;
        let new_pages = match packed? {
            Reply::One { ptr, underfull } => vec![NewPage {
                separator: Vec::new(),
                ptr,
                underfull,
            }],
            Reply::Many(new_pages) => new_pages,
        };
        if new_pages.len() < leaves.len() {
            return Ok(Some(new_pages));
        }
        new_pages.iter().for_each(|new_page| self.release(&new_page.ptr));
        Ok(None)
    }

    /// Joins branch `i` below a branch with a neighbour, the one behind if possible. Returns the page of both.
    fn join_branch(&mut self, draft: &mut BranchDraft<'_>, i: usize) -> Result<Option<usize>> {
        for left in [Some(i), i.checked_sub(1)].into_iter().flatten() {
            if left + 1 >= draft.children.len() {
                continue;
            }
            let [a, b] = [left, left + 1].map(|at| draft.children[at].ptr);
            let used = [self.used(&a)?, self.used(&b)?];
            // Most neighbours are too full, which can be seen without a look at their bounds.
            let limit = limit(used[0].min(used[1]), draft.page_size());
            if used[0] + used[1] - HEADER > limit {
                continue;
            }
            let both = Neighbours {
                left: a,
                right: b,
                fences: draft.fences_of(left..left + 2, &self.source)?,
                limit,
            };
            let between = draft.separator(left + 1, &self.source)?;
            let Some(ptr) = self.join_branches(&both, &between, draft.level - 1)? else {
                continue;
            };
            if let Separator::Old(separator) = draft.children.remove(left + 1).separator {
                release_rest(&separator, draft.ptr.page, draft.page_size(), self.sink)?;
            }
            let underfull = is_half_empty(self.used(&ptr)?, draft.page_size());
            let child = &mut draft.children[left];
            (child.ptr, child.underfull) = (ptr, underfull);
            return Ok(Some(left));
        }
        Ok(None)
    }

    /// Joins two branches of this level, between which the separator `between` stands, into one page if they fit.
    fn join_branches(&mut self, both: &Neighbours, between: &[u8], level: u8) -> Result<Option<Ptr>> {
        let Neighbours {
            left,
            right,
            fences,
            limit,
        } = both;
        let (plen, limit) = (fences.prefix_len(), *limit);
        let (a, b) = self.bytes_of_both(left, right)?;
        let size = a.len();
        if branch_in(a, left)?.used() + branch_in(b, right)?.used() + between.len().min(size) - HEADER > limit {
            return Ok(None);
        }
        let common = header::prefix_len(a).min(header::prefix_len(b)).min(plen);
        // Separators are borrowed of copies, because pages may be written meanwhile.
        let (a, b) = (a.to_vec(), b.to_vec());
        let (x, y) = (branch_in(&a, left)?, branch_in(&b, right)?);
        let mut children = Vec::with_capacity(x.len() + y.len());
        children_of(&x, &mut children)?;
        children_of(&y, &mut children)?;
        for (i, child) in children.iter_mut().enumerate() {
            child.separator.lead = match i < x.len() {
                true => &x.prefix()[common..],
                false => &y.prefix()[common..],
            };
        }
        // The first child of the right page had no separator; the parent had it.
        children[x.len()].separator = Suffix::of(between.get(common..).unwrap_or(&[]));
        let long;
        if is_long_separator(between, size) {
            // The rest is written only if the two pages would fit without the part of the separator that stays in the
            // page.
            if branch_size(&children, 0, plen) > limit + between.len() {
                return Ok(None);
            }
            self.has_long = true;
            long = write_rest(between, common, size, self.sink)?;
            children[x.len()].separator = long.suffix();
        }
        if branch_size(&children, plen - common, plen) > limit {
            release_rest(&children[x.len()].separator, left.page, size, self.sink)?;
            return Ok(None);
        }
        self.arena.prepare()?;
        let mut memory = self.arena.memory();
        let prefix = NewPrefix::of(&fences.low[..plen], common);
        build_branch(&mut memory, level, self.table, prefix, &children);
        let entries = left.entries.saturating_add(right.entries).min(U48_MAX);
        self.release(left);
        self.release(right);
        Ok(Some(Arena::ptr(self.arena.insert(memory), entries)))
    }
}
