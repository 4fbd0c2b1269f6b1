//! Files changed where it hurts, with every checksum repaired: fields of slots, headers, pointers, offsets and
//! descriptions get extreme values, others' values, or random ones. Whatever comes of it: opening, reading both ways,
//! counting, checking, copying, writing and salvaging end in time, in bounds, and without a panic.
//!
//! Runs for `KV_FUZZ_SECONDS` (60) on two threads, after the files of `tests/corpus/files.txt`, which once found
//! something or cover a place that is hard to reach. Another `KV_SEED` is another sequence; `make soak` takes a new
//! one each time.

mod common;

use common::env_number;
use common::image::{page_size, repair, INLINE, RECORDS, ROOT, ROOTS, SPILLS};
use common::rng::Rng;
use common::tmp::TempDir;
use kv::Result;
use kv::{salvage, BackupOptions, Cursor, Db, Job, Options, PutMode, Range, Reader, TableId, WriteOptions};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// Longest a file may take.
const SECONDS: u64 = 60;
/// Most memory the process may have resident.
const MEMORY: u64 = 1 << 30;
/// Most entries a scan may give.
const ENTRIES: u64 = 1 << 20;

/// A small good database: several tables, levels, long keys and values, dead pages.
fn base(page_size: u32, seed: u64) -> Vec<u8> {
    let dir = TempDir::new("fuzz-base");
    let path = dir.file("a.kv");
    let options = Options {
        page_size,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("create");
    let mut rng = Rng::new(seed);
    for round in 0..4u64 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for i in 0..400 {
            let mut key = format!("key {}", rng.below(900)).into_bytes();
            if i % 90 == 0 {
                key.resize(page_size as usize / 8 + 300 + rng.index(9000), b'k');
            }
            let n = if i % 70 == 0 {
                rng.range(3000, 9000)
            } else {
                rng.range(0, 60)
            };
            match rng.below(5) {
                0 => drop(txn.delete(TableId::MAIN, &key).expect("delete")),
                _ => txn.put(TableId::MAIN, &key, &rng.bytes(n), PutMode::Set).expect("put"),
            }
        }
        let table = txn
            .table_create(format!("table {}", round % 2).as_bytes(), false)
            .expect("table");
        for i in 0..700u64 {
            txn.put(table, &i.to_be_bytes(), &round.to_le_bytes(), PutMode::Set)
                .expect("put");
        }
        txn.commit().expect("commit");
    }
    drop(db);
    std::fs::read(&path).expect("read")
}

/// Changes one to six fields, then repairs every checksum as far as can be.
fn mutate(image: &mut [u8], rng: &mut Rng) {
    let size = page_size(image).expect("a good image");
    let pages = image.len() / size;
    for _ in 0..rng.range(1, 7) {
        let page = rng.index(pages) * size;
        let n = usize::from(u16::from_le_bytes([image[page + 4], image[page + 5]])).clamp(1, size / 8);
        let (at, width) = match rng.below(12) {
            // A slot: ids, counts, roots, the frame of the records, the records.
            0 => (rng.index(4) * 4096 + [48, 56, 64, 80, 88][rng.index(5)], 8),
            1 => (rng.index(4) * 4096 + ROOTS[0] + rng.index(3 * ROOT), 6),
            2 => match rng.below(2) {
                0 => (rng.index(4) * 4096 + [SPILLS, INLINE, 152, 30][rng.index(4)], 2),
                _ => (rng.index(4) * 4096 + RECORDS + rng.index(60), 2),
            },
            // A header.
            3 => (page + rng.index(4), 1),
            4 => (page + [4, 6, 8, 12, 14][rng.index(5)], 2),
            5 => (page + 10 + rng.index(14), 2),
            // The arrays of a leaf: heads, fingerprints, offsets.
            6 => (page + 24 + 4 * rng.index(n), 4),
            7 => (page + 24 + 5 * n + 2 * rng.index(n), 2),
            // The arrays of a branch: child, birth, entries, offset.
            8 => (page + 24 + 4 * n + 6 * rng.index(n), 6),
            9 => (page + 24 + 10 * n + 6 * rng.index(2 * n), 6),
            10 => (page + 24 + 22 * n + 2 * rng.index(n), 2),
            // Records: lengths, remainders of keys, descriptions.
            _ => (page + size / 2 + rng.index(size / 2), [1, 2, 4, 6][rng.index(4)]),
        };
        // The arrays of a page that claims too much would end beyond the file.
        let at = at.min(image.len());
        let width = width.min(image.len() - at);
        let value = match rng.below(8) {
            0 => 0,
            1 => rng.below(4),
            2 => u64::MAX,
            3 => 1 << rng.below(48),
            4 => rng.below(pages as u64 + 2),
            5 => (page / size) as u64,
            6 => (size as u64).wrapping_sub(rng.below(40)),
            _ => rng.next(),
        };
        image[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        if rng.one_in(12) {
            let (a, b) = (rng.index(pages) * size, rng.index(pages) * size);
            image.copy_within(a..a + size, b);
        }
    }
    repair(image);
}

fn scan(db: &Db, table: TableId, reverse: bool) -> Result<()> {
    let read = db.begin_read()?;
    let txn = &mut &read;
    let range = Range {
        reverse,
        ..Range::default()
    };
    let mut cursor = Cursor::new(txn, table, &range)?;
    let mut entries = 0;
    while cursor.next(txn)? {
        let key = cursor.key().to_vec();
        let _ = cursor.value(txn).map(<[u8]>::len);
        if entries % 16 == 0 {
            let _ = read.get(table, &key);
            let _ = (&read).rank(table, &key);
        }
        entries += 1;
        assert!(entries < ENTRIES, "more entries than the file can hold");
    }
    Ok(())
}

fn write(db: &Db) -> Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    for i in 0..40 {
        let key = format!("key {}", i * 23);
        match i % 3 {
            0 => drop(txn.delete(TableId::MAIN, key.as_bytes())?),
            _ => txn.put(TableId::MAIN, key.as_bytes(), &[9; 50], PutMode::Set)?,
        }
    }
    txn.put(TableId::MAIN, b"long", &[1; 9000], PutMode::Set)?;
    let table = txn.table_create(b"table 1", false)?;
    txn.take_first(table, &Range::default())?;
    txn.commit().map(|_| ())
}

/// Everything that is done to a file; errors are answers, everything else fails.
fn exercise(dir: &TempDir, path: &Path) -> bool {
    let job = Job::silent();
    let (copy, saved) = (dir.file("copy.kv"), dir.file("saved.kv"));
    let rescued = salvage(path, &saved, true, &job, &mut |_| true);
    if rescued.is_ok() {
        let db = Db::open(&saved, &Options::default()).expect("what was saved opens");
        db.check(true, &mut |fault| panic!("what was saved is not sound: {fault:?}"))
            .expect("check");
    }
    let Ok(db) = Db::open(path, &Options::default()) else {
        return false;
    };
    for reverse in [false, true] {
        let _ = scan(&db, TableId::MAIN, reverse);
    }
    if let Ok(read) = db.begin_read() {
        for name in [&b"table 0"[..], b"table 1"] {
            if let Ok(table) = (&read).table(name) {
                let _ = scan(&db, table, false);
                let _ = (&read).table_stat(table);
                let _ = (&read).count(table, &Range::default());
            }
        }
        let whole = read.check(true, &job, &mut |_| true);
        let options = BackupOptions {
            overwrite: true,
            ..BackupOptions::default()
        };
        if read.backup(&copy, options, &job).is_ok() {
            let db = Db::open(&copy, &Options::default()).expect("a copy opens");
            // The list of dead pages is made anew, so a copy that was made is sound whatever the source's list says.
            db.check(true, &mut |fault| {
                panic!("the copy is not sound: {fault:?}; source: {whole:?}")
            })
            .expect("check");
        }
        let compact = BackupOptions {
            compact: true,
            overwrite: true,
        };
        let _ = read.backup(&copy, compact, &job);
    }
    let _ = write(&db).and_then(|()| write(&db));
    let _ = db.check(true, &mut |_| true);
    let _ = scan(&db, TableId::MAIN, false);
    true
}

/// One file; false: it panicked.
fn file(bases: &[Vec<u8>], dir: &TempDir, which: usize, seed: u64, opened: &AtomicU64) -> bool {
    let mut image = bases[which].clone();
    mutate(&mut image, &mut Rng::new(seed));
    let path = dir.file("a.kv");
    std::fs::write(&path, &image).expect("write");
    match catch_unwind(AssertUnwindSafe(|| exercise(dir, &path))) {
        Ok(open) => {
            opened.fetch_add(u64::from(open), SeqCst);
            true
        }
        Err(_) => {
            // The panic's own message was printed just above this.
            eprintln!("fuzz: failed, add to tests/corpus/files.txt: {which} {seed}");
            false
        }
    }
}

fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0u64) * 4096
}

fn corpus(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name)
}

#[test]
#[ignore = "writes the good files of the corpus anew: what tests/corpus/files.txt lists means other files afterwards"]
fn regenerate_bases() {
    for (i, (page_size, seed)) in [(4096, 1), (4096, 2), (16384, 3)].into_iter().enumerate() {
        std::fs::write(corpus(&format!("{i}.kv")), base(page_size, seed)).expect("write");
    }
}

#[test]
fn hostile_files_are_answered_calmly() {
    let bases = [0, 1, 2].map(|i| std::fs::read(corpus(&format!("{i}.kv"))).expect("a good file"));
    let seconds = env_number("KV_FUZZ_SECONDS", 60);
    let seed = env_number("KV_SEED", 1);
    let (done, failed, opened) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let ended = AtomicBool::new(false);
    let kept: Vec<(usize, u64)> = std::fs::read_to_string(corpus("files.txt"))
        .expect("the corpus")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (which, seed) = line.split_once(' ').expect("base and seed");
            (which.parse().expect("base"), seed.parse().expect("seed"))
        })
        .collect();
    let end = Instant::now() + Duration::from_secs(seconds);
    std::thread::scope(|scope| {
        let (bases, done, failed, opened, kept, ended) = (&bases, &done, &failed, &opened, &kept, &ended);
        let work = |thread: u64| {
            let dir = TempDir::new("fuzz");
            let mut number = 0;
            let mut next = || {
                number += 1;
                let at = 2 * (number - 1) + thread;
                match kept.get(at as usize) {
                    Some(kept) => Some(*kept),
                    None if Instant::now() < end => {
                        let mixed = (seed * 2 + thread).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(at) >> 1;
                        Some(((mixed % 3) as usize, mixed))
                    }
                    None => None,
                }
            };
            while let Some((which, seed)) = next() {
                failed.fetch_add(u64::from(!file(bases, &dir, which, seed, opened)), SeqCst);
                done.fetch_add(1, SeqCst);
            }
        };
        let workers = [0, 1].map(|thread| scope.spawn(move || work(thread)));
        scope.spawn(move || {
            let (mut last, mut since) = (0, Instant::now());
            while !ended.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(100));
                let now = done.load(SeqCst);
                if now != last {
                    (last, since) = (now, Instant::now());
                }
                let memory = resident();
                if since.elapsed() > Duration::from_secs(SECONDS) || memory > MEMORY {
                    eprintln!(
                        "fuzz: KV_SEED={seed} hangs after {now} files, or {} MiB are resident",
                        memory >> 20
                    );
                    std::process::abort();
                }
            }
        });
        let answers = workers.map(|worker| worker.join());
        ended.store(true, SeqCst);
        answers.into_iter().for_each(|answer| answer.expect("a worker"));
    });
    let (done, failed, opened) = (done.into_inner(), failed.into_inner(), opened.into_inner());
    println!(
        "fuzz: {} passed, {failed} failed ({done} files, {opened} opened, {} kept, KV_SEED={seed})",
        done - failed,
        kept.len()
    );
    assert_eq!(failed, 0);
    assert!(
        opened > done / 10,
        "the mutations are too coarse: {opened} of {done} files were opened"
    );
}
