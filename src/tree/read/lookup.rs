//! Lookup of one key: what is stored under it, or whether it is there.

use super::descent::{check_height, Descent};
use crate::error::Result;
use crate::ids::PageRef;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::leaf::{Leaf, Stored};
use crate::page::search::Key;
use crate::page::{PageSource, Root};
use std::marker::PhantomData;

/// Trees of more levels are tall ([`Descent::to_leaf`]).
const FEW_LEVELS: u8 = 3;
/// One of so many lookups takes note of what the leaf it found is like, and where it lies. Leaves of a tree are alike, and a
/// note costs a store that other threads on the transaction may wait for.
const SAMPLE: u8 = 8;

/// What is stored under `key`.
///
/// # Errors
/// `Corrupt`, as everywhere in this room.
#[inline(always)]
pub fn get<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, key: &[u8]) -> Result<Option<Stored<'s>>> {
    find::<S, true>(source, root, key)
}

/// Whether `key` is in the tree.
///
/// # Errors
/// `Corrupt`.
#[inline(always)]
pub fn contains<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, key: &[u8]) -> Result<bool> {
    Ok(find::<S, false>(source, root, key)?.is_some())
}

#[inline(always)]
fn find<'s, S: PageSource<'s> + ?Sized, const VALUE: bool>(
    source: &S,
    root: &Root,
    key: &[u8],
) -> Result<Option<Stored<'s>>> {
    if root.height > FEW_LEVELS {
        return find_in_tall::<S, VALUE>(source, root, key);
    }
    let pages = PhantomData;
    best(Lookup::<S, VALUE, false>(Descent {
        source,
        root,
        key,
        pages,
    }))
}

/// The lookup in a tall tree. It is never inlined, because the other would need its room on the stack.
#[inline(never)]
fn find_in_tall<'s, S: PageSource<'s> + ?Sized, const VALUE: bool>(
    source: &S,
    root: &Root,
    key: &[u8],
) -> Result<Option<Stored<'s>>> {
    check_height(root)?;
    let pages = PhantomData;
    best(Lookup::<S, VALUE, true>(Descent {
        source,
        root,
        key,
        pages,
    }))
}

/// A lookup. Without `VALUE` only the key's presence matters, and the answer's bytes are none.
struct Lookup<'a, 's, S: ?Sized, const VALUE: bool, const TALL: bool>(Descent<'a, 's, S>);

impl<'s, S: PageSource<'s> + ?Sized, const VALUE: bool, const TALL: bool> Work for Lookup<'_, 's, S, VALUE, TALL> {
    type Out = Result<Option<Stored<'s>>>;

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> Self::Out {
        let descent = self.0;
        let key = Key::new(descent.key);
        if descent.root.height == 0 {
            return Ok(None);
        }
        let learn = key.fingerprint % SAMPLE == 0;
        let (ptr, page) = descent.to_leaf::<K, TALL>(kernel, learn, |_| Ok(()))?;
        if let (true, Some(hints)) = (learn, descent.source.leaf_hints()) {
            hints.learn(page);
        }
        match Leaf::plain_lookup::<K, S, VALUE>(kernel, page, key, descent.source) {
            Some(found) => Ok(found.map(Stored::Inline)),
            None => look_through_checks::<S, VALUE>(descent.source, page, ptr.page, key.bytes),
        }
    }
}

/// What the plain lookup in a leaf left open, or what is wrong with the leaf.
#[cold]
#[inline(never)]
fn look_through_checks<'s, S: PageSource<'s> + ?Sized, const VALUE: bool>(
    source: &S,
    page: &'s [u8],
    at: PageRef,
    key: &[u8],
) -> Result<Option<Stored<'s>>> {
    let leaf = Leaf::of(page, at)?;
    match leaf.find(Key::new(key), source)? {
        Some(i) if VALUE => leaf.value(i).map(Some),
        Some(_) => Ok(Some(Stored::Inline(&[]))),
        None => Ok(None),
    }
}
