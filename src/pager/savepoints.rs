//! Savepoints of a writer: what it takes and releases behind one can be undone.
//!
//! A page that was taken before the newest savepoint may be one that the trees of the savepoint lead to. So when it is
//! released it is only noted, and given back when the savepoint is forgotten. What was taken since is given back when
//! the writer goes back.

use super::page_writer::PageWriter;
use super::saved::Undo;
use crate::error::{Error, Result};
use crate::ids::Run;
use crate::util::seeded::{self, Bug};

impl PageWriter {
    /// Adds a savepoint. Nothing that was released is kept then.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn save(&mut self) -> Result<()> {
        Error::or_room(&mut self.savepoints, 1, "a savepoint")?;
        self.save_again();
        Ok(())
    }

    /// Adds the savepoint that was undone last again, for which there is memory.
    pub fn save_again(&mut self) {
        debug_assert!(self.kept.is_empty(), "nothing is pinned at a savepoint");
        self.savepoints.push(Undo {
            freed: self.freed.len(),
            freed_incomplete: self.freed_incomplete,
            taken_incomplete: self.taken.is_incomplete(),
            adds: self.adds,
            frontier: self.frontier,
            ..Undo::default()
        });
    }

    /// Undoes what was done since savepoint `savepoint`, counted from 1. It is gone then, and so are later ones.
    pub fn undo_since(&mut self, savepoint: u32) {
        self.kept.clear();
        while self.savepoints.len() >= savepoint as usize {
            let Some(last) = self.savepoints.pop() else { break };
            for run in last.taken.iter() {
                self.give_back(run);
            }
            if !seeded::on(Bug::KeepReleased) {
                self.freed.truncate(last.freed);
            }
            self.freed_incomplete = last.freed_incomplete;
            // What was taken when memory was short is in the list all the same.
            self.taken.set_incomplete(last.taken_incomplete);
            (self.adds, self.frontier) = (last.adds, last.frontier);
        }
    }

    /// Forgets savepoint `savepoint`, counted from 1, and all later ones: what was done since stays done.
    pub fn forget_savepoint(&mut self, savepoint: u32) {
        while self.savepoints.len() >= savepoint as usize {
            let Some(last) = self.savepoints.pop() else { break };
            for run in last.taken.iter() {
                self.note_taken(run);
            }
            for run in last.released {
                self.release_taken(run);
            }
        }
    }

    /// Takes note of pages that were taken.
    pub(super) fn note_taken(&mut self, run: Run) {
        if let Some(last) = self.savepoints.last_mut() {
            last.taken.insert(run);
        }
    }

    /// Takes note of pages that were given back.
    pub(super) fn note_given_back(&mut self, run: Run) {
        if let Some(last) = self.savepoints.last_mut() {
            last.taken.remove(run);
        }
    }

    /// Takes note that pages which the transaction has taken are released when the newest savepoint is forgotten, if it
    /// may need them, and returns whether it does.
    fn defer_release(&mut self, run: Run) -> bool {
        let Some(last) = self.savepoints.last_mut() else {
            return false;
        };
        if last.taken.contains(run) || seeded::on(Bug::TakeSaved) {
            return false;
        }
        match last.released.try_reserve(1) {
            Ok(()) => last.released.push(run),
            Err(_) => self.freed_incomplete = true,
        }
        true
    }

    /// Releases pages that this transaction took.
    pub(super) fn release_taken(&mut self, run: Run) {
        if self.defer_release(run) {
            return;
        }
        if !self.keeping {
            return self.give_back(run);
        }
        match self.kept.try_reserve(1) {
            Ok(()) => self.kept.push(run),
            Err(_) => self.freed_incomplete = true,
        }
    }
}
