//! A workload that can prove what survived it. Each commit writes keys of one writer (a thread of a process), of the
//! whole database and of a second table, all saying the same commit; the reader proves that they agree, and that
//! everything acknowledged is there.
//!
//! | table | key | value |
//! |---|---|---|
//! | main | `G` | number of commits, global |
//! | main | `L` writer place | writer's number of commits, filler made of it: [`PLACES`] keys that change together |
//! | main | `H` writer number | filler made of writer and number: the last [`HISTORY`] commits of the writer |
//! | order | global | writer, writer's number: the last [`WINDOW`] commits |

use super::rng::{mix, Rng};
use kv::{CommitId, Cursor, Db, Durability, PutMode, Range, ReadTxn, Reader, TableId, Wait, WriteOptions, WriteTxn};
use std::collections::BTreeMap;

/// Keys of a writer that change in each of its commits.
pub const PLACES: u64 = 6;
/// Commits of a writer whose own key is kept.
pub const HISTORY: u64 = 60;
/// Commits whose order is kept.
pub const WINDOW: u64 = 400;

const ORDER: &[u8] = b"order";

/// What a commit was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    pub writer: u64,
    /// Number within the writer.
    pub number: u64,
    /// Number within the database.
    pub global: u64,
    /// Commit id of the database.
    pub id: CommitId,
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"))
}

fn two(a: u64, b: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&a.to_be_bytes());
    out[8..].copy_from_slice(&b.to_be_bytes());
    out
}

fn key(kind: u8, a: u64, b: u64) -> [u8; 17] {
    let mut out = [kind; 17];
    out[1..].copy_from_slice(&two(a, b));
    out
}

/// Bytes that only this commit of this writer writes here: short ones, and now and then a value of many pages.
fn filler(writer: u64, commit: u64, place: u64) -> Vec<u8> {
    let mut rng = Rng::new(mix(mix(writer) ^ mix(commit) ^ place));
    let len = if rng.one_in(24) {
        rng.range(5_000, 40_000)
    } else {
        rng.range(0, 250)
    };
    rng.bytes(len)
}

fn place(writer: u64, commit: u64, at: u64) -> Vec<u8> {
    let mut value = commit.to_be_bytes().to_vec();
    value.extend_from_slice(&filler(writer, commit, at));
    value
}

/// Writes the next commit of `writer` into `txn`; the caller commits.
pub fn write(txn: &mut WriteTxn, writer: u64) -> kv::Result<Done> {
    let order = txn.table_create(ORDER, false)?;
    let global = 1 + txn.get(TableId::MAIN, b"G")?.map_or(0, number);
    let commit = 1 + txn.get(TableId::MAIN, &key(b'L', writer, 0))?.map_or(0, number);
    txn.put(TableId::MAIN, b"G", &global.to_be_bytes(), PutMode::Set)?;
    for at in 0..PLACES {
        txn.put(
            TableId::MAIN,
            &key(b'L', writer, at),
            &place(writer, commit, at),
            PutMode::Set,
        )?;
    }
    txn.put(
        TableId::MAIN,
        &key(b'H', writer, commit),
        &filler(writer, commit, 99),
        PutMode::NoOverwrite,
    )?;
    if let Some(old) = commit.checked_sub(HISTORY).filter(|old| *old > 0) {
        txn.delete(TableId::MAIN, &key(b'H', writer, old))?;
    }
    txn.put(order, &global.to_be_bytes(), &two(writer, commit), PutMode::Append)?;
    if let Some(old) = global.checked_sub(WINDOW).filter(|old| *old > 0) {
        txn.delete(order, &old.to_be_bytes())?;
    }
    Ok(Done {
        writer,
        number: commit,
        global,
        id: CommitId::NONE,
    })
}

/// One commit of `writer`.
pub fn commit(db: &Db, writer: u64, durability: Durability, wait: Wait) -> kv::Result<Done> {
    let mut txn = db.begin_write(WriteOptions {
        durability: Some(durability),
        wait: Some(wait),
        ..WriteOptions::default()
    })?;
    let done = write(&mut txn, writer)?;
    let id = txn.commit()?;
    Ok(Done { id, ..done })
}

/// What a snapshot holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Found {
    /// Commits in all.
    pub global: u64,
    /// Writer -> its commits.
    pub writers: BTreeMap<u64, u64>,
    /// The newest of all: global -> (writer, number).
    pub order: BTreeMap<u64, (u64, u64)>,
}

/// Reads a snapshot and proves that it is one: every key belongs to the same commit. `Err` says what does not.
pub fn read(txn: &ReadTxn) -> Result<Found, String> {
    let fault = |e: kv::Error| e.to_string();
    let mut found = Found::default();
    let mut history: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    let mut places = 0;
    let reader = &mut &*txn;
    let mut cursor = Cursor::new(reader, TableId::MAIN, &Range::default()).map_err(fault)?;
    while cursor.next(reader).map_err(fault)? {
        let at = cursor.key().to_vec();
        let value = cursor.value(reader).map_err(fault)?;
        if at == b"G" {
            found.global = number(value);
            continue;
        }
        let (writer, n) = (number(&at[1..]), number(&at[9..]));
        match at[0] {
            b'L' => {
                let commit = *found.writers.entry(writer).or_insert_with(|| number(value));
                if value != place(writer, commit, n) {
                    return Err(format!("writer {writer}: place {n} is not of commit {commit}"));
                }
                places += 1;
            }
            b'H' => {
                if value != filler(writer, n, 99) {
                    return Err(format!("writer {writer}: wrong bytes of commit {n}"));
                }
                let entry = history.entry(writer).or_default();
                *entry = (entry.0 + 1, n);
            }
            _ => return Err(format!("unknown key {at:?}")),
        }
    }
    if places != found.writers.len() as u64 * PLACES {
        return Err(format!("{places} places of {} writers", found.writers.len()));
    }
    for (writer, commit) in &found.writers {
        let expected = (HISTORY.min(*commit), *commit);
        if history.get(writer) != Some(&expected) {
            return Err(format!(
                "writer {writer} at {commit}: history {:?}",
                history.get(writer)
            ));
        }
    }
    read_order(txn, &mut found)?;
    Ok(found)
}

fn read_order(txn: &ReadTxn, found: &mut Found) -> Result<(), String> {
    let fault = |e: kv::Error| e.to_string();
    if found.global == 0 {
        return Ok(());
    }
    let reader = &mut &*txn;
    let order = reader.table(ORDER).map_err(fault)?;
    let mut cursor = Cursor::new(reader, order, &Range::default()).map_err(fault)?;
    while cursor.next(reader).map_err(fault)? {
        let global = number(cursor.key());
        let value = cursor.value(reader).map_err(fault)?;
        found.order.insert(global, (number(value), number(&value[8..])));
    }
    let (n, last) = (found.order.len() as u64, found.order.keys().next_back().copied());
    if n != WINDOW.min(found.global) || last != Some(found.global) {
        return Err(format!("{n} commits in order up to {last:?} of {}", found.global));
    }
    let mut newest = BTreeMap::new();
    for (writer, commit) in found.order.values() {
        if newest
            .insert(*writer, *commit)
            .is_some_and(|before| before + 1 != *commit)
        {
            return Err(format!("writer {writer}: commit {commit} out of order"));
        }
    }
    match newest
        .iter()
        .find(|(writer, commit)| found.writers.get(writer) != Some(commit))
    {
        Some((writer, commit)) => Err(format!(
            "writer {writer}: {commit} in order, {:?} in place",
            found.writers.get(writer)
        )),
        None => Ok(()),
    }
}

/// The acknowledgements, kept outside of the file.
#[derive(Debug, Default)]
pub struct Acknowledged {
    /// Every commit at or below this number must be there.
    pub floor: u64,
    /// What commits were acknowledged: global -> (writer, number).
    pub commits: BTreeMap<u64, (u64, u64)>,
    /// How many in all.
    pub count: u64,
}

impl Acknowledged {
    /// As for a new file; only how many there were is kept.
    pub fn forgotten(self) -> Acknowledged {
        Acknowledged {
            count: self.count,
            ..Acknowledged::default()
        }
    }

    /// A commit was acknowledged; `safe`: it must survive what comes.
    pub fn add(&mut self, writer: u64, number: u64, global: u64, safe: bool) -> Result<(), String> {
        self.count += 1;
        if safe {
            self.floor = self.floor.max(global);
        }
        match self.commits.insert(global, (writer, number)) {
            Some(other) => Err(format!(
                "commit {global} was acknowledged twice: {other:?}, {:?}",
                (writer, number)
            )),
            None => Ok(()),
        }
    }

    /// Compares with what is found, and forgets what may be gone.
    pub fn compare(&mut self, found: &Found) -> Result<(), String> {
        if found.global < self.floor {
            return Err(format!(
                "commit {} was acknowledged, {} is the last found",
                self.floor, found.global
            ));
        }
        // What was not safe and is gone: its numbers will be given again.
        self.commits.split_off(&(found.global + 1));
        for (global, (writer, number)) in &self.commits {
            let there = found.writers.get(writer).is_some_and(|n| n >= number);
            let same = found.order.get(global).is_none_or(|o| o == &(*writer, *number));
            if !there || !same {
                return Err(format!(
                    "commit {global} of writer {writer} ({number}) is not there: found {:?}, {:?}",
                    found.writers.get(writer),
                    found.order.get(global)
                ));
            }
        }
        // Whatever was found is durable now.
        self.floor = found.global;
        let old = found.global.saturating_sub(WINDOW);
        self.commits = self.commits.split_off(&old);
        Ok(())
    }
}
