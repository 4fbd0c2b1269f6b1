//! What keeps a thread whole: no thread is cancelled (`pthread_cancel`) inside a call.
//!
//! A thread is cancelled inside the system call that it waits in, by unwinding the stack from there; that would skip
//! the end of a call that others wait for. Telling the C library so takes 13 ns, twice, and most calls wait in no
//! system call. So it is told around those that wait: here around reads, writes and syncs of the file, and in `capi`
//! around whole calls that may wait for something else.

#![allow(unsafe_code)]

use std::ffi::c_int;

/// Keeps this thread from being cancelled until it is dropped.
#[derive(Debug)]
pub struct Uncancelled {
    #[cfg(target_os = "linux")]
    before: c_int,
}

#[cfg(target_os = "linux")]
mod cancel {
    use std::ffi::c_int;

    pub(super) const DISABLE: c_int = 1;

    extern "C" {
        pub(super) fn pthread_setcancelstate(state: c_int, before: *mut c_int) -> c_int;
    }
}

#[allow(clippy::new_without_default)]
impl Uncancelled {
    /// Begins.
    #[inline(always)]
    pub fn new() -> Uncancelled {
        #[cfg(target_os = "linux")]
        {
            let mut before = 0;
            // SAFETY: the state is one that there is, and the place of the former one is writable.
            unsafe { cancel::pthread_setcancelstate(cancel::DISABLE, &mut before) };
            Uncancelled { before }
        }
        #[cfg(not(target_os = "linux"))]
        Uncancelled {}
    }
}

#[cfg(target_os = "linux")]
impl Drop for Uncancelled {
    #[inline(always)]
    fn drop(&mut self) {
        // SAFETY: the state is what this thread had before. Nobody wants the one of now, and the C libraries of Linux
        // take NULL for that.
        unsafe { cancel::pthread_setcancelstate(self.before, std::ptr::null_mut()) };
    }
}
