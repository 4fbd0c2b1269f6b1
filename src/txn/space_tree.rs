//! The space tree contains the dead extents of the database, by first page, and behind them those that are parked for
//! snapshots, by who sees them. The pager decides when the records of recent commits are folded into it and which zones
//! are read from it; this module defines its entries and reads them.
//!
//! ```text
//! dead     key    u64 first page, big-endian
//!          value  0  u32 pages, bit 31: own     4  u48 birth     10  u48 death
//! parked   key    80, holder, the commit that parked it, birth, first page (u48 each, big-endian)
//!          value  0  u32 pages                  4  u48 death
//! ```

use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::{Extent, PageSource, Root};
use crate::pager::{Dead, Parked, SpaceChange, ZoneNo};
use crate::tree::read::scan::scan;
use crate::util::bytes::{get_u32, get_u48, put_u32, put_u48};
use std::collections::BTreeMap;

const PAGES: usize = 0;
const BIRTH: usize = 4;
const DEATH: usize = 10;
const VALUE_BYTES: usize = 16;
/// The bit of the pages that says whose they were.
const OWN: u32 = 1 << 31;

/// Returns the key of the extent that begins with `page`.
pub fn encode_key(page: PageNo) -> [u8; 8] {
    page.get().to_be_bytes()
}

/// Returns the value of an extent's entry.
pub fn encode_dead(d: &Dead) -> [u8; VALUE_BYTES] {
    let mut b = [0; VALUE_BYTES];
    let own = if d.extent.own { OWN } else { 0 };
    put_u32(&mut b, PAGES, d.extent.run.pages as u32 | own);
    put_u48(&mut b, BIRTH, d.extent.birth.get());
    put_u48(&mut b, DEATH, d.death.get());
    b
}

/// The first byte of the keys of parked extents. No number of a page begins with it.
const PARKED: u8 = 0x80;
const PARKED_KEY: usize = 25;
/// Where the death begins in the value of a parked extent.
const PARKED_DEATH: usize = 4;
const PARKED_VALUE: usize = 10;

/// Returns whether this is the key of a parked extent.
pub fn is_parked(key: &[u8]) -> bool {
    key.first() == Some(&PARKED)
}

/// Returns the key of a parked extent.
pub fn encode_parked_key(parked: &Parked) -> [u8; PARKED_KEY] {
    let extent = parked.extent;
    let numbers = [parked.holder, parked.fold, extent.birth].map(CommitId::get);
    let mut key = [PARKED; PARKED_KEY];
    for (i, number) in numbers.into_iter().chain([extent.run.first.get()]).enumerate() {
        key[1 + 6 * i..7 + 6 * i].copy_from_slice(&number.to_be_bytes()[2..]);
    }
    key
}

/// Returns the value of a parked extent.
pub fn encode_parked(parked: &Parked) -> [u8; PARKED_VALUE] {
    let mut b = [0; PARKED_VALUE];
    put_u32(&mut b, PAGES, parked.extent.run.pages as u32);
    put_u48(&mut b, PARKED_DEATH, parked.death.get());
    b
}

/// Returns the parked extent that an entry describes.
///
/// # Errors
/// `Corrupt`: the key or the value has a wrong size, or the numbers cannot be.
pub fn decode_parked(key: &[u8], value: &[u8]) -> Result<Parked> {
    let bad = || Error::corrupt(None, "entry of the space tree for a parked extent is malformed");
    if (key.len(), value.len()) != (PARKED_KEY, PARKED_VALUE) {
        return Err(bad());
    }
    let number = |i: usize| {
        let bytes = &key[1 + 6 * i..7 + 6 * i];
        bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let [holder, fold, birth] = [0, 1, 2].map(|i| CommitId::new(number(i)));
    let run = Run::new(PageNo::new(number(3)), get_u32(value, PAGES).into());
    let death = CommitId::new(get_u48(value, PARKED_DEATH));
    let possible = birth > CommitId::NONE && birth <= holder && holder < death && death < fold;
    let fits = run.pages > 0 && run.checked_end().is_some_and(|end| end <= PageNo::END);
    match is_parked(key) && possible && fits {
        true => Ok(Parked {
            holder,
            fold,
            extent: Extent::new(run, birth),
            death,
        }),
        false => Err(bad()),
    }
}

/// Returns the dead extent that an entry describes.
///
/// # Errors
/// `Corrupt`: the key or the value has a wrong size.
pub fn decode_dead(key: &[u8], value: &[u8]) -> Result<Dead> {
    let (Ok(key), VALUE_BYTES) = (<[u8; 8]>::try_from(key), value.len()) else {
        return Err(Error::corrupt(None, "entry of the space tree has a wrong size"));
    };
    let first = PageNo::new(u64::from_be_bytes(key));
    if first >= PageNo::END {
        return Err(Error::corrupt(
            None,
            "entry of the space tree that is of a later version",
        ));
    }
    let pages = get_u32(value, PAGES);
    Ok(Dead {
        extent: Extent {
            run: Run::new(first, u64::from(pages & !OWN)),
            birth: CommitId::new(get_u48(value, BIRTH)),
            own: pages & OWN != 0,
        },
        death: CommitId::new(get_u48(value, DEATH)),
    })
}

/// Returns the dead extents of one zone that the space tree at `root` lists.
pub fn read_zone<'s, S: PageSource<'s>>(source: &S, root: &Root, zone: ZoneNo) -> Result<Vec<Dead>> {
    let mut dead = Vec::new();
    scan(source, root, &encode_key(zone.first()), |key, value| {
        if is_parked(key) {
            return Ok(false);
        }
        let d = decode_dead(key, value.bytes())?;
        let inside = d.extent.run.first < zone.end();
        if inside {
            Error::or_room(&mut dead, 1, "the list of dead pages")?;
            dead.push(d);
        }
        Ok(inside)
    })?;
    Ok(dead)
}

/// Returns the page behind the last one that is parked for snapshots.
///
/// # Errors
/// `Corrupt`: an entry cannot be read; those of `source`.
pub fn parked_end<'s, S: PageSource<'s>>(source: &S, root: &Root) -> Result<PageNo> {
    let mut end = PageNo::default();
    scan(source, root, &[PARKED], |key, value| {
        end = end.max(decode_parked(key, value.bytes())?.extent.run.end());
        Ok(true)
    })?;
    Ok(end)
}

/// The dead extents of a commit.
#[derive(Debug, Clone, Default)]
pub struct DeadExtents {
    /// The extents by first page.
    pub extents: BTreeMap<PageNo, Dead>,
    /// The extents that are parked for snapshots, by who sees them.
    pub parked: Vec<Parked>,
    /// The first contradiction in what the commit says of them, if there is one, and at which page it is.
    pub fault: Option<(PageNo, &'static str)>,
}

impl DeadExtents {
    /// Reads those that the space tree of commit `id` lists, with the changes made by the commits whose records are not
    /// folded into it yet.
    ///
    /// # Errors
    /// `NoMemory`; `Corrupt`: an entry cannot be read; those of `source`.
    pub fn of<'s, S: PageSource<'s>>(
        source: &S,
        space: &Root,
        id: CommitId,
        changes: &[SpaceChange],
    ) -> Result<DeadExtents> {
        DeadExtents::read(source, space, id, changes, true)
    }

    /// Reads them without those that are parked.
    ///
    /// # Errors
    /// Those of [`DeadExtents::of`].
    pub fn unparked<'s, S: PageSource<'s>>(
        source: &S,
        space: &Root,
        id: CommitId,
        changes: &[SpaceChange],
    ) -> Result<DeadExtents> {
        DeadExtents::read(source, space, id, changes, false)
    }

    fn read<'s, S: PageSource<'s>>(
        source: &S,
        space: &Root,
        id: CommitId,
        changes: &[SpaceChange],
        reads_parked: bool,
    ) -> Result<DeadExtents> {
        let mut dead = DeadExtents::default();
        let mut end = PageNo::default();
        scan(source, space, &[], |key, value| {
            if is_parked(key) && !reads_parked {
                return Ok(false);
            }
            if is_parked(key) {
                Error::or_room(&mut dead.parked, 1, "the list of parked pages")?;
                dead.parked.push(decode_parked(key, value.bytes())?);
                return Ok(true);
            }
            let d = decode_dead(key, value.bytes())?;
            let run = d.extent.run;
            let crosses = run.pages == 0 || run.end() > ZoneNo::of(run.first).end();
            let what = if run.first < end {
                Some("extents of dead pages overlap")
            } else if crosses {
                Some("an extent of dead pages is empty, or crosses the border of a zone")
            } else if d.extent.birth > d.death || d.death > id {
                Some("pages died before they were written, or will die later")
            } else {
                None
            };
            dead.note(run, what);
            end = run.end();
            dead.put(d)?;
            Ok(true)
        })?;
        for change in changes {
            let (run, died) = match change {
                SpaceChange::Died(d) => (d.extent.run, Some(d)),
                SpaceChange::Taken(run) => (*run, None),
            };
            let expected = if died.is_some() { 0 } else { run.pages };
            let wrong = remove(&mut dead.extents, run) != expected;
            dead.note(
                run,
                wrong.then_some("a record frees dead pages, or takes pages that are not dead"),
            );
            if let Some(d) = died {
                dead.put(*d)?;
            }
        }
        Ok(dead)
    }

    fn note(&mut self, run: Run, what: Option<&'static str>) {
        self.fault = self.fault.or(what.map(|what| (run.first, what)));
    }

    fn put(&mut self, dead: Dead) -> Result<()> {
        Error::if_memory_is_short("the list of dead pages")?;
        self.extents.insert(dead.extent.run.first, dead);
        Ok(())
    }
}

/// Removes the pages of `taken` from the extents, and returns how many they had. What an extent has on either side of
/// them stays.
fn remove(dead: &mut BTreeMap<PageNo, Dead>, taken: Run) -> u64 {
    let mut removed = 0;
    // The runs may be those of a damaged file that is salvaged: where there is no number for an end, the last one
    // stands for it.
    let end_of = |run: Run| run.checked_end().unwrap_or(PageNo::new(u64::MAX));
    while let Some(d) = dead
        .range(..end_of(taken))
        .next_back()
        .map(|(_, d)| *d)
        .filter(|d| end_of(d.extent.run) > taken.first)
    {
        let run = d.extent.run;
        dead.remove(&run.first);
        removed += end_of(run).min(end_of(taken)) - run.first.max(taken.first);
        let mut keep = |first: PageNo, end: PageNo| {
            let extent = Extent {
                run: Run::new(first, end - first),
                ..d.extent
            };
            dead.insert(first, Dead { extent, ..d });
        };
        if end_of(run) > end_of(taken) {
            keep(end_of(taken), end_of(run));
        }
        if run.first < taken.first {
            keep(run.first, taken.first);
        }
    }
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(first: u64, pages: u64) -> Dead {
        Dead {
            extent: Extent::new(Run::new(PageNo::new(first), pages), CommitId::new(3)),
            death: CommitId::new(9),
        }
    }

    #[test]
    fn entries_round_trip_and_other_sizes_are_refused() {
        let mut d = dead(77, 12);
        let (key, value) = (encode_key(PageNo::new(77)), encode_dead(&d));
        assert_eq!(decode_dead(&key, &value).expect("an entry"), d);
        d.extent.own = true;
        let own = encode_dead(&d);
        assert_eq!((own[3], value[3]), (0x80, 0));
        assert_eq!(decode_dead(&key, &own).expect("an entry"), d);
        assert!(
            decode_dead(&encode_key(PageNo::new(1 << 63)), &own).is_err(),
            "a parked extent"
        );
        assert!(decode_dead(&key[1..], &value).is_err() && decode_dead(&key, &value[1..]).is_err());
    }

    #[test]
    fn parked_extents_round_trip_and_lie_behind_all_others() {
        let parked = Parked {
            holder: CommitId::new(5),
            fold: CommitId::new(9),
            extent: Extent::new(Run::new(PageNo::new(77), 12), CommitId::new(3)),
            death: CommitId::new(7),
        };
        let (key, value) = (encode_parked_key(&parked), encode_parked(&parked));
        assert_eq!(decode_parked(&key, &value).expect("an entry"), parked);
        assert!(key[..] > encode_key(PageNo::END)[..] && is_parked(&key));
        // The birth is above the holder; it died no earlier than it was parked; a page behind all.
        for (at, to) in [(18, 6), (12, 7), (19, 1)] {
            let mut bad = key;
            bad[at] = to;
            assert!(decode_parked(&bad, &value).is_err(), "byte {at}");
        }
        // No pages; it died before its holder.
        for (at, to) in [(0, 0), (4, 5)] {
            let mut bad = value;
            bad[at] = to;
            assert!(decode_parked(&key, &bad).is_err(), "byte {at} of the value");
        }
        assert!(decode_parked(&key, &value[1..]).is_err() && decode_parked(&key[1..], &value).is_err());
    }

    #[test]
    fn taking_pages_leaves_what_lies_around_them() {
        let mut extents: BTreeMap<PageNo, Dead> = BTreeMap::new();
        for d in [dead(10, 10), dead(20, 5), dead(40, 1)] {
            extents.insert(d.extent.run.first, d);
        }
        assert_eq!(remove(&mut extents, Run::new(PageNo::new(15), 7)), 7);
        assert_eq!(remove(&mut extents, Run::new(PageNo::new(15), 7)), 0);
        let left: Vec<Run> = extents.values().map(|d| d.extent.run).collect();
        let expected = [(10, 5), (22, 3), (40, 1)];
        assert_eq!(left, expected.map(|(first, pages)| Run::new(PageNo::new(first), pages)));
    }

    #[test]
    fn runs_of_a_damaged_file_may_have_no_end() {
        let mut all = BTreeMap::from([(PageNo::new(u64::MAX - 3), dead(u64::MAX - 3, 9))]);
        remove(&mut all, Run::new(PageNo::new(u64::MAX - 1), u64::MAX));
        let left: Vec<Run> = all.values().map(|d| d.extent.run).collect();
        assert_eq!(left, [Run::new(PageNo::new(u64::MAX - 3), 2)]);
    }
}
