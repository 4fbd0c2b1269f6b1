//! Text formats of whole tables. Each file has both directions: `write` and `read`.
//!
//! | file         | subject                                                            |
//! |--------------|--------------------------------------------------------------------|
//! | `mdb`        | the format of LMDB's `mdb_dump` and `mdb_load`                     |
//! | `json`       | JSON lines                                                         |
//! | `csv`        | comma-separated values with a heading                              |
//! | `quotations` | quotations of CSV that do not end, or do not end their field       |
//! | `sink`       | where entries go that are read, and where those come to be written |

pub mod csv;
pub mod json;
pub mod mdb;
mod quotations;
pub mod sink;

use clap::ValueEnum;

/// How the format of LMDB begins.
const VERSION: &[u8] = b"VERSION=";

/// A format of whole tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// LMDB's mdb_dump, bytes as hexadecimal digits (format=bytevalue).
    Mdb,
    /// LMDB's mdb_dump -p, bytes as text where they can be seen (format=print).
    MdbPrint,
    /// One JSON object a line: {"table": ..., "key": ..., "value": ...}.
    Json,
    /// Comma-separated values, after a heading: key,value or table,key,value.
    Csv,
}

impl Format {
    /// How many bytes show the format.
    pub const SIGN: usize = VERSION.len();

    /// Returns the format of what begins with these bytes.
    pub fn of(begin: &[u8]) -> Format {
        match begin.trim_ascii_start() {
            [b'{', ..] => Format::Json,
            text if text.starts_with(VERSION) => Format::Mdb,
            _ => Format::Csv,
        }
    }
}
