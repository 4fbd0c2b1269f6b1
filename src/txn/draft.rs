//! A draft: what a write transaction has collected over the snapshot it builds on, and what it reads back of it.
//!
//! Making a draft takes no lock, and one that is dropped leaves no trace. Pages are needed only where something must be
//! placed: for a long value, when a flush would take too much memory, and at commit. Each call that may need some is given
//! a [`DraftPages`]; for the exclusive transaction that is the pager's [`crate::pager::PageWriter`], which is the write
//! lock, too.
//!
//! A draft can fail: after an error that leaves its write sets or trees half-done, only dropping it is left. That is kept
//! here and nowhere else.

use super::flush::{DraftPages, Edit, TreeBuilder};
use super::pages::{Pages, TreeRef};
use super::pinned::PinnedBytes;
use super::table::DraftTable;
use crate::catalogue::{self, TableRecord};
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::hint::leaf::LeafHints;
use crate::page::leaf::Stored;
use crate::pager::{Descriptor, Pager};
use crate::tree::read::lookup;
use crate::tree::write::edits::{Op, RecordPos};
use crate::util::seeded::{self, Bug};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// Which of the tables that a draft has opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableIndex(usize);

/// What a write transaction holds in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteStat {
    /// Edits that are collected and not applied to their trees yet.
    pub edits: u64,
    /// The bytes that these edits take.
    pub bytes: u64,
    /// Pages that were built in memory and are not in the file yet.
    pub private_pages: u64,
}

/// Edits and private pages over a snapshot.
pub struct Draft {
    /// The default table first.
    pub(super) tables: Vec<DraftTable>,
    by_number: HashMap<TableId, TableIndex>,
    /// The table used last.
    recent: TableIndex,
    pub(super) builder: TreeBuilder,
    leaf_hints: LeafHints,
    /// Values that were returned to the caller and lie nowhere else in one piece.
    pinned_values: PinnedBytes,
    /// Why the draft can only be dropped.
    failure: OnceLock<String>,
}

const MAIN: TableIndex = TableIndex(0);

impl Draft {
    /// A draft without edits over the commit `base`, which must stay readable as long as the draft is there. It collects
    /// about `budget` bytes of edits before it applies them.
    pub fn new(pager: Arc<Pager>, base: Descriptor, budget: usize) -> Draft {
        let record = TableRecord {
            root: base.roots.main,
            ..TableRecord::default()
        };
        let mut main = DraftTable::stored(TableId::MAIN, record, true);
        let (builder, edits) = TreeBuilder::new(pager, base, budget);
        main.tree.edits = edits;
        Draft {
            tables: vec![main],
            by_number: HashMap::new(),
            recent: MAIN,
            builder,
            leaf_hints: LeafHints::default(),
            pinned_values: PinnedBytes::default(),
            failure: OnceLock::new(),
        }
    }

    /// The commit this builds on.
    #[inline(always)]
    pub fn base(&self) -> &Descriptor {
        self.builder.base()
    }

    /// Bytes of a page.
    #[inline(always)]
    pub fn page_size(&self) -> usize {
        self.builder.page_size()
    }

    /// Whether a commit would have anything to write.
    pub fn is_changed(&self) -> bool {
        self.builder.is_changed()
    }

    /// Notes that a commit has something to write, even if no edit tells so.
    pub fn mark_changed(&mut self) {
        self.builder.mark_changed();
    }

    /// What is held in memory.
    pub fn stat(&self) -> WriteStat {
        WriteStat {
            edits: self.tables.iter().map(|t| t.tree.edits.log().len() as u64).sum(),
            bytes: self.builder.collected() as u64,
            private_pages: self.builder.arena.len() as u64,
        }
    }

    // ---- failure

    /// Remembers an error that leaves the draft unusable; passes every error on.
    #[cold]
    pub fn fail(&self, error: Error) -> Error {
        if error.spoils() && !seeded::on(Bug::CommitFailed) {
            self.failure.get_or_init(|| error.to_string());
        }
        error
    }

    /// Makes the draft unusable, because a panic was caught in one of its calls: what that left half-done is not known.
    pub fn poison(&self) {
        self.failure.get_or_init(|| "internal error".to_owned());
    }

    /// Whether the draft can only be dropped.
    #[inline(always)]
    pub fn is_failed(&self) -> bool {
        self.failure.get().is_some()
    }

    /// Refuses to go on after a failure.
    ///
    /// # Errors
    /// `TxnFailed`.
    #[inline(always)]
    pub fn check_usable(&self) -> Result<()> {
        match self.failure.get() {
            None => Ok(()),
            Some(why) => Err(txn_failed(why)),
        }
    }

    // ---- tables

    /// The table used last.
    #[inline(always)]
    pub(super) fn recent(&self) -> TableIndex {
        self.recent
    }

    /// An opened table.
    #[inline(always)]
    pub fn table(&self, at: TableIndex) -> &DraftTable {
        &self.tables[at.0]
    }

    /// An opened table, to be changed.
    #[inline(always)]
    pub fn table_mut(&mut self, at: TableIndex) -> &mut DraftTable {
        &mut self.tables[at.0]
    }

    /// Opens the table with this number.
    ///
    /// # Errors
    /// `NoTable`: there is none, or it was dropped in this draft; `Corrupt`, `Io`.
    #[inline(always)]
    pub fn open(&mut self, table: TableId) -> Result<TableIndex> {
        let recent = self.table(self.recent);
        if recent.tree.table == table && !recent.dropped {
            return Ok(self.recent);
        }
        self.open_other(table)
    }

    fn open_other(&mut self, table: TableId) -> Result<TableIndex> {
        let at = match self.by_number.get(&table) {
            _ if table == TableId::MAIN => MAIN,
            Some(at) => *at,
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

    fn find_record(&self, table: TableId) -> Result<Option<TableRecord>> {
        let found = catalogue::find(&self.pages(), &self.base().roots.catalogue, table)?;
        found.map(TableRecord::decode).transpose()
    }

    /// Takes in a table that the draft has not opened yet.
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

    /// All pages as this draft sees them.
    #[inline(always)]
    pub fn pages(&self) -> Pages<'_> {
        Pages {
            view: self.builder.view(),
            arena: Some(&self.builder.arena),
            leaf_hints: &self.leaf_hints,
        }
    }

    /// The tree of an opened table, with everything that was flushed.
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

    /// The last edit of `key` that is not flushed yet.
    #[inline(always)]
    pub fn pending(&mut self, at: TableIndex, key: &[u8]) -> Result<Option<RecordPos>> {
        let found = self.table_mut(at).tree.edits.get(key);
        found.map_err(|e| self.fail(e))
    }

    /// What is stored under `key`: by its `pending` edit, or in the tree.
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

    /// Whether there is an entry of `key`.
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

    /// The value under `key`, found as [`Draft::stored`] finds it.
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

    /// The bytes of a stored value.
    pub fn resolve<'a>(&'a self, stored: Stored<'a>) -> Result<&'a [u8]> {
        self.pinned_values.resolve(stored, &self.pages())
    }

    /// Pins what the draft returns to the caller: bytes of the file, of private pages and of write sets stay where they are
    /// until the next write.
    #[inline(always)]
    pub fn pin(&mut self) {
        self.builder.pin();
    }

    /// Takes a copy in that is returned to the caller, and pins it.
    pub fn pin_copy(&self, copy: Box<[u8]>) -> &[u8] {
        self.pinned_values.pin(copy)
    }

    // ---- writing

    /// Records an edit, and flushes its table if the budget is used up.
    #[inline(always)]
    pub fn push<P: DraftPages>(&mut self, at: TableIndex, edit: Edit<'_>, pages: &mut P) -> Result<()> {
        let table = &mut self.tables[at.0];
        table.last_is_greatest = edit.is_greatest;
        if let Err(error) = self.builder.record(&mut table.tree, edit) {
            return Err(self.fail(error));
        }
        // Not before: what was recorded may have been bytes of a pinned value.
        self.pinned_values.clear();
        let kept = self.builder.keep_budget(&mut table.tree, pages);
        kept.map_err(|e| self.fail(e))
    }

    /// Applies the edits of a table to its tree.
    pub fn flush<P: DraftPages>(&mut self, at: TableIndex, pages: &mut P) -> Result<()> {
        self.check_budget();
        let flushed = self.builder.flush(&mut self.tables[at.0].tree, pages);
        flushed.map_err(|e| self.fail(e))
    }

    /// Deletes the keys `from <= key < to` (`None`: no bound); how many there were.
    pub fn remove_range<P: DraftPages>(
        &mut self,
        at: TableIndex,
        bounds: (Option<&[u8]>, Option<&[u8]>),
        pages: &mut P,
    ) -> Result<u64> {
        let table = &mut self.tables[at.0];
        table.last_is_greatest = false;
        self.pinned_values.clear();
        let removed = self.builder.remove_range(&mut table.tree, bounds, pages);
        removed.map_err(|e| self.fail(e))
    }

    /// Deletes every entry of a table; what was put and not flushed yet is forgotten unapplied.
    pub fn clear<P: DraftPages>(&mut self, at: TableIndex, pages: &mut P) -> Result<()> {
        let forgotten = self.builder.forget_edits(&mut self.tables[at.0].tree, pages);
        forgotten.map_err(|e| self.fail(e))?;
        self.remove_range(at, (None, None), pages).map(|_| ())
    }

    /// The budget counts every write set once.
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
