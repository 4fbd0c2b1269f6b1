//! Ctrl-C during long work: the work ends at its next step and cleans up. A second one ends the process at once.

use crate::exit::{Exit, Failure, Outcome};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

static WAS_INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on, signals that end the process are noted and left to [`was_interrupted`].
pub fn watch() {
    WAS_INTERRUPTED.get_or_init(|| {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            // If the system refuses a handler, the signal does what it always did. The second signal comes first in the
            // order of handlers, so that it finds the flag of the first.
            let _ = signal_hook::flag::register_conditional_shutdown(signal, Exit::Interrupted as i32, flag.clone());
            let _ = signal_hook::flag::register(signal, flag.clone());
        }
        flag
    });
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
