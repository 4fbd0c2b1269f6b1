//! Tests of the tests: an engine with a bug put in on purpose is caught, each time, by the search that guards against
//! it. Needs `--features seeded-bugs`; `src/util/seeded.rs` lists the bugs.
//!
//! One bug at a time is on, for the whole process: the tests take turns.

mod common;
mod crashes;
mod engine;
mod engine_run;
mod machine;
mod toy;
mod toy_run;

use common::tmp::TempDir;
use kv::catalogue::snapshot;
use kv::file::sim::{Cut, Fault, Random, SimDisk};
use kv::file::Storage;
use kv::page::PageSource;
use kv::pager::{fold_often, set_clock, CreateMode, Descriptor, Durability, Pager, PagerOptions, Verify};
use kv::util::seeded::{self, Bug};
use kv::Error;
use kv::{CommitId, Db, Options, PageNo, PutMode, Range, Reader, Retention, SnapshotOptions, TableId, WriteOptions};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard};

static TURN: Mutex<()> = Mutex::new(());

/// Keeps other tests waiting until it is dropped. A bug is on for the whole process, so what a test does while none of
/// its own is on must not meet that of another test either.
fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

/// Keeps a bug on until dropped.
struct On;

impl On {
    fn new(bug: Option<Bug>) -> On {
        seeded::set(bug);
        On
    }
}

impl Drop for On {
    fn drop(&mut self) {
        seeded::set(None);
    }
}

fn options() -> PagerOptions {
    PagerOptions {
        page_size: 4096,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    }
}

/// Crashes within which a bug must be found.
const BOUND: u64 = 300_000;
/// Crashes one database goes through.
const ROUNDS: u64 = 250;

/// Crashes until the search of `crash.rs` fails, and what it says.
fn search() -> Option<(u64, String)> {
    let mut points = 0;
    for seed in 1.. {
        if points >= BOUND {
            break;
        }
        let found = std::panic::catch_unwind(|| toy_run::run(seed, ROUNDS, false));
        match found {
            Ok((run, Ok(()))) => points += run.counts.points,
            Ok((run, Err(what))) => return Some((points + run.counts.points, what)),
            Err(_) => return Some((points, "it panicked".into())),
        }
    }
    None
}

#[test]
fn every_bug_of_the_protocol_is_caught() {
    let _turn = turn();
    let none = On::new(None);
    assert_eq!(
        toy_run::run(1, ROUNDS, false).1,
        Ok(()),
        "without a bug nothing is found"
    );
    drop(none);
    let mut missed = Vec::new();
    let bugs = [
        Bug::SkipSync,
        Bug::AcceptUnverified,
        Bug::ListOwnOnly,
        Bug::ReuseEarly,
        Bug::ReuseHeld,
        Bug::ReuseUndurable,
        Bug::SlotOfSyncing,
        Bug::SlotOfTip,
        Bug::SlotOfDurable,
        Bug::RecoverUnsynced,
        Bug::KeepRejected,
        Bug::ReuseIds,
        Bug::ShowUndurable,
        Bug::CutUndurable,
    ];
    for bug in bugs {
        let _on = On::new(Some(bug));
        match search() {
            Some((points, what)) => println!("{bug:?}: after {points} crashes: {what}"),
            None => missed.push(bug),
        }
    }
    println!(
        "seeded-bugs: {} passed, {} failed",
        bugs.len() - missed.len(),
        missed.len()
    );
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// The bugs of snapshots are caught by the search of `crash_db.rs`.
#[test]
fn every_bug_of_snapshots_is_caught() {
    let _turn = turn();
    let bugs = [
        None,
        Some(Bug::ReuseSnapshots),
        Some(Bug::DropUndurable),
        Some(Bug::ForgetReaped),
        Some(Bug::ForgetUndurable),
        Some(Bug::ReapLittle),
        Some(Bug::ReuseOwn),
    ];
    caught_by_the_engine(&bugs);
}

/// Those of the policy are, too, since it has the history that commits record by themselves.
#[test]
fn every_bug_of_the_policy_is_caught() {
    let _turn = turn();
    let bugs = [Bug::RecordNone, Bug::ThinOneMore, Bug::DropKept, Bug::TrustClock];
    caught_by_the_engine(&bugs.map(Some));
}

/// Asserts that the search of `crash_db.rs` finds each of these bugs, and nothing without one.
fn caught_by_the_engine(bugs: &[Option<Bug>]) {
    let mut missed = Vec::new();
    for bug in bugs.iter().copied() {
        let _on = On::new(bug);
        let most = if bug.is_some() { 400 } else { 6 };
        let found = (1..most).find_map(|seed| {
            let run = catch_unwind(|| engine_run::run(seed).1);
            run.unwrap_or(Err("it panicked".into())).err().map(|what| (seed, what))
        });
        println!("{bug:?}: {found:?}");
        if bug.is_some() != found.is_some() {
            missed.push(bug);
        }
    }
    // It set the clock of the process, and had it fold often.
    set_clock(0);
    fold_often(false);
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

/// A leaf takes over the interval of a neighbour that has vanished. If it were the page that it was, nothing would show
/// that there were keys in it.
#[test]
fn a_leaf_that_does_not_show_that_it_grew_is_caught() {
    let _turn = turn();
    let missed = |bug| {
        let _on = On::new(bug);
        let disk = Arc::new(SimDisk::new(1).expect("disk"));
        let db = Db::open_storage(disk, &Options::default()).expect("create");
        let mark = SnapshotOptions {
            replace: true,
            mark: true,
            ..SnapshotOptions::default()
        };
        // Some of these ranges are whole leaves.
        let ranges = (50..100u32).flat_map(|first| (20..80).map(move |len| first..first + len));
        let not_told = ranges.filter(|range| {
            let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
            for n in 0..300u32 {
                txn.put(TableId::MAIN, &n.to_be_bytes(), &[7; 100], PutMode::Set)
                    .expect("put");
            }
            txn.snapshot_create(b"mark", &mark).expect("create");
            txn.commit().expect("commit");
            let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
            for n in range.clone() {
                assert!(txn.delete(TableId::MAIN, &n.to_be_bytes()).expect("delete"));
            }
            txn.commit().expect("commit");
            let mut told = 0;
            let mut read = &db.begin_read().expect("read");
            let ranges = read.snapshot_ranges(b"mark", TableId::MAIN, &Range::default(), &mut |changed| {
                let is_in = |key: &[u8; 4]| changed.low <= &key[..] && changed.high.is_none_or(|high| high > &key[..]);
                told += range.clone().map(u32::to_be_bytes).filter(is_in).count();
                true
            });
            ranges.expect("ranges");
            told < range.len()
        });
        not_told.count()
    };
    assert_eq!(missed(None), 0);
    assert!(missed(Some(Bug::KeepWidened)) > 0);
}

/// Runs transactions of which parts are undone, until one is not what it must be, and says so.
fn undo_parts() -> Result<(), String> {
    for seed in 0..60 {
        let disk = Arc::new(SimDisk::new(seed).map_err(|e| e.to_string())?);
        let db = Db::open_storage(disk, &Options::default()).map_err(|e| e.to_string())?;
        let (mut random, mut model) = (Random::new(seed), engine::Model::default());
        for n in 0..40 {
            let options = WriteOptions {
                // Half of the transactions place their pages at once.
                write_memory: (n % 2 == 0).then_some(1),
                ..WriteOptions::default()
            };
            let mut txn = db.begin_write(options).map_err(|e| e.to_string())?;
            for _ in 0..8 {
                for what in [engine::Step::Put, engine::any(&mut random), engine::Step::Nested] {
                    engine::step(&mut txn, &mut model, &mut random, what).map_err(|stop| format!("{stop:?}"))?;
                }
            }
            model.take_snapshots();
            txn.commit().map_err(|e| e.to_string())?;
            engine::compare(&db.begin_read().map_err(|e| e.to_string())?, &model)?;
            engine::compare_snapshots(&db, &model)?;
            engine::account(&db)?;
        }
    }
    Ok(())
}

#[test]
fn every_bug_of_savepoints_is_caught() {
    let _turn = turn();
    assert_eq!(undo_parts(), Ok(()));
    for bug in [Bug::EditSaved, Bug::TakeSaved, Bug::KeepReleased] {
        let _on = On::new(Some(bug));
        let caught = catch_unwind(AssertUnwindSafe(undo_parts));
        println!("{bug:?}: {caught:?}");
        assert!(!matches!(caught, Ok(Ok(()))), "{bug:?} is not caught");
    }
}

/// A snapshot of what is committed may be one to keep, and the automatic one of the same commit is not.
#[test]
fn a_snapshot_that_takes_over_what_is_another_one_s_is_caught() {
    let _turn = turn();
    let automatic = |bug| {
        let _on = On::new(bug);
        let disk = Arc::new(SimDisk::new(1).expect("disk"));
        let db = Db::open_storage(disk, &Options::default()).expect("create");
        let policy = Retention {
            interval: 1 << 30,
            last: 1,
            ..Retention::default()
        };
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let keep = SnapshotOptions {
            keep: true,
            ..SnapshotOptions::default()
        };
        txn.snapshot_create(b"release", &keep).expect("create");
        txn.set_history(Some(&policy)).expect("set");
        txn.commit().expect("commit");
        let read = db.begin_read().expect("read");
        (&mut &read)
            .snapshot(b"auto/2026-11-30T00:00:00Z")
            .expect("a snapshot")
            .keep
    };
    // 2026-11-30.
    set_clock(20_787 * 86_400 * 1_000_000_000);
    let kept = [None, Some(Bug::TakeOverKeep)].map(automatic);
    set_clock(0);
    assert_eq!(
        kept,
        [false, true],
        "the bug makes no difference, or it is always there"
    );
}

#[test]
fn bugs_among_processes_are_caught() {
    let _turn = turn();
    let bugs = [
        None,
        Some(Bug::BelieveAfterDeath),
        Some(Bug::SkipSync),
        Some(Bug::ReuseHeld),
        Some(Bug::SlotOfTip),
        Some(Bug::ForgetCuts),
    ];
    for bug in bugs {
        let _on = On::new(bug);
        // Each killed process leaves its maps, so there cannot be very many.
        let most = if bug.is_some() { 60 } else { 20 };
        let found = (1..most).find_map(|seed| {
            let run = catch_unwind(|| machine::world::run(seed, 400).1);
            run.unwrap_or(Err("it panicked".into())).err().map(|what| (seed, what))
        });
        println!("{bug:?}: {found:?}");
        // Killed processes leave their maps, and what comes of a lack of addresses proves nothing.
        assert!(SimDisk::new(1).is_ok(), "no addresses are left");
        assert_eq!(bug.is_some(), found.is_some(), "{bug:?}");
    }
}

/// A toy database after some commits: its disk, the newest commit, and the root pages of the last two.
fn two_commits() -> (Arc<SimDisk>, CommitId, [PageNo; 2]) {
    let disk = Arc::new(SimDisk::new(3).expect("disk"));
    let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
    let mut random = Random::new(3);
    let mut roots = [PageNo::default(); 2];
    // One lazy commit among the last: it is in a third slot, whole, and older than what became durable after it.
    let last = [Durability::Full, Durability::Lazy, Durability::Full, Durability::Full];
    for durability in std::iter::repeat_n(Durability::Full, 16).chain(last) {
        while toy::commit(&pager, &mut random, durability, 4)
            .expect("write lock")
            .is_none()
        {}
        roots = [roots[1], pager.newest().roots.main.ptr.page.number()];
    }
    let newest = pager.newest().id;
    (disk, newest, roots)
}

#[test]
fn going_back_below_what_was_durable_is_caught() {
    let _turn = turn();
    let open = |bug| {
        let _on = On::new(bug);
        let (disk, newest, roots) = two_commits();
        for root in roots {
            disk.write_at(root.offset(4096), b"damage").expect("write");
        }
        (newest, Pager::open(disk, &options()).map(|(_, found)| found.id))
    };
    assert!(matches!(open(None), (_, Err(Error::Corrupt(_)))));
    let (newest, found) = open(Some(Bug::GoBack));
    assert!(
        found.is_ok_and(|id| id.get() + 2 <= newest.get()),
        "the bug makes no difference"
    );
}

#[test]
fn a_forgotten_failure_of_a_sync_is_caught() {
    let _turn = turn();
    // A commit acknowledged although its sync failed is not there after a power cut.
    let lost = |bug| {
        let _on = On::new(bug);
        (1..40)
            .filter(|call| {
                let disk = Arc::new(SimDisk::new(*call).expect("disk"));
                let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
                disk.fail_after(*call, Fault::Io, false);
                let mut random = Random::new(1);
                let done = toy::commit(&pager, &mut random, Durability::Full, 4).expect("write lock");
                drop(pager);
                let after = disk.crash(1, Cut::AllLost).expect("crash");
                let (_, found) = Pager::open(Arc::new(after), &options()).expect("open");
                done.is_some_and(|done| done.answer.is_ok_and(|id| id > found.id))
            })
            .count()
    };
    assert_eq!(lost(None), 0);
    assert!(lost(Some(Bug::ForgetFailedSync)) > 0, "the bug makes no difference");
}

#[test]
fn a_commit_after_a_call_that_failed_is_caught() {
    let _turn = turn();
    let commit = |bug| {
        let _on = On::new(bug);
        let disk = Arc::new(SimDisk::new(1).expect("disk"));
        let db = Db::open_storage(disk.clone(), &Options::default()).expect("create");
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(TableId::MAIN, b"a", b"1", PutMode::Set).expect("put");
        // Every call: one alone may be of those that grow the file ahead, whose failure is nobody's business.
        disk.fail_after(1, Fault::Io, true);
        assert!(txn.put(TableId::MAIN, b"b", &[1; 9000], PutMode::Set).is_err());
        disk.heal();
        txn.commit()
    };
    assert!(matches!(commit(None), Err(Error::TxnFailed(_))));
    assert!(commit(Some(Bug::CommitFailed)).is_ok(), "the bug makes no difference");
}

#[test]
fn a_panic_in_a_call_ends_the_transaction_and_nothing_else() {
    let _turn = turn();
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let db = Db::open_storage(disk, &Options::default()).expect("create");
    let put = |key: &[u8]| -> kv::Result<CommitId> {
        let mut txn = db.begin_write(WriteOptions::default())?;
        txn.put(TableId::MAIN, key, b"1", PutMode::Set)?;
        txn.commit()
    };
    let first = put(b"a").expect("commit");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.delete(TableId::MAIN, b"a").expect("delete");
    let on = On::new(Some(Bug::PanicInPut));
    let panic = catch_unwind(AssertUnwindSafe(|| txn.put(TableId::MAIN, b"b", b"2", PutMode::Set)));
    drop(on);
    assert!(panic.is_err());
    // What the C library does with a panic that it caught.
    txn.poison();
    assert!(matches!(
        txn.put(TableId::MAIN, b"c", b"3", PutMode::Set),
        Err(Error::TxnFailed(_))
    ));
    assert!(matches!(txn.delete(TableId::MAIN, b"c"), Err(Error::TxnFailed(_))));
    assert!(matches!(txn.commit(), Err(Error::TxnFailed(_))));
    // The write lock is free and the database as it was.
    assert_eq!(put(b"d").expect("commit"), first.next());
    let read = db.begin_read().expect("read");
    let found = [&b"a"[..], b"b", b"c", b"d"].map(|key| read.get(TableId::MAIN, key).expect("get").is_some());
    assert_eq!(found, [true, false, false, true]);
    let report = db.check(true, &mut |_| true).expect("check");
    assert_eq!(report.faults, 0);
    // A transaction that is dropped by the panic itself gives the write lock back, too.
    let on = On::new(Some(Bug::PanicInPut));
    assert!(catch_unwind(AssertUnwindSafe(|| put(b"e"))).is_err());
    drop(on);
    assert_eq!(put(b"f").expect("commit"), first.next().next());
}

#[test]
fn a_panic_after_the_slot_was_written_leaves_the_database_in_doubt_and_not_damaged() {
    let _turn = turn();
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let put = |db: &Db, key: &[u8]| -> kv::Result<CommitId> {
        let mut txn = db.begin_write(WriteOptions::default())?;
        txn.put(TableId::MAIN, key, &[7; 3000], PutMode::Set)?;
        txn.commit()
    };
    let db = Db::open_storage(disk.clone(), &Options::default()).expect("create");
    let first = put(&db, b"a").expect("commit");
    let on = On::new(Some(Bug::PanicAfterSlot));
    assert!(matches!(put(&db, b"b"), Err(Error::InDoubt(why)) if why.contains("seeded")));
    drop(on);
    // The slot names pages that the writer would otherwise give to the next commit.
    assert!(matches!(put(&db, b"c"), Err(Error::Poisoned)));
    drop(db);
    let db = Db::open_storage(disk, &Options::default()).expect("open");
    assert_eq!(db.check(true, &mut |_| true).expect("check").faults, 0);
    let read = db.begin_read().expect("read");
    let found = [&b"a"[..], b"b", b"c"].map(|key| read.get(TableId::MAIN, key).expect("get").is_some());
    assert_eq!(found, [true, true, false], "the whole commit, since nothing crashed");
    drop(read);
    assert!(put(&db, b"d").expect("commit") > first.next());
}

#[test]
fn a_panic_after_publishing_is_a_commit_in_doubt_and_one_before_it_is_none() {
    let _turn = turn();
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let put = |db: &Db, key: &[u8]| -> kv::Result<CommitId> {
        let mut txn = db.begin_write(WriteOptions::default())?;
        txn.put(TableId::MAIN, key, b"v", PutMode::Set)?;
        txn.commit()
    };
    let db = Db::open_storage(disk.clone(), &Options::default()).expect("create");
    put(&db, b"a").expect("commit");
    let on = On::new(Some(Bug::PanicInPut));
    assert!(catch_unwind(AssertUnwindSafe(|| put(&db, b"b"))).is_err());
    seeded::set(Some(Bug::PanicAfterPublish));
    assert!(matches!(put(&db, b"c"), Err(Error::InDoubt(_))));
    drop(on);
    // It was published, so the next commit builds on it, and the sync of that one is its own, too.
    put(&db, b"d").expect("commit");
    drop(db);
    let db = Db::open_storage(disk, &Options::default()).expect("open");
    assert_eq!(db.check(true, &mut |_| true).expect("check").faults, 0);
    let read = db.begin_read().expect("read");
    let found = [&b"a"[..], b"b", b"c", b"d"].map(|key| read.get(TableId::MAIN, key).expect("get").is_some());
    assert_eq!(found, [true, false, true, true]);
}

/// Puts values of a page each, and makes the commit durable.
fn fill(db: &Db, byte: u8) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in 0..40u8 {
        txn.put(TableId::MAIN, &[n], &[byte; 1200], PutMode::Set).expect("put");
    }
    txn.commit().expect("commit");
}

#[test]
fn a_snapshot_that_is_dropped_while_it_is_opened_is_caught() {
    let _turn = turn();
    // What a reader of the snapshot reads that goes on with what it found in the list before the drop.
    let opened = |bug| {
        let _on = On::new(bug);
        let dir = TempDir::new("dropped");
        let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("create");
        let (pager, _) = kv::pager::open_file(&dir.file("a.kv"), CreateMode::Open, &options()).expect("the same pager");
        fill(&db, 1);
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.snapshot_create(b"s", &SnapshotOptions::default()).expect("create");
        txn.commit().expect("commit");
        fill(&db, 2);
        let mut looks = 0;
        let reader = pager.begin_read_at(|newest| {
            let list = newest.desc().roots.snapshots;
            let mut found = None;
            snapshot::each(&newest.view(), &list, |key, record| {
                found = (key == b"s").then_some(record);
                Ok(found.is_none())
            })?;
            looks += 1;
            let record = found.ok_or(Error::NotFound)?;
            if looks == 1 {
                let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
                txn.snapshot_drop(b"s").expect("drop");
                txn.commit().expect("commit");
                db.reclaim().expect("reclaim");
                (3..9).for_each(|byte| fill(&db, byte));
            }
            Ok(Some(Descriptor {
                id: record.commit,
                pages: record.file_pages,
                roots: record.roots(),
            }))
        });
        reader.and_then(|reader| {
            let page = reader.desc().roots.main.ptr;
            PageSource::page(&reader.view(), &page).map(|_| ())
        })
    };
    assert!(matches!(opened(None), Err(Error::NotFound)));
    let wrong = opened(Some(Bug::TrustOldList));
    assert!(
        matches!(wrong, Err(Error::Corrupt(_))),
        "the bug makes no difference: {wrong:?}"
    );
}

/// A reader began before the file shrank, and may reach as far as it did.
#[test]
fn a_cut_under_a_reader_is_caught() {
    let _turn = turn();
    let reach = |bug| {
        let _on = On::new(bug);
        let disk = Arc::new(SimDisk::new(5).expect("disk"));
        let db = Db::open_storage(disk.clone(), &Options::default()).expect("open");
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let table = txn.table_create(b"large", false).expect("table");
        for n in 0..4000u32 {
            txn.put(table, &n.to_be_bytes(), &[7; 200], PutMode::Set).expect("put");
        }
        txn.commit().expect("commit");
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.table_drop(table).expect("drop");
        txn.commit().expect("commit");
        let reader = db.begin_read().expect("read");
        let before = disk.len().expect("length");
        let report = db
            .compact(&kv::CompactOptions::default(), &kv::Job::silent())
            .expect("compact");
        drop(reader);
        (report.held.is_some(), disk.len().expect("length") == before)
    };
    assert_eq!(reach(None), (true, true), "the reader is in the way");
    assert!(!reach(Some(Bug::CutUnderReaders)).1, "the file was cut under it");
}
