//! Searching what is parked, by who sees it and by when it was written.
//!
//! What one commit has parked under one holder lies side by side, by birth: a run. So what was born after a commit is
//! the end of each run, and finding it is a search for each run of the holders that are meant.

use super::space_tree::{decode_parked, encode_parked_key, is_parked};
use crate::error::{Error, Result};
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
            let sought = encode_parked_key(&from);
            position.seek(self.source, self.space, &sought)?;
            while position.is_valid() {
                key.clear();
                position.key(self.source, &mut key)?;
                if !is_parked(&key) {
                    return Ok(true);
                }
                if key[..] < sought[..] {
                    // In a damaged tree, this would never end.
                    return Err(Error::corrupt(None, "keys of the list of dead pages are out of order"));
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

#[cfg(test)]
mod tests {
    use super::super::space_tree::encode_parked;
    use super::*;
    use crate::ids::{PageNo, Run};
    use crate::tree::testing::Builder;
    use std::collections::BTreeMap;

    /// Returns what one commit has parked under one holder, with these births, as entries of the space tree.
    fn run_of(births: std::ops::Range<u64>) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let parked = births.map(|birth| Parked {
            holder: CommitId::new(1000),
            fold: CommitId::new(1010),
            extent: Extent::new(Run::new(PageNo::new(5000 + birth), 1), CommitId::new(birth)),
            death: CommitId::new(1005),
        });
        let entries = parked.map(|parked| (encode_parked_key(&parked).to_vec(), encode_parked(&parked).to_vec()));
        entries.collect()
    }

    #[test]
    fn a_search_ends_where_a_leaf_has_keys_of_another_one() {
        let mut builder = Builder::new(4096);
        let put = |builder: &mut Builder, entries: &BTreeMap<_, _>| {
            builder.commit(Root::default(), entries.iter().map(|(key, value)| (key, Some(value))))
        };
        let (young, old) = (run_of(500..900), run_of(1..20));
        let old = put(&mut builder, &old);
        let space = put(&mut builder, &young);
        let (leaf, last) = (old.ptr.page.number(), space.ptr.page.number());
        assert!(old.height == 1 && space.height == 2 && last > leaf + 3, "{space:?}");
        let source = builder.pages();
        let search = ParkedSearch {
            source: &source,
            space: &space,
            born_after: CommitId::new(100),
            end: CommitId::new(1001),
        };
        let found = || {
            let mut found = 0;
            let searched = search.each(CommitId::new(1000), |_| {
                found += 1;
                Ok(found < 10_000)
            });
            searched.map(|all| (all, found))
        };
        assert_eq!(found().expect("a whole tree"), (true, young.len()));
        // What was born too early stands behind what was not: the search for the rest of the run would find the run
        // again, for ever.
        source.replace(PageNo::new(last.get() - 1), leaf);
        assert!(matches!(found(), Err(Error::Corrupt(_))), "{:?}", found());
    }
}
