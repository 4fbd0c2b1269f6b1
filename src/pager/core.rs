//! The pager: what all handles and transactions of one file share.
//!
//! This file only says what a pager consists of. What it does is in the files named after it: opening, viewing,
//! registering readers, writing, committing, syncing.

use super::commit::SyncTurns;
use super::descriptor::Descriptor;
use super::options::Verify;
use super::shared::Shared;
use super::write_state::WriteState;
use crate::error::{Error, Result};
use crate::file::map::Atomics;
use crate::file::peers::Peers;
use crate::file::{fork, Mapped, Storage};
use crate::ids::{CommitId, PageNo};
use crate::page::features::Features;
use crate::page::hint::leaf::LeafHints;
use crate::page::meta_pages;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;

/// Figures of the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileStat {
    /// Bytes of a page.
    pub page_size: u32,
    /// Pages of the file at the newest commit, meta pages included.
    pub pages: u64,
    /// Pages nobody needs, as far as known without reading the whole space tree.
    pub free_pages: u64,
    /// Pages that died but are still held by a reader or an undurable commit, as far as known.
    pub pending_pages: u64,
    /// Newest visible commit.
    pub visible: CommitId,
    /// Newest durable commit.
    pub durable: CommitId,
    /// Readers registered.
    pub readers: u32,
    /// Oldest commit held by a reader (`visible` if none).
    pub oldest: CommitId,
}

/// One environment's file: the only owner of its `Storage`. Shared by every handle and transaction.
pub struct Pager {
    pub(super) shared: Shared,
    /// What the writer knows; absent while a thread of this process writes.
    pub(super) write_state: Mutex<Option<Box<WriteState>>>,
    pub(super) write_state_returned: Condvar,
    pub(super) sync_turns: SyncTurns,
    pub(super) memory: Mapped,
    pub(super) tags: Atomics<AtomicU16>,
    /// Pages the file is known to hold; it never shrinks.
    pub(super) file_pages: AtomicU64,
    pub(super) page_size: usize,
    pub(super) verify: Verify,
    pub(super) read_only: bool,
    pub(super) uuid: [u8; 16],
    /// What the file contains beyond the format's first version; each commit carries it over.
    pub(super) features: Features,
    /// The tags were cleared after the poisoning.
    pub(super) poison_seen: AtomicBool,
    /// Forks before this was opened: a child must not touch it.
    pub(super) forks: u32,
    /// Pages that were to be read soon and looked for last were in memory.
    pub(super) resident: AtomicBool,
    /// What the leaves were like that ended transactions looked into.
    pub(super) leaf_hints: LeafHints,
    /// Where leaves were found to lie side by side.
    pub(super) branch_hints: Atomics<AtomicU64>,
    pub(super) free_pages: AtomicU64,
    pub(super) pending_pages: AtomicU64,
    /// Before the storage: who leaves says so while the file is open.
    pub(super) peers: Arc<dyn Peers>,
    pub(super) storage: Arc<dyn Storage>,
    /// The entry in the list of open files. It is the last field, so that it goes after the file was closed.
    pub(super) _registration: Option<Box<dyn Send + Sync>>,
}

impl std::fmt::Debug for Pager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pager")
            .field("page_size", &self.page_size)
            .field("stat", &self.stat())
            .finish_non_exhaustive()
    }
}

impl Pager {
    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// What the leaves were like that ended transactions looked into.
    #[inline(always)]
    pub fn leaf_hints(&self) -> &LeafHints {
        &self.leaf_hints
    }

    /// Whether writing is impossible.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Whether a sync or slot write failed since the environment was opened.
    pub fn is_poisoned(&self) -> bool {
        self.shared.is_poisoned()
    }

    /// Whether nobody else, in no process, has this database open; if so, nobody can open it until this one is closed.
    pub fn is_last(&self) -> bool {
        self.peers.is_last()
    }

    /// Whether this process is a child of the one that opened the database.
    #[inline(always)]
    pub(super) fn check_fork(&self) -> Result<()> {
        match fork::count() == self.forks {
            true => Ok(()),
            false => Err(Error::Forked),
        }
    }

    /// First page behind the meta slots.
    #[inline(always)]
    pub(super) fn first_page(&self) -> PageNo {
        PageNo::new(meta_pages(self.page_size))
    }

    /// The newest visible commit, without holding it.
    pub fn newest(&self) -> Descriptor {
        self.shared.newest()
    }

    /// Figures of the file.
    pub fn stat(&self) -> FileStat {
        let held = self.shared.held();
        let visible = self.newest();
        FileStat {
            page_size: self.page_size as u32,
            pages: visible.pages,
            free_pages: self.free_pages.load(SeqCst),
            pending_pages: self.pending_pages.load(SeqCst),
            visible: visible.id,
            durable: self.shared.durable().get().id,
            readers: held.len() as u32,
            oldest: held.first().copied().unwrap_or(visible.id),
        }
    }
}
