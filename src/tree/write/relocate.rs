//! Moving the pages of a tree that lie behind a frontier to free pages before it, so that the end of the file comes
//! free.
//!
//! A page is moved by being made private, as if it were about to change: it is placed anew with all other private
//! pages, and its old page dies. The branches above it get its new pointer. So a moved page is one of this commit, its
//! bytes are what they were, and nothing of the tree changes but pointers.
//!
//! The walk goes through the branches in key order, from the key on at which the walk before stopped. It reads leaves
//! only if they are moved, or if the tree may have long values or long keys, whose extents may lie behind the frontier
//! while their leaf lies before it (`relocate_long`). A walk that stops says with which key the next one begins, so all
//! of them together read each branch about once, whatever other transactions do in between.
//!
//! Where pages lie that are placed is the matter of the sink, which must give pages before the frontier. The walk
//! counts what it needs, and stops before the free pages are used up: for each leaf, there is room for the branches
//! above it.

use super::apply::Apply;
use super::node::Node;
use super::relocation::Relocation;
use crate::error::Result;
use crate::ids::Run;
use crate::page::branch_build::replace_ptr;
use crate::page::{PageSink, PageSource, Ptr, Root};

impl<'a, S: PageSource<'a> + Copy, P: PageSink> Apply<'a, '_, S, P> {
    /// Moves pages of the tree at `root` that lie behind the frontier, from the key `from` on, as far as `work` allows.
    /// Returns the root. `from` becomes the key from which the next walk goes on, and is empty at the end of the tree,
    /// where `work` has no reason to stop.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `NoMemory`: the tree is half-done, as after [`Apply::apply`].
    pub fn relocate(&mut self, root: Root, from: &mut Vec<u8>, work: &mut Relocation) -> Result<Root> {
        debug_assert!(!self.places_pages, "moved pages are counted before they are placed");
        work.stop = None;
        work.next = None;
        work.height = root.height;
        if root.height == 0 {
            from.clear();
            return Ok(root);
        }
        self.begin(&root)?;
        if !work.may_look() {
            return Ok(root);
        }
        let ptr = match root.height {
            1 => self.relocate_leaf(root.ptr, work)?,
            height => {
                let from = Some(from.as_slice()).filter(|from| !from.is_empty());
                self.relocate_below(root.ptr, height, from, work)?
            }
        };
        match (work.stop, work.next.take()) {
            (None, _) => from.clear(),
            (Some(_), Some(next)) => *from = next,
            (Some(_), None) => {}
        }
        Ok(Root {
            ptr,
            has_long: self.has_long,
            ..root
        })
    }

    /// Does so in the subtree at `ptr`, whose root is a branch of this level. The key `from`, if there is one, lies
    /// within its bounds.
    fn relocate_below(&mut self, ptr: Ptr, level: u8, from: Option<&[u8]>, work: &mut Relocation) -> Result<Ptr> {
        if work.is_kept(&ptr) || work.is_behind(ptr.page) && !work.may_move() {
            return Ok(ptr);
        }
        let mut node = self.open(ptr, level)?;
        work.note_look();
        let branch = node.branch()?;
        let first = from.map_or(Ok(0), |key| branch.find(key, &self.source))?;
        let end = branch.len();
        if level == 2 {
            self.ask_for_leaves(&node, first, work)?;
        }
        for i in first..end {
            if work.may_look() {
                if self.has_long && i > 0 {
                    self.relocate_separator(&mut node, i, work)?;
                }
                let child = node.branch()?.ptr(i);
                let new = match level {
                    2 => self.relocate_leaf(child, work)?,
                    _ => self.relocate_below(child, level - 1, from.filter(|_| i == first), work)?,
                };
                if new != child {
                    replace_ptr(self.make_private_counted(&mut node, work), i, &new);
                }
            }
            if work.stop.is_some() {
                // What stopped at its very beginning begins again with this child.
                if work.next.is_none() && i > first {
                    let mut separator = Vec::new();
                    node.branch()?.write_separator(i, &self.source, &mut separator)?;
                    work.next = Some(separator);
                }
                break;
            }
        }
        if work.is_behind(ptr.page) {
            self.make_private_counted(&mut node, work);
            work.note_moved(1);
        }
        Ok(self.close(node))
    }

    /// Moves the leaf at `ptr` if it lies behind the frontier, and what it refers to outside of it.
    fn relocate_leaf(&mut self, ptr: Ptr, work: &mut Relocation) -> Result<Ptr> {
        let is_moved = work.is_behind(ptr.page);
        if work.is_kept(&ptr) || !is_moved && !self.has_long || is_moved && !work.may_move() {
            return Ok(ptr);
        }
        work.note_look();
        let before = ptr.page.as_private().map_or(0, |page| self.arena.used_before(page));
        let mut node = self.open(ptr, 1)?;
        if self.has_long {
            self.relocate_long(&mut node, work)?;
        }
        if is_moved {
            self.make_private_counted(&mut node, work);
            work.note_moved(1);
        }
        let new = self.close(node);
        if let Some(page) = new.page.as_private().filter(|_| before > 0) {
            self.arena.note_loss(page, before);
        }
        Ok(new)
    }

    /// Makes a page private, and counts the page that it will take.
    pub(super) fn make_private_counted<'n>(&mut self, node: &'n mut Node<'a>, work: &mut Relocation) -> &'n mut [u8] {
        if !node.is_private() {
            work.note_taken(1);
        }
        self.make_private(node)
    }

    /// Asks for the leaves below a branch that will be read, so that they are read at once.
    fn ask_for_leaves(&self, node: &Node<'a>, first: usize, work: &Relocation) -> Result<()> {
        let branch = node.branch()?;
        let most = work.moves.min(work.looks).min(branch.len() as u64) as usize;
        let children = (first..branch.len()).map(|i| branch.child(i));
        let read = children.filter(|page| work.is_behind(*page) || self.has_long && !page.is_private());
        let mut runs = read.take(most).map(|page| Run::new(page.number(), 1));
        self.source.will_read(&mut runs);
        Ok(())
    }
}
