//! Figures: medians, ratios, the table for people and the lines for programs, written and read.

use crate::outcome::Outcome;
use crate::rows::{Row, Unit, ROWS};
use std::collections::BTreeMap;
use std::io::Write as _;

/// What engines did in one row on one data set: per engine, per round.
pub struct Results {
    pub row: &'static Row,
    pub dataset: String,
    pub entries: usize,
    /// For each engine, in the order in which they took part: round and figures.
    pub engines: Vec<(String, BTreeMap<u64, Outcome>)>,
}

/// The one in the middle (of an even number: between the two in the middle).
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| (values[(n - 1) / 2] + values[n / 2]) / 2.0)
}

/// A figure of a row, of one round.
fn figure(done: &Outcome, unit: Unit) -> f64 {
    let operations = done.operations.max(1) as f64;
    match unit {
        Unit::Cpu => done.spent.cpu as f64 / operations,
        Unit::Wall => done.spent.wall as f64 / operations,
        Unit::Bytes | Unit::PerByte => done.figure,
    }
}

/// A text as JSON.
pub fn quoted(text: &str) -> String {
    let escaped: String = text
        .chars()
        .flat_map(|c| match c {
            '"' | '\\' => vec!['\\', c],
            c if c.is_control() => vec![' '],
            c => vec![c],
        })
        .collect();
    format!("\"{escaped}\"")
}

impl Results {
    pub fn new(row: &'static Row, dataset: &str, entries: usize) -> Results {
        Results {
            row,
            dataset: dataset.to_owned(),
            entries,
            engines: Vec::new(),
        }
    }

    pub fn add(&mut self, engine: &str, round: u64, done: Outcome) {
        let at = self.engines.iter().position(|(name, _)| name == engine);
        let at = at.unwrap_or_else(|| {
            self.engines.push((engine.to_owned(), BTreeMap::new()));
            self.engines.len() - 1
        });
        self.engines[at].1.insert(round, done);
    }

    fn rounds(&self, engine: &str) -> Option<&BTreeMap<u64, Outcome>> {
        self.engines
            .iter()
            .find(|(name, _)| name == engine)
            .map(|(_, rounds)| rounds)
    }

    fn median_of(&self, engine: &str, unit: Unit) -> Option<f64> {
        median(self.rounds(engine)?.values().map(|done| figure(done, unit)).collect())
    }

    /// The median of an engine's rounds.
    pub fn median(&self, engine: &str) -> Option<f64> {
        self.median_of(engine, self.row.unit)
    }

    fn ratios(&self, engine: &str, other: &str, unit: Unit) -> Vec<f64> {
        let (Some(mine), Some(others)) = (self.rounds(engine), self.rounds(other)) else {
            return Vec::new();
        };
        let both = mine.iter().filter_map(|(round, done)| Some((done, others.get(round)?)));
        both.map(|(done, other)| figure(other, unit) / figure(done, unit))
            .filter(|ratio| ratio.is_finite())
            .collect()
    }

    /// How many times better an engine is than another: the median of the ratios of each round.
    pub fn ratio(&self, engine: &str, other: &str) -> Option<f64> {
        median(self.ratios(engine, other, self.row.unit))
    }

    /// One line of the table.
    pub fn line(&self, engines: &[&str]) -> String {
        let unit = self.row.unit;
        let mut out = format!("{:<20}{:<8}", self.row.name, self.dataset);
        for name in engines {
            let Some(median) = self.median(name) else {
                out += &format!("{:>15}", "-");
                continue;
            };
            out += &match unit {
                Unit::Bytes => format!("{:>12.1} MB", median / 1e6),
                Unit::PerByte => format!("{median:>12.1} B "),
                _ => format!("{median:>12.1} ns"),
            };
            if let ("libkv", Some(ratio)) = (*name, self.ratio(name, "lmdb")) {
                let (low, high) = self
                    .ratios(name, "lmdb", unit)
                    .iter()
                    .fold((f64::MAX, 0.0_f64), |(l, h), r| (l.min(*r), h.max(*r)));
                out += &format!("{ratio:>8.2}x ({low:.2}-{high:.2})");
                if let (Unit::Cpu, Some(wall)) = (unit, median_ratio(self, name)) {
                    out += &format!(" wall {wall:.2}x");
                }
            }
        }
        out
    }

    /// One line of JSON per engine: what all rounds say.
    pub fn json(&self) -> Vec<String> {
        let lines = self.engines.iter().map(|(name, rounds)| {
            let unit = self.row.unit;
            let of = |unit| self.median_of(name, unit).unwrap_or(0.0);
            let figure = match unit {
                Unit::Bytes => format!("\"bytes\":{:.0}", of(unit)),
                Unit::PerByte => format!("\"bytes_per_byte\":{:.3}", of(unit)),
                _ => format!(
                    "\"ns_per_op\":{:.1},\"clock\":\"{}\",\"cpu_ns_per_op\":{:.1},\"wall_ns_per_op\":{:.1}",
                    of(unit),
                    if unit == Unit::Cpu { "process_cpu" } else { "wall" },
                    of(Unit::Cpu),
                    of(Unit::Wall),
                ),
            };
            let ratio = self
                .ratio(name, "lmdb")
                .map_or(String::new(), |ratio| format!(",\"ratio_to_lmdb\":{ratio:.3}"));
            format!(
                "{{\"bench\":\"{}\",\"dataset\":\"{}\",\"entries\":{},\"engine\":\"{name}\",{figure}{ratio},\"rounds\":{}}}",
                self.row.name,
                self.dataset,
                self.entries,
                rounds.len(),
            )
        });
        lines.collect()
    }
}

fn median_ratio(results: &Results, engine: &str) -> Option<f64> {
    median(results.ratios(engine, "lmdb", Unit::Wall))
}

/// The line of one measurement, written as soon as it is made. `round` tells it from a line of medians.
pub fn measurement(results: &Results, engine: &str, round: u64, done: &Outcome, load: f64) -> String {
    format!(
        "{{\"bench\":\"{}\",\"dataset\":\"{}\",\"entries\":{},\"engine\":\"{engine}\",\"round\":{round},\"cpu_ns\":{},\
         \"wall_ns\":{},\"operations\":{},\"sum\":{},\"figure\":{},\"fifo\":{},\"load\":{load}}}",
        results.row.name,
        results.dataset,
        results.entries,
        done.spent.cpu,
        done.spent.wall,
        done.operations,
        done.sum,
        done.figure,
        done.fifo,
    )
}

/// Appends a line to the file of results, so that it is there whatever happens next.
pub fn append(file: &mut std::fs::File, line: &str) {
    writeln!(file, "{line}").expect("the results can be written");
}

/// The fields of a line of JSON without nesting: what this program writes.
pub fn fields(line: &str) -> BTreeMap<String, String> {
    let (mut out, mut rest) = (BTreeMap::new(), line.trim().trim_start_matches('{'));
    while let Some((name, tail)) = rest
        .trim_start_matches(',')
        .strip_prefix('"')
        .and_then(|r| r.split_once("\":"))
    {
        let (mut value, mut end, mut text, mut escaped) = (String::new(), tail.len(), false, false);
        for (at, c) in tail.char_indices() {
            match c {
                _ if escaped => {
                    value.push(c);
                    escaped = false;
                }
                '\\' if text => escaped = true,
                '"' => text = !text,
                ',' | '}' if !text => {
                    end = at;
                    break;
                }
                c => value.push(c),
            }
        }
        out.insert(name.to_owned(), value);
        rest = &tail[end..];
    }
    out
}

/// All measurements of a file of results, in the order of the rows.
pub fn read(text: &str) -> Vec<Results> {
    let mut all: Vec<Results> = Vec::new();
    for line in text.lines() {
        let fields = fields(line);
        let number = |name: &str| fields.get(name).and_then(|value| value.parse::<u64>().ok());
        let row = ROWS
            .iter()
            .find(|row| fields.get("bench").is_some_and(|bench| bench == row.name));
        let (Some(row), Some(round), Some(engine), Some(dataset), Some(operations)) = (
            row,
            number("round"),
            fields.get("engine"),
            fields.get("dataset"),
            number("operations"),
        ) else {
            continue;
        };
        let at = all
            .iter()
            .position(|results| std::ptr::eq(results.row, row) && results.dataset == *dataset);
        let at = at.unwrap_or_else(|| {
            all.push(Results::new(row, dataset, number("entries").unwrap_or(0) as usize));
            all.len() - 1
        });
        let done = Outcome {
            spent: crate::clock::Spent {
                cpu: number("cpu_ns").unwrap_or(0),
                wall: number("wall_ns").unwrap_or(0),
            },
            operations: operations as usize,
            sum: number("sum").unwrap_or(0),
            figure: fields.get("figure").and_then(|value| value.parse().ok()).unwrap_or(0.0),
            fifo: fields.get("fifo").is_some_and(|value| value == "true"),
        };
        all[at].add(engine, round, done);
    }
    all
}
