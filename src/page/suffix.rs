//! The part of a key that a page stores: what follows the page's prefix.
//!
//! A record keeps the first 4 bytes of it in the head array and only the rest beside the value. A *long* key (more than
//! [`leaf_key_max`] in a leaf, more than [`separator_max`] in a branch) keeps its first [`KEEP`] bytes in the page and
//! the rest in an extent, described by the last [`REST`] bytes of its remainder:
//!
//! ```text
//!  0  u32  length of the whole key
//!  4  u48  first page of the rest
//! 10  u48  birth
//! 16  u32  CRC-32C of the first MiB of the rest
//! 20  u32  CRC-32C of what follows it (0 if nothing)
//! ```
//!
//! The rest of a key takes a page at least. So a key becomes long only where the record would not fit a leaf at all:
//! one record in a leaf of its own takes no more. A branch must have many children, or the tree would be tall, so its
//! separators become long earlier. There is one for each leaf, so their rests take as many pages as the leaves at most.

use super::header::Damage;
use super::layout::leaf::ENTRY;
use super::layout::record::{self, LENGTHS, REST};
use super::layout::{HEADER, HEAD_BYTES};
use super::search::head;
use super::{Extent, PageSource, KEY_MAX, PIECE};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::util::bytes::{common_prefix, get_u32, get_u48, order, put_u32, put_u48};
use std::cmp::Ordering;

/// The number of bytes of a long key that stay in the page, the prefix included. They are more than a prefix, a head
/// and the hashed bytes need.
pub const KEEP: usize = 288;
/// Where the fields of the description begin.
mod field {
    pub const KEY_LEN: usize = 0;
    pub const PAGE: usize = 4;
    pub const BIRTH: usize = 10;
    pub const CHECKSUMS: [usize; 2] = [16, 20];
}

/// The largest length of a suffix. It leaves bit 14 of the stored length free.
const LENGTH_MAX: usize = (1 << 14) - 1;
/// The room that a leaf with one record has beside the key for the value: enough for the largest description of a
/// chain.
const VALUE_ROOM: usize = 272;

/// Returns the length of the longest key that leaves of this size keep whole. Longer ones are long keys.
#[inline(always)]
pub fn leaf_key_max(page_size: usize) -> usize {
    (page_size - HEADER - ENTRY - LENGTHS - VALUE_ROOM).min(LENGTH_MAX)
}

/// Returns the length of the longest separator that branches of this size keep whole.
#[inline(always)]
pub fn separator_max(page_size: usize) -> usize {
    page_size / 8
}

/// The description of the rest of a long key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Length of the whole key.
    pub key_len: usize,
    /// The first page of the rest.
    pub page: PageNo,
    /// The commit that wrote the rest.
    pub birth: CommitId,
    /// The checksums of its pieces.
    pub checksums: [u32; 2],
}

// A rest is never empty.
#[allow(clippy::len_without_is_empty)]
impl Rest {
    /// Parses the description, and checks the length.
    pub fn decode(b: &[u8]) -> std::result::Result<Rest, Damage> {
        if b.len() != REST {
            return Err(Damage("bad description of a long key"));
        }
        let rest = Rest {
            key_len: get_u32(b, field::KEY_LEN) as usize,
            page: PageNo::new(get_u48(b, field::PAGE)),
            birth: CommitId::new(get_u48(b, field::BIRTH)),
            checksums: field::CHECKSUMS.map(|at| get_u32(b, at)),
        };
        if rest.key_len <= KEEP || rest.key_len > KEY_MAX {
            return Err(Damage("bad length of a long key"));
        }
        if rest.len() <= PIECE as usize && rest.checksums[1] != 0 {
            return Err(Damage("a checksum of nothing in a long key"));
        }
        Ok(rest)
    }

    /// Returns the description as it is stored.
    pub fn encode(&self) -> [u8; REST] {
        let mut b = [0; REST];
        put_u32(&mut b, field::KEY_LEN, self.key_len as u32);
        put_u48(&mut b, field::PAGE, self.page.get());
        put_u48(&mut b, field::BIRTH, self.birth.get());
        for (at, checksum) in field::CHECKSUMS.into_iter().zip(self.checksums) {
            put_u32(&mut b, at, checksum);
        }
        b
    }

    /// Returns the number of bytes of the rest.
    pub fn len(&self) -> usize {
        self.key_len - KEEP
    }

    /// Returns the pages of the rest.
    pub fn extent(&self, page_size: usize) -> Extent {
        Extent::new(
            Run::new(self.page, (self.len() as u64).div_ceil(page_size as u64)),
            self.birth,
        )
    }

    /// Reads the bytes of the rest, verified.
    pub fn read<'s, S: PageSource<'s> + ?Sized>(&self, source: &S) -> Result<&'s [u8]> {
        let first = self.len().min(PIECE as usize);
        source.piece(self.page, first, self.checksums[0])?;
        if self.len() > first {
            let next = self.page + PIECE / source.page_size() as u64;
            source.piece(next, self.len() - first, self.checksums[1])?;
        }
        source.raw(self.page, self.len() as u64)
    }
}

/// The prefix of a page that is being built.
///
/// The suffixes that go into the page are counted from an earlier prefix, the base, which is shorter or the same. They
/// still begin with the last `drop` bytes of this prefix.
#[derive(Debug, Clone, Copy)]
pub struct NewPrefix<'a> {
    /// What all keys of the page begin with.
    pub bytes: &'a [u8],
    /// How many of its bytes the suffixes lose.
    pub drop: usize,
}

impl<'a> NewPrefix<'a> {
    /// Returns the prefix `bytes` for suffixes that are counted from the first `base` bytes of it.
    #[inline(always)]
    pub fn of(bytes: &'a [u8], base: usize) -> NewPrefix<'a> {
        debug_assert!(base <= bytes.len(), "suffixes are counted from a prefix of the prefix");
        let drop = bytes.len() - base;
        NewPrefix { bytes, drop }
    }
}

/// A key relative to some page's prefix: `lead`, then 4 bytes in `head`, then `remainder`. `lead` is empty unless the
/// key is on its way to a page with a shorter prefix.
#[derive(Debug, Clone, Copy)]
pub struct Suffix<'a> {
    /// Bytes before the head.
    pub lead: &'a [u8],
    /// The next 4 bytes, zero padded.
    pub head: u32,
    /// The number of inline bytes from the head on. A long key has up to [`KEEP`] of them, the prefix included.
    pub len: usize,
    /// The inline bytes behind the head. In a long key the description of its rest follows them.
    pub remainder: &'a [u8],
    /// Whether the key is long.
    pub long: bool,
}

impl<'a> Suffix<'a> {
    /// Returns the suffix of a key that is stored whole.
    #[inline(always)]
    pub fn of(suffix: &'a [u8]) -> Suffix<'a> {
        Suffix {
            lead: &[],
            head: head(suffix),
            len: suffix.len(),
            remainder: suffix.get(HEAD_BYTES..).unwrap_or(&[]),
            long: false,
        }
    }

    /// Returns the inline bytes behind the head, without the description of a rest.
    #[inline(always)]
    pub fn inline_remainder(&self) -> &'a [u8] {
        &self.remainder[..self.len.saturating_sub(HEAD_BYTES)]
    }

    /// Returns the description of the rest of a long key.
    pub fn rest(&self) -> std::result::Result<Option<Rest>, Damage> {
        if !self.long {
            return Ok(None);
        }
        Rest::decode(&self.remainder[self.len.saturating_sub(HEAD_BYTES)..]).map(Some)
    }

    /// Returns whether a head that is longer than the suffix is padded with zeros.
    pub fn is_padded(&self) -> bool {
        let unused = HEAD_BYTES.saturating_sub(self.len);
        unused == 0 || self.head.trailing_zeros() as usize >= 8 * unused
    }

    /// Returns the number of inline bytes, the lead included.
    #[inline(always)]
    pub fn inline_len(&self) -> usize {
        self.lead.len() + self.len
    }

    /// Returns the number of bytes that a record needs for the remainder once the first `drop` bytes of the suffix have
    /// become prefix.
    #[inline(always)]
    pub fn remainder_bytes(&self, drop: usize) -> usize {
        record::remainder(self.inline_len().saturating_sub(drop), self.long)
    }

    /// Returns the suffix without its first `drop` bytes, which have become prefix. A damaged page may hold a shorter
    /// suffix, of which nothing is left. The suffix must have no lead.
    #[inline(always)]
    pub fn dropped(&self, drop: usize) -> Suffix<'a> {
        debug_assert!(self.lead.is_empty());
        let drop = drop.min(self.len);
        if drop == 0 {
            return *self;
        }
        let remainder = self.inline_remainder();
        let head = if drop < HEAD_BYTES {
            (self.head << (8 * drop)) | (head(remainder) >> (32 - 8 * drop))
        } else {
            head(&remainder[(drop - HEAD_BYTES).min(remainder.len())..])
        };
        Suffix {
            lead: &[],
            head,
            len: self.len - drop,
            remainder: &self.remainder[drop.min(remainder.len())..],
            long: self.long,
        }
    }

    /// Does what [`Suffix::dropped`] does with a suffix that may have a lead. `scratch` holds the bytes if they must be
    /// moved together.
    #[inline(always)]
    pub fn behind_prefix<'b>(&self, drop: usize, scratch: &'b mut Vec<u8>) -> Suffix<'b>
    where
        'a: 'b,
    {
        if self.lead.is_empty() {
            return self.dropped(drop);
        }
        scratch.clear();
        self.write_to(scratch);
        let len = scratch.len();
        scratch.extend_from_slice(&self.remainder[self.inline_remainder().len()..]);
        let from = drop.min(len);
        Suffix {
            lead: &[],
            head: head(&scratch[from..len]),
            len: len - from,
            // Of a long key, the description of its rest begins behind the inline bytes, however few are left of them.
            remainder: &scratch[(from + HEAD_BYTES).min(len)..],
            long: self.long,
        }
    }

    /// Appends the inline bytes to `out`.
    #[inline(always)]
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.lead);
        out.extend_from_slice(&self.head.to_be_bytes()[..self.len.min(HEAD_BYTES)]);
        out.extend_from_slice(self.inline_remainder());
    }

    /// Appends the whole key from the suffix on, the rest of a long one included.
    pub fn write_whole<'s, S: PageSource<'s> + ?Sized>(
        &self,
        source: &S,
        out: &mut Vec<u8>,
        page: Option<PageNo>,
    ) -> Result<()> {
        self.write_to(out);
        if let Some(rest) = self.rest().map_err(|d| d.at(page))? {
            let rest = rest.read(source)?;
            Error::or_room(out, rest.len(), "a long key")?;
            out.extend_from_slice(rest);
        }
        Ok(())
    }

    /// Compares this stored suffix with the suffix of a searched key whose head is known to be equal. The stored suffix
    /// has no lead.
    #[inline(always)]
    pub fn cmp_remainder<'s, S: PageSource<'s> + ?Sized>(&self, searched: &[u8], source: &S) -> Result<Ordering> {
        let other = searched.get(HEAD_BYTES..).unwrap_or(&[]);
        if !self.long {
            return Ok(order(self.remainder, other).then(self.len.cmp(&searched.len())));
        }
        self.cmp_long(searched, source)
    }

    #[cold]
    fn cmp_long<'s, S: PageSource<'s> + ?Sized>(&self, searched: &[u8], source: &S) -> Result<Ordering> {
        let inline = self.inline_remainder();
        let other = searched.get(HEAD_BYTES..).unwrap_or(&[]);
        if other.len() <= inline.len() {
            // The stored key goes on behind its inline part. If they are equal so far, it is greater.
            return Ok(inline.cmp(other).then(Ordering::Greater));
        }
        let order = inline.cmp(&other[..inline.len()]);
        if order != Ordering::Equal {
            return Ok(order);
        }
        let rest = self
            .rest()
            .map_err(|d| d.at(None))?
            .ok_or(Error::Invalid("not a long key"))?;
        Ok(rest.read(source)?.cmp(&other[inline.len()..]))
    }

    /// Returns the number of bytes that this suffix and `other` share, counted from the lead on.
    pub fn common<'s, S: PageSource<'s> + ?Sized>(&self, other: &Suffix<'_>, source: &S) -> Result<usize> {
        if self.lead.is_empty() && other.lead.is_empty() {
            let x = self.head ^ other.head;
            if x != 0 {
                return Ok((x.leading_zeros() as usize / 8).min(self.len).min(other.len));
            }
            if self.len < HEAD_BYTES || other.len < HEAD_BYTES {
                return Ok(self.len.min(other.len));
            }
            let (a, b) = (self.inline_remainder(), other.inline_remainder());
            let c = common_prefix(a, b);
            if !(self.long && other.long) || c < a.len().min(b.len()) {
                if self.long != other.long && c == a.len().min(b.len()) {
                    return self.common_slow(other, source);
                }
                return Ok(HEAD_BYTES + c);
            }
        }
        match self.long || other.long {
            true => self.common_slow(other, source),
            false => Ok(self.common_inline(other)),
        }
    }

    /// Does what [`Suffix::common`] does with two suffixes that are stored whole, piece by piece.
    fn common_inline(&self, other: &Suffix<'_>) -> usize {
        let heads = [self.head.to_be_bytes(), other.head.to_be_bytes()];
        let mut a = [
            self.lead,
            &heads[0][..self.len.min(HEAD_BYTES)],
            self.inline_remainder(),
        ];
        let mut b = [
            other.lead,
            &heads[1][..other.len.min(HEAD_BYTES)],
            other.inline_remainder(),
        ];
        let (mut i, mut j, mut common) = (0, 0, 0);
        while let (Some(x), Some(y)) = (a.get_mut(i), b.get_mut(j)) {
            let both = x.len().min(y.len());
            let shared = common_prefix(&x[..both], &y[..both]);
            common += shared;
            if shared < both {
                break;
            }
            (*x, *y) = (&x[both..], &y[both..]);
            i += usize::from(x.is_empty());
            j += usize::from(y.is_empty());
        }
        common
    }

    #[cold]
    fn common_slow<'s, S: PageSource<'s> + ?Sized>(&self, other: &Suffix<'_>, source: &S) -> Result<usize> {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        self.write_whole(source, &mut a, None)?;
        other.write_whole(source, &mut b, None)?;
        Ok(common_prefix(&a, &b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_is_slicing() {
        let key = b"abcdefghijkl";
        for from in 0..=key.len() {
            for drop in 0..=key.len() - from {
                let a = Suffix::of(&key[from..]).dropped(drop);
                let b = Suffix::of(&key[from + drop..]);
                assert_eq!(
                    (a.head, a.len, a.remainder),
                    (b.head, b.len, b.remainder),
                    "from {from} drop {drop}"
                );
            }
        }
    }

    /// Keys of every length up to 12, that begin to differ at each byte, with leads of every length.
    #[test]
    fn leads_count_among_what_is_shared() {
        for (len, other_len) in (0..=12usize).flat_map(|a| (0..=12usize).map(move |b| (a, b))) {
            for differ in 0..=12 {
                let key: Vec<u8> = (0..len as u8).collect();
                let other: Vec<u8> = (0..other_len as u8)
                    .map(|i| i + u8::from(usize::from(i) >= differ))
                    .collect();
                for (lead, other_lead) in (0..=len).flat_map(|a| (0..=other_len).map(move |b| (a, b))) {
                    let [a, b] = [(&key, lead), (&other, other_lead)].map(|(key, lead)| Suffix {
                        lead: &key[..lead],
                        ..Suffix::of(&key[lead..])
                    });
                    let want = differ.min(len).min(other_len);
                    let found = a.common_inline(&b);
                    assert_eq!(found, want, "{key:?} {other:?} leads of {lead} and {other_lead}");
                }
            }
        }
    }

    /// A long suffix with few inline bytes is what only a damaged page holds, and its rest must stay readable all the
    /// same.
    #[test]
    fn a_lead_goes_before_what_is_dropped() {
        let inline = b"abcdefghijkl";
        let rest = Rest {
            key_len: 1000,
            page: PageNo::new(7),
            birth: CommitId::new(9),
            checksums: [3, 0],
        };
        for lead in 0..=inline.len() {
            for long in [false, true] {
                let behind = &inline[lead..];
                let mut remainder = behind.get(HEAD_BYTES..).unwrap_or(&[]).to_vec();
                if long {
                    remainder.extend_from_slice(&rest.encode());
                }
                let whole = Suffix {
                    lead: &inline[..lead],
                    head: head(behind),
                    len: behind.len(),
                    remainder: &remainder,
                    long,
                };
                for drop in 0..=inline.len() {
                    let mut scratch = Vec::new();
                    let left = whole.behind_prefix(drop, &mut scratch);
                    let mut bytes = Vec::new();
                    left.write_to(&mut bytes);
                    assert_eq!(bytes, &inline[drop..], "lead {lead} drop {drop} long {long}");
                    assert_eq!(left.rest().unwrap(), long.then_some(rest), "lead {lead} drop {drop}");
                }
            }
        }
    }
}
