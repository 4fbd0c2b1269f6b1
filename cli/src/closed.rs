//! Whether whoever started this process has closed its standard output.
//!
//! The standard library opens `/dev/null` in the place of a stream that is closed before `main` begins, so that no file
//! gets its number; what is written there would seem to be written. So this is looked at earlier, when the program is
//! loaded.
#![allow(unsafe_code)]

use rustix::io::{fcntl_getfd, Errno};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static IS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Returns whether standard output was closed when the process began.
pub fn is_stdout_closed() -> bool {
    IS_CLOSED.load(Relaxed)
}

/// What the system calls when it has loaded the program.
// SAFETY: the section has pointers to functions of this type, which are called one by one before `main`.
#[used]
#[link_section = ".init_array"]
static AT_BEGIN: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: the descriptor is used for one call that takes any number, and fails for one that is not open.
    let stdout = unsafe { BorrowedFd::borrow_raw(1) };
    IS_CLOSED.store(fcntl_getfd(stdout) == Err(Errno::BADF), Relaxed);
}
