//! The memory of last resort: small allocations succeed although the system refuses them.
//!
//! An allocation that fails in ordinary Rust code ends the process, and there are hundreds of small ones below every
//! call. So the library has an allocator of its own in front of the system's. What the system refuses is served from a
//! *reserve*. Lists that grow with the caller's data are allocated by code that lives with a refusal and answers
//! `KV_NO_MEMORY`; the reserve is for all the rest.
//!
//! The reserve must never be used up. As soon as a part of it is in use ([`SHORT`]), memory counts as short: calls are
//! refused when they begin ([`guard`](crate::border::error::guard)), except those that end something and give memory
//! back, and the engine ends those under way at their next page or edit. What is left serves them until then. Keys,
//! values and lists of the caller's length are not its business: the engine lives with a refusal of those, so nothing
//! above [`LARGEST`] is served, and what is larger than [`SMALL`], for pages and their lists, gets only one half of
//! it. If very many threads used up the reserve all the same, an allocation would wait for the others to give
//! something back before it fails.
//!
//! What was served may live long after the shortage, as a handle does. So the reserve asks the system again when a call
//! is to be refused ([`is_back`]): if there is memory, what is in use by then no longer counts, and the call begins.
//!
//! The reserve is zeroed memory of the library's image. It takes address space and nothing else until it is used,
//! needs no preparation, and is there however little memory the process may map. Mapped at the first need it might be
//! refused; mapped before, it would count towards `RLIMIT_DATA` as it does now, and be locked by `mlockall` as it is
//! now. A set of bits says which grains of it are in use. All of this is slow and simple, since it is hardly ever
//! needed; what every allocation pays is one comparison, and so does every release.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

/// Bytes of the reserve.
const RESERVE: usize = 16 << 20;
/// Bytes in use from which memory counts as short, besides those that were in use when the system had memory again.
const SHORT: usize = 1 << 20;
/// The most bytes that may be in use when memory counts as back: the other half is left for the next shortage.
const BACK: usize = RESERVE / 2;
/// The largest allocation that is served as long as anything is left.
const SMALL: usize = 32 << 10;
/// The largest allocation that is served at all: what a list of all entries of a page takes.
const LARGEST: usize = 1 << 20;
/// Bytes in use up to which larger allocations than [`SMALL`] are served.
const FOR_LARGE: usize = RESERVE / 2;
/// The unit in which the reserve is given out, and the alignment of each unit.
const GRAIN: usize = 64;
const GRAINS: usize = RESERVE / GRAIN;
/// How often, and at what intervals, an allocation asks again before it fails: for a second.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

#[global_allocator]
static ALLOCATOR: Allocator = Allocator::new();

/// The system's allocator with a reserve behind it.
struct Allocator {
    bytes: Region,
    /// A bit for each grain that is in use.
    taken: UnsafeCell<[u64; GRAINS / 64]>,
    /// Whether a thread works with `taken`.
    locked: AtomicBool,
    /// Bytes in use.
    in_use: AtomicUsize,
    /// Those of them that do not count as a shortage: they were in use when the system had memory again.
    lasting: AtomicUsize,
    /// Whether the others are so many that memory is short.
    short: AtomicBool,
}

/// The bytes of the reserve. Layouts that want more than this alignment are not served.
#[repr(align(4096))]
struct Region(UnsafeCell<[u8; RESERVE]>);

// SAFETY: `taken` is touched only by the thread that has set `locked`, and each grain only by whoever it was given to.
unsafe impl Sync for Allocator {}

/// Returns whether memory is short: whether so much of the reserve is in use that calls must not begin.
#[inline(always)]
pub(crate) fn is_short() -> bool {
    ALLOCATOR.short.load(Relaxed)
}

/// Asks the system, when memory is short, whether it has some again. If it has, memory is no longer short.
#[cold]
#[inline(never)]
pub(crate) fn is_back() -> bool {
    ALLOCATOR.is_back()
}

/// Frees the lock of the reserve in the child of a fork, where the thread that held it is not. What that thread was
/// about to take or give back may be lost to the child, which is a block at most, and is nobody else's.
pub(crate) fn after_fork() {
    ALLOCATOR.locked.store(false, Release);
}

impl Allocator {
    const fn new() -> Allocator {
        Allocator {
            bytes: Region(UnsafeCell::new([0; RESERVE])),
            taken: UnsafeCell::new([0; GRAINS / 64]),
            locked: AtomicBool::new(false),
            in_use: AtomicUsize::new(0),
            lasting: AtomicUsize::new(0),
            short: AtomicBool::new(false),
        }
    }

    fn base(&self) -> *mut u8 {
        self.bytes.0.get().cast()
    }

    #[inline(always)]
    fn owns(&self, at: *mut u8) -> bool {
        at.addr().wrapping_sub(self.base().addr()) < RESERVE
    }

    /// Runs `work` on the set of grains in use. In a child that was made past the handlers, by `_Fork` or by the
    /// system call itself, [`after_fork`] has not run, and the lock may be held for ever by a thread that is not
    /// there. So this gives up after some thousand tries and returns `None`: nothing is served then, and what is given
    /// back is lost.
    fn with_grains<T>(&self, work: impl FnOnce(&mut [u64; GRAINS / 64]) -> T) -> Option<T> {
        let mut spins = 0u32;
        while self.locked.swap(true, Acquire) {
            spins += 1;
            if spins > 1 << 16 {
                return None;
            }
            if spins % 64 == 0 {
                std::thread::yield_now();
            }
        }
        // SAFETY: this thread has just set `locked`, so nobody else has a reference.
        let answer = work(unsafe { &mut *self.taken.get() });
        self.locked.store(false, Release);
        Some(answer)
    }

    /// Serves an allocation that the system has refused. Returns NULL if it is too large.
    #[cold]
    #[inline(never)]
    fn serve(&self, layout: Layout) -> *mut u8 {
        if layout.align() > align_of::<Region>() || layout.size() > LARGEST {
            return null_mut();
        }
        for _ in 0..TRIES {
            let at = match layout.size() <= SMALL || self.in_use.load(Relaxed) + layout.size() <= FOR_LARGE {
                true => self.take(layout),
                false => null_mut(),
            };
            if !at.is_null() {
                return at;
            }
            std::thread::sleep(PAUSE);
            // SAFETY: the caller promises a layout of more than 0 bytes.
            let at = unsafe { System.alloc(layout) };
            if !at.is_null() {
                return at;
            }
        }
        null_mut()
    }

    /// Takes grains that lie side by side; NULL if there are none.
    fn take(&self, layout: Layout) -> *mut u8 {
        let (count, step) = (layout.size().div_ceil(GRAIN), layout.align().div_ceil(GRAIN));
        let first = self.with_grains(|taken| {
            let first = free_grains(taken, count, step)?;
            (first..first + count).for_each(|grain| taken[grain / 64] |= 1 << (grain % 64));
            self.count(self.in_use.load(Relaxed) + count * GRAIN);
            Some(first)
        });
        match first.flatten() {
            // SAFETY: the grains lie inside the region.
            Some(first) => unsafe { self.base().add(first * GRAIN) },
            None => null_mut(),
        }
    }

    /// Gives grains back.
    #[cold]
    #[inline(never)]
    fn give_back(&self, at: *mut u8, layout: Layout) {
        self.give_back_behind(at, layout, 0);
    }

    /// Gives the grains of a block back that its first `size` bytes do not need.
    fn give_back_behind(&self, at: *mut u8, layout: Layout, size: usize) {
        let first = (at.addr() - self.base().addr()) / GRAIN;
        let (kept, count) = (size.div_ceil(GRAIN), layout.size().div_ceil(GRAIN));
        self.with_grains(|taken| {
            (first + kept..first + count).for_each(|grain| taken[grain / 64] &= !(1 << (grain % 64)));
            self.count(self.in_use.load(Relaxed) - (count - kept) * GRAIN);
        });
    }

    /// Notes how many bytes are in use, and tells all others whether memory is short. The caller has the lock.
    fn count(&self, bytes: usize) {
        let lasting = self.lasting.load(Relaxed).min(bytes);
        self.lasting.store(lasting, Relaxed);
        self.in_use.store(bytes, Relaxed);
        let short = bytes > SHORT + lasting;
        self.short.store(short, Relaxed);
        kv_engine::set_memory_short(short);
    }

    /// Does the work of [`is_back`]. As much as makes memory short must be there at once, so that a call that begins
    /// has some.
    fn is_back(&self) -> bool {
        let Ok(probe) = Layout::from_size_align(SHORT, GRAIN) else {
            return false;
        };
        // SAFETY: the layout is of more than 0 bytes.
        let at = unsafe { System.alloc(probe) };
        if at.is_null() {
            return false;
        }
        // SAFETY: it was just allocated with this layout.
        unsafe { System.dealloc(at, probe) };
        let back = self.with_grains(|_| {
            let in_use = self.in_use.load(Relaxed);
            if in_use <= BACK {
                self.lasting.store(in_use, Relaxed);
                self.count(in_use);
            }
            in_use <= BACK
        });
        back == Some(true)
    }

    /// Moves what lies at `at` into other memory of `size` bytes.
    ///
    /// # Safety
    /// As [`GlobalAlloc::realloc`].
    #[cold]
    #[inline(never)]
    unsafe fn move_to(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let Ok(new) = Layout::from_size_align(size, layout.align()) else {
            return null_mut();
        };
        // SAFETY: the caller promises that `size` is not 0.
        let to = unsafe { self.alloc(new) };
        if to.is_null() {
            return to;
        }
        // SAFETY: both span the lesser of the sizes, and the new memory is nobody else's.
        unsafe {
            std::ptr::copy_nonoverlapping(at, to, layout.size().min(size));
            self.dealloc(at, layout);
        }
        to
    }
}

/// Finds `count` free grains side by side, the first of them at a multiple of `step`.
fn free_grains(taken: &[u64; GRAINS / 64], count: usize, step: usize) -> Option<usize> {
    let is_taken = |grain: &usize| taken[grain / 64] >> (grain % 64) & 1 != 0;
    let mut first = 0;
    while first + count <= GRAINS {
        match (first..first + count).rev().find(is_taken) {
            Some(grain) => first = (grain + 1).next_multiple_of(step),
            None => return Some(first),
        }
    }
    None
}

// SAFETY: memory comes from the system's allocator, or from the reserve, whose grains are given to one owner at a
// time; addresses tell which of the two it was. Nothing here panics: the arithmetic is on sizes below `LARGEST`, and
// indexes are those of grains.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        let at = unsafe { System.alloc(layout) };
        if at.is_null() {
            return self.serve(layout);
        }
        at
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        let at = unsafe { System.alloc_zeroed(layout) };
        if !at.is_null() {
            return at;
        }
        let at = self.serve(layout);
        if !at.is_null() {
            // SAFETY: `serve` has returned memory of this size.
            unsafe { at.write_bytes(0, layout.size()) };
        }
        at
    }

    #[inline]
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if self.owns(at) {
            return self.give_back(at, layout);
        }
        // SAFETY: as the caller promised; what is not in the reserve came from the system.
        unsafe { System.dealloc(at, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if self.owns(at) {
            if size <= layout.size() {
                // Whoever makes a block smaller does not expect a refusal.
                self.give_back_behind(at, layout, size);
                return at;
            }
            // SAFETY: as the caller promised. What grows leaves the reserve if the system has memory again.
            return unsafe { self.move_to(at, layout, size) };
        }
        // SAFETY: as the caller promised; what is not in the reserve came from the system.
        let new = unsafe { System.realloc(at, layout, size) };
        if !new.is_null() {
            return new;
        }
        if size <= layout.size() {
            // Memory that cannot be made smaller is left as it is: the system knows its size by itself.
            return at;
        }
        // SAFETY: as the caller promised.
        unsafe { self.move_to(at, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how many grains of a reserve are in use.
    fn grains(of: &Allocator) -> usize {
        let taken = of.with_grains(|taken| taken.iter().map(|bits| bits.count_ones()).sum::<u32>());
        assert_eq!(of.in_use.load(Relaxed), taken.unwrap() as usize * GRAIN);
        taken.unwrap() as usize
    }

    #[test]
    fn a_block_is_made_smaller_where_it_is() {
        static OWN: Allocator = Allocator::new();
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        let large = OWN.serve(layout(100 * GRAIN));
        assert!(OWN.owns(large));
        // SAFETY: blocks of this allocator, with the layouts that they have.
        unsafe {
            large.add(10 * GRAIN).write(7);
            for (from, to, kept) in [(100 * GRAIN, 10 * GRAIN + 1, 11), (10 * GRAIN + 1, 9, 1), (9, 9, 1)] {
                assert_eq!(OWN.realloc(large, layout(from), to), large, "{from} {to}");
                assert_eq!(grains(&OWN), kept);
            }
            OWN.dealloc(large, layout(9));
        }
        assert_eq!(grains(&OWN), 0);
    }

    #[test]
    fn a_child_is_served_although_the_lock_was_held() {
        // In the child of a fork, and not in this process, whose other tests go on.
        let layout = Layout::new::<u64>();
        ALLOCATOR.locked.store(true, Release);
        // SAFETY: the child calls the allocator and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            after_fork();
            let served = !ALLOCATOR.take(layout).is_null();
            // SAFETY: it ends the child.
            unsafe { libc::_exit(i32::from(!served)) };
        }
        ALLOCATOR.locked.store(false, Release);
        let mut status = 0;
        // SAFETY: the place of the status is writable.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
    }
}
