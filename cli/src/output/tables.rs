//! What lines of changes say of tables: which one the lines behind are about, and what has become of it.

use super::entries::EntryForm;
use super::json::Object;
use super::stream::Out;
use super::text::{escaped, Quoted};
use super::Form;
use crate::exit::Outcome;
use crate::input::bytes::Syntax;
use crate::inspect::changes::TwoNames;

/// How lines about tables are written. Names of tables are text, also where keys and values are hexadecimal digits.
#[derive(Debug, Clone, Copy)]
pub struct TableLines(pub EntryForm);

impl TableLines {
    /// Writes what has become of a table itself.
    pub fn event(self, out: &mut Out, table: &TwoNames) -> Outcome<()> {
        let event = table.event().unwrap_or_default();
        let former = table.former_name();
        match self.0.form {
            Form::Json => {
                let object = self.object(table).string("table_change", event);
                let object = match former {
                    Some(name) => object.bytes("former_name", name, Syntax::Text),
                    None => object,
                };
                out.bytes(&object.line())
            }
            Form::Raw => {
                out.bytes(&[event.as_bytes(), b"\t", table.name()].concat())?;
                if let Some(former) = former {
                    out.bytes(&[b"\t", former].concat())?;
                }
                out.bytes(b"\n")
            }
            Form::Table => {
                self.heading(out, table)?;
                match former {
                    Some(name) => out.line(format_args!(", renamed from {}", Quoted(name))),
                    None => out.line(format_args!(", {event}")),
                }
            }
        }
    }

    /// Writes the name of a table, for people.
    pub fn heading(self, out: &mut Out, table: &TwoNames) -> Outcome<()> {
        match table.name() {
            b"" => out.text("@ (main)"),
            name => out.text(format_args!("@ {}", escaped(name))),
        }
    }

    /// Begins the object of what is in a table. The main table is not named in it.
    pub fn object(self, table: &TwoNames) -> Object {
        match table.name() {
            b"" => Object::new(),
            name => Object::new().bytes("table", name, Syntax::Text),
        }
    }
}
