//! A database in the hands of others: users of a group, foreign files in its way, names of every length, files that are
//! empty, locks that are not given back. In each case it works, or an answer comes in time and names the file or the
//! process. What only root can arrange is skipped elsewhere, and says so.
#![allow(unsafe_code)]

mod common;

#[cfg(target_arch = "x86_64")]
use common::another::refuse_calls;
use common::another::{existing, play, put, role, say, shm, told, wait, Another, Start};
use common::locks::{locked, Mode, ALIVE};
use common::tmp::TempDir;
use kv::{BackupOptions, Db, Error, Job, Options, PutMode, Reader, TableId, WriteOptions};
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{chown, symlink, FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const OWNER: u32 = 61_001;
const FRIEND: u32 = 61_002;
const GROUP: u32 = 61_100;

/// A directory in which everybody may create files, and a database in it that belongs to `OWNER`.
fn shared_database(test: &str, mode: u32) -> (TempDir, PathBuf) {
    let dir = TempDir::new(test);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).expect("mode");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    fs::set_permissions(&path, Permissions::from_mode(mode)).expect("mode");
    (dir, path)
}

// ---- users --------------------------------------------------------------------------------------------------

#[test]
fn the_memory_has_the_group_of_the_database() {
    const TEST: &str = "the_memory_has_the_group_of_the_database";
    if let Some((role, path)) = role() {
        play(&role, &path);
    }
    let friend = Start::user(TEST, FRIEND, FRIEND, &GROUP.to_string());
    let owner = Start::user(TEST, OWNER, OWNER, &GROUP.to_string());
    let (Some(friend), Some(owner)) = (friend, owner) else {
        return;
    };
    let (_dir, path) = shared_database(TEST, 0o660);
    chown(&path, Some(OWNER), Some(GROUP)).expect("owner");
    let mut first = friend.role("hold", &path);
    assert_eq!(first.says(), "wrote");
    let facts = fs::metadata(shm(&path)).expect("the memory");
    assert_eq!((facts.gid(), facts.mode() & 0o777), (GROUP, 0o660));
    assert_eq!(owner.answer("write", &path), "wrote", "the owner comes second");
    drop(first);
    // Somebody who is not in the group cannot give the memory away, and shares it with everybody who shares the file.
    fs::set_permissions(&path, Permissions::from_mode(0o666)).expect("mode");
    let stranger = Start::user(TEST, FRIEND, FRIEND, "").expect("as before");
    let mut first = stranger.role("hold", &path);
    assert_eq!(first.says(), "wrote");
    assert_eq!(owner.answer("write", &path), "wrote");
}

#[test]
fn what_lies_in_the_way_of_the_memory_locks_nobody_out() {
    const TEST: &str = "what_lies_in_the_way_of_the_memory_locks_nobody_out";
    if let Some((role, path)) = role() {
        play(&role, &path);
    }
    let Some(owner) = Start::user(TEST, OWNER, OWNER, "") else {
        return;
    };
    for what in ["file", "directory", "link", "fifo"] {
        let (dir, path) = shared_database(TEST, 0o600);
        fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).expect("mode");
        chown(&path, Some(OWNER), Some(OWNER)).expect("owner");
        let beside = shm(&path);
        match what {
            "file" => fs::write(&beside, b"somebody else's").expect("write"),
            "directory" => fs::create_dir(&beside).expect("create"),
            "link" => symlink("/nowhere", &beside).expect("link"),
            _ => {
                let name = std::ffi::CString::new(beside.as_os_str().as_bytes()).expect("name");
                // SAFETY: a path that ends in a zero.
                assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
            }
        }
        let mut first = owner.role("hold", &path);
        assert_eq!(first.says(), "wrote", "{what}");
        let refused = Start {
            open: "wait",
            ..owner_again(TEST)
        }
        .answer("write", &path);
        assert!(refused.starts_with("Busy"), "{what}: {refused}");
        assert!(refused.contains(&beside.display().to_string()), "{what}: {refused}");
        assert!(
            refused.contains(&format!("process {}", first.id())),
            "{what}: {refused}"
        );
        drop(first);
        assert!(beside.symlink_metadata().is_ok(), "{what}: it is not ours");
    }
}

fn owner_again(test: &str) -> Start<'_> {
    Start::user(test, OWNER, OWNER, "").expect("as before")
}

#[test]
#[cfg(target_arch = "x86_64")]
fn file_systems_may_lack_links_and_modes() {
    const TEST: &str = "file_systems_may_lack_links_and_modes";
    const CALLS: [(&str, i64, i32); 8] = [
        ("linkat", libc::SYS_linkat, libc::EPERM),
        ("link", libc::SYS_link, libc::EPERM),
        ("renameat2", libc::SYS_renameat2, libc::EINVAL),
        ("fchmod", libc::SYS_fchmod, libc::EPERM),
        ("fchmodat", libc::SYS_fchmodat, libc::EPERM),
        ("chmod", libc::SYS_chmod, libc::EPERM),
        ("fchown", libc::SYS_fchown, libc::EPERM),
        ("fallocate", libc::SYS_fallocate, libc::EOPNOTSUPP),
    ];
    if let Some((role, path)) = role() {
        let refused: Vec<(i64, i32)> = CALLS.iter().map(|(_, call, errno)| (*call, *errno)).collect();
        refuse_calls(&refused);
        if role == "new" {
            // What a file system without links can still promise: nothing that is there is replaced.
            let new = Options {
                new: true,
                ..Options::default()
            };
            let refused = Db::open(&path, &new);
            say(&refused.map_or_else(|e| told(&e), |_| "opened".into()));
            std::process::exit(0);
        }
        play(&role, &path);
    }
    let dir = TempDir::new("poor");
    let path = dir.file("a.kv");
    let mut first = Start::plain(TEST).role("hold", &path);
    assert_eq!(first.says(), "wrote", "created and written");
    assert_eq!(Start::plain(TEST).answer("write", &path), "wrote", "shared");
    assert!(Start::plain(TEST).answer("new", &path).starts_with("FileExists"));
    let (_, last) = first.ended();
    assert_eq!(last, "nothing");
    let left: Vec<_> = fs::read_dir(dir.path())
        .expect("list")
        .map(|e| e.expect("entry").file_name())
        .collect();
    assert_eq!(left, ["a.kv"]);
}

// ---- names --------------------------------------------------------------------------------------------------

fn counted(path: &Path, options: &Options) -> usize {
    let db = Db::open(path, options).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    put(&db, path.as_os_str().as_bytes()[..8].as_ref()).expect("put");
    let read = db.begin_read().expect("read");
    usize::from(
        read.get(TableId::MAIN, &path.as_os_str().as_bytes()[..8])
            .expect("get")
            .is_some(),
    )
}

#[test]
fn every_name_that_can_be_opened_is_a_name() {
    const TEST: &str = "every_name_that_can_be_opened_is_a_name";
    if let Some((role, path)) = role() {
        play(&role, &path);
    }
    let dir = TempDir::new("names");
    for len in [1, 100, 200, 220, 235, 244, 245, 246, 251, 252, 254, 255] {
        for letter in ["x", "é"] {
            if len < letter.len() {
                continue;
            }
            let name: String = letter.repeat(len / letter.len()) + &"-".repeat(len % letter.len());
            assert_eq!(name.len(), len);
            let path = dir.file(&name);
            let mut first = Start::plain(TEST).role("hold", &path);
            assert_eq!(first.says(), "wrote", "{len}");
            assert_eq!(counted(&path, &existing()), 1, "shared");
            first.ended();
            assert_eq!(counted(&path, &existing()), 1, "opened again");
            let copy = dir.file(&format!("C{}", &name[name.chars().next().map_or(0, char::len_utf8)..]));
            let db = Db::open(&path, &existing()).expect("open");
            let read = db.begin_read().expect("read");
            for (compact, overwrite) in [(false, false), (true, true)] {
                let options = BackupOptions { compact, overwrite };
                read.backup(&copy, options, &Job::silent())
                    .unwrap_or_else(|e| panic!("{len}: {e}"));
            }
            drop(read);
            drop(db);
            fs::remove_file(&path).expect("remove");
            fs::remove_file(&copy).expect("remove");
        }
    }
    // Names that are no text, and strange ones.
    for name in [&b"\xff\xfe"[..], b" ", b"-shm", b"a\nb", b"...", b".part-1-0"] {
        let path = dir.path().join(std::ffi::OsString::from_vec(name.to_vec()));
        assert_eq!(counted(&path, &Options::default()), 1);
        fs::remove_file(&path).expect("remove");
    }
    assert_eq!(
        fs::read_dir(dir.path()).expect("list").count(),
        0,
        "nothing is left over"
    );
}

#[test]
fn a_link_that_leads_nowhere_leads_to_a_new_database() {
    let dir = TempDir::new("dangling");
    fs::create_dir(dir.file("sub")).expect("directory");
    symlink("sub/two", dir.file("one")).expect("link");
    symlink("three", dir.file("sub/two")).expect("link");
    let new = Options {
        new: true,
        ..Options::default()
    };
    assert!(matches!(Db::open(&dir.file("one"), &new), Err(Error::FileExists(_))));
    assert!(matches!(Db::open(&dir.file("one"), &existing()), Err(Error::NoFile(_))));
    assert_eq!(counted(&dir.file("one"), &Options::default()), 1);
    assert!(dir.file("sub/three").symlink_metadata().expect("there").is_file());
    assert!(
        dir.file("one").symlink_metadata().expect("there").is_symlink(),
        "the link is kept"
    );
    // Into a directory that is not there, and around in a circle.
    symlink("no/such", dir.file("lost")).expect("link");
    symlink("circle", dir.file("circle")).expect("link");
    for name in ["lost", "circle"] {
        let refused = told(&Db::open(&dir.file(name), &Options::default()).expect_err("refused"));
        assert!(refused.contains(name) && !refused.contains(".part"), "{refused}");
    }
    assert_eq!(
        fs::read_dir(dir.path()).expect("list").count(),
        4,
        "nothing is left over"
    );
}

#[test]
fn answers_name_what_was_given() {
    let dir = TempDir::new("messages");
    let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("create");
    let read = db.begin_read().expect("read");
    let backup = |name: &str, overwrite: bool| {
        let options = BackupOptions {
            overwrite,
            ..BackupOptions::default()
        };
        read.backup(&dir.file(name), options, &Job::silent()).err()
    };
    let open = |name: &str, options: Options| Db::open(&dir.file(name), &options).err();
    fs::write(dir.file("text"), "no database\n".repeat(5000)).expect("write");
    fs::write(dir.file("lite"), [&b"SQLite format 3\0"[..], &[0; 20_000]].concat()).expect("write");
    let new = || Options {
        new: true,
        ..Options::default()
    };
    let cases = [
        ("no/dir/x.kv", open("no/dir/x.kv", Options::default())),
        ("no/dir/x.kv", open("no/dir/x.kv", new())),
        ("no/dir/x.kv", open("no/dir/x.kv", existing())),
        ("no/dir/x.kv", backup("no/dir/x.kv", false)),
        ("no/dir/x.kv", backup("no/dir/x.kv", true)),
        ("text/x.kv", open("text/x.kv", Options::default())),
        ("a.kv", open("a.kv", new())),
        ("text", backup("text", false)),
        ("text", open("text", Options::default())),
        ("lite", open("lite", Options::default())),
        ("new/", open("new/", Options::default())),
    ];
    for (name, answer) in cases {
        let answer = told(&answer.unwrap_or_else(|| panic!("{name} was opened")));
        assert!(
            answer.contains(&dir.file(name).display().to_string()),
            "{name}: {answer}"
        );
        assert!(!answer.contains(".part"), "{name}: {answer}");
    }
    let lite = told(&open("lite", Options::default()).expect("refused"));
    assert!(lite.contains("SQLite"), "{lite}");
}

#[test]
fn an_empty_file_becomes_a_database_where_one_may_be_created() {
    const TEST: &str = "an_empty_file_becomes_a_database_where_one_may_be_created";
    if let Some((role, path)) = role() {
        play(&role, &path);
    }
    let dir = TempDir::new("empty");
    let path = dir.file("a.kv");
    let empty = || {
        fs::write(&path, b"").expect("write");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("mode");
        fs::metadata(&path).expect("facts").ino()
    };
    let number = empty();
    let read_only = Options {
        read_only: true,
        ..existing()
    };
    let new = Options {
        new: true,
        ..Options::default()
    };
    for options in [existing(), read_only] {
        let refused = told(&Db::open(&path, &options).expect_err("refused"));
        assert!(
            refused.starts_with("NotADatabase") && refused.contains("empty"),
            "{refused}"
        );
    }
    assert!(matches!(Db::open(&path, &new), Err(Error::FileExists(_))));
    assert_eq!(fs::metadata(&path).expect("facts").len(), 0, "refusals write nothing");
    symlink(&path, dir.file("link")).expect("link");
    assert_eq!(counted(&dir.file("link"), &Options::default()), 1);
    let facts = fs::metadata(&path).expect("facts");
    assert_eq!(
        (facts.ino(), facts.mode() & 0o777),
        (number, 0o640),
        "it is the same file"
    );
    // What a creation that was cut short leaves is empty, too.
    for (len, what) in [
        (1, "holds only a zero;"),
        (4096, "holds only zeros, 4096 bytes of them;"),
        (16 << 10, "holds only zeros, 16384 bytes of them;"),
    ] {
        fs::write(&path, vec![0; len]).expect("write");
        let refused = Db::open(&path, &existing()).expect_err("no database");
        assert!(matches!(refused, Error::NotADatabase(_)), "{refused}");
        assert!(refused.to_string().contains(what), "{refused}");
        assert_eq!(counted(&path, &Options::default()), 1);
    }
    // Many at once: one of them fills it, and each commit counts.
    for _ in 0..8 {
        empty();
        let others: Vec<Another> = (0..4).map(|_| Start::plain(TEST).role("write", &path)).collect();
        for other in others {
            assert_eq!(other.ended().1, "wrote");
        }
        let db = Db::open(&path, &existing()).expect("open");
        let read = db.begin_read().expect("read");
        assert_eq!((&read).table_stat(TableId::MAIN).expect("count").entries, 4);
    }
}

// ---- locks --------------------------------------------------------------------------------------------------

/// Locks the byte whose number the role ends in, says so, and holds it until the test goes on.
fn lock_role(role: &str, path: &Path) {
    let Some((kind, byte)) = role.split_once(' ') else {
        return;
    };
    let mode = match kind {
        "share" => Mode::Shared,
        _ => Mode::Exclusive,
    };
    let _lock = locked(path, ALIVE + byte.parse::<i64>().expect("number"), mode);
    say("locked");
    wait();
    std::process::exit(0);
}

/// Puts an entry that is too large for recovery to check it, and commits.
fn put_large(db: &Db, key: &[u8]) -> kv::Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    txn.put(TableId::MAIN, key, &vec![1; 8 << 20], PutMode::Set)?;
    txn.commit().map(|_| ())
}

#[test]
fn who_holds_a_lock_is_named_and_not_waited_for_without_end() {
    const TEST: &str = "who_holds_a_lock_is_named_and_not_waited_for_without_end";
    if let Some((role, path)) = role() {
        lock_role(&role, &path);
        play(&role, &path);
    }
    let dir = TempDir::new("locks");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    let limited = || Options {
        wait: Some(Duration::from_millis(300)),
        ..existing()
    };
    let timed = |what: &str, other: &Another, answer: &mut dyn FnMut() -> kv::Result<()>| {
        let begin = Instant::now();
        let refused = told(&answer().expect_err(what));
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(5), "{what}: {took:?}, {refused}");
        let process = format!("process {}", other.id());
        assert!(refused.contains(&process), "{what}: {refused}");
        refused
    };
    // The byte of those who have it open.
    let mut other = Start::plain(TEST).role("exclude 0", &path);
    assert_eq!(other.says(), "locked");
    let refused = timed("open", &other, &mut || Db::open(&path, &limited()).map(|_| ()));
    assert!(refused.contains(&path.display().to_string()), "{refused}");
    drop(other);
    let db = Db::open(&path, &limited()).expect("open");
    put(&db, b"a").expect("put");
    for kind in ["share", "exclude"] {
        // The byte of the writer.
        let mut other = Start::plain(TEST).role(&format!("{kind} 2"), &path);
        assert_eq!(other.says(), "locked");
        let refused = timed("write", &other, &mut || put(&db, b"b"));
        assert!(refused.starts_with("Busy"), "{refused}");
        drop(other);
        put(&db, b"b").expect("free again");
        // The byte of whoever syncs, held by a process that is no member and by one that is stopped.
        let mut other = Start::plain(TEST).role(&format!("{kind} 3"), &path);
        assert_eq!(other.says(), "locked");
        if kind == "exclude" {
            other.signal(libc::SIGSTOP);
        }
        let refused = timed("sync", &other, &mut || put(&db, b"c"));
        assert!(refused.starts_with("InDoubt"), "{refused}");
        // What is too large to be listed for recovery must be synced before it is published.
        let refused = timed("sync first", &other, &mut || put_large(&db, b"large"));
        assert!(refused.starts_with("Io"), "{refused}");
        drop(other);
        put(&db, b"d").expect("free again, and nothing is poisoned");
        let read = db.begin_read().expect("read");
        assert!(read.get(TableId::MAIN, b"large").expect("get").is_none(), "undone");
        assert!(
            read.get(TableId::MAIN, b"c").expect("get").is_some(),
            "made durable by the next"
        );
    }
}

// ---- what is no file ------------------------------------------------------------------------------------------

/// Makes a pipe and a socket in a directory, and returns them and what else machines have that is no file of a disk. A
/// library that took any of these for a file would do no harm by it.
fn no_files(dir: &TempDir) -> Vec<PathBuf> {
    let (fifo, socket) = (dir.file("fifo"), dir.file("socket"));
    let name = std::ffi::CString::new(fifo.as_os_str().as_bytes()).expect("name");
    // SAFETY: a path that ends in a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("socket"));
    symlink("/dev/zero", dir.file("link")).expect("link");
    let mut all = vec![dir.path().to_owned(), fifo, socket, dir.file("link")];
    let of_system = [
        "/",
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/tty",
        "/dev/fd",
        "/proc/self",
        "/proc/self/mem",
        "/proc/self/maps",
        "/proc/self/status",
        "/proc/self/comm",
        "/proc/self/oom_score_adj",
        "/proc/self/environ",
        "/proc/self/ns/mnt",
        "/proc/kmsg",
        "/proc/kcore",
        "/proc/version",
        "/sys/kernel/uevent_seqnum",
        "/sys/kernel/tracing/trace_pipe",
    ];
    all.extend(of_system.iter().map(PathBuf::from).filter(|path| path.exists()));
    all
}

#[test]
fn what_is_no_file_is_refused_at_once_and_left_alone() {
    let dir = TempDir::new("no-files");
    let target = dir.file("saved");
    let read_only = Options {
        read_only: true,
        ..existing()
    };
    let ways = [
        ("create", Options::default()),
        ("open", existing()),
        ("read", read_only),
    ];
    // Whoever writes a database there gives the process another name.
    let name = || fs::read("/proc/self/comm").expect("its name");
    let before = name();
    for path in no_files(&dir) {
        let begin = Instant::now();
        let mut answers: Vec<(&str, Option<Error>)> = Vec::new();
        for (way, options) in &ways {
            answers.push((way, Db::open(&path, options).err()));
        }
        let saved = kv::salvage(&path, &target, false, &Job::silent(), &mut |_| true);
        answers.push(("salvage", saved.err()));
        assert!(
            begin.elapsed() < Duration::from_secs(5),
            "{path:?}: {:?}",
            begin.elapsed()
        );
        for (way, refused) in answers {
            let refused = refused.unwrap_or_else(|| panic!("{way} takes {path:?} for a file"));
            // The system lets not everybody open everything.
            let is_clear = match &refused {
                Error::NotADatabase(_) => true,
                Error::Access(_) => refused.raw_os_error().is_some(),
                _ => false,
            };
            assert!(is_clear, "{way} {path:?}: {refused:?}");
            assert!(!refused.to_string().contains("empty"), "{way} {path:?}: {refused}");
        }
        assert_eq!(name(), before, "{path:?} was written to");
    }
    assert!(!target.exists());
    let left: Vec<_> = fs::read_dir(dir.path()).expect("list").collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn the_shared_memory_is_no_database_and_says_which_file_is() {
    let dir = TempDir::new("memory-opened");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("create");
    put(&db, b"k").expect("put");
    let memory = shm(&path);
    let saved = kv::salvage(&memory, &dir.file("saved"), false, &Job::silent(), &mut |_| true);
    for refused in [
        Db::open(&memory, &Options::default()).expect_err("no database"),
        saved.map(drop).expect_err("no database"),
    ] {
        assert!(matches!(refused, Error::NotADatabase(_)), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains("shared memory") && text.contains("without \"-shm\""),
            "{text}"
        );
    }
    put(&db, b"l").expect("nobody is disturbed");
}

// ---- versions -------------------------------------------------------------------------------------------------

#[test]
fn another_version_that_has_it_open_is_named_in_time() {
    const TEST: &str = "another_version_that_has_it_open_is_named_in_time";
    if let Some((role, path)) = role() {
        if role == "version" {
            // Somebody whose shared memory has another layout: a longer head, and another number behind the name.
            let db = Db::open(&path, &existing()).expect("open");
            let memory = File::options().read(true).write(true).open(shm(&path)).expect("open");
            let mut version = [0];
            memory.read_exact_at(&mut version, 6).expect("read");
            memory.write_all_at(&[version[0] + 1], 6).expect("write");
            say("open");
            wait();
            drop(db);
            std::process::exit(0);
        }
        play(&role, &path);
    }
    let dir = TempDir::new("version");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    let mut other = Start::plain(TEST).role("version", &path);
    assert_eq!(other.says(), "open");
    let begin = Instant::now();
    let answer = Start {
        open: "wait",
        ..Start::plain(TEST)
    }
    .answer("write", &path);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(answer.starts_with("Busy") && answer.contains("version"), "{answer}");
    assert!(answer.contains(&path.display().to_string()), "{answer}");
    assert!(answer.contains(&format!("process {}", other.id())), "{answer}");
}
