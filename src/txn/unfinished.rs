//! Values that are being written in parts. The transaction keeps them, so that the pages of a value whose writer was
//! forgotten are given back.

use super::put::PutMode;
use crate::error::Result;
use crate::ids::TableId;
use crate::page::{PageSink, PIECE};
use crate::tree::write::values::ChainWriter;
use std::collections::BTreeMap;

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

    /// Returns whether no value is being written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
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
            // The extent is as long as what is still expected or, if nobody knows that, three times as long as what was
            // written; eight extents then have room for 16 GiB, and for more where one adjoins another. It is rounded
            // up to whole pieces, because all extents but the last must contain a multiple of a piece.
            let left = self.expected.saturating_sub(self.chain.len());
            let least = left.max(self.piece.len() as u64);
            let more = match self.expected {
                0 => least.max(3 * self.chain.len()),
                _ => least,
            };
            self.chain.reserve(more.next_multiple_of(PIECE), pages)?;
        }
        self.chain.piece(&self.piece, pages)?;
        self.piece.clear();
        Ok(())
    }
}
