//! What concerns the whole process: fork, panics, cancelled threads, callbacks of the caller.
//!
//! Nothing here runs before the first `kv_open`: no constructor, no thread, no signal handler. What is kept for each
//! thread needs neither memory nor a destructor.

use crate::border::status::{Failure, Outcome};
use crate::border::text::Text;
use kv_engine::Error;
use std::cell::{Cell, RefCell};
#[cfg(target_os = "linux")]
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

/// Bytes of room for what a panic says.
const PANIC_TEXT: usize = 300;
/// How many callbacks that run inside each other are told apart.
const NESTED: usize = 16;

thread_local! {
    static PANIC: RefCell<Text<PANIC_TEXT>> = const { RefCell::new(Text::new()) };
    static CALLBACKS: Callbacks = const {
        Callbacks {
            depth: Cell::new(0),
            in_use: [const { Cell::new(0) }; NESTED],
        }
    };
}

/// Prepares the process for panics and forks. Every `kv_open` calls it. `after_fork` runs in children and touches
/// atomics only, as a child of a process with threads must; it may run several times.
///
/// Nobody waits here for another thread: a child may have been made while one of its parent's threads was at work
/// here, and that thread is not in the child.
pub(crate) fn prepare(after_fork: extern "C" fn()) -> Outcome {
    static HANDLED: AtomicBool = AtomicBool::new(false);
    static HOOKED: AtomicBool = AtomicBool::new(false);
    if !HANDLED.load(Acquire) {
        // Two threads may do this at once. The handler then runs twice in each child, which does no harm.
        // SAFETY: a plain function, made for this.
        if unsafe { libc::pthread_atfork(None, None, Some(after_fork)) } != 0 {
            // Without the handler a child could use its parent's handles.
            return Err(Failure::Engine(Error::NoMemory("a handler for fork()")));
        }
        HANDLED.store(true, Release);
    }
    // The standard library is private to libkv, and so is its panic hook: the host's own is not touched. The message
    // belongs into kv_error_message(), not onto the host's stderr. Whoever comes while another thread sets the hook
    // goes on without it, since setting it takes a lock; until it is there, a panic would be caught, but not
    // described.
    if !HOOKED.swap(true, AcqRel) {
        std::panic::set_hook(Box::new(|info| {
            let _ = PANIC.try_with(|panic| {
                if let Ok(mut panic) = panic.try_borrow_mut() {
                    panic.set(info);
                }
            });
        }));
    }
    Ok(())
}

/// Takes the message of the panic just caught on this thread.
pub(crate) fn take_panic() -> String {
    let taken = PANIC.try_with(|panic| {
        let mut panic = panic.try_borrow_mut().ok()?;
        let text = panic.as_str().to_owned();
        panic.clear();
        Some(text)
    });
    taken.ok().flatten().unwrap_or_default()
}

// ---- callbacks

/// The callbacks that this thread is in, and what the calls that made them have in use.
struct Callbacks {
    depth: Cell<usize>,
    /// The bits of the token of a transaction, 0 for none, by depth.
    in_use: [Cell<usize>; NESTED],
}

/// Runs a callback of the caller. `in_use` are the bits of the token of the transaction that the call reads, 0 if it
/// reads none. Functions that the callback calls can learn of it from [`in_callback`] and [`in_use_below`].
///
/// The end of the callback is noted in a destructor, but a `longjmp` out of it runs none. The thread then counts as
/// being inside a callback from then on, and what was in use stays in use.
pub(crate) fn call_back<T>(in_use: usize, callback: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            CALLBACKS.with(|callbacks| callbacks.depth.set(callbacks.depth.get() - 1));
        }
    }
    CALLBACKS.with(|callbacks| {
        let depth = callbacks.depth.get();
        if let Some(slot) = callbacks.in_use.get(depth) {
            slot.set(in_use);
        }
        callbacks.depth.set(depth + 1);
    });
    let _leave = Leave;
    callback()
}

/// Tells whether this thread is inside a callback of the caller.
pub(crate) fn in_callback() -> bool {
    CALLBACKS.with(|callbacks| callbacks.depth.get()) != 0
}

/// Tells whether this thread is inside a callback of a call that reads the transaction with this token. Waiting for
/// that call would be waiting for itself. Where callbacks are nested too deep to tell, everything counts as in use.
pub(crate) fn in_use_below(token: usize) -> bool {
    CALLBACKS.with(|callbacks| {
        let depth = callbacks.depth.get();
        depth > NESTED
            || callbacks.in_use[..depth]
                .iter()
                .any(|in_use| token != 0 && in_use.get() == token)
    })
}
