//! How the file gets room: ahead of what is written, and on a disk that is full.
//!
//! A disk is noticed to be full while pages are taken, as far as that costs little, or when a write fails. From then on
//! writers use any hole ([`PageWriter::take`](crate::page::PageSink::take)), until the file can be made longer again: each
//! transaction looks for that when it begins.

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
        let Ok(from) = pager.storage.len() else {
            return;
        };
        let to = from + AHEAD_MIN;
        if to <= pager.memory.reserved() && pager.storage.fill(from, to).is_ok() {
            pager.is_full.store(false, Relaxed);
        }
    }

    /// Returns whether the disk is full, few pages are free, and so many more would be after syncs that it is worth them.
    pub(super) fn lacks_room(&self) -> bool {
        let space = &self.state.space;
        let free = space.pool.total();
        self.pager.is_full.load(Relaxed) && free < ROOM_WANTED && space.waiting_pages() > free / 4
    }

    /// Makes what waits for syncs reusable, if it does not wait for a reader as well: makes the newest commit durable, and
    /// another one with the same content, which has that one for its base (I-3). It needs no page.
    pub(super) fn make_dead_pages_free(self) -> Result<CommitId> {
        self.pager.sync()?;
        let roots = self.tip().roots;
        self.commit(roots, Durability::Full)
    }

    /// Makes the file longer than it needs to be if few pages are taken behind its end. Nothing depends on this, and the
    /// small parts at the end of a large transaction do not count. But if there is no room for that, or was none before,
    /// the pages that were taken are filled, so that a disk without room for them is noticed while other pages can be
    /// taken instead.
    ///
    /// # Errors
    /// `NoSpace`.
    pub(super) fn make_room(&self, run: Run) -> Result<()> {
        let (pager, page, end) = (&*self.pager, self.pager.page_size, run.end());
        if end.get() <= pager.file_pages.load(SeqCst) {
            return Ok(());
        }
        let was_full = pager.is_full.load(Relaxed);
        let from = self.end.max(end).offset(page);
        let to = (from + (from / 8).clamp(AHEAD_MIN, AHEAD_MAX)).next_multiple_of(AHEAD_MIN);
        if !was_full && self.bytes + run.pages * page as u64 > AHEAD_WRITE || to > pager.memory.reserved() {
            return Ok(());
        }
        // 1. Fill what lies ahead. Another process may have made the file longer already.
        let there = pager.storage.len().unwrap_or(0);
        let filled = match !was_full && there >= end.offset(page) {
            true => Ok(there),
            false => pager.storage.fill(from, to),
        };
        if let Err(error @ Error::NoSpace(_)) = &filled {
            self.note_room(error);
        } else {
            pager.is_full.store(false, Relaxed);
            // Where there is no room for the tags, the write itself reports it.
            let bytes = filled.unwrap_or(0).min(pager.memory.reserved());
            let _ = pager.learn_pages(bytes / page as u64);
            if !was_full {
                return Ok(());
            }
        }
        // 2. If that was not possible, now or before, fill the pages themselves. Nobody needs them: they are behind the
        //    end, or free. The write itself reports any error but this.
        match pager.storage.fill(run.first.offset(page), end.offset(page)) {
            Err(error @ Error::NoSpace(_)) => Err(error),
            _ => Ok(()),
        }
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
