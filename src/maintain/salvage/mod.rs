//! A salvage saves what can be read of a damaged file into a new database.
//!
//! | file      | subject                                                                    |
//! |-----------|----------------------------------------------------------------------------|
//! | `pages`   | reading pages of a file of which nothing is known                          |
//! | `report`  | what the caller of a salvage is told                                       |
//! | `saver`   | what is known by now, and putting entries into the target                  |
//! | `walk`    | walking trees from the newest slot, stepping over damage                   |
//! | `orphans` | leaves that no pointer leads to, which fill the gaps that the walk leaves  |
//!
//! The walk comes first, and what it finds is as the newest readable commit has it. Only the gaps that it leaves are
//! filled from other pages, and the entries that fill them are counted as uncertain. The damaged file is never written.

mod orphans;
mod pages;
mod report;
mod saver;
mod walk;

pub use report::SalvageReport;

use crate::catalogue::{self, TableRecord, NAME_MAX};
use crate::db::{Db, Options, Reader, WriteOptions};
use crate::error::{Error, FaultKind, Result};
use crate::file::fresh::{identity_of, Fresh};
use crate::file::raw::Raw;
use crate::ids::{PageNo, Run, TableId};
use crate::maintain::fault::Fault;
use crate::maintain::job::Job;
use crate::page::meta::Meta;
use crate::page::Root;
use crate::pager::dead_changes;
use crate::tree::read::check::PageSet;
use crate::txn::DeadExtents;
use orphans::Orphans;
use pages::{DamagedFile, Scope};
use saver::{Found, Gap, Saver};
use std::path::Path;

/// Saves what can be read of the database at `damaged` into a new one at `target`, which appears when it is whole and
/// durable. The damaged file is only read, and no lock on it is needed. `on_fault` is given what is lost and what is
/// doubtful, and returns whether to go on. What is below a page that cannot be used is told when that is met, and again
/// at the end, with what was found of it elsewhere and what is lost.
///
/// # Errors
/// `NoFile`, `Access`; `NotADatabase`: nothing in the file looks like a database, or the target is a device, a pipe, a
/// directory or the like; `TooNew`, `TooOld`; `FileExists`, `NoSpace`, `Io`: the target cannot be written; `Invalid`:
/// the target is the damaged file; `Cancelled`: `on_fault` or the job ended the salvage.
///
/// # Examples
///
/// ```
/// use kv::{salvage, Db, Job, Options, PutMode, TableId, WriteOptions};
///
/// # let folder = std::env::temp_dir().join(format!("kv-doc-salvage-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(|e| kv::Error::io("create", e))?;
/// let (path, target) = (folder.join("db.kv"), folder.join("saved.kv"));
/// let db = Db::open(&path, &Options::default())?;
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// txn.put(TableId::MAIN, b"key", b"value", PutMode::Set)?;
/// txn.commit()?;
/// drop(db);
///
/// let report = salvage(&path, &target, false, &Job::silent(), &mut |fault| {
///     eprintln!("{fault:?}");
///     true
/// })?;
/// assert_eq!((report.entries, report.lost_entries), (1, 0));
/// # std::fs::remove_dir_all(&folder).map_err(|e| kv::Error::io("remove", e))?;
/// # Ok::<(), kv::Error>(())
/// ```
pub fn salvage(
    damaged: &Path,
    target: &Path,
    overwrite: bool,
    job: &Job<'_>,
    on_fault: &mut dyn FnMut(&Fault) -> bool,
) -> Result<SalvageReport> {
    let (source, raw) = (damaged, Raw::open(damaged)?);
    if identity_of(target)? == Some(raw.identity()) {
        return Err(Error::Invalid(
            "the target of a salvage is the damaged file itself; give another name",
        ));
    }
    let fresh = Fresh::given(target, overwrite, Some(raw.permissions()))?;
    let damaged = DamagedFile::new(raw).map_err(|e| e.of_file(source))?;
    // What goes wrong from here on concerns the new file, which has a temporary name as yet. Damage is no error here.
    let saved = save(&damaged, &fresh, job, on_fault);
    let report = saved.map_err(|e| e.of_file_instead(fresh.path(), target))?;
    fresh.publish()?;
    Ok(report)
}

/// Saves what is left into a new database under the temporary name.
fn save(
    damaged: &DamagedFile,
    fresh: &Fresh,
    job: &Job<'_>,
    on_fault: &mut dyn FnMut(&Fault) -> bool,
) -> Result<SalvageReport> {
    let options = Options {
        page_size: damaged.page_size as u32,
        ..Options::default()
    };
    fresh.create_to_be_opened()?;
    let db = Db::open(fresh.path(), &options)?;
    fresh.set_permissions();
    let txn = db.begin_write(WriteOptions::default())?;
    let mut saver = Saver::new(damaged, txn, job, on_fault);
    job.expect(damaged.pages());
    saver.run()?;
    if damaged.lacks_memory() {
        job.lack_memory();
        return Err(job.end());
    }
    let Saver { txn, mut report, .. } = saver;
    report.tables += 1;
    txn.commit()?;
    drop(db);
    job.finish()?;
    Ok(report)
}

impl<'d> Saver<'d, '_, '_> {
    fn run(&mut self) -> Result<()> {
        let newest = self.damaged.slots.first().cloned();
        self.report.lost_slots = self.damaged.lost_slots;
        match &newest {
            Some(meta) => {
                if self.damaged.lost_slots != 0 {
                    let what = format!(
                        "a meta slot cannot be read: a commit after {} may be lost with it",
                        meta.id
                    );
                    self.fault(&Fault {
                        page: Some(PageNo::new(0)),
                        table: None,
                        kind: FaultKind::Unreadable,
                        what,
                    })?;
                }
                self.trees(meta)?;
            }
            None => {
                self.fault(&Fault {
                    page: Some(PageNo::new(0)),
                    table: None,
                    kind: FaultKind::Unreadable,
                    what: "no meta slot can be read: only leaves are left".into(),
                })?;
                for table in [TableId::MAIN, TableId::CATALOGUE] {
                    self.gaps.push(Gap {
                        table,
                        low: Vec::new(),
                        high: None,
                        missing: None,
                    });
                }
            }
        }
        if self.gaps.is_empty() {
            return Ok(());
        }
        let dead = newest.and_then(|meta| self.dead(&meta));
        let orphans = self.find_orphans(dead.as_ref())?;
        if self.catalogue_lost() {
            self.lost_tables(&orphans)?;
        }
        let tables: Vec<TableId> = orphans
            .tables()
            .into_iter()
            .filter(|table| *table != TableId::NAMES)
            .collect();
        for table in tables {
            if table == TableId::MAIN || self.tables.contains_key(&table) {
                self.adopt(&orphans, table, &mut |saver, found| saver.put_orphan(table, found))?;
            }
        }
        self.tell_losses()
    }

    /// Saves an entry that fills a gap.
    fn put_orphan(&mut self, table: TableId, found: Found<'_>) -> Result<()> {
        let lost = self.report.lost_entries;
        let is_saved = self.put(table, found)?;
        self.report.entries += u64::from(is_saved);
        self.report.uncertain += u64::from(is_saved);
        // Of a table without a root, no gap says how many entries there were. Those of a gap count as lost in the end,
        // whatever is wrong with them.
        if !self.rootless.contains(&table) {
            self.report.lost_entries = lost;
            if is_saved {
                self.note_found(table, found.key);
            }
        }
        Ok(())
    }

    /// Saves the main table, then the catalogue, then every tree that the catalogue names.
    fn trees(&mut self, meta: &Meta) -> Result<()> {
        self.report.id = meta.id;
        self.table(TableId::MAIN, &meta.roots.main, false)?;
        let mut records = Vec::new();
        self.walk(TableId::CATALOGUE, &meta.roots.catalogue, &mut |saver, found| {
            match decode(&found) {
                Some(record) => records.push(record),
                None => saver.lose_entry(&Fault::contradiction(
                    found.page,
                    TableId::CATALOGUE,
                    "a record of the catalogue cannot be read",
                ))?,
            }
            Ok(())
        })?;
        for (table, record) in records {
            self.restore(table, record, false)?;
        }
        Ok(())
    }

    fn table(&mut self, table: TableId, root: &Root, uncertain: bool) -> Result<()> {
        self.walk(table, root, &mut |saver, found| {
            let saved = u64::from(saver.put(table, found)?);
            saver.report.entries += saved;
            saver.report.uncertain += if uncertain { saved } else { 0 };
            Ok(())
        })
    }

    /// Notes the name of a table, as an entry of the list of names gives it.
    fn note_name(&mut self, found: &Found<'_>) {
        if let Ok(number) = catalogue::decode_number(found.value.bytes()) {
            self.names.entry(number).or_insert_with(|| found.key.to_vec());
        }
    }

    /// Creates a table and saves its tree.
    fn restore(&mut self, table: TableId, record: TableRecord, uncertain: bool) -> Result<()> {
        if table == TableId::NAMES {
            // The list of names is made anew, so nothing of it counts as lost.
            self.rootless.remove(&TableId::NAMES);
            let before = self.report;
            self.walk(TableId::NAMES, &record.root, &mut |saver, found| {
                saver.note_name(&found);
                Ok(())
            })?;
            (self.report.lost_entries, self.report.lost_subtrees) = (before.lost_entries, before.lost_subtrees);
            return Ok(());
        }
        let named = catalogue::is_named(table);
        let is_ours = table < TableId::FIRST_NAMED && table != TableId::SNAPSHOTS;
        if !(named || is_ours) || self.tables.contains_key(&table) {
            return Ok(());
        }
        let mut made = record.clone();
        made.note.truncate(catalogue::NOTE_MAX);
        if !named {
            made.name.clear();
        } else if made.name.is_empty() || made.name.len() > NAME_MAX || self.txn.table(&made.name).is_ok() {
            // A name that is unknown, taken or impossible is replaced by one that is made from the number.
            made.name = format!("lost-{table}").into_bytes();
        }
        match self.txn.table_restore(table, &made) {
            Err(Error::Corrupt(_) | Error::Exists(_)) => {
                return self.fault(&Fault::contradiction(None, table, "a table that cannot be made again"));
            }
            made => made?,
        }
        if table == TableId::MAIN {
            // Its entries are saved already, because its root is in the slot.
            return Ok(());
        }
        self.report.tables += u64::from(named);
        let root = record.root;
        self.tables.insert(table, record);
        self.table(table, &root, uncertain)
    }

    /// Restores tables whose records are lost: first those of which other pages have records, then those of which only
    /// leaves are left.
    fn lost_tables(&mut self, orphans: &Orphans) -> Result<()> {
        let mut records = Vec::new();
        self.adopt(orphans, TableId::CATALOGUE, &mut |saver, found| {
            if let Some(record) = decode(&found) {
                records.push(record);
                saver.note_found(TableId::CATALOGUE, found.key);
            }
            Ok(())
        })?;
        for (table, record) in records {
            self.fault(&Fault::contradiction(
                None,
                table,
                "the record of this table was found outside the catalogue",
            ))?;
            self.restore(table, record, true)?;
        }
        self.adopt(orphans, TableId::NAMES, &mut |saver, found| {
            saver.note_name(&found);
            Ok(())
        })?;
        for table in orphans.tables() {
            if table >= TableId::FIRST_NAMED && !self.tables.contains_key(&table) {
                let name = self.names.get(&table).cloned().unwrap_or_default();
                self.rootless.insert(table);
                self.fault(&Fault::contradiction(
                    None,
                    table,
                    "the record of this table is lost; leaves of it are left",
                ))?;
                let record = TableRecord {
                    name,
                    ..TableRecord::default()
                };
                self.restore(table, record, true)?;
            }
        }
        Ok(())
    }

    /// Returns the pages that the newest commit lists as dead, or `None` if the list cannot be read.
    fn dead(&self, meta: &Meta) -> Option<PageSet> {
        let damaged = self.damaged;
        let scope = Scope::new(damaged);
        let changes = dead_changes(meta, |at, into| {
            into.copy_from_slice(&damaged.raw.read(at, into.len() as u64)?);
            Ok(())
        });
        let listed = DeadExtents::of(&&scope, &meta.roots.space, meta.id, &changes.ok()?).ok()?;
        let mut dead = PageSet::new();
        let parked = listed.parked.iter().map(|parked| parked.extent.run);
        for run in listed.extents.values().map(|dead| dead.extent.run).chain(parked) {
            let end = run.checked_end().map_or(damaged.end(), |end| end.min(damaged.end()));
            if let Some(pages) = end.checked_sub(run.first) {
                dead.insert_run(Run::new(run.first, pages));
            }
        }
        Some(dead)
    }
}

/// Returns the number and the record of an entry of the catalogue, or `None` if they cannot be parsed.
fn decode(found: &Found<'_>) -> Option<(TableId, TableRecord)> {
    let table = catalogue::table_of_key(found.key).ok()?;
    let record = TableRecord::decode(found.value.bytes()).ok()?;
    Some((table, record))
}
