//! Who reads a database, and what the processes are called.

use crate::context::Context;
use crate::database::{Database, Writing};
use crate::exit::Outcome;
use crate::output::figures::Figure;
use kv_engine::{ReaderInfo, Wait, WriteOptions};
use std::path::Path;

/// Opens a database, and returns who reads it, and whether it is known how many pages are kept for them.
pub fn now(path: &Path, context: &Context) -> Outcome<(Database, Vec<ReaderInfo>, bool)> {
    let mut database = Database::to_read(path, context)?;
    let mut knows_pages = false;
    // What is kept for a reader is known to those who write. The right to write is taken for a moment, if it is free and
    // there are readers; nothing is written.
    if !database.db.readers().is_empty() {
        drop(database);
        database = match Database::to_write(path, context, Writing::default()) {
            Ok(database) => database,
            Err(_) => Database::to_read(path, context)?,
        };
        let options = WriteOptions {
            wait: Some(Wait::Try),
            ..WriteOptions::default()
        };
        knows_pages = database.db.begin_write(options).is_ok();
    }
    let readers = database.db.readers();
    Ok((database, readers, knows_pages))
}

/// Returns the name of a process, which is not known if it belongs to another container.
pub fn name_of(pid: u32) -> Figure {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => Figure::Text(name.trim_end().to_string()),
        Err(_) => Figure::None("?"),
    }
}
