//! Databases of an environment: their records, and what their flags say of the order.

use crate::layout::{ByteOrder, Layout};
use std::borrow::Cow;

/// The most levels that a tree of LMDB can have.
pub(crate) const LEVELS_MAX: u16 = 32;

/// The flags with which a database was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(u16);

impl Flags {
    const KNOWN: u16 = 0x7e;

    /// Returns the flags as LMDB numbers them.
    pub fn bits(self) -> u16 {
        self.0
    }

    /// MDB_REVERSEKEY: keys are compared from their last byte to their first.
    pub fn reverse_key(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// MDB_DUPSORT: a key may have several values, which are sorted.
    pub fn dup_sort(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// MDB_INTEGERKEY: keys are integers of the machine that wrote the file.
    pub fn integer_key(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// MDB_DUPFIXED: all values have one length.
    pub fn dup_fixed(self) -> bool {
        self.0 & 0x10 != 0
    }

    /// MDB_INTEGERDUP: values are integers of the machine that wrote the file.
    pub fn integer_dup(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// MDB_REVERSEDUP: values are compared from their last byte to their first.
    pub fn reverse_dup(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Returns by what rule keys are sorted.
    pub fn key_rule(self) -> Rule {
        // This is LMDB's precedence.
        if self.reverse_key() {
            Rule::Reverse
        } else if self.integer_key() {
            Rule::Integer
        } else {
            Rule::Bytes
        }
    }

    /// Returns by what rule the values of a key are sorted, if it can have several.
    pub fn value_rule(self) -> Rule {
        if !self.dup_sort() {
            Rule::Bytes
        } else if self.integer_dup() {
            Rule::Integer
        } else if self.reverse_dup() {
            Rule::Reverse
        } else {
            Rule::Bytes
        }
    }
}

/// How LMDB sorts keys, or the values of a key, unless the program gave it a comparison of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// As bytes, from the first on.
    Bytes,
    /// As integers of the machine that wrote the file. All have one length, of 4 or 8 bytes.
    Integer,
    /// As bytes, from the last on.
    Reverse,
}

impl Rule {
    /// Returns bytes whose order as bytes is that of this rule: integers become big-endian, and reversed keys begin
    /// with what was their last byte. Applied to its own result, this gives the original.
    pub fn sortable(self, bytes: &[u8], order: ByteOrder) -> Cow<'_, [u8]> {
        match (self, order) {
            (Rule::Bytes, _) | (Rule::Integer, ByteOrder::Big) => Cow::Borrowed(bytes),
            (Rule::Integer, ByteOrder::Little) | (Rule::Reverse, _) => {
                Cow::Owned(bytes.iter().rev().copied().collect())
            }
        }
    }
}

/// A database of an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) record: Record,
    /// How many of its entries are records of named databases.
    pub(crate) named: u64,
}

impl Database {
    /// Returns the name, or `None` for the main database.
    pub fn name(&self) -> Option<&[u8]> {
        self.name.as_deref()
    }

    /// Returns the flags.
    pub fn flags(&self) -> Flags {
        self.record.flags
    }

    /// Returns how many entries there are: every value of a key counts. Records of named databases, which are entries
    /// of the main database as well, do not count.
    pub fn entries(&self) -> u64 {
        self.record.entries.saturating_sub(self.named)
    }
}

/// The record of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Bytes of an item. In the free list: of a page.
    pub item: u32,
    /// Checked by [`Record::check`]; those of the free list are the environment's.
    pub flags: Flags,
    pub levels: u16,
    pub entries: u64,
    pub root: Option<u64>,
}

impl Record {
    /// The record at an offset, if the bytes go so far.
    pub fn at(layout: &Layout, bytes: &[u8], at: usize) -> Option<Record> {
        let word = |number: usize| layout.word(bytes, at + 8 + number * layout.word_bytes());
        let root = word(4)?;
        Some(Record {
            item: layout.u32(bytes, at)?,
            flags: Flags(layout.u16(bytes, at + 4)?),
            levels: layout.u16(bytes, at + 6)?,
            entries: word(3)?,
            root: (root != layout.no_page()).then_some(root),
        })
    }

    /// What is wrong with the record of a database, or of the values of a key, if the last page of the file is this
    /// one.
    pub fn check(&self, last_page: u64) -> Result<(), String> {
        if self.flags.0 & !Flags::KNOWN != 0 {
            return Err(format!(
                "the record of a database has unknown flags {:#x}",
                self.flags.0
            ));
        }
        match self.root {
            None if self.levels != 0 || self.entries != 0 => Err(format!(
                "the record of a database has no root, but {} levels and {} entries",
                self.levels, self.entries
            )),
            None => Ok(()),
            Some(root) if root < 2 || root > last_page => Err(format!(
                "the record of a database has its root at page {root}, and the file has pages 2 to {last_page}"
            )),
            Some(_) if self.levels == 0 || self.levels > LEVELS_MAX => Err(format!(
                "the record of a database has {} levels, and there can be 1 to {LEVELS_MAX}",
                self.levels
            )),
            Some(_) => Ok(()),
        }
    }
}
