//! Chapter "waiting": for a commit to become durable, for a newer one to appear.

use crate::border::arg::maybe;
use crate::border::error::guard;
use crate::border::status::kv_status;
use crate::border::types::kv_db;
use crate::handle::about::about;
use crate::handle::in_use::DbUse;
use kv_engine::{CommitId, Wait};
use std::time::Duration;

/// In arguments, 0 looks and a negative number waits for ever.
fn wait_of(ms: i64) -> Wait {
    match ms {
        0 => Wait::Try,
        1.. => Wait::For(Duration::from_millis(ms.unsigned_abs())),
        _ => Wait::Forever,
    }
}

/// Waits until a commit is durable, after kv_txn_commit_async() or a lazy commit.
///
/// If no sync is under way, the calling thread syncs everything that was committed until then, in all processes.
///
/// @param id    Number of the commit.
/// @param wait  0 only looks. Anything else waits until the commit is durable. This is no number of milliseconds: a
///              sync cannot be broken off, so the wait has no other end.
/// @return KV_OK: the commit is durable; KV_BUSY (`wait` is 0 and it is not durable yet); KV_INVALID (no commit has
///         this number yet); KV_IN_DOUBT, KV_POISONED; KV_NO_LOCKS; KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_waiting
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_wait_durable(db: *mut kv_db, id: u64, wait: i64) -> kv_status {
    guard(c"kv_wait_durable", about(db), || {
        Ok(DbUse::of(db)?
            .get()?
            .db
            .wait_durable(CommitId::new(id), wait_of(wait))?)
    })
}

/// Waits until a commit that is newer than a given one is visible, whichever process makes it.
///
/// @param after   Number of a commit, from kv_txn_id(), kv_newest_commit() or this function for example.
/// @param ms      Milliseconds to wait: 0 only looks (and is not "for ever", as it is in kv_options.wait_ms), less
///                than 0 = for ever.
/// @param newest  Receives the number of the newest visible commit; may be NULL.
/// @return KV_OK; KV_BUSY (the time to wait is over); KV_CANCELLED (kv_interrupt, kv_close); KV_POISONED;
///         KV_BAD_HANDLE, KV_FORKED.
/// @ingroup kv_waiting
#[no_mangle]
#[must_use]
pub unsafe extern "C" fn kv_wait_commit(db: *mut kv_db, after: u64, ms: i64, newest: *mut u64) -> kv_status {
    guard(c"kv_wait_commit", about(db), || {
        // SAFETY: NULL or writable.
        let newest = unsafe { maybe(newest) };
        let id = DbUse::of(db)?
            .get()?
            .db
            .wait_commit(CommitId::new(after), wait_of(ms))?;
        if let Some(newest) = newest {
            newest.set(id.get());
        }
        Ok(())
    })
}
