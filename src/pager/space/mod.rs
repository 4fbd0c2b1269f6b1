//! Dead pages in memory: a mirror of the space tree and of the records, and the pool of pages that may be reused now.
//!
//! A dead extent (B, D) was written by commit B and is not referenced from commit D on. The **reuse rule** (I-3) says
//! when it may be reused: if `D <= durable` and `B <= base(durable)`, and no reader holds a commit h with `B <= h <
//! D`.
//!
//! - `D <= durable`: no commit that recovery could return refers to the extent.
//! - `B <= base(durable)`: no slot that recovery could verify lists it, because slots list what was written after
//!   their base, and bases never fall.
//! - An extent that died in the commit that wrote it (`B = D`) was never more than taken and given back. No commit
//!   refers to it and no slot lists it, so it may be reused at once.
//! - Once the rule allows reuse, it always does, because new readers register at or above `durable`, or at a commit
//!   that is held already, or at that of a snapshot, of which they see no more than it holds. So an extent moves once
//!   from `waiting` (or from `blocked`, under the reader that holds it) to the pool. Neighbours in the pool can then be
//!   joined into one extent (0, 0), since their births and deaths do not matter any more.
//!
//! The mirror is as of the newest commit. It is loaded by zone (2^16 pages) when a writer asks. An extent that dies
//! in a zone that is not loaded is just added, since it was live and cannot overlap. A zone whose pages the records
//! *take* must be loaded before the records can be folded.
//!
//! | file       | subject                                                       |
//! |------------|---------------------------------------------------------------|
//! | `dead`     | dead extents, and the edits that a fold makes to their tree   |
//! | `fold`     | what a fold writes into the tree of dead extents              |
//! | `horizon`  | what the reuse rule depends on                                |
//! | `parking`  | what named snapshots see                                      |
//! | `mirror`   | the dead extents that a writer knows of, by their first pages |
//! | `page_runs`| a set of pages as runs, which are found by address            |
//! | `page_map` | a sorted map from pages to a few words each                   |
//! | `roomless` | pages for which a full disk has no room                       |
//! | `runs`     | sets of pages as runs, which are found by address and by size |
//! | `taken`    | what comes in once more after pages of it were taken          |
//! | `zone`     | zones: the units in which the space tree is loaded            |

mod dead;
mod fold;
mod horizon;
mod mirror;
mod page_map;
mod page_runs;
mod parking;
mod roomless;
mod runs;
mod taken;
mod zone;

pub use dead::{Dead, Parked, SpaceEdit};
pub use fold::Fold;
pub(in crate::pager) use horizon::Horizon;
pub(in crate::pager) use page_runs::PageRuns;
pub(in crate::pager) use runs::RunSet;
pub use zone::ZoneNo;

use super::commit::CommitRecord;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::Extent;
use horizon::Holder;
use mirror::Mirror;
use page_map::PageMap;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What memory is lacking for, if it is.
const PARKED: &str = "the list of pages that snapshots keep";
/// Up to this many changes of dead space are always worth keeping in the records.
const FOLD_MIN: usize = 1000;

/// The dead pages: all that are known, and those that may be reused.
#[derive(Debug, Default)]
pub(in crate::pager) struct Space {
    /// The dead extents by first page.
    mirror: Mirror,
    mirror_pages: u64,
    /// The keys whose value in the space tree differs from the mirror's.
    changed: PageMap<()>,
    /// The pages that may be reused now and that the running transaction has not taken.
    pub pool: RunSet,
    /// The pages that may be reused as well, but for which a full disk has no room.
    roomless: RunSet,
    /// The deaths and first pages of extents that are not known to be reusable, in ascending order.
    waiting: Vec<(CommitId, PageNo)>,
    /// The first pages of extents that somebody sees, by the newest who does.
    blocked: BTreeMap<Holder, Vec<PageNo>>,
    blocked_pages: u64,
    /// Those of them that named snapshots see, as the newest who do.
    named_pages: u64,
    unloaded: BTreeSet<ZoneNo>,
    /// The zones that must be loaded before the next fold.
    required: BTreeSet<ZoneNo>,
    /// Whether another process has folded records since the space tree was loaded. All that is dead is still known, but
    /// not as which extents the tree has it, so nothing can be folded here.
    tree_is_other: bool,
    /// What the pool was last refreshed for. `stale` says whether extents came in since then by loading.
    seen: Horizon,
    stale: bool,
    /// Whether a list lacks entries, because there was no memory for them.
    lists_incomplete: bool,
}

/// Returns the parts into which the borders of zones divide a run.
fn split(run: Run) -> impl Iterator<Item = Run> {
    let (mut first, end) = (run.first, run.end());
    std::iter::from_fn(move || {
        let part_end = ZoneNo::of(first).end().min(end);
        let part = (first < end).then(|| Run::new(first, part_end - first));
        first = part_end;
        part
    })
}

/// Returns what died in a commit, divided at the borders of zones.
fn deaths(record: &CommitRecord) -> impl Iterator<Item = Dead> + '_ {
    record.freed.iter().flat_map(|freed| {
        split(freed.run).map(|run| Dead {
            extent: Extent { run, ..*freed },
            death: record.id,
        })
    })
}

impl Space {
    /// Returns the space as of a commit with `pages` pages, `dead` of them dead. `records` are those since its last
    /// fold.
    pub fn open<'a>(pages: u64, dead: u64, records: impl Iterator<Item = &'a CommitRecord>) -> Space {
        let mut space = Space::default();
        for record in records {
            for &taken in &record.taken {
                space.required.extend(split(taken).map(|run| ZoneNo::of(run.first)));
            }
            space.replay(record, None);
        }
        if dead > space.mirror_pages || !space.required.is_empty() {
            space.unloaded = ZoneNo::up_to(ZoneNo::of(PageNo::new(pages - 1))).collect();
        }
        space.sort_out(PageNo::default()..PageNo::END);
        space
    }

    /// Returns whether something is missing here, because there was no memory for it. Nothing must be committed then,
    /// and what is known must be dropped and loaded anew.
    pub fn is_incomplete(&self) -> bool {
        let pages = self.pool.is_incomplete() || self.roomless.is_incomplete();
        pages || self.mirror.is_incomplete() || self.changed.is_incomplete() || self.lists_incomplete
    }

    /// Returns the first extent of the mirror that begins in `range`.
    fn first_in(&self, range: &Range<PageNo>) -> Option<(PageNo, Dead)> {
        self.mirror.range(range.clone()).next()
    }

    /// Returns the number of dead pages that are known.
    pub fn known_pages(&self) -> u64 {
        self.mirror_pages
    }

    /// Returns the number of known dead pages that wait for syncs and not for readers.
    pub fn waiting_pages(&self) -> u64 {
        let others = self.blocked_pages + self.free_pages();
        self.mirror_pages.saturating_sub(others)
    }

    /// Returns the number of known dead pages that named snapshots keep.
    pub fn named_pages(&self) -> u64 {
        self.named_pages
    }

    /// Returns the number of known dead pages that a reader or a snapshot still sees.
    pub fn held_pages(&self) -> u64 {
        self.blocked_pages
    }

    /// Returns the number of extents that are known.
    pub fn extents(&self) -> usize {
        self.mirror.len()
    }

    /// Returns the number of keys that a fold would write.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Returns the zones to load next, at most 2: those for which a fold waits, then any others if `more`.
    pub fn wanted(&self, more: bool) -> Vec<ZoneNo> {
        let mut zones: Vec<ZoneNo> = self.required.iter().take(2).copied().collect();
        if more {
            let others = self.unloaded.iter().filter(|z| !self.required.contains(z));
            zones.extend(others.take(2 - zones.len()));
        }
        zones
    }

    /// Returns whether a zone that begins before `end` is not loaded.
    pub fn is_unloaded_before(&self, end: PageNo) -> bool {
        self.unloaded.first().is_some_and(|zone| zone.first() < end)
    }

    /// Forgets the zones that are not loaded, because nothing dead is left in them.
    pub fn nothing_else(&mut self) {
        if self.required.is_empty() {
            self.unloaded.clear();
        }
    }

    /// Returns whether the records can be folded: the tree is known, and no zone from which they took pages is still to
    /// be loaded.
    pub fn foldable(&self) -> bool {
        self.required.is_empty() && !self.tree_is_other
    }

    /// Returns whether so many changes in the records are worth a fold, however much it writes.
    pub fn is_much(&self, changes: usize) -> bool {
        changes > FOLD_MIN.max(self.extents() / 4)
    }

    /// Notes that another process has folded records into the space tree. Which keys differ from it is not known from
    /// then on, and not noted.
    pub fn tree_changed(&mut self) {
        self.tree_is_other = true;
        self.forget_changes();
    }

    /// Returns whether another process has folded records since the space tree was loaded.
    pub fn tree_is_other(&self) -> bool {
        self.tree_is_other
    }

    /// Returns whether it is time for a fold of so many changes, and the space tree must be loaded anew for that. A
    /// slot that is nearly full is no reason to load it: records that do not fit are spilled.
    pub fn must_know_tree(&self, changes: usize) -> bool {
        self.tree_is_other && self.is_much(changes)
    }

    /// Takes over the content of the space tree for one zone, as of the last fold, and replays `records` over it.
    /// Returns `None`, and changes nothing, if the content is impossible.
    pub fn load<'a>(
        &mut self,
        zone: ZoneNo,
        content: &[Dead],
        pages: u64,
        records: impl Iterator<Item = &'a CommitRecord>,
    ) -> Option<()> {
        let range = zone.first()..zone.end();
        let border = range.end.min(PageNo::new(pages));
        let mut end = range.start;
        for Dead { extent, death } in content {
            let next = extent.run.checked_end()?;
            if extent.run.first < end || extent.run.pages == 0 || next > border || extent.birth > *death {
                return None;
            }
            end = next;
        }
        if !self.unloaded.remove(&zone) {
            return Some(());
        }
        self.required.remove(&zone);
        for (holder, list) in &mut self.blocked {
            let inside = list.iter().filter(|page| range.contains(page));
            let inside = inside.filter_map(|page| self.mirror.get(*page));
            let pages = inside.map(|dead| dead.extent.run.pages).sum::<u64>();
            self.blocked_pages -= pages;
            self.named_pages -= if holder.is_named { pages } else { 0 };
            list.retain(|page| !range.contains(page));
        }
        while let Some((page, dead)) = self.first_in(&range) {
            self.mirror.remove(page);
            self.mirror_pages -= dead.extent.run.pages;
        }
        self.waiting.retain(|(_, page)| !range.contains(page));
        let changed = |changed: &PageMap<()>| changed.range(range.clone()).next();
        while let Some((page, ())) = changed(&self.changed) {
            self.changed.remove(page);
        }
        self.pool.remove(zone.run());
        self.roomless.remove(zone.run());
        for dead in content {
            self.keep(*dead);
        }
        for record in records {
            self.replay(record, Some(zone));
        }
        self.sort_out(range);
        Some(())
    }

    /// Puts those of the extents that begin in `range` into the pool that were never in use, and lets the others wait.
    fn sort_out(&mut self, range: Range<PageNo>) {
        let found = self.mirror.range(range.clone()).count();
        if self.waiting.try_reserve(found).is_err() {
            self.lists_incomplete = true;
            return;
        }
        for (page, dead) in self.mirror.range(range) {
            match dead.was_in_use() {
                true => self.waiting.push((dead.death, page)),
                false => self.pool.insert(dead.extent.run),
            }
        }
        self.waiting.sort_unstable();
        self.stale = true;
    }

    /// Carries out a commit's changes in the mirror, in all zones or in one, without changing the lists of what
    /// waits.
    fn replay(&mut self, record: &CommitRecord, zone: Option<ZoneNo>) {
        let here = |run: &Run| zone.is_none_or(|z| ZoneNo::of(run.first) == z);
        for &taken in &record.taken {
            split(taken).filter(here).for_each(|run| self.subtract(run));
        }
        for dead in deaths(record).filter(|dead| here(&dead.extent.run)) {
            self.put(dead);
        }
    }

    /// Carries out the changes of a commit that was just made. The pool does not contain any more what the commit
    /// took.
    pub fn apply(&mut self, record: &CommitRecord) {
        self.replay(record, None);
        for dead in deaths(record) {
            if !dead.was_in_use() {
                self.pool.insert(dead.extent.run);
                continue;
            }
            // The new entry goes behind all others, unless the file says that something dies in the future.
            let new = (dead.death, dead.extent.run.first);
            let at = self.waiting.partition_point(|other| *other < new);
            match self.waiting.try_reserve(1) {
                Ok(()) => self.waiting.insert(at, new),
                Err(_) => self.lists_incomplete = true,
            }
        }
    }

    /// Carries out a commit that another process made. Returns `false` if that is impossible because the commit took
    /// pages that are not known to be reusable here. Then everything must be loaded anew.
    pub fn follow(&mut self, record: &CommitRecord) -> bool {
        for &taken in &record.taken {
            for run in split(taken) {
                // Of a zone that is not loaded only some extents are known. Those must be reusable as well.
                let unloaded = self.unloaded.contains(&ZoneNo::of(run.first));
                if !self.pool.contains(run) && (!unloaded || self.overlaps(run)) {
                    return false;
                }
                if unloaded {
                    self.required.insert(ZoneNo::of(run.first));
                }
                self.pool.remove(run);
            }
        }
        self.apply(record);
        // Unlike what dies in a commit that is made here, this may be reusable already.
        self.stale = true;
        true
    }

    /// Returns the number of pages that are kept for readers of commit `id` alone, as far as is known.
    pub fn kept_for(&self, id: CommitId) -> u64 {
        let holder = Holder {
            commit: id,
            is_named: false,
        };
        let pages = self.blocked.get(&holder).into_iter().flatten();
        pages
            .filter_map(|page| self.mirror.get(*page))
            .map(|dead| dead.extent.run.pages)
            .sum()
    }

    /// Returns whether any of these pages is known to be dead.
    pub fn overlaps(&self, run: Run) -> bool {
        let before = self.mirror.before(run.end());
        before.is_some_and(|(_, dead)| dead.extent.run.end() > run.first)
    }

    fn put(&mut self, dead: Dead) {
        if self.overlaps(dead.extent.run) {
            self.subtract(dead.extent.run);
        }
        self.keep(dead);
        self.note_change(dead.extent.run.first);
    }

    /// Notes that the space tree's entry of an extent differs from the mirror's.
    fn note_change(&mut self, first: PageNo) {
        if !self.tree_is_other {
            self.changed.insert(first, ());
        }
    }

    fn keep(&mut self, dead: Dead) {
        debug_assert!(dead.extent.run.pages > 0 && !self.overlaps(dead.extent.run));
        debug_assert!(dead.extent.run.end() <= ZoneNo::of(dead.extent.run.first).end());
        self.mirror.insert(dead);
        self.mirror_pages += dead.extent.run.pages;
    }

    fn subtract(&mut self, run: Run) {
        let end = run.end();
        while let Some((first, dead)) = self.mirror.before(end) {
            let Dead { extent, death } = dead;
            if extent.run.end() <= run.first {
                break;
            }
            self.mirror.remove(first);
            self.mirror_pages -= extent.run.pages;
            self.note_change(first);
            let part = |first, end: PageNo| Dead {
                extent: Extent {
                    run: Run::new(first, end - first),
                    ..extent
                },
                death,
            };
            if extent.run.end() > end {
                self.keep(part(end, extent.run.end()));
                self.note_change(end);
            }
            if first < run.first {
                self.keep(part(first, run.first));
                break;
            }
        }
    }

    /// Moves to the pool what the reuse rule (I-3) allows. What was never in use is there already.
    pub fn refresh(&mut self, now: Horizon) {
        // Extents that came in by commits made here died after the durable commit, so nothing can be moved before it
        // rises.
        if now.snapshots.is_none() || !self.stale && self.seen == now {
            return;
        }
        debug_assert!(
            now.durable >= self.seen.durable && now.base >= self.seen.base,
            "I-3: once an extent may be reused it may be reused for ever"
        );
        self.stale = false;
        // Recovery does not need these extents: they are dead in every commit that it can return, and listed by none.
        let ready = self.waiting.partition_point(|(death, _)| *death <= now.durable);
        let mut left = 0;
        for i in 0..ready {
            let (death, page) = self.waiting[i];
            match self.mirror.get(page) {
                Some(dead) if dead.extent.birth > now.base => {
                    self.waiting[left] = (death, page);
                    left += 1;
                }
                Some(dead) => self.release(dead, &now),
                None => {}
            }
        }
        self.waiting.drain(left..ready);
        // Those who held these extents when they were last looked at are gone.
        let ended: Vec<Holder> = self.blocked.keys().filter(|h| !now.has(**h)).copied().collect();
        for h in ended {
            for page in self.blocked.remove(&h).unwrap_or_default() {
                if let Some(dead) = self.mirror.get(page) {
                    self.blocked_pages -= dead.extent.run.pages;
                    self.named_pages -= if h.is_named { dead.extent.run.pages } else { 0 };
                    self.release(dead, &now);
                }
            }
        }
        self.seen = now;
    }

    /// Puts an extent that recovery does not need into the pool, or under the newest who sees it.
    fn release(&mut self, dead: Dead, now: &Horizon) {
        let run = dead.extent.run;
        match now.holder_of(&dead) {
            Some(holder) => {
                self.blocked_pages += run.pages;
                self.named_pages += if holder.is_named { run.pages } else { 0 };
                let list = self.blocked.entry(holder).or_default();
                match list.try_reserve(1) {
                    Ok(()) => list.push(run.first),
                    Err(_) => self.lists_incomplete = true,
                }
            }
            None => self.pool.insert(run),
        }
    }

    /// Joins neighbours in the pool into one extent (0, 0), so that the space tree stays small. It does so only where
    /// the next fold writes anyway.
    pub fn join(&mut self) {
        let mut runs: Vec<Run> = Vec::new();
        for (page, ()) in self.changed.iter() {
            if runs.last().is_none_or(|run| run.end() <= page) {
                // Joining is of use and not needed, so it may do without memory.
                if runs.try_reserve(1).is_err() {
                    break;
                }
                runs.extend(self.pool.run_of(page));
            }
        }
        for part in runs.into_iter().flat_map(split) {
            let inside = self.mirror.range(part.first..part.end());
            let inside = inside
                .map(|(_, dead)| dead.extent.run)
                .filter(|run| run.end() <= part.end());
            // The runs from the first to the last, as one, if none is missing between them.
            let mut joined: Option<Run> = None;
            let (mut count, mut touching) = (0, true);
            for run in inside {
                count += 1;
                touching &= joined.is_none_or(|joined| joined.end() == run.first);
                joined = Some(joined.map_or(run, |joined| Run::new(joined.first, run.end() - joined.first)));
            }
            let Some(run) = joined else {
                continue;
            };
            if count > 1 && touching {
                self.subtract(run);
                self.put(Dead {
                    extent: Extent::new(run, CommitId::NONE),
                    death: CommitId::NONE,
                });
            }
        }
    }

    /// Returns every change since the last fold, in ascending order of pages, with what is parked gone, and what lies
    /// behind the end of the file.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn edits(&self, parked: &[Parked], end: PageNo) -> Result<Vec<SpaceEdit>> {
        let mut gone: Vec<PageNo> = Vec::new();
        let behind = || self.mirror.range(end..PageNo::END);
        Error::or_room(&mut gone, parked.len() + behind().count(), PARKED)?;
        gone.extend(parked.iter().map(|parked| parked.extent.run.first));
        gone.extend(behind().map(|(first, _)| first));
        gone.sort_unstable();
        let mut edits = Vec::new();
        Error::or_room(&mut edits, self.changed.len() + gone.len(), "changes of free space")?;
        let kept = |first: &PageNo| gone.binary_search(first).is_err();
        edits.extend(
            self.changed
                .iter()
                .map(|(first, ())| first)
                .filter(kept)
                .map(|first| SpaceEdit {
                    first,
                    dead: self.mirror.get(first),
                }),
        );
        edits.extend(gone.iter().map(|&first| SpaceEdit { first, dead: None }));
        // One of whose pages this transaction has taken the first ends where the file does.
        if let Some((first, dead)) = self.mirror.before(end).filter(|(_, dead)| dead.extent.run.end() > end) {
            let run = Run::new(first, end - first);
            let dead = Dead {
                extent: Extent { run, ..dead.extent },
                ..dead
            };
            edits.retain(|edit| edit.first != first);
            edits.push(SpaceEdit {
                first,
                dead: Some(dead),
            });
        }
        edits.sort_unstable_by_key(|edit| edit.first);
        Ok(edits)
    }

    /// Returns the page behind the last dead one that a reader or a snapshot sees, as far as is known.
    pub fn held_end(&self) -> PageNo {
        let pages = self.blocked.values().flatten();
        let ends = pages
            .filter_map(|page| self.mirror.get(*page))
            .map(|dead| dead.extent.run.end());
        ends.max().unwrap_or_default()
    }

    /// Returns the newest commit whose readers see dead pages behind `from`, as far as is known.
    pub fn reader_behind(&self, from: PageNo) -> Option<CommitId> {
        let is_behind = |page: &PageNo| self.mirror.get(*page).is_some_and(|dead| dead.extent.run.end() > from);
        let mut readers = self.blocked.iter().rev().filter(|(holder, _)| !holder.is_named);
        let behind = readers.find(|(_, pages)| pages.iter().any(is_behind));
        behind.map(|(holder, _)| holder.commit)
    }

    /// Forgets what is dead from `first` up to `end`, because the newest commit has left it out of the file. The pool
    /// does not have it any more.
    pub fn leave_out(&mut self, first: PageNo, end: PageNo) {
        if first < end {
            let run = Run::new(first, end - first);
            self.subtract(run);
            self.roomless.remove(run);
            self.unloaded.retain(|zone| zone.first() < first);
        }
    }

    /// Forgets which keys changed, because the edits are in the space tree.
    pub fn forget_changes(&mut self) {
        self.changed = PageMap::default();
    }
}

#[cfg(test)]
mod space_test;
