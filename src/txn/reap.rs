//! Reaping: what only dropped snapshots saw is found among what is parked.
//!
//! Let X be a commit whose snapshots were all dropped, P the newest commit before it that still has a named one, and N
//! the next recorded one. What is parked under a holder in [X, N) and was born after P was seen by X, or by others that
//! went with it, and by nobody who is recorded now. So a drop reads what it frees, and makes a search for each of the
//! runs in which that lies: what was parked by one commit under one holder, by birth.

use super::parked_search::ParkedSearch;
use crate::error::{Error, Result};
use crate::ids::CommitId;
use crate::page::{PageSource, Root};
use crate::pager::{Parked, RecordedCommits};
use crate::util::seeded::{self, Bug};

/// What a fold takes out of what is parked.
#[derive(Debug, Default)]
pub struct Reaped {
    /// The extents that nobody recorded sees.
    pub extents: Vec<Parked>,
    /// The commits of dropped snapshots for which nothing is left, in ascending order.
    pub done: Vec<CommitId>,
}

/// Finds what only dropped snapshots saw, up to `budget` extents, in the space tree at `space`.
///
/// # Errors
/// `NoMemory`; `Corrupt`: an entry cannot be read; those of `source`.
pub fn reap<'s, S: PageSource<'s>>(
    source: &S,
    space: &Root,
    recorded: &RecordedCommits,
    budget: usize,
) -> Result<Reaped> {
    let mut reaped = Reaped::default();
    if !recorded.has_nameless() {
        return Ok(reaped);
    }
    let mut named_before = CommitId::NONE;
    for listed in recorded.all() {
        let x = listed.commit;
        if listed.names > 0 {
            named_before = x;
            continue;
        }
        let search = ParkedSearch {
            source,
            space,
            born_after: named_before,
            end: match seeded::on(Bug::ReapLittle) {
                true => x.next(),
                false => recorded.after(x),
            },
        };
        let extents = &mut reaped.extents;
        let all = search.each(x, |parked| {
            if extents.len() >= budget {
                return Ok(false);
            }
            Error::or_room(extents, 1, REAPED)?;
            extents.push(parked);
            Ok(true)
        })?;
        if !all {
            break;
        }
        Error::or_room(&mut reaped.done, 1, REAPED)?;
        reaped.done.push(x);
    }
    Ok(reaped)
}

/// What memory is lacking for, if it is.
const REAPED: &str = "the list of pages that snapshots kept";
