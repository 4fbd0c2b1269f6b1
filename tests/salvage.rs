//! Saving what is left of a damaged database: all of it where nothing is lost, nothing wrong ever, and what is lost is
//! told.

mod common;

use common::rng::Rng;
use common::tmp::TempDir;
use kv::Error;
use kv::{salvage, CommitId, Cursor, Db, Fault, Job, Options, PageNo, PutMode, Range, ReadTxn, Reader, SalvageReport};
use kv::{TableId, WriteOptions};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn entries(read: &ReadTxn, table: TableId) -> Map {
    let txn = &mut &*read;
    let mut cursor = Cursor::new(txn, table, &Range::default()).expect("cursor");
    let mut all = Map::new();
    while cursor.next(txn).expect("next") {
        all.insert(cursor.key().to_vec(), cursor.value(txn).expect("value").to_vec());
    }
    all
}

/// A database as it is now, every value each key of the main table ever had, and its bytes.
struct Base {
    image: Vec<u8>,
    tables: BTreeMap<Vec<u8>, (TableId, Map)>,
    history: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
    page_size: usize,
}

fn base(page_size: u32, seed: u64) -> Base {
    let dir = TempDir::new("salvage-base");
    let path = dir.file("a.kv");
    let options = Options {
        page_size,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("create");
    let mut rng = Rng::new(seed);
    let mut history: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for round in 0..6u64 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for _ in 0..1500 {
            let mut key = format!("key {:05}", rng.below(6000)).into_bytes();
            if rng.one_in(200) {
                key.resize(9000, b'x');
            }
            if rng.one_in(5) {
                txn.delete(TableId::MAIN, &key).expect("delete");
                continue;
            }
            let n = if rng.one_in(100) {
                rng.range(5000, 60_000)
            } else {
                rng.range(0, 90)
            };
            let value = rng.bytes(n);
            txn.put(TableId::MAIN, &key, &value, PutMode::Set).expect("put");
            history.entry(key).or_default().insert(value);
        }
        for name in ["first", "second"] {
            let table = txn.table_create(name.as_bytes(), false).expect("create");
            for i in 0..600u64 {
                txn.put(
                    table,
                    &(i * 3 + round).to_be_bytes(),
                    &(i + round).to_le_bytes(),
                    PutMode::Set,
                )
                .expect("put");
            }
            txn.table_set_note(table, name.as_bytes()).expect("note");
        }
        txn.commit().expect("commit");
    }
    let read = db.begin_read().expect("read");
    let mut tables = BTreeMap::from([(Vec::new(), (TableId::MAIN, entries(&read, TableId::MAIN)))]);
    for (name, number) in entries(&read, TableId::NAMES) {
        let number = TableId::new(u64::from_le_bytes(number.try_into().expect("8")));
        tables.insert(name, (number, entries(&read, number)));
    }
    drop(read);
    drop(db);
    Base {
        image: std::fs::read(&path).expect("read"),
        tables,
        history,
        page_size: page_size as usize,
    }
}

struct Saved {
    report: SalvageReport,
    faults: Vec<Fault>,
    tables: BTreeMap<Vec<u8>, (TableId, Map)>,
}

/// Salvages an image; the result must be a sound database, the source unchanged.
fn save(dir: &TempDir, image: &[u8]) -> Result<Saved, Error> {
    let (from, to) = (dir.file("damaged.kv"), dir.file("saved.kv"));
    std::fs::write(&from, image).expect("write");
    let mut faults = Vec::new();
    let report = salvage(&from, &to, true, &Job::silent(), &mut |fault| {
        faults.push(fault.clone());
        true
    })?;
    assert!(
        std::fs::read(&from).expect("read") == image,
        "the damaged file was written"
    );
    let db = Db::open(&to, &Options::default()).expect("open what was saved");
    db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    let read = db.begin_read().expect("read");
    let mut tables = BTreeMap::from([(Vec::new(), (TableId::MAIN, entries(&read, TableId::MAIN)))]);
    for (name, number) in entries(&read, TableId::NAMES) {
        let number = TableId::new(u64::from_le_bytes(number.try_into().expect("8")));
        assert!((&mut &read).table_note(number).is_ok());
        tables.insert(name, (number, entries(&read, number)));
    }
    let counted: usize = tables.values().map(|(_, map)| map.len()).sum();
    assert_eq!(
        (report.entries, report.tables),
        (counted as u64, tables.len() as u64),
        "the report is wrong"
    );
    Ok(Saved { report, faults, tables })
}

fn page_of(base: &Base, page: usize) -> &[u8] {
    &base.image[page * base.page_size..(page + 1) * base.page_size]
}

/// Pages of a kind and table that the newest commit uses: damage to them is noticed by a check.
fn in_use(dir: &TempDir, base: &Base, kinds: &[u8], table: TableId) -> Vec<usize> {
    let pages = (16384 / base.page_size).max(1)..base.image.len() / base.page_size;
    let right = |page: &usize| {
        let bytes = page_of(base, *page);
        kinds.contains(&bytes[0]) && bytes[16..24] == table.get().to_le_bytes()
    };
    let path = dir.file("in-use.kv");
    let used = |page: &usize| {
        let mut image = base.image.clone();
        image[page * base.page_size + 40] ^= 1;
        std::fs::write(&path, &image).expect("write");
        let Ok(db) = Db::open(
            &path,
            &Options {
                read_only: true,
                ..Options::default()
            },
        ) else {
            return true;
        };
        let mut faults = 0;
        db.check(false, &mut |_| {
            faults += 1;
            true
        })
        .expect("check");
        faults > 0
    };
    pages.filter(right).filter(used).collect()
}

#[test]
fn a_sound_file_is_saved_whole_with_numbers_names_and_notes() {
    for page_size in [4096, 16384, 65536] {
        let dir = TempDir::new("salvage-sound");
        let base = base(page_size, 1);
        let saved = save(&dir, &base.image).expect("salvage");
        assert!(saved.tables == base.tables, "page size {page_size}");
        assert!(saved.faults.is_empty() && saved.report.uncertain == 0 && saved.report.lost_entries == 0);
        assert!(saved.report.id > CommitId::new(6));
    }
}

#[test]
fn a_damaged_leaf_costs_its_entries_and_no_others() {
    let dir = TempDir::new("salvage-leaf");
    let base = base(4096, 2);
    let main = &base.tables[&b""[..]].1;
    let leaves = in_use(&dir, &base, &[1, 2], TableId::MAIN);
    assert!(leaves.len() > 50, "{}", leaves.len());
    for page in leaves.iter().step_by(leaves.len() / 12) {
        let mut image = base.image.clone();
        image[page * 4096..(page + 1) * 4096].fill(0xA5);
        let saved = save(&dir, &image).expect("salvage");
        let got = &saved.tables[&b""[..]].1;
        let n = u16::from_le_bytes([page_of(&base, *page)[4], page_of(&base, *page)[5]]) as u64;
        let told = saved
            .faults
            .iter()
            .find(|fault| fault.page == Some(PageNo::new(*page as u64)))
            .expect("the page is named");
        assert!(
            told.table == Some(TableId::MAIN) && told.what.contains("keys from"),
            "{told:?}"
        );
        assert_eq!(saved.report.lost_subtrees, 1);
        // Whatever fills the gap is told apart and was true once; everything else is as it was.
        let mut wrong = 0;
        for (key, value) in got {
            if main.get(key) != Some(value) {
                assert!(base.history[key].contains(value), "a value that never was");
                wrong += 1;
            }
        }
        assert!(
            wrong <= saved.report.uncertain,
            "{wrong} old values, {:?}",
            saved.report
        );
        let missing = main.keys().filter(|key| !got.contains_key(*key)).count() as u64;
        assert!(
            missing <= n && saved.report.lost_entries >= missing,
            "{missing} of {n}: {:?}",
            saved.report
        );
        assert!(base
            .tables
            .iter()
            .all(|(name, table)| name.is_empty() || saved.tables[name] == *table));
    }
}

#[test]
fn leaves_below_a_damaged_branch_are_found_again() {
    let dir = TempDir::new("salvage-branch");
    let base = base(4096, 3);
    let branches = in_use(&dir, &base, &[3], TableId::MAIN);
    assert!(!branches.is_empty());
    let main = &base.tables[&b""[..]].1;
    for page in branches {
        for wipe in [false, true] {
            let mut image = base.image.clone();
            match wipe {
                true => image[page * 4096..(page + 1) * 4096].fill(0),
                false => image[page * 4096 + 4095] ^= 1,
            }
            let saved = save(&dir, &image).expect("salvage");
            // The list of dead pages is sound, so what is neither dead nor reached is exactly what was lost.
            assert!(
                saved.tables[&b""[..]].1 == *main,
                "page {page}, wiped: {wipe}: {:?}",
                saved.report
            );
            assert!(
                saved.report.uncertain > 0 && saved.report.lost_entries == 0,
                "{:?}",
                saved.report
            );
        }
    }
}

/// The number before these words in what faults say, added up; `none` counts as 0.
fn numbers_before(faults: &[&Fault], words: &str) -> u64 {
    let ends = faults.iter().filter_map(|fault| fault.what.split_once(words));
    let number = |(before, _): (&str, &str)| match before.rsplit(' ').next() {
        Some("none") => 0,
        number => number.and_then(|digits| digits.parse().ok()).expect("a number"),
    };
    ends.map(number).sum()
}

#[test]
fn what_is_lost_is_told_when_everything_was_looked_at() {
    let dir = TempDir::new("salvage-told");
    let base = base(4096, 6);
    let branch = in_use(&dir, &base, &[3], TableId::MAIN)[0];
    let leaves = in_use(&dir, &base, &[1], TableId::MAIN);
    let catalogue = in_use(&dir, &base, &[1], TableId::CATALOGUE)[0];
    for (pages, of_catalogue) in [
        (vec![branch], false),
        (vec![leaves[3]], false),
        (vec![leaves[3], leaves[20], leaves[leaves.len() - 1]], false),
        (vec![catalogue], true),
    ] {
        let mut image = base.image.clone();
        for page in &pages {
            image[page * 4096..(page + 1) * 4096].fill(0xA5);
        }
        let saved = save(&dir, &image).expect("salvage");
        let of_pages: Vec<&Fault> = saved.faults.iter().filter(|fault| fault.page.is_some()).collect();
        assert_eq!(of_pages.len(), 2 * pages.len(), "{:?}", saved.faults);
        let (first, last) = of_pages.split_at(pages.len());
        for (before, after) in first.iter().zip(last) {
            assert_eq!(
                (before.page, before.table, before.kind),
                (after.page, after.table, after.kind)
            );
            // Whoever has read this knows no more than that a page is damaged.
            let what = &before.what;
            assert!(
                what.starts_with("the page is damaged: ") && what.contains(" looked for elsewhere"),
                "{what}"
            );
            assert!(!what.contains("lost"), "{what}");
            let what = &after.what;
            assert!(
                what.contains(" were looked for elsewhere") && what.contains(" lost"),
                "{what}"
            );
            assert_eq!(what.contains("keys from"), !of_catalogue, "{what}");
            // Nothing is looked for any more.
            assert!(!what.contains("are looked for"), "{what}");
        }
        let found = numbers_before(last, " were found") + numbers_before(last, " was found");
        let lost = numbers_before(last, " are lost") + numbers_before(last, " is lost");
        if !of_catalogue {
            assert_eq!(
                (found, lost),
                (saved.report.uncertain, saved.report.lost_entries),
                "{:?}",
                saved.faults
            );
        }
        assert_eq!(
            pages[0] == branch,
            found > 0 && lost == 0 && !of_catalogue,
            "{:?}",
            saved.faults
        );
    }
    // Old pages of the catalogue have records, too. Without them, nobody knows what the tables had.
    let mut image = base.image.clone();
    let number = TableId::CATALOGUE.get().to_le_bytes();
    for page in image
        .chunks_mut(4096)
        .filter(|page| page[0] == 1 && page[16..24] == number)
    {
        page.fill(0xA5);
    }
    let saved = save(&dir, &image).expect("salvage");
    let last = saved.faults.last().expect("a fault");
    assert!(
        last.table == Some(TableId::CATALOGUE) && last.what.contains(": none was found, "),
        "{last:?}"
    );
    assert!(
        last.what
            .ends_with(" are lost; how many entries are lost with them is not known"),
        "{last:?}"
    );
}

#[test]
fn tables_survive_a_damaged_catalogue_and_a_file_without_slots_its_leaves() {
    let dir = TempDir::new("salvage-catalogue");
    let base = base(4096, 4);
    let pages = in_use(&dir, &base, &[1, 2, 3], TableId::CATALOGUE);
    assert!(!pages.is_empty());
    for page in pages {
        let mut image = base.image.clone();
        image[page * 4096 + 4090] ^= 1;
        let saved = save(&dir, &image).expect("salvage");
        for (name, (number, want)) in &base.tables {
            let found = saved.tables.values().find(|(table, _)| table == number);
            let (_, got) = found.unwrap_or_else(|| panic!("table {number} {name:?} is lost: {:?}", saved.faults));
            assert!(got == want, "table {number}: {} of {} entries", got.len(), want.len());
        }
    }
    // No slot: no root, no list of dead pages. What is saved was true once.
    let mut image = base.image.clone();
    image[..16384].fill(0);
    let saved = save(&dir, &image).expect("salvage");
    let got = &saved.tables[&b""[..]].1;
    assert_eq!(saved.report.id, CommitId::NONE);
    assert_eq!(saved.report.uncertain, saved.report.entries);
    assert!(got.len() > 100, "{:?}", saved.report);
    assert!(
        got.iter().all(|(key, value)| base.history[key].contains(value)),
        "a value that never was"
    );
}

#[test]
fn a_lost_slot_is_told() {
    let dir = TempDir::new("salvage-slot");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("create");
    let put = |key: u8| {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(TableId::MAIN, &[key], b"", PutMode::Set).expect("put");
        txn.commit().expect("commit")
    };
    let commits: Vec<_> = (0..10).map(put).collect();
    let newest = *commits.last().expect("a commit");
    // As after a kill: nothing has closed it.
    let image = std::fs::read(&path).expect("read");
    let sound = save(&dir, &image).expect("salvage");
    assert_eq!((sound.report.id, sound.report.lost_slots), (newest, 0));
    assert!(sound.faults.is_empty(), "{:?}", sound.faults);
    let id = |slot: usize| u64::from_le_bytes(image[slot * 4096 + 48..][..8].try_into().expect("8"));
    let slot = (0..4).find(|slot| id(*slot) == newest.get()).expect("its slot");
    for byte in [0, 0x55] {
        let mut image = image.clone();
        image[slot * 4096..][..4096].fill(byte);
        let saved = save(&dir, &image).expect("salvage");
        assert_eq!((saved.report.entries, saved.report.lost_slots), (9, 1 << slot));
        let [fault] = &saved.faults[..] else {
            panic!("{:?}", saved.faults)
        };
        assert_eq!((fault.page, fault.table), (Some(PageNo::new(0)), None));
        let what = format!(
            "a meta slot cannot be read: a commit after {} may be lost with it",
            saved.report.id
        );
        assert_eq!(fault.what, what);
    }
}

#[test]
fn a_cut_file_gives_what_is_left_and_what_is_no_database_is_refused() {
    let dir = TempDir::new("salvage-cut");
    let base = base(4096, 5);
    for part in [9, 7, 5, 2] {
        let cut = base.image.len() * part / 10;
        let saved = save(&dir, &base.image[..cut]).expect("salvage");
        let got = &saved.tables[&b""[..]].1;
        assert!(
            got.iter().all(|(key, value)| base.history[key].contains(value)),
            "a value that never was"
        );
        assert!(saved.report.lost_subtrees > 0);
    }
    let (from, to) = (dir.file("x"), dir.file("y"));
    let refuse = |path: &Path, bytes: Option<&[u8]>| {
        if let Some(bytes) = bytes {
            std::fs::write(path, bytes).expect("write");
        }
        salvage(path, &to, false, &Job::silent(), &mut |_| true).expect_err("refused")
    };
    assert!(matches!(refuse(&from, None), Error::NoFile(_)));
    assert!(matches!(refuse(&from, Some(b"")), Error::NotADatabase(_)));
    assert!(matches!(refuse(&from, Some(&[7; 100_000])), Error::NotADatabase(_)));
    assert!(matches!(refuse(&from, Some(&[0; 100_000])), Error::NotADatabase(_)));
    assert!(!to.exists());
    std::fs::write(&from, &base.image).expect("write");
    let onto_itself = salvage(&from, &from, true, &Job::silent(), &mut |_| true);
    assert!(matches!(onto_itself, Err(Error::Invalid(_))), "{onto_itself:?}");
    std::fs::write(&to, b"precious").expect("write");
    let present = salvage(&from, &to, false, &Job::silent(), &mut |_| true);
    assert!(matches!(present, Err(Error::FileExists(_))), "{present:?}");
    // Also while somebody has it open.
    let db = Db::open(&from, &Options::default()).expect("open");
    assert!(salvage(&from, &to, true, &Job::silent(), &mut |_| true).is_ok());
    drop(db);
    let mut never = |_: u64, _: u64| false;
    let cancelled = salvage(&from, &to, true, &Job::new(&mut never), &mut |_| true);
    assert!(matches!(cancelled, Err(Error::Cancelled)), "{cancelled:?}");
}

#[test]
fn a_damaged_long_value_or_key_is_told_where_a_check_finds_it() {
    let dir = TempDir::new("salvage-long");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("create");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let long_key = [b'K'; 9000];
    txn.put(TableId::MAIN, b"long", &[b'V'; 3 << 20], PutMode::Set)
        .expect("put");
    txn.put(TableId::MAIN, &long_key, b"short", PutMode::Set).expect("put");
    txn.commit().expect("commit");
    drop(db);
    let image = std::fs::read(&path).expect("read");
    // Their extents have no headers, so they fill pages; the keys of the leaf do not.
    let last_of = |byte: u8| {
        let filled = |page: &[u8]| page.iter().all(|b| *b == byte);
        4096 * image.chunks(4096).rposition(filled).expect("it is there")
    };
    for (at, says) in [
        (last_of(b'V'), "the long value of key \"long\": "),
        (last_of(b'K'), "a long key: "),
    ] {
        let mut damaged = image.clone();
        damaged[at] ^= 1;
        std::fs::write(dir.file("b.kv"), &damaged).expect("write");
        let mut checked = Vec::new();
        let db = Db::open(&dir.file("b.kv"), &Options::default()).expect("open");
        db.check(false, &mut |fault| {
            checked.push(fault.page);
            true
        })
        .expect("check");
        drop(db);
        let saved = save(&dir, &damaged).expect("salvage");
        let [fault] = &saved.faults[..] else {
            panic!("{:?}", saved.faults)
        };
        assert!(fault.what.starts_with(says), "{fault:?}");
        assert!(
            fault.page.is_some() && checked.contains(&fault.page),
            "{fault:?}, {checked:?}"
        );
        assert_eq!(
            (saved.report.damaged_pages, saved.report.lost_entries),
            (1, 1),
            "{says}"
        );
    }
}
