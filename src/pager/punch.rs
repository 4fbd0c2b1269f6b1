//! Giving the room of free runs inside the file back to the file system.

use super::page_writer::PageWriter;
use crate::error::Result;
use crate::ids::{PageNo, Run};

/// So many bytes are punched at once, so that nobody waits long for the write lock.
const PUNCHED_AT_ONCE: u64 = 1 << 20;

impl PageWriter {
    /// Gives the room of free runs of at least `least` pages back to the file system, from the page `from` on. Returns
    /// how many bytes of room that was, and where to go on if somebody waits for the write lock.
    ///
    /// # Errors
    /// `Io`.
    pub fn punch(&self, least: u64, from: PageNo) -> Result<(u64, Option<PageNo>)> {
        let (pager, mut bytes) = (&*self.pager, 0);
        let piece = (PUNCHED_AT_ONCE / pager.page_size as u64).max(1);
        let runs = self.state.space.pool.iter().filter(|run| run.pages >= least);
        for run in runs.filter(|run| run.end() > from) {
            let mut first = run.first.max(from);
            while first < run.end() {
                let part = Run::new(first, piece.min(run.end() - first));
                pager.check_fork()?;
                let (at, end) = (part.first.offset(pager.page_size), part.end().offset(pager.page_size));
                match pager.storage.punch(at, end - at)? {
                    Some(room) => bytes += room,
                    None => return Ok((bytes, None)),
                }
                first = part.end();
                if pager.may_be_wanted() {
                    return Ok((bytes, Some(first)));
                }
            }
        }
        Ok((bytes, None))
    }
}
