//! The description of a long value outside the page, which its leaf record holds.
//!
//! ```text
//!  0  u48  length in bytes
//!  6  u8   bit 0: 0: the checksums follow; 1: they are in an index extent. Other bits are refused
//!  7  u8   extents, 1 to 8
//!  8       extents: {u48 first page, u32 pages, u48 birth} each; all but the last hold a multiple of 1 MiB
//!          0: u32 CRC-32C of each piece of 1 MiB (the last one shorter)
//!          1: {u48 first page, u32 pages, u48 birth, u32 CRC-32C of the index}; the index holds the u32 checksums
//! ```
//!
//! Data pages have no header: a value in one extent is contiguous in the map, however long it is.

use super::header::Damage;
use super::{Extent, PageSource, PIECE};
use crate::error::Result;
use crate::ids::{CommitId, PageNo, Run, U48_MAX};
use crate::util::bytes::{get_u32, get_u48, put_u32, put_u48, try_u32, try_u48};

/// The most extents of a value.
pub const EXTENTS_MAX: usize = 8;
/// The bytes that an extent takes in the description.
pub const EXTENT_BYTES: usize = extent::BYTES;
/// The most pieces whose checksums stay in the record.
const DIRECT_MAX: u64 = 32;

/// Where the fields of a description begin.
mod field {
    pub const LEN: usize = 0;
    /// Bits that say how the value is stored.
    pub const FLAGS: usize = 6;
    pub const EXTENT_COUNT: usize = 7;
    pub const EXTENTS: usize = 8;
}

/// Where the fields of an extent in it begin.
mod extent {
    pub const PAGE: usize = 0;
    pub const PAGES: usize = 6;
    pub const BIRTH: usize = 10;
    /// Bytes of all these fields.
    pub const BYTES: usize = 16;
}

/// Bytes of a checksum.
const CHECKSUM: usize = 4;
/// The flag of a value whose checksums are in an index. There are no others in this version.
const INDEXED: u8 = 1;

/// A chain description that was parsed and whose numbers were checked against each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Bytes of the value.
    pub len: u64,
    /// Where they are.
    pub extents: Vec<Extent>,
    /// Where the checksums are.
    pub sums: Sums,
}

/// Where a chain's checksums are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sums {
    /// In the record: little-endian u32 each.
    Direct(Vec<u8>),
    /// In an extent of their own with this checksum.
    Index(Extent, u32),
}

/// Returns the number of pieces of a value of `len` bytes.
pub fn pieces(len: u64) -> u64 {
    len.div_ceil(PIECE)
}

/// Returns the number of bytes of the checksums of a value of `len` bytes.
fn sums_len(len: u64) -> u64 {
    CHECKSUM as u64 * pieces(len)
}

/// Returns whether the checksums of a value of `len` bytes need an index extent.
pub fn needs_index(len: u64) -> bool {
    pieces(len) > DIRECT_MAX
}

impl Chain {
    /// Parses a description. `page_size` is needed to check that the extents hold the value.
    pub fn decode(b: &[u8], page_size: usize) -> std::result::Result<Chain, Damage> {
        const BAD: Damage = Damage("bad description of a long value");
        let len = try_u48(b, field::LEN).ok_or(BAD)?;
        let (&flags, &count) = b.get(field::FLAGS).zip(b.get(field::EXTENT_COUNT)).ok_or(BAD)?;
        if flags & !INDEXED != 0 {
            return Err(Damage("a long value of a later version"));
        }
        let count = count as usize;
        if count == 0 || count > EXTENTS_MAX || len == 0 {
            return Err(BAD);
        }
        let mut extents = Vec::with_capacity(count);
        let mut room = 0u64;
        for i in 0..count {
            let e = decode_extent(b, field::EXTENTS + extent::BYTES * i).ok_or(BAD)?;
            room += e.run.pages * page_size as u64;
            if i + 1 < count && (e.run.pages * page_size as u64) % PIECE != 0 {
                return Err(BAD);
            }
            extents.push(e);
        }
        let at = field::EXTENTS + extent::BYTES * count;
        if len > room || room - len >= page_size as u64 {
            return Err(BAD);
        }
        let sums = if flags & INDEXED == 0 {
            let sums = b.get(at..).ok_or(BAD)?;
            if needs_index(len) || sums.len() as u64 != sums_len(len) {
                return Err(BAD);
            }
            Sums::Direct(sums.to_vec())
        } else {
            let e = decode_extent(b, at).ok_or(BAD)?;
            let sum = try_u32(b, at + extent::BYTES).ok_or(BAD)?;
            let need = sums_len(len).div_ceil(page_size as u64);
            if !needs_index(len) || e.run.pages != need || b.len() != at + extent::BYTES + CHECKSUM {
                return Err(BAD);
            }
            Sums::Index(e, sum)
        };
        Ok(Chain { len, extents, sums })
    }

    /// Returns the description as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        let mut b = vec![0; field::EXTENTS + extent::BYTES * self.extents.len()];
        put_u48(&mut b, field::LEN, self.len);
        b[field::EXTENT_COUNT] = self.extents.len() as u8;
        for (i, e) in self.extents.iter().enumerate() {
            encode_extent(&mut b, field::EXTENTS + extent::BYTES * i, e);
        }
        match &self.sums {
            Sums::Direct(sums) => b.extend_from_slice(sums),
            Sums::Index(e, sum) => {
                b[field::FLAGS] = INDEXED;
                let at = b.len();
                b.resize(at + extent::BYTES + CHECKSUM, 0);
                encode_extent(&mut b, at, e);
                put_u32(&mut b, at + extent::BYTES, *sum);
            }
        }
        b
    }

    /// Returns every extent, that of the index included.
    pub fn all_extents(&self) -> impl Iterator<Item = &Extent> {
        let index = match &self.sums {
            Sums::Index(e, _) => Some(e),
            Sums::Direct(_) => None,
        };
        self.extents.iter().chain(index)
    }

    /// Returns the checksums, which are read from the index if there is one.
    ///
    /// # Errors
    /// `Corrupt`, `Io`: the index cannot be read.
    pub fn sums<'x, 's: 'x, S: PageSource<'s> + ?Sized>(&'x self, source: &S) -> Result<&'x [u8]> {
        match &self.sums {
            Sums::Direct(b) => Ok(b),
            Sums::Index(e, sum) => source.piece(e.run.first, sums_len(self.len) as usize, *sum),
        }
    }

    /// Returns the first page and the number of bytes of piece `i`.
    fn locate(&self, i: u64, page_size: usize) -> Option<(PageNo, usize)> {
        let per_page = PIECE / page_size as u64;
        let mut page = i * per_page;
        for e in &self.extents {
            if page < e.run.pages {
                return Some((
                    e.run.first.checked_add(page)?,
                    (self.len - i * PIECE).min(PIECE) as usize,
                ));
            }
            page -= e.run.pages;
        }
        None
    }

    /// Returns the bytes of piece `i`, verified.
    pub fn piece<'s, S: PageSource<'s> + ?Sized>(&self, i: u64, source: &S) -> Result<&'s [u8]> {
        let sum = get_u32(self.sums(source)?, CHECKSUM * i as usize);
        let (page, len) = self
            .locate(i, source.page_size())
            .ok_or_else(|| Damage("piece outside its extents").at(None))?;
        source.piece(page, len, sum)
    }

    /// Returns the whole value in place if it is in one extent, every piece verified, or `None` if it is in several.
    pub fn in_place<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<Option<&'s [u8]>> {
        if self.extents.len() != 1 {
            return Ok(None);
        }
        // The bounds are checked first, so that a hostile length does not make the loop long.
        let whole = source.raw(self.extents[0].run.first, self.len)?;
        for i in 0..pieces(self.len) {
            self.piece(i, source)?;
        }
        Ok(Some(whole))
    }

    /// Copies bytes from `offset` on into `out`, and returns how many there were. Only the pieces that are touched are
    /// verified.
    pub fn read_at<'s, S: PageSource<'s> + ?Sized>(&self, offset: u64, out: &mut [u8], source: &S) -> Result<usize> {
        let end = self.len.min(offset.saturating_add(out.len() as u64));
        let mut at = offset;
        while at < end {
            let i = at / PIECE;
            let piece = self.piece(i, source)?;
            let from = (at - i * PIECE) as usize;
            let n = ((end - at) as usize).min(piece.len() - from);
            let to = (at - offset) as usize;
            out[to..to + n].copy_from_slice(&piece[from..from + n]);
            at += n as u64;
        }
        Ok(end.saturating_sub(offset) as usize)
    }
}

fn decode_extent(b: &[u8], at: usize) -> Option<Extent> {
    let b = b.get(at..at + extent::BYTES)?;
    let e = Extent::new(
        Run::new(PageNo::new(get_u48(b, extent::PAGE)), get_u32(b, extent::PAGES).into()),
        CommitId::new(get_u48(b, extent::BIRTH)),
    );
    (e.run.pages > 0).then_some(e)
}

fn encode_extent(b: &mut [u8], at: usize, e: &Extent) {
    debug_assert!(e.run.first.get() <= U48_MAX && e.run.pages <= u32::MAX as u64);
    put_u48(b, at + extent::PAGE, e.run.first.get());
    put_u32(b, at + extent::PAGES, e.run.pages as u32);
    put_u48(b, at + extent::BIRTH, e.birth.get());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptions_round_trip_and_reject_cuts() {
        let e = |page, pages| Extent::new(Run::new(PageNo::new(page), pages), CommitId::new(9));
        let direct = Chain {
            len: 3 * PIECE + 5,
            extents: vec![e(100, 512), e(7, 257)],
            sums: Sums::Direct(vec![1; 16]),
        };
        let index = Chain {
            len: 100 * PIECE,
            extents: vec![e(100, 25600)],
            sums: Sums::Index(e(5, 1), 77),
        };
        for c in [direct, index] {
            let b = c.encode();
            assert_eq!(Chain::decode(&b, 4096), Ok(c));
            for cut in 0..b.len() {
                assert!(Chain::decode(&b[..cut], 4096).is_err());
            }
            for flag in (0..8).map(|bit| 1 << bit) {
                let mut b = b.clone();
                b[field::FLAGS] ^= flag;
                assert!(Chain::decode(&b, 4096).is_err(), "flag {flag}");
            }
        }
    }
}
