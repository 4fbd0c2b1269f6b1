//! Interrupts: a command that waits for a pipe or for others ends with the first signal, and leaves nothing behind.

mod common;

use common::{large, Folder};
use kv_engine::{Db, Options, WriteOptions};
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take to begin or to end on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(command: &mut Command) -> Child {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    pipes.stderr(Stdio::piped()).spawn().expect("the command")
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

/// Sends one signal, and fails unless the command ends by it. Its pipes stay open meanwhile.
#[track_caller]
fn ends_by(child: &mut Child, name: &str) {
    // The command has begun, and by now it waits.
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().expect("wait").is_none(), "it did not wait");
    signal(child, name);
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        if begun.elapsed() > PATIENCE {
            child.kill().expect("kill");
            panic!("the command goes on after SIG{name}");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("a pipe")
        .read_to_string(&mut said)
        .expect("UTF-8");
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(said.contains("interrupted"), "{said}");
}

#[track_caller]
fn wait_for_a_file(folder: &Folder) {
    let begun = Instant::now();
    while folder.names().is_empty() {
        assert!(begun.elapsed() < PATIENCE, "the command does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The first lines of a text in each format, as many as make a load begin.
fn texts() -> [String; 3] {
    let lines = |head: &str, line: &dyn Fn(u32) -> String| {
        let mut text = head.to_string();
        (0..6000).for_each(|n| text.push_str(&line(n)));
        text
    };
    [
        lines("key,value\n", &|n| format!("k{n},v\n")),
        lines("", &|n| format!("{{\"key\":\"k{n}\",\"value\":\"v\"}}\n")),
        lines("VERSION=3\nformat=print\ntype=btree\nHEADER=END\n", &|n| {
            format!(" k{n}\n v\n")
        }),
    ]
}

#[test]
fn a_pipe_that_stalls_does_not_keep_a_load() {
    for (text, name) in texts().iter().zip(["INT", "TERM", "HUP"]) {
        let folder = Folder::new("stall-load");
        // The tests may run where some of the signals are ignored.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM,HUP", common::KV, "load", "-c", "db"]);
        let mut child = start(command.current_dir(folder.path()));
        let mut to = child.stdin.take().expect("a pipe");
        to.write_all(text.as_bytes()).expect("the text");
        wait_for_a_file(&folder);
        ends_by(&mut child, name);
        drop(to);
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
}

#[test]
fn a_pipe_that_stalls_does_not_keep_a_restore_or_a_put() {
    for args in [&["restore", "-", "new"][..], &["put", "-c", "new", "key", "-"]] {
        let folder = Folder::new("stall-restore");
        let mut child = start(&mut folder.command(args));
        let to = child.stdin.take().expect("a pipe");
        wait_for_a_file(&folder);
        ends_by(&mut child, "TERM");
        drop(to);
        assert!(folder.names().is_empty(), "{args:?}: {:?}", folder.names());
    }
}

#[test]
fn the_end_of_the_input_that_comes_with_a_signal_commits_nothing() {
    let folder = Folder::new("signal-and-end");
    for (args, input) in [
        (&["put", "db", "key", "-"][..], &b"half of a val"[..]),
        (&["load", "db"], b"key,value\nkey,new\nother,new\n"),
        (&["load", "-f", "json", "db"], b"{\"key\":\"key\",\"value\":\"new\"}\n"),
    ] {
        for round in 0..15 {
            folder.kv(&["put", "-c", "db", "key", "old"]).is("");
            let mut child = start(&mut folder.command(args));
            let mut to = child.stdin.take().expect("a pipe");
            to.write_all(input).expect("the input");
            let begun = Instant::now();
            while !folder.names().contains(&"db-shm".to_string()) {
                assert!(begun.elapsed() < PATIENCE, "the command does not begin");
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(round));
            // What fills the pipe gets the signal, too, and dies of it.
            kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("kill");
            drop(to);
            let output = child.wait_with_output().expect("an answer");
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(130), "{args:?}: {said}");
            assert!(said.contains("; nothing was "), "{args:?}: {said}");
            folder.kv(&["scan", "db"]).is("key\told\n");
        }
    }
}

#[test]
fn a_reader_that_stalls_does_not_keep_a_scan_or_a_dump_or_a_backup() {
    let folder = Folder::new("stall-dump");
    large(&folder);
    for args in [
        &["scan", "db"][..],
        &["dump", "db"],
        &["dump", "-f", "json", "db"],
        &["dump", "-f", "csv", "db"],
        &["backup", "db", "-"],
    ] {
        let mut child = start(&mut folder.command(args));
        let mut from = child.stdout.take().expect("a pipe");
        from.read_exact(&mut [0; 100]).expect("some bytes");
        ends_by(&mut child, "TERM");
        drop(from);
        assert_eq!(folder.names(), ["db"], "{args:?}");
    }
}

#[test]
fn a_load_that_waits_for_others_ends_as_well() {
    let folder = Folder::new("stall-lock");
    let db = Db::open(&folder.file("db"), &Options::default()).expect("open");
    let _txn = db.begin_write(WriteOptions::default()).expect("begin");
    let mut child = start(&mut folder.command(&["load", "--wait", "100", "db"]));
    let mut to = child.stdin.take().expect("a pipe");
    to.write_all(b"key,value\na,b\n").expect("the text");
    drop(to);
    // Nothing tells from outside that it waits.
    std::thread::sleep(Duration::from_millis(1000));
    ends_by(&mut child, "TERM");
}

#[test]
fn what_nohup_ignores_stays_ignored() {
    let folder = Folder::new("stall-nohup");
    let mut shell = Command::new("sh");
    let script = format!("trap '' HUP; exec '{}' load -q -c db", common::KV);
    let mut child = start(shell.args(["-c", &script]).current_dir(folder.path()));
    let mut to = child.stdin.take().expect("a pipe");
    to.write_all(b"key,value\na,b\n").expect("the text");
    wait_for_a_file(&folder);
    std::thread::sleep(Duration::from_millis(300));
    signal(&child, "HUP");
    drop(to);
    assert_eq!(child.wait().expect("wait").code(), Some(0));
    folder.kv(&["get", "db", "a"]).is("b\n");
}

#[test]
fn an_interrupted_backup_ends_before_its_end() {
    let folder = Folder::new("interrupted-backup");
    large(&folder);
    // The command waits until somebody reads what it writes, so it can be interrupted in the middle.
    let mut child = folder.command(&["backup", "db", "-"]);
    let mut child = child
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut copy = vec![0; 4096];
    let mut pipe = child.stdout.take().expect("a pipe");
    pipe.read_exact(&mut copy).expect("the first page");
    signal(&child, "TERM");
    std::thread::sleep(Duration::from_millis(150));
    pipe.read_to_end(&mut copy).expect("the rest");
    let output = child.wait_with_output().expect("an answer");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(130) && error.contains("interrupted"),
        "{error}"
    );
    assert!((copy.len() as u64) < std::fs::metadata(folder.file("db")).expect("the database").len());
    assert_eq!(folder.names(), ["db"]);
}

/// Starts a command that writes a file, and sends it two signals at once while it does that. Returns how it ended.
fn interrupted_twice(folder: &Folder, args: &[&str]) -> Output {
    let before = folder.names();
    let mut child = start(&mut folder.command(args));
    let is_part = |name: &String| name.contains(".part-") && !name.ends_with("-shm");
    while !folder.names().iter().any(is_part) {
        if child.try_wait().expect("wait").is_some() {
            return child.wait_with_output().expect("an answer");
        }
    }
    // While it is stopped, signals wait for it, and then it gets them together.
    let pid = Pid::from_raw(child.id() as i32);
    for name in [Signal::SIGSTOP, Signal::SIGINT, Signal::SIGTERM, Signal::SIGCONT] {
        kill(pid, name).expect("kill");
    }
    let output = child.wait_with_output().expect("an answer");
    if output.status.code() == Some(130) {
        assert_eq!(folder.names(), before, "{args:?}");
    }
    output
}

#[test]
fn a_second_signal_leaves_nothing_behind_either() {
    let folder = Folder::new("twice");
    drop(common::numbered(&folder, 40_000, 1000));
    for args in [
        &["backup", "db", "new"][..],
        &["backup", "db", "new", "--compact"],
        &["restore", "db", "new"],
        &["salvage", "db", "new"],
    ] {
        // The work may be done before the signals come.
        let ended = (0..50).any(|_| {
            let output = interrupted_twice(&folder, args);
            let _ = std::fs::remove_file(folder.file("new"));
            output.status.code() == Some(130)
        });
        assert!(ended, "{args:?} was never interrupted");
    }
}

#[test]
fn a_second_signal_ends_what_the_first_one_does_not() {
    let folder = Folder::new("stuck");
    folder.kv(&["put", "-c", "db", "k", "v"]).is("");
    // The command has something to say in the end, which nobody reads.
    let (said, mut filler) = UnixStream::pair().expect("a pipe");
    filler.set_nonblocking(true).expect("a flag");
    while filler.write(&[b'x'; 1 << 16]).is_ok() {}
    while filler.write(b"x").is_ok() {}
    filler.set_nonblocking(false).expect("a flag");
    let mut command = folder.command(&["backup", "db", "copy"]);
    let mut child = command.stderr(OwnedFd::from(filler)).spawn().expect("the command");
    drop(command);
    let begun = Instant::now();
    while !folder.file("copy").exists() {
        assert!(begun.elapsed() < PATIENCE, "the command does not begin");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(100));
    signal(&child, "TERM");
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().expect("wait").is_none(), "nothing kept it");
    signal(&child, "TERM");
    let begun = Instant::now();
    while child.try_wait().expect("wait").is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().expect("kill");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(child.wait().expect("wait").code(), Some(130));
    drop(said);
}

#[test]
fn an_interrupted_restore_leaves_nothing_behind() {
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
    signal(&child, "TERM");
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
