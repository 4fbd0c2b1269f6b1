//! The tail of a meta slot: one record per recent commit.
//!
//! A record says two things about its commit. Its **runs**, with checksums, are what a crash could have torn: recovery
//! verifies those of every record with id > `base` (I-2). Its **changes of dead space** are what the space tree does not
//! hold yet: a new opener replays those of every record with id > `folded`. A record is listed while either is needed.
//!
//! ```text
//! record   id, runs, run..., freed, freed extent..., taken, taken run...
//! run      gap, pages, kind (1 byte: 0 pages, 1 piece), [piece: bytes], CRC-32C (4 bytes, little-endian)
//! freed    gap, pages, age          pages that died in this commit; birth = id - age
//! taken    gap, pages               dead pages that this commit took into use
//! ```
//!
//! All numbers not given a width are LEB128: seven bits a byte, low ones first, the high bit set on all but the last
//! byte, at most 10 bytes. Each list is ascending, and `gap` counts the pages since the end of the entry before it (since
//! page 0 for the first), so small numbers stay small. The checksum of a run of pages is the CRC-32C over the CRC-32Cs of
//! its pages, 4 bytes little-endian each; that of a piece is the CRC-32C of its first `bytes` bytes. Runs that were
//! synced before the slot was written are not listed. A record whose changes are folded, or whose runs are at or below
//! `base`, may leave the list in question empty.
//!
//! Records that do not fit into the slot are written one behind the other into an extent, which the slot names.

use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{Meta, Spill, SPILL_BYTES, TAIL_MAX};
use crate::page::{meta_pages, Extent, PIECE};
use crate::pager::{Dead, META_PAGE};
use crate::util::bytes::get_u32;
use crate::util::crc32c;
use std::sync::Arc;

/// Pages written by a commit, and what they must sum to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pager) struct WrittenRun {
    /// The pages.
    pub run: Run,
    /// Zero: tree pages. Otherwise one piece of a value with this many bytes.
    pub piece: u64,
    /// Sum of the pages' sums, or of the piece.
    pub checksum: u32,
}

/// What one commit wrote, freed and took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pager) struct CommitRecord {
    /// The commit.
    pub id: CommitId,
    /// What it wrote.
    pub runs: Vec<WrittenRun>,
    /// What died in it.
    pub freed: Vec<Extent>,
    /// Dead pages it took.
    pub taken: Vec<Run>,
}

/// Records in an extent of their own.
#[derive(Debug, Clone)]
pub(in crate::pager) struct Spilled {
    /// Where.
    pub spill: Spill,
    /// Which.
    pub records: Arc<[Arc<CommitRecord>]>,
}

/// All records of a slot, oldest first.
#[derive(Debug, Clone, Default)]
pub(in crate::pager) struct Tail {
    /// Older ones.
    pub spilled: Vec<Spilled>,
    /// Newer ones, inside the slot.
    pub inline: Vec<Arc<CommitRecord>>,
    /// The bytes of the newer ones.
    pub listing: Listing,
    /// Memory for the next listing.
    spare: Vec<u8>,
}

/// The inline records as a slot lists them: the next slot repeats nearly all of it.
#[derive(Debug, Clone, Default)]
pub(in crate::pager) struct Listing {
    /// One record behind the other.
    pub bytes: Vec<u8>,
    /// What the slot says.
    base: CommitId,
    folded: CommitId,
    /// The first so many records are known to be at or below `base` and to take so many bytes: with the same `folded`,
    /// nothing in them changes.
    settled: (usize, usize),
}

/// What a commit makes of the tail, once its slot is written.
#[derive(Debug)]
pub(in crate::pager) struct Next {
    /// The commit's own record.
    pub record: Arc<CommitRecord>,
    /// All extents.
    pub spilled: Vec<Spilled>,
    /// So many inline records, from the oldest on, are in the slot no more.
    pub gone: usize,
    /// The slot's inline records: those left, and the commit's own unless that is in an extent.
    pub listing: Listing,
}

/// A change to the content of the space tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceChange {
    /// Pages died.
    Died(Dead),
    /// Dead pages were put into use again.
    Taken(Run),
}

/// What the records of a slot change in the content of its space tree, in order. `read` fills a buffer from an offset on.
///
/// # Errors
/// `Corrupt`, and what `read` answers.
pub fn dead_changes(meta: &Meta, read: impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Vec<SpaceChange>> {
    match Tail::read(meta, read)? {
        Ok(tail) => Ok(tail.changes(meta.folded)),
        Err(page) => Err(Error::corrupt(page, "records differ from their checksum")),
    }
}

impl Tail {
    /// The records of a slot; `Err(page)`: the extent there is not what the slot says. `read` fills a buffer from an offset
    /// on.
    ///
    /// # Errors
    /// `Corrupt`: records that cannot be read though their checksum is right; what `read` answers.
    #[allow(clippy::type_complexity)]
    pub fn read(meta: &Meta, read: impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<std::result::Result<Tail, PageNo>> {
        let bounds = Bounds {
            page_size: meta.page_size as usize,
            pages: meta.pages,
            id: meta.id,
        };
        let mut tail = Tail::default();
        let mut after = CommitId::NONE;
        for spill in &meta.spills {
            let mut bytes = Vec::new();
            let room = bytes.try_reserve_exact(spill.bytes as usize);
            room.map_err(|_| Error::NoMemory("records of recent commits"))?;
            bytes.resize(spill.bytes as usize, 0);
            let page = spill.extent.run.first;
            read(page.offset(bounds.page_size), &mut bytes)?;
            if crc32c(&bytes) != spill.checksum {
                return Ok(Err(page));
            }
            let records = decode(&bytes, bounds, after)?;
            after = records.last().map_or(after, |r| r.id);
            tail.spilled.push(Spilled {
                spill: *spill,
                records: records.into(),
            });
        }
        tail.inline = decode(&meta.inline, bounds, after)?;
        tail.listing = Listing {
            bytes: meta.inline.clone(),
            base: meta.base,
            folded: meta.folded,
            settled: (0, 0),
        };
        Ok(Ok(tail))
    }

    /// Changes above `folded` to the content of the space tree, in order.
    pub fn changes(&self, folded: CommitId) -> Vec<SpaceChange> {
        let mut changes = Vec::new();
        for record in self.records().filter(|r| r.id > folded) {
            changes.extend(record.taken.iter().map(|taken| SpaceChange::Taken(*taken)));
            changes.extend(record.freed.iter().map(|freed| {
                SpaceChange::Died(Dead {
                    extent: *freed,
                    death: record.id,
                })
            }));
        }
        changes
    }

    /// Every record, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Arc<CommitRecord>> {
        self.spilled.iter().flat_map(|s| &*s.records).chain(&self.inline)
    }

    /// What is still needed above `base` or `folded`: the extents, those no longer needed, and how many of the inline
    /// records, from the oldest on, are not.
    pub fn keep(&self, base: CommitId, folded: CommitId) -> (Vec<Spilled>, Vec<Spill>, usize) {
        let needed = |record: &Arc<CommitRecord>| record.id > base.min(folded);
        let (kept, dropped): (Vec<Spilled>, Vec<Spilled>) = self
            .spilled
            .iter()
            .cloned()
            .partition(|s| s.records.last().is_some_and(needed));
        let dropped = dropped.into_iter().map(|s| s.spill).collect();
        (kept, dropped, self.inline.partition_point(|r| !needed(r)))
    }

    /// The inline records but the first `gone`, for a slot that says `base` and `folded`. What the newest slot lists is
    /// copied where it says the same.
    pub fn list(&mut self, gone: usize, base: CommitId, folded: CommitId) -> Listing {
        let old = &self.listing;
        let (settled, (at, len)) = match gone == 0 && folded == old.folded && base >= old.base {
            true if base == old.base => (old.settled, (self.inline.len(), old.bytes.len())),
            true => (old.settled, old.settled),
            false => ((0, 0), (gone, 0)),
        };
        let mut bytes = std::mem::take(&mut self.spare);
        bytes.clear();
        bytes.reserve(TAIL_MAX);
        let mut listing = Listing {
            bytes,
            base,
            folded,
            settled,
        };
        listing.bytes.extend_from_slice(&old.bytes[..len]);
        for record in &self.inline[at..] {
            record.encode(base, folded, &mut listing.bytes);
            if record.id <= base {
                listing.settled = (listing.settled.0 + 1, listing.bytes.len());
            }
        }
        listing
    }

    /// The slot is written.
    pub fn turn(&mut self, next: Next) {
        self.spilled = next.spilled;
        self.inline.drain(..next.gone);
        if !next.listing.bytes.is_empty() {
            self.inline.push(next.record);
        }
        self.spare = std::mem::replace(&mut self.listing, next.listing).bytes;
    }
}

/// Bytes that extents take in a slot.
pub(in crate::pager) fn spill_bytes(spilled: &[Spilled]) -> usize {
    spilled.len() * SPILL_BYTES
}

impl CommitRecord {
    /// Entries a fold would carry to the space tree.
    pub fn changes(&self) -> usize {
        self.freed.len() + self.taken.len()
    }

    /// Appends the record: runs if above `base`, changes if above `folded`.
    pub fn encode(&self, base: CommitId, folded: CommitId, out: &mut Vec<u8>) {
        let runs: &[WrittenRun] = if self.id > base { &self.runs } else { &[] };
        let changes = self.id > folded;
        let (freed, taken): (&[Extent], &[Run]) = if changes {
            (&self.freed, &self.taken)
        } else {
            (&[], &[])
        };
        put(out, self.id.get());
        put(out, runs.len() as u64);
        let mut end = PageNo::default();
        for written in runs {
            put_run(out, written.run, &mut end);
            out.push((written.piece > 0).into());
            if written.piece > 0 {
                put(out, written.piece);
            }
            out.extend_from_slice(&written.checksum.to_le_bytes());
        }
        put(out, freed.len() as u64);
        end = PageNo::default();
        for freed in freed {
            put_run(out, freed.run, &mut end);
            put(out, self.id.get() - freed.birth.get());
        }
        put(out, taken.len() as u64);
        end = PageNo::default();
        for taken in taken {
            put_run(out, *taken, &mut end);
        }
    }
}

/// What records may claim.
#[derive(Debug, Clone, Copy)]
pub(in crate::pager) struct Bounds {
    /// Bytes of a page.
    pub page_size: usize,
    /// Pages of the file.
    pub pages: u64,
    /// Newest commit.
    pub id: CommitId,
}

/// Reads records, one behind the other, ascending from above `after`.
///
/// # Errors
/// `Corrupt`.
pub(in crate::pager) fn decode(bytes: &[u8], bounds: Bounds, mut after: CommitId) -> Result<Vec<Arc<CommitRecord>>> {
    let mut input = Input { bytes, bounds };
    let mut records = Vec::new();
    while !input.bytes.is_empty() {
        let record = input
            .record()
            .ok_or(Error::corrupt(META_PAGE, "meta slot: a record cannot be read"))?;
        if record.id <= after || record.id > bounds.id {
            return Err(Error::corrupt(META_PAGE, "meta slot: records out of order"));
        }
        after = record.id;
        records.push(Arc::new(record));
    }
    Ok(records)
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A run that begins at or behind `end`, which moves behind it.
fn put_run(out: &mut Vec<u8>, run: Run, end: &mut PageNo) {
    put(out, run.first - *end);
    put(out, run.pages);
    *end = run.end();
}

struct Input<'a> {
    bytes: &'a [u8],
    bounds: Bounds,
}

impl Input<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    /// A run of pages that begins at or behind `end`, inside the file; moves `end` behind it.
    fn run(&mut self, end: &mut PageNo) -> Option<Run> {
        let first = end.checked_add(self.number()?)?;
        let run = Run::new(first, self.number()?);
        *end = run.checked_end()?;
        let file = meta_pages(self.bounds.page_size)..=self.bounds.pages;
        let inside = run.pages > 0 && file.contains(&first.get()) && file.contains(&end.get());
        (inside && run.pages <= u64::from(u32::MAX)).then_some(run)
    }

    fn record(&mut self) -> Option<CommitRecord> {
        let mut record = CommitRecord {
            id: CommitId::new(self.number()?),
            ..CommitRecord::default()
        };
        let mut end = PageNo::default();
        for _ in 0..self.number()? {
            let run = self.run(&mut end)?;
            let piece = match self.byte()? {
                0 => 0,
                1 => self.number()?,
                _ => return None,
            };
            if piece > PIECE.min(run.pages * self.bounds.page_size as u64) {
                return None;
            }
            let checksum = get_u32(self.bytes.get(..4)?, 0);
            self.bytes = &self.bytes[4..];
            record.runs.push(WrittenRun { run, piece, checksum });
        }
        end = PageNo::default();
        for _ in 0..self.number()? {
            let run = self.run(&mut end)?;
            let birth = CommitId::new(record.id.get().checked_sub(self.number()?)?);
            record.freed.push(Extent { run, birth });
        }
        end = PageNo::default();
        for _ in 0..self.number()? {
            let taken = self.run(&mut end)?;
            record.taken.push(taken);
        }
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::Random;

    const BOUNDS: Bounds = Bounds {
        page_size: 4096,
        pages: 1 << 40,
        id: CommitId::new(1 << 40),
    };

    fn sample(random: &mut Random, id: u64) -> CommitRecord {
        let mut end = PageNo::new(4);
        let mut any_run = |random: &mut Random| {
            let size = 1 << random.below(30);
            let page = end + random.below(size);
            let pages = 1 + random.below(300);
            end = page + pages;
            Run::new(page, pages)
        };
        let mut record = CommitRecord {
            id: CommitId::new(id),
            ..CommitRecord::default()
        };
        for _ in 0..random.below(5) {
            let run = any_run(random);
            record.runs.push(WrittenRun {
                run,
                piece: random.below(2) * run.pages.min(256) * 4096,
                checksum: random.next_u64() as u32,
            });
            let run = any_run(random);
            let birth = CommitId::new(random.below(id + 1));
            record.freed.push(Extent { run, birth });
            record.taken.push(any_run(random));
        }
        record
    }

    #[test]
    fn records_read_back_and_damage_is_an_error_not_a_panic() {
        let mut random = Random::new(1);
        for _ in 0..2000 {
            let records: Vec<CommitRecord> = (1..=random.below(4)).map(|i| sample(&mut random, i * 100)).collect();
            let mut bytes = Vec::new();
            records
                .iter()
                .for_each(|r| r.encode(CommitId::NONE, CommitId::NONE, &mut bytes));
            let back = decode(&bytes, BOUNDS, CommitId::NONE).expect("decode");
            assert!(back.iter().map(|r| &**r).eq(records.iter()));
            if !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
                let _ = decode(&bytes, BOUNDS, CommitId::NONE);
                let _ = decode(&bytes[..at], BOUNDS, CommitId::NONE);
            }
        }
    }

    #[test]
    fn what_is_copied_from_the_slot_before_is_what_would_be_encoded() {
        let mut random = Random::new(6);
        for _ in 0..200 {
            let (mut tail, mut base, mut folded) = <(Tail, CommitId, CommitId)>::default();
            for id in 1..60 {
                base = CommitId::new(base.get() + random.below(id - base.get()) * random.below(2));
                if random.one_in(12) {
                    folded = CommitId::new(id - 1);
                }
                let (.., gone) = tail.keep(base, folded);
                let mut listing = tail.list(gone, base, folded);
                let record = Arc::new(sample(&mut random, id));
                record.encode(base, folded, &mut listing.bytes);
                let mut bytes = Vec::new();
                let records = tail.inline[gone..].iter().chain([&record]);
                records.for_each(|r| r.encode(base, folded, &mut bytes));
                assert!(listing.bytes == bytes, "commit {id}");
                if random.one_in(20) {
                    (listing, bytes) = <(Listing, Vec<u8>)>::default();
                }
                let gone = if bytes.is_empty() { tail.inline.len() } else { gone };
                if random.one_in(30) {
                    // Not committed.
                    continue;
                }
                tail.turn(Next {
                    record,
                    spilled: Vec::new(),
                    gone,
                    listing,
                });
            }
        }
    }

    #[test]
    fn what_is_folded_or_durable_is_left_out() {
        let mut random = Random::new(4);
        let id = CommitId::new;
        let record = sample(&mut random, 9);
        let mut bytes = Vec::new();
        record.encode(id(9), id(0), &mut bytes);
        let back = decode(&bytes, BOUNDS, CommitId::NONE).expect("decode");
        assert!(back[0].runs.is_empty() && back[0].freed == record.freed);
        bytes.clear();
        record.encode(id(8), id(9), &mut bytes);
        let back = decode(&bytes, BOUNDS, CommitId::NONE).expect("decode");
        assert!(back[0].runs == record.runs && back[0].changes() == 0);
        assert!(decode(&bytes, BOUNDS, id(9)).is_err());
    }
}
