//! Lookups of many keys at once: up to 16 go down together, level by level, so that they wait for memory together.

use super::descent::{branch, check_height, leaf};
use crate::error::Result;
use crate::page::branch::Branch;
use crate::page::hint::branch::BRANCH_AHEAD;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::leaf::{Leaf, Stored};
use crate::page::search::Key;
use crate::page::{PageSource, Ptr, Root};
use std::marker::PhantomData;

/// The bytes of a leaf that are prefetched at first. The rest follows once it is known how much of it is needed,
/// because with many lookups in flight memory is busy and must not be asked for bytes that nobody needs.
const LEAF_NEAR: usize = 256;
/// The bytes of a cache line.
const LINE: usize = 64;
/// The most lookups in flight at once.
pub const IN_FLIGHT: usize = 16;

/// Finds the values of at most [`IN_FLIGHT`] keys, and passes them to `found` in the order of `keys`.
///
/// # Errors
/// `Corrupt`: a page on the way is damaged; and what `found` returns.
#[inline]
pub fn get_few<'s, S, F>(source: &S, root: &Root, keys: &[&[u8]], found: F) -> Result<()>
where
    S: PageSource<'s> + ?Sized,
    F: FnMut(Option<Stored<'s>>) -> Result<()>,
{
    debug_assert!(keys.len() <= IN_FLIGHT, "more lookups than can be in flight");
    best(Together {
        source,
        root,
        keys,
        found,
        pages: PhantomData,
    })
}

/// Lookups of up to [`IN_FLIGHT`] keys.
struct Together<'a, 's, S: ?Sized, F> {
    source: &'a S,
    root: &'a Root,
    keys: &'a [&'a [u8]],
    found: F,
    pages: PhantomData<&'s [u8]>,
}

/// One lookup in flight that has come to its leaf.
#[derive(Clone, Copy)]
struct InLeaf<'k, 's> {
    key: Key<'k>,
    leaf: Leaf<'s>,
    /// The entry from which on the key is searched, or `None` if the leaf does not have it.
    candidate: Option<usize>,
}

impl<'s, S: PageSource<'s> + ?Sized, F: FnMut(Option<Stored<'s>>) -> Result<()>> Work for Together<'_, 's, S, F> {
    type Out = Result<()>;

    #[inline(always)]
    fn run<K: Kernel>(mut self, kernel: K) -> Result<()> {
        check_height(self.root)?;
        if self.root.height == 0 {
            return self.keys.iter().try_for_each(|_| (self.found)(None));
        }
        let mut ptrs = [self.root.ptr; IN_FLIGHT];
        let ptrs = &mut ptrs[..self.keys.len().min(IN_FLIGHT)];
        for level in (2..=self.root.height).rev() {
            self.step_down(kernel, ptrs, level)?;
        }
        self.look_into_leaves(kernel, ptrs)
    }
}

impl<'s, S: PageSource<'s> + ?Sized, F: FnMut(Option<Stored<'s>>) -> Result<()>> Together<'_, 's, S, F> {
    /// Takes each lookup from the branch of level `level` behind its pointer to the child of its key.
    #[inline(always)]
    fn step_down<K: Kernel>(&self, kernel: K, ptrs: &mut [Ptr], level: u8) -> Result<()> {
        let source = self.source;
        let mut targets: [Option<(Branch<'s>, usize)>; IN_FLIGHT] = [None; IN_FLIGHT];
        for ((ptr, key), target) in ptrs.iter().zip(self.keys).zip(&mut targets) {
            let branch = branch(source, ptr, level)?;
            let i = branch.find_with(kernel, key, source)?;
            if level == 2 {
                branch.prefetch_target(i, source);
            }
            *target = Some((branch, i));
        }
        for (ptr, (branch, i)) in ptrs.iter_mut().zip(targets.iter().flatten()) {
            *ptr = branch.target(*i);
        }
        if level > 2 {
            ptrs.iter().for_each(|ptr| source.prefetch(ptr.page, BRANCH_AHEAD));
            return Ok(());
        }
        // A prefetch may wait for the page table, and those behind it wait with it. So the first lines of all leaves
        // are prefetched one directly after the other: they wait together.
        let near = LEAF_NEAR / LINE;
        ptrs.iter().for_each(|ptr| source.prefetch_at(ptr.page, 0, 1));
        ptrs.iter().for_each(|ptr| source.prefetch_at(ptr.page, LINE, near - 1));
        Ok(())
    }

    /// Finds each key in the leaf behind its pointer. Each of three steps is done for all lookups, so that none waits
    /// for bytes that it has just prefetched.
    #[inline(always)]
    fn look_into_leaves<K: Kernel>(&mut self, kernel: K, ptrs: &[Ptr]) -> Result<()> {
        let source = self.source;
        let mut lookups: [Option<InLeaf<'_, 's>>; IN_FLIGHT] = [None; IN_FLIGHT];
        for ((ptr, bytes), lookup) in ptrs.iter().zip(self.keys).zip(&mut lookups) {
            let leaf = leaf(source, ptr)?;
            leaf.prefetch_arrays(LEAF_NEAR);
            let key = Key::new(bytes);
            let candidate = None;
            *lookup = Some(InLeaf { key, leaf, candidate });
        }
        for lookup in lookups.iter_mut().flatten() {
            lookup.candidate = lookup.leaf.candidate(kernel, lookup.key)?;
        }
        for lookup in lookups.iter().flatten() {
            let found = match lookup.candidate {
                Some(candidate) => lookup.leaf.find_from(kernel, candidate, lookup.key, source)?,
                None => None,
            };
            (self.found)(found.map(|i| lookup.leaf.value(i)).transpose()?)?;
        }
        Ok(())
    }
}
