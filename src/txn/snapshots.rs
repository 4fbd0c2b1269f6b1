//! Snapshots in a draft: the list of them is a table like others, but for three things. Its root is not in the
//! catalogue. A snapshot of what the draft is about to commit gets its roots only when they are known, so its record
//! waits until then. And the draft knows which commits are recorded, for the fold that its commit may be.

use super::draft::Draft;
use super::draft_pages::{get_ready_to_fold, know_snapshots, DraftPages};
use super::flush::Edit;
use super::table::TableIndex;
use crate::catalogue::snapshot::{self, SnapshotRecord};
use crate::error::{Conflict, Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::leaf::Stored;
use crate::page::Root;
use crate::pager::{new_uuid, now, PageWriter, RecordedCommits};
use crate::tree::read::scan::scan;
use crate::tree::write::edits::Op;
use crate::util::shown::Quoted;

impl Draft {
    /// Records a snapshot of `state` under a name. If its commit is the draft's own, its roots, pages and time are
    /// those that the commit will have.
    pub fn snapshot_create(
        &mut self,
        name: &[u8],
        state: SnapshotRecord,
        replace: bool,
        pages: &mut PageWriter,
    ) -> Result<()> {
        snapshot::check_name(name)?;
        let (at, own) = (self.open_snapshots(pages)?, pages.id());
        if self.exists(at, name)? {
            match replace {
                true => self.snapshot_remove(at, name, pages)?,
                false => {
                    let what = format!("the snapshot {}", Quoted(name));
                    return Err(Error::Exists(Conflict::new(TableId::SNAPSHOTS, what)));
                }
            }
        }
        let recorded = self.record(name, &state, own, pages);
        recorded.map_err(|e| self.fail(e))?;
        self.put_snapshot(at, name, &state, pages)
    }

    /// Takes note that a state is recorded under a name.
    fn record(&mut self, name: &[u8], state: &SnapshotRecord, own: CommitId, pages: &PageWriter) -> Result<()> {
        let recorded = self.recorded_mut(pages)?;
        match state.mark {
            true => recorded.note_mark(state.commit)?,
            false => recorded.add(state.commit)?,
        }
        if state.may_yield() {
            recorded.note_yielding(state.time);
        }
        if state.commit == own {
            Error::or_room(&mut self.snapshots.new, 1, "the names of new snapshots")?;
            self.snapshots.new.push(name.to_vec());
        }
        Ok(())
    }

    /// Returns what is to be recorded of what the draft is about to commit, as far as that is known before.
    pub fn state_to_commit(&mut self, pages: &mut PageWriter) -> Result<SnapshotRecord> {
        let commit = pages.id();
        let known = self.recorded_state(commit, pages)?.filter(|known| !known.mark);
        let guid = *self.snapshots.guid.get_or_insert_with(new_uuid);
        Ok(known.unwrap_or_else(|| SnapshotRecord {
            commit,
            time: now(),
            guid,
            ..SnapshotRecord::default()
        }))
    }

    /// Returns what is recorded of the state of a commit of which there is or was a snapshot. Where there are only
    /// marks of it, it is what these know.
    pub fn recorded_state(&mut self, commit: CommitId, pages: &mut PageWriter) -> Result<Option<SnapshotRecord>> {
        let at = self.open_snapshots(pages)?;
        let recorded = self.recorded_mut(pages);
        let may_be = recorded.map(|recorded| recorded.contains(commit) || recorded.may_be_marked(commit));
        if !may_be.map_err(|e| self.fail(e))? {
            return Ok(None);
        }
        self.flush(at, pages)?;
        let mut found: Option<SnapshotRecord> = None;
        let list = self.table(at).tree.root;
        let read = snapshot::each(&self.pages(), &list, |_, record| {
            if record.commit == commit {
                found = Some(record);
            }
            Ok(found.as_ref().is_none_or(|found| found.mark))
        });
        read.map_err(|e| self.fail(e.in_table(TableId::SNAPSHOTS)))?;
        Ok(found)
    }

    /// Gives a snapshot another name. If another snapshot has that, it is dropped.
    pub fn snapshot_rename(&mut self, name: &[u8], to: &[u8], pages: &mut PageWriter) -> Result<()> {
        snapshot::check_name(name)?;
        snapshot::check_name(to)?;
        let at = self.open_snapshots(pages)?;
        let mut record = self.find_snapshot(at, name)?;
        if name == to {
            return Ok(());
        }
        if std::mem::take(&mut record.automatic) {
            // Whoever gives it a name of his own will want to have it.
            self.look_for_newest(pages)?;
        }
        if self.exists(at, to)? {
            self.snapshot_remove(at, to, pages)?;
        }
        if let Some(new) = self.snapshots.new.iter_mut().find(|new| new[..] == *name) {
            *new = to.to_vec();
        }
        self.delete_snapshot(at, name, pages)?;
        self.put_snapshot(at, to, &record, pages)
    }

    /// Drops a snapshot. What it alone keeps is given back by later commits.
    pub fn snapshot_drop(&mut self, name: &[u8], pages: &mut PageWriter) -> Result<()> {
        snapshot::check_name(name)?;
        let at = self.open_snapshots(pages)?;
        self.snapshot_remove(at, name, pages)
    }

    /// Changes what is recorded of a snapshot besides its state.
    pub fn snapshot_change(
        &mut self,
        name: &[u8],
        change: impl FnOnce(&mut SnapshotRecord),
        pages: &mut PageWriter,
    ) -> Result<()> {
        snapshot::check_name(name)?;
        let at = self.open_snapshots(pages)?;
        let mut record = self.find_snapshot(at, name)?;
        if record.mark {
            return Err(Error::Invalid(snapshot::ONLY_A_MARK));
        }
        change(&mut record);
        if record.may_yield() {
            self.change_recorded(pages, |recorded| recorded.note_yielding(record.time))?;
        }
        self.put_snapshot(at, name, &record, pages)
    }

    /// Makes a mark of a snapshot, which then keeps nothing. One that is a mark stays one.
    pub fn snapshot_release(&mut self, name: &[u8], pages: &mut PageWriter) -> Result<()> {
        snapshot::check_name(name)?;
        let at = self.open_snapshots(pages)?;
        if self.find_snapshot(at, name)?.mark {
            return Ok(());
        }
        self.make_mark(at, name, pages)
    }

    /// Makes a mark of a snapshot that is none. On a full disk this makes room, so it counts as no addition.
    pub(super) fn make_mark(&mut self, at: TableIndex, name: &[u8], pages: &mut PageWriter) -> Result<()> {
        let record = self.find_snapshot(at, name)?;
        self.snapshot_remove(at, name, pages)?;
        let (mark, own) = (record.as_mark(), pages.id());
        let recorded = self.record(name, &mark, own, pages);
        recorded.map_err(|e| self.fail(e))?;
        self.put_snapshot(at, name, &mark, pages)
    }

    /// Removes a snapshot, and has what it alone keeps given back.
    pub(super) fn snapshot_remove(&mut self, at: TableIndex, name: &[u8], pages: &mut PageWriter) -> Result<()> {
        let record = self.find_snapshot(at, name)?;
        if record.mark {
            self.snapshots.new.retain(|new| new[..] != *name);
            return self.delete_snapshot(at, name, pages);
        }
        if record.keep {
            return Err(Error::Invalid(
                "the snapshot is to be kept; take that back (kv_snapshot_keep) before it is dropped or replaced",
            ));
        }
        let own = pages.id();
        self.delete_snapshot(at, name, pages)?;
        // One that was made in this transaction is gone without a trace.
        let dropped = match record.commit == own {
            true => CommitId::NONE,
            false => own,
        };
        self.change_recorded(pages, |recorded| {
            recorded.remove(record.commit, dropped);
        })?;
        self.snapshots.new.retain(|new| new[..] != *name);
        if record.automatic {
            self.look_for_newest(pages)?;
        }
        if dropped == CommitId::NONE {
            return Ok(());
        }
        let record = SnapshotRecord {
            dropped: Some(dropped),
            yields: false,
            note: Vec::new(),
            ..record
        };
        self.put_snapshot(at, &record.dropped_key(), &record, pages)
    }

    /// Has the commit look which of the snapshots that were made by themselves is the newest now.
    fn look_for_newest(&mut self, pages: &PageWriter) -> Result<()> {
        self.change_recorded(pages, |recorded| {
            if let Some(schedule) = &mut recorded.schedule {
                schedule.newest = 0;
            }
        })
    }

    /// Opens the list, and learns what it says.
    pub(super) fn open_snapshots(&mut self, pages: &mut PageWriter) -> Result<TableIndex> {
        let at = self.open(TableId::SNAPSHOTS)?;
        if self.snapshots.recorded.is_none() {
            know_snapshots(pages).map_err(|e| self.fail(e))?;
        }
        Ok(at)
    }

    /// Returns what the list will say, to be changed.
    pub(super) fn recorded_mut(&mut self, pages: &PageWriter) -> Result<&mut RecordedCommits> {
        let changed = &mut self.snapshots.recorded;
        match changed {
            Some(recorded) => Ok(recorded),
            None => {
                let now = pages.recorded().map(RecordedCommits::try_clone).transpose()?;
                Ok(changed.insert(now.unwrap_or_default()))
            }
        }
    }

    /// Changes what the list will say.
    pub(super) fn change_recorded<T>(
        &mut self,
        pages: &PageWriter,
        change: impl FnOnce(&mut RecordedCommits) -> T,
    ) -> Result<T> {
        let changed = self.recorded_mut(pages).map(change);
        changed.map_err(|e| self.fail(e))
    }

    /// Returns the record of a snapshot.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn find_snapshot(&mut self, at: TableIndex, name: &[u8]) -> Result<SnapshotRecord> {
        let pending = self.pending(at, name)?;
        match self.stored(at, pending, name)? {
            Some(Stored::Inline(value)) => SnapshotRecord::decode(value).map_err(|e| self.fail(e)),
            Some(Stored::Chain(_)) => Err(self.fail(Error::corrupt(None, "record of a snapshot is malformed"))),
            None => Err(Error::NotFound),
        }
    }

    fn put_snapshot<P: DraftPages>(
        &mut self,
        at: TableIndex,
        key: &[u8],
        record: &SnapshotRecord,
        pages: &mut P,
    ) -> Result<()> {
        let value = record.encode();
        let edit = Edit {
            key,
            op: Op::Put(Stored::Inline(&value)),
            is_greatest: false,
        };
        self.push(at, edit, pages)
    }

    fn delete_snapshot<P: DraftPages>(&mut self, at: TableIndex, key: &[u8], pages: &mut P) -> Result<()> {
        let edit = Edit {
            key,
            op: Op::Delete,
            is_greatest: false,
        };
        self.push(at, edit, pages)
    }

    /// Returns whether snapshots of what is about to be committed are recorded.
    pub(super) fn has_new_snapshots(&self) -> bool {
        !self.snapshots.new.is_empty()
    }

    /// Completes the records of snapshots of what is about to be committed, whose roots are known now.
    pub(super) fn complete_snapshots(&mut self, main: Root, catalogue: Root, pages: &mut PageWriter) -> Result<()> {
        let new = std::mem::take(&mut self.snapshots.new);
        let at = self.open(TableId::SNAPSHOTS)?;
        for name in new {
            let record = SnapshotRecord {
                time: pages.time(),
                ..self.find_snapshot(at, &name)?
            };
            let record = match record.mark {
                true => record,
                false => SnapshotRecord {
                    main,
                    catalogue,
                    file_pages: pages.file_pages(),
                    used_pages: pages.used_pages(),
                    ..record
                },
            };
            let value = record.encode();
            let edit = Edit {
                key: &name,
                op: Op::Put(Stored::Inline(&value)),
                is_greatest: false,
            };
            // Nothing may be flushed now that the fold is made, which could load zones.
            self.builder.record(&mut self.tables[at.0].tree, edit)?;
        }
        Ok(())
    }

    /// Removes the records of commits of which nothing is left.
    pub(super) fn forget_snapshots(&mut self, done: &[CommitId], pages: &mut PageWriter) -> Result<()> {
        for commit in done {
            let at = self.open_snapshots(pages)?;
            self.recorded_mut(pages)?.forget(*commit);
            if let Some(key) = self.dropped_key(*commit)? {
                let edit = Edit {
                    key: &key,
                    op: Op::Delete,
                    is_greatest: false,
                };
                // Nothing may be flushed now that the fold is made, which could load zones.
                self.builder.record(&mut self.tables[at.0].tree, edit)?;
            }
        }
        Ok(())
    }

    /// Returns the key of the record of a commit whose snapshots were dropped by earlier commits.
    fn dropped_key(&self, commit: CommitId) -> Result<Option<Vec<u8>>> {
        let none = SnapshotRecord {
            commit,
            ..SnapshotRecord::default()
        };
        let mut found = None;
        scan(
            &self.pages(),
            &self.base().roots.snapshots,
            &none.dropped_key(),
            |key, _| {
                found = Some(key.to_vec()).filter(|key| key[..7] == none.dropped_key()[..7]);
                Ok(false)
            },
        )?;
        Ok(found)
    }

    /// Makes the commit of the draft fold, if snapshots were dropped of which something may be left. Returns whether it
    /// will.
    pub fn reclaim(&mut self, pages: &mut PageWriter) -> Result<bool> {
        know_snapshots(pages)?;
        let recorded = pages.recorded();
        if recorded.is_none_or(|recorded| !recorded.has_nameless()) {
            return Ok(false);
        }
        self.fold_only(pages)?;
        Ok(true)
    }

    /// Gets ready for a commit that folds and changes nothing else.
    pub fn fold_only(&mut self, pages: &mut PageWriter) -> Result<()> {
        get_ready_to_fold(pages)?;
        self.mark_changed();
        Ok(())
    }

    /// Returns what the list of snapshots will say, if the draft changes it.
    pub(super) fn recorded(&self) -> Option<&RecordedCommits> {
        self.snapshots.recorded.as_ref()
    }
}
