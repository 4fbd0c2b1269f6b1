//! Where each of the shared words is. No other file counts words.

use crate::file::peers::{HEADER, PROCESSES};
use crate::page::{Root, Roots};

/// The number of readers there can be at once.
pub(super) const READERS: usize = 8192;
/// The number of cache lines that the readers' words take. Readers that begin one after the other get different
/// lines.
const LINES: usize = READERS / 8;
/// The number of descriptors that are kept.
pub(in crate::pager) const RING: u64 = 64;
/// The number of words for what never changes.
pub(super) const CONSTANT_WORDS: usize = 6;

/// Where the parts of a descriptor are in its entry of the ring.
pub(super) mod entry {
    pub const ID: usize = 0;
    pub const PAGES: usize = 1;
    pub const BASE: usize = 2;
    pub const ROOTS: usize = 3;
    pub const TIME: usize = ROOTS + super::Roots::COUNT * super::Root::WORDS;
}
/// The number of words of an entry of the ring.
pub(super) const ENTRY_WORDS: usize = entry::TIME + 1;

/// Where the words are, counted from the end of the peers' header. Words that different parties write lie in
/// different cache lines of 8 words.
pub(super) mod at {
    use super::{CONSTANT_WORDS, ENTRY_WORDS, PROCESSES, READERS, RING};

    /// The word that everybody reads, and that those who commit and sync write.
    pub const VISIBLE: usize = 0;

    /// The first of the words that those who commit write.
    pub const NEXT_ID: usize = 8;
    pub const TIP: usize = 9;
    pub const FULL_TIP: usize = 10;
    pub const LISTED: usize = 11;

    /// The first of the words that those who sync write.
    pub const DURABLE: usize = 16;
    pub const DUR_BASE: usize = 17;
    pub const SYNCING: usize = 18;
    pub const INTENT: usize = 19;

    /// The first of the words that are seldom written.
    pub const POISON: usize = 24;
    pub const ERASE: usize = 25;
    pub const READERS_USED: usize = 26;
    pub const SHRUNK: usize = 27;
    pub const CUTS: usize = 28;
    pub const FRONTIER: usize = 29;

    /// The first of the words that are written once.
    pub const CONSTANTS: usize = 32;

    pub const RING_ENTRIES: usize = (CONSTANTS + CONSTANT_WORDS).next_multiple_of(8);
    pub const PROCESS_NUMBERS: usize = RING_ENTRIES + RING as usize * ENTRY_WORDS;
    pub const CLAIMS: usize = (PROCESS_NUMBERS + PROCESSES).next_multiple_of(8);
    pub const CLAIM_TIMES: usize = CLAIMS + READERS;
    pub const END: usize = CLAIM_TIMES + READERS;
}

/// The number of words of shared memory that a pager needs, including its peers' header.
pub(in crate::pager) const WORDS: usize = HEADER + at::END;

/// Returns the position, among the readers' words, of the word of the reader with this slot.
#[inline(always)]
pub(super) fn reader_word(slot: usize) -> usize {
    slot % LINES * (READERS / LINES) + slot / LINES
}
