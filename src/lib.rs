//! An embedded, transactional, ordered key-value store in one file.
//!
//! This crate is the engine; `capi/` puts the C interface of `include/kv.h` in front of it. The rooms, and the one
//! direction in which they may name each other (`tests/layers.rs` checks it):
//!
//! ```text
//! error, util <- file <- page <- { pager | tree } <- txn <- table <- db <- capi
//! ```
//!
//! | room    | subject                                                                                  |
//! |---------|------------------------------------------------------------------------------------------|
//! | `error` | every way a call can fail, one enum                                                      |
//! | `util`  | checked little-endian access, CRC-32C, key hash                                           |
//! | `file`  | bytes at offsets: the `Storage` trait (posix, memory, simulated disk), the map, locks      |
//! | `page`  | a page as bytes: leaf, dense leaf, branch, value chain, meta; pure functions, no I/O       |
//! | `pager` | page number -> page: verify, allocate, reclaim, commit, recover                            |
//! | `tree`  | `apply` (the only mutator), search, cursor, counting, check; pages through a trait         |
//! | `txn`   | snapshots and write sets; joins a tree to the pager                                        |
//! | `table` | names -> trees: the catalogue is itself a tree                                            |
//! | `db`    | what the user holds: database, transactions, cursors, statistics, check                    |

pub mod catalogue;
pub mod db;
pub mod error;
pub mod file;
pub mod ids;
pub mod maintain;
pub mod page;
pub mod pager;
pub mod tree;
pub mod txn;
pub mod util;

pub use db::{
    Cursor, Db, Durability, FileStat, LevelStat, Options, PutMode, Quick, Range, ReadTxn, Reader, ReaderInfo,
};
pub use db::{Recovery, Seek, TableStat, ValueInfo, ValueWriter, Verify, Wait, WriteOptions, WriteStat, WriteTxn};
pub use ids::{CommitId, PageNo, TableId};
pub use maintain::{salvage, BackupOptions, CheckReport, Fault, Job, OnBytes, OnProgress, SalvageReport};

pub use error::{Error, Result};
