//! Processes that are killed: several share a file, one after the other is ended by SIGKILL at any moment and started
//! again, and what they acknowledged stays; locks and reader slots of the dead are free at once. Also stopped
//! processes, and processes in other process namespaces, which have the same process numbers.

mod common;

use common::child::{how, role, Child, Wire};
use common::env_number;
use common::ledger::{self, Acknowledged};
use common::rng::{mix, Rng};
use common::tmp::TempDir;
use kv::Error;
use kv::{CommitId, Db, Durability, Options, Verify, Wait, WriteOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// What the other processes tell.
const OPENED: u8 = b'o';
const DONE: u8 = b'd';
const READ: u8 = b'r';
const FAILED: u8 = b'e';
const HOLDS: u8 = b'h';
const LOCKED: u8 = b'w';

fn options() -> Options {
    Options {
        verify: Verify::Always,
        wait: Some(Duration::from_secs(10)),
        ..Options::default()
    }
}

/// In memory if possible: a killed process loses nothing of the page cache, and syncs of a busy disk take their time.
fn directory(what: &str) -> TempDir {
    if std::env::var_os("KV_TMP").is_none() && Path::new("/dev/shm").is_dir() {
        return TempDir::below(Path::new("/dev/shm"), what);
    }
    TempDir::new(what)
}

fn file() -> PathBuf {
    PathBuf::from(std::env::var("KV_KILL_FILE").expect("file"))
}

/// What another process does; never returns.
fn other_process(role: &str, wire: &Wire) -> ! {
    let worker = env_number("KV_KILL_LANE", 0);
    let end = |what: String| -> ! {
        eprintln!("worker {worker}, {role}: {what}");
        wire.tell(FAILED, worker, 0, 0);
        std::process::exit(1);
    };
    let db = Db::open(&file(), &options()).unwrap_or_else(|e| end(format!("open: {e:?}")));
    wire.tell(OPENED, worker, 0, 0);
    match role {
        "mixed" => mixed(&db, wire, worker, env_number("KV_KILL_SEED", 1)).unwrap_or_else(|e| end(e)),
        "holds a snapshot" => {
            let read = db.begin_read().unwrap_or_else(|e| end(format!("{e:?}")));
            let found = ledger::read(&read).unwrap_or_else(|e| end(e));
            wire.tell(HOLDS, worker, read.id().get(), found.global);
            while !wire.stopped() {
                std::thread::sleep(Duration::from_millis(1));
            }
            // Whatever happened meanwhile: the same snapshot.
            match ledger::read(&read) {
                Ok(again) if again == found => wire.tell(READ, worker, read.id().get(), again.global),
                other => end(format!(
                    "the snapshot changed: {:?} then {:?}",
                    found.global,
                    other.map(|f| f.global)
                )),
            }
        }
        "holds the write lock" => {
            let mut txn = db
                .begin_write(WriteOptions::default())
                .unwrap_or_else(|e| end(format!("{e:?}")));
            let done = ledger::write(&mut txn, worker).unwrap_or_else(|e| end(format!("{e:?}")));
            wire.tell(LOCKED, worker, done.number, done.global);
            while !wire.stopped() {
                std::thread::sleep(Duration::from_millis(1));
            }
            txn.commit().unwrap_or_else(|e| end(format!("{e:?}")));
            wire.tell(DONE, worker, done.number, done.global);
        }
        other => end(format!("unknown role {other}")),
    }
    drop(db);
    std::process::exit(0);
}

/// Commits, reads, holds snapshots, opens and closes; full and lazy.
fn mixed(db: &Db, wire: &Wire, worker: u64, seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let mut held = None;
    let fault = |e: Error| format!("{e:?}");
    while !wire.stopped() {
        match rng.below(10) {
            0..=5 => {
                let lazy = rng.percent(50);
                let durability = if lazy { Durability::Lazy } else { Durability::Full };
                let done = ledger::commit(db, worker, durability, Wait::For(Duration::from_secs(10))).map_err(fault)?;
                wire.tell(DONE, worker, done.number, done.global);
                let read = db.begin_read().map_err(fault)?;
                if read.id() < done.id {
                    return Err(format!(
                        "commit {} is not visible to a reader of {}",
                        done.id,
                        read.id()
                    ));
                }
            }
            6 | 7 => {
                let read = db.begin_read().map_err(fault)?;
                let found = ledger::read(&read)?;
                wire.tell(READ, worker, read.id().get(), found.global);
                if rng.one_in(2) {
                    held = Some((read, found));
                }
            }
            8 => {
                if let Some((read, found)) = &held {
                    if &ledger::read(read)? != found {
                        return Err(format!("snapshot {} changed", read.id()));
                    }
                }
            }
            _ if rng.one_in(4) => db.sync().map_err(fault)?,
            _ => {
                // Given up.
                let mut txn = db.begin_write(WriteOptions::default()).map_err(fault)?;
                ledger::write(&mut txn, worker).map_err(fault)?;
            }
        }
    }
    Ok(())
}

fn start(test: &str, role: &str, path: &Path, worker: u64, seed: u64) -> Child {
    Child::start(test, role, &settings(path, worker, seed))
}

fn settings(path: &Path, worker: u64, seed: u64) -> [(&'static str, String); 3] {
    [
        ("KV_KILL_FILE", path.display().to_string()),
        ("KV_KILL_LANE", worker.to_string()),
        ("KV_KILL_SEED", seed.to_string()),
    ]
}

/// Waits until a child has told `kind`.
fn expect(child: &mut Child, kind: u8) -> common::child::Note {
    let end = Instant::now() + Duration::from_secs(20);
    while let Some(note) = child.note(end.saturating_duration_since(Instant::now())) {
        if note.kind == kind {
            return note;
        }
    }
    panic!(
        "no {:?} from process {}: {:?}",
        kind as char,
        child.id(),
        child.ended().map(how)
    );
}

/// Waits until no reader is registered any more but `but`.
fn readers_are_gone(db: &Db, but: usize) {
    let end = Instant::now() + SECOND;
    while db.held().len() != but {
        assert!(Instant::now() < end, "readers {:?}, {but} are alive", db.held());
        // Whoever writes looks for the dead.
        drop(db.begin_write(WriteOptions::default()).expect("write lock"));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn check(db: &Db) {
    db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
}

#[test]
fn nothing_acknowledged_is_lost_to_kills() {
    const TEST: &str = "nothing_acknowledged_is_lost_to_kills";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let (kills, workers) = (env_number("KV_KILLS", 1000), env_number("KV_KILL_PROCESSES", 4));
    let seed = env_number("KV_SEED", 1);
    let dir = directory("kill");
    let path = dir.file("kill.kv");
    let mut rng = Rng::new(seed);
    let mut acknowledged = Acknowledged::default();
    let (mut killed, mut compared, mut reads, mut slowest) = (0, 0, 0, Duration::ZERO);
    let mut children: Vec<Child> = (0..workers)
        .map(|worker| start(TEST, "mixed", &path, worker, mix(seed ^ worker)))
        .collect();
    // Their numbers must be known before what they say is compared, so each is heard before the file is looked at.
    let mut last = Instant::now();
    let mut hear = |child: &mut Child, ended: bool, acknowledged: &mut Acknowledged| {
        let notes = if ended { child.last_notes() } else { child.notes() };
        let mut heard = false;
        for note in notes {
            match note.kind {
                DONE => {
                    acknowledged.add(note.who, note.a, note.b, true).expect("ledger");
                    heard = true;
                }
                READ => reads += 1,
                FAILED => panic!("KV_SEED={seed}: a process failed, see above"),
                _ => {}
            }
        }
        heard
    };
    while killed < kills {
        let victim = rng.index(children.len());
        let until = Instant::now() + Duration::from_millis(rng.below(25) + 5);
        while Instant::now() < until {
            for child in &mut children {
                if hear(child, false, &mut acknowledged) {
                    // No lock is stuck: somebody commits.
                    slowest = slowest.max(last.elapsed());
                    last = Instant::now();
                }
            }
            assert!(
                last.elapsed() < SECOND * 5,
                "KV_SEED={seed}: nobody commits since {:?}, after {killed} kills",
                last.elapsed()
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        let status = children[victim].kill();
        assert_eq!(how(status), "signal 9", "KV_SEED={seed}: a process ended by itself");
        hear(&mut children[victim], true, &mut acknowledged);
        killed += 1;
        children[victim] = start(TEST, "mixed", &path, victim as u64, mix(seed ^ killed << 8));
        if killed % 25 == 0 {
            for child in &mut children {
                hear(child, false, &mut acknowledged);
            }
            // All of them at once, now and then: the next one recovers, with nobody else there.
            if rng.one_in(2) {
                for child in &mut children {
                    child.kill();
                    hear(child, true, &mut acknowledged);
                    killed += 1;
                }
            }
            compare(&path, &mut acknowledged).unwrap_or_else(|e| panic!("KV_SEED={seed}: after {killed} kills: {e}"));
            compared += 1;
            for (worker, child) in children.iter_mut().enumerate() {
                if child.ended().is_some() {
                    *child = start(
                        TEST,
                        "mixed",
                        &path,
                        worker as u64,
                        mix(seed ^ killed << 8 ^ worker as u64),
                    );
                }
            }
            last = Instant::now();
        }
    }
    for child in &mut children {
        child.kill();
        hear(child, true, &mut acknowledged);
    }
    compare(&path, &mut acknowledged).unwrap_or_else(|e| panic!("KV_SEED={seed}: in the end: {e}"));
    let db = Db::open(&path, &options()).expect("open");
    readers_are_gone(&db, 0);
    check(&db);
    let pages = db.stat().pages;
    // What lives is some 600 KiB a worker; snapshots of the dead would keep everything since.
    assert!(
        pages < 1000 + 1000 * workers,
        "KV_SEED={seed}: the file grew to {pages} pages"
    );
    println!(
        "COUNT kills: {killed} of {workers} processes, {} commits acknowledged, 0 lost, {compared} comparisons, {reads} whole snapshots in children, longest pause {} ms, {pages} pages",
        acknowledged.count,
        slowest.as_millis()
    );
}

#[test]
fn openers_are_killed() {
    const TEST: &str = "openers_are_killed";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let (dir, path, db) = prepared("openers", 20);
    drop(db);
    let (mut rng, mut acknowledged) = (Rng::new(env_number("KV_SEED", 1)), Acknowledged::default());
    let (rounds, mut opened) = (env_number("KV_KILLS", 1000), 0);
    // One or two at a time, killed before, while and after they recover and let each other in.
    for round in 0..rounds {
        let mut children: Vec<Child> = (0..1 + round % 2)
            .map(|worker| start(TEST, "mixed", &path, worker, round))
            .collect();
        std::thread::sleep(Duration::from_micros(rng.below(6000) + 500));
        for child in &mut children {
            child.kill();
        }
        for child in &mut children {
            for note in child.last_notes() {
                match note.kind {
                    OPENED => opened += 1,
                    DONE => acknowledged.add(note.who, note.a, note.b, true).expect("ledger"),
                    FAILED => panic!("a process failed, see above"),
                    _ => {}
                }
            }
        }
        if round % 20 == 19 {
            let begun = Instant::now();
            compare(&path, &mut acknowledged).unwrap_or_else(|e| panic!("round {round}: {e}"));
            assert!(begun.elapsed() < SECOND * 3, "opening took {:?}", begun.elapsed());
        }
    }
    compare(&path, &mut acknowledged).unwrap_or_else(|e| panic!("in the end: {e}"));
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .expect("list")
        .map(|e| e.expect("entry").file_name())
        .collect();
    assert_eq!(left, ["shared.kv"], "files are left over");
    println!(
        "COUNT killed openers: {rounds} rounds, {opened} had opened, {} commits, 0 lost",
        acknowledged.count
    );
}

/// Everything acknowledged so far is in a snapshot begun now.
fn compare(path: &Path, acknowledged: &mut Acknowledged) -> Result<(), String> {
    let db = Db::open(path, &options()).map_err(|e| format!("open: {e:?}"))?;
    let read = db.begin_read().map_err(|e| format!("{e:?}"))?;
    acknowledged.compare(&ledger::read(&read)?)
}

/// Whether several processes may share a file.
fn prepared(test: &str, commits: u64) -> (TempDir, PathBuf, Db) {
    let dir = directory(test);
    let path = dir.file("shared.kv");
    let db = Db::open(&path, &options()).expect("create");
    for _ in 0..commits {
        ledger::commit(&db, 77, Durability::Lazy, Wait::Forever).expect("commit");
    }
    (dir, path, db)
}

/// Commits until a reader of an old commit would see its pages overwritten, if they were.
fn churn(db: &Db, commits: u64) {
    for _ in 0..commits {
        ledger::commit(db, 77, Durability::Full, Wait::For(SECOND * 5)).expect("commit");
    }
}

#[test]
fn the_write_lock_of_a_killed_writer_is_free_within_a_second() {
    const TEST: &str = "the_write_lock_of_a_killed_writer_is_free_within_a_second";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let (_dir, path, db) = prepared("write-lock", 10);
    let mut longest = Duration::ZERO;
    let rounds = env_number("KV_WRITE_LOCKS", 20);
    for round in 0..rounds {
        let mut child = start(TEST, "holds the write lock", &path, 5, round);
        let promised = expect(&mut child, LOCKED);
        let taken = ledger::commit(&db, 77, Durability::Full, Wait::For(Duration::from_millis(20)));
        assert!(matches!(taken, Err(Error::Busy(_))), "two writers: {taken:?}");
        // A stopped one keeps it, and that is told after the wait.
        if round % 4 == 0 {
            child.signal(libc::SIGSTOP);
            let taken = ledger::commit(&db, 77, Durability::Full, Wait::For(Duration::from_millis(20)));
            assert!(matches!(taken, Err(Error::Busy(_))), "two writers: {taken:?}");
        }
        // Somebody waits already when it is killed, or comes later.
        let waiting = (round % 2 == 0).then(|| {
            let db = db.clone();
            let waiter = std::thread::spawn(move || {
                let done = ledger::commit(&db, 78, Durability::Full, Wait::For(SECOND * 10)).expect("commit");
                (done, Instant::now())
            });
            std::thread::sleep(Duration::from_millis(5));
            waiter
        });
        child.kill();
        let killed = Instant::now();
        let (done, when) = waiting.map_or_else(
            || {
                let done = ledger::commit(&db, 78, Durability::Full, Wait::For(SECOND * 10)).expect("commit");
                (done, Instant::now())
            },
            |waiter| waiter.join().expect("thread"),
        );
        let took = when.saturating_duration_since(killed);
        assert!(took < SECOND, "round {round}: the write lock was free after {took:?}");
        longest = longest.max(took);
        assert_eq!(done.global, promised.b, "what it wrote and did not commit is not there");
    }
    check(&db);
    println!(
        "COUNT write locks of killed writers: {rounds}, taken after {} ms at most",
        longest.as_millis()
    );
}

#[test]
fn a_stopped_reader_is_seen_and_keeps_its_snapshot() {
    const TEST: &str = "a_stopped_reader_is_seen_and_keeps_its_snapshot";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let (_dir, path, db) = prepared("stopped", 50);
    let mut child = start(TEST, "holds a snapshot", &path, 6, 0);
    let holds = expect(&mut child, HOLDS);
    child.signal(libc::SIGSTOP);
    churn(&db, 300);
    assert_eq!(db.held(), vec![CommitId::new(holds.a)], "who holds what can be seen");
    assert_eq!(db.stat().oldest, CommitId::new(holds.a));
    let pages = db.stat().pages;
    churn(&db, 300);
    // It costs what it sees, and not all that is written meanwhile.
    assert!(
        db.stat().pages < pages + 300,
        "{pages} pages grew to {}",
        db.stat().pages
    );
    child.signal(libc::SIGCONT);
    child.stop();
    assert_eq!(expect(&mut child, READ).b, holds.b);
    assert_eq!(how(child.wait(SECOND * 10)), "exit code 0");
    readers_are_gone(&db, 0);
    check(&db);
    println!("COUNT stopped readers: 1, 600 commits past it");
}

#[test]
fn readers_of_killed_processes_are_gone() {
    const TEST: &str = "readers_of_killed_processes_are_gone";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let (_dir, path, db) = prepared("reaped", 50);
    let rounds = 30;
    let mut alive = start(TEST, "holds a snapshot", &path, 6, 0);
    let holds = expect(&mut alive, HOLDS);
    churn(&db, 30);
    let mut pages = 0;
    for round in 0..rounds {
        let mut child = start(TEST, "holds a snapshot", &path, 7, 0);
        expect(&mut child, HOLDS);
        child.kill();
        churn(&db, 20);
        readers_are_gone(&db, 1);
        assert_eq!(db.held(), vec![CommitId::new(holds.a)], "the living one is left alone");
        if round == rounds / 2 {
            pages = db.stat().pages;
        }
    }
    assert!(
        db.stat().pages < pages + 200,
        "{pages} pages grew to {}",
        db.stat().pages
    );
    alive.stop();
    expect(&mut alive, READ);
    alive.wait(SECOND * 10);
    check(&db);
    println!("COUNT readers of the dead: {rounds} reaped");
}

#[test]
fn process_numbers_do_not_matter() {
    const TEST: &str = "process_numbers_do_not_matter";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let namespace = ["unshare", "--pid", "--fork", "--kill-child"];
    let possible = std::process::Command::new(namespace[0])
        .args(&namespace[1..])
        .arg("true")
        .output();
    if !possible.is_ok_and(|done| done.status.success()) {
        return println!("SKIPPED: {TEST}: process namespaces are not allowed here");
    }
    let (_dir, path, db) = prepared("namespaces", 50);
    // Every one is number 1 of its namespace; nobody sees another one's number, and the dead one's is given again.
    let rounds = 8;
    for round in 0..rounds {
        let mut dead = Child::start_under(&namespace, TEST, "holds a snapshot", &settings(&path, 6, 0));
        expect(&mut dead, HOLDS);
        churn(&db, 5);
        let mut alive = Child::start_under(&namespace, TEST, "holds a snapshot", &settings(&path, 7, 0));
        let holds = expect(&mut alive, HOLDS);
        assert_eq!(db.held().len(), 2, "two readers of one number");
        dead.kill();
        churn(&db, 60);
        readers_are_gone(&db, 1);
        let mut same = Child::start_under(&namespace, TEST, "holds a snapshot", &settings(&path, 6, 0));
        expect(&mut same, HOLDS);
        churn(&db, 60);
        assert!(
            db.held().contains(&CommitId::new(holds.a)),
            "round {round}: the living one is left alone"
        );
        for child in [&mut alive, &mut same] {
            child.stop();
            expect(child, READ);
            assert_eq!(how(child.wait(SECOND * 10)), "exit code 0");
        }
        readers_are_gone(&db, 0);
    }
    check(&db);
    println!("COUNT equal process numbers: {} processes", rounds * 3);
}
