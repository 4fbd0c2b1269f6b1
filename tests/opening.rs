//! What opening says of a file that it cannot open: foreign, cut, older, newer, damaged, each with its own status and
//! words that tell what to do. What is no database at all is left alone.
#![allow(unsafe_code)]

mod common;

use common::image::repair_slots;
use common::tmp::TempDir;
use kv::Error;
use kv::{CommitId, Db, Options, PageNo, PutMode, TableId, WriteOptions};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{symlink, DirBuilderExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A database of some hundred pages, closed properly; its bytes.
fn good(path: &Path, commits: u64) -> Vec<u8> {
    let db = Db::open(path, &Options::default()).expect("create");
    for commit in 0..commits {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for i in 0..2000u64 {
            let key = (commit * 10_000 + i).to_be_bytes();
            txn.put(TableId::MAIN, &key, &[7; 100], PutMode::Set).expect("put");
        }
        txn.commit().expect("commit");
    }
    drop(db);
    fs::read(path).expect("read")
}

fn open_bytes(path: &PathBuf, bytes: &[u8]) -> Error {
    fs::write(path, bytes).expect("write");
    let options = Options {
        existing: true,
        ..Options::default()
    };
    match Db::open(path, &options) {
        Ok(_) => panic!("a file that cannot be a database was opened"),
        Err(error) => error,
    }
}

#[track_caller]
fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

#[test]
fn a_foreign_file_is_told_from_a_damaged_one() {
    let dir = TempDir::new("opening-foreign");
    let path = dir.file("a.kv");
    let mut foreign = b"SQLite format 3\0".to_vec();
    foreign.resize(100_000, 1);
    let error = open_bytes(&path, &foreign);
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    says(&error, &["an SQLite database"]);
    let error = open_bytes(&path, &[0; 65536]);
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    says(&error, &["its first 16384 bytes are zeros"]);
    let error = open_bytes(&path, b"hello");
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    says(&error, &["5 bytes are too short"]);
    says(&open_bytes(&path, b"h"), &["1 byte is too short"]);
    // The beginning of the first slot.
    says(
        &open_bytes(&path, &good(&dir.file("c.kv"), 1)[..1]),
        &["it has 1 byte,"],
    );
    // All four slots damaged, but it was a database: the magic is there.
    let mut bytes = good(&dir.file("b.kv"), 1);
    (0..4).for_each(|slot| bytes[slot * 4096 + 100] ^= 1);
    let error = open_bytes(&path, &bytes);
    assert!(
        matches!(&error, Error::Corrupt(c) if c.page == Some(PageNo::new(0))),
        "{error}"
    );
    says(&error, &["no meta slot", "salvage"]);
}

#[test]
fn a_cut_file_says_how_much_is_missing() {
    let dir = TempDir::new("opening-cut");
    let path = dir.file("a.kv");
    let bytes = good(&dir.file("b.kv"), 3);
    let whole = format!("of {}", bytes.len());
    for cut in [bytes.len() - 1, bytes.len() - 4096, bytes.len() / 2, 16384] {
        let error = open_bytes(&path, &bytes[..cut]);
        assert!(matches!(&error, Error::Corrupt(c) if c.page.is_none()), "{error}");
        says(
            &error,
            &["shorter than its newest commit", &format!("{cut} bytes"), &whole],
        );
    }
    for cut in [1, 7, 8, 4096, 16383] {
        let error = open_bytes(&path, &bytes[..cut]);
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
        says(&error, &["was cut", &format!("it has {cut} byte"), "16384"]);
    }
}

#[test]
fn other_versions_and_features_are_named() {
    let dir = TempDir::new("opening-version");
    let path = dir.file("a.kv");
    let bytes = good(&dir.file("b.kv"), 2);
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        (0..4)
            .filter(|slot| bytes[slot * 4096] != 0)
            .collect::<Vec<usize>>()
            .into_iter()
            .for_each(|slot| bytes[slot * 4096 + at] = value);
        repair_slots(&mut bytes);
        bytes
    };
    let error = open_bytes(&path, &changed(8, 0));
    assert!(matches!(error, Error::TooOld(_)), "{error}");
    says(&error, &["older version", "file format 0"]);
    let error = open_bytes(&path, &changed(8, 2));
    assert!(matches!(error, Error::TooNew(_)), "{error}");
    says(&error, &["newer version", "file format 2"]);
    let error = open_bytes(&path, &changed(12, 4));
    assert!(matches!(error, Error::TooNew(_)), "{error}");
    says(&error, &["unknown features 0x4"]);
    // Unknown to writers: it may be read.
    let error = open_bytes(&path, &changed(16, 8));
    assert!(matches!(error, Error::TooNew(_)), "{error}");
    says(&error, &["0x8", "read-only"]);
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    assert!(Db::open(&path, &options).is_ok());
}

#[test]
fn one_damaged_slot_of_a_closed_file_loses_nothing() {
    let dir = TempDir::new("opening-damaged");
    let path = dir.file("a.kv");
    let source = dir.file("b.kv");
    let bytes = good(&source, 3);
    // Closing sealed the commit: two slots describe the same trees.
    let id = |slot: usize| u64::from_le_bytes(bytes[slot * 4096 + 48..slot * 4096 + 56].try_into().expect("8"));
    let mut slots: Vec<usize> = (0..4).filter(|slot| bytes[slot * 4096] != 0).collect();
    slots.sort_by_key(|slot| std::cmp::Reverse(id(*slot)));
    let mut damaged = bytes.clone();
    damaged[slots[0] * 4096 + 200] ^= 1;
    fs::write(&path, &damaged).expect("write");
    let db = Db::open(&path, &Options::default()).expect("one of two slots is enough");
    let read = db.begin_read().expect("read");
    let last = (2 * 10_000 + 1999u64).to_be_bytes();
    assert!(read.get(TableId::MAIN, &last).expect("get").is_some());
}

#[test]
fn a_handle_tells_what_opening_found() {
    let dir = TempDir::new("opening-report");
    let path = dir.file("a.kv");
    let bytes = good(&path, 2);
    // A newer commit that a crash tore: the same slot with a higher id and more pages than the file has.
    let newest = (0..4usize)
        .filter(|slot| bytes[slot * 4096] != 0)
        .max_by_key(|slot| bytes[slot * 4096 + 48])
        .expect("a slot");
    let free = (0..4usize)
        .find(|slot| *slot != newest && bytes[slot * 4096 + 48] + 1 < bytes[newest * 4096 + 48])
        .expect("a slot to overwrite");
    let mut torn = bytes.clone();
    torn.copy_within(newest * 4096..newest * 4096 + 4096, free * 4096);
    torn[free * 4096 + 48] += 1;
    torn[free * 4096 + 82] += 1;
    repair_slots(&mut torn);
    fs::write(&path, &torn).expect("write");
    let db = Db::open(&path, &Options::default()).expect("open");
    let found = db.recovery();
    assert_eq!(
        (found.id, found.discarded),
        (CommitId::new(bytes[newest * 4096 + 48].into()), 1)
    );
    assert!(db.opening_time() > std::time::Duration::ZERO);
}

#[test]
fn a_file_of_before_says_what_to_do() {
    // Written before the last bytes of the format were decided: its slots are whole, and their fields lie elsewhere.
    let dir = TempDir::new("opening-before");
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/before-0.1.0.kv");
    let bytes = fs::read(old).expect("the fixture");
    let path = dir.file("a.kv");
    let error = open_bytes(&path, &bytes);
    assert!(matches!(error, Error::TooOld(_)), "{error}");
    says(&error, &["before 0.1.0", "dump it with the library that made it"]);
    assert!(fs::read(&path).expect("read") == bytes, "it was written to");
    let saved = kv::salvage(&path, &dir.file("b.kv"), true, &kv::Job::silent(), &mut |_| true);
    assert!(matches!(saved, Err(Error::TooOld(_))), "{saved:?}");
}

/// What opening and checking say of the slots of these bytes.
fn slots_of(path: &PathBuf, bytes: &[u8]) -> (kv::Recovery, u32) {
    fs::write(path, bytes).expect("write");
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    let db = Db::open(path, &options).expect("open");
    let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    // A second handle is told of the slots, too.
    let again = Db::open(path, &options).expect("open again").recovery();
    assert_eq!((again.lost_slots, again.discarded), (db.recovery().lost_slots, 0));
    (db.recovery(), report.lost_slots)
}

#[test]
fn lost_slots_and_closing_are_told() {
    let dir = TempDir::new("opening-lost");
    let (source, path) = (dir.file("a.kv"), dir.file("b.kv"));
    let closed = good(&source, 3);
    let id = |bytes: &[u8], slot: usize| u64::from_le_bytes(bytes[slot * 4096 + 48..][..8].try_into().expect("8"));
    let newest_first = |bytes: &[u8]| {
        let mut slots: Vec<usize> = (0..4).filter(|slot| bytes[slot * 4096] != 0).collect();
        slots.sort_by_key(|slot| std::cmp::Reverse(id(bytes, *slot)));
        slots
    };
    let slots = newest_first(&closed);
    let (found, checked) = slots_of(&path, &closed);
    assert_eq!((found.closed_properly, found.lost_slots, checked), (true, 0, 0));
    // Each slot torn, overwritten or filled with zeros: nothing is lost but the slot, and that is told.
    for (n, slot) in slots.iter().enumerate() {
        for damage in [&[1, 2, 3, 4][..], &[0x55; 4096], &[0; 4096]] {
            let mut bytes = closed.clone();
            let at = slot * 4096 + if damage.len() == 4 { 600 } else { 0 };
            bytes[at..at + damage.len()].copy_from_slice(damage);
            let (found, checked) = slots_of(&path, &bytes);
            assert_eq!(found.lost_slots, checked, "slot {slot}");
            let zeros = damage.iter().all(|byte| *byte == 0);
            // Zeros are what a slot holds that was never written. That of the base of the last commit is missed.
            match (zeros, n) {
                (false, _) => assert_eq!(found.lost_slots, 1 << slot, "{n} of the newest"),
                (true, 1) => assert!(found.lost_slots.is_power_of_two(), "{n} of the newest"),
                (true, _) => assert_eq!(found.lost_slots, 0, "{n} of the newest"),
            }
            assert_eq!(found.closed_properly, zeros && n > 0, "slot {slot}");
            assert_eq!(found.id.get(), id(&closed, slots[usize::from(n == 0)]), "slot {slot}");
        }
    }
    // A killed writer: its last commit is whole, and nothing says that it closed the file.
    let db = Db::open(&source, &Options::default()).expect("open");
    assert!(db.recovery().closed_properly);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.put(TableId::MAIN, b"more", b"", PutMode::Set).expect("put");
    let last = txn.commit().expect("commit");
    let killed = fs::read(&source).expect("read");
    let (found, checked) = slots_of(&path, &killed);
    assert_eq!((found.closed_properly, found.lost_slots, checked), (false, 0, 0));
    assert_eq!(found.id, last);
    // Its slot is damaged at rest: the commit before comes back, and that is not silent.
    let mut bytes = killed.clone();
    let slot = newest_first(&killed)[0];
    (0..4).for_each(|i| bytes[slot * 4096 + 700 + i] ^= 0xFF);
    let (found, checked) = slots_of(&path, &bytes);
    assert_eq!(
        (found.closed_properly, found.lost_slots, checked),
        (false, 1 << slot, 1 << slot)
    );
    assert!(found.id < last);
    // The next commits write the slot anew.
    fs::write(&path, &bytes).expect("write");
    good_again(&path);
    let (found, checked) = slots_of(&path, &fs::read(&path).expect("read"));
    assert_eq!((found.closed_properly, found.lost_slots, checked), (true, 0, 0));
}

/// Makes a commit in a file, and closes it.
fn good_again(path: &Path) {
    let db = Db::open(path, &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.put(TableId::MAIN, b"more", b"", PutMode::Set).expect("put");
    txn.commit().expect("commit");
}

#[test]
fn a_new_file_is_closed_properly() {
    let dir = TempDir::new("opening-new");
    let path = dir.file("a.kv");
    let first = Db::open(&path, &Options::default()).expect("create").recovery();
    let second = Db::open(&path, &Options::default()).expect("open").recovery();
    for found in [first, second] {
        assert_eq!((found.closed_properly, found.lost_slots, found.discarded), (true, 0, 0));
    }
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let dir = TempDir::new("foreign");
    let name = |text: &str| dir.file(text);
    fs::DirBuilder::new()
        .mode(0o755)
        .create(name("directory"))
        .expect("create");
    fs::write(name("one"), b"x").expect("write");
    fs::write(name("text"), "not a database\n".repeat(5000)).expect("write");
    fs::write(name("zeros"), vec![0; 100_000]).expect("write");
    let this = std::env::current_exe().expect("name");
    fs::copy(this, name("program")).expect("copy");
    symlink(name("loop"), name("loop")).expect("link");
    symlink(name("nowhere/at/all"), name("dangling")).expect("link");
    let _socket = std::os::unix::net::UnixListener::bind(name("socket")).expect("socket");
    let fifo = std::ffi::CString::new(name("fifo").into_os_string().into_encoded_bytes()).expect("name");
    // SAFETY: a path that ends in a zero.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let long = "n".repeat(300);
    let paths = [
        "directory",
        "one",
        "text",
        "zeros",
        "program",
        "loop",
        "dangling",
        "socket",
        "fifo",
        "",
        "text/below",
        &long,
        "no/such",
        "directory/",
    ]
    .map(name);
    let system = [
        "/dev/null",
        "/dev/zero",
        "/proc/self/mem",
        "/proc/self/status",
        "/dev/tty",
        "/",
    ]
    .map(PathBuf::from);
    let content = |path: &Path| path.is_file().then(|| fs::read(path).unwrap_or_default());
    let mut refused = 0;
    for path in paths.iter().chain(&system) {
        let ours = path.starts_with(dir.path());
        let before = ours.then(|| content(path));
        for (existing, new, read_only) in [
            (true, false, false),
            (true, false, true),
            (false, true, false),
            (false, false, false),
        ] {
            let may_create = !path.exists() && !existing;
            let options = Options {
                existing,
                new,
                read_only,
                ..Options::default()
            };
            let start = Instant::now();
            let answer = Db::open(path, &options).map(|_| ());
            let took = start.elapsed();
            assert!(took < Duration::from_secs(5), "{}: {took:?}", path.display());
            match answer {
                Err(e) => assert!(!e.to_string().is_empty() && !matches!(e, Error::Panic(_)), "{e:?}"),
                Ok(()) => panic!("{}: opened (may be created: {may_create})", path.display()),
            }
            refused += 1;
        }
        assert_eq!(before, ours.then(|| content(path)), "{} was changed", path.display());
    }
    let left = fs::read_dir(dir.path()).expect("list").count();
    assert_eq!(left, 9, "files are left over");
    // The descriptor of a refused file is closed.
    let probe = fs::File::open("/dev/null").expect("open");
    assert!(probe.as_raw_fd() < 64, "descriptors are left open");
    println!(
        "COUNT foreign files: {} names, {refused} refusals",
        paths.len() + system.len()
    );
}
