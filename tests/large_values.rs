//! Values far larger than memory should hold twice: written in parts, read back at offsets, replaced and deleted, their
//! pages given back.
//!
//! A value of 5 GiB with KV_LARGE=1, or by itself where 12 GiB are free; one of 300 MiB always.

mod common;

use common::cold::Cold;
use common::rng::{mix, Rng};
use common::tmp::TempDir;
use kv::{Db, Options, PutMode, Range, Reader, TableId, WriteOptions};
use std::path::Path;
use std::sync::Arc;

const BLOCK: usize = 1 << 20;

/// Block `i` of a value: pseudo-random, so that a block at the wrong place is noticed.
fn block(i: u64, out: &mut [u8]) {
    Rng::new(mix(i)).fill(out);
}

/// Bytes free in the file system of `path`.
#[allow(unsafe_code)]
fn free_bytes(path: &Path) -> u64 {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).expect("a path");
    // SAFETY: all zero bytes are a statvfs.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string and a struct to be filled.
    let answer = unsafe { libc::statvfs(path.as_ptr(), &mut stat) };
    if answer != 0 {
        return 0;
    }
    stat.f_bavail as u64 * stat.f_frsize as u64
}

fn write(db: &Db, blocks: u64, hint: u64) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let mut writer = txn.writer(TableId::MAIN, b"large", hint, PutMode::Set).expect("writer");
    let mut bytes = vec![0; BLOCK];
    for i in 0..blocks {
        block(i, &mut bytes);
        writer.write(&mut txn, &bytes).expect("write");
    }
    // An odd end, so that the last piece is short.
    writer.write(&mut txn, b"the end").expect("write");
    writer.finish(&mut txn).expect("finish");
    txn.commit().expect("commit");
}

fn verify(db: &Db, blocks: u64) {
    let read = db.begin_read().expect("read");
    let mut txn = &read;
    let len = blocks * BLOCK as u64 + 7;
    assert_eq!(
        txn.value_info(TableId::MAIN, b"large")
            .expect("info")
            .expect("present")
            .len,
        len
    );
    let (mut want, mut got) = (vec![0; BLOCK], vec![0; BLOCK]);
    let mut rng = Rng::new(5);
    // The ends, the borders of 4 GiB, and places chosen at random, each across the border of two blocks.
    let borders = [
        0,
        1,
        blocks - 1,
        (4 << 30) / BLOCK as u64,
        rng.below(blocks),
        rng.below(blocks),
    ];
    for i in borders.into_iter().filter(|i| *i < blocks) {
        let at = i * BLOCK as u64 + BLOCK as u64 / 2;
        let n = txn
            .read_value(TableId::MAIN, b"large", at, &mut got)
            .expect("read")
            .expect("present");
        assert_eq!(n as u64, (len - at).min(BLOCK as u64));
        block(i, &mut want);
        assert!(got[..BLOCK / 2] == want[BLOCK / 2..], "block {i} of {blocks}");
        if i + 1 < blocks {
            block(i + 1, &mut want);
            assert!(got[BLOCK / 2..] == want[..BLOCK / 2], "block {} of {blocks}", i + 1);
        }
    }
    let n = txn
        .read_value(TableId::MAIN, b"large", len - 7, &mut got)
        .expect("read")
        .expect("present");
    assert_eq!(&got[..n], b"the end");
}

fn clean(db: &Db, entries: u64) -> u64 {
    let report = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    assert_eq!(report.entries, entries);
    report.overflow_pages
}

/// Commits something, so that what the commit before gave back is settled.
fn touch(db: &Db, i: u8) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.put(TableId::MAIN, b"small", &[i], PutMode::Set).expect("put");
    txn.commit().expect("commit");
}

/// Writes, reads, deletes, writes again: the second time into the pages of the first.
fn life_of(blocks: u64) {
    let dir = TempDir::new("large");
    let path = dir.file("large.kv");
    let db = Db::open(&path, &Options::default()).expect("open");
    touch(&db, 0);
    write(&db, blocks, 0);
    verify(&db, blocks);
    drop(db);

    let db = Db::open(&path, &Options::default()).expect("open");
    verify(&db, blocks);
    assert!(clean(&db, 2) >= blocks * BLOCK as u64 / 4096);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    assert!(txn.delete(TableId::MAIN, b"large").expect("delete"));
    txn.commit().expect("commit");
    assert_eq!(clean(&db, 1), 0, "pages of a deleted value are still in use");
    touch(&db, 1);
    touch(&db, 2);
    let before = db.stat().pages;
    write(&db, blocks, blocks * BLOCK as u64 + 7);
    verify(&db, blocks);
    let grown = db.stat().pages.saturating_sub(before);
    assert!(
        grown <= before / 50 + 64,
        "a value of the same size took {grown} new pages of {before}"
    );
    clean(&db, 2);
}

#[test]
fn a_value_of_300_mib() {
    // A process of 32 bits reserves addresses for a file of 256 MiB.
    life_of(if cfg!(target_pointer_width = "32") { 60 } else { 300 });
}

#[test]
fn a_value_of_5_gib() {
    let wanted = std::env::var("KV_LARGE").is_ok_and(|value| value == "1");
    let free = free_bytes(&std::env::var_os("KV_TMP").map_or_else(std::env::temp_dir, Into::into));
    if cfg!(target_pointer_width = "32") {
        eprintln!("left out: a process of 32 bits has no addresses for it");
        return;
    }
    if !wanted && free < 12 << 30 {
        eprintln!(
            "left out: {} GiB are free, 12 are needed; KV_LARGE=1 runs it anyway",
            free >> 30
        );
        return;
    }
    life_of(5 << 10);
}

#[test]
fn an_aborted_value_leaves_nothing_behind() {
    let dir = TempDir::new("aborted");
    let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("open");
    touch(&db, 0);
    let mut bytes = vec![0; BLOCK];
    let mut pages = 0;
    for round in 0..12u8 {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        let mut writer = txn.writer(TableId::MAIN, b"large", 0, PutMode::Set).expect("writer");
        for i in 0..20 {
            block(i, &mut bytes);
            writer.write(&mut txn, &bytes).expect("write");
        }
        match round % 3 {
            0 => writer.cancel(&mut txn),
            // Forgotten: its pages come back with the transaction's end.
            1 => {
                let _forgotten = writer;
            }
            _ => {
                writer.finish(&mut txn).expect("finish");
                assert!(txn.delete(TableId::MAIN, b"large").expect("delete"));
            }
        }
        if round % 2 == 0 {
            txn.put(TableId::MAIN, b"small", &[round], PutMode::Set).expect("put");
            txn.commit().expect("commit");
        } else {
            drop(txn);
        }
        assert_eq!(clean(&db, 1), 0);
        if round == 5 {
            pages = db.stat().pages;
        }
    }
    let grown = db.stat().pages.saturating_sub(pages);
    assert!(grown <= 64, "given up values took {grown} new pages");
}

#[test]
fn many_sizes_around_the_borders_of_pages_and_pieces() {
    for page_size in [4096u32, 65536] {
        let options = Options {
            memory: true,
            page_size,
            ..Options::default()
        };
        let db = Db::open(Path::new(""), &options).expect("open");
        let page = page_size as usize;
        let mut sizes = Vec::new();
        for border in [
            page / 8,
            page / 4,
            page / 2,
            page,
            2 * page,
            BLOCK,
            2 * BLOCK,
            33 * BLOCK,
        ] {
            sizes.extend([border - 1, border, border + 1]);
        }
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for (i, size) in sizes.iter().enumerate() {
            let mut value = vec![0; *size];
            block(i as u64, &mut value);
            txn.put(TableId::MAIN, &[i as u8], &value, PutMode::Set).expect("put");
            assert!(
                txn.get(TableId::MAIN, &[i as u8]).expect("get") == Some(&value),
                "own value of {size} bytes"
            );
        }
        txn.commit().expect("commit");
        let read = db.begin_read().expect("read");
        for (i, size) in sizes.iter().enumerate() {
            let mut value = vec![0; *size];
            block(i as u64, &mut value);
            assert!(
                read.get(TableId::MAIN, &[i as u8]).expect("get") == Some(&value),
                "value of {size} bytes"
            );
        }
        assert_eq!(
            (&read).count(TableId::MAIN, &Range::default()).expect("count"),
            sizes.len() as u64
        );
        clean(&db, sizes.len() as u64);
    }
}

#[test]
fn a_wrong_hint_is_no_limit() {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    // The last of so many has addresses for 16 GiB, fewer than some of the hints want.
    let others = if cfg!(target_pointer_width = "32") { 0 } else { 70 };
    let _others: Vec<Db> = (0..others)
        .map(|_| Db::open(Path::new(""), &options).expect("open"))
        .collect();
    let db = Db::open(Path::new(""), &options).expect("open");
    for hint in [0, 1, BLOCK as u64, 20 << 20, 1 << 37, u64::MAX] {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        // Something else takes pages in between, so that no extent adjoins the one before it.
        let mut values =
            [b"one", b"two"].map(|key| txn.writer(TableId::MAIN, key, hint, PutMode::Set).expect("writer"));
        let mut bytes = vec![0; BLOCK];
        for i in 0..24 {
            block(i, &mut bytes);
            for value in &mut values {
                value
                    .write(&mut txn, &bytes)
                    .unwrap_or_else(|e| panic!("{hint} expected: {e}"));
            }
        }
        for value in values {
            value
                .finish(&mut txn)
                .unwrap_or_else(|e| panic!("{hint} expected: {e}"));
        }
        txn.commit().expect("commit");
        let read = db.begin_read().expect("read");
        for key in [b"one", b"two"] {
            let value = read.get(TableId::MAIN, key).expect("get").expect("a value");
            for (i, found) in value.chunks(BLOCK).enumerate() {
                block(i as u64, &mut bytes);
                assert!(found == bytes, "{hint} expected: block {i} of {key:?}");
            }
        }
        let report = db.check(true, &mut |fault| panic!("{hint} expected: {fault:?}"));
        assert_eq!(report.expect("check").entries, 2);
    }
}

/// A piece is asked for before it is verified. A large one is asked for each time, or its reader waits for page after
/// page; asking again for a small one costs more than that.
#[test]
fn small_pieces_are_asked_for_once() {
    let cold = Arc::new(Cold::new());
    let db = Db::open_storage(cold.clone(), &Options::default()).expect("open");
    for (len, again) in [(3000, 0), (20_000, 0), (64 << 10, 0), ((64 << 10) + 1, 1), (200_000, 1)] {
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        txn.put(TableId::MAIN, b"k", &vec![9; len], PutMode::Set).expect("put");
        txn.commit().expect("commit");
        let read = db.begin_read().expect("read");
        let counts = [0; 4].map(|_| {
            cold.wanted();
            let value = read.get(TableId::MAIN, b"k").expect("get");
            assert_eq!(value.map(<[u8]>::len), Some(len));
            cold.wanted().len()
        });
        assert_eq!(counts[1..], [again; 3], "{len} bytes: {counts:?}");
    }
}
