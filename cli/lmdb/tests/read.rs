//! Files that LMDB made: the reader finds in them what py-lmdb finds, and refuses those that it cannot read.

mod common;

use common::{compare, dump, expected, fixture, folder, READABLE};
use keelkv_lmdb::{ByteOrder, Environment, Error, Version};
use std::process::Command;

#[test]
fn fixtures_have_what_lmdb_reads_from_them() {
    for name in READABLE {
        let environment = Environment::of(fixture(name), *name).expect(name);
        assert_eq!(environment.lost_meta(), None);
        compare(name, &dump(&environment).expect(name), &expected(name));
    }
}

#[test]
fn larger_files_of_chance_have_what_lmdb_reads_from_them() {
    let python = std::env::var("KV_LMDB_PYTHON").unwrap_or("python3".to_string());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/make_files.py");
    let version = Command::new(&python)
        .args(["-c", "import lmdb; print(lmdb.__version__)"])
        .output();
    let version = version.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_string());
    if !version.as_ref().is_ok_and(|version| version.starts_with("3.")) {
        return println!("SKIPPED: larger files: {python} has no package lmdb 3 (set KV_LMDB_PYTHON): {version:?}");
    }
    let seeds = std::env::var("KV_LMDB_SEEDS").map_or(3, |seeds| seeds.parse().expect("a number"));
    let begin = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("a clock")
        .as_secs();
    for seed in begin..begin + seeds {
        let folder = folder("of_chance");
        let made = Command::new(&python)
            .args([script, "random", &seed.to_string()])
            .arg(&folder)
            .output();
        let made = made.expect("python runs");
        assert!(
            made.status.success(),
            "seed {seed}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut files = 0;
        for file in std::fs::read_dir(&folder).expect("the folder") {
            let file = file.expect("a file").path();
            if file.extension().is_some_and(|extension| extension == "mdb") {
                let name = format!("{} of seed {seed}", file.display());
                let found = dump(&Environment::open(&file).expect(&name)).expect(&name);
                let expected = std::fs::read_to_string(file.with_extension("mdb.jsonl")).expect("what is in it");
                compare(&name, &found, &expected);
                files += 1;
            }
        }
        assert!(files >= 4, "only {files} files of seed {seed}");
    }
}

#[test]
fn a_folder_is_opened_by_its_data_file() {
    let folder = folder("a_folder");
    std::fs::write(folder.join("data.mdb"), fixture("kinds-1.0")).expect("a file");
    for path in [folder.clone(), folder.join("data.mdb")] {
        let environment = Environment::open(&path).expect("an environment");
        assert_eq!(environment.path(), folder.join("data.mdb"));
        assert_eq!((environment.version(), environment.word_bits()), (Version::V1_0, 64));
        assert_eq!(environment.byte_order(), ByteOrder::Little);
        assert!(environment.transaction() > 10);
        compare(
            "the folder",
            &dump(&environment).expect("entries"),
            &expected("kinds-1.0"),
        );
    }
    let error = Environment::open(folder.join("nothing")).err().expect("an error");
    assert!(matches!(error, Error::Io { .. }), "{error}");
    assert!(
        error.to_string().contains("a_folder/nothing: cannot be read: "),
        "{error}"
    );
}

#[test]
fn files_of_other_machines_are_told_apart() {
    for (machine, order, bits) in [
        ("x86", ByteOrder::Little, 32),
        ("s390x", ByteOrder::Big, 64),
        ("powerpc", ByteOrder::Big, 32),
    ] {
        for (number, version) in [("0.9", Version::V0_9), ("1.0", Version::V1_0)] {
            let name = format!("{machine}-{number}");
            let environment = Environment::of(fixture(&name), &name).expect("an environment");
            assert_eq!(
                (environment.byte_order(), environment.word_bits()),
                (order, bits),
                "{name}"
            );
            assert_eq!(environment.version(), version, "{name}");
            // The keys are integers in the order of the machine, and LMDB has sorted them.
            let integers = environment.database(Some(b"integers")).expect("a database");
            let sortable = environment.entries(&integers).map(|entry| {
                let key = entry.expect("an entry").key;
                assert_eq!(key.len() as u32, bits / 8);
                integers.flags().key_rule().sortable(&key, order).into_owned()
            });
            let sortable: Vec<Vec<u8>> = sortable.collect();
            assert_eq!(sortable.len(), 50);
            assert!(sortable.is_sorted(), "{name}");
        }
    }
}

#[test]
fn a_database_is_found_by_its_name() {
    let environment = Environment::of(fixture("kinds-0.9"), "kinds").expect("an environment");
    let database = environment.database(Some(b"name with\n\xff")).expect("a database");
    assert_eq!(
        (database.name(), database.entries()),
        (Some(&b"name with\n\xff"[..]), 1)
    );
    let main = environment.database(None).expect("the main database");
    assert_eq!((main.name(), main.entries()), (None, 30));
    let error = environment.database(Some(b"n\n")).expect_err("no database");
    assert_eq!(
        error.to_string(),
        "kinds: there is no database \"n\\n\"; choose one that the file has"
    );
}

#[test]
fn encrypted_files_are_refused() {
    let error = Environment::of(fixture("encrypted-1.0"), "secret")
        .err()
        .expect("an error");
    assert_eq!(
        error.to_string(),
        "secret: the file is encrypted, and only the program that wrote it can read it; export it with the program \
         that wrote it, or with its mdb_dump"
    );
}

#[test]
fn other_versions_are_refused_by_their_number() {
    for (number, said) in [
        (2u32, "(data version 2)"),
        (999, "data version 999"),
        (7, "data version 7"),
    ] {
        let mut bytes = fixture("nothing-1.0");
        bytes[28..32].copy_from_slice(&number.to_le_bytes());
        bytes[4096 + 28..4096 + 32].copy_from_slice(&number.to_le_bytes());
        let error = Environment::of(bytes, "old").err().expect("an error");
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn other_files_are_refused() {
    for bytes in [
        vec![],
        vec![0; 10_000],
        b"SQLite format 3\0".repeat(1000),
        vec![0xDE; 20],
    ] {
        let error = Environment::of(bytes, "other").err().expect("an error");
        assert!(matches!(error, Error::NotLmdb { .. }), "{error}");
    }
}

/// The transaction of meta page 0 of a file of 0.9, from which on the page is not LMDB's any more.
const META_END: usize = 16 + 8 + 16 + 2 * 48 + 16;

#[test]
fn one_meta_page_is_enough() {
    let whole = Environment::of(fixture("kinds-0.9"), "whole").expect("an environment");
    let newest = whole.transaction();
    for page in [0, 1] {
        let mut bytes = fixture("kinds-0.9");
        bytes[page * 4096..page * 4096 + META_END].fill(0);
        let environment = Environment::of(bytes, "half").expect("an environment");
        assert_eq!(environment.lost_meta().expect("a lost page").0, page as u64);
        let is_newest = newest % 2 != page as u64;
        assert_eq!(environment.transaction(), if is_newest { newest } else { newest - 1 });
        if is_newest {
            compare("half", &dump(&environment).expect("entries"), &expected("kinds-0.9"));
        }
    }
    let mut bytes = fixture("kinds-0.9");
    for page in [0, 4096] {
        // The root of the main database.
        bytes[page + 16 + 8 + 16 + 88..][..8].fill(0xEE);
    }
    let error = Environment::of(bytes, "none").err().expect("an error");
    assert!(matches!(error, Error::Damaged { page: 0, .. }), "{error}");
}

#[test]
fn a_commit_while_reading_is_told() {
    let path = folder("a_commit").join("file");
    let bytes = fixture("kinds-0.9");
    std::fs::write(&path, &bytes).expect("a file");
    let environment = Environment::open(&path).expect("an environment");
    let main = environment.database(None).expect("the main database");
    let mut entries = environment.entries(&main);
    entries.next().expect("an entry").expect("an entry");
    environment.check_unchanged().expect("nothing has changed");

    let mut changed = bytes;
    let older = 4096 * ((environment.transaction() + 1) % 2) as usize;
    changed[older + META_END - 8..older + META_END].copy_from_slice(&(environment.transaction() + 1).to_le_bytes());
    std::fs::write(&path, &changed).expect("a file");
    let found: Vec<_> = entries.collect();
    assert_eq!(found.len(), 30);
    assert!(found[..29].iter().all(|entry| entry.is_ok()));
    assert!(matches!(found[29], Err(Error::Changed { .. })));
    assert!(matches!(environment.databases(), Err(Error::Changed { .. })));
    assert!(matches!(environment.check_unchanged(), Err(Error::Changed { .. })));
}

#[test]
fn a_wrong_number_of_entries_is_told_at_the_end() {
    let mut bytes = fixture("main-dupsort-0.9");
    for page in [0, 4096] {
        let entries = page + 16 + 8 + 16 + 48 + 8 + 24;
        bytes[entries] = bytes[entries].wrapping_add(2);
    }
    let environment = Environment::of(bytes, "wrong").expect("an environment");
    let main = environment.database(None).expect("the main database");
    let found: Vec<_> = environment.entries(&main).collect();
    assert_eq!(found.len(), 91);
    let error = found[90].as_ref().expect_err("an error");
    assert!(
        matches!(
            error,
            Error::Count {
                recorded: 92,
                found: 90,
                ..
            }
        ),
        "{error}"
    );
}
