//! The files of a database as others treat them: links, renamed, replaced and deleted while open, owned by somebody
//! else; and the descriptors it keeps. In every case another process must either share the database or be refused: both
//! count their commits, and a count that is short means that two wrote at once.
#![allow(unsafe_code)]

mod common;

use common::child::{how, role, Child, Wire};
use common::env_number;
use common::tmp::TempDir;
use kv::Error;
use kv::{Db, Options, PutMode, Reader, TableId, Wait, WriteOptions, WriteTxn};
use std::fs;
use std::os::unix::fs::{symlink, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const WROTE: u8 = b'w';
const BUSY: u8 = b'b';
const REFUSED: u8 = b'x';
const BAD: u8 = b'e';

const LONG: Duration = Duration::from_secs(20);

fn options() -> Options {
    Options {
        existing: true,
        ..Options::default()
    }
}

fn new_options() -> Options {
    Options {
        new: true,
        ..Options::default()
    }
}

fn number(txn: &mut WriteTxn, key: &[u8]) -> u64 {
    let value = txn.get(TableId::MAIN, key).expect("get");
    value.map_or(0, |v| u64::from_le_bytes(v.try_into().expect("eight bytes")))
}

/// Adds one to a counter: an update that is lost shows.
fn count(txn: &mut WriteTxn, key: &[u8]) -> u64 {
    let next = number(txn, key) + 1;
    txn.put(TableId::MAIN, key, &next.to_le_bytes(), PutMode::Set)
        .expect("put");
    next
}

fn begin(db: &Db) -> kv::Result<WriteTxn> {
    db.begin_write(WriteOptions {
        wait: Some(Wait::Try),
        ..WriteOptions::default()
    })
}

/// What another process got.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Answer {
    /// It committed.
    Wrote { ours: u64, theirs: u64 },
    /// The file or the write lock is taken.
    Busy,
    /// It could not open the file.
    Refused,
}

/// The other process.
fn other_process(role: &str, wire: &Wire) -> ! {
    let path = PathBuf::from(std::env::var("KV_FILES_PATH").expect("path"));
    match role {
        "write" => write_once(&path, wire),
        "descriptors" => descriptors(&path, wire),
        "mask" => mask(&path, wire),
        "stranger" => stranger(&path, wire),
        other => panic!("unknown role {other}"),
    }
    std::process::exit(0);
}

fn write_once(path: &Path, wire: &Wire) {
    let db = match Db::open(path, &options()) {
        Ok(db) => db,
        Err(Error::Busy(_)) => return wire.tell(BUSY, 0, 0, 0),
        Err(e) => {
            eprintln!("(refused: {e})");
            return wire.tell(REFUSED, 0, 0, 0);
        }
    };
    let wait = Duration::from_millis(env_number("KV_FILES_WAIT", 0));
    let options = WriteOptions {
        wait: Some(Wait::For(wait)),
        ..WriteOptions::default()
    };
    match db.begin_write(options) {
        Ok(mut txn) => {
            let (ours, theirs) = (number(&mut txn, b"ours"), count(&mut txn, b"theirs"));
            // Long enough for two writers to meet, if there are two.
            std::thread::sleep(wait / 10);
            match txn.commit() {
                Ok(_) => wire.tell(WROTE, 0, ours, theirs),
                Err(e) => {
                    eprintln!("(not committed: {e})");
                    wire.tell(REFUSED, 0, 0, 0);
                }
            }
        }
        Err(Error::Busy(_)) => wire.tell(BUSY, 0, 0, 0),
        Err(e) => {
            eprintln!("begin: {e:?}");
            wire.tell(BAD, 0, 0, 0);
        }
    }
}

fn start(test: &str, role: &str, path: &Path) -> Child {
    Child::start(test, role, &[("KV_FILES_PATH", path.display().to_string())])
}

/// Lets another process add one to its counter, if it can.
fn other(test: &str, path: &Path) -> Answer {
    answer(&mut start(test, "write", path))
}

fn answer(child: &mut Child) -> Answer {
    let note = child.note(LONG);
    let status = how(child.wait(LONG));
    assert_eq!(status, "exit code 0");
    match note {
        Some(n) if n.kind == WROTE => Answer::Wrote { ours: n.a, theirs: n.b },
        Some(n) if n.kind == BUSY => Answer::Busy,
        Some(n) if n.kind == REFUSED => Answer::Refused,
        n => panic!("{n:?}, {status}"),
    }
}

/// Both sides' commits.
#[derive(Default)]
struct Counts {
    ours: u64,
    theirs: u64,
}

impl Counts {
    fn we(&mut self, db: &Db) {
        let mut txn = begin(db).expect("begin");
        self.ours += 1;
        assert_eq!(count(&mut txn, b"ours"), self.ours);
        txn.commit().expect("commit");
    }

    /// While we write: nobody else may. Then both in turn.
    fn both(&mut self, test: &str, db: &Db, path: &Path) -> Answer {
        let mut txn = begin(db).expect("begin");
        self.ours += 1;
        assert_eq!(count(&mut txn, b"ours"), self.ours);
        let meanwhile = other(test, path);
        assert!(
            !matches!(meanwhile, Answer::Wrote { .. }),
            "two writers through {}",
            path.display()
        );
        txn.commit().expect("commit");
        let after = other(test, path);
        if let Answer::Wrote { ours, theirs } = after {
            self.theirs += 1;
            assert_eq!((ours, theirs), (self.ours, self.theirs), "through {}", path.display());
        }
        self.we(db);
        after
    }

    /// Another process tries while we write, and goes on trying while we write again and again: for those that may have
    /// to wait for a while before they are refused.
    fn contend(&mut self, test: &str, db: &Db, path: &Path) -> Answer {
        let mut txn = begin(db).expect("begin");
        self.ours += 1;
        assert_eq!(count(&mut txn, b"ours"), self.ours);
        let settings = [
            ("KV_FILES_PATH", path.display().to_string()),
            ("KV_FILES_WAIT", "2000".to_string()),
        ];
        let mut child = Child::start(test, "write", &settings);
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end && child.ended().is_none() {
            std::thread::sleep(Duration::from_millis(5));
        }
        txn.commit().expect("commit");
        while child.ended().is_none() {
            std::thread::sleep(Duration::from_millis(20));
            let Ok(mut txn) = begin(db) else {
                continue;
            };
            self.ours += 1;
            assert_eq!(count(&mut txn, b"ours"), self.ours, "through {}", path.display());
            txn.commit().expect("commit");
        }
        let answer = answer(&mut child);
        if let Answer::Wrote { ours, theirs } = answer {
            self.theirs += 1;
            assert!(ours <= self.ours && theirs == self.theirs, "through {}", path.display());
        }
        self.we(db);
        answer
    }

    /// In the end both counts are there, and the file is sound.
    fn proven(&self, path: &Path) {
        let db = Db::open(path, &options()).expect("open");
        let mut txn = begin(&db).expect("begin");
        assert_eq!(
            (number(&mut txn, b"ours"), number(&mut txn, b"theirs")),
            (self.ours, self.theirs)
        );
        drop(txn);
        db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    }
}

/// Files beside the database file.
fn beside(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.parent().expect("directory")).expect("list");
    let name = path.file_name().expect("name").to_string_lossy().into_owned();
    entries
        .map(|e| e.expect("entry").path())
        .filter(|p| p != path && p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&name)))
        .collect()
}

#[test]
fn links_lead_to_the_same_database() {
    const TEST: &str = "links_lead_to_the_same_database";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let dir = TempDir::new("links");
    let path = dir.file("a.kv");
    fs::create_dir(dir.file("sub")).expect("directory");
    let db = Db::open(&path, &new_options()).expect("create");
    let mut counts = Counts::default();
    symlink(&path, dir.file("symbolic")).expect("link");
    symlink("../a.kv", dir.file("sub/symbolic")).expect("link");
    fs::hard_link(&path, dir.file("hard")).expect("link");
    fs::hard_link(&path, dir.file("sub/hard")).expect("link");
    for name in ["a.kv", "symbolic", "sub/symbolic", "sub/../a.kv"] {
        let answer = counts.both(TEST, &db, &dir.file(name));
        assert!(matches!(answer, Answer::Wrote { .. }), "{name}: {answer:?}");
    }
    // Another name of the same file has other files beside it: shared or refused, but never a second writer.
    for name in ["hard", "sub/hard"] {
        println!("{name}: {:?}", counts.contend(TEST, &db, &dir.file(name)));
    }
    drop(db);
    // Opened first through the link, too.
    let db = Db::open(&dir.file("sub/symbolic"), &options()).expect("open");
    let answer = counts.both(TEST, &db, &path);
    assert!(matches!(answer, Answer::Wrote { .. }), "{answer:?}");
    drop(db);
    let db = Db::open(&dir.file("sub/hard"), &options()).expect("open");
    println!("opened by another name: {:?}", counts.contend(TEST, &db, &path));
    drop(db);
    counts.proven(&path);
    println!("COUNT links: 8 ways to name a file");
}

#[test]
fn closing_other_descriptors_loses_no_lock() {
    const TEST: &str = "closing_other_descriptors_loses_no_lock";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let dir = TempDir::new("descriptors");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &new_options()).expect("create");
    let mut counts = Counts::default();
    counts.both(TEST, &db, &path);
    for file in beside(&path).iter().chain([&path]) {
        for _ in 0..3 {
            drop(fs::File::open(file).expect("open"));
            drop(fs::OpenOptions::new().read(true).write(true).open(file).expect("open"));
        }
        // And another handle on the same file.
        drop(Db::open(&path, &options()).expect("open"));
        counts.both(TEST, &db, &path);
    }
    drop(db);
    counts.proven(&path);
}

#[test]
fn a_file_beside_it_is_deleted_or_replaced() {
    const TEST: &str = "a_file_beside_it_is_deleted_or_replaced";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let cases = ["delete", "empty", "garbage", "zeros", "truncate", "directory", "copy"];
    std::thread::scope(|scope| {
        for what in cases {
            scope.spawn(move || beside_case(TEST, what));
        }
    });
    println!("COUNT files beside: {} cases", cases.len());
}

fn beside_case(test: &str, what: &str) {
    let dir = TempDir::new("beside");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &new_options()).expect("create");
    let mut counts = Counts::default();
    let answer = counts.both(test, &db, &path);
    assert!(matches!(answer, Answer::Wrote { .. }), "{what}: {answer:?}");
    let files = beside(&path);
    assert!(!files.is_empty(), "there is no file beside the database");
    for file in &files {
        let content = fs::read(file).expect("read");
        if what == "truncate" {
            // Who has it mapped would not survive that; who comes later must.
            continue;
        }
        fs::remove_file(file).expect("delete");
        match what {
            "empty" => fs::write(file, b"").expect("write"),
            "garbage" => fs::write(file, vec![0xa5; content.len()]).expect("write"),
            "zeros" => fs::write(file, vec![0; content.len()]).expect("write"),
            "copy" => fs::write(file, &content).expect("write"),
            "directory" => fs::create_dir(file).expect("create"),
            _ => {}
        }
    }
    println!("{what}: {:?}", counts.contend(test, &db, &path));
    drop(db);
    for file in &files {
        if what == "directory" && file.is_dir() {
            fs::remove_dir(file).expect("remove");
        }
        if what == "truncate" {
            fs::write(file, b"short").expect("truncate");
        }
    }
    // Once everybody is gone, whatever lies there is no obstacle.
    counts.proven(&path);
    let db = Db::open(&path, &options()).expect("open");
    let answer = counts.both(test, &db, &path);
    assert!(matches!(answer, Answer::Wrote { .. }), "{what}: {answer:?}");
}

#[test]
fn links_beside_it_are_not_followed() {
    const TEST: &str = "links_beside_it_are_not_followed";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let dir = TempDir::new("planted");
    let path = dir.file("a.kv");
    let victim = dir.file("precious");
    let db = Db::open(&path, &new_options()).expect("create");
    let files = beside(&path);
    drop(db);
    if files.is_empty() {
        return println!("SKIPPED: {TEST}: there is no file beside the database");
    }
    for dangling in [false, true] {
        for file in &files {
            let _ = fs::remove_file(file);
            let _ = fs::remove_file(&victim);
            if !dangling {
                fs::write(&victim, b"precious").expect("write");
            }
            symlink(&victim, file).expect("link");
        }
        let opened = Db::open(&path, &options());
        println!("planted (dangling {dangling}): {:?}", opened.as_ref().map(|_| "opened"));
        if let Ok(db) = &opened {
            Counts::default().both(TEST, db, &path);
            // Back to nothing, for the next round.
            let mut txn = begin(db).expect("begin");
            txn.table_clear(TableId::MAIN).expect("clear");
            txn.commit().expect("commit");
        }
        match dangling {
            true => assert!(!victim.exists(), "a link was followed"),
            false => assert_eq!(fs::read(&victim).expect("read"), b"precious", "a link was followed"),
        }
    }
}

#[test]
fn the_file_is_renamed_or_replaced_while_it_is_open() {
    const TEST: &str = "the_file_is_renamed_or_replaced_while_it_is_open";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let dir = TempDir::new("renamed");
    let (path, moved) = (dir.file("a.kv"), dir.file("b.kv"));
    let db = Db::open(&path, &new_options()).expect("create");
    let mut counts = Counts::default();
    counts.both(TEST, &db, &path);
    fs::rename(&path, &moved).expect("rename");
    println!("renamed: {:?}", counts.contend(TEST, &db, &moved));
    // Another database takes its place, while the first is open under its old name.
    let mut second = Counts::default();
    match Db::open(&path, &new_options()) {
        Ok(new) => {
            println!("replaced: {:?}", second.contend(TEST, &new, &path));
            println!("the first: {:?}", counts.contend(TEST, &db, &moved));
            drop(new);
            second.proven(&path);
        }
        Err(e) => println!("replaced: refused ({e})"),
    }
    counts.we(&db);
    drop(db);
    counts.proven(&moved);
    // Deleted while open: what has it open goes on, the name is free.
    let db = Db::open(&moved, &options()).expect("open");
    fs::remove_file(&moved).expect("delete");
    counts.we(&db);
    assert_eq!(other(TEST, &moved), Answer::Refused);
    drop(db);
    println!("COUNT renamed, replaced, deleted: 7 cases");
}

/// In a process without standard descriptors: the database's are 3 or higher, and closed on exec.
fn descriptors(path: &Path, wire: &Wire) {
    for fd in 0..3 {
        // SAFETY: this process uses none of them from here on; the wire has a descriptor of its own.
        unsafe { libc::close(fd) };
    }
    let db = Db::open(path, &Options::default()).expect("open");
    let mut txn = begin(&db).expect("begin");
    count(&mut txn, b"theirs");
    let mut seen = 0;
    for entry in fs::read_dir("/proc/self/fd").expect("list") {
        let entry = entry.expect("entry");
        let fd: i32 = entry.file_name().to_string_lossy().parse().expect("number");
        let Ok(target) = fs::read_link(entry.path()) else {
            continue;
        };
        if !target.starts_with(path.parent().expect("directory")) {
            continue;
        }
        seen += 1;
        // SAFETY: a question about a descriptor.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if fd < 3 || flags & libc::FD_CLOEXEC == 0 {
            return wire.tell(BAD, fd as u64, flags as u64, 0);
        }
    }
    // A program that is started has none of them.
    let list = std::process::Command::new("ls")
        .args(["-l", "/proc/self/fd"])
        .output()
        .expect("ls");
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    if list.lines().count() < 3 || list.contains(&path.parent().expect("directory").display().to_string()) {
        return wire.tell(BAD, 99, 0, 0);
    }
    // What a careless print does.
    for fd in 0..3 {
        // SAFETY: writes bytes of ours to whatever has this number.
        unsafe { libc::write(fd, b"careless".as_ptr().cast(), 8) };
    }
    txn.commit().expect("commit");
    wire.tell(WROTE, seen, 0, 1);
}

#[test]
fn descriptors_are_out_of_the_way() {
    const TEST: &str = "descriptors_are_out_of_the_way";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let dir = TempDir::new("standard");
    let path = dir.file("a.kv");
    for _ in 0..2 {
        let mut child = start(TEST, "descriptors", &path);
        let note = child.note(LONG).expect("told");
        assert_eq!(note.kind, WROTE, "descriptor {} has flags {}", note.who, note.a);
        assert!(note.who > 0, "the database's descriptors were not found");
        assert_eq!(how(child.wait(LONG)), "exit code 0");
    }
    Counts { ours: 0, theirs: 2 }.proven(&path);
}

/// Creates a file under a mask of its own.
fn mask(path: &Path, wire: &Wire) {
    // SAFETY: sets the mask of this process.
    unsafe { libc::umask(0o027) };
    let _db = Db::open(path, &Options::default()).expect("create");
    let worst = beside(path)
        .iter()
        .map(|p| fs::metadata(p).expect("facts").mode() & 0o777)
        .max();
    let mode = fs::metadata(path).expect("facts").mode() & 0o777;
    wire.tell(WROTE, u64::from(mode), u64::from(worst.unwrap_or(mode)), 0);
}

#[test]
fn permissions_follow_the_mask_and_the_file() {
    const TEST: &str = "permissions_follow_the_mask_and_the_file";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let dir = TempDir::new("mask");
    let path = dir.file("a.kv");
    let mut child = start(TEST, "mask", &path);
    let note = child.note(LONG).expect("told");
    assert_eq!(
        (note.who, note.a),
        (0o640, 0o640),
        "{:o} and beside it {:o}",
        note.who,
        note.a
    );
    child.wait(LONG);
    for mode in [0o600, 0o664] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("mode");
        for file in beside(&path) {
            let _ = fs::remove_file(file);
        }
        let _db = Db::open(&path, &options()).expect("open");
        for file in beside(&path) {
            let facts = fs::metadata(&file).expect("facts");
            assert_eq!(facts.mode() & 0o777, mode, "{}", file.display());
            assert_eq!(facts.uid(), fs::metadata(&path).expect("facts").uid());
        }
    }
}

/// Somebody who may read the file only, in a directory that is not theirs.
fn stranger(path: &Path, wire: &Wire) {
    let writing = Db::open(path, &options()).map(|_| ());
    let reading = Options {
        read_only: true,
        ..options()
    };
    let reading = Db::open(path, &reading).and_then(|db| {
        let read = db.begin_read()?;
        let found = read.get(TableId::MAIN, b"ours")?.is_some();
        drop(read);
        Ok(found)
    });
    println!("{writing:?} {reading:?}");
    eprintln!(
        "(for writing: {:?}; for reading: {reading:?})",
        writing.as_ref().err().map(ToString::to_string)
    );
    let writing = u64::from(matches!(writing, Err(Error::Access(_) | Error::ReadOnly(_))));
    wire.tell(WROTE, 0, writing, u64::from(matches!(reading, Ok(true))));
}

#[test]
fn strangers_may_read_what_they_may_read() {
    const TEST: &str = "strangers_may_read_what_they_may_read";
    if let Some((role, wire)) = role() {
        other_process(&role, &wire);
    }
    let program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let this = std::env::current_exe().expect("name");
    let possible = std::process::Command::new(program[0])
        .args(&program[1..])
        .arg(this)
        .arg("--list")
        .output();
    if !possible.is_ok_and(|done| done.status.success()) {
        return println!("SKIPPED: {TEST}: only root can become somebody else");
    }
    let dir = TempDir::new("stranger");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("mode");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &new_options()).expect("create");
    Counts::default().we(&db);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("mode");
    drop(db);
    let settings = [("KV_FILES_PATH", path.display().to_string())];
    let mut child = Child::start_under(&program, TEST, "stranger", &settings);
    let note = child.note(LONG).expect("told");
    assert_eq!((note.a, note.b), (1, 1), "refused for writing, read");
    child.wait(LONG);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("mode");
    let mut child = Child::start_under(&program, TEST, "stranger", &settings);
    let note = child.note(LONG).expect("told");
    assert_eq!((note.a, note.b), (1, 0), "refused for both");
}
