//! Folding: how the changes of dead space get from the records of commits into the space tree, and how what snapshots
//! see is parked there.
//!
//! A dead extent that a named snapshot sees is **parked** by a fold: it leaves the part of the space tree that is keyed
//! by pages, and the mirror, and is kept under the newest snapshot that sees it (I-23). Writers never load what is
//! parked, however much it is. When snapshots were dropped, a fold **reaps**: it puts what only those saw back to where
//! it was, with its birth and its death (I-24). From then on it is a dead extent like others: the reuse rule says who
//! still sees it, such as a reader, and it is used again at once if nobody does. It need not wait for the fold to be
//! durable. A crash could only bring back a commit in which it is parked for a snapshot that was dropped for good.

use super::identity::now;
use super::page_writer::PageWriter;
use super::recorded::RecordedCommits;
use super::space::{Fold, Parked, Space, ZoneNo};
use super::write_state::WriteState;
use crate::error::{Error, Result};
use crate::ids::{CommitId, Run};
use crate::page::meta::RECORDS_MAX;
use crate::page::Root;
use crate::util::seeded::{self, Bug};

/// If a fold would write no more entries of the space tree than this, it is made as soon as a slot is nearly full.
const FOLD_SMALL: usize = 150;

/// Whether every commit folds that can.
#[cfg(feature = "internals")]
static OFTEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Says whether every commit folds that can, in the whole process. This is for tests: what goes wrong between folds is
/// found sooner.
#[cfg(feature = "internals")]
pub fn fold_often(yes: bool) {
    OFTEN.store(yes, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(feature = "internals")]
fn is_often() -> bool {
    OFTEN.load(std::sync::atomic::Ordering::Relaxed)
}

#[cfg(not(feature = "internals"))]
fn is_often() -> bool {
    false
}

impl PageWriter {
    /// Returns the root of the list of snapshots if whoever writes has to read it and to tell what it says, because
    /// another process has changed it.
    pub fn snapshots_wanted(&self) -> Option<Root> {
        match self.state.snapshots.recorded() {
            Some(_) => None,
            None => Some(self.tip().roots.snapshots),
        }
    }

    /// Takes over what the list of snapshots says.
    pub fn snapshots_known(&mut self, recorded: RecordedCommits) {
        let root = self.tip().roots.snapshots;
        self.state.snapshots.know(&root, Some(recorded));
        self.look_again();
    }

    /// Returns what the list of snapshots says on which this transaction builds, if that is known.
    pub fn recorded(&self) -> Option<&RecordedCommits> {
        self.state.snapshots.recorded()
    }

    /// Tells what the list of snapshots will say with this commit.
    pub fn record_snapshots(&mut self, recorded: RecordedCommits) {
        self.recorded = Some(recorded);
    }

    /// Returns the id that the commit will have.
    pub fn id(&self) -> CommitId {
        self.id
    }

    /// Returns the time of the commit, in nanoseconds since 1970: the time of the first call.
    pub fn time(&mut self) -> u64 {
        *self.time.get_or_insert_with(now)
    }

    /// Returns how many pages the file has, if nothing more is taken before the commit.
    pub fn file_pages(&self) -> u64 {
        self.file_end().get()
    }

    /// Returns how many pages of the file are in use with this commit, as far as it is made yet.
    pub fn used_pages(&self) -> u64 {
        let died: u64 = self.freed.iter().map(|freed| freed.run.pages).sum();
        let left_out = self.tip_end() - self.growth_start();
        let gone = (self.state.dead + self.state.parked + died).saturating_sub(left_out);
        let growth_start = self.growth_start();
        let reused = self.taken.iter().filter(|run| run.first < growth_start);
        let reused: u64 = reused.map(|run| run.pages.min(growth_start - run.first)).sum();
        // A file that counts its dead pages wrong has no more than all.
        (self.file_pages() + reused).saturating_sub(gone).min(self.file_pages())
    }

    /// Returns whether a snapshot that this commit has dropped is dropped for good.
    pub fn is_durable(&self, commit: CommitId) -> bool {
        commit <= self.pager.shared.durable().get().id || seeded::on(Bug::ForgetUndurable)
    }

    /// Returns whether this commit is to fold: it is time for that or `forced`, and the space tree is known.
    ///
    /// It is time to fold when many changes have collected, or when the slot is nearly full and little would be
    /// written.
    pub fn is_to_fold(&self, forced: bool) -> bool {
        let WriteState { space, records, .. } = &*self.state;
        let much = space.is_much(self.state.changes + self.freed.len());
        let full = !records.spilled.is_empty() || records.inline_bytes.bytes.len() * 4 > RECORDS_MAX * 3;
        let in_time = (1..=FOLD_SMALL).contains(&space.changes());
        space.foldable() && (forced || much || full && in_time || is_often())
    }

    /// Fails if what was loaded of the space tree is impossible.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn check_space(&self) -> Result<()> {
        match self.damage {
            Some(damage) => Err(damage.error()),
            None => Ok(()),
        }
    }

    /// Returns whether the space tree is known as far as a fold needs it. If it is not, the zones that are wanted have
    /// to be loaded.
    pub fn can_fold(&mut self) -> bool {
        let state = &mut *self.state;
        if state.space.tree_is_other() {
            let records = state.records.above(state.folded);
            state.space = Space::open(state.tip.pages, state.dead, records);
            self.look_again();
        }
        self.state.space.foldable()
    }

    /// Returns what is to be folded into the space tree. `recorded` is what the list of snapshots will say with this
    /// commit. The caller writes all of it into the space tree within this commit.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn fold(&mut self, recorded: &RecordedCommits) -> Result<&Fold> {
        self.state.space.join();
        self.shrink();
        let space = &self.state.space;
        let parked = space.parkable(self.id, recorded)?;
        let edits = space.edits(&parked, self.growth_start())?;
        let reaped = Vec::new();
        Ok(self.fold.insert(Fold { edits, parked, reaped }))
    }

    /// Takes note that the fold puts parked extents back among the dead ones, because nobody recorded sees them.
    ///
    /// # Errors
    /// `Corrupt`: they are not in the file, are in use for something else, or are listed twice. `NoMemory`.
    pub fn reap(&mut self, reaped: Vec<Parked>) -> Result<()> {
        let mut runs: Vec<Run> = Vec::new();
        Error::or_room(&mut runs, reaped.len(), "the list of pages that snapshots kept")?;
        runs.extend(reaped.iter().map(|parked| parked.extent.run));
        runs.sort_unstable();
        let mut end = self.pager.first_page();
        for run in runs {
            let inside = run.first >= end && run.end() <= self.growth_start();
            if !inside || run.end() > ZoneNo::of(run.first).end() || self.state.space.overlaps(run) {
                return Err(Error::corrupt(
                    run.first,
                    "pages that are parked for snapshots cannot be dead ones",
                ));
            }
            end = run.end();
        }
        if let Some(fold) = &mut self.fold {
            fold.reaped = reaped;
        }
        Ok(())
    }
}
