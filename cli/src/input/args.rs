//! Options that several commands have.

use crate::exit::{Failure, Outcome};
use crate::input::bytes::Syntax;
use crate::input::{names, times};
use clap::Args;
use std::ffi::{OsStr, OsString};
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

/// Which tables of two states.
#[derive(Debug, Args)]
pub struct TablesArg {
    /// The table by its name, with escapes; all tables if this is left out. An empty name is the main table.
    #[arg(long, short, value_name = "NAME")]
    table: Option<OsString>,
}

impl TablesArg {
    /// Returns the name of the table, which is empty for the main table, or `None` for all tables.
    pub fn name(&self) -> Outcome<Option<Vec<u8>>> {
        self.table.as_deref().map(|name| Syntax::Text.read(name)).transpose()
    }
}

/// Which state is read. Commands that do something else with it say so in the help of these options.
#[derive(Debug, Args)]
pub struct StateArg {
    /// Reads the snapshot of this name, with escapes, instead of the newest commit.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["commit", "time"])]
    snapshot: Option<OsString>,
    /// Reads the newest state up to this commit, of those that are kept: the newest one and those of snapshots. If that
    /// is not the very commit, standard error says which it is.
    #[arg(long, value_name = "ID", conflicts_with = "time", value_parser = commit, allow_negative_numbers = true)]
    commit: Option<u64>,
    #[arg(long, value_name = "TIME", value_parser = times::read, allow_negative_numbers = true,
        help = time_help("Reads the newest state up to this time, of those that are kept"))]
    time: Option<u64>,
}

impl StateArg {
    /// Returns the state, or `None` for the newest commit.
    pub fn state(&self) -> Outcome<Option<EarlierState>> {
        EarlierState::typed(self.snapshot.as_deref(), self.commit, self.time)
    }

    /// Returns whether a state is named.
    pub fn is_given(&self) -> bool {
        self.snapshot.is_some() || self.commit.is_some() || self.time.is_some()
    }
}

/// Returns the help of an option that takes a time: what it does, and what times look like.
pub fn time_help(what: &str) -> String {
    format!("{what}: {}", times::FORMS)
}

/// Reads the number of a commit.
fn commit(text: &str) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.ok_or_else(|| "a commit is a number from 1 on, as kv snapshot FILE list shows it".to_string())
}

/// Which state is the later one of two.
#[derive(Debug, Args)]
pub struct LaterStateArg {
    /// The later state is the snapshot of this name, with escapes, instead of the newest commit.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["to_commit", "to_time"])]
    to_snapshot: Option<OsString>,
    /// The later state is the newest one up to this commit, of those that are kept.
    #[arg(long, value_name = "ID", conflicts_with = "to_time", value_parser = commit, allow_negative_numbers = true)]
    to_commit: Option<u64>,
    /// The later state is the newest one up to this time, of those that are kept, as --time has it.
    #[arg(long, value_name = "TIME", value_parser = times::read, allow_negative_numbers = true)]
    to_time: Option<u64>,
}

impl LaterStateArg {
    /// Returns the state, or `None` for the newest commit.
    pub fn state(&self) -> Outcome<Option<EarlierState>> {
        EarlierState::typed(self.to_snapshot.as_deref(), self.to_commit, self.to_time)
    }
}

/// A state that is read instead of the newest commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EarlierState {
    /// The snapshot of this name.
    Snapshot(Vec<u8>),
    /// The newest state up to this commit, of those that are kept.
    Commit(u64),
    /// The newest state up to this time, in nanoseconds since 1970, of those that are kept.
    Time(u64),
}

impl EarlierState {
    /// Returns the state that was typed as one of three options, or `None` if none of them was.
    fn typed(snapshot: Option<&OsStr>, commit: Option<u64>, time: Option<u64>) -> Outcome<Option<EarlierState>> {
        if let Some(typed) = snapshot {
            let name = Syntax::Text.read(typed)?;
            names::check_snapshot(&name)?;
            return Ok(Some(EarlierState::Snapshot(name)));
        }
        Ok(commit.map(EarlierState::Commit).or(time.map(EarlierState::Time)))
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
