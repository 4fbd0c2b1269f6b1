//! What named snapshots see: it leaves the mirror when it is parked, and comes back when nobody recorded sees it.

use super::dead::Parked;
use super::horizon::Holder;
use super::{Space, PARKED};
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::pager::recorded::RecordedCommits;

impl Space {
    /// Returns what snapshots see that have a name in `recorded`, in ascending order, to be parked by the commit
    /// `fold`.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn parkable(&self, fold: CommitId, recorded: &RecordedCommits) -> Result<Vec<Parked>> {
        let mut parked = Vec::new();
        let named = self.blocked.iter().filter(|(holder, _)| holder.is_named);
        for (holder, pages) in named.filter(|(holder, _)| recorded.is_named(holder.commit)) {
            Error::or_room(&mut parked, pages.len(), PARKED)?;
            let extents = pages.iter().filter_map(|page| self.mirror.get(*page));
            parked.extend(extents.map(|dead| Parked {
                holder: holder.commit,
                fold,
                extent: dead.extent,
                death: dead.death,
            }));
        }
        parked.sort_unstable_by_key(|parked| (parked.holder, parked.extent.birth, parked.extent.run.first));
        Ok(parked)
    }

    /// Takes out what was parked.
    pub fn park(&mut self, parked: &[Parked]) {
        for run in parked.iter().map(|parked| parked.extent.run) {
            self.mirror.remove(run.first);
            self.mirror_pages -= run.pages;
            self.blocked_pages -= run.pages;
            self.named_pages -= run.pages;
        }
        for list in parked.chunk_by(|a, b| a.holder == b.holder) {
            self.blocked.remove(&Holder {
                commit: list[0].holder,
                is_named: true,
            });
        }
    }

    /// Takes back what was parked, as the space tree has it from now on.
    pub fn unpark(&mut self, parked: &[Parked]) {
        if self.waiting.try_reserve(parked.len()).is_err() {
            self.lists_incomplete = true;
            return;
        }
        for dead in parked.iter().map(Parked::dead) {
            self.keep(dead);
            self.waiting.push((dead.death, dead.extent.run.first));
        }
        self.waiting.sort_unstable();
        self.stale = true;
    }
}
