//! Joining a page that has much room with its neighbours below the same branch: two pages become one, three leaves
//! become two, or four become three.
//!
//! A page that changed is looked at if it is left with much room: a leaf that was built anew below five eighths of a
//! page ([`is_underfull`](super::apply::is_underfull)), a leaf that lost entries or bytes of them if
//! [`has_lost_much`](super::apply::has_lost_much) says so, a branch below half ([`is_half_empty`]). Two pages are
//! joined if there is room to spare in the page that they become, or if one of them is nearly empty. Where they do not
//! fit one page, three leaves share two, or four share three, if they hold no more than [`does_one_less`] allows. So a
//! leaf below half whose neighbours could be read stays so only between leaves that are full.
//!
//! *Many at once.* Where more leaves side by side have much room than these ways take, as a cursor leaves them that
//! deletes every other entry, all of them become as few as they need. Two by two, each leaf would be built several
//! times.
//!
//! *Not again and again.* A sixteenth of each leaf that three or four become stays free, so a leaf beside others that
//! are as full is split by the next few entries. That costs less than it saves where entries go as often as they come.
//! A leaf that is more than half full is looked at when it falls below three quarters and below five eighths of a
//! page, and not in between. The look itself reads up to four neighbours and writes none.
//!
//! Joining can shorten the prefix, since the fences of two pages together share less than those of each, and entries
//! grow by what it loses. A dense leaf may become a slotted one, whose entries take more. So sizes are computed under
//! the new prefix before the join is decided.

use super::apply::{does_one_less, is_half_empty, is_nearly_empty, Apply, Fill, NewPage, Reply};
use super::arena::Arena;
use super::branches::{BranchDraft, DraftChild, Separator};
use super::fences::Fences;
use super::leaf_cut::room_for;
use super::merge::check_prefix;
use super::node::{branch_in, leaf_in};
use super::values::{is_long_separator, release_rest, write_rest};
use crate::error::{Error, Result};
use crate::ids::U48_MAX;
use crate::page::branch::Branch;
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

/// The most leaves of which one less is made.
const MOST: usize = 4;
/// The same for the halves of a leaf that was split. Four leaves that become three are one more to write, and a tree
/// that grows has no lasting gain from it: commits of 1000 puts of new keys would write a tenth more pages.
const MOST_OF_SPLIT: usize = 3;

/// The most bytes of leaves that are joined at once. They stay in the cache.
const AT_ONCE: usize = 128 << 10;

/// Leaves below one branch that are looked at: how many there are, how large pages are, and what returns the bytes that
/// one of them uses.
struct Row<U> {
    count: usize,
    page_size: usize,
    used: U,
}

/// How many leaves become one less, and how many of them lie before the one that has much room, in the order in which
/// this is tried. At an edge, others take the place of missing ones.
const WAYS: [(usize, usize); 5] = [(2, 0), (2, 1), (3, 1), (4, 1), (4, 2)];

impl<U: Fn(usize) -> Result<usize>> Row<U> {
    /// Returns the leaves, leaf `i` and some beside it, that may become one less in this of the [`WAYS`] if it takes no
    /// more than `most`, and the most bytes that a leaf may use if it takes the place of two.
    fn joinable(&self, way: (usize, usize), i: usize, most: usize) -> Result<Option<(Range<usize>, usize)>> {
        let (leaves, before) = way;
        if leaves > most.min(self.count) {
            return Ok(None);
        }
        let first = i.saturating_sub(before).min(self.count - leaves);
        let leaves = first..first + leaves;
        let limit = one_less(leaves.clone(), self.page_size, &self.used)?;
        Ok(limit.map(|limit| (leaves, limit)))
    }

    /// Returns whether leaf `i` may be joined in any way.
    fn has_way(&self, i: usize, most: usize) -> Result<bool> {
        for way in WAYS {
            if self.joinable(way, i, most)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Returns the most bytes that a leaf may use if one leaf less takes what these have, or `None` if they stay. `used`
/// returns the bytes that one of them uses. Leaves beside a damaged one stay: that is no reason to refuse an edit.
fn one_less(leaves: Range<usize>, page_size: usize, used: impl Fn(usize) -> Result<usize>) -> Result<Option<usize>> {
    let count = leaves.len();
    let (mut all, mut least) = (0, page_size);
    for at in leaves {
        let used = match used(at) {
            Err(Error::Corrupt(_)) => return Ok(None),
            used => used?,
        };
        (all, least) = (all + used, least.min(used));
    }
    let limit = if count == 2 { limit(least, page_size) } else { page_size };
    let fit = match count {
        2 => all - HEADER <= limit,
        _ => does_one_less(count, all, page_size),
    };
    Ok(fit.then_some(limit))
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
    /// were built, and that waits to be written, counts as full. It nearly is, and need not be written early for a
    /// look.
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

    /// Returns whether leaf `i` of a branch may be joined with leaves beside it.
    pub(super) fn is_joinable(&self, branch: &Branch<'_>, i: usize, page_size: usize) -> Result<bool> {
        let row = Row {
            count: branch.len(),
            page_size,
            used: |at: usize| self.used(&branch.ptr(at)),
        };
        row.has_way(i, MOST)
    }

    /// Returns whether branch `i` below a branch may be joined with a neighbour, as far as the bytes that they use
    /// tell.
    pub(super) fn is_branch_joinable(&self, branch: &Branch<'_>, i: usize, page_size: usize) -> Result<bool> {
        for left in [Some(i), i.checked_sub(1)].into_iter().flatten() {
            if left + 1 < branch.len()
                && self
                    .may_share(&branch.ptr(left), &branch.ptr(left + 1), page_size)?
                    .is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the most bytes that one page may use which takes the place of two branches, or `None` if they use more.
    fn may_share(&self, left: &Ptr, right: &Ptr, page_size: usize) -> Result<Option<usize>> {
        let used = [self.used(left)?, self.used(right)?];
        let limit = limit(used[0].min(used[1]), page_size);
        Ok((used[0] + used[1] - HEADER <= limit).then_some(limit))
    }

    /// Returns whether one of the `halves` of leaf `i`, which was split, may be joined with leaves beside it.
    pub(super) fn is_half_joinable(
        &self,
        branch: &Branch<'_>,
        i: usize,
        halves: [&Ptr; 2],
        page_size: usize,
    ) -> Result<bool> {
        let row = Row {
            count: branch.len() + 1,
            page_size,
            used: |at: usize| match at.checked_sub(i) {
                None => self.used(&branch.ptr(at)),
                Some(half @ (0 | 1)) => self.used(halves[half]),
                Some(_) => self.used(&branch.ptr(at - 1)),
            },
        };
        Ok(row.has_way(i, MOST_OF_SPLIT)? || row.has_way(i + 1, MOST_OF_SPLIT)?)
    }

    /// Joins leaf `i` of a branch with leaves beside it, so that one less is left. Returns the first leaf of what was
    /// joined.
    fn join_leaf(&mut self, draft: &mut BranchDraft<'_>, i: usize) -> Result<Option<usize>> {
        // A new separator stands between the two halves of a leaf that was split, and between leaves that were joined.
        let is_new = |child: &DraftChild<'_>| matches!(child.separator, Separator::New(_));
        let was_split = draft.children[i..].iter().take(2).any(is_new);
        let most = if was_split { MOST_OF_SPLIT } else { MOST };
        if let Some(leaves) = self.run_with_room(draft, i)? {
            if self.repack(draft, leaves, draft.page_size())? {
                return Ok(Some(i));
            }
        }
        for way in WAYS {
            let row = Row {
                count: draft.children.len(),
                page_size: draft.page_size(),
                used: |at: usize| self.used(&draft.children[at].ptr),
            };
            if let Some((leaves, limit)) = row.joinable(way, i, most)? {
                if self.repack(draft, leaves.clone(), limit)? {
                    return Ok(Some(leaves.start));
                }
            }
        }
        Ok(None)
    }

    /// Returns leaf `i` of a branch with those behind it, if they all have much room, are more than any of the [`WAYS`]
    /// takes, and may become fewer.
    fn run_with_room(&self, draft: &BranchDraft<'_>, i: usize) -> Result<Option<Range<usize>>> {
        let page_size = draft.page_size();
        let most = AT_ONCE / page_size;
        let has_room = |child: &&DraftChild<'_>| child.underfull && !self.emitter.is_queued(child.ptr.page);
        let run = draft.children[i..].iter().take(most).take_while(has_room).count();
        if run <= MOST {
            return Ok(None);
        }
        let used = |at: usize| self.used(&draft.children[at].ptr);
        Ok(one_less(i..i + run, page_size, used)?.map(|_| i..i + run))
    }

    /// Builds fewer leaves than there are from some leaves of a branch, if that works. If it is one leaf, it uses at
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
        // None of the new leaves is placed before it is clear that all of them are wanted: a page that waits to be
        // written cannot be given back.
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
            // Most neighbours are too full, which can be seen without a look at their bounds.
            let Some(limit) = self.may_share(&a, &b, draft.page_size())? else {
                continue;
            };
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
