//! Lookup of one key: what is stored under it, or whether it is there.

use super::descent::{check_height, Descent};
use crate::error::Result;
use crate::ids::PageRef;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::leaf::{Leaf, Stored};
use crate::page::search::Key;
use crate::page::{PageSource, Root};
use std::marker::PhantomData;

/// A tree of more levels than this is tall ([`Descent::to_leaf`]).
const FEW_LEVELS: u8 = 3;
/// Keys with one fingerprint in this many are sampled: their lookups record what the leaf is like and where it lies.
/// The leaves of a tree are alike, and recording costs a store that other threads on the transaction may wait for.
const SAMPLE: u8 = 8;

/// Returns what is stored under `key`, or `None`.
///
/// # Errors
/// `Corrupt`: a page on the way is damaged.
#[inline(always)]
pub fn get<'s, S: PageSource<'s> + ?Sized>(source: &S, root: &Root, key: &[u8]) -> Result<Option<Stored<'s>>> {
    find::<S, true>(source, root, key)
}

/// Returns whether `key` is in the tree.
///
/// # Errors
/// `Corrupt`: a page on the way is damaged.
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

/// Does the lookup in a tall tree. It is never inlined, because otherwise lookups in low trees would reserve its stack
/// frame, too.
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

/// A lookup. Without `VALUE` only the presence of the key matters, and the returned bytes are empty.
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

/// Answers what the plain lookup in a leaf left open, or says what is wrong with the leaf.
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
