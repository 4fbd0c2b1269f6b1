//! Figures in each form: one record with a name before each figure, or a table with a record in each row.
//!
//! For people, names have blanks and columns are aligned. For programs, JSON has a member for each figure, and raw
//! output has tabs between them and no heading.

use super::stream::Out;
use super::text::escaped;
use super::{json, Form};
use crate::exit::Outcome;
use crate::input::bytes::Syntax;

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Figure {
    /// A number.
    Number(u64),
    /// A number with a fraction, and how many digits of it are shown.
    Real(f64, usize),
    /// A number, and what people must know to read it right.
    Noted(u64, &'static str),
    /// Text.
    Text(String),
    /// A name or a key, and what people read if it is empty.
    Bytes(Vec<u8>, &'static str),
    /// Whether it is so.
    Is(bool),
    /// It is not known, or there is none; and what people read.
    None(&'static str),
}

impl From<u64> for Figure {
    fn from(number: u64) -> Figure {
        Figure::Number(number)
    }
}

impl Figure {
    /// Returns the figure as people read it.
    pub fn for_people(&self) -> String {
        match self {
            Figure::Number(number) => number.to_string(),
            Figure::Real(number, digits) => format!("{number:.digits$}"),
            Figure::Noted(number, note) => format!("{number} ({note})"),
            Figure::Text(text) => escaped(text.as_bytes()).to_string(),
            Figure::Bytes(bytes, empty) if bytes.is_empty() => (*empty).to_string(),
            Figure::Bytes(bytes, _) => escaped(bytes).to_string(),
            Figure::Is(true) => "yes".to_string(),
            Figure::Is(false) => "no".to_string(),
            Figure::None(text) => (*text).to_string(),
        }
    }

    fn is_number(&self) -> bool {
        matches!(self, Figure::Number(_) | Figure::Real(..))
    }

    /// Adds the figure to a JSON object. An empty name stands for what has no name, and is `null`.
    fn add_to(&self, object: json::Object, name: &str) -> json::Object {
        match self {
            Figure::Number(number) | Figure::Noted(number, _) => object.plain(name, number),
            Figure::Real(number, digits) => object.plain(name, format_args!("{number:.digits$}")),
            Figure::Text(text) => object.string(name, text),
            Figure::Bytes(bytes, empty) if bytes.is_empty() && !empty.is_empty() => object.plain(name, "null"),
            Figure::Bytes(bytes, _) => object.bytes(name, bytes, Syntax::Text),
            Figure::Is(is) => object.plain(name, is),
            Figure::None(_) => object.plain(name, "null"),
        }
    }

    fn raw(&self, out: &mut Out) -> Outcome<()> {
        match self {
            Figure::Number(number) | Figure::Noted(number, _) => out.text(number),
            Figure::Real(number, digits) => out.text(format_args!("{number:.digits$}")),
            Figure::Text(text) => out.text(text),
            Figure::Bytes(bytes, _) => out.bytes(bytes),
            Figure::Is(is) => out.text(is),
            Figure::None(_) => Ok(()),
        }
    }
}

/// A record: names and figures.
pub type Record = Vec<(&'static str, Figure)>;

fn object(record: &Record) -> json::Object {
    record.iter().fold(json::Object::new(), |object, (name, figure)| {
        figure.add_to(object, name)
    })
}

/// Writes one record, a figure in each line.
pub fn record(out: &mut Out, form: Form, record: &Record) -> Outcome<()> {
    match form {
        Form::Json => out.bytes(&object(record).line()),
        Form::Raw => record.iter().try_for_each(|(name, figure)| {
            out.text(format_args!("{name}\t"))?;
            figure.raw(out)?;
            out.bytes(b"\n")
        }),
        Form::Table => {
            let width = record.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            record.iter().try_for_each(|(name, figure)| {
                let name = name.replace('_', " ");
                out.line(format_args!("{name:width$}  {}", figure.for_people()))
            })
        }
    }
}

/// Writes a table, a record in each row. All records have the same names. The heading is written for people alone.
pub fn table(out: &mut Out, form: Form, heading: &[&str], records: &[Record]) -> Outcome<()> {
    match form {
        Form::Json => records.iter().try_for_each(|record| out.bytes(&object(record).line())),
        Form::Raw => records.iter().try_for_each(|record| {
            for (at, (_, figure)) in record.iter().enumerate() {
                out.bytes(if at > 0 { b"\t" } else { b"" })?;
                figure.raw(out)?;
            }
            out.bytes(b"\n")
        }),
        Form::Table => aligned(out, heading, records),
    }
}

fn aligned(out: &mut Out, heading: &[&str], records: &[Record]) -> Outcome<()> {
    let texts: Vec<Vec<String>> = records
        .iter()
        .map(|record| record.iter().map(|(_, figure)| figure.for_people()).collect())
        .collect();
    let count = |text: &str| text.chars().count();
    let widths: Vec<usize> = heading
        .iter()
        .enumerate()
        .map(|(at, name)| texts.iter().map(|row| count(&row[at])).fold(count(name), usize::max))
        .collect();
    let is_number = |at: usize| records.iter().any(|record| record[at].1.is_number());
    let mut line = |row: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (at, cell) in row.enumerate() {
            let blanks = " ".repeat(widths[at] - count(cell));
            match is_number(at) {
                true => text.extend([&blanks, cell]),
                false => text.extend([cell, &blanks]),
            }
            text.push_str("  ");
        }
        out.line(text.trim_end())
    };
    line(&mut heading.iter().map(|name| name.trim()))?;
    texts
        .iter()
        .try_for_each(|row| line(&mut row.iter().map(String::as_str)))
}
