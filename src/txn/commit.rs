//! This module has the order of a commit: the steps by which a draft becomes the newest state of the database.
//!
//! ```text
//! 1  cancel    values that were begun and not finished give their pages back; if the policy of the file has a snapshot
//!              recorded, that is done
//! 2  flush     what is left of each write set is applied to its tree
//! 3  count     the private pages are counted, and free pages found for them
//! 4  place     the trees of the tables get their pages
//! 5  catalogue the roots of changed tables are written into it, and it is placed
//! 6  fold      records of dead space that have piled up are applied to the space tree, and that is placed, and so is
//!              the list of snapshots, which says of what nothing is left to be given back
//! 7  finish    everything queued is written: no private page is left
//! 8  publish   the pager makes the roots a commit (`pager/commit/publish.rs` goes on with the numbers)
//! ```
//!
//! Each tree is placed after those on which it depends: the catalogue contains the roots of the tables, and placing the
//! catalogue takes pages from the dead extents that the space tree lists. Nobody can see anything of the commit before
//! step 8, and after an error before it, dropping the page writer undoes everything (I-8).

use super::draft::Draft;
use super::draft_pages::know_snapshots;
use super::flush::Edit;
use super::reap::{reap, Reaped};
use super::space_tree::{encode_dead, encode_key, encode_parked, encode_parked_key};
use super::table::{DraftTable, DraftTree};
use super::unfinished::UnfinishedValues;
use super::write_set::WriteSet;
use crate::catalogue;
use crate::error::{Error, Result};
use crate::ids::{CommitId, TableId};
use crate::page::leaf::Stored;
use crate::page::{Root, Roots};
use crate::pager::{Durability, Fold, PageWriter, Parked, RecordedCommits, SpaceEdit};
use crate::tree::write::edits::Op;
use crate::util::seeded::{self, Bug};

/// How a commit is made.
#[derive(Debug, Clone, Copy)]
pub struct CommitMode {
    /// The durability of the commit, which says when it counts as done.
    pub durability: Durability,
    /// Whether the call waits until the commit is done. If not, somebody else will wait for it.
    pub wait: bool,
    /// Whether the commit folds although it is not time for that, to give back what dropped snapshots have left.
    pub folds: bool,
    /// Whether nothing changes but where things lie. Such a commit is none of the history of the file.
    pub same: bool,
}

/// The most parked extents that a fold takes out. With what else a fold does, this takes a few milliseconds.
const REAPED_MAX: usize = 4096;

/// Names a table in an error about damage that was found in its tree.
#[cold]
fn named(error: Error, table: &DraftTable) -> Error {
    match error.unnamed_table() == Some(table.tree.table) {
        true => error.in_table_called(&table.name),
        false => error,
    }
}

/// Adds the edits of the space tree by which a fold changes it.
fn write_fold(fold: &Fold, edits: &mut WriteSet) -> Result<()> {
    for SpaceEdit { first, dead } in &fold.edits {
        let key = encode_key(*first);
        match dead {
            Some(d) => edits.push(&key, Op::Put(Stored::Inline(&encode_dead(d)))),
            None => edits.push(&key, Op::Delete),
        }?;
    }
    for parked in &fold.parked {
        let value = encode_parked(parked);
        edits.push(&encode_parked_key(parked), Op::Put(Stored::Inline(&value)))?;
    }
    Ok(())
}

/// Adds the edits of the space tree by which parked extents are dead ones again.
fn write_reaped(extents: &[Parked], edits: &mut WriteSet) -> Result<()> {
    for parked in extents {
        edits.push(&encode_parked_key(parked), Op::Delete)?;
        if !seeded::on(Bug::ForgetReaped) {
            let key = encode_key(parked.extent.run.first);
            let dead = encode_dead(&parked.dead());
            edits.push(&key, Op::Put(Stored::Inline(&dead)))?;
        }
    }
    Ok(())
}

impl Draft {
    /// Commits the draft through the page writer, whose tip must be the commit that the draft builds on, and returns
    /// the id of the commit. A draft that changed nothing makes no commit, and the id of the commit that it builds on
    /// is returned.
    ///
    /// # Errors
    /// `TxnFailed`: the draft had failed before. `NoSpace`, `Io`, `Corrupt`, `Limit`, `NoMemory`: nothing was
    /// committed. `InDoubt`, `Poisoned`: see [`crate::Error`].
    pub fn commit(mut self, mut pages: PageWriter, unfinished: UnfinishedValues, mode: CommitMode) -> Result<CommitId> {
        self.check_usable()?;
        Error::if_memory_is_short("a commit")?;
        debug_assert_eq!(
            pages.tip().id,
            self.base().id,
            "a draft is committed on what it builds on"
        );
        // What could still be undone cannot any more.
        self.forget_savepoint(1, &mut pages);
        // Step 1: cancel. The steps below can use the pages that are given back here.
        if !unfinished.is_empty() {
            self.mark_changed();
            unfinished.cancel(&mut pages);
        }
        if !self.is_changed() {
            return Ok(self.base().id);
        }
        pages.look_at_limits();
        let folds = mode.folds || !mode.same && self.keep_history(&mut pages)?;
        self.flush_tables(&mut pages)?;
        self.count_pages(mode.durability, &mut pages)?;
        self.place_tables(&mut pages)?;
        let catalogue = self.write_catalogue(&mut pages)?;
        let main = self.tables[0].tree.root;
        let (space, memory) = self.fold_records(folds, &mut pages)?;
        if self.has_new_snapshots() {
            // The fold may make the file shorter, and what is left of runs is given back: the pages of the file are
            // known only now.
            self.builder.end_runs(&mut pages)?;
            self.complete_snapshots(main, catalogue, &mut pages)?;
        }
        let roots = Roots {
            main,
            catalogue,
            space,
            snapshots: self.place_snapshots(&mut pages)?,
        };
        // Step 7: finish. From here on the file has every page that the roots lead to.
        self.builder.finish(memory, &mut pages)?;
        // Step 8: publish.
        match mode.wait {
            true => pages.commit(roots, mode.durability),
            false => pages.commit_async(roots, mode.durability),
        }
    }

    /// Step 2: flushes every write set. Large ones place their pages as they go, while the pages are in the caches. The
    /// pages of small ones stay private, so that step 3 can count them.
    fn flush_tables(&mut self, pages: &mut PageWriter) -> Result<()> {
        for table in self.tables.iter_mut().filter(|t| t.is_placed_first()) {
            let flushed = self.builder.flush_last(&mut table.tree, pages);
            flushed.map_err(|e| named(e, table))?;
        }
        Ok(())
    }

    /// Step 3: counts the private pages. A commit that asks for runs of the right lengths is written in few places. The
    /// next commit replaces its branches together, so they leave one hole of just the length that another commit will
    /// ask for.
    fn count_pages(&mut self, durability: Durability, pages: &mut PageWriter) -> Result<()> {
        // The catalogue is not flushed yet, so its pages are estimated: those on the path to one leaf, and two more.
        let height = self.base().roots.catalogue.height;
        let catalogue = match self.changed_tables().next() {
            Some(_) => 2 + u64::from(height),
            None => 0,
        };
        self.builder.expect_pages(catalogue, durability, pages)
    }

    /// Step 4: places the trees of the tables, so that their roots are known.
    fn place_tables(&mut self, pages: &mut PageWriter) -> Result<()> {
        for table in self.tables.iter_mut().filter(|t| t.is_placed_first()) {
            let placed = self.builder.place_tree(&mut table.tree, pages);
            placed.map_err(|e| named(e, table))?;
        }
        Ok(())
    }

    /// Returns the tables whose records in the catalogue change.
    fn changed_tables(&self) -> impl Iterator<Item = &DraftTable> {
        self.tables.iter().filter(|t| t.is_changed())
    }

    /// Step 5: writes the records of changed tables into the catalogue, places it, and returns its root.
    fn write_catalogue(&mut self, pages: &mut PageWriter) -> Result<Root> {
        let root = self.relocated.catalogue.unwrap_or(self.base().roots.catalogue);
        let mut catalogue = DraftTree::new(TableId::CATALOGUE, root);
        let edits: Vec<(TableId, Option<Vec<u8>>)> = self
            .changed_tables()
            .map(|t| (t.tree.table, (!t.dropped).then(|| t.record().encode())))
            .collect();
        for (table, record) in &edits {
            let edit = Edit {
                key: &catalogue::record_key(*table),
                op: match record {
                    Some(record) => Op::Put(Stored::Inline(record)),
                    None => Op::Delete,
                },
                is_greatest: false,
            };
            self.builder.record(&mut catalogue, edit)?;
        }
        self.builder.flush_last(&mut catalogue, pages)?;
        self.builder.place_tree(&mut catalogue, pages)?;
        Ok(catalogue.root)
    }

    /// Step 6: folds the records into the space tree, if the pager says that it is time or it is `forced`. The
    /// commit's own record is not folded but stays in the slot, so that freeing pages never needs pages that must
    /// themselves be freed again. Returns the root of the space tree, and an empty write set whose memory is worth
    /// keeping.
    fn fold_records(&mut self, forced: bool, pages: &mut PageWriter) -> Result<(Root, WriteSet)> {
        let before = self.base().roots.space;
        let mut space = DraftTree::new(TableId::SPACE, self.relocated.space.unwrap_or(before));
        // This takes over nothing but memory, because every write set was flushed in step 2.
        space.edits = std::mem::take(&mut self.tables[0].tree.edits);
        debug_assert!(space.edits.is_empty(), "the main table was flushed in step 2");
        if !pages.is_to_fold(forced) {
            if space.root != before {
                self.builder.place_space(&mut space, pages)?;
            }
            return Ok((space.root, space.edits));
        }
        know_snapshots(pages)?;
        let recorded = match self.recorded().or(pages.recorded()) {
            Some(recorded) => recorded.try_clone()?,
            None => RecordedCommits::default(),
        };
        write_fold(pages.fold(&recorded)?, &mut space.edits)?;
        // What dropped snapshots have left is looked for as it was before this commit.
        let reaped = reap(&pages.view(), &before, &recorded, REAPED_MAX);
        let Reaped { extents, done } = reaped.map_err(|e| e.in_table(TableId::SPACE))?;
        write_reaped(&extents, &mut space.edits)?;
        pages.reap(extents).map_err(|e| e.in_table(TableId::SPACE))?;
        let durable = |commit: &CommitId| {
            recorded
                .dropped(*commit)
                .is_some_and(|dropped| pages.is_durable(dropped))
        };
        let done: Vec<CommitId> = done.into_iter().filter(durable).collect();
        self.forget_snapshots(&done, pages)?;
        self.builder.apply_edits(&mut space, false, pages)?;
        self.builder.join_lost(&mut space, pages)?;
        self.builder.place_space(&mut space, pages)?;
        Ok((space.root, space.edits))
    }

    /// Places the list of snapshots, if it has changed, and returns its root.
    fn place_snapshots(&mut self, pages: &mut PageWriter) -> Result<Root> {
        let Some(list) = self.tables.iter_mut().find(|t| t.tree.table == TableId::SNAPSHOTS) else {
            return Ok(self.base().roots.snapshots);
        };
        // Nothing is placed while edits are applied: that could load zones, which a fold must know before.
        self.builder.apply_edits(&mut list.tree, false, pages)?;
        self.builder.join_lost(&mut list.tree, pages)?;
        self.builder.place_tree(&mut list.tree, pages)?;
        if let Some(recorded) = self.snapshots.recorded.take() {
            pages.record_snapshots(recorded);
        }
        Ok(list.tree.root)
    }
}
