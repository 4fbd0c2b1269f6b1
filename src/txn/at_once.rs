//! Edits that are made at once, where somebody has just looked, and not collected.
//!
//! A cursor that puts and deletes, a queue that takes its ends, a counter that is read and put: each has found the
//! entry already, and would otherwise have it searched for again when its edit is flushed, for which the next look
//! would not wait long. So the edit is made where the position leads (`tree/write/at_position.rs`), in private pages
//! as a flush makes it. Blind edits are collected as ever, and the two mix: an edit is made at once only if none of
//! its table waits.

use super::draft::Draft;
use super::draft_pages::DraftPages;
use super::flush::Edit;
use super::table::TableIndex;
use super::taken::TakenEntry;
use crate::error::Result;
use crate::page::leaf::Stored;
use crate::tree::read::cursor::TreeCursor;
use crate::tree::read::end::{PathsVersion, RangeEnd, TreeEnd};
use crate::tree::read::path::Position;
use crate::tree::write::edits::Op;
use crate::tree::write::spot::{Edited, Known, Spot};

/// The end of a tree with the greatest key, among [`Draft::ends`].
const LAST: usize = 1;

impl Draft {
    /// Makes an edit of the entry on which a cursor stands. The edits of its table must have been flushed, and the
    /// cursor have looked since then. Afterwards it stands where it stood or, if the entry was deleted, in the gap.
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
        let known = Known::Entry;
        let is_greatest = false;
        let edited = self.edit_now(at, Spot { position, known }, Edit { key, op, is_greatest }, pages)?;
        match edited {
            Edited::Here(_) => cursor.edited(self.builder.version(), removed),
            _ if removed => cursor.deleted(),
            _ => {}
        }
        self.keep_few_pages(pages)
    }

    /// Makes an edit at once if it is better made so than collected, and records it otherwise.
    #[inline(always)]
    pub(super) fn edit<P: DraftPages>(&mut self, at: TableIndex, edit: Edit<'_>, pages: &mut P) -> Result<()> {
        match self.builder.has_looked() && self.edit_behind_look(at, edit, pages)? {
            true => Ok(()),
            false => self.push(at, edit, pages),
        }
    }

    /// Makes an edit at once behind a look, unless it is better collected, and returns whether it did.
    #[inline(never)]
    fn edit_behind_look<P: DraftPages>(&mut self, at: TableIndex, edit: Edit<'_>, pages: &mut P) -> Result<bool> {
        let tree = &self.tables[at.0].tree;
        if !self.builder.edits_at_once() || !tree.edits.is_empty() {
            return Ok(false);
        }
        if edit.is_greatest {
            return self.append_now(at, edit, pages);
        }
        let mut position = std::mem::take(&mut self.searched);
        let spot = Spot {
            position: &mut position,
            known: Known::Nothing,
        };
        let edited = self.edit_now(at, spot, edit, pages);
        self.searched = position;
        edited.map(|_| true)
    }

    /// Puts an entry behind all others, and returns false if there is no other.
    fn append_now<P: DraftPages>(&mut self, at: TableIndex, edit: Edit<'_>, pages: &mut P) -> Result<bool> {
        let mut end = self.ends[LAST].take().unwrap_or_default();
        let tree = &self.tables[at.0].tree;
        let found = end.go_behind_last(&self.pages(), (&tree.root, self.paths(at)));
        if !found.map_err(|e| self.fail(e.in_table(tree.table)))? {
            return Ok(false);
        }
        debug_assert!(
            self.is_behind(&end.position, edit.key),
            "an append comes behind every entry"
        );
        let edited = self.edit_at_end(at, (&mut end, Known::Gap), edit, pages)?;
        self.ends[LAST] = Some(end);
        // What waits is noted with the write set.
        if !matches!(edited, Edited::Refused(_)) {
            let noted = self.table_mut(at).note_greatest(edit.key);
            noted.map_err(|e| self.fail(e))?;
        }
        Ok(true)
    }

    /// Returns whether a key is greater than that of the entry before a position.
    fn is_behind(&self, position: &Position, key: &[u8]) -> bool {
        position
            .key_before(&self.pages())
            .is_ok_and(|before| before.as_slice() < key)
    }

    /// Makes an edit at an end of a tree.
    fn edit_at_end<P: DraftPages>(
        &mut self,
        at: TableIndex,
        (end, known): (&mut TreeEnd, Known),
        edit: Edit<'_>,
        pages: &mut P,
    ) -> Result<Edited> {
        let position = &mut end.position;
        let edited = self.edit_now(at, Spot { position, known }, edit, pages)?;
        end.edited(matches!(edited, Edited::Here(_)).then(|| self.paths(at)));
        Ok(edited)
    }

    /// Makes an edit at once. No edits of its table may wait. One that cannot be made at once waits like any other.
    fn edit_now<P: DraftPages>(
        &mut self,
        at: TableIndex,
        spot: Spot<'_>,
        edit: Edit<'_>,
        pages: &mut P,
    ) -> Result<Edited> {
        let was_searched = spot.known == Known::Nothing;
        let table = &mut self.tables[at.0];
        let edited = self.builder.edit_at(&mut table.tree, spot, edit.of_key(), pages);
        let edited = edited.map_err(|e| self.fail(e))?;
        if matches!(edited, Edited::Refused(_)) {
            self.push(at, edit, pages)?;
            return Ok(edited);
        }
        if !self.builder.held {
            self.pinned_values.clear();
        }
        let table = &mut self.tables[at.0];
        // The greatest key may be deleted, and a new one that was searched for may be greater.
        if was_searched || matches!(edit.op, Op::Delete) && table.greatest() == Some(edit.key) {
            table.forget_greatest();
        }
        Ok(edited)
    }

    /// Deletes the entry at an end of a range and leaves a copy of it in `taken`. The edits of the table must have been
    /// flushed. Returns whether there is one.
    pub fn take_end<P: DraftPages>(
        &mut self,
        at: TableIndex,
        range: RangeEnd<'_>,
        taken: &mut TakenEntry,
        pages: &mut P,
    ) -> Result<bool> {
        debug_assert!(
            self.table(at).tree.edits.is_empty(),
            "the edits of the table were flushed"
        );
        let mut end = self.ends[usize::from(range.last)].take().unwrap_or_default();
        let found = self.copy_end(at, &mut end, range, taken);
        let found = found.map_err(|e| self.fail(e.in_table(self.table(at).tree.table)))?;
        if found {
            let edit = Edit {
                key: &taken.key,
                op: Op::Delete,
                is_greatest: false,
            };
            self.edit_at_end(at, (&mut end, Known::Entry), edit, pages)?;
            self.keep_few_pages(pages)?;
        }
        self.ends[usize::from(range.last)] = Some(end);
        Ok(found)
    }

    /// Copies the entry at an end of a range, and returns whether there is one.
    #[inline]
    fn copy_end(&self, at: TableIndex, end: &mut TreeEnd, range: RangeEnd<'_>, taken: &mut TakenEntry) -> Result<bool> {
        let (root, pages) = (&self.table(at).tree.root, self.pages());
        match end.entry(&pages, (root, self.paths(at)), range, &mut taken.key)? {
            Some(Stored::Inline(value)) => taken.copy_value(value).map(|()| true),
            Some(value) => taken.copy_value(self.resolve(value)?).map(|()| true),
            None => Ok(false),
        }
    }

    /// Returns what tells the paths of a table's tree from others.
    #[inline(always)]
    fn paths(&self, at: TableIndex) -> PathsVersion {
        (self.table(at).tree.table, self.builder.paths())
    }

    /// Places private pages of all tables if edits at positions have left too many.
    #[inline]
    fn keep_few_pages<P: DraftPages>(&mut self, pages: &mut P) -> Result<()> {
        if !self.builder.has_many_pages() {
            return Ok(());
        }
        for table in self.tables.iter_mut().filter(|t| !t.dropped) {
            let placed = self.builder.place_many(&mut table.tree, pages);
            if let Err(error) = placed {
                return Err(self.fail(error));
            }
        }
        Ok(())
    }
}
