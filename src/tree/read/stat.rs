//! Pages, items and bytes of one level of a tree, or of all.

use super::check::PageSet;
use super::descent::{branch, check_height, leaf};
use crate::error::{Error, Result};
use crate::page::chain::Chain;
use crate::page::leaf::{Leaf, Stored};
use crate::page::{PageSource, Ptr, Root};

/// The figures of one level of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// The number of pages.
    pub pages: u64,
    /// The number of children in its branches, or of entries in its leaves.
    pub items: u64,
    /// The bytes used in its pages.
    pub used: u64,
}

/// The figures of a whole tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// The number of entries.
    pub entries: u64,
    /// The number of levels.
    pub height: u8,
    /// The number of branches.
    pub branch_pages: u64,
    /// The number of leaves.
    pub leaf_pages: u64,
    /// The number of pages of long values and of the rests of long keys.
    pub overflow_pages: u64,
    /// The bytes used in branches and leaves.
    pub used: u64,
}

/// A visit of the pages of a tree.
struct Walk<'t, S: ?Sized> {
    source: &'t S,
    /// The pages visited so far. A page reached twice is an error, so the work on a damaged tree is bounded.
    seen: PageSet,
}

impl<'s, S: PageSource<'s> + ?Sized> Walk<'_, S> {
    /// Calls `f` with the pointer and level of every page whose level is at least `lowest`.
    fn pages(&mut self, ptr: &Ptr, level: u8, lowest: u8, f: &mut dyn FnMut(&S, &Ptr, u8) -> Result<()>) -> Result<()> {
        if !self.seen.insert(ptr.page.number()) {
            return Err(Error::corrupt(ptr.page, "page reached twice"));
        }
        f(self.source, ptr, level)?;
        if level > lowest.max(1) {
            let branch = branch(self.source, ptr, level)?;
            for i in 0..branch.len() {
                self.pages(&branch.ptr(i), level - 1, lowest, f)?;
            }
        }
        Ok(())
    }
}

fn walk<'s, S: PageSource<'s> + ?Sized>(
    source: &S,
    root: &Root,
    lowest: u8,
    f: &mut dyn FnMut(&S, &Ptr, u8) -> Result<()>,
) -> Result<()> {
    check_height(root)?;
    if root.height == 0 || lowest > root.height {
        return Ok(());
    }
    let mut walk = Walk {
        source,
        seen: PageSet::new(),
    };
    walk.pages(&root.ptr, root.height, lowest, f)
}

/// Returns the figures of one level of a tree, where level 1 is that of the leaves. All are zero if the tree has no
/// such level. Reads the pages from the root to that level.
///
/// # Errors
/// `Corrupt`: a page that was read is damaged, or was reached twice.
pub fn level<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, level: u8) -> Result<Level> {
    let mut stat = Level::default();
    walk(source, root, level.max(1), &mut |source, ptr, at| {
        if at != level {
            return Ok(());
        }
        let (items, used) = if at > 1 {
            let b = branch(source, ptr, at)?;
            (b.len(), b.used())
        } else {
            let l = leaf(source, ptr)?;
            (l.len(), l.used())
        };
        stat.pages += 1;
        stat.items += items as u64;
        stat.used += used as u64;
        Ok(())
    })?;
    Ok(stat)
}

/// Returns the figures of a whole tree. Reads every branch and, with `leaves`, every leaf. Without `leaves`, and if the
/// tree has branches, `used` and `overflow_pages` count only what is in branches and what branches refer to.
///
/// # Errors
/// `Corrupt`: a page that was read is damaged, or was reached twice.
pub fn shape<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, leaves: bool) -> Result<Shape> {
    let mut shape = Shape {
        entries: if root.height == 0 { 0 } else { root.ptr.entries },
        height: root.height,
        ..Shape::default()
    };
    let size = source.page_size();
    let lowest = if leaves || root.height == 1 { 1 } else { 2 };
    walk(source, root, lowest, &mut |source, ptr, at| {
        if at > 1 {
            let b = branch(source, ptr, at)?;
            shape.branch_pages += 1;
            shape.used += b.used() as u64;
            if at == 2 && !leaves {
                shape.leaf_pages += b.len() as u64;
            }
            for i in 1..b.len() {
                let s = b.separator(i)?;
                if let Some(rest) = s.rest().map_err(|d| d.at(ptr.page))? {
                    shape.overflow_pages += rest.extent(size).run.pages;
                }
            }
            return Ok(());
        }
        let l = leaf(source, ptr)?;
        shape.leaf_pages += 1;
        shape.used += l.used() as u64;
        shape.overflow_pages += pages_of_chains(&l, size)?;
        Ok(())
    })?;
    Ok(shape)
}

/// Returns the number of pages of the long values and long keys of a leaf.
fn pages_of_chains(leaf: &Leaf<'_>, size: usize) -> Result<u64> {
    let mut pages = 0;
    for i in 0..if leaf.is_dense() { 0 } else { leaf.len() } {
        if let Some(rest) = leaf.slotted_suffix(i)?.rest().map_err(|d| d.at(leaf.at()))? {
            pages += rest.extent(size).run.pages;
        }
        if let Stored::Chain(b) = leaf.value(i)? {
            pages += Chain::decode(b, size)
                .map_err(|d| d.at(leaf.at()))?
                .all_extents()
                .map(|e| e.run.pages)
                .sum::<u64>();
        }
    }
    Ok(pages)
}
