//! Changes of a tree: edits are sorted and applied, and the new pages are numbered and summed. Nothing is written.

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use kv_micro::entries::{mix, Entry, Kind};
use kv_micro::pages::{log, Tree};
use std::hint::black_box;

/// Entries of the tree.
const ENTRIES: u64 = 200_000;
/// How many edits are applied at once.
const EDITS: [u64; 3] = [1, 100, 100_000];

/// Puts of random entries: half of them are in the tree, half are new and lie between those.
fn edits(kind: Kind, count: u64, round: u64) -> Vec<Entry> {
    let edits = (0..count).map(|i| kind.entry(mix((round << 32) | i) % (2 * ENTRIES)));
    edits.collect()
}

fn apply(c: &mut Criterion) {
    let mut group = c.benchmark_group("apply");
    for kind in [Kind::Hashes, Kind::Integers(8)] {
        let tree = Tree::of(&kind.sorted((0..ENTRIES).map(|i| 2 * i)));
        for count in EDITS {
            let (samples, batch) = match count {
                100_000.. => (10, BatchSize::PerIteration),
                _ => (100, BatchSize::SmallInput),
            };
            let mut round = 0;
            group.throughput(Throughput::Elements(count));
            group.sample_size(samples);
            group.bench_function(format!("{}/{count}", kind.name()), |b| {
                b.iter_batched_ref(
                    || {
                        round += 1;
                        log(&edits(kind, count, round))
                    },
                    |log| black_box(&tree).apply(black_box(log)),
                    batch,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
