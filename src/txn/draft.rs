//! A draft is what a write transaction has collected over the snapshot that it builds on. This module also reads that
//! back.
//!
//! Making a draft takes no lock, and dropping one leaves no trace. A draft needs pages of the file only where something
//! must be placed: for a long value, for a flush that would otherwise take too much memory, and at commit. Each call
//! that may need some is given a [`DraftPages`]. For the exclusive transaction that is the pager's
//! [`crate::pager::PageWriter`], which is the write lock as well.
//!
//! A draft can fail: after an error that leaves its write sets or trees half-done, it can only go back to a savepoint
//! or be dropped. That state is kept here and nowhere else.

use super::draft_pages::DraftPages;
use super::flush::{Edit, TreeBuilder};
use super::pages::{Pages, TreeRef};
use super::pinned::PinnedBytes;
use super::relocated_roots::RelocatedRoots;
use super::saved::SavedDraft;
use super::snapshot_changes::SnapshotChanges;
use super::table::{DraftTable, TableIndex};
use crate::catalogue::{self, TableRecord};
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::hint::leaf::LeafHints;
use crate::page::leaf::Stored;
use crate::page::PAGE_MAX;
use crate::pager::{Descriptor, Pager};
use crate::tree::read::end::TreeEnd;
use crate::tree::read::lookup;
use crate::tree::read::path::Position;
use crate::tree::write::edits::{Op, RecordPos};
use crate::tree::write::range::KeyRange;
use crate::util::seeded::{self, Bug};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// What a write transaction keeps in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteStat {
    /// The number of edits that were collected and are not applied to their trees yet.
    pub edits: u64,
    /// The number of bytes that these edits take.
    pub bytes: u64,
    /// The number of pages that were built in memory and are not in the file yet.
    pub private_pages: u64,
}

/// Edits and private pages over a snapshot.
pub struct Draft {
    /// The opened tables, of which the main table is the first.
    pub(super) tables: Vec<DraftTable>,
    by_number: HashMap<TableId, TableIndex>,
    /// The table that was used last.
    recent: TableIndex,
    pub(super) builder: TreeBuilder,
    leaf_hints: LeafHints,
    /// Values that were returned to the caller and do not lie in one piece anywhere else.
    pub(super) pinned_values: PinnedBytes,
    /// The first and the last entry of the tree whose ends were looked for last, as positions that remember their
    /// paths. They are boxed because they are large to move.
    pub(super) ends: [Option<Box<TreeEnd>>; 2],
    /// What changes in the list of snapshots.
    pub(super) snapshots: SnapshotChanges,
    /// What a relocation has made of trees that are no tables.
    pub(super) relocated: RelocatedRoots,
    /// Memory for the position of a key that is searched for.
    pub(super) searched: Position,
    /// States to which the draft can go back.
    pub(super) savepoints: Vec<SavedDraft>,
    /// Why the draft can only be dropped or go back to a savepoint, if there is a reason.
    failure: OnceLock<Failure>,
}

/// Why a draft cannot go on.
struct Failure {
    why: String,
    /// Whether it cannot go back to a savepoint either.
    is_final: bool,
}

impl Failure {
    fn new(error: &Error) -> Failure {
        Failure {
            why: error.to_string(),
            is_final: false,
        }
    }
}

const MAIN: TableIndex = TableIndex(0);

impl Draft {
    /// Creates a draft without edits over the commit `base`, which must stay readable as long as the draft exists. The
    /// draft collects about `budget` bytes of edits before it applies them.
    pub fn new(pager: Arc<Pager>, base: Descriptor, budget: usize) -> Draft {
        let record = TableRecord {
            root: base.roots.main,
            ..TableRecord::default()
        };
        let mut main = DraftTable::stored(TableId::MAIN, record, true);
        // Its record is read when it is first changed.
        main.is_changeable = false;
        let (builder, edits) = TreeBuilder::new(pager, base, budget);
        main.tree.edits = edits;
        Draft {
            tables: vec![main],
            by_number: HashMap::new(),
            recent: MAIN,
            builder,
            leaf_hints: LeafHints::default(),
            pinned_values: PinnedBytes::default(),
            ends: Default::default(),
            searched: Position::default(),
            snapshots: SnapshotChanges::default(),
            relocated: RelocatedRoots::default(),
            savepoints: Vec::new(),
            failure: OnceLock::new(),
        }
    }

    /// Returns the commit that the draft builds on.
    #[inline(always)]
    pub fn base(&self) -> &Descriptor {
        self.builder.base()
    }

    /// Returns the size of a page in bytes.
    #[inline(always)]
    pub fn page_size(&self) -> usize {
        self.builder.page_size()
    }

    /// Returns whether a commit would have anything to write.
    pub fn is_changed(&self) -> bool {
        self.builder.is_changed()
    }

    /// Notes that a commit has something to write, even if no edit shows it.
    pub fn mark_changed(&mut self) {
        self.builder.mark_changed();
    }

    /// Returns what the draft keeps in memory.
    pub fn stat(&self) -> WriteStat {
        WriteStat {
            edits: self.tables.iter().map(|t| t.tree.edits.log().len() as u64).sum(),
            bytes: self.builder.collected() as u64,
            private_pages: self.builder.arena.len() as u64,
        }
    }

    // ---- failure

    /// Remembers the error if it leaves the draft unusable, and returns it in every case.
    #[cold]
    pub fn fail(&self, error: Error) -> Error {
        let error = self.with_name(error);
        if error.spoils() && !seeded::on(Bug::CommitFailed) {
            self.failure.get_or_init(|| Failure::new(&error));
        }
        error
    }

    /// Makes the draft unusable whatever the error is, because it ended a call that has made some of its changes.
    /// Returns the error.
    #[cold]
    pub fn fail_half_done(&self, error: Error) -> Error {
        let error = self.with_name(error);
        self.failure.get_or_init(|| Failure::new(&error));
        error
    }

    /// Names the table in an error about damage, if the draft knows its name.
    fn with_name(&self, error: Error) -> Error {
        let number = error.unnamed_table();
        match number.and_then(|number| self.by_number.get(&number)) {
            Some(at) => error.in_table_called(&self.table(*at).name),
            None => error,
        }
    }

    /// Makes the draft unusable after a panic was caught in one of its calls, because nobody knows what the panic left
    /// half-done.
    pub fn poison(&mut self) {
        self.failure = OnceLock::from(Failure {
            why: "internal error".to_owned(),
            is_final: true,
        });
    }

    /// Returns whether the draft can only go back to a savepoint or be dropped.
    #[inline(always)]
    pub fn is_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Returns an error if the draft has failed.
    ///
    /// # Errors
    /// `TxnFailed`: an earlier error or panic made the draft unusable.
    #[inline(always)]
    pub fn check_usable(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(failure) => Err(txn_failed(&failure.why)),
        }
    }

    /// Returns an error if the draft can only be dropped, and not go back to a savepoint either.
    ///
    /// # Errors
    /// `TxnFailed`: a panic has made it unusable.
    pub(super) fn check_can_go_back(&self) -> Result<()> {
        match self.failure.get() {
            Some(Failure { why, is_final: true }) => Err(txn_failed(why)),
            _ => Ok(()),
        }
    }

    /// Makes the draft usable again, which has gone back to a savepoint.
    pub(super) fn forget_failure(&mut self) {
        self.failure = OnceLock::new();
    }

    // ---- tables

    /// Returns the table that was used last.
    #[inline(always)]
    pub(super) fn recent(&self) -> TableIndex {
        self.recent
    }

    /// Returns an opened table.
    #[inline(always)]
    pub fn table(&self, at: TableIndex) -> &DraftTable {
        &self.tables[at.0]
    }

    /// Returns an opened table so that it can be changed.
    #[inline(always)]
    pub fn table_mut(&mut self, at: TableIndex) -> &mut DraftTable {
        &mut self.tables[at.0]
    }

    /// Returns the numbers of the tables that were opened. One that was dropped and made again is among them twice.
    pub fn opened(&self) -> impl Iterator<Item = TableId> + '_ {
        self.tables.iter().map(|table| table.tree.table)
    }

    /// Opens the table with this number.
    ///
    /// # Errors
    /// `NoTable`: there is none, or this draft has dropped it; `Corrupt`, `Io`: the catalogue cannot be read.
    #[inline(always)]
    pub fn open(&mut self, table: TableId) -> Result<TableIndex> {
        let recent = self.table(self.recent);
        if recent.tree.table == table && !recent.dropped {
            return Ok(self.recent);
        }
        self.open_other(table)
    }

    /// Returns the table if it is the one used last and has no edits that wait to be flushed, so that its tree says all
    /// about it.
    #[inline(always)]
    pub fn at_hand(&self, table: TableId) -> Option<TableIndex> {
        let recent = self.table(self.recent);
        let at_hand = recent.tree.table == table
            && table != TableId::NAMES
            && table != TableId::SNAPSHOTS
            && !recent.dropped
            && recent.tree.edits.is_empty()
            && !self.is_failed();
        at_hand.then_some(self.recent)
    }

    /// Returns whether an opened table is known to be one that may be changed.
    #[inline(always)]
    pub fn is_known_to_be_changeable(&self, at: TableIndex) -> bool {
        self.table(at).is_changeable
    }

    /// Returns the number that changes whenever a tree may have changed.
    #[inline(always)]
    pub fn version(&self) -> u64 {
        self.builder.version()
    }

    fn open_other(&mut self, table: TableId) -> Result<TableIndex> {
        let at = match self.by_number.get(&table) {
            _ if table == TableId::MAIN => MAIN,
            Some(at) => *at,
            None if table == TableId::SNAPSHOTS => {
                let record = TableRecord {
                    root: self.base().roots.snapshots,
                    ..TableRecord::default()
                };
                self.adopt(DraftTable::stored(table, record, true))
            }
            None => {
                let found = self.find_record(table).map_err(|e| self.fail(e))?;
                let existed = found.is_some();
                let record = match found {
                    Some(record) => record,
                    None if table == TableId::NAMES => TableRecord::default(),
                    None => return Err(catalogue::no_table(table)),
                };
                self.adopt(DraftTable::stored(table, record, existed))
            }
        };
        if self.table(at).dropped {
            return Err(catalogue::no_table(table));
        }
        self.recent = at;
        Ok(at)
    }

    /// Checks that this version may change an opened table.
    ///
    /// # Errors
    /// `Unsupported`: the table is of a later version; `Corrupt`, `Io`: the catalogue cannot be read.
    #[inline(always)]
    pub fn check_changeable(&mut self, at: TableIndex) -> Result<()> {
        match self.table(at).is_changeable {
            true => Ok(()),
            false => self.look_whether_changeable(at),
        }
    }

    #[cold]
    #[inline(never)]
    fn look_whether_changeable(&mut self, at: TableIndex) -> Result<()> {
        if at == MAIN {
            self.read_main_record()?;
        }
        match self.table(at).is_changeable {
            true => Ok(()),
            false => Err(Error::Unsupported(
                "the table was made by a newer version, which alone can change it",
            )),
        }
    }

    /// Reads what the catalogue says of the main table, unless it is known.
    ///
    /// # Errors
    /// `Corrupt`, `Io`: the catalogue cannot be read.
    pub fn read_main_record(&mut self) -> Result<TableIndex> {
        if self.table(MAIN).is_changeable {
            return Ok(MAIN);
        }
        // Most databases have no named tables, and so no catalogue.
        let record = match self.base().roots.catalogue.height {
            0 => None,
            _ => self.find_record(TableId::MAIN).map_err(|e| self.fail(e))?,
        };
        match record {
            Some(record) => self.table_mut(MAIN).describe(record),
            None => self.table_mut(MAIN).is_changeable = true,
        }
        Ok(MAIN)
    }

    fn find_record(&self, table: TableId) -> Result<Option<TableRecord>> {
        let found = catalogue::find(&self.pages(), &self.base().roots.catalogue, table)?;
        found.map(TableRecord::decode).transpose()
    }

    /// Finds the tables anew that are left when the draft has gone back, of which `recent` was used last.
    pub(super) fn index_tables(&mut self, recent: TableIndex) {
        self.by_number.clear();
        for (at, table) in self.tables.iter().enumerate() {
            // Of two that had one number, the later one has it.
            self.by_number.insert(table.tree.table, TableIndex(at));
        }
        self.recent = recent;
    }

    /// Adds a table that the draft has not opened yet, or has dropped under this number.
    pub fn adopt(&mut self, table: DraftTable) -> TableIndex {
        let at = TableIndex(self.tables.len());
        let before = self.by_number.insert(table.tree.table, at);
        debug_assert!(
            before.is_none_or(|before| self.table(before).dropped),
            "a table is opened once"
        );
        self.tables.push(table);
        at
    }

    // ---- reading back

    /// Returns a source of all pages as this draft sees them.
    #[inline(always)]
    pub fn pages(&self) -> Pages<'_> {
        Pages {
            view: self.builder.view(),
            arena: Some(&self.builder.arena),
            leaf_hints: &self.leaf_hints,
        }
    }

    /// Returns the tree of an opened table, with everything that was flushed.
    pub fn tree_now(&self, table: TableId) -> Result<TreeRef<'_>> {
        let recent = self.table(self.recent);
        let open = if recent.tree.table == table {
            Some(recent)
        } else {
            self.by_number.get(&table).map(|at| self.table(*at))
        };
        let open = open.filter(|o| !o.dropped).ok_or_else(|| catalogue::no_table(table))?;
        Ok(TreeRef {
            source: self.pages(),
            root: open.tree.root,
            version: self.builder.version(),
        })
    }

    /// Returns the last edit of `key` that is not flushed yet, if there is one.
    #[inline(always)]
    pub fn pending(&mut self, at: TableIndex, key: &[u8]) -> Result<Option<RecordPos>> {
        let found = self.table_mut(at).tree.edits.get(key);
        found.map_err(|e| self.fail(e))
    }

    /// Returns what is stored under `key`: what its `pending` edit says or, without one, what the tree contains.
    pub fn stored(&self, at: TableIndex, pending: Option<RecordPos>, key: &[u8]) -> Result<Option<Stored<'_>>> {
        let tree = &self.table(at).tree;
        match pending.map(|edit| tree.edits.op(edit)) {
            Some(Op::Put(value)) => Ok(Some(value)),
            Some(Op::Delete) => Ok(None),
            None => {
                let found = lookup::get(&self.pages(), &tree.root, key);
                found.map_err(|e| self.fail(e.in_table(tree.table)))
            }
        }
    }

    /// Returns whether there is an entry with this key.
    pub fn exists(&mut self, at: TableIndex, key: &[u8]) -> Result<bool> {
        let pending = self.pending(at, key)?;
        let tree = &self.table(at).tree;
        match pending.map(|edit| tree.edits.op(edit)) {
            Some(Op::Put(_)) => Ok(true),
            Some(Op::Delete) => Ok(false),
            None => {
                let found = lookup::contains(&self.pages(), &tree.root, key);
                found.map_err(|e| self.fail(e.in_table(tree.table)))
            }
        }
    }

    /// Returns the value under `key`, found as [`Draft::stored`] finds it.
    pub fn value(&self, at: TableIndex, pending: Option<RecordPos>, key: &[u8]) -> Result<Option<&[u8]>> {
        match self.stored(at, pending, key)? {
            Some(stored) => {
                let resolved = self.resolve(stored);
                let table = self.table(at).tree.table;
                resolved.map(Some).map_err(|e| self.fail(e.in_table(table)))
            }
            None => Ok(None),
        }
    }

    /// Returns the bytes of a stored value.
    pub fn resolve<'a>(&'a self, stored: Stored<'a>) -> Result<&'a [u8]> {
        self.pinned_values.resolve(stored, &self.pages())
    }

    /// Pins what the draft returns to the caller: until the next write, bytes of the file, of private pages and of
    /// write sets stay where they are.
    #[inline(always)]
    pub fn pin(&mut self) {
        self.builder.pin();
    }

    /// Notes that the caller was given a copy of what it looked for, which no write changes. What it writes next is
    /// likely to be where it looked.
    #[inline(always)]
    pub fn note_look(&mut self) {
        self.builder.note_look();
    }

    /// Returns whether anything is pinned.
    #[inline(always)]
    pub fn has_pinned(&self) -> bool {
        self.builder.is_pinned() || !self.pinned_values.is_empty()
    }

    /// Returns whether a write may free these bytes, or change them, before it ends: whether they may be pinned bytes
    /// of memory. Values in the file never are; others are short, or have memory of their own.
    #[inline(always)]
    pub fn may_free(&self, bytes: &[u8]) -> bool {
        self.has_pinned() && self.may_free_pinned(bytes)
    }

    #[inline(never)]
    fn may_free_pinned(&self, bytes: &[u8]) -> bool {
        bytes.len() <= PAGE_MAX || self.pinned_values.holds(bytes)
    }

    /// Keeps pinned what is pinned, until [`Draft::release_pinned`]: the edits of a batch may all come from pinned
    /// bytes.
    pub fn hold_pinned(&mut self) {
        self.builder.held = true;
    }

    /// Ends what [`Draft::hold_pinned`] has begun, and unpins everything.
    pub fn release_pinned(&mut self) {
        self.builder.held = false;
        self.pinned_values.clear();
        self.builder.unpin();
    }

    /// Takes a copy that is returned to the caller, and pins it.
    pub fn pin_copy(&self, copy: Box<[u8]>) -> &[u8] {
        self.pinned_values.pin(copy)
    }

    // ---- writing

    /// Records an edit, and flushes its table if the budget is used up.
    #[inline(always)]
    pub fn push<P: DraftPages>(&mut self, at: TableIndex, edit: Edit<'_>, pages: &mut P) -> Result<()> {
        let table = &mut self.tables[at.0];
        table.last_is_greatest = edit.is_greatest;
        table.forget_greatest();
        if let Err(error) = self.builder.record(&mut table.tree, edit) {
            return Err(self.fail(error));
        }
        // This must come after the edit was recorded, because its bytes may be those of a pinned value.
        if !self.builder.held {
            self.pinned_values.clear();
        }
        let kept = self.builder.keep_budget(&mut table.tree, pages);
        kept.map_err(|e| self.fail(e))
    }

    /// Applies the edits of a table to its tree.
    #[inline(always)]
    pub fn flush<P: DraftPages>(&mut self, at: TableIndex, pages: &mut P) -> Result<()> {
        self.check_budget();
        match self.tables[at.0].tree.edits.is_empty() {
            true => Ok(()),
            false => self.flush_edits(at, pages),
        }
    }

    #[inline(never)]
    fn flush_edits<P: DraftPages>(&mut self, at: TableIndex, pages: &mut P) -> Result<()> {
        let noted = self.tables[at.0].note_last();
        noted.map_err(|e| self.fail(e))?;
        let flushed = self.builder.flush(&mut self.tables[at.0].tree, pages);
        flushed.map_err(|e| self.fail(e))
    }

    /// Deletes the keys of a range, and returns how many there were.
    pub fn remove_range<P: DraftPages>(&mut self, at: TableIndex, keys: KeyRange<'_>, pages: &mut P) -> Result<u64> {
        let table = &mut self.tables[at.0];
        table.last_is_greatest = false;
        table.forget_greatest();
        if !self.builder.held {
            self.pinned_values.clear();
        }
        let removed = self.builder.remove_range(&mut table.tree, keys, pages);
        removed.map_err(|e| self.fail(e))
    }

    /// Deletes every entry of a table. Edits that are not flushed yet are forgotten without being applied.
    pub fn clear<P: DraftPages>(&mut self, at: TableIndex, pages: &mut P) -> Result<()> {
        let forgotten = self.builder.forget_edits(&mut self.tables[at.0].tree, pages);
        forgotten.map_err(|e| self.fail(e))?;
        self.remove_range(at, KeyRange::whole(), pages).map(|_| ())
    }

    /// Checks that the budget counts every write set once.
    fn check_budget(&self) {
        debug_assert_eq!(
            self.builder.collected(),
            self.tables.iter().map(|t| t.tree.counted).sum::<usize>(),
            "the bytes collected are those counted of each write set"
        );
    }
}

#[cold]
fn txn_failed(why: &str) -> Error {
    Error::TxnFailed(why.to_owned())
}
