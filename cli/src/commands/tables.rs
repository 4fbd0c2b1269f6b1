//! `kv tables`: which tables there are.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{About, Exit, Outcome};
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::{Range, TableId};
use std::path::PathBuf;

/// Lists the tables: names, entries, pages and bytes.
///
/// The main table has no name: it is "(main)" in the table and null in JSON. The bytes are those of keys, values and
/// what leads to them, in the pages of the tree; long values have pages of their own.
#[derive(Debug, Args)]
pub struct Tables {
    /// The database.
    file: PathBuf,
    /// Only names and entries, without reading the tables.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    form: FormArg,
}

impl Tables {
    /// Lists the tables.
    pub fn run(self, context: &Context) -> Outcome {
        let database = Database::to_read(&self.file, context)?;
        let mut txn = database.reading()?;
        let mut reader = txn.reader();
        let mut tables = vec![(Vec::new(), TableId::MAIN)];
        tables.extend(database.named_tables(&mut *reader)?);
        let mut rows: Vec<Record> = Vec::new();
        for (name, number) in tables {
            let entries = reader.count(number, &Range::default()).about(&self.file)?;
            let mut row: Record = vec![("table", Figure::Bytes(name, "(main)")), ("entries", entries.into())];
            if !self.quick {
                let stat = reader.table_stat(number).about(&self.file)?;
                row.push(("tree_pages", (stat.branch_pages + stat.leaf_pages).into()));
                row.push(("value_pages", stat.overflow_pages.into()));
                row.push(("bytes", stat.used_bytes.into()));
            }
            rows.push(row);
        }
        let heading = ["table", "entries", "tree pages", "value pages", "bytes"];
        let mut out = Out::open()?;
        let shown = rows.first().map_or(0, Vec::len);
        figures::table(&mut out, self.form.form, &heading[..shown], &rows)?;
        out.finish()?;
        Ok(Exit::Done)
    }
}
