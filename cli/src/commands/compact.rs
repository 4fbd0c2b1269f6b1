//! `kv compact`: giving space back while others use the database.

use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::output::figures::{self, Figure, Record};
use crate::output::progress;
use crate::output::stream::Out;
use crate::output::text::counted;
use crate::output::FormArg;
use clap::Args;
use kv_engine::{CommitId, CompactOptions, CompactReport};
use std::path::PathBuf;

/// Makes the file smaller while others read and write.
///
/// What lives at the end of the file moves to free pages before it, and the file is cut behind that. What readers and
/// snapshots see stays where it is, and the figures tell how much that is. The file is not cut while somebody reads a
/// commit from before the pages moved, as who began before or reads an older snapshot; the command says so, and does
/// the rest when it is run again. What is written is what lives at the end, and a little more. For a small copy in
/// another file, see kv backup --compact.
#[derive(Debug, Args)]
pub struct Compact {
    /// The database.
    file: PathBuf,
    /// Moves no page: only what is free at the end of the file already is cut off.
    #[arg(long)]
    stay: bool,
    /// Gives the room of free runs inside the file back to the file system, too. The file is as long as without.
    #[arg(long)]
    punch: bool,
    #[command(flatten)]
    form: FormArg,
}

impl Compact {
    /// Gives space back.
    pub fn run(self, context: &Context) -> Outcome {
        // There is no advice to create a file that is missing.
        if !self.file.exists() {
            Database::to_read(&self.file, context)?;
        }
        let database = Database::to_write(&self.file, context, WriteAccess::default())?;
        let options = CompactOptions {
            stay: self.stay,
            punch: self.punch,
        };
        let mut out = Out::open()?;
        let bytes_before = self.file_bytes()?;
        let done = progress::of_job(context, "moving", 0, |job| database.db.compact(&options, job));
        let done = done.map_err(|error| database.fail_waiting(error))?;
        if !context.global.quiet {
            let bytes = (bytes_before, self.file_bytes()?);
            figures::record(&mut out, self.form.form, &figures_of(&done, bytes))?;
        }
        out.finish()?;
        self.say_what_stays(&done, context);
        Ok(Exit::Done)
    }

    /// Returns how long the file is.
    fn file_bytes(&self) -> Outcome<u64> {
        let facts = std::fs::metadata(&self.file);
        facts
            .map(|facts| facts.len())
            .map_err(|e| Failure::file(&self.file, "look at", &e))
    }

    /// Says what kept the file from becoming smaller, and how to find who that is.
    fn say_what_stays(&self, done: &CompactReport, context: &Context) {
        let path = shown(&self.file);
        if let Some(commit) = done.held {
            context.say(format_args!(
                "{path}: somebody reads commit {commit}, and the file cannot become as small as it might meanwhile; kv \
                 readers {path} shows who that is: run kv compact {path} again when that has ended"
            ));
        }
        if done.parked_pages > 0 {
            let keep = counted(done.parked_pages, "page stays", "pages stay");
            context.say(format_args!(
                "{path}: {keep} for snapshots; kv snapshot {path} list shows them"
            ));
        }
        let is_clear = done.held.is_none() && done.parked_pages == 0;
        if is_clear && done.moved_pages == 0 && done.cut_bytes == 0 && done.punched_bytes == 0 {
            let why = match self.stay {
                true => "no page at its end is free; without --stay, those in use move to free ones before them",
                false => "too little of it is free",
            };
            context.say(format_args!("{path}: the file is as long as before: {why}"));
        }
    }
}

fn figures_of(done: &CompactReport, (bytes_before, bytes_after): (u64, u64)) -> Record {
    let held = done.held.map(CommitId::get);
    vec![
        ("file_bytes_before", bytes_before.into()),
        ("file_bytes_after", bytes_after.into()),
        ("pages_before", done.pages_before.into()),
        ("pages_after", done.pages_after.into()),
        ("moved_pages", done.moved_pages.into()),
        ("cut_bytes", done.cut_bytes.into()),
        ("punched_bytes", done.punched_bytes.into()),
        ("pending_pages", done.pending_pages.into()),
        ("parked_pages", done.parked_pages.into()),
        (
            "held_commit",
            held.map_or(Figure::None("none: no reader is in the way"), Figure::Number),
        ),
    ]
}
