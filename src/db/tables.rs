//! The calls of a write transaction that create, rename, clear and drop tables.

use super::reader::Reader;
use super::write::WriteTxn;
use crate::catalogue::{self, TableRecord, NOTE_MAX};
use crate::error::{table_called, Conflict, Error, Result};
use crate::ids::TableId;
use crate::page::leaf::Stored;
use crate::page::Root;
use crate::tree::write::edits::Op;
use crate::txn::{DraftTable, Edit, TableIndex};
use crate::util::shown::Quoted;

impl WriteTxn {
    /// Creates the table called `name`, or opens the one that is there, and returns its number. Names have 1 to 512
    /// bytes.
    ///
    /// # Errors
    /// `Exists`: `new` is set, and there is such a table; `Invalid`: the name is empty, or begins with the byte 0;
    /// `TooBig`: it is too long; those of [`WriteTxn::put`].
    pub fn table_create(&mut self, name: &[u8], new: bool) -> Result<TableId> {
        self.ready()?;
        catalogue::check_new_name(name)?;
        if let Some(number) = Reader::get(self, TableId::NAMES, name)? {
            let number = catalogue::decode_number(number).map_err(|e| self.draft.fail(e))?;
            return match new {
                true => Err(Error::Exists(Conflict::new(
                    number,
                    format!("the table {}", Quoted(name)),
                ))),
                false => Ok(number),
            };
        }
        self.pages.note_addition();
        let names = self.names()?;
        // The number is random and may be taken, although that is improbable.
        let number = loop {
            let number = catalogue::new_number();
            match self.draft.open(number) {
                Err(Error::NoTable(_)) => break number,
                other => other?,
            };
        };
        let record = TableRecord {
            name: name.to_vec(),
            ..TableRecord::default()
        };
        self.draft.adopt(DraftTable::created(number, record));
        self.set_name(names, name, Some(number))?;
        Ok(number)
    }

    /// Creates a table under the number that it had in another file, empty, and otherwise as its record there says,
    /// whatever kind of table it is. This database must not have a table with this number or name yet. Of the default
    /// table, which is there, only the record is taken over. The list of names needs no record.
    ///
    /// # Errors
    /// `Exists`: the number is taken; `Corrupt`: the name is taken, or the record cannot be right; those of
    /// [`WriteTxn::put`].
    pub(crate) fn table_restore(&mut self, number: TableId, record: &TableRecord) -> Result<()> {
        self.ready()?;
        let record = TableRecord {
            root: Root::default(),
            ..record.clone()
        };
        if let Some(fault) = record.fault(number) {
            return Err(Error::corrupt(None, fault));
        }
        if number == TableId::MAIN {
            let at = self.draft.open(number)?;
            self.draft.table_mut(at).describe_anew(record);
            self.draft.mark_changed();
            return Ok(());
        }
        let named = catalogue::is_named(number);
        if named && Reader::get(self, TableId::NAMES, &record.name)?.is_some() {
            return Err(Error::corrupt(None, "the catalogue contradicts itself"));
        }
        match self.draft.open(number) {
            Err(Error::NoTable(_)) => {}
            Ok(_) => {
                let what = table_called(number, &record.name).to_string();
                return Err(Error::Exists(Conflict::new(number, what)));
            }
            Err(error) => return Err(error),
        }
        let names = named.then(|| self.names()).transpose()?;
        let name = record.name.clone();
        self.draft.adopt(DraftTable::created(number, record));
        self.draft.mark_changed();
        match names {
            Some(names) => self.set_name(names, &name, Some(number)),
            None => Ok(()),
        }
    }

    /// Renames a table. If another table has the new name, that one is dropped.
    ///
    /// # Errors
    /// `NoTable`; `Invalid`: the table cannot be renamed, or the new name is empty or begins with the byte 0; `TooBig`:
    /// the name is too long; those of [`WriteTxn::put`].
    pub fn table_rename(&mut self, table: TableId, name: &[u8]) -> Result<()> {
        catalogue::check_new_name(name)?;
        let at = self.open_named(table)?;
        if self.draft.table(at).name == name {
            return Ok(());
        }
        let names = self.names()?;
        if let Some(number) = Reader::get(self, TableId::NAMES, name)? {
            let other = catalogue::decode_number(number).map_err(|e| self.draft.fail(e))?;
            self.table_drop(other)?;
        }
        let open = self.draft.table_mut(at);
        let old = std::mem::replace(&mut open.name, name.to_vec());
        open.record_changed = true;
        self.set_name(names, &old, None)?;
        self.set_name(names, name, Some(table))
    }

    /// Deletes every entry of a table.
    ///
    /// # Errors
    /// Those of [`WriteTxn::put`].
    pub fn table_clear(&mut self, table: TableId) -> Result<()> {
        let at = self.open_to_write(table)?;
        self.draft.clear(at, &mut self.pages)
    }

    /// Removes a table with all its entries. Its number is given to no other table: a call with it returns `NoTable`,
    /// unless [`WriteTxn::revert`] has brought the table back.
    ///
    /// # Errors
    /// `NoTable`; `Invalid`: the main table cannot be dropped; those of [`WriteTxn::put`].
    pub fn table_drop(&mut self, table: TableId) -> Result<()> {
        let at = self.open_named(table)?;
        let names = self.names()?;
        self.draft.clear(at, &mut self.pages)?;
        let open = self.draft.table_mut(at);
        open.dropped = true;
        let name = std::mem::take(&mut open.name);
        self.set_name(names, &name, None)
    }

    /// Attaches a note to a table, in place of the one it has. Notes have at most 1024 bytes.
    ///
    /// # Errors
    /// `NoTable`; `Invalid`: the main table has no note; `TooBig`: the note is too long; those of [`WriteTxn::put`].
    pub fn table_set_note(&mut self, table: TableId, note: &[u8]) -> Result<()> {
        if note.len() > NOTE_MAX {
            return Err(Error::TooBig {
                what: "table note",
                size: note.len() as u64,
                limit: NOTE_MAX as u64,
            });
        }
        let at = self.open_named(table)?;
        self.pages.note_addition();
        let open = self.draft.table_mut(at);
        open.note = note.to_vec();
        open.record_changed = true;
        self.draft.mark_changed();
        Ok(())
    }

    fn open_named(&mut self, table: TableId) -> Result<TableIndex> {
        let at = self.open_to_write(table)?;
        if table == TableId::MAIN {
            return Err(Error::Invalid(
                "the main table has no name, no note and cannot be dropped",
            ));
        }
        Ok(at)
    }

    /// Opens the list of names to change it. That it cannot be changed must be known before anything else is.
    pub(super) fn names(&mut self) -> Result<TableIndex> {
        let names = self.draft.open(TableId::NAMES)?;
        self.draft.check_changeable(names)?;
        Ok(names)
    }

    /// Puts or removes an entry of the list of names.
    pub(super) fn set_name(&mut self, names: TableIndex, name: &[u8], number: Option<TableId>) -> Result<()> {
        let number = number.map(catalogue::encode_number);
        let op = match &number {
            Some(bytes) => Op::Put(Stored::Inline(bytes)),
            None => Op::Delete,
        };
        let edit = Edit {
            key: name,
            op,
            is_greatest: false,
        };
        self.draft.push(names, edit, &mut self.pages)
    }
}
