//! `kv revert`: going back to an earlier state.

use super::diff::write_counts;
use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::input::args::{time_help, EarlierState, StateArg, TablesArg};
use crate::inspect::changes::{counts, tables_of, TwoNames};
use crate::inspect::states::{begin_exactly, StateName};
use crate::output::stream::Out;
use crate::output::text::{counted, Quoted};
use crate::output::FormArg;
use clap::Args;
use kv_engine::{Range, TableId};
use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

/// Makes the database, or one table, what it was in an earlier state.
///
/// The state is that of --snapshot, --commit or --time. The keys that differ are put and deleted in one commit, which
/// takes as long as the changes that it takes back. Tables get their names and notes back, those that were dropped come
/// back, and those that were made since are dropped. With --table, the table is the one that had the name in that
/// state, or else the one that has it now. Snapshots stay, and none is made of what is given up: create one before to
/// be able to go forward again.
#[derive(Debug, Args)]
#[command(
    mut_arg("snapshot", |snapshot| snapshot.help("Goes back to the snapshot of this name, with escapes")),
    mut_arg("commit", |commit| commit.help(
        "Goes back to this very commit, which must be kept: the newest one is, and so are those of snapshots"
    )),
    mut_arg("time", |time| time.help(time_help(
        "Goes back to the newest state up to this time, of those that are kept, and takes back what was changed between \
         that state and this time, too"
    ))),
)]
pub struct Revert {
    /// The database.
    file: PathBuf,
    /// Changes nothing, and shows how many keys of each table would be added, removed and changed.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    table: TablesArg,
    #[command(flatten)]
    to: StateArg,
    #[command(flatten)]
    form: FormArg,
}

/// How many tables the summary names.
const NAMED: usize = 8;

impl Revert {
    /// Goes back.
    pub fn run(self, context: &Context) -> Outcome {
        let Some(state) = self.to.state()? else {
            return Err(Failure::usage(
                "give the state to go back to: --snapshot NAME, --commit ID or --time TIME",
            ));
        };
        let name = self.table.name()?;
        match self.dry_run {
            true => self.count(&state, name.as_deref(), context),
            false => self.revert(&state, name.as_deref(), context),
        }
    }

    fn count(&self, state: &EarlierState, name: Option<&[u8]>, context: &Context) -> Outcome {
        let database = Database::to_read(&self.file, context)?;
        let from = begin_exactly(&database, state)?;
        let mut reading = database.reading()?;
        let mut now = reading.reader();
        let mut tables = tables_of(&database, &mut *now, &mut &from)?;
        if let Some(name) = name {
            let table = table_of(&database, &tables, name)?;
            tables.retain(|other| other.id == table);
        }
        let state = StateName::of(&database, state, &from);
        context.say(format_args!(
            "{}: the state to go back to is {state}",
            shown(&self.file)
        ));
        let counts = counts(&database, (&mut *now, &mut &from), &tables, &Range::default())?;
        let mut out = Out::open()?;
        write_counts(&mut out, self.form.form, &counts)?;
        out.finish()?;
        Ok(Exit::Done)
    }

    fn revert(&self, state: &EarlierState, name: Option<&[u8]>, context: &Context) -> Outcome {
        // A file that is missing has no earlier state, so there is no advice to create it.
        if !self.file.exists() {
            Database::to_read(&self.file, context)?;
        }
        let database = Database::to_write(&self.file, context, WriteAccess::default())?;
        let from = begin_exactly(&database, state)?;
        let state = StateName::of(&database, state, &from);
        let mut txn = database.write()?;
        let tables = tables_of(&database, &mut *txn, &mut &from);
        let (tables, table) = match name {
            // Only the summary needs their names, which damage must not keep from being gone back behind.
            None => (tables.unwrap_or_default(), None),
            Some(name) => {
                let found = tables.and_then(|tables| table_of(&database, &tables, name).map(|table| (tables, table)));
                match found {
                    Ok((mut tables, table)) => {
                        tables.retain(|other| other.id == table);
                        (tables, Some(table))
                    }
                    Err(failure) => {
                        // This was refused before anything was changed.
                        txn.put_back();
                        return Err(failure);
                    }
                }
            }
        };
        let changed = txn.revert(&from, table).map_err(|e| database.fail(e))?;
        txn.commit().map_err(|e| database.fail(e))?;
        let path = shown(&self.file);
        context.say(format_args!(
            "{path}: {} changed to what {} had{}",
            counted(changed, "key was", "keys were"),
            state.commit,
            Became(&tables)
        ));
        if state.lacks_any() {
            context.say(format_args!("{path}: that state is {state}"));
        }
        Ok(Exit::Done)
    }
}

/// What has become of tables themselves, as the summary tells it.
struct Became<'a>(&'a [TwoNames]);

impl Display for Became<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let became = || self.0.iter().filter(|table| table.event().is_some());
        for table in became().take(NAMED) {
            let name = Quoted(table.name());
            match (table.event(), table.former_name()) {
                (_, Some(former)) => write!(f, "; table {} is called {name} again", Quoted(former))?,
                (Some("dropped"), _) => write!(f, "; table {name} was dropped")?,
                _ => write!(f, "; table {name} came back")?,
            }
        }
        match became().count().saturating_sub(NAMED) {
            0 => Ok(()),
            more => write!(
                f,
                "; and so on with {}",
                counted(more as u64, "more table", "more tables")
            ),
        }
    }
}

/// Finds the table that a name means among those of the two states: the one that had it in the earlier state, or else
/// the one that has it now. A table is refused whose name another one has now.
fn table_of(database: &Database, tables: &[TwoNames], name: &[u8]) -> Outcome<TableId> {
    // Of these names, the earlier one is that of now.
    let is_now = |table: &&TwoNames| table.before.as_deref() == Some(name);
    let found = tables.iter().find(|table| table.after.as_deref() == Some(name));
    let Some(table) = found.or_else(|| tables.iter().find(is_now)) else {
        return Err(database.no_table(name));
    };
    let taken = |other: &&TwoNames| other.id != table.id && other.before.is_some() && other.before == table.after;
    match tables.iter().find(taken) {
        None => Ok(table.id),
        Some(other) => Err(Failure::new(
            Exit::Refused,
            format!(
                "{}: a table called {}, as the one that is gone back to was, exists already; rename or drop that one, \
                 or go back with all tables",
                shown(&database.path),
                Quoted(other.before.as_deref().unwrap_or_default())
            ),
        )),
    }
}
