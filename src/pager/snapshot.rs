//! Readers: how a snapshot is registered, and what is known about all snapshots.

use super::core::Pager;
use super::descriptor::Descriptor;
use super::shared::ReaderSlot;
use super::view::{OwnedView, View};
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::util::seeded::{self, Bug};
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// A registered reader. Its snapshot is held until this is dropped.
#[derive(Debug)]
pub struct Snapshot {
    view: OwnedView,
    desc: Descriptor,
    slot: ReaderSlot,
    /// Whether this is a state that a named snapshot or a reader held, and not the newest at the time.
    is_older: bool,
}

/// One reader of the database, in any process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderInfo {
    /// The system's number of the reader's process.
    pub pid: u32,
    /// The commit that the reader sees.
    pub id: CommitId,
    /// The milliseconds since the reader began or was moved to that commit.
    pub age_ms: u64,
    /// The pages that nobody else sees and that are kept for it, as far as this process knows; 0 while somebody
    /// writes here.
    pub kept_pages: u64,
}

impl Pager {
    /// Registers a reader of the newest visible commit. This takes a few nanoseconds and never blocks.
    ///
    /// # Errors
    /// `Poisoned`: that commit may not survive. `Limit`: every reader slot is taken. `Forked`. If the file has grown,
    /// `Corrupt`, `Io`.
    #[inline]
    pub fn begin_read(self: &Arc<Self>) -> Result<Snapshot> {
        self.begin_read_with(|snapshot| snapshot)
    }

    /// Does what [`Pager::begin_read`] does, and hands the snapshot to `keep`, which puts it where it stays: it is
    /// large to move.
    #[inline(always)]
    pub fn begin_read_with<R>(self: &Arc<Self>, keep: impl FnOnce(Snapshot) -> R) -> Result<R> {
        self.check_fork()?;
        let mut desc = Descriptor::default();
        let slot = match self.shared.register_in(&mut desc) {
            Ok(slot) => slot,
            Err(_) => {
                self.reap(None);
                self.shared.register_in(&mut desc)?
            }
        };
        if desc.pages > self.file_pages.load(SeqCst) || self.is_poisoned() {
            if let Err(error) = self.check_snapshot(&desc) {
                self.shared.unregister(slot);
                return Err(error);
            }
        }
        Ok(keep(Snapshot {
            view: OwnedView::new(self.clone(), desc.pages),
            desc,
            slot,
            is_older: false,
        }))
    }

    /// Registers a reader of an earlier state, which `find` finds in the list of snapshots of the newest commit, seen
    /// by the reader that it is given. `None` stands for that commit itself.
    ///
    /// A snapshot can be dropped and its pages be reused between the look at the list and the claim, so the claim
    /// counts only if the commit with that list is still the newest visible one (I-22).
    ///
    /// # Errors
    /// Those of [`Pager::begin_read`] and of `find`.
    pub fn begin_read_at(
        self: &Arc<Self>,
        mut find: impl FnMut(&Snapshot) -> Result<Option<Descriptor>>,
    ) -> Result<Snapshot> {
        let mut reader = self.begin_read()?;
        loop {
            let Some(older) = find(&reader)? else {
                return Ok(reader);
            };
            let newest = reader.desc;
            let still = self.shared.claim_older(reader.slot, older.id, newest.id);
            if still || seeded::on(Bug::TrustOldList) {
                reader.desc = Descriptor {
                    pages: older.pages.min(newest.pages),
                    ..older
                };
                reader.view.resize(reader.desc.pages);
                reader.is_older = true;
                return Ok(reader);
            }
            reader.desc = self.shared.move_reader(reader.slot);
            self.check_snapshot(&reader.desc)?;
            reader.view.resize(reader.desc.pages);
        }
    }

    /// Makes sure that the pages of a snapshot can be read here and, after a failed sync, that the snapshot is
    /// durable, because nothing else may be read then.
    #[cold]
    #[inline(never)]
    fn check_snapshot(&self, desc: &Descriptor) -> Result<()> {
        self.ensure_mapped(desc)?;
        if self.is_poisoned() {
            self.notice_poison();
            if desc.id > self.shared.durable().get().id {
                return Err(Error::Poisoned);
            }
        }
        Ok(())
    }

    /// Returns the commits that readers of all processes hold, in ascending order, once per reader.
    pub fn held(&self) -> Vec<CommitId> {
        self.shared.held()
    }

    /// Returns every reader of the database, the oldest snapshot first. The readers of dead processes are ended
    /// before.
    pub fn readers(&self) -> Vec<ReaderInfo> {
        self.reap(None);
        let state = self.write_state.lock();
        let kept = |id| state.as_ref().map_or(0, |state| state.space.kept_for(id));
        let mut readers: Vec<ReaderInfo> = self
            .shared
            .readers()
            .iter()
            .map(|r| ReaderInfo {
                pid: r.pid,
                id: r.id,
                age_ms: r.age_ms,
                kept_pages: kept(r.id),
            })
            .collect();
        readers.sort_by_key(|r| (r.id, std::cmp::Reverse(r.age_ms)));
        readers
    }

    /// Ends the readers of dead processes, or if `before` is given, of those that hold commits before it.
    pub(super) fn reap(&self, before: Option<CommitId>) {
        for process in self.shared.other_processes(before) {
            // If locks do not work, no process is known to be dead, and nothing is ended.
            let _ = self.peers.reap(process, &mut || self.shared.end_readers(process));
        }
    }

    /// Learns that another process has made the file grow to at least `pages` pages.
    #[cold]
    fn learn_file_length(&self, pages: u64) -> Result<()> {
        let size = self.page_size as u64;
        if pages > self.memory.reserved() / size {
            return Err(self.outgrown());
        }
        // A length that is read while the file is cut does not count. If the cut comes later, the next writer here
        // learns the length after this.
        let _learning = self.cuts.lock();
        let there = loop {
            let cuts = self.shared.cuts().load(SeqCst);
            let there = self.storage.len()? / size;
            if self.shared.cuts().load(SeqCst) == cuts {
                break there;
            }
        };
        // The file may have been made longer than can be mapped here.
        self.learn_pages(there.min(self.memory.reserved() / size))?;
        match there >= pages {
            true => Ok(()),
            false => Err(Error::corrupt(None, "the file is shorter than its newest commit says")),
        }
    }

    /// Makes sure that the pages of a snapshot can be read here.
    #[inline]
    pub(super) fn ensure_mapped(&self, desc: &Descriptor) -> Result<()> {
        if desc.pages > self.file_pages.load(SeqCst) {
            self.learn_file_length(desc.pages)?;
        }
        Ok(())
    }
}

impl Snapshot {
    /// Returns the descriptor of the commit that this reader sees.
    #[inline(always)]
    pub fn desc(&self) -> &Descriptor {
        &self.desc
    }

    /// Returns the pager of the database.
    #[inline(always)]
    pub fn pager(&self) -> &Arc<Pager> {
        self.view.pager()
    }

    /// Returns read access to the pages of the snapshot.
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        *self.view.get()
    }

    /// Does what [`Snapshot::view`] does, but returns a reference, which is enough to read once.
    #[inline(always)]
    pub fn view_ref(&self) -> &View<'_> {
        self.view.get()
    }

    /// Returns whether this was an earlier state already when the reader began.
    #[inline(always)]
    pub fn is_older(&self) -> bool {
        self.is_older
    }

    /// Returns the milliseconds since the reader began or was moved to its commit.
    pub fn age_ms(&self) -> u64 {
        self.pager().shared.age_ms(self.slot)
    }

    /// Registers another reader of the same commit, which is held as long as this one is there.
    ///
    /// # Errors
    /// Those of [`Pager::begin_read`].
    pub fn again(&self) -> Result<Snapshot> {
        let mut reader = self.pager().begin_read()?;
        // This reader holds the commit while the other claims it.
        self.pager()
            .shared
            .claim_older(reader.slot, self.desc.id, CommitId::NONE);
        reader.desc = self.desc;
        reader.view.resize(self.desc.pages);
        reader.is_older = true;
        Ok(reader)
    }

    /// Moves to the newest visible commit. Returns `false` if it is on that commit already and the database is not
    /// poisoned.
    ///
    /// # Errors
    /// `Poisoned`, `Forked`, `Limit`, `Corrupt`, `Io`: the reader stays registered.
    pub fn refresh(&mut self) -> Result<bool> {
        self.pager().check_fork()?;
        // What a reader of an earlier state has seen is not all of a commit, even if that is the newest.
        let newest = !self.is_older && self.pager().shared.is_newest(self.slot, self.desc.id);
        if newest && !self.pager().is_poisoned() {
            return Ok(false);
        }
        // A reader that has let go of its commit cannot go back to it. So what could stand in the way is asked first;
        // only a commit that is made in between can still fail the second check.
        self.pager().check_snapshot(&self.pager().newest())?;
        self.desc = self.pager().shared.move_reader(self.slot);
        let checked = self.pager().check_snapshot(&self.desc);
        self.is_older = false;
        self.view.resize(self.desc.pages);
        checked.map(|()| true)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // A child has no slot of its own: this slot is its parent's.
        if self.pager().check_fork().is_ok() {
            self.pager().shared.unregister(self.slot);
        }
    }
}
