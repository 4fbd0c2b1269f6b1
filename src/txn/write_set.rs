//! A write set is what a write transaction has put and deleted in one table and not yet applied to its tree. It is a
//! log of edits and, from the first lookup of the transaction's own writes on, a hash index over that log.

use crate::error::{Error, Result};
use crate::page::leaf::Stored;
use crate::tree::write::edits::{EditLog, Op, RecordPos};
use crate::util::hash::key_hash;
use hashbrown::HashTable;

/// The largest capacity of an index that is kept for the next transaction.
const KEPT: usize = 1024;
const NO_MEMORY: Error = Error::NoMemory("the index of a transaction's edits");

/// The edits of one table that are not applied yet.
#[derive(Default)]
pub struct WriteSet {
    log: EditLog,
    /// An entry for each key: 32 bits of the key's hash, and the position of its last record. The first lookup builds
    /// the index. Since the hash is stored, the index can grow without reading keys.
    index: HashTable<(u32, RecordPos)>,
    indexed: bool,
}

impl WriteSet {
    /// Returns the log.
    pub fn log(&self) -> &EditLog {
        &self.log
    }

    /// Returns whether there are no edits.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Records an edit of a key that is greater than every other of the table.
    ///
    /// # Errors
    /// `NoMemory`: the edit was not recorded.
    #[inline(always)]
    pub fn push_behind(&mut self, key: &[u8], op: Op<'_>) -> Result<()> {
        match self.indexed {
            true => self.push_indexed(key, op, true),
            false => self.log.push_behind(key, op).map(|_| ()),
        }
    }

    /// Records an edit.
    ///
    /// # Errors
    /// `NoMemory`: the edit was not recorded.
    #[inline(always)]
    pub fn push(&mut self, key: &[u8], op: Op<'_>) -> Result<()> {
        match self.indexed {
            true => self.push_indexed(key, op, true),
            false => self.log.push(key, op).map(|_| ()),
        }
    }

    /// Records an edit as [`WriteSet::push`] does, without a change of the records that are there.
    ///
    /// # Errors
    /// `NoMemory`: the edit was not recorded.
    #[cold]
    pub fn push_beside(&mut self, key: &[u8], op: Op<'_>) -> Result<()> {
        match self.indexed {
            true => self.push_indexed(key, op, false),
            false => self.log.push(key, op).map(|_| ()),
        }
    }

    /// Records an edit and indexes it. With `in_place`, an inline put that replaces one of the same size overwrites it
    /// in the log. Any other edit that is replaced stays in the log until sorting drops it.
    #[inline(never)]
    fn push_indexed(&mut self, key: &[u8], op: Op<'_>, in_place: bool) -> Result<()> {
        let Self { log, index, .. } = self;
        let room = index.try_reserve(1, |(h, _)| spread(*h));
        room.map_err(|_| NO_MEMORY)?;
        let short = key_hash(key) as u32;
        let hash = spread(short);
        let found = index.find_mut(hash, |(h, at)| *h == short && log.key(*at) == key);
        match found {
            Some((_, at)) => {
                if let (Op::Put(Stored::Inline(new)), Op::Put(Stored::Inline(old))) = (op, log.op(*at)) {
                    if in_place && new.len() == old.len() {
                        log.value_mut(*at).copy_from_slice(new);
                        return Ok(());
                    }
                }
                *at = log.push(key, op)?;
            }
            None => {
                let at = log.push(key, op)?;
                index.insert_unique(hash, (short, at), |(h, _)| spread(*h));
            }
        }
        Ok(())
    }

    /// Returns the last edit of `key`, if there is one.
    ///
    /// # Errors
    /// `NoMemory`: the index could not be built.
    pub fn get(&mut self, key: &[u8]) -> Result<Option<RecordPos>> {
        if self.log.is_empty() {
            return Ok(None);
        }
        if !self.indexed {
            self.build()?;
        }
        let short = key_hash(key) as u32;
        let found = self
            .index
            .find(spread(short), |(h, at)| *h == short && self.log.key(*at) == key);
        Ok(found.map(|(_, at)| *at))
    }

    fn build(&mut self) -> Result<()> {
        let Self { log, index, indexed } = self;
        index.clear();
        let room = index.try_reserve(log.len(), |(h, _)| spread(*h));
        room.map_err(|_| NO_MEMORY)?;
        for at in log.entries() {
            let key = log.key(*at);
            let short = key_hash(key) as u32;
            let hash = spread(short);
            match index.find_mut(hash, |(h, other)| *h == short && log.key(*other) == key) {
                Some((_, other)) => *other = *at,
                None => {
                    index.insert_unique(hash, (short, *at), |(h, _)| spread(*h));
                }
            }
        }
        *indexed = true;
        Ok(())
    }

    /// Returns what the record at `at` does.
    pub fn op(&self, at: RecordPos) -> Op<'_> {
        self.log.op(at)
    }

    /// Forgets every edit.
    pub fn clear(&mut self) {
        self.log.clear();
        self.forget_index();
    }

    /// Frees memory that only large transactions need.
    pub fn shrink(&mut self) {
        self.log.shrink();
        if self.index.capacity() > KEPT {
            self.index = HashTable::new();
        }
    }

    /// Forgets every edit and returns the memory of the records.
    pub fn take_memory(&mut self) -> Vec<Vec<u8>> {
        self.forget_index();
        self.log.take_chunks()
    }

    fn forget_index(&mut self) {
        self.indexed = false;
        self.index.clear();
    }
}

/// Returns the 64-bit hash that the table works with, computed from the 32 bits that are stored.
fn spread(short: u32) -> u64 {
    (short as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
