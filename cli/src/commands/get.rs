//! `kv get`: values by their keys.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{About, Exit, Outcome};
use crate::input::args::{HexArg, StateArg, TableArg};
use crate::input::bytes::Syntax;
use crate::inspect::states;
use crate::output::entries::EntryForm;
use crate::output::stream::Out;
use crate::output::text::Quoted;
use crate::output::{Form, FormArg};
use clap::Args;
use kv_engine::{Error, Reader, TableId};
use std::ffi::OsString;
use std::path::PathBuf;

/// Shows the values of keys.
///
/// Each value is a line, in the order in which the keys were typed. With -o raw a value is written as it is, without a
/// line end. If a key is not there, the others are shown nevertheless, and the exit status is 1.
#[derive(Debug, Args)]
pub struct Get {
    /// The database.
    file: PathBuf,
    /// The keys.
    #[arg(required = true)]
    keys: Vec<OsString>,
    #[command(flatten)]
    table: TableArg,
    #[command(flatten)]
    form: FormArg,
    #[command(flatten)]
    hex: HexArg,
    #[command(flatten)]
    at: StateArg,
}

/// How much of a raw value is read at once.
const PART: usize = 1 << 20;

impl Get {
    /// Shows the values.
    pub fn run(self, context: &Context) -> Outcome {
        let syntax = self.hex.syntax();
        let name = self.table.name()?;
        let keys: Vec<Vec<u8>> = self.keys.iter().map(|key| syntax.read(key)).collect::<Outcome<_>>()?;
        let (database, mut txn) = states::open(&self.file, &self.at, context)?;
        let mut txn = txn.reader();
        let table = database.table(&mut *txn, name.as_deref())?;
        let mut out = Out::open()?;
        let form = EntryForm {
            form: self.form.form,
            syntax,
        };
        let mut exit = Exit::Done;
        for key in keys {
            if form.form == Form::Raw && syntax == Syntax::Text {
                if raw(&database, &mut *txn, table, &key, &mut out)? {
                    continue;
                }
            } else if let Some(value) = txn.get(table, &key).about(&self.file)? {
                form.value(&mut out, &key, value)?;
                continue;
            }
            form.no_value(&mut out, &key)?;
            out.finish()?;
            database.no_key(name.as_deref(), &key).tell();
            exit = Exit::NotFound;
        }
        out.finish()?;
        Ok(exit)
    }
}

/// Writes a value as it is, in parts, so that it need not fit into memory. Returns false if there is none.
fn raw(database: &Database, reader: &mut dyn Reader, table: TableId, key: &[u8], out: &mut Out) -> Outcome<bool> {
    let Some(info) = reader.value_info(table, key).about(&database.path)? else {
        return Ok(false);
    };
    let mut part = vec![0; info.len.min(PART as u64) as usize];
    let mut at = 0;
    while at < info.len {
        let read = reader.read_value(table, key, at, &mut part).about(&database.path)?;
        // What is read is one snapshot, so that the value does not end before its length.
        let read = read.filter(|read| *read > 0).ok_or_else(|| {
            let what = format!("the value of key {} ends at byte {at} of {}", Quoted(key), info.len);
            database.fail(Error::corrupt(None, what))
        })?;
        out.bytes(&part[..read])?;
        at += read as u64;
    }
    Ok(true)
}
