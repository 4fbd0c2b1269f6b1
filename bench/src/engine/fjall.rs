//! fjall, through its Rust interface.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use crate::rows::Work;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable, Snapshot};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// An open database.
pub struct Fjall {
    db: Database,
    items: Keyspace,
    /// Transactions that read before they write take turns, as in fjall's own single-writer transactions.
    turn: Mutex<()>,
}

/// A thread's access: nothing of its own.
pub struct FjallSession<'a>(&'a Fjall);

/// A snapshot.
pub struct FjallRead<'a> {
    snapshot: Snapshot,
    items: &'a Keyspace,
}

/// A batch that will be written at once.
pub struct FjallWrite<'a> {
    batch: OwnedWriteBatch,
    store: &'a Fjall,
    turn: Option<std::sync::MutexGuard<'a, ()>>,
}

impl Store for Fjall {
    const NAME: &'static str = "fjall";
    const SETTINGS: &'static str = "defaults, a cache with room for all data; a transaction is a batch, and one that \
        reads takes turns with others; durable: PersistMode::SyncData; lazy: no persist; sorted loads by ingestion";
    /// A batch does not see what it puts and deletes itself.
    const LACKS: &'static [Work] = &[Work::Pop, Work::Queue];
    type Session<'a> = FjallSession<'a>;

    fn version() -> String {
        super::version_of("fjall")
    }

    fn open(dir: &Path, settings: &Settings) -> Fjall {
        let db = Database::builder(dir.join("fjall"))
            .cache_size(settings.cache)
            .open()
            .expect("fjall: open");
        let items = db
            .keyspace("main", KeyspaceCreateOptions::default)
            .expect("fjall: keyspace");
        Fjall {
            db,
            items,
            turn: Mutex::new(()),
        }
    }

    fn session(&self) -> FjallSession<'_> {
        FjallSession(self)
    }

    fn finish_background_work(&self) {
        // Compactions follow flushes after a moment; two quiet looks in a row are enough.
        let mut quiet = 0;
        for _ in 0..6000 {
            let busy = self.db.outstanding_flushes() > 0 || self.db.active_compactions() > 0;
            quiet = if busy { 0 } else { quiet + 1 };
            if quiet == 2 {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Session for FjallSession<'_> {
    type Read<'a>
        = FjallRead<'a>
    where
        Self: 'a;
    type Write<'a>
        = FjallWrite<'a>
    where
        Self: 'a;

    fn read<T>(&mut self, work: impl FnOnce(&mut FjallRead<'_>) -> T) -> T {
        work(&mut FjallRead {
            snapshot: self.0.db.snapshot(),
            items: &self.0.items,
        })
    }

    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut FjallWrite<'_>) -> T) -> T {
        let mut write = FjallWrite {
            batch: self.0.db.batch(),
            store: self.0,
            turn: None,
        };
        let done = work(&mut write);
        let FjallWrite { batch, turn, .. } = write;
        batch
            .durability(durable.then_some(PersistMode::SyncData))
            .commit()
            .expect("fjall: commit");
        drop(turn);
        done
    }

    fn load_sorted<'k>(&mut self, entries: impl Iterator<Item = (&'k [u8], &'k [u8])>) {
        let mut ingestion = self.0.items.start_ingestion().expect("fjall: ingestion");
        entries.for_each(|(key, value)| ingestion.write(key, value).expect("fjall: ingest"));
        ingestion.finish().expect("fjall: ingested");
    }
}

impl Read for FjallRead<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let value = self.snapshot.get(self.items, key).expect("fjall: get");
        see(value.as_deref())
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let mut entries = self.snapshot.iter(self.items);
        let mut next = || {
            if way.backward {
                entries.next_back()
            } else {
                entries.next()
            }
        };
        while let Some(entry) = next() {
            if way.keys_only {
                see(&entry.key().expect("fjall: key"), &[]);
            } else {
                let (key, value) = entry.into_inner().expect("fjall: entry");
                see(&key, &value);
            }
        }
    }

    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        for entry in self.snapshot.range(self.items, key..).take(n) {
            let (key, value) = entry.into_inner().expect("fjall: entry");
            see(&key, &value);
        }
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        for entry in self.snapshot.range(self.items, from..to) {
            entry.key().expect("fjall: key");
            entries += 1;
        }
        entries
    }
}

impl Write for FjallWrite<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let store = self.store;
        self.turn
            .get_or_insert_with(|| store.turn.lock().unwrap_or_else(PoisonError::into_inner));
        let value = store.items.get(key).expect("fjall: get");
        see(value.as_deref())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.insert(&self.store.items, key, value);
    }

    fn delete(&mut self, key: &[u8]) {
        self.batch.remove(&self.store.items, key);
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        for entry in self.store.items.range(from..to) {
            self.batch.remove(&self.store.items, entry.key().expect("fjall: key"));
        }
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let items = &self.store.items;
        let entries = range.map_or_else(|| items.iter(), |(from, to)| items.range(from..to));
        for entry in entries {
            let (key, value) = entry.into_inner().expect("fjall: entry");
            if !keep(&key, &value) {
                self.batch.remove(items, key);
            }
        }
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        let items = &self.store.items;
        for entry in items.range(from..).take(n) {
            let (key, value) = entry.into_inner().expect("fjall: entry");
            let value = other(&key, &value);
            self.batch.insert(items, key, value);
        }
    }
}
