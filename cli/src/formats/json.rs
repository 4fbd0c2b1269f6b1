//! JSON lines: `{"table": ..., "key": ..., "value": ...}`. The main table has no `"table"`. A line with nothing but
//! `"table"` says that there is such a table, even if it has no entries. `output::json` has the rule for bytes.

use super::sink::{Sink, TableName, TableWriter};
use crate::exit::Outcome;
use crate::input::bytes::Syntax;
use crate::input::lines::Lines;
use crate::output::json::{bytes_of, Object};
use crate::output::stream::Out;
use serde_json::{Map, Value};

/// Writes tables.
pub struct Writer<'o> {
    /// Where they go.
    pub out: &'o mut Out,
    /// Whether all bytes are written as hexadecimal digits.
    pub syntax: Syntax,
    /// The name of the table that is being written.
    table: Option<Vec<u8>>,
}

impl<'o> Writer<'o> {
    /// Begins to write.
    pub fn new(out: &'o mut Out, syntax: Syntax) -> Writer<'o> {
        Writer {
            out,
            syntax,
            table: None,
        }
    }

    fn object(&self) -> Object {
        match &self.table {
            Some(name) => Object::new().bytes("table", name, self.syntax),
            None => Object::new(),
        }
    }
}

impl TableWriter for Writer<'_> {
    fn begin(&mut self, name: TableName<'_>) -> Outcome<()> {
        self.table = name.map(<[u8]>::to_vec);
        match name {
            Some(_) => self.out.bytes(&self.object().line()),
            None => Ok(()),
        }
    }

    fn entry(&mut self, key: &[u8], value: &[u8]) -> Outcome<()> {
        let object = self.object().bytes("key", key, self.syntax);
        self.out.bytes(&object.bytes("value", value, self.syntax).line())
    }

    fn end(&mut self) -> Outcome<()> {
        Ok(())
    }
}

/// Reads all lines.
pub fn read(lines: &mut Lines, sink: &mut dyn Sink) -> Outcome<()> {
    let mut current: Option<Option<Vec<u8>>> = None;
    while let Some(line) = lines.next()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let read: serde_json::Result<Map<String, Value>> = serde_json::from_slice(line);
        let object = read.map_err(|e| lines.wrong(format_args!("this is no JSON object: {e}")))?;
        let member = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => bytes_of(value)
                .map(Some)
                .map_err(|what| lines.wrong(format_args!("\"{name}\": {what}"))),
        };
        let (table, key, value) = (member("table")?, member("key")?, member("value")?);
        let known = ["table", "key", "value"];
        if let Some(other) = object.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(lines.wrong(format_args!(
                "\"{other}\" is not known; there are \"table\", \"key\" and \"value\""
            )));
        }
        if current.as_ref() != Some(&table) {
            sink.table(table.as_deref())?;
        }
        match (key, value) {
            (Some(key), Some(value)) => sink.entry(&key, &value)?,
            (None, None) if table.is_some() => {}
            _ => return Err(lines.wrong("\"key\" and \"value\" are both needed")),
        }
        current = Some(table);
        sink.progress(lines.bytes)?;
    }
    Ok(())
}
