//! The calls that read and write transactions have in common.

use super::types::{ChangedRange, FileRange, LevelStat, Range, SnapshotInfo, TableStat, ValueInfo, ValuePiece};
use crate::catalogue::policy::{self, POLICY};
use crate::catalogue::Retention;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, TableId};
use crate::page::chain::Chain;
use crate::page::leaf::Stored;
use crate::page::PageSource;
use crate::page::{Prefetch, Roots};
use crate::tree::read::changed::changed_ranges;
use crate::tree::read::cursor::TreeCursor;
use crate::tree::read::get_many::{get_few, IN_FLIGHT};
use crate::tree::read::{count, stat};
use crate::txn::{Pages, TreeRef};

/// The trees behind a transaction, on which [`Reader`] is built.
pub trait Trees {
    /// Applies to the tree of `table` what this transaction wrote, so that [`Trees::tree_now`] shows it.
    fn flush(&mut self, table: TableId) -> Result<()>;

    /// Returns the tree of `table` as it is now.
    fn tree_now(&self, table: TableId) -> Result<TreeRef<'_>>;

    /// Returns the tree of `table` with everything that this transaction wrote, as cursors and counts read it.
    fn tree(&mut self, table: TableId) -> Result<TreeRef<'_>> {
        self.flush(table)?;
        self.tree_now(table)
    }

    /// Returns what is stored under `key`, including the transaction's own writes, without applying them to the tree.
    fn stored(&mut self, table: TableId, key: &[u8]) -> Result<Option<Stored<'_>>>;

    /// Returns the value of the entry on which the cursor stands, if it lies in its leaf and the cursor has seen the
    /// leaf as it is now; `None` otherwise. Only read transactions answer: their leaves stay as they are.
    #[inline(always)]
    fn value_in_leaf(&self, position: &TreeCursor) -> Option<&[u8]> {
        let _ = position;
        None
    }

    /// Returns the bytes of a stored value.
    fn resolve<'a>(&'a self, stored: Stored<'a>) -> Result<&'a [u8]>;

    /// Returns a source of the pages that this transaction sees.
    fn pages(&self) -> Pages<'_>;

    /// Returns the roots of the commit that is read. A write transaction has none, because its trees change.
    fn committed_roots(&self) -> Option<Roots> {
        None
    }

    /// Names the table in an error that occurred in its tree. A write transaction remembers an error that leaves it
    /// unusable.
    fn failed(&self, table: TableId, error: Error) -> Error {
        error.in_table(table)
    }
}

/// The calls that read and write transactions have in common.
///
/// Slices live until the transaction ends or, in a write transaction, until its next write. Every call that names a
/// table may return `NoTable`; `Corrupt` or `Io` if the file is damaged; `NoMemory`; and `TxnFailed` in a write
/// transaction that has failed.
///
/// # Examples
///
/// This function counts the keys of a prefix, in either kind of transaction:
///
/// ```
/// use kv::{Db, Options, Range, Reader, TableId};
///
/// fn users(txn: &mut impl Reader) -> kv::Result<u64> {
///     let range = Range { prefix: Some(b"user:"), ..Range::default() };
///     txn.count(TableId::MAIN, &range)
/// }
///
/// let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
/// assert_eq!(users(&mut &db.begin_read()?)?, 0);
/// # Ok::<(), kv::Error>(())
/// ```
pub trait Reader: Trees {
    /// Returns the id of the commit that is read or, in a write transaction, of the commit that it builds on.
    fn id(&self) -> CommitId;

    /// Returns the number of the table called `name`.
    ///
    /// # Errors
    /// `NoTable`: there is no such table.
    fn table(&mut self, name: &[u8]) -> Result<TableId>;

    /// Returns the name of a table, which is empty for the main table and for the list of names.
    fn table_name(&mut self, table: TableId) -> Result<Vec<u8>>;

    /// Returns the note attached to a table, which is empty if there is none.
    fn table_note(&mut self, table: TableId) -> Result<Vec<u8>>;

    /// Returns what is recorded of a snapshot. In a write transaction, one that this transaction has created of itself
    /// has no figures before the commit.
    ///
    /// # Errors
    /// `NotFound`: there is no such snapshot; `NoTable`: the transaction itself reads a snapshot, of which the list of
    /// snapshots is no part; `Invalid`, `TooBig`: no snapshot can have this name.
    fn snapshot(&mut self, name: &[u8]) -> Result<SnapshotInfo> {
        SnapshotInfo::check_name(name)?;
        let info = self.get(TableId::SNAPSHOTS, name)?.map(SnapshotInfo::decode);
        info.ok_or(Error::NotFound)?
            .map_err(|e| self.failed(TableId::SNAPSHOTS, e))
    }

    /// Returns the note of a snapshot. It lives as long as a value that [`Reader::get`] returns.
    ///
    /// # Errors
    /// Those of [`Reader::snapshot`].
    fn snapshot_note(&mut self, name: &[u8]) -> Result<&[u8]> {
        let len = self.snapshot(name)?.note.len();
        let stored = self.get(TableId::SNAPSHOTS, name)?.unwrap_or_default();
        Ok(&stored[stored.len().saturating_sub(len)..])
    }

    /// Gives the ranges of keys of a table, within `range`, in which something may have changed since the commit of a
    /// snapshot or mark to `f`, in ascending order, whatever the direction of `range`. No two of them touch. Outside of
    /// them keys and values are what they were. `f` returns whether it wants more. Nothing is read but branches that
    /// were written since, so this takes a small part of the time of a [`Difference`](super::Difference), and needs
    /// nothing of the former state.
    ///
    /// The ranges are as wide as the leaves of the tree that were written since. In a table that has no entries now, or
    /// was created since, it is all of `range`. A table that was dropped since has none: the ranges of
    /// [`TableId::NAMES`] tell between which names tables may have come, gone, or been renamed.
    ///
    /// # Errors
    /// Those of [`Reader::snapshot`]; `NoTable`: the transaction does not have the table.
    fn snapshot_ranges(
        &mut self,
        name: &[u8],
        table: TableId,
        range: &Range<'_>,
        f: &mut dyn FnMut(&ChangedRange<'_>) -> bool,
    ) -> Result<()> {
        let since = self.snapshot(name)?.commit;
        let limits = range.limits()?;
        self.flush(table)?;
        let tree = self.tree_now(table)?;
        let walked = changed_ranges(&tree.source, &tree.root, since, &limits, |low, high| {
            Ok(f(&ChangedRange { low, high }))
        });
        walked.map_err(|e| self.failed(table, e))
    }

    /// Returns the policy of the file, by which commits record snapshots by themselves, or `None` if it has none.
    ///
    /// # Errors
    /// `TooNew`: a later version has set it, which alone follows it; `NoTable`: the transaction itself reads a
    /// snapshot.
    fn history(&mut self) -> Result<Option<Retention>> {
        let policy = self.get(TableId::SNAPSHOTS, POLICY)?.map(policy::decode).transpose();
        match policy.map_err(|e| self.failed(TableId::SNAPSHOTS, e))? {
            None => Ok(None),
            Some(Some(policy)) => Ok(Some(policy)),
            Some(None) => Err(Error::TooNew(
                "a later version has set the policy of the file; set another one, or take it away".into(),
            )),
        }
    }

    /// Returns the value of `key`, or `None` if there is no such entry.
    fn get(&mut self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>>;

    /// Returns whether there is an entry with this key. A long value is not touched.
    fn contains(&mut self, table: TableId, key: &[u8]) -> Result<bool> {
        Ok(self.stored(table, key)?.is_some())
    }

    /// Looks many keys up and appends their values to `out`, in the order of the keys. The lookups are interleaved, so
    /// that memory is waited for once and not once per key.
    fn get_many<'a>(&'a mut self, table: TableId, keys: &[&[u8]], out: &mut Vec<Option<&'a [u8]>>) -> Result<()> {
        out.try_reserve(keys.len())
            .map_err(|_| self.failed(table, Error::NoMemory("the answers to many keys")))?;
        self.get_each(table, keys, &mut |value| out.push(value))
    }

    /// Looks many keys up, as [`Reader::get_many`] does, but gives each value to `give`. If an error occurs, `give` has
    /// got the values of only the first keys.
    fn get_each<'a>(
        &'a mut self,
        table: TableId,
        keys: &[&[u8]],
        give: &mut dyn FnMut(Option<&'a [u8]>),
    ) -> Result<()> {
        self.flush(table)?;
        let this: &'a Self = self;
        let tree = this.tree_now(table)?;
        for keys in keys.chunks(IN_FLIGHT) {
            let give = |stored: Option<Stored<'a>>| {
                give(match stored {
                    Some(Stored::Inline(value)) => Some(value),
                    Some(chain) => Some(this.resolve(chain)?),
                    None => None,
                });
                Ok(())
            };
            let done = get_few(&tree.source, &tree.root, keys, give);
            done.map_err(|e| this.failed(table, e))?;
        }
        Ok(())
    }

    /// Returns the length of a value and where it lies, without touching it, or `None` if there is no such entry.
    fn value_info(&mut self, table: TableId, key: &[u8]) -> Result<Option<ValueInfo>> {
        let size = self.pages().page_size();
        let description = match self.stored(table, key)? {
            None => return Ok(None),
            Some(Stored::Inline(b)) => {
                return Ok(Some(ValueInfo {
                    len: b.len() as u64,
                    extents: Vec::new(),
                }))
            }
            Some(Stored::Chain(d)) => d.to_vec(),
        };
        let chain = Chain::decode(&description, size).map_err(|d| self.failed(table, d.at(None)))?;
        let mut left = chain.len;
        let extents = chain.extents.iter().map(|e| {
            let len = left.min(e.run.pages * size as u64);
            left -= len;
            FileRange {
                offset: e.run.first.offset(size),
                len,
            }
        });
        Ok(Some(ValueInfo {
            extents: extents.collect(),
            len: chain.len,
        }))
    }

    /// Returns a value as contiguous pieces, which are neither read nor verified, or `None` if there is no such entry.
    /// A value that is stored beside its key is one piece without an offset in the file, and an empty value has no
    /// piece.
    fn value_pieces(&mut self, table: TableId, key: &[u8]) -> Result<Option<Vec<ValuePiece<'_>>>> {
        let Some(info) = self.value_info(table, key)? else {
            return Ok(None);
        };
        if info.extents.is_empty() {
            let value = self.get(table, key)?.filter(|value| !value.is_empty());
            let piece = |bytes| ValuePiece {
                file_offset: None,
                bytes,
            };
            return Ok(Some(value.map(piece).into_iter().collect()));
        }
        let pages = self.pages();
        let size = pages.page_size() as u64;
        let piece = |range: FileRange| {
            Ok(ValuePiece {
                file_offset: Some(range.offset),
                bytes: pages.raw(PageNo::new(range.offset / size), range.len)?,
            })
        };
        let pieces: Result<_> = info.extents.into_iter().map(piece).collect();
        pieces.map(Some).map_err(|e| self.failed(table, e))
    }

    /// Reads a part of a value from byte `offset` on into `out`, and verifies only the pieces of 1 MiB that it touches.
    /// Returns how many bytes were read, which are fewer than `out` has only at the end of the value, or `None` if
    /// there is no such entry.
    fn read_value(&mut self, table: TableId, key: &[u8], offset: u64, out: &mut [u8]) -> Result<Option<usize>> {
        let description = match self.stored(table, key)? {
            None => return Ok(None),
            Some(Stored::Inline(b)) => {
                let from = b.len().min(offset.try_into().unwrap_or(usize::MAX));
                let n = out.len().min(b.len() - from);
                out[..n].copy_from_slice(&b[from..from + n]);
                return Ok(Some(n));
            }
            Some(Stored::Chain(d)) => d.to_vec(),
        };
        let source = self.pages();
        let chain = Chain::decode(&description, source.page_size()).map_err(|d| d.at(None));
        let read = chain.and_then(|chain| chain.read_at(offset, out, &source));
        read.map(Some).map_err(|e| self.failed(table, e))
    }

    /// Returns how many entries lie within `range`. This takes as many steps as the tree has levels, not one per entry.
    fn count(&mut self, table: TableId, range: &Range<'_>) -> Result<u64> {
        self.flush(table)?;
        let tree = self.tree_now(table)?;
        if range.is_whole() {
            return Ok(tree.root.ptr.entries);
        }
        let counted = range
            .limits()
            .and_then(|limits| count::count(&tree.source, &tree.root, &limits));
        counted.map_err(|e| self.failed(table, e))
    }

    /// Returns how many entries have keys less than `key`. This takes as many steps as the tree has levels.
    fn rank(&mut self, table: TableId, key: &[u8]) -> Result<u64> {
        self.flush(table)?;
        let tree = self.tree_now(table)?;
        let rank = count::rank(&tree.source, &tree.root, key);
        rank.map_err(|e| self.failed(table, e))
    }

    /// Returns the shape and size of a table. This reads every page of its tree.
    fn table_stat(&mut self, table: TableId) -> Result<TableStat> {
        self.flush(table)?;
        let tree = self.tree_now(table)?;
        let shape = stat::shape(&tree.source, &tree.root, true).map_err(|e| self.failed(table, e))?;
        Ok(TableStat {
            entries: shape.entries,
            height: shape.height,
            branch_pages: shape.branch_pages,
            leaf_pages: shape.leaf_pages,
            overflow_pages: shape.overflow_pages,
            used_bytes: shape.used,
        })
    }

    /// Returns figures of one level of a table's tree, where level 1 is that of the leaves. Above the root all figures
    /// are zero.
    fn level_stat(&mut self, table: TableId, level: u8) -> Result<LevelStat> {
        self.flush(table)?;
        let tree = self.tree_now(table)?;
        let found = stat::level(&tree.source, &tree.root, level).map_err(|e| self.failed(table, e))?;
        Ok(LevelStat {
            pages: found.pages,
            items: found.items,
            used_bytes: found.used,
        })
    }
}
