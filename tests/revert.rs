//! Going back, against maps, in random histories: puts of all lengths, deletes, removed ranges, tables that come, go,
//! change their names and swap them; back to any earlier state, as a whole or one table, also from the middle of a
//! transaction. Every page has exactly one use afterwards, and readers see what they saw.
//!
//! `KV_REVERTS` is the number of histories (default 60), and `KV_SEED` chooses others.

mod common;

use common::env_number;
use common::random_history::{change_entries, in_memory, Map};
use common::rng::Rng;
use common::tmp::TempDir;
use kv::{Cursor, Db, Error, Options, PutMode, Range, ReadAt, ReadTxn, Reader, SnapshotOptions};
use kv::{TableId, WriteOptions, WriteTxn};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::FileExt;

/// What a table has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Content {
    name: Vec<u8>,
    note: Vec<u8>,
    entries: Map,
}

/// What a state has.
type Model = BTreeMap<TableId, Content>;

const MAIN: TableId = TableId::MAIN;
const NAMES: [&[u8]; 4] = [b"left", b"right", b"up", b"down"];

/// Makes, drops, renames and describes tables.
fn change_tables(txn: &mut WriteTxn, model: &mut Model, rng: &mut Rng) {
    let name = NAMES[rng.index(4)];
    let other = NAMES[rng.index(4)];
    let found = model.iter().find(|(_, content)| content.name == name);
    let Some(table) = found.map(|(table, _)| *table) else {
        let table = txn.table_create(name, true).expect("create");
        let content = Content {
            name: name.to_vec(),
            ..Content::default()
        };
        model.insert(table, content);
        return;
    };
    match rng.below(3) {
        0 => {
            txn.table_drop(table).expect("drop");
            model.remove(&table);
        }
        1 => {
            txn.table_rename(table, other).expect("rename");
            model.retain(|number, content| *number == table || content.name != other);
            model.get_mut(&table).expect("the table").name = other.to_vec();
        }
        _ => {
            let note = vec![rng.below(3) as u8; rng.index(3)];
            txn.table_set_note(table, &note).expect("note");
            model.get_mut(&table).expect("the table").note = note;
        }
    }
}

fn write(txn: &mut WriteTxn, model: &mut Model, rng: &mut Rng) {
    for _ in 0..rng.below(3) {
        change_tables(txn, model, rng);
    }
    for (table, Content { entries: map, .. }) in model.iter_mut() {
        if rng.percent(75) {
            change_entries(txn, *table, map, rng);
        }
    }
}

/// Reads all that a transaction sees.
fn read<R: Reader>(txn: &mut R) -> Model {
    let mut tables = vec![MAIN];
    let mut names = Cursor::new(txn, TableId::NAMES, &Range::default()).expect("names");
    while names.next(txn).expect("a name") {
        let name = names.key().to_vec();
        tables.push(txn.table(&name).expect("a table"));
    }
    let mut model = Model::new();
    for table in tables {
        let mut content = Content {
            name: txn.table_name(table).expect("name"),
            note: txn.table_note(table).expect("note"),
            entries: Map::new(),
        };
        let mut cursor = Cursor::new(txn, table, &Range::default()).expect("cursor");
        while cursor.next(txn).expect("next") {
            let key = cursor.key().to_vec();
            content.entries.insert(key, cursor.value(txn).expect("value").to_vec());
        }
        assert_eq!(
            txn.count(table, &Range::default()).expect("count"),
            content.entries.len() as u64
        );
        model.insert(table, content);
    }
    model
}

/// How many keys of a table differ.
fn differing(now: Option<&Content>, then: Option<&Content>) -> u64 {
    let none = Content::default();
    let (now, then) = (&now.unwrap_or(&none).entries, &then.unwrap_or(&none).entries);
    let keys: BTreeSet<&Vec<u8>> = now.keys().chain(then.keys()).collect();
    keys.into_iter().filter(|key| now.get(*key) != then.get(*key)).count() as u64
}

/// Goes back with all tables, or with one, in the transaction and in the model.
fn revert(txn: &mut WriteTxn, model: &mut Model, (from, then): (&ReadTxn, &Model), rng: &mut Rng) {
    let tables: BTreeSet<TableId> = model.keys().chain(then.keys()).copied().collect();
    if rng.percent(50) {
        let expected: u64 = tables
            .iter()
            .map(|table| differing(model.get(table), then.get(table)))
            .sum();
        assert_eq!(txn.revert(from, None).expect("revert"), expected);
        *model = then.clone();
        return;
    }
    let table = *tables.iter().nth(rng.index(tables.len())).expect("a table");
    let name = then.get(&table).map(|content| content.name.clone()).unwrap_or_default();
    let is_taken = !name.is_empty()
        && model
            .iter()
            .any(|(other, content)| *other != table && content.name == name);
    let expected = differing(model.get(&table), then.get(&table));
    match txn.revert(from, Some(table)) {
        Ok(changed) => assert!(!is_taken && changed == expected, "{changed} instead of {expected}"),
        Err(Error::Exists(_)) if is_taken => return,
        Err(error) => panic!("{error}"),
    }
    match then.get(&table) {
        Some(content) => model.insert(table, content.clone()),
        None => model.remove(&table),
    };
}

fn check(db: &Db) {
    let mut faults = Vec::new();
    let report = db.check(true, &mut |fault| {
        faults.push(format!("{fault:?}"));
        faults.len() < 9
    });
    report.unwrap_or_else(|error| panic!("{error}: {faults:#?}"));
    assert!(faults.is_empty(), "{faults:#?}");
}

fn history(seed: u64) {
    let mut rng = Rng::new(seed);
    let db = in_memory(&mut rng);
    let mut model = Model::from([(MAIN, Content::default())]);
    let mut states: Vec<Model> = Vec::new();
    let mut reader: Option<(ReadTxn, Model)> = None;
    for round in 0..rng.range(4, 10) {
        let mut txn = db.begin_write(WriteOptions::default()).expect("write");
        if rng.percent(80) {
            write(&mut txn, &mut model, &mut rng);
        }
        for _ in 0..rng.index(3) {
            if let (Some(n), true) = (states.len().checked_sub(1), rng.percent(70)) {
                let n = rng.index(n + 1);
                let name = n.to_string();
                let from = db.begin_read_at(ReadAt::Snapshot(name.as_bytes())).expect("a snapshot");
                revert(&mut txn, &mut model, (&from, &states[n]), &mut rng);
                assert!(
                    read(&mut &from) == states[n],
                    "the state that is gone back to stays as it is"
                );
                if rng.percent(50) {
                    assert!(read(&mut txn) == model, "what the transaction sees itself");
                }
                if rng.percent(30) {
                    write(&mut txn, &mut model, &mut rng);
                }
            }
        }
        txn.snapshot_create(round.to_string().as_bytes(), &SnapshotOptions::default())
            .expect("a snapshot");
        txn.commit().expect("commit");
        states.push(model.clone());
        let now = db.begin_read().expect("read");
        assert!(read(&mut &now) == model, "what others see");
        if let Some((reader, seen)) = reader.take() {
            assert!(read(&mut &reader) == seen, "what an earlier reader sees");
        }
        reader = Some((now, model.clone()));
        check(&db);
    }
    for (n, state) in states.iter().enumerate() {
        let name = n.to_string();
        let from = db.begin_read_at(ReadAt::Snapshot(name.as_bytes())).expect("a snapshot");
        assert!(read(&mut &from) == *state, "snapshot {n}");
    }
}

#[test]
fn going_back_gives_what_the_maps_had() {
    let (seed, many) = (env_number("KV_SEED", 1), env_number("KV_REVERTS", 60));
    for n in 0..many {
        let seed = seed.wrapping_mul(1_000_003).wrapping_add(n);
        if let Err(panic) = std::panic::catch_unwind(|| history(seed)) {
            eprintln!("revert: history {seed} failed");
            std::panic::resume_unwind(panic);
        }
    }
    println!("revert: 1 passed, 0 failed, 0 skipped ({many} histories)");
}

fn write_txn(db: &Db) -> WriteTxn {
    db.begin_write(WriteOptions::default()).expect("begin")
}

#[test]
fn going_back_to_where_one_is_makes_no_commit() {
    let db = in_memory(&mut Rng::new(1));
    let mut txn = write_txn(&db);
    txn.table_create(b"t", true).expect("create");
    txn.put(MAIN, b"a", b"1", PutMode::Set).expect("put");
    let id = txn.commit().expect("commit");
    let from = db.begin_read().expect("read");
    let mut txn = write_txn(&db);
    assert_eq!(txn.revert(&from, None).expect("revert"), 0);
    assert_eq!(txn.commit().expect("commit"), id);
}

#[test]
fn what_is_refused_changes_nothing() {
    let (db, other) = (in_memory(&mut Rng::new(1)), in_memory(&mut Rng::new(1)));
    let before = db.begin_read().expect("read");
    let mut txn = write_txn(&db);
    let table = txn.table_create(b"t", true).expect("create");
    txn.put(table, b"a", b"1", PutMode::Set).expect("put");
    txn.commit().expect("commit");
    let with_table = db.begin_read().expect("read");

    let mut txn = write_txn(&db);
    let foreign = other.begin_read().expect("read");
    assert!(matches!(txn.revert(&foreign, None), Err(Error::Invalid(_))));
    assert!(matches!(
        txn.revert(&before, Some(TableId::new(12345))),
        Err(Error::NoTable(_))
    ));
    for list in [TableId::NAMES, TableId::SNAPSHOTS] {
        assert!(matches!(txn.revert(&before, Some(list)), Err(Error::ReadOnly(_))));
    }
    txn.table_drop(table).expect("drop");
    let new = txn.table_create(b"t", true).expect("create");
    let taken = txn.revert(&with_table, Some(table)).expect_err("the name is taken");
    assert!(matches!(&taken, Error::Exists(found) if found.table == new), "{taken}");
    assert!(
        taken.to_string().contains("a table called \"t\", as the one"),
        "{taken}"
    );
    assert!(matches!(txn.get(table, b"a"), Err(Error::NoTable(_))));
    // With all tables, the new one goes and the old one gets its number, name and entries back.
    assert_eq!(txn.revert(&with_table, None).expect("revert"), 1);
    assert_eq!(txn.table(b"t").expect("table"), table);
    assert_eq!(txn.get(table, b"a").expect("get"), Some(&b"1"[..]));
    assert!(matches!(txn.get(new, b"a"), Err(Error::NoTable(_))));
}

#[test]
fn damage_that_only_the_earlier_state_has_spoils_the_transaction_and_nothing_else() {
    let folder = TempDir::new("revert-damage");
    let path = folder.path().join("db");
    let db = Db::open(&path, &Options::default()).expect("open");
    let mut txn = write_txn(&db);
    txn.put(MAIN, b"a", b"1", PutMode::Set).expect("put");
    txn.put(MAIN, b"long", &[7; 100_000], PutMode::Set).expect("put");
    txn.snapshot_create(b"before", &SnapshotOptions::default())
        .expect("a snapshot");
    txn.commit().expect("commit");
    let mut txn = write_txn(&db);
    txn.put(MAIN, b"a", b"2", PutMode::Set).expect("put");
    txn.put(MAIN, b"long", b"short", PutMode::Set).expect("put");
    txn.commit().expect("commit");
    let from = db.begin_read_at(ReadAt::Snapshot(b"before")).expect("a snapshot");
    let info = (&from).value_info(MAIN, b"long").expect("info").expect("a value");
    let file = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
    file.write_all_at(b"damage", info.extents[0].offset + 50_000)
        .expect("write");

    let mut txn = write_txn(&db);
    assert!(matches!(txn.revert(&from, None), Err(Error::Corrupt(_))));
    assert!(matches!(txn.get(MAIN, b"a"), Err(Error::TxnFailed(_))));
    assert!(matches!(txn.commit(), Err(Error::TxnFailed(_))));
    let now = db.begin_read().expect("read");
    assert_eq!(now.get(MAIN, b"a").expect("get"), Some(&b"2"[..]));
    assert_eq!(now.get(MAIN, b"long").expect("get"), Some(&b"short"[..]));
}

#[test]
fn only_what_differs_is_read_and_written() {
    let db = in_memory(&mut Rng::new(1));
    let mut txn = write_txn(&db);
    for i in 0..200_000_u32 {
        txn.put(MAIN, &i.to_be_bytes(), &[7; 40], PutMode::Append).expect("put");
    }
    txn.commit().expect("commit");
    let from = db.begin_read().expect("read");
    let mut txn = write_txn(&db);
    for i in 1000..1010_u32 {
        txn.put(MAIN, &i.to_be_bytes(), b"new", PutMode::Set).expect("put");
    }
    txn.commit().expect("commit");
    let mut txn = write_txn(&db);
    assert_eq!(txn.revert(&from, None).expect("revert"), 10);
    assert_eq!(txn.count(MAIN, &Range::default()).expect("count"), 200_000);
    let pages = txn.stat().private_pages;
    assert!(pages < 20, "{pages} pages were changed for ten entries");
}
