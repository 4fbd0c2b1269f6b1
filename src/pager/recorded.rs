//! The named snapshots as a writer knows them: which commits they hold.
//!
//! They are listed in a tree whose root is in the slot. The pager cannot read trees, so whoever writes hands it the
//! list when its root has changed ([`PageWriter::snapshots_wanted`](super::PageWriter::snapshots_wanted)). Until then
//! nothing more becomes reusable here, which is safe.

use super::chunks::{At, SortedChunks};
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::page::Root;
use crate::util::seeded::{self, Bug};
use std::sync::Arc;

/// What memory is lacking for, if it is.
const LIST: &str = "the list of snapshots";

/// A commit that is recorded in the list of snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedCommit {
    /// The commit.
    pub commit: CommitId,
    /// The number of names under which there are snapshots of it.
    pub names: u32,
    /// The last commit that dropped one of its snapshots, as long as that is recorded, or [`CommitId::NONE`].
    pub dropped: CommitId,
}

impl RecordedCommit {
    /// Returns whether the commit is held as long as `durable` is the newest durable one (I-20).
    fn is_held(&self, durable: CommitId) -> bool {
        self.names > 0 || self.dropped > durable && !seeded::on(Bug::DropUndurable)
    }
}

/// When the policy of the file has a commit record the next snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How far snapshots are apart, in nanoseconds.
    pub interval: u64,
    /// The time of the newest one that a commit has recorded by itself. 0: there is none, or it is to be looked for.
    pub newest: u64,
}

impl Schedule {
    /// Returns whether a commit of this time has to look whether it records a snapshot. A clock that was set back by
    /// more than the interval does not put that off until it has caught up.
    pub fn is_due(&self, time: u64) -> bool {
        self.newest == 0 || time.abs_diff(self.newest) >= self.interval
    }
}

/// When the policy of the file has snapshots yield that may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct YieldLimits {
    /// How old they become, in nanoseconds; 0: as old as they like.
    pub after: u64,
    /// How many pages all snapshots may keep; 0: any number.
    pub pages: u64,
}

impl YieldLimits {
    /// Returns whether at this time a snapshot of the time `made` is too old.
    pub fn is_too_old(&self, time: u64, made: u64) -> bool {
        self.after > 0 && time.saturating_sub(made) >= self.after
    }
}

/// The commits that are recorded, each once, in ascending order.
#[derive(Debug, Default)]
pub struct RecordedCommits {
    /// When the policy of the file has a commit record a snapshot, if it does.
    pub schedule: Option<Schedule>,
    /// When the policy of the file has snapshots yield, if it does.
    pub limits: Option<YieldLimits>,
    /// A time that is not later than that of any snapshot which may yield. `None`: there is none.
    pub yielding: Option<u64>,
    commits: SortedChunks<RecordedCommit>,
    /// The commits of which there are marks, and some of which there were any.
    marked: SortedChunks<CommitId>,
    /// The number of those that have no name any more.
    nameless: usize,
    /// The commits that were recorded since this was copied, if nothing else has changed by which commits are held.
    added: Option<Vec<CommitId>>,
}

impl PartialEq for RecordedCommits {
    fn eq(&self, other: &RecordedCommits) -> bool {
        self.commits.iter().eq(other.commits.iter())
    }
}

impl RecordedCommits {
    /// Returns the commits of these snapshots, which come in any order.
    pub fn new(mut all: Vec<RecordedCommit>) -> RecordedCommits {
        all.sort_unstable_by_key(|recorded| recorded.commit);
        all.dedup_by(|next, before| {
            let same = next.commit == before.commit;
            if same {
                before.names += next.names;
                before.dropped = before.dropped.max(next.dropped);
            }
            same
        });
        RecordedCommits {
            schedule: None,
            limits: None,
            yielding: None,
            commits: SortedChunks::of(&all),
            marked: SortedChunks::default(),
            nameless: all.iter().filter(|recorded| recorded.names == 0).count(),
            added: None,
        }
    }

    /// Returns a copy. It costs little, however many there are.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn try_clone(&self) -> Result<RecordedCommits> {
        Ok(RecordedCommits {
            schedule: self.schedule,
            limits: self.limits,
            yielding: self.yielding,
            commits: self.commits.try_clone(LIST)?,
            marked: self.marked.try_clone(LIST)?,
            nameless: self.nameless,
            added: Some(Vec::new()),
        })
    }

    /// Returns a copy that does not know what was added.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn copy(&self) -> Result<RecordedCommits> {
        let added = None;
        Ok(RecordedCommits {
            added,
            ..self.try_clone()?
        })
    }

    /// Returns the commits.
    pub fn all(&self) -> impl Iterator<Item = &RecordedCommit> {
        self.commits.iter()
    }

    fn at(&self, commit: CommitId) -> At {
        self.commits.partition_point(|recorded| recorded.commit < commit)
    }

    fn find(&self, commit: CommitId) -> Option<&RecordedCommit> {
        let found = self.commits.get(self.at(commit));
        found.filter(|recorded| recorded.commit == commit)
    }

    /// Changes what is recorded of a commit, if there is anything, and removes it if it has neither a name nor a drop
    /// then.
    fn change(&mut self, commit: CommitId, change: impl FnOnce(&mut RecordedCommit)) {
        let at = self.at(commit);
        let Some(there) = self.commits.get_mut(at).filter(|there| there.commit == commit) else {
            return;
        };
        let had = there.names > 0;
        change(there);
        let (has, dropped) = (there.names > 0, there.dropped);
        if !has && dropped == CommitId::NONE {
            self.commits.remove(at);
            self.nameless -= usize::from(!had);
            self.added = None;
        } else if had != has {
            self.nameless = self.nameless + usize::from(had) - usize::from(has);
            self.added = None;
        }
    }

    /// Records one more snapshot of a commit.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn add(&mut self, commit: CommitId) -> Result<()> {
        if self.contains(commit) {
            self.change(commit, |there| there.names += 1);
            return Ok(());
        }
        let new = RecordedCommit {
            commit,
            names: 1,
            dropped: CommitId::NONE,
        };
        self.commits.insert(self.at(commit), new, LIST)?;
        if let Some(added) = &mut self.added {
            Error::or_room(added, 1, LIST)?;
            added.push(commit);
        }
        Ok(())
    }

    /// Notes that there is a mark of a commit. It holds nothing, but says what its state is called.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn note_mark(&mut self, commit: CommitId) -> Result<()> {
        let at = self.marked.partition_point(|marked| *marked < commit);
        match self.marked.get(at) == Some(&commit) {
            true => Ok(()),
            false => self.marked.insert(at, commit, LIST),
        }
    }

    /// Returns whether there may be a mark of this commit.
    pub fn may_be_marked(&self, commit: CommitId) -> bool {
        let at = self.marked.partition_point(|marked| *marked < commit);
        self.marked.get(at) == Some(&commit)
    }

    /// Notes that a snapshot of a commit loses its name, by a drop in the commit `dropped` or, if that is
    /// [`CommitId::NONE`], so that nothing stays of it.
    pub fn remove(&mut self, commit: CommitId, dropped: CommitId) {
        self.change(commit, |there| {
            there.names = there.names.saturating_sub(1);
            there.dropped = there.dropped.max(dropped);
        });
    }

    /// Notes that nothing is left of a commit whose snapshots were dropped.
    pub fn forget(&mut self, commit: CommitId) {
        self.change(commit, |there| there.dropped = CommitId::NONE);
    }

    /// Returns the first recorded commit that is not before this one.
    pub fn from(&self, commit: CommitId) -> Option<CommitId> {
        self.commits.get(self.at(commit)).map(|recorded| recorded.commit)
    }

    /// Returns the next recorded commit after this one, or the greatest id there can be.
    pub fn after(&self, commit: CommitId) -> CommitId {
        self.from(commit.next()).unwrap_or(CommitId::MAX)
    }

    /// Returns whether a snapshot of this commit is recorded, with or without a name.
    pub fn contains(&self, commit: CommitId) -> bool {
        self.find(commit).is_some()
    }

    /// Returns whether a snapshot of this commit has a name.
    pub fn is_named(&self, commit: CommitId) -> bool {
        self.find(commit).is_some_and(|recorded| recorded.names > 0)
    }

    /// Returns the commit that dropped the last snapshot of this one.
    pub fn dropped(&self, commit: CommitId) -> Option<CommitId> {
        self.find(commit).map(|recorded| recorded.dropped)
    }

    /// Returns whether the file has a policy that this version follows.
    pub fn has_policy(&self) -> bool {
        self.schedule.is_some() || self.limits.is_some()
    }

    /// Notes that a snapshot of this time may yield.
    pub fn note_yielding(&mut self, time: u64) {
        self.yielding = Some(self.yielding.map_or(time, |oldest| oldest.min(time)));
    }

    /// Returns whether a commit of this time has to look which snapshots yield, where all of them keep so many pages
    /// too many or not.
    pub fn has_to_yield(&self, time: u64, keeps_too_much: bool) -> bool {
        let (Some(limits), Some(oldest)) = (&self.limits, self.yielding) else {
            return false;
        };
        limits.is_too_old(time, oldest) || keeps_too_much && !self.has_nameless()
    }

    /// Returns whether so many pages that snapshots keep are more than the policy says.
    pub fn keeps_too_much(&self, kept: impl FnOnce() -> u64) -> bool {
        self.limits
            .is_some_and(|limits| limits.pages > 0 && kept() > limits.pages)
    }

    /// Returns the commits by which those lost their last names that are not named any more.
    pub fn drops(&self) -> impl Iterator<Item = CommitId> + '_ {
        let nameless = self.all().filter(|recorded| recorded.names == 0);
        nameless.map(|recorded| recorded.dropped)
    }

    /// Returns whether there are commits that are not named any more.
    pub fn has_nameless(&self) -> bool {
        self.nameless > 0
    }
}

/// What a writer knows of the list of snapshots.
#[derive(Debug, Default)]
pub(super) struct KnownSnapshots {
    /// The root of the list that this is as of.
    root: Root,
    /// `None`: the list with this root is to be read.
    recorded: Option<RecordedCommits>,
    /// The commits that are held, until the commit `until` is durable, by which one of them was dropped.
    held: Option<Arc<SortedChunks<CommitId>>>,
    until: CommitId,
}

impl KnownSnapshots {
    /// Goes on to another root of the list, which has to be read unless it is that of an empty one.
    pub fn follow(&mut self, root: &Root) {
        if self.root != *root || self.recorded.is_none() {
            let recorded = (root.height == 0).then(RecordedCommits::default);
            self.know(root, recorded);
        }
    }

    /// Takes over the list with this root.
    pub fn know(&mut self, root: &Root, recorded: Option<RecordedCommits>) {
        let added = recorded.as_ref().and_then(|recorded| recorded.added.as_deref());
        let held = match (self.held.take(), added) {
            (Some(held), Some(added)) => with(held, added).ok(),
            _ => None,
        };
        *self = KnownSnapshots {
            root: *root,
            recorded,
            held,
            until: self.until,
        };
    }

    /// Returns the list, if it is known.
    pub fn recorded(&self) -> Option<&RecordedCommits> {
        self.recorded.as_ref()
    }

    /// Returns the commits that are held, in ascending order, if they are known: those of named snapshots, and those of
    /// snapshots whose drop is not durable (I-20). `None` also where there is no memory for the list.
    pub fn held(&mut self, durable: CommitId) -> Option<Arc<SortedChunks<CommitId>>> {
        let recorded = self.recorded.as_ref()?;
        if self.held.is_none() || durable >= self.until {
            let mut list = Vec::new();
            let mut until = CommitId::MAX;
            for recorded in recorded.all() {
                if recorded.is_held(durable) {
                    Error::or_room(&mut list, 1, LIST).ok()?;
                    list.push(recorded.commit);
                }
                if recorded.dropped > durable {
                    until = until.min(recorded.dropped);
                }
            }
            self.held = Some(Arc::new(SortedChunks::of(&list)));
            self.until = until;
        }
        self.held.clone()
    }
}

/// Returns a list of held commits with those that were recorded since.
///
/// # Errors
/// `NoMemory`.
fn with(held: Arc<SortedChunks<CommitId>>, added: &[CommitId]) -> Result<Arc<SortedChunks<CommitId>>> {
    if added.is_empty() {
        return Ok(held);
    }
    let mut list = held.try_clone(LIST)?;
    for commit in added {
        let at = list.partition_point(|other| other < commit);
        list.insert(at, *commit, LIST)?;
    }
    Ok(Arc::new(list))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns commits with their numbers of names and what dropped them.
    fn recorded(all: &[(u64, u32, u64)]) -> RecordedCommits {
        let one = |&(commit, names, dropped): &(u64, u32, u64)| RecordedCommit {
            commit: CommitId::new(commit),
            names,
            dropped: CommitId::new(dropped),
        };
        RecordedCommits::new(all.iter().map(one).collect())
    }

    #[test]
    fn a_commit_is_named_until_its_last_snapshot_goes() {
        let id = CommitId::new;
        let mut list = recorded(&[(9, 0, 12), (5, 0, 11), (9, 1, 0), (5, 0, 13), (7, 1, 0), (9, 1, 0)]);
        assert_eq!(list, recorded(&[(5, 0, 13), (7, 1, 0), (9, 2, 12)]));
        assert!(list.is_named(id(9)) && !list.is_named(id(5)) && !list.is_named(id(6)));
        let after = |commit| list.after(id(commit)).get();
        assert_eq!([4, 5, 7].map(after), [5, 7, 9]);
        assert_eq!(after(9), CommitId::MAX.get());

        list.remove(id(9), id(14));
        assert!(list.is_named(id(9)));
        list.remove(id(9), id(15));
        assert_eq!(
            list.all()
                .filter(|recorded| recorded.names == 0)
                .map(|recorded| recorded.commit.get())
                .collect::<Vec<_>>(),
            [5, 9]
        );
        list.add(id(9)).expect("memory");
        list.forget(id(9));
        list.forget(id(5));
        list.add(id(8)).expect("memory");
        list.remove(id(8), CommitId::NONE);
        assert_eq!(list, recorded(&[(7, 1, 0), (9, 1, 0)]));
    }

    #[test]
    fn a_schedule_is_due_when_nothing_is_known_and_long_after_the_newest() {
        let due = |newest, time| {
            let interval = u64::from(u32::MAX) * 1_000_000_000;
            Schedule { interval, newest }.is_due(time)
        };
        let long = u64::from(u32::MAX) * 1_000_000_000;
        assert!(due(0, 1), "an interval that is longer than there was time since 1970");
        assert!(!due(1, long) && due(1, long + 1) && !due(long, 1) && due(long + 1, 1));
    }

    #[test]
    fn what_is_added_is_held_without_looking_at_the_whole_list() {
        let root = Root {
            height: 1,
            ..Root::default()
        };
        let mut known = KnownSnapshots::default();
        known.know(&root, Some(recorded(&[(5, 0, 13), (7, 1, 0), (9, 0, 11)])));
        let held = |known: &mut KnownSnapshots, durable| {
            let held = known.held(CommitId::new(durable)).expect("known");
            held.iter().map(|id| id.get()).collect::<Vec<_>>()
        };
        assert_eq!(held(&mut known, 11), [5, 7]);
        let mut list = known.recorded().expect("known").try_clone().expect("memory");
        for commit in [14, 6, 14] {
            list.add(CommitId::new(commit)).expect("memory");
        }
        assert_eq!(list.added.as_deref(), Some(&[14, 6].map(CommitId::new)[..]));
        known.know(&root, Some(list));
        assert_eq!(held(&mut known, 12), [5, 6, 7, 14]);
        assert_eq!(held(&mut known, 13), [6, 7, 14], "the drop of 5 is durable");
        // Names that come back, and drops, change who is held in other ways.
        let mut list = known.recorded().expect("known").try_clone().expect("memory");
        list.add(CommitId::new(5)).expect("memory");
        list.remove(CommitId::new(7), CommitId::new(15));
        assert!(list.added.is_none() && list.has_nameless());
        known.know(&root, Some(list));
        assert_eq!(held(&mut known, 14), [5, 6, 7, 14]);
        assert_eq!(held(&mut known, 15), [5, 6, 14]);
    }

    #[test]
    fn a_snapshot_holds_its_commit_until_its_drop_is_durable() {
        let mut known = KnownSnapshots::default();
        let root = Root {
            height: 1,
            ..Root::default()
        };
        known.follow(&root);
        assert!(known.held(CommitId::new(9)).is_none(), "the list is not read");
        known.know(&root, Some(recorded(&[(5, 0, 13), (7, 1, 0), (9, 0, 11)])));
        let mut held = |durable| {
            let held = known.held(CommitId::new(durable)).expect("known");
            held.iter().map(|id| id.get()).collect::<Vec<_>>()
        };
        assert_eq!(held(10), [5, 7, 9]);
        assert_eq!(held(11), [5, 7]);
        assert_eq!(held(13), [7]);
        known.follow(&Root::default());
        assert_eq!(known.held(CommitId::new(13)).map(|held| held.iter().count()), Some(0));
    }
}
