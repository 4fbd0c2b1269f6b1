//! The file grows ahead of small commits, by a bounded share, and gives it back when the last one closes it; a commit that
//! finds room in what others left does not make it grow.

mod common;

use common::tmp::TempDir;
use kv::file::sim::{Cut, Random, SimDisk};
use kv::pager::Durability;
use kv::{CommitId, Cursor, Db, Options, PutMode, Range, Reader, TableId, WriteOptions};
use kv::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const PAGE: u64 = 4096;

fn put(db: &Db, i: u64) -> Result<CommitId> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    txn.put(TableId::MAIN, &i.to_be_bytes(), &[i as u8; 200], PutMode::Set)?;
    txn.commit()
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).expect("facts").len()
}

/// The longest that a file of so many pages may be.
fn most(pages: u64) -> u64 {
    let bytes = pages * PAGE;
    bytes + (bytes / 8).clamp(64 << 10, 1 << 20) + (128 << 10)
}

fn sound(db: &Db, entries: u64) {
    let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    assert_eq!(report.entries, entries);
}

#[test]
fn a_file_is_little_longer_than_needed_and_exact_when_closed() -> Result<()> {
    let dir = TempDir::new("growth");
    let path = dir.file("a.kv");
    let mut made = 0;
    for count in [1, 10, 100, 3000, 1] {
        let db = Db::open(&path, &Options::default())?;
        let mut longer = 0;
        for _ in 0..count {
            put(&db, made)?;
            made += 1;
            let (is, pages) = (length(&path), db.stat().pages);
            assert!(is >= pages * PAGE && is <= most(pages), "{is} bytes for {pages} pages");
            longer += u64::from(is > pages * PAGE);
        }
        // A few find holes.
        assert!(
            count < 10 || longer * 10 >= count * 9,
            "longer after {longer} of {count} commits"
        );
        sound(&db, made);
        let pages = db.stat().pages;
        drop(db);
        assert_eq!(length(&path), pages * PAGE);
    }
    Ok(())
}

#[test]
fn only_the_last_one_gives_back() -> Result<()> {
    let dir = TempDir::new("growth-last");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default())?;
    let other = Db::open(&path, &Options::default())?;
    put(&db, 0)?;
    let read = other.begin_read()?;
    drop(db);
    assert!(length(&path) > other.stat().pages * PAGE);
    put(&other, 1)?;
    drop(other);
    drop(read);
    // As a killed process leaves it: longer. It is taken as it is, and cut at the next closing after a commit.
    let copy = dir.file("b.kv");
    let mut bytes = std::fs::read(&path).expect("read");
    bytes.resize(bytes.len() + (1 << 20), 0xA5);
    std::fs::write(&copy, bytes).expect("write");
    let db = Db::open(&copy, &Options::default())?;
    sound(&db, 2);
    put(&db, 2)?;
    sound(&db, 3);
    let pages = db.stat().pages;
    drop(db);
    assert_eq!(length(&copy), pages * PAGE);
    Ok(())
}

#[test]
fn power_fails_at_every_write_of_a_growing_file() -> Result<()> {
    let cuts = [Cut::AllLost, Cut::AllKept, Cut::Writes, Cut::Sectors];
    for crash in 1..400u64 {
        let disk = Arc::new(SimDisk::new(crash)?);
        let db = Db::open_storage(disk.clone(), &Options::default())?;
        disk.crash_after(crash);
        let mut done = 0;
        while done < 100 && put(&db, done).is_ok() {
            done += 1;
        }
        drop(db);
        for (seed, cut) in (1..).zip(cuts) {
            let db = Db::open_storage(Arc::new(disk.crash(crash * 10 + seed, cut)?), &Options::default())?;
            let there = (&mut &db.begin_read()?).count(TableId::MAIN, &Range::default())?;
            assert!(
                there == done || there == done + 1,
                "crash {crash} {cut:?}: {there} of {done}"
            );
            sound(&db, there);
            put(&db, 1000)?;
            sound(&db, there + 1);
        }
    }
    Ok(())
}

#[test]
fn no_room_to_grow_ahead_is_no_error() -> Result<()> {
    use kv::file::sim::Fault;
    let mut absorbed = 0;
    for call in 1..60u64 {
        let disk = Arc::new(SimDisk::new(call)?);
        let db = Db::open_storage(disk.clone(), &Options::default())?;
        disk.fail_after(call, Fault::NoSpace, false);
        let mut done = 0;
        for i in 0..5 {
            match put(&db, i) {
                Ok(_) => done += 1,
                Err(Error::NoSpace { .. }) => {}
                // The slot or the sync.
                Err(Error::InDoubt(_) | Error::Poisoned) => break,
                Err(error) => return Err(error),
            }
        }
        absorbed += u64::from(done == 5);
        if db.stat().durable == db.stat().visible && done > 0 && put(&db, 100).is_ok() {
            sound(&db, done + 1);
        }
    }
    assert!(absorbed > 20, "{absorbed} of 59");
    Ok(())
}

fn key(random: &mut Random) -> [u8; 24] {
    let mut key = [0; 24];
    key.chunks_mut(8)
        .for_each(|part| part.copy_from_slice(&random.next_u64().to_be_bytes()));
    key
}

#[test]
fn replacing_one_entry_at_a_time_does_not_make_a_file_grow() -> Result<()> {
    let dir = TempDir::new("growth-holes");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default())?;
    let mut random = Random::new(11);
    let keys: Vec<_> = (0..20_000).map(|_| key(&mut random)).collect();
    let mut txn = db.begin_write(WriteOptions::default())?;
    for key in &keys {
        txn.put(TableId::MAIN, key, &[1; 150], PutMode::Set)?;
    }
    txn.commit()?;
    let loaded = db.stat().pages;
    for i in 0..2000u64 {
        let mut txn = db.begin_write(WriteOptions::default())?;
        let key = &keys[random.below(keys.len() as u64) as usize];
        txn.put(TableId::MAIN, key, &[i as u8; 150], PutMode::Set)?;
        txn.commit()?;
    }
    let pages = db.stat().pages;
    assert!(
        pages < loaded + loaded / 20 + 100,
        "{loaded} pages became {pages}: each commit wrote three or four"
    );
    sound(&db, keys.len() as u64);
    Ok(())
}

#[test]
fn edits_scattered_over_a_larger_tree_are_what_was_asked_for() -> Result<()> {
    for (page_size, lazy) in [(4096, false), (4096, true), (16384, false)] {
        let options = Options {
            page_size,
            memory: true,
            ..Options::default()
        };
        let db = Db::open(Path::new(""), &options)?;
        let (mut random, mut model) = (Random::new(u64::from(page_size)), BTreeMap::new());
        let durability = match lazy {
            true => Durability::Lazy,
            false => Durability::Full,
        };
        for round in 0..40u64 {
            let mut txn = db.begin_write(WriteOptions {
                durability: Some(durability),
                ..WriteOptions::default()
            })?;
            // The first is a load; others put, replace and delete from below what is placed while it is built to far above.
            let edits = if round == 0 { 12_000 } else { 50 + random.below(1500) };
            let present: Vec<[u8; 24]> = model.keys().copied().collect();
            for _ in 0..edits {
                let old = (!present.is_empty()).then(|| present[random.below(present.len() as u64) as usize]);
                match (random.below(4), old) {
                    (0, Some(old)) => {
                        assert_eq!(txn.delete(TableId::MAIN, &old)?, model.remove(&old).is_some());
                    }
                    (1, Some(old)) => {
                        txn.put(TableId::MAIN, &old, &[round as u8; 60], PutMode::Set)?;
                        model.insert(old, vec![round as u8; 60]);
                    }
                    _ => {
                        let (key, value) = (key(&mut random), vec![round as u8; random.below(300) as usize]);
                        txn.put(TableId::MAIN, &key, &value, PutMode::Set)?;
                        model.insert(key, value);
                    }
                }
            }
            txn.commit()?;
            sound(&db, model.len() as u64);
            let read = db.begin_read()?;
            let mut cursor = Cursor::new(&mut &read, TableId::MAIN, &Range::default())?;
            for (key, value) in &model {
                assert!(cursor.next(&mut &read)?);
                assert_eq!(cursor.key(), &key[..]);
                assert_eq!(cursor.value(&mut &read)?, &value[..]);
            }
            assert!(!cursor.next(&mut &read)?);
        }
    }
    Ok(())
}
