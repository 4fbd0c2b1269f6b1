//! What a transaction keeps of values that are being written in parts.

use super::types::PutMode;
use crate::error::Result;
use crate::ids::TableId;
use crate::page::{PageSink, PIECE};
use crate::tree::write::values::ChainWriter;
use std::collections::BTreeMap;

/// Values being written, by number. They live in the transaction, so that one forgotten gives its pages back.
#[derive(Default)]
pub(crate) struct Streams {
    next: u64,
    open: BTreeMap<u64, Stream>,
}

/// One of them.
pub(crate) struct Stream {
    pub table: TableId,
    pub key: Vec<u8>,
    pub mode: PutMode,
    pub chain: ChainWriter,
    /// The piece being collected.
    pub piece: Vec<u8>,
    /// Bytes that are said to come.
    pub hint: u64,
}

impl Streams {
    /// Takes a new one in; its number.
    pub fn add(&mut self, stream: Stream) -> u64 {
        let number = self.next;
        self.next += 1;
        self.open.insert(number, stream);
        number
    }

    /// Takes one out, to be put back or ended.
    pub fn take(&mut self, number: u64) -> Option<Stream> {
        self.open.remove(&number)
    }

    /// Puts it back.
    pub fn put_back(&mut self, number: u64, stream: Stream) {
        self.open.insert(number, stream);
    }

    /// Whether none is being written.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Gives the pages of unfinished values back.
    pub fn cancel<P: PageSink>(&mut self, place: &mut P) {
        for (_, stream) in std::mem::take(&mut self.open) {
            stream.chain.cancel(place);
        }
    }
}

impl Stream {
    /// Writes the collected piece out.
    pub fn write_piece<P: PageSink>(&mut self, place: &mut P) -> Result<()> {
        if self.chain.room() < self.piece.len() as u64 {
            // What is said to come, or three times what came: eight extents hold any length. Whole pieces, so that an
            // extent that turns out not to be the last holds a multiple of one.
            let known = self.hint.saturating_sub(self.chain.len()).max(self.piece.len() as u64);
            let more = if self.hint > 0 {
                known
            } else {
                known.max(3 * self.chain.len())
            };
            self.chain.reserve(more.next_multiple_of(PIECE), place)?;
        }
        self.chain.piece(&self.piece, place)?;
        self.piece.clear();
        Ok(())
    }
}
