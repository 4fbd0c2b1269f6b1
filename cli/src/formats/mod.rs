//! Text formats of whole tables. Each file has both directions: `write` and `read`.
//!
//! | file          | subject                                                            |
//! |---------------|--------------------------------------------------------------------|
//! | `mdb`         | the format of LMDB's `mdb_dump` and `mdb_load`                     |
//! | `json`        | JSON lines                                                         |
//! | `csv`         | comma-separated values with a heading                              |
//! | `quotations`  | quotations of CSV that do not end, or do not end their field       |
//! | `lmdb_record` | how LMDB describes a named database within its main one            |
//! | `sink`        | where entries go that are read, and where those come to be written |

pub mod csv;
pub mod json;
mod lmdb_record;
pub mod mdb;
mod quotations;
pub mod sink;

use crate::input::lines::MARK;
use clap::ValueEnum;

/// How the format of LMDB begins.
const VERSION: &[u8] = b"VERSION=";

/// How many bytes are looked at to see whether input is text.
const FIRST: usize = 64;

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

    /// Returns the format of what begins with these bytes, or what it is instead. CSV without a heading may begin with
    /// anything.
    pub fn of(begin: &[u8], has_heading: bool) -> Result<Format, String> {
        let begin = begin.strip_prefix(MARK).unwrap_or(begin);
        match begin.trim_ascii_start() {
            [] => Err(
                "the input is empty, so that its format is not known; see whether what writes it has failed, or \
                       give the format (--format json takes it for no entries)"
                    .to_string(),
            ),
            [b'{', ..] => Ok(Format::Json),
            text if text.starts_with(VERSION) => Ok(Format::Mdb),
            _ if !has_heading => Ok(Format::Csv),
            [b'[', ..] => Err("this is a JSON array; one object a line is needed (jq -c '.[]')".to_string()),
            _ => match foreign(begin) {
                Some(what) => Err(what),
                None => Ok(Format::Csv),
            },
        }
    }
}

/// Returns what input is that has no format of text, by its first bytes.
fn foreign(begin: &[u8]) -> Option<String> {
    const DATABASE: &[u8] = b"\x89kvfile";
    const PACKED: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ", "xz"),
        (b"BZh", "bzip2"),
    ];
    if begin.starts_with(DATABASE) {
        return Some(
            "this is a database, and no text; copy it with kv restore, or write it as text with kv dump".into(),
        );
    }
    if let Some((_, program)) = PACKED.iter().find(|(sign, _)| begin.starts_with(sign)) {
        return Some(format!("this is packed by {program}; unpack it first ({program} -dc)"));
    }
    // A heading is text, whatever comes behind it. What was read may end within a character.
    let begin = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let begin = &begin[..begin.len().min(FIRST)];
    let is_text = match std::str::from_utf8(begin) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none(),
    };
    let is_control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    match is_text && !begin.iter().any(is_control) {
        true => None,
        false => Some(
            "this has no known format; load reads what kv dump and mdb_dump write, JSON lines, and CSV with a heading"
                .to_string(),
        ),
    }
}
