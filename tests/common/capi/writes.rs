//! What the functions of `kv.h` write in a transaction: entries, values in parts, tables, and the commit.

use super::super::abi::*;
use super::super::api::{status, Entry, Outcome, Reads, Span, Stream, Writes};
use super::{answer, at, found, range, CTxn};
use kv::{CommitId, PutMode, TableId};
use std::mem::size_of;
use std::ptr::{null, null_mut};

fn flags(mode: PutMode) -> u32 {
    match mode {
        PutMode::Set => 0,
        PutMode::NoOverwrite => KV_NO_OVERWRITE,
        PutMode::NoInsert => KV_NO_INSERT,
        PutMode::Append => KV_APPEND,
    }
}

impl Writes for CTxn {
    fn put(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<()> {
        call!(kv_put(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            at(value),
            value.len(),
            flags(mode)
        ))
    }
    fn insert(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut existing = kv_slice::NONE;
        let inserted = call!(kv_insert(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            at(value),
            value.len(),
            &mut existing
        ));
        match inserted {
            Ok(()) => Ok(None),
            Err(fail) if fail.status == status::EXISTS => {
                Ok(Some(existing.copy().expect("KV_EXISTS fills the existing value")))
            }
            Err(fail) => Err(fail),
        }
    }
    fn replace(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<Option<Vec<u8>>> {
        let mut old = kv_slice::NONE;
        call!(kv_replace(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            at(value),
            value.len(),
            flags(mode),
            &mut old
        ))?;
        Ok(old.copy())
    }
    fn reserve(&mut self, table: TableId, key: &[u8], value: &[u8], filled: usize, mode: PutMode) -> Outcome<()> {
        let mut data = null_mut();
        call!(kv_reserve(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            value.len(),
            flags(mode),
            &mut data
        ))?;
        assert!(!data.is_null());
        // SAFETY: the library reserved this many bytes, ours until the next call.
        let room = unsafe { std::slice::from_raw_parts_mut(data.cast::<u8>(), value.len()) };
        assert!(room.iter().all(|b| *b == 0), "reserved bytes are not zero");
        room[..filled].copy_from_slice(&value[..filled]);
        Ok(())
    }
    fn delete(&mut self, table: TableId, key: &[u8]) -> Outcome<bool> {
        Ok(found(call!(kv_delete(self.txn, table.get(), at(key), key.len(), 0)))?.is_some())
    }
    fn delete_blind(&mut self, table: TableId, key: &[u8]) -> Outcome<()> {
        call!(kv_delete(self.txn, table.get(), at(key), key.len(), KV_BLIND))
    }
    fn take(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let mut value = kv_slice::NONE;
        let taken = call!(kv_take(self.txn, table.get(), at(key), key.len(), &mut value));
        Ok(found(taken)?.map(|()| value.copy().expect("the data of a found value is never NULL")))
    }
    fn take_first(&mut self, table: TableId, span: &Span) -> Outcome<Option<Entry>> {
        let (mut key, mut value) = (kv_slice::NONE, kv_slice::NONE);
        let taken = call!(kv_take_first(self.txn, table.get(), &range(span), &mut key, &mut value));
        Ok(found(taken)?.map(|()| key.copy().zip(value.copy()).expect("a taken entry is never NULL")))
    }
    fn delete_range(&mut self, table: TableId, span: &Span) -> Outcome<u64> {
        let mut deleted = u64::MAX;
        let done = call!(kv_delete_range(self.txn, table.get(), &range(span), &mut deleted));
        if span.is_unbounded() {
            // The C interface refuses this on purpose: a forgotten bound must not erase a table.
            assert_eq!(done.map_err(|fail| fail.status), Err(status::INVALID));
            let count = self.count(table, span)?;
            return self.table_clear(table).map(|()| count);
        }
        done?;
        Ok(deleted)
    }
    fn table_create(&mut self, name: &[u8], new: bool) -> Outcome<TableId> {
        let options = kv_table_options {
            struct_size: size_of::<kv_table_options>() as u32,
            flags: if new { KV_TABLE_NEW } else { 0 },
        };
        let options = if new { &raw const options } else { null() };
        let mut table = u64::MAX;
        call!(kv_table_create(self.txn, at(name), name.len(), options, &mut table))?;
        Ok(TableId::new(table))
    }
    fn table_rename(&mut self, table: TableId, name: &[u8]) -> Outcome<()> {
        call!(kv_table_rename(self.txn, table.get(), at(name), name.len()))
    }
    fn table_clear(&mut self, table: TableId) -> Outcome<()> {
        call!(kv_table_clear(self.txn, table.get()))
    }
    fn table_drop(&mut self, table: TableId) -> Outcome<()> {
        call!(kv_table_drop(self.txn, table.get()))
    }
    fn table_set_note(&mut self, table: TableId, note: &[u8]) -> Outcome<()> {
        call!(kv_table_set_note(self.txn, table.get(), at(note), note.len()))
    }
    fn stream(&mut self, table: TableId, key: &[u8], stream: &Stream<'_>) -> Outcome<()> {
        let mut writer = null_mut();
        call!(kv_writer_open(
            self.txn,
            table.get(),
            at(key),
            key.len(),
            stream.hint,
            0,
            &mut writer
        ))?;
        for (i, part) in stream.parts.iter().enumerate() {
            if i == stream.parts.len() / 2 {
                if let Some((key, value)) = stream.between {
                    self.put(table, key, value, PutMode::Set)?;
                }
            }
            call!(kv_writer_write(writer, at(part), part.len()))?;
        }
        let finished = if stream.finish {
            call!(kv_writer_finish(writer))
        } else {
            Ok(())
        };
        // SAFETY: a writer of the library; closing a finished one does nothing.
        unsafe { (library().kv_writer_close)(writer) };
        finished
    }
    fn cursor_put(&mut self, cursor: usize, value: &[u8]) -> Outcome<()> {
        call!(kv_cursor_put(self.cursor(cursor), at(value), value.len()))
    }
    fn cursor_delete(&mut self, cursor: usize) -> Outcome<()> {
        call!(kv_cursor_delete(self.cursor(cursor)))
    }
    fn savepoint_create(&mut self) -> Outcome<u64> {
        let mut savepoint = 0;
        call!(kv_savepoint_create(self.txn, &mut savepoint))?;
        Ok(savepoint)
    }
    fn savepoint_rollback(&mut self, savepoint: u64) -> Outcome<()> {
        call!(kv_savepoint_rollback(self.txn, savepoint))
    }
    fn savepoint_release(&mut self, savepoint: u64) -> Outcome<()> {
        call!(kv_savepoint_release(self.txn, savepoint))
    }
    fn nest(&mut self) -> Outcome<()> {
        let mut nested = null_mut();
        call!(kv_txn_nest(self.txn, &mut nested))?;
        self.outer.push(std::mem::replace(&mut self.txn, nested));
        let refused = call!(kv_delete(self.outer[self.outer.len() - 1], 0, at(b"k"), 1, 0));
        assert_eq!(refused.map_err(|fail| fail.status), Err(status::CHILD_OPEN));
        Ok(())
    }
    fn end_nested(&mut self, commit: bool) -> Outcome<()> {
        let outer = self.outer.pop().expect("a nested transaction is open");
        let nested = std::mem::replace(&mut self.txn, outer);
        if commit {
            return call!(kv_txn_commit(nested, null_mut()));
        }
        // SAFETY: a handle of the library.
        unsafe { (library().kv_txn_abort)(nested) };
        Ok(())
    }
    fn commit(self: Box<Self>) -> Outcome<CommitId> {
        let mut id = 0;
        call!(kv_txn_commit(self.txn, &mut id))?;
        Ok(CommitId::new(id))
    }
}
