//! What others do while a database is opened, or to the system around it: descriptors run out, calls fail, a thread
//! forks or changes the working directory, a process lives in another container, a file system does not answer.
#![allow(unsafe_code)]

mod common;

use common::another::{existing, play, put, role, say, shm, told, wait, Start, HANGS};
#[cfg(target_arch = "x86_64")]
use common::another::{refuse_calls, refuse_to_open_for_writing};
use common::fork::in_child;
use common::locks::{locked, Mode, ALIVE, SYNC};
use common::tmp::TempDir;
use kv::{Db, Durability, Options};
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What opening answered, and whether others could come now.
fn opened(path: &Path) -> String {
    let begin = Instant::now();
    let opened = Db::open(path, &existing());
    let said = match &opened {
        Ok(_) if shm(path).exists() => "shared".to_string(),
        Ok(_) => "alone".to_string(),
        Err(error) => told(error),
    };
    match begin.elapsed() < Duration::from_secs(5) {
        true => said,
        false => format!("slowly: {said}"),
    }
}

/// The number of descriptors of this file, but one.
fn descriptors_of(inode: u64, but: i32) -> i32 {
    let is_it = |fd: &i32| {
        // SAFETY: a place for the answer, and a question about a descriptor.
        unsafe {
            let mut facts: libc::stat = std::mem::zeroed();
            libc::fstat(*fd, &mut facts) == 0 && facts.st_ino as u64 == inode
        }
    };
    (3..100).filter(|fd| *fd != but && is_it(fd)).count() as i32
}

/// Waits until a thread of this process has opened the file of which a byte is `locked`, and waits for the lock.
fn wait_for_opener(locked: &File) {
    let inode = locked.metadata().expect("facts").ino();
    let begin = Instant::now();
    while descriptors_of(inode, locked.as_raw_fd()) == 0 {
        assert!(begin.elapsed() < HANGS, "nobody opens the file");
        std::thread::sleep(Duration::from_millis(1));
    }
    // It comes to the lock soon after.
    std::thread::sleep(Duration::from_millis(300));
}

// ---- errors that are no reason to be alone ------------------------------------------------------------------

#[test]
fn descriptors_that_run_out_keep_nobody_out() {
    const TEST: &str = "descriptors_that_run_out_keep_nobody_out";
    if let Some((role, path)) = role() {
        if role == "hold" {
            play(&role, &path);
        }
        let limit = libc::rlimit {
            rlim_cur: 64,
            rlim_max: 64,
        };
        // SAFETY: a complete structure, and calls about descriptors that nobody else uses.
        let taken: Vec<i32> = unsafe {
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &limit), 0);
            std::iter::repeat_with(|| libc::dup(0))
                .take_while(|fd| *fd >= 0)
                .collect()
        };
        let mut said = String::new();
        for free in taken.iter().rev().take(4) {
            said = format!("{said}{}; ", opened(&path));
            // SAFETY: the descriptor was made above.
            unsafe { libc::close(*free) };
        }
        say(&said);
        std::process::exit(0);
    }
    let dir = TempDir::new("descriptors");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    let answers = || -> Vec<String> {
        let said = Start::plain(TEST).answer("few", &path);
        said.split("; ")
            .filter(|said| !said.is_empty())
            .map(String::from)
            .collect()
    };
    let check = |answers: &[String]| {
        let (none, some) = answers.split_at(2);
        for refused in none {
            assert!(
                refused.starts_with("Io") && refused.contains("Too many open files"),
                "{answers:?}"
            );
        }
        assert!(none[1].contains("-shm"), "{answers:?}");
        assert_eq!(some, ["shared", "shared"], "{answers:?}");
    };
    check(&answers());
    // The same for one who comes second.
    let mut first = Start::plain(TEST).role("hold", &path);
    assert_eq!(first.says(), "wrote");
    check(&answers());
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_call_that_fails_is_an_error_and_no_reason_to_be_alone() {
    const TEST: &str = "a_call_that_fails_is_an_error_and_no_reason_to_be_alone";
    type Refused = &'static [(i64, i32)];
    let cases: [(&str, Refused, &str); 5] = [
        ("allocate", &[(libc::SYS_fallocate, libc::EIO)], "Io"),
        (
            "name",
            &[(libc::SYS_linkat, libc::EPERM), (libc::SYS_rename, libc::EIO)],
            "Io",
        ),
        ("no space", &[(libc::SYS_fallocate, libc::ENOSPC)], "alone"),
        (
            "no names",
            &[(libc::SYS_linkat, libc::EPERM), (libc::SYS_rename, libc::EROFS)],
            "alone",
        ),
        ("nothing", &[], "shared"),
    ];
    if let Some((role, path)) = role() {
        let case = cases.iter().find(|(name, ..)| *name == role).expect("a case");
        refuse_calls(case.1);
        say(&opened(&path));
        std::process::exit(0);
    }
    let dir = TempDir::new("failing");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    for (name, _, answer) in cases {
        let said = Start::plain(TEST).answer(name, &path);
        assert!(said.starts_with(answer), "{name}: {said}");
        let left = fs::read_dir(dir.path()).expect("list").count();
        assert_eq!(left, 1, "{name}: a file is left over");
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn only_who_may_not_write_reads_as_one_who_may_not() {
    const TEST: &str = "only_who_may_not_write_reads_as_one_who_may_not";
    let cases = [
        ("no descriptors", libc::EMFILE, "Io"),
        ("a failing disk", libc::EIO, "Io"),
        ("no permission", libc::EACCES, "read"),
        ("a system to read from", libc::EROFS, "read"),
    ];
    if let Some((role, path)) = role() {
        let (_, errno, _) = cases.iter().find(|(name, ..)| *name == role).expect("a case");
        refuse_to_open_for_writing(*errno);
        let options = Options {
            read_only: true,
            ..Options::default()
        };
        let opened = Db::open(&path, &options).and_then(|db| db.begin_read().map(|_| ()));
        say(&opened.map_or_else(|e| told(&e), |()| "read".to_string()));
        std::process::exit(0);
    }
    let dir = TempDir::new("denied");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    for (name, _, answer) in cases {
        let said = Start::plain(TEST).answer(name, &path);
        assert!(said.starts_with(answer), "{name}: {said}");
    }
}

// ---- the working directory ----------------------------------------------------------------------------------

#[test]
fn a_working_directory_may_change_meanwhile() {
    const TEST: &str = "a_working_directory_may_change_meanwhile";
    if let Some((role, path)) = role() {
        std::env::set_current_dir(path.parent().expect("folder")).expect("change");
        let lock = locked(&path, ALIVE, Mode::Exclusive);
        let opening = std::thread::spawn(|| Db::open(Path::new("a.kv"), &Options::default()));
        wait_for_opener(&lock);
        let elsewhere = path.with_file_name("elsewhere");
        std::env::set_current_dir(&elsewhere).expect("change");
        assert!(!opening.is_finished(), "it waits for the lock");
        drop(lock);
        let db = opening.join().expect("join").expect("open");
        let path = match role.as_str() {
            "empty" => elsewhere.join("a.kv"),
            _ => path,
        };
        assert_eq!(db.identity().path, path, "{role}");
        assert!(shm(&path).exists(), "{role}");
        drop(db);
        say("it is there");
        std::process::exit(0);
    }
    // The second one is a file without content, which is looked for by its path again when it could be filled.
    for role in ["database", "empty"] {
        let dir = TempDir::new("working");
        fs::create_dir(dir.file("elsewhere")).expect("folder");
        match role {
            "empty" => fs::write(dir.file("a.kv"), b"").expect("write"),
            _ => drop(Db::open(&dir.file("a.kv"), &Options::default()).expect("create")),
        }
        let said = Start::plain(TEST).answer(role, &dir.file("a.kv"));
        assert_eq!(said, "it is there", "{role}");
    }
}

// ---- children -----------------------------------------------------------------------------------------------

#[test]
fn a_child_made_while_a_file_is_opened_has_no_part_in_its_locks() {
    const TEST: &str = "a_child_made_while_a_file_is_opened_has_no_part_in_its_locks";
    if let Some((_, path)) = role() {
        // An empty file is filled under a lock, for which the opener waits.
        fs::write(&path, b"").expect("write");
        let lock = locked(&path, ALIVE, Mode::Exclusive);
        let opening = {
            let path = path.clone();
            std::thread::spawn(move || Db::open(&path, &Options::default()))
        };
        wait_for_opener(&lock);
        let number = fs::metadata(&path).expect("facts").ino();
        let own = lock.as_raw_fd();
        let count = || descriptors_of(number, own);
        let (here, there) = (count(), in_child(count));
        assert!(!opening.is_finished(), "it waits for the lock");
        drop(lock);
        let db = opening.join().expect("join").expect("open");
        say(&format!("{here} here, {there} in the child"));
        drop(db);
        std::process::exit(0);
    }
    let dir = TempDir::new("child");
    let said = Start::plain(TEST).answer("fork", &dir.file("a.kv"));
    assert_eq!(said, "1 here, 0 in the child");
}

#[test]
fn a_child_made_during_a_salvage_has_no_part_in_its_lock() {
    const TEST: &str = "a_child_made_during_a_salvage_has_no_part_in_its_lock";
    if let Some((_, path)) = role() {
        let db = Db::open(&path, &Options::default()).expect("create");
        for i in 0..200 {
            put(&db, format!("{:0>200}", i).as_bytes()).expect("put");
        }
        drop(db);
        // Every other page is damaged, so that the salvage calls back.
        let damaged = path.with_extension("damaged");
        let mut bytes = fs::read(&path).expect("read");
        for page in bytes.chunks_mut(8192).skip(2) {
            page[100] ^= 1;
        }
        fs::write(&damaged, bytes).expect("write");
        let number = fs::metadata(&damaged).expect("facts").ino();
        let mut found = Vec::new();
        let target = path.with_extension("saved");
        let saved = kv::salvage(&damaged, &target, false, &kv::Job::silent(), &mut |_| {
            found.push((descriptors_of(number, -1), in_child(|| descriptors_of(number, -1))));
            true
        });
        say(&format!("{:?} {}", found.first(), saved.is_ok()));
        std::process::exit(0);
    }
    let dir = TempDir::new("salvage");
    let said = Start::plain(TEST).answer("fork", &dir.file("a.kv"));
    assert_eq!(said, "Some((1, 0)) true");
}

/// Handlers of `fork()` are registered through this function, which takes the place of that of the C library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod handlers {
    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
    use std::time::Duration;

    type Handler = Option<unsafe extern "C" fn()>;

    /// While this is set, whoever registers handlers stays there.
    pub static HELD: AtomicBool = AtomicBool::new(false);
    /// Whether somebody was held there.
    pub static IS_INSIDE: AtomicBool = AtomicBool::new(false);
    /// The error with which a registration ends.
    pub static FAILS: AtomicI32 = AtomicI32::new(0);

    extern "C" {
        fn __register_atfork(before: Handler, parent: Handler, child: Handler, program: *mut c_void) -> c_int;
    }

    #[no_mangle]
    extern "C" fn pthread_atfork(before: Handler, parent: Handler, child: Handler) -> c_int {
        while HELD.load(SeqCst) {
            IS_INSIDE.store(true, SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
        match FAILS.load(SeqCst) {
            // SAFETY: what the C library does itself. The program is never unloaded.
            0 => unsafe { __register_atfork(before, parent, child, std::ptr::null_mut()) },
            error => error,
        }
    }
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn a_child_made_while_the_library_is_prepared_can_open() {
    use std::sync::atomic::Ordering::SeqCst;
    const TEST: &str = "a_child_made_while_the_library_is_prepared_can_open";
    if let Some((_, path)) = role() {
        handlers::HELD.store(true, SeqCst);
        let opening = {
            let path = path.clone();
            std::thread::spawn(move || Db::open(&path, &Options::default()))
        };
        while !handlers::IS_INSIDE.load(SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let child = in_child(|| {
            // The child has a copy of this, and nobody in it holds the opener up.
            handlers::HELD.store(false, SeqCst);
            let db = Db::open(&path, &Options::default());
            let wrote = db.as_ref().map(|db| put(db, b"child"));
            // Its own children are told apart.
            let grandchild =
                in_child(|| i32::from(matches!(db.as_ref().map(Db::begin_read), Ok(Err(kv::Error::Forked)))));
            i32::from(matches!(wrote, Ok(Ok(())))) + 2 * grandchild
        });
        assert!(
            !opening.is_finished(),
            "the child was made and ended while the opener was held"
        );
        handlers::HELD.store(false, SeqCst);
        let db = opening.join().expect("join").expect("open");
        let here = in_child(|| i32::from(matches!(db.begin_read(), Err(kv::Error::Forked))));
        say(&format!(
            "{child} {here} {:?}",
            put(&db, b"parent").map_err(|e| told(&e))
        ));
        drop(db);
        std::process::exit(0);
    }
    let dir = TempDir::new("preparing");
    let said = Start::plain(TEST).answer("fork", &dir.file("a.kv"));
    assert_eq!(said, "3 1 Ok(())");
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn nothing_is_opened_without_a_handler_of_forks() {
    use std::sync::atomic::Ordering::SeqCst;
    const TEST: &str = "nothing_is_opened_without_a_handler_of_forks";
    if let Some((_, path)) = role() {
        handlers::FAILS.store(libc::ENOMEM, SeqCst);
        let refused = Db::open(&path, &Options::default()).map_or_else(|e| told(&e), |_| "opened".to_string());
        handlers::FAILS.store(0, SeqCst);
        let db = Db::open(&path, &Options::default()).expect("open");
        let in_child = in_child(|| i32::from(matches!(db.begin_read(), Err(kv::Error::Forked))));
        say(&format!("{in_child} {refused}"));
        drop(db);
        std::process::exit(0);
    }
    let dir = TempDir::new("handlers");
    let said = Start::plain(TEST).answer("fork", &dir.file("a.kv"));
    assert!(said.starts_with("1 NoMemory") && said.contains("fork"), "{said}");
}

// ---- containers ---------------------------------------------------------------------------------------------

#[test]
fn a_process_of_another_container_that_syncs_is_waited_for() {
    const TEST: &str = "a_process_of_another_container_that_syncs_is_waited_for";
    if let Some((role, path)) = role() {
        if role != "sync" {
            play(&role, &path);
        }
        let db = Db::open(&path, &existing()).expect("open");
        put(&db, b"inside").expect("put");
        // From here on it looks as if this member made a sync that takes long.
        let lock = locked(&path, SYNC, Mode::Exclusive);
        say(&format!("locked, number {}", std::process::id()));
        std::thread::sleep(Duration::from_secs(4));
        drop(lock);
        say("released");
        wait();
        drop(db);
        std::process::exit(0);
    }
    let under = ["unshare", "--pid", "--fork", "--kill-child"];
    let tried = Command::new(under[0]).args(&under[1..]).arg("true").output();
    if !tried.is_ok_and(|done| done.status.success()) {
        return println!("SKIPPED: {TEST}: namespaces of processes must not be made here");
    }
    let dir = TempDir::new("container");
    let path = dir.file("a.kv");
    let options = Options {
        wait: Some(Duration::from_millis(300)),
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("create");
    put(&db, b"before").expect("put");
    let inside = Start {
        under: under.map(String::from).to_vec(),
        ..Start::plain(TEST)
    };
    let mut other = inside.role("sync", &path);
    assert_eq!(other.says(), "locked, number 1");
    let begin = Instant::now();
    let waited = put(&db, b"outside").map_err(|e| told(&e));
    assert!(waited.is_ok(), "{waited:?} after {:?}", begin.elapsed());
    assert!(begin.elapsed() > Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(other.says(), "released");
    assert_eq!(other.ended().1, "nothing");
}

// ---- a lock that nobody gives back --------------------------------------------------------------------------

#[test]
fn closing_waits_once_for_a_lock_on_the_right_to_sync() {
    const TEST: &str = "closing_waits_once_for_a_lock_on_the_right_to_sync";
    if let Some((role, path)) = role() {
        if role == "put" {
            let answer = Db::open(&path, &existing()).and_then(|db| put(&db, b"durable"));
            say(&format!("{answer:?}"));
            std::process::exit(0);
        }
        let _lock = locked(&path, SYNC, Mode::Exclusive);
        say("locked");
        wait();
        std::process::exit(0);
    }
    let dir = TempDir::new("closing");
    let path = dir.file("a.kv");
    let open = || {
        let options = Options {
            wait: Some(Duration::from_millis(100)),
            durability: Durability::Lazy,
            ..Options::default()
        };
        let db = Db::open(&path, &options).expect("open");
        put(&db, b"lazy").expect("put");
        db
    };
    let stranger = || {
        let mut stranger = Start::plain(TEST).role("lock", &path);
        assert_eq!(stranger.says(), "locked");
        stranger
    };

    // This is what kv_close does: it syncs, to tell whether that succeeds, and lets the database go.
    let db = open();
    let in_the_way = stranger();
    let begin = Instant::now();
    let refused = db.sync().map_err(|e| told(&e));
    assert!(
        refused.as_ref().is_err_and(|why| why.starts_with("InDoubt")),
        "{refused:?}"
    );
    let waited = begin.elapsed();
    drop(db);
    let more = begin.elapsed() - waited;
    assert!(more < waited / 2, "{waited:?}, and {more:?} more");
    drop(in_the_way);

    // Threads wait at the same time.
    let db = open();
    let in_the_way = stranger();
    let begin = Instant::now();
    std::thread::scope(|threads| (0..3).for_each(|_| drop(threads.spawn(|| assert!(db.sync().is_err())))));
    let all = begin.elapsed();
    assert!(all < waited * 2, "{all:?} beside {waited:?}");
    drop(in_the_way);
    drop(db);

    // Who has not waited yet waits once.
    let db = open();
    let in_the_way = stranger();
    let begin = Instant::now();
    drop(db);
    let once = begin.elapsed();
    assert!(once > waited / 2 && once < waited * 3 / 2, "{once:?} beside {waited:?}");
    drop(in_the_way);

    // Nobody remembers a wait when the lock is free.
    let db = open();
    let in_the_way = stranger();
    assert!(db.sync().is_err());
    drop(in_the_way);
    drop(db);
    assert!(Db::open(&path, &existing()).expect("open").recovery().closed_properly);

    // Nor when others have synced since: somebody who syncs just now is waited for.
    let db = open();
    let in_the_way = stranger();
    assert!(db.sync().is_err());
    drop(in_the_way);
    assert_eq!(Start::plain(TEST).answer("put", &path), "Ok(())");
    put(&db, b"lazy").expect("put");
    let in_the_way = stranger();
    let closing = std::thread::spawn(move || drop(db));
    std::thread::sleep(Duration::from_millis(100));
    drop(in_the_way);
    closing.join().expect("closing");
    assert!(Db::open(&path, &existing()).expect("open").recovery().closed_properly);
}

// ---- a file system that does not answer ---------------------------------------------------------------------

/// A process that is ended, with its mount.
struct Server<'a>(Child, &'a Path);

impl Drop for Server<'_> {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let _ = Command::new("umount").arg("-l").arg(self.1).status();
    }
}

#[test]
fn a_file_system_that_does_not_answer_holds_up_no_message() {
    const TEST: &str = "a_file_system_that_does_not_answer_holds_up_no_message";
    if let Some((role, path)) = role() {
        let _file = match role.as_str() {
            "look" => File::open(&path).expect("open"),
            "lock" => locked(&path, ALIVE, Mode::Exclusive),
            _ => play(&role, &path),
        };
        say("open");
        wait();
        std::process::exit(0);
    }
    let dir = TempDir::new("hanging");
    let (real, seen) = (dir.file("real"), dir.file("seen"));
    for folder in [&real, &seen] {
        fs::create_dir(folder).expect("folder");
    }
    fs::write(real.join("file"), b"text").expect("write");
    let mut bindfs = Command::new("bindfs");
    bindfs.arg("-f").args([&real, &seen]).stdin(Stdio::null());
    let server = match bindfs.spawn() {
        Ok(server) => Server(server, &seen),
        Err(why) => return println!("SKIPPED: {TEST}: bindfs: {why}"),
    };
    let begin = Instant::now();
    while !seen.join("file").exists() {
        if begin.elapsed() > Duration::from_secs(10) {
            return println!("SKIPPED: {TEST}: bindfs mounts nothing here");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut looks = Start::plain(TEST).role("look", &seen.join("file"));
    assert_eq!(looks.says(), "open");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    // Processes are looked at in the order of their numbers.
    let mut locks = Start::plain(TEST).role("lock", &path);
    assert_eq!(locks.says(), "open");
    let pid = server.0.id() as i32;
    // SAFETY: a system call about a child that was not waited for yet.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGSTOP) }, 0);
    // What the system remembers of the file is forgotten by then.
    std::thread::sleep(Duration::from_millis(1500));
    let refused = Start {
        open: "wait",
        ..Start::plain(TEST)
    }
    .answer("write", &path);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGCONT) }, 0);
    assert!(refused.starts_with("Busy"), "{refused}");
    assert!(refused.contains(&format!("process {}", locks.id())), "{refused}");
    locks.ended();
    looks.ended();
}
