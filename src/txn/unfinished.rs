//! Values that are being written in parts. The transaction keeps them, so that one whose writer was forgotten gives its
//! pages back.

use super::put::PutMode;
use crate::error::Result;
use crate::ids::TableId;
use crate::page::{PageSink, PIECE};
use crate::tree::write::values::ChainWriter;
use std::collections::BTreeMap;

/// Values that were begun and not finished, by the number of their writer.
#[derive(Default)]
pub struct UnfinishedValues {
    next: u64,
    values: BTreeMap<u64, UnfinishedValue>,
}

/// One of them.
pub struct UnfinishedValue {
    /// Where its entry will be,
    pub table: TableId,
    /// under which key,
    pub key: Vec<u8>,
    /// and how that treats an entry which is there.
    pub mode: PutMode,
    /// What is written.
    pub chain: ChainWriter,
    /// The piece being collected.
    pub piece: Vec<u8>,
    /// How long the value is said to be; 0 if nobody knows.
    pub expected: u64,
}

impl UnfinishedValues {
    /// Takes a new value in and answers its number.
    pub fn add(&mut self, value: UnfinishedValue) -> u64 {
        let number = self.next;
        self.next += 1;
        self.values.insert(number, value);
        number
    }

    /// Takes a value out, to be put back or ended.
    pub fn take(&mut self, number: u64) -> Option<UnfinishedValue> {
        self.values.remove(&number)
    }

    /// Puts a value back under its number.
    pub fn put_back(&mut self, number: u64, value: UnfinishedValue) {
        self.values.insert(number, value);
    }

    /// Whether no value is being written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Gives the pages of all of them back.
    pub fn cancel<P: PageSink>(self, pages: &mut P) {
        for (_, value) in self.values {
            value.chain.cancel(pages);
        }
    }
}

impl UnfinishedValue {
    /// Writes the collected piece out.
    pub fn write_piece<P: PageSink>(&mut self, pages: &mut P) -> Result<()> {
        if self.chain.room() < self.piece.len() as u64 {
            // What is said to come, or three times what came: eight extents hold any length. Whole pieces, so that an
            // extent that turns out not to be the last holds a multiple of one.
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
