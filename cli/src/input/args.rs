//! Options that several commands have.

use crate::exit::{Failure, Outcome};
use crate::input::bytes::Syntax;
use clap::Args;
use std::ffi::OsString;
use std::ops::Bound;

/// Which table.
#[derive(Debug, Args)]
pub struct TableArg {
    /// The table by its name, with escapes; the main table if this is left out.
    #[arg(long, short, value_name = "NAME")]
    pub table: Option<OsString>,
}

impl TableArg {
    /// Returns the name of the table, or `None` for the main table.
    pub fn name(&self) -> Outcome<Option<Vec<u8>>> {
        match self.table.as_deref() {
            Some(name) if name.is_empty() => Err(Failure::usage(
                "--table: the name of a table is not empty; leave --table out for the main table",
            )),
            name => name.map(|name| Syntax::Text.read(name)).transpose(),
        }
    }
}

/// How keys and values are typed and shown.
#[derive(Debug, Args)]
pub struct HexArg {
    /// Keys and values are hexadecimal digits, in what is typed and in what is shown.
    #[arg(long)]
    pub hex: bool,
}

impl HexArg {
    /// Returns how keys and values are typed and shown.
    pub fn syntax(&self) -> Syntax {
        match self.hex {
            true => Syntax::Hex,
            false => Syntax::Text,
        }
    }
}

/// Whether a file that is there already is replaced by a new database.
#[derive(Debug, Clone, Copy, Args)]
pub struct OverwriteArgs {
    /// Replaces the new file if it is there already and nobody has it open.
    #[arg(long)]
    pub overwrite: bool,
    /// Replaces it even if others have it open. They go on with the old one, and what they write is lost with it.
    #[arg(long, requires = "overwrite")]
    pub force: bool,
}

/// Reads the page size of a new file.
pub fn page_size(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bytes @ (4096 | 8192 | 16384 | 32768 | 65536)) => Ok(bytes),
        _ => Err("it can be 4096, 8192, 16384, 32768 or 65536".to_string()),
    }
}

/// Which keys.
#[derive(Debug, Args)]
pub struct RangeArgs {
    /// Only keys that begin with this.
    #[arg(long, short, value_name = "KEY")]
    pub prefix: Option<OsString>,
    /// Only keys from this one on.
    #[arg(long, value_name = "KEY")]
    pub from: Option<OsString>,
    /// Only keys before this one, which is left out itself.
    #[arg(long, value_name = "KEY")]
    pub to: Option<OsString>,
}

/// Bounds of keys, as bytes.
#[derive(Debug, Default)]
pub struct KeyRange {
    prefix: Option<Vec<u8>>,
    from: Option<Vec<u8>>,
    to: Option<Vec<u8>>,
}

impl RangeArgs {
    /// Returns the bounds as bytes.
    pub fn read(&self, syntax: Syntax) -> Outcome<KeyRange> {
        let read = |typed: &Option<OsString>| typed.as_deref().map(|typed| syntax.read(typed)).transpose();
        Ok(KeyRange {
            prefix: read(&self.prefix)?,
            from: read(&self.from)?,
            to: read(&self.to)?,
        })
    }

    /// Returns whether no bound is given.
    pub fn is_whole(&self) -> bool {
        self.prefix.is_none() && self.from.is_none() && self.to.is_none()
    }
}

impl KeyRange {
    /// Returns whether every key is in the range. Bounds may be given and empty.
    pub fn is_everything(&self) -> bool {
        let is_empty = |bound: &Option<Vec<u8>>| bound.as_ref().is_none_or(Vec::is_empty);
        is_empty(&self.prefix) && is_empty(&self.from) && self.to.is_none()
    }

    /// Returns the range as the engine takes it.
    pub fn range(&self, reverse: bool) -> kv_engine::Range<'_> {
        kv_engine::Range {
            from: self.from.as_deref().map_or(Bound::Unbounded, Bound::Included),
            to: self.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
            prefix: self.prefix.as_deref(),
            reverse,
        }
    }
}
