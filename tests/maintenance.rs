//! Checking and copying a database while it is used: what a copy holds, what a damaged source answers, what is left
//! after a failure, and that progress is told and cancels.

mod common;

use common::rng::Rng;
use common::tmp::TempDir;
use kv::Error;
use kv::{
    BackupOptions, Cursor, Db, Job, Options, PageNo, PutMode, Range, ReadTxn, Reader, TableId, Verify, WriteOptions,
};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

const COMPACT: BackupOptions = BackupOptions {
    compact: true,
    overwrite: false,
};
const IMAGE: BackupOptions = BackupOptions {
    compact: false,
    overwrite: false,
};

/// Everything a snapshot holds: tables by name with number and note, and their entries.
type Content = BTreeMap<Vec<u8>, (TableId, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)>;

fn entries(read: &ReadTxn, table: TableId) -> Vec<(Vec<u8>, Vec<u8>)> {
    let txn = &mut &*read;
    let mut cursor = Cursor::new(txn, table, &Range::default()).expect("cursor");
    let mut all = Vec::new();
    while cursor.next(txn).expect("next") {
        all.push((cursor.key().to_vec(), cursor.value(txn).expect("value").to_vec()));
    }
    all
}

fn content(read: &ReadTxn) -> Content {
    let mut all = Content::new();
    all.insert(Vec::new(), (TableId::MAIN, Vec::new(), entries(read, TableId::MAIN)));
    for (name, number) in entries(read, TableId::NAMES) {
        let table = TableId::new(u64::from_le_bytes(number.try_into().expect("8 bytes")));
        let note = (&mut &*read).table_note(table).expect("note");
        all.insert(name, (table, note, entries(read, table)));
    }
    all
}

/// Returns whether the file can grow further: a process of 32 bits has reserved addresses for 256 MiB.
fn has_room(db: &Db) -> bool {
    let stat = db.stat();
    cfg!(target_pointer_width = "64") || stat.pages * u64::from(stat.page_size) < 150 << 20
}

/// One transaction of random changes: small and long values, long keys, tables that come, change and go.
fn change(db: &Db, rng: &mut Rng) {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for _ in 0..300 {
        let mut key = format!("key {}", rng.below(3000)).into_bytes();
        if rng.one_in(30) {
            key.resize(900 + rng.index(9000), b'k');
        }
        match rng.below(10) {
            0..=2 => drop(txn.delete(TableId::MAIN, &key).expect("delete")),
            3 if rng.one_in(3) => {
                let long = rng.range(5000, 2_500_000);
                txn.put(TableId::MAIN, &key, &rng.bytes(long), PutMode::Set)
                    .expect("put");
            }
            _ => {
                let n = rng.range(0, 300);
                txn.put(TableId::MAIN, &key, &rng.bytes(n), PutMode::Set).expect("put");
            }
        }
    }
    let name = format!("table {}", rng.below(5)).into_bytes();
    let table = txn.table_create(&name, false).expect("create");
    for i in 0..200u64 {
        txn.put(
            table,
            &(i * rng.range(1, 4) as u64).to_be_bytes(),
            &i.to_le_bytes(),
            PutMode::Set,
        )
        .expect("put");
    }
    txn.table_set_note(table, &rng.bytes(20)).expect("note");
    if rng.one_in(4) {
        txn.table_drop(table).expect("drop");
    }
    txn.commit().expect("commit");
}

fn sound(path: &Path) -> Db {
    let options = Options {
        existing: true,
        ..Options::default()
    };
    let db = Db::open(path, &options).expect("open the copy");
    db.check(true, &mut |fault| panic!("{}: {fault:?}", path.display()))
        .expect("check the copy");
    db
}

/// Names in a directory: nothing must be left over.
fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(path)
        .expect("directory")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_copy_is_the_snapshot_and_a_sound_database_that_can_be_written() {
    for (page_size, seed) in [(4096, 1), (16384, 2), (65536, 3)] {
        let dir = TempDir::new("maintenance-copy");
        let mut rng = Rng::new(seed);
        let options = Options {
            page_size,
            ..Options::default()
        };
        let db = Db::open(&dir.file("a.kv"), &options).expect("create");
        // Nothing in it yet: also a database.
        let empty = db.begin_read().expect("read");
        for (name, how) in [("empty", IMAGE), ("empty compact", COMPACT)] {
            empty.backup(&dir.file(name), how, &Job::silent()).expect("backup");
            assert_eq!(
                content(&sound(&dir.file(name)).begin_read().expect("read")),
                content(&empty)
            );
        }
        drop(empty);
        (0..25).for_each(|_| change(&db, &mut rng));
        let read = db.begin_read().expect("read");
        let want = content(&read);
        assert!(
            want.len() > 2 && want[&b""[..]].2.len() > 500,
            "too little to prove anything"
        );
        // Others write meanwhile, and reuse what they can.
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut rng = Rng::new(seed + 100);
                let mut commits = 0;
                while !stop.load(SeqCst) {
                    if has_room(&db) {
                        change(&db, &mut rng);
                        commits += 1;
                    }
                }
                commits
            });
            for (name, how) in [("image", IMAGE), ("compact", COMPACT)] {
                read.backup(&dir.file(name), how, &Job::silent()).expect("backup");
            }
            stop.store(true, SeqCst);
            assert!(writer.join().expect("writer") > 0 || !has_room(&db));
        });
        let mut streams: Vec<Vec<u8>> = Vec::new();
        for how in [IMAGE, COMPACT] {
            let mut stream = Vec::new();
            read.backup_to(how, &Job::silent(), &mut |bytes| {
                stream.extend_from_slice(bytes);
                Ok(())
            })
            .expect("stream");
            streams.push(stream);
        }
        std::fs::write(dir.file("streamed"), &streams[0]).expect("write");
        std::fs::write(dir.file("streamed compact"), &streams[1]).expect("write");
        assert!(streams[1].len() < streams[0].len(), "compact is not smaller");
        for name in ["image", "compact", "streamed", "streamed compact"] {
            let copy = sound(&dir.file(name));
            let at = copy.begin_read().expect("read");
            assert!(
                content(&at) == want,
                "{name} of page size {page_size} holds something else"
            );
            drop(at);
            let before = copy.stat().pages;
            let mut rng = Rng::new(9);
            (0..12).for_each(|_| change(&copy, &mut rng));
            let after = copy.stat().pages;
            copy.check(true, &mut |fault| panic!("{name} after writing: {fault:?}"))
                .expect("check");
            if name == "image" {
                assert!(
                    after < before * 2,
                    "dead pages of the copy are not reused: {before} to {after}"
                );
            }
            drop(copy);
            sound(&dir.file(name));
        }
        drop(read);
        let left: Vec<String> = names(dir.path()).into_iter().filter(|n| n.starts_with('.')).collect();
        assert!(left.is_empty(), "left over: {left:?}");
    }
}

#[test]
fn a_copy_survives_the_loss_of_either_of_its_slots() {
    let dir = TempDir::new("maintenance-slots");
    let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("create");
    let mut rng = Rng::new(4);
    (0..40).for_each(|_| change(&db, &mut rng));
    let read = db.begin_read().expect("read");
    read.backup(&dir.file("b.kv"), IMAGE, &Job::silent()).expect("backup");
    let image = std::fs::read(dir.file("b.kv")).expect("read");
    for slot in 0..2 {
        let mut damaged = image.clone();
        damaged[slot * 4096 + 60] ^= 4;
        std::fs::write(dir.file("c.kv"), &damaged).expect("write");
        assert!(content(&sound(&dir.file("c.kv")).begin_read().expect("read")) == content(&read));
    }
}

#[test]
fn the_open_file_is_copied_and_not_what_its_path_names_now() {
    let dir = TempDir::new("maintenance-path");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("create");
    let mut rng = Rng::new(5);
    change(&db, &mut rng);
    let read = db.begin_read().expect("read");
    let want = content(&read);
    std::fs::rename(&path, dir.file("moved.kv")).expect("rename");
    let other = Db::open(&path, &Options::default()).expect("another");
    change(&other, &mut rng);
    for (name, how) in [("image", IMAGE), ("compact", COMPACT)] {
        read.backup(&dir.file(name), how, &Job::silent()).expect("backup");
        assert!(content(&sound(&dir.file(name)).begin_read().expect("read")) == want);
    }
}

#[test]
fn a_present_target_is_refused_or_replaced_and_never_the_database_itself() {
    let dir = TempDir::new("maintenance-target");
    let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("create");
    change(&db, &mut Rng::new(6));
    let read = db.begin_read().expect("read");
    std::fs::write(dir.file("b.kv"), b"precious").expect("write");
    let refused = read.backup(&dir.file("b.kv"), IMAGE, &Job::silent());
    assert!(matches!(refused, Err(Error::FileExists(_))), "{refused:?}");
    assert_eq!(std::fs::read(dir.file("b.kv")).expect("read"), b"precious");
    let replacing = BackupOptions {
        overwrite: true,
        ..IMAGE
    };
    read.backup(&dir.file("b.kv"), replacing, &Job::silent())
        .expect("backup");
    assert!(content(&sound(&dir.file("b.kv")).begin_read().expect("read")) == content(&read));
    std::fs::hard_link(dir.file("a.kv"), dir.file("link.kv")).expect("link");
    for name in ["a.kv", "link.kv"] {
        let refused = read.backup(&dir.file(name), replacing, &Job::silent());
        assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    }
    let refused = read.backup(&dir.file("no/such/place"), IMAGE, &Job::silent());
    assert!(matches!(refused, Err(Error::NoFile(_))), "{refused:?}");
}

/// Changes a byte of the open file behind the library's back.
fn rot(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 0x40], at).expect("write");
}

#[test]
fn damage_in_use_is_found_again_and_nothing_damaged_is_copied() {
    // However the database was opened, and although the pages were verified when they were read first.
    for verify in [Verify::Once, Verify::Always, Verify::Never] {
        let dir = TempDir::new("maintenance-rot");
        let path = dir.file("a.kv");
        let options = Options {
            verify,
            ..Options::default()
        };
        let db = Db::open(&path, &options).expect("create");
        let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
        for i in 0..4000u32 {
            txn.put(TableId::MAIN, &i.to_be_bytes(), &[1; 60], PutMode::Set)
                .expect("put");
        }
        txn.put(TableId::MAIN, b"long", &[2; 3 << 20], PutMode::Set)
            .expect("put");
        txn.commit().expect("commit");
        let read = db.begin_read().expect("read");
        assert_eq!(content(&read)[&b""[..]].2.len(), 4001);
        let mut reader = &read;
        let pieces = reader
            .value_pieces(TableId::MAIN, b"long")
            .expect("pieces")
            .expect("there");
        assert_eq!(pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>(), 3 << 20);
        let (long, leaf) = (
            pieces[0].file_offset.expect("a place in the file"),
            (4..).map(|p| p * 4096).find(|at| {
                let mut begin = [0; 2];
                let file = std::fs::File::open(&path).expect("open");
                file.read_exact_at(&mut begin, *at).expect("read");
                matches!(begin, [1 | 2, 1])
            }),
        );
        for (at, page) in [
            (leaf.expect("a leaf") + 3000, None),
            (long + (2 << 20) + 5, Some(long / 4096 + 512)),
        ] {
            rot(&path, at);
            let page = Some(PageNo::new(page.unwrap_or(at / 4096)));
            let mut found = Vec::new();
            let report = read.check(true, &Job::silent(), &mut |fault| {
                found.push(fault.page);
                true
            });
            assert_eq!(report.expect("check").faults, found.len() as u64);
            assert!(
                found.contains(&page),
                "{verify:?}: page {page:?} is damaged, found: {found:?}"
            );
            for (name, how) in [("image", IMAGE), ("compact", COMPACT)] {
                let refused = read.backup(&dir.file(name), how, &Job::silent());
                let named =
                    matches!(&refused, Err(Error::Corrupt(c)) if c.page == page && c.table == Some(TableId::MAIN));
                assert!(named, "{verify:?} {name}: {refused:?}");
            }
            assert_eq!(names(dir.path()), ["a.kv", "a.kv-shm"]);
            rot(&path, at);
        }
        // Where a value lies is known without looking at it.
        rot(&path, long + 100);
        assert!((&mut &read)
            .value_pieces(TableId::MAIN, b"long")
            .expect("pieces")
            .is_some());
        rot(&path, long + 100);
        db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    }
}

#[test]
fn pages_below_a_damaged_branch_are_no_fault_of_their_own() {
    let dir = TempDir::new("maintenance-branch");
    let path = dir.file("a.kv");
    let db = Db::open(&path, &Options::default()).expect("create");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for i in 0..4000u32 {
        txn.put(TableId::MAIN, &i.to_be_bytes(), &[1; 60], PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    let sound = db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
    assert_eq!(sound.unaccounted_pages, 0);
    let bytes = std::fs::read(&path).expect("read");
    // The first byte of a branch is 3, and the second its level.
    let branch = (4..)
        .map(|page| page * 4096)
        .find(|at| matches!(bytes[*at..*at + 2], [3, 2]));
    let at = branch.expect("a branch") as u64;
    rot(&path, at + 100);
    let mut found = Vec::new();
    let report = db.check(true, &mut |fault| {
        found.push(fault.clone());
        true
    });
    let report = report.expect("check");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((report.faults, found[0].page), (1, Some(PageNo::new(at / 4096))));
    // The branch itself is one of them.
    assert_eq!(
        report.unaccounted_pages,
        sound.tree_pages - report.tree_pages,
        "{report:?}"
    );
    assert!(report.unaccounted_pages > 50, "{report:?}");
}

#[test]
fn a_check_on_a_snapshot_is_not_disturbed_by_writers() {
    let dir = TempDir::new("maintenance-online");
    let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("create");
    let mut rng = Rng::new(7);
    (0..5).for_each(|_| change(&db, &mut rng));
    let old = db.begin_read().expect("read");
    (0..5).for_each(|_| change(&db, &mut rng));
    let (want, newest) = (content(&old), db.stat().visible);
    let report = old
        .check(false, &Job::silent(), &mut |fault| panic!("{fault:?}"))
        .expect("check");
    let counted: usize = want.values().map(|table| table.2.len()).sum();
    assert_eq!((report.id, report.entries), (old.id(), counted as u64));
    let report = old
        .check(true, &Job::silent(), &mut |fault| panic!("{fault:?}"))
        .expect("check");
    assert_eq!(report.id, newest, "the accounting is that of the newest commit");
    // While others write, both go on; no fault comes of it.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut rng = Rng::new(8);
            while !stop.load(SeqCst) {
                if has_room(&db) {
                    change(&db, &mut rng);
                }
            }
        });
        for round in 0..20 {
            let read = db.begin_read().expect("read");
            let found = read.check(round % 2 == 0, &Job::silent(), &mut |fault| panic!("{fault:?}"));
            assert!(matches!(found, Ok(_) | Err(Error::Busy(_))), "{found:?}");
        }
        stop.store(true, SeqCst);
    });
    assert!(content(&old) == want);
}

#[test]
fn a_check_of_space_waits_for_a_writer_as_the_database_was_opened_and_can_be_interrupted() {
    let dir = TempDir::new("maintenance-wait");
    let path = dir.file("a.kv");
    let writing = Db::open(&path, &Options::default()).expect("create");
    let open = |wait| {
        let options = Options {
            wait,
            ..Options::default()
        };
        Db::open(&path, &options).expect("open")
    };
    let (impatient, patient) = (open(Some(Duration::from_millis(20))), open(None));
    let writer = writing.begin_write(WriteOptions::default()).expect("write");
    let busy = impatient.check(true, &mut |fault| panic!("{fault:?}"));
    let says_who =
        matches!(&busy, Err(Error::Busy(why)) if why.contains("another transaction of this process is writing"));
    assert!(says_who, "{busy:?}");
    std::thread::scope(|scope| {
        let check = scope.spawn(|| patient.check(true, &mut |fault| panic!("{fault:?}")));
        // An interrupt that comes before the wait begins is not meant for it.
        while !check.is_finished() {
            patient.interrupt();
            std::thread::sleep(Duration::from_millis(1));
        }
        let ended = check.join().expect("no panic");
        assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    });
    drop(writer);
    impatient.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
}

#[test]
fn jobs_tell_their_progress_and_can_be_cancelled() {
    let dir = TempDir::new("maintenance-cancel");
    let db = Db::open(&dir.file("a.kv"), &Options::default()).expect("create");
    let mut rng = Rng::new(8);
    (0..5).for_each(|_| change(&db, &mut rng));
    let read = db.begin_read().expect("read");
    type Run<'a> = &'a dyn Fn(&Job<'_>) -> Result<(), Error>;
    let check: Run<'_> = &|job| read.check(true, job, &mut |_| true).map(|_| ());
    let image: Run<'_> = &|job| read.backup(&dir.file("b.kv"), IMAGE, job);
    let compact: Run<'_> = &|job| read.backup(&dir.file("b.kv"), COMPACT, job);
    let stream: Run<'_> = &|job| read.backup_to(IMAGE, job, &mut |_| Ok(()));
    for (name, run) in [
        ("check", check),
        ("image", image),
        ("compact", compact),
        ("stream", stream),
    ] {
        let mut calls = 0;
        let mut no = |_: u64, _: u64| {
            calls += 1;
            false
        };
        let answer = run(&Job::new(&mut no));
        assert!(matches!(answer, Err(Error::Cancelled)), "{name}: {answer:?}");
        assert_eq!(calls, 1, "{name} went on after it was cancelled");
        assert_eq!(names(dir.path()), ["a.kv", "a.kv-shm"], "{name} left something over");
        let mut last = (0, 1);
        let mut yes = |done: u64, total: u64| {
            assert!(
                done >= last.0 && done <= total,
                "{name}: {done} of {total} after {last:?}"
            );
            last = (done, total);
            true
        };
        run(&Job::new(&mut yes)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(last.0, last.1, "{name} did not tell its end");
        let _ = std::fs::remove_file(dir.file("b.kv"));
    }
    let mut written = 0;
    let full = read.backup_to(IMAGE, &Job::silent(), &mut |bytes| {
        written += bytes.len();
        if written > 100_000 {
            return Err(Error::Limit("no more".into()));
        }
        Ok(())
    });
    assert!(matches!(full, Err(Error::Limit(_))), "{full:?}");
}
