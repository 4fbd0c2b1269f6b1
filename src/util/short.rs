//! A byte string that lives on the stack while it is short: fences and separators on the way down a tree.

use std::ops::Deref;

const INLINE: usize = 64;

/// Up to 64 bytes inline, longer ones on the heap.
#[derive(Clone)]
pub struct Short {
    len: usize,
    inline: [u8; INLINE],
    heap: Vec<u8>,
}

impl Short {
    /// The empty string.
    #[inline]
    pub fn new() -> Short {
        Short {
            len: 0,
            inline: [0; INLINE],
            heap: Vec::new(),
        }
    }

    /// A copy of `bytes`.
    #[inline]
    pub fn of(bytes: &[u8]) -> Short {
        let mut s = Short::new();
        s.push(bytes);
        s
    }

    /// Appends `bytes`.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        if self.len + bytes.len() <= INLINE {
            self.inline[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        } else {
            if self.len <= INLINE {
                self.heap.extend_from_slice(&self.inline[..self.len]);
            }
            self.heap.extend_from_slice(bytes);
        }
        self.len += bytes.len();
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
