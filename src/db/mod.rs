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
//! | `value_writer` | the write transaction: values written in parts                        |
//! | `cursor`       | a position in a table                                                 |
//! | `waiting`      | waiting for durable and visible commits; who holds old ones           |

mod cursor;
mod database;
mod entries;
mod options;
mod read;
mod reader;
mod tables;
mod types;
mod value_writer;
mod waiting;
mod write;

pub use crate::pager::{Durability, FileStat, ReaderInfo, Recovery, Verify, Wait, Writer};
pub use crate::txn::{PutMode, WriteStat};
pub use cursor::Cursor;
pub use database::Db;
pub use options::{Options, WriteOptions};
pub use read::ReadTxn;
pub use reader::Reader;
pub use types::{FileRange, Identity, LevelStat, Range, Seek, TableStat, ValueInfo, ValuePiece};
pub use value_writer::ValueWriter;
pub use write::WriteTxn;
