//! Input, outputs and surroundings that are not as usual: lines without end, pipes that bring their bytes in parts or
//! are closed early, names with control bytes, devices, signals.

mod common;

use common::{damage, numbered, pages, Folder, KV};
use kv_engine::{PageUse, TableId};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_closed_pipe_ends_neither_a_check_nor_a_salvage() {
    let folder = Folder::new("closed");
    let leaves = pages(&numbered(&folder, 5000, 50), PageUse::Leaf, Some(TableId::MAIN));
    damage(&folder, leaves[leaves.len() - 1]);
    for args in [
        &["check", "db"][..],
        &["check", "--all", "db"],
        &["-q", "salvage", "db", "new"],
    ] {
        let mut command = folder.command(args);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = child.spawn().expect("the command");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an answer");
        assert_eq!(output.status.code(), Some(3), "{args:?}");
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    folder.kv(&["check", "--all", "new"]).ends_with(0);
    // What else is wrong with the output is told when the work is done.
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let mut command = folder.command(&["salvage", "db", "other"]);
    let output = command.stdout(full.expect("/dev/full")).output().expect("an answer");
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
    folder.kv(&["check", "--all", "other"]).ends_with(0);
}

#[test]
fn output_that_cannot_be_written_is_told_whatever_it_is() {
    let folder = Folder::new("unwritten");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for args in [
        &["--help"][..],
        &["--version"],
        &["get", "--help"],
        &["completions", "bash"],
        &["get", "db", "k"],
        &["scan", "db"],
        &["dump", "db"],
        &["report", "db"],
        &["backup", "db", "-"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = folder.command(args);
        let output = command.stdout(full.expect("/dev/full")).output().expect("an answer");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{args:?}: {err}");
        let want = "kv: standard output: cannot write: No space left on device; make room, and repeat\n";
        assert_eq!(err, want, "{args:?}");
    }
    // A backup that nobody reads to its end is none, and help that nobody wants is no error.
    for (args, code, want) in [
        (
            &["backup", "db", "-"][..],
            5,
            "kv: standard output: cannot write: Broken pipe; see that its reader reads it to its end\n",
        ),
        (&["--help"], 0, ""),
    ] {
        let mut command = folder.command(args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("an answer");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*err), (Some(code), want), "{args:?}");
    }
}

#[test]
fn output_that_is_closed_is_told_and_nothing_else_needs_it() {
    let folder = Folder::new("closed");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for (args, code) in [
        ("scan db", 5),
        ("get db k", 5),
        ("backup db -", 5),
        ("--help", 5),
        ("put db a b", 0),
        ("backup db copy", 0),
        ("-q check db", 0),
    ] {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("exec '{KV}' {args} >&-")])
            .current_dir(folder.path());
        let output = shell.output().expect("an answer");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{args}: {err}");
        let want = "kv: standard output: cannot write: Bad file descriptor; see that it is not closed (>&-)\n";
        assert!(code == 0 || err == want, "{args}: {err}");
    }
}

#[test]
fn the_format_is_found_in_a_pipe_that_brings_its_bytes_in_parts() {
    let folder = Folder::new("parts");
    let mut command = folder.command(&["load", "-c", "db"]);
    let child = command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("the command");
    let mut pipe = child.stdin.take().expect("a pipe");
    for part in ["\n", "V", "ERSION", "=3\nformat=print\nHEADER=END\n k\n v\nDATA=END\n"] {
        pipe.write_all(part.as_bytes()).expect("a pipe");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(pipe);
    let output = child.wait_with_output().expect("an answer");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder.kv(&["scan", "db"]).is("k\tv\n");
    for short in ["", "{", "VERSION"] {
        let answer = folder.kv_with(&["load", "db"], short.as_bytes());
        assert!(matches!(answer.code, 0 | 2), "{short}: {answer:?}");
    }
}

#[test]
fn a_line_without_end_is_told_and_nothing_is_loaded() {
    let folder = Folder::new("endless");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for format in ["mdb", "json", "csv"] {
        let line = format!("ulimit -v 400000; exec '{KV}' load db /dev/zero --format {format}");
        let mut command = Command::new("sh");
        let output = command.args(["-c", &line]).current_dir(folder.path()).output();
        let output = output.expect("an answer");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{format}: {err}");
        assert!(
            err.starts_with("kv: /dev/zero: line 1: there is no memory for a line of more than ")
                && err.ends_with("; nothing was loaded\n"),
            "{format}: {err}"
        );
    }
    let mut command = Command::new("sh");
    let line = format!("ulimit -v 400000; exec '{KV}' shell db </dev/zero");
    let output = command.args(["-c", &line]).current_dir(folder.path()).output();
    assert_eq!(output.expect("an answer").status.code(), Some(5));
    folder.kv(&["scan", "db"]).is("k\tv\n");
}

#[test]
fn a_value_that_does_not_end_is_refused() {
    let folder = Folder::new("endless-value");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let put = |args: &str| {
        let mut command = Command::new("sh");
        let line = format!("ulimit -v 400000; exec '{KV}' put db {args}");
        let output = command.args(["-c", &line]).current_dir(folder.path()).output();
        let output = output.expect("an answer");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for (args, name) in [
        ("k @/dev/zero", "/dev/zero"),
        ("k @/dev/full", "/dev/full"),
        ("k - </dev/zero", "standard input"),
    ] {
        let (code, err) = put(args);
        let want = format!(
            "kv: {name}: this is a device that may have no end; write as many bytes of it as you want into a pipe \
             (head -c BYTES), and give -; nothing was put\n"
        );
        assert_eq!((code, err), (Some(6), want), "{args}");
    }
    let (code, err) = put("--hex 00 @/dev/zero");
    let want = "kv: /dev/zero: these are not pairs of hexadecimal digits; nothing was put\n";
    assert_eq!((code, err.as_str()), (Some(2), want));
    // A device that ends is as good as a file.
    assert_eq!(put("k @/dev/null"), (Some(0), String::new()));
    folder.kv(&["scan", "db"]).is("k\t\n");
    assert!(std::fs::metadata(folder.file("db")).expect("the database").len() < 1 << 20);
}

#[test]
fn a_value_that_is_too_long_is_refused_before_it_is_read() {
    let folder = Folder::new("long-value");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let file = std::fs::File::create(folder.file("long")).expect("a file");
    if let Err(error) = file.set_len((1 << 38) + 1) {
        println!("SKIPPED: a_value_that_is_too_long_is_refused_before_it_is_read: {error}");
        return;
    }
    let refused = folder.kv(&["put", "db", "k", "@long"]).ends_with(6);
    refused
        .says("kv: long: a value of 274877906945 bytes is too long; it can have 274877906944 at most; nothing was put");
    folder.kv(&["scan", "db"]).is("k\tv\n");
}

#[test]
fn hexadecimal_digits_of_a_file_are_read_in_parts() {
    let folder = Folder::new("hex-parts");
    for (bytes, end) in [
        (0, ""),
        (0, " \n"),
        (1, "\n"),
        (3 << 20, ""),
        (3 << 20, "\n"),
        ((3 << 20) + 1, "\r\n\n"),
    ] {
        std::fs::write(folder.file("digits"), "5a".repeat(bytes) + end).expect("write");
        folder.kv(&["put", "-c", "--hex", "db", "00", "@digits"]).is("");
        let value = folder.kv(&["get", "--hex", "db", "00"]).ends_with(0);
        assert!(value.text() == "5a".repeat(bytes) + "\n", "{bytes} {end:?}");
    }
    for wrong in [
        "5".to_string(),
        "5a 5a".to_string(),
        "5a".repeat(1 << 20) + "5",
        "5a".repeat(1 << 20) + "\n5a",
        "5a".repeat(3 << 19) + "\n" + &"5a".repeat(1 << 20),
        "5a".repeat(1 << 20) + &" ".repeat(3 << 20) + "5a",
    ] {
        std::fs::write(folder.file("digits"), &wrong).expect("write");
        let refused = folder.kv(&["put", "--hex", "db", "00", "@digits"]).ends_with(2);
        refused.says("kv: digits: these are not pairs of hexadecimal digits; nothing was put");
    }
    assert_eq!(folder.kv(&["get", "--hex", "db", "00"]).out.len(), (6 << 20) + 3);
}

#[test]
fn a_name_that_is_too_long_is_told_with_its_line() {
    let folder = Folder::new("long-names");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let name = "n".repeat(513);
    for (text, line) in [
        (format!("table,key,value\na,b,c\n{name},b,c\n"), 3),
        (
            format!("{{\"key\":\"a\",\"value\":\"b\"}}\n{{\"table\":\"{name}\"}}\n"),
            2,
        ),
        (format!("VERSION=3\ndatabase={name}\nHEADER=END\nDATA=END\n"), 2),
    ] {
        let answer = folder.kv_with(&["load", "db"], text.as_bytes()).ends_with(2);
        let answer = answer.says(&format!("kv: standard input: line {line}: "));
        answer.says("the name of a table has 513 bytes; it can have 512 at most; nothing was loaded");
        let longest = text.replace(&name, &name[1..]);
        folder.kv_with(&["load", "-q", "db"], longest.as_bytes()).is("");
    }
    folder.kv(&["get", "db", "-t", &name[1..], "b"]).is("c\n");
    folder
        .kv(&["put", "-c", "db", "-t", &name, "k", "v"])
        .ends_with(6)
        .says("513");
}

#[test]
fn a_head_that_names_two_tables_is_refused() {
    let folder = Folder::new("two-names");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for (first, second) in [
        ("database=a", "database=b"),
        ("database=a", "database=a"),
        ("subdatabase=a", "database=b"),
    ] {
        let text = format!("VERSION=3\nformat=print\n{first}\ntype=btree\n{second}\nHEADER=END\n k\n v\nDATA=END\n");
        let answer = folder.kv_with(&["load", "db"], text.as_bytes()).ends_with(2);
        answer.says("kv: standard input: line 5: the head names a table already: \"a\"");
    }
    // Each head has a name of its own.
    let table = |name: &str| format!("VERSION=3\nformat=print\n{name}HEADER=END\n k\n v\nDATA=END\n");
    let text = [table("database=a\n"), table("database=b\n"), table("")].concat();
    folder.kv_with(&["load", "-q", "db"], text.as_bytes()).is("");
    folder
        .kv(&["tables", "db", "--quick", "-o", "raw"])
        .is("\t1\na\t1\nb\t1\n");
}

#[test]
fn messages_show_control_bytes_of_the_input_as_escapes() {
    let folder = Folder::new("escapes");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    for (args, text) in [
        (&["load", "db"][..], "{\"\\u001b[31m\":1}\n"),
        (&["load", "db"], "{\"key\":\"\\u001b[31m\"}\n"),
        (&["load", "db"], "\"\\u001b[31m\"\n"),
        (&["load", "db", "--format", "json"], "\"\\u001b[31m\"\n"),
        (&["load", "db"], "key,value,\u{1b}[31m\n"),
        (&["load", "db", "--hex"], "key,value\n\u{1b}[31m,00\n"),
        (&["load", "db"], "VERSION=\u{1b}[31m\n"),
        (&["load", "db"], "VERSION=3\nformat=\u{1b}[31m\n"),
    ] {
        let answer = folder.kv_with(args, text.as_bytes()).ends_with(2);
        assert!(!answer.err.contains('\u{1b}'), "{text:?}: {answer:?}");
    }
}

#[test]
fn what_is_no_regular_file_is_no_source_of_an_import() {
    let folder = Folder::new("devices");
    let made = Command::new("mkfifo").arg(folder.file("pipe")).status();
    assert!(made.expect("mkfifo").success());
    std::fs::create_dir(folder.file("env")).expect("a folder");
    let made = Command::new("mkfifo").arg(folder.file("env/data.mdb")).status();
    assert!(made.expect("mkfifo").success());
    for source in ["pipe", "env", "/dev/zero"] {
        folder
            .kv(&["import-lmdb", source, "db"])
            .ends_with(6)
            .says("this is not a file of LMDB: it is no regular file");
    }
    assert_eq!(folder.names(), ["env", "pipe"]);
}

#[test]
fn a_backup_that_is_cut_off_on_its_way_is_told_as_standard_input() {
    let folder = Folder::new("cut");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let whole = folder.kv(&["-q", "backup", "db", "-"]).ends_with(0).out;
    let half = vec![b'x'; 100_000];
    for (input, code) in [
        (&whole[..whole.len() - 1], 3),
        (&whole[..5000], 3),
        (&half, 6),
        (b"", 6),
    ] {
        let answer = folder.kv_with(&["restore", "-", "new"], input);
        assert_eq!(answer.code, code, "{answer:?}");
        assert!(answer.err.starts_with("kv: standard input: "), "{answer:?}");
        assert!(
            answer.err.ends_with("; send the backup again, as a whole\n"),
            "{answer:?}"
        );
        assert!(!answer.err.contains("kv-restore"), "{answer:?}");
        assert_eq!(folder.names(), ["db"]);
    }
}

#[test]
fn a_file_that_a_killed_command_left_is_in_nobodys_way() {
    let folder = Folder::new("stale");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    let backup = folder.kv(&["-q", "backup", "db", "-"]).ends_with(0).out;
    std::fs::write(folder.file("backup"), backup).expect("a file");
    // Another process had the same number, or somebody has guessed it.
    for (left, line) in [
        ("kv-restore", "restore - new <backup"),
        ("kv-report", "report db -o page.html"),
        ("kv-bench", "bench --seconds 0.01 --folder ."),
    ] {
        for make in ["ln -s /dev/full", "mkdir", "touch"] {
            let script = format!("{make} .{left}-$$; exec '{KV}' -q {line}");
            let mut shell = Command::new("sh");
            let output = shell.args(["-c", &script]).current_dir(folder.path()).output();
            let output = output.expect("an answer");
            let err = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{make} {line}: {err}");
            let _ = std::fs::remove_file(folder.file("new"));
        }
    }
    // What was there stays, and nothing else does.
    let names = folder.names();
    let (left, others): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.starts_with('.'));
    assert_eq!(left.len(), 9, "{left:?}");
    assert_eq!(others, ["backup", "db", "page.html"]);
}

#[test]
fn what_is_restored_over_a_private_file_is_never_readable_for_others() {
    let folder = Folder::new("private");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    std::fs::set_permissions(folder.file("db"), std::fs::Permissions::from_mode(0o640)).expect("permissions");
    let mut child = folder.command(&["-q", "restore", "--overwrite", "-", "db"]);
    let mut child = child.stdin(Stdio::piped()).spawn().expect("the command");
    let begun = Instant::now();
    let received = loop {
        let names = folder.names();
        if let Some(name) = names.into_iter().find(|name| name.starts_with(".kv-restore")) {
            break folder.file(&name);
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the command does not begin");
        std::thread::sleep(Duration::from_millis(5));
    };
    let mode = std::fs::metadata(received).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let backup = std::fs::read(folder.file("db")).expect("a backup");
    child.stdin.take().expect("a pipe").write_all(&backup).expect("a pipe");
    assert_eq!(child.wait().expect("wait").code(), Some(0));
    let mode = std::fs::metadata(folder.file("db"))
        .expect("a file")
        .permissions()
        .mode();
    assert_eq!((mode & 0o777, folder.names()), (0o640, vec!["db".to_string()]));
}

/// Runs `restore` until it has its handlers, sends it a signal, and ends its input. Returns its exit status.
fn restore_gets(folder: &Folder, signal: &str, begin: &str) -> Option<i32> {
    // Whoever runs the tests may ignore the signal, as nohup does, and the command would inherit that.
    let mut command = Command::new("env");
    command
        .args(["--default-signal=HUP,INT,TERM", "sh", "-c"])
        .arg(format!("{begin} exec '{KV}' restore - new"))
        .current_dir(folder.path());
    let child = command.stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = child.spawn().expect("the command");
    let begun = Instant::now();
    while !folder.names().iter().any(|name| name.starts_with(".kv-restore")) {
        assert!(begun.elapsed() < Duration::from_secs(30), "the command does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    std::thread::sleep(Duration::from_millis(100));
    let mut pipe = child.stdin.take().expect("a pipe");
    // It reads the backup if it goes on.
    let _ = pipe.write_all(&std::fs::read(folder.file("backup")).expect("a backup"));
    drop(pipe);
    child.wait_with_output().expect("an answer").status.code()
}

#[test]
fn a_terminal_that_is_closed_leaves_no_file_behind() {
    let folder = Folder::new("hangup");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    folder.kv(&["backup", "db", "backup"]).ends_with(0);
    for signal in ["-HUP", "-TERM", "-INT"] {
        assert_eq!(restore_gets(&folder, signal, ""), Some(130), "{signal}");
        assert_eq!(folder.names(), ["backup", "db"], "{signal}");
    }
    // nohup says that it is to go on.
    assert_eq!(restore_gets(&folder, "-HUP", "trap '' HUP;"), Some(0));
    folder.kv(&["get", "new", "k"]).is("v\n");
}
