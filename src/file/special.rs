//! What has the name of a file and cannot hold a database: devices, pipes, sockets, directories, and files that are not
//! on any disk, in which the system tells something or takes orders.

use super::calls;
use super::peers::{is_memory, MEMORY};
use crate::error::{Detail, Error, Result};
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::Path;

/// File systems whose files are no data, by their numbers in `statfs(2)`. A file there says that it is a regular one,
/// and to write into it may give the system an order, or change the memory of a process.
const NO_DATA: [u64; 22] = [
    0x9fa0,      // proc
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x6265_6570, // configfs
    0xde5e_81e4, // efivarfs
    0xcafe_4a11, // bpf
    0x4249_4e4d, // binfmt_misc
    0x6e73_6673, // nsfs
    0x6165_676c, // pstore
    0x6573_5543, // fusectl
    0x0765_5821, // resctrl
    0x1cd1,      // devpts
    0x1980_0202, // mqueue
    0xabba_1974, // xenfs
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
];

/// Refuses what is no file by its name, before it is opened: to open a device may do something. A directory, and what
/// cannot be looked at, is left to the opening, which says why.
///
/// # Errors
/// `NotADatabase`.
pub(super) fn refuse_by_name(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() && !facts.is_dir() => Err(special(&facts, path)),
        _ => Ok(()),
    }
}

/// Refuses a name that a new file cannot take from what has it: a device that is replaced by a file is lost to the
/// whole machine. A link counts as what it leads to; one that leads nowhere can be replaced.
///
/// # Errors
/// `NotADatabase`.
pub(super) fn refuse_to_replace(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(facts) if !facts.is_file() => Err(special(&facts, path)),
        Ok(_) if begins_as_memory(path) => Err(Error::NotADatabase(Detail::of_file(MEMORY, path, None))),
        _ => Ok(()),
    }
}

/// Returns whether the file is the shared memory of a database: processes that have that open would be divided.
fn begins_as_memory(path: &Path) -> bool {
    let mut begin = [0; 8];
    File::open(path)
        .and_then(|file| file.read_exact_at(&mut begin, 0))
        .is_ok()
        && is_memory(&begin)
}

/// Returns the facts of a file that was opened, if it is one that can hold data.
///
/// # Errors
/// `NotADatabase`, `Io`.
pub(super) fn regular(file: &File, path: &Path) -> Result<Metadata> {
    let facts = file.metadata();
    let facts = facts.map_err(|e| Error::io("look at the file", e).of_file(path))?;
    if !facts.is_file() {
        return Err(special(&facts, path));
    }
    if calls::file_system(file).is_some_and(|number| NO_DATA.contains(&number)) {
        let what = "it is on no disk: the system shows it as a file, as those in /proc and /sys";
        return Err(Error::NotADatabase(Detail::of_file(what, path, None)));
    }
    Ok(facts)
}

#[cold]
fn special(facts: &Metadata, path: &Path) -> Error {
    let kind = facts.file_type();
    let what = match () {
        () if kind.is_dir() => "it is a directory and no file",
        () if kind.is_char_device() => "it is a character device and no file",
        () if kind.is_block_device() => "it is a block device and no file",
        () if kind.is_fifo() => "it is a pipe and no file",
        () if kind.is_socket() => "it is a socket and no file",
        () => "it is not a regular file",
    };
    Error::NotADatabase(Detail::of_file(what, path, None))
}
