//! Where a cursor stood: a move whose end turns out to be unreadable is undone.

use super::cursor::{CursorState, TreeCursor};
use crate::error::Result;

/// Where a tree cursor stood before a move.
#[derive(Debug)]
pub struct Standing(CursorState);

impl TreeCursor {
    /// Notes where the cursor stands, for [`TreeCursor::return_to`] after the next move. The key is put where a search
    /// for it puts it as well, so that it is still there after such a move.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn standing(&mut self) -> Result<Standing> {
        self.spare.set(self.key.as_slice())?;
        Ok(Standing(self.state))
    }

    /// Undoes the one move that was made since `standing` was noted. The move must have found an entry.
    pub fn return_to(&mut self, standing: Standing) {
        std::mem::swap(&mut self.key, &mut self.spare);
        self.park(standing.0);
    }
}
