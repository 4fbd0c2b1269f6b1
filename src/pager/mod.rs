//! Page number -> page: verify, allocate, reclaim, commit, recover.
//!
//! | file      | subject                                                                             |
//! |-----------|-------------------------------------------------------------------------------------|
//! | `view`    | pages in place, verified on first touch                                               |
//! | `shared`  | the words every thread looks at: tip, visible, durable, ring of descriptors, readers     |
//! | `writing` | the writer's seat; pages taken, written, released                                      |
//! | `commit`  | publishing, syncing, poison                                                            |
//! | `tail`    | the record each recent commit has in its meta slot                                     |
//! | `space`   | dead pages: the reuse rule, the mirror of the space tree                                 |
//! | `alloc`   | runs of pages by address and by size                                                   |
//! | `recover` | the newest whole commit                                                                |
//! | `open`    | by path, once per process                                                              |
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

mod alloc;
mod commit;
mod open;
mod recover;
mod shared;
mod space;
mod tail;
mod view;
mod writing;

pub use open::{open_file, open_memory, CreateMode};
pub use view::View;
pub use writing::Writing;

use crate::error::{Error, Result};
use crate::file::map::Atomics;
use crate::file::{Mapped, Storage};
use crate::page::{meta_pages, Root, PAGE_MAX, PAGE_MIN};
use crate::util::seeded::{self, Bug};
use parking_lot::{Condvar, Mutex};
use shared::{Seat, Shared};
use space::Space;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use writing::WriteState;

/// What a snapshot sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Desc {
    /// Commit id.
    pub id: u64,
    /// Pages of the file then.
    pub pages: u64,
    /// Tree of the default table.
    pub main: Root,
    /// Catalogue tree: named tables.
    pub catalogue: Root,
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
    pub id: u64,
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
    pub visible: u64,
    /// Newest durable commit.
    pub durable: u64,
    /// Readers registered.
    pub readers: u32,
    /// Oldest commit held by a reader (`visible` if none).
    pub oldest: u64,
}

/// One environment's file: the only owner of its `Storage`. Shared by every handle and transaction.
pub struct Pager {
    shared: Shared,
    /// The writer's state; absent while somebody writes.
    seat: Mutex<Option<WriteState>>,
    seat_free: Condvar,
    sync_lock: Mutex<()>,
    memory: Mapped,
    tags: Atomics<AtomicU16>,
    /// Pages the file is known to hold; it never shrinks.
    file_pages: AtomicU64,
    page_size: usize,
    verify: Verify,
    read_only: bool,
    uuid: [u8; 16],
    /// Feature bits carried over: those a writer must understand, those that may be ignored.
    features: (u32, u32),
    free_pages: AtomicU64,
    pending_pages: AtomicU64,
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

/// A registered reader: a snapshot that is held until dropped.
#[derive(Debug)]
pub struct Pin {
    pager: Arc<Pager>,
    desc: Desc,
    slot: u32,
}

/// The roots a commit publishes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Roots {
    /// Tree of the default table.
    pub main: Root,
    /// Catalogue tree.
    pub catalogue: Root,
    /// Hidden tree of dead extents.
    pub space: Root,
}

/// A dead extent: pages that died and may be reused by and by. What the space tree holds, keyed by first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dead {
    /// First page.
    pub page: u64,
    /// Pages; an extent never crosses a zone border.
    pub pages: u64,
    /// Commit that wrote them.
    pub birth: u64,
    /// Commit from which on they are not referenced.
    pub death: u64,
}

/// Pages of a zone: the unit in which a writer loads dead extents.
pub const ZONE_PAGES: u64 = 1 << 16;

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
    Ok(recover::empty_image(size, new_uuid(), now()))
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

    /// Opens what `storage` holds.
    fn start(
        storage: Arc<dyn Storage>,
        options: &PagerOptions,
        registration: Option<open::Registration>,
    ) -> Result<(Arc<Pager>, Recovery)> {
        let read_only = options.read_only || storage.read_only();
        let skip = seeded::on(Bug::RecoverUnsynced);
        match if skip { Ok(()) } else { storage.sync() } {
            // Nothing is ever overwritten on the strength of what a read-only opener believes.
            Err(Error::Io { .. }) if read_only => {}
            synced => synced?,
        }
        let mut found = recover::recover(&*storage)?;
        if seeded::on(Bug::ReuseIds) {
            found.max_id = found.meta.id;
        }
        let meta = found.meta;
        if meta.write != 0 && !read_only {
            let bits = meta.write;
            return Err(Error::TooNew(format!(
                "unknown features {bits:#x} forbid writing; open it read-only"
            )));
        }
        let page_size = meta.page_size as usize;
        let first = meta_pages(page_size);
        let memory = storage.memory();
        let desc = Desc {
            id: meta.id,
            pages: meta.pages,
            main: meta.main,
            catalogue: meta.catalogue,
        };
        let records = found.tail.records().filter(|r| r.id > meta.folded);
        let space = Space::open(meta.pages, meta.dead, records.map(|r| &**r));
        let state = WriteState {
            space,
            tip: desc,
            space_root: meta.space,
            tail: found.tail,
            folded: meta.folded,
            dead: meta.dead,
            inline_bytes: meta.inline.len(),
            erase: found.rejected.clone(),
            unsynced: Vec::new(),
        };
        let seat = Seat {
            id: meta.id,
            slot: found.slot,
        };
        let pager = Pager {
            shared: Shared::new(seat, &desc, meta.base, found.max_id)?,
            pending_pages: AtomicU64::new(state.space.known()),
            free_pages: AtomicU64::new(0),
            seat: Mutex::new(Some(state)),
            seat_free: Condvar::new(),
            sync_lock: Mutex::new(()),
            tags: Atomics::new(memory.reserved() / page_size as u64)?,
            memory,
            file_pages: AtomicU64::new((storage.len()? / page_size as u64).max(first)),
            page_size,
            verify: options.verify,
            read_only,
            uuid: meta.uuid,
            features: (meta.write, meta.may),
            storage,
            registration,
        };
        let recovery = Recovery {
            id: meta.id,
            discarded: found.rejected.len() as u32,
        };
        Ok((Arc::new(pager), recovery))
    }

    /// Bytes of a page.
    pub fn page_size(&self) -> usize {
        self.page_size
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
        self.shared.poison.load(SeqCst)
    }

    /// First page behind the meta slots.
    #[inline(always)]
    fn first_page(&self) -> u64 {
        meta_pages(self.page_size)
    }

    /// Registers a reader on the newest visible commit. A few nanoseconds; never blocks.
    ///
    /// # Errors
    /// `Poisoned` when that commit may not survive; `Limit` when every reader slot is taken.
    pub fn begin_read(self: &Arc<Self>) -> Result<Pin> {
        let (slot, desc) = self.shared.register()?;
        let pin = Pin {
            pager: self.clone(),
            desc,
            slot,
        };
        pin.trusted().map(|()| pin)
    }

    /// The newest visible commit, without holding it.
    pub fn newest(&self) -> Desc {
        self.shared.newest()
    }

    /// Read access to pages below `pages` (`u64::MAX`: all the file has now, for a writer).
    #[inline]
    pub fn view(&self, pages: u64) -> View<'_> {
        View::new(self, pages)
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
            durable: self.shared.durable.get().id,
            readers: held.len() as u32,
            oldest: held.first().copied().unwrap_or(visible.id),
        }
    }

    /// Commits held by readers, ascending, once per reader.
    pub fn held(&self) -> Vec<u64> {
        self.shared.held()
    }

    /// Root of the space tree at the newest commit, the dead extents that commit's own tail records add to and take
    /// from it, and the pages its spilled records occupy: what the accounting check needs. Call with the writer's seat
    /// free; the answer belongs to the commit in `Desc`.
    ///
    /// # Errors
    /// `Busy` while somebody writes.
    pub fn accounting(&self) -> Result<Accounting> {
        let seat = self.seat.lock();
        let state = seat.as_ref().ok_or(Error::Busy("a transaction is writing"))?;
        let mut tail = Vec::new();
        for record in state.tail.records().filter(|r| r.id > state.folded) {
            tail.extend(record.taken.iter().map(|taken| Err(*taken)));
            tail.extend(record.freed.iter().map(|f| {
                Ok(Dead {
                    page: f.page,
                    pages: f.pages,
                    birth: f.birth,
                    death: record.id,
                })
            }));
        }
        let spill = state.tail.spilled.iter().map(|s| (s.spill.page, s.spill.pages));
        Ok(Accounting {
            desc: state.tip,
            space: state.space_root,
            tail,
            spill: spill.collect(),
        })
    }

    /// Makes everything durable; called when the environment's last handle goes, and harmless at other times.
    ///
    /// # Errors
    /// As [`Pager::sync`].
    pub fn close(&self) -> Result<()> {
        if self.read_only || self.is_poisoned() {
            return Ok(());
        }
        self.sync()
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        // Nobody is left to be told; what was acknowledged as durable is.
        let _ = self.close();
    }
}

impl Pin {
    /// What this reader sees.
    #[inline(always)]
    pub fn desc(&self) -> &Desc {
        &self.desc
    }

    /// Its environment.
    #[inline(always)]
    pub fn pager(&self) -> &Arc<Pager> {
        &self.pager
    }

    /// Read access to the snapshot's pages.
    #[inline]
    pub fn view(&self) -> View<'_> {
        self.pager.view(self.desc.pages)
    }

    /// Moves to the newest visible commit.
    ///
    /// # Errors
    /// As `begin_read`; the reader stays registered.
    pub fn refresh(&mut self) -> Result<()> {
        self.desc = self.pager.shared.move_reader(self.slot);
        self.trusted()
    }

    /// After a failed sync only what is durable may be read.
    fn trusted(&self) -> Result<()> {
        if self.pager.is_poisoned() && self.desc.id > self.pager.shared.durable.get().id {
            return Err(Error::Poisoned);
        }
        Ok(())
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.pager.shared.unregister(self.slot);
    }
}

/// What [`Pager::accounting`] answers.
#[derive(Debug, Clone, Default)]
pub struct Accounting {
    /// The commit this describes.
    pub desc: Desc,
    /// Space tree of that commit.
    pub space: Root,
    /// Changes to the space tree's content that are still in the tail, in order: `Ok` died, `Err((page, pages))` was
    /// taken into use again.
    pub tail: Vec<std::result::Result<Dead, (u64, u64)>>,
    /// Runs (page, pages) that hold spilled records.
    pub spill: Vec<(u64, u64)>,
}
