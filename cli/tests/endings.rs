//! How the command ends: each code, closed pipes, files that are missing, busy, read-only or no databases.

mod common;

use common::{large, Answer, Folder, KV};
use kv_engine::{Db, Options, WriteOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
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
            .says("none: no such file; check the name");
    }
    for command in [&["put", "none", "k", "v"][..], &["load", "none"]] {
        let answer = folder.kv(command).ends_with(5).says("no such file; add --create");
        assert!(!answer.err.contains("check the name"), "{answer:?}");
    }
    folder.kv(&["del", "none", "k"]).ends_with(5).says("no such file");
    let compact = folder.kv(&["compact", "none"]).ends_with(5);
    compact.says("none: no such file; check the name");
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
fn a_database_whose_head_is_gone_is_one_to_salvage() {
    let folder = Folder::new("headless");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let mut bytes = std::fs::read(folder.file("db")).expect("a file");
    let mut lost = vec![b'x'; bytes.len()];
    bytes[..4 * 4096].fill(0);
    std::fs::write(folder.file("zeros"), &bytes).expect("a file");
    lost[..4 * 4096].fill(0);
    std::fs::write(folder.file("nothing"), lost).expect("a file");
    let advice =
        "; check the name of the file; if it was a database, its head is destroyed: save what is left (kv salvage)";
    let restoring: &[&str] = &["restore", "FILE", "new"];
    for command in READING.iter().chain([&restoring]) {
        folder.kv(&args(command, "zeros")).ends_with(6).says(advice);
    }
    folder.kv(&["put", "zeros", "k", "v"]).ends_with(6).says(advice);
    folder.kv(&["-q", "salvage", "zeros", "new"]).ends_with(3);
    folder.kv(&["get", "new", "k"]).is("v\n");
    // Who does that already, or has another file, is not told to.
    for command in [&["salvage", "nothing", "other"][..], &["get", "new-shm", "k"]] {
        let answer = folder.kv(command);
        assert!(
            !matches!(answer.code, 0 | 3) && !answer.err.contains("kv salvage"),
            "{answer:?}"
        );
    }
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
    folder
        .kv(&["put", "-c", "--page-size", "5000", "db", "k", "v"])
        .ends_with(2)
        .says("--page-size")
        .says("it can be 4096, 8192");
    // What was typed is shown as it was typed, in one line.
    folder
        .kv(&["get", "db", "a\\q\n"])
        .ends_with(2)
        .says("kv: \"a\\q\\n\": there is no escape \\q;");
    folder
        .kv(&["put", "db", "a", "b", "c\u{1b}"])
        .ends_with(2)
        .says("kv: the key \"c\\x1b\" has no value;");
    let help = folder.kv(&["--help"]).ends_with(0);
    for words in [
        "Exit status",
        "  3    damage",
        "  4    busy",
        "\\xHH",
        "salvage",
        "completions",
        "too big",
    ] {
        assert!(help.text().contains(words), "{words} is not in the help");
    }
    // What packagers use is hidden.
    assert!(!help.text().lines().any(|line| line.trim_start().starts_with("man ")));
    // A number below zero is a number, and no option that could be named otherwise.
    for wrong in [
        &["scan", "db", "--limit", "-1"][..],
        &["scan", "db", "--skip", "-1"],
        &["rank", "db", "--nth", "-1"],
        &["load", "db", "--batch", "-1"],
        &["bench", "--seconds", "-1"],
        &["--wait", "-1", "count", "db"],
    ] {
        let answer = folder.kv(wrong).ends_with(2);
        assert!(answer.err.contains("'-1'") && !answer.err.contains("tip"), "{answer:?}");
    }
    folder
        .kv(&["rank", "db"])
        .ends_with(2)
        .says("give a key, or --nth RANK");
    folder
        .kv(&["load", "db", "--batch", "0"])
        .ends_with(2)
        .says("it is not a number from 1 on");
    assert!(folder.kv(&["--version"]).ends_with(0).text().starts_with("kv "));
}

#[test]
fn messages_about_input_and_files_have_one_form() {
    let folder = Folder::new("messages");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for command in [
        &["load", "db"][..],
        &["put", "db", "k", "-"],
        &["put", "db", "--hex", "00", "-"],
        &["restore", "-", "new"],
        &["shell", "db"],
        &["load", "db", "-f", "csv"],
    ] {
        // A folder can be opened and not read.
        let input = std::fs::File::open(folder.path()).expect("the folder");
        let output = folder.command(command).stdin(input).output().expect("an answer");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{command:?}: {error}");
        let want = "kv: standard input: cannot read: Is a directory; name a file";
        assert!(error.starts_with(want), "{command:?}: {error}");
    }
    for command in [&["load", "db", "none"][..], &["put", "db", "k", "@none"]] {
        let answer = folder.kv(command).ends_with(5);
        let want = "kv: none: cannot open: No such file or directory; check the name";
        assert!(answer.err.starts_with(want), "{answer:?}");
    }
    // A name is shown in one line, whatever it is.
    let odd = folder.kv(&["import-lmdb", "a\nb", "new"]).ends_with(5);
    assert_eq!(
        odd.err,
        "kv: a\\nb: cannot read: No such file or directory; check the name\n"
    );
    std::fs::write(folder.file("c\nd"), vec![7; 5000]).expect("a file");
    let odd = folder.kv(&["import-lmdb", "c\nd", "new"]).ends_with(6);
    assert!(odd.err.starts_with("kv: c\\nd: this is not a file of LMDB: ") && odd.err.lines().count() == 1);
    // A file that is called like the sign for standard output is not what was written there.
    std::fs::write(folder.file("-"), b"").expect("a file");
    let stream = folder.kv(&["backup", "db", "-"]).ends_with(0);
    let bytes = stream.out.len();
    stream.says(&format!("was copied, {bytes} bytes"));
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
    assert!(quiet.is_empty(), "{quiet:?}");
    // A summary without progress is what a pipe gets.
    let piped = on_a_terminal(&folder, "check db 2>/dev/null", "").expect("script is there");
    assert!(!piped.contains("checking") && piped.contains("damaged"), "{piped:?}");
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

/// Runs the command as a user who must obey permissions: this one, or nobody if this is root.
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
fn who_does_not_wait_opens_the_file_at_the_same_time_as_others() {
    let folder = Folder::new("wait");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for _ in 0..15 {
        let start = || {
            let mut command = folder.command(&["--wait", "0", "get", "db", "k"]);
            let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
            command.spawn().expect("the command")
        };
        for child in [start(), start(), start(), start()] {
            let output = child.wait_with_output().expect("an answer");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    // It counts for the write transaction.
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let _txn = db.begin_write(WriteOptions::default()).expect("begin");
    let begun = Instant::now();
    folder
        .kv(&["--wait", "0", "put", "db", "a", "b"])
        .ends_with(4)
        .says("--wait");
    assert!(begun.elapsed() < Duration::from_millis(900), "{:?}", begun.elapsed());
}

#[test]
fn the_summary_of_a_load_stays_on_the_terminal() {
    let folder = Folder::new("summary");
    let text: String = (0..30_000).map(|n| format!("{n:08},{}\n", "v".repeat(40))).collect();
    std::fs::write(folder.file("text"), format!("key,value\n{text}")).expect("a file");
    let Some(shown) = on_a_terminal(&folder, "load -c db text", "") else {
        return;
    };
    // Nothing is erased behind it.
    let (_, behind) = shown.rsplit_once("30000 entries were loaded").expect("a summary");
    assert!(!behind.contains("loading") && !behind.contains("\x1b["), "{shown:?}");
}

#[test]
fn counts_are_singular_where_there_is_one() {
    let folder = Folder::new("one");
    folder
        .kv_with(&["load", "-c", "db"], b"key,value\na,b\n")
        .says("db: 1 entry was loaded");
    folder
        .kv_with(&["load", "--no-overwrite", "db"], b"key,value\na,b\nc,d\n")
        .says("db: 1 entry was loaded, 1 was there already");
    folder
        .kv(&["rank", "db", "--prefix", "a", "--nth", "5"])
        .ends_with(1)
        .says("the range has 1 entry,");
    folder.kv(&["del", "db", "--prefix", "a"]).says("1 entry was deleted");
    let map = folder.kv(&["map", "db"]).ends_with(0);
    assert!(map.text().contains("each cell: 1 page of 4096 bytes"), "{map:?}");
}

#[test]
fn quiet_leaves_nothing_of_a_check_that_finds_nothing() {
    let folder = Folder::new("quiet");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for args in [
        &["-q", "check", "db"][..],
        &["-q", "check", "--all", "db"],
        &["-q", "salvage", "db", "new"],
    ] {
        let answer = folder.kv(args).is("");
        assert!(answer.err.is_empty(), "{answer:?}");
    }
}

#[test]
fn a_terminal_that_is_narrow_or_dumb_gets_what_it_can_show() {
    let folder = Folder::new("narrow");
    large(&folder);
    let shown = |line: &str| {
        let mut command = Command::new("script");
        command.args(["-qec", line, "/dev/null"]).current_dir(folder.path());
        command
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        let output = command.output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    for (columns, cells) in [(40, 40), (60, 60), (100, 64)] {
        let Some(map) = shown(&format!(
            "stty rows 24 cols {columns}; NO_COLOR=1 TERM=xterm '{KV}' -q map db"
        )) else {
            eprintln!("SKIPPED: a_terminal_that_is_narrow_or_dumb_gets_what_it_can_show: no program script");
            return;
        };
        let first = map.lines().next().expect("a row").trim_end();
        assert_eq!(first.chars().count(), cells, "{map}");
    }
    for command in ["map db", "check db"] {
        let dumb = shown(&format!("TERM=dumb '{KV}' {command}")).expect("script is there");
        assert!(!dumb.contains('\x1b') && dumb.contains("dead"), "{dumb:?}");
    }
}

#[test]
fn a_key_that_is_too_big_is_refused_and_changes_nothing() {
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

/// A file system of one MiB, which goes away with the value.
struct Small(PathBuf);

impl Small {
    fn mount(at: PathBuf) -> Option<Small> {
        std::fs::create_dir(&at).expect("a folder");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&at).output();
        match mounted {
            Ok(output) if output.status.success() => Some(Small(at)),
            other => {
                println!("SKIPPED: a full disk: no file system can be mounted: {other:?}");
                None
            }
        }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_is_reported_and_changes_nothing() {
    let folder = Folder::new("full");
    std::fs::write(folder.file("value"), vec![b'v'; 2 << 20]).expect("a value");
    large(&folder);
    let Some(small) = Small::mount(folder.file("small")) else {
        return;
    };
    let names = || {
        let names = std::fs::read_dir(&small.0).expect("a folder");
        names.map(|name| name.expect("a name").file_name()).collect::<Vec<_>>()
    };
    folder.kv(&["put", "-c", "small/db", "k", "v"]).is("");
    for command in [
        &["put", "small/db", "long", "@value"][..],
        &["backup", "db", "small/copy"],
        &["restore", "db", "small/copy"],
    ] {
        folder.kv(command).ends_with(5).says("no space").says("; free space");
        assert_eq!(names(), ["db"], "{command:?}");
    }
    let bytes = std::fs::read(folder.file("db")).expect("a backup");
    folder
        .kv_with(&["restore", "-", "small/copy"], &bytes)
        .ends_with(5)
        .says("kv: small/copy: cannot write: No space left on device; make room");
    assert_eq!(names(), ["db"]);
    folder.kv(&["scan", "small/db"]).is("k\tv\n");
    folder.kv(&["check", "--all", "small/db"]).ends_with(0);
}

#[test]
fn a_file_that_was_created_for_nothing_is_removed() {
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
    folder.kv_with(&["load", "-q", "-c", "-f", "json", "empty"], b"").is("");
    folder.kv(&["count", "empty"]).is("0\n");
}
