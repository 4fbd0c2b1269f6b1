//! Pages that may be reused, but for which a full disk has no room: they were never written, or their room was given
//! back. They are set aside, so that others are found, until there is room again.

use super::Space;
use crate::ids::{PageNo, Run};

impl Space {
    /// Returns the number of pages that may be reused, whether the disk has room for them or not.
    pub fn free_pages(&self) -> u64 {
        self.pool.total() + self.roomless.total()
    }

    /// Takes pages out of the pool because the disk has no room for them. Those from `growth_start` on are none of the
    /// file yet: they come into the pool, or not, with the commit for which it grew.
    pub fn set_aside(&mut self, roomless: Run, growth_start: PageNo) {
        self.pool.remove(roomless);
        let end = roomless.end().min(growth_start);
        if roomless.first < end {
            self.roomless.insert(Run::new(roomless.first, end - roomless.first));
        }
    }

    /// Puts back into the pool what was set aside: the disk has room again.
    pub fn use_all(&mut self) {
        if self.roomless.total() == 0 {
            return;
        }
        for run in std::mem::take(&mut self.roomless).iter() {
            self.pool.insert(run);
        }
    }
}
