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

use super::verify::missing;
use crate::error::{Error, Result};
use crate::file::Storage;
use crate::ids::CommitId;
use crate::page::meta::{Meta, Slot, MAGIC, META_PAGE, SLOTS, SLOT_BYTES};
use crate::page::{meta_pages, META_BYTES};
use crate::pager::descriptor::Descriptor;
use crate::util::seeded::{self, Bug};

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
