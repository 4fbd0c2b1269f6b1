//! A database on file systems of many kinds, and on mounts of many shapes. Where a kind cannot be made, because this
//! user may not mount or a program is missing, that is said and the rest is done.

mod common;

use common::another::{play, put, role, Start};
use common::mount::Mount;
use common::tmp::TempDir;
use kv::{Db, Options, TableId};
use std::fs;
use std::path::Path;
use std::process::Command;

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let done = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// What is mounted at a folder or a file, until this is dropped.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = run("umount", &["-l", text(self.0)]);
    }
}

/// Two processes create a database in `folder`, share it, and leave nothing but the database.
fn shared(test: &str, folder: &Path) {
    let path = folder.join("a.kv");
    let mut first = Start::plain(test).role("hold", &path);
    assert_eq!(first.says(), "wrote");
    assert_eq!(Start::plain(test).answer("write", &path), "wrote", "a second process");
    first.ended();
    let db = Db::open(&path, &Options::default()).expect("open");
    db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    drop(db);
    let left: Vec<_> = fs::read_dir(folder)
        .expect("list")
        .map(|e| e.expect("entry").file_name())
        .collect();
    assert!(
        left.iter().all(|name| name == "a.kv" || name == "lost+found"),
        "{left:?}"
    );
}

#[test]
fn file_systems_of_every_kind_are_shared() {
    const TEST: &str = "file_systems_of_every_kind_are_shared";
    if let Some((role, path)) = role() {
        play(&role, &path);
    }
    let made: [(&str, u64, &[&str]); 4] = [
        ("ext4", 64, &["mkfs.ext4", "-q"]),
        ("xfs", 320, &["mkfs.xfs", "-q"]),
        ("btrfs", 128, &["mkfs.btrfs", "-q"]),
        ("f2fs", 64, &["mkfs.f2fs", "-q"]),
    ];
    let (mut done, mut skipped) = (Vec::new(), 0);
    let mut skip = |name: &str, why: String| {
        println!("SKIPPED: {TEST}: {name}: {why}");
        skipped += 1;
    };
    for (name, mib, make) in made {
        let dir = TempDir::new(name);
        match Mount::image(dir.path(), mib, make) {
            Ok(mount) => {
                shared(TEST, mount.dir());
                done.push(name);
            }
            Err(why) => skip(name, why),
        }
    }
    let dir = TempDir::new("tmpfs");
    match Mount::tmpfs(dir.path(), 64) {
        Ok(mount) => {
            shared(TEST, mount.dir());
            done.push("tmpfs");
        }
        Err(why) => skip("tmpfs", why),
    }
    let dir = TempDir::new("overlay");
    let folders = ["lower", "upper", "work", "merged"].map(|name| dir.file(name));
    folders
        .iter()
        .for_each(|folder| fs::create_dir(folder).expect("folder"));
    // A database below: the first write copies it up, and nobody may then have the file below open.
    drop(Db::open(&folders[0].join("a.kv"), &Options::default()).expect("create"));
    let layers = format!(
        "lowerdir={},upperdir={},workdir={}",
        text(&folders[0]),
        text(&folders[1]),
        text(&folders[2])
    );
    match run("mount", &["-t", "overlay", "-o", &layers, "none", text(&folders[3])]) {
        Ok(()) => {
            let _mounted = Mounted(&folders[3]);
            shared(TEST, &folders[3]);
            done.push("overlay");
        }
        Err(why) => skip("overlay", why),
    }
    let dir = TempDir::new("fuse");
    let (real, seen) = (dir.file("real"), dir.file("seen"));
    [&real, &seen]
        .iter()
        .for_each(|folder| fs::create_dir(folder).expect("folder"));
    match run("bindfs", &["--chmod-deny", "--chown-deny", text(&real), text(&seen)]) {
        Ok(()) => {
            let _mounted = Mounted(&seen);
            shared(TEST, &seen);
            done.push("fuse");
        }
        Err(why) => skip("fuse", why),
    }
    println!(
        "COUNT file systems: {} ({}), {skipped} skipped",
        done.len(),
        done.join(" ")
    );
}

#[test]
fn a_file_that_is_mounted_by_itself_is_named() {
    const TEST: &str = "a_file_that_is_mounted_by_itself_is_named";
    if let Some((role, path)) = role() {
        play(&role, &path);
    }
    let dir = TempDir::new("single");
    let (path, elsewhere) = (dir.file("a.kv"), dir.file("elsewhere"));
    fs::create_dir(&elsewhere).expect("folder");
    let mounted = elsewhere.join("a.kv");
    fs::write(&mounted, b"").expect("write");
    drop(Db::open(&path, &Options::default()).expect("create"));
    if let Err(why) = run("mount", &["--bind", text(&path), text(&mounted)]) {
        return println!("SKIPPED: {TEST}: {why}");
    }
    let _mounted = Mounted(&mounted);
    for (first, second) in [(&path, &mounted), (&mounted, &path)] {
        let mut first = Start::plain(TEST).role("hold", first);
        assert_eq!(first.says(), "wrote");
        let refused = Start {
            open: "wait",
            ..Start::plain(TEST)
        }
        .answer("write", second);
        assert!(refused.starts_with("Busy"), "{refused}");
        assert!(refused.contains(text(second)) && refused.contains("mount"), "{refused}");
        if second == &mounted {
            assert!(refused.contains("mount its directory"), "{refused}");
        }
        first.ended();
    }
    // A folder that is mounted is as good as any.
    let (folder, seen) = (dir.file("folder"), dir.file("seen"));
    [&folder, &seen]
        .iter()
        .for_each(|folder| fs::create_dir(folder).expect("folder"));
    run("mount", &["--bind", text(&folder), text(&seen)]).expect("as before");
    let _mounted = Mounted(&seen);
    let mut first = Start::plain(TEST).role("hold", &folder.join("a.kv"));
    assert_eq!(first.says(), "wrote");
    assert_eq!(Start::plain(TEST).answer("write", &seen.join("a.kv")), "wrote");
}

#[test]
fn btrfs_that_others_fill_kills_no_reader() {
    const TEST: &str = "btrfs_that_others_fill_kills_no_reader";
    if let Some((role, path)) = role() {
        if role != "read" {
            play(&role, &path);
        }
        let db = Db::open(&path, &Options::default()).expect("open");
        put(&db, b"a").expect("put");
        common::another::say("open");
        common::another::wait();
        // The disk is full now, and every page of the shared memory was written to it. Each store into one looks for
        // space first, in vain and for milliseconds, and then writes in place.
        let begin = std::time::Instant::now();
        let many: Vec<_> = (0..100).map(|_| db.begin_read()).collect();
        let good = many.iter().filter(|read| {
            read.as_ref()
                .is_ok_and(|read| read.get(TableId::MAIN, b"a").is_ok_and(|v| v.is_some()))
        });
        common::another::say(&format!("{} read", good.count()));
        eprintln!("that took {:?}", begin.elapsed());
        std::process::exit(0);
    }
    let dir = TempDir::new("btrfs");
    let mount = match Mount::image(dir.path(), 128, &["mkfs.btrfs", "-q"]) {
        Ok(mount) => mount,
        Err(why) => return println!("SKIPPED: {TEST}: {why}"),
    };
    let path = mount.dir().join("a.kv");
    let mut other = Start::plain(TEST).role("read", &path);
    assert_eq!(other.says(), "open");
    // A copy of the memory that shares its blocks would make each store need a new one.
    let copied = run(
        "cp",
        &[
            "--reflink=always",
            text(&mount.dir().join("a.kv-shm")),
            text(&mount.dir().join("copy")),
        ],
    );
    println!("a copy that shares blocks: {copied:?}");
    run("sync", &["-f", text(&path)]).expect("sync");
    let (mut size, mut number) = (16 << 20, 0);
    while size >= 512 {
        let filled = fs::write(mount.dir().join(format!("fill{number}")), vec![number as u8; size])
            .and_then(|()| fs::File::open(mount.dir().join(format!("fill{number}")))?.sync_all());
        number += 1;
        if filled.is_err() {
            size /= 2;
        }
    }
    run("sync", &["-f", text(&path)]).ok();
    let (status, said) = other.ended();
    assert_eq!((status.success(), said.as_str()), (true, "100 read"), "{status:?}");
}
