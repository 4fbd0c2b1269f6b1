//! The hash of a key. It gives the fingerprints in leaves, which are part of the file format, and the index of a write
//! set.

use super::bytes::get_u64;

const M: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number of bytes of a key that the hash covers, besides the key's length. A long key keeps at least that many
/// bytes in its page.
pub const HASHED: usize = 256;

/// Returns a 64-bit hash of the first [`HASHED`] bytes and the length of `key`. Its low byte is the fingerprint in
/// leaves, so this function is part of the file format and must not be changed.
#[inline]
pub fn key_hash(key: &[u8]) -> u64 {
    let k = &key[..key.len().min(HASHED)];
    let mut h = (key.len() as u64).wrapping_mul(M);
    let mut words = k.chunks_exact(8);
    for word in &mut words {
        h = mix(h ^ get_u64(word, 0));
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        h = mix(h ^ u64::from_le_bytes(last));
    }
    h ^ (h >> 29)
}

#[inline(always)]
fn mix(x: u64) -> u64 {
    let p = (x as u128) * 0xD6E8_FEB8_6659_FD93_u128;
    (p as u64) ^ ((p >> 64) as u64)
}

/// Returns the one-byte fingerprint of `key` that leaves store.
#[inline]
pub fn fingerprint(key: &[u8]) -> u8 {
    key_hash(key) as u8
}
