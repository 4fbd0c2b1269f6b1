//! `kv diff`: what was added, removed and changed between two states.

use super::ranges::Ranges;
use crate::context::Context;
use crate::database::Database;
use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::input::args::{time_help, EarlierState, HexArg, LaterStateArg, RangeArgs, StateArg, TablesArg};
use crate::inspect::changes::{counts, tables_of, TwoNames};
use crate::inspect::states::{self, StateName};
use crate::interrupt;
use crate::output::entries::EntryForm;
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::tables::TableLines;
use crate::output::text::Quoted;
use crate::output::{Form, FormArg};
use crate::session::Reading;
use clap::Args;
use kv_engine::{Change, ChangeCounts, ChangeKind, Difference, Range, ReadTxn, Reader};
use std::path::PathBuf;

/// Shows what was added, removed and changed since an earlier state.
///
/// The earlier state is that of --snapshot, --commit or --time, and the later one is the newest, or that of
/// --to-snapshot, --to-commit or --to-time. Only what differs is read. Each change is a line: "+" for an added key,
/// "-" for a removed one and "~" for a changed value, then the key and its values, the earlier one first. The changes
/// of a table stand behind a line that begins with "@" and names the table. A table that was dropped and made anew is
/// two. Where a commit or a time is given, standard error tells which state was found for it.
///
/// With --ranges, a mark will do, of whose state nothing is kept. A line "? A <= key < B" says that something may have
/// changed in the keys from A on and before B, which is left out itself; without A the range begins with the least key,
/// without B it has no end, and "? key = A" is one key. Nothing has changed outside of the ranges. Since a snapshot,
/// the tables that were created, dropped or renamed are named as above. Since a mark, of which no list of tables is
/// kept, "@ (list of tables)" stands before the ranges of names in which tables may have been created, dropped or
/// renamed: a copy that follows takes those tables anew as a whole.
#[derive(Debug, Args)]
#[command(
    mut_arg("snapshot", |snapshot| snapshot.help("The earlier state is the snapshot of this name, with escapes")),
    mut_arg("commit", |commit| commit.help(
        "The earlier state is the newest one up to this commit, of those that are kept: the newest one of all and those \
         of snapshots"
    )),
    mut_arg("time", |time| time.help(time_help(
        "The earlier state is the newest one up to this time, of those that are kept"
    ))),
)]
pub struct Diff {
    /// The database.
    file: PathBuf,
    #[command(flatten)]
    range: RangeArgs,
    /// Counts the changes of each table that differs, and shows no keys.
    #[arg(long, short)]
    count: bool,
    /// Shows keys without their values.
    #[arg(long, short, conflicts_with = "count")]
    keys_only: bool,
    /// Shows the ranges of keys in which something may have changed since a snapshot or mark, and no keys in them. The
    /// later state is the newest one.
    #[arg(long, conflicts_with_all = ["count", "keys_only"])]
    ranges: bool,
    #[command(flatten)]
    table: TablesArg,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    hex: HexArg,
    #[command(flatten)]
    since: StateArg,
    #[command(flatten)]
    to: LaterStateArg,
}

impl Diff {
    /// Shows the changes.
    pub fn run(self, context: &Context) -> Outcome {
        let syntax = self.hex.syntax();
        let name = self.table.name()?;
        let keys = self.range.read(syntax)?;
        let Some(since) = self.since.state()? else {
            return Err(Failure::usage(
                "give the earlier state: --snapshot NAME, --commit ID or --time TIME",
            ));
        };
        let until = self.to.state()?;
        let form = EntryForm {
            form: self.form.form,
            syntax,
        };
        if self.ranges {
            let (EarlierState::Snapshot(since), None) = (&since, &until) else {
                return Err(Failure::usage(
                    "--ranges: they are told from a snapshot or mark to the newest state; give --snapshot NAME alone",
                ));
            };
            Ranges { form, since }.show(&self.file, name.as_deref(), &keys.range(false), context)?;
            return Ok(Exit::Done);
        }
        let database = Database::to_read(&self.file, context)?;
        let before = states::begin(&database, &since)?;
        tell(&database, "earlier", (&since, &before), context);
        let mut reading = match &until {
            None => database.reading()?,
            Some(until) => {
                let after = states::begin(&database, until)?;
                tell(&database, "later", (until, &after), context);
                if before.id() > after.id() {
                    context.say(format_args!(
                        "{}: commit {} comes before commit {}, so the changes are told backwards",
                        shown(&database.path),
                        after.id(),
                        before.id()
                    ));
                }
                Reading::Own(Box::new(after))
            }
        };
        let mut after = reading.reader();
        let mut tables = tables_of(&database, &mut &before, &mut *after)?;
        if let Some(name) = &name {
            tables.retain(|table| table.is_called(name));
            if tables.is_empty() {
                return Err(database.no_table(name));
            }
        }
        interrupt::watch();
        let mut out = Out::open()?;
        if self.count {
            let range = keys.range(false);
            let counts = counts(&database, (&mut &before, &mut *after), &tables, &range)?;
            write_counts(&mut out, self.form.form, &counts)?;
        } else {
            let writer = Writer {
                form,
                keys_only: self.keys_only,
            };
            for table in &tables {
                let mut pair = Pair {
                    database: &database,
                    before: &mut &before,
                    after: &mut *after,
                };
                writer.table(&mut out, table, &keys.range(false), &mut pair)?;
            }
        }
        out.finish()?;
        Ok(Exit::Done)
    }
}

/// Tells which state was found, if it was looked for.
fn tell(database: &Database, which: &str, (state, found): (&EarlierState, &ReadTxn), context: &Context) {
    if !matches!(state, EarlierState::Snapshot(_)) {
        let name = StateName::of(database, state, found);
        context.say(format_args!("{}: the {which} state is {name}", shown(&database.path)));
    }
}

/// Two states of a database.
struct Pair<'a> {
    database: &'a Database,
    before: &'a mut dyn Reader,
    after: &'a mut dyn Reader,
}

/// Writes how many keys of each table differ.
pub fn write_counts(out: &mut Out, form: Form, counts: &[(&TwoNames, ChangeCounts)]) -> Outcome<()> {
    let rows: Vec<Record> = counts
        .iter()
        .map(|(table, counts)| {
            let mut row = vec![
                ("table", Figure::Bytes(table.name().to_vec(), "(main)")),
                ("added", counts.added.into()),
                ("removed", counts.removed.into()),
                ("changed", counts.changed.into()),
            ];
            let (event, former) = (table.event(), table.former_name());
            match (form, former) {
                (Form::Table, Some(former)) => {
                    row.push(("table_change", Figure::Text(format!("renamed from {}", Quoted(former)))));
                }
                _ => {
                    let event = event.map_or(Figure::None(""), |event| Figure::Text(event.to_string()));
                    row.push(("table_change", event));
                }
            }
            // People read it with the change.
            if form != Form::Table {
                let former = former.map_or(Figure::None(""), |former| Figure::Bytes(former.to_vec(), ""));
                row.push(("former_name", former));
            }
            row
        })
        .collect();
    figures::table(out, form, &["table", "added", "removed", "changed", ""], &rows)
}

/// Writes changes.
struct Writer {
    form: EntryForm,
    keys_only: bool,
}

impl Writer {
    fn lines(&self) -> TableLines {
        TableLines(self.form)
    }

    /// Writes the changes of a table.
    fn table(&self, out: &mut Out, table: &TwoNames, range: &Range<'_>, pair: &mut Pair<'_>) -> Outcome<()> {
        let fail = |error| pair.database.fail(error);
        let Pair { before, after, .. } = pair;
        if table.event().is_some() {
            self.lines().event(out, table)?;
        } else if kv_engine::same(&mut **before, &mut **after, Some(table.id)).map_err(fail)? {
            return Ok(());
        }
        let mut is_named = table.event().is_some();
        let difference = Difference::new(&mut **before, &mut **after, table.id, range);
        let mut difference = difference.map_err(fail)?;
        loop {
            let written = match self.keys_only {
                false => difference.next_and_read(&mut **before, &mut **after, |change| {
                    self.change(out, table, change, &mut is_named)
                }),
                true => difference.next(&mut **before, &mut **after).map(|kind| {
                    kind.map(|kind| {
                        let change = Change {
                            kind,
                            key: difference.key(),
                            before: None,
                            after: None,
                        };
                        self.change(out, table, &change, &mut is_named)
                    })
                }),
            };
            // What was found before the damage is shown.
            if written.is_err() {
                out.finish()?;
            }
            match written.about(&pair.database.path)? {
                Some(written) => written?,
                None => return Ok(()),
            }
        }
    }

    fn change(&self, out: &mut Out, table: &TwoNames, change: &Change<'_>, is_named: &mut bool) -> Outcome<()> {
        let (word, sign) = match change.kind {
            ChangeKind::Added => ("added", "+"),
            ChangeKind::Removed => ("removed", "-"),
            ChangeKind::Changed => ("changed", "~"),
        };
        let values = [("before", change.before), ("after", change.after)];
        let values = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
        match self.form.form {
            Form::Json => {
                let syntax = self.form.syntax;
                let object = self.lines().object(table).string("change", word);
                let object = object.bytes("key", change.key, syntax);
                let object = values.fold(object, |object, (name, value)| object.bytes(name, value, syntax));
                out.bytes(&object.line())
            }
            Form::Raw => {
                let mut fields = vec![word.as_bytes(), table.name(), change.key];
                fields.extend(values.map(|(_, value)| value));
                self.fields(out, &fields)
            }
            Form::Table => {
                if !std::mem::replace(is_named, true) {
                    self.lines().heading(out, table)?;
                    out.bytes(b"\n")?;
                }
                out.text(format_args!("{sign} "))?;
                self.form.bytes(out, change.key)?;
                for (_, value) in values {
                    out.bytes(b"\t")?;
                    self.form.just_value(out, value)?;
                }
                out.bytes(b"\n")
            }
        }
    }

    /// Writes fields with tabs between them, of which the first two are words and names.
    fn fields(&self, out: &mut Out, fields: &[&[u8]]) -> Outcome<()> {
        for (at, field) in fields.iter().enumerate() {
            match at {
                0 => out.bytes(field)?,
                1 => {
                    out.bytes(b"\t")?;
                    out.bytes(field)?;
                }
                _ => {
                    out.bytes(b"\t")?;
                    self.form.bytes(out, field)?;
                }
            }
        }
        out.bytes(b"\n")
    }
}
