//! Snapshots: making, listing and dropping them, reading what they show, and what the pictures say of their pages.

mod common;

use common::{Answer, Folder};
use kv_engine::{Durability, PutMode, TableId, WriteOptions};

/// A database with a table, whose snapshot "old" shows another value of "key" than the newest commit.
fn changed(what: &str) -> Folder {
    let folder = Folder::new(what);
    folder
        .kv(&["put", "db", "--create", "key", "before", "other", "x"])
        .ends_with(0);
    folder
        .kv(&["put", "db", "--create", "-t", "users", "ada", "1"])
        .ends_with(0);
    folder
        .kv(&["snapshot", "db", "create", "old", "--note", "a\\tnote"])
        .ends_with(0);
    folder.kv(&["put", "db", "key", "after"]).ends_with(0);
    folder.kv(&["del", "db", "-t", "users", "--drop"]).ends_with(0);
    folder
}

/// The names of the snapshots.
fn names(folder: &Folder) -> String {
    let listed: Answer = folder.kv(&["snapshot", "db", "list", "-o", "raw"]).ends_with(0);
    let names = listed
        .text()
        .lines()
        .filter_map(|line| line.split('\t').next())
        .map(str::to_string);
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_command_that_reads_shows_a_snapshot() {
    let folder = changed("reads");
    folder.kv(&["get", "db", "key"]).is("after\n");
    folder.kv(&["get", "db", "key", "--snapshot", "old"]).is("before\n");
    folder
        .kv(&["scan", "db", "--snapshot", "old"])
        .is("key\tbefore\nother\tx\n");
    folder
        .kv(&["count", "db", "-t", "users", "--snapshot", "old"])
        .is("1\n");
    folder.kv(&["rank", "db", "other", "--snapshot", "old"]).is("1\n");
    folder.kv(&["count", "db", "-t", "users"]).ends_with(1);
    let tables = folder
        .kv(&["tables", "db", "--quick", "--snapshot", "old"])
        .ends_with(0);
    assert!(tables.text().contains("users"), "{}", tables.text());
    let stat = folder.kv(&["stat", "db", "-t", "users", "-o", "json", "--snapshot", "old"]);
    assert!(stat.ends_with(0).text().contains("\"entries\":1"));
    let dump = folder
        .kv(&["dump", "db", "--format", "json", "--snapshot", "old"])
        .ends_with(0);
    assert!(dump.text().contains("before") && !dump.text().contains("after"));
    folder.kv(&["check", "db", "--snapshot", "old"]).ends_with(0);
    folder.kv(&["check", "db", "--snapshot", "old", "--all"]).ends_with(2);
    folder.kv(&["backup", "db", "copy", "--snapshot", "old"]).ends_with(0);
    folder.kv(&["get", "copy", "key"]).is("before\n");
    folder.kv(&["snapshot", "copy", "list", "-o", "raw"]).is("");
    let absent = folder.kv(&["get", "db", "key", "--snapshot", "none"]).ends_with(1);
    absent.says("there is no snapshot \"none\"").says("kv snapshot db list");
    folder.kv(&["put", "db", "key", "x", "--snapshot", "old"]).ends_with(2);
}

#[test]
fn snapshots_are_made_listed_renamed_kept_and_dropped() {
    let folder = changed("life");
    let json = folder.kv(&["snapshot", "db", "info", "old", "-o", "json"]).ends_with(0);
    for part in [
        "\"snapshot\":\"old\"",
        "\"kept\":false",
        "\"note\":\"a\\tnote\"",
        "\"time_ns\":1",
    ] {
        assert!(json.text().contains(part), "{part}: {}", json.text());
    }
    // What it keeps: a leaf of the main table, and the page of the other one and of the catalogue.
    let cost = folder.kv(&["snapshot", "db", "cost", "old", "-o", "json"]).ends_with(0);
    let pages = cost.text().trim().to_string();
    assert!(
        pages.starts_with("{\"alone_pages\":") && pages != "{\"alone_pages\":0}",
        "{pages}"
    );
    let list = folder.kv(&["snapshot", "db", "list", "-o", "json"]).ends_with(0);
    assert!(list.text().contains(pages.trim_matches(['{', '}'])), "{}", list.text());
    folder
        .kv(&["snapshot", "db", "cost", "old", "none"])
        .ends_with(1)
        .says("no snapshot \"none\"");
    folder
        .kv(&["snapshot", "db", "cost"])
        .ends_with(2)
        .says("the first and the last");
    // The state of another snapshot can have a second name.
    folder
        .kv(&["snapshot", "db", "create", "again", "--snapshot", "old", "--keep"])
        .ends_with(0);
    folder.kv(&["get", "db", "key", "--snapshot", "again"]).is("before\n");
    assert_eq!(names(&folder), "again old");
    let refused = folder.kv(&["snapshot", "db", "drop", "old", "again"]).ends_with(6);
    refused
        .says("the snapshot \"again\" is to be kept")
        .says("kv snapshot db unkeep \"again\"");
    assert_eq!(names(&folder), "again old", "all or none is dropped");
    folder
        .kv(&["snapshot", "db", "create", "old"])
        .ends_with(6)
        .says("--replace");
    folder
        .kv(&["snapshot", "db", "create", "again", "--replace"])
        .ends_with(6)
        .says("is to be kept");
    folder
        .kv(&["snapshot", "db", "create", "old", "--replace"])
        .ends_with(0);
    folder.kv(&["get", "db", "key", "--snapshot", "old"]).is("after\n");
    folder
        .kv(&["snapshot", "db", "rename", "old", "again"])
        .ends_with(6)
        .says("is to be kept");
    folder.kv(&["snapshot", "db", "unkeep", "again"]).ends_with(0);
    folder.kv(&["snapshot", "db", "rename", "old", "again"]).ends_with(0);
    assert_eq!(names(&folder), "again");
    folder
        .kv(&["snapshot", "db", "keep", "none"])
        .ends_with(1)
        .says("there is no snapshot \"none\"");
    folder.kv(&["snapshot", "db", "info", "none"]).ends_with(1);
    folder.kv(&["snapshot", "db", "rename", "none", "x"]).ends_with(1);
    folder.kv(&["snapshot", "db", "drop", "again"]).ends_with(0);
    folder
        .kv(&["snapshot", "db", "reclaim"])
        .ends_with(0)
        .says("given back");
    assert_eq!(names(&folder), "");
    folder.kv(&["check", "db", "--all"]).ends_with(0);
}

#[test]
fn wrong_words_are_usage() {
    let folder = changed("usage");
    for (words, says) in [
        (&["snapshot", "db", "list", "x"][..], "it takes no name"),
        (
            &["snapshot", "db", "create"],
            "it takes one name: kv snapshot FILE create NAME",
        ),
        (
            &["snapshot", "db", "thin", "--last", "1"],
            "it takes what the names of a row begin with: kv snapshot FILE thin PREFIX --last N",
        ),
        (&["snapshot", "db", "rename", "x"], "the name and the new one"),
        (&["snapshot", "db", "drop"], "at least one name"),
        (&["snapshot", "db", "drop", "old", "--keep"], "are for create"),
        (&["snapshot", "db", "list", "--snapshot", "old"], "are for create"),
        (&["snapshot", "db", "list", "--time", "2026-11-30"], "are for create"),
        (&["snapshot", "db", "drop", "old", "old"], "\"old\" is named twice"),
        (&["snapshot", "db", "drop", ""], "must not be empty"),
        (&["snapshot", "db", "create", "\\x00"], "must not begin with a byte 0"),
        (&["get", "db", "key", "--snapshot", ""], "must not be empty"),
        (
            &["get", "db", "key", "--snapshot", "old", "--commit", "1"],
            "cannot be used with",
        ),
        (
            &["get", "db", "key", "--commit", "1", "--time", "1"],
            "cannot be used with",
        ),
        (&["check", "db", "--all", "--time", "1"], "cannot be used with"),
        (&["get", "db", "key", "--time", "yesterday"], "a time is"),
    ] {
        folder.kv(words).ends_with(2).says(says);
    }
    folder
        .kv(&["snapshot", "db", "create", ""])
        .ends_with(2)
        .says("must not be empty");
    let long = "n".repeat(513);
    folder
        .kv(&["snapshot", "db", "create", &long])
        .ends_with(2)
        .says("it has 513 bytes")
        .says("give another one");
    folder
        .kv(&["snapshot", "db", "create", "x", "--note", &long.repeat(2)])
        .ends_with(2)
        .says("it has 1026 bytes")
        .says("give a shorter one");
    assert_eq!(names(&folder), "old");
}

#[test]
fn a_missing_file_is_not_to_be_created() {
    let folder = Folder::new("missing");
    for words in [
        &["snapshot", "none", "create", "x"][..],
        &["snapshot", "none", "reclaim"],
    ] {
        let answer = folder.kv(words).ends_with(5).says("none: no such file; check the name");
        assert!(!answer.err.contains("--create"), "{answer:?}");
    }
    assert!(folder.names().is_empty());
}

#[test]
fn a_state_is_found_by_its_commit_and_by_its_time() {
    let folder = changed("as-of");
    let commit = figure(&folder, &["snapshot", "db", "info", "old", "-o", "json"], "commit");
    let time = figure(&folder, &["snapshot", "db", "list", "-o", "json"], "time_ns");
    let get = |words: &[&str]| folder.kv(&[&["get", "db", "key"][..], words].concat());
    for words in [["--commit", &commit.to_string()], ["--snapshot", "old"]] {
        let exact = get(&words).ends_with(0);
        assert_eq!((exact.text(), exact.err.as_str()), ("before\n", ""), "{words:?}");
    }
    // There are commits after it that are not kept, which may have been made before this time.
    let name = format!("commit {commit} of ");
    let found = get(&["--time", &time.to_string()]).ends_with(0);
    assert_eq!(found.text(), "before\n");
    found
        .says(&format!("db: what is read is {name}"))
        .says("the newest one up to ");
    let next = (commit + 1).to_string();
    for words in [
        &["get", "db", "key"][..],
        &["scan", "db", "--limit", "0"],
        &["count", "db"],
        &["tables", "db"],
    ] {
        let other = folder.kv(&[words, &["--commit", &next]].concat()).ends_with(0);
        other
            .says(&format!("what is read is {name}"))
            .says(&format!("up to commit {next} that is kept"));
        let quiet = folder.kv(&[&["-q"], words, &["--commit", &next]].concat()).ends_with(0);
        assert_eq!(quiet.err, "");
    }
    for (words, says) in [
        (["--commit", "999999"], "since commit 999999 was never made"),
        (
            ["--time", "2200-01-01"],
            "since 2200-01-01 23:59:59 UTC is still to come",
        ),
        (
            ["--time", "2200-01-01T00:00:00.5+01:00"],
            "since 2199-12-31 23:00:00.599999999 UTC is still to come",
        ),
    ] {
        let newest = get(&words).ends_with(0);
        assert_eq!(newest.text(), "after\n");
        newest
            .says("db: what is read is commit ")
            .says(" (the newest one)")
            .says(says);
    }
    let earlier = (commit - 1).to_string();
    let none = get(&["--commit", &earlier]).ends_with(1);
    none.says("no state is kept").says(&earlier).says("kv snapshot db list");
    get(&["--time", "1970-01-01 00:00"])
        .ends_with(1)
        .says("no state is kept that is as old as 1970-01-01 00:00:59 UTC")
        .says(&format!("(the oldest that is kept is {name}"));
    // What is shown can be typed; the second ends after the commit.
    let shown = folder.kv(&["snapshot", "db", "info", "old", "-o", "json"]).ends_with(0);
    let shown = shown.json()[0]["time"].as_str().expect("a time").to_string();
    get(&["--time", &shown]).ends_with(0);
    folder
        .kv(&["snapshot", "db", "create", "again", "--commit", &commit.to_string()])
        .ends_with(0);
    folder.kv(&["get", "db", "key", "--snapshot", "again"]).is("before\n");
    // People have one column less.
    let line = |form| {
        let listed = folder.kv(&["snapshot", "db", "list", "-o", form]).ends_with(0);
        listed.text().lines().last().unwrap_or_default().to_string()
    };
    assert!(line("raw").ends_with(&time.to_string()), "{}", line("raw"));
    assert!(!line("table").contains(&time.to_string()) && line("table").contains(&shown));
}

/// A member of an object in JSON that is a number.
fn figure(folder: &Folder, words: &[&str], name: &str) -> u64 {
    let answer = folder.kv(words).ends_with(0);
    answer.json()[0][name]
        .as_u64()
        .unwrap_or_else(|| panic!("{name} is no number: {}", answer.text()))
}

#[test]
fn pages_of_snapshots_are_counted_and_drawn() {
    let folder = Folder::new("pages");
    let db = common::numbered(&folder, 4000, 100);
    folder.kv(&["snapshot", "db", "create", "all"]).ends_with(0);
    // Until what died is written into the bookkeeping.
    for n in 0..600 {
        let options = WriteOptions {
            durability: Some(Durability::Lazy),
            ..WriteOptions::default()
        };
        let mut txn = db.begin_write(options).expect("begin");
        let key = format!("{:06}", n * 1237 % 4000);
        txn.put(TableId::MAIN, key.as_bytes(), b"w", PutMode::Set).expect("put");
        txn.commit().expect("commit");
    }
    drop(db);
    let parked = figure(&folder, &["check", "db", "--all", "-o", "json"], "parked_pages");
    assert!(parked > 20, "{parked}");
    assert_eq!(figure(&folder, &["check", "db", "--all", "-o", "json"], "snapshots"), 1);
    // Those that are not written into the bookkeeping yet count as well.
    assert!(figure(&folder, &["stat", "db", "-o", "json"], "parked_pages") >= parked);
    assert_eq!(figure(&folder, &["map", "db", "-o", "json"], "parked_pages"), parked);
    assert_eq!(figure(&folder, &["map", "db", "-o", "json"], "unknown_pages"), 0);
    let drawn = folder.kv(&["map", "db", "--ascii"]).ends_with(0);
    assert!(
        drawn.text().lines().any(|line| line.starts_with(":  parked")),
        "{}",
        drawn.text()
    );
    folder.kv(&["snapshot", "db", "drop", "all"]).ends_with(0);
    let freed = folder.kv(&["snapshot", "db", "reclaim"]).ends_with(0);
    let number = freed
        .err
        .strip_prefix("kv: db: ")
        .and_then(|said| said.split(' ').next());
    let number: u64 = number.and_then(|number| number.parse().ok()).expect("a number");
    assert!(number >= parked, "{number} of {parked}");
    freed.says("pages were given back");
    folder
        .kv(&["snapshot", "db", "reclaim"])
        .ends_with(0)
        .says("db: no page was given back, because none is waiting");
    for command in [
        &["check", "db", "--all", "-o", "json"][..],
        &["stat", "db", "-o", "json"],
    ] {
        assert_eq!(figure(&folder, command, "parked_pages"), 0);
    }
}

#[test]
fn what_readers_keep_of_a_dropped_snapshot_is_told() {
    let folder = Folder::new("kept-by-readers");
    let db = common::numbered(&folder, 4000, 100);
    let reader = db.begin_read().expect("begin");
    folder.kv(&["snapshot", "db", "create", "all"]).ends_with(0);
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in 0..4000 {
        let key = format!("{n:06}");
        txn.put(TableId::MAIN, key.as_bytes(), &[b'w'; 100], PutMode::Set)
            .expect("put");
    }
    txn.commit().expect("commit");
    folder.kv(&["snapshot", "db", "drop", "all"]).ends_with(0);
    folder
        .kv(&["snapshot", "db", "reclaim"])
        .ends_with(0)
        .says(&format!(
            " stay for those who read commit {} or a later one",
            reader.id()
        ))
        .says("kv readers db shows who that is");
    drop(reader);
    let freed = folder.kv(&["snapshot", "db", "reclaim"]).ends_with(0);
    assert!(!freed.err.contains("stay"), "{freed:?}");
}

#[test]
fn a_shell_makes_snapshots_in_its_transaction() {
    let folder = changed("shell");
    let lines = b"begin\nput key third\nsnapshot create new\nabort\nbegin\nput key fourth\nsnapshot create new\n\
        put other y\ncommit\nput key fifth\nget key other --snapshot new\nsnapshot list -o raw\n";
    let answer = folder.kv_with(&["shell", "db"], lines).ends_with(0);
    assert!(answer.text().starts_with("fourth\ny\nnew\t"), "{}", answer.text());
    assert_eq!(names(&folder), "new old");
    for waits in ["reclaim", "cost new"] {
        let lines = format!("begin\nsnapshot {waits}\nabort\n");
        let answer = folder.kv_with(&["shell", "db"], lines.as_bytes());
        answer.ends_with(4).says("nobody writes");
    }
    let list = folder.kv_with(&["shell", "db"], b"begin\nsnapshot list -o json\nabort\n");
    assert!(list.ends_with(0).text().contains("\"alone_pages\":null"));
}

#[test]
fn commits_record_snapshots_by_themselves() {
    let folder = changed("history");
    let none = folder.kv(&["history", "db", "-o", "json"]).ends_with(0);
    assert!(
        none.text().starts_with("{\"every_s\":null,\"last\":0"),
        "{}",
        none.text()
    );
    folder
        .kv(&["history", "db", "--every", "1h", "--last", "2", "--daily", "7"])
        .ends_with(0);
    let policy = folder.kv(&["history", "db", "-o", "json"]).ends_with(0);
    let expected = "{\"every_s\":3600,\"last\":2,\"hourly\":0,\"daily\":7,\"weekly\":0,\"monthly\":0,\
                    \"yield_after_s\":null,\"yield_pages\":null}";
    assert_eq!(policy.text().trim(), expected);
    // The commit that has set it is the first that follows it.
    assert_eq!(names(&folder).split(' ').count(), 2);
    assert!(names(&folder).starts_with("auto/2"), "{}", names(&folder));
    let list = folder.kv(&["snapshot", "db", "list", "-o", "json"]).ends_with(0);
    let marks: Vec<bool> = list
        .text()
        .lines()
        .map(|line| line.contains("\"automatic\":true"))
        .collect();
    assert_eq!(marks, [true, false]);
    folder.kv(&["put", "db", "key", "again"]).ends_with(0);
    assert_eq!(names(&folder).split(' ').count(), 2, "an hour has not passed");
    folder.kv(&["history", "db", "--off"]).ends_with(0);
    assert_eq!(names(&folder).split(' ').count(), 2);
    for (wrong, says) in [
        (&["--last", "2"][..], "say with --every how often one is"),
        (&["--every", "1h"], "--every needs to know what stays"),
        (&["--every", "0", "--last", "1"], "or none"),
        (&["--every", "1y", "--last", "1"], "a number of seconds from 1 on"),
        (&["--every", "none", "--last", "1"], "no snapshots are recorded"),
        (&["--yield-after", "0"], "a number of seconds from 1 on"),
        (
            &["--yield-pages", "0"],
            "a number of pages from 1 on, or none for no limit",
        ),
        (&["--off", "--last", "1"], "cannot be used with"),
    ] {
        let refused = folder.kv(&[&["history", "db"][..], wrong].concat()).ends_with(2);
        refused.says(says);
    }
    folder.kv(&["history", "none"]).ends_with(5);
    folder.kv(&["history", "none", "--off"]).ends_with(5);
}

#[test]
fn options_that_are_not_given_leave_the_policy_as_it_is() {
    let folder = changed("policy");
    let set = |words: &[&str]| folder.kv(&[&["history", "db"], words].concat());
    let policy = || {
        let shown = folder.kv(&["history", "db", "-o", "json"]).ends_with(0);
        let record = &shown.json()[0];
        ["every_s", "last", "daily", "yield_after_s", "yield_pages"].map(|name| record[name].as_u64())
    };
    set(&["--every", "1h", "--last", "2", "--daily", "7"]).ends_with(0);
    set(&["--yield-after", "1w"]).ends_with(0);
    assert_eq!(policy(), [Some(3600), Some(2), Some(7), Some(604_800), None]);
    set(&["--yield-pages", "9"]).ends_with(0);
    set(&["--every", "10m"]).ends_with(0);
    set(&["--last", "0"]).ends_with(0);
    assert_eq!(policy(), [Some(600), Some(0), Some(7), Some(604_800), Some(9)]);
    set(&["--daily", "0"]).ends_with(2).says("nothing would stay");
    set(&["--daily", "1", "--yield-pages", "none"]).ends_with(0);
    assert_eq!(policy(), [Some(600), Some(0), Some(1), Some(604_800), None]);
    set(&["--every", "none"]).ends_with(0);
    assert_eq!(policy(), [None, Some(0), Some(0), Some(604_800), None]);
    let people = folder.kv(&["history", "db"]).ends_with(0);
    assert!(people.text().contains("yield pages    no limit\n"), "{}", people.text());
    set(&["--yield-after", "none"]).ends_with(0);
    assert_eq!(policy(), [None, Some(0), Some(0), None, None]);
    // What is refused leaves the transaction of a shell whole.
    let lines = b"begin\nput key third\nhistory --last 1\nput key fourth\ncommit\nget key\n";
    let shell = folder.kv_with(&["shell", "db", "--keep-going"], lines).ends_with(2);
    assert_eq!(shell.text(), "fourth\n");
}

#[test]
fn a_row_of_snapshots_is_thinned() {
    let folder = changed("thin");
    for name in ["row/1", "row/2", "row/3"] {
        folder.kv(&["put", "db", "key", name]).ends_with(0);
        folder.kv(&["snapshot", "db", "create", name]).ends_with(0);
    }
    folder
        .kv(&["snapshot", "db", "thin", "row/"])
        .ends_with(2)
        .says("nothing would stay");
    folder
        .kv(&["snapshot", "db", "list", "--last", "1"])
        .ends_with(2)
        .says("are for thin");
    folder.kv(&["snapshot", "db", "keep", "row/1"]).ends_with(0);
    folder
        .kv(&["snapshot", "db", "thin", "row/", "--last", "1"])
        .ends_with(0)
        .says("1 snapshot dropped, of 3");
    assert_eq!(names(&folder), "old row/1 row/3");
    let none = folder
        .kv(&["snapshot", "db", "thin", "rwo/", "--last", "1"])
        .ends_with(0);
    none.says("no snapshot has a name that begins with \"rwo/\"");
}

#[test]
fn a_mark_keeps_nothing_and_tells_ranges() {
    let folder = changed("marks");
    folder.kv(&["snapshot", "db", "create", "mark", "--mark"]).ends_with(0);
    folder
        .kv(&["snapshot", "db", "create", "yields", "--yield"])
        .ends_with(0);
    folder.kv(&["put", "db", "key", "again"]).ends_with(0);
    let both = folder.kv(&["snapshot", "db", "create", "both", "--mark", "--keep"]);
    both.ends_with(2).says("cannot be used with");
    let ranges = folder.kv(&["diff", "db", "--snapshot", "mark", "--ranges", "-t", "", "-o", "json"]);
    assert_eq!(ranges.ends_with(0).text().trim(), "{\"low\":\"\",\"high\":null}");
    let refused = folder.kv(&["diff", "db", "--commit", "1", "--ranges"]);
    refused.ends_with(2).says("--snapshot NAME alone");
    for words in [
        &["get", "db", "key", "--snapshot", "mark"][..],
        &["backup", "db", "copy", "--snapshot", "mark"],
        &["diff", "db", "--snapshot", "mark"],
        &["diff", "db", "--snapshot", "old", "--to-snapshot", "mark"],
        &["revert", "db", "--snapshot", "mark"],
        &["snapshot", "db", "create", "again", "--snapshot", "mark"],
    ] {
        let mark = folder.kv(words).ends_with(6).says("db: \"mark\" is a mark (");
        mark.says("kv diff db --snapshot \"mark\" --ranges shows what may have changed since");
    }
    for words in [
        &["cost", "mark"][..],
        &["cost", "old", "mark"],
        &["keep", "old", "mark"],
    ] {
        let mark = folder.kv(&[&["snapshot", "db"], words].concat()).ends_with(6);
        mark.says("\"mark\" is a mark, which");
    }
    folder.kv(&["snapshot", "db", "unkeep", "mark"]).ends_with(0);
    folder.kv(&["snapshot", "db", "release", "yields"]).ends_with(0);
    folder
        .kv(&["history", "db", "--yield-after", "1w", "--yield-pages", "9"])
        .ends_with(0);
    let policy = folder.kv(&["history", "db", "-o", "json"]).ends_with(0);
    assert!(policy.text().contains("\"yield_after_s\":604800,\"yield_pages\":9"));
    let list = folder.kv(&["snapshot", "db", "list", "-o", "json"]).ends_with(0);
    let marks: Vec<bool> = list.text().lines().map(|line| line.contains("\"mark\":true")).collect();
    assert_eq!(marks.iter().filter(|is_mark| **is_mark).count(), 2, "{}", list.text());
    // People read one word or more in one column. What is to be done can be left out.
    let people = folder.kv(&["snapshot", "db"]).ends_with(0);
    assert!(
        people
            .text()
            .lines()
            .any(|line| line.starts_with("mark ") && line.trim_end().ends_with("0  mark")),
        "{}",
        people.text()
    );
}
