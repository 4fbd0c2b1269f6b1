//! Comma-separated values, as RFC 4180 has them, after a heading: `key,value`, or `table,key,value` where an empty
//! name stands for the main table. Fields have the bytes as they are, quoted where they must be, or with `--hex`
//! hexadecimal digits. A table without entries leaves no trace.

use super::quotations::{Quotations, Wrong};
use super::sink::{Sink, TableName, TableWriter};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::bytes::{from_hex, Syntax};
use crate::input::lines::{no_memory, nothing, wrong_line, Lines};
use crate::input::names;
use crate::output::stream::Out;
use crate::output::text::{hex, Quoted};
use ::csv::{ByteRecord, ReaderBuilder, WriterBuilder};
use std::path::Path;

/// Writes tables.
pub struct Writer<'o> {
    to: ::csv::Writer<&'o mut Out>,
    syntax: Syntax,
    /// Whether there is a column with the names of tables.
    names_tables: bool,
    table: Vec<u8>,
}

impl<'o> Writer<'o> {
    /// Writes the heading. Names of tables are written if there may be others than the main one.
    pub fn new(out: &'o mut Out, syntax: Syntax, names_tables: bool) -> Outcome<Writer<'o>> {
        let mut writer = Writer {
            to: WriterBuilder::new().from_writer(out),
            syntax,
            names_tables,
            table: Vec::new(),
        };
        let heading: &[&[u8]] = &[b"table", b"key", b"value"];
        writer.row(if names_tables { heading } else { &heading[1..] })?;
        Ok(writer)
    }

    fn row(&mut self, fields: &[&[u8]]) -> Outcome<()> {
        self.to.write_record(fields).map_err(failed)
    }
}

/// Returns why a row could not be written.
fn failed(error: ::csv::Error) -> Failure {
    match error.into_kind() {
        ::csv::ErrorKind::Io(error) => Failure::output(&error),
        other => Failure::new(Exit::System, format!("standard output: cannot write CSV: {other:?}")),
    }
}

impl TableWriter for Writer<'_> {
    fn begin(&mut self, name: TableName<'_>) -> Outcome<()> {
        self.table = name.unwrap_or_default().to_vec();
        Ok(())
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        let table = std::mem::take(&mut self.table);
        let done = match self.syntax {
            Syntax::Text => self.fields(&table, key, value),
            Syntax::Hex => {
                let digits = |bytes: &[u8]| hex(bytes).to_string().into_bytes();
                self.fields(&digits(&table), &digits(key), &digits(value))
            }
        };
        self.table = table;
        done
    }

    fn end(&mut self) -> Outcome<()> {
        self.to.flush().map_err(|e| Failure::output(&e))
    }
}

impl Writer<'_> {
    fn fields(&mut self, table: &[u8], key: &[u8], value: &[u8]) -> Outcome<()> {
        match self.names_tables {
            true => self.row(&[table, key, value]),
            false => self.row(&[key, value]),
        }
    }
}

/// Where the columns are.
struct Columns {
    /// How many there are, and whether a heading says so.
    count: usize,
    has_heading: bool,
    table: Option<usize>,
    key: usize,
    value: usize,
}

impl Columns {
    /// Finds the columns by their names, in whatever order.
    fn of(heading: &ByteRecord) -> Result<Columns, String> {
        let find = |name: &[u8]| heading.iter().position(|field| field == name);
        let count = heading.len();
        if let Some(other) = heading
            .iter()
            .find(|field| !matches!(*field, b"table" | b"key" | b"value"))
        {
            return Err(format!(
                "the heading has {}; it has key, value and maybe table, and --no-heading says that there is none",
                Quoted(other)
            ));
        }
        if let Some((_, again)) = heading.iter().enumerate().find(|(at, name)| find(name) != Some(*at)) {
            return Err(format!("the heading has {} twice", Quoted(again)));
        }
        match (find(b"table"), find(b"key"), find(b"value")) {
            (table, Some(key), Some(value)) => Ok(Columns {
                count,
                has_heading: true,
                table,
                key,
                value,
            }),
            _ => Err("the heading must have key and value; --no-heading says that there is none".to_string()),
        }
    }

    /// The columns of rows without a heading.
    fn without_heading() -> Columns {
        Columns {
            count: 2,
            has_heading: false,
            table: None,
            key: 0,
            value: 1,
        }
    }

    /// Fails unless a row has a field for each column, and no others.
    fn check(&self, row: &ByteRecord) -> Result<(), String> {
        match (row.len(), self.count) {
            (fields, columns) if fields == columns => Ok(()),
            (fields, columns) if self.has_heading => Err(format!(
                "the number of fields is {fields}, and that of the heading is {columns}"
            )),
            (fields, _) => Err(format!(
                "the number of fields is {fields}, and without a heading it is two: key,value"
            )),
        }
    }
}

/// Returns why a row could not be read.
fn unreadable(error: &::csv::Error, wrong: Option<Wrong>, name: &Path, line: u64) -> Failure {
    match (wrong, error.kind()) {
        (Some(Wrong::Endless(line)), _) => wrong_line(
            name,
            line,
            format_args!("the quotation that begins in line {line} does not end"),
        ),
        (Some(Wrong::Behind(line)), _) => wrong_line(
            name,
            line,
            "neither a comma nor a line end follows a quotation; a quotation mark within one is doubled",
        ),
        (Some(Wrong::TooLong(line, bytes)), _) => no_memory(name, line, bytes),
        (None, ::csv::ErrorKind::Io(error)) => Failure::input(name, "read", error),
        _ => wrong_line(name, line, error),
    }
}

/// Reads all rows. Without a heading they are `key,value`.
pub fn read(lines: Lines, sink: &mut dyn Sink, syntax: Syntax, has_heading: bool) -> Outcome<()> {
    let (from, name) = lines.into_rest();
    // The rule for the number of fields is that of `Columns`.
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(Quotations::new(from));
    let mut row = ByteRecord::new();
    let mut columns = (!has_heading).then(Columns::without_heading);
    let mut current: Option<Vec<u8>> = None;
    loop {
        let read = reader.read_byte_record(&mut row);
        let line = row.position().map_or(1, ::csv::Position::line);
        let wrong = |what: String| wrong_line(&name, line, what);
        match read {
            Err(error) => return Err(unreadable(&error, reader.get_ref().wrong(), &name, line)),
            Ok(false) if columns.is_none() => return Err(nothing(&name, "CSV begins with a heading (key,value)")),
            Ok(false) => return Ok(()),
            Ok(true) if columns.is_none() => {
                columns = Some(Columns::of(&row).map_err(wrong)?);
                continue;
            }
            Ok(true) => {}
        }
        let Some(at) = &columns else { continue };
        at.check(&row).map_err(wrong)?;
        let field = |at: usize| {
            let field = row.get(at).unwrap_or_default();
            match syntax {
                Syntax::Text => Ok(field.to_vec()),
                Syntax::Hex => from_hex(field).map_err(|what| wrong(format!("{}: {what}", Quoted(field)))),
            }
        };
        let table = at.table.map(field).transpose()?.unwrap_or_default();
        if current.as_ref() != Some(&table) {
            let name = Some(table.as_slice()).filter(|name| !name.is_empty());
            name.map_or(Ok(()), names::check).map_err(wrong)?;
            sink.table(name)?;
            current = Some(table);
        }
        sink.entry(&field(at.key)?, &field(at.value)?)?;
        sink.progress(reader.position().byte())?;
    }
}
