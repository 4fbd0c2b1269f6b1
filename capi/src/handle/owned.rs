//! Handles that one thread has used so long that it owns them: it takes them without a compare-and-swap.
//!
//! A compare-and-swap waits until everything before it is done, and whatever follows waits for it. A step of a cursor
//! is so short that this was more than half of its time. So a thread that has used a handle [`OWN_AFTER`] times in a
//! row becomes its owner: the state gets the flag OWNED, and from then on the owner says in a word of the slot that
//! only it writes, `inside`, that a call of it is at work.
//!
//! Another thread that wants the handle, to use it or to close it, takes it from its owner once and for all:
//!
//! ```text
//! owner    1. store 1 to `inside`                     other    1. compare-and-swap: the state loses OWNED
//!          2. load the state: OWNED? then go                   2. barrier in all threads of the process
//!          3. store 0 to `inside`                              3. load `inside`: 0? then go
//! ```
//!
//! The processor may let the owner's load pass its store, which is what a compare-and-swap would prevent. The other
//! thread's barrier does so in its place: the system makes every thread of the process run a full barrier at some
//! moment of the call (`membarrier`). If that moment comes before the owner's store, its load comes after the
//! compare-and-swap and sees that OWNED is gone. If it comes behind the store, the other thread sees the 1. So never do
//! both go. And what the owner did before it stored 0 (a release) is seen by whoever loads that 0 (an acquire).
//!
//! A slot has one owner for ever, whatever handles it has: a call may stop before it stores the 1 as long as it likes,
//! and if it goes on when the slot has another handle already, the word that it sets and resets must be no other
//! thread's. Threads are told apart by `pthread_self`. A new thread may have the number of one
//! that is gone; it goes on where that has ended, which is as good as one thread. A signal handler runs in a thread and
//! finds the 1, or ends before it is stored.
//!
//! Where the system has no such barrier, no handle is ever owned.

use super::chunks::Slot;
use super::token::OWNED;
use kv_engine::Uncancelled;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{compiler_fence, AtomicU32};

/// How many uses in a row make a thread the owner: as many as save more than the barrier costs that takes it away.
const OWN_AFTER: u32 = 128;

/// Returns the number of this thread.
#[inline(always)]
pub(crate) fn this_thread() -> usize {
    // SAFETY: pthread_self has no conditions.
    unsafe { libc::pthread_self() as usize }
}

impl<T> Slot<T> {
    /// Lets a call of the owner in if this thread owns the slot, its state is `want` with OWNED, and no call is inside.
    /// The call ends by storing 0 to `inside`.
    #[inline(always)]
    pub(super) fn enter_owned(&self, want: u64) -> bool {
        if self.owner.load(Relaxed) != this_thread() || self.inside.load(Relaxed) != 0 {
            return false;
        }
        self.inside.store(1, Relaxed);
        // The processor is kept in order by the other thread's barrier, so the compiler is all that is left.
        compiler_fence(SeqCst);
        if self.state.load(Acquire) == want | OWNED {
            return true;
        }
        self.inside.store(0, Release);
        false
    }

    /// Notes that this thread has the object for itself, and returns the state to put back: `want`, with OWNED if the
    /// thread has come to own the slot.
    #[inline(always)]
    pub(super) fn note_use(&self, want: u64) -> u64 {
        let me = this_thread();
        if self.thread() != me {
            self.set_thread(me);
        }
        let uses = self.uses.load(Relaxed).wrapping_add(1);
        self.uses.store(uses, Relaxed);
        match uses == OWN_AFTER && self.become_owner(me) {
            true => want | OWNED,
            false => want,
        }
    }

    /// Makes this thread the owner, unless the slot has another one already.
    #[cold]
    fn become_owner(&self, me: usize) -> bool {
        let owner = self.owner.load(Relaxed);
        // This may be a signal handler in the midst of `enter_owned`, or a child of the process that was made there.
        let is_entering = self.inside.load(Relaxed) != 0;
        if (owner != 0 && owner != me) || is_entering || !can_stop_owners() {
            return false;
        }
        // Only who has the object for itself writes this, and a second time only the same.
        self.owner.store(me, Relaxed);
        true
    }

    /// Must be called when the state has lost OWNED: afterwards, no call of the owner is at work if
    /// [`Slot::owner_is_inside`] says so, and none will be.
    pub(super) fn stop_owner(&self) {
        if self.owner.load(Relaxed) != this_thread() {
            stop_owners();
        }
    }

    /// Returns whether a call of the owner is inside.
    pub(super) fn owner_is_inside(&self) -> bool {
        self.inside.load(Acquire) != 0
    }
}

/// Whether the system can run a barrier in all threads: 0 before it was asked.
static CAN_STOP: AtomicU32 = AtomicU32::new(0);
const YES: u32 = 1;
const NO: u32 = 2;

/// Returns whether the system can run a barrier in all threads, for which a process must announce itself.
fn can_stop_owners() -> bool {
    match CAN_STOP.load(Relaxed) {
        0 => {
            // The barrier is tried, too: a sandbox may refuse either.
            let can = announce() && barrier();
            CAN_STOP.store(if can { YES } else { NO }, Relaxed);
            can
        }
        known => known == YES,
    }
}

/// Runs a full barrier in all threads of the process.
#[cold]
fn stop_owners() {
    // A child of the process may have to announce itself again.
    if barrier() || announce() && barrier() {
        return;
    }
    // A sandbox that the process has entered meanwhile refuses what could be done before. No store waits in a
    // processor for as long as this.
    let _uncancelled = Uncancelled::new();
    std::thread::sleep(std::time::Duration::from_millis(20));
}

#[cfg(target_os = "linux")]
fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: the call has numbers for arguments and touches no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

#[cfg(target_os = "linux")]
fn announce() -> bool {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

#[cfg(target_os = "linux")]
fn barrier() -> bool {
    membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
}

#[cfg(not(target_os = "linux"))]
fn announce() -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn barrier() -> bool {
    false
}
