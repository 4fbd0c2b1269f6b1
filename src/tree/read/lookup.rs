//! Lookup of one key: what is stored under it, or whether it is there.

use super::descent::{check_height, Descent};
use crate::error::Result;
use crate::page::kernel::{best, Kernel, Work};
use crate::page::leaf::Stored;
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
    let pages = PhantomData;
    let descent = Descent {
        source,
        root,
        key,
        pages,
    };
    if root.height > FEW_LEVELS {
        return find_in_tall::<S, VALUE>(descent);
    }
    best(Lookup::<S, VALUE, false>(descent))
}

/// The lookup in a tall tree. It is never inlined, because the other would need its room on the stack.
#[inline(never)]
fn find_in_tall<'s, S: PageSource<'s> + ?Sized, const VALUE: bool>(
    descent: Descent<'_, 's, S>,
) -> Result<Option<Stored<'s>>> {
    check_height(descent.root)?;
    best(Lookup::<S, VALUE, true>(descent))
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
        let (_, leaf) = descent.to_leaf::<K, TALL>(kernel, learn, |_, _, _| Ok(()))?;
        if let (true, Some(hints)) = (learn, descent.source.leaf_hints()) {
            hints.learn(&leaf);
        }
        match leaf.find_with(kernel, key, descent.source)? {
            Some(i) if VALUE => leaf.value(i).map(Some),
            Some(_) => Ok(Some(Stored::Inline(&[]))),
            None => Ok(None),
        }
    }
}
