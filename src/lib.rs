//! An embedded, transactional, ordered key-value store in one file.
//!
//! Keys and values are bytes, and keys are ordered as bytes. There is one write transaction at a time, in all processes
//! that have the file open, and any number of read transactions beside it. Each of these sees one commit for as long as
//! it lasts, and neither kind waits for the other. A commit is made whole or not at all, even if the power fails. Every
//! page is verified by the checksum in the pointer that leads to it.
//!
//! ```
//! use kv::{Cursor, Db, Options, PutMode, Range, Reader, TableId, WriteOptions};
//!
//! fn main() -> kv::Result<()> {
//!     // `Db::open("fruit.kv".as_ref(), &Options::default())` keeps a file.
//!     let db = Db::open("".as_ref(), &Options { memory: true, ..Options::default() })?;
//!
//!     let mut txn = db.begin_write(WriteOptions::default())?;
//!     txn.put(TableId::MAIN, b"apple", b"red", PutMode::Set)?;
//!     txn.put(TableId::MAIN, b"banana", b"yellow", PutMode::Set)?;
//!     txn.commit()?;
//!
//!     let read = db.begin_read()?;
//!     assert_eq!(read.get(TableId::MAIN, b"apple")?, Some(&b"red"[..]));
//!     let mut cursor = Cursor::new(&mut &read, TableId::MAIN, &Range::default())?;
//!     while cursor.next(&mut &read)? {
//!         let key = cursor.key().to_vec();
//!         println!("{:?}: {:?}", key, cursor.value(&mut &read)?);
//!     }
//!     assert_eq!((&read).count(TableId::MAIN, &Range::default())?, 2);
//!     Ok(())
//! }
//! ```
//!
//! # Where to begin
//!
//! | to ...                       | see                                                         |
//! |------------------------------|-------------------------------------------------------------|
//! | open a file                  | [`Db`], [`Options`]                                         |
//! | read a snapshot              | [`ReadTxn`], [`Reader`]                                     |
//! | write                        | [`WriteTxn`], [`WriteOptions`], [`PutMode`], [`Durability`] |
//! | undo a part of what I wrote  | [`WriteTxn::nest`], [`WriteTxn::savepoint_create`]          |
//! | go through a range of keys   | [`Cursor`], [`Range`], [`Seek`]                             |
//! | see what has changed         | [`Difference`], [`same()`]                                  |
//! | keep several tables          | [`WriteTxn::table_create`], [`Reader::table`], [`TableId`]  |
//! | write a very long value      | [`ValueWriter`], [`Reader::read_value`]                     |
//! | prove that a file is whole   | [`Db::check`], [`Db::check_reporting`], [`CheckReport`]     |
//! | copy a database in use       | [`ReadTxn::backup`], [`ReadTxn::backup_to`]                 |
//! | save what a damaged file has | [`salvage()`]                                               |
//! | see what pages are used for  | [`Db::page_uses`]                                           |
//! | know why a call failed       | [`Error`]                                                   |
//!
//! # How the crate is built
//!
//! This crate is the engine; `capi/` puts the C interface of `include/kv.h` in front of it, `cli/` is the command `kv`,
//! and `docs/design.md` tells how it works. The modules of the crate root are called rooms. Imports between rooms point
//! in one direction only, which `tests/layers.rs` checks:
//!
//! ```text
//! error, ids, util <- file <- page <- { pager | tree } <- catalogue <- txn <- db <- maintain
//! ```
//!
//! | room        | subject                                                                               |
//! |-------------|---------------------------------------------------------------------------------------|
//! | `error`     | every way a call can fail, one enum                                                   |
//! | `ids`       | numbers of pages, commits and tables, each with a type of its own                     |
//! | `util`      | checked little-endian access, CRC-32C, key hash                                       |
//! | `file`      | bytes at offsets: the `Storage` trait (posix, memory, simulated disk), the map, locks |
//! | `page`      | a page as bytes: leaf, dense leaf, branch, value chain, meta; pure functions, no I/O  |
//! | `pager`     | page number -> page: verify, allocate, reclaim, commit, recover                       |
//! | `tree`      | `apply` (the only mutator), lookup, cursor, counting, check; pages through two traits |
//! | `catalogue` | named tables: names -> numbers -> trees                                               |
//! | `txn`       | drafts and the order of a commit; joins trees to the pager                            |
//! | `db`        | what the user holds: database, transactions, cursors, statistics                      |
//! | `maintain`  | check, backup, salvage                                                                |
//!
//! # Memory
//!
//! What grows with the data of a transaction is allocated in such a way that a refusal is answered by
//! [`Error::NoMemory`]: lists of edits, copies of values, pages. The many small allocations besides are ordinary Rust,
//! which ends the process if one of them fails. A program that must live with that needs a global allocator that keeps
//! a reserve for allocations of up to 32 KiB; [`set_memory_short`] is how it makes long work end before the reserve is
//! used up. The C library has one (`capi/src/border/memory.rs`).
//!
//! The rooms are private. The cargo feature `internals` makes them public for the project's own tests and
//! micro-benchmarks; what it shows is no part of the API and changes without notice.

// Each room is declared twice: as a private module, and as a public one with the feature. The declarations are written
// out, because rustfmt does not find the files of modules that a macro declares.
#[cfg(not(feature = "internals"))]
mod catalogue;
#[cfg(feature = "internals")]
pub mod catalogue;
#[cfg(not(feature = "internals"))]
mod db;
#[cfg(feature = "internals")]
pub mod db;
#[cfg(not(feature = "internals"))]
mod error;
#[cfg(feature = "internals")]
pub mod error;
#[cfg(not(feature = "internals"))]
mod file;
#[cfg(feature = "internals")]
pub mod file;
#[cfg(not(feature = "internals"))]
mod ids;
#[cfg(feature = "internals")]
pub mod ids;
#[cfg(not(feature = "internals"))]
mod maintain;
#[cfg(feature = "internals")]
pub mod maintain;
#[cfg(not(feature = "internals"))]
mod page;
#[cfg(feature = "internals")]
pub mod page;
#[cfg(not(feature = "internals"))]
mod pager;
#[cfg(feature = "internals")]
pub mod pager;
#[cfg(not(feature = "internals"))]
mod tree;
#[cfg(feature = "internals")]
pub mod tree;
#[cfg(not(feature = "internals"))]
mod txn;
#[cfg(feature = "internals")]
pub mod txn;
#[cfg(not(feature = "internals"))]
mod util;
#[cfg(feature = "internals")]
pub mod util;

pub use catalogue::{Retention, NAME_MAX, NOTE_MAX};
#[doc(hidden)]
pub use db::OTHER_DATABASE;
pub use db::{same, Change, ChangeCounts, ChangeKind, Difference};
pub use db::{ChangedRange, FileRange, Identity, ValueInfo, ValuePiece, ValueWriter, Writer};
pub use db::{Cursor, Db, Options, Range, ReadTxn, Reader, Seek, WriteOptions, WriteTxn};
pub use db::{Durability, FileStat, LevelStat, PutMode, ReaderInfo, Recovery, TableStat, Verify, Wait, WriteStat};
pub use db::{NestedTxn, Savepoint};
pub use db::{ReadAt, SnapshotInfo, SnapshotOptions};
#[doc(hidden)]
pub use error::table_called;
pub use error::{Conflict, Corruption, Detail, Error, FaultKind, Foreign, MissingTable, Result};
#[doc(hidden)]
pub use file::uncancelled::Uncancelled;
pub use ids::{CommitId, PageNo, TableId};
pub use maintain::{salvage, BackupOptions, CheckReport, Fault, Job, OnBytes, OnProgress, SalvageReport};
pub use maintain::{CompactOptions, CompactReport, PageRun, PageUse, PageUses};
// The parts of what `Cursor::next_many` returns.
pub use page::key::{KeyBuf, PADDED};
pub use page::leaf::Stored;
pub use page::KEY_MAX;
pub use tree::write::values::VALUE_MAX;
pub use util::memory::set_memory_short;
#[doc(hidden)]
pub use util::shown::{plural, Quoted, ShownPath};
