//! What a slotted leaf stores of an entry: its record, and the value in it. `leaf.rs` shows how the bytes lie.

use super::layout::record::{Lengths, LENGTHS};
use super::layout::HEAD_BYTES;
use crate::util::bytes::same;

/// A value as a leaf stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored<'a> {
    /// The bytes of the value.
    Inline(&'a [u8]),
    /// The description of a chain, as `page/chain.rs` has it.
    Chain(&'a [u8]),
}

impl<'a> Stored<'a> {
    /// Returns the bytes in the page, whichever they are.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Stored::Inline(b) | Stored::Chain(b) => b,
        }
    }

    /// Returns whether the value is outside the page.
    pub fn is_chain(&self) -> bool {
        matches!(self, Stored::Chain(_))
    }
}

/// A record of a slotted leaf, taken apart.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where the record begins in its page.
    pub at: usize,
    pub(super) lengths: Lengths,
    /// The key behind its head, and the description of a long key's rest.
    pub remainder: &'a [u8],
    value: &'a [u8],
}

impl<'a> Record<'a> {
    /// Returns the record that begins at `at`, or `None` if it leaves the page or is of a later version.
    #[inline(always)]
    pub(super) fn read(page: &'a [u8], at: usize) -> Option<Record<'a>> {
        let lengths = Lengths::read(page, at)?;
        if lengths.is_extended() {
            return None;
        }
        let bytes = page.get(at + LENGTHS..at + lengths.record())?;
        let (remainder, value) = bytes.split_at_checked(lengths.remainder())?;
        Some(Record {
            at,
            lengths,
            remainder,
            value,
        })
    }

    /// Returns the value of the record at `at` if its key has this suffix, and neither key nor value is long. `None`
    /// says nothing about why.
    #[inline(always)]
    pub(super) fn whole_value_of(page: &'a [u8], at: usize, suffix: &[u8]) -> Option<&'a [u8]> {
        let lengths = Lengths::read(page, at)?;
        if !lengths.is_whole() || lengths.whole_key() != suffix.len() {
            return None;
        }
        let (from, searched) = (at + LENGTHS, remainder(suffix));
        let bytes = page.get(from..from + searched.len() + lengths.whole_value())?;
        let (stored, value) = bytes.split_at_checked(searched.len())?;
        same(stored, searched).then_some(value)
    }

    /// Returns where the value begins in the page.
    #[inline(always)]
    pub fn value_at(&self) -> usize {
        self.at + LENGTHS + self.remainder.len()
    }

    /// Returns the value.
    #[inline(always)]
    pub fn value(&self) -> Stored<'a> {
        match self.lengths.value_is_chain() {
            false => Stored::Inline(self.value),
            true => Stored::Chain(self.value),
        }
    }

    /// Returns the number of bytes of the record.
    #[inline(always)]
    pub fn size(&self) -> usize {
        self.lengths.record()
    }
}

/// Returns what follows the head of a suffix.
#[inline(always)]
pub(super) fn remainder(suffix: &[u8]) -> &[u8] {
    suffix.get(HEAD_BYTES..).unwrap_or(&[])
}
