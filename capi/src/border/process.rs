//! What concerns the whole process: fork and panics.
//!
//! Nothing here runs before the first `kv_open`: no constructor, no thread, no signal handler.

use std::cell::{Cell, RefCell};
use std::sync::Once;

static PREPARE: Once = Once::new();

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static CALLBACKS: Cell<u32> = const { Cell::new(0) };
}

/// Prepares the process for panics and forks. Every `kv_open` calls it, and the first call does the work. `after_fork` runs in
/// children and touches atomics only, as a child of a process with threads must.
pub(crate) fn prepare(after_fork: extern "C" fn()) {
    PREPARE.call_once(|| {
        // The standard library is private to libkv, and so is its panic hook: the host's own is not touched. The
        // message belongs into kv_error_message(), not onto the host's stderr.
        std::panic::set_hook(Box::new(|info| {
            let text = info.to_string();
            let _ = PANIC.try_with(|panic| {
                if let Ok(mut panic) = panic.try_borrow_mut() {
                    *panic = text;
                }
            });
        }));
        // SAFETY: a plain function, made for this.
        unsafe { libc::pthread_atfork(None, None, Some(after_fork)) };
    });
}

/// Takes the message of the panic just caught on this thread.
pub(crate) fn take_panic() -> String {
    PANIC
        .try_with(|panic| {
            panic
                .try_borrow_mut()
                .map(|mut p| std::mem::take(&mut *p))
                .unwrap_or_default()
        })
        .unwrap_or_default()
}

/// Runs a callback of the caller. Functions that it calls can learn from [`in_callback`] that they are inside one.
pub(crate) fn call_back<T>(callback: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            CALLBACKS.set(CALLBACKS.get() - 1);
        }
    }
    CALLBACKS.set(CALLBACKS.get() + 1);
    let _leave = Leave;
    callback()
}

/// Tells whether this thread is inside a callback of the caller.
pub(crate) fn in_callback() -> bool {
    CALLBACKS.get() != 0
}
