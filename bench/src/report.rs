//! The report: a page and pictures, made from the lines of the results and from nothing else.

use crate::data::Shape;
use crate::plot;
use crate::results::{fields, read, Results};
use crate::rows::{Group, Unit, Work, ROWS};
use crate::worker::Engine;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// Differences below this are called equal.
const TIE: f64 = 1.1;
/// The engine that all others are compared with, and the one that it must beat first.
const OURS: &str = "libkv";
const BASE: &str = "lmdb";

type Fields = BTreeMap<String, String>;

/// What the file of results says.
struct Report<'a> {
    head: Fields,
    /// Name, version, settings.
    engines: Vec<(String, String, String)>,
    results: Vec<Results>,
    errors: Vec<Fields>,
    /// Lowest and highest load average.
    load: (f64, f64),
    /// Rows of commits under the FIFO policy, and all of them.
    fifo: (usize, usize),
    docs: &'a Path,
    page: String,
}

fn field<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).map_or("", String::as_str)
}

/// A figure with its unit.
fn show(value: f64, unit: Unit) -> String {
    let (value, name) = match unit {
        Unit::Bytes => (value / 1e6, "MB"),
        Unit::PerByte => (value, "B"),
        _ if value < 1e3 => (value, "ns"),
        _ if value < 1e6 => (value / 1e3, "us"),
        _ if value < 1e9 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    };
    if value < 10.0 {
        format!("{value:.2} {name}")
    } else if value < 100.0 {
        format!("{value:.1} {name}")
    } else {
        format!("{value:.0} {name}")
    }
}

/// A ratio, with enough digits for small ones.
fn times(ratio: f64) -> String {
    if ratio < 0.1 {
        format!("{ratio:.4}")
    } else {
        format!("{ratio:.2}")
    }
}

fn title(group: Group) -> &'static str {
    match group {
        Group::Load => "Loading",
        Group::Lookup => "Lookups",
        Group::Scan => "Scans, seeks, counts",
        Group::Commit => "Commits",
        Group::Threads => "Commits of several threads",
        Group::Change => "Changes in large transactions",
        Group::Ycsb => "YCSB",
        Group::Space => "Space, and bytes written",
        Group::Large => "Large values",
        Group::Open => "Opening a large file",
        Group::Limited => "Data four times as large as memory",
    }
}

const GROUPS: [Group; 11] = [
    Group::Load,
    Group::Lookup,
    Group::Scan,
    Group::Commit,
    Group::Threads,
    Group::Change,
    Group::Ycsb,
    Group::Space,
    Group::Large,
    Group::Open,
    Group::Limited,
];

fn about(shape: Shape) -> &'static str {
    match shape {
        Shape::R24 => "24 random bytes -> 150 bytes",
        Shape::I8 => "consecutive 8-byte integers -> 8 bytes",
        Shape::Url => "URLs of 40 to 90 bytes -> 32 bytes",
        Shape::Text => "words of the texts below /usr/share with their positions -> 8 bytes",
        Shape::Large => "values of 64 KiB, 1 MiB, 64 MiB",
        Shape::Open => "8-byte integers -> 1000 bytes, in one large file",
        Shape::Limited => "as r24, with a quarter of its size as memory, page cache included",
    }
}

impl<'a> Report<'a> {
    fn new(text: &str, docs: &'a Path) -> Report<'a> {
        let (mut head, mut engines, mut errors) = (Fields::new(), Vec::new(), Vec::new());
        let (mut load, mut fifo) = ((f64::MAX, 0.0_f64), (0, 0));
        for line in text.lines() {
            let fields = fields(line);
            if fields.contains_key("run") {
                head = fields;
            } else if fields.contains_key("version") {
                let of = |name| field(&fields, name).to_owned();
                engines.push((of("engine"), of("version"), of("settings")));
            } else if fields.contains_key("error") {
                errors.push(fields);
            } else if fields.contains_key("round") {
                let now: f64 = field(&fields, "load").parse().unwrap_or(0.0);
                load = (load.0.min(now), load.1.max(now));
                let row = ROWS.iter().find(|row| row.name == field(&fields, "bench"));
                if row.is_some_and(|row| row.urgent()) {
                    fifo.0 += usize::from(field(&fields, "fifo") == "true");
                    fifo.1 += 1;
                }
            }
        }
        Report {
            head,
            engines,
            results: read(text),
            errors,
            load,
            fifo,
            docs,
            page: String::new(),
        }
    }

    fn say(&mut self, text: std::fmt::Arguments) {
        self.page.write_fmt(text).expect("a string");
        self.page.push('\n');
    }

    fn names(&self) -> Vec<&str> {
        self.engines.iter().map(|(name, _, _)| name.as_str()).collect()
    }

    fn peers(&self) -> Vec<String> {
        self.names()
            .into_iter()
            .filter(|name| *name != OURS)
            .map(str::to_owned)
            .collect()
    }

    /// The best engine of a row beside ours, and how many times better ours is.
    fn best_peer(&self, results: &Results) -> Option<(String, f64)> {
        self.peers()
            .into_iter()
            .filter_map(|name| results.ratio(OURS, &name).map(|ratio| (name, ratio)))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn draw(&mut self, name: &str, picture: &str, what: &str) {
        let path = self.docs.join("benchmarks").join(format!("{name}.svg"));
        std::fs::write(&path, picture).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        self.say(format_args!("![{what}](benchmarks/{name}.svg)\n"));
    }

    fn heading(&mut self) {
        self.say(format_args!(
            "# Benchmarks\n\nMade from the lines of `make bench-all` by `make -C bench report`; not edited by hand. What each row \
             does stands at the end,\nwhat is compared and how in [bench/README.md](../bench/README.md).\n"
        ));
        let head = self.head.clone();
        let of = |name| field(&head, name).to_owned();
        let (load, fifo) = (self.load, self.fifo);
        let policy = match fifo {
            (0, _) => "was not permitted: these rows contain waits for the processor".to_owned(),
            (with, all) if with == all => "in force".to_owned(),
            (with, all) => format!("in force in {with} of {all} measurements"),
        };
        let load = format!("{:.1} to {:.1}", load.0, load.1);
        let rows = [
            ("date", of("date")),
            ("command", format!("`{}`", of("command"))),
            ("scale, rounds", format!("{}, {}", of("scale"), of("rounds"))),
            ("processor", of("cpu")),
            ("memory", of("memory")),
            ("system", format!("{}, Linux {}", of("system"), of("kernel"))),
            ("file system", of("file_system")),
            ("load average during the run", load),
            ("FIFO scheduling of rows that wait for the disk", policy),
        ];
        self.say(format_args!("| | |\n|---|---|"));
        for (name, value) in rows {
            self.say(format_args!("| {name} | {value} |"));
        }
        if self.load.1 > 2.5 {
            self.say(format_args!(
                "\n**Others used the machine meanwhile** (see the load; one engine at a time makes about 1, YCSB and \
                 commits of many threads\nmore). Engines take turns within each row, so ratios suffer less than times, but \
                 differences below 20 % mean nothing here."
            ));
        }
        self.say(format_args!(
            "\n## Engines\n\n| engine | version | settings |\n|---|---|---|"
        ));
        for (name, version, settings) in self.engines.clone() {
            self.say(format_args!("| {name} | {version} | {settings} |"));
        }
        self.say(format_args!(
            "\nEvery engine does the same work on the same data in a process of its own; sums of what they read are compared. \
             A commit is\ndurable (it survives a power cut) everywhere but in rows with `lazy` in their name and in `churn`. Times \
             are CPU time of the process,\nwith the threads an engine started and what it does afterwards because of the row; \
             of commits, YCSB, opening and too little\nmemory they are time on the wall. Figures are medians of the rounds. A \
             ratio says how many times better libkv is, in time or\nbytes: above 1 libkv is better, below 1 the other; it is the \
             median of the ratios of the rounds.\n"
        ));
    }

    /// How often ours is better, equal, worse, and the geometric mean.
    fn summary(&mut self) {
        self.say(format_args!(
            "## Summary\n\nRows of all data sets; equal is within {:.0} %.\n\n| libkv beside | better | equal | worse | \
             geometric mean of the ratios |\n|---|--:|--:|--:|--:|",
            (TIE - 1.0) * 100.0
        ));
        for peer in self.peers() {
            let ratios: Vec<f64> = self.results.iter().filter_map(|r| r.ratio(OURS, &peer)).collect();
            let better = ratios.iter().filter(|ratio| **ratio > TIE).count();
            let worse = ratios.iter().filter(|ratio| **ratio < 1.0 / TIE).count();
            let usable: Vec<f64> = ratios.iter().copied().filter(|ratio| *ratio > 0.0).collect();
            let mean = (usable.iter().map(|ratio| ratio.ln()).sum::<f64>() / usable.len().max(1) as f64).exp();
            let equal = ratios.len() - better - worse;
            self.say(format_args!("| {peer} | {better} | {equal} | {worse} | {mean:.2} |"));
        }
        self.behind();
    }

    fn behind(&mut self) {
        let mut rows: Vec<(f64, String)> = Vec::new();
        for results in &self.results {
            let Some((peer, ratio)) = self.best_peer(results) else {
                continue;
            };
            if ratio >= 1.0 / TIE {
                continue;
            }
            let unit = results.row.unit;
            let figure = |engine: &str| results.median(engine).map_or("-".to_owned(), |value| show(value, unit));
            let base = results
                .ratio(OURS, BASE)
                .map_or("-".to_owned(), |ratio| emphasis(ratio, times(ratio)));
            let others = self
                .peers()
                .into_iter()
                .filter(|name| results.ratio(OURS, name).is_some_and(|ratio| ratio < 1.0 / TIE));
            let others: Vec<String> = others.collect();
            rows.push((
                ratio,
                format!(
                    "| `{}` | {} | {} | {} ({}) | {} | {base} | {} |",
                    results.row.name,
                    results.dataset,
                    figure(OURS),
                    figure(&peer),
                    peer,
                    times(ratio),
                    others.join(", ")
                ),
            ));
        }
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.say(format_args!(
            "\n## Where libkv is behind\n\nEvery row in which some engine is more than {:.0} % better, the worst first.\n\n\
             | row | data | libkv | best | ratio to it | to LMDB | behind |\n|---|---|--:|--:|--:|--:|---|",
            (TIE - 1.0) * 100.0
        ));
        for (_, row) in rows {
            self.say(format_args!("{row}"));
        }
        self.page.push('\n');
    }

    fn table(&mut self, dataset: &str, group: Group) -> bool {
        let rows: Vec<usize> = (0..self.results.len())
            .filter(|i| self.results[*i].dataset == dataset && self.results[*i].row.group == group)
            .collect();
        if rows.is_empty() {
            return false;
        }
        let names: Vec<String> = self.names().into_iter().map(str::to_owned).collect();
        self.say(format_args!("### {}: {dataset}\n", title(group)));
        let columns = "--:|".repeat(names.len() + 2);
        self.say(format_args!(
            "| row | {} | libkv to LMDB | to the best peer |\n|---|{columns}",
            names.join(" | ")
        ));
        for at in rows {
            let results = &self.results[at];
            let medians: Vec<Option<f64>> = names.iter().map(|name| results.median(name)).collect();
            let best = medians.iter().flatten().copied().fold(f64::MAX, f64::min);
            let mut line = format!("| `{}` |", results.row.name);
            for median in &medians {
                line += &match median {
                    Some(value) if *value <= best => format!(" **{}** |", show(*value, results.row.unit)),
                    Some(value) => format!(" {} |", show(*value, results.row.unit)),
                    None => " - |".to_owned(),
                };
            }
            let base = results.ratio(OURS, BASE).map_or("-".to_owned(), times);
            let peer = self
                .best_peer(results)
                .map_or("-".to_owned(), |(name, ratio)| format!("{} ({name})", times(ratio)));
            self.say(format_args!("{line} {base} | {peer} |"));
        }
        self.page.push('\n');
        true
    }

    /// Bars of a group: how many times as much as libkv each engine needs.
    fn group_picture(&mut self, dataset: &str, group: Group) {
        let mut rows: Vec<plot::Bars> = Vec::new();
        let names: Vec<String> = self.peers();
        for results in self
            .results
            .iter()
            .filter(|r| r.dataset == dataset && r.row.group == group)
        {
            let values = names.iter().filter_map(|name| {
                let ratio = results.ratio(OURS, name)?;
                (ratio > 0.0).then_some((name.as_str(), ratio))
            });
            rows.push((results.row.name.to_owned(), values.collect()));
        }
        rows.retain(|(_, values)| !values.is_empty());
        if rows.is_empty() {
            return;
        }
        let engines: Vec<&str> = names.iter().map(String::as_str).collect();
        let what = format!("{}, {dataset}", title(group));
        let note = "what each engine needs, libkv = 1: to the right more than libkv, to the left less";
        let picture = plot::bars(&what, note, &engines, &rows);
        let name = format!("{dataset}-{}", format!("{group:?}").to_lowercase());
        self.draw(&name, &picture, &what);
    }

    /// Commits a second over threads.
    fn threads_picture(&mut self) {
        let names: Vec<String> = self.names().into_iter().map(str::to_owned).collect();
        let mut points: Vec<(&str, Vec<(f64, f64)>)> = names.iter().map(|name| (name.as_str(), Vec::new())).collect();
        for results in self.results.iter().filter(|results| results.dataset == "r24") {
            let Work::Commit {
                puts: 1,
                durable: true,
                threads,
            } = results.row.work
            else {
                continue;
            };
            if results.row.name.ends_with("aged") {
                continue;
            }
            for (name, line) in &mut points {
                if let Some(median) = results.median(name) {
                    line.push((threads as f64, 1e9 / median));
                }
            }
        }
        points.retain(|(_, line)| line.len() > 1);
        if points.is_empty() {
            return;
        }
        let engines: Vec<&str> = points.iter().map(|(name, _)| *name).collect();
        let note = "one put in each; more is better";
        let picture = plot::lines("Durable commits a second, r24", note, &engines, &points);
        self.draw("threads", &picture, "Durable commits a second");
    }

    /// Bars of a data set: libkv beside LMDB.
    fn overview(&mut self, dataset: &str) {
        let rows: Vec<plot::Bars> = self
            .results
            .iter()
            .filter(|results| results.dataset == dataset)
            .filter_map(|results| {
                let ratio = results.ratio(OURS, BASE).filter(|ratio| *ratio > 0.0)?;
                Some((results.row.name.to_owned(), vec![(OURS, ratio)]))
            })
            .collect();
        if rows.is_empty() {
            return;
        }
        let what = format!("libkv beside LMDB, {dataset}");
        let note = "how many times better libkv is than LMDB: to the right better, to the left worse";
        let picture = plot::bars(&what, note, &[OURS], &rows);
        self.draw(&format!("{dataset}-lmdb"), &picture, &what);
    }

    fn datasets(&mut self) {
        for shape in Shape::ALL {
            let name = shape.name();
            let Some(entries) = self.results.iter().find(|r| r.dataset == name).map(|r| r.entries) else {
                continue;
            };
            self.say(format_args!("## {name}: {}\n", about(shape)));
            if shape != Shape::Large {
                self.say(format_args!("{entries} entries.\n"));
            }
            self.overview(name);
            for group in GROUPS {
                if self.table(name, group) && self.peers().len() > 1 {
                    self.group_picture(name, group);
                    if group == Group::Threads {
                        self.threads_picture();
                    }
                }
            }
        }
    }

    fn failures(&mut self) {
        if self.errors.is_empty() {
            return;
        }
        self.say(format_args!(
            "## What failed\n\n| engine | data | row | why |\n|---|---|---|---|"
        ));
        for fields in self.errors.clone() {
            let of = |name| field(&fields, name).replace('|', "/");
            self.say(format_args!(
                "| {} | {} | {} | {} |",
                of("engine"),
                of("dataset"),
                of("bench"),
                of("error")
            ));
        }
        self.page.push('\n');
    }

    fn glossary(&mut self) {
        self.say(format_args!(
            "## The rows\n\n| row | what is done; what a figure is of |\n|---|---|"
        ));
        for row in ROWS
            .iter()
            .filter(|row| self.results.iter().any(|r| r.row.name == row.name))
            .collect::<Vec<_>>()
        {
            self.say(format_args!("| `{}` | {} |", row.name, row.says));
        }
    }
}

fn emphasis(ratio: f64, text: String) -> String {
    if ratio < 1.0 / TIE {
        format!("**{text}**")
    } else {
        text
    }
}

/// Writes `benchmarks.md` and its pictures into a directory.
pub fn report(results: &Path, docs: &Path, engines: &[Engine]) {
    let text = std::fs::read_to_string(results).unwrap_or_else(|e| panic!("{}: {e}", results.display()));
    let pictures = docs.join("benchmarks");
    let _ = std::fs::remove_dir_all(&pictures);
    std::fs::create_dir_all(&pictures).unwrap_or_else(|e| panic!("{}: {e}", pictures.display()));
    let mut report = Report::new(&text, docs);
    // In the order in which the program knows them, whoever answered first.
    let order = |name: &str| {
        engines
            .iter()
            .position(|engine| engine.name == name)
            .unwrap_or(usize::MAX)
    };
    report.engines.sort_by_key(|(name, _, _)| order(name));
    report.heading();
    report.summary();
    report.datasets();
    report.failures();
    report.glossary();
    let path = docs.join("benchmarks.md");
    std::fs::write(&path, &report.page).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    println!("{}", path.display());
}
