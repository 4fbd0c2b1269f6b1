//! redb, through its Rust interface.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use redb::{
    Database, Durability, ReadOnlyTable, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition,
};
use std::ops::Bound;
use std::path::Path;

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("main");

/// An open database.
pub struct Redb(Database);

/// A thread's access: nothing of its own.
pub struct RedbSession<'a>(&'a Database);

/// The table of a read transaction.
pub struct RedbRead(ReadOnlyTable<&'static [u8], &'static [u8]>);

/// The table of a write transaction.
pub struct RedbWrite<'a>(Table<'a, &'static [u8], &'static [u8]>);

fn range<'a>(from: &'a [u8], to: &'a [u8]) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(from), Bound::Excluded(to))
}

impl Store for Redb {
    const NAME: &'static str = "redb";
    const SETTINGS: &'static str = "a cache with room for all data; durable: Durability::Immediate; lazy: \
        Durability::None; sorted loads through a cursor at the end";
    type Session<'a> = RedbSession<'a>;

    fn version() -> String {
        super::version_of("redb")
    }

    fn open(dir: &Path, settings: &Settings) -> Redb {
        let path = dir.join("data.redb");
        let new = !path.exists();
        let db = Database::builder()
            .set_cache_size(settings.cache as usize)
            .create(path)
            .expect("redb: create");
        if new {
            let txn = db.begin_write().expect("redb: begin");
            txn.open_table(TABLE).expect("redb: table");
            txn.commit().expect("redb: commit");
        }
        Redb(db)
    }

    fn session(&self) -> RedbSession<'_> {
        RedbSession(&self.0)
    }
}

impl RedbSession<'_> {
    fn change<T>(&self, durable: bool, work: impl FnOnce(&mut RedbWrite<'_>) -> T) -> T {
        let mut txn = self.0.begin_write().expect("redb: begin");
        let durability = if durable {
            Durability::Immediate
        } else {
            Durability::None
        };
        txn.set_durability(durability).expect("redb: durability");
        let done = work(&mut RedbWrite(txn.open_table(TABLE).expect("redb: table")));
        txn.commit().expect("redb: commit");
        done
    }
}

impl Session for RedbSession<'_> {
    type Read<'a>
        = RedbRead
    where
        Self: 'a;
    type Write<'a>
        = RedbWrite<'a>
    where
        Self: 'a;

    fn read<T>(&mut self, work: impl FnOnce(&mut RedbRead) -> T) -> T {
        let txn = self.0.begin_read().expect("redb: begin");
        work(&mut RedbRead(txn.open_table(TABLE).expect("redb: table")))
    }

    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut RedbWrite<'_>) -> T) -> T {
        self.change(durable, work)
    }

    fn load_sorted<'k>(&mut self, entries: impl Iterator<Item = (&'k [u8], &'k [u8])>) {
        self.change(true, |write| {
            let end = Bound::<&[u8]>::Unbounded;
            let mut cursor = write.0.upper_bound_mut(end).expect("redb: cursor");
            entries.for_each(|(key, value)| cursor.insert_before(key, value).expect("redb: append"));
            cursor.close().expect("redb: close");
        });
    }
}

impl Read for RedbRead {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let value = self.0.get(key).expect("redb: get");
        see(value.as_ref().map(|guard| guard.value()))
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let mut entries = self.0.iter().expect("redb: iter");
        let mut next = || {
            if way.backward {
                entries.next_back()
            } else {
                entries.next()
            }
        };
        while let Some(entry) = next() {
            let (key, value) = entry.expect("redb: next");
            see(key.value(), if way.keys_only { &[] } else { value.value() });
        }
    }

    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        for entry in self.0.range(key..).expect("redb: range").take(n) {
            let (key, value) = entry.expect("redb: next");
            see(key.value(), value.value());
        }
    }

    fn length(&mut self) -> u64 {
        self.0.len().expect("redb: len")
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        self.0.range::<&[u8]>(range(from, to)).expect("redb: range").count() as u64
    }
}

impl Write for RedbWrite<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let value = self.0.get(key).expect("redb: get");
        see(value.as_ref().map(|guard| guard.value()))
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key, value).expect("redb: insert");
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.remove(key).expect("redb: remove");
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        self.0
            .retain_in::<&[u8], _>(range(from, to), |_, _| false)
            .expect("redb: retain");
    }
}
