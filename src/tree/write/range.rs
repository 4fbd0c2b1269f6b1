//! Removing a range of keys: the recursion of `apply` with two bounds instead of a list of edits.
//!
//! What lies wholly between the bounds is dropped, its leaves unread unless they may refer to pages of their own (long
//! values, long keys). At most two pages of each level are changed, and the branches above take the replies in as
//! always.

use super::apply::{Apply, Fill, OpenBranch, Reply};
use super::fences::Fences;
use super::leaf_cut::room_for;
use super::merge::check_prefix;
use super::values::{release_rest, release_value};
use crate::error::{Error, Result};
use crate::page::header;
use crate::page::leaf_build::{dense_bytes, entries_of};
use crate::page::{PageSink, PageSource, Ptr, Root};

/// The keys `from <= key < to`; `None` stands for no bound.
#[derive(Debug, Clone, Copy)]
pub struct KeyRange<'k> {
    /// The least key, if there is a bound.
    pub from: Option<&'k [u8]>,
    /// The key behind the range, if there is a bound.
    pub to: Option<&'k [u8]>,
}

impl KeyRange<'_> {
    /// Returns the range of all keys.
    pub const fn whole() -> KeyRange<'static> {
        KeyRange { from: None, to: None }
    }

    fn is_whole(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Removes the keys from the tree at `root`.
    pub fn remove_range(&mut self, root: Root, keys: KeyRange<'_>) -> Result<Root> {
        if root.height == 0 {
            return Ok(root);
        }
        self.begin(&root)?;
        if keys.is_whole() {
            self.drop_subtree(root.ptr, root.height)?;
            return Ok(Root::default());
        }
        let reply = self.subtree_range(root.ptr, root.height, keys, &Fences::whole())?;
        self.finish_root(reply, root.height)
    }

    /// Removes the keys from the subtree at `ptr`, whose root is of this level. A bound that is given lies within
    /// `fences`.
    fn subtree_range(&mut self, ptr: Ptr, level: u8, keys: KeyRange<'_>, fences: &Fences) -> Result<Reply> {
        if level == 1 {
            return self.leaf_range(ptr, keys, fences);
        }
        let mut branch = OpenBranch::new(self.open(ptr, level)?, level);
        let children = branch.node.branch()?;
        let find = |key: &[u8]| children.find(key, &self.source);
        let first = keys.from.map_or(Ok(0), find)?;
        let last = keys.to.map_or(Ok(children.len() - 1), find)?;
        for i in first..=last {
            let child = branch.node.branch()?.ptr(i);
            // A bound outside the child does not limit it (and would lack its prefix).
            let inner = KeyRange {
                from: keys.from.filter(|_| i == first),
                to: keys.to.filter(|_| i == last),
            };
            let reply = if inner.is_whole() {
                self.drop_subtree(child, level - 1)?;
                Reply::none()
            } else {
                let fences = fences.of_child(&branch.node, i, &self.source)?;
                self.subtree_range(child, level - 1, inner, &fences)?
            };
            self.take_in(&mut branch, i, child, reply)?;
        }
        self.finish_branch(branch, fences)
    }

    /// Removes the keys from the leaf at `ptr`.
    fn leaf_range(&mut self, ptr: Ptr, keys: KeyRange<'_>, fences: &Fences) -> Result<Reply> {
        let node = self.open(ptr, 1)?;
        let (source, size) = (self.source, node.size());
        let leaf = node.leaf()?;
        let bound = |key: &[u8]| leaf.position(key, &source).map(|p| p.unwrap_or_else(|at| at));
        let first = keys.from.map_or(Ok(0), bound)?;
        let end = keys.to.map_or(Ok(leaf.len()), bound)?;
        if first >= end {
            return Ok(Reply::One {
                ptr: self.close(node),
                underfull: false,
            });
        }
        for i in first..end {
            if !leaf.is_dense() {
                release_rest(&leaf.slotted_suffix(i)?, ptr.page, size, self.sink)?;
            }
            release_value(&leaf.value(i)?, ptr.page, size, self.sink)?;
        }
        // The fences may have moved apart since the page was built, so what stays is counted from the shorter prefix.
        let common = header::prefix_len(&node.bytes).min(fences.prefix_len());
        let (prefix, lead) = leaf.prefix().split_at(common);
        check_prefix(ptr.page, prefix, fences)?;
        let dense = dense_bytes(&leaf);
        let mut kept = room_for(leaf.len())?;
        entries_of(&leaf, 0..first, &dense, lead, &mut kept)?;
        entries_of(&leaf, end..leaf.len(), &dense, lead, &mut kept)?;
        let reply = self.pack_leaves(&kept, prefix, fences, Fill::WithRoom);
        drop(kept);
        self.discard(node);
        reply
    }

    /// Gives every page of the subtree at `ptr` back.
    fn drop_subtree(&mut self, ptr: Ptr, level: u8) -> Result<()> {
        // A damaged tree may lead to the same pages again and again.
        self.drop_budget = self
            .drop_budget
            .checked_sub(1)
            .ok_or_else(|| Error::corrupt(ptr.page, "a tree of more pages than the file"))?;
        if level == 1 && !self.has_long {
            // Nothing in the leaf refers to other pages, so its pointer is all that is needed.
            self.release(&ptr);
            return Ok(());
        }
        let node = self.open(ptr, level)?;
        let size = node.size();
        if level == 1 {
            let leaf = node.leaf()?;
            // A dense leaf has neither long keys nor long values.
            for i in 0..if leaf.is_dense() { 0 } else { leaf.len() } {
                release_rest(&leaf.slotted_suffix(i)?, ptr.page, size, self.sink)?;
                release_value(&leaf.value(i)?, ptr.page, size, self.sink)?;
            }
        } else {
            let branch = node.branch()?;
            for i in 0..branch.len() {
                release_rest(&branch.separator(i)?, ptr.page, size, self.sink)?;
                self.drop_subtree(branch.ptr(i), level - 1)?;
            }
        }
        self.discard(node);
        Ok(())
    }
}
