//! This room has what the user works with: databases, transactions, cursors and statistics.
//!
//! | file           | subject                                                               |
//! |----------------|-----------------------------------------------------------------------|
//! | `database`     | opening and closing a database, beginning transactions                |
//! | `options`      | how to open a database and begin a transaction                        |
//! | `types`        | ranges, seeks, figures                                                |
//! | `reader`       | what both kinds of transaction can do                                 |
//! | `read`         | the read transaction                                                  |
//! | `write`        | the write transaction: beginning, end, reading                        |
//! | `entries`      | the write transaction: puts and deletes                               |
//! | `tables`       | the write transaction: creating, renaming, clearing, dropping tables  |
//! | `snapshots`    | named snapshots: making, dropping and reading them                    |
//! | `history`      | the policy by which commits record snapshots, and thinning            |
//! | `saved`        | the savepoints that a write transaction has                           |
//! | `savepoints`   | the write transaction: going back to what it was, nested transactions |
//! | `value_writer` | the write transaction: values written in parts                        |
//! | `cursor`       | a position in a table                                                 |
//! | `difference`   | what was added, removed and changed between two transactions          |
//! | `revert`       | the write transaction: going back to what a read transaction sees     |
//! | `waiting`      | waiting for durable and visible commits; who holds old ones           |

mod cursor;
mod database;
mod difference;
mod entries;
mod history;
mod options;
mod read;
mod reader;
mod revert;
mod saved;
mod savepoints;
mod snapshots;
mod tables;
mod types;
mod value_writer;
mod waiting;
mod write;

pub use crate::pager::{Durability, FileStat, ReaderInfo, Recovery, Verify, Wait, Writer};
pub use crate::txn::{PutMode, WriteStat};
pub use cursor::Cursor;
pub use database::Db;
pub use difference::{same, Change, ChangeCounts, ChangeKind, Difference, OTHER_DATABASE};
pub use options::{Options, WriteOptions};
pub use read::ReadTxn;
pub use reader::Reader;
pub use saved::Savepoint;
pub use savepoints::NestedTxn;
pub use snapshots::{ReadAt, SnapshotOptions};
pub use types::{
    ChangedRange, FileRange, Identity, LevelStat, Range, Seek, SnapshotInfo, TableStat, ValueInfo, ValuePiece,
};
pub use value_writer::ValueWriter;
pub use write::WriteTxn;
