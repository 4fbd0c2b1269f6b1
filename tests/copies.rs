//! The files that copies of a database are: their permissions, and what they must not replace. What is in a copy is a
//! matter of `maintenance.rs`.

mod common;

use common::tmp::TempDir;
use kv::{BackupOptions, Db, Error, Job, Options};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Whoever may not read a database may not read a copy of it either, unless the copy replaces a file that they may
/// read.
#[test]
fn copies_have_no_more_permissions_than_their_source() {
    let dir = TempDir::new("copied");
    let path = dir.file("private.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    let mode = |path: &Path| fs::metadata(path).expect("facts").mode() & 0o777;
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    set(&path, 0o600);
    let db = Db::open(&path, &Options::default()).expect("open");
    for compact in [false, true] {
        let copy = dir.file(&format!("copy-{compact}"));
        let make = |overwrite| {
            let options = BackupOptions { compact, overwrite };
            db.begin_read().expect("read").backup(&copy, options, &Job::silent())
        };
        make(false).expect("backup");
        assert_eq!(mode(&copy), 0o600, "compact {compact}");
        set(&copy, 0o644);
        make(true).expect("backup");
        assert_eq!(mode(&copy), 0o644, "compact {compact}");
    }
    let saved = dir.file("saved");
    kv::salvage(&path, &saved, false, &Job::silent(), &mut |_| true).expect("salvage");
    assert_eq!(mode(&saved), 0o600);
}

/// The shared memory of a database is not replaced by a copy: those who have it open and those who come would be apart.
#[test]
fn a_copy_does_not_replace_the_memory_that_processes_share() {
    let dir = TempDir::new("over_shm");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("create");
    let shared = dir.file("a.kv-shm");
    assert!(shared.exists());
    let options = BackupOptions {
        overwrite: true,
        ..BackupOptions::default()
    };
    let copied = db.begin_read().expect("read").backup(&shared, options, &Job::silent());
    assert!(matches!(copied, Err(Error::NotADatabase(_))), "{copied:?}");
    drop(db);
    assert!(!shared.exists());
}

/// Where the temporary file of a compact stream cannot be made, the message says which directory that is.
#[test]
fn a_wrong_directory_for_temporary_files_is_named() {
    const CHILD: &str = "KV_TEST_WRONG_TMPDIR";
    if std::env::var_os(CHILD).is_none() {
        let me = std::env::current_exe().expect("name");
        let ended = std::process::Command::new(me)
            .args([
                "--exact",
                "a_wrong_directory_for_temporary_files_is_named",
                "--nocapture",
            ])
            .env("TMPDIR", "/none/such")
            .env(CHILD, "1")
            .status();
        assert!(ended.expect("start").success());
        return;
    }
    let memory = Options {
        memory: true,
        ..Options::default()
    };
    let db = Db::open(Path::new(""), &memory).expect("open");
    let options = BackupOptions {
        compact: true,
        ..BackupOptions::default()
    };
    let read = db.begin_read().expect("read");
    let error = read
        .backup_to(options, &Job::silent(), &mut |_| Ok(()))
        .expect_err("refused");
    assert!(matches!(error, Error::NoFile(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "/none/such: no such file: the directory for temporary files (TMPDIR): its directory /none/such is not there"
    );
}

/// A compact copy that goes into a stream is made in a temporary file first, in a directory that everybody can read. It
/// is nobody's but its owner's, whatever permissions the database has: one that others may not reach, or one that is
/// only in memory, must not be read there, and one that even its owner may not write must be copied all the same.
#[test]
fn a_temporary_file_is_its_owners_alone() {
    let dir = TempDir::new("streamed");
    let path = dir.file("a.kv");
    drop(Db::open(&path, &Options::default()).expect("create"));
    let memory = Options {
        memory: true,
        ..Options::default()
    };
    let mark = format!(".kv-backup.part-{}-", std::process::id());
    let compact = BackupOptions {
        compact: true,
        ..BackupOptions::default()
    };
    for mode in [Some(0o644), Some(0o400), None] {
        let source = mode.map_or("in memory".to_string(), |mode| format!("{mode:o}"));
        let db = match mode {
            Some(mode) => {
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
                Db::open(
                    &path,
                    &Options {
                        read_only: true,
                        ..Options::default()
                    },
                )
            }
            None => Db::open(Path::new(""), &memory),
        };
        let mut found = Vec::new();
        let read = db.expect("open").begin_read().expect("read");
        let streamed = read.backup_to(compact, &Job::silent(), &mut |_| {
            for entry in fs::read_dir(std::env::temp_dir()).expect("list").flatten() {
                if entry.file_name().to_string_lossy().starts_with(&mark) {
                    found.push(entry.metadata().expect("facts").mode() & 0o777);
                }
            }
            Ok(())
        });
        streamed.expect("backup");
        assert!(!found.is_empty(), "no temporary file was seen");
        let others: Vec<String> = found
            .iter()
            .map(|mode| format!("{mode:o}"))
            .filter(|mode| mode != "600")
            .collect();
        assert!(
            others.is_empty(),
            "the database: {source}, its temporary copy: {others:?}"
        );
    }
}
