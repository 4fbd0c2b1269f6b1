//! Random operations, savepoints and nested transactions against the model, through both doors with the same generator:
//! whatever the library answers must be what a sorted map answers, in every transaction, in every state that a reader
//! or a named snapshot holds, after every reopening.
//!
//! `KV_MODEL_OPS` is the number of operations over all tests (default 4,000,000), `KV_SEED` another sequence. A failure
//! prints what is needed to see it again.

mod common;
mod model_snapshots;

use common::api::{open, Base, Change, Door, Setup, Snapshot, Span, Writes};
use common::drive::savepoints::Savepoints;
use common::drive::snapshots::now;
use common::drive::{read, verify, write, Cursors};
use common::env_number;
use common::gen::{Gen, Op, Shape, Sizes};
use common::model::{within, Map, State};
use common::rng::Rng;
use common::tmp::TempDir;
use kv::TableId;
use std::collections::{BTreeSet, VecDeque};

/// Tests below; each does its share of the operations.
const TESTS: u64 = 20;

/// One way to run.
#[derive(Debug, Clone, Copy)]
struct Config {
    shape: Shape,
    sizes: Sizes,
    universe: u64,
    page_size: u32,
    /// In a file, reopened now and then; else in memory.
    file: bool,
    lazy: bool,
    /// So little that a write transaction flushes its edits many times.
    tiny: bool,
}

const INTS: Config = Config {
    shape: Shape::Int,
    sizes: Sizes::Eight,
    universe: 30_000,
    page_size: 4096,
    file: false,
    lazy: false,
    tiny: false,
};
const INTS_TINY: Config = Config {
    universe: 3000,
    file: true,
    lazy: true,
    tiny: true,
    ..INTS
};
const RANDOM: Config = Config {
    shape: Shape::Random,
    sizes: Sizes::Any,
    universe: 1500,
    file: true,
    ..INTS
};
const URLS: Config = Config {
    shape: Shape::Url,
    tiny: true,
    page_size: 8192,
    file: false,
    ..RANDOM
};
const EQUAL_HEADS: Config = Config {
    shape: Shape::EqualHeads,
    sizes: Sizes::Eight,
    tiny: true,
    ..RANDOM
};
const NESTED: Config = Config {
    shape: Shape::Nested,
    sizes: Sizes::Eight,
    file: false,
    ..RANDOM
};
const LONG_KEYS: Config = Config {
    shape: Shape::Long,
    universe: 250,
    lazy: true,
    ..RANDOM
};
const LONG_KEYS_64K: Config = Config {
    page_size: 65536,
    tiny: true,
    ..LONG_KEYS
};
const MIXED: Config = Config {
    shape: Shape::Mixed,
    universe: 2000,
    page_size: 16384,
    file: false,
    ..RANDOM
};
const MIXED_TINY: Config = Config {
    page_size: 32768,
    file: true,
    lazy: true,
    tiny: true,
    ..MIXED
};

/// A reader that is held while commits go by.
struct Held {
    txn: Box<dyn Snapshot>,
    state: State,
    cursors: Cursors,
}

/// What happened, for the report of a failure.
enum Event {
    Op(Op),
    Other(&'static str),
}

/// Prints how to see a failure again, when the test panics.
struct Witness {
    name: &'static str,
    seed: u64,
    ops: u64,
    last: VecDeque<Event>,
}

impl Witness {
    fn saw(&mut self, event: Event) {
        if self.last.len() == 30 {
            self.last.pop_front();
        }
        if matches!(event, Event::Op(_)) {
            self.ops += 1;
        }
        self.last.push_back(event);
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "{}: KV_SEED={} operation {}; the last ones:",
                self.name, self.seed, self.ops
            );
            for event in &self.last {
                match event {
                    Event::Op(op) => eprintln!("  {op:?}"),
                    Event::Other(what) => eprintln!("  --- {what}"),
                }
            }
        }
    }
}

/// The changes of a table between two states, by the model.
fn changes((before, after): (&State, &State), table: TableId, span: &Span) -> Vec<Change> {
    let none = Map::new();
    let [before, after] = [before, after].map(|state| state.data.get(&table).map_or(&none, |map| map.as_ref()));
    let keys = within(before, span).chain(within(after, span)).map(|(key, _)| key);
    let keys: BTreeSet<_> = keys.collect();
    let copy = |map: &Map, key| map.get(key).map(|value| value.to_vec());
    let all = keys
        .into_iter()
        .map(|key| (key.to_vec(), copy(before, key), copy(after, key)));
    let mut changed: Vec<Change> = all.filter(|(_, was, is)| was != is).collect();
    if span.reverse {
        changed.reverse();
    }
    changed
}

struct Run {
    // Dropped in this order: readers before their database, the directory last.
    readers: [Option<Held>; 4],
    base: Option<Box<dyn Base>>,
    door: Door,
    setup: Setup,
    gen: Gen,
    state: State,
    /// When the call began that has made the newest commit.
    began: u64,
    witness: Witness,
    dir: TempDir,
}

impl Run {
    fn new(name: &'static str, door: Door, config: &Config) -> Run {
        let seed = env_number("KV_SEED", 1);
        let setup = Setup {
            page_size: config.page_size,
            memory: !config.file,
            write_memory: if config.tiny { 4096 } else { 0 },
            lazy: config.lazy,
            existing: false,
        };
        let page_size = config.page_size as usize;
        // The doors share a configuration's sequence: what fails through one only is that door's fault.
        let salt = u64::from(config.page_size) << 32 | config.universe << 8 | config.shape as u64;
        Run {
            door,
            setup,
            dir: TempDir::new(name),
            base: None,
            gen: Gen::new(seed ^ salt, config.shape, config.sizes, config.universe, page_size),
            state: State::default(),
            began: 0,
            readers: [const { None }; 4],
            witness: Witness {
                name,
                seed,
                ops: 0,
                last: VecDeque::new(),
            },
        }
    }

    fn base(&self) -> &dyn Base {
        self.base.as_deref().expect("open")
    }

    fn open(&mut self) {
        let opened = open(self.door, &self.dir.file("model.kv"), &self.setup);
        self.base = Some(opened.unwrap_or_else(|fail| panic!("open: {fail:?}")));
    }

    fn run(&mut self, ops: u64) {
        self.open();
        let mut round = 0;
        while self.witness.ops < ops {
            round += 1;
            self.transaction();
            self.check(round);
            self.read_some();
            self.use_snapshots();
            if !self.setup.memory && self.gen.rng.one_in(150) {
                self.reopen();
            }
        }
        self.reopen_or_verify();
    }

    fn transaction(&mut self) {
        self.witness.saw(Event::Other("begin"));
        let mut txn = self
            .base()
            .begin_write()
            .unwrap_or_else(|fail| panic!("begin: {fail:?}"));
        let mut state = self.state.clone();
        let mut cursors = Cursors::default();
        let mut savepoints = Savepoints::default();
        let (mut rng, often) = (Rng::new(self.gen.rng.next()), [0, 0, 40, 8, 2][self.gen.rng.index(5)]);
        let most = match self.gen.rng.below(40) {
            0 => 2000,
            1..8 => 300,
            _ => 40,
        };
        for _ in 0..self.gen.rng.range(0, most) {
            let op = self.gen.op(&state, &cursors.model);
            self.witness.saw(Event::Op(op.clone()));
            write(txn.as_mut(), &mut state, &mut cursors, &op);
            if often > 0 && rng.one_in(often) {
                let done = savepoints.step(&mut rng, txn.as_mut(), (&mut state, &mut cursors));
                self.witness.saw(Event::Other(done));
            }
            if self.gen.rng.one_in(3000) {
                self.revert(txn.as_mut(), &mut state, &mut cursors);
            }
        }
        if self.gen.rng.percent(4) {
            verify(txn.as_mut(), &state);
        }
        if self.gen.rng.percent(25) {
            self.witness.saw(Event::Other("abort"));
            return;
        }
        savepoints.end_all(&mut rng, txn.as_mut(), (&mut state, &mut cursors));
        self.witness.saw(Event::Other("commit"));
        self.commit(txn, state);
    }

    fn commit(&mut self, txn: Box<dyn Writes>, state: State) {
        self.began = now();
        txn.commit().unwrap_or_else(|fail| panic!("commit: {fail:?}"));
        self.state = state;
        self.committed();
    }

    /// The structure and the page accounting: after every transaction as long as that is cheap.
    fn check(&mut self, round: u64) {
        let pages = self.base().pages().unwrap_or_else(|fail| panic!("stat: {fail:?}"));
        let every = 1 + pages * u64::from(self.setup.page_size) / (1 << 20);
        if round % every != 0 {
            return;
        }
        let found = self.base().check().unwrap_or_else(|fail| panic!("check: {fail:?}"));
        assert_eq!(found.faults, 0, "check after transaction {round}: {:#?}", found.what);
        assert_eq!(found.entries, self.state.total(), "entries after transaction {round}");
        assert_eq!(
            found.tables,
            self.state.names.len() as u64 + 1,
            "tables after transaction {round}"
        );
        assert_eq!(found.pages, pages, "pages after transaction {round}");
        let snapshots = self.state.list().kept().count();
        assert_eq!(found.snapshots, snapshots as u64, "snapshots after transaction {round}");
    }

    fn read_some(&mut self) {
        let slot = self.gen.rng.index(self.readers.len());
        let Some(held) = &mut self.readers[slot] else {
            if self.gen.rng.percent(15) {
                self.witness.saw(Event::Other("a reader begins"));
                self.readers[slot] = Some(self.begin_reader());
            }
            return;
        };
        for _ in 0..self.gen.rng.index(6) {
            let op = self.gen.read(&held.state, &held.cursors.model);
            self.witness.saw(Event::Op(Op::Read(op.clone())));
            read(held.txn.as_mut(), &held.state, &mut held.cursors, &op);
        }
        match self.gen.rng.below(100) {
            0..3 => {
                self.witness.saw(Event::Other("a reader verifies and ends"));
                verify(held.txn.as_mut(), &held.state);
                self.readers[slot] = None;
            }
            3..6 => {
                self.witness.saw(Event::Other("a reader verifies"));
                verify(held.txn.as_mut(), &held.state);
            }
            9..16 => self.compare(slot),
            6..9 => {
                self.witness.saw(Event::Other("a reader moves to the newest commit"));
                held.txn.refresh().unwrap_or_else(|fail| panic!("refresh: {fail:?}"));
                held.state = self.state.clone();
                held.cursors.refreshed(held.txn.as_mut(), &held.state);
            }
            _ => {}
        }
    }

    /// Compares two snapshots that are held with what the model says of them.
    fn compare(&mut self, at: usize) {
        let other = self.gen.rng.index(self.readers.len());
        if other == at {
            return;
        }
        let Some(mut before) = self.readers[other].take() else {
            return;
        };
        if let Some(after) = &mut self.readers[at] {
            self.witness.saw(Event::Other("two readers are compared"));
            let tables: BTreeSet<TableId> = before
                .state
                .data
                .keys()
                .chain(after.state.data.keys())
                .copied()
                .collect();
            let table = tables.into_iter().nth(self.gen.rng.index(before.state.data.len()));
            let table = table.unwrap_or(TableId::MAIN);
            let span = self.gen.span();
            let want = changes((&before.state, &after.state), table, &span);
            let got = after.txn.changes_since(before.txn.as_mut(), table, &span);
            let got = got.unwrap_or_else(|fail| panic!("changes: {fail:?}"));
            assert!(got == want, "{table} {span:?}: {} of {} changes", got.len(), want.len());
            let counted = after.txn.count_changes_since(before.txn.as_mut(), table, &span);
            let many = |wanted: fn(&Change) -> bool| want.iter().filter(|change| wanted(change)).count() as u64;
            let counts = [
                many(|change| change.1.is_none()),
                many(|change| change.2.is_none()),
                many(|change| change.1.is_some() && change.2.is_some()),
            ];
            assert_eq!(counted.unwrap_or_else(|fail| panic!("count: {fail:?}")), counts);
            let is_same = after.txn.is_same_as(before.txn.as_mut(), Some(table));
            assert!(!is_same.unwrap_or_else(|fail| panic!("same: {fail:?}")) || want.is_empty());
            let all = after.txn.is_same_as(before.txn.as_mut(), None);
            let all = all.unwrap_or_else(|fail| panic!("same: {fail:?}"));
            assert!(!all || before.state.data == after.state.data);
        }
        self.readers[other] = Some(before);
    }

    fn begin_reader(&self) -> Held {
        Held {
            txn: self
                .base()
                .begin_read()
                .unwrap_or_else(|fail| panic!("begin_read: {fail:?}")),
            state: self.state.clone(),
            cursors: Cursors::default(),
        }
    }

    fn reopen(&mut self) {
        self.witness.saw(Event::Other("close and open"));
        for held in &mut self.readers {
            if let Some(mut held) = held.take() {
                verify(held.txn.as_mut(), &held.state);
            }
        }
        let cost = self.cost_of_all();
        self.began = now();
        let base = self.base.take().expect("open");
        base.close().unwrap_or_else(|fail| panic!("close: {fail:?}"));
        self.setup.existing = true;
        self.open();
        self.committed();
        assert!(
            self.has_policy() || self.cost_of_all() == cost,
            "{cost} pages were kept"
        );
        verify(self.begin_reader().txn.as_mut(), &self.state);
    }

    fn reopen_or_verify(&mut self) {
        if self.setup.memory {
            for held in self.readers.iter_mut().flatten() {
                verify(held.txn.as_mut(), &held.state);
            }
            verify(self.begin_reader().txn.as_mut(), &self.state);
        } else {
            self.reopen();
        }
        self.readers = [const { None }; 4];
    }
}

macro_rules! runs {
    ($($name:ident: $door:ident $config:ident;)*) => {
        $(
            #[test]
            fn $name() {
                let ops = env_number("KV_MODEL_OPS", 4_000_000) / TESTS;
                Run::new(stringify!($name), Door::$door, &$config).run(ops);
            }
        )*

        #[test]
        fn operations_are_shared_by_all_runs() {
            assert_eq!([$(stringify!($name)),*].len() as u64, TESTS);
        }
    };
}

runs! {
    rust_ints: Rust INTS;
    rust_ints_tiny: Rust INTS_TINY;
    rust_random: Rust RANDOM;
    rust_urls: Rust URLS;
    rust_equal_heads: Rust EQUAL_HEADS;
    rust_nested: Rust NESTED;
    rust_long_keys: Rust LONG_KEYS;
    rust_long_keys_64k: Rust LONG_KEYS_64K;
    rust_mixed: Rust MIXED;
    rust_mixed_tiny: Rust MIXED_TINY;
    c_ints: C INTS;
    c_ints_tiny: C INTS_TINY;
    c_random: C RANDOM;
    c_urls: C URLS;
    c_equal_heads: C EQUAL_HEADS;
    c_nested: C NESTED;
    c_long_keys: C LONG_KEYS;
    c_long_keys_64k: C LONG_KEYS_64K;
    c_mixed: C MIXED;
    c_mixed_tiny: C MIXED_TINY;
}
