//! Puts and deletes of a draft: which puts their modes forbid, and where a value is kept.

use super::draft::Draft;
use super::draft_pages::DraftPages;
use super::flush::Edit;
use super::table::TableIndex;
use crate::error::{table_called, Conflict, Error, Result};
use crate::ids::TableId;
use crate::page::layout::record::REST;
use crate::page::leaf::Stored;
use crate::page::leaf_build::is_value_inline;
use crate::page::suffix::KEEP;
use crate::page::KEY_MAX;
use crate::tree::read::cursor::TreeCursor;
use crate::tree::read::end;
use crate::tree::write::edits::Op;
use crate::tree::write::values::{is_long_key, write_chain, VALUE_MAX};
use crate::util::bytes::less;
use crate::util::shown::Quoted;
use std::fmt::Display;

/// How a put treats a key that has an entry already, or that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PutMode {
    /// Inserts the entry or replaces the one that is there.
    #[default]
    Set,
    /// Inserts only: the put fails with `Exists` if there is an entry with this key.
    NoOverwrite,
    /// Replaces only: the put fails with `NotFound` if there is no entry with this key.
    NoInsert,
    /// Inserts behind all other entries: the put fails with `Order` unless the key is greater than every key of the
    /// table. Appending many entries one after the other is the fastest way to fill a table.
    Append,
}

/// An entry to be put.
#[derive(Clone, Copy)]
pub struct Entry<'e> {
    /// Its key.
    pub key: &'e [u8],
    /// Its value.
    pub value: &'e [u8],
    /// Whether the key is known to be greater than every other of the table.
    pub is_greatest: bool,
}

impl Draft {
    /// Returns an error if the mode forbids the put or the key is too long.
    #[inline(always)]
    pub fn check_mode<P: DraftPages>(
        &mut self,
        at: TableIndex,
        key: &[u8],
        mode: PutMode,
        pages: &mut P,
    ) -> Result<()> {
        if key.len() > KEY_MAX {
            return Err(Error::TooBig {
                what: "key",
                size: key.len() as u64,
                limit: KEY_MAX as u64,
            });
        }
        match mode {
            PutMode::Set => Ok(()),
            PutMode::Append => self.check_append(at, key, pages),
            PutMode::NoOverwrite | PutMode::NoInsert => self.check_present(at, key, mode),
        }
    }

    #[inline(never)]
    fn check_present(&mut self, at: TableIndex, key: &[u8], mode: PutMode) -> Result<()> {
        match (self.exists(at, key)?, mode) {
            (true, PutMode::NoOverwrite) => Err(self.is_there(at, key)),
            (false, PutMode::NoInsert) => Err(Error::NotFound),
            _ => Ok(()),
        }
    }

    #[inline(always)]
    fn check_append<P: DraftPages>(&mut self, at: TableIndex, key: &[u8], pages: &mut P) -> Result<()> {
        let table = self.table(at);
        match table.tree.edits.log().last_key() {
            Some(last) if table.last_is_greatest && less(last, key) => Ok(()),
            Some(last) if table.last_is_greatest => Err(self.out_of_order(at, key, last)),
            _ => self.check_last(at, key, pages),
        }
    }

    /// Compares the key of an append with the last key of the tree.
    #[cold]
    fn check_last<P: DraftPages>(&mut self, at: TableIndex, key: &[u8], pages: &mut P) -> Result<()> {
        self.flush(at, pages)?;
        let tree = &self.table(at).tree;
        if tree.root.height == 0 {
            return Ok(());
        }
        if self.table(at).greatest().is_none() {
            let last = end::last_key(&self.pages(), &tree.root);
            let last = last.map_err(|e| self.fail(e.in_table(tree.table)))?;
            let noted = self.table_mut(at).note_greatest(&last.unwrap_or_default());
            noted.map_err(|e| self.fail(e))?;
        }
        match self.table(at).greatest() {
            Some(last) if key <= last => Err(self.out_of_order(at, key, last)),
            _ => Ok(()),
        }
    }

    /// Returns the answer for a key that must not be there and is.
    #[cold]
    fn is_there(&self, at: TableIndex, key: &[u8]) -> Error {
        let what = format!("the key {} in {}", Quoted(key), self.called(at));
        Error::Exists(Conflict::new(self.table(at).tree.table, what))
    }

    /// Returns the answer for the append of a key that is not behind the last one.
    #[cold]
    fn out_of_order(&self, at: TableIndex, key: &[u8], last: &[u8]) -> Error {
        let what = format!(
            "the key {} is not greater than {}, the last one of {}; append in order, or put without that flag",
            Quoted(key),
            Quoted(last),
            self.called(at)
        );
        Error::Order(Conflict::new(self.table(at).tree.table, what))
    }

    /// Returns what messages call a table.
    fn called(&self, at: TableIndex) -> impl Display + '_ {
        let table = self.table(at);
        table_called(table.tree.table, &table.name)
    }

    /// Returns the table if it is the one used last and an append of `key` to it comes right behind another append.
    /// Such a table is neither dropped nor the list of names, because nothing was appended to those.
    #[inline(always)]
    pub fn continues_append(&self, table: TableId, key: &[u8]) -> Option<TableIndex> {
        let recent = self.recent();
        let open = self.table(recent);
        let last = open.tree.edits.log().last_key();
        let continues = open.last_is_greatest
            && open.tree.table == table
            && key.len() <= KEY_MAX
            && last.is_some_and(|last| less(last, key));
        continues.then_some(recent)
    }

    /// Puts an entry whose value is stored beside its key; see [`Draft::is_inline`].
    #[inline(always)]
    pub fn put_inline<P: DraftPages>(&mut self, at: TableIndex, entry: Entry<'_>, pages: &mut P) -> Result<()> {
        let edit = Edit {
            key: entry.key,
            op: Op::Put(Stored::Inline(entry.value)),
            is_greatest: entry.is_greatest,
        };
        self.edit(at, edit, pages)
    }

    /// Puts an entry, wherever its value will be stored.
    #[inline(always)]
    pub fn put<P: DraftPages>(&mut self, at: TableIndex, entry: Entry<'_>, pages: &mut P) -> Result<()> {
        match self.is_inline(entry.key, entry.value.len()) {
            true => self.put_inline(at, entry, pages),
            false => self.put_long(at, entry, pages),
        }
    }

    /// Puts an entry whose value is stored outside the tree. The value is written at once.
    #[inline(never)]
    fn put_long<P: DraftPages>(&mut self, at: TableIndex, entry: Entry<'_>, pages: &mut P) -> Result<()> {
        let chain = self.write_long(entry.value, pages)?;
        let edit = Edit {
            key: entry.key,
            op: Op::Put(Stored::Chain(&chain)),
            is_greatest: entry.is_greatest,
        };
        self.push(at, edit, pages)
    }

    /// Writes a value that is stored outside the tree, and returns the description of its chain.
    fn write_long<P: DraftPages>(&mut self, value: &[u8], pages: &mut P) -> Result<Vec<u8>> {
        if value.len() as u64 > VALUE_MAX {
            return Err(Error::TooBig {
                what: "value",
                size: value.len() as u64,
                limit: VALUE_MAX,
            });
        }
        self.mark_changed();
        let written = write_chain(value, self.page_size(), pages);
        written.map_err(|e| self.fail(e))
    }

    /// Replaces the value of the entry on which a cursor stands, see [`Draft::edit_at`].
    pub fn put_at<P: DraftPages>(
        &mut self,
        at: TableIndex,
        cursor: &mut TreeCursor,
        value: &[u8],
        pages: &mut P,
    ) -> Result<()> {
        if self.is_inline(cursor.key(), value.len()) {
            return self.edit_at(at, cursor, Op::Put(Stored::Inline(value)), pages);
        }
        let chain = self.write_long(value, pages)?;
        self.edit_at(at, cursor, Op::Put(Stored::Chain(&chain)), pages)
    }

    /// Deletes an entry, if it is there.
    #[inline(always)]
    pub fn delete<P: DraftPages>(&mut self, at: TableIndex, key: &[u8], pages: &mut P) -> Result<()> {
        let edit = Edit {
            key,
            op: Op::Delete,
            is_greatest: false,
        };
        self.edit(at, edit, pages)
    }

    /// Returns whether a value of `len` bytes is stored in the leaf beside `key`.
    #[inline(always)]
    pub fn is_inline(&self, key: &[u8], len: usize) -> bool {
        let page_size = self.page_size();
        let kept = if is_long_key(key, page_size) {
            KEEP + REST
        } else {
            key.len()
        };
        is_value_inline(kept, len, page_size)
    }
}
