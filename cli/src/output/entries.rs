//! Entries in each form: `key<TAB>value` with escapes, a JSON object a line, or the bytes as they are.

use super::stream::Out;
use super::text::{escaped, escaped_value, hex};
use super::{json, Form};
use crate::exit::Outcome;
use crate::input::bytes::Syntax;

/// How entries are written.
#[derive(Debug, Clone, Copy)]
pub struct EntryForm {
    /// The form.
    pub form: Form,
    /// Whether bytes are shown as text or as hexadecimal digits.
    pub syntax: Syntax,
}

impl EntryForm {
    /// Writes a value alone.
    pub fn just_value(self, out: &mut Out, bytes: &[u8]) -> Outcome<()> {
        match (self.form, self.syntax) {
            (Form::Table, Syntax::Text) => out.text(escaped_value(bytes)),
            _ => self.bytes(out, bytes),
        }
    }

    /// Writes bytes alone.
    pub fn bytes(self, out: &mut Out, bytes: &[u8]) -> Outcome<()> {
        match (self.form, self.syntax) {
            (_, Syntax::Hex) => out.text(hex(bytes)),
            (Form::Raw, Syntax::Text) => out.bytes(bytes),
            (_, Syntax::Text) => out.text(escaped(bytes)),
        }
    }

    /// Returns bytes as people read them.
    pub fn shown(self, bytes: &[u8]) -> String {
        match self.syntax {
            Syntax::Hex => hex(bytes).to_string(),
            Syntax::Text => escaped(bytes).to_string(),
        }
    }

    /// Writes an entry, or its key alone if there is no value.
    pub fn entry(self, out: &mut Out, key: &[u8], value: Option<&[u8]>) -> Outcome<()> {
        if self.form == Form::Json {
            let object = json::Object::new().bytes("key", key, self.syntax);
            let object = match value {
                Some(value) => object.bytes("value", value, self.syntax),
                None => object,
            };
            return out.bytes(&object.line());
        }
        self.bytes(out, key)?;
        if let Some(value) = value {
            out.bytes(b"\t")?;
            self.just_value(out, value)?;
        }
        out.bytes(b"\n")
    }

    /// Writes a value that was looked up by its key. A raw value gets no line end, so that it is what is stored.
    pub fn value(self, out: &mut Out, key: &[u8], value: &[u8]) -> Outcome<()> {
        match (self.form, self.syntax) {
            (Form::Json, _) => self.entry(out, key, Some(value)),
            (Form::Raw, Syntax::Text) => out.bytes(value),
            _ => {
                self.just_value(out, value)?;
                out.bytes(b"\n")
            }
        }
    }

    /// Writes that a key has no value, where the form has a way to say that.
    pub fn no_value(self, out: &mut Out, key: &[u8]) -> Outcome<()> {
        match self.form {
            Form::Json => {
                let object = json::Object::new().bytes("key", key, self.syntax);
                out.bytes(&object.plain("value", "null").line())
            }
            _ => Ok(()),
        }
    }
}
