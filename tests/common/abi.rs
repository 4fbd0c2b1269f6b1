//! The C ABI as a foreign program sees it: structs, constants and functions of `kv.h`, written down by hand (so that a
//! change of the header that breaks programs breaks these tests), loaded from the shared library with `dlopen`.
#![allow(unsafe_code, non_camel_case_types)]

use std::ffi::{c_char, c_void, CStr, CString};
use std::path::PathBuf;
use std::sync::OnceLock;

pub type Handle = *mut c_void;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_slice {
    pub data: *const c_void,
    pub len: usize,
}

impl kv_slice {
    pub const NONE: kv_slice = kv_slice {
        data: std::ptr::null(),
        len: 0,
    };

    pub fn of(bytes: &[u8]) -> kv_slice {
        kv_slice {
            data: bytes.as_ptr().cast(),
            len: bytes.len(),
        }
    }

    /// A copy of what the library returned; `None` for absent.
    pub fn copy(&self) -> Option<Vec<u8>> {
        if self.data.is_null() {
            return None;
        }
        // SAFETY: a slice that the library just returned; valid until the next call, which comes later.
        Some(unsafe { std::slice::from_raw_parts(self.data.cast::<u8>(), self.len) }.to_vec())
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_entry {
    pub key: kv_slice,
    pub value: kv_slice,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_range {
    pub flags: u32,
    pub reserved: u32,
    pub from: kv_slice,
    pub to: kv_slice,
    pub prefix: kv_slice,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_options {
    pub struct_size: u32,
    pub flags: u32,
    pub page_size: u32,
    pub durability: u32,
    pub verify: u32,
    pub reserved: u32,
    pub wait_ms: i64,
    pub write_memory: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_table_options {
    pub struct_size: u32,
    pub flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_job_options {
    pub struct_size: u32,
    pub flags: u32,
    pub progress: Option<unsafe extern "C" fn(*mut c_void, u64, u64) -> i32>,
    pub ctx: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_fault {
    pub struct_size: u32,
    pub status: i32,
    pub page: u64,
    pub table: u64,
    pub message: *const c_char,
    pub kind: u32,
    pub reserved: u32,
}

pub type kv_fault_fn = Option<unsafe extern "C" fn(*mut c_void, *const kv_fault) -> i32>;

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct kv_check_report {
    pub struct_size: u32,
    pub lost_slots: u32,
    pub commit: u64,
    pub tables: u64,
    pub entries: u64,
    pub pages: u64,
    pub tree_pages: u64,
    pub overflow_pages: u64,
    pub dead_pages: u64,
    pub faults: u64,
    pub unaccounted_pages: u64,
    pub parked_pages: u64,
    pub snapshots: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct kv_db_stat {
    pub struct_size: u32,
    pub page_size: u32,
    pub pages: u64,
    pub free_pages: u64,
    pub pending_pages: u64,
    pub visible: u64,
    pub durable: u64,
    pub oldest: u64,
    pub readers: u32,
    pub discarded: u32,
    pub opened_commit: u64,
    pub opening_ns: u64,
    pub closed_properly: u32,
    pub lost_slots: u32,
    pub writer: u32,
    pub dead_pages_known: u32,
    pub writer_ms: u64,
    pub parked_pages: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct kv_table_stat {
    pub struct_size: u32,
    pub height: u32,
    pub entries: u64,
    pub branch_pages: u64,
    pub leaf_pages: u64,
    pub overflow_pages: u64,
    pub items: u64,
    pub used_bytes: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct kv_value_stat {
    pub struct_size: u32,
    pub extents: u32,
    pub len: u64,
}

#[repr(C)]
pub struct kv_batch {
    pub struct_size: u32,
    pub flags: u32,
    pub bytes: *mut c_void,
    pub bytes_size: usize,
    pub ends: *mut u32,
    pub ends_size: usize,
    pub kinds: *mut u8,
    pub limit: usize,
    pub count: usize,
    pub used: usize,
    pub needed: usize,
    pub at_end: u32,
    pub skip: u32,
}

#[repr(C)]
pub struct kv_change {
    pub struct_size: u32,
    pub kind: u32,
    pub key: kv_slice,
    pub before: kv_slice,
    pub after: kv_slice,
}

#[repr(C)]
#[derive(Default)]
pub struct kv_diff_counts {
    pub struct_size: u32,
    pub reserved: u32,
    pub added: u64,
    pub removed: u64,
    pub changed: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_op {
    pub op: u32,
    pub flags: u32,
    pub table: u64,
    pub key: kv_slice,
    pub value: kv_slice,
}

#[repr(C)]
pub struct kv_txn_options {
    pub struct_size: u32,
    pub flags: u32,
    pub durability: u32,
    pub reserved: u32,
    pub wait_ms: i64,
    pub write_memory: u64,
    pub snapshot: kv_slice,
    pub commit: u64,
    pub time: u64,
}

#[repr(C)]
pub struct kv_snapshot_options {
    pub struct_size: u32,
    pub flags: u32,
    pub note: kv_slice,
}

#[repr(C)]
pub struct kv_snapshot_stat {
    pub struct_size: u32,
    pub flags: u32,
    pub commit: u64,
    pub time: u64,
    pub guid: [u8; 16],
    pub file_pages: u64,
    pub used_pages: u64,
    pub note: kv_slice,
    pub automatic: u32,
    pub reserved: u32,
}

pub type kv_range_fn = Option<unsafe extern "C" fn(*mut c_void, *const kv_range) -> i32>;

#[repr(C)]
#[derive(Default)]
pub struct kv_retention {
    pub struct_size: u32,
    pub interval: u32,
    pub last: u32,
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yield_after: u32,
    pub yield_pages: u64,
}

pub const KV_OPEN_EXISTING: u32 = 0x1000;
pub const KV_OPEN_MEMORY: u32 = 0x8000;
pub const KV_SEEK_EQ: u32 = 32;
pub const KV_SEEK_GE: u32 = 33;
pub const KV_SEEK_GT: u32 = 34;
pub const KV_SEEK_LE: u32 = 35;
pub const KV_SEEK_LT: u32 = 36;
pub const KV_DURABILITY_FULL: u32 = 64;
pub const KV_DURABILITY_LAZY: u32 = 65;
pub const KV_READ: u32 = 16;
pub const KV_WRITE: u32 = 17;
pub const KV_TABLE_NEW: u32 = 0x20000;
pub const KV_NO_OVERWRITE: u32 = 0x100;
pub const KV_NO_INSERT: u32 = 0x200;
pub const KV_APPEND: u32 = 0x400;
pub const KV_BLIND: u32 = 0x800;
pub const KV_RANGE_FROM: u32 = 0x0010_0000;
pub const KV_RANGE_AFTER: u32 = 0x0020_0000;
pub const KV_RANGE_BEFORE: u32 = 0x0040_0000;
pub const KV_RANGE_THROUGH: u32 = 0x0080_0000;
pub const KV_RANGE_PREFIX: u32 = 0x0100_0000;
pub const KV_RANGE_REVERSE: u32 = 0x0200_0000;
pub const KV_JOB_CHECK_SPACE: u32 = 0x0400_0000;
pub const KV_SNAPSHOT_YIELD: u32 = 128;
pub const KV_SNAPSHOT_REPLACE: u32 = 0x2000_0000;
pub const KV_SNAPSHOT_KEEP: u32 = 0x4000_0000;
pub const KV_SNAPSHOT_MARK: u32 = 0x8000_0000;

/// Declares the functions used and loads each by its name.
macro_rules! library {
    ($(fn $name:ident($($arg:ty),* $(,)?) $(-> $ret:ty)?;)*) => {
        /// The functions of the shared library.
        pub struct Library {
            $(pub $name: unsafe extern "C" fn($($arg),*) $(-> $ret)?,)*
        }

        impl Library {
            fn load(handle: *mut c_void) -> Library {
                Library {
                    $($name: {
                        let symbol = find(handle, stringify!($name));
                        // SAFETY: the symbol is this function; its signature is the header's.
                        unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($arg),*) $(-> $ret)?>(symbol) }
                    },)*
                }
            }
        }
    };
}

type Bytes = *const c_void;
type Key = kv_slice;

library! {
    fn kv_error_message() -> *const c_char;
    fn kv_version() -> *const c_char;
    fn kv_open(*const c_char, *const kv_options, *mut Handle) -> i32;
    fn kv_close(Handle) -> i32;
    fn kv_sync(Handle) -> i32;
    fn kv_stat_db(Handle, *mut kv_db_stat) -> i32;
    fn kv_check(Handle, *const kv_job_options, kv_fault_fn, *mut c_void, *mut kv_check_report) -> i32;
    fn kv_txn_begin(Handle, u32, *const c_void, *mut Handle) -> i32;
    fn kv_txn_commit(Handle, *mut u64) -> i32;
    fn kv_txn_abort(Handle);
    fn kv_txn_refresh(Handle) -> i32;
    fn kv_txn_nest(Handle, *mut Handle) -> i32;
    fn kv_savepoint_create(Handle, *mut u64) -> i32;
    fn kv_savepoint_rollback(Handle, u64) -> i32;
    fn kv_savepoint_release(Handle, u64) -> i32;
    fn kv_txn_id(Handle, *mut u64) -> i32;
    fn kv_table_open(Handle, Bytes, usize, *mut u64) -> i32;
    fn kv_table_create(Handle, Bytes, usize, *const kv_table_options, *mut u64) -> i32;
    fn kv_table_rename(Handle, u64, Bytes, usize) -> i32;
    fn kv_table_clear(Handle, u64) -> i32;
    fn kv_table_drop(Handle, u64) -> i32;
    fn kv_table_note(Handle, u64, *mut kv_slice) -> i32;
    fn kv_table_set_note(Handle, u64, Bytes, usize) -> i32;
    fn kv_stat_table(Handle, u64, u32, *mut kv_table_stat) -> i32;
    fn kv_get(Handle, u64, Bytes, usize, *mut kv_slice) -> i32;
    fn kv_get_copy(Handle, u64, Bytes, usize, *mut c_void, usize, *mut usize) -> i32;
    fn kv_put(Handle, u64, Bytes, usize, Bytes, usize, u32) -> i32;
    fn kv_insert(Handle, u64, Bytes, usize, Bytes, usize, *mut kv_slice) -> i32;
    fn kv_replace(Handle, u64, Bytes, usize, Bytes, usize, u32, *mut kv_slice) -> i32;
    fn kv_reserve(Handle, u64, Bytes, usize, usize, u32, *mut *mut c_void) -> i32;
    fn kv_delete(Handle, u64, Bytes, usize, u32) -> i32;
    fn kv_take(Handle, u64, Bytes, usize, *mut kv_slice) -> i32;
    fn kv_take_first(Handle, u64, *const kv_range, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_delete_range(Handle, u64, *const kv_range, *mut u64) -> i32;
    fn kv_cursor_open(Handle, u64, *const kv_range, *mut Handle) -> i32;
    fn kv_cursor_close(Handle);
    fn kv_cursor_first(Handle, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_last(Handle, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_next(Handle, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_prev(Handle, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_get(Handle, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_seek(Handle, Bytes, usize, u32, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_nth(Handle, u64, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_percentile(Handle, f64, *mut kv_slice, *mut kv_slice) -> i32;
    fn kv_cursor_put(Handle, Bytes, usize) -> i32;
    fn kv_cursor_delete(Handle) -> i32;
    fn kv_cursor_count(Handle, *mut u64) -> i32;
    fn kv_cursor_rank(Handle, *mut u64) -> i32;
    fn kv_cursor_next_many(Handle, *mut kv_entry, usize, *mut usize) -> i32;
    fn kv_cursor_fill(Handle, *mut kv_batch) -> i32;
    fn kv_diff_open(Handle, Handle, u64, *const kv_range, *mut Handle) -> i32;
    fn kv_diff_close(Handle);
    fn kv_diff_next(Handle, *mut kv_change) -> i32;
    fn kv_diff_fill(Handle, *mut kv_batch) -> i32;
    fn kv_diff_count(Handle, Handle, u64, *const kv_range, *mut kv_diff_counts) -> i32;
    fn kv_same(Handle, Handle, u64, *mut i32) -> i32;
    fn kv_scan(Handle, u64, *const kv_range, *mut kv_batch) -> i32;
    fn kv_delete_packed(Handle, u64, *const kv_batch, u32, *mut usize) -> i32;
    fn kv_count(Handle, u64, *const kv_range, *mut u64) -> i32;
    fn kv_rank(Handle, u64, Bytes, usize, *mut u64) -> i32;
    fn kv_get_many(Handle, u64, *const Key, usize, *mut kv_slice, *mut usize) -> i32;
    fn kv_stat_value(Handle, u64, Bytes, usize, *mut kv_value_stat) -> i32;
    fn kv_value_read(Handle, u64, Bytes, usize, u64, *mut c_void, usize, *mut usize) -> i32;
    fn kv_writer_open(Handle, u64, Bytes, usize, u64, u32, *mut Handle) -> i32;
    fn kv_writer_write(Handle, Bytes, usize) -> i32;
    fn kv_writer_finish(Handle) -> i32;
    fn kv_writer_close(Handle);
    fn kv_snapshot_create(Handle, Bytes, usize, *const kv_snapshot_options) -> i32;
    fn kv_snapshot_rename(Handle, Bytes, usize, Bytes, usize) -> i32;
    fn kv_snapshot_drop(Handle, Bytes, usize) -> i32;
    fn kv_snapshot_release(Handle, Bytes, usize) -> i32;
    fn kv_snapshot_keep(Handle, Bytes, usize, u32) -> i32;
    fn kv_stat_snapshot(Handle, Bytes, usize, *mut kv_snapshot_stat) -> i32;
    fn kv_snapshot_cost(Handle, Bytes, usize, Bytes, usize, *mut u64) -> i32;
    fn kv_snapshot_ranges(Handle, Bytes, usize, u64, *const kv_range, kv_range_fn, *mut c_void) -> i32;
    fn kv_reclaim(Handle, *mut u64) -> i32;
    fn kv_compact(Handle, *const c_void, *mut c_void) -> i32;
    fn kv_revert(Handle, Handle, u64, *mut u64) -> i32;
    fn kv_history(Handle, *const kv_retention) -> i32;
    fn kv_stat_history(Handle, *mut kv_retention) -> i32;
}

fn find(handle: *mut c_void, name: &str) -> *mut c_void {
    let name = CString::new(name).expect("a C name");
    // SAFETY: a handle from dlopen and a C string.
    let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
    assert!(
        !symbol.is_null(),
        "{} is not exported by the library",
        name.to_string_lossy()
    );
    symbol
}

/// The shared library: KV_LIB, or `build/libkv.so`.
pub fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let path = std::env::var_os("KV_LIB").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/build/libkv.so")),
            PathBuf::from,
        );
        let name = CString::new(path.as_os_str().as_encoded_bytes()).expect("a path without zero bytes");
        // SAFETY: a C string; the library has no constructors.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: dlerror answers a C string after a failed dlopen.
            let why = unsafe { CStr::from_ptr(libc::dlerror()) }.to_string_lossy();
            panic!("the shared library is needed: run `make` first, or set KV_LIB ({why})");
        }
        Library::load(handle)
    })
}
