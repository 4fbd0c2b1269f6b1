//! What the last failure on this thread was, and the guard around every exported function.
//!
//! `KV_NOTFOUND` and `KV_TOO_SMALL` happen in loops: they store their number and nothing is formatted. But they do store
//! it, so that a message printed after them is not that of an older failure.

use crate::border::arg;
use crate::border::process;
use crate::border::status::{kv_status, sentence, Failure, Outcome, KV_NOTFOUND, KV_OK, KV_PANIC, KV_TOO_SMALL};
use crate::border::types::KV_NONE;
use kv_engine::{Error, PageNo, TableId};
use std::cell::RefCell;
use std::ffi::{c_char, CStr, CString};
use std::panic::{catch_unwind, AssertUnwindSafe};

/// Detail of a thread's last failure, filled by kv_error_detail().
///
/// @ingroup kv_errors
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_error {
    /// sizeof(kv_error), set by the caller.
    pub struct_size: u32,
    /// The status that was answered; KV_OK if no call of this thread failed yet.
    pub status: kv_status,
    /// errno of the system call that failed, 0 if none did.
    pub sys_errno: i32,
    /// Zero.
    pub reserved: u32,
    /// Page that is damaged, KV_NONE if no page is to blame.
    pub page: u64,
    /// Table in question, KV_NONE if unknown.
    pub table: u64,
    /// After KV_TOO_SMALL: bytes that are needed. Otherwise 0.
    pub needed: u64,
    /// Name of the function that failed, "" if none did. Static.
    pub function: *const c_char,
    /// What kv_error_message() returns; valid as long as that.
    pub message: *const c_char,
}

// SAFETY: repr(C), struct_size first; zero is a value of integers and pointers alike.
unsafe impl arg::Growing for kv_error {}

/// A thread's last failure.
struct Last {
    status: kv_status,
    errno: i32,
    page: u64,
    table: u64,
    needed: u64,
    function: &'static CStr,
    /// `None`: the status's own sentence says it all.
    message: Option<CString>,
}

thread_local! {
    static LAST: RefCell<Last> = const {
        RefCell::new(Last {
            status: KV_OK,
            errno: 0,
            page: KV_NONE,
            table: KV_NONE,
            needed: 0,
            function: c"",
            message: None,
        })
    };
}

/// Runs the body of an exported function: stores a failure for `kv_error_message`, catches a panic, answers the status.
#[inline(always)]
pub(crate) fn guard(function: &'static CStr, body: impl FnOnce() -> Outcome) -> kv_status {
    // What leaves the closure leaves through memory: a status is less than an outcome.
    let status = move || match body() {
        Ok(()) => KV_OK,
        Err(Failure::Plain(status)) => plain(function, status),
        Err(failure) => store(function, &failure),
    };
    match catch_unwind(AssertUnwindSafe(status)) {
        Ok(status) => status,
        Err(_) => store(function, &Failure::Engine(Error::Panic(process::take_panic()))),
    }
}

/// Does as [`guard`] for functions that return nothing: a failure is stored, and nobody is told.
pub(crate) fn guard_void(function: &'static CStr, body: impl FnOnce() -> Outcome) {
    let _ = guard(function, body);
}

/// Stores an answer that is its number and nothing else.
#[inline(never)]
fn plain(function: &'static CStr, status: kv_status) -> kv_status {
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.status = status;
            last.function = function;
            last.needed = 0;
        }
    });
    status
}

#[cold]
#[inline(never)]
fn store(function: &'static CStr, failure: &Failure) -> kv_status {
    let status = failure.status();
    let mut last = Last {
        status,
        errno: 0,
        page: KV_NONE,
        table: KV_NONE,
        needed: 0,
        function,
        message: None,
    };
    match failure {
        Failure::Plain(_) => {}
        Failure::Here(_, message) => last.message = text(message.as_bytes().to_vec()),
        Failure::Engine(error) => {
            match error {
                Error::TooSmall { needed } => last.needed = *needed,
                Error::Io { source, .. } | Error::NoSpace { source, .. } => {
                    last.errno = source.raw_os_error().unwrap_or(0);
                }
                Error::Corrupt(damage) => {
                    last.page = damage.page.map_or(KV_NONE, PageNo::get);
                    last.table = damage.table.map_or(KV_NONE, TableId::get);
                }
                _ => {}
            }
            if status != KV_TOO_SMALL {
                last.message = text(error.to_string().into_bytes());
            }
        }
    }
    // While a thread ends its storage may be gone already: then only the number remains.
    let _ = LAST.try_with(|cell| {
        if let Ok(mut cell) = cell.try_borrow_mut() {
            *cell = last;
        }
    });
    status
}

/// Makes a text for C. A NUL inside would cut it, so it is left out.
fn text(mut bytes: Vec<u8>) -> Option<CString> {
    bytes.retain(|b| *b != 0);
    CString::new(bytes).ok()
}

/// Message about the last call on this thread that did not answer KV_OK: what happened, where, and what to do next.
///
/// Bindings whose tasks move between threads must read it before they give up the thread.
///
/// @return Text valid until the next call of this library on this thread; never NULL; "done" if nothing failed yet.
/// @ingroup kv_errors
#[no_mangle]
pub extern "C" fn kv_error_message() -> *const c_char {
    LAST.try_with(|last| match last.try_borrow() {
        Ok(last) => match (&last.message, last.status) {
            (_, KV_NOTFOUND) | (None, _) => sentence(last.status).as_ptr(),
            (Some(message), _) => message.as_ptr(),
        },
        Err(_) => sentence(KV_PANIC).as_ptr(),
    })
    .unwrap_or(sentence(KV_PANIC).as_ptr())
}

/// Detail about the last call on this thread that did not answer KV_OK.
///
/// @param detail  Its struct_size is set by the caller; the rest is filled.
/// @return KV_OK; KV_INVALID if detail is NULL or its struct_size is not plausible.
/// @ingroup kv_errors
#[no_mangle]
pub unsafe extern "C" fn kv_error_detail(detail: *mut kv_error) -> kv_status {
    // Not guarded as the others are: a failure here must not overwrite what is being asked for.
    let filled = LAST.try_with(|last| {
        let last = last.try_borrow().ok();
        let last = last.as_deref();
        let bare = last.is_none_or(|l| matches!(l.status, KV_NOTFOUND));
        kv_error {
            struct_size: 0,
            status: last.map_or(KV_PANIC, |l| l.status),
            sys_errno: last.map_or(0, |l| if bare { 0 } else { l.errno }),
            reserved: 0,
            page: last.map_or(KV_NONE, |l| if bare { KV_NONE } else { l.page }),
            table: last.map_or(KV_NONE, |l| if bare { KV_NONE } else { l.table }),
            needed: last.map_or(0, |l| l.needed),
            function: last.map_or(c"", |l| l.function).as_ptr(),
            message: kv_error_message(),
        }
    });
    let Ok(filled) = filled else { return KV_PANIC };
    // SAFETY: the caller gives NULL or a struct of at least the size it states.
    match unsafe { arg::report(detail, filled) } {
        Ok(()) => KV_OK,
        Err(failure) => failure.status(),
    }
}
