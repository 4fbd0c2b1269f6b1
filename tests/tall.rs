//! Lookups in a tree of four levels and more, which ask memory for leaves before they know which ones: whether leaves
//! lie in a row, as after loading, or where overwriting has left them, and when two trees' branches take turns at the
//! same pages.

mod common;

use common::rng::Rng;
use common::tmp::TempDir;
use kv::Result;
use kv::{Db, Options, PutMode, Reader, TableId, WriteOptions};

/// Values so long that a leaf has two entries, and keys of which eight share 200 bytes, so that separators are long:
/// the tree is tall with few entries.
const VALUE: usize = 1700;
const ENTRIES: u64 = 12_000;

fn key(i: u64) -> [u8; 201] {
    let shared = (i / 8).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    std::array::from_fn(|at| if at < 200 { shared[at % 8] } else { i as u8 % 8 })
}

fn value(i: u64, version: u8) -> Vec<u8> {
    let mut value = vec![version; VALUE];
    value[..8].copy_from_slice(&i.to_le_bytes());
    value
}

/// Looks up random keys, half of which are not there: one by one, in a read and in a write transaction, and many at
/// once. Twice: what the first lookups learn the others use.
fn look(db: &Db, table: TableId, versions: &[u8]) -> Result<()> {
    let mut rng = Rng::new(7);
    let mut read = db.begin_read()?;
    let mut write = db.begin_write(WriteOptions::default())?;
    for _ in 0..2 {
        for _ in 0..ENTRIES {
            let i = rng.below(2 * ENTRIES);
            let want = versions.get(i as usize).map(|version| value(i, *version));
            assert!(read.get(table, &key(i))? == want.as_deref(), "entry {i}");
            assert!(
                Reader::get(&mut write, table, &key(i))? == want.as_deref(),
                "entry {i} for a writer"
            );
        }
        let some: Vec<u64> = (0..ENTRIES).map(|_| rng.below(2 * ENTRIES)).collect();
        let keys: Vec<[u8; 201]> = some.iter().map(|i| key(*i)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let mut found = Vec::new();
        let mut together = &read;
        together.get_many(table, &keys, &mut found)?;
        for (i, found) in some.iter().zip(found) {
            let want = versions.get(*i as usize).map(|version| value(*i, *version));
            assert!(found == want.as_deref(), "entry {i} among many");
        }
        read.refresh()?;
    }
    Ok(())
}

fn put(db: &Db, table: TableId, numbers: impl Iterator<Item = u64>, version: u8, versions: &mut [u8]) -> Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    for i in numbers {
        txn.put(table, &key(i), &value(i, version), PutMode::Set)?;
        versions[i as usize] = version;
    }
    txn.commit()?;
    Ok(())
}

#[test]
fn lookups_in_a_tall_tree_find_what_is_there() -> Result<()> {
    let dir = TempDir::new("tall");
    let db = Db::open(&dir.file("a.kv"), &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let other = txn.table_create(b"other", true)?;
    txn.commit()?;
    let mut versions = [vec![0; ENTRIES as usize], vec![0; ENTRIES as usize]];
    for (table, versions) in [TableId::MAIN, other].into_iter().zip(&mut versions) {
        put(&db, table, 0..ENTRIES, 1, versions)?;
        let height = (&db.begin_read()?).table_stat(table)?.height;
        assert!(height >= 4, "a tree of {height} levels is not tall");
        look(&db, table, versions)?;
    }
    // Leaves that lay in a row no longer do, and branches move to other pages.
    let mut rng = Rng::new(3);
    for version in 2..6 {
        let some: Vec<u64> = (0..ENTRIES / 4).map(|_| rng.below(ENTRIES)).collect();
        put(&db, TableId::MAIN, some.into_iter(), version, &mut versions[0])?;
        look(&db, TableId::MAIN, &versions[0])?;
        look(&db, other, &versions[1])?;
    }
    Ok(())
}
