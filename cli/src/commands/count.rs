//! `kv count`: how many entries a range has.

use crate::context::Context;
use crate::exit::{About, Exit, Outcome};
use crate::input::args::{HexArg, RangeArgs, StateArg, TableArg};
use crate::inspect::states;
use crate::output::json::Object;
use crate::output::stream::Out;
use crate::output::{Form, FormArg};
use clap::Args;
use std::path::PathBuf;

/// Counts the entries of a range, without reading them.
#[derive(Debug, Args)]
pub struct Count {
    /// The database.
    file: PathBuf,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    table: TableArg,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    hex: HexArg,
    #[command(flatten)]
    at: StateArg,
}

impl Count {
    /// Counts.
    pub fn run(self, context: &Context) -> Outcome {
        let name = self.table.name()?;
        let range = self.range.read(self.hex.syntax())?;
        let (database, mut txn) = states::open(&self.file, &self.at, context)?;
        let mut reader = txn.reader();
        let table = database.table(&mut *reader, name.as_deref())?;
        let count = reader.count(table, &range.range(false)).about(&self.file)?;
        number(self.form.form, "count", count)
    }
}

/// Writes one number.
pub fn number(form: Form, name: &str, number: u64) -> Outcome {
    let mut out = Out::open()?;
    match form {
        Form::Json => out.bytes(&Object::new().plain(name, number).line())?,
        Form::Table | Form::Raw => out.line(number)?,
    }
    out.finish()?;
    Ok(Exit::Done)
}
