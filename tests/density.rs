//! Leaves are well filled: also where a large transaction is applied in several goes, and where large commits follow
//! each other, with keys in any order. (Each leaf split by itself would leave them two thirds full.)

mod common;

use common::rng::Rng;
use common::tmp::TempDir;
use kv::Result;
use kv::{Cursor, Db, Options, PutMode, Range, Reader, TableId, WriteOptions};

/// Puts `count` entries with random keys in `commits` transactions that apply `write_memory` bytes of edits at a time:
/// the share of branches and leaves that is used.
fn filled(count: u64, commits: u64, write_memory: usize, key: impl Fn(&mut Rng) -> Vec<u8>) -> Result<f64> {
    let dir = TempDir::new("density");
    let options = Options {
        write_memory,
        ..Options::default()
    };
    let db = Db::open(&dir.file("a.kv"), &options)?;
    let mut rng = Rng::new(1);
    for _ in 0..commits {
        let mut txn = db.begin_write(WriteOptions::default())?;
        for _ in 0..count / commits {
            let (key, value) = (key(&mut rng), rng.bytes(100));
            txn.put(TableId::MAIN, &key, &value, PutMode::Set)?;
        }
        txn.commit()?;
    }
    db.check(true, &mut |fault| panic!("{fault:?}"))?;
    let shape = (&db.begin_read()?).table_stat(TableId::MAIN)?;
    let pages = shape.leaf_pages + shape.branch_pages;
    Ok(shape.used_bytes as f64 / (pages * 4096) as f64)
}

fn random(rng: &mut Rng) -> Vec<u8> {
    rng.bytes(24)
}

fn path(rng: &mut Rng) -> Vec<u8> {
    format!("/home/{}/mail/{:08}.eml", rng.below(40), rng.below(1 << 26)).into_bytes()
}

#[test]
fn a_large_transaction_fills_its_leaves() -> Result<()> {
    for key in [random, path] {
        // Applied at once, and in two to six goes.
        for megabytes in [16, 4, 2, 1] {
            let filled = filled(40_000, 1, megabytes << 20, key)?;
            assert!(filled > 0.85, "{filled} filled, applied {megabytes} MiB at a time");
        }
    }
    Ok(())
}

#[test]
fn large_commits_fill_leaves() -> Result<()> {
    for key in [random, path] {
        for (commits, least) in [(2, 0.85), (5, 0.85), (10, 0.85), (20, 0.74)] {
            let filled = filled(40_000, commits, 0, key)?;
            assert!(filled > least, "{filled} filled, {commits} commits");
        }
    }
    Ok(())
}

/// However its edits are spread, a transaction does not collect more private pages than it may: neither when its edits
/// outgrow their budget, nor when a count needs the tree.
#[test]
fn private_pages_are_bounded() -> Result<()> {
    let dir = TempDir::new("density-private");
    let options = Options {
        write_memory: 12 << 20,
        ..Options::default()
    };
    let db = Db::open(&dir.file("a.kv"), &options)?;
    let mut rng = Rng::new(1);
    // Both transactions need room in the addresses that were reserved at the beginning, of which 32 bits have less.
    let entries: u64 = if cfg!(target_pointer_width = "32") {
        500_000
    } else {
        1_200_000
    };
    let mut txn = db.begin_write(WriteOptions::default())?;
    for i in 0..entries {
        txn.put(TableId::MAIN, &(i << 32).to_be_bytes(), &[7; 100], PutMode::Append)?;
    }
    txn.commit()?;
    let (mut txn, mut most) = (db.begin_write(WriteOptions::default())?, 0);
    for i in 0..200_000u64 {
        let key = rng.below(entries) << 32 | 1;
        txn.put(TableId::MAIN, &key.to_be_bytes(), &[8; 100], PutMode::Set)?;
        if i % 70_000 == 69_999 {
            txn.rank(TableId::MAIN, &key.to_be_bytes())?;
        }
        most = most.max(txn.stat().private_pages);
    }
    assert!(most < (80 << 20) / 4096, "{most} private pages");
    txn.commit()?;
    db.check(true, &mut |fault| panic!("{fault:?}"))?;
    Ok(())
}

/// Edits at cursors leave no more private pages than memory is meant for either, over however many tables they are
/// spread.
#[test]
fn private_pages_of_many_tables_are_bounded() -> Result<()> {
    let dir = TempDir::new("density-tables");
    let options = Options {
        write_memory: 64 << 10,
        ..Options::default()
    };
    let db = Db::open(&dir.file("a.kv"), &options)?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let mut tables = Vec::new();
    for n in 0..20 {
        let table = txn.table_create(format!("table {n}").as_bytes(), false)?;
        for i in 0..9_000u32 {
            txn.put(table, &i.to_be_bytes(), &[n; 100], PutMode::Append)?;
        }
        tables.push(table);
    }
    txn.commit()?;
    let (mut txn, mut most) = (db.begin_write(WriteOptions::default())?, 0);
    for table in tables {
        let mut cursor = Cursor::new(&mut txn, table, &Range::default())?;
        while cursor.next(&mut txn)? {
            cursor.put(&mut txn, &[0xFF; 100])?;
            most = most.max(txn.stat().private_pages);
        }
    }
    // The limit is 16 times the memory, 256 pages.
    assert!(most < 300, "{most} private pages");
    txn.commit()?;
    db.check(true, &mut |fault| panic!("{fault:?}"))?;
    Ok(())
}
