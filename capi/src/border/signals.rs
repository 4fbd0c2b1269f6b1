//! Signals that the system sends for a write that fails. Unless they are ignored, they end the process, and an error is
//! what the caller wants.

use std::mem::MaybeUninit;
use std::ptr::null_mut;

/// Keeps signals of failing writes from this thread until it is dropped: `SIGPIPE` of a pipe or socket that nobody
/// reads, and `SIGXFSZ` of a file that is as long as it may be. Such signals go to the thread that writes.
pub(crate) struct NoWriteSignals {
    before: libc::sigset_t,
    /// Those that were waiting already and are not to be taken away.
    waiting: libc::sigset_t,
}

const SIGNALS: [i32; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

fn set_of(signals: impl Iterator<Item = i32>) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: `sigemptyset` fills the set, and the numbers are those of signals.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        signals.for_each(|signal| {
            libc::sigaddset(set.as_mut_ptr(), signal);
        });
        set.assume_init()
    }
}

fn waiting() -> libc::sigset_t {
    let mut set = set_of(std::iter::empty());
    // SAFETY: the place of the set is writable.
    unsafe { libc::sigpending(&mut set) };
    set
}

fn holds(set: &libc::sigset_t, signal: i32) -> bool {
    // SAFETY: the set is one, and the number is that of a signal.
    unsafe { libc::sigismember(set, signal) == 1 }
}

impl NoWriteSignals {
    pub(crate) fn new() -> NoWriteSignals {
        let waiting = waiting();
        let mut before = set_of(std::iter::empty());
        // SAFETY: both places are those of sets.
        unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &set_of(SIGNALS.into_iter()), &mut before) };
        NoWriteSignals { before, waiting }
    }
}

impl Drop for NoWriteSignals {
    fn drop(&mut self) {
        let now = waiting();
        let new = SIGNALS
            .into_iter()
            .filter(|signal| holds(&now, *signal) && !holds(&self.waiting, *signal));
        for signal in new {
            let none = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the set is one; nobody wants to know more of the signal; the time is there.
            unsafe { libc::sigtimedwait(&set_of(std::iter::once(signal)), null_mut(), &none) };
        }
        // SAFETY: the set is what this thread had before.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, null_mut()) };
    }
}
