//! What opening says of a file that it cannot open: foreign, cut, older, newer, damaged, each with its own status and
//! words that tell what to do.

mod common;

use common::image::repair_slots;
use common::tmp::TempDir;
use kv::Error;
use kv::{CommitId, Db, Options, PageNo, PutMode, TableId, WriteOptions};
use std::path::{Path, PathBuf};

/// A database of some hundred pages, closed properly; its bytes.
fn good(path: &Path, commits: u64) -> Vec<u8> {
    let db = Db::open(path, &Options::default()).expect("create");
    for commit in 0..commits {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for i in 0..2000u64 {
            let key = (commit * 10_000 + i).to_be_bytes();
            txn.put(TableId::MAIN, &key, &[7; 100], PutMode::Set).expect("put");
        }
        txn.commit().expect("commit");
    }
    drop(db);
    std::fs::read(path).expect("read")
}

fn open_bytes(path: &PathBuf, bytes: &[u8]) -> Error {
    std::fs::write(path, bytes).expect("write");
    let options = Options {
        existing: true,
        ..Options::default()
    };
    match Db::open(path, &options) {
        Ok(_) => panic!("a file that cannot be a database was opened"),
        Err(error) => error,
    }
}

#[track_caller]
fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
}

#[test]
fn a_foreign_file_is_told_from_a_damaged_one() {
    let dir = TempDir::new("opening-foreign");
    let path = dir.file("a.kv");
    let mut foreign = b"SQLite format 3\0".to_vec();
    foreign.resize(100_000, 1);
    let error = open_bytes(&path, &foreign);
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    says(&error, &["53, 51, 4c"]);
    let error = open_bytes(&path, &[0; 65536]);
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    let error = open_bytes(&path, b"hello");
    assert!(matches!(error, Error::NotADatabase(_)), "{error}");
    says(&error, &["5 bytes"]);
    // All four slots damaged, but it was a database: the magic is there.
    let mut bytes = good(&dir.file("b.kv"), 1);
    (0..4).for_each(|slot| bytes[slot * 4096 + 100] ^= 1);
    let error = open_bytes(&path, &bytes);
    assert!(
        matches!(&error, Error::Corrupt(c) if c.page == Some(PageNo::new(0))),
        "{error}"
    );
    says(&error, &["no meta slot", "kv_salvage"]);
}

#[test]
fn a_cut_file_says_how_much_is_missing() {
    let dir = TempDir::new("opening-cut");
    let path = dir.file("a.kv");
    let bytes = good(&dir.file("b.kv"), 3);
    let whole = format!("of {}", bytes.len());
    for cut in [bytes.len() - 1, bytes.len() - 4096, bytes.len() / 2, 16384] {
        let error = open_bytes(&path, &bytes[..cut]);
        assert!(matches!(&error, Error::Corrupt(c) if c.page.is_none()), "{error}");
        says(
            &error,
            &["shorter than its newest commit", &format!("{cut} bytes"), &whole],
        );
    }
    for cut in [1, 7, 8, 4096, 16383] {
        let error = open_bytes(&path, &bytes[..cut]);
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
        says(&error, &["was cut", &format!("{cut} bytes"), "16384"]);
    }
}

#[test]
fn other_versions_and_features_are_named() {
    let dir = TempDir::new("opening-version");
    let path = dir.file("a.kv");
    let bytes = good(&dir.file("b.kv"), 2);
    let changed = |at: usize, value: u8| {
        let mut bytes = bytes.clone();
        (0..4)
            .filter(|slot| bytes[slot * 4096] != 0)
            .collect::<Vec<usize>>()
            .into_iter()
            .for_each(|slot| bytes[slot * 4096 + at] = value);
        repair_slots(&mut bytes);
        bytes
    };
    let error = open_bytes(&path, &changed(8, 0));
    assert!(matches!(error, Error::TooOld(_)), "{error}");
    says(&error, &["older version", "file format 0"]);
    let error = open_bytes(&path, &changed(8, 2));
    assert!(matches!(error, Error::TooNew(_)), "{error}");
    says(&error, &["newer version", "file format 2"]);
    let error = open_bytes(&path, &changed(12, 4));
    assert!(matches!(error, Error::TooNew(_)), "{error}");
    says(&error, &["unknown features 0x4"]);
    // Unknown to writers: it may be read.
    let error = open_bytes(&path, &changed(16, 8));
    assert!(matches!(error, Error::TooNew(_)), "{error}");
    says(&error, &["0x8", "read-only"]);
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    assert!(Db::open(&path, &options).is_ok());
}

#[test]
fn one_damaged_slot_of_a_closed_file_loses_nothing() {
    let dir = TempDir::new("opening-damaged");
    let path = dir.file("a.kv");
    let source = dir.file("b.kv");
    let bytes = good(&source, 3);
    // Closing sealed the commit: two slots describe the same trees.
    let id = |slot: usize| u64::from_le_bytes(bytes[slot * 4096 + 48..slot * 4096 + 56].try_into().expect("8"));
    let mut slots: Vec<usize> = (0..4).filter(|slot| bytes[slot * 4096] != 0).collect();
    slots.sort_by_key(|slot| std::cmp::Reverse(id(*slot)));
    let mut damaged = bytes.clone();
    damaged[slots[0] * 4096 + 200] ^= 1;
    std::fs::write(&path, &damaged).expect("write");
    let db = Db::open(&path, &Options::default()).expect("one of two slots is enough");
    let read = db.begin_read().expect("read");
    let last = (2 * 10_000 + 1999u64).to_be_bytes();
    assert!(read.get(TableId::MAIN, &last).expect("get").is_some());
}

#[test]
fn a_handle_tells_what_opening_found() {
    let dir = TempDir::new("opening-report");
    let path = dir.file("a.kv");
    let bytes = good(&path, 2);
    // A newer commit that a crash tore: the same slot with a higher id and more pages than the file has.
    let newest = (0..4usize)
        .filter(|slot| bytes[slot * 4096] != 0)
        .max_by_key(|slot| bytes[slot * 4096 + 48])
        .expect("a slot");
    let free = (0..4usize)
        .find(|slot| *slot != newest && bytes[slot * 4096 + 48] + 1 < bytes[newest * 4096 + 48])
        .expect("a slot to overwrite");
    let mut torn = bytes.clone();
    torn.copy_within(newest * 4096..newest * 4096 + 4096, free * 4096);
    torn[free * 4096 + 48] += 1;
    torn[free * 4096 + 82] += 1;
    repair_slots(&mut torn);
    std::fs::write(&path, &torn).expect("write");
    let db = Db::open(&path, &Options::default()).expect("open");
    let found = db.recovery();
    assert_eq!(
        (found.id, found.discarded),
        (CommitId::new(bytes[newest * 4096 + 48].into()), 1)
    );
    assert!(db.opening_time() > std::time::Duration::ZERO);
}
