//! The entry that a transaction took last and has returned.

use crate::error::{Error, Result};
use crate::page::key::KeyBuf;

/// The entry that was taken last, for the caller to look at until the next write. No write changes it but one that
/// takes another entry, and such a write is given no bytes but the bounds of a range, which it copies first.
#[derive(Default)]
pub struct TakenEntry {
    /// Its key.
    pub(super) key: KeyBuf,
    value: Vec<u8>,
}

impl TakenEntry {
    /// The most bytes of memory that are kept for the value of the next entry.
    const KEPT: usize = 64 << 10;

    /// Takes a copy of the value.
    ///
    /// # Errors
    /// `NoMemory`.
    #[inline]
    pub(super) fn copy_value(&mut self, value: &[u8]) -> Result<()> {
        if self.value.capacity() > TakenEntry::KEPT {
            self.value = Vec::new();
        }
        self.value.clear();
        Error::or_room(&mut self.value, value.len(), "a copy of an entry")?;
        self.value.extend_from_slice(value);
        Ok(())
    }

    /// Returns key and value.
    pub fn entry(&self) -> (&[u8], &[u8]) {
        (self.key.as_slice(), &self.value)
    }
}
