//! Saving what can be read of a damaged file into a new database.
//!
//! | file      | subject                                                     |
//! |-----------|-------------------------------------------------------------|
//! | `pages`   | reading pages of a file that nothing is known of              |
//! | `walk`    | walking trees from the newest slot, stepping over damage      |
//! | `orphans` | leaves that no pointer leads to: for what the walk could not reach |
//!
//! The walk comes first, and what it finds is as the newest readable commit has it. Only gaps it leaves are filled from
//! other pages, and counted as uncertain. The damaged file is never written.

mod orphans;
mod pages;
mod walk;

use crate::catalogue::CATALOGUE;
use crate::catalogue::{Record, FIRST, MAIN, NAMES};
use crate::db::{Db, Reader, Table, WriteTxn};
use crate::db::{Options, WriteOptions};
use crate::error::{Error, Result};
use crate::file::fresh::{identity_of, Fresh};
use crate::file::raw::Raw;
use crate::maintain::check::{dead_extents, Fault};
use crate::maintain::job::Job;
use crate::page::meta::Meta;
use crate::pager::dead_changes;
use crate::tree::read::check::PageSet;
use orphans::Orphans;
use pages::{Damaged, Scope};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

/// What a salvage counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SalvageReport {
    /// The commit whose trees were walked; 0: no slot could be read.
    pub id: u64,
    /// Tables saved, the default one included.
    pub tables: u64,
    /// Entries saved, the uncertain ones included.
    pub entries: u64,
    /// Entries that no pointer led to: found by looking at every page. They may be older than what was lost.
    pub uncertain: u64,
    /// Entries that were there and are not saved, as far as pointers told their number.
    pub lost_entries: u64,
    /// Pages in use whose checksum differs or that could not be read.
    pub damaged_pages: u64,
    /// Pointers that led to nothing.
    pub lost_subtrees: u64,
    /// Leaves that look right and were not used, because nothing tells whether they are the newest.
    pub ambiguous_pages: u64,
}

/// Keys of a table that could not be reached: from `low` on and below `high`.
#[derive(Debug, Clone)]
struct Gap {
    table: Table,
    low: Vec<u8>,
    high: Option<Vec<u8>>,
}

/// One salvage.
struct Saver<'d, 'j, 'f> {
    damaged: &'d Damaged,
    job: &'j Job<'f>,
    on_fault: &'j mut dyn FnMut(&Fault) -> bool,
    txn: WriteTxn,
    report: SalvageReport,
    /// Pages of trees that were reached and are right.
    seen: PageSet,
    /// Pages that pointers lead to and whose checksums differ.
    bad: HashSet<u64>,
    gaps: Vec<Gap>,
    /// Named tables: what is known of them.
    tables: BTreeMap<Table, Record>,
    /// Tables of which no root is known.
    rootless: BTreeSet<Table>,
    /// Names by table, from the list of names.
    names: BTreeMap<Table, Vec<u8>>,
    long_bytes: u64,
}

impl Saver<'_, '_, '_> {
    fn fault(&mut self, page: u64, table: Table, what: String) -> Result<()> {
        match (self.on_fault)(&Fault { page, table, what }) {
            true => Ok(()),
            false => Err(Error::Cancelled),
        }
    }
}

/// Saves what can be read of the database at `damaged` into a new one at `target`, which appears when it is whole and
/// durable. The damaged file is opened for reading, and no lock on it is needed. `on_fault` is told what is lost and what
/// is doubtful; false stops.
///
/// # Errors
/// `NoFile`, `Access`, `NotADatabase` (nothing in it looks like one), `TooNew`, `TooOld`; of the target `Exists`,
/// `NoSpace`, `Io`, `Invalid` (it is the damaged file); `Cancelled`.
pub fn salvage(
    damaged: &Path,
    target: &Path,
    overwrite: bool,
    job: &Job<'_>,
    on_fault: &mut dyn FnMut(&Fault) -> bool,
) -> Result<SalvageReport> {
    let raw = Raw::open(damaged)?;
    if identity_of(target) == Some(raw.identity()) {
        return Err(Error::Invalid("the target of a salvage is the damaged file itself"));
    }
    let fresh = Fresh::new(target, overwrite)?;
    let damaged = Damaged::new(raw)?;
    let options = Options {
        page_size: damaged.page_size as u32,
        new: true,
        ..Options::default()
    };
    let db = Db::open(fresh.path(), &options)?;
    let mut saver = Saver {
        damaged: &damaged,
        job,
        on_fault,
        txn: db.begin_write(WriteOptions::default())?,
        report: SalvageReport::default(),
        seen: PageSet::new(),
        bad: HashSet::new(),
        gaps: Vec::new(),
        tables: BTreeMap::new(),
        rootless: BTreeSet::from([NAMES]),
        names: BTreeMap::new(),
        long_bytes: 0,
    };
    job.expect(damaged.pages());
    saver.run()?;
    let Saver { txn, mut report, .. } = saver;
    report.tables += 1;
    txn.commit()?;
    drop(db);
    job.finish()?;
    fresh.publish()?;
    Ok(report)
}

impl<'d> Saver<'d, '_, '_> {
    fn run(&mut self) -> Result<()> {
        let newest = self.damaged.slots.first().cloned();
        match &newest {
            Some(meta) => self.trees(meta)?,
            None => {
                self.fault(0, u64::MAX, "no meta slot can be read: only leaves are left".into())?;
                for table in [MAIN, CATALOGUE] {
                    self.gaps.push(Gap {
                        table,
                        low: Vec::new(),
                        high: None,
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
        let tables: Vec<Table> = orphans.tables().into_iter().filter(|table| *table != NAMES).collect();
        for table in tables {
            if table == MAIN || self.tables.contains_key(&table) {
                self.adopt(&orphans, table, &mut |saver, key, value, page| {
                    let saved = u64::from(saver.put(table, key, value, page)?);
                    saver.report.entries += saved;
                    saver.report.uncertain += saved;
                    saver.report.lost_entries = saver.report.lost_entries.saturating_sub(saved);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    /// The catalogue, then every tree it names.
    fn trees(&mut self, meta: &Meta) -> Result<()> {
        self.report.id = meta.id;
        self.table(MAIN, &meta.main, false)?;
        let mut records = Vec::new();
        self.walk(CATALOGUE, &meta.catalogue, &mut |saver, key, value, page| {
            match decode(key, value.bytes()) {
                Some(found) => records.push(found),
                None => saver.lose_entry(page, CATALOGUE, "a record of the catalogue cannot be read")?,
            }
            Ok(())
        })?;
        for (table, record) in records {
            self.restore(table, record, false)?;
        }
        Ok(())
    }

    fn table(&mut self, table: Table, root: &crate::page::Root, uncertain: bool) -> Result<()> {
        self.walk(table, root, &mut |saver, key, value, page| {
            let saved = u64::from(saver.put(table, key, value, page)?);
            saver.report.entries += saved;
            saver.report.uncertain += if uncertain { saved } else { 0 };
            Ok(())
        })
    }

    fn named(&mut self, name: &[u8], number: &[u8]) {
        if let Ok(number) = number.try_into().map(u64::from_le_bytes) {
            self.names.entry(number).or_insert_with(|| name.to_vec());
        }
    }

    /// Creates a table and saves its tree.
    fn restore(&mut self, table: Table, record: Record, uncertain: bool) -> Result<()> {
        if table == NAMES {
            // The list of names is made anew, so nothing of it counts as lost.
            self.rootless.remove(&NAMES);
            let before = self.report;
            self.walk(NAMES, &record.root, &mut |saver, key, value, _| {
                saver.named(key, value.bytes());
                Ok(())
            })?;
            (self.report.lost_entries, self.report.lost_subtrees) = (before.lost_entries, before.lost_subtrees);
            return Ok(());
        }
        if !(FIRST..1 << 53).contains(&table) || self.tables.contains_key(&table) {
            return Ok(());
        }
        let mut name = record.name.clone();
        if name.is_empty() || self.txn.table(&name).is_ok() {
            name = format!("lost-{table}").into_bytes();
        }
        let note = record.note.get(..crate::catalogue::NOTE_MAX.min(record.note.len()));
        match self.txn.table_restore(table, &name, note.unwrap_or(&[])) {
            Err(Error::Corrupt(_) | Error::Exists | Error::TooBig { .. } | Error::Invalid(_)) => {
                return self.fault(u64::MAX, table, "a table that cannot be made again".into());
            }
            made => made?,
        }
        self.report.tables += 1;
        let root = record.root;
        self.tables.insert(table, record);
        self.table(table, &root, uncertain)
    }

    /// Tables whose records are lost: first those that other pages have records of, then those of which only leaves are
    /// left.
    fn lost_tables(&mut self, orphans: &Orphans) -> Result<()> {
        let mut records = Vec::new();
        self.adopt(orphans, CATALOGUE, &mut |_, key, value, _| {
            records.extend(decode(key, value.bytes()));
            Ok(())
        })?;
        for (table, record) in records {
            self.fault(
                u64::MAX,
                table,
                "the record of this table was found outside the catalogue".into(),
            )?;
            self.restore(table, record, true)?;
        }
        self.adopt(orphans, NAMES, &mut |saver, key, value, _| {
            saver.named(key, value.bytes());
            Ok(())
        })?;
        for table in orphans.tables() {
            if table >= FIRST && !self.tables.contains_key(&table) {
                let name = self.names.get(&table).cloned().unwrap_or_default();
                self.rootless.insert(table);
                self.fault(
                    u64::MAX,
                    table,
                    "the record of this table is lost; leaves of it are left".into(),
                )?;
                let record = Record {
                    name,
                    ..Record::default()
                };
                self.restore(table, record, true)?;
            }
        }
        Ok(())
    }

    /// Pages that the newest commit lists as dead; `None`: that cannot be known.
    fn dead(&self, meta: &Meta) -> Option<PageSet> {
        let damaged = self.damaged;
        let scope = Scope::new(damaged);
        let tail = dead_changes(meta, |at, into| {
            into.copy_from_slice(&damaged.raw.read(at, into.len() as u64)?);
            Ok(())
        });
        let listed = dead_extents(&&scope, &meta.space, &tail.ok()?).ok()?;
        let mut dead = PageSet::new();
        for extent in listed.values() {
            let end = extent.page.saturating_add(extent.pages).min(damaged.pages());
            (extent.page..end).for_each(|page| {
                dead.insert(page);
            });
        }
        Some(dead)
    }
}

/// Number and record of an entry of the catalogue.
fn decode(key: &[u8], value: &[u8]) -> Option<(Table, Record)> {
    let table = u64::from_be_bytes(key.try_into().ok()?);
    Record::decode(value).ok().map(|record| (table, record))
}
