//! Several processes on one simulated disk: each can be killed in the middle of any call, an error of a sync can die with
//! the one who saw it, and the power can fail. Whatever happens, nobody who lives sees a change in what it holds, no right
//! stays taken, and what was acknowledged is found.
//!
//! Actions come one after the other, except that a sync of one process can have commits and kills of others in it. The
//! store is the toy without trees.

mod crashes;
mod machine;
mod toy;

use crashes::setting;
use machine::world::{run, Counts};

/// Actions of one database.
const ACTIONS: u64 = 400;

#[test]
fn processes_that_are_killed_harm_nobody() {
    let (first, runs) = (setting("KV_SEED").unwrap_or(1), setting("KV_SEVERAL").unwrap_or(100));
    let mut sum = Counts::default();
    for seed in first..first + runs {
        let (counts, done) = run(seed, ACTIONS);
        if let Err(what) = done {
            panic!("KV_SEED={seed}: {what}; {counts:?}");
        }
        let Counts {
            commits,
            killed,
            inside,
            cuts,
            poisoned,
            unseen,
        } = counts;
        sum.commits += commits;
        sum.killed += killed;
        sum.inside += inside;
        sum.cuts += cuts;
        sum.poisoned += poisoned;
        sum.unseen += unseen;
    }
    println!(
        "several: {} passed, 0 failed ({runs} databases, {} commits, {} processes killed, {} commits inside of syncs, {} power cuts, {} poisonings, {} failed syncs that died with the one who saw them)",
        runs * ACTIONS,
        sum.commits,
        sum.killed,
        sum.inside,
        sum.cuts,
        sum.poisoned,
        sum.unseen
    );
    assert!(sum.killed > runs * 5 && sum.cuts > runs && sum.inside > runs, "{sum:?}");
}
