//! Rebuilding whole keys from a leaf, fast.
//!
//! A key is prefix, head and tail. The prefix is the same for all entries of a leaf and stays in the buffer; a step writes
//! only what follows. Written as small stores that would cost the reader of the key a stall: a load across stores that
//! are still in flight cannot be forwarded. So the words around the end of the prefix are put together in registers and
//! stored on 8-byte bounds, the prefix's last bytes included, and what follows is copied in pieces of 16.

use super::header::HEADER;
use super::leaf::{Leaf, Stored, LONG, RECORD};
use super::Source;
use crate::error::Result;
use crate::util::prefetch::prefetch;

/// Bytes behind a key that may be overwritten while it is put together.
const SPARE: usize = 32;

/// A key with room behind it: keys are written in whole registers.
#[derive(Debug, Clone, Default)]
pub struct KeyBuf {
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuf {
    /// The empty key.
    pub fn new() -> KeyBuf {
        KeyBuf::default()
    }

    /// The key.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Becomes a copy of `key`.
    pub fn set(&mut self, key: &[u8]) {
        self.ensure(key.len());
        self.bytes[..key.len()].copy_from_slice(key);
        self.len = key.len();
    }

    #[inline(always)]
    fn ensure(&mut self, len: usize) {
        if self.bytes.len() < len + SPARE {
            self.grow(len);
        }
    }

    #[cold]
    fn grow(&mut self, len: usize) {
        self.bytes.resize(len + 2 * SPARE, 0);
    }
}

/// `N` bytes from `at` on, if they are inside.
#[inline(always)]
fn fixed<const N: usize>(page: &[u8], at: usize) -> Option<&[u8; N]> {
    page.get(at..)?.first_chunk::<N>()
}

/// What is the same for all entries of one leaf. Only numbers: the page is given to every call, and every access to it is
/// checked, so a shape of another page gives wrong answers at worst.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape {
    n: usize,
    prefix: usize,
    /// The prefix's bytes from its last multiple of 8 on, as the begin of a big-endian word.
    stem: u64,
    /// Dense: as in [`Leaf::shape`]; zero in a slotted leaf.
    class: usize,
    width: usize,
    value_width: usize,
}

impl Shape {
    /// The shape of `leaf`; its prefix is put into `key`, where [`Shape::entry`] relies on it.
    #[inline]
    pub fn of(leaf: &Leaf<'_>, key: &mut KeyBuf) -> Shape {
        let prefix = leaf.prefix();
        key.ensure(prefix.len());
        key.bytes[..prefix.len()].copy_from_slice(prefix);
        let mut stem = [0; 8];
        let last = &prefix[prefix.len() & !7..];
        stem[..last.len()].copy_from_slice(last);
        let (width, class, value_width) = leaf.shape();
        Shape {
            n: leaf.len(),
            prefix: prefix.len(),
            stem: u64::from_be_bytes(stem),
            class,
            width,
            value_width,
        }
    }

    /// Puts key `i` of the leaf into `key`, which holds the leaf's prefix, and answers its value. `None`, with `key`
    /// unchanged: a long key or value, a record at the very end of the page, a key longer than the room in `key`, or
    /// damage; [`Leaf::entry`] tells which.
    #[inline(always)]
    pub fn entry<'a>(&self, page: &'a [u8], i: usize, key: &mut KeyBuf) -> Option<&'a [u8]> {
        let (word, odd) = (self.prefix & !7, self.prefix & 7);
        let shift = 8 * odd as u32;
        if self.class != 0 {
            // The element's bytes come first in memory, so they are the low ones: up with them.
            let suffix = u64::from_le_bytes(*fixed(page, HEADER + self.class * i)?) << ((64 - 8 * self.class) & 63);
            let from = HEADER + self.class * self.n + self.value_width * i;
            let value = page.get(from..from + self.value_width)?;
            let to = key.bytes.get_mut(word..)?.first_chunk_mut::<16>()?;
            to[..8].copy_from_slice(&(self.stem | suffix >> shift).to_be_bytes());
            to[8..].copy_from_slice(&((suffix << (63 - shift)) << 1).to_be_bytes());
            key.len = self.prefix + self.width;
            return Some(value);
        }
        let at = u16::from_le_bytes(*fixed(page, HEADER + 5 * self.n + 2 * i)?) as usize;
        let record = fixed::<{ RECORD + 16 }>(page, at)?;
        let (len, size) = (
            u16::from_le_bytes([record[0], record[1]]),
            u16::from_le_bytes([record[2], record[3]]),
        );
        if (len | size) & LONG != 0 {
            return None;
        }
        let len = len as usize;
        let tail = at + RECORD;
        let end = tail + len.saturating_sub(4);
        let value = page.get(end..end + size as usize)?;
        let head = u32::from_le_bytes(*fixed(page, HEADER + 4 * i)?);
        let early = u128::from_be_bytes(*record[RECORD..].first_chunk::<16>()?);
        let first = (head as u64) << 32 | (early >> 96) as u64;
        let second = (early >> 32) as u64;
        // Suffix bytes that the two words have room for, and where the others begin.
        let held = 16 - odd;
        if len > held {
            let from = tail + held - 4;
            let more = page.get(from..)?;
            let room = key.bytes.get_mut(word + 16..)?;
            if len - held <= 16 {
                room.first_chunk_mut::<16>()?.copy_from_slice(more.first_chunk::<16>()?);
            } else {
                // In pieces of 16, over its end: both sides are known to reach that far.
                let whole = (len - held).next_multiple_of(16);
                let (more, room) = (more.get(..whole)?, room.get_mut(..whole)?);
                for (to, from) in room.chunks_exact_mut(16).zip(more.chunks_exact(16)) {
                    to.copy_from_slice(from);
                }
            }
        }
        let to = key.bytes.get_mut(word..)?.first_chunk_mut::<16>()?;
        to[..8].copy_from_slice(&(self.stem | first >> shift).to_be_bytes());
        to[8..].copy_from_slice(&((first << (63 - shift)) << 1 | second >> shift).to_be_bytes());
        key.len = self.prefix + len;
        Some(value)
    }

    /// Asks memory for the records of the entries `from .. to`, which lie anywhere in the page: asked for one after the
    /// other by steps that wait for each, they would cost a miss each.
    #[inline]
    pub fn ahead(&self, page: &[u8], from: usize, to: usize) {
        if self.class != 0 {
            let at = HEADER + self.class * self.n + self.value_width * from;
            prefetch(page.get(at..).unwrap_or(&[]), 1);
            return;
        }
        let offsets = HEADER + 5 * self.n;
        let offsets = page.get(offsets + 2 * from..offsets + 2 * to).unwrap_or(&[]);
        for offset in offsets.chunks_exact(2) {
            let at = u16::from_le_bytes([offset[0], offset[1]]) as usize;
            // The rest of the key, and the value's begin, which may lie in the next line.
            prefetch(page.get(at..).unwrap_or(&[]), 1);
            prefetch(page.get(at + 32..).unwrap_or(&[]), 1);
        }
    }
}

impl<'a> Leaf<'a> {
    /// Puts key `i` into `key`, however it is stored, and answers its value. `number` is the page's number, for errors.
    #[inline(never)]
    pub fn entry<'s, S: Source<'s> + ?Sized>(
        &self,
        i: usize,
        number: u64,
        source: &S,
        key: &mut KeyBuf,
    ) -> Result<Stored<'a>> {
        key.bytes.clear();
        key.len = 0;
        self.key(i, number, source, &mut key.bytes)?;
        key.len = key.bytes.len();
        key.ensure(key.len);
        self.value(i).map_err(|d| d.at(number))
    }
}
