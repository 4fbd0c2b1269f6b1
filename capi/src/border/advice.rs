//! What a message tells to do next. It depends on the function that failed: whoever cannot open a file cannot check it,
//! and whoever has just checked one need not be told to.

use kv_engine::Error;
use std::ffi::CStr;

/// Returns what to do after an error of the engine; "" if the text of the error says it already.
pub(super) fn after(function: &CStr, error: &Error) -> &'static str {
    let name = function.to_bytes();
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
        Error::Exists(_) => "put without KV_NO_OVERWRITE to replace its value",
        Error::NoFile(_) if copies => "look whether the path is right and its directory is there",
        Error::NoFile(_) => {
            "look whether the path is right and its directory is there; to create the file, open it without \
             KV_OPEN_EXISTING and KV_OPEN_READ_ONLY"
        }
        Error::Access(_) if opens => {
            "look at the permissions of the file and of its directory, and whether the file system is mounted read-only; \
             KV_OPEN_READ_ONLY needs no permission to write"
        }
        Error::Access(_) => {
            "look at the permissions of the file and of its directory, and whether the file system is mounted read-only"
        }
        Error::NotADatabase(_) => "look whether the path is right; libkv changes nothing in it",
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
        Error::Cancelled => "kv_interrupt or kv_close ended the wait; nothing was changed",
        Error::TooBig { .. } => "split it, or store a shorter one",
        Error::Unsupported(_) => "use the version of libkv that made it, or a newer one",
        Error::Panic(_) => "this is a bug in libkv: please report this text; abort the transaction",
        _ => "",
    }
}
