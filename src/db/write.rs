//! The write transaction: puts and deletes.

use super::open_table::Open;
use super::read::{decode_number, unknown_name};
use super::reader::{Joined, Reader};
use super::types::{PutMode, Range, WriteStat};
use crate::catalogue::{self, TableRecord};
use crate::error::{Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::layout::record::{LENGTHS, REST};
use crate::page::leaf::Stored;
use crate::page::leaf_build::record_max;
use crate::page::suffix::KEEP;
use crate::page::KEY_MAX;
use crate::pager::{Durability, PageWriter};
use crate::tree::read::quick::{self, Quick};
use crate::tree::read::{lookup as search, scan};
use crate::tree::write::edits::{Op, RecordPos};
use crate::tree::write::values::{is_long, write_chain, VALUE_MAX};
use crate::txn::{Pages, TreeRef, TreeState, Writer};
use crate::util::bytes::less;
use crate::util::seeded::{self, Bug};
use std::collections::HashMap;

/// The write transaction. `Send`; dropping it without `commit` undoes everything.
pub struct WriteTxn {
    pub(crate) writer: Writer,
    pub(crate) tables: Vec<Open>,
    by_number: HashMap<TableId, usize>,
    /// The table used last.
    recent: usize,
    pub(crate) durability: Durability,
    /// Why the transaction can only be aborted.
    failed: Option<String>,
    joined: Joined,
    /// What `reserve` handed out, not written yet; whether it is an append.
    reserved: Option<(usize, Vec<u8>, Vec<u8>, bool)>,
    pub(crate) streams: super::stream::Streams,
}

impl WriteTxn {
    pub(crate) fn new(writing: PageWriter, budget: usize, durability: Durability) -> WriteTxn {
        let (writer, edits) = Writer::new(writing, budget);
        let mut main = Open::new(TableId::MAIN, writer.tip().roots.main, true);
        main.tree.edits = edits;
        WriteTxn {
            writer,
            tables: vec![main],
            by_number: HashMap::new(),
            recent: 0,
            durability,
            failed: None,
            joined: Joined::default(),
            reserved: None,
            streams: Default::default(),
        }
    }

    /// Remembers a failure that leaves the transaction unusable; passes the error on.
    #[cold]
    pub(crate) fn fail(&mut self, error: Error) -> Error {
        if error.spoils() && !seeded::on(Bug::CommitFailed) && self.failed.is_none() {
            self.failed = Some(error.to_string());
        }
        error
    }

    /// Before every call: refuses a failed transaction, writes what was reserved.
    #[inline(always)]
    pub(crate) fn ready(&mut self) -> Result<()> {
        if self.failed.is_some() || self.reserved.is_some() {
            return self.make_ready();
        }
        Ok(())
    }

    #[cold]
    fn make_ready(&mut self) -> Result<()> {
        if let Some(why) = &self.failed {
            return Err(Error::TxnFailed(why.clone()));
        }
        if let Some((at, key, value, last)) = self.reserved.take() {
            self.set(at, &key, &value, last)?;
        }
        Ok(())
    }

    /// Marks the transaction as unusable after a panic was caught in one of its calls.
    pub fn poison(&mut self) {
        self.failed.get_or_insert_with(|| "a panic was caught".into());
    }

    /// Place of `table` among the open ones.
    #[inline(always)]
    pub(crate) fn open(&mut self, table: TableId) -> Result<usize> {
        if self.tables[self.recent].tree.table == table && !self.tables[self.recent].dropped {
            return Ok(self.recent);
        }
        self.open_other(table)
    }

    fn open_other(&mut self, table: TableId) -> Result<usize> {
        let at = match self.by_number.get(&table) {
            _ if table == TableId::MAIN => 0,
            Some(at) => *at,
            None => {
                let catalogue = self.writer.tip().roots.catalogue;
                let found = catalogue::find(&self.writer.pages(), &catalogue, table)?
                    .map(TableRecord::decode)
                    .transpose()?;
                let existed = found.is_some();
                let record = match found {
                    Some(record) => record,
                    None if table == TableId::NAMES => TableRecord::default(),
                    None => return Err(catalogue::no_table(table)),
                };
                let mut open = Open::new(table, record.root, existed);
                (open.name, open.note) = (record.name, record.note);
                self.adopt(open)
            }
        };
        if self.tables[at].dropped {
            return Err(catalogue::no_table(table));
        }
        self.recent = at;
        Ok(at)
    }

    pub(crate) fn adopt(&mut self, open: Open) -> usize {
        self.by_number.insert(open.tree.table, self.tables.len());
        self.tables.push(open);
        self.tables.len() - 1
    }

    /// Place of a table that the user may change.
    #[inline(always)]
    pub(crate) fn open_to_write(&mut self, table: TableId) -> Result<usize> {
        self.ready()?;
        if table == TableId::NAMES {
            return Err(Error::ReadOnly(
                "the list of tables changes by creating, renaming and dropping them",
            ));
        }
        self.open(table)
    }

    /// The last edit of `key` that is not in the tree yet.
    #[inline(always)]
    fn pending(&mut self, at: usize, key: &[u8]) -> Result<Option<RecordPos>> {
        self.tables[at].tree.edits.get(key)
    }

    /// What is stored under `key`: `pending` or in the tree.
    fn stored_at(&self, at: usize, pending: Option<RecordPos>, key: &[u8]) -> Result<Option<Stored<'_>>> {
        let tree = &self.tables[at].tree;
        match pending.map(|p| tree.edits.op(p)) {
            Some(Op::Put(value)) => Ok(Some(value)),
            Some(Op::Delete) => Ok(None),
            None => {
                let pages = self.writer.pages();
                match quick::get(&pages, pages.leaf_hints, &tree.root, key) {
                    Quick::Value(value) => Ok(Some(Stored::Inline(value))),
                    Quick::Missing => Ok(None),
                    Quick::Unknown => search::get(&pages, &tree.root, key).map_err(|e| e.in_table(tree.table)),
                }
            }
        }
    }

    fn exists(&mut self, at: usize, key: &[u8]) -> Result<bool> {
        let pending = self.pending(at, key)?;
        if pending.is_none() {
            let pages = self.writer.pages();
            match quick::contains(&pages, pages.leaf_hints, &self.tables[at].tree.root, key) {
                Quick::Value(_) => return Ok(true),
                Quick::Missing => return Ok(false),
                Quick::Unknown => {}
            }
        }
        Ok(self.stored_at(at, pending, key)?.is_some())
    }

    /// Refuses what `mode` forbids.
    #[inline(always)]
    pub(crate) fn check_mode(&mut self, at: usize, key: &[u8], mode: PutMode) -> Result<()> {
        if key.len() > KEY_MAX {
            return Err(Error::TooBig {
                what: "key",
                size: key.len() as u64,
                limit: KEY_MAX as u64,
            });
        }
        match mode {
            PutMode::Set => Ok(()),
            PutMode::Append => self.check_append(at, key),
            PutMode::NoOverwrite | PutMode::NoInsert => self.check_present(at, key, mode),
        }
    }

    #[inline(never)]
    fn check_present(&mut self, at: usize, key: &[u8], mode: PutMode) -> Result<()> {
        match (self.exists(at, key)?, mode) {
            (true, PutMode::NoOverwrite) => Err(Error::Exists),
            (false, PutMode::NoInsert) => Err(Error::NotFound),
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn check_append(&mut self, at: usize, key: &[u8]) -> Result<()> {
        let open = &self.tables[at];
        match open.tree.edits.log().last_key() {
            Some(last) if open.appending && less(last, key) => Ok(()),
            Some(_) if open.appending => Err(Error::Order),
            _ => self.check_last(at, key),
        }
    }

    /// Compares an append with the last key of the tree.
    #[cold]
    fn check_last(&mut self, at: usize, key: &[u8]) -> Result<()> {
        self.flush(at)?;
        let open = &self.tables[at];
        let last = scan::last_key(&self.writer.pages(), &open.tree.root);
        match last.map_err(|e| e.in_table(open.tree.table))? {
            Some(last) if key <= last.as_slice() => Err(Error::Order),
            _ => Ok(()),
        }
    }

    /// Puts a value, wherever it will be kept. `last`: its key is greater than every other of the table.
    #[inline(always)]
    fn set(&mut self, at: usize, key: &[u8], value: &[u8], last: bool) -> Result<()> {
        match is_inline(key, value.len(), self.writer.page_size()) {
            true => self.push(at, key, Op::Put(Stored::Inline(value)), last),
            false => self.set_long(at, key, value, last),
        }
    }

    /// Puts a value that does not stay in the leaf.
    #[inline(never)]
    fn set_long(&mut self, at: usize, key: &[u8], value: &[u8], last: bool) -> Result<()> {
        if value.len() as u64 > VALUE_MAX {
            return Err(Error::TooBig {
                what: "value",
                size: value.len() as u64,
                limit: VALUE_MAX,
            });
        }
        let written = write_chain(value, self.writer.page_size(), self.writer.place());
        let chain = written.map_err(|e| self.fail(e))?;
        self.push(at, key, Op::Put(Stored::Chain(&chain)), last)
    }

    /// Records an edit, and applies what has collected if the budget is used up. `last` as for `set`.
    #[inline(always)]
    pub(crate) fn push(&mut self, at: usize, key: &[u8], op: Op<'_>, last: bool) -> Result<()> {
        let open = &mut self.tables[at];
        open.appending = last;
        if let Err(error) = self.writer.push(&mut open.tree, key, op, last) {
            return Err(self.fail(error));
        }
        // Not before: what was pushed may have been bytes of a joined value.
        self.joined.clear();
        let kept = self.writer.keep_budget(&mut open.tree);
        kept.map_err(|e| self.fail(e))
    }

    /// Applies the edits of a table to its tree.
    pub(crate) fn flush(&mut self, at: usize) -> Result<()> {
        let flushed = self.writer.flush(&mut self.tables[at].tree);
        flushed.map_err(|e| self.fail(e))
    }

    /// Puts an entry.
    ///
    /// # Errors
    /// `Exists`, `NotFound`, `Order` (see [`PutMode`]); `TooBig`; `NoTable`; `ReadOnly` (the list of tables); `Io`,
    /// `NoSpace`, `Corrupt`: then only aborting is left.
    #[inline(always)]
    pub fn put(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Result<()> {
        let short = mode == PutMode::Append && self.follows(table, key);
        if short && is_inline(key, value.len(), self.writer.page_size()) {
            return self.push(self.recent, key, Op::Put(Stored::Inline(value)), true);
        }
        self.put_far(table, key, value, mode)
    }

    /// What is not the short way of one of many appends.
    #[inline(never)]
    fn put_far(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Result<()> {
        let at = self.open_to_write(table)?;
        self.check_mode(at, key, mode)?;
        assert!(!seeded::on(Bug::PanicInPut), "seeded");
        self.set(at, key, value, mode == PutMode::Append)
    }

    /// Whether an append of `key` comes right behind another one. (The list of tables and dropped ones have none.)
    #[inline(always)]
    fn follows(&self, table: TableId, key: &[u8]) -> bool {
        let open = &self.tables[self.recent];
        let ready = self.failed.is_none() && self.reserved.is_none();
        let last = open.tree.edits.log().last_key();
        ready
            && open.appending
            && open.tree.table == table
            && key.len() <= KEY_MAX
            && last.is_some_and(|last| less(last, key))
    }

    /// Puts an entry if absent; else answers the existing value and changes nothing.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn insert(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<Option<&[u8]>> {
        let at = self.open_to_write(table)?;
        let pending = self.pending(at, key)?;
        if self.stored_at(at, pending, key)?.is_none() {
            self.put(table, key, value, PutMode::Set)?;
            return Ok(None);
        }
        self.writer.lend();
        self.value_at(at, pending, key)
    }

    /// The value found as `stored_at` finds it.
    fn value_at(&self, at: usize, pending: Option<RecordPos>, key: &[u8]) -> Result<Option<&[u8]>> {
        match self.stored_at(at, pending, key)? {
            Some(stored) => self.resolve(stored).map(Some),
            None => Ok(None),
        }
    }

    /// Puts an entry and answers the value it replaces. Modes as in `put`.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn replace(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Result<Option<&[u8]>> {
        let at = self.open_to_write(table)?;
        let old = self.copy_out(at, key)?;
        self.put(table, key, value, mode)?;
        Ok(self.hand_out(old))
    }

    /// A copy of a value that is about to go.
    fn copy_out(&mut self, at: usize, key: &[u8]) -> Result<Option<Box<[u8]>>> {
        let pending = self.pending(at, key)?;
        self.value_at(at, pending, key)?.map(copy).transpose()
    }

    /// Keeps a copy until the next write and lends it.
    fn hand_out(&mut self, copy: Option<Box<[u8]>>) -> Option<&[u8]> {
        self.writer.lend();
        copy.map(|bytes| self.joined.keep(bytes))
    }

    /// Puts an entry of `len` zero bytes and returns them to be filled before the next call.
    ///
    /// # Errors
    /// As [`WriteTxn::put`]; `NoMemory`.
    pub fn reserve(&mut self, table: TableId, key: &[u8], len: usize, mode: PutMode) -> Result<&mut [u8]> {
        let at = self.open_to_write(table)?;
        self.check_mode(at, key, mode)?;
        let mut zeros = Vec::new();
        zeros
            .try_reserve_exact(len)
            .map_err(|_| Error::NoMemory("a reserved value"))?;
        zeros.resize(len, 0);
        // Kept aside until the next call: an edit may be applied (and its log given up) at once.
        self.reserved = Some((at, key.to_vec(), zeros, mode == PutMode::Append));
        match &mut self.reserved {
            Some((_, _, value, _)) => Ok(value),
            None => Ok(&mut []),
        }
    }

    /// Deletes an entry; whether it existed.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn delete(&mut self, table: TableId, key: &[u8]) -> Result<bool> {
        let at = self.open_to_write(table)?;
        if !self.exists(at, key)? {
            return Ok(false);
        }
        self.push(at, key, Op::Delete, false)?;
        Ok(true)
    }

    /// Deletes an entry without asking whether it exists.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn delete_blind(&mut self, table: TableId, key: &[u8]) -> Result<()> {
        let at = self.open_to_write(table)?;
        if key.len() > KEY_MAX {
            return Ok(());
        }
        self.push(at, key, Op::Delete, false)
    }

    /// Deletes an entry and answers its value.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn take(&mut self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>> {
        let at = self.open_to_write(table)?;
        let Some(old) = self.copy_out(at, key)? else {
            return Ok(None);
        };
        self.delete_blind(table, key)?;
        Ok(self.hand_out(Some(old)))
    }

    /// Deletes the first entry of `range` (the last if reverse) and answers it.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn take_first(&mut self, table: TableId, range: &Range<'_>) -> Result<Option<(&[u8], &[u8])>> {
        self.open_to_write(table)?;
        let mut cursor = super::Cursor::new(self, table, range)?;
        if !cursor.first(self)? {
            return Ok(None);
        }
        let value = copy(cursor.value(self)?)?;
        let key = copy(cursor.key())?;
        self.delete_blind(table, &key)?;
        self.writer.lend();
        Ok(Some((self.joined.keep(key), self.joined.keep(value))))
    }

    /// Deletes every entry of `range`, O(pages); how many there were.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn delete_range(&mut self, table: TableId, range: &Range<'_>) -> Result<u64> {
        let at = self.open_to_write(table)?;
        let (from, to) = range.limits().half_open();
        let none = |from: &Vec<u8>| to.as_ref().is_some_and(|to| to <= from);
        if from.as_ref().map_or(to.as_ref().is_some_and(|to| to.is_empty()), none) {
            return Ok(0);
        }
        self.tables[at].appending = false;
        self.joined.clear();
        let removed = self
            .writer
            .remove_range(&mut self.tables[at].tree, from.as_deref(), to.as_deref());
        removed.map_err(|e| self.fail(e))
    }

    /// Edits collected and pages private so far.
    pub fn stat(&self) -> WriteStat {
        let (bytes, private_pages) = self.writer.stat();
        let edits = self.tables.iter().map(|t| t.tree.edits.log().len() as u64).sum();
        WriteStat {
            edits,
            bytes,
            private_pages,
        }
    }

    /// Commits; the commit id. A transaction that changed nothing answers the id it was built on.
    ///
    /// # Errors
    /// `NoSpace`, `Io`, `Corrupt`: nothing happened. `InDoubt`, `Poisoned`: see [`Error`]. `TxnFailed`.
    pub fn commit(self) -> Result<CommitId> {
        self.finish(true)
    }

    /// Commits without waiting: the answer is the number to wait for with [`super::Db::wait_durable`]. A full commit is
    /// seen by nobody before it is durable; a lazy one is visible at once, as always.
    ///
    /// # Errors
    /// As [`WriteTxn::commit`].
    pub fn commit_async(self) -> Result<CommitId> {
        self.finish(false)
    }

    fn finish(mut self, wait: bool) -> Result<CommitId> {
        self.ready()?;
        if !self.streams.is_empty() {
            self.streams.cancel(self.writer.place());
        }
        if !self.writer.is_changed() {
            return Ok(self.writer.tip().id);
        }
        for open in self.tables.iter_mut().filter(|t| !t.dropped) {
            self.writer.flush_last(&mut open.tree)?;
        }
        let mut catalogue = TreeState::new(TableId::CATALOGUE, self.writer.tip().roots.catalogue);
        // The catalogue changes with any table but the default one.
        let names = self
            .tables
            .iter()
            .any(|t| t.tree.table != TableId::MAIN && t.is_changed());
        let more = if names { 2 + u64::from(catalogue.root.height) } else { 0 };
        self.writer.begin_placing(more, self.durability)?;
        for open in self.tables.iter_mut().filter(|t| !t.dropped) {
            self.writer.place_tree(&mut open.tree)?;
        }
        for open in self
            .tables
            .iter()
            .filter(|t| t.tree.table != TableId::MAIN && t.is_changed())
        {
            let key = catalogue::record_key(open.tree.table);
            if open.dropped {
                self.writer.push(&mut catalogue, &key, Op::Delete, false)?;
            } else {
                let record = TableRecord {
                    root: open.tree.root,
                    name: open.name.clone(),
                    note: open.note.clone(),
                };
                let op = Op::Put(Stored::Inline(&record.encode()));
                self.writer.push(&mut catalogue, &key, op, false)?;
            }
        }
        self.writer.flush_last(&mut catalogue)?;
        self.writer.place_tree(&mut catalogue)?;
        let main = self.tables.swap_remove(0).tree;
        self.writer.commit(main, catalogue.root, self.durability, wait)
    }
}

/// A copy of bytes that may be many.
fn copy(bytes: &[u8]) -> Result<Box<[u8]>> {
    let mut copy = Vec::new();
    copy.try_reserve_exact(bytes.len())
        .map_err(|_| Error::NoMemory("a copy of a value"))?;
    copy.extend_from_slice(bytes);
    Ok(copy.into_boxed_slice())
}

/// Whether a value of `len` bytes stays in the leaf beside `key`.
pub(crate) fn is_inline(key: &[u8], len: usize, page_size: usize) -> bool {
    let kept = if is_long(key, page_size) {
        KEEP + REST
    } else {
        key.len()
    };
    LENGTHS + kept + len <= record_max(page_size)
}

impl Reader for WriteTxn {
    fn id(&self) -> CommitId {
        self.writer.tip().id
    }

    fn table(&mut self, name: &[u8]) -> Result<TableId> {
        match Reader::get(self, TableId::NAMES, name)? {
            Some(number) => decode_number(number),
            None => Err(unknown_name(name)),
        }
    }

    fn table_note(&mut self, table: TableId) -> Result<Vec<u8>> {
        self.ready()?;
        let at = self.open(table)?;
        Ok(self.tables[at].note.clone())
    }

    fn settle(&mut self, table: TableId) -> Result<()> {
        self.ready()?;
        let at = self.open(table)?;
        self.flush(at)?;
        self.writer.lend();
        Ok(())
    }

    fn tree_now(&self, table: TableId) -> Result<TreeRef<'_>> {
        let recent = &self.tables[self.recent];
        let open = if recent.tree.table == table {
            Some(recent)
        } else {
            self.by_number.get(&table).map(|at| &self.tables[*at])
        };
        let open = open.filter(|o| !o.dropped).ok_or_else(|| catalogue::no_table(table))?;
        Ok(TreeRef {
            source: self.writer.pages(),
            root: open.tree.root,
            version: self.writer.version(),
        })
    }

    fn stored(&mut self, table: TableId, key: &[u8]) -> Result<Option<Stored<'_>>> {
        self.ready()?;
        let at = self.open(table)?;
        let pending = self.pending(at, key)?;
        self.stored_at(at, pending, key)
    }

    fn resolve<'a>(&'a self, stored: Stored<'a>) -> Result<&'a [u8]> {
        self.joined.resolve(stored, &self.writer.pages())
    }

    fn pages(&self) -> Pages<'_> {
        self.writer.pages()
    }

    fn get(&mut self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>> {
        self.ready()?;
        let at = self.open(table)?;
        let pending = self.pending(at, key)?;
        self.writer.lend();
        self.value_at(at, pending, key).map_err(|e| e.in_table(table))
    }
}
