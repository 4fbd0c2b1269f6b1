//! How many pages are kept for snapshots alone. No tree of the database is read for it but the lists of snapshots, of
//! dead pages, and of parked ones, and of the last only what is counted: see [`ParkedSearch`].

use super::check::{newest_accounting, waits};
use crate::catalogue::snapshot;
use crate::db::Db;
use crate::error::{Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::Root;
use crate::pager::{Snapshot, Wait};
use crate::txn::{DeadExtents, ParkedSearch};

impl Db {
    /// Returns how many pages would be given back if the snapshot `first`, the snapshot `last`, and all those of
    /// commits from the one's to the other's were dropped: what no other snapshot and not the newest commit sees.
    /// Readers may still see it. If both are the same, that is what the snapshot alone keeps.
    ///
    /// The figure is that of the newest commit. To get hold of it, the call waits for an open write transaction, as
    /// long as the options of the database say.
    ///
    /// # Errors
    /// `NotFound`: there is no such snapshot; `Invalid`, `TooBig`: a name that none can have; `Invalid`: a mark;
    /// `Busy`: the wait ended first, or other transactions commit too fast; `Cancelled`: [`Db::interrupt`] ended the
    /// wait; `Corrupt`: a list cannot be read; `Poisoned`, `Io`, `NoMemory`, `Limit`.
    pub fn snapshot_cost(&self, first: &[u8], last: &[u8]) -> Result<u64> {
        [first, last].into_iter().try_for_each(snapshot::check_name)?;
        let pages_of = SnapshotPages::read(self, self.wait_limit())?;
        let commit_of = |name: &[u8]| {
            let reader = &pages_of.reader;
            let found = snapshot::find_state(&reader.view(), &reader.desc().roots.snapshots, name);
            found.map(|record| record.commit)
        };
        let (a, b) = (commit_of(first)?, commit_of(last)?);
        pages_of.alone(a.min(b), a.max(b))
    }

    /// Returns the names of all snapshots but marks, in ascending order, and how many pages would be given back if that
    /// snapshot alone were dropped, with others of the same commit: [`Db::snapshot_cost`] of each. It waits for an open
    /// write transaction as `wait` says.
    ///
    /// # Errors
    /// Those of [`Db::snapshot_cost`], but for `NotFound`.
    pub fn snapshot_costs(&self, wait: Wait) -> Result<Vec<(Vec<u8>, u64)>> {
        let mut pages_of = SnapshotPages::read(self, wait)?;
        // The dead pages are looked through once, not for each of the snapshots.
        let mut pages: Vec<u64> = Vec::new();
        Error::or_room(&mut pages, pages_of.commits.len(), NAMES)?;
        pages.resize(pages_of.commits.len(), 0);
        for dead in std::mem::take(&mut pages_of.dead) {
            if let Some((only, _)) = pages_of.seen_by(dead.birth, dead.death).filter(|(a, b)| a == b) {
                pages[only] += dead.pages;
            }
        }
        for (at, commit) in pages_of.commits.iter().enumerate() {
            pages[at] += pages_of.alone(*commit, *commit)?;
        }
        let names = std::mem::take(&mut pages_of.names).into_iter();
        let at = |commit| pages_of.commits.partition_point(|other| *other < commit);
        Ok(names.map(|(name, commit)| (name, pages[at(commit)])).collect())
    }
}

/// What memory is lacking for, if it is.
const NAMES: &str = "the list of snapshots";

/// A dead extent that is not parked.
struct Unparked {
    birth: CommitId,
    death: CommitId,
    pages: u64,
}

/// What is to be known of snapshots, and of what they keep besides what is parked.
struct SnapshotPages {
    reader: Snapshot,
    space: Root,
    /// The names of all snapshots, in ascending order, and their commits.
    names: Vec<(Vec<u8>, CommitId)>,
    /// The commits, each once, in ascending order.
    commits: Vec<CommitId>,
    dead: Vec<Unparked>,
}

impl SnapshotPages {
    /// Reads it as of the newest commit.
    fn read(db: &Db, wait: Wait) -> Result<SnapshotPages> {
        let (reader, space) = newest_accounting(db.pager(), &mut waits(db, wait))?;
        let (view, roots) = (reader.view(), space.desc.roots);
        let mut names = Vec::new();
        let read = snapshot::each_state(&view, &roots.snapshots, |name, record| {
            Error::or_room(&mut names, 1, NAMES)?;
            names.push((name.to_vec(), record.commit));
            Ok(true)
        });
        read.map_err(|e| e.in_table(TableId::SNAPSHOTS))?;
        let mut commits: Vec<CommitId> = names.iter().map(|(_, commit)| *commit).collect();
        commits.sort_unstable();
        commits.dedup();
        let dead = DeadExtents::unparked(&view, &roots.space, space.desc.id, &space.changes);
        let dead = dead.map_err(|e| e.in_table(TableId::SPACE))?;
        let seen = dead.extents.values().filter(|dead| !dead.extent.own);
        let dead = seen.map(|dead| Unparked {
            birth: dead.extent.birth,
            death: dead.death,
            pages: dead.extent.run.pages,
        });
        let dead = dead.collect();
        Ok(SnapshotPages {
            reader,
            space: roots.space,
            names,
            commits,
            dead,
        })
    }

    /// Returns the first and the last of the commits that see an extent, by their numbers in the list.
    fn seen_by(&self, birth: CommitId, death: CommitId) -> Option<(usize, usize)> {
        let from = self.commits.partition_point(|commit| *commit < birth);
        let to = self.commits.partition_point(|commit| *commit < death);
        (from < to).then(|| (from, to - 1))
    }

    /// Returns how many pages only the snapshots of commits from `first` to `last` see, both of which are listed.
    fn alone(&self, first: CommitId, last: CommitId) -> Result<u64> {
        let from = self.commits.partition_point(|commit| *commit < first);
        let to = self.commits.partition_point(|commit| *commit <= last);
        let alone = |birth, death| {
            let seen = self.seen_by(birth, death);
            seen.is_some_and(|(a, b)| a >= from && b < to)
        };
        let dead = self.dead.iter().filter(|dead| alone(dead.birth, dead.death));
        let mut pages: u64 = dead.map(|dead| dead.pages).sum();
        let before = from.checked_sub(1).map(|at| self.commits[at]);
        let before = before.unwrap_or(CommitId::NONE);
        let view = self.reader.view();
        let search = ParkedSearch {
            source: &view,
            space: &self.space,
            born_after: before,
            end: self.commits.get(to).copied().unwrap_or(CommitId::MAX),
        };
        // Holders may be between `before` and `first`: what was parked for a snapshot that is dropped may be seen by a
        // later one that was made of what a reader saw.
        let read = search.each(before.next(), |parked| {
            if alone(parked.extent.birth, parked.death) {
                pages += parked.extent.run.pages;
            }
            Ok(true)
        });
        read.map_err(|e| e.in_table(TableId::SPACE))?;
        Ok(pages)
    }
}
