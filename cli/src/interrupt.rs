//! Ctrl-C during long work: the work ends at its next step and cleans up. A second one ends the process at once.

use crate::exit::{Exit, Failure, Outcome};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

static WAS_INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on, signals that end the process are noted and left to [`was_interrupted`].
pub fn watch() {
    WAS_INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // What nohup, or a shell for work in the background, has the process ignore stays ignored.
            if is_ignored(signal) {
                continue;
            }
            // If the system refuses a handler, the signal does what it always did. The second signal comes first in the
            // order of handlers, so that it finds the flag of the first.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, flag.clone());
            let _ = signal_hook::flag::register(signal, flag.clone());
        }
        flag
    });
}

/// Returns whether the process was begun with orders to ignore a signal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    // The lowest bit is that of signal 1.
    ignored.is_some_and(|signals| signals >> (signal - 1) & 1 == 1)
}

/// From now on, Ctrl-C is noted and ends the work, and never the process. A shell wants this.
pub fn outlive() {
    WAS_INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        // If the system refuses a handler, Ctrl-C ends the shell as it always did.
        let _ = signal_hook::flag::register(SIGINT, flag.clone());
        flag
    });
}

/// Forgets a Ctrl-C: the work that it ended has ended.
pub fn forget() {
    if let Some(flag) = WAS_INTERRUPTED.get() {
        flag.store(false, SeqCst);
    }
}

/// Returns whether the user wants the work to end.
pub fn was_interrupted() -> bool {
    WAS_INTERRUPTED.get().is_some_and(|flag| flag.load(SeqCst))
}

/// Ends work between two steps if the user wants that.
pub fn check() -> Outcome<()> {
    match was_interrupted() {
        true => Err(Failure::new(Exit::Interrupted, "interrupted")),
        false => Ok(()),
    }
}
