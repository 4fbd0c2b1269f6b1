//! Searches in one page, building and editing one, and its checksum. All pages are in the processor's caches.

use criterion::{criterion_group, criterion_main, BatchSize, Criterion};
use kv::ids::{PageNo, PageRef};
use kv::page::branch::Branch;
use kv::page::header;
use kv::page::kernel::{best, Kernel, Work};
use kv::page::leaf::{Leaf, Stored};
use kv::page::leaf_edit;
use kv::page::search::Key;
use kv::page::suffix::Suffix;
use kv::util::hash::fingerprint;
use kv_micro::entries::{mix, Entry, Kind, Shuffled};
use kv_micro::pages::{branch, leaf, leaf_entries, leaf_of_whole, that_fit, whole_entries, Pages, PAGE};
use std::hint::black_box;

/// The kinds of leaves.
const LEAVES: [Kind; 4] = [Kind::Hashes, Kind::Integers(2), Kind::Integers(4), Kind::Integers(8)];
/// Where the pages are said to be.
const HERE: PageRef = PageRef::placed(PageNo::new(9));

/// A search in a branch, as a lookup does it.
struct FindChild<'a> {
    page: &'a [u8],
    key: &'a [u8],
}

impl Work for FindChild<'_> {
    type Out = usize;
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> usize {
        let branch = Branch::of(self.page, HERE, header::level(self.page)).expect("a branch");
        let pages = Pages::default();
        branch.find_with(kernel, self.key, &&pages).expect("a child")
    }
}

/// A search in a leaf, as a lookup does it.
struct FindEntry<'a> {
    page: &'a [u8],
    key: &'a [u8],
}

impl Work for FindEntry<'_> {
    type Out = usize;
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> usize {
        let leaf = Leaf::of(self.page, HERE).expect("a leaf");
        let pages = Pages::default();
        let found = leaf.find_with(kernel, Key::new(self.key), &&pages);
        found.expect("a whole leaf").expect("an entry")
    }
}

fn branch_search(c: &mut Criterion) {
    let mut group = c.benchmark_group("branch_search");
    let kinds = [
        (Kind::Hashes, "", false),
        (Kind::Addresses, "https://www.example", true),
    ];
    for (kind, prefix, second_heads) in kinds {
        let entries = kind.sorted(0..5000);
        // What separates leaves of some fifty entries.
        let keys: Vec<&[u8]> = entries.iter().step_by(50).map(|entry| &entry.key[..]).collect();
        let (page, n) = branch(&keys, prefix.as_bytes());
        assert_eq!(header::flags(&page) & header::HEAD2 != 0, second_heads);
        let mut keys = Shuffled::new(entries[..50 * n].iter().map(|entry| &entry.key[..]));
        group.bench_function(kind.name(), |b| {
            b.iter(|| {
                let key = black_box(keys.next());
                best(FindChild {
                    page: black_box(&page),
                    key,
                })
            });
        });
    }
    group.finish();
}

fn leaf_search(c: &mut Criterion) {
    let mut group = c.benchmark_group("leaf_search");
    for kind in LEAVES {
        let all = kind.sorted(0..1000);
        let entries = that_fit(&all, 0);
        let page = leaf(&leaf_entries(entries));
        assert_eq!(Leaf::of(&page, HERE).expect("a leaf").is_dense(), kind != Kind::Hashes);
        let mut keys = Shuffled::new(entries.iter().map(|entry| &entry.key[..]));
        group.bench_function(kind.name(), |b| {
            b.iter(|| {
                let key = black_box(keys.next());
                best(FindEntry {
                    page: black_box(&page),
                    key,
                })
            });
        });
    }
    group.finish();
}

/// Building a leaf from entries that come out of a merge, and from those of a bulk load.
fn leaf_build(c: &mut Criterion) {
    let mut group = c.benchmark_group("leaf_build");
    for kind in LEAVES {
        let all = kind.sorted(0..1000);
        let entries = that_fit(&all, 0);
        let (parts, whole) = (leaf_entries(entries), whole_entries(entries));
        group.bench_function(format!("merged/{}", kind.name()), |b| {
            b.iter(|| leaf(black_box(&parts)))
        });
        group.bench_function(format!("loaded/{}", kind.name()), |b| {
            b.iter(|| leaf_of_whole(black_box(&whole)))
        });
    }
    group.finish();
}

/// An entry of a leaf, and what an edit of it begins with.
struct Edit<'a> {
    at: usize,
    entry: &'a Entry,
    whole: &'a [u8],
    without: Vec<u8>,
}

impl Edit<'_> {
    fn insert(&self, page: &mut [u8]) {
        let (suffix, value) = (Suffix::of(&self.entry.key), Stored::Inline(&self.entry.value));
        let fingerprint = fingerprint(&self.entry.key);
        assert!(leaf_edit::insert(page, self.at, &suffix, fingerprint, &value));
    }

    fn remove(&self, page: &mut [u8]) {
        leaf_edit::remove(page, self.at);
    }

    fn overwrite(&self, page: &mut [u8]) {
        assert!(leaf_edit::overwrite(page, self.at, &Stored::Inline(&self.entry.value)));
    }
}

fn leaf_edits(c: &mut Criterion) {
    for kind in LEAVES {
        let all = kind.sorted(0..1000);
        let entries = that_fit(&all, 1);
        let whole = leaf(&leaf_entries(entries));
        let edits = entries.iter().enumerate().step_by(3).map(|(at, entry)| {
            let mut without = whole.clone();
            leaf_edit::remove(&mut without, at);
            Edit {
                at,
                entry,
                whole: &whole,
                without,
            }
        });
        let edits: Vec<Edit> = edits.collect();
        let mut next = Shuffled::new(&edits);
        let mut bench = |what: &str, page: fn(&Edit) -> Vec<u8>, change: fn(&Edit, &mut [u8])| {
            c.bench_function(&format!("leaf_{what}/{}", kind.name()), |b| {
                b.iter_batched_ref(
                    || {
                        let edit = next.next();
                        (edit, page(edit))
                    },
                    |(edit, page)| change(black_box(edit), black_box(page)),
                    BatchSize::SmallInput,
                );
            });
        };
        bench("insert", |edit| edit.without.clone(), |edit, page| edit.insert(page));
        bench("remove", |edit| edit.whole.to_vec(), |edit, page| edit.remove(page));
        bench(
            "overwrite",
            |edit| edit.whole.to_vec(),
            |edit, page| edit.overwrite(page),
        );
    }
}

fn checksum(c: &mut Criterion) {
    let page: Vec<u8> = (0..PAGE as u64).map(|i| mix(i) as u8).collect();
    c.bench_function("checksum/page", |b| b.iter(|| kv::util::crc32c(black_box(&page))));
}

criterion_group!(benches, branch_search, leaf_search, leaf_build, leaf_edits, checksum);
criterion_main!(benches);
