//! The state of a salvage and its target: what was saved, what is lost, and how entries are put.

use super::pages::{DamagedFile, Scope};
use super::report::SalvageReport;
use crate::catalogue::TableRecord;
use crate::db::{PutMode, Reader, WriteTxn};
use crate::error::{Error, FaultKind, Result};
use crate::ids::{PageNo, TableId};
use crate::maintain::fault::Fault;
use crate::maintain::job::Job;
use crate::page::chain::{pieces, Chain};
use crate::page::leaf::Stored;
use crate::page::KEY_MAX;
use crate::tree::read::check::PageSet;
use crate::util::shown::{plural, Quoted};
use std::collections::{BTreeMap, BTreeSet};

/// The keys of a table that no pointer leads to any more: from `low` on and below `high`. They are looked for in pages
/// that nothing leads to.
#[derive(Debug, Clone)]
pub(super) struct Gap {
    pub table: TableId,
    pub low: Vec<u8>,
    pub high: Option<Vec<u8>>,
    /// What was there, or `None` if nothing tells of it.
    pub missing: Option<Missing>,
}

/// What a pointer says of the entries of a gap, and what became of them.
#[derive(Debug, Clone)]
pub(super) struct Missing {
    /// The page that the pointer leads to.
    pub page: PageNo,
    /// Why it could not be used.
    pub kind: FaultKind,
    /// The number of entries that were below it.
    pub entries: u64,
    /// The number of those that were found elsewhere. Old ones may be among them, so that it may be larger.
    pub found: u64,
}

impl Gap {
    pub fn holds(&self, key: &[u8]) -> bool {
        key >= self.low.as_slice() && self.high.as_deref().is_none_or(|high| key < high)
    }

    /// Returns the keys of the gap in words.
    pub fn keys(&self) -> String {
        let low = Quoted(&self.low);
        match &self.high {
            Some(high) => format!("keys from {low} to below {}", Quoted(high)),
            None => format!("keys from {low} on"),
        }
    }
}

impl Missing {
    /// Returns how many entries were not found.
    pub fn lost(&self) -> u64 {
        self.entries.saturating_sub(self.found)
    }
}

/// An entry that was found, and the page it was found in.
#[derive(Clone, Copy)]
pub(super) struct Found<'e> {
    pub key: &'e [u8],
    pub value: Stored<'e>,
    pub page: PageNo,
}

/// A callback that is given every entry that is found.
pub(super) type OnEntry<'f, 'd> = &'f mut dyn FnMut(&mut Saver<'d, '_, '_>, Found<'_>) -> Result<()>;

/// The state of one salvage.
pub(super) struct Saver<'d, 'j, 'f> {
    pub damaged: &'d DamagedFile,
    pub job: &'j Job<'f>,
    on_fault: &'j mut dyn FnMut(&Fault) -> bool,
    /// The transaction that fills the target.
    pub txn: WriteTxn,
    pub report: SalvageReport,
    /// The pages of trees that were reached and are right.
    pub seen: PageSet,
    /// The pages that pointers lead to and that cannot be read or whose checksums differ.
    pub bad: BTreeSet<PageNo>,
    pub gaps: Vec<Gap>,
    /// The named tables that were restored, with their records.
    pub tables: BTreeMap<TableId, TableRecord>,
    /// The tables whose roots are not known.
    pub rootless: BTreeSet<TableId>,
    /// The names of tables, from the list of names.
    pub names: BTreeMap<TableId, Vec<u8>>,
    /// The total length of the long values that were met, in bytes.
    long_bytes: u64,
}

impl<'d, 'j, 'f> Saver<'d, 'j, 'f> {
    pub fn new(
        damaged: &'d DamagedFile,
        txn: WriteTxn,
        job: &'j Job<'f>,
        on_fault: &'j mut dyn FnMut(&Fault) -> bool,
    ) -> Saver<'d, 'j, 'f> {
        Saver {
            damaged,
            job,
            on_fault,
            txn,
            report: SalvageReport::default(),
            seen: PageSet::new(),
            bad: BTreeSet::new(),
            gaps: Vec::new(),
            tables: BTreeMap::new(),
            rootless: BTreeSet::from([TableId::NAMES]),
            names: BTreeMap::new(),
            long_bytes: 0,
        }
    }

    /// Reports a fault.
    ///
    /// # Errors
    /// `Cancelled`: the callback returned false.
    pub fn fault(&mut self, fault: &Fault) -> Result<()> {
        match (self.on_fault)(fault) {
            true => Ok(()),
            false => Err(Error::Cancelled),
        }
    }

    /// Counts and reports an entry that cannot be saved. The record of a table is no entry.
    pub fn lose_entry(&mut self, fault: &Fault) -> Result<()> {
        let entries = u64::from(fault.table != Some(TableId::CATALOGUE));
        self.report.lost_entries = self.report.lost_entries.saturating_add(entries);
        self.fault(fault)
    }

    /// Counts an entry that was found in a page that nothing leads to, in the gap that it was looked for in.
    pub fn note_found(&mut self, table: TableId, key: &[u8]) {
        let mut gaps = self.gaps.iter_mut().filter(|gap| gap.table == table);
        if let Some(missing) = gaps.find(|gap| gap.holds(key)).and_then(|gap| gap.missing.as_mut()) {
            missing.found += 1;
        }
    }

    /// Counts and reports what is lost of the gaps, after everything was looked for.
    ///
    /// # Errors
    /// `Cancelled`: the callback returned false.
    pub fn tell_losses(&mut self) -> Result<()> {
        for gap in std::mem::take(&mut self.gaps) {
            let Some(missing) = &gap.missing else { continue };
            let (entries, lost) = (missing.entries, missing.lost());
            let of_catalogue = gap.table == TableId::CATALOGUE;
            let what = match of_catalogue {
                true => plural(entries, "record of a table was", "records of tables were"),
                false => plural(entries, "entry was", "entries were"),
            };
            let mut what = format!("{entries} {what} looked for elsewhere");
            if !of_catalogue {
                self.report.lost_entries = self.report.lost_entries.saturating_add(lost);
                what += &format!(", {}", gap.keys());
            }
            what += &format!(
                ": {} found, {} lost",
                counted(missing.found, "was", "were"),
                counted(lost, "is", "are")
            );
            if of_catalogue && lost > 0 {
                what += "; how many entries are lost with them is not known";
            }
            self.fault(&Fault {
                page: Some(missing.page),
                table: Some(gap.table),
                kind: missing.kind,
                what,
            })?;
        }
        Ok(())
    }

    /// Counts a page that is damaged, unless it was counted before.
    pub fn note_damaged(&mut self, page: Option<PageNo>) {
        let is_new = page.is_some_and(|page| self.bad.insert(page));
        self.report.damaged_pages += u64::from(is_new);
    }

    /// Returns whether tables may exist of which no record was found.
    pub fn catalogue_lost(&self) -> bool {
        self.gaps.iter().any(|gap| gap.table == TableId::CATALOGUE)
    }

    /// Puts an entry into the target, unless there is one with its key. Returns whether it was put.
    ///
    /// # Errors
    /// Those of the target, and `Cancelled`.
    pub fn put(&mut self, table: TableId, found: Found<'_>) -> Result<bool> {
        if found.key.len() > KEY_MAX || self.txn.contains(table, found.key)? {
            return Ok(false);
        }
        match found.value {
            Stored::Inline(bytes) => {
                self.txn.put(table, found.key, bytes, PutMode::Set)?;
                Ok(true)
            }
            Stored::Chain(description) => self.put_long(table, found, description),
        }
    }

    /// Copies a long value piece by piece. If a piece cannot be read, the entry is lost.
    fn put_long(&mut self, table: TableId, found: Found<'_>, description: &[u8]) -> Result<bool> {
        let chain = match Chain::decode(description, self.damaged.page_size) {
            Ok(chain) => chain,
            Err(damage) => {
                self.lose_entry(&Fault::contradiction(found.page, table, damage.0))?;
                return Ok(false);
            }
        };
        // Damage may name the same extents again and again. This limit keeps the copies to twice the length of the
        // file.
        self.long_bytes = self.long_bytes.saturating_add(chain.len);
        if self.long_bytes > 2 * self.damaged.raw.len() {
            self.lose_entry(&Fault::contradiction(found.page, table, "long values outgrow the file"))?;
            return Ok(false);
        }
        let mut writer = self.txn.writer(table, found.key, chain.len, PutMode::Set)?;
        for i in 0..pieces(chain.len) {
            self.job.advance(0)?;
            let scope = Scope::new(self.damaged);
            let read = chain.piece(i, &&scope);
            match read {
                Ok(bytes) => writer.write(&mut self.txn, bytes)?,
                Err(error) => {
                    writer.cancel(&mut self.txn);
                    let fault = Fault::of(&error, table);
                    self.note_damaged(fault.page);
                    let what = format!(
                        "the long value of key {}: {}; the entry is lost",
                        Quoted(found.key),
                        fault.what
                    );
                    let page = fault.page.or(Some(found.page));
                    self.lose_entry(&Fault { page, what, ..fault })?;
                    return Ok(false);
                }
            }
        }
        writer.finish(&mut self.txn)?;
        Ok(true)
    }
}

/// Returns a number with the verb behind it.
fn counted(number: u64, one: &'static str, many: &'static str) -> String {
    match number {
        0 => format!("none {one}"),
        _ => format!("{number} {}", plural(number, one, many)),
    }
}
