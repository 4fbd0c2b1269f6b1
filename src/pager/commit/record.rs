//! The record of one commit: what it wrote, freed and took.
//!
//! A record says two things about its commit. Its **runs**, with checksums, are what a crash could have torn:
//! recovery verifies those of every record with id > `base` (I-2). Its **changes of dead space** are what the space
//! tree does not hold yet: a new opener replays those of every record with id > `folded`. A record is listed while
//! either is needed.
//!
//! ```text
//! record   id, runs, run..., freed, freed extent..., taken, taken run...
//! run      gap, pages, kind (1 byte: 0 pages, 1 piece), [piece: bytes], CRC-32C (4 bytes, little-endian)
//! freed    gap, 2 x pages + own, age  pages that died in this commit; birth = id - age;
//!                                     own: the space tree's or records
//! taken    gap, pages               dead pages that this commit took into use
//! ```
//!
//! Numbers for which no width is given are LEB128: seven bits a byte, low ones first, the high bit set on all but the
//! last byte, at most 10 bytes. Each list is ascending, and `gap` counts the pages since the end of the entry before
//! it (for the first entry, since page 0), so small numbers stay small. The checksum of a run of pages is the CRC-32C
//! over the CRC-32Cs of its pages, 4 bytes little-endian each; that of a piece is the CRC-32C of its first `bytes`
//! bytes. Runs that were synced before the slot was written are not listed. A record whose changes are folded, or
//! whose id is at or below `base`, leaves the list in question empty if it is encoded again; where several processes
//! commit, changes are listed for some commits longer.

use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::META_PAGE;
use crate::page::{meta_pages, Extent, PIECE};
use crate::util::bytes::get_u32;
use std::iter::Peekable;
use std::sync::Arc;

/// More bytes than an entry of a list takes: three numbers, a kind and a checksum.
const ENTRY_MAX: usize = 40;
/// What memory is lacking for, if it is.
const RECORD: &str = "the record of a commit";

/// A run of pages that a commit wrote, and its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pager) struct WrittenRun {
    /// The pages.
    pub run: Run,
    /// The number of bytes if this is one piece of a value, or 0 if these are tree pages.
    pub piece: u64,
    /// The checksum of the pages' checksums, or of the piece.
    pub checksum: u32,
}

/// What one commit wrote, freed and took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pager) struct CommitRecord {
    /// The id of the commit.
    pub id: CommitId,
    /// The runs that the commit wrote.
    pub runs: Vec<WrittenRun>,
    /// The extents that died in the commit.
    pub freed: Vec<Extent>,
    /// The dead pages that the commit took.
    pub taken: Vec<Run>,
}

impl CommitRecord {
    /// Returns the number of changes that a fold would carry to the space tree.
    pub fn changes(&self) -> usize {
        self.freed.len() + self.taken.len()
    }

    /// Returns the number of pages that the commit wrote and that the record lists.
    pub fn written_pages(&self) -> u64 {
        self.runs.iter().map(|written| written.run.pages).sum()
    }

    /// Makes room for the record in `out`.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn room(&self, out: &mut Vec<u8>) -> Result<()> {
        let entries = 4 + self.runs.len() + self.freed.len() + self.taken.len();
        Error::or_room(out, entries * ENTRY_MAX, RECORD)
    }

    /// Appends the record to `out`, with its runs if it is above `base` and its changes if it is above `listed`.
    pub fn encode(&self, base: CommitId, listed: CommitId, out: &mut Vec<u8>) {
        let runs: &[WrittenRun] = if self.id > base { &self.runs } else { &[] };
        let changes = self.id > listed;
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
            put(out, freed.run.first - end);
            put(out, 2 * freed.run.pages + u64::from(freed.own));
            put(out, self.id.get() - freed.birth.get());
            end = freed.run.end();
        }
        put(out, taken.len() as u64);
        end = PageNo::default();
        for taken in taken {
            put_run(out, *taken, &mut end);
        }
    }
}

/// The most pages of an extent that died. One bit of the number is needed to say whose they were.
pub(in crate::pager) const FREED_PAGES_MAX: u64 = (1 << 31) - 1;

/// The limits of what records may say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The bytes of a page.
    pub page_size: usize,
    /// The pages of the file.
    pub pages: u64,
    /// The newest commit.
    pub id: CommitId,
}

/// Records that lay one behind the other.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub records: Vec<Arc<CommitRecord>>,
    /// Where each of the records ends, in bytes.
    pub ends: Vec<usize>,
}

/// Reads records that lie one behind the other. Their ids must ascend and be above `after`. Records that are among
/// `known`, whose ids ascend as well, are taken from there.
///
/// # Errors
/// `Corrupt`: a record cannot be read, or its id is out of order. `NoMemory`.
pub(super) fn decode<'k>(
    bytes: &[u8],
    bounds: Bounds,
    mut after: CommitId,
    known: &mut Peekable<impl Iterator<Item = &'k Arc<CommitRecord>>>,
) -> Result<Decoded> {
    let unreadable = || Error::corrupt(META_PAGE, "meta slot: a record cannot be read");
    let mut input = Input { bytes, bounds };
    let mut decoded = Decoded::default();
    while !input.bytes.is_empty() {
        let id = CommitId::new(input.number().ok_or_else(unreadable)?);
        if id <= after || id > bounds.id {
            return Err(Error::corrupt(META_PAGE, "meta slot: records out of order"));
        }
        while known.next_if(|record| record.id < id).is_some() {}
        let record = match known.next_if(|record| record.id == id) {
            Some(record) => input.skip_record().map(|()| record.clone()),
            None => input.record(id)?.map(Arc::new),
        };
        Error::or_room(&mut decoded.records, 1, RECORD)?;
        Error::or_room(&mut decoded.ends, 1, RECORD)?;
        decoded.records.push(record.ok_or_else(unreadable)?);
        decoded.ends.push(bytes.len() - input.bytes.len());
        after = id;
    }
    Ok(decoded)
}

fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a run that begins at or behind `end`, and moves `end` behind it.
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

    /// Reads a run that begins at or behind `end` and lies in the file, and moves `end` behind it.
    fn run(&mut self, end: &mut PageNo) -> Option<Run> {
        let gap = self.number()?;
        let pages = self.number()?;
        self.run_behind(end, gap, pages)
    }

    /// Reads an extent that died, as [`Input::run`] reads a run. Its birth is counted back from the commit `id`.
    fn freed(&mut self, end: &mut PageNo, id: CommitId) -> Option<Extent> {
        let gap = self.number()?;
        let pages_and_own = self.number()?;
        let run = self.run_behind(end, gap, pages_and_own / 2)?;
        let birth = CommitId::new(id.get().checked_sub(self.number()?)?);
        let own = pages_and_own % 2 == 1;
        (run.pages <= FREED_PAGES_MAX).then_some(Extent { run, birth, own })
    }

    /// Returns the run that begins `gap` pages behind `end`, if it lies in the file, and moves `end` behind it.
    fn run_behind(&self, end: &mut PageNo, gap: u64, pages: u64) -> Option<Run> {
        let run = Run::new(end.checked_add(gap)?, pages);
        *end = run.checked_end()?;
        let file = meta_pages(self.bounds.page_size)..=self.bounds.pages;
        let inside = pages > 0 && file.contains(&run.first.get()) && file.contains(&end.get());
        (inside && pages <= u64::from(u32::MAX)).then_some(run)
    }

    /// Skips the rest of a record, whose content is known.
    fn skip_record(&mut self) -> Option<()> {
        for _ in 0..self.number()? {
            self.skip_numbers(2)?;
            match self.byte()? {
                0 => {}
                _ => self.skip_numbers(1)?,
            }
            self.bytes = self.bytes.get(4..)?;
        }
        for numbers in [3, 2] {
            let count = usize::try_from(self.number()?).ok()?;
            self.skip_numbers(count.checked_mul(numbers)?)?;
        }
        Some(())
    }

    fn skip_numbers(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            let end = self.bytes.iter().position(|byte| *byte < 0x80)?;
            self.bytes = &self.bytes[end + 1..];
        }
        Some(())
    }

    /// Reads the rest of the record of commit `id`. Returns `None` if it cannot be read.
    ///
    /// # Errors
    /// `NoMemory`.
    fn record(&mut self, id: CommitId) -> Result<Option<CommitRecord>> {
        let mut ends = [PageNo::default(); 3];
        let runs = self.list(|input| input.written(&mut ends[0]))?;
        let Some(runs) = runs else { return Ok(None) };
        let freed = self.list(|input| input.freed(&mut ends[1], id))?;
        let Some(freed) = freed else { return Ok(None) };
        let taken = self.list(|input| input.run(&mut ends[2]))?;
        Ok(taken.map(|taken| CommitRecord { id, runs, freed, taken }))
    }

    /// Reads a list: the number of its entries, and what `entry` reads of each.
    fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Option<T>) -> Result<Option<Vec<T>>> {
        let mut list = Vec::new();
        let Some(count) = self.number() else { return Ok(None) };
        for _ in 0..count {
            let Some(entry) = entry(self) else { return Ok(None) };
            Error::or_room(&mut list, 1, RECORD)?;
            list.push(entry);
        }
        Ok(Some(list))
    }

    /// Reads a run that was written, as [`Input::run`] reads a run.
    fn written(&mut self, end: &mut PageNo) -> Option<WrittenRun> {
        let run = self.run(end)?;
        let piece = match self.byte()? {
            0 => 0,
            1 => self.number().filter(|bytes| *bytes > 0)?,
            _ => return None,
        };
        if piece > PIECE.min(run.pages * self.bounds.page_size as u64) {
            return None;
        }
        let checksum = get_u32(self.bytes.get(..4)?, 0);
        self.bytes = &self.bytes[4..];
        Some(WrittenRun { run, piece, checksum })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::file::sim::Random;

    const BOUNDS: Bounds = Bounds {
        page_size: 4096,
        pages: 1 << 40,
        id: CommitId::new(1 << 40),
    };

    pub(in crate::pager::commit) fn sample(random: &mut Random, id: u64) -> CommitRecord {
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
            let own = random.one_in(2);
            record.freed.push(Extent { run, birth, own });
            record.taken.push(any_run(random));
        }
        record
    }

    fn read(bytes: &[u8], after: CommitId) -> Result<Vec<Arc<CommitRecord>>> {
        decode(bytes, BOUNDS, after, &mut std::iter::empty().peekable()).map(|decoded| decoded.records)
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
            let back = read(&bytes, CommitId::NONE).expect("decode");
            assert!(back.iter().map(|r| &**r).eq(records.iter()));
            // Some are known, in part others than these.
            let known: Vec<Arc<CommitRecord>> = back.iter().filter(|_| random.one_in(2)).cloned().collect();
            let other = Arc::new(sample(&mut random, 150));
            let mut all: Vec<&Arc<CommitRecord>> = known.iter().chain([&other]).collect();
            all.sort_by_key(|record| record.id);
            let again = decode(&bytes, BOUNDS, CommitId::NONE, &mut all.into_iter().peekable()).expect("decode");
            assert_eq!(again.records, back);
            assert_eq!(again.ends.last().copied().unwrap_or(0), bytes.len());
            let is_same = |record: &Arc<CommitRecord>| again.records.iter().any(|r| Arc::ptr_eq(r, record));
            assert!(known.iter().all(is_same));
            if !bytes.is_empty() {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
                for bytes in [&bytes[..], &bytes[..at]] {
                    let _ = read(bytes, CommitId::NONE);
                    let _ = decode(bytes, BOUNDS, CommitId::NONE, &mut back.iter().peekable());
                }
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
        let back = read(&bytes, CommitId::NONE).expect("decode");
        assert!(back[0].runs.is_empty() && back[0].freed == record.freed);
        bytes.clear();
        record.encode(id(8), id(9), &mut bytes);
        let back = read(&bytes, CommitId::NONE).expect("decode");
        assert!(back[0].runs == record.runs && back[0].changes() == 0);
        assert!(read(&bytes, id(9)).is_err());
    }
}
