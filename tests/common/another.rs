//! Another process that opens the same database under other conditions: as another user, under limits, without some
//! system calls. It runs the test that started it once more, does what its role says, and answers in lines.
#![allow(unsafe_code)]

use kv::{Db, Options, PutMode, TableId, WriteOptions};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const ROLE: &str = "KV_ANOTHER_ROLE";
const PATH: &str = "KV_ANOTHER_PATH";
const OPEN: &str = "KV_ANOTHER_OPEN";
const MARK: &str = "> ";
/// A process that says nothing for so long is taken for hanging.
pub const HANGS: Duration = Duration::from_secs(60);

/// Options that create no file.
pub fn existing() -> Options {
    Options {
        existing: true,
        ..Options::default()
    }
}

/// The name of the shared memory of a database.
pub fn shm(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-shm");
    PathBuf::from(name)
}

/// How another process is to be started.
pub struct Start<'a> {
    /// The test that starts it.
    pub test: &'a str,
    /// The program and its arguments through which it is started, as `setpriv ...`.
    pub under: Vec<String>,
    /// How it opens: words of "existing", "new", "read-only", "wait" (300 ms).
    pub open: &'a str,
}

impl<'a> Start<'a> {
    /// As this user is, with default options.
    pub fn plain(test: &'a str) -> Start<'a> {
        Start {
            test,
            under: Vec::new(),
            open: "",
        }
    }

    /// As another user. `None`, and a line that says so, where that is not allowed.
    pub fn user(test: &'a str, user: u32, group: u32, groups: &str) -> Option<Start<'a>> {
        let mut under = vec![
            "setpriv".to_string(),
            format!("--reuid={user}"),
            format!("--regid={group}"),
        ];
        under.push(match groups {
            "" => "--clear-groups".to_string(),
            groups => format!("--groups={groups}"),
        });
        let this = std::env::current_exe().expect("own name");
        let tried = Command::new(&under[0])
            .args(&under[1..])
            .arg(this)
            .arg("--list")
            .output();
        if !tried.is_ok_and(|done| done.status.success()) {
            println!("SKIPPED: {test}: only root can become somebody else");
            return None;
        }
        Some(Start {
            under,
            ..Start::plain(test)
        })
    }

    /// Starts it.
    pub fn role(&self, role: &str, path: &Path) -> Another {
        let this = std::env::current_exe().expect("own name");
        let mut command = match self.under.as_slice() {
            [] => Command::new(this),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(this);
                command
            }
        };
        command
            .args([
                "--exact",
                self.test,
                "--nocapture",
                "--include-ignored",
                "--test-threads=1",
            ])
            .env(ROLE, role)
            .env(PATH, path)
            .env(OPEN, self.open)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut process = command.spawn().expect("start another process");
        let (send, lines) = mpsc::channel();
        let errors = BufReader::new(process.stderr.take().expect("its errors"));
        std::thread::spawn(move || {
            for line in errors.lines().map_while(Result::ok) {
                if let Some(said) = line.strip_prefix(MARK) {
                    let _ = send.send(said.to_string());
                } else {
                    println!("(another: {line})");
                }
            }
        });
        Another { process, lines }
    }

    /// Starts it, waits for its end, and returns the last thing it said.
    pub fn answer(&self, role: &str, path: &Path) -> String {
        self.role(role, path).ended().1
    }
}

/// Another process. It ends when it is dropped.
pub struct Another {
    process: Child,
    lines: mpsc::Receiver<String>,
}

impl Another {
    /// Its process number.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next line that it says.
    pub fn says(&mut self) -> String {
        self.lines.recv_timeout(HANGS).unwrap_or_else(|_| "nothing".to_string())
    }

    /// Lets it go on.
    pub fn go_on(&mut self) {
        drop(self.process.stdin.take());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        // SAFETY: a system call about a child that was not waited for yet.
        assert_eq!(unsafe { libc::kill(self.id() as i32, signal) }, 0);
    }

    /// Waits for its end; returns how it ended, and the last thing it said.
    pub fn ended(mut self) -> (ExitStatus, String) {
        self.go_on();
        let mut last = "nothing".to_string();
        loop {
            match self.lines.recv_timeout(HANGS) {
                Ok(line) => last = line,
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    let _ = self.process.kill();
                    last = format!("hangs; it said last: {last}");
                    break;
                }
            }
        }
        (self.process.wait().expect("wait"), last)
    }
}

impl Drop for Another {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In another process: its role and its path. `None` in the test itself.
pub fn role() -> Option<(String, PathBuf)> {
    let role = std::env::var(ROLE).ok()?;
    Some((role, PathBuf::from(std::env::var_os(PATH).expect("path"))))
}

/// Says something to the test.
pub fn say(what: &str) {
    eprintln!("{MARK}{what}");
}

/// Waits until the test says that it goes on.
pub fn wait() {
    let _ = std::io::stdin().read(&mut [0]);
}

/// The options that the test named.
pub fn options() -> Options {
    let words = std::env::var(OPEN).unwrap_or_default();
    let has = |word: &str| words.split(' ').any(|w| w == word);
    Options {
        existing: has("existing"),
        new: has("new"),
        read_only: has("read-only"),
        wait: has("wait").then(|| Duration::from_millis(300)),
        ..Options::default()
    }
}

/// The name of the error and its message.
pub fn told(error: &kv::Error) -> String {
    let debug = format!("{error:?}");
    let end = debug.find(|c: char| !c.is_alphanumeric()).unwrap_or(debug.len());
    format!("{}: {error}", &debug[..end])
}

/// Sets a limit of this process.
pub fn limit(resource: libc::__rlimit_resource_t, bytes: u64) {
    limit_for_now(resource, bytes, bytes);
}

/// Sets a limit of this process that it can raise again, up to `most`.
pub fn limit_for_now(resource: libc::__rlimit_resource_t, bytes: u64, most: u64) {
    let limit = libc::rlimit64 {
        rlim_cur: bytes,
        rlim_max: most,
    };
    // SAFETY: a complete structure.
    let answer = unsafe { libc::setrlimit64(resource, &limit) };
    assert_eq!(answer, 0, "{}", std::io::Error::last_os_error());
}

/// Puts an entry and commits.
pub fn put(db: &Db, key: &[u8]) -> kv::Result<()> {
    let mut txn = db.begin_write(WriteOptions::default())?;
    txn.put(TableId::MAIN, key, b"value", PutMode::Set)?;
    txn.commit().map(|_| ())
}

#[cfg(target_arch = "x86_64")]
fn op(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    let code = code as u16;
    libc::sock_filter { code, jt, jf, k }
}

/// Begins a filter: the number of the system call is loaded.
#[cfg(target_arch = "x86_64")]
fn number() -> libc::sock_filter {
    op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0)
}

/// Ends a filter, or a way through it.
#[cfg(target_arch = "x86_64")]
fn answer(errno: Option<i32>) -> libc::sock_filter {
    let what = errno.map_or(libc::SECCOMP_RET_ALLOW, |errno| libc::SECCOMP_RET_ERRNO | errno as u32);
    op(libc::BPF_RET | libc::BPF_K, 0, 0, what)
}

/// Lets a filter decide about the system calls of this thread and of those that it starts.
#[cfg(target_arch = "x86_64")]
fn filter(mut program: Vec<libc::sock_filter>) {
    let filter = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the filter is complete and outlives the calls.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &filter), 0);
    }
}

/// Lets these system calls answer these errors in this thread and in those that it starts.
#[cfg(target_arch = "x86_64")]
pub fn refuse_calls(refused: &[(i64, i32)]) {
    let mut program = vec![number()];
    for (call, errno) in refused {
        program.push(op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, *call as u32));
        program.push(answer(Some(*errno)));
    }
    program.push(answer(None));
    filter(program);
}

/// Lets this error answer whoever opens a file for reading and writing.
#[cfg(target_arch = "x86_64")]
pub fn refuse_to_open_for_writing(errno: i32) {
    /// Where the low half of the third argument lies.
    const FLAGS: u32 = 16 + 2 * 8;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    filter(vec![
        number(),
        op(equal, 0, 4, libc::SYS_openat as u32),
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, FLAGS),
        op(
            libc::BPF_ALU | libc::BPF_AND | libc::BPF_K,
            0,
            0,
            libc::O_ACCMODE as u32,
        ),
        op(equal, 0, 1, libc::O_RDWR as u32),
        answer(Some(errno)),
        answer(None),
    ]);
}

/// Plays the roles that need nothing special: "write" opens, writes an entry and says "wrote" or its error; "hold" does
/// the same, and then keeps the database open until the test goes on.
pub fn play(role: &str, path: &Path) -> ! {
    let opened = Db::open(path, &options());
    let wrote = opened
        .as_ref()
        .map_err(told)
        .and_then(|db| put(db, format!("{}", std::process::id()).as_bytes()).map_err(|error| told(&error)));
    say(&wrote.err().unwrap_or_else(|| "wrote".to_string()));
    if role == "hold" {
        wait();
    }
    drop(opened);
    std::process::exit(0);
}
