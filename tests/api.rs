//! The Rust API as a program outside of the project sees it: nothing but what `kv` itself exports, every item at least
//! once. Whoever changes this test changes the API.

use kv::{salvage, BackupOptions, CheckReport, Fault, Job, OnBytes, OnProgress, SalvageReport};
use kv::{same, Change, ChangeCounts, ChangeKind, Difference};
use kv::{set_memory_short, KEY_MAX, NAME_MAX, NOTE_MAX, VALUE_MAX};
use kv::{CommitId, Corruption, Detail, Error, PageNo, Result, TableId};
use kv::{Cursor, Db, Options, Range, ReadTxn, Reader, Seek, WriteOptions, WriteTxn};
use kv::{Durability, FileStat, LevelStat, PutMode, ReaderInfo, Recovery, TableStat, Verify, Wait, WriteStat};
use kv::{FileRange, Identity, ValueInfo, ValuePiece, ValueWriter, Writer};
use kv::{KeyBuf, Stored, PADDED};
use kv::{PageRun, PageUse, PageUses};
use std::ops::Bound;
use std::path::PathBuf;
use std::time::Duration;

const MAIN: TableId = TableId::MAIN;

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("kv-api-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn in_memory() -> Db {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    Db::open("".as_ref(), &options).expect("a database in memory")
}

fn commit(db: &Db, write: impl FnOnce(&mut WriteTxn) -> Result<()>) -> CommitId {
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    write(&mut txn).expect("write");
    txn.commit().expect("commit")
}

fn slice(bytes: &[u8]) -> Option<&[u8]> {
    Some(bytes)
}

#[test]
fn what_is_longer_than_a_limit_is_refused() {
    // Other tests of this process run meanwhile, so memory is never short here; tests/short_memory.rs tries that.
    set_memory_short(false);
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let long = vec![b'x'; KEY_MAX + 1];
    let too_big = |answer: Result<()>| matches!(answer, Err(Error::TooBig { limit, .. }) if limit < VALUE_MAX);
    assert!(too_big(txn.put(MAIN, &long, b"", PutMode::Set)));
    assert!(too_big(txn.table_create(&long[..=NAME_MAX], true).map(drop)));
    let table = txn.table_create(&long[..NAME_MAX], true).expect("create");
    assert!(too_big(txn.table_set_note(table, &long[..=NOTE_MAX])));
    txn.table_set_note(table, &long[..NOTE_MAX]).expect("note");
    txn.put(MAIN, &long[..KEY_MAX], b"", PutMode::Set).expect("put");
    txn.commit().expect("commit");
}

#[test]
fn opening_says_what_it_found_and_refuses_what_the_options_forbid() {
    let folder = Folder::new("open");
    let path = folder.file("db");
    let existing = Options {
        existing: true,
        ..Options::default()
    };
    assert!(matches!(Db::open(&path, &existing), Err(Error::NoFile(_))));
    let options = Options {
        page_size: 8192,
        new: true,
        verify: Verify::Always,
        durability: Durability::Lazy,
        wait: Some(Duration::from_secs(1)),
        write_memory: 1 << 20,
        ..Options::default()
    };
    let db = Db::open(&path, &options).expect("create");
    let exists = Db::open(&path, &options).expect_err("the file is there");
    assert!(matches!(exists, Error::FileExists(_)) && exists.file() == Some(&path));
    assert_eq!(
        exists.to_string(),
        format!("{}: the file exists already", path.display())
    );
    let id = commit(&db, |txn| txn.put(MAIN, b"k", b"v", PutMode::Set));
    db.sync().expect("sync");
    let stat: FileStat = db.stat();
    assert_eq!((stat.page_size, stat.visible, stat.durable), (8192, id, id));
    assert!(stat.dead_pages_known);
    assert!(db.opening_time() < Duration::from_secs(60));
    drop(db);
    let read_only = Options {
        read_only: true,
        verify: Verify::Never,
        ..Options::default()
    };
    let db = Db::open(&path, &read_only).expect("open");
    let Recovery {
        id: found,
        discarded,
        lost_slots,
        closed_properly,
    } = db.recovery();
    assert!(lost_slots == 0 && closed_properly);
    assert!(found >= id && discarded == 0);
    assert!(matches!(
        db.begin_write(WriteOptions::default()),
        Err(Error::ReadOnly(_))
    ));
    std::fs::write(folder.file("text"), vec![b'x'; 20_000]).expect("write");
    assert!(matches!(
        Db::open(&folder.file("text"), &existing),
        Err(Error::NotADatabase(_))
    ));
    let none = Db::open(&folder.file("none"), &existing).expect_err("there is no such file");
    assert!(none.raw_os_error().is_some());
    match none {
        Error::NoFile(detail) => {
            let detail: Box<Detail> = detail;
            assert_eq!(
                detail.system_error().map(std::io::Error::kind),
                Some(std::io::ErrorKind::NotFound)
            );
        }
        other => panic!("{other}"),
    }
}

#[test]
fn modes_and_deletes_answer_what_was_there() -> Result<()> {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default())?;
    txn.put(MAIN, b"a", b"1", PutMode::default())?;
    assert!(matches!(
        txn.put(MAIN, b"a", b"2", PutMode::NoOverwrite),
        Err(Error::Exists(_))
    ));
    assert!(matches!(
        txn.put(MAIN, b"b", b"2", PutMode::NoInsert),
        Err(Error::NotFound)
    ));
    txn.put(MAIN, b"z", b"26", PutMode::Append)?;
    assert!(matches!(
        txn.put(MAIN, b"y", b"25", PutMode::Append),
        Err(Error::Order(_))
    ));
    assert_eq!(txn.insert(MAIN, b"a", b"3")?, slice(b"1"));
    assert_eq!(txn.insert(MAIN, b"c", b"3")?, None);
    assert_eq!(txn.replace(MAIN, b"a", b"one", PutMode::Set)?, slice(b"1"));
    txn.reserve(MAIN, b"d", 4, PutMode::Set)?.copy_from_slice(b"four");
    assert_eq!(txn.get(MAIN, b"d")?, slice(b"four"));
    assert!(txn.delete(MAIN, b"c")? && !txn.delete(MAIN, b"c")?);
    txn.delete_blind(MAIN, b"c")?;
    assert_eq!(txn.take(MAIN, b"a")?, slice(b"one"));
    let first = txn.take_first(MAIN, &Range::default())?;
    assert_eq!(first, Some((&b"d"[..], &b"four"[..])));
    let range = Range {
        from: Bound::Included(b"x"),
        ..Range::default()
    };
    assert_eq!(txn.delete_range(MAIN, &range)?, 1);
    let stat: WriteStat = txn.stat();
    assert!(stat.bytes == 0 || stat.edits > 0);
    txn.check_usable()?;
    txn.poison();
    assert!(matches!(txn.check_usable(), Err(Error::TxnFailed(_))));
    assert!(matches!(txn.commit(), Err(Error::TxnFailed(_))));
    Ok(())
}

#[test]
fn tables_have_numbers_names_and_notes() -> Result<()> {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default())?;
    let fruit = txn.table_create(b"fruit", true)?;
    assert!(matches!(txn.table_create(b"fruit", true), Err(Error::Exists(_))));
    assert_eq!(txn.table_create(b"fruit", false)?, fruit);
    assert!(fruit >= TableId::FIRST_NAMED && TableId::new(fruit.get()) == fruit);
    txn.table_set_note(fruit, b"v1")?;
    txn.table_rename(fruit, b"food")?;
    txn.put(fruit, b"pear", b"green", PutMode::Set)?;
    let other = txn.table_create(b"other", true)?;
    txn.put(other, b"k", b"v", PutMode::Set)?;
    txn.table_clear(other)?;
    assert_eq!(txn.count(other, &Range::default())?, 0);
    txn.table_drop(other)?;
    txn.commit()?;

    let read = db.begin_read()?;
    let mut reader = &read;
    assert_eq!(reader.table(b"food")?, fruit);
    assert_eq!(reader.table_note(fruit)?, b"v1");
    assert_eq!(reader.table_name(fruit)?, b"food");
    assert_eq!(reader.get(TableId::NAMES, b"food")?, slice(&fruit.get().to_le_bytes()));
    assert!(matches!(reader.table(b"fruit"), Err(Error::NoTable(_))));
    assert!(matches!(reader.get(other, b"k"), Err(Error::NoTable(_))));
    Ok(())
}

#[test]
fn a_database_says_which_one_it_is() -> Result<()> {
    assert_eq!(in_memory().identity().path, PathBuf::new());
    let folder = Folder::new("identity");
    let path = folder.file("a.kv");
    let db = Db::open(&path, &Options::default())?;
    let identity: Identity = db.identity();
    assert_eq!((&identity.path, identity.format_version), (&path, 1));
    assert_eq!(Db::open(&path, &Options::default())?.identity().uuid, identity.uuid);
    assert_ne!(in_memory().identity().uuid, identity.uuid);
    Ok(())
}

#[test]
fn readers_count_rank_and_look_at_values() -> Result<()> {
    let db = in_memory();
    commit(&db, |txn| {
        for n in 0..1000u32 {
            txn.put(MAIN, &n.to_be_bytes(), &n.to_le_bytes(), PutMode::Append)?;
        }
        Ok(())
    });
    let read: ReadTxn = db.begin_read_with(|txn| txn)?;
    let mut reader = &read;
    assert!(reader.contains(MAIN, &7u32.to_be_bytes())?);
    assert_eq!(reader.count(MAIN, &Range::default())?, 1000);
    assert_eq!(reader.rank(MAIN, &500u32.to_be_bytes())?, 500);
    let keys = [1u32.to_be_bytes(), 2000u32.to_be_bytes()];
    let keys = [&keys[0][..], &keys[1][..]];
    let mut found = Vec::new();
    reader.get_many(MAIN, &keys, &mut found)?;
    assert_eq!(found, [slice(&1u32.to_le_bytes()), None]);
    let mut each = 0;
    reader.get_each(MAIN, &keys, &mut |value| each += u32::from(value.is_some()))?;
    assert_eq!(each, 1);
    let stat: TableStat = reader.table_stat(MAIN)?;
    let leaves: LevelStat = reader.level_stat(MAIN, 1)?;
    assert_eq!(
        (stat.entries, stat.leaf_pages, leaves.items),
        (1000, leaves.pages, 1000)
    );
    // Both kinds of transaction, behind one trait.
    fn entries(txn: &mut dyn Reader) -> Result<u64> {
        txn.count(MAIN, &Range::default())
    }
    let mut txn = db.begin_write(WriteOptions::default())?;
    txn.delete(MAIN, &0u32.to_be_bytes())?;
    assert_eq!((entries(&mut &read)?, entries(&mut txn)?), (1000, 999));
    assert_eq!(Reader::id(&txn), read.id());
    Ok(())
}

#[test]
fn cursors_go_both_ways_and_find_their_position_again() -> Result<()> {
    let db = in_memory();
    let mut txn = db.begin_write(WriteOptions::default())?;
    for key in ["user:1", "user:2", "user:3", "zebra"] {
        txn.put(MAIN, key.as_bytes(), b"x", PutMode::Set)?;
    }
    let users = Range {
        prefix: Some(b"user:"),
        ..Range::default()
    };
    let mut cursor = Cursor::new(&mut txn, MAIN, &users)?;
    assert_eq!(cursor.table(), MAIN);
    assert!(cursor.first(&mut txn)? && cursor.key() == b"user:1");
    assert!(cursor.next(&mut txn)? && cursor.key() == b"user:2");
    cursor.put(&mut txn, b"two")?;
    assert_eq!(cursor.value(&mut txn)?, b"two");
    assert_eq!((cursor.count(&mut txn)?, cursor.rank(&mut txn)?), (3, 1));
    cursor.delete(&mut txn)?;
    assert!(!cursor.get(&mut txn)?);
    assert!(matches!(cursor.value(&mut txn), Err(Error::NotFound)));
    assert!(cursor.prev(&mut txn)? && cursor.key() == b"user:1");
    assert!(cursor.last(&mut txn)? && cursor.key() == b"user:3");
    assert!(!cursor.next(&mut txn)?, "the range ends before the zebra");
    assert!(cursor.nth(&mut txn, 1)? && cursor.key() == b"user:3");
    for (percent, key) in [
        (0.0, b"user:1"),
        (50.0, b"user:1"),
        (50.1, b"user:3"),
        (100.0, b"user:3"),
    ] {
        assert!(
            cursor.percentile(&mut txn, percent)? && cursor.key() == key,
            "{percent}"
        );
    }
    for percent in [-0.1, 100.1, f64::NAN] {
        let answer = cursor.percentile(&mut txn, percent);
        assert!(matches!(answer, Err(Error::Invalid(_))), "{percent}");
    }
    assert!(
        cursor.get(&mut txn)? && cursor.key() == b"user:3",
        "an error moves nothing"
    );
    assert!(cursor.random(&mut txn)? && cursor.key().starts_with(b"user:"));
    for (how, key) in [
        (Seek::Eq, b"user:1"),
        (Seek::Ge, b"user:1"),
        (Seek::Gt, b"user:3"),
        (Seek::Le, b"user:1"),
    ] {
        assert!(cursor.seek(&mut txn, b"user:1", how)? && cursor.key() == key, "{how:?}");
    }
    assert!(!cursor.seek(&mut txn, b"user:1", Seek::Lt)?);
    let mut many = Vec::new();
    let taken = cursor.next_many(&mut txn, 10, &mut |key: &KeyBuf, value: Stored<'_>| {
        let padded = key.padded().is_some_and(|padded| padded.len() == PADDED);
        many.push((
            key.as_slice().to_vec(),
            padded,
            value.bytes().to_vec(),
            value.is_chain(),
        ));
        true
    })?;
    assert_eq!(taken, 2);
    assert_eq!(many[1], (b"user:3".to_vec(), true, b"x".to_vec(), false));
    let key = cursor.key().as_ptr_range();
    assert!(cursor.overlaps_key(cursor.key()) && !key.is_empty());
    let down = Range {
        reverse: true,
        to: Bound::Excluded(b"z"),
        ..Range::default()
    };
    let mut cursor = Cursor::new(&mut txn, MAIN, &down)?;
    assert!(cursor.next(&mut txn)? && cursor.key() == b"user:3");
    txn.commit()?;
    // Steps that a read transaction can make without a look at anything but the leaf.
    let read = db.begin_read()?;
    let mut cursor = Cursor::new(&mut &read, MAIN, &Range::default())?;
    assert!(cursor.first(&mut &read)?);
    assert_eq!(cursor.value(&mut &read)?, b"x");
    let mut steps = 0;
    while cursor.step_in_leaf(&read, false).is_some() || cursor.next(&mut &read)? {
        steps += 1;
    }
    assert_eq!(steps, 2, "user:3 and zebra");
    Ok(())
}

#[test]
fn long_values_are_written_and_read_in_parts() -> Result<()> {
    let folder = Folder::new("long");
    let db = Db::open(&folder.file("db"), &Options::default())?;
    let mut txn = db.begin_write(WriteOptions::default())?;
    let mut value: ValueWriter = txn.writer(MAIN, b"long", 3_000_000, PutMode::Set)?;
    (0..3).try_for_each(|n| value.write(&mut txn, &vec![n; 1_000_000]))?;
    value.finish(&mut txn)?;
    let gone = txn.writer(MAIN, b"gone", 0, PutMode::Set)?;
    gone.cancel(&mut txn);
    txn.put(MAIN, b"short", b"12345", PutMode::Set)?;
    txn.commit()?;
    let read = db.begin_read()?;
    let mut reader = &read;
    let info: ValueInfo = reader.value_info(MAIN, b"long")?.expect("present");
    let one: &[FileRange] = &info.extents;
    assert_eq!((info.len, one.len(), one[0].len), (3_000_000, 1, 3_000_000));
    let pieces: Vec<ValuePiece<'_>> = reader.value_pieces(MAIN, b"short")?.expect("present");
    assert_eq!((pieces[0].file_offset, pieces[0].bytes), (None, &b"12345"[..]));
    let mut part = [9; 4];
    assert_eq!(reader.read_value(MAIN, b"long", 999_998, &mut part)?, Some(4));
    assert_eq!(part, [0, 0, 1, 1]);
    assert_eq!(reader.read_value(MAIN, b"none", 0, &mut part)?, None);
    Ok(())
}

#[test]
fn many_entries_are_read_together_with_their_long_values() -> Result<()> {
    let db = in_memory();
    let long = vec![7; 100_000];
    commit(&db, |txn| {
        txn.put(MAIN, b"a", b"1", PutMode::Set)?;
        txn.put(MAIN, b"b", &long, PutMode::Set)?;
        txn.put(MAIN, b"c", b"3", PutMode::Set)?;
        txn.put(MAIN, b"d", &long, PutMode::Set)
    });
    let read = db.begin_read()?;
    // Each limit, and each entry that is refused: the cursor stays before it, and the next call gives it again.
    for limit in 1..6 {
        for refused in [None, Some(b"a"), Some(b"b"), Some(b"c"), Some(b"d")] {
            let mut cursor = Cursor::new(&mut &read, MAIN, &Range::default())?;
            let (mut refused, mut seen) = (refused, Vec::new());
            loop {
                let (mut given, mut stopped) = (0, false);
                let taken = cursor.read_many(&mut &read, limit, &mut |key: &KeyBuf, value: &[u8]| {
                    if refused.is_some_and(|refused| refused == key.as_slice()) {
                        (refused, stopped) = (None, true);
                        return false;
                    }
                    seen.push((key.to_vec(), value.len()));
                    given += 1;
                    true
                })?;
                assert_eq!(taken, given);
                if !stopped && taken < limit {
                    break;
                }
            }
            let lengths = [("a", 1), ("b", long.len()), ("c", 1), ("d", long.len())];
            assert_eq!(seen, lengths.map(|(key, len)| (key.as_bytes().to_vec(), len)));
        }
    }
    Ok(())
}

#[test]
fn commits_are_waited_for_and_readers_seen() -> Result<()> {
    let folder = Folder::new("wait");
    let db = Db::open(&folder.file("db"), &Options::default())?;
    let mut read = db.begin_read()?;
    let before = read.id();
    let options = WriteOptions {
        durability: Some(Durability::Full),
        wait: Some(Wait::For(Duration::from_secs(1))),
        ..WriteOptions::default()
    };
    let mut txn = db.begin_write(options)?;
    txn.put(MAIN, b"k", b"v", PutMode::Set)?;
    let again = WriteOptions {
        wait: Some(Wait::Try),
        ..options
    };
    assert!(matches!(db.begin_write(again), Err(Error::Busy(_))));
    let writer: Option<Writer> = db.writer();
    assert!(writer.is_some_and(|writer| writer.pid == std::process::id() && writer.age_ms < 60_000));
    let id = txn.commit_async()?;
    assert!(id > before && id > CommitId::NONE);
    assert_eq!(db.writer(), None);
    db.wait_durable(id, Wait::Forever)?;
    assert_eq!(db.wait_commit(before, Wait::Forever)?, id);
    assert!(matches!(db.wait_commit(id, Wait::Try), Err(Error::Busy(_))));
    db.interrupt();
    assert_eq!(db.held(), [before]);
    let readers: Vec<ReaderInfo> = db.readers();
    assert_eq!((readers.len(), readers[0].pid), (1, std::process::id()));
    read.refresh()?;
    assert_eq!((read.id(), read.get(MAIN, b"k")?), (id, slice(b"v")));
    Ok(())
}

#[test]
fn maintenance_checks_copies_and_saves() -> Result<()> {
    let folder = Folder::new("maintain");
    let (path, copy) = (folder.file("db"), folder.file("copy"));
    let db = Db::open(&path, &Options::default())?;
    commit(&db, |txn| {
        for n in 0..5000u32 {
            txn.put(MAIN, &n.to_be_bytes(), &[7; 50], PutMode::Append)?;
        }
        Ok(())
    });
    let report: CheckReport = db.check(true, &mut |_| true)?;
    assert_eq!((report.faults, report.entries), (0, 5000));
    let mut told = 0;
    let mut on_run = |run: PageRun| {
        told += u64::from(run.usage != PageUse::Dead) * run.pages;
    };
    let uses: PageUses = db.page_uses(&Job::silent(), &mut on_run, &mut |_| false)?;
    assert!(uses.id == report.id && told + report.dead_pages == uses.pages);
    assert!(uses.unknown_pages == 0 && uses.dead_pages_known);

    let read = db.begin_read()?;
    read.backup(&copy, BackupOptions::default(), &Job::silent())?;
    let mut told = 0;
    let progress: OnProgress<'_> = &mut |done, total| {
        told += 1;
        done <= total
    };
    let compact = BackupOptions {
        compact: true,
        overwrite: true,
    };
    read.backup(&copy, compact, &Job::new(progress))?;
    assert!(told > 0);
    let mut bytes = Vec::new();
    let write: OnBytes<'_> = &mut |part| {
        bytes.extend_from_slice(part);
        Ok(())
    };
    read.backup_to(BackupOptions::default(), &Job::silent(), write)?;
    assert!(bytes.len() > 5000 * 54);
    drop((read, db));

    // A page in the middle is overwritten; the check names it, reading it fails, and a salvage saves the rest.
    let page = PageNo::new(30);
    let mut file = std::fs::read(&path).expect("read");
    file[page.offset(4096) as usize..][..4096].fill(0xA5);
    std::fs::write(&path, &file).expect("write");
    let db = Db::open(&path, &Options::default())?;
    let mut faults: Vec<Fault> = Vec::new();
    let report = db.begin_read()?.check(false, &Job::silent(), &mut |fault| {
        faults.push(fault.clone());
        true
    })?;
    assert_eq!(report.faults, faults.len() as u64);
    assert!(faults
        .iter()
        .any(|f| f.page == Some(page) && f.table == Some(MAIN) && !f.what.is_empty()));
    let read = db.begin_read()?;
    let damage = (0..5000u32).find_map(|n| read.get(MAIN, &n.to_be_bytes()).err());
    match damage {
        Some(Error::Corrupt(found)) => {
            let Corruption { page: at, table, .. } = *found;
            assert_eq!((at, table), (Some(page), Some(MAIN)));
        }
        other => panic!("{other:?}"),
    }
    drop((read, db));
    let target = folder.file("saved");
    let report: SalvageReport = salvage(&path, &target, false, &Job::silent(), &mut |_| true)?;
    assert!(report.damaged_pages == 1 && report.entries > 4000 && report.lost_entries > 0);
    assert_eq!(report.entries + report.lost_entries, 5000);
    Ok(())
}

#[test]
fn two_states_are_compared() -> Result<()> {
    let db = in_memory();
    let before = db.begin_read()?;
    commit(&db, |txn| {
        txn.put(MAIN, b"a", b"1", PutMode::Set)?;
        txn.put(MAIN, b"b", b"2", PutMode::Set)
    });
    let after = db.begin_read()?;
    let (before, after) = (&mut &before, &mut &after);
    let mut difference = Difference::new(before, after, MAIN, &Range::default())?;
    assert_eq!(difference.next(before, after)?, Some(ChangeKind::Added));
    assert_eq!(
        (difference.table(), difference.key(), difference.kind()),
        (MAIN, &b"a"[..], Some(ChangeKind::Added))
    );
    difference.give_again();
    let is_first =
        |change: &Change<'_>| (change.kind, change.before, change.after) == (ChangeKind::Added, None, slice(b"1"));
    assert_eq!(difference.next_and_read(before, after, is_first)?, Some(true));
    assert_eq!(
        difference.next_many(before, after, 9, &mut |change| change.key == b"b")?,
        1
    );
    let ChangeCounts {
        added,
        removed,
        changed,
    } = Difference::count(before, after, MAIN, &Range::default())?;
    assert_eq!((added, removed, changed), (2, 0, 0));
    assert!(!same(before, after, Some(MAIN))? && same(before, &mut &**before, None)?);
    Ok(())
}

#[test]
fn handles_move_between_threads_as_promised() {
    fn moves<T: Send>() {}
    fn shared<T: Sync>() {}
    moves::<Db>();
    shared::<Db>();
    moves::<ReadTxn>();
    shared::<ReadTxn>();
    moves::<WriteTxn>();
    moves::<Cursor>();
    moves::<Difference>();
    moves::<ValueWriter>();
    moves::<Error>();
}
