//! `kv load`: reading tables from text.

use super::put::{table_to_write, CreateArgs};
use crate::batches::Batches;
use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{input_name, shown, Exit, Failure, Outcome};
use crate::formats::sink::{Sink, TableName};
use crate::formats::{csv, json, mdb, Format};
use crate::input::args::{HexArg, TableArg};
use crate::input::lines::Lines;
use crate::input::names;
use crate::interrupt;
use crate::output::progress::{Progress, Unit};
use crate::output::text::{counted, Quoted};
use clap::Args;
use kv_engine::{Error, PutMode, TableId};
use std::ffi::OsString;
use std::num::NonZeroU64;
use std::path::PathBuf;

/// Reads what kv dump, mdb_dump and others have written, all of it or nothing.
///
/// It reads the text of mdb_dump, JSON lines and CSV with a heading: what kv dump writes in each of its formats, and
/// kv scan -o json without --keys-only, but not the other forms of kv scan. The format is found out by the first
/// bytes. Tables that the input names are created. All entries are one transaction, which may be larger than memory;
/// with --batch there are several, and what was loaded before an error stays. A file that was created is removed if
/// nothing was committed.
#[derive(Debug, Args)]
pub struct Load {
    /// The database.
    file: PathBuf,
    /// The text; - is standard input.
    #[arg(default_value = "-")]
    input: PathBuf,
    /// The format.
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// The table for entries that the input has in its main table, by its name with escapes. It is an error if the
    /// input names a table before that.
    #[arg(long, short, value_name = "NAME")]
    table: Option<OsString>,
    #[command(flatten)]
    create: CreateArgs,
    /// Keeps what is there: entries whose keys have a value already are left out.
    #[arg(long)]
    no_overwrite: bool,
    /// Commits after each so many entries.
    #[arg(long, value_name = "ENTRIES", value_parser = at_least_one, allow_negative_numbers = true)]
    batch: Option<NonZeroU64>,
    /// The first line of CSV is an entry: key,value.
    #[arg(long)]
    no_heading: bool,
    /// Fields of CSV are hexadecimal digits. (The other formats say so themselves.)
    #[arg(long)]
    hex: bool,
}

/// Reads a number of entries.
fn at_least_one(text: &str) -> Result<NonZeroU64, String> {
    text.parse().map_err(|_| "it is not a number from 1 on".to_string())
}

impl Load {
    /// Reads.
    pub fn run(self, context: &Context) -> Outcome {
        // These two are options of their own here, since they mean something else than in other commands.
        let main = TableArg { table: self.table }.name()?;
        let syntax = HexArg { hex: self.hex }.syntax();
        if self.create.create {
            names::check_typed(main.as_deref())?;
        }
        let mut lines = Lines::open(&self.input)?;
        let format = match self.format {
            Some(format) => Ok(format),
            None => Format::of(&lines.peek(Format::SIGN)?, !self.no_heading),
        };
        let access = WriteAccess {
            create: self.create.create,
            page_size: self.create.page_size,
            lazy: false,
        };
        // A file that is created must not stay if the user ends the work.
        interrupt::watch();
        let database = Database::to_write(&self.file, context, access)?;
        let format = format
            .map_err(|what| Failure::usage(format!("{}: {what}; nothing was loaded", input_name(&self.input))))?;
        let mut loader = Loader {
            batches: Batches::new(&database, self.batch),
            table: TableId::MAIN,
            name: None,
            has_table: false,
            main,
            may_create: self.create.create,
            keeps: self.no_overwrite,
            loaded: 0,
            left_out: 0,
            context,
            read: 0,
            progress: Progress::new(context, "loading", Unit::Bytes, lines.total),
        };
        let read = match format {
            Format::Mdb | Format::MdbPrint => mdb::read(&mut lines, &mut loader),
            Format::Json => json::read(&mut lines, &mut loader),
            Format::Csv => csv::read(lines, &mut loader, syntax, !self.no_heading),
        };
        if let Err(failure) = read.and_then(|()| loader.batches.commit()) {
            return Err(loader.batches.ended_by(failure, "loaded"));
        }
        database.keep();
        let Loader {
            batches,
            loaded,
            left_out,
            progress,
            ..
        } = loader;
        // The line of the progress goes before the summary comes.
        drop(progress);
        let replaced = match (loaded, loaded.saturating_sub(batches.added)) {
            (_, 0) => String::new(),
            (1, _) => ", in place of another".to_string(),
            (_, 1) => ", 1 of them in place of another".to_string(),
            (_, more) => format!(", {more} of them in place of others"),
        };
        let left_out = match left_out {
            0 => String::new(),
            1 => ", 1 was there already".to_string(),
            more => format!(", {more} were there already"),
        };
        let loaded = counted(loaded, "entry was", "entries were");
        context.say(format_args!(
            "{}: {loaded} loaded{replaced}{left_out}",
            shown(&self.file)
        ));
        Ok(Exit::Done)
    }
}

/// Puts what is read.
struct Loader<'d> {
    batches: Batches<'d>,
    table: TableId,
    name: Option<Vec<u8>>,
    has_table: bool,
    /// Where entries of the input's main table go.
    main: Option<Vec<u8>>,
    may_create: bool,
    keeps: bool,
    loaded: u64,
    left_out: u64,
    context: &'d Context,
    read: u64,
    progress: Progress,
}

impl Loader<'_> {
    /// Puts an entry. Returns false if there is one already that is kept.
    fn put(&mut self, key: &[u8], value: &[u8], keeps: bool) -> Outcome<bool> {
        if !self.has_table {
            self.table(None)?;
        }
        let mode = match keeps {
            true => PutMode::NoOverwrite,
            false => PutMode::Set,
        };
        let table = self.table;
        match self.batches.txn_to_put(table)?.put(table, key, value, mode) {
            Ok(()) => {}
            Err(Error::Exists(_)) => return Ok(false),
            Err(error) => return Err(self.batches.database.fail(error)),
        }
        self.loaded += 1;
        self.batches.count_entry()?;
        Ok(true)
    }
}

impl Sink for Loader<'_> {
    fn table(&mut self, name: TableName<'_>) -> Outcome<()> {
        // What the input names is created. What the user names may be a mistake.
        let may_create = name.is_some() || self.may_create;
        if let (Some(name), Some(_), false) = (name, &self.main, self.has_table) {
            return Err(Failure::usage(format!(
                "the input names the table {} itself, and --table is for entries that it has in its main table; leave out \
                 --table, or dump with kv dump --main",
                Quoted(name)
            )));
        }
        let name = name.map(<[u8]>::to_vec).or_else(|| self.main.clone());
        if self.has_table && self.name == name {
            return Ok(());
        }
        let database = self.batches.database;
        let table = table_to_write(database, self.batches.txn()?, name.as_deref(), may_create)?;
        (self.table, self.name, self.has_table) = (table, name, true);
        Ok(())
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        let keeps = self.keeps;
        if !self.put(key, value, keeps)? {
            self.left_out += 1;
        }
        Ok(())
    }

    fn entry_once(&mut self, key: &[u8], value: &[u8]) -> Outcome<bool> {
        self.put(key, value, true)
    }

    fn progress(&mut self, bytes: u64) -> Outcome<()> {
        let more = bytes - self.read;
        self.read = bytes;
        self.progress.more(more)
    }

    fn remark(&mut self, what: &str) {
        self.progress.aside(|| self.context.say(what));
    }
}
