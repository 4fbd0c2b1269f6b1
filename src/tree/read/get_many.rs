//! Lookups of many keys at once: up to 16 go down together, one level at a time, so that their waits for memory overlap.

use super::descent::{branch, check_height, leaf};
use crate::error::Result;
use crate::page::branch::Branch;
use crate::page::hint::branch::BRANCH_AHEAD;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::leaf::{Leaf, Stored};
use crate::page::search::Key;
use crate::page::{PageSource, Ptr, Root};
use std::marker::PhantomData;

/// Bytes of a leaf asked for early: the rest is asked for once it is known how much there is. Where many lookups are in
/// flight memory has more to do, and must not be asked for what nobody needs.
const LEAF_NEAR: usize = 256;
/// Bytes of a cache line.
const LINE: usize = 64;
/// Lookups in flight at once.
pub const IN_FLIGHT: usize = 16;

/// The values of at most [`IN_FLIGHT`] keys, given to `found` in the order of `keys`.
///
/// # Errors
/// `Corrupt`, and what `found` answers.
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

/// One lookup in flight, in its leaf.
#[derive(Clone, Copy)]
struct InLeaf<'k, 's> {
    key: Key<'k>,
    leaf: Leaf<'s>,
    /// Where to look.
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
        // A request waits for the page table, and what comes behind it waits with it: one after the other, and with nothing
        // between them, they wait together.
        let near = LEAF_NEAR / LINE;
        ptrs.iter().for_each(|ptr| source.prefetch_at(ptr.page, 0, 1));
        ptrs.iter().for_each(|ptr| source.prefetch_at(ptr.page, LINE, near - 1));
        Ok(())
    }

    /// Finds each key in the leaf behind its pointer, in three steps, so that none waits for what it has just found out to
    /// need.
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
