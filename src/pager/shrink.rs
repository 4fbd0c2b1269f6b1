//! How the file becomes shorter: a commit that ends earlier, and cutting off what lies behind it.
//!
//! A **shrinking commit** leaves out the free run at the end of the file: the run leaves the mirror, the pool and the
//! space tree, and the commit has so many pages fewer (I-29). Nobody needs anything in it by I-3, so neither does a
//! commit to which a crash goes back: there it is free as well, and the file is as long as before. The slot must not
//! name records that list pages behind its end, so records that were spilled and are still needed forbid it.
//!
//! **Cutting** makes the file shorter (I-30). That takes back no page from anybody, but the bounds that keep a reader
//! from touching memory behind the end of the file may reach as far as the file did. So a cut waits for readers of
//! commits before the newest one that shrank, and every writer learns the length of the file anew if there was a cut.

use super::options::Shrink;
use super::page_writer::PageWriter;
use super::space::Space;
use crate::error::Result;
use crate::ids::{CommitId, PageNo, Run};
use crate::page::META_BYTES;
use crate::util::seeded::{self, Bug};
use std::sync::atomic::Ordering::SeqCst;

/// A file that has no more than this behind its end is not cut without being asked, because it grows ahead as far.
const BEHIND_END_MAX: u64 = 2 << 20;
/// A free run at the end is left out without being asked if it is this part of the file, as its inverse, and has so
/// many bytes.
const SHRINK_PART: u64 = 8;
const SHRINK_MIN: u64 = 1 << 20;
/// So many bytes of the file, or this part of what is to go, as its inverse, are cut off at once, so that nobody waits
/// long for the write lock: a megabyte that is in memory takes some 50 us.
const CUT_MIN: u64 = 1 << 20;
const CUT_PART: u64 = 256;

/// What became of a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The file ends where the newest commit does.
    Done,
    /// The newest commit that shrank is not durable, or the durable one may need what an earlier one did: after a
    /// crash, or with a damaged slot, the file might have to be as long as it is.
    NotDurable,
    /// The reader of this commit may reach further than the newest commit.
    Blocked(CommitId),
    /// The file is shorter than before, and could be shorter still, but somebody waits for the write lock.
    Partly,
}

impl PageWriter {
    /// Says what the fold of this commit does about the free run at the end of the file.
    pub fn set_shrink(&mut self, shrink: Shrink) {
        self.shrink = shrink;
    }

    /// Says that all dead pages are to be known, and not only as many as writing needs.
    pub fn want_all_zones(&mut self) {
        self.wants_all = true;
    }

    /// Returns how many free pages are known to lie at the end of the file.
    pub fn free_at_end(&self) -> u64 {
        let last = self.state.space.pool.last();
        last.filter(|run| run.end() == self.tip_end())
            .map_or(0, |run| run.pages)
    }

    /// Returns whether the file ends with records that were spilled. Their pages come free with the next fold, since
    /// moving does not move them.
    pub fn has_records_at_end(&self) -> bool {
        let mut spilled = self.state.records.spilled.iter();
        spilled.any(|records| records.spill.extent.run.end() == self.tip_end())
    }

    /// Returns whether dead pages wait for syncs.
    pub fn has_waiting_pages(&self) -> bool {
        self.state.space.waiting_pages() > 0
    }

    /// Returns the page from which on all pages of this commit are new: the end of the commit on which it builds, or
    /// an earlier one, if it leaves out the free run there.
    pub(super) fn growth_start(&self) -> PageNo {
        self.shrunk_end.unwrap_or(self.tip_end())
    }

    /// Leaves out the free run at the end of the file, if that is wanted and possible. The pool does not have it any
    /// more, so nothing that this commit still writes lies there, unless it has to grow again.
    pub(super) fn shrink(&mut self) {
        let (end, size) = (self.tip_end(), self.pager.page_size as u64);
        let Some(run) = self
            .state
            .space
            .pool
            .last()
            .filter(|run| run.end() == end && self.end == end)
        else {
            return;
        };
        let much = run.pages * SHRINK_PART >= end.get() && run.pages * size >= SHRINK_MIN;
        match self.shrink {
            Shrink::IfMuch if !much => return,
            Shrink::IfMuch | Shrink::Always => {}
        }
        let durable = self.pager.shared.durable().get().id;
        let needed = self.state.records.needed(durable, self.state.tip.id);
        if !needed.spilled.is_empty() {
            return;
        }
        self.state.space.pool.remove(run);
        self.shrunk_end = Some(run.first);
        self.end = run.first;
    }

    /// Puts back into the pool what a commit that is not made would have left out.
    pub(super) fn undo_shrink(space: &mut Space, shrunk_end: Option<PageNo>, end: PageNo) {
        if let Some(first) = shrunk_end {
            space.pool.insert(Run::new(first, end - first));
        }
    }

    /// Learns how long the file is, if it was cut since that was learned last.
    pub(super) fn learn_cuts(&self) -> Result<()> {
        let pager = &*self.pager;
        let mut learned = pager.cuts.lock();
        let cuts = pager.shared.cuts().load(SeqCst);
        if *learned != cuts && !seeded::on(Bug::ForgetCuts) {
            let pages = pager.storage.len()?.min(pager.memory.reserved()) / pager.page_size as u64;
            pager.tags.grow(pages)?;
            pager.file_pages.store(pages, SeqCst);
            *learned = cuts;
        }
        Ok(())
    }

    /// Cuts the file if it is much longer than the newest commit needs, as far as that costs no wait. It is tried again
    /// by later writers otherwise.
    pub(super) fn cut_if_due(&self) {
        let pager = &*self.pager;
        let end = (self.tip_end() + self.kept_room(&self.state.tip.roots)).offset(pager.page_size);
        let there = PageNo::new(pager.file_pages.load(SeqCst)).offset(pager.page_size);
        if there > end + end / SHRINK_PART + BEHIND_END_MAX {
            // The next writers go on.
            let _ = self.cut_pieces(1);
        }
    }

    /// Cuts off what the newest commit does not need of the file, or a part of it if somebody waits for the write lock
    /// (I-30).
    ///
    /// # Errors
    /// `Io`.
    pub fn cut(&self) -> Result<Cut> {
        self.cut_pieces(usize::MAX)
    }

    /// Returns why the file must not be cut now, if it must not (I-30).
    fn why_not_cut(&self) -> Option<Cut> {
        let (pager, shared) = (&*self.pager, &self.pager.shared);
        let shrunk = shared.shrunk().get();
        // Since the commit that shrank, each one reaches as far as the one before it or further, so all fit that a
        // crash could go back to: the durable one and later ones, or its base if its slot is damaged.
        let durable = shared.durable().get().id >= shrunk && shared.dur_base().get() >= shrunk;
        if !durable && !seeded::on(Bug::CutUndurable) {
            return Some(Cut::NotDurable);
        }
        let first_held = || shared.held().first().copied().filter(|held| *held < shrunk);
        if first_held().is_some() {
            pager.reap(Some(shrunk));
        }
        let held = first_held().filter(|_| !seeded::on(Bug::CutUnderReaders));
        held.map(Cut::Blocked)
    }

    /// Cuts off at most so many pieces.
    fn cut_pieces(&self, most: usize) -> Result<Cut> {
        if let Some(reason) = self.why_not_cut() {
            return Ok(reason);
        }
        let (pager, tip) = (&*self.pager, self.state.tip);
        let room = self.kept_room(&tip.roots);
        let (need, end) = match self.tip_end() {
            end if end > pager.first_page() => (end.offset(pager.page_size), end),
            _ => (META_BYTES, pager.first_page()),
        };
        let with_room = match room {
            0 => need,
            _ => (end + room).offset(pager.page_size),
        };
        let there = pager.storage.len()?;
        if there <= with_room {
            return Ok(Cut::Done);
        }
        let mut learned = pager.cuts.lock();
        *learned = pager.shared.cuts().fetch_add(1, SeqCst) + 1;
        // This comes first, because a view must not reach what is gone.
        pager.file_pages.store(tip.pages, SeqCst);
        let piece = CUT_MIN.max(there.saturating_sub(need) / CUT_PART);
        let mut now = there;
        for pieces in 1.. {
            now = with_room.max(now.saturating_sub(piece));
            pager.storage.set_len(now)?;
            if now == with_room {
                break;
            }
            if pieces == most || pager.may_be_wanted() {
                // Whoever goes on has to find that the file is longer than the newest commit needs.
                let _ = pager.learn_pages(now.min(pager.memory.reserved()) / pager.page_size as u64);
                pager.cut_bytes.fetch_add(there - now, SeqCst);
                return Ok(Cut::Partly);
            }
        }
        if room > 0 {
            now = self.fill_kept_room(need, with_room)?;
        }
        pager.cut_bytes.fetch_add(there.saturating_sub(now), SeqCst);
        Ok(Cut::Done)
    }

    /// Gives what is left behind the end room on the disk, of which a part may have none. What gets none is cut off, so
    /// that the next commit that adds something says so. Returns where the file ends.
    fn fill_kept_room(&self, need: u64, with_room: u64) -> Result<u64> {
        let pager = &*self.pager;
        let filled = pager.storage.fill(need, with_room).unwrap_or(need);
        if filled < with_room {
            pager.storage.set_len(filled)?;
        }
        let _ = pager.learn_pages(filled / pager.page_size as u64);
        Ok(filled)
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::pager::{open_memory, Pager, PagerOptions, Wait};
    use std::sync::atomic::AtomicBool;
    use std::sync::Arc;

    /// The number of pages of the newest commit in these tests.
    pub const END: u64 = 1000;

    pub fn run((first, pages): (u64, u64)) -> Run {
        Run::new(PageNo::new(first), pages)
    }

    pub fn pager() -> Arc<Pager> {
        let options = PagerOptions {
            page_size: 4096,
            ..PagerOptions::default()
        };
        open_memory(&options).expect("a pager in memory").0
    }

    /// Returns a writer on a commit of [`END`] pages, of which these are free (first page, pages).
    pub fn writer(pager: &Arc<Pager>, free: &[(u64, u64)]) -> PageWriter {
        let mut writer = pager.lock_write(Wait::Try, &AtomicBool::new(false)).expect("the lock");
        writer.state.tip.pages = END;
        writer.end = PageNo::new(END);
        free.iter().for_each(|free| writer.state.space.pool.insert(run(*free)));
        writer
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{pager, run, writer, END};
    use super::*;
    use crate::error::Error;
    use crate::page::meta::Spill;
    use crate::page::{Extent, Ptr, Root, Roots};
    use crate::pager::commit::{CommitRecord, SpilledRecords};
    use crate::pager::Durability;
    use std::sync::Arc;

    #[test]
    fn the_free_end_is_left_out_if_that_is_wanted() {
        let cases = [
            (Shrink::Always, (999, 1), 999),
            (Shrink::Always, (900, 99), END),
            // An eighth of the file, and 1 MiB.
            (Shrink::IfMuch, (END - 256, 256), END - 256),
            (Shrink::IfMuch, (END - 255, 255), END),
        ];
        for (shrink, free, expected) in cases {
            let pager = pager();
            let mut pages = writer(&pager, &[(100, 300), free]);
            pages.set_shrink(shrink);
            pages.shrink();
            let (end, pool) = (pages.growth_start().get(), pages.state.space.pool.total());
            assert_eq!((end, pages.file_pages()), (expected, expected), "{shrink:?} {free:?}");
            assert_eq!(pool, if expected < END { 300 } else { 300 + free.1 });
        }
    }

    #[test]
    fn what_a_dropped_transaction_would_have_left_out_is_free_again() {
        let pager = pager();
        let mut pages = writer(&pager, &[(100, 50), (900, 100)]);
        pages.set_shrink(Shrink::Always);
        pages.shrink();
        assert_eq!(pages.state.space.pool.total(), 50);
        drop(pages);
        let state = pager.write_state.lock();
        let free: Vec<Run> = state.as_ref().expect("the state").space.pool.iter().collect();
        assert_eq!(free, [run((100, 50)), run((900, 100))]);
        let mut space = Space::default();
        PageWriter::undo_shrink(&mut space, None, PageNo::new(END));
        assert_eq!(space.pool.total(), 0);
    }

    #[test]
    fn a_root_among_pages_that_are_listed_as_free_is_damage() {
        let pager = pager();
        let mut pages = writer(&pager, &[(900, 100)]);
        let main = Root {
            height: 1,
            ptr: Ptr {
                page: PageNo::new(950).into(),
                birth: CommitId::new(1),
                ..Ptr::default()
            },
            ..Root::default()
        };
        let roots = Roots {
            main,
            ..Roots::default()
        };
        pages.state.tip.roots = roots;
        pages.set_shrink(Shrink::Always);
        pages.shrink();
        let error = pages.commit(roots, Durability::Lazy).expect_err("the root is cut off");
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
    }

    #[test]
    fn each_writer_cuts_a_piece_of_a_file_that_is_much_too_long() {
        let pager = pager();
        let long = 64 << 20;
        pager.storage.set_len(long).expect("a long file");
        pager.learn_pages(long / pager.page_size as u64).expect("its pages");
        let mut before = long;
        for round in 0..10 {
            // It does so when it begins.
            drop(writer(&pager, &[]));
            let now = pager.storage.len().expect("the length");
            assert_eq!(before - now, CUT_MIN, "{round}");
            before = now;
        }
    }

    #[test]
    fn nothing_is_left_out_while_records_of_its_pages_may_be_needed() {
        let pager = pager();
        let mut pages = writer(&pager, &[(900, 100)]);
        pages.set_shrink(Shrink::Always);
        let id = pages.id();
        let record = CommitRecord {
            id,
            runs: Vec::new(),
            freed: Vec::new(),
            taken: Vec::new(),
        };
        pages.state.records.spilled.push(SpilledRecords {
            spill: Spill {
                extent: Extent::new(run((50, 1)), id),
                bytes: 1,
                checksum: 0,
            },
            records: vec![Arc::new(record)].into(),
        });
        pages.shrink();
        assert_eq!(pages.growth_start().get(), END);
        pages.state.records.spilled.clear();
        pages.shrink();
        assert_eq!(pages.growth_start().get(), 900);
    }
}
