//! Dead pages in memory: a mirror of the space tree and the tail, and the pool of pages that may be reused now.
//!
//! A dead extent (B, D) was written by commit B and is not referenced from commit D on. **Reuse rule** (I-3, sharper
//! where it can be): it may be reused if `D <= durable` and `B <= base(durable)` and no held reader h has `B <= h < D`.
//!
//! - `D <= durable`: no commit that recovery could return refers to it.
//! - `B <= base(durable)`: no slot that recovery could verify lists it (slots list what was written after their base,
//!   and bases never fall).
//! - Once true it stays true: new readers register at or above `durable`, or where a held one is. So an extent moves from
//!   `waiting` (or `blocked`, under the reader that holds it) to the pool once, and pool neighbours can be merged and
//!   forget their lives: they become one extent (0, 0).
//!
//! The mirror is as of the newest commit. It is loaded by zone (2^16 pages) when a writer asks; an extent that dies in a
//! zone not loaded is just added, since it was live and cannot overlap. A zone whose pages the tail *takes* must be
//! loaded before the tail can be folded.

mod page_map;
mod runs;

pub(in crate::pager) use runs::Ranges;

use super::commit::Record;
use super::{Dead, ZONE_PAGES};
use page_map::PageMap;
use std::collections::{BTreeMap, BTreeSet};

/// (pages, birth, death) of a dead extent.
type Life = [u64; 3];

fn dead((page, [pages, birth, death]): (u64, Life)) -> Dead {
    Dead {
        page,
        pages,
        birth,
        death,
    }
}

/// Dead pages: all that is known, and what may be reused.
#[derive(Debug, Default)]
pub(in crate::pager) struct Space {
    /// Dead extents by first page.
    mirror: PageMap<Life>,
    mirror_pages: u64,
    /// Keys whose value in the space tree differs from the mirror's.
    changed: PageMap<()>,
    /// Pages that may be reused now and are not taken by the running transaction.
    pub pool: Ranges,
    /// Extents not known to be reusable, (death, page) ascending.
    waiting: Vec<(u64, u64)>,
    /// Extents that wait for a reader to end, by that reader's commit.
    blocked: BTreeMap<u64, Vec<u64>>,
    blocked_pages: u64,
    unloaded: BTreeSet<u64>,
    /// Zones to load before the next fold.
    required: BTreeSet<u64>,
    /// (durable, base, held) when the pool was last refreshed, and whether extents came in otherwise since.
    seen: (u64, u64, Vec<u64>),
    stale: bool,
}

fn waits((page, [_, _, death]): (u64, Life)) -> (u64, u64) {
    (death, page)
}

/// Zone of a page.
pub(in crate::pager) fn zone_of(page: u64) -> u64 {
    page / ZONE_PAGES
}

/// The parts of a run on each side of zone borders.
fn split(mut page: u64, pages: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = page + pages;
    std::iter::from_fn(move || {
        let part = (zone_of(page) + 1) * ZONE_PAGES;
        let here = (page, part.min(end) - page.min(end));
        page = part.min(end).max(page);
        (here.1 > 0).then_some(here)
    })
}

impl Space {
    /// As of a commit with `pages` pages, `dead` of them dead, that has these records after its last fold.
    pub fn open<'a>(pages: u64, dead: u64, records: impl Iterator<Item = &'a Record>) -> Space {
        let mut space = Space::default();
        for record in records {
            for &(page, pages) in &record.taken {
                space.required.extend(split(page, pages).map(|(p, _)| zone_of(p)));
            }
            space.replay(record, None);
        }
        if dead > space.mirror_pages || !space.required.is_empty() {
            space.unloaded = (0..=zone_of(pages - 1)).collect();
        }
        space.waiting = space.mirror.range(0, u64::MAX).map(waits).collect();
        space.waiting.sort_unstable();
        space.stale = true;
        space
    }

    /// Dead pages known.
    pub fn known(&self) -> u64 {
        self.mirror_pages
    }

    /// Of them, those that a reader still sees.
    pub fn held(&self) -> u64 {
        self.blocked_pages
    }

    /// Extents known.
    pub fn extents(&self) -> usize {
        self.mirror.len()
    }

    /// Keys that a fold would write.
    pub fn changes(&self) -> usize {
        self.changed.len()
    }

    /// Zones to load next: those a fold waits for, then (if `more`) any other.
    pub fn wanted(&self, more: bool) -> Vec<u64> {
        let mut zones: Vec<u64> = self.required.iter().take(2).copied().collect();
        if more {
            let others = self.unloaded.iter().filter(|z| !self.required.contains(z));
            zones.extend(others.take(2 - zones.len()));
        }
        zones
    }

    /// Forgets zones not loaded: nothing dead is left in them.
    pub fn nothing_else(&mut self) {
        if self.required.is_empty() {
            self.unloaded.clear();
        }
    }

    /// Whether the mirror can be folded: every change in it is known to the key.
    pub fn foldable(&self) -> bool {
        self.required.is_empty()
    }

    /// Takes the content of the space tree for one zone, as of the last fold, and replays `records` over it. `None`
    /// when the content is impossible (nothing is changed then).
    pub fn load<'a>(
        &mut self,
        zone: u64,
        content: &[Dead],
        pages: u64,
        records: impl Iterator<Item = &'a Record>,
    ) -> Option<()> {
        let mut end = zone * ZONE_PAGES;
        let border = (end + ZONE_PAGES).min(pages);
        for dead in content {
            let next = dead.page.checked_add(dead.pages)?;
            if dead.page < end || dead.pages == 0 || next > border || dead.birth > dead.death {
                return None;
            }
            end = next;
        }
        if !self.unloaded.remove(&zone) {
            return Some(());
        }
        self.required.remove(&zone);
        let range = zone * ZONE_PAGES..(zone + 1) * ZONE_PAGES;
        let old: Vec<(u64, Life)> = self.mirror.range(range.start, range.end).collect();
        for list in self.blocked.values_mut() {
            let inside = list.iter().filter(|p| range.contains(p));
            self.blocked_pages -= inside
                .filter_map(|p| self.mirror.get(*p))
                .map(|[pages, ..]| pages)
                .sum::<u64>();
            list.retain(|p| !range.contains(p));
        }
        for (page, [pages, ..]) in old {
            self.mirror.remove(page);
            self.mirror_pages -= pages;
        }
        self.waiting.retain(|(_, page)| !range.contains(page));
        let old: Vec<u64> = self
            .changed
            .range(range.start, range.end)
            .map(|(page, ())| page)
            .collect();
        old.into_iter().for_each(|page| self.changed.remove(page));
        self.pool.remove(range.start, ZONE_PAGES);
        for dead in content {
            self.keep(*dead);
        }
        for record in records {
            self.replay(record, Some(zone));
        }
        self.waiting
            .extend(self.mirror.range(range.start, range.end).map(waits));
        self.waiting.sort_unstable();
        self.stale = true;
        Some(())
    }

    /// Carries out a commit's changes in the mirror, in all zones or one, without looking who waits.
    fn replay(&mut self, record: &Record, zone: Option<u64>) {
        let here = |page: u64| zone.is_none_or(|z| zone_of(page) == z);
        for &(page, pages) in &record.taken {
            for (page, pages) in split(page, pages).filter(|r| here(r.0)) {
                self.subtract(page, pages);
            }
        }
        for f in &record.freed {
            for (page, pages) in split(f.page, f.pages).filter(|r| here(r.0)) {
                self.put(Dead {
                    page,
                    pages,
                    birth: f.birth,
                    death: record.id,
                });
            }
        }
    }

    /// Carries out the changes of a commit that was just made: what it took is out of the pool already.
    pub fn apply(&mut self, record: &Record) {
        self.replay(record, None);
        for f in &record.freed {
            for (page, _) in split(f.page, f.pages) {
                // Behind all others, unless the file says that something dies in the future.
                let at = self.waiting.partition_point(|other| *other < (record.id, page));
                self.waiting.insert(at, (record.id, page));
            }
        }
    }

    /// Carries out a commit that another process made. False if that is impossible, because it took pages not known here
    /// to be reusable: then all must be loaded anew.
    pub fn follow(&mut self, record: &Record) -> bool {
        for &(page, pages) in &record.taken {
            for (page, pages) in split(page, pages) {
                if self.unloaded.contains(&zone_of(page)) {
                    self.required.insert(zone_of(page));
                } else if !self.pool.contains(page, pages) {
                    return false;
                }
                self.pool.remove(page, pages);
            }
        }
        self.apply(record);
        true
    }

    /// Pages kept for readers of commit `id` alone, as far as known.
    pub fn kept_for(&self, id: u64) -> u64 {
        let pages = self.blocked.get(&id).into_iter().flatten();
        pages
            .filter_map(|page| self.mirror.get(*page))
            .map(|[pages, ..]| pages)
            .sum()
    }

    /// Whether any of these pages is known to be dead.
    pub fn overlaps(&self, page: u64, pages: u64) -> bool {
        let before = self.mirror.before(page + pages);
        before.is_some_and(|(from, [pages, ..])| from + pages > page)
    }

    fn put(&mut self, dead: Dead) {
        if self.overlaps(dead.page, dead.pages) {
            self.subtract(dead.page, dead.pages);
        }
        self.keep(dead);
        self.changed.insert(dead.page, ());
    }

    fn keep(&mut self, dead: Dead) {
        self.mirror.insert(dead.page, [dead.pages, dead.birth, dead.death]);
        self.mirror_pages += dead.pages;
    }

    fn subtract(&mut self, page: u64, pages: u64) {
        let end = page + pages;
        while let Some((from, [pages, birth, death])) = self.mirror.before(end) {
            let to = from + pages;
            if to <= page {
                break;
            }
            self.mirror.remove(from);
            self.mirror_pages -= pages;
            self.changed.insert(from, ());
            let part = |page, pages| Dead {
                page,
                pages,
                birth,
                death,
            };
            if to > end {
                self.keep(part(end, to - end));
                self.changed.insert(end, ());
            }
            if from < page {
                self.keep(part(from, page - from));
                break;
            }
        }
    }

    /// Moves to the pool what the reuse rule allows. `durable` and `base` were read before `held` (ascending) was.
    pub fn refresh(&mut self, durable: u64, base: u64, held: &[u64]) {
        // What dies later than the durable point waits for that to rise.
        if !self.stale && (self.seen.0, self.seen.1) == (durable, base) && self.seen.2 == held {
            return;
        }
        self.seen = (durable, base, held.to_vec());
        self.stale = false;
        let ready = self.waiting.partition_point(|(death, _)| *death <= durable);
        let mut left = 0;
        for i in 0..ready {
            let (death, page) = self.waiting[i];
            match self.mirror.get(page) {
                Some([_, birth, _]) if birth > base => {
                    self.waiting[left] = (death, page);
                    left += 1;
                }
                Some(life) => self.settle(dead((page, life)), held),
                None => {}
            }
        }
        self.waiting.drain(left..ready);
        let ended: Vec<u64> = self
            .blocked
            .keys()
            .filter(|h| held.binary_search(h).is_err())
            .copied()
            .collect();
        for page in ended
            .iter()
            .flat_map(|h| self.blocked.remove(h).unwrap_or_default())
            .collect::<Vec<u64>>()
        {
            if let Some(life) = self.mirror.get(page) {
                let dead = dead((page, life));
                self.blocked_pages -= dead.pages;
                self.settle(dead, held);
            }
        }
    }

    fn settle(&mut self, dead: Dead, held: &[u64]) {
        let below = held.partition_point(|h| *h < dead.death);
        match held[..below].last() {
            Some(&h) if h >= dead.birth => {
                self.blocked_pages += dead.pages;
                self.blocked.entry(h).or_default().push(dead.page);
            }
            _ => self.pool.insert(dead.page, dead.pages),
        }
    }

    /// Joins neighbours in the pool into one extent without a life, so that the space tree stays small. Only where the
    /// next fold writes anyway.
    pub fn join(&mut self) {
        let mut runs: Vec<(u64, u64)> = Vec::new();
        for (page, ()) in self.changed.range(0, u64::MAX) {
            if runs.last().is_none_or(|(from, len)| from + len <= page) {
                runs.extend(self.pool.run_of(page));
            }
        }
        for (page, pages) in runs
            .into_iter()
            .flat_map(|(page, pages)| split(page, pages))
            .collect::<Vec<_>>()
        {
            let inside = self.mirror.range(page, page + pages).map(dead);
            let inside: Vec<Dead> = inside.filter(|d| d.page + d.pages <= page + pages).collect();
            let (Some(first), Some(last)) = (inside.first(), inside.last()) else {
                continue;
            };
            if inside.len() > 1 && inside.windows(2).all(|w| w[0].page + w[0].pages == w[1].page) {
                let (from, to) = (first.page, last.page + last.pages);
                self.subtract(from, to - from);
                self.put(Dead {
                    page: from,
                    pages: to - from,
                    birth: 0,
                    death: 0,
                });
            }
        }
    }

    /// Every change since the last fold: the new value of a key, `None` to remove it.
    pub fn edits(&self) -> Vec<(u64, Option<Dead>)> {
        let value = |(page, ())| (page, self.mirror.get(page).map(|life| dead((page, life))));
        self.changed.range(0, u64::MAX).map(value).collect()
    }

    /// The edits are in the space tree.
    pub fn folded(&mut self) {
        self.changed = PageMap::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pager::commit::Freed;

    fn record(id: u64, freed: &[(u64, u64, u64)], taken: &[(u64, u64)]) -> Record {
        let freed = freed.iter().map(|&(page, pages, birth)| Freed { page, pages, birth });
        Record {
            id,
            runs: Vec::new(),
            freed: freed.collect(),
            taken: taken.to_vec(),
        }
    }

    #[test]
    fn runs_split_at_zone_borders() {
        let parts: Vec<_> = split(ZONE_PAGES - 3, ZONE_PAGES + 5).collect();
        assert_eq!(
            parts,
            [(ZONE_PAGES - 3, 3), (ZONE_PAGES, ZONE_PAGES), (2 * ZONE_PAGES, 2)]
        );
        assert_eq!(split(7, 2).collect::<Vec<_>>(), [(7, 2)]);
    }

    #[test]
    fn the_reuse_rule_waits_for_all_three() {
        let mut space = Space::open(100, 0, std::iter::empty());
        space.apply(&record(10, &[(20, 2, 5)], &[]));
        space.refresh(9, 9, &[]);
        assert_eq!(space.pool.total(), 0, "not durable");
        space.refresh(10, 4, &[]);
        assert_eq!(space.pool.total(), 0, "still listed by a slot");
        space.refresh(10, 5, &[3, 7, 12]);
        assert_eq!(space.pool.total(), 0, "held by 7");
        space.refresh(11, 9, &[7]);
        assert_eq!(space.pool.total(), 0, "still held by 7");
        space.refresh(11, 9, &[4, 10]);
        assert_eq!(space.pool.total(), 2);
    }

    #[test]
    fn a_zone_is_loaded_under_the_tail() {
        let tail = [record(5, &[(40, 1, 2)], &[(10, 3)]), record(6, &[(11, 1, 5)], &[])];
        let mut space = Space::open(100, 8, tail.iter());
        assert_eq!(space.wanted(false), [0]);
        assert!(!space.foldable());
        let tree = [Dead {
            page: 9,
            pages: 9,
            birth: 1,
            death: 3,
        }];
        space.load(0, &tree, 100, tail.iter()).expect("load");
        assert!(space.foldable() && space.known() == 8);
        let keys: Vec<(u64, u64)> = space
            .edits()
            .iter()
            .map(|(k, d)| (*k, d.map_or(0, |d| d.pages)))
            .collect();
        assert_eq!(keys, [(9, 1), (11, 1), (13, 5), (40, 1)]);
        space.refresh(6, 6, &[]);
        space.join();
        assert_eq!(space.pool.total(), 8);
        let lie = [Dead { page: 99, ..tree[0] }];
        assert!(space.load(0, &lie, 100, tail.iter()).is_none());
    }

    #[test]
    fn neighbours_join_when_reusable() {
        let mut space = Space::open(100, 0, std::iter::empty());
        space.apply(&record(2, &[(10, 1, 1), (11, 2, 1), (13, 1, 2)], &[]));
        space.refresh(2, 2, &[]);
        space.join();
        let dead = |d: Option<Dead>| d.map(|d| (d.pages, d.birth, d.death));
        let edits: Vec<_> = space.edits().into_iter().map(|(k, d)| (k, dead(d))).collect();
        assert_eq!(edits, [(10, Some((4, 0, 0))), (11, None), (13, None)]);
    }
}
