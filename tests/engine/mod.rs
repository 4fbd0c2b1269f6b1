//! Random transactions on a whole database, and what it must hold after them: shared by the crash and the fault tests.
//!
//! The model keeps a number and a length for each value; the bytes follow from them.

#![allow(dead_code)]

use kv::file::sim::Random;
use kv::{Cursor, Db, PutMode, Range, ReadAt, ReadTxn, Reader, Retention, Seek, SnapshotOptions, TableId, WriteTxn};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;

pub mod earlier;
pub mod history;
pub mod nested;

use history::{compare_history, Automatic};

/// Set while the test takes memory for itself: `allocation.rs` looks at it.
pub static ASIDE: AtomicBool = AtomicBool::new(false);

/// A value: what its bytes follow from, and how many there are.
pub type Value = (u64, usize);
/// One table.
pub type Content = BTreeMap<u32, Value>;

/// What a commit holds: the main table, and named ones; and the snapshots that the database has with it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub main: Content,
    pub named: BTreeMap<u8, Content>,
    /// The snapshots, each with what it must show, which has none itself.
    pub snapshots: BTreeMap<u8, Arc<Model>>,
    /// Those of what is about to be committed.
    pub new_snapshots: BTreeSet<u8>,
    /// Those that commits have recorded by themselves, in the order of the commits.
    pub automatic: Vec<Automatic>,
    /// By which policy.
    pub policy: Option<Retention>,
    /// What was a snapshot and is a mark, each with what it was of.
    pub marks: BTreeMap<u8, Arc<Model>>,
}

/// Why a step ended: the engine answered an error, or something that is not so.
#[derive(Debug)]
pub enum Stop {
    Error(kv::Error),
    Wrong(String),
}

impl From<kv::Error> for Stop {
    fn from(error: kv::Error) -> Stop {
        Stop::Error(error)
    }
}

/// What is done in a transaction, one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Put,
    MiddlePut,
    LongPut,
    Reserve,
    Stream,
    StreamDropped,
    Delete,
    TakeFirst,
    CursorDelete,
    DeleteRange,
    Create,
    Drop,
    Clear,
    Rename,
    Note,
    Get,
    Count,
    Snapshot,
    RenameSnapshot,
    DropSnapshot,
    ReleaseSnapshot,
    /// Some of the others, which are committed into the transaction or undone.
    Nested,
    Bulk,
}

/// Every step but [`Step::MiddlePut`] and [`Step::Bulk`].
pub const STEPS: [Step; 21] = [
    Step::Put,
    Step::LongPut,
    Step::Reserve,
    Step::Stream,
    Step::StreamDropped,
    Step::Delete,
    Step::TakeFirst,
    Step::CursorDelete,
    Step::DeleteRange,
    Step::Create,
    Step::Drop,
    Step::Clear,
    Step::Rename,
    Step::Note,
    Step::Get,
    Step::Count,
    Step::Snapshot,
    Step::RenameSnapshot,
    Step::DropSnapshot,
    Step::ReleaseSnapshot,
    Step::Nested,
];

/// Keys are below this; those of bulk puts are above.
const KEYS: u64 = 90;
/// Names of tables.
const NAMES: u64 = 4;
/// Names of snapshots.
pub const SNAPSHOTS: u64 = 6;

/// The bytes of key `n`: ordered as the numbers are, every eleventh fills a leaf by itself or is too long for one.
pub fn key(n: u32) -> Vec<u8> {
    let mut key = n.to_be_bytes().to_vec();
    if n % 11 == 5 {
        key.resize(if n % 2 == 0 { 2600 } else { 4600 }, n as u8);
    }
    key
}

fn name(table: u8) -> Vec<u8> {
    format!("table {table}").into_bytes()
}

pub fn snapshot_name(snapshot: u8) -> Vec<u8> {
    format!("snapshot {snapshot}").into_bytes()
}

/// The bytes of a value.
pub fn bytes((number, len): Value) -> Vec<u8> {
    ASIDE.store(true, SeqCst);
    let mut out = vec![0; len.next_multiple_of(8)];
    ASIDE.store(false, SeqCst);
    for (i, word) in out.chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&number.wrapping_mul(2 * i as u64 + 1).to_le_bytes());
    }
    out.truncate(len);
    out
}

fn is_value((number, len): Value, found: &[u8]) -> bool {
    let words = found.chunks(8).enumerate();
    found.len() == len
        && words.fold(true, |same, (i, word)| {
            same & (word == &number.wrapping_mul(2 * i as u64 + 1).to_le_bytes()[..word.len()])
        })
}

fn short(random: &mut Random) -> Value {
    let len = match random.below(10) {
        0 => 200 + random.below(1500),
        _ => random.below(60),
    };
    (random.next_u64(), len as usize)
}

fn long(random: &mut Random) -> Value {
    (random.next_u64(), 3000 + random.below(14_000) as usize)
}

/// A random step: puts are the most frequent, what empties tables is rare.
pub fn any(random: &mut Random) -> Step {
    match random.below(42) {
        40.. => Step::Nested,
        0..=13 => Step::Put,
        14..=16 => Step::LongPut,
        17 => Step::Clear,
        18 => Step::Drop,
        n => STEPS[(n as usize - 17).min(18)],
    }
}

impl Model {
    fn content(&mut self, table: Option<u8>) -> &mut Content {
        match table {
            None => &mut self.main,
            Some(name) => self.named.get_mut(&name).expect("a table of the model"),
        }
    }

    /// Gives the snapshots of what is committed their content. This comes before the commit.
    pub fn take_snapshots(&mut self) {
        if self.new_snapshots.is_empty() {
            return;
        }
        let state = Arc::new(self.state());
        for name in std::mem::take(&mut self.new_snapshots) {
            self.snapshots.insert(name, state.clone());
        }
    }

    /// What a snapshot of this has: all but the snapshots.
    pub fn state(&self) -> Model {
        Model {
            main: self.main.clone(),
            named: self.named.clone(),
            ..Model::default()
        }
    }

    /// Returns one of the snapshots that were committed.
    pub fn pick_snapshot(&self, random: &mut Random) -> Option<(u8, Arc<Model>)> {
        let at = random.below(self.snapshots.len().max(1) as u64) as usize;
        self.snapshots
            .iter()
            .nth(at)
            .map(|(name, state)| (*name, state.clone()))
    }

    /// Returns the name of one of the snapshots, or of those that will be.
    fn pick_name(&self, random: &mut Random) -> Option<u8> {
        let all: Vec<u8> = self.snapshots.keys().chain(&self.new_snapshots).copied().collect();
        (!all.is_empty()).then(|| all[random.below(all.len() as u64) as usize])
    }

    fn pick(&self, random: &mut Random) -> Option<u8> {
        let at = random.below(2 + self.named.len() as u64) as usize;
        self.named.keys().nth(at).copied()
    }
}

/// Does one step to the transaction and, once that has answered, to the model.
pub fn step(txn: &mut WriteTxn, model: &mut Model, random: &mut Random, step: Step) -> Result<(), Stop> {
    let wrong = |what: &str| Err(Stop::Wrong(format!("{step:?}: {what}")));
    let of = model.pick(random);
    let table = match of {
        None => TableId::MAIN,
        Some(table) => txn.table(&name(table))?,
    };
    let n = random.below(KEYS) as u32;
    let key_of_n = key(n);
    match step {
        Step::Put | Step::MiddlePut | Step::LongPut => {
            let value = match step {
                Step::Put => short(random),
                Step::MiddlePut => (random.next_u64(), 500 + random.below(900) as usize),
                _ => long(random),
            };
            txn.put(table, &key_of_n, &bytes(value), PutMode::Set)?;
            model.content(of).insert(n, value);
        }
        Step::Reserve => {
            let value = if random.one_in(3) { long(random) } else { short(random) };
            txn.reserve(table, &key_of_n, value.1, PutMode::Set)?
                .copy_from_slice(&bytes(value));
            // Written by the next call at the latest.
            txn.contains(table, &key_of_n)?;
            model.content(of).insert(n, value);
        }
        Step::Stream | Step::StreamDropped => {
            let value = long(random);
            let mut writer = txn.writer(table, &key_of_n, 0, PutMode::Set)?;
            for part in bytes(value).chunks(5000) {
                writer.write(txn, part)?;
            }
            if step == Step::Stream {
                writer.finish(txn)?;
                model.content(of).insert(n, value);
            } else if random.one_in(2) {
                writer.cancel(txn);
            }
        }
        Step::Delete => {
            let there = txn.delete(table, &key_of_n)?;
            if there != model.content(of).remove(&n).is_some() {
                return wrong("whether the key was there");
            }
        }
        Step::TakeFirst => {
            let first = model.content(of).first_key_value().map(|(k, v)| (*k, *v));
            match (txn.take_first(table, &Range::default())?, first) {
                (None, None) => {}
                (Some((k, v)), Some((n, value))) if k == key(n) && is_value(value, v) => {
                    model.content(of).remove(&n);
                }
                _ => return wrong("the first entry"),
            }
        }
        Step::CursorDelete => {
            let mut cursor = Cursor::new(txn, table, &Range::default())?;
            let mut there = cursor.seek(txn, &key_of_n, Seek::Ge)?;
            for _ in 0..3 {
                let next = model.content(of).range(n..).next().map(|(k, _)| *k);
                match (there, next) {
                    (true, Some(n)) if cursor.key() == key(n) => {
                        cursor.delete(txn)?;
                        model.content(of).remove(&n);
                    }
                    (false, None) => break,
                    _ => return wrong("where the cursor stands"),
                }
                there = cursor.next(txn)?;
            }
        }
        Step::DeleteRange | Step::Count => {
            let to = n + random.below(30) as u32;
            let bound = key(to);
            let range = Range {
                from: Bound::Included(&key_of_n[..]),
                to: Bound::Excluded(&bound[..]),
                ..Range::default()
            };
            let keys: Vec<u32> = model.content(of).range(n..to).map(|(k, _)| *k).collect();
            let counted = match step {
                Step::Count => txn.count(table, &range)?,
                _ => {
                    let removed = txn.delete_range(table, &range)?;
                    keys.iter().for_each(|k| {
                        model.content(of).remove(k);
                    });
                    removed
                }
            };
            if counted != keys.len() as u64 {
                return wrong("how many entries there were");
            }
        }
        Step::Create => {
            let table = random.below(NAMES) as u8;
            txn.table_create(&name(table), false)?;
            model.named.entry(table).or_default();
        }
        Step::Clear => {
            txn.table_clear(table)?;
            model.content(of).clear();
        }
        Step::Drop => {
            if let Some(of) = of {
                txn.table_drop(table)?;
                model.named.remove(&of);
            }
        }
        Step::Rename => {
            if let Some(of) = of {
                let to = random.below(NAMES) as u8;
                txn.table_rename(table, &name(to))?;
                let content = model.named.remove(&of).unwrap_or_default();
                model.named.insert(to, content);
            }
        }
        Step::Note => {
            if of.is_some() {
                txn.table_set_note(table, b"a note")?;
            }
        }
        Step::Get => {
            let expected = model.content(of).get(&n).copied();
            match (txn.get(table, &key_of_n)?, expected) {
                (None, None) => {}
                (Some(found), Some(value)) if is_value(value, found) => {}
                _ => return wrong("the value"),
            }
        }
        Step::Snapshot => {
            let snapshot = random.below(SNAPSHOTS) as u8;
            let options = SnapshotOptions {
                replace: true,
                ..SnapshotOptions::default()
            };
            txn.snapshot_create(&snapshot_name(snapshot), &options)?;
            model.snapshots.remove(&snapshot);
            model.marks.remove(&snapshot);
            model.new_snapshots.insert(snapshot);
        }
        Step::RenameSnapshot => {
            if let Some(old) = model.pick_name(random) {
                let to = random.below(SNAPSHOTS) as u8;
                txn.snapshot_rename(&snapshot_name(old), &snapshot_name(to))?;
                let (state, is_new) = (model.snapshots.remove(&old), model.new_snapshots.remove(&old));
                model.snapshots.remove(&to);
                model.new_snapshots.remove(&to);
                if to != old {
                    model.marks.remove(&to);
                }
                if is_new {
                    model.new_snapshots.insert(to);
                }
                model.snapshots.extend(state.map(|state| (to, state)));
            }
        }
        Step::DropSnapshot => {
            if let Some(old) = model.pick_name(random) {
                txn.snapshot_drop(&snapshot_name(old))?;
                model.snapshots.remove(&old);
                model.new_snapshots.remove(&old);
            }
        }
        Step::ReleaseSnapshot => {
            if let Some((old, state)) = model.pick_snapshot(random) {
                txn.snapshot_release(&snapshot_name(old))?;
                model.snapshots.remove(&old);
                model.marks.insert(old, state);
            }
        }
        Step::Nested => return nested::step(txn, model, random),
        Step::Bulk => {
            for n in 1000..1000 + 4200 {
                let value = (random.next_u64(), 9);
                txn.put(TableId::MAIN, &key(n), &bytes(value), PutMode::Set)?;
                model.main.insert(n, value);
            }
            if random.one_in(2) {
                let from = key(1000);
                let range = Range {
                    from: Bound::Included(&from[..]),
                    ..Range::default()
                };
                txn.delete_range(TableId::MAIN, &range)?;
                model.main.retain(|n, _| *n < 1000);
            }
        }
    }
    Ok(())
}

/// Whether the snapshot holds exactly what the model says.
pub fn compare(txn: &ReadTxn, model: &Model) -> Result<(), String> {
    let id = txn.id();
    let fault = |e: kv::Error| format!("commit {id}: {e}");
    same(txn, TableId::MAIN, &model.main).map_err(|what| format!("commit {id}, main table: {what}"))?;
    let mut reader = txn;
    let names = reader.count(TableId::NAMES, &Range::default()).map_err(fault)?;
    if names != model.named.len() as u64 {
        return Err(format!("commit {id}: {names} tables, not {}", model.named.len()));
    }
    for (table, content) in &model.named {
        let number = reader.table(&name(*table)).map_err(fault)?;
        same(txn, number, content).map_err(|what| format!("commit {id}, table {table}: {what}"))?;
    }
    Ok(())
}

/// Whether a transaction sees the list of just the snapshots and marks that the model has.
pub fn compare_list(txn: &ReadTxn, model: &Model) -> Result<(), String> {
    let names = Range {
        from: Bound::Included(b"\x01"),
        ..Range::default()
    };
    let (mut reader, mut found) = (txn, Vec::new());
    let mut cursor = Cursor::new(&mut reader, TableId::SNAPSHOTS, &names).map_err(|e| e.to_string())?;
    while cursor.next(&mut reader).map_err(|e| format!("the list: {e}"))? {
        found.push(cursor.key().to_vec());
    }
    let automatic = model.automatic.iter().map(Automatic::name);
    let names: BTreeSet<&u8> = model.snapshots.keys().chain(model.marks.keys()).collect();
    let mut expected: Vec<Vec<u8>> = automatic
        .chain(names.into_iter().map(|name| snapshot_name(*name)))
        .collect();
    expected.sort();
    match found == expected {
        true => Ok(()),
        false => Err(format!("{} snapshots in the list, not {}", found.len(), expected.len())),
    }
}

/// Whether what lies outside of the ranges that have changed since a mark is what it was, in the main table.
fn compare_mark(txn: &ReadTxn, mark: u8, (was, is): (&Content, &Content)) -> Result<(), String> {
    let mut given: Vec<(Vec<u8>, Option<Vec<u8>>)> = Vec::new();
    let (mut reader, range) = (txn, Range::default());
    let told = reader.snapshot_ranges(&snapshot_name(mark), TableId::MAIN, &range, &mut |range| {
        given.push((range.low.to_vec(), range.high.map(<[u8]>::to_vec)));
        true
    });
    told.map_err(|e| format!("mark {mark}: {e}"))?;
    for n in was.keys().chain(is.keys()).filter(|n| was.get(n) != is.get(n)) {
        let key = key(*n);
        let is_given = given
            .iter()
            .any(|(low, high)| *low <= key && high.as_ref().is_none_or(|high| key < *high));
        if !is_given {
            return Err(format!("mark {mark}: key {n} has changed outside of the ranges"));
        }
    }
    Ok(())
}

/// Whether the database has just the snapshots that the model has, and each shows what it must. Marks cannot be read.
pub fn compare_snapshots(db: &Db, model: &Model) -> Result<(), String> {
    for (mark, was) in &model.marks {
        match db.begin_read_at(ReadAt::Snapshot(&snapshot_name(*mark))) {
            Err(kv::Error::Invalid(_)) => {}
            other => return Err(format!("mark {mark}: {other:?}")),
        }
        let txn = db.begin_read().map_err(|e| e.to_string())?;
        compare_mark(&txn, *mark, (&was.main, &model.main))?;
    }
    for (snapshot, state) in &model.snapshots {
        let txn = db.begin_read_at(ReadAt::Snapshot(&snapshot_name(*snapshot)));
        let txn = txn.map_err(|e| format!("snapshot {snapshot}: {e}"))?;
        compare(&txn, state).map_err(|what| format!("snapshot {snapshot}: {what}"))?;
    }
    compare_history(db, model)?;
    let txn = db.begin_read().map_err(|e| e.to_string())?;
    compare_list(&txn, model)
}

fn same(txn: &ReadTxn, table: TableId, content: &Content) -> Result<(), String> {
    let mut reader = txn;
    let mut cursor = Cursor::new(&mut reader, table, &Range::default()).map_err(|e| e.to_string())?;
    for (n, value) in content {
        if !cursor.next(&mut reader).map_err(|e| e.to_string())? || cursor.key() != key(*n) {
            return Err(format!("key {n} is not there"));
        }
        let found = cursor.value(&mut reader).map_err(|e| e.to_string())?;
        if !is_value(*value, found) {
            return Err(format!("key {n} has another value"));
        }
    }
    match cursor.next(&mut reader).map_err(|e| e.to_string())? {
        false => Ok(()),
        true => Err("there are entries too many".into()),
    }
}

/// Structure, checksums, and every page accounted for.
pub fn account(db: &Db) -> Result<(), String> {
    let mut first = None;
    let report = db.check(true, &mut |fault| {
        first.get_or_insert_with(|| format!("page {:?}, table {:?}: {}", fault.page, fault.table, fault.what));
        true
    });
    match (report, first) {
        (Ok(_), None) => Ok(()),
        (Ok(report), Some(fault)) => Err(format!("commit {}: {fault}", report.id)),
        (Err(error), _) => Err(format!("check: {error}")),
    }
}
