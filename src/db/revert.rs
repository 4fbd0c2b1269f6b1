//! Going back: a table, or all of them, becomes what a read transaction sees, by edits like any others (I-27).
//!
//! What has to be done is found out first, so that whatever is refused is refused before anything was changed. Then the
//! entries that differ are collected, a batch at a time, and put and deleted. The difference goes on behind each batch
//! in the tree that the batch has changed.

use super::difference::{failed_on, pair, trees_of, OTHER_DATABASE};
use super::read::ReadTxn;
use super::reader::{Reader, Trees};
use super::write::WriteTxn;
use crate::catalogue::{self, TableRecord};
use crate::error::{Conflict, Error, Result};
use crate::ids::TableId;
use crate::page::chain::{pieces, Chain};
use crate::page::leaf::Stored;
use crate::page::{Prefetch, Root};
use crate::tree::read::difference::{ChangeKind, Side, TreeDifference};
use crate::tree::read::limits::Limits;
use crate::txn::{DraftTable, Entry, PutMode, TableIndex, TreeRef};
use crate::util::shown::Quoted;

/// How many bytes of edits are collected before they are made.
const BATCH: usize = 1 << 20;

/// What has to be done with a table that is not as it was.
enum TableStep {
    /// It was made since.
    Drop(TableIndex),
    /// It was dropped since.
    Restore(TableId, TableRecord),
    /// It is there, as it was then, and differs.
    Change(TableIndex, TableRecord),
}

/// All that has to be done.
#[derive(Default)]
struct Plan {
    steps: Vec<TableStep>,
    /// The names that tables lose. Some of them are given to other tables.
    names_lost: Vec<Vec<u8>>,
    /// The names that tables get.
    names_given: Vec<(Vec<u8>, TableId)>,
}

/// Edits that were collected and are not made yet.
#[derive(Default)]
struct Batch {
    /// Keys, each with its value behind it.
    bytes: Vec<u8>,
    edits: Vec<Collected>,
}

/// An edit, by where its bytes end.
struct Collected {
    key_end: usize,
    end: usize,
    op: CollectedOp,
}

#[derive(Clone, Copy)]
enum CollectedOp {
    Delete,
    Put,
    /// To put the value that the bytes behind the key describe, which is copied piece by piece.
    PutChain,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.bytes.len() + size_of_val(self.edits.as_slice()) >= BATCH
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.edits.clear();
    }

    fn push(&mut self, key: &[u8], value: Option<Stored<'_>>) -> Result<()> {
        let (op, bytes) = match value {
            None => (CollectedOp::Delete, &[][..]),
            Some(Stored::Inline(bytes)) => (CollectedOp::Put, bytes),
            Some(Stored::Chain(bytes)) => (CollectedOp::PutChain, bytes),
        };
        Error::or_room(&mut self.bytes, key.len() + bytes.len(), "edits that go back")?;
        Error::or_room(&mut self.edits, 1, "edits that go back")?;
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        let end = self.bytes.len();
        self.edits.push(Collected { key_end, end, op });
        Ok(())
    }
}

impl WriteTxn {
    /// Makes a table, or all tables if `table` is `None`, what a read transaction sees. Returns how many keys that has
    /// added, removed and changed.
    ///
    /// This collects the difference between the two states as ordinary edits of this transaction, which takes as long
    /// as making the changes that it takes back: what is the same in both is not read, and long values are copied. What
    /// this transaction has written itself is taken back as well. A table is gone back to as a whole, with its name and
    /// note: it is dropped if the read transaction does not have it, and one that was dropped since comes back under
    /// its number. Snapshots stay as they are.
    ///
    /// # Errors
    /// `NoTable`: neither transaction has the table; `Exists`: another table has the name that the table would get
    /// back; `ReadOnly`: the table is a list that the library keeps; `Invalid`: the read transaction is of another
    /// database; `Unsupported`: a table that differs was made by a newer version. Nothing is changed then. After
    /// `Corrupt`, also of a page that only the read transaction sees, and other errors of [`WriteTxn::put`], the
    /// transaction has failed.
    ///
    /// # Examples
    ///
    /// ```
    /// use kv::{Db, Options, PutMode, Reader, TableId, WriteOptions};
    ///
    /// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
    /// let before = db.begin_read()?;
    /// let mut txn = db.begin_write(WriteOptions::default())?;
    /// txn.put(TableId::MAIN, b"apple", b"red", PutMode::Set)?;
    /// txn.commit()?;
    ///
    /// let mut txn = db.begin_write(WriteOptions::default())?;
    /// assert_eq!(txn.revert(&before, None)?, 1);
    /// assert_eq!(txn.get(TableId::MAIN, b"apple")?, None);
    /// txn.commit()?;
    /// # Ok::<(), kv::Error>(())
    /// ```
    pub fn revert(&mut self, from: &ReadTxn, table: Option<TableId>) -> Result<u64> {
        if !std::ptr::eq(&**from.snapshot().pager(), &**self.pages.pager()) {
            return Err(Error::Invalid(OTHER_DATABASE));
        }
        self.ready()?;
        let plan = match table {
            Some(table) => self.plan_one(from, table),
            None => self.plan_all(from),
        };
        let plan = plan.map_err(|e| self.draft.fail(e))?;
        self.carry_out(plan, from).map_err(|e| self.draft.fail_half_done(e))
    }

    fn plan_one(&mut self, from: &ReadTxn, table: TableId) -> Result<Plan> {
        if table == TableId::NAMES || table == TableId::SNAPSHOTS {
            self.open_to_write(table)?;
        }
        let mut plan = Plan::default();
        if !self.plan_table(from, table, &mut plan)? {
            return Err(catalogue::no_table(table));
        }
        if let Some((name, _)) = plan.names_given.first() {
            if let Some(number) = Reader::get(self, TableId::NAMES, name)? {
                let other = catalogue::decode_number(number).map_err(|e| self.draft.fail(e))?;
                let what = format!("a table called {}, as the one that is gone back to was,", Quoted(name));
                return Err(Error::Exists(Conflict::new(other, what)));
            }
        }
        Ok(plan)
    }

    fn plan_all(&mut self, from: &ReadTxn) -> Result<Plan> {
        let mut plan = Plan::default();
        for table in self.may_differ(from)? {
            self.plan_table(from, table, &mut plan)?;
        }
        Ok(plan)
    }

    /// Returns the tables that may differ: those whose records do in the two catalogues, and those that this
    /// transaction has opened.
    fn may_differ(&self, from: &ReadTxn) -> Result<Vec<TableId>> {
        let mut tables: Vec<TableId> = self.draft.opened().collect();
        let tree = |source, root| TreeRef {
            source,
            root,
            version: 0,
        };
        let now = tree(self.draft.pages(), self.draft.base().roots.catalogue);
        let then = tree(from.source(), from.snapshot().desc().roots.catalogue);
        let trees = pair(&now, &then);
        let mut difference = TreeDifference::new(Limits::ALL, false);
        let failed = |error: Error, side| match side {
            Side::Before => self.failed(TableId::CATALOGUE, error),
            Side::After => error.in_table(TableId::CATALOGUE),
        };
        while difference.next(&trees).map_err(|e| failed(e.error, e.side))?.is_some() {
            let table = catalogue::table_of_key(difference.key());
            tables.push(table.map_err(|e| failed(e, Side::After))?);
        }
        tables.retain(|table| *table != TableId::NAMES && *table != TableId::SNAPSHOTS);
        tables.sort_unstable();
        tables.dedup();
        Ok(tables)
    }

    /// Finds out what has to be done with a table. Returns whether there is one under this number, now or then.
    fn plan_table(&mut self, from: &ReadTxn, table: TableId, plan: &mut Plan) -> Result<bool> {
        let now = match self.draft.open(table) {
            Ok(at) => Some(at),
            Err(Error::NoTable(_)) => None,
            Err(error) => return Err(error),
        };
        if table == TableId::MAIN {
            self.draft.read_main_record()?;
        }
        match (now, from.find_record(table)?) {
            (None, None) => return Ok(false),
            (Some(at), None) => {
                self.draft.check_changeable(at)?;
                self.names()?;
                plan.names_lost.push(self.draft.table(at).name.clone());
                plan.steps.push(TableStep::Drop(at));
            }
            (None, Some(record)) => {
                check_record(table, &record)?;
                self.names()?;
                plan.names_given.push((record.name.clone(), table));
                plan.steps.push(TableStep::Restore(table, record));
            }
            (Some(at), Some(record)) => {
                if self.draft.table(at).is_as(&record, &root_then(from, table, &record)) {
                    return Ok(true);
                }
                self.draft.check_changeable(at)?;
                check_record(table, &record)?;
                let open = self.draft.table(at);
                if open.name != record.name {
                    plan.names_lost.push(open.name.clone());
                    plan.names_given.push((record.name.clone(), table));
                    self.names()?;
                }
                plan.steps.push(TableStep::Change(at, record));
            }
        }
        Ok(true)
    }

    fn carry_out(&mut self, plan: Plan, from: &ReadTxn) -> Result<u64> {
        let mut changed = 0;
        for step in plan.steps {
            changed += match step {
                TableStep::Drop(at) => {
                    let removed = self.clear_counted(at)?;
                    let open = self.draft.table_mut(at);
                    (open.dropped, open.name) = (true, Vec::new());
                    removed
                }
                TableStep::Restore(table, record) => {
                    let root = record.root;
                    self.pages.note_addition();
                    self.draft.adopt(DraftTable::created(table, record));
                    self.draft.mark_changed();
                    self.revert_entries(from, table, &root)?
                }
                TableStep::Change(at, record) => {
                    let table = self.draft.table(at).tree.table;
                    let root = root_then(from, table, &record);
                    if !self.draft.table(at).is_described_as(&record) {
                        self.pages.note_addition();
                        self.draft.table_mut(at).describe_as(record);
                        self.draft.mark_changed();
                    }
                    self.revert_entries(from, table, &root)?
                }
            };
        }
        // A name that one table loses and another one gets is in both lists.
        for name in &plan.names_lost {
            let names = self.names()?;
            self.set_name(names, name, None)?;
        }
        for (name, table) in &plan.names_given {
            let names = self.names()?;
            self.set_name(names, name, Some(*table))?;
        }
        Ok(changed)
    }

    /// Deletes every entry of a table and returns how many there were.
    fn clear_counted(&mut self, at: TableIndex) -> Result<u64> {
        self.draft.flush(at, &mut self.pages)?;
        let removed = self.draft.table(at).tree.root.ptr.entries;
        if removed > 0 {
            self.draft.clear(at, &mut self.pages)?;
        }
        Ok(removed)
    }

    /// Makes the entries of a table what they were in the tree with the root `root`, and returns how many differed.
    fn revert_entries(&mut self, from: &ReadTxn, table: TableId, root: &Root) -> Result<u64> {
        let at = self.draft.open(table)?;
        if root.height == 0 {
            return self.clear_counted(at);
        }
        let mut difference = TreeDifference::new(Limits::ALL, false);
        let mut batch = Batch::default();
        let mut changed = 0;
        loop {
            batch.clear();
            let is_last = self.collect(from, table, &mut difference, &mut batch)?;
            changed += batch.edits.len() as u64;
            self.make(&batch, from, at)?;
            if is_last {
                return Ok(changed);
            }
        }
    }

    /// Collects the next edits. Returns whether no more differ.
    fn collect(
        &mut self,
        from: &ReadTxn,
        table: TableId,
        difference: &mut TreeDifference,
        batch: &mut Batch,
    ) -> Result<bool> {
        let mut from = from;
        let (now, then, is, was) = trees_of(self, &mut from, table)?;
        let trees = pair(&is, &was);
        while !batch.is_full() {
            let next = difference.next(&trees);
            let value = match next.map_err(|e| failed_on(e, (now, then), table))? {
                None => return Ok(true),
                Some(ChangeKind::Removed) => None,
                Some(_) => {
                    let values = difference.values(&trees);
                    values.map_err(|e| failed_on(e, (now, then), table))?.1
                }
            };
            batch.push(difference.key(), value)?;
        }
        Ok(false)
    }

    /// Makes the edits of a batch.
    fn make(&mut self, batch: &Batch, from: &ReadTxn, at: TableIndex) -> Result<()> {
        let mut begin = 0;
        for edit in &batch.edits {
            let (key, value) = batch.bytes[begin..edit.end].split_at(edit.key_end - begin);
            begin = edit.end;
            match edit.op {
                CollectedOp::Delete => self.draft.delete(at, key, &mut self.pages)?,
                CollectedOp::Put => {
                    self.pages.note_addition();
                    let entry = Entry {
                        key,
                        value,
                        is_greatest: false,
                    };
                    self.draft.put(at, entry, &mut self.pages)?;
                }
                CollectedOp::PutChain => self.copy_chain(from, at, (key, value))?,
            }
        }
        Ok(())
    }

    /// Puts a long value that the read transaction sees, of which no more than a piece is in memory at a time.
    fn copy_chain(&mut self, from: &ReadTxn, at: TableIndex, (key, described): (&[u8], &[u8])) -> Result<()> {
        let table = self.draft.table(at).tree.table;
        let source = from.source();
        let failed = |error| (&from).failed(table, error);
        let chain = Chain::decode(described, source.page_size()).map_err(|damage| failed(damage.at(None)))?;
        let mut value = self.writer(table, key, chain.len, PutMode::Set)?;
        for i in 0..pieces(chain.len) {
            value.write(self, chain.piece(i, &source).map_err(failed)?)?;
        }
        value.finish(self)
    }
}

/// Returns the root that a table had.
fn root_then(from: &ReadTxn, table: TableId, record: &TableRecord) -> Root {
    match table {
        TableId::MAIN => from.snapshot().desc().roots.main,
        _ => record.root,
    }
}

/// Refuses a record that cannot be right, and a table that this version could not make.
fn check_record(table: TableId, record: &TableRecord) -> Result<()> {
    if let Some(fault) = record.fault(table) {
        return Err(Error::corrupt(None, fault));
    }
    let is_known = table == TableId::MAIN || catalogue::is_named(table);
    match record.kind.is_changeable() && is_known {
        true => Ok(()),
        false => Err(Error::Unsupported(
            "the table was made by a newer version, which alone can change it",
        )),
    }
}
