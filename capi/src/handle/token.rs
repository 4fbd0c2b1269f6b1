//! The two words of a handle: the token that a program holds as a pointer, and the state of the slot that it names.
//!
//! ```text
//! token   1 | generation (43 bits) | slot (20 bits)                       (32-bit machines: 1 | 19 | 12)
//! state   generation | kind (4 bits) | OWNED, FORKED, COUNTED, BUSY       one word of the slot
//! ```
//!
//! The top bit of a token is set, which no user address has: a foreign pointer is refused. A slot gets another
//! generation with each object, which tells a token that is stale. The first generation is a random number of this
//! copy of the library: a process may have two copies, and neither takes the other's handles for its own.

use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bits of a token that number the slot.
const SLOT_BITS: u32 = if usize::BITS == 64 { 20 } else { 12 };
/// How many slots there can be.
pub(super) const SLOTS: usize = 1 << SLOT_BITS;
const TOP: usize = 1 << (usize::BITS - 1);
/// The greatest generation; what does not fit into a token does not count either.
const GENERATION_MAX: u64 = (1 << (usize::BITS - 1 - SLOT_BITS)) - 1;

/// State flag: a call uses the object alone, or is the only one that shares it, or is closing it.
pub(super) const BUSY: u64 = 1;
/// State flag: calls that share the object are counted, so that several can.
pub(super) const COUNTED: u64 = 2;
/// State flag: the handle is one of the parent process.
pub(super) const FORKED: u64 = 4;
/// State flag: one thread uses the object without changing the state, see `owned`.
pub(super) const OWNED: u64 = 8;
const KIND_SHIFT: u32 = 4;
const GENERATION_SHIFT: u32 = 8;

/// What a program holds in the shape of a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token(usize);

impl Token {
    /// The parent of a handle that has none. No slot has this token.
    pub(crate) const NONE: Token = Token(0);

    /// Reads the token in a handle of the caller. The handle is not dereferenced, here or later.
    #[inline(always)]
    pub(crate) fn of<T>(handle: *const T) -> Token {
        Token(handle.addr())
    }

    /// Makes the handle for the caller.
    #[inline(always)]
    pub(crate) fn handle<T>(self) -> *mut T {
        std::ptr::without_provenance_mut(self.0)
    }

    /// Makes the token of the slot with this index in this generation.
    pub(super) fn new(slot: usize, generation: u64) -> Token {
        debug_assert!(
            slot < SLOTS && generation <= GENERATION_MAX,
            "a token has room for both"
        );
        Token(TOP | (generation as usize) << SLOT_BITS | slot)
    }

    /// Returns the index of the slot and the generation; `None` for NULL and foreign pointers.
    #[inline(always)]
    pub(super) fn parts(self) -> Option<(usize, u64)> {
        (self.0 & TOP != 0).then_some((self.0 & (SLOTS - 1), ((self.0 & !TOP) >> SLOT_BITS) as u64))
    }

    pub(crate) fn bits(self) -> usize {
        self.0
    }

    pub(crate) fn from_bits(bits: usize) -> Token {
        Token(bits)
    }
}

/// What a slot holds; the numbers are bits of a [`Kinds`] set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Free = 0,
    Db = 1,
    Read = 2,
    Write = 3,
    Cursor = 4,
    Writer = 5,
    Buf = 6,
    /// A read transaction whose database was closed: only its bytes live on.
    RetiredRead = 7,
    /// A cursor of such a transaction.
    RetiredCursor = 8,
    Closing = 9,
    Diff = 10,
    /// A difference of which a transaction was retired.
    RetiredDiff = 11,
    /// What is about to be retired. Who ends it waits until it is.
    Retiring = 12,
}

impl Kind {
    const ALL: [Kind; 13] = [
        Kind::Free,
        Kind::Db,
        Kind::Read,
        Kind::Write,
        Kind::Cursor,
        Kind::Writer,
        Kind::Buf,
        Kind::RetiredRead,
        Kind::RetiredCursor,
        Kind::Closing,
        Kind::Diff,
        Kind::RetiredDiff,
        Kind::Retiring,
    ];

    /// Returns whether a thread can come to own a handle of this kind: calls take it for themselves, and often.
    #[inline(always)]
    pub(super) const fn can_be_owned(self) -> bool {
        matches!(self, Kind::Write | Kind::Cursor)
    }

    /// Returns the kind with this number; `Free` if there is none.
    pub(super) fn from_number(number: u8) -> Kind {
        let found = Kind::ALL.iter().find(|kind| **kind as u8 == number);
        found.copied().unwrap_or(Kind::Free)
    }

    /// Returns the kind in the state of a slot.
    pub(super) fn in_state(state: u64) -> Kind {
        Kind::from_number((state >> KIND_SHIFT) as u8 & 15)
    }

    /// Returns what the header calls a handle of this kind, and the function that makes one.
    pub(super) fn type_and_maker(self) -> (&'static str, &'static str) {
        match self {
            Kind::Db => ("kv_db", "kv_open"),
            Kind::Read | Kind::Write | Kind::RetiredRead => ("kv_txn", "kv_txn_begin"),
            Kind::Cursor | Kind::RetiredCursor => ("kv_cursor", "kv_cursor_open"),
            Kind::Diff | Kind::RetiredDiff => ("kv_diff", "kv_diff_open"),
            Kind::Writer => ("kv_writer", "kv_writer_open"),
            Kind::Buf => ("kv_buf", "kv_get_buf"),
            Kind::Free | Kind::Closing | Kind::Retiring => ("handle", "kv_open"),
        }
    }
}

/// A set of kinds.
#[derive(Clone, Copy)]
pub(crate) struct Kinds(u16);

impl Kinds {
    /// Makes the set of these kinds.
    pub(crate) const fn of(kinds: &[Kind]) -> Kinds {
        let (mut set, mut i) = (0, 0);
        while i < kinds.len() {
            set |= 1 << kinds[i] as u8;
            i += 1;
        }
        Kinds(set)
    }

    /// Returns the one with the least number, for messages.
    pub(super) fn first(self) -> Kind {
        Kind::from_number(self.0.trailing_zeros() as u8)
    }

    /// Tells whether a slot in this state holds one of them.
    pub(super) fn has(self, state: u64) -> bool {
        self.0 >> ((state >> KIND_SHIFT) & 15) & 1 != 0
    }
}

/// Makes the state of a slot that holds an object of this kind which no call uses.
#[inline(always)]
pub(super) const fn state(generation: u64, kind: Kind) -> u64 {
    generation << GENERATION_SHIFT | (kind as u64) << KIND_SHIFT
}

/// Returns the generation in a state.
#[inline(always)]
pub(super) const fn generation(state: u64) -> u64 {
    state >> GENERATION_SHIFT
}

/// The generation with which all slots begin; 0 before it was chosen.
static FIRST: AtomicU64 = AtomicU64::new(0);

/// Returns the generation with which all slots begin. A child of this process has the same, because it has the slots.
#[cold]
pub(super) fn first_generation() -> u64 {
    let first = FIRST.load(Relaxed);
    if first != 0 {
        return first;
    }
    let mut hasher = std::hash::RandomState::new().build_hasher();
    // Where this copy lies, which alone tells it from those beside it.
    hasher.write_usize((&raw const FIRST).addr());
    let new = (hasher.finish() & GENERATION_MAX).max(1);
    FIRST
        .compare_exchange(0, new, Relaxed, Relaxed)
        .map_or_else(|other| other, |_| new)
}

/// Returns whether a slot that has generation `now` has had this `generation` before.
pub(super) fn was_before(generation: u64, now: u64) -> bool {
    let since_first = |generation: u64| generation.wrapping_sub(FIRST.load(Relaxed)) & GENERATION_MAX;
    generation != 0 && since_first(generation) < since_first(now)
}

/// Returns the generation after this one. 0 is left out, so that no token is the top bit and an index alone.
pub(super) const fn next_generation(generation: u64) -> u64 {
    match (generation + 1) & GENERATION_MAX {
        0 => 1,
        next => next,
    }
}
