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
    for (i, len) in (0u8..).zip([1000, 3000, 10_000, 20_000]) {
        let mut key = vec![b'l'; len];
        key.push(i);
        entries.insert(key, vec![i; 10]);
    }
    for i in 0..2u8 {
        // Compressible to the eye of git, and each block different.
        let value = (0..20_000u32).map(|j| (j / 64) as u8 ^ i).collect();
        entries.insert(format!("long value {i}").into_bytes(), value);
    }
    for zeros in 0..9 {
        entries.insert([vec![b'a'], vec![0; zeros]].concat(), vec![zeros as u8]);
    }
    entries
}

/// The fixed sequence: loads, replaces, deletes, over several commits. Tables have random numbers: only `named` has
/// some.
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
        for name in [&b"first"[..], b"second", b"\xff\0"] {
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

/// Overwrites what differs from file to file: the UUID, commit times and the timeline, in each slot; and the sum over
/// them.
fn mask(image: &mut [u8]) {
    for slot in image.chunks_mut(SLOT).take(4) {
        if slot.starts_with(b"\x89kvfile\n") {
            slot[32..48].fill(0xaa);
            slot[72..80].fill(0xaa);
            slot[144..152].fill(0xaa);
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
            "main table, page size {page_size}"
        );
        for name in [&b"first"[..], b"second", b"\xff\0"] {
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

/// What `tests/format_reader.py` prints of a file. It is written from docs/format.md and shares nothing with the
/// library. `None` without Python.
fn read_by_text(path: &Path) -> Option<String> {
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format_reader.py");
    let python = std::env::var_os("PYTHON").unwrap_or("python3".into());
    let output = match std::process::Command::new(python).arg(reader).arg(path).output() {
        Ok(output) => output,
        Err(error) => {
            println!("SKIPPED: the reader written from the text: no python3 ({error})");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    // Under an emulator of user programs, a program that is not there ends as it does in a shell.
    if output.status.code() == Some(127) && said.is_empty() {
        println!("SKIPPED: the reader written from the text: no python3");
        return None;
    }
    assert!(output.status.success(), "{}: {said}", path.display());
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// What the library says of the same file, in the same form.
fn read_by_library(db: &Db) -> Result<String> {
    use std::fmt::Write;
    let show = |bytes: &[u8]| match bytes {
        [] => "-".to_string(),
        bytes => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    let mut tables = BTreeMap::from([(TableId::MAIN, Vec::new())]);
    for (name, number) in read(db, TableId::NAMES)? {
        let number = number.try_into().map(u64::from_le_bytes).expect("a number");
        tables.insert(TableId::new(number), name);
        tables.insert(TableId::NAMES, Vec::new());
    }
    let read_txn = db.begin_read()?;
    let mut out = format!("commit {} {}\n", read_txn.id(), db.stat().page_size);
    for (table, name) in tables {
        let note = (&read_txn).table_note(table)?;
        // Kind, flags and extension: the library makes tables of bytes.
        writeln!(out, "table {table} {} 0 0 - {}", show(&name), show(&note)).expect("memory");
        for (key, value) in read(db, table)? {
            writeln!(out, "{} {}", show(&key), show(&value)).expect("memory");
        }
    }
    Ok(out)
}

#[test]
fn a_reader_written_from_the_text_reads_the_same() -> Result<()> {
    for page_size in PAGE_SIZES {
        for name in ["main", "tables"] {
            let dir = TempDir::new("format-reader");
            let path = dir.file("a.kv");
            std::fs::copy(fixture(name, page_size), &path).expect("copy");
            let Some(text) = read_by_text(&path) else {
                return Ok(());
            };
            let db = Db::open(&path, &Options::default())?;
            let library = read_by_library(&db)?;
            let differs = text.lines().zip(library.lines()).find(|(a, b)| a != b);
            assert_eq!(differs, None, "{name}, page size {page_size}");
            assert_eq!(text.len(), library.len(), "{name}, page size {page_size}");
            assert!(
                text.lines().count() > 400,
                "{name}, page size {page_size}: hardly anything was read"
            );
        }
    }
    Ok(())
}

#[test]
fn a_reader_written_from_the_text_refuses_what_is_damaged() -> Result<()> {
    let dir = TempDir::new("format-reader-damage");
    let path = dir.file("a.kv");
    let good = std::fs::read(fixture("main", 4096)).expect("a fixture");
    std::fs::write(&path, &good).expect("write");
    if read_by_text(&path).is_none() {
        return Ok(());
    }
    let reader = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/format_reader.py");
    // A byte of each page that is in use, in turn: some checksum of the text covers it, or nobody reads it.
    let mut refused = 0;
    for at in (16384..good.len()).step_by(4096 * 7) {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        std::fs::write(&path, &bytes).expect("write");
        let output = std::process::Command::new("python3")
            .arg(&reader)
            .arg(&path)
            .output()
            .expect("python");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() || said.starts_with("damaged: "),
            "{at:#x}: {said}"
        );
        refused += u32::from(!output.status.success());
    }
    assert!(refused > 2, "the reader refuses nothing: {refused}");
    Ok(())
}

/// What file(1) says of a fixture, by the line that docs/ has for it.
#[test]
fn the_magic_of_file_tells_a_database() {
    let magic = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/kv.magic");
    let mut file = std::process::Command::new("file");
    file.arg("-b").arg("-m").arg(magic).arg(fixture("main", 4096));
    match file.output() {
        Ok(output) if output.status.success() => {
            let said = String::from_utf8_lossy(&output.stdout);
            assert_eq!(said.trim(), "kv database, version 1, pages of 4096 bytes");
        }
        _ => println!("SKIPPED: file(1) is not there"),
    }
}
