//! A clock that all processes share and that costs a few nanoseconds.

#![allow(unsafe_code)]

/// Returns the milliseconds since a moment before any process of this system began. The resolution is the kernel's
/// tick.
#[inline]
pub fn coarse_ms() -> u64 {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a complete structure that the call fills. This clock exists everywhere, so the call cannot
    // fail.
    unsafe { libc::clock_gettime(CLOCK, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}
