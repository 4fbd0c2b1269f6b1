//! Full disks, file size limits and read-only file systems. What needs a mount runs only when asked: `make full-disk`.
#![allow(unsafe_code)]

mod common;

use common::child::{how, role, Child, Wire};
use common::env_number;
use common::ledger::{self, Acknowledged};
use common::mount::Mount;
use common::rng::Rng;
use common::tmp::TempDir;
use kv::Error;
use kv::{CommitId, Db, Durability, Options, PutMode, Range, TableId, Verify, Wait, WriteOptions};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BALLAST: &[u8] = b"ballast";

fn options() -> Options {
    Options {
        verify: Verify::Always,
        ..Options::default()
    }
}

/// A commit that makes the file grow.
fn grow(db: &Db, rng: &mut Rng, durability: Durability) -> kv::Result<ledger::Done> {
    let mut txn = db.begin_write(WriteOptions {
        durability: Some(durability),
        // Pages reach the file before the commit, in some.
        write_memory: Some(if rng.one_in(2) { 4096 } else { 64 << 20 }),
        ..WriteOptions::default()
    })?;
    let ballast = txn.table_create(BALLAST, false)?;
    let done = ledger::write(&mut txn, 1)?;
    for _ in 0..rng.range(1, 8) {
        let len = if rng.one_in(3) {
            rng.range(0, 3000)
        } else {
            rng.range(3000, 90_000)
        };
        let value = rng.bytes(len);
        txn.put(ballast, &rng.next().to_be_bytes(), &value, PutMode::Set)?;
    }
    let id = txn.commit()?;
    Ok(ledger::Done { id, ..done })
}

/// Removes all that made the file grow.
fn shrink(db: &Db) -> kv::Result<CommitId> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    let ballast = txn.table_create(BALLAST, false)?;
    txn.table_clear(ballast)?;
    txn.commit()
}

/// Deletes a few entries one by one.
fn delete_some(db: &Db) -> kv::Result<CommitId> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    let ballast = txn.table_create(BALLAST, false)?;
    for _ in 0..4 {
        if txn.take_first(ballast, &Range::default())?.is_none() {
            break;
        }
    }
    txn.commit()
}

#[derive(Default, Debug)]
struct Count {
    sizes: u64,
    commits: u64,
    full: u64,
    deleted: u64,
    cleared: u64,
    reopened: u64,
}

/// How many bytes are free where a file is.
fn free(path: &Path) -> u64 {
    let name = std::ffi::CString::new(path.parent().expect("directory").as_os_str().as_encoded_bytes());
    // SAFETY: a path that ends in a zero, and a place for the answer.
    unsafe {
        let mut facts: libc::statvfs = std::mem::zeroed();
        assert_eq!(libc::statvfs(name.expect("name").as_ptr(), &mut facts), 0);
        facts.f_bavail as u64 * facts.f_frsize as u64
    }
}

/// Fills the file system but for `left` bytes.
fn fill(path: &Path, left: u64) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let block = vec![0x55; 1 << 16];
    while free(path) > left {
        let step = (free(path) - left).clamp(1, block.len() as u64) as usize;
        match file.write_all(&block[..step]) {
            Ok(()) => file.sync_data()?,
            Err(e) if e.raw_os_error() == Some(libc::ENOSPC) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Nothing but "no space" is an answer to a full disk.
fn only_full(what: &str, error: &Error) -> Result<(), String> {
    match error {
        Error::NoSpace { .. } | Error::TxnFailed(_) => Ok(()),
        other => Err(format!("{what}: {other:?}")),
    }
}

/// Removes what fills the disk, and sees that its room is free then. The system may take its time for that: a process
/// that was just being started can have the file open still.
fn empty(filler: &Path) -> Result<(), String> {
    let length = fs::metadata(filler).map_or(0, |facts| facts.len());
    let wanted = free(filler) + length;
    let _ = fs::remove_file(filler);
    let until = Instant::now() + Duration::from_secs(30);
    while free(filler) < wanted {
        if Instant::now() > until {
            return Err(format!(
                "the disk stays full: {} of {wanted} bytes are free",
                free(filler)
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn compare(db: &Db, acknowledged: &mut Acknowledged) -> Result<(), String> {
    let read = db.begin_read().map_err(|e| format!("read: {e:?}"))?;
    acknowledged.compare(&ledger::read(&read)?)
}

fn sizes(disk: &Mount, sizes: u64, seed: u64) -> Result<Count, String> {
    let (path, filler) = (disk.dir().join("full.kv"), disk.dir().join("filler"));
    let mut count = Count::default();
    let mut rng = Rng::new(seed);
    let mut acknowledged = Acknowledged::default();
    let mut db = Db::open(&path, &options()).map_err(|e| format!("create: {e:?}"))?;
    for size in 0..sizes {
        let most = [40_000, 400_000, 4_000_000][rng.index(3)];
        let left = rng.below(most);
        fill(&filler, left).map_err(|e| e.to_string())?;
        let mut full = None;
        for _ in 0..2000 {
            let durability = if rng.one_in(2) {
                Durability::Lazy
            } else {
                Durability::Full
            };
            match grow(&db, &mut rng, durability) {
                Ok(done) => acknowledged.add(1, done.number, done.global, true)?,
                Err(error) => {
                    full = Some(error);
                    break;
                }
            }
        }
        let error = full.ok_or("the disk was never full")?;
        only_full("a commit", &error)?;
        count.full += 1;
        compare(&db, &mut acknowledged).map_err(|e| format!("full, size {size}: {e}"))?;
        for (what, answer) in [
            ("deleting", delete_some(&db).inspect(|_| count.deleted += 1)),
            ("sync", db.sync().map(|()| CommitId::NONE)),
        ] {
            if let Err(e) = answer {
                only_full(what, &e)?;
            }
        }
        compare(&db, &mut acknowledged).map_err(|e| format!("full and deleted, size {size}: {e}"))?;
        if rng.one_in(3) {
            // Closed and opened on a full disk.
            drop(db);
            match Db::open(&path, &options()) {
                Ok(again) => {
                    count.reopened += 1;
                    db = again;
                    compare(&db, &mut acknowledged).map_err(|e| format!("opened full, size {size}: {e}"))?;
                }
                Err(e) => {
                    only_full("opening", &e)?;
                    empty(&filler)?;
                    db = Db::open(&path, &options()).map_err(|e| format!("open with space: {e:?}"))?;
                }
            }
        }
        // Two ways back: others make room, or the database's own content goes.
        if rng.one_in(2) {
            match shrink(&db) {
                Ok(_) => count.cleared += 1,
                Err(e) => only_full("clearing", &e)?,
            }
        }
        empty(&filler)?;
        let done = ledger::commit(&db, 1, Durability::Full, Wait::Forever);
        let done = done.map_err(|e| format!("with space again, size {size}: {e:?}"))?;
        acknowledged.add(1, done.number, done.global, true)?;
        // The database itself must not fill the disk.
        if db.stat().pages > 1200 {
            shrink(&db).map_err(|e| format!("shrink: {e:?}"))?;
        }
        if db.stat().pages > 2600 {
            drop(db);
            fs::remove_file(&path).map_err(|e| e.to_string())?;
            db = Db::open(&path, &options()).map_err(|e| format!("create: {e:?}"))?;
            count.commits += acknowledged.count;
            acknowledged = Acknowledged::default();
        }
        if size % 10 == 0 {
            let mut faults = 0;
            db.check(true, &mut |fault| {
                eprintln!("{fault:?}");
                faults += 1;
                true
            })
            .map_err(|e| format!("check: {e:?}"))?;
            if faults > 0 {
                return Err(format!("size {size}: {faults} faults"));
            }
        }
        count.sizes += 1;
    }
    drop(db);
    let db = Db::open(&path, &options()).map_err(|e| format!("open: {e:?}"))?;
    compare(&db, &mut acknowledged)?;
    count.commits += acknowledged.count;
    Ok(count)
}

fn full(test: &str, mount: impl Fn(&Path) -> Result<Mount, String>) {
    let seed = env_number("KV_SEED", 1);
    let dir = TempDir::new(test);
    let disk = match mount(dir.path()) {
        Ok(disk) => disk,
        Err(why) => return println!("SKIPPED: full {test}: {why}"),
    };
    match sizes(&disk, env_number("KV_FULL_DISKS", 100), seed) {
        Ok(c) => println!(
            "COUNT {test}: full at {} sizes, {} commits acknowledged, 0 lost; on the full disk {} deletions of some and {} of all went through, opened {} times",
            c.sizes, c.commits, c.deleted, c.cleared, c.reopened
        ),
        Err(why) => panic!("{test}: KV_SEED={seed}: {why}"),
    }
}

#[test]
#[ignore = "mounts file systems: make full-disk"]
fn tmpfs() {
    full("tmpfs", |base| Mount::tmpfs(base, 16));
}

#[test]
#[ignore = "mounts file systems: make full-disk"]
fn ext4() {
    full("ext4", |base| {
        Mount::image(base, 16, &["mkfs.ext4", "-q", "-F", "-m", "0"])
    });
}

/// What a killed process leaves beside a database on a full disk takes the room that the next one needs for the same.
/// That one is not alone for this reason, and cleans up.
#[test]
#[ignore = "mounts file systems: make full-disk"]
fn memory_is_made_anew_in_the_room_of_what_was_left() {
    let dir = TempDir::new("left-over");
    let disk = match Mount::tmpfs(dir.path(), 2) {
        Ok(disk) => disk,
        Err(why) => return println!("SKIPPED: left-over memory: {why}"),
    };
    let path = disk.dir().join("a.kv");
    let memory = disk.dir().join("a.kv-shm");
    let db = Db::open(&path, &options()).expect("create");
    ledger::commit(&db, 1, Durability::Full, Wait::Forever).expect("commit");
    let bytes = fs::read(&memory).expect("memory");
    drop(db);
    fs::write(&memory, &bytes).expect("as a killed process leaves it");
    fill(&disk.dir().join("filler"), 0).expect("fill");
    let db = Db::open(&path, &options()).expect("open");
    assert_ne!(fs::read(&memory).expect("memory"), bytes, "of another era");
    drop(db);
    assert!(!memory.exists(), "whoever is alone leaves what is not its own");
    // What is of another file is left alone, and does not keep anybody out.
    let mut other = bytes;
    other[8 * 3] ^= 1;
    fs::write(&memory, &other).expect("memory of another file");
    fill(&disk.dir().join("filler2"), 0).expect("fill");
    let db = Db::open(&path, &options()).expect("open");
    ledger::read(&db.begin_read().expect("read")).expect("whole");
    drop(db);
    assert_eq!(fs::read(&memory).expect("memory"), other);
}

#[test]
#[ignore = "mounts file systems: make full-disk"]
fn read_only_file_system() {
    let dir = TempDir::new("read-only");
    let mut disk = match Mount::image(dir.path(), 16, &["mkfs.ext4", "-q", "-F"]) {
        Ok(disk) => disk,
        Err(why) => return println!("SKIPPED: read-only file system: {why}"),
    };
    let path = disk.dir().join("a.kv");
    for killed in [false, true] {
        let db = Db::open(&path, &options()).expect("open");
        let done = ledger::commit(&db, 1, Durability::Full, Wait::Forever).expect("commit");
        if killed {
            // Not closed in good order: what lies beside the file stays there, and there is nothing to write it with.
            let names: Vec<PathBuf> = fs::read_dir(disk.dir())
                .expect("list")
                .map(|e| e.expect("entry").path())
                .collect();
            let kept: Vec<_> = names
                .iter()
                .filter(|p| p.is_file())
                .map(|p| (p, fs::read(p).expect("read")))
                .collect();
            drop(db);
            for (name, content) in &kept {
                fs::write(name, content).expect("write");
            }
        } else {
            drop(db);
        }
        disk.unmount().expect("unmount");
        disk.mount_read_only().expect("mount");
        let answer = Db::open(&path, &options());
        assert!(
            matches!(answer, Err(Error::Access(_) | Error::ReadOnly(_))),
            "{:?}",
            answer.err()
        );
        let read_only = Options {
            read_only: true,
            ..options()
        };
        let db = Db::open(&path, &read_only).expect("open read-only");
        let read = db.begin_read().expect("read");
        assert_eq!(ledger::read(&read).expect("whole").global, done.global);
        assert!(matches!(
            db.begin_write(WriteOptions::default()).err(),
            Some(Error::ReadOnly(_))
        ));
        drop((read, db));
        disk.unmount().expect("unmount");
        disk.mount().expect("mount");
    }
    println!("COUNT read-only file system: 2 databases read");
}

/// A process that may not make files longer than this.
fn limited(wire: &Wire, ignore: bool) -> ! {
    let limit = libc::rlimit {
        rlim_cur: 2 << 20,
        rlim_max: 2 << 20,
    };
    // SAFETY: sets a limit and a disposition of this process.
    unsafe {
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
        if ignore {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        }
    }
    let path = PathBuf::from(std::env::var("KV_LIMIT_FILE").expect("file"));
    let mut db = Db::open(&path, &options()).expect("open");
    let mut rng = Rng::new(env_number("KV_SEED", 1));
    let (mut full, mut reopened) = (0, 0);
    while full < 40 {
        match grow(&db, &mut rng, Durability::Lazy) {
            Ok(done) => wire.tell(b'd', 1, done.number, done.global),
            Err(e) => {
                only_full("limited", &e).expect("only that");
                full += 1;
                // Reading, deleting, and what fits go on.
                let read = db.begin_read().expect("read");
                ledger::read(&read).expect("whole");
                drop(read);
                if full % 5 == 0 {
                    db.sync().expect("a sync needs no space");
                    // What died before the sync can be overwritten now.
                    if let Err(e) = shrink(&db) {
                        only_full("clearing", &e).expect("only that");
                        // Pages that died since the base of the durable commit become free by another commit, and
                        // closing makes one.
                        drop(db);
                        db = Db::open(&path, &options()).expect("open");
                        reopened += 1;
                        shrink(&db).expect("the limit is on the length, not on what is overwritten");
                    }
                }
            }
        }
    }
    wire.tell(b'f', full, reopened, 0);
    std::process::exit(0);
}

#[test]
fn file_size_limit() {
    const TEST: &str = "file_size_limit";
    if let Some((role, wire)) = role() {
        limited(&wire, role == "ignores the signal");
    }
    for role in ["ignores the signal", "would be ended by it"] {
        let dir = TempDir::new("limit");
        let path = dir.file("limit.kv");
        let mut child = Child::start(TEST, role, &[("KV_LIMIT_FILE", path.display().to_string())]);
        assert_eq!(how(child.wait(Duration::from_secs(60))), "exit code 0", "{role}");
        let mut acknowledged = Acknowledged::default();
        for note in child.last_notes().iter().filter(|n| n.kind == b'd') {
            acknowledged.add(1, note.a, note.b, true).expect("ledger");
        }
        assert!(acknowledged.count > 3, "{role}: {} commits", acknowledged.count);
        assert!(fs::metadata(&path).expect("facts").len() <= 2 << 20);
        let db = Db::open(&path, &options()).expect("open");
        compare(&db, &mut acknowledged).unwrap_or_else(|e| panic!("{role}: {e}"));
        db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
        let read = db.begin_read().expect("read");
        assert!(read.get(TableId::MAIN, b"G").expect("get").is_some());
        println!("COUNT file size limit, {role}: {} commits kept", acknowledged.count);
    }
}
