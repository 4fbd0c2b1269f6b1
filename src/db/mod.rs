//! What the user holds: a database, its transactions, cursors, statistics and check.
//!
//! | file      | subject                                                       |
//! |-----------|---------------------------------------------------------------|
//! | `options` | how to open, how to begin                                     |
//! | `types`   | ranges, modes, statistics                                     |
//! | `reader`  | what both kinds of transaction can do                         |
//! | `read`    | the read transaction                                          |
//! | `write`   | the write transaction; `tables`, `stream`, `value_writer`: more of it |
//! | `cursor`  | a place in a table                                            |
//! | `waiting` | for durable and for visible commits; who holds old ones       |
//! | `check`   | proof that a database is whole                                |
//! | `backup`  | a copy of a snapshot                                          |
//! | `salvage` | what can be read of a damaged file, into a new one            |
//! | `job`     | progress and cancelling of long jobs, and how they read        |

mod cursor;
mod entries;
mod options;
mod read;
mod reader;
mod tables;
mod types;
mod value_writer;
mod waiting;
mod write;

pub use crate::pager::{Durability, FileStat, ReaderInfo, Recovery, Verify, Wait};
pub use crate::tree::read::quick::Quick;
pub use crate::txn::{PutMode, WriteStat};
pub use cursor::Cursor;
pub use options::{Options, WriteOptions};
pub use read::ReadTxn;
pub use reader::Reader;
pub use types::{FileRange, LevelStat, Range, Seek, TableStat, ValueInfo, ValuePiece};
pub use value_writer::ValueWriter;
pub use write::WriteTxn;

use crate::error::{Error, Result};
use crate::file::Storage;
use crate::ids::CommitId;
use crate::pager::{open_file, open_memory, CreateMode};
use crate::pager::{Pager, PagerOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// An open database. Clones share the handle; any thread may use it. The file is closed, and lazy commits made durable,
/// when the last handle and the last transaction are gone.
#[derive(Clone)]
pub struct Db {
    handle: Arc<Handle>,
}

struct Handle {
    pager: Arc<Pager>,
    recovery: Recovery,
    opening: Duration,
    options: Options,
    cancel: AtomicBool,
    waiting: AtomicUsize,
}

impl Drop for Handle {
    /// Seals what was written: a second meta slot then describes the same trees, so that damage to either of the two is
    /// not the loss of a commit. Then gives back what the file had grown ahead. Only by the last one to leave; who is killed
    /// leaves one slot, as after any commit, and the file as long as it was.
    fn drop(&mut self) {
        let here = Arc::strong_count(&self.pager) == 1 && !self.options.memory && !self.options.read_only;
        if !here || self.pager.read_only() || self.pager.is_poisoned() || self.pager.newest().id <= self.recovery.id {
            return;
        }
        if !self.pager.is_last() {
            return;
        }
        if let Ok(writing) = self.pager.lock_write(Wait::Try, &AtomicBool::new(false)) {
            let roots = writing.tip().roots;
            // Nobody is left to be told, and nothing depends on it.
            let _ = writing.commit(roots, Durability::Full);
        }
        if let Ok(writing) = self.pager.lock_write(Wait::Try, &AtomicBool::new(false)) {
            let _ = writing.trim();
        }
    }
}

impl Db {
    /// Opens or creates the database at `path`. Opening a file twice in a process gives two handles on one environment;
    /// other processes may have it open, too.
    ///
    /// # Errors
    /// `NoFile`, `Exists`, `Access`, `Busy`, `NoLocks`, `NotADatabase`, `TooNew`, `Corrupt`, `Invalid` (page size),
    /// `Poisoned`, `Io`, `NoSpace`, `ReadOnly` (creating read-only).
    pub fn open(path: &Path, options: &Options) -> Result<Db> {
        let begun = Instant::now();
        let pager_options = pager_options(options)?;
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
        Ok(Db::with(opened?, options, begun))
    }

    /// Opens a database on a storage of one's own (memory, simulated disk).
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open_storage(storage: Arc<dyn Storage>, options: &Options) -> Result<Db> {
        let begun = Instant::now();
        Ok(Db::with(
            Pager::open(storage, &pager_options(options)?)?,
            options,
            begun,
        ))
    }

    fn with((pager, recovery): (Arc<Pager>, Recovery), options: &Options, begun: Instant) -> Db {
        Db {
            handle: Arc::new(Handle {
                pager,
                recovery,
                opening: begun.elapsed(),
                options: options.clone(),
                cancel: AtomicBool::new(false),
                waiting: AtomicUsize::new(0),
            }),
        }
    }

    /// What opening found.
    pub fn recovery(&self) -> Recovery {
        self.handle.recovery
    }

    /// How long opening took: finding the newest whole commit, verifying what a crash could have torn of it.
    pub fn opening_time(&self) -> Duration {
        self.handle.opening
    }

    /// Begins a read transaction on the newest commit. Never blocks.
    ///
    /// # Errors
    /// `Poisoned`; `Limit` when every reader slot is taken.
    #[inline]
    pub fn begin_read(&self) -> Result<ReadTxn> {
        self.begin_read_with(|txn| txn)
    }

    /// As [`Db::begin_read`]; `keep` puts the transaction where it stays.
    ///
    /// # Errors
    /// As there.
    #[inline(always)]
    pub fn begin_read_with<R>(&self, keep: impl FnOnce(ReadTxn) -> R) -> Result<R> {
        self.handle.pager.begin_read_with(|pin| keep(ReadTxn::new(pin)))
    }

    /// Begins the write transaction, waiting for the one before to end.
    ///
    /// # Errors
    /// `Busy` (time over), `Cancelled` ([`Db::interrupt`]), `ReadOnly`, `Poisoned`.
    pub fn begin_write(&self, options: WriteOptions) -> Result<WriteTxn> {
        let handle = &*self.handle;
        if handle.options.read_only {
            return Err(Error::ReadOnly("the database was opened read-only"));
        }
        let default = handle.options.wait.map_or(Wait::Forever, Wait::For);
        if handle.waiting.fetch_add(1, SeqCst) == 0 {
            handle.cancel.store(false, SeqCst);
        }
        let writing = handle.pager.lock_write(options.wait.unwrap_or(default), &handle.cancel);
        handle.waiting.fetch_sub(1, SeqCst);
        let budget = options.memory.unwrap_or_else(|| handle.options.budget());
        let durability = options.durability.unwrap_or(handle.options.durability);
        Ok(WriteTxn::new(writing?, budget, durability))
    }

    /// Makes every commit durable.
    ///
    /// # Errors
    /// `InDoubt`, `Poisoned`.
    pub fn sync(&self) -> Result<()> {
        self.handle.pager.sync()
    }

    /// Ends waits for the writer's seat through this handle and its clones with `Cancelled`.
    pub fn interrupt(&self) {
        self.handle.cancel.store(true, SeqCst);
        self.handle.pager.wake_waiters();
    }

    /// Figures of the file.
    pub fn stat(&self) -> FileStat {
        self.handle.pager.stat()
    }

    /// Commits held by readers, ascending, once per reader.
    pub fn held(&self) -> Vec<CommitId> {
        self.handle.pager.held()
    }
}

fn pager_options(options: &Options) -> Result<PagerOptions> {
    let page_size = if options.page_size == 0 {
        crate::page::PAGE_MIN
    } else {
        options.page_size as usize
    };
    if !page_size.is_power_of_two() || !(crate::page::PAGE_MIN..=crate::page::PAGE_MAX).contains(&page_size) {
        return Err(Error::Invalid("page size: 4096, 8192, 16384, 32768 or 65536"));
    }
    Ok(PagerOptions {
        page_size,
        read_only: options.read_only,
        verify: options.verify,
    })
}
