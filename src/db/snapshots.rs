//! Named snapshots: making and dropping them, reading them, and what they keep.

use super::database::Db;
use super::difference::OTHER_DATABASE;
use super::options::WriteOptions;
use super::read::ReadTxn;
use super::write::WriteTxn;
use crate::catalogue::snapshot::{self, SnapshotRecord};
use crate::catalogue::NOTE_MAX;
use crate::error::{Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::Root;
use crate::pager::{new_uuid, now, View};

/// How a snapshot is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotOptions<'a> {
    /// If there is a snapshot with this name, it is dropped. Otherwise the call fails.
    pub replace: bool,
    /// The snapshot cannot be dropped before [`WriteTxn::snapshot_keep`] takes this back.
    pub keep: bool,
    /// It is a mark: a name of the state, of which nothing is kept but which ranges of keys have changed since
    /// ([`Reader::snapshot_ranges`](super::Reader::snapshot_ranges)).
    pub mark: bool,
    /// It becomes a mark when the policy of the file says so ([`WriteTxn::set_history`]), unless it is to be kept.
    pub yields: bool,
    /// A note of at most 1024 bytes.
    pub note: &'a [u8],
}

/// Which state a read transaction sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAt<'a> {
    /// That of the snapshot with this name.
    Snapshot(&'a [u8]),
    /// That of the newest commit that is not newer than this one: the newest of all, or one that a snapshot has.
    Commit(CommitId),
    /// That of the newest commit that is not later than this time, in nanoseconds since 1970 (UTC): the newest of all,
    /// or one that a snapshot has.
    Time(u64),
}

/// Refuses a note that is too long.
fn check_note(note: &[u8]) -> Result<()> {
    match note.len() <= NOTE_MAX {
        true => Ok(()),
        false => Err(Error::TooBig {
            what: "snapshot note",
            size: note.len() as u64,
            limit: NOTE_MAX as u64,
        }),
    }
}

impl Db {
    /// Begins a read transaction on an earlier state of the database, which a snapshot has. It is like any other, but
    /// for the list of snapshots, which is part of no state: there is no table [`TableId::SNAPSHOTS`] in it.
    ///
    /// # Errors
    /// `NotFound`: there is no such snapshot; `Invalid`: it is a mark, or none can have this name; those of
    /// [`Db::begin_read`]; `Corrupt`, `Io`: the list of snapshots cannot be read.
    pub fn begin_read_at(&self, at: ReadAt<'_>) -> Result<ReadTxn> {
        if let ReadAt::Snapshot(name) = at {
            snapshot::check_name(name)?;
        }
        // Another commit made meanwhile is no reason to read the whole list again.
        let mut found_before: Option<(Vec<u8>, CommitId)> = None;
        let reader = self.pager().begin_read_at(|newest| {
            let (view, list) = (newest.view(), newest.desc().roots.snapshots);
            if let Some((name, commit)) = &found_before {
                let again = snapshot::find(&view, &list, name)?;
                if let Some(record) = again.filter(|record| record.commit == *commit && !record.mark) {
                    return Ok(Some(record.descriptor()));
                }
            }
            let found = match at {
                ReadAt::Snapshot(name) => Some(snapshot::find_state(&view, &list, name)?),
                ReadAt::Commit(id) if newest.desc().id <= id => None,
                ReadAt::Time(time) if self.newest_is_before(newest.desc().id, time) => None,
                ReadAt::Commit(id) => Some(best(&view, &list, &mut found_before, |record| record.commit <= id)?),
                ReadAt::Time(time) => Some(best(&view, &list, &mut found_before, |record| record.time <= time)?),
            };
            Ok(found.map(|record| record.descriptor()))
        })?;
        Ok(ReadTxn::new(reader))
    }

    /// Returns the nearest commits that are kept, because a snapshot has them or as the newest one: the latest that is
    /// not later than the given one, and the earliest that is.
    ///
    /// # Errors
    /// Those of [`Db::begin_read`]; `Corrupt`, `Io`: the list of snapshots cannot be read.
    pub fn kept_around(&self, id: CommitId) -> Result<(Option<CommitId>, Option<CommitId>)> {
        let reader = self.begin_read()?;
        let newest = reader.snapshot();
        let (mut before, mut after) = match newest.desc().id {
            newest if newest <= id => (Some(newest), None),
            newest => (None, Some(newest)),
        };
        let read = snapshot::each_state(&newest.view(), &newest.desc().roots.snapshots, |_, record| {
            match record.commit <= id {
                true => before = before.max(Some(record.commit)),
                false => after = Some(after.map_or(record.commit, |after| after.min(record.commit))),
            }
            Ok(true)
        });
        read.map_err(|e| e.in_table(TableId::SNAPSHOTS))?;
        Ok((before, after))
    }

    /// Returns whether the newest commit is known to be no later than this time.
    fn newest_is_before(&self, newest: CommitId, time: u64) -> bool {
        // The time of a commit that many newer ones have followed since is not known, but then there is a newer one.
        self.pager().time_of(newest).is_some_and(|made| made <= time)
    }

    /// Gives back what dropped snapshots have left, and returns how many pages no snapshot keeps any more for that.
    /// Older readers may still see some of them, and the number is about right where others write meanwhile. Without
    /// this call, later commits do it, a part each. It makes commits that change nothing, and makes them durable;
    /// between them others can write.
    ///
    /// # Errors
    /// Those of [`Db::begin_write`] and [`WriteTxn::commit`].
    pub fn reclaim(&self) -> Result<u64> {
        self.reclaim_while(|| Ok(true))
    }

    /// Does so as long as `goes_on` says, which is asked before each commit, without the write lock.
    ///
    /// # Errors
    /// Those of [`Db::reclaim`] and of `goes_on`.
    pub(crate) fn reclaim_while(&self, mut goes_on: impl FnMut() -> Result<bool>) -> Result<u64> {
        let (reaped, kept) = (self.pager().reaped_pages(), self.stat().parked_pages);
        while goes_on()? {
            // What was dropped must be dropped for good before the last of it can go.
            self.sync()?;
            let mut txn = self.begin_write(WriteOptions::default())?;
            if !txn.draft.reclaim(&mut txn.pages)? {
                break;
            }
            (txn.folds, txn.same) = (true, true);
            txn.commit()?;
        }
        // What was not parked yet comes free without being reaped.
        let parked = self.pager().reaped_pages() - reaped;
        Ok(parked.max(kept.saturating_sub(self.stat().parked_pages)))
    }
}

/// Returns the newest of the snapshots that may be meant, and its name and commit in `found`.
///
/// # Errors
/// `NotFound`: there is none; those of [`snapshot::each`].
fn best(
    view: &View<'_>,
    list: &Root,
    found: &mut Option<(Vec<u8>, CommitId)>,
    may_be: impl Fn(&SnapshotRecord) -> bool,
) -> Result<SnapshotRecord> {
    let mut best: Option<SnapshotRecord> = None;
    let read = snapshot::each_state(view, list, |key, record| {
        let newer = best.as_ref().is_none_or(|best| record.commit > best.commit);
        if newer && may_be(&record) {
            *found = Some((key.to_vec(), record.commit));
            best = Some(record);
        }
        Ok(true)
    });
    read.map_err(|e| e.in_table(TableId::SNAPSHOTS))?;
    best.ok_or(Error::NotFound)
}

impl WriteTxn {
    /// Records a snapshot of what this transaction is about to commit. It has the name from the commit on. Making it
    /// costs an entry in the list of snapshots, and keeping it costs readers and writers nothing; the pages that it
    /// alone still sees are not used again before it is dropped.
    ///
    /// # Errors
    /// `Exists`: there is a snapshot with this name, and it is not to be replaced; `Invalid`: the name is empty or
    /// begins with a byte 0, the snapshot that would be replaced is to be kept, or a mark is to be kept or to yield;
    /// `TooBig`: the name has more than 512
    /// bytes, or the note more than 1024; those of [`WriteTxn::put`].
    pub fn snapshot_create(&mut self, name: &[u8], options: &SnapshotOptions<'_>) -> Result<()> {
        self.ready()?;
        let state = self.draft.state_to_commit(&mut self.pages)?;
        self.record(name, state, options)
    }

    /// Records a snapshot of what a read transaction sees.
    ///
    /// # Errors
    /// Those of [`WriteTxn::snapshot_create`]; `Invalid`: the read transaction is of another database; `Limit`: every
    /// reader slot is taken.
    pub fn snapshot_create_of(&mut self, name: &[u8], seen: &ReadTxn, options: &SnapshotOptions<'_>) -> Result<()> {
        if !std::ptr::eq(&**seen.snapshot().pager(), &**self.pages.pager()) {
            return Err(Error::Invalid(OTHER_DATABASE));
        }
        self.ready()?;
        snapshot::check_name(name)?;
        let held = seen.snapshot().again()?;
        let desc = *seen.snapshot().desc();
        let began = now().saturating_sub(seen.snapshot().age_ms().saturating_mul(1_000_000));
        let known = self.draft.recorded_state(desc.id, &mut self.pages)?;
        let time = self.pages.pager().time_of(desc.id);
        let state = match known {
            Some(known) if !known.mark => known,
            mark => SnapshotRecord {
                commit: desc.id,
                // The reader saw the newest commit when it began.
                time: mark.as_ref().map(|mark| mark.time).or(time).unwrap_or(began),
                guid: mark.map_or_else(new_uuid, |mark| mark.guid),
                file_pages: desc.pages,
                main: desc.roots.main,
                catalogue: desc.roots.catalogue,
                ..SnapshotRecord::default()
            },
        };
        self.record(name, state, options)?;
        self.held.push(held);
        Ok(())
    }

    fn record(&mut self, name: &[u8], state: SnapshotRecord, options: &SnapshotOptions<'_>) -> Result<()> {
        self.ready()?;
        check_note(options.note)?;
        if options.mark && (options.keep || options.yields) {
            return Err(Error::Invalid(
                "a mark keeps nothing, so it neither is to be kept nor yields; leave out one of the two flags",
            ));
        }
        self.pages.note_addition();
        let state = SnapshotRecord {
            keep: options.keep,
            yields: options.yields,
            automatic: false,
            dropped: None,
            note: options.note.to_vec(),
            ..state
        };
        let state = if options.mark { state.as_mark() } else { state };
        self.draft
            .snapshot_create(name, state, options.replace, &mut self.pages)
    }

    /// Gives a snapshot another name. If there is a snapshot with that name, it is dropped. One that a commit has
    /// recorded by itself is like those that were created from then on, so that the policy of the file leaves it alone.
    ///
    /// # Errors
    /// `NotFound`: there is no such snapshot; `Invalid`, `TooBig`: the new name cannot be one, or the snapshot that has
    /// it is to be kept; those of [`WriteTxn::put`].
    pub fn snapshot_rename(&mut self, name: &[u8], to: &[u8]) -> Result<()> {
        self.ready()?;
        self.draft.snapshot_rename(name, to, &mut self.pages)
    }

    /// Drops a snapshot. Transactions that read it are not disturbed. What it alone kept is given back by later
    /// commits, once the drop is durable; [`Db::reclaim`] does not wait for those.
    ///
    /// # Errors
    /// `NotFound`: there is no such snapshot; `Invalid`: it is to be kept; those of [`WriteTxn::put`].
    pub fn snapshot_drop(&mut self, name: &[u8]) -> Result<()> {
        self.ready()?;
        self.draft.snapshot_drop(name, &mut self.pages)
    }

    /// Makes a mark of a snapshot: its name, commit, note and GUID stay, and what it alone kept is given back as by a
    /// drop. It can be read no more, but [`Reader::snapshot_ranges`](super::Reader::snapshot_ranges) tells which ranges
    /// of keys have changed since. A mark stays one.
    ///
    /// # Errors
    /// Those of [`WriteTxn::snapshot_drop`].
    pub fn snapshot_release(&mut self, name: &[u8]) -> Result<()> {
        self.ready()?;
        self.draft.snapshot_release(name, &mut self.pages)
    }

    /// Says whether a snapshot is to be kept, so that dropping or replacing it is refused, and so that it does not
    /// yield.
    ///
    /// # Errors
    /// `NotFound`: there is no such snapshot; `Invalid`: it is a mark; those of [`WriteTxn::put`].
    pub fn snapshot_keep(&mut self, name: &[u8], keep: bool) -> Result<()> {
        self.ready()?;
        self.draft
            .snapshot_change(name, |record| record.keep = keep, &mut self.pages)
    }
}
