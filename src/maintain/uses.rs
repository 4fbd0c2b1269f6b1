//! What each page of the file is used for, for those who want to see how full and how fragmented a file is.

use super::check::{newest_accounting, JobView};
use super::fault::Fault;
use super::job::{Job, JobPages};
use super::trees::CommitTrees;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run, TableId};
use crate::page::header;
use crate::page::{meta_pages, Extent, PageSource, Prefetch};
use crate::pager::Accounting;
use crate::tree::read::check::{Checker, Reached};
use crate::txn::DeadExtents;
use std::cell::Cell;

/// What a page is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageUse {
    /// The page belongs to the head of the file, where the meta slots are.
    Meta,
    /// The page is a branch of a tree.
    Branch,
    /// The page is a leaf of a tree.
    Leaf,
    /// The page holds a part of a long value, its checksums, or the rest of a long key.
    Overflow,
    /// The page belongs to what the library keeps of dead pages: the space tree, or spilled records.
    Own,
    /// The page is dead: it is free, or becomes free when nobody can see it any more.
    Dead,
}

/// Pages that lie side by side and are used for the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRun {
    /// The first page.
    pub first: PageNo,
    /// The number of pages.
    pub pages: u64,
    /// What they are used for.
    pub usage: PageUse,
    /// The table to whose tree they belong, or `None` if they belong to none.
    pub table: Option<TableId>,
}

/// Which commit it was whose pages were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageUses {
    /// The commit.
    pub id: CommitId,
    /// The number of pages of the file.
    pub pages: u64,
}

impl Db {
    /// Tells what each page of the file is used for in the newest commit. Every page of a tree is read and verified; long
    /// values are not. The runs of a tree come as the tree has them: a branch before what is below it, and leaves in the
    /// order of their keys. Those of dead pages come last.
    ///
    /// To get hold of the newest commit, the call waits for an open write transaction, as long as the options of the
    /// database say.
    ///
    /// # Errors
    /// `Corrupt`: a page is damaged, so that what is below it is not known; `Busy`: the wait for the write transaction
    /// ended first, or other transactions commit too fast; `Cancelled`: the job or [`Db::interrupt`] ended the call;
    /// `TooNew`: a newer version uses pages of the file for what this one does not know; `Poisoned`, `Io`, `NoMemory`,
    /// `Limit`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kv::{Db, Job, Options, PageUse};
    ///
    /// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
    /// let mut dead = 0;
    /// let uses = db.page_uses(&Job::silent(), &mut |run| {
    ///     if run.usage == PageUse::Dead {
    ///         dead += run.pages;
    ///     }
    /// })?;
    /// assert!(dead < uses.pages);
    /// # Ok::<(), kv::Error>(())
    /// ```
    pub fn page_uses(&self, job: &Job<'_>, on_run: &mut dyn FnMut(PageRun)) -> Result<PageUses> {
        let mut wait = || self.lock_write(self.wait_limit()).map(drop);
        let (snapshot, space) = newest_accounting(self.pager(), &mut wait)?;
        let desc = *snapshot.desc();
        job.expect(desc.pages);
        let view = JobPages {
            source: snapshot.view(),
            job,
        };
        on_run(PageRun {
            first: PageNo::new(0),
            pages: meta_pages(view.page_size()),
            usage: PageUse::Meta,
            table: None,
        });
        let read = trees(view, &space, on_run).and_then(|()| bookkeeping(view, &space, on_run));
        read.map_err(|error| match self.begin_read() {
            Ok(txn) => txn.with_table_name(error),
            Err(_) => error,
        })?;
        job.finish()?;
        Ok(PageUses {
            id: desc.id,
            pages: desc.pages,
        })
    }
}

/// Tells the pages of all trees.
fn trees(view: JobView<'_, '_, '_>, space: &Accounting, on_run: &mut dyn FnMut(PageRun)) -> Result<()> {
    let CommitTrees { all: mut trees, faults } = CommitTrees::of(&view, &space.desc)?;
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault.into_error());
    }
    trees.push((TableId::SPACE, space.desc.roots.space));
    let job = view.job;
    let current = Cell::new(TableId::MAIN);
    let (mut damage, mut failed) = (None, None);
    let mut on_fault = |page: PageNo, kind, what: &str| {
        damage.get_or_insert_with(|| Fault::at(page, current.get(), kind, what).into_error());
        false
    };
    let mut on_extent = |extent: Extent, what: Reached| {
        let Run { first, pages } = extent.run;
        let usage = match (what, current.get()) {
            (_, TableId::SPACE) => Ok(PageUse::Own),
            (Reached::Chain, _) => Ok(PageUse::Overflow),
            (Reached::Tree, _) => usage_of_tree_page(view, first),
        };
        match usage.and_then(|usage| job.advance(pages).map(|()| usage)) {
            Ok(usage) => on_run(PageRun {
                first,
                pages,
                usage,
                table: Some(current.get()).filter(|table| !table.is_internal()),
            }),
            Err(error) => {
                failed.get_or_insert(error);
            }
        }
    };
    let mut checker = Checker::new(false, &mut on_fault, &mut on_extent);
    for (table, root) in &trees {
        current.set(*table);
        checker.tree(&view, root, *table);
        if checker.is_stopped() {
            break;
        }
    }
    if checker.lacks_memory() {
        job.lack_memory();
    }
    match failed.or(damage) {
        _ if job.is_stopped() => Err(job.end()),
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Returns whether a page of a tree is a leaf or a branch.
fn usage_of_tree_page(view: JobView<'_, '_, '_>, page: PageNo) -> Result<PageUse> {
    let bytes = view.raw(page, view.page_size() as u64)?;
    Ok(match header::level(bytes) {
        1 => PageUse::Leaf,
        _ => PageUse::Branch,
    })
}

/// Tells the pages of spilled records and the dead ones.
fn bookkeeping(view: JobView<'_, '_, '_>, space: &Accounting, on_run: &mut dyn FnMut(PageRun)) -> Result<()> {
    let mut tell = |run: Run, usage| {
        on_run(PageRun {
            first: run.first,
            pages: run.pages,
            usage,
            table: None,
        });
    };
    for run in &space.spilled {
        tell(*run, PageUse::Own);
    }
    let desc = &space.desc;
    let dead = DeadExtents::of(&view, &desc.roots.space, desc.id, &space.changes)?;
    if let Some((page, what)) = dead.fault {
        return Err(Error::corrupt(page, what).in_table(TableId::SPACE));
    }
    for dead in dead.extents.values() {
        tell(dead.extent.run, PageUse::Dead);
    }
    Ok(())
}
