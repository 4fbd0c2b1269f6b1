//! What a forked child must not inherit.
//!
//! A child has copies of the parent's descriptors, and they refer to the same open file descriptions. Locks that
//! should end with the parent would therefore stay as long as the child lives. The child also has copies of the
//! parent's objects, whose destruction would end the parent's readers. So a handler that runs in the child replaces
//! every registered descriptor by `/dev/null` and counts the fork. An object that remembers the count of its creation
//! can see that it is in another process.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};
use std::sync::Once;

/// How many descriptors can be registered. Children inherit any others as they are.
const WATCHED: usize = 4096;

static FORKS: AtomicU32 = AtomicU32::new(0);
static DESCRIPTORS: [AtomicI32; WATCHED] = [const { AtomicI32::new(-1) }; WATCHED];

/// Returns the number of forks between the first process that opened a database and this one.
#[inline(always)]
pub fn count() -> u32 {
    FORKS.load(std::sync::atomic::Ordering::Relaxed)
}

/// A registered descriptor, which children lose. Dropping this ends the registration.
#[derive(Debug)]
pub struct Watch(usize);

/// Registers `file`, so that children of this process lose it.
pub fn watch(file: &File) -> Watch {
    static PREPARE: Once = Once::new();
    PREPARE.call_once(|| {
        // SAFETY: `in_child` calls only functions that a child of a process with threads may call.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    let fd = file.as_raw_fd();
    let free = DESCRIPTORS
        .iter()
        .position(|slot| slot.compare_exchange(-1, fd, SeqCst, SeqCst).is_ok());
    Watch(free.unwrap_or(WATCHED))
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(slot) = DESCRIPTORS.get(self.0) {
            slot.store(-1, SeqCst);
        }
    }
}

extern "C" fn in_child() {
    FORKS.fetch_add(1, SeqCst);
    // SAFETY: The calls are async-signal-safe. Where `/dev/null` can be opened, a descriptor keeps its number, so its
    // owner may still close it.
    unsafe {
        let null: RawFd = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
        for slot in &DESCRIPTORS {
            let fd = slot.swap(-1, SeqCst);
            if fd < 0 {
                continue;
            }
            if null >= 0 {
                libc::dup2(null, fd);
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            } else {
                libc::close(fd);
            }
        }
        if null >= 0 {
            libc::close(null);
        }
    }
}
