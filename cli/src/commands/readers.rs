//! `kv readers`: which processes read and write.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{Exit, Outcome};
use crate::inspect::readers::process_name;
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use std::path::PathBuf;

/// Lists the processes that read or write now, the oldest snapshot first.
///
/// For each: the process, what it does, for how many seconds, and which commit it sees. How many pages are kept for a
/// reader is not known to this command, but only to processes that write (kv_reader_at). After kv compact, the pages
/// that are kept for all readers together are among its figures.
#[derive(Debug, Args)]
pub struct Readers {
    /// The database.
    file: PathBuf,
    #[command(flatten)]
    form: FormArg,
}

impl Readers {
    /// Lists the readers and the writer.
    pub fn run(self, context: &Context) -> Outcome {
        let database = Database::to_read(&self.file, context)?;
        let mut rows: Vec<Record> = Vec::new();
        for reader in database.db.readers() {
            rows.push(vec![
                ("process", u64::from(reader.pid).into()),
                ("name", process_name(reader.pid)),
                ("does", Figure::Text("reads".to_string())),
                ("seconds", Figure::Real(reader.age_ms as f64 / 1000.0, 1)),
                ("commit", reader.id.get().into()),
                ("kept_pages", Figure::None("not known")),
            ]);
        }
        if let Some(writer) = database.db.writer() {
            rows.push(vec![
                ("process", u64::from(writer.pid).into()),
                ("name", process_name(writer.pid)),
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
