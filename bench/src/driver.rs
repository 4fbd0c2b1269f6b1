//! What an engine must be able to do to take part. The work is written once, over these traits, and compiled for each
//! engine. An engine with a C interface is called through it, one call for what is one call in it; what an engine has
//! no call for is done by its driver in the way its users must do it.

use crate::rows::Work;
pub use crate::way::Way;
use std::path::Path;

/// What drivers are told when they open a database.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Bytes for the cache of an engine that has one of its own: enough for all data, but half of a memory limit.
    #[allow(dead_code, reason = "libkv and LMDB have none")]
    pub cache: u64,
    /// The data do not fit into memory: an engine that has advice for that follows it.
    pub limited: bool,
}

/// An engine: an open database.
pub trait Store: Sized + Sync {
    /// As in the results.
    const NAME: &'static str;
    /// For the report: how it is opened, how a commit is made durable, and what a lazy commit is.
    const SETTINGS: &'static str;
    /// Work that it cannot do as its users would: those rows are left out.
    const LACKS: &'static [Work] = &[];
    type Session<'a>: Session
    where
        Self: 'a;

    /// Whether it can run on this machine, and if not, why.
    fn available() -> Result<(), String> {
        Ok(())
    }
    /// Version, for the head of the results.
    fn version() -> String;
    /// Opens the database in a directory, or creates it.
    fn open(dir: &Path, settings: &Settings) -> Self;
    /// What one thread uses to reach it.
    fn session(&self) -> Self::Session<'_>;
    /// Waits until what was begun in the background is done.
    fn finish_background_work(&self) {}
}

/// What a database takes, in bytes.
pub struct Taken {
    /// Pages that are in use: those of trees and values, and what the engine needs to find free ones.
    pub in_use: u64,
    /// All pages of the file.
    pub file: u64,
}

/// An engine that tells what it takes.
pub trait Tells: Store {
    fn taken(&self) -> Taken;
}

/// A thread's access to a database.
pub trait Session {
    type Read<'a>: Read
    where
        Self: 'a;
    type Write<'a>: Write
    where
        Self: 'a;

    /// Works on a snapshot.
    fn read<T>(&mut self, work: impl FnOnce(&mut Self::Read<'_>) -> T) -> T;

    /// Works in a write transaction and commits it. If `durable`, what was committed survives a power cut once this
    /// returns; if not, it may be lost, but the database stays whole, or as whole as its engine promises.
    fn write<T>(&mut self, durable: bool, work: impl FnOnce(&mut Self::Write<'_>) -> T) -> T;

    /// Reads each key in a snapshot of its own, by the engine's call for renewing one.
    fn renewed<'k>(&mut self, keys: impl Iterator<Item = &'k [u8]>, see: &mut impl FnMut(Option<&[u8]>)) {
        for key in keys {
            self.read(|read| read.get(key, &mut *see));
        }
    }

    /// Puts ascending entries into an empty database in the fastest durable way the engine has.
    fn load_sorted<'k>(&mut self, entries: impl Iterator<Item = (&'k [u8], &'k [u8])>) {
        self.write(true, |write| entries.for_each(|(key, value)| write.append(key, value)));
    }
}

/// A snapshot.
pub trait Read {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T;

    /// Many lookups; one after the other unless the engine can do better.
    fn get_many(&mut self, keys: &[&[u8]], see: &mut impl FnMut(Option<&[u8]>)) {
        for key in keys {
            self.get(key, &mut *see);
        }
    }

    /// All entries, one call per entry. A scan of keys hands out empty values.
    fn scan(&mut self, way: Way, see: &mut impl FnMut(&[u8], &[u8]));

    /// All entries in order, in the largest portions the engine has.
    fn scan_many(&mut self, see: &mut impl FnMut(&[u8], &[u8])) {
        self.scan(Way::FORWARD, see);
    }

    /// Up to `n` entries from `key` on.
    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8]));

    /// Entries of the database; by default counted.
    fn length(&mut self) -> u64 {
        let mut entries = 0;
        let way = Way {
            backward: false,
            keys_only: true,
        };
        self.scan(way, &mut |_, _| entries += 1);
        entries
    }

    /// Entries from `from` up to and without `to`.
    fn count(&mut self, from: &[u8], to: &[u8]) -> u64;
}

/// A write transaction.
pub trait Write {
    fn get<T>(&mut self, key: &[u8], see: impl FnOnce(Option<&[u8]>) -> T) -> T;
    fn put(&mut self, key: &[u8], value: &[u8]);
    /// A put of a key greater than all others.
    fn append(&mut self, key: &[u8], value: &[u8]) {
        self.put(key, value);
    }
    /// Deletes a key that may not be there.
    fn delete(&mut self, key: &[u8]);
    /// Deletes from `from` up to and without `to`.
    fn delete_range(&mut self, from: &[u8], to: &[u8]);
    /// Deletes the first entry, or the last, and hands it out; nothing if there is none.
    fn take(&mut self, _last: bool, _see: impl FnOnce(&[u8], &[u8])) {
        unreachable!("the row is left out");
    }
    /// Walks ascending over all entries, or from a key up to and without another, and deletes those that are not to be
    /// kept.
    fn retain(&mut self, range: Option<(&[u8], &[u8])>, keep: &mut impl FnMut(&[u8], &[u8]) -> bool);
    /// Walks over `n` entries from `from` on and gives each another value.
    fn replace<'v>(&mut self, from: &[u8], n: usize, other: &mut impl FnMut(&[u8], &[u8]) -> &'v [u8]);
}
