//! The difference of two trees: which keys one of them has more than the other, and which have other values.
//!
//! Two walks go through the trees side by side. Where both are about to enter the same page, with the same pointer
//! (page, birth and checksum), they leave it out, and all that is below it: what follows it in the two trees differs
//! if and only if what follows them from there on does. So the bounds of the two pages do not matter, and a page that
//! split, was joined or has another neighbour costs no more than being read. Otherwise the bounds tell which unit is
//! read next: the one that lies before the other, or the higher one of two that overlap, or both.
//!
//! A page that was moved, or written again with the same content, is read and found equal.
//!
//! | file     | subject                                                            |
//! |----------|--------------------------------------------------------------------|
//! | `walk`   | how far a difference has come in one of its two trees              |
//! | `values` | whether two stored values have the same bytes                      |
//! | `side`   | before and after, and the side on which an error occurred          |

#[cfg(test)]
mod difference_test;
mod side;
mod values;
mod walk;

pub use side::{Side, SideError};

use super::cursor::TreeView;
use super::limits::Limits;
use crate::error::Error;
use crate::ids::Run;
use crate::page::key::KeyBuf;
use crate::page::leaf::Stored;
use crate::page::{PageSource, Root};
use std::cmp::Ordering;
use std::ops::Bound;
use walk::{BranchAhead, Walk};

/// The most children of a branch that are announced together before they are read.
const ANNOUNCED_MOST: usize = 256;

type Result<T> = std::result::Result<T, SideError>;

/// What has happened to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Only the later state has the key.
    Added,
    /// Only the earlier state has the key.
    Removed,
    /// Both states have the key, with different values.
    Changed,
}

/// How many keys were added, removed and changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChangeCounts {
    /// The number of keys that only the later state has.
    pub added: u64,
    /// The number of keys that only the earlier state has.
    pub removed: u64,
    /// The number of keys that both have, with different values.
    pub changed: u64,
}

impl ChangeCounts {
    /// Counts `keys` more. Only the counts of damaged pages can be too large for their sum.
    fn add(&mut self, kind: ChangeKind, keys: u64) {
        let count = match kind {
            ChangeKind::Added => &mut self.added,
            ChangeKind::Removed => &mut self.removed,
            ChangeKind::Changed => &mut self.changed,
        };
        *count = count.saturating_add(keys);
    }
}

/// The two trees as one call sees them.
pub struct TreePair<'t, S: ?Sized> {
    /// The earlier tree.
    pub before: TreeView<'t, S>,
    /// The later tree.
    pub after: TreeView<'t, S>,
}

impl<S: ?Sized> TreePair<'_, S> {
    /// Returns what differs whenever one of the trees may have changed.
    fn state(&self) -> [(Root, u64); 2] {
        [&self.before, &self.after].map(|tree| (*tree.root, tree.version))
    }
}

/// Which of the two walks goes on.
enum Next {
    /// One of them, whose unit lies wholly before the other's.
    Only(Side),
    /// Both, whose units overlap.
    Both,
    /// None: both have come to their ends.
    Done,
}

/// The difference of two trees within limits, change by change.
///
/// It does not borrow the trees: every call is given both. If one of them has changed since the last call, the walks
/// begin anew behind the last key that was given.
#[derive(Debug, Clone)]
pub struct TreeDifference {
    limits: Limits,
    back: bool,
    before: Walk,
    after: Walk,
    /// The change that the walks stand on.
    found: Option<ChangeKind>,
    /// Whether the next call gives the change that the walks stand on, which it would otherwise leave behind.
    gives_again: bool,
    /// The last key that was left behind, if `has_done`.
    done: KeyBuf,
    has_done: bool,
    /// The trees that the walks belong to.
    state: Option<[(Root, u64); 2]>,
}

impl TreeDifference {
    /// Returns the difference within limits, in descending order if `back`.
    pub fn new(limits: Limits, back: bool) -> TreeDifference {
        TreeDifference {
            limits,
            back,
            before: Walk::default(),
            after: Walk::default(),
            found: None,
            gives_again: false,
            done: KeyBuf::new(),
            has_done: false,
            state: None,
        }
    }

    /// Goes to the next change. Returns what it is, or `None` if there is no further one.
    ///
    /// # Errors
    /// `Corrupt`, `NoMemory`: the next call meets the same again.
    pub fn next<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreePair<'_, S>) -> Result<Option<ChangeKind>> {
        let is_new = self.state != Some(t.state());
        if let Some(kind) = self.found {
            if self.gives_again && !is_new {
                self.gives_again = false;
                return Ok(self.found);
            }
            if !self.gives_again {
                let walk = match kind {
                    ChangeKind::Removed => &self.before,
                    _ => &self.after,
                };
                self.done.set(walk.key()).map_err(Side::After.error())?;
                self.has_done = true;
                self.leave_found(kind);
            }
            (self.found, self.gives_again) = (None, false);
        }
        if is_new {
            self.begin(t)?;
        }
        self.found = self.find(t, None)?;
        Ok(self.found)
    }

    /// Makes the next call give the present change once more.
    pub fn give_again(&mut self) {
        self.gives_again = self.found.is_some();
    }

    /// Returns the present change.
    pub fn found(&self) -> Option<ChangeKind> {
        self.found
    }

    /// Returns the key of the present change, or the empty key if there is none.
    pub fn key(&self) -> &[u8] {
        match self.found {
            Some(ChangeKind::Removed) => self.before.key(),
            Some(_) => self.after.key(),
            None => &[],
        }
    }

    /// Returns the values of the present change before and after. The trees are those of the last call.
    ///
    /// # Errors
    /// `Corrupt`.
    pub fn values<'s, S: PageSource<'s> + ?Sized>(
        &self,
        t: &TreePair<'_, S>,
    ) -> Result<(Option<Stored<'s>>, Option<Stored<'s>>)> {
        let before = || self.before.value(t.before.source).map_err(Side::Before.error());
        let after = || self.after.value(t.after.source).map_err(Side::After.error());
        Ok(match self.found {
            None => (None, None),
            Some(ChangeKind::Added) => (None, Some(after()?)),
            Some(ChangeKind::Removed) => (Some(before()?), None),
            Some(ChangeKind::Changed) => (Some(before()?), Some(after()?)),
        })
    }

    /// Counts all changes. What only one side has is counted by the pointers to it, as far as they tell, and is not
    /// read.
    ///
    /// # Errors
    /// `Corrupt`, `NoMemory`.
    pub fn count<'s, S: PageSource<'s> + ?Sized>(limits: Limits, t: &TreePair<'_, S>) -> Result<ChangeCounts> {
        let mut counts = ChangeCounts::default();
        let mut difference = TreeDifference::new(limits, false);
        difference.begin(t)?;
        while let Some(kind) = difference.find(t, Some(&mut counts))? {
            counts.add(kind, 1);
            difference.leave_found(kind);
        }
        Ok(counts)
    }

    /// Begins the walks, behind the last key that was given.
    fn begin<S: ?Sized>(&mut self, t: &TreePair<'_, S>) -> Result<()> {
        // After an error the walks may be of different states, so they count as begun only at the end.
        self.state = None;
        if self.has_done {
            let done = Error::or_copy(&self.done, "the bounds of a difference").map_err(Side::After.error())?;
            match self.back {
                true => self.limits.upper = Bound::Excluded(done),
                false => self.limits.lower = Bound::Excluded(done),
            }
        }
        let began = self.before.begin(t.before.root, &self.limits, self.back);
        began.map_err(Side::Before.error())?;
        let began = self.after.begin(t.after.root, &self.limits, self.back);
        began.map_err(Side::After.error())?;
        self.state = Some(t.state());
        Ok(())
    }

    /// Leaves the change behind.
    fn leave_found(&mut self, kind: ChangeKind) {
        if kind != ChangeKind::Added {
            self.before.step();
        }
        if kind != ChangeKind::Removed {
            self.after.step();
        }
    }

    /// Goes on to a change, and stays on it. If there are counts, subtrees that only one side has are counted as a
    /// whole.
    fn find<'s, S: PageSource<'s> + ?Sized>(
        &mut self,
        t: &TreePair<'_, S>,
        mut counts: Option<&mut ChangeCounts>,
    ) -> Result<Option<ChangeKind>> {
        loop {
            let loaded = self.before.load(t.before.source, &self.limits);
            loaded.map_err(Side::Before.error())?;
            let loaded = self.after.load(t.after.source, &self.limits);
            loaded.map_err(Side::After.error())?;
            let (before, after) = (self.before.page_ahead(), self.after.page_ahead());
            if before.is_some() && before == after {
                self.before.leave_page();
                self.after.leave_page();
                continue;
            }
            match self.compare(t)? {
                Next::Done => return Ok(None),
                Next::Only(side) => {
                    let (walk, source, kind) = match side {
                        Side::Before => (&mut self.before, t.before.source, ChangeKind::Removed),
                        Side::After => (&mut self.after, t.after.source, ChangeKind::Added),
                    };
                    if walk.is_on_entry() {
                        return Ok(Some(kind));
                    }
                    if let Some(counts) = &mut counts {
                        if let Some(entries) = walk.entries_inside(&self.limits) {
                            counts.add(kind, entries);
                            walk.leave_page();
                            continue;
                        }
                    }
                    walk.descend(source, &self.limits).map_err(side.error())?;
                    if counts.is_none() {
                        announce(walk.branch_ahead(source), None, source);
                    }
                }
                Next::Both if self.before.is_on_entry() && self.after.is_on_entry() => {
                    let before = self.before.value(t.before.source).map_err(Side::Before.error())?;
                    let after = self.after.value(t.after.source).map_err(Side::After.error())?;
                    if !values::are_equal((before, t.before.source), (after, t.after.source))? {
                        return Ok(Some(ChangeKind::Changed));
                    }
                    self.leave_found(ChangeKind::Changed);
                }
                Next::Both => self.descend(t)?,
            }
        }
    }

    /// Decides which walk goes on. Both were loaded, and are not about to enter the same page.
    fn compare<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreePair<'_, S>) -> Result<Next> {
        if self.before.is_on_entry() && self.after.is_on_entry() {
            let order = self.before.key().cmp(self.after.key());
            return Ok(match if self.back { order.reverse() } else { order } {
                Ordering::Less => Next::Only(Side::Before),
                Ordering::Greater => Next::Only(Side::After),
                Ordering::Equal => Next::Both,
            });
        }
        let loaded = self.before.load_fences(t.before.source, &self.limits);
        loaded.map_err(Side::Before.error())?;
        let loaded = self.after.load_fences(t.after.source, &self.limits);
        loaded.map_err(Side::After.error())?;
        let (before, after) = (&self.before, &self.after);
        Ok(match (before.is_at_end(), after.is_at_end()) {
            (true, true) => Next::Done,
            (true, false) => Next::Only(Side::After),
            (false, true) => Next::Only(Side::Before),
            _ if before.is_below(after) => Next::Only(if self.back { Side::After } else { Side::Before }),
            _ if after.is_below(before) => Next::Only(if self.back { Side::Before } else { Side::After }),
            _ => Next::Both,
        })
    }

    /// Descends into the higher one of two units that overlap, or into both if they are of one level.
    fn descend<'s, S: PageSource<'s> + ?Sized>(&mut self, t: &TreePair<'_, S>) -> Result<()> {
        let (before, after) = (self.before.level(), self.after.level());
        if before >= after {
            let descended = self.before.descend(t.before.source, &self.limits);
            descended.map_err(Side::Before.error())?;
        }
        if after >= before {
            let descended = self.after.descend(t.after.source, &self.limits);
            descended.map_err(Side::After.error())?;
        }
        if before == after {
            let before = self.before.branch_ahead(t.before.source);
            let after = self.after.branch_ahead(t.after.source);
            if let (Some(before), Some(after)) = (before, after) {
                announce_different((before, t.before.source), (after, t.after.source));
            }
        }
        Ok(())
    }
}

/// Announces the children of two branches that only one of them has.
fn announce_different<'s, S: PageSource<'s> + ?Sized>(before: (BranchAhead<'s>, &S), after: (BranchAhead<'s>, &S)) {
    let (was, is) = (children_of(&before.0), children_of(&after.0));
    announce(Some(before.0), Some(&is), before.1);
    announce(Some(after.0), Some(&was), after.1);
}

/// Returns the places of all children of a branch, in ascending order.
fn children_of(ahead: &BranchAhead<'_>) -> Vec<u64> {
    let all = 0..ahead.branch.len();
    let mut children: Vec<u64> = all.map(|i| ahead.branch.child(i).to_bits()).collect();
    children.sort_unstable();
    children
}

/// Announces the children ahead that are not among `known`, so that the system reads them together.
fn announce<'s, S: PageSource<'s> + ?Sized>(ahead: Option<BranchAhead<'s>>, known: Option<&[u64]>, source: &S) {
    let Some(BranchAhead { branch, children }) = ahead else {
        return;
    };
    let pages = children.map(|i| branch.child(i));
    let unknown = pages.filter(|page| known.is_none_or(|known| known.binary_search(&page.to_bits()).is_err()));
    source.will_read(&mut unknown.take(ANNOUNCED_MOST).map(|page| Run::new(page.number(), 1)));
}
