//! Moving living pages from the end of the file to free pages before a frontier, as part of an ordinary write
//! transaction.
//!
//! All trees of the newest commit are gone through in the order of their numbers: the main table, the list of names,
//! that of snapshots, the named tables, and behind them the catalogue and the space tree, whose pages have numbers,
//! too. Pages that are moved die like any others, so readers and snapshots keep the old ones as long as they see them:
//! what only they see is not moved.
//!
//! A draft moves a few pages, or some hundreds. What lies where after its commit is the same whoever writes in between,
//! since the next draft goes on with a key. The roots of catalogue and space tree are kept for the commit, which
//! changes these trees anyway (`relocated_roots`).

use super::draft::Draft;
use super::draft_pages::{know_snapshots, know_wanted_zones};
use super::table::DraftTree;
use crate::catalogue::{self, TableRecord};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, TableId};
use crate::page::leaf::Stored;
use crate::page::{PageSource, Root};
use crate::pager::{PageWriter, RecordedCommits};
use crate::tree::read::scan::scan;
use crate::tree::write::relocation::{Relocation, Stop};

/// The most pages that a draft looks at, so that it does not have the write lock for long if it finds little to move.
/// Moving one takes about 3 us if the file is in memory, and looking at one less, so this is 12 ms at most.
const LOOKED_AT_MAX: u64 = 1 << 12;
/// The most tables that it passes over because nothing of them can lie behind the frontier.
const TABLES_PASSED: u64 = 1 << 16;
/// The bytes of free pages that are left to what a commit writes besides, and the fewest pages: catalogue, space tree
/// and records.
const RESERVE: u64 = 128 << 10;
const RESERVE_PAGES: u64 = 12;
/// So many free pages are counted at least, if there are as many.
const COUNTED: u64 = 1 << 16;

/// Where a relocation goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelocateFrom {
    table: TableId,
    key: Vec<u8>,
}

/// What a draft has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocated {
    /// The number of pages that were moved.
    pub moved: u64,
    /// The number of pages of long values and long keys that stay behind the frontier, because no free run before it
    /// takes them.
    pub left: u64,
    /// Why it stopped, or `None` if it has gone through all trees. Nothing lies behind the frontier any more then, but
    /// for what was left, what snapshots and readers keep, tables that only a newer version may change, and what others
    /// have written there meanwhile.
    pub stop: Option<Stop>,
}

impl Draft {
    /// Moves about `budget` pages that lie at or behind the page `frontier` to free pages before it, from where the
    /// last call stopped on, and takes pages only there from now on. `at` is the default at first, and again when all
    /// trees were gone through.
    ///
    /// # Errors
    /// `Corrupt`, `Io`, `NoSpace`, `NoMemory`: the draft has failed.
    pub fn relocate(
        &mut self,
        frontier: PageNo,
        at: &mut RelocateFrom,
        budget: u64,
        pages: &mut PageWriter,
    ) -> Result<Relocated> {
        self.check_usable()?;
        self.pinned_values.clear();
        let mut work = Relocation::new(frontier);
        (work.moves, work.looks) = (budget, LOOKED_AT_MAX);
        let done = self.relocate_trees(at, &mut work, pages);
        done.map_err(|e| self.fail(e))?;
        Ok(Relocated {
            moved: work.moved,
            left: work.left,
            stop: work.stop,
        })
    }

    /// Goes through the trees as far as `work` allows.
    fn relocate_trees(&mut self, at: &mut RelocateFrom, work: &mut Relocation, pages: &mut PageWriter) -> Result<()> {
        pages.take_before(work.frontier);
        know_snapshots(pages)?;
        know_wanted_zones(pages)?;
        let reserve = (RESERVE / self.page_size() as u64).max(RESERVE_PAGES);
        let reserved = self.stat().private_pages + reserve;
        work.room = pages.free_before_frontier(COUNTED).saturating_sub(reserved);
        let newest_named = newest_named(pages);
        loop {
            let table = self.tree_from(at.table, work)?;
            // Snapshots see no list of dead pages, and none of snapshots.
            work.kept = match table {
                TableId::SPACE | TableId::SNAPSHOTS => CommitId::NONE,
                _ => newest_named,
            };
            if table != at.table {
                *at = RelocateFrom { table, key: Vec::new() };
            }
            if work.stop.is_some() {
                return Ok(());
            }
            match table {
                TableId::CATALOGUE | TableId::SPACE => self.relocate_unlisted(at, work, pages)?,
                _ => self.relocate_table(at, work, pages)?,
            }
            if work.stop.is_some() {
                return Ok(());
            }
            match table {
                TableId::SPACE => break,
                _ => at.table = TableId::new(table.get() + 1),
            }
        }
        *at = RelocateFrom::default();
        Ok(())
    }

    /// Returns the first tree whose number is not below `from` of which something may lie behind the frontier. Where
    /// too many tables were passed over, says so, and returns the tree with which to go on.
    fn tree_from(&self, from: TableId, work: &mut Relocation) -> Result<TableId> {
        if from == TableId::MAIN || from >= TableId::CATALOGUE {
            return Ok(from);
        }
        let catalogue = &self.base().roots.catalogue;
        let found = table_from(&self.pages(), catalogue, (from, TABLES_PASSED), work.frontier);
        let found = found.map_err(|e| e.in_table(TableId::CATALOGUE))?;
        let (NextTable::MayBeBehind(table) | NextTable::Later(table)) = found;
        if from <= TableId::SNAPSHOTS && table > TableId::SNAPSHOTS {
            // The list of snapshots has no record. The tables behind it are looked for when it was gone through.
            return Ok(TableId::SNAPSHOTS);
        }
        if let NextTable::Later(_) = found {
            work.stop = Some(Stop::Limit);
        }
        Ok(table)
    }

    /// Moves pages of a table, unless only a newer version may change it.
    fn relocate_table(&mut self, at: &mut RelocateFrom, work: &mut Relocation, pages: &mut PageWriter) -> Result<()> {
        let index = match self.open(at.table) {
            Ok(index) => index,
            // This draft has dropped it.
            Err(Error::NoTable(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.check_changeable(index) {
            Ok(()) => {}
            // Users may not change this list, but its pages may move.
            Err(Error::Unsupported(_)) if at.table == TableId::SNAPSHOTS => {}
            Err(Error::Unsupported(_)) => return Ok(()),
            Err(error) => return Err(error),
        }
        let moved = work.moved;
        let tree = &mut self.tables[index.0].tree;
        self.builder.relocate(tree, &mut at.key, work, pages)?;
        if work.moved == moved {
            return Ok(());
        }
        match at.table {
            TableId::MAIN => {}
            TableId::SNAPSHOTS => {
                know_snapshots(pages)?;
                self.recorded_mut(pages)?;
            }
            // Its record changes in the catalogue, at worst in a leaf of its own.
            _ => work.note_taken(1),
        }
        Ok(())
    }

    /// Moves pages of the catalogue or of the space tree, whose new root is kept for the commit.
    fn relocate_unlisted(
        &mut self,
        at: &mut RelocateFrom,
        work: &mut Relocation,
        pages: &mut PageWriter,
    ) -> Result<()> {
        let before = self.base().roots;
        let (root, before) = match at.table {
            TableId::CATALOGUE => (&mut self.relocated.catalogue, before.catalogue),
            _ => (&mut self.relocated.space, before.space),
        };
        let mut tree = DraftTree::new(at.table, root.unwrap_or(before));
        self.builder.relocate(&mut tree, &mut at.key, work, pages)?;
        *root = Some(tree.root);
        Ok(())
    }
}

/// Where the search for a table goes on of which something may lie behind the frontier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NextTable {
    /// Something of this table may lie there, or it is the catalogue, behind all of them.
    MayBeBehind(TableId),
    /// Enough tables were passed over, and the search goes on with this one.
    Later(TableId),
}

/// Returns the first table in a catalogue whose number is not below `from` of which something may lie behind the
/// frontier, unless so many are passed over before.
fn table_from<'s, S: PageSource<'s>>(
    source: &S,
    catalogue: &Root,
    (from, most): (TableId, u64),
    frontier: PageNo,
) -> Result<NextTable> {
    let (mut next, mut passed) = (NextTable::MayBeBehind(TableId::CATALOGUE), 0);
    scan(source, catalogue, &catalogue::record_key(from), |key, value| {
        let Stored::Inline(value) = value else {
            return Err(Error::corrupt(None, "record of the catalogue is malformed"));
        };
        let table = catalogue::table_of_key(key)?;
        if table < from || table >= TableId::CATALOGUE {
            // In a damaged catalogue, the walk through all tables would never end, or leave some out.
            return Err(Error::corrupt(None, "records of the catalogue are out of order"));
        }
        let Root { ptr, height, has_long } = TableRecord::decode(value)?.root;
        if height > 1 || has_long || height == 1 && ptr.page.number() >= frontier {
            next = NextTable::MayBeBehind(table);
            return Ok(false);
        }
        if passed == most {
            next = NextTable::Later(table);
            return Ok(false);
        }
        passed += 1;
        Ok(true)
    })?;
    Ok(next)
}

/// Returns the newest commit of which there is a snapshot.
fn newest_named(pages: &PageWriter) -> CommitId {
    let all = pages.recorded().into_iter().flat_map(RecordedCommits::all);
    let named = all
        .filter(|recorded| recorded.names > 0)
        .map(|recorded| recorded.commit);
    named.max().unwrap_or(CommitId::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Ptr;
    use crate::tree::testing::Builder;
    use std::collections::BTreeMap;

    /// Before this page, nothing is to come free.
    const FRONTIER: PageNo = PageNo::new(1000);

    /// Returns a catalogue of tables of one leaf each: (number, page of the leaf).
    fn catalogue_of(builder: &mut Builder, tables: impl Iterator<Item = (u64, u64)>) -> Root {
        let records = tables.map(|(table, page)| {
            let ptr = Ptr {
                page: PageNo::new(page).into(),
                birth: CommitId::new(1),
                ..Ptr::default()
            };
            let root = Root {
                ptr,
                height: 1,
                has_long: false,
            };
            let record = TableRecord {
                root,
                name: vec![b'n'; 200],
                ..TableRecord::default()
            };
            (catalogue::record_key(TableId::new(table)).to_vec(), record.encode())
        });
        let records: BTreeMap<Vec<u8>, Vec<u8>> = records.collect();
        builder.commit(Root::default(), records.iter().map(|(key, record)| (key, Some(record))))
    }

    #[test]
    fn tables_are_passed_over_up_to_the_first_that_may_lie_behind() {
        let mut builder = Builder::new(4096);
        let catalogue = catalogue_of(&mut builder, (300..400).map(|n| (n, if n == 350 { 1000 } else { 900 })));
        let next = |from: u64, most| {
            let next = table_from(&builder.pages(), &catalogue, (TableId::new(from), most), FRONTIER);
            next.expect("a whole catalogue")
        };
        let (behind, later) = (
            |n| NextTable::MayBeBehind(TableId::new(n)),
            |n| NextTable::Later(TableId::new(n)),
        );
        assert_eq!(next(256, 1000), behind(350));
        assert_eq!(next(351, 1000), NextTable::MayBeBehind(TableId::CATALOGUE));
        assert_eq!(
            [next(256, 20), next(320, 20), next(340, 20)],
            [later(320), later(340), behind(350)]
        );
    }

    #[test]
    fn records_that_are_out_of_order_are_damage() {
        let mut builder = Builder::new(4096);
        let low = catalogue_of(&mut builder, (256..260).map(|n| (n, 2000)));
        let catalogue = catalogue_of(&mut builder, (300..400).map(|n| (n, 900)));
        let (low, root) = (low.ptr.page.number(), catalogue.ptr.page.number());
        assert!(catalogue.height == 2 && root > low + 3, "{catalogue:?}");
        let source = builder.pages();
        let next = |from: u64| table_from(&source, &catalogue, (TableId::new(from), 1000), FRONTIER);
        assert_eq!(
            next(300).expect("a whole catalogue"),
            NextTable::MayBeBehind(TableId::CATALOGUE)
        );
        source.replace(PageNo::new(root.get() - 1), low);
        assert!(matches!(next(300), Err(Error::Corrupt(_))), "{:?}", next(300));
        for number in [TableId::CATALOGUE, TableId::SPACE] {
            let catalogue = catalogue_of(&mut builder, [(300, 900), (number.get(), 2000)].into_iter());
            let next = table_from(&source, &catalogue, (TableId::new(300), 1000), FRONTIER);
            assert!(matches!(next, Err(Error::Corrupt(_))), "{next:?}");
        }
    }
}
