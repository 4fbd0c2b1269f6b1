//! JSON objects, one a line. Bytes that are UTF-8 are a string; all others are `{"hex": "..."}`, and so is everything
//! with `--hex`. The same rule holds for keys, values and names of tables, and in both directions.

use crate::input::bytes::{from_hex, Syntax};
use crate::output::text;
use serde_json::Value;
use std::fmt::Display;
use std::io::Write;

/// A JSON object that is being written.
pub struct Object {
    text: Vec<u8>,
}

impl Object {
    /// Begins an object.
    pub fn new() -> Object {
        Object { text: vec![b'{'] }
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        string(&mut self.text, name);
        self.text.push(b':');
    }

    /// Adds a number, `true`, `false` or `null`, or an object that was written before.
    pub fn plain(mut self, name: &str, value: impl Display) -> Object {
        self.name(name);
        // Writing to memory does not fail.
        let _ = write!(self.text, "{value}");
        self
    }

    /// Adds a string.
    pub fn string(mut self, name: &str, value: &str) -> Object {
        self.name(name);
        string(&mut self.text, value);
        self
    }

    /// Adds bytes.
    pub fn bytes(mut self, name: &str, value: &[u8], syntax: Syntax) -> Object {
        self.name(name);
        match std::str::from_utf8(value) {
            Ok(value) if syntax == Syntax::Text => string(&mut self.text, value),
            _ => {
                let _ = write!(self.text, "{{\"hex\":\"{}\"}}", text::hex(value));
            }
        }
        self
    }

    /// Ends the object and the line.
    pub fn line(mut self) -> Vec<u8> {
        self.text.extend_from_slice(b"}\n");
        self.text
    }
}

/// Writes a string. What a terminal would obey, or not show, is an escape, which is the same string to programs.
fn string(out: &mut Vec<u8>, value: &str) {
    if value.bytes().all(|byte| byte < 0x7f) {
        // Writing to memory does not fail, and strings have no keys that could be wrong.
        let _ = serde_json::to_writer(out, value);
        return;
    }
    out.push(b'"');
    for c in value.chars() {
        let mut units = [0; 2];
        let mut bytes = [0; 4];
        match c {
            '\x7f'.. if text::needs_escape(c) => {
                for unit in c.encode_utf16(&mut units) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            _ => {
                let mut quoted = Vec::new();
                let _ = serde_json::to_writer(&mut quoted, c.encode_utf8(&mut bytes));
                out.extend_from_slice(&quoted[1..quoted.len() - 1]);
            }
        }
    }
    out.push(b'"');
}

/// Returns the bytes that a JSON value stands for, or what is wrong with it.
pub fn bytes_of(value: &Value) -> Result<Vec<u8>, String> {
    match value {
        Value::String(text) => Ok(text.clone().into_bytes()),
        Value::Object(object) if object.len() == 1 => match object.get("hex").and_then(Value::as_str) {
            Some(digits) => from_hex(digits.as_bytes()),
            None => Err(EXPECTED.to_string()),
        },
        _ => Err(EXPECTED.to_string()),
    }
}

const EXPECTED: &str = "it must be a string, or {\"hex\": \"...\"} with hexadecimal digits";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_an_escape() {
        let line = Object::new()
            .bytes("b", "é\u{9b}31m\u{202e}\u{7f}雪\u{e0001}".as_bytes(), Syntax::Text)
            .line();
        let text = String::from_utf8(line).expect("UTF-8");
        assert_eq!(text, "{\"b\":\"é\\u009b31m\\u202e\\u007f雪\\udb40\\udc01\"}\n");
        let read: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["b"], "é\u{9b}31m\u{202e}\u{7f}雪\u{e0001}");
    }

    #[test]
    fn bytes_are_strings_or_hexadecimal_digits_both_ways() {
        let odd = "é\n\0\"\\\u{2028}".as_bytes();
        for (bytes, syntax) in [
            (odd, Syntax::Text),
            (&b"\xff\0"[..], Syntax::Text),
            (b"", Syntax::Text),
            (odd, Syntax::Hex),
        ] {
            let line = Object::new().plain("n", 1).bytes("b", bytes, syntax).line();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            let read: Value = serde_json::from_slice(&line).expect("JSON");
            assert_eq!(read["n"], 1);
            assert_eq!(read["b"].is_object(), syntax == Syntax::Hex || bytes == b"\xff\0");
            assert_eq!(bytes_of(&read["b"]).as_deref(), Ok(bytes));
        }
        for wrong in [
            "1",
            "null",
            "[]",
            "{}",
            r#"{"hex":1}"#,
            r#"{"hex":"0"}"#,
            r#"{"hex":"00","more":1}"#,
        ] {
            let value: Value = serde_json::from_str(wrong).expect("JSON");
            assert!(bytes_of(&value).is_err(), "{wrong}");
        }
    }
}
