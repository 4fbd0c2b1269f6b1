//! `kv put`: putting entries.

use crate::context::Context;
use crate::database::{Database, WriteAccess};
use crate::exit::{shown, About, Exit, Failure, Outcome};
use crate::input::args::{page_size, HexArg, TableArg};
use crate::input::names;
use crate::input::values::{Target, Value};
use crate::interrupt;
use crate::output::text::{Quoted, Typed};
use clap::Args;
use kv_engine::{Error, PutMode, Reader, TableId, WriteTxn};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

/// Puts entries, all of them or none.
///
/// A value is typed, or comes from standard input (-), or from a file (@NAME). A typed value that begins with - or @
/// is written \- or \@. All pairs are one transaction, which is durable when the command ends. A script that has a
/// value in a variable writes: printf %s "$VALUE" | kv put FILE KEY -
#[derive(Debug, Args)]
pub struct Put {
    /// The database.
    file: PathBuf,
    /// Keys and values, in turns: KEY VALUE [KEY VALUE]...
    #[arg(required = true, num_args = 2.., value_names = ["KEY", "VALUE"], allow_negative_numbers = true)]
    pairs: Vec<OsString>,
    #[command(flatten)]
    table: TableArg,
    #[command(flatten)]
    hex: HexArg,
    #[command(flatten)]
    create: CreateArgs,
    /// Keeps what is there: it is an error (exit status 6) if a key has a value already.
    #[arg(long, conflicts_with = "only_existing")]
    no_overwrite: bool,
    /// Only replaces: it is an error (exit status 1) if a key has no value yet.
    #[arg(long)]
    only_existing: bool,
    /// Does not wait until the commit is durable.
    #[arg(long)]
    lazy: bool,
}

/// What is created if it is missing.
#[derive(Debug, Clone, Copy, Args)]
pub struct CreateArgs {
    /// Creates the file and the table if they are missing.
    #[arg(long, short)]
    pub create: bool,
    /// The page size of a new file: 4096, 8192, 16384, 32768 or 65536 bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 4096, requires = "create", value_parser = page_size)]
    pub page_size: u32,
}

/// Returns the table to write into, which is created if it may be.
pub fn table_to_write(database: &Database, txn: &mut WriteTxn, name: Option<&[u8]>, create: bool) -> Outcome<TableId> {
    let Some(name) = name else {
        return Ok(TableId::MAIN);
    };
    if create {
        return txn.table_create(name, false).about(&database.path);
    }
    txn.table(name).map_err(|error| match error {
        Error::NoTable(_) => no_table_to_write(database, name),
        other => database.fail(other),
    })
}

fn no_table_to_write(database: &Database, name: &[u8]) -> Failure {
    database.no_table(name).advise("--create makes it")
}

impl Put {
    /// Puts the entries.
    pub fn run(self, context: &Context) -> Outcome {
        let syntax = self.hex.syntax();
        let name = self.table.name()?;
        if self.create.create {
            names::check_typed(name.as_deref())?;
        }
        let mut pairs = Vec::new();
        for pair in self.pairs.chunks(2) {
            let [key, value] = pair else {
                return Err(Failure::usage(format!(
                    "the key {} has no value; give keys and values in turns",
                    Typed(&pair[0])
                )));
            };
            let value = Value::of(value, syntax).map_err(|failure| failure.advise("nothing was put"))?;
            pairs.push((syntax.read(key)?, value));
        }
        if pairs.iter().filter(|(_, value)| matches!(value, Value::Input)).count() > 1 {
            return Err(Failure::usage("only one value can come from standard input (-)"));
        }
        if pairs.iter().any(|(_, value)| !matches!(value, Value::Typed(_))) {
            // A pipe may let the command wait, and a file that it created must not stay if the user ends that.
            interrupt::watch();
        }
        let access = WriteAccess {
            create: self.create.create,
            page_size: self.create.page_size,
            lazy: self.lazy,
        };
        let mode = self.mode();
        let database = Database::to_write(&self.file, context, access)?;
        let mut txn = database.write()?;
        let allowed = self.check(&database, &mut txn, name.as_deref(), &pairs);
        if let Err(failure) = allowed {
            txn.put_back();
            return Err(failure.advise("nothing was put"));
        }
        let table = table_to_write(&database, &mut txn, name.as_deref(), self.create.create)?;
        for (key, value) in pairs {
            let at = Target {
                database: &database,
                table,
                key: &key,
                mode,
            };
            value
                .put(&mut txn, &at, syntax)
                .map_err(|failure| failure.advise("nothing was put"))?;
        }
        interrupt::check().map_err(|failure| failure.advise("nothing was put"))?;
        txn.commit().about(&self.file)?;
        database.keep();
        Ok(Exit::Done)
    }

    fn mode(&self) -> PutMode {
        match (self.no_overwrite, self.only_existing) {
            (true, _) => PutMode::NoOverwrite,
            (_, true) => PutMode::NoInsert,
            _ => PutMode::Set,
        }
    }

    /// Sees before anything is written whether all pairs may be put, so that a refusal leaves the transaction of a
    /// shell as it was.
    fn check(
        &self,
        database: &Database,
        txn: &mut WriteTxn,
        name: Option<&[u8]>,
        pairs: &[(Vec<u8>, Value)],
    ) -> Outcome<()> {
        let table = match name {
            None => Some(TableId::MAIN),
            Some(name) => match txn.table(name) {
                Ok(table) => Some(table),
                Err(Error::NoTable(_)) if self.create.create => None,
                Err(Error::NoTable(_)) => return Err(no_table_to_write(database, name)),
                Err(error) => return Err(database.fail(error)),
            },
        };
        let mode = self.mode();
        if mode == PutMode::Set {
            return Ok(());
        }
        let mut earlier = BTreeSet::new();
        for (key, _) in pairs {
            let is_there = match table {
                Some(table) => txn.value_info(table, key).about(&database.path)?.is_some(),
                None => false,
            };
            match mode {
                PutMode::NoOverwrite if is_there || !earlier.insert(key) => {
                    let key = Quoted(key);
                    let what = format!("{}: the key {key} has a value already", shown(&database.path));
                    return Err(Failure::new(Exit::Refused, what));
                }
                PutMode::NoInsert if !is_there => return Err(database.no_key(name, key)),
                _ => {}
            }
        }
        Ok(())
    }
}
