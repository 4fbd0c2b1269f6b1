//! Readers: registering a snapshot, and what is known about everybody's.

use super::core::Pager;
use super::descriptor::Descriptor;
use super::view::{OwnedView, View};
use crate::error::{Error, Result};
use crate::ids::CommitId;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::Arc;

/// A registered reader: a snapshot that is held until dropped.
#[derive(Debug)]
pub struct Snapshot {
    view: OwnedView,
    desc: Descriptor,
    slot: u32,
}

/// One reader of the database, in whatever process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderInfo {
    /// The system's number of its process.
    pub pid: u32,
    /// Commit that it sees.
    pub id: CommitId,
    /// Milliseconds since it began (or was moved to that commit).
    pub age_ms: u64,
    /// Pages that nobody else sees and that are kept for it, as far as this process knows (0 while somebody writes).
    pub kept_pages: u64,
}

impl Pager {
    /// Registers a reader on the newest visible commit. A few nanoseconds; never blocks.
    ///
    /// # Errors
    /// `Poisoned` when that commit may not survive; `Limit` when every reader slot is taken; `Forked`.
    #[inline]
    pub fn begin_read(self: &Arc<Self>) -> Result<Snapshot> {
        self.begin_read_with(|snapshot| snapshot)
    }

    /// As [`Pager::begin_read`]; `keep` puts the reader where it stays: it is a large thing to move.
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
        }))
    }

    /// Makes sure that a snapshot can be reached from here, and after a failed sync that it is durable: nothing else may
    /// be read then.
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

    /// Commits held by readers of all processes, ascending, once per reader.
    pub fn held(&self) -> Vec<CommitId> {
        self.shared.held()
    }

    /// Every reader of the database, the oldest snapshot first. Those of processes that died are ended first.
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

    /// Ends the readers of dead processes, those that hold commits before `before` if that is told.
    pub(super) fn reap(&self, before: Option<CommitId>) {
        for process in self.shared.other_processes(before) {
            // Without locks nobody is known to be dead.
            let _ = self.peers.reap(process, &mut || self.shared.end_readers(process));
        }
    }

    /// Learns that the file has grown to at least `pages`, through another process.
    #[cold]
    fn learn_file_length(&self, pages: u64) -> Result<()> {
        let size = self.page_size as u64;
        if pages > self.memory.reserved() / size {
            return Err(Error::Limit(
                "another process let the file outgrow the address range reserved for it here; open it again",
            ));
        }
        let there = self.storage.len()? / size;
        self.file_pages.fetch_max(there, SeqCst);
        match there >= pages {
            true => Ok(()),
            false => Err(Error::corrupt(None, "the file is shorter than its newest commit says")),
        }
    }

    /// Makes sure that a snapshot's pages can be reached from here.
    #[inline]
    pub(super) fn ensure_mapped(&self, desc: &Descriptor) -> Result<()> {
        if desc.pages > self.file_pages.load(SeqCst) {
            self.learn_file_length(desc.pages)?;
        }
        Ok(())
    }
}

impl Snapshot {
    /// What this reader sees.
    #[inline(always)]
    pub fn desc(&self) -> &Descriptor {
        &self.desc
    }

    /// Its environment.
    #[inline(always)]
    pub fn pager(&self) -> &Arc<Pager> {
        self.view.pager()
    }

    /// Read access to the snapshot's pages.
    #[inline(always)]
    pub fn view(&self) -> View<'_> {
        *self.view.get()
    }

    /// As [`Snapshot::view`], for a single look.
    #[inline(always)]
    pub fn view_ref(&self) -> &View<'_> {
        self.view.get()
    }

    /// Moves to the newest visible commit; whether that is another one.
    ///
    /// # Errors
    /// As `begin_read`; the reader stays registered.
    pub fn refresh(&mut self) -> Result<bool> {
        self.pager().check_fork()?;
        if self.pager().shared.is_newest(self.slot, self.desc.id) && !self.pager().is_poisoned() {
            return Ok(false);
        }
        self.desc = self.pager().shared.move_reader(self.slot);
        let checked = self.pager().check_snapshot(&self.desc);
        self.view.resize(self.desc.pages);
        checked.map(|()| true)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // The slot of a child is its parent's.
        if self.pager().check_fork().is_ok() {
            self.pager().shared.unregister(self.slot);
        }
    }
}
