//! Memory of ended transactions: the first touch of fresh memory costs more than all else a small commit does.

use super::write_set::WriteSet;
use crate::tree::write::arena::Arena;
use crate::tree::write::emit::Emitter;

static SPARE: parking_lot::Mutex<Vec<Spare>> = parking_lot::Mutex::new(Vec::new());
/// Transactions whose memory is kept: the one that writes, and one that may be between two commits beside it.
const SPARE_MAX: usize = 2;

/// What a transaction leaves to another; all of it is empty.
pub(super) struct Spare {
    pub arena: Arena,
    pub emitter: Emitter,
    pub edits: WriteSet,
}

impl Spare {
    // Neither function waits for the lock: in the child of a fork it may be held for ever, by a thread that is not there.

    /// What an earlier transaction with pages of this size has left, or new memory.
    pub fn take(page_size: usize) -> Spare {
        let left = SPARE.try_lock().and_then(|mut left| {
            let at = left.iter().position(|s| s.arena.page_size() == page_size)?;
            Some(left.swap_remove(at))
        });
        left.unwrap_or_else(|| Spare {
            arena: Arena::new(page_size),
            emitter: Emitter::new(),
            edits: WriteSet::default(),
        })
    }

    /// Leaves the memory to the next transaction, if there is room for it.
    pub fn leave(mut self) {
        self.edits.shrink();
        let Some(mut left) = SPARE.try_lock() else { return };
        if left.len() < SPARE_MAX && self.arena.is_empty() && self.edits.is_empty() {
            left.push(self);
        }
    }
}
