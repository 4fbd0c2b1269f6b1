//! `kv diff` and `kv revert`: what two states have different, and going back.

mod common;

use common::Folder;
use kv_engine::{Db, Options, PutMode, Reader, SnapshotOptions, TableId, WriteOptions};

/// A database whose snapshot "old" differs from the newest commit in every way.
fn changed(what: &str) -> Folder {
    let folder = Folder::new(what);
    let done = |words: &[&str]| drop(folder.kv(words).ends_with(0));
    done(&["put", "db", "--create", "same", "x", "key", "before", "gone", "1"]);
    done(&["put", "db", "--create", "-t", "users", "ada", "1"]);
    done(&["put", "db", "--create", "-t", "alike", "a", "1"]);
    done(&["snapshot", "db", "create", "old"]);
    done(&["put", "db", "key", "\\@after"]);
    done(&["del", "db", "gone"]);
    done(&["put", "db", "new\\x01", "2"]);
    done(&["del", "db", "-t", "users", "--drop"]);
    done(&["put", "db", "--create", "-t", "users", "bob", "2"]);
    folder
}

#[test]
fn changes_are_shown_in_every_form() {
    let folder = changed("forms");
    folder
        .kv(&["diff", "db", "--snapshot", "old", "--to-snapshot", "old"])
        .is("");
    let main = "@ (main)\n- gone\t1\n~ key\tbefore\t\\@after\n+ new\\x01\t2\n";
    folder
        .kv(&["diff", "db", "--snapshot", "old"])
        .is(&format!("{main}{}", users(&folder)));
    // In the other direction, through a second snapshot.
    folder.kv(&["snapshot", "db", "create", "new"]).ends_with(0);
    let back = folder
        .kv(&["diff", "db", "--snapshot", "new", "--to-snapshot", "old", "--keys-only"])
        .ends_with(0)
        .says("so the changes are told backwards");
    assert!(
        back.text().starts_with("@ (main)\n+ gone\n~ key\n- new\\x01\n@ users"),
        "{}",
        back.text()
    );
    folder.kv(&["diff", "db", "--snapshot", "old", "-t", "alike"]).is("");
    folder.kv(&["diff", "db", "--snapshot", "old", "-t", ""]).is(main);
    let json = folder
        .kv(&["diff", "db", "--snapshot", "old", "-o", "json", "--prefix", "k"])
        .ends_with(0);
    let lines = json.json();
    let change = lines.iter().find(|line| line["key"] == "key").expect("the change");
    assert_eq!(
        (
            &change["change"],
            &change["before"],
            &change["after"],
            change.get("table")
        ),
        (&"changed".into(), &"before".into(), &"@after".into(), None)
    );
    let events: Vec<String> = lines
        .iter()
        .filter(|line| line["table"] == "users")
        .map(|line| line["table_change"].to_string())
        .collect();
    assert_eq!(events.len(), 2, "{lines:?}");
    assert!(events.contains(&"\"dropped\"".to_string()) && events.contains(&"\"created\"".to_string()));
    let raw = folder
        .kv(&["diff", "db", "--snapshot", "old", "-o", "raw", "--prefix", "g"])
        .ends_with(0);
    assert!(raw.text().starts_with("removed\t\tgone\t1\n"), "{}", raw.text());
    let hex = folder
        .kv(&[
            "diff",
            "db",
            "--snapshot",
            "old",
            "--hex",
            "--keys-only",
            "--prefix",
            "6b",
        ])
        .ends_with(0);
    assert!(hex.text().starts_with("@ (main)\n~ 6b6579\n"), "{}", hex.text());
}

/// The changes of the two tables "users". The one that was dropped comes first.
fn users(folder: &Folder) -> String {
    let shown = folder
        .kv(&["diff", "db", "--snapshot", "old", "-t", "users"])
        .ends_with(0);
    let (gone, new) = ("@ users, dropped\n- ada\t1\n", "@ users, created\n+ bob\t2\n");
    assert_eq!(shown.text(), format!("{gone}{new}"));
    shown.text().to_string()
}

#[test]
fn ranges_tell_of_tables_that_came_went_and_got_other_names() {
    let folder = changed("ranges");
    folder
        .kv(&["put", "db", "--create", "-t", "fruit", "a", "1"])
        .ends_with(0);
    folder.kv(&["snapshot", "db", "create", "before"]).ends_with(0);
    folder.kv(&["snapshot", "db", "create", "mark", "--mark"]).ends_with(0);
    let ranges = |since: &str, more: &[&str]| {
        let words = [&["diff", "db", "--ranges", "--snapshot", since], more].concat();
        folder.kv(&words).ends_with(0).text().to_string()
    };
    for since in ["before", "mark"] {
        assert_eq!(ranges(since, &[]), "");
    }
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let fruit = txn.table(b"fruit").expect("a table");
    txn.table_rename(fruit, b"obst").expect("rename");
    txn.commit().expect("commit");
    drop(db);
    folder.kv(&["del", "db", "-t", "users", "--drop"]).ends_with(0);
    folder
        .kv(&["put", "db", "--create", "-t", "users", "c", "3"])
        .ends_with(0);
    folder.kv(&["del", "db", "-t", "alike", "--drop"]).ends_with(0);
    assert_eq!(
        ranges("before", &[]),
        "@ alike, dropped\n@ obst, renamed from \"fruit\"\n@ users, dropped\n@ users, created\n? every key\n"
    );
    assert_eq!(ranges("before", &["-t", "alike", "-o", "raw"]), "dropped\talike\n");
    assert_eq!(
        ranges("before", &["-t", "fruit", "-o", "raw"]),
        "renamed\tobst\tfruit\n"
    );
    assert_eq!(
        ranges("before", &["-t", "users", "-o", "raw"]),
        "dropped\tusers\ncreated\tusers\nrange\tusers\t\t\n"
    );
    let json = ranges("before", &["-o", "json"]);
    assert_eq!(
        json.lines().collect::<Vec<_>>(),
        [
            "{\"table\":\"alike\",\"table_change\":\"dropped\"}",
            "{\"table\":\"obst\",\"table_change\":\"renamed\",\"former_name\":\"fruit\"}",
            "{\"table\":\"users\",\"table_change\":\"dropped\"}",
            "{\"table\":\"users\",\"table_change\":\"created\"}",
            "{\"table\":\"users\",\"low\":\"\",\"high\":null}",
        ]
    );
    // Of a mark, no list of tables is kept. What is known is where names may have come and gone.
    assert_eq!(
        ranges("mark", &[]),
        "@ (list of tables)\n? every name\n@ users\n? every key\n"
    );
    assert_eq!(ranges("mark", &["-o", "raw"]), "names\t\t\nrange\tusers\t\t\n");
    assert_eq!(
        ranges("mark", &["-t", "alike"]),
        "@ (list of tables)\n? name =\talike\n"
    );
    assert_eq!(
        ranges("mark", &["-t", "alike", "-o", "json"]),
        "{\"names_low\":\"alike\",\"names_high\":\"alike\\u0000\"}\n"
    );
    assert_eq!(ranges("mark", &["-t", ""]), "");
    folder
        .kv(&["diff", "db", "--ranges", "--snapshot", "before", "-t", "none"])
        .ends_with(1)
        .says("no table \"none\"");
    // A main table that is empty now has not changed if it was empty before, which is not known of a mark.
    for words in [
        &["snapshot", "db", "create", "full"][..],
        &["del", "db", "--all"],
        &["snapshot", "db", "create", "empty"],
    ] {
        folder.kv(words).ends_with(0);
    }
    assert_eq!(ranges("full", &[]), "@ (main)\n? every key\n");
    assert_eq!(ranges("empty", &[]), "");
    folder.kv(&["snapshot", "db", "release", "empty"]).ends_with(0);
    assert_eq!(ranges("empty", &[]), "@ (main)\n? every key\n");
    // Nothing has happened to the list of tables since this one.
    folder.kv(&["snapshot", "db", "create", "later", "--mark"]).ends_with(0);
    folder.kv(&["put", "db", "key", "third"]).ends_with(0);
    assert_eq!(ranges("later", &[]), "@ (main)\n? every key\n");
    folder
        .kv(&["diff", "db", "--ranges", "--snapshot", "later", "-t", "none"])
        .ends_with(1)
        .says("no table \"none\"");
}

#[test]
fn bounds_of_ranges_say_what_is_in_them() {
    let folder = Folder::new("bounds");
    drop(common::numbered(&folder, 2000, 100));
    folder.kv(&["snapshot", "db", "create", "old"]).ends_with(0);
    folder
        .kv(&["put", "db", "000000", "x", "001000", "x", "001999", "x"])
        .ends_with(0);
    let ranges = |more: &[&str]| {
        let words = [&["diff", "db", "--ranges", "--snapshot", "old"], more].concat();
        folder.kv(&words).ends_with(0).text().to_string()
    };
    let shown = ranges(&[]);
    let lines: Vec<&str> = shown.lines().collect();
    let [heading, first, middle, last] = lines[..] else {
        panic!("{shown}");
    };
    assert_eq!(heading, "@ (main)");
    let end = first.strip_prefix("? key <\t").expect("no least key");
    let (low, high) = middle.split_once("\t<= key <\t").expect("both bounds");
    let low = low.strip_prefix("? ").expect("a sign");
    assert!(end < low && low <= "001000" && "001000" < high, "{shown}");
    let begin = last
        .strip_suffix("\t<= key")
        .and_then(|line| line.strip_prefix("? "))
        .expect("no end");
    assert_eq!(
        ranges(&["-o", "raw"]),
        format!("range\t\t\t{end}\nrange\t\t{low}\t{high}\nrange\t\t{begin}\t\n")
    );
    assert_eq!(
        ranges(&["--from", "001000", "--to", "001001"]),
        "@ (main)\n? 001000\t<= key <\t001001\n"
    );
    assert_eq!(
        ranges(&["--hex", "--prefix", "303031303030"]).lines().nth(1),
        Some("? 303031303030\t<= key <\t303031303031")
    );
}

#[test]
fn changes_are_counted() {
    let folder = changed("counts");
    let json = folder
        .kv(&["diff", "db", "--snapshot", "old", "--count", "-o", "json"])
        .ends_with(0);
    let lines = json.json();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0]["table"].is_null() && lines[0]["table_change"].is_null());
    assert_eq!(
        (&lines[0]["added"], &lines[0]["removed"], &lines[0]["changed"]),
        (&1.into(), &1.into(), &1.into())
    );
    let sum: u64 = lines[1..]
        .iter()
        .map(|line| line["added"].as_u64().unwrap_or(9) + line["removed"].as_u64().unwrap_or(9))
        .sum();
    assert_eq!(sum, 2);
}

#[test]
fn one_goes_back_and_forward_again() {
    let folder = changed("back");
    folder.kv(&["snapshot", "db", "create", "new"]).ends_with(0);
    let dry = folder
        .kv(&["revert", "db", "--snapshot", "old", "--dry-run", "-o", "json"])
        .ends_with(0);
    assert_eq!((dry.json().len(), &dry.json()[0]["added"]), (3, &1.into()));
    folder.kv(&["diff", "db", "--snapshot", "new"]).is("");
    folder
        .kv(&["revert", "db", "--snapshot", "old"])
        .ends_with(0)
        .says("5 keys were changed to what commit ")
        .says("; table \"users\" was dropped")
        .says("; table \"users\" came back");
    folder.kv(&["diff", "db", "--snapshot", "old"]).is("");
    folder.kv(&["get", "db", "-t", "users", "ada"]).is("1\n");
    folder.kv(&["check", "db", "--all"]).ends_with(0);
    folder
        .kv(&["revert", "db", "--snapshot", "old"])
        .ends_with(0)
        .says("0 keys were changed");
    folder.kv(&["revert", "db", "--snapshot", "new"]).ends_with(0);
    folder.kv(&["get", "db", "-t", "users", "bob"]).is("2\n");
    // One table alone. The main one has the empty name.
    let dry = folder.kv(&["revert", "db", "--snapshot", "old", "-t", "", "--dry-run", "-o", "raw"]);
    dry.is("\t1\t1\t1\t\t\n");
    folder
        .kv(&["revert", "db", "--snapshot", "old", "-t", ""])
        .ends_with(0)
        .says("3 keys");
    folder.kv(&["get", "db", "key"]).is("before\n");
    folder.kv(&["get", "db", "-t", "users", "bob"]).is("2\n");
    for dry in [&[][..], &["--dry-run"]] {
        folder
            .kv(&[&["revert", "db", "--snapshot", "old", "-t", "users"], dry].concat())
            .ends_with(6)
            .says("a table called \"users\"")
            .says("go back with all tables");
    }
    folder.kv(&["del", "db", "-t", "users", "--drop"]).ends_with(0);
    folder
        .kv(&["revert", "db", "--snapshot", "old", "-t", "users"])
        .ends_with(0);
    folder.kv(&["get", "db", "-t", "users", "ada"]).is("1\n");
    folder.kv(&["check", "db", "--all"]).ends_with(0);
}

#[test]
fn a_commit_that_is_not_kept_names_its_neighbours() {
    let folder = changed("kept");
    let info = folder.kv(&["snapshot", "db", "info", "old", "-o", "json"]).ends_with(0);
    let commit = info.json()[0]["commit"].as_u64().expect("a number");
    let revert = |commit: u64| folder.kv(&["revert", "db", "--commit", &commit.to_string()]);
    revert(commit + 1)
        .ends_with(1)
        .says(&format!("commit {} is not kept", commit + 1))
        .says(&format!("commit {commit} before it and the newest commit "));
    revert(commit - 1)
        .ends_with(1)
        .says(&format!("commit {commit} after it"));
    revert(999_999)
        .ends_with(1)
        .says("commit 999999 was never made; the newest is commit ")
        .says("kv snapshot db list");
    revert(commit).ends_with(0);
    folder.kv(&["diff", "db", "--snapshot", "old"]).is("");
    let earlier = (commit - 1).to_string();
    folder
        .kv(&["get", "db", "key", "--commit", &earlier])
        .ends_with(1)
        .says(&format!("the oldest that is kept is commit {commit}"));
}

/// The nanoseconds since 1970, later than those of every commit before.
fn now() -> String {
    std::thread::sleep(std::time::Duration::from_millis(2));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.expect("a clock").as_nanos().to_string()
}

#[test]
fn the_state_that_was_found_is_named() {
    let folder = changed("named");
    let info = folder.kv(&["snapshot", "db", "info", "old", "-o", "json"]).ends_with(0);
    let (commit, made) = (&info.json()[0]["commit"], &info.json()[0]["time"]);
    let name = format!("commit {commit} of {}", made.as_str().expect("a time"));
    let between = now();
    folder.kv(&["put", "db", "key", "a mistake"]).ends_with(0);
    // What was put between the snapshot and this time is not in the state that is found for it.
    let lacks = format!("{name}, the newest one up to {}", &made.as_str().expect("a time")[..10]);
    for (verb, says) in [
        (
            &["diff", "db", "--count"][..],
            format!("db: the earlier state is {lacks}"),
        ),
        (
            &["revert", "db", "--dry-run"],
            format!("db: the state to go back to is {lacks}"),
        ),
        (&["revert", "db"], format!("db: that state is {lacks}")),
    ] {
        folder
            .kv(&[verb, &["--time", &between]].concat())
            .ends_with(0)
            .says(&says)
            .says(" UTC that is kept: what was committed between the two");
    }
    folder.kv(&["get", "db", "key"]).is("before\n");
    let again = folder.kv(&["revert", "db", "--snapshot", "old"]).ends_with(0);
    again.says(&format!("0 keys were changed to what {name} had\n"));
    let dry = folder
        .kv(&["revert", "db", "--snapshot", "old", "--dry-run"])
        .ends_with(0);
    dry.says(&format!("the state to go back to is {name}\n"));

    // Where the next commit is too late for the time, it is that very state.
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.snapshot_create(b"exact", &SnapshotOptions::default())
        .expect("create");
    txn.commit().expect("commit");
    let exact = now();
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    txn.put(TableId::MAIN, b"key", b"later", PutMode::Set).expect("put");
    txn.commit().expect("commit");
    let back = folder.kv(&["revert", "db", "--time", &exact]).ends_with(0);
    assert!(
        back.err.contains(" UTC had") && !back.err.contains("that is kept"),
        "{back:?}"
    );
    let newest = folder
        .kv(&["diff", "db", "--snapshot", "old", "--to-time", &now()])
        .ends_with(0);
    newest
        .says("db: the later state is commit ")
        .says(" (the newest one)\n");
    let quiet = folder.kv(&["-q", "diff", "db", "--time", &between]).ends_with(0);
    assert_eq!(quiet.err, "");
}

#[test]
fn a_table_that_got_another_name_is_told_with_the_former_one() {
    let folder = Folder::new("former");
    folder
        .kv(&["put", "db", "--create", "-t", "fruit", "apple", "red"])
        .ends_with(0);
    folder.kv(&["snapshot", "db", "create", "before"]).ends_with(0);
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    let fruit = txn.table(b"fruit").expect("a table");
    txn.table_rename(fruit, b"obst").expect("rename");
    txn.commit().expect("commit");
    drop(db);
    let diff = folder
        .kv(&["diff", "db", "--snapshot", "before", "--count", "-o", "json"])
        .ends_with(0);
    let change = &diff.json()[0];
    assert!(
        change["table"] == "obst" && change["table_change"] == "renamed" && change["former_name"] == "fruit",
        "{change}"
    );
    let table = folder
        .kv(&["revert", "db", "--snapshot", "before", "--dry-run"])
        .ends_with(0);
    assert!(table.text().contains("renamed from \"obst\""), "{}", table.text());

    // While another table has the name, both calls refuse to give it back, whichever of the names is typed.
    folder
        .kv(&["put", "db", "--create", "-t", "fruit", "pear", "green"])
        .ends_with(0);
    for name in ["obst", "fruit"] {
        for dry in [&[][..], &["--dry-run"]] {
            folder
                .kv(&[&["revert", "db", "--snapshot", "before", "-t", name], dry].concat())
                .ends_with(6)
                .says("a table called \"fruit\", as the one that is gone back to was, exists already");
        }
    }
    let back = folder.kv(&["revert", "db", "--snapshot", "before"]).ends_with(0);
    back.says("; table \"obst\" is called \"fruit\" again")
        .says("; table \"fruit\" was dropped");
    folder.kv(&["get", "db", "-t", "fruit", "apple"]).is("red\n");
}

#[test]
fn a_shell_goes_back_within_its_transaction() {
    let folder = changed("shell");
    let lines = "begin\nput key third\nrevert --snapshot old\nget key\nabort\nget key\n";
    folder
        .kv_with(&["shell", "db"], lines.as_bytes())
        .is("before\n\\@after\n");
}

#[test]
fn wrong_words_are_usage() {
    let folder = changed("usage");
    for (words, says) in [
        (&["diff", "db"][..], "give the earlier state"),
        (&["revert", "db"], "give the state to go back to"),
        (
            &["diff", "db", "--snapshot", "old", "--count", "--keys-only"],
            "cannot be used with",
        ),
        (
            &["diff", "db", "--snapshot", "old", "--to-commit", "1", "--to-time", "1"],
            "cannot be used with",
        ),
    ] {
        folder.kv(words).ends_with(2).says(says);
    }
    folder
        .kv(&["diff", "db", "--snapshot", "old", "-t", "none"])
        .ends_with(1)
        .says("no table \"none\"");
    folder
        .kv(&["revert", "db", "--snapshot", "old", "-t", "none"])
        .ends_with(1)
        .says("no table \"none\"");
    folder
        .kv(&["revert", "db", "--snapshot", "none"])
        .ends_with(1)
        .says("no snapshot");
    folder.kv(&["revert", "missing", "--snapshot", "old"]).ends_with(5);
    assert_eq!(folder.names(), ["db"]);
}
