//! Tests of the tests: an engine with a bug put in on purpose is caught, each time, by the search that guards against
//! it. Needs `--features seeded-bugs`; `src/util/seeded.rs` lists the bugs.
//!
//! One bug at a time is on for the whole process, hence one test that goes through them.

mod crashes;
mod toy;

use kv::util::seeded::{set, Bug};

/// Crashes within which a bug must be found.
const BOUND: u64 = 300_000;
/// Crashes one database goes through.
const ROUNDS: u64 = 250;

/// Crashes until the search of `crash.rs` fails, and what it says.
fn search() -> Option<(u64, String)> {
    let mut points = 0;
    for seed in 1.. {
        if points >= BOUND {
            break;
        }
        let found = std::panic::catch_unwind(|| toy::run::run(seed, ROUNDS, false));
        match found {
            Ok((run, Ok(()))) => points += run.counts.points,
            Ok((run, Err(what))) => return Some((points + run.counts.points, what)),
            Err(_) => return Some((points, "it panicked".into())),
        }
    }
    None
}

#[test]
fn every_bug_is_caught() {
    assert_eq!(
        toy::run::run(1, ROUNDS, false).1,
        Ok(()),
        "without a bug nothing is found"
    );
    // A search that panics under a bug has found it; its message would only confuse.
    std::panic::set_hook(Box::new(|_| {}));
    let mut missed = Vec::new();
    let bugs = [
        Bug::SkipSync,
        Bug::AcceptUnverified,
        Bug::ListOwnOnly,
        Bug::ReuseEarly,
        Bug::ReuseHeld,
        Bug::ReuseUndurable,
        Bug::SlotOfSyncing,
        Bug::SlotOfTip,
        Bug::SlotOfDurable,
        Bug::RecoverUnsynced,
        Bug::KeepRejected,
        Bug::ReuseIds,
        Bug::ShowUndurable,
    ];
    for bug in bugs {
        set(Some(bug));
        match search() {
            Some((points, what)) => println!("{bug:?}: after {points} crashes: {what}"),
            None => missed.push(bug),
        }
        set(None);
    }
    let _ = std::panic::take_hook();
    println!(
        "seeded-bugs: {} passed, {} failed",
        bugs.len() - missed.len(),
        missed.len()
    );
    assert!(missed.is_empty(), "not caught: {missed:?}");
}
