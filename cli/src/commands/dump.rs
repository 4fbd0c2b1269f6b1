//! `kv dump`: writing tables as text.

use crate::context::Context;
use crate::database::Database;
use crate::exit::{About, Exit, Outcome};
use crate::formats::{csv, json, mdb, sink, Format};
use crate::input::args::{HexArg, RangeArgs, TableArg};
use crate::output::progress::{Progress, Unit};
use crate::output::stream::Out;
use clap::Args;
use kv_engine::{Cursor, Reader, TableId};
use std::path::PathBuf;

/// Writes all tables, or one of them, as text that kv load reads.
///
/// All of it is one snapshot, while others write. The format of LMDB's mdb_dump is the default, so that mdb_load can read
/// it; --format json and --format csv are read by other programs.
#[derive(Debug, Args)]
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
}

/// The least and the greatest size of the map that mdb_load is told to take. It is address space, and costs nothing.
const MAP_SIZES: (u64, u64) = (1 << 30, 1 << 46);

impl Dump {
    /// Writes the tables.
    pub fn run(self, context: &Context) -> Outcome {
        let name = self.table.name()?;
        let database = Database::to_read(&self.file, context)?;
        let mut txn = database.reading()?;
        let mut txn = txn.reader();
        let tables = self.tables(&database, &mut *txn, name)?;
        let stat = database.db.stat();
        let map_size = (stat.pages * u64::from(stat.page_size)).saturating_mul(4);
        let mut out = Out::open()?;
        let syntax = self.hex.syntax();
        let style = match self.format {
            Format::MdbPrint => mdb::Style::Print,
            _ => mdb::Style::ByteValue,
        };
        match self.format {
            Format::Mdb | Format::MdbPrint => {
                let mut writer = mdb::Writer {
                    out: &mut out,
                    style,
                    map_size: map_size.clamp(MAP_SIZES.0, MAP_SIZES.1),
                };
                self.write(&database, &mut *txn, &tables, (context, &mut writer))?;
            }
            Format::Json => {
                let mut writer = json::Writer::new(&mut out, syntax);
                self.write(&database, &mut *txn, &tables, (context, &mut writer))?;
            }
            Format::Csv => {
                let names_tables = tables.iter().any(|(name, _)| name.is_some());
                let mut writer = csv::Writer::new(&mut out, syntax, names_tables)?;
                self.write(&database, &mut *txn, &tables, (context, &mut writer))?;
            }
        }
        out.finish()?;
        Ok(Exit::Done)
    }

    /// Returns the tables to write, the main one first.
    fn tables(
        &self,
        database: &Database,
        txn: &mut dyn Reader,
        name: Option<Vec<u8>>,
    ) -> Outcome<Vec<(Option<Vec<u8>>, TableId)>> {
        if name.is_some() {
            let number = database.table(txn, name.as_deref())?;
            return Ok(vec![(name, number)]);
        }
        let mut tables = vec![(None, TableId::MAIN)];
        if !self.main {
            let named = database.named_tables(txn)?.into_iter();
            tables.extend(named.map(|(name, number)| (Some(name), number)));
        }
        Ok(tables)
    }

    fn write(
        &self,
        database: &Database,
        reader: &mut dyn Reader,
        tables: &[(Option<Vec<u8>>, TableId)],
        (context, to): (&Context, &mut dyn sink::Format),
    ) -> Outcome<()> {
        let range = self.range.read(self.hex.syntax())?;
        let path = &database.path;
        let mut total = 0;
        for (_, number) in tables {
            total += reader.count(*number, &range.range(false)).about(path)?;
        }
        let mut progress = Progress::new(context, "writing", Unit::Entries, Some(total));
        for (name, number) in tables {
            to.begin(name.as_deref())?;
            let mut cursor = Cursor::new(reader, *number, &range.range(false)).about(path)?;
            while cursor.next(reader).about(path)? {
                let value = cursor.value(reader).about(path)?;
                to.entry(cursor.key(), value)?;
                progress.more(1)?;
            }
            to.end()?;
        }
        Ok(())
    }
}
