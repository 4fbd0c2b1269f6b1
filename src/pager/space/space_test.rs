//! Tests of the reuse rule and of the mirror of dead space.

use super::zone::ZONE_PAGES;
use super::*;

fn run(first: u64, pages: u64) -> Run {
    Run::new(PageNo::new(first), pages)
}

fn extent((first, pages, birth): (u64, u64, u64)) -> Extent {
    Extent::new(run(first, pages), CommitId::new(birth))
}

/// Returns a record of what died in a commit (first page, pages, birth) and what it took (first page, pages).
fn record(id: u64, freed: &[(u64, u64, u64)], taken: &[(u64, u64)]) -> CommitRecord {
    CommitRecord {
        id: CommitId::new(id),
        runs: Vec::new(),
        freed: freed.iter().copied().map(extent).collect(),
        taken: taken.iter().map(|&(first, pages)| run(first, pages)).collect(),
    }
}

fn horizon(durable: u64, base: u64, held: &[u64]) -> Horizon {
    Horizon {
        durable: CommitId::new(durable),
        base: CommitId::new(base),
        held: held.iter().map(|id| CommitId::new(*id)).collect(),
    }
}

#[test]
fn runs_split_at_zone_borders() {
    let parts: Vec<_> = split(run(ZONE_PAGES - 3, ZONE_PAGES + 5)).collect();
    assert_eq!(
        parts,
        [
            run(ZONE_PAGES - 3, 3),
            run(ZONE_PAGES, ZONE_PAGES),
            run(2 * ZONE_PAGES, 2)
        ]
    );
    assert_eq!(split(run(7, 2)).collect::<Vec<_>>(), [run(7, 2)]);
    assert_eq!(split(run(7, 0)).next(), None);
}

#[test]
fn the_reuse_rule_waits_for_all_three() {
    let mut space = Space::open(100, 0, std::iter::empty());
    space.apply(&record(10, &[(20, 2, 5)], &[]));
    space.refresh(horizon(9, 4, &[]));
    assert_eq!(space.pool.total(), 0, "not durable");
    space.refresh(horizon(10, 4, &[]));
    assert_eq!(space.pool.total(), 0, "still listed by a slot");
    space.refresh(horizon(10, 5, &[3, 7, 12]));
    assert_eq!(space.pool.total(), 0, "held by 7");
    space.refresh(horizon(11, 9, &[7]));
    assert_eq!(space.pool.total(), 0, "still held by 7");
    space.refresh(horizon(11, 9, &[4, 10]));
    assert_eq!(space.pool.total(), 2);
}

#[test]
fn what_was_taken_and_not_used_waits_for_nothing() {
    let unused = record(10, &[(20, 2, 5), (30, 4, 10)], &[]);
    let mut space = Space::open(100, 0, std::iter::empty());
    space.apply(&unused);
    space.refresh(horizon(3, 2, &[1, 2, 9]));
    assert_eq!(space.pool.iter().collect::<Vec<_>>(), [run(30, 4)]);
    assert!(
        space.follow(&record(11, &[], &[(31, 2)])),
        "as another process may take it"
    );
    let mut opened = Space::open(100, 0, std::iter::once(&unused));
    assert_eq!(opened.pool.iter().collect::<Vec<_>>(), [run(30, 4)]);
    let tree = [Dead {
        extent: extent((40, 2, 7)),
        death: CommitId::new(7),
    }];
    opened.unloaded.insert(ZoneNo::of(PageNo::new(0)));
    let loaded = opened.load(ZoneNo::of(PageNo::new(0)), &tree, 100, std::iter::once(&unused));
    assert!(loaded.is_some());
    assert_eq!(opened.pool.iter().collect::<Vec<_>>(), [run(30, 4), run(40, 2)]);
}

#[test]
fn whose_pages_died_is_kept() {
    let own = Extent {
        own: true,
        ..extent((20, 5, 3))
    };
    let mut record = record(10, &[(10, 2, 3)], &[]);
    record.freed.push(own);
    let mut space = Space::open(100, 0, std::iter::empty());
    space.apply(&record);
    space.subtract(run(21, 2));
    let edits = space.edits().expect("memory");
    let kept: Vec<(u64, bool)> = edits
        .iter()
        .filter_map(|edit| edit.dead.map(|dead| (edit.first.get(), dead.extent.own)))
        .collect();
    assert_eq!(kept, [(10, false), (20, true), (23, true)]);
}

#[test]
fn a_zone_is_loaded_under_the_records() {
    let records = [record(5, &[(40, 1, 2)], &[(10, 3)]), record(6, &[(11, 1, 5)], &[])];
    let mut space = Space::open(100, 8, records.iter());
    let zone = ZoneNo::of(PageNo::new(0));
    assert_eq!(space.wanted(false), [zone]);
    assert!(!space.foldable());
    let tree = [Dead {
        extent: extent((9, 9, 1)),
        death: CommitId::new(3),
    }];
    space.load(zone, &tree, 100, records.iter()).expect("load");
    assert!(space.foldable() && space.known_pages() == 8);
    let keys: Vec<(u64, u64)> = space
        .edits()
        .expect("memory")
        .iter()
        .map(|edit| (edit.first.get(), edit.dead.map_or(0, |dead| dead.extent.run.pages)))
        .collect();
    assert_eq!(keys, [(9, 1), (11, 1), (13, 5), (40, 1)]);
    space.refresh(horizon(6, 6, &[]));
    space.join();
    assert_eq!(space.pool.total(), 8);
    let lie = [Dead {
        extent: extent((99, 9, 1)),
        ..tree[0]
    }];
    assert!(space.load(zone, &lie, 100, records.iter()).is_none());
}

#[test]
fn neighbours_join_when_reusable() {
    let mut space = Space::open(100, 0, std::iter::empty());
    space.apply(&record(2, &[(10, 1, 1), (11, 2, 1), (13, 1, 2)], &[]));
    space.refresh(horizon(2, 2, &[]));
    space.join();
    let joined = Dead {
        extent: extent((10, 4, 0)),
        death: CommitId::NONE,
    };
    let edits = [(10, Some(joined)), (11, None), (13, None)].map(|(first, dead)| SpaceEdit {
        first: PageNo::new(first),
        dead,
    });
    assert_eq!(space.edits().expect("memory"), edits);
}

#[test]
fn what_died_in_one_record_may_be_taken_by_the_next() {
    let mut space = Space::open(100, 0, std::iter::empty());
    let now = horizon(12, 11, &[]);
    space.refresh(now.clone());
    assert!(space.follow(&record(10, &[(20, 2, 5)], &[])));
    space.refresh(now);
    assert!(
        space.follow(&record(12, &[], &[(20, 2)])),
        "it died in commit 10, which is durable"
    );
    assert_eq!((space.pool.total(), space.known_pages()), (0, 0));
}

#[test]
fn a_fold_of_another_process_leaves_all_that_is_known_but_the_tree() {
    let records = [
        record(10, &[(20, 1, 5), (21, 2, 6), (40, 1, 9)], &[]),
        record(11, &[(50, 1, 7)], &[(20, 1)]),
    ];
    let [mut folder, mut other] = [0; 2].map(|_| Space::open(100, 0, std::iter::empty()));
    for space in [&mut folder, &mut other] {
        for record in &records {
            space.refresh(horizon(10, 8, &[]));
            assert!(space.follow(record));
        }
    }
    folder.refresh(horizon(11, 10, &[]));
    folder.join();
    assert!(folder.foldable() && !folder.edits().expect("memory").is_empty());
    folder.forget_changes();
    other.tree_changed();
    assert!(!other.foldable(), "how the tree has these extents is not known here");
    assert_eq!(other.changes(), 0);
    let last = record(12, &[(60, 1, 3)], &[(21, 2), (50, 1)]);
    other.refresh(horizon(11, 10, &[]));
    folder.apply(&last);
    assert!(other.follow(&last));
    assert_eq!(folder.known_pages(), other.known_pages());
    assert!(
        folder.changes() > 0 && other.changes() == 0,
        "what is never written is not collected"
    );
    assert!(!other.must_know_tree(FOLD_MIN) && other.must_know_tree(FOLD_MIN + 1));
}
