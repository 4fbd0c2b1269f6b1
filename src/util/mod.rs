//! Small tools for all rooms.
//!
//! | file       | subject                                                                    |
//! |------------|----------------------------------------------------------------------------|
//! | `atomic`   | the atomic integers that processes share                                   |
//! | `bytes`    | little-endian integers inside byte slices, and comparisons of byte strings |
//! | `checksum` | the checksum of pages, records and slots, CRC-32C                          |
//! | `date`     | dates of the calendar                                                      |
//! | `hash`     | the hash of a key                                                          |
//! | `lock`     | locks that a panic does not poison, and that allocate nothing              |
//! | `memory`   | whether memory is short                                                    |
//! | `prefetch` | hints to the processor: what will be read soon                             |
//! | `seeded`   | the switch for bugs that are put in on purpose                             |
//! | `short`    | byte strings that lie on the stack as long as they are short               |
//! | `shown`    | names, paths and keys as messages show them                                |

pub mod atomic;
pub mod bytes;
mod checksum;
pub mod date;
pub mod hash;
pub mod lock;
pub mod memory;
pub mod prefetch;
pub mod seeded;
pub mod short;
pub mod shown;

pub use checksum::crc32c;
