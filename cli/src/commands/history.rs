//! `kv history`: snapshots that commits record by themselves.

use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{About, Exit, Failure, Outcome};
use crate::input::retention::{seconds, RetentionArgs};
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::Retention;
use std::path::PathBuf;

/// Has commits record snapshots by themselves, and shows by which policy they do.
///
/// The policy belongs to the file. With one, whoever commits, in any process, records a snapshot when the newest of
/// those is older than --every, named auto/2026-11-30T12:00:00Z by its time, and drops the ones that do not stay. Those
/// that were created, renamed or kept by hand are left alone. kv snapshot FILE list tells which are automatic.
///
/// A snapshot that was created with --yield becomes a mark when it is older than --yield-after, or the oldest one when
/// all snapshots keep more than --yield-pages: its name stays, and nothing else of it is kept.
///
/// --every, --yield-after and --yield-pages replace the whole policy: what is not given again is 0. Fewer snapshots
/// stay from the next one on that is recorded. A snapshot is of what its commit has made: to keep the state before a
/// change, create one first.
#[derive(Debug, Args)]
pub struct History {
    /// The database.
    file: PathBuf,
    /// Records a snapshot when the newest is older than this: 90s, 10m, 1h, 1d, 1w.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    every: Option<u32>,
    #[command(flatten)]
    stay: RetentionArgs,
    /// Makes marks of snapshots that yield when they are older than this.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    yield_after: Option<u32>,
    /// Makes marks of snapshots that yield, the oldest first, while snapshots keep more than N pages.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    yield_pages: u64,
    /// Records none from now on, and makes no marks. Those that are there stay.
    #[arg(long, conflicts_with_all = ["every", "yield_after", "yield_pages"])]
    off: bool,
    #[command(flatten)]
    form: FormArg,
}

impl History {
    /// Does what is wanted.
    pub fn run(self, context: &Context) -> Outcome {
        match self.every {
            None if self.stay.is_given() => Err(Failure::usage(
                "--last, --hourly, --daily, --weekly and --monthly say what stays; say with --every how often a snapshot \
                 is recorded",
            )),
            Some(_) if !self.stay.is_given() => Err(Failure::usage(
                "--every needs to know what stays; say it with --last, --hourly, --daily, --weekly or --monthly",
            )),
            None if self.off => self.set(None, context),
            None if self.yield_after.is_none() && self.yield_pages == 0 => self.show(context),
            every => {
                let policy = Retention {
                    yield_after: self.yield_after.unwrap_or(0),
                    yield_pages: self.yield_pages,
                    ..self.stay.retention(every.unwrap_or(0))
                };
                self.set(Some(policy), context)
            }
        }
    }

    fn show(&self, context: &Context) -> Outcome {
        let database = Database::to_read(&self.file, context)?;
        let mut txn = database.reading()?;
        let policy = txn.reader().history().about(&self.file)?;
        let mut out = Out::open()?;
        figures::record(&mut out, self.form.form, &record(policy))?;
        out.finish()?;
        Ok(Exit::Done)
    }

    fn set(&self, policy: Option<Retention>, context: &Context) -> Outcome {
        if !self.file.exists() {
            Database::to_read(&self.file, context)?;
        }
        let database = Database::to_write(&self.file, context, WriteAccess::default())?;
        let mut txn = database.write()?;
        txn.set_history(policy.as_ref()).map_err(|error| database.fail(error))?;
        txn.commit().about(&self.file)?;
        Ok(Exit::Done)
    }
}

fn record(policy: Option<Retention>) -> Record {
    let every: Figure = match policy {
        Some(policy) if policy.interval > 0 => u64::from(policy.interval).into(),
        _ => Figure::None("never"),
    };
    let policy = policy.unwrap_or_default();
    let counts = [
        ("last", policy.last),
        ("hourly", policy.hourly),
        ("daily", policy.daily),
        ("weekly", policy.weekly),
        ("monthly", policy.monthly),
    ];
    let counts = counts.map(|(name, count)| (name, u64::from(count).into()));
    let limits = [
        ("yield_after_s", u64::from(policy.yield_after).into()),
        ("yield_pages", policy.yield_pages.into()),
    ];
    [("every_s", every)].into_iter().chain(counts).chain(limits).collect()
}
