//! `kv bench`: quick figures of this disk and this data.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{About, Exit, Failure, Outcome};
use crate::global::seconds;
use crate::interrupt;
use crate::output::figures::{self, Figure, Record};
use crate::output::stream::Out;
use crate::output::text::counted;
use crate::output::FormArg;
use crate::temporary::{folder_of, Temporary};
use clap::Args;
use kv_engine::{Cursor, Db, Durability, Options, PutMode, Range, Reader, TableId, WriteOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Measures commits, puts, lookups and scans on this disk, with entries like those of a database.
///
/// The work is done in a database of its own, in a folder beside the file (or in --folder), which is removed
/// afterwards. The file itself is only read, for entries to work with; without one, entries are made up. These are
/// quick figures: they differ from run to run, and the page cache has the data.
#[derive(Debug, Args)]
pub struct Bench {
    /// The database whose entries are used.
    file: Option<PathBuf>,
    /// Where to work, instead of beside the file or in this directory.
    #[arg(long, value_name = "DIRECTORY")]
    folder: Option<PathBuf>,
    /// For how many seconds each row is measured.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, allow_negative_numbers = true)]
    seconds: Duration,
    /// How many entries to work with, at most.
    #[arg(long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    entries: u64,
    /// The length of keys that are made up.
    #[arg(long, value_name = "BYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(8..=4096))]
    key_bytes: u32,
    /// The length of values that are made up.
    #[arg(long, value_name = "BYTES", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=16_777_216))]
    value_bytes: u32,
    #[command(flatten)]
    form: FormArg,
}

/// Entries beyond this many bytes are not used, so that they fit into memory.
const MOST_BYTES: usize = 256 << 20;

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

impl Bench {
    /// Measures.
    pub fn run(self, context: &Context) -> Outcome {
        interrupt::watch();
        let time = self.seconds;
        let entries = match &self.file {
            Some(file) => self.sample(&Database::to_read(file, context)?)?,
            None => self.made_up(),
        };
        if entries.is_empty() {
            return Err(Failure::usage("the database has no entries to work with; leave it out"));
        }
        let beside = self.file.as_deref().map_or(Path::new("."), folder_of);
        let folder = Temporary::folder(self.folder.as_deref().unwrap_or(beside), "bench")?;
        let path = folder.path().join("bench.kv");
        let options = Options {
            new: true,
            ..Options::default()
        };
        let work = Workload {
            db: Db::open(&path, &options).about(&path)?,
            path,
            entries,
            time,
        };
        let count = counted(work.entries.len() as u64, "entry", "entries");
        match time.is_zero() {
            true => context.say(format_args!("{count}, each row done once")),
            false => context.say(format_args!("{count}, {} s for each row", time.as_secs_f64())),
        }
        let rows = [
            ("put", work.puts()?),
            ("get", work.gets()?),
            ("scan", work.scans()?),
            ("commit_durable", work.commits(Durability::Full)?),
            ("commit_lazy", work.commits(Durability::Lazy)?),
        ];
        let rows: Vec<Record> = rows.map(|(name, measured)| measured.row(name)).into();
        let mut out = Out::open()?;
        let heading = ["what", "count", "per second", "us each"];
        figures::table(&mut out, self.form.form, &heading, &rows)?;
        out.finish()?;
        Ok(Exit::Done)
    }

    /// Returns entries of a database: all, or random ones.
    fn sample(&self, database: &Database) -> Outcome<Entries> {
        let txn = database.read()?;
        let mut reader = &txn;
        let path = &database.path;
        let mut largest = (0, TableId::MAIN);
        for table in database.tables(&mut &txn)? {
            let count = reader.count(table.id, &Range::default()).about(path)?;
            largest = largest.max((count, table.id));
        }
        let (count, table) = largest;
        let takes_all = count <= self.entries;
        let mut cursor = Cursor::new(&mut reader, table, &Range::default()).about(path)?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        while (entries.len() as u64) < self.entries.min(count) && bytes < MOST_BYTES {
            let found = match takes_all {
                true => cursor.next(&mut reader),
                false => cursor.random(&mut reader),
            };
            if !found.about(path)? {
                break;
            }
            let value = cursor.value(&mut reader).about(path)?.to_vec();
            bytes += cursor.key().len() + value.len();
            entries.push((cursor.key().to_vec(), value));
            interrupt::check()?;
        }
        Ok(entries)
    }

    /// Returns entries with random keys.
    fn made_up(&self) -> Entries {
        let mut random = Random::new();
        let bytes_each = (self.key_bytes + self.value_bytes) as usize;
        let count = self.entries.min((MOST_BYTES / bytes_each).max(1) as u64);
        let entry = |_| {
            (
                random.bytes(self.key_bytes as usize),
                random.bytes(self.value_bytes as usize),
            )
        };
        (0..count).map(entry).collect()
    }
}

/// Random numbers (xorshift).
struct Random(u64);

impl Random {
    fn new() -> Random {
        Random(RandomState::new().build_hasher().finish() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.next().to_le_bytes()).take(len.div_ceil(8));
        let mut bytes: Vec<u8> = words.flatten().collect();
        bytes.truncate(len);
        bytes
    }
}

/// How much was done in how much time.
struct Measured {
    count: u64,
    time: Duration,
}

impl Measured {
    fn row(&self, name: &str) -> Record {
        let seconds = self.time.as_secs_f64().max(1e-9);
        let count = self.count.max(1) as f64;
        vec![
            ("what", Figure::Text(name.to_string())),
            ("count", self.count.into()),
            ("per_second", Figure::Real(count / seconds, 0)),
            ("us_each", Figure::Real(seconds * 1e6 / count, 3)),
        ]
    }
}

/// What is measured.
struct Workload {
    db: Db,
    path: PathBuf,
    entries: Entries,
    time: Duration,
}

impl Workload {
    /// Does something again and again until the time is over. It returns how much it did.
    fn measure(&self, mut step: impl FnMut() -> kv_engine::Result<u64>) -> Outcome<Measured> {
        let begun = Instant::now();
        let mut count = 0;
        loop {
            count += step().about(&self.path)?;
            let time = begun.elapsed();
            if time >= self.time {
                return Ok(Measured { count, time });
            }
            interrupt::check()?;
        }
    }

    /// Puts all entries in one durable transaction. Later rounds replace them.
    fn puts(&self) -> Outcome<Measured> {
        self.measure(|| {
            let mut txn = self.db.begin_write(WriteOptions::default())?;
            for (key, value) in &self.entries {
                txn.put(TableId::MAIN, key, value, PutMode::Set)?;
            }
            txn.commit()?;
            Ok(self.entries.len() as u64)
        })
    }

    /// Looks up random entries.
    fn gets(&self) -> Outcome<Measured> {
        let read = self.db.begin_read().about(&self.path)?;
        let mut random = Random::new();
        self.measure(|| {
            for _ in 0..1000 {
                let at = (random.next() % self.entries.len() as u64) as usize;
                std::hint::black_box(read.get(TableId::MAIN, &self.entries[at].0)?);
            }
            Ok(1000)
        })
    }

    /// Reads all entries in order.
    fn scans(&self) -> Outcome<Measured> {
        let read = self.db.begin_read().about(&self.path)?;
        self.measure(|| {
            let mut reader = &read;
            let mut cursor = Cursor::new(&mut reader, TableId::MAIN, &Range::default())?;
            let mut count = 0;
            while cursor.next(&mut reader)? {
                std::hint::black_box(cursor.value(&mut reader)?);
                count += 1;
            }
            Ok(count)
        })
    }

    /// Commits transactions that replace one entry each.
    fn commits(&self, durability: Durability) -> Outcome<Measured> {
        let mut random = Random::new();
        let options = WriteOptions {
            durability: Some(durability),
            ..WriteOptions::default()
        };
        self.measure(|| {
            let at = (random.next() % self.entries.len() as u64) as usize;
            let (key, value) = &self.entries[at];
            let mut txn = self.db.begin_write(options)?;
            txn.put(TableId::MAIN, key, value, PutMode::Set)?;
            txn.commit()?;
            Ok(1)
        })
    }
}
