//! Every byte of a database of 10 MB changed: noticed by the checksum that leads to it, or proven to be of no use to
//! anybody; pages swapped, misdirected and stale; and a sample of such files through the whole engine.
//!
//! Page by page, so that ten million flips take seconds: a walk records what the read path compares (place, length,
//! checksum), and each flip is compared the same way. `KV_ROT_BYTES` is the size of the database, `KV_ROT_RUNS` the
//! number of whole runs.

mod common;

use common::env_number;
use common::rng::Rng;
use common::tmp::TempDir;
use kv::catalogue::TableRecord;
use kv::ids::PageNo;
use kv::page::meta::{Meta, Slot, SLOTS, SLOT_BYTES};
use kv::page::{Extent, PageSource, Prefetch, Ptr, Root};
use kv::tree::read::check::{Checker, Reached};
use kv::tree::read::scan::scan;
use kv::util::crc32c;
use kv::{Cursor, Db, Options, PutMode, Range, TableId, WriteOptions};
use kv::{Error, Result};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const PAGE: usize = 4096;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// A database of about `bytes` bytes, closed properly: its content, its bytes now and before the last commits.
fn build(path: &Path, bytes: u64, seed: u64) -> (Map, Vec<u8>, Vec<u8>) {
    let mut rng = Rng::new(seed);
    let mut map = Map::new();
    let mut stale = Vec::new();
    let mut round = 0;
    loop {
        let db = Db::open(path, &Options::default()).expect("open");
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for _ in 0..(bytes / 2000).max(200) {
            let mut key = format!("key {}", rng.below(bytes / 100)).into_bytes();
            if rng.one_in(100) {
                key.resize(700 + rng.index(6000), b'k');
            }
            if rng.one_in(5) {
                txn.delete(TableId::MAIN, &key).expect("delete");
                map.remove(&key);
                continue;
            }
            let n = if rng.one_in(80) {
                rng.range(3000, 30_000)
            } else {
                rng.range(0, 120)
            };
            let value = rng.bytes(n);
            txn.put(TableId::MAIN, &key, &value, PutMode::Set).expect("put");
            map.insert(key, value);
        }
        let table = txn
            .table_create(format!("table {}", round % 4).as_bytes(), false)
            .expect("table");
        txn.put(table, &[round as u8], &[7; 30], PutMode::Set).expect("put");
        txn.commit().expect("commit");
        drop(db);
        round += 1;
        let now = std::fs::read(path).expect("read");
        if now.len() as u64 >= bytes && round > 3 {
            return (map, now, stale);
        }
        stale = now;
    }
}

/// The image as a source of pages that records what is compared with which checksum.
struct Recorder<'i> {
    image: &'i [u8],
    /// (first byte, bytes, checksum).
    compared: RefCell<BTreeSet<(usize, usize, u32)>>,
}

impl<'i> Recorder<'i> {
    fn compare(&self, at: usize, len: usize, checksum: u32) -> Result<&'i [u8]> {
        let bytes = self
            .image
            .get(at..at + len)
            .ok_or_else(|| Error::corrupt(None, "outside"))?;
        assert_eq!(crc32c(bytes), checksum, "the file is damaged before the test begins");
        self.compared.borrow_mut().insert((at, len, checksum));
        Ok(bytes)
    }
}

impl Prefetch for &Recorder<'_> {
    fn page_size(&self) -> usize {
        PAGE
    }
}

impl<'i> PageSource<'i> for &Recorder<'i> {
    fn page(&self, ptr: &Ptr) -> Result<&'i [u8]> {
        self.compare(ptr.page.number().offset(PAGE) as usize, PAGE, ptr.checksum)
    }

    fn piece(&self, page: PageNo, len: usize, checksum: u32) -> Result<&'i [u8]> {
        self.compare(page.offset(PAGE) as usize, len, checksum)
    }

    fn raw(&self, page: PageNo, len: u64) -> Result<&'i [u8]> {
        let at = page.offset(PAGE) as usize;
        self.image
            .get(at..at + len as usize)
            .ok_or_else(|| Error::corrupt(page, "outside"))
    }
}

fn slot(image: &[u8], slot: usize) -> Option<Meta> {
    let bytes: &[u8; SLOT_BYTES] = image[slot * SLOT_BYTES..(slot + 1) * SLOT_BYTES]
        .try_into()
        .expect("a slot");
    match Meta::decode(bytes) {
        Ok(Slot::Valid(meta)) => Some(*meta),
        _ => None,
    }
}

/// What the newest commit reads, and how many pages that are.
fn walk(image: &[u8]) -> (BTreeSet<(usize, usize, u32)>, u64, Meta) {
    let newest = (0..SLOTS)
        .filter_map(|at| slot(image, at))
        .max_by_key(|meta| meta.id)
        .expect("a slot");
    let recorder = Recorder {
        image,
        compared: RefCell::default(),
    };
    let mut trees: Vec<(TableId, Root)> = vec![
        (TableId::MAIN, newest.roots.main),
        (TableId::CATALOGUE, newest.roots.catalogue),
        (TableId::SPACE, newest.roots.space),
    ];
    scan(&&recorder, &newest.roots.catalogue, &[], |key, value| {
        let number = u64::from_be_bytes(key.try_into().expect("a number"));
        trees.push((TableId::new(number), TableRecord::decode(value.bytes())?.root));
        Ok(true)
    })
    .expect("the catalogue");
    let mut pages = 0;
    let mut on_fault = |page: PageNo, _, what: &str| panic!("page {page}: {what}");
    let mut on_run = |extent: Extent, _: Reached| pages += extent.run.pages;
    let mut checker = Checker::new(true, &mut on_fault, &mut on_run);
    trees
        .iter()
        .for_each(|(table, root)| checker.tree(&&recorder, root, *table));
    for spill in &newest.spills {
        recorder
            .compare(
                spill.extent.run.first.offset(PAGE) as usize,
                spill.bytes as usize,
                spill.checksum,
            )
            .expect("spilled records");
        pages += spill.extent.run.pages;
    }
    (recorder.compared.into_inner(), pages, newest)
}

#[derive(Default)]
struct Tally {
    flips: u64,
    detected: u64,
    unused: u64,
    failed: u64,
}

/// A byte changed in one of 255 ways.
fn change(at: usize) -> u8 {
    1 << (at * 7 % 8) | u8::from(at % 3 == 0)
}

#[test]
fn every_byte_is_covered_by_a_checksum_or_of_no_use() {
    let dir = TempDir::new("bit-rot");
    let path = dir.file("a.kv");
    let (_, mut image, stale) = build(&path, env_number("KV_ROT_BYTES", 10 << 20), env_number("KV_SEED", 1));
    let db = Db::open(
        &path,
        &Options {
            read_only: true,
            ..Options::default()
        },
    )
    .expect("open");
    let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    let (compared, pages, meta) = walk(&image);
    // Each page is meta, reached, or dead: so what no comparison covers is dead, padding, or behind the last page.
    assert_eq!(report.pages, meta.pages);
    assert_eq!(
        4 + pages + report.dead_pages,
        meta.pages,
        "pages that are neither in use nor dead"
    );
    drop(db);

    let mut tally = Tally::default();
    let mut covered = 4 * SLOT_BYTES;
    for at in 0..4 * SLOT_BYTES {
        image[at] ^= change(at);
        tally.flips += 1;
        match slot(&image, at / SLOT_BYTES) {
            None => tally.detected += 1,
            Some(_) => tally.failed += 1,
        }
        image[at] ^= change(at);
    }
    for (first, len, checksum) in &compared {
        covered += len;
        for at in *first..first + len {
            image[at] ^= change(at);
            tally.flips += 1;
            match crc32c(&image[*first..first + len]) != *checksum {
                true => tally.detected += 1,
                false => tally.failed += 1,
            }
            image[at] ^= change(at);
        }
    }
    tally.unused = (image.len() - covered) as u64;
    tally.flips += tally.unused;
    assert_eq!(tally.flips, image.len() as u64, "a byte was tried twice or never");
    assert!(
        tally.detected > tally.flips / 3,
        "most of the file is of no use: {} of {}",
        tally.unused,
        tally.flips
    );

    // Pages in the place of others, and pages as they were before the last commits.
    let whole: Vec<(usize, u32)> = compared
        .iter()
        .filter(|c| c.1 == PAGE)
        .map(|(first, _, checksum)| (*first, *checksum))
        .collect();
    let (mut swaps, mut stales) = (0u64, 0u64);
    for (i, (a, _)) in whole.iter().enumerate() {
        let sum = crc32c(&image[*a..a + PAGE]);
        for (b, checksum) in &whole[i + 1..] {
            swaps += 1;
            let same = image[*a..a + PAGE] == image[*b..b + PAGE];
            tally.failed += u64::from(sum == *checksum && !same);
        }
    }
    for (at, checksum) in &whole {
        if let Some(old) = stale.get(*at..at + PAGE).filter(|old| **old != image[*at..at + PAGE]) {
            stales += 1;
            tally.failed += u64::from(crc32c(old) == *checksum);
        }
    }
    assert!(stales > 10, "no page changed in the last commit");
    println!(
        "bit-rot: {} passed, {} failed ({} flips, {} detected, {} unused; {swaps} swaps, {stales} stale pages)",
        tally.flips - tally.failed + swaps + stales,
        tally.failed,
        tally.flips,
        tally.detected,
        tally.unused
    );
    assert_eq!(tally.failed, 0);
}

/// Opens, reads, writes and checks; whether damage was noticed. What is read is right or an error.
fn run(path: &Path, map: &Map) -> bool {
    let db = match Db::open(path, &Options::default()) {
        Ok(db) => db,
        Err(Error::Corrupt(_) | Error::NotADatabase(_)) => return true,
        Err(error) => panic!("opening answers {error}"),
    };
    let mut noticed = false;
    let read = db.begin_read().expect("read");
    let txn = &mut &read;
    let mut want = map.iter();
    match Cursor::new(txn, TableId::MAIN, &Range::default()) {
        Err(_) => noticed = true,
        Ok(mut cursor) => loop {
            match cursor.next(txn) {
                Ok(true) => {
                    let (key, value) = want.next().expect("an entry that was deleted");
                    assert_eq!(cursor.key(), key.as_slice(), "another key");
                    match cursor.value(txn) {
                        Ok(got) => assert!(got == value.as_slice(), "another value"),
                        Err(_) => noticed = true,
                    }
                }
                Ok(false) => {
                    assert!(want.next().is_none(), "entries are missing");
                    break;
                }
                Err(_) => {
                    noticed = true;
                    break;
                }
            }
        },
    }
    drop(read);
    let written = (|| {
        let mut txn = db.begin_write(WriteOptions::default())?;
        for key in map.keys().step_by(7) {
            txn.put(TableId::MAIN, key, b"changed", PutMode::Set)?;
        }
        txn.commit()
    })();
    let read = db.begin_read().expect("read");
    for (i, (key, value)) in map.iter().enumerate() {
        match read.get(TableId::MAIN, key) {
            Ok(got) => {
                let want = if written.is_ok() && i % 7 == 0 {
                    b"changed"
                } else {
                    value.as_slice()
                };
                assert_eq!(got, Some(want), "after writing");
            }
            Err(_) => noticed = true,
        }
    }
    let report = db.check(false, &mut |_| true);
    noticed || written.is_err() || report.is_ok_and(|report| report.faults > 0)
}

#[test]
fn files_with_one_changed_byte_give_right_answers_or_errors() {
    let dir = TempDir::new("bit-rot-runs");
    let path = dir.file("a.kv");
    let seed = env_number("KV_SEED", 1);
    let (map, image, _) = build(&path, 600_000, seed);
    let (compared, _, _) = walk(&image);
    let mut rng = Rng::new(seed + 7);
    let (runs, mut noticed) = (env_number("KV_ROT_RUNS", 2000), 0);
    for number in 0..runs {
        // A third in the slots, a third in headers, the rest anywhere.
        let at = match rng.below(3) {
            0 => rng.index(4 * SLOT_BYTES),
            1 => rng.index(image.len() / PAGE) * PAGE + rng.index(64),
            _ => rng.index(image.len()),
        };
        let mut damaged = image.clone();
        damaged[at] ^= 1 << rng.below(8);
        std::fs::write(&path, &damaged).expect("write");
        let seen = run(&path, &map);
        noticed += u64::from(seen);
        // The write replaces a part of the tree, so what it no longer reaches may have gone unread: only a leaf's or
        // branch's damage is certain to have been met by the scan before.
        let read = compared
            .iter()
            .any(|(first, len, _)| (*first..first + len).contains(&at));
        let space = damaged[at / PAGE * PAGE + 16..at / PAGE * PAGE + 24] == u64::MAX.to_le_bytes();
        assert!(
            seen || !read || space || at < 4 * SLOT_BYTES,
            "run {number}: byte {at:#x} is in use, and nobody noticed"
        );
    }
    println!("bit-rot runs: {runs} passed, 0 failed ({noticed} noticed)");
    assert!(noticed > runs / 10);
}
