//! Steps of a transaction that can be undone, in a nested one or behind a savepoint.

use super::{any, Model, Stop};
use kv::file::sim::Random;
use kv::{Error, WriteTxn};

/// Does some steps, and keeps or undoes them. If one fails, what they did is undone and the transaction goes on: to
/// undo needs neither the disk nor memory.
pub fn step(txn: &mut WriteTxn, model: &mut Model, random: &mut Random) -> Result<(), Stop> {
    let nests = random.one_in(2);
    let begun = match nests {
        true => txn.begin_nested(),
        false => txn.savepoint_create(),
    };
    let begun = match begun {
        // A value that was begun was neither finished nor given up.
        Err(Error::Invalid(_)) => return Ok(()),
        begun => begun?,
    };
    let before = model.clone();
    let mut failed = None;
    for _ in 0..1 + random.below(4) {
        let what = any(random);
        match super::step(txn, model, random, what) {
            Ok(()) => {}
            Err(Stop::Error(error)) => {
                failed = Some((what, error));
                break;
            }
            wrong => return wrong,
        }
    }
    let keeps = failed.is_none() && random.one_in(2);
    let ended = match nests {
        true => txn.end_nested(begun, keeps),
        false if keeps => txn.savepoint_release(begun),
        false => txn.savepoint_rollback(begun),
    };
    if !keeps {
        *model = before;
    }
    let ended = ended.and_then(|()| txn.check_usable());
    match (ended, failed) {
        (Err(error), None) => Err(Stop::Error(error)),
        (Ok(()), _) => Ok(()),
        // A savepoint stays when it was gone back to, which needs memory.
        (Err(Error::NoMemory(_)), Some((_, Error::NoMemory(_)))) => Err(Stop::Error(Error::NoMemory("again"))),
        (Err(error), Some((what, failed))) => {
            Err(Stop::Wrong(format!("{what:?} failed ({failed}), undoing it: {error}")))
        }
    }
}
