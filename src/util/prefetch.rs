//! Asks memory for bytes before they are needed.

#![allow(unsafe_code)]

/// Tells the processor that the first `lines` cache lines (64 bytes each) of `bytes` will be read soon. The function
/// itself reads nothing.
#[inline(always)]
pub fn prefetch(bytes: &[u8], lines: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        for line in 0..lines {
            // SAFETY: a prefetch is only a hint and accesses no memory, whatever the address is.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(bytes.as_ptr().wrapping_add(64 * line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (bytes, lines);
}
