//! `kv-bench space`: what files take for what is in them, after many small durable commits, for libkv and LMDB. The
//! patterns are those of the library's own test.

use crate::driver::{Session, Settings, Taken, Tells, Write};
use crate::engine::libkv::Kv;
use crate::engine::lmdb::Lmdb;
use crate::patterns::{Edit, Kind, Pattern};
use std::path::Path;

/// Runs a pattern, and returns what the database takes at its end, beside the bytes that are live.
fn run<S: Tells>(kind: Kind, commits: u64, dir: &Path) -> (Taken, u64) {
    let dir = dir.join(format!("{}-{kind:?}", S::NAME));
    std::fs::create_dir_all(&dir).expect("a directory");
    let settings = Settings {
        cache: 64 << 20,
        limited: false,
    };
    let store = S::open(&dir, &settings);
    let mut session = store.session();
    let mut pattern = Pattern::new(kind);
    let mut commit = |edits: Vec<Edit>| {
        session.write(true, |write| {
            for edit in &edits {
                match edit {
                    Edit::Put(key, value) => write.put(key, value),
                    Edit::Delete(key) => write.delete(key),
                }
            }
        });
    };
    commit(pattern.load());
    let mut done = 0;
    while done < commits || !kind.is_constant() {
        let Some(edits) = pattern.commit(done) else { break };
        commit(edits);
        done += 1;
    }
    drop(session);
    let taken = store.taken();
    drop(store);
    std::fs::remove_dir_all(&dir).expect("the directory is there");
    (taken, pattern.bytes())
}

/// Runs every pattern in `dir` and prints a table.
pub fn space(dir: &Path) {
    let commits = crate::variables::value("BENCH_COMMITS", 5000);
    println!("| pattern | live | libkv in use | LMDB in use | libkv file | LMDB file |");
    println!("|---|---|---|---|---|---|");
    for kind in Kind::ALL {
        let (kv, live) = run::<Kv>(kind, commits, dir);
        let (lmdb, _) = run::<Lmdb>(kind, commits, dir);
        let kib = |bytes: u64| bytes >> 10;
        let over = |bytes: u64| match live {
            0 => format!("{} KiB", kib(bytes)),
            _ => format!("{} KiB ({:.2})", kib(bytes), bytes as f64 / live as f64),
        };
        println!(
            "| {kind:?} | {} KiB | {} | {} | {} | {} |",
            kib(live),
            over(kv.in_use),
            over(lmdb.in_use),
            over(kv.file),
            over(lmdb.file)
        );
    }
}
