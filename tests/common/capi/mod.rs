//! The C door of the suite: the trait of `api` over the functions of `kv.h`, called as a C program calls them. Here are
//! databases; what transactions read is in `reads`, what they write in `writes`, and what they do with named snapshots
//! in `snapshots`.
#![allow(unsafe_code)]

use super::abi::*;
use super::api::{status, Base, Checked, Fail, Outcome, Setup, Snapshot, Span, Writes};
use std::ffi::{c_void, CStr, CString};
use std::mem::size_of;
use std::ops::Bound;
use std::path::Path;
use std::ptr::{null, null_mut};

/// Calls a function of the library; a status that is not KV_OK becomes a [`Fail`].
macro_rules! call {
    ($name:ident($($arg:expr),* $(,)?)) => {
        // SAFETY: handles are the library's, pointers are of living Rust objects; see each call.
        answer(unsafe { (library().$name)($($arg),*) })
    };
}

// Behind the macro, which they use.
mod reads;
mod snapshots;
mod writes;

fn answer(status: i32) -> Outcome<()> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: never NULL, and valid until the next call on this thread.
    let message = unsafe { CStr::from_ptr((library().kv_error_message)()) };
    Err(Fail {
        status,
        message: message.to_string_lossy().into_owned(),
    })
}

/// NOTFOUND is an answer and not an error here.
fn found<T>(outcome: Outcome<T>) -> Outcome<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(fail) if fail.status == status::NOTFOUND => Ok(None),
        Err(fail) => Err(fail),
    }
}

fn at(bytes: &[u8]) -> *const c_void {
    bytes.as_ptr().cast()
}

/// The range of a span; points into it.
fn range(span: &Span) -> kv_range {
    let mut out = kv_range {
        flags: if span.reverse { KV_RANGE_REVERSE } else { 0 },
        reserved: 0,
        from: kv_slice::NONE,
        to: kv_slice::NONE,
        prefix: kv_slice::NONE,
    };
    match &span.from {
        Bound::Included(key) => (out.flags, out.from) = (out.flags | KV_RANGE_FROM, kv_slice::of(key)),
        Bound::Excluded(key) => (out.flags, out.from) = (out.flags | KV_RANGE_AFTER, kv_slice::of(key)),
        Bound::Unbounded => {}
    }
    match &span.to {
        Bound::Included(key) => (out.flags, out.to) = (out.flags | KV_RANGE_THROUGH, kv_slice::of(key)),
        Bound::Excluded(key) => (out.flags, out.to) = (out.flags | KV_RANGE_BEFORE, kv_slice::of(key)),
        Bound::Unbounded => {}
    }
    if let Some(prefix) = &span.prefix {
        (out.flags, out.prefix) = (out.flags | KV_RANGE_PREFIX, kv_slice::of(prefix));
    }
    out
}

/// Opens a database through the C interface.
pub fn open(path: &Path, setup: &Setup) -> Outcome<Box<dyn Base>> {
    let path = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without zero bytes");
    let mut flags = 0;
    if setup.memory {
        flags |= KV_OPEN_MEMORY;
    }
    if setup.existing {
        flags |= KV_OPEN_EXISTING;
    }
    let options = kv_options {
        struct_size: size_of::<kv_options>() as u32,
        flags,
        page_size: setup.page_size,
        durability: if setup.lazy {
            KV_DURABILITY_LAZY
        } else {
            KV_DURABILITY_FULL
        },
        verify: 0,
        reserved: 0,
        wait_ms: 0,
        write_memory: setup.write_memory as u64,
    };
    let mut db = null_mut();
    let opened = call!(kv_open(path.as_ptr(), &options, &mut db));
    assert_eq!(opened.is_err(), db.is_null(), "a handle is given exactly on success");
    opened?;
    Ok(Box::new(CBase { db }))
}

struct CBase {
    db: Handle,
}

struct CTxn {
    txn: Handle,
    /// The transactions in which this one is nested, the outermost first.
    outer: Vec<Handle>,
    cursors: Vec<Option<Handle>>,
    scans: usize,
}

impl CTxn {
    fn cursor(&self, cursor: usize) -> Handle {
        self.cursors[cursor].expect("the test uses a cursor it closed")
    }
}

impl CBase {
    fn begin(&self, kind: u32) -> Outcome<CTxn> {
        self.begin_with(kind, null())
    }

    fn begin_with(&self, kind: u32, options: *const kv_txn_options) -> Outcome<CTxn> {
        let mut txn = null_mut();
        call!(kv_txn_begin(self.db, kind, options.cast(), &mut txn))?;
        Ok(CTxn {
            txn,
            outer: Vec::new(),
            cursors: Vec::new(),
            scans: 0,
        })
    }

    fn stat(&self) -> Outcome<kv_db_stat> {
        let mut stat = kv_db_stat {
            struct_size: size_of::<kv_db_stat>() as u32,
            ..kv_db_stat::default()
        };
        call!(kv_stat_db(self.db, &mut stat))?;
        Ok(stat)
    }
}

unsafe extern "C" fn collect(what: *mut c_void, fault: *const kv_fault) -> i32 {
    // SAFETY: `check` hands a Vec over, and the library a fault with a C string.
    let (what, fault) = unsafe { (&mut *what.cast::<Vec<String>>(), &*fault) };
    if what.len() < 20 {
        // SAFETY: as above.
        let message = unsafe { CStr::from_ptr(fault.message) }.to_string_lossy();
        what.push(format!("page {} table {}: {message}", fault.page, fault.table));
    }
    0
}

impl Base for CBase {
    fn begin_read(&self) -> Outcome<Box<dyn Snapshot>> {
        Ok(Box::new(self.begin(KV_READ)?))
    }
    fn begin_write(&self) -> Outcome<Box<dyn Writes>> {
        Ok(Box::new(self.begin(KV_WRITE)?))
    }
    fn sync(&self) -> Outcome<()> {
        call!(kv_sync(self.db))
    }
    fn pages(&self) -> Outcome<u64> {
        Ok(self.stat()?.pages)
    }
    fn check(&self) -> Outcome<Checked> {
        let mut what: Vec<String> = Vec::new();
        let mut report = kv_check_report {
            struct_size: size_of::<kv_check_report>() as u32,
            ..kv_check_report::default()
        };
        let job = kv_job_options {
            struct_size: size_of::<kv_job_options>() as u32,
            flags: KV_JOB_CHECK_SPACE,
            progress: None,
            ctx: std::ptr::null_mut(),
        };
        let context: *mut Vec<String> = &mut what;
        let mut txn = std::ptr::null_mut();
        call!(kv_txn_begin(self.db, KV_READ, std::ptr::null(), &mut txn))?;
        let checked = call!(kv_check(txn, &job, Some(collect), context.cast(), &mut report));
        call!(kv_txn_commit(txn, std::ptr::null_mut()))?;
        match checked {
            Err(fail) if report.faults == 0 => return Err(fail),
            Ok(()) => assert_eq!(report.faults, 0, "KV_OK in spite of faults"),
            Err(_) => {}
        }
        Ok(Checked {
            tables: report.tables,
            entries: report.entries,
            pages: report.pages,
            dead_pages: report.dead_pages,
            snapshots: report.snapshots,
            faults: report.faults,
            what,
        })
    }
    fn close(mut self: Box<Self>) -> Outcome<()> {
        let db = std::mem::replace(&mut self.db, null_mut());
        call!(kv_close(db))
    }
}

impl Drop for CBase {
    fn drop(&mut self) {
        // SAFETY: a handle of the library, or NULL after `close`.
        unsafe { (library().kv_close)(self.db) };
    }
}

impl Drop for CTxn {
    fn drop(&mut self) {
        // Every order of release is allowed: take turns.
        let library = library();
        let close = |cursors: &[Option<Handle>]| {
            for cursor in cursors.iter().flatten() {
                // SAFETY: a handle of the library, possibly closed with its transaction.
                unsafe { (library.kv_cursor_close)(*cursor) };
            }
        };
        let (early, late) = self.cursors.split_at(self.cursors.len() / 2);
        close(early);
        let outermost = self.outer.first().copied().unwrap_or(self.txn);
        // SAFETY: a handle of the library, possibly ended by a commit.
        unsafe { (library.kv_txn_abort)(outermost) };
        close(late);
    }
}
