//! Opening a database by path, once per process, or on a given storage. Every handle of the same file shares one
//! [`Pager`].
//!
//! Files are told apart by device and inode, so symbolic links, hard links and other spellings of a path find the
//! same pager. An entry goes when its pager has closed the file, and who opens the file meanwhile waits for that.

use super::commit::{empty_image, lost_slots, recover, SyncTurns};
use super::core::Pager;
use super::dead_pages::NotedDeadPages;
use super::descriptor::{Descriptor, Origin};
use super::options::PagerOptions;
use super::shared::{self, CommitSlot, Constants, Opening, Shared};
use crate::error::{Detail, Error, Foreign, Result};
use crate::file::fresh::Fresh;
use crate::file::map::Atomics;
use crate::file::memory::Memory;
use crate::file::posix::Candidate;
use crate::file::{fork, Identity, Storage};
use crate::ids::CommitId;
use crate::page::features::Features;
use crate::page::hint::branch::BRANCHES;
use crate::page::hint::leaf::LeafHints;
use crate::page::{meta_pages, PAGE_MAX, PAGE_MIN};
use crate::util::lock::{Condvar, Mutex};
use crate::util::seeded::{self, Bug};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long an opener waits for another process that is recovering or leaving, unless it wants to wait for a shorter
/// time.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many links are followed to a file that is to be created, as the system does it.
const LINKS: usize = 40;

/// What opening has found and done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recovery {
    /// The commit that is current now.
    pub id: CommitId,
    /// The number of newer, incomplete commits that were discarded.
    pub discarded: u32,
    /// A bit for each of the four meta slots (1 for the first) that cannot be read, or that is missing. After a crash
    /// it may be the torn slot of a commit that was not finished. Otherwise it was damaged, and if it was that of the
    /// newest commit, that is lost: the commit before it was opened. Zeros count as a lost slot where another slot
    /// shows that this one was written; otherwise they look as if it never was. The next commit writes the slot anew.
    pub lost_slots: u32,
    /// Whether nothing is known of a crash: the database was closed properly, no commit was begun since, and no slot is
    /// lost; or others had it open already.
    pub closed_properly: bool,
}

/// Whether a file may or must be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CreateMode {
    /// The file must exist.
    #[default]
    Open,
    /// The file must not exist.
    New,
    /// The file is created if it does not exist.
    OpenOrCreate,
}

/// How often a slot that seems lost is looked at while others may be writing it, and how long between two looks.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// Process, device and inode. A forked child inherits the list but not the right to its pagers, hence the process.
type Key = (u32, u64, u64);

/// The pagers by file. A weak reference that leads nowhere stands for one that is being opened or closed.
struct Registry {
    open: Mutex<BTreeMap<Key, Weak<Pager>>>,
    changed: Condvar,
}

/// A registry for each generation of children, because another thread may have had the parent's locked at the fork.
static REGISTRIES: [Registry; 16] = [const {
    Registry {
        open: Mutex::new(BTreeMap::new()),
        changed: Condvar::new(),
    }
}; 16];

fn registry() -> &'static Registry {
    &REGISTRIES[fork::count() as usize % REGISTRIES.len()]
}

/// The entry of a pager. It is dropped after the file was closed.
#[derive(Debug)]
struct Registration(Key);

impl Registration {
    /// Returns the pager that has this file open, or else the right to open it.
    fn claim(identity: Identity) -> std::result::Result<Arc<Pager>, Registration> {
        let key = (std::process::id(), identity.device, identity.inode);
        let registry = registry();
        let mut open = registry.open.lock();
        loop {
            match open.get(&key).map(Weak::upgrade) {
                Some(Some(pager)) => return Ok(pager),
                Some(None) => open = registry.changed.wait(open),
                None => {
                    open.insert(key, Weak::new());
                    return Err(Registration(key));
                }
            }
        }
    }

    /// Lets others find the pager of this file.
    fn publish(key: Key, pager: &Arc<Pager>) {
        let registry = registry();
        registry.open.lock().insert(key, Arc::downgrade(pager));
        registry.changed.notify_all();
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let registry = registry();
        registry.open.lock().remove(&self.0);
        registry.changed.notify_all();
    }
}

/// Opens or creates the database at `path`. If this process has the file open already, the same pager is returned,
/// whatever the options.
///
/// # Errors
/// `NoFile`, `FileExists`, `Access`, `Busy` (another process has it alone, or this one has it read-only), `NoLocks`,
/// `Poisoned` (it is open and poisoned), `NotADatabase`, `TooNew`, `Corrupt`, `Io`, `NoSpace`, `ReadOnly`.
pub fn open_file(path: &Path, create: CreateMode, options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
    fork::enter()?;
    open_or_create(path, create, options).map_err(|error| error.of_file(path))
}

fn open_or_create(path: &Path, create: CreateMode, options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
    if create != CreateMode::Open && !options.read_only {
        let image = new_image(options)?;
        // A file may vanish or appear between the calls. Then they are tried again, a few times.
        for _ in 0..8 {
            if create == CreateMode::OpenOrCreate {
                match open_existing(path, options, Some(&image)) {
                    Err(Error::NoFile(_)) => {}
                    Ok(None) => continue,
                    opened => return opened.and_then(|opened| opened.ok_or_else(replaced)),
                }
            }
            // Only a name that must be new is not followed if it is a link.
            let target = match create {
                CreateMode::New => path.to_owned(),
                _ => end_of_links(path),
            };
            match create_file(&target, &image) {
                Err(Error::FileExists(_)) if create == CreateMode::OpenOrCreate => {}
                created => {
                    created.map_err(|error| error.through_link(path))?;
                    return open_existing(path, options, Some(&image))?.ok_or_else(replaced);
                }
            }
        }
    }
    if create == CreateMode::New {
        return Err(Error::ReadOnly(
            "a new database cannot be created read-only; open it without that option (KV_OPEN_READ_ONLY)",
        ));
    }
    open_existing(path, options, None)?.ok_or_else(replaced)
}

/// The answer if a file is replaced again and again while it is opened.
fn replaced() -> Error {
    Error::Busy("the file is replaced all the time".into())
}

/// Follows links to a file that may not exist, as the system does when it creates one.
fn end_of_links(path: &Path) -> PathBuf {
    let mut end = path.to_owned();
    for _ in 0..LINKS {
        match std::fs::read_link(&end) {
            // An absolute link replaces all.
            Ok(to) => end = end.parent().unwrap_or(Path::new("")).join(to),
            Err(_) => break,
        }
    }
    end
}

/// Creates `path` with this content, which is durable when this returns. It never replaces anything.
fn create_file(path: &Path, content: &[u8]) -> Result<()> {
    let fresh = Fresh::new(path, false)?;
    let mut file = fresh.create()?;
    file.write(content)?;
    file.finish()?;
    fresh.publish()
}

/// Opens an existing file. If it has no content, it is filled with `image`, or refused without one. Returns `None` if
/// it was replaced meanwhile.
fn open_existing(path: &Path, options: &PagerOptions, image: Option<&[u8]>) -> Result<Option<(Arc<Pager>, Recovery)>> {
    let candidate = Candidate::open(path, options.read_only)?;
    match Registration::claim(candidate.identity()) {
        Ok(pager) if pager.is_poisoned() => Err(Error::Poisoned),
        Ok(pager) if pager.read_only && !options.read_only => Err(Error::Busy(
            "this process has the database open without permission to write; close it first".into(),
        )),
        Ok(pager) => {
            refuse_unknown(pager.features, options.read_only)?;
            let recovery = pager.found_open();
            Ok(Some((pager, recovery)))
        }
        Err(registration) => {
            if let Some(image) = image {
                if candidate.is_unfilled(image)? && !candidate.fill(image, patience(options))? {
                    return Ok(None);
                }
            } else if candidate.is_empty()? {
                let what = match candidate.len()? {
                    0 => "the file is empty".to_string(),
                    1 => "the file holds only a zero".to_string(),
                    len => format!("the file holds only zeros, {len} bytes of them"),
                };
                let what = format!("{what}; it can become a database if it is opened to be created");
                return Err(Error::NotADatabase(Detail::foreign(what, Foreign::Empty)));
            }
            let storage = Arc::new(candidate.map()?);
            let key = registration.0;
            let (pager, recovery) = Pager::start(storage, options, Some(registration))?;
            Registration::publish(key, &pager);
            Ok(Some((pager, recovery)))
        }
    }
}

/// Returns how long other processes are waited for.
fn patience(options: &PagerOptions) -> Duration {
    options.wait.map_or(PATIENCE, |wait| wait.min(PATIENCE))
}

/// Creates a database in memory, which ends with its last handle.
///
/// # Errors
/// `NoMemory`, `Invalid` (the page size).
pub fn open_memory(options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
    let options = PagerOptions {
        read_only: false,
        ..options.clone()
    };
    Pager::open(Arc::new(Memory::new()?), &options)
}

/// Fails if the file has features that this version does not know and that forbid what the opener wants to do: write.
fn refuse_unknown(features: Features, read_only: bool) -> Result<()> {
    if read_only || !features.forbid_writing() {
        return Ok(());
    }
    let (what, bits) = match features.write {
        0 => ("flags of a slot", features.slot_flags),
        bits => ("features", bits),
    };
    Err(Error::TooNew(
        format!("unknown {what} {bits:#x} forbid writing; open it read-only").into(),
    ))
}

/// Returns the content of a new database file.
fn new_image(options: &PagerOptions) -> Result<Vec<u8>> {
    let size = options.page_size;
    if !size.is_power_of_two() || !(PAGE_MIN..=PAGE_MAX).contains(&size) {
        return Err(Error::Invalid(
            "the page size must be a power of two from 4096 to 65536",
        ));
    }
    Ok(empty_image(size))
}

impl Pager {
    /// Opens what `storage` holds, and recovers if needed. If it is empty and may be written, a new database is
    /// written first.
    ///
    /// # Errors
    /// `NotADatabase`, `TooNew`, `Corrupt`, `Io`, `NoSpace`, `ReadOnly` (the file is empty).
    pub fn open(storage: Arc<dyn Storage>, options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
        if storage.is_empty()? {
            if options.read_only || storage.read_only() {
                return Err(Error::ReadOnly("the file is empty and must not be written"));
            }
            storage.write_at(0, &new_image(options)?)?;
        }
        Pager::start(storage, options, None)
    }

    /// Opens what `storage` holds: recovers it if nobody has it open, or else joins those who have.
    fn start(
        storage: Arc<dyn Storage>,
        options: &PagerOptions,
        registration: Option<Registration>,
    ) -> Result<(Arc<Pager>, Recovery)> {
        let forks = fork::enter()?;
        let peers = storage.peers(shared::WORDS, patience(options))?;
        let shared = Shared::new(peers.memory(), peers.index());
        let recovery = if peers.first() {
            Some(Pager::recover(&*storage, options, &shared)?)
        } else if shared.is_poisoned() {
            return Err(Error::Poisoned);
        } else {
            None
        };
        let constants = shared.constants();
        let page_size = constants.page_size as usize;
        let read_only = storage.read_only();
        refuse_unknown(constants.features, read_only || options.read_only)?;
        // Others may cut the file while this opens it. Then the first writer here learns the length again.
        let cuts = match peers.first() {
            true => shared.cuts().load(SeqCst),
            false => u64::MAX,
        };
        let memory = storage.memory();
        let tags = Atomics::growing(memory.reserved() / page_size as u64)?;
        // A child made without handlers verifies each page that it reads through what it inherited, and is refused
        // then.
        tags.forget_in_children();
        let pager = Pager {
            shared,
            dead_pages: NotedDeadPages::default(),
            write_state: Mutex::new(Some(Box::default())),
            write_state_returned: Condvar::new(),
            write_waiters: AtomicU64::new(0),
            passed_on: AtomicU64::new(0),
            reaped_pages: AtomicU64::new(0),
            cut_bytes: AtomicU64::new(0),
            sync_turns: SyncTurns::default(),
            tags,
            memory,
            file_pages: AtomicU64::new(0),
            cuts: Mutex::new(cuts),
            page_size,
            verify: options.verify,
            wait: options.wait,
            read_only,
            uuid: constants.uuid,
            timeline: constants.timeline,
            features: constants.features,
            poison_seen: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
            sync_in_vain: Mutex::new(None),
            resident: AtomicBool::new(false),
            announced_pages: AtomicU64::new(0),
            announced_pages_used: AtomicU64::new(0),
            leaf_hints: LeafHints::default(),
            branch_hints: Atomics::new(BRANCHES as u64)?,
            forks,
            peers,
            storage,
            _registration: registration.map(|entry| Box::new(entry) as Box<dyn Send + Sync>),
        };
        pager.learn_pages((pager.storage.len()? / page_size as u64).max(meta_pages(page_size)))?;
        if pager.peers.first() {
            // What recovery has just read is still at hand. Other processes load it when they write.
            pager.load_write_state()?;
            pager.peers.admit()?;
        }
        let recovery = match recovery {
            Some(recovery) => recovery,
            None => pager.found_open(),
        };
        Ok((Arc::new(pager), recovery))
    }

    /// Returns what opening finds in a file that others have open already.
    fn found_open(&self) -> Recovery {
        Recovery {
            id: self.newest().id,
            discarded: 0,
            lost_slots: self.lost_slots(),
            closed_properly: true,
        }
    }

    /// Returns a bit for each meta slot that cannot be read, or that is missing. A slot that is being written looks so
    /// for a moment, so it is looked at several times, unless recovery has found it lost already.
    pub fn lost_slots(&self) -> u32 {
        let mut lost = u32::MAX;
        for look in 0..LOOKS {
            if look > 0 {
                std::thread::sleep(BETWEEN_LOOKS);
            }
            lost &= lost_slots(|at, bytes| self.storage.read_cached(at, bytes));
            if u64::from(lost) & !self.shared.erase().load(SeqCst) == 0 {
                break;
            }
        }
        lost
    }

    /// Finds the newest whole commit, and tells all processes about it in `shared`.
    fn recover(storage: &dyn Storage, options: &PagerOptions, shared: &Shared) -> Result<Recovery> {
        let read_only = options.read_only || storage.read_only();
        let skip = seeded::on(Bug::RecoverUnsynced);
        match if skip { Ok(()) } else { storage.sync() } {
            // A reader overwrites nothing on the strength of what it believes, so it may go on without the sync.
            Err(Error::Io { .. }) if storage.read_only() => {}
            synced => synced?,
        }
        let mut found = recover(storage)?;
        if seeded::on(Bug::ReuseIds) {
            found.max_id = found.meta.id;
        }
        let meta = found.meta;
        let constants = Constants {
            page_size: meta.page_size,
            uuid: meta.uuid,
            timeline: meta.timeline,
            features: meta.features,
        };
        refuse_unknown(constants.features, read_only)?;
        shared.fill(&Opening {
            tip: CommitSlot {
                id: meta.id,
                slot: found.slot,
            },
            desc: Descriptor::of(&meta),
            origin: Origin {
                base: meta.base,
                time: meta.time,
            },
            folded: meta.folded,
            max_id: found.max_id,
            erase: found.erase,
            constants,
            closed: found.closed,
        });
        Ok(Recovery {
            id: meta.id,
            discarded: found.discarded,
            lost_slots: found.lost_slots,
            closed_properly: found.closed,
        })
    }
}
