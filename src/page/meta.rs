//! The four meta slots at the head of the file: which commit is current, and what recovery must check and replay.
//!
//! The file begins with four slots of 4096 bytes at offsets 0, 4096, 8192 and 12288, whatever the page size. They are
//! those of the durable, the syncing, the newest and the next commit (I-1). All integers are little-endian; `u48` takes
//! six bytes.
//!
//! | at   | bytes | field                                                                                 |
//! |------|-------|---------------------------------------------------------------------------------------|
//! | 0    | 8     | magic `89 6B 76 66 69 6C 65 0A` ("\x89kvfile\n")                                        |
//! | 8    | 4     | format version, 1                                                                      |
//! | 12   | 4     | features that a reader must understand                                                 |
//! | 16   | 4     | features that a writer must understand                                                 |
//! | 20   | 4     | features that may be ignored                                                           |
//! | 24   | 4     | page size: a power of two, 4096 to 65536                                               |
//! | 28   | 1     | checksum kind: 1 = CRC-32C                                                             |
//! | 29   | 1     | checksum width in bytes: 4                                                             |
//! | 30   | 2     | T: where the spilled extents begin                                                     |
//! | 32   | 16    | UUID of the file                                                                       |
//! | 48   | 8     | commit id, from 1 up; never repeated (I-4)                                             |
//! | 56   | 8     | `base`: the commit that was durable when this slot was written (I-2), less than the id |
//! | 64   | 8     | `folded`: the space tree of this commit holds the changes of commits up to here        |
//! | 72   | 8     | time of the commit, nanoseconds since 1970 (UTC)                                       |
//! | 80   | 8     | pages of the file, meta pages included                                                 |
//! | 88   | 8     | dead pages among them                                                                  |
//! | 96   | 8     | parked pages: dead, and kept for named snapshots                                       |
//! | 104  | 40    | digest and origin, of later versions: zero                                             |
//! | 144  | 8     | timeline: a random number, the same in every slot                                      |
//! | 152  | 4     | flags: 1 = the database was closed properly                                            |
//! | 156  | 4     | block, trailer, cipher, key derivation: other values than 0 are of later versions      |
//! | 160  | 88    | zero                                                                                   |
//! | 248  | 2     | extents with spilled records, `n`                                                      |
//! | 250  | 2     | bytes of inline records, `m`                                                           |
//! | 252  | 4     | zero                                                                                   |
//! | 256  | 24    | root of the main table                                                                 |
//! | 280  | 24    | root of the catalogue                                                                  |
//! | 304  | 24    | root of the space tree                                                                 |
//! | 328  | 24    | root of the list of snapshots                                                          |
//! | T    | 24 n  | spilled extents: page u48, pages u32, bytes u32, birth u48, CRC-32C u32 of those bytes  |
//! | ..   | m     | records, one behind the other                                                          |
//! | ..   |       | zeros                                                                                  |
//! | 4092 | 4     | CRC-32C of bytes 0 to 4091                                                             |
//!
//! Roots are described in `page/roots.rs`, and records in `pager/commit/record.rs`.

use super::features::{self, Features};
use super::roots::RootLayout;
use super::{Extent, Roots, PAGE_MAX, PAGE_MIN};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::util::bytes::{get_u16, get_u32, get_u48, get_u64, put_u16, put_u32, put_u48, put_u64};
use crate::util::crc32c;
use std::ops::Range;

/// The page that errors name when a meta slot is to blame.
pub const META_PAGE: PageNo = PageNo::new(0);
/// The number of bytes of a slot.
pub const SLOT_BYTES: usize = 4096;
/// The number of slots.
pub const SLOTS: usize = 4;
/// The number of bytes of all slots, which are the head of the file.
pub const META_BYTES: u64 = (SLOTS * SLOT_BYTES) as u64;
/// The number of bytes that a medium writes whole or not at all. Nothing larger is taken to be atomic, slots included.
/// The first so many bytes of a slot tell one commit from every other, because they hold its time and its roots.
pub const SECTOR: usize = 512;
/// The first bytes of every slot.
pub const MAGIC: [u8; 8] = *b"\x89kvfile\n";
/// The format version that is written.
pub const VERSION: u32 = 1;
/// The number of bytes for a slot's records: the descriptions of spilled extents and the inline records together.
pub const RECORDS_MAX: usize = field::CRC - field::RECORDS;
/// The number of bytes that one spilled extent takes in the slot.
pub const SPILL_BYTES: usize = 24;

/// How the roots are stored.
const ROOTS: RootLayout = RootLayout::CURRENT;

/// Where the fields of a slot begin, as in the table above.
pub(crate) mod field {
    use std::ops::Range;

    pub const MAGIC: Range<usize> = 0..8;
    pub const VERSION: usize = 8;
    pub const READ_FEATURES: usize = 12;
    pub const WRITE_FEATURES: usize = 16;
    pub const IGNORABLE_FEATURES: usize = 20;
    pub const PAGE_SIZE: usize = 24;
    pub const CHECKSUM_KIND: usize = 28;
    pub const CHECKSUM_WIDTH: usize = 29;
    /// T: where the spilled extents begin.
    pub const SPILLED: usize = 30;
    pub const UUID: Range<usize> = 32..48;
    pub const ID: usize = 48;
    pub const BASE: usize = 56;
    pub const FOLDED: usize = 64;
    pub const TIME: usize = 72;
    pub const PAGES: usize = 80;
    pub const DEAD: usize = 88;
    pub const PARKED: usize = 96;
    /// Digest and origin, which belong to features that a writer must understand.
    pub const OF_FEATURES: Range<usize> = 104..144;
    pub const TIMELINE: usize = 144;
    pub const FLAGS: usize = 152;
    /// Block, trailer, cipher and key derivation, where other values than 0 come from later versions.
    pub const OF_LATER_VERSIONS: Range<usize> = 156..160;
    /// What ciphers and other kinds of checksums need.
    pub const ZERO: Range<usize> = 160..248;
    pub const SPILLS: usize = 248;
    pub const INLINE: usize = 250;
    pub const ZERO_BEFORE_ROOTS: Range<usize> = 252..256;
    pub const ROOTS: usize = 256;
    /// Where the spilled extents begin in slots of this version.
    pub const RECORDS: usize = ROOTS + super::ROOTS.bytes() * super::Roots::COUNT;
    pub const CRC: usize = super::SLOT_BYTES - 4;
}

/// Where the fields of a spilled extent begin.
mod spill {
    pub const PAGE: usize = 0;
    pub const PAGES: usize = 6;
    pub const BYTES: usize = 10;
    pub const BIRTH: usize = 14;
    pub const CHECKSUM: usize = 20;
}

/// The flag of a slot that is the last one of a database that was closed properly.
const CLOSED: u32 = 1;
/// The flags of a slot that forbid writing if they are not known. The others may be ignored.
const FLAGS_OF_WRITERS: u32 = 0xFFFF;

/// The one kind of checksum there is, and its width in bytes.
const CRC_32C: (u8, u8) = (1, 4);

/// Returns the number of pages that the meta slots occupy at this page size.
pub fn meta_pages(page_size: usize) -> u64 {
    META_BYTES.div_ceil(page_size as u64)
}

/// An extent that holds records which do not fit into a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spill {
    /// Its pages, and the commit that wrote them.
    pub extent: Extent,
    /// Bytes used, from the first page's start on.
    pub bytes: u32,
    /// CRC-32C of those bytes.
    pub checksum: u32,
}

/// The content of one slot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// What the file contains beyond the format's first version.
    pub features: Features,
    /// Bytes of a page.
    pub page_size: u32,
    /// UUID of the file.
    pub uuid: [u8; 16],
    /// Commit id.
    pub id: CommitId,
    /// Commit that was durable when this was written.
    pub base: CommitId,
    /// Newest commit whose changes the space tree holds.
    pub folded: CommitId,
    /// Nanoseconds since 1970.
    pub time: u64,
    /// A random number that all commits of the file have.
    pub timeline: u64,
    /// Whether the last process closed the database with this commit.
    pub closed: bool,
    /// Pages of the file.
    pub pages: u64,
    /// Dead pages among them.
    pub dead: u64,
    /// Other dead pages, which are kept for named snapshots.
    pub parked: u64,
    /// Roots of the commit's trees.
    pub roots: Roots,
    /// Where older records are.
    pub spills: Vec<Spill>,
    /// Newer records.
    pub inline: Vec<u8>,
}

/// What a slot turned out to be.
#[derive(Debug)]
pub enum Slot {
    /// The bytes are no slot: other bytes stand where the magic should be.
    Foreign,
    /// The slot was never written, or was erased.
    Empty,
    /// The slot is torn: its checksum differs.
    Torn,
    /// The slot holds a commit.
    Valid(Box<Meta>),
}

impl Meta {
    /// Returns the features whose fields this commit uses. A database without snapshots can be written by versions
    /// that know of none.
    fn features_written(&self) -> u32 {
        match self.roots.snapshots.height > 0 || self.parked > 0 {
            true => features::SNAPSHOTS,
            false => 0,
        }
    }

    /// Returns the slot's bytes.
    ///
    /// # Panics
    /// If the records are longer than [`RECORDS_MAX`].
    pub fn encode(&self) -> Box<[u8; SLOT_BYTES]> {
        let mut b = Box::new([0; SLOT_BYTES]);
        self.write(&mut b);
        b
    }

    /// Writes the slot's bytes as [`Meta::encode`] does, into memory that holds zeros or what this function wrote there
    /// before.
    ///
    /// # Panics
    /// If the records are longer than [`RECORDS_MAX`].
    pub fn write(&self, b: &mut [u8; SLOT_BYTES]) {
        let before = field::RECORDS
            + SPILL_BYTES * usize::from(get_u16(b, field::SPILLS))
            + usize::from(get_u16(b, field::INLINE));
        b[field::MAGIC].copy_from_slice(&MAGIC);
        put_u32(&mut b[..], field::VERSION, VERSION);
        put_u32(&mut b[..], field::READ_FEATURES, self.features.read);
        put_u32(
            &mut b[..],
            field::WRITE_FEATURES,
            self.features.write | self.features_written(),
        );
        put_u32(&mut b[..], field::IGNORABLE_FEATURES, self.features.ignorable);
        put_u32(&mut b[..], field::PAGE_SIZE, self.page_size);
        (b[field::CHECKSUM_KIND], b[field::CHECKSUM_WIDTH]) = CRC_32C;
        put_u16(&mut b[..], field::SPILLED, field::RECORDS as u16);
        b[field::UUID].copy_from_slice(&self.uuid);
        for (at, number) in [
            (field::ID, self.id.get()),
            (field::BASE, self.base.get()),
            (field::FOLDED, self.folded.get()),
            (field::TIME, self.time),
            (field::PAGES, self.pages),
            (field::DEAD, self.dead),
            (field::PARKED, self.parked),
            (field::TIMELINE, self.timeline),
        ] {
            put_u64(&mut b[..], at, number);
        }
        let closed = if self.closed { CLOSED } else { 0 };
        put_u32(&mut b[..], field::FLAGS, closed | self.features.slot_flags);
        ROOTS.put_all(&mut b[field::ROOTS..field::RECORDS], &self.roots);
        put_u16(&mut b[..], field::SPILLS, self.spills.len() as u16);
        put_u16(&mut b[..], field::INLINE, self.inline.len() as u16);
        let mut at = field::RECORDS;
        for spill in &self.spills {
            put_u48(&mut b[..], at + spill::PAGE, spill.extent.run.first.get());
            put_u32(&mut b[..], at + spill::PAGES, spill.extent.run.pages as u32);
            put_u32(&mut b[..], at + spill::BYTES, spill.bytes);
            put_u48(&mut b[..], at + spill::BIRTH, spill.extent.birth.get());
            put_u32(&mut b[..], at + spill::CHECKSUM, spill.checksum);
            at += SPILL_BYTES;
        }
        assert!(
            at + self.inline.len() <= field::CRC,
            "the records are too long for their slot"
        );
        let end = at + self.inline.len();
        b[at..end].copy_from_slice(&self.inline);
        b[end..before.max(end)].fill(0);
        let crc = crc32c(&b[..field::CRC]);
        put_u32(&mut b[..], field::CRC, crc);
    }

    /// Reads a slot: first the magic, then the checksum, then the rest.
    ///
    /// # Errors
    /// `TooNew`, `TooOld`: another version of the format. `Corrupt`: the checksum fits, but the content cannot be (no
    /// crash does that).
    pub fn decode(b: &[u8; SLOT_BYTES]) -> Result<Slot> {
        if b[field::MAGIC] != MAGIC {
            return Ok(if b[..SECTOR].iter().all(|x| *x == 0) {
                Slot::Empty
            } else {
                Slot::Foreign
            });
        }
        if crc32c(&b[..field::CRC]) != get_u32(b, field::CRC) {
            return Ok(Slot::Torn);
        }
        let version = get_u32(b, field::VERSION);
        if version < VERSION {
            return Err(Error::TooOld(
                format!("file format {version}, this library reads {VERSION}").into(),
            ));
        }
        if version > VERSION {
            return Err(Error::TooNew(
                format!("file format {version}, this library reads {VERSION}").into(),
            ));
        }
        let spilled = usize::from(get_u16(b, field::SPILLED));
        if spilled == 0 {
            return Err(Error::TooOld(
                "it was made before 0.1.0: dump it with the library that made it".into(),
            ));
        }
        let flags = get_u32(b, field::FLAGS);
        let features = Features {
            read: get_u32(b, field::READ_FEATURES),
            write: get_u32(b, field::WRITE_FEATURES) & !features::SNAPSHOTS,
            ignorable: get_u32(b, field::IGNORABLE_FEATURES),
            slot_flags: flags & FLAGS_OF_WRITERS & !CLOSED,
        };
        if features.read != 0 {
            return Err(Error::TooNew(format!("unknown features {:#x}", features.read).into()));
        }
        let (kind, width) = (b[field::CHECKSUM_KIND], b[field::CHECKSUM_WIDTH]);
        if (kind, width) != CRC_32C {
            return Err(Error::TooNew(
                format!("a checksum of kind {kind} and width {width}").into(),
            ));
        }
        let later = &b[field::OF_LATER_VERSIONS];
        if let Some(i) = later.iter().position(|byte| *byte != 0) {
            let what = ["size of blocks", "trailer of pages", "cipher", "key derivation"][i];
            return Err(Error::TooNew(format!("unknown {what} {}", later[i]).into()));
        }
        check_zeros(b, spilled, &features)?;
        let roots = ROOTS.get_all(&b[field::ROOTS..]);
        let meta = Meta {
            features,
            page_size: get_u32(b, field::PAGE_SIZE),
            uuid: std::array::from_fn(|i| b[field::UUID.start + i]),
            id: CommitId::new(get_u64(b, field::ID)),
            base: CommitId::new(get_u64(b, field::BASE)),
            folded: CommitId::new(get_u64(b, field::FOLDED)),
            time: get_u64(b, field::TIME),
            timeline: get_u64(b, field::TIMELINE),
            closed: flags & CLOSED != 0,
            pages: get_u64(b, field::PAGES),
            dead: get_u64(b, field::DEAD),
            parked: get_u64(b, field::PARKED),
            roots: roots.ok_or_else(|| wrong("impossible root"))?,
            spills: Vec::new(),
            inline: Vec::new(),
        };
        if meta.features_written() != get_u32(b, field::WRITE_FEATURES) & features::SNAPSHOTS {
            return Err(wrong("fields of a feature that is not named"));
        }
        meta.with_records(b, spilled)
    }

    /// Checks the fields against each other, and reads the records, which begin at `spilled` with the extents of those
    /// that are not in the slot.
    fn with_records(mut self, b: &[u8; SLOT_BYTES], spilled: usize) -> Result<Slot> {
        let size = self.page_size as usize;
        if !size.is_power_of_two() || !(PAGE_MIN..=PAGE_MAX).contains(&size) {
            return Err(wrong("impossible page size"));
        }
        if self.id == CommitId::NONE || self.id > CommitId::MAX || self.base >= self.id || self.folded >= self.id {
            return Err(wrong("impossible commit ids"));
        }
        let first = meta_pages(size);
        let gone = self.dead.checked_add(self.parked);
        if self.pages < first || self.pages > PageNo::END.get() || gone.is_none_or(|gone| gone > self.pages - first) {
            return Err(wrong("impossible page count"));
        }
        let file = PageNo::new(first)..PageNo::new(self.pages);
        if !self
            .roots
            .all()
            .into_iter()
            .all(|root| root.is_possible(&file, self.id))
        {
            return Err(wrong("impossible root"));
        }
        let (spills, inline) = (get_u16(b, field::SPILLS) as usize, get_u16(b, field::INLINE) as usize);
        if spilled + spills * SPILL_BYTES + inline > field::CRC {
            return Err(wrong("the records are too long"));
        }
        let mut at = spilled;
        for _ in 0..spills {
            let run = Run::new(
                PageNo::new(get_u48(b, at + spill::PAGE)),
                get_u32(b, at + spill::PAGES).into(),
            );
            let spill = Spill {
                extent: Extent::new(run, CommitId::new(get_u48(b, at + spill::BIRTH))),
                bytes: get_u32(b, at + spill::BYTES),
                checksum: get_u32(b, at + spill::CHECKSUM),
            };
            let birth = spill.extent.birth;
            let inside = run.pages > 0 && run.first >= file.start && run.end() <= file.end;
            let born = birth > CommitId::NONE && birth <= self.id;
            if !inside || !born || u64::from(spill.bytes) > run.pages * size as u64 {
                return Err(wrong("impossible spilled extent"));
            }
            self.spills.push(spill);
            at += SPILL_BYTES;
        }
        self.inline.extend_from_slice(&b[at..at + inline]);
        if b[at + inline..field::CRC].iter().any(|byte| *byte != 0) {
            return Err(wrong("bytes behind the records"));
        }
        Ok(Slot::Valid(Box::new(self)))
    }

    /// Returns whether a file of `len` bytes holds all pages of this commit. This is no part of decoding: the file's
    /// length may not be synced either, and a commit that a crash left without its end was still seen, must be erased,
    /// and its id must never be used again (I-4).
    pub fn fits(&self, len: u64) -> bool {
        let size = u64::from(self.page_size);
        let bytes = self.pages.checked_mul(size);
        self.pages == meta_pages(size as usize) && len >= META_BYTES || bytes.is_some_and(|bytes| bytes <= len)
    }
}

/// Checks the bytes that mean nothing in this version. Those of features that a writer must understand may be anything
/// if one of these features is not known.
fn check_zeros(b: &[u8; SLOT_BYTES], spilled: usize, features: &Features) -> Result<()> {
    let is_zero = |range: Range<usize>| b[range].iter().all(|byte| *byte == 0);
    if !is_zero(field::ZERO) || !is_zero(field::ZERO_BEFORE_ROOTS) {
        return Err(wrong("bytes that must be zero are not"));
    }
    if features.write != 0 {
        return match (field::RECORDS..=field::CRC).contains(&spilled) {
            true => Ok(()),
            false => Err(wrong("impossible beginning of the records")),
        };
    }
    match is_zero(field::OF_FEATURES) && spilled == field::RECORDS {
        true => Ok(()),
        false => Err(wrong("fields of a feature that is not named")),
    }
}

/// Returns the error of a slot whose checksum fits and whose content cannot be.
#[cold]
fn wrong(what: &str) -> Error {
    Error::corrupt(META_PAGE, format!("meta slot: {what}"))
}
