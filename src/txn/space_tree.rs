//! The space tree contains the dead extents of the database, by first page. The pager decides when the records of
//! recent commits are folded into it and which zones are read from it; this module defines its entries and reads them.
//!
//! ```text
//! key    u64 first page, big-endian
//! value  0  u32 pages     4  u48 birth     10  u48 death
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

/// Returns the key of the extent that begins with `page`.
pub fn encode_key(page: PageNo) -> [u8; 8] {
    page.get().to_be_bytes()
}

/// Returns the value of an extent's entry.
pub fn encode_dead(d: &Dead) -> [u8; VALUE_BYTES] {
    let mut b = [0; VALUE_BYTES];
    put_u32(&mut b, PAGES, d.extent.run.pages as u32);
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
    Ok(Dead {
        extent: Extent {
            run: Run::new(first, get_u32(value, PAGES) as u64),
            birth: CommitId::new(get_u48(value, BIRTH)),
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
            dead.push(d);
        }
        Ok(inside)
    })?;
    Ok(dead)
}

/// Returns every dead extent of a commit, by first page: those that its space tree lists, with the changes made by the
/// commits whose records are not folded into it yet.
pub fn dead_extents<'s, S: PageSource<'s>>(
    source: &S,
    space: &Root,
    changes: &[SpaceChange],
) -> Result<BTreeMap<PageNo, Dead>> {
    let mut dead = BTreeMap::new();
    scan(source, space, &[], |key, value| {
        let d = decode_dead(key, value.bytes())?;
        dead.insert(d.extent.run.first, d);
        Ok(true)
    })?;
    for change in changes {
        match change {
            SpaceChange::Died(d) => {
                dead.insert(d.extent.run.first, *d);
            }
            SpaceChange::Taken(run) => remove(&mut dead, *run),
        }
    }
    Ok(dead)
}

/// Removes the pages of `taken` from the extents. What an extent has on either side of them stays.
fn remove(dead: &mut BTreeMap<PageNo, Dead>, taken: Run) {
    // The runs may be those of a damaged file that is salvaged: where there is no number for an end, the last one stands
    // for it.
    let end_of = |run: Run| run.checked_end().unwrap_or(PageNo::new(u64::MAX));
    while let Some(d) = dead
        .range(..end_of(taken))
        .next_back()
        .map(|(_, d)| *d)
        .filter(|d| end_of(d.extent.run) > taken.first)
    {
        let run = d.extent.run;
        dead.remove(&run.first);
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(first: u64, pages: u64) -> Dead {
        Dead {
            extent: Extent {
                run: Run::new(PageNo::new(first), pages),
                birth: CommitId::new(3),
            },
            death: CommitId::new(9),
        }
    }

    #[test]
    fn entries_round_trip_and_other_sizes_are_refused() {
        let d = dead(77, 12);
        let (key, value) = (encode_key(PageNo::new(77)), encode_dead(&d));
        assert_eq!(decode_dead(&key, &value).expect("an entry"), d);
        assert!(decode_dead(&key[1..], &value).is_err() && decode_dead(&key, &value[1..]).is_err());
    }

    #[test]
    fn taking_pages_leaves_what_lies_around_them() {
        let mut extents: BTreeMap<PageNo, Dead> = BTreeMap::new();
        for d in [dead(10, 10), dead(20, 5), dead(40, 1)] {
            extents.insert(d.extent.run.first, d);
        }
        remove(&mut extents, Run::new(PageNo::new(15), 7));
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
