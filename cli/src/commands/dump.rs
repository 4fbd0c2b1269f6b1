//! `kv dump`: writing tables as text.

use crate::context::Context;
use crate::database::{Database, Table};
use crate::exit::{shown, About, Exit, Outcome};
use crate::formats::sink::TableWriter;
use crate::formats::{csv, json, mdb, Format};
use crate::input::args::{HexArg, RangeArgs, StateArg, TableArg};
use crate::inspect::states;
use crate::output::progress::{Progress, Unit};
use crate::output::stream::Out;
use clap::Args;
use kv_engine::{Cursor, Reader};
use std::path::PathBuf;

/// Writes all tables, or one of them, as text that kv load reads.
///
/// All of it is one snapshot, while others write. The format of LMDB's mdb_dump is the default, so that mdb_load can
/// read it; --format json and --format csv are read by other programs.
#[derive(Debug, Args)]
#[command(mut_arg("table", |table| {
    table.help("Only this table, by its name with escapes; without this and --main, all tables are written")
}))]
pub struct Dump {
    /// The database.
    file: PathBuf,
    /// The format.
    #[arg(long, short, value_enum, value_name = "FORMAT", default_value = "mdb")]
    format: Format,
    #[command(flatten)]
    table: TableArg,
    /// Only the main table.
    #[arg(long, conflicts_with = "table")]
    main: bool,
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    hex: HexArg,
    #[command(flatten)]
    at: StateArg,
}

/// The least and the greatest size of the map that mdb_load is told to take. It is address space, and costs nothing.
const MAP_SIZES: (u64, u64) = (1 << 30, 1 << 46);

/// The tables to write, and what is read of them.
struct Tables<'t> {
    database: &'t Database,
    reader: &'t mut dyn Reader,
    range: kv_engine::Range<'t>,
    tables: Vec<Table>,
    context: &'t Context,
}

impl Dump {
    /// Writes the tables.
    pub fn run(self, context: &Context) -> Outcome {
        let syntax = self.hex.syntax();
        let name = self.table.name()?;
        let range = self.range.read(syntax)?;
        let (database, mut txn) = states::open(&self.file, &self.at, context)?;
        let mut reader = txn.reader();
        let mut tables = Tables {
            tables: self.tables(&database, &mut *reader, name)?,
            database: &database,
            reader: &mut *reader,
            range: range.range(false),
            context,
        };
        let mut out = Out::open()?;
        match self.format {
            Format::Mdb => tables.write(&mut mdb_writer(&mut out, mdb::Style::ByteValue, &database))?,
            Format::MdbPrint => tables.write(&mut mdb_writer(&mut out, mdb::Style::Print, &database))?,
            Format::Json => tables.write(&mut json::Writer::new(&mut out, syntax))?,
            Format::Csv => {
                let names_tables = tables.tables.iter().any(|table| table.name.is_some());
                tables.write(&mut csv::Writer::new(&mut out, syntax, names_tables)?)?;
            }
        }
        out.finish()?;
        Ok(Exit::Done)
    }

    /// Returns the tables to write, the main one first.
    fn tables(&self, database: &Database, txn: &mut dyn Reader, name: Option<Vec<u8>>) -> Outcome<Vec<Table>> {
        if name.is_some() {
            let id = database.table(txn, name.as_deref())?;
            return Ok(vec![Table { name, id }]);
        }
        match self.main {
            true => Ok(vec![Table::main()]),
            false => database.tables(txn),
        }
    }
}

fn mdb_writer<'o>(out: &'o mut Out, style: mdb::Style, database: &Database) -> mdb::Writer<'o> {
    let stat = database.db.stat();
    let bytes = (stat.pages * u64::from(stat.page_size)).saturating_mul(4);
    mdb::Writer::new(out, style, bytes.clamp(MAP_SIZES.0, MAP_SIZES.1))
}

impl Tables<'_> {
    fn write(&mut self, to: &mut dyn TableWriter) -> Outcome<()> {
        let (path, reader) = (&self.database.path, &mut *self.reader);
        let mut total = 0;
        for table in &self.tables {
            let name = table.name.as_deref();
            to.check(name)
                .map_err(|failure| failure.advise("nothing was written"))?;
        }
        for table in &self.tables {
            total += reader.count(table.id, &self.range).about(path)?;
        }
        let mut progress = Progress::new(self.context, "writing", Unit::Entries, Some(total));
        for table in &self.tables {
            to.begin(table.name.as_deref())?;
            let mut cursor = Cursor::new(reader, table.id, &self.range).about(path)?;
            while cursor.next(reader).about(path)? {
                let value = cursor.value(reader).about(path)?;
                let written = to.entry(cursor.key(), value);
                if let Some(remark) = to.remark() {
                    progress.aside(|| self.context.say(format_args!("{}: {remark}", shown(path))));
                }
                written?;
                progress.more(1)?;
            }
            to.end()?;
        }
        Ok(())
    }
}
