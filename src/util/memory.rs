//! Whether memory is short, as whoever allocates it has said.
//!
//! Small allocations of the engine cannot be refused: the standard library ends the process if one of them fails. An
//! allocator can answer this with a reserve, from which it serves them when the system gives none. It then says so
//! here, and long work ends with [`NoMemory`](crate::Error::NoMemory) at the next place where that is possible, before
//! the reserve is used up. The C library has such an allocator (`capi/src/border/memory.rs`).

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static SHORT: AtomicBool = AtomicBool::new(false);

/// Tells the engine whether memory is short. Only a global allocator that keeps a reserve for small allocations has to
/// call this; it may do so at any time and on any thread.
pub fn set_memory_short(short: bool) {
    SHORT.store(short, Relaxed);
}

/// Returns whether memory is short.
#[inline(always)]
pub fn is_short() -> bool {
    SHORT.load(Relaxed)
}
