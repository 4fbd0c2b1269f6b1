//! Page number -> page: verify, allocate, reclaim, commit, recover.
//!
//! | file      | subject                                                                             |
//! |-----------|-------------------------------------------------------------------------------------|
//! | `view`    | pages in place, verified on first touch                                               |
//! | `shared`  | the words all processes look at: tip, visible, durable, ring of descriptors, readers     |
//! | `seat`    | the writer's seat: waiting for it, catching up with what others committed               |
//! | `writing` | what its holder does before the commit: pages taken, written, released                 |
//! | `commit`  | publishing, syncing, poison                                                            |
//! | `tail`    | the record each recent commit has in its meta slot                                     |
//! | `space`   | dead pages: the reuse rule, the mirror of the space tree                                 |
//! | `alloc`   | runs of pages by address and by size                                                   |
//! | `turns`   | who syncs, and who waits for it                                                        |
//! | `recover` | the newest whole commit                                                                |
//! | `image`   | the head of a copy of one snapshot                                                  |
//! | `open`    | by path, once per process                                                              |
//! | `readers` | readers: registering, and what is known about all of them                              |
//!
//! Invariants, quoted by number where they are upheld:
//!
//! - **I-1** A slot is written only if it is not the durable, the syncing or the newest commit's.
//! - **I-2** Slot n lists, with checksums, every byte written after commit base(n), which was durable when it was written.
//! - **I-3** A dead extent (B, D) is reused only if D <= durable, B <= base(durable), and no held h has B <= h < D. Pages
//!   taken and released by one transaction: at once.
//! - **I-4** Ids never repeat: used up before use; after recovery one above the highest seen in any slot.
//! - **I-5** `durable` rises only after a successful sync begun after that slot was written, or by recovery.
//! - **I-6** A claim (reader slot, `syncing`) counts only if its source is unchanged when read again after it.
//! - **I-7** `visible` never exposes a full commit that is not durable; a commit returns when it is visible.
//! - **I-8** Failure before the slot write: undone, usable. At the slot write or a sync: poisoned, in doubt.
//! - **I-9** The file reaches as far as a commit says before that commit is published.
//! - **I-10** Every pointer and extent carries its own birth. A transaction edits only pages it took itself.

mod commit;
mod open;
mod page_writer;
mod shared;
mod snapshot;
mod space;
mod view;
mod write_lock;

pub use crate::page::Roots;
pub use commit::{dead_changes, Image, SpaceChange};
pub use open::{open_file, open_memory, CreateMode};
pub use page_writer::PageWriter;
pub use snapshot::{ReaderInfo, Snapshot};
pub use view::View;
pub use write_lock::Accounting;

use crate::error::{Error, Result};
use crate::file::map::Atomics;
use crate::file::peers::Peers;
use crate::file::{fork, Mapped, Storage};
use crate::ids::{CommitId, PageNo};
use crate::page::features::Features;
use crate::page::hint::branch::ROWS;
use crate::page::hint::leaf::LeafHints;
use crate::page::meta::Meta;
use crate::page::{meta_pages, Extent, PAGE_MAX, PAGE_MIN};
use crate::util::seeded::{self, Bug};
use commit::Turns;
use parking_lot::{Condvar, Mutex};
use shared::{CommitSlot, Constants, Opening, Shared};
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use write_lock::WriteState;

/// What a snapshot sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// The commit.
    pub id: CommitId,
    /// Pages of the file then.
    pub pages: u64,
    /// Its trees.
    pub roots: Roots,
}

impl Descriptor {
    /// What a meta slot says of its commit.
    fn of(meta: &Meta) -> Descriptor {
        Descriptor {
            id: meta.id,
            pages: meta.pages,
            roots: meta.roots,
        }
    }
}

/// How long to wait for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Try,
    /// At most this long.
    For(Duration),
    /// Without end.
    Forever,
}

/// When a commit returns, and what may happen to it afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Visible and acknowledged once durable.
    #[default]
    Full,
    /// Visible at once; survives a killed process; durable by a later sync.
    Lazy,
}

/// How a database is opened or created.
#[derive(Debug, Clone)]
pub struct PagerOptions {
    /// Page size of a new file.
    pub page_size: usize,
    /// Never write; the file may be read-only.
    pub read_only: bool,
    /// When pages are verified against their checksums.
    pub verify: Verify,
}

/// When pages are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verify {
    /// On first touch after each time it was written (default).
    #[default]
    Once,
    /// On every access.
    Always,
    /// Never.
    Never,
}

/// What opening found and did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovery {
    /// Commit that is current now.
    pub id: CommitId,
    /// Newer, incomplete commits that were discarded.
    pub discarded: u32,
}

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
    shared: Shared,
    /// The writer's state; absent while somebody writes.
    seat: Mutex<Option<Box<WriteState>>>,
    seat_free: Condvar,
    turns: Turns,
    memory: Mapped,
    tags: Atomics<AtomicU16>,
    /// Pages the file is known to hold; it never shrinks.
    file_pages: AtomicU64,
    page_size: usize,
    verify: Verify,
    read_only: bool,
    uuid: [u8; 16],
    /// What the file contains beyond the format's first version; each commit carries it over.
    features: Features,
    /// The tags were cleared after the poisoning.
    poison_seen: AtomicBool,
    /// Forks before this was opened: a child must not touch it.
    forks: u32,
    /// Pages that were to be read soon and looked for last were in memory.
    resident: AtomicBool,
    /// What the leaves were like that ended transactions looked into.
    guess: LeafHints,
    /// Where leaves were found to lie in a row.
    rows: Atomics<AtomicU64>,
    free_pages: AtomicU64,
    pending_pages: AtomicU64,
    /// Before the storage: who leaves says so while the file is open.
    peers: Arc<dyn Peers>,
    storage: Arc<dyn Storage>,
    /// Last, so that it goes after the file was closed.
    registration: Option<open::Registration>,
}

impl std::fmt::Debug for Pager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pager")
            .field("page_size", &self.page_size)
            .field("stat", &self.stat())
            .finish_non_exhaustive()
    }
}

/// A dead extent: pages that died and may be reused by and by. What the space tree holds, keyed by first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dead {
    /// The pages, which never cross a zone border, and the commit that wrote them.
    pub extent: Extent,
    /// Commit from which on they are not referenced.
    pub death: CommitId,
}

/// The page that errors name when a meta slot is to blame.
const META_PAGE: PageNo = PageNo::new(0);

/// Pages of a zone: the unit in which a writer loads dead extents.
pub const ZONE_PAGES: u64 = 1 << 16;

/// Features that this version does not know and that forbid writing.
fn refuse_unknown(features: Features, read_only: bool) -> Result<()> {
    match features.write {
        bits if bits != 0 && !read_only => Err(Error::TooNew(format!(
            "unknown features {bits:#x} forbid writing; open it read-only"
        ))),
        _ => Ok(()),
    }
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A random (version 4) UUID.
fn new_uuid() -> [u8; 16] {
    let random = || {
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(now());
        hasher.write_u32(std::process::id());
        hasher.finish().to_le_bytes()
    };
    let (low, high) = (random(), random());
    let mut uuid: [u8; 16] = std::array::from_fn(|i| if i < 8 { low[i] } else { high[i - 8] });
    uuid[6] = uuid[6] & 0x0F | 0x40;
    uuid[8] = uuid[8] & 0x3F | 0x80;
    uuid
}

/// The content of a new database file.
fn new_image(options: &PagerOptions) -> Result<Vec<u8>> {
    let size = options.page_size;
    if !size.is_power_of_two() || !(PAGE_MIN..=PAGE_MAX).contains(&size) {
        return Err(Error::Invalid(
            "the page size must be a power of two from 4096 to 65536",
        ));
    }
    Ok(commit::empty_image(size, new_uuid(), now()))
}

impl Pager {
    /// Opens what `storage` holds, recovering if needed; writes a new empty database if it is empty and not read-only.
    ///
    /// # Errors
    /// `NotADatabase`, `TooNew`, `Corrupt`, `Io`, `NoSpace`, `ReadOnly` (empty file).
    pub fn open(storage: Arc<dyn Storage>, options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
        if storage.is_empty()? {
            if options.read_only || storage.read_only() {
                return Err(Error::ReadOnly("the file is empty and must not be written"));
            }
            storage.write_at(0, &new_image(options)?)?;
        }
        Pager::start(storage, options, None)
    }

    /// Opens what `storage` holds: recovers it if nobody has it open, else joins those who have.
    fn start(
        storage: Arc<dyn Storage>,
        options: &PagerOptions,
        registration: Option<open::Registration>,
    ) -> Result<(Arc<Pager>, Recovery)> {
        let forks = fork::count();
        let peers = storage.peers(shared::WORDS)?;
        let shared = Shared::new(peers.memory(), peers.index());
        let recovery = if peers.first() {
            Pager::recover(&*storage, options, &shared)?
        } else if shared.is_poisoned() {
            return Err(Error::Poisoned);
        } else {
            Recovery {
                id: shared.newest().id,
                discarded: 0,
            }
        };
        let constants = shared.constants();
        let page_size = constants.page_size as usize;
        let read_only = storage.read_only();
        refuse_unknown(constants.features, read_only || options.read_only)?;
        let memory = storage.memory();
        let pager = Pager {
            shared,
            pending_pages: AtomicU64::new(0),
            free_pages: AtomicU64::new(0),
            seat: Mutex::new(Some(Box::default())),
            seat_free: Condvar::new(),
            turns: Turns::default(),
            tags: Atomics::new(memory.reserved() / page_size as u64)?,
            memory,
            file_pages: AtomicU64::new((storage.len()? / page_size as u64).max(meta_pages(page_size))),
            page_size,
            verify: options.verify,
            read_only,
            uuid: constants.uuid,
            features: constants.features,
            poison_seen: AtomicBool::new(false),
            resident: AtomicBool::new(false),
            guess: LeafHints::default(),
            rows: Atomics::new(ROWS as u64)?,
            forks,
            peers,
            storage,
            registration,
        };
        if pager.peers.first() {
            // What was just read is still at hand; others load it when they write.
            pager.load_seat()?;
            pager.peers.admit()?;
        }
        Ok((Arc::new(pager), recovery))
    }

    /// Finds the newest whole commit, and tells it to all in `shared`.
    fn recover(storage: &dyn Storage, options: &PagerOptions, shared: &Shared) -> Result<Recovery> {
        let read_only = options.read_only || storage.read_only();
        let skip = seeded::on(Bug::RecoverUnsynced);
        match if skip { Ok(()) } else { storage.sync() } {
            // Nothing is ever overwritten on the strength of what this opener believes.
            Err(Error::Io { .. }) if storage.read_only() => {}
            synced => synced?,
        }
        let mut found = commit::recover(storage)?;
        if seeded::on(Bug::ReuseIds) {
            found.max_id = found.meta.id;
        }
        let meta = found.meta;
        let constants = Constants {
            page_size: meta.page_size,
            uuid: meta.uuid,
            features: meta.features,
        };
        refuse_unknown(constants.features, read_only)?;
        shared.fill(&Opening {
            tip: CommitSlot {
                id: meta.id,
                slot: found.slot,
            },
            desc: Descriptor::of(&meta),
            base: meta.base,
            max_id: found.max_id,
            erase: found.erase,
            constants,
        });
        Ok(Recovery {
            id: meta.id,
            discarded: found.discarded,
        })
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
    }

    /// What the leaves were like that ended transactions looked into.
    #[inline(always)]
    pub fn leaf_hints(&self) -> &LeafHints {
        &self.guess
    }

    /// UUID of the file.
    pub fn uuid(&self) -> [u8; 16] {
        self.uuid
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
    fn check_fork(&self) -> Result<()> {
        match fork::count() == self.forks {
            true => Ok(()),
            false => Err(Error::Forked),
        }
    }

    /// First page behind the meta slots.
    #[inline(always)]
    fn first_page(&self) -> PageNo {
        PageNo::new(meta_pages(self.page_size))
    }

    /// The newest visible commit, without holding it.
    pub fn newest(&self) -> Descriptor {
        self.shared.newest()
    }

    /// Read access to pages below `pages` (`u64::MAX`: all the file has now, for a writer).
    #[inline]
    pub fn view(&self, pages: u64) -> View<'_> {
        View::new(self, pages)
    }

    /// Makes everything durable; called when the environment's last handle goes, and harmless at other times.
    ///
    /// # Errors
    /// As [`Pager::sync`].
    pub fn close(&self) -> Result<()> {
        if self.read_only || self.is_poisoned() || self.check_fork().is_err() {
            return Ok(());
        }
        self.sync()
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

impl Drop for Pager {
    fn drop(&mut self) {
        // Nobody is left to be told; what was acknowledged as durable is.
        let _ = self.close();
    }
}
