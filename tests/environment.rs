//! Real files: creation, one environment per file and process, locks against others, threads, sizes.

mod toy;

use kv::file::sim::Random;
use kv::pager::{open_file, open_memory, CreateMode, Durability, Pager, PagerOptions, Verify, Wait};
use kv::CommitId;
use kv::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn options(page_size: usize) -> PagerOptions {
    PagerOptions {
        page_size,
        read_only: false,
        verify: Verify::Once,
        ..PagerOptions::default()
    }
}

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("kv-environment-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("directory");
        Directory(path)
    }
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn open(path: &Path, mode: CreateMode) -> kv::Result<Arc<Pager>> {
    open_file(path, mode, &options(4096)).map(|(pager, _)| pager)
}

#[test]
fn creation_and_refusal() {
    let directory = Directory::new("create");
    let path = directory.file("a.kv");
    assert!(matches!(open(&path, CreateMode::Open), Err(Error::NoFile(_))));
    drop(open(&path, CreateMode::New).expect("create"));
    assert!(std::fs::metadata(&path).expect("facts").len() <= 32 << 10);
    assert!(matches!(open(&path, CreateMode::New), Err(Error::FileExists(_))));
    drop(open(&path, CreateMode::OpenOrCreate).expect("open"));
    drop(open(&directory.file("b.kv"), CreateMode::OpenOrCreate).expect("create"));
    for (name, content) in [("empty", &b""[..]), ("text", &[b'x'; 20_000]), ("short", &[0x89; 100])] {
        std::fs::write(directory.file(name), content).expect("write");
        assert!(
            matches!(
                open(&directory.file(name), CreateMode::Open),
                Err(Error::NotADatabase(_))
            ),
            "{name}"
        );
    }
    std::fs::write(directory.file("zeros"), [0; 20_000]).expect("write");
    assert!(open(&directory.file("zeros"), CreateMode::Open).is_err());
    assert!(matches!(
        open(&directory.0, CreateMode::Open),
        Err(Error::NotADatabase(_) | Error::Access(_))
    ));
    assert!(matches!(
        open_file(&directory.file("c"), CreateMode::New, &options(5000)),
        Err(Error::Invalid(_))
    ));
    assert_eq!(
        std::fs::read_dir(&directory.0).expect("list").count(),
        6,
        "temporary files are left over"
    );
}

#[test]
fn one_environment_per_file() {
    let directory = Directory::new("share");
    let path = directory.file("a.kv");
    let first = open(&path, CreateMode::New).expect("create");
    std::os::unix::fs::symlink(&path, directory.file("symbolic")).expect("link");
    std::fs::hard_link(&path, directory.file("hard")).expect("link");
    for name in ["symbolic", "hard", "../"] {
        let other = match name {
            "../" => directory
                .0
                .join("..")
                .join(directory.0.file_name().expect("name"))
                .join("a.kv"),
            name => directory.file(name),
        };
        assert!(Arc::ptr_eq(&first, &open(&other, CreateMode::Open).expect("open")));
    }
    drop(first);
    // Many threads that open and close it: always one environment, never an error.
    let (live, path) = (Arc::new(AtomicU64::new(0)), Arc::new(path));
    let threads: Vec<_> = (0..4)
        .map(|seed| {
            let (live, path) = (live.clone(), path.clone());
            std::thread::spawn(move || {
                let mut random = Random::new(seed);
                for _ in 0..200 {
                    let pager = open(&path, CreateMode::Open).expect("open");
                    live.fetch_add(1, SeqCst);
                    if random.one_in(4) {
                        let _ = toy::commit(&pager, &mut random, Durability::Lazy, 3).expect("write lock");
                    }
                    live.fetch_sub(1, SeqCst);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().expect("thread"));
}

/// Starts this test program again, to run only `name`, told `path` by the environment.
fn another_process(name: &str, path: &Path, seed: u64) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().expect("name"))
        .args(["--exact", name, "--nocapture"])
        .env("KV_TEST_OTHER_PROCESS", path)
        .env("KV_TEST_SEED", seed.to_string())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("start")
}

fn told_path() -> Option<PathBuf> {
    std::env::var_os("KV_TEST_OTHER_PROCESS").map(PathBuf::from)
}

#[test]
fn processes_write_in_turns() {
    if let Some(path) = told_path() {
        let seed = std::env::var("KV_TEST_SEED").expect("seed").parse().expect("number");
        let mut random = Random::new(seed);
        let pager = open(&path, CreateMode::Open).expect("open");
        let mut counted = 0;
        for round in 0..300 {
            let durability = if random.one_in(8) {
                Durability::Full
            } else {
                Durability::Lazy
            };
            // Reading the tip again first, `commit` proves that what others wrote is whole.
            if let Some(done) = toy::commit(&pager, &mut random, durability, 5).expect("write lock") {
                done.answer.expect("commit");
                assert!(pager.newest().id >= done.id, "one's own commit is visible");
            }
            let snapshot = pager.begin_read().expect("read");
            toy::read(snapshot.view(), snapshot.desc()).expect("a whole snapshot");
            if round % 50 == 7 {
                counted += u32::from(toy::account_among_others(&pager).expect("accounting"));
            }
        }
        assert!(counted > 0, "the pages were never counted");
        std::process::exit(40);
    }
    let directory = Directory::new("processes");
    let path = directory.file("a.kv");
    let pager = open(&path, CreateMode::New).expect("create");
    let others: Vec<_> = (0..4)
        .map(|seed| another_process("processes_write_in_turns", &path, seed))
        .collect();
    let mut last = CommitId::NONE;
    for mut other in others {
        while other.try_wait().expect("wait").is_none() {
            let snapshot = pager.begin_read().expect("read");
            toy::read(snapshot.view(), snapshot.desc()).expect("a whole snapshot");
            assert!(snapshot.desc().id >= last, "time goes forward");
            last = snapshot.desc().id;
        }
        assert_eq!(other.wait().expect("wait").code(), Some(40));
    }
    assert!(last.get() > 500, "commits of the others are seen here");
    toy::account(&pager).expect("accounting");
    assert!(pager.readers().is_empty());
    let beside = |name: &str| directory.file(name).exists();
    assert!(beside("a.kv-shm"));
    drop(pager);
    assert!(!beside("a.kv-shm"), "the last one removes it");
    toy::account(&open(&path, CreateMode::Open).expect("open")).expect("accounting");
}

#[test]
fn a_killed_process_leaves_nothing_locked() {
    if let Some(path) = told_path() {
        let pager = open(&path, CreateMode::Open).expect("open");
        let _snapshot = pager.begin_read().expect("read");
        let _seat = pager
            .lock_write(Wait::Forever, &AtomicBool::new(false))
            .expect("write lock");
        std::fs::write(path.with_extension("ready"), b"").expect("signal");
        loop {
            std::thread::park();
        }
    }
    let directory = Directory::new("killed");
    let path = directory.file("a.kv");
    let pager = open(&path, CreateMode::New).expect("create");
    let mut other = another_process("a_killed_process_leaves_nothing_locked", &path, 0);
    while !path.with_extension("ready").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let never = AtomicBool::new(false);
    assert!(matches!(pager.lock_write(Wait::Try, &never), Err(Error::Busy(_))));
    let held = pager.readers();
    assert_eq!((held.len(), held[0].pid), (1, other.id()));
    other.kill().expect("kill");
    other.wait().expect("wait");
    drop(
        pager
            .lock_write(Wait::For(Duration::from_secs(1)), &never)
            .expect("the write lock is free"),
    );
    assert!(pager.readers().is_empty(), "and so is the reader's slot");
}

#[test]
fn the_last_one_out_and_the_memory_beside() {
    let directory = Directory::new("beside");
    let path = directory.file("a.kv");
    let beside = directory.file("a.kv-shm");
    // Left over by a crash, or put there: never believed.
    std::fs::write(&beside, b"kv-shm and nonsense").expect("write");
    drop(open(&path, CreateMode::New).expect("create"));
    let victim = directory.file("victim");
    std::fs::write(&victim, b"precious").expect("write");
    std::os::unix::fs::symlink(&victim, &beside).expect("link");
    let pager = open(&path, CreateMode::Open).expect("open");
    assert!(
        beside.symlink_metadata().expect("there").is_file(),
        "the link was replaced, not followed"
    );
    assert_eq!(std::fs::read(&victim).expect("read"), b"precious");
    drop(pager);
    assert!(!beside.exists());
}

#[test]
fn commits_survive_closing_in_every_page_size() {
    let directory = Directory::new("sizes");
    for shift in 12..=16 {
        let path = directory.file(&format!("{shift}.kv"));
        let mut random = Random::new(shift);
        let mut model = toy::empty();
        let mut mode = CreateMode::New;
        for _ in 0..6 {
            let (pager, _) = open_file(&path, mode, &options(1 << shift)).expect("open");
            mode = CreateMode::Open;
            assert_eq!(toy::read(pager.view_all(), &pager.newest()), Ok(model.clone()));
            for step in 0..8 {
                let durability = if step % 2 == 0 {
                    Durability::Full
                } else {
                    Durability::Lazy
                };
                if let Some(done) = toy::commit(&pager, &mut random, durability, 6).expect("write lock") {
                    done.answer.expect("commit");
                    model = done.model;
                }
                toy::account(&pager).expect("accounting");
            }
        }
    }
}

#[test]
fn waiting_ends_in_every_way() {
    let (pager, _) = open_memory(&options(4096)).expect("open");
    let writer = pager.lock_write(Wait::Try, &AtomicBool::new(false)).expect("free");
    assert!(matches!(
        pager.lock_write(Wait::Try, &AtomicBool::new(false)),
        Err(Error::Busy(_))
    ));
    let start = Instant::now();
    let wait = Wait::For(Duration::from_millis(30));
    assert!(matches!(
        pager.lock_write(wait, &AtomicBool::new(false)),
        Err(Error::Busy(_))
    ));
    assert!(start.elapsed() >= Duration::from_millis(30));
    let cancel = Arc::new(AtomicBool::new(false));
    let waiting = {
        let (pager, cancel) = (pager.clone(), cancel.clone());
        std::thread::spawn(move || pager.lock_write(Wait::Forever, &cancel).map(|_| ()))
    };
    std::thread::sleep(Duration::from_millis(20));
    cancel.store(true, SeqCst);
    pager.wake_waiters();
    assert!(matches!(waiting.join().expect("thread"), Err(Error::Cancelled)));
    let waiting = {
        let pager = pager.clone();
        std::thread::spawn(move || pager.lock_write(Wait::Forever, &AtomicBool::new(false)).map(|_| ()))
    };
    // The write lock may be given up by another thread than took it.
    std::thread::spawn(move || drop(writer)).join().expect("thread");
    waiting.join().expect("thread").expect("write lock");
}

/// Writers and readers at once: each snapshot stays whole, and versions only rise.
fn storm(pager: &Arc<Pager>, milliseconds: u64) {
    let end = Instant::now() + Duration::from_millis(milliseconds);
    let commits = Arc::new(AtomicU64::new(0));
    let threads: Vec<_> = (0..6)
        .map(|kind| {
            let (pager, commits) = (pager.clone(), commits.clone());
            std::thread::spawn(move || {
                let mut random = Random::new(kind);
                let (mut snapshot, mut newest) = (pager.begin_read().expect("reader"), CommitId::NONE);
                while Instant::now() < end {
                    if kind < 3 {
                        let lazy = random.one_in(2);
                        let durability = if lazy { Durability::Lazy } else { Durability::Full };
                        if let Some(done) = toy::commit(&pager, &mut random, durability, 8).expect("write lock") {
                            let id = done.answer.expect("commit");
                            assert!(pager.newest().id >= id, "a commit returns when it is visible (I-7)");
                            assert!(lazy || pager.stat().durable >= id);
                            commits.fetch_add(1, SeqCst);
                        }
                        continue;
                    }
                    let before = toy::read(snapshot.view(), snapshot.desc()).expect("whole");
                    assert!(snapshot.desc().id >= newest);
                    newest = snapshot.desc().id;
                    if random.one_in(3) {
                        std::thread::sleep(Duration::from_micros(random.below(3000)));
                    }
                    assert_eq!(toy::read(snapshot.view(), snapshot.desc()).as_ref(), Ok(&before));
                    if random.one_in(2) {
                        snapshot.refresh().expect("reader");
                    } else {
                        drop(std::mem::replace(&mut snapshot, pager.begin_read().expect("reader")));
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().expect("thread"));
    toy::account(pager).expect("accounting");
    assert!(pager.held().is_empty());
    let stat = pager.stat();
    println!("{} commits, {stat:?}", commits.load(SeqCst));
    assert!(stat.pages < 1500, "the file grew to {} pages", stat.pages);
}

#[test]
fn threads_in_memory() {
    let memory = PagerOptions {
        verify: Verify::Always,
        ..options(4096)
    };
    storm(&open_memory(&memory).expect("open").0, 1500);
}

#[test]
fn threads_on_a_file() {
    let directory = Directory::new("threads");
    let path = directory.file("a.kv");
    storm(&open(&path, CreateMode::New).expect("create"), 1500);
    toy::account(&open(&path, CreateMode::Open).expect("open")).expect("accounting");
}

#[test]
fn space_is_reused_and_held_space_is_not() {
    let (pager, _) = open_memory(&options(4096)).expect("open");
    let mut random = Random::new(9);
    let commit = |random: &mut Random| {
        let _ = toy::commit(&pager, random, Durability::Full, 8).expect("write lock");
    };
    (0..300).for_each(|_| commit(&mut random));
    let before = pager.stat().pages;
    let snapshot = pager.begin_read().expect("reader");
    let content = toy::read(snapshot.view(), snapshot.desc()).expect("whole");
    (0..3000).for_each(|_| commit(&mut random));
    assert_eq!(toy::read(snapshot.view(), snapshot.desc()), Ok(content));
    let held = pager.stat().pages;
    // One slow reader costs what it sees, not all that was written meanwhile.
    assert!(held <= before * 2 + 150, "{before} pages grew to {held}");
    drop(snapshot);
    (0..3000).for_each(|_| commit(&mut random));
    assert!(pager.stat().pages <= held + 20);
    toy::account(&pager).expect("accounting");
}

#[test]
fn there_is_room_for_eight_thousand_readers() {
    let directory = Directory::new("readers");
    let pager = open(&directory.file("a.kv"), CreateMode::New).expect("create");
    let mut random = Random::new(1);
    let mut snapshots = Vec::new();
    let refused = loop {
        match pager.begin_read() {
            Ok(snapshot) => snapshots.push(snapshot),
            Err(error) => break error,
        }
        if snapshots.len() % 1000 == 0 {
            while toy::commit(&pager, &mut random, Durability::Lazy, 4)
                .expect("write lock")
                .is_none()
            {}
        }
    };
    assert!(matches!(refused, Error::Limit(_)), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("8192 read transactions are open")
            && text.contains("; this process has 8192 of them, so end some"),
        "{text}"
    );
    assert_eq!(snapshots.len(), 8192);
    let readers = pager.readers();
    assert_eq!(readers.len(), 8192);
    assert!(readers.iter().all(|r| r.pid == std::process::id()));
    // The oldest first, each group on its own commit.
    assert!(readers.windows(2).all(|r| r[0].id <= r[1].id));
    assert!(readers[0].id < readers[8191].id);
    snapshots.truncate(8000);
    assert!(pager.begin_read().is_ok(), "there is room again");
    drop(snapshots);
    assert_eq!(pager.stat().readers, 0);
    toy::account(&pager).expect("accounting");
}

/// Not a benchmark, a look: `cargo test --release --test environment -- --ignored --nocapture figures`.
#[test]
#[ignore = "prints figures"]
fn figures() {
    let directory = Directory::new("figures");
    let pager = open(&directory.file("a.kv"), CreateMode::New).expect("create");
    let mut random = Random::new(1);
    for durability in [Durability::Full, Durability::Lazy] {
        let (rounds, start) = (1000, Instant::now());
        for _ in 0..rounds {
            let _ = toy::commit(&pager, &mut random, durability, 2).expect("write lock");
        }
        println!("{durability:?} commit: {:?}", start.elapsed() / rounds);
    }
    let (rounds, start) = (5_000_000, Instant::now());
    for _ in 0..rounds {
        drop(pager.begin_read().expect("reader"));
    }
    println!(
        "begin_read + drop: {:.1} ns",
        start.elapsed().as_nanos() as f64 / f64::from(rounds)
    );
    let mut snapshot = pager.begin_read().expect("reader");
    let start = Instant::now();
    for _ in 0..rounds {
        snapshot.refresh().expect("reader");
    }
    println!(
        "refresh: {:.1} ns",
        start.elapsed().as_nanos() as f64 / f64::from(rounds)
    );
}
