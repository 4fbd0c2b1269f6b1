//! The pages of a damaged file. They are either read where a pointer says, or judged by what they look like.

use crate::error::{Detail, Error, Foreign, Result, DAMAGED_PAGE, DAMAGED_VALUE};
use crate::file::peers::{is_memory, MEMORY};
use crate::file::raw::Raw;
use crate::ids::{PageNo, PageRef};
use crate::page::branch::Branch;
use crate::page::header;
use crate::page::leaf::{Leaf, Stored};
use crate::page::meta::{field, Meta, Slot, MAGIC, SLOTS, SLOT_BYTES};
use crate::page::{PageSource, Prefetch, Ptr, PAGE_MAX, PAGE_MIN};
use crate::pager::lost_slots;
use crate::txn::PinnedBytes;
use crate::util::bytes::get_u32;
use crate::util::crc32c;
use std::cell::Cell;

/// The number of pages that are looked at to determine the page size.
const SAMPLE: u64 = 2000;

/// The damaged file as a sequence of pages.
pub(super) struct DamagedFile {
    pub raw: Raw,
    pub page_size: usize,
    /// The slots that are whole, the newest first.
    pub slots: Vec<Meta>,
    /// A bit for each slot that cannot be read, or that is missing.
    pub lost_slots: u32,
    /// Whether something could not be read for lack of memory: then nothing was lost, and the salvage fails.
    lacks_memory: Cell<bool>,
}

impl DamagedFile {
    /// Looks at the slots, and at the pages if no slot gives their size.
    ///
    /// # Errors
    /// `TooNew`, `TooOld`: a slot says so; `NotADatabase`: nothing in the file looks like a slot or a page.
    pub fn new(raw: Raw) -> Result<DamagedFile> {
        let (mut slots, mut sizes) = (Vec::new(), Vec::new());
        for slot in 0..SLOTS as u64 {
            let Ok(bytes) = raw.read(slot * SLOT_BYTES as u64, SLOT_BYTES as u64) else {
                continue;
            };
            let size = get_u32(&bytes, field::PAGE_SIZE) as usize;
            if bytes.starts_with(&MAGIC) && size.is_power_of_two() && (PAGE_MIN..=PAGE_MAX).contains(&size) {
                sizes.push(size);
            }
            let bytes: &[u8; SLOT_BYTES] = bytes[..].try_into().map_err(|_| Error::Invalid("slot"))?;
            match Meta::decode(bytes) {
                Ok(Slot::Valid(meta)) => slots.push(*meta),
                Err(error @ (Error::TooNew(_) | Error::TooOld(_))) => return Err(error),
                _ => {}
            }
        }
        slots.sort_by_key(|meta| std::cmp::Reverse(meta.id));
        let page_size = match slots.first() {
            Some(meta) => meta.page_size as usize,
            None if raw.read(0, 8).is_ok_and(|begin| is_memory(&begin)) => {
                return Err(Error::NotADatabase(Detail::foreign(MEMORY, Foreign::Memory)));
            }
            None => likely_page_size(&raw, &sizes)
                .ok_or_else(|| Error::NotADatabase("nothing in it looks like a slot or a page of one".into()))?,
        };
        let lost_slots = lost_slots(|at, into| {
            into.copy_from_slice(&raw.read(at, into.len() as u64)?);
            Ok(())
        });
        slots.retain(|meta| meta.page_size as usize == page_size);
        Ok(DamagedFile {
            raw,
            page_size,
            slots,
            lost_slots,
            lacks_memory: Cell::new(false),
        })
    }

    /// Returns whether something could not be read for lack of memory.
    pub fn lacks_memory(&self) -> bool {
        self.lacks_memory.get()
    }

    /// Takes note of what was read, if there was no memory for it.
    pub fn noted<T>(&self, read: Result<T>) -> Result<T> {
        if matches!(&read, Err(error) if error.is_no_memory()) {
            self.lacks_memory.set(true);
        }
        read
    }

    /// Returns how many pages are whole, that is, not cut off by the end of the file.
    pub fn pages(&self) -> u64 {
        self.raw.len() / self.page_size as u64
    }

    /// Returns the page behind the last whole one.
    pub fn end(&self) -> PageNo {
        PageNo::new(self.pages())
    }

    /// Returns the bytes of a page without verifying them.
    pub fn read(&self, page: PageNo) -> Result<Box<[u8]>> {
        let size = self.page_size as u64;
        self.noted(self.raw.read(page.get().saturating_mul(size), size))
    }
}

/// Returns the page size with which most pages look right, or `None` if no page does with any size.
fn likely_page_size(raw: &Raw, sizes: &[usize]) -> Option<usize> {
    let tried = (12..=16).map(|bits| 1usize << bits);
    let looks = |size: usize| {
        let pages = (raw.len() / size as u64).min(SAMPLE);
        let damaged = |page: u64| raw.read(page * size as u64, size as u64);
        let right = (0..pages).filter(|page| damaged(*page).is_ok_and(|b| slotted_is_sound(&b)));
        right.count() + sizes.iter().filter(|s| **s == size).count()
    };
    tried
        .map(|size| (looks(size), size))
        .max_by_key(|(looks, size)| (*looks, std::cmp::Reverse(*size)))
        .filter(|(looks, _)| *looks > 0)
        .map(|(_, size)| size)
}

/// Returns whether a page is a slotted leaf whose records fill its heap exactly. Other bytes hardly look like that by
/// chance.
fn slotted_is_sound(page: &[u8]) -> bool {
    header::kind(page) == header::LEAF && Leaf::new(page, PageRef::UNKNOWN).is_ok_and(|leaf| leaf_is_sound(&leaf))
}

/// Returns whether the records of a leaf lie as they must.
pub(super) fn leaf_is_sound(leaf: &Leaf<'_>) -> bool {
    let page = leaf.bytes();
    if leaf.is_empty() {
        return false;
    }
    if leaf.is_dense() {
        return true;
    }
    let end = page.len() - header::prefix_len(page);
    let mut spans = Vec::with_capacity(leaf.len());
    for i in 0..leaf.len() {
        let Ok(record) = leaf.record(i) else {
            return false;
        };
        spans.push((record.at, record.size()));
    }
    spans.sort_unstable();
    let (mut free, mut used) = (end.saturating_sub(header::heap(page)), header::garbage(page));
    for (at, size) in spans {
        if at < free || at + size > end {
            return false;
        }
        free = at + size;
        used += size;
    }
    used == header::heap(page)
}

/// Returns the pointers of a page that may be a branch, even a damaged or dead one.
pub(super) fn hints(page: &[u8]) -> Vec<Ptr> {
    match Branch::new(page, PageRef::UNKNOWN) {
        Ok(branch) if header::level(page) >= 2 => (0..branch.len()).map(|i| branch.ptr(i)).collect(),
        _ => Vec::new(),
    }
}

/// The pages that were read for one leaf or one branch and for what it needs. They are kept as long as this value
/// lives.
pub(super) struct Scope<'d> {
    damaged: &'d DamagedFile,
    kept: PinnedBytes,
}

impl<'d> Scope<'d> {
    pub fn new(damaged: &'d DamagedFile) -> Scope<'d> {
        Scope {
            damaged,
            kept: PinnedBytes::default(),
        }
    }

    fn bytes(&self, page: PageNo, len: u64) -> Result<&[u8]> {
        let at = page.get().saturating_mul(self.damaged.page_size as u64);
        match self.damaged.noted(self.damaged.raw.read(at, len)) {
            Ok(bytes) => Ok(self.kept.pin(bytes)),
            Err(error) => Err(Error::unreadable(page, error.as_fault().1)),
        }
    }

    fn verified(&self, page: PageNo, len: u64, checksum: u32, damaged: &'static str) -> Result<&[u8]> {
        let bytes = self.bytes(page, len)?;
        if crc32c(bytes) != checksum {
            return Err(Error::unreadable(page, damaged));
        }
        Ok(bytes)
    }

    /// Does as [`DamagedFile::noted`].
    pub fn noted<T>(&self, read: Result<T>) -> Result<T> {
        self.damaged.noted(read)
    }

    /// Keeps a page that was read without a pointer as long as this value lives.
    pub fn pin(&self, page: Box<[u8]>) -> &[u8] {
        self.kept.pin(page)
    }
}

impl Prefetch for &Scope<'_> {
    fn page_size(&self) -> usize {
        self.damaged.page_size
    }
}

impl<'a> PageSource<'a> for &'a Scope<'_> {
    fn page(&self, ptr: &Ptr) -> Result<&'a [u8]> {
        self.verified(
            ptr.page.number(),
            self.damaged.page_size as u64,
            ptr.checksum,
            DAMAGED_PAGE,
        )
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'a [u8]> {
        self.verified(page, len as u64, checksum, DAMAGED_VALUE)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'a [u8]> {
        self.bytes(page, len)
    }
}

/// Returns the key and the value of entry `i`, if they can be read.
pub(super) fn entry<'a>(leaf: &Leaf<'a>, i: usize, scope: &'a Scope<'_>) -> Result<(Vec<u8>, Stored<'a>)> {
    let mut key = Vec::new();
    scope.noted(leaf.key(i, &scope, &mut key))?;
    let value = leaf.value(i)?;
    Ok((key, value))
}
