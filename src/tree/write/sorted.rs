//! The edits of a log in key order.

use super::edits::{At, EditLog, Op, NO_MEMORY};
use crate::error::Result;
use crate::page::leaf_build::Whole;
use crate::page::suffix::key_inline_max;
use crate::util::prefetch::prefetch;
use std::ops::Range;

/// Cache lines of a record to ask for ahead: a key and a value of some 200 bytes.
const RECORD_LINES: usize = 4;
/// Records asked of memory ahead of their use (fewer or more than 8 to 16 are slower).
pub(super) const RECORDS_AHEAD: usize = 12;

impl EditLog {
    /// The edits in key order, of equal keys the last. `dropped` is told of the others.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn sorted(&self, mut dropped: impl FnMut(Op<'_>)) -> Result<Sorted<'_>> {
        let shared = self.shared();
        let mut order: Vec<u128> = Vec::new();
        if self.ascending {
            return Ok(Sorted {
                log: self,
                order,
                shared,
            });
        }
        order.try_reserve_exact(self.entries.len()).map_err(|_| NO_MEMORY)?;
        order.extend(self.entries.iter().map(|at| self.word(*at, shared) | *at as u128));
        order.sort_unstable();
        let mut from = 0;
        while from < order.len() {
            let word = order[from] >> 64;
            let mut to = from + 1;
            while to < order.len() && order[to] >> 64 == word {
                to += 1;
            }
            if to - from > 1 {
                // Stable: equal keys keep arrival order.
                order[from..to].sort_by(|a, b| self.key(*a as u64).cmp(self.key(*b as u64)));
            }
            from = to;
        }
        let mut kept = 0;
        for i in 0..order.len() {
            let replaced = i + 1 < order.len()
                && order[i] >> 64 == order[i + 1] >> 64
                && self.key(order[i] as u64) == self.key(order[i + 1] as u64);
            if replaced {
                dropped(self.op(order[i] as u64));
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

    /// The 8 bytes behind the prefix of `shared` bytes, as the high half.
    #[inline(always)]
    fn word(&self, at: At, shared: usize) -> u128 {
        (word(&self.key(at)[shared..]) as u128) << 64
    }
}

/// First 8 bytes as a big-endian integer, zero padded.
#[inline(always)]
fn word(b: &[u8]) -> u64 {
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
    /// Empty if the log is in order as it is.
    order: Vec<u128>,
    /// Bytes that all keys of the log share.
    shared: usize,
}

impl<'a> Sorted<'a> {
    /// Edits.
    pub fn len(&self) -> usize {
        match self.order.len() {
            0 => self.log.len(),
            n => n,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.log.is_empty()
    }

    #[inline(always)]
    fn at(&self, i: usize) -> At {
        match self.order.is_empty() {
            true => self.log.entries[i],
            false => self.order[i] as u64,
        }
    }

    /// Key of edit `i`.
    #[inline(always)]
    pub fn key(&self, i: usize) -> &'a [u8] {
        self.log.key(self.at(i))
    }

    /// What edit `i` does.
    #[inline(always)]
    pub fn op(&self, i: usize) -> Op<'a> {
        self.log.op(self.at(i))
    }

    /// Whether the log only puts keys and values that stay in leaves of pages of this size.
    pub fn is_plain(&self, page_size: usize) -> bool {
        self.log.marks == 0 && self.log.longest_key <= key_inline_max(page_size)
    }

    /// Adds key and value of the edits `range`, which are plain, to `list`.
    pub fn wholes(&self, range: Range<usize>, list: &mut Vec<Whole<'a>>) {
        let log = self.log;
        let whole = |at: At| {
            let (bytes, key, len) = log.record(at);
            let bytes = &bytes[..key + len as usize];
            Whole { bytes, key }
        };
        if self.order.is_empty() {
            return list.extend(log.entries[range].iter().map(|at| whole(*at)));
        }
        list.extend(range.map(|i| {
            self.prefetch(i + RECORDS_AHEAD);
            whole(self.at(i))
        }));
    }

    /// Whether they arrived in this order.
    pub fn is_ascending(&self) -> bool {
        self.log.ascending
    }

    /// Length of the longest key of the log.
    pub fn longest_key(&self) -> usize {
        self.log.longest_key
    }

    /// Asks memory for edit `i`, if there is one, and if each lies somewhere else in the log.
    #[inline(always)]
    pub fn prefetch(&self, i: usize) {
        if let Some(word) = self.order.get(i) {
            let at = *word as u64;
            prefetch(
                &self.log.chunks[(at >> 32) as usize][at as u32 as usize..],
                RECORD_LINES,
            );
        }
    }

    /// First edit from `from` on, below `to`, whose key is not less than `bound`. Gallops, and looks at keys only where
    /// their first bytes tie.
    pub fn border(&self, from: usize, to: usize, bound: &[u8]) -> usize {
        let shared = self.shared;
        let first = match from < to {
            true => self.key(from),
            false => return from,
        };
        let common = &first[..shared];
        let head = &bound[..bound.len().min(shared)];
        if head != &common[..head.len()] {
            return if head < common { from } else { to };
        }
        if bound.len() < shared {
            return from;
        }
        let w = word(&bound[shared..]);
        let less = |i: usize| {
            let x = match self.order.get(i) {
                Some(entry) => (entry >> 64) as u64,
                None => word(&self.key(i)[shared..]),
            };
            x < w || x == w && self.key(i) < bound
        };
        let (mut lo, mut step) = (from, 1);
        while lo < to && less(lo) {
            if lo + step >= to || !less(lo + step) {
                break;
            }
            lo += step;
            step *= 2;
        }
        let mut hi = to.min(lo + step);
        // lo is less (or the first), hi is not (or the end).
        while lo < hi {
            let mid = lo + (hi - lo) / 2;
            if less(mid) {
                lo = mid + 1;
            } else {
                hi = mid;
            }
        }
        lo
    }
}
