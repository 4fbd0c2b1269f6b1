//! Several processes with several threads each share a file: money moves between two tables, and no snapshot, no
//! transaction and no order of commits may show anything that one process alone would not show.

mod common;

use common::child::{how, now, role, Child, Note, Wire};
use common::env_number;
use common::rng::{mix, Rng};
use common::tmp::TempDir;
use kv::Error;
use kv::{CommitId, Cursor, Db, Durability, Options, PutMode, Range, ReadTxn, Reader, TableId, Verify, WriteOptions};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 400;
const EACH: u64 = 1000;
const TOTAL: u64 = 2 * ACCOUNTS * EACH;
/// Long values that make the file grow while others read; then they go.
const BALLAST: u64 = 96;

const READY: u8 = b'o';
const DONE: u8 = b'd';
const READ: u8 = b'r';
const COUNTED: u8 = b'c';
const FAILED: u8 = b'e';

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))
}

fn ballast(key: u64) -> Vec<u8> {
    let mut rng = Rng::new(mix(key));
    let len = rng.range(50_000, 400_000);
    rng.bytes(len)
}

fn options() -> Options {
    Options {
        verify: Verify::Always,
        // Pages of a transaction go to the file long before its commit.
        write_memory: 4096,
        wait: Some(Duration::from_secs(60)),
        ..Options::default()
    }
}

struct Tables {
    savings: TableId,
    ballast: TableId,
}

/// Sum of one table, by a scan.
fn sum(read: &ReadTxn, table: TableId) -> kv::Result<u64> {
    let txn = &mut &*read;
    let mut cursor = Cursor::new(txn, table, &Range::default())?;
    let mut sum = 0u64;
    while cursor.next(txn)? {
        if cursor.key().len() == 8 {
            sum = sum.wrapping_add(number(cursor.value(txn)?));
        }
    }
    Ok(sum)
}

/// One thread of one process.
struct Thread<'a> {
    db: &'a Db,
    wire: &'a Wire,
    tables: Tables,
    worker: u64,
    rng: Rng,
    newest: CommitId,
    commits: u64,
}

impl Thread<'_> {
    fn run(&mut self) -> Result<(), String> {
        let fault = |e: Error| format!("{e:?}");
        let mut held = None;
        while !self.wire.stopped() {
            if self.rng.percent(45) {
                self.transfer().map_err(fault)?;
                continue;
            }
            let begun = now();
            let read = self.db.begin_read().map_err(fault)?;
            let id = read.id();
            self.wire.tell(READ, self.worker, id.get(), begun);
            if id < self.newest {
                return Err(format!("commit {id} is read after {}", self.newest));
            }
            self.newest = id;
            self.look(&read)?;
            if let Some(held) = &held {
                self.look(held)?;
            }
            if self.rng.one_in(5) {
                held = Some(read);
            }
        }
        self.wire.tell(COUNTED, self.worker, self.commits, 0);
        Ok(())
    }

    /// A snapshot is whole.
    fn look(&mut self, read: &ReadTxn) -> Result<(), String> {
        let fault = |e: Error| format!("{e:?}");
        let total = sum(read, TableId::MAIN)
            .map_err(fault)?
            .wrapping_add(sum(read, self.tables.savings).map_err(fault)?);
        if total != TOTAL {
            return Err(format!("commit {}: {total} instead of {TOTAL}", read.id()));
        }
        let key = self.rng.below(BALLAST);
        if let Some(value) = read.get(self.tables.ballast, &key.to_be_bytes()).map_err(fault)? {
            if value != ballast(key) {
                return Err(format!(
                    "commit {}: long value {key} is not what was written",
                    read.id()
                ));
            }
        }
        Ok(())
    }

    /// Moves money; sometimes gives up, after writing what must never be read.
    fn transfer(&mut self) -> kv::Result<()> {
        let rng = &mut self.rng;
        let full = rng.percent(40);
        let durability = if full { Durability::Full } else { Durability::Lazy };
        let mut txn = self.db.begin_write(WriteOptions {
            durability: Some(durability),
            ..WriteOptions::default()
        })?;
        let base = Reader::id(&txn);
        let give_up = rng.percent(15);
        for _ in 0..rng.range(1, 20) {
            let tables = [TableId::MAIN, self.tables.savings];
            let (from, to) = (
                (tables[rng.index(2)], rng.below(ACCOUNTS)),
                (tables[rng.index(2)], rng.below(ACCOUNTS)),
            );
            let amount = rng.below(50);
            for ((table, account), plus, minus) in [(from, 0, amount), (to, amount + u64::from(give_up), 0)] {
                let key = account.to_be_bytes();
                let balance = txn.get(table, &key)?.map_or(0, number);
                let mut value = balance.wrapping_add(plus).wrapping_sub(minus).to_le_bytes().to_vec();
                value.resize(8 + rng.index(200), 0);
                txn.put(table, &key, &value, PutMode::Set)?;
            }
        }
        if rng.one_in(4) {
            let key = rng.below(BALLAST);
            txn.put(self.tables.ballast, &key.to_be_bytes(), &ballast(key), PutMode::Set)?;
        }
        if rng.one_in(150) {
            txn.table_clear(self.tables.ballast)?;
        }
        // Counters: of all, and of this thread. An update that is lost shows in their difference.
        for key in [b"all".to_vec(), [b"of", &self.worker.to_le_bytes()[..2]].concat()] {
            let count = txn.get(TableId::MAIN, &key)?.map_or(0, number);
            txn.put(TableId::MAIN, &key, &(count + 1).to_le_bytes(), PutMode::Set)?;
        }
        if give_up {
            return Ok(());
        }
        let id = txn.commit()?;
        self.commits += 1;
        self.wire.tell(DONE, self.worker, id.get(), base.get());
        self.newest = self.newest.max(id);
        Ok(())
    }
}

fn other_process(wire: &Wire) -> ! {
    let path = PathBuf::from(std::env::var("KV_BANK_FILE").expect("file"));
    let process = env_number("KV_BANK_PROCESS", 0);
    let seed = env_number("KV_SEED", 1);
    let fail = |what: String| -> ! {
        eprintln!("KV_SEED={seed}: process {process}: {what}");
        wire.tell(FAILED, process, 0, 0);
        std::process::exit(1);
    };
    let db = Db::open(&path, &options()).unwrap_or_else(|e| fail(format!("open: {e:?}")));
    wire.tell(READY, process, 0, 0);
    std::thread::scope(|scope| {
        for thread in 0..2 {
            let db = &db;
            scope.spawn(move || {
                let read = db.begin_read().unwrap_or_else(|e| fail(format!("{e:?}")));
                let table = |name: &[u8]| (&mut &read).table(name).unwrap_or_else(|e| fail(format!("{e:?}")));
                let tables = Tables {
                    savings: table(b"savings"),
                    ballast: table(b"ballast"),
                };
                drop(read);
                let worker = process * 2 + thread;
                let mut thread = Thread {
                    db,
                    wire,
                    tables,
                    worker,
                    rng: Rng::new(mix(seed) ^ mix(worker)),
                    newest: CommitId::NONE,
                    commits: 0,
                };
                if let Err(why) = thread.run() {
                    fail(format!("thread {worker}: {why}"));
                }
            });
        }
    });
    drop(db);
    std::process::exit(0);
}

/// What all processes told, in the order of the clock they share: nobody reads less than what was acknowledged before.
fn order(notes: &mut [Note]) -> Result<(u64, u64), String> {
    // A read is ordered by when it began, a commit by when it was acknowledged.
    let time = |note: &Note| if note.kind == READ { note.b } else { note.time };
    notes.sort_by_key(|note| (time(note), note.kind != READ));
    let (mut newest, mut reads, mut ids) = (0, 0, BTreeMap::new());
    for note in notes.iter() {
        match note.kind {
            READ => {
                reads += 1;
                if note.a < newest {
                    return Err(format!(
                        "thread {} read commit {} when {newest} was acknowledged",
                        note.who, note.a
                    ));
                }
            }
            DONE => {
                newest = newest.max(note.a);
                if let Some(worker) = ids.insert(note.a, (note.who, note.b)) {
                    return Err(format!(
                        "commit {} of two threads: {} and {}",
                        note.a, note.who, worker.0
                    ));
                }
            }
            _ => {}
        }
    }
    // Write transactions come one after the other: each builds on the one before.
    let mut before = 0;
    for (id, (worker, base)) in &ids {
        if *base < before || base >= id {
            return Err(format!(
                "commit {id} of thread {worker} is built on {base}, but {before} came before it"
            ));
        }
        before = *id;
    }
    Ok((ids.len() as u64, reads))
}

#[test]
fn processes_share_a_file() {
    if role().is_some_and(|(_, wire)| other_process(&wire)) {
        unreachable!();
    }
    let seconds = env_number("KV_ISOLATION_SECONDS", 60);
    let processes = env_number("KV_ISOLATION_PROCESSES", 8);
    let seed = env_number("KV_SEED", 1);
    let dir = TempDir::new("processes");
    let path = dir.file("bank.kv");
    let db = Db::open(&path, &options()).expect("create");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let savings = txn.table_create(b"savings", true).expect("table");
    txn.table_create(b"ballast", true).expect("table");
    for account in 0..ACCOUNTS {
        for table in [TableId::MAIN, savings] {
            txn.put(table, &account.to_be_bytes(), &EACH.to_le_bytes(), PutMode::Set)
                .expect("put");
        }
    }
    txn.commit().expect("commit");
    drop(db);
    let mut children: Vec<Child> = (0..processes)
        .map(|process| {
            let settings = [
                ("KV_BANK_FILE", path.display().to_string()),
                ("KV_BANK_PROCESS", process.to_string()),
            ];
            Child::start("processes_share_a_file", "thread", &settings)
        })
        .collect();
    let mut notes = Vec::new();
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        for child in &mut children {
            notes.extend(child.notes());
            let ended = child.ended().map(how);
            assert!(ended.is_none(), "KV_SEED={seed}: a process ended: {ended:?}");
        }
    }
    for child in &mut children {
        child.stop();
    }
    for child in &mut children {
        let status = child.wait(Duration::from_secs(60));
        notes.extend(child.last_notes());
        assert_eq!(how(status), "exit code 0", "KV_SEED={seed}");
    }
    assert!(!notes.iter().any(|n| n.kind == FAILED), "KV_SEED={seed}");
    let (commits, reads) = order(&mut notes).unwrap_or_else(|e| panic!("KV_SEED={seed}: {e}"));

    let db = Db::open(&path, &options()).expect("open");
    db.check(true, &mut |fault| panic!("KV_SEED={seed}: {fault:?}"))
        .expect("check");
    let read = db.begin_read().expect("read");
    let total = sum(&read, TableId::MAIN)
        .expect("sum")
        .wrapping_add(sum(&read, savings).expect("sum"));
    assert_eq!(total, TOTAL, "KV_SEED={seed}");
    let count = |key: &[u8]| read.get(TableId::MAIN, key).expect("get").map_or(0, number);
    let mut told = 0;
    for note in notes.iter().filter(|n| n.kind == COUNTED) {
        let counted = count(&[b"of", &note.who.to_le_bytes()[..2]].concat());
        assert_eq!(
            counted, note.a,
            "KV_SEED={seed}: updates of thread {} were lost",
            note.who
        );
        told += note.a;
    }
    assert_eq!(count(b"all"), told, "KV_SEED={seed}: updates were lost");
    assert_eq!(told, commits, "KV_SEED={seed}");
    assert!(
        commits > 100 && reads > 100,
        "{commits} commits and {reads} reads prove little"
    );
    let workers: std::collections::BTreeSet<u64> = notes.iter().filter(|n| n.kind == DONE).map(|n| n.who).collect();
    assert_eq!(
        workers.len() as u64,
        processes * 2,
        "KV_SEED={seed}: somebody never came to write"
    );
    println!(
        "COUNT processes: {processes} with 2 threads for {seconds} s, {commits} commits, {reads} snapshots, {} pages",
        db.stat().pages
    );
}
