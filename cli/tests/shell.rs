//! `kv shell`: scripts through a pipe, transactions over several lines, and what somebody at a terminal gets.

mod common;

use common::{Answer, Folder, KV};
use std::process::{Command, Stdio};

/// A folder with a database of a few fruits.
fn fruits(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder
        .kv(&[
            "put", "--create", "db", "apple", "red", "banana", "yellow", "cherry", "dark",
        ])
        .ends_with(0);
    folder
}

fn script(folder: &Folder, options: &[&str], lines: &str) -> Answer {
    let mut args = vec!["shell", "db"];
    args.extend(options);
    folder.kv_with(&args, lines.as_bytes())
}

#[test]
fn lines_are_commands_without_the_file() {
    let folder = fruits("shell-lines");
    let lines =
        "# a remark\n\nget apple\nscan --prefix b -o json\nput 'a b' \"it's\\\"\" x\\x20y z\nscan --keys-only\ncount\n\
                 rank banana\nget 'a b'\ndel apple\ncount\nquit\nget apple\n";
    script(&folder, &[], lines)
        .is("red\n{\"key\":\"banana\",\"value\":\"yellow\"}\na b\napple\nbanana\ncherry\nx y\n5\n2\nit's\"\n4\n");
    // The last line needs no line end, and lines may end as on other systems.
    script(&folder, &[], "get banana\r\nget cherry").is("yellow\ndark\n");
    script(&folder, &[], "stat -o json\n").ends_with(0).json()[0]["entries"]
        .as_u64()
        .filter(|n| *n == 4)
        .expect("four");
    script(&folder, &[], "report\n").ends_with(0);
    script(&folder, &["-q"], "backup copy\n").is("");
    assert_eq!(folder.names(), ["copy", "db"]);
}

#[test]
fn the_first_error_ends_a_script_with_its_status() {
    let folder = fruits("shell-errors");
    for (line, code) in [
        ("get nothing", 1),
        ("get --table nowhere x", 1),
        ("get", 2),
        ("frobnicate", 2),
        ("get 'apple", 2),
        ("put a", 2),
        ("put a -", 2),
        ("load", 2),
        ("shell", 2),
        ("man .", 2),
        ("quit now", 2),
        ("snapshot maybe", 2),
        ("table \"\"", 2),
        ("commit", 2),
        ("abort", 2),
        ("put --no-overwrite apple green", 6),
        ("backup db", 2),
    ] {
        let lines = format!("get apple\n{line}\nget banana\n");
        let answer = script(&folder, &[], &lines);
        assert_eq!((answer.code, answer.text()), (code, "red\n"), "{line}: {answer:?}");
        assert!(answer.err.contains("line 2 of the script failed"), "{answer:?}");
        let answer = script(&folder, &["--keep-going"], &format!("{lines}get nothing\n"));
        assert_eq!(
            (answer.code, answer.text()),
            (code, "red\nyellow\n"),
            "{line}: {answer:?}"
        );
    }
    folder
        .kv(&["scan", "db"])
        .is("apple\tred\nbanana\tyellow\ncherry\tdark\n");
    folder.kv(&["shell", "missing"]).ends_with(5);
    assert_eq!(folder.names(), ["db"]);
}

#[test]
fn a_transaction_takes_several_lines() {
    let folder = fruits("shell-transaction");
    // Lines within it see what it wrote; others see it when it is committed.
    script(
        &folder,
        &[],
        "begin\nput date brown\ndel apple\nget date\ncount\ntables --quick -o raw\ncommit\ncount\n",
    )
    .is("brown\n3\n\t3\n3\n");
    script(
        &folder,
        &[],
        "begin\nput --create -t new k v\nabort\ntables --quick -o raw\n",
    )
    .is("\t3\n");
    script(&folder, &[], "begin\nput elder black\nquit\n")
        .ends_with(2)
        .says("within a transaction");
    folder.kv(&["count", "db"]).is("3\n");
    script(&folder, &[], "begin\nbegin\n").ends_with(2);
    script(&folder, &[], "begin\nmap\n")
        .ends_with(4)
        .says("commit or abort");
    std::fs::write(folder.file("lines"), "key,value\nfig,purple\n").expect("write");
    script(&folder, &["-q"], "begin\nload lines\nget fig\nabort\ncount\n").is("purple\n3\n");
    std::fs::write(folder.file("big"), vec![b'x'; 3 << 20]).expect("write");
    script(
        &folder,
        &[],
        "begin\nput big @big\nscan --keys-only --prefix b\ncommit\n",
    )
    .is("banana\nbig\n");
}

#[test]
fn a_command_that_fails_undoes_its_transaction() {
    let folder = fruits("shell-failed");
    // The first entry of the failing line was put already, so nothing of the transaction may stay.
    std::fs::write(folder.file("wrong"), "key,value\nelder,black\napple\n").expect("write");
    let lines = "begin\nput date brown\nload wrong\nput fig purple\nget apple\ncommit\ncount\n";
    let answer = script(&folder, &["--keep-going"], lines).ends_with(2);
    assert_eq!(answer.text(), "3\n", "{answer:?}");
    assert!(
        answer.err.contains("say abort") && answer.err.contains("nothing was committed"),
        "{answer:?}"
    );
    let answer = script(
        &folder,
        &["--keep-going"],
        "begin\nload wrong\nabort\nput date brown\ncount\n",
    );
    assert_eq!((answer.code, answer.text()), (2, "4\n"), "{answer:?}");
    // What only reads, or does not begin, leaves the transaction whole.
    let lines = "begin\nput fig purple\nget nothing\nget --hex zz\ndel nothing\ncommit\nget fig\n";
    let answer = script(&folder, &["--keep-going"], lines);
    assert_eq!((answer.code, answer.text()), (1, "purple\n"), "{answer:?}");
}

#[test]
fn what_is_refused_before_it_writes_leaves_the_transaction_whole() {
    let folder = fruits("shell-whole");
    for (refused, code) in [
        ("put --no-overwrite elder black apple green", 6),
        ("put --no-overwrite elder black elder blue", 6),
        ("put --only-existing apple green elder black", 1),
        ("put --create --table new --only-existing apple green", 1),
        ("put --table new apple green", 1),
        ("del --table new apple", 1),
    ] {
        let lines = format!("begin\nput fig purple\n{refused}\ncount\ntables -o raw --quick\ncommit\nget fig\n");
        let answer = script(&folder, &["--keep-going"], &lines);
        assert_eq!(
            (answer.code, answer.text()),
            (code, "4\n\t4\npurple\n"),
            "{refused}: {answer:?}"
        );
        folder.kv(&["del", "db", "fig"]).is("");
    }
    folder
        .kv(&["put", "db", "--no-overwrite", "fig", "purple", "grape", "green"])
        .is("");
    folder
        .kv(&["put", "db", "--only-existing", "fig", "blue", "fig", "purple"])
        .is("");
    folder.kv(&["get", "db", "fig", "grape"]).is("purple\ngreen\n");
    // What fails later says what became of the transaction.
    let answer = script(&folder, &["--keep-going"], "begin\nload text\nabort\n");
    assert!(!answer.err.contains("undone"), "{answer:?}");
    std::fs::write(folder.file("text"), "key,value\na,b\nc\n").expect("write");
    script(&folder, &["--keep-going"], "begin\nload text\nabort\n")
        .ends_with(2)
        .says("the transaction is undone: say abort");
}

#[test]
fn the_table_and_the_snapshot_stay() {
    let folder = fruits("shell-table");
    let lines = "table \"a b\"\nput --create k v\nget k\ncount\ncount --table 'a b' --prefix k\ntable\nget apple\n";
    script(&folder, &[], lines).is("v\n1\n1\nred\n");
    script(&folder, &[], "table 'a b'\ndel --drop\n").ends_with(2);
    script(&folder, &[], "table 'a b'\nstat --main -o json\n")
        .ends_with(0)
        .json()[0]["entries"]
        .as_u64()
        .filter(|n| *n == 3)
        .expect("the main table");
    script(
        &folder,
        &[],
        "snapshot on\nput date brown\ncount\nsnapshot off\ncount\n",
    )
    .is("3\n4\n");
    // A transaction is newer than the snapshot, and what it wrote is seen in it.
    script(
        &folder,
        &[],
        "snapshot on\nput elder black\nbegin\ncount\nabort\ncount\n",
    )
    .is("5\n4\n");
}

#[test]
fn others_are_waited_for_as_long_as_is_said() {
    let folder = fruits("shell-wait");
    let db = kv_engine::Db::open(&folder.file("db"), &kv_engine::Options::default()).expect("open");
    let writer = db.begin_write(kv_engine::WriteOptions::default()).expect("begin");
    let who = format!("process {}", std::process::id());
    script(&folder, &["--wait", "0.3"], "begin\n").ends_with(4).says(&who);
    script(&folder, &[], "put --wait 0 a b\n").ends_with(4).says(&who);
    drop(writer);
    script(&folder, &["--wait", "0.3"], "begin\nput a b\ncommit\nget a\n").is("b\n");
}

#[test]
fn help_lists_what_there_is() {
    let folder = fruits("shell-help");
    let help = script(&folder, &[], "help\n").ends_with(0);
    for name in ["get", "scan", "report", "backup", "begin", "snapshot", "quit"] {
        assert!(
            help.text().lines().any(|line| line.trim_start().starts_with(name)),
            "{name}: {help:?}"
        );
    }
    for name in ["restore", "salvage", "import-lmdb", "shell", "man"] {
        assert!(
            !help.text().lines().any(|line| line.trim_start().starts_with(name)),
            "{name}: {help:?}"
        );
    }
    let help = script(&folder, &[], "help scan\nhelp begin\n").ends_with(0);
    assert!(
        help.text().contains("--prefix") && help.text().contains("begin: "),
        "{help:?}"
    );
}

#[test]
fn help_and_usage_leave_the_file_out() {
    let folder = fruits("usage-of-lines");
    let help = script(&folder, &[], "help get\nget --help\nhelp put\nhelp scan\nhelp stat\n").ends_with(0);
    assert!(!help.text().contains("<FILE>"), "{}", help.text());
    assert!(
        help.text().contains("Usage: get [OPTIONS] <KEYS>..."),
        "{}",
        help.text()
    );
    let wrong = script(&folder, &[], "get\n")
        .ends_with(2)
        .says("Usage: get [OPTIONS] <KEYS>...");
    assert!(!wrong.err.contains("<FILE>"), "{wrong:?}");
    // Outside of a shell it is there.
    let usage = folder.kv(&["get", "--help"]).ends_with(0);
    assert!(
        usage.text().contains("Usage: kv get [OPTIONS] <FILE> <KEYS>..."),
        "{usage:?}"
    );
}

#[test]
fn a_terminal_has_completion_history_a_pager_and_ctrl_c() {
    let folder = fruits("shell-terminal");
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/shell_terminal.py");
    let answer = Command::new("python3")
        .args([program, KV])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output();
    match answer {
        Err(error) => println!("SKIPPED: a_terminal_has_completion_history_a_pager_and_ctrl_c: no python3 ({error})"),
        Ok(answer) => assert!(
            answer.status.success(),
            "{}{}",
            String::from_utf8_lossy(&answer.stdout),
            String::from_utf8_lossy(&answer.stderr)
        ),
    }
}

#[test]
fn pages_that_lines_have_announced_are_counted_until_the_shell_ends() {
    let folder = Folder::new("announced");
    common::large(&folder);
    let file = std::fs::File::open(folder.file("db")).expect("open");
    file.sync_all().expect("sync");
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advise");
    let lines = b"stat -o json\nscan --limit 20000 -k\nstat -o json\nsnapshot on\nstat -o json\nsnapshot off\n\
        put key value\nstat -o json\n";
    let answer = folder.kv_with(&["shell", "db"], lines).ends_with(0);
    let shown: Vec<serde_json::Value> = answer
        .text()
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let figures = |at: usize| ["announced_pages", "announced_pages_used"].map(|name| shown[at][name].as_u64());
    assert_eq!(figures(0), [Some(0), Some(0)], "{shown:?}");
    for at in 2..4 {
        assert_eq!(figures(at), figures(1), "{shown:?}");
    }
    let [announced, used] = figures(1);
    assert!(announced >= used, "{shown:?}");
    match announced {
        Some(0) => println!("SKIPPED: the file stays in memory here, so that nothing is announced"),
        announced => assert!(announced > Some(10) && used > Some(10), "{shown:?}"),
    }
}
