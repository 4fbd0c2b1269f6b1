//! What the pages of a file are used for: counts, and runs that are joined where they touch.

use super::picture::{kind_of, KINDS, UNKNOWN};
use crate::context::Context;
use crate::damage::Damage;
use crate::database::Database;
use crate::exit::{Failure, Outcome};
use crate::output::figures::Figure;
use crate::output::progress;
use kv_engine::{Fault, PageRun, PageUse, PageUses, Reader};

/// What was counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// How many pages of each kind there are.
    pub pages: [u64; KINDS.len()],
    /// How many runs of dead pages there are.
    pub dead_runs: u64,
    /// How many pages the largest of them has.
    pub largest_dead_run: u64,
    /// Leaves that have a leaf before them in their table, and how many of these lie right behind it.
    followers: (u64, u64),
    last: Option<PageRun>,
    /// The end of the last run of dead pages.
    dead_end: u64,
    dead_run: u64,
}

impl Counts {
    /// Counts pages that are used for the same.
    fn add(&mut self, run: PageRun) {
        self.pages[kind_of(run.usage)] += run.pages;
        match run.usage {
            PageUse::Leaf => {
                if let Some(last) = self.last.filter(|last| last.table == run.table) {
                    self.followers.0 += 1;
                    self.followers.1 += u64::from(last.first.get() + 1 == run.first.get());
                }
                self.last = Some(run);
            }
            // They come in order. Runs may touch.
            PageUse::Dead => {
                if self.dead_run == 0 || self.dead_end != run.first.get() {
                    self.dead_runs += 1;
                    self.dead_run = 0;
                }
                self.dead_run += run.pages;
                self.dead_end = run.first.get() + run.pages;
                self.largest_dead_run = self.largest_dead_run.max(self.dead_run);
            }
            _ => {}
        }
    }

    /// Returns how many percent of the leaves lie right behind the one before them.
    pub fn in_order(&self) -> Figure {
        match self.followers {
            (0, _) => Figure::None("none"),
            (all, behind) => Figure::Real(behind as f64 * 100.0 / all as f64, 1),
        }
    }
}

/// What the pages of a file are used for.
#[derive(Debug)]
pub struct Uses {
    /// How many pages there are of each kind.
    pub counts: Counts,
    /// The uses in the order of the file, joined where they touch.
    pub runs: Vec<PageRun>,
    /// The commit of which this tells.
    pub commit: u64,
    /// The pages of the file then.
    pub pages: u64,
    /// Whether it is known which pages are dead.
    pub dead_known: bool,
}

impl Uses {
    /// Reads them. A commit may make the file longer meanwhile. What only damaged pages lead to is not known.
    pub fn read(database: &Database, context: &Context, doing: &'static str, damage: &mut Damage) -> Outcome<Uses> {
        let before = database.db.stat();
        let (mut counts, mut runs, mut first) = (Counts::default(), Vec::new(), None);
        let mut on_run = |run| {
            counts.add(run);
            join(&mut runs, run);
        };
        let read = progress::of_job(context, doing, before.pages, |job| {
            database.db.page_uses(job, &mut on_run, &mut |fault| {
                first.get_or_insert_with(|| fault.clone());
                true
            })
        });
        if let Some(fault) = first {
            damage.pass::<()>(Err(failure_of(fault, database)))?;
        }
        let read = damage.pass(read.map_err(|error| database.fail_waiting(error)))?;
        let read = read.unwrap_or(PageUses {
            id: before.visible,
            pages: before.pages,
            unknown_pages: before.pages,
            dead_pages_known: false,
        });
        counts.pages[UNKNOWN] = read.unknown_pages;
        Ok(Uses {
            counts,
            runs,
            commit: read.id.get(),
            pages: read.pages,
            dead_known: read.dead_pages_known,
        })
    }

    /// Returns whether there are pages of which nothing is known.
    pub fn has_unknown(&self) -> bool {
        self.counts.pages[UNKNOWN] > 0
    }
}

/// Returns what a command says that meets this fault.
fn failure_of(fault: Fault, database: &Database) -> Failure {
    let name = match (fault.table, database.db.begin_read()) {
        (Some(table), Ok(txn)) => (&txn).table_name(table).unwrap_or_default(),
        _ => Vec::new(),
    };
    database.fail(fault.into_error().in_table_called(&name))
}

/// Adds a run to a list, as a part of the last one where it continues that.
fn join(runs: &mut Vec<PageRun>, run: PageRun) {
    match runs.last_mut() {
        Some(last) if last.usage == run.usage && last.first + last.pages == run.first => last.pages += run.pages,
        _ => runs.push(run),
    }
}
