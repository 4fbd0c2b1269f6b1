//! The leaves of a tree, from first to last.

use crate::database::Record;
use crate::error::Result;
use crate::page::{Kind, Page};
use crate::pages::{Pages, ReadPages};

/// A tree whose leaves are being read.
pub(crate) struct Tree {
    /// The root, until it was read.
    root: Option<u64>,
    levels: u16,
    /// The branches above the current leaf, each with the index of its next child.
    branches: Vec<(Page, usize)>,
}

impl Tree {
    /// The tree of a record that was checked.
    pub fn new(record: &Record) -> Tree {
        Tree {
            root: record.root,
            levels: record.levels,
            branches: Vec::new(),
        }
    }

    /// Reads the next leaf, or returns `None` if there is none.
    pub fn next_leaf(&mut self, pages: &Pages, seen: &mut ReadPages) -> Result<Option<Page>> {
        loop {
            let Some(number) = self.next_page(pages)? else {
                return Ok(None);
            };
            let page = pages.tree(seen, number)?;
            let level = self.branches.len() + 1;
            let is_last = level == usize::from(self.levels);
            match page.kind {
                Kind::Branch if is_last => {
                    let what = format!("it is a branch at level {level}, where the tree has its leaves");
                    return Err(pages.damaged(number, what));
                }
                Kind::Branch => self.branches.push((page, 0)),
                _ if is_last => return Ok(Some(page)),
                _ => {
                    let what = format!("it is a leaf at level {level} of a tree with {} levels", self.levels);
                    return Err(pages.damaged(number, what));
                }
            }
        }
    }

    /// The number of the page to go on with.
    fn next_page(&mut self, pages: &Pages) -> Result<Option<u64>> {
        if let Some(root) = self.root.take() {
            return Ok(Some(root));
        }
        while let Some((branch, next)) = self.branches.last_mut() {
            if *next < branch.count {
                let node = branch
                    .node(&pages.layout, *next)
                    .map_err(|what| pages.damaged(branch.number, what))?;
                *next += 1;
                return Ok(Some(node.child));
            }
            self.branches.pop();
        }
        Ok(None)
    }
}
