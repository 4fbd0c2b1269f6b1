//! Small tools without state: checked little-endian access, CRC-32C, the key hash.

pub mod atomic;
pub mod bytes;
pub mod hash;
pub mod prefetch;
pub mod seeded;
pub mod short;

/// CRC-32C (Castagnoli) of `bytes`: the checksum of every page, chain piece and meta slot.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}
