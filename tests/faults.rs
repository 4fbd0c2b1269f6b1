//! Every call of a workload fails once, or from then on, in each way: an answer is an error or it is true, the database
//! stays usable (or is poisoned until opened again), and what was acknowledged is there afterwards.

mod toy;

use kv::file::sim::{Cut, Fault, Random, SimDisk};
use kv::pager::{Durability, Pager, PagerOptions, Verify};
use kv::CommitId;
use std::collections::BTreeMap;
use std::sync::Arc;

fn options() -> PagerOptions {
    PagerOptions {
        page_size: 4096,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    }
}

/// Runs the workload with call `n` failing. Answers whether the fault was reached.
fn sweep(seed: u64, n: u64, fault: Fault, for_ever: bool) -> Result<bool, String> {
    let disk = Arc::new(SimDisk::new(seed).map_err(|e| e.to_string())?);
    drop(Pager::open(disk.clone(), &options()).map_err(|e| e.to_string())?);
    let mut random = Random::new(seed);
    let mut promised = CommitId::new(1);
    let mut tried = BTreeMap::from([(promised, toy::empty())]);
    let calls = disk.counts().2;
    disk.fail_after(n, fault, for_ever);
    let opened = Pager::open(disk.clone(), &options());
    if let Ok((pager, _)) = &opened {
        for step in 0..14 {
            let lazy = step % 3 == 1;
            let durability = if lazy { Durability::Lazy } else { Durability::Full };
            let poisoned = pager.is_poisoned();
            match toy::commit(pager, &mut random, durability, 5) {
                Ok(Some(attempt)) => {
                    match attempt.answer {
                        Ok(_) if poisoned => return Err("a poisoned database accepted a commit".into()),
                        Ok(id) if !lazy => promised = id,
                        Ok(_) => {}
                        Err(kv::Error::InDoubt(_)) if !pager.is_poisoned() => {
                            return Err("in doubt, not poisoned".into())
                        }
                        Err(kv::Error::InDoubt(_) | kv::Error::Poisoned) => {}
                        Err(_) if pager.is_poisoned() => return Err("poisoned by an error that says otherwise".into()),
                        // Undone: the id can be used by another commit.
                        Err(_) => continue,
                    }
                    tried.insert(attempt.id, attempt.model);
                }
                Ok(None) => {}
                Err(kv::Error::Poisoned) if pager.is_poisoned() => {}
                Err(error) => return Err(format!("lock_write: {error}")),
            }
            if !pager.is_poisoned() {
                toy::account(pager)?;
                let newest = pager.newest();
                if content(&tried, newest.id) != Some(&toy::read(pager.view_all(), &newest)?) {
                    return Err(format!("commit {} is not what was committed", newest.id));
                }
            }
        }
    }
    let reached = disk.counts().2 >= calls + n;
    disk.heal();
    drop(opened);
    check(&disk, &tried, promised)?;
    // The same after a power cut on top.
    let disk = Arc::new(disk.crash(seed ^ n, Cut::Sectors).map_err(|e| e.to_string())?);
    check(&disk, &tried, promised)?;
    Ok(reached)
}

/// Returns what a commit must hold. On a full disk, a commit with the content of the one before it makes dead pages
/// free.
fn content(tried: &BTreeMap<CommitId, toy::Model>, id: CommitId) -> Option<&toy::Model> {
    tried.range(..=id).next_back().map(|(_, model)| model)
}

fn check(disk: &Arc<SimDisk>, tried: &BTreeMap<CommitId, toy::Model>, promised: CommitId) -> Result<(), String> {
    let (pager, found) = Pager::open(disk.clone(), &options()).map_err(|e| format!("open again: {e}"))?;
    if found.id < promised {
        return Err(format!("commit {promised} was acknowledged, {} is there", found.id));
    }
    if content(tried, found.id) != Some(&toy::read(pager.view_all(), &pager.newest())?) {
        return Err(format!("commit {} is not what was committed", found.id));
    }
    toy::account(&pager)
}

#[test]
fn every_call_fails_in_every_way() {
    let mut runs = 0;
    for fault in [Fault::Io, Fault::NoSpace, Fault::Short, Fault::Interrupted] {
        for for_ever in [false, true] {
            for seed in 0..6 {
                for n in 1.. {
                    match sweep(seed, n, fault, for_ever) {
                        Ok(true) => runs += 1,
                        Ok(false) => break,
                        Err(what) => panic!("seed {seed}, call {n}, {fault:?}, for ever {for_ever}: {what}"),
                    }
                }
            }
        }
    }
    println!("fault: {runs} passed, 0 failed (commit and recovery alone)");
    assert!(runs > 3000);
}

#[test]
fn a_full_disk_is_left_as_it_was() {
    let disk = Arc::new(SimDisk::new(1).expect("disk"));
    let (pager, _) = Pager::open(disk.clone(), &options()).expect("create");
    let mut random = Random::new(1);
    let mut commit = |disk: &SimDisk, full: bool| {
        if full {
            disk.fail_after(1, Fault::NoSpace, true);
        }
        let answer = toy::commit(&pager, &mut random, Durability::Full, 5).expect("write lock");
        disk.heal();
        answer
    };
    for _ in 0..50 {
        if let Some(done) = commit(&disk, true) {
            assert!(matches!(done.answer, Err(kv::Error::NoSpace { .. })));
        }
        if let Some(done) = commit(&disk, false) {
            done.answer.expect("usable after a full disk");
        }
        toy::account(&pager).expect("accounting");
    }
}
