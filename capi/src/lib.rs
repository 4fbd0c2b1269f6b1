//! The C interface of kv: `libkv.so`, `libkv.a`, `kv.h`.
//!
//! The only room where a C pointer exists. It translates and nothing else: check the arguments, find what the handle
//! stands for, call the engine, map the error. One file per chapter of the header, in the header's order; below them
//! the machinery that every chapter uses:
//!
//! | file        | subject                                                                                       |
//! |-------------|-----------------------------------------------------------------------------------------------|
//! | `status`    | the numbers, and how a failure becomes one                                                    |
//! | `error`     | what a thread's last failure was; the guard around every exported function                     |
//! | `types`     | slices, ranges, entries, batches: the structs that cross the border, and their checks           |
//! | `arg`       | pointers of the caller -> slices, outputs, options                                             |
//! | `slots`     | handles: {slot, generation} tokens, pinned while a call uses them                               |
//! | `held_by`   | what stands behind a handle: databases, transactions, cursors, writers, buffers                |
//! | `reach`     | from a handle to the engine's object, and back out through closing                              |
//! | `stuck`     | telling the caller of readers that do not end                                                 |
//! | `process`   | fork and panic hooks                                                                           |
//!
//! Rules kept here: no panic crosses the border ([`error::guard`]); a pointer of the caller is dereferenced only in
//! `arg` and `types`, inside the call it was given to; a handle is never dereferenced at all, because it is a token and
//! not an address.
#![allow(non_camel_case_types, reason = "names are those of the header")]
#![allow(
    clippy::missing_safety_doc,
    reason = "what callers must keep to is in the header's conventions"
)]

mod arg;
mod error;
mod held_by;
mod process;
mod reach;
mod slots;
mod stuck;

pub mod status;
pub mod types;
pub mod version;

pub mod db;
pub mod txn;
pub mod waiting;

pub mod table;

pub mod entry;

pub mod count;
pub mod cursor;

pub mod batch;
pub mod packed;

pub mod held;
pub mod value;
pub mod writer;

pub mod care;
pub mod stat;

pub use error::{kv_error, kv_error_detail, kv_error_message};
