//! canopydb, through its Rust interface.

use crate::driver::{Read, Session, Settings, Store, Way, Write};
use canopydb::{Database, DbOptions, EnvOptions, Tree};
use std::ops::Bound;
use std::path::Path;

const TREE: &[u8] = b"main";

/// Entries of a portion of a walk that changes them: nothing can be changed while an iterator stands in the table.
const PORTION: usize = 1000;

/// An open database.
pub struct Canopy(Database);

/// A thread's access: nothing of its own.
pub struct CanopySession<'a>(&'a Database);

/// The tree of a read transaction.
pub struct CanopyRead<'a>(Tree<'a>);

/// The tree of a write transaction.
pub struct CanopyWrite<'a>(Tree<'a>);

impl Store for Canopy {
    const NAME: &'static str = "canopydb";
    const SETTINGS: &'static str = "defaults (a write-ahead log, no checksums of pages, LZ4 for values from 12 KiB \
        on), a page cache with room for all data, exclusive write transactions, a checkpoint after each row that \
        writes; durable: commit_with(true); lazy: commit_with(false)";
    type Session<'a> = CanopySession<'a>;

    fn version() -> String {
        super::version_of("canopydb")
    }

    fn open(dir: &Path, settings: &Settings) -> Canopy {
        let dir = dir.join("canopydb");
        let new = !dir.exists();
        std::fs::create_dir_all(&dir).expect("canopydb: directory");
        let mut options = EnvOptions::new(&dir);
        options.page_cache_size = settings.cache as usize;
        let db = Database::with_options(options, DbOptions::default()).expect("canopydb: open");
        if new {
            let txn = db.begin_write().expect("canopydb: begin");
            txn.get_or_create_tree(TREE).expect("canopydb: tree");
            txn.commit_with(true).expect("canopydb: commit");
        }
        Canopy(db)
    }

    fn session(&self) -> CanopySession<'_> {
        CanopySession(&self.0)
    }

    fn finish_background_work(&self) {
        self.0.checkpoint().expect("canopydb: checkpoint");
    }
}

impl Session for CanopySession<'_> {
    type Read<'a>
        = CanopyRead<'a>
    where
        Self: 'a;
    type Write<'a>
        = CanopyWrite<'a>
    where
        Self: 'a;

    fn read<T>(&mut self, work: impl FnOnce(&mut CanopyRead<'_>) -> T) -> T {
        let txn = self.0.begin_read().expect("canopydb: begin");
        let tree = txn.get_tree(TREE).expect("canopydb: tree");
        let mut read = CanopyRead(tree.expect("canopydb: made when the database was"));
        work(&mut read)
    }

    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut CanopyWrite<'_>) -> T) -> T {
        let txn = self.0.begin_write().expect("canopydb: begin");
        let done = work(&mut CanopyWrite(txn.get_or_create_tree(TREE).expect("canopydb: tree")));
        txn.commit_with(durable).expect("canopydb: commit");
        done
    }
}

impl Read for CanopyRead<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        see(self.0.get(key).expect("canopydb: get").as_deref())
    }

    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8])) {
        if way.keys_only {
            let mut keys = self.0.keys().expect("canopydb: keys");
            while let Some(key) = if way.backward { keys.next_back() } else { keys.next() } {
                see(&key.expect("canopydb: next"), &[]);
            }
        } else {
            let mut entries = self.0.iter().expect("canopydb: iter");
            while let Some(entry) = if way.backward {
                entries.next_back()
            } else {
                entries.next()
            } {
                let (key, value) = entry.expect("canopydb: next");
                see(&key, &value);
            }
        }
    }

    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8])) {
        for entry in self.0.range(key..).expect("canopydb: range").take(n) {
            let (key, value) = entry.expect("canopydb: next");
            see(&key, &value);
        }
    }

    fn length(&mut self) -> u64 {
        self.0.len()
    }

    fn count(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let mut entries = 0;
        for key in self.0.range_keys(from..to).expect("canopydb: range") {
            key.expect("canopydb: next");
            entries += 1;
        }
        entries
    }
}

impl CanopyWrite<'_> {
    /// Walks over `n` entries from `from` up to and without `to`, and gives them the value that `change` answers;
    /// none: it deletes them.
    fn portions<'v>(
        &mut self,
        from: Vec<u8>,
        to: Option<&[u8]>,
        n: usize,
        mut change: impl FnMut(&[u8], &[u8]) -> Option<Option<&'v [u8]>>,
    ) {
        let (mut start, mut left) = (Bound::Included(from), n);
        let end = to.map_or(Bound::Unbounded, |to| Bound::Excluded(to.to_vec()));
        while left > 0 {
            let (mut changes, mut last) = (Vec::with_capacity(PORTION), None);
            let walk = self.0.range((start, end.clone())).expect("canopydb: range");
            for entry in walk.take(left.min(PORTION)) {
                let (key, value) = entry.expect("canopydb: next");
                left -= 1;
                if let Some(change) = change(&key, &value) {
                    // Not the bytes themselves: their page is to be changed.
                    changes.push((key.to_vec(), change));
                }
                last = Some(key.to_vec());
            }
            for (key, value) in changes {
                match value {
                    Some(value) => self.0.insert(&key, value).expect("canopydb: insert"),
                    None => drop(self.0.delete(&key).expect("canopydb: delete")),
                }
            }
            let Some(last) = last else { break };
            start = Bound::Excluded(last);
        }
    }
}

impl Write for CanopyWrite<'_> {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T {
        see(self.0.get(key).expect("canopydb: get").as_deref())
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.0.insert(key, value).expect("canopydb: insert");
    }

    fn delete(&mut self, key: &[u8]) {
        self.0.delete(key).expect("canopydb: delete");
    }

    fn delete_range(&mut self, from: &[u8], to: &[u8]) {
        self.0.delete_range(from..to).expect("canopydb: delete_range");
    }

    fn take(&mut self, last: bool, see: impl FnOnce(&[u8], &[u8])) {
        let entry = if last { self.0.last() } else { self.0.first() };
        if let Some((key, value)) = entry.expect("canopydb: first") {
            see(&key, &value);
            // Bytes keep their page, which cannot be changed then.
            let owned = key.to_vec();
            drop((key, value));
            self.0.delete(&owned).expect("canopydb: delete");
        }
    }

    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool) {
        let (from, to) = range.map_or((Vec::new(), None), |(from, to)| (from.to_vec(), Some(to)));
        self.portions(from, to, usize::MAX, |key, value| (!keep(key, value)).then_some(None));
    }

    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]) {
        self.portions(from.to_vec(), None, n, |key, value| Some(Some(other(key, value))));
    }
}
