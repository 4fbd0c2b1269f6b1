//! Savepoints: states of a draft to which it can go back.
//!
//! At a savepoint everything that was collected is flushed, so that the roots of the trees are all that there is to
//! keep. From then on, the pages to which they lead are treated like those of the file: `tree/write/arena.rs` copies
//! them and does not change them, and `pager/savepoints.rs` does not give them back. Going back takes the roots of the
//! savepoint and drops what was made since, whatever state an error has left it in; only after a panic, nobody knows
//! what else has happened.

use super::draft::Draft;
use super::draft_pages::DraftPages;
use super::saved::SavedDraft;
use super::table::TableIndex;
use crate::error::{Error, Result};

/// If the trees have more private pages than this part of what memory is meant for, they are placed at a savepoint,
/// because afterwards they cannot be placed before it is forgotten.
const KEPT_PART: usize = 8;
const NO_MEMORY: &str = "a savepoint";

impl Draft {
    /// Returns how many savepoints there are. They are counted from 1.
    pub fn savepoints(&self) -> u32 {
        self.savepoints.len() as u32
    }

    /// Adds a savepoint of the draft as it is. Nothing that was returned to the caller is pinned any more.
    ///
    /// # Errors
    /// `TxnFailed`; `Corrupt`, `Io`, `NoSpace`, `NoMemory`, `Limit`: the draft has failed.
    pub fn save<P: DraftPages>(&mut self, pages: &mut P) -> Result<()> {
        self.check_usable()?;
        self.release_pinned();
        pages.keep_released(false);
        for at in 0..self.tables.len() {
            if !self.tables[at].dropped {
                self.flush(TableIndex(at), pages)?;
            }
        }
        let saved = self.save_flushed(pages);
        saved.map_err(|e| self.fail(e))
    }

    fn save_flushed<P: DraftPages>(&mut self, pages: &mut P) -> Result<()> {
        if self.builder.has_many_pages_for(KEPT_PART) {
            for table in self.tables.iter_mut().filter(|t| !t.dropped) {
                self.builder.place_many(&mut table.tree, pages)?;
            }
        }
        // No page waits to be written and no run is half used, so that what is taken from now on is all of later.
        self.builder.end_runs(pages)?;
        let mut tables = Vec::new();
        Error::or_room(&mut tables, self.tables.len(), NO_MEMORY)?;
        for table in &self.tables {
            tables.push(table.state()?);
        }
        let saved = SavedDraft {
            tables,
            recent: self.recent(),
            snapshots: self.snapshots.try_clone()?,
            changed: self.is_changed(),
            relocated: self.relocated,
        };
        Error::or_room(&mut self.savepoints, 1, NO_MEMORY)?;
        pages.save()?;
        if let Err(error) = self.builder.arena.save() {
            pages.forget_savepoint(self.savepoints() + 1);
            return Err(error);
        }
        self.savepoints.push(saved);
        Ok(())
    }

    /// Undoes everything since savepoint `savepoint`, counted from 1. It is gone then, and so are later ones. A draft
    /// that has failed since is usable again. This asks for no memory.
    ///
    /// # Errors
    /// `TxnFailed`: the draft was poisoned, or there is no such savepoint. Nothing has happened.
    pub fn undo_since<P: DraftPages>(&mut self, savepoint: u32, pages: &mut P) -> Result<()> {
        self.check_can_go_back()?;
        let Some(saved) = self.take_savepoint(savepoint) else {
            return Err(no_savepoint());
        };
        self.forget_edits();
        self.builder.abandon();
        self.builder.arena.undo_since(savepoint);
        pages.undo_since(savepoint);
        self.tables.truncate(saved.tables.len());
        for (table, state) in self.tables.iter_mut().zip(saved.tables) {
            table.restore(state);
        }
        self.index_tables(saved.recent);
        (self.snapshots, self.relocated) = (saved.snapshots, saved.relocated);
        self.builder.set_changed(saved.changed);
        self.forget_failure();
        Ok(())
    }

    /// Goes back to savepoint `savepoint`, counted from 1, as [`Draft::undo_since`] does, but it stays.
    ///
    /// # Errors
    /// Those of [`Draft::undo_since`]; `NoMemory`. Nothing has happened.
    pub fn go_back<P: DraftPages>(&mut self, savepoint: u32, pages: &mut P) -> Result<()> {
        self.check_can_go_back()?;
        let at = (savepoint as usize).wrapping_sub(1);
        let copy = self.savepoints.get(at).ok_or_else(no_savepoint)?.try_clone()?;
        self.undo_since(savepoint, pages)?;
        // Where there was one before, there is memory for one.
        pages.save_again();
        self.builder.arena.save_again();
        self.savepoints.push(copy);
        Ok(())
    }

    /// Forgets savepoint `savepoint`, counted from 1, and all later ones. What was done since stays done.
    pub fn forget_savepoint<P: DraftPages>(&mut self, savepoint: u32, pages: &mut P) {
        if self.take_savepoint(savepoint).is_some() {
            self.release_pinned();
            pages.keep_released(false);
            self.builder.arena.forget_savepoint(savepoint);
            pages.forget_savepoint(savepoint);
        }
    }

    /// Takes a savepoint off the list, and all later ones.
    fn take_savepoint(&mut self, savepoint: u32) -> Option<SavedDraft> {
        let at = (savepoint as usize).checked_sub(1)?;
        self.savepoints.drain(at.min(self.savepoints.len())..).next()
    }

    /// Forgets all edits that are not flushed. The pages of their long values are given back with all others.
    fn forget_edits(&mut self) {
        self.release_pinned();
        for table in &mut self.tables {
            self.builder.forget_log(&mut table.tree);
        }
    }
}

#[cold]
fn no_savepoint() -> Error {
    Error::TxnFailed("there is no such savepoint".into())
}
