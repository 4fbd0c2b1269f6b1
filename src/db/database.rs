//! The database: this module opens and closes it, begins transactions, and gives figures of the file.

use super::options::{Options, WriteOptions};
use super::read::ReadTxn;
use super::types::Identity;
use super::write::WriteTxn;
use crate::error::{Error, Result};
use crate::file::fresh::identity_of;
#[cfg(feature = "internals")]
use crate::file::Storage;
use crate::ids::CommitId;
use crate::page::meta::VERSION;
use crate::page::{PAGE_MAX, PAGE_MIN};
use crate::pager::{
    open_file, open_memory, CreateMode, Durability, FileStat, PageWriter, Pager, PagerOptions, Recovery, Wait,
};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An open database.
///
/// Clones share the handle, and any thread may use it. When the last handle and the last transaction are gone, lazy
/// commits are made durable and the file is closed. Other processes may have the same file open at the same time.
///
/// # Examples
///
/// ```
/// use kv::{Db, Options, PutMode, TableId, WriteOptions};
///
/// # let folder = std::env::temp_dir().join(format!("kv-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).map_err(|e| kv::Error::io("create", e))?;
/// let path = folder.join("example.kv");
/// let db = Db::open(&path, &Options::default())?;
///
/// let mut txn = db.begin_write(WriteOptions::default())?;
/// txn.put(TableId::MAIN, b"key", b"value", PutMode::Set)?;
/// let id = txn.commit()?;
///
/// let read = db.begin_read()?;
/// assert_eq!(read.id(), id);
/// assert_eq!(read.get(TableId::MAIN, b"key")?, Some(&b"value"[..]));
/// # drop((read, db));
/// # std::fs::remove_dir_all(&folder).map_err(|e| kv::Error::io("remove", e))?;
/// # Ok::<(), kv::Error>(())
/// ```
#[derive(Clone)]
pub struct Db {
    pub(super) handle: Arc<Handle>,
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Db").field("stat", &self.stat()).finish_non_exhaustive()
    }
}

/// What the clones of a database share.
pub(super) struct Handle {
    pub pager: Arc<Pager>,
    /// The absolute path of the file; empty for a database in memory.
    path: PathBuf,
    recovery: Recovery,
    /// How long opening took.
    opening: Duration,
    options: Options,
    /// Set to end the waits through this handle.
    cancel: AtomicBool,
    /// The number of waits under way through this handle.
    waiting: AtomicUsize,
}

impl Drop for Handle {
    /// Seals what was written. A second meta slot then describes the same trees, so that no commit is lost if one of
    /// the two is damaged, and says that the database was closed properly. After that the file gives back the space by
    /// which it has grown ahead. Only the last process to close the database does this. A process that is killed leaves
    /// one slot, as after any commit, and does not shorten the file.
    fn drop(&mut self) {
        // Nothing is to be done if others in this process still use the file, or if nothing was written.
        let here = Arc::strong_count(&self.pager) == 1 && !self.options.memory && !self.options.read_only;
        if !here || self.pager.read_only() || self.pager.is_poisoned() || self.pager.newest().id <= self.recovery.id {
            return;
        }
        if !self.pager.is_last() {
            return;
        }
        if let Ok(mut pages) = self.pager.lock_write(Wait::Try, &AtomicBool::new(false)) {
            let roots = pages.tip().roots;
            pages.set_closing();
            // The error is ignored, because nobody is left to be told of it and nothing depends on the second slot.
            let _ = pages.commit(roots, Durability::Full);
        }
        if let Ok(pages) = self.pager.lock_write(Wait::Try, &AtomicBool::new(false)) {
            let _ = pages.cut();
        }
    }
}

impl Db {
    /// Opens the database at `path`, or creates it; see [`Options`]. A process that opens a file twice gets two handles
    /// to the same database.
    ///
    /// # Errors
    /// `NoFile`, `FileExists`: the options require a file that is missing, or forbid one that is there; `Access`;
    /// `Busy`: another program is opening or repairing it; `NoLocks`; `NotADatabase`, `TooNew`, `TooOld`, `Corrupt`;
    /// `Invalid`: a page size that does not exist, or options that contradict each other; `Poisoned`: a sync failed,
    /// and not every process has closed the database since; `ReadOnly`: a database was to be created read-only; `Io`,
    /// `NoSpace`, `NoMemory`, `Limit`.
    pub fn open(path: &Path, options: &Options) -> Result<Db> {
        let begun = Instant::now();
        let pager_options = pager_options(options)?;
        // The program may change its working directory later, or while this waits for others.
        let full_path = || std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let before = match options.memory {
            true => PathBuf::new(),
            false => full_path(),
        };
        let opened = if options.memory {
            open_memory(&pager_options)
        } else {
            let mode = match (options.existing || options.read_only, options.new) {
                (true, true) => return Err(Error::Invalid("a file cannot be both existing and new")),
                (true, false) => CreateMode::Open,
                (false, true) => CreateMode::New,
                (false, false) => CreateMode::OpenOrCreate,
            };
            open_file(path, mode, &pager_options)
        };
        let (pager, recovery) = opened?;
        let is_it = |path: &Path| identity_of(path).is_ok_and(|found| found == pager.identity());
        let path = match options.memory {
            false if !is_it(&before) => Some(full_path()).filter(|after| is_it(after)),
            _ => None,
        };
        Ok(Db::with((pager, recovery), path.unwrap_or(before), options, begun))
    }

    /// Opens a database on a given storage, such as memory or a simulated disk.
    ///
    /// # Errors
    /// Those of [`Db::open`].
    #[cfg(feature = "internals")]
    pub fn open_storage(storage: Arc<dyn Storage>, options: &Options) -> Result<Db> {
        let begun = Instant::now();
        let opened = Pager::open(storage, &pager_options(options)?)?;
        Ok(Db::with(opened, PathBuf::new(), options, begun))
    }

    fn with((pager, recovery): (Arc<Pager>, Recovery), path: PathBuf, options: &Options, begun: Instant) -> Db {
        Db {
            handle: Arc::new(Handle {
                pager,
                path,
                recovery,
                opening: begun.elapsed(),
                options: options.clone(),
                cancel: AtomicBool::new(false),
                waiting: AtomicUsize::new(0),
            }),
        }
    }

    /// Returns what opening found: the newest commit, how many incomplete ones were discarded, which meta slots are
    /// lost, and whether the database had been closed properly.
    pub fn recovery(&self) -> Recovery {
        self.handle.recovery
    }

    /// Returns how long opening took. Most of that time is spent on finding the newest whole commit and verifying the
    /// parts of it that a crash could have torn.
    pub fn opening_time(&self) -> Duration {
        self.handle.opening
    }

    /// Returns which database this is.
    pub fn identity(&self) -> Identity {
        Identity {
            path: self.handle.path.clone(),
            uuid: self.handle.pager.uuid(),
            format_version: VERSION,
        }
    }

    /// Begins a read transaction on the newest commit. This never waits for a writer.
    ///
    /// # Errors
    /// `Poisoned`; `Forked`: the database was opened by the parent process; `Limit`: every reader slot is taken.
    #[inline]
    pub fn begin_read(&self) -> Result<ReadTxn> {
        self.begin_read_with(|txn| txn)
    }

    /// Begins a read transaction, as [`Db::begin_read`] does, but gives it to `keep`, which puts it where it stays.
    /// This saves moving it.
    ///
    /// # Errors
    /// Those of [`Db::begin_read`].
    #[inline(always)]
    pub fn begin_read_with<R>(&self, keep: impl FnOnce(ReadTxn) -> R) -> Result<R> {
        self.handle
            .pager
            .begin_read_with(|snapshot| keep(ReadTxn::new(snapshot)))
    }

    /// Begins the write transaction. There is one at a time in all processes, and the call waits for the one before to
    /// end, for as long as the options say.
    ///
    /// If the disk is full and few pages are free, the call first makes dead pages free that only wait for a sync. For
    /// that it syncs what was committed, and makes and syncs a commit that changes nothing.
    ///
    /// # Errors
    /// `Busy`: the wait ended first; `Cancelled`: [`Db::interrupt`] ended the wait; `ReadOnly`: the database was opened
    /// read-only; `Poisoned`; `Forked`; `Corrupt`, `Io`: what others have committed meanwhile cannot be read.
    pub fn begin_write(&self, options: WriteOptions) -> Result<WriteTxn> {
        let handle = &*self.handle;
        if handle.options.read_only {
            return Err(Error::ReadOnly(
                "the database was opened read-only; open it without that option (KV_OPEN_READ_ONLY)",
            ));
        }
        let pages = self.lock_write_with_room(options.wait.unwrap_or_else(|| self.wait_limit()))?;
        let budget = options.write_memory.unwrap_or_else(|| handle.options.budget());
        let durability = options.durability.unwrap_or(handle.options.durability);
        Ok(WriteTxn::new(pages, budget, durability))
    }

    /// Returns how long calls wait for the write lock that do not say otherwise.
    pub(crate) fn wait_limit(&self) -> Wait {
        self.handle.options.wait.map_or(Wait::Forever, Wait::For)
    }

    /// Takes the write lock for a transaction. If the disk is full, dead pages that wait for syncs are made free first,
    /// with a commit that changes nothing, and the lock is taken once more. [`Db::interrupt`] ends all of that.
    fn lock_write_with_room(&self, wait: Wait) -> Result<PageWriter> {
        let deadline = match wait {
            Wait::For(time) => Instant::now().checked_add(time),
            Wait::Try | Wait::Forever => None,
        };
        let pager = &self.handle.pager;
        self.handle.cancellable(|cancel| {
            let pages = pager.lock_write(wait, cancel)?;
            if !pages.lacks_room() {
                return Ok(pages);
            }
            // Without more room, the transaction may still do with what there is.
            let _ = pages.make_dead_pages_free();
            // The lock may be free, so that nothing waits that would look.
            if cancel.load(SeqCst) {
                return Err(Error::Cancelled);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            pager.lock_write(left.map_or(wait, Wait::For), cancel)
        })
    }

    /// Takes the write lock. [`Db::interrupt`] ends the wait for it.
    pub(crate) fn lock_write(&self, wait: Wait) -> Result<PageWriter> {
        let handle = &*self.handle;
        handle.cancellable(|cancel| handle.pager.lock_write(wait, cancel))
    }

    /// Returns the pager.
    pub(crate) fn pager(&self) -> &Arc<Pager> {
        &self.handle.pager
    }

    /// Makes every commit durable that was made before the call.
    ///
    /// # Errors
    /// `InDoubt`: the sync failed, and commits that were not durable may or may not survive; `Poisoned`: an earlier
    /// sync failed.
    pub fn sync(&self) -> Result<()> {
        self.handle.pager.sync()
    }

    /// Ends every wait for the write lock or for a commit through this handle and its clones. Each returns `Cancelled`.
    pub fn interrupt(&self) {
        self.handle.cancel.store(true, SeqCst);
        self.handle.pager.wake_waiters();
    }

    /// Checks that this process has opened the database. Calls that only tell figures do not look.
    ///
    /// # Errors
    /// `Forked`: its parent has opened it.
    pub fn check_fork(&self) -> Result<()> {
        self.handle.pager.check_fork()
    }

    /// Returns figures of the file.
    pub fn stat(&self) -> FileStat {
        self.handle.pager.stat()
    }

    /// Returns the commits that readers hold, in all processes. They are in ascending order, and each is listed once
    /// for each of its readers.
    pub fn held(&self) -> Vec<CommitId> {
        self.handle.pager.held()
    }
}

impl Handle {
    /// Runs a wait that [`Db::interrupt`] can end. If no other wait is under way, an earlier interrupt is forgotten.
    pub fn cancellable<T>(&self, wait: impl FnOnce(&AtomicBool) -> T) -> T {
        if self.waiting.fetch_add(1, SeqCst) == 0 {
            self.cancel.store(false, SeqCst);
        }
        let answer = wait(&self.cancel);
        self.waiting.fetch_sub(1, SeqCst);
        answer
    }
}

fn pager_options(options: &Options) -> Result<PagerOptions> {
    let page_size = match options.page_size {
        0 => PAGE_MIN,
        bytes => bytes as usize,
    };
    if !page_size.is_power_of_two() || !(PAGE_MIN..=PAGE_MAX).contains(&page_size) {
        return Err(Error::Invalid("page_size: it can be 4096, 8192, 16384, 32768 or 65536"));
    }
    Ok(PagerOptions {
        page_size,
        read_only: options.read_only,
        verify: options.verify,
        wait: options.wait,
    })
}
