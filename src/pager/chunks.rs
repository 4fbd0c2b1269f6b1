//! A sorted list in chunks, whose copies share those that are the same in both: a copy of ten thousand items that
//! differs by one is made of some forty pointers and a chunk.

use crate::error::{Error, Result};
use std::sync::Arc;

/// The most items of a chunk.
const MOST: usize = 256;

/// A sorted list.
#[derive(Debug, PartialEq, Eq)]
pub struct SortedChunks<T>(Vec<Arc<Vec<T>>>);

/// Where an item is, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    chunk: usize,
    item: usize,
}

impl<T> Default for SortedChunks<T> {
    fn default() -> SortedChunks<T> {
        SortedChunks(Vec::new())
    }
}

impl<T: Copy> SortedChunks<T> {
    /// Returns a list of these items, which are in ascending order.
    pub fn of(items: &[T]) -> SortedChunks<T> {
        SortedChunks(items.chunks(MOST).map(|chunk| Arc::new(chunk.to_vec())).collect())
    }

    /// Returns a copy.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn try_clone(&self, what: &'static str) -> Result<SortedChunks<T>> {
        let mut copy = Vec::new();
        Error::or_room(&mut copy, self.0.len(), what)?;
        copy.extend(self.0.iter().cloned());
        Ok(SortedChunks(copy))
    }

    /// Returns whether there is no item.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the items in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flat_map(|chunk| chunk.iter())
    }

    /// Returns where the first item is of which `is_before` is not true, which it must be for a first part of them.
    pub fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> At {
        let chunk = self.0.partition_point(|chunk| chunk.last().is_some_and(&is_before));
        let item = self.0.get(chunk).map_or(0, |chunk| chunk.partition_point(&is_before));
        At { chunk, item }
    }

    /// Returns the item at what [`SortedChunks::partition_point`] has returned, if that is not the end.
    pub fn get(&self, at: At) -> Option<&T> {
        self.0.get(at.chunk)?.get(at.item)
    }

    /// Returns the item before that.
    pub fn before(&self, at: At) -> Option<&T> {
        match at.item.checked_sub(1) {
            Some(item) => self.0.get(at.chunk)?.get(item),
            None => self.0.get(at.chunk.checked_sub(1)?)?.last(),
        }
    }

    /// Puts an item there.
    ///
    /// # Errors
    /// `NoMemory`.
    pub fn insert(&mut self, at: At, item: T, what: &'static str) -> Result<()> {
        Error::or_room(&mut self.0, 2, what)?;
        let At {
            mut chunk,
            item: mut to,
        } = at;
        if chunk == self.0.len() {
            // Items mostly come in order, and chunks stay full then.
            match self.0.last().map(|last| last.len()) {
                Some(len) if len < MOST => (chunk, to) = (chunk - 1, len),
                _ => self.0.push(Arc::default()),
            }
        } else if self.0[chunk].len() == MOST {
            let (low, high) = self.0[chunk].split_at(MOST / 2);
            let [low, high] = [low, high].map(|half| Arc::new(half.to_vec()));
            self.0[chunk] = low;
            self.0.insert(chunk + 1, high);
            if to > MOST / 2 {
                (chunk, to) = (chunk + 1, to - MOST / 2);
            }
        }
        Arc::make_mut(&mut self.0[chunk]).insert(to, item);
        Ok(())
    }

    /// Returns an item to be changed, without changing its order.
    pub fn get_mut(&mut self, at: At) -> Option<&mut T> {
        Arc::make_mut(self.0.get_mut(at.chunk)?).get_mut(at.item)
    }

    /// Takes out the item there, if there is one.
    pub fn remove(&mut self, at: At) {
        if self.get(at).is_none() {
            return;
        }
        let chunk = Arc::make_mut(&mut self.0[at.chunk]);
        chunk.remove(at.item);
        if chunk.is_empty() {
            self.0.remove(at.chunk);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(list: &SortedChunks<u32>) -> Vec<u32> {
        list.iter().copied().collect()
    }

    #[test]
    fn it_does_as_a_sorted_vector_and_copies_stay_as_they_were() {
        let mut random = 7u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((random >> 33) % n) as u32
        };
        let mut model: Vec<u32> = (0..1000).map(|n| n * 2).collect();
        let mut list = SortedChunks::of(&model);
        for round in 0..6000 {
            let (copy, before) = (list.try_clone("copy").expect("memory"), model.clone());
            // Now and then many go, so that chunks become empty.
            let key = below(4000);
            let at = list.partition_point(|item| *item < key);
            let to = model.partition_point(|item| *item < key);
            assert_eq!(list.get(at), model.get(to), "round {round}");
            assert_eq!(list.before(at), to.checked_sub(1).map(|to| &model[to]));
            match model.get(to) {
                Some(found) if *found == key || round % 1000 > 300 => {
                    list.remove(at);
                    model.remove(to);
                }
                None if round % 2 == 0 => list.remove(at),
                _ => {
                    list.insert(at, key, "list").expect("memory");
                    model.insert(to, key);
                }
            }
            assert_eq!(items(&copy), before, "round {round}");
            assert_eq!(items(&list), model, "round {round}");
            assert!(list.0.iter().all(|chunk| (1..=MOST).contains(&chunk.len())));
            if model.is_empty() || round % 1000 == 999 {
                model = (0..1000).map(|n| n * 3).collect();
                list = SortedChunks::of(&model);
            }
        }
    }

    #[test]
    fn what_comes_in_order_fills_chunks_and_is_changed_in_one_of_them() {
        let mut list = SortedChunks::default();
        for n in 0..1000u32 {
            let end = list.partition_point(|item| *item < n);
            list.insert(end, n, "list").expect("memory");
        }
        assert_eq!(list.0.len(), 1000usize.div_ceil(MOST));
        let copy = list.try_clone("copy").expect("memory");
        let at = list.partition_point(|item| *item < 500);
        *list.get_mut(at).expect("an item") = 501;
        let shared = list.0.iter().zip(&copy.0).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert_eq!(shared.count(), list.0.len() - 1);
        assert_eq!((list.get(at), copy.get(at)), (Some(&501), Some(&500)));
    }
}
