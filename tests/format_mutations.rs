//! Each sentence of docs/format.md that can be checked is broken in a good file, with every checksum repaired up to
//! the slots, and somebody has to refuse the file: opening it or checking it. The tables quote the sentence, so that a
//! change of the text is noticed here.
//!
//! What the text allows readers to pass over is set as well, and has to change nothing.

mod common;
mod mutation;

use std::sync::mpsc::{channel, RecvTimeoutError};
use std::time::Duration;

use common::image::{CHECKSUM, HEIGHT, INLINE, RECORDS, ROOT, ROOTS, ROOT_FLAGS, SPILLS};
use common::tmp::TempDir;
use kv::{BackupOptions, Db, Error, Job, Options, PutMode, Range, Reader, Result, TableId, WriteOptions};
use mutation::By::{Check, Newer, Older, Open};
use mutation::{base, history, pages, quoted, sentences, tables, Image, Kind, Mutation, LONG_VALUES, MAIN_TABLES};

/// Opens and checks the file. Returns what opening said, and the faults.
fn answers(image: &Image) -> (Option<Error>, Vec<String>) {
    let dir = TempDir::new("mutation");
    let path = dir.file("a.kv");
    std::fs::write(&path, &image.bytes).expect("write");
    let options = Options {
        existing: true,
        ..Options::default()
    };
    let mut faults = Vec::new();
    let checked = Db::open(&path, &options).and_then(|db| {
        db.check(true, &mut |fault| {
            faults.push(fault.what.clone());
            true
        })
    });
    (checked.err(), faults)
}

fn try_all(mutations: &[Mutation]) {
    try_on(&base(), mutations);
}

fn try_on(good: &Image, mutations: &[Mutation]) {
    let mut repaired = good.clone();
    repaired.repair();
    assert!(
        repaired.bytes == good.bytes,
        "the test's idea of the format differs from the engine's"
    );
    let text = quoted();
    let mut wrong = Vec::new();
    for (i, (sentence, mutate, by)) in mutations.iter().enumerate() {
        assert!(text.contains(sentence), "docs/format.md does not say: {sentence}");
        let mut image = good.clone();
        mutate(&mut image);
        assert!(image.bytes != good.bytes, "mutation {i} changes nothing: {sentence}");
        image.repair();
        let (error, faults) = answers(&image);
        let refused = match (by, &error) {
            (Older(words), Some(Error::TooOld(what))) | (Newer(words), Some(Error::TooNew(what))) => {
                what.contains(words)
            }
            (Open(words), Some(error @ Error::Corrupt(_))) => error.to_string().contains(words),
            (Check(words), None) => faults.iter().any(|fault| fault.contains(words)),
            _ => false,
        };
        if !refused {
            wrong.push(format!("{i}: {sentence}\n   {by:?}, but: {error:?} {faults:?}"));
        }
    }
    assert!(wrong.is_empty(), "not refused as they should be:\n{}", wrong.join("\n"));
}

/// The fields of a slot: section 3.
#[test]
fn slots() {
    try_all(sentences::SLOTS);
}

/// The records of recent commits: section 4.
#[test]
fn records() {
    try_all(sentences::RECORDS);
}

/// The headers of tree pages: section 7, and what section 6 says of all pages.
#[test]
fn headers() {
    try_all(pages::HEADERS);
}

/// The entries of leaves: sections 8, 9, 11 and 12.
#[test]
fn leaves() {
    try_all(pages::LEAVES);
}

/// Branches: section 10, and what section 6 says of pointers.
#[test]
fn branches() {
    try_all(pages::BRANCHES);
}

/// The catalogue, the list of names and the space tree: sections 14 and 15.
#[test]
fn tables() {
    try_all(tables::TABLES);
}

/// The list of snapshots and the policy: section 20.
#[test]
fn snapshots() {
    try_on(&history::base(), history::SNAPSHOTS);
}

/// Parked extents: section 15.
#[test]
fn parked_extents() {
    try_on(&history::base(), history::PARKED);
}

/// The birth of a table's root is bounded by that of the leaf that its record is in, not by that of the whole
/// catalogue.
#[test]
fn a_record_is_not_older_than_the_root_in_it() -> Result<()> {
    const TABLES: usize = 200;
    let dir = TempDir::new("births");
    let path = dir.file("a.kv");
    let name = |i: usize| format!("the table of this test with number {i:03}");
    let db = Db::open(&path, &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let tables = (0..TABLES).map(|i| txn.table_create(name(i).as_bytes(), true));
    let tables = tables.collect::<Result<Vec<TableId>>>()?;
    for table in &tables {
        txn.put(*table, b"key", b"value", PutMode::Set)?;
    }
    txn.commit()?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    txn.put(tables[0], b"key", b"another value", PutMode::Set)?;
    let newer = txn.commit()?;
    db.check(true, &mut |fault| panic!("{fault:?}"))?;
    drop(db);

    let mut image = Image {
        bytes: std::fs::read(&path).expect("read"),
    };
    // The record of a table, and its leaf: the root comes 30 bytes before the name, the length of the name 6 before it.
    let records = |i: usize| {
        let name = name(i).into_bytes();
        let at = |at: &usize| image.bytes[*at..].starts_with(&name) && usize::from(image.bytes[*at - 6]) == name.len();
        let found: Vec<usize> = (4 * 4096..image.bytes.len() - name.len()).filter(at).collect();
        found
    };
    let leaves_of_newer: Vec<usize> = records(0).iter().map(|at| at / 4096).collect();
    let elsewhere = (1..TABLES).map(records).find(|found| {
        let [at] = found[..] else { return false };
        !leaves_of_newer.contains(&(at / 4096))
    });
    let at = elsewhere.expect("the catalogue has several leaves")[0] - 30;
    let birth = &mut image.bytes[at + 6..at + 12];
    assert!(birth[0] < newer.get() as u8);
    birth[0] = newer.get() as u8;
    image.repair();
    let (error, faults) = answers(&image);
    assert!(error.is_none(), "{error:?}");
    assert!(faults[0].contains("no tree can have"), "{faults:?}");
    Ok(())
}

/// A backup that is compacted reads the catalogue in its order, and then looks for the tables that it has.
#[test]
fn a_catalogue_in_which_tables_cannot_be_found_is_damage_to_a_compaction() {
    let mut image = base();
    // Behind the header of 24 bytes are the heads, then the fingerprints, without which a lookup finds nothing.
    let leaf = image.catalogue();
    let n = usize::from(image.bytes[leaf + 4]);
    image.bytes[leaf + 24 + 4 * n..][..n]
        .iter_mut()
        .for_each(|byte| *byte ^= 1);
    image.repair();
    let (error, faults) = answers(&image);
    assert!(
        error.is_none() && faults.iter().any(|fault| fault.contains("fingerprint")),
        "{faults:?}"
    );
    let (dir, db) = opened(&image, true);
    let db = db.expect("open");
    let options = BackupOptions {
        compact: true,
        ..BackupOptions::default()
    };
    let read = db.begin_read().expect("begin");
    let compacted = read.backup(&dir.file("copy.kv"), options, &Job::silent());
    let error = compacted.expect_err("the catalogue is damaged");
    assert!(matches!(&error, Error::Corrupt(_)), "{error:?}");
    assert!(error.to_string().contains("the catalogue"), "{error}");
}

// ---- what may be ignored ----------------------------------------------------------------------------------------

fn opened(image: &Image, read_only: bool) -> (TempDir, Result<Db>) {
    let dir = TempDir::new("ignorable");
    let path = dir.file("a.kv");
    std::fs::write(&path, &image.bytes).expect("write");
    let options = Options {
        existing: true,
        read_only,
        ..Options::default()
    };
    let db = Db::open(&path, &options);
    (dir, db)
}

/// Reads all entries, and checks the file.
fn reads(db: &Db) -> Result<u64> {
    reads_and_checks(db, true)
}

fn reads_and_checks(db: &Db, accounting: bool) -> Result<u64> {
    let read = db.begin_read()?;
    let mut entries = 0;
    for name in MAIN_TABLES {
        let table = match name {
            b"" => TableId::MAIN,
            name => (&read).table(name)?,
        };
        let txn = &mut &read;
        let mut cursor = kv::Cursor::new(txn, table, &Range::default())?;
        while cursor.next(txn)? {
            let key = cursor.key().to_vec();
            let value = cursor.value(txn)?.to_vec();
            assert_eq!(read.get(table, &key)?, Some(&value[..]));
            entries += 1;
        }
    }
    db.check(accounting, &mut |fault| panic!("{fault:?}"))?;
    Ok(entries)
}

fn put(db: &Db, table: Option<&[u8]>) -> Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    let table = match table {
        Some(name) => txn.table(name)?,
        None => TableId::MAIN,
    };
    txn.put(table, b"new", b"value", PutMode::Set)?;
    txn.commit().map(|_| ())
}

#[test]
fn what_readers_pass_over_changes_nothing() -> Result<()> {
    let good = base();
    let entries = reads(&opened(&good, true).1?)?;
    type Change = fn(&mut Image);
    let changes: [(&str, Change); 7] = [
        ("the high 16 may be ignored", |i| i.both(154, 0x81)),
        ("`10` to `80`: may be ignored", |i| i.page(Kind::Slotted, 3, 0xF0)),
        ("`10` to `80`: may be ignored", |i| i.page(Kind::Dense, 3, 0x10)),
        ("`10` to `80`: may be ignored", |i| i.page(Kind::Branch, 3, 0xF0)),
        ("extra bytes, x per child, which a reader skips", |i| i.extra_bytes()),
        ("A reader ignores others: to it, every table is a table of bytes", |i| {
            i.record_bytes(26, &[3, 0xFF])
        }),
        ("tags from 128 up, may be ignored", |i| i.extension(&[0, 0, 200, 0])),
    ];
    let text = quoted();
    for (sentence, change) in changes {
        assert!(text.contains(sentence), "docs/format.md does not say: {sentence}");
        let mut image = good.clone();
        change(&mut image);
        assert!(image.bytes != good.bytes, "nothing was changed: {sentence}");
        image.repair();
        for read_only in [true, false] {
            let (_dir, db) = opened(&image, read_only);
            assert_eq!(reads(&db?)?, entries, "{sentence}");
        }
    }
    Ok(())
}

#[test]
fn features_of_writers_forbid_writing_and_not_reading() -> Result<()> {
    let good = base();
    let entries = reads(&opened(&good, true).1?)?;
    type Change = fn(&mut Image);
    let changes: [Change; 3] = [
        |i| i.both(16, 2),
        |i| i.both(153, 1),
        // Their fields are not looked at, nor are they known.
        |i| {
            for (at, byte) in [(17, 1), (104, 7), (120, 7)] {
                i.both(at, byte);
            }
        },
    ];
    for change in changes {
        let mut image = good.clone();
        change(&mut image);
        image.repair();
        let error = opened(&image, false).1.map(|_| ()).expect_err("opened for writing");
        assert!(
            matches!(&error, Error::TooNew(what) if what.contains("read-only")),
            "{error}"
        );
        let (dir, db) = opened(&image, true);
        let db = db?;
        assert_eq!(reads_and_checks(&db, false)?, entries);
        // Which pages are in use nobody can say who does not know the features.
        let accounted = db.check(true, &mut |fault| panic!("{fault:?}"));
        assert!(matches!(accounted, Err(Error::TooNew(_))), "{accounted:?}");
        // Pages are not copied by a version that does not know what is in them. Entries are.
        let read = db.begin_read()?;
        let copied = read.backup(&dir.file("b.kv"), BackupOptions::default(), &Job::silent());
        assert!(matches!(copied, Err(Error::TooNew(_))), "{copied:?}");
        let compact = BackupOptions {
            compact: true,
            ..BackupOptions::default()
        };
        read.backup(&dir.file("c.kv"), compact, &Job::silent())?;
        assert_eq!(reads(&Db::open(&dir.file("c.kv"), &Options::default())?)?, entries);
    }
    Ok(())
}

#[test]
fn a_page_with_unknown_fields_is_not_changed_by_a_writer_that_ignores_them() -> Result<()> {
    for kind in [Kind::Slotted, Kind::Branch] {
        let mut image = base();
        image.page(kind, 3, 0x20);
        image.repair();
        let (_dir, db) = opened(&image, false);
        let db = db?;
        let mut txn = db.begin_write(WriteOptions::default())?;
        // Every entry of the main table is changed, so the page is met.
        let keys: Vec<Vec<u8>> = mutation::main_keys(&db)?;
        let mut answer = Ok(());
        for key in &keys {
            answer = answer.and_then(|()| txn.put(TableId::MAIN, key, b"other", PutMode::Set));
        }
        let answer = answer.and_then(|()| txn.commit());
        assert!(matches!(&answer, Err(Error::Corrupt(_))), "{kind:?}: {answer:?}");
        reads(&db)?;
    }
    Ok(())
}

#[test]
fn a_table_of_a_newer_version_is_read_and_not_changed() -> Result<()> {
    type Change = fn(&mut Image);
    let changes: [Change; 3] = [
        |i| i.record_bytes(26, &[1]),
        |i| i.record_bytes(27, &[8]),
        |i| i.extension(&[1, 0, 200, 0]),
    ];
    for change in changes {
        let mut image = base();
        change(&mut image);
        image.repair();
        let (dir, db) = opened(&image, false);
        let db = db?;
        let entries = reads(&db)?;
        let first = MAIN_TABLES[1];
        let mut txn = db.begin_write(WriteOptions::default())?;
        let table = txn.table(first)?;
        let key = mutation::first_key(&mut txn, table)?;
        let unsupported = |answer: Result<()>| {
            assert!(matches!(answer, Err(Error::Unsupported(_))), "{answer:?}");
        };
        unsupported(txn.put(table, &key, b"", PutMode::Set));
        unsupported(txn.delete(table, &key).map(|_| ()));
        unsupported(txn.delete_blind(table, &key));
        unsupported(txn.insert(table, &key, b"").map(|_| ()));
        unsupported(txn.replace(table, &key, b"", PutMode::Set).map(|_| ()));
        unsupported(txn.reserve(table, &key, 3, PutMode::Set).map(|_| ()));
        unsupported(txn.take(table, &key).map(|_| ()));
        unsupported(txn.take_first(table, &Range::default()).map(|_| ()));
        unsupported(txn.delete_range(table, &Range::default()).map(|_| ()));
        unsupported(txn.writer(table, &key, 9, PutMode::Set).map(|_| ()));
        unsupported(txn.table_clear(table));
        unsupported(txn.table_drop(table));
        unsupported(txn.table_rename(table, b"another"));
        unsupported(txn.table_set_note(table, b"note"));
        let other = txn.table(MAIN_TABLES[2])?;
        unsupported(txn.table_rename(other, first));
        // The transaction goes on, and every other table can be changed.
        txn.put(TableId::MAIN, b"new", b"value", PutMode::Set)?;
        txn.put(other, b"new", b"value", PutMode::Set)?;
        txn.table_create(b"newest", true)?;
        txn.commit()?;
        assert_eq!(reads(&db)?, entries + 2);
        // Copies of both kinds keep what the table is: it cannot be changed in them either.
        for compact in [false, true] {
            let options = BackupOptions {
                compact,
                overwrite: true,
            };
            let path = dir.file("copy.kv");
            db.begin_read()?.backup(&path, options, &Job::silent())?;
            let copy = Db::open(&path, &Options::default())?;
            assert_eq!(reads(&copy)?, entries + 2);
            unsupported(put(&copy, Some(first)));
            put(&copy, None)?;
            assert_eq!((&copy.begin_read()?).table_note(table)?, mutation::note(first));
        }
        drop(db);
        let saved = dir.file("saved.kv");
        kv::salvage(&dir.file("a.kv"), &saved, true, &Job::silent(), &mut |fault| {
            panic!("{fault:?}")
        })?;
        let saved = Db::open(&saved, &Options::default())?;
        assert_eq!(reads(&saved)?, entries + 2);
        unsupported(put(&saved, Some(first)));
    }
    Ok(())
}

#[test]
fn without_a_list_of_names_that_can_be_changed_tables_are_neither_made_nor_dropped() -> Result<()> {
    let mut image = base();
    // The list of names is of a kind that this version does not know.
    image.put(image.record_of_list() + 26, &[1]);
    image.repair();
    let (_dir, db) = opened(&image, false);
    let db = db?;
    let entries = reads(&db)?;
    let [first, second] = [MAIN_TABLES[1], MAIN_TABLES[2]];
    let mut txn = db.begin_write(WriteOptions::default())?;
    let table = txn.table(first)?;
    let refused: [Result<()>; 4] = [
        txn.table_create(b"newest", true).map(drop),
        txn.table_rename(table, b"another"),
        txn.table_rename(table, second),
        txn.table_drop(table),
    ];
    for answer in refused {
        assert!(matches!(answer, Err(Error::Unsupported(_))), "{answer:?}");
    }
    // Nothing was changed: the transaction goes on, and what it commits is sound.
    txn.put(table, b"new", b"value", PutMode::Set)?;
    txn.commit()?;
    assert_eq!(reads(&db)?, entries + 1);
    db.check(true, &mut |fault| panic!("{fault:?}"))?;
    let read = db.begin_read()?;
    assert_eq!((&read).table(first)?, table);
    assert_eq!((&read).table_name(table)?, first);
    (&read).table(second).map(drop)
}

#[test]
fn the_main_table_may_have_a_record_and_later_versions_tables() -> Result<()> {
    // The record of a named table becomes that of the main table: key 0, no root, no name.
    for (kind, changeable) in [(0, true), (1, false)] {
        for number in [0, 3] {
            let mut image = base();
            image.become_record_of(number, kind);
            image.repair();
            let (dir, db) = opened(&image, false);
            let db = db?;
            db.check(true, &mut |fault| panic!("{number} {kind}: {fault:?}"))?;
            let table = TableId::new(number);
            assert_eq!((&db.begin_read()?).table_note(table)?, mutation::note(MAIN_TABLES[3]));
            let is_supported = |db: &Db| {
                let mut txn = db.begin_write(WriteOptions::default())?;
                txn.put(table, b"new", b"value", PutMode::Set)
            };
            let may = changeable && number == 0;
            assert_eq!(is_supported(&db).is_ok(), may, "{number} {kind}");
            for compact in [false, true] {
                let path = dir.file("copy.kv");
                let options = BackupOptions {
                    compact,
                    overwrite: true,
                };
                db.begin_read()?.backup(&path, options, &Job::silent())?;
                let copy = Db::open(&path, &Options::default())?;
                copy.check(true, &mut |fault| panic!("{number} {kind}: {fault:?}"))?;
                assert_eq!(is_supported(&copy).is_ok(), may, "{number} {kind}");
                assert_eq!((&copy.begin_read()?).table_note(table)?, mutation::note(MAIN_TABLES[3]));
            }
            drop(db);
            let saved = dir.file("saved.kv");
            kv::salvage(&dir.file("a.kv"), &saved, true, &Job::silent(), &mut |_| true)?;
            let saved = Db::open(&saved, &Options::default())?;
            assert_eq!(
                (&saved.begin_read()?).table_note(table)?,
                mutation::note(MAIN_TABLES[3])
            );
            assert_eq!(is_supported(&saved).is_ok(), may, "{number} {kind}");
        }
    }
    Ok(())
}

/// Whatever the list of dead and parked pages has, what looks for pages there comes to an end.
#[test]
fn a_search_of_a_damaged_list_of_parked_pages_ends() {
    let good = history::base();
    let dir = TempDir::new("mutation");
    let path = dir.file("a.kv");
    let (done, is_done) = channel();
    let searches = std::thread::spawn(move || {
        let bytes = good.clone().space_leaf().len();
        for (at, change) in (0..bytes).flat_map(|at| [1u8, 0x40].map(|change| (at, change))) {
            let mut image = good.clone();
            image.space_leaf()[at] ^= change;
            image.repair();
            std::fs::write(&path, &image.bytes).expect("write");
            let looked = Db::open(&path, &Options::default()).and_then(|db| {
                let cost = db.snapshot_cost(history::NAMES[0], history::NAMES[2]);
                let mut txn = db.begin_write(WriteOptions::default())?;
                txn.snapshot_drop(history::NAMES[0])?;
                txn.commit()?;
                db.reclaim()?;
                cost
            });
            assert!(!matches!(looked, Err(Error::Panic(_))), "{at} {change}: {looked:?}");
            done.send(at).expect("the test waits");
        }
    });
    // Each takes some milliseconds.
    let mut last = None;
    loop {
        match is_done.recv_timeout(Duration::from_secs(60)) {
            Ok(at) => last = Some(at),
            Err(RecvTimeoutError::Timeout) => panic!("a search behind byte {last:?} does not end"),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    searches.join().expect("no panic");
}

#[test]
fn names_that_begin_with_a_zero_are_not_for_users() -> Result<()> {
    let dir = TempDir::new("names");
    let db = Db::open(&dir.file("a.kv"), &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let table = txn.table_create(b"a", true)?;
    assert!(matches!(txn.table_create(b"\0a", false), Err(Error::Invalid(_))));
    assert!(matches!(txn.table_rename(table, b"\0"), Err(Error::Invalid(_))));
    txn.table_rename(table, b"a\0")?;
    assert!(table >= TableId::new(256));
    txn.commit().map(|_| ())
}

#[test]
fn the_constants_are_those_of_the_text() {
    // What these tests patch is what the text says, and the base has what they need.
    assert_eq!(
        (ROOTS, ROOT, HEIGHT, ROOT_FLAGS, CHECKSUM),
        ([256, 280, 304], 24, 18, 19, 20)
    );
    assert_eq!((SPILLS, INLINE, RECORDS), (248, 250, 352));
    assert!(base().has_all_kinds() && LONG_VALUES > 1);
}
