//! Completion of commands, options, tables and keys.

use super::verbs::{names, OWN};
use super::words::{self, Word};
use crate::context::Context;
use crate::database::Database;
use crate::exit::Outcome;
use crate::input::bytes::{from_hex, from_text};
use crate::output::text::{escaped, hex};
use kv_engine::{Cursor, Range};
use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::Helper;
use std::path::PathBuf;

/// The most keys that are offered.
const MOST: usize = 100;

/// What completion needs to know.
pub struct Help {
    /// The file.
    pub file: PathBuf,
    /// The options of the shell, and with them what it keeps.
    pub context: Context,
    /// The current table as it was typed.
    pub table: Option<Vec<u8>>,
}

impl Helper for Help {}
impl Highlighter for Help {}
impl Validator for Help {}

impl Hinter for Help {
    type Hint = String;
}

impl Completer for Help {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let (mut words, is_open) = words::split(&line.as_bytes()[..at]);
        // Behind a blank, a new word begins.
        let begins = !is_open && line[..at].ends_with(|c: char| c.is_ascii_whitespace());
        if begins || words.is_empty() {
            words.push(Word {
                bytes: Vec::new(),
                begin: at,
            });
        }
        // A database that cannot be read has nothing to offer. The next command reports what is wrong with it.
        let mut found = self.candidates(&words).unwrap_or_default();
        // A word that is whole is followed by the next one.
        if let ([whole], true) = (&mut found[..], line.len() == at) {
            whole.push(' ');
        }
        Ok((words.last().map_or(at, |word| word.begin), found))
    }
}

impl Help {
    fn candidates(&self, words: &[Word]) -> Outcome<Vec<String>> {
        let [before @ .., last] = words else {
            return Ok(Vec::new());
        };
        let begin = String::from_utf8_lossy(&last.bytes).into_owned();
        let Some(verb) = before.first() else {
            // One of them is two words, of which the first is a command of `kv` as well.
            let own = OWN.iter().filter(|(name, _)| !name.contains(' '));
            let own = own.map(|(name, _)| (*name).to_string());
            return Ok(beginning_with(
                names(&self.context.command_line()).into_iter().chain(own),
                &begin,
            ));
        };
        let verb = String::from_utf8_lossy(&verb.bytes).into_owned();
        let previous = before.last().map_or(&b""[..], |word| &word.bytes);
        match verb.as_str() {
            "table" if before.len() == 1 => return self.tables(&last.bytes),
            "snapshot" if before.len() == 1 => {
                let kv = self.context.command_line();
                let command = kv.find_subcommand("snapshot").into_iter();
                let action = command
                    .flat_map(|c| c.get_arguments())
                    .filter(|a| a.get_id() == "action");
                let words = action.flat_map(|action| action.get_possible_values());
                let words = words.map(|word| word.get_name().to_string());
                return Ok(beginning_with(words.chain(["on", "off"].map(String::from)), &begin));
            }
            "help" if before.len() == 1 => return self.candidates(std::slice::from_ref(last)),
            _ => {}
        }
        let kv = self.context.command_line();
        let Some(command) = names(&kv).contains(&verb).then(|| kv.find_subcommand(&verb)).flatten() else {
            return Ok(Vec::new());
        };
        let has = |id: &str| command.get_arguments().any(|argument| argument.get_id() == id);
        if has("table") && matches!(previous, b"--table" | b"-t") {
            return self.tables(&last.bytes);
        }
        if begin.starts_with('-') {
            let long = command.get_arguments().filter_map(|argument| argument.get_long());
            return Ok(beginning_with(long.map(|name| format!("--{name}")), &begin));
        }
        let names_key = has("prefix") && matches!(previous, b"--prefix" | b"-p" | b"--from" | b"--to");
        match names_key || has("key") || has("keys") || has("pairs") {
            true => self.keys(before, &last.bytes),
            false => Ok(Vec::new()),
        }
    }

    fn tables(&self, begin: &[u8]) -> Outcome<Vec<String>> {
        let Ok(begin) = from_text(begin) else {
            return Ok(Vec::new());
        };
        let database = Database::to_read(&self.file, &self.context)?;
        let mut txn = database.reading()?;
        let tables = database.tables(&mut *txn.reader())?;
        let names = tables.into_iter().filter_map(|table| table.name);
        Ok(names
            .filter(|name| name.starts_with(&begin))
            .map(|name| words::typed(&escaped(&name).to_string()))
            .collect())
    }

    fn keys(&self, before: &[Word], begin: &[u8]) -> Outcome<Vec<String>> {
        let is_hex = before.iter().any(|word| word.bytes == b"--hex");
        let read = if is_hex { from_hex(begin) } else { from_text(begin) };
        let Ok(begin) = read else {
            return Ok(Vec::new());
        };
        let named = before
            .windows(2)
            .find(|pair| matches!(&pair[0].bytes[..], b"--table" | b"-t"));
        let table = named.map(|pair| pair[1].bytes.clone()).or_else(|| self.table.clone());
        let table = table.and_then(|typed| from_text(&typed).ok());
        let database = Database::to_read(&self.file, &self.context)?;
        let mut txn = database.reading()?;
        let mut reader = txn.reader();
        let table = database.table(&mut *reader, table.as_deref())?;
        let range = Range {
            prefix: Some(&begin),
            ..Range::default()
        };
        let mut found = Vec::new();
        let mut cursor = Cursor::new(&mut *reader, table, &range).map_err(|error| database.fail(error))?;
        while found.len() < MOST && cursor.next(&mut *reader).map_err(|error| database.fail(error))? {
            found.push(match is_hex {
                true => hex(cursor.key()).to_string(),
                false => words::typed(&escaped(cursor.key()).to_string()),
            });
        }
        Ok(found)
    }
}

fn beginning_with(names: impl Iterator<Item = String>, begin: &str) -> Vec<String> {
    let mut names: Vec<String> = names.filter(|name| name.starts_with(begin)).collect();
    names.sort();
    names
}
