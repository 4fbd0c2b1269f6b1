//! What was committed is there after closing and opening, in every page size; what was not is not.

mod common;

use common::rng::Rng;
use common::tmp::TempDir;
use kv::Result;
use kv::{Cursor, Db, Durability, Options, PutMode, Range, Reader, TableId, WriteOptions};
use std::collections::BTreeMap;

fn entries(db: &Db, table: TableId) -> Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let read = db.begin_read()?;
    let txn = &mut &read;
    let mut cursor = Cursor::new(txn, table, &Range::default())?;
    let mut out = BTreeMap::new();
    while cursor.next(txn)? {
        let key = cursor.key().to_vec();
        out.insert(key, cursor.value(txn)?.to_vec());
    }
    Ok(out)
}

#[test]
fn every_page_size_and_durability_comes_back() -> Result<()> {
    for page_size in [0u32, 8192, 16384, 32768, 65536] {
        for durability in [Durability::Full, Durability::Lazy] {
            let dir = TempDir::new("reopen");
            let path = dir.file("a.kv");
            let options = Options {
                page_size,
                durability,
                ..Options::default()
            };
            let mut rng = Rng::new(u64::from(page_size));
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            for round in 0..8 {
                let db = Db::open(&path, &options)?;
                assert!(
                    entries(&db, TableId::MAIN)? == model,
                    "page size {page_size} {durability:?} round {round}"
                );
                assert_eq!(db.recovery().discarded, 0);
                for _ in 0..rng.range(1, 4) {
                    let mut txn = db.begin_write(WriteOptions::default())?;
                    for _ in 0..300 {
                        let key = rng.below(2000).to_be_bytes().to_vec();
                        let len = if rng.one_in(50) { 30_000 } else { rng.index(300) };
                        let value = rng.bytes(len);
                        if rng.percent(30) {
                            txn.delete(TableId::MAIN, &key)?;
                            model.remove(&key);
                        } else {
                            txn.put(TableId::MAIN, &key, &value, PutMode::Set)?;
                            model.insert(key, value);
                        }
                    }
                    txn.commit()?;
                }
                let mut lost = db.begin_write(WriteOptions::default())?;
                lost.put(TableId::MAIN, b"never committed", b"", PutMode::Set)?;
                drop(lost);
                let report = db.check(true, &mut |fault| panic!("{fault:?}"))?;
                assert_eq!(report.entries, model.len() as u64);
            }
        }
    }
    Ok(())
}

#[test]
fn tables_keep_their_names_numbers_and_notes() -> Result<()> {
    let dir = TempDir::new("reopen-tables");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let mut numbers = BTreeMap::new();
    for i in 0..500u32 {
        let name = format!("table {i}");
        let table = txn.table_create(name.as_bytes(), true)?;
        txn.put(table, &i.to_be_bytes(), name.as_bytes(), PutMode::Set)?;
        txn.table_set_note(table, name.as_bytes())?;
        numbers.insert(name, table);
    }
    txn.commit()?;
    drop(db);
    let db = Db::open(&path, &Options::default())?;
    let read = db.begin_read()?;
    for (name, number) in &numbers {
        assert_eq!((&read).table(name.as_bytes())?, *number);
        assert_eq!((&read).table_note(*number)?, name.as_bytes());
        assert_eq!(
            entries(&db, *number)?.values().next().map(Vec::as_slice),
            Some(name.as_bytes())
        );
    }
    assert_eq!(numbers.values().collect::<std::collections::BTreeSet<_>>().len(), 500);
    Ok(())
}

#[test]
fn the_page_size_of_a_file_is_its_own() -> Result<()> {
    let dir = TempDir::new("reopen-size");
    let path = dir.file("a.kv");
    let with = |page_size| Options {
        page_size,
        ..Options::default()
    };
    drop(Db::open(&path, &with(16384))?);
    assert_eq!(Db::open(&path, &with(4096))?.stat().page_size, 16384);
    assert_eq!(Db::open(&path, &with(0))?.stat().page_size, 16384);
    Ok(())
}

#[test]
fn a_transaction_keeps_the_file_open() -> Result<()> {
    let dir = TempDir::new("reopen-held");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    txn.put(TableId::MAIN, b"k", b"v", PutMode::Set)?;
    txn.commit()?;
    let read = db.begin_read()?;
    let mut write = db.begin_write(WriteOptions::default())?;
    drop(db);
    write.put(TableId::MAIN, b"k", b"w", PutMode::Set)?;
    write.commit()?;
    assert_eq!(read.get(TableId::MAIN, b"k")?, Some(&b"v"[..]));
    // Opening again joins the environment that the reader still holds.
    let db = Db::open(&path, &Options::default())?;
    assert_eq!(db.begin_read()?.get(TableId::MAIN, b"k")?, Some(&b"w"[..]));
    assert_eq!(db.stat().readers, 1);
    drop(read);
    assert_eq!(db.stat().readers, 0);
    Ok(())
}
