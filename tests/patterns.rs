//! What a file takes for what is in it, after thousands of small commits: pages in use, and the whole file, over the
//! bytes of keys and values. `KV_GROWTH_COMMITS` is the number of commits, and `kv-bench space` compares with LMDB.

mod common;

use common::env_number;
use common::patterns::{Edit, Kind, Pattern};
use kv::Result;
use kv::{Db, Options, PutMode, TableId, WriteOptions};
use std::path::Path;

const PAGE: u64 = 4096;

fn commit(db: &Db, edits: Vec<Edit>) -> Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    for edit in edits {
        match edit {
            Edit::Put(key, value) => txn.put(TableId::MAIN, &key, &value, PutMode::Set)?,
            Edit::Delete(key) => assert!(txn.delete(TableId::MAIN, &key)?),
        };
    }
    txn.commit()?;
    Ok(())
}

/// The bytes of pages in use, and of the file.
fn sizes(db: &Db) -> (u64, u64) {
    let stat = db.stat();
    let in_use = stat.pages - stat.free_pages - stat.pending_pages;
    (in_use * PAGE, stat.pages * PAGE)
}

/// How many times as long as the most bytes that were live a file may be. Bursts have a little more: the number of
/// their entries is not constant, and room for the next burst is needed while the one before is still in use.
fn most_over(kind: Kind) -> f64 {
    match kind {
        Kind::Bursts => 2.1,
        _ => 2.0,
    }
}

/// How many times the bytes that are live the pages in use may take. LMDB takes 1.2 times for a queue and 2 to 3 times
/// for what comes in any order (`kv-bench space`).
fn most_in_use(kind: Kind) -> f64 {
    match kind {
        Kind::Queue | Kind::LargeValues | Kind::Shrinking => 1.15,
        Kind::SharedPrefixes => 0.5,
        Kind::Bursts => 1.45,
        Kind::Thinning => 2.0,
        _ => 1.38,
    }
}

#[test]
fn files_stay_small_for_what_is_in_them() -> Result<()> {
    let commits = env_number("KV_GROWTH_COMMITS", 1000);
    for kind in Kind::ALL {
        let options = Options {
            memory: true,
            ..Options::default()
        };
        let db = Db::open(Path::new(""), &options)?;
        let mut pattern = Pattern::new(kind);
        commit(&db, pattern.load())?;
        let mut done = 0;
        // A pattern that has an end is done to its end.
        while done < commits || !kind.is_constant() {
            let Some(edits) = pattern.commit(done) else { break };
            commit(&db, edits)?;
            done += 1;
        }
        let report = db.check(true, &mut |fault| panic!("{kind:?}: {fault:?}"))?;
        assert_eq!(report.entries, pattern.entries(), "{kind:?}");
        let ((in_use, file), live) = (sizes(&db), pattern.bytes());
        let over = |bytes: u64| bytes as f64 / live.max(1) as f64;
        println!(
            "{kind:?}: {done} commits, {live} bytes live; pages in use {in_use} ({:.2}), file {file} ({:.2})",
            over(in_use),
            over(file)
        );
        match kind {
            Kind::DeleteAll => assert!(in_use <= 64 << 10, "{in_use} bytes in use for nothing"),
            _ => assert!(
                over(in_use) <= most_in_use(kind),
                "{kind:?}: {in_use} bytes in use for {live}"
            ),
        }
        if kind.is_constant() {
            assert!(
                file as f64 <= pattern.most_bytes as f64 * most_over(kind),
                "{kind:?}: a file of {file} bytes for {} at most",
                pattern.most_bytes
            );
        }
    }
    Ok(())
}
