//! The entry that a transaction took last and has returned.

use crate::error::{Error, Result};

/// The entry that was taken last, for the caller to look at until the next write.
#[derive(Default)]
pub(super) struct TakenEntry {
    /// Its key and, behind it, its value.
    bytes: Vec<u8>,
    key_len: usize,
}

impl TakenEntry {
    /// The most bytes of memory that are kept for the next entry.
    const KEPT: usize = 64 << 10;

    /// Takes a copy of an entry.
    ///
    /// # Errors
    /// `NoMemory`.
    pub(super) fn copy(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if self.bytes.capacity() > TakenEntry::KEPT {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        Error::or_room(&mut self.bytes, key.len() + value.len(), "a copy of an entry")?;
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
        self.key_len = key.len();
        Ok(())
    }

    /// Returns key and value.
    pub(super) fn entry(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.key_len)
    }

    /// Returns whether `bytes` lie in the copy, which the next entry replaces.
    pub(super) fn holds(&self, bytes: &[u8]) -> bool {
        self.bytes.as_ptr_range().contains(&bytes.as_ptr())
    }
}
