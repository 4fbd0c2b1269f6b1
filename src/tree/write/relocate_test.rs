//! Relocation of trees of every shape: pages lie before the frontier afterwards, the content is what it was, each page
//! has one use, and no more was read and written than that takes.

use super::relocation::{Relocation, Stop};
use super::test_tree::{TestTree, FRONT};
use crate::ids::{PageNo, Run};

struct Rnd(u64);

impl Rnd {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Returns the kinds of keys: numbers, scattered ones, addresses, and long ones with long separators.
fn key(kind: u64, rnd: &mut Rnd) -> Vec<u8> {
    let n = rnd.below(16_000);
    match kind {
        0 => n.to_be_bytes().to_vec(),
        1 => [&n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes()[..], b"0123456789"].concat(),
        2 => format!("https://www.example{}.com/category/{}/item-{n}", n % 3, n % 5).into_bytes(),
        _ => {
            let mut key = vec![b'k'; [12, 290, 520, 700, 6000][n as usize % 5]];
            let end = key.len();
            key[end - 8..].copy_from_slice(&n.to_be_bytes());
            key
        }
    }
}

/// Returns a tree in which nine of ten entries were deleted again, in some commits.
fn aged(kind: u64, size: usize, rnd: &mut Rnd) -> TestTree {
    let mut tree = TestTree::new(size);
    let long = kind == 3 || rnd.below(2) == 0;
    for _ in 0..4 {
        for _ in 0..if kind == 3 { 400 } else { 4000 } {
            let len = [0, 8, 100, 100, if long { 3 * size as u64 + 5 } else { 100 }][rnd.below(5) as usize];
            tree.put_anywhere(&key(kind, rnd), &vec![rnd.below(256) as u8; len as usize]);
        }
        tree.commit();
    }
    let keys: Vec<Vec<u8>> = tree.model.keys().cloned().collect();
    for key in keys {
        if rnd.below(10) > 0 {
            tree.delete(&key);
        }
    }
    tree.commit();
    tree
}

/// Moves all that lies behind the frontier, in steps of `moves` pages and with other changes between them if `edits`.
fn relocate_all(
    tree: &mut TestTree,
    frontier: PageNo,
    moves: u64,
    mut edits: impl FnMut(&mut TestTree),
) -> (u64, usize) {
    let (mut from, mut reads, mut written) = (Vec::new(), 0, 0);
    for step in 0.. {
        assert!(step < 10_000, "it does not end {}", tree.at);
        let mut work = Relocation {
            moves,
            looks: moves.max(50),
            ..Relocation::new(frontier)
        };
        let before = from.clone();
        let done = tree.relocate(&mut from, tree.front(), &mut work);
        reads += done.0;
        written += done.1;
        assert_eq!(work.left, 0, "there is room for all {}", tree.at);
        match work.stop {
            None => return (reads, written),
            Some(stop) => assert_eq!(stop, Stop::Limit, "{}", tree.at),
        }
        assert!(from > before || work.moved > 0, "it goes on {}", tree.at);
        edits(tree);
    }
    unreachable!("it ends")
}

#[test]
fn all_pages_of_a_relocated_tree_lie_before_the_frontier() {
    for seed in 1..33u64 {
        let mut rnd = Rnd(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (kind, size) = (seed % 4, if seed % 3 == 0 { 8192 } else { 4096 });
        let mut tree = aged(kind, size, &mut rnd);
        tree.at = format!("seed {seed}");
        // All of the tree, or what lies behind some page of it.
        let all: Vec<PageNo> = tree.used().collect();
        let frontier = match rnd.below(3) {
            0 => FRONT.end(),
            _ => all[rnd.below(all.len() as u64) as usize],
        };
        let moves = [all.len() as u64 / 90 + 1, 40, 100, 1 << 20][rnd.below(4) as usize];
        relocate_all(&mut tree, frontier, moves, |_| ());
        assert!(
            tree.used().next_back().is_none_or(|last| last < frontier),
            "seed {seed}"
        );
    }
}

/// Others change the tree between the steps, and put new pages behind the frontier. What they leave alone is moved.
#[test]
fn others_may_write_between_the_steps() {
    for seed in 1..13u64 {
        let mut rnd = Rnd(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut tree = aged(seed % 4, 4096, &mut rnd);
        tree.at = format!("seed {seed}");
        let last = tree.used().next_back().expect("a page");
        relocate_all(&mut tree, FRONT.end(), 9, |tree| {
            for _ in 0..rnd.below(4) {
                let key = key(seed % 4, &mut rnd);
                match rnd.below(2) {
                    0 => tree.delete(&key),
                    _ => tree.put_anywhere(&key, &vec![7; rnd.below(9000) as usize]),
                }
            }
            tree.commit();
        });
        let old = tree.used().filter(|page| *page >= FRONT.end() && *page <= last).count();
        assert_eq!(old, 0, "seed {seed}");
    }
}

/// What is moved in key order takes two to five pages more for each hundred leaves: the branches above them, of which
/// the ends of each step are written twice. Leaves that are not moved are not read.
#[test]
fn branches_are_read_once_and_leaves_only_if_they_move() {
    let mut rnd = Rnd(77);
    let mut tree = TestTree::new(4096);
    for round in 0..8u64 {
        for _ in 0..20_000 {
            let key = rnd.below(u64::MAX).to_be_bytes();
            tree.put(&key, &[round as u8; 100]);
        }
        tree.commit();
    }
    let (_, leaves) = tree.commit();
    let branches = tree.pages() - leaves.len();
    assert!(leaves.len() > 4000 && branches > 30, "a tree of some size");
    let all: Vec<PageNo> = tree.used().collect();
    let frontier = all[all.len() * 2 / 3];
    let behind = all.iter().filter(|page| **page >= frontier).count();

    let (mut from, mut reads, mut written, mut moved) = (Vec::new(), 0, 0, 0);
    loop {
        let mut work = Relocation {
            moves: 512,
            looks: 1 << 20,
            ..Relocation::new(frontier)
        };
        let done = tree.relocate(&mut from, tree.front(), &mut work);
        reads += done.0 as usize;
        written += done.1;
        moved += work.moved;
        if work.stop.is_none() {
            break;
        }
    }
    assert!(tree.used().all(|page| page < frontier));
    assert_eq!(moved, behind as u64, "each page behind the frontier is moved once");
    let steps = behind / 512 + 1;
    assert!(
        reads <= behind + branches + 3 * steps,
        "{reads} read to move {behind} below {branches}"
    );
    let much = behind + branches + 3 * steps;
    assert!(
        written <= much && written * 100 <= behind * 105,
        "{written} written to move {behind}"
    );
}

/// With too few free pages, a step moves what it can, and says so. Nothing is placed elsewhere.
#[test]
fn a_step_stops_before_the_free_pages_are_used_up() {
    for seed in 1..25u64 {
        let mut rnd = Rnd(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut tree = aged(seed % 4, 4096, &mut rnd);
        tree.at = format!("seed {seed}");
        let last = tree.used().next_back().expect("a page");
        let (mut from, mut steps) = (Vec::new(), 0);
        loop {
            let room = 8 + rnd.below(20);
            let mut work = Relocation {
                moves: 1 << 20,
                looks: 1 << 20,
                ..Relocation::new(FRONT.end())
            };
            let before = tree.used().filter(|page| *page >= FRONT.end()).count();
            tree.relocate(&mut from, Run::new(tree.front().first, room), &mut work);
            assert!(tree.used().next_back().is_none_or(|end| end <= last), "seed {seed}");
            let behind = tree.used().filter(|page| *page >= FRONT.end()).count();
            assert_eq!(behind, before - work.moved as usize, "seed {seed}");
            match work.stop {
                // Nothing but long values are left, for which the room was too little when they were met.
                None if steps > 0 && (work.left > 0 || behind == 0) => break,
                None => from.clear(),
                Some(stop) => assert_eq!(stop, Stop::NoRoom),
            }
            steps += 1;
            assert!(steps < 10_000, "seed {seed}");
        }
    }
}

/// Long values stay where they are if no hole takes them, and are counted.
#[test]
fn long_values_without_a_hole_are_left() {
    let mut tree = TestTree::new(4096);
    for i in 0..20u32 {
        tree.put_anywhere(&i.to_be_bytes(), &vec![i as u8; 160 * 1024]);
    }
    tree.commit();
    let mut from = Vec::new();
    let mut work = Relocation {
        moves: 1 << 20,
        looks: 1 << 20,
        ..Relocation::new(FRONT.end())
    };
    // The room is for three of the values, and for leaves and branches.
    tree.relocate(&mut from, Run::new(FRONT.first, 3 * 40 + 10), &mut work);
    assert_eq!((work.stop, work.left), (None, 17 * 40));
    let behind = tree.used().filter(|page| *page >= FRONT.end()).count();
    assert_eq!(behind, 17 * 40, "only the values are left behind");
}

/// A step that has moved enough ends behind an entry, and the next one goes on in the same leaf.
#[test]
fn a_step_ends_between_the_long_values_of_a_leaf() {
    let mut tree = TestTree::new(4096);
    for i in 0..20u32 {
        tree.put_anywhere(&i.to_be_bytes(), &vec![i as u8; 160 * 1024]);
    }
    tree.commit();
    let (mut from, mut steps) = (Vec::new(), 0);
    loop {
        let mut work = Relocation {
            moves: 50,
            looks: 1 << 20,
            ..Relocation::new(FRONT.end())
        };
        tree.relocate(&mut from, tree.front(), &mut work);
        assert!(work.moved <= 50 + 40, "{}", work.moved);
        steps += 1;
        match work.stop {
            None => break,
            Some(stop) => assert_eq!((stop, work.moved > 0), (Stop::Limit, true)),
        }
    }
    assert!(steps >= 10 && tree.used().all(|page| page < FRONT.end()), "{steps}");
}

/// Values of several MiB are divided among holes that do not take all of them, at whole pieces and as far as their
/// leaves have room for longer descriptions.
#[test]
fn long_values_are_divided_among_holes() {
    for (hole, left) in [(1 << 20, 0), (700, 0), (256, 0), (255, 3)] {
        let mut tree = TestTree::new(4096);
        tree.at = format!("holes of {hole} pages");
        for i in 0..3u32 {
            // A leaf takes all of them and some entries.
            tree.put_anywhere(&i.to_be_bytes(), &vec![i as u8; (3 << 20) - 5000 * i as usize]);
            tree.put(&[i as u8], b"short");
        }
        tree.commit();
        tree.cut_holes(hole);
        let mut from = Vec::new();
        let mut work = Relocation {
            moves: 1 << 20,
            looks: 1 << 20,
            ..Relocation::new(FRONT.end())
        };
        tree.relocate(&mut from, FRONT, &mut work);
        let stay = tree.used().filter(|page| *page >= FRONT.end()).count() as u64;
        assert_eq!((work.stop, work.left), (None, stay), "{}", tree.at);
        assert_eq!(stay, left * 767, "{}", tree.at);
    }
}

/// Where nothing lies behind the frontier, a walk comes to its end though no page is free.
#[test]
fn no_room_is_needed_where_nothing_moves() {
    let mut tree = aged(0, 4096, &mut Rnd(99));
    let last = tree.used().next_back().expect("a page");
    for (frontier, stop) in [(last + 1, None), (last, Some(Stop::NoRoom))] {
        let mut work = Relocation {
            moves: 1 << 20,
            looks: 1 << 20,
            ..Relocation::new(frontier)
        };
        tree.relocate(&mut Vec::new(), Run::default(), &mut work);
        assert_eq!((work.stop, work.moved), (stop, 0));
    }
}
