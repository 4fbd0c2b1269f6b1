//! Where formats take entries from, and where they put those that they read.

use crate::exit::Outcome;

/// A table as a format names it: by its name, or `None` for the main one.
pub type TableName<'a> = Option<&'a [u8]>;

/// Gets entries that were read. Failures that are about the input name the line.
pub trait Sink {
    /// What follows belongs to this table.
    fn table(&mut self, name: TableName<'_>) -> Outcome<()>;
    /// An entry was read.
    fn entry(&mut self, key: &[u8], value: &[u8]) -> Outcome<()>;
    /// An entry was read of a table in which each key may have several values. Returns false if its key has one
    /// already.
    fn entry_once(&mut self, key: &[u8], value: &[u8]) -> Outcome<bool>;
    /// So many bytes of the input were read by now.
    fn progress(&mut self, bytes: u64) -> Outcome<()>;
    /// Something in the input is worth a remark.
    fn remark(&mut self, what: &str);
}

/// Writes tables in a format.
pub trait TableWriter {
    /// Refuses a table that cannot be written. It is asked for all of them before anything is written: half of a dump
    /// looks whole to a program that reads it from a pipe.
    fn check(&self, _name: TableName<'_>) -> Outcome<()> {
        Ok(())
    }
    /// Returns what is worth a remark since the last call.
    fn remark(&mut self) -> Option<String> {
        None
    }
    /// A table begins.
    fn begin(&mut self, name: TableName<'_>) -> Outcome<()>;
    /// An entry of the table.
    fn entry(&mut self, key: &[u8], value: &[u8]) -> Outcome<()>;
    /// The table ends.
    fn end(&mut self) -> Outcome<()>;
}
