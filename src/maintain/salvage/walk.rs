//! The walk of a damaged tree saves what a pointer leads to if the checksum confirms it. It reports what cannot be
//! confirmed and steps over it.

use super::pages::{entry, Scope};
use super::saver::{Found, Gap, Missing, OnEntry, Saver};
use crate::error::{Error, Result};
use crate::ids::TableId;
use crate::maintain::fault::Fault;
use crate::page::branch::Branch;
use crate::page::header;
use crate::page::leaf::Leaf;
use crate::page::roots::HEIGHT_MAX;
use crate::page::{PageSource, Ptr, Root};
use crate::util::shown::plural;

/// A subtree on the way down.
#[derive(Clone, Copy)]
struct Subtree<'b> {
    table: TableId,
    /// The pointer that leads to it.
    ptr: Ptr,
    /// Its level, where leaves have level 1.
    level: u8,
    /// Its keys begin here.
    low: &'b [u8],
    /// Its keys lie below this one, or go on to the end of the table if it is `None`.
    high: Option<&'b [u8]>,
}

impl Subtree<'_> {
    fn holds(&self, key: &[u8]) -> bool {
        key >= self.low && self.high.is_none_or(|high| key < high)
    }
}

impl<'d> Saver<'d, '_, '_> {
    /// Walks a tree. What cannot be reached becomes a gap.
    ///
    /// # Errors
    /// Those of the target, and `Cancelled`; never those of the source.
    pub(super) fn walk(&mut self, table: TableId, root: &Root, save: OnEntry<'_, 'd>) -> Result<()> {
        let whole = Subtree {
            table,
            ptr: root.ptr,
            level: root.height,
            low: &[],
            high: None,
        };
        match root.height {
            0 => Ok(()),
            1..=HEIGHT_MAX => self.subtree(&whole, save),
            _ => self.lose(&whole, "its tree is too high"),
        }
    }

    /// Handles a subtree that is not what its pointer says.
    fn lose(&mut self, lost: &Subtree<'_>, why: &str) -> Result<()> {
        self.lose_because(lost, &Fault::contradiction(lost.ptr.page, lost.table, why))
    }

    /// Handles a subtree that cannot be read.
    fn lose_unread(&mut self, lost: &Subtree<'_>, error: &Error) -> Result<()> {
        let mut fault = Fault::of(error, lost.table);
        let page = lost.ptr.page.number();
        // The report is about the page of the pointer, and names another one only if that is to blame.
        if let Some(other) = fault.page.filter(|other| *other != page) {
            fault.what = format!("page {other}: {}", fault.what);
        }
        fault.page = Some(page);
        self.lose_because(lost, &fault)
    }

    /// Handles a subtree that cannot be used: it is counted, reported, and becomes a gap. What is lost of it is told
    /// when it was looked for elsewhere.
    fn lose_because(&mut self, lost: &Subtree<'_>, fault: &Fault) -> Result<()> {
        let why = &fault.what;
        let entries = lost.ptr.entries;
        self.report.lost_subtrees += 1;
        let missing = Missing {
            page: lost.ptr.page.number(),
            kind: fault.kind,
            entries,
            found: 0,
        };
        let gap = Gap {
            table: lost.table,
            low: lost.low.to_vec(),
            high: lost.high.map(<[u8]>::to_vec),
            // The list of names is made anew, so nothing of it is missing.
            missing: (lost.table != TableId::NAMES).then_some(missing),
        };
        let what = match lost.table {
            TableId::CATALOGUE => format!(
                "{why}: {entries} {} looked for elsewhere",
                plural(entries, "record of a table is", "records of tables are")
            ),
            TableId::NAMES => format!(
                "{why}: {entries} {} read; the list of names is made anew",
                plural(entries, "name is not", "names are not")
            ),
            _ => format!(
                "{why}: {entries} {} looked for elsewhere, {}",
                plural(entries, "entry is", "entries are"),
                gap.keys()
            ),
        };
        self.gaps.push(gap);
        self.fault(&Fault { what, ..fault.clone() })
    }

    fn subtree(&mut self, tree: &Subtree<'_>, save: OnEntry<'_, 'd>) -> Result<()> {
        self.job.advance(1)?;
        let damaged = self.damaged;
        let scope = Scope::new(damaged);
        let page = match (&scope).page(&tree.ptr) {
            Ok(page) => page,
            Err(error) => {
                self.note_damaged(Some(tree.ptr.page.number()));
                return self.lose_unread(tree, &error);
            }
        };
        if header::level(page) != tree.level || header::table(page) != tree.table {
            return self.lose(tree, "another page than the tree wants");
        }
        // This ends the walk of a tree with a circle, and a page that two pointers lead to is saved only once.
        if !self.seen.insert(tree.ptr.page.number()) {
            return self.lose(tree, "a page reached twice");
        }
        if tree.level > 1 {
            return match Branch::new(page, tree.ptr.page) {
                Ok(branch) => self.children(tree, &branch, &scope, save),
                Err(error) => self.lose_unread(tree, &error),
            };
        }
        match Leaf::new(page, tree.ptr.page) {
            Ok(leaf) => self.leaf(tree, &leaf, &scope, save),
            Err(error) => self.lose_unread(tree, &error),
        }
    }

    fn children(
        &mut self,
        tree: &Subtree<'_>,
        branch: &Branch<'_>,
        scope: &Scope<'d>,
        save: OnEntry<'_, 'd>,
    ) -> Result<()> {
        // A separator that cannot be read leaves its neighbours with the bounds of the page, so that gaps are too wide
        // rather than too narrow.
        let separators: Vec<Option<Vec<u8>>> = (0..branch.len())
            .map(|i| {
                let mut separator = Vec::new();
                let written = scope.noted(branch.write_separator(i, &scope, &mut separator));
                written.is_ok().then_some(separator)
            })
            .collect();
        for i in 0..branch.len() {
            let low = match &separators[i] {
                Some(separator) if i > 0 => separator.as_slice().max(tree.low),
                _ => tree.low,
            };
            let next = separators.get(i + 1).and_then(|s| s.as_deref());
            let child = Subtree {
                table: tree.table,
                ptr: branch.ptr(i),
                level: tree.level - 1,
                low,
                high: next.or(tree.high),
            };
            self.subtree(&child, &mut *save)?;
        }
        Ok(())
    }

    fn leaf(&mut self, tree: &Subtree<'_>, leaf: &Leaf<'_>, scope: &Scope<'d>, save: OnEntry<'_, 'd>) -> Result<()> {
        let page = tree.ptr.page.number();
        for i in 0..leaf.len() {
            match entry(leaf, i, scope) {
                Ok((key, value)) if tree.holds(&key) => {
                    let key = &key;
                    save(self, Found { key, value, page })?;
                }
                Ok(_) => {
                    let what = "an entry outside its page's bounds";
                    self.lose_entry(&Fault::contradiction(page, tree.table, what))?;
                }
                Err(error) => {
                    let fault = Fault::of(&error, tree.table);
                    self.note_damaged(fault.page.filter(|at| *at != page));
                    let what = format!("a long key: {}; the entry is lost", fault.what);
                    let page = fault.page.or(Some(page));
                    self.lose_entry(&Fault { page, what, ..fault })?;
                }
            }
        }
        Ok(())
    }
}
