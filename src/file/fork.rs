//! What a forked child must not inherit.
//!
//! A child has copies of the parent's descriptors, and they refer to the same open file descriptions. Locks that
//! should end with the parent would therefore stay as long as the child lives. The child also has copies of the
//! parent's objects, whose destruction would end the parent's readers. So a handler that runs in the child puts
//! something that is no file in the place of every registered descriptor, and counts the fork. An object that remembers
//! the count of its creation can see that it is in another process.
//!
//! A child that was made without handlers, by `_Fork` or by the system call itself, is noticed as well: the count lies
//! in a page that the system wipes in every child. Its descriptors are replaced when it opens a database for itself.

#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Once;

/// How many descriptors a block of the list has room for.
const BLOCK: usize = 1024;
/// What the count is while a thread of a new child prepares it.
const PREPARING: u32 = u32::MAX;

/// A part of the list of descriptors. A slot is -1 if it is free.
struct Block {
    descriptors: [AtomicI32; BLOCK],
    /// The next block. Blocks are never freed, so that a handler can walk through them at any time.
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Block {
        Block {
            descriptors: [const { AtomicI32::new(-1) }; BLOCK],
            next: AtomicPtr::new(null_mut()),
        }
    }

    fn next(&self) -> Option<&'static Block> {
        // SAFETY: The pointer is null or that of a block that was leaked.
        unsafe { self.next.load(SeqCst).as_ref() }
    }

    /// Returns the next block, which is made if there is none.
    fn more(&self) -> &'static Block {
        if let Some(next) = self.next() {
            return next;
        }
        let new: *mut Block = Box::leak(Box::new(Block::new()));
        match self.next.compare_exchange(null_mut(), new, SeqCst, SeqCst) {
            // SAFETY: The block was leaked above.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: Nobody else knows the new block. The other one was leaked by whoever was faster.
                unsafe {
                    drop(Box::from_raw(new));
                    &*other
                }
            }
        }
    }
}

/// The forks between the first process that opened a database and this one.
static FORKS: AtomicU32 = AtomicU32::new(0);
/// The count before a page for it was found.
static UNPREPARED: AtomicU32 = AtomicU32::new(0);
/// The count: one more than `FORKS`, or 0 in a child that has not noticed yet.
static COUNT: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const UNPREPARED).cast_mut());
static DESCRIPTORS: Block = Block::new();

#[inline(always)]
fn count_word() -> &'static AtomicU32 {
    // SAFETY: The pointer is that of a static or of the head of a page that is never unmapped.
    unsafe { &*COUNT.load(Relaxed) }
}

/// Returns a number that is another one in each generation of children.
#[inline(always)]
pub fn count() -> u32 {
    count_word().load(Relaxed)
}

/// Does what [`count`] does, after making sure that forks are counted, and that this process has lost what it
/// inherited. Every process begins with this.
pub fn enter() -> u32 {
    static PREPARE: Once = Once::new();
    PREPARE.call_once(|| {
        let page = wiped_page();
        let word = if page.is_null() {
            count_word()
        } else {
            // SAFETY: The page is aligned, zeroed and never unmapped.
            unsafe { &*page }
        };
        word.store(FORKS.load(SeqCst) + 1, SeqCst);
        COUNT.store(std::ptr::from_ref(word).cast_mut(), SeqCst);
        // SAFETY: `in_child` calls only functions that a child of a process with threads may call.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
    loop {
        match count_word().compare_exchange(0, PREPARING, SeqCst, SeqCst) {
            Ok(_) => in_child(),
            Err(PREPARING) => std::thread::yield_now(),
            Err(count) => return count,
        }
    }
}

/// Returns a page that the system fills with zeros in every child, or null if it has none.
fn wiped_page() -> *mut AtomicU32 {
    #[cfg(target_os = "linux")]
    {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANON);
        // SAFETY: The system chooses the address of the new mapping, so it overlaps nothing that exists; the advice is
        // about that mapping.
        unsafe {
            let page = libc::mmap(null_mut(), size_of::<AtomicU32>(), protection, flags, -1, 0);
            if page != libc::MAP_FAILED && libc::madvise(page, size_of::<AtomicU32>(), libc::MADV_WIPEONFORK) == 0 {
                return page.cast();
            }
        }
    }
    null_mut()
}

/// A registered descriptor, which children lose. Dropping this ends the registration.
#[derive(Debug)]
pub struct Watch(&'static AtomicI32);

/// Registers `file`, so that children of this process lose it.
pub fn watch(file: &File) -> Watch {
    let fd = file.as_raw_fd();
    let mut block = &DESCRIPTORS;
    loop {
        let mut slots = block.descriptors.iter();
        if let Some(slot) = slots.find(|slot| slot.compare_exchange(-1, fd, SeqCst, SeqCst).is_ok()) {
            return Watch(slot);
        }
        block = block.more();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.store(-1, SeqCst);
    }
}

/// Opens something that is no file: neither can a lock of others be held through it, nor can anything be written.
fn no_file() -> RawFd {
    // SAFETY: The call has no conditions.
    #[cfg(target_os = "linux")]
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
    #[cfg(not(target_os = "linux"))]
    let fd = -1;
    match fd {
        // SAFETY: The name ends in a zero.
        -1 => unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC) },
        fd => fd,
    }
}

extern "C" fn in_child() {
    let forks = FORKS.fetch_add(1, SeqCst) + 1;
    let mut other = no_file();
    let mut block = Some(&DESCRIPTORS);
    while let Some(here) = block {
        for slot in &here.descriptors {
            let fd = slot.swap(-1, SeqCst);
            if fd < 0 {
                continue;
            }
            // SAFETY: The calls are async-signal-safe. A descriptor keeps its number, so that its owner may still
            // close it.
            unsafe {
                if other < 0 {
                    // There was no room for one more descriptor. Now there is, and it most likely has this number.
                    libc::close(fd);
                    other = no_file();
                }
                if other >= 0 && other != fd {
                    libc::dup2(other, fd);
                    libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                }
            }
            if other == fd {
                // It stays where it is, and the next one is made anew or copied from here.
                other = replacement_of(other);
            }
        }
        block = here.next();
    }
    if other >= 0 {
        // SAFETY: The descriptor was opened here, and nobody else has it.
        unsafe { libc::close(other) };
    }
    count_word().store(forks + 1, SeqCst);
}

/// Returns a descriptor to copy from that is not `kept`, or -1 if there is no room for one.
fn replacement_of(kept: RawFd) -> RawFd {
    // SAFETY: The descriptor is open.
    unsafe { libc::fcntl(kept, libc::F_DUPFD_CLOEXEC, 3) }
}
