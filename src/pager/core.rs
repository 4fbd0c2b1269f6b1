//! The pager: what all handles and transactions of one file share.
//!
//! This file only says what a pager consists of. The files named after its activities say what it does: opening,
//! viewing, registering readers, writing, committing, syncing.

use super::commit::{SyncTurns, WaitInVain};
use super::dead_pages::NotedDeadPages;
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
use crate::util::lock::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::Duration;

/// Figures of the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct FileStat {
    /// The bytes of a page.
    pub page_size: u32,
    /// The pages of the file at the newest visible commit, meta pages included.
    pub pages: u64,
    /// The pages that nobody needs, as far as is known without reading the whole space tree.
    pub free_pages: u64,
    /// The pages that died but are still needed by a reader or an undurable commit, as far as is known.
    pub pending_pages: u64,
    /// The pages that died and that named snapshots keep, as far as is known: those that are put aside for them in the
    /// file, and those of which this process has found that only snapshots and older readers see them.
    pub parked_pages: u64,
    /// Whether these three numbers are of the newest visible commit. They are not if another process has committed
    /// since this one last had the write lock, or if others had the database open already when this one opened it.
    pub dead_pages_known: bool,
    /// The pages that scans, differences and readers of long values announced since this process opened the file: the
    /// system was told to read them ahead, because they did not seem to be in memory. One that is announced again after
    /// it was read counts again. Checks and backups are not counted, which read all that they announce.
    pub announced_pages: u64,
    /// Those of them that were read afterwards, by whatever call of this process.
    pub announced_pages_used: u64,
    /// The newest visible commit.
    pub visible: CommitId,
    /// The newest durable commit.
    pub durable: CommitId,
    /// The number of registered readers.
    pub readers: u32,
    /// The oldest commit that a reader holds, or `visible` if there is no reader.
    pub oldest: CommitId,
}

/// The file of one database, shared by every handle and transaction. It is the only owner of its `Storage`.
pub struct Pager {
    pub(super) shared: Shared,
    /// What the writer knows. It is absent while a thread of this process writes.
    pub(super) write_state: Mutex<Option<Box<WriteState>>>,
    pub(super) write_state_returned: Condvar,
    /// The threads of this process that wait for it.
    pub(super) write_waiters: AtomicU64,
    /// How often this process has released the write lock while somebody waited for it, in whatever process.
    pub(super) passed_on: AtomicU64,
    /// The parked pages that commits of this process have given back.
    pub(super) reaped_pages: AtomicU64,
    /// The bytes by which writers of this process have cut the file.
    pub(super) cut_bytes: AtomicU64,
    pub(super) sync_turns: SyncTurns,
    pub(super) memory: Mapped,
    /// The tags of the pages that the file is known to hold, and of some more.
    pub(super) tags: Atomics<AtomicU16>,
    /// The number of pages that the file is known to hold. It falls only where the file was cut, and never below what
    /// a registered reader sees (I-30).
    pub(super) file_pages: AtomicU64,
    /// How often the file was cut when its length was learned last.
    pub(super) cuts: Mutex<u64>,
    pub(super) page_size: usize,
    pub(super) verify: Verify,
    /// How long other processes are waited for, unless a call says otherwise.
    pub(super) wait: Option<Duration>,
    pub(super) read_only: bool,
    pub(super) uuid: [u8; 16],
    /// The random number that all commits of the file have.
    pub(super) timeline: u64,
    /// The features that the file uses beyond the format's first version. Each commit carries them over.
    pub(super) features: Features,
    /// Whether the tags were cleared after the poisoning.
    pub(super) poison_seen: AtomicBool,
    /// Whether the file could not be made longer when that was last tried. Writers then use what holes there are.
    pub(super) is_full: AtomicBool,
    /// The last wait for the right to sync, if it was in vain.
    pub(super) sync_in_vain: Mutex<Option<WaitInVain>>,
    /// The number of forks before this was opened. A child must not touch the pager.
    pub(super) forks: u32,
    /// Whether the pages that were to be read soon were in memory when they were last looked for.
    pub(super) resident: AtomicBool,
    /// The pages that were announced, and those of them that were read then.
    pub(super) announced_pages: AtomicU64,
    pub(super) announced_pages_used: AtomicU64,
    /// What the leaves were like that finished transactions have read.
    pub(super) leaf_hints: LeafHints,
    /// Where leaves were found to lie side by side.
    pub(super) branch_hints: Atomics<AtomicU64>,
    pub(super) dead_pages: NotedDeadPages,
    /// The peers. This field comes before the storage, because who leaves says so while the file is open.
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
    /// Returns the bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// Returns what the leaves were like that finished transactions have read.
    #[inline(always)]
    pub fn leaf_hints(&self) -> &LeafHints {
        &self.leaf_hints
    }

    /// Returns whether writing is impossible.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Returns whether the file has features that this version does not know and that forbid writing.
    pub fn has_unknown_features(&self) -> bool {
        self.features.forbid_writing()
    }

    /// Returns whether a sync or a slot write has failed, in any process that has the database open.
    #[inline(always)]
    pub fn is_poisoned(&self) -> bool {
        self.shared.is_poisoned()
    }

    /// Returns whether nobody else in any process has this database open. If so, nobody can open it until this one is
    /// closed.
    pub fn is_last(&self) -> bool {
        self.peers.is_last()
    }

    /// Fails with `Forked` if this process is a child of the one that opened the database.
    ///
    /// # Errors
    /// `Forked`.
    #[inline(always)]
    pub fn check_fork(&self) -> Result<()> {
        match fork::count() == self.forks {
            true => Ok(()),
            false => Err(Error::Forked),
        }
    }

    /// Learns that the file holds at least `pages` pages. Their tags are there before anybody looks at them.
    ///
    /// # Errors
    /// `NoMemory`: there is no room for the tags.
    pub(super) fn learn_pages(&self, pages: u64) -> Result<()> {
        self.tags.grow(pages)?;
        self.file_pages.fetch_max(pages, SeqCst);
        Ok(())
    }

    /// Returns the answer if the file would have to be longer than it can be mapped.
    pub(super) fn outgrown(&self) -> Error {
        Error::Outgrown {
            reserved: self.memory.reserved(),
        }
    }

    /// Returns the first page behind the meta slots.
    #[inline(always)]
    pub(super) fn first_page(&self) -> PageNo {
        PageNo::new(meta_pages(self.page_size))
    }

    /// Returns the newest visible commit without holding it.
    pub fn newest(&self) -> Descriptor {
        self.shared.newest()
    }

    /// Returns how many pages that snapshots kept commits of this process have given back.
    pub fn reaped_pages(&self) -> u64 {
        self.reaped_pages.load(SeqCst)
    }

    /// Returns by how many bytes writers of this process have cut the file.
    pub fn cut_bytes(&self) -> u64 {
        self.cut_bytes.load(SeqCst)
    }

    /// Returns the time of a commit, in nanoseconds since 1970, or `None` if it is not among the newest.
    pub fn time_of(&self, id: CommitId) -> Option<u64> {
        self.shared.time_of(id)
    }

    /// Returns the UUID of the file.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    /// Returns figures of the file.
    pub fn stat(&self) -> FileStat {
        let held = self.shared.held();
        let (dead, visible) = self.dead_pages.read(|| self.newest());
        FileStat {
            page_size: self.page_size as u32,
            pages: visible.pages,
            free_pages: dead.free,
            pending_pages: dead.pending,
            parked_pages: dead.parked,
            // A commit of this process is the newest before it is visible.
            dead_pages_known: dead.commit >= visible.id,
            announced_pages: self.announced_pages.load(SeqCst),
            announced_pages_used: self.announced_pages_used.load(SeqCst),
            visible: visible.id,
            durable: self.shared.durable().get().id,
            readers: held.len() as u32,
            oldest: held.first().copied().unwrap_or(visible.id),
        }
    }
}
