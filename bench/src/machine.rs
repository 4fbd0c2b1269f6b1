//! What the system tells of this process and this machine, and what it is asked for: bytes written, memory, load, the
//! scheduler, a memory limit.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The number behind a name in a file of lines `name: number ...`.
fn field(path: &str, name: &str) -> u64 {
    let lines = text(path);
    let line = lines
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Bytes that this process has handed to the system to be written. (Its count of bytes that go to a disk is no use: it
/// counts a whole large folio of the page cache when one page of it is changed.)
pub fn written() -> u64 {
    field("/proc/self/io", "wchar")
}

/// Most resident memory since the last `forget_peak`, and resident memory now.
pub fn peak_resident() -> u64 {
    field("/proc/self/status", "VmHWM") << 10
}

fn resident() -> u64 {
    field("/proc/self/status", "VmRSS") << 10
}

fn heap() -> u64 {
    field("/proc/self/status", "RssAnon") << 10
}

/// The load average of the last minute.
pub fn load_average() -> f64 {
    let line = text("/proc/loadavg");
    line.split_whitespace()
        .next()
        .and_then(|load| load.parse().ok())
        .unwrap_or(0.0)
}

/// Watches how much memory this process has.
pub struct Watch {
    resident: u64,
    heap: u64,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(u64, u64)>,
}

/// What a `Watch` saw: how much more than at its beginning, and what the watching cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    pub heap: u64,
    pub resident: u64,
    pub cpu: u64,
}

impl Watch {
    pub fn new() -> Watch {
        // SAFETY: gives back memory that nobody uses, so that what is needed from here on is seen.
        unsafe { libc::malloc_trim(0) };
        // "5" resets the peak of resident memory.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            while !told.load(Ordering::Relaxed) {
                most = most.max(heap());
                std::thread::sleep(Duration::from_millis(5));
            }
            (most.max(heap()), crate::clock::worked_by_thread())
        });
        Watch {
            resident: resident(),
            heap: heap(),
            stop,
            thread,
        }
    }

    pub fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let (most, cpu) = self.thread.join().unwrap_or_default();
        Seen {
            heap: most.saturating_sub(self.heap),
            resident: peak_resident().saturating_sub(self.resident),
            cpu,
        }
    }
}

/// Runs `work` under the scheduler's FIFO policy if that is permitted, and says whether it was: otherwise a commit that
/// waits for the disk measures how long others keep the processor.
pub fn urgently<T>(wanted: bool, work: impl FnOnce() -> T) -> (T, bool) {
    let set = |policy, priority| {
        let param = libc::sched_param {
            sched_priority: priority,
        };
        // SAFETY: this thread, a policy and its priority.
        unsafe { libc::sched_setscheduler(0, policy, &param) == 0 }
    };
    let fifo = wanted && set(libc::SCHED_FIFO, 1);
    let done = work();
    if fifo {
        set(libc::SCHED_OTHER, 0);
    }
    (done, fifo)
}

/// Calls `see` with every file below a directory.
fn files(dir: &Path, see: &mut impl FnMut(&Path, &std::fs::Metadata)) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => files(&entry.path(), see),
            Ok(metadata) => see(&entry.path(), &metadata),
            Err(_) => {}
        }
    }
}

/// Bytes of the files below a directory.
pub fn bytes_of(dir: &Path) -> u64 {
    let mut sum = 0;
    files(dir, &mut |_, metadata| sum += metadata.len());
    sum
}

/// Makes the system forget what it has of the files below a directory in memory.
pub fn evict(dir: &Path) {
    use std::os::fd::AsRawFd;
    files(dir, &mut |path, _| {
        if let Ok(file) = std::fs::File::open(path) {
            let _ = file.sync_all();
            // SAFETY: an open file.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
    });
}

/// A group of processes whose memory, page cache included, is limited.
#[derive(Debug, Clone)]
pub struct Limit {
    dir: PathBuf,
    pub bytes: u64,
}

impl Limit {
    /// Makes one, of the control groups of version 2 or else 1.
    pub fn new(bytes: u64) -> Result<Limit, String> {
        let name = format!("kv-bench-{}", std::process::id());
        let ways = [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ];
        let mut why = String::new();
        for (root, file) in ways {
            let dir = Path::new(root).join(&name);
            let made = std::fs::create_dir(&dir).and_then(|()| {
                if dir.join(file).exists() {
                    std::fs::write(dir.join(file), bytes.to_string())
                } else {
                    Err(std::io::Error::other("no memory controller"))
                }
            });
            match made {
                Ok(()) => return Ok(Limit { dir, bytes }),
                Err(error) => {
                    why += &format!("{}: {error}; ", dir.join(file).display());
                    let _ = std::fs::remove_dir(&dir);
                }
            }
        }
        Err(why)
    }

    /// Puts this process into it. It stays there until it ends.
    pub fn enter(&self) {
        let joined = std::fs::write(self.dir.join("cgroup.procs"), std::process::id().to_string());
        joined.unwrap_or_else(|error| panic!("{}: {error}", self.dir.display()));
    }

    pub fn remove(&self) {
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// What the machine is, for the head of the results.
pub fn description() -> Vec<(&'static str, String)> {
    let cpus = text("/proc/cpuinfo");
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = field("/proc/meminfo", "MemTotal") as f64 / f64::from(1 << 20);
    let os = text("/etc/os-release");
    let os = os
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or("unknown", |name| name.trim_matches('"'));
    vec![
        ("cpu", format!("{count} x {model}")),
        ("memory", format!("{memory:.1} GiB")),
        ("kernel", text("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("system", os.to_owned()),
    ]
}

/// The type of the file system of a directory, and its device.
pub fn file_system(dir: &Path) -> String {
    let dir = dir.canonicalize().unwrap_or_else(|_| dir.to_owned());
    let mounts = text("/proc/self/mounts");
    let best = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (device, point, kind) = (words.next()?, words.next()?, words.next()?);
            dir.starts_with(point)
                .then(|| (point.len(), format!("{kind} on {device}")))
        })
        .max_by_key(|(len, _)| *len);
    best.map_or_else(|| "unknown".to_owned(), |(_, name)| name)
}

/// The date, as year-month-day.
pub fn date() -> String {
    // SAFETY: a time and a struct to be filled.
    let time = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut time = std::mem::zeroed();
        libc::gmtime_r(&now, &mut time);
        time
    };
    format!("{}-{:02}-{:02}", time.tm_year + 1900, time.tm_mon + 1, time.tm_mday)
}
