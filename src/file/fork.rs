//! What a forked child must not inherit.
//!
//! A child has copies of the parent's descriptors, and they refer to the same open file descriptions. Locks that
//! should end with the parent would therefore stay as long as the child lives. The child also has copies of the
//! parent's objects, whose destruction would end the parent's readers. So a handler that runs in the child puts
//! something that is no file in the place of every registered descriptor, and counts the fork. An object that remembers
//! the count of its creation can see that it is in another process.
//!
//! What a child got before it was registered cannot be put away. So a file is opened once more if a fork was under way
//! meanwhile ([`watched`]): locks are taken through the second description, of which the child has no part.
//!
//! A child that was made without handlers, by `_Fork` or by the system call itself, is noticed as well: the count lies
//! in a page that the system wipes in every child. Its descriptors are replaced when it opens a database for itself.

#![allow(unsafe_code)]

use crate::error::{Error, Result};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

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
/// The forks of this process that have begun, and those that have ended.
static BEGUN: AtomicU32 = AtomicU32::new(0);
static ENDED: AtomicU32 = AtomicU32::new(0);
/// How often a file is opened, in a process that forks all the time.
const TRIES: usize = 8;

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
///
/// # Errors
/// `NoMemory`: the system takes no handler, without which a child would keep the locks of its parent.
pub fn enter() -> Result<u32> {
    prepare()?;
    loop {
        match count_word().compare_exchange(0, PREPARING, SeqCst, SeqCst) {
            Ok(_) => in_child(),
            Err(PREPARING) => std::thread::yield_now(),
            Err(count) => return Ok(count),
        }
    }
}

/// Makes sure that forks are counted. Threads that come here at once all do the work and do not wait for each other:
/// another thread may fork while one is here, and in the child there would be nobody to wait for.
fn prepare() -> Result<()> {
    static PREPARED: AtomicBool = AtomicBool::new(false);
    if PREPARED.load(SeqCst) {
        return Ok(());
    }
    let (first, page) = ((&raw const UNPREPARED).cast_mut(), wiped_page());
    if page.is_null() {
        let _ = UNPREPARED.compare_exchange(0, FORKS.load(SeqCst) + 1, SeqCst, SeqCst);
    } else {
        // SAFETY: The page is aligned and zeroed, and nobody else knows it yet.
        unsafe { &*page }.store(FORKS.load(SeqCst) + 1, SeqCst);
        if COUNT.compare_exchange(first, page, SeqCst, SeqCst).is_err() {
            // SAFETY: The page was mapped above. Another one was faster, so nobody learns of this one.
            unsafe { libc::munmap(page.cast(), size_of::<AtomicU32>()) };
        }
    }
    // If several threads register the handler, it runs as often in each child, and only the count gets larger by that.
    // SAFETY: `in_child` calls only functions that a child of a process with threads may call, and the others none.
    if unsafe { libc::pthread_atfork(Some(before_fork), Some(in_parent), Some(in_child)) } != 0 {
        return Err(Error::NoMemory("a handler for fork()"));
    }
    PREPARED.store(true, SeqCst);
    Ok(())
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
            if page == libc::MAP_FAILED {
                return null_mut();
            }
            if libc::madvise(page, size_of::<AtomicU32>(), libc::MADV_WIPEONFORK) == 0 {
                return page.cast();
            }
            // Systems before Linux 4.14 do not know the advice.
            libc::munmap(page, size_of::<AtomicU32>());
        }
    }
    null_mut()
}

/// A registered descriptor, which children lose. Dropping this ends the registration.
#[derive(Debug)]
pub struct Watch(&'static AtomicI32);

/// Returns the file that `open` opens, registered, so that children of this process lose it. No child has a part in the
/// locks that are taken through it, but for those that are made past the handlers.
///
/// # Errors
/// Those of `open`.
pub fn watched(mut open: impl FnMut() -> Result<File>) -> Result<(File, Watch)> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (ended, begun) = (ENDED.load(SeqCst), BEGUN.load(SeqCst));
        let file = open()?;
        let watch = watch(&file);
        if (ended == begun && BEGUN.load(SeqCst) == begun) || tries == TRIES {
            return Ok((file, watch));
        }
        // The registration ends before the file is closed and its number can be that of another.
        drop(watch);
        drop(file);
        std::thread::yield_now();
    }
}

fn watch(file: &File) -> Watch {
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

extern "C" fn before_fork() {
    BEGUN.fetch_add(1, SeqCst);
}

extern "C" fn in_parent() {
    ENDED.fetch_add(1, SeqCst);
}

extern "C" fn in_child() {
    // The threads that were about to fork are not here.
    ENDED.store(BEGUN.load(SeqCst), SeqCst);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_opened_during_a_fork_is_opened_again() {
        // No other test of this program forks.
        let opened = |at_call: &dyn Fn(usize)| {
            let mut calls = 0;
            let opened = watched(|| {
                calls += 1;
                at_call(calls);
                File::open("/dev/null").map_err(|e| Error::io("open", e))
            });
            let (file, watch) = opened.expect("open");
            assert_eq!(watch.0.load(SeqCst), file.as_raw_fd());
            calls
        };
        assert_eq!(opened(&|_| {}), 1);
        let begins_and_ends = |call| {
            if call < 3 {
                before_fork();
                in_parent();
            }
        };
        assert_eq!(opened(&begins_and_ends), 3);
        before_fork();
        let ends = |call| {
            if call == 2 {
                in_parent();
            }
        };
        assert_eq!(opened(&ends), 3, "a fork that was under way");
        assert_eq!(opened(&|_| before_fork()), TRIES, "forks without end");
        ENDED.store(BEGUN.load(SeqCst), SeqCst);
    }
}
