//! The edits of a log in key order, and sections of them.
//!
//! A log whose keys arrived in ascending order needs no sorting. For any other, each edit becomes one 128-bit integer:
//! the 8 key bytes behind the prefix that all keys of the log share, then the record's position in the log. Integers
//! sort fast, and the keys themselves are looked at only where those 8 bytes tie.

use super::edits::{EditLog, Op, RecordPos, NO_MEMORY};
use crate::error::Result;
use crate::page::leaf_build::PlainEntry;
use crate::page::suffix::leaf_key_max;
use crate::util::prefetch::prefetch;

/// The cache lines of a record that are prefetched: a key and a value of some 200 bytes.
const RECORD_LINES: usize = 4;
/// How many records ahead of its use a record is prefetched (fewer than 8 and more than 16 are slower).
pub(super) const RECORDS_AHEAD: usize = 12;

impl EditLog {
    /// Returns the edits in key order, only the last one of each key. `dropped` is called with the others.
    ///
    /// # Errors
    /// `NoMemory`: there is no memory for the sorted list.
    pub fn sorted(&self, mut dropped: impl FnMut(Op<'_>)) -> Result<Sorted<'_>> {
        let shared = self.shared();
        let mut order: Vec<SortWord> = Vec::new();
        if self.ascending {
            return Ok(Sorted {
                log: self,
                order,
                shared,
            });
        }
        order.try_reserve_exact(self.entries.len()).map_err(|_| NO_MEMORY)?;
        order.extend(self.entries.iter().map(|pos| SortWord::of(self, *pos, shared)));
        order.sort_unstable();
        let mut from = 0;
        while from < order.len() {
            let mut to = from + 1;
            while to < order.len() && order[to].key_bytes() == order[from].key_bytes() {
                to += 1;
            }
            if to - from > 1 {
                // This sort is stable, so equal keys keep arrival order.
                order[from..to].sort_by(|a, b| self.key(a.pos()).cmp(self.key(b.pos())));
            }
            from = to;
        }
        let mut kept = 0;
        for i in 0..order.len() {
            // The last edit of a key wins.
            let replaced = i + 1 < order.len()
                && order[i].key_bytes() == order[i + 1].key_bytes()
                && self.key(order[i].pos()) == self.key(order[i + 1].pos());
            if replaced {
                dropped(self.op(order[i].pos()));
            } else {
                order[kept] = order[i];
                kept += 1;
            }
        }
        order.truncate(kept);
        Ok(Sorted {
            log: self,
            order,
            shared,
        })
    }
}

/// The number that an edit is sorted by: 8 bytes of its key in the high half, its position in the log in the low half.
/// So of two edits with equal bytes, the later one comes later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(transparent)]
struct SortWord(u128);

impl SortWord {
    #[inline(always)]
    fn of(log: &EditLog, pos: RecordPos, shared: usize) -> SortWord {
        let key = key_bytes(&log.key(pos)[shared..]);
        SortWord(u128::from(key) << 64 | u128::from(pos.to_bits()))
    }

    #[inline(always)]
    fn key_bytes(self) -> u64 {
        (self.0 >> 64) as u64
    }

    #[inline(always)]
    fn pos(self) -> RecordPos {
        RecordPos::from_bits(self.0 as u64)
    }
}

/// Returns the first 8 bytes as a big-endian integer. Missing bytes are zero.
#[inline(always)]
fn key_bytes(b: &[u8]) -> u64 {
    if let Some(w) = b.first_chunk::<8>() {
        return u64::from_be_bytes(*w);
    }
    let mut w = [0; 8];
    w[..b.len()].copy_from_slice(b);
    u64::from_be_bytes(w)
}

/// Edits in strictly ascending key order.
pub struct Sorted<'a> {
    log: &'a EditLog,
    /// The sorted edits, or none if the log is in order as it is.
    order: Vec<SortWord>,
    /// The number of bytes that all keys of the log share.
    shared: usize,
}

impl<'a> Sorted<'a> {
    /// Returns the number of edits.
    pub fn len(&self) -> usize {
        match self.order.len() {
            0 => self.log.len(),
            n => n,
        }
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    /// Returns all edits as a section.
    pub(super) fn all(&self) -> EditSlice<'_> {
        EditSlice {
            edits: self,
            from: 0,
            to: self.len(),
        }
    }

    #[inline(always)]
    fn pos(&self, i: usize) -> RecordPos {
        match self.order.is_empty() {
            true => self.log.entries[i],
            false => self.order[i].pos(),
        }
    }

    /// Returns the key of edit `i`.
    #[inline(always)]
    pub fn key(&self, i: usize) -> &'a [u8] {
        self.log.key(self.pos(i))
    }

    /// Returns what edit `i` does.
    #[inline(always)]
    pub fn op(&self, i: usize) -> Op<'a> {
        self.log.op(self.pos(i))
    }

    /// Returns the first 8 bytes of key `i` behind what all keys share.
    #[inline(always)]
    fn key_bytes(&self, i: usize) -> u64 {
        match self.order.get(i) {
            Some(word) => word.key_bytes(),
            None => key_bytes(&self.key(i)[self.shared..]),
        }
    }

    /// Prefetches edit `i` if there is one. A log that is in order is read sequentially and needs no prefetch.
    #[inline(always)]
    fn prefetch(&self, i: usize) {
        if let Some(word) = self.order.get(i) {
            prefetch(self.log.bytes_from(word.pos()), RECORD_LINES);
        }
    }
}

/// A section of sorted edits: those for one subtree, or what is left of them. Edits are counted from its start.
#[derive(Clone, Copy)]
pub(super) struct EditSlice<'e> {
    edits: &'e Sorted<'e>,
    from: usize,
    to: usize,
}

impl<'e> EditSlice<'e> {
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.to - self.from
    }

    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// Returns the key of edit `i`.
    #[inline(always)]
    pub fn key(&self, i: usize) -> &'e [u8] {
        debug_assert!(i < self.len(), "an edit of this section");
        self.edits.key(self.from + i)
    }

    /// Returns what edit `i` does.
    #[inline(always)]
    pub fn op(&self, i: usize) -> Op<'e> {
        debug_assert!(i < self.len(), "an edit of this section");
        self.edits.op(self.from + i)
    }

    /// Prefetches edit `i`, which may lie behind the section, because the next section is used next.
    #[inline(always)]
    pub fn prefetch(&self, i: usize) {
        self.edits.prefetch(self.from + i);
    }

    /// Returns the first `n` edits, and the others.
    #[inline(always)]
    pub fn split_at(self, n: usize) -> (EditSlice<'e>, EditSlice<'e>) {
        debug_assert!(n <= self.len(), "a cut inside the section");
        let cut = self.from + n;
        (EditSlice { to: cut, ..self }, EditSlice { from: cut, ..self })
    }

    /// Returns the edits of keys below `bound`, and the others.
    pub fn split_below(self, bound: &[u8]) -> (EditSlice<'e>, EditSlice<'e>) {
        let (below, others) = self.split_at(self.count_below(bound));
        debug_assert!(
            below.is_empty() || below.key(below.len() - 1) < bound,
            "keys within fences"
        );
        debug_assert!(others.is_empty() || others.key(0) >= bound, "keys within fences");
        (below, others)
    }

    /// Returns how many edits have keys below `bound`. It gallops, because most groups are small, and compares whole
    /// keys only where their first bytes tie.
    fn count_below(&self, bound: &[u8]) -> usize {
        if self.is_empty() {
            return 0;
        }
        let Sorted { shared, .. } = *self.edits;
        // Unless the bound begins with what all keys share, it lies before or behind all of them.
        let common = &self.key(0)[..shared];
        let head = &bound[..bound.len().min(shared)];
        if head != &common[..head.len()] {
            return if head < common { 0 } else { self.len() };
        }
        if bound.len() < shared {
            return 0;
        }
        let bound_bytes = key_bytes(&bound[shared..]);
        let less = |i: usize| {
            let bytes = self.edits.key_bytes(self.from + i);
            bytes < bound_bytes || bytes == bound_bytes && self.key(i) < bound
        };
        let end = self.len();
        let (mut low, mut step) = (0, 1);
        while low < end && less(low) {
            if low + step >= end || !less(low + step) {
                break;
            }
            low += step;
            step *= 2;
        }
        let mut high = end.min(low + step);
        // Edit `low` is less (or is the first), and `high` is not (or is the end).
        while low < high {
            let middle = low + (high - low) / 2;
            if less(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Returns whether the log only puts keys and values that stay in leaves of pages of this size.
    pub fn is_plain(&self, page_size: usize) -> bool {
        self.edits.log.marks == 0 && self.edits.log.longest_key <= leaf_key_max(page_size)
    }

    /// Adds key and value of the edits, which are plain, to `list`.
    pub fn copy_plain(&self, list: &mut Vec<PlainEntry<'e>>) {
        let log = self.edits.log;
        if self.edits.order.is_empty() {
            return list.extend(log.entries[self.from..self.to].iter().map(|pos| log.plain(*pos)));
        }
        list.extend((self.from..self.to).map(|i| {
            self.edits.prefetch(i + RECORDS_AHEAD);
            log.plain(self.edits.pos(i))
        }));
    }

    /// Returns whether the edits of the log arrived in this order.
    pub fn is_ascending(&self) -> bool {
        self.edits.log.ascending
    }

    /// Returns the length of the longest key of the log.
    pub fn longest_key(&self) -> usize {
        self.edits.log.longest_key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::leaf::Stored;
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
                let mut log = EditLog::default();
                let mut model = BTreeMap::new();
                for _ in 0..n {
                    let end: Vec<u8> = (0..rnd(14)).map(|_| b'a' + rnd(2) as u8 * 5).collect();
                    let key = [prefix, &end].concat();
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
                        let (_, section) = sorted.all().split_at(from);
                        assert_eq!(from + section.split_below(&bound).0.len(), want);
                    }
                }
            }
        }
    }
}
