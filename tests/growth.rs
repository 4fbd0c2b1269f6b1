//! The file grows ahead of small commits, by a bounded share, and gives it back when the last one closes it; a commit
//! that finds room in what others left does not make it grow.

mod common;

use common::small_disk::SmallDisk;
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

/// What a database on a small disk holds: what was acknowledged, of which a full commit is durable.
struct OnSmallDisk {
    disk: Arc<SmallDisk>,
    db: Db,
    acknowledged: BTreeMap<u32, Vec<u8>>,
    durability: Durability,
}

impl OnSmallDisk {
    fn open(disk: Arc<SmallDisk>, acknowledged: BTreeMap<u32, Vec<u8>>, durability: Durability) -> Result<OnSmallDisk> {
        let db = Db::open_storage(disk.clone(), &Options::default())?;
        Ok(OnSmallDisk {
            disk,
            db,
            acknowledged,
            durability,
        })
    }

    /// Puts or deletes an entry. What is refused because the disk is full is tried once more, as the message says.
    fn change(&mut self, key: u32, value: Option<Vec<u8>>) -> Result<()> {
        let options = || WriteOptions {
            durability: Some(self.durability),
            ..WriteOptions::default()
        };
        let once = || -> Result<CommitId> {
            let mut txn = self.db.begin_write(options())?;
            match &value {
                Some(value) => txn.put(TableId::MAIN, &key.to_be_bytes(), value, PutMode::Set)?,
                None => assert!(txn.delete(TableId::MAIN, &key.to_be_bytes())?),
            }
            txn.commit()
        };
        match once() {
            Err(Error::NoSpace(_)) => once()?,
            done => done?,
        };
        match value {
            Some(value) => self.acknowledged.insert(key, value),
            None => self.acknowledged.remove(&key),
        };
        Ok(())
    }

    /// Puts entries until the disk is full or there are so many. Returns how many were put.
    fn fill(&mut self, random: &mut Random, most: u32) -> Result<u32> {
        let first = self.acknowledged.last_key_value().map_or(0, |(key, _)| key + 1);
        for key in first..first + most {
            // Some of them lie in pages of their own, and fill more than one.
            let len = if random.one_in(8) {
                3000 + random.below(30_000)
            } else {
                random.below(900)
            };
            match self.change(key, Some(vec![key as u8; len as usize])) {
                Ok(()) => {}
                Err(Error::NoSpace(_)) => return Ok(key - first),
                Err(error) => return Err(error),
            }
        }
        Ok(most)
    }

    /// Compares the database with what was acknowledged, and every page with its checksum.
    fn compare(&self, when: &str) -> Result<()> {
        let read = self.db.begin_read()?;
        let mut cursor = Cursor::new(&mut &read, TableId::MAIN, &Range::default())?;
        for (key, value) in &self.acknowledged {
            assert!(cursor.next(&mut &read)?, "{when}: there is nothing from {key} on");
            assert_eq!(cursor.key(), key.to_be_bytes(), "{when}");
            assert_eq!(cursor.value(&mut &read)?, &value[..], "{when}: {key}");
        }
        assert!(!cursor.next(&mut &read)?, "{when}: there is more");
        sound(&self.db, self.acknowledged.len() as u64);
        Ok(())
    }
}

#[test]
fn a_disk_that_stops_writes_short_can_be_full_and_larger_again() -> Result<()> {
    let mut short = 0;
    for seed in 0..60u64 {
        let durability = [Durability::Full, Durability::Lazy][seed as usize % 2];
        let mut random = Random::new(seed);
        // Sizes are no multiples of a page, so that the last page that there is room for is half a page.
        let disk = Arc::new(SmallDisk::new(seed, 400 + random.below(3000)));
        let mut on = OnSmallDisk::open(disk, BTreeMap::new(), durability)?;
        let filled = on.fill(&mut random, 100_000)?;
        assert!(filled > 10, "seed {seed}: {filled}");
        on.compare("full")?;

        // As long as pages are free, a full database can be changed: entries are deleted and put again one by one.
        let keys: Vec<u32> = on.acknowledged.keys().copied().collect();
        for key in keys.iter().filter(|key| *key % 3 != 0) {
            on.change(*key, None)?;
        }
        on.compare("emptied")?;
        for key in keys.iter().filter(|key| *key % 6 == 1) {
            on.change(*key, Some(vec![1; 300]))?;
        }
        on.compare("changed")?;
        let free_before = on.disk.free();
        let refilled = on.fill(&mut random, 100_000)?;
        assert!(refilled * 4 > filled, "seed {seed}: {filled} entries, then {refilled}");
        on.compare("full again")?;

        // The power fails on the full disk.
        on.db.sync()?;
        let cut = [Cut::AllLost, Cut::AllKept, Cut::Writes, Cut::Sectors][random.below(4) as usize];
        let disk = Arc::new(on.disk.crash(seed, cut));
        let mut on = OnSmallDisk::open(disk, on.acknowledged, durability)?;
        on.compare("after a power cut")?;

        // A larger disk is used, by the process that has the database open.
        let pages = on.db.stat().pages;
        let _ = on.fill(&mut random, 100_000)?;
        on.disk.grow(1500);
        let more = on.fill(&mut random, 100_000)?;
        assert!(
            more > 5 && on.db.stat().pages > pages + 100 && on.disk.free() < 500,
            "seed {seed}: {more} entries, {pages} pages, then {}, and {} of 1500 sectors left ({free_before})",
            on.db.stat().pages,
            on.disk.free()
        );
        on.compare("on a larger disk")?;
        short += on.disk.short_writes();
        let OnSmallDisk {
            disk, acknowledged, db, ..
        } = on;
        drop(db);
        OnSmallDisk::open(disk, acknowledged, durability)?.compare("opened again")?;
    }
    assert!(short > 10, "only {short} writes stopped short");
    Ok(())
}

#[test]
fn a_full_disk_is_noticed_and_so_is_that_it_has_room_again() -> Result<()> {
    const PAGES: u64 = 800;
    let disk = Arc::new(SmallDisk::new(1, PAGES * 8 + 3));
    let put = |db: &Db, keys: std::ops::Range<u32>, len: usize| -> Result<CommitId> {
        let mut txn = db.begin_write(WriteOptions::default())?;
        for key in keys {
            txn.put(TableId::MAIN, &key.to_be_bytes(), &vec![key as u8; len], PutMode::Set)?;
        }
        txn.commit()
    };
    // Each of these values takes a page of its own. Every fifth one goes, which leaves holes of a page.
    let db = Db::open_storage(disk.clone(), &Options::default())?;
    let mut count = 0;
    let one = |db: &Db, key| put(db, key..key + 1, 4000);
    while one(&db, count).or_else(|_| one(&db, count)).is_ok() {
        count += 1;
    }
    assert!(u64::from(count) > PAGES * 9 / 10, "{count} values of {PAGES} pages");
    for key in (0..count).step_by(5) {
        let mut txn = db.begin_write(WriteOptions::default())?;
        assert!(txn.delete(TableId::MAIN, &key.to_be_bytes())?);
        txn.commit().expect("pages are free");
    }
    let full = db.stat();
    assert!(full.free_pages > PAGES / 6, "{full:?}");
    // These entries take more leaves than are ever spread over holes while there is room behind the end.
    let leaves = |from: u32| from..from + 60;
    put(&db, leaves(1_000_000), 700).expect("pages are free");
    assert_eq!(db.stat().pages, full.pages);

    // Who opens the database does not know that the disk is full. A few pages are taken behind the end only if there is
    // room for them.
    drop(db);
    let db = Db::open_storage(disk.clone(), &Options::default())?;
    put(&db, leaves(2_000_000), 700).expect("the disk is asked before anything is refused");
    assert!(db.stat().pages <= full.pages);
    // Whether there is room for many is found out by writing them, once.
    drop(db);
    let db = Db::open_storage(disk.clone(), &Options::default())?;
    let refused = put(&db, 3_000_000..3_000_200, 700);
    assert!(matches!(refused, Err(Error::NoSpace(_))), "{refused:?}");
    put(&db, 3_000_000..3_000_200, 700).expect("pages are free");
    assert!(db.stat().pages <= full.pages);

    // There is room again, and holes are left, over which nothing need be spread any more.
    disk.grow(2000);
    let before = db.stat();
    assert!(before.free_pages > 20, "{before:?}");
    put(&db, leaves(4_000_000), 700).expect("there is room");
    assert!(db.stat().pages >= before.pages + 10, "{before:?}, {:?}", db.stat());
    sound(&db, u64::from(count - count.div_ceil(5)) + 3 * 60 + 200);
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
            // The first is a load; others put, replace and delete from below what is placed while it is built to far
            // above.
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

/// On a full disk, the beginning of a transaction syncs to make room. An interrupt that comes meanwhile ends it.
#[test]
fn an_interrupt_while_room_is_made_ends_the_call() -> Result<()> {
    let disk = Arc::new(SmallDisk::new(5, 2000));
    let mut on = OnSmallDisk::open(disk, BTreeMap::new(), Durability::Lazy)?;
    on.fill(&mut Random::new(5), 100_000)?;
    let keys: Vec<u32> = on.acknowledged.keys().copied().collect();
    let mut cancelled = 0;
    for key in keys {
        let db = on.db.clone();
        on.disk.at_sync(Some(Box::new(move || db.interrupt())));
        match on.db.begin_write(WriteOptions::default()) {
            Err(Error::Cancelled) => cancelled += 1,
            Err(error) => return Err(error),
            Ok(txn) => drop(txn),
        }
        on.disk.at_sync(None);
        on.change(key, None)?;
    }
    assert!(cancelled > 0, "no transaction made room");
    on.compare("interrupted")
}
