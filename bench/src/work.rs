//! The work, written once for every engine.

use crate::clock::timed;
use crate::data::{Data, Rng, Shape, LONGEST};
use crate::driver::{Read, Session, Settings, Store, Way, Write};
use crate::edits;
use crate::keys::Keys;
use crate::machine::{self, Limit, Seen, Watch};
use crate::measured::{check, measured, written};
use crate::outcome::{Outcome, Sum};
use crate::rows::{Lookup, Row, Work, ROWS};
use crate::threads;
use std::path::{Path, PathBuf};

/// An engine in the race.
pub trait Contender {
    fn run(&mut self, number: usize, data: &Data, round: u64) -> Outcome;
    /// Closes and removes its database.
    fn clear(&mut self);
}

/// The contender that runs `S`.
pub struct Runner<S> {
    dir: PathBuf,
    store: Option<S>,
    settings: Settings,
    /// A memory limit that some rows are under.
    limit: Option<Limit>,
    /// Of the last load.
    seen: Seen,
    /// Of the last load, and of the last durable commits of one put: bytes written for each byte.
    written: (f64, f64),
}

fn lookups<S: Store>(store: &S, keys: &Keys) -> Outcome {
    let mut session = store.session();
    measured(keys.len(), || {
        let mut sum = Sum::default();
        session.read(|read| {
            keys.iter().for_each(|key| read.get(key, |value| sum.look(value)));
        });
        sum.0
    })
}

fn many<S: Store>(store: &S, keys: &Keys) -> Outcome {
    let mut session = store.session();
    measured(keys.len(), || {
        let mut sum = Sum::default();
        session.read(|read| {
            let mut sixteen: Vec<&[u8]> = Vec::with_capacity(16);
            for key in keys.iter() {
                sixteen.push(key);
                if sixteen.len() == 16 {
                    read.get_many(&sixteen, &mut |value| sum.look(value));
                    sixteen.clear();
                }
            }
            read.get_many(&sixteen, &mut |value| sum.look(value));
        });
        sum.0
    })
}

/// Lookups in snapshots of their own.
fn fresh_lookups<S: Store>(store: &S, keys: &Keys, renew: bool) -> Outcome {
    let mut session = store.session();
    measured(keys.len(), || {
        let mut sum = Sum::default();
        if renew {
            session.renewed(keys.iter(), &mut |value| sum.look(value));
        } else {
            for key in keys.iter() {
                session.read(|read| read.get(key, |value| sum.look(value)));
            }
        }
        sum.0
    })
}

fn scan<S: Store>(store: &S, entries: usize, way: Option<Way>) -> Outcome {
    let mut session = store.session();
    measured(entries, || {
        let mut sum = Sum::default();
        session.read(|read| match way {
            Some(way) => read.scan(way, &mut |key, value| sum.see(key, value)),
            None => read.scan_many(&mut |key, value| sum.see(key, value)),
        });
        sum.0
    })
}

fn seeks<S: Store>(store: &S, data: &Data, n: usize) -> Outcome {
    let mut session = store.session();
    let seeks = (data.hits.len() * 10 / (4 * n)).max(100);
    measured(seeks, || {
        let mut sum = Sum::default();
        session.read(|read| {
            for key in data.hits.range(0, seeks) {
                read.seek(key, n, &mut |key, value| sum.see(key, value));
            }
        });
        sum.0
    })
}

/// Repeats a short piece of work until it can be measured.
fn repeated(mut work: impl FnMut(usize) -> u64) -> Outcome {
    let (mut done, mut sum) = (Outcome::default(), 0);
    while done.spent.wall < 2_000_000 && done.operations < 1000 {
        let one = measured(1, || work(done.operations));
        done.spent.cpu += one.spent.cpu;
        done.spent.wall += one.spent.wall;
        done.operations += 1;
        // The same for every engine, however often each does it.
        sum = if done.operations == 1 { one.sum } else { sum };
    }
    Outcome { sum, ..done }
}

fn count_range<S: Store>(store: &S, data: &Data, round: u64) -> Outcome {
    let n = data.sorted.len();
    let mut rng = Rng::new(round);
    let starts: Vec<usize> = (0..1000).map(|_| rng.below(n - n / 100)).collect();
    store
        .session()
        .read(|read| repeated(|i| read.count(data.sorted.get(starts[i]), data.sorted.get(starts[i] + n / 100))))
}

/// Other values for the first entries of the random order.
fn update<S: Store>(store: &S, data: &Data, version: u64, reading: bool) -> Outcome {
    let n = data.random.len() / 10;
    let mut session = store.session();
    let mut sum = Sum::default();
    let done = written(store, n, || {
        session.write(true, |write| {
            for key in data.random.range(0, n) {
                if reading {
                    write.get(key, |value| sum.look(value));
                }
                write.put(key, data.value(key, version));
            }
        });
        sum.0
    });
    Outcome {
        sum: done.sum.wrapping_add(check(store)),
        ..done
    }
}

fn churn<S: Store>(store: &S, data: &Data, seed: u64) -> Outcome {
    let operations = data.random.len() / 5;
    let mut rng = Rng::new(seed);
    let mut session = store.session();
    let done = written(store, operations, || {
        for portion in 0..operations.div_ceil(1000) {
            let left = (operations - portion * 1000).min(1000);
            session.write(left < 1000, |write| {
                for _ in 0..left {
                    let (old, new) = (rng.below(data.random.len()), rng.below(data.misses.len()));
                    let (old, new) = (data.random.get(old), data.misses.get(new));
                    match rng.below(4) {
                        0 => write.delete(old),
                        1 => write.put(new, data.value(new, seed)),
                        _ => write.put(old, data.value(old, seed)),
                    }
                }
            });
        }
        0
    });
    Outcome {
        sum: check(store),
        ..done
    }
}

fn delete_random<S: Store>(store: &S, data: &Data) -> Outcome {
    let n = data.random.len() / 2;
    let mut session = store.session();
    let done = written(store, n, || {
        session.write(true, |write| data.random.range(0, n).for_each(|key| write.delete(key)));
        0
    });
    Outcome {
        sum: check(store),
        ..done
    }
}

fn delete_ranges<S: Store>(store: &S, data: &Data) -> Outcome {
    const RANGES: usize = 20;
    let n = data.sorted.len();
    let mut session = store.session();
    let done = written(store, RANGES, || {
        session.write(true, |write| {
            for i in 0..RANGES {
                let from = n / RANGES * i;
                write.delete_range(data.sorted.get(from), data.sorted.get(from + n / (10 * RANGES)));
            }
        });
        0
    });
    Outcome {
        sum: check(store),
        ..done
    }
}

/// How many values of a length are put and read.
fn large_values(data: &Data, len: usize) -> usize {
    let all = (512.0 * data.scale.clamp(0.25, 1.0)) as usize * (1 << 20);
    (all / len).clamp(2, 1000)
}

fn large_key(i: usize, len: usize) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(len as u64).to_be_bytes());
    key[8..].copy_from_slice(&(i as u64).to_be_bytes());
    key
}

impl<S: Store> Runner<S> {
    pub fn new(dir: &Path, data: &Data, limit: Option<Limit>) -> Runner<S> {
        // Room for the data and what an engine lays around them.
        let large = if data.shape == Shape::Large { 2 << 30 } else { 0 };
        let enough = data.payload * 3 / 2 + 64 * data.random.len() as u64 + (128 << 20) + large;
        Runner {
            dir: dir.join(S::NAME),
            store: None,
            settings: Settings {
                cache: enough.min(4 << 30),
                limited: false,
            },
            limit,
            seen: Seen::default(),
            written: (0.0, 0.0),
        }
    }

    fn fresh(&mut self) -> &S {
        self.clear();
        std::fs::create_dir_all(&self.dir).unwrap_or_else(|e| panic!("{}: {e}", self.dir.display()));
        self.store.insert(S::open(&self.dir, &self.settings))
    }

    fn store(&self) -> &S {
        self.store.as_ref().expect("a round begins with a load")
    }

    /// A load into a new database, watched.
    fn load(&mut self, data: &Data, sorted: bool) -> Outcome {
        self.fresh();
        let (watch, before) = (Watch::new(), machine::written());
        let store = self.store();
        let mut session = store.session();
        let mut done = written(store, data.random.len(), || {
            if sorted {
                session.load_sorted(data.entries());
            } else {
                session.write(true, |write| {
                    data.random.iter().for_each(|key| write.put(key, data.value(key, 0)));
                });
            }
            0
        });
        drop(session);
        let seen = watch.end();
        done.spent.cpu -= seen.cpu.min(done.spent.cpu);
        let bytes = machine::written() - before;
        let sum = if data.shape == Shape::Open { 0 } else { check(store) };
        self.seen = seen;
        self.written.0 = bytes as f64 / data.payload as f64;
        Outcome { sum, ..done }
    }

    /// Closes the database, makes the system forget its file, and opens it with little memory.
    fn enter_limit(&mut self) {
        let Some(limit) = self.limit.take() else { return };
        self.store = None;
        machine::evict(&self.dir);
        limit.enter();
        self.settings = Settings {
            cache: limit.bytes / 2,
            limited: true,
        };
        self.store = Some(S::open(&self.dir, &self.settings));
    }

    fn open(&mut self, data: &Data, cold: bool, round: u64) -> Outcome {
        let (mut done, mut sum) = (Outcome::default(), Sum::default());
        for i in 0..5 {
            self.store = None;
            if cold {
                machine::evict(&self.dir);
            }
            let key = data.hits.get((round as usize * 5 + i) % data.hits.len());
            let (store, spent) = timed(|| {
                let store = S::open(&self.dir, &self.settings);
                store.session().read(|read| read.get(key, |value| sum.look(value)));
                store
            });
            self.store = Some(store);
            done.spent.cpu += spent.cpu;
            done.spent.wall += spent.wall;
            done.operations += 1;
        }
        Outcome { sum: sum.0, ..done }
    }

    fn commits(&mut self, row: &Row, data: &Data, version: u64) -> Outcome {
        let Work::Commit { puts, durable, threads } = row.work else {
            unreachable!("only rows of commits")
        };
        let before = machine::written();
        let done = threads::Commits::new(data, puts, durable, threads, version).run(self.store());
        if row.name == "commit_durable" {
            let key = data.payload as f64 / data.random.len() as f64;
            self.written.1 = (machine::written() - before) as f64 / (done.operations as f64 * key);
        }
        done
    }

    fn put_large(&mut self, data: &Data, len: usize, version: u64) -> Outcome {
        if self.store.is_none() {
            self.fresh();
        }
        let store = self.store();
        let n = large_values(data, len);
        let mut session = store.session();
        written(store, n, || {
            for i in 0..n {
                let key = large_key(i, len);
                session.write(true, |write| write.put(&key, data.large(version + i as u64, len)));
            }
            0
        })
    }

    fn act(&mut self, row: &Row, number: usize, data: &Data, round: u64) -> Outcome {
        let n = data.random.len();
        // Another value for each row that writes.
        let version = round * ROWS.len() as u64 + number as u64 + 1;
        let figure = |figure| Outcome {
            figure,
            ..Outcome::default()
        };
        match row.work {
            Work::PutRandom => self.load(data, false),
            Work::PutSorted | Work::Build => self.load(data, true),
            Work::FileSize => figure(machine::bytes_of(&self.dir) as f64),
            Work::PeakHeap => figure(self.seen.heap as f64),
            Work::PeakResident => figure(self.seen.resident as f64),
            Work::WrittenLoad => figure(self.written.0),
            Work::WrittenCommit => figure(self.written.1),
            Work::Get(kind) => {
                let keys = match kind {
                    Lookup::Hit => &data.hits,
                    Lookup::Miss => &data.misses,
                    Lookup::Zipf => &data.zipf.1,
                };
                lookups(self.store(), keys)
            }
            Work::GetMany => many(self.store(), &data.hits),
            Work::GetBegin => fresh_lookups(self.store(), &data.hits, false),
            Work::GetRenew => fresh_lookups(self.store(), &data.hits, true),
            Work::Scan(way) => scan(self.store(), n, Some(way)),
            Work::ScanMany => scan(self.store(), n, None),
            Work::Seek(count) => seeks(self.store(), data, count),
            Work::Length => self.store().session().read(|read| repeated(|_| read.length())),
            Work::CountRange => count_range(self.store(), data, round),
            Work::Commit { .. } => self.commits(row, data, version),
            Work::Update => update(self.store(), data, version, false),
            Work::ReadModifyWrite => update(self.store(), data, version, true),
            Work::Churn => churn(self.store(), data, version),
            Work::FileSizeReader => {
                let store = self.store();
                let sum = store.session().read(|read| {
                    read.get(data.hits.get(0), |_| ());
                    // In another thread: some engines allow one transaction per thread.
                    std::thread::scope(|scope| scope.spawn(|| churn(store, data, version).sum).join())
                });
                let sum = sum.expect("the churn");
                Outcome {
                    sum,
                    ..figure(machine::bytes_of(&self.dir) as f64)
                }
            }
            Work::DeleteRandom => delete_random(self.store(), data),
            Work::DeleteRange => delete_ranges(self.store(), data),
            Work::Pop | Work::Queue | Work::Retain | Work::Extract | Work::CursorUpdate => {
                edits::edit(self.store(), row.work, data, version)
            }
            Work::Ycsb { kind, threads } => threads::ycsb(self.store(), data, kind, threads, version),
            Work::PutLarge(len) => self.put_large(data, len, version),
            Work::GetLarge(len) => {
                let (store, mut sum) = (self.store(), Sum::default());
                let values = large_values(data, len);
                let mut session = store.session();
                measured(values, || {
                    session.read(|read| {
                        (0..values).for_each(|i| read.get(&large_key(i, len), |value| sum.all(value)));
                    });
                    sum.0
                })
            }
            Work::Open { cold } => self.open(data, cold, round),
            Work::GetLimited { threads } => {
                self.enter_limit();
                threads::lookups(self.store(), data, threads, version)
            }
            Work::ScanLimited => {
                self.enter_limit();
                scan(self.store(), n, Some(Way::FORWARD))
            }
            Work::CommitLimited => {
                self.enter_limit();
                threads::Commits::new(data, 100, true, 1, version).run(self.store())
            }
        }
    }
}

impl<S: Store> Contender for Runner<S> {
    fn run(&mut self, number: usize, data: &Data, round: u64) -> Outcome {
        let row = &ROWS[number];
        let (done, fifo) = machine::urgently(row.urgent(), || self.act(row, number, data, round));
        Outcome { fifo, ..done }
    }

    fn clear(&mut self) {
        self.store = None;
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

const _: () = assert!(LONGEST >= 64 << 20, "the pool has room for the longest value");
