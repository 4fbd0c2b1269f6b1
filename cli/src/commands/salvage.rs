//! `kv salvage`: saving what a damaged file has.

use crate::context::Context;
use crate::database::{Database, Table};
use crate::exit::{shown, Exit, Failure, Outcome};
use crate::input::args::OverwriteArgs;
use crate::inspect::faults::{Faults, Job};
use crate::inspect::{holders, slots};
use crate::output::figures::{self, Figure};
use crate::output::progress;
use crate::output::stream::{self, Out};
use crate::output::FormArg;
use clap::Args;
use kv_engine::{table_called, Error, Fault, Recovery};
use std::path::PathBuf;

/// Saves what can be read of a damaged file into a new one.
///
/// The damaged file is only read. The new one appears when it is whole. What is below a damaged page is looked for in
/// the whole file, and the end tells what was found of it. The exit status is 0 if everything was saved, and 3 if
/// something was lost or is uncertain; the new file is there in both cases.
#[derive(Debug, Args)]
pub struct Salvage {
    /// The damaged database.
    damaged: PathBuf,
    /// The new file.
    new: PathBuf,
    #[command(flatten)]
    replaces: OverwriteArgs,
    #[command(flatten)]
    form: FormArg,
}

impl Salvage {
    /// Returns what is known of the damaged file if it can be opened in spite of its damage: its tables, and what
    /// opening found.
    fn look(&self, context: &Context) -> Outcome<(Vec<Table>, Recovery)> {
        let database = Database::to_read(&self.damaged, context)?;
        let recovery = database.db.recovery();
        let txn = database.read()?;
        let tables = database.tables(&mut &txn).unwrap_or_default();
        Ok((tables, recovery))
    }

    /// Saves.
    pub fn run(self, context: &Context) -> Outcome {
        holders::check_target(&self.new, self.replaces, context)?;
        let mut out = Out::open()?;
        let form = self.form.form;
        let (tables, recovery) = self.look(context).unwrap_or_default();
        // What a lost place described is not counted as lost, because nothing tells that it was there.
        let may_lack_commit = recovery.lost_slots > 0 && !recovery.closed_properly;
        let mut faults = Faults::new(&mut out, form, Job::Salvage);
        // How many pages there are is known once the file was looked at.
        let report = progress::of_job(context, "saving", 0, |job| {
            let mut on_fault = |fault: &Fault| {
                let table = fault.table.map(|id| {
                    let named = tables.iter().find(|table| table.id == id);
                    let name = named.and_then(|table| table.name.as_deref());
                    table_called(id, name.unwrap_or_default()).to_string()
                });
                // What can be saved is saved, even if nobody reads what is found.
                faults.show(fault, table)
            };
            kv_engine::salvage(&self.damaged, &self.new, self.replaces.overwrite, job, &mut on_fault)
        });
        let written = faults.end();
        let report = report.map_err(|error| match &error {
            // It need not be told to salvage the file.
            Error::NotADatabase(_) => Failure::bare(&self.damaged, &error).advise("check the name of the file"),
            _ => Failure::of(&self.damaged, error),
        })?;
        let lost = report.lost_entries + report.uncertain + report.lost_subtrees + report.ambiguous_pages;
        let is_whole = lost == 0 && report.damaged_pages == 0 && !may_lack_commit;
        let record = vec![
            ("complete", Figure::Is(is_whole)),
            ("commit", report.id.get().into()),
            ("tables", report.tables.into()),
            ("entries", report.entries.into()),
            ("uncertain_entries", report.uncertain.into()),
            ("lost_entries", report.lost_entries.into()),
            ("damaged_pages", report.damaged_pages.into()),
            ("lost_subtrees", report.lost_subtrees.into()),
            ("ambiguous_pages", report.ambiguous_pages.into()),
        ];
        let tells = !is_whole || !context.global.quiet;
        let written = written
            .and_then(|()| match tells {
                true => figures::record(&mut out, form, &record),
                false => Ok(()),
            })
            .and_then(|()| out.finish());
        if may_lack_commit {
            context.say(slots::said(recovery.lost_slots, false).unwrap_or_default());
        }
        if is_whole {
            return stream::ended(written, Exit::Done);
        }
        context.say(format_args!(
            "{}: this has what could be saved; compare it with what you expect before you use it",
            shown(&self.new)
        ));
        stream::ended(written, Exit::Damage)
    }
}
