//! What the last failure on this thread was, and the guard around every exported function.
//!
//! A message has the form `PATH: what happened, and where; what to do next`. The guard knows the handle that the
//! function was called with, and finds the path by it, after the failure: a call that succeeds pays for none of this.
//!
//! `KV_NOTFOUND` and `KV_TOO_SMALL` happen in loops: they store their numbers and nothing is formatted. But they do
//! store them, so that a message printed after them is not that of an older failure. What is said of a buffer that is
//! too small is formatted when somebody asks.

use crate::border::advice;
use crate::border::arg::{self, Out};
use crate::border::memory;
use crate::border::process;
use crate::border::status::{kv_status, sentence, Failure, Outcome, KV_OK, KV_PANIC, KV_TOO_SMALL};
use crate::border::text::Text;
use crate::border::types::{kv_extent, table_in_question, KV_NONE};
use kv_engine::{plural, Error, PageNo, ShownPath, TableId, Uncancelled};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::{c_char, CStr};
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt;
use std::panic::{catch_unwind, AssertUnwindSafe};

/// What is known of a thread's last failure, filled by kv_error_detail(); start from KV_ERROR_INIT.
///
/// @ingroup kv_errors
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_error {
    /// sizeof(kv_error), set by KV_ERROR_INIT.
    pub struct_size: u32,
    /// The status that was returned; KV_OK if no call on this thread has failed yet.
    pub status: kv_status,
    /// The errno of the system call that failed, whatever the status is; 0 if no system call failed.
    pub sys_errno: i32,
    /// Zero.
    pub reserved: u32,
    /// Number of the damaged page; KV_NONE if there is none or it is not known. Of a long value, each piece of at most
    /// 1 MiB has one checksum, so the number is that of the first page of the damaged piece.
    pub page: u64,
    /// Number of the table in question: the one that the damaged page belongs to, that has the key or the name which
    /// must not be there (KV_EXISTS, KV_ORDER), or that was looked for by its number (KV_NO_TABLE). KV_NONE otherwise,
    /// if it is not known, and for a table that was looked for by its name.
    pub table: u64,
    /// After KV_TOO_SMALL: how many bytes are needed. Otherwise 0.
    pub needed: u64,
    /// Name of the function that failed, "" if none did. Static text.
    pub function: *const c_char,
    /// What kv_error_message() returns, valid as long as that.
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
    /// After KV_TOO_SMALL: how many bytes the caller has offered.
    offered: u64,
    /// After KV_TOO_SMALL: what the call was about.
    about: Option<Remembered>,
    function: &'static CStr,
    /// Empty: the status's own sentence says it all, or the message is made of `needed` and `offered`.
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
            offered: 0,
            about: None,
            function: c"",
            message: Text::new(),
        })
    };
}

/// What a call was about, to be named in the message if it fails. It is asked after the failure, and a call that
/// succeeds pays for nothing but keeping it.
pub(crate) trait About: Copy {
    /// Gives the path of the file in question to `write`, if it can be had without waiting.
    fn with_path(self, write: &mut dyn FnMut(&[u8]));

    /// Returns what finds the path later, when somebody asks for the message; `None` if that is not possible.
    fn remembered(self) -> Option<Remembered>;

    /// Says why a handle was refused, given the number of the kind that was wanted.
    fn why_refused(self, handle: usize, wanted: u8) -> Cow<'static, str>;
}

/// What gives the path of the file behind a handle to a function, if it can be had without waiting.
type WithPath = fn(usize, &mut dyn FnMut(&[u8]));

/// What a call was about, kept until somebody asks for the message: the bits of a handle, and what finds the path by
/// them as long as the handle is open.
#[derive(Clone, Copy)]
pub(crate) struct Remembered {
    pub(crate) handle: usize,
    pub(crate) with_path: WithPath,
}

/// A call with a path, which is a C string or NULL until the call returns.
#[derive(Clone, Copy)]
pub(crate) struct AboutPath(pub(crate) *const c_char);

impl About for AboutPath {
    fn with_path(self, write: &mut dyn FnMut(&[u8])) {
        // SAFETY: NULL or a C string, as whoever calls the exported function promises.
        match unsafe { arg::path(self.0) } {
            Some(path) if !path.as_os_str().is_empty() => {
                let absolute = std::path::absolute(path);
                write(absolute.as_deref().unwrap_or(path).as_os_str().as_bytes());
            }
            _ => {}
        }
    }

    /// The path is the caller's, and is there until the call returns.
    fn remembered(self) -> Option<Remembered> {
        None
    }

    fn why_refused(self, _: usize, _: u8) -> Cow<'static, str> {
        Cow::Borrowed("bad handle")
    }
}

/// Does as [`guard`] for functions that wait for nothing but the file, whose reads, writes and syncs see to it
/// themselves that the thread is not cancelled in them.
#[inline(always)]
pub(crate) fn guard_in_memory(function: &'static CStr, about: impl About, body: impl FnOnce() -> Outcome) -> kv_status {
    if memory::is_short() && !memory::is_back() {
        return short(function, about);
    }
    catch(function, about, body)
}

/// Runs the body of an exported function: refuses it while memory is short, keeps the thread from being cancelled,
/// stores a failure for `kv_error_message`, catches a panic, and answers the status.
#[inline(always)]
pub(crate) fn guard(function: &'static CStr, about: impl About, body: impl FnOnce() -> Outcome) -> kv_status {
    if memory::is_short() && !memory::is_back() {
        return short(function, about);
    }
    guard_end(function, about, body)
}

/// Does as [`guard`] for functions that open something: the handle is NULL if the body does not run.
#[inline(always)]
pub(crate) fn guard_open<T>(
    function: &'static CStr,
    about: impl About,
    handle: Option<Out<*mut T>>,
    body: impl FnOnce() -> Outcome,
) -> kv_status {
    if memory::is_short() && !memory::is_back() {
        if let Some(handle) = handle {
            handle.set(std::ptr::null_mut());
        }
        return short(function, about);
    }
    guard_end(function, about, body)
}

/// Does as [`guard`] for functions that end something: they give memory back, so they run even if it is short.
#[inline(always)]
pub(crate) fn guard_end(function: &'static CStr, about: impl About, body: impl FnOnce() -> Outcome) -> kv_status {
    let _uncancelled = Uncancelled::new();
    catch(function, about, body)
}

/// Does as [`guard`] for functions that need no memory and meet nothing at which a thread can be cancelled, as far as
/// `body` does not see to that itself.
#[inline(always)]
pub(crate) fn guard_fast(function: &'static CStr, about: impl About, body: impl FnOnce() -> Outcome) -> kv_status {
    catch(function, about, body)
}

/// Answers for a call that did not begin.
#[cold]
#[inline(never)]
fn short(function: &'static CStr, about: impl About) -> kv_status {
    store_caught(function, about, || {
        Failure::Engine(Error::NoMemory("the system refuses it"))
    })
}

#[inline(always)]
fn catch(function: &'static CStr, about: impl About, body: impl FnOnce() -> Outcome) -> kv_status {
    // What leaves the closure leaves through memory: a status is less than an outcome.
    let status = move || match body() {
        Ok(()) => KV_OK,
        Err(failure) => {
            // Nothing of it is dropped here, which is known to the compiler only if it is told.
            let failure = ManuallyDrop::new(failure);
            match *failure {
                Failure::Plain(status) => plain(function, status),
                _ => store(function, about, ManuallyDrop::into_inner(failure)),
            }
        }
    };
    match catch_unwind(AssertUnwindSafe(status)) {
        Ok(status) => status,
        Err(_) => panicked(function, about),
    }
}

/// Stores that a panic was caught, and what it said.
#[cold]
#[inline(never)]
fn panicked(function: &'static CStr, about: impl About) -> kv_status {
    store_caught(function, about, || Failure::Engine(Error::Panic(process::take_panic())))
}

/// Stores a failure outside of what [`catch`] runs. If that panics in turn, the number is all that is told: nothing
/// unwinds into the caller.
fn store_caught(function: &'static CStr, about: impl About, failure: impl FnOnce() -> Failure) -> kv_status {
    match catch_unwind(AssertUnwindSafe(|| store(function, about, failure()))) {
        Ok(status) => status,
        Err(_) => plain(function, KV_PANIC),
    }
}

/// Does as [`guard_end`] for functions that return nothing: a failure is stored, and nobody is told.
pub(crate) fn guard_void(function: &'static CStr, about: impl About, body: impl FnOnce() -> Outcome) {
    let _ = guard_end(function, about, body);
}

/// Stores an answer that is its number and nothing else.
#[inline(never)]
fn plain(function: &'static CStr, status: kv_status) -> kv_status {
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.begin(function, status);
        }
    });
    status
}

#[cold]
#[inline(never)]
fn store(function: &'static CStr, about: impl About, failure: Failure) -> kv_status {
    let status = failure.status();
    let _ = LAST.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            last.begin(function, status);
            last.tell(about, &failure);
        }
    });
    status
}

impl Last {
    /// Forgets the failure before.
    #[inline]
    fn begin(&mut self, function: &'static CStr, status: kv_status) {
        (self.status, self.function) = (status, function);
        (self.errno, self.page, self.table) = (0, KV_NONE, KV_NONE);
        (self.needed, self.offered, self.about) = (0, 0, None);
        self.message.clear();
    }

    /// Stores what a failure says.
    fn tell(&mut self, about: impl About, failure: &Failure) {
        match failure {
            Failure::Plain(_) => {}
            Failure::Here(_, message) => {
                self.name_file(about);
                self.message.add(format_args!("{message}"));
            }
            Failure::Refused(handle, wanted) => {
                let why = about.why_refused(*handle, *wanted);
                self.message.add(format_args!("{why}"));
            }
            Failure::TooSmall { needed, offered } => {
                (self.needed, self.offered, self.about) = (*needed, *offered, about.remembered());
            }
            Failure::Engine(error) => {
                if error.file().is_none() {
                    self.name_file(about);
                }
                self.tell_error(error);
            }
            Failure::OfFile(both) => {
                let (path, failure) = &**both;
                if !matches!(failure, Failure::Engine(error) if error.file().is_some()) {
                    self.name(path.to_bytes());
                }
                match failure {
                    Failure::Engine(error) => self.tell_error(error),
                    Failure::Here(_, message) => self.message.add(format_args!("{message}")),
                    _ => {}
                }
            }
        }
    }

    /// Begins the message with the file in question, if that can be found out.
    fn name_file(&mut self, about: impl About) {
        about.with_path(&mut |path| self.name(path));
    }

    fn name(&mut self, path: &[u8]) {
        if !path.is_empty() {
            self.message.add(format_args!("{}: ", ShownPath(path)));
        }
    }

    /// Stores what an error of the engine says.
    fn tell_error(&mut self, error: &Error) {
        self.errno = error.raw_os_error().unwrap_or(0);
        let advice = advice::after(self.function, error);
        match error {
            Error::Corrupt(found) => {
                self.page = found.page.map_or(KV_NONE, PageNo::get);
                self.table = table_in_question(found.table);
            }
            Error::Exists(found) | Error::Order(found) => self.table = table_in_question(Some(found.table)),
            Error::NoTable(missing) => self.table = missing.table.map_or(KV_NONE, TableId::get),
            _ => {}
        }
        self.message.add(format_args!("{}", error.bare()));
        if !advice.is_empty() {
            self.message.add(format_args!("; {advice}"));
        }
    }

    /// Makes the message of a failure that has none but its numbers.
    fn complete(&mut self) {
        let Last { needed, offered, .. } = *self;
        if self.status != KV_TOO_SMALL || !self.message.is_empty() {
            return;
        }
        if let Some(about) = self.about {
            (about.with_path)(about.handle, &mut |path| self.name(path));
        }
        // The array of kv_value_extents() is counted in its elements, as its parameter is.
        let (unit, size) = match self.function == c"kv_value_extents" {
            true => ("piece", size_of::<kv_extent>() as u64),
            false => ("byte", 1),
        };
        let are = match needed / size {
            1 => " is",
            _ => "s are",
        };
        match needed > offered {
            true => self.message.add(format_args!(
                "buffer too small: {} {unit}{are} needed, there is room for {}; give room for as many and repeat",
                needed / size,
                offered / size
            )),
            // What is lacking is room in the other array of a batch.
            false => self.message.add(format_args!(
                "buffer too small: the next entry takes {needed} {unit}{}, which fit, but `ends` has no room for it; give it more",
                plural(needed, "", "s")
            )),
        }
    }
}

/// Describes the last call on this thread that did not return KV_OK, in one line: `PATH: what happened [at page P] [in
/// table "NAME" (number N)]; what to do next`.
///
/// PATH is the absolute path of the file in question: the database, or the file that is opened, copied to or salvaged.
/// It is missing if no file is in question or if the handle is not open. Names, keys and paths are printable: line
/// breaks and the like are shown as \n, \t, \0 or \u{1b}, bytes that are not UTF-8 as \xNN, and a backslash as two; of
/// long ones only a part is shown. The words may change in later versions, so programs look at the status and at
/// kv_error_detail(). KV_NOTFOUND has no message of its own, because it happens in loops, unless a snapshot was not
/// found.
///
/// Bindings whose tasks move between threads must read the message before they give up the thread.
///
/// @return Text that is valid until the next call of this library on this thread. Never NULL; "done" if no call has
///         failed yet.
/// @ingroup kv_errors
#[no_mangle]
pub extern "C" fn kv_error_message() -> *const c_char {
    LAST.try_with(|last| match last.try_borrow_mut() {
        Ok(mut last) => {
            // Nothing unwinds into the caller. Without the numbers, the status's own sentence is the message.
            if catch_unwind(AssertUnwindSafe(|| last.complete())).is_err() {
                last.message.clear();
            }
            match last.message.is_empty() {
                true => sentence(last.status).as_ptr(),
                false => last.message.as_c().as_ptr(),
            }
        }
        Err(_) => sentence(KV_PANIC).as_ptr(),
    })
    .unwrap_or(sentence(KV_PANIC).as_ptr())
}

/// Tells what is known of the last call on this thread that did not return KV_OK. A failure of this function itself is
/// not stored.
///
/// @param detail  Receives the detail; start from KV_ERROR_INIT.
/// @return KV_OK; KV_INVALID (detail is NULL, or its struct_size is not set).
/// @ingroup kv_errors
#[no_mangle]
pub unsafe extern "C" fn kv_error_detail(detail: *mut kv_error) -> kv_status {
    // Not guarded as the others are: a failure here must not overwrite what is being asked for.
    let message = kv_error_message();
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
            message,
        }
    });
    let Ok(filled) = filled else { return KV_PANIC };
    // SAFETY: the caller gives NULL or a struct of at least the size it states.
    match unsafe { arg::report(detail, filled) } {
        Ok(()) => KV_OK,
        Err(failure) => failure.status(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that cannot be named.
    #[derive(Clone, Copy)]
    struct Unnameable;

    impl About for Unnameable {
        fn with_path(self, _: &mut dyn FnMut(&[u8])) {
            panic!("a mistake in what tells of failures")
        }

        fn remembered(self) -> Option<Remembered> {
            Some(Remembered {
                handle: 0,
                with_path: |_, _| panic!("the same"),
            })
        }

        fn why_refused(self, _: usize, _: u8) -> Cow<'static, str> {
            panic!("the same")
        }
    }

    #[test]
    fn a_panic_in_what_tells_of_a_failure_stays_inside() {
        for _ in 0..2 {
            let answer = guard_end(c"kv_test", Unnameable, || Err(Failure::invalid("wrong")));
            assert_eq!(answer, KV_PANIC);
            // SAFETY: text of the library.
            let message = unsafe { CStr::from_ptr(kv_error_message()) };
            assert_eq!(message, sentence(KV_PANIC));
        }
        let answer = guard_end(c"kv_test", Unnameable, || Err(Failure::too_small(8, 4)));
        assert_eq!(answer, KV_TOO_SMALL);
        // SAFETY: text of the library.
        let message = unsafe { CStr::from_ptr(kv_error_message()) };
        assert_eq!(message, sentence(KV_TOO_SMALL));
        assert_eq!(short(c"kv_test", Unnameable), KV_PANIC);
        assert_eq!(guard_end(c"kv_test", Unnameable, || Ok(())), KV_OK);
    }
}
