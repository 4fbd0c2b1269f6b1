//! What `kv diff --ranges` shows: the ranges of keys in which something may have changed since a snapshot or mark, and
//! what has become of the tables.
//!
//! The list of tables of a snapshot can be read, so its tables are compared with those of now. Nothing is kept of the
//! state of a mark. What is known then is in which ranges of the list of names something may have changed: tables whose
//! names lie there may have been created, dropped or renamed.

use crate::context::Context;
use crate::database::Database;
use crate::exit::Outcome;
use crate::input::bytes::Syntax;
use crate::inspect::changes::{tables_of, TwoNames};
use crate::interrupt;
use crate::output::entries::EntryForm;
use crate::output::json::Object;
use crate::output::stream::Out;
use crate::output::tables::TableLines;
use crate::output::Form;
use kv_engine::{ChangedRange, Range, ReadAt, ReadTxn, Reader, TableId};
use std::ops::Bound;
use std::path::Path;

/// The ranges that have changed since a snapshot or mark.
pub struct Ranges<'a> {
    /// How they are written.
    pub form: EntryForm,
    /// The name of the snapshot or mark.
    pub since: &'a [u8],
}

impl Ranges<'_> {
    /// Shows those of the table with this name, or of all tables.
    pub fn show(&self, file: &Path, name: Option<&[u8]>, range: &Range<'_>, context: &Context) -> Outcome<()> {
        let database = Database::to_read(file, context)?;
        let mut reading = database.reading()?;
        let mut now = reading.reader();
        let then = self.readable(&database, &mut *now)?;
        let mut tables = match &then {
            Some(then) => tables_of(&database, &mut &*then, &mut *now)?,
            None => database
                .tables(&mut *now)?
                .into_iter()
                .map(TwoNames::unchanged)
                .collect(),
        };
        let names = match &then {
            Some(_) => Vec::new(),
            None => self.names(&database, &mut *now, name)?,
        };
        if let Some(name) = name {
            tables.retain(|table| table.is_called(name));
            if tables.is_empty() && names.is_empty() {
                return Err(database.no_table(name));
            }
        }
        interrupt::watch();
        let mut out = Out::open()?;
        self.write_names(&mut out, &names)?;
        for table in &tables {
            let is_changed = table.event().is_some();
            if is_changed {
                TableLines(self.form).event(&mut out, table)?;
            }
            if table.after.is_none() {
                continue;
            }
            // Of a table that is empty now, its tree alone does not tell whether it was before.
            if let Some(then) = then.as_ref().filter(|_| !is_changed) {
                let same = kv_engine::same(&mut &*then, &mut *now, Some(table.id));
                if same.map_err(|error| database.fail(error))? {
                    continue;
                }
            }
            let (mut is_headed, mut written) = (is_changed, Ok(()));
            let told = now.snapshot_ranges(self.since, table.id, range, &mut |range| {
                let is_headed = std::mem::replace(&mut is_headed, true);
                written = self.write(&mut out, table, range, is_headed);
                written.is_ok()
            });
            written?;
            told.map_err(|error| database.no_snapshot(self.since, error))?;
        }
        out.finish()
    }

    /// Begins to read the former state, if it is kept.
    fn readable(&self, database: &Database, now: &mut dyn Reader) -> Outcome<Option<ReadTxn>> {
        let info = now.snapshot(self.since);
        let info = info.map_err(|error| database.no_snapshot(self.since, error))?;
        if info.mark {
            return Ok(None);
        }
        // Somebody may drop, replace or release it meanwhile, or have made it in a transaction that is not committed
        // yet. Then what is known of a mark is told.
        let then = database.db.begin_read_at(ReadAt::Snapshot(self.since)).ok();
        Ok(then.filter(|then| then.id() == info.commit))
    }

    /// Returns the ranges of names of tables in which something may have changed, or that of one name.
    fn names(&self, database: &Database, now: &mut dyn Reader, name: Option<&[u8]>) -> Outcome<Vec<Bounds>> {
        let mut found = Vec::new();
        let range = match name {
            // The main table has always been there.
            Some(b"") => return Ok(found),
            Some(name) => Range {
                from: Bound::Included(name),
                to: Bound::Included(name),
                ..Range::default()
            },
            None => Range::default(),
        };
        let told = now.snapshot_ranges(self.since, TableId::NAMES, &range, &mut |range| {
            found.push(Bounds {
                low: range.low.to_vec(),
                high: range.high.map(<[u8]>::to_vec),
            });
            true
        });
        told.map_err(|error| database.no_snapshot(self.since, error))?;
        Ok(found)
    }

    /// Writes between which names tables may have come, gone or got other names.
    fn write_names(&self, out: &mut Out, names: &[Bounds]) -> Outcome<()> {
        for (at, Bounds { low, high }) in names.iter().enumerate() {
            match self.form.form {
                Form::Json => {
                    let object = Object::new().bytes("names_low", low, Syntax::Text);
                    let object = match high {
                        Some(high) => object.bytes("names_high", high, Syntax::Text),
                        None => object.plain("names_high", "null"),
                    };
                    out.bytes(&object.line())?;
                }
                Form::Raw => {
                    out.bytes(&[b"names\t", &low[..], b"\t", high.as_deref().unwrap_or_default(), b"\n"].concat())?
                }
                Form::Table => {
                    if at == 0 {
                        out.line("@ (list of tables)")?;
                    }
                    let names = EntryForm {
                        syntax: Syntax::Text,
                        ..self.form
                    };
                    out.line(between("name", (low, high.as_deref()), names))?;
                }
            }
        }
        Ok(())
    }

    fn write(&self, out: &mut Out, table: &TwoNames, range: &ChangedRange<'_>, is_headed: bool) -> Outcome<()> {
        match self.form.form {
            Form::Json => {
                let object = TableLines(self.form).object(table);
                let object = object.bytes("low", range.low, self.form.syntax);
                let object = match range.high {
                    Some(high) => object.bytes("high", high, self.form.syntax),
                    None => object.plain("high", "null"),
                };
                out.bytes(&object.line())
            }
            Form::Raw => {
                out.bytes(&[b"range\t", table.name(), b"\t"].concat())?;
                self.form.bytes(out, range.low)?;
                out.bytes(b"\t")?;
                // No key lies before the empty one, so an empty field says that there is no end.
                self.form.bytes(out, range.high.unwrap_or_default())?;
                out.bytes(b"\n")
            }
            Form::Table => {
                if !is_headed {
                    TableLines(self.form).heading(out, table)?;
                    out.bytes(b"\n")?;
                }
                out.line(between("key", (range.low, range.high), self.form))
            }
        }
    }
}

/// Bounds of a range of names.
struct Bounds {
    low: Vec<u8>,
    high: Option<Vec<u8>>,
}

/// Returns a range for people: its least key is in it, and the one behind it is not. Tabs divide the keys from the
/// signs, and are escapes in keys.
fn between(what: &str, (low, high): (&[u8], Option<&[u8]>), form: EntryForm) -> String {
    // No key lies between one and what follows it.
    let is_one = high.is_some_and(|high| high.strip_prefix(low) == Some(&[0]));
    let (least, end) = (form.shown(low), high.map(|high| form.shown(high)));
    match (low, end) {
        _ if is_one => format!("? {what} =\t{least}"),
        (b"", None) => format!("? every {what}"),
        (b"", Some(end)) => format!("? {what} <\t{end}"),
        (_, None) => format!("? {least}\t<= {what}"),
        (_, Some(end)) => format!("? {least}\t<= {what} <\t{end}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_say_which_bounds_are_in_them() {
        let form = |syntax| EntryForm {
            form: Form::Table,
            syntax,
        };
        let shown = |low: &'static [u8], high| between("key", (low, high), form(Syntax::Text));
        assert_eq!(shown(b"a", Some(b"m")), "? a\t<= key <\tm");
        assert_eq!(shown(b"a\t", None), "? a\\t\t<= key");
        assert_eq!(shown(b"", Some(b"m")), "? key <\tm");
        assert_eq!(shown(b"", None), "? every key");
        assert_eq!(shown(b"a", Some(b"a\0")), "? key =\ta");
        assert_eq!(between("key", (b"a", None), form(Syntax::Hex)), "? 61\t<= key");
    }
}
