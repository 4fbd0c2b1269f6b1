//! `kv readers`: which processes read and write.

use crate::database::{Database, Writing};
use crate::exit::{Exit, Outcome};
use crate::global::Global;
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use kv_engine::{Wait, WriteOptions};
use std::path::PathBuf;

/// Lists the processes that read or write now, the oldest snapshot first.
///
/// For each: the process, what it does, for how many seconds, which commit it sees, and how many pages are kept for it
/// alone, which cannot be reused before it ends. Those are known only if the file can be written and nobody writes.
#[derive(Debug, Args)]
pub struct Readers {
    /// The database.
    file: PathBuf,
    #[command(flatten)]
    form: FormArg,
}

impl Readers {
    /// Lists the readers and the writer.
    pub fn run(self, global: &Global) -> Outcome {
        let mut database = Database::to_read(&self.file, global)?;
        let mut knows_pages = false;
        // What is kept for a reader is known to those who write. The right to write is taken for a moment, if it is free
        // and there are readers; nothing is written.
        if !database.db.readers().is_empty() {
            drop(database);
            database = match Database::to_write(&self.file, global, Writing::default()) {
                Ok(database) => database,
                Err(_) => Database::to_read(&self.file, global)?,
            };
            let options = WriteOptions {
                wait: Some(Wait::Try),
                ..WriteOptions::default()
            };
            knows_pages = database.db.begin_write(options).is_ok();
        }
        let mut rows: Vec<Record> = Vec::new();
        for reader in database.db.readers() {
            rows.push(vec![
                ("process", u64::from(reader.pid).into()),
                ("name", name_of(reader.pid)),
                ("does", Figure::Text("reads".to_string())),
                ("seconds", Figure::Real(reader.age_ms as f64 / 1000.0, 1)),
                ("commit", reader.id.get().into()),
                (
                    "kept_pages",
                    match knows_pages {
                        true => reader.kept_pages.into(),
                        false => Figure::None("not known"),
                    },
                ),
            ]);
        }
        if let Some(writer) = database.db.writer() {
            rows.push(vec![
                ("process", u64::from(writer.pid).into()),
                ("name", name_of(writer.pid)),
                ("does", Figure::Text("writes".to_string())),
                ("seconds", Figure::Real(writer.age_ms as f64 / 1000.0, 1)),
                ("commit", Figure::None("")),
                ("kept_pages", Figure::None("")),
            ]);
        }
        let mut out = Out::open()?;
        let heading = ["process", "name", "does", "seconds", "commit", "kept pages"];
        figures::table(&mut out, self.form.form, &heading, &rows)?;
        out.finish()?;
        Ok(Exit::Done)
    }
}

/// Returns the name of a process, which is not known if it belongs to another container.
fn name_of(pid: u32) -> Figure {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => Figure::Text(name.trim_end().to_string()),
        Err(_) => Figure::None("?"),
    }
}
