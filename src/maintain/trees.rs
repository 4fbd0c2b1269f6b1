//! The trees of a commit as its slot and its catalogue name them, and what is wrong with the catalogue.

use super::fault::Fault;
use crate::catalogue;
use crate::error::{Error, Result};
use crate::ids::{PageNo, TableId};
use crate::page::{meta_pages, PageSource, Root};
use crate::pager::Descriptor;
use crate::tree::read::scan::scan;
use std::collections::BTreeMap;

/// The trees of a commit, without the space tree.
pub(super) struct CommitTrees {
    /// The table of each tree and its root. The catalogue comes last.
    pub all: Vec<(TableId, Root)>,
    /// What is wrong with the catalogue and the list of names.
    pub faults: Vec<Fault>,
}

impl CommitTrees {
    /// Returns the trees of a commit. Roots that no tree can have are faults, and their trees are left out. The trees
    /// themselves are not checked here.
    ///
    /// # Errors
    /// `NoMemory`, which is no fault of the file.
    pub fn of<'s, S: PageSource<'s>>(source: &S, desc: &Descriptor) -> Result<CommitTrees> {
        let mut trees = CommitTrees {
            all: vec![(TableId::MAIN, desc.roots.main)],
            faults: Vec::new(),
        };
        let file = PageNo::new(meta_pages(source.page_size()))..PageNo::new(desc.pages);
        let root = desc.roots.catalogue;
        let mut names: BTreeMap<Vec<u8>, TableId> = BTreeMap::new();
        let mut list = Root::default();
        let read = catalogue::each_table(source, &root, |table, record, born| {
            if let Some(what) = record.fault(table) {
                trees.fault(table, what);
            }
            if table == TableId::MAIN {
                return Ok(());
            }
            // The leaf with the record was written by the commit that wrote the root of its tree, or later.
            if !record.root.is_possible(&file, born) {
                trees.fault(table, "a root in the catalogue that no tree can have");
                return Ok(());
            }
            Error::if_memory_is_short("the list of tables")?;
            // This leaves room for the catalogue and for the space tree.
            Error::or_room(&mut trees.all, 3, "the list of tables")?;
            trees.all.push((table, record.root));
            if table == TableId::NAMES {
                list = record.root;
            } else if catalogue::is_named(table) && names.insert(record.name, table).is_some() {
                trees.fault(table, "another table of this name is in the catalogue");
            }
            Ok(())
        });
        match read {
            Ok(()) => trees.check_names(source, &list, &names)?,
            Err(error) if error.is_no_memory() => return Err(error),
            Err(error) => trees.unreadable(TableId::CATALOGUE, &error),
        }
        trees.all.push((TableId::CATALOGUE, root));
        Ok(trees)
    }

    fn fault(&mut self, table: TableId, what: &str) {
        self.faults.push(Fault::contradiction(None, table, what));
    }

    /// Notes why a tree could not be read.
    fn unreadable(&mut self, table: TableId, error: &Error) {
        self.faults.push(Fault::of(error, table));
    }

    /// Checks that the list of names has the names of the catalogue and no others. Both are sorted, and the first
    /// difference ends the reading.
    fn check_names<'s, S: PageSource<'s>>(
        &mut self,
        source: &S,
        list: &Root,
        names: &BTreeMap<Vec<u8>, TableId>,
    ) -> Result<()> {
        let mut wanted = names.iter();
        let mut agree = true;
        let read = scan(source, list, &[], |name, number| {
            let number = catalogue::decode_number(number.bytes())?;
            agree = wanted.next() == Some((&name.to_vec(), &number));
            Ok(agree)
        });
        match read {
            Err(error) if error.is_no_memory() => return Err(error),
            Err(error) => self.unreadable(TableId::NAMES, &error),
            Ok(()) if !agree || wanted.next().is_some() => {
                self.fault(TableId::NAMES, "the list of names differs from the catalogue");
            }
            Ok(()) => {}
        }
        Ok(())
    }
}
