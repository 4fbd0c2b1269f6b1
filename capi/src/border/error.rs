//! What the last failure on this thread was, and the guard around every exported function.
//!
//! `KV_NOTFOUND` and `KV_TOO_SMALL` happen in loops: they store their number and nothing is formatted. But they do store
//! it, so that a message printed after them is not that of an older failure.

use crate::border::arg::{self, Out};
use crate::border::memory;
use crate::border::process::{self, Uncancelled};
use crate::border::status::{kv_status, sentence, Failure, Outcome, KV_OK, KV_PANIC};
use crate::border::text::Text;
use crate::border::types::KV_NONE;
use kv_engine::{Error, PageNo, TableId};
use std::cell::RefCell;
use std::ffi::{c_char, CStr};
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
    /// Empty: the status's own sentence says it all.
    message: Text<MESSAGE>,
}

/// Bytes of room for a message: enough for a long path and what is said about it.
const MESSAGE: usize = 1024;

// Nothing of it needs a destructor, so that it is there as long as its thread runs, and needs no memory.

thread_local! {
    static LAST: RefCell<Last> = const {
        RefCell::new(Last {
            status: KV_OK,
            errno: 0,
            page: KV_NONE,
            table: KV_NONE,
            needed: 0,
            function: c"",
            message: Text::new(),
        })
    };
}

/// Runs the body of an exported function: refuses it while memory is short, keeps the thread from being cancelled, stores a
/// failure for `kv_error_message`, catches a panic, and answers the status.
#[inline(always)]
pub(crate) fn guard(function: &'static CStr, body: impl FnOnce() -> Outcome) -> kv_status {
    if memory::is_short() && !memory::is_back() {
        return short(function);
    }
    guard_end(function, body)
}

/// Does as [`guard`] for functions that open something: the handle is NULL if the body does not run.
#[inline(always)]
pub(crate) fn guard_open<T>(
    function: &'static CStr,
    handle: Option<Out<*mut T>>,
    body: impl FnOnce() -> Outcome,
) -> kv_status {
    if memory::is_short() && !memory::is_back() {
        if let Some(handle) = handle {
            handle.set(std::ptr::null_mut());
        }
        return short(function);
    }
    guard_end(function, body)
}

/// Does as [`guard`] for functions that end something: they give memory back, so they run even if it is short.
#[inline(always)]
pub(crate) fn guard_end(function: &'static CStr, body: impl FnOnce() -> Outcome) -> kv_status {
    let _uncancelled = Uncancelled::new();
    catch(function, body)
}

/// Does as [`guard`] for functions that need no memory and meet nothing at which a thread can be cancelled, as far as
/// `body` does not see to that itself.
#[inline(always)]
pub(crate) fn guard_fast(function: &'static CStr, body: impl FnOnce() -> Outcome) -> kv_status {
    catch(function, body)
}

/// Answers for a call that did not begin.
#[cold]
#[inline(never)]
fn short(function: &'static CStr) -> kv_status {
    store(
        function,
        &Failure::Engine(Error::NoMemory(
            "the system refuses it; end transactions, or close databases",
        )),
    )
}

#[inline(always)]
fn catch(function: &'static CStr, body: impl FnOnce() -> Outcome) -> kv_status {
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

/// Does as [`guard_end`] for functions that return nothing: a failure is stored, and nobody is told.
pub(crate) fn guard_void(function: &'static CStr, body: impl FnOnce() -> Outcome) {
    let _ = guard_end(function, body);
}

/// Stores an answer that is its number and nothing else.
#[inline(never)]
fn plain(function: &'static CStr, status: kv_status) -> kv_status {
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            let last = &mut *last;
            (last.status, last.function) = (status, function);
            (last.errno, last.page, last.table, last.needed) = (0, KV_NONE, KV_NONE, 0);
            last.message.clear();
        }
    });
    status
}

#[cold]
#[inline(never)]
fn store(function: &'static CStr, failure: &Failure) -> kv_status {
    let status = failure.status();
    let _ = LAST.try_with(|last| {
        let Ok(mut last) = last.try_borrow_mut() else { return };
        let last = &mut *last;
        (last.status, last.function) = (status, function);
        (last.errno, last.page, last.table, last.needed) = (0, KV_NONE, KV_NONE, 0);
        last.message.clear();
        match failure {
            Failure::Plain(_) => {}
            Failure::Here(_, message) => last.message.set(message),
            Failure::Engine(error) => store_error(last, error),
        }
    });
    status
}

/// Stores what an error of the engine says.
fn store_error(last: &mut Last, error: &Error) {
    match error {
        Error::TooSmall { needed } => {
            last.needed = *needed;
            return;
        }
        Error::Io { source, .. } | Error::NoSpace { source, .. } => last.errno = source.raw_os_error().unwrap_or(0),
        Error::Corrupt(damage) => {
            last.page = damage.page.map_or(KV_NONE, PageNo::get);
            last.table = damage.table.map_or(KV_NONE, TableId::get);
        }
        _ => {}
    }
    last.message.set(error);
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
        Ok(last) if last.message.is_empty() => sentence(last.status).as_ptr(),
        Ok(last) => last.message.as_c().as_ptr(),
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
        kv_error {
            struct_size: 0,
            status: last.map_or(KV_PANIC, |l| l.status),
            sys_errno: last.map_or(0, |l| l.errno),
            reserved: 0,
            page: last.map_or(KV_NONE, |l| l.page),
            table: last.map_or(KV_NONE, |l| l.table),
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
