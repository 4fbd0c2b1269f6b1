//! `kv check`: proving that a file is whole.

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::input::args::StateArg;
use crate::inspect::faults::{table_of, Faults, Job};
use crate::inspect::{slots, states};
use crate::output::figures::{self, Figure, Record};
use crate::output::progress;
use crate::output::stream::{self, Out};
use crate::output::FormArg;
use clap::Args;
use kv_engine::{CheckReport, Fault};
use std::path::PathBuf;

/// Checks that the database is whole; ends with 3 if it is damaged.
///
/// Every page of every table is read and compared with its checksum, long values too, as well as the order of keys,
/// the counts and the shapes of trees. With --all the check also proves that every page of the file has exactly one
/// use, for which it waits until nobody writes, and checks every snapshot. Each fault is shown with what it means and
/// what to do. Others can work meanwhile.
#[derive(Debug, Args)]
pub struct Check {
    /// The database.
    file: PathBuf,
    /// Accounts for every page of the file, too, and checks all snapshots.
    #[arg(long, conflicts_with_all = ["snapshot", "commit", "time"])]
    all: bool,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    at: StateArg,
}

impl Check {
    /// Checks.
    pub fn run(self, context: &Context) -> Outcome {
        let (database, txn) = states::open_own(&self.file, &self.at, context)?;
        let mut out = Out::open()?;
        let form = self.form.form;
        let mut faults = Faults::new(&mut out, form, Job::Check);
        let report = progress::of_job(context, "checking", database.db.stat().pages, |job| {
            // The check goes on if nobody reads what it finds: its exit status is wanted.
            let mut on_fault = |fault: &Fault| faults.show(fault, table_of(&txn, fault));
            match self.all {
                true => database.db.check_reporting(true, job, &mut on_fault),
                false => txn.check(false, job, &mut on_fault),
            }
        });
        let written = faults.end();
        let report = report.map_err(|error| database.fail_waiting(error))?;
        let tells = report.faults > 0 || !context.global.quiet;
        let written = written
            .and_then(|()| match tells {
                true => figures::record(&mut out, form, &summary(&report, self.all)),
                false => Ok(()),
            })
            .and_then(|()| out.finish());
        if let Some(said) = slots::said(report.lost_slots, database.db.recovery().closed_properly) {
            context.say(said);
        }
        let exit = match report.faults {
            0 => Exit::Done,
            _ => Exit::Damage,
        };
        stream::ended(written, exit)
    }
}

fn summary(report: &CheckReport, all: bool) -> Record {
    let accounted = |count: u64| match all {
        true => Figure::Number(count),
        false => Figure::None("not counted without --all"),
    };
    vec![
        ("damaged", Figure::Is(report.faults > 0)),
        ("faults", report.faults.into()),
        ("commit", report.id.get().into()),
        ("tables", report.tables.into()),
        ("entries", report.entries.into()),
        ("pages", report.pages.into()),
        ("tree_pages", report.tree_pages.into()),
        ("overflow_pages", report.overflow_pages.into()),
        ("dead_pages", accounted(report.dead_pages)),
        ("parked_pages", accounted(report.parked_pages)),
        ("snapshots", accounted(report.snapshots)),
        ("unaccounted_pages", accounted(report.unaccounted_pages)),
        ("lost_slots", u64::from(report.lost_slots.count_ones()).into()),
    ]
}
