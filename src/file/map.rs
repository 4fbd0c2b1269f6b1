//! Reserved address ranges: a mapped file that may grow, and anonymous memory that costs nothing until touched.
//!
//! A file is mapped **once**, read-only, inside a range far larger than itself. Mapping beyond the end of a file is
//! legal; the bytes become readable as the file grows. So nothing is ever mapped again, pointers never move, and
//! growing costs readers nothing. What keeps a reader from touching bytes beyond the end (SIGBUS) is the page limit of
//! its view, never this file. If another program truncates the file, SIGBUS is what the system answers: see the manual.

#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU64};

/// Range asked for first; halved while the system refuses (address space limits, valgrind).
const RESERVE: u64 = 1 << 40;
/// Room to grow that is asked for at least.
const RESERVE_MIN: u64 = 1 << 30;
/// Bytes of a page of memory.
fn memory_page() -> usize {
    // SAFETY: has no conditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(1 << 16)
}

/// Where a storage is readable: base address and length of the reserved range.
#[derive(Debug, Clone, Copy)]
pub struct Mapped {
    base: NonNull<u8>,
    len: u64,
}

// SAFETY: an address and a length; reading through it is the unsafe act, and the reader's to justify.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// First byte.
    #[inline(always)]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Bytes reserved: the storage cannot grow beyond.
    #[inline(always)]
    pub fn reserved(&self) -> u64 {
        self.len
    }
}

/// A mapping owned by this process; unmapped when dropped.
#[derive(Debug)]
pub struct Reservation {
    base: *mut u8,
    len: usize,
}

// SAFETY: plain memory that stays where it is until dropped.
unsafe impl Send for Reservation {}
// SAFETY: as above; writing is unsafe and says what the caller owes.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Zeroed memory that is given real pages on first touch.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn anonymous(len: u64) -> Result<Reservation> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        Reservation::map(len, libc::PROT_READ | libc::PROT_WRITE, flags, -1)
    }

    /// The largest anonymous range the system grants, up to 1 TiB.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn anonymous_large() -> Result<Reservation> {
        shrinking(RESERVE, RESERVE_MIN, Reservation::anonymous)
    }

    /// `file`, of `file_len` bytes now, readable with room to grow: 1 TiB or four times the file, and if that is
    /// refused, halved down to 1 GiB more than the file.
    ///
    /// # Errors
    /// `NoMemory`, `Io`.
    pub fn of_file(file: BorrowedFd<'_>, file_len: u64) -> Result<Reservation> {
        let least = file_len
            .checked_add(RESERVE_MIN)
            .ok_or(Error::Limit("the file is too long to be mapped"))?;
        let most = RESERVE.max(file_len.saturating_mul(4)).max(least);
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let map = shrinking(most, least, |len| {
            Reservation::map(len, libc::PROT_READ, flags, file.as_raw_fd())
        })?;
        // A tree is read here and there: what the system would read around each page (some disks: 8 MiB) is of no use. Who
        // reads many pages in a row asks for them (`will_need`).
        map.advise(0, map.len as u64, libc::MADV_RANDOM);
        Ok(map)
    }

    /// Asks for a range of a mapped file.
    pub fn will_need(&self, at: u64, len: u64) {
        self.advise(at, len, libc::MADV_WILLNEED);
    }

    fn advise(&self, at: u64, len: u64, advice: i32) {
        let from = at as usize & !(memory_page() - 1);
        let Some(len) = (at as usize).checked_add(len as usize).map(|end| end - from) else {
            return;
        };
        if from < self.len && len <= self.len - from {
            // SAFETY: whole pages inside of the mapping; this advice changes nothing that can be read there.
            unsafe { libc::madvise(self.base.wrapping_add(from).cast(), len, advice) };
        }
    }

    /// Whether the page of memory at `at` is in memory; if the system does not say, yes.
    pub fn is_resident(&self, at: u64) -> bool {
        let from = at as usize & !(memory_page() - 1);
        let mut answer = 1u8;
        if from < self.len {
            // SAFETY: one page inside of the mapping, one byte for the answer.
            unsafe { libc::mincore(self.base.wrapping_add(from).cast(), 1, &mut answer) };
        }
        answer & 1 != 0
    }

    fn map(len: u64, protection: i32, flags: i32, fd: i32) -> Result<Reservation> {
        let len = usize::try_from(len).map_err(|_| Error::NoMemory("reserve address space"))?;
        // SAFETY: a new mapping at an address the system chooses; it overlaps nothing that exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len.max(1), protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(Error::io("map memory", std::io::Error::last_os_error()));
        }
        Ok(Reservation {
            base: base.cast(),
            len: len.max(1),
        })
    }

    /// Bytes reserved.
    pub fn reserved(&self) -> u64 {
        self.len as u64
    }

    /// The range as a storage hands it out.
    pub fn mapped(&self) -> Mapped {
        Mapped {
            base: NonNull::new(self.base).unwrap_or(NonNull::dangling()),
            len: self.len as u64,
        }
    }

    /// Copies `bytes` into the range.
    ///
    /// # Safety
    /// The range must be anonymous, and nobody may hold a reference to the bytes written.
    ///
    /// # Panics
    /// If the bytes do not fit.
    pub unsafe fn write(&self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        assert!(
            at <= self.len && bytes.len() <= self.len - at,
            "write beyond the reserved range"
        );
        // SAFETY: inside the mapping (checked above); the caller vouches for the rest.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(at), bytes.len()) }
    }

    /// Copies bytes out of the range.
    ///
    /// # Safety
    /// The bytes must be readable (a file mapping: below the end of the file), and nobody may write them meanwhile.
    ///
    /// # Panics
    /// If the range is left.
    pub unsafe fn read(&self, at: u64, into: &mut [u8]) {
        let at = at as usize;
        assert!(
            at <= self.len && into.len() <= self.len - at,
            "read beyond the reserved range"
        );
        // SAFETY: inside the mapping (checked above); the caller vouches for the rest.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(at), into.as_mut_ptr(), into.len()) }
    }

    /// Forgets the content of an anonymous range: it reads as zeros again.
    pub fn clear(&self) {
        // SAFETY: the mapping is ours; the advice replaces private anonymous pages by zero pages.
        unsafe {
            libc::madvise(self.base.cast(), self.len, libc::MADV_DONTNEED);
        }
    }
}

/// Integers that any bytes are a value of, zero bytes zero, and that threads and processes can share.
///
/// # Safety
/// Any bytes must be a valid value, with interior mutability and alignment up to a page.
pub unsafe trait Atomic: Sync {}

// SAFETY: an integer; any bytes are one.
unsafe impl Atomic for AtomicU16 {}
// SAFETY: an integer; any bytes are one.
unsafe impl Atomic for AtomicU64 {}

/// Zeroed atomic integers in memory that costs nothing until touched.
#[derive(Debug)]
pub struct Atomics<T: Atomic> {
    range: Reservation,
    count: usize,
    kind: PhantomData<T>,
}

impl<T: Atomic> Atomics<T> {
    /// `count` integers, all zero.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn new(count: u64) -> Result<Atomics<T>> {
        let bytes = count.checked_mul(size_of::<T>() as u64);
        let bytes = bytes.ok_or(Error::NoMemory("reserve address space"))?;
        Ok(Atomics {
            range: Reservation::anonymous(bytes)?,
            count: count as usize,
            kind: PhantomData,
        })
    }

    /// `count` integers at the head of `file`, shared with every process that maps them. The file must have that many
    /// bytes, allocated, and must not be truncated.
    ///
    /// # Errors
    /// `NoMemory`, `Io`.
    pub fn of_file(file: BorrowedFd<'_>, count: u64) -> Result<Atomics<T>> {
        let bytes = count.checked_mul(size_of::<T>() as u64);
        let bytes = bytes.ok_or(Error::NoMemory("map memory"))?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        Ok(Atomics {
            range: Reservation::map(bytes, protection, libc::MAP_SHARED, file.as_raw_fd())?,
            count: count as usize,
            kind: PhantomData,
        })
    }

    /// All of them.
    #[inline(always)]
    pub fn all(&self) -> &[T] {
        // SAFETY: zeroed or shared memory, aligned to a page, reached through atomics only (by other processes, too), as
        // long as `self`; any bytes are a valid value of an `Atomic`.
        unsafe { std::slice::from_raw_parts(self.range.base.cast::<T>(), self.count) }
    }

    /// Sets all of them to zero.
    pub fn clear(&self) {
        self.range.clear();
    }
}

fn shrinking(most: u64, least: u64, mut map: impl FnMut(u64) -> Result<Reservation>) -> Result<Reservation> {
    let mut len = most;
    loop {
        match map(len) {
            Err(_) if len > least => len = (len / 2).max(least),
            done => return done,
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: mapped by `map`, unmapped once, and whoever reads through it borrows the owner.
        unsafe {
            libc::munmap(self.base.cast(), self.len);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn anonymous_memory_is_zero_until_written() {
        let range = Reservation::anonymous(1 << 30).expect("map");
        let mut bytes = [1; 4];
        // SAFETY: anonymous, and nobody else knows the range.
        unsafe {
            range.read((1 << 30) - 4, &mut bytes);
            assert_eq!(bytes, [0; 4]);
            range.write(5, b"abc");
            range.read(4, &mut bytes);
        }
        assert_eq!(&bytes, b"\0abc");
    }

    #[test]
    fn atomics_clear() {
        let tags = Atomics::<AtomicU16>::new(1 << 20).expect("map");
        assert_eq!(tags.all().len(), 1 << 20);
        tags.all()[77].store(5, Relaxed);
        tags.clear();
        assert_eq!(tags.all()[77].load(Relaxed), 0);
    }

    #[test]
    fn reservation_halves_until_granted() {
        let mut lengths = Vec::new();
        let got = shrinking(1 << 40, 1 << 33, |len| {
            lengths.push(len);
            if len > 1 << 33 {
                Err(Error::NoMemory("test"))
            } else {
                Reservation::anonymous(4096)
            }
        });
        assert!(got.is_ok());
        assert_eq!(lengths.last(), Some(&(1 << 33)));
        assert!(shrinking(1 << 20, 1 << 19, |_| Err(Error::NoMemory("test"))).is_err());
    }
}
