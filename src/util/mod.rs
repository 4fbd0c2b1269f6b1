//! Small tools for all rooms: little-endian integers and comparisons of byte strings, CRC-32C, the key hash, hints to
//! the processor, short byte strings, shared atomic integers, and the switch for seeded bugs.

pub mod atomic;
pub mod bytes;
pub mod hash;
pub mod prefetch;
pub mod seeded;
pub mod short;

/// Returns the CRC-32C (Castagnoli) of `bytes`, which is the checksum of every page, chain piece and meta slot.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}
