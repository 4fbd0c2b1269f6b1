//! Calls of the public interface on a database in memory: lookups, steps of a cursor, commits.

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use kv::{Cursor, Db, Durability, Options, PutMode, Range, TableId, WriteOptions};
use kv_micro::entries::{mix, Entry, Kind, Shuffled};
use std::hint::black_box;
use std::path::Path;

/// Entries of the database: more than fit into the processor's caches.
const ENTRIES: u64 = 500_000;
/// Keys that are looked up.
const HITS: u64 = 10_000;
/// The kinds of entries that are looked up and stepped over.
const KINDS: [Kind; 3] = [Kind::Hashes, Kind::Addresses, Kind::Integers(8)];

/// A database of these entries.
fn database(entries: &[Entry]) -> Db {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    let db = Db::open(Path::new(""), &options).expect("a database");
    put(&db, entries, Durability::Full);
    db
}

/// Puts the entries in one transaction.
fn put(db: &Db, entries: &[Entry], durability: Durability) {
    let options = WriteOptions {
        durability: Some(durability),
        ..WriteOptions::default()
    };
    let mut txn = db.begin_write(options).expect("a transaction");
    for Entry { key, value } in entries {
        txn.put(TableId::MAIN, key, value, PutMode::Set).expect("a put");
    }
    txn.commit().expect("a commit");
}

fn get(c: &mut Criterion) {
    let mut group = c.benchmark_group("get");
    for kind in KINDS {
        let entries = kind.sorted(0..ENTRIES);
        let db = database(&entries);
        let txn = db.begin_read().expect("a transaction");
        // Few enough keys that reading them costs next to nothing.
        let hits = (0..HITS).map(|i| &entries[(mix(i) % ENTRIES) as usize].key[..]);
        let mut hits = Shuffled::new(hits);
        group.bench_function(kind.name(), |b| {
            b.iter(|| {
                let value = txn.get(TableId::MAIN, black_box(hits.next())).expect("a lookup");
                value.expect("an entry").len()
            });
        });
    }
    group.finish();
}

fn next(c: &mut Criterion) {
    let mut group = c.benchmark_group("next");
    for kind in KINDS {
        let db = database(&kind.sorted(0..ENTRIES));
        let txn = db.begin_read().expect("a transaction");
        let mut txn = &txn;
        let mut cursor = Cursor::new(&mut txn, TableId::MAIN, &Range::default()).expect("a cursor");
        group.bench_function(kind.name(), |b| {
            b.iter(|| {
                if !cursor.next(&mut txn).expect("a step") {
                    assert!(cursor.first(&mut txn).expect("a step"), "an entry");
                }
                let key = black_box(cursor.key()).len();
                key + black_box(cursor.value(&mut txn).expect("a value")).len()
            });
        });
    }
    group.finish();
}

fn commit(c: &mut Criterion) {
    let mut group = c.benchmark_group("commit");
    let kind = Kind::Hashes;
    let db = database(&kind.sorted(0..ENTRIES));
    for (name, durability) in [("full", Durability::Full), ("lazy", Durability::Lazy)] {
        for count in [1, 100] {
            let mut round = 0;
            group.throughput(Throughput::Elements(count));
            group.bench_function(format!("{name}/{count}"), |b| {
                b.iter_batched(
                    || {
                        round += 1;
                        let entries = (0..count).map(|i| kind.entry(mix((round << 32) | i) % ENTRIES));
                        entries.collect::<Vec<_>>()
                    },
                    |entries| put(&db, black_box(&entries), durability),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, get, next, commit);
criterion_main!(benches);
