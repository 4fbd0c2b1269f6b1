//! Memory of ended transactions is kept for later ones, because the first touch of fresh memory costs more than
//! everything else that a small commit does.

use super::write_set::WriteSet;
use crate::tree::write::arena::Arena;
use crate::tree::write::emit::Emitter;
use crate::util::lock::Mutex;

static SPARE: Mutex<Vec<Spare>> = Mutex::new(Vec::new());
/// How many transactions' memory is kept: that of the one that writes, and that of another one that may be between two
/// commits at the same time.
const SPARE_MAX: usize = 2;

/// The memory that one transaction leaves to another. All of it is empty.
pub(super) struct Spare {
    pub arena: Arena,
    pub emitter: Emitter,
    pub edits: WriteSet,
}

impl Spare {
    // Neither function waits for the lock: in the child of a fork it may be locked for ever, by a thread that does not
    // exist there.

    /// Returns the memory that an earlier transaction with pages of this size has left, or new memory.
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
