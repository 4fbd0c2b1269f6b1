//! Reserved ranges of addresses: a mapped file that may grow, and anonymous memory that costs nothing until it is
//! touched.
//!
//! A file is mapped **once**, read-only, inside a range that is far larger than the file. It is legal to map beyond
//! the end of a file; the bytes become readable as the file grows. So nothing is ever mapped again, pointers never
//! move, and growing costs readers nothing. The page limit of a reader's view, and nothing in this file, keeps the
//! reader from touching bytes beyond the end (SIGBUS). If another program truncates the file, a reader gets SIGBUS:
//! see the manual.

#![allow(unsafe_code)]

use super::calls::{self, Limit};
use super::wish::{no_addresses, Wish};
use crate::error::{Detail, Error, Result};
use crate::util::bytes::to_usize;
use crate::util::lock::Mutex;
use std::marker::PhantomData;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU16, AtomicU64, AtomicUsize};

/// How many large ranges this process has.
static LARGE: AtomicUsize = AtomicUsize::new(0);

/// How the memory of a range is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    /// The only copy of what users store. If they lock their memory, so that it never gets to a disk, they mean this.
    Content,
    /// Anything else.
    Other,
}

/// In how large parts memory that is only reserved is made usable.
const PART: usize = 128 << 10;

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
///
/// Where a process locks all its memory (`mlockall`), the system would lock and fill a range of any size. So a range
/// is mapped without any access first and unlocked, and only then made accessible. A core dump would contain it as
/// well, so it is left out there.
#[derive(Debug)]
pub struct Reservation {
    base: *mut u8,
    len: usize,
    /// How many bytes at the beginning can be accessed.
    usable: AtomicUsize,
    extend: Mutex<()>,
    protection: i32,
    large: bool,
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
    #[cfg(any(test, feature = "internals"))]
    pub fn anonymous(len: u64) -> Result<Reservation> {
        let range = Reservation::reserved_only(len, Use::Other)?;
        range.extend(range.len)?;
        Ok(range)
    }

    /// Reserves `len` bytes of zeroed memory, none of which can be used before [`Reservation::extend`].
    fn reserved_only(len: u64, usage: Use) -> Result<Reservation> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANON | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let range = Reservation::map(len, protection, flags, -1)?;
        if usage == Use::Content && new_memory_is_locked() {
            // What becomes usable later is locked when it is touched. This is refused only where too little may be
            // locked.
            range.lock_on_touch();
        }
        Ok(range)
    }

    /// Reserves the largest range of anonymous memory that the system grants, up to 1 TiB. Its bytes can be used after
    /// [`Reservation::extend`].
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn anonymous_large() -> Result<Reservation> {
        let range = Reservation::large(0, |len| Reservation::reserved_only(len, Use::Content));
        range.map_err(|error| no_addresses(0, error))
    }

    /// Maps `file`, which now has `file_len` bytes, with room to grow: the range is 1 TiB or four times the file,
    /// whichever is larger. If this process has many databases open, or the system refuses, the range is smaller, down
    /// to 64 MiB more than the file.
    ///
    /// # Errors
    /// `NoMemory`, `Io`.
    pub fn of_file(file: BorrowedFd<'_>, file_len: u64) -> Result<Reservation> {
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let map = Reservation::large(file_len, |len| {
            Reservation::map_usable(len, libc::PROT_READ, flags, file.as_raw_fd())
        });
        let map = map.map_err(|error| no_addresses(file_len, error))?;
        // A tree is read in scattered places, so what the system would read around each page (8 MiB on some disks) is
        // of no use. Callers that read many pages in a row ask for them (`will_need`).
        map.advise(0, map.len as u64, libc::MADV_RANDOM);
        Ok(map)
    }

    fn large(file_len: u64, map: impl Fn(u64) -> Result<Reservation>) -> Result<Reservation> {
        let wish = Wish::new(file_len, LARGE.load(Relaxed), usize::BITS);
        let wish = wish
            .ok_or_else(|| Error::Limit("the file is too long to be mapped; open it on a machine of 64 bits".into()))?;
        let mut range = wish.grant(map, Reservation::shrink)?;
        LARGE.fetch_add(1, Relaxed);
        range.large = true;
        Ok(range)
    }

    /// Gives back the addresses behind the first `len` bytes. If the system refuses, the range stays as it is.
    fn shrink(&mut self, len: u64) {
        let len = to_usize(len);
        let kept = len.next_multiple_of(memory_page());
        if kept >= self.len {
            return;
        }
        // SAFETY: These are whole pages at the end of the mapping, which nobody else knows yet.
        if unsafe { libc::munmap(self.base.wrapping_add(kept).cast(), self.len - kept) } == 0 {
            self.len = len;
            let usable = self.usable.get_mut();
            *usable = len.min(*usable);
        }
    }

    /// Tells the system that a range of a mapped file will be read soon.
    pub fn will_need(&self, at: u64, len: u64) {
        self.advise(at, len, libc::MADV_WILLNEED);
    }

    fn advise(&self, at: u64, len: u64, advice: i32) {
        let (at, len) = (to_usize(at), to_usize(len));
        let from = at & !(memory_page() - 1);
        let Some(len) = at.checked_add(len).map(|end| end - from) else {
            return;
        };
        if from < self.len && len <= self.len - from {
            // SAFETY: These are whole pages inside the mapping. The advice changes nothing that can be read there.
            unsafe { libc::madvise(self.base.wrapping_add(from).cast(), len, advice) };
        }
    }

    /// Returns whether the page of memory at `at` is in memory. If the system does not tell, the answer is yes.
    pub fn is_resident(&self, at: u64) -> bool {
        let from = to_usize(at) & !(memory_page() - 1);
        let mut answer = 1u8;
        if from < self.len {
            // SAFETY: The range is one page inside the mapping, and `answer` has the one byte that this needs.
            unsafe { libc::mincore(self.base.wrapping_add(from).cast(), 1, &mut answer) };
        }
        answer & 1 != 0
    }

    /// Maps a range to which there is no access before [`Reservation::extend`].
    fn map(len: u64, protection: i32, flags: i32, fd: i32) -> Result<Reservation> {
        Reservation::map_as(libc::PROT_NONE, len, protection, flags, fd)
    }

    /// Maps a range all of which can be used. Only where new memory is locked is access given afterwards: memcheck
    /// looks at each byte to which access is given later, and a map of a file has 10^12 of them.
    fn map_usable(len: u64, protection: i32, flags: i32, fd: i32) -> Result<Reservation> {
        if !new_memory_is_locked() {
            let mut range = Reservation::map_as(protection, len, protection, flags, fd)?;
            *range.usable.get_mut() = range.len;
            return Ok(range);
        }
        let range = Reservation::map(len, protection, flags, fd)?;
        range.extend(range.len)?;
        Ok(range)
    }

    /// Maps a range that has the access `first` at first and `protection` in the end.
    fn map_as(first: i32, len: u64, protection: i32, flags: i32, fd: i32) -> Result<Reservation> {
        let len = usize::try_from(len)
            .map_err(|_| Error::NoMemory("reserve address space"))?
            .max(1);
        // SAFETY: The system chooses the address of the new mapping, so it overlaps nothing that exists.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), len, first, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            return Err(Error::io("map memory", std::io::Error::last_os_error()));
        }
        // SAFETY: The range was mapped above, and nobody else knows it. Neither call changes its content.
        unsafe {
            libc::munlock(base, len);
            #[cfg(target_os = "linux")]
            libc::madvise(base, len, libc::MADV_DONTDUMP);
        }
        Ok(Reservation {
            base: base.cast(),
            len,
            usable: AtomicUsize::new(0),
            extend: Mutex::new(()),
            protection,
            large: false,
        })
    }

    /// Makes the first `len` bytes usable, and some more.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses, or the range is shorter.
    pub fn extend(&self, len: usize) -> Result<()> {
        if len <= self.usable.load(Acquire) {
            return Ok(());
        }
        let _one = self.extend.lock();
        let usable = self.usable.load(Acquire);
        if len > self.len {
            return Err(Error::NoMemory("use memory behind the reserved range"));
        }
        if len <= usable {
            return Ok(());
        }
        // Doubling makes these calls few. What the limit on data refuses is tried without anything to spare.
        let roomy = len
            .max(usable.saturating_mul(2))
            .max(PART)
            .next_multiple_of(memory_page())
            .min(self.len);
        let tight = len.next_multiple_of(memory_page()).min(self.len);
        for end in [roomy, tight] {
            // SAFETY: The range is whole pages inside the mapping (the last one may be cut by the end of the range),
            // and nobody accesses what was not usable.
            let done = unsafe { libc::mprotect(self.base.wrapping_add(usable).cast(), end - usable, self.protection) };
            if done == 0 {
                self.usable.store(end, Release);
                return Ok(());
            }
        }
        let error = std::io::Error::last_os_error();
        Err(match calls::limit(Limit::Data) {
            Some(data) if error.raw_os_error() == Some(libc::ENOMEM) => Error::NoMemoryFor(Detail::system(
                format!(
                    "this process may have {} MiB of data (RLIMIT_DATA, `ulimit -d`), and needs {} KiB more",
                    data >> 20,
                    (len - usable).div_ceil(1 << 10)
                ),
                error,
            )),
            _ => Error::io("make memory usable", error),
        })
    }

    /// Lets the system lock each page when it is touched.
    fn lock_on_touch(&self) {
        #[cfg(target_os = "linux")]
        // SAFETY: The range belongs to `self`. Locking it changes no content.
        unsafe {
            libc::syscall(libc::SYS_mlock2, self.base, self.len, libc::MLOCK_ONFAULT);
        }
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
    /// Panics if the bytes do not fit into what is usable.
    pub unsafe fn write(&self, at: u64, bytes: &[u8]) {
        let (at, usable) = (to_usize(at), self.usable.load(Acquire));
        assert!(
            at <= usable && bytes.len() <= usable - at,
            "write beyond the usable range"
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
    /// Panics if the bytes do not all lie in what is usable.
    pub unsafe fn read(&self, at: u64, into: &mut [u8]) {
        let (at, usable) = (to_usize(at), self.usable.load(Acquire));
        assert!(
            at <= usable && into.len() <= usable - at,
            "read beyond the usable range"
        );
        // SAFETY: The bytes lie inside the mapping, as was checked above. The caller ensures the rest.
        unsafe { std::ptr::copy_nonoverlapping(self.base.add(at), into.as_mut_ptr(), into.len()) }
    }

    /// Forgets the content of the pages of memory that lie wholly in a part of an anonymous range, so that they read as
    /// zeros again and take no memory.
    pub fn discard(&self, at: u64, len: u64) {
        let page = memory_page();
        let usable = self.usable.load(Acquire);
        let from = to_usize(at).next_multiple_of(page).min(usable);
        let to = to_usize(at.saturating_add(len)).min(usable) & !(page - 1);
        if from < to {
            // SAFETY: The pages belong to `self`. The advice replaces private anonymous pages by pages of zeros.
            unsafe { libc::madvise(self.base.wrapping_add(from).cast(), to - from, libc::MADV_DONTNEED) };
        }
    }

    /// Forgets the content of an anonymous range, so that it reads as zeros again.
    pub fn clear(&self) {
        // SAFETY: The mapping belongs to `self`. The advice replaces private anonymous pages by pages of zeros.
        unsafe {
            libc::madvise(self.base.cast(), self.len, libc::MADV_DONTNEED);
        }
    }
}

/// Returns whether the system locks memory that is mapped, at once or when it is touched, as a process can ask for.
fn new_memory_is_locked() -> bool {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
    // Only Linux is known to tell by this error. Elsewhere new memory counts as memory that is not locked.
    if !cfg!(any(target_os = "linux", target_os = "android")) {
        return false;
    }
    // SAFETY: The system chooses the address of one page, which is unmapped before anybody uses it. There is nothing
    // to be written back from it; the call refuses with this error, and for no other reason, if the page is locked,
    // whether it is in memory already or not.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), 1, protection, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return false;
        }
        let refused = libc::msync(page, 1, libc::MS_ASYNC | libc::MS_INVALIDATE) != 0;
        let error = std::io::Error::last_os_error().raw_os_error();
        libc::munmap(page, 1);
        refused && error == Some(libc::EBUSY)
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
    /// How many can be used.
    count: AtomicUsize,
    /// How many there can be.
    most: usize,
    kind: PhantomData<T>,
}

impl<T: Atomic> Atomics<T> {
    /// Returns `count` integers, which are all zero.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn new(count: u64) -> Result<Atomics<T>> {
        let all = Atomics::growing(count)?;
        all.grow(count)?;
        Ok(all)
    }

    /// Reserves addresses for `most` integers, none of which can be used before [`Atomics::grow`].
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn growing(most: u64) -> Result<Atomics<T>> {
        let bytes = most.checked_mul(size_of::<T>() as u64);
        let bytes = bytes.ok_or(Error::NoMemory("reserve address space"))?;
        Ok(Atomics {
            range: Reservation::reserved_only(bytes, Use::Other)?,
            count: AtomicUsize::new(0),
            most: to_usize(most),
            kind: PhantomData,
        })
    }

    /// Makes sure that at least `count` integers can be used. There may be more then.
    ///
    /// # Errors
    /// `NoMemory`: the system refuses, or there can be no more.
    #[inline]
    pub fn grow(&self, count: u64) -> Result<()> {
        match to_usize(count) <= self.count.load(Acquire) {
            true => Ok(()),
            false => self.use_more(to_usize(count)),
        }
    }

    #[cold]
    fn use_more(&self, count: usize) -> Result<()> {
        if count > self.most {
            return Err(Error::NoMemory("use memory behind the reserved range"));
        }
        self.range.extend(count * size_of::<T>())?;
        let usable = self.range.usable.load(Acquire) / size_of::<T>();
        self.count.fetch_max(usable.min(self.most), AcqRel);
        Ok(())
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
        let range = Reservation::map_usable(bytes, protection, libc::MAP_SHARED, file.as_raw_fd())?;
        Ok(Atomics {
            range,
            count: AtomicUsize::new(to_usize(count)),
            most: to_usize(count),
            kind: PhantomData,
        })
    }

    /// Returns all the integers that can be used.
    #[inline(always)]
    pub fn all(&self) -> &[T] {
        // SAFETY: So much of the memory is usable. It is zeroed or shared, is aligned to a page and lives as long as
        // `self`. It is accessed through atomics only, by other processes as well, and any bytes are a valid value of
        // an `Atomic`.
        unsafe { std::slice::from_raw_parts(self.range.base.cast::<T>(), self.count.load(Acquire)) }
    }

    /// Sets all the integers to zero.
    pub fn clear(&self) {
        self.range.clear();
    }

    /// Lets the system set all the integers to zero in every child of this process, however it is made.
    pub fn forget_in_children(&self) {
        #[cfg(target_os = "linux")]
        self.range.advise(0, self.range.len as u64, libc::MADV_WIPEONFORK);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: `map` made the mapping, it is unmapped once, and whoever reads through it borrows the owner.
        unsafe {
            libc::munmap(self.base.cast(), self.len);
        }
        if self.large {
            LARGE.fetch_sub(1, Relaxed);
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
    fn a_range_that_became_shorter_is_usable_up_to_its_new_end() {
        let page = memory_page() as u64;
        let mut range = Reservation::anonymous(16 * page).expect("memory");
        // The last page is kept whole.
        range.shrink(2 * page + 1);
        assert_eq!(range.reserved(), 2 * page + 1);
        // SAFETY: The range is anonymous, and nobody else knows it.
        let read = unsafe {
            range.write(2 * page, b"x");
            let mut read = [0];
            range.read(2 * page, &mut read);
            read
        };
        assert_eq!(&read, b"x");
        assert!(range.extend(to_usize(3 * page)).is_err(), "there is no more");
        range.shrink(5 * page);
        assert_eq!(range.reserved(), 2 * page + 1, "it becomes no longer");
    }

    #[test]
    fn memory_becomes_usable_in_parts() {
        let tags = Atomics::<AtomicU16>::growing(1 << 30).expect("reserve");
        assert!(tags.all().is_empty());
        for count in [1, 1000, 70_000, 1 << 20] {
            tags.grow(count).expect("grow");
            let all = tags.all();
            assert!(all.len() as u64 >= count && all.len() < 1 << 22);
            assert_eq!(all[all.len() - 1].load(Relaxed), 0);
        }
        assert!(tags.grow((1 << 30) + 1).is_err());
    }
}
