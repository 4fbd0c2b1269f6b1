//! `apply` against a `BTreeMap`, over pages in a map: every shape of key, every size of batch, with pages placed at
//! once and later. The structure and the accounting of pages are checked after each batch.

use super::test_tree::TestTree;
use std::collections::BTreeSet;

struct Rnd(u64);

impl Rnd {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn key(kind: u32, rnd: &mut Rnd) -> Vec<u8> {
    match kind {
        0 => rnd.below(20000).to_be_bytes().to_vec(),
        1 => {
            let id = rnd.below(5000).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            [&id.to_be_bytes()[..], b"0123456789abcdef"].concat()
        }
        2 => format!(
            "https://www.example{}.com/category/{}/item-{}",
            rnd.below(4),
            rnd.below(5),
            rnd.below(300)
        )
        .into_bytes(),
        3 => (0..rnd.below(9))
            .map(|_| [0u8, 0, 1, b'a', 255][rnd.below(5) as usize])
            .collect(),
        4 => [
            &vec![b'x'; rnd.below(90) as usize][..],
            &vec![b'y'; rnd.below(3) as usize],
        ]
        .concat(),
        _ => {
            let mut k = vec![b'k'; [10, 280, 288, 289, 511, 512, 513, 600, 5000][rnd.below(9) as usize]];
            let at = rnd.below(k.len() as u64) as usize;
            k[at] = b'a' + rnd.below(3) as u8;
            let end = k.len() - 1;
            k[end] = b'a' + rnd.below(5) as u8;
            k
        }
    }
}

/// One leaf that gets thousands of edits at once, merged in parts: entries of the leaf before, between and behind them.
#[test]
fn one_leaf_takes_thousands_of_edits() {
    for seed in 1..60u64 {
        let mut rnd = Rnd(seed * 7777);
        let mut tree = TestTree::new(4096);
        let few = 1 + rnd.below(20);
        for (flush, edits) in [few, 3000 + rnd.below(9000), 3000].into_iter().enumerate() {
            let deletes = if flush == 0 { 0 } else { rnd.below(100) };
            let long = rnd.below(3) * 600;
            let first = rnd.below(3) as u8;
            for i in 0..edits {
                // Sometimes sections of puts and of deletes, sometimes a mixture.
                let section = b'a' + first + (i * 3 / edits) as u8;
                let key = format!("{}{:05}", section as char, rnd.below(3000)).into_bytes();
                let mixed = if seed % 2 == 0 {
                    rnd.below(100) < deletes
                } else {
                    section == b'b' && flush > 0
                };
                match mixed {
                    true => tree.delete(&key),
                    false => tree.put(&key, &vec![b'v'; (rnd.below(90) + long) as usize]),
                }
            }
            tree.at = format!("seed {seed} flush {flush}");
            tree.places_pages = rnd.below(2) == 0;
            tree.flush();
            tree.verify();
        }
    }
}

/// The kind of keys whose lengths lie around those at which something changes in pages of a size.
const ALL_LENGTHS: u32 = 6;

/// Returns a key of any such length, most of them with a long common beginning.
fn key_of_any_length(size: usize, rnd: &mut Rnd) -> Vec<u8> {
    let size = size as u64;
    let at = match rnd.below(8) {
        // The largest keys and separators that are kept whole.
        0 => size / 8,
        1 | 2 => (size - 307).min(16_383),
        3 => 288,
        // As many records as fill a page.
        4 | 5 => size / (1 + rnd.below(5)) - 40,
        6 => rnd.below(size + 4000),
        _ => 12,
    };
    let len = (at + rnd.below(5)).saturating_sub(2).min(20_000) as usize;
    let mut key = vec![b'k'; len];
    let shared = [0, 0, 1, 200, 300, 600, 2000][rnd.below(7) as usize];
    for at in shared..shared + 3 {
        if let Some(byte) = key.get_mut(at) {
            *byte = b'a' + rnd.below(16) as u8;
        }
    }
    key
}

fn run(kind: u32, size: usize, seed: u64, rounds: u32) {
    let mut rnd = Rnd(seed);
    let mut tree = TestTree::new(size);
    for round in 0..rounds {
        for flush in 0..1 + rnd.below(3) {
            tree.at = format!("kind {kind} seed {seed} round {round} flush {flush}");
            let deletes = rnd.below(5);
            // Keys of any length are large: thousands of them take long.
            let most = if kind == ALL_LENGTHS { 5 } else { 7 };
            let batch = [1, 2, 5, 30, 300, 3000, 9000][rnd.below(most) as usize];
            let ranged = rnd.below(6) == 0;
            if rnd.below(4) == 0 {
                tree.arena.freeze();
            }
            // Nothing is placed while bytes are pinned.
            tree.places_pages = rnd.below(2) == 0 && !tree.arena.is_frozen();
            for _ in 0..if ranged { 0 } else { batch } {
                if kind == ALL_LENGTHS {
                    let k = key_of_any_length(size, &mut rnd);
                    let len = [0, 8, 8, 100, 272, size / 4, size / 4 + 1, size / 2 - 800][rnd.below(8) as usize];
                    match rnd.below(5) < deletes {
                        true => tree.delete(&k),
                        false => tree.put_anywhere(&k, &vec![rnd.below(256) as u8; len]),
                    }
                    continue;
                }
                let k = key(kind, &mut rnd);
                if rnd.below(5) < deletes {
                    tree.delete(&k);
                    continue;
                }
                let len = [8, 8, 8, 0, 50, 150, 900, 5000][rnd.below(if kind == 0 { 3 } else { 8 }) as usize];
                let v = vec![rnd.below(256) as u8; len];
                match len > 1000 {
                    true => tree.put_chain(&k, &v),
                    false => tree.put(&k, &v),
                }
            }
            tree.flush();
            if ranged {
                let mut bound = || match kind {
                    ALL_LENGTHS => key_of_any_length(size, &mut rnd),
                    _ => key(kind, &mut rnd),
                };
                let (a, b) = (bound(), bound());
                let (from, to) = (a.clone().min(b.clone()), a.max(b));
                let (from, to) = ((rnd.below(5) > 0).then_some(from), (rnd.below(5) > 0).then_some(to));
                tree.remove_range(from.as_deref(), to.as_deref());
            }
            tree.verify();
        }
        tree.at = format!("kind {kind} seed {seed} round {round}");
        tree.commit();
    }
}

#[test]
fn apply_equals_a_map() {
    for kind in 0..6 {
        for seed in 1..3u64 {
            run(kind, 4096, seed * 7919 + kind as u64, if kind == 5 { 12 } else { 20 });
        }
    }
    run(1, 65536, 5, 20);
    for (size, seeds) in [(4096, 12), (8192, 5), (16384, 3), (32768, 2), (65536, 2)] {
        (1..=seeds).for_each(|seed| run(ALL_LENGTHS, size, seed * 31, 25));
    }
    run(0, 16384, 6, 20);
}

/// A tree of three levels, whose leaves have some entries each.
fn tall_tree() -> TestTree {
    let mut tree = TestTree::new(4096);
    for i in 0..10_000u32 {
        tree.put(format!("{:06}", i * 2).as_bytes(), &[i as u8; 100]);
    }
    tree.commit();
    assert!(tree.root.height >= 3, "a tree of {} levels", tree.root.height);
    tree
}

/// Which leaves have lost their neighbour.
#[derive(Debug, Clone, Copy)]
enum Gone {
    /// This leaf of the tree.
    Leaf(usize),
    /// All leaves before this one.
    Before(usize),
    /// All leaves from this one on.
    From(usize),
}

/// A leaf that takes over the interval of a vanished neighbour is of the commit in which it does, wherever the two lie
/// and however the neighbour went. (`TestTree::commit` proves the rest of I-28.)
#[test]
fn a_leaf_whose_interval_grew_is_a_new_leaf() {
    let leaves = tall_tree().commit().1.len();
    let middle = leaves / 2;
    let mut all: Vec<Gone> = [0, 1, middle, leaves - 1].map(Gone::Leaf).to_vec();
    // Each edge of the first branches of level 2, and whole branches.
    all.extend((middle - 80..middle + 60).step_by(13).map(Gone::Leaf));
    all.extend([1, 50, middle].map(Gone::Before));
    all.extend([leaves - 1, leaves - 50, middle].map(Gone::From));
    for gone in all {
        for by_range in [false, true] {
            let mut tree = tall_tree();
            let (before, found) = tree.commit();
            tree.at = format!("{gone:?}, by range: {by_range}");
            let (from, to) = match gone {
                Gone::Leaf(i) => (i, i + 1),
                Gone::Before(i) => (0, i),
                Gone::From(i) => (i, leaves),
            };
            let low = (from > 0).then(|| found[from].low.clone());
            let high = (to < leaves).then(|| found[to].low.clone());
            match by_range {
                true => tree.remove_range(low.as_deref(), high.as_deref()),
                false => {
                    let keys: Vec<_> = tree.model.keys().cloned().collect();
                    keys[found[from].entries.start..found[to - 1].entries.end]
                        .iter()
                        .for_each(|key| tree.delete(key));
                }
            }
            let (now, left) = tree.commit();
            let grown: Vec<_> = left
                .iter()
                .filter(|leaf| {
                    let was = found.iter().find(|old| old.low == leaf.low);
                    was.is_none_or(|old| old.high != leaf.high)
                })
                .collect();
            assert_eq!(grown.len(), 1, "{}", tree.at);
            assert!(grown[0].birth == now && now > before, "{}", tree.at);
            // The others are as they were.
            assert!(left.iter().filter(|leaf| leaf.birth == now).count() <= 2, "{}", tree.at);
        }
    }
}

/// Edits at once, alone and among flushes and commits: scattered, ascending, and such that leaves are emptied from an
/// end.
#[test]
fn edits_at_once_equal_a_map() {
    for seed in 1..40u64 {
        for kind in 0..=ALL_LENGTHS {
            let mut rnd = Rnd(seed * 7919 + u64::from(kind));
            let size = [4096, 8192][rnd.below(2) as usize];
            let mut tree = TestTree::new(size);
            for round in 0..6 {
                tree.at = format!("kind {kind} seed {seed} round {round}");
                let some_key = |rnd: &mut Rnd| match kind {
                    ALL_LENGTHS => key_of_any_length(size, rnd),
                    kind => key(kind, rnd),
                };
                let batch = [0, 30, 600][rnd.below(3) as usize];
                for _ in 0..batch {
                    let value = vec![b'v'; rnd.below(120) as usize];
                    tree.put_anywhere(&some_key(&mut rnd), &value);
                }
                let edits = [1, 40, 300][rnd.below(3) as usize];
                let (way, keeps) = (rnd.below(4), rnd.below(3) == 0);
                for i in 0..edits {
                    let first = tree.model.keys().next().cloned();
                    let last = tree.model.keys().next_back().cloned();
                    match (way, first, last) {
                        // From both ends, as a queue.
                        (0, Some(first), Some(last)) => tree.edit_now(if i % 2 == 0 { &first } else { &last }, None),
                        // Everything from one end on.
                        (1, Some(first), _) => tree.edit_now(&first, None),
                        _ => {
                            let mut key = some_key(&mut rnd);
                            if rnd.below(2) == 0 {
                                let there = tree.model.range(key.clone()..).next();
                                key = there.map_or(key, |(key, _)| key.clone());
                            }
                            let length = [10, 10, 60, 700, 9000][rnd.below(if keeps { 1 } else { 5 }) as usize];
                            let value = vec![b'w'; length];
                            let put = rnd.below(3) > 0;
                            tree.edit_now(&key, put.then_some(&value[..]));
                        }
                    }
                    if rnd.below(20) == 0 {
                        tree.verify();
                    }
                }
                tree.verify();
                if rnd.below(2) == 0 {
                    tree.commit();
                }
            }
            tree.commit();
        }
    }
}

/// Puts at once behind all others: the leaves become as many as with a flush, and the tree is asked for none of them.
#[test]
fn puts_at_once_behind_all_others_fill_leaves() {
    for (kind, value) in [(1, 8), (1, 60), (2, 150), (2, 1500), (3, 20)] {
        let mut rnd = Rnd(17);
        let keys: BTreeSet<Vec<u8>> = (0..2000).map(|_| key(kind, &mut rnd)).collect();
        let value = vec![b'v'; value];
        let mut trees = [TestTree::new(4096), TestTree::new(4096)];
        let [now, later] = &mut trees;
        for key in &keys {
            now.edit_now(key, Some(&value));
            later.put(key, &value);
        }
        later.flush();
        now.verify();
        // The first put finds no leaf.
        assert_eq!(now.refused, 1, "kind {kind}");
        now.commit();
        later.commit();
        let (pages, least) = (now.pages(), later.pages());
        // A flush knows the prefix of a leaf before it is full, and puts more into it.
        assert!(pages <= least + least / 3 + 1, "kind {kind}: {pages}, not {least}");
    }
}

/// The same with keys and values of all kinds and lengths, among other edits.
#[test]
fn puts_at_once_behind_all_others_equal_a_map() {
    for seed in 1..60u64 {
        for kind in 0..=ALL_LENGTHS {
            let mut rnd = Rnd(seed * 6029 + u64::from(kind));
            let size = [4096, 8192][rnd.below(2) as usize];
            let mut tree = TestTree::new(size);
            tree.at = format!("kind {kind} seed {seed}");
            let length = rnd.below(200);
            let mut keys: Vec<Vec<u8>> = (0..rnd.below(500))
                .map(|_| match kind {
                    ALL_LENGTHS => key_of_any_length(size, &mut rnd),
                    kind => key(kind, &mut rnd),
                })
                .collect();
            keys.sort();
            for key in &keys {
                let length = [length, length, length, rnd.below(200), 2000][rnd.below(5) as usize];
                tree.edit_now(key, Some(&vec![b'v'; length as usize]));
                match rnd.below(40) {
                    0 => tree.verify(),
                    1 => drop(tree.commit()),
                    2 => tree.edit_now(key, None),
                    3 => {
                        let first = tree.model.keys().next().cloned().expect("an entry");
                        tree.edit_now(&first, None);
                    }
                    _ => {}
                }
            }
            tree.commit();
        }
    }
}
