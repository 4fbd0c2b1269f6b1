//! Each public function once, in the order a newcomer meets them: what it does, what it answers, how it refuses.

mod common;

use common::tmp::TempDir;
use kv::{Cursor, Db, Durability, Options, PutMode, Range, Reader, TableId, Wait, WriteOptions, WriteTxn};
use kv::{Error, Result};
use std::ops::Bound;
use std::path::Path;
use std::time::Duration;

fn memory() -> Db {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    Db::open(Path::new(""), &options).expect("a database in memory")
}

fn write(db: &Db) -> WriteTxn {
    db.begin_write(WriteOptions::default()).expect("the write lock is free")
}

/// A database with the entries a = 1, b = 2, c = 3.
fn abc() -> Db {
    let db = memory();
    let mut txn = write(&db);
    for (key, value) in [(b"a", b"1"), (b"b", b"2"), (b"c", b"3")] {
        txn.put(TableId::MAIN, key, value, PutMode::Set).expect("put");
    }
    txn.commit().expect("commit");
    db
}

fn range<'a>(from: Bound<&'a [u8]>, to: Bound<&'a [u8]>) -> Range<'a> {
    Range {
        from,
        to,
        ..Range::default()
    }
}

#[test]
fn put_commit_get() -> Result<()> {
    let db = abc();
    let read = db.begin_read()?;
    assert_eq!(read.get(TableId::MAIN, b"b")?, Some(&b"2"[..]));
    assert_eq!(read.get(TableId::MAIN, b"")?, None);
    assert_eq!(read.get(TableId::MAIN, b"bb")?, None);
    Ok(())
}

#[test]
fn a_write_transaction_sees_itself_and_nobody_else_does_before_commit() -> Result<()> {
    let db = abc();
    let before = db.begin_read()?;
    let mut txn = write(&db);
    txn.put(TableId::MAIN, b"b", b"new", PutMode::Set)?;
    txn.delete(TableId::MAIN, b"c")?;
    assert_eq!(txn.get(TableId::MAIN, b"b")?, Some(&b"new"[..]));
    assert_eq!(txn.get(TableId::MAIN, b"c")?, None);
    assert_eq!(db.begin_read()?.get(TableId::MAIN, b"b")?, Some(&b"2"[..]));
    txn.commit()?;
    assert_eq!(before.get(TableId::MAIN, b"b")?, Some(&b"2"[..]));
    assert_eq!(before.get(TableId::MAIN, b"c")?, Some(&b"3"[..]));
    assert_eq!(db.begin_read()?.get(TableId::MAIN, b"b")?, Some(&b"new"[..]));
    Ok(())
}

#[test]
fn dropping_a_write_transaction_undoes_it() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    txn.table_create(b"table", true)?;
    txn.delete_range(TableId::MAIN, &Range::default())?;
    drop(txn);
    let read = db.begin_read()?;
    assert_eq!((&read).count(TableId::MAIN, &Range::default())?, 3);
    assert!(matches!((&read).table(b"table"), Err(Error::NoTable(_))));
    Ok(())
}

#[test]
fn commit_ids_rise_and_an_empty_commit_changes_nothing() -> Result<()> {
    let db = abc();
    let first = db.stat().visible;
    assert_eq!(write(&db).commit()?, first);
    assert_eq!(db.stat().visible, first);
    let mut txn = write(&db);
    txn.put(TableId::MAIN, b"d", b"4", PutMode::Set)?;
    let second = txn.commit()?;
    assert!(second > first);
    assert_eq!(db.begin_read()?.id(), second);
    Ok(())
}

#[test]
fn put_modes_refuse_what_they_say() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    assert!(matches!(
        txn.put(TableId::MAIN, b"b", b"x", PutMode::NoOverwrite),
        Err(Error::Exists(_))
    ));
    assert!(matches!(
        txn.put(TableId::MAIN, b"x", b"x", PutMode::NoInsert),
        Err(Error::NotFound)
    ));
    assert!(matches!(
        txn.put(TableId::MAIN, b"c", b"x", PutMode::Append),
        Err(Error::Order(_))
    ));
    assert!(matches!(
        txn.put(TableId::MAIN, b"b", b"x", PutMode::Append),
        Err(Error::Order(_))
    ));
    assert_eq!(txn.get(TableId::MAIN, b"b")?, Some(&b"2"[..]));
    txn.put(TableId::MAIN, b"d", b"4", PutMode::NoOverwrite)?;
    txn.put(TableId::MAIN, b"d", b"5", PutMode::NoInsert)?;
    txn.put(TableId::MAIN, b"e", b"6", PutMode::Append)?;
    assert_eq!(txn.get(TableId::MAIN, b"d")?, Some(&b"5"[..]));
    assert_eq!(txn.count(TableId::MAIN, &Range::default())?, 5);
    Ok(())
}

#[test]
fn an_append_is_compared_with_whatever_came_before() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    txn.put(TableId::MAIN, b"d", b"4", PutMode::Append)?;
    assert!(matches!(
        txn.put(TableId::MAIN, b"d", b"x", PutMode::Append),
        Err(Error::Order(_))
    ));
    txn.put(TableId::MAIN, b"e", b"5", PutMode::Append)?;
    // What another put or a delete did in between counts, too.
    txn.put(TableId::MAIN, b"g", b"7", PutMode::Set)?;
    assert!(matches!(
        txn.put(TableId::MAIN, b"f", b"6", PutMode::Append),
        Err(Error::Order(_))
    ));
    txn.delete(TableId::MAIN, b"g")?;
    txn.put(TableId::MAIN, b"f", b"6", PutMode::Append)?;
    txn.put(TableId::MAIN, b"a", b"0", PutMode::Set)?;
    assert!(matches!(
        txn.put(TableId::MAIN, b"f", b"x", PutMode::Append),
        Err(Error::Order(_))
    ));
    txn.put(TableId::MAIN, b"h", b"8", PutMode::Append)?;
    assert_eq!(txn.count(TableId::MAIN, &Range::default())?, 7);
    // What is applied already is looked up.
    assert!(matches!(
        txn.put(TableId::MAIN, b"h", b"x", PutMode::Append),
        Err(Error::Order(_))
    ));
    txn.put(TableId::MAIN, b"i", b"9", PutMode::Append)?;
    assert_eq!(txn.get(TableId::MAIN, b"i")?, Some(&b"9"[..]));
    Ok(())
}

#[test]
fn insert_answers_what_is_there_and_replace_what_was() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    assert_eq!(txn.insert(TableId::MAIN, b"a", b"x")?, Some(&b"1"[..]));
    assert_eq!(txn.get(TableId::MAIN, b"a")?, Some(&b"1"[..]));
    assert_eq!(txn.insert(TableId::MAIN, b"n", b"x")?, None);
    assert_eq!(txn.replace(TableId::MAIN, b"a", b"y", PutMode::Set)?, Some(&b"1"[..]));
    assert_eq!(txn.replace(TableId::MAIN, b"m", b"z", PutMode::Set)?, None);
    assert!(matches!(
        txn.replace(TableId::MAIN, b"m", b"z", PutMode::NoOverwrite),
        Err(Error::Exists(_))
    ));
    assert_eq!(txn.get(TableId::MAIN, b"a")?, Some(&b"y"[..]));
    Ok(())
}

#[test]
fn reserved_bytes_are_zero_and_stay_as_filled() -> Result<()> {
    let db = memory();
    let mut txn = write(&db);
    for len in [0, 1, 100, 5000, 3_000_000] {
        let key = format!("{len}");
        let room = txn.reserve(TableId::MAIN, key.as_bytes(), len, PutMode::Set)?;
        assert!(room.len() == len && room.iter().all(|b| *b == 0));
        room.iter_mut().step_by(3).for_each(|b| *b = 7);
    }
    txn.commit()?;
    let read = db.begin_read()?;
    for len in [0, 1, 100, 5000, 3_000_000] {
        let value = read.get(TableId::MAIN, format!("{len}").as_bytes())?.expect("reserved");
        assert_eq!(value.len(), len);
        assert!(value
            .iter()
            .enumerate()
            .all(|(i, b)| *b == if i % 3 == 0 { 7 } else { 0 }));
    }
    Ok(())
}

#[test]
fn delete_take_take_first() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    assert!(txn.delete(TableId::MAIN, b"a")?);
    assert!(!txn.delete(TableId::MAIN, b"a")?);
    txn.delete_blind(TableId::MAIN, b"a")?;
    assert_eq!(txn.take(TableId::MAIN, b"b")?, Some(&b"2"[..]));
    assert_eq!(txn.take(TableId::MAIN, b"b")?, None);
    txn.put(TableId::MAIN, b"d", b"4", PutMode::Set)?;
    assert_eq!(
        txn.take_first(TableId::MAIN, &Range::default())?,
        Some((&b"c"[..], &b"3"[..]))
    );
    let down = Range {
        reverse: true,
        ..Range::default()
    };
    txn.put(TableId::MAIN, b"e", b"5", PutMode::Set)?;
    assert_eq!(txn.take_first(TableId::MAIN, &down)?, Some((&b"e"[..], &b"5"[..])));
    assert_eq!(
        txn.take_first(TableId::MAIN, &range(Bound::Excluded(b"d"), Bound::Unbounded))?,
        None
    );
    assert_eq!(txn.count(TableId::MAIN, &Range::default())?, 1);
    Ok(())
}

#[test]
fn delete_range_honours_every_kind_of_bound() -> Result<()> {
    type Case = (Bound<&'static [u8]>, Bound<&'static [u8]>, &'static [u8]);
    let cases: [Case; 6] = [
        (Bound::Included(b"b"), Bound::Excluded(b"c"), b"ac"),
        (Bound::Excluded(b"a"), Bound::Included(b"b"), b"ac"),
        (Bound::Unbounded, Bound::Excluded(b"c"), b"c"),
        (Bound::Excluded(b"b"), Bound::Unbounded, b"ab"),
        (Bound::Included(b"c"), Bound::Excluded(b"a"), b"abc"),
        (Bound::Unbounded, Bound::Unbounded, b""),
    ];
    for (from, to, left) in cases {
        let db = abc();
        let mut txn = write(&db);
        let deleted = txn.delete_range(TableId::MAIN, &range(from, to))?;
        assert_eq!(deleted, 3 - left.len() as u64, "{from:?} {to:?}");
        let keys: Vec<u8> = (b'a'..=b'c')
            .filter(|key| txn.contains(TableId::MAIN, &[*key]).expect("contains"))
            .collect();
        assert_eq!(keys, left, "{from:?} {to:?}");
    }
    Ok(())
}

#[test]
fn get_many_answers_in_the_order_asked() -> Result<()> {
    let db = abc();
    let read = db.begin_read()?;
    let (mut txn, mut out) = (&read, Vec::new());
    txn.get_many(TableId::MAIN, &[b"c", b"x", b"a", b"c"], &mut out)?;
    assert_eq!(out, [Some(&b"3"[..]), None, Some(b"1"), Some(b"3")]);
    Ok(())
}

#[test]
fn count_and_rank() -> Result<()> {
    let db = abc();
    let read = db.begin_read()?;
    let mut txn = &read;
    assert_eq!(txn.count(TableId::MAIN, &Range::default())?, 3);
    assert_eq!(
        txn.count(TableId::MAIN, &range(Bound::Excluded(b"a"), Bound::Unbounded))?,
        2
    );
    let prefix = Range {
        prefix: Some(b"b"),
        ..Range::default()
    };
    assert_eq!(txn.count(TableId::MAIN, &prefix)?, 1);
    for (key, rank) in [(&b""[..], 0), (b"a", 0), (b"aa", 1), (b"c", 2), (b"d", 3)] {
        assert_eq!(txn.rank(TableId::MAIN, key)?, rank);
    }
    Ok(())
}

#[test]
fn parts_of_values() -> Result<()> {
    let db = memory();
    let long: Vec<u8> = (0..3_000_000u32).map(|i| (i / 7) as u8).collect();
    let mut txn = write(&db);
    txn.put(TableId::MAIN, b"long", &long, PutMode::Set)?;
    txn.put(TableId::MAIN, b"short", b"12345", PutMode::Set)?;
    txn.commit()?;
    let read = db.begin_read()?;
    let mut txn = &read;
    assert_eq!(txn.value_info(TableId::MAIN, b"long")?.expect("present").len, 3_000_000);
    assert_eq!(txn.value_info(TableId::MAIN, b"short")?.expect("present").len, 5);
    assert!(txn.value_info(TableId::MAIN, b"none")?.is_none());
    let mut out = [0; 1000];
    for offset in [0, 1, 4095, 1_048_000, 1_048_576, 2_999_500, 3_000_000, u64::MAX] {
        let n = txn
            .read_value(TableId::MAIN, b"long", offset, &mut out)?
            .expect("present");
        let from = offset.min(3_000_000) as usize;
        assert_eq!(&out[..n], &long[from..(from + 1000).min(long.len())], "offset {offset}");
    }
    assert_eq!(txn.read_value(TableId::MAIN, b"short", 3, &mut out)?, Some(2));
    assert_eq!(&out[..2], b"45");
    assert_eq!(txn.read_value(TableId::MAIN, b"none", 0, &mut out)?, None);
    Ok(())
}

#[test]
fn a_value_written_in_parts_appears_when_it_is_finished() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    let mut writer = txn.writer(TableId::MAIN, b"w", 0, PutMode::Set)?;
    let part = vec![9; 700_000];
    for _ in 0..5 {
        writer.write(&mut txn, &part)?;
        txn.put(TableId::MAIN, b"beside", b"x", PutMode::Set)?;
    }
    assert_eq!(txn.get(TableId::MAIN, b"w")?, None);
    writer.finish(&mut txn)?;
    let cancelled = txn.writer(TableId::MAIN, b"a", 10, PutMode::Set)?;
    cancelled.cancel(&mut txn);
    assert!(matches!(
        txn.writer(TableId::MAIN, b"a", 0, PutMode::NoOverwrite),
        Err(Error::Exists(_))
    ));
    txn.commit()?;
    let read = db.begin_read()?;
    assert_eq!(read.get(TableId::MAIN, b"w")?.map(<[u8]>::len), Some(3_500_000));
    assert_eq!(read.get(TableId::MAIN, b"a")?, Some(&b"1"[..]));
    Ok(())
}

#[test]
fn tables() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    let red = txn.table_create(b"red", false)?;
    assert_eq!(txn.table_create(b"red", false)?, red);
    assert!(matches!(txn.table_create(b"red", true), Err(Error::Exists(_))));
    let blue = txn.table_create(b"blue", true)?;
    assert_ne!(red, blue);
    txn.put(red, b"k", b"red", PutMode::Set)?;
    txn.put(blue, b"k", b"blue", PutMode::Set)?;
    txn.table_set_note(red, b"a note")?;
    assert_eq!(txn.table_note(red)?, b"a note");
    assert_eq!(txn.get(TableId::MAIN, b"k")?, None);
    txn.commit()?;

    let mut txn = write(&db);
    assert_eq!(txn.table(b"red")?, red);
    assert_eq!(txn.count(TableId::NAMES, &Range::default())?, 2);
    assert_eq!(txn.get(TableId::NAMES, b"blue")?, Some(&blue.get().to_le_bytes()[..]));
    txn.table_rename(red, b"blue")?;
    assert!(matches!(txn.table(b"red"), Err(Error::NoTable(_))));
    assert_eq!(txn.table(b"blue")?, red);
    assert_eq!(txn.get(red, b"k")?, Some(&b"red"[..]));
    assert!(matches!(txn.get(blue, b"k"), Err(Error::NoTable(_))));
    txn.table_clear(red)?;
    assert_eq!(txn.count(red, &Range::default())?, 0);
    txn.table_drop(red)?;
    assert!(matches!(txn.table_drop(red), Err(Error::NoTable(_))));
    assert_eq!(txn.count(TableId::NAMES, &Range::default())?, 0);
    txn.commit()?;
    assert_eq!((&db.begin_read()?).count(TableId::MAIN, &Range::default())?, 3);
    Ok(())
}

#[test]
fn what_cannot_be_written_is_refused() -> Result<()> {
    let db = abc();
    let mut txn = write(&db);
    let key = vec![b'k'; (2 << 20) + 1];
    assert!(matches!(
        txn.put(TableId::MAIN, &key, b"", PutMode::Set),
        Err(Error::TooBig { .. })
    ));
    txn.put(TableId::MAIN, &key[..2 << 20], b"", PutMode::Set)?;
    assert_eq!(txn.get(TableId::MAIN, &key[..2 << 20])?, Some(&b""[..]));
    assert!(matches!(
        txn.put(TableId::NAMES, b"x", b"", PutMode::Set),
        Err(Error::ReadOnly(_))
    ));
    assert!(matches!(
        txn.put(TableId::new(12345), b"x", b"", PutMode::Set),
        Err(Error::NoTable(_))
    ));
    assert!(matches!(txn.table_create(b"", false), Err(Error::Invalid(_))));
    assert!(matches!(txn.table_create(&key, false), Err(Error::TooBig { .. })));
    assert!(matches!(txn.table_drop(TableId::MAIN), Err(Error::Invalid(_))));
    // None of it spoilt the transaction.
    txn.commit()?;
    Ok(())
}

#[test]
fn one_writer_at_a_time_waits_as_told() -> Result<()> {
    let db = memory();
    let held = write(&db);
    let wait = |wait| {
        db.begin_write(WriteOptions {
            wait: Some(wait),
            ..WriteOptions::default()
        })
    };
    assert!(matches!(wait(Wait::Try), Err(Error::Busy(_))));
    assert!(matches!(wait(Wait::For(Duration::from_millis(5))), Err(Error::Busy(_))));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait(Wait::Forever).map(drop));
        while !waiting.is_finished() {
            // Again and again: the thread may not have come to waiting yet.
            db.interrupt();
            std::thread::yield_now();
        }
        assert!(matches!(waiting.join().expect("no panic"), Err(Error::Cancelled)));
    });
    drop(held);
    assert!(wait(Wait::Try).is_ok());
    Ok(())
}

#[test]
fn refresh_moves_a_reader_to_the_newest_commit() -> Result<()> {
    let db = abc();
    let mut read = db.begin_read()?;
    let mut cursor = Cursor::new(&mut &read, TableId::MAIN, &Range::default())?;
    assert!(cursor.seek(&mut &read, b"b", kv::Seek::Eq)?);
    let mut txn = write(&db);
    txn.put(TableId::MAIN, b"bb", b"new", PutMode::Set)?;
    let id = txn.commit()?;
    assert_eq!(read.get(TableId::MAIN, b"bb")?, None);
    read.refresh()?;
    assert_eq!(read.id(), id);
    assert_eq!(read.get(TableId::MAIN, b"bb")?, Some(&b"new"[..]));
    assert!(cursor.next(&mut &read)?);
    assert_eq!(cursor.key(), b"bb");
    Ok(())
}

#[test]
fn statistics_tell_what_is_there() -> Result<()> {
    let db = memory();
    let mut txn = write(&db);
    for i in 0..20_000u32 {
        txn.put(TableId::MAIN, &i.to_be_bytes(), &[0; 30], PutMode::Set)?;
    }
    txn.put(TableId::MAIN, b"long", &vec![1; 1_000_000], PutMode::Set)?;
    txn.commit()?;
    let read = db.begin_read()?;
    let mut txn = &read;
    let stat = txn.table_stat(TableId::MAIN)?;
    assert_eq!(stat.entries, 20_001);
    assert!(stat.height >= 2 && stat.branch_pages >= 1 && stat.overflow_pages >= 1_000_000 / 4096);
    let leaves = txn.level_stat(TableId::MAIN, 1)?;
    assert_eq!((leaves.pages, leaves.items), (stat.leaf_pages, 20_001));
    assert!(stat.used_bytes >= 20_000 * 30 && stat.used_bytes <= (stat.leaf_pages + stat.branch_pages) * 4096);
    let file = db.stat();
    assert_eq!((file.page_size, file.readers, file.oldest), (4096, 1, file.visible));
    assert!(file.pages > stat.leaf_pages + stat.overflow_pages);
    let report = db.check(true, &mut |fault| panic!("{fault:?}"))?;
    assert_eq!((report.faults, report.entries, report.tables), (0, 20_001, 1));
    assert_eq!(report.pages, file.pages);
    Ok(())
}

#[test]
fn opening_as_told() -> Result<()> {
    let dir = TempDir::new("opening");
    let path = dir.file("a.kv");
    let options = |existing, new, read_only| Options {
        existing,
        new,
        read_only,
        ..Options::default()
    };
    assert!(matches!(
        Db::open(&path, &options(true, false, false)),
        Err(Error::NoFile(_))
    ));
    assert!(matches!(
        Db::open(&path, &options(false, false, true)),
        Err(Error::NoFile(_))
    ));
    let db = Db::open(&path, &options(false, true, false))?;
    assert!(matches!(
        Db::open(&path, &options(false, true, false)),
        Err(Error::FileExists(_))
    ));
    let mut txn = write(&db);
    txn.put(TableId::MAIN, b"k", b"v", PutMode::Set)?;
    txn.commit()?;
    // The second handle shares the environment: it sees the first one's commits.
    let again = Db::open(&path, &options(true, false, false))?;
    assert_eq!(again.begin_read()?.get(TableId::MAIN, b"k")?, Some(&b"v"[..]));
    drop((db, again));
    let db = Db::open(&path, &options(false, false, true))?;
    assert_eq!(db.begin_read()?.get(TableId::MAIN, b"k")?, Some(&b"v"[..]));
    assert!(matches!(
        db.begin_write(WriteOptions::default()),
        Err(Error::ReadOnly(_))
    ));
    let odd = Options {
        page_size: 5000,
        ..Options::default()
    };
    assert!(matches!(Db::open(&dir.file("b.kv"), &odd), Err(Error::Invalid(_))));
    std::fs::write(dir.file("text"), vec![b'x'; 100_000]).expect("write");
    assert!(matches!(
        Db::open(&dir.file("text"), &Options::default()),
        Err(Error::NotADatabase(_))
    ));
    Ok(())
}

#[test]
fn lazy_commits_are_visible_at_once_and_durable_after_a_sync() -> Result<()> {
    let dir = TempDir::new("lazy");
    let options = Options {
        durability: Durability::Lazy,
        ..Options::default()
    };
    let db = Db::open(&dir.file("a.kv"), &options)?;
    let mut txn = write(&db);
    txn.put(TableId::MAIN, b"k", b"v", PutMode::Set)?;
    let id = txn.commit()?;
    assert_eq!(db.begin_read()?.get(TableId::MAIN, b"k")?, Some(&b"v"[..]));
    assert_eq!(db.stat().visible, id);
    db.sync()?;
    assert_eq!(db.stat().durable, id);
    Ok(())
}
