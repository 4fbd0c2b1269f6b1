//! Recovery: which commit is the newest whole one.
//!
//! 1. Sync, or fail, because nothing that is found in the cache is believed before it is durable. (An opener that can
//!    only read the file goes on if the sync fails: it overwrites nothing.)
//! 2. Read the four slots past the cache, and look at magic and checksum before any other field.
//! 3. From the highest id down, accept the first commit whose listed writes are all there. What is listed is what a
//!    crash could have torn (I-2); no other page is read.
//! 4. Accept nothing below the highest `base` of any slot, because a slot's `base` was durable when the slot was
//!    written. Only damage to the newest commit of all, if it was the last one made, looks like a crash that tore it.
//! 5. Erase rejected slots before the first write, and continue ids above every id seen (I-4), so that a rejected
//!    commit can never become whole later. This includes commits for which the file is too short, because it may grow
//!    again. It includes torn slots, because another commit that is torn in the same slot may bring just what is
//!    missing.

use super::record::CommitRecord;
use super::verify::missing;
use crate::error::{Detail, Error, Foreign, Result};
use crate::file::peers::{is_memory, MEMORY};
use crate::file::Storage;
use crate::ids::CommitId;
use crate::page::meta::{Meta, Slot, MAGIC, META_PAGE, SLOTS, SLOT_BYTES};
use crate::page::{meta_pages, META_BYTES};
use crate::pager::descriptor::Descriptor;
use crate::pager::identity::{new_timeline, new_uuid, now};
use crate::util::seeded::{self, Bug};
use crate::util::shown::plural;

/// What recovery has found.
#[derive(Debug)]
pub(in crate::pager) struct Recovered {
    /// The commit that was accepted.
    pub meta: Meta,
    /// The slot of that commit.
    pub slot: usize,
    /// The highest id in any slot.
    pub max_id: CommitId,
    /// The number of newer commits that were rejected.
    pub discarded: u32,
    /// The slots of those commits, and slots that are torn. They are to be erased before anything is written.
    pub erase: Vec<usize>,
    /// A bit for each slot that cannot be read, or that is missing.
    pub lost_slots: u32,
    /// Whether the database was closed properly with this commit.
    pub closed: bool,
}

/// Returns the first 16 KiB of a new database, which hold an empty commit 1.
pub(in crate::pager) fn empty_image(page_size: usize) -> Vec<u8> {
    let id = CommitId::new(1);
    let record = CommitRecord {
        id,
        ..CommitRecord::default()
    };
    let mut inline = Vec::new();
    record.encode(CommitId::NONE, CommitId::NONE, &mut inline);
    let meta = Meta {
        page_size: page_size as u32,
        uuid: new_uuid(),
        timeline: new_timeline(),
        id,
        time: now(),
        closed: true,
        pages: meta_pages(page_size),
        inline,
        ..Meta::default()
    };
    let mut image = meta.encode().to_vec();
    image.resize(META_BYTES as usize, 0);
    image
}

impl Descriptor {
    /// Returns what a meta slot says of its commit.
    pub(in crate::pager) fn of(meta: &Meta) -> Descriptor {
        Descriptor {
            id: meta.id,
            pages: meta.pages,
            roots: meta.roots,
        }
    }
}

/// Finds the newest whole commit, by steps 2 to 5. (The caller does step 1, and the first writer erases.)
///
/// # Errors
/// `NotADatabase`, `TooNew`, `TooOld`, `Corrupt`, `Io`.
pub(in crate::pager) fn recover(storage: &dyn Storage) -> Result<Recovered> {
    let len = storage.len()?;
    if len < META_BYTES {
        return Err(too_short(storage, len)?);
    }
    let slots = read_slots(|at, bytes| storage.read_at(at, bytes))?;
    let lost_slots = slots.lost();
    let (mut whole, mut erase) = (slots.whole, slots.unreadable);
    check_together(&whole)?;
    // What one slot says that this version does not know holds for the file.
    let (write, slot_flags) = whole.iter().fold((0, 0), |(write, flags), (_, meta)| {
        (write | meta.features.write, flags | meta.features.slot_flags)
    });
    whole.iter_mut().for_each(|(_, meta)| {
        (meta.features.write, meta.features.slot_flags) = (write, slot_flags);
    });
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
                // A lost slot may have held a later commit.
                closed: meta.closed && discarded == 0 && lost_slots == 0,
                lost_slots,
                meta,
                slot,
                max_id,
                discarded,
                erase,
            });
        };
        // If no commit is accepted, the error names the damage of the newest one.
        why = why.or(Some(damage));
        discarded += 1;
        erase.push(slot);
    }
    // If no commit was rejected, the slot of the durable commit itself cannot be read.
    Err(why.unwrap_or_else(|| {
        let what = format!("commit {need} was durable, and neither it nor a later one is there");
        Error::corrupt(META_PAGE, what)
    }))
}

/// The slots of a file.
#[derive(Default)]
struct Slots {
    /// The slots that hold a commit, with their numbers, the newest first.
    whole: Vec<(usize, Meta)>,
    /// The slots that hold something else, such as torn ones.
    unreadable: Vec<usize>,
    /// The slots that were never written, or were erased. The latter still have what was behind their first sector.
    empty: Vec<usize>,
    /// Those of them that are all zeros: never written, as far as they tell.
    zeros: Vec<usize>,
}

impl Slots {
    fn add(&mut self, slot: usize, bytes: &[u8; SLOT_BYTES], found: Slot) {
        match found {
            Slot::Valid(meta) => {
                let at = self.whole.partition_point(|(_, newer)| newer.id > meta.id);
                self.whole.insert(at, (slot, *meta));
            }
            Slot::Torn | Slot::Foreign => self.unreadable.push(slot),
            Slot::Empty => {
                self.empty.push(slot);
                if bytes.iter().all(|byte| *byte == 0) {
                    self.zeros.push(slot);
                }
            }
        }
    }

    /// Returns a bit for each slot that cannot be read, or that is missing.
    fn lost(&self) -> u32 {
        let bit = |bits: u32, slot: &usize| bits | 1 << slot;
        let unreadable = self.unreadable.iter().fold(0, bit);
        // Writers take the first slot that is free (`Shared::free_slot`), so the first two are written before any
        // behind them. The third is left out: a power cut can keep the fourth without it, and it may not be written
        // for long.
        let is_used = |slot: usize| !self.zeros.contains(&slot);
        let is_passed_over = |slot: &&usize| **slot < 2 && (**slot == 0 || (**slot + 1..SLOTS).any(is_used));
        let lost = self.zeros.iter().filter(is_passed_over).fold(unreadable, bit);
        match self.place_of_base().filter(|_| lost == 0) {
            Some(slot) => 1 << slot,
            None => lost,
        }
    }

    /// Returns a slot that holds nothing, if the base of the newest commit is in none. It was in one when that commit
    /// was written, so a later commit was written over it, and that is not there either. After a crash, an erased slot
    /// explains that.
    fn place_of_base(&self) -> Option<usize> {
        let (_, newest) = self.whole.first()?;
        let is_there = self.whole.iter().any(|(_, meta)| meta.id == newest.base);
        if newest.base == CommitId::NONE || is_there {
            return None;
        }
        let places = if newest.closed { &self.empty } else { &self.zeros };
        places.first().copied()
    }
}

/// Returns a bit for each slot that cannot be read, or that is missing. `read` fills a buffer from an offset on.
pub fn lost_slots(read: impl Fn(u64, &mut [u8]) -> Result<()>) -> u32 {
    let (mut slots, mut bytes) = (Slots::default(), [0; SLOT_BYTES]);
    for slot in 0..SLOTS {
        let found = read((slot * SLOT_BYTES) as u64, &mut bytes).and_then(|()| Meta::decode(&bytes));
        slots.add(slot, &bytes, found.unwrap_or(Slot::Foreign));
    }
    slots.lost()
}

/// Reads the slots (step 2). There is at least one that holds a commit.
fn read_slots(read: impl Fn(u64, &mut [u8]) -> Result<()>) -> Result<Slots> {
    let (mut slots, mut is_ours, mut bytes) = (Slots::default(), false, [0; SLOT_BYTES]);
    for slot in 0..SLOTS {
        read((slot * SLOT_BYTES) as u64, &mut bytes)?;
        is_ours |= bytes.starts_with(&MAGIC);
        slots.add(slot, &bytes, Meta::decode(&bytes)?);
    }
    if !slots.whole.is_empty() {
        return Ok(slots);
    }
    if is_ours {
        return Err(Error::corrupt(META_PAGE, "no meta slot can be read"));
    }
    let begin = read_begin(read, META_BYTES)?;
    let other = other_format(&begin).or_else(|| text(&begin)).unwrap_or_else(|| {
        let what = match slots.empty.len() {
            SLOTS => format!("its first {META_BYTES} bytes are zeros"),
            _ => format!("it begins with the bytes {:02x?}", &begin[..8]),
        };
        Detail::foreign(what, Foreign::Headless)
    });
    Err(Error::NotADatabase(other))
}

/// The number of bytes by which other formats are recognised.
const BEGIN: usize = 32;
/// The least number of bytes by which text is.
const TEXT: usize = 8;

/// Where other formats have their magic bytes. Some of them are numbers in the order of the machine that wrote the
/// file, which is little-endian nearly everywhere.
const OTHERS: [(usize, &[u8], &str); 9] = [
    (0, b"SQLite format 3\0", "an SQLite database"),
    (0, b"redb\x1A\x0A\xA9\x0D\x0A", "a redb database"),
    (0, b"\x89HDF\r\n\x1A\n", "an HDF5 file"),
    (16, b"\xDE\xC0\xEF\xBE", "an LMDB database"),
    (24, b"\xDE\xC0\xEF\xBE", "an LMDB 1.0 database"),
    (21, b"\x11\x4C\xEF\xBD\x9D\x65\x59", "a libmdbx database"),
    (16, b"\xED\xDA\x0C\xED", "a bbolt database"),
    (12, b"\x62\x31\x05\x00", "a Berkeley DB database"),
    (12, b"\x61\x15\x06\x00", "a Berkeley DB hash database"),
];

/// Says what a file is, if it begins as one of another format does.
fn other_format(begin: &[u8; BEGIN]) -> Option<Box<Detail>> {
    if is_memory(begin) {
        return Some(Detail::foreign(MEMORY, Foreign::Memory));
    }
    let found = OTHERS.iter().find(|(at, magic, _)| begin[*at..].starts_with(magic));
    found.map(|(_, _, what)| format!("it is {what}").into())
}

/// Says that a file is text, if its first bytes look like that and are more than a few. The last of them may be a part
/// of a character.
fn text(begin: &[u8]) -> Option<Box<Detail>> {
    if begin.len() < TEXT {
        return None;
    }
    let valid = match std::str::from_utf8(begin) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&begin[..error.valid_up_to()]).ok()?,
        Err(_) => return None,
    };
    let is_text = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
    valid.chars().all(is_text).then(|| "it begins as a text does".into())
}

/// Reads the first bytes of a file. Those that it does not have are zero.
fn read_begin(read: impl Fn(u64, &mut [u8]) -> Result<()>, len: u64) -> Result<[u8; BEGIN]> {
    let mut begin = [0; BEGIN];
    read(0, &mut begin[..len.min(BEGIN as u64) as usize])?;
    Ok(begin)
}

/// Returns what is wrong with a file that has no room for its meta slots.
fn too_short(storage: &dyn Storage, len: u64) -> Result<Error> {
    let begin = read_begin(|at, bytes| storage.read_at(at, bytes), len)?;
    let known = MAGIC.len().min(len as usize);
    if known > 0 && MAGIC.starts_with(&begin[..known]) {
        let bytes = plural(len, "byte", "bytes");
        let what = format!("the file was cut: it has {len} {bytes}, and its head alone takes {META_BYTES}");
        return Ok(Error::corrupt(None, what));
    }
    let begin_len = BEGIN.min(len as usize);
    let other = other_format(&begin)
        .or_else(|| text(&begin[..begin_len]))
        .unwrap_or_else(|| {
            let bytes = plural(len, "byte is", "bytes are");
            format!("{len} {bytes} too short for one").into()
        });
    Ok(Error::NotADatabase(other))
}

/// Checks that the slots of a file agree on what never changes, and that no id is in two of them.
fn check_together(slots: &[(usize, Meta)]) -> Result<()> {
    for pair in slots.windows(2) {
        let (a, b) = (&pair[0].1, &pair[1].1);
        if a.id == b.id {
            return Err(Error::corrupt(META_PAGE, "two meta slots hold the same commit"));
        }
        if (a.uuid, a.timeline, a.page_size) != (b.uuid, b.timeline, b.page_size) {
            return Err(Error::corrupt(META_PAGE, "meta slots of different databases"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::memory::Memory;

    #[test]
    fn other_formats_are_named() {
        for (at, magic, what) in OTHERS {
            for len in [4096, 1 << 16] {
                let file = Memory::new().expect("memory");
                let mut bytes = vec![0; len];
                bytes[at..at + magic.len()].copy_from_slice(magic);
                file.write_at(0, &bytes).expect("write");
                let error = recover(&file).expect_err("no database");
                assert_eq!(error.to_string(), format!("not a kv database: it is {what}"));
            }
        }
    }

    #[test]
    fn text_is_told() {
        let texts: [&[u8]; 4] = [
            b"#!/bin/sh\necho\r\n",
            b"8 bytes.",
            b"{\"key\": 1}",
            "ä, ö and ü\t, and so on to cut ü".as_bytes(),
        ];
        for text in texts {
            for len in [0, 1 << 16] {
                let mut bytes = text.to_vec();
                while bytes.len() < len {
                    bytes.extend_from_slice(text);
                }
                let file = Memory::new().expect("memory");
                file.write_at(0, &bytes).expect("write");
                let error = recover(&file).expect_err("no database");
                assert_eq!(
                    error.to_string(),
                    "not a kv database: it begins as a text does",
                    "{text:?}"
                );
            }
        }
        for bytes in [&b"12345\x0078"[..], b"12345\x1B[m", b"Latin 1 \xE4\xE4", b"a few"] {
            assert!(text(bytes).is_none(), "{bytes:?}");
        }
    }
}
