//! `kv rank`: how many entries come before a key, and the entry at a rank.

use super::count::number;
use crate::context::Context;
use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::input::args::{HexArg, RangeArgs, StateArg, TableArg};
use crate::inspect::states;
use crate::output::entries::EntryForm;
use crate::output::stream::Out;
use crate::output::text::counted;
use crate::output::FormArg;
use clap::Args;
use kv_engine::Cursor;
use std::ffi::OsString;
use std::path::PathBuf;

/// Tells how many keys are less than a key, or with --nth which entry has a rank.
///
/// Neither reads the entries before it. The key itself need not be there.
#[derive(Debug, Args)]
pub struct Rank {
    /// The database.
    file: PathBuf,
    /// The key.
    #[arg(conflicts_with_all = ["nth", "prefix", "from", "to"])]
    key: Option<OsString>,
    /// Shows the entry that has this many before it in the range.
    #[arg(long, value_name = "RANK", allow_negative_numbers = true)]
    nth: Option<u64>,
    #[command(flatten)]
    range: RangeArgs,
    /// Counts from the greatest key.
    #[arg(long, short, requires = "nth")]
    reverse: bool,
    #[command(flatten)]
    table: TableArg,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    hex: HexArg,
    #[command(flatten)]
    at: StateArg,
}

impl Rank {
    /// Tells the rank, or shows the entry.
    pub fn run(self, context: &Context) -> Outcome {
        if self.key.is_none() && self.nth.is_none() {
            return Err(Failure::usage("nothing is asked for; give a key, or --nth RANK"));
        }
        let syntax = self.hex.syntax();
        let name = self.table.name()?;
        let range = self.range.read(syntax)?;
        let key = self.key.as_deref().map(|key| syntax.read(key)).transpose()?;
        let (database, mut txn) = states::open(&self.file, &self.at, context)?;
        let mut reader = txn.reader();
        let table = database.table(&mut *reader, name.as_deref())?;
        if let Some(key) = key {
            let rank = reader.rank(table, &key).about(&self.file)?;
            return number(self.form.form, "rank", rank);
        }
        let nth = self.nth.unwrap_or_default();
        let mut cursor = Cursor::new(&mut *reader, table, &range.range(self.reverse)).about(&self.file)?;
        if !cursor.nth(&mut *reader, nth).about(&self.file)? {
            let count = cursor.count(&mut *reader).about(&self.file)?;
            let path = shown(&self.file);
            let what = format!(
                "{path}: no entry has the rank {nth}; the range has {}, from rank 0 on",
                counted(count, "entry", "entries")
            );
            return Err(Failure::new(Exit::NotFound, what));
        }
        let form = EntryForm {
            form: self.form.form,
            syntax,
        };
        let mut out = Out::open()?;
        let value = cursor.value(&mut *reader).about(&self.file)?;
        form.entry(&mut out, cursor.key(), Some(value))?;
        out.finish()?;
        Ok(Exit::Done)
    }
}
