//! What each page of the file is used for, for those who want to see how full and how fragmented a file is. Damage does
//! not end that: what is below a damaged page is not known, and everything else is.

use super::check::{is_read_twice, newest_accounting, waits, JobView};
use super::fault::Fault;
use super::job::{Job, JobPages};
use super::trees::CommitTrees;
use crate::db::Db;
use crate::error::Result;
use crate::ids::{CommitId, PageNo, Run, TableId};
use crate::page::header;
use crate::page::{meta_pages, Extent, PageSource, Prefetch};
use crate::pager::Accounting;
use crate::tree::read::check::{Checker, PageSet, Reached};
use crate::txn::DeadExtents;
use std::cell::Cell;
use std::collections::BTreeSet;

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
    /// The page belongs to what the library keeps of the file: the space tree, the list of snapshots, or spilled
    /// records.
    Own,
    /// The page is dead: it is free, or becomes free when nobody can see it any more.
    Dead,
    /// The page is dead and put aside for named snapshots, which alone see it.
    Parked,
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

/// Which commit it was whose pages were told, and what was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageUses {
    /// The commit.
    pub id: CommitId,
    /// The number of pages of the file.
    pub pages: u64,
    /// The number of pages of which nothing is known, because only damaged pages would lead to them. The damaged pages
    /// are among them.
    pub unknown_pages: u64,
    /// Whether it is known which pages are dead. If not, none of them was told.
    pub dead_pages_known: bool,
}

impl Db {
    /// Tells what each page of the file is used for in the newest commit. Every page of a tree is read and verified;
    /// long values are not. The runs of a tree come as the tree has them: a branch before what is below it, and leaves
    /// in the order of their keys. Those of dead pages come last. No page is told twice.
    ///
    /// `on_fault` is given the faults that are met, and returns whether to go on. What is below a damaged page is not
    /// known, and is not told. [`Db::check`] finds more faults, because it also reads long values.
    ///
    /// To get hold of the newest commit, the call waits for an open write transaction, as long as the options of the
    /// database say.
    ///
    /// # Errors
    /// `Busy`: the wait for the write transaction ended first, or other transactions commit too fast; `Cancelled`:
    /// `on_fault`, the job or [`Db::interrupt`] ended the call; `Corrupt`: what the newest commit notes of its dead
    /// pages cannot be read; `TooNew`: a newer version uses pages of the file for what this one does not know;
    /// `Poisoned`, `Io`, `NoMemory`, `Limit`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kv::{Db, Job, Options, PageUse};
    ///
    /// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
    /// let mut dead = 0;
    /// let mut on_run = |run: kv::PageRun| {
    ///     if run.usage == PageUse::Dead {
    ///         dead += run.pages;
    ///     }
    /// };
    /// let uses = db.page_uses(&Job::silent(), &mut on_run, &mut |fault| {
    ///     eprintln!("{fault:?}");
    ///     true
    /// })?;
    /// assert!(dead < uses.pages && uses.unknown_pages == 0);
    /// # Ok::<(), kv::Error>(())
    /// ```
    pub fn page_uses(
        &self,
        job: &Job<'_>,
        on_run: &mut dyn FnMut(PageRun),
        on_fault: &mut dyn FnMut(&Fault) -> bool,
    ) -> Result<PageUses> {
        let (snapshot, space) = newest_accounting(self.pager(), &mut waits(self, self.wait_limit()))?;
        let desc = *snapshot.desc();
        job.expect(desc.pages);
        let view = JobPages {
            source: snapshot.view(),
            job,
        };
        let mut told = Told {
            on_run,
            reached: PageSet::new(),
            pages: 0,
        };
        let mut faults = Faults {
            job,
            on_fault,
            told: BTreeSet::new(),
            stopped: false,
        };
        let head = Run::new(PageNo::new(0), meta_pages(view.page_size()));
        told.tell(head, PageUse::Meta, None);
        trees(view, &space, &mut told, &mut faults)?;
        let dead_pages_known = bookkeeping(view, &space, &mut told, &mut faults)?;
        job.finish()?;
        Ok(PageUses {
            id: desc.id,
            pages: desc.pages,
            unknown_pages: desc.pages.saturating_sub(told.pages),
            dead_pages_known,
        })
    }
}

/// The pages that were told.
struct Told<'f> {
    on_run: &'f mut dyn FnMut(PageRun),
    reached: PageSet,
    pages: u64,
}

impl Told<'_> {
    /// Tells the pages of a run, unless one of them was told before. Returns whether it did.
    fn tell(&mut self, run: Run, usage: PageUse, table: Option<TableId>) -> bool {
        if run.iter().any(|page| self.reached.contains(page)) {
            return false;
        }
        self.pages += self.reached.insert_run(run);
        (self.on_run)(PageRun {
            first: run.first,
            pages: run.pages,
            usage,
            table,
        });
        true
    }
}

/// The faults that were met.
struct Faults<'f, 'j> {
    job: &'f Job<'j>,
    on_fault: &'f mut dyn FnMut(&Fault) -> bool,
    /// Where faults were met in trees that are read twice.
    told: BTreeSet<(PageNo, TableId)>,
    stopped: bool,
}

impl Faults<'_, '_> {
    /// Reports a fault, unless it was met before. Returns whether to go on.
    fn found(&mut self, fault: &Fault) -> bool {
        // That a page was not read because the job has ended is no fault of the file.
        if self.job.is_stopped() {
            return false;
        }
        let at = fault.page.zip(fault.table.filter(is_read_twice));
        if at.is_none_or(|at| self.told.insert(at)) {
            self.stopped |= !(self.on_fault)(fault);
        }
        !self.stopped
    }

    /// Returns the error with which the call ends, if it ends early.
    fn end(&self) -> Result<()> {
        match self.stopped || self.job.is_stopped() {
            true => Err(self.job.end()),
            false => Ok(()),
        }
    }
}

/// Tells the pages of all trees.
fn trees(
    view: JobView<'_, '_, '_>,
    space: &Accounting,
    told: &mut Told<'_>,
    faults: &mut Faults<'_, '_>,
) -> Result<()> {
    let CommitTrees {
        all: mut trees,
        faults: of_catalogue,
    } = CommitTrees::of(&view, &space.desc)?;
    trees.push((TableId::SPACE, space.desc.roots.space));
    trees.push((TableId::SNAPSHOTS, space.desc.roots.snapshots));
    let job = view.job;
    let current = Cell::new(TableId::MAIN);
    let mut failed = None;
    let mut on_fault = |page: PageNo, kind, what: &str| faults.found(&Fault::at(page, current.get(), kind, what));
    let mut on_extent = |extent: Extent, what: Reached| {
        let Run { first, pages } = extent.run;
        let usage = match (what, current.get()) {
            (_, TableId::SPACE | TableId::SNAPSHOTS) => Ok(PageUse::Own),
            (Reached::Chain, _) => Ok(PageUse::Overflow),
            (Reached::Tree, _) => usage_of_tree_page(view, first),
        };
        match usage.and_then(|usage| job.advance(pages).map(|()| usage)) {
            Ok(usage) => {
                let table = Some(current.get()).filter(|table| !table.is_internal());
                told.tell(extent.run, usage, table);
            }
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
    faults.end()?;
    if let Some(error) = failed {
        return Err(error);
    }
    // A page of the catalogue that cannot be read was met as a page of its tree, too.
    for fault in &of_catalogue {
        if !faults.found(fault) {
            break;
        }
    }
    faults.end()
}

/// Returns whether a page of a tree is a leaf or a branch.
fn usage_of_tree_page(view: JobView<'_, '_, '_>, page: PageNo) -> Result<PageUse> {
    let bytes = view.raw(page, view.page_size() as u64)?;
    Ok(match header::level(bytes) {
        1 => PageUse::Leaf,
        _ => PageUse::Branch,
    })
}

/// Tells the pages of spilled records and the dead ones. Returns whether it is known which pages are dead: a list that
/// contradicts itself is not believed.
fn bookkeeping(
    view: JobView<'_, '_, '_>,
    space: &Accounting,
    told: &mut Told<'_>,
    faults: &mut Faults<'_, '_>,
) -> Result<bool> {
    let desc = &space.desc;
    let spilled = space.spilled.iter().map(|run| (*run, PageUse::Own));
    let (dead, fault) = match DeadExtents::of(&view, &desc.roots.space, desc.id, &space.changes) {
        Err(error) if error.is_no_memory() => return Err(error),
        Err(error) => (None, Some(Fault::of(&error, TableId::SPACE))),
        Ok(DeadExtents {
            fault: Some((page, what)),
            ..
        }) => (None, Some(Fault::contradiction(page, TableId::SPACE, what))),
        Ok(dead) => (Some(dead), None),
    };
    if let Some(fault) = fault {
        faults.found(&fault);
    }
    let is_known = dead.is_some();
    let parked = dead.iter().flat_map(|dead| &dead.parked);
    let parked = parked.map(|parked| (parked.extent.run, PageUse::Parked));
    let dead = dead.iter().flat_map(|dead| dead.extents.values());
    let dead = dead.map(|dead| (dead.extent.run, PageUse::Dead)).chain(parked);
    let end = PageNo::new(desc.pages);
    for (run, usage) in spilled.chain(dead) {
        let is_in_file = run.checked_end().is_some_and(|behind| behind <= end);
        if !(is_in_file && told.tell(run, usage, None)) {
            let what = "pages that are listed as dead are in use, or outside the file";
            faults.found(&Fault::contradiction(run.first, TableId::SPACE, what));
        }
        faults.end()?;
    }
    faults.end().map(|()| is_known)
}
