//! The space tree contains the dead extents of the database, by first page. The pager decides when the records of
//! recent commits are folded into it and which zones are read from it; this module defines its entries and reads them.
//!
//! ```text
//! key    u64 first page, big-endian
//! value  0  u32 pages, bit 31: own     4  u48 birth     10  u48 death
//! ```

use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};
use crate::page::{Extent, PageSource, Root};
use crate::pager::{Dead, SpaceChange, ZoneNo};
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

/// The dead extents of a commit.
#[derive(Debug, Clone, Default)]
pub struct DeadExtents {
    /// The extents by first page.
    pub extents: BTreeMap<PageNo, Dead>,
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
        let mut dead = DeadExtents::default();
        let mut end = PageNo::default();
        scan(source, space, &[], |key, value| {
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
