//! Where the file could end if pages were moved.

use super::page_writer::PageWriter;
use crate::error::{Error, Result};
use crate::ids::{CommitId, PageNo, Run};

impl PageWriter {
    /// Returns the newest commit whose readers see dead pages behind `from`, as far as is known.
    pub fn reader_behind(&self, from: PageNo) -> Option<CommitId> {
        self.state.space.reader_behind(from)
    }

    /// Returns where the file could end if what lives behind that was moved to free pages before it: with a twentieth
    /// of the moved pages and `spare` more for what moving writes besides, and not before `least`. All zones are
    /// loaded.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn possible_end(&self, least: PageNo, spare: u64) -> Result<PageNo> {
        let (space, end) = (&self.state.space, self.tip_end());
        let mut runs: Vec<Run> = Vec::new();
        Error::or_room(&mut runs, space.pool.iter().count(), "the list of free pages")?;
        runs.extend(space.pool.iter());
        let least = least.max(space.held_end()).max(self.pager.first_page());
        let (mut possible, mut free_before) = (end, space.pool.total());
        // What lives at or behind `possible` needs so many free pages before it.
        let needed = |living: u64| living + living / 20 + spare;
        let mut living = 0;
        for run in runs.into_iter().rev() {
            // The end can lie among the pages that live behind this run, if not all of them can move ...
            let more = possible.checked_sub(run.end()).unwrap_or(0);
            let room = free_before.saturating_sub(spare) * 20 / 21;
            let movable = more.min(room.saturating_sub(living));
            possible = PageNo::new(possible.get() - movable);
            living += movable;
            if movable < more || possible <= least {
                break;
            }
            // ... or in this run, as far as it is not needed itself ...
            free_before -= run.pages;
            let first = run.first + needed(living).saturating_sub(free_before);
            possible = first.max(run.first).min(run.end());
            if first > run.first {
                break;
            }
            // ... or further before.
        }
        let possible = possible.max(least).min(end);
        Ok(possible)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::Random;
    use crate::pager::shrink::testing::{pager, writer, END};

    fn possible_end(free: &[(u64, u64)], least: u64) -> u64 {
        let pager = pager();
        let end = writer(&pager, free).possible_end(PageNo::new(least), 10);
        end.expect("an end").get()
    }

    #[test]
    fn the_end_lies_where_what_lives_behind_it_has_room_before_it() {
        assert_eq!(possible_end(&[], 0), END);
        // Nothing lives behind the run, and the spare pages stay.
        assert_eq!(possible_end(&[(900, 100)], 0), 910);
        // The run takes 276 pages, for which 13 more are written, beside the 10 spare ones.
        assert_eq!(possible_end(&[(100, 300)], 0), END - 276);
        // All that lives behind the run moves into it: 100 pages, 5 more and the spare ones.
        assert_eq!(possible_end(&[(100, 800)], 0), 215);
        assert_eq!(possible_end(&[(50, 10), (100, 800)], 0), 205);
        // Less than the spare pages is free.
        assert_eq!(possible_end(&[(100, 9)], 0), END);
        // What is parked or held stays where it is, and so does the head of the file.
        assert_eq!(possible_end(&[(100, 800)], 500), 500);
        assert_eq!(possible_end(&[(100, 800)], END + 1), END);
        assert_eq!(possible_end(&[(4, 996)], 0), 14);
    }

    #[test]
    fn no_end_is_possible_that_is_much_earlier() {
        for seed in 0..300 {
            let mut random = Random::new(seed);
            let mut free = Vec::new();
            let mut at = 10;
            while at < END {
                let most = 1 << random.below(9);
                let pages = (1 + random.below(most)).min(END - at);
                if random.one_in(2) {
                    free.push((at, pages));
                }
                at += pages + 1;
            }
            let is_room = |end: u64| {
                let before = |at: u64| -> u64 {
                    let pages = free.iter().map(|(first, pages)| at.saturating_sub(*first).min(*pages));
                    pages.sum()
                };
                let living = END - end - (before(END) - before(end));
                before(end) >= living + living / 20 + 10
            };
            let end = possible_end(&free, 0);
            assert!(end == END || is_room(end), "seed {seed}: {end} in {free:?}");
            // A page is lost where a part of a page would be.
            assert!(end < 12 || !is_room(end - 2), "seed {seed}: {end} in {free:?}");
        }
    }
}
