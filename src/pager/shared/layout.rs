//! Where each of the shared words is. No other file counts words.

use crate::file::peers::{HEADER, PROCESSES};
use crate::page::{Root, Roots};

/// Readers there can be at once.
pub(super) const READERS: usize = 8192;
/// Words that readers' neighbours in order are apart: readers that begin one after the other do not meet in a cache line.
const LINES: usize = READERS / 8;
/// Descriptors kept.
pub(in crate::pager) const RING: u64 = 64;
/// Words of what never changes.
pub(super) const CONSTANT_WORDS: usize = 4;

/// Where the parts of a descriptor are in its entry of the ring.
pub(super) mod entry {
    pub const ID: usize = 0;
    pub const PAGES: usize = 1;
    pub const BASE: usize = 2;
    pub const ROOTS: usize = 3;
}
/// Words of an entry of the ring.
pub(super) const ENTRY_WORDS: usize = entry::ROOTS + Roots::COUNT * Root::WORDS;

/// Where the words are, counted from the end of the peers' header. What is written by different parties lies in
/// different cache lines of 8 words.
pub(super) mod at {
    use super::{CONSTANT_WORDS, ENTRY_WORDS, PROCESSES, READERS, RING};

    /// Read by everybody, written by those who commit and sync.
    pub const VISIBLE: usize = 0;

    /// Written by those who commit.
    pub const NEXT_ID: usize = 8;
    pub const TIP: usize = 9;
    pub const FULL_TIP: usize = 10;

    /// Written by those who sync.
    pub const DURABLE: usize = 16;
    pub const DUR_BASE: usize = 17;
    pub const SYNCING: usize = 18;
    pub const INTENT: usize = 19;

    /// Written seldom.
    pub const POISON: usize = 24;
    pub const ERASE: usize = 25;
    pub const READERS_USED: usize = 26;

    /// Written once.
    pub const CONSTANTS: usize = 32;

    pub const RING_ENTRIES: usize = (CONSTANTS + CONSTANT_WORDS).next_multiple_of(8);
    pub const PROCESS_NUMBERS: usize = RING_ENTRIES + RING as usize * ENTRY_WORDS;
    pub const CLAIMS: usize = (PROCESS_NUMBERS + PROCESSES).next_multiple_of(8);
    pub const CLAIM_TIMES: usize = CLAIMS + READERS;
    pub const END: usize = CLAIM_TIMES + READERS;
}

/// Words of shared memory that a pager needs, its peers' header included.
pub(in crate::pager) const WORDS: usize = HEADER + at::END;

/// Where the word of the reader with this slot lies among the readers' words.
#[inline(always)]
pub(super) fn reader_word(slot: usize) -> usize {
    slot % LINES * (READERS / LINES) + slot / LINES
}
