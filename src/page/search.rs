//! The heads, which are the first bytes of what a page stores of a key, as numbers that compare like the bytes; and the
//! key that a search looks for. [`super::arrays::PageArrays::count_less`] counts heads, which is the first step of
//! every search.

use super::layout::HEADS;
use crate::util::hash::fingerprint;

/// Returns the first 4 bytes of `suffix` as a big-endian integer, zero padded. The order of these integers is the order
/// of the bytes.
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

/// Returns head `i` of a page.
#[inline(always)]
pub fn head_at(page: &[u8], i: usize) -> u32 {
    // Where the first array begins does not depend on how many elements there are.
    HEADS.get(page, 0, i)
}

/// A key that leaves are searched for.
#[derive(Debug, Clone, Copy)]
pub struct Key<'k> {
    /// The bytes of the key.
    pub bytes: &'k [u8],
    /// The fingerprint of the key.
    pub fingerprint: u8,
}

impl<'k> Key<'k> {
    /// Returns the key with its fingerprint.
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
    /// The head of the suffix.
    pub head: u32,
    /// The fingerprint of the whole key.
    pub fingerprint: u8,
}
