//! History without being asked, and thinning. If a file has a policy, whoever commits follows it, in that commit: when
//! the newest snapshot that was made so is older than the interval, one more is recorded of what is about to be
//! committed, and of those made so the ones are dropped that the policy does not keep. And when a snapshot that yields
//! is too old, or snapshots keep too much, it becomes a mark, which keeps nothing.
//!
//! A commit for which nothing is due compares a few integers, which the process knows with the list of snapshots. The
//! clock may be wrong: no snapshot is dropped while one of them is of a later time than now.

use super::draft::Draft;
use super::draft_pages::{get_ready_to_fold, know_snapshots};
use super::flush::Edit;
use super::table::TableIndex;
use crate::catalogue::policy::{self, POLICY};
use crate::catalogue::snapshot::{self, SnapshotRecord};
use crate::catalogue::Retention;
use crate::error::{Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::leaf::Stored;
use crate::pager::{PageWriter, RecordedCommits};
use crate::tree::write::edits::Op;
use crate::util::date::timestamp;
use crate::util::seeded::{self, Bug};

/// What the names of snapshots begin with that commits record by themselves. The time follows.
const AUTOMATIC: &str = "auto/";

/// What memory is lacking for, if it is.
const LISTED: &str = "the list of snapshots";

/// A snapshot of a row that is to be thinned.
struct Listed {
    name: Vec<u8>,
    commit: CommitId,
    time: u64,
    keep: bool,
}

impl Draft {
    /// Sets the policy of the file, or takes it away.
    pub fn set_history(&mut self, policy: Option<&Retention>, pages: &mut PageWriter) -> Result<()> {
        let at = self.open_snapshots(pages)?;
        if policy.is_none() && !self.exists(at, POLICY)? {
            return Ok(());
        }
        if policy.is_some() {
            pages.note_addition();
        }
        let value = policy.map(policy::encode);
        let op = match &value {
            Some(value) => Op::Put(Stored::Inline(value)),
            None => Op::Delete,
        };
        let edit = Edit {
            key: POLICY,
            op,
            is_greatest: false,
        };
        self.push(at, edit, pages)?;
        self.follow(policy.unwrap_or(&Retention::default()), 0, pages)
    }

    /// Drops the snapshots whose names begin with `prefix`, but for those that stay and those that are to be kept.
    /// Returns how many it drops.
    pub fn snapshot_thin(&mut self, prefix: &[u8], retention: &Retention, pages: &mut PageWriter) -> Result<u64> {
        let at = self.open_snapshots(pages)?;
        let row = self.row(at, |name, _| name.starts_with(prefix), pages)?;
        self.drop_but(at, retention, row, pages)
    }

    /// Does what the policy of the file has a commit do, if it is due. Returns whether the commit is to fold, because
    /// snapshots keep too much and what others have left can be given back.
    pub(super) fn keep_history(&mut self, pages: &mut PageWriter) -> Result<bool> {
        know_snapshots(pages)?;
        // Without a policy nobody asks for the time.
        if !self
            .recorded()
            .or(pages.recorded())
            .is_some_and(RecordedCommits::has_policy)
        {
            return Ok(false);
        }
        let time = pages.time();
        let Some(recorded) = self.recorded().or(pages.recorded()) else {
            return Ok(false);
        };
        let is_due = recorded.schedule.is_some_and(|schedule| schedule.is_due(time));
        let too_much = recorded.keeps_too_much(|| pages.kept_for_snapshots());
        let folds = too_much && recorded.drops().any(|dropped| pages.is_durable(dropped));
        if recorded.has_to_yield(time, too_much) {
            self.give_way(pages)?;
        }
        // Who deletes where the disk is full needs room, and does not want more to be kept.
        if is_due && !pages.is_disk_full() && !seeded::on(Bug::RecordNone) {
            self.record_history(pages)?;
        }
        if folds {
            get_ready_to_fold(pages)?;
        }
        Ok(folds)
    }

    /// Makes marks of the snapshots that yield now.
    #[cold]
    fn give_way(&mut self, pages: &mut PageWriter) -> Result<()> {
        let at = self.open_snapshots(pages)?;
        let (time, kept, newest) = (pages.time(), pages.kept_for_snapshots(), self.base().id);
        let mut row = self.row(at, |_, record| record.may_yield(), pages)?;
        row.sort_unstable_by(|a, b| (a.time, a.commit, &a.name).cmp(&(b.time, b.commit, &b.name)));
        let oldest = row.first().map(|listed| listed.time);
        let due = self.change_recorded(pages, |recorded| {
            recorded.yielding = oldest;
            let too_much = recorded.keeps_too_much(|| kept) && !recorded.has_nameless();
            Some((recorded.limits?, too_much))
        })?;
        let Some((limits, keeps_too_much)) = due else {
            return Ok(());
        };
        // One of the newest commit keeps nothing yet.
        let mut older = row.iter().filter(|listed| listed.commit < newest).peekable();
        let oldest = older.peek().copied();
        let mut marks: Vec<&Listed> = older.filter(|listed| limits.is_too_old(time, listed.time)).collect();
        if marks.is_empty() && keeps_too_much {
            marks.extend(oldest);
        }
        for listed in &marks {
            self.make_mark(at, &listed.name, pages)?;
        }
        let left = row
            .iter()
            .find(|listed| marks.iter().all(|mark| mark.name != listed.name));
        let left = left.map(|listed| listed.time);
        self.change_recorded(pages, |recorded| recorded.yielding = left)
    }

    /// Returns the policy that the file will have, if it is one that this version follows.
    fn policy(&mut self, at: TableIndex) -> Result<Option<Retention>> {
        let pending = self.pending(at, POLICY)?;
        match self.stored(at, pending, POLICY)? {
            Some(Stored::Inline(value)) => policy::decode(value),
            _ => Ok(None),
        }
    }

    #[cold]
    fn record_history(&mut self, pages: &mut PageWriter) -> Result<()> {
        let at = self.open_snapshots(pages)?;
        let Some(policy) = self.policy(at)? else {
            return Ok(());
        };
        let row = self.row(at, |_, record| record.automatic, pages)?;
        let time = pages.time();
        let newest = row.iter().max_by_key(|listed| listed.commit);
        if let Some(newest) = newest.map(|listed| listed.time) {
            if !policy.schedule(newest).is_due(time) {
                return self.follow(&policy, newest, pages);
            }
        }
        let name = format!("{AUTOMATIC}{}", timestamp(time)).into_bytes();
        if self.exists(at, &name)? {
            // Somebody else has this name, or the clock was set back; a second later there is another one.
            return Ok(());
        }
        // Another snapshot of this commit may have a note, and be one to keep.
        let known = self.state_to_commit(pages)?;
        let state = SnapshotRecord {
            automatic: true,
            keep: known.keep && seeded::on(Bug::TakeOverKeep),
            yields: false,
            note: Vec::new(),
            dropped: None,
            ..known
        };
        pages.note_addition();
        self.snapshot_create(&name, state, false, pages)?;
        if row.iter().all(|listed| listed.time <= time) || seeded::on(Bug::TrustClock) {
            // The new one is the first of its hour, day, week and month, and so stays.
            let row = self.row(at, |_, record| record.automatic, pages)?;
            self.drop_but(at, &policy, row, pages)?;
        }
        self.follow(&policy, time, pages)
    }

    /// Notes when the policy is to be followed next, where `newest` is the time of the newest automatic snapshot; 0: it
    /// is to be looked for.
    fn follow(&mut self, policy: &Retention, newest: u64, pages: &PageWriter) -> Result<()> {
        self.change_recorded(pages, |recorded| policy::follow(policy, newest, recorded))
    }

    /// Returns the snapshots, other than marks, for which `is_of` says so.
    fn row(
        &mut self,
        at: TableIndex,
        is_of: impl Fn(&[u8], &SnapshotRecord) -> bool,
        pages: &mut PageWriter,
    ) -> Result<Vec<Listed>> {
        self.flush(at, pages)?;
        let list = self.table(at).tree.root;
        let mut row = Vec::new();
        let read = snapshot::each_state(&self.pages(), &list, |name, record| {
            if is_of(name, &record) {
                Error::or_room(&mut row, 1, LISTED)?;
                row.push(Listed {
                    name: name.to_vec(),
                    commit: record.commit,
                    time: record.time,
                    keep: record.keep,
                });
            }
            Ok(true)
        });
        read.map_err(|e| self.fail(e.in_table(TableId::SNAPSHOTS)))?;
        Ok(row)
    }

    /// Drops of a row what does not stay, and returns how many snapshots that are.
    fn drop_but(
        &mut self,
        at: TableIndex,
        retention: &Retention,
        mut row: Vec<Listed>,
        pages: &mut PageWriter,
    ) -> Result<u64> {
        row.sort_unstable_by(|a, b| (b.time, b.commit, &b.name).cmp(&(a.time, a.commit, &a.name)));
        let mut dropped = 0;
        let oldest = row.last().map(|listed| listed.time);
        for (listed, stays) in row.iter().zip(retention.stay(row.iter().map(|listed| listed.time))) {
            let stays = stays && !(seeded::on(Bug::ThinOneMore) && Some(listed.time) == oldest);
            if !stays && (!listed.keep || seeded::on(Bug::DropKept)) {
                self.snapshot_remove(at, &listed.name, pages)?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }
}
