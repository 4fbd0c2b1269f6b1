//! Dump and load: round trips of random data in every format, what is wrong in the input, and LMDB's own programs.

mod common;

use common::{Folder, Rng};
use kv_engine::{Db, Options, PutMode, TableId, WriteOptions};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

type Tables = BTreeMap<Option<Vec<u8>>, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Tables with random entries. Keys are as short as LMDB's must be.
fn random_tables(rng: &mut Rng, names: &[&[u8]]) -> Tables {
    let mut tables = Tables::new();
    for name in [None].into_iter().chain(names.iter().map(|name| Some(name.to_vec()))) {
        let table = tables.entry(name).or_default();
        for _ in 0..rng.below(60) + 1 {
            let (key, value) = (rng.below(40) as usize, rng.below(200) as usize);
            table.insert(rng.odd_bytes(key), rng.odd_bytes(value));
        }
    }
    tables
}

fn write(path: &Path, tables: &Tables) {
    let db = Db::open(path, &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for (name, entries) in tables {
        let table = match name {
            Some(name) => txn.table_create(name, false).expect("a table"),
            None => TableId::MAIN,
        };
        for (key, value) in entries {
            txn.put(table, key, value, PutMode::Set).expect("put");
        }
    }
    txn.commit().expect("commit");
}

/// What the command shows of a database, with every table.
fn shown(folder: &Folder, db: &str) -> String {
    folder
        .kv(&["dump", db, "--format", "json", "--hex"])
        .ends_with(0)
        .text()
        .to_string()
}

#[test]
fn a_dump_that_cannot_be_whole_is_not_begun() {
    let folder = Folder::new("dump-names");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    folder.kv(&["put", "-c", "db", "-t", r"a\nb", "k", "v"]).is("");
    let refused = folder.kv(&["dump", "db"]).ends_with(6);
    assert!(refused.out.is_empty(), "{refused:?}");
    refused.says("nothing was written");
    folder.kv(&["dump", "db", "--main"]).ends_with(0);
    folder.kv(&["dump", "db", "-f", "json"]).ends_with(0);
    // Keys that LMDB does not take are written, and told once.
    let long = "k".repeat(512);
    folder
        .kv(&["put", "db", "", "v", &long, "v", &"k".repeat(511), "v"])
        .is("");
    let told = folder.kv(&["dump", "db", "--main"]).ends_with(0);
    assert_eq!(told.err.matches("mdb_load").count(), 1, "{told:?}");
    let told = folder.kv(&["dump", "db", "--main", "--prefix", "kk"]).ends_with(0);
    told.says("is longer than 511 bytes");
    for quiet in [&["dump", "db", "--main", "-q"][..], &["dump", "db", "-f", "json"]] {
        let answer = folder.kv(quiet).ends_with(0);
        assert!(answer.err.is_empty(), "{answer:?}");
    }
}

#[test]
fn a_member_that_an_object_has_twice_is_told() {
    let folder = Folder::new("load-twice");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for (line, member) in [
        (r#"{"key":"a","key":"b","value":"c"}"#, "key"),
        (r#"{"key":"a","k\u0065y":"a","value":"c"}"#, "key"),
        (r#"{"key":"a","value":"b","value":null}"#, "value"),
        (r#"{"table":"t","table":"u","key":"a","value":"b"}"#, "table"),
        (r#"{"key":{"hex":"00","hex":"01"},"value":"b"}"#, "hex"),
        (r#"{"key":"a","value":"b","x":[{"y\u001b":1,"y\u001b":2}]}"#, r"y\x1b"),
    ] {
        let text = format!("{{\"key\":\"first\",\"value\":\"v\"}}\n{line}\n");
        folder
            .kv_with(&["load", "db"], text.as_bytes())
            .ends_with(2)
            .says(&format!(
                "standard input: line 2: the member \"{member}\" is there twice; nothing was loaded"
            ));
    }
    folder.kv(&["scan", "db"]).is("k\tv\n");
    // Two objects may have the same members, of course.
    let text = "{\"key\":{\"hex\":\"00\"},\"value\":{\"hex\":\"00\"}}\n".repeat(2);
    folder.kv_with(&["load", "-q", "db"], text.as_bytes()).is("");
}

#[test]
fn what_is_wrong_in_a_line_is_told_with_its_place() {
    let folder = Folder::new("load-place");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let first = "{\"key\":\"a\",\"value\":\"b\"}\n";
    for (line, what) in [
        (
            r#"{"key":"a","value":}"#,
            "this is no JSON object: expected value in column 20",
        ),
        (
            r#"{"key":"\ud800","value":""}"#,
            "this is no JSON object: unexpected end of hex escape in column",
        ),
        ("[1]", "this is no JSON object, which begins with {"),
        (
            r#"{"table":"","key":"a","value":"b"}"#,
            "\"table\": the name of a table is not empty; the main table has none",
        ),
        (
            r#"{"table":"\u0000a","key":"a","value":"b"}"#,
            "\"table\": the name of a table does not begin with a byte 0",
        ),
    ] {
        let answer = folder.kv_with(&["load", "db"], format!("{first}{line}\n").as_bytes());
        let answer = answer.ends_with(2).says(&format!("kv: standard input: line 2: {what}"));
        assert!(!answer.err.contains("line 1"), "{answer:?}");
    }
    for (text, what) in [
        (
            "table,key,value\n\0a,b,c\n",
            "line 2: the name of a table does not begin with a byte 0",
        ),
        (
            "VERSION=3\nformat=print\ndatabase=\nHEADER=END\nDATA=END\n",
            "line 3: the name of a table is not empty; the main table has none",
        ),
    ] {
        folder.kv_with(&["load", "db"], text.as_bytes()).ends_with(2).says(what);
    }
    // What is typed is no line.
    for command in [
        &["put", "-c", "db", "-t", "", "k", "v"][..],
        &["load", "-c", "db", "-t", ""],
    ] {
        let answer = folder.kv_with(command, b"key,value\na,b\n").ends_with(2);
        answer.says("kv: --table: the name of a table is not empty");
    }
    folder
        .kv(&["get", "db", "-t", "", "k"])
        .ends_with(2)
        .says("leave --table out for the main table");
    folder.kv(&["scan", "db"]).is("k\tv\n");
}

#[test]
fn a_table_for_the_main_one_is_not_silently_ignored() {
    let folder = Folder::new("load-table");
    folder.kv(&["put", "-c", "db", "-t", "a", "k", "v"]).is("");
    for format in ["mdb", "json"] {
        let one = folder.kv(&["dump", "db", "-f", format, "-t", "a"]).ends_with(0).out;
        folder
            .kv_with(&["load", "-c", "new", "-t", "b"], &one)
            .ends_with(2)
            .says("the input names the table \"a\" itself");
        assert_eq!(folder.names(), ["db"]);
    }
    // What is in the main table goes there, and tables of other names come along.
    folder.kv(&["put", "db", "x", "y"]).is("");
    let all = folder.kv(&["dump", "db"]).ends_with(0).out;
    folder.kv_with(&["load", "-q", "-c", "new", "-t", "b"], &all).is("");
    folder
        .kv(&["tables", "new", "--quick", "-o", "raw"])
        .is("\t0\na\t1\nb\t1\n");
    for (command, words) in [
        ("dump", "all tables are written"),
        ("stat", "those of the file"),
        ("load", "main table"),
    ] {
        let help = folder.kv(&[command, "--help"]).ends_with(0);
        let words_of_help: Vec<&str> = help.text().split_whitespace().collect();
        assert!(words_of_help.join(" ").contains(words), "{command}");
    }
}

#[test]
fn every_format_brings_back_what_was_dumped() {
    for seed in 0..12 {
        let folder = Folder::new("round");
        let mut rng = Rng(seed);
        let mut tables = random_tables(&mut rng, &[b"users", b"a,b\"c", b"\xff\xfe"]);
        // Once is enough for a value that is long in each format.
        let long = if seed == 0 { 1 << 20 } else { 5000 };
        tables.entry(None).or_default().insert(Vec::new(), Vec::new());
        tables
            .entry(None)
            .or_default()
            .insert(b"long".to_vec(), rng.odd_bytes(long));
        write(&folder.file("from"), &tables);
        let want = shown(&folder, "from");
        for (format, more) in [
            ("mdb", None),
            ("mdb-print", None),
            ("json", None),
            ("json", Some("--hex")),
            ("csv", None),
            ("csv", Some("--hex")),
        ] {
            let mut args = vec!["dump", "from", "--format", format];
            args.extend(more);
            let text = folder.kv(&args).ends_with(0).out;
            let _ = std::fs::remove_file(folder.file("to"));
            // The format is found out, but for hexadecimal CSV, which says nothing of itself.
            let mut args = vec!["load", "-c", "to"];
            args.extend(more.filter(|_| format == "csv"));
            folder.kv_with(&args, &text).ends_with(0).says("entries were loaded");
            assert!(shown(&folder, "to") == want, "seed {seed}, {format} {more:?}");
        }
    }
}

#[test]
fn tables_and_ranges_are_chosen() {
    let folder = Folder::new("chosen");
    folder.kv(&["put", "-c", "db", "a", "1", "b", "2"]).is("");
    folder.kv(&["put", "-c", "db", "-t", "t", "c", "3"]).is("");
    folder
        .kv(&["dump", "db", "-f", "csv", "--main"])
        .is("key,value\na,1\nb,2\n");
    folder
        .kv(&["dump", "db", "-f", "csv", "-t", "t"])
        .is("table,key,value\nt,c,3\n");
    folder
        .kv(&["dump", "db", "-f", "csv", "--main", "--from", "b"])
        .is("key,value\nb,2\n");
    folder.kv(&["dump", "db", "-f", "json"]).is(
        "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":\"2\"}\n{\"table\":\"t\"}\n\
         {\"table\":\"t\",\"key\":\"c\",\"value\":\"3\"}\n",
    );
    folder
        .kv(&["dump", "db", "--main", "-f", "mdb-print"])
        .is("VERSION=3\nformat=print\ntype=btree\nmapsize=1073741824\nHEADER=END\n a\n 1\n b\n 2\nDATA=END\n");
    // Entries of the input's main table can go into a table, which must be there or be created.
    folder
        .kv_with(&["load", "db", "-t", "new"], b"key,value\nx,y\n")
        .ends_with(1)
        .says("--create");
    folder
        .kv_with(&["load", "db", "-c", "-t", "new"], b"value,key\ny,x\n")
        .ends_with(0);
    folder.kv(&["scan", "db", "-t", "new"]).is("x\ty\n");
    folder
        .kv_with(&["load", "db", "--format", "csv", "--no-heading"], b"p,q\n\"r\"\"\",\n")
        .ends_with(0);
    folder.kv(&["scan", "db", "--from", "p"]).is("p\tq\nr\"\t\n");
    // An empty table leaves a trace in two formats.
    folder.kv(&["del", "db", "-t", "t", "--all"]).ends_with(0);
    for format in ["mdb", "json"] {
        let text = folder.kv(&["dump", "db", "-f", format]).ends_with(0).out;
        std::fs::write(folder.file("text"), &text).expect("a file");
        folder.kv(&["load", "-c", &format!("db-{format}"), "text"]).ends_with(0);
        assert_eq!(shown(&folder, &format!("db-{format}")), shown(&folder, "db"));
    }
}

#[test]
fn what_is_there_is_kept_or_replaced_and_batches_stay() {
    let folder = Folder::new("keep");
    folder.kv(&["put", "-c", "db", "a", "old"]).is("");
    let text = b"key,value\na,new\nb,new\n";
    folder
        .kv_with(&["load", "db", "--no-overwrite"], text)
        .ends_with(0)
        .says("1 was there already");
    folder.kv(&["scan", "db"]).is("a\told\nb\tnew\n");
    folder.kv_with(&["load", "db", "-q"], text).ends_with(0);
    folder.kv(&["scan", "db"]).is("a\tnew\nb\tnew\n");
    // An error takes back everything, or all since the last batch.
    let broken = b"{\"key\":\"1\",\"value\":\"\"}\n{\"key\":\"2\",\"value\":\"\"}\n{\"key\":\"3\",\"value\":\"\"}\n{\n";
    folder
        .kv_with(&["load", "db"], broken)
        .ends_with(2)
        .says("standard input: line 4");
    folder.kv(&["count", "db"]).is("2\n");
    folder
        .kv_with(&["load", "db", "--batch", "2"], broken)
        .ends_with(2)
        .says("; 2 entries before it were committed");
    // In the transaction of a shell nothing of it stays.
    std::fs::write(folder.file("broken"), &broken[..]).expect("a file");
    folder
        .kv_with(&["shell", "db"], b"begin\nload --batch 1 broken\n")
        .ends_with(2)
        .says("; nothing was loaded");
    std::fs::remove_file(folder.file("broken")).expect("a file");
    folder.kv(&["scan", "db", "-k"]).is("1\n2\na\nb\n");
    folder.kv_with(&["load", "none"], text).ends_with(5).says("--create");
    folder
        .kv(&["load", "db", "no-input"])
        .ends_with(5)
        .says("no-input: cannot open: No such file or directory; check the name");
    assert_eq!(folder.names(), ["db"]);
}

#[test]
fn what_is_wrong_in_the_input_is_told_with_its_line() {
    let folder = Folder::new("wrong");
    folder.kv(&["put", "-c", "db", "a", "1"]).is("");
    let head = "VERSION=3\nformat=print\nHEADER=END\n";
    for (text, line, what) in [
        ("VERSION=4\n", 1, "version"),
        ("VERSION=3\ntype=hash\n", 2, "btree"),
        ("VERSION=3\nformat=xml\n", 2, "format"),
        ("VERSION=3\nnonsense\n", 2, "NAME=VALUE"),
        ("VERSION=3\n", 1, "HEADER=END"),
        (&format!("{head} k\n v\n"), 5, "DATA=END"),
        (&format!("{head} k\nDATA=END\n"), 5, "value"),
        (&format!("{head}k\n"), 4, "blank"),
        (&format!("{head} k\\\n"), 4, "backslash"),
        ("VERSION=3\nHEADER=END\n 0g\n", 3, "hexadecimal"),
        (
            "VERSION=3\nduplicates=1\nformat=print\nHEADER=END\n k\n 1\n k\n 2\nDATA=END\n",
            8,
            "several values",
        ),
        ("{\"key\":1,\"value\":\"\"}\n", 1, "string"),
        ("{\"key\":\"\"}\n", 1, "both needed"),
        ("{\"key\":\"\",\"value\":\"\",\"more\":1}\n", 1, "\"more\""),
        ("{\"key\":\"\",\"value\":\"\"}\n[]\n", 2, "no JSON object"),
        ("name,value\na,b\n", 1, "\"name\""),
        (
            "key,value\na,b\nc\n",
            3,
            "the number of fields is 1, and that of the heading is 2",
        ),
        ("key,value\na,b\nc,d,e\n", 3, "the number of fields is 3"),
        ("key,key,value\na,b,1\n", 1, "\"key\" twice"),
        (
            "key,value\na,\"1\nb,2\nc,3\n",
            2,
            "the quotation that begins in line 2 does not end",
        ),
        (
            "key,value\n\"a\n\",\"1\" ,\n",
            3,
            "neither a comma nor a line end follows a quotation",
        ),
        ("key\na\n", 1, "key and value"),
    ] {
        let answer = folder.kv_with(&["load", "db"], text.as_bytes()).ends_with(2);
        answer
            .says(&format!("standard input: line {line}: "))
            .says(what)
            .says("; nothing was loaded");
        folder.kv(&["scan", "db"]).is("a\t1\n");
    }
    folder
        .kv_with(&["load", "db", "--no-heading"], b"a,1,zzz\n")
        .ends_with(2)
        .says("line 1: the number of fields is 3, and without a heading it is two");
    // One value for each key is no contradiction, and what is not known is reported and left out.
    let text = "VERSION=3\nduplicates=1\nodd=1\nformat=print\nHEADER=END\n k\n 1\nDATA=END\n";
    folder
        .kv_with(&["load", "db"], text.as_bytes())
        .ends_with(0)
        .says("\"odd\"");
    folder.kv(&["get", "db", "k"]).is("1\n");
    // This name cannot be written in LMDB's format.
    folder.kv(&["put", "-c", "db", "-t", r"a\nb", "k", "v"]).is("");
    folder.kv(&["dump", "db"]).ends_with(6).says("--format json");
}

/// Runs one of LMDB's programs, or returns `None` if it is not installed.
fn lmdb(program: &str, args: &[&str], folder: &Folder, input: &[u8]) -> Option<Vec<u8>> {
    std::fs::write(folder.file("input"), input).expect("a file");
    let file = std::fs::File::open(folder.file("input")).expect("a file");
    let answer = Command::new(program)
        .args(args)
        .current_dir(folder.path())
        .stdin(file)
        .output();
    let answer = match answer {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: the formats of LMDB's own programs: no {program} (make deps)");
            return None;
        }
        answer => answer.expect("an answer"),
    };
    assert!(
        answer.status.success(),
        "{program}: {}",
        String::from_utf8_lossy(&answer.stderr)
    );
    Some(answer.stdout)
}

/// The text without what the two programs say differently: the size of the map, and LMDB's other figures.
fn without_sizes(text: &[u8]) -> String {
    let is_size = |line: &&str| {
        !["mapsize=", "maxreaders=", "db_pagesize="]
            .iter()
            .any(|size| line.starts_with(size))
    };
    let text = String::from_utf8(text.to_vec()).expect("UTF-8");
    text.lines().filter(is_size).map(|line| format!("{line}\n")).collect()
}

#[test]
fn mdb_load_reads_what_is_dumped_and_mdb_dump_is_loaded() {
    for seed in 0..6 {
        let folder = Folder::new("lmdb");
        let mut rng = Rng(100 + seed);
        let mut tables = random_tables(&mut rng, &[]);
        // LMDB has no empty keys.
        tables.values_mut().for_each(|table| drop(table.remove(&Vec::new())));
        write(&folder.file("db"), &tables);
        let want = folder.kv(&["dump", "db"]).ends_with(0).out;
        for format in ["mdb", "mdb-print"] {
            let text = folder.kv(&["dump", "db", "-f", format]).ends_with(0).out;
            let _ = std::fs::remove_file(folder.file("lmdb"));
            if lmdb("mdb_load", &["-n", "lmdb"], &folder, &text).is_none() {
                return;
            }
            let back = lmdb("mdb_dump", &["-n", "lmdb"], &folder, b"").expect("mdb_dump is beside mdb_load");
            assert!(without_sizes(&back) == without_sizes(&want), "seed {seed}, {format}");
            let _ = std::fs::remove_file(folder.file("back"));
            folder.kv_with(&["load", "-c", "back"], &back).ends_with(0);
            assert_eq!(shown(&folder, "back"), shown(&folder, "db"), "seed {seed}, {format}");
        }
    }
}

#[test]
fn text_of_mdb_dump_is_loaded() {
    let folder = Folder::new("text");
    let mut rng = Rng(200);
    let mut tables = random_tables(&mut rng, &[]);
    // Some versions of mdb_dump do not mark a backslash.
    let clean = |bytes: Vec<u8>| bytes.into_iter().filter(|byte| *byte != b'\\').collect::<Vec<u8>>();
    for table in tables.values_mut() {
        let entries = std::mem::take(table)
            .into_iter()
            .map(|(key, value)| (clean(key), clean(value)));
        table.extend(entries.filter(|(key, _)| !key.is_empty()));
    }
    write(&folder.file("db"), &tables);
    let text = folder.kv(&["dump", "db", "-f", "mdb-print"]).ends_with(0).out;
    if lmdb("mdb_load", &["-n", "lmdb"], &folder, &text).is_none() {
        return;
    }
    let back = lmdb("mdb_dump", &["-n", "-p", "lmdb"], &folder, b"").expect("mdb_dump is beside mdb_load");
    assert!(without_sizes(&back) == without_sizes(&text));
    folder.kv_with(&["load", "-c", "back"], &back).ends_with(0);
    assert_eq!(shown(&folder, "back"), shown(&folder, "db"));
}

#[test]
fn named_tables_go_through_lmdb() {
    let folder = Folder::new("named");
    folder.kv(&["put", "-c", "db", "-t", "one", "a", "1"]).is("");
    folder.kv(&["put", "-c", "db", "-t", "two", "b", r"\x00\xff"]).is("");
    let text = folder.kv(&["dump", "db"]).ends_with(0).out;
    if lmdb("mdb_load", &["-n", "lmdb"], &folder, &text).is_none() {
        return;
    }
    let back = lmdb("mdb_dump", &["-n", "-a", "lmdb"], &folder, b"").expect("mdb_dump is beside mdb_load");
    folder.kv_with(&["load", "-c", "back"], &back).ends_with(0);
    assert_eq!(shown(&folder, "back"), shown(&folder, "db"));
}

#[test]
fn the_help_of_load_says_what_its_options_mean_there() {
    let folder = Folder::new("load-help");
    let help = folder.kv(&["load", "--help"]).ends_with(0);
    let text = help.text().split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "The table for entries that the input has in its main table",
        "Fields of CSV are hexadecimal digits",
    ] {
        assert!(text.contains(words), "{words} is not in {text}");
    }
}

#[test]
fn input_that_has_nothing_is_an_error_where_something_should_be() {
    let folder = Folder::new("nothing");
    for (format, words) in [
        (&[][..], "its format is not known"),
        (&["-f", "mdb"], "begins with VERSION=3"),
        (&["-f", "csv"], "begins with a heading (key,value)"),
    ] {
        for input in [&b""[..], b"\n"] {
            let answer = folder.kv_with(&[&["load", "-c", "db"], format].concat(), input);
            let answer = answer.ends_with(2).says("standard input: the input is empty");
            answer.says(words).says("nothing was loaded");
            assert!(folder.names().is_empty(), "{:?}", folder.names());
        }
    }
    for format in [&["-f", "json"][..], &["-f", "csv", "--no-heading"]] {
        folder
            .kv_with(&[&["load", "-c", "db"], format].concat(), b"")
            .ends_with(0)
            .says("0 entries were loaded");
    }
}

#[test]
fn what_has_no_format_is_told_as_what_it_is() {
    let folder = Folder::new("foreign");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let database = std::fs::read(folder.file("db")).expect("read");
    for (input, words) in [
        (
            &b" [{\"key\":\"a\",\"value\":\"b\"}]"[..],
            "one object a line is needed (jq -c '.[]')",
        ),
        (&database, "this is a database, and no text; copy it with kv restore"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "packed by gzip; unpack it first (gzip -dc)"),
        (b"SQLite format 3\0", "this has no known format"),
        (b"key\xff,value\n", "this has no known format"),
        (b"name,age\n", "the heading has \"name\""),
    ] {
        let answer = folder.kv_with(&["load", "db"], input).ends_with(2).says(words);
        answer.says("nothing was loaded");
    }
    // Without a heading, CSV may begin with anything.
    folder
        .kv_with(&["load", "--no-heading", "db"], b"[\x01,1\n")
        .ends_with(0);
    folder.kv(&["get", "db", "[\\x01"]).is("1\n");
}

#[test]
fn a_byte_order_mark_is_passed_in_every_format() {
    let folder = Folder::new("mark");
    for (at, text) in [
        "key,value\nkey,v0\n",
        "{\"key\":\"key\",\"value\":\"v1\"}\n",
        "VERSION=3\nformat=print\nHEADER=END\n key\n v2\nDATA=END\n",
    ]
    .iter()
    .enumerate()
    {
        let input = format!("\u{feff}{text}");
        folder.kv_with(&["load", "-c", "db"], input.as_bytes()).ends_with(0);
        folder.kv(&["get", "db", "key"]).is(&format!("v{at}\n"));
    }
    folder
        .kv_with(
            &["load", "-f", "json", "db"],
            "\u{feff}{\"key\":\"key\",\"value\":\"last\"}".as_bytes(),
        )
        .ends_with(0);
}

#[test]
fn records_of_named_databases_are_not_silently_taken_for_data() {
    let folder = Folder::new("records");
    // What mdb_dump writes of an environment with two named databases, the second of which is empty.
    let record = |depth: u16, words: [u64; 5]| {
        let mut bytes = [[0; 6].as_slice(), &depth.to_le_bytes()].concat();
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let head = "VERSION=3\nformat=bytevalue\n";
    let data = format!(
        "type=btree\nHEADER=END\n 6b\n {}\n 6c\n {}\nDATA=END\n",
        record(1, [0, 1, 0, 2, 5]),
        record(0, [0, 0, 0, 0, u64::MAX])
    );
    let answer = folder.kv_with(&["load", "-c", "db"], format!("{head}{data}").as_bytes());
    let answer = answer.ends_with(0).says("line 6: ").says("database \"k\"");
    let answer = answer.says("kv import-lmdb").says("2 entries were loaded");
    assert_eq!(answer.err.lines().count(), 2, "{answer:?}");
    // In a named table they are data, and so are other values of their length.
    let answer = folder.kv_with(&["load", "db"], format!("{head}database=t\n{data}").as_bytes());
    assert_eq!(answer.ends_with(0).err.lines().count(), 1);
    let value = "61".repeat(48);
    let other = format!("{head}type=btree\nHEADER=END\n 6b\n {value}\nDATA=END\n");
    let answer = folder.kv_with(&["load", "db"], other.as_bytes());
    assert_eq!(answer.ends_with(0).err.lines().count(), 1);
}
