//! What the tests of the command share: folders of their own, databases, and the command with its answers.
//!
//! Every integration test is a program of its own and uses a part of this only, hence the `allow`.
#![allow(dead_code)]

use kv_engine::{Db, Job, Options, PageRun, PageUse, PutMode, TableId, WriteOptions, WriteTxn};
use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// The command that is tested.
pub const KV: &str = env!("CARGO_BIN_EXE_kv");

/// A folder that is removed with the test.
pub struct Folder(PathBuf);

impl Folder {
    /// A new empty folder.
    pub fn new(what: &str) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kv-cli-{}-{number}-{what}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Folder(path)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The names of all files in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a folder");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name().into_string();
        let mut names: Vec<String> = entries.map(|entry| name(entry).expect("UTF-8")).collect();
        names.sort();
        names
    }

    /// Runs the command in the folder.
    pub fn kv<S: AsRef<OsStr>>(&self, args: &[S]) -> Answer {
        self.kv_with(args, b"")
    }

    /// Runs the command with this standard input.
    pub fn kv_with<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Answer {
        let mut command = self.command(args);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().expect("the command");
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = input.to_vec();
        let feeder = std::thread::spawn(move || {
            // A command that fails early does not read everything.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("an answer");
        feeder.join().expect("the feeder");
        Answer::of(output)
    }

    /// The command, to be run in the folder.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(KV);
        command
            .args(args)
            .current_dir(&self.0)
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What the command answered.
#[derive(Debug)]
pub struct Answer {
    /// The code with which it ended.
    pub code: i32,
    /// Its standard output.
    pub out: Vec<u8>,
    /// Its standard error.
    pub err: String,
}

impl Answer {
    fn of(output: Output) -> Answer {
        Answer {
            code: output.status.code().unwrap_or(-1),
            out: output.stdout,
            err: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }

    /// The standard output as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("UTF-8")
    }

    /// Fails unless the command ended with this code. One that failed has said why, in one line.
    #[track_caller]
    pub fn ends_with(self, code: i32) -> Answer {
        assert_eq!(self.code, code, "{self:?}");
        if !matches!(code, 0 | 3) {
            assert!(self.err.starts_with("kv: "), "{self:?}");
        }
        self
    }

    /// Fails unless the command was successful and wrote this.
    #[track_caller]
    pub fn is(self, text: &str) -> Answer {
        let answer = self.ends_with(0);
        assert_eq!(String::from_utf8_lossy(&answer.out), text);
        answer
    }

    /// Fails unless standard error has these words.
    #[track_caller]
    pub fn says(self, words: &str) -> Answer {
        assert!(self.err.contains(words), "{words:?} is not in {:?}", self.err);
        self
    }

    /// The lines of standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let lines = self.text().lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
            .collect()
    }
}

/// Puts so many entries into a table: decimal numbers of six digits, in order, with a value of so many bytes.
pub fn fill(txn: &mut WriteTxn, table: TableId, entries: u32, value: usize) {
    for n in 0..entries {
        let key = format!("{n:06}");
        let put = txn.put(table, key.as_bytes(), &vec![b'v'; value], PutMode::Append);
        put.expect("put");
    }
}

/// Makes the database `db` with such entries in its main table.
pub fn numbered(folder: &Folder, entries: u32, value: usize) -> Db {
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    fill(&mut txn, TableId::MAIN, entries, value);
    txn.commit().expect("commit");
    db
}

/// Makes the database `db` with so many entries that they do not fit into a pipe.
pub fn large(folder: &Folder) {
    drop(numbered(folder, 50_000, 100));
}

/// The pages that are used in this way, by a table or by none, in the order of the tree.
pub fn pages(db: &Db, usage: PageUse, table: Option<TableId>) -> Vec<u64> {
    let mut pages = Vec::new();
    let mut on_run = |run: PageRun| {
        if run.usage == usage && run.table == table {
            let first = run.first.get();
            pages.extend(first..first + run.pages);
        }
    };
    let uses = db.page_uses(&Job::silent(), &mut on_run, &mut |_| false);
    uses.expect("uses");
    pages
}

/// Makes the database `db` with two tables and a long value, and returns the page of one of its leaves.
pub fn two_tables(folder: &Folder) -> u64 {
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let named = txn.table_create(b"named", true).expect("a table");
    txn.put(named, b"long", &[7; 1 << 20], PutMode::Set).expect("put");
    fill(&mut txn, TableId::MAIN, 5000, 50);
    txn.commit().expect("commit");
    let leaves = pages(&db, PageUse::Leaf, Some(TableId::MAIN));
    leaves[leaves.len() / 2]
}

/// The only object that the command wrote.
#[track_caller]
pub fn one(answer: &Answer) -> serde_json::Value {
    let mut lines = answer.json();
    assert_eq!(lines.len(), 1, "{answer:?}");
    lines.remove(0)
}

/// Overwrites a page of the database `db`, which nobody has open.
pub fn damage(folder: &Folder, page: u64) {
    let path = folder.file("db");
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[page as usize * 4096..][..4096].fill(0xA5);
    std::fs::write(&path, bytes).expect("write");
}

/// Random numbers (splitmix64), from a seed that a failing test shows.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    /// 64 random bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Bytes of which many have a meaning in some format.
    pub fn odd_bytes(&mut self, len: usize) -> Vec<u8> {
        const ODD: &[u8] = b"\0\n\r\t\\\",' =x0aDATA=END{}\xc3\xa9\xff\x1b";
        (0..len)
            .map(|_| match self.below(3) {
                0 => self.next() as u8,
                _ => ODD[self.below(ODD.len() as u64) as usize],
            })
            .collect()
    }
}
