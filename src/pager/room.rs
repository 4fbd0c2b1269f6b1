//! How the file gets room: ahead of what is written, and on a disk that is full.
//!
//! A disk is noticed to be full while pages are taken, as far as that costs little, or when a write fails. From then
//! on writers use any hole ([`PageWriter::take`](crate::page::PageSink::take)), until the file can be made longer
//! again: each transaction looks for that when it begins.

use super::options::Durability;
use super::page_writer::PageWriter;
use crate::error::{Error, Result};
use crate::ids::{CommitId, Run};
use crate::page::META_BYTES;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};

/// The file grows ahead of small commits: by an eighth, between these bounds, in zeros. A sync of what is written
/// there later has no metadata to write, which on ext4 would be half of the time of a small commit.
const AHEAD_MIN: u64 = 64 << 10;
const AHEAD_MAX: u64 = 1 << 20;
/// A write of more bytes than this gains less from zeros ahead of it than they cost.
const AHEAD_WRITE: u64 = 64 << 10;
/// On a full disk, a transaction that begins with fewer free pages than this gets those that wait for syncs.
const ROOM_WANTED: u64 = 256;

impl PageWriter {
    /// Looks whether a disk that was full has room again, which others may have made.
    pub(super) fn look_for_room(&self) {
        let pager = &*self.pager;
        if !pager.is_full.load(Relaxed) {
            return;
        }
        if let Ok(from) = pager.storage.len() {
            let _ = self.fill(from, (from + AHEAD_MIN).min(pager.memory.reserved()));
        }
    }

    /// Returns whether the disk is full, few pages are free, and so many more would be after syncs that it is worth
    /// them.
    pub fn lacks_room(&self) -> bool {
        let space = &self.state.space;
        let free = space.pool.total();
        self.pager.is_full.load(Relaxed) && free < ROOM_WANTED && space.waiting_pages() > free / 4
    }

    /// Makes what waits for syncs reusable, if it does not wait for a reader as well: makes the newest commit durable,
    /// and another one with the same content, which has that one for its base (I-3). That one needs pages only if its
    /// records do not fit into the slot.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn make_dead_pages_free(self) -> Result<CommitId> {
        self.pager.sync()?;
        let roots = self.tip().roots;
        self.commit(roots, Durability::Full)
    }

    /// Returns whether pages that are to be taken behind the end of the file have room on the disk, as far as that is
    /// looked at: if they are few, or if there was none before. They are filled for that with zeros, and so is a part
    /// of what lies ahead of them, in one go, so that no gap without room is left in between. Nobody needs what is
    /// there: it is behind the end, or free.
    pub(super) fn make_room(&self, run: Run) -> bool {
        let (pager, page, end) = (&*self.pager, self.pager.page_size, run.end());
        // What a child of the process that opened the database would write here could lie in the parent's pages.
        if end.get() <= pager.file_pages.load(SeqCst) || pager.check_fork().is_err() {
            return true;
        }
        if !pager.is_full.load(Relaxed) {
            if self.bytes + run.pages * page as u64 > AHEAD_WRITE {
                return true;
            }
            // Another process may have made the file longer already.
            let there = pager.storage.len().unwrap_or(0);
            if there >= end.offset(page) {
                self.learn(there);
                return true;
            }
        }
        let behind = self.end.max(end).offset(page);
        let ahead = (behind + (behind / 8).clamp(AHEAD_MIN, AHEAD_MAX)).next_multiple_of(AHEAD_MIN);
        // The write itself reports any error.
        self.fill(run.first.offset(page), ahead.min(pager.memory.reserved()))
            .map_or(true, |filled| filled >= end.offset(page))
    }

    /// Fills a part of the file that nobody needs, as far as there is room, and returns how far that is.
    fn fill(&self, from: u64, to: u64) -> Result<u64> {
        self.pager.check_fork()?;
        let filled = self.pager.storage.fill(from, to)?;
        self.pager.is_full.store(filled < to, Relaxed);
        // If nothing was filled, the file may end before `from`: pages that were taken and are not written lie between.
        if filled > from {
            self.learn(filled);
        }
        Ok(filled)
    }

    /// Notes that the file has so many bytes. Where there is no room for the tags, the write itself reports it.
    fn learn(&self, bytes: u64) {
        let pages = bytes.min(self.pager.memory.reserved()) / self.pager.page_size as u64;
        let _ = self.pager.learn_pages(pages);
    }

    /// Notes that the disk is full, if the error says so.
    pub(super) fn note_room(&self, error: &Error) {
        if matches!(error, Error::NoSpace(_)) {
            self.pager.is_full.store(true, Relaxed);
        }
    }

    /// Cuts off what the newest commit does not need of the file. Only the last one who has it open may do so.
    pub fn trim(&self) -> Result<()> {
        let (pager, end) = (&*self.pager, self.tip_end());
        let need = if end > pager.first_page() {
            end.offset(pager.page_size)
        } else {
            META_BYTES
        };
        if pager.storage.len()? > need {
            // This comes first, because a view must not reach what is gone.
            pager.file_pages.store(end.get(), SeqCst);
            pager.storage.set_len(need)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::error::Result;
    use crate::file::memory::Memory;
    use crate::file::{Identity, Mapped, Storage};
    use crate::page::{Lifetime, PageSink};
    use crate::pager::{Pager, PagerOptions, Wait};
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::sync::Arc;

    /// Memory that has no room for zeros ahead of what is written.
    struct Full(Memory);

    impl Storage for Full {
        fn len(&self) -> Result<u64> {
            self.0.len()
        }
        fn read_at(&self, at: u64, into: &mut [u8]) -> Result<()> {
            self.0.read_at(at, into)
        }
        fn writev_at(&self, at: u64, parts: &[&[u8]]) -> Result<()> {
            self.0.writev_at(at, parts)
        }
        fn sync(&self) -> Result<()> {
            self.0.sync()
        }
        fn set_len(&self, len: u64) -> Result<()> {
            self.0.set_len(len)
        }
        fn fill(&self, from: u64, _to: u64) -> Result<u64> {
            Ok(from)
        }
        fn memory(&self) -> Mapped {
            self.0.memory()
        }
        fn identity(&self) -> Option<Identity> {
            None
        }
        fn read_only(&self) -> bool {
            false
        }
    }

    #[test]
    fn a_file_is_not_taken_for_longer_than_it_is_where_nothing_can_be_filled() {
        let storage = Arc::new(Full(Memory::new().expect("memory")));
        let options = PagerOptions {
            page_size: 4096,
            ..PagerOptions::default()
        };
        let (pager, _) = Pager::open(storage.clone(), &options).expect("open");
        let mut pages = pager.lock_write(Wait::Try, &AtomicBool::new(false)).expect("the lock");
        // These are too many to be filled, and nothing is written into them yet.
        pages.take_exact(100).expect("pages behind the end");
        pages.take(1, Lifetime::UntilEdited).expect("a page behind them");
        let there = storage.len().expect("length") / 4096;
        assert!(pager.file_pages.load(SeqCst) <= there, "{there}");
    }
}
