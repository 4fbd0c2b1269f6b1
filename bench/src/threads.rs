//! Work of several threads: commits, YCSB, lookups. Threads have keys of their own, so that what is there afterwards,
//! and what each reads, does not depend on who was faster.

use crate::clock::timed;
use crate::data::{Data, Rng};
use crate::driver::{Read, Session, Store, Write};
use crate::outcome::{Outcome, Sum};
use std::sync::Barrier;

/// Runs `work` with the number of each thread, and times from when all are ready until the last is done.
fn together<S: Store>(
    store: &S,
    threads: usize,
    operations: usize,
    work: impl Fn(usize, &mut S::Session<'_>) -> u64 + Sync,
) -> Outcome {
    if threads == 1 {
        let mut session = store.session();
        let (sum, spent) = timed(|| work(0, &mut session));
        return Outcome {
            spent,
            operations,
            sum,
            ..Outcome::default()
        };
    }
    let ready = Barrier::new(threads + 1);
    let (sum, spent) = std::thread::scope(|scope| {
        let (ready, work) = (&ready, &work);
        let begun: Vec<_> = (0..threads)
            .map(|thread| {
                scope.spawn(move || {
                    let mut session = store.session();
                    ready.wait();
                    work(thread, &mut session)
                })
            })
            .collect();
        timed(|| {
            ready.wait();
            begun
                .into_iter()
                .map(|thread| thread.join().expect("a thread of the work"))
                .fold(0, u64::wrapping_add)
        })
    });
    Outcome {
        spent,
        operations,
        sum,
        ..Outcome::default()
    }
}

/// Commits of some puts each.
pub struct Commits<'a> {
    data: &'a Data,
    puts: usize,
    durable: bool,
    threads: usize,
    version: u64,
    each: usize,
}

impl<'a> Commits<'a> {
    pub fn new(data: &'a Data, puts: usize, durable: bool, threads: usize, version: u64) -> Commits<'a> {
        let base = (data.hits.len() / 500).clamp(100, 2000);
        let all = match (puts, threads) {
            (1, 1) => base,
            (1, 2) => 2 * base,
            (1, _) => 4 * base,
            (100, _) => (base / 10).max(10),
            _ => (base / 40).max(5),
        };
        Commits {
            data,
            puts,
            durable,
            threads,
            version,
            each: all.div_ceil(threads),
        }
    }

    pub fn run<S: Store>(&self, store: &S) -> Outcome {
        let Commits {
            data,
            puts,
            durable,
            threads,
            version,
            each,
        } = *self;
        // Each row goes on elsewhere among the keys.
        let start = crate::data::mix(version) as usize % data.hits.len();
        let mut done = together(store, threads, each * threads, |thread, session| {
            for i in 0..each {
                let from = start + (thread * each + i) * puts;
                session.write(durable, |write| {
                    for key in data.hits.range(from, puts) {
                        write.put(key, data.value(key, version));
                    }
                });
            }
            0
        });
        // What the engine does afterwards is part of it.
        let before = crate::clock::worked();
        store.finish_background_work();
        done.spent.cpu += crate::clock::worked() - before;
        // Not timed: all of it is there.
        let mut sum = Sum::default();
        store.session().read(|read| {
            for key in data.hits.range(start, each * threads * puts) {
                read.get(key, |value| sum.look(value));
            }
        });
        Outcome { sum: sum.0, ..done }
    }
}

/// Random lookups, each in a snapshot of its own.
pub fn lookups<S: Store>(store: &S, data: &Data, threads: usize, version: u64) -> Outcome {
    let each = (data.hits.len() / 50).clamp(1000, 5000) / threads;
    let start = crate::data::mix(version) as usize % data.hits.len();
    together(store, threads, each * threads, |thread, session| {
        let mut sum = Sum::default();
        for key in data.hits.range(start + thread * each, each) {
            session.read(|read| read.get(key, |value| sum.look(value)));
        }
        sum.0
    })
}

/// A thread's part in a workload of YCSB.
struct User<'a> {
    data: &'a Data,
    rng: Rng,
    thread: usize,
    threads: usize,
    version: u64,
    inserted: usize,
}

impl<'a> User<'a> {
    /// A key, some much more often than others.
    fn popular(&mut self) -> &'a [u8] {
        let numbers = &self.data.zipf.0;
        let number = numbers[self.rng.below(numbers.len())] as usize;
        let own = number / self.threads * self.threads + self.thread;
        let own = if own < self.data.random.len() { own } else { self.thread };
        self.data.random.get(own)
    }

    /// A key that this thread inserted, its `n`-th.
    fn new_key(&self, n: usize) -> &'a [u8] {
        let keys = &self.data.misses;
        let start = crate::data::mix(self.version) as usize % keys.len();
        keys.get((start + n * self.threads + self.thread) % keys.len())
    }

    /// One of the newest, the newest most often.
    fn newest(&mut self) -> &'a [u8] {
        let back = self.rng.below(8).min(self.rng.below(64));
        match self.inserted.checked_sub(back + 1) {
            Some(n) => self.new_key(n),
            None => self.popular(),
        }
    }

    fn lookup<S: Session>(&mut self, session: &mut S, key: &[u8], sum: &mut Sum) {
        session.read(|read| read.get(key, |value| sum.look(value)));
    }

    fn put<S: Session>(&mut self, session: &mut S, key: &[u8]) {
        session.write(true, |write| write.put(key, self.data.value(key, self.version)));
    }

    fn insert<S: Session>(&mut self, session: &mut S) {
        let key = self.new_key(self.inserted);
        self.inserted += 1;
        self.put(session, key);
    }

    fn operation<S: Session>(&mut self, kind: char, session: &mut S, sum: &mut Sum) {
        let dice = self.rng.below(100);
        match kind {
            'a' | 'b' | 'c' | 'f' => {
                let lookups = [('a', 50), ('b', 95), ('c', 100), ('f', 50)];
                let share = lookups
                    .into_iter()
                    .find(|(of, _)| *of == kind)
                    .map_or(0, |(_, share)| share);
                let key = self.popular();
                match (dice < share, kind) {
                    (true, _) => self.lookup(session, key, sum),
                    (false, 'f') => session.write(true, |write| {
                        write.get(key, |value| sum.look(value));
                        write.put(key, self.data.value(key, self.version));
                    }),
                    (false, _) => self.put(session, key),
                }
            }
            'd' if dice < 95 => {
                let key = self.newest();
                self.lookup(session, key, sum);
            }
            'e' if dice < 95 => {
                let (key, n) = (self.popular(), self.rng.below(100) + 1);
                // What lies there depends on the other threads; it is looked at, but does not count.
                let mut seen = Sum::default();
                session.read(|read| read.seek(key, n, &mut |key, value| seen.see(key, value)));
                std::hint::black_box(seen.0);
            }
            _ => self.insert(session),
        }
    }
}

/// Workload `kind` of YCSB. Every read has a snapshot of its own, every change a durable transaction.
pub fn ycsb<S: Store>(store: &S, data: &Data, kind: char, threads: usize, version: u64) -> Outcome {
    let all = match kind {
        // Nothing in it waits for the disk.
        'c' => data.hits.len(),
        'a' | 'f' => data.hits.len() / 250,
        _ => data.hits.len() / 50,
    };
    let each = all.max(400).div_ceil(threads);
    together(store, threads, each * threads, |thread, session| {
        let mut user = User {
            data,
            rng: Rng::new(version ^ ((thread as u64) << 32)),
            thread,
            threads,
            version,
            inserted: 0,
        };
        let mut sum = Sum::default();
        (0..each).for_each(|_| user.operation(kind, session, &mut sum));
        sum.0
    })
}
