//! Tests of the reuse rule and of the mirror of dead space.

use super::zone::ZONE_PAGES;
use super::*;
use crate::pager::chunks::SortedChunks;
use crate::pager::recorded::{RecordedCommit, RecordedCommits};
use std::sync::Arc;

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
        readers: held.iter().map(|id| CommitId::new(*id)).collect(),
        snapshots: Some(Arc::default()),
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
fn what_the_file_has_no_more_is_neither_dead_nor_free() {
    let mut space = Space::open(100, 0, std::iter::empty());
    space.apply(&record(10, &[(20, 2, 5), (80, 20, 5)], &[]));
    space.refresh(horizon(11, 10, &[]));
    space.set_aside(run(95, 5), PageNo::new(100));
    assert_eq!(
        (space.pool.total(), space.free_pages(), space.known_pages()),
        (17, 22, 22)
    );
    space.leave_out(PageNo::new(100), PageNo::new(100));
    assert_eq!(space.known_pages(), 22, "the file is as long as before");
    // Whoever shrinks the file has taken the free run at its end out of the pool before.
    space.pool.remove(run(90, 10));
    space.leave_out(PageNo::new(90), PageNo::new(100));
    space.use_all();
    assert_eq!(space.pool.iter().collect::<Vec<_>>(), [run(20, 2), run(80, 10)]);
    assert_eq!((space.free_pages(), space.known_pages()), (12, 12));
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
    let edits = space.edits(&[], PageNo::END).expect("memory");
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
        .edits(&[], PageNo::END)
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

/// A zone may be loaded when pages of it were taken already, and readers have begun that seem to see them.
#[test]
fn what_was_reusable_when_it_was_taken_is_held_by_no_later_reader() {
    let records = [record(5, &[(40, 3, 4), (50, 1, 4)], &[])];
    let mut space = Space::open(100, 9, records.iter());
    space.refresh(horizon(5, 4, &[]));
    assert_eq!(space.pool.total(), 4);
    let taken = run(41, 1);
    space.pool.remove(taken);
    let zone = ZoneNo::of(PageNo::new(0));
    space.load(zone, &[], 100, records.iter()).expect("load");
    space.keep_reusable([taken].into_iter());
    space.refresh(horizon(5, 4, &[4]));
    space.pool.remove(taken);
    assert_eq!((space.pool.total(), space.held_pages()), (2, 1));
    // The page that was taken is in use from commit 6 on, and died in commit 7, which is not durable when the reader
    // ends.
    space.apply(&record(6, &[], &[(40, 2)]));
    space.apply(&record(7, &[(40, 2, 6)], &[]));
    space.pool.remove(run(40, 2));
    space.refresh(horizon(6, 5, &[]));
    let free: Vec<Run> = space.pool.iter().collect();
    assert_eq!((free, space.held_pages()), (vec![run(42, 1), run(50, 1)], 0));
}

#[test]
fn what_has_no_room_is_set_aside_and_comes_back_but_for_what_the_file_does_not_have_yet() {
    let records = [record(5, &[(40, 4, 5)], &[])];
    let mut space = Space::open(44, 4, records.iter());
    assert_eq!(space.pool.total(), 4);
    // A transaction has grown the file and given most of that back.
    space.pool.insert(run(44, 8));
    space.set_aside(run(42, 10), PageNo::new(44));
    assert_eq!(
        (space.pool.total(), space.free_pages(), space.waiting_pages()),
        (2, 4, 0)
    );
    space.use_all();
    assert_eq!(space.pool.iter().collect::<Vec<Run>>(), [run(40, 4)]);
    space.set_aside(run(40, 4), PageNo::new(44));
    space.leave_out(PageNo::new(42), PageNo::new(44));
    space.use_all();
    assert_eq!(space.pool.iter().collect::<Vec<Run>>(), [run(40, 2)]);
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
    assert_eq!(space.edits(&[], PageNo::END).expect("memory"), edits);
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
    assert!(folder.foldable() && !folder.edits(&[], PageNo::END).expect("memory").is_empty());
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

/// The commits 6 and 8 with snapshots.
fn snapshots() -> Arc<SortedChunks<CommitId>> {
    Arc::new(SortedChunks::of(&[6, 8].map(CommitId::new)))
}

#[test]
fn what_snapshots_see_is_parked_and_comes_back_as_it_was() {
    let mut space = Space::open(100, 0, std::iter::empty());
    let own = Extent {
        own: true,
        ..extent((50, 1, 2))
    };
    let mut died = record(10, &[(20, 2, 5), (30, 1, 7), (40, 4, 9)], &[]);
    died.freed.push(own);
    space.apply(&died);
    let unknown = Horizon {
        snapshots: None,
        ..horizon(12, 11, &[])
    };
    space.refresh(unknown);
    assert_eq!(space.pool.total(), 0, "the list of snapshots is not known");
    let seen = |readers: &[u64]| Horizon {
        snapshots: Some(snapshots()),
        ..horizon(12, 11, readers)
    };
    space.refresh(seen(&[]));
    let free: Vec<Run> = space.pool.iter().collect();
    assert_eq!(free, [run(40, 4), run(50, 1)], "no snapshot sees these");
    // Only what is named is parked.
    let list = |all: &[(u64, u32)]| {
        let one = |&(commit, names): &(u64, u32)| RecordedCommit {
            commit: CommitId::new(commit),
            names,
            dropped: CommitId::new(12),
        };
        RecordedCommits::new(all.iter().map(one).collect())
    };
    let fold = CommitId::new(13);
    assert!(space
        .parkable(fold, &list(&[(6, 1), (8, 0)]))
        .expect("memory")
        .is_empty());
    let parked = space.parkable(fold, &list(&[(6, 1), (8, 1)])).expect("memory");
    let pages: Vec<u64> = parked.iter().map(|parked| parked.extent.run.first.get()).collect();
    assert_eq!(pages, [20, 30], "both are seen by 8");
    let edits = space.edits(&parked, PageNo::END).expect("memory");
    let gone = edits.iter().filter(|edit| edit.dead.is_none());
    assert_eq!(gone.map(|edit| edit.first.get()).collect::<Vec<_>>(), [20, 30]);
    space.park(&parked);
    assert_eq!((space.known_pages(), space.held_pages()), (5, 0));
    space.unpark(&parked);
    space.refresh(seen(&[]));
    assert_eq!((space.known_pages(), space.held_pages()), (8, 3), "they are still seen");
    space.refresh(horizon(13, 12, &[5]));
    assert_eq!(
        (space.pool.total(), space.held_pages()),
        (6, 2),
        "a reader sees one of them"
    );
    space.refresh(horizon(13, 12, &[]));
    assert_eq!(space.pool.total(), 8);
}
