//! Limits on the length of files that a process sets while it has a database open.

mod common;

use common::another::{limit, limit_for_now, put, role, say, told, Start};
use common::tmp::TempDir;
use kv::{Db, Options, PutMode, TableId, WriteOptions, WriteTxn};
use std::fs;

const MIB: u64 = 1 << 20;

/// A limit that the process sets while it has the database open counts from then on, whatever was known of limits
/// before.
#[test]
fn a_limit_on_the_length_of_files_counts_when_it_is_set() {
    const TEST: &str = "a_limit_on_the_length_of_files_counts_when_it_is_set";
    if let Some((role, path)) = role() {
        let db = Db::open(&path, &Options::default()).expect("open");
        put(&db, b"before").expect("put");
        let length = fs::metadata(&path).expect("length").len();
        let begin = || db.begin_write(WriteOptions::default()).expect("begin");
        // More than the file has room for, and less than is applied before the commit.
        let fill = |txn: &mut WriteTxn| {
            for key in 0..400u32 {
                let value = [9; 700];
                txn.put(TableId::MAIN, &key.to_be_bytes(), &value, PutMode::Set)
                    .expect("put");
            }
        };
        // Below what the file has already, a write would bring the signal as well.
        let most = if role == "within the file" { 2 << 10 } else { length };
        let set = || limit_for_now(libc::RLIMIT_FSIZE, most, 64 * MIB);
        if role == "between commits" || role == "before a long value" {
            set();
        }
        let mut txn = begin();
        let refused = if role == "before a long value" {
            // Its pages are written at once.
            let refused = txn.put(TableId::MAIN, b"long", &vec![9; MIB as usize], PutMode::Set);
            drop(txn);
            refused
        } else {
            fill(&mut txn);
            set();
            txn.commit().map(|_| ())
        };
        say(&refused.map_or_else(|e| told(&e), |()| "no limit".to_string()));
        limit(libc::RLIMIT_FSIZE, 64 * MIB);
        let mut txn = begin();
        fill(&mut txn);
        txn.commit().expect("there is room again");
        db.check(true, &mut |fault| panic!("{fault:?}")).expect("check");
        drop(db);
        std::process::exit(0);
    }
    for role in [
        "between commits",
        "between begin and commit",
        "within the file",
        "before a long value",
    ] {
        let dir = TempDir::new("set");
        let (status, said) = Start::plain(TEST).role(role, &dir.file("a.kv")).ended();
        assert!(status.success(), "{role}: {status:?}, {said}");
        assert!(said.starts_with("NoSpace"), "{role}: {said}");
    }
}
