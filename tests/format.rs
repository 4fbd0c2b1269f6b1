//! The format does not change by accident: a fixed sequence of operations gives a fixed file, byte for byte, and files
//! written by earlier versions open and read as what they are.
//!
//! After a change that is meant: `cargo test --test format -- --ignored regenerate_fixture`, and say in the change log
//! what happens to files of the version before.

mod common;

use common::rng::Rng;
use common::tmp::TempDir;
use kv::Result;
use kv::{Cursor, Db, Options, PutMode, Range, Reader, TableId, WriteOptions};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Page sizes of which there is a fixture.
const PAGE_SIZES: [u32; 2] = [4096, 16384];
/// Bytes of a meta slot.
const SLOT: usize = 4096;

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn fixture(name: &str, page_size: u32) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    folder.join(format!("v1-{name}-{page_size}.kv"))
}

/// Entries of every kind: short, dense, with a shared prefix, long keys, long values.
fn content(page_size: u32) -> Entries {
    let mut rng = Rng::new(u64::from(page_size));
    let mut entries = Entries::new();
    for i in 0..150u64 {
        entries.insert(i.to_be_bytes().to_vec(), i.to_le_bytes().to_vec());
        let url = format!("https://www.example.com/category/{}/item-{i:05}", i % 5);
        let len = rng.index(60);
        entries.insert(url.into_bytes(), rng.bytes(len));
        let len = rng.index(20);
        entries.insert(rng.bytes(len), b"short".to_vec());
    }
    for i in 0..2u8 {
        let mut key = vec![b'l'; 1000 + 9000 * usize::from(i)];
        key.push(i);
        entries.insert(key, vec![i; 10]);
        // Compressible to the eye of git, and each block different.
        let value = (0..20_000u32).map(|j| (j / 64) as u8 ^ i).collect();
        entries.insert(format!("long value {i}").into_bytes(), value);
    }
    for zeros in 0..9 {
        entries.insert([vec![b'a'], vec![0; zeros]].concat(), vec![zeros as u8]);
    }
    entries
}

/// The fixed sequence: loads, replaces, deletes, over several commits. Tables have random numbers: only `named` has some.
fn make(path: &Path, page_size: u32, named: bool) -> Result<()> {
    let options = Options {
        page_size,
        new: true,
        ..Options::default()
    };
    let db = Db::open(path, &options)?;
    let content = content(page_size);
    for part in 0..4 {
        let mut txn = db.begin_write(WriteOptions::default())?;
        for (i, (key, value)) in content.iter().enumerate() {
            if i % 4 == part {
                txn.put(TableId::MAIN, key, value, PutMode::Set)?;
            } else if part == 0 {
                txn.put(TableId::MAIN, key, b"to be replaced", PutMode::Set)?;
            }
        }
        for i in 0..20u8 {
            let key = [b"to be deleted", &[part as u8, i][..]].concat();
            txn.put(TableId::MAIN, &key, &vec![i; 40 * usize::from(i)], PutMode::Set)?;
        }
        txn.commit()?;
    }
    let mut txn = db.begin_write(WriteOptions::default())?;
    let range = Range {
        prefix: Some(b"to be deleted"),
        ..Range::default()
    };
    assert_eq!(txn.delete_range(TableId::MAIN, &range)?, 80);
    txn.commit()?;
    if named {
        let mut txn = db.begin_write(WriteOptions::default())?;
        for name in [&b"first"[..], b"second", b"\0\xff"] {
            let table = txn.table_create(name, true)?;
            txn.table_set_note(table, &[b"note of ", name].concat())?;
            for (key, value) in content.iter().step_by(name.len()) {
                txn.put(table, key, value, PutMode::Append)?;
            }
        }
        txn.commit()?;
    }
    Ok(())
}

/// Overwrites what differs from file to file: the UUID, and commit times, in each slot; and the sum over them.
fn mask(image: &mut [u8]) {
    for slot in image.chunks_mut(SLOT).take(4) {
        if slot.starts_with(b"\x89kvfile\n") {
            slot[32..48].fill(0xaa);
            slot[72..80].fill(0xaa);
            slot[SLOT - 4..].fill(0xaa);
        }
    }
}

fn read(db: &Db, table: TableId) -> Result<Entries> {
    let read = db.begin_read()?;
    let txn = &mut &read;
    let mut cursor = Cursor::new(txn, table, &Range::default())?;
    let mut out = Entries::new();
    while cursor.next(txn)? {
        let key = cursor.key().to_vec();
        out.insert(key, cursor.value(txn)?.to_vec());
    }
    Ok(out)
}

fn masked(path: &Path) -> Vec<u8> {
    let mut image = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    mask(&mut image);
    image
}

#[test]
fn a_fixed_sequence_gives_a_fixed_file() -> Result<()> {
    for page_size in PAGE_SIZES {
        let dir = TempDir::new("format");
        let path = dir.file("a.kv");
        make(&path, page_size, false)?;
        let (now, then) = (masked(&path), masked(&fixture("main", page_size)));
        let first = now.iter().zip(&then).position(|(a, b)| a != b);
        let page = first.map(|at| at / page_size as usize);
        assert_eq!(
            first, None,
            "the format of page {page:?} changed (page size {page_size}); see tests/format.rs"
        );
        assert_eq!(
            now.len(),
            then.len(),
            "the file's length changed (page size {page_size})"
        );
    }
    Ok(())
}

#[test]
fn the_same_sequence_gives_the_same_file_twice() -> Result<()> {
    let dir = TempDir::new("format-twice");
    make(&dir.file("a.kv"), 8192, false)?;
    make(&dir.file("b.kv"), 8192, false)?;
    assert!(masked(&dir.file("a.kv")) == masked(&dir.file("b.kv")));
    Ok(())
}

#[test]
fn files_of_earlier_versions_read_as_what_they_are() -> Result<()> {
    for page_size in PAGE_SIZES {
        // A copy: opening may write.
        let dir = TempDir::new("format-old");
        let path = dir.file("old.kv");
        let old = fixture("tables", page_size);
        std::fs::copy(&old, &path).unwrap_or_else(|e| panic!("{}: {e}", old.display()));
        let options = Options {
            existing: true,
            ..Options::default()
        };
        let db = Db::open(&path, &options)?;
        assert_eq!(db.stat().page_size, page_size);
        let content = content(page_size);
        assert!(
            read(&db, TableId::MAIN)? == content,
            "default table, page size {page_size}"
        );
        for name in [&b"first"[..], b"second", b"\0\xff"] {
            let table = (&db.begin_read()?).table(name)?;
            let want: Entries = content.clone().into_iter().step_by(name.len()).collect();
            assert!(read(&db, table)? == want, "table {:?}", name.escape_ascii().to_string());
            assert_eq!((&db.begin_read()?).table_note(table)?, [b"note of ", name].concat());
        }
        assert_eq!(read(&db, TableId::NAMES)?.len(), 3);
        db.check(true, &mut |fault| panic!("page size {page_size}: {fault:?}"))?;
        // And it can be written to.
        let mut txn = db.begin_write(WriteOptions::default())?;
        for key in content.keys() {
            txn.delete(TableId::MAIN, key)?;
        }
        txn.put(TableId::MAIN, b"new", b"entry", PutMode::Set)?;
        txn.commit()?;
        assert_eq!(read(&db, TableId::MAIN)?.len(), 1);
        let report = db.check(true, &mut |fault| panic!("page size {page_size}: {fault:?}"))?;
        assert_eq!(report.tables, 4);
    }
    Ok(())
}

#[test]
#[ignore = "writes the fixtures anew: only after a change of the format that is meant"]
fn regenerate_fixture() -> Result<()> {
    for page_size in PAGE_SIZES {
        for (name, named) in [("main", false), ("tables", true)] {
            let path = fixture(name, page_size);
            let _ = std::fs::remove_file(&path);
            make(&path, page_size, named)?;
        }
    }
    Ok(())
}
