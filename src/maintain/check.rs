//! Proof that a database is whole: every page of every tree, every checksum, and what becomes of each page of the file.

use super::job::{Careful, Job};
use crate::catalogue::{self, Record, CATALOGUE, MAIN, SPACE};
use crate::db::{Db, ReadTxn, Table};
use crate::error::{Error, Result};
use crate::page::{meta_pages, PageSource, Root};
use crate::pager::{Accounting, Dead, Snapshot, View, Wait};
use crate::tree::read::check::{Checker, PageSet, Reached};
use crate::tree::read::scan::scan;
use crate::txn::writer::decode_dead;
use crate::util::bytes::get_u64;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

/// Commits that may come between while a check gets hold of one.
const TRIES: usize = 1000;

/// One fault that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Page, or `u64::MAX`.
    pub page: u64,
    /// Table, or `u64::MAX`.
    pub table: Table,
    /// What is wrong.
    pub what: String,
}

/// What a check counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Commit that was checked.
    pub id: u64,
    /// Tables, the default one included.
    pub tables: u64,
    /// Entries of all tables.
    pub entries: u64,
    /// Pages of the file.
    pub pages: u64,
    /// Tree pages reached (tables, catalogue, space).
    pub tree_pages: u64,
    /// Pages of long values and keys.
    pub chain_pages: u64,
    /// Dead pages: free or pending.
    pub dead_pages: u64,
    /// Faults found.
    pub faults: u64,
}

impl ReadTxn {
    /// Walks everything this snapshot reaches and verifies every checksum anew, while others read and write.
    ///
    /// With `accounting` it also proves that every page of the file is exactly one of meta, reachable, dead (free, or
    /// pending for a reader or the next sync), or space bookkeeping. That holds of the newest commit only, so then that
    /// one is checked, whichever this transaction sees; the report says which. To catch it, an open write transaction is
    /// waited for.
    ///
    /// `on_fault` is told each fault; false stops.
    ///
    /// # Errors
    /// `Cancelled` (by `on_fault` or the job), `Poisoned`, `Io`; `Busy` if other transactions commit so fast that no
    /// commit could be caught. Damage is reported as faults, not as an error.
    pub fn check(
        &self,
        accounting: bool,
        job: &Job<'_>,
        on_fault: &mut dyn FnMut(&Fault) -> bool,
    ) -> Result<CheckReport> {
        if !accounting {
            return run(self.pin(), None, job, on_fault);
        }
        let pager = self.pin().pager();
        let mut pin = pager.begin_read()?;
        for _ in 0..TRIES {
            match pager.accounting() {
                Ok(space) if space.desc.id == pin.desc().id => return run(&pin, Some(space), job, on_fault),
                Ok(_) => {}
                // Wait for the one who writes.
                Err(Error::Busy(_)) => drop(pager.lock_write(Wait::Forever, &AtomicBool::new(false))?),
                Err(error) => return Err(error),
            }
            pin.refresh()?;
        }
        Err(Error::Busy("commits come too fast to check one; repeat"))
    }
}

impl Db {
    /// [`ReadTxn::check`] of the newest commit.
    ///
    /// # Errors
    /// As there; `Limit` when every reader slot is taken.
    pub fn check(&self, accounting: bool, on_fault: &mut dyn FnMut(&Fault) -> bool) -> Result<CheckReport> {
        self.begin_read()?.check(accounting, &Job::silent(), on_fault)
    }
}

fn run(
    pin: &Snapshot,
    space: Option<Accounting>,
    job: &Job<'_>,
    on_fault: &mut dyn FnMut(&Fault) -> bool,
) -> Result<CheckReport> {
    let desc = *pin.desc();
    job.expect(desc.pages);
    let view = Careful {
        source: pin.view(),
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
        stopped: false,
    };
    let mut reached = PageSet::new();
    check.trees(view, &desc, space.as_ref(), &mut reached);
    if let Some(space) = space.filter(|_| !check.stopped) {
        check.account(view, &space, &mut reached);
    }
    if check.stopped || job.is_stopped() {
        return Err(Error::Cancelled);
    }
    let report = check.report;
    job.finish().map(|()| report)
}

/// What a check reads through.
pub(crate) type TreeView<'v, 'j, 'f> = Careful<'j, 'f, View<'v>>;

struct Check<'f, 'j> {
    report: CheckReport,
    job: &'f Job<'j>,
    on_fault: &'f mut dyn FnMut(&Fault) -> bool,
    stopped: bool,
}

impl Check<'_, '_> {
    fn fault(&mut self, page: u64, table: Table, what: &str) -> bool {
        if self.job.is_stopped() {
            return false;
        }
        self.report.faults += 1;
        let what = what.to_string();
        self.stopped |= !(self.on_fault)(&Fault { page, table, what });
        !self.stopped
    }

    /// Every tree of the commit.
    fn trees(
        &mut self,
        view: TreeView<'_, '_, '_>,
        desc: &crate::pager::Descriptor,
        space: Option<&Accounting>,
        reached: &mut PageSet,
    ) {
        let (mut tables, broken) = named_tables(view, &desc.catalogue);
        tables.push((MAIN, desc.main));
        self.report.tables = tables.iter().filter(|(t, _)| *t != catalogue::NAMES).count() as u64;
        self.report.entries = tables
            .iter()
            .filter(|(t, _)| *t != catalogue::NAMES)
            .fold(0u64, |n, (_, root)| n.saturating_add(root.ptr.entries));
        tables.push((CATALOGUE, desc.catalogue));
        if let Some(space) = space {
            tables.push((SPACE, space.space));
        }
        if let Some(error) = broken {
            self.fault(u64::MAX, CATALOGUE, &error.to_string());
        }
        let (mut tree_pages, mut chain_pages) = (0, 0);
        let current = std::cell::Cell::new(MAIN);
        let job = self.job;
        let mut on_fault = |page: u64, what: &str| self.fault(page, current.get(), what);
        let mut on_run = |page: u64, pages: u64, _birth: u64, what: Reached| {
            reached.insert_run(page, pages);
            // Cancelled, the next page is not read.
            let _ = job.advance(pages);
            match what {
                Reached::Tree => tree_pages += pages,
                Reached::Chain => chain_pages += pages,
            }
        };
        let mut checker = Checker::new(true, &mut on_fault, &mut on_run);
        for (table, root) in &tables {
            current.set(*table);
            checker.tree(&view, root, *table);
            if checker.is_stopped() {
                break;
            }
        }
        self.report.tree_pages = tree_pages;
        self.report.chain_pages = chain_pages;
    }

    /// Every page of the file is one thing.
    fn account(&mut self, view: TreeView<'_, '_, '_>, space: &Accounting, reached: &mut PageSet) {
        let first = meta_pages(view.page_size());
        let dead = match dead_extents(&view, &space.space, &space.tail) {
            Ok(dead) => dead,
            Err(error) => {
                self.fault(u64::MAX, SPACE, &error.to_string());
                return;
            }
        };
        let spill = space
            .spill
            .iter()
            .map(|(page, pages)| (*page, *pages, "space bookkeeping"));
        let dead = dead.values().map(|d| (d.page, d.pages, "dead"));
        let mut counted = first + self.report.tree_pages + self.report.chain_pages;
        for (page, pages, what) in dead.chain(spill) {
            if page < first || page.checked_add(pages).is_none_or(|end| end > self.report.pages) {
                if !self.fault(page, SPACE, "pages outside the file are listed") {
                    return;
                }
                continue;
            }
            for p in page..page + pages {
                if !reached.insert(p) && !self.fault(p, SPACE, &format!("page is {what} and in use")) {
                    return;
                }
            }
            counted += pages;
            if what == "dead" {
                self.report.dead_pages += pages;
            }
        }
        if counted < self.report.pages {
            let lost = (first..self.report.pages)
                .find(|p| !reached.contains(*p))
                .unwrap_or(u64::MAX);
            let what = format!(
                "{} pages are neither in use nor dead, this is the first",
                self.report.pages - counted
            );
            self.fault(lost, SPACE, &what);
        }
    }
}

/// The trees the catalogue names, and why reading it ended early.
pub(crate) fn named_tables(view: TreeView<'_, '_, '_>, catalogue: &Root) -> (Vec<(Table, Root)>, Option<Error>) {
    let mut tables = Vec::new();
    let read = scan(&view, catalogue, &[], |key, value| {
        let record = Record::decode(value.bytes())?;
        if key.len() != 8 {
            return Err(Error::corrupt(u64::MAX, "key of the catalogue has a wrong size"));
        }
        tables.push((get_u64(key, 0).swap_bytes(), record.root));
        Ok(true)
    });
    (tables, read.err())
}

/// What the space tree and the tail together say is dead, by first page.
pub(crate) fn dead_extents<'s, S: PageSource<'s>>(
    source: &S,
    space: &Root,
    tail: &[std::result::Result<Dead, (u64, u64)>],
) -> Result<BTreeMap<u64, Dead>> {
    let mut dead = BTreeMap::new();
    scan(source, space, &[], |key, value| {
        let d = decode_dead(key, value.bytes())?;
        dead.insert(d.page, d);
        Ok(true)
    })?;
    for change in tail {
        match change {
            Ok(d) => {
                dead.insert(d.page, *d);
            }
            Err((page, pages)) => remove(&mut dead, *page, *pages),
        }
    }
    Ok(dead)
}

/// Takes `page..page + pages` out of the extents.
fn remove(dead: &mut BTreeMap<u64, Dead>, page: u64, pages: u64) {
    let end = page + pages;
    while let Some((_, d)) = dead
        .range(..end)
        .next_back()
        .map(|(k, d)| (*k, *d))
        .filter(|(_, d)| d.page + d.pages > page)
    {
        dead.remove(&d.page);
        if d.page + d.pages > end {
            let pages = d.page + d.pages - end;
            dead.insert(end, Dead { page: end, pages, ..d });
        }
        if d.page < page {
            let pages = page - d.page;
            dead.insert(d.page, Dead { pages, ..d });
        }
    }
}
