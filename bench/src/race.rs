//! The race: who does what when, what is kept of it, and what is said when an engine falls out.

use crate::data::{Data, Shape};
use crate::machine::{self, Limit};
use crate::outcome::Outcome;
use crate::results::{append, measurement, quoted, Results};
use crate::rows::{On, ROWS};
use crate::variables::{self, chosen, results_path};
use crate::worker::{Engine, Worker};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

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

/// What is asked for, and what came of it.
struct Race<'a> {
    engines: Vec<&'a Engine>,
    scale: f64,
    rounds: u64,
    seconds: u64,
    scratch: Scratch,
    file: File,
    /// What went wrong, for the end.
    troubles: Vec<String>,
    versions: Vec<&'static str>,
}

/// One engine's answers to a row of a round.
type Answers = Vec<(&'static str, Outcome)>;

impl Race<'_> {
    fn trouble(&mut self, engine: &str, dataset: &str, bench: &str, why: &str) {
        let text = format!("{engine}, {bench} on {dataset}: {why}");
        eprintln!("\nFAILED {text}");
        let line = format!(
            "{{\"bench\":\"{bench}\",\"dataset\":\"{dataset}\",\"engine\":\"{engine}\",\"error\":{}}}",
            quoted(why)
        );
        append(&mut self.file, &line);
        self.troubles.push(text);
    }

    fn start(&mut self, engine: &Engine, data: &Data, limit: Option<&Limit>) -> Option<Worker> {
        match engine.start(&self.scratch.0, data, limit) {
            Ok(worker) => {
                if !self.versions.contains(&engine.name) {
                    self.versions.push(engine.name);
                    println!("{}: {}", worker.name, worker.version);
                    let line = format!(
                        "{{\"engine\":\"{}\",\"version\":{},\"settings\":{}}}",
                        worker.name,
                        quoted(&worker.version),
                        quoted(engine.settings)
                    );
                    append(&mut self.file, &line);
                }
                Some(worker)
            }
            Err(why) => {
                self.trouble(engine.name, data.shape.name(), "start", &why);
                None
            }
        }
    }

    /// Has one row done by one engine; what it says is written down. An engine that fails is out.
    fn one(
        &mut self,
        worker: &mut Option<Worker>,
        row: usize,
        data: &Data,
        round: u64,
        results: &mut Results,
        answers: &mut Answers,
    ) {
        let Some(runner) = worker else { return };
        if std::io::stderr().is_terminal() {
            let name = ROWS[row].name;
            eprint!(
                "\r{} round {}/{} {name:<20} {:<8}",
                data.shape.name(),
                round + 1,
                self.rounds,
                runner.name
            );
        }
        match runner.run(row, round, self.seconds) {
            Ok(_) if runner.lacks.contains(&ROWS[row].work) => {}
            Ok(done) => {
                append(
                    &mut self.file,
                    &measurement(results, runner.name, round, &done, machine::load_average()),
                );
                results.add(runner.name, round, done);
                answers.push((runner.name, done));
            }
            Err(why) => {
                let name = runner.name;
                *worker = None;
                self.trouble(name, data.shape.name(), ROWS[row].name, &why);
            }
        }
    }

    /// All engines must have seen the same: what most of them saw counts.
    fn compare(&mut self, row: usize, data: &Data, answers: &Answers) {
        let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
        answers
            .iter()
            .for_each(|(_, done)| *votes.entry(done.sum).or_default() += 1);
        let Some((right, _)) = votes.iter().max_by_key(|(_, count)| **count) else {
            return;
        };
        for (name, done) in answers {
            if done.sum != *right {
                let why = format!("saw other data: the sum is {}, that of most engines {right}", done.sum);
                self.trouble(name, data.shape.name(), ROWS[row].name, &why);
            }
        }
    }

    /// A memory limit for the data set that needs one, a quarter of it.
    fn limit(&mut self, data: &Data) -> Result<Option<Limit>, ()> {
        if data.shape != Shape::Limited {
            return Ok(None);
        }
        Limit::new(data.payload / 4).map(Some).map_err(|why| {
            self.trouble(
                "all",
                data.shape.name(),
                "start",
                &format!("skipped, no memory limit possible: {why}"),
            );
        })
    }

    fn dataset(&mut self, shape: Shape) -> Vec<Results> {
        let data = Data::new(shape, self.scale);
        let wanted: Vec<usize> = (0..ROWS.len())
            .filter(|row| ROWS[*row].on(shape))
            .filter(|row| chosen("BENCH_ONLY", ROWS[*row].name, true) || ROWS[*row].begins())
            .collect();
        let mut results: Vec<Results> = wanted
            .iter()
            .map(|row| Results::new(&ROWS[*row], shape.name(), data.random.len()))
            .collect();
        let Ok(limit) = self.limit(&data) else {
            return Vec::new();
        };
        // Files that fill the disk, or a memory limit: one engine after the other, not row by row.
        if matches!(ROWS[wanted[0]].on, On::Open | On::Limited) {
            for round in 0..self.rounds.min(if shape == Shape::Open { 1 } else { 3 }) {
                self.one_by_one(&data, round, &wanted, &mut results, limit.as_ref());
            }
        } else {
            self.in_turns(&data, &wanted, &mut results);
        }
        if let Some(limit) = limit {
            limit.remove();
        }
        results
    }

    fn one_by_one(
        &mut self,
        data: &Data,
        round: u64,
        wanted: &[usize],
        results: &mut [Results],
        limit: Option<&Limit>,
    ) {
        let mut answers: Vec<Answers> = vec![Vec::new(); wanted.len()];
        for engine in self.engines.clone() {
            let mut worker = self.start(engine, data, limit);
            for (at, row) in wanted.iter().enumerate() {
                self.one(&mut worker, *row, data, round, &mut results[at], &mut answers[at]);
            }
        }
        for (row, answers) in wanted.iter().zip(&answers) {
            self.compare(*row, data, answers);
        }
    }

    fn in_turns(&mut self, data: &Data, wanted: &[usize], results: &mut [Results]) {
        let mut workers: Vec<Option<Worker>> = Vec::new();
        for engine in self.engines.clone() {
            let worker = self.start(engine, data, None);
            workers.push(worker);
        }
        for round in 0..self.rounds {
            for (at, row) in wanted.iter().enumerate() {
                let mut answers = Vec::new();
                for turn in 0..workers.len() {
                    // Who begins changes, so that nobody always comes second.
                    let who = (turn + round as usize) % workers.len();
                    self.one(&mut workers[who], *row, data, round, &mut results[at], &mut answers);
                }
                self.compare(*row, data, &answers);
            }
            for worker in &mut workers {
                if worker.as_mut().is_some_and(|worker| worker.clear().is_err()) {
                    *worker = None;
                }
            }
        }
    }
}

/// The head of the results: what will be measured, on what, and how.
fn head(race: &Race) -> String {
    let command = std::env::var("BENCH_COMMAND").unwrap_or_else(|_| "kv-bench".to_owned());
    let mut out = format!(
        "{{\"run\":1,\"date\":\"{}\",\"command\":{},\"scale\":{},\"rounds\":{},\"file_system\":{},\"load\":{}",
        machine::date(),
        quoted(&command),
        race.scale,
        race.rounds,
        quoted(&machine::file_system(&race.scratch.0)),
        machine::load_average(),
    );
    for (name, value) in machine::description() {
        out += &format!(",\"{name}\":{}", quoted(&value));
    }
    out + "}"
}

/// Runs everything that the environment asks for.
pub fn race(engines: &[Engine]) {
    let path = results_path();
    let file = File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut race = Race {
        engines: engines
            .iter()
            .filter(|engine| chosen("BENCH_ENGINES", engine.name, true))
            .collect(),
        scale: variables::value("BENCH_SCALE", 1.0),
        rounds: variables::value("BENCH_ROUNDS", 5),
        seconds: variables::value("BENCH_TIMEOUT", 3600),
        scratch: Scratch::new(),
        file,
        troubles: Vec::new(),
        versions: Vec::new(),
    };
    let line = head(&race);
    append(&mut race.file, &line);
    println!(
        "scale {}, {} rounds, in {}",
        race.scale,
        race.rounds,
        race.scratch.0.display()
    );
    println!("median of the rounds; ratio: how many times better than LMDB, median of the rounds (lowest-highest)");
    println!(
        "CPU time of the process; commits, YCSB, opening: time; every commit durable on all sides but in lazy rows\n"
    );
    let mut all = Vec::new();
    for shape in Shape::ALL {
        // What takes long, or rights, is only done when asked for.
        let usual = !matches!(shape, Shape::Open | Shape::Limited);
        if chosen("BENCH_DATA", shape.name(), usual) {
            for results in race.dataset(shape) {
                for line in results.json() {
                    println!("\r{line}");
                    append(&mut race.file, &line);
                }
                all.push(results);
            }
        }
    }
    let names: Vec<&str> = race.engines.iter().map(|engine| engine.name).collect();
    println!("\n{:<28}{}", "", names.join(" | "));
    all.iter().for_each(|results| println!("{}", results.line(&names)));
    if !race.troubles.is_empty() {
        println!("\nNot all went well:");
        race.troubles.iter().for_each(|trouble| println!("  {trouble}"));
        drop(race);
        std::process::exit(1);
    }
}
