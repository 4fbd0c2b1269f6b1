//! Memory that cannot be had: the n-th allocation of a workload fails, once or from then on, in a process of its own.
//!
//! The process must either answer an error, with the database usable afterwards, or be aborted (which is what Rust's
//! standard library does where an allocation cannot be refused). Nothing else: no panic, no signal but that. Then the
//! file is opened here: what the process acknowledged is there, whole, and every page is accounted for.

#![allow(unsafe_code)]

mod crashes;
mod engine;

use engine::{account, any, compare, step, Model, Step, Stop};
use kv::file::sim::Random;
use kv::Error;
use kv::{Db, Durability, Options, PutMode, TableId, WriteOptions};
use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// Allocations since the count was armed, the one that fails (0: none), and whether those after it do.
static COUNT: AtomicU64 = AtomicU64::new(0);
static FAILS: AtomicU64 = AtomicU64::new(0);
static FOR_EVER: AtomicBool = AtomicBool::new(false);
/// Only allocations of at least this many bytes count.
static LEAST: AtomicU64 = AtomicU64::new(0);
static ARMED: AtomicBool = AtomicBool::new(false);

struct Counting;

fn refused(bytes: usize) -> bool {
    if !ARMED.load(SeqCst) || engine::ASIDE.load(SeqCst) || (bytes as u64) < LEAST.load(SeqCst) {
        return false;
    }
    let n = COUNT.fetch_add(1, SeqCst) + 1;
    let fails = FAILS.load(SeqCst);
    fails > 0 && (n == fails || n > fails && FOR_EVER.load(SeqCst))
}

// SAFETY: the system's allocator, which sometimes answers null, as an allocator may.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match refused(layout.size()) {
            true => std::ptr::null_mut(),
            // SAFETY: as the caller promised.
            false => unsafe { System.alloc(layout) },
        }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        match size > layout.size() && refused(size) {
            true => std::ptr::null_mut(),
            // SAFETY: as the caller promised.
            false => unsafe { System.realloc(at, layout, size) },
        }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Transactions of the workload, and large ones among them.
const TRANSACTIONS: u64 = 60;
const SEED: u64 = 9;
/// Bytes from which an allocation must be refused by an error and not end the process.
const LARGE: u64 = 32 << 10;
/// Tells the child what to do: file, n, for ever, least size.
const CHILD: &str = "KV_ALLOCATION_CHILD";

/// Does transaction `n` on top of `model`.
fn transaction(db: &Db, n: u64, model: &mut Model) -> Result<(), Stop> {
    let mut random = Random::new(SEED * 1000 + n);
    let options = WriteOptions {
        durability: Some(if n % 20 == 19 {
            Durability::Full
        } else {
            Durability::Lazy
        }),
        write_memory: [None, Some(1), Some(2000)][n as usize % 3],
        ..WriteOptions::default()
    };
    let mut txn = db.begin_write(options)?;
    for _ in 0..12 {
        let what = any(&mut random);
        step(&mut txn, model, &mut random, what)?;
    }
    if n % 15 == 14 {
        step(&mut txn, model, &mut random, Step::Bulk)?;
    }
    let value = (n, 200_000 + 100_000 * (n as usize % 15));
    txn.put(TableId::MAIN, &engine::key(500), &engine::bytes(value), PutMode::Set)?;
    model.main.insert(500, value);
    txn.replace(TableId::MAIN, &engine::key(500), &engine::bytes(value), PutMode::Set)?;
    model.take_snapshots();
    txn.commit()?;
    Ok(())
}

/// The workload in this process. Each transaction that fails is tried again; `for_ever`: the first failure ends it.
/// Every acknowledged one is told to `acknowledged`.
fn workload(path: &Path, for_ever: bool, mut acknowledged: impl FnMut(u64)) -> Result<(), String> {
    let open = || loop {
        match Db::open(path, &Options::default()) {
            Ok(db) => return Some(db),
            Err(Error::NoMemory(_) | Error::NoMemoryFor(_)) if !for_ever => {}
            Err(_) => return None,
        }
    };
    let Some(db) = open() else { return Ok(()) };
    let mut model = Model::default();
    for n in 0..TRANSACTIONS {
        loop {
            let mut new = model.clone();
            match transaction(&db, n, &mut new) {
                Ok(()) => {
                    model = new;
                    acknowledged(n);
                    break;
                }
                Err(Stop::Error(Error::NoMemory(_) | Error::NoMemoryFor(_) | Error::TxnFailed(_))) if !for_ever => {}
                Err(Stop::Error(Error::NoMemory(_) | Error::NoMemoryFor(_) | Error::TxnFailed(_))) => return Ok(()),
                Err(Stop::Error(error)) => return Err(format!("transaction {n}: {error}")),
                Err(Stop::Wrong(what)) => return Err(format!("transaction {n}: {what}")),
            }
        }
    }
    Ok(())
}

/// What a child does that was told `task`.
fn child(task: &str) {
    let parts: Vec<&str> = task.split(' ').collect();
    let [path, fails, for_ever, least] = parts[..] else {
        panic!("four words are needed")
    };
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let (path, for_ever) = (PathBuf::from(path), number(for_ever) > 0);
    FAILS.store(number(fails), SeqCst);
    LEAST.store(number(least), SeqCst);
    FOR_EVER.store(for_ever, SeqCst);
    let mut log = std::fs::File::create(path.with_extension("log")).expect("a log");
    ARMED.store(true, SeqCst);
    let done = workload(&path, for_ever, |n| {
        let line = [b'0' + (n / 10) as u8, b'0' + (n % 10) as u8, b'\n'];
        log.write_all(&line).expect("the log");
    });
    ARMED.store(false, SeqCst);
    let count = COUNT.load(SeqCst).to_string();
    std::fs::write(path.with_extension("count"), count).expect("the count");
    done.expect("the workload");
}

/// What became of a child.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// It ended by itself; this many allocations.
    Lived(u64),
    Aborted,
}

/// Runs a child and looks at the file it leaves.
fn spawn(folder: &Path, models: &[Model], fails: u64, for_ever: bool, least: u64) -> Result<End, String> {
    let path = folder.join("db.kv");
    for file in [path.clone(), path.with_extension("log"), path.with_extension("count")] {
        let _ = std::fs::remove_file(file);
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([
            "an_allocation_fails_and_the_file_is_good",
            "--exact",
            "--test-threads",
            "1",
        ])
        .env(
            CHILD,
            format!("{} {fails} {} {least}", path.display(), u64::from(for_ever)),
        )
        .env("RUST_BACKTRACE", "0")
        .output()
        .expect("a child");
    let end = match (output.status.success(), output.status.signal()) {
        (true, _) => {
            let count = std::fs::read_to_string(path.with_extension("count")).unwrap_or_default();
            End::Lived(count.parse().map_err(|_| "no count was left")?)
        }
        (_, Some(libc::SIGABRT)) => End::Aborted,
        _ => {
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            return Err(format!("{}: {told}", output.status));
        }
    };
    let log = std::fs::read_to_string(path.with_extension("log")).unwrap_or_default();
    let acknowledged = log.lines().count();
    if !path.exists() {
        return match acknowledged {
            0 => Ok(end),
            n => Err(format!("{n} commits were acknowledged, and there is no file")),
        };
    }
    let db = Db::open(&path, &Options::default()).map_err(|e| format!("open: {e}"))?;
    let read = db.begin_read().map_err(|e| e.to_string())?;
    // The one after the last acknowledged may have been committed before the end came.
    let fits = models[acknowledged..].iter().take(2).map(|model| compare(&read, model));
    let answers: Vec<_> = fits.collect();
    if !answers.iter().any(Result::is_ok) {
        return Err(format!("{acknowledged} commits were acknowledged: {answers:?}"));
    }
    account(&db)?;
    Ok(end)
}

fn folder(name: &str) -> PathBuf {
    let root = std::env::var_os("KV_TMP").map_or(std::env::temp_dir(), PathBuf::from);
    let folder = root.join(format!("kv-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// What the file holds after 0, 1, 2 ... transactions.
fn models() -> Vec<Model> {
    let db = Db::open(
        Path::new("memory"),
        &Options {
            memory: true,
            ..Options::default()
        },
    )
    .expect("open");
    let mut models = vec![Model::default()];
    for n in 0..TRANSACTIONS {
        let mut model = models[n as usize].clone();
        let done = transaction(&db, n, &mut model);
        done.map_err(|stop| format!("{stop:?}")).expect("a transaction");
        models.push(model);
    }
    models
}

/// Lets allocations of at least `least` bytes fail, `children` of them evenly spread; how many ended by themselves.
fn sweep(name: &str, least: u64, children: u64) -> (u64, u64) {
    let (folder, models) = (folder(name), models());
    let Ok(End::Lived(all)) = spawn(&folder, &models, 0, false, least) else {
        panic!("the workload fails without a fault");
    };
    let (mut lived, mut aborted) = (0, 0);
    // Early ones, which open the file, each; then evenly.
    let evenly = (0..children).map(|i| 1 + i * all / children);
    let which: BTreeSet<u64> = (1..=(children / 10).min(all)).chain(evenly).collect();
    for fails in which {
        for for_ever in [false, true] {
            match spawn(&folder, &models, fails, for_ever, least) {
                Ok(End::Lived(_)) => lived += 1,
                Ok(End::Aborted) => aborted += 1,
                Err(what) => panic!("allocation {fails} of {all}, least {least}, for ever {for_ever}: {what}"),
            }
        }
    }
    std::fs::remove_dir_all(&folder).expect("the folder");
    println!("allocation: {} passed, 0 failed ({all} allocations of {least} bytes and more: {lived} answered, {aborted} aborted)", lived + aborted);
    (lived, aborted)
}

#[test]
fn an_allocation_fails_and_the_file_is_good() {
    if let Ok(task) = std::env::var(CHILD) {
        return child(&task);
    }
    let children = crashes::setting("KV_ALLOCATIONS").unwrap_or(150);
    let (lived, aborted) = sweep("allocation", 0, children);
    assert!(aborted > 0, "{lived} lived: then nothing was refused");
}

#[test]
fn large_allocations_are_refused_by_an_error() {
    // What grows with the user's data: edits, their order and index, values, parts of values.
    let children = crashes::setting("KV_ALLOCATIONS").unwrap_or(150);
    let (lived, aborted) = sweep("large-allocation", LARGE, children);
    assert_eq!(aborted, 0, "{lived} lived");
}
