//! What read and write transactions have in common.

use super::types::{LevelStat, Range, TableStat, ValueInfo};
use crate::error::Result;
use crate::ids::{CommitId, PageNo, TableId};
use crate::page::chain::Chain;
use crate::page::leaf::Stored;
use crate::page::{PageSource, PIECE};
use crate::tree::read::{count, lookup as search, stat};
use crate::txn::TreeRef;
use std::sync::OnceLock;

/// What read and write transactions have in common. Implemented by `&ReadTxn` (so that threads can share one) and
/// `WriteTxn`; everything a write transaction did itself is seen through it.
///
/// Slices live until the transaction ends, in a write transaction until its next write. Every call that names a table
/// may answer `NoTable`, and `Corrupt` or `Io` when the file is damaged.
pub trait Reader {
    /// Commit that is read (of a write transaction: built upon).
    fn id(&self) -> CommitId;

    /// Number of the table called `name`.
    ///
    /// # Errors
    /// `NoTable`.
    fn table(&mut self, name: &[u8]) -> Result<TableId>;

    /// Note attached to a table.
    fn table_note(&mut self, table: TableId) -> Result<Vec<u8>>;

    /// Applies to the tree of `table` what this transaction wrote, so that [`Reader::tree_now`] shows it.
    #[doc(hidden)]
    fn settle(&mut self, table: TableId) -> Result<()>;

    /// The tree of `table` as it is now.
    #[doc(hidden)]
    fn tree_now(&self, table: TableId) -> Result<TreeRef<'_>>;

    /// The tree of `table` with everything this transaction wrote: what cursors and counts read.
    #[doc(hidden)]
    fn tree(&mut self, table: TableId) -> Result<TreeRef<'_>> {
        self.settle(table)?;
        self.tree_now(table)
    }

    /// What is stored under `key`, own writes included, found without applying them.
    #[doc(hidden)]
    fn stored(&mut self, table: TableId, key: &[u8]) -> Result<Option<Stored<'_>>>;

    /// The bytes of a stored value.
    #[doc(hidden)]
    fn resolve<'a>(&'a self, stored: Stored<'a>) -> Result<&'a [u8]>;

    /// The pages this transaction sees.
    #[doc(hidden)]
    fn pages(&self) -> crate::txn::Pages<'_>;

    /// Value of `key`.
    fn get(&mut self, table: TableId, key: &[u8]) -> Result<Option<&[u8]>>;

    /// Whether `key` exists; never touches a long value.
    fn contains(&mut self, table: TableId, key: &[u8]) -> Result<bool> {
        Ok(self.stored(table, key)?.is_some())
    }

    /// Values of many keys at once (interleaved descents), appended to `out` in their order.
    fn get_many<'a>(&'a mut self, table: TableId, keys: &[&[u8]], out: &mut Vec<Option<&'a [u8]>>) -> Result<()> {
        out.try_reserve(keys.len())
            .map_err(|_| crate::Error::NoMemory("the answers to many keys"))?;
        self.get_each(table, keys, &mut |value| out.push(value))
    }

    /// As [`Reader::get_many`], each value given to `give`, which after an error has seen the first of them.
    fn get_each<'a>(
        &'a mut self,
        table: TableId,
        keys: &[&[u8]],
        give: &mut dyn FnMut(Option<&'a [u8]>),
    ) -> Result<()> {
        self.settle(table)?;
        let this: &'a Self = self;
        let tree = this.tree_now(table)?;
        for keys in keys.chunks(search::LANES) {
            let give = |stored: Option<Stored<'a>>| {
                give(match stored {
                    Some(Stored::Inline(value)) => Some(value),
                    Some(chain) => Some(this.resolve(chain)?),
                    None => None,
                });
                Ok(())
            };
            search::get_few(&tree.source, &tree.root, keys, give).map_err(|e| e.in_table(table))?;
        }
        Ok(())
    }

    /// Length and place of a value, without touching it.
    fn value_info(&mut self, table: TableId, key: &[u8]) -> Result<Option<ValueInfo>> {
        let size = self.pages().page_size();
        let Some(stored) = self.stored(table, key)? else {
            return Ok(None);
        };
        match stored {
            Stored::Inline(b) => Ok(Some(ValueInfo {
                len: b.len() as u64,
                extents: Vec::new(),
            })),
            Stored::Chain(d) => {
                let chain = Chain::decode(d, size).map_err(|d| d.at(None).in_table(table))?;
                let mut left = chain.len;
                let extents = chain
                    .extents
                    .iter()
                    .map(|e| {
                        let bytes = left.min(e.run.pages * size as u64);
                        left -= bytes;
                        (e.run.first.offset(size), bytes)
                    })
                    .collect();
                Ok(Some(ValueInfo {
                    len: chain.len,
                    extents,
                }))
            }
        }
    }

    /// Where a value lies: (offset in the file, bytes) of each contiguous piece, without reading or verifying them. A
    /// value inside its leaf is one piece at `u64::MAX`, an empty one none. `None`: no such key.
    #[allow(clippy::type_complexity)]
    fn value_pieces(&mut self, table: TableId, key: &[u8]) -> Result<Option<Vec<(u64, &[u8])>>> {
        let Some(info) = self.value_info(table, key)? else {
            return Ok(None);
        };
        if info.extents.is_empty() {
            let value = self.get(table, key)?;
            return Ok(value.map(|v| if v.is_empty() { Vec::new() } else { vec![(u64::MAX, v)] }));
        }
        let pages = self.pages();
        let size = pages.page_size() as u64;
        let piece = |(at, len): (u64, u64)| Ok((at, pages.raw(PageNo::new(at / size), len)?));
        let pieces: Result<_> = info.extents.into_iter().map(piece).collect();
        pieces.map(Some).map_err(|e| e.in_table(table))
    }

    /// Reads a part of a value; verifies only the pieces of 1 MiB it touches. `None`: no such key; `Some(n)`: bytes
    /// read, fewer than asked for only at the value's end.
    fn read_value(&mut self, table: TableId, key: &[u8], offset: u64, out: &mut [u8]) -> Result<Option<usize>> {
        let chain = match self.stored(table, key)? {
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
        let chain = Chain::decode(&chain, source.page_size()).map_err(|d| d.at(None).in_table(table))?;
        chain
            .read_at(offset, out, &source)
            .map(Some)
            .map_err(|e| e.in_table(table))
    }

    /// Entries within `range`, O(log n).
    fn count(&mut self, table: TableId, range: &Range<'_>) -> Result<u64> {
        if range.is_whole() {
            return Ok(self.tree(table)?.root.ptr.entries);
        }
        let limits = range.limits();
        let tree = self.tree(table)?;
        count::count(&tree.source, &tree.root, &limits).map_err(|e| e.in_table(table))
    }

    /// Entries with keys less than `key`, O(log n).
    fn rank(&mut self, table: TableId, key: &[u8]) -> Result<u64> {
        let tree = self.tree(table)?;
        count::rank(&tree.source, &tree.root, key).map_err(|e| e.in_table(table))
    }

    /// Shape of a table (walks all its pages).
    fn table_stat(&mut self, table: TableId) -> Result<TableStat> {
        let tree = self.tree(table)?;
        let shape = stat::shape(&tree.source, &tree.root, true).map_err(|e| e.in_table(table))?;
        Ok(TableStat {
            entries: shape.entries,
            height: shape.height,
            branch_pages: shape.branch_pages,
            leaf_pages: shape.leaf_pages,
            chain_pages: shape.chain_pages,
            used_bytes: shape.used,
        })
    }

    /// One level of a table's tree; 1 = leaves. Zeros above the root.
    fn level_stat(&mut self, table: TableId, level: u8) -> Result<LevelStat> {
        let tree = self.tree(table)?;
        let found = stat::level(&tree.source, &tree.root, level).map_err(|e| e.in_table(table))?;
        Ok(LevelStat {
            pages: found.pages,
            slots: found.slots,
            used_bytes: found.used,
        })
    }
}

/// Values in several extents, put together: kept until the transaction ends (or writes), in a list that only grows, so
/// that threads may share it.
#[derive(Default)]
pub(crate) struct Joined {
    head: OnceLock<Box<Node>>,
}

struct Node {
    bytes: Box<[u8]>,
    next: OnceLock<Box<Node>>,
}

impl Joined {
    /// Forgets every value.
    #[inline(always)]
    pub fn clear(&mut self) {
        if self.head.get().is_some() {
            self.clear_all();
        }
    }

    #[cold]
    fn clear_all(&mut self) {
        // One by one: a long list must not be dropped recursively.
        let mut next = self.head.take();
        while let Some(mut node) = next {
            next = node.next.take();
        }
    }

    /// Keeps bytes and lends them.
    pub fn keep(&self, bytes: Box<[u8]>) -> &[u8] {
        let mut node = Box::new(Node {
            bytes,
            next: OnceLock::new(),
        });
        let mut place = &self.head;
        loop {
            match place.set(node) {
                Ok(()) => return place.get().map_or(&[], |n| &n.bytes),
                Err(back) => node = back,
            }
            if let Some(taken) = place.get() {
                place = &taken.next;
            }
        }
    }

    /// The bytes of a stored value: in place unless it lies in several extents.
    #[inline(always)]
    pub fn resolve<'a, S: PageSource<'a>>(&'a self, stored: Stored<'a>, source: &S) -> Result<&'a [u8]> {
        match stored {
            Stored::Inline(b) => Ok(b),
            Stored::Chain(d) => self.resolve_chain(d, source),
        }
    }

    fn resolve_chain<'a, S: PageSource<'a>>(&'a self, description: &[u8], source: &S) -> Result<&'a [u8]> {
        let chain = Chain::decode(description, source.page_size()).map_err(|d| d.at(None))?;
        if let Some(bytes) = chain.in_place(source)? {
            return Ok(bytes);
        }
        let mut bytes = Vec::new();
        let len = usize::try_from(chain.len).map_err(|_| crate::Error::NoMemory("a long value"))?;
        // The extents were not looked at yet: a hostile length must not make us allocate.
        for e in &chain.extents {
            source.raw(e.run.first, e.run.pages * source.page_size() as u64)?;
        }
        bytes
            .try_reserve_exact(len)
            .map_err(|_| crate::Error::NoMemory("a long value in several extents"))?;
        for i in 0..chain.len.div_ceil(PIECE) {
            bytes.extend_from_slice(chain.piece(i, source)?);
        }
        Ok(self.keep(bytes.into_boxed_slice()))
    }
}

impl Drop for Joined {
    fn drop(&mut self) {
        self.clear();
    }
}
