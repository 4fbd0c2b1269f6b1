//! The C interface of kv: `libkv.so`, `libkv.a`, `kv.h`.
//!
//! C pointers exist nowhere else. This crate translates and does nothing else: it checks the arguments, finds what the
//! handle stands for, calls the engine, and maps the error. Its files are the chapters of the header, and use two
//! folders:
//!
//! | file          | subject                                                                             |
//! |---------------|-------------------------------------------------------------------------------------|
//! | `db`          | database: opening, closing, syncing, calls that are a transaction of their own      |
//! | `txn`         | transactions                                                                        |
//! | `savepoint`   | savepoints: going back within a write transaction, nested transactions              |
//! | `waiting`     | waiting: for a commit to become durable, or for a newer one                         |
//! | `table`       | tables                                                                              |
//! | `entry`       | entries: get, put, delete                                                           |
//! | `cursor`      | cursors: walking through a table                                                    |
//! | `count`       | cursors: counting                                                                   |
//! | `batch`       | batches: arrays of slices, for programs in C                                        |
//! | `packed`      | batches: one buffer and an array of ends, for bindings                              |
//! | `difference`  | differences: what was added, removed and changed between two transactions           |
//! | `value`       | long values: looking at a value, reading a part of it                               |
//! | `writer`      | long values: writing a value in parts                                               |
//! | `retained`    | retained values: bytes with a count of references                                   |
//! | `history`     | snapshots that commits record by themselves, and which of a row stay               |
//! | `snapshot`    | snapshots: states of the database that have a name                                  |
//! | `ranges`      | snapshots: which ranges of keys have changed since                                  |
//! | `revert`      | snapshots: going back to an earlier state                                           |
//! | `maintenance` | maintenance: check, backup                                                          |
//! | `compact`     | maintenance: giving space back while a database is in use                           |
//! | `salvage`     | maintenance: salvage                                                                |
//! | `stat`        | statistics: figures of databases, tables and transactions                           |
//! | `border`      | pointers and structs of the caller, status numbers, the guard of exported functions |
//! | `handle`      | the tokens that a program holds as pointers, and the objects behind them            |
//!
//! Imports point one way: `border <- handle <- chapters`.
//!
//! Three rules are kept here. No panic crosses the border ([`border::error::guard`]). A pointer of the caller is
//! dereferenced only in `border::arg` and `border::types`, and only inside the call it was given to. A handle is never
//! dereferenced at all, because it is a token and not an address.
#![allow(non_camel_case_types, reason = "names are those of the header")]
#![allow(
    clippy::missing_safety_doc,
    reason = "what callers must keep to is in the header's conventions"
)]

pub mod border;
pub mod handle;

pub mod db;
pub mod txn;

pub mod savepoint;

pub mod waiting;

pub mod table;

pub mod entry;

pub mod cursor;

pub mod count;

pub mod batch;
pub mod packed;

pub mod difference;

pub mod retained;
pub mod value;
pub mod writer;

pub mod snapshot;

pub mod ranges;
pub mod revert;

pub mod history;
pub mod maintenance;

pub mod compact;

pub mod salvage;
pub mod stat;
