//! Writing a value in parts.

use super::stream::Stream;
use super::types::PutMode;
use super::write::{is_inline, WriteTxn};
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::leaf::Stored;
use crate::page::PIECE;
use crate::tree::write::edits::Op;
use crate::tree::write::values::ChainWriter;

/// A value being written in parts. The entry appears at `finish`; one that is not finished gives its pages back when the
/// transaction ends.
#[derive(Debug)]
pub struct ValueWriter {
    number: u64,
}

impl WriteTxn {
    /// Begins a value of unknown length, written in parts. `size_hint`: how long it will be, 0 if unknown; a right one
    /// makes it contiguous. The mode is looked at now and again at the end.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn writer(&mut self, table: TableId, key: &[u8], size_hint: u64, mode: PutMode) -> Result<ValueWriter> {
        let at = self.open_to_write(table)?;
        self.check_mode(at, key, mode)?;
        let number = self.streams.add(Stream {
            table,
            key: key.to_vec(),
            mode,
            chain: ChainWriter::new(self.writer.page_size()),
            piece: Vec::new(),
            hint: size_hint,
        });
        Ok(ValueWriter { number })
    }
}

impl ValueWriter {
    /// Appends bytes.
    ///
    /// # Errors
    /// `BadHandle` (another transaction's), `TooBig`; `Io`, `NoSpace`: then only aborting is left.
    pub fn write(&mut self, txn: &mut WriteTxn, bytes: &[u8]) -> Result<()> {
        txn.ready()?;
        let mut stream = self.detach(txn)?;
        let mut left = bytes;
        let mut result = Ok(());
        while !left.is_empty() && result.is_ok() {
            let n = left.len().min(PIECE as usize - stream.piece.len());
            if stream.piece.try_reserve(n).is_err() {
                result = Err(Error::NoMemory("a part of a value"));
                break;
            }
            stream.piece.extend_from_slice(&left[..n]);
            left = &left[n..];
            if stream.piece.len() as u64 == PIECE {
                result = stream.write_piece(txn.writer.place());
            }
        }
        txn.streams.put_back(self.number, stream);
        result.map_err(|e| txn.fail(e))
    }

    /// Puts the entry.
    ///
    /// # Errors
    /// As [`WriteTxn::put`].
    pub fn finish(self, txn: &mut WriteTxn) -> Result<()> {
        txn.ready()?;
        let mut stream = self.detach(txn)?;
        let table = stream.table;
        let at = match txn.open_to_write(table) {
            Ok(at) => at,
            Err(e) => {
                stream.chain.cancel(txn.writer.place());
                return Err(e);
            }
        };
        if stream.chain.is_empty() && is_inline(&stream.key, stream.piece.len(), txn.writer.page_size()) {
            return txn.put(table, &stream.key, &stream.piece, stream.mode);
        }
        if let Err(e) = txn.check_mode(at, &stream.key, stream.mode) {
            stream.chain.cancel(txn.writer.place());
            return Err(e);
        }
        let place = txn.writer.place();
        let mut written = Ok(());
        if !stream.piece.is_empty() {
            written = stream.write_piece(place);
        }
        let finished = written.and_then(|()| stream.chain.finish(place));
        let chain = finished.map_err(|e| txn.fail(e))?;
        txn.push(at, &stream.key, Op::Put(Stored::Chain(&chain)), false)
    }

    /// Gives the pages back.
    pub fn cancel(self, txn: &mut WriteTxn) {
        if let Ok(stream) = self.detach(txn) {
            stream.chain.cancel(txn.writer.place());
        }
    }

    fn detach(&self, txn: &mut WriteTxn) -> Result<Stream> {
        txn.streams
            .take(self.number)
            .ok_or(Error::BadHandle("a value writer of another transaction"))
    }
}
