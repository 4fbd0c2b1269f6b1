//! Opening: which commit is the newest whole one.
//!
//! 1. Sync, or fail: nothing found in the cache is believed before it is durable.
//! 2. Read the four slots past the cache; magic and checksum before any other field.
//! 3. From the highest id down, accept the first commit whose listed writes are all there. What is listed is what a crash
//!    could have torn (I-2); no other page is read.
//! 4. A slot's `base` was durable when it was written: nothing below the highest `base` seen is accepted. Only
//!    the newest commit of all, damaged before another was made, looks like one that a crash tore.
//! 5. Rejected slots are erased before the first write, and ids continue above every id seen (I-4): a rejected commit can
//!    never become whole later. That includes commits whose file is too short: it may grow again. It includes torn slots:
//!    another commit that is torn in the same slot may bring just what is missing.

use super::record::WrittenRun;
use super::records::{NoRecords, SlotRecords};
use crate::error::{Error, Result};
use crate::file::Storage;
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{Meta, Slot, MAGIC, META_PAGE, SLOTS, SLOT_BYTES};
use crate::page::{meta_pages, META_BYTES, PIECE};
use crate::pager::descriptor::Descriptor;
use crate::pager::shared::CommitSlot;
use crate::util::crc32c;
use crate::util::seeded::{self, Bug};

/// Bytes between two listed runs that are read along rather than stepped over.
const GAP: u64 = 64 << 10;
/// Most bytes that are asked for before the first is looked at: all that is ever listed, but for very large gaps.
const AT_ONCE: u64 = 64 << 20;

/// What recovery found.
#[derive(Debug)]
pub(in crate::pager) struct Recovered {
    /// The commit accepted.
    pub meta: Meta,
    /// Its slot.
    pub slot: usize,
    /// Highest id in any slot.
    pub max_id: CommitId,
    /// Newer commits that were rejected.
    pub discarded: u32,
    /// Their slots, and those that are torn: to be erased before anything is written.
    pub erase: Vec<usize>,
}

/// The first 16 KiB of a new database: an empty commit 1.
pub(in crate::pager) fn empty_image(page_size: usize, uuid: [u8; 16], time: u64) -> Vec<u8> {
    let meta = Meta {
        page_size: page_size as u32,
        uuid,
        id: CommitId::new(1),
        time,
        pages: meta_pages(page_size),
        ..Meta::default()
    };
    let mut image = meta.encode().to_vec();
    image.resize(META_BYTES as usize, 0);
    image
}

impl Descriptor {
    /// What a meta slot says of its commit.
    pub(in crate::pager) fn of(meta: &Meta) -> Descriptor {
        Descriptor {
            id: meta.id,
            pages: meta.pages,
            roots: meta.roots,
        }
    }
}

/// Finds the newest whole commit: steps 2 to 5. (Step 1 is the caller's.)
///
/// # Errors
/// `NotADatabase`, `TooNew`, `TooOld`, `Corrupt`, `Io`.
pub(in crate::pager) fn recover(storage: &dyn Storage) -> Result<Recovered> {
    let len = storage.len()?;
    if len < META_BYTES {
        return Err(too_short(storage, len)?);
    }
    let Slots { mut whole, mut erase } = read_slots(storage)?;
    whole.sort_by_key(|(_, meta)| std::cmp::Reverse(meta.id));
    check_together(&whole)?;
    // Step 4: a base was durable when its slot was written, so recovery ends there or above.
    let need = whole.iter().map(|(_, meta)| meta.base).max().unwrap_or_default();
    // Step 5: the ids of rejected commits count (I-4).
    let max_id = whole[0].1.id;
    let (mut discarded, mut why) = (0, None);
    for (slot, meta) in whole {
        if meta.id < need && !seeded::on(Bug::GoBack) {
            break;
        }
        // Step 3: what the slot lists is all that a crash can have torn (I-2).
        let Some(damage) = missing(storage, len, &meta)? else {
            return Ok(Recovered {
                meta,
                slot,
                max_id,
                discarded,
                erase,
            });
        };
        // The newest one's damage is what to tell if no commit is accepted.
        why = why.or(Some(damage));
        discarded += 1;
        erase.push(slot);
    }
    // Without a rejected one, the slot of the durable commit itself cannot be read.
    Err(why.unwrap_or_else(|| {
        let what = format!("commit {need} was durable, and neither it nor a later one is there");
        Error::corrupt(META_PAGE, what)
    }))
}

/// The slots of a file.
struct Slots {
    /// Those that hold a commit, with their numbers; at least one.
    whole: Vec<(usize, Meta)>,
    /// Those that hold something else: torn ones among them.
    erase: Vec<usize>,
}

/// Step 2.
fn read_slots(storage: &dyn Storage) -> Result<Slots> {
    let (mut whole, mut erase) = (Vec::new(), Vec::new());
    let (mut is_ours, mut bytes) = (false, [0; SLOT_BYTES]);
    for slot in 0..SLOTS {
        storage.read_at((slot * SLOT_BYTES) as u64, &mut bytes)?;
        is_ours |= bytes.starts_with(&MAGIC);
        match Meta::decode(&bytes)? {
            Slot::Valid(meta) => whole.push((slot, *meta)),
            Slot::Torn | Slot::Foreign => erase.push(slot),
            Slot::Empty => {}
        }
    }
    if !whole.is_empty() {
        return Ok(Slots { whole, erase });
    }
    if is_ours {
        return Err(Error::corrupt(META_PAGE, "no meta slot can be read"));
    }
    let mut first = [0; 8];
    storage.read_at(0, &mut first)?;
    Err(Error::NotADatabase(format!("it begins with the bytes {first:02x?}")))
}

/// What is wrong with a file that has no room for its meta slots.
fn too_short(storage: &dyn Storage, len: u64) -> Result<Error> {
    let mut begin = vec![0; len.min(8) as usize];
    storage.read_at(0, &mut begin)?;
    if !begin.is_empty() && MAGIC.starts_with(&begin) {
        let what = format!("the file was cut: it has {len} bytes, and its head alone takes {META_BYTES}");
        return Ok(Error::corrupt(None, what));
    }
    Ok(Error::NotADatabase(format!("{len} bytes are too short for one")))
}

/// Slots of one file agree on what never changes, and no id is in two of them.
fn check_together(slots: &[(usize, Meta)]) -> Result<()> {
    for pair in slots.windows(2) {
        let (a, b) = (&pair[0].1, &pair[1].1);
        if a.id == b.id {
            return Err(Error::corrupt(META_PAGE, "two meta slots hold the same commit"));
        }
        if a.uuid != b.uuid || a.page_size != b.page_size {
            return Err(Error::corrupt(META_PAGE, "meta slots of different databases"));
        }
    }
    Ok(())
}

/// What is missing of a commit: how to say so if no other may take its place. `None`: the file is long enough, and
/// everything the slot lists is there.
fn missing(storage: &dyn Storage, len: u64, meta: &Meta) -> Result<Option<Error>> {
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
            return Ok(Some(Error::corrupt(page, what)));
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
        Error::corrupt(page, what)
    }))
}

/// Whether the commit that should be in this slot is on the disk, with everything it lists.
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
    /// The cache was given up.
    renewed: bool,
    from: u64,
    bytes: Vec<u8>,
}

impl ReadAhead<'_> {
    /// `len` bytes at `at`. If they must be read, so is what follows, up to `until`.
    fn get(&mut self, at: u64, len: u64, until: u64) -> Result<&[u8]> {
        if at < self.from || at + len > self.from + self.bytes.len() as u64 {
            self.from = at;
            self.bytes.resize((until - at).clamp(len, PIECE) as usize, 0);
            if self.renewed {
                self.storage.read_cached(at, &mut self.bytes)?;
            } else {
                self.storage.read_at(at, &mut self.bytes)?;
            }
        }
        let skip = (at - self.from) as usize;
        Ok(&self.bytes[skip..skip + len as usize])
    }
}

/// First page of a run that differs from its checksum.
fn differs(storage: &dyn Storage, size: usize, mut runs: Vec<&WrittenRun>) -> Result<Option<PageNo>> {
    // Small commits one after the other lie side by side: hundreds of runs are a few reads.
    runs.sort_unstable_by_key(|written| written.run.first);
    let mut untils = vec![0; runs.len()];
    let mut spans: Vec<(u64, u64)> = Vec::new();
    let bytes_of = |run: Run| (run.first.offset(size), run.end().offset(size));
    for (written, until) in runs.iter().zip(&mut untils).rev() {
        let (start, end) = bytes_of(written.run);
        *until = end;
        match spans.last_mut().filter(|(next, _)| *next <= end + GAP) {
            Some((from, len)) => {
                *until = *from + *len;
                (*from, *len) = (start, *until - start);
            }
            None => spans.push((start, end - start)),
        }
    }
    // A disk that is asked for all at once answers several times as fast as one that is asked for one after the other.
    let renewed = spans.iter().map(|span| span.1).sum::<u64>() <= AT_ONCE && storage.renew(&spans);
    let mut read_ahead = ReadAhead {
        storage,
        renewed,
        from: 0,
        bytes: Vec::new(),
    };
    for (written, until) in runs.iter().zip(untils) {
        let (mut at, end) = bytes_of(written.run);
        let mut sum = 0;
        while at < end {
            let bytes = read_ahead.get(at, (end - at).min(PIECE), until)?;
            at += bytes.len() as u64;
            if written.piece > 0 {
                sum = crc32c(&bytes[..bytes.len().min(written.piece as usize)]);
                break;
            }
            for page in bytes.chunks(size) {
                sum = ::crc32c::crc32c_append(sum, &crc32c(page).to_le_bytes());
            }
        }
        if sum != written.checksum {
            return Ok(Some(written.run.first));
        }
    }
    Ok(None)
}
