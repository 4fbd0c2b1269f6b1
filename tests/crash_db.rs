//! Power cuts and kills of the whole engine on a simulated disk; each run goes on from the crashed image.
//!
//! Trees, tables, the catalogue, long values and keys, full and lazy commits, commits during syncs, aborts, held
//! readers, range deletes, transactions larger than their budget; snapshots, found by name, commit and time, and what
//! they keep; policies under a clock that is set back now and then, thinning, going back, differences, compaction that
//! cuts. After each crash: the commit found is one that was tried, whole, and not older than the last one acknowledged
//! as durable. `crash.rs` does it to the pager alone, faster.

mod crashes;
mod engine;
mod engine_run;

use crashes::{in_processes, setting};
use engine_run::run;

/// Crashes when nothing else is asked for.
const POINTS: u64 = 200_000;

#[test]
fn the_whole_engine_loses_nothing_and_mixes_nothing() {
    // A fifth of the crashes asked for; `crash.rs` gets the others.
    let points = setting("KV_CRASH_POINTS").map_or(POINTS, |n| n / 5);
    let name = "the_whole_engine_loses_nothing_and_mixes_nothing";
    let Some(counts) = in_processes(name, "whole engine", points, run) else {
        return;
    };
    assert!(
        counts.nested > points / 10 && counts.deep > points / 100,
        "recovery was hardly ever crashed"
    );
    assert!(counts.discarded > points / 100, "the crashes tore hardly anything");
    assert!(counts.other > points / 10, "hardly ever was a commit under way");
    let (automatic, named) = (counts.automatic, counts.snapshots - counts.automatic);
    assert!(
        automatic > points / 10 && named > points / 20,
        "hardly any snapshots: {automatic} of policies, {named} others"
    );
}
