//! Waiting for a word in shared memory to change. The change is only a hint that a lock may be free: the locks
//! themselves are the kernel's, so that they end with their holder. A waiter therefore looks again after a while even
//! without a change.

#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// Waits until the low 32 bits of `word` differ from those of `seen`, for at most `most`. It may return earlier.
pub fn wait(word: &AtomicU64, seen: u64, most: Duration) {
    #[cfg(target_os = "linux")]
    {
        let time = libc::timespec {
            tv_sec: most.as_secs().min(3600) as libc::time_t,
            tv_nsec: most.subsec_nanos() as _,
        };
        // SAFETY: `word` is aligned, has the 32 bits that are compared, and outlives the call; `time` is complete.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                low_half(word),
                libc::FUTEX_WAIT,
                (seen & 0xFFFF_FFFF) as u32,
                &time,
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    if word.load(SeqCst) == seen {
        std::thread::sleep(most.min(Duration::from_millis(1)));
    }
}

/// Changes `word`, and wakes all who wait for it if `anybody` waits.
pub fn wake(word: &AtomicU64, anybody: bool) {
    word.fetch_add(1, SeqCst);
    #[cfg(target_os = "linux")]
    if anybody {
        // SAFETY: `word` is aligned, has the 32 bits that name the waiters, and outlives the call.
        unsafe {
            libc::syscall(libc::SYS_futex, low_half(word), libc::FUTEX_WAKE, i32::MAX);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = anybody;
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
