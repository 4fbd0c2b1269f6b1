//! A database in a process with little: little address space, data, memory that may be locked, short files, no `/dev`;
//! and what a child has that was made behind the library's back.
#![allow(unsafe_code)]

mod common;

use common::another::{existing, limit, limit_for_now, play, put, role, say, told, wait, Start};
use common::fork::{in_child, in_child_without_handlers};
use common::tmp::TempDir;
use kv::{CommitId, Db, Durability, Error, Options, PutMode, Range, Reader, TableId, WriteOptions};
use std::fs;
use std::path::Path;

const MIB: u64 = 1 << 20;

fn memory() -> Options {
    Options {
        memory: true,
        ..Options::default()
    }
}

/// A figure of /proc/self/status, in KiB.
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("status");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("a line of this name");
    line.trim_start_matches(':')
        .trim()
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("number")
}

/// Opens `count` new databases, writes to each, and keeps them open.
fn many(path: &Path, count: usize, options: &Options) -> Result<Vec<Db>, String> {
    let mut open = Vec::new();
    for i in 0..count {
        let path = path.with_extension(format!("{i}.kv"));
        let db = Db::open(&path, options).map_err(|e| format!("{i} are open: {}", told(&e)))?;
        put(&db, b"a").map_err(|e| format!("{i}: {}", told(&e)))?;
        open.push(db);
    }
    Ok(open)
}

/// Whether the process has addresses for few databases, of 256 MiB each.
const IS_NARROW: bool = cfg!(target_pointer_width = "32");
/// Databases that are open at once where descriptors are counted.
const SOME: usize = if IS_NARROW { 8 } else { 50 };

fn answer<T>(what: Result<T, String>) {
    say(&what.err().unwrap_or_else(|| "done".to_string()));
}

/// Writes more than `mib`, in commits of 1 MiB, and reads it.
fn grow(db: &Db, mib: u64) -> Result<(), String> {
    for i in 0..mib {
        let mut txn = db.begin_write(WriteOptions::default()).map_err(|e| told(&e))?;
        for j in 0..4u64 {
            let key = (i * 4 + j).to_be_bytes();
            txn.put(TableId::MAIN, &key, &vec![j as u8; 256 << 10], PutMode::Set)
                .map_err(|e| told(&e))?;
        }
        txn.commit().map_err(|e| told(&e))?;
    }
    db.check(true, &mut |fault| panic!("{fault:?}")).map_err(|e| told(&e))?;
    Ok(())
}

#[test]
fn hundreds_of_databases_fit_into_one_process() {
    const TEST: &str = "hundreds_of_databases_fit_into_one_process";
    if let Some((role, path)) = role() {
        limit(libc::RLIMIT_NOFILE, 4096);
        match role.as_str() {
            "files" => {
                let open = many(&path, if IS_NARROW { 8 } else { 400 }, &Options::default());
                // Each of them has room to grow, and so has the next.
                if let Some(db) = open.as_ref().ok().and_then(|open| open.last()) {
                    answer(grow(db, 100));
                } else {
                    answer(open);
                }
            }
            "memory" => answer(many(&path, if IS_NARROW { 8 } else { 400 }, &memory())),
            "descriptors" => {
                let count = || fs::read_dir("/proc/self/fd").expect("list").count();
                let before = count();
                let _open = many(&path, SOME, &Options::default());
                say(&format!("{}", count() - before));
            }
            "4 GiB" => {
                limit(libc::RLIMIT_AS, 4096 * MIB);
                let count = if IS_NARROW { 8 } else { 20 };
                answer(many(&path, count, &Options::default()).and_then(|open| grow(&open[count - 1], 40)));
            }
            _ => {
                limit(libc::RLIMIT_AS, 400 * MIB);
                let open = many(&path, 100, &Options::default());
                say(&open.err().unwrap_or_else(|| "done".to_string()));
            }
        }
        std::process::exit(0);
    }
    for role in ["files", "memory", "4 GiB"] {
        let dir = TempDir::new("many");
        assert_eq!(Start::plain(TEST).answer(role, &dir.file("a")), "done", "{role}");
    }
    let dir = TempDir::new("many");
    assert_eq!(
        Start::plain(TEST).answer("descriptors", &dir.file("a")),
        SOME.to_string(),
        "one descriptor each"
    );
    let refused = Start::plain(TEST).answer("400 MiB", &dir.file("b"));
    assert!(
        refused.contains("NoMemory") && refused.contains("address space"),
        "{refused}"
    );
}

#[test]
fn the_data_of_a_process_may_be_limited() {
    const TEST: &str = "the_data_of_a_process_may_be_limited";
    if let Some((_, path)) = role() {
        limit(libc::RLIMIT_DATA, 256 * MIB);
        let (count, mib) = if IS_NARROW { (3, 150) } else { (10, 300) };
        answer(many(&path, count, &Options::default()).and_then(|open| grow(&open[count - 1], mib)));
        std::process::exit(0);
    }
    let dir = TempDir::new("data");
    assert_eq!(Start::plain(TEST).answer("data", &dir.file("a")), "done");
}

#[test]
fn memory_that_is_locked_is_not_that_of_databases() {
    const TEST: &str = "memory_that_is_locked_is_not_that_of_databases";
    if let Some((role, path)) = role() {
        if role == "user" {
            limit(libc::RLIMIT_MEMLOCK, 64 * 1024);
        }
        // SAFETY: a system call about this process.
        if unsafe { libc::mlockall(libc::MCL_FUTURE) } != 0 {
            say("SKIPPED");
            std::process::exit(0);
        }
        let before = status("VmRSS");
        let opened = match role.as_str() {
            "memory" => Db::open(&path, &memory()),
            _ => Db::open(&path, &Options::default()),
        };
        let done = opened.map_err(|e| told(&e)).and_then(|db| grow(&db, 64));
        let more = (status("VmRSS") - before) >> 10;
        say(&done
            .err()
            .unwrap_or_else(|| format!("done, {}", if more < 300 { "small" } else { "large" })));
        std::process::exit(0);
    }
    let dir = TempDir::new("locked");
    for role in ["file", "memory"] {
        let said = Start::plain(TEST).answer(role, &dir.file("a.kv"));
        if said == "SKIPPED" {
            return println!("SKIPPED: {TEST}: memory must not be locked here");
        }
        assert_eq!(said, "done, small", "{role}");
    }
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("mode");
    if let Some(user) = Start::user(TEST, 61_001, 61_001, "") {
        let said = user.answer("user", &dir.file("b.kv"));
        assert!(said.starts_with("NoMemory") && said.contains("mlockall"), "{said}");
    }
}

#[test]
fn memory_that_is_locked_when_it_is_touched_is_that_of_databases_in_memory() {
    const TEST: &str = "memory_that_is_locked_when_it_is_touched_is_that_of_databases_in_memory";
    if let Some((_, path)) = role() {
        const WHEN_TOUCHED: i32 = 4;
        // SAFETY: a system call about this process.
        if unsafe { libc::mlockall(libc::MCL_FUTURE | WHEN_TOUCHED) } != 0 {
            say("SKIPPED");
            std::process::exit(0);
        }
        let opened = [(&path, &memory()), (&path, &Options::default())].map(|(path, options)| {
            let db = Db::open(path, options).expect("open");
            put(&db, b"a").expect("put");
            db
        });
        let maps = fs::read_to_string("/proc/self/smaps").expect("maps");
        // Of the large ranges: how many there are of files and of others, and how many are locked.
        let (mut head, mut size, mut found) = ("", 0u64, [[0; 2]; 2]);
        for line in maps.lines() {
            if let Some(kib) = line.strip_prefix("Size:") {
                size = kib.trim().trim_end_matches(" kB").parse().expect("number");
            } else if let Some(flags) = line.strip_prefix("VmFlags:") {
                let (of_file, locked) = (head.ends_with("a.kv"), flags.split(' ').any(|flag| flag == "lo"));
                if size > (if IS_NARROW { 200 << 10 } else { 2 << 20 }) {
                    found[usize::from(of_file)][usize::from(locked)] += 1;
                }
            } else if line.starts_with(|c: char| c.is_ascii_hexdigit()) && line.contains('-') {
                head = line;
            }
        }
        let [[free, locked], [free_files, locked_files]] = found;
        say(&format!(
            "memory {free} free, {} locked; file {free_files} free, {locked_files} locked",
            locked.min(1)
        ));
        drop(opened);
        std::process::exit(0);
    }
    let dir = TempDir::new("touched");
    let said = Start::plain(TEST).answer("memory", &dir.file("a.kv"));
    if said == "SKIPPED" {
        return println!("SKIPPED: {TEST}: memory must not be locked here");
    }
    assert_eq!(said, "memory 0 free, 1 locked; file 1 free, 0 locked");
}

#[test]
fn core_dumps_leave_out_what_is_only_reserved() {
    const TEST: &str = "core_dumps_leave_out_what_is_only_reserved";
    if let Some((_, path)) = role() {
        let file = Db::open(&path, &Options::default()).expect("open");
        let in_memory = Db::open(&path, &memory()).expect("open");
        put(&file, b"a").expect("put");
        put(&in_memory, b"a").expect("put");
        let maps = fs::read_to_string("/proc/self/smaps").expect("maps");
        let (mut head, mut size, mut dumped) = ("", 0u64, 0);
        for line in maps.lines() {
            if let Some(kib) = line.strip_prefix("Size:") {
                size = kib.trim().trim_end_matches(" kB").parse().expect("number");
            } else if let Some(flags) = line.strip_prefix("VmFlags:") {
                let readable = flags.contains(" rd");
                if readable && !flags.split(' ').any(|flag| flag == "dd") && size > 16 << 10 {
                    eprintln!("{head}: {size} KiB");
                    dumped += size;
                }
            } else if line.starts_with(|c: char| c.is_ascii_hexdigit()) && line.contains('-') {
                head = line;
            }
        }
        say(&format!("{dumped}"));
        std::process::exit(0);
    }
    let dir = TempDir::new("dump");
    let dumped: u64 = Start::plain(TEST)
        .answer("dump", &dir.file("a.kv"))
        .parse()
        .expect("KiB");
    assert!(dumped < 128 << 10, "{dumped} KiB");
}

#[test]
fn a_limit_on_the_length_of_files_is_an_answer_and_no_signal() {
    const TEST: &str = "a_limit_on_the_length_of_files_is_an_answer_and_no_signal";
    if let Some((role, path)) = role() {
        let full = |done: Result<(), String>| done.err().unwrap_or_else(|| "no limit".to_string());
        let said = match role.as_str() {
            "create" => {
                limit(libc::RLIMIT_FSIZE, 8 << 10);
                full(Db::open(&path, &Options::default()).map(|_| ()).map_err(|e| told(&e)))
            }
            "memory beside" => {
                let db = Db::open(&path, &Options::default()).expect("open");
                drop(db);
                limit(libc::RLIMIT_FSIZE, 64 << 10);
                full(
                    Db::open(&path, &existing())
                        .and_then(|db| put(&db, b"b"))
                        .map_err(|e| told(&e)),
                )
            }
            "backup" => {
                let db = Db::open(&path, &Options::default()).expect("open");
                grow(&db, 4).expect("grow");
                limit(libc::RLIMIT_FSIZE, 2 * MIB);
                let read = db.begin_read().expect("read");
                let copy = path.with_extension("copy");
                full(
                    read.backup(&copy, kv::BackupOptions::default(), &kv::Job::silent())
                        .map_err(|e| told(&e)),
                )
            }
            _ => {
                limit(libc::RLIMIT_FSIZE, 4 * MIB);
                let db = Db::open(&path, &Options::default()).expect("open");
                put(&db, b"before").expect("put");
                let refused = full(grow(&db, 8));
                let read = db.begin_read().expect("read");
                assert!(read.get(TableId::MAIN, b"before").expect("get").is_some());
                drop(read);
                let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
                txn.table_clear(TableId::MAIN).expect("clear");
                txn.commit().expect("there is room to make room");
                put(&db, b"after").expect("put");
                refused
            }
        };
        say(&said);
        std::process::exit(0);
    }
    for role in ["create", "memory beside", "backup", "grow"] {
        let dir = TempDir::new("short");
        let (status, said) = Start::plain(TEST).role(role, &dir.file("a.kv")).ended();
        assert!(status.success(), "{role}: {status:?}, {said}");
        if role == "memory beside" {
            assert_eq!(said, "no limit", "the database is open alone then");
            continue;
        }
        assert!(
            said.starts_with("NoSpace") && said.contains("RLIMIT_FSIZE"),
            "{role}: {said}"
        );
        let left = fs::read_dir(dir.path()).expect("list").count();
        assert_eq!(left, usize::from(role != "create"), "{role}: files are left over");
    }
}

/// Puts or deletes entries until a commit fails or all are done. Returns how many were done, and why it ended. What is
/// full is emptied one by one at first: a commit needs some free pages.
fn each(db: &Db, keys: std::ops::Range<u32>, durability: Durability, puts: bool) -> (u32, Option<Error>) {
    let mut done = keys.start;
    while done < keys.end {
        let step = if puts || done > keys.end / 4 { 20 } else { 1 };
        let part = done..keys.end.min(done + step);
        let commit = || -> kv::Result<CommitId> {
            let options = WriteOptions {
                durability: Some(durability),
                ..WriteOptions::default()
            };
            let mut txn = db.begin_write(options)?;
            for key in part.clone() {
                // In another order than that of the keys, so that commits write to many leaves.
                let key = key.wrapping_mul(0x9E37_79B1).to_be_bytes();
                if puts {
                    txn.put(TableId::MAIN, &key, &[7; 700], PutMode::Set)?;
                } else {
                    assert!(txn.delete(TableId::MAIN, &key)?);
                }
            }
            txn.commit()
        };
        // Who finds no room tries once more, as the message says: what waited for syncs is free then.
        let committed = match commit() {
            Err(Error::NoSpace(_)) => commit(),
            other => other,
        };
        if let Err(error) = committed {
            return (done, Some(error));
        }
        done = part.end;
    }
    (done, None)
}

#[test]
fn what_is_full_can_be_emptied_and_filled_again() {
    const TEST: &str = "what_is_full_can_be_emptied_and_filled_again";
    const MANY: u32 = 100_000;
    if let Some((role, path)) = role() {
        let durability = match role.as_str() {
            "lazy" => Durability::Lazy,
            _ => Durability::Full,
        };
        limit_for_now(libc::RLIMIT_FSIZE, MIB, 8 * MIB);
        let mut db = Db::open(&path, &Options::default()).expect("open");
        let mut counts = Vec::new();
        for round in 0..3 {
            let (count, why) = each(&db, 0..MANY, durability, true);
            assert!(count > 400, "{role} {round}: {count} {:?} {why:?}", db.stat());
            assert!(matches!(why, Some(Error::NoSpace(_))), "{why:?}");
            counts.push(count);
            if round == 1 {
                drop(db);
                db = Db::open(&path, &existing()).expect("open again");
            }
            let (deleted, why) = each(&db, 0..count, durability, false);
            assert!(deleted == count && why.is_none(), "{deleted} of {count}: {why:?}");
            assert_eq!(
                (&db.begin_read().expect("read"))
                    .count(TableId::MAIN, &Range::default())
                    .expect("count"),
                0
            );
        }
        // Every round finds about as much room as the first: nothing is lost by filling and emptying.
        assert!(
            counts.iter().all(|count| count.abs_diff(counts[0]) <= counts[0] / 20),
            "{role}: {counts:?}"
        );
        // Room that others make is used, by large transactions as well.
        let (count, why) = each(&db, 0..300, durability, true);
        assert!(count == 300 && why.is_none(), "{count}: {why:?}");
        limit(libc::RLIMIT_FSIZE, 8 * MIB);
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for key in 0..3000u32 {
            let key = (1 << 40 | u64::from(key)).to_be_bytes();
            txn.put(TableId::MAIN, &key, &[8; 700], PutMode::Set).expect("put");
        }
        txn.commit().expect("there is room again");
        db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
        say("done");
        drop(db);
        std::process::exit(0);
    }
    for role in ["full", "lazy"] {
        let dir = TempDir::new("emptied");
        let (status, said) = Start::plain(TEST).role(role, &dir.file("a.kv")).ended();
        assert!(status.success(), "{role}: {status:?}, {said}");
        assert_eq!(said, "done", "{role}");
    }
}

#[test]
fn a_child_made_without_handlers_is_a_child() {
    const TEST: &str = "a_child_made_without_handlers_is_a_child";
    if let Some((_, path)) = role() {
        let db = Db::open(&path, &Options::default()).expect("open");
        put(&db, b"a").expect("put");
        let read = db.begin_read().expect("read");
        assert!(read.get(TableId::MAIN, b"a").expect("get").is_some());
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(TableId::MAIN, b"b", b"value", PutMode::Set).expect("put");
        let mut txn = Some(txn);
        let length = || fs::metadata(&path).expect("the file").len();
        let before = length();
        let in_child = in_child_without_handlers(|| {
            let mut bad = 0;
            // A long value is written at once, and what is behind the end here can be in the parent's pages.
            let long = txn
                .as_mut()
                .map(|txn| txn.put(TableId::MAIN, b"long", &[1; 60_000], PutMode::Set));
            bad += 64 * i32::from(!matches!(long, Some(Err(Error::Forked))) || length() != before);
            bad += i32::from(!matches!(db.begin_read(), Err(Error::Forked)));
            bad += 2 * i32::from(!matches!(db.begin_write(WriteOptions::default()), Err(Error::Forked)));
            let commit = txn.take().expect("a transaction").commit();
            bad += 4 * i32::from(!matches!(commit, Err(Error::Forked)));
            bad += 8 * i32::from(!matches!(db.sync(), Err(Error::Forked)));
            // Nobody keeps what its parent's transactions see.
            bad += 128 * i32::from(!matches!(read.get(TableId::MAIN, b"a"), Err(Error::Forked)));
            // It opens the file for itself, and the parent's transaction is still open.
            let mine = Db::open(
                &path,
                &Options {
                    existing: true,
                    wait: Some(std::time::Duration::ZERO),
                    ..Options::default()
                },
            );
            let mine = mine.map_err(|e| eprintln!("{e}")).ok();
            let tried = mine.as_ref().map(|db| {
                db.begin_write(WriteOptions {
                    wait: Some(kv::Wait::Try),
                    ..WriteOptions::default()
                })
                .map(|_| ())
            });
            bad += 16 * i32::from(!matches!(tried, Some(Err(Error::Busy(_)))));
            let found = mine
                .as_ref()
                .and_then(|db| db.begin_read().ok()?.get(TableId::MAIN, b"a").ok()?.map(|_| ()));
            bad += 32 * i32::from(found.is_none());
            bad
        });
        let committed = txn
            .take()
            .expect("the parent has its own")
            .commit()
            .map_err(|e| told(&e));
        assert!(read.get(TableId::MAIN, b"b").expect("get").is_none());
        drop(read);
        put(&db, b"c").expect("put");
        say(&format!("{in_child} {committed:?}"));
        drop(db);
        std::process::exit(0);
    }
    let dir = TempDir::new("clone");
    let said = Start::plain(TEST).answer("clone", &dir.file("a.kv"));
    assert!(said.starts_with("0 Ok("), "{said}");
    let db = Db::open(&dir.file("a.kv"), &existing()).expect("open");
    db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
}

#[test]
fn a_child_loses_its_descriptors_without_dev_null() {
    const TEST: &str = "a_child_loses_its_descriptors_without_dev_null";
    if let Some((role, path)) = role() {
        if role == "write" {
            play(&role, &path);
        }
        let folder = path.parent().expect("folder").to_owned();
        let name = std::ffi::CString::new(folder.as_os_str().as_encoded_bytes()).expect("name");
        let db = Db::open(&path, &Options::default()).expect("open");
        put(&db, b"a").expect("put");
        let ours = |fd: &i32| fs::read_link(format!("/proc/self/fd/{fd}")).is_ok_and(|to| to.starts_with(&folder));
        let descriptors: Vec<i32> = (3..200).filter(ours).collect();
        let facts = |fd: i32| {
            // SAFETY: a place for the answer, and a question about a descriptor.
            unsafe {
                let mut facts: libc::stat = std::mem::zeroed();
                (libc::fstat(fd, &mut facts) == 0).then_some((
                    facts.st_dev as u64,
                    facts.st_ino as u64,
                    libc::fcntl(fd, libc::F_GETFD),
                ))
            }
        };
        let before: Vec<_> = descriptors.iter().map(|fd| facts(*fd)).collect();
        // SAFETY: a path that ends in a zero.
        if unsafe { libc::chroot(name.as_ptr()) } != 0 {
            say("SKIPPED");
            std::process::exit(0);
        }
        if role == "full" {
            limit(libc::RLIMIT_NOFILE, 64);
            // SAFETY: a system call about a descriptor that is open.
            while unsafe { libc::dup(0) } >= 0 {}
        }
        let good = in_child(|| {
            let is_another = |(fd, before): (&i32, &Option<_>)| match (facts(*fd), before) {
                (Some(now), Some(before)) => {
                    let before: &(u64, u64, i32) = before;
                    (now.0, now.1) != (before.0, before.1) && now.2 & libc::FD_CLOEXEC != 0
                }
                _ => false,
            };
            i32::from(descriptors.iter().zip(&before).all(is_another))
        });
        say(&format!("{} descriptors, {good}", descriptors.len().min(1)));
        wait();
        std::process::exit(0);
    }
    for role in ["empty", "full"] {
        let dir = TempDir::new("null");
        let said = Start::plain(TEST).answer(role, &dir.file("a.kv"));
        if said == "SKIPPED" {
            return println!("SKIPPED: {TEST}: only root may change its root directory");
        }
        assert_eq!(
            said, "1 descriptors, 1",
            "{role}: they are open, others, and closed on exec"
        );
    }
}
