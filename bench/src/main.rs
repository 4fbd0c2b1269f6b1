//! libkv beside other engines: the same work on the same data, in turns. See README.md.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/common/abi.rs"]
mod abi;
mod clock;
mod data;
mod driver;
mod edits;
mod engine;
mod keys;
mod machine;
mod measured;
mod outcome;
#[path = "../../tests/common/patterns.rs"]
mod patterns;
mod plot;
mod race;
mod report;
mod results;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/common/rng.rs"]
mod rng;
mod rows;
mod space;
mod text;
mod threads;
mod variables;
mod way;
mod work;
mod worker;

use std::path::Path;

/// The engines of this build.
fn engines() -> Vec<worker::Engine> {
    vec![
        worker::engine::<engine::libkv::Kv>(),
        worker::engine::<engine::lmdb::Lmdb>(),
        #[cfg(feature = "mdbx")]
        worker::engine::<engine::mdbx::Mdbx>(),
        #[cfg(feature = "redb")]
        worker::engine::<engine::redb::Redb>(),
        #[cfg(feature = "canopydb")]
        worker::engine::<engine::canopydb::Canopy>(),
        #[cfg(feature = "sqlite")]
        worker::engine::<engine::sqlite::Sqlite>(),
        #[cfg(feature = "bdb")]
        worker::engine::<engine::bdb::Bdb>(),
        #[cfg(feature = "rocksdb")]
        worker::engine::<engine::rocksdb::Rocks>(),
        #[cfg(feature = "fjall")]
        worker::engine::<engine::fjall::Fjall>(),
        #[cfg(feature = "sled")]
        worker::engine::<engine::sled::Sled>(),
    ]
}

fn main() {
    if std::env::var_os("KV_LIB").is_none() {
        std::env::set_var("KV_LIB", concat!(env!("CARGO_MANIFEST_DIR"), "/../build/libkv.so"));
    }
    #[cfg(feature = "mdbx")]
    engine::mdbx::quiet();
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => race::race(&engines()),
        ["report", docs] => report::report(&variables::results_path(), Path::new(docs), &engines()),
        ["space", dir] => space::space(Path::new(dir)),
        _ => {
            eprintln!(
                "kv-bench: runs the benchmarks; kv-bench report DIRECTORY: writes benchmarks.md there; \
                 kv-bench space DIRECTORY: what files take for what is in them, made in the directory"
            );
            std::process::exit(2);
        }
    }
}
