//! Others who have the database open: they are neither waited for unasked nor robbed of their file.

mod common;

use common::{two_tables, Folder};
use kv_engine::{Db, Options, WriteOptions};
use std::time::{Duration, Instant};

#[test]
fn a_database_that_others_have_open_is_not_replaced_unasked() {
    let folder = Folder::new("replace");
    two_tables(&folder);
    folder.kv(&["backup", "db", "copy"]).ends_with(0);
    let stream = std::fs::read(folder.file("copy")).expect("read");
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let who = format!("process {} (", std::process::id());
    for (args, input) in [
        (["restore", "copy", "db"], &b""[..]),
        (["restore", "-", "db"], &stream),
        (["backup", "copy", "db"], b""),
        (["salvage", "copy", "db"], b""),
    ] {
        let answer = folder
            .kv_with(&[&args[..], &["--overwrite"]].concat(), input)
            .ends_with(4);
        answer
            .says(&who)
            .says(" it open, and would go on with the old file")
            .says("--force");
    }
    // What was refused has left everything as it was.
    assert_eq!(folder.names(), ["copy", "db", "db-shm"]);
    assert!(db.begin_read().is_ok_and(|txn| txn.id() == db.stat().visible));
    for command in ["backup", "salvage"] {
        let other = ["-q", command, "copy", "other", "--overwrite"];
        folder.kv(&other).is("");
        let other = Db::open(&folder.file("other"), &Options::default()).expect("open");
        folder.kv(&[command, "copy", "other", "--force"]).ends_with(2);
        folder
            .kv(&["-q", command, "copy", "other", "--overwrite", "--force"])
            .is("");
        drop(other);
    }
    folder
        .kv(&["restore", "copy", "db", "--overwrite", "--force"])
        .ends_with(0)
        .says("db: the backup was restored, ");
    drop(db);
    folder.kv(&["restore", "copy", "db", "--overwrite"]).ends_with(0);
    // Nor does a killed process, whose memory is left, keep anybody.
    std::fs::write(folder.file("db-shm"), [1; 8192]).expect("a file");
    folder.kv(&["restore", "copy", "db", "--overwrite"]).ends_with(0);
    folder.kv(&["restore", "copy", "db", "--force"]).ends_with(2);
    // What is no database, or a damaged one, has nobody either.
    std::fs::write(folder.file("db"), b"text").expect("a file");
    folder.kv(&["restore", "copy", "db", "--overwrite"]).ends_with(0);
    folder.kv(&["check", "--all", "db"]).ends_with(0);
}

#[test]
fn who_does_not_wait_is_not_kept_by_a_writer() {
    let folder = Folder::new("no-wait");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let _txn = db.begin_write(WriteOptions::default()).expect("begin");
    for args in [&["check", "--all", "db"][..], &["map", "db"], &["report", "db"]] {
        let begun = Instant::now();
        let answer = folder.kv(&[&["--wait", "0"], args].concat()).ends_with(4);
        assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
        answer
            .says(&format!(
                "db: busy: process {} has had the write transaction",
                std::process::id()
            ))
            .says("wait longer with --wait SECONDS");
    }
}
