//! A sorted map from pages to a few words each, for the pages of a file that are dead, free or taken.
//!
//! A commit of a hundred puts searches such maps thousands of times, mostly for pages in random places, so searches
//! in a balanced tree would be most of its cost. Here pages come in blocks, each of which has a bit for every page
//! that is in the map, and the values by page number. A search among the blocks, which are few, is followed by
//! arithmetic.

use crate::ids::PageNo;
use crate::util::memory;
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Range;

/// The number of pages of a block.
const BLOCK: u64 = 1024;
const WORDS: usize = BLOCK as usize / 64;
/// The number of empty blocks that are kept. Few pages that come and go, as in a small commit, lie in few blocks.
const SPARE: usize = 4;

/// A sorted map from pages to `V`.
#[derive(Debug, Clone)]
pub(in crate::pager) struct PageMap<V> {
    /// The blocks by number. None of them is empty.
    blocks: BTreeMap<u64, Block<V>>,
    len: usize,
    spare: Vec<Block<V>>,
    /// Whether a page was not put in, because there was no memory for it.
    incomplete: bool,
}

#[derive(Debug, Clone)]
struct Block<V> {
    bits: [u64; WORDS],
    values: Vec<V>,
}

/// Returns the number of the block that a page is in, and its position there.
fn locate(page: PageNo) -> (u64, usize) {
    (page.get() / BLOCK, (page.get() % BLOCK) as usize)
}

fn bit(at: usize) -> u64 {
    1 << (at % 64)
}

impl<V: Copy + Default> Block<V> {
    /// Returns an empty block, or `None` if there is no memory for it.
    fn new() -> Option<Block<V>> {
        let mut values = Vec::new();
        if memory::is_short() || values.try_reserve_exact(BLOCK as usize).is_err() {
            return None;
        }
        values.resize(BLOCK as usize, V::default());
        let bits = [0; WORDS];
        Some(Block { bits, values })
    }
}

impl<V> Block<V> {
    /// Returns the last page up to the one at `at`.
    fn last(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut bits = self.bits[word] & (u64::MAX >> (63 - at % 64));
        while bits == 0 {
            word = word.checked_sub(1)?;
            bits = self.bits[word];
        }
        Some(64 * word + 63 - bits.leading_zeros() as usize)
    }

    /// Returns the first page from the one at `at` on.
    fn first(&self, at: usize) -> Option<usize> {
        let mut word = at / 64;
        let mut bits = self.bits[word] & (u64::MAX << (at % 64));
        while bits == 0 {
            word += 1;
            bits = *self.bits.get(word)?;
        }
        Some(64 * word + bits.trailing_zeros() as usize)
    }
}

impl<V> Default for PageMap<V> {
    fn default() -> PageMap<V> {
        PageMap {
            blocks: BTreeMap::new(),
            len: 0,
            spare: Vec::new(),
            incomplete: false,
        }
    }
}

impl<V: Copy + Default> PageMap<V> {
    /// Returns the number of pages in the map.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns the value of `page`.
    pub fn get(&self, page: PageNo) -> Option<V> {
        let (number, at) = locate(page);
        let block = self.blocks.get(&number)?;
        let there = block.bits[at / 64] & bit(at) != 0;
        there.then(|| block.values[at])
    }

    /// Returns whether pages are missing, because there was no memory when they were put in.
    pub fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Puts `page` in, or gives it another value. Where there is no memory for it, the map is incomplete from then on.
    pub fn insert(&mut self, page: PageNo, value: V) {
        let (number, at) = locate(page);
        let block = match self.blocks.entry(number) {
            Entry::Occupied(block) => block.into_mut(),
            Entry::Vacant(vacant) => match self.spare.pop().or_else(Block::new) {
                Some(block) => vacant.insert(block),
                None => {
                    self.incomplete = true;
                    return;
                }
            },
        };
        let bits = &mut block.bits[at / 64];
        self.len += usize::from(*bits & bit(at) == 0);
        *bits |= bit(at);
        block.values[at] = value;
    }

    /// Removes `page`.
    pub fn remove(&mut self, page: PageNo) {
        let (number, at) = locate(page);
        let Some(block) = self.blocks.get_mut(&number) else {
            return;
        };
        let bits = &mut block.bits[at / 64];
        self.len -= usize::from(*bits & bit(at) != 0);
        *bits &= !bit(at);
        if block.bits == [0; WORDS] {
            let empty = self.blocks.remove(&number);
            self.spare.extend(empty.filter(|_| self.spare.len() < SPARE));
        }
    }

    /// Returns the last page before `end`.
    pub fn before(&self, end: PageNo) -> Option<(PageNo, V)> {
        let (last, at_last) = locate(PageNo::new(end.get().checked_sub(1)?));
        let mut blocks = self.blocks.range(..=last).rev();
        blocks.find_map(|(&number, block)| {
            let at = block.last(if number == last { at_last } else { BLOCK as usize - 1 })?;
            Some((PageNo::new(number * BLOCK + at as u64), block.values[at]))
        })
    }

    /// Returns the first page from `start` on.
    pub fn from(&self, start: PageNo) -> Option<(PageNo, V)> {
        let (first, at_first) = locate(start);
        let mut blocks = self.blocks.range(first..);
        blocks.find_map(|(&number, block)| {
            let at = block.first(if number == first { at_first } else { 0 })?;
            Some((PageNo::new(number * BLOCK + at as u64), block.values[at]))
        })
    }

    /// Returns all pages, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (PageNo, V)> + '_ {
        self.range(PageNo::default()..PageNo::END)
    }

    /// Returns the pages that are in `range`, in ascending order.
    pub fn range(&self, range: Range<PageNo>) -> impl Iterator<Item = (PageNo, V)> + '_ {
        let mut next = range.start;
        std::iter::from_fn(move || {
            let (page, value) = self.from(next).filter(|(page, _)| *page < range.end)?;
            next = page + 1;
            Some((page, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::sim::Random;

    #[test]
    fn a_page_map_is_a_map() {
        let mut random = Random::new(7);
        let (mut map, mut model) = (PageMap::default(), BTreeMap::new());
        for round in 0..60_000u64 {
            // The pages are few or many, and near to each other or far apart.
            let spread = [70, 3000, 1 << 20, 1 << 39][(round / 10_000 % 4) as usize];
            let page = PageNo::new(random.below(spread));
            if random.below(5) < 2 + round / 20_000 {
                map.insert(page, round);
                model.insert(page, round);
            } else {
                let near = model.range(page..).next().map_or(page, |(page, _)| *page);
                map.remove(near);
                model.remove(&near);
            }
            assert_eq!(map.len(), model.len());
            let at = PageNo::new(random.below(spread));
            let copied = |(page, value): (&PageNo, &u64)| (*page, *value);
            assert_eq!(map.get(at), model.get(&at).copied());
            assert_eq!(map.before(at), model.range(..at).next_back().map(copied));
            assert_eq!(map.from(at), model.range(at..).next().map(copied));
            if round % 1000 == 0 {
                assert!(map.iter().eq(model.iter().map(copied)));
                assert!(map.range(at..at + 100).eq(model.range(at..at + 100).map(copied)));
            }
        }
        assert_eq!(map.before(PageNo::default()), None);
        assert_eq!(map.before(PageNo::END), model.last_key_value().map(|(p, v)| (*p, *v)));
    }
}
