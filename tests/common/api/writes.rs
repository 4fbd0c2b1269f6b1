//! What the Rust API writes in a transaction.

use super::{fail, slot, Entry, Outcome, RustWrite, Span, Stream, Writes};
use kv::{CommitId, PutMode, Savepoint, TableId};

impl Writes for RustWrite {
    fn put(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<()> {
        self.txn.put(table, key, value, mode).map_err(fail)
    }
    fn insert(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Outcome<Option<Vec<u8>>> {
        Ok(self.txn.insert(table, key, value).map_err(fail)?.map(<[u8]>::to_vec))
    }
    fn replace(&mut self, table: TableId, key: &[u8], value: &[u8], mode: PutMode) -> Outcome<Option<Vec<u8>>> {
        let old = self.txn.replace(table, key, value, mode).map_err(fail)?;
        Ok(old.map(<[u8]>::to_vec))
    }
    fn reserve(&mut self, table: TableId, key: &[u8], value: &[u8], filled: usize, mode: PutMode) -> Outcome<()> {
        let room = self.txn.reserve(table, key, value.len(), mode).map_err(fail)?;
        assert_eq!(room.len(), value.len(), "reserve gave another length");
        assert!(room.iter().all(|b| *b == 0), "reserved bytes are not zero");
        room[..filled].copy_from_slice(&value[..filled]);
        Ok(())
    }
    fn delete(&mut self, table: TableId, key: &[u8]) -> Outcome<bool> {
        self.txn.delete(table, key).map_err(fail)
    }
    fn delete_blind(&mut self, table: TableId, key: &[u8]) -> Outcome<()> {
        self.txn.delete_blind(table, key).map_err(fail)
    }
    fn take(&mut self, table: TableId, key: &[u8]) -> Outcome<Option<Vec<u8>>> {
        Ok(self.txn.take(table, key).map_err(fail)?.map(<[u8]>::to_vec))
    }
    fn take_first(&mut self, table: TableId, span: &Span) -> Outcome<Option<Entry>> {
        let taken = self.txn.take_first(table, &span.range()).map_err(fail)?;
        Ok(taken.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }
    fn delete_range(&mut self, table: TableId, span: &Span) -> Outcome<u64> {
        self.txn.delete_range(table, &span.range()).map_err(fail)
    }
    fn table_create(&mut self, name: &[u8], new: bool) -> Outcome<TableId> {
        self.txn.table_create(name, new).map_err(fail)
    }
    fn table_rename(&mut self, table: TableId, name: &[u8]) -> Outcome<()> {
        self.txn.table_rename(table, name).map_err(fail)
    }
    fn table_clear(&mut self, table: TableId) -> Outcome<()> {
        self.txn.table_clear(table).map_err(fail)
    }
    fn table_drop(&mut self, table: TableId) -> Outcome<()> {
        self.txn.table_drop(table).map_err(fail)
    }
    fn table_set_note(&mut self, table: TableId, note: &[u8]) -> Outcome<()> {
        self.txn.table_set_note(table, note).map_err(fail)
    }
    fn stream(&mut self, table: TableId, key: &[u8], stream: &Stream<'_>) -> Outcome<()> {
        let txn = &mut self.txn;
        let mut writer = txn.writer(table, key, stream.hint, PutMode::Set).map_err(fail)?;
        for (i, part) in stream.parts.iter().enumerate() {
            if i == stream.parts.len() / 2 {
                if let Some((key, value)) = stream.between {
                    txn.put(table, key, value, PutMode::Set).map_err(fail)?;
                }
            }
            writer.write(txn, part).map_err(fail)?;
        }
        if stream.finish {
            writer.finish(txn).map_err(fail)
        } else {
            writer.cancel(txn);
            Ok(())
        }
    }
    fn cursor_put(&mut self, cursor: usize, value: &[u8]) -> Outcome<()> {
        slot(&mut self.cursors, cursor).put(&mut self.txn, value).map_err(fail)
    }
    fn cursor_delete(&mut self, cursor: usize) -> Outcome<()> {
        slot(&mut self.cursors, cursor).delete(&mut self.txn).map_err(fail)
    }
    fn savepoint_create(&mut self) -> Outcome<u64> {
        self.txn.savepoint_create().map(Savepoint::get).map_err(fail)
    }
    fn savepoint_rollback(&mut self, savepoint: u64) -> Outcome<()> {
        self.txn
            .savepoint_rollback(Savepoint::from_number(savepoint))
            .map_err(fail)
    }
    fn savepoint_release(&mut self, savepoint: u64) -> Outcome<()> {
        self.txn
            .savepoint_release(Savepoint::from_number(savepoint))
            .map_err(fail)
    }
    fn nest(&mut self) -> Outcome<()> {
        self.nested.push(self.txn.begin_nested().map_err(fail)?);
        Ok(())
    }
    fn end_nested(&mut self, commit: bool) -> Outcome<()> {
        let begun = self.nested.pop().expect("a nested transaction is open");
        self.txn.end_nested(begun, commit).map_err(fail)
    }
    fn commit(self: Box<Self>) -> Outcome<CommitId> {
        self.txn.commit().map_err(fail)
    }
}
