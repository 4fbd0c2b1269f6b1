//! The history of a random database: the policy and the snapshots that commits record by it, thinning, and going back.

use super::{bytes, compare, name, snapshot_name, Content, Model, Stop, Value, SNAPSHOTS};
use kv::file::sim::Random;
use kv::util::date::{timestamp, DAY, HOUR, SECOND};
use kv::{same, Db, Difference, Error, Range, ReadAt, ReadTxn, Reader, Retention, TableId, WriteTxn};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A snapshot that a commit has recorded by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Automatic {
    /// Its time, in seconds.
    pub time: u64,
    /// Whether it is not to be dropped.
    pub keep: bool,
    /// What it must show.
    pub state: Arc<Model>,
}

impl Automatic {
    pub fn name(&self) -> Vec<u8> {
        format!("auto/{}", timestamp(self.time * SECOND)).into_bytes()
    }
}

/// Which of these times stay, by the definition: of each kind of part of time, the last ones that have a snapshot, and
/// of each of these the newest.
fn stay(times: &BTreeSet<u64>, retention: &Retention) -> BTreeSet<u64> {
    let rules = [(retention.last, 1), (retention.hourly, HOUR), (retention.daily, DAY)];
    let mut all = BTreeSet::new();
    for (count, seconds) in rules {
        let newest: BTreeMap<u64, u64> = times.iter().map(|time| (time / seconds, *time)).collect();
        all.extend(newest.into_values().rev().take(count as usize));
    }
    all
}

/// A retention that keeps something.
fn any_retention(random: &mut Random) -> Retention {
    let mut count = |most| random.below(most) as u32;
    Retention {
        interval: 1 + count(90),
        last: 1 + count(3),
        hourly: count(4),
        daily: count(3),
        ..Retention::default()
    }
}

impl Model {
    /// Drops the automatic snapshots that do not stay, and returns how many.
    fn thin(&mut self, retention: &Retention) -> u64 {
        let times = self.automatic.iter().map(|snapshot| snapshot.time).collect();
        let (stay, before) = (stay(&times, retention), self.automatic.len());
        self.automatic
            .retain(|snapshot| snapshot.keep || stay.contains(&snapshot.time));
        (before - self.automatic.len()) as u64
    }

    /// Does what the policy has a commit of this time do. This comes right before the commit.
    pub fn follow_policy(&mut self, now: u64) {
        let Some(policy) = self.policy else { return };
        // The newest is that of the highest commit, whatever the clock said.
        let newest = self.automatic.last();
        let is_early = newest.is_some_and(|newest| now.abs_diff(newest.time) < policy.interval.into());
        if is_early || self.automatic.iter().any(|snapshot| snapshot.time == now) {
            return;
        }
        self.automatic.push(Automatic {
            time: now,
            keep: false,
            state: Arc::new(self.state()),
        });
        if self.automatic.iter().all(|snapshot| snapshot.time <= now) {
            self.thin(&policy);
        }
    }
}

/// Does something to the history, in the transaction and in the model.
pub fn change_history(txn: &mut WriteTxn, model: &mut Model, random: &mut Random) -> Result<(), Stop> {
    let picked = random.below(model.automatic.len().max(1) as u64) as usize;
    let automatic = model.automatic.get(picked).cloned();
    match (random.below(10), automatic) {
        (0..=2, _) | (4.., None) => {
            let policy = any_retention(random);
            txn.set_history(Some(&policy))?;
            model.policy = Some(policy);
        }
        (3, _) => {
            txn.set_history(None)?;
            model.policy = None;
        }
        (4 | 5, _) => {
            let retention = any_retention(random);
            let (dropped, expected) = (txn.snapshot_thin(b"auto/", &retention)?, model.thin(&retention));
            if dropped != expected {
                return Err(Stop::Wrong(format!(
                    "{dropped} snapshots were thinned out, not {expected}"
                )));
            }
        }
        (_, Some(snapshot)) if snapshot.keep => {
            if !matches!(txn.snapshot_drop(&snapshot.name()), Err(Error::Invalid(_))) {
                return Err(Stop::Wrong("a snapshot that is to be kept was dropped".into()));
            }
            txn.snapshot_keep(&snapshot.name(), false)?;
            model.automatic[picked].keep = false;
        }
        (6 | 7, Some(snapshot)) => {
            txn.snapshot_keep(&snapshot.name(), true)?;
            model.automatic[picked].keep = true;
        }
        (8, Some(snapshot)) => {
            txn.snapshot_drop(&snapshot.name())?;
            model.automatic.remove(picked);
        }
        (_, Some(snapshot)) => {
            let to = random.below(SNAPSHOTS) as u8;
            txn.snapshot_rename(&snapshot.name(), &snapshot_name(to))?;
            model.automatic.remove(picked);
            model.new_snapshots.remove(&to);
            model.snapshots.insert(to, snapshot.state);
        }
    }
    Ok(())
}

/// Goes back to what a reader sees, as a whole or with one table.
pub fn revert(
    txn: &mut WriteTxn,
    model: &mut Model,
    random: &mut Random,
    (reader, state): (&ReadTxn, &Model),
) -> Result<(), Stop> {
    match random.below(4) {
        0 => {
            txn.revert(reader, None)?;
            (model.main, model.named) = (state.main.clone(), state.named.clone());
        }
        1 => {
            txn.revert(reader, Some(TableId::MAIN))?;
            model.main = state.main.clone();
        }
        which => {
            // A table that the state has, or one that there is now; it is known by its number.
            let (mut seen, numbered) = (reader, if which == 2 { &state.named } else { &model.named });
            let at = random.below(numbered.len().max(1) as u64) as usize;
            let Some(table) = numbered.keys().nth(at).copied() else {
                return Ok(());
            };
            let number = match which {
                2 => seen.table(&name(table))?,
                _ => txn.table(&name(table))?,
            };
            let then = name_of(&mut seen, &state.named, number)?;
            let now = name_of(txn, &model.named, number)?;
            let is_taken = then.is_some_and(|then| now != Some(then) && model.named.contains_key(&then));
            match txn.revert(reader, Some(number)) {
                Err(Error::Exists(_)) if is_taken => return Ok(()),
                Ok(_) if is_taken => return Err(Stop::Wrong("two tables have one name".into())),
                answer => answer.map(|_| ())?,
            }
            now.map(|now| model.named.remove(&now));
            then.map(|then| model.named.insert(then, state.named[&then].clone()));
        }
    }
    Ok(())
}

/// Returns the name that the table with a number has in a state.
fn name_of<R: Reader>(reader: &mut R, named: &BTreeMap<u8, Content>, number: TableId) -> kv::Result<Option<u8>> {
    for table in named.keys() {
        if reader.table(&name(*table))? == number {
            return Ok(Some(*table));
        }
    }
    Ok(None)
}

/// Returns the entries of the table with a number, which are none if a state does not have it.
fn content_of<R: Reader>(reader: &mut R, model: &Model, number: TableId) -> kv::Result<Content> {
    if number == TableId::MAIN {
        return Ok(model.main.clone());
    }
    let table = name_of(reader, &model.named, number)?;
    Ok(table.map_or_else(Content::new, |table| model.named[&table].clone()))
}

/// Returns the number of a random table, the main one too.
fn any_table<R: Reader>(reader: &mut R, model: &Model, random: &mut Random) -> kv::Result<TableId> {
    match model.pick(random) {
        None => Ok(TableId::MAIN),
        Some(table) => reader.table(&name(table)),
    }
}

/// Whether the library tells the differences of a table between a snapshot and the newest state that there are.
pub fn compare_difference(db: &Db, model: &Model, random: &mut Random) -> Result<(), String> {
    let Some((snapshot, state)) = model.pick_snapshot(random) else {
        return Ok(());
    };
    let fault = |e: kv::Error| format!("the difference from snapshot {snapshot}: {e}");
    let before = db
        .begin_read_at(ReadAt::Snapshot(&snapshot_name(snapshot)))
        .map_err(fault)?;
    let after = db.begin_read().map_err(fault)?;
    let (before, after) = (&mut &before, &mut &after);
    let table = match random.one_in(2) {
        true => any_table(before, &state, random).map_err(fault)?,
        false => any_table(after, model, random).map_err(fault)?,
    };
    let counts = Difference::count(before, after, table, &Range::default()).map_err(fault)?;
    let was = &content_of(before, &state, table).map_err(fault)?;
    let is = &content_of(after, model, table).map_err(fault)?;
    let lacks = |a: &Content, b: &Content| a.keys().filter(|key| !b.contains_key(key)).count() as u64;
    let differs = |(key, value): &(&u32, &Value)| is.get(key).is_some_and(|other| bytes(*other) != bytes(**value));
    let expected = [
        lacks(is, was),
        lacks(was, is),
        was.iter().filter(differs).count() as u64,
    ];
    if [counts.added, counts.removed, counts.changed] != expected {
        return Err(format!(
            "{table} from snapshot {snapshot} on: {counts:?}, not {expected:?}"
        ));
    }
    // Equal roots mean equal entries; the reverse need not be so.
    match same(before, after, Some(table)).map_err(fault)? && expected != [0; 3] {
        true => Err(format!("snapshot {snapshot} is said to be the same")),
        false => Ok(()),
    }
}

/// Whether the database has the policy and the automatic snapshots that the model has, and each shows what it must.
pub fn compare_history(db: &Db, model: &Model) -> Result<(), String> {
    let newest = db.begin_read().map_err(|e| e.to_string())?;
    let policy = (&mut &newest).history().map_err(|e| format!("the policy: {e}"))?;
    if policy != model.policy {
        return Err(format!("the policy is {policy:?}, not {:?}", model.policy));
    }
    for Automatic { time, keep, state } in &model.automatic {
        let (time, keep) = (*time, *keep);
        let snapshot = Automatic {
            time,
            keep,
            state: state.clone(),
        };
        let found = |e: kv::Error| format!("the snapshot of second {time}: {e}");
        let info = (&mut &newest).snapshot(&snapshot.name()).map_err(found)?;
        if !info.automatic || info.keep != keep || info.time != time * SECOND {
            return Err(format!("the snapshot of second {time} is {info:?}"));
        }
        let txn = db.begin_read_at(ReadAt::Snapshot(&snapshot.name())).map_err(found)?;
        compare(&txn, state).map_err(|what| format!("the snapshot of second {time}: {what}"))?;
    }
    Ok(())
}
