//! Building a leaf from entries: sizes, the choice between slotted and dense, and the writing.
//!
//! There are two kinds of entries on their way into leaves. An [`Entry`] may come from another page, with a suffix that
//! is counted from that page's prefix, and may refer to pages of its own. A [`PlainEntry`] comes from a log as it was
//! put there. Both are written as the same bytes.

use super::header::{self, CHECK_PREFIX, DENSE, HEADER, LEAF};
use super::layout::leaf::{ENTRY, FINGERPRINTS, HEADS, OFFSETS};
use super::layout::record::{flagged, Lengths, LENGTHS};
use super::layout::{DenseShape, HEAD_BYTES};
use super::leaf::{Leaf, Stored};
use super::search::head;
use super::suffix::{NewPrefix, Suffix};
use crate::error::Result;
use crate::ids::TableId;
use crate::util::hash::fingerprint;

/// An entry on its way into a leaf. The suffix is relative to a prefix that all entries of one build share.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Key behind the common prefix.
    pub suffix: Suffix<'a>,
    /// Fingerprint of the whole key.
    pub fingerprint: u8,
    /// Value as it will be stored.
    pub value: Stored<'a>,
}

impl Entry<'_> {
    /// Returns the number of bytes that the entry takes in a slotted leaf whose prefix swallows the first `drop` bytes
    /// of the suffix.
    #[inline(always)]
    pub fn size(&self, drop: usize) -> usize {
        ENTRY + LENGTHS + self.suffix.remainder_bytes(drop) + self.value.bytes().len()
    }
}

/// The most bytes that a leaf just built has free between its arrays and its records.
const FRONT: usize = 192;

/// Returns whether `page` is a slotted leaf with more than `FRONT` free bytes between its arrays and its records.
/// Scans of such leaves become slow at twice that many bytes: 25 ns an entry instead of 9.
pub fn has_gap(page: &[u8]) -> bool {
    let n = header::count(page);
    let arrays = OFFSETS.at(n, n);
    header::kind(page) == LEAF && header::heap(page) + header::prefix_len(page) + arrays + FRONT < page.len()
}

/// Returns the size of the largest record (lengths, whole key, value) of which two always fit a leaf, beside the
/// longest prefix.
fn record_of_two(page_size: usize) -> usize {
    (page_size - HEADER - header::PREFIX_MAX - 2 * ENTRY) / 2
}

/// Returns whether a value of `value` bytes is kept in its record, beside a key of which the leaf keeps `key` bytes.
///
/// A leaf takes at least two of the records with large values. A value of up to a quarter of a page stays beside its
/// key as long as one such record fits: outside, it would take a page of its own.
#[inline(always)]
pub fn is_value_inline(key: usize, value: usize, page_size: usize) -> bool {
    let record = LENGTHS + key + value;
    record <= record_of_two(page_size) || value <= page_size / 4 && record <= page_size - HEADER - ENTRY
}

/// Returns the shape of the dense leaf that these entries could form, or `None` if they cannot.
pub fn dense_shape(entries: &[Entry<'_>], drop: usize) -> Option<DenseShape> {
    let [first, rest @ ..] = entries else {
        return None;
    };
    let len = first.suffix.inline_len().checked_sub(drop)?;
    let value = first.value.bytes().len();
    let fits = |e: &Entry<'_>| {
        !e.suffix.long
            && e.suffix.inline_len().checked_sub(drop) == Some(len)
            && !e.value.is_chain()
            && e.value.bytes().len() == value
    };
    let shape = DenseShape::worth_it(len, value)?;
    (!rest.is_empty() && entries.iter().all(fits)).then_some(shape)
}

/// Returns the number of bytes that a leaf of these entries takes, dense if it can be.
pub fn leaf_size(entries: &[Entry<'_>], drop: usize, prefix: usize) -> usize {
    if let Some(shape) = dense_shape(entries, drop) {
        return shape.end(entries.len()) + prefix;
    }
    HEADER + prefix + entries.iter().map(|e| e.size(drop)).sum::<usize>()
}

/// A plain entry: a key that is stored whole and a value that stays in the leaf, one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct PlainEntry<'a> {
    /// The key, and the value behind it.
    pub bytes: &'a [u8],
    /// Bytes of the key.
    pub key: usize,
}

impl PlainEntry<'_> {
    /// Returns the key.
    #[inline(always)]
    pub fn key(&self) -> &[u8] {
        &self.bytes[..self.key]
    }

    /// Returns the number of bytes that the entry takes in a slotted leaf with a prefix of so many bytes.
    #[inline(always)]
    fn size(&self, prefix: usize) -> usize {
        ENTRY + LENGTHS + self.key.saturating_sub(prefix + HEAD_BYTES) + (self.bytes.len() - self.key)
    }
}

/// A tally of the plain entries of one page, which are given one after the other as long as there is room.
#[derive(Clone, Copy)]
pub struct Tally {
    /// Bytes of the page's prefix.
    pub prefix: usize,
    /// How many entries there are.
    pub count: usize,
    /// Bytes the page takes if it is slotted.
    slotted: usize,
    /// Key bytes and value bytes of the first entry.
    first: (usize, usize),
    /// Whether all entries have as many of both as the first.
    uniform: bool,
}

impl Tally {
    /// Returns the tally of an empty page.
    pub fn new(prefix: usize) -> Tally {
        Tally {
            prefix,
            count: 0,
            slotted: HEADER + prefix,
            first: (0, 0),
            uniform: true,
        }
    }

    /// Returns the tally of a page of these entries.
    pub fn of(entries: &[PlainEntry<'_>], prefix: usize) -> Tally {
        let mut tally = Tally::new(prefix);
        for entry in entries {
            tally.add(entry, usize::MAX);
        }
        tally
    }

    /// Adds an entry and returns true, unless the page would take more than `most` bytes. The first entry is added in
    /// any case.
    #[inline(always)]
    pub fn add(&mut self, entry: &PlainEntry<'_>, most: usize) -> bool {
        let lens = (entry.key, entry.bytes.len() - entry.key);
        let first = if self.count == 0 { lens } else { self.first };
        let more = Tally {
            prefix: self.prefix,
            count: self.count + 1,
            slotted: self.slotted + entry.size(self.prefix),
            first,
            uniform: self.uniform && lens == first,
        };
        // A slotted page takes more than a dense one, so most entries are decided by that alone.
        if more.slotted > most && more.size() > most && self.count > 0 {
            return false;
        }
        *self = more;
        true
    }

    /// Returns the number of bytes of the page.
    #[inline(always)]
    pub fn size(&self) -> usize {
        match self.shape() {
            Some(shape) => shape.end(self.count) + self.prefix,
            None => self.slotted,
        }
    }

    /// Returns what [`dense_shape`] returns for entries of the page.
    #[inline(always)]
    fn shape(&self) -> Option<DenseShape> {
        let (key, value) = self.first;
        match self.uniform && self.count > 1 {
            true => DenseShape::worth_it(key.checked_sub(self.prefix)?, value),
            false => None,
        }
    }
}

/// Writes a leaf of plain entries into `page`; all keys begin with `prefix`, and `tally` is theirs. Returns the bytes
/// they take, or `None` if they do not fit.
pub fn build_plain_leaf(
    page: &mut [u8],
    table: TableId,
    prefix: &[u8],
    entries: &[PlainEntry<'_>],
    tally: &Tally,
) -> Option<usize> {
    let (n, plen, size) = (entries.len(), prefix.len(), tally.size());
    debug_assert_eq!((n, plen), (tally.count, tally.prefix), "the tally is of these entries");
    if size > page.len() {
        return None;
    }
    if let Some(shape) = tally.shape() {
        begin_dense(page, table, prefix, n, shape);
        for (i, e) in entries.iter().enumerate() {
            let (key, bytes) = e.bytes.split_at(e.key);
            write_dense_suffix(page, shape, i, &key[plen..]);
            write_dense_value(page, shape, n, i, bytes);
        }
        return Some(size);
    }
    header::begin(page, LEAF, 1, table, prefix);
    let end = page.len() - plen;
    let heap = size - plen - OFFSETS.at(n, n);
    let behind = begin_heap(page, n, end, heap);
    let (heads, rest) = page[HEADS.at(n, 0)..end].split_at_mut(HEADS.width() * n);
    let (fingerprints, rest) = rest.split_at_mut(FINGERPRINTS.width() * n);
    let (offsets, rest) = rest.split_at_mut(OFFSETS.width() * n);
    let (_, mut records) = rest.split_at_mut(rest.len() - heap - behind);
    let heads = heads.chunks_exact_mut(HEADS.width());
    let offsets = offsets.chunks_exact_mut(OFFSETS.width());
    for (e, ((head_at, fingerprint_at), offset)) in entries.iter().zip(heads.zip(fingerprints).zip(offsets)) {
        let key = e.key();
        let suffix = &key[plen..];
        head_at.copy_from_slice(&head(suffix).to_le_bytes());
        *fingerprint_at = fingerprint(key);
        offset.copy_from_slice(&((end - records.len()) as u16).to_le_bytes());
        // Remainder and value lie side by side in the log as in the record, so one copy moves both.
        let kept = &e.bytes[e.key.min(plen + HEAD_BYTES)..];
        let (record, more) = records.split_at_mut(LENGTHS + kept.len());
        Lengths::new(suffix.len() as u16, (e.bytes.len() - e.key) as u16).write(record, 0);
        record[LENGTHS..].copy_from_slice(kept);
        records = more;
    }
    Some(size)
}

/// Sets count and heap of a slotted leaf whose `n` records of `bytes` in all are about to be written, and clears what
/// they leave free up to `end`. Returns how much of that lies behind the records, as garbage, which is all but what one
/// more entry may need: a scan reads arrays, then records, and the machine does not look ahead over a wide gap between
/// them.
fn begin_heap(page: &mut [u8], n: usize, end: usize, bytes: usize) -> usize {
    let arrays = OFFSETS.at(n, n);
    let behind = (end - arrays - bytes).saturating_sub(FRONT);
    header::set_count(page, n);
    header::set_heap(page, bytes + behind);
    header::set_garbage(page, behind);
    // The memory was another page's before: its bytes must not get into the file.
    page[arrays..end - bytes - behind].fill(0);
    page[end - behind..end].fill(0);
    behind
}

/// Writes a leaf of `entries` into `page`, dense if it can be. They must fit (see [`leaf_size`]).
pub fn build_leaf(page: &mut [u8], table: TableId, prefix: NewPrefix<'_>, entries: &[Entry<'_>]) {
    if let Some(shape) = dense_shape(entries, prefix.drop) {
        return build_dense(page, table, prefix, entries, shape);
    }
    header::begin(page, LEAF, 1, table, prefix.bytes);
    let n = entries.len();
    let heap = entries.iter().map(|e| e.size(prefix.drop) - ENTRY).sum::<usize>();
    let end = page.len() - prefix.bytes.len();
    // Records lie in the order of their keys, because a scan reads memory upwards, and machines look further ahead in
    // that direction.
    let start = end - heap - begin_heap(page, n, end, heap);
    let mut at = start;
    let mut scratch = Vec::new();
    for (i, e) in entries.iter().enumerate() {
        let suffix = e.suffix.behind_prefix(prefix.drop, &mut scratch);
        HEADS.set(page, n, i, suffix.head);
        FINGERPRINTS.set(page, n, i, e.fingerprint);
        OFFSETS.set(page, n, i, at as u16);
        write_record(page, at, &suffix, &e.value);
        at += LENGTHS + suffix.remainder.len() + e.value.bytes().len();
    }
    debug_assert_eq!(at - start, heap, "records take what was reckoned");
}

/// Writes the record of an entry at `at`. The suffix has no lead.
#[inline(always)]
pub(super) fn write_record(page: &mut [u8], at: usize, suffix: &Suffix<'_>, value: &Stored<'_>) {
    let bytes = value.bytes();
    let (key, len) = (flagged(suffix.len, suffix.long), flagged(bytes.len(), value.is_chain()));
    Lengths::new(key, len).write(page, at);
    let key_at = at + LENGTHS;
    let value_at = key_at + suffix.remainder.len();
    page[key_at..value_at].copy_from_slice(suffix.remainder);
    page[value_at..value_at + bytes.len()].copy_from_slice(bytes);
}

fn build_dense(page: &mut [u8], table: TableId, prefix: NewPrefix<'_>, entries: &[Entry<'_>], shape: DenseShape) {
    let n = entries.len();
    begin_dense(page, table, prefix.bytes, n, shape);
    let mut scratch = Vec::new();
    for (i, e) in entries.iter().enumerate() {
        scratch.clear();
        e.suffix.write_to(&mut scratch);
        write_dense_suffix(page, shape, i, &scratch[prefix.drop..]);
        write_dense_value(page, shape, n, i, e.value.bytes());
    }
}

/// Writes all of a dense leaf but its entries.
fn begin_dense(page: &mut [u8], table: TableId, prefix: &[u8], n: usize, shape: DenseShape) {
    header::begin(page, DENSE, 1, table, prefix);
    header::set_dense_shape(page, shape);
    header::set_count(page, n);
    let room = page.len() - prefix.len();
    page[shape.end(n)..room].fill(0);
}

/// Writes suffix `i` of a dense leaf.
#[inline(always)]
pub(super) fn write_dense_suffix(page: &mut [u8], shape: DenseShape, i: usize, suffix: &[u8]) {
    let mut b = [0u8; 8];
    b[..suffix.len()].copy_from_slice(suffix);
    // A left-aligned big-endian number is kept as a little-endian integer.
    b[..shape.element].reverse();
    page[shape.suffix_at(i)..shape.suffix_at(i + 1)].copy_from_slice(&b[..shape.element]);
}

/// Writes value `i` of a dense leaf of `n` entries.
#[inline(always)]
pub(super) fn write_dense_value(page: &mut [u8], shape: DenseShape, n: usize, i: usize, value: &[u8]) {
    page[shape.value_at(n, i)..shape.value_at(n, i + 1)].copy_from_slice(value);
}

/// Marks a page whose interval of keys has grown beyond its prefix.
pub fn mark_check_prefix(page: &mut [u8]) {
    let flags = header::flags(page) | CHECK_PREFIX;
    header::set_flags(page, flags);
}

/// Appends the entries `range` of `leaf` to `out`. `lead` goes before every suffix: it is the end of the page's prefix
/// that is not part of the common one. Dense suffixes are taken from `dense` ([`dense_bytes`]).
pub fn entries_of<'a>(
    leaf: &Leaf<'a>,
    range: std::ops::Range<usize>,
    dense: &'a [u8],
    lead: &'a [u8],
    out: &mut Vec<Entry<'a>>,
) -> Result<()> {
    if leaf.is_dense() {
        let width = leaf.shape().suffix;
        let prefix = leaf.prefix();
        let mut key = [0u8; header::PREFIX_MAX + 8];
        key[..prefix.len()].copy_from_slice(prefix);
        for i in range {
            let suffix = &dense[8 * i..8 * i + width];
            key[prefix.len()..prefix.len() + width].copy_from_slice(suffix);
            out.push(Entry {
                suffix: Suffix {
                    lead,
                    ..Suffix::of(suffix)
                },
                fingerprint: fingerprint(&key[..prefix.len() + width]),
                value: leaf.value(i)?,
            });
        }
        return Ok(());
    }
    out.reserve(range.len());
    for i in range {
        let record = leaf.record(i)?;
        out.push(Entry {
            suffix: Suffix {
                lead,
                ..leaf.suffix_in(i, &record)
            },
            fingerprint: leaf.fingerprint(i),
            value: record.value(),
        });
    }
    Ok(())
}

/// Returns the suffixes of a dense leaf as bytes, 8 each, or nothing for a slotted leaf. [`entries_of`] borrows from
/// them.
pub fn dense_bytes(leaf: &Leaf<'_>) -> Vec<u8> {
    if !leaf.is_dense() {
        return Vec::new();
    }
    (0..leaf.len())
        .flat_map(|i| leaf.dense_suffix(i).to_be_bytes())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{PageNo, PageRef};
    use crate::page::search::Key;
    use crate::page::{PageSource, Prefetch, Ptr};

    const TABLE: TableId = TableId::new(5);

    struct Nothing;
    impl Prefetch for Nothing {
        fn page_size(&self) -> usize {
            4096
        }
    }

    impl PageSource<'static> for Nothing {
        fn page(&self, _: &Ptr) -> crate::Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }

        fn piece(&self, _: PageNo, _: usize, _: u32) -> crate::Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }

        fn raw(&self, _: PageNo, _: u64) -> crate::Result<&'static [u8]> {
            Err(crate::Error::NotFound)
        }
    }

    fn entries(keys: &[Vec<u8>]) -> Vec<Entry<'_>> {
        let entry = |k| Entry {
            suffix: Suffix::of(k),
            fingerprint: fingerprint(k),
            value: Stored::Inline(b"v"),
        };
        keys.iter().map(|k| entry(k.as_slice())).collect()
    }

    fn check(keys: &[Vec<u8>], probes: &[Vec<u8>], dense: bool) {
        let mut page = vec![0; 4096];
        let e = entries(keys);
        for drop in 0..=3 {
            let prefix = &keys[0][..drop];
            assert!(leaf_size(&e, drop, drop) <= 4096);
            build_leaf(&mut page, TABLE, NewPrefix { bytes: prefix, drop }, &e);
            let leaf = Leaf::new(&page, PageRef::UNKNOWN).unwrap();
            assert_eq!(leaf.is_dense(), dense);
            assert_eq!(leaf.used(), leaf_size(&e, drop, drop));
            check_plain(&page, keys, prefix);
            for p in probes.iter().chain(keys).filter(|p| p.starts_with(prefix)) {
                let want = keys.binary_search(p);
                assert_eq!(leaf.position(p, &Nothing).unwrap(), want, "{p:?}");
                assert_eq!(leaf.find(Key::new(p), &Nothing).unwrap(), want.ok());
            }
            let mut out = Vec::new();
            for (i, k) in keys.iter().enumerate() {
                out.clear();
                leaf.key(i, &Nothing, &mut out).unwrap();
                assert_eq!(&out, k);
                assert_eq!(leaf.value(i).unwrap(), Stored::Inline(b"v"));
            }
        }
    }

    /// Both ways to build a leaf give the same bytes.
    fn check_plain(page: &[u8], keys: &[Vec<u8>], prefix: &[u8]) {
        let bytes: Vec<Vec<u8>> = keys.iter().map(|k| [k, &b"v"[..]].concat()).collect();
        let whole: Vec<_> = bytes
            .iter()
            .map(|b| PlainEntry {
                bytes: b,
                key: b.len() - 1,
            })
            .collect();
        let mut other = vec![1; 4096];
        let size = build_plain_leaf(&mut other, TABLE, prefix, &whole, &Tally::of(&whole, prefix.len()));
        assert_eq!(size, Some(Leaf::new(page, PageRef::UNKNOWN).unwrap().used()));
        assert!(other == page);
    }

    #[test]
    fn slotted_and_dense_find_every_position() {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for a in 0..3u8 {
            for b in [0u8, 1, 255] {
                for len in 0..8 {
                    let mut k = b"pre".to_vec();
                    k.extend(std::iter::repeat_n(a, len.min(3)));
                    k.extend(std::iter::repeat_n(b, len.saturating_sub(3)));
                    keys.push(k);
                }
            }
        }
        keys.sort();
        keys.dedup();
        let some: Vec<_> = keys.iter().step_by(2).cloned().collect();
        check(&some, &keys, false);
        for width in 1..=8usize {
            let key = |x: u64| [b"pre", &(x << (64 - 8 * width)).to_be_bytes()[..width]].concat();
            let keys: Vec<_> = (0..100u64).map(|i| key(i * 2 + 1)).collect();
            let mut probes: Vec<_> = (0..203).map(|i| key(i & 0xFF)).collect();
            let longer: Vec<_> = probes
                .iter()
                .flat_map(|p| [[p, &[0][..]].concat(), [p, &[9; 9][..]].concat()])
                .collect();
            let shorter: Vec<_> = probes.iter().map(|p| p[..p.len() - 1].to_vec()).collect();
            probes.extend(longer);
            probes.extend(shorter);
            check_dense(&keys, &probes);
        }
    }

    fn check_dense(keys: &[Vec<u8>], probes: &[Vec<u8>]) {
        let mut page = vec![0; 4096];
        let e = entries(keys);
        build_leaf(&mut page, TABLE, NewPrefix::of(b"pre", 0), &e);
        check_plain(&page, keys, b"pre");
        let leaf = Leaf::new(&page, PageRef::UNKNOWN).unwrap();
        assert!(leaf.is_dense());
        for p in probes.iter().filter(|p| p.len() >= 3) {
            assert_eq!(leaf.position(p, &Nothing).unwrap(), keys.binary_search(p), "{p:?}");
        }
    }
}
