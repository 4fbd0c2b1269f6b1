//! Thousands of snapshots: figures and drops read what they count and free, however much is kept for the others.

mod common;

use common::env_number;
use common::in_memory::{self, change};
use common::rng::Rng;
use kv::txn::search_count;
use kv::{Db, PutMode, SnapshotOptions, TableId, Wait};

fn name(n: u64) -> Vec<u8> {
    format!("{n:06}").into_bytes()
}

/// Returns a database with snapshots 0 to `snapshots`, between each two of which some thirty pages were replaced.
fn history(snapshots: u64) -> Db {
    let db = in_memory::open();
    let mut random = Rng::new(0x5EED_5EED);
    change(&db, |txn| {
        for key in 0..60_000u32 {
            txn.put(TableId::MAIN, &key.to_be_bytes(), &[0; 100], PutMode::Set)
                .expect("put");
        }
    });
    for n in 0..snapshots {
        change(&db, |txn| {
            for _ in 0..28 {
                let key = random.below(60_000) as u32;
                txn.put(TableId::MAIN, &key.to_be_bytes(), &[n as u8; 100], PutMode::Set)
                    .expect("put");
            }
            txn.snapshot_create(&name(n), &SnapshotOptions::default())
                .expect("create");
        });
    }
    db.sync().expect("sync");
    db
}

#[test]
fn figures_and_drops_read_what_they_count() {
    let snapshots = env_number("KV_MANY_SNAPSHOTS", 10_000);
    let db = history(snapshots);
    let parked = db.stat().parked_pages;
    assert!(parked > snapshots * 20, "{parked} pages are parked");

    // What each alone keeps, which is a part of what is kept for all.
    let before = search_count();
    let costs = db.snapshot_costs(Wait::Try).expect("costs");
    let alone: u64 = costs.iter().map(|(_, pages)| pages).sum();
    let (entries, seeks) = (
        search_count().entries - before.entries,
        search_count().seeks - before.seeks,
    );
    println!("alone: {alone} pages of {parked}, {entries} entries, {seeks} seeks");
    assert!(alone > snapshots && alone * 2 < parked);
    assert!(
        entries <= alone + seeks,
        "{alone} pages, {entries} entries, {seeks} seeks"
    );
    assert!(seeks <= 3 * snapshots, "{seeks} seeks");
    for at in [0, 1, snapshots / 2, snapshots - 1] {
        let (name, cost) = &costs[at as usize];
        assert_eq!(db.snapshot_cost(name, name).expect("cost"), *cost);
    }
    let all = db.snapshot_cost(&name(0), &name(snapshots - 1)).expect("cost");
    assert!(all >= parked, "{all} of {parked}");

    // Every tenth stays.
    let before = search_count();
    change(&db, |txn| {
        let dropped = (0..snapshots).filter(|n| n % 10 != 0);
        dropped.for_each(|n| txn.snapshot_drop(&name(n)).expect("drop"));
    });
    let freed = db.reclaim().expect("reclaim");
    let (entries, seeks) = (
        search_count().entries - before.entries,
        search_count().seeks - before.seeks,
    );
    println!("thinned: {freed} pages freed, {entries} entries, {seeks} seeks");
    assert!(freed > snapshots * 2);
    assert!(
        entries * 10 <= (freed + seeks) * 11,
        "{freed} pages, {entries} entries, {seeks} seeks"
    );
    assert!(seeks <= 4 * snapshots, "{seeks} seeks");
    let left = db
        .snapshot_cost(&name(0), &name((snapshots - 1) / 10 * 10))
        .expect("cost");
    // What died last is not parked yet.
    let stat = db.stat();
    assert!(
        (stat.parked_pages..=stat.parked_pages + stat.pending_pages).contains(&left),
        "{left}: {stat:?}"
    );
}
