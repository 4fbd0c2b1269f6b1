//! Small tools for all rooms. The checksum, CRC-32C, is in this file.
//!
//! | file       | subject                                                                    |
//! |------------|----------------------------------------------------------------------------|
//! | `atomic`   | the atomic integers that processes share                                   |
//! | `bytes`    | little-endian integers inside byte slices, and comparisons of byte strings |
//! | `hash`     | the hash of a key                                                          |
//! | `lock`     | locks that a panic does not poison, and that allocate nothing              |
//! | `memory`   | whether memory is short                                                    |
//! | `prefetch` | hints to the processor: what will be read soon                             |
//! | `seeded`   | the switch for bugs that are put in on purpose                             |
//! | `short`    | byte strings that lie on the stack as long as they are short               |
//! | `shown`    | names, paths and keys as messages show them                                |

pub mod atomic;
pub mod bytes;
pub mod hash;
pub mod lock;
pub mod memory;
pub mod prefetch;
pub mod seeded;
pub mod short;
pub mod shown;

/// Returns the CRC-32C (Castagnoli) of `bytes`, which is the checksum of every page, chain piece and meta slot.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}
