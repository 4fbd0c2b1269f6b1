//! Edits on their way into a tree: an append-only log, and its sorted view.
//!
//! The log keeps arrival order; sorting late costs a fraction of keeping order. A record is
//!
//! ```text
//! u32 key bytes | u32 value bytes, bit 31: delete, bit 30: the value is a chain description | key | value
//! ```
//!
//! For sorting, each edit becomes one 128-bit integer: the 8 key bytes behind the prefix that all keys share, then the
//! record's place in the log. Integers sort fast, and among equal beginnings the later edit comes later. Only runs of
//! equal beginnings need the keys themselves.

use crate::error::{Error, Result};
use crate::page::leaf::Stored;
use crate::util::bytes::{common_prefix, get_u64, less};

/// Largest chunk of records, unless one record needs more; the first is small, because most transactions are.
const CHUNK: usize = 1 << 20;
const FIRST_CHUNK: usize = 1 << 13;
/// What a log keeps at most for the next transaction: so many chunks, and bytes of each and of the list of records.
const KEPT_CHUNKS: usize = 2;
const KEPT_BYTES: usize = FIRST_CHUNK << 2;
const HEADER: usize = 8;
/// Bytes of a chunk that are made ready at once, beyond those that are needed: they are in the first cache when written.
const AHEAD: usize = 1 << 10;
pub(super) const NO_MEMORY: Error = Error::NoMemory("edits of a transaction");
const DELETE: u32 = 1 << 31;
const CHAIN: u32 = 1 << 30;
const LEN: u32 = CHAIN - 1;

/// Place of a record in its log: chunk << 32 | offset.
pub type At = u64;

/// What an edit does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Insert or replace.
    Put(Stored<'a>),
    /// Remove if present.
    Delete,
}

/// Edits in arrival order.
#[derive(Default)]
pub struct EditLog {
    /// As long as they were ever filled; records take up all of them but the last.
    pub(super) chunks: Vec<Vec<u8>>,
    /// Bytes of the last chunk that are records.
    used: usize,
    pub(super) entries: Vec<At>,
    /// Bytes that every key shares with the first one; not kept while the keys ascend, see [`EditLog::shared`].
    shared: usize,
    /// Whether the keys arrived in strictly ascending order.
    pub(super) ascending: bool,
    /// Marks that any record has: none if all are puts of values that stay in leaves.
    pub(super) marks: u32,
    bytes: usize,
    pub(super) longest_key: usize,
    /// Chunks without records, to be filled again: fresh memory costs more than all else a put does.
    spare: Vec<Vec<u8>>,
}

impl EditLog {
    /// An empty log.
    pub fn new() -> EditLog {
        EditLog::default()
    }

    /// Edits, duplicates included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of memory the records take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records in arrival order.
    pub fn entries(&self) -> &[At] {
        &self.entries
    }

    /// Bytes of the next chunk, unless a record needs more.
    fn usual_chunk(&self) -> usize {
        (FIRST_CHUNK << (2 * self.chunks.len()).min(7)).min(CHUNK)
    }

    /// Appends an edit.
    ///
    /// # Errors
    /// `NoMemory`: it was not appended.
    pub fn push(&mut self, key: &[u8], op: Op<'_>) -> Result<At> {
        let behind = self.ascending && self.last_key().is_some_and(|last| less(last, key));
        self.add(key, op, behind)
    }

    /// Appends an edit whose key is known to be greater than every other: [`EditLog::push`] without looking.
    ///
    /// # Errors
    /// `NoMemory`: it was not appended.
    #[inline(always)]
    pub fn push_behind(&mut self, key: &[u8], op: Op<'_>) -> Result<At> {
        debug_assert!(self.last_key().is_none_or(|last| last < key));
        self.add(key, op, self.ascending)
    }

    /// Key of the edit that came last.
    #[inline(always)]
    pub fn last_key(&self) -> Option<&[u8]> {
        self.entries.last().map(|at| self.key(*at))
    }

    /// `behind`: the keys ascend, and this one continues them.
    #[inline(always)]
    fn add(&mut self, key: &[u8], op: Op<'_>, behind: bool) -> Result<At> {
        let (value, mark): (&[u8], u32) = match op {
            Op::Put(Stored::Inline(v)) => (v, 0),
            Op::Put(Stored::Chain(v)) => (v, CHAIN),
            Op::Delete => (&[], DELETE),
        };
        let size = HEADER + key.len() + value.len();
        let there = self.chunks.last().is_some_and(|c| c.len() - self.used >= size);
        if !there || self.entries.len() == self.entries.capacity() {
            self.take_memory(size)?;
        }
        if self.entries.is_empty() {
            (self.ascending, self.marks) = (true, 0);
        } else if !behind {
            self.disorder(key);
        }
        let number = self.chunks.len() - 1;
        let at = (number as u64) << 32 | self.used as u64;
        let (header, rest) = self.chunks[number][self.used..self.used + size].split_at_mut(HEADER);
        let lengths = key.len() as u64 | u64::from(value.len() as u32 | mark) << 32;
        header.copy_from_slice(&lengths.to_le_bytes());
        let (key_at, value_at) = rest.split_at_mut(key.len());
        key_at.copy_from_slice(key);
        value_at.copy_from_slice(value);
        self.entries.push(at);
        self.used += size;
        self.longest_key = self.longest_key.max(key.len());
        self.marks |= mark;
        self.bytes += size + std::mem::size_of::<At>();
        Ok(at)
    }

    /// Makes room for one more edit, with a record of `size` bytes.
    #[cold]
    #[inline(never)]
    fn take_memory(&mut self, size: usize) -> Result<()> {
        self.entries.try_reserve(1).map_err(|_| NO_MEMORY)?;
        if self.chunks.last().is_none_or(|c| c.capacity() - self.used < size) {
            self.chunks.try_reserve(1).map_err(|_| NO_MEMORY)?;
            let mut chunk = self.spare.pop().unwrap_or_default();
            let wanted = self.usual_chunk().max(size);
            let room = chunk.try_reserve_exact(wanted.saturating_sub(chunk.len()));
            room.map_err(|_| NO_MEMORY)?;
            self.chunks.push(chunk);
            self.used = 0;
        }
        let end = self.used + size;
        if let Some(chunk) = self.chunks.last_mut().filter(|c| c.len() < end) {
            chunk.resize(chunk.capacity().min(end + AHEAD), 0);
        }
        Ok(())
    }

    /// Takes note of a key, not the first, that does not continue the ascending ones.
    #[inline]
    fn disorder(&mut self, key: &[u8]) {
        self.shared = match self.shared() {
            0 => 0,
            shared => common_prefix(&self.key(self.entries[0])[..shared], key),
        };
        self.ascending = false;
    }

    /// Bytes that every key shares with the first one.
    pub(super) fn shared(&self) -> usize {
        match (self.entries.first(), self.entries.last()) {
            // What the ends of a sorted sequence share, all between them share.
            (Some(first), Some(last)) if self.ascending => common_prefix(self.key(*first), self.key(*last)),
            _ => self.shared,
        }
    }

    /// Bytes from the key on, length of the key, length and marks of the value.
    #[inline(always)]
    pub(super) fn record(&self, at: At) -> (&[u8], usize, u32) {
        let chunk = &self.chunks[(at >> 32) as usize];
        let (header, bytes) = chunk[at as u32 as usize..].split_at(HEADER);
        let lengths = get_u64(header, 0);
        (bytes, lengths as u32 as usize, (lengths >> 32) as u32)
    }

    /// Key of a record.
    #[inline(always)]
    pub fn key(&self, at: At) -> &[u8] {
        let (bytes, key, _) = self.record(at);
        &bytes[..key]
    }

    /// What a record does.
    #[inline(always)]
    pub fn op(&self, at: At) -> Op<'_> {
        let (bytes, key, len) = self.record(at);
        if len & DELETE != 0 {
            return Op::Delete;
        }
        let value = &bytes[key..key + (len & LEN) as usize];
        Op::Put(if len & CHAIN != 0 {
            Stored::Chain(value)
        } else {
            Stored::Inline(value)
        })
    }

    /// Value bytes of an inline put, to be filled or overwritten in place.
    pub fn value_mut(&mut self, at: At) -> &mut [u8] {
        let (_, key, len) = self.record(at);
        debug_assert!(len & (DELETE | CHAIN) == 0);
        let from = at as u32 as usize + HEADER + key;
        &mut self.chunks[(at >> 32) as usize][from..from + (len & LEN) as usize]
    }

    /// Forgets every edit; the memory is used again.
    pub fn clear(&mut self) {
        self.spare
            .extend(self.chunks.drain(..).rev().filter(|c| c.capacity() <= CHUNK));
        self.used = 0;
        self.entries.clear();
        self.bytes = 0;
        self.longest_key = 0;
    }

    /// Gives memory back that only large transactions need.
    pub fn shrink(&mut self) {
        // The first chunks, which are the smallest, come last.
        let more = self.spare.len().saturating_sub(KEPT_CHUNKS);
        self.spare.drain(..more);
        self.spare.retain(|chunk| chunk.capacity() <= KEPT_BYTES);
        if self.entries.capacity() > KEPT_BYTES / std::mem::size_of::<At>() {
            self.entries = Vec::new();
        }
    }

    /// Whether the keys arrived in ascending order.
    pub fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// The memory of the records, leaving an empty log: for keeping lent bytes alive.
    pub fn take_chunks(&mut self) -> Vec<Vec<u8>> {
        self.entries.clear();
        self.used = 0;
        self.bytes = 0;
        self.longest_key = 0;
        std::mem::take(&mut self.chunks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn sorts_and_keeps_the_last() {
        let mut x = 88172645463325252u64;
        let mut rnd = move |n: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            x % n
        };
        for prefix in [&b""[..], b"http://example.com/"] {
            for n in [0, 1, 2, 10, 1000] {
                let mut log = EditLog::new();
                let mut model = BTreeMap::new();
                for _ in 0..n {
                    let tail: Vec<u8> = (0..rnd(14)).map(|_| b'a' + rnd(2) as u8 * 5).collect();
                    let key = [prefix, &tail].concat();
                    let value = rnd(1000).to_le_bytes();
                    if rnd(4) == 0 {
                        log.push(&key, Op::Delete).expect("memory");
                        model.insert(key, None);
                    } else {
                        log.push(&key, Op::Put(Stored::Inline(&value))).expect("memory");
                        model.insert(key, Some(value.to_vec()));
                    }
                }
                let mut dropped = 0;
                let sorted = log.sorted(|_| dropped += 1).expect("memory");
                assert_eq!(sorted.len() + dropped, n as usize);
                assert_eq!(sorted.len(), model.len());
                for (i, (k, v)) in model.iter().enumerate() {
                    assert_eq!(sorted.key(i), k);
                    assert_eq!(
                        sorted.op(i),
                        v.as_ref().map_or(Op::Delete, |v| Op::Put(Stored::Inline(v)))
                    );
                }
                for k in model.keys() {
                    for bound in [k.clone(), [k, &b"a"[..]].concat(), k[..k.len() / 2].to_vec()] {
                        let from = rnd(model.len() as u64 + 1) as usize;
                        let want = model.keys().position(|x| *x >= bound).unwrap_or(model.len()).max(from);
                        assert_eq!(sorted.border(from, model.len(), &bound), want);
                    }
                }
            }
        }
    }
}
