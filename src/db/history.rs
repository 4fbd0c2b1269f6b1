//! The policy by which commits record snapshots by themselves, and thinning rows of snapshots.

use super::write::WriteTxn;
use crate::catalogue::Retention;
use crate::error::{Error, Result};

impl WriteTxn {
    /// Sets the policy of the file; `None`: from now on it has none. From this commit on, every commit of every process
    /// that finds the newest automatic snapshot older than the interval records one of what it commits, named
    /// `auto/2026-11-30T12:00:00Z` by its time, and drops those of the automatic ones that do not stay. Snapshots that
    /// were created, renamed or are to be kept are not dropped. [`Reader::history`](super::Reader::history) tells what
    /// the policy is.
    ///
    /// By the same policy, a snapshot that yields ([`SnapshotOptions::yields`](super::SnapshotOptions::yields)) becomes
    /// a mark with the first commit that finds it older than `yield_after`. If snapshots keep more than `yield_pages`,
    /// the oldest that yields becomes one, and the next only if it is still too much once its pages were given back. A
    /// policy that has only these has the interval 0, and nothing stays by it because nothing is recorded.
    ///
    /// The policy before is replaced as a whole. If fewer stay than before, the others are dropped with the next one
    /// that is recorded. A snapshot of the name that one would have is left alone, and none is recorded in that second.
    ///
    /// Nothing is recorded as long as nobody commits. If the clock was set back, nothing is dropped until it has caught
    /// up.
    ///
    /// # Errors
    /// `Invalid`: the interval is 0, or nothing stays; those of [`WriteTxn::put`].
    pub fn set_history(&mut self, policy: Option<&Retention>) -> Result<()> {
        self.ready()?;
        let records = |policy: &&Retention| policy.interval > 0 || policy.keeps_any() || !policy.has_yield_limits();
        let recording = policy.filter(records);
        if recording.is_some_and(|policy| policy.interval == 0) {
            return Err(Error::Invalid(
                "`interval`: it is 0; give the seconds from one snapshot to the next",
            ));
        }
        if recording.is_some_and(|policy| !policy.keeps_any()) {
            return Err(Error::Invalid(
                "`policy`: nothing would stay; say how many of the newest, hours, days, weeks or months",
            ));
        }
        self.draft.set_history(policy, &mut self.pages)
    }

    /// Drops the snapshots whose names begin with `prefix`, but for those that stay by `retention`, whose interval does
    /// not count, and those that are to be kept, which count among those that stay. Returns how many it has dropped.
    /// The empty prefix means all snapshots of the file, whoever has made them.
    ///
    /// # Errors
    /// `Invalid`: nothing stays; those of [`WriteTxn::put`].
    pub fn snapshot_thin(&mut self, prefix: &[u8], retention: &Retention) -> Result<u64> {
        self.ready()?;
        // Whoever forgets to fill it must not lose all of a row.
        if !retention.keeps_any() {
            return Err(Error::Invalid(
                "`retention`: nothing would stay; say how many of the newest, hours, days, weeks or months",
            ));
        }
        self.draft.snapshot_thin(prefix, retention, &mut self.pages)
    }
}
