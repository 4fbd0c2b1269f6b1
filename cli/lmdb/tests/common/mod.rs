//! What the tests share: files to read, and what is in them in the form in which tests/make_files.py writes it.

#![allow(dead_code, reason = "no test uses all of it")]

use keelkv_lmdb::{Environment, Result};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The fixtures that can be read.
pub const READABLE: &[&str] = &[
    "kinds-0.9",
    "kinds-1.0",
    "nothing-0.9",
    "nothing-1.0",
    "emptied-0.9",
    "emptied-1.0",
    "main-dupsort-0.9",
    "main-dupsort-1.0",
    "pages-256-1.0",
    "pages-65536-1.0",
    "checksums-1.0",
    "x86-0.9",
    "x86-1.0",
    "s390x-0.9",
    "s390x-1.0",
    "powerpc-0.9",
    "powerpc-1.0",
];

/// Unpacks a file of tests/files.
pub fn unpack(name: &str) -> Vec<u8> {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files").join(name);
    let packed = packed.with_file_name(format!("{name}.gz"));
    let output = Command::new("gzip")
        .arg("-dc")
        .arg(&packed)
        .output()
        .expect("gzip runs");
    assert!(output.status.success(), "gzip cannot unpack {}", packed.display());
    output.stdout
}

/// Unpacks the data file of a fixture.
pub fn fixture(name: &str) -> Vec<u8> {
    unpack(&format!("{name}.mdb"))
}

/// What is in a fixture.
pub fn expected(name: &str) -> String {
    String::from_utf8(unpack(&format!("{name}.mdb.jsonl"))).expect("a text")
}

/// An empty folder of its own for a test.
pub fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// What the reader finds.
pub fn dump(environment: &Environment) -> Result<String> {
    let databases = environment.databases()?;
    let mut out = format!(
        "{{\"version\": \"{}\", \"page_size\": {}, \"databases\": {}}}\n",
        environment.version(),
        environment.page_size(),
        databases.len()
    );
    for database in &databases {
        let name = database
            .name()
            .map_or("null".to_string(), |name| format!("\"{}\"", hex(name)));
        let (flags, entries) = (database.flags().bits(), database.entries());
        let line = writeln!(
            out,
            "{{\"database\": {name}, \"flags\": {flags}, \"entries\": {entries}}}"
        );
        line.expect("strings grow");
        for entry in environment.entries(database) {
            let entry = entry?;
            let (key, value) = (hex(&entry.key), hex(&entry.value));
            writeln!(out, "{{\"key\": \"{key}\", \"value\": \"{value}\"}}").expect("strings grow");
        }
    }
    Ok(out)
}

/// Fails with the first line that differs.
pub fn compare(name: &str, found: &str, expected: &str) {
    if found == expected {
        return;
    }
    let lines = found.lines().chain([""]).zip(expected.lines().chain([""]));
    let (number, (found, expected)) = lines
        .enumerate()
        .find(|(_, (a, b))| a != b)
        .expect("a line that differs");
    panic!(
        "{name}: line {}:\nfound    {found:.300}\nexpected {expected:.300}",
        number + 1
    );
}
