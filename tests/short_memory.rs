//! Memory that an allocator says is short (`set_memory_short`): long work ends with an error, nothing is lost, and it
//! goes on when there is memory again. The flag is one for the whole process, so this is one test.

use kv::{Db, Error, Job, Options, PutMode, Reader, TableId, WriteOptions};

const MAIN: TableId = TableId::MAIN;

fn put_many(db: &Db, first: u32) -> kv::Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    for number in first..first + 5000 {
        txn.put(MAIN, &number.to_be_bytes(), &[7; 100], PutMode::Set)?;
    }
    txn.commit().map(drop)
}

fn count(db: &Db) -> u64 {
    let read = db.begin_read().expect("read");
    (&read).count(MAIN, &kv::Range::default()).expect("count")
}

#[test]
fn while_memory_is_short_long_work_ends_and_nothing_is_lost() {
    let options = Options {
        memory: true,
        ..Options::default()
    };
    let db = Db::open("".as_ref(), &options).expect("open");
    put_many(&db, 0).expect("put");
    kv::set_memory_short(true);
    assert!(matches!(put_many(&db, 10_000), Err(Error::NoMemory(_))));
    assert_eq!(count(&db), 5000, "reading goes on");
    let read = db.begin_read().expect("read");
    let checked = read.check(false, &Job::silent(), &mut |_| true);
    assert!(
        matches!(checked, Err(Error::NoMemory(_))),
        "neither sound nor damaged: {checked:?}"
    );
    // What was begun before memory became short is refused at its commit at the latest.
    kv::set_memory_short(false);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.put(MAIN, b"late", b"v", PutMode::Set).expect("put");
    kv::set_memory_short(true);
    assert!(matches!(txn.commit(), Err(Error::NoMemory(_))));
    kv::set_memory_short(false);
    put_many(&db, 10_000).expect("put");
    assert_eq!(count(&db), 10_000);
    assert_eq!(db.check(true, &mut |_| true).expect("check").faults, 0);
}
