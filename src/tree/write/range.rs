//! Removing a range of keys, and dropping subtrees.

use super::apply::{check_height, check_level, Apply, Held, Reply};
use super::fences::{branch_of, child_fences, Fences};
use super::merge::check_prefix;
use super::values::{release_rest, release_value};
use crate::error::{Error, Result};
use crate::page::header;
use crate::page::leaf::Leaf;
use crate::page::leaf_build::{dense_bytes, entries_of};
use crate::page::{PageSink, PageSource, Ptr, Root};

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Removes the keys `from <= key < to` (`None`: no bound) from the tree at `root`: pages wholly inside go unread
    /// unless the table has long values.
    pub fn remove_range(&mut self, root: Root, from: Option<&[u8]>, to: Option<&[u8]>) -> Result<Root> {
        if root.height == 0 {
            return Ok(root);
        }
        check_height(&root)?;
        self.has_long |= root.has_long;
        if from.is_none() && to.is_none() {
            self.drop_subtree(root.ptr, root.height)?;
            return Ok(Root::default());
        }
        let reply = self.node_range(root.ptr, root.height, from, to, &Fences::whole())?;
        self.settle_root(reply, root.height)
    }

    /// Removes `from <= key < to` from the subtree at `ptr`.
    fn node_range(
        &mut self,
        ptr: Ptr,
        level: u8,
        from: Option<&[u8]>,
        to: Option<&[u8]>,
        fences: &Fences,
    ) -> Result<Reply> {
        if level == 1 {
            return self.leaf_range(ptr, from, to, fences);
        }
        let mut page = self.hold(&ptr)?;
        check_level(&page, &ptr, level)?;
        let (mut ptr, before) = (ptr, ptr);
        let branch = branch_of(&page, &ptr)?;
        let first = from.map_or(Ok(0), |from| branch.find(from, ptr.page, &self.source))?;
        let last = to.map_or(Ok(branch.len() - 1), |to| branch.find(to, ptr.page, &self.source))?;
        let mut changes = Vec::new();
        for i in first..=last {
            let child = branch_of(&page, &ptr)?.ptr(i);
            // A bound outside the child is none to it (and would lack its prefix).
            let (inner_from, inner_to) = (from.filter(|_| i == first), to.filter(|_| i == last));
            let reply = if inner_from.is_none() && inner_to.is_none() {
                self.drop_subtree(child, level - 1)?;
                Reply::Many(Vec::new())
            } else {
                let inner = child_fences(&branch_of(&page, &ptr)?, &ptr, i, fences, &self.source)?;
                self.node_range(child, level - 1, inner_from, inner_to, &inner)?
            };
            self.take_in(&mut ptr, &mut page, i, child, reply, &mut changes)?;
        }
        self.finish_branch(before, ptr, page, level, fences, changes)
    }

    /// Gives every page of the subtree at `ptr` back.
    pub(super) fn drop_subtree(&mut self, ptr: Ptr, level: u8) -> Result<()> {
        if level == 1 && !self.has_long {
            return self.drop_page(ptr);
        }
        let page = self.hold(&ptr)?;
        check_level(&page, &ptr, level)?;
        let size = page.len();
        if level == 1 {
            let leaf = Leaf::new(&page).map_err(|d| d.at(ptr.page))?;
            for i in 0..if leaf.is_dense() { 0 } else { leaf.len() } {
                let suffix = leaf.slotted_suffix(i).map_err(|d| d.at(ptr.page))?;
                release_rest(&suffix, ptr.page, size, self.sink)?;
                let value = leaf.value(i).map_err(|d| d.at(ptr.page))?;
                release_value(&value, ptr.page, size, self.sink)?;
            }
        } else {
            let branch = branch_of(&page, &ptr)?;
            for i in 0..branch.len() {
                let separator = branch.separator(i).map_err(|d| d.at(ptr.page))?;
                release_rest(&separator, ptr.page, size, self.sink)?;
                self.drop_subtree(branch.ptr(i), level - 1)?;
            }
        }
        self.put_back_for_drop(ptr, page)
    }

    fn put_back_for_drop(&mut self, ptr: Ptr, page: Held<'a>) -> Result<()> {
        self.count_drop(&ptr)?;
        self.discard(&ptr, page);
        Ok(())
    }

    fn drop_page(&mut self, ptr: Ptr) -> Result<()> {
        self.count_drop(&ptr)?;
        self.abandon(&ptr);
        Ok(())
    }

    fn count_drop(&mut self, ptr: &Ptr) -> Result<()> {
        self.drop_budget = self
            .drop_budget
            .checked_sub(1)
            .ok_or_else(|| Error::corrupt(ptr.page, "a tree of more pages than the file"))?;
        Ok(())
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
}
