//! The order of a commit: how a draft becomes the newest state of the database.
//!
//! ```text
//! 1  cancel    values that were begun and not finished give their pages back
//! 2  flush     what is left of each write set is applied to its tree
//! 3  count     the private pages are counted, and free pages found for them
//! 4  place     the trees of the tables get their pages
//! 5  catalogue the roots of changed tables are written into it, and it is placed
//! 6  fold      records of dead space that have piled up are applied to the space tree, and that is placed
//! 7  finish    everything queued is written: no private page is left
//! 8  publish   the pager makes the roots a commit (`pager/commit/publish.rs` goes on with the numbers)
//! ```
//!
//! Trees are placed in an order in which each finds the roots that it names: the catalogue holds the roots of the tables,
//! and placing the catalogue changes what the space tree is told. Nothing before step 8 can be seen by anybody, and an
//! error before it is undone by dropping the page writer (I-8).

use super::draft::Draft;
use super::flush::Edit;
use super::space_tree::{encode_dead, encode_key};
use super::table::{DraftTable, DraftTree};
use super::unfinished::UnfinishedValues;
use super::write_set::WriteSet;
use crate::catalogue;
use crate::error::Result;
use crate::ids::{CommitId, TableId};
use crate::page::leaf::Stored;
use crate::page::{Root, Roots};
use crate::pager::{Durability, PageWriter};
use crate::tree::write::edits::Op;

/// How a commit is made.
#[derive(Debug, Clone, Copy)]
pub struct CommitMode {
    /// When it counts as done.
    pub durability: Durability,
    /// Wait until it is done; else somebody else will.
    pub wait: bool,
}

impl Draft {
    /// Commits the draft through the page writer, whose tip it must build on; the id of the commit. A draft that changed
    /// nothing makes no commit, and answers the id of the one it builds on.
    ///
    /// # Errors
    /// `TxnFailed`. `NoSpace`, `Io`, `Corrupt`, `Limit`, `NoMemory`: nothing happened. `InDoubt`, `Poisoned`: see
    /// [`crate::Error`].
    pub fn commit(mut self, mut pages: PageWriter, unfinished: UnfinishedValues, mode: CommitMode) -> Result<CommitId> {
        self.check_usable()?;
        debug_assert_eq!(
            pages.tip().id,
            self.base().id,
            "a draft is committed on what it builds on"
        );
        // Step 1: cancel. Pages that were taken and given back are free for the steps below.
        if !unfinished.is_empty() {
            self.mark_changed();
            unfinished.cancel(&mut pages);
        }
        if !self.is_changed() {
            return Ok(self.base().id);
        }
        self.flush_tables(&mut pages)?;
        self.count_pages(mode.durability, &mut pages)?;
        self.place_tables(&mut pages)?;
        let catalogue = self.write_catalogue(&mut pages)?;
        let (space, memory) = self.fold_records(&mut pages)?;
        let roots = Roots {
            main: self.tables[0].tree.root,
            catalogue,
            space,
        };
        // Step 7: finish. From here on the file holds all that the roots lead to.
        self.builder.finish(memory, &mut pages)?;
        // Step 8: publish.
        match mode.wait {
            true => pages.commit(roots, mode.durability),
            false => pages.commit_async(roots, mode.durability),
        }
    }

    /// Step 2: flush. Large write sets place their pages as they go, while these are in the caches; those of small ones
    /// stay private, so that step 3 can count them.
    fn flush_tables(&mut self, pages: &mut PageWriter) -> Result<()> {
        for table in self.tables.iter_mut().filter(|t| !t.dropped) {
            self.builder.flush_last(&mut table.tree, pages)?;
        }
        Ok(())
    }

    /// Step 3: count. A commit that asks for runs of the right lengths is written in few places, and its branches, which the
    /// next commit replaces together, leave one hole of the length that it will ask for.
    fn count_pages(&mut self, durability: Durability, pages: &mut PageWriter) -> Result<()> {
        // The catalogue is not flushed yet: about a leaf, its path, and a page more.
        let height = self.base().roots.catalogue.height;
        let catalogue = match self.changed_tables().next() {
            Some(_) => 2 + u64::from(height),
            None => 0,
        };
        self.builder.expect_pages(catalogue, durability, pages)
    }

    /// Step 4: place the trees of the tables, so that their roots are known.
    fn place_tables(&mut self, pages: &mut PageWriter) -> Result<()> {
        for table in self.tables.iter_mut().filter(|t| !t.dropped) {
            self.builder.place_tree(&mut table.tree, pages)?;
        }
        Ok(())
    }

    /// Tables whose records in the catalogue change. The default table has none: its root is published by itself.
    fn changed_tables(&self) -> impl Iterator<Item = &DraftTable> {
        let named = self.tables.iter().filter(|t| t.tree.table != TableId::MAIN);
        named.filter(|t| t.is_changed())
    }

    /// Step 5: catalogue. The roots of changed tables are written into it, and it is placed; answers its root.
    fn write_catalogue(&mut self, pages: &mut PageWriter) -> Result<Root> {
        let mut catalogue = DraftTree::new(TableId::CATALOGUE, self.base().roots.catalogue);
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

    /// Step 6: fold, if the pager says that it is time. The commit's own record is not among what is folded: it stays in the
    /// slot, so that freeing pages never needs pages that must be freed again. The root of the space tree, and an empty write
    /// set whose memory is worth keeping.
    fn fold_records(&mut self, pages: &mut PageWriter) -> Result<(Root, WriteSet)> {
        let mut space = DraftTree::new(TableId::SPACE, self.base().roots.space);
        // Nothing but memory: every table is flushed.
        space.edits = std::mem::take(&mut self.tables[0].tree.edits);
        debug_assert!(space.edits.is_empty(), "the default table was flushed in step 2");
        if let Some(changes) = pages.fold() {
            for (page, dead) in changes {
                let key = encode_key(page);
                match dead {
                    Some(d) => space.edits.push(&key, Op::Put(Stored::Inline(&encode_dead(&d)))),
                    None => space.edits.push(&key, Op::Delete),
                }?;
            }
            self.builder.apply_edits(&mut space, false, pages)?;
            self.builder.place_space(&mut space, pages)?;
        }
        Ok((space.root, space.edits))
    }
}
