//! A check proves that a database is whole: it verifies every page of every tree and every checksum, and accounts for
//! each page of the file.

use super::fault::Fault;
use super::job::{Job, JobPages};
use super::trees::CommitTrees;
use crate::catalogue;
use crate::db::{Db, ReadTxn};
use crate::error::{Error, FaultKind, Result};
use crate::ids::{CommitId, PageNo, Run, TableId};
use crate::page::{meta_pages, Extent, Prefetch, Root};
use crate::pager::{Accounting, Descriptor, Pager, Snapshot, View, Wait};
use crate::tree::read::check::{Checker, PageSet, Reached, SeenPages};
use crate::txn::DeadExtents;
use crate::util::shown::plural;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::Arc;
use std::time::Instant;

/// What messages call pages that no tree of the newest state reaches.
const DEAD: &str = "dead";
const PARKED: &str = "parked for snapshots";
const OWN: &str = "space bookkeeping";
/// How often a check tries to get the newest commit before another commit replaces it.
const TRIES: usize = 1000;

/// The counts of a check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The commit that was checked.
    pub id: CommitId,
    /// The number of tables, including the main one.
    pub tables: u64,
    /// The number of entries of all tables.
    pub entries: u64,
    /// The number of pages of the file.
    pub pages: u64,
    /// The number of tree pages that were reached (of tables, of the catalogue and, with accounting, of the space
    /// tree).
    pub tree_pages: u64,
    /// The number of pages with long values and the rests of long keys.
    pub overflow_pages: u64,
    /// The number of dead pages, whether they are free or pending. Only a check with accounting counts them.
    pub dead_pages: u64,
    /// The number of dead pages that are put aside for named snapshots, besides those. Only a check with accounting
    /// counts them.
    pub parked_pages: u64,
    /// The number of named snapshots whose trees were checked. Only a check with accounting looks at them.
    pub snapshots: u64,
    /// The number of faults that were found.
    pub faults: u64,
    /// The number of pages that are neither in use nor dead as far as is known, because the pages that would lead to
    /// them are damaged. Only a check with accounting counts them, and they are no faults of their own.
    pub unaccounted_pages: u64,
    /// A bit for each of the four meta slots (1 for the first) that cannot be read, or that is missing: see
    /// [`Recovery::lost_slots`](crate::Recovery). That is no fault of the commit, because another slot leads to it. But
    /// a newer commit may be lost with the slot, if the database was not closed properly.
    pub lost_slots: u32,
}

impl ReadTxn {
    /// Walks everything that this snapshot reaches, and verifies every checksum anew, while others read and write.
    ///
    /// With `accounting` the check also proves that every page of the file is exactly one of meta, reachable, dead
    /// (free, or pending for a reader or the next sync), or space bookkeeping. That is true of the newest commit only,
    /// so this is the commit that is then checked, whichever this transaction sees; the report names it. To get hold of
    /// it, the check waits for an open write transaction to end, however long that takes; [`Db::check_reporting`] waits
    /// no longer than the database was opened to wait.
    ///
    /// `on_fault` is given each fault, and returns whether to go on.
    ///
    /// # Errors
    /// `Cancelled`: `on_fault` or the job ended the check; `Poisoned`; `Io`; `Busy`: other transactions commit so fast
    /// that no commit could be caught; `TooNew`: with `accounting`, a newer version uses pages of the file for what
    /// this one does not know; `Forked`. Damage is reported as faults, not as an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use kv::{Db, Job, Options};
    ///
    /// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
    /// let report = db.begin_read()?.check(true, &Job::silent(), &mut |fault| {
    ///     eprintln!("{fault:?}");
    ///     true
    /// })?;
    /// assert_eq!(report.faults, 0);
    /// # Ok::<(), kv::Error>(())
    /// ```
    pub fn check(
        &self,
        accounting: bool,
        job: &Job<'_>,
        on_fault: &mut dyn FnMut(&Fault) -> bool,
    ) -> Result<CheckReport> {
        let pager = self.snapshot().pager();
        // In a child, pages of the parent's snapshot may be overwritten, which would look like damage.
        pager.check_fork()?;
        if !accounting {
            return run(self.snapshot(), None, job, on_fault);
        }
        // The lock was only waited for, and is given back.
        let mut wait = || pager.lock_write(Wait::Forever, &AtomicBool::new(false)).map(drop);
        account_newest(pager, &mut wait, job, on_fault)
    }
}

impl Db {
    /// Checks the newest commit, as [`ReadTxn::check`] does, without reporting progress.
    ///
    /// # Errors
    /// Those of [`Db::check_reporting`].
    pub fn check(&self, accounting: bool, on_fault: &mut dyn FnMut(&Fault) -> bool) -> Result<CheckReport> {
        self.check_reporting(accounting, &Job::silent(), on_fault)
    }

    /// Checks the newest commit, as [`ReadTxn::check`] does. With `accounting` it waits for an open write transaction
    /// as the options of the database say.
    ///
    /// # Errors
    /// Those of [`ReadTxn::check`]; `Busy`: the wait for the write transaction ended first; `Cancelled`:
    /// [`Db::interrupt`] ended that wait; `Limit`: every reader slot is taken.
    pub fn check_reporting(
        &self,
        accounting: bool,
        job: &Job<'_>,
        on_fault: &mut dyn FnMut(&Fault) -> bool,
    ) -> Result<CheckReport> {
        if !accounting {
            return self.begin_read()?.check(false, job, on_fault);
        }
        account_newest(self.pager(), &mut waits(self, self.wait_limit()), job, on_fault)
    }
}

/// Returns what waits for an open write transaction to end. All waits together last no longer than `wait` says.
pub(super) fn waits(db: &Db, wait: Wait) -> impl FnMut() -> Result<()> + '_ {
    let deadline = match wait {
        Wait::For(time) => Instant::now().checked_add(time),
        Wait::Try | Wait::Forever => None,
    };
    move || {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        db.lock_write(left.map_or(wait, Wait::For)).map(drop)
    }
}

/// Checks the newest commit and accounts for the pages of the file. `wait_for_writer` returns when an open write
/// transaction has ended.
fn account_newest(
    pager: &Arc<Pager>,
    wait_for_writer: &mut dyn FnMut() -> Result<()>,
    job: &Job<'_>,
    on_fault: &mut dyn FnMut(&Fault) -> bool,
) -> Result<CheckReport> {
    let (snapshot, space) = newest_accounting(pager, wait_for_writer)?;
    run(&snapshot, Some(space), job, on_fault)
}

/// Returns the newest commit, held, and what is known of the pages that no tree of its tables reaches.
/// `wait_for_writer` returns when an open write transaction has ended.
///
/// # Errors
/// `TooNew`; `Busy`: other transactions commit so fast that no commit could be caught; those of `wait_for_writer`;
/// `Poisoned`, `Limit`, `Corrupt`, `Io`.
pub(super) fn newest_accounting(
    pager: &Arc<Pager>,
    wait_for_writer: &mut dyn FnMut() -> Result<()>,
) -> Result<(Snapshot, Accounting)> {
    if pager.has_unknown_features() {
        return Err(Error::TooNew(
            "unknown features use pages in ways that this version cannot account for; check without that".into(),
        ));
    }
    let mut snapshot = pager.begin_read()?;
    for _ in 0..TRIES {
        match pager.accounting() {
            Ok(space) if space.desc.id == snapshot.desc().id => return Ok((snapshot, space)),
            Ok(_) => {}
            Err(Error::Busy(_)) => wait_for_writer()?,
            Err(error) => return Err(error),
        }
        snapshot.refresh()?;
    }
    Err(Error::Busy(
        "commits come too fast to catch one; repeat when there are fewer".into(),
    ))
}

fn run(
    snapshot: &Snapshot,
    space: Option<Accounting>,
    job: &Job<'_>,
    on_fault: &mut dyn FnMut(&Fault) -> bool,
) -> Result<CheckReport> {
    let desc = *snapshot.desc();
    job.expect(desc.pages);
    let view = JobPages {
        source: snapshot.view(),
        job,
    };
    let mut check = Check {
        report: CheckReport {
            id: desc.id,
            pages: desc.pages,
            ..CheckReport::default()
        },
        job,
        on_fault,
        told: BTreeSet::new(),
        stopped: false,
    };
    let mut reached = PageSet::new();
    let in_use = check.trees(view, &desc, space.as_ref(), &mut reached);
    if let Some(space) = space.filter(|_| !check.stopped) {
        let gone = check.account(view, &space, &mut reached);
        if let Some(gone) = gone.filter(|_| !check.stopped) {
            check.snapshots(view, &desc, (in_use, gone), snapshot.pager())?;
        }
    }
    if check.stopped || job.is_stopped() {
        return Err(job.end());
    }
    check.report.lost_slots = snapshot.pager().lost_slots();
    let report = check.report;
    job.finish().map(|()| report)
}

/// The source that a check reads through.
pub(crate) type JobView<'v, 'j, 'f> = JobPages<'j, 'f, View<'v>>;

pub(super) struct Check<'f, 'j> {
    pub(super) report: CheckReport,
    pub(super) job: &'f Job<'j>,
    on_fault: &'f mut dyn FnMut(&Fault) -> bool,
    /// Where faults were found in trees that are read twice: a page that cannot be read is one fault.
    told: BTreeSet<(PageNo, TableId)>,
    pub(super) stopped: bool,
}

/// Returns whether a tree is checked as a tree and read for what it lists.
pub(super) fn is_read_twice(table: &TableId) -> bool {
    [TableId::CATALOGUE, TableId::NAMES, TableId::SPACE, TableId::SNAPSHOTS].contains(table)
}

impl Check<'_, '_> {
    /// Reports something that contradicts something else. Returns whether to go on.
    fn fault(&mut self, page: Option<PageNo>, table: TableId, what: &str) -> bool {
        self.found(&Fault::contradiction(page, table, what))
    }

    /// Reports a fault. Returns whether to go on.
    pub(super) fn found(&mut self, fault: &Fault) -> bool {
        if self.job.is_stopped() {
            return false;
        }
        self.report.faults += 1;
        if let (Some(page), Some(table)) = (fault.page, fault.table.filter(is_read_twice)) {
            self.told.insert((page, table));
        }
        self.stopped |= !(self.on_fault)(fault);
        !self.stopped
    }

    /// Notes why something in a table could not be read. That memory is short ends the job, and is no fault of the
    /// file.
    pub(super) fn failed(&mut self, table: TableId, error: &Error) {
        if error.is_no_memory() {
            return self.job.lack_memory();
        }
        self.found_again(&Fault::of(error, table));
    }

    /// Reports a fault that was met in reading a tree for what it lists, unless the check of the tree has found one at
    /// the same page.
    pub(super) fn found_again(&mut self, fault: &Fault) {
        let at = fault.page.zip(fault.table);
        if at.is_none_or(|at| !self.told.contains(&at)) {
            self.found(fault);
        }
    }

    /// Checks every tree of the commit. Returns what they reach.
    fn trees(
        &mut self,
        view: JobView<'_, '_, '_>,
        desc: &Descriptor,
        space: Option<&Accounting>,
        reached: &mut PageSet,
    ) -> SeenPages {
        let (mut tables, faults) = match CommitTrees::of(&view, desc) {
            Ok(CommitTrees { all, faults }) => (all, faults),
            Err(error) => {
                self.failed(TableId::CATALOGUE, &error);
                return SeenPages::default();
            }
        };
        // The catalogue was read once to learn the trees, and is read again as a tree below, which tells more of a
        // page.
        let (of_pages, others): (Vec<Fault>, Vec<Fault>) = faults.into_iter().partition(|fault| fault.page.is_some());
        for fault in &others {
            self.found(fault);
        }
        let of_users = |(table, _): &&(TableId, Root)| *table == TableId::MAIN || catalogue::is_named(*table);
        self.report.tables = tables.iter().filter(of_users).count() as u64;
        self.report.entries = tables
            .iter()
            .filter(of_users)
            .fold(0u64, |n, (_, root)| n.saturating_add(root.ptr.entries));
        if let Some(space) = space {
            tables.push((TableId::SPACE, space.desc.roots.space));
            tables.push((TableId::SNAPSHOTS, space.desc.roots.snapshots));
        }
        let (mut tree_pages, mut overflow_pages) = (0, 0);
        let current = std::cell::Cell::new(TableId::MAIN);
        let job = self.job;
        let mut on_fault =
            |page: PageNo, kind: FaultKind, what: &str| self.found(&Fault::at(page, current.get(), kind, what));
        let mut on_run = |extent: Extent, what: Reached| {
            reached.insert_run(extent.run);
            let pages = extent.run.pages;
            // The result can be ignored: once the job is cancelled, the next page is not read.
            let _ = job.advance(pages);
            match what {
                Reached::Tree => tree_pages += pages,
                Reached::Chain => overflow_pages += pages,
            }
        };
        let mut checker = Checker::new(true, &mut on_fault, &mut on_run);
        if space.is_some() && desc.roots.snapshots.height > 0 {
            checker.keep_extents();
        }
        for (table, root) in &tables {
            current.set(*table);
            checker.tree(&view, root, *table);
            if checker.is_stopped() {
                break;
            }
        }
        if checker.lacks_memory() {
            job.lack_memory();
        }
        let seen = checker.into_seen();
        self.report.tree_pages = tree_pages;
        self.report.overflow_pages = overflow_pages;
        for fault in &of_pages {
            if !self.stopped {
                self.found_again(fault);
            }
        }
        seen
    }

    /// Checks that every page of the file has exactly one use. Returns those that are dead or parked, if they are
    /// known.
    fn account(&mut self, view: JobView<'_, '_, '_>, space: &Accounting, reached: &mut PageSet) -> Option<PageSet> {
        let first = PageNo::new(meta_pages(view.page_size()));
        let end = PageNo::new(self.report.pages);
        let desc = &space.desc;
        let used = first.get() + self.report.tree_pages + self.report.overflow_pages;
        let dead = match DeadExtents::of(&view, &desc.roots.space, desc.id, &space.changes) {
            Ok(dead) => dead,
            Err(error) => {
                self.report.unaccounted_pages = self.report.pages.saturating_sub(used);
                self.failed(TableId::SPACE, &error);
                return None;
            }
        };
        if let Some((page, what)) = dead.fault {
            self.fault(Some(page), TableId::SPACE, what);
        }
        self.holders(view, desc, &dead.parked);
        let is_hidden = self.report.faults > 0;
        let spilled = space.spilled.iter().map(|run| (*run, OWN));
        let parked = dead.parked.iter().map(|d| (d.extent.run, PARKED));
        let dead = dead.extents.values().map(|d| (d.extent.run, DEAD));
        let (mut counted, mut gone) = (used, PageSet::new());
        for (run, what) in dead.chain(parked).chain(spilled) {
            if run.first < first || run.checked_end().is_none_or(|behind| behind > end) {
                if !self.fault(Some(run.first), TableId::SPACE, "pages outside the file are listed") {
                    return None;
                }
                continue;
            }
            for page in run.iter() {
                if !reached.insert(page)
                    && !self.fault(Some(page), TableId::SPACE, &format!("page is {what} and in use"))
                {
                    return None;
                }
                if what != OWN {
                    gone.insert(page);
                }
            }
            counted += run.pages;
            match what {
                DEAD => self.report.dead_pages += run.pages,
                PARKED => self.report.parked_pages += run.pages,
                _ => {}
            }
        }
        if (self.report.dead_pages, self.report.parked_pages) != (space.dead, space.parked) {
            let what = "the meta slot counts other dead or parked pages than are listed";
            self.fault(None, TableId::SPACE, what);
        }
        let unaccounted = self.report.pages.saturating_sub(counted);
        if is_hidden {
            // They may be in use below a page that cannot be read, which has been told.
            self.report.unaccounted_pages = unaccounted;
        } else if unaccounted > 0 {
            let lost = Run::new(first, end - first)
                .iter()
                .find(|page| !reached.contains(*page));
            let are = plural(unaccounted, "page is", "pages are");
            let what = format!("{unaccounted} {are} neither in use nor dead; this is the first");
            self.fault(lost, TableId::SPACE, &what);
        }
        Some(gone)
    }
}
