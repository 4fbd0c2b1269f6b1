//! The rows of the results: names, what is done, on which data, and what their figure is.

use crate::data::Shape;
use crate::way::Way;

/// A piece of work. Those with parameters are rows of their own for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// All entries in random order, one transaction, one durable commit at its end. Begins a database.
    PutRandom,
    /// All entries ascending, told so, one durable commit at the end. Begins a database.
    PutSorted,
    /// Bytes of the database's files.
    FileSize,
    /// Of the last load: most memory that was not mapped from files.
    PeakHeap,
    /// Of the last load: most memory, mapped files included.
    PeakResident,
    /// Of the last load: bytes written for each byte of keys and values.
    WrittenLoad,
    Get(Lookup),
    /// The lookups of `Get(Hit)` 16 at a time.
    GetMany,
    /// The lookups of `Get(Hit)`, each in a snapshot that was begun for it and ended.
    GetBegin,
    /// The same with the engine's call that renews a snapshot.
    GetRenew,
    Scan(Way),
    /// Every entry, by the engine's call for many.
    ScanMany,
    /// A random key and those behind it, so many in all.
    Seek(usize),
    Length,
    /// Entries of a range of a hundredth of all.
    CountRange,
    Commit {
        puts: usize,
        durable: bool,
        threads: usize,
    },
    /// Of the durable commits of one put: bytes written for each byte of keys and values.
    WrittenCommit,
    /// Other values for a tenth of the entries, one transaction.
    Update,
    /// The same, each value read before.
    ReadModifyWrite,
    /// Random updates, deletions and insertions, 1000 a transaction: ages the file.
    Churn,
    /// Bytes of the files after such a churn while a snapshot is held.
    FileSizeReader,
    DeleteRandom,
    /// A tenth of what is there, in 20 ranges, one transaction.
    DeleteRange,
    /// The first and the last entry in turns, a tenth of all.
    Pop,
    /// An entry behind the last one, and the first one taken, as many as a tenth of all.
    Queue,
    /// A walk over everything that deletes every other entry.
    Retain,
    /// The same within the middle half of the keys.
    Extract,
    /// A walk over a tenth of the entries that gives each another value.
    CursorUpdate,
    /// One of the workloads of YCSB, in threads.
    Ycsb {
        kind: char,
        threads: usize,
    },
    /// Values of a length, each in a transaction of its own.
    PutLarge(usize),
    GetLarge(usize),
    /// All entries ascending into a file that is larger than the others. Begins a database.
    Build,
    /// Opening that file, and the first lookup, with the file in memory or not.
    Open {
        cold: bool,
    },
    /// Random lookups with little memory.
    GetLimited {
        threads: usize,
    },
    ScanLimited,
    /// Durable commits of 100 puts with little memory.
    CommitLimited,
}

/// Which keys are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    Hit,
    Miss,
    Zipf,
}

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds of CPU time per operation.
    Cpu,
    /// Nanoseconds of time per operation.
    Wall,
    /// Bytes.
    Bytes,
    /// Bytes for each byte.
    PerByte,
}

/// The data sets of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// All that are loaded in random order.
    Each,
    /// Only `r24`.
    Random,
    Large,
    Open,
    Limited,
}

/// A part of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    Load,
    Lookup,
    Scan,
    Commit,
    Threads,
    Change,
    Ycsb,
    Space,
    Large,
    Open,
    Limited,
}

/// A row.
pub struct Row {
    pub name: &'static str,
    pub work: Work,
    pub unit: Unit,
    pub on: On,
    pub group: Group,
    /// What is done and what one operation is, for the report.
    pub says: &'static str,
}

const fn row(name: &'static str, work: Work, unit: Unit, on: On, group: Group, says: &'static str) -> Row {
    Row {
        name,
        work,
        unit,
        on,
        group,
        says,
    }
}

const fn get(name: &'static str, kind: Lookup, says: &'static str) -> Row {
    row(name, Work::Get(kind), Unit::Cpu, On::Each, Group::Lookup, says)
}

const fn scan(name: &'static str, way: Way, says: &'static str) -> Row {
    row(name, Work::Scan(way), Unit::Cpu, On::Each, Group::Scan, says)
}

const fn commit(name: &'static str, puts: usize, durable: bool, threads: usize, says: &'static str) -> Row {
    let work = Work::Commit { puts, durable, threads };
    let (unit, on) = (
        if durable { Unit::Wall } else { Unit::Cpu },
        if puts == 1 && durable && threads == 1 {
            On::Each
        } else {
            On::Random
        },
    );
    let group = if threads > 1 { Group::Threads } else { Group::Commit };
    row(name, work, unit, on, group, says)
}

const fn aged(mut row: Row) -> Row {
    row.on = On::Random;
    row
}

const fn size(name: &'static str, work: Work, on: On, says: &'static str) -> Row {
    row(name, work, Unit::Bytes, on, Group::Space, says)
}

const fn ycsb(name: &'static str, kind: char, threads: usize, says: &'static str) -> Row {
    row(
        name,
        Work::Ycsb { kind, threads },
        Unit::Wall,
        On::Random,
        Group::Ycsb,
        says,
    )
}

const fn large(name: &'static str, work: Work, unit: Unit, says: &'static str) -> Row {
    row(name, work, unit, On::Large, Group::Large, says)
}

const fn open(name: &'static str, work: Work, says: &'static str) -> Row {
    row(name, work, Unit::Wall, On::Open, Group::Open, says)
}

const fn limited(name: &'static str, work: Work, says: &'static str) -> Row {
    row(name, work, Unit::Wall, On::Limited, Group::Limited, says)
}

use Group::{Change, Load, Lookup as Lookups, Scan as Scans, Space};
use On::{Each, Random};
use Unit::{Cpu, PerByte, Wall};

/// All rows, in the order of a round. `PutRandom` begins a database, those behind it use it, and so on.
#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("put_random", Work::PutRandom, Cpu, Each, Load, "every entry in random order, one transaction, its durable commit included; an entry"),
    size("file_size", Work::FileSize, Each, "bytes of the files after that"),
    size("peak_heap", Work::PeakHeap, Each, "most memory during that load that is not a mapped file: what the system cannot take back"),
    size("peak_resident", Work::PeakResident, Random, "most memory during that load, mapped files included"),
    row("written_load", Work::WrittenLoad, PerByte, Random, Space, "bytes that load wrote for each byte of keys and values"),
    get("get", Lookup::Hit, "lookups of keys that are there, in one snapshot; the value's first 8 bytes are read"),
    get("get_miss", Lookup::Miss, "lookups of keys that are not there"),
    get("get_zipf", Lookup::Zipf, "lookups of keys of which some are much more frequent (Zipf, 0.99)"),
    row("get_many", Work::GetMany, Cpu, Each, Lookups, "the lookups of `get`, 16 a call, or one by one without such a call"),
    row("get_begin", Work::GetBegin, Cpu, Each, Lookups, "the lookups of `get`, each in a snapshot begun and ended for it"),
    row("get_renew", Work::GetRenew, Cpu, Each, Lookups, "the same with the call that renews a snapshot, or as `get_begin` without one"),
    scan("scan", Way::FORWARD, "every entry, one call each; key and value are touched"),
    row("scan_many", Work::ScanMany, Cpu, Each, Scans, "the same in the largest portions the engine has"),
    scan("scan_keys", Way { backward: false, keys_only: true }, "every key"),
    scan("scan_back", Way::BACKWARD, "every entry from the last to the first"),
    scan("scan_back_keys", Way { backward: true, keys_only: true }, "every key from the last to the first"),
    row("seek_10", Work::Seek(10), Cpu, Each, Scans, "a random key and the nine entries behind it; all ten"),
    row("seek_100", Work::Seek(100), Cpu, Each, Scans, "a random key and the 99 entries behind it; all hundred"),
    row("length", Work::Length, Cpu, Each, Scans, "number of all entries; the call"),
    row("count_range", Work::CountRange, Cpu, Each, Scans, "number of entries in a range of a hundredth of all; the call"),
    commit("commit_durable", 1, true, 1, "one put in each transaction, each durable; a transaction"),
    row("written_commit", Work::WrittenCommit, PerByte, Random, Space, "bytes `commit_durable` wrote for each byte of keys and values"),
    commit("commit_100", 100, true, 1, "100 random puts in each durable transaction; a transaction"),
    commit("commit_1000", 1000, true, 1, "1000 random puts in each durable transaction; a transaction"),
    commit("commit_lazy", 1, false, 1, "one put in each transaction, not waiting for the disk; a transaction"),
    commit("commit_lazy_100", 100, false, 1, "100 random puts in each such transaction; a transaction"),
    commit("commit_lazy_1000", 1000, false, 1, "1000 random puts in each such transaction; a transaction"),
    commit("commit_durable_2", 1, true, 2, "`commit_durable` by 2 threads; a transaction of whichever"),
    commit("commit_durable_8", 1, true, 8, "the same by 8 threads"),
    commit("commit_durable_32", 1, true, 32, "the same by 32 threads"),
    row("update_random", Work::Update, Cpu, Random, Change, "other values of the same length for a tenth of the entries, random, one transaction; an entry"),
    row("rmw_random", Work::ReadModifyWrite, Cpu, Random, Change, "the same, each value read before it is replaced; an entry"),
    row("rmw_cursor", Work::CursorUpdate, Cpu, Random, Change, "the same where a walk stands, over a tenth of the entries that lie side by side; an entry"),
    row("churn", Work::Churn, Cpu, Random, Change, "a fifth of the entries in number: half updates, a quarter deletions, a quarter insertions, 1000 a lazy transaction; an operation"),
    size("file_size_churned", Work::FileSize, Random, "bytes of the files after that"),
    aged(get("get_aged", Lookup::Hit, "`get` on the file that the churn left")),
    aged(scan("scan_aged", Way::FORWARD, "`scan` of it")),
    aged(commit("commit_durable_aged", 1, true, 1, "`commit_durable` on the file that the churn left")),
    commit("commit_100_aged", 100, true, 1, "`commit_100` on it"),
    commit("commit_1000_aged", 1000, true, 1, "`commit_1000` on it"),
    ycsb("ycsb_a_2", 'a', 2, "half lookups, half durable updates, Zipf, 2 threads; an operation"),
    ycsb("ycsb_a_8", 'a', 8, "the same, 8 threads"),
    ycsb("ycsb_b_2", 'b', 2, "95 % lookups, 5 % durable updates, Zipf, 2 threads"),
    ycsb("ycsb_b_8", 'b', 8, "the same, 8 threads"),
    ycsb("ycsb_c_2", 'c', 2, "lookups only, Zipf, 2 threads"),
    ycsb("ycsb_c_8", 'c', 8, "the same, 8 threads"),
    ycsb("ycsb_d_2", 'd', 2, "95 % lookups of the newest, 5 % durable insertions, 2 threads"),
    ycsb("ycsb_d_8", 'd', 8, "the same, 8 threads"),
    ycsb("ycsb_e_2", 'e', 2, "95 % short scans (1 to 100 entries), 5 % durable insertions, 2 threads"),
    ycsb("ycsb_e_8", 'e', 8, "the same, 8 threads"),
    ycsb("ycsb_f_2", 'f', 2, "half lookups, half durable read-modify-writes, Zipf, 2 threads"),
    ycsb("ycsb_f_8", 'f', 8, "the same, 8 threads"),
    size("file_size_reader", Work::FileSizeReader, Random, "bytes of the files after another churn during which a snapshot was held"),
    row("delete_random", Work::DeleteRandom, Cpu, Each, Change, "half of the entries in random order, one transaction, its durable commit included; an entry"),
    size("file_size_deleted", Work::FileSize, Random, "bytes of the files after that"),
    row("delete_range", Work::DeleteRange, Cpu, Random, Change, "a tenth of the key space in 20 ranges, one transaction; a range"),
    row("put_sorted", Work::PutSorted, Cpu, Each, Load, "every entry ascending, told so, in the fastest durable way the engine has; an entry"),
    size("file_size_sorted", Work::FileSize, Each, "bytes of the files after that"),
    row("pop", Work::Pop, Cpu, Random, Change, "the first and the last entry taken in turns, a tenth of all, one transaction, its durable commit included; an entry"),
    row("queue", Work::Queue, Cpu, Random, Change, "an entry put behind the last and the first one taken, as many as a tenth of all, the same; both"),
    row("extract", Work::Extract, Cpu, Random, Change, "a walk over the middle half of the keys that deletes every other entry, the same; an entry walked"),
    row("retain", Work::Retain, Cpu, Random, Change, "the same over all that is left; an entry walked"),
    large("put_64k", Work::PutLarge(64 << 10), Wall, "values of 64 KiB, each in a durable transaction; a value"),
    large("put_1m", Work::PutLarge(1 << 20), Wall, "the same of 1 MiB"),
    large("put_64m", Work::PutLarge(64 << 20), Wall, "the same of 64 MiB"),
    large("get_64k", Work::GetLarge(64 << 10), Cpu, "lookups of these values, every byte read, for the first time"),
    large("get_1m", Work::GetLarge(1 << 20), Cpu, "the same"),
    large("get_64m", Work::GetLarge(64 << 20), Cpu, "the same"),
    large("get_64k_again", Work::GetLarge(64 << 10), Cpu, "these lookups again"),
    large("get_1m_again", Work::GetLarge(1 << 20), Cpu, "the same"),
    large("get_64m_again", Work::GetLarge(64 << 20), Cpu, "the same"),
    open("open_load", Work::Build, "a file of entries of 1008 bytes, loaded ascending; an entry"),
    open("open_cold", Work::Open { cold: true }, "opening it and the first lookup, nothing of it in memory"),
    open("open_warm", Work::Open { cold: false }, "the same with the file in memory"),
    limited("limited_load", Work::Build, "loading ascending, without the limit; an entry"),
    limited("limited_get", Work::GetLimited { threads: 1 }, "random lookups, at first nothing in memory"),
    limited("limited_get_8", Work::GetLimited { threads: 8 }, "the same by 8 threads; a lookup of whichever"),
    limited("limited_commit_100", Work::CommitLimited, "100 random puts in each durable transaction; a transaction"),
    limited("limited_scan", Work::ScanLimited, "every entry, ascending"),
];

impl Row {
    /// Whether it is done on a data set.
    pub fn on(&self, shape: Shape) -> bool {
        match self.on {
            On::Each => matches!(shape, Shape::R24 | Shape::I8 | Shape::Url | Shape::Text),
            On::Random => shape == Shape::R24,
            On::Large => shape == Shape::Large,
            On::Open => shape == Shape::Open,
            On::Limited => shape == Shape::Limited,
        }
    }

    /// Whether it begins a database, which the rows behind it need.
    pub fn begins(&self) -> bool {
        matches!(self.work, Work::PutRandom | Work::PutLarge(_) | Work::Build)
    }

    /// Whether it waits for the disk again and again, so that the scheduler must not come between.
    pub fn urgent(&self) -> bool {
        match self.work {
            Work::Commit { durable, .. } => durable,
            Work::Ycsb { .. } | Work::PutLarge(_) => true,
            _ => false,
        }
    }
}
