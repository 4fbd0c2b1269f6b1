//! Keys that a cursor answered together.

use crate::border::types::kv_slice;
use kv_engine::{KeyBuf, PADDED};

/// Keys that were answered together, which stay where they are until the next such answer. A list that is full is put
/// aside and not made longer, since the caller has addresses in it.
#[derive(Default)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    used: usize,
    full: Vec<Vec<u8>>,
}

impl Keys {
    /// Forgets the keys of the answer before.
    pub(crate) fn clear(&mut self) {
        self.full.clear();
        self.used = 0;
    }

    /// Keeps a key and returns where it lies, or `None` if there is no memory for it. A short one is copied as a block
    /// of fixed size, which needs no call.
    #[inline(always)]
    pub(crate) fn keep(&mut self, key: &KeyBuf) -> Option<kv_slice> {
        let len = key.as_slice().len();
        if let (Some(padded), Some(room)) = (key.padded(), self.bytes.get_mut(self.used..)) {
            if let Some(block) = room.first_chunk_mut() {
                *block = *padded;
                self.used += len;
                return Some(kv_slice::of(&room[..len]));
            }
        }
        self.keep_long(key)
    }

    /// Does as [`Keys::keep`], for a key of any length.
    #[inline(never)]
    fn keep_long(&mut self, key: &[u8]) -> Option<kv_slice> {
        if self.bytes.len() - self.used < key.len() + PADDED {
            let more = (2 * self.bytes.len()).max(key.len() + 4096);
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(more).ok()?;
            bytes.resize(more, 0);
            self.full.try_reserve(1).ok()?;
            self.full.push(std::mem::replace(&mut self.bytes, bytes));
            self.used = 0;
        }
        let room = &mut self.bytes[self.used..self.used + key.len()];
        room.copy_from_slice(key);
        self.used += key.len();
        Some(kv_slice::of(room))
    }
}
