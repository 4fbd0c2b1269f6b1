//! Values that are being written in parts. The transaction keeps them, so that the pages of a value whose writer was
//! forgotten are given back.

use super::put::PutMode;
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::{PageSink, PIECE};
use crate::tree::write::values::{ChainWriter, VALUE_MAX};
use std::collections::BTreeMap;

/// An extent whose length nobody told is so many times as long as what was written before it. The extents of a value
/// are few (eight), so they must grow: with this number, eight have room for the largest value.
const GROWTH: u64 = 5;

/// The values that were begun and not finished, by the number of their writer.
#[derive(Default)]
pub struct UnfinishedValues {
    next: u64,
    values: BTreeMap<u64, UnfinishedValue>,
}

/// A value that was begun and not finished.
pub struct UnfinishedValue {
    /// The table that its entry will be in.
    pub table: TableId,
    /// The key of its entry.
    pub key: Vec<u8>,
    /// How the put treats a key that has an entry already, or that has none.
    pub mode: PutMode,
    /// The part that is written already.
    pub chain: ChainWriter,
    /// The piece that is being collected.
    pub piece: Vec<u8>,
    /// The length that the caller expects the value to have, or 0 if nobody knows.
    pub expected: u64,
}

impl UnfinishedValues {
    /// Adds a new value and returns its number.
    pub fn add(&mut self, value: UnfinishedValue) -> u64 {
        let number = self.next;
        self.next += 1;
        self.values.insert(number, value);
        number
    }

    /// Takes a value out; it is then put back or ended.
    pub fn take(&mut self, number: u64) -> Option<UnfinishedValue> {
        self.values.remove(&number)
    }

    /// Puts a value back under its number.
    pub fn put_back(&mut self, number: u64, value: UnfinishedValue) {
        self.values.insert(number, value);
    }

    /// Returns how many values are being written.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns whether no value is being written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Forgets all values. Their pages are given back with everything that was taken since a savepoint.
    pub fn forget(&mut self) {
        self.values.clear();
    }

    /// Gives the pages of all values back.
    pub fn cancel<P: PageSink>(self, pages: &mut P) {
        for (_, value) in self.values {
            value.chain.cancel(pages);
        }
    }
}

impl UnfinishedValue {
    /// Writes the collected piece to the file.
    pub fn write_piece<P: PageSink>(&mut self, pages: &mut P) -> Result<()> {
        if self.chain.room() < self.piece.len() as u64 {
            // Perhaps there is room for what is there, though not for what may come. Whoever expects too much is
            // treated as if nobody knew.
            let wishes = [self.expected, 0].map(|expected| next_extent(self.chain.len(), expected));
            let lacks_room = |reserved: &Result<()>| matches!(reserved, Err(Error::Limit(_) | Error::Outgrown { .. }));
            let mut reserved = self.chain.reserve(wishes[0], pages);
            for less in [wishes[1], PIECE] {
                if lacks_room(&reserved) && less < wishes[0] {
                    self.expected = 0;
                    reserved = self.chain.reserve(less, pages);
                }
            }
            reserved?;
        }
        self.chain.piece(&self.piece, pages)?;
        self.piece.clear();
        Ok(())
    }
}

/// Returns the bytes of the next extent of a value of which `len` bytes are written and `expected` are expected (0 if
/// nobody knows). They are whole pieces, because all extents but the last must contain a multiple of a piece.
fn next_extent(len: u64, expected: u64) -> u64 {
    let more = match expected.min(VALUE_MAX).checked_sub(len) {
        Some(left) if left > 0 => left,
        // More was written than was expected, or nobody knew.
        _ => (GROWTH * len).min(VALUE_MAX.saturating_sub(len)),
    };
    more.max(1).next_multiple_of(PIECE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::chain::EXTENTS_MAX;

    /// Returns the extents that a value needs of which `expected` bytes are expected and `len` are written, where no
    /// extent adjoins another.
    fn extents(expected: u64, len: u64) -> usize {
        let (mut count, mut there) = (0, 0);
        while there < len {
            let more = next_extent(there, expected);
            assert!(more > 0 && more % PIECE == 0);
            assert!(
                there + more <= VALUE_MAX + PIECE,
                "no more than the largest value needs"
            );
            (count, there) = (count + 1, there + more);
        }
        count
    }

    #[test]
    fn a_value_of_any_length_has_few_extents_whatever_was_expected() {
        for len in [
            1,
            PIECE,
            PIECE + 1,
            100 * PIECE,
            1 << 34,
            (1 << 34) + 1,
            200 << 30,
            VALUE_MAX,
        ] {
            for expected in [0, 1, PIECE, len / 100, len / 2, len - 1, len + 1, 10 * len] {
                let count = extents(expected, len);
                assert!(
                    count <= EXTENTS_MAX,
                    "{count} extents for {len} bytes, {expected} expected"
                );
            }
            assert_eq!(extents(len, len), 1, "a right hint makes the value contiguous");
            assert_eq!(extents(u64::MAX, len), 1);
        }
    }
}
