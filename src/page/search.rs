//! Heads: the first bytes of what a page stores of a key, as numbers that compare like the bytes. Counting them is the first
//! step of every search ([`super::arrays::PageArrays::count_less`]).

use super::layout::HEADS;
use crate::util::hash::fingerprint;

/// The first 4 bytes of `suffix` as a big-endian integer, zero padded: integer order is byte order.
#[inline(always)]
pub fn head(suffix: &[u8]) -> u32 {
    match suffix {
        [a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
        [a, b, c] => u32::from_be_bytes([*a, *b, *c, 0]),
        [a, b] => u32::from_be_bytes([*a, *b, 0, 0]),
        [a] => u32::from_be_bytes([*a, 0, 0, 0]),
        [] => 0,
    }
}

/// Head `i` of a page.
#[inline(always)]
pub fn head_at(page: &[u8], i: usize) -> u32 {
    // Where the first array begins does not depend on how many elements there are.
    HEADS.get(page, 0, i)
}

/// A key that leaves are searched for.
#[derive(Debug, Clone, Copy)]
pub struct Key<'k> {
    /// The key.
    pub bytes: &'k [u8],
    /// Its fingerprint.
    pub fingerprint: u8,
}

impl<'k> Key<'k> {
    /// The key with its fingerprint.
    #[inline(always)]
    pub fn new(bytes: &'k [u8]) -> Key<'k> {
        Key {
            bytes,
            fingerprint: fingerprint(bytes),
        }
    }
}

/// What one leaf is searched for.
#[derive(Debug, Clone, Copy)]
pub struct Sought<'k> {
    /// The key behind the leaf's prefix.
    pub suffix: &'k [u8],
    /// The head of that.
    pub head: u32,
    /// Fingerprint of the whole key.
    pub fingerprint: u8,
}
