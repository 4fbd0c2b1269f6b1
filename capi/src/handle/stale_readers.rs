//! Telling the caller of stale readers: those that see an old commit for long, and hold back space meanwhile.

use crate::border::arg::Growing;
use crate::border::process;
use kv_engine::{CommitId, Db, ReaderInfo};
use std::ffi::c_void;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A reader, filled by kv_reader_at(); start from KV_READER_INFO_INIT.
///
/// @ingroup kv_database
#[repr(C)]
#[derive(Clone, Copy)]
pub struct kv_reader_info {
    /// sizeof(kv_reader_info), set by KV_READER_INFO_INIT.
    pub struct_size: u32,
    /// Its process id.
    pub pid: u32,
    /// The commit that it sees.
    pub commit: u64,
    /// Milliseconds since it began, or since kv_txn_refresh() moved it to this commit.
    pub age_ms: u64,
    /// Pages that are kept for this reader alone, as far as this process knows, which learns of them when it writes; 0
    /// while it writes.
    pub kept_pages: u64,
}
// SAFETY: repr(C), struct_size first, integers only.
unsafe impl Growing for kv_reader_info {}

pub(crate) fn reader_info(reader: &ReaderInfo) -> kv_reader_info {
    kv_reader_info {
        struct_size: size_of::<kv_reader_info>() as u32,
        pid: reader.pid,
        commit: reader.id.get(),
        age_ms: reader.age_ms,
        kept_pages: reader.kept_pages,
    }
}

/// Called for a reader of any process that has been open for long while newer commits were made. Each such reader is
/// reported once to each handle, on a thread that begins a write transaction through the handle, before it waits. The
/// callback returns nothing and so cannot end that call.
///
/// @ingroup kv_database
pub type kv_reader_fn = Option<unsafe extern "C-unwind" fn(ctx: *mut c_void, reader: *const kv_reader_info)>;

/// How often readers are looked at, at most.
const EVERY: Duration = Duration::from_millis(500);
/// Age from which a reader is reported, if the caller did not say.
const STALE_MS: u64 = 60_000;

/// Whom to tell of stale readers, and which were told.
pub(crate) struct StaleReaders {
    tell: unsafe extern "C-unwind" fn(*mut c_void, *const kv_reader_info),
    ctx: *mut c_void,
    age_ms: u64,
    told: Mutex<Told>,
}

// SAFETY: `ctx` is only handed back to the caller's function, on threads that are inside a call of the library; the
// header says that these may be any.
unsafe impl Send for StaleReaders {}
// SAFETY: as above.
unsafe impl Sync for StaleReaders {}

#[derive(Default)]
struct Told {
    /// When readers were looked at last.
    looked: Option<Instant>,
    /// Which readers were told: (process, commit).
    readers: Vec<(u32, CommitId)>,
}

impl StaleReaders {
    pub(crate) fn new(tell: kv_reader_fn, ctx: *mut c_void, age_ms: u64) -> Option<StaleReaders> {
        tell.map(|tell| StaleReaders {
            tell,
            ctx,
            age_ms: if age_ms == 0 { STALE_MS } else { age_ms },
            told: Mutex::default(),
        })
    }

    /// Looks at the readers, if it is time, and tells the caller of new stale ones.
    pub(crate) fn look(&self, db: &Db) {
        for reader in self.fresh(db) {
            let info = reader_info(&reader);
            // SAFETY: the caller's function, called as its type says.
            process::call_back(0, || unsafe { (self.tell)(self.ctx, &info) });
        }
    }

    /// Stale readers that are to be told now.
    fn fresh(&self, db: &Db) -> Vec<ReaderInfo> {
        // If the lock is taken, another thread is looking at this moment.
        let Ok(mut told) = self.told.try_lock() else {
            return Vec::new();
        };
        let now = Instant::now();
        if told
            .looked
            .is_some_and(|looked| now.duration_since(looked) < EVERY.min(Duration::from_millis(self.age_ms)))
        {
            return Vec::new();
        }
        told.looked = Some(now);
        let newest = db.stat().visible;
        let mut stale = db.readers();
        stale.retain(|r| r.id < newest && r.age_ms >= self.age_ms);
        // A reader that has ended is forgotten, so that the next one of its process and commit is told again.
        told.readers
            .retain(|known| stale.iter().any(|r| (r.pid, r.id) == *known));
        stale.retain(|r| !told.readers.contains(&(r.pid, r.id)));
        stale.dedup_by_key(|r| (r.pid, r.id));
        told.readers.extend(stale.iter().map(|r| (r.pid, r.id)));
        stale
    }
}
