//! This test program started once more as another process, with a wire for what must outlive it: records of 40 bytes
//! over a socket that is the child's standard input.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{mpsc, Arc, Mutex};
use std::time::{Duration, Instant};

/// One record: a kind, three numbers, and when it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub kind: u8,
    pub who: u64,
    pub a: u64,
    pub b: u64,
    /// As [`now`].
    pub time: u64,
}

/// Nanoseconds of the clock that all processes share.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the answer.
    let answer = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    assert_eq!(answer, 0, "clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Note {
    fn encode(&self) -> [u8; 40] {
        let mut out = [0; 40];
        out[0] = self.kind;
        for (i, n) in [self.who, self.a, self.b, self.time].into_iter().enumerate() {
            out[8 + 8 * i..16 + 8 * i].copy_from_slice(&n.to_le_bytes());
        }
        out
    }

    fn decode(bytes: &[u8; 40]) -> Note {
        let n = |i: usize| u64::from_le_bytes(bytes[8 + 8 * i..16 + 8 * i].try_into().expect("eight bytes"));
        Note {
            kind: bytes[0],
            who: n(0),
            a: n(1),
            b: n(2),
            time: n(3),
        }
    }
}

/// The child's end of the wire; clones share it.
#[derive(Clone)]
pub struct Wire {
    socket: Arc<Mutex<UnixStream>>,
    /// Set when the parent asks to stop; when the parent is gone, the child ends.
    pub stop: Arc<AtomicBool>,
}

const ROLE: &str = "KV_TEST_ROLE";

/// In a child: its role and its wire. `None` in the test itself.
pub fn role() -> Option<(String, Wire)> {
    let role = std::env::var(ROLE).ok()?;
    let fd = std::io::stdin()
        .as_fd()
        .try_clone_to_owned()
        .expect("standard input is the wire");
    let socket = UnixStream::from(fd);
    let stop = Arc::new(AtomicBool::new(false));
    let (mut listen, asked) = (socket.try_clone().expect("wire"), stop.clone());
    std::thread::spawn(move || {
        let mut byte = [0];
        while matches!(listen.read(&mut byte), Ok(1)) {
            asked.store(true, SeqCst);
        }
        // The parent is gone, or has closed its end.
        std::process::exit(0);
    });
    let socket = Arc::new(Mutex::new(socket));
    Some((role, Wire { socket, stop }))
}

impl Wire {
    /// Tells the parent something.
    pub fn tell(&self, kind: u8, who: u64, a: u64, b: u64) {
        let time = now();
        let note = Note { kind, who, a, b, time };
        let mut socket = self.socket.lock().expect("wire");
        if socket.write_all(&note.encode()).is_err() {
            std::process::exit(0);
        }
    }

    /// Whether the parent asked to stop.
    pub fn stopped(&self) -> bool {
        self.stop.load(SeqCst)
    }
}

/// The parent's side of a child process; killed when dropped.
pub struct Child {
    process: std::process::Child,
    socket: UnixStream,
    notes: mpsc::Receiver<Note>,
    /// When the last note arrived.
    pub heard: Instant,
}

impl Child {
    /// Starts this program again: `test` must begin by asking for its [`role`].
    pub fn start(test: &str, role: &str, settings: &[(&str, String)]) -> Child {
        Child::start_under(&[], test, role, settings)
    }

    /// As [`Child::start`], through another program (`unshare ...`).
    pub fn start_under(program: &[&str], test: &str, role: &str, settings: &[(&str, String)]) -> Child {
        let (socket, theirs) = UnixStream::pair().expect("socket pair");
        let this = std::env::current_exe().expect("own name");
        let mut command = match program {
            [] => Command::new(&this),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(&this);
                command
            }
        };
        command
            .args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"])
            .env(ROLE, role)
            .envs(settings.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null());
        let process = command.spawn().expect("start a child");
        drop(command);
        let (send, notes) = mpsc::channel();
        let mut from = socket.try_clone().expect("socket");
        std::thread::spawn(move || {
            let mut bytes = [0; 40];
            while from.read_exact(&mut bytes).is_ok() && send.send(Note::decode(&bytes)).is_ok() {}
        });
        Child {
            process,
            socket,
            notes,
            heard: Instant::now(),
        }
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next note, waiting this long for it.
    pub fn note(&mut self, wait: Duration) -> Option<Note> {
        let note = self.notes.recv_timeout(wait).ok();
        if note.is_some() {
            self.heard = Instant::now();
        }
        note
    }

    /// What has arrived and not been taken.
    pub fn notes(&mut self) -> Vec<Note> {
        let all: Vec<Note> = self.notes.try_iter().collect();
        if !all.is_empty() {
            self.heard = Instant::now();
        }
        all
    }

    /// Asks it to stop.
    pub fn stop(&mut self) {
        let _ = self.socket.write_all(b"s");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a system call about a child that was not waited for yet.
        let answer = unsafe { libc::kill(self.id() as i32, signal) };
        assert_eq!(answer, 0, "signal {signal}: {}", std::io::Error::last_os_error());
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().expect("wait")
    }

    /// Waits until it has ended; kills it after `wait`. What it told before is still to be had by
    /// [`Child::last_notes`].
    pub fn wait(&mut self, wait: Duration) -> ExitStatus {
        let end = Instant::now() + wait;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            if Instant::now() > end {
                return self.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Kills it and waits for its end.
    pub fn kill(&mut self) -> ExitStatus {
        let _ = self.process.kill();
        self.process.wait().expect("wait")
    }

    /// Of a child that has ended: all it told and nobody took.
    pub fn last_notes(&mut self) -> Vec<Note> {
        let mut all = Vec::new();
        // The thread that listens ends, and the channel with it, once the socket is empty.
        while let Ok(note) = self.notes.recv_timeout(Duration::from_secs(5)) {
            all.push(note);
        }
        all
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// "exit code 0", "signal 9".
pub fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, Some(signal)) => format!("signal {signal}"),
        _ => format!("{status:?}"),
    }
}
