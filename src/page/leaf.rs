//! Leaf pages: entries in key order.
//!
//! Slotted leaf (kind 1), arrays from byte 24 on, so that header, heads and fingerprints arrive with one burst:
//!
//! ```text
//! heads u32[n] | fingerprints u8[n] | offsets u16[n] | free | records | prefix
//!
//! record   u16 inline suffix length, bit 15: long key     (the first 4 bytes are in the head, not repeated)
//!          u16 value bytes, bit 15: the value is a chain description (`chain`)
//!          remainder: inline suffix bytes behind the head, then the description of a long key's rest
//!          value
//! ```
//!
//! Dense leaf (kind 2): all keys have the same suffix width (1-8 bytes), all values the same width, none is long:
//!
//! ```text
//! suffixes as little-endian integers u8/u16/u32/u64[n] (left-aligned big-endian bytes) | values
//! ```
//!
//! Every access checks its bounds. A damaged page gives [`Damage`] or at worst wrong answers, but never a read outside
//! the page.

use super::arrays::PageArrays;
use super::header::{self, Damage, Top, DENSE, LEAF, NOT_A_PAGE, WRONG_LEVEL};
use super::layout::leaf::{ENTRY, FINGERPRINTS, OFFSETS};
use super::layout::record::{Lengths, LENGTHS};
use super::layout::DenseShape;
use super::record::Record;
pub use super::record::Stored;
use super::search::head_at;
use super::suffix::Suffix;
use super::PageSource;
use crate::error::{Error, Result};
use crate::ids::PageRef;
use crate::util::bytes::{get_u16, get_u32, get_u64};

const NOT_A_LEAF: Damage = Damage("not a leaf");
const ARRAYS_BEYOND: Damage = Damage("leaf arrays beyond the page");

/// A leaf whose bounds were checked. It knows where it is, so that its errors can say so.
#[derive(Clone, Copy)]
pub struct Leaf<'a> {
    pub(super) page: &'a [u8],
    pub(super) top: Top,
    /// What the entries of a dense leaf have in common; zeros in a slotted one.
    pub(super) dense: DenseShape,
    pub(super) at: PageRef,
}

impl<'a> Leaf<'a> {
    /// Views the page at `at` as a leaf, to search in it and to read its entries.
    ///
    /// # Errors
    /// `Corrupt` if it is something else, or if its arrays do not lie inside the page. The records are not checked here
    /// but when they are read.
    #[inline(always)]
    pub fn of(page: &'a [u8], at: PageRef) -> Result<Leaf<'a>> {
        let top = Top::of(page).ok_or_else(|| NOT_A_PAGE.at(at))?;
        let n = usize::from(top.count());
        if top.is(LEAF, 1) {
            header::check(page).map_err(|damage| damage.at(at))?;
            if OFFSETS.at(n, n) > page.len() {
                return Err(ARRAYS_BEYOND.at(at));
            }
            let dense = DenseShape::default();
            return Ok(Leaf { page, top, dense, at });
        }
        if !top.is(DENSE, 1) {
            return Err(refuse(page, at));
        }
        header::check(page).map_err(|damage| damage.at(at))?;
        let dense = header::dense_shape(page);
        // An element is the smallest that the suffix fits into. Searches profit from knowing which ones there are.
        let fits = dense.suffix <= dense.element && 2 * dense.suffix > dense.element;
        if !matches!(dense.element, 1 | 2 | 4 | 8) || !fits {
            return Err(NOT_A_LEAF.at(at));
        }
        if dense.end(n) > page.len() - header::prefix_len(page) {
            return Err(Damage("dense leaf beyond the page").at(at));
        }
        Ok(Leaf { page, top, dense, at })
    }

    /// Views the page at `at` as a leaf, to change it or to copy all of it. What its header says of records and prefix
    /// is checked, too.
    ///
    /// # Errors
    /// `Corrupt` if it is no leaf, or if arrays, records and prefix do not fit into the page.
    #[inline]
    pub fn new(page: &'a [u8], at: PageRef) -> Result<Leaf<'a>> {
        let leaf = Leaf::of(page, at)?;
        let (n, room) = (leaf.len(), page.len() - header::prefix_len(page));
        if !leaf.is_dense() && OFFSETS.at(n, n) + header::heap(page) > room {
            return Err(ARRAYS_BEYOND.at(at));
        }
        Ok(leaf)
    }

    /// Returns the number of entries.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.top.count().into()
    }

    /// Returns whether there is no entry.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.top.count() == 0
    }

    /// Returns whether this is a dense leaf.
    #[inline(always)]
    pub fn is_dense(&self) -> bool {
        self.dense.element != 0
    }

    /// Returns what the entries of a dense leaf have in common, or zeros for a slotted one.
    #[inline(always)]
    pub fn shape(&self) -> DenseShape {
        self.dense
    }

    /// Returns the prefix that all keys share.
    #[inline(always)]
    pub fn prefix(&self) -> &'a [u8] {
        header::prefix(self.page)
    }

    /// Returns the bytes of the page.
    #[inline(always)]
    pub fn bytes(&self) -> &'a [u8] {
        self.page
    }

    /// Returns where the page is.
    #[inline(always)]
    pub fn at(&self) -> PageRef {
        self.at
    }

    /// Returns the number of bytes in use: header, arrays, records, prefix.
    pub fn used(&self) -> usize {
        let (n, prefix) = (self.len(), header::prefix_len(self.page));
        if self.is_dense() {
            self.dense.end(n) + prefix
        } else {
            OFFSETS.at(n, n) + prefix + (header::heap(self.page).saturating_sub(header::garbage(self.page)))
        }
    }

    /// Returns the arrays of a slotted leaf.
    #[inline(always)]
    pub(super) fn arrays(&self) -> Result<PageArrays<'a, ENTRY>> {
        // `of` has checked this before, so it costs nothing where both are compiled together.
        PageArrays::new(self.page, self.top.count()).ok_or_else(|| ARRAYS_BEYOND.at(self.at))
    }

    /// Returns record `i` of a slotted leaf.
    ///
    /// # Errors
    /// `Corrupt` if it leaves the page.
    #[inline(always)]
    pub fn record(&self, i: usize) -> Result<Record<'a>> {
        let at = OFFSETS.get(self.page, self.len(), i).into();
        Record::read(self.page, at).ok_or_else(|| bad_record(self.page, at, self.at))
    }

    #[inline(always)]
    pub(super) fn dense_suffix(&self, i: usize) -> u64 {
        let at = self.dense.suffix_at(i);
        let b = self.page;
        match self.dense.element {
            1 => (b[at] as u64) << 56,
            2 => (get_u16(b, at) as u64) << 48,
            4 => (get_u32(b, at) as u64) << 32,
            _ => get_u64(b, at),
        }
    }

    /// Returns whether the bytes that an element of a dense leaf has more than its suffix are zero.
    pub fn is_padded(&self, i: usize) -> bool {
        self.dense_suffix(i).trailing_zeros() as usize >= 64 - 8 * self.dense.suffix
    }

    /// Returns fingerprint `i` of a slotted leaf.
    #[inline(always)]
    pub fn fingerprint(&self, i: usize) -> u8 {
        FINGERPRINTS.get(self.page, self.len(), i)
    }

    /// Returns key `i` of a slotted leaf behind the prefix.
    ///
    /// # Errors
    /// `Corrupt` if the record leaves the page.
    #[inline(always)]
    pub fn slotted_suffix(&self, i: usize) -> Result<Suffix<'a>> {
        self.record(i).map(|record| self.suffix_in(i, &record))
    }

    /// Returns key `i` of a slotted leaf, whose record this is, behind the prefix.
    #[inline(always)]
    pub(super) fn suffix_in(&self, i: usize, record: &Record<'a>) -> Suffix<'a> {
        Suffix {
            lead: &[],
            head: head_at(self.page, i),
            len: record.lengths.key(),
            remainder: record.remainder,
            long: record.lengths.key_is_long(),
        }
    }

    /// Returns value `i`.
    ///
    /// # Errors
    /// `Corrupt` if the record leaves the page.
    #[inline(always)]
    pub fn value(&self, i: usize) -> Result<Stored<'a>> {
        if self.is_dense() {
            let at = self.dense.value_at(self.len(), i);
            return Ok(Stored::Inline(&self.page[at..at + self.dense.value]));
        }
        Ok(self.record(i)?.value())
    }

    /// Appends key `i` (prefix and inline suffix, and the rest of a long key) to `out`.
    ///
    /// # Errors
    /// `Corrupt` if the record leaves the page or the rest of a long key cannot be read.
    #[inline]
    pub fn key<'s, S: PageSource<'s> + ?Sized>(&self, i: usize, source: &S, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(self.prefix());
        if self.is_dense() {
            out.extend_from_slice(&self.dense_suffix(i).to_be_bytes()[..self.dense.suffix]);
            return Ok(());
        }
        self.slotted_suffix(i)?.write_whole(source, out, self.at.into())
    }
}

/// Returns an error that says which part of the record at `offset` leaves the page at `at`. A function that is called
/// with the view itself keeps the view out of registers, so the calls out of the fast path are given its parts.
#[cold]
#[inline(never)]
fn bad_record(page: &[u8], offset: usize, at: PageRef) -> Error {
    let damage = match Lengths::read(page, offset) {
        None => "record outside its page",
        Some(lengths) if lengths.is_extended() => "record of a later version",
        Some(lengths) if offset + LENGTHS + lengths.remainder() > page.len() => "key outside its page",
        Some(_) => "value outside its page",
    };
    Damage(damage).at(at)
}

/// Returns an error that says why the page at `at` is not the leaf that its parent leads to.
#[cold]
#[inline(never)]
fn refuse(page: &[u8], at: PageRef) -> Error {
    match header::kind(page) {
        LEAF | DENSE => WRONG_LEVEL.at(at),
        _ => NOT_A_LEAF.at(at),
    }
}
