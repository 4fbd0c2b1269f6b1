//! Savepoints of a writer: what it takes and releases behind one can be undone.
//!
//! A page that was taken before the newest savepoint may be one that the trees of the savepoint lead to. So when it is
//! released it is only noted, and given back when the savepoint is forgotten. What was taken since is given back when
//! the writer goes back.

use super::page_writer::PageWriter;
use super::saved::Savepoint;
use crate::error::{Error, Result};
use crate::ids::Run;
use crate::util::seeded::{self, Bug};

impl PageWriter {
    /// Adds a savepoint. Nothing that was released is kept then.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn save(&mut self) -> Result<()> {
        debug_assert!(self.kept.is_empty(), "nothing is pinned at a savepoint");
        Error::or_room(&mut self.savepoints, 1, "a savepoint")?;
        self.savepoints.push(Savepoint {
            freed: self.freed.len(),
            freed_incomplete: self.freed_incomplete,
            ..Savepoint::default()
        });
        Ok(())
    }

    /// Undoes what was done since savepoint `savepoint`, counted from 1. It is gone then, and so are later ones.
    ///
    /// # Errors
    /// `NoMemory`: not all pages that were taken since are known, so the transaction cannot be committed.
    pub fn undo_since(&mut self, savepoint: u32) -> Result<()> {
        let mut complete = true;
        self.kept.clear();
        while self.savepoints.len() >= savepoint as usize {
            let Some(last) = self.savepoints.pop() else { break };
            complete &= !last.taken.is_incomplete();
            for run in last.taken.iter() {
                self.give_back(run);
            }
            if !seeded::on(Bug::KeepReleased) {
                self.freed.truncate(last.freed);
            }
            self.freed_incomplete = last.freed_incomplete;
        }
        match complete && !self.taken.is_incomplete() {
            true => Ok(()),
            false => Err(Error::NoMemory("the pages that a transaction takes")),
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

    /// Returns whether the newest savepoint may need these pages, which the transaction has taken. They are noted then.
    pub(super) fn keep_for_savepoint(&mut self, run: Run) -> bool {
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
        if self.keep_for_savepoint(run) {
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
