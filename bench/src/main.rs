//! libkv beside LMDB: the same work on the same data, in one process, in turns. See README.md.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/common/abi.rs"]
mod abi;
mod clock;
mod data;
mod driver;
mod libkv;
mod lmdb;
mod report;
mod work;

use data::{Data, Shape};
use report::Row;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use work::{Contender, Runner, Work};

fn env<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text:?} cannot be understood")),
        Err(_) => default,
    }
}

/// A directory on a real disk that goes when the program ends, also by a panic.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let base = std::env::var_os("BENCH_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
        let dir = base.join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        Scratch(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether the list in an environment variable names this, or there is no list.
fn chosen(list: &str, name: &str) -> bool {
    std::env::var(list).map_or(true, |list| list.split(',').any(|item| item.trim() == name))
}

fn race(data: &Data, contenders: &mut [Box<dyn Contender>], rounds: u64) -> Vec<Row> {
    let needed = |work: &Work| chosen("BENCH_ONLY", work.name()) || *work == Work::PutRandom;
    let mut rows: Vec<Row> = Work::ALL
        .into_iter()
        .filter(needed)
        .map(|work| Row {
            work,
            dataset: data.shape.name(),
            entries: data.random.len(),
            engines: contenders.iter().map(|contender| contender.name()).collect(),
            rounds: Vec::new(),
        })
        .collect();
    for round in 0..rounds {
        for row in &mut rows {
            let mut done = vec![work::Done::default(); contenders.len()];
            // Who begins changes, so that nobody always comes second.
            let n = contenders.len();
            for turn in 0..n {
                let who = (turn + round as usize) % n;
                done[who] = contenders[who].run(row.work, data, round);
            }
            for (contender, other) in contenders.iter().zip(&done) {
                let same = other.sum == done[0].sum;
                assert!(
                    same,
                    "{} on {}: {} saw other data",
                    row.work.name(),
                    row.dataset,
                    contender.name()
                );
            }
            if std::io::stderr().is_terminal() {
                eprint!("\r{} round {}/{rounds} {:<16}", row.dataset, round + 1, row.work.name());
            }
            row.rounds.push(done);
        }
        contenders.iter_mut().for_each(|contender| contender.clear());
    }
    if std::io::stderr().is_terminal() {
        eprint!("\r{:60}\r", "");
    }
    rows
}

fn main() {
    if std::env::var_os("KV_LIB").is_none() {
        std::env::set_var("KV_LIB", concat!(env!("CARGO_MANIFEST_DIR"), "/../build/libkv.so"));
    }
    let (scale, rounds) = (env("BENCH_SCALE", 1.0), env("BENCH_ROUNDS", 5));
    let scratch = Scratch::new();
    let mut contenders: Vec<Box<dyn Contender>> = vec![
        Box::new(Runner::<libkv::Kv>::new(&scratch.0)),
        Box::new(Runner::<lmdb::Lmdb>::new(&scratch.0)),
    ];
    for contender in &contenders {
        println!("{}: {}", contender.name(), contender.version());
    }
    println!("scale {scale}, {rounds} rounds, in {}", scratch.0.display());
    println!("median of the rounds; ratio: how many times better than LMDB, median of the rounds (lowest-highest)");
    println!("thread CPU time, commit_durable: time; every commit durable on both sides, bulk rows one at their end\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("results.jsonl");
    let mut file = std::fs::File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut table = Vec::new();
    for shape in Shape::ALL {
        if chosen("BENCH_DATA", shape.name()) {
            let data = Data::new(shape, scale);
            for row in race(&data, &mut contenders, rounds) {
                row.write_json(&mut file);
                table.push(row.line());
            }
        }
    }
    let engines: Vec<&str> = contenders.iter().map(|contender| contender.name()).collect();
    println!("\n{:<22}{}", "", engines.join(" | "));
    table.iter().for_each(|line| println!("{line}"));
}
