//! Where a draft gets its pages from, and what is read before pages are taken.

use super::space_tree::read_zone;
use crate::catalogue::snapshot;
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::page::PageSink;
use crate::pager::PageWriter;

/// The source from which a draft gets pages and to which it gives them back.
pub trait DraftPages: PageSink {
    /// Gets ready to place tree pages, and returns whether they can be placed now.
    ///
    /// # Errors
    /// `Corrupt`, `Io`: the list of dead extents cannot be read.
    fn prepare_to_place(&mut self) -> Result<bool>;

    /// Returns how many pages live in the commit that the draft builds on, as far as that is known.
    fn living_pages(&self) -> u64;

    /// Says whether bytes of pages that this transaction wrote may be with the caller. As long as they may, pages that
    /// it releases are not taken again.
    fn keep_released(&mut self, keep: bool);

    /// Adds a savepoint.
    ///
    /// # Errors
    /// `NoMemory`.
    fn save(&mut self) -> Result<()>;

    /// Adds the savepoint that was undone last again, for which there is memory.
    fn save_again(&mut self);

    /// Gives back what was taken since savepoint `savepoint`, counted from 1, and takes back what was released since.
    /// It is gone then, and so are later ones.
    fn undo_since(&mut self, savepoint: u32);

    /// Forgets savepoint `savepoint`, counted from 1, and all later ones.
    fn forget_savepoint(&mut self, savepoint: u32);
}

impl DraftPages for PageWriter {
    /// Reads the list of snapshots and the dead extents of the zones that the pager wants to know, and returns true.
    fn prepare_to_place(&mut self) -> Result<bool> {
        know_snapshots(self)?;
        for zone in self.zones_wanted() {
            let root = self.tip().roots.space;
            let dead = read_zone(&self.view(), &root, zone).map_err(|e| e.in_table(TableId::SPACE))?;
            self.zone_loaded(zone, dead);
        }
        Ok(true)
    }

    fn living_pages(&self) -> u64 {
        PageWriter::living_pages(self)
    }

    fn keep_released(&mut self, keep: bool) {
        PageWriter::keep_released(self, keep);
    }

    fn save(&mut self) -> Result<()> {
        PageWriter::save(self)
    }

    fn save_again(&mut self) {
        PageWriter::save_again(self);
    }

    fn undo_since(&mut self, savepoint: u32) {
        PageWriter::undo_since(self, savepoint);
    }

    fn forget_savepoint(&mut self, savepoint: u32) {
        PageWriter::forget_savepoint(self, savepoint);
    }
}

/// Reads the list of snapshots, if it has changed since this process read it last.
///
/// # Errors
/// `Corrupt`, `Io`: the list cannot be read; `NoMemory`.
pub fn know_snapshots(pages: &mut PageWriter) -> Result<()> {
    if let Some(root) = pages.snapshots_wanted() {
        let recorded = snapshot::recorded(&pages.view(), &root, pages.tip().id);
        let recorded = recorded.map_err(|e| e.in_table(TableId::SNAPSHOTS))?;
        pages.snapshots_known(recorded);
    }
    Ok(())
}

/// Reads what a fold needs to know of the space tree and of the list of snapshots.
///
/// # Errors
/// `Corrupt`, `Io`, `NoMemory`.
pub fn get_ready_to_fold(pages: &mut PageWriter) -> Result<()> {
    know_snapshots(pages)?;
    while !pages.can_fold() {
        let missing = pages.zones_wanted();
        pages.prepare_to_place()?;
        pages.check_space().map_err(|e| e.in_table(TableId::SPACE))?;
        if missing.is_empty() && !pages.can_fold() {
            return Err(Error::corrupt(None, "the space tree contradicts itself").in_table(TableId::SPACE));
        }
    }
    Ok(())
}

/// Reads all that the space tree says.
///
/// # Errors
/// `Corrupt`, `Io`, `NoMemory`.
pub fn know_all_space(pages: &mut PageWriter) -> Result<()> {
    pages.want_all_zones();
    get_ready_to_fold(pages)?;
    know_wanted_zones(pages)
}

/// Reads the dead extents of zones as long as the pager wants to know more of them.
///
/// # Errors
/// `Corrupt`, `Io`, `NoMemory`.
pub fn know_wanted_zones(pages: &mut PageWriter) -> Result<()> {
    while !pages.zones_wanted().is_empty() {
        pages.prepare_to_place()?;
        pages.check_space().map_err(|e| e.in_table(TableId::SPACE))?;
    }
    Ok(())
}
