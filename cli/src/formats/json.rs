//! JSON lines: `{"table": ..., "key": ..., "value": ...}`. The main table has no `"table"`. A line with nothing but
//! `"table"` says that there is such a table, even if it has no entries. `output::json` has the rule for bytes.

use super::sink::{Sink, TableName, TableWriter};
use crate::exit::Outcome;
use crate::input::bytes::Syntax;
use crate::input::lines::Lines;
use crate::input::names;
use crate::output::json::{bytes_of, Object};
use crate::output::stream::Out;
use crate::output::text::Quoted;
use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::fmt;

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

/// A JSON value, and the first member that an object within it has twice. Parsers differ in which one they take.
struct Read {
    value: Value,
    twice: Option<String>,
}

impl From<Value> for Read {
    fn from(value: Value) -> Read {
        Read { value, twice: None }
    }
}

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Read, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Read;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Read, E> {
                Ok(Value::Null.into())
            }

            fn visit_bool<E>(self, value: bool) -> Result<Read, E> {
                Ok(Value::Bool(value).into())
            }

            fn visit_u64<E>(self, value: u64) -> Result<Read, E> {
                Ok(Value::Number(value.into()).into())
            }

            fn visit_i64<E>(self, value: i64) -> Result<Read, E> {
                Ok(Value::Number(value.into()).into())
            }

            fn visit_f64<E>(self, value: f64) -> Result<Read, E> {
                Ok(Number::from_f64(value).map_or(Value::Null, Value::Number).into())
            }

            fn visit_str<E>(self, value: &str) -> Result<Read, E> {
                Ok(Value::String(value.to_string()).into())
            }

            fn visit_string<E>(self, value: String) -> Result<Read, E> {
                Ok(Value::String(value).into())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Read, A::Error> {
                let (mut array, mut twice) = (Vec::new(), None);
                while let Some(item) = from.next_element::<Read>()? {
                    array.push(item.value);
                    twice = twice.or(item.twice);
                }
                let value = Value::Array(array);
                Ok(Read { value, twice })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Read, A::Error> {
                let (mut object, mut twice) = (Map::new(), None);
                while let Some((name, member)) = from.next_entry::<String, Read>()? {
                    twice = twice.or(member.twice);
                    if object.contains_key(&name) {
                        twice = twice.or_else(|| Some(name.clone()));
                    }
                    object.insert(name, member.value);
                }
                let value = Value::Object(object);
                Ok(Read { value, twice })
            }
        }

        from.deserialize_any(Any)
    }
}

/// Says what is wrong with JSON that is a line by itself, so that the number of the line is another one.
fn in_one_line(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    let said = error.to_string();
    match said.strip_suffix(&format!(" at line {line} column {column}")) {
        Some(what) => format!("{what} in column {column}"),
        None => said,
    }
}

/// Returns the object that a line is, or what is wrong with it.
fn object_of(line: &[u8]) -> Result<Map<String, Value>, String> {
    let read: serde_json::Result<Read> = serde_json::from_slice(line);
    match read.map_err(|e| format!("this is no JSON object: {}", in_one_line(&e)))? {
        Read { twice: Some(name), .. } => Err(format!("the member {} is there twice", Quoted(name.as_bytes()))),
        Read {
            value: Value::Object(object),
            ..
        } => Ok(object),
        _ => Err("this is no JSON object, which begins with {".to_string()),
    }
}

/// Reads all lines.
pub fn read(lines: &mut Lines, sink: &mut dyn Sink) -> Outcome<()> {
    let mut current: Option<Option<Vec<u8>>> = None;
    while let Some(line) = lines.next()? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object = object_of(line).map_err(|what| lines.wrong(what))?;
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
                "{} is not known; there are \"table\", \"key\" and \"value\"",
                Quoted(other.as_bytes())
            )));
        }
        if current.as_ref() != Some(&table) {
            if let Some(Err(what)) = table.as_deref().map(names::check) {
                return Err(lines.wrong(format_args!("\"table\": {what}")));
            }
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
