//! A byte string that lies on the stack as long as it is short. Fences and separators are kept in such strings on the
//! way down a tree.

use std::collections::TryReserveError;
use std::ops::Deref;

const INLINE: usize = 64;

/// A byte string of which up to 64 bytes are stored inline; a longer one lies on the heap.
pub struct Short {
    len: usize,
    inline: [u8; INLINE],
    heap: Vec<u8>,
}

impl Short {
    /// Returns the empty string.
    #[inline]
    pub fn new() -> Short {
        Short {
            len: 0,
            inline: [0; INLINE],
            heap: Vec::new(),
        }
    }

    /// Returns a copy of `bytes`.
    ///
    /// # Errors
    /// `TryReserveError`: there is no memory for it.
    #[inline]
    pub fn of(bytes: &[u8]) -> Result<Short, TryReserveError> {
        let mut s = Short::new();
        s.push(bytes)?;
        Ok(s)
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// `TryReserveError`: there is no memory for them.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), TryReserveError> {
        if self.len + bytes.len() <= INLINE {
            self.inline[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        } else {
            let inline = if self.len <= INLINE { self.len } else { 0 };
            self.heap.try_reserve(inline + bytes.len())?;
            self.heap.extend_from_slice(&self.inline[..inline]);
            self.heap.extend_from_slice(bytes);
        }
        self.len += bytes.len();
        Ok(())
    }
}

impl Default for Short {
    fn default() -> Self {
        Short::new()
    }
}

impl Deref for Short {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        if self.len <= INLINE {
            &self.inline[..self.len]
        } else {
            &self.heap
        }
    }
}
