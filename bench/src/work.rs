//! The work, written once for every engine: what is timed, and a sum of what was seen, which must be the same for all.

use crate::clock::{timed, Spent};
use crate::data::Data;
use crate::driver::{Read, Store, Write};
use std::path::{Path, PathBuf};

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// All entries in random order, one transaction, one durable commit at its end.
    PutRandom,
    /// Bytes of the file after that.
    FileSize,
    /// Random lookups of keys that are there, in one read transaction.
    Get,
    /// The same of keys that are not.
    GetMiss,
    /// The lookups of `Get` 16 at a time.
    GetMany,
    /// Every entry, one call each.
    Scan,
    /// Every entry, by the engine's call for many.
    ScanMany,
    /// A random key and the nine behind it.
    Seek10,
    /// One put in each transaction, each commit durable.
    CommitDurable,
    /// Half of the entries in random order, one transaction, one durable commit at its end.
    DeleteRandom,
    /// All entries ascending, told so, one transaction, one durable commit at its end.
    PutSorted,
}

impl Work {
    /// In the order of a round: `PutRandom` begins a database, the others use it, `PutSorted` begins another.
    pub const ALL: [Work; 11] = [
        Work::PutRandom,
        Work::FileSize,
        Work::Get,
        Work::GetMiss,
        Work::GetMany,
        Work::Scan,
        Work::ScanMany,
        Work::Seek10,
        Work::CommitDurable,
        Work::DeleteRandom,
        Work::PutSorted,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Work::PutRandom => "put_random",
            Work::FileSize => "file_size",
            Work::Get => "get",
            Work::GetMiss => "get_miss",
            Work::GetMany => "get_many",
            Work::Scan => "scan",
            Work::ScanMany => "scan_many",
            Work::Seek10 => "seek_10",
            Work::CommitDurable => "commit_durable",
            Work::DeleteRandom => "delete_random",
            Work::PutSorted => "put_sorted",
        }
    }

    /// What its figure is.
    pub fn unit(self) -> Unit {
        match self {
            Work::FileSize => Unit::Bytes,
            Work::CommitDurable => Unit::Wall,
            _ => Unit::Cpu,
        }
    }
}

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of CPU time per operation.
    Cpu,
    /// Nanoseconds of time per operation.
    Wall,
    /// Bytes.
    Bytes,
}

/// What one engine did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    pub spent: Spent,
    pub operations: usize,
    /// Sum of what was seen.
    pub sum: u64,
    /// For `FileSize`.
    pub bytes: u64,
}

/// An engine in the race.
pub trait Contender {
    fn name(&self) -> &'static str;
    fn version(&self) -> String;
    fn run(&mut self, work: Work, data: &Data, round: u64) -> Done;
    /// Closes and removes its database.
    fn clear(&mut self);
}

/// The contender that runs `S`.
pub struct Runner<S> {
    dir: PathBuf,
    store: Option<S>,
}

impl<S: Store> Runner<S> {
    pub fn new(dir: &Path) -> Runner<S> {
        Runner {
            dir: dir.join(S::NAME),
            store: None,
        }
    }

    fn fresh(&mut self) -> &S {
        self.store = None;
        let _ = std::fs::remove_dir_all(&self.dir);
        std::fs::create_dir_all(&self.dir).unwrap_or_else(|e| panic!("{}: {e}", self.dir.display()));
        self.store.insert(S::create(&self.dir))
    }
}

/// The first eight bytes, as a number.
#[inline]
fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// The last byte: what a program that looks at keys cannot avoid to touch.
#[inline]
fn last(bytes: &[u8]) -> u64 {
    bytes.last().map_or(0, |byte| u64::from(*byte))
}

/// Adds up entries in a way that notices their order.
#[derive(Default)]
struct Sum(u64);

impl Sum {
    #[inline]
    fn see(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.rotate_left(1).wrapping_add(eight(value) ^ last(key));
    }

    #[inline]
    fn look(&mut self, value: Option<&[u8]>) {
        self.0 = self.0.wrapping_add(value.map_or(1, eight));
    }
}

fn measured(operations: usize, work: impl FnOnce() -> u64) -> Done {
    let (sum, spent) = timed(work);
    Done {
        spent,
        operations,
        sum,
        bytes: 0,
    }
}

/// Everything in the order given, in one transaction.
fn load<S: Store>(store: &S, data: &Data, sorted: bool) -> u64 {
    let mut txn = store.write();
    if sorted {
        data.sorted.iter().for_each(|key| txn.append(key, data.value(key, 0)));
    } else {
        data.random.iter().for_each(|key| txn.put(key, data.value(key, 0)));
    }
    txn.commit();
    0
}

fn lookups<S: Store>(store: &S, keys: &crate::data::Keys) -> u64 {
    let (mut read, mut sum) = (store.read(), Sum::default());
    keys.iter().for_each(|key| sum.look(read.get(key)));
    sum.0
}

fn many<S: Store>(store: &S, data: &Data) -> u64 {
    let (mut read, mut sum) = (store.read(), Sum::default());
    let mut sixteen: Vec<&[u8]> = Vec::with_capacity(16);
    for key in data.hits.iter() {
        sixteen.push(key);
        if sixteen.len() == 16 {
            read.get_many(&sixteen, &mut |value| sum.look(value));
            sixteen.clear();
        }
    }
    read.get_many(&sixteen, &mut |value| sum.look(value));
    sum.0
}

fn commits<S: Store>(store: &S, data: &Data, operations: usize, round: u64) -> u64 {
    for key in data.hits.iter().take(operations) {
        let mut txn = store.write();
        txn.put(key, data.value(key, round + 1));
        txn.commit();
    }
    0
}

impl<S: Store> Contender for Runner<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn version(&self) -> String {
        S::version()
    }

    fn run(&mut self, work: Work, data: &Data, round: u64) -> Done {
        let n = data.random.len();
        if work == Work::PutRandom || work == Work::PutSorted {
            let store = self.fresh();
            let done = measured(n, || load(store, data, work == Work::PutSorted));
            // Not timed: pages come into the map and are verified; and the sum tells whether all is there.
            let (mut read, mut sum) = (store.read(), Sum::default());
            read.scan(&mut |key, value| sum.see(key, value));
            return Done { sum: sum.0, ..done };
        }
        let store = self.store.as_ref().expect("a round begins with a load");
        let hits = data.hits.len();
        match work {
            Work::PutRandom | Work::PutSorted => unreachable!("done above"),
            Work::FileSize => {
                let files = std::fs::read_dir(&self.dir).expect("the database's directory");
                let sizes = files.map(|file| file.and_then(|file| file.metadata()).expect("metadata").len());
                Done {
                    bytes: sizes.max().expect("a database has a file"),
                    ..Done::default()
                }
            }
            Work::Get => measured(hits, || lookups(store, &data.hits)),
            Work::GetMiss => measured(hits, || lookups(store, &data.misses)),
            Work::GetMany => measured(hits, || many(store, data)),
            Work::Scan | Work::ScanMany => measured(n, || {
                let (mut read, mut sum) = (store.read(), Sum::default());
                if work == Work::Scan {
                    read.scan(&mut |key, value| sum.see(key, value));
                } else {
                    read.scan_many(&mut |key, value| sum.see(key, value));
                }
                sum.0
            }),
            Work::Seek10 => {
                let seeks = hits / 4;
                measured(seeks, || {
                    let (mut read, mut sum) = (store.read(), Sum::default());
                    for key in data.hits.iter().take(seeks) {
                        read.seek(key, 10, &mut |key, value| sum.see(key, value));
                    }
                    sum.0
                })
            }
            Work::CommitDurable => {
                let operations = (hits / 500).clamp(100, 2000);
                measured(operations, || commits(store, data, operations, round))
            }
            Work::DeleteRandom => {
                let done = measured(n / 2, || {
                    let mut txn = store.write();
                    let there = data.random.iter().take(n / 2).filter(|key| txn.delete(key)).count();
                    txn.commit();
                    there as u64
                });
                let (mut read, mut sum) = (store.read(), Sum(done.sum));
                read.scan(&mut |key, value| sum.see(key, value));
                Done { sum: sum.0, ..done }
            }
        }
    }

    fn clear(&mut self) {
        self.store = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
