//! The status numbers, and how an engine error becomes one.
//!
//! The numbers are part of the ABI: programs and bindings compare them, so none is ever changed or given again to
//! another meaning. Groups have gaps for later members.

use kv_engine::Error;
use std::borrow::Cow;
use std::ffi::{c_char, CStr, CString};

/// What a function returns: KV_OK or one of the negative numbers below.
///
/// @ingroup kv_errors
pub type kv_status = i32;

/// Success. @ingroup kv_errors
pub const KV_OK: kv_status = 0;

/// Expected: there is no such entry, no entry at this place, no further one in the range, or no such snapshot.
/// @ingroup kv_errors
pub const KV_NOTFOUND: kv_status = -1;
/// Expected: the key, name or file exists already. @ingroup kv_errors
pub const KV_EXISTS: kv_status = -2;
/// Expected: there is no table of this name or number (dropped, never created, or of another database).
/// @ingroup kv_errors
pub const KV_NO_TABLE: kv_status = -3;
/// Expected: another commit changed what was read. Reserved: no function of this version returns it. @ingroup kv_errors
pub const KV_CONFLICT: kv_status = -4;
/// Expected: the time to wait is over, or another call is using the handle. @ingroup kv_errors
pub const KV_BUSY: kv_status = -5;
/// Expected: the value is not the expected one. Reserved: no function of this version returns it. @ingroup kv_errors
pub const KV_MISMATCH: kv_status = -6;
/// Expected: the buffer is too small; kv_error_detail() tells how many bytes are needed. @ingroup kv_errors
pub const KV_TOO_SMALL: kv_status = -7;
/// Expected: with KV_APPEND, the key is not greater than every key of the table. @ingroup kv_errors
pub const KV_ORDER: kv_status = -8;
/// Expected: a callback, kv_interrupt() or kv_close() ended the call. @ingroup kv_errors
pub const KV_CANCELLED: kv_status = -9;

/// Usage: an argument is wrong, whatever the database contains. @ingroup kv_errors
pub const KV_INVALID: kv_status = -20;
/// Usage: the handle is NULL, closed, foreign or of another kind. @ingroup kv_errors
pub const KV_BAD_HANDLE: kv_status = -21;
/// Usage: a write through a read transaction, to a read-only database or to a read-only table. @ingroup kv_errors
pub const KV_READ_ONLY: kv_status = -22;
/// Usage: a kv_writer or a nested transaction was open when its transaction was committed, and the transaction was
/// aborted; or a transaction was used in which a nested one is open, which changes nothing.
/// @ingroup kv_errors
pub const KV_CHILD_OPEN: kv_status = -23;
/// Usage: an earlier failure spoiled this transaction; abort it, or go back to a savepoint. @ingroup kv_errors
pub const KV_TXN_FAILED: kv_status = -24;
/// Usage: a key, value, name, note, array or batch is beyond its limit. @ingroup kv_errors
pub const KV_TOO_BIG: kv_status = -25;
/// Usage: the value is of another type. Reserved: no function of this version returns it. @ingroup kv_errors
pub const KV_WRONG_TYPE: kv_status = -26;
/// Usage: this thread would wait for a write transaction of its own. @ingroup kv_errors
pub const KV_DEADLOCK: kv_status = -27;
/// Usage: the handle was opened before fork(); open the database again in the child. @ingroup kv_errors
pub const KV_FORKED: kv_status = -28;
/// Usage: not possible in this build, or not for this table, which a newer version made and this one can only read.
/// Nothing was changed, and the transaction goes on. @ingroup kv_errors
pub const KV_UNSUPPORTED: kv_status = -29;

/// Environment: the operating system returned an error; kv_error_detail() has its errno. @ingroup kv_errors
pub const KV_IO: kv_status = -40;
/// Environment: the disk or a quota is full, or a file size limit is reached; the database is as before.
///
/// @ingroup kv_errors
pub const KV_NO_SPACE: kv_status = -41;
/// Environment: memory could not be allocated. @ingroup kv_errors
pub const KV_NO_MEMORY: kv_status = -42;
/// Environment: permission denied. @ingroup kv_errors
pub const KV_ACCESS: kv_status = -43;
/// Environment: the file does not exist. @ingroup kv_errors
pub const KV_NO_FILE: kv_status = -44;
/// Environment: the file system does not provide the locks that are needed. @ingroup kv_errors
pub const KV_NO_LOCKS: kv_status = -45;
/// Environment: a limit of this build or process is reached: handles, readers, or the addresses that a file can grow
/// into. @ingroup kv_errors
pub const KV_LIMIT: kv_status = -46;
/// Environment: an earlier sync failed; close every handle of the database and open it again. @ingroup kv_errors
pub const KV_POISONED: kv_status = -47;
/// Environment: the commit may or may not survive; close the database and open it again to learn which.
/// @ingroup kv_errors
pub const KV_IN_DOUBT: kv_status = -48;

/// Contents: bytes in the file are not what was written. @ingroup kv_errors
pub const KV_CORRUPT: kv_status = -60;
/// Contents: the file is something else. @ingroup kv_errors
pub const KV_NOT_A_DATABASE: kv_status = -61;
/// Contents: a newer version of the library made the file. @ingroup kv_errors
pub const KV_TOO_NEW: kv_status = -62;
/// Contents: a version of the library made the file that is too old to be read. @ingroup kv_errors
pub const KV_TOO_OLD: kv_status = -63;
/// Contents: made against another base. Reserved: no function of this version returns it. @ingroup kv_errors
pub const KV_WRONG_BASE: kv_status = -64;

/// Internal: a bug in the library, which was caught; please report the message. @ingroup kv_errors
pub const KV_PANIC: kv_status = -90;

/// Every number with its name and a sentence: one table for `kv_status_name`, `kv_strerror` and the tests.
const NAMES: &[(kv_status, &CStr, &CStr)] = &[
    (KV_OK, c"KV_OK", c"done"),
    (KV_NOTFOUND, c"KV_NOTFOUND", c"not found"),
    (KV_EXISTS, c"KV_EXISTS", c"exists already"),
    (KV_NO_TABLE, c"KV_NO_TABLE", c"no such table"),
    (
        KV_CONFLICT,
        c"KV_CONFLICT",
        c"changed by another commit; repeat the transaction",
    ),
    (KV_BUSY, c"KV_BUSY", c"busy"),
    (KV_MISMATCH, c"KV_MISMATCH", c"the value is not the expected one"),
    (KV_TOO_SMALL, c"KV_TOO_SMALL", c"buffer too small"),
    (KV_ORDER, c"KV_ORDER", c"appended key is not behind the last one"),
    (KV_CANCELLED, c"KV_CANCELLED", c"cancelled"),
    (KV_INVALID, c"KV_INVALID", c"invalid argument"),
    (
        KV_BAD_HANDLE,
        c"KV_BAD_HANDLE",
        c"handle is NULL, closed, foreign or of another kind",
    ),
    (KV_READ_ONLY, c"KV_READ_ONLY", c"read only"),
    (
        KV_CHILD_OPEN,
        c"KV_CHILD_OPEN",
        c"a writer or a nested transaction is open",
    ),
    (
        KV_TXN_FAILED,
        c"KV_TXN_FAILED",
        c"the transaction failed earlier; abort it",
    ),
    (KV_TOO_BIG, c"KV_TOO_BIG", c"key, value or name too big"),
    (KV_WRONG_TYPE, c"KV_WRONG_TYPE", c"wrong type of value"),
    (
        KV_DEADLOCK,
        c"KV_DEADLOCK",
        c"this thread holds the write transaction it waits for",
    ),
    (
        KV_FORKED,
        c"KV_FORKED",
        c"handle was opened before fork; open again in the child",
    ),
    (KV_UNSUPPORTED, c"KV_UNSUPPORTED", c"unsupported"),
    (KV_IO, c"KV_IO", c"input/output error"),
    (KV_NO_SPACE, c"KV_NO_SPACE", c"no space left"),
    (KV_NO_MEMORY, c"KV_NO_MEMORY", c"out of memory"),
    (KV_ACCESS, c"KV_ACCESS", c"permission denied"),
    (KV_NO_FILE, c"KV_NO_FILE", c"no such file"),
    (KV_NO_LOCKS, c"KV_NO_LOCKS", c"the file system gives no locks"),
    (KV_LIMIT, c"KV_LIMIT", c"a limit is reached"),
    (
        KV_POISONED,
        c"KV_POISONED",
        c"an earlier sync failed; close and open again",
    ),
    (
        KV_IN_DOUBT,
        c"KV_IN_DOUBT",
        c"the commit may or may not survive; close and open again",
    ),
    (KV_CORRUPT, c"KV_CORRUPT", c"corrupt"),
    (KV_NOT_A_DATABASE, c"KV_NOT_A_DATABASE", c"not a kv database"),
    (KV_TOO_NEW, c"KV_TOO_NEW", c"made by a newer version"),
    (KV_TOO_OLD, c"KV_TOO_OLD", c"made by a version too old"),
    (KV_WRONG_BASE, c"KV_WRONG_BASE", c"made against another base"),
    (KV_PANIC, c"KV_PANIC", c"internal error, a bug in the library"),
];

fn entry(status: kv_status) -> Option<&'static (kv_status, &'static CStr, &'static CStr)> {
    NAMES.iter().find(|e| e.0 == status)
}

/// Returns the sentence for a number.
pub(crate) fn sentence(status: kv_status) -> &'static CStr {
    entry(status).map_or(c"unknown status", |e| e.2)
}

/// Returns the name of a status, such as "KV_NOTFOUND".
///
/// @return Static text, never NULL; "KV_?" for a number that this version does not know.
/// @ingroup kv_errors
#[no_mangle]
pub extern "C" fn kv_status_name(status: kv_status) -> *const c_char {
    entry(status).map_or(c"KV_?", |e| e.1).as_ptr()
}

/// Returns a status in words and without any detail, such as "not found".
///
/// @return Static text, never NULL; "unknown status" for a number that this version does not know.
/// @ingroup kv_errors
#[no_mangle]
pub extern "C" fn kv_strerror(status: kv_status) -> *const c_char {
    sentence(status).as_ptr()
}

/// Why a call fails, on its way to the caller.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An answer that is stored as its number alone.
    Plain(kv_status),
    /// A failure found on this side of the border, with its message.
    Here(kv_status, Cow<'static, str>),
    /// What the engine said.
    Engine(Error),
    /// A failure that concerns the file with this path, which cannot be found by the handle of the call any more.
    OfFile(Box<(CString, Failure)>),
    /// A buffer of the caller is too small. That happens in loops, so nothing is formatted unless somebody asks.
    TooSmall {
        /// How many bytes are needed.
        needed: u64,
        /// How many the caller has offered.
        offered: u64,
    },
    /// A handle is refused: its bits, and the number of the kind that was wanted.
    Refused(usize, u8),
}

/// What the body of an exported function answers.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error {
            Error::NotFound => Failure::Plain(KV_NOTFOUND),
            other => Failure::Engine(other),
        }
    }
}

impl Failure {
    /// There is no such entry.
    pub(crate) const NOTFOUND: Failure = Failure::Plain(KV_NOTFOUND);

    /// Makes a `KV_INVALID` that says what is wrong and, if possible, what to do.
    #[cold]
    pub(crate) fn invalid(message: &'static str) -> Failure {
        Failure::Here(KV_INVALID, Cow::Borrowed(message))
    }

    /// Makes a failure with a message of this side of the border.
    #[cold]
    pub(crate) fn here(status: kv_status, message: &'static str) -> Failure {
        Failure::Here(status, Cow::Borrowed(message))
    }

    /// Makes a `KV_TOO_SMALL`.
    #[cold]
    pub(crate) fn too_small(needed: usize, offered: usize) -> Failure {
        Failure::TooSmall {
            needed: needed as u64,
            offered: offered as u64,
        }
    }

    /// Returns the number that the caller gets.
    pub(crate) fn status(&self) -> kv_status {
        match self {
            Failure::Plain(status) | Failure::Here(status, _) => *status,
            Failure::Engine(error) => status_of(error),
            Failure::OfFile(both) => both.1.status(),
            Failure::TooSmall { .. } => KV_TOO_SMALL,
            Failure::Refused(..) => KV_BAD_HANDLE,
        }
    }
}

/// Makes the answer that there is no such entry. A function and not the constant, which would have to be dropped where
/// it is not needed.
#[inline(always)]
pub(crate) fn not_found() -> Failure {
    Failure::NOTFOUND
}

/// Maps an engine error to its number. This is the only such mapping.
pub(crate) fn status_of(error: &Error) -> kv_status {
    match error {
        Error::NotFound => KV_NOTFOUND,
        Error::Exists(_) | Error::FileExists(_) => KV_EXISTS,
        Error::NoTable(_) => KV_NO_TABLE,
        Error::Busy(_) => KV_BUSY,
        Error::Order(_) => KV_ORDER,
        Error::Cancelled => KV_CANCELLED,
        Error::Invalid(_) => KV_INVALID,
        Error::BadHandle(_) => KV_BAD_HANDLE,
        Error::ReadOnly(_) => KV_READ_ONLY,
        Error::TxnFailed(_) => KV_TXN_FAILED,
        Error::TooBig { .. } => KV_TOO_BIG,
        Error::Forked => KV_FORKED,
        Error::Unsupported(_) => KV_UNSUPPORTED,
        Error::Io(_) => KV_IO,
        Error::NoSpace(_) => KV_NO_SPACE,
        Error::NoMemory(_) | Error::NoMemoryFor(_) => KV_NO_MEMORY,
        Error::Access(_) => KV_ACCESS,
        Error::NoFile(_) => KV_NO_FILE,
        Error::NoLocks(_) => KV_NO_LOCKS,
        Error::Limit(_) | Error::Outgrown { .. } => KV_LIMIT,
        Error::Poisoned => KV_POISONED,
        Error::InDoubt(_) => KV_IN_DOUBT,
        Error::Corrupt(_) => KV_CORRUPT,
        Error::NotADatabase(_) => KV_NOT_A_DATABASE,
        Error::TooNew(_) => KV_TOO_NEW,
        Error::TooOld(_) => KV_TOO_OLD,
        Error::Panic(_) => KV_PANIC,
    }
}
