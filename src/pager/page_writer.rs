//! What a writer does before its commit: it takes pages, writes them, and releases others.
//!
//! Nothing here changes what anybody sees. Dropping a [`PageWriter`] gives the taken pages back to the pool. What was
//! written lies in pages that nobody refers to (I-8).

use super::commit::FREED_PAGES_MAX;
use super::core::Pager;
use super::descriptor::Descriptor;
use super::options::{Shrink, Wait};
use super::recorded::RecordedCommits;
use super::saved::Undo;
use super::shared::share_entry;
use super::space::{Dead, Fold, PageRuns, Space, ZoneNo};
use super::view::View;
use super::write_lock::complete;
use super::write_state::{StateGuard, WriteState};
use super::written::WrittenPages;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::meta::{SECTOR, SLOTS, SLOT_BYTES};
use crate::page::Extent;
use crate::util::seeded::{self, Bug};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::Arc;

/// A commit that wrote more bytes than this is synced before its slot is written, instead of being listed for
/// verification.
const LISTED_MAX: u64 = 4 << 20;
/// Each time so many bytes were written, the medium begins to write them. The sync at the end then takes less time,
/// and so does the sync by which the next opener begins if this process is killed before.
const BEGIN_SYNC: u64 = 4 << 20;
/// If fewer free pages are known, another zone is loaded.
const FREE_WANTED: u64 = 1024;
/// The write lock, and what its holder did with it. There is one in all processes. Dropping it without `commit`
/// undoes everything.
#[derive(Debug)]
pub struct PageWriter {
    pub(super) pager: Arc<Pager>,
    pub(super) state: StateGuard,
    /// The id of the commit.
    pub(super) id: CommitId,
    /// The end of the file as this transaction sees it.
    pub(super) end: PageNo,
    /// The pages that were taken and not given back.
    pub(super) taken: PageRuns,
    /// The extents of earlier commits to which this one does not refer any more.
    pub(super) freed: Vec<Extent>,
    /// Whether there was no memory for one of them. The transaction can then not be committed.
    pub(super) freed_incomplete: bool,
    /// The pages that this transaction took and does not need any more, but that are not taken again yet.
    pub(super) kept: Vec<Run>,
    /// Whether what is released now is kept.
    pub(super) keeping: bool,
    /// The states to which this transaction may go back.
    pub(super) savepoints: Vec<Undo>,
    pub(super) written: WrittenPages,
    /// The number of bytes written.
    pub(super) bytes: u64,
    /// Whether a sync follows the commit at once.
    pub(super) synced_alone: bool,
    /// The time of the commit, once it is asked for.
    pub(super) time: Option<u64>,
    /// What this commit's space tree takes over, if it does.
    pub(super) fold: Option<Fold>,
    /// What the list of snapshots says with this commit, if that was told.
    pub(super) recorded: Option<RecordedCommits>,
    /// Whether the commit is the one with which the last process closes the database.
    pub(super) closing: bool,
    /// Whether all zones are to be loaded.
    pub(super) wants_all: bool,
    /// Whether the transaction adds something to the database.
    pub(super) adds: bool,
    pub(super) shrink: Shrink,
    /// Where the file ends without the free run that this commit leaves out, if it is one that shrinks.
    pub(super) shrunk_end: Option<PageNo>,
    pub(super) progress: Progress,
    /// Why the trees of this transaction must not be committed.
    pub(super) damage: Option<TreeDamage>,
    /// Whether the storage goes by the limits that it found last.
    limits_known: bool,
    /// The page before which pages are taken, if they are not to be taken anywhere.
    pub(super) frontier: Option<PageNo>,
}

/// Damage of trees that shows in the pages that a transaction takes and releases.
#[derive(Debug, Clone, Copy)]
pub(super) struct TreeDamage {
    /// The page at which it shows, or `None` if no single one is to blame.
    page: Option<PageNo>,
    what: &'static str,
}

impl TreeDamage {
    /// Returns the error of whoever must not go on.
    pub(super) fn error(self) -> Error {
        Error::corrupt(self.page, self.what)
    }

    fn at(page: PageNo, what: &'static str) -> TreeDamage {
        let page = Some(page);
        TreeDamage { page, what }
    }
}

/// How far a commit has come, which says what dropping its writer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// No slot refers to its pages. Everything is undone.
    Building,
    /// Its slot is written, and the shared words do not name it yet. The database is in doubt.
    SlotWritten,
    /// It is the tip. Nothing is undone.
    Published,
}

impl Pager {
    /// Takes the write lock, and waits for it as `wait` says. If another thread sets `cancel`, the wait ends with
    /// `Cancelled`.
    ///
    /// # Errors
    /// `Busy`, `Cancelled`, `Poisoned`, `ReadOnly`, `Forked`, `NoLocks`; `Limit`: no id is left. `Corrupt`, `Io`: the
    /// newest slot cannot be read, or rejected slots cannot be erased.
    pub fn lock_write(self: &Arc<Self>, wait: Wait, cancel: &AtomicBool) -> Result<PageWriter> {
        if self.read_only {
            return Err(Error::ReadOnly(
                "the database was opened read-only; open it without that option (KV_OPEN_READ_ONLY)",
            ));
        }
        let state = self.acquire_write_lock(wait, cancel)?;
        // From here on, dropping the writer releases the lock.
        let mut writer = PageWriter::new(self, state);
        writer.begin()?;
        Ok(writer)
    }
}

impl PageWriter {
    /// Returns a writer that has the lock and is not ready yet.
    fn new(pager: &Arc<Pager>, state: Box<WriteState>) -> PageWriter {
        PageWriter {
            pager: pager.clone(),
            id: CommitId::NONE,
            end: PageNo::new(state.tip.pages),
            taken: PageRuns::default(),
            state: StateGuard::of(state),
            freed: Vec::new(),
            freed_incomplete: false,
            kept: Vec::new(),
            keeping: false,
            savepoints: Vec::new(),
            written: WrittenPages::default(),
            bytes: 0,
            synced_alone: false,
            time: None,
            fold: None,
            recorded: None,
            closing: false,
            wants_all: false,
            adds: false,
            shrink: Shrink::default(),
            shrunk_end: None,
            progress: Progress::Building,
            damage: None,
            limits_known: false,
            frontier: None,
        }
    }

    /// Looks once for limits that the process has, for all writes up to the end of the commit. They come one soon after
    /// the other, and the caller is not back in between to change a limit. After work that may have taken long, this is
    /// called again.
    pub fn look_at_limits(&mut self) {
        self.limits_known = true;
        self.pager.storage.look_at_limits();
    }

    /// Looks for limits again if the storage goes by what it found before.
    pub(super) fn renew_limits(&self) {
        if self.limits_known {
            self.pager.storage.look_at_limits();
        }
    }

    /// Makes the writer ready: erases what recovery rejected, catches up, and chooses the id.
    fn begin(&mut self) -> Result<()> {
        self.erase_rejected()?;
        let pager = self.pager.clone();
        pager.catch_up(&mut self.state)?;
        let state = &mut *self.state;
        state.snapshots.follow(&state.tip.roots.snapshots);
        if state.space.must_know_tree(state.changes) {
            state.space = Space::open(state.tip.pages, state.dead, state.records.above(state.folded));
        }
        complete(&self.state)?;
        self.end = self.tip_end();
        self.learn_cuts()?;
        self.cut_if_due();
        self.look_for_room();
        // Writers that were killed left gaps in the ids. The tip's descriptor must not be overwritten before another
        // is there.
        let next = pager.shared.next_id().get();
        self.id = match share_entry(next, self.state.tip.id) {
            true => next.next(),
            false => next,
        };
        if self.id > CommitId::MAX {
            return Err(Error::Limit(
                "commit ids are used up; copy the database into a new file".into(),
            ));
        }
        self.refresh();
        self.follow_frontier();
        Ok(())
    }

    /// Erases the slots that recovery rejected. A rejected commit could become valid when later ones rewrite its
    /// missing pages, and a torn slot when a later commit is torn in it (I-4). Only the first sectors are written
    /// over, because zeros elsewhere might be just what is missing.
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

    /// Moves to the pool what became reusable. The durable commit is read before the readers (I-3).
    pub(super) fn refresh(&mut self) {
        self.pager.refresh(&mut self.state);
    }

    /// Returns the commit on which this transaction builds.
    pub fn tip(&self) -> Descriptor {
        self.state.tip
    }

    /// Returns how many pages live in the commit on which this transaction builds.
    pub fn living_pages(&self) -> u64 {
        self.state.tip.pages.saturating_sub(self.state.dead)
    }

    /// Returns the pager of the database.
    pub fn pager(&self) -> &Arc<Pager> {
        &self.pager
    }

    /// Returns read access to all pages, including those that this transaction wrote.
    pub fn view(&self) -> View<'_> {
        self.pager.view_all()
    }

    /// Returns the page behind the last one of the commit on which this transaction builds.
    pub(super) fn tip_end(&self) -> PageNo {
        PageNo::new(self.state.tip.pages)
    }

    /// Returns at most 2 zones that are worth loading before pages are taken: those that a fold needs, then others if
    /// few free pages are known.
    pub fn zones_wanted(&mut self) -> Vec<ZoneNo> {
        let WriteState { space, dead, .. } = &mut *self.state;
        if space.known_pages() == *dead {
            space.nothing_else();
        }
        let more = space.known_pages() < *dead && (self.wants_all || self.may_know_more(FREE_WANTED));
        self.state.space.wanted(more)
    }

    /// Takes over the content of the space tree for one zone.
    pub fn zone_loaded(&mut self, zone: ZoneNo, dead: Vec<Dead>) {
        debug_assert!(self.fold.is_none(), "what a fold has found would be loaded anew");
        let WriteState {
            space,
            records,
            folded,
            tip,
            ..
        } = &mut *self.state;
        if space.load(zone, &dead, tip.pages, records.above(*folded)).is_none() {
            self.damage = Some(TreeDamage {
                page: None,
                what: "the space tree contradicts itself",
            });
            return;
        }
        self.look_again();
    }

    /// Moves to the pool what became reusable, but for what this transaction took.
    pub(super) fn look_again(&mut self) {
        self.state.space.keep_reusable(self.taken.iter());
        self.refresh();
        for run in self.taken.iter() {
            self.state.space.pool.remove(run);
        }
    }

    /// Tells, before pages are taken, whether a sync follows the commit at once.
    pub fn set_synced_alone(&mut self, yes: bool) {
        self.synced_alone = yes;
    }

    /// Tells that this commit closes the database: nobody has it open but the caller, who makes no other commit. Its
    /// slot says so.
    pub fn set_closing(&mut self) {
        self.closing = true;
    }

    /// Says whether pages of this transaction that it releases are kept for now. Those that were kept are given back as
    /// soon as none are kept any more.
    pub fn keep_released(&mut self, keep: bool) {
        self.keeping = keep;
        if !keep {
            for run in std::mem::take(&mut self.kept) {
                self.give_back(run);
            }
        }
    }

    /// Gives pages back that this transaction took.
    pub(super) fn give_back(&mut self, run: Run) {
        if !self.taken.contains(run) {
            self.damage = Some(TreeDamage::at(
                run.first,
                "a page was released that this transaction did not take",
            ));
            return;
        }
        self.taken.remove(run);
        self.note_given_back(run);
        self.written.forget(run);
        self.state.space.pool.insert(run);
    }

    /// Writes into pages that this transaction took (I-10).
    pub(super) fn write(&mut self, run: Run, parts: &[&[u8]]) -> Result<()> {
        let end = run.end().get();
        if !self.taken.contains(run) {
            return Err(Error::Panic("a page was written that was not taken".into()));
        }
        self.pager.check_fork()?;
        self.pager.tags.grow(end)?;
        for tag in &self.pager.tags.all()[run.first.get() as usize..end as usize] {
            tag.store(0, Relaxed);
        }
        let written = self
            .pager
            .storage
            .writev_at(run.first.offset(self.pager.page_size), parts);
        written.map_err(|error| self.note_room(error))?;
        self.pager.file_pages.fetch_max(end, SeqCst);
        let before = self.bytes;
        self.bytes += run.pages * self.pager.page_size as u64;
        if before / BEGIN_SYNC != self.bytes / BEGIN_SYNC {
            self.pager.storage.begin_sync();
            self.renew_limits();
        }
        if self.bytes > LISTED_MAX {
            self.written.unlist();
        }
        Ok(())
    }

    /// Refuses a commit that releases pages that cannot have been in use, because its trees were damaged, and one of
    /// whose pages not all are known, because there was no memory for the list.
    pub(super) fn check_freed(&mut self) -> Result<()> {
        self.keep_released(false);
        complete(&self.state)?;
        if self.freed_incomplete || self.taken.is_incomplete() {
            return Err(Error::NoMemory("the pages that a transaction takes and frees"));
        }
        self.freed.sort_unstable();
        let mut end = self.pager.first_page();
        for Extent { run, birth, .. } in &self.freed {
            let next = run.checked_end().filter(|next| *next <= self.tip_end());
            if run.first < end || next.is_none() || run.pages > FREED_PAGES_MAX || *birth >= self.id {
                self.damage = Some(TreeDamage::at(
                    run.first,
                    "a page was released twice, or is outside the file",
                ));
            } else if self.state.space.overlaps(*run) {
                self.damage = Some(TreeDamage::at(run.first, "a page in use was listed as dead"));
            }
            end = next.unwrap_or(PageNo::END);
        }
        self.check_space()
    }
}

impl Drop for PageWriter {
    fn drop(&mut self) {
        if self.limits_known {
            self.pager.storage.forget_limits();
        }
        let Some(mut state) = self.state.give_back() else {
            return;
        };
        match self.progress {
            Progress::Building => {
                for run in self.taken.iter() {
                    state.space.pool.insert(run);
                }
                let beyond = PageNo::new(state.tip.pages);
                PageWriter::undo_shrink(&mut state.space, self.shrunk_end, beyond);
                if self.end > beyond {
                    state.space.pool.remove(Run::new(beyond, self.end - beyond));
                }
            }
            // A panic ended the commit half-way: the file has it, and the shared words do not (I-8).
            Progress::SlotWritten => self.pager.poison(),
            Progress::Published => {}
        }
        if self.taken.is_incomplete() {
            // Nobody knows all pages that are to be given back.
            *state = WriteState::default();
        }
        self.pager.release_write_lock(state);
    }
}
