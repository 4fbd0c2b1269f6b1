//! import-lmdb: files that LMDB itself made become tables with the same entries in the same order, or nothing at all.

mod common;

use common::Folder;
use kv_engine::{Cursor, Db, Options, Range, Reader, TableId};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The kinds of databases in the files, by LMDB's flags.
const REVERSEKEY: u64 = 0x02;
const DUPSORT: u64 = 0x04;
const INTEGERKEY: u64 = 0x08;
const INTEGERDUP: u64 = 0x20;
const REVERSEDUP: u64 = 0x40;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Databases by their names, with flags and pairs in LMDB's order.
type Databases = BTreeMap<Option<Vec<u8>>, (u64, Pairs)>;

fn unpack(name: &str) -> Vec<u8> {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("lmdb/tests/files")
        .join(format!("{name}.gz"));
    let output = Command::new("gzip")
        .arg("-dc")
        .arg(&packed)
        .output()
        .expect("gzip runs");
    assert!(output.status.success(), "gzip cannot unpack {}", packed.display());
    output.stdout
}

/// Puts a fixture of the reader into the folder, as `source`. Returns what LMDB reads from it.
fn source(folder: &Folder, name: &str) -> Databases {
    std::fs::write(folder.file("source"), unpack(&format!("{name}.mdb"))).expect("a file");
    let text = String::from_utf8(unpack(&format!("{name}.mdb.jsonl"))).expect("a text");
    let hex = |value: &serde_json::Value| {
        let digits = value.as_str().expect("hexadecimal digits").as_bytes();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("a byte");
        digits.chunks(2).map(pair).collect::<Vec<u8>>()
    };
    let mut databases = Databases::new();
    let mut name = None;
    for line in text.lines().skip(1) {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if let Some(database) = line.get("database") {
            name = (!database.is_null()).then(|| hex(database));
            databases.insert(name.clone(), (line["flags"].as_u64().expect("flags"), Pairs::new()));
        } else {
            let pairs = &mut databases.get_mut(&name).expect("a database").1;
            pairs.push((hex(&line["key"]), hex(&line["value"])));
        }
    }
    databases
}

/// The tables of a database, with their entries in order.
fn tables(path: &Path) -> BTreeMap<Option<Vec<u8>>, Pairs> {
    let db = Db::open(path, &Options::default()).expect("open");
    let txn = db.begin_read().expect("begin");
    let entries = |table| {
        let mut out = Pairs::new();
        let mut cursor = Cursor::new(&mut &txn, table, &Range::default()).expect("a cursor");
        while cursor.next(&mut &txn).expect("an entry") {
            let key = cursor.key().to_vec();
            out.push((key, cursor.value(&mut &txn).expect("a value").to_vec()));
        }
        out
    };
    let names: Vec<Vec<u8>> = entries(TableId::NAMES).into_iter().map(|(name, _)| name).collect();
    let mut tables = BTreeMap::from([(None, entries(TableId::MAIN))]);
    for name in names {
        let table = (&txn).table(&name).expect("a table");
        tables.insert(Some(name), entries(table));
    }
    tables
}

/// Keys or values in a form whose order is that of its bytes.
fn sortable(bytes: &[u8], is_integer: bool, is_reversed: bool, is_big_endian: bool) -> Vec<u8> {
    match is_reversed || is_integer && !is_big_endian {
        true => bytes.iter().rev().copied().collect(),
        false => bytes.to_vec(),
    }
}

/// The key that a pair becomes.
fn joined(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &byte in key {
        out.push(byte);
        if byte == 0 {
            out.push(0xFF);
        }
    }
    out.extend([0, 0]);
    out.extend_from_slice(value);
    out
}

#[test]
fn tables_have_the_entries_of_databases_in_their_order() {
    for name in [
        "kinds-0.9",
        "kinds-1.0",
        "checksums-1.0",
        "nothing-0.9",
        "x86-0.9",
        "x86-1.0",
        "s390x-1.0",
        "powerpc-0.9",
    ] {
        let folder = Folder::new("import");
        let is_big_endian = name.starts_with(['s', 'p']);
        let databases = source(&folder, name);
        for batch in [None, Some("7")] {
            let mut args = vec!["import-lmdb", "source", "db", "--duplicates", "composite"];
            args.extend(batch.iter().flat_map(|batch| ["--batch", batch]));
            let count: usize = databases.values().map(|(_, pairs)| pairs.len()).sum();
            let version = &name[name.len() - 3..];
            let said = format!(
                "db: {count} entries in {} table{} were imported from LMDB {version}, and counted\n",
                databases.len(),
                if databases.len() == 1 { "" } else { "s" }
            );
            folder.kv(&args).ends_with(0).says(&said);
            let tables = tables(&folder.file("db"));
            assert!(tables.keys().eq(databases.keys()), "{name}: {:?}", tables.keys());
            for (table, entries) in tables {
                let (flags, pairs) = &databases[&table];
                let has = |flag| flags & flag != 0;
                let want = pairs.iter().map(|(key, value)| {
                    let key = sortable(key, has(INTEGERKEY), has(REVERSEKEY), is_big_endian);
                    if !has(DUPSORT) {
                        return (key, value.clone());
                    }
                    let value = sortable(value, has(INTEGERDUP), has(REVERSEDUP), is_big_endian);
                    (joined(&key, &value), Vec::new())
                });
                assert!(entries.iter().cloned().eq(want), "{name}: {table:?}");
            }
            folder.kv(&["check", "db"]).ends_with(0);
            std::fs::remove_file(folder.file("db")).expect("a file");
        }
    }
}

#[test]
fn the_first_or_last_value_of_a_key_stays() {
    let folder = Folder::new("first");
    let databases = source(&folder, "kinds-1.0");
    let (_, pairs) = &databases[&Some(b"dupsort".to_vec())];
    for which in ["first", "last"] {
        let mut want: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        for (key, value) in pairs {
            match which {
                "first" => drop(want.entry(key.clone()).or_insert(value.clone())),
                _ => drop(want.insert(key.clone(), value.clone())),
            }
        }
        let args = [
            "import-lmdb",
            "source",
            which,
            "--duplicates",
            which,
            "--database",
            "dupsort",
        ];
        let dropped = pairs.len() - want.len();
        let said = format!(
            "kv: table \"dupsort\": {} entries, {dropped} values left out",
            want.len()
        );
        folder.kv(&args).ends_with(0).says(&said);
        let tables = tables(&folder.file(which));
        assert!(tables[&Some(b"dupsort".to_vec())].iter().cloned().eq(want), "{which}");
    }
}

#[test]
fn keys_can_stay_as_they_are() {
    let folder = Folder::new("as_is");
    let databases = source(&folder, "kinds-0.9");
    let args = [
        "import-lmdb",
        "source",
        "db",
        "--keys",
        "as-is",
        "-d",
        "integers",
        "-d",
        "reversed",
        "-d",
        "",
    ];
    folder.kv(&args).ends_with(0);
    let tables = tables(&folder.file("db"));
    assert_eq!(tables.len(), 3);
    for (name, entries) in tables {
        let mut want = databases[&name].1.clone();
        want.sort();
        assert_eq!(entries, want, "{name:?}");
    }
}

#[test]
fn what_cannot_be_imported_changes_nothing() {
    let folder = Folder::new("refused");
    source(&folder, "kinds-0.9");
    let nothing = |folder: &Folder| {
        assert!(!folder.names().contains(&"db".to_string()), "{:?}", folder.names());
    };
    let refused = folder.kv(&["import-lmdb", "source", "db"]).ends_with(6);
    refused.says(
        "source: in the database \"both\" the key \"\\x00\\x00\\x00\\x00\" has several values; choose --duplicates",
    );
    nothing(&folder);

    folder
        .kv(&["import-lmdb", "none", "db"])
        .ends_with(5)
        .says("none: cannot read: No such file or directory; check the name");
    let args = ["import-lmdb", "source", "db", "-d", "plain", "-d", "nobody"];
    folder
        .kv(&args)
        .ends_with(1)
        .says("source: there is no database \"nobody\"; there are the main database, \"")
        .says("\"plain\"");
    nothing(&folder);

    // The value of a key near the end of a long database.
    let mut bytes = std::fs::read(folder.file("source")).expect("the source");
    let at = bytes
        .windows(8)
        .rposition(|window| window == b"later 39")
        .expect("a key");
    let page = at / 4096 * 4096;
    bytes[page..page + 4096].fill(0xEE);
    std::fs::write(folder.file("damaged"), bytes).expect("a file");
    let args = ["import-lmdb", "damaged", "db", "--duplicates", "first"];
    folder
        .kv(&args)
        .ends_with(3)
        .says(&format!("damaged: page {} is damaged: ", page / 4096));
    nothing(&folder);

    std::fs::write(folder.file("text"), "this is no database ".repeat(1000)).expect("a file");
    folder
        .kv(&["import-lmdb", "text", "db"])
        .ends_with(6)
        .says("this is not a file of LMDB");
    std::fs::write(folder.file("secret"), unpack("encrypted-1.0.mdb")).expect("a file");
    folder
        .kv(&["import-lmdb", "secret", "db"])
        .ends_with(6)
        .says("the file is encrypted");
    nothing(&folder);

    let main = ["import-lmdb", "source", "db", "-d", ""];
    folder.kv(&main).ends_with(0).says("kv: the main table: 30 entries\n");
    folder
        .kv(&main)
        .ends_with(6)
        .says("db: the main table has 30 entries already; import into a new file");
    let args = ["import-lmdb", "source", "db", "-d", "plain", "-d", ""];
    folder.kv(&args).ends_with(6);
    assert_eq!(
        tables(&folder.file("db")).len(),
        1,
        "a table of an import that failed is not there"
    );
}

#[test]
fn a_folder_of_lmdb_is_imported() {
    let folder = Folder::new("folder");
    std::fs::create_dir(folder.file("env")).expect("a folder");
    std::fs::write(folder.file("env/data.mdb"), unpack("main-dupsort-1.0.mdb")).expect("a file");
    let args = ["import-lmdb", "env", "db", "--duplicates", "composite"];
    folder
        .kv(&args)
        .ends_with(0)
        .says("kv: the main table: 90 entries, each a key joined with a value\n");
    folder
        .kv(&["import-lmdb", "env", "quiet", "--duplicates", "last", "--quiet"])
        .ends_with(0);
    assert_eq!(tables(&folder.file("quiet"))[&None].len(), 3);
}

/// The offsets of the records of named databases in a file of 0.9 for 64 bits, by the names. The root of the main
/// database is a leaf.
fn records(bytes: &[u8]) -> (usize, BTreeMap<Vec<u8>, usize>) {
    let number = |at: usize, width: usize| {
        let bytes = bytes[at..at + width].iter().rev();
        bytes.fold(0usize, |number, byte| number << 8 | usize::from(*byte))
    };
    let meta = if number(4096 + 144, 8) > number(144, 8) {
        4096
    } else {
        0
    };
    let leaf = number(meta + 128, 8) * 4096;
    let mut found = BTreeMap::new();
    for node in (leaf + 16..leaf + number(leaf + 12, 2)).step_by(2) {
        let at = leaf + number(node, 2);
        if number(at + 4, 2) == 2 {
            let key = number(at + 6, 2);
            found.insert(bytes[at + 8..at + 8 + key].to_vec(), at + 8 + key);
        }
    }
    (meta, found)
}

#[test]
fn an_older_commit_is_imported_on_request_alone() {
    let folder = Folder::new("older");
    source(&folder, "kinds-0.9");
    let mut bytes = std::fs::read(folder.file("source")).expect("the source");
    let (newest, _) = records(&bytes);
    bytes[newest + 16] ^= 1;
    std::fs::write(folder.file("source"), bytes).expect("a file");
    let args = ["-q", "import-lmdb", "source", "db", "--duplicates", "first"];
    folder
        .kv(&args)
        .ends_with(3)
        .says(&format!("source: meta page {} cannot be used", newest / 4096))
        .says("the newest commit may be missing")
        .says("--older");
    assert_eq!(folder.names(), ["source"]);
    let args = ["import-lmdb", "--older", "source", "db", "--duplicates", "first"];
    folder
        .kv(&args)
        .ends_with(0)
        .says("the newest commit may be missing")
        .says("were imported");
}

#[test]
fn databases_that_share_pages_are_damage() {
    let folder = Folder::new("shared");
    source(&folder, "kinds-0.9");
    let mut bytes = std::fs::read(folder.file("source")).expect("the source");
    let (_, records) = records(&bytes);
    // 48 bytes are the record of a database; the flags of both are none.
    let is_plain = |at: &&usize| bytes[**at + 4..**at + 6] == [0, 0] && bytes[**at + 40..**at + 48] != [0xFF; 8];
    let plain: Vec<usize> = records.values().filter(is_plain).copied().collect();
    let [one, other, ..] = plain[..] else {
        panic!("{records:?}")
    };
    bytes.copy_within(one..one + 48, other);
    std::fs::write(folder.file("source"), bytes).expect("a file");
    folder
        .kv(&["import-lmdb", "source", "db", "--duplicates", "first"])
        .ends_with(3)
        .says("two places refer to it")
        .says("; nothing was imported\n");
    assert_eq!(tables(&folder.file("db")), BTreeMap::from([(None, Pairs::new())]));
    let batches = ["import-lmdb", "source", "db", "--duplicates", "first", "--batch", "1"];
    let answer = folder.kv(&batches).ends_with(3);
    let tables = tables(&folder.file("db"));
    let count: usize = tables.values().map(Vec::len).sum();
    assert!(count > 1);
    answer.says(&format!("; {count} entries before it were committed\n"));
}

#[test]
fn a_number_that_lmdb_has_miscounted_is_told_as_such() {
    let folder = Folder::new("miscounted");
    source(&folder, "kinds-0.9");
    let whole = std::fs::read(folder.file("source")).expect("the source");
    let (_, records) = records(&whole);
    for (name, is_known) in [("dupsort", true), ("plain", false)] {
        let mut bytes = whole.clone();
        // The number of entries.
        bytes[records[name.as_bytes()] + 32] += 1;
        std::fs::write(folder.file("source"), bytes).expect("a file");
        let args = ["import-lmdb", "source", "db", "--duplicates", "composite", "-d", name];
        let answer = folder
            .kv(&args)
            .ends_with(3)
            .says("entries were found where the file says");
        assert_eq!(answer.err.contains("LMDB before 0.9.36"), is_known, "{answer:?}");
    }
}
