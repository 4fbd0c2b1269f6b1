//! sled, through its Rust interface.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use sled::{Batch, Config, Db, IVec};
use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most changes of a batch: the pages that a batch replaces stay in memory until its end, and those of large batches
/// pile up (a load needs 3 KB of memory for each entry with batches of 10,000, and a sixth of that with batches of
/// 1000).
const MOST: usize = 1000;

/// An open database.
pub struct Sled {
    db: Db,
    /// Its file. Behind the database, so that it is dropped after it.
    log: Log,
    /// The directory of large values, a file each.
    large: PathBuf,
    /// Those of them that would survive a power cut.
    safe: Mutex<HashSet<OsString>>,
    /// Transactions that read before they write take turns: a batch does not see what others write meanwhile.
    turn: Mutex<()>,
}

/// The file of a database. Threads of sled keep it locked for a moment after the database is dropped, and it cannot be
/// opened again until they are done: that is waited for here.
struct Log(File);

/// A thread's access: nothing of its own.
pub struct SledSession<'a>(&'a Sled);

/// What is there now: sled has no snapshots.
pub struct SledRead<'a>(&'a Db);

/// Changes of a transaction: sled has calls for one and for many.
#[derive(Default)]
enum Changes {
    #[default]
    None,
    One(IVec, Option<IVec>),
    /// And how many.
    Many(Batch, usize),
}

/// Changes that will be written at once, or in portions if there are too many.
pub struct SledWrite<'a> {
    changes: Changes,
    store: &'a Sled,
    turn: Option<MutexGuard<'a, ()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Log {
    fn drop(&mut self) {
        // SAFETY: an open file; the lock goes when it is closed.
        unsafe { libc::flock(self.0.as_raw_fd(), libc::LOCK_EX) };
    }
}

impl Sled {
    /// Makes what was written survive a power cut. sled's `flush` is not enough: it ends with `sync_file_range`, which
    /// neither writes the length of a file that has grown nor empties the cache of the disk, and it leaves out the
    /// files of large values (sled's issues 1351 and 1452).
    fn sync(&self) {
        self.db.flush().expect("sled: flush");
        let names = std::fs::read_dir(&self.large).expect("sled: large values");
        let names = names.map(|entry| entry.expect("sled: a large value").file_name());
        let new: Vec<OsString> = {
            let safe = locked(&self.safe);
            names.filter(|name| !safe.contains(name)).collect()
        };
        for name in &new {
            // sled may have removed it meanwhile.
            if let Ok(file) = File::open(self.large.join(name)) {
                file.sync_data().expect("sled: sync of a large value");
            }
        }
        if !new.is_empty() {
            let dir = File::open(&self.large).expect("sled: large values");
            dir.sync_all().expect("sled: sync of large values");
            locked(&self.safe).extend(new);
        }
        self.log.0.sync_data().expect("sled: sync");
    }
}

impl Store for Sled {
    const NAME: &'static str = "sled";
    const SETTINGS: &'static str = "defaults, a cache with room for all data; a transaction of several changes is a \
        Batch (of more than 1000, several), and one that reads takes turns with others; no snapshots: reads see what \
        is there now; durable: flush, then fdatasync of its file and of new files of large values, since flush alone \
        (sync_file_range) does not survive a power cut; lazy: no flush; sorted loads by single inserts and one such \
        flush";
    type Session<'a> = SledSession<'a>;

    fn version() -> String {
        super::version_of("sled")
    }

    fn open(dir: &Path, settings: &Settings) -> Sled {
        let dir = dir.join("sled");
        let db = Config::new().path(&dir).cache_capacity(settings.cache).open();
        Sled {
            db: db.expect("sled: open"),
            log: Log(File::open(dir.join("db")).expect("sled: its file")),
            large: dir.join("blobs"),
            safe: Mutex::default(),
            turn: Mutex::default(),
        }
    }

    fn session(&self) -> SledSession<'_> {
        SledSession(self)
    }
}

impl Session for SledSession<'_> {
    type Read<'a>
        = SledRead<'a>
    where
        Self: 'a;
    type Write<'a>
        = SledWrite<'a>
    where
        Self: 'a;

    fn read<T>(&mut self, work: impl FnOnce(&mut SledRead<'_>) -> T) -> T {
        work(&mut SledRead(&self.0.db))
    }

    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut SledWrite<'_>) -> T) -> T {
        let store = self.0;
        let mut write = SledWrite {
            changes: Changes::None,
            store,
            turn: None,
        };
        let done = work(&mut write);
        write.apply();
        if durable {
            store.sync();
        }
        drop(write.turn);
        done
    }

    fn load_sorted<'k>(&mut self, entries: impl Iterator<Item = (&'k [u8], &'k [u8])>) {
        for (key, value) in entries {
            self.0.db.insert(key, value).expect("sled: insert");
        }
        self.0.sync();
    }
}

impl Read for SledRead<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        see(self.0.get(key).expect("sled: get").as_deref())
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        let mut entries = self.0.iter();
        let mut next = || {
            if way.backward {
                entries.next_back()
            } else {
                entries.next()
            }
        };
        while let Some(entry) = next() {
            let (key, value) = entry.expect("sled: next");
            see(&key, if way.keys_only { &[] } else { &value });
        }
    }

    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        for entry in self.0.range(key..).take(n) {
            let (key, value) = entry.expect("sled: next");
            see(&key, &value);
        }
    }

    fn length(&mut self) -> u64 {
        self.0.len() as u64
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        for entry in self.0.range(from..to) {
            entry.expect("sled: next");
            entries += 1;
        }
        entries
    }
}

fn add(batch: &mut Batch, key: IVec, value: Option<IVec>) {
    match value {
        Some(value) => batch.insert(key, value),
        None => batch.remove(key),
    }
}

impl SledWrite<'_> {
    fn apply(&mut self) {
        let db = &self.store.db;
        let applied = match std::mem::take(&mut self.changes) {
            Changes::None => Ok(()),
            Changes::One(key, Some(value)) => db.insert(key, value).map(drop),
            Changes::One(key, None) => db.remove(key).map(drop),
            Changes::Many(batch, _) => db.apply_batch(batch),
        };
        applied.expect("sled: commit");
    }

    fn change(&mut self, key: &[u8], value: Option<&[u8]>) {
        let (key, value) = (IVec::from(key), value.map(IVec::from));
        self.changes = match std::mem::take(&mut self.changes) {
            Changes::None => Changes::One(key, value),
            Changes::One(first, its) => {
                let mut batch = Batch::default();
                add(&mut batch, first, its);
                add(&mut batch, key, value);
                Changes::Many(batch, 2)
            }
            Changes::Many(mut batch, changes) => {
                add(&mut batch, key, value);
                Changes::Many(batch, changes + 1)
            }
        };
        if matches!(self.changes, Changes::Many(_, MOST)) {
            self.apply();
        }
    }
}

impl Write for SledWrite<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        let store = self.store;
        self.turn.get_or_insert_with(|| locked(&store.turn));
        see(store.db.get(key).expect("sled: get").as_deref())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.change(key, Some(value));
    }

    fn delete(&mut self, key: &[u8]) {
        self.change(key, None);
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        for entry in self.store.db.range(from..to) {
            let (key, _) = entry.expect("sled: next");
            self.change(&key, None);
        }
    }

    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        self.apply();
        let db = &self.store.db;
        let entry = if last { db.pop_max() } else { db.pop_min() };
        if let Some((key, value)) = entry.expect("sled: pop") {
            see(&key, &value);
        }
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let db = &self.store.db;
        let entries = range.map_or_else(|| db.iter(), |(from, to)| db.range(from..to));
        for entry in entries {
            let (key, value) = entry.expect("sled: next");
            if !keep(&key, &value) {
                self.change(&key, None);
            }
        }
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        for entry in self.store.db.range(from..).take(n) {
            let (key, value) = entry.expect("sled: next");
            self.change(&key, Some(other(&key, &value)));
        }
    }
}
