//! Edits on their way into a tree: an append-only log.
//!
//! The log keeps arrival order, because sorting at the end costs a fraction of keeping key order. A record is
//!
//! ```text
//! u32 key bytes | u32 value bytes, bit 31: delete, bit 30: the value is a chain description | key | value
//! ```
//!
//! Records never move, so the value of one may be filled in or overwritten where it is, and bytes of it may be pinned.

use crate::error::{Error, Result};
use crate::page::leaf::Stored;
use crate::page::leaf_build::PlainEntry;
use crate::util::bytes::{common_prefix, get_u64, less};
use crate::util::memory;

/// The bytes of the largest chunk of records, unless one record needs more. The first chunk is small, because most
/// transactions are.
const CHUNK: usize = 1 << 20;
const FIRST_CHUNK: usize = 1 << 13;
/// The most that a log keeps for the next transaction: the number of chunks, and the bytes of each and of the list of
/// records.
const KEPT_CHUNKS: usize = 2;
const KEPT_BYTES: usize = FIRST_CHUNK << 2;
const HEADER: usize = 8;
/// The bytes of a chunk that are zeroed at once beyond those that are needed. They are still in the first cache when
/// they are written.
const AHEAD: usize = 1 << 10;
pub(super) const NO_MEMORY: Error = Error::NoMemory("edits of a transaction");
const DELETE: u32 = 1 << 31;
const CHAIN: u32 = 1 << 30;
const LEN: u32 = CHAIN - 1;

/// The position of a record in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct RecordPos(u64);

impl RecordPos {
    #[inline(always)]
    fn new(chunk: usize, offset: usize) -> RecordPos {
        RecordPos((chunk as u64) << 32 | offset as u64)
    }

    #[inline(always)]
    fn chunk(self) -> usize {
        (self.0 >> 32) as usize
    }

    /// Returns where the record begins in its chunk.
    #[inline(always)]
    fn offset(self) -> usize {
        self.0 as u32 as usize
    }

    /// Returns the position as an integer, which is greater for a later record.
    #[inline(always)]
    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the position for which [`RecordPos::to_bits`] returned `bits`.
    #[inline(always)]
    pub(super) fn from_bits(bits: u64) -> RecordPos {
        RecordPos(bits)
    }
}

/// What an edit does to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Insert the key or replace its value.
    Put(Stored<'a>),
    /// Remove the key if it is present.
    Delete,
}

/// Edits in arrival order.
#[derive(Default)]
pub struct EditLog {
    /// The chunks, each as long as it was ever filled. Only the last one is not taken up by records.
    pub(super) chunks: Vec<Vec<u8>>,
    /// The bytes of the last chunk that are records.
    used: usize,
    pub(super) entries: Vec<RecordPos>,
    /// The bytes that every key shares with the first one. They are not counted while the keys ascend, see
    /// [`EditLog::shared`].
    shared: usize,
    /// Whether the keys arrived in strictly ascending order.
    pub(super) ascending: bool,
    /// The marks of all records together. There are none if all records are puts of values that stay in leaves.
    pub(super) marks: u32,
    bytes: usize,
    pub(super) longest_key: usize,
    /// Chunks without records, which are filled again, because fresh memory costs more than all else in a put.
    spare: Vec<Vec<u8>>,
}

impl EditLog {
    /// Returns the number of edits, duplicates included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the bytes of memory that the records take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the records in arrival order.
    pub fn entries(&self) -> &[RecordPos] {
        &self.entries
    }

    /// Returns the bytes of the next chunk, unless a record needs more.
    fn usual_chunk(&self) -> usize {
        (FIRST_CHUNK << (2 * self.chunks.len()).min(7)).min(CHUNK)
    }

    /// Appends an edit.
    ///
    /// # Errors
    /// `NoMemory`: the edit was not appended.
    pub fn push(&mut self, key: &[u8], op: Op<'_>) -> Result<RecordPos> {
        let behind = self.ascending && self.last_key().is_some_and(|last| less(last, key));
        self.add(key, op, behind)
    }

    /// Appends an edit whose key is known to be greater than every other, without comparing it.
    ///
    /// # Errors
    /// `NoMemory`: the edit was not appended.
    #[inline(always)]
    pub fn push_behind(&mut self, key: &[u8], op: Op<'_>) -> Result<RecordPos> {
        debug_assert!(self.last_key().is_none_or(|last| last < key));
        self.add(key, op, self.ascending)
    }

    /// Returns the key of the edit that came last.
    #[inline(always)]
    pub fn last_key(&self) -> Option<&[u8]> {
        self.entries.last().map(|pos| self.key(*pos))
    }

    /// Appends an edit. `behind` says that the keys ascend and that this one continues them.
    #[inline(always)]
    fn add(&mut self, key: &[u8], op: Op<'_>, behind: bool) -> Result<RecordPos> {
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
        let pos = RecordPos::new(number, self.used);
        let (header, rest) = self.chunks[number][self.used..self.used + size].split_at_mut(HEADER);
        let lengths = key.len() as u64 | u64::from(value.len() as u32 | mark) << 32;
        header.copy_from_slice(&lengths.to_le_bytes());
        let (key_at, value_at) = rest.split_at_mut(key.len());
        key_at.copy_from_slice(key);
        value_at.copy_from_slice(value);
        self.entries.push(pos);
        self.used += size;
        self.longest_key = self.longest_key.max(key.len());
        self.marks |= mark;
        self.bytes += size + std::mem::size_of::<RecordPos>();
        Ok(pos)
    }

    /// Makes room for one more edit, with a record of `size` bytes.
    #[cold]
    #[inline(never)]
    fn take_memory(&mut self, size: usize) -> Result<()> {
        if memory::is_short() {
            return Err(NO_MEMORY);
        }
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

    /// Takes note of a key that does not continue the ascending ones. It is not the first key.
    #[inline]
    fn disorder(&mut self, key: &[u8]) {
        self.shared = match self.shared() {
            0 => 0,
            shared => common_prefix(&self.key(self.entries[0])[..shared], key),
        };
        self.ascending = false;
    }

    /// Returns the bytes that every key shares with the first one.
    pub(super) fn shared(&self) -> usize {
        match (self.entries.first(), self.entries.last()) {
            // All keys between the ends of a sorted sequence share what the ends share.
            (Some(first), Some(last)) if self.ascending => common_prefix(self.key(*first), self.key(*last)),
            _ => self.shared,
        }
    }

    /// Returns the bytes of the log from a record on, to the end of its chunk.
    #[inline(always)]
    pub(super) fn bytes_from(&self, pos: RecordPos) -> &[u8] {
        &self.chunks[pos.chunk()][pos.offset()..]
    }

    /// Returns key and value of a put whose value stays in its leaf.
    #[inline(always)]
    pub(super) fn plain(&self, pos: RecordPos) -> PlainEntry<'_> {
        let (bytes, key, len) = self.record(pos);
        debug_assert!(len & (DELETE | CHAIN) == 0, "a plain put");
        let bytes = &bytes[..key + len as usize];
        PlainEntry { bytes, key }
    }

    /// Returns the bytes from the key on, the length of the key, and the length of the value with its marks.
    #[inline(always)]
    fn record(&self, pos: RecordPos) -> (&[u8], usize, u32) {
        let (header, bytes) = self.bytes_from(pos).split_at(HEADER);
        let lengths = get_u64(header, 0);
        (bytes, lengths as u32 as usize, (lengths >> 32) as u32)
    }

    /// Returns the key of a record.
    #[inline(always)]
    pub fn key(&self, pos: RecordPos) -> &[u8] {
        let (bytes, key, _) = self.record(pos);
        &bytes[..key]
    }

    /// Returns what a record does.
    #[inline(always)]
    pub fn op(&self, pos: RecordPos) -> Op<'_> {
        let (bytes, key, len) = self.record(pos);
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

    /// Returns the value bytes of an inline put, to be filled or overwritten in place.
    pub fn value_mut(&mut self, pos: RecordPos) -> &mut [u8] {
        let (_, key, len) = self.record(pos);
        debug_assert!(len & (DELETE | CHAIN) == 0);
        let from = pos.offset() + HEADER + key;
        &mut self.chunks[pos.chunk()][from..from + (len & LEN) as usize]
    }

    /// Forgets every edit, and keeps the memory for later ones.
    pub fn clear(&mut self) {
        self.spare
            .extend(self.chunks.drain(..).rev().filter(|c| c.capacity() <= CHUNK));
        self.used = 0;
        self.entries.clear();
        self.bytes = 0;
        self.longest_key = 0;
    }

    /// Frees memory that only large transactions need.
    pub fn shrink(&mut self) {
        // The first chunks, which are the smallest, are at the end of `spare`.
        let more = self.spare.len().saturating_sub(KEPT_CHUNKS);
        self.spare.drain(..more);
        self.spare.retain(|chunk| chunk.capacity() <= KEPT_BYTES);
        if self.entries.capacity() > KEPT_BYTES / std::mem::size_of::<RecordPos>() {
            self.entries = Vec::new();
        }
    }

    /// Returns whether the keys arrived in ascending order.
    pub fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// Returns the memory of the records and leaves an empty log, so that the caller can keep pinned bytes alive.
    pub fn take_chunks(&mut self) -> Vec<Vec<u8>> {
        self.entries.clear();
        self.used = 0;
        self.bytes = 0;
        self.longest_key = 0;
        std::mem::take(&mut self.chunks)
    }
}
