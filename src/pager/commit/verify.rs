//! Verifying that a commit is whole: the file is long enough, and what its slot lists is there.
//!
//! What is listed is all that a crash can have torn (I-2), so no other page is read, whatever the size of the file.

use super::record::WrittenRun;
use super::records::{NoRecords, SlotRecords};
use crate::error::{Error, Result};
use crate::file::Storage;
use crate::ids::PageNo;
use crate::page::meta::{Meta, Slot, SLOT_BYTES};
use crate::page::PIECE;
use crate::pager::shared::CommitSlot;
use crate::util::crc32c;
use crate::util::seeded::{self, Bug};
use std::ops::Range;

/// Up to this many bytes between two listed runs are read along rather than skipped.
const GAP: u64 = 64 << 10;
/// The most bytes that are asked for before the first is looked at. Only very large gaps make what is listed exceed
/// this.
const AT_ONCE: u64 = 64 << 20;

/// Returns what is missing of a commit, as the error to report if no other commit may take its place. Returns `None`
/// if the file is long enough and everything that the slot lists is there.
pub(super) fn missing(storage: &dyn Storage, len: u64, meta: &Meta) -> Result<Option<Error>> {
    let Meta { id, pages, .. } = meta;
    if !meta.fits(len) {
        let need = u128::from(*pages) * u128::from(meta.page_size);
        let what = format!("the file is shorter than its newest commit ({id}) says: {len} bytes of {need}");
        return Ok(Some(Error::corrupt(None, what)));
    }
    let records = match SlotRecords::read(meta, |at, into| storage.read_at(at, into)) {
        Ok(records) => records,
        Err(NoRecords::Failed(error)) => return Err(error),
        Err(NoRecords::Torn(page)) => {
            let what = format!("records of commit {id} differ from their checksum");
            return Ok(Some(Error::unreadable(page, what)));
        }
    };
    let listed = records.above(meta.base);
    let listed = listed.filter(|r| r.id == meta.id || !seeded::on(Bug::ListOwnOnly));
    let mut runs: Vec<&WrittenRun> = listed.flat_map(|r| &r.runs).collect();
    if seeded::on(Bug::AcceptUnverified) {
        runs.clear();
    }
    Ok(differs(storage, meta.page_size as usize, runs)?.map(|page| {
        let what = format!("what commit {id}, or one before it, wrote differs from its checksum");
        Error::unreadable(page, what)
    }))
}

/// Returns whether the commit that should be in this slot is on the disk, with everything that it lists.
pub(super) fn is_on_disk(storage: &dyn Storage, commit: CommitSlot) -> Result<bool> {
    let mut bytes = [0; SLOT_BYTES];
    storage.read_at((commit.slot * SLOT_BYTES) as u64, &mut bytes)?;
    match Meta::decode(&bytes)? {
        Slot::Valid(meta) if meta.id == commit.id => Ok(missing(storage, storage.len()?, &meta)?.is_none()),
        _ => Ok(false),
    }
}

/// A part of the file, read in one call for neighbours that are looked at one after the other.
struct ReadAhead<'s> {
    storage: &'s dyn Storage,
    /// Whether the cache was given up, so that what it holds now comes from the disk.
    is_fresh: bool,
    from: u64,
    bytes: Vec<u8>,
}

impl ReadAhead<'_> {
    /// Returns `len` bytes at `at`. If they must be read, what follows is read as well, up to `until`.
    fn get(&mut self, at: u64, len: u64, until: u64) -> Result<&[u8]> {
        if at < self.from || at + len > self.from + self.bytes.len() as u64 {
            self.from = at;
            self.bytes
                .resize(until.saturating_sub(at).clamp(len, PIECE) as usize, 0);
            match self.is_fresh {
                true => self.storage.read_cached(at, &mut self.bytes)?,
                false => self.storage.read_at(at, &mut self.bytes)?,
            }
        }
        let skip = (at - self.from) as usize;
        Ok(&self.bytes[skip..skip + len as usize])
    }
}

/// Returns the first page of a run that differs from its checksum, or `None` if there is none.
fn differs(storage: &dyn Storage, page_size: usize, mut runs: Vec<&WrittenRun>) -> Result<Option<PageNo>> {
    let bytes_of = |written: &WrittenRun| {
        let run = written.run;
        run.first.offset(page_size)..run.end().offset(page_size)
    };
    // Small commits that were made one after the other lie side by side, so that hundreds of runs are a few spans.
    // From the last run to the first, each run learns where its span ends.
    runs.sort_unstable_by_key(|written| written.run.first);
    let mut spans: Vec<Range<u64>> = Vec::new();
    let mut span_ends = vec![0; runs.len()];
    for (written, span_end) in runs.iter().zip(&mut span_ends).rev() {
        let bytes = bytes_of(written);
        *span_end = bytes.end;
        match spans.last_mut().filter(|next| next.start <= bytes.end + GAP) {
            Some(next) => {
                *span_end = next.end;
                next.start = bytes.start;
            }
            None => spans.push(bytes),
        }
    }
    // A disk that is asked for everything at once answers several times as fast as one that is asked piece by piece.
    let total: u64 = spans.iter().map(|span| span.end - span.start).sum();
    let mut read_ahead = ReadAhead {
        storage,
        is_fresh: total <= AT_ONCE && storage.read_anew(&spans),
        from: 0,
        bytes: Vec::new(),
    };
    for (written, span_end) in runs.iter().zip(span_ends) {
        let Range { start: mut at, end } = bytes_of(written);
        let mut sum = 0;
        while at < end {
            let bytes = read_ahead.get(at, (end - at).min(PIECE), span_end)?;
            at += bytes.len() as u64;
            if written.piece > 0 {
                // A piece has one checksum, and no piece is longer than what is read at once.
                sum = crc32c(&bytes[..bytes.len().min(written.piece as usize)]);
                break;
            }
            for page in bytes.chunks(page_size) {
                sum = ::crc32c::crc32c_append(sum, &crc32c(page).to_le_bytes());
            }
        }
        if sum != written.checksum {
            return Ok(Some(written.run.first));
        }
    }
    Ok(None)
}
