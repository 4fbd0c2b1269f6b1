//! Opening: which commit is the newest whole one.
//!
//! 1. Sync, or fail: nothing found in the cache is believed before it is durable.
//! 2. Read the four slots past the cache; magic and checksum before any other field.
//! 3. From the highest id down, accept the first commit whose listed writes are all there. What is listed is what a crash
//!    could have torn (I-2); no other page is read.
//! 4. A slot's `base` was durable when it was written: nothing below the highest `base` seen is accepted. Only
//!    the newest commit of all, damaged before another was made, looks like one that a crash tore.
//! 5. Rejected slots are erased before the first write, and ids continue above every id seen (I-4): a rejected commit can
//!    never become whole later. That includes commits whose file is too short: it may grow again.

use super::tail::{self, Bounds, Record, Spilled, Tail};
use crate::error::{Error, Result};
use crate::file::Storage;
use crate::page::meta::{Meta, Slot, SLOT, SLOTS};
use crate::page::{meta_pages, META_BYTES, PIECE};
use crate::util::crc32c;
use crate::util::seeded::{self, Bug};
use std::sync::Arc;

/// What recovery found.
#[derive(Debug)]
pub(super) struct Found {
    /// The commit accepted.
    pub meta: Meta,
    /// Its slot.
    pub slot: usize,
    /// Its records.
    pub tail: Tail,
    /// Highest id in any slot.
    pub max_id: u64,
    /// Slots of newer commits that were rejected.
    pub rejected: Vec<usize>,
}

/// The first 16 KiB of a new database: an empty commit 1.
pub(super) fn empty_image(page_size: usize, uuid: [u8; 16], time: u64) -> Vec<u8> {
    let meta = Meta {
        page_size: page_size as u32,
        uuid,
        id: 1,
        time,
        pages: meta_pages(page_size),
        ..Meta::default()
    };
    let mut image = meta.encode().to_vec();
    image.resize(META_BYTES as usize, 0);
    image
}

/// Finds the newest whole commit.
///
/// # Errors
/// `NotADatabase`, `TooNew`, `Corrupt`, `Io`.
pub(super) fn recover(storage: &dyn Storage) -> Result<Found> {
    let len = storage.len()?;
    if len < META_BYTES {
        return Err(Error::NotADatabase(format!("{len} bytes are too short for one")));
    }
    let mut slots: Vec<(usize, Meta)> = Vec::new();
    let (mut foreign, mut bytes) = (0, [0; SLOT]);
    for slot in 0..SLOTS {
        storage.read_at((slot * SLOT) as u64, &mut bytes)?;
        match Meta::decode(&bytes)? {
            Slot::Valid(meta) => slots.push((slot, *meta)),
            Slot::Torn => {}
            Slot::Foreign => foreign += 1,
        }
    }
    if slots.is_empty() {
        return Err(match foreign {
            SLOTS => Error::NotADatabase("it begins with other bytes".into()),
            _ => Error::corrupt(0, "no meta slot can be read"),
        });
    }
    slots.sort_by_key(|(_, meta)| std::cmp::Reverse(meta.id));
    check_together(&slots)?;
    let need = slots.iter().map(|(_, meta)| meta.base).max().unwrap_or(0);
    let max_id = slots[0].1.id;
    let mut rejected = Vec::new();
    for (slot, meta) in slots {
        if meta.id < need && !seeded::on(Bug::GoBack) {
            break;
        }
        if let Some(tail) = verify(storage, len, &meta)? {
            return Ok(Found {
                meta,
                slot,
                tail,
                max_id,
                rejected,
            });
        }
        rejected.push(slot);
    }
    Err(Error::corrupt(0, "the newest durable commit is damaged"))
}

/// Slots of one file agree on what never changes, and no id is in two of them.
fn check_together(slots: &[(usize, Meta)]) -> Result<()> {
    for pair in slots.windows(2) {
        let (a, b) = (&pair[0].1, &pair[1].1);
        if a.id == b.id {
            return Err(Error::corrupt(0, "two meta slots hold the same commit"));
        }
        if a.uuid != b.uuid || a.page_size != b.page_size {
            return Err(Error::corrupt(0, "meta slots of different databases"));
        }
    }
    Ok(())
}

/// Whether the file is long enough and everything the slot lists is there; its records if so.
fn verify(storage: &dyn Storage, len: u64, meta: &Meta) -> Result<Option<Tail>> {
    if !meta.fits(len) {
        return Ok(None);
    }
    let bounds = Bounds {
        page_size: meta.page_size as usize,
        pages: meta.pages,
        id: meta.id,
    };
    let mut tail = Tail::default();
    let mut after = 0;
    for spill in &meta.spills {
        let mut bytes = Vec::new();
        let room = bytes.try_reserve_exact(spill.bytes as usize);
        room.map_err(|_| Error::NoMemory("records of recent commits"))?;
        bytes.resize(spill.bytes as usize, 0);
        storage.read_at(spill.page * u64::from(meta.page_size), &mut bytes)?;
        if crc32c(&bytes) != spill.checksum {
            return Ok(None);
        }
        let records = tail::decode(&bytes, bounds, after)?;
        after = records.last().map_or(after, |r| r.id);
        tail.spilled.push(Spilled { spill: *spill, records });
    }
    tail.inline = tail::decode(&meta.inline, bounds, after)?;
    let mut buffer = Vec::new();
    for record in tail.records().filter(|r| r.id > meta.base) {
        if seeded::on(Bug::ListOwnOnly) && record.id != meta.id {
            continue;
        }
        if !seeded::on(Bug::AcceptUnverified) && !verify_runs(storage, meta, record, &mut buffer)? {
            return Ok(None);
        }
    }
    Ok(Some(tail))
}

fn verify_runs(storage: &dyn Storage, meta: &Meta, record: &Arc<Record>, buffer: &mut Vec<u8>) -> Result<bool> {
    let size = u64::from(meta.page_size);
    for run in &record.runs {
        let (mut at, end) = (run.page * size, (run.page + run.pages) * size);
        let mut sum = 0;
        while at < end {
            buffer.resize((end - at).min(PIECE) as usize, 0);
            storage.read_at(at, buffer)?;
            at += buffer.len() as u64;
            if run.piece > 0 {
                sum = crc32c(&buffer[..buffer.len().min(run.piece as usize)]);
                break;
            }
            for page in buffer.chunks(size as usize) {
                sum = ::crc32c::crc32c_append(sum, &crc32c(page).to_le_bytes());
            }
        }
        if sum != run.checksum {
            return Ok(false);
        }
    }
    Ok(true)
}
