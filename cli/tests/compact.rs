//! `kv compact`: the file becomes smaller, and who is in the way is told.

mod common;

use common::{one, Folder};
use kv_engine::{Db, Options, PutMode, WriteOptions};

/// A database with a small table behind the free pages of a large one.
fn aged(what: &str) -> Folder {
    let folder = Folder::new(what);
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    for (name, count) in [("large", 20_000u32), ("small", 2_000)] {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let table = txn.table_create(name.as_bytes(), false).expect("table");
        for n in 0..count {
            txn.put(table, &n.to_be_bytes(), &[n as u8; 200], PutMode::Set)
                .expect("put");
        }
        txn.commit().expect("commit");
    }
    drop(db);
    folder.kv(&["del", "db", "-t", "large", "--drop"]).ends_with(0);
    folder
}

fn bytes(folder: &Folder) -> u64 {
    std::fs::metadata(folder.file("db")).expect("metadata").len()
}

#[test]
fn the_file_becomes_smaller() {
    let folder = aged("smaller");
    let before = bytes(&folder);
    let stayed = one(&folder
        .kv(&["compact", "db", "--stay", "--punch", "-o", "json"])
        .ends_with(0));
    assert!(
        stayed["moved_pages"] == 0 && stayed["punched_bytes"].as_u64() > Some(1 << 20),
        "{stayed}"
    );
    assert!(bytes(&folder) > before / 2, "{} of {before}", bytes(&folder));
    let stayed = bytes(&folder);
    let done = one(&folder.kv(&["compact", "db", "-o", "json"]).ends_with(0));
    assert!(done["moved_pages"].as_u64() > Some(50), "{done}");
    assert!(done["cut_bytes"].as_u64() > Some(before / 2), "{done}");
    assert!(done["held_commit"].is_null() && done["parked_pages"] == 0, "{done}");
    assert!(bytes(&folder) < before / 3, "{} of {before}", bytes(&folder));
    assert_eq!(
        (&done["file_bytes_before"], &done["file_bytes_after"]),
        (&stayed.into(), &bytes(&folder).into())
    );
    folder.kv(&["check", "db", "--all"]).ends_with(0);
    folder.kv(&["count", "db", "-t", "small"]).is("2000\n");
    let table = folder.kv(&["compact", "db"]).ends_with(0);
    assert!(table.text().contains("no reader is in the way\n"), "{}", table.text());
    table.says("db: the file is as long as before: too little of it is free");
    folder
        .kv(&["compact", "db", "--stay"])
        .ends_with(0)
        .says("the file is as long as before: no page at its end is free; without --stay");
    folder.kv(&["-q", "compact", "db"]).is("");
}

#[test]
fn who_is_in_the_way_is_told() {
    let folder = aged("held");
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let reader = db.begin_read().expect("begin");
    let held = folder.kv(&["compact", "db", "-o", "json"]).ends_with(0);
    assert_eq!(one(&held)["held_commit"], reader.id().get());
    held.says(&format!("somebody reads commit {}", reader.id()))
        .says("kv readers db");
    drop(reader);
    let done = folder.kv(&["compact", "db", "-o", "json"]).ends_with(0);
    assert!(one(&done)["held_commit"].is_null() && done.err.is_empty(), "{done:?}");
    let txn = db.begin_write(WriteOptions::default()).expect("begin");
    folder
        .kv(&["compact", "db", "--wait", "0.1"])
        .ends_with(4)
        .says("has had the write transaction");
    drop(txn);
    drop(db);
    folder.kv(&["snapshot", "db", "create", "all"]).ends_with(0);
    folder.kv(&["del", "db", "-t", "small", "--drop"]).ends_with(0);
    let kept = folder.kv(&["compact", "db", "-o", "json"]).ends_with(0);
    assert!(one(&kept)["parked_pages"].as_u64() > Some(50), "{kept:?}");
    kept.says("stay for snapshots; kv snapshot db list");
}

#[test]
fn a_shell_compacts_outside_of_transactions() {
    let folder = aged("shell");
    let before = bytes(&folder);
    let refused = folder.kv_with(&["shell", "db"], b"begin\ncompact\nabort\n");
    refused
        .ends_with(4)
        .says("compact needs a moment at which nobody writes");
    folder.kv_with(&["shell", "db"], b"compact\n").ends_with(0);
    assert!(bytes(&folder) < before / 3, "{} of {before}", bytes(&folder));
}
