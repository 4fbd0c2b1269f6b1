//! `kv tables`: which tables there are.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{About, Exit, Outcome};
use crate::output::figures::{self, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::Range;
use std::path::PathBuf;

/// Lists the tables: names, entries, pages and used bytes.
///
/// The main table has no name: it is "(main)" in the table and null in JSON. Used bytes are those of keys, values and
/// what leads to them, in the pages of the tree; long values and keys have overflow pages.
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
        let mut rows: Vec<Record> = Vec::new();
        for table in database.tables(&mut *reader)? {
            let entries = reader.count(table.id, &Range::default()).about(&self.file)?;
            let mut row: Record = vec![("table", table.figure()), ("entries", entries.into())];
            if !self.quick {
                let stat = reader.table_stat(table.id).about(&self.file)?;
                row.push(("tree_pages", (stat.branch_pages + stat.leaf_pages).into()));
                row.push(("overflow_pages", stat.overflow_pages.into()));
                row.push(("used_bytes", stat.used_bytes.into()));
            }
            rows.push(row);
        }
        let heading = ["table", "entries", "tree pages", "overflow pages", "used bytes"];
        let mut out = Out::open()?;
        let shown = rows.first().map_or(0, Vec::len);
        figures::table(&mut out, self.form.form, &heading[..shown], &rows)?;
        out.finish()?;
        Ok(Exit::Done)
    }
}
