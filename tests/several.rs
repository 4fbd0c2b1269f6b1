//! Several processes on one simulated disk: each can be killed in the middle of any call, an error of a sync can die
//! with the one who saw it, and the power can fail. Whatever happens, nobody who lives sees a change in what it holds,
//! no right stays taken, and what was acknowledged is found.
//!
//! Actions come one after the other, except that a sync of one process can have commits and kills of others in it. The
//! store is the toy without trees.

mod crashes;
mod machine;
mod toy;

use crashes::setting;
use kv::file::sim::SimDisk;
use kv::ids::CommitId;
use kv::page::{Extent, Lifetime, PageSink, Roots};
use kv::pager::{Durability, Pager, PagerOptions, RecordedCommits, Shrink, SpaceChange, Verify, Wait};
use kv::util::crc32c;
use kv::{Error, Result};
use machine::world::{run, Counts};
use machine::{Death, Disk, Machine, Process};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::Arc;

/// Actions of one database.
const ACTIONS: u64 = 400;

#[test]
#[cfg_attr(
    target_pointer_width = "32",
    ignore = "what a killed process of the simulation had mapped stays mapped, and 32 bits have no addresses for that"
)]
fn processes_that_are_killed_harm_nobody() {
    let (first, runs) = (setting("KV_SEED").unwrap_or(1), setting("KV_SEVERAL").unwrap_or(100));
    let mut sum = Counts::default();
    for seed in first..first + runs {
        let (counts, done) = run(seed, ACTIONS);
        if let Err(what) = done {
            panic!("KV_SEED={seed}: {what}; {counts:?}");
        }
        let Counts {
            commits,
            killed,
            inside,
            cuts,
            poisoned,
            unseen,
        } = counts;
        sum.commits += commits;
        sum.killed += killed;
        sum.inside += inside;
        sum.cuts += cuts;
        sum.poisoned += poisoned;
        sum.unseen += unseen;
    }
    println!(
        "several: {} passed, 0 failed ({runs} databases, {} commits, {} processes killed, {} commits inside of syncs, {} power cuts, {} poisonings, {} failed syncs that died with the one who saw them)",
        runs * ACTIONS,
        sum.commits,
        sum.killed,
        sum.inside,
        sum.cuts,
        sum.poisoned,
        sum.unseen
    );
    assert!(sum.killed > runs * 5 && sum.cuts > runs && sum.inside > runs, "{sum:?}");
}

const PAGE: usize = 4096;

/// Opens the disk of the machine in a new process.
fn open(machine: &Arc<Machine>) -> (Arc<Process>, Arc<Pager>) {
    let process = machine.process();
    let options = PagerOptions {
        page_size: PAGE,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    };
    let opened = Pager::open(Arc::new(Disk(process.clone())), &options);
    (process, opened.expect("open").0)
}

fn machine() -> Arc<Machine> {
    Machine::new(Arc::new(SimDisk::new(1).expect("disk")))
}

/// Commits `pages` pages, all written, in one run, and gives back those of `dead`.
fn write(pager: &Arc<Pager>, pages: u64, dead: &[Extent], durability: Durability) -> Result<CommitId> {
    let mut writer = pager.lock_write(Wait::Try, &AtomicBool::new(false))?;
    let bytes = [7; PAGE];
    let run = writer.take_exact(pages)?;
    for i in 0..pages {
        writer.write_pages(run.first + i, &[&bytes], &[crc32c(&bytes)])?;
    }
    dead.iter().for_each(|extent| writer.release(*extent));
    writer.commit(Roots::default(), durability)
}

#[test]
fn lazy_commits_of_all_processes_together_are_synced_in_time() {
    let machine = machine();
    let members = [open(&machine), open(&machine)];
    for i in 0..400 {
        write(&members[i % 2].1, 1, &[], Durability::Lazy).expect("commit");
    }
    let (_, pager) = &members[0];
    let lag = pager.stat().visible.checked_sub(pager.stat().durable).expect("visible");
    assert!(
        lag <= 256,
        "{lag} commits wait for a sync, each process knows of half of them"
    );
}

#[test]
fn a_sync_that_finds_no_locks_harms_nothing() {
    let machine = machine();
    let (process, pager) = open(&machine);
    let first = write(&pager, 3, &[], Durability::Full).expect("commit");
    process.lacks_locks.store(true, SeqCst);
    // More than is listed: it must be synced before its slot is written, so nothing of it is there.
    let large = write(&pager, 1100, &[], Durability::Lazy);
    assert!(matches!(large, Err(Error::NoLocks(_))), "{large:?}");
    assert_eq!((pager.newest().id, pager.is_poisoned()), (first, false));
    // This one is published, and whoever syncs next makes it durable.
    let small = write(&pager, 3, &[], Durability::Full);
    assert!(matches!(small, Err(Error::InDoubt(_))), "{small:?}");
    assert_eq!((pager.newest().id, pager.is_poisoned()), (first, false));
    process.lacks_locks.store(false, SeqCst);
    let second = write(&pager, 3, &[], Durability::Full).expect("commit");
    assert_eq!((pager.newest().id, pager.stat().durable), (second, second));
}

/// Spilled records are written after it was decided whether the commit lists what it wrote.
#[test]
fn what_is_spilled_does_not_hide_what_waits_for_a_sync() {
    let machine = machine();
    let (_, pager) = open(&machine);
    let mut writer = pager
        .lock_write(Wait::Try, &AtomicBool::new(false))
        .expect("write lock");
    let run = writer.take(4000, Lifetime::UntilEdited).expect("take");
    let birth = writer.birth();
    let first = writer.commit(Roots::default(), Durability::Full).expect("commit");
    // The record of these does not fit into a slot.
    let dead: Vec<Extent> = (0..run.pages / 2)
        .map(|i| Extent {
            run: kv::ids::Run::new(run.first + 2 * i, 1),
            birth,
            own: false,
        })
        .collect();
    // What is written is listed: 4 MiB less a page.
    let id = write(&pager, 1023, &dead, Durability::Lazy).expect("commit");
    assert!(id > first);
    assert_eq!(pager.stat().durable, id, "so much does not wait for a sync");
}

/// A writer that folds is killed before its commit is published. The next writer, which knows an older commit, lists
/// what the space tree does not hold, though the dead one had said that others need not.
#[test]
fn a_killed_fold_lets_nobody_forget_what_is_not_folded() {
    // The first call is the write of the slot.
    for death in [Death::Before, Death::Half, Death::After] {
        let machine = machine();
        let [(process, a), (_, b)] = [open(&machine), open(&machine)];
        let mut writer = a.lock_write(Wait::Try, &AtomicBool::new(false)).expect("write lock");
        let run = writer.take(4000, Lifetime::UntilEdited).expect("take");
        let birth = writer.birth();
        writer.commit(Roots::default(), Durability::Full).expect("commit");
        write(&b, 1, &[], Durability::Full).expect("commit");
        let dead: Vec<Extent> = (0..1200)
            .map(|i| Extent::new(kv::ids::Run::new(run.first + 2 * i, 1), birth))
            .collect();
        write(&a, 1, &dead, Durability::Full).expect("commit");

        process.dies_after(0, death);
        let lived = process.act(move || {
            let mut writer = a.lock_write(Wait::Try, &AtomicBool::new(false)).expect("write lock");
            assert!(writer.is_to_fold(false));
            writer.fold(&RecordedCommits::default()).expect("fold");
            let _ = writer.commit(Roots::default(), Durability::Full);
        });
        assert!(lived.is_none(), "the commit was not killed");
        write(&b, 1, &[], Durability::Full).expect("commit");
        let found = b.accounting().expect("accounting");
        let listed = found.changes.iter().map(|change| match change {
            SpaceChange::Died(dead) => dead.extent.run.pages as i64,
            SpaceChange::Taken(run) => -(run.pages as i64),
        });
        assert_eq!(
            listed.sum::<i64>(),
            found.dead as i64,
            "killed {death:?} the slot was written: the records do not tell of all dead pages"
        );
    }
}

/// A commit of another process leaves out the free end of the file, and a later one uses those pages again. Nobody who
/// has known them as free takes them for that any more.
#[test]
fn nobody_follows_a_commit_that_shrinks() {
    let machine = machine();
    let [(_, a), (_, b)] = [open(&machine), open(&machine)];
    let lock = |pager: &Arc<Pager>| {
        pager
            .lock_write(Wait::Try, &AtomicBool::new(false))
            .expect("write lock")
    };
    write(&a, 3, &[], Durability::Full).expect("commit");
    let mut writer = lock(&a);
    let end = writer.take_exact(100).expect("take");
    let birth = writer.birth();
    writer.commit(Roots::default(), Durability::Full).expect("commit");
    write(&a, 1, &[Extent::new(end, birth)], Durability::Full).expect("commit");
    for pager in [&a, &b, &a, &b] {
        write(pager, 1, &[], Durability::Full).expect("commit");
    }
    let mut writer = lock(&b);
    assert_eq!(writer.free_at_end(), 0, "what was written since lies behind");
    let last = writer.take_exact(1).expect("take").first;
    writer.commit(Roots::default(), Durability::Full).expect("commit");
    assert!(last < end.end(), "{last} is one of the free pages");
    // What lies behind the free pages dies, too.
    let behind = kv::ids::Run::new(end.end(), b.newest().pages - end.end().get());
    assert!(behind.pages > 0 && behind.pages < 10);
    write(&a, 1, &[Extent::new(behind, birth.next())], Durability::Full).expect("commit");
    for pager in [&a, &b, &a, &b] {
        write(pager, 1, &[], Durability::Full).expect("commit");
    }
    let before = a.newest().pages;
    let mut writer = lock(&a);
    writer.set_shrink(Shrink::Always);
    assert!(writer.is_to_fold(true));
    writer.fold(&RecordedCommits::default()).expect("fold");
    writer.commit(Roots::default(), Durability::Full).expect("commit");
    let shrunk = a.newest().pages;
    assert!(shrunk + 50 < before, "{before} -> {shrunk}");
    let mut writer = lock(&a);
    let again = writer.take_exact(80).expect("take");
    assert!(again.first.get() >= shrunk - 1, "{again:?} is behind the new end");
    writer.commit(Roots::default(), Durability::Full).expect("commit");
    let mut writer = lock(&b);
    let taken = writer.take_exact(60).expect("take");
    assert!(
        taken.end() <= again.first || taken.first >= again.end(),
        "{taken:?} was taken, which is in use in {again:?}"
    );
}
