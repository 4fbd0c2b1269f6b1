//! How the command ends: each code, closed pipes, files that are missing, busy, read-only or no databases.

mod common;

use common::{Answer, Folder, KV};
use kv_engine::{Db, Options, PutMode, TableId, WriteOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Commands that only read, with what they need behind the name of the file.
const READING: &[&[&str]] = &[
    &["get", "FILE", "k"],
    &["scan", "FILE"],
    &["count", "FILE"],
    &["rank", "FILE", "k"],
    &["tables", "FILE"],
    &["stat", "FILE"],
    &["stat", "FILE", "--main"],
    &["map", "FILE"],
    &["readers", "FILE"],
    &["check", "FILE"],
    &["check", "FILE", "--all"],
    &["dump", "FILE"],
    &["backup", "FILE", "-"],
];

fn args<'a>(command: &[&'a str], file: &'a str) -> Vec<&'a str> {
    command
        .iter()
        .map(|arg| if *arg == "FILE" { file } else { arg })
        .collect()
}

#[test]
fn reading_creates_nothing_and_says_what_is_missing() {
    let folder = Folder::new("missing");
    for command in READING {
        folder
            .kv(&args(command, "none"))
            .ends_with(5)
            .says("none: no such file");
    }
    for command in [&["put", "none", "k", "v"][..], &["load", "none"]] {
        folder.kv(command).ends_with(5).says("no such file; add --create");
    }
    folder.kv(&["del", "none", "k"]).ends_with(5).says("no such file");
    folder.kv(&["salvage", "none", "new"]).ends_with(5).says("no such file");
    folder.kv(&["restore", "none", "new"]).ends_with(5).says("no such file");
    folder.kv(&["put", "-c", "no/such/folder", "k", "v"]).ends_with(5);
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn what_is_no_database_is_refused_and_left_alone() {
    let folder = Folder::new("none");
    std::fs::write(folder.file("text"), vec![b'x'; 50_000]).expect("a file");
    std::fs::write(folder.file("empty"), b"").expect("a file");
    for file in ["text", "empty"] {
        for command in READING {
            folder.kv(&args(command, file)).ends_with(6).says("not a kv database");
        }
        folder
            .kv(&["put", file, "k", "v"])
            .ends_with(6)
            .says("not a kv database");
    }
    folder.kv(&["put", "-c", "text", "k", "v"]).ends_with(6);
    assert_eq!(folder.names(), ["empty", "text"]);
    assert_eq!(std::fs::read(folder.file("text")).expect("a file"), vec![b'x'; 50_000]);
}

#[test]
fn usage_is_told() {
    let folder = Folder::new("usage");
    for wrong in [
        &["nonsense"][..],
        &["get"],
        &["get", "db"],
        &["scan", "db", "-o", "xml"],
        &["--wait", "x", "count", "db"],
    ] {
        folder.kv(wrong).ends_with(2);
    }
    let help = folder.kv(&["--help"]).ends_with(0);
    for words in ["Exit status", "  3    damage", "  4    busy", "\\xHH", "salvage"] {
        assert!(help.text().contains(words), "{words} is not in the help");
    }
    // What packagers use is hidden.
    assert!(!help.text().contains("completions"));
    assert!(folder.kv(&["--version"]).ends_with(0).text().starts_with("kv "));
}

/// A database with so many entries that they do not fit into a pipe.
fn large(folder: &Folder) {
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let mut txn = db.begin_write(WriteOptions::default()).expect("begin");
    for n in 0..50_000u32 {
        let key = format!("{n:08}");
        txn.put(TableId::MAIN, key.as_bytes(), &[b'v'; 100], PutMode::Append)
            .expect("put");
    }
    txn.commit().expect("commit");
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let folder = Folder::new("pipe");
    large(&folder);
    for command in [
        &["scan", "db"][..],
        &["scan", "db", "-o", "json"],
        &["dump", "db"],
        &["dump", "db", "-f", "csv"],
    ] {
        let mut command = folder.command(command);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        let mut first = [0; 10];
        let mut pipe = child.stdout.take().expect("a pipe");
        pipe.read_exact(&mut first).expect("some bytes");
        drop(pipe);
        let output = child.wait_with_output().expect("an answer");
        assert_eq!(output.status.code(), Some(0), "{command:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    // A backup that nobody reads to its end is none.
    let mut child = folder.command(&["backup", "db", "-"]);
    let mut child = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("an answer");
    assert_eq!(output.status.code(), Some(5));
    // Nor is an output that does not fit.
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let output = folder
        .command(&["count", "db"])
        .stdout(full)
        .output()
        .expect("an answer");
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
}

/// Runs the command on a terminal. Both of its outputs come as one text.
fn on_a_terminal(folder: &Folder, args: &str, no_color: &str) -> Option<String> {
    let mut command = Command::new("script");
    command
        .args(["-qec", &format!("'{KV}' {args}"), "/dev/null"])
        .current_dir(folder.path());
    command
        .env("NO_COLOR", no_color)
        .env("LC_ALL", "C.UTF-8")
        .env("TERM", "xterm")
        .stdin(Stdio::null());
    match command.output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            eprintln!("SKIPPED: progress on a terminal: no program script");
            None
        }
    }
}

#[test]
fn progress_and_colours_are_for_terminals() {
    let folder = Folder::new("terminal");
    large(&folder);
    let quiet = folder.kv(&["check", "db"]).ends_with(0);
    assert!(quiet.err.is_empty(), "{quiet:?}");
    let Some(shown) = on_a_terminal(&folder, "check db", "") else {
        return;
    };
    assert!(shown.contains("checking [") && shown.contains("damaged"), "{shown:?}");
    let quiet = on_a_terminal(&folder, "-q check db", "").expect("script is there");
    assert!(!quiet.contains("checking") && quiet.contains("damaged"), "{quiet:?}");
    let coloured = on_a_terminal(&folder, "-q map db", "").expect("script is there");
    assert!(coloured.contains("\x1b[32m"), "{coloured:?}");
    let plain = on_a_terminal(&folder, "-q map db", "1").expect("script is there");
    assert!(!plain.contains("\x1b[3") && plain.contains('█'), "{plain:?}");
    // A backup is not written to a terminal.
    let refused = on_a_terminal(&folder, "backup db -", "").expect("script is there");
    assert!(refused.contains("terminal"), "{refused:?}");
}

#[test]
fn a_busy_file_is_waited_for_and_the_message_says_for_whom() {
    let folder = Folder::new("busy");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let txn = db.begin_write(WriteOptions::default()).expect("begin");
    let begun = Instant::now();
    for command in [&["put", "db", "a", "b"][..], &["del", "db", "k"], &["load", "db"]] {
        let args = [&["--wait", "0.2"], command].concat();
        let answer = folder.kv_with(&args, b"key,value\na,b\n").ends_with(4);
        answer.says(&format!("process {}", std::process::id())).says("--wait");
    }
    folder.kv(&["--wait", "0.1", "check", "--all", "db"]).ends_with(4);
    assert!(begun.elapsed() >= Duration::from_millis(600));
    // Readers do not wait.
    folder.kv(&["get", "db", "k"]).is("v\n");
    let rows = folder.kv(&["readers", "db", "-o", "json"]).ends_with(0).json();
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0]["process"] == std::process::id() && rows[0]["does"] == "writes",
        "{rows:?}"
    );
    let waiting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(txn);
    });
    folder.kv(&["put", "db", "a", "b"]).is("");
    waiting.join().expect("the writer");
}

/// Who must obey permissions: this user, or nobody if this is root.
fn as_ordinary_user(folder: &Folder, kv: &Path, args: &[&str]) -> Answer {
    let mut command = Command::new(kv);
    command.args(args).current_dir(folder.path()).stdin(Stdio::null());
    if std::fs::metadata("/proc/self")
        .map(|facts| std::os::unix::fs::MetadataExt::uid(&facts))
        .is_ok_and(|uid| uid == 0)
    {
        command.uid(65534).gid(65534);
    }
    let output = command.output().expect("an answer");
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: output.stdout,
        err: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

fn allow(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("permissions");
}

#[test]
fn files_and_folders_that_can_only_be_read_are_read() {
    let folder = Folder::new("permissions");
    let kv = folder.file("kv");
    std::fs::copy(KV, &kv).expect("a copy of the command that everybody can run");
    allow(&kv, 0o755);
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    allow(&folder.file("db"), 0o444);
    allow(folder.path(), 0o555);
    for command in READING {
        let answer = as_ordinary_user(&folder, &kv, &args(command, "db")).ends_with(0);
        assert!(!answer.err.contains("error"), "{answer:?}");
    }
    assert_eq!(as_ordinary_user(&folder, &kv, &["get", "db", "k"]).text(), "v\n");
    as_ordinary_user(&folder, &kv, &["put", "db", "k", "w"])
        .ends_with(5)
        .says("permissions");
    as_ordinary_user(&folder, &kv, &["put", "-c", "new", "k", "w"]).ends_with(5);
    allow(&folder.file("db"), 0o000);
    as_ordinary_user(&folder, &kv, &["get", "db", "k"])
        .ends_with(5)
        .says("no access")
        .says("db");
    allow(folder.path(), 0o755);
    assert_eq!(folder.names(), ["db", "kv"]);
}

#[test]
fn a_full_disk_or_a_limit_is_told_and_changes_nothing() {
    let folder = Folder::new("limit");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let key = "k".repeat(100);
    let long = folder.kv(&["get", "db", &key]).ends_with(1);
    long.says("(100 bytes)");
    let key = vec![b'6'; 2 * ((2 << 20) + 2)];
    std::fs::write(
        folder.file("text"),
        [b"key,value\n".as_slice(), &key, b",00\n"].concat(),
    )
    .expect("a file");
    folder.kv(&["load", "db", "--hex", "text"]).ends_with(6).says("too big");
    folder.kv(&["scan", "db"]).is("k\tv\n");
}

#[test]
fn an_interrupted_backup_leaves_nothing_behind() {
    let folder = Folder::new("interrupt");
    // The command that receives a backup waits for its input, so it can be interrupted at a known point.
    let mut child = folder.command(&["restore", "-", "new"]);
    let mut child = child
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let begun = Instant::now();
    while folder.names().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the command does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    // It has its handlers before it makes a file.
    let status = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(status.success());
    std::thread::sleep(Duration::from_millis(100));
    drop(child.stdin.take());
    let output = child.wait_with_output().expect("an answer");
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn a_file_that_was_created_for_nothing_goes_again() {
    let folder = Folder::new("created");
    let text = |entries: u32| {
        let mut text = String::from("key,value\n");
        (0..entries).for_each(|n| text.push_str(&format!("{n:08},{}\n", "v".repeat(100))));
        text
    };
    // What is wrong in the input is found behind many entries.
    let wrong = text(10_000) + "one,two,three\n";
    folder.kv_with(&["load", "-c", "new"], wrong.as_bytes()).ends_with(2);
    folder.kv(&["put", "-c", "new", "key", &"@.".repeat(2)]).ends_with(5);
    let long = "k".repeat(100);
    folder
        .kv(&["put", "-c", "--only-existing", "new", &long, "v"])
        .ends_with(1);
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    // Where there is no room, the file that takes it must not stay.
    std::fs::write(folder.file("text"), text(100_000)).expect("a file");
    let script = format!("trap '' XFSZ; ulimit -f 4000; exec '{KV}' load -q -c new text");
    let mut shell = Command::new("sh");
    let output = shell
        .args(["-c", &script])
        .current_dir(folder.path())
        .output()
        .expect("sh");
    assert_eq!(
        output.status.code(),
        Some(5),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(folder.names(), ["text"]);
    // Batches that were committed stay, and so does what was there, and what is empty because the input is.
    folder
        .kv_with(&["load", "-q", "-c", "--batch", "1000", "new"], wrong.as_bytes())
        .ends_with(2);
    folder.kv(&["count", "new"]).is("10000\n");
    folder.kv_with(&["load", "-c", "new"], wrong.as_bytes()).ends_with(2);
    folder.kv(&["count", "new"]).is("10000\n");
    folder.kv_with(&["load", "-q", "-c", "empty"], b"").is("");
    folder.kv(&["count", "empty"]).is("0\n");
}
