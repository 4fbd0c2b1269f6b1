//! `kv stat`: figures of the file or of a table.

use crate::database::Database;
use crate::exit::{About, Exit, Failure, Outcome};
use crate::global::Global;
use crate::input::args::TableArg;
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::text::hex;
use crate::output::FormArg;
use clap::Args;
use kv_engine::{Range, Reader};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Shows figures of the file, or with --table those of one table.
///
/// Nothing is read but what leads to the newest commit; with --table or --main, the tree of the table. Free pages are
/// not known while other processes have the file open; kv map counts them.
#[derive(Debug, Args)]
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
}

impl Stat {
    /// Shows the figures.
    pub fn run(self, global: &Global) -> Outcome {
        let name = self.table.name()?;
        let database = Database::to_read(&self.file, global)?;
        let mut txn = database.reading()?;
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

/// Returns the figures of the file. `own_snapshots` are those of this process, which does not count itself as a reader.
pub fn of_file(database: &Database, txn: &mut dyn Reader, own_snapshots: u32) -> Outcome<Record> {
    let path = &database.path;
    let facts = std::fs::metadata(path).map_err(|e| Failure::file(path, "look at", &e))?;
    let identity = database.db.identity();
    let recovery = database.db.recovery();
    let stat = database.db.stat();
    let tables = database.named_tables(txn)?;
    let mut entries = txn.count(kv_engine::TableId::MAIN, &Range::default()).about(path)?;
    for (_, number) in &tables {
        entries += txn.count(*number, &Range::default()).about(path)?;
    }
    let dead = |pages: u64| match stat.dead_pages_known {
        true => Figure::Number(pages),
        false => Figure::None("not known while others have the file open"),
    };
    let writer = database.db.writer();
    let uuid = hex(&identity.uuid).to_string();
    Ok(vec![
        ("path", Figure::Bytes(identity.path.as_os_str().as_bytes().to_vec(), "")),
        ("uuid", Figure::Text(uuid)),
        ("format_version", u64::from(identity.format_version).into()),
        ("file_bytes", facts.len().into()),
        ("page_size", u64::from(stat.page_size).into()),
        ("pages", stat.pages.into()),
        ("free_pages", dead(stat.free_pages)),
        ("pending_pages", dead(stat.pending_pages)),
        ("tables", (tables.len() as u64 + 1).into()),
        ("entries", entries.into()),
        ("newest_commit", stat.visible.get().into()),
        ("durable_commit", stat.durable.get().into()),
        ("oldest_commit_read", stat.oldest.get().into()),
        ("readers", u64::from(stat.readers.saturating_sub(own_snapshots)).into()),
        (
            "writer",
            writer.map_or(Figure::None("none"), |w| u64::from(w.pid).into()),
        ),
        ("closed_properly", Figure::Is(recovery.closed_properly)),
        ("discarded_commits", u64::from(recovery.discarded).into()),
        ("lost_slots", u64::from(recovery.lost_slots.count_ones()).into()),
        (
            "opening_ms",
            Figure::Real(database.db.opening_time().as_secs_f64() * 1000.0, 3),
        ),
    ])
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
        ("levels", u64::from(stat.height).into()),
        ("branch_pages", stat.branch_pages.into()),
        ("leaf_pages", stat.leaf_pages.into()),
        ("value_pages", stat.overflow_pages.into()),
        ("bytes", stat.used_bytes.into()),
        ("fill_percent", fill),
    ])
}
