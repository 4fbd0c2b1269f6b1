//! What a piece of work comes to: what it cost, and a sum of what it saw, which must be the same for every engine.

use crate::clock::Spent;

/// What one engine did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    pub spent: Spent,
    pub operations: usize,
    /// Sum of what was seen.
    pub sum: u64,
    /// Bytes, or bytes for each byte, of rows that have no time.
    pub figure: f64,
    /// Whether it ran under the FIFO policy.
    pub fifo: bool,
}

/// The first eight bytes, as a number.
#[inline]
fn eight(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

/// The last byte: what a program that looks at keys cannot avoid to touch.
#[inline]
fn last(bytes: &[u8]) -> u64 {
    bytes.last().map_or(0, |byte| u64::from(*byte))
}

/// Adds up entries in a way that notices their order.
#[derive(Default)]
pub struct Sum(pub u64);

impl Sum {
    #[inline]
    pub fn see(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.rotate_left(1).wrapping_add(eight(value) ^ last(key));
    }

    #[inline]
    pub fn look(&mut self, value: Option<&[u8]>) {
        self.0 = self.0.wrapping_add(value.map_or(1, eight));
    }

    /// Every byte of a large value.
    pub fn all(&mut self, value: Option<&[u8]>) {
        let words = value.unwrap_or_default().chunks_exact(8);
        self.0 = words.fold(self.0, |sum, word| sum.wrapping_add(eight(word)));
    }
}
