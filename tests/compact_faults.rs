//! Giving space back, and what may use the last of it, on a disk that is full and after a crash.

mod common;
mod compaction;

use common::sparse::Sparse;
use compaction::{bytes, change, compact, database, drop_table, fill, has_all, is_whole, key, options, PAGE};
use kv::file::Storage;
use kv::page::meta::{Meta, Slot, SLOTS, SLOT_BYTES};
use kv::{CompactOptions, Db, Error, Job, PutMode, ReadAt, Retention, SnapshotOptions, TableId, WriteOptions};

#[test]
fn on_a_full_disk_snapshots_are_dropped_and_entries_deleted() {
    let disk = Sparse::new();
    let db = Db::open_storage(disk.clone(), &options()).expect("open");
    let table = fill(&db, b"table", 2_000);
    let extra: Vec<TableId> = (0..12).map(|n| fill(&db, &[b'e', n], 0)).collect();
    for name in [b"first", b"other"] {
        change(&db, |txn| txn.snapshot_create(name, &SnapshotOptions::default()));
        // All of this replaces what the snapshot keeps.
        fill(&db, b"table", 2_000);
    }
    let policy = Retention {
        yield_after: 1 << 30,
        ..Retention::default()
    };
    change(&db, |txn| txn.set_history(Some(&policy)));
    for extra in &extra {
        change(&db, |txn| txn.put(*extra, b"key", b"value", PutMode::Set).map(drop));
    }
    disk.leave(100);
    let put = |n: u32| -> kv::Result<()> {
        let mut txn = db.begin_write(WriteOptions::default())?;
        txn.put(table, &key(n), &[1; 3_000], PutMode::Set)?;
        txn.commit().map(|_| ())
    };
    let error = (0..100_000).find_map(|n| put(n).err()).expect("the disk is full");
    assert!(matches!(error, Error::NoSpace(_)), "{error}");
    let text = error.to_string();
    assert!(text.contains("named snapshots keep"), "{text}");
    for n in 0..200 {
        let more = put(100_000 + n);
        assert!(matches!(more, Err(Error::NoSpace(_))), "{more:?}");
    }
    // Going back may delete as well, but it may not put what was deleted.
    let before = db.begin_read().expect("begin");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    assert!(txn.delete(table, &key(1_900)).expect("delete"));
    txn.commit().expect("a deletion");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let back = txn.revert(&before, Some(table)).and_then(|_| txn.commit());
    assert!(matches!(back, Err(Error::NoSpace(_))), "{back:?}");
    drop(before);
    // Going back that only deletes adds nothing, and neither does taking a policy away. Nothing comes free meanwhile.
    let mut readers = vec![db.begin_read_at(ReadAt::Snapshot(b"other")).expect("a snapshot")];
    for extra in extra {
        readers.push(db.begin_read().expect("begin"));
        change(&db, |txn| {
            txn.revert(&readers[0], Some(extra))
                .map(|changed| assert_eq!(changed, 1))
        });
    }
    change(&db, |txn| txn.set_history(None));
    drop(readers);
    // Deleting goes on as long as the room lasts that is kept for it.
    for n in 0..10 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        assert!(txn.delete(table, &key(n * 150)).expect("delete"));
        txn.commit().expect("a deletion");
    }
    for name in [b"first", b"other"] {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.snapshot_drop(name).expect("drop");
        txn.commit().expect("a drop");
    }
    compact(&db);
    is_whole(&db);
    put(7).expect("there is room again");
    is_whole(&db);
}

/// Returns which meta slot of a file has its newest commit, and of how many pages the file is by each.
fn newest_slot(bytes: &[u8]) -> (usize, Vec<u64>) {
    let metas = (0..SLOTS).filter_map(|slot| {
        let slot_bytes = bytes[slot * SLOT_BYTES..][..SLOT_BYTES].try_into().expect("a slot");
        match Meta::decode(slot_bytes) {
            Ok(Slot::Valid(meta)) => Some((meta.id, slot, meta.pages)),
            _ => None,
        }
    });
    let metas: Vec<_> = metas.collect();
    let newest = metas.iter().max().expect("a commit").1;
    (newest, metas.iter().map(|(_, _, pages)| *pages).collect())
}

#[test]
fn after_a_crash_the_file_stays_as_long_as_the_commit_before_needs_it() {
    let (dir, path, db) = database();
    let kept = fill(&db, b"kept", 5_000);
    fill(&db, b"other", 120_000);
    drop_table(&db, b"other");
    let before = db.stat().pages;
    for n in 0.. {
        change(&db, |txn| {
            txn.put(kept, &key(n), &[n as u8; 200], PutMode::Set).map(drop)
        });
        if db.stat().pages < before / 2 {
            break;
        }
        assert!(n < 2_000, "no commit has made the file shorter");
    }
    // The machine crashes now.
    let crashed = dir.file("crashed.kv");
    std::fs::copy(&path, &crashed).expect("copy");
    let again = Db::open(&crashed, &options()).expect("open");
    for _ in 0..40 {
        drop(again.begin_write(WriteOptions::default()).expect("begin"));
    }
    let mut image = std::fs::read(&crashed).expect("read");
    let (newest, pages) = newest_slot(&image);
    assert!(pages.contains(&before), "{pages:?}");
    // And once more, and the newest slot cannot be read then. The one before is of a longer file.
    image[newest * SLOT_BYTES + 100] ^= 1;
    let damaged = dir.file("damaged.kv");
    std::fs::write(&damaged, &image).expect("write");
    let opened = Db::open(&damaged, &options()).expect("the commit before");
    assert_eq!(opened.stat().pages, before);
    is_whole(&opened);
    drop(opened);
    // Two commits later, nobody needs that any more.
    let report = compact(&again);
    assert!(bytes(&crashed) < before * PAGE / 2, "{report:?}");
    is_whole(&again);
}

#[test]
fn where_nothing_can_move_the_free_end_is_cut_all_the_same() {
    let disk = Sparse::new();
    let db = Db::open_storage(disk.clone(), &options()).expect("open");
    fill(&db, b"first", 20_000);
    let kept = fill(&db, b"kept", 10_000);
    fill(&db, b"behind", 5_000);
    drop_table(&db, b"first");
    let punch = CompactOptions {
        stay: true,
        punch: true,
    };
    db.compact(&punch, &Job::silent()).expect("compact");
    drop_table(&db, b"behind");
    for n in 0..20 {
        change(&db, |txn| {
            txn.put(kept, &key(n * 400), &[(n * 400) as u8; 200], PutMode::Set)
                .map(drop)
        });
    }
    // Too little for the pages that could move to the front.
    disk.leave(16);
    let before = disk.len().expect("the length");
    let report = db.compact(&CompactOptions::default(), &Job::silent());
    let report = report.expect("what can be given back is given back");
    let after = disk.len().expect("the length");
    assert!(after + 150 * PAGE < before, "{before} -> {after}: {report:?}");
    has_all(&mut db.begin_read().expect("read"), kept, 10_000);
    is_whole(&db);
}
