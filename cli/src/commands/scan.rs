//! `kv scan`: entries of a range.

use crate::context::Context;
use crate::exit::{About, Exit, Outcome};
use crate::input::args::{HexArg, RangeArgs, StateArg, TableArg};
use crate::inspect::states;
use crate::interrupt;
use crate::output::entries::EntryForm;
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::Cursor;
use std::path::PathBuf;

/// Shows the entries of a range, in the order of their keys.
///
/// Each entry is a line: the key, a tab, the value. A tab or a line end within them is an escape, but for -o raw.
#[derive(Debug, Args)]
pub struct Scan {
    /// The database.
    file: PathBuf,
    #[command(flatten)]
    range: RangeArgs,
    /// Shows no more than this many entries.
    #[arg(long, short, value_name = "COUNT", allow_negative_numbers = true)]
    limit: Option<u64>,
    /// Leaves out this many entries at the beginning.
    #[arg(long, value_name = "COUNT", default_value_t = 0, allow_negative_numbers = true)]
    skip: u64,
    /// Begins with the greatest key.
    #[arg(long, short)]
    reverse: bool,
    /// Shows keys without their values.
    #[arg(long, short)]
    keys_only: bool,
    #[command(flatten)]
    table: TableArg,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    hex: HexArg,
    #[command(flatten)]
    at: StateArg,
}

impl Scan {
    /// Shows the entries.
    pub fn run(self, context: &Context) -> Outcome {
        let syntax = self.hex.syntax();
        let name = self.table.name()?;
        let range = self.range.read(syntax)?;
        let (database, mut txn) = states::open(&self.file, &self.at, context)?;
        let mut reader = txn.reader();
        let table = database.table(&mut *reader, name.as_deref())?;
        let form = EntryForm {
            form: self.form.form,
            syntax,
        };
        interrupt::watch();
        let mut out = Out::open()?;
        let mut cursor = Cursor::new(&mut *reader, table, &range.range(self.reverse)).about(&self.file)?;
        let mut is_there = cursor.nth(&mut *reader, self.skip).about(&self.file)?;
        let mut left = self.limit.unwrap_or(u64::MAX);
        while is_there && left > 0 {
            let value = match self.keys_only {
                true => None,
                false => {
                    let value = cursor.value(&mut *reader);
                    // What was found before the damage is shown.
                    if value.is_err() {
                        out.finish()?;
                    }
                    Some(value.about(&self.file)?)
                }
            };
            form.entry(&mut out, cursor.key(), value)?;
            left -= 1;
            let next = cursor.next(&mut *reader);
            if next.is_err() {
                out.finish()?;
            }
            is_there = next.about(&self.file)?;
        }
        out.finish()?;
        Ok(Exit::Done)
    }
}
