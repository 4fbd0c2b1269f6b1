//! Pages, slots and bytes per level of a tree.

use super::check::PageSet;
use super::descent::{branch, check_height, leaf};
use crate::error::{Error, Result};
use crate::page::chain::Chain;
use crate::page::leaf::{Leaf, Stored};
use crate::page::{PageSource, Ptr, Root};

/// One level of a tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Level {
    /// Pages.
    pub pages: u64,
    /// Children or entries in them.
    pub slots: u64,
    /// Bytes used in them.
    pub used: u64,
}

/// A whole tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// Entries.
    pub entries: u64,
    /// Levels.
    pub height: u8,
    /// Branch pages.
    pub branch_pages: u64,
    /// Leaf pages.
    pub leaf_pages: u64,
    /// Pages of long values and of the rests of long keys.
    pub chain_pages: u64,
    /// Bytes used in tree pages.
    pub used: u64,
}

struct Walk<'t, S: ?Sized> {
    source: &'t S,
    /// Each page is counted once, so that shared pages of a damaged tree do not multiply.
    seen: PageSet,
}

impl<'s, S: PageSource<'s> + ?Sized> Walk<'_, S> {
    /// Calls `f` with (pointer, level) of every page from `lowest` up.
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

/// One level of a tree, 1 = leaves; all zero if the tree has no such level. Reads the pages from the root to that level.
///
/// # Errors
/// `Corrupt`.
pub fn level<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, level: u8) -> Result<Level> {
    let mut stat = Level::default();
    walk(source, root, level.max(1), &mut |source, ptr, at| {
        if at != level {
            return Ok(());
        }
        let (slots, used) = if at > 1 {
            let b = branch(source, ptr, at)?;
            (b.len(), b.used())
        } else {
            let l = leaf(source, ptr)?;
            (l.len(), l.used())
        };
        stat.pages += 1;
        stat.slots += slots as u64;
        stat.used += used as u64;
        Ok(())
    })?;
    Ok(stat)
}

/// A whole tree. Reads every branch; with `leaves` every leaf too, without it `used` is that of the branches alone and
/// `chain_pages` counts only what branches refer to.
///
/// # Errors
/// `Corrupt`.
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
                    shape.chain_pages += rest.extent(size).run.pages;
                }
            }
            return Ok(());
        }
        let l = leaf(source, ptr)?;
        shape.leaf_pages += 1;
        shape.used += l.used() as u64;
        shape.chain_pages += chain_pages(&l, size)?;
        Ok(())
    })?;
    Ok(shape)
}

/// Pages of the long values and long keys of a leaf.
fn chain_pages(leaf: &Leaf<'_>, size: usize) -> Result<u64> {
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
