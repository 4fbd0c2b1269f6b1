//! Long values and the rests of long keys: writing them, and giving their pages back.
//!
//! Their pages are taken and written at once, not at commit: no private page number refers to them, and a value larger
//! than memory never has to be kept. If the transaction is aborted, no commit refers to them, and their pages count as
//! never taken.
//!
//! Each extent carries its own birth (I-10), so what was written in an earlier commit stays for the readers of that
//! commit.

use crate::error::{Error, Result};
use crate::ids::{PageNo, Run, U48_MAX};
use crate::page::chain::{needs_index, Chain, Sums, EXTENTS_MAX};
use crate::page::leaf::Stored;
use crate::page::suffix::{leaf_key_max, separator_max, Rest, Suffix, KEEP};
use crate::page::{Extent, PageSink, PIECE};
use crate::util::crc32c;

/// The bytes of the largest value: 256 GiB, whose checksums fill one piece.
pub const VALUE_MAX: u64 = 1 << 38;

/// A chain being written, piece by piece.
pub struct ChainWriter {
    page_size: usize,
    extents: Vec<Extent>,
    /// The bytes written so far, which are whole pieces until the last one is written.
    len: u64,
    /// The pages of the last extent that are not written yet.
    left: u64,
    sums: Vec<u8>,
}

impl ChainWriter {
    /// Returns the writer of a chain that has no bytes yet.
    pub fn new(page_size: usize) -> ChainWriter {
        ChainWriter {
            page_size,
            extents: Vec::new(),
            len: 0,
            left: 0,
            sums: Vec::new(),
        }
    }

    /// Returns the bytes written so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for more bytes: if the last extent is full, takes one for `bytes` bytes.
    pub fn reserve<P: PageSink>(&mut self, bytes: u64, sink: &mut P) -> Result<()> {
        if self.left > 0 || bytes == 0 {
            return Ok(());
        }
        let pages = bytes.div_ceil(self.page_size as u64);
        if pages > u32::MAX as u64 {
            return Err(Error::Limit(
                "a value's extent is too long; write the value in smaller parts".into(),
            ));
        }
        let run = sink.take_exact(pages)?;
        self.left = pages;
        let birth = sink.birth();
        let full = self.extents.len() == EXTENTS_MAX;
        match self.extents.last_mut() {
            // An extent taken at the end of the file often begins where the last one ends.
            Some(e) if e.run.end() == run.first && e.run.pages + pages <= u32::MAX as u64 => e.run.pages += pages,
            _ if full => {
                sink.release(Extent::new(run, birth));
                self.left = 0;
                return Err(Error::Limit(
                    "too many extents for one value; make room, so that the value lies in fewer, or split it".into(),
                ));
            }
            _ => self.extents.push(Extent::new(run, birth)),
        }
        Ok(())
    }

    /// Writes one piece of `PIECE` bytes, or of fewer at the end of the value. Room must have been reserved.
    pub fn piece<P: PageSink>(&mut self, bytes: &[u8], sink: &mut P) -> Result<()> {
        debug_assert!(
            self.len % PIECE == 0 && bytes.len() as u64 <= PIECE,
            "only the last piece of a value is shorter than the others"
        );
        if self.len + bytes.len() as u64 > VALUE_MAX {
            return Err(Error::TooBig {
                what: "value",
                size: self.len + bytes.len() as u64,
                limit: VALUE_MAX,
            });
        }
        let pages = (bytes.len() as u64).div_ceil(self.page_size as u64);
        let Some(extent) = self.extents.last().filter(|_| pages <= self.left) else {
            return Err(Error::Invalid("piece without room"));
        };
        let sum = crc32c(bytes);
        let done = extent.run.pages - self.left;
        sink.write_piece(extent.run.first + done, bytes, sum)?;
        self.left -= pages;
        self.len += bytes.len() as u64;
        self.sums.extend_from_slice(&sum.to_le_bytes());
        Ok(())
    }

    /// Returns the bytes that fit before the next `reserve`.
    pub fn room(&self) -> u64 {
        self.left * self.page_size as u64
    }

    /// Ends the value. Gives back the pages behind it, writes the index if one is needed, and returns the description.
    pub fn finish<P: PageSink>(mut self, sink: &mut P) -> Result<Vec<u8>> {
        if let Some(last) = self.extents.last_mut() {
            if self.left > 0 {
                last.run.pages -= self.left;
                sink.release(Extent::new(Run::new(last.run.end(), self.left), last.birth));
            }
        }
        self.extents.retain(|e| e.run.pages > 0);
        let sums = if needs_index(self.len) {
            let pages = (self.sums.len() as u64).div_ceil(self.page_size as u64);
            let run = sink.take_exact(pages)?;
            let sum = crc32c(&self.sums);
            sink.write_piece(run.first, &self.sums, sum)?;
            let birth = sink.birth();
            Sums::Index(Extent::new(run, birth), sum)
        } else {
            Sums::Direct(self.sums)
        };
        Ok(Chain {
            len: self.len,
            extents: self.extents,
            sums,
        }
        .encode())
    }

    /// Gives every page back.
    pub fn cancel<P: PageSink>(self, sink: &mut P) {
        self.extents.into_iter().for_each(|e| sink.release(e));
    }
}

/// Writes a whole value outside the tree. Returns the description for its record.
pub fn write_chain<P: PageSink>(bytes: &[u8], page_size: usize, sink: &mut P) -> Result<Vec<u8>> {
    let mut writer = ChainWriter::new(page_size);
    writer.reserve(bytes.len() as u64, sink)?;
    for piece in bytes.chunks(PIECE as usize) {
        writer.piece(piece, sink)?;
    }
    writer.finish(sink)
}

/// Gives the pages of a replaced or deleted value back. `at` is the page that refers to it, which errors name.
pub fn release_value<P: PageSink>(
    value: &Stored<'_>,
    at: impl Into<Option<PageNo>>,
    page_size: usize,
    sink: &mut P,
) -> Result<()> {
    if let Stored::Chain(description) = value {
        let chain = Chain::decode(description, page_size).map_err(|d| d.at(at))?;
        chain.all_extents().for_each(|e| sink.release(*e));
    }
    Ok(())
}

/// Gives the pages of a long key's rest back, if `suffix` is of a long key. `at` is the page it is in, which errors
/// name.
pub fn release_rest<P: PageSink>(
    suffix: &Suffix<'_>,
    at: impl Into<Option<PageNo>>,
    page_size: usize,
    sink: &mut P,
) -> Result<()> {
    let rest = match suffix.rest() {
        Ok(None) => return Ok(()),
        Ok(Some(rest)) => rest,
        Err(damage) => return Err(damage.at(at)),
    };
    let extent = rest.extent(page_size);
    if extent.run.checked_end().is_none_or(|end| end.get() > U48_MAX) {
        return Err(Error::corrupt(at, "rest of a long key outside the file"));
    }
    sink.release(extent);
    Ok(())
}

/// Returns whether a key is so long that its rest is kept outside its leaf.
pub fn is_long_key(key: &[u8], page_size: usize) -> bool {
    key.len() > leaf_key_max(page_size)
}

/// Returns whether a separator is so long that its rest is kept outside its branch.
pub fn is_long_separator(separator: &[u8], page_size: usize) -> bool {
    separator.len() > separator_max(page_size)
}

/// Writes the rest of a long key. Returns what stays in the page, counted from key byte `from` on.
pub fn write_rest<P: PageSink>(key: &[u8], from: usize, page_size: usize, sink: &mut P) -> Result<LongKey> {
    let bytes = &key[KEEP..];
    let run = sink.take_exact((bytes.len() as u64).div_ceil(page_size as u64))?;
    let mut checksums = [0; 2];
    for (i, piece) in bytes.chunks(PIECE as usize).enumerate() {
        let sum = crc32c(piece);
        sink.write_piece(run.first + i as u64 * (PIECE / page_size as u64), piece, sum)?;
        checksums[i] = sum;
    }
    let rest = Rest {
        key_len: key.len(),
        page: run.first,
        birth: sink.birth(),
        checksums,
    };
    let mut stored = key[from..KEEP].to_vec();
    stored.extend_from_slice(&rest.encode());
    Ok(LongKey {
        inline: KEEP - from,
        stored,
    })
}

/// A long key as a page keeps it, relative to some prefix.
pub struct LongKey {
    /// The number of bytes of the key among those stored.
    inline: usize,
    /// The bytes of the key, and behind them the description of its rest.
    stored: Vec<u8>,
}

impl LongKey {
    /// Returns the key as a suffix.
    pub fn suffix(&self) -> Suffix<'_> {
        let mut s = Suffix::of(&self.stored);
        s.len = self.inline;
        s.long = true;
        s
    }
}
