//! Commands for single entries and ranges: put, get, del, scan, count, rank, in each form of output.

mod common;

use common::Folder;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

#[test]
fn entries_are_put_read_and_deleted() {
    let folder = Folder::new("entries");
    folder
        .kv(&["put", "--create", "db", "a", "1", "b", "2", "c", "3"])
        .is("");
    folder.kv(&["get", "db", "b", "a"]).is("2\n1\n");
    folder.kv(&["scan", "db"]).is("a\t1\nb\t2\nc\t3\n");
    folder.kv(&["put", "db", "b", "-5"]).is("");
    folder.kv(&["get", "db", "b"]).is("-5\n");
    folder.kv(&["del", "db", "a", "c"]).is("");
    folder.kv(&["scan", "db"]).is("b\t-5\n");
    folder.kv(&["put", "--lazy", "db", "a", "lazy"]).is("");
    folder.kv(&["get", "db", "a"]).is("lazy\n");
    assert_eq!(folder.names(), ["db"]);
}

#[test]
fn puts_may_be_forbidden_to_replace_or_to_insert_and_then_nothing_is_put() {
    let folder = Folder::new("modes");
    folder.kv(&["put", "-c", "db", "a", "1"]).is("");
    let refused = folder
        .kv(&["put", "db", "--no-overwrite", "new", "x", "a", "2"])
        .ends_with(6);
    refused.says("\"a\"").says("nothing was put");
    let refused = folder
        .kv(&["put", "db", "--only-existing", "a", "3", "none", "x"])
        .ends_with(1);
    refused.says("\"none\"").says("nothing was put");
    folder
        .kv(&["put", "db", "odd", "number", "of"])
        .ends_with(2)
        .says("\"of\"");
    folder.kv(&["scan", "db"]).is("a\t1\n");
    folder.kv(&["put", "db", "--only-existing", "a", "4"]).is("");
    folder.kv(&["put", "db", "--no-overwrite", "b", "5"]).is("");
    folder.kv(&["scan", "db"]).is("a\t4\nb\t5\n");
}

#[test]
fn odd_bytes_and_empty_ones_come_back_in_every_form() {
    let folder = Folder::new("odd");
    let args = [
        "put",
        "-c",
        "db",
        r"\x00\n",
        r"\t\r\\",
        "",
        "",
        "é",
        r"\xff\x1b[31m",
        r"\u{e9}\0",
        r"\@x",
    ];
    folder.kv(&args).is("");
    let scan = folder.kv(&["scan", "db"]);
    scan.is("\t\n\\x00\\n\t\\t\\r\\\\\né\t\\xff\\x1b[31m\né\\x00\t\\@x\n");
    folder
        .kv(&["scan", "db", "--hex"])
        .is("\t\n000a\t090d5c\nc3a9\tff1b5b33316d\nc3a900\t4078\n");
    let raw = folder.kv(&["scan", "db", "-o", "raw"]).ends_with(0);
    assert_eq!(raw.out, b"\t\n\0\n\t\t\r\\\n\xc3\xa9\t\xff\x1b[31m\n\xc3\xa9\0\t@x\n");
    let json = folder.kv(&["scan", "db", "-o", "json"]).ends_with(0).json();
    assert_eq!(json[0], serde_json::json!({"key": "", "value": ""}));
    assert_eq!(json[1], serde_json::json!({"key": "\0\n", "value": "\t\r\\"}));
    assert_eq!(
        json[2],
        serde_json::json!({"key": "é", "value": {"hex": "ff1b5b33316d"}})
    );
    let hex = folder
        .kv(&["get", "db", "-o", "json", "--hex", "c3a9"])
        .ends_with(0)
        .json();
    assert_eq!(
        hex[0],
        serde_json::json!({"key": {"hex": "c3a9"}, "value": {"hex": "ff1b5b33316d"}})
    );
    // Arguments need not be UTF-8, and the empty key can be looked up and deleted.
    let args: [&OsStr; 4] = [
        "put".as_ref(),
        "db".as_ref(),
        OsStr::from_bytes(b"\xfe\xff"),
        OsStr::from_bytes(b"\x80"),
    ];
    folder.kv(&args).is("");
    folder.kv(&["get", "db", "", r"\xfe\xff"]).is("\n\\x80\n");
    folder.kv(&["del", "db", "--hex", "", "feff"]).is("");
    folder.kv(&["count", "db"]).is("3\n");
    for wrong in [r"\", r"\q", r"\x0"] {
        folder
            .kv(&["get", "db", wrong])
            .ends_with(2)
            .says(&format!("kv: \"{wrong}\": "));
    }
    folder.kv(&["get", "db", "--hex", "0"]).ends_with(2).says("hexadecimal");
}

#[test]
fn a_value_that_is_shown_can_be_typed() {
    let folder = Folder::new("typed");
    for value in ["@", "@name", "@@", "-", "a@b", "a-", "--", r"\@", "\n", ""] {
        let key = format!("{value:?}");
        folder.kv_with(&["put", "-c", "db", &key, "-"], value.as_bytes()).is("");
        let shown = folder.kv(&["get", "db", &key]).ends_with(0);
        let shown = shown.text().strip_suffix('\n').expect("a line end").to_string();
        folder.kv(&["put", "db", "--", "copy", &shown]).is("");
        folder.kv(&["get", "db", "copy", "-o", "raw"]).is(value);
        let scanned = folder.kv(&["scan", "db", "--prefix", "copy"]).ends_with(0);
        assert_eq!(scanned.text(), format!("copy\t{shown}\n"));
    }
    folder.kv(&["put", "db", r"\@key", r"\@name"]).is("");
    folder.kv(&["scan", "db", "--prefix", "@"]).is("@key\t\\@name\n");
    // Programs get what is there.
    folder
        .kv(&["scan", "db", "-o", "raw", "--prefix", "@"])
        .is("@key\t@name\n");
    assert_eq!(
        folder.kv(&["get", "db", "@key", "-o", "json"]).json()[0]["value"],
        "@name"
    );
    assert!(folder.kv(&["put", "--help"]).text().contains("printf %s"));
}

#[test]
fn values_come_from_pipes_and_files_and_may_be_long() {
    let folder = Folder::new("long");
    let mut rng = common::Rng(1);
    let long: Vec<u8> = (0..3 << 20).map(|_| rng.next() as u8).collect();
    for (name, len) in [
        ("empty", 0),
        ("short", 10),
        ("1M", 1 << 20),
        ("odd", (1 << 20) + 1),
        ("3M", 3 << 20),
    ] {
        std::fs::write(folder.file("value"), &long[..len]).expect("a file");
        folder
            .kv(&["put", "-c", "db", &format!("file-{name}"), "@value"])
            .is("");
        folder
            .kv_with(&["put", "db", &format!("pipe-{name}"), "-"], &long[..len])
            .is("");
        for from in ["file", "pipe"] {
            let read = folder
                .kv(&["get", "db", "-o", "raw", &format!("{from}-{name}")])
                .ends_with(0);
            assert!(read.out == long[..len], "{from}-{name}: {} bytes", read.out.len());
        }
    }
    let shown = folder.kv(&["get", "db", "--hex", "706970652d314d"]).ends_with(0);
    assert_eq!(shown.out.len(), 2 * (1 << 20) + 1);
    folder.kv_with(&["put", "db", "--hex", "00", "-"], b"FFfe\n").is("");
    folder.kv(&["get", "db", "--hex", "00"]).is("fffe\n");
    folder
        .kv_with(&["put", "db", "--hex", "00", "-"], b"xx")
        .ends_with(2)
        .says("hexadecimal");
    folder
        .kv(&["put", "db", "k", "@none"])
        .ends_with(5)
        .says("none: cannot open: No such file or directory; check the name");
    folder.kv(&["put", "-c", "new", "k", "@none"]).ends_with(5);
    assert!(
        !folder.file("new").exists(),
        "a name that is wrong is reported before anything is done"
    );
    folder
        .kv(&["put", "db", "k", "-", "l", "-"])
        .ends_with(2)
        .says("standard input");
    folder.kv(&["put", "db", "k", r"\-"]).is("");
    folder.kv(&["get", "db", "k"]).is("\\-\n");
    folder.kv(&["get", "db", "k", "-o", "raw"]).is("-");
    folder.kv(&["check", "db", "--all"]).ends_with(0);
}

/// 100 entries, "00" to "99".
fn numbers(folder: &Folder) {
    let mut args: Vec<OsString> = ["put", "-c", "db"].map(OsString::from).to_vec();
    for n in 0..100 {
        args.extend([format!("{n:02}").into(), OsString::from_vec(vec![b'v'; n])]);
    }
    folder.kv(&args).is("");
}

#[test]
fn ranges_are_scanned_counted_and_deleted() {
    let folder = Folder::new("ranges");
    numbers(&folder);
    let keys = |args: &[&str]| {
        let args = [&["scan", "db", "--keys-only"], args].concat();
        folder.kv(&args).ends_with(0).text().replace('\n', " ")
    };
    assert_eq!(keys(&["--prefix", "4", "--limit", "3"]), "40 41 42 ");
    assert_eq!(keys(&["--prefix", "4", "--limit", "3", "--reverse"]), "49 48 47 ");
    assert_eq!(keys(&["--from", "95", "--to", "98"]), "95 96 97 ");
    assert_eq!(keys(&["--from", "95", "--skip", "3"]), "98 99 ");
    assert_eq!(keys(&["--from", "95", "--skip", "9"]), "");
    assert_eq!(keys(&["--limit", "0"]), "");
    assert_eq!(keys(&["--from", "5", "--to", "4"]), "");
    let json = folder
        .kv(&["scan", "db", "-k", "-o", "json", "-p", "0", "-l", "1"])
        .ends_with(0);
    assert_eq!(json.text(), "{\"key\":\"00\"}\n");
    folder.kv(&["count", "db", "--prefix", "4"]).is("10\n");
    folder
        .kv(&["count", "db", "--from", "95", "-o", "json"])
        .is("{\"count\":5}\n");
    folder.kv(&["count", "db", "-o", "raw"]).is("100\n");
    folder.kv(&["rank", "db", "40"]).is("40\n");
    folder.kv(&["rank", "db", "zz", "-o", "json"]).is("{\"rank\":100}\n");
    folder
        .kv(&["rank", "db", "--nth", "3", "--prefix", "0"])
        .is("03\tvvv\n");
    folder
        .kv(&["rank", "db", "--nth", "98", "--reverse", "-o", "json"])
        .is("{\"key\":\"01\",\"value\":\"v\"}\n");
    folder
        .kv(&["rank", "db", "--nth", "10", "--prefix", "4"])
        .ends_with(1)
        .says("10 entries");
    folder.kv(&["rank", "db"]).ends_with(2);
    folder
        .kv(&["del", "db", "--prefix", "4"])
        .ends_with(0)
        .says("10 entries");
    folder.kv(&["-q", "del", "db", "--from", "90"]).is("").says("");
    folder.kv(&["count", "db"]).is("80\n");
    folder.kv(&["del", "db"]).ends_with(2).says("--all");
    folder.kv(&["del", "db", "key", "--all"]).ends_with(2);
    folder.kv(&["del", "db", "--all"]).ends_with(0).says("80 entries");
    folder.kv(&["count", "db"]).is("0\n");
}

#[test]
fn tables_are_created_used_and_dropped() {
    let folder = Folder::new("tables");
    folder.kv(&["put", "-c", "db", "k", "main"]).is("");
    folder
        .kv(&["put", "db", "-t", "users", "k", "v"])
        .ends_with(1)
        .says("--create");
    folder
        .kv(&["put", "db", "-c", "-t", "users", "k", "u", "l", "w"])
        .is("");
    folder.kv(&["put", "db", "-c", "-t", r"odd\n\xff", "k", "o"]).is("");
    folder.kv(&["get", "db", "k"]).is("main\n");
    folder.kv(&["get", "db", "-t", "users", "k"]).is("u\n");
    folder.kv(&["scan", "db", "-t", r"odd\n\xff"]).is("k\to\n");
    folder.kv(&["count", "db", "-t", "users"]).is("2\n");
    let tables = folder.kv(&["tables", "db", "--quick"]);
    tables.is("table      entries\n(main)           1\nodd\\n\\xff        1\nusers            2\n");
    let json = folder.kv(&["tables", "db", "-o", "json"]).ends_with(0).json();
    assert_eq!(json.len(), 3);
    assert!(json[0]["table"].is_null() && json[1]["table"]["hex"] == "6f64640aff" && json[2]["table"] == "users");
    assert!(json[2]["entries"] == 2 && json[2]["tree_pages"] == 1 && json[2]["used_bytes"].as_u64() > Some(0));
    let raw = folder.kv(&["tables", "db", "-o", "raw", "--quick"]).ends_with(0);
    assert_eq!(raw.out, b"\t1\nodd\n\xff\t1\nusers\t2\n");
    for command in ["get", "rank"] {
        folder
            .kv(&[command, "db", "-t", "none", "k"])
            .ends_with(1)
            .says("\"none\"")
            .says("kv tables db");
    }
    for command in ["scan", "count", "dump", "stat"] {
        folder.kv(&[command, "db", "-t", "none"]).ends_with(1).says("\"none\"");
    }
    folder.kv(&["del", "db", "-t", "users", "--drop"]).is("");
    folder.kv(&["del", "db", "-t", "users", "--drop"]).ends_with(1);
    folder.kv(&["del", "db", "--drop"]).ends_with(2);
    assert_eq!(folder.kv(&["tables", "db"]).ends_with(0).text().lines().count(), 3);
}

#[test]
fn a_missing_key_is_told_and_the_others_are_done() {
    let folder = Folder::new("missing");
    folder.kv(&["put", "-c", "db", "a", "1", "c", "3"]).is("");
    let got = folder
        .kv(&["get", "db", "a", "b", "c"])
        .ends_with(1)
        .says("the main table has no key \"b\"");
    assert_eq!(got.text(), "1\n3\n");
    let got = folder.kv(&["get", "db", "a", "b", "-o", "json"]).ends_with(1);
    assert_eq!(
        got.text(),
        "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"b\",\"value\":null}\n"
    );
    assert_eq!(folder.kv(&["get", "db", "-o", "raw", "b", "c"]).ends_with(1).out, b"3");
    folder.kv(&["del", "db", "a", "b"]).ends_with(1).says("\"b\"");
    folder.kv(&["scan", "db"]).is("c\t3\n");
}

#[test]
fn a_bound_that_is_empty_does_not_delete_everything() {
    let folder = Folder::new("empty-bound");
    folder.kv(&["put", "-c", "db", "a", "1", "b", "2"]).is("");
    for bounds in [&["--prefix", ""][..], &["--from", ""], &["--prefix", "", "--from", ""]] {
        let answer = folder.kv(&[&["del", "db"], bounds].concat()).ends_with(2);
        answer.says("the bound is empty").says("--all");
        folder.kv(&["count", "db"]).is("2\n");
    }
    folder
        .kv(&["del", "db", "--from", "", "--to", "b"])
        .says("1 entry was deleted");
    folder.kv(&["del", "db", "--all"]).says("1 entry was deleted");
}

#[test]
fn a_value_that_begins_like_the_name_of_a_file_is_told_how_to_type() {
    let folder = Folder::new("at");
    folder.kv(&["put", "-c", "db", "k", "old"]).is("");
    folder
        .kv(&["put", "db", "k", "@ann"])
        .ends_with(5)
        .says("ann: cannot open: No such file or directory; check the name; @ names a file")
        .says("give '\\@...'; nothing was put");
    folder
        .kv(&["put", "db", "k", "@"])
        .ends_with(2)
        .says("give '\\@'; nothing was put");
    folder.kv(&["get", "db", "k"]).is("old\n");
    folder.kv(&["put", "db", "k", "\\@ann", "l", "\\@"]).is("");
    folder
        .kv(&["get", "db", "k", "l", "-o", "json"])
        .is("{\"key\":\"k\",\"value\":\"@ann\"}\n{\"key\":\"l\",\"value\":\"@\"}\n");
}

#[test]
fn an_empty_name_of_a_table_is_told_as_such() {
    let folder = Folder::new("no-name");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for args in [
        &["put", "-c", "db", "a", "b", "--table", ""][..],
        &["get", "db", "a", "--table", ""],
        &["load", "db", "--table", ""],
        &["dump", "db", "--table", ""],
    ] {
        folder
            .kv(args)
            .ends_with(2)
            .says("--table: the name of a table is not empty; leave --table out");
    }
}

#[test]
fn a_load_tells_how_many_entries_replaced_others() {
    let folder = Folder::new("replaced");
    folder.kv(&["put", "-c", "db", "a", "old", "b", "old"]).is("");
    folder.kv(&["put", "-c", "db", "-t", "t", "a", "old"]).is("");
    let line = |table: &str, key: &str| format!("{{\"table\":{table},\"key\":\"{key}\",\"value\":\"new\"}}\n");
    // Those of the input itself are others, too.
    let one = [
        ("null", "a"),
        ("\"t\"", "a"),
        ("null", "x"),
        ("\"new\"", "a"),
        ("\"t\"", "y"),
        ("null", "x"),
    ];
    let text: String = one.iter().map(|(table, key)| line(table, key)).collect();
    for (more, replaced) in [
        (&[][..], "db: 6 entries were loaded, 3 of them in place of others\n"),
        (
            &["--batch", "1"],
            "db: 6 entries were loaded, 6 of them in place of others\n",
        ),
        (
            &["--batch", "4"],
            "db: 6 entries were loaded, 6 of them in place of others\n",
        ),
        (&["--no-overwrite"], "db: 0 entries were loaded, 6 were there already\n"),
    ] {
        let said = folder
            .kv_with(&[&["load", "db"], more].concat(), text.as_bytes())
            .ends_with(0);
        assert_eq!(said.err, format!("kv: {replaced}"), "{more:?}");
    }
    for (lines, said) in [
        (&["a"][..], "1 entry was loaded, in place of another\n"),
        (&["a", "c"], "2 entries were loaded, 1 of them in place of another\n"),
        (&["d", "e"], "2 entries were loaded\n"),
    ] {
        let text: String = lines.iter().map(|key| line("null", key)).collect();
        let answer = folder.kv_with(&["load", "db"], text.as_bytes()).ends_with(0);
        assert_eq!(answer.err, format!("kv: db: {said}"));
    }
    // In a transaction of a shell, what it has put counts.
    std::fs::write(folder.file("text"), line("null", "z")).expect("write");
    let shell = folder
        .kv_with(&["shell", "db"], b"begin\nput z 1\nload text\ncommit\n")
        .ends_with(0);
    shell.says("1 entry was loaded, in place of another\n");
}
