//! What an engine must be able to do to take part. The work is written once, over these traits, and compiled for each
//! engine; every engine is called through its C interface, one call for what is one call in it.

use std::path::Path;

/// An engine: an open, at first empty database.
pub trait Store: Sized {
    /// As in the results.
    const NAME: &'static str;
    type Read<'a>: Read
    where
        Self: 'a;
    type Write<'a>: Write
    where
        Self: 'a;

    /// Creates a database in an empty directory, with the engine's default durability: a commit that has returned
    /// survives a power cut.
    fn create(dir: &Path) -> Self;
    /// Version, for the head of the results.
    fn version() -> String;
    /// Begins a read transaction and opens one cursor in it.
    fn read(&self) -> Self::Read<'_>;
    /// Begins a write transaction.
    fn write(&self) -> Self::Write<'_>;
}

/// A read transaction.
pub trait Read {
    fn get(&mut self, key: &[u8]) -> Option<&[u8]>;

    /// Many lookups; one after the other unless the engine can do better.
    fn get_many(&mut self, keys: &[&[u8]], see: &mut impl FnMut(Option<&[u8]>)) {
        for key in keys {
            see(self.get(key));
        }
    }

    /// All entries in order, one call per entry.
    fn scan(&mut self, see: &mut impl FnMut(&[u8], &[u8]));

    /// All entries in order, in the largest portions the engine has.
    fn scan_many(&mut self, see: &mut impl FnMut(&[u8], &[u8])) {
        self.scan(see);
    }

    /// Up to `n` entries from `key` on.
    fn seek(&mut self, key: &[u8], n: usize, see: &mut impl FnMut(&[u8], &[u8]));
}

/// A write transaction.
pub trait Write {
    fn put(&mut self, key: &[u8], value: &[u8]);
    /// A put of a key greater than all others.
    fn append(&mut self, key: &[u8], value: &[u8]);
    /// Whether the key was there.
    fn delete(&mut self, key: &[u8]) -> bool;
    fn commit(self);
}
