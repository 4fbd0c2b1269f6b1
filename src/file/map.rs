//! Reserved ranges of addresses: a mapped file that may grow, and anonymous memory that costs nothing until it is
//! touched.
//!
//! A file is mapped **once**, read-only, inside a range that is far larger than the file. It is legal to map beyond
//! the end of a file; the bytes become readable as the file grows. So nothing is ever mapped again, pointers never
//! move, and growing costs readers nothing. The page limit of a reader's view, and nothing in this file, keeps the
//! reader from touching bytes beyond the end (SIGBUS). If another program truncates the file, a reader gets SIGBUS:
//! see the manual.

#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, AtomicU64};

/// The length of the range that is asked for first. It is halved while the system refuses (limits of address space,
/// valgrind).
const RESERVE: u64 = 1 << 40;
/// The least room to grow that is asked for.
const RESERVE_MIN: u64 = 1 << 30;
/// Returns how many bytes a page of memory has.
fn memory_page() -> usize {
    // SAFETY: This call has no conditions.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(1 << 16)
}

/// The base address and the length of the reserved range in which a storage is read.
#[derive(Debug, Clone, Copy)]
pub struct Mapped {
    base: NonNull<u8>,
    len: u64,
}

// SAFETY: This is an address and a length. Whoever reads through them needs `unsafe` and must justify it there.
unsafe impl Send for Mapped {}
// SAFETY: Shared references give an address and a length only, and reading through them is unsafe.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Returns the address of the first byte.
    #[inline(always)]
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    /// Returns how many bytes are reserved. The storage cannot grow beyond them.
    #[inline(always)]
    pub fn reserved(&self) -> u64 {
        self.len
    }
}

/// A mapping that this process owns. It is unmapped when dropped.
#[derive(Debug)]
pub struct Reservation {
    base: *mut u8,
    len: usize,
}

// SAFETY: The mapping is plain memory that stays where it is until it is dropped.
unsafe impl Send for Reservation {}
// SAFETY: The mapping is plain memory; reading and writing it is unsafe, and each method says what its caller must
// ensure.
unsafe impl Sync for Reservation {}

impl Reservation {
    /// Maps `len` bytes of zeroed memory, which gets real pages on first touch.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn anonymous(len: u64) -> Result<Reservation> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        Reservation::map(len, libc::PROT_READ | libc::PROT_WRITE, flags, -1)
    }

    /// Maps the largest range of anonymous memory that the system grants, up to 1 TiB.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn anonymous_large() -> Result<Reservation> {
        shrinking(RESERVE, RESERVE_MIN, Reservation::anonymous)
    }

    /// Maps `file`, which now has `file_len` bytes, with room to grow: the range is 1 TiB or four times the file,
    /// whichever is larger. If the system refuses, the range is halved, down to 1 GiB more than the file.
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
        // A tree is read in scattered places, so what the system would read around each page (8 MiB on some disks) is
        // of no use. Callers that read many pages in a row ask for them (`will_need`).
        map.advise(0, map.len as u64, libc::MADV_RANDOM);
        Ok(map)
    }

    /// Tells the system that a range of a mapped file will be read soon.
    pub fn will_need(&self, at: u64, len: u64) {
        self.advise(at, len, libc::MADV_WILLNEED);
    }

    fn advise(&self, at: u64, len: u64, advice: i32) {
        let from = at as usize & !(memory_page() - 1);
        let Some(len) = (at as usize).checked_add(len as usize).map(|end| end - from) else {
            return;
        };
        if from < self.len && len <= self.len - from {
            // SAFETY: These are whole pages inside the mapping. The advice changes nothing that can be read there.
            unsafe { libc::madvise(self.base.wrapping_add(from).cast(), len, advice) };
        }
    }

    /// Returns whether the page of memory at `at` is in memory. If the system does not tell, the answer is yes.
    pub fn is_resident(&self, at: u64) -> bool {
        let from = at as usize & !(memory_page() - 1);
        let mut answer = 1u8;
        if from < self.len {
            // SAFETY: The range is one page inside the mapping, and `answer` has the one byte that this needs.
            unsafe { libc::mincore(self.base.wrapping_add(from).cast(), 1, &mut answer) };
        }
        answer & 1 != 0
    }

    fn map(len: u64, protection: i32, flags: i32, fd: i32) -> Result<Reservation> {
        let len = usize::try_from(len).map_err(|_| Error::NoMemory("reserve address space"))?;
        // SAFETY: The system chooses the address of the new mapping, so it overlaps nothing that exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len.max(1), protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(Error::io("map memory", std::io::Error::last_os_error()));
        }
        Ok(Reservation {
            base: base.cast(),
            len: len.max(1),
        })
    }

    /// Returns how many bytes are reserved.
    pub fn reserved(&self) -> u64 {
        self.len as u64
    }

    /// Returns the range in the form in which a storage hands it out.
    pub fn mapped(&self) -> Mapped {
        Mapped {
            base: NonNull::new(self.base).unwrap_or(NonNull::dangling()),
            len: self.len as u64,
        }
    }

    /// Copies `bytes` into the range at offset `at`.
    ///
    /// # Safety
    /// The range must be anonymous, and nobody may hold a reference to the bytes written.
    ///
    /// # Panics
    /// Panics if the bytes do not fit into the range.
    pub unsafe fn write(&self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        assert!(
            at <= self.len && bytes.len() <= self.len - at,
            "write beyond the reserved range"
        );
        // SAFETY: The bytes lie inside the mapping, as was checked above. The caller ensures the rest.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.base.add(at), bytes.len()) }
    }

    /// Copies bytes out of the range, from offset `at`.
    ///
    /// # Safety
    /// The bytes must be readable (in a mapped file: below its end), and nobody may write them meanwhile.
    ///
    /// # Panics
    /// Panics if the bytes do not all lie in the range.
    pub unsafe fn read(&self, at: u64, into: &mut [u8]) {
        let at = at as usize;
        assert!(
            at <= self.len && into.len() <= self.len - at,
            "read beyond the reserved range"
        );
        // SAFETY: The bytes lie inside the mapping, as was checked above. The caller ensures the rest.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(at), into.as_mut_ptr(), into.len()) }
    }

    /// Forgets the content of an anonymous range, so that it reads as zeros again.
    pub fn clear(&self) {
        // SAFETY: The mapping belongs to `self`. The advice replaces private anonymous pages by pages of zeros.
        unsafe {
            libc::madvise(self.base.cast(), self.len, libc::MADV_DONTNEED);
        }
    }
}

/// An integer type of which any bytes are a value and zero bytes are zero, and which threads and processes can share.
///
/// # Safety
/// Any bytes must be a valid value. The type must have interior mutability, and an alignment of at most a page.
pub unsafe trait Atomic: Sync {}

// SAFETY: Any bytes are a value of this atomic integer.
unsafe impl Atomic for AtomicU16 {}
// SAFETY: Any bytes are a value of this atomic integer.
unsafe impl Atomic for AtomicU64 {}

/// An array of atomic integers, zero at first, in memory that costs nothing until it is touched.
#[derive(Debug)]
pub struct Atomics<T: Atomic> {
    range: Reservation,
    count: usize,
    kind: PhantomData<T>,
}

impl<T: Atomic> Atomics<T> {
    /// Returns `count` integers, which are all zero.
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

    /// Maps `count` integers at the head of `file`, shared with every process that maps them. The file must have that
    /// many integers, allocated on disk, and must not be truncated.
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

    /// Returns all the integers.
    #[inline(always)]
    pub fn all(&self) -> &[T] {
        // SAFETY: The memory is zeroed or shared, is aligned to a page and lives as long as `self`. It is accessed
        // through atomics only, by other processes as well, and any bytes are a valid value of an `Atomic`.
        unsafe { std::slice::from_raw_parts(self.range.base.cast::<T>(), self.count) }
    }

    /// Sets all the integers to zero.
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
        // SAFETY: `map` made the mapping, it is unmapped once, and whoever reads through it borrows the owner.
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
        // SAFETY: The range is anonymous, and nobody else knows it.
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
