//! Earlier states of a random database, found by their commits and by their times, and what they keep.

use super::history::Automatic;
use super::{compare, snapshot_name, Model};
use kv::file::sim::Random;
use kv::{CommitId, Db, Error, ReadAt, Reader, Wait};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A state that is kept.
struct Kept {
    name: Vec<u8>,
    time: u64,
    state: Arc<Model>,
}

/// Returns the states that snapshots keep, by their commits.
fn kept(db: &Db, model: &Model) -> kv::Result<BTreeMap<CommitId, Kept>> {
    let newest = db.begin_read()?;
    let named = model.snapshots.iter();
    let named = named.map(|(name, state)| (snapshot_name(*name), state.clone()));
    let automatic = model.automatic.iter();
    let automatic = automatic.map(|automatic: &Automatic| (automatic.name(), automatic.state.clone()));
    let mut kept = BTreeMap::new();
    for (name, state) in named.chain(automatic) {
        let info = (&mut &newest).snapshot(&name)?;
        let time = info.time;
        kept.insert(info.commit, Kept { name, time, state });
    }
    Ok(kept)
}

/// Whether one of the snapshots, and what is right before it, is found by its commit and by its time.
pub fn compare_earlier(db: &Db, model: &Model, random: &mut Random) -> Result<(), String> {
    let kept = kept(db, model).map_err(|e| format!("the list: {e}"))?;
    let at = random.below(kept.len().max(1) as u64) as usize;
    let Some((commit, snapshot)) = kept.iter().nth(at) else {
        return Ok(());
    };
    let newest = db.begin_read().map_err(|e| e.to_string())?.id();
    let find = |at: ReadAt<'_>| match db.begin_read_at(at) {
        Ok(txn) => Ok(Some(txn)),
        Err(Error::NotFound) => Ok(None),
        Err(error) => Err(format!("{at:?}: {error}")),
    };
    for id in [commit.get(), commit.get() - 1].map(CommitId::new) {
        let (found, at) = (find(ReadAt::Commit(id))?, kept.range(..=id).next_back());
        let expected = if newest <= id {
            Some(newest)
        } else {
            at.map(|(commit, _)| *commit)
        };
        if found.as_ref().map(|txn| txn.id()) != expected {
            return Err(format!("commit {id}: {found:?}, not {expected:?}"));
        }
        if let (Some(txn), Some((_, kept))) = (&found, at.filter(|(commit, _)| Some(**commit) == expected)) {
            compare(txn, &kept.state).map_err(|what| format!("as of commit {id}: {what}"))?;
        }
    }
    for time in [snapshot.time, snapshot.time - 1] {
        let found = find(ReadAt::Time(time))?.map(|txn| txn.id());
        let no_later = kept.iter().filter(|(_, kept)| kept.time <= time);
        let expected = no_later.map(|(commit, _)| *commit).next_back();
        // Of the newest commit, the time is known if there is a snapshot of it.
        let may_be_newest = !kept.contains_key(&newest) && found == Some(newest);
        if found != expected && !may_be_newest {
            return Err(format!("time {time}: commit {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// Returns what all snapshots keep. What some of them keep is a part of that, and each page is kept once.
pub fn cost(db: &Db, model: &Model, random: &mut Random) -> Result<u64, String> {
    let kept = kept(db, model).map_err(|e| format!("the list: {e}"))?;
    let names: Vec<&Vec<u8>> = kept.values().map(|kept| &kept.name).collect();
    let [first, .., last] = names[..] else {
        return match names.first() {
            None => Ok(0),
            Some(one) => db.snapshot_cost(one, one).map_err(|e| format!("cost: {e}")),
        };
    };
    let cost = |from: &[u8], to: &[u8]| db.snapshot_cost(from, to).map_err(|e| format!("cost: {e}"));
    let at = 1 + random.below(names.len() as u64 - 1) as usize;
    let (all, older, newer) = (cost(first, last)?, cost(names[at - 1], first)?, cost(names[at], last)?);
    let costs = db.snapshot_costs(Wait::Try).map_err(|e| format!("costs: {e}"))?;
    let alone = |name: &Vec<u8>| costs.iter().find(|(other, _)| other == name).map(|(_, pages)| *pages);
    let alone: Option<u64> = names.iter().map(|name| alone(name)).sum();
    match alone {
        Some(alone) if alone <= all && older + newer <= all => Ok(all),
        _ => Err(format!("{alone:?} pages alone, {older} and {newer} of {all}")),
    }
}
