//! Measuring work, and the sum over all entries by which engines are compared.

use crate::clock::{timed, worked};
use crate::driver::{Read, Session, Store};
use crate::outcome::{Outcome, Sum};
use crate::way::Way;

/// Measures work that makes so many operations.
pub fn measured(operations: usize, work: impl FnOnce() -> u64) -> Outcome {
    let (sum, spent) = timed(work);
    Outcome {
        spent,
        operations,
        sum,
        ..Outcome::default()
    }
}

/// Measures what writes: the CPU time is that of everything the engine does because of it, also afterwards.
pub fn written<S: Store>(store: &S, operations: usize, work: impl FnOnce() -> u64) -> Outcome {
    let mut done = measured(operations, work);
    let before = worked();
    store.finish_background_work();
    done.spent.cpu += worked() - before;
    done
}

/// Sum over all entries, not timed. Also brings a database into memory, and its checksums have been compared.
pub fn check<S: Store>(store: &S) -> u64 {
    let mut sum = Sum::default();
    store
        .session()
        .read(|read| read.scan(Way::FORWARD, &mut |key, value| sum.see(key, value)));
    sum.0
}
