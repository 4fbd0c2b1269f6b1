//! `kv stat`: figures of the file or of a table.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{About, Exit, Outcome};
use crate::input::args::{StateArg, TableArg};
use crate::inspect::{file, states};
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::Reader;
use std::path::PathBuf;

/// Shows figures of the file, or with --table those of one table.
///
/// Nothing is read but what leads to the newest commit; with --table or --main, the tree of the table. So of the free
/// pages only those are known that this process has met while it wrote: none, but in kv shell. The others are counted
/// among the pending pages. None of them are known while other processes have the file open; kv map counts them. Parked
/// pages are put aside for snapshots, which alone have them; kv report tells all that snapshots keep. With --snapshot,
/// --commit or --time, the numbers of tables and entries are those of that state; all else is of the file as it is now.
/// In kv shell, announced pages are those that the system was told to read ahead by the lines before, as scans do.
#[derive(Debug, Args)]
#[command(mut_arg("table", |table| {
    table.help("Figures of this table, by its name with escapes; without this and --main, those of the file are shown")
}))]
pub struct Stat {
    /// The database.
    file: PathBuf,
    #[command(flatten)]
    table: TableArg,
    /// Shows the figures of the main table.
    #[arg(long, conflicts_with = "table")]
    main: bool,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    at: StateArg,
}

impl Stat {
    /// Shows the figures.
    pub fn run(self, context: &Context) -> Outcome {
        let name = self.table.name()?;
        let (database, mut txn) = states::open(&self.file, &self.at, context)?;
        let own_snapshots = txn.snapshots();
        let mut reader = txn.reader();
        let record = match name.is_some() || self.main {
            true => of_table(&database, &mut *reader, name.as_deref())?,
            false => of_file(&database, &mut *reader, own_snapshots)?,
        };
        let mut out = Out::open()?;
        figures::record(&mut out, self.form.form, &record)?;
        out.finish()?;
        Ok(Exit::Done)
    }
}

/// Returns the figures of the file, and in a shell what its commands have announced. This command reads too little to
/// announce anything.
fn of_file(database: &Database, txn: &mut dyn Reader, own_snapshots: u32) -> Outcome<Record> {
    let mut record = file::figures(database, txn, own_snapshots)?;
    if let Some(announced) = database.announced() {
        record.push(("announced_pages", announced.pages.into()));
        record.push(("announced_pages_used", announced.used.into()));
    }
    Ok(record)
}

/// Returns the figures of a table.
fn of_table(database: &Database, txn: &mut dyn Reader, name: Option<&[u8]>) -> Outcome<Record> {
    let path = &database.path;
    let table = database.table(txn, name)?;
    let stat = txn.table_stat(table).about(path)?;
    let note = txn.table_note(table).about(path)?;
    let pages = stat.branch_pages + stat.leaf_pages;
    let room = pages * u64::from(database.db.stat().page_size);
    let fill = match room {
        0 => Figure::None("none"),
        _ => Figure::Real(stat.used_bytes as f64 * 100.0 / room as f64, 1),
    };
    Ok(vec![
        ("table", Figure::Bytes(name.unwrap_or_default().to_vec(), "(main)")),
        ("number", table.get().into()),
        ("note", Figure::Bytes(note, "")),
        ("entries", stat.entries.into()),
        ("height", u64::from(stat.height).into()),
        ("branch_pages", stat.branch_pages.into()),
        ("leaf_pages", stat.leaf_pages.into()),
        ("overflow_pages", stat.overflow_pages.into()),
        ("used_bytes", stat.used_bytes.into()),
        ("fill_percent", fill),
    ])
}
