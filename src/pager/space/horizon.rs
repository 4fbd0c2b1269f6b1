//! What the reuse rule depends on, and who keeps an extent from being reused.

use super::dead::Dead;
use crate::ids::CommitId;
use crate::pager::chunks::SortedChunks;
use crate::util::seeded::{self, Bug};
use std::sync::Arc;

/// What the reuse rule (I-3) depends on. The fields must have been read in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::pager) struct Horizon {
    /// The newest durable commit.
    pub durable: CommitId,
    /// The base of that commit, or of an older one, whose base is not higher.
    pub base: CommitId,
    /// The commits that readers hold, in ascending order.
    pub readers: Vec<CommitId>,
    /// The commits that named snapshots hold, in ascending order. `None`: they are not known, so nothing may be reused.
    pub snapshots: Option<Arc<SortedChunks<CommitId>>>,
}

/// Who keeps an extent from being reused: readers of this commit, or snapshots of it, which come behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub commit: CommitId,
    pub is_named: bool,
}

impl Horizon {
    /// Returns the newest who sees an extent. What belongs to no state of the database only readers see, who look
    /// snapshots up (I-20).
    pub(super) fn holder_of(&self, dead: &Dead) -> Option<Holder> {
        let sees = |commit: &CommitId, is_named: bool| {
            let commit = *commit;
            (commit >= dead.extent.birth).then_some(Holder { commit, is_named })
        };
        let reader = self.readers[..self.readers.partition_point(|h| *h < dead.death)].last();
        let reader = reader.filter(|_| !(dead.extent.own && seeded::on(Bug::ReuseOwn)));
        let snapshots = self.snapshots.as_deref();
        let snapshots = snapshots.filter(|held| !held.is_empty() && !dead.extent.own);
        let named = snapshots.and_then(|held| held.before(held.partition_point(|h| *h < dead.death)));
        let reader = reader.and_then(|commit| sees(commit, false));
        reader.max(named.and_then(|commit| sees(commit, true)))
    }

    /// Returns whether this holder is still there.
    pub(super) fn has(&self, holder: Holder) -> bool {
        let Holder { commit, is_named } = holder;
        match (is_named, &self.snapshots) {
            (false, _) => self.readers.binary_search(&commit).is_ok(),
            (true, Some(held)) => held.get(held.partition_point(|h| *h < commit)) == Some(&commit),
            (true, None) => false,
        }
    }
}
