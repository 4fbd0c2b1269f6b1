//! Joining an underfull page with a neighbour below the same branch, where both fit one page.
//!
//! The joined page may be 15/16 full: with less room to spare the next puts would split it again. Joining can shorten
//! the prefix, since the fences of two pages together share less than those of each, and entries grow by what it loses.
//! So sizes are computed under the new prefix before the join is decided.

use super::apply::{is_underfull, Apply};
use super::arena::Arena;
use super::branches::{BranchDraft, Separator};
use super::fences::Fences;
use super::node::{branch_in, leaf_in};
use super::values::{is_long_separator, release_rest, write_rest};
use crate::error::Result;
use crate::ids::U48_MAX;
use crate::page::branch_build::{branch_size, build_branch, children_of};
use crate::page::header::{self, HEADER};
use crate::page::leaf_build::{build_leaf, dense_bytes, entries_of, leaf_size};
use crate::page::suffix::{NewPrefix, Suffix};
use crate::page::{PageSink, PageSource, Ptr};

/// Two pages that lie side by side.
struct Neighbours {
    left: Ptr,
    right: Ptr,
    /// The fences of both together.
    fences: Fences,
}

/// Returns the most bytes that a joined page may use.
fn limit(page_size: usize) -> usize {
    page_size / 16 * 15
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Joins the underfull children of a branch with a neighbour each, the one behind if possible. Returns whether any
    /// was joined.
    pub(super) fn join_underfull(&mut self, draft: &mut BranchDraft<'_>) -> Result<bool> {
        let mut any = false;
        let mut i = 0;
        while i < draft.children.len() {
            if !draft.children[i].underfull {
                i += 1;
                continue;
            }
            let mut joined = None;
            for left in [Some(i), i.checked_sub(1)].into_iter().flatten() {
                if left + 1 >= draft.children.len() {
                    continue;
                }
                let both = Neighbours {
                    left: draft.children[left].ptr,
                    right: draft.children[left + 1].ptr,
                    fences: draft.fences_of(left..left + 2, &self.source)?,
                };
                let page = if draft.level == 2 {
                    self.join_leaves(&both)?
                } else {
                    let between = draft.separator(left + 1, &self.source)?;
                    self.join_branches(&both, &between, draft.level - 1)?
                };
                if let Some(ptr) = page {
                    joined = Some((left, ptr));
                    break;
                }
            }
            let Some((left, ptr)) = joined else {
                i += 1;
                continue;
            };
            if let Separator::Old(separator) = draft.children.remove(left + 1).separator {
                release_rest(&separator, draft.ptr.page, draft.page_size(), self.sink)?;
            }
            draft.children[left].ptr = ptr;
            // The joined page may still be underfull, so it is looked at once more.
            draft.children[left].underfull = self.has_become_underfull(&ptr)?;
            any = true;
            i = left;
        }
        Ok(any)
    }

    fn has_become_underfull(&self, ptr: &Ptr) -> Result<bool> {
        let page = self.bytes(ptr)?;
        let used = match header::kind(page) {
            header::BRANCH => branch_in(page, ptr)?.used(),
            _ => leaf_in(page, ptr)?.used(),
        };
        Ok(is_underfull(used, page.len()))
    }

    /// Joins two leaves into one page if they fit.
    fn join_leaves(&mut self, both: &Neighbours) -> Result<Option<Ptr>> {
        let Neighbours { left, right, fences } = both;
        let (a, b) = self.bytes_of_both(left, right)?;
        let limit = limit(a.len());
        // Most neighbours are too full, which can be seen without a look at their entries.
        if leaf_in(a, left)?.used() + leaf_in(b, right)?.used() - HEADER > limit {
            return Ok(None);
        }
        let mut memory = self.arena.memory();
        let (a, b) = (self.bytes(left)?, self.bytes(right)?);
        let (x, y) = (leaf_in(a, left)?, leaf_in(b, right)?);
        let plen = fences.prefix_len();
        let common = header::prefix_len(a).min(header::prefix_len(b)).min(plen);
        let (dense_x, dense_y) = (dense_bytes(&x), dense_bytes(&y));
        let mut joined = Vec::with_capacity(x.len() + y.len());
        entries_of(&x, 0..x.len(), &dense_x, &x.prefix()[common..], &mut joined)?;
        entries_of(&y, 0..y.len(), &dense_y, &y.prefix()[common..], &mut joined)?;
        if leaf_size(&joined, plen - common, plen) > limit {
            self.arena.recycle(memory);
            return Ok(None);
        }
        let prefix = NewPrefix::of(&fences.low[..plen], common);
        build_leaf(&mut memory, self.table, prefix, &joined);
        let entries = joined.len() as u64;
        self.release(left);
        self.release(right);
        Ok(Some(Arena::ptr(self.arena.insert(memory), entries)))
    }

    /// Joins two branches of this level, between which the separator `between` stands, into one page if they fit.
    fn join_branches(&mut self, both: &Neighbours, between: &[u8], level: u8) -> Result<Option<Ptr>> {
        let Neighbours { left, right, fences } = both;
        let plen = fences.prefix_len();
        let (a, b) = self.bytes_of_both(left, right)?;
        let size = a.len();
        let limit = limit(size);
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
            long = write_rest(between, common, size, self.sink)?;
            children[x.len()].separator = long.suffix();
        }
        if branch_size(&children, plen - common, plen) > limit {
            release_rest(&children[x.len()].separator, left.page, size, self.sink)?;
            return Ok(None);
        }
        let mut memory = self.arena.memory();
        let prefix = NewPrefix::of(&fences.low[..plen], common);
        build_branch(&mut memory, level, self.table, prefix, &children);
        let entries = left.entries.saturating_add(right.entries).min(U48_MAX);
        self.release(left);
        self.release(right);
        Ok(Some(Arena::ptr(self.arena.insert(memory), entries)))
    }
}
