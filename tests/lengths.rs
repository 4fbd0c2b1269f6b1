//! Lengths beyond the limits: every function of `kv.h` that takes a pointer and a length answers `KV_TOO_BIG` before it
//! reads a byte, and `KV_INVALID` for a length without a pointer. The message names the argument.
//!
//! The calls are made from the header itself: whoever adds a function gets them, and whoever adds a parameter of a new
//! kind is told that this test does not know it. What the pointers point to is the last byte before memory that cannot
//! be read.
#![allow(unsafe_code)]
#![cfg(target_pointer_width = "64")]

mod common;

use common::abi::{kv_batch, kv_op, kv_range, kv_slice, library};
use common::abi::{KV_BLIND, KV_RANGE_BEFORE, KV_RANGE_FROM, KV_RANGE_PREFIX, KV_WRITE};
use std::ffi::{c_void, CStr, CString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const KV_OP_PUT: u32 = 48;
const KV_SEEK_EQ: u32 = 32;
const TOO_BIG: i32 = -25;
const INVALID: i32 = -20;

/// The limits of kv.h.
const KEY: usize = 2 << 20;
const VALUE: usize = 256 << 30;
const NAME: usize = 512;
const NOTE: usize = 1024;
const ELEMENTS: usize = i32::MAX as usize;
const BATCH: usize = u32::MAX as usize;
const BUFFER: usize = isize::MAX as usize;

/// Functions with a length that are no part of this, and why.
const OTHERS: &[(&str, &str)] = &[("kv_fd_write", "it stands for write(2), and answers what that answers")];

type Function = unsafe extern "C" fn(usize, usize, usize, usize, usize, usize, usize, usize) -> i32;

/// A function of the header.
struct Declared {
    name: String,
    /// Types and names of its parameters.
    parameters: Vec<(String, String)>,
}

/// The functions of kv.h that answer a status or an errno.
fn declared() -> Vec<Declared> {
    let header = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/include/kv.h")).expect("the header");
    let mut found = Vec::new();
    for part in header.split("\nKV_API ").skip(1) {
        let text = part.split(';').next().expect("a declaration").replace('\n', " ");
        let (before, list) = text.split_once('(').expect("parameters");
        let name = before.split([' ', '*']).next_back().expect("a name").to_string();
        let list = list.trim_end().strip_suffix(')').expect("the end of the parameters");
        let parameters = list.split(',').filter(|p| p.trim() != "void").map(|parameter| {
            let words: Vec<&str> = parameter.split_whitespace().collect();
            let (name, kind) = words.split_last().expect("a parameter");
            let stars = name.len() - name.trim_start_matches('*').len();
            let kind = format!("{} {}", kind.join(" "), "*".repeat(stars));
            (kind.trim().to_string(), name.trim_start_matches('*').to_string())
        });
        let parameters = parameters.collect();
        found.push(Declared { name, parameters });
    }
    found
}

/// Where a length is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In a parameter; the pointer is the one before, if there is one.
    Parameter { at: usize, pointer: bool },
    /// In a bound of the range that parameter `at` points to.
    Range { at: usize, field: usize },
    /// In the key of the only element of the array that parameter `at` points to, or in the value of an operation.
    Element { at: usize, value: bool },
    /// In the batch that parameter `at` points to.
    Batch { at: usize, field: &'static str },
}

/// A length of a function: where it is given, what messages call it, and the limit.
#[derive(Clone, Copy, Debug)]
struct Site {
    place: Place,
    name: &'static str,
    most: usize,
}

fn site(place: Place, name: &'static str, most: usize) -> Site {
    Site { place, name, most }
}

/// Every length that a function is given.
fn sites(function: &Declared) -> Vec<Site> {
    let mut found = Vec::new();
    for (at, (kind, name)) in function.parameters.iter().enumerate() {
        let before = at.checked_sub(1).map(|before| &function.parameters[before]);
        match kind.as_str() {
            "size_t" => {
                let parameter = |pointer| Place::Parameter { at, pointer };
                let limit = match before.map(|(kind, name)| (kind.as_str(), name.as_str())) {
                    Some(("const void *", "key" | "seek_key")) if name == "klen" => site(parameter(true), "key", KEY),
                    Some(("const void *", "value")) => site(parameter(true), "value", VALUE),
                    Some(("const void *", "data")) => site(parameter(true), "value", VALUE),
                    Some(("const void *", "name" | "to" | "first" | "last" | "prefix")) => {
                        site(parameter(true), "name", NAME)
                    }
                    Some(("const void *", "note")) => site(parameter(true), "note", NOTE),
                    Some(("void *", "buffer")) => site(parameter(true), "buffer", BUFFER),
                    Some(("const kv_slice *", _)) => site(parameter(true), "keys", ELEMENTS),
                    Some(("const kv_op *", _)) => site(parameter(true), "ops", ELEMENTS),
                    Some(("kv_entry *", _)) => site(parameter(true), "entries", ELEMENTS),
                    Some(("kv_extent *", _)) => site(parameter(true), "extents", ELEMENTS),
                    Some(("size_t", "klen")) if name == "vlen" => site(parameter(false), "value", VALUE),
                    other => panic!("{}: nobody knows the limit of {name} behind {other:?}", function.name),
                };
                found.push(limit);
            }
            "const kv_range *" => {
                for (field, name) in ["from", "to", "prefix"].into_iter().enumerate() {
                    found.push(site(Place::Range { at, field }, name, KEY));
                }
            }
            "const kv_slice *" => found.push(site(Place::Element { at, value: false }, "key", KEY)),
            "const kv_op *" => {
                found.push(site(Place::Element { at, value: false }, "key", KEY));
                found.push(site(Place::Element { at, value: true }, "value", VALUE));
            }
            "const kv_batch *" => {
                for (field, most) in [("bytes", BATCH), ("ends", ELEMENTS), ("count", ELEMENTS)] {
                    found.push(site(Place::Batch { at, field }, field, most));
                }
            }
            "kv_batch *" => found.push(site(Place::Batch { at, field: "ends" }, "ends", ELEMENTS)),
            _ => {}
        }
    }
    found
}

/// Where the calls work: handles, and memory of which one byte can be read.
struct World {
    db: *mut c_void,
    txn: *mut c_void,
    cursor: *mut c_void,
    writer: *mut c_void,
    /// The last byte that can be read.
    edge: *mut c_void,
    symbols: *mut c_void,
}

impl World {
    fn new() -> World {
        let kv = library();
        let mut world = World {
            db: null_mut(),
            txn: null_mut(),
            cursor: null_mut(),
            writer: null_mut(),
            edge: edge(),
            symbols: null_mut(),
        };
        // Each test has a database of its own, since each keeps a write transaction open.
        static WORLDS: AtomicU32 = AtomicU32::new(0);
        let folder = std::env::var_os("KV_TMP").map_or_else(std::env::temp_dir, PathBuf::from);
        let world_no = WORLDS.fetch_add(1, Relaxed);
        let path = folder.join(format!("kv-lengths-{}-{world_no}.kv", std::process::id()));
        let path = CString::new(path.into_os_string().into_vec()).expect("a path");
        // SAFETY: the calls of kv.h with what they need.
        unsafe {
            assert_eq!((kv.kv_open)(path.as_ptr(), null(), &mut world.db), 0);
            libc::unlink(path.as_ptr());
            assert_eq!((kv.kv_txn_begin)(world.db, KV_WRITE, null(), &mut world.txn), 0);
            let key = c"k".as_ptr().cast();
            assert_eq!((kv.kv_put)(world.txn, 0, key, 1, key, 1, 0), 0);
            assert_eq!((kv.kv_cursor_open)(world.txn, 0, null(), &mut world.cursor), 0);
            assert_eq!((kv.kv_cursor_next)(world.cursor, null_mut(), null_mut()), 0);
            assert_eq!(
                (kv.kv_writer_open)(world.txn, 0, c"w".as_ptr().cast(), 1, 0, 0, &mut world.writer),
                0
            );
            let name = std::env::var("KV_LIB")
                .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/build/libkv.so").into());
            let name = CString::new(name).expect("a path");
            world.symbols = libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        }
        assert!(!world.symbols.is_null());
        world
    }

    /// Calls the function with one length that is wrong and everything else right, and returns its answer.
    fn call(&self, function: &Declared, wrong: &Site, pointer: *mut c_void, len: usize) -> i32 {
        // Results of all kinds go here.
        let mut scratch = [[0u64; 32]; 8];
        let one = kv_slice {
            data: self.edge,
            len: 1,
        };
        let hostile = kv_slice { data: pointer, len };
        // SAFETY: zero is a value of these structs of numbers and pointers.
        let (mut ranges, mut batches, mut ops) =
            unsafe { std::mem::zeroed::<([kv_range; 8], [kv_batch; 8], [kv_op; 8])>() };
        let mut keys = [one; 8];
        let mut ends = [1u32; 8];
        let mut arguments = [0usize; 8];
        for (at, (kind, name)) in function.parameters.iter().enumerate() {
            let element = |value| wrong.place == Place::Element { at, value };
            arguments[at] = match kind.as_str() {
                "kv_db *" => self.db.addr(),
                "kv_txn *" | "const kv_txn *" => self.txn.addr(),
                "kv_cursor *" => self.cursor.addr(),
                "kv_writer *" => self.writer.addr(),
                "kv_table" | "uint64_t" => 0,
                "uint32_t" if name == "how" => KV_SEEK_EQ as usize,
                "uint32_t" => 0,
                "size_t" => 1,
                "const void *" => self.edge.addr(),
                "const kv_table_options *" | "kv_range_fn" => 0,
                "const kv_range *" => {
                    let range = &mut ranges[at];
                    range.flags = KV_RANGE_FROM;
                    range.from = one;
                    if let Place::Range { at: which, field } = wrong.place {
                        if which == at {
                            range.flags = [KV_RANGE_FROM, KV_RANGE_BEFORE, KV_RANGE_PREFIX][field];
                            range.from = kv_slice::NONE;
                            *[&mut range.from, &mut range.to, &mut range.prefix][field] = hostile;
                        }
                    }
                    (&raw const *range).addr()
                }
                "const kv_slice *" => {
                    if element(false) {
                        keys[at] = hostile;
                    }
                    (&raw const keys[at]).addr()
                }
                "const kv_op *" => {
                    let op = &mut ops[at];
                    (op.op, op.key, op.value) = (KV_OP_PUT, one, one);
                    if element(false) {
                        op.key = hostile;
                    }
                    if element(true) {
                        op.value = hostile;
                    }
                    (&raw const *op).addr()
                }
                "const kv_batch *" | "kv_batch *" => {
                    let batch = &mut batches[at];
                    batch.struct_size = size_of::<kv_batch>() as u32;
                    (batch.bytes, batch.bytes_size) = (self.edge, 1);
                    (batch.ends, batch.ends_size, batch.count) = (ends.as_mut_ptr(), 2, 1);
                    if let Place::Batch { at: which, field } = wrong.place {
                        match field {
                            _ if which != at => {}
                            "bytes" => (batch.bytes, batch.bytes_size) = (pointer, len),
                            "ends" => (batch.ends, batch.ends_size) = (pointer.cast(), len),
                            _ => batch.count = len,
                        }
                    }
                    (&raw mut *batch).addr()
                }
                // Whatever else is a pointer is an output.
                pointer if pointer.ends_with('*') => (&raw mut scratch[at]).addr(),
                other => panic!("{}: nobody knows what to give for {other} {name}", function.name),
            };
        }
        if let Place::Parameter { at, pointer: given } = wrong.place {
            arguments[at] = len;
            if given {
                arguments[at - 1] = pointer.addr();
            }
        }
        let name = CString::new(function.name.as_str()).expect("a name");
        // SAFETY: the function takes integers and pointers only, of which each has a register or a word of the stack,
        // as has each of these; a function that has fewer ignores the others.
        unsafe {
            let address = libc::dlsym(self.symbols, name.as_ptr());
            assert!(!address.is_null(), "{} is not exported", function.name);
            let call: Function = std::mem::transmute(address);
            let [a, b, c, d, e, f, g, h] = arguments;
            call(a, b, c, d, e, f, g, h)
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let kv = library();
        // SAFETY: whatever a call has done to these handles, they may be closed once more.
        unsafe {
            (kv.kv_txn_abort)(self.txn);
            let _ = (kv.kv_close)(self.db);
        }
    }
}

/// Returns the address of the last byte before memory that cannot be read.
fn edge() -> *mut c_void {
    let page = 65536;
    // SAFETY: a new mapping, of which the second half is made unreadable.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let at = libc::mmap(null_mut(), 2 * page, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        assert!(at != libc::MAP_FAILED);
        assert_eq!(libc::mprotect(at.byte_add(page), page, libc::PROT_NONE), 0);
        *at.byte_add(page - 1).cast::<u8>() = b'k';
        at.byte_add(page - 1)
    }
}

fn message() -> String {
    // SAFETY: never NULL, and valid until the next call on this thread.
    unsafe { CStr::from_ptr((library().kv_error_message)()) }
        .to_string_lossy()
        .into_owned()
}

#[test]
fn lengths_beyond_the_limits_are_refused_before_a_byte_is_read() {
    let world = World::new();
    let (mut functions, mut calls) = (0, 0);
    for function in declared() {
        if OTHERS.iter().any(|(name, _)| *name == function.name) {
            continue;
        }
        let sites = sites(&function);
        functions += usize::from(!sites.is_empty());
        for site in sites {
            for len in [site.most.saturating_add(1), 1 << 32, usize::MAX / 2, usize::MAX] {
                if len <= site.most {
                    continue;
                }
                let answer = world.call(&function, &site, world.edge, len);
                let said = message();
                assert_eq!(
                    answer, TOO_BIG,
                    "{} with {len} bytes at {site:?}: {said}",
                    function.name
                );
                assert!(said.contains(site.name), "{}, {site:?}: {said}", function.name);
                calls += 1;
            }
            let has_pointer = match site.place {
                Place::Parameter { pointer, .. } => pointer,
                Place::Batch { field, .. } => field != "count",
                _ => true,
            };
            // A batch without ends has room for none, which is no mistake of an output.
            if has_pointer {
                let answer = world.call(&function, &site, null_mut(), 3);
                let said = message();
                assert_eq!(answer, INVALID, "{} with NULL at {site:?}: {said}", function.name);
                assert!(said.contains(site.name), "{}, {site:?}: {said}", function.name);
                calls += 1;
            }
        }
    }
    println!("lengths: {calls} passed, 0 failed, 0 skipped ({functions} functions)");
    assert!(
        functions >= 30,
        "only {functions} functions take a length: the header was not understood"
    );
}

#[test]
fn a_key_that_is_a_byte_too_long_is_refused_and_the_longest_is_not() {
    let (kv, world) = (library(), World::new());
    let bytes = vec![b'x'; KEY + 1];
    let (at, value) = (bytes.as_ptr().cast::<c_void>(), c"v".as_ptr().cast());
    let txn = world.txn;
    let mut slice = kv_slice::NONE;
    let mut number = 0u64;
    // SAFETY: the calls of kv.h with what they need.
    unsafe {
        for (len, there) in [(KEY + 1, TOO_BIG), (KEY, 0)] {
            assert_eq!((kv.kv_put)(txn, 0, at, len, value, 1, 0), there);
            assert_eq!((kv.kv_get)(txn, 0, at, len, &mut slice), there);
            assert_eq!((kv.kv_rank)(txn, 0, at, len, &mut number), there);
            assert_eq!(
                (kv.kv_cursor_seek)(world.cursor, at, len, KV_SEEK_EQ, null_mut(), null_mut()),
                there
            );
            assert_eq!((kv.kv_delete)(txn, 0, at, len, KV_BLIND), there);
            let absent = if there == 0 { -1 } else { there };
            assert_eq!((kv.kv_delete)(txn, 0, at, len, 0), absent);
            assert_eq!((kv.kv_take)(txn, 0, at, len, &mut slice), absent);
            // The same in a batch, whose ends tell how long its strings are.
            let mut batch: kv_batch = std::mem::zeroed();
            let mut ends = [len as u32];
            batch.struct_size = size_of::<kv_batch>() as u32;
            (batch.bytes, batch.bytes_size) = (at.cast_mut(), len);
            (batch.ends, batch.ends_size, batch.count) = (ends.as_mut_ptr(), 1, 1);
            assert_eq!((kv.kv_delete_packed)(txn, 0, &batch, KV_BLIND, null_mut()), there);
        }
    }
}
