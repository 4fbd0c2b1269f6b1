//! Rebuilding whole keys from a leaf, fast.
//!
//! A key is prefix, head and remainder. The prefix is the same for all entries of a leaf and stays in the buffer; a
//! step writes only what follows. Small stores would cost the reader of the key a stall, because a load across stores
//! that are still in flight cannot be forwarded. So the words around the end of the prefix are put together in
//! registers and stored on 8-byte bounds, the prefix's last bytes included, and what follows is copied in pieces of 16.

use super::layout::leaf::OFFSETS;
use super::layout::record::{Lengths, LENGTHS};
use super::layout::{DenseShape, HEADS, HEAD_BYTES};
use super::leaf::{Leaf, Stored};
use super::PageSource;
use crate::error::{Error, Result};
use crate::util::prefetch::prefetch;

/// Bytes behind a key that may be overwritten while it is put together.
const SPARE: usize = 32;
/// Bytes of a short key together with what lies behind it.
pub const PADDED: usize = SPARE;
/// Bytes of a remainder that go into the same word as the head.
const EARLY: usize = size_of::<u64>() - HEAD_BYTES;

/// A key with room behind it, because keys are written in whole registers.
#[derive(Debug, Clone, Default)]
pub struct KeyBuf {
    bytes: Vec<u8>,
    len: usize,
}

impl KeyBuf {
    /// Returns the empty key.
    pub fn new() -> KeyBuf {
        KeyBuf::default()
    }

    /// Returns the bytes of the key.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    /// Returns a short key with what happens to lie behind it, so that it can be copied in registers and not by a call,
    /// or `None` if the key is not short.
    #[inline(always)]
    pub fn padded(&self) -> Option<&[u8; PADDED]> {
        if self.len > PADDED {
            return None;
        }
        self.bytes.first_chunk()
    }

    /// Returns whether `other` overlaps the memory of the key.
    pub fn overlaps(&self, other: &[u8]) -> bool {
        let (here, there) = (self.bytes.as_ptr_range(), other.as_ptr_range());
        here.start < there.end && there.start < here.end
    }

    /// Makes this a copy of `key`.
    ///
    /// # Errors
    /// `NoMemory`: it is as it was.
    pub fn set(&mut self, key: &[u8]) -> Result<()> {
        self.ensure(key.len())?;
        self.bytes[..key.len()].copy_from_slice(key);
        self.len = key.len();
        Ok(())
    }

    /// Returns a copy of the key.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn copy(&self) -> Result<KeyBuf> {
        let mut copy = KeyBuf::new();
        copy.set(self)?;
        Ok(copy)
    }

    #[inline(always)]
    fn ensure(&mut self, len: usize) -> Result<()> {
        if self.bytes.len() < len + SPARE {
            return self.grow(len);
        }
        Ok(())
    }

    #[cold]
    fn grow(&mut self, len: usize) -> Result<()> {
        let more = (len + 2 * SPARE).saturating_sub(self.bytes.len());
        Error::or_room(&mut self.bytes, more, "the key of a cursor")?;
        self.bytes.resize(len + 2 * SPARE, 0);
        Ok(())
    }
}

impl std::ops::Deref for KeyBuf {
    type Target = [u8];
    #[inline(always)]
    fn deref(&self) -> &[u8] {
        self.as_slice()
    }
}

/// Returns `N` bytes from `at` on, if they are inside. Where `at` is made of 16-bit numbers, this is one compare.
#[inline(always)]
fn fixed<const N: usize>(page: &[u8], at: usize) -> Option<&[u8; N]> {
    page.get(at..at + N)?.first_chunk::<N>()
}

/// What is the same for all entries of one leaf. It consists of numbers only: the page is given to every call, and
/// every access to it is checked, so the shape of another page gives wrong answers at worst. The numbers are as wide as
/// in the page, so the compiler knows that no sum of them overflows.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeafShape {
    prefix: u16,
    /// The last multiple of 8 in the prefix, from which on a key is written as words, and the bits of the prefix behind
    /// it.
    word: u16,
    shift: u8,
    /// Where the offsets of a slotted leaf begin, or the values of a dense one.
    second: u32,
    /// The numbers of a dense leaf as in [`DenseShape`]; zeros for a slotted leaf.
    element: u8,
    suffix: u8,
    value: u16,
    /// The prefix's bytes from `word` on, as the beginning of a big-endian word.
    stem: u64,
}

impl LeafShape {
    /// Returns the shape of `leaf`, and puts the leaf's prefix into `key`, where [`LeafShape::entry`] relies on it.
    ///
    /// # Errors
    /// `NoMemory`.
    #[inline]
    pub fn of(leaf: &Leaf<'_>, key: &mut KeyBuf) -> Result<LeafShape> {
        let prefix = leaf.prefix();
        key.ensure(prefix.len())?;
        key.bytes[..prefix.len()].copy_from_slice(prefix);
        let mut stem = [0; 8];
        let last = &prefix[prefix.len() & !7..];
        stem[..last.len()].copy_from_slice(last);
        let dense = leaf.shape();
        let second = match leaf.is_dense() {
            true => dense.value_at(leaf.len(), 0),
            false => OFFSETS.at(leaf.len(), 0),
        };
        Ok(LeafShape {
            prefix: prefix.len() as u16,
            word: (prefix.len() & !7) as u16,
            shift: 8 * (prefix.len() & 7) as u8,
            second: second as u32,
            element: dense.element as u8,
            suffix: dense.suffix as u8,
            value: dense.value as u16,
            stem: u64::from_be_bytes(stem),
        })
    }

    /// Puts key `i` of the leaf into `key`, which holds the leaf's prefix, and returns its value. Returns `None` and
    /// leaves `key` unchanged if the key or the value is long, the record lies near the end of the page, the key is
    /// longer than the room in `key`, or the page is damaged; [`Leaf::entry`] tells which.
    #[inline(always)]
    pub fn entry<'a>(&self, page: &'a [u8], i: usize, key: &mut KeyBuf) -> Option<&'a [u8]> {
        self.entry_of::<true>(page, i, key)
    }

    /// Does what [`LeafShape::entry`] does, but also returns `None` for keys that go on for more than 16 bytes behind
    /// their second word. Without the call that copies them, all of this stays in registers.
    #[inline(always)]
    pub fn short_entry<'a>(&self, page: &'a [u8], i: usize, key: &mut KeyBuf) -> Option<&'a [u8]> {
        self.entry_of::<false>(page, i, key)
    }

    #[inline(always)]
    fn entry_of<'a, const ANY: bool>(&self, page: &'a [u8], i: usize, key: &mut KeyBuf) -> Option<&'a [u8]> {
        let (i, word, second) = (usize::from(i as u16), usize::from(self.word), self.second as usize);
        if self.element != 0 {
            let (element, value) = (usize::from(self.element), usize::from(self.value));
            let dense = DenseShape {
                suffix: usize::from(self.suffix),
                element,
                value,
            };
            // The element's bytes come first in memory, so they are the low ones, and the shift moves them up.
            let suffix = u64::from_le_bytes(*fixed(page, dense.suffix_at(i))?) << ((64 - 8 * element) & 63);
            let from = second + value * i;
            let value = page.get(from..from + value)?;
            let to = key.bytes.get_mut(word..word + 16)?.first_chunk_mut()?;
            self.write_words(suffix, 0, to);
            key.len = usize::from(self.prefix) + usize::from(self.suffix);
            return Some(value);
        }
        let at = usize::from(u16::from_le_bytes(*fixed(page, second + OFFSETS.width() * i)?));
        let record = fixed::<{ LENGTHS + 32 }>(page, at)?;
        let lengths = Lengths::of(*record.first_chunk()?);
        if !lengths.is_whole() {
            return None;
        }
        let (len, size) = (lengths.whole_key(), lengths.whole_value());
        let end = at + lengths.whole_value_at();
        let value = page.get(end..end + size)?;
        let head = u32::from_le_bytes(*fixed(page, HEADS.at(0, i))?);
        // The number of bytes that two words have room for. The next 16 bytes are copied in any case, and more only of
        // longer keys.
        let in_words = 16 - usize::from(self.shift & 56) / 8;
        if len > in_words + 16 {
            if !ANY {
                return None;
            }
            copy_on(
                page.get(at + in_words + 16..)?,
                key.bytes.get_mut(word + 32..)?,
                len - in_words - 16,
            )?;
        }
        let (words, more) = key.bytes.get_mut(word..word + 32)?.split_first_chunk_mut()?;
        *more.first_chunk_mut::<16>()? = *record[in_words..].first_chunk()?;
        let early = u32::from_be_bytes(*record[LENGTHS..].first_chunk()?);
        let late = u64::from_be_bytes(*record[LENGTHS + EARLY..].first_chunk()?);
        self.write_words(u64::from(head) << 32 | u64::from(early), late, words);
        key.len = usize::from(self.prefix) + len;
        Some(value)
    }

    /// Writes the beginning of a suffix behind the prefix's last bytes.
    #[inline(always)]
    fn write_words(&self, first: u64, second: u64, to: &mut [u8; 16]) {
        let both = (u128::from(first) << 64 | u128::from(second)) >> (self.shift & 56);
        to[..8].copy_from_slice(&(self.stem | (both >> 64) as u64).to_be_bytes());
        to[8..].copy_from_slice(&(both as u64).to_be_bytes());
    }

    /// Returns value `i` of the leaf alone, or `None` if the key or the value is long or the page is damaged.
    #[inline]
    pub fn value<'a>(&self, page: &'a [u8], i: usize) -> Option<&'a [u8]> {
        let (i, second) = (usize::from(i as u16), self.second as usize);
        let (from, size) = if self.element != 0 {
            let width = usize::from(self.value);
            (second + width * i, width)
        } else {
            let at = usize::from(u16::from_le_bytes(*fixed(page, second + OFFSETS.width() * i)?));
            let lengths = Lengths::of(*fixed(page, at)?);
            if !lengths.is_whole() {
                return None;
            }
            (at + lengths.whole_value_at(), lengths.whole_value())
        };
        page.get(from..from + size)
    }

    /// Prefetches the records of the entries `from .. to`, which lie anywhere in the page. Without this, each step
    /// would wait for a cache miss of its own.
    #[inline]
    pub fn prefetch(&self, page: &[u8], from: usize, to: usize) {
        let second = self.second as usize;
        if self.element != 0 {
            let at = second + usize::from(self.value) * from;
            prefetch(page.get(at..).unwrap_or(&[]), 1);
            return;
        }
        let width = OFFSETS.width();
        let offsets = page.get(second + width * from..second + width * to).unwrap_or(&[]);
        for offset in offsets.chunks_exact(width) {
            let at = u16::from_le_bytes([offset[0], offset[1]]) as usize;
            // One line has the rest of the key, and the value's beginning may lie in the next one.
            prefetch(page.get(at..).unwrap_or(&[]), 1);
            prefetch(page.get(at + 32..).unwrap_or(&[]), 1);
        }
    }
}

/// Copies at least `len` bytes in pieces of 16, beyond their end if need be. Copies nothing and returns `None` if one
/// side is too short for that.
#[inline(never)]
fn copy_on(from: &[u8], to: &mut [u8], len: usize) -> Option<()> {
    let whole = len.next_multiple_of(16);
    let (from, to) = (from.get(..whole)?, to.get_mut(..whole)?);
    for (to, from) in to.chunks_exact_mut(16).zip(from.chunks_exact(16)) {
        to.copy_from_slice(from);
    }
    Some(())
}

impl<'a> Leaf<'a> {
    /// Puts key `i` into `key`, however it is stored, and returns its value.
    #[inline(never)]
    pub fn entry<'s, S: PageSource<'s> + ?Sized>(&self, i: usize, source: &S, key: &mut KeyBuf) -> Result<Stored<'a>> {
        key.bytes.clear();
        key.len = 0;
        self.key(i, source, &mut key.bytes)?;
        key.len = key.bytes.len();
        key.ensure(key.len)?;
        self.value(i)
    }
}
