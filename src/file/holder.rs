//! Who holds a lock: which process, as far as the system tells this one.
//!
//! A lock that belongs to an open file description names no process. Where `/proc` shows the descriptors of the
//! others, which it does for processes of the same user, the locks of each are listed there. This is slow, and done
//! only for a message.

use super::Identity;
use std::fs::{metadata, read_dir, read_to_string};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    /// The number of the process.
    pub pid: u32,
    /// Whether it was stopped by a signal or a debugger.
    pub stopped: bool,
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {}", self.pid)?;
        if let Ok(name) = read_to_string(format!("/proc/{}/comm", self.pid)) {
            write!(f, " ({})", name.trim_end())?;
        }
        match self.stopped {
            true => f.write_str(", which is stopped,"),
            false => Ok(()),
        }
    }
}

impl Holder {
    /// Returns what is known of a process.
    pub fn of(pid: u32) -> Holder {
        let stat = read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name of the program comes before, in parentheses, and may contain anything.
        let state = stat.rsplit_once(") ").and_then(|(_, after)| after.chars().next());
        Holder {
            pid,
            stopped: matches!(state, Some('T' | 't')),
        }
    }

    /// Looks for another process that has a lock on the byte at `offset` of this file.
    pub fn find(file: Identity, offset: i64) -> Option<Holder> {
        let this = std::process::id();
        let processes = read_dir("/proc").ok()?.flatten();
        let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        numbers
            .find(|pid| *pid != this && has_lock(*pid, file, offset))
            .map(Holder::of)
    }
}

/// Returns whether a descriptor of the process has a lock on the byte at `offset` of this file.
fn has_lock(pid: u32, file: Identity, offset: i64) -> bool {
    let Ok(descriptors) = read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors.flatten().any(|entry| {
        let facts = metadata(entry.path());
        let same = facts.is_ok_and(|facts| (facts.dev(), facts.ino()) == (file.device, file.inode));
        let info = || {
            Path::new("/proc")
                .join(pid.to_string())
                .join("fdinfo")
                .join(entry.file_name())
        };
        same && read_to_string(info()).is_ok_and(|text| names_lock(&text, offset))
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
        let this = Holder::of(std::process::id());
        assert!(!this.stopped && this.to_string().starts_with(&format!("process {} (", this.pid)));
    }
}
