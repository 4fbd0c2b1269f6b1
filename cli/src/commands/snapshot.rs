//! `kv snapshot`: states of a database that have a name.

use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::input::args::{time_help, StateArg};
use crate::input::bytes::Syntax;
use crate::input::names::check_snapshot;
use crate::input::retention::{keeps_any, RetentionArgs};
use crate::inspect::states::{self, StateName};
use crate::output::date::date;
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::text::{counted, hex, Quoted};
use crate::output::{Form, FormArg};
use crate::session::Work;
use clap::{Args, ValueEnum};
use kv_engine::{Error, Reader, Retention, SnapshotInfo, SnapshotOptions, Wait, NOTE_MAX};
use std::ffi::OsString;
use std::path::PathBuf;

/// Makes and drops snapshots: states of the database that have a name and are kept.
///
/// kv snapshot FILE create monday gives what there is now the name monday, kv get FILE KEY --snapshot monday reads it,
/// as all commands do that take --snapshot, kv diff FILE --snapshot monday shows what has changed since, kv revert FILE
/// --snapshot monday goes back to it, and kv snapshot FILE drop monday ends it.
///
/// Making one costs next to nothing, however large the database is. While it is there, the file grows by what later
/// commits replace. What a dropped snapshot alone had is given back bit by bit, or at once by reclaim. Snapshots stay
/// in their file: a backup has none. A mark is a snapshot of which nothing is kept but its name and its commit.
#[derive(Debug, Args)]
#[command(
    mut_arg("snapshot", |snapshot| snapshot.help(
        "Gives the name to the state of the snapshot of this name, with escapes, instead of the newest commit (create)"
    )),
    mut_arg("commit", |commit| commit.help(
        "Gives the name to the newest state up to this commit, of those that are kept (create)"
    )),
    mut_arg("time", |time| time.help(time_help(
        "Gives the name to the newest state up to this time, of those that are kept (create)"
    ))),
    mut_args(|arg| match (arg.get_id().as_str(), arg.get_help().map(ToString::to_string)) {
        ("last" | "hourly" | "daily" | "weekly" | "monthly", Some(help)) => arg.help(format!("{help} (thin)")),
        _ => arg,
    }),
)]
pub struct Snapshot {
    /// The database.
    file: PathBuf,
    /// What to do; list if this is left out.
    #[arg(default_value = "list", hide_default_value = true)]
    action: Action,
    /// The names of snapshots, with escapes.
    names: Vec<OsString>,
    /// Drops the snapshot that has the name already (create).
    #[arg(long)]
    replace: bool,
    /// Keeps the snapshot from being dropped before unkeep (create).
    #[arg(long)]
    keep: bool,
    /// Makes a mark, which keeps nothing: kv diff --ranges shows what has changed since (create).
    #[arg(long, conflicts_with_all = ["keep", "yields"])]
    mark: bool,
    /// Lets the snapshot become a mark when kv history says so (create).
    #[arg(long = "yield")]
    yields: bool,
    /// Attaches a note, with escapes (create).
    #[arg(long, value_name = "TEXT")]
    note: Option<OsString>,
    #[command(flatten)]
    of: StateArg,
    #[command(flatten)]
    stay: RetentionArgs,
    #[command(flatten)]
    form: FormArg,
}

/// What is done with snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    /// Lists the snapshots.
    List,
    /// Shows what is recorded of a snapshot.
    Info,
    /// Makes a snapshot of the newest commit, or of an earlier state with --snapshot, --commit or --time.
    Create,
    /// Gives a snapshot another name; one that has the name already is dropped.
    Rename,
    /// Drops snapshots.
    Drop,
    /// Makes marks of snapshots: their names stay, and what they alone had is given back.
    Release,
    /// Keeps snapshots from being dropped.
    Keep,
    /// Takes that back.
    Unkeep,
    /// Drops the snapshots whose names begin with NAME (all of them if it is ""), but for those that stay by --last,
    /// --hourly, --daily, --weekly and --monthly, and those that are kept.
    Thin,
    /// Tells how many pages come free if a snapshot, or all from one to another by their commits, are dropped.
    Cost,
    /// Gives back at once what dropped snapshots alone had.
    Reclaim,
}

impl Action {
    /// Returns how many names it takes: at least and at most.
    fn names(self) -> (usize, usize) {
        match self {
            Action::List | Action::Reclaim => (0, 0),
            Action::Info | Action::Create | Action::Thin => (1, 1),
            Action::Rename => (2, 2),
            Action::Cost => (1, 2),
            Action::Drop | Action::Release | Action::Keep | Action::Unkeep => (1, usize::MAX),
        }
    }

    /// Returns what stands behind the file on a command line with it.
    fn form(self) -> &'static str {
        match self {
            Action::List => "list",
            Action::Info => "info NAME",
            Action::Create => "create NAME",
            Action::Rename => "rename NAME NEW",
            Action::Drop => "drop NAME...",
            Action::Release => "release NAME...",
            Action::Keep => "keep NAME...",
            Action::Unkeep => "unkeep NAME...",
            Action::Thin => "thin PREFIX --last N",
            Action::Cost => "cost NAME, or cost FIRST LAST",
            Action::Reclaim => "reclaim",
        }
    }
}

impl Snapshot {
    /// Does what is wanted.
    pub fn run(self, context: &Context) -> Outcome {
        let read = |typed: &OsString| Syntax::Text.read(typed);
        let names: Vec<Vec<u8>> = self.names.iter().map(read).collect::<Outcome<_>>()?;
        let note = self.note.as_ref().map(read).transpose()?;
        self.check(&names)?;
        if self.action != Action::Thin {
            names.iter().try_for_each(|name| check_snapshot(name))?;
        }
        if let Some(long) = note.as_ref().filter(|note| note.len() > NOTE_MAX) {
            let bytes = long.len();
            return Err(Failure::usage(format!(
                "--note: it has {bytes} bytes, and can have {NOTE_MAX} at most; give a shorter one"
            )));
        }
        match self.action {
            Action::List => self.list(context)?,
            Action::Info => self.info(&names[0], context)?,
            Action::Create => {
                let options = SnapshotOptions {
                    replace: self.replace,
                    keep: self.keep,
                    mark: self.mark,
                    yields: self.yields,
                    note: note.as_deref().unwrap_or_default(),
                };
                self.create(&names[0], &options, context)?;
            }
            Action::Rename => self.write(context, |database, txn| {
                refuse_kept(database, txn, &names[1], &names[0])?;
                let renamed = txn.snapshot_rename(&names[0], &names[1]);
                renamed.map_err(|error| database.no_snapshot(&names[0], error))
            })?,
            Action::Drop => self.write(context, |database, txn| {
                names.iter().try_for_each(|name| {
                    refuse_kept(database, txn, name, b"")?;
                    txn.snapshot_drop(name).map_err(|e| database.no_snapshot(name, e))
                })
            })?,
            Action::Release => self.write(context, |database, txn| {
                names.iter().try_for_each(|name| {
                    refuse_kept(database, txn, name, b"")?;
                    txn.snapshot_release(name).map_err(|e| database.no_snapshot(name, e))
                })
            })?,
            Action::Keep | Action::Unkeep => self.write(context, |database, txn| {
                let keep = self.action == Action::Keep;
                names.iter().try_for_each(|name| {
                    match txn.snapshot(name) {
                        Ok(info) if info.mark && keep => Err(mark_to_keep(database, name)),
                        // It is never to be kept, so there is nothing to take back.
                        Ok(info) if info.mark => Ok(()),
                        _ => txn.snapshot_keep(name, keep).map_err(|e| database.no_snapshot(name, e)),
                    }
                })
            })?,
            Action::Thin => self.write(context, |database, txn| {
                let all = database.snapshots(&mut **txn)?;
                let row = all.iter().filter(|name| name.starts_with(&names[0])).count();
                let dropped = txn.snapshot_thin(&names[0], &self.stay.over(Retention::default()));
                let dropped = counted(dropped.map_err(|e| database.fail(e))?, "snapshot", "snapshots");
                let path = shown(&self.file);
                match row {
                    0 => context.say(format_args!(
                        "{path}: no snapshot has a name that begins with {}",
                        Quoted(&names[0])
                    )),
                    _ => context.say(format_args!("{path}: {dropped} dropped, of {row}")),
                }
                Ok(())
            })?,
            Action::Cost => self.cost(&names, context)?,
            Action::Reclaim => self.reclaim(context)?,
        }
        Ok(Exit::Done)
    }

    /// Refuses a wrong number of names, and options of another action.
    fn check(&self, names: &[Vec<u8>]) -> Outcome<()> {
        let (least, most) = self.action.names();
        let wanted = match (least, most) {
            _ if (least..=most).contains(&names.len()) => None,
            (0, 0) => Some("it takes no name"),
            (1, 1) if self.action == Action::Thin => Some("it takes what the names of a row begin with"),
            (1, 1) => Some("it takes one name"),
            (2, 2) => Some("it takes the name and the new one"),
            (1, 2) => Some("it takes one name, or the first and the last of several"),
            _ => Some("it takes at least one name"),
        };
        let action = self
            .action
            .to_possible_value()
            .map(|value| value.get_name().to_string());
        let action = action.unwrap_or_default();
        if let Some(wanted) = wanted {
            let form = self.action.form();
            return Err(Failure::usage(format!("{action}: {wanted}: kv snapshot FILE {form}")));
        }
        let twice = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name));
        if let (Action::Drop, Some((_, name))) = (self.action, twice) {
            return Err(Failure::usage(format!(
                "{action}: {} is named twice; name it once",
                Quoted(name)
            )));
        }
        let keeps_any = keeps_any(&self.stay.over(Retention::default()));
        match self.stay.is_given() {
            _ if self.action == Action::Thin && !keeps_any => {
                return Err(Failure::usage(format!(
                    "{action}: nothing would stay; say what does with --last, --hourly, --daily, --weekly or --monthly"
                )))
            }
            true if self.action != Action::Thin => {
                return Err(Failure::usage(format!(
                    "{action}: --last, --hourly, --daily, --weekly and --monthly are for thin"
                )))
            }
            _ => {}
        }
        let is_special = self.replace || self.keep || self.mark || self.yields;
        let is_special = is_special || self.note.is_some() || self.of.is_given();
        match is_special && self.action != Action::Create {
            true => Err(Failure::usage(format!(
                "{action}: --replace, --keep, --mark, --yield, --note, --snapshot, --commit and --time are for create"
            ))),
            false => Ok(()),
        }
    }

    fn reclaim(&self, context: &Context) -> Outcome<()> {
        let database = self.open(context)?;
        let freed = database.db.reclaim().map_err(|e| database.fail_waiting(e))?;
        let (path, stat) = (shown(&self.file), database.db.stat());
        let held = stat.readers > 0 && stat.pending_pages > 0;
        match freed {
            0 if held => context.say(format_args!("{path}: no page could be given back")),
            0 => context.say(format_args!(
                "{path}: no page was given back, because none is waiting: what dropped snapshots alone had is free \
                 already"
            )),
            freed => context.say(format_args!(
                "{path}: {} given back",
                counted(freed, "page was", "pages were")
            )),
        }
        if held {
            context.say(format_args!(
                "{path}: {} for those who read commit {} or a later one, and free when these end; kv readers {path} \
                 shows who that is",
                counted(stat.pending_pages, "page stays", "pages stay"),
                stat.oldest
            ));
        }
        Ok(())
    }

    fn list(&self, context: &Context) -> Outcome<()> {
        let database = Database::to_read(&self.file, context)?;
        let mut txn = database.reading()?;
        let mut reader = txn.reader();
        let mut rows = Vec::new();
        let costs = self.costs(&database)?;
        for name in database.snapshots(&mut *reader)? {
            let info = reader.snapshot(&name).about(&self.file)?;
            // What was created or dropped meanwhile has no figure.
            let at = costs.binary_search_by(|(other, _)| other.cmp(&name));
            let alone = match at {
                Ok(at) => costs[at].1.into(),
                Err(_) if info.mark => 0.into(),
                Err(_) => Figure::None("not known"),
            };
            let mut row = record(name, &info);
            row.insert(ALONE, ("alone_pages", alone));
            row.push(("time_ns", info.time.into()));
            rows.push(match self.form.form {
                Form::Table => for_people(row, &info),
                _ => row,
            });
        }
        let heading = [
            "snapshot",
            "commit",
            "time",
            "used pages",
            "alone pages",
            "kind",
            "note",
        ];
        let mut out = Out::open()?;
        figures::table(&mut out, self.form.form, &heading, &rows)?;
        out.finish()
    }

    /// Returns what each snapshot alone keeps, in the order of their names; nothing if somebody writes. Who lists
    /// snapshots does not wait for that.
    fn costs(&self, database: &Database) -> Outcome<Vec<(Vec<u8>, u64)>> {
        match database.db.snapshot_costs(Wait::Try) {
            Err(Error::Busy(_) | Error::ReadOnly(_)) => Ok(Vec::new()),
            costs => costs.about(&self.file),
        }
    }

    fn cost(&self, names: &[Vec<u8>], context: &Context) -> Outcome<()> {
        let database = Database::to_read(&self.file, context)?;
        let (first, last) = (&names[0], names.last().unwrap_or(&names[0]));
        let newest = database.read()?;
        for name in [first, last] {
            let info = Reader::snapshot(&mut &newest, name);
            if info.map_err(|error| database.no_snapshot(name, error))?.mark {
                return Err(mark_has_no_cost(&database, name));
            }
        }
        let pages = database.db.snapshot_cost(first, last);
        // Somebody may have dropped one of them since.
        let pages = pages.map_err(|error| match error {
            Error::NotFound | Error::Invalid(_) => database.no_snapshot(last, Error::NotFound),
            error => database.fail_waiting(error),
        })?;
        let mut out = Out::open()?;
        figures::record(&mut out, self.form.form, &vec![("alone_pages", pages.into())])?;
        out.finish()
    }

    fn info(&self, name: &[u8], context: &Context) -> Outcome<()> {
        let database = Database::to_read(&self.file, context)?;
        let mut txn = database.reading()?;
        let info = txn.reader().snapshot(name);
        let info = info.map_err(|error| database.no_snapshot(name, error))?;
        let mut record = record(name.to_vec(), &info);
        record.push(("file_pages", info.file_pages.into()));
        record.push(("time_ns", info.time.into()));
        let mut out = Out::open()?;
        figures::record(&mut out, self.form.form, &record)?;
        out.finish()
    }

    fn create(&self, name: &[u8], options: &SnapshotOptions<'_>, context: &Context) -> Outcome<()> {
        let (of, path) = (self.of.state()?, shown(&self.file));
        self.write(context, |database, txn| {
            if options.replace {
                refuse_kept(database, txn, name, b"")?;
            }
            let made = match &of {
                None => txn.snapshot_create(name, options),
                Some(of) => {
                    let seen = states::begin(database, of)?;
                    let state = StateName::of(database, of, &seen);
                    if state.lacks_any() {
                        context.say(format_args!("{path}: what gets the name {} is {state}", Quoted(name)));
                    }
                    txn.snapshot_create_of(name, &seen, options)
                }
            };
            made.map_err(|error| match error {
                Error::Exists(_) => database.fail(error).advise("give another name, or --replace"),
                error => database.fail(error),
            })
        })
    }

    /// Opens the database to write into it.
    fn open(&self, context: &Context) -> Outcome<Database> {
        // A file that is missing has no state that could get a name, so there is no advice to create it.
        if !self.file.exists() {
            Database::to_read(&self.file, context)?;
        }
        Database::to_write(&self.file, context, WriteAccess::default())
    }

    /// Runs what writes, in a transaction of its own or in that of the shell.
    fn write(&self, context: &Context, verb: impl FnOnce(&Database, &mut Work) -> Outcome<()>) -> Outcome<()> {
        let database = self.open(context)?;
        let mut txn = database.write()?;
        verb(&database, &mut txn)?;
        txn.commit().about(&self.file)?;
        Ok(())
    }
}

/// Refuses to drop or replace a snapshot that is to be kept, unless it is the one that is renamed to its own name.
fn refuse_kept(database: &Database, txn: &mut Work, name: &[u8], but: &[u8]) -> Outcome<()> {
    match txn.snapshot(name) {
        Ok(info) if info.keep && name != but => {
            let (path, name) = (shown(&database.path), Quoted(name));
            Err(Failure::new(
                Exit::Refused,
                format!("{path}: the snapshot {name} is to be kept; kv snapshot {path} unkeep {name} takes that back"),
            ))
        }
        Ok(_) | Err(Error::NotFound) => Ok(()),
        Err(error) => Err(database.fail(error)),
    }
}

/// Returns the failure of keeping a mark.
fn mark_to_keep(database: &Database, name: &[u8]) -> Failure {
    let (path, name) = (shown(&database.path), Quoted(name));
    Failure::new(
        Exit::Refused,
        format!("{path}: {name} is a mark, which keeps no state; keep a snapshot before it becomes one"),
    )
}

/// Returns the failure of asking what dropping a mark would give back.
fn mark_has_no_cost(database: &Database, name: &[u8]) -> Failure {
    let (path, name) = (shown(&database.path), Quoted(name));
    Failure::new(
        Exit::Refused,
        format!("{path}: {name} is a mark, which keeps no pages; name snapshots (kv snapshot {path} list)"),
    )
}

/// Where the list has the pages that a snapshot alone keeps: behind those in use.
const ALONE: usize = 4;

/// Returns the row of a snapshot as people read it: what it is, in words in one column, and neither its GUID nor the
/// nanoseconds of its time, which `info` has.
fn for_people(row: Record, info: &SnapshotInfo) -> Record {
    let words = [
        (true, if info.mark { "mark" } else { "snapshot" }),
        (info.automatic, "automatic"),
        (info.keep, "kept"),
        (info.yields, "yields"),
    ];
    let words = words.iter().filter(|(is, _)| *is).map(|(_, word)| *word);
    let kind = Figure::Text(words.collect::<Vec<_>>().join(", "));
    let mut row: Record = row
        .into_iter()
        .filter(|(name, _)| ["snapshot", "commit", "time", "used_pages", "alone_pages", "note"].contains(name))
        .collect();
    row.insert(ALONE + 1, ("kind", kind));
    row
}

fn record(name: Vec<u8>, info: &SnapshotInfo) -> Record {
    vec![
        ("snapshot", Figure::Bytes(name, "")),
        ("commit", info.commit.get().into()),
        ("time", Figure::Text(date(info.time / 1_000_000_000))),
        (
            "used_pages",
            match info.used_pages {
                0 if info.mark => Figure::None("not kept"),
                0 => Figure::None("not known"),
                pages => pages.into(),
            },
        ),
        ("kept", Figure::Is(info.keep)),
        ("automatic", Figure::Is(info.automatic)),
        ("mark", Figure::Is(info.mark)),
        ("yields", Figure::Is(info.yields)),
        ("note", Figure::Bytes(info.note.clone(), "")),
        ("guid", Figure::Text(hex(&info.guid).to_string())),
    ]
}
