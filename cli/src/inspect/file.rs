//! The figures of a file: what `kv stat` shows and the report has.

use crate::database::Database;
use crate::exit::{About, Failure, Outcome};
use crate::output::figures::{Figure, Record};
use crate::output::text::hex;
use kv_engine::{Range, Reader};
use std::os::unix::ffi::OsStrExt;

/// Returns the figures of the file. `own_snapshots` are those of this process, which does not count itself as a reader.
pub fn figures(database: &Database, txn: &mut dyn Reader, own_snapshots: u32) -> Outcome<Record> {
    let path = &database.path;
    let facts = std::fs::metadata(path).map_err(|e| Failure::file(path, "look at", &e))?;
    let identity = database.db.identity();
    // Where it is said to lie may lead over links and back.
    let real = identity.path.canonicalize().unwrap_or_else(|_| identity.path.clone());
    let recovery = database.db.recovery();
    let stat = database.db.stat();
    let tables = database.tables(txn)?;
    let mut entries = 0;
    for table in &tables {
        entries += txn.count(table.id, &Range::default()).about(path)?;
    }
    let dead = |pages: u64, note: Option<&'static str>| match stat.dead_pages_known {
        true => note.map_or(Figure::Number(pages), |note| Figure::Noted(pages, note)),
        false => Figure::None("not known while others have the file open"),
    };
    let writer = database.db.writer();
    let uuid = hex(&identity.uuid).to_string();
    Ok(vec![
        ("path", Figure::Bytes(real.as_os_str().as_bytes().to_vec(), "")),
        ("uuid", Figure::Text(uuid)),
        ("format_version", u64::from(identity.format_version).into()),
        ("file_bytes", facts.len().into()),
        ("page_size", u64::from(stat.page_size).into()),
        ("pages", stat.pages.into()),
        // This process has read the lists of dead pages as far as it has written, which most commands do not.
        (
            "free_pages",
            dead(
                stat.free_pages,
                Some("as far as is known; kv map counts all dead pages"),
            ),
        ),
        (
            "pending_pages",
            dead(stat.pending_pages, Some("with the free ones that are not known")),
        ),
        ("parked_pages", dead(stat.parked_pages, None)),
        ("tables", (tables.len() as u64).into()),
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
