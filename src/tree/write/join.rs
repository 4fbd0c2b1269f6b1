//! Joining underfull pages with a neighbour.

use super::apply::Apply;
use super::arena::Arena;
use super::branches::{Kid, Separator};
use super::fences::Fences;
use super::values::{is_long, release_rest, write_rest};
use crate::error::Result;
use crate::ids::{PageRef, U48_MAX};
use crate::page::branch::{branch_size, build_branch, children_of, Branch};
use crate::page::header::{self, HEADER};
use crate::page::leaf::Leaf;
use crate::page::leaf_build::{build_leaf, dense_bytes, entries_of, leaf_size};
use crate::page::suffix::Suffix;
use crate::page::{PageSink, PageSource, Ptr};

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Joins underfull children with a neighbour where the two fit one page; whether any was.
    pub(super) fn join_small(
        &mut self,
        kids: &mut Vec<Kid<'_>>,
        old: &Branch<'_>,
        number: PageRef,
        level: u8,
        fences: &Fences,
    ) -> Result<bool> {
        let (prefix, size) = (old.prefix(), old.bytes().len());
        let mut any = false;
        let mut i = 0;
        while i < kids.len() {
            if !kids[i].small {
                i += 1;
                continue;
            }
            let mut joined = None;
            for left in [Some(i), i.checked_sub(1)].into_iter().flatten() {
                if left + 1 >= kids.len() {
                    continue;
                }
                let own = self.fences_of(kids, left, left + 2, prefix, fences)?;
                let (a, b) = (kids[left].ptr, kids[left + 1].ptr);
                let page = if level == 2 {
                    self.join_leaves(a, b, &own)?
                } else {
                    let between = self.whole(&kids[left + 1].separator, prefix)?;
                    self.join_branches(a, b, &between, &own, level - 1)?
                };
                if let Some(page) = page {
                    joined = Some((left, page));
                    break;
                }
            }
            let Some((left, page)) = joined else {
                i += 1;
                continue;
            };
            if let Separator::Old(separator) = kids.remove(left + 1).separator {
                release_rest(&separator, number, size, self.sink)?;
            }
            kids[left].ptr = page;
            // The joined page may be small again, or the next one: look at it once more.
            kids[left].small = self.is_small(&page)?;
            any = true;
            i = left;
        }
        Ok(any)
    }

    fn is_small(&mut self, ptr: &Ptr) -> Result<bool> {
        let (page, _) = self.peek(ptr, ptr)?;
        let used = match header::kind(page) {
            header::BRANCH => Branch::new(page).map(|b| b.used()),
            _ => crate::page::leaf::Leaf::new(page).map(|l| l.used()),
        };
        Ok(used.map_err(|d| d.at(ptr.page))? < page.len() / 4)
    }

    /// Joins two neighbouring branches with the separator `between` if they fit one page.
    fn join_branches(&mut self, a: Ptr, b: Ptr, between: &[u8], fences: &Fences, level: u8) -> Result<Option<Ptr>> {
        let plen = fences.prefix_len();
        let (left, right) = self.peek(&a, &b)?;
        let size = left.len();
        let limit = size / 16 * 15;
        let used = |page, ptr: &Ptr| Branch::new(page).map(|b| b.used()).map_err(|d| d.at(ptr.page));
        if used(left, &a)? + used(right, &b)? + between.len().min(size) - HEADER > limit {
            return Ok(None);
        }
        let base = header::prefix_len(left).min(header::prefix_len(right)).min(plen);
        let (left, right) = (left.to_vec(), right.to_vec());
        let (x, y) = (
            Branch::new(&left).map_err(|d| d.at(a.page))?,
            Branch::new(&right).map_err(|d| d.at(b.page))?,
        );
        let mut children = Vec::with_capacity(x.len() + y.len());
        children_of(&x, &mut children).map_err(|d| d.at(a.page))?;
        children_of(&y, &mut children).map_err(|d| d.at(b.page))?;
        for (i, child) in children.iter_mut().enumerate() {
            child.separator.lead = if i < x.len() {
                &x.prefix()[base..]
            } else {
                &y.prefix()[base..]
            };
        }
        children[x.len()].separator = Suffix::of(between.get(base..).unwrap_or(&[]));
        let long;
        if is_long(between, size) {
            if branch_size(&children, 0, plen) > limit + between.len() {
                return Ok(None);
            }
            long = write_rest(between, base, size, self.sink)?;
            children[x.len()].separator = long.suffix();
        }
        if branch_size(&children, plen - base, plen) > limit {
            release_rest(&children[x.len()].separator, a.page, size, self.sink)?;
            return Ok(None);
        }
        let mut memory = self.arena.memory();
        build_branch(
            &mut memory,
            level,
            self.table,
            &fences.low[..plen],
            &children,
            plen - base,
        );
        let entries = a.entries.saturating_add(b.entries).min(U48_MAX);
        self.abandon(&a);
        self.abandon(&b);
        Ok(Some(Arena::ptr(self.arena.insert(memory), entries)))
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
