//! The memory of last resort: small allocations succeed although the system refuses them.
//!
//! An allocation that fails in ordinary Rust code ends the process, and there are hundreds of small ones below every
//! call. So the library has an allocator of its own in front of the system's. What the system refuses is served from a
//! *reserve*. Lists that grow with the caller's data are allocated by code that lives with a refusal and answers
//! `KV_NO_MEMORY`; the reserve is for all the rest.
//!
//! The reserve must never be used up. As soon as a part of it is in use ([`SHORT`]), memory counts as short: calls are
//! refused when they begin ([`guard`](crate::border::error::guard)), except those that end something and give memory
//! back, and the engine ends those under way at their next page or edit. What is left serves them until then. Blocks
//! larger than [`SMALL`], for long keys for example, get only one half of it, so that a few of them cannot take what the
//! small ones need. If very many threads used up the reserve all the same, an allocation would wait for the others to
//! give something back before it fails.
//!
//! The reserve is zeroed memory of the library's image. It takes address space and nothing else until it is used, needs
//! no preparation, and is there however little memory the process may map. A set of bits says which grains of it are in
//! use. All of this is slow and simple, since it is hardly ever needed; what every allocation pays is one comparison,
//! and so does every release.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

/// Bytes of the reserve.
const RESERVE: usize = 16 << 20;
/// Bytes in use from which memory counts as short.
const SHORT: usize = 1 << 20;
/// The largest allocation that is served as long as anything is left.
const SMALL: usize = 32 << 10;
/// The largest allocation that is served at all: two of the longest keys, and as many bytes as are used when memory
/// begins to be short.
const LARGEST: usize = 5 << 20;
/// Bytes in use up to which larger allocations than [`SMALL`] are served.
const FOR_LARGE: usize = RESERVE / 2;
/// The unit in which the reserve is given out, and the alignment of each unit.
const GRAIN: usize = 64;
const GRAINS: usize = RESERVE / GRAIN;
/// How often, and at what intervals, an allocation asks again before it fails: for a second.
const TRIES: u32 = 200;
const PAUSE: Duration = Duration::from_millis(5);

#[global_allocator]
static ALLOCATOR: Allocator = Allocator {
    bytes: Region(UnsafeCell::new([0; RESERVE])),
    taken: UnsafeCell::new([0; GRAINS / 64]),
    locked: AtomicBool::new(false),
    in_use: AtomicUsize::new(0),
};

/// The system's allocator with a reserve behind it.
struct Allocator {
    bytes: Region,
    /// A bit for each grain that is in use.
    taken: UnsafeCell<[u64; GRAINS / 64]>,
    /// Whether a thread works with `taken`.
    locked: AtomicBool,
    /// Bytes in use.
    in_use: AtomicUsize,
}

/// The bytes of the reserve. Layouts that want more than this alignment are not served.
#[repr(align(4096))]
struct Region(UnsafeCell<[u8; RESERVE]>);

// SAFETY: `taken` is touched only by the thread that has set `locked`, and each grain only by whoever it was given to.
unsafe impl Sync for Allocator {}

/// Returns whether memory is short: whether so much of the reserve is in use that calls must not begin.
#[inline(always)]
pub(crate) fn is_short() -> bool {
    ALLOCATOR.in_use.load(Relaxed) > SHORT
}

impl Allocator {
    fn base(&self) -> *mut u8 {
        self.bytes.0.get().cast()
    }

    #[inline(always)]
    fn owns(&self, at: *mut u8) -> bool {
        at.addr().wrapping_sub(self.base().addr()) < RESERVE
    }

    /// Runs `work` on the set of grains in use. In the child of a fork the lock may be held for ever by a thread that is
    /// not there; then this gives up and returns `None`.
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
        if layout.size() > SMALL {
            return match self.in_use.load(Relaxed) + layout.size() <= FOR_LARGE {
                true => self.take(layout),
                false => null_mut(),
            };
        }
        for _ in 0..TRIES {
            let at = self.take(layout);
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
        let first = (at.addr() - self.base().addr()) / GRAIN;
        let count = layout.size().div_ceil(GRAIN);
        self.with_grains(|taken| {
            (first..first + count).for_each(|grain| taken[grain / 64] &= !(1 << (grain % 64)));
            self.count(self.in_use.load(Relaxed) - count * GRAIN);
        });
    }

    /// Notes how many bytes are in use, and tells the engine whether memory is short. The caller has the lock.
    fn count(&self, bytes: usize) {
        self.in_use.store(bytes, Relaxed);
        kv_engine::set_memory_short(bytes > SHORT);
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

// SAFETY: memory comes from the system's allocator, or from the reserve, whose grains are given to one owner at a time;
// addresses tell which of the two it was. Nothing here panics: the arithmetic is on sizes below `LARGEST`, and indexes are
// those of grains.
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
            // SAFETY: as the caller promised. What grows or shrinks leaves the reserve if the system has memory again.
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
