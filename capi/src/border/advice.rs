//! What a message tells to do next. It depends on the function that failed: whoever cannot open a file cannot check it,
//! and whoever has just checked one need not be told to.

use kv_engine::{Error, Foreign};
use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;

/// Returns what to do after an error of the engine; "" if the text of the error says it already.
pub(super) fn after(function: &CStr, error: &Error) -> Cow<'static, str> {
    match error.room() {
        Some(room) => Cow::Owned(after_no_space(function.to_bytes(), room)),
        None => Cow::Borrowed(after_other(function.to_bytes(), error)),
    }
}

/// Returns what to do where space is lacking. What makes room is only half of it: a transaction that met this is
/// spoiled.
fn after_no_space(name: &[u8], room: &str) -> String {
    let alone = [
        &b"kv_db_"[..],
        b"kv_open",
        b"kv_backup",
        b"kv_salvage",
        b"kv_txn_begin",
        b"kv_sync",
        b"kv_close",
    ];
    if name.starts_with(b"kv_txn_commit") {
        return format!("nothing was committed: {room} and begin again");
    }
    match alone.iter().any(|function| name.starts_with(function)) {
        true => format!("{room} and repeat"),
        false => format!("abort this transaction, {room}, and begin again"),
    }
}

fn after_other(name: &[u8], error: &Error) -> &'static str {
    let opens = name == b"kv_open";
    let copies = name.windows(6).any(|part| part == b"backup") || name == b"kv_salvage";
    match error {
        Error::Corrupt(_) if opens => "it cannot be opened: save what is left with kv_salvage, or restore a backup",
        Error::Corrupt(_) if name.ends_with(b"check") => "restore a backup, or save what is left with kv_salvage",
        Error::Corrupt(_) => {
            "run kv_check to learn what else is damaged, then restore a backup or save what is left with kv_salvage"
        }
        Error::FileExists(_) if copies => "give KV_JOB_OVERWRITE to replace it, or another name",
        Error::FileExists(_) => "open it without KV_OPEN_NEW, or choose another name",
        Error::Exists(_) if name.starts_with(b"kv_table") => "open it without KV_TABLE_NEW, or choose another name",
        Error::Exists(_) if name.starts_with(b"kv_snapshot") => {
            "give KV_SNAPSHOT_REPLACE to replace it, or choose another name"
        }
        Error::Exists(_) if name == b"kv_revert" => {
            "rename or drop that one, or go back with all tables"
        }
        Error::Exists(_) => "put without KV_NO_OVERWRITE to replace its value",
        // What else is wrong with a call on a snapshot is said on this side of the border.
        Error::Invalid(_) if name == b"kv_snapshot_thin" => "",
        Error::Invalid(_) if name.starts_with(b"kv_snapshot_") || name == b"kv_stat_snapshot" => {
            "give 1 to 512 bytes, of which the first is another one"
        }
        // Without one of these flags, a file that is missing is made if its directory is there.
        Error::NoFile(missing) if opens && missing.is_empty() && error.raw_os_error() == Some(libc::ENOENT) => {
            "look whether the path is right; to create the file, open it without KV_OPEN_EXISTING or KV_OPEN_READ_ONLY, \
             whichever was given"
        }
        Error::NoFile(_) => "look whether the path is right",
        Error::Access(_) if opens && may_be_read(error) => {
            "look at the permissions of the file and of its directory, and whether the file system is mounted read-only; \
             KV_OPEN_READ_ONLY needs no permission to write"
        }
        Error::Access(_) => {
            "look at the permissions of the file and of its directory, and whether the file system is mounted read-only"
        }
        Error::NotADatabase(_) => match error.foreign() {
            // The text says it.
            Some(Foreign::Memory) => "",
            Some(Foreign::Headless) if opens => {
                "look whether the path is right; if it was a database, its head is destroyed: try kv_salvage"
            }
            Some(Foreign::Empty) => {
                "look whether the path is right, or open it without KV_OPEN_EXISTING and KV_OPEN_READ_ONLY"
            }
            _ => "look whether the path is right; libkv changes nothing in it",
        },
        Error::Io(_) => match error.raw_os_error() {
            _ if name == b"kv_backup_stream" => "if `write` answered this errno, look there; otherwise look at the disk",
            Some(libc::EIO) => "look at the disk and at the log of the system (dmesg), then repeat",
            Some(libc::EMFILE) => "close files, or raise the limit (RLIMIT_NOFILE, `ulimit -n`)",
            Some(libc::ENFILE) => "the whole system has too many files open (fs.file-max)",
            _ => "look at what the system says of this errno and in its log (dmesg), then repeat",
        },
        Error::NoMemory(_) => "end transactions or close databases, and repeat",
        Error::NoMemoryFor(_) => "raise the limit, end transactions or close databases, and repeat",
        Error::Cancelled if copies || name.ends_with(b"check") => {
            "the progress function, another callback or kv_interrupt asked to stop; nothing was left half-done"
        }
        Error::Cancelled if name == b"kv_compact" => {
            "the progress function, kv_interrupt or kv_close asked to stop; what was given back stays so"
        }
        Error::Cancelled => "kv_interrupt or kv_close ended the wait; nothing was changed",
        Error::TooBig { what: "value", .. } => "split it, or store a shorter one",
        Error::TooBig { .. } => "give a shorter one",
        Error::TxnFailed(_) if name.starts_with(b"kv_txn_commit") => {
            "it was aborted, and nothing was committed; begin another"
        }
        Error::TxnFailed(_) => "abort it and begin another",
        Error::Unsupported(_) => "use the version of libkv that made it, or a newer one",
        Error::Panic(_) => "this is a bug in libkv: please report this text; abort the transaction",
        _ => "",
    }
}

/// Returns whether the file in question is there and may be read, so that opening it without a right to write helps.
fn may_be_read(error: &Error) -> bool {
    let path = error
        .file()
        .and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
    // As the user who opens files, who is another than the one who started a set-user-ID program.
    let (here, who) = (libc::AT_FDCWD, libc::AT_EACCESS);
    // SAFETY: a C string that lives as long as the call.
    path.is_some_and(|path| unsafe { libc::faccessat(here, path.as_ptr(), libc::R_OK, who) } == 0)
}
