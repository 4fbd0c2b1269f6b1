//! Searching what is parked, by who sees it and by when it was written.
//!
//! What one commit has parked under one holder lies side by side, by birth: a run. So what was born after a commit is
//! the end of each run, and finding it is a search for each run of the holders that are meant.

use super::space_tree::{decode_parked, encode_parked_key, is_parked};
use crate::error::Result;
use crate::ids::CommitId;
use crate::page::{Extent, PageSource, Root};
use crate::pager::Parked;
use crate::tree::read::path::Position;

/// How much the searches of a thread have read.
#[cfg(feature = "internals")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SearchCount {
    /// The entries that were looked at.
    pub entries: u64,
    /// The searches from the root of the space tree.
    pub seeks: u64,
}

#[cfg(feature = "internals")]
thread_local! {
    static COUNT: std::cell::Cell<SearchCount> = const { std::cell::Cell::new(SearchCount { entries: 0, seeks: 0 }) };
}

/// Returns how much the searches of this thread have read. This is for tests: that a drop reads what it frees.
#[cfg(feature = "internals")]
pub fn search_count() -> SearchCount {
    COUNT.get()
}

/// Adds to what the searches of this thread have read.
#[inline(always)]
fn count(_entries: u64, _seeks: u64) {
    #[cfg(feature = "internals")]
    COUNT.set(SearchCount {
        entries: COUNT.get().entries + _entries,
        seeks: COUNT.get().seeks + _seeks,
    });
}

/// What is parked under holders before `end` and was born after `born_after`.
pub struct ParkedSearch<'t, S> {
    /// Where the space tree is read.
    pub source: &'t S,
    /// Its root.
    pub space: &'t Root,
    /// The commit after which the extents were born.
    pub born_after: CommitId,
    /// The commit before which their holders are.
    pub end: CommitId,
}

impl<'s, S: PageSource<'s>> ParkedSearch<'_, S> {
    /// Gives what is parked under holders from `first` on to `f`, which returns whether it takes it and wants more.
    /// Returns whether that was all.
    ///
    /// # Errors
    /// Those that `f` returns; `Corrupt`: an entry cannot be read; those of the source.
    pub fn each(&self, first: CommitId, mut f: impl FnMut(Parked) -> Result<bool>) -> Result<bool> {
        let (mut position, mut key) = (Position::new(), Vec::new());
        let mut from = Parked {
            holder: first,
            ..Parked::default()
        };
        'run: loop {
            count(0, 1);
            position.seek(self.source, self.space, &encode_parked_key(&from))?;
            while position.is_valid() {
                key.clear();
                position.key(self.source, &mut key)?;
                if !is_parked(&key) {
                    return Ok(true);
                }
                count(1, 0);
                let found = decode_parked(&key, position.value(self.source)?.bytes())?;
                if found.holder >= self.end {
                    return Ok(true);
                }
                if found.extent.birth <= self.born_after {
                    // The rest of the run is older than this, or it is what is searched for.
                    from = Parked {
                        extent: Extent::new(Default::default(), self.born_after.next()),
                        ..found
                    };
                    continue 'run;
                }
                if !f(found)? {
                    return Ok(false);
                }
                position.next(self.source)?;
            }
            return Ok(true);
        }
    }
}
