//! The read transaction, which sees one snapshot.

use super::reader::{Reader, Trees};
use crate::catalogue::{self, TableRecord};
use crate::error::{Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::hint::leaf::LeafHints;
use crate::page::leaf::Stored;
use crate::page::{Root, Roots};
use crate::pager::Snapshot;
use crate::tree::read::cursor::TreeCursor;
use crate::tree::read::lookup;
use crate::txn::{Pages, PinnedBytes, SnapshotSource, TreeRef};
use std::sync::OnceLock;

/// The number of tables, besides the first, whose roots a snapshot keeps once they are found. The roots of further
/// tables are looked up each time.
const CACHED: usize = 8;

/// The roots that were found. The first is stored in the transaction itself, and others in a box: most transactions
/// look at one table, and a small transaction is cheap to begin.
#[derive(Default)]
struct FoundRoots {
    first: OnceLock<(TableId, Root)>,
    more: OnceLock<Box<More>>,
}

type More = [OnceLock<(TableId, Root)>; CACHED];

impl FoundRoots {
    #[inline(always)]
    fn get(&self, table: TableId) -> Option<&Root> {
        match self.first.get() {
            Some((number, root)) if *number == table => Some(root),
            Some(_) => self.other(table),
            None => None,
        }
    }

    fn other(&self, table: TableId) -> Option<&Root> {
        let mut found = self.more.get()?.iter().map_while(OnceLock::get);
        found.find(|(number, _)| *number == table).map(|(_, root)| root)
    }

    /// Keeps a root if there is room. If two threads find the same root at once, it is kept twice.
    fn keep(&self, table: TableId, root: Root) {
        if self.first.set((table, root)).is_err() {
            let more = self.more.get_or_init(Box::default);
            let _ = more.iter().find(|found| found.set((table, root)).is_ok());
        }
    }
}

/// A read transaction. Until it is dropped, it sees one commit, the newest one at the time when it began.
///
/// A read transaction is `Send` and `Sync`: threads may share it, and may read through it at the same time. Slices that
/// it returns live as long as the transaction. Pages that died since it began cannot be reused while it lasts, so a
/// transaction that never ends makes the file grow; [`Db::readers`](super::Db::readers) tells who holds old commits.
///
/// # Examples
///
/// ```
/// use kv::{Db, Options, PutMode, TableId, WriteOptions};
///
/// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
/// let before = db.begin_read()?;
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// txn.put(TableId::MAIN, b"key", b"value", PutMode::Set)?;
/// let id = txn.commit()?;
///
/// assert_eq!(before.get(TableId::MAIN, b"key")?, None);
/// let mut after = db.begin_read()?;
/// assert_eq!((after.id(), after.get(TableId::MAIN, b"key")?), (id, Some(&b"value"[..])));
/// after.refresh()?; // Nothing is newer yet.
/// # Ok::<(), kv::Error>(())
/// ```
pub struct ReadTxn {
    snapshot: Snapshot,
    roots: FoundRoots,
    pinned: PinnedBytes,
    leaf_hints: LeafHints,
    /// The id of the commit as [`TreeRef::version`].
    version: u64,
}

impl std::fmt::Debug for ReadTxn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadTxn")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

impl Drop for ReadTxn {
    #[inline]
    fn drop(&mut self) {
        // Later transactions begin with what this one has learned. Otherwise one that does a single lookup would never
        // have any leaf hints.
        self.leaf_hints.tell(self.snapshot.pager().leaf_hints());
    }
}

impl ReadTxn {
    #[inline(always)]
    pub(crate) fn new(snapshot: Snapshot) -> ReadTxn {
        ReadTxn {
            leaf_hints: LeafHints::of(snapshot.pager().leaf_hints()),
            version: snapshot.desc().id.get(),
            snapshot,
            roots: FoundRoots::default(),
            pinned: PinnedBytes::default(),
        }
    }

    /// Returns the id of the commit that is read.
    #[inline]
    pub fn id(&self) -> CommitId {
        self.snapshot.desc().id
    }

    /// Returns the pager's snapshot.
    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    #[inline(always)]
    pub(crate) fn source(&self) -> Pages<'_> {
        Pages {
            view: self.snapshot.view(),
            arena: None,
            leaf_hints: &self.leaf_hints,
        }
    }

    /// Returns the source that a single lookup reads through; see [`SnapshotSource`].
    #[inline(always)]
    fn lookup_source(&self) -> SnapshotSource<'_> {
        SnapshotSource {
            view: self.snapshot.view_ref(),
            leaf_hints: &self.leaf_hints,
        }
    }

    /// Returns the [`TreeRef::version`] of all trees of this transaction.
    #[inline(always)]
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    #[inline(always)]
    fn root(&self, table: TableId) -> Result<Root> {
        if table == TableId::MAIN {
            return Ok(self.snapshot.desc().roots.main);
        }
        self.named_root(table)
    }

    fn named_root(&self, table: TableId) -> Result<Root> {
        if table == TableId::SNAPSHOTS {
            return match self.snapshot.is_older() {
                true => Err(catalogue::no_list_in_snapshots()),
                false => Ok(self.snapshot.desc().roots.snapshots),
            };
        }
        if let Some(root) = self.roots.get(table) {
            return Ok(*root);
        }
        let found = catalogue::root_of(&self.source(), &self.snapshot.desc().roots.catalogue, table);
        let root = found.map_err(|error| match error {
            Error::NoTable(_) => catalogue::no_table_in(self.id(), table, self.snapshot.is_older()),
            other => other,
        })?;
        self.roots.keep(table, root);
        Ok(root)
    }

    /// Returns what the catalogue says of a table. The main table and the list of names may have no record; nothing
    /// is said of them then.
    fn record(&self, table: TableId) -> Result<TableRecord> {
        let found = self.find_record(table)?;
        found.ok_or_else(|| catalogue::no_table_in(self.id(), table, self.snapshot.is_older()))
    }

    /// Does as [`ReadTxn::record`], but returns `None` if there is no such table.
    pub(super) fn find_record(&self, table: TableId) -> Result<Option<TableRecord>> {
        match catalogue::find(&self.source(), &self.snapshot.desc().roots.catalogue, table)? {
            Some(record) => TableRecord::decode(record).map(Some),
            None if table <= TableId::NAMES => Ok(Some(TableRecord::default())),
            None => Ok(None),
        }
    }

    /// Returns the value of `key`, or `None` if there is no such entry. Unlike that of [`Reader::get`], the result
    /// lives as long as the transaction.
    ///
    /// # Errors
    /// `NoTable`, `Corrupt`, `Io`.
    #[inline(always)]
    pub fn get(&self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>> {
        let Some(root) = self.known_root(table) else {
            let found = self.get_in_new_table(table, key)?;
            return Ok(found);
        };
        let found = match lookup::get(&self.lookup_source(), root, key) {
            Ok(Some(Stored::Inline(value))) => Some(value),
            Ok(None) => None,
            other => self.resolve_found(table, other)?,
        };
        Ok(found)
    }

    /// Returns the root of a table if it is known without a lookup.
    #[inline(always)]
    fn known_root(&self, table: TableId) -> Option<&Root> {
        match table {
            TableId::MAIN => Some(&self.snapshot.desc().roots.main),
            table => self.roots.get(table),
        }
    }

    /// Does the first lookup in a table, whose root has to be found.
    #[inline(never)]
    fn get_in_new_table(&self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>> {
        let root = self.named_root(table)?;
        self.resolve_found(table, lookup::get(&self.source(), &root, key))
    }

    /// Returns the bytes of what a lookup found, wherever they are. It is not inlined, because most values lie in their
    /// leaf.
    #[inline(never)]
    fn resolve_found<'a>(&'a self, table: TableId, found: Result<Option<Stored<'a>>>) -> Result<Option<&'a [u8]>> {
        let resolve = |stored| self.pinned.resolve(stored, &self.source());
        let resolved = found.and_then(|found| found.map(resolve).transpose());
        resolved.map_err(|e| self.in_table(e, table))
    }

    /// Names the table in an error about damage in its tree.
    #[cold]
    #[inline(never)]
    fn in_table(&self, error: Error, table: TableId) -> Error {
        self.with_table_name(error.in_table(table))
    }

    /// Adds the name of the table to an error about damage that has its number alone.
    #[cold]
    pub(crate) fn with_table_name(&self, error: Error) -> Error {
        // The catalogue may be damaged as well, and then the number is all that can be said.
        match error.unnamed_table().and_then(|table| self.record(table).ok()) {
            Some(record) => error.in_table_called(&record.name),
            None => error,
        }
    }

    /// Moves to the newest commit. Slices that were returned before cannot be used any more, which the borrow checker
    /// enforces.
    ///
    /// # Errors
    /// `Poisoned`; `Forked`; `Limit`: the file has outgrown the address range that was reserved for it. After an error
    /// the transaction is as usable as before, at its commit or at one that was made during the call.
    pub fn refresh(&mut self) -> Result<()> {
        let before = self.id();
        let moved = self.snapshot.refresh();
        // What was remembered of a commit is forgotten with it, also if the move to another ended in an error.
        if self.id() != before || matches!(moved, Ok(true)) {
            self.roots = FoundRoots::default();
            self.version = self.id().get();
        }
        self.pinned.clear();
        moved.map(|_| ())
    }
}

impl Trees for &ReadTxn {
    fn flush(&mut self, _table: TableId) -> Result<()> {
        Ok(())
    }

    fn tree_now(&self, table: TableId) -> Result<TreeRef<'_>> {
        Ok(TreeRef {
            source: self.source(),
            root: self.root(table)?,
            version: self.version(),
        })
    }

    fn stored(&mut self, table: TableId, key: &[u8]) -> Result<Option<Stored<'_>>> {
        let root = self.root(table)?;
        lookup::get(&self.source(), &root, key).map_err(|e| self.in_table(e, table))
    }

    #[inline(always)]
    fn value_in_leaf(&self, position: &TreeCursor) -> Option<&[u8]> {
        position.value_in_leaf(&self.source(), self.version())
    }

    fn resolve<'a>(&'a self, stored: Stored<'a>) -> Result<&'a [u8]> {
        self.pinned.resolve(stored, &self.source())
    }

    fn pages(&self) -> Pages<'_> {
        self.source()
    }

    fn committed_roots(&self) -> Option<Roots> {
        Some(self.snapshot.desc().roots)
    }

    fn failed(&self, table: TableId, error: Error) -> Error {
        self.in_table(error, table)
    }
}

impl Reader for &ReadTxn {
    fn id(&self) -> CommitId {
        self.snapshot.desc().id
    }

    fn table(&mut self, name: &[u8]) -> Result<TableId> {
        match ReadTxn::get(self, TableId::NAMES, name)? {
            Some(number) => catalogue::decode_number(number),
            None => Err(catalogue::unknown_name_in(self.id(), name)),
        }
    }

    fn table_name(&mut self, table: TableId) -> Result<Vec<u8>> {
        Ok(self.record(table)?.name)
    }

    fn table_note(&mut self, table: TableId) -> Result<Vec<u8>> {
        Ok(self.record(table)?.note)
    }

    fn contains(&mut self, table: TableId, key: &[u8]) -> Result<bool> {
        let root = self.root(table)?;
        lookup::contains(&self.lookup_source(), &root, key).map_err(|e| self.in_table(e, table))
    }

    fn get(&mut self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>> {
        ReadTxn::get(self, table, key)
    }
}
