//! Orphans are leaves that no pointer leads to any more. They are found by looking at every page, and they are used to
//! fill gaps and for nothing else.
//!
//! Such a leaf may be an old version, so it is used only if it can be told apart from newer ones:
//!
//! - If the newest commit's list of dead pages can be read, the pages on it are old, and those that are neither on it
//!   nor reached are the ones that were lost.
//! - If the list cannot be read, or if leaves still contradict each other, a branch that points to a leaf with the
//!   right checksum gives the leaf's birth, even if the branch itself is damaged or dead. Where the keys of leaves
//!   overlap, the younger leaf counts, and the older one counts only outside of it. A leaf of unknown birth counts only
//!   if no other leaf overlaps it.
//!
//! Every entry that is found in this way is reported as uncertain.

use super::pages::{entry, hints, leaf_is_sound, DamagedFile, Scope};
use super::saver::{Found, Gap, OnEntry, Saver};
use crate::catalogue::{self, TableRecord};
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, PageRef, Run, TableId};
use crate::maintain::fault::Fault;
use crate::page::header;
use crate::page::leaf::Leaf;
use crate::page::meta_pages;
use crate::tree::read::check::PageSet;
use crate::util::crc32c;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A leaf that no pointer reached.
struct Orphan {
    page: PageNo,
    checksum: u32,
    birth: Option<CommitId>,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// The orphans that were found, by table.
#[derive(Default)]
pub(super) struct Orphans {
    tables: BTreeMap<TableId, Vec<Orphan>>,
}

impl<'d> Saver<'d, '_, '_> {
    /// Looks at every page that was not reached and is not known to be dead.
    ///
    /// # Errors
    /// `Cancelled`: the job was cancelled.
    pub(super) fn find_orphans(&mut self, dead: Option<&PageSet>) -> Result<Orphans> {
        let damaged: &DamagedFile = self.damaged;
        let mut births: HashMap<(PageRef, u32), CommitId> = HashMap::new();
        for slot in &damaged.slots {
            for root in [&slot.roots.main, &slot.roots.catalogue] {
                births.insert((root.ptr.page, root.ptr.checksum), root.ptr.birth);
            }
        }
        let mut found = Orphans::default();
        self.job.expect(damaged.pages());
        let first = PageNo::new(meta_pages(damaged.page_size));
        let pages = Run::new(first, damaged.end().checked_sub(first).unwrap_or(0));
        for page in pages.iter() {
            self.job.advance(1)?;
            let Ok(bytes) = damaged.read(page) else {
                continue;
            };
            for ptr in hints(&bytes) {
                let room = births.try_reserve(1);
                room.map_err(|_| Error::NoMemory("the births of pages"))?;
                births.insert((ptr.page, ptr.checksum), ptr.birth);
            }
            if self.seen.contains(page) || dead.is_some_and(|dead| dead.contains(page)) {
                continue;
            }
            let table = header::table(&bytes);
            if self.bad.contains(&page) && !matches!(table, TableId::CATALOGUE | TableId::NAMES) {
                continue;
            }
            let scope = Scope::new(damaged);
            let checksum = crc32c(&bytes);
            let Some((first, last)) = looks_like_a_leaf(scope.pin(bytes), page, &scope) else {
                continue;
            };
            if self.gaps.iter().any(|gap| gap.table == table) || (self.catalogue_lost() && is_a_table(table)) {
                found.tables.entry(table).or_default().push(Orphan {
                    page,
                    checksum,
                    birth: None,
                    first,
                    last,
                });
            }
        }
        for leaves in found.tables.values_mut() {
            for leaf in leaves.iter_mut() {
                leaf.birth = births.get(&(leaf.page.into(), leaf.checksum)).copied();
            }
            // The youngest leaf comes first, and leaves of unknown birth come last.
            leaves.sort_by_key(|leaf| std::cmp::Reverse(leaf.birth));
        }
        Ok(found)
    }

    /// Gives the entries of a table's orphans that lie in its gaps to `save`, the youngest first.
    ///
    /// # Errors
    /// Those of `save`, and `Cancelled`.
    pub(super) fn adopt(&mut self, orphans: &Orphans, table: TableId, save: OnEntry<'_, 'd>) -> Result<()> {
        let leaves = orphans.tables.get(&table).map_or(&[][..], Vec::as_slice);
        let gaps: Vec<Gap> = self.gaps.iter().filter(|gap| gap.table == table).cloned().collect();
        let everything = self.rootless.contains(&table);
        let alone = alone(leaves);
        let mut covered = Covered::default();
        for (at, leaf) in leaves.iter().enumerate() {
            self.job.advance(0)?;
            if leaf.birth.is_none() && !alone[at] {
                self.report.ambiguous_pages += 1;
                self.fault(&Fault::contradiction(
                    leaf.page,
                    table,
                    "a leaf that may be old, and others have its keys: not used",
                ))?;
                continue;
            }
            let damaged = self.damaged;
            let scope = Scope::new(damaged);
            let Ok(bytes) = damaged.read(leaf.page) else {
                continue;
            };
            let Ok(view) = Leaf::new(scope.pin(bytes), leaf.page.into()) else {
                continue;
            };
            for i in 0..view.len() {
                let Ok((key, value)) = entry(&view, i, &scope) else {
                    continue;
                };
                let wanted = everything || gaps.iter().any(|gap| gap.holds(&key));
                if wanted && !covered.holds(&key) {
                    let (key, page) = (&key, leaf.page);
                    save(self, Found { key, value, page })?;
                }
            }
            covered.add(&leaf.first, &leaf.last);
        }
        Ok(())
    }
}

impl Orphans {
    /// Returns the tables of which leaves were found, without the catalogue.
    pub(super) fn tables(&self) -> BTreeSet<TableId> {
        self.tables
            .keys()
            .copied()
            .filter(|table| *table < TableId::CATALOGUE)
            .collect()
    }
}

/// Returns whether a number can be that of a table whose pages are worth looking at.
fn is_a_table(table: TableId) -> bool {
    table == TableId::MAIN || table == TableId::NAMES || table == TableId::CATALOGUE || catalogue::is_named(table)
}

/// Returns the first and the last key of a page if it may be a leaf: its records lie as they must, and its keys ascend.
fn looks_like_a_leaf(page: &[u8], number: PageNo, scope: &Scope<'_>) -> Option<(Vec<u8>, Vec<u8>)> {
    let leaf = Leaf::new(page, number.into()).ok().filter(leaf_is_sound)?;
    let (mut first, mut last): (Option<Vec<u8>>, Vec<u8>) = (None, Vec::new());
    for i in 0..leaf.len() {
        // A long key whose rest is lost is no reason to doubt the other keys.
        let mut key = Vec::new();
        if scope.noted(leaf.key(i, &scope, &mut key)).is_err() {
            continue;
        }
        match &first {
            None => first = Some(key.clone()),
            Some(_) if key <= last => return None,
            Some(_) => {}
        }
        last = key;
    }
    let catalogue = header::table(page) == TableId::CATALOGUE;
    let records = |i| {
        leaf.value(i)
            .is_ok_and(|value| TableRecord::decode(value.bytes()).is_ok())
    };
    if catalogue && !(0..leaf.len()).any(records) {
        return None;
    }
    first.map(|first| (first, last))
}

/// Returns for each leaf whether its keys overlap those of no other leaf.
fn alone(leaves: &[Orphan]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..leaves.len()).collect();
    order.sort_by(|a, b| leaves[*a].first.cmp(&leaves[*b].first));
    let mut alone = vec![true; leaves.len()];
    // The leaf, among those before, whose last key is the greatest.
    let mut furthest: Option<usize> = None;
    for at in order {
        if let Some(before) = furthest.filter(|before| leaves[*before].last >= leaves[at].first) {
            (alone[before], alone[at]) = (false, false);
        }
        if furthest.is_none_or(|before| leaves[before].last < leaves[at].last) {
            furthest = Some(at);
        }
    }
    alone
}

/// The intervals of keys, with their ends, that younger leaves cover.
#[derive(Default)]
struct Covered {
    /// The last key of each interval by its first key. Intervals do not overlap.
    intervals: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Covered {
    fn holds(&self, key: &[u8]) -> bool {
        use std::ops::Bound;
        let upto = (Bound::Unbounded, Bound::Included(key));
        let before = self.intervals.range::<[u8], _>(upto).next_back();
        before.is_some_and(|(_, last)| last.as_slice() >= key)
    }

    fn add(&mut self, first: &[u8], last: &[u8]) {
        let (mut from, mut to) = (first.to_vec(), last.to_vec());
        loop {
            use std::ops::Bound;
            let upto = (Bound::Unbounded, Bound::Included(to.as_slice()));
            let before = self.intervals.range::<[u8], _>(upto).next_back();
            let Some((low, high)) = before.map(|(a, b)| (a.clone(), b.clone())).filter(|(_, b)| *b >= from) else {
                break;
            };
            self.intervals.remove(&low);
            from = from.min(low);
            to = to.max(high);
        }
        self.intervals.insert(from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orphan(first: &str, last: &str) -> Orphan {
        Orphan {
            page: PageNo::new(0),
            checksum: 0,
            birth: None,
            first: first.into(),
            last: last.into(),
        }
    }

    #[test]
    fn overlaps_are_found_in_any_order() {
        let leaves = [("m", "p"), ("a", "z"), ("zz", "zzz"), ("c", "d")].map(|(a, b)| orphan(a, b));
        assert_eq!(alone(&leaves), [false, false, true, false]);
        let leaves = [("c", "d"), ("a", "b"), ("d", "f")].map(|(a, b)| orphan(a, b));
        assert_eq!(alone(&leaves), [false, true, false]);
    }

    #[test]
    fn intervals_join() {
        let mut covered = Covered::default();
        for (from, to) in [("c", "e"), ("x", "z"), ("d", "g"), ("a", "a")] {
            covered.add(from.as_bytes(), to.as_bytes());
        }
        assert_eq!(covered.intervals.len(), 3);
        for (key, inside) in [
            ("a", true),
            ("b", false),
            ("c", true),
            ("f", true),
            ("gg", false),
            ("y", true),
        ] {
            assert_eq!(covered.holds(key.as_bytes()), inside, "{key}");
        }
    }
}
