//! Names of files: how messages and figures show them, and names that are those of other files.

mod common;

use common::Folder;
use kv_engine::{Db, Options};

#[test]
fn the_file_beside_a_database_is_told_from_it() {
    let folder = Folder::new("beside");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for args in [&["get", "db-shm", "k"][..], &["put", "db-shm", "k", "v"]] {
        folder
            .kv(args)
            .ends_with(5)
            .says("db-shm: no such file; a file NAME-shm is memory")
            .says("give db\n");
    }
    let _db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    folder.kv(&["get", "db-shm", "k"]).ends_with(6).says("give db\n");
}

#[test]
fn messages_name_the_file_as_it_was_typed() {
    let folder = Folder::new("typed");
    std::fs::create_dir(folder.file("sub")).expect("a folder");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for args in [
        &["get", "sub/../none", "k"][..],
        &["get", "sub/../db", "none"],
        &["get", "./none", "k"],
    ] {
        let answer = folder.kv(args);
        assert!(
            answer.err.starts_with(&format!("kv: {}: ", args[1])) || answer.err.contains("no key"),
            "{answer:?}"
        );
    }
    let path = folder.kv(&["stat", "sub/../db", "-o", "json"]).json();
    let real = folder.file("db").canonicalize().expect("a path");
    assert_eq!(path[0]["path"], real.to_str().expect("UTF-8"));
}
