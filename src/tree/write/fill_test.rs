//! Leaves stay filled: entries that shrink, that go, and that come at random leave no half-empty leaves behind.

use super::test_tree::TestTree;

/// The share of its leaves' bytes that a tree uses.
fn fill(tree: &mut TestTree) -> f64 {
    let (_, leaves) = tree.commit();
    let used: usize = leaves.iter().map(|leaf| leaf.used).sum();
    used as f64 / (leaves.len() * 4096) as f64
}

/// The least share that a tree may use after deletions. Two leaves are not joined if one leaf would then be full to the
/// brim, and that matters in a tree that has no more of them.
fn least_fill(tree: &mut TestTree) -> f64 {
    let (_, leaves) = tree.commit();
    if leaves.len() < 4 {
        0.45
    } else {
        0.5
    }
}

/// Returns number `i` of a sequence that looks random.
fn number(i: u32) -> u32 {
    (i + 1).wrapping_mul(0x9E37_79B9) ^ (i >> 3)
}

/// Values of one length are replaced by values of a byte less, some in each commit and in any order. Dense leaves
/// become slotted ones, in which not all of their entries have room.
#[test]
fn values_that_shrink_do_not_leave_leaves_half_empty() {
    // The least fill, and by how much the number of pages may grow: what a slotted leaf takes more, and a quarter.
    for (value, grows) in [(200usize, 1.1), (100, 1.1), (50, 1.5), (8, 3.0)] {
        let mut tree = TestTree::new(4096);
        let count = 400_000 / (value as u32 + 60);
        for i in 0..count {
            tree.put(&i.to_be_bytes(), &vec![1; value]);
        }
        tree.commit();
        let loaded = tree.pages();
        for commit in 0..count / 8 {
            tree.at = format!("values of {value}, commit {commit}");
            for i in 0..20 {
                let key = number(commit * 20 + i) % count;
                tree.put(&key.to_be_bytes(), &vec![2; value - 1]);
            }
            tree.flush();
            if commit % 8 == 0 {
                tree.commit();
            }
        }
        let fill = fill(&mut tree);
        let pages = tree.pages();
        assert!(fill > 0.65, "values of {value}: {fill} filled");
        assert!(
            (pages as f64) < loaded as f64 * grows,
            "values of {value}: {loaded} pages have become {pages}"
        );
    }
}

/// Entries are deleted in any order, some in each commit, until one in ten is left.
#[test]
fn leaves_that_lose_entries_stay_more_than_half_full() {
    for value in [0, 30, 100, 1000] {
        let mut tree = TestTree::new(4096);
        let count = 600_000 / (value as u32 + 60);
        let mut keys: Vec<_> = (0..count).map(|i| number(i).to_be_bytes()).collect();
        for key in &keys {
            tree.put(key, &vec![1; value]);
        }
        tree.commit();
        keys.sort_by_key(|key| number(u32::from_be_bytes(*key)));
        for (i, key) in keys.iter().enumerate().take(keys.len() * 9 / 10) {
            tree.delete(key);
            if i % 5 == 0 {
                tree.flush();
            }
            if i % (keys.len() / 30) == 0 {
                let (fill, least) = (fill(&mut tree), least_fill(&mut tree));
                assert!(fill > least, "values of {value}, {i} deleted of {count}: {fill} filled");
            }
        }
        let (left, least) = (fill(&mut tree), least_fill(&mut tree));
        assert!(left > least, "values of {value}: {left} filled");
    }
}

/// Updates that leave the size of a leaf as it is write this leaf and the branches above, and nothing else.
#[test]
fn updates_at_constant_size_write_no_neighbours() {
    let mut tree = TestTree::new(4096);
    for i in 0..6000u32 {
        tree.put(&number(i).to_be_bytes(), &[1; 90]);
        // Many small flushes make leaves of every fill.
        if i % 3 == 0 {
            tree.flush();
        }
    }
    tree.commit();
    for round in 0..200u32 {
        tree.put(&number(round * 17 % 6000).to_be_bytes(), &[2; 90]);
        let (now, leaves) = tree.commit();
        let written = leaves.iter().filter(|leaf| leaf.birth == now).count();
        assert_eq!(written, 1, "round {round}");
    }
}

/// Three small dense leaves that do not fit two because their entries would grow: nothing of the attempt is left, and
/// nothing of it is written. Their entries are so many that leaves are placed while others are still being built.
#[test]
fn leaves_that_cannot_be_joined_stay_as_they_are() {
    for seed in 0..40u32 {
        let mut tree = TestTree::new(4096);
        // Keys of a few clusters: the shared beginning of a leaf is long within one, and short across two.
        let key = |i: u32| {
            let cluster = number(seed) as u64 % 7 + u64::from(i / 3000) * 0x0101;
            let mut key = [0; 8];
            key[..6].copy_from_slice(&cluster.to_be_bytes()[2..]);
            key[6..].copy_from_slice(&((i % 3000) as u16).to_be_bytes());
            key
        };
        (0..12_000).for_each(|i| tree.put(&key(i), &[]));
        tree.flush();
        tree.commit();
        for round in 0..6u32 {
            tree.at = format!("seed {seed} round {round}");
            tree.places_pages = true;
            for i in 0..12_000 {
                let at = i / (250 + 100 * (seed % 7));
                if number(at * 31 + round + seed) % 5 == 0 && number(i + round) % 3 != 0 {
                    tree.delete(&key(i));
                }
            }
            tree.flush();
            tree.verify();
            tree.commit();
        }
    }
}

/// Entries go where a position stands, and then others come in a flush: the leaves are joined as if all had come
/// together. That is so, too, if the flush places its pages.
#[test]
fn what_edits_at_positions_take_counts_in_a_later_flush() {
    for places_pages in [false, true] {
        let mut tree = TestTree::new(4096);
        let count = 200 * 20;
        (0..count).for_each(|i: u32| tree.put(&i.to_be_bytes(), &[1; 150]));
        tree.commit();
        for i in (0..count).filter(|i| i % 10 < 6) {
            tree.edit_now(&i.to_be_bytes(), None);
        }
        for i in (6..count).step_by(20) {
            tree.put(&i.to_be_bytes(), &[2; 150]);
        }
        tree.places_pages = places_pages;
        tree.flush();
        let fill = fill(&mut tree);
        assert!(fill > 0.5, "{fill} filled, pages placed early: {places_pages}");
    }
}

/// Every other entry goes where a position stands, so that all leaves are left half full. They become full ones.
#[test]
fn leaves_that_all_lose_half_become_full_ones() {
    for value in [8, 60, 150, 400] {
        let mut tree = TestTree::new(4096);
        let count = 600_000 / (value as u32 + 60);
        (0..count).for_each(|i: u32| tree.put(&number(i).to_be_bytes(), &vec![1; value]));
        tree.commit();
        let keys: Vec<_> = tree.model.keys().cloned().collect();
        for key in keys.iter().step_by(2) {
            tree.edit_now(key, None);
        }
        let fill = fill(&mut tree);
        assert!(fill > 0.8, "values of {value}: {fill} filled");
    }
}
