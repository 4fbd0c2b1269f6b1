//! What the crash tests share: settings, worker processes, counts.

#![allow(dead_code)]

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::{Command, Stdio};

/// Set in a worker process: which one it is.
const WORKER: &str = "KV_CRASH_WORKER";
/// Worker processes. Processes and not threads: unmapping memory interrupts every processor a process runs on.
const WORKERS: u64 = 2;

/// What crash runs counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Crashes, each followed by an opening that was checked (or crashed in turn).
    pub points: u64,
    /// Crashes inside a recovery: while opening, or while rejected slots were erased.
    pub nested: u64,
    /// Crashes inside the recovery from a crash inside a recovery, and deeper.
    pub deep: u64,
    /// Incomplete commits that openings discarded.
    pub discarded: u64,
    /// What else a test counts.
    pub other: u64,
    /// Snapshots that were read after crashes.
    pub snapshots: u64,
    /// Those of them that commits had recorded by themselves.
    pub automatic: u64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: Counts) {
        let Counts {
            points,
            nested,
            deep,
            discarded,
            other,
            snapshots,
            automatic,
        } = other;
        self.points += points;
        self.nested += nested;
        self.deep += deep;
        self.discarded += discarded;
        self.other += other;
        self.snapshots += snapshots;
        self.automatic += automatic;
    }

    /// The line that scripts look for.
    pub fn print(&self, what: &str, failed: u64) {
        println!(
            "crash-sim: {} passed, {failed} failed ({what}: {} points, {} recoveries nested, {} deeper, {} commits discarded)",
            self.points, self.points, self.nested, self.deep, self.discarded
        );
    }
}

/// A number from the environment.
pub fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.replace('_', "").parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text:?} is not a number")))
}

/// Runs databases, by seed, until `points` crashes are counted, in processes of the test `name`, which calls this. Each
/// process comes back here; `None` is answered there, and the sum where it began. The first failure ends it.
pub fn in_processes(
    name: &str,
    what: &str,
    points: u64,
    run: impl Fn(u64) -> (Counts, Result<(), String>),
) -> Option<Counts> {
    let first = setting("KV_CRASH_SEED").unwrap_or(1);
    if let Some(worker) = setting(WORKER) {
        let (mut sum, mut seed) = (Counts::default(), first + worker);
        while sum.points < points / WORKERS {
            let found = catch_unwind(AssertUnwindSafe(|| run(seed)));
            let (counts, answer) = found.unwrap_or((Counts::default(), Err("it panicked".into())));
            sum.add(counts);
            if let Err(what) = answer {
                println!("failed: KV_CRASH_SEED={seed}: {what}");
                break;
            }
            seed += WORKERS;
        }
        let Counts {
            points,
            nested,
            deep,
            discarded,
            other,
            snapshots,
            automatic,
        } = sum;
        println!("counted: {points} {nested} {deep} {discarded} {other} {snapshots} {automatic}");
        return None;
    }
    let start = |worker: u64| {
        Command::new(std::env::current_exe().expect("this program"))
            .args([name, "--exact", "--nocapture"])
            .env(WORKER, worker.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a worker")
    };
    let workers: Vec<_> = (0..WORKERS).map(start).collect();
    let (mut sum, mut failures) = (Counts::default(), Vec::new());
    for worker in workers {
        let output = worker.wait_with_output().expect("a worker's end");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let counted = text.lines().find_map(|line| line.split_once("counted: "));
        let numbers: Vec<u64> = counted.map_or(Vec::new(), |(_, n)| {
            n.split(' ').filter_map(|n| n.parse().ok()).collect()
        });
        match numbers[..] {
            [points, nested, deep, discarded, other, snapshots, automatic] => sum.add(Counts {
                points,
                nested,
                deep,
                discarded,
                other,
                snapshots,
                automatic,
            }),
            _ => failures.push(format!("a worker died ({}): {text}", output.status)),
        }
        failures.extend(
            text.lines()
                .filter(|line| line.contains("failed: KV_CRASH_SEED"))
                .map(String::from),
        );
    }
    sum.print(what, failures.len() as u64);
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Some(sum)
}
