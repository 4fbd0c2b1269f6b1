//! Opening by path, once per process: every handle of the same file shares one [`Pager`].
//!
//! Files are told apart by device and inode, so symbolic links, hard links and other spellings of a path find the same
//! environment. An entry goes when its pager has closed the file; who opens meanwhile waits for that.

use super::{Pager, PagerOptions, Recovery};
use crate::error::{Error, Result};
use crate::file::fresh::Fresh;
use crate::file::memory::Memory;
use crate::file::posix::Candidate;
use crate::file::Identity;
use parking_lot::{Condvar, Mutex};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};

/// Whether a file may or must be new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CreateMode {
    /// It must exist.
    #[default]
    Open,
    /// It must not exist.
    New,
    /// It is created if it does not exist.
    OpenOrCreate,
}

/// Process, device, inode. The process, because a forked child inherits this list, but not the right to its pagers.
type Key = (u32, u64, u64);

/// Open environments; a weak reference that leads nowhere: one that is being opened or closed.
struct Registry {
    open: Mutex<BTreeMap<Key, Weak<Pager>>>,
    changed: Condvar,
}

/// One for each generation of children: another thread may have had the parent's locked when it forked.
static REGISTRIES: [Registry; 16] = [const {
    Registry {
        open: Mutex::new(BTreeMap::new()),
        changed: Condvar::new(),
    }
}; 16];

fn registry() -> &'static Registry {
    &REGISTRIES[crate::file::fork::count() as usize % REGISTRIES.len()]
}

/// Keeps an environment's entry; dropped after the file was closed.
#[derive(Debug)]
pub(super) struct Registration(Key);

impl Registration {
    /// The pager that has this file open, or the right to open it.
    fn claim(identity: Identity) -> std::result::Result<Arc<Pager>, Registration> {
        let key = (std::process::id(), identity.device, identity.inode);
        let registry = registry();
        let mut open = registry.open.lock();
        loop {
            match open.get(&key).map(Weak::upgrade) {
                Some(Some(pager)) => return Ok(pager),
                Some(None) => registry.changed.wait(&mut open),
                None => {
                    open.insert(key, Weak::new());
                    return Err(Registration(key));
                }
            }
        }
    }

    /// Lets others find the pager.
    fn publish(pager: &Arc<Pager>) {
        if let Some(registration) = &pager.registration {
            let registry = registry();
            registry.open.lock().insert(registration.0, Arc::downgrade(pager));
            registry.changed.notify_all();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let registry = registry();
        registry.open.lock().remove(&self.0);
        registry.changed.notify_all();
    }
}

/// Opens or creates the database at `path`. A file that this process has open already answers the same pager, whatever
/// the options.
///
/// # Errors
/// `NoFile`, `Exists`, `Access`, `Busy` (another process has it alone), `NoLocks`, `Poisoned` (open here, and poisoned),
/// `NotADatabase`, `TooNew`, `Corrupt`, `Io`, `NoSpace`, `ReadOnly`.
pub fn open_file(path: &Path, create: CreateMode, options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
    if create != CreateMode::Open && !options.read_only {
        let image = super::new_image(options)?;
        // A file that vanishes or appears between the calls is tried again, a few times.
        for _ in 0..8 {
            if create == CreateMode::OpenOrCreate {
                match open_existing(path, options) {
                    Err(Error::NoFile(_)) => {}
                    opened => return opened,
                }
            }
            match create_file(path, &image) {
                Err(Error::Exists) if create == CreateMode::OpenOrCreate => {}
                created => {
                    created?;
                    return open_existing(path, options);
                }
            }
        }
    }
    if create == CreateMode::New {
        return Err(Error::ReadOnly("a new database cannot be created read-only"));
    }
    open_existing(path, options)
}

/// Creates `path` with this content, durable when it returns; never replaces anything.
fn create_file(path: &Path, content: &[u8]) -> Result<()> {
    let fresh = Fresh::new(path, false)?;
    let mut file = fresh.create()?;
    file.write(content)?;
    file.finish()?;
    fresh.publish()
}

fn open_existing(path: &Path, options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
    let candidate = Candidate::open(path, options.read_only)?;
    match Registration::claim(candidate.identity()) {
        Ok(pager) if pager.is_poisoned() => Err(Error::Poisoned),
        Ok(pager) if pager.read_only && !options.read_only => Err(Error::Busy(
            "this process has the database open without permission to write; close it first",
        )),
        Ok(pager) => {
            super::refuse_unknown(pager.features, options.read_only)?;
            let recovery = Recovery {
                id: pager.newest().id,
                discarded: 0,
            };
            Ok((pager, recovery))
        }
        Err(registration) => {
            let storage = Arc::new(candidate.map()?);
            let (pager, recovery) = Pager::start(storage, options, Some(registration))?;
            Registration::publish(&pager);
            Ok((pager, recovery))
        }
    }
}

/// A new database in memory, gone with its last handle.
///
/// # Errors
/// `NoMemory`, `Invalid` (page size).
pub fn open_memory(options: &PagerOptions) -> Result<(Arc<Pager>, Recovery)> {
    let options = PagerOptions {
        read_only: false,
        ..options.clone()
    };
    Pager::open(Arc::new(Memory::new()?), &options)
}
