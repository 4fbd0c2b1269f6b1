//! Medians, ratios, the table for people and the lines for programs.

use crate::work::{Done, Unit, Work};
use std::io::Write as _;

/// Figures of one kind of work on one data set: per contender, per round.
pub struct Row {
    pub work: Work,
    pub dataset: &'static str,
    pub entries: usize,
    pub engines: Vec<&'static str>,
    /// `rounds[round][engine]`.
    pub rounds: Vec<Vec<Done>>,
}

/// The one in the middle (of an even number: between the two in the middle).
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

impl Row {
    fn figure(&self, done: &Done, unit: Unit) -> f64 {
        match unit {
            Unit::Cpu => done.spent.cpu as f64 / done.operations as f64,
            Unit::Wall => done.spent.wall as f64 / done.operations as f64,
            Unit::Bytes => done.bytes as f64,
        }
    }

    fn median(&self, engine: usize, unit: Unit) -> f64 {
        median(
            self.rounds
                .iter()
                .map(|round| self.figure(&round[engine], unit))
                .collect(),
        )
    }

    /// How many times better than LMDB: the median of the ratios of each round.
    fn ratio(&self, engine: usize, unit: Unit) -> f64 {
        let lmdb = self
            .engines
            .iter()
            .position(|name| *name == "lmdb")
            .expect("LMDB takes part");
        let ratios = self
            .rounds
            .iter()
            .map(|round| self.figure(&round[lmdb], unit) / self.figure(&round[engine], unit));
        median(ratios.collect())
    }

    /// Appends one line of JSON per engine, to the file and to the standard output.
    pub fn write_json(&self, file: &mut std::fs::File) {
        let unit = self.work.unit();
        for (engine, name) in self.engines.iter().enumerate() {
            let figure = match unit {
                Unit::Bytes => format!("\"bytes\":{:.0}", self.median(engine, unit)),
                _ => format!(
                    "\"ns_per_op\":{:.1},\"clock\":\"{}\",\"cpu_ns_per_op\":{:.1},\"wall_ns_per_op\":{:.1}",
                    self.median(engine, unit),
                    if unit == Unit::Cpu { "thread_cpu" } else { "wall" },
                    self.median(engine, Unit::Cpu),
                    self.median(engine, Unit::Wall),
                ),
            };
            let line = format!(
                "{{\"bench\":\"{}\",\"dataset\":\"{}\",\"entries\":{},\"engine\":\"{name}\",{figure},\"ratio_to_lmdb\":{:.3},\"rounds\":{}}}",
                self.work.name(),
                self.dataset,
                self.entries,
                self.ratio(engine, unit),
                self.rounds.len(),
            );
            println!("{line}");
            writeln!(file, "{line}").expect("results.jsonl can be written");
        }
    }

    /// One line of the table.
    pub fn line(&self) -> String {
        let unit = self.work.unit();
        let mut out = format!("{:<16}{:<6}", self.work.name(), self.dataset);
        for (engine, name) in self.engines.iter().enumerate() {
            out += &match unit {
                Unit::Bytes => format!("{:>12.1} MB", self.median(engine, unit) / 1e6),
                _ => format!("{:>12.1} ns", self.median(engine, unit)),
            };
            if *name != "lmdb" {
                let ratios: Vec<f64> = self.rounds.iter().map(|round| self.spread(round, engine)).collect();
                let (low, high) = ratios
                    .iter()
                    .fold((f64::MAX, 0.0_f64), |(l, h), r| (l.min(*r), h.max(*r)));
                out += &format!("{:>8.2}x ({low:.2}-{high:.2})", self.ratio(engine, unit));
                if unit == Unit::Cpu {
                    out += &format!(" wall {:.2}x", self.ratio(engine, Unit::Wall));
                }
            }
        }
        out
    }

    fn spread(&self, round: &[Done], engine: usize) -> f64 {
        let lmdb = self
            .engines
            .iter()
            .position(|name| *name == "lmdb")
            .expect("LMDB takes part");
        let unit = self.work.unit();
        self.figure(&round[lmdb], unit) / self.figure(&round[engine], unit)
    }
}
