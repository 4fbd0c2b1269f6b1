//! `kv readers`: which processes read and write.

use crate::context::Context;
use crate::exit::{Exit, Outcome};
use crate::inspect::readers::{process_name, CurrentReaders};
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::FormArg;
use clap::Args;
use std::path::PathBuf;

/// Lists the processes that read or write now, the oldest snapshot first.
///
/// For each: the process, what it does, for how many seconds, which commit it sees, and how many pages are kept for
/// its commit, which cannot be reused before it and all others that see the same commit end. Those are known only if
/// the file can be written and nobody writes.
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
        let CurrentReaders {
            database,
            list,
            knows_pages,
        } = CurrentReaders::of(&self.file, context)?;
        let mut rows: Vec<Record> = Vec::new();
        for reader in list {
            rows.push(vec![
                ("process", u64::from(reader.pid).into()),
                ("name", process_name(reader.pid)),
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
