//! `kv tables`: which tables there are.

use crate::context::Context;
use crate::damage::Damage;
use crate::exit::{About, Outcome};
use crate::input::args::StateArg;
use crate::inspect::states;
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::Range;
use std::path::PathBuf;

/// Lists the tables: names, entries, pages and used bytes.
///
/// The main table has no name: it is "(main)" in the table and null in JSON. Used bytes are those of keys, values and
/// what leads to them, in the pages of the tree; long values and keys have overflow pages. Of a damaged table, some
/// figures are not known; the others are shown, and the exit status is 3.
#[derive(Debug, Args)]
pub struct Tables {
    /// The database.
    file: PathBuf,
    /// Only names and entries, without reading the tables.
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    at: StateArg,
}

impl Tables {
    /// Lists the tables.
    pub fn run(self, context: &Context) -> Outcome {
        let (database, mut txn) = states::open(&self.file, &self.at, context)?;
        let mut reader = txn.reader();
        let mut rows: Vec<Record> = Vec::new();
        let mut damage = Damage::default();
        for table in database.tables_past(&mut *reader, &mut damage)? {
            let entries = damage.pass(reader.count(table.id, &Range::default()).about(&self.file))?;
            let mut row: Record = vec![("table", table.figure()), ("entries", or_damaged(entries))];
            if !self.quick {
                let stat = damage.pass(reader.table_stat(table.id).about(&self.file))?;
                let pages = stat.map(|stat| stat.branch_pages + stat.leaf_pages);
                row.push(("tree_pages", or_damaged(pages)));
                row.push(("overflow_pages", or_damaged(stat.map(|stat| stat.overflow_pages))));
                row.push(("used_bytes", or_damaged(stat.map(|stat| stat.used_bytes))));
            }
            rows.push(row);
        }
        let heading = ["table", "entries", "tree pages", "overflow pages", "used bytes"];
        let mut out = Out::open()?;
        let shown = rows.first().map_or(0, Vec::len);
        figures::table(&mut out, self.form.form, &heading[..shown], &rows)?;
        out.finish()?;
        Ok(damage.tell(&self.file))
    }
}

/// Returns a figure of a table, which may not be known because of damage.
fn or_damaged(figure: Option<u64>) -> Figure {
    figure.map_or(Figure::None("damaged"), Figure::Number)
}
