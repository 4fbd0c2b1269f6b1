//! A database file as bytes, read by what the format says and not by the engine: where the meta slots and trees are,
//! and how an attacker makes damaged bytes look sound. [`repair`] recomputes every checksum bottom-up, so that what a
//! test damaged is found by the checks behind the checksums or not at all.

use std::collections::HashMap;

/// Bytes of a meta slot; there are four.
pub const SLOT: usize = 4096;
/// Where the roots of the main table, the catalogue and the space tree are in a slot.
pub const ROOTS: [usize; 3] = [256, 280, 304];
/// Where a slot says how many extents with records there are, and how many bytes of records, and where these begin.
pub const SPILLS: usize = 248;
pub const INLINE: usize = 250;
pub const RECORDS: usize = 352;
/// Bytes of a root; its height, flags and checksum.
pub const ROOT: usize = 24;
pub const HEIGHT: usize = 18;
pub const ROOT_FLAGS: usize = 19;
pub const CHECKSUM: usize = 20;
/// Where the root of the list of snapshots is in a meta slot, or zeros.
const SNAPSHOTS: usize = 328;
/// First bytes of a meta slot.
const MAGIC: &[u8] = b"\x89kvfile\n";
/// Header of a tree page.
const HEADER: usize = 24;
/// A long value is summed in pieces of this size.
const PIECE: u64 = 1 << 20;
/// Bytes of a long key that stay in its page.
const KEEP: u64 = 288;
/// Flag of a length: long key, or value outside the page.
const LONG: u16 = 0x8000;
/// The bits of a key's length that are the number of its bytes.
const KEY_BITS: u16 = 0x3fff;

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at + 4)?.try_into().ok()?))
}

fn u48_at(b: &[u8], at: usize) -> Option<u64> {
    let mut whole = [0; 8];
    whole[..6].copy_from_slice(b.get(at..at + 6)?);
    Some(u64::from_le_bytes(whole))
}

fn set_u32(b: &mut [u8], at: usize, value: u32) {
    if let Some(place) = b.get_mut(at..at + 4) {
        place.copy_from_slice(&value.to_le_bytes());
    }
}

/// Page size that the file states, if it is a possible one.
pub fn page_size(image: &[u8]) -> Option<usize> {
    let size = u32_at(image, 24)? as usize;
    (size.is_power_of_two() && (4096..=65536).contains(&size)).then_some(size)
}

/// Commit id of a slot that looks like one.
fn slot_id(image: &[u8], slot: usize) -> Option<u64> {
    let b = image.get(slot * SLOT..(slot + 1) * SLOT)?;
    if !b.starts_with(MAGIC) {
        return None;
    }
    Some(u64::from_le_bytes(b[48..56].try_into().ok()?))
}

/// Recomputes the checksum of every meta slot that has one.
pub fn repair_slots(image: &mut [u8]) {
    for slot in 0..4 {
        if slot_id(image, slot).is_some() {
            let sum = crc32c::crc32c(&image[slot * SLOT..slot * SLOT + SLOT - 4]);
            set_u32(image, slot * SLOT + SLOT - 4, sum);
        }
    }
}

/// Recomputes every checksum of the file, as far as its damage lets one find what is summed: pieces of long values and
/// keys, pages from the leaves up, records of recent commits, meta slots.
pub fn repair(image: &mut [u8]) {
    if let Some(page_size) = page_size(image) {
        let mut slots: Vec<(u64, usize)> = (0..4).filter_map(|slot| Some((slot_id(image, slot)?, slot))).collect();
        // Trees share pages: the newest slot last, so that its sums stay.
        slots.sort_unstable();
        for (_, slot) in slots {
            let mut repair = Repair {
                image,
                page_size,
                seen: HashMap::new(),
            };
            repair.slot(slot * SLOT);
        }
    }
    repair_slots(image);
}

struct Repair<'a> {
    image: &'a mut [u8],
    page_size: usize,
    /// Sums of pages already done.
    seen: HashMap<u64, u32>,
}

impl Repair<'_> {
    fn sum(&self, page: u64, len: u64) -> Option<u32> {
        let from = usize::try_from(page.checked_mul(self.page_size as u64)?).ok()?;
        let to = from.checked_add(usize::try_from(len).ok()?)?;
        self.image.get(from..to).map(crc32c::crc32c)
    }

    fn slot(&mut self, slot: usize) {
        for (at, catalogue) in ROOTS.into_iter().zip([false, true, false]) {
            self.root(slot + at, catalogue);
        }
        self.root(slot + SNAPSHOTS, false);
        let spills = u16_at(self.image, slot + SPILLS).unwrap_or(0) as usize;
        let inline = u16_at(self.image, slot + INLINE).unwrap_or(0) as usize;
        for spill in 0..spills.min(150) {
            let at = slot + RECORDS + 24 * spill;
            let (page, bytes) = (u48_at(self.image, at), u32_at(self.image, at + 10));
            if let Some((page, bytes)) = page.zip(bytes) {
                let from = page.saturating_mul(self.page_size as u64) as usize;
                self.records(from, bytes as usize);
                if let Some(sum) = self.sum(page, u64::from(bytes)) {
                    set_u32(self.image, at + CHECKSUM, sum);
                }
            }
        }
        if RECORDS + 24 * spills + inline <= SLOT - 4 {
            self.records(slot + RECORDS + 24 * spills, inline);
        }
    }

    /// A root of 24 bytes: page u48, birth u48, entries u48, height u8, flags u8, checksum u32.
    fn root(&mut self, at: usize, catalogue: bool) {
        let (Some(page), Some(height)) = (u48_at(self.image, at), self.image.get(at + HEIGHT).copied()) else {
            return;
        };
        if height > 0 {
            if let Some(sum) = self.page(page, catalogue, 0) {
                set_u32(self.image, at + CHECKSUM, sum);
            }
        }
    }

    /// Repairs what is below a page and answers the page's sum.
    fn page(&mut self, number: u64, catalogue: bool, depth: u32) -> Option<u32> {
        if let Some(sum) = self.seen.get(&number) {
            return Some(*sum);
        }
        let from = usize::try_from(number.checked_mul(self.page_size as u64)?).ok()?;
        if from < 4 * SLOT || self.image.len() < from.checked_add(self.page_size)? || depth > 64 {
            return None;
        }
        // A page that leads to itself is summed as it is.
        self.seen.insert(number, 0);
        let n = u16_at(self.image, from + 4)? as usize;
        match self.image[from] {
            1 => (0..n).for_each(|i| {
                self.entry(from, n, i, catalogue);
            }),
            3 => {
                for i in 0..n {
                    let (pages, sums) = (from + HEADER + 4 * n, from + HEADER + 24 * n);
                    if sums + 4 * n > from + self.page_size {
                        break;
                    }
                    let child = u48_at(self.image, pages + 6 * i)?;
                    if let Some(sum) = self.page(child, catalogue, depth + 1) {
                        set_u32(self.image, sums + 4 * i, sum);
                    }
                }
            }
            _ => {}
        }
        let sum = self.sum(number, self.page_size as u64)?;
        self.seen.insert(number, sum);
        Some(sum)
    }

    /// Entry `i` of a slotted leaf: a long key, a long value, or a table's root in the catalogue.
    fn entry(&mut self, leaf: usize, n: usize, i: usize, catalogue: bool) -> Option<()> {
        let end = leaf + self.page_size;
        let record = leaf + u16_at(self.image, leaf + HEADER + 5 * n + 2 * i)? as usize;
        let (klen, vlen) = (u16_at(self.image, record)?, u16_at(self.image, record + 2)?);
        let mut value = record + 4 + usize::from(klen & KEY_BITS).saturating_sub(4);
        if klen & LONG != 0 {
            let rest = u64::from(u32_at(self.image, value)?).saturating_sub(KEEP);
            let page = u48_at(self.image, value + 4)?;
            for (sum, part) in [(value + 16, 0), (value + 20, 1)] {
                let len = rest.saturating_sub(part * PIECE).min(PIECE);
                let at = page + part * PIECE / self.page_size as u64;
                if len > 0 && sum + 4 <= end {
                    let repaired = self.sum(at, len)?;
                    set_u32(self.image, sum, repaired);
                }
            }
            value += 24;
        }
        if vlen & LONG != 0 {
            self.chain(value, end)?;
        } else if catalogue && vlen >= 30 && value + 30 <= end {
            self.root(value, false);
        }
        Some(())
    }

    /// Description of a long value whose sums are in the record.
    fn chain(&mut self, at: usize, end: usize) -> Option<()> {
        let len = u48_at(self.image, at)?;
        let (indexed, extents) = (*self.image.get(at + 6)? & 1, usize::from(*self.image.get(at + 7)?));
        let mut sum = at + 8 + 16 * extents;
        let mut left = len;
        for extent in 0..extents {
            let first = u48_at(self.image, at + 8 + 16 * extent)?;
            let pages = u64::from(u32_at(self.image, at + 14 + 16 * extent)?);
            let mut inside = (pages * self.page_size as u64).min(left);
            let mut page = first;
            while inside > 0 && indexed == 0 && sum + 4 <= end {
                let piece = inside.min(PIECE);
                let repaired = self.sum(page, piece)?;
                set_u32(self.image, sum, repaired);
                (sum, page) = (sum + 4, page + PIECE / self.page_size as u64);
                (inside, left) = (inside - piece, left - piece);
            }
        }
        Some(())
    }

    /// Records of recent commits: what recovery verifies before it believes a slot.
    fn records(&mut self, from: usize, len: usize) {
        let (mut at, end) = (from, from.saturating_add(len));
        while at < end && self.record(&mut at, end).is_some() {}
    }

    fn record(&mut self, at: &mut usize, end: usize) -> Option<()> {
        self.number(at, end)?;
        let mut page = 0u64;
        for _ in 0..self.number(at, end)? {
            page = page.checked_add(self.number(at, end)?)?;
            let pages = self.number(at, end)?.min(1 << 20);
            let kind = *self.image.get(*at)?;
            *at += 1;
            let sum = if kind == 0 {
                let sums: Option<Vec<u32>> = (page..page + pages)
                    .map(|p| self.sum(p, self.page_size as u64))
                    .collect();
                let bytes: Vec<u8> = sums?.into_iter().flat_map(u32::to_le_bytes).collect();
                crc32c::crc32c(&bytes)
            } else {
                let bytes = self.number(at, end)?;
                self.sum(page, bytes)?
            };
            if *at + 4 > end {
                return None;
            }
            set_u32(self.image, *at, sum);
            *at += 4;
            page += pages;
        }
        for numbers in [3, 2] {
            for _ in 0..self.number(at, end)? {
                for _ in 0..numbers {
                    self.number(at, end)?;
                }
            }
        }
        Some(())
    }

    /// LEB128.
    fn number(&self, at: &mut usize, end: usize) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.image.get(*at).filter(|_| *at < end)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}
