//! `kv history`: snapshots that commits record by themselves.

use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::input::retention::{keeps_any, pages, seconds, RetentionArgs};
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::{Error, Reader, Retention};
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
/// Options that are not given leave what is set as it is: --daily 7 changes one count, and 0 takes it away. Fewer
/// snapshots stay from the next one on that is recorded. A snapshot is of what its commit has made: to keep the state
/// before a change, create one first.
#[derive(Debug, Args)]
pub struct History {
    /// The database.
    file: PathBuf,
    /// Records a snapshot when the newest is older than this: 90s, 10m, 1h, 1d, 1w. --every none ends that, and
    /// snapshots go on yielding.
    #[arg(long, value_name = "TIME", value_parser = seconds, allow_negative_numbers = true)]
    every: Option<u32>,
    #[command(flatten)]
    stay: RetentionArgs,
    /// Makes marks of snapshots that yield when they are older than this. --yield-after none ends that.
    #[arg(long, value_name = "TIME", value_parser = seconds, allow_negative_numbers = true)]
    yield_after: Option<u32>,
    /// Makes marks of snapshots that yield, the oldest first, while snapshots keep more than N pages. --yield-pages
    /// none ends that.
    #[arg(long, value_name = "N", value_parser = pages, allow_negative_numbers = true)]
    yield_pages: Option<u64>,
    /// Records none from now on, and makes no marks. Those that are there stay.
    #[arg(long, conflicts_with_all = [
        "every", "last", "hourly", "daily", "weekly", "monthly", "yield_after", "yield_pages",
    ])]
    off: bool,
    #[command(flatten)]
    form: FormArg,
}

impl History {
    /// Does what is wanted.
    pub fn run(self, context: &Context) -> Outcome {
        let changes = self.every.is_some() || self.stay.is_given();
        match changes || self.off || self.yield_after.is_some() || self.yield_pages.is_some() {
            true => self.set(context),
            false => self.show(context),
        }
    }

    /// Returns the policy that the options make of the one before, or `None` if nothing is left of it.
    fn policy(&self, before: Option<Retention>) -> Outcome<Option<Retention>> {
        let before = before.unwrap_or_default();
        // Who ends the recording need not know which counts there are.
        let kept = match self.every {
            Some(0) => Retention {
                yield_after: before.yield_after,
                yield_pages: before.yield_pages,
                ..Retention::default()
            },
            _ => before,
        };
        let policy = Retention {
            interval: self.every.unwrap_or(before.interval),
            yield_after: self.yield_after.unwrap_or(before.yield_after),
            yield_pages: self.yield_pages.unwrap_or(before.yield_pages),
            ..self.stay.over(kept)
        };
        match (policy.interval, keeps_any(&policy)) {
            (0, true) => Err(Failure::usage(
                "--last, --hourly, --daily, --weekly and --monthly say what stays, and no snapshots are recorded; say \
                 with --every how often one is",
            )),
            (1.., false) if before.interval > 0 => Err(Failure::usage(
                "nothing would stay; leave one of --last, --hourly, --daily, --weekly and --monthly above 0, or end it \
                 with --every none",
            )),
            (1.., false) => Err(Failure::usage(
                "--every needs to know what stays; say it with --last, --hourly, --daily, --weekly or --monthly",
            )),
            (0, false) if (policy.yield_after, policy.yield_pages) == (0, 0) => Ok(None),
            _ => Ok(Some(policy)),
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

    fn set(&self, context: &Context) -> Outcome {
        if !self.file.exists() {
            Database::to_read(&self.file, context)?;
        }
        let database = Database::to_write(&self.file, context, WriteAccess::default())?;
        let mut txn = database.write()?;
        let policy = match self.off {
            // What a later version has set need not be understood to be ended.
            true => Ok(None),
            false => match txn.history() {
                Ok(before) => self.policy(before),
                Err(Error::TooNew(_)) => Err(later(&database)),
                Err(error) => Err(database.fail(error)),
            },
        };
        let policy = match policy {
            Ok(policy) => policy,
            Err(failure) => {
                // This was refused before anything was changed.
                txn.put_back();
                return Err(failure);
            }
        };
        txn.set_history(policy.as_ref()).map_err(|error| database.fail(error))?;
        txn.commit().about(&self.file)?;
        Ok(Exit::Done)
    }
}

/// Returns the failure for a policy that is not understood.
fn later(database: &Database) -> Failure {
    let path = shown(&database.path);
    Failure::new(
        Exit::Refused,
        format!(
            "{path}: a later version has set the policy of the file, so it cannot be changed in parts; end it with kv \
             history {path} --off, and set another one"
        ),
    )
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
        ("yield_after_s", limit(u64::from(policy.yield_after), "never")),
        ("yield_pages", limit(policy.yield_pages, "no limit")),
    ];
    [("every_s", every)].into_iter().chain(counts).chain(limits).collect()
}

/// Returns a limit, or what people read if there is none.
fn limit(limit: u64, none: &'static str) -> Figure {
    match limit {
        0 => Figure::None(none),
        limit => limit.into(),
    }
}
