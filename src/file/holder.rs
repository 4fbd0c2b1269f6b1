//! Who holds a lock: which process, as far as the system tells this one.
//!
//! A lock that belongs to an open file description names no process. Where `/proc` shows the descriptors of the
//! others, which it does for processes of the same user, the locks of each are listed there. This is slow, and done
//! only for a message.

use super::Identity;
use std::ffi::OsStr;
use std::fs::{metadata, read_dir, read_link, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// The number of the process, as `/proc` has it here.
    pub pid: u32,
    /// The number that the process itself knows. In a container of its own it is another one.
    pub inner: u32,
    /// Whether it was stopped by a signal or a debugger.
    pub stopped: bool,
    /// The name of its program.
    name: Option<String>,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Some(name) = &self.name {
            write!(f, " ({name})")?;
        }
        match self.stopped {
            true => f.write_str(", which is stopped,"),
            false => Ok(()),
        }
    }
}

impl Holder {
    /// Returns what `/proc` knows of the process that it lists under this number.
    fn of(pid: u32) -> Holder {
        let status = read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        // The numbers of a process are listed from the outermost container that is seen to its own.
        let inner = line("NSpid:").and_then(|numbers| numbers.split_whitespace().last()?.parse().ok());
        let name = read_to_string(format!("/proc/{pid}/comm")).ok();
        Holder {
            pid,
            inner: inner.unwrap_or(pid),
            stopped: line("State:").is_some_and(|state| state.trim_start().starts_with(['T', 't'])),
            name: name.map(|name| name.trim_end().to_string()),
        }
    }

    /// Returns what is known of a process whose number the system told this process.
    pub fn told(pid: u32) -> Holder {
        if own_number() == Some(std::process::id()) {
            return Holder::of(pid);
        }
        // Here, `/proc` is that of another container and lists some other process under this number, or none.
        Holder {
            pid,
            inner: pid,
            stopped: false,
            name: None,
        }
    }

    /// Looks for another process that has a lock on the byte at `offset` of this file.
    pub fn find(file: Identity, offset: i64) -> Option<Holder> {
        let this = own_number();
        let processes = read_dir("/proc").ok()?.flatten();
        let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers
            .find(|pid| Some(*pid) != this && has_lock(*pid, file, offset))
            .map(Holder::of)
    }
}

/// Returns the number of this process in `/proc`, which may be that of another container.
fn own_number() -> Option<u32> {
    read_link("/proc/self").ok()?.to_str()?.parse().ok()
}

/// Returns whether a descriptor of the process has a lock on the byte at `offset` of this file.
fn has_lock(pid: u32, file: Identity, offset: i64) -> bool {
    let of_process = |folder: &str, descriptor: &OsStr| -> PathBuf {
        Path::new("/proc").join(pid.to_string()).join(folder).join(descriptor)
    };
    let Ok(descriptors) = read_dir(of_process("fd", OsStr::new(""))) else {
        return false;
    };
    // What the system lists of a descriptor is in its own memory. Its file is asked only if such a lock is listed: file
    // systems that do not answer any more (of a network, or in user space) would never let this thread go.
    descriptors.flatten().any(|entry| {
        let info = read_to_string(of_process("fdinfo", &entry.file_name()));
        let facts = || metadata(of_process("fd", &entry.file_name()));
        info.is_ok_and(|text| names_lock(&text, offset))
            && facts().is_ok_and(|facts| (facts.dev(), facts.ino()) == (file.device, file.inode))
    })
}

/// Returns whether the lines about a descriptor list a lock on the byte at `offset`. Such a line ends in the first and
/// the last byte of the lock.
fn names_lock(lines: &str, offset: i64) -> bool {
    lines.lines().filter_map(|line| line.strip_prefix("lock:")).any(|lock| {
        let mut words = lock.split_whitespace().rev();
        let (last, first) = (words.next(), words.next().and_then(|word| word.parse::<i64>().ok()));
        let last = match last {
            Some("EOF") => Some(i64::MAX),
            last => last.and_then(|word| word.parse().ok()),
        };
        matches!((first, last), (Some(first), Some(last)) if first <= offset && offset <= last)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_locks_are_understood() {
        let lines = "pos:\t0\nflags:\t02\nlock:\t1: OFDLCK ADVISORY  WRITE -1 fe:00:123 77 79\n";
        assert!(names_lock(lines, 77) && names_lock(lines, 79));
        assert!(!names_lock(lines, 76) && !names_lock(lines, 80));
        assert!(names_lock("lock:\t1: POSIX ADVISORY READ 12 00:1:2 5 EOF", 1 << 61));
        assert!(!names_lock("pos: 77 77\nlock:\n", 77));
        let this = Holder::of(own_number().expect("this process is listed"));
        assert!(!this.stopped && this.to_string().starts_with(&format!("process {} (", this.pid)));
        assert_eq!(this.inner, std::process::id());
    }
}
