//! The readers of a database, and what their processes are called.

use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::Outcome;
use crate::output::figures::Figure;
use kv_engine::{ReaderInfo, Wait, WriteOptions};
use std::path::Path;

/// The readers of a database at a moment.
pub struct CurrentReaders {
    /// The database, which was opened for this.
    pub database: Database,
    /// The readers, the one with the oldest snapshot first.
    pub list: Vec<ReaderInfo>,
    /// Whether it is known how many pages are kept for them at least.
    pub knows_pages: bool,
}

impl CurrentReaders {
    /// Opens a database, and looks who reads it.
    pub fn of(path: &Path, context: &Context) -> Outcome<CurrentReaders> {
        let mut database = Database::to_read(path, context)?;
        let mut knows_pages = false;
        // What is kept for a reader is known to those who write. The right to write is taken for a moment, if it is
        // free and there are readers; nothing is written.
        if !database.db.readers().is_empty() {
            drop(database);
            database = match Database::to_write(path, context, WriteAccess::default()) {
                Ok(database) => database,
                Err(_) => Database::to_read(path, context)?,
            };
            let options = WriteOptions {
                wait: Some(Wait::Try),
                ..WriteOptions::default()
            };
            knows_pages = database.db.begin_write(options).is_ok();
        }
        Ok(CurrentReaders {
            list: database.db.readers(),
            database,
            knows_pages,
        })
    }
}

/// Returns the name of a process, which is not known if it belongs to another container.
pub fn process_name(pid: u32) -> Figure {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => Figure::Text(name.trim_end().to_string()),
        Err(_) => Figure::None("?"),
    }
}
