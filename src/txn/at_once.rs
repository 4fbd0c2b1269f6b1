//! Edits that are made at once, where somebody has just looked, and not collected.
//!
//! A cursor that puts and deletes, a queue that takes its ends, a counter that is read and put: each has found the entry
//! already, and would otherwise have it searched for again when its edit is flushed, for which the next look would not wait
//! long. So the edit is made where the position leads (`tree/write/at_position.rs`), in private pages as a flush makes it.
//! Blind edits are collected as ever, and the two mix: an edit at once is made only where no edit of its key waits.

use super::draft::{Draft, TableIndex};
use super::flush::{DraftPages, Edit, Known};
use crate::error::Result;
use crate::tree::read::cursor::TreeCursor;
use crate::tree::read::path::Position;
use crate::tree::read::scan::RangeEnd;
use crate::tree::write::at_position::{Edited, KeyEdit};
use crate::tree::write::edits::Op;

impl Draft {
    /// Makes an edit of the entry on which a cursor stands. The edits of its table must have been flushed, and the cursor
    /// have looked since then. Afterwards it stands where it stood or, if the entry was deleted, in the gap.
    pub fn edit_at<P: DraftPages>(
        &mut self,
        at: TableIndex,
        cursor: &mut TreeCursor,
        op: Op<'_>,
        pages: &mut P,
    ) -> Result<()> {
        debug_assert!(
            self.table(at).tree.edits.is_empty(),
            "the edits of the table were flushed"
        );
        let removed = matches!(op, Op::Delete);
        let (position, key) = cursor.entry_position();
        let edited = self.edit_now(at, (position, Known::Entry), KeyEdit { key, op }, pages)?;
        match edited {
            Edited::Here { .. } => cursor.edited(self.builder.version(), removed),
            _ if removed => cursor.deleted(),
            _ => {}
        }
        self.keep_few_pages(at, pages)
    }

    /// Makes an edit at once if it is better made so than collected, and returns whether it did.
    #[inline(always)]
    pub(super) fn edit_if_better<P: DraftPages>(
        &mut self,
        at: TableIndex,
        edit: Edit<'_>,
        pages: &mut P,
    ) -> Result<bool> {
        // Transactions that only write pin nothing.
        match self.builder.is_pinned() {
            true => self.edit_behind_look(at, edit, pages),
            false => Ok(false),
        }
    }

    #[inline(never)]
    fn edit_behind_look<P: DraftPages>(&mut self, at: TableIndex, edit: Edit<'_>, pages: &mut P) -> Result<bool> {
        let Edit { key, op, is_greatest } = edit;
        let tree = &self.tables[at.0].tree;
        if !self.builder.edits_at_once() || !tree.edits.is_empty() {
            return Ok(false);
        }
        let mut end = std::mem::take(&mut self.end);
        let mut known = Known::Nothing;
        if is_greatest {
            let found = end.position.go_behind_last(&self.pages(), &tree.root);
            if !found.map_err(|e| self.fail(e.in_table(tree.table)))? {
                return Ok(false);
            }
            known = Known::Gap;
        }
        let edited = self.edit_now(at, (&mut end.position, known), KeyEdit { key, op }, pages)?;
        self.end = end;
        if is_greatest && matches!(edited, Edited::Here { .. }) {
            let noted = self.table_mut(at).note_greatest(key);
            noted.map_err(|e| self.fail(e))?;
        }
        Ok(true)
    }

    /// Makes an edit at once, where the position leads in the tree as it is now or where a search finds the key. No edits of the key may wait. An edit that cannot be made at once waits like any other.
    fn edit_now<P: DraftPages>(
        &mut self,
        at: TableIndex,
        (position, known): (&mut Position, Known),
        key_edit: KeyEdit<'_>,
        pages: &mut P,
    ) -> Result<Edited> {
        let KeyEdit { key, op } = key_edit;
        let edit = Edit {
            key,
            op,
            is_greatest: false,
        };
        let table = &mut self.tables[at.0];
        let edited = self.builder.edit_at(&mut table.tree, (position, known), edit, pages);
        let edited = edited.map_err(|e| self.fail(e))?;
        if matches!(edited, Edited::Refused { .. }) {
            self.push(at, edit, pages)?;
            return Ok(edited);
        }
        if !self.builder.held {
            self.pinned_values.clear();
        }
        let table = &mut self.tables[at.0];
        // The greatest key may be deleted, and a new one that was searched for may be greater.
        if known == Known::Nothing || matches!(op, Op::Delete) && table.greatest() == Some(key) {
            table.forget_greatest();
        }
        Ok(edited)
    }

    /// Deletes the entry at an end of a range, after `take` was given its key and value. The edits of the table must have been
    /// flushed. Returns whether there is one.
    pub fn take_end<P: DraftPages>(
        &mut self,
        at: TableIndex,
        range: RangeEnd<'_>,
        pages: &mut P,
        take: impl FnOnce(&[u8], &[u8]) -> Result<()>,
    ) -> Result<bool> {
        let tree = &self.tables[at.0].tree;
        debug_assert!(tree.edits.is_empty(), "the edits of the table were flushed");
        let mut end = std::mem::take(&mut self.end);
        let found = end.go(&self.pages(), &tree.root, range);
        let taken = found.and_then(|found| match found {
            Some(value) => take(&end.key, self.resolve(value)?).map(|()| true),
            None => Ok(false),
        });
        let taken = taken.map_err(|e| self.fail(e.in_table(tree.table)))?;
        if taken {
            let edit = KeyEdit {
                key: &end.key,
                op: Op::Delete,
            };
            self.edit_now(at, (&mut end.position, Known::Entry), edit, pages)?;
            self.keep_few_pages(at, pages)?;
        }
        self.end = end;
        Ok(taken)
    }

    /// Places private pages if edits at positions have left too many.
    #[inline]
    fn keep_few_pages<P: DraftPages>(&mut self, at: TableIndex, pages: &mut P) -> Result<()> {
        if !self.builder.has_many_pages() {
            return Ok(());
        }
        let placed = self.builder.place_many(&mut self.tables[at.0].tree, pages);
        placed.map_err(|e| self.fail(e))
    }
}
