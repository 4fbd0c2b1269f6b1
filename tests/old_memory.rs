//! What a page does not use is zero: a file contains its own entries and nothing that happened to lie in the memory in
//! which its pages were built, neither aborted or replaced entries nor those of another database of the process.

mod common;

use common::tmp::TempDir;
use kv::Result;
use kv::{Db, Options, PutMode, TableId, WriteOptions};
use std::path::Path;

const SECRET: &[u8] = b"-- the other database's secret --";

/// Writes entries that differ in length, so that pages have gaps.
fn fill(db: &Db, text: &[u8], entries: u32, commit: bool) -> Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    for i in 0..entries {
        let key = i.wrapping_mul(0x9e37_79b9).to_be_bytes();
        let value = text.repeat(1 + i as usize % 9);
        txn.put(TableId::MAIN, &key, &value, PutMode::Set)?;
    }
    // Reading a range builds pages before the commit.
    assert!(txn.take_first(TableId::MAIN, &kv::Range::default())?.is_some());
    if commit {
        txn.commit()?;
    }
    Ok(())
}

fn places(path: &Path, what: &[u8]) -> Vec<usize> {
    let image = std::fs::read(path).expect("the file can be read");
    image
        .windows(what.len())
        .enumerate()
        .filter(|(_, part)| *part == what)
        .map(|(at, _)| at)
        .collect()
}

fn open(dir: &TempDir, name: &str, page_size: u32) -> Result<Db> {
    let options = Options {
        page_size,
        ..Options::default()
    };
    Db::open(&dir.file(name), &options)
}

#[test]
fn of_another_database() -> Result<()> {
    for page_size in [4096, 16384, 65536] {
        let dir = TempDir::new("old-memory");
        let other = open(&dir, "other.kv", page_size)?;
        fill(&other, SECRET, 3000, true)?;
        drop(other);
        assert!(
            !places(&dir.file("other.kv"), SECRET).is_empty(),
            "the test cannot find what it looks for"
        );
        let db = open(&dir, "a.kv", page_size)?;
        fill(&db, b"harmless", 2000, true)?;
        fill(&db, b"still harmless", 1000, true)?;
        drop(db);
        let found = places(&dir.file("a.kv"), SECRET);
        assert!(
            found.is_empty(),
            "page size {page_size}: at {} places, first {:#x}",
            found.len(),
            found[0]
        );
    }
    Ok(())
}

#[test]
fn of_an_aborted_transaction() -> Result<()> {
    for page_size in [4096, 16384, 65536] {
        let dir = TempDir::new("old-memory");
        let db = open(&dir, "a.kv", page_size)?;
        fill(&db, b"harmless", 1500, true)?;
        fill(&db, SECRET, 3000, false)?;
        fill(&db, b"still harmless", 1000, true)?;
        drop(db);
        let found = places(&dir.file("a.kv"), SECRET);
        assert!(
            found.is_empty(),
            "page size {page_size}: at {} places, first {:#x}",
            found.len(),
            found[0]
        );
    }
    Ok(())
}
