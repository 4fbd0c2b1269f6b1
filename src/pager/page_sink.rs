//! How trees take pages from a writer, write and release them.
//!
//! Pages come from the smallest hole that fits; else, if the file is small for what lives in it, from its end; else
//! from the largest hole. Overwriting at random in an aged file at 1.5 times its live size needs half the writes that
//! it needs at 1.2 times, so growing up to there is preferred to many small holes. Where the disk is full, any hole is
//! used for tree pages, and what waits for syncs is waited for, so that a full database can be changed as long as
//! pages are free.

use super::page_writer::PageWriter;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::{Extent, Lifetime, PageSink, PAGE_MAX, PIECE};

/// A hole of this many pages is good enough, however many were asked for.
const HOLE_GOOD: u64 = 64;
/// Up to this many pages are better written behind the end than in two places, because each place costs a small
/// commit as much as 20 pages.
const WHOLE_MAX: u64 = 32;
/// Up to this many pages that live long are better written into separate holes than behind the end, if a sync
/// follows. They leave such holes behind, and zeros ahead of the end cost a small commit as much as two more places.
const PIECES_MAX: u64 = 8;

impl PageWriter {
    /// Returns whether a hole of `len` pages is to be used although `want` were asked for.
    fn hole_will_do(&self, len: u64, want: u64, lifetime: Lifetime) -> bool {
        if lifetime == Lifetime::UntilEdited && self.synced_alone && want <= PIECES_MAX {
            return true;
        }
        let space = &self.state.space;
        // The figures are those of the tip, because most of what this transaction adds replaces other pages.
        let kept = self.state.tip.pages.saturating_sub(space.known_pages()) + space.held_pages();
        let large = len >= HOLE_GOOD || 2 * len >= want && want > WHOLE_MAX;
        large || (self.end.get() + want) * 2 > kept * 3
    }

    pub(super) fn claim(&mut self, run: Run) -> Result<Run> {
        self.state.space.pool.remove(run);
        self.taken.insert(run);
        self.note_taken(run);
        match self.taken.is_incomplete() || self.state.space.pool.is_incomplete() {
            true => Err(Error::NoMemory("the list of pages taken")),
            false => Ok(run),
        }
    }

    /// Returns a run at the end of the file, which begins with free pages that already lie there.
    ///
    /// # Errors
    /// `Outgrown`.
    fn run_at_end(&self, want: u64) -> Result<Run> {
        let pool = &self.state.space.pool;
        let first = match pool.last() {
            Some(last) if last.end() == self.end => last.first,
            _ => self.end,
        };
        let run = Run::new(first, want);
        let end = run.checked_end().filter(|end| *end < PageNo::END);
        let bytes = end.and_then(|end| end.get().checked_mul(self.pager.page_size as u64));
        match bytes {
            Some(bytes) if bytes <= self.pager.memory.reserved() => Ok(run),
            _ => Err(self.pager.outgrown()),
        }
    }

    /// Takes a run for up to `want` tree pages; `None`: the hole that was chosen has no room on the disk.
    fn take_if_room(&mut self, want: u64, lifetime: Lifetime) -> Result<Option<Run>> {
        if let Some(hole) = self.hole_before_frontier(want) {
            return self.claim_hole(hole);
        }
        let pool = &self.state.space.pool;
        if let Some(hole) = pool.best_fit(want) {
            return self.claim_hole(Run::new(hole.first, want));
        }
        let Some(hole) = pool.largest() else {
            return self.must_grow(want).map(Some);
        };
        if self.is_disk_full() || self.hole_will_do(hole.pages, want, lifetime) {
            return self.claim_hole(hole);
        }
        match self.run_at_end(want) {
            Ok(run) if self.make_room(run) => self.grow(run).map(Some),
            _ => self.claim_hole(hole),
        }
    }

    /// Takes a run at the end of the file.
    fn grow(&mut self, run: Run) -> Result<Run> {
        self.end = self.end.max(run.end());
        self.claim(run)
    }

    /// Takes pages at the end of the file because there are no others, whether it has room for them or not.
    fn must_grow(&mut self, want: u64) -> Result<Run> {
        let run = self.run_at_end(want)?;
        self.make_room(run);
        self.grow(run)
    }
}

impl PageSink for PageWriter {
    fn birth(&self) -> CommitId {
        self.id
    }

    fn take(&mut self, want: u64, lifetime: Lifetime) -> Result<Run> {
        if want == 0 {
            return Err(Error::Invalid("no pages were asked for"));
        }
        loop {
            if let Some(run) = self.take_if_room(want, lifetime)? {
                return Ok(run);
            }
        }
    }

    fn take_exact(&mut self, pages: u64) -> Result<Run> {
        if pages == 0 {
            return Err(Error::Invalid("no pages were asked for"));
        }
        let best = |writer: &PageWriter| writer.state.space.pool.best_fit(pages);
        while let Some(hole) = self.exact_hole_before_frontier(pages).or_else(|| best(self)) {
            if let Some(run) = self.claim_hole(Run::new(hole.first, pages))? {
                return Ok(run);
            }
        }
        self.must_grow(pages)
    }

    fn take_hole(&mut self, pages: u64) -> Result<Option<Run>> {
        let best = |writer: &PageWriter| match writer.frontier {
            Some(_) => writer.exact_hole_before_frontier(pages),
            None => writer.state.space.pool.best_fit(pages),
        };
        while let Some(hole) = best(self) {
            if let Some(run) = self.claim_hole(Run::new(hole.first, pages))? {
                return Ok(Some(run));
            }
        }
        Ok(None)
    }

    fn write_pages(&mut self, page: PageNo, parts: &[&[u8]], sums: &[u32]) -> Result<()> {
        let size = self.pager.page_size;
        if parts.len() != sums.len() || parts.iter().any(|part| part.len() != size) {
            return Err(Error::Panic("pages and their sums do not match".into()));
        }
        let run = Run::new(page, parts.len() as u64);
        self.written.forget(run);
        self.write(run, parts)?;
        self.written.add_pages(page, sums);
        Ok(())
    }

    fn write_piece(&mut self, page: PageNo, bytes: &[u8], checksum: u32) -> Result<()> {
        static ZEROS: [u8; PAGE_MAX] = [0; PAGE_MAX];
        let size = self.pager.page_size;
        if bytes.is_empty() || bytes.len() as u64 > PIECE {
            return Err(Error::Panic("a piece must have 1 byte to 1 MiB".into()));
        }
        let pages = bytes.len().div_ceil(size);
        let run = Run::new(page, pages as u64);
        self.written.forget(run);
        self.write(run, &[bytes, &ZEROS[..pages * size - bytes.len()]])?;
        self.written.add_piece(run, bytes.len() as u64, checksum);
        Ok(())
    }

    fn release(&mut self, extent: Extent) {
        let run = extent.run;
        if run.pages == 0 {
            return;
        }
        if extent.birth == self.id {
            return self.release_taken(run);
        }
        match self.freed.try_reserve(1) {
            Ok(()) => self.freed.push(extent),
            Err(_) => self.freed_incomplete = true,
        }
    }
}
