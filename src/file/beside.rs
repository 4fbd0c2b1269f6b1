//! The file of shared memory beside a database: its name, and why it may not be found there.

use super::lock::{self, Byte};
use super::peers::{is_memory, DEVICE, HEADER, INODE};
use super::Identity;
use std::ffi::{OsStr, OsString};
use std::fs::{read_to_string, remove_file, symlink_metadata, File};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is put behind the name of the database.
const SUFFIX: &str = "-shm";

/// Returns the name of the memory beside `path`, which is a name of `file`. It is that of the database with `-shm`
/// behind it. Where that is longer than names may be, the memory is called by a hash of the name. Every process must
/// find the same name.
pub(super) fn name(path: &Path, file: &impl AsFd) -> PathBuf {
    let own = path.file_name().unwrap_or_default();
    let mut name = OsString::from(own);
    name.push(SUFFIX);
    if name.len() > super::names::longest_name(file.as_fd()) {
        name = format!(".kv-{:016x}{SUFFIX}", hash(own)).into();
    }
    path.with_file_name(name)
}

/// Returns the FNV-1a hash of a name, which is the same in every version and on every machine.
fn hash(name: &OsStr) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Removes the memory that was left over for the data file `of`. Nobody may be using that file. Returns false if there
/// is none, or if it cannot be removed; what is not memory of that file is left alone.
pub(super) fn remove_left_over(name: &Path, of: Identity) -> bool {
    is_memory_of(name, of) && remove_file(name).is_ok()
}

/// Returns whether a file with this name is there, and is memory of the data file `of`.
fn is_memory_of(name: &Path, of: Identity) -> bool {
    let mut options = File::options();
    options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let mut head = [0; 8 * HEADER];
    let read = options.open(name).and_then(|file| file.read_exact_at(&mut head, 0));
    let is_word = |at: usize, value: u64| head[8 * at..].starts_with(&value.to_ne_bytes());
    read.is_ok() && is_memory(&head) && is_word(DEVICE, of.device) && is_word(INODE, of.inode)
}

/// Why somebody must stay outside for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Members have the file open, and this process may only read it.
    Members,
    /// Observers read the file.
    Observers,
    /// Somebody has the file alone, or recovers it.
    Alone,
    /// The memory of the members is not under its name.
    Lost,
    /// The memory of the members has another layout.
    OtherVersion,
}

/// A database and the memory beside it, as an opener finds them.
pub(super) struct Site<'a> {
    /// The data file, and which one it is.
    pub file: BorrowedFd<'a>,
    pub of: Identity,
    /// The real name of the data file.
    pub path: &'a Path,
    /// The name of the memory.
    pub name: &'a Path,
}

impl Site<'_> {
    /// Puts a refusal into words, with the process that is to blame if the system tells which. This is slow.
    pub fn explain(&self, refusal: Refusal) -> String {
        let byte = match refusal {
            Refusal::Observers => Byte::Observe,
            _ => Byte::Alive,
        };
        let who = match lock::holder(self.file, self.of, byte) {
            Some(process) => process.to_string(),
            None => "a process that cannot be seen from here".to_string(),
        };
        match refusal {
            Refusal::Members => {
                format!("{who} has it open for writing; to read beside it, write permission is needed")
            }
            Refusal::Observers => {
                format!("{who} reads it and has no permission to write; it must close it first")
            }
            // Of a process that has come or gone meanwhile, there may be memory by now.
            Refusal::Alone if is_memory_of(self.name, self.of) => {
                format!("{who} is just opening, recovering or closing it")
            }
            Refusal::Alone => format!(
                "{who} is just opening, recovering or closing it, or has it open alone, because it could not make the \
                 shared memory beside it ({})",
                in_the_way(self.name)
            ),
            Refusal::OtherVersion => {
                format!("{who} has it open with another version of libkv, which shares memory of another form")
            }
            Refusal::Lost if is_mount_point(self.path) => format!(
                "it is mounted by itself, and {who} has the same file open elsewhere, with {} where it cannot be \
                 found from here; mount its directory instead of the single file",
                self.shm_name()
            ),
            Refusal::Lost => format!(
                "{who} has it open, and its shared memory is not {}: that was removed or replaced, or the \
                 database was opened through a hard link or a mount of the single file; close it everywhere",
                self.name.display()
            ),
        }
    }

    fn shm_name(&self) -> std::path::Display<'_> {
        self.name
            .file_name()
            .map_or(self.name.display(), |name| Path::new(name).display())
    }
}

/// Says what lies under the name of the memory, if that can be in the way of somebody.
fn in_the_way(name: &Path) -> String {
    match symlink_metadata(name) {
        Ok(facts) => {
            let kind = facts.file_type();
            let kind = match (kind.is_file(), kind.is_dir(), kind.is_symlink()) {
                (true, ..) => "a file",
                (_, true, _) => "a directory",
                (.., true) => "a link",
                _ => "a special file",
            };
            format!(
                "{} is {kind} of user {}; if no database uses it, remove it",
                name.display(),
                facts.uid()
            )
        }
        Err(_) => format!(
            "{} is not there; it needs permission to create files, and space",
            name.display()
        ),
    }
}

/// Returns whether something is mounted at just this path, as far as the system tells. `path` must be the real one.
fn is_mount_point(path: &Path) -> bool {
    let mounts = read_to_string("/proc/self/mountinfo").unwrap_or_default();
    mounts
        .lines()
        .any(|line| mounted_at(line).is_some_and(|at| at == path.as_os_str().as_bytes()))
}

/// Returns where the mount that a line of `mountinfo` describes is mounted. Blanks and the like are written as three
/// octal digits there.
fn mounted_at(line: &str) -> Option<Vec<u8>> {
    let mut bytes = line.split(' ').nth(4)?.bytes();
    let mut path = Vec::new();
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'\\' => {
                let mut digit = || bytes.next().map(|digit| digit.wrapping_sub(b'0') & 7);
                digit()? << 6 | digit()? << 3 | digit()?
            }
            byte => byte,
        });
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_enough_and_mounts_are_found() {
        let file = std::fs::File::open("/dev/null").expect("open");
        let beside = |name_of: &str| name(&Path::new("/a").join(name_of), &file);
        assert_eq!(beside("b.kv"), Path::new("/a/b.kv-shm"));
        assert_eq!(beside(&"x".repeat(251)), Path::new("/a").join("x".repeat(251) + "-shm"));
        let (long, other) = (beside(&"x".repeat(252)), beside(&"x".repeat(253)));
        assert!(long != other && long.as_os_str().len() < 40, "{}", long.display());
        let line = r"36 35 98:0 /mnt1 /mnt\040two\134 rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mounted_at(line), Some(b"/mnt two\\".to_vec()));
        assert!(is_mount_point(Path::new("/proc")) && !is_mount_point(Path::new("/proc/self")));
        let owner = std::fs::metadata("/dev/null").expect("facts").uid();
        let said = in_the_way(Path::new("/dev/null"));
        assert!(said.contains(&format!("a special file of user {owner};")), "{said}");
    }
}
