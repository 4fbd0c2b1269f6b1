//! Waiting for a word in shared memory to change. The change is only a hint that a lock may be free: the locks
//! themselves are the kernel's, so that they end with their holder. A waiter therefore looks again after a while even
//! without a change.
//!
//! Whoever waits and whoever wakes names bits of a set of 32. Only those are woken who have a bit in common.

#![allow(unsafe_code)]

use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Waits until the low 32 bits of `word` differ from those of `seen` or somebody wakes one of `bits`, for at most
/// `most`. It may return earlier. There must be at least one bit.
pub fn wait(word: &AtomicU64, seen: u64, bits: u32, most: Duration) {
    #[cfg(target_os = "linux")]
    {
        // The system wants to know when to end, on the clock that only goes forward.
        let mut end = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `end` is a complete structure that the call fills.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut end) };
        let nanoseconds = u32::try_from(end.tv_nsec).unwrap_or(0) + most.subsec_nanos();
        end.tv_sec += (most.as_secs().min(3600) + u64::from(nanoseconds / 1_000_000_000)) as libc::time_t;
        end.tv_nsec = (nanoseconds % 1_000_000_000) as _;
        let (operation, unused) = (libc::FUTEX_WAIT_BITSET, std::ptr::null::<u32>());
        // SAFETY: `word` is aligned, has the 32 bits that are compared, and outlives the call; `end` is complete.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                low_half(word),
                operation,
                (seen & 0xFFFF_FFFF) as u32,
                &end,
                unused,
                bits,
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    if word.load(std::sync::atomic::Ordering::SeqCst) == seen && bits != 0 {
        std::thread::sleep(most.min(Duration::from_millis(1)));
    }
}

/// Wakes at most `most` of those who wait for `word` with one of `bits`. Returns whether anybody was woken; where the
/// system does not tell, it may have been.
pub fn wake(word: &AtomicU64, most: u32, bits: u32) -> bool {
    #[cfg(target_os = "linux")]
    if bits != 0 {
        let (operation, unused) = (libc::FUTEX_WAKE_BITSET, std::ptr::null::<u32>());
        let most = most.min(i32::MAX as u32);
        // SAFETY: `word` is aligned, has the 32 bits that name the waiters, and outlives the call.
        let woken = unsafe { libc::syscall(libc::SYS_futex, low_half(word), operation, most, unused, unused, bits) };
        return woken > 0;
    }
    let _ = word;
    cfg!(not(target_os = "linux")) && most > 0 && bits != 0
}

#[cfg(target_os = "linux")]
fn low_half(word: &AtomicU64) -> *const u32 {
    let first = word.as_ptr() as *const u32;
    if cfg!(target_endian = "little") {
        first
    } else {
        first.wrapping_add(1)
    }
}
