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

/// Entries of a portion of a walk that changes them: nothing can be changed while an iterator stands in the table.
const PORTION: usize = 1000;

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

    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        let entry = if last { self.0.pop_last() } else { self.0.pop_first() };
        if let Some((key, value)) = entry.expect("redb: pop") {
            see(key.value(), value.value());
        }
    }

    fn retain(&mut self, within: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let Some((from, to)) = within else {
            return self.0.retain(keep).expect("redb: retain");
        };
        let deleted = self
            .0
            .extract_from_if::<&[u8], _>(range(from, to), |key, value| !keep(key, value))
            .expect("redb: extract");
        for entry in deleted {
            entry.expect("redb: extract");
        }
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let (mut start, mut left) = (Bound::Included(from.to_vec()), n);
        while left > 0 {
            let bounds = (start.as_ref().map(Vec::as_slice), Bound::Unbounded);
            let mut changes = Vec::with_capacity(PORTION);
            for entry in self
                .0
                .range::<&[u8]>(bounds)
                .expect("redb: range")
                .take(left.min(PORTION))
            {
                let (key, value) = entry.expect("redb: next");
                changes.push((key.value().to_vec(), other(key.value(), value.value())));
            }
            let Some((last, _)) = changes.last() else { break };
            start = Bound::Excluded(last.clone());
            left -= changes.len();
            for (key, value) in changes {
                self.0.insert(key.as_slice(), value).expect("redb: insert");
            }
        }
    }
}
