//! What a writer does before its commit: it takes pages, writes them, and releases others.
//!
//! Nothing here changes what anybody sees. Dropping a [`PageWriter`] gives the taken pages back to the pool; what was
//! written lies in pages nobody refers to (I-8).
//!
//! Where pages come from: the smallest hole that fits; else, if the file is small for what lives in it, its end; else
//! the largest hole. Overwriting at random in an aged file at 1.5 times its live size needs half the writes it needs at
//! 1.2 times, so up to there growing is preferred to many small holes.

use super::core::Pager;
use super::descriptor::Descriptor;
use super::options::Wait;
use super::shared::share_entry;
use super::space::{Dead, RunSet, ZONE_PAGES};
use super::view::View;
use super::write_state::WriteState;
use super::written::WrittenPages;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{RECORDS_MAX, SECTOR, SLOTS, SLOT_BYTES};
use crate::page::{Extent, Lifetime, PageSink, META_BYTES, PAGE_MAX, PIECE};
use crate::util::seeded::{self, Bug};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;

/// A commit that wrote more than this is synced before its slot is written, instead of being listed for verification.
const LISTED_MAX: u64 = 4 << 20;
/// After so many bytes the medium is given something to do: the sync at the end takes less time, and so does the one by
/// which others begin if this process is killed before it.
const BEGIN_SYNC: u64 = 4 << 20;
/// With fewer free pages known, another zone is looked at.
const FREE_WANTED: u64 = 1024;
/// A hole of this many pages is good enough, whatever was asked for.
const HOLE_GOOD: u64 = 64;
/// The file grows ahead of small commits: by an eighth, between these bounds, in zeros. A sync of what is written there
/// later has no metadata to write: on ext4 that is half of the time of a small commit.
const AHEAD_MIN: u64 = 64 << 10;
const AHEAD_MAX: u64 = 1 << 20;
/// Writes of more bytes than this gain less than writing the zeros costs.
const AHEAD_WRITE: u64 = 64 << 10;
/// So few pages are better written behind the end than in two places: to a small commit each place costs as much as 20
/// pages.
const WHOLE_MAX: u64 = 32;
/// So few pages that live long are better written into holes, each for itself, than behind the end, if a sync follows: they
/// leave such holes behind, and zeros ahead of the end cost a small commit as much as two more places.
const PIECES_MAX: u64 = 8;
/// So many changes of dead space are always worth keeping in the records.
const FOLD_MIN: usize = 1000;
/// With so few entries of the space tree to write, records are folded as soon as a slot is nearly full.
const FOLD_SMALL: usize = 150;

/// The right to write, and what its holder did with it. There is one in all processes. Dropping it without `commit`
/// undoes everything.
#[derive(Debug)]
pub struct PageWriter {
    pub(super) pager: Arc<Pager>,
    pub(super) state: Box<WriteState>,
    /// The commit's id.
    pub(super) id: CommitId,
    /// End of the file as this transaction sees it.
    pub(super) end: PageNo,
    /// Pages taken and not given back.
    pub(super) taken: RunSet,
    /// Pages of earlier commits that this one refers to no more.
    pub(super) freed: Vec<Extent>,
    pub(super) written: WrittenPages,
    /// Bytes written.
    pub(super) bytes: u64,
    /// A sync follows the commit at once.
    synced_alone: bool,
    /// The changes of dead space go into this commit's space tree.
    pub(super) folding: bool,
    /// The slot is written: nothing is undone any more.
    pub(super) committed: bool,
    /// Why the trees of this transaction must not be committed, and at which page.
    pub(super) damage: Option<(Option<PageNo>, &'static str)>,
}

impl Pager {
    /// Takes the write lock, waiting as told; `cancel` set by another thread ends the wait with `Cancelled`.
    ///
    /// # Errors
    /// `Busy`, `Cancelled`, `Poisoned`, `ReadOnly`, `Forked`; `Corrupt`, `Io` (the newest slot cannot be read).
    pub fn lock_write(self: &Arc<Self>, wait: Wait, cancel: &AtomicBool) -> Result<PageWriter> {
        if self.read_only {
            return Err(Error::ReadOnly("the database was opened read-only"));
        }
        let state = self.acquire_write_lock(wait, cancel)?;
        // From here on dropping it gives the lock back.
        let mut writer = PageWriter::new(self, state);
        writer.begin()?;
        Ok(writer)
    }
}

impl PageWriter {
    /// Has the lock, and is not yet ready.
    fn new(pager: &Arc<Pager>, mut state: Box<WriteState>) -> PageWriter {
        PageWriter {
            pager: pager.clone(),
            id: CommitId::NONE,
            end: PageNo::new(state.tip.pages),
            taken: std::mem::take(&mut state.taken),
            state,
            freed: Vec::new(),
            written: WrittenPages::default(),
            bytes: 0,
            synced_alone: false,
            folding: false,
            committed: false,
            damage: None,
        }
    }

    /// Gets ready: erases what recovery rejected, catches up, and chooses the id.
    fn begin(&mut self) -> Result<()> {
        self.erase_rejected()?;
        let pager = self.pager.clone();
        pager.catch_up(&mut self.state)?;
        self.end = self.tip_end();
        // Writers that were killed left gaps: the descriptor of the tip must not be overwritten before another is there.
        let next = pager.shared.next_id().get();
        self.id = match share_entry(next, self.state.tip.id) {
            true => next.next(),
            false => next,
        };
        if self.id > CommitId::MAX {
            return Err(Error::Limit(
                "commit ids are used up; copy the database into a new file",
            ));
        }
        self.refresh();
        Ok(())
    }

    /// A rejected commit could become valid when later ones rewrite its missing pages, and a torn slot when a later commit
    /// is torn in it: such slots are erased first. Their first sectors only: zeros elsewhere might be just what is missing.
    fn erase_rejected(&mut self) -> Result<()> {
        let shared = &self.pager.shared;
        let slots = shared.erase().load(SeqCst);
        if slots == 0 || seeded::on(Bug::KeepRejected) {
            return Ok(());
        }
        let storage = &self.pager.storage;
        let erased = (0..SLOTS)
            .filter(|slot| slots >> slot & 1 != 0)
            .try_for_each(|slot| storage.write_at((slot * SLOT_BYTES) as u64, &[0; SECTOR]));
        if let Err(error) = erased.and_then(|()| storage.sync()) {
            self.pager.poison();
            return Err(error);
        }
        shared.erase().store(0, SeqCst);
        Ok(())
    }

    /// Moves to the pool what became reusable. The durable point is read before the readers (I-3).
    pub(super) fn refresh(&mut self) {
        self.pager.refresh(&mut self.state);
    }

    /// The commit this transaction builds on.
    pub fn tip(&self) -> Descriptor {
        self.state.tip
    }

    /// Its environment.
    pub fn pager(&self) -> &Arc<Pager> {
        &self.pager
    }

    /// Read access to all pages, those this transaction wrote included.
    pub fn view(&self) -> View<'_> {
        self.pager.view(u64::MAX)
    }

    /// The page behind the last one of the commit this transaction builds on.
    pub(super) fn tip_end(&self) -> PageNo {
        PageNo::new(self.state.tip.pages)
    }

    /// Zones (at most 2) worth loading before pages are allocated, because little is known to be free.
    pub fn zones_wanted(&mut self) -> Vec<u64> {
        let space = &mut self.state.space;
        if space.known_pages() == self.state.dead {
            space.nothing_else();
        }
        let more = space.pool.total() < FREE_WANTED && space.known_pages() < self.state.dead;
        space.wanted(more)
    }

    /// Hands over the content of the space tree for one zone.
    pub fn zone_loaded(&mut self, zone: u64, dead: Vec<Dead>) {
        let WriteState {
            space,
            records,
            folded,
            tip,
            ..
        } = &mut *self.state;
        if space.load(zone, &dead, tip.pages, records.above(*folded)).is_none() {
            self.damage = Some((None, "the space tree contradicts itself"));
            return;
        }
        self.refresh();
        for run in self.taken.iter() {
            self.state.space.pool.remove(run);
        }
    }

    /// If it is time to fold the records into the space tree: every change since the last fold, ascending by page (`None`:
    /// remove the key). The caller applies them to the space tree within this commit.
    ///
    /// It is time when much has piled up, or when the slot is nearly full and little would be written.
    pub fn fold(&mut self) -> Option<Vec<(PageNo, Option<Dead>)>> {
        let state = &mut self.state;
        if !state.space.foldable() {
            return None;
        }
        let much = state.changes + self.freed.len() > FOLD_MIN.max(state.space.extents() / 4);
        let records = &state.records;
        let full = !records.spilled.is_empty() || records.inline_bytes.bytes.len() * 4 > RECORDS_MAX * 3;
        if !(much || full && state.space.changes() <= FOLD_SMALL) {
            return None;
        }
        state.space.join();
        let edits = state.space.edits();
        self.folding = !edits.is_empty();
        self.folding.then_some(edits)
    }

    /// Tells, before pages are taken, whether a sync follows the commit at once.
    pub fn set_synced_alone(&mut self, yes: bool) {
        self.synced_alone = yes;
    }

    /// Whether a hole of `len` pages is to be used although `want` were asked for.
    fn hole_will_do(&self, len: u64, want: u64, lifetime: Lifetime) -> bool {
        if lifetime == Lifetime::UntilEdited && self.synced_alone && want <= PIECES_MAX {
            return true;
        }
        let space = &self.state.space;
        // As of the tip: what this transaction adds replaces other pages, mostly.
        let kept = self.state.tip.pages.saturating_sub(space.known_pages()) + space.held_pages();
        let large = len >= HOLE_GOOD || 2 * len >= want && want > WHOLE_MAX;
        large || (self.end.get() + want) * 2 > kept * 3
    }

    fn claim(&mut self, run: Run) -> Run {
        self.state.space.pool.remove(run);
        self.taken.insert(run);
        run
    }

    /// Takes pages at the end of the file, beginning with free ones that lie there already.
    fn grow(&mut self, want: u64) -> Result<Run> {
        let pool = &self.state.space.pool;
        let first = match pool.last() {
            Some(last) if last.end() == self.end => last.first,
            _ => self.end,
        };
        let run = Run::new(first, want);
        let end = run.checked_end().filter(|end| *end < PageNo::END);
        let bytes = end.and_then(|end| end.get().checked_mul(self.pager.page_size as u64));
        match (end, bytes) {
            (Some(end), Some(bytes)) if bytes <= self.pager.memory.reserved() => {
                self.end = self.end.max(end);
                Ok(self.claim(run))
            }
            _ => Err(Error::Limit(
                "the file would outgrow the address range reserved for it; open it again",
            )),
        }
    }

    /// Writes into pages of this transaction.
    pub(super) fn write(&mut self, run: Run, parts: &[&[u8]]) -> Result<()> {
        let end = run.end().get();
        if !self.taken.contains(run) {
            return Err(Error::Panic("a page was written that was not taken".into()));
        }
        for tag in &self.pager.tags.all()[run.first.get() as usize..end as usize] {
            tag.store(0, Relaxed);
        }
        self.grow_ahead(run);
        self.pager
            .storage
            .writev_at(run.first.offset(self.pager.page_size), parts)?;
        self.pager.file_pages.fetch_max(end, SeqCst);
        let before = self.bytes;
        self.bytes += run.pages * self.pager.page_size as u64;
        if before / BEGIN_SYNC != self.bytes / BEGIN_SYNC {
            self.pager.storage.begin_sync();
        }
        if self.bytes > LISTED_MAX {
            self.written.unlist();
        }
        Ok(())
    }

    /// If a small write reaches behind the end of the file: makes the file longer than it needs to be. Nothing depends on
    /// it: where there is no room, the write itself will tell. Not for the small rests of a large transaction.
    fn grow_ahead(&self, run: Run) {
        let (pager, size) = (&*self.pager, self.pager.page_size as u64);
        let end = run.end();
        if end.get() <= pager.file_pages.load(SeqCst) || self.bytes + run.pages * size > AHEAD_WRITE {
            return;
        }
        // Another process may have done it.
        let there = pager.storage.len().unwrap_or(0);
        let from = self.end.max(end).offset(pager.page_size);
        let to = (from + (from / 8).clamp(AHEAD_MIN, AHEAD_MAX)).next_multiple_of(AHEAD_MIN);
        let there = match there >= end.offset(pager.page_size) {
            true => there,
            false if to > pager.memory.reserved() => return,
            false => pager.storage.fill(from, to).unwrap_or(0),
        };
        pager.file_pages.fetch_max(there / size, SeqCst);
    }

    /// Gives back what the file is longer than the newest commit needs. Only for the last one who has it open.
    pub fn trim(&self) -> Result<()> {
        let (pager, end) = (&*self.pager, self.tip_end());
        let need = if end > pager.first_page() {
            end.offset(pager.page_size)
        } else {
            META_BYTES
        };
        if pager.storage.len()? > need {
            // Before: a view must not reach what is gone.
            pager.file_pages.store(end.get(), SeqCst);
            pager.storage.set_len(need)?;
        }
        Ok(())
    }

    /// Refuses a commit whose trees were damaged: pages released that cannot have been in use.
    pub(super) fn check_freed(&mut self) -> Result<()> {
        self.freed.sort_unstable();
        let mut end = self.pager.first_page();
        for Extent { run, birth } in &self.freed {
            let zones = run.pages / ZONE_PAGES < u64::from(u32::MAX) / ZONE_PAGES;
            let next = run.checked_end().filter(|next| *next <= self.tip_end());
            if run.first < end || next.is_none() || !zones || *birth >= self.id {
                self.damage = Some((Some(run.first), "a page was released twice, or is outside the file"));
            } else if self.state.space.overlaps(*run) {
                self.damage = Some((Some(run.first), "a page in use was listed as dead"));
            }
            end = next.unwrap_or(PageNo::END);
        }
        match self.damage {
            Some((page, what)) => Err(Error::corrupt(page, what)),
            None => Ok(()),
        }
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
        let pool = &self.state.space.pool;
        if let Some(hole) = pool.best_fit(want) {
            return Ok(self.claim(Run::new(hole.first, want)));
        }
        if let Some(hole) = pool.largest() {
            if self.hole_will_do(hole.pages, want, lifetime) {
                return Ok(self.claim(hole));
            }
        }
        self.grow(want)
    }

    fn take_exact(&mut self, pages: u64) -> Result<Run> {
        if pages == 0 {
            return Err(Error::Invalid("no pages were asked for"));
        }
        match self.state.space.pool.best_fit(pages) {
            Some(hole) => Ok(self.claim(Run::new(hole.first, pages))),
            None => self.grow(pages),
        }
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
        if extent.birth != self.id {
            self.freed.push(extent);
        } else if self.taken.contains(run) {
            self.taken.remove(run);
            self.written.forget(run);
            self.state.space.pool.insert(run);
        } else {
            self.damage = Some((
                Some(run.first),
                "a page was released that this transaction did not take",
            ));
        }
    }
}

impl Drop for PageWriter {
    fn drop(&mut self) {
        let mut state = std::mem::take(&mut self.state);
        if !self.committed {
            for run in self.taken.iter() {
                state.space.pool.insert(run);
            }
            let beyond = PageNo::new(state.tip.pages);
            state.space.pool.remove(Run::new(beyond, self.end - beyond));
        }
        self.taken.clear();
        state.taken = std::mem::take(&mut self.taken);
        self.pager.release_write_lock(state);
    }
}
